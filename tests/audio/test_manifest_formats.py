"""Manifests of other tools, as these write them where they have a writer, else as published."""

import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from artifex.generative_models.core import create, registry
from artifex.generative_models.modalities.audio.base import AudioModalityConfig
from artifex.generative_models.modalities.audio.datasets import AudioFileDataset, ManifestFormat, ManifestRow
from artifex.generative_models.modalities.audio.datasets.manifests import read_manifest
from artifex.generative_models.modalities.audio.io import AudioReadError, write_audio

RATE = 8000
CONFIG = AudioModalityConfig(sample_rate=RATE, duration=0.1, normalize=False)


def staircase(path: Path, n_samples: int = 4000, rate: int = RATE, n_channels: int = 1) -> None:
    """Write a recording whose value is 0.1 in its first tenth of a second, then 0.2, and so on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    steps = (1 + np.arange(n_samples) * 10 // rate) / 10
    write_audio(path, steps if n_channels == 1 else np.stack([steps] * n_channels), rate)


# Written by lhotse 1.33.0:
#
#     from lhotse.audio import AudioSource, Recording, RecordingSet
#     from lhotse.supervision import SupervisionSegment, SupervisionSet
#     from lhotse import CutSet
#     recordings = RecordingSet.from_recordings([
#         Recording(id="rec1", sources=[AudioSource(type="file", channels=[0], source="audio/rec1.wav")],
#                   sampling_rate=8000, num_samples=4000, duration=0.5),
#         Recording(id="rec2", sources=[AudioSource(type="file", channels=[0, 1], source="audio/rec2.wav")],
#                   sampling_rate=16000, num_samples=4800, duration=0.3)])
#     supervisions = SupervisionSet.from_segments([
#         SupervisionSegment(id="rec1-a", recording_id="rec1", start=0.1, duration=0.15, channel=0, text="hello there",
#                            language="en", speaker="ann", gender="f"),
#         SupervisionSegment(id="rec2-a", recording_id="rec2", start=0.0, duration=0.3, channel=[0, 1], text="good day",
#                            speaker="bob")])
#     recordings.to_file("x_recordings_train.jsonl.gz")
#     supervisions.to_file("x_supervisions_train.jsonl.gz")
#     CutSet.from_manifests(recordings=recordings, supervisions=supervisions).to_file("x_cuts_train.jsonl.gz")
LHOTSE_RECORDINGS = """\
{"id": "rec1", "sources": [{"type": "file", "channels": [0], "source": "audio/rec1.wav"}], "sampling_rate": 8000, "num_samples": 4000, "duration": 0.5, "channel_ids": [0]}
{"id": "rec2", "sources": [{"type": "file", "channels": [0, 1], "source": "audio/rec2.wav"}], "sampling_rate": 16000, "num_samples": 4800, "duration": 0.3, "channel_ids": [0, 1]}
"""
LHOTSE_SUPERVISIONS = """\
{"id": "rec1-a", "recording_id": "rec1", "start": 0.1, "duration": 0.15, "channel": 0, "text": "hello there", "language": "en", "speaker": "ann", "gender": "f"}
{"id": "rec2-a", "recording_id": "rec2", "start": 0.0, "duration": 0.3, "channel": [0, 1], "text": "good day", "speaker": "bob"}
"""
LHOTSE_CUT = '{"id": "rec1-0", "start": 0, "duration": 0.5, "channel": 0, "supervisions": [{"id": "rec1-a", "recording_id": "rec1", "start": 0.1, "duration": 0.15, "channel": 0, "text": "hello there", "language": "en", "speaker": "ann", "gender": "f"}], "recording": {"id": "rec1", "sources": [{"type": "file", "channels": [0], "source": "audio/rec1.wav"}], "sampling_rate": 8000, "num_samples": 4000, "duration": 0.5, "channel_ids": [0]}, "type": "MonoCut"}\n'


@pytest.fixture(params=[".jsonl", ".jsonl.gz"])
def lhotse(tmp_path, request):
    staircase(tmp_path / "audio" / "rec1.wav")
    staircase(tmp_path / "audio" / "rec2.wav", 4800, 16000, n_channels=2)
    for name, text in (("recordings", LHOTSE_RECORDINGS), ("supervisions", LHOTSE_SUPERVISIONS), ("cuts", LHOTSE_CUT)):
        content = text.encode()
        (tmp_path / f"x_{name}_train{request.param}").write_bytes(
            gzip.compress(content) if request.param.endswith(".gz") else content
        )
    return tmp_path, request.param


def test_lhotse_recordings(lhotse):
    folder, suffix = lhotse
    read = read_manifest(folder / f"x_recordings_train{suffix}")
    assert [(Path(each.path), each.start, each.end) for each in read] == [
        (folder / "audio" / "rec1.wav", 0.0, None),
        (folder / "audio" / "rec2.wav", 0.0, None),
    ]
    assert [(each.sample_rate, each.n_channels, each.n_samples) for each in read] == [(8000, 1, 4000), (16000, 2, 4800)]
    assert [each.annotations["id"] for each in read] == ["rec1", "rec2"]


def test_lhotse_supervisions_are_segments_of_the_recordings_beside_them(lhotse):
    folder, suffix = lhotse
    read = read_manifest(folder / f"x_supervisions_train{suffix}")
    assert [(each.start, each.end) for each in read] == [(0.1, 0.25), (0.0, None)]
    assert read[0].annotations == {
        "id": "rec1-a", "text": "hello there", "speaker": "ann", "language": "en", "gender": "f",
    }  # fmt: skip
    data = AudioFileDataset(CONFIG, manifest=folder / f"x_supervisions_train{suffix}", annotations=True, crop="whole")
    assert [round(float(data[index]["audio"][100]), 3) for index in range(2)] == [0.2, 0.1]
    assert data.lengths().tolist() == [1200, 2400]
    assert data[1]["annotations"] == {
        "id": "rec2-a", "text": "good day", "speaker": "bob", "language": "", "gender": "",
    }  # fmt: skip


def test_lhotse_relative_paths_may_be_relative_to_the_working_directory(lhotse, monkeypatch):
    folder, suffix = lhotse
    (folder / "manifests").mkdir()
    for name in ("recordings", "supervisions"):
        (folder / f"x_{name}_train{suffix}").rename(folder / "manifests" / f"x_{name}_train{suffix}")
    monkeypatch.chdir(folder)
    read = read_manifest(folder / "manifests" / f"x_supervisions_train{suffix}")
    assert read[0].path == str(folder / "audio" / "rec1.wav")


LHOTSE_FAULTS = {
    "cuts": (LHOTSE_CUT, "t_supervisions.jsonl:1: is not a recording or a supervision; `lhotse cut decompose`"),
    "unknown recording": (LHOTSE_SUPERVISIONS.replace('"rec2"', '"rec3"'), "supervisions.jsonl:2: the recording rec3 is not in"),
    "one channel of two": (LHOTSE_SUPERVISIONS.replace("[0, 1]", "1"), "supervisions.jsonl:2: selects 1 of 2 channels"),
    "no duration": (LHOTSE_SUPERVISIONS.replace('"duration": 0.15, ', ""), "supervisions.jsonl:1: has no duration"),
    "a command": (LHOTSE_RECORDINGS.replace('"file"', '"command"'), "jsonl:1: expected one source of type 'file', got 1 of type 'command'"),
    "no source": (LHOTSE_RECORDINGS.replace('{"type": "file", "channels": [0], "source": "audio/rec1.wav"}', ""), "jsonl:1: expected one source of type 'file', got 0"),
    "a transform": (LHOTSE_RECORDINGS.replace('"channel_ids": [0]}', '"channel_ids": [0], "transforms": [{"name": "Speed", "kwargs": {"factor": 1.1}}]}'), "jsonl:1: has transforms, which are not applied"),
}  # fmt: skip


@pytest.mark.parametrize("fault", LHOTSE_FAULTS)
def test_lhotse_manifests_that_cannot_be_read_completely_are_refused(tmp_path, fault):
    text, message = LHOTSE_FAULTS[fault]
    (tmp_path / "t_recordings.jsonl").write_text(LHOTSE_RECORDINGS)
    (tmp_path / "t_supervisions.jsonl").write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)):
        read_manifest(tmp_path / "t_supervisions.jsonl", check_paths=False)


def test_lhotse_supervisions_without_recordings_are_refused(tmp_path):
    (tmp_path / "t_supervisions.jsonl").write_text(LHOTSE_SUPERVISIONS)
    with pytest.raises(
        FileNotFoundError, match="whose recordings are missing; expected them in a file with 'recordings'"
    ):
        read_manifest(tmp_path / "t_supervisions.jsonl")


@pytest.mark.parametrize("name", ["train_manifest.json", "train.jsonl"])
def test_nemo(tmp_path, name):
    # The keys of NeMo's documentation and of its diarization manifests, where null means the whole file. NeMo has no writer
    # of its own: each of its scripts writes these lines with json.dump.
    staircase(tmp_path / "a.wav")
    (tmp_path / name).write_text(
        '{"audio_filepath": "a.wav", "offset": 0.3, "duration": 0.1, "text": "the transcription"}\n'
        '{"audio_filepath": "a.wav", "offset": 0, "duration": null, "text": "-", "rttm_filepath": null}\n'
    )
    data = AudioFileDataset(CONFIG, manifest=tmp_path / name, crop="whole", annotations=True)
    assert data.lengths().tolist() == [800, 4000]
    np.testing.assert_allclose(data[0]["audio"], 0.4, atol=1e-4)
    assert (data[0]["start"], data[0]["annotations"]) == (0.3, {"text": "the transcription"})


def kaldi_folder(folder: Path, **files: str) -> Path:
    staircase(folder / "rec one.wav")
    staircase(folder / "rec2.wav", 4800, 16000)
    (folder / "wav.scp").write_text("r1 rec one.wav\nr2 rec2.wav\n")
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


SEGMENTS = "ann-r1-a r1 0.10 0.25\nann-r1-b r1 0.40 -1\nbob-r2-a r2 0.00 0.30\n"
SPEAKERS = "ann-r1-a ann\nann-r1-b ann\nbob-r2-a bob\n"
TEXT = 'ann-r1-a HELLO  THERE\nann-r1-b "QUOTED\nbob-r2-a\n'


def test_a_kaldi_folder_with_segments(tmp_path):
    folder = kaldi_folder(tmp_path / "data" / "train", segments=SEGMENTS, utt2spk=SPEAKERS, text=TEXT)
    for given in (folder, folder / "wav.scp"):
        read = read_manifest(given)
        assert [(each.name, each.start, each.end) for each in read] == [
            ("rec one.wav", 0.1, 0.25),
            ("rec one.wav", 0.4, None),
            ("rec2.wav", 0.0, 0.3),
        ]
        assert [each.annotations["text"] for each in read] == ["HELLO  THERE", '"QUOTED', ""]
        assert [each.annotations["speaker"] for each in read] == ["ann", "ann", "bob"]
        assert [each.annotations["id"] for each in read] == ["ann-r1-a", "ann-r1-b", "bob-r2-a"]
    data = AudioFileDataset(CONFIG, manifest=folder, crop="whole")
    assert data.lengths().tolist() == [1200, 800, 2400]
    np.testing.assert_allclose(data[1]["audio"], 0.5, atol=1e-4)


def test_a_kaldi_folder_without_segments(tmp_path, monkeypatch):
    folder = kaldi_folder(tmp_path / "data", utt2spk="r1 ann\nr2 bob\n")
    (folder / "rec2.wav").rename(tmp_path / "elsewhere.wav")
    (folder / "wav.scp").write_text(f"r1 {folder / 'rec one.wav'}\nr2 elsewhere.wav\n")
    monkeypatch.chdir(tmp_path)  # recipes run in another folder
    read = read_manifest(folder)
    assert [each.path for each in read] == [str(folder / "rec one.wav"), str(tmp_path / "elsewhere.wav")]
    assert [(each.start, each.end, each.annotations["speaker"]) for each in read] == [
        (0, None, "ann"),
        (0, None, "bob"),
    ]


# Written by lhotse 1.33.0: export_to_kaldi(recordings, supervisions, "kaldi") of the recordings and supervisions above, each
# with one channel. It is the only writer of Kaldi folders that installs from a package index.
LHOTSE_KALDI = {
    "reco2dur": "rec1 0.5\nrec2 0.3\n",
    "segments": "rec1-a rec1 0.1 0.25\nrec2-a rec2 0.0 0.3\n",
    "text": "rec1-a hello there\nrec2-a good day\n",
    "utt2dur": "rec1-a 0.15\nrec2-a 0.3\n",
    "utt2spk": "rec1-a ann\nrec2-a bob\n",
    "wav.scp": "rec1 audio/rec1.wav\nrec2 audio/rec2.wav\n",
}


def test_a_kaldi_folder_written_by_lhotse(tmp_path):
    staircase(tmp_path / "audio" / "rec1.wav")
    staircase(tmp_path / "audio" / "rec2.wav", 4800, 16000)
    for name, text in LHOTSE_KALDI.items():
        (tmp_path / name).write_text(text)
    read = read_manifest(tmp_path)
    assert [(Path(each.path).name, each.start, each.end) for each in read] == [
        ("rec1.wav", 0.1, 0.25),
        ("rec2.wav", 0.0, 0.3),
    ]
    assert [each.annotations for each in read] == [
        {"id": "rec1-a", "text": "hello there", "speaker": "ann"},
        {"id": "rec2-a", "text": "good day", "speaker": "bob"},
    ]
    assert AudioFileDataset(CONFIG, manifest=tmp_path, crop="whole").lengths().tolist() == [1200, 2400]


KALDI_FAULTS = {
    "a command": ({"wav_scp": "r1 sph2pipe -f wav a.sph |\n"}, "wav.scp:1: is a command, which is not supported: 'sph2pipe -f wav a.sph |'"),
    "an archive": ({"wav_scp": "r1 /x/wav.ark:1234\n"}, "wav.scp:1: is a position in an archive"),
    "an id only": ({"wav_scp": "r1\n"}, "wav.scp:1: expected an id and a path, got the id only"),
    "a file twice": ({"wav_scp": "r1 a.wav\nr1 b.wav\n"}, "wav.scp:2: duplicate key r1, first on line 1"),
    "no such file": ({"wav_scp": "r1 gone.wav\n"}, "wav.scp:1: no such file"),
    "unknown recording": ({"segments": "u1 r9 0 1\n"}, "segments:1: the recording r9 is not in wav.scp"),
    "three fields": ({"segments": "u1 r1 0\n"}, "segments:1: expected UTTERANCE RECORDING START END, got 3 fields"),
    "a channel": ({"segments": "u1 r1 0 0.1 1\n"}, "segments:1: selects channel 1"),
    "end before start": ({"segments": "u1 r1 0.2 0.1\n"}, "segments:1: end must be after start = 0.2 s"),
    "a word": ({"segments": "u1 r1 x 0.1\n"}, "segments:1: start must be a number of seconds"),
    "no speaker": ({"segments": SEGMENTS, "utt2spk": "ann-r1-a ann\n"}, "utt2spk: the utterance ann-r1-b is missing"),
    "too many texts": ({"text": "r1 x\nr2 y\nr3 z\n"}, "text:3: the utterance r3 has no recording"),
    "latin-1": ({"text": b"r1 x\nr2 \xe9\n"}, "text:2: is not valid UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize("fault", KALDI_FAULTS)
def test_a_kaldi_folder_that_cannot_be_read_completely_is_refused(tmp_path, fault):
    files, message = KALDI_FAULTS[fault]
    folder = kaldi_folder(tmp_path)
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises((ValueError, FileNotFoundError)) as raised:
        read_manifest(folder)
    assert message in str(raised.value)


def test_common_voice(tmp_path):
    # The columns of Common Voice 17, which is published as files only, like LJ Speech; the sentences have quotation marks, since its files have no quoting.
    header = "client_id\tpath\tsentence_id\tsentence\tsentence_domain\tup_votes\tdown_votes\tage\tgender\taccents\tvariant\tlocale\tsegment"
    sentences = ['"Never,', "she said.", 'he went on."', '"Stop!" he said', "end"]
    rows = [
        f"{number % 2:x}f\tcv_{number}.mp3\t\t{text}\t\t2\t0\t\t\t\t\ten\t" for number, text in enumerate(sentences)
    ]
    (tmp_path / "validated.tsv").write_text("\n".join([header, *rows]) + "\n")
    read = read_manifest(tmp_path / "validated.tsv", check_paths=False)
    assert [each.annotations["text"] for each in read] == sentences
    assert [each.name for each in read] == [f"cv_{number}.mp3" for number in range(5)]
    assert [each.annotations["speaker"] for each in read] == ["0f", "1f", "0f", "1f", "0f"]
    (tmp_path / "clips").mkdir()
    read = read_manifest(tmp_path / "validated.tsv", check_paths=False)
    assert [each.name for each in read] == [f"clips/cv_{number}.mp3" for number in range(5)]
    with pytest.raises(FileNotFoundError, match="validated.tsv:2: no such file"):
        read_manifest(tmp_path / "validated.tsv")


def test_ljspeech(tmp_path):
    # The first lines of LJ Speech 1.1, shortened; it has neither a header nor quoting.
    (tmp_path / "metadata.csv").write_text(
        'LJ001-0001|Printing, in the only "sense|Printing, in the only "sense\n'
        "LJ001-0002|in 1455.|in fourteen fifty-five.\n"
        "LJ001-0003|as usual|\n"
        "LJ001-0004|two fields\n"
    )
    read = read_manifest(tmp_path / "metadata.csv", check_paths=False)
    assert [each.name for each in read] == [f"wavs/LJ001-000{number}.wav" for number in range(1, 5)]
    assert [each.annotations["text"] for each in read] == [
        'Printing, in the only "sense', "in fourteen fifty-five.", "as usual", "two fields",
    ]  # fmt: skip
    assert read[1].annotations["raw_text"] == "in 1455."
    (tmp_path / "metadata.csv").write_text("LJ001-0001|a|b\nLJ001-0002\n")
    with pytest.raises(ValueError, match=r"metadata.csv:2: expected NAME\|TEXT"):
        read_manifest(tmp_path / "metadata.csv", check_paths=False)


# Written by datasets 5.2.0, which has no writer of folders but writes their metadata:
#
#     data = Dataset.from_dict({"file_name": ["data/a.wav", "b.wav"], "transcription": ['"hello", there', None],
#                               "label": ["x", "y"], "snr": [1.5, None]})
#     data.to_csv("metadata.csv"); data.to_json("metadata.jsonl")
HUGGING_FACE = {
    "metadata.csv": 'file_name,transcription,label,snr\ndata/a.wav,"""hello"", there",x,1.5\nb.wav,,y,\n',
    "metadata.jsonl": r"""{"file_name":"data\/a.wav","transcription":"\"hello\", there","label":"x","snr":1.5}
{"file_name":"b.wav","transcription":null,"label":"y","snr":null}
""",
}


