import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from artifex.generative_models.modalities.audio.base import AudioModalityConfig
from artifex.generative_models.modalities.audio.datasets.files import AudioFileDataset
from artifex.generative_models.modalities.audio.datasets.manifests import assign_splits, read_manifest
from artifex.generative_models.modalities.audio.datasets.scanning import scan
from artifex.generative_models.modalities.audio.io import read_audio, write_audio

RATE = 8000


@pytest.fixture
def folder(tmp_path):
    audio = tmp_path / "audio"
    for name in ("10", "9"):
        (audio / name).mkdir(parents=True)
    write_audio(audio / "9" / "quiet.wav", 0.25 * np.sin(np.arange(4000)), RATE)
    write_audio(audio / "9" / "stereo.flac", np.random.default_rng(0).uniform(-0.5, 0.5, (2, 44100)), 44100)
    write_audio(audio / "10" / "loud.wav", 3 * np.sin(np.arange(8000) / 9), RATE, clip=True)
    write_audio(audio / "10" / "silent.wav", np.zeros(1000), RATE)
    write_audio(audio / "10" / "off.wav", np.full(1000, -0.125), RATE)
    return audio


def add_invalid_files(folder):
    (folder / "empty.wav").touch()
    (folder / "text.mp3").write_text("no audio at all\n")
    # The header and the beginning are valid: only complete decoding detects the damage.
    content = bytearray((folder / "9" / "stereo.flac").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 2000] = bytes(2000)
    (folder / "damaged.flac").write_bytes(content)


def test_measurements_equal_those_of_the_decoded_samples(folder):
    done = []
    found = scan(folder, progress=lambda *counts: done.append(counts))
    assert done == [(count, 5) for count in range(1, 6)]
    assert not found.problems
    for each in found.recordings:
        audio, rate = read_audio(each.path, mono=False)
        assert (each.sample_rate, each.n_channels, each.n_samples) == (rate, *audio.shape)
        assert each.duration == audio.shape[1] / rate
        assert each.peak == np.abs(audio).max()
        assert each.dc == pytest.approx(audio.mean(dtype=np.float64), abs=1e-9)
    named = {each.path.rpartition("/")[2]: each for each in found.recordings}
    assert [name for name, each in named.items() if each.clipped] == ["loud.wav"]
    assert [name for name, each in named.items() if each.silent] == ["silent.wav"]
    assert [name for name, each in named.items() if each.has_dc] == ["off.wav"]
    assert found.summary() == {
        "count": 5,
        "duration": {"total": 2.75, "min": 0.125, "median": 0.5, "max": 1.0},
        "sample_rates": {"8000": 4, "44100": 1},
        "n_channels": {"1": 4, "2": 1},
        "formats": {"WAV PCM_16": 4, "FLAC PCM_16": 1},
        "labels": {"9": 2, "10": 3},
        "splits": {},
        "peak": {"min": 0.0, "median": named["quiet.wav"].peak, "max": named["loud.wav"].peak},
        "clipped": 1,
        "silent": 1,
        "dc": 1,
        "problems": 0,
    }


@pytest.mark.parametrize(
    ("run", "clipped"), [((65534, 65537), True), ((65536, 65538), False), ((0, 3), True), ((5, 6), False)]
)
def test_clipping_is_detected_across_blocks(tmp_path, run, clipped):
    sound = 0.5 * np.sin(np.arange(140_000))
    sound[slice(*run)] = -1.0
    sound[65_000::2][:4] = 1.0
    write_audio(tmp_path / "a.wav", sound, RATE)
    assert scan(tmp_path).recordings[0].clipped is clipped


def test_a_result_can_be_written_as_json(folder):
    add_invalid_files(folder)
    found = scan(folder)
    read = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [each["path"] for each in read["recordings"]] == [each.path for each in found.recordings]
    assert [each["message"] for each in read["problems"]] == [each.message for each in found.problems]
    assert read["summary"] == found.summary()


