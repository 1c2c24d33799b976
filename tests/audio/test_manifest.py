import json
import os
import re
from pathlib import Path

import pytest

from artifex.generative_models.modalities.audio.datasets.manifests import (
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
    Recording(path="dog/b, the second.wav", label="dog", split="test", sample_rate=8000, n_channels=1, n_samples=9),
]
CSV = (
    "path,label,split,start,end,sample_rate,n_channels,n_samples,note\n"
    'a.wav,1,train,.5,2,,,,"x"\n'
    "\n"
    '"dog/b, the second.wav",dog,test,,,8000,1,9,\n'
)
JSONL = (
    '{"path": "a.wav", "label": 1, "split": "train", "start": 0.5, "end": 2, "note": ["x"]}\n\n'
    '{"path": "dog/b, the second.wav", "label": "dog", "split": "test", "sample_rate": 8000, "n_channels": 1,'
    ' "n_samples": 9, "end": null}\n'
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
def test_a_manifest_is_read_in_every_format(folder, name, content):
    (folder / name).write_bytes(content)
    read = read_manifest(folder / name)
    assert [each.path for each in read] == [str(folder / each.path) for each in FULL]
    for each, expected in zip(read, FULL, strict=True):
        for key in ("label", "split", "start", "end", "sample_rate", "n_channels", "n_samples"):
            assert getattr(each, key) == getattr(expected, key), key


FAULTS = {
    "empty": ("t.csv", b"", "t.csv: the manifest is empty"),
    "empty lines": ("t.jsonl", b"\n\n", "t.jsonl: the manifest contains no recordings"),
    "header alone": ("t.csv", b"path,label\n", "t.csv: the manifest contains no recordings"),
    "bom alone": ("t.csv", b"\xef\xbb\xbf", "t.csv: the manifest is empty"),
    "no path": ("t.csv", b"label,file\n1,a.wav\n", "t.csv:1: expected a column 'path', got 'label', 'file'; rename 'file'"),
    "misspelled path": ("t.csv", b"Path\na.wav\n", "t.csv:1: expected a column 'path', got 'Path'; rename 'Path'"),
    "no path in JSON": ("t.jsonl", b'{"file": "a.wav"}', "t.jsonl:1: expected a column 'path', got 'file'; rename 'file'"),
    "semicolons": ("t.csv", b"path;label\na.wav;1\n", "columns must be separated by commas"),
    "duplicate column": ("t.csv", b"path,label,label\na.wav,1,2\n", "t.csv:1: duplicate column 'label'"),
    "cells": ("t.csv", b"path,label\na.wav,1\na.wav,1,2\n", "t.csv:3: expected 2 cells, as in the first line, got 3"),
    "quote": ("t.csv", b'path,label\n"a.wav,1\n', "t.csv:2: cannot be parsed: unexpected end of data"),
    "latin-1": ("t.csv", b"path\na.wav\n\xe9.wav\n", "t.csv:3: is not valid UTF-8"),
    "utf-16": ("t.csv", "path\na.wav\n".encode("utf-16"), "t.csv:1: is not valid UTF-8"),
    "invalid JSON": ("t.jsonl", b'{"path": "a.wav"}\n{"path": a.wav}\n', "t.jsonl:2: is not valid JSON"),
    "a list": ("t.jsonl", b'["a.wav"]\n', "t.jsonl:1: expected a JSON object with a path, got list"),
    "path is a number": ("t.jsonl", b'{"path": 7}\n', "t.jsonl:1: path must be the path of a file, got 7"),
    "empty path": ("t.csv", b"path,label\n,1\n", "t.csv:2: path must be the path of a file, got None"),
    "missing file": ("t.csv", b"path\na.wav\nz.wav\n", "t.csv:3: no such file: "),
    "start is a string": ("t.csv", b"path,start\na.wav,one\n", "t.csv:2: start must be a number of seconds of at least 0, got 'one'"),
    "negative start": ("t.jsonl", b'{"path": "a.wav", "start": -1}', "t.jsonl:1: start must be a number of seconds"),
    "start nan": ("t.csv", b"path,start\na.wav,nan\n", "t.csv:2: start must be a number of seconds"),
    "end infinite": ("t.jsonl", b'{"path": "a.wav", "end": Infinity}', "t.jsonl:1: end must be a number of seconds"),
    "start is a bool": ("t.jsonl", b'{"path": "a.wav", "start": true}', "t.jsonl:1: start must be a number of seconds"),
    "end before start": ("t.csv", b"path,start,end\na.wav,2,1\n", "t.csv:2: end must be after start = 2 s, got 1 s"),
    "end at start": ("t.csv", b"path,start,end\na.wav,2,2\n", "t.csv:2: end must be after start = 2 s, got 2 s"),
    "end zero": ("t.csv", b"path,end\na.wav,0\n", "t.csv:2: end must be after start = 0 s, got 0 s"),
    "label is a list": ("t.jsonl", b'{"path": "a.wav", "label": ["x"]}', "t.jsonl:1: label must be a string or an integer"),
    "no samples": ("t.csv", b"path,n_samples\na.wav,0\n", "t.csv:2: n_samples must be an integer of at least 1, got '0'"),
    "rate is a float": ("t.jsonl", b'{"path": "a.wav", "sample_rate": 8e3}', "t.jsonl:1: sample_rate must be an integer"),
    "missing label": ("t.csv", b"path,label\na.wav,1\na.wav,\n", "t.csv:3: has no label, but other lines do"),
    "missing split": ("t.csv", b"path,split\na.wav,\na.wav,x\n", "t.csv:2: has no split, but other lines do"),
    "suffix": ("t.json", b"{}", "t.json: a manifest must end in .csv, .tsv or .jsonl"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_an_invalid_manifest_raises_and_names_the_line(folder, fault):
    name, content, message = FAULTS[fault]
    (folder / name).write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError), match=re.escape(message)) as raised:
        read_manifest(folder / name)
    assert str(raised.value).startswith(str(folder))


def test_a_missing_manifest_raises(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"t\.csv: no such manifest"):
        read_manifest(tmp_path / "t.csv")
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(ValueError, match=r"t\.csv: is a folder"):
        read_manifest(tmp_path / "t.csv")


def test_missing_files_are_accepted_without_check_paths(tmp_path):
    (tmp_path / "t.csv").write_text("path\nz.wav\n/abs/z.wav\n")
    assert [each.path for each in read_manifest(tmp_path / "t.csv", check_paths=False)] == [
        str(tmp_path / "z.wav"),
        "/abs/z.wav",
    ]


def test_a_manifest_round_trips_and_moves_with_its_folder(folder):
    odd = os.fsdecode(b"odd\xff.wav")
    rows = [
        {"path": folder / "dog" / "b, the second.wav", "label": "dog", "end": None, "n_samples": 5, "peak": 0.5},
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
    assert (read[0].label, read[0].n_samples, read[3].path) == ("dog", 5, "/elsewhere/c.wav")


def test_a_manifest_is_written_atomically(folder):
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
def test_the_label_is_the_folder_directly_below_the_root(file, root, label):
    assert folder_label(Path(file), Path(root)) == label


def test_labels_are_sorted_by_number_then_alphabetically():
    assert label_names(["b", "10", "2", "a", "²", "b"]) == ("2", "10", "a", "b", "²")
