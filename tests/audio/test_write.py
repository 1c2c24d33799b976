"""Audio files contain the samples that were written, or the writer raises and leaves nothing."""

import builtins
import errno
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from artifex.generative_models.core import DiskFullError
from artifex.generative_models.modalities.audio.io import read_audio, write_audio

FFMPEG = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
RATE = 48000
LENGTHS = (1, 1001, 9600)
RAW = ("PCM_16", "PCM_24", "PCM_32", "PCM_U8", "FLOAT", "DOUBLE", "ULAW", "ALAW")
LOSSLESS = {
    "wav": RAW,
    "rf64": RAW,
    "w64": RAW,
    "aiff": (*RAW, "PCM_S8"),
    "flac": ("PCM_16", "PCM_24", "PCM_S8"),
}
LOSSY = [
    ("ogg", "VORBIS", (1, 2, 6), 16000),
    ("ogg", "VORBIS", (1, 2, 5), 44100),
    ("ogg", "OPUS", (1, 2, 5), 48000),
    ("opus", "OPUS", (1, 2, 9), 16000),
    ("mp3", "MPEG_LAYER_III", (1, 2), 44100),
    ("mp3", "MPEG_LAYER_III", (1, 2), 8000),
]


def tones(n_channels, n_samples, rate=RATE):
    """Return a tone per channel (channels, time), each of its own frequency and level."""
    time = np.arange(n_samples) / rate
    return np.stack([(0.6 - 0.05 * k) * np.sin(2 * np.pi * (500 + 170 * k) * time + 0.4) for k in range(n_channels)])


def largest_error(subtype, expected):
    """Return the largest difference that rounding to the nearest value of an encoding makes."""
    if subtype in ("FLOAT", "DOUBLE"):
        return 0.0
    # G.711 divides a segment, which starts at half its end, into 16 steps, after rounding to 14 or 13 bits.
    if subtype == "ULAW":
        return (np.abs(expected) + 33 / 8192) / 32 + 1 / 8192
    if subtype == "ALAW":
        return np.maximum(np.abs(expected), 1 / 64) / 32 + 1 / 4096
    bits = {"PCM_S8": 8, "PCM_U8": 8}.get(subtype) or int(subtype[4:])
    return 0.5 / 2 ** (bits - 1) + 1e-12


def decode_all(paths, folder):
    """Decode files with one call of ffmpeg; return their samples as float64 (time, channels), by path."""
    command = [FFMPEG, "-v", "error"]
    for path in paths:  # ffmpeg mistakes some of these short files for others without -f
        command += ["-f", path.suffix[1:].replace("rf64", "wav"), "-i", path]
    for index, _ in enumerate(paths):
        command += ["-map", f"{index}:a", "-f", "f64le", folder / f"{index}.raw"]
    subprocess.run(command, check=True)
    return {path: np.fromfile(folder / f"{index}.raw") for index, path in enumerate(paths)}


@pytest.mark.parametrize("ending", LOSSLESS)
def test_lossless_encodings_round_to_the_nearest_step(tmp_path, ending):
    expected = {}
    for subtype in LOSSLESS[ending]:
        for n_channels in (1, 2, 6):
            for n_samples in LENGTHS:
                path = tmp_path / f"{subtype}-{n_channels}-{n_samples}.{ending}"
                expected[path] = tones(n_channels, n_samples).T
                write_audio(path, expected[path].T, RATE, subtype=subtype)
    assert sorted(tmp_path.iterdir()) == sorted(expected)
    (tmp_path / "decoded").mkdir()
    for path, decoded in decode_all(list(expected), tmp_path / "decoded").items():
        subtype, audio = path.name.split("-")[0], expected[path]
        assert decoded.size == audio.size, path.name
        audio = audio.astype(np.float32) if subtype == "FLOAT" else audio
        error = np.abs(decoded.reshape(audio.shape) - audio)
        assert (error <= largest_error(subtype, audio)).all(), path.name
        read, rate = read_audio(path, mono=False)
        assert rate == RATE
        np.testing.assert_array_equal(read, decoded.reshape(audio.shape).T.astype(np.float32), err_msg=path.name)


@pytest.mark.parametrize(("ending", "subtype", "channels", "rate"), LOSSY)
def test_lossy_encodings_keep_length_level_and_order_of_channels(tmp_path, ending, subtype, channels, rate):
    for n_channels in channels:
        for n_samples in LENGTHS:
            path = tmp_path / f"{n_channels}-{n_samples}.{ending}"
            expected = tones(n_channels, n_samples, rate).T
            write_audio(path, expected.T, rate, subtype=subtype)
            decoded, decoded_rate = soundfile.read(path, always_2d=True)
            assert (decoded.shape, decoded_rate) == (expected.shape, rate), path.name
            assert read_audio(path, mono=False)[0].shape == expected.T.shape, path.name
            if n_samples == LENGTHS[-1]:
                gains = decoded.T @ expected / np.sum(expected**2, axis=0)
                np.testing.assert_allclose(gains, np.eye(n_channels), atol=0.08, err_msg=path.name)


