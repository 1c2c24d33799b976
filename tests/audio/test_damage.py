"""Damaged files: one flipped bit never displaces audio, and arbitrary changes never crash, hang or give absurd samples."""

import json
import os
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from tests.audio.audio_files import FFMPEG, FILES, id3v2, missing_tool, run, samples
from tests.audio.test_lengths import MPEG, RATE, made, read  # noqa: F401  made is a fixture

from artifex.generative_models.modalities.audio.io import AudioReadError, decode

pytestmark = pytest.mark.skipif(FFMPEG is None, reason="needs ffmpeg (imageio-ffmpeg)")

REACH = {"mp3 stereo": 4 * 1152, "mp2": 3 * 1152}  # samples that a damaged frame and its overlap change; else 4 * 576
COMPRESSED = ("flac", "ogg flac", "vorbis", "opus", *MPEG)


def flipped(content, bit):
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def assert_local_or_refused(content, name, right, bit):
    try:
        audio = read(flipped(content, bit), name)
    except AudioReadError:
        return "refused"
    assert audio.shape == right.shape, f"bit {bit}"
    changed = np.flatnonzero(np.abs(audio - right).max(axis=1) > 1e-4)
    if not len(changed):
        return "equal"
    assert name in MPEG, f"bit {bit} changes samples {changed[0]} to {changed[-1]}"
    assert changed[-1] - changed[0] < REACH.get(name, 4 * 576), (
        f"bit {bit} changes samples {changed[0]} to {changed[-1]}"
    )
    return "local"


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_flipped_bit_is_refused_or_changes_one_frame(made, name):  # noqa: F811
    content, _ = made(name)
    right = read(content, name)
    rng = np.random.default_rng(0)
    outcomes = {
        assert_local_or_refused(content, name, right, int(bit)) for bit in rng.integers(8 * len(content), size=40)
    }
    assert name in MPEG or "refused" in outcomes


@pytest.mark.thorough
@pytest.mark.parametrize("name", COMPRESSED)
def test_every_flipped_bit_of_the_headers_and_many_others(made, name):  # noqa: F811
    content, _ = made(name)
    right = read(content, name)
    rng = np.random.default_rng(1)
    for bit in [*range(8 * 300), *rng.integers(8 * len(content), size=400).tolist()]:
        assert_local_or_refused(content, name, right, bit)


@pytest.mark.parametrize("name", ["vorbis", "opus", "ogg flac"])
def test_a_missing_ogg_page_raises(made, name):  # noqa: F811
    content, _ = made(name)
    starts = [at for at in range(len(content)) if content.startswith(b"OggS", at)]
    assert len(starts) >= 3
    for first, after in zip(starts, [*starts[1:], len(content)], strict=True):
        with pytest.raises(AudioReadError, match="missing|truncated|damaged|no pages|not expected|not audio"):
            read(content[:first] + content[after:], name)


def test_a_lost_page_is_named(made):  # noqa: F811
    content, _ = made("ogg flac")
    starts = [at for at in range(len(content)) if content.startswith(b"OggS", at)]
    with pytest.raises(AudioReadError, match="is damaged: Ogg pages 2 to 2 are missing at byte"):
        read(content[: starts[2]] + content[starts[3] :], "ogg flac")


@pytest.mark.parametrize("name", ["mp3 cbr", "mp3 vbr", "mp3 stereo", "mp2"])
def test_a_missing_or_repeated_part_of_an_mp3_frame_raises(made, name):  # noqa: F811
    content, _ = made(name)
    middle = len(content) // 2 + 5  # within a frame
    for changed in (content[:middle] + content[middle + 7 :], content[:middle] + bytes(11) + content[middle:]):
        with pytest.raises(AudioReadError, match="is damaged: the MP3 frame at byte"):
            read(changed, name)


