"""Folders and patterns: every audio file is found once, or named as skipped."""

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from artifex.generative_models.core import registry
from artifex.generative_models.core.components.registries import temporary_registrations
from artifex.generative_models.modalities.audio.datasets.scanning import scan
from artifex.generative_models.modalities.audio.io import (
    AudioReadError,
    find_audio,
    search_audio,
    write_audio,
)


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def names_of(found, folder):
    return [path.relative_to(folder).as_posix() for path in found]


def test_links_to_folders_are_followed(tmp_path):
    touch(tmp_path, "data/b/1.wav", "elsewhere/2.wav", "elsewhere/more/3.wav")
    (tmp_path / "data" / "a").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert names_of(find_audio(tmp_path / "data"), tmp_path / "data") == ["a/2.wav", "a/more/3.wav", "b/1.wav"]
    (tmp_path / "link").symlink_to("data", target_is_directory=True)
    assert names_of(find_audio(tmp_path / "link"), tmp_path / "link") == ["a/2.wav", "a/more/3.wav", "b/1.wav"]


@pytest.mark.parametrize("pattern", ["", "**/*.wav", "**", "*", "**/[a-z]*"])
def test_links_that_form_a_loop_end(tmp_path, pattern):
    touch(tmp_path, "a/1.wav", "b/c/2.wav")
    for link, target in (("a/up", "."), ("a/top", ".."), ("b/c/other", "../../a"), ("b/back", "../b"), ("a/b", "../b")):
        (tmp_path / link).symlink_to(target, target_is_directory=True)
    assert names_of(find_audio(tmp_path / pattern), tmp_path) == ["a/1.wav", "b/c/2.wav"]


def test_a_folder_that_is_also_linked_to_is_found_under_its_own_name(tmp_path):
    touch(tmp_path, "zebra/1.wav")
    (tmp_path / "alias").symlink_to("zebra", target_is_directory=True)
    (tmp_path / "zebra" / "again.wav").symlink_to("1.wav")
    assert names_of(find_audio(tmp_path), tmp_path) == ["zebra/1.wav"]
    assert find_audio([tmp_path / "alias", tmp_path]) == [tmp_path / "alias" / "1.wav"]


def test_links_without_a_target_are_found_and_reading_them_raises(tmp_path):
    (tmp_path / "gone.wav").symlink_to("nowhere")
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    assert names_of(find_audio(tmp_path), tmp_path) == ["gone.wav", "loop.wav"]
    assert len(scan(tmp_path).problems) == 2


def test_files_are_in_the_order_of_their_paths(tmp_path):
    touch(tmp_path, "b.wav", "b/2.wav", "b!/3.wav", "a/z/1.wav", "a/0.wav")
    found = find_audio(tmp_path)
    assert found == sorted(found)
    assert names_of(found, tmp_path) == ["a/0.wav", "a/z/1.wav", "b/2.wav", "b!/3.wav", "b.wav"]


@pytest.mark.parametrize(
    ("number", "transient"), [(errno.EACCES, False), (errno.EINVAL, False), (errno.ENOENT, True), (errno.EIO, True)]
)
@pytest.mark.parametrize("pattern", ["", "*/*.wav", "**/*.wav"])
def test_folders_that_cannot_be_listed_raise(tmp_path, monkeypatch, pattern, number, transient):
    touch(tmp_path, "a/1.wav", "b/2.wav")
    scandir = os.scandir

    def refuse(folder):
        if os.path.basename(folder) == "b":
            raise OSError(number, os.strerror(number), folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(AudioReadError, match=f"b: is a folder that cannot be listed: {os.strerror(number)}") as raised:
        find_audio(tmp_path / pattern)
    assert raised.value.transient == transient


def test_a_folder_without_permission_raises(tmp_path):
    touch(tmp_path, "a/1.wav", "b/2.wav")
    (tmp_path / "b").chmod(0)
    try:
        if os.access(tmp_path / "b", os.R_OK):
            pytest.skip("this user can list every folder")
        with pytest.raises(AudioReadError, match="b: is a folder that cannot be listed: Permission denied"):
            find_audio(tmp_path)
    finally:
        (tmp_path / "b").chmod(0o700)


@pytest.mark.parametrize("pattern", ["", "*", "**/*"])
def test_audio_files_that_nobody_reads_are_named(tmp_path, pattern):
    touch(tmp_path, "a.wav", "b.SPH", "c/d.voc", "notes.txt", ".hidden.sph", "cover.jpg")
    found = search_audio(tmp_path / pattern)
    assert names_of([file for file, _ in found.files], tmp_path) == ["a.wav"]
    reasons = [(Path(each.source).relative_to(tmp_path).as_posix(), each.message) for each in found.skipped]
    assert reasons == [("b.SPH", "no reader decodes .sph files"), ("c/d.voc", "no reader decodes .voc files")]


@pytest.mark.parametrize("is_installed", [True, False])
def test_files_are_found_if_the_extra_that_reads_them_is_installed_else_it_is_named(
    tmp_path, monkeypatch, is_installed
):
    touch(tmp_path, "a.wav", "b.m4a")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if is_installed else None)
    found = search_audio(tmp_path)
    assert names_of([file for file, _ in found.files], tmp_path) == ["a.wav", "b.m4a"][: 1 + is_installed]
    reasons = [each.message for each in found.skipped]
    assert reasons == ["no reader decodes .m4a files; pip install 'artifex-audio[av]'"][: not is_installed]


class TakesReader:
    extensions = (".take",)
    magic = ()

    def open(self, stream, name):
        raise NotImplementedError