@pytest.mark.parametrize(
    ("ending", "decode"),
    [
        ("mp3", [FFMPEG, "-v", "error", "-i", "FILE", "-f", "f64le", "-"]),
        ("opus", [FFMPEG, "-v", "error", "-i", "FILE", "-f", "f64le", "-"]),
        ("ogg", ["sox", "FILE", "-t", "f64", "-"]),
    ],
)
def test_other_decoders_read_lossy_files_of_the_same_length(tmp_path, ending, decode):
    if shutil.which(decode[0]) is None:
        pytest.skip(f"{decode[0]} is not installed")
    for n_samples in (1001, 9600):
        path = tmp_path / f"{n_samples}.{ending}"
        expected = tones(2, n_samples).T
        write_audio(path, expected.T, RATE)
        output = subprocess.run(
            [path if word == "FILE" else word for word in decode], check=True, stdout=subprocess.PIPE
        )
        decoded = np.frombuffer(output.stdout).reshape(-1, 2)
        assert len(decoded) == n_samples
        if n_samples == LENGTHS[-1]:
            gains = decoded.T @ expected / np.sum(expected**2, axis=0)
            np.testing.assert_allclose(gains, np.eye(2), atol=0.08)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_U8"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_samples_that_were_read_are_written_unchanged(tmp_path, subtype, dtype):
    bits = {"PCM_U8": 8}.get(subtype) or int(subtype[4:])
    steps = np.unique(np.linspace(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1, 4001).round())
    write_audio(tmp_path / "a.wav", (steps / 2 ** (bits - 1)).astype(dtype), RATE, subtype=subtype)
    read, _ = soundfile.read(tmp_path / "a.wav", dtype="float64")
    np.testing.assert_array_equal(read * 2 ** (bits - 1), steps)


def test_full_scale_is_the_highest_step(tmp_path):
    write_audio(tmp_path / "a.wav", np.array([1.0, -1.0, 0.0]), RATE)
    assert soundfile.read(tmp_path / "a.wav", dtype="int16")[0].tolist() == [32767, -32768, 0]


@pytest.mark.parametrize("n_samples", [1, 4001])
@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_U8", "ULAW", "ALAW"])
def test_the_byte_that_pads_an_aiff_file_is_not_audio(tmp_path, subtype, n_samples):
    path = tmp_path / "a.aiff"
    write_audio(path, np.full(n_samples, 0.5), RATE, subtype=subtype)
    content = path.read_bytes()
    common, sound = content.index(b"COMM"), content.index(b"SSND")
    assert int.from_bytes(content[common + 10 : common + 14], "big") == n_samples
    assert int.from_bytes(content[sound + 4 : sound + 8], "big") == 8 + n_samples
    assert len(content) == sound + 16 + n_samples + 1
    assert int.from_bytes(content[4:8], "big") == len(content) - 8


@pytest.mark.parametrize(
    ("name", "shape", "rate", "subtype", "message"),
    [
        ("a.ogg", (1,), 200_001, None, "at most 200000 Hz in OGG files, got 200001 Hz; resample it"),
        ("a.ogg", (1,), 10_000_000, None, "at most 200000 Hz"),
        ("a.ogg", (256, 300), 8000, None, "at most 255 channels, got 256"),
        ("a.opus", (1,), 44100, None, "8000, 12000, 16000, 24000, 48000 Hz, got 44100 Hz"),
        ("a.ogg", (1,), 96000, "OPUS", "got 96000 Hz"),
        ("a.mp3", (1,), 96000, None, "32000, 44100, 48000 Hz, got 96000 Hz"),
        ("a.mp3", (3, 8), 44100, None, "at most 2 channels, got 3"),
        ("a.flac", (9, 8), 44100, None, "at most 8 channels, got 9"),
        ("a.flac", (1,), 655_360, None, "at most 655350 Hz"),
        ("a.flac", (1,), 65_537, None, "does not support 1 channels at 65537 Hz"),
        ("a.opus", (6, 8), 48000, None, "only the lowest frequencies of the last of 6 channels"),
        ("a.ogg", (8, 8), 48000, "OPUS", "only the lowest frequencies of the last of 8 channels"),
        ("a.ogg", (6, 8), 44100, None, "only the lowest frequencies of the last of 6 channels"),
        ("a.wav", (1,), 8000, "GSM610", "must be one of PCM_16, .*, got 'GSM610'"),
        ("a.wav", (1,), 8000, "IMA_ADPCM", "must be one of"),
        ("a.aiff", (1,), 8000, "DWVW_12", "must be one of"),
        ("a.mp3", (1,), 44100, "MPEG_LAYER_II", "must be one of MPEG_LAYER_III"),
        ("a.opus", (1,), 48000, "VORBIS", "must be one of OPUS"),
        ("a.wav", (1,), 8000, 16, "must be one of PCM_16, .*, got 16"),
        ("a.wav", (1025, 1100), 8000, None, "at most 1024 channels, got 1025"),
    ],
)
def test_an_encoding_that_would_lose_audio_or_crash_is_refused(tmp_path, name, shape, rate, subtype, message):
    with pytest.raises(ValueError, match=message):
        write_audio(tmp_path / name, np.zeros(shape), rate, subtype=subtype)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.wav", "a.aiff"])