def test_statistics_without_valid_files_are_none(tmp_path):
    (tmp_path / "a.wav").touch()
    assert scan(tmp_path).summary()["peak"] == {"min": None, "median": None, "max": None}


def test_an_hour_takes_no_more_memory_than_a_second(tmp_path):
    soundfile.write(tmp_path / "long.wav", np.zeros(20_000_000, np.int16), RATE)
    tracemalloc.start()
    scan(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20


def test_the_command_prints_a_table_and_writes_the_manifest(artifex, folder):
    code, out, err = artifex("scan", folder)
    assert (code, err) == (0, "")
    for words in (
        "recordings   5, 2.75 s in total",
        "duration     0.12 s to 1.00 s, median 0.50 s",
        "sample rate  8000 Hz (4), 44100 Hz (1)",
        "channels     1 (4), 2 (1)",
        "clipped      1 (3 consecutive samples at full scale): ",
        "labels       9 (2), 10 (3)",
        f"manifest: {folder / 'manifest.jsonl'}",
    ):
        assert words in out
    lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    assert list(lines[0]) == ["path", "label", "sample_rate", "n_channels", "n_samples", "duration", "peak"]
    assert lines[0]["path"] == "10/loud.wav"
    data = AudioFileDataset(AudioModalityConfig(sample_rate=RATE), manifest=folder / "manifest.jsonl", crop="whole")
    assert data.labels == ("9", "10")
    assert data.lengths().tolist() == [len(sample["audio"]) for sample in data]


def test_invalid_files_are_listed_excluded_and_set_the_exit_code(artifex, folder, tmp_path):
    add_invalid_files(folder)
    code, out, _ = artifex("scan", folder, "--out", tmp_path / "m.jsonl")
    assert code == 1
    assert "3 files cannot be read:" in out
    for name, reason in (("empty.wav", "the file is empty"), ("text.mp3", "is not audio"), ("damaged.flac", "damaged")):
        line = next(line for line in out.splitlines() if line.lstrip().startswith(str(folder / name)))
        assert reason in line
    assert len(read_manifest(tmp_path / "m.jsonl")) == 5


def test_no_manifest_is_written_without_valid_files(artifex, tmp_path):
    (tmp_path / "a.wav").touch()
    code, out, _ = artifex("scan", "a.wav")
    assert code == 1
    assert "no recording can be read; no manifest was written" in out
    assert not (tmp_path / "manifest.jsonl").exists()


def test_an_existing_manifest_is_replaced_only_with_overwrite(artifex, folder):
    assert artifex("scan", folder / "9", "--out", "m.jsonl")[0] == 0
    code, out, err = artifex("scan", folder, "--out", "m.jsonl")
    assert (code, out) == (2, "")
    assert "m.jsonl exists; replace it with --overwrite" in err
    assert artifex("scan", folder, "--out", "m.jsonl", "--overwrite")[0] == 0
    assert len(read_manifest("m.jsonl")) == 5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nowhere",), "nowhere: no such file or folder"),
        (("audio", "--out", "m.csv"), "m.csv: the manifest to write must end in .jsonl"),
        (("audio", "--out", "none/m.jsonl"), "the folder none does not exist"),
    ],
)
def test_invalid_arguments_give_a_message_and_exit_code_2(artifex, folder, words, message):
    code, out, err = artifex("scan", *words)
    assert (code, out) == (2, "")
    assert message in err


