import contextlib
import errno
import io
import math
import os
import pickle
import re
import struct
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from artifex.generative_models.core import MissingDependencyError, registry
from artifex.generative_models.core.components.registries import temporary_registrations
from artifex.generative_models.modalities.audio.io import (
    AudioReadError,
    Samples,
    UnsupportedAudioError,
    decode,
    find_audio,
    libsndfile,
    probe,
    read_audio,
    read_blocks,
    reader_extensions,
    write_audio,
)
from artifex.generative_models.modalities.audio.io.libsndfile import SoundfileReader
from artifex.generative_models.modalities.audio.io.sources import ArrayRecording

RATE = 16000
LOSSLESS = ("wav", "flac", "aiff")
LOSSY = ("ogg", "opus", "mp3")


def tone(frequency: float, seconds: float, rate: int = RATE, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.8, 0.8, RATE)


def damaged(path: Path, position: int, layout: str, value: int) -> Path:
    content = bytearray(path.read_bytes())
    struct.pack_into(layout, content, position, value)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("ending", LOSSLESS)
def test_lossless_formats_round_trip_to_16_bits(tmp_path, noise, ending):
    path = tmp_path / f"noise.{ending}"
    write_audio(path, noise, RATE)
    audio, rate = read_audio(path)
    assert rate == RATE
    assert audio.dtype == np.float32
    np.testing.assert_allclose(audio, noise, atol=1 / 32768)


@pytest.mark.parametrize("ending", LOSSY)
def test_lossy_formats_round_trip_approximately(tmp_path, ending):
    path = tmp_path / f"tone.{ending}"
    sound = tone(440, 1.0)
    write_audio(path, sound, RATE)
    audio, rate = read_audio(path, sample_rate=RATE)
    assert (rate, audio.shape) == (RATE, (RATE,))
    middle = slice(2000, 14000)
    assert np.corrcoef(audio[middle], sound[middle])[0, 1] > 0.99


@pytest.mark.parametrize(("subtype", "step"), [("PCM_U8", 1 / 128), ("PCM_24", 2**-23), ("FLOAT", 1e-7)])
def test_integer_formats_are_scaled_by_their_range(tmp_path, subtype, step):
    path = tmp_path / "levels.wav"
    levels = np.array([-1.0, -0.5, 0.0, 0.25, 0.75])
    soundfile.write(path, levels, RATE, subtype=subtype)
    np.testing.assert_allclose(read_audio(path)[0], levels, atol=step)


