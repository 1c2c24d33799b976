"""Faults that pass, such as an unavailable network drive, stop a job; they are not recorded and not replaced by silence."""

import errno
import importlib.util
import json
import os
import shutil
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile

from artifex.generative_models.modalities.audio.base import AudioModalityConfig
from artifex.generative_models.modalities.audio.datasets import scanning
from artifex.generative_models.modalities.audio.datasets.files import AudioFileDataset
from artifex.generative_models.modalities.audio.datasets.loader import make_loader
from artifex.generative_models.modalities.audio.datasets.tables import TableAudioDataset
from artifex.generative_models.modalities.audio.extraction import encode, extract, recordings, run
from artifex.generative_models.modalities.audio.io import AudioReadError, probe, read_audio, write_audio

RATE = 8000
PLAIN = AudioModalityConfig(representation="raw_waveform", sample_rate=RATE, duration=0.25, normalize=False)
COMPILER = shutil.which("gcc") or shutil.which("cc")

# Makes every n-th read of an audio file fail, in Python and in libsndfile. Offsets and results are those of the system.
FAILING_READS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static int fails(int file) {
    static int n_reads = 0;
    char link[64], path[4096];
    const char *every = getenv("FAIL_EVERY"), *folder = getenv("FAIL_IN");
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (!every || !folder || size < 0) return 0;
    path[size] = 0;
    if (strncmp(path, folder, strlen(folder)) || __sync_add_and_fetch(&n_reads, 1) % atoi(every)) return 0;
    errno = EIO;
    return 1;
}

#define WRAP(name, parameters, arguments) \
    ssize_t name parameters { \
        static ssize_t (*next) parameters; \
        if (!next) next = (ssize_t (*) parameters) dlsym(RTLD_NEXT, #name); \
        return fails(file) ? -1 : next arguments; \
    }

WRAP(read, (int file, void *to, size_t n), (file, to, n))
WRAP(pread, (int file, void *to, size_t n, off_t at), (file, to, n, at))
WRAP(pread64, (int file, void *to, size_t n, off64_t at), (file, to, n, at))
WRAP(readv, (int file, const struct iovec *to, int n), (file, to, n))
WRAP(preadv, (int file, const struct iovec *to, int n, off_t at), (file, to, n, at))
"""

EXTRACT = """
import sys, warnings

from artifex.generative_models.modalities.audio.base import AudioModalityConfig
from artifex.generative_models.modalities.audio.extraction import encode, extract
from artifex.generative_models.modalities.audio.io import AudioReadError

# The identity, without jax: this process starts fast.
encode.encoder = lambda config: lambda audio, lengths: audio
warnings.simplefilter("ignore")
config = AudioModalityConfig(representation="raw_waveform", sample_rate=8000, normalize=False)
try:
    extract([sys.argv[1]], sys.argv[2], config=config, shard_size=3, report=False, retries=int(sys.argv[3]), wait=lambda seconds: None)
except AudioReadError as error:
    assert error.transient, error
    sys.exit(2)
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def noise(seed: int, size: int = 3000) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, size)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with one file of each format that libsndfile decodes in another way."""
    audio = tmp_path_factory.mktemp("audio")
    for index, suffix in enumerate((".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".wav")):
        write_audio(audio / f"{index}{suffix}", noise(index, 3000 + 500 * index), RATE)
    return audio


@pytest.fixture(scope="module")
def failing_reads(tmp_path_factory):
    if COMPILER is None or sys.platform != "linux":
        pytest.skip("needs a C compiler and LD_PRELOAD")
    source = tmp_path_factory.mktemp("library") / "failing_reads.c"
    source.write_text(FAILING_READS)
    library = source.with_suffix(".so")
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


def extract_in_a_process(folder, out, retries=0, **environment):
    command = [sys.executable, "-c", EXTRACT, str(folder), str(out), str(retries)]
    ended = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    assert ended.returncode in (0, 2), ended.stderr
    return ended.returncode


@pytest.fixture(scope="module")
def undisturbed(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "features"
    assert extract_waveforms(folder, out).failures == []
    return out


@pytest.mark.parametrize(("every", "retries"), [(3, 0), (50, 0), (50, 4)])
def test_failing_reads_are_not_recorded_and_the_resumed_extraction_is_identical(
    folder, undisturbed, failing_reads, tmp_path, every, retries
):
    faults = {"LD_PRELOAD": str(failing_reads), "FAIL_EVERY": str(every), "FAIL_IN": str(folder)}
    out = tmp_path / "features"
    assert extract_in_a_process(folder, out, retries, **faults) == (0 if retries else 2)
    assert (out / "manifest.jsonl").exists() == bool(retries)
    if (out / "plan.json").exists():
        assert not [each for each in json.loads((out / "plan.json").read_bytes())["recordings"] if "error" in each]
    for sidecar in (out / "shards").glob("*.json"):
        assert json.loads(sidecar.read_bytes())["failures"] == []
    extract_waveforms(folder, out)
    assert contents(out) == contents(undisturbed)


# Reads spans of all files while every 2nd, 3rd, … read fails.
READ = """
import json, os, sys
from pathlib import Path

