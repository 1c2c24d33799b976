import json
import os
import re
from pathlib import Path

import pytest

from artifex.generative_models.modalities.audio.datasets.manifest import (
    Recording,
    folder_label,
    label_names,
    read_manifest,
    write_manifest,
)


@pytest.fixture
def folder(tmp_path):
    for name in ("a.wav", "dog/b, the second.wav", "é.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


FULL = [
    Recording(path="a.wav", label="1", split="train", start=0.5, end=2.0),
    Recording(path="dog/b, the second.wav", label="dog", split="test", sample_rate=8000, n_channels=1, n_frames=9),
]
CSV = (
    "path,label,split,start,end,sample_rate,n_channels,n_frames,note\n"
    'a.wav,1,train,.5,2,,,,"x"\n'
    "\n"
    '"dog/b, the second.wav",dog,test,,,8000,1,9,\n'
)
JSONL = (
    '{"path": "a.wav", "label": 1, "split": "train", "start": 0.5, "end": 2, "note": ["x"]}\n\n'
    '{"path": "dog/b, the second.wav", "label": "dog", "split": "test", "sample_rate": 8000, "n_channels": 1,'
    ' "n_frames": 9, "end": null}\n'
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", CSV.encode()),
        ("t.csv", b"\xef\xbb\xbf" + CSV.encode()),
        ("t.CSV", CSV.replace("\n", "\r\n").encode()),
        ("t.tsv", CSV.replace(",", "\t").replace("\t the", ", the").encode()),
        ("t.jsonl", JSONL.encode()),
        ("t.jsonl", b"\xef\xbb\xbf" + JSONL.replace("\n", "\r\n").encode()),
    ],
    ids=["csv", "csv-bom", "csv-crlf", "tsv", "jsonl", "jsonl-bom-crlf"],
)
def test_a_table_is_read_as_what_it_says(folder, name, content):
    (folder / name).write_bytes(content)
    read = read_manifest(folder / name)
    assert [each.path for each in read] == [str(folder / each.path) for each in FULL]
    for each, expected in zip(read, FULL, strict=True):
        for key in ("label", "split", "start", "end", "sample_rate", "n_channels", "n_frames"):
            assert getattr(each, key) == getattr(expected, key), key


FAULTS = {
    "empty": ("t.csv", b"", "t.csv: the manifest is empty"),
    "empty lines": ("t.jsonl", b"\n\n", "t.jsonl: the manifest names no recordings"),
    "header alone": ("t.csv", b"path,label\n", "t.csv: the manifest names no recordings"),
    "bom alone": ("t.csv", b"\xef\xbb\xbf", "t.csv: the manifest is empty"),
    "no path": ("t.csv", b"label,file\n1,a.wav\n", "t.csv:1: has no column 'path', it has 'label', 'file'; rename 'file'"),
    "near path": ("t.csv", b"Path\na.wav\n", "t.csv:1: has no column 'path', it has 'Path'; rename 'Path'"),
    "no path in json": ("t.jsonl", b'{"file": "a.wav"}', "t.jsonl:1: has no column 'path', it has 'file'; rename 'file'"),
    "semicolons": ("t.csv", b"path;label\na.wav;1\n", "columns are separated by commas"),
    "a column twice": ("t.csv", b"path,label,label\na.wav,1,2\n", "t.csv:1: the column 'label' is there twice"),
    "cells": ("t.csv", b"path,label\na.wav,1\na.wav,1,2\n", "t.csv:3: 3 cells, but the first line names 2 columns"),
    "quote": ("t.csv", b'path,label\n"a.wav,1\n', "t.csv:2: cannot be parsed: unexpected end of data"),
    "latin-1": ("t.csv", b"path\na.wav\n\xe9.wav\n", "t.csv:3: is no text in UTF-8"),
    "utf-16": ("t.csv", "path\na.wav\n".encode("utf-16"), "t.csv:1: is no text in UTF-8"),
    "no json": ("t.jsonl", b'{"path": "a.wav"}\n{"path": a.wav}\n', "t.jsonl:2: is no JSON"),
    "a list": ("t.jsonl", b'["a.wav"]\n', "t.jsonl:1: is a JSON list; each line is an object"),
    "path no word": ("t.jsonl", b'{"path": 7}\n', "t.jsonl:1: path is the name of a file, got 7"),
    "empty path": ("t.csv", b"path,label\n,1\n", "t.csv:2: path is the name of a file, got None"),
    "not there": ("t.csv", b"path\na.wav\nz.wav\n", "t.csv:3: no such file: "),
    "start a word": ("t.csv", b"path,start\na.wav,one\n", "t.csv:2: start is a number of seconds, at least 0, got 'one'"),
    "start below": ("t.jsonl", b'{"path": "a.wav", "start": -1}', "t.jsonl:1: start is a number of seconds"),
    "start nan": ("t.csv", b"path,start\na.wav,nan\n", "t.csv:2: start is a number of seconds"),
    "end infinite": ("t.jsonl", b'{"path": "a.wav", "end": Infinity}', "t.jsonl:1: end is a number of seconds"),
    "start a flag": ("t.jsonl", b'{"path": "a.wav", "start": true}', "t.jsonl:1: start is a number of seconds"),
    "end first": ("t.csv", b"path,start,end\na.wav,2,1\n", "t.csv:2: end is 1 s, which is not after start, 2 s"),
    "end at start": ("t.csv", b"path,start,end\na.wav,2,2\n", "t.csv:2: end is 2 s, which is not after start"),
    "end zero": ("t.csv", b"path,end\na.wav,0\n", "t.csv:2: end is 0 s, which is not after start, 0 s"),
    "label a list": ("t.jsonl", b'{"path": "a.wav", "label": ["x"]}', "t.jsonl:1: label is a word or an integer"),
    "no frames": ("t.csv", b"path,n_frames\na.wav,0\n", "t.csv:2: n_frames is an integer of at least 1, got '0'"),
    "half a rate": ("t.jsonl", b'{"path": "a.wav", "sample_rate": 8e3}', "t.jsonl:1: sample_rate is an integer"),
    "a label missing": ("t.csv", b"path,label\na.wav,1\na.wav,\n", "t.csv:3: has no label, others have one"),
    "a split missing": ("t.csv", b"path,split\na.wav,\na.wav,x\n", "t.csv:2: has no split, others have one"),
    "ending": ("t.json", b"{}", "t.json: a manifest ends in .csv, .tsv or .jsonl"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_true_is_an_error_that_names_the_line(folder, fault):
    name, content, message = FAULTS[fault]
    (folder / name).write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError), match=re.escape(message)) as raised:
        read_manifest(folder / name)
    assert str(raised.value).startswith(str(folder))


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"t\.csv: no such manifest"):
        read_manifest(tmp_path / "t.csv")
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(ValueError, match=r"t\.csv: is a folder"):
        read_manifest(tmp_path / "t.csv")