def test_files_of_a_plugin_are_found(tmp_path):
    touch(tmp_path, "a.take")
    with pytest.raises(ValueError, match="no audio files in this folder"):
        find_audio(tmp_path)
    with temporary_registrations():
        registry("reader").register("takes", TakesReader)
        assert names_of(find_audio(tmp_path), tmp_path) == ["a.take"]


def test_an_error_names_what_was_skipped(tmp_path):
    touch(tmp_path, *(f"{number}.sph" for number in range(5)))
    with pytest.raises(
        ValueError, match=r"no audio files in this folder; .*; skipped 0.sph, 1.sph, 2.sph and 2 more: no"
    ):
        find_audio(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"matches 5 paths, but no audio files; .*; skipped 0.sph"):
        find_audio(tmp_path / "*.sph")


@pytest.mark.parametrize("pattern", ["", "*.wav", "**/*"])
def test_pipes_and_sockets_are_skipped_with_a_note_and_never_opened(tmp_path, monkeypatch, pattern):
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    touch(tmp_path, "a.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "link.wav").symlink_to("pipe.wav")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.wav")
        found = search_audio(tmp_path / pattern)
    assert names_of([file for file, _ in found.files], tmp_path) == ["a.wav"]
    reasons = [(Path(each.source).name, each.message) for each in found.skipped]
    assert reasons == [("link.wav", "is a named pipe, not a file"), ("socket.wav", "is a socket, not a file")]
    assert scan(tmp_path).skipped == tuple(found.skipped)
    for name, kind in (("pipe.wav", "a named pipe"), ("/dev/null", "a device")):
        with pytest.raises(AudioReadError, match=f"is {kind}; expected a file or a folder"):
            find_audio(name)


def test_a_file_given_by_its_own_path_is_found_under_any_name(tmp_path):
    touch(tmp_path, "speech.sph", "a.wav")
    assert find_audio([tmp_path / "speech.sph", tmp_path]) == [tmp_path / "speech.sph", tmp_path / "a.wav"]


def test_relative_paths_stay_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "a/1.wav", "2.wav")
    for given in (".", "*", "**/*.wav", "**"):
        assert find_audio(given) == [Path("2.wav"), Path("a/1.wav")]
    assert search_audio("a").files == [(Path("a/1.wav"), Path("a"))]


def test_each_folder_is_listed_once_and_no_file_is_accessed(tmp_path, monkeypatch):
    touch(tmp_path, *(f"{folder}/{number}.wav" for folder in ("a", "b", "b/c") for number in range(30)))
    calls = {"scandir": 0, "stat": 0, "lstat": 0}
    for name in calls:
        called = getattr(os, name)

        def count(*arguments, name=name, called=called, **options):
            calls[name] += 1
            return called(*arguments, **options)

        monkeypatch.setattr(os, name, count)
    assert len(find_audio(tmp_path)) == 90
    assert calls["scandir"] == 4
    assert calls["stat"] + calls["lstat"] < 30


MEMORY = """
import sys, tracemalloc
from artifex.generative_models.modalities.audio.io import find_audio

find_audio(sys.argv[1])
tracemalloc.start()
found = find_audio(sys.argv[1])
print(len(found), tracemalloc.get_traced_memory()[1])
"""


def test_memory_per_file_is_bounded(tmp_path):
    touch(tmp_path, *(f"speaker/utterance-{number:05}.wav" for number in range(1000)))
    ended = subprocess.run([sys.executable, "-c", MEMORY, tmp_path], check=True, stdout=subprocess.PIPE)
    n_files, peak = map(int, ended.stdout.split())
    assert n_files == 1000
    assert peak < 1000 * 1500  # 150 MB for 100 000 files


@pytest.mark.parametrize(
    "name", ["evil\x1b]0;title\x07.wav", "two\nlines.wav", os.fsdecode(b"\xff.wav"), "gpj.\u202evaw"]
)
def test_errors_show_names_without_control_characters(tmp_path, name):
    with pytest.raises(FileNotFoundError) as raised:
        find_audio(tmp_path / name)
    assert str(raised.value).isprintable()
    with pytest.raises(AudioReadError) as unreadable:
        raise AudioReadError(tmp_path / name, "no such file")
    assert str(unreadable.value).isprintable()
    assert unreadable.value.path == str(tmp_path / name)


def test_commands_print_names_and_labels_without_control_characters(artifex, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evil = "evil\x1b]0;title\x07\u202e"
    (tmp_path / evil).mkdir()
    write_audio(tmp_path / evil / f"loud{evil}.wav", np.ones(100), 8000)
    touch(tmp_path, f"{evil}/empty\n{evil}.wav", f"{evil}/{evil}.sph")
    for command in (
        ("scan", tmp_path),
        ("scan", tmp_path / evil / f"{evil}.txt", "--overwrite"),
        ("extract", tmp_path / evil, "--representation", "raw_waveform", "--no-report", "--out", tmp_path / "out"),
        ("extract", tmp_path / evil, "--out", tmp_path / evil),
        ("augment", tmp_path / evil / f"empty\n{evil}.wav"),
        ("features", tmp_path / evil / f"empty\n{evil}.wav"),
    ):
        code, out, err = artifex(*command)
        assert code in (0, 1, 2)
        assert "evil\\x1b]0;title\\x07\\u202e" in out + err
        assert (out + err).replace("\n", "").isprintable()
        if "scan" in command and code == 1:
            assert "1 file skipped:\n" in out
            assert "empty\\nevil" in out
