"""M4A, WebM, WMA, AMR and the audio of videos are read as ffmpeg reads them, completely or not at all."""

import io
import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from tests.audio.audio_files import FFMPEG, ID3V1, by_ffmpeg, id3v2

from artifex.generative_models.modalities.audio.io import (
    AudioReadError,
    open_recording,
    probe,
    read_audio,
    reader_extensions,
    write_audio,
)
from artifex.generative_models.modalities.audio.io.faults import system_errors
from artifex.generative_models.modalities.audio.io.pyav import PyavReader

pytest.importorskip("av")
pytestmark = pytest.mark.skipif(FFMPEG is None, reason="needs ffmpeg (imageio-ffmpeg)")

RATE = 44100
N_SAMPLES = 22222
MONO = "-ac 1 -ar 8000"
FILES = {  # options of ffmpeg and the name of the file; "video" adds a picture track, "pipe" writes to a pipe
    "aac m4a": "-c:a aac x.m4a",
    "aac m4a index first": "-c:a aac -movflags +faststart x.m4a",
    "aac m4a no edit list": "-c:a aac -use_editlist 0 x.m4a",
    "aac fragments": "-c:a aac -movflags +frag_keyframe+empty_moov x.mp4",
    "aac fragments with edit list": "-c:a aac -movflags +frag_keyframe+delay_moov x.mp4",
    "aac mov": "-c:a aac x.mov",
    "aac adts": "-c:a aac x.aac",
    "aac adts pipe": "-c:a aac -f adts pipe.aac",
    "aac mkv": "-c:a aac x.mkv",
    "aac mkv pipe": "-c:a aac -f matroska pipe.mkv",
    "alac": "-c:a alac x.m4a",
    "alac 24": "-c:a alac -sample_fmt s32p x.m4a",
    "opus webm": "-c:a libopus x.webm",
    "opus webm pipe": "-c:a libopus -f webm pipe.webm",
    "opus mp4": "-c:a libopus x.mp4",
    "vorbis webm": "-c:a libvorbis x.webm",
    "flac mka": "-c:a flac x.mka",
    "flac mp4": "-c:a flac x.mp4",
    "pcm mka": "-c:a pcm_s16le x.mka",
    "pcm mov": "-c:a pcm_s24be x.mov",
    "float mka": "-c:a pcm_f32le x.mka",
    "mp3 mka": "-c:a libmp3lame x.mka",
    "mp3 mp4": "-c:a libmp3lame x.mp4",
    "wma 1": "-c:a wmav1 x.wma",
    "wma 2": "-c:a wmav2 x.wma",
    "wma pipe": "-c:a wmav2 -f asf pipe.wma",
    "amr": f"-c:a libopencore_amrnb {MONO} x.amr",
    "amr 3gp": f"-c:a libopencore_amrnb {MONO} x.3gp",
    "ac3": "-c:a ac3 x.ac3",
    "eac3": "-c:a eac3 x.eac3",
    "ac3 mka": "-c:a ac3 x.mka",
    "ac3 mp4": "-c:a ac3 x.mp4",
    "aac video": "video -c:v mpeg4 -c:a aac x.mp4",
    "opus video": "video -c:v mpeg4 -c:a libopus x.mp4",
    "amr video": f"video -c:v mpeg4 -c:a libopencore_amrnb {MONO} x.3gp",
    "pcm video": "video -c:v mpeg4 -c:a pcm_s16le x.mov",
    "vorbis video": "video -c:v mpeg4 -c:a libvorbis x.mkv",
    "opus webm video": "video -c:v libvpx -c:a libopus x.webm",
    "wma video": "video -c:v wmv2 -c:a wmav2 x.wmv",
    "6 channels": "-ac 6 -c:a aac x.m4a",
}
LOSSLESS = ("alac", "alac 24", "flac mka", "flac mp4", "pcm mka", "pcm mov", "pcm video", "float mka")
# They end with any frame: nothing declares their length.
WITHOUT_LENGTH = ("aac adts", "aac adts pipe", "amr", "ac3", "eac3", "wma pipe")
# Each frame or cluster has a checksum.
CHECKED = ("ac3", "eac3", "flac mka", "aac mkv", "pcm mka")
THOROUGH = pytest.mark.thorough


def source(n_samples=N_SAMPLES):
    """Return a stereo sweep with noise: float32 (time, channels)."""
    time = np.arange(n_samples) / RATE
    noise = np.random.default_rng(0).standard_normal(n_samples)
    sweep = 0.4 * np.sin(2 * np.pi * (200 + 3000 * time) * time) + 0.05 * noise
    return np.stack([sweep, 0.5 * sweep[::-1]], axis=1).astype(np.float32)


