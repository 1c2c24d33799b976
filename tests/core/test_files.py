"""Atomic writes leave the old file or the new one, and no temporary files."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from artifex.generative_models.core import files


def names(folder):
    return sorted(path.name for path in folder.iterdir())


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
    elsewhere = tmp_path / ended.name.replace(".scores.json.", ".scores.json.another-host")
    unrelated = tmp_path / "notes.tmp"
    for path in (ended, elsewhere, unrelated):
        path.write_text("half")
    assert files.remove_abandoned_files(tmp_path) == [ended]
    assert files.remove_abandoned_files(tmp_path, other_hosts=True) == [elsewhere]
    assert names(tmp_path) == ["notes.tmp", "scores.json"]


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
