"""A dataset of the features that ``artifex extract`` wrote. Imports no jax, so that loader workers start fast."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from artifex.generative_models.modalities.audio.base import AudioModalityConfig, config_or_default
from artifex.generative_models.modalities.audio.datasets.manifests.labels import check_classes, class_label, multi_hot
from artifex.generative_models.modalities.audio.datasets.manifests.splits import are_in_split
from artifex.generative_models.modalities.audio.shards import layout
from artifex.generative_models.modalities.audio.shards.checksums import parse_with_checksum
from artifex.generative_models.modalities.audio.shards.reading import (
    config_of_plan,
    no_extraction,
    read_plan_table,
    read_records,
)
from artifex.generative_models.modalities.audio.shards.records import (
    ShardReaders,
    check_dependencies,
    check_shard_exists,
    dtype_from_name,
    read_features_at,
)
from artifex.generative_models.modalities.audio.statistics import Statistics, merge_statistics
from artifex.generative_models.modalities.base import BaseDataset, checksum, position

if TYPE_CHECKING:
    from flax import nnx


class FeatureDataset(BaseDataset):
    """The features in a folder that ``artifex extract`` wrote, in the order of the recordings.

    Access is random: one record is read from its shard and verified against its checksum. A few numbers and two strings
    per example are kept in memory. The dataset can be pickled; each loader worker opens the shards itself.

    Args:
        folder: The folder of a complete extraction.
        config: The expected configuration of the features; None uses that of the folder. ``duration`` is not compared
            for variable-length features.
        split: Name of the split, one of ``splits``; all of an extraction without splits is ``"train"``.
        classes: Class names in the order of their indices; it must contain every label. None means those of the extraction.
        rngs: Random number generators that ``get_batch`` draws indices from; by default every dataset draws the same
            sequence.
        name: Name of the dataset, for error messages.

    Raises:
        FileNotFoundError: When the folder contains no complete extraction, or shards are missing.
        ValueError: When the extraction has no examples, or none of the split, its configuration differs from ``config``, the plan is damaged,
            or the manifest belongs to another plan.
        MissingDependencyError: Without the extra ``artifex-audio[loader]``.

    Attributes:
        labels: Class names; ``label`` in an example is an index into them.
        splits: Names of the splits in the folder; empty if the recordings have none.
        features: Names of the features, which are their keys in an example.
        time_axis_keys: The same names: the last axis of every feature is time, and has the same length in all of them.
        config: The configuration that the features were made with, with the analysis of its preset.
        preset: Name of the preset, or None.
        statistics: The statistics of each feature over the recordings of the split, by name. Complex features have none.
        pad_values: The value that pads each feature: the ``pad_value`` of its representation, such as the level of silence
            for ``log_mel_spectrogram``, else 0.

    Example:
        >>> import tempfile
        >>> from artifex.generative_models.modalities.audio import extract
        >>> out = Path(tempfile.mkdtemp()) / "features"
        >>> config = AudioModalityConfig(representation="raw_waveform", duration=0.5)
        >>> _ = extract([], out, config=config, n_synthetic=6, report=False)
        >>> data = FeatureDataset(out)
        >>> example = data[1]
        >>> example["raw_waveform"].shape, example["length"], example["id"], data.labels[example["label"]]
        ((8000,), 8000, 'noise-1', 'noise')
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        config: AudioModalityConfig | None = None,
        split: str = "train",
        classes: Sequence[str] | None = None,
        rngs: nnx.Rngs | None = None,
        name: str = "FeatureDataset",
    ) -> None:
        check_dependencies()
        self.folder = Path(folder).resolve()
        plan = read_plan_table(self.folder)
        if plan is None:
            raise FileNotFoundError(no_extraction(folder))
        table, digest = plan
        self.features: tuple[str, ...] = tuple(table["features"])
        self.preset: str | None = table["preset"]["name"] if table["preset"] else None
        self.pad_values = dict(table["pad_values"])
        self._settings: tuple[dict[str, Any], dict[str, Any] | None] = table["audio"], table["spectral"]
        super().__init__(None, split, rngs=rngs)
        del self.config  # created by the property
        if config is not None:
            _check_config(config_or_default(config), self.config, [*table["audio"], "representation"], folder)
        self.name = name
        self.labels: tuple[str, ...] = tuple(table["labels"])
        if classes is not None:
            self.labels = check_classes(classes, self.labels)
        self.splits: tuple[str, ...] = tuple(
            sorted({recording["split"] for recording in table["recordings"] if "split" in recording})
        )
        self.time_axis_keys = self.features
        self._digest = digest

        # Stored as columns, which take less memory than one dict per example.
        shard_index: dict[str, int] = {}
        label_index = {label: index for index, label in enumerate(self.labels)}
        has_lists = any(isinstance(recording["label"], list) for recording in table["recordings"])
        examples = [
            (
                shard_index.setdefault(record["file"], len(shard_index)),
                record["record"],
                record["index"],
                _class_label(record["label"], label_index, as_list=has_lists),
                tuple(tuple(record["shapes"][key]) for key in self.features),
                record["dtypes"],
                record["id"],
                record["source"],
            )
            for record in read_records(folder, digest=digest)
            if record.get("split", split) == split
        ]
        are_in_split([recording.get("split") for recording in table["recordings"]], split, os.fspath(folder))
        if not examples:
            raise ValueError(f"{folder} contains no examples: no recording could be extracted; see {layout.FAILURES}")
        shards, positions, recordings, labels, shapes, dtypes, self._id, self._source = zip(*examples, strict=True)
        self._shard = np.array(shards, np.int32)
        self._position = np.array(positions, np.int32)
        self._recording = np.array(recordings, np.int64)
        self._label: tuple[int | tuple[int, ...] | None, ...] = labels
        self._shapes = {
            key: np.array(each, np.int64).reshape(len(examples), -1)
            for key, each in zip(self.features, zip(*shapes, strict=True), strict=True)
        }
        self._dtypes = {key: dtype_from_name(name) for key, name in dtypes[0].items()}
        self._paths = [self.folder / file for file in shard_index]
        for path in self._paths:
            check_shard_exists(path)
        self._readers = ShardReaders()

    @cached_property
    def config(self) -> AudioModalityConfig:
        """The configuration; created on first use, since a spectral analysis imports jax, which loader workers do not need."""
        audio, spectral = self._settings
        return config_of_plan(audio, self.features, spectral)

    @cached_property
    def statistics(self) -> Mapping[str, Statistics]:
        """The statistics of each real feature over the recordings of the split, stored by the extraction."""
        path = self.folder / layout.STATISTICS
        try:
            table, _ = parse_with_checksum(path.read_bytes())
        except (FileNotFoundError, ValueError) as error:
            raise OSError(
                f"{path} is missing or damaged ({error}); run the command that started the extraction again"
            ) from error
        by_feature: dict[str, list[Statistics]] = {}
        for split in sorted({"", self.split} & set(table)):
            for name, values in table[split].items():
                by_feature.setdefault(name, []).append(Statistics.from_dict(values))
        return {name: merge_statistics(each) for name, each in by_feature.items()}

    def __len__(self) -> int:
        return len(self._shard)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one example.

        Args:
            index: Its index; negative indices count from the end.

        Returns:
            Each feature under its name; ``length``, the size of their last axis; ``id`` and
            ``source``, strings; and where there are labels ``label``, an index into ``labels``, or where recordings have
            lists of labels a multi-hot array, float32 (n_classes,).

        Raises:
            IndexError: When the index is out of range.
            OSError: When the record is damaged; the message names the shard.
        """
        i = position(index, len(self), self.name)
        path = self._paths[int(self._shard[i])]
        shapes = {key: tuple(shape[i].tolist()) for key, shape in self._shapes.items()}
        features = read_features_at(
            self._readers(path),
            path,
            int(self._position[i]),
            index=int(self._recording[i]),
            shapes=shapes,
            dtypes=self._dtypes,
        )
        shape = shapes[self.features[0]]
        example: dict[str, Any] = {
            **features,
            "length": shape[-1] if shape else 1,
            "id": self._id[i],
            "source": self._source[i],
        }
        label = self._label[i]
        if label is not None:
            example["label"] = label if isinstance(label, int) else multi_hot(label, len(self.labels))
        return example

    def summary(self) -> dict[str, object]:
        """Return what ``repr`` and notebooks show of the dataset; see ``BaseDataset.summary``."""
        shapes = {key: np.unique(shape, axis=0) for key, shape in self._shapes.items()}
        return {
            **super().summary(),
            "preset": self.preset,
            **{
                key: tuple(found[0].tolist()) if len(found) == 1 else "variable-length" for key, found in shapes.items()
            },
            "sample_rate": self._settings[0]["sample_rate"],
            "folder": str(self.folder),
        }

    def lengths(self) -> np.ndarray:
        """Return the length of every example along time.

        Returns:
            The size of the last axis of each example's features, in frames, or in samples for ``raw_waveform``, shape
            (n_examples,), int64. It is that of the first feature, and of all others: an extraction has one time axis.
        """
        shapes = self._shapes[self.features[0]]
        return shapes[:, -1].copy() if shapes.shape[1] else np.ones(len(self), np.int64)

    def fingerprint(self) -> str:
        """Return a checksum of the plan of the extraction, the split and the class names.

        The plan contains the recordings, the configuration, and the distributions and versions of the components.
        """
        return checksum(type(self).__qualname__, self.split, self.labels, self._digest)

    def targets(self) -> np.ndarray | None:
        """Return the class of every example; see ``BaseDataset.targets``."""
        if all(label is None for label in self._label):
            return None
        if any(isinstance(label, tuple) for label in self._label):
            return np.stack(
                [multi_hot(label if isinstance(label, tuple) else (), len(self.labels)) for label in self._label]
            )
        return np.array([-1 if label is None else label for label in self._label], np.int64)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names that ``column`` accepts."""
        return (*super().column_names, "id", "source")

    def column(self, name: str) -> list[str] | list[tuple[str, ...]] | np.ndarray:
        """Return a value of every example; see ``BaseDataset.column``.

        Args:
            name: ``"label"``, ``"length"``, ``"id"`` or ``"source"``.
        """
        return list(self._id if name == "id" else self._source) if name in ("id", "source") else super().column(name)


def _class_label(
    label: str | list[str] | None, indices: Mapping[str, int], *, as_list: bool
) -> int | tuple[int, ...] | None:
    if isinstance(label, str) and as_list:
        label = [label]
    return class_label(tuple(label) if isinstance(label, list) else label, indices)


def _check_config(
    config: AudioModalityConfig, stored: AudioModalityConfig, keys: Iterable[str], folder: str | os.PathLike[str]
) -> None:
    expected, found = config.to_dict(), stored.to_dict()
    differing = [f"{key} is {found[key]}, not {expected[key]}" for key in keys if found[key] != expected[key]]
    if not differing and (config.spectral is None) != (stored.spectral is None):
        differing = [f"spectral is {'None' if stored.spectral is None else 'given'}, not {config.spectral!r}"]
    elif not differing and config.spectral is not None and config.analysis != stored.analysis:
        differing = ["spectral is another analysis"]
    if differing:
        raise ValueError(f"the features in {folder} were extracted with another configuration: {', '.join(differing)}")