@pytest.fixture
def corpus(tmp_path):
    """Forty recordings of eight speakers, from 2 to 8 each; the value of a recording is the number of its speaker."""
    numbers = np.random.default_rng(0).permutation([number for number in range(8) for _ in range(2 + number % 7)])[:40]
    for index, number in enumerate(numbers):
        path = tmp_path / "corpus" / ("low" if index % 2 else "high") / f"spk{number}_{index:02}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_audio(path, np.full(400, (1 + number) / 10), RATE)
    return tmp_path / "corpus"


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("folder", {"low", "high"}),
        (r"spk(\d)", set("01234567")),
        (r"spk\d", {f"spk{number}" for number in range(8)}),
        (r"^low|^high", {"low", "high"}),
    ],
)
def test_labels_by_pattern(artifex, corpus, label, expected):
    assert artifex("scan", corpus, "--label", label, "--out", "m.jsonl")[0] == 0
    lines = read_lines(Path("m.jsonl"))
    assert {line["label"] for line in lines} == expected
    assert all(line["label"] in line["path"] for line in lines)


def test_labels_by_stem(corpus):
    found = scan(corpus, label="stem")
    assert {each.label for each in found.recordings} == {path.stem for path in corpus.rglob("*.wav")}


@pytest.mark.parametrize("seed", range(5))
def test_a_speaker_is_in_one_split_only(artifex, corpus, seed):
    options = ("--split", "train=.8,validation=.1,test=.1", "--by", r"(spk\d)_", "--seed", seed, "--overwrite")
    code, out, _ = artifex("scan", corpus, *options, "--out", "m.jsonl")
    assert code == 0
    assert "splits  " in out
    lines = read_lines(Path("m.jsonl"))
    speakers = {}
    for line in lines:
        speakers.setdefault(line["split"], set()).add(line["path"].split("spk")[1][0])
    assert set(speakers) == {"train", "validation", "test"}
    assert sum(map(len, speakers.values())) == len(set.union(*speakers.values())) == 8
    counts = {split: sum(line["split"] == split for line in lines) for split in speakers}
    assert abs(counts["train"] - 0.8 * len(lines)) <= 4
    again = Path("m.jsonl").read_bytes()
    artifex("scan", corpus, *options, "--out", "m.jsonl")
    assert Path("m.jsonl").read_bytes() == again
    for split in speakers:
        data = AudioFileDataset(AudioModalityConfig(sample_rate=RATE), manifest="m.jsonl", split=split)
        assert len(data) == counts[split]


def test_splits_of_equal_groups_have_the_fractions_exactly():
    groups = [f"speaker {number % 20}" for number in range(100)]
    splits = assign_splits(groups, {"train": 0.8, "validation": 0.1, "test": 0.1}, seed=3)
    assert [splits.count(split) for split in ("train", "validation", "test")] == [80, 10, 10]
    order = np.random.default_rng(0).permutation(100)
    shuffled = assign_splits([groups[i] for i in order], {"train": 0.8, "validation": 0.1, "test": 0.1}, seed=3)
    assert shuffled == [splits[i] for i in order]
    assert splits != assign_splits(groups, {"train": 0.8, "validation": 0.1, "test": 0.1}, seed=4)


def test_one_large_group_leaves_a_group_for_each_split():
    groups = ["a"] * 98 + ["b", "c"]
    splits = assign_splits(groups, {"train": 0.8, "validation": 0.1, "test": 0.1})
    assert splits[:98] == ["train"] * 98
    assert set(splits[98:]) == {"validation", "test"}


def test_segments_of_a_manifest_are_scanned_as_segments(artifex, corpus, tmp_path):
    long = np.concatenate([np.full(800, level) for level in (0.1, 0.2, 0.3, 0.4)])
    write_audio(tmp_path / "long.wav", long, RATE)
    (tmp_path / "segments.csv").write_text(
        "wav,begin,duration,speaker,text,label\n"
        'long.wav,0.1,0.1,ann,"one, two",x\nlong.wav,0.3,,bob,three,y\nlong.wav,0,9,bob,three,y\n'
    )
    code, out, _ = artifex("scan", "segments.csv", "--split", "train=.5,test=.5", "--by", "speaker")
    assert code == 1
    assert "the segment from 0 s to 9 s is outside the recording" in out
    lines = read_lines(tmp_path / "manifest.jsonl")
    assert [line["peak"] for line in lines] == pytest.approx([0.2, 0.4], abs=1e-4)
    assert [line["duration"] for line in lines] == [0.1, 0.1]
    assert [(line["text"], line["speaker"], line["label"]) for line in lines] == [
        ("one, two", "ann", "x"), ("three", "bob", "y"),
    ]  # fmt: skip
    assert {line["split"] for line in lines} == {"train", "test"}
    read = read_manifest(tmp_path / "manifest.jsonl")
    assert [(each.start, each.end, each.n_samples) for each in read] == [(0.1, 0.2, 3200), (0.3, 0.4, 3200)]
    again = scan(tmp_path / "manifest.jsonl")
    assert [each.peak for each in again.recordings] == [line["peak"] for line in lines]


