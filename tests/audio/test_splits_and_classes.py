"""Splits that a source does not have, the numbering of classes, and states that belong to other data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

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
from artifex.generative_models.modalities.audio.datasets.manifests import find_recordings
from artifex.generative_models.modalities.base import BaseDataset

RATE = 2000
CONFIG = AudioModalityConfig(sample_rate=RATE, duration=0.05)


def write(path: Path, level: float = 0.5, n: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, np.full(n, level), RATE)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the classes cat and dog, and no splits."""
    folder = tmp_path_factory.mktemp("plain")
    for name in ("cat/a.wav", "cat/b.wav", "dog/a.wav"):
        write(folder / name)
    return folder


@pytest.fixture(scope="module")
def divided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the splits train and validation; only validation has the class bird."""
    folder = tmp_path_factory.mktemp("divided")
    for name in ("train/cat/a.wav", "train/dog/b.wav", "validation/bird/c.wav", "validation/dog/d.wav"):
        write(folder / name)
    return folder


def rows(*names: str, **columns: Any) -> list[dict[str, Any]]:
    audio = {"array": np.full(100, 0.5), "sampling_rate": RATE}
    return [{"audio": audio, "label": name, **{k: v[i] for k, v in columns.items()}} for i, name in enumerate(names)]


@pytest.mark.parametrize("split", ["validation", "banana", "Train", "val"])
def test_a_source_without_splits_is_train_only(plain: Path, tmp_path: Path, split: str) -> None:
    manifest = tmp_path / "takes.csv"
    manifest.write_text(f"path,label\n{plain / 'cat/a.wav'},cat\n")
    extract([], tmp_path / "features", config=CONFIG, n_synthetic=3, report=False)
    sources: list[Any] = [
        lambda **options: AudioFileDataset(CONFIG, plain, **options),
        lambda **options: AudioFileDataset(CONFIG, [plain / "cat/a.wav", plain / "dog/a.wav"], **options),
        lambda **options: AudioFileDataset(CONFIG, manifest=manifest, **options),
        lambda **options: TableAudioDataset(CONFIG, rows("a", "b"), **options),
        lambda **options: FeatureDataset(tmp_path / "features", **options),
    ]
    for source in sources:
        assert len(source()) == len(source(split="train"))
        with pytest.raises(
            ValueError, match=rf"not divided into splits, so that split must be 'train', got {split!r}; divide it"
        ):
            source(split=split)


def test_a_folder_of_one_split_may_be_given_with_its_name(divided: Path) -> None:
    assert len(AudioFileDataset(CONFIG, divided / "validation", split="validation")) == 2
    assert len(AudioFileDataset(CONFIG, divided / "validation")) == 2
    with pytest.raises(ValueError, match="not divided into splits"):
        AudioFileDataset(CONFIG, divided / "validation", split="test")


def test_folders_named_like_splits_are_splits(divided: Path, tmp_path: Path) -> None:
    train = AudioFileDataset(CONFIG, divided)
    validation = AudioFileDataset(CONFIG, divided, split="validation")
    assert train.labels == validation.labels == ("bird", "cat", "dog")
    assert [Path(path).stem for path in train.column("path")] == ["a", "b"]
    assert [Path(path).stem for path in validation.column("path")] == ["c", "d"]
    assert [each.split for each in find_recordings(divided)] == ["train", "train", "validation", "validation"]
    with pytest.raises(ValueError, match="'train' or 'validation', got 'val'; did you mean 'validation'"):
        AudioFileDataset(CONFIG, divided, split="val")
    with pytest.raises(ValueError, match="got 'Train'; did you mean 'train'"):
        AudioFileDataset(CONFIG, divided, split="Train")
    for name in ("train/a.wav", "bus/b.wav", "test/c.wav"):  # vehicles: not all are named like splits
        write(tmp_path / name)
    with pytest.warns(UserWarning, match="folders named 'test' and 'train' beside others, so they are not splits"):
        assert AudioFileDataset(CONFIG, tmp_path).labels == ("bus", "test", "train")


def test_splits_beside_files_or_below_classes_give_a_warning(tmp_path: Path) -> None:
    for name in ("one/train/a.wav", "one/test/b.wav", "one/c.wav", "two/cat/train/a.wav", "two/dog/test/b.wav"):
        write(tmp_path / name)
    write(tmp_path / "three/train/a.wav")
    write(tmp_path / "three/bus/b.wav")
    with pytest.warns(UserWarning, match="'test' and 'train' beside others"):
        assert len(AudioFileDataset(CONFIG, tmp_path / "one")) == 3
    with pytest.warns(UserWarning, match="'test' and 'train' below other folders"):
        assert AudioFileDataset(CONFIG, tmp_path / "two").labels == ("cat", "dog")
    assert AudioFileDataset(CONFIG, tmp_path / "three").labels == ("bus", "train")  # one such name may be a class


def test_a_column_of_splits_selects_rows_of_a_table() -> None:
    table = rows("b", "a", "c", split=["train", "test", "train"])
    train, test = (TableAudioDataset(CONFIG, table, split=split) for split in ("train", "test"))
    assert train.labels == test.labels == ("a", "b", "c")
    assert train.column("label") == ["b", "c"]
    assert test.targets().tolist() == [0]
    assert [example["label"] for example in train] == [1, 2]
    with pytest.raises(ValueError, match="'test' or 'train', got 'dev'"):
        TableAudioDataset(CONFIG, table, split="dev")


def test_the_split_of_a_hugging_face_dataset_is_its_own() -> None:
    hugging = pytest.importorskip("datasets")
    table = hugging.Dataset.from_dict({"audio": [b"x", b"y"], "label": ["a", "b"]}, split="test")
    assert len(TableAudioDataset(CONFIG, table, split="test")) == 2
    with pytest.raises(ValueError, match="not divided into splits"):
        TableAudioDataset(CONFIG, table, split="validation")
    one, other = (table.map(lambda row, end=end: {"audio": row["audio"] + end}) for end in (b"1", b"2"))
    assert TableAudioDataset(CONFIG, one).fingerprint() != TableAudioDataset(CONFIG, other).fingerprint()
    divided = table.add_column("split", ["train", "test"])
    assert TableAudioDataset(CONFIG, divided).column("label") == ["a"]


def test_any_split_of_synthetic_audio_is_generated() -> None:
    assert len(SyntheticAudioDataset(CONFIG, n_samples=2, split="banana")) == 2


def test_classes_fix_the_numbering(divided: Path, tmp_path: Path) -> None:
    classes = ["dog", "cow", "cat", "bird"]
    files = AudioFileDataset(CONFIG, divided, classes=classes)
    assert files.labels == tuple(classes)
    assert files.targets().tolist() == [2, 0]
    assert files.class_counts() == {"dog": 1, "cow": 0, "cat": 1, "bird": 0}
    table = TableAudioDataset(CONFIG, rows("cat", "dog"), classes=classes)
    assert [example["label"] for example in table] == [2, 0]
    extract(divided, tmp_path / "features", config=CONFIG, report=False)
    features = FeatureDataset(tmp_path / "features", split="validation", classes=classes)
    assert [example["label"] for example in features] == features.targets().tolist() == [3, 0]


def test_labels_outside_of_the_classes_raise(divided: Path, tmp_path: Path) -> None:
    extract(divided, tmp_path / "features", config=CONFIG, report=False)
    sources: list[Any] = [
        lambda classes: AudioFileDataset(CONFIG, divided, classes=classes),
        lambda classes: TableAudioDataset(CONFIG, rows("cat", "dog", "bird"), classes=classes),
        lambda classes: FeatureDataset(tmp_path / "features", classes=classes),
    ]
    for source in sources:
        with pytest.raises(ValueError, match=r"classes must contain every label, got no 'bird' in \['cat', 'dog'\]"):
            source(["cat", "dog"])
        with pytest.raises(ValueError, match="classes must be different names"):
            source(["cat", "dog", "bird", "cat"])
        with pytest.raises(TypeError, match="classes must be a list of names"):
            source("cat")


def test_label_functions_return_names_or_indices(plain: Path) -> None:
    def index(path: Path) -> int:
        return {"a": 3, "b": 0}[path.stem]

    data = AudioFileDataset(CONFIG, plain, labels=index)
    assert data.labels == ()
    assert [example["label"] for example in data] == data.targets().tolist() == [3, 0, 3]
    named = AudioFileDataset(CONFIG, plain, labels=lambda path: np.int64(index(path)), classes=["w", "x", "y", "z"])
    assert named.column("label") == ["z", "w", "z"]
    with pytest.raises(ValueError, match="got 2 classes and the index 3"):
        AudioFileDataset(CONFIG, plain, labels=index, classes=["w", "x"])
    for wrong in (True, None, -1, 1.5, ""):
        with pytest.raises(TypeError, match="labels must return the class name or index"):
            AudioFileDataset(CONFIG, plain, labels=lambda path, wrong=wrong: wrong)
    with pytest.raises(TypeError, match="only names or only indices, got 3 and 'b'"):
        AudioFileDataset(CONFIG, plain, labels=lambda path: "b" if path.stem == "b" else 3)
    with pytest.raises(ValueError, match="classes requires labels"):
        AudioFileDataset(CONFIG, plain, labels=None, classes=["a"])


def test_indices_of_a_table_are_below_the_number_of_classes() -> None:
    table = [{**row, "label": number} for number, row in enumerate(rows("", "", ""))]
    assert TableAudioDataset(CONFIG, table, classes=["x", "y", "z"]).column("label") == ["x", "y", "z"]
    with pytest.raises(ValueError, match="recording 2: label must be an index below the 2 classes, got 2"):
        TableAudioDataset(CONFIG, table, classes=["x", "y"]).targets()
    table[0]["label"] = -1
    with pytest.raises(ValueError, match="recording 0: label must be an index below the 3 classes, got -1"):
        TableAudioDataset(CONFIG, table, classes=["x", "y", "z"]).targets()


def test_indices_of_a_hugging_face_column_follow_the_classes() -> None:
    hugging = pytest.importorskip("datasets")
    features = hugging.Features({"audio": hugging.Value("binary"), "label": hugging.ClassLabel(names=["cat", "dog"])})
    table = hugging.Dataset.from_dict({"audio": [b"x", b"y"], "label": [0, 1]}, features=features)
    data = TableAudioDataset(CONFIG, table, classes=["dog", "cow", "cat"])
    assert data.targets().tolist() == [2, 0]


class Relabelled(BaseDataset):
    """A user's dataset, whose fingerprint is that of the base class."""

    def __init__(self, n: int) -> None:
        super().__init__(CONFIG, rngs=None)
        self._n = n

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"audio": np.zeros(4)}