import numpy as np

from artifex.generative_models.modalities.audio.io import AudioReadError, read_audio

spans = json.loads(sys.argv[1])
os.environ["FAIL_EVERY"] = "1000000"
files = sorted(Path(os.environ["FAIL_IN"]).iterdir())
expected = {(file, number): read_audio(file, **span)[0] for file in files for number, span in enumerate(spans)}
for every in range(2, 60):
    os.environ["FAIL_EVERY"] = str(every)
    for file in files:
        for number, span in enumerate(spans):
            try:
                audio, _ = read_audio(file, **span)
            except AudioReadError as error:
                assert error.transient, (every, number, error)
            else:
                assert np.array_equal(audio, expected[file, number]), (every, number, file)
"""


SPAN = {"offset": 0.3, "duration": 0.1}


def read_with_faults(folder, failing_reads, *spans):
    environment = {**os.environ, "LD_PRELOAD": str(failing_reads), "FAIL_IN": str(folder)}
    command = [sys.executable, "-c", READ, json.dumps(spans)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_a_failing_read_is_a_transient_error_and_never_other_samples(folder, failing_reads, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    for name, subtype in (("7.w64", "PCM_16"), ("8.caf", "PCM_24"), ("9.wav", "IMA_ADPCM"), ("10.au", "ULAW")):
        soundfile.write(tmp_path / name, noise(0, 6000), RATE, subtype)
    read_with_faults(tmp_path, failing_reads, {}, SPAN, {"offset": 0.1, "sample_rate": 16000})


@pytest.fixture
def large(tmp_path):
    """Return the folder of a sparse file that is too large to be read into memory; only its start contains samples."""
    write_audio(tmp_path / "large.wav", noise(0, 6000), RATE)
    size = (1 << 28) + 1000
    with (tmp_path / "large.wav").open("r+b") as file:
        for position, value in ((4, size - 8), (40, size - 44)):
            file.seek(position)
            file.write(struct.pack("<I", value))
        file.truncate(size)
    return tmp_path


def test_an_error_of_the_system_is_found_without_reading_a_large_file_into_memory(large, failing_reads):
    read_with_faults(large, failing_reads, SPAN)


def test_a_damaged_large_file_is_damaged(large):
    os.truncate(large / "large.wav", (1 << 28) + 500)
    with pytest.raises(AudioReadError, match="is truncated") as caught:
        read_audio(large / "large.wav", duration=0.1)
    assert not caught.value.transient


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EHOSTDOWN, errno.ENODEV, errno.ENOMEM])
def test_unknown_errors_of_the_system_are_transient(folder, monkeypatch, number):
    def opening(*arguments, **options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("builtins.open", opening)
    with pytest.raises(AudioReadError, match=os.strerror(number)) as caught:
        probe(folder / "0.wav")
    assert caught.value.transient


LIMITED = """
import os, resource, sys
from artifex.generative_models.modalities.audio.io import AudioReadError, read_audio

read_audio(sys.argv[1], sample_rate=16000)
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE"), resource.RLIM_INFINITY))
try:
    read_audio(sys.argv[1], sample_rate=16000)