@pytest.mark.parametrize("ending", [*LOSSLESS, *LOSSY])
def test_a_span_equals_that_slice_of_the_file(tmp_path, noise, ending):
    path = tmp_path / f"noise.{ending}"
    write_audio(path, noise, RATE)
    whole, rate = read_audio(path)
    part, _ = read_audio(path, offset=0.25, duration=0.5)
    start = rate // 4
    np.testing.assert_allclose(part, whole[start : start + rate // 2], atol=1e-4)


def test_a_span_beyond_the_end_is_shortened(tmp_path):
    path = tmp_path / "tone.wav"
    write_audio(path, tone(440, 0.5), RATE)
    assert read_audio(path, offset=0.4, duration=9.0)[0].shape == (1600,)
    with pytest.raises(AudioReadError, match=re.escape("offset must be below the duration of 0.5 s, got 0.5 s")):
        read_audio(path, offset=0.5)


def test_channels_are_averaged_or_kept(tmp_path):
    path = tmp_path / "stereo.wav"
    left, right = np.full(100, 0.5), np.full(100, -0.25)
    write_audio(path, np.stack([left, right]), RATE)
    np.testing.assert_allclose(read_audio(path)[0], 0.125, atol=1e-4)
    kept = read_audio(path, mono=False)[0]
    assert kept.flags.c_contiguous
    np.testing.assert_allclose(kept, [left, right], atol=1e-4)
    assert probe(path).n_channels == 2


def test_mono_files_have_one_channel_when_channels_are_kept(tmp_path):
    write_audio(tmp_path / "mono.wav", np.zeros(10), RATE)
    assert read_audio(tmp_path / "mono.wav", mono=False)[0].shape == (1, 10)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_resampling_gives_the_tone_sampled_at_the_other_rate(tmp_path, rate):
    path = tmp_path / "tone.wav"
    write_audio(path, tone(1000, 0.5, rate), rate, subtype="FLOAT")
    audio, given = read_audio(path, sample_rate=RATE)
    n_samples = round(0.5 * rate)
    assert (given, len(audio)) == (RATE, -(-n_samples * RATE // rate))
    inner = slice(1000, 7000)
    np.testing.assert_allclose(audio[inner], tone(1000, 0.5)[inner], atol=2e-5)


@pytest.mark.parametrize("n_samples", [1, 2, 3, 441, 8003])
def test_resampling_gives_the_length_rounded_up(tmp_path, n_samples):
    path = tmp_path / "short.wav"
    write_audio(path, np.full(n_samples, 0.5), 44100)
    assert read_audio(path, sample_rate=16000)[0].shape == (-(-n_samples * 16000 // 44100),)


def test_resampling_does_not_alias(tmp_path):
    path = tmp_path / "high.wav"
    write_audio(path, tone(7000, 1.0), RATE, subtype="FLOAT")
    audio, _ = read_audio(path, sample_rate=8000)
    assert 20 * np.log10(np.abs(audio[1000:-1000]).max() / 0.5) < -90


def test_probe_returns_the_header(tmp_path):
    path = tmp_path / "tone.flac"
    write_audio(path, tone(440, 0.25, 44100), 44100)
    info = probe(str(path))
    assert (info.path, info.sample_rate, info.n_channels, info.n_samples) == (path, 44100, 1, 11025)
    assert (info.duration, info.format, info.subtype) == (0.25, "FLAC", "PCM_16")


def missing(folder: Path) -> Path:
    return folder / "missing.wav"


def a_folder(folder: Path) -> Path:
    return folder


def empty(folder: Path) -> Path:
    (folder / "empty.wav").touch()
    return folder / "empty.wav"


def text(folder: Path) -> Path:
    (folder / "text.wav").write_text("not audio at all\n" * 20)
    return folder / "text.wav"


def no_samples(folder: Path) -> Path:
    soundfile.write(folder / "header.wav", np.zeros(0), RATE)
    return folder / "header.wav"


def not_finite(folder: Path) -> Path:
    soundfile.write(folder / "nan.wav", np.array([0.0, np.nan, np.inf]), RATE, subtype="FLOAT")
    return folder / "nan.wav"


def loud_vorbis(folder: Path) -> Path:
    soundfile.write(folder / "loud.ogg", tone(440, 0.5, amplitude=17.0), RATE)
    return folder / "loud.ogg"


def no_channels(folder: Path) -> Path:
    soundfile.write(folder / "channels.wav", np.zeros(10), RATE)
    return damaged(folder / "channels.wav", 22, "<H", 0)


def flac_that_declares_more(folder: Path) -> Path:
    soundfile.write(folder / "more.flac", np.zeros(10_000), RATE)
    return damaged(folder / "more.flac", 22, ">I", 2_000_000_000)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (missing, "no such file"),
        (a_folder, "is a folder"),
        (empty, "the file is empty (0 bytes)"),
        (text, "is not audio that can be decoded (format not"),
        (no_samples, "the header declares 0 samples"),
        (not_finite, "contains 2 samples that are NaN or infinite"),
        (loud_vorbis, "(full scale is 1): it is damaged"),
        (no_channels, "channel count is zero"),
        (
            flac_that_declares_more,
            "truncated or its header is wrong: it declares 2000000000 samples, the last frame ends at sample 10000",
        ),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_an_unreadable_file_is_named_with_the_reason(tmp_path, make, reason):
    path = make(tmp_path)
    with pytest.raises(AudioReadError, match=re.escape(reason)) as raised:
        read_audio(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert raised.value.path == str(path)


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.97])
@pytest.mark.parametrize(
    "form",
    [
        ("WAV", "PCM_16"),
        ("WAV", "FLOAT"),
        ("RF64", "PCM_16"),
        ("W64", "PCM_16"),
        ("AIFF", "PCM_16"),
        ("AU", "PCM_16"),
        ("FLAC", "PCM_16"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", "MPEG_LAYER_III"),
    ],
    ids="-".join,
)
def test_a_truncated_file_raises(tmp_path, noise, form, kept):
    path = tmp_path / "whole"
    soundfile.write(path, np.tile(noise, 2), RATE, format=form[0], subtype=form[1])
    assert len(read_audio(path)[0]) == 2 * RATE * probe(path).sample_rate // RATE
    content = path.read_bytes()
    cut = tmp_path / "cut"
    cut.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(AudioReadError, match=r"truncated|not audio that can be decoded"):
        read_audio(cut)


def test_a_truncated_wav_raises_even_if_the_span_is_complete(tmp_path, noise):
    path = tmp_path / "cut.wav"
    write_audio(path, noise, RATE)
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(AudioReadError, match="the header declares 32000 bytes of audio, the file contains 31998"):
        read_audio(path, duration=0.1)


def test_a_wav_without_a_declared_length_is_read(tmp_path, noise):
    path = tmp_path / "piped.wav"
    write_audio(path, noise, RATE)
    damaged(path, 40, "<I", 0xFFFFFFFF)
    assert len(read_audio(path)[0]) == RATE


def test_an_implausible_sample_rate_raises(tmp_path, noise):
    path = tmp_path / "slow.wav"
    write_audio(path, noise, RATE)
    damaged(path, 24, "<I", 1)
    with pytest.raises(AudioReadError, match="implausible sample rate in the header: 1 Hz"):
        read_audio(path, sample_rate=RATE)


def test_floating_point_files_may_exceed_full_scale(tmp_path):
    path = tmp_path / "pressure.wav"
    write_audio(path, np.array([0.0, 17.0]), RATE, subtype="FLOAT")
    assert read_audio(path)[0].max() == 17.0


@pytest.mark.parametrize("options", [{}, {"sample_rate": 8000}, {"mono": False}])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_floating_point_files_beyond_the_bound_raise(tmp_path, monkeypatch, subtype, options):
    path = tmp_path / "flipped.wav"
    soundfile.write(path, np.array([[0.0, 0.25], [-3e37, 0.5]]), RATE, subtype=subtype)
    with pytest.raises(AudioReadError, match="samples of magnitude 3e\\+37 .*100 is accepted.*ARTIFEX_MAX_PEAK"):
        read_audio(path, **options)
    monkeypatch.setenv("ARTIFEX_MAX_PEAK", "inf")
    assert np.isfinite(read_audio(path, mono=False)[0]).all()
    monkeypatch.setenv("ARTIFEX_MAX_PEAK", "much")
    with pytest.raises(ValueError, match="ARTIFEX_MAX_PEAK must be a positive number"):
        read_audio(path)


def test_mp3_with_tags_in_front_is_read(tmp_path):
    path = tmp_path / "tagged.mp3"
    write_audio(path, tone(440, 0.5), RATE)
    size = 3000
    tag = b"ID3\x04\x00\x00" + bytes([0, 0, size >> 7, size & 0x7F]) + bytes(size)
    path.write_bytes(tag + path.read_bytes())
    assert len(read_audio(path)[0]) == 8000


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"sample_rate": 0}, ValueError),
        ({"sample_rate": 16000.0}, TypeError),
        ({"offset": -1.0}, ValueError),
        ({"duration": 0.0}, ValueError),
        ({"mono": 1}, TypeError),
    ],
)
def test_options_out_of_range_are_errors(tmp_path, options, error):
    path = tmp_path / "tone.wav"
    write_audio(path, tone(440, 0.1), RATE)
    with pytest.raises(error, match=next(iter(options))):
        read_audio(path, **options)


@pytest.mark.parametrize(("module", "options"), [("soundfile", {}), ("soxr", {"sample_rate": 8000})])
def test_without_the_extra_the_error_names_it(tmp_path, monkeypatch, module, options):
    path = tmp_path / "tone.wav"
    write_audio(path, tone(440, 0.1), RATE)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=re.escape("pip install 'artifex-audio[files]'")):
        read_audio(path, **options)


def test_the_error_can_be_pickled():
    error = pickle.loads(pickle.dumps(AudioReadError("a.wav", "the file is empty")))
    assert (str(error), error.path, error.reason) == (
        "a.wav: the file is empty",
        "a.wav",
        "the file is empty",
    )


@pytest.mark.parametrize(
    ("audio", "error", "message"),
    [
        (np.array([0.0, np.nan]), ValueError, "1 samples that are NaN or infinite"),
        (np.array([0.0, np.inf]), ValueError, "1 samples that are NaN or infinite"),
        (np.array([0.0, -1.5]), ValueError, "peak of 1.5"),
        (np.zeros(0), ValueError, "not empty"),
        (np.zeros((1, 2, 3)), ValueError, r"\(1, 2, 3\)"),
        (np.zeros(4, np.int16), TypeError, "int16"),
    ],
)
def test_invalid_audio_raises_and_the_existing_file_is_kept(tmp_path, audio, error, message):
    path = tmp_path / "kept.wav"
    write_audio(path, np.full(8, 0.5), RATE)
    before = path.read_bytes()
    with pytest.raises(error, match=message):
        write_audio(path, audio, RATE)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["kept.wav"]


@pytest.mark.parametrize(
    ("name", "rate", "options"),
    [("a.txt", RATE, {}), ("a.wav", RATE, {"subtype": "VORBIS"}), ("a.opus", 44100, {}), ("a.wav", 0, {})],
)
def test_an_unsupported_format_raises_and_writes_nothing(tmp_path, name, rate, options):
    with pytest.raises(ValueError, match=r"end in|subtype|Hz"):
        write_audio(tmp_path / name, np.zeros(8), rate, **options)
    assert os.listdir(tmp_path) == []


def test_clip_true_clips_to_full_scale(tmp_path):
    path = tmp_path / "clipped.wav"
    write_audio(path, np.array([-3.0, 0.5, 2.0]), RATE, clip=True)
    np.testing.assert_allclose(read_audio(path)[0], [-1.0, 0.5, 1.0], atol=1 / 32767)


def test_an_interrupted_write_keeps_the_existing_file(tmp_path, monkeypatch):
    path = tmp_path / "kept.wav"
    write_audio(path, np.full(8, 0.5), RATE)
    before = path.read_bytes()

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(soundfile.SoundFile, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_audio(path, np.zeros(8), RATE)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["kept.wav"]


def test_folders_are_searched_recursively(tmp_path):
    for name in ("b/2.WAV", "b/1.flac", "a.mp3", ".hidden.wav", ".git/x.wav", "notes.txt", "b/._1.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in find_audio(tmp_path)]
    assert found == ["a.mp3", "b/1.flac", "b/2.WAV"]


def test_a_file_given_twice_is_found_once_whatever_its_suffix(tmp_path):
    for name in ("a.wav", "take.dat"):
        (tmp_path / name).touch()
    assert find_audio([tmp_path / "take.dat", tmp_path, tmp_path / "a.wav"]) == [
        tmp_path / "take.dat",
        tmp_path / "a.wav",
    ]


def test_paths_without_audio_are_errors(tmp_path):
    with pytest.raises(ValueError, match=f"{tmp_path}: no audio files in this folder"):
        find_audio(tmp_path)
    with pytest.raises(FileNotFoundError, match="gone: no such file or folder"):
        find_audio([tmp_path / "gone"])
    with pytest.raises(ValueError, match="give a file, a folder"):
        find_audio([])


def test_a_missing_folder_raises(tmp_path):
    with pytest.raises(FileNotFoundError, match="the folder .*nowhere does not exist; create it first"):
        write_audio(tmp_path / "nowhere" / "x.flac", np.zeros(10), 8000)


@pytest.mark.parametrize("n_samples", [1, 400, 360_000])
@pytest.mark.parametrize("n_channels", [1, 2, 3])
@pytest.mark.parametrize("rate", [RATE, 8000])
@pytest.mark.parametrize("mono", [True, False])
def test_reading_does_not_overwrite_earlier_results(tmp_path, n_samples, n_channels, rate, mono):
    levels = np.arange(1, n_channels + 1)[:, None] / 8
    for number, sign in enumerate((1, -1)):
        soundfile.write(tmp_path / f"{number}.wav", sign * np.repeat(levels, n_samples, axis=1).T, RATE)
    first, _ = read_audio(tmp_path / "0.wav", sample_rate=rate, mono=mono)
    before = first.copy()
    second, _ = read_audio(tmp_path / "1.wav", sample_rate=rate, mono=mono)
    np.testing.assert_array_equal(first, before)
    np.testing.assert_allclose(second, -first, atol=1e-6)
    if rate == RATE:
        np.testing.assert_allclose(first, np.broadcast_to(levels.mean() if mono else levels, first.shape), atol=1e-6)


@pytest.mark.parametrize("ending", [*LOSSLESS, *LOSSY])
def test_bytes_are_read_like_files(tmp_path, noise, ending):
    path = tmp_path / f"noise.{ending}"
    write_audio(path, noise, RATE)
    content = path.read_bytes()
    assert probe(content).n_samples == probe(path).n_samples

    def span(info):
        return 3000, 5000

    np.testing.assert_array_equal(decode(content, span)[0], decode(path, span)[0])
    with pytest.raises(AudioReadError, match=r"example 7: (is truncated|is not audio|.*damaged or truncated)"):
        decode(content[: len(content) // 2], lambda info: (0, info.n_samples), name="example 7")


@pytest.mark.parametrize("size", [1000, 1 << 16])
@pytest.mark.parametrize("ending", [*LOSSLESS, *LOSSY])
def test_concatenated_blocks_equal_the_recording(tmp_path, noise, ending, size):
    path = tmp_path / f"noise.{ending}"
    write_audio(path, noise, RATE)
    expected, _ = read_audio(path)
    pieces = [piece for _, piece in read_blocks(path, size=size)]
    assert max(map(len, pieces)) <= size
    # An MP3 decoder rounds differently after a seek, far below 16-bit resolution.
    np.testing.assert_allclose(np.concatenate(pieces)[:, 0], expected, rtol=0, atol=4e-6 if ending == "mp3" else 0)
    part = [piece for _, piece in read_blocks(path, lambda info: (2000, 5000), size=size)]
    np.testing.assert_allclose(np.concatenate(part)[:, 0], expected[2000:7000], atol=1e-4)


@pytest.mark.parametrize(
    ("array", "levels"),
    [
        (np.array([-32768, 0, 16384], np.int16), [-1.0, 0.0, 0.5]),
        (np.array([-(2**31), 0, 2**30], np.int32), [-1.0, 0.0, 0.5]),
        (np.array([0, 128, 192], np.uint8), [-1.0, 0.0, 0.5]),
        (np.array([-17.0, 0.0, 2.5]), [-17.0, 0.0, 2.5]),
        (np.array([-0.5, 0.0, 1.5], np.float16), [-0.5, 0.0, 1.5]),
    ],
    ids=lambda value: str(getattr(value, "dtype", "")),
)
def test_integer_arrays_are_scaled_by_their_range(array, levels):
    audio, info = decode(Samples(array, RATE), lambda info: (0, info.n_samples))
    assert (audio.dtype, info.n_samples) == (np.float32, 3)
    np.testing.assert_array_equal(audio, np.float32(levels))


def test_a_flac_longer_than_its_header_is_read_completely(tmp_path):
    for number, (rate, n_channels, subtype) in enumerate(
        [(8000, 1, "PCM_16"), (44100, 2, "PCM_16"), (12345, 1, "PCM_24"), (96000, 2, "PCM_24")]
    ):
        sound = np.random.default_rng(number).uniform(-1, 1, (150_000 + 999 * number, n_channels))
        path = tmp_path / f"{number}.flac"
        soundfile.write(path, sound, rate, subtype=subtype)
        assert probe(path).n_samples == len(sound)
        damaged(path, 22, ">I", len(sound) // 2)
        assert probe(path).n_samples == len(sound)
        np.testing.assert_allclose(read_audio(path, mono=False)[0].T, sound, atol=2**-15)


@pytest.mark.parametrize("declared", [8000, 8001, 8002, 8003, 31000])
def test_a_wav_longer_than_its_header_is_read_if_the_size_of_the_file_is_right(tmp_path, noise, declared):
    path = tmp_path / "less.wav"
    write_audio(path, noise, RATE)
    damaged(path, 40, "<I", declared)
    np.testing.assert_allclose(read_audio(path)[0], noise, atol=2**-15)
    damaged(path, 4, "<I", declared + 36)
    if declared < 31000 and not declared % 2:
        with pytest.raises(AudioReadError, match=rf"declares {declared} bytes of audio, but \d+ more bytes follow"):
            probe(path)


@pytest.mark.parametrize("n_samples", [4000, 4001, 4002, 4003])
@pytest.mark.parametrize(
    "more",
    [
        bytes([1, 2, 3, 254]) * 10,
        bytes(5000),
        b"\xff" * 5000,
        b"ID3\x04\x00\x00\x00\x00\x20\x00" + bytes(range(256)) * 20,
        b"TAG" + b"\x07" * 400,
        b"<?xml version='1.0'?>" + b"<take>1</take>" * 100,
        b"LIST" + struct.pack("<I", 5000) + b"INFO" + bytes(4996),
        b"id3 " + struct.pack("<I", 5120) + bytes(range(256)) * 20,
    ],
    ids=["few", "zeros", "ones", "id3", "tag", "xml", "list chunk", "id3 chunk"],
)
def test_padding_and_tags_after_the_audio_are_accepted(tmp_path, more, n_samples):
    path = tmp_path / "tagged.wav"
    soundfile.write(path, np.full(n_samples, 0.5), RATE, subtype="PCM_U8")
    path.write_bytes(path.read_bytes() + more)
    assert len(read_audio(path)[0]) == n_samples


def test_no_file_stays_open(tmp_path):
    (tmp_path / "text.wav").write_text("no audio at all")
    write_audio(tmp_path / "a.wav", np.zeros(8), RATE)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        read_audio(tmp_path / "a.wav")
        with pytest.raises(AudioReadError):
            read_audio(tmp_path / "text.wav")
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.wav", ["a.wav"]),
        ("**/*.wav", ["a.wav", "b/1.wav", "b/c/2.wav"]),
        ("b*", ["b/1.wav", "b/c/2.wav"]),
        ("*", ["a.wav", "b/1.wav", "b/c/2.wav"]),
        ("b/[12].wav", ["b/1.wav"]),
        ("x[1].wav", ["x[1].wav"]),
    ],
)
def test_patterns_find_files_and_folders(tmp_path, pattern, expected):
    for name in ("a.wav", "notes.txt", "b/1.wav", "b/c/2.wav", "x[1].wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    if "x[1].wav" not in expected:
        (tmp_path / "x[1].wav").unlink()
    found = [path.relative_to(tmp_path).as_posix() for path in find_audio(f"{tmp_path}/{pattern}")]
    assert found == expected


@pytest.mark.parametrize(
    ("pattern", "what"), [("*.flac", "matches nothing"), ("*.txt", "matches 1 paths, but no audio")]
)
def test_patterns_that_find_no_audio_are_errors(tmp_path, pattern, what):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileNotFoundError, match=f"this pattern {what}"):
        find_audio(tmp_path / pattern)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((4000, 2), np.float32), "transpose"),
        (np.zeros(40, np.int64), "full scale is ambiguous"),
    ],
)
def test_ambiguous_arrays_raise(samples, message):
    with pytest.raises(AudioReadError, match=message):
        decode(Samples(samples, 8000), lambda info: (0, info.n_samples))


@pytest.mark.parametrize(("rate", "n_samples"), [(8000, 24123), (16000, 5000), (44100, 53000)])
def test_vorbis_spans_equal_that_slice_up_to_the_end(rate, n_samples):
    rng = np.random.default_rng(0)
    sound = np.convolve(rng.uniform(-1, 1, n_samples), np.ones(20) / 20, "same")
    buffer = io.BytesIO()
    soundfile.write(buffer, sound, rate, format="OGG", subtype="VORBIS")
    content = buffer.getvalue()
    whole, _ = decode(content, lambda info: (0, info.n_samples))
    for start in [
        *range(1, n_samples, n_samples // 25),
        *range(max(1, n_samples - 6000), n_samples, 211),
        n_samples - 1,
    ]:
        part, _ = decode(content, lambda info, start=start: (start, min(400, info.n_samples - start)))
        np.testing.assert_allclose(part, whole[start : start + 400], atol=1e-5)
    pieces = [piece[:, 0] for _, piece in read_blocks(content, lambda info: (n_samples - 3000, 3000), size=700)]
    np.testing.assert_allclose(np.concatenate(pieces), whole[-3000:], atol=1e-5)


@pytest.mark.parametrize(
    ("rate", "target"),
    [(8000, 16000), (22050, 16000), (44100, 16000), (48000, 16000), (192000, 8000), (8000, 44100), (48000, 44100)],
)
def test_a_resampled_span_equals_that_slice_of_the_resampled_recording(rate, target):
    noise = np.random.default_rng(0).uniform(-0.8, 0.8, (2, rate)).astype(np.float32)
    recording = Samples(noise, rate)
    whole, _ = decode(recording, lambda info: (0, rate), sample_rate=target, mono=False)
    period = rate // math.gcd(rate, target)
    count = rate // 4
    for start in (0, period, rate // 2 // period * period, (rate - count) // period * period):
        part, _ = decode(recording, lambda info, start=start: (start, count), sample_rate=target, mono=False)
        assert part.shape == (2, -(-count * target // rate))
        begin = start * target // rate
        np.testing.assert_allclose(part, whole[:, begin : begin + part.shape[1]], atol=1e-5)


@pytest.mark.parametrize("start", [1, 77, 3001])
def test_a_resampled_span_starts_on_its_first_sample(start):
    rate, target, count = 44100, 16000, 4410
    recording = Samples(tone(440, 0.5, rate), rate)
    part, _ = decode(recording, lambda info: (start, count), sample_rate=target)
    expected = 0.5 * np.sin(2 * np.pi * 440 * (start / rate + np.arange(len(part)) / target))
    # The filter sees zeros before the recording: the tone fades in at its start.
    settled = slice(40 if start < 500 else 0, None)
    np.testing.assert_allclose(part[settled], expected[settled], atol=2e-3 if start < 500 else 1e-4)


@pytest.mark.parametrize(("number", "transient"), [(errno.EMFILE, True), (errno.EIO, True), (errno.EACCES, False)])
@pytest.mark.parametrize("when", ["opened", "read"])
def test_system_errors_are_transient(tmp_path, monkeypatch, number, transient, when):
    class Away(io.BytesIO):
        def read(self, *args):
            raise OSError(number, os.strerror(number))

    def opening(*args, **kwargs):
        if when == "opened":
            raise OSError(number, os.strerror(number))
        return Away(b"RIFF")

    (tmp_path / "a.wav").touch()
    monkeypatch.setattr("builtins.open", opening)
    with pytest.raises(AudioReadError, match=f"cannot be {when}: {os.strerror(number)}") as caught:
        probe(tmp_path / "a.wav")
    assert caught.value.transient is transient
    assert pickle.loads(pickle.dumps(caught.value)).transient is transient


class TakesReader:
    """A reader of raw bytes, one per sample, after the magic bytes TAKE."""

    extensions = (".take",)
    magic = ((0, b"TAKE"),)

    @contextlib.contextmanager
    def open(self, stream, name):
        content = stream.read()
        if content[:4] != b"TAKE":
            raise UnsupportedAudioError(name, "does not begin with TAKE")
        yield ArrayRecording(Samples(np.frombuffer(content[4:], np.int8), RATE), name)


@pytest.fixture
def takes():
    with temporary_registrations():
        registry("reader").register("takes", TakesReader)
        yield


@pytest.mark.usefixtures("takes")
@pytest.mark.parametrize("name", ["a.take", "a.dat", "a.wav"])
def test_a_registered_reader_reads_its_files_by_magic(tmp_path, name):
    (tmp_path / name).write_bytes(b"TAKE" + bytes([0, 64, 192]))
    np.testing.assert_array_equal(read_audio(tmp_path / name)[0], [0.0, 0.5, -0.5])
    assert ".take" in reader_extensions()


@pytest.mark.usefixtures("takes")
def test_a_wav_under_the_extension_of_a_plugin_is_still_a_wav(tmp_path, noise):
    write_audio(tmp_path / "a.wav", noise, RATE)
    (tmp_path / "a.wav").rename(tmp_path / "a.take")
    assert probe(tmp_path / "a.take").format == "WAV"


@pytest.mark.usefixtures("takes")
def test_the_error_of_an_unsupported_file_is_that_of_the_first_reader(tmp_path):
    (tmp_path / "a.take").write_bytes(b"another format")
    with pytest.raises(AudioReadError, match="does not begin with TAKE"):
        probe(tmp_path / "a.take")


def test_a_registered_reader_replaces_the_built_in_one(tmp_path, noise):
    class Refusing(SoundfileReader):
        def open(self, stream, name):
            raise AudioReadError(name, "refused")

    write_audio(tmp_path / "a.wav", noise, RATE)
    with temporary_registrations():
        registry("reader").register("soundfile", Refusing, replace=True)
        with pytest.raises(AudioReadError, match="refused"):
            probe(tmp_path / "a.wav")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_named_pipe_raises_at_once(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    with pytest.raises(AudioReadError, match="is a named pipe; expected a file"):
        probe(tmp_path / "a.wav")


@pytest.mark.parametrize("fault", ["system error", "short read", "no memory"])
@pytest.mark.parametrize("ending", ["wav", "flac", "ogg"])
def test_a_failure_of_the_decoder_that_does_not_recur_in_memory_is_not_one_of_the_file(
    tmp_path, monkeypatch, noise, ending, fault
):
    path = tmp_path / f"noise.{ending}"
    write_audio(path, noise, RATE)
    expected, _ = read_audio(path)
    original = soundfile.SoundFile.read
    failures = []

    def failing(self, frames=-1, *args, **kwargs):
        if not failures:
            failures.append(frames)
            if fault == "system error":
                raise soundfile.LibsndfileError(2)
            if fault == "no memory":
                raise MemoryError
            return original(self, frames // 2, *args, **kwargs)
        return original(self, frames, *args, **kwargs)

    monkeypatch.setattr(soundfile.SoundFile, "read", failing)
    if fault == "short read":
        np.testing.assert_array_equal(read_audio(path)[0], expected)
    else:
        with pytest.raises(AudioReadError) as caught:
            read_audio(path)
        assert caught.value.transient


def test_input_errors_while_a_file_is_measured_are_transient(tmp_path, monkeypatch, noise):
    write_audio(tmp_path / "a.flac", noise, RATE)

    def failing(*args):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "pread", failing)
    with pytest.raises(AudioReadError, match="cannot be read: Input/output error") as caught:
        read_audio(tmp_path / "a.flac")
    assert caught.value.transient


def test_a_file_is_measured_once_until_it_changes(tmp_path, monkeypatch, noise):
    path = tmp_path / "a.flac"
    write_audio(path, noise, RATE)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 60)
    measured = []
    original = libsndfile.find_flac
    monkeypatch.setattr(libsndfile, "find_flac", lambda *args: measured.append(args[0]) or original(*args))
    for _ in range(3):
        assert probe(path).n_samples == RATE
        assert len(read_audio(path, offset=0.5)[0]) == RATE // 2
    assert len(measured) == 1
    write_audio(path, noise[:5000], RATE)
    assert [probe(path).n_samples for _ in range(2)] == [5000, 5000]
    assert len(measured) == 2


def test_a_file_that_changes_is_measured_again(tmp_path, noise):
    path = tmp_path / "a.mp3"
    for n_samples in (4000, 16000):
        write_audio(path, noise[:n_samples], RATE)
        os.utime(path, (1e9, 1e9))  # the time of its content is that of the other file
        assert read_audio(path)[0].shape == (n_samples,)
        assert probe(path).n_samples == n_samples


def test_errors_of_invalid_files_are_not_transient(tmp_path):
    with pytest.raises(AudioReadError) as caught:
        probe(text(tmp_path))
    assert caught.value.transient is False


@pytest.mark.parametrize("source", [io.BytesIO(b"RIFF"), bytearray(b"RIFF"), np.zeros(100), 3, None])
def test_a_source_of_another_type_is_refused(source):
    with pytest.raises(TypeError, match=rf"the path of a file, its bytes, or Samples, got {type(source).__name__}"):
        read_audio(source)
