"""Every recording is read completely, or refused with a reason, however its container was written or damaged."""

import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.audio.audio_files import (
    APE_TAG,
    FFMPEG,
    FILES,
    ID3V1,
    N_SAMPLES,
    PIPED,
    RATE,
    by_ffmpeg,
    id3v2,
    missing_tool,
    run,
    samples,
)

from artifex.generative_models.modalities.audio.io import AudioReadError, decode, probe, read_audio

pytestmark = pytest.mark.skipif(FFMPEG is None, reason="needs ffmpeg (imageio-ffmpeg)")

LOSSLESS = {  # the source within half a step of the format
    **dict.fromkeys(("wav", "rifx", "rf64", "w64", "aiff", "au", "caf", "caf alac", "flac"), 2**-15),
    "ogg flac": 2**-15,
    "wav u8": 2**-7,
    "wav 24": 2**-15,
    "wav 32": 2**-15,
    "wav float": 2**-15,
    "aifc": 2**-15,
    "wav double": 2**-15,
    "wav sox": 2**-15,
    "aiff sox": 2**-15,
    "au sox": 2**-15,
}
RIFF = ("RIFF", "RIFX", "RF64")
OGG = ("vorbis", "opus", "ogg flac")
MPEG = tuple(name for name in FILES if name.startswith("mp"))


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Return a function from the name of a format to a file and the samples that it contains, made once."""
    folder = tmp_path_factory.mktemp("formats")
    source = folder / "source.wav"
    soundfile.write(source, samples(), RATE)
    cache = {}

    def make(name, *, piped=False):
        command = (PIPED if piped else FILES)[name]
        if missing_tool(command):
            pytest.skip(f"{missing_tool(command)} is not installed")
        if (name, piped) not in cache:
            content = run(command, source, folder)
            cache[name, piped] = content, expected(name, content, folder)
        return cache[name, piped]

    return make


def expected(name, content, folder):
    """Return the samples in a file: from the source for lossless formats, else from another decoder."""
    if name in LOSSLESS:
        return samples()[:, None]
    path, decoded = folder / "encoded", folder / "decoded.wav"
    path.write_bytes(content)
    if name == "vorbis":  # ffmpeg loses the last samples
        if missing_tool("oggdec"):
            pytest.skip("oggdec is not installed")
        subprocess.run(["oggdec", "-Q", "-o", decoded, path], check=True, capture_output=True)
        return soundfile.read(decoded, always_2d=True)[0]
    if name == "au g721":  # ffmpeg does not decode it like the others
        return np.pad(samples(), (0, 80))[:, None]
    return by_ffmpeg(path, {"mp3 stereo": 2, "wav 6 channels": 6}.get(name, 1), RATE if name == "opus" else None)


def tolerance(name):
    if name in LOSSLESS:
        return LOSSLESS[name]
    return {"opus": 0.05, "au g721": 0.35, "vorbis": 2**-15, "mp2": 1e-4}.get(name, 5e-6)


def read(content, name):
    audio, info = decode(
        content, lambda info: (0, info.n_samples), mono=False, name="x.mp3" if name in MPEG else "recording"
    )
    assert audio.shape == (info.n_channels, info.n_samples)
    return audio.T


def assert_reads(content, name, right):
    audio = read(content, name)
    assert audio.shape == right.shape
    np.testing.assert_allclose(audio, right, rtol=0, atol=tolerance(name))


@pytest.mark.parametrize("name", FILES)
def test_an_intact_file_is_read_completely(made, name):
    content, right = made(name)
    assert_reads(content, name, right)


@pytest.mark.parametrize("name", PIPED)
def test_a_file_written_to_a_pipe_is_read_completely(made, name):
    content, right = made(name, piped=True)
    assert_reads(content, name, right)


FRONT = {"id3v2": id3v2(1000), "id3v2, then zeros": id3v2(300) + bytes(1000), "zeros": bytes(700)}
BEHIND = {
    "id3v1": ID3V1,
    "id3v2": id3v2(2000),
    "ape": APE_TAG + b"APETAGEX" + struct.pack("<IIII", 2000, 32 + len(APE_TAG), 1, 0) + bytes(8),
    "zeros": bytes(5000),
    "text": b"<?xml version='1.0'?><take>" + b"1 2 3 " * 100,
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("front", FRONT)
def test_tags_and_zeros_in_front_are_skipped(made, name, front):
    content, right = made(name)
    assert_reads(FRONT[front] + content, name, right)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("behind", BEHIND)
def test_tags_zeros_and_text_behind_are_ignored(made, name, behind):
    content, right = made(name)
    assert_reads(content + BEHIND[behind], name, right)


JUNK = bytes(range(1, 254)) * 2


@pytest.mark.parametrize("name", FILES)
def test_junk_in_front_of_mp3_is_skipped_and_refused_elsewhere(made, name):
    content, right = made(name)
    if name in MPEG:
        assert_reads(JUNK + content, name, right)
    else:
        with pytest.raises(AudioReadError, match="is not audio that can be decoded|truncated|damaged"):
            read(JUNK + content, name)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("n_bytes", [40, 500])
def test_junk_behind_is_ignored_or_refused(made, name, n_bytes):
    content, right = made(name)
    try:
        audio = read(content + JUNK[:n_bytes], name)
    except AudioReadError as error:
        assert "more bytes follow" in str(error) or "damaged" in str(error)  # noqa: PT017
        return
    if name.startswith("au"):  # has no chunks: a few bytes more are audio, as in ffmpeg
        audio = audio[: len(right)]
    np.testing.assert_allclose(audio, right, rtol=0, atol=tolerance(name))


@pytest.mark.parametrize("name", FILES)
def test_concatenated_files_are_read_completely_or_refused(made, name):
    content, right = made(name)
    if name not in (*OGG, *MPEG, "flac"):
        with pytest.raises(AudioReadError, match="more bytes follow|damaged|truncated"):
            read(content + content, name)
        return
    audio = read(content + content, name)
    if name in ("flac", "ogg flac", "vorbis", "opus"):
        right = np.concatenate([right, right])
        np.testing.assert_allclose(audio, right, rtol=0, atol=tolerance(name))
    else:  # ffmpeg and others decode the header frame of the second file as silence
        assert len(audio) >= 2 * len(right)
        n_compared = len(right) - 1200
        np.testing.assert_allclose(audio[:n_compared], right[:n_compared], rtol=0, atol=tolerance(name))
        second = right[1200:3200]
        starts = range(len(right), len(audio) - len(second))
        assert min(np.abs(audio[start : start + len(second)] - second).max() for start in starts) < 1e-3


@pytest.mark.parametrize("name", [name for name in FILES if name not in ("mp2", "mp3 cbr")])
def test_a_truncated_file_raises_wherever_it_is_cut(made, name):
    content, right = made(name)
    for cut in np.linspace(1, len(content) - 1, 40).astype(int).tolist():
        try:
            audio = read(content[:cut], name)
        except AudioReadError:
            continue
        np.testing.assert_allclose(audio, right, rtol=0, atol=tolerance(name))  # only a chunk behind the audio was cut


@pytest.mark.parametrize("name", ["mp2", "mp3 cbr"])
def test_an_mp3_without_a_declared_length_that_is_cut_within_a_frame_raises(made, name):
    content, right = made(name)
    frame = {"mp2": 576, "mp3 cbr": 144}[name]
    n_frames = len(content) // frame
    assert n_frames * frame == len(content)
    assert_reads(content[: 3 * frame], name, right[: len(right) * 3 // n_frames])
    for cut in range(3 * frame + 4, 4 * frame, 7):
        with pytest.raises(AudioReadError, match="is truncated: .* bytes of its last MP3 frame are missing"):
            probe(content[:cut])


def place_of_data(content):
    """Return the position, width and byte order of the declared size of the audio."""
    head = content[:4]
    if head in (b".snd", b"dns."):
        return 8, 4, "big"
    if head == b"RF64":
        return content.index(b"ds64") + 16, 8, "little"
    if head == b"riff":
        return content.index(b"data\xf3\xac") + 16, 8, "little"
    if head == b"FORM":
        return content.index(b"SSND") + 4, 4, "big"
    if head == b"caff":
        return content.index(b"data") + 4, 8, "big"
    return content.index(b"data") + 4, 4, "big" if head == b"RIFX" else "little"


CHUNKED = [name for name in FILES if name.startswith(("wav", "rifx", "rf64", "w64", "ai", "au", "caf"))]
SIZES = {
    "2 less": lambda size: size - 2,
    "100 less": lambda size: size - 100,
    "2 more": lambda size: size + 2,
    "100 more": lambda size: size + 100,
    "half": lambda size: size // 2 & ~1,
    "twice": lambda size: 2 * size,
    "zero": lambda size: 0,
    "all ones": lambda size: -1,
    "2 GiB": lambda size: 0x7FFFFFFF,
}


@pytest.mark.parametrize("name", CHUNKED)
@pytest.mark.parametrize("change", SIZES)
def test_a_wrong_size_of_the_audio_is_corrected_or_refused(made, name, change):
    content, right = made(name)
    place, width, order = place_of_data(content)
    size = int.from_bytes(content[place : place + width], order)
    wrong = (SIZES[change](size) & (256**width - 1)).to_bytes(width, order)
    damaged = content[:place] + wrong + content[place + width :]
    is_contradicted = name.startswith(("au", "caf"))  # here no size of the whole file tells
    try:
        audio = read(damaged, name)
    except AudioReadError as error:
        assert is_contradicted
        assert "declares" in str(error)  # noqa: PT017
        return
    if (name, change) == ("w64", "2 less") or (name.startswith("caf") and "less" in change):  # the rest may be padding
        right = right[: len(audio)]
        assert len(audio) > N_SAMPLES - 60
    assert audio.shape == right.shape
    np.testing.assert_allclose(audio, right, rtol=0, atol=tolerance(name))


@pytest.mark.parametrize("name", [name for name in CHUNKED if name.startswith(("wav", "rifx", "w64", "ai"))])
@pytest.mark.parametrize("change", SIZES)
def test_a_wrong_size_of_the_whole_file_does_not_matter(made, name, change):
    content, right = made(name)
    place, width, order = (16, 8, "little") if name == "w64" else (4, 4, "big" if name[0] in "ar" else "little")
    size = int.from_bytes(content[place : place + width], order)
    wrong = (SIZES[change](size) & (256**width - 1)).to_bytes(width, order)
    assert_reads(content[:place] + wrong + content[place + width :], name, right)


def chunk(content, size=2000):
    """Return a chunk whose id is not text, in the syntax of the container."""
    head = content[:4]
    if head == b"riff":
        return bytes(range(1, 17)) + struct.pack("<Q", size + 24) + bytes(size)
    if head == b"caff":
        return bytes((1, 2, 3, 4)) + struct.pack(">q", size) + bytes(size)
    order = ">" if head in (b"FORM", b"RIFX") else "<"
    return bytes((1, 2, 3, 4)) + struct.pack(f"{order}I", size) + bytes(size)


@pytest.mark.parametrize("name", [name for name in CHUNKED if not name.startswith("au")])
@pytest.mark.parametrize("where", ["before", "behind"])
def test_chunks_with_unusual_ids_are_skipped(made, name, where):
    content, right = made(name)
    identity = {b"riff": 16, b"caff": 4, b"FORM": 4}.get(content[:4], 4)
    place, *_ = place_of_data(content)
    start = content.index(b"data") if content[:4] == b"RF64" else place - identity
    if where == "before":
        changed = content[:start] + chunk(content) + content[start:]
    else:
        changed = content + bytes(-len(content) % {b"riff": 8, b"caff": 1}.get(content[:4], 2)) + chunk(content)
    assert_reads(changed, name, right)


@pytest.mark.parametrize("name", ["mp3 vbr", "mp3 abr", "mp3 stereo"])
@pytest.mark.parametrize("change", ["zero", "half", "a third less", "a third more"])
def test_a_wrong_count_of_mp3_frames_does_not_change_the_audio(made, tmp_path, name, change):
    content, right = made(name)
    place = max(content.find(b"Xing"), content.find(b"Info")) + 8
    count = int.from_bytes(content[place : place + 4], "big")
    wrong = {"zero": 0, "half": count // 2, "a third less": count * 2 // 3, "a third more": count * 4 // 3}[change]
    (tmp_path / "a.mp3").write_bytes(content[:place] + wrong.to_bytes(4, "big") + content[place + 4 :])
    audio = read_audio(tmp_path / "a.mp3", mono=False)[0].T
    assert len(audio) == len(by_ffmpeg(tmp_path / "a.mp3", right.shape[1]))
    np.testing.assert_allclose(audio[: len(right)], right, rtol=0, atol=5e-6)


@pytest.mark.parametrize("change", ["zero", "half", "twice"])
def test_a_wrong_number_of_samples_in_a_flac_header(made, change):
    content, right = made("flac")
    wrong = {"zero": 0, "half": N_SAMPLES // 2, "twice": 2 * N_SAMPLES}[change]
    changed = content[:22] + wrong.to_bytes(4, "big") + content[26:]
    if change == "twice":
        with pytest.raises(AudioReadError, match="declares 12800 samples, the last frame ends at sample 6400"):
            probe(changed)
    else:
        assert_reads(changed, "flac", right)


@pytest.mark.parametrize("ending", [".gsm", ".vox"])
def test_headerless_files_are_recognized_by_their_extension(tmp_path, ending):
    if missing_tool("sox"):
        pytest.skip("sox is not installed")
    path = tmp_path / f"a{ending}"
    soundfile.write(tmp_path / "a.wav", samples(3200, 8000), 8000)
    subprocess.run(["sox", tmp_path / "a.wav", path], check=True)
    if ending == ".gsm":
        right = by_ffmpeg(path, 1)[:, 0]
    else:
        subprocess.run(["sox", "-r", "8000", path, tmp_path / "b.wav"], check=True)
        right = soundfile.read(tmp_path / "b.wav")[0]
    np.testing.assert_allclose(read_audio(path)[0][: len(right)], right, atol=2**-12)


def test_streams_of_different_formats_are_refused(made, tmp_path):
    first, _ = made("flac")
    soundfile.write(tmp_path / "other.flac", samples(1000), 2 * RATE)
    with pytest.raises(AudioReadError, match="1 channels at 16000 Hz, then 1 channels at 32000 Hz; split the file"):
        probe(first + Path(tmp_path / "other.flac").read_bytes())


def assert_spans_equal_slices(content, name, n_spans):
    whole = read(content, name)
    rng = np.random.default_rng(0)
    for _ in range(n_spans):
        start = int(rng.integers(len(whole)))
        count = int(rng.integers(1, len(whole) - start + 1))
        part, _ = decode(content, lambda info, s=(start, count): s, mono=False, name="x.mp3" if name in MPEG else "x")
        np.testing.assert_allclose(part.T, whole[start : start + count], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", FILES)
def test_spans_equal_slices_of_the_whole(made, name):
    assert_spans_equal_slices(made(name)[0], name, 5)


@pytest.mark.thorough
@pytest.mark.parametrize("name", FILES)
def test_many_spans_equal_slices_of_the_whole(made, name):
    assert_spans_equal_slices(made(name)[0], name, 300)


def test_large_concatenated_flac_files_of_equal_length_are_read_completely(tmp_path):
    noise = np.random.default_rng(0).uniform(-1, 1, (3 * 44100, 2))
    for number in range(2):
        soundfile.write(tmp_path / f"{number}.flac", noise * (1 - number / 2), 44100, subtype="PCM_16")
    first, second = ((tmp_path / f"{number}.flac").read_bytes() for number in range(2))
    assert len(second) > 400_000
    audio = read(first + second, "flac")
    np.testing.assert_allclose(audio, np.concatenate([noise, noise / 2]), atol=2**-15)


@pytest.mark.parametrize("options", ["-c:v libtheora -c:a libvorbis", "-map 1 -map 1 -c:a libvorbis"])
def test_ogg_files_with_other_streams(tmp_path, options):
    path = tmp_path / "a.ogv"
    sources = ["-f", "lavfi", "-i", "testsrc=size=64x64:rate=10:duration=0.4"]
    soundfile.write(tmp_path / "a.wav", samples(), RATE)
    sources += ["-i", tmp_path / "a.wav"]
    done = subprocess.run([FFMPEG, "-v", "error", *sources, *options.split(), path], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this ffmpeg does not encode Theora or Vorbis")
    if "map" in options:
        with pytest.raises(AudioReadError, match="contains 2 streams of audio at the same time"):
            probe(path)
    else:
        audio, _ = read_audio(path)
        np.testing.assert_allclose(audio[:6000], samples()[:6000], atol=0.2)
        assert abs(len(audio) - N_SAMPLES) <= 256


@pytest.mark.parametrize("ending", ["m4a", "webm", "wma", "amr"])
def test_formats_of_an_extra_are_named(tmp_path, monkeypatch, ending):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    path = tmp_path / f"a.{ending}"
    path.write_bytes(b"not what the extension says" * 10)
    with pytest.raises(AudioReadError, match=r"artifex-audio\[av\]"):
        probe(path)


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_the_checksum_of_ffmpeg_in_an_mp3_header(tmp_path, rate, n_channels):
    # Without -bitexact ffmpeg writes the checksum, of 190 bytes whatever the version and the channels.
    soundfile.write(tmp_path / "x.wav", samples(rate // 2, rate), rate)
    path = tmp_path / "x.mp3"
    options = ["-ac", str(n_channels), "-b:a", "64k"]
    subprocess.run([FFMPEG, "-v", "error", "-i", str(tmp_path / "x.wav"), *options, str(path)], check=True)
    audio, read_rate = read_audio(path, mono=False)
    right = by_ffmpeg(path, n_channels)
    assert read_rate == rate
    assert audio.T.shape == right.shape
    np.testing.assert_allclose(audio.T, right, rtol=0, atol=5e-6)
    content = bytearray(path.read_bytes())
    content[max(content.find(b"Xing"), content.find(b"Info")) + 120 + 22] ^= 0x10  # of the delay
    path.write_bytes(content)
    with pytest.raises(AudioReadError, match="its Info header"):
        read_audio(path)


def test_concatenated_flac_files_with_pictures_are_read_completely(tmp_path):
    soundfile.write(tmp_path / "x.flac", np.random.default_rng(0).uniform(-0.5, 0.5, 50_000), 8000)
    content = (tmp_path / "x.flac").read_bytes()
    image = struct.pack(">II9s6I", 3, 9, b"image/png", 0, 0, 0, 0, 0, 600_000) + bytes(600_000)
    picture = b"\6" + len(image).to_bytes(3, "big") + image
    content = content[:42] + picture + content[42:]  # the stream information comes first
    assert decode(content, lambda info: (0, info.n_samples))[1].n_samples == 50_000
    once = soundfile.read(tmp_path / "x.flac", dtype="float32")[0]
    audio, _ = decode(content + content, lambda info: (0, info.n_samples))
    np.testing.assert_array_equal(audio, np.concatenate([once, once]))