def test_files_that_are_not_there_may_be_met_later(tmp_path):
    (tmp_path / "t.csv").write_text("path\nz.wav\n/abs/z.wav\n")
    assert [each.path for each in read_manifest(tmp_path / "t.csv", check_paths=False)] == [
        str(tmp_path / "z.wav"),
        "/abs/z.wav",
    ]


def test_what_is_written_is_read_back_and_moves_with_its_folder(folder):
    odd = os.fsdecode(b"odd\xff.wav")
    rows = [
        {"path": folder / "dog" / "b, the second.wav", "label": "dog", "end": None, "n_frames": 5, "peak": 0.5},
        {"path": folder / "é.wav", "label": "7"},
        {"path": folder / odd, "label": "7"},
        {"path": "/elsewhere/c.wav", "label": "7"},
    ]
    write_manifest(folder / "m.jsonl", rows)
    assert [json.loads(line)["path"] for line in (folder / "m.jsonl").read_text().splitlines()] == [
        "dog/b, the second.wav", "é.wav", odd, "/elsewhere/c.wav",
    ]  # fmt: skip
    folder.rename(folder.parent / "moved")
    read = read_manifest(folder.parent / "moved" / "m.jsonl", check_paths=False)
    assert [Path(each.path) for each in read[:3]] == [
        folder.parent / "moved" / name for name in ("dog/b, the second.wav", "é.wav", odd)
    ]
    assert (read[0].label, read[0].n_frames, read[3].path) == ("dog", 5, "/elsewhere/c.wav")


def test_a_table_is_written_whole_or_not_at_all(folder):
    write_manifest(folder / "m.jsonl", [{"path": folder / "a.wav"}])
    before, names = (folder / "m.jsonl").read_bytes(), sorted(os.listdir(folder))
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_manifest(folder / "m.jsonl", [{"path": folder / "a.wav"}, {"path": "b", "peak": float("nan")}])
    assert ((folder / "m.jsonl").read_bytes(), sorted(os.listdir(folder))) == (before, names)
    with pytest.raises(FileNotFoundError, match="the folder .*nowhere does not exist"):
        write_manifest(folder / "nowhere" / "m.jsonl", [])


@pytest.mark.parametrize(
    ("file", "root", "label"),
    [
        ("pets/dog/a.wav", "pets", "dog"),
        ("pets/dog/rex/a.wav", "pets", "dog"),
        ("pets/a.wav", "pets", "pets"),
        ("pets/dog/a.wav", "pets/dog", "dog"),
    ],
)
def test_the_label_is_the_folder_beneath_the_one_that_was_given(file, root, label):
    assert folder_label(Path(file), Path(root)) == label


def test_names_of_classes_are_ordered_by_number_then_by_letter():
    assert label_names(["b", "10", "2", "a", "²", "b"]) == ("2", "10", "a", "b", "²")