@pytest.mark.parametrize("name", HUGGING_FACE)
def test_metadata_written_by_hugging_face_datasets(tmp_path, name):
    staircase(tmp_path / "data" / "a.wav")
    staircase(tmp_path / "b.wav")
    (tmp_path / name).write_text(HUGGING_FACE[name])
    read = read_manifest(tmp_path / name)
    assert [(each.name, each.label) for each in read] == [("data/a.wav", "x"), ("b.wav", "y")]
    data = AudioFileDataset(CONFIG, manifest=tmp_path / name, annotations=True)
    assert [data[index]["annotations"]["text"] for index in range(2)] == ['"hello", there', ""]
    assert float(data[0]["annotations"]["snr"]) == 1.5


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metadata.csv", 'file_name,transcription,label\ndata/a.wav,"hello, there",x\nb.wav,,y\n'),
        (
            "metadata.jsonl",
            '{"file_name": "data/a.wav", "transcription": "hello, there", "label": "x"}\n{"file_name": "b.wav", "label": "y"}\n',
        ),
    ],
)
def test_hugging_face_audio_folder(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    read = read_manifest(tmp_path / name, check_paths=False)
    assert [(each.name, each.label) for each in read] == [("data/a.wav", "x"), ("b.wav", "y")]
    assert [dict(each.annotations) for each in read] == [{"text": "hello, there"}, {}]


def test_metadata_csv_with_columns_of_our_own_is_ours(tmp_path):
    (tmp_path / "metadata.csv").write_text("path,label\na.wav,x\n")
    assert read_manifest(tmp_path / "metadata.csv", check_paths=False)[0].label == "x"


def parse_words(path):
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        file, word = line.split()
        yield ManifestRow(line=number, cells={"path": file, "label": word})


def test_a_format_of_a_plugin_is_recognized_or_selected(tmp_path):
    words = ManifestFormat(suffixes=(".words",), parse=parse_words)
    formats = registry("manifest_format")
    formats.register("words", words)
    formats.register("other_nemo", ManifestFormat(suffixes=(".jsonl",), columns=("audio_filepath",), parse=parse_words))
    try:
        (tmp_path / "t.words").write_text("a.wav dog\n")
        assert read_manifest(tmp_path / "t.words", check_paths=False)[0].label == "dog"
        (tmp_path / "t.jsonl").write_text('{"audio_filepath": "a.wav"}')
        with pytest.raises(ValueError, match="has the columns of several formats, .*; select one: manifest_format="):
            read_manifest(tmp_path / "t.jsonl")
        read = read_manifest(tmp_path / "t.jsonl", manifest_format="nemo", check_paths=False)
        assert read[0].name == "a.wav"
    finally:
        formats.unregister("words")
        formats.unregister("other_nemo")
    with pytest.raises(ValueError, match="t.words: is not a manifest"):
        read_manifest(tmp_path / "t.words")


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({}, ValueError, "must have suffixes or names"),
        ({"suffixes": ".csv"}, TypeError, "ManifestFormat.suffixes must be a tuple of strings"),
        ({"suffixes": (".csv",), "columns": ["path"]}, TypeError, "ManifestFormat.columns must be a tuple of strings"),
    ],
)
def test_an_invalid_format_raises_when_it_is_created(fields, error, message):
    with pytest.raises(error, match=message):
        ManifestFormat(parse=parse_words, **fields)


