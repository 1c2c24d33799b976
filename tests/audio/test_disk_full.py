"""A full disk is one line with an exit code of its own in every command, and leaves nothing half-written."""

import errno
import json
import os
import resource

import numpy as np
import pytest

from artifex.generative_models.core import DiskFullError
from artifex.generative_models.modalities.audio.extraction import store
from artifex.generative_models.modalities.audio.io import write_audio
from artifex.generative_models.modalities.audio.shards.layout import PLAN, SHARDS
from artifex.generative_models.modalities.audio.shards.reading import plan_digest


@pytest.fixture
def audio(tmp_path):
    write_audio(tmp_path / "a.wav", 0.5 * np.sin(np.arange(4000)), 8000)
    return tmp_path / "a.wav"


@pytest.fixture
def full_disk(monkeypatch):
    """Let the system report a full disk when a file is synced, where a network file system reports it."""

    def fail(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (("scan", "a.wav", "--out", "m.jsonl"), "m.jsonl"),
        (("extract", "a.wav", "--representation", "raw_waveform", "--no-report"), f"features/{PLAN}"),
        (("augment", "a.wav", "--policy", "random_gain", "--draws", "1"), "augmented/a.draw-1.wav"),
        (("features", "a.wav"), "a.features.png"),
    ],
)
def test_a_full_disk_is_one_line_with_its_own_exit_code(artifex, audio, full_disk, monkeypatch, command, name):
    monkeypatch.chdir(audio.parent)
    code, _, err = artifex(*command)
    assert (code, err.count("\n")) == (3, 1)
    assert err.startswith("artifex: ")
    assert err.endswith(f"{name} cannot be written: No space left on device; free space, or write to another disk\n")
    assert [path.name for path in audio.parent.rglob("*") if path.is_file()] == ["a.wav"]


def test_an_extraction_continues_when_there_is_space_again(artifex, audio, monkeypatch):
    monkeypatch.chdir(audio.parent)
    command = ("extract", "a.wav", "--representation", "raw_waveform", "--no-report")
    sync, n_files = os.fsync, []

    def fail_at_the_third_file(descriptor):
        n_files.append(descriptor)
        if len(n_files) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fail_at_the_third_file)
    assert artifex(*command)[0] == 3
    assert artifex(*command)[0] == 0
    assert len((audio.parent / "features" / "manifest.jsonl").read_text().splitlines()) == 1


def test_the_error_of_a_library_that_writes_the_file_itself_is_recognized(tmp_path):
    (tmp_path / SHARDS).mkdir()
    (tmp_path / PLAN).write_text(json.dumps({}))
    example = {"index": 0, "dtypes": {"x": "float32"}}, {"x": np.zeros(4000, np.float32)}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(DiskFullError, match=r"00000.*arrayrecord cannot be written: File too large"):
            store.write_shard(tmp_path, 0, plan_digest(tmp_path), [example], [])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((tmp_path / SHARDS).iterdir()) == []