@pytest.fixture(scope="session")
def make(tmp_path_factory):
    """Return a function from options of ffmpeg to the path of the file that it writes, made once."""
    folder = tmp_path_factory.mktemp("media")
    made = {}

    def make(options, n_samples=N_SAMPLES):
        if (options, n_samples) not in made:
            place = folder / str(len(made))
            place.mkdir()
            soundfile.write(place / "source.wav", source(n_samples), RATE, subtype="FLOAT")
            is_video = options.startswith("video ")
            picture = ["-f", "lavfi", "-i", "testsrc=size=64x64:rate=10:duration=0.6"] if is_video else []
            *given, name = options.removeprefix("video ").split()
            output = "-" if name.startswith("pipe") else name
            command = [FFMPEG, "-v", "error", "-bitexact", *picture, "-i", "source.wav", *given, output]
            written = subprocess.run(command, cwd=place, capture_output=True, check=True, timeout=60).stdout
            if output == "-":
                (place / name).write_bytes(written)
            made[options, n_samples] = place / name
        return made[options, n_samples]

    return make


@pytest.fixture
def file(request, make):
    return make(FILES[request.param])


def every_file(*names):
    return pytest.mark.parametrize("file", names or FILES, indirect=True)


def read(content):
    """Return all samples of a file in memory: float32 (time, channels)."""
    with PyavReader().open(io.BytesIO(content), "recording") as recording:
        samples = recording.read(0, recording.info.n_samples)
        assert samples.shape == (recording.info.n_samples, recording.info.n_channels)
    return samples


@every_file()
def test_length_and_samples_are_those_of_ffmpeg(file):
    samples = read(file.read_bytes())
    right = by_ffmpeg(file, samples.shape[1])
    assert samples.shape == right.shape
    np.testing.assert_allclose(samples, right, rtol=0, atol=2**-15)


@every_file(*LOSSLESS)
def test_lossless_files_are_equal_to_the_source(file):
    np.testing.assert_allclose(read(file.read_bytes()), source(), rtol=0, atol=2**-15)


@every_file()
def test_the_header_is_that_of_the_samples(file):
    info = probe(file)
    audio, rate = read_audio(file, mono=False)
    assert (info.n_channels, info.n_samples, info.sample_rate) == (*audio.shape, rate)


def assert_spans(path, n_spans):
    with open_recording(path) as recording:
        whole = recording.read(0, recording.info.n_samples)
        random = np.random.default_rng(0)
        for _ in range(n_spans):
            start = int(random.integers(len(whole)))
            count = int(random.integers(1, min(3000, len(whole) - start) + 1))
            np.testing.assert_array_equal(recording.read(start, count), whole[start : start + count])
        start = len(whole) - 100
        with open_recording(path) as another:
            np.testing.assert_array_equal(another.read(start, 100), whole[start:])


@every_file()
def test_spans_equal_slices_of_the_whole(file):
    assert_spans(file, 100)


@THOROUGH
@every_file()
def test_300_spans_equal_slices_of_the_whole(file):
    assert_spans(file, 300)


@pytest.mark.parametrize("name", [*LOSSLESS, "vorbis webm", "aac m4a", "mp3 mka"])
def test_spans_of_longer_files_equal_slices_of_the_whole(make, name):
    assert_spans(make(FILES[name].removeprefix("video -c:v mpeg4 "), 3 * RATE), 60)


@pytest.mark.parametrize("n_samples", [20011, 22198])
@pytest.mark.parametrize("name", ["aac video", "opus video", "amr video", "mp3 mp4", "ac3 mp4"])
def test_the_end_of_an_edit_list_in_milliseconds_is_that_of_ffmpeg(make, name, n_samples):
    file = make(FILES[name], n_samples)
    samples = read(file.read_bytes())
    assert len(samples) == len(by_ffmpeg(file, samples.shape[1]))


@pytest.mark.parametrize(("first", "count"), [(0, 10000), (500, 21722), (5000, 8000)])
def test_an_edit_list_selects_samples(make, first, count):
    content = bytearray(make(FILES["alac"]).read_bytes())
    struct.pack_into(">Ii", content, content.index(b"elst") + 12, count, first)
    np.testing.assert_allclose(read(bytes(content)), source()[first : first + count], rtol=0, atol=2**-15)


def test_audio_that_begins_later_than_the_video_is_read_as_by_ffmpeg(make):
    file = make("video -filter:a adelay=0 -c:v mpeg4 -c:a aac -output_ts_offset 0.25 x.mp4")
    samples = read(file.read_bytes())
    np.testing.assert_allclose(samples, by_ffmpeg(file, 2), rtol=0, atol=2**-15)