def test_options_of_a_format_can_be_changed():
    assert create("manifest_format", "nemo", suffixes=(".manifest",)).suffixes == (".manifest",)


def test_a_row_is_compared_with_the_file_when_it_is_read(tmp_path):
    staircase(tmp_path / "a.wav")
    for column, value, message in (
        ("sample_rate", 16000, "the sample rate is 8000 Hz, but the manifest declares 16000 Hz"),
        ("n_channels", 2, "the number of channels is 1, but the manifest declares 2"),
        ("n_samples", 3999, "the number of samples is 4000, but the manifest declares 3999"),
    ):
        (tmp_path / "t.csv").write_text(f"path,{column}\na.wav,{value}\n")
        for crop in ("center", "whole", "sliding"):
            with pytest.raises(AudioReadError, match=message):
                AudioFileDataset(CONFIG, manifest=tmp_path / "t.csv", crop=crop)[0]


def test_an_end_may_be_rounded_but_not_beyond_the_file(tmp_path):
    staircase(tmp_path / "a.wav", 3960)
    (tmp_path / "t.csv").write_text("path,duration\na.wav,0.5\n")
    assert AudioFileDataset(CONFIG, manifest=tmp_path / "t.csv", crop="whole").lengths().tolist() == [3960]
    (tmp_path / "t.csv").write_text("path,duration\na.wav,0.6\n")
    with pytest.raises(AudioReadError, match="the segment from 0 s to 0.6 s is outside the recording"):
        AudioFileDataset(CONFIG, manifest=tmp_path / "t.csv", crop="whole").lengths()