def test_audio_beyond_4_gib_is_refused(tmp_path, name):
    audio = np.broadcast_to(np.float64(0), (1024, 1 << 20))  # one value in memory
    with pytest.raises(ValueError, match="exceed the 4 GiB of a .* file; write a .rf64, .w64 or .flac file"):
        write_audio(tmp_path / name, audio, 48000, subtype="DOUBLE")


def test_a_value_that_float_cannot_store_is_refused(tmp_path):
    with pytest.raises(ValueError, match="got a peak of 1e\\+39"):
        write_audio(tmp_path / "a.wav", np.array([0.0, 1e39]), RATE, subtype="FLOAT")


SMALL_STACK = """
import sys, threading
import numpy as np
from artifex.generative_models.modalities.audio.io import write_audio

audio = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 48000))
for ending in sys.argv[2:]:
    threading.stack_size(128 * 1024)
    thread = threading.Thread(target=write_audio, args=(f"{sys.argv[1]}/a.{ending}", audio, 48000))
    thread.start()
    thread.join()
"""


def test_threads_with_a_small_stack_write_every_format(tmp_path):
    endings = ["ogg", "opus", "mp3", "flac", "wav", "aiff"]
    subprocess.run([sys.executable, "-c", SMALL_STACK, tmp_path, *endings], check=True)
    assert {soundfile.info(tmp_path / f"a.{ending}").frames for ending in endings} == {48000}


@pytest.mark.parametrize(
    ("rate", "seconds", "stack"),  # stack of the main thread in KiB
    [
        (44100, 8, 1024),
        pytest.param(44100, 60, 8192, marks=pytest.mark.thorough),
        pytest.param(200_000, 12, 8192, marks=pytest.mark.thorough),
    ],
)
def test_long_vorbis_files_do_not_crash_the_process(tmp_path, rate, seconds, stack):
    script = (
        "import sys, numpy as np\n"
        "from artifex.generative_models.modalities.audio.io import write_audio\n"
        f"write_audio(sys.argv[1], np.random.default_rng(0).uniform(-0.5, 0.5, {rate * seconds}), {rate})\n"
    )
    with_stack = ["sh", "-c", f'ulimit -s {stack} && exec "$@"', "sh"]
    subprocess.run([*with_stack, sys.executable, "-c", script, tmp_path / "a.ogg"], check=True)
    assert soundfile.info(tmp_path / "a.ogg").frames == rate * seconds


@pytest.mark.parametrize("ending", ["wav", "rf64", "w64", "aiff", "flac", "ogg", "opus", "mp3"])
@pytest.mark.parametrize("n_samples", [4000, 300_000])
def test_a_full_disk_is_an_error_of_its_own_and_leaves_the_old_file(tmp_path, full_disk, capfd, ending, n_samples):
    path = tmp_path / f"a.{ending}"
    path.write_bytes(b"old")
    audio = np.random.default_rng(0).uniform(-0.5, 0.5, (2, n_samples))
    with pytest.raises(DiskFullError, match=f"a.{ending} cannot be written: File too large; free space"):
        write_audio(path, audio, RATE)
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [(path.name, b"old")]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("call", ["write", "seek"])
def test_every_other_error_of_the_system_is_reported_as_it_is(tmp_path, monkeypatch, call):
    class Failing:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            self.file.__enter__()
            return self

        def __exit__(self, *details):
            return self.file.__exit__(*details)

        def __getattr__(self, name):
            if name == call:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return getattr(self.file, name)

    opened = builtins.open
    monkeypatch.setattr(builtins, "open", lambda *arguments, **options: Failing(opened(*arguments, **options)))
    with pytest.raises(OSError, match="Input/output error") as raised:
        write_audio(tmp_path / "a.wav", np.zeros(1000), RATE)
    monkeypatch.undo()
    assert raised.value.errno == errno.EIO
    assert list(tmp_path.iterdir()) == []