def test_the_first_of_several_audio_streams_is_read(make):
    file = make("-map 0:a -map 0:a -c:a pcm_s16le -filter:a:1 volume=0.1 x.mka")
    np.testing.assert_allclose(read(file.read_bytes()), source(), rtol=0, atol=2**-15)


def test_a_video_without_audio_raises(make):
    with pytest.raises(AudioReadError, match="contains no audio"):
        read(make("video -an -c:v mpeg4 x.mp4").read_bytes())


@every_file()
def test_a_truncated_file_raises_wherever_it_is_cut(file, request):
    content = file.read_bytes()
    whole = read(content)
    name = request.node.callspec.params["file"]
    for cut in np.linspace(1, len(content) - 1, 25).astype(int).tolist():
        try:
            samples = read(content[:cut])
        except AudioReadError:
            continue
        assert name in WITHOUT_LENGTH
        np.testing.assert_array_equal(samples, whole[: len(samples)])


def assert_damage_is_noticed(content, n_files, is_checked):
    whole = read(content)
    random = np.random.default_rng(0)
    for _ in range(n_files):
        place, length = int(random.integers(len(content))), int(random.integers(1, 20))
        damaged = [
            content[:place] + bytes([content[place] ^ 1 << int(random.integers(8))]) + content[place + 1 :],
            content[:place] + random.bytes(4) + content[place + 4 :],
            content[:place] + content[place + length :],
        ][int(random.integers(3))]
        try:
            samples = read(damaged)
        except AudioReadError as error:
            assert not error.transient  # noqa: PT017
            continue
        assert np.isfinite(samples).all()
        if is_checked and place > 1000:
            np.testing.assert_array_equal(samples, whole)


@every_file()
def test_a_damaged_file_raises_or_is_read_to_its_length(file, request):
    assert_damage_is_noticed(file.read_bytes(), 20, request.node.callspec.params["file"] in CHECKED)


@THOROUGH
@every_file(
    *(
        "aac m4a index first",
        "aac fragments",
        "aac adts",
        "aac mkv",
        "alac",
        "opus webm",
        "opus webm pipe",
        "vorbis webm",
    ),
    *("flac mka", "pcm mov", "mp3 mp4", "wma 2", "wma pipe", "amr", "amr 3gp", "ac3", "eac3", "aac video", "wma video"),
)
def test_many_damaged_files_raise_or_are_read_to_their_length(file, request):
    assert_damage_is_noticed(file.read_bytes(), 500, request.node.callspec.params["file"] in CHECKED)


@every_file()
def test_concatenated_files_are_read_completely_or_refused(file, request):
    content = file.read_bytes()
    whole = read(content)
    try:
        samples = read(content + content)
    except AudioReadError:
        return
    assert request.node.callspec.params["file"] in WITHOUT_LENGTH
    assert len(samples) == 2 * len(whole)
    np.testing.assert_array_equal(samples[: len(whole)], whole)


@every_file()
def test_zeros_behind_are_ignored_or_refused(file):
    content = file.read_bytes()
    try:
        samples = read(content + bytes(1000))
    except AudioReadError:
        return
    np.testing.assert_array_equal(samples, read(content))


def test_a_missing_packet_of_wma_raises(make):
    content = bytearray(make(FILES["wma pipe"]).read_bytes())
    start = int.from_bytes(content[16:24], "little") + 50
    place = content.index(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")) + 92
    n_bytes = int.from_bytes(content[place : place + 4], "little")
    with pytest.raises(AudioReadError, match="ms of audio are missing"):
        read(bytes(content[: start + n_bytes] + content[start + 2 * n_bytes :]))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("aac m4a", lambda content: content[: content.index(b"moov") - 4], "has no index"),
        ("aac m4a index first", lambda content: content[:-9], "9 bytes of its last atom are missing"),
        ("opus webm", lambda content: content[:-9], "9 bytes are missing"),
        ("aac mkv", lambda content: content[:2000] + b"\xff\0" + content[2002:], "checksum of the cluster"),
        ("aac adts", lambda content: content[:-9], "9 bytes of its last frame|bytes of its last frame are missing"),
        ("aac adts", lambda content: content[:3000] + content[3010:], "expected a frame at byte"),
        ("amr", lambda content: content + b"\xff", "expected an AMR frame at byte 838"),
        ("wma 2", lambda content: content[:-3200], "packets"),
    ],
)
def test_the_error_of_a_damaged_file_is_true(make, name, change, message):
    with pytest.raises(AudioReadError, match=message):
        read(change(make(FILES[name]).read_bytes()))


@every_file("aac m4a", "aac adts", "opus webm", "wma 2")
def test_nothing_is_printed_about_a_damaged_file(file, capfd):
    content = file.read_bytes()
    middle = len(content) // 2
    for damaged in (content[:middle], content[:middle] + bytes(300) + content[middle + 300 :]):
        try:
            read(damaged)
        except AudioReadError:
            continue
    assert capfd.readouterr() == ("", "")


