import csv
import gzip
import json
import os
import re
from pathlib import Path

import pytest

from artifex.generative_models.modalities.audio.datasets.manifests import (
    Recording,
    label_names,
    label_recordings,
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
        ("t.tsv", CSV.replace('"', "").replace(",", "\t").replace("\t the", ", the").encode()),
        ("t.jsonl", JSONL.encode()),
        ("t.jsonl", b"\xef\xbb\xbf" + JSONL.replace("\n", "\r\n").encode()),
        ("t.json", JSONL.encode()),
        ("t.jsonl.gz", gzip.compress(JSONL.encode())),
        ("t.csv.gz", gzip.compress(CSV.encode())),
    ],
    ids=["csv", "csv-bom", "csv-crlf", "tsv", "jsonl", "jsonl-bom-crlf", "json", "jsonl-gz", "csv-gz"],
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
    "no path": ("t.csv", b"label,source\n1,a.wav\n", "t.csv:2: expected a column 'path' (or audio_filepath, file_name, wav …), got 'label', 'source'"),
    "misspelled path": ("t.csv", b"paht\na.wav\n", "got 'paht' Did you mean 'path'"),
    "no path in JSON": ("t.jsonl", b'{"source": "a.wav"}', "t.jsonl:1: expected a column 'path' (or audio_filepath, file_name, wav …), got 'source'"),
    "semicolons": ("t.csv", b"path;label\na.wav;1\n", "columns must be separated by commas"),
    "duplicate column": ("t.csv", b"path,label,label\na.wav,1,2\n", "t.csv:1: duplicate column 'label'"),
    "cells": ("t.csv", b"path,label\na.wav,1\na.wav,1,2\n", "t.csv:3: expected 2 cells, as in the first line, got 3"),
    "quote": ("t.csv", b'path,label\n"a.wav,1\n', "t.csv:2: cannot be parsed: unexpected end of data"),
    "latin-1": ("t.csv", b"path\na.wav\n\xe9.wav\n", "t.csv:3: is not valid UTF-8"),
    "utf-16": ("t.csv", "path\na.wav\n".encode("utf-16"), "t.csv:1: is not valid UTF-8"),
    "invalid JSON": ("t.jsonl", b'{"path": "a.wav"}\n{"path": a.wav}\n', "t.jsonl:2: is not valid JSON"),
    "a list": ("t.jsonl", b'["a.wav"]\n', "t.jsonl:1: expected a JSON object with a path, got list"),
    "path is a number": ("t.jsonl", b'{"path": 7}\n', "t.jsonl:1: path must be the path of a file, got 7"),
    "empty path": ("t.csv", b"path,label\n,1\n", "t.csv:2: expected a column 'path' (or audio_filepath, file_name, wav …), got 'label'"),
    "missing file": ("t.csv", b"path\na.wav\nz.wav\n", "t.csv:3: no such file: "),
    "start is a string": ("t.csv", b"path,start\na.wav,one\n", "t.csv:2: start must be a number of seconds from 0 to 1e+09, got 'one'"),
    "negative start": ("t.jsonl", b'{"path": "a.wav", "start": -1}', "t.jsonl:1: start must be a number of seconds"),
    "start nan": ("t.csv", b"path,start\na.wav,nan\n", "t.csv:2: start must be a number of seconds"),
    "end infinite": ("t.jsonl", b'{"path": "a.wav", "end": Infinity}', "t.jsonl:1: end must be a number of seconds"),
    "start is a bool": ("t.jsonl", b'{"path": "a.wav", "start": true}', "t.jsonl:1: start must be a number of seconds"),
    "end before start": ("t.csv", b"path,start,end\na.wav,2,1\n", "t.csv:2: end must be after start = 2 s, got 1 s"),
    "end at start": ("t.csv", b"path,start,end\na.wav,2,2\n", "t.csv:2: end must be after start = 2 s, got 2 s"),
    "end zero": ("t.csv", b"path,end\na.wav,0\n", "t.csv:2: end must be after start = 0 s, got 0 s"),
    "label is an object": ("t.jsonl", b'{"path": "a.wav", "label": {"x": 1}}', "t.jsonl:1: label must be a string, a number, or a list of them, got a dict"),
    "nested labels": ("t.jsonl", b'{"path": "a.wav", "label": [["x"]]}', "t.jsonl:1: label must be a string, a number, or a list of them, got a list"),
    "label is a bool": ("t.jsonl", b'{"path": "a.wav", "label": true}', "t.jsonl:1: label must be a string, a number"),
    "label is infinite": ("t.jsonl", b'{"path": "a.wav", "label": Infinity}', "t.jsonl:1: label must be a string, a number"),
    "nested infinity": ("t.jsonl", b'{"path": "a.wav", "pitch": [-Infinity]}', "t.jsonl:1: pitch cannot be written as JSON"),
    "no samples": ("t.csv", b"path,n_samples\na.wav,0\n", "t.csv:2: n_samples must be an integer from 1 to 281474976710656, got '0'"),
    "fraction of a rate": ("t.jsonl", b'{"path": "a.wav", "sample_rate": 8e3, "fs": 1}', "columns 'sample_rate' and 'fs' are both the sample_rate"),
    "rate is a fraction": ("t.jsonl", b'{"path": "a.wav", "sample_rate": 8000.5}', "t.jsonl:1: sample_rate must be an integer from 1"),
    "huge rate": ("t.jsonl", b'{"path": "a.wav", "sample_rate": 1000000000000000000000000000000}', "got an integer of more than 30 digits"),
    "huge start": ("t.jsonl", b'{"path": "a.wav", "start": 1e30}', "t.jsonl:1: start must be a number of seconds from 0 to 1e+09, got 1e+30"),
    "huge integer": ("t.jsonl", b'{"path": "a.wav", "n_samples": ' + b"9" * 1000 + b"}", "got an integer of more than 30 digits"),
    "huge digits": ("t.jsonl", b'{"path": "a.wav", "n_samples": ' + b"9" * 100_000 + b"}", "t.jsonl:1: is not valid JSON: Exceeds the limit"),
    "deep JSON": ("t.jsonl", b'{"path": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "t.jsonl:1: is nested too deeply"),
    "two paths": ("t.csv", b"path,filename\na.wav,b.wav\n", "t.csv:2: columns 'path' and 'filename' are both the path; drop or rename one of them"),
    "two starts": ("t.jsonl", b'{"path": "a.wav", "start": 0, "offset": 1}', "columns 'start' and 'offset' are both the start"),
    "duration and end": ("t.csv", b"path,start,end,duration\na.wav,1,2,1.5\n", "t.csv:2: duration = 1.5 s does not agree with start = 1 s and end = 2 s"),
    "no duration": ("t.csv", b"path,duration\na.wav,0\n", "t.csv:2: duration must be above 0 s"),
    "samples": ("t.csv", b"path,startSample\na.wav,100\n", "t.csv:2: column 'startSample' may be a time"),
    "frames": ("t.jsonl", b'{"path": "a.wav", "frame_offset": 7}', "t.jsonl:1: column 'frame_offset' may be a time"),
    **{
        f"column {column}": ("t.csv", f"path,{column}\na.wav,1\n".encode(), f"t.csv:2: column {column!r} may be a time")
        for column in ("in", "cue_out", "xmin", "frames", "durations", "markIn")
    },
    "comment": ("t.csv", b"# of 2026\npath,label\na.wav,1\n", "t.csv:2: expected 1 cells, as in the first line, got 2; manifests have no comments"),
    "comment in a row": ("t.csv", b"path,label\n# a.wav\n", "got 1; manifests have no comments: remove the line that begins with #"),
    "microseconds": ("t.csv", b"path,segment_start_us\na.wav,1\n", "t.csv:2: column 'segment_start_us' may be a time"),
    "seconds": ("t.csv", b"path,seconds\na.wav,1\n", "t.csv:2: column 'seconds' may be a time"),
    "audio length": ("t.csv", b"path,audio_length\na.wav,1\n", "t.csv:2: column 'audio_length' may be a time"),
    "clock": ("t.csv", b"path,start\na.wav,00:01:02\n", "t.csv:2: start must be a number of seconds"),
    "length": ("t.csv", b"path,length\na.wav,1\n", "t.csv:2: column 'length' may be a time"),
    "URL": ("t.csv", b"path\nhttps://host/a.wav\n", "t.csv:2: path must be the path of a file, got the URL 'https://host/a.wav'"),
    "drive": ("t.csv", b"path\nC:\\a.wav\n", "t.csv:2: path is an absolute path of Windows"),
    "not gzip": ("t.jsonl.gz", b"{}", "t.jsonl.gz: cannot be decompressed"),
    "missing label": ("t.csv", b"path,label\na.wav,1\na.wav,\n", "t.csv:3: has no label, but other recordings do"),
    "missing split": ("t.csv", b"path,split\na.wav,\na.wav,x\n", "t.csv:2: has no split, but other recordings do"),
    "suffix": ("t.txt", b"{}", "t.txt: is not a manifest; expected a file that ends in .csv, .csv.gz, .json, .json.gz, .jsonl, .jsonl.gz, .tsv, .tsv.gz, or a folder with wav.scp"),
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
    assert label_recordings([(Path(file), Path(root))])[0].label == label


def test_labels_are_sorted_by_number_then_alphabetically():
    assert label_names(["b", "10", "2", "a", "²", "b"]) == ("2", "10", "a", "b", "²")
    assert label_names(["10", "-1", "1.5", "x", "-1.25", "007", "1e3"]) == (
        "-1.25",
        "-1",
        "1.5",
        "007",
        "10",
        "1e3",
        "x",
    )


TIMES = [
    ({"start": 0.25, "end": 0.5}, (0.25, 0.5)),
    ({"offset": 0.25, "duration": 0.5}, (0.25, 0.75)),
    ({"start_time": 0.25, "end_time": 0.5}, (0.25, 0.5)),
    ({"begin": 0.25, "Duration": 0.5}, (0.25, 0.75)),
    ({"onset": 0.25, "offset": 0.5}, (0.25, 0.5)),
    ({"onset": None, "offset": 0.5}, (0.0, 0.5)),
    ({"startTime": 0.25, "stop": 0.5}, (0.25, 0.5)),
    ({"start (s)": 0.25, "end (s)": 0.5}, (0.25, 0.5)),
    ({"segment_start": 0.25, "segment_end": 0.5}, (0.25, 0.5)),
    ({"seg_begin_seconds": 0.25, "segmentDuration": 0.25}, (0.25, 0.5)),
    ({"start_ms": 250, "duration[ms]": 250}, (0.25, 0.5)),
    ({"t_start": 0.25, "t_end": 0.5}, (0.25, 0.5)),
    ({"from": 0.25, "to": 0.5}, (0.25, 0.5)),
    ({"event_onset": 0.25, "event_offset": 0.5}, (0.25, 0.5)),
    ({"start_in_seconds": 0.25, "duration_secs": 0.25}, (0.25, 0.5)),
    ({"audio_offset": 0.25, "audio_duration": 0.25}, (0.25, 0.5)),
    ({"start_timestamp": 0.25, "end_timestamp": 0.5}, (0.25, 0.5)),
    ({"start": 0.25, "end": 0.5, "duration": 0.25}, (0.25, 0.5)),
    ({"duration": 0.5}, (0.0, 0.5)),
    ({"offset": 0, "duration": None}, (0.0, None)),
    ({"duration": 0.5, "n_samples": 4000, "sample_rate": 8000}, (0.0, None)),
]


@pytest.mark.parametrize(("times", "expected"), TIMES)
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_times_are_understood_under_their_usual_names(folder, times, expected, suffix):
    row = {"file": "a.wav", **times}
    separator = {".csv": ",", ".tsv": "\t"}.get(suffix)
    if separator:
        cells = ["" if value is None else str(value) for value in row.values()]
        content = separator.join(row) + "\n" + separator.join(cells) + "\n"
    else:
        content = json.dumps(row)
    (folder / f"t{suffix}").write_text(content)
    read = read_manifest(folder / f"t{suffix}")[0]
    assert (read.start, read.end) == expected


@pytest.mark.parametrize(
    "name",
    [
        "path",
        "audio_filepath",
        "wav",
        "file_name",
        "filename",
        "File Name",
        "audioPath",
        "fname",
        "audio",
        "wavfile",
        "mp3_path",
        "sound_file",
        "full_path",
        "slice_file_name",
    ],
)
def test_the_file_is_understood_under_its_usual_names(folder, name):
    (folder / "t.csv").write_text(f"{name},note\na.wav,x\n")
    read = read_manifest(folder / "t.csv")[0]
    assert (read.path, read.name, read.annotations) == (str(folder / "a.wav"), "a.wav", {"note": "x"})


def test_backslashes_separate_folders_unless_a_file_has_them(folder):
    (folder / "odd\\name.wav").touch()
    (folder / "t.csv").write_text('path\n"dog\\b, the second.wav"\nodd\\name.wav\n.\\dog\\..\\a.wav\n')
    read = read_manifest(folder / "t.csv")
    assert [each.name for each in read] == ["dog/b, the second.wav", "odd\\name.wav", "a.wav"]
    assert all(os.path.exists(each.path) for each in read)


def test_a_path_may_start_at_the_home_folder(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder / "dog"))
    (folder / "t.jsonl").write_text('{"path": "~/b, the second.wav"}')
    assert read_manifest(folder / "t.jsonl")[0].path == str(folder / "dog" / "b, the second.wav")


