"""A dataset of the features that ``artifex extract`` wrote. Imports no jax, so that loader workers start fast."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from artifex.generative_models.modalities.audio.base import AudioModalityConfig, config_or_default
from artifex.generative_models.modalities.audio.datasets.manifests.labels import class_label, multi_hot
from artifex.generative_models.modalities.audio.shards import layout
from artifex.generative_models.modalities.audio.shards.reading import no_extraction, read_plan_table, read_records
from artifex.generative_models.modalities.audio.shards.records import (
    ShardReaders,
    check_dependencies,
    check_shard_exists,
    dtype_from_name,
    read_features_at,
)
from artifex.generative_models.modalities.base import BaseDataset, position

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
        split: Name of the split; of an extraction from a manifest with splits, it selects the recordings.
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
        time_axis_keys: The key of the features, whose last axis is time.

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

    config: AudioModalityConfig

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        config: AudioModalityConfig | None = None,
        split: str = "train",
        rngs: nnx.Rngs | None = None,
        name: str = "FeatureDataset",
    ) -> None:
        check_dependencies()
        self.folder = Path(folder).resolve()
        plan = read_plan_table(self.folder)
        if plan is None:
            raise FileNotFoundError(no_extraction(folder))
        table, digest = plan
        _check_config(config, table["audio"], folder)
        super().__init__(AudioModalityConfig.from_dict(table["audio"]), split, rngs=rngs)
        self.name = name
        self.labels: tuple[str, ...] = tuple(table["labels"])
        self._key = self.config.representation_name
        self.time_axis_keys = (self._key,)

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
                tuple(record["shape"]),
                record["dtype"],
                record["id"],
                record["source"],
            )
            for record in read_records(folder, digest=digest)
            if record.get("split") in (None, split)
        ]
        splits = {recording.get("split") for recording in table["recordings"]}
        if None not in splits and split not in splits:
            raise ValueError(f"{folder}: split must be one of {', '.join(sorted(map(repr, splits)))}, got {split!r}")
        if not examples:
            raise ValueError(f"{folder} contains no examples: no recording could be extracted; see {layout.FAILURES}")
        shards, positions, recordings, labels, shapes, dtypes, self._id, self._source = zip(*examples, strict=True)
        self._shard = np.array(shards, np.int32)
        self._position = np.array(positions, np.int32)
        self._recording = np.array(recordings, np.int64)
        self._label: tuple[int | tuple[int, ...] | None, ...] = labels
        self._shape = np.array(shapes, np.int64).reshape(len(examples), -1)
        self._dtype = dtype_from_name(dtypes[0])
        self._paths = [self.folder / file for file in shard_index]
        for path in self._paths:
            check_shard_exists(path)
        self._readers = ShardReaders()

    def __len__(self) -> int:
        return len(self._shard)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one example.

        Args:
            index: Its index; negative indices count from the end.

        Returns:
            The features under the name of the representation; ``length``, the size of their last axis; ``id`` and
            ``source``, strings; and where there are labels ``label``, an index into ``labels``, or where recordings have
            lists of labels a multi-hot array, float32 (n_classes,).

        Raises:
            IndexError: When the index is out of range.
            OSError: When the record is damaged; the message names the shard.
        """
        i = position(index, len(self), self.name)
        path = self._paths[int(self._shard[i])]
        shape = tuple(self._shape[i].tolist())
        features = read_features_at(
            self._readers(path),
            path,
            int(self._position[i]),
            index=int(self._recording[i]),
            shape=shape,
            dtype=self._dtype,
        )
        example = {
            self._key: features,
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
        shapes = np.unique(self._shape, axis=0)
        return {
            **super().summary(),
            "sample_rate": self.config.sample_rate,
            "duration": self.config.duration if len(shapes) == 1 else None,
            self._key: tuple(shapes[0].tolist()) if len(shapes) == 1 else "variable-length",
            "dtype": self._dtype.name,
            "folder": str(self.folder),
        }

    def lengths(self) -> np.ndarray:
        """Return the length of every example along time.

        Returns:
            The size of the last axis of each example's features, in frames or samples, shape (n_examples,), int64.
        """
        return self._shape[:, -1].copy() if self._shape.shape[1] else np.ones(len(self), np.int64)


def _class_label(
    label: str | list[str] | None, indices: Mapping[str, int], *, as_list: bool
) -> int | tuple[int, ...] | None:
    if isinstance(label, str) and as_list:
        label = [label]
    return class_label(tuple(label) if isinstance(label, list) else label, indices)


def _check_config(
    config: AudioModalityConfig | None, stored: Mapping[str, Any], folder: str | os.PathLike[str]
) -> None:
    if config is None:
        return
    expected = config_or_default(config).to_dict()
    differing = [f"{key} is {value}, not {expected[key]}" for key, value in stored.items() if value != expected[key]]
    if differing:
        raise ValueError(f"the features in {folder} were extracted with another configuration: {', '.join(differing)}")