def test_a_state_is_refused_by_other_data(divided: Path, plain: Path, tmp_path: Path) -> None:
    table = rows("a", "b", "c", "d")
    louder = [{**table[0], "audio": {"array": np.full(100, 0.25), "sampling_rate": RATE}}, *table[1:]]
    write(tmp_path / "one" / "cat" / "a.wav")
    write(tmp_path / "one" / "dog" / "b.wav")
    write(tmp_path / "two" / "cat" / "a.wav")
    write(tmp_path / "two" / "dog" / "b.wav", n=101)
    write(tmp_path / "three" / "cat" / "a.wav")
    write(tmp_path / "three" / "cow" / "b.wav")

    def files(path: Path, **options: Any) -> AudioFileDataset:
        return AudioFileDataset(CONFIG, path, **options)

    pairs: list[tuple[Any, Any]] = [
        (TableAudioDataset(CONFIG, table), TableAudioDataset(CONFIG, table[::-1])),
        (TableAudioDataset(CONFIG, table), TableAudioDataset(CONFIG, louder)),
        (TableAudioDataset(CONFIG, table), TableAudioDataset(CONFIG, rows("a", "b", "d", "c"))),
        (TableAudioDataset(CONFIG, table), TableAudioDataset(CONFIG, table, classes=["d", "c", "b", "a"])),
        (files(tmp_path / "one"), files(tmp_path / "two")),
        (files(tmp_path / "one"), files(tmp_path / "three")),
        (files(tmp_path / "one", crop="random"), files(tmp_path / "one", crop="random", seed=1)),
        (files(divided), files(divided, split="validation")),
        (files(divided), files(divided, classes=["dog", "cat", "bird"])),
        (table, table[::-1]),
        (table, louder),
        (Relabelled(4), Relabelled(5)),
    ]
    for one, other in pairs:
        state = make_loader(one, 1).state()
        make_loader(one, 1).restore(state)
        with pytest.raises(ValueError, match="this state belongs to other batches: .*data|dataset_length"):
            make_loader(other, 1).restore(state)
    state = make_loader(files(tmp_path / "one"), 1).state()
    (tmp_path / "one").rename(tmp_path / "moved")
    make_loader(files(tmp_path / "moved"), 1).restore(state)