def test_tsv_has_no_quoting_and_csv_has(folder):
    rows = [("a.wav", '"Stop!" he said'), ("a.wav", '"go'), ("a.wav", 'on"'), ("a.wav", "é.wav\u2028x")]
    (folder / "t.tsv").write_text("path\ttext\n" + "".join(f"{path}\t{text}\n" for path, text in rows))
    assert [each.annotations["text"] for each in read_manifest(folder / "t.tsv")] == [text for _, text in rows]
    with (folder / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "text"), *rows, ("a.wav", "two\nlines, quoted")])
    read = read_manifest(folder / "t.csv")
    assert [each.annotations["text"] for each in read] == [*(text for _, text in rows), "two\nlines, quoted"]


def test_nan_in_json_is_a_missing_value(folder):
    (folder / "t.jsonl").write_text('{"path": "a.wav", "label": NaN, "text": NaN, "end": NaN, "pitch": [NaN, 1]}')
    read = read_manifest(folder / "t.jsonl")[0]
    assert (read.label, read.end, read.annotations) == (None, None, {"pitch": [None, 1]})


def test_lists_of_labels_are_kept_and_written(folder):
    (folder / "t.jsonl").write_text(
        '{"path": "a.wav", "label": ["dog", 7, -1.5]}\n{"path": "a.wav", "label": []}\n{"path": "a.wav", "label": "x"}\n'
    )
    read = read_manifest(folder / "t.jsonl")
    assert [each.label for each in read] == [("dog", "7", "-1.5"), (), "x"]
    write_manifest(folder / "w.jsonl", [{"path": each.path, "label": each.label} for each in read])
    assert [each.label for each in read_manifest(folder / "w.jsonl")] == [each.label for each in read]