def test_all_rows_of_a_manifest_are_scanned_and_missing_files_are_listed(artifex, corpus, tmp_path):
    write_audio(tmp_path / "a.wav", np.full(400, 0.5), RATE)
    (tmp_path / "captions.csv").write_text("path,text\na.wav,first caption\na.wav,second caption\ngone.wav,third\n")
    code, out, _ = artifex("scan", "captions.csv")
    assert code == 1
    assert "1 file cannot be read:" in out
    assert "gone.wav: no such file" in out
    assert [line["text"] for line in read_lines(tmp_path / "manifest.jsonl")] == ["first caption", "second caption"]
    (tmp_path / "captions.csv").write_text("path\ngone.wav\nlost.wav\n")
    code, _, err = artifex("scan", "captions.csv", "--overwrite")
    assert code == 2
    assert "captions.csv:2: no such file" in err


def test_a_manifest_and_folders_are_scanned_together(corpus, tmp_path):
    (tmp_path / "wav.scp").write_text("u1 corpus/a.wav\n")
    write_audio(corpus / "a.wav", np.full(400, 0.9), RATE)
    found = scan([tmp_path, corpus], label="stem")  # the first is a Kaldi folder
    assert [each.name for each in found.recordings[:2]] == ["corpus/a.wav", "a.wav"]
    assert len(found.recordings) == 1 + len(list(corpus.rglob("*.wav")))
    with pytest.raises(ValueError, match="a.wav: has no label, but other recordings do"):
        scan([tmp_path, corpus])


SPLIT_FAULTS = [
    (("--by", "label"), "--by requires --split"),
    (("--seed", "1"), "--seed requires --split"),
    (("--split", "train"), "splits must be different names with fractions"),
    (("--split", "a=.5,a=.5"), "splits must be different names with fractions"),
    (("--split", "a=.5,b=.4"), "must have the sum 1, got 0.9"),
    (("--split", "a=1.5,b=-.5"), "must be above 0 and at most 1"),
    (("--split", "a=nan,b=.5"), "splits must be different names with fractions"),
    (("--split", "a=.5,b=.5", "--by", "speaker"), "has no speaker; its columns are label, path"),
    (("--split", "a=.5,b=.5", "--by", "("), "by must be a regular expression, got '('"),
    (("--split", "a=.5,b=.5", "--by", "x(.)"), "does not match"),
    (("--split", "a=.2,b=.2,c=.6", "--by", "label"), "3 splits require at least 3 groups, got 2"),
    (("--split", "a=.5,b=.5", "--seed", "-1"), "seed must be"),
    (("--label", "(x)"), "it must match every path"),
    (("--label", "["), "label must be a regular expression"),
]


@pytest.mark.parametrize(("options", "message"), SPLIT_FAULTS)
def test_invalid_labels_and_splits_give_a_message_before_anything_is_decoded(
    artifex, corpus, options, message, monkeypatch
):
    monkeypatch.setattr(soundfile, "SoundFile", None)
    code, out, err = artifex("scan", corpus, *options)
    assert (code, out) == (2, "")
    assert message in err
    assert not (corpus / "manifest.jsonl").exists()
