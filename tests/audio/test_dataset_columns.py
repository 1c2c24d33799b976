"""Classes, annotations and epochs of datasets, without reading examples."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from artifex.generative_models.modalities.audio import (
    AudioFileDataset,
    AudioModalityConfig,
    FeatureDataset,
    SyntheticAudioDataset,
    TableAudioDataset,
    extract,
    make_loader,
    write_audio,
)
from artifex.generative_models.modalities.base import BaseDataset, current_epoch, reading_epoch

RATE = 2000
CONFIG = AudioModalityConfig(sample_rate=RATE, duration=0.1)
SPEAKERS = ("ann", "bob")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of six recordings of 0.25 s, three classes and two speakers."""
    folder = tmp_path_factory.mktemp("takes")
    lines = ["path,label,speaker,age"]
    for number in range(6):
        audio = np.random.default_rng(number).uniform(-0.5, 0.5, 500).astype(np.float32)
        write_audio(folder / f"{number}.wav", audio, RATE)
        lines.append(f"{number}.wav,{'cab'[number % 3]},{SPEAKERS[number // 3]},{20 + number}")
    path = folder / "takes.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def files(manifest: Path, **options) -> AudioFileDataset:
    return AudioFileDataset(CONFIG, manifest=manifest, **options)


def unread(dataset: BaseDataset, monkeypatch: pytest.MonkeyPatch) -> BaseDataset:
    """Return a dataset whose examples cannot be read."""
    for name in ("example", "examples", "__getitem__"):
        monkeypatch.setattr(type(dataset), name, lambda *given, **options: pytest.fail("an example was read"))
    return dataset


def test_targets_and_columns_of_files_are_those_of_the_examples(manifest, monkeypatch):
    dataset = files(manifest, annotations=True)
    examples = list(dataset)
    unread(dataset, monkeypatch)
    targets = dataset.targets()
    assert targets.dtype == np.int64
    assert targets.tolist() == [example["label"] for example in examples] == [2, 0, 1, 2, 0, 1]
    assert dataset.column("label") == ["c", "a", "b", "c", "a", "b"]
    assert dataset.column("speaker") == [example["annotations"]["speaker"] for example in examples]
    assert dataset.column("age") == [example["annotations"]["age"] for example in examples]
    assert dataset.column("path") == [example["path"] for example in examples]
    assert dataset.column("length").tolist() == [200] * 6
    assert dataset.class_counts() == {"a": 2, "b": 2, "c": 2}
    assert dataset.column_names == ("label", "length", "path", "speaker", "age")


def test_windows_have_the_columns_of_their_recording(manifest):
    dataset = files(manifest, crop="sliding", hop=0.05)
    paths = [example["path"] for example in dataset]
    assert len(dataset) == len(paths) == 24
    assert dataset.column("path") == paths
    assert dataset.targets().tolist() == [example["label"] for example in dataset]
    assert Counter(dataset.recordings().tolist()) == dict.fromkeys(range(6), 4)


def test_an_unknown_column_is_an_error_that_lists_the_columns(manifest):
    with pytest.raises(ValueError, match="'label', 'length', 'path', 'speaker', 'age'; got 'speakr'"):
        files(manifest).column("speakr")
    with pytest.raises(ValueError, match="'length', 'path', 'speaker', 'age'; got 'label'"):
        files(manifest, labels=None).column("label")
    with pytest.raises(ValueError, match="has no labels"):
        files(manifest, labels=None).class_counts()
    assert files(manifest, labels=None).targets() is None


def rows() -> list[dict[str, object]]:
    return [
        {"audio": {"array": np.full(200, 0.5, np.float32), "sampling_rate": RATE}, "label": name, "speaker": speaker}
        for name, speaker in [("b", "ann"), ("a", "bob"), ("b", None)]
    ]


def frame_of(kind: str):
    if kind == "list":
        return rows()
    plain = [{**row, "audio": f"{number}.wav"} for number, row in enumerate(rows())]
    columns = {name: [row[name] for row in plain] for name in plain[0]}
    if kind == "pandas":
        return pytest.importorskip("pandas").DataFrame(columns)
    if kind == "polars":
        return pytest.importorskip("polars").DataFrame(columns)
    if kind == "arrow":
        return pytest.importorskip("pyarrow").table(columns)
    return pytest.importorskip("datasets").Dataset.from_dict(columns)


@pytest.mark.parametrize("kind", ["list", "pandas", "polars", "arrow", "hugging face"])
def test_targets_and_columns_of_tables_are_read_from_the_table(kind):
    dataset = TableAudioDataset(CONFIG, frame_of(kind))
    assert dataset.targets().tolist() == [1, 0, 1]
    assert dataset.column("label") == ["b", "a", "b"]
    assert dataset.column("speaker") == ["ann", "bob", ""]
    assert dataset.class_counts() == {"a": 1, "b": 2}
    with pytest.raises(ValueError, match="'speaker'; got 'speakr'"):
        dataset.column("speakr")