def test_other_columns_are_annotations(folder):
    names = (
        "speaker",
        "text",
        "rttm_filepath",
        "pitch_offset",
        "text_length",
        "sample",
        "transcript",
        "fold",
        "age",
        "id",
        "date",
    )
    (folder / "t.jsonl").write_text(json.dumps({"path": "a.wav", **dict.fromkeys(names, "x")}))
    assert tuple(read_manifest(folder / "t.jsonl")[0].annotations) == names


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "path,label,\na.wav,dog\n"),
        ("t.csv", "path,label\na.wav,dog,,\n"),
        ("t.csv", "path,label,,\r\na.wav,dog,,\r\n"),
        ("t.csv", 'path, label\n"a.wav", "dog"\n'),
        ("t.tsv", "path\tlabel\na.wav\tdog\t\n"),
    ],
    ids=["header", "row", "both", "space before a quote", "tsv"],
)
def test_empty_last_cells_and_spaces_of_spreadsheets_are_ignored(folder, name, content):
    (folder / name).write_text(content)
    (recording,) = read_manifest(folder / name)
    assert (recording.name, recording.label, dict(recording.annotations)) == ("a.wav", "dog", {})


def test_integers_may_be_written_as_floats_as_by_pandas(folder):
    (folder / "t.csv").write_text("path,sample_rate,n_samples\na.wav,16000.0,4000.\n")
    (recording,) = read_manifest(folder / "t.csv")
    assert (recording.sample_rate, recording.n_samples) == (16000, 4000)
