"""Atomic writes leave the old file or the new one, and no temporary files."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from artifex.generative_models.core import DiskFullError, files
from artifex.generative_models.core.errors import printable, printable_lines

KILLED = """
import os, socket, sys
from pathlib import Path
{patch}
from artifex.generative_models.core.files import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    os._exit(0)
"""
OTHER_HOSTS = {
    "name": "socket.gethostname = lambda: 'another-host'",
    "boot": "Path.read_text = lambda *_: 'another-boot'",
    "pid namespace": "os.readlink = lambda *_: 'pid:[1]'",
}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write_and_be_killed(target, patch=""):
    subprocess.run([sys.executable, "-c", KILLED.format(patch=patch), target], check=True)


def test_a_failed_write_keeps_the_old_file(tmp_path):
    target = tmp_path / "scores.json"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), files.atomic_path(target) as temporary:
        temporary.write_text(f"half of {1 / 0}")
    assert (target.read_text(), names(tmp_path)) == ("old", ["scores.json"])


def test_a_missing_folder_raises(tmp_path):
    with pytest.raises(FileNotFoundError):
        files.write_atomic(tmp_path / "missing" / "scores.json", "{}")


def test_temporary_names_are_unpredictable(tmp_path):
    target = tmp_path / "scores.json"
    with files.atomic_path(target) as first, files.atomic_path(target) as second:
        assert first != second
        assert files.temporary_files(tmp_path) == sorted([first, second])
        assert not files.remove_abandoned_files(tmp_path)  # this process still writes them
    assert names(tmp_path) == ["scores.json"]


def test_only_files_of_ended_processes_are_removed(tmp_path):
    with files.atomic_path(tmp_path / "scores.json") as temporary:
        mine = temporary.name
    ended = tmp_path / mine.replace(f"-{os.getpid()}-", "-999999999-")
    elsewhere = tmp_path / ended.name.replace(".scores.json.", ".scores.json.another")
    unrelated = tmp_path / "notes.tmp"
    for path in (ended, elsewhere, unrelated):
        path.write_text("half")
    assert files.remove_abandoned_files(tmp_path) == [ended]
    assert files.remove_abandoned_files(tmp_path, other_hosts=True) == [elsewhere]
    assert names(tmp_path) == ["notes.tmp", "scores.json"]


def test_the_file_of_a_killed_process_is_removed(tmp_path):
    write_and_be_killed(tmp_path / "scores.json")
    assert len(names(tmp_path)) == 1
    assert len(files.remove_abandoned_files(tmp_path)) == 1
    assert names(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has process-id namespaces and boot ids")
@pytest.mark.parametrize("patch", OTHER_HOSTS.values(), ids=OTHER_HOSTS)
def test_processes_are_looked_up_only_where_their_ids_are_comparable(tmp_path, patch):
    write_and_be_killed(tmp_path / "scores.json", patch)
    assert files.remove_abandoned_files(tmp_path) == []
    assert len(files.remove_abandoned_files(tmp_path, other_hosts=True)) == 1


def test_a_name_as_long_as_the_file_system_allows_can_be_written(tmp_path):
    name = "ä" * 125 + ".json"
    files.write_atomic(tmp_path / name, "{}")
    assert names(tmp_path) == [name]


@pytest.mark.parametrize("write", [files.write_atomic, files.create_atomic])
def test_a_temporary_file_that_another_host_removes_is_written_again(tmp_path, monkeypatch, write):
    sync, n_removed = os.fsync, []

    def sync_and_sweep(descriptor):
        sync(descriptor)
        if not n_removed:  # after the content was synced, before it replaces the target
            n_removed.append(len([path.unlink() for path in files.temporary_files(tmp_path)]))

    monkeypatch.setattr(os, "fsync", sync_and_sweep)
    write(tmp_path / "scores.json", b"{}")
    assert n_removed == [1]
    assert (tmp_path / "scores.json").read_bytes() == b"{}"
    assert names(tmp_path) == ["scores.json"]


def test_a_link_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "other.json").write_text("other")
    (tmp_path / "scores.json").symlink_to("other.json")
    files.write_atomic(tmp_path / "scores.json", "{}")
    assert (tmp_path / "other.json").read_text() == "other"
    assert (tmp_path / "scores.json").read_text() == "{}"


def test_a_folder_is_not_replaced(tmp_path):
    with pytest.raises(IsADirectoryError, match="give the name of a file"):
        files.write_atomic(tmp_path, "{}")


@pytest.mark.parametrize("write", [files.write_atomic, files.create_atomic])
def test_a_full_disk_is_an_error_of_its_own_and_leaves_nothing(tmp_path, full_disk, write):
    (tmp_path / "kept.json").write_text("old")
    for name in ("kept.json", "new.json"):
        with pytest.raises(DiskFullError, match=f"{name} cannot be written: File too large; free space"):
            write(tmp_path / name, bytes(2000))
    assert names(tmp_path) == ["kept.json"]
    assert (tmp_path / "kept.json").read_text() == "old"


def test_other_errors_are_not_those_of_a_full_disk(tmp_path):
    with pytest.raises(PermissionError), files.disk_full_errors(tmp_path):
        raise PermissionError(13, "Permission denied")
    with pytest.raises(ValueError, match="a rate"), files.disk_full_errors(tmp_path):
        raise ValueError("a rate")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("naïve 名前 🎵.wav", "naïve 名前 🎵.wav"),
        ("a\x1b[31m.wav", "a\\x1b[31m.wav"),
        ("a\nartifex: all is well\r", "a\\nartifex: all is well\\r"),
        ("a\x9b2J\x7f", "a\\x9b2J\\x7f"),
        ("gpj.\u202evaw", "gpj.\\u202evaw"),
        ("a\u2028b", "a\\u2028b"),
        (os.fsdecode(b"\xff.wav"), "\\udcff.wav"),
        ("a\u3000b\u00a0c", "a\u3000b\u00a0c"),
        (Path("a\tb.wav"), "a\\tb.wav"),
    ],
)
def test_names_are_printed_without_control_characters(given, expected):
    assert printable(given) == expected
    printable(given).encode()


def test_messages_keep_their_line_breaks():
    assert printable_lines("two\nlines\x07") == "two\nlines\\x07"


@pytest.mark.parametrize("suffix", [".toml", ".yaml", ".yml"])
def test_a_table_is_read_back_as_written(tmp_path, suffix):
    path = tmp_path / f"settings{suffix}"
    table = {"hop_length": 256, "window": {"name": "kaiser", "beta": 8.0}, "rates": [8000, 16000]}
    files.write_atomic(path, files.format_table(path, table))
    assert files.read_table(path) == table


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"{}", "must end in .toml, .yaml or .yml"),
        ("a.toml", b"x = ", "cannot be parsed"),
        ("a.yaml", b"x: [1", "cannot be parsed"),
        ("a.yaml", b"- 1", "must contain a table of settings, got list"),
        ("a.toml", b"\xff", "is not UTF-8 text"),
    ],
)
def test_a_file_that_is_not_a_table_raises(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        files.read_table(tmp_path / name)


def test_of_several_threads_one_creates_a_file(tmp_path):
    contents = [str(index).encode() * 1000 for index in range(8)]
    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(lambda content: files.create_atomic(tmp_path / "plan.json", content), contents))
    assert created.count(True) == 1
    assert (tmp_path / "plan.json").read_bytes() == contents[created.index(True)]
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


BOMBS = {
    "aliases": ("t.yaml", "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)), "aliases expand to more than 100000 values"),
    "alias of itself": ("t.yaml", "a: &a [*a]\n", "a value contains an alias of itself"),
    "deep flow": ("t.yaml", "a: " + "[" * 100_000, "nested more than 64 levels deep"),
    "deep block": ("t.yaml", "".join(" " * i + "a:\n" for i in range(3000)), "nested more than 64 levels deep"),
    "long integer": ("t.yaml", "a: " + ":".join(["59"] * 50_000), "a number has more than 400 characters"),
    "long float": ("t.yaml", "a: " + ":".join(["59"] * 50_000) + ".5", "a number has more than 400 characters"),
    "deep TOML": ("t.toml", "a = " + "[" * 100_000 + "]" * 100_000, "cannot be parsed"),
    "long key": ("t.toml", ".".join(["a"] * 50_000) + " = 1", "a key is nested more than 64 levels deep"),
    "long quoted key": ("t.toml", " . ".join(['"a"'] * 50_000) + " = 1", "a key is nested more than 64 levels deep"),
    "long integer in TOML": ("t.toml", "a = " + "9" * 100_000, "cannot be parsed: Exceeds the limit"),
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
def test_small_files_that_take_minutes_to_parse_are_refused(bomb):
    name, text, message = BOMBS[bomb]
    code = f"""
import sys
from artifex.generative_models.core.files import parse_table
try:
    parse_table({name!r}, sys.stdin.read())
except ValueError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], input=text, capture_output=True, text=True, timeout=60, check=True
    )
    assert message in done.stdout


def test_aliases_are_read():
    text = "base: &base {rate: 16000, taps: [1, 2]}\nother:\n  <<: *base\n  rate: 8000\nlist: [*base, *base]\n"
    base = {"rate": 16000, "taps": [1, 2]}
    assert files.parse_table("t.yml", text) == {"base": base, "other": {**base, "rate": 8000}, "list": [base, base]}