def test_lists_of_labels_give_multi_hot_arrays(tmp_path):
    staircase(tmp_path / "a.wav")
    (tmp_path / "t.jsonl").write_text(
        '{"path": "a.wav", "label": ["rain", "dog"], "split": "train"}\n{"path": "a.wav", "label": [], "split": "train"}\n'
        '{"path": "a.wav", "label": "cat", "split": "train"}\n{"path": "a.wav", "label": ["bird"], "split": "test"}\n'
    )
    data = AudioFileDataset(CONFIG, manifest=tmp_path / "t.jsonl")
    assert data.labels == ("bird", "cat", "dog", "rain")
    labels = [data[index]["label"] for index in range(3)]
    assert [label.tolist() for label in labels] == [[0, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0]]
    assert {label.dtype for label in labels} == {np.dtype(np.float32)}
    assert data.get_batch(5)["label"].shape == (5, 4)
    assert "label" not in AudioFileDataset(CONFIG, manifest=tmp_path / "t.jsonl", labels=None)[0]


def test_annotations_have_equal_keys_in_all_examples(tmp_path):
    staircase(tmp_path / "a.wav")
    (tmp_path / "t.jsonl").write_text(
        '{"path": "a.wav", "text": "yes", "snr": 3, "words": ["y"], "mixed": 1}\n{"path": "a.wav", "pitch": 1.5, "mixed": "a"}\n'
    )
    data = AudioFileDataset(CONFIG, manifest=tmp_path / "t.jsonl", annotations=True)
    assert data[0]["annotations"] == {"text": "yes", "snr": 3.0, "pitch": pytest.approx(np.nan, nan_ok=True)}
    assert data[1]["annotations"] == {"text": "", "snr": pytest.approx(np.nan, nan_ok=True), "pitch": 1.5}
    assert "annotations" not in AudioFileDataset(CONFIG, manifest=tmp_path / "t.jsonl")[0]
    assert data.fingerprint() != AudioFileDataset(CONFIG, manifest=tmp_path / "t.jsonl").fingerprint()