def test_targets_of_several_classes_are_multi_hot():
    table = [{"audio": rows()[0]["audio"], "label": names} for names in (["a", "b"], ["b"], [])]
    dataset = TableAudioDataset(CONFIG, table)
    np.testing.assert_array_equal(dataset.targets(), [example["label"] for example in dataset])
    np.testing.assert_array_equal(dataset.targets(), [[1, 1], [0, 1], [0, 0]])
    assert dataset.column("label") == [("a", "b"), ("b",), ()]
    assert dataset.class_counts() == {"a": 1, "b": 2}


def test_classes_without_names_are_counted_by_index():
    table = [{"audio": rows()[0]["audio"], "label": index} for index in (2, 0, 2)]
    dataset = TableAudioDataset(CONFIG, table)
    assert dataset.column("label").tolist() == [2, 0, 2]
    assert dataset.class_counts() == {"0": 1, "1": 0, "2": 2}


def test_targets_of_synthetic_audio_are_its_types():
    dataset = SyntheticAudioDataset(CONFIG, n_samples=20, audio_types=["sine", "noise"], weights=[1, 3])
    assert dataset.column("audio_type") == [example["audio_type"] for example in dataset]
    assert dataset.targets().tolist() == [dataset.labels.index(name) for name in dataset.column("label")]


def test_targets_of_features_are_those_of_the_examples(manifest, tmp_path):
    config = AudioModalityConfig(sample_rate=RATE, duration=0.1, representation="raw_waveform")
    extract([manifest], tmp_path / "made", config=config, report=False)
    dataset = FeatureDataset(tmp_path / "made")
    assert dataset.targets().tolist() == [example["label"] for example in dataset]
    assert dataset.column("source") == [example["source"] for example in dataset]
    assert dataset.class_counts() == {"a": 2, "b": 2, "c": 2}


class Wrapper:
    """A wrapper as users write it."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        example = self.dataset[index]
        return {**example, "audio": 2 * example["audio"]}


class Forwarding(Wrapper):
    def __getattr__(self, name):
        if name == "dataset":
            raise AttributeError(name)
        return getattr(self.dataset, name)


class Subclass(AudioFileDataset):
    def __getitem__(self, index):
        example = super().__getitem__(index)
        return {**example, "audio": 2 * example["audio"]}


@pytest.mark.filterwarnings("ignore:Wrapper wraps")
@pytest.mark.parametrize("kind", [Wrapper, Forwarding, Subclass])
def test_random_crops_change_every_epoch_in_a_users_own_wrapper(kind, manifest):
    plain = files(manifest, crop="random")
    own = Subclass(CONFIG, manifest=manifest, crop="random") if kind is Subclass else kind(plain)
    starts = []
    for batch in make_loader(own, 6, epochs=3):
        epoch = int(batch["epoch"][0])
        expected = np.stack([2 * plain.example(index, epoch=epoch)["audio"] for index in range(6)])
        np.testing.assert_array_equal(batch["audio"], expected)
        starts.append(tuple(batch["start"].tolist()))
    assert len(set(starts)) == 3


def test_a_subclass_of_synthetic_audio_is_read_through_its_own_getitem():
    class Halved(SyntheticAudioDataset):
        def __getitem__(self, index):
            example = super().__getitem__(index)
            return {**example, "audio": 0.5 * example["audio"]}

    plain = SyntheticAudioDataset(CONFIG, n_samples=4)
    batch = next(make_loader(Halved(CONFIG, n_samples=4), 4))
    np.testing.assert_allclose(batch["audio"], 0.5 * plain[0:4]["audio"], rtol=1e-6)


def test_an_explicit_epoch_takes_precedence_over_the_loaders(manifest):
    dataset = files(manifest, crop="random")
    with reading_epoch(2):
        assert current_epoch() == 2
        assert dataset[0]["start"] == dataset.example(0)["start"] == dataset.example(0, epoch=2)["start"]
        first = dataset.example(0, epoch=0)["start"]
    assert current_epoch() == 0
    assert first == dataset[0]["start"] != dataset.example(0, epoch=2)["start"]


def test_a_base_dataset_without_a_method_for_epochs_gets_the_epoch():
    class Epochs(BaseDataset):
        def __init__(self):
            super().__init__(None, rngs=None)

        def __len__(self):
            return 2

        def __getitem__(self, index):
            return {"x": 10 * current_epoch() + index}

    assert Epochs().example(1, epoch=3) == {"x": 31}
    assert Epochs().examples([0, 1], epoch=2) == [{"x": 20}, {"x": 21}]
    assert [batch["x"].tolist() for batch in make_loader(Epochs(), 2, epochs=2)] == [[0, 1], [10, 11]]


def test_an_invalid_epoch_raises():
    with pytest.raises(ValueError, match="epoch"), reading_epoch(-1):
        pass