class Failing(io.BytesIO):
    """A file whose reads fail after a number of them."""

    def __init__(self, content, n_reads):
        super().__init__(content)
        self.n_reads = n_reads

    def read(self, size=-1):
        self.n_reads -= 1
        if self.n_reads < 0:
            raise OSError(5, "Input/output error")
        return super().read(size)


@pytest.mark.parametrize("has_memory", [True, False])
def test_an_allocation_that_fails_is_transient_only_if_memory_is_missing(make, monkeypatch, has_memory):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr("av.open", fail)
    monkeypatch.setattr("artifex.generative_models.modalities.audio.io.faults._has_spare_memory", lambda: has_memory)
    content = make(FILES["aac m4a"]).read_bytes()
    with pytest.raises(AudioReadError, match="is damaged" if has_memory else "not enough memory") as caught:
        probe(content)
    assert caught.value.transient is not has_memory


@every_file("aac m4a", "opus webm", "wma 2", "aac adts", "pcm mka")
def test_an_error_of_the_system_is_transient(file):
    content = file.read_bytes()
    n_failed = 0
    for n_reads in range(200):
        try:
            with system_errors("recording"), PyavReader().open(Failing(content, n_reads), "recording") as recording:
                recording.read(0, recording.info.n_samples)
        except AudioReadError as error:
            assert error.transient, error  # noqa: PT017
            n_failed += 1
    assert 0 < n_failed < 199


def test_a_file_is_recognized_under_another_extension(make, tmp_path):
    m4a = make(FILES["aac m4a"])
    (tmp_path / "a.wav").write_bytes(m4a.read_bytes())
    assert probe(tmp_path / "a.wav").subtype == "AAC"
    write_audio(tmp_path / "b.wav", source().T, RATE)
    (tmp_path / "b.wav").rename(tmp_path / "b.m4a")
    assert probe(tmp_path / "b.m4a").format == "WAV"
    (tmp_path / "c.mp4").write_bytes(make("-c:a libmp3lame x.mp3").read_bytes())
    assert probe(tmp_path / "c.mp4").format == "MP3"


def test_metadata_in_another_encoding_does_not_matter(make):
    content = make("-metadata title=abcdefgh -c:a alac x.m4a").read_bytes()
    assert content.count(b"abcdefgh") == 1
    np.testing.assert_array_equal(read(content.replace(b"abcdefgh", b"\xff\xe9\xa4" * 2 + b"\xe4\0")), read(content))


def test_tags_around_aac_are_skipped(make, tmp_path):
    content = make(FILES["aac adts"]).read_bytes()
    (tmp_path / "a.aac").write_bytes(id3v2(300) + content + ID3V1)
    audio = read_audio(tmp_path / "a.aac", mono=False)[0].T
    np.testing.assert_array_equal(audio, read(content))


@pytest.mark.parametrize("name", ["a.m4a", "a.wav", "recording"])
def test_without_pyav_the_error_names_the_extra(make, monkeypatch, name):
    content = make(FILES["aac m4a"]).read_bytes()
    monkeypatch.setattr("importlib.util.find_spec", lambda module: None)
    with pytest.raises(AudioReadError, match=r"pip install 'artifex-audio\[av\]'"), open_recording(content, name):
        pass
    assert ".wav" in reader_extensions()
    assert ".m4a" not in reader_extensions()


def test_pyav_is_imported_for_its_files_only(make, tmp_path):
    write_audio(tmp_path / "a.wav", source().T, RATE)
    program = (
        "import sys; from artifex.generative_models.modalities.audio.io import read_audio, reader_extensions\n"
        "read_audio(sys.argv[1]); reader_extensions(); print('av' in sys.modules)\n"
        "read_audio(sys.argv[2]); print('av' in sys.modules)"
    )
    command = [sys.executable, "-c", program, tmp_path / "a.wav", make(FILES["aac m4a"])]
    assert subprocess.run(command, capture_output=True, check=True, text=True).stdout.split() == ["False", "True"]


def test_many_spans_of_a_file_measure_it_once(make, tmp_path, monkeypatch):
    path = tmp_path / "a.m4a"
    path.write_bytes(make(FILES["aac m4a"]).read_bytes())
    monkeypatch.setattr("artifex.generative_models.modalities.audio.io.measured._TIME_RESOLUTION", -1.0)
    first = probe(path)
    monkeypatch.setattr(
        "artifex.generative_models.modalities.audio.io.pyav.check_container", lambda *_: pytest.fail("measured again")
    )
    assert probe(path) == first