@pytest.mark.parametrize("shape", ["line", "nested", "same columns", "columns", "cell", "integer", "no line break"])
def test_a_hostile_manifest_gives_an_error_promptly(tmp_path, shape):
    contents = {
        "line": ("t.jsonl", b"[" * 2_000_000),
        "nested": ("t.jsonl", b'{"path": ' * 200_000),
        "same columns": ("t.csv", b"a," * 500_000 + b"\n"),
        "columns": ("t.csv", ",".join(map(str, range(200_000))).encode() + b"\n" + b"1," * 199_999),
        "cell": ("t.csv", b"path\n" + b"a" * 10_000_000),
        "integer": ("t.jsonl", b'{"path": ' + b"9" * 4000 + b"}"),
        "no line break": ("t.tsv", b"path" + b"x" * 10_000_000),
    }
    name, content = contents[shape]
    (tmp_path / name).write_bytes(content)
    code = f"""
from artifex.generative_models.modalities.audio.datasets.manifests import read_manifest
try:
    read_manifest({os.fspath(tmp_path / name)!r})
except ValueError as error:
    print(len(str(error)) < 1000)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "True"


def test_a_manifest_in_place_of_recordings_is_refused(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"path": "a.wav"}')
    with pytest.raises(ValueError, match=r"t.jsonl is a manifest, not a recording; pass it as manifest="):
        AudioFileDataset(CONFIG, tmp_path / "t.jsonl")


MUTATED = {
    "x_recordings.jsonl": LHOTSE_RECORDINGS,
    "x_supervisions.jsonl": LHOTSE_SUPERVISIONS,
    "nemo.jsonl": '{"audio_filepath": "a.wav", "offset": 0.3, "duration": 0.1, "label": ["a", 1], "sample_rate": 8000}\n'
    * 2,
    "ours.csv": 'path,start,end,label\n"a, b.wav",0.5,2,x\nb.wav,,,7\n',
    "voice.tsv": 'client_id\tpath\tsentence\nx\ta.mp3\t"hi\n',
    "metadata.csv": "a|b|c\nd|e\n",
    "metadata.jsonl": '{"file_name": "a.wav", "transcription": "x"}\n',
    "wav.scp": "a a.wav\nb b.wav\n",
}
SPLINTERS = (
    *("1e400", "10" * 20, "9" * 5000, "null", "{}", "[]", "[[[", '"', "\\", "\0", "true", "-1", "NaN", "Infinity", "|"),
    *("\t", ",", "\r", "\n", "é", '":', "}", "~", "://", "C:\\x"),
)


@pytest.mark.thorough
@pytest.mark.parametrize("name", MUTATED)
def test_a_mutated_manifest_is_read_or_raises_a_value_error(tmp_path, name):
    (tmp_path / "x_recordings.jsonl").write_text(LHOTSE_RECORDINGS)
    draw = np.random.default_rng(0)
    messages = []
    for _ in range(2000):
        text = MUTATED[name]
        for _ in range(draw.integers(1, 5)):
            at = draw.integers(len(text) + 1)
            text = text[:at] + SPLINTERS[draw.integers(len(SPLINTERS))] + text[at + draw.choice([0, 0, 1, 3, 8]) :]
        (tmp_path / name).write_bytes(text.encode("latin-1" if draw.random() < 0.1 else "utf-8", "replace"))
        try:
            assert read_manifest(tmp_path / name, check_paths=False)
        except (ValueError, FileNotFoundError) as error:
            messages.append(str(error))
    assert len(messages) > 100
    assert all(str(tmp_path) in message and len(message) < 2000 for message in messages)


def test_a_segment_that_is_shorter_than_a_sample_is_refused(tmp_path):
    staircase(tmp_path / "a.wav")
    (tmp_path / "t.csv").write_text("path,start,end\na.wav,0.1,0.10001\n")
    with pytest.raises(AudioReadError, match="from 0.1 s to 0.10001 s is shorter than a sample at 8000 Hz"):
        AudioFileDataset(CONFIG, manifest=tmp_path / "t.csv")[0]