def test_fingerprints_are_equal_in_every_process(divided: Path) -> None:
    program = f"""
import sys, numpy as np
from artifex.generative_models.modalities.audio import AudioFileDataset, AudioModalityConfig, TableAudioDataset
config = AudioModalityConfig(sample_rate={RATE}, duration=0.05)
audio = {{"array": np.full(100, 0.5), "sampling_rate": {RATE}}}
print(AudioFileDataset(config, {str(divided)!r}).fingerprint())
print(TableAudioDataset(config, [{{"audio": audio, "label": "a"}}, {{"audio": audio, "label": "b"}}]).fingerprint())
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    table = rows("a", "b")
    assert found == [AudioFileDataset(CONFIG, divided).fingerprint(), TableAudioDataset(CONFIG, table).fingerprint()]


def test_states_of_features_are_refused_by_other_classes(plain: Path, tmp_path: Path) -> None:
    extract(plain, tmp_path, config=CONFIG, report=False)
    loader = make_loader(FeatureDataset(tmp_path), batch_size=1, seed=0)
    next(iter(loader))
    state = loader.state()
    with pytest.raises(ValueError, match="belongs to other batches"):
        make_loader(FeatureDataset(tmp_path, classes=["dog", "cat"]), batch_size=1, seed=0).restore(state)


@pytest.mark.parametrize("classes", [{"cat", "dog"}, {"cat": 1, "dog": 0}, (name for name in ("cat", "dog"))])
def test_classes_without_a_defined_order_raise(plain: Path, classes: Any) -> None:
    with pytest.raises(TypeError, match="classes must be a list of names"):
        AudioFileDataset(CONFIG, plain, classes=classes)


def test_sources_with_splits_for_some_recordings_raise(plain: Path, divided: Path) -> None:
    with pytest.raises(ValueError, match="for all recordings or none, got 3 of 7 without one"):
        AudioFileDataset(CONFIG, [divided, plain])
    with pytest.raises(ValueError, match="for all recordings or none, got 1 of 3 without one"):
        TableAudioDataset(CONFIG, rows("a", "b", "c", split=["train", "test", None]))


def test_a_class_label_column_of_splits_selects_rows() -> None:
    hugging = pytest.importorskip("datasets")
    features = hugging.Features(
        {
            "audio": hugging.Value("binary"),
            "label": hugging.Value("string"),
            "split": hugging.ClassLabel(names=["train", "test"]),
        }
    )
    table = hugging.Dataset.from_dict(
        {"audio": [b"x", b"y", b"z"], "label": ["a", "b", "a"], "split": [0, 1, 0]}, features=features
    )
    assert len(TableAudioDataset(CONFIG, table)) == 2
    assert len(TableAudioDataset(CONFIG, table, split="test")) == 1