except AudioReadError as error:
    assert error.transient, error
    sys.exit(2)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the size of the address space so")
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".opus", ".mp3"])
def test_too_little_memory_is_not_a_damaged_file(tmp_path, suffix):
    write_audio(tmp_path / f"a{suffix}", noise(0, 60 * RATE), RATE)
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / f"a{suffix}")], capture_output=True, text=True
    )
    assert ended.returncode == 2, ended.stderr


def test_a_failed_allocation_while_resampling_is_transient(folder, monkeypatch):
    def failing(*arguments, **options):
        raise MemoryError("std::bad_alloc")

    monkeypatch.setattr("soxr.resample", failing)
    with pytest.raises(AudioReadError, match="not enough memory; free memory") as caught:
        read_audio(folder / "0.wav", sample_rate=16000)
    assert caught.value.transient


@pytest.fixture
def copied(folder, tmp_path):
    return Path(shutil.copytree(folder, tmp_path / "copied"))


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_a_file_of_a_manifest_on_an_unavailable_drive_is_not_missing(folder, tmp_path, monkeypatch, on_error):
    (tmp_path / "m.csv").write_text(f"path\n{folder / '0.wav'}\n")
    status = os.stat

    def unavailable(path, *arguments, **options):
        if Path(path) == folder / "0.wav":
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))
        return status(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", unavailable)
    dataset = AudioFileDataset(PLAIN, manifest=tmp_path / "m.csv", on_error=on_error)
    with pytest.raises(AudioReadError, match=os.strerror(errno.ESTALE)) as caught:
        dataset[0]
    assert caught.value.transient


@pytest.mark.parametrize("on_error", ["skip", "warn"])
@pytest.mark.parametrize("crop", ["center", "random", "whole", "sliding"])
def test_a_file_that_is_missing_now_is_not_replaced_by_silence(copied, on_error, crop):
    dataset = AudioFileDataset(PLAIN, copied, crop=crop, on_error=on_error)
    (copied / "0.wav").unlink()
    with pytest.raises(AudioReadError, match=r"0\.wav: existed before and is missing now") as caught:
        list(dataset)
    assert caught.value.transient
    assert not dataset.problems


def test_a_link_that_led_to_a_file_and_one_that_never_did(copied, tmp_path):
    (tmp_path / "links").mkdir()
    for name in ("0.wav", "1.flac", "gone.wav"):
        (tmp_path / "links" / name).symlink_to(copied / name)
    dataset = AudioFileDataset(PLAIN, tmp_path / "links", on_error="skip")
    assert [Path(example["path"]).name for example in dataset] == ["0.wav", "1.flac"]
    assert list(dataset.problems.values()) == ["no such file"]
    (copied / "1.flac").unlink()
    with pytest.raises(AudioReadError, match=r"1\.flac: existed before and is missing now"):
        list(dataset)


def test_a_file_of_a_table_that_was_read_and_is_missing_now_raises(copied):
    table = [{"audio": str(copied / name)} for name in ("0.wav", "1.flac", "gone.wav")]
    dataset = TableAudioDataset(PLAIN, table, on_error="skip")
    assert [example["valid"] for example in map(dataset.__getitem__, range(3))] == [True, True, False]
    (copied / "1.flac").unlink()
    with pytest.raises(AudioReadError, match=r"1\.flac: existed before and is missing now"):
        dataset[1]


def test_a_loader_raises_and_continues_when_the_file_is_back(copied, tmp_path):
    dataset = AudioFileDataset(PLAIN, copied, on_error="skip")
    options = {"batch_size": 2, "shuffle": False, "epochs": 1}
    expected = [batch["audio"] for batch in make_loader(dataset, **options)]
    (copied / "3.opus").rename(tmp_path / "3.opus")
    batches = make_loader(dataset, **options)
    read = [next(batches)["audio"]]
    with pytest.raises(AudioReadError, match=r"3\.opus: existed before and is missing now"):
        next(batches)
    state = batches.state()
    (tmp_path / "3.opus").rename(copied / "3.opus")
    resumed = make_loader(dataset, **options).restore(state)
    read += [batch["audio"] for batch in resumed]
    np.testing.assert_array_equal(np.concatenate(read), np.concatenate(expected))


def test_scan_stops_and_writes_no_manifest(artifex, copied, monkeypatch):
    monkeypatch.chdir(copied)
    reading = scanning.read_blocks

    def removed(file, *arguments, **options):
        Path("2.ogg").unlink(missing_ok=True)
        return reading(file, *arguments, **options)

    monkeypatch.setattr(scanning, "read_blocks", removed)
    code, _, err = artifex("scan", ".", "--out", "m.jsonl")
    assert (code, err) == (2, "artifex: 2.ogg: existed before and is missing now; this may be temporary: try again\n")
    assert not Path("m.jsonl").exists()


def extract_waveforms(folder, out, **options):
    config = AudioModalityConfig(representation="raw_waveform", sample_rate=RATE, normalize=False)
    return extract([folder], out, config=config, **{"shard_size": 3, "report": False, **options})


@pytest.mark.parametrize("restored", [False, True])
@pytest.mark.parametrize("change", ["removed", "without permission"])
def test_a_planned_file_that_cannot_be_opened_now_is_no_failure(copied, tmp_path, monkeypatch, change, restored):
    extract_waveforms(copied, tmp_path / "expected")
    reading, away = recordings.decode, tmp_path / "away.wav"

    def decode(file, *arguments, **options):
        if Path(file).name != "0.wav":
            return reading(file, *arguments, **options)
        if not restored and change == "removed" and Path(file).exists():
            Path(file).rename(away)
        cause = FileNotFoundError() if change == "removed" else PermissionError(errno.EACCES, "Permission denied")
        raise AudioReadError(file, "cannot be opened") from cause

    with monkeypatch.context() as context:
        context.setattr(recordings, "decode", decode)
        with pytest.raises(AudioReadError, match=r"0\.wav: .*; this may be temporary: run the same") as caught:
            extract_waveforms(copied, tmp_path / "made")
    assert caught.value.transient
    if away.exists():
        away.rename(copied / "0.wav")
    extract_waveforms(copied, tmp_path / "made")
    assert contents(tmp_path / "made") == contents(tmp_path / "expected")


def test_the_command_stops_with_one_line_and_exit_code_2(artifex, copied, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reading = run.write_shards

    def later(*arguments, **options):
        (copied / "0.wav").rename(tmp_path / "0.wav")
        reading(*arguments, **options)

    command = ("extract", "copied", "--representation", "raw_waveform", "--no-report")
    with monkeypatch.context() as context:
        context.setattr(run, "write_shards", later)
        code, _, err = artifex(*command)
    message = "was found when the extraction was planned and is missing now; this may be temporary: run the same command again"
    assert (code, err) == (2, f"artifex: {copied / '0.wav'}: {message}, committed shards are kept\n")
    (tmp_path / "0.wav").rename(copied / "0.wav")
    assert artifex(*command)[0] == 0


@pytest.mark.parametrize("function", ["probe", "decode"])
def test_a_recording_is_read_again_after_increasing_waiting_times(folder, tmp_path, monkeypatch, function):
    reading, waited, n_failures = getattr(recordings, function), [], 8

    def failing(file, *arguments, **options):
        nonlocal n_failures
        if Path(file).name == "3.opus" and n_failures:
            n_failures -= 1
            raise AudioReadError(file, "cannot be read: Input/output error", transient=True)
        return reading(file, *arguments, **options)

    monkeypatch.setattr(recordings, function, failing)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = extract_waveforms(folder, tmp_path / "made", retries=9, wait=waited.append)
    assert (waited, len(result.records), result.failures) == ([1, 2, 4, 8, 16, 32, 60, 60], 7, [])
    message = f"{folder / '3.opus'}: cannot be read: Input/output error; attempt 9 of 10 in 60 s"
    assert (len(caught), str(caught[-1].message)) == (8, message)


RAY = """
import sys
from pathlib import Path

from artifex.generative_models.modalities.audio.base import AudioModalityConfig
from artifex.generative_models.modalities.audio.extraction import extract
from artifex.generative_models.modalities.audio.io import AudioReadError

config = AudioModalityConfig(representation="raw_waveform", sample_rate=8000, normalize=False)
file = Path(sys.argv[1], "0.wav")
try:
    # The file is removed when the extraction has been planned.
    extract([sys.argv[1]], sys.argv[2], config=config, engine="ray", report=False, progress=lambda *_: file.unlink(missing_ok=True))
except AudioReadError as error:
    sys.exit(f"{error.transient} {error}")
"""


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed; .ci/run installs it")
def test_an_error_of_a_task_on_ray_is_the_same_error(copied, tmp_path):
    command = [sys.executable, "-c", RAY, str(copied), str(tmp_path / "made")]
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    message = "was found when the extraction was planned and is missing now; this may be temporary"
    assert ended.returncode == 1, ended.stderr
    assert f"True {copied / '0.wav'}: {message}" in ended.stderr


def test_too_little_memory_for_the_features_is_one_line(artifex, folder, tmp_path, monkeypatch):
    def encoder(config):
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8589934592 bytes.")

    monkeypatch.setattr(encode, "encoder", encoder)
    command = (
        "extract",
        str(folder),
        "--out",
        str(tmp_path / "made"),
        "--representation",
        "raw_waveform",
        "--no-report",
    )
    code, _, err = artifex(*command)
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith(
        "artifex: not enough memory to compute the features; free memory and run the same command again"
    )


def no_links(*arguments, **options):
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 200] = bytes(200)
    path.write_bytes(content)


# The header of the .flac is valid, that of a truncated .wav is not: only then, recordings are distributed over shards again.
@pytest.mark.parametrize(("name", "n_written"), [("1.flac", 1), ("0.wav", 3)])
@pytest.mark.parametrize("links", [True, False])
def test_failures_are_retried_when_asked_and_the_result_is_that_of_a_new_extraction(
    copied, tmp_path, monkeypatch, name, n_written, links
):
    original = (copied / name).read_bytes(), os.stat(copied / name)
    extract_waveforms(copied, tmp_path / "expected")
    damage(copied / name) if name == "1.flac" else (copied / name).write_bytes(original[0][:500])
    result = extract_waveforms(copied, tmp_path / "made")
    assert [Path(failure["source"]).name for failure in result.failures] == [name]
    assert extract_waveforms(copied, tmp_path / "made", retry_failures=True).n_written == 0
    (copied / name).write_bytes(original[0])
    os.utime(copied / name, ns=(original[1].st_atime_ns, original[1].st_mtime_ns))
    with pytest.raises(FileExistsError, match="1 recording is changed since"):
        extract_waveforms(copied, tmp_path / "made")
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    result = extract_waveforms(copied, tmp_path / "made", retry_failures=True)
    assert (len(result.records), result.failures, result.missing) == (7, [], ())
    assert result.n_written == n_written
    assert contents(tmp_path / "made") == contents(tmp_path / "expected")


def test_only_shards_with_a_readable_failure_are_written_again(copied, tmp_path, monkeypatch):
    extract_waveforms(copied, tmp_path / "expected")
    reading = recordings.decode

    def failing(file, *arguments, **options):
        if Path(file).name in ("1.flac", "6.wav"):
            raise AudioReadError(file, "the decoder of this version fails")
        return reading(file, *arguments, **options)

    with monkeypatch.context() as context:
        context.setattr(recordings, "decode", failing)
        assert len(extract_waveforms(copied, tmp_path / "made").failures) == 2
        assert extract_waveforms(copied, tmp_path / "made", retry_failures=True).n_written == 0
    assert len(extract_waveforms(copied, tmp_path / "made").failures) == 2
    result = extract_waveforms(copied, tmp_path / "made", retry_failures=True)
    assert (result.n_written, result.n_shards, result.failures) == (2, 3, [])
    assert contents(tmp_path / "made") == contents(tmp_path / "expected")


def test_options_of_retries_are_checked(folder, tmp_path):
    with pytest.raises(ValueError, match="retries must be an integer of at least 0, got -1"):
        extract_waveforms(folder, tmp_path / "made", retries=-1)
    with pytest.raises(TypeError, match="retry_failures must be"):
        extract_waveforms(folder, tmp_path / "made", retry_failures="all")