def test_a_wrong_size_of_a_tag_that_skips_frames_raises(made):  # noqa: F811
    content, _ = made("mp3 cbr")
    tag = bytearray(id3v2(300))
    tag[9] += 3
    with pytest.raises(AudioReadError, match="is damaged"):
        read(bytes(tag) + content, "mp3 cbr")


@pytest.mark.parametrize("n_bytes", [600, 100_000])
def test_junk_in_the_middle_of_an_mp3_raises(made, n_bytes):  # noqa: F811
    content, right = made("mp3 cbr")
    junk = (bytes(range(1, 254)) * 400)[:n_bytes]
    with pytest.raises(AudioReadError, match="is damaged: the MP3 frame at byte"):
        read(content + junk + content, "mp3 cbr")
    assert read(content + junk, "mp3 cbr").shape == right.shape


def test_a_run_of_ones_does_not_hang():
    started = time.process_time()
    for content in (
        b"\xff" * 5_000_000,
        bytes(5_000_000),
        b"OggS" * 1_000_000,
        b"fLaC" * 1_000_000,
        b"\xff\xfb" * 2_000_000,
    ):
        with pytest.raises(AudioReadError):
            decode(content, lambda info: (0, info.n_samples), name="a.mp3")
    assert time.process_time() - started < 20


def mutated(content, rng):
    """Return a file with a few random changes, mostly in its first bytes."""
    changed = bytearray(content)
    sizes = (b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\x80\0\0\0")
    for _ in range(rng.integers(1, 4)):
        if not changed:
            break
        at = int(rng.integers(len(changed) if rng.random() < 0.5 else min(len(changed), 128)))
        count = int(rng.integers(1, 64))
        match int(rng.integers(6)):
            case 0:
                changed[at : at + 4] = rng.bytes(4)
            case 1:
                changed[at] ^= 1 << int(rng.integers(8))
            case 2:
                del changed[at : at + count]
            case 3:
                changed[at:at] = rng.bytes(count)
            case 4:
                del changed[at:]
            case _:
                changed[at : at + 4] = sizes[rng.integers(6)]
    return bytes(changed)


HIGHEST = {"FLOAT": 100, "DOUBLE": 100, "VORBIS": 8, "OPUS": 8, "MPEG_LAYER_III": 8, "MPEG_LAYER_II": 8}


def assert_bounded(content, name):
    started = time.process_time()
    try:
        audio, info = decode(content, lambda info: (0, info.n_samples), name="x.mp3" if name in MPEG else "recording")
    except AudioReadError:
        pass
    else:
        assert len(audio) == info.n_samples
        assert np.abs(audio).max() <= HIGHEST.get(info.subtype, 1)
    assert time.process_time() - started < 5


@pytest.mark.parametrize("name", FILES)
def test_changed_files_are_refused_or_give_bounded_samples(made, name):  # noqa: F811
    content, _ = made(name)
    rng = np.random.default_rng(2)
    for _ in range(20):
        assert_bounded(mutated(content, rng), name)


@pytest.mark.thorough
@pytest.mark.parametrize("name", FILES)
def test_many_changed_files_in_bounded_memory(tmp_path, name):
    """In a process of its own, whose memory is limited and whose crash would be seen."""
    if missing_tool(FILES[name]):
        pytest.skip(f"{missing_tool(FILES[name])} is not installed")
    import soundfile

    source = tmp_path / "source.wav"
    soundfile.write(source, samples(), RATE)
    (tmp_path / "intact").write_bytes(run(FILES[name], source, tmp_path))
    script = """
        import json, resource, sys
        import numpy as np
        from tests.audio.test_damage import assert_bounded, mutated
        content, name = open("intact", "rb").read(), json.loads(sys.argv[1])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        rng = np.random.default_rng(3)
        for _ in range(1000):
            assert_bounded(mutated(content, rng), name)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 1 << 20, f"memory grew by {grown} KiB"
    """
    root = __file__.rsplit("/tests/", 1)[0]
    outcome = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), json.dumps(name)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr[-2000:]
