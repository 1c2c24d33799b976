import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import librosa
import numpy as np
import pytest
import typer

from artifex.generative_models.core import cli, registry
from artifex.generative_models.modalities.audio.base import AudioModalityConfig
from artifex.generative_models.modalities.audio.datasets.features import FeatureDataset
from artifex.generative_models.modalities.audio.extraction import encode, extract, padding, recordings
from artifex.generative_models.modalities.audio.io import AudioReadError, read_audio, write_audio
from artifex.generative_models.modalities.audio.shards.reading import read_features

RATE = 8000
MEL = AudioModalityConfig(
    representation="mel_spectrogram",
    sample_rate=RATE,
    n_fft=512,
    hop_length=128,
    n_mel_channels=40,
    normalize=False,
)
WAVES = AudioModalityConfig(representation="raw_waveform", sample_rate=RATE, normalize=False)


def noise(n_samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, n_samples)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three recordings that can be read, and three files that cannot."""
    audio = tmp_path_factory.mktemp("recordings") / "audio"
    (audio / "dog").mkdir(parents=True)
    write_audio(audio / "a.wav", noise(3000), RATE)
    write_audio(audio / "dog" / "a.wav", noise(20000, 1), RATE)
    write_audio(audio / "dog" / "b.ogg", np.stack([noise(44100, 2), noise(44100, 3)]), 44100)
    (audio / "empty.wav").touch()
    (audio / "text.wav").write_text("no audio")
    (audio / "cut.wav").write_bytes((audio / "dog" / "a.wav").read_bytes()[:9000])
    return audio


@pytest.fixture(scope="module")
def mel(folder, tmp_path_factory):
    """Mel spectrograms of these recordings: the folder, the result and the calls of ``progress``."""
    out, calls = tmp_path_factory.mktemp("mel") / "features", []
    result = extract([folder], out, config=MEL, report=False, progress=lambda *counts: calls.append(counts))
    return out, result, calls


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_readable_recordings_are_extracted_and_unreadable_ones_listed(artifex, folder, tmp_path):
    code, out, _ = artifex("extract", folder, "--out", "made", "--sample-rate", RATE)
    assert code == 1
    assert names(tmp_path / "made") == [
        "config.toml", "failures.jsonl", "manifest.jsonl", "plan.json", "report.html", "shards", "statistics.json",
    ]  # fmt: skip
    for name, reason in (
        ("empty.wav", "the file is empty"),
        ("text.wav", "is not audio"),
        ("cut.wav", "is truncated"),
    ):
        assert re.search(f"{re.escape(str(folder / name))}.*{reason}", out)
    assert "3 recordings" in out
    failures = lines(tmp_path / "made" / "failures.jsonl")
    assert [Path(failure["source"]).name for failure in failures] == ["cut.wav", "empty.wav", "text.wav"]
    report = (tmp_path / "made" / "report.html").read_text()
    assert report.count("data:audio/wav") == 3
    assert "the file is empty" in report


def test_features_equal_librosas_at_every_length_whatever_the_padding(mel):
    out, _, _ = mel
    read = list(read_features(out))
    assert len(read) == 3
    for record, features in read:
        audio, _ = read_audio(record["source"], sample_rate=RATE)
        reference = librosa.feature.melspectrogram(
            y=audio, sr=RATE, n_fft=512, hop_length=128, n_mels=40, pad_mode="constant"
        )[:, : len(audio) // 128]
        assert features.shape == reference.shape
        np.testing.assert_allclose(features, reference, atol=1e-4 * reference.max())


def test_normalizing_is_per_recording(tmp_path):
    for name, level in (("loud", 1.0), ("quiet", 0.01), ("silent", 0.0)):
        write_audio(tmp_path / f"{name}.wav", level * noise(3000), RATE, subtype="FLOAT")
    extract([tmp_path], tmp_path / "made", config=WAVES.evolve(normalize=True), report=False)
    loud, quiet, silent = (features for _, features in read_features(tmp_path / "made"))
    assert np.abs(loud).max() == pytest.approx(1.0)
    np.testing.assert_allclose(quiet, loud, atol=1e-5)
    np.testing.assert_array_equal(silent, 0.0)


def test_the_manifest_describes_each_example(mel):
    out, result, _ = mel
    records = lines(out / "manifest.jsonl")
    assert records == result.records
    assert [record["id"] for record in records] == ["a.wav", "dog__a.wav", "dog__b.ogg"]
    assert [record["label"] for record in records] == ["audio", "dog", "dog"]
    assert [record["n_samples"] for record in records] == [3000, 20000, 8000]
    assert [record["shapes"]["mel_spectrogram"] for record in records] == [[40, 23], [40, 156], [40, 62]]
    assert [record["source_sample_rate"] for record in records] == [RATE, RATE, 44100]
    assert [record["source_channels"] for record in records] == [1, 1, 2]
    for record in records:
        assert record["duration"] == record["n_samples"] / RATE
        assert (record["dtypes"], record["sample_rate"]) == ({"mel_spectrogram": "float32"}, RATE)
        assert (out / record["file"]).is_file()


def test_levels_are_those_of_the_recording(tmp_path):
    write_audio(tmp_path / "square.wav", np.tile([0.5, -0.5], 2000), RATE, subtype="FLOAT")
    write_audio(tmp_path / "silent.wav", np.zeros(4000), RATE)
    silent, square = extract([tmp_path], tmp_path / "made", config=MEL, report=False).records
    assert (square["peak_dbfs"], square["rms_dbfs"]) == (-6.02, -6.02)
    assert (silent["peak_dbfs"], silent["rms_dbfs"]) == (None, None)


def test_a_duration_crops_and_pads_everything_to_one_shape(folder, tmp_path):
    config = WAVES.evolve(duration=1.0)
    records = extract([folder], tmp_path / "made", config=config, variable_length=False, report=False).records
    assert [record["shapes"]["raw_waveform"] for record in records] == [[RATE]] * 3
    assert [record["n_samples"] for record in records] == [3000, RATE, RATE]
    for record, features in read_features(tmp_path / "made"):
        audio = read_audio(record["source"], sample_rate=RATE)[0][:RATE]
        np.testing.assert_allclose(features[: len(audio)], audio, atol=2e-3)
        np.testing.assert_array_equal(features[len(audio) :], 0.0)


def test_without_recordings_synthetic_examples_are_extracted(artifex, tmp_path):
    code, out, _ = artifex(
        "extract", "--n-synthetic", 4, "--duration", 0.5, "--representation", "stft", "--examples", 1
    )
    assert code == 0
    assert "4 recordings" in out
    read = list(read_features(tmp_path / "features"))
    assert [record["label"] for record, _ in read] == ["sine", "noise", "chirp", "sine"]
    assert [(features.shape, features.dtype) for _, features in read] == [((513, 31), np.complex64)] * 4
    assert (tmp_path / "features" / "report.html").read_text().count("data:audio/wav") == 1


class Traced:
    """The waveform, counting how often its encoding is traced."""

    lengths: tuple[int, ...] = ()

    def __init__(self, config):
        self.shape = (config.n_time_steps,)

    def encode(self, audio, *, lengths=None):
        Traced.lengths = (*Traced.lengths, audio.shape)
        return audio

    def decode(self, encoded, *, key=None):
        return encoded


def test_two_hundred_lengths_compile_a_few_programs(fresh_registry, tmp_path):
    registry("representation").register("traced", Traced)
    lengths = np.random.default_rng(0).integers(1, 60_000, 200)
    for index, length in enumerate(lengths):
        write_audio(tmp_path / f"{index:03d}.wav", np.full(length, 0.25), RATE)
    config = WAVES.evolve(representation="traced")
    extract([tmp_path], tmp_path / "made", config=config, batch_size=8, report=False)
    assert [features.shape for _, features in read_features(tmp_path / "made")] == [(n,) for n in lengths]
    assert len(Traced.lengths) < len({padding.padded_length(int(n), config.hop_length) for n in lengths}) <= 5


@pytest.mark.parametrize("hop", [1, 160, 256])
def test_padded_lengths_are_at_most_half_again_as_long(hop):
    for n_samples in (1, 16_384, 16_385, 24_577, 40_000, 1_000_000, 57_600_000):
        length = padding.padded_length(n_samples, hop)
        assert length >= n_samples
        assert length % hop == 0
        assert n_samples < 16_384 or length < 1.5 * n_samples + hop


@pytest.mark.parametrize(
    ("max_extra_padding", "expected"), [(200_000, [(1, 131_072), (3, 16_384)]), (1_000_000, [(4, 131_072)])]
)
def test_a_long_recording_is_not_computed_batch_size_times(tmp_path, monkeypatch, max_extra_padding, expected):
    write_audio(tmp_path / "long.wav", np.zeros(100_000), RATE)
    for index in range(3):
        write_audio(tmp_path / f"{index}.wav", np.zeros(1000), RATE)
    shapes = []

    def spy(config):
        return lambda audio, lengths: shapes.append(audio.shape) or audio

    monkeypatch.setattr(encode, "encoder", spy)
    monkeypatch.setattr(padding, "MAX_EXTRA_PADDING", max_extra_padding)
    extract([tmp_path], tmp_path / "made", config=WAVES, batch_size=32, report=False)
    assert sorted(shapes) == expected


def test_a_recording_shorter_than_a_hop_is_a_failure(tmp_path):
    write_audio(tmp_path / "click.wav", np.ones(100) / 2, RATE)
    write_audio(tmp_path / "tone.wav", noise(1000), RATE)
    result = extract([tmp_path], tmp_path / "made", config=MEL, report=False)
    assert [record["id"] for record in result.records] == ["tone.wav"]
    assert [Path(failure["source"]).name for failure in result.failures] == ["click.wav"]
    assert "is too short" in result.failures[0]["reason"]


def test_a_file_that_cannot_be_decoded_after_its_header_was_read_is_a_failure(folder, tmp_path, monkeypatch):
    def unreadable(path, span, **options):
        if path.name == "b.ogg":
            raise AudioReadError(path, "vanished")
        return decode(path, span, **options)

    decode = recordings.decode
    monkeypatch.setattr(recordings, "decode", unreadable)
    result = extract([folder], tmp_path / "made", config=MEL, report=False)
    assert len(result.records) == 2
    assert "vanished" in [failure["reason"] for failure in result.failures]


def test_nothing_is_written_when_no_recording_can_be_read(artifex, tmp_path):
    (tmp_path / "empty.wav").touch()
    code, out, _ = artifex("extract", "empty.wav", "--out", "made")
    assert code == 1
    assert "the file is empty" in out
    assert "nothing was written" in out
    assert names(tmp_path) == ["empty.wav"]


def test_files_of_equal_names_get_unique_ids(tmp_path):
    for index, name in enumerate(("x/a.wav", "y/a.wav", "x/b/c.wav", "x/b__c.wav", "x/A.wav", "x/naïve tone.wav")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_audio(tmp_path / name, np.full(1000, 0.1 * index), RATE)
    extract([tmp_path / "x", tmp_path / "y"], tmp_path / "made", config=WAVES, report=False)
    read = list(read_features(tmp_path / "made"))
    ids = [record["id"] for record, _ in read]
    assert len({name.casefold() for name in ids}) == 6
    assert "naïve_tone.wav" in ids
    for record, features in read:
        np.testing.assert_allclose(features, read_audio(record["source"])[0], atol=1e-6)


def test_the_written_configuration_reproduces_the_features(artifex, folder, tmp_path):
    first = (
        "--n-mels",
        30,
        "--n-fft",
        400,
        "--hop-length",
        100,
        "--sample-rate",
        RATE,
        "--no-normalize",
        "--no-report",
    )
    artifex("extract", folder, "--out", "first", *first)
    artifex("extract", folder, "--out", "again", "--config", "first/config.toml", "--no-report")
    stated = tomllib.loads((tmp_path / "first" / "config.toml").read_text())["audio"]
    assert stated == {
        "representation": "mel_spectrogram", "sample_rate": RATE, "n_mel_channels": 30,
        "hop_length": 100, "n_fft": 400, "normalize": False,
    }  # fmt: skip
    first, again = tmp_path / "first", tmp_path / "again"
    for name in [*names(first), *(f"shards/{name}" for name in names(first / "shards"))]:
        if (first / name).is_file():
            assert (first / name).read_bytes() == (again / name).read_bytes()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.toml", 'representation = "raw_waveform"\nduration = 0.25\nsample_rate = 4000'),
        (
            "c.yaml",
            "audio:\n  representation: raw_waveform\n  duration: 0.25\n  sample_rate: 4000\ntraining: {}\n",
        ),
    ],
)
def test_the_command_line_takes_precedence_over_the_file(artifex, tmp_path, name, text):
    (tmp_path / name).write_text(text)
    options = ("--config", name, "--sample-rate", RATE, "--n-synthetic", 1, "--no-report")
    assert artifex("extract", *options)[0] == 0
    assert [features.shape for _, features in read_features(tmp_path / "features")] == [(2000,)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("gone.wav",), "gone.wav: no such file or folder"),
        (("nothing",), "nothing: no audio files in this folder"),
        (("--hop-length", "2048"), "hop_length must be at most n_fft"),
        (("--n-mels", "1000"), "n_mel_channels must be at most"),
        (("--sample-rate", "-1"), "sample_rate must be an integer"),
        (("--duration", "0"), "duration must be a finite number above 0"),
        (("--duration", "0.001"), "lengthen duration"),
        (("--representation", "mel_spectogram"), "mel_spectrogram"),
        (("--batch-size", "0"), "batch_size must be an integer of at least 1"),
        (("--examples", "-1"), "Invalid value for '--examples'"),
        (("--n-synthetic", "0"), "n_synthetic must be an integer of at least 1"),
        (("a.wav", "--n-synthetic", "3"), "--n-synthetic is for synthetic examples only"),
        (("--config", "gone.toml"), "gone.toml"),
        (("--config", "misspelled.toml"), "Did you mean 'sample_rate'"),
        (("--config", "broken.toml"), "cannot be parsed"),
        (("--config", "broken.yaml"), "cannot be parsed"),
        (("--config", "list.yaml"), "must contain a table of settings, got list"),
        (("--config", "config.json"), "must end in .toml, .yaml or .yml"),
        (("--n-fft", "many"), "Invalid value for '--n-fft'"),
        (("--out", "file.txt"), "is a file"),
        (("--shard", "2/2"), "--shard must be I/N with I from 0 to N - 1, got 2/2; for 2 processes use 0/2 to 1/2"),
        (("--shard", "half"), "--shard must be I/N"),
        (("--engine", "rya"), "engine must be one of"),
        (("--engine", "ray", "--shard", "0/2"), "omit --shard"),
        (("--verify", "--out", "nothing"), "nothing: this folder contains no extraction"),
        (("--verify", "nothing", "a.wav"), "--verify takes one folder, got 2"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_invalid_arguments_give_a_message_and_exit_code_2_and_write_nothing(artifex, tmp_path, words, message):
    write_audio(tmp_path / "a.wav", noise(1000), RATE)
    (tmp_path / "nothing").mkdir()
    (tmp_path / "file.txt").touch()
    (tmp_path / "misspelled.toml").write_text("sampel_rate = 8000")
    (tmp_path / "broken.toml").write_text("sample_rate = = 8000")
    (tmp_path / "broken.yaml").write_text("sample_rate: [8000")
    (tmp_path / "list.yaml").write_text("- 8000")
    (tmp_path / "config.json").write_text("{}")
    before = names(tmp_path)
    code, out, err = artifex("extract", *words)
    assert code == 2
    assert message in err
    assert "Traceback" not in out + err
    assert names(tmp_path) == before


def test_another_extraction_is_replaced_only_with_overwrite(artifex, tmp_path):
    made = ("extract", "--n-synthetic", 2, "--duration", 0.25, "--out", "made", "--no-report", "--representation")
    assert artifex(*made, "raw_waveform")[0] == 0
    code, _, err = artifex(*made, "mel_spectrogram", "--batch-size", 8)
    assert code == 2
    assert "made contains another extraction" in err
    assert "the list of features is raw_waveform in the folder, mel_spectrogram was requested" in err
    assert "the batch size is 32 in the folder, 8 was requested" in err
    assert "--overwrite" in err
    assert [features.ndim for _, features in read_features(tmp_path / "made")] == [1, 1]
    assert artifex(*made, "mel_spectrogram", "--overwrite")[0] == 0
    assert [features.ndim for _, features in read_features(tmp_path / "made")] == [2, 2]
    assert names(tmp_path) == ["made"]
    assert artifex("extract", "--verify", "made")[0] == 0


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "made").mkdir()
    extract([], tmp_path / "made", config=WAVES, n_synthetic=1, report=False)
    assert names(tmp_path) == ["made"]
    assert len(list(read_features(tmp_path / "made"))) == 1


def test_only_an_earlier_extraction_is_overwritten(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(
        FileExistsError, match="contains files but no extraction .*--overwrite replaces extractions only"
    ):
        extract([], tmp_path / "thesis", config=WAVES, overwrite=True, report=False)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


def test_recordings_in_the_folder_to_overwrite_are_not_lost(tmp_path):
    made = tmp_path / "made"
    extract([], made, config=WAVES, n_synthetic=1, report=False)
    write_audio(made / "a.wav", noise(1000), RATE)
    with pytest.raises(ValueError, match="a.wav is in the output folder .*made"):
        extract([made / "a.wav"], made, config=WAVES, overwrite=True, report=False)
    assert (made / "a.wav").exists()


@pytest.mark.parametrize(
    ("error", "where"), [(KeyboardInterrupt, "encoder"), (OSError, "encoder"), (ValueError, "example_record")]
)
def test_an_interrupted_extraction_is_resumed_by_the_same_call(folder, tmp_path, monkeypatch, error, where):
    whole = extract([folder], tmp_path / "whole", config=WAVES, shard_size=1, report=False)
    calls, working = [], getattr(encode, where)

    def fail(*args, **options):
        calls.append(args)
        if len(calls) == 3:
            raise error("stopped")
        return working(*args, **options)

    monkeypatch.setattr(encode, where, fail)
    with pytest.raises(error):
        extract([folder], tmp_path / "made", config=WAVES, shard_size=1, report=False)
    assert names(tmp_path / "made") == ["config.toml", "plan.json", "shards"]
    assert {name.partition(".")[2] for name in names(tmp_path / "made" / "shards")} == {"arrayrecord", "json"}
    with pytest.raises(FileNotFoundError, match="the extraction is not complete"):
        read_features(tmp_path / "made")
    again = extract([folder], tmp_path / "made", config=WAVES, shard_size=1, report=False)
    assert 0 < again.n_written < whole.n_written
    assert again.records == whole.records


def test_without_matplotlib_it_raises_before_extracting(artifex, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, _, err = artifex("extract", "--n-synthetic", 1)
    assert code == 2
    assert "pip install 'artifex-audio[plot]'" in err
    assert "--no-report" in err
    assert names(tmp_path) == []
    assert artifex("extract", "--n-synthetic", 1, "--no-report")[0] == 0


def test_progress_counts_examples_and_failures(mel):
    _, _, calls = mel
    assert calls[-1] == (6, 6)


def test_a_folder_without_an_extraction_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="contains no extraction"):
        read_features(tmp_path)


def test_every_parameter_of_extract_has_a_help_text():
    parameters = {each.name: each for each in typer.main.get_command(cli.build()).commands["extract"].params}
    assert {"audio", "out", "representation", "config", "overwrite", "n_mels"} <= set(parameters)
    assert [name for name, each in parameters.items() if name != "help" and not each.help] == []


def test_the_installed_command_lists_unreadable_recordings(folder, tmp_path):
    script = "from artifex.generative_models.core.cli import main; main()"
    options = ("--representation", "raw_waveform", "--sample-rate", str(RATE), "--no-report")
    command = [sys.executable, "-c", script, "extract", str(folder), "--out", str(tmp_path / "made"), *options]
    env = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 1, done.stderr
    assert "3 recordings could not be extracted" in done.stdout
    assert len(list(read_features(tmp_path / "made"))) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", "notes.txt/x"), "notes.txt/x cannot be created: Not a directory; its parent"),
        (("--config", "nowhere.toml"), "--config nowhere.toml cannot be read: No such file or directory"),
        (("--config", "latin.toml"), "latin.toml is not UTF-8 text"),
    ],
)
def test_file_system_errors_are_one_message(arguments, message, artifex, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "latin.toml").write_bytes(b"representation = '\xff'")
    code, _, err = artifex("extract", "--n-synthetic", 1, "--no-report", *arguments)
    assert code == 2
    assert message in err
    assert ".tmp" not in err


def test_segments_of_a_manifest_are_extracted_as_segments(artifex, tmp_path):
    levels = np.repeat([0.1, 0.2, 0.3, 0.4], 800)
    write_audio(tmp_path / "long.wav", levels, 8000)
    write_audio(tmp_path / "other.wav", np.full(2000, 0.5), 16000)
    (tmp_path / "m.jsonl").write_text(
        '{"audio_filepath": "long.wav", "offset": 0.1, "duration": 0.1, "text": "one", "label": ["x", "y"], "id": "utt 1"}\n'
        '{"audio_filepath": "long.wav", "offset": 0.3, "label": ["y"]}\n'
        '{"audio_filepath": "long.wav", "label": []}\n'
        '{"audio_filepath": "long.wav", "offset": 7, "label": []}\n'
        '{"audio_filepath": "other.wav", "sample_rate": 8000, "label": "z"}\n'
    )
    options = ("--representation", "raw_waveform", "--sample-rate", 8000, "--no-normalize", "--no-report")
    code, out, _ = artifex("extract", "m.jsonl", *options)
    assert code == 1
    assert "the segment from 7 s to its end is outside the recording" in out
    assert "the sample rate is 16000 Hz, but the manifest declares 8000 Hz" in out
    found = list(read_features("features"))
    assert [record["id"] for record, _ in found] == ["utt_1", "long.wav", "long.wav-2"]
    for (record, features), expected in zip(found, (levels[800:1600], levels[2400:], levels), strict=True):
        np.testing.assert_allclose(features, expected, atol=1e-4)
        assert record["n_samples"] == len(expected)
    records = [record for record, _ in found]
    assert [(each.get("start"), each.get("end")) for each in records] == [(0.1, 0.2), (0.3, None), (None, None)]
    assert records[0]["annotations"] == {"text": "one", "id": "utt 1"}
    data = FeatureDataset("features")
    assert data.labels == ("x", "y", "z")
    assert [data[index]["label"].tolist() for index in range(3)] == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    code, out, _ = artifex("extract", "m.jsonl", *options)
    assert "already complete" in out
    assert artifex("extract", "--verify")[0] == 0
    lines = (tmp_path / "m.jsonl").read_text()
    (tmp_path / "m.jsonl").write_text(lines.replace('"offset": 0.3', '"offset": 0.2'))
    code, _, err = artifex("extract", "m.jsonl", *options)
    assert code == 2
    assert "long.wav from 0.2 s to its end" in err


def test_features_of_one_split_are_read(artifex, tmp_path):
    write_audio(tmp_path / "a.wav", np.full(2000, 0.5), 8000)
    rows = [{"path": "a.wav", "label": split, "split": split} for split in ("train", "test", "train")]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert artifex("extract", "m.jsonl", "--sample-rate", 8000, "--no-report")[0] == 0
    train, test = FeatureDataset("features"), FeatureDataset("features", split="test")
    assert (len(train), len(test), train.labels, test.labels) == (2, 1, ("test", "train"), ("test", "train"))
    assert ([example["id"] for example in train], test[0]["label"]) == (["a.wav", "a.wav-3"], 0)
    with pytest.raises(ValueError, match="one of those of features, 'test' or 'train', got 'validation'"):
        FeatureDataset("features", split="validation")


def test_a_kaldi_folder_without_labels_is_extracted(artifex, tmp_path):
    write_audio(tmp_path / "a.wav", np.full(2000, 0.5), 8000)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "wav.scp").write_text("r1 a.wav\n")
    (tmp_path / "data" / "segments").write_text("u1 r1 0 0.1\nu2 r1 0.1 0.2\n")
    code, _, _ = artifex("extract", "data", "--sample-rate", 8000, "--examples", 1)
    assert code == 0
    data = FeatureDataset("features")
    assert ([example["id"] for example in data], data.labels, "label" in data[0]) == (["u1", "u2"], (), False)
