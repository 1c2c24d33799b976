"""Features that ``artifex extract`` wrote, as a dataset. Imports no jax, so that loader workers can read with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from artifex.generative_models.modalities.audio.base import AudioModalityConfig
from artifex.generative_models.modalities.audio.extraction import plan as plans
from artifex.generative_models.modalities.audio.extraction import store
from artifex.generative_models.modalities.audio.extraction.run import manifest
from artifex.generative_models.modalities.base import BaseDataset, position

if TYPE_CHECKING:
    from flax import nnx


class FeatureDataset(BaseDataset):
    """The features in a folder that ``artifex extract`` wrote, in the order of the recordings.

    A read takes one record from its shard, wherever it lies, checked against its checksum. What is kept in memory is a
    few numbers and two names for each example. It goes to loader workers as it is: each opens the shards for itself.

    Args:
        folder: The folder of a complete extraction.
        config: What the features are expected to be; None takes what the folder says. ``duration`` is not compared where
            recordings kept their own length.
        split: Which part of the data the folder is.
        rngs: Where ``get_batch`` draws indices from; None draws the same sequence of batches every time.
        name: What the dataset is called.

    Raises:
        FileNotFoundError: When the folder holds no complete extraction, or shards of it are missing.
        ValueError: When there is no example in it, the features are not what ``config`` says, the plan is damaged,
            or the manifest belongs to another plan.
        MissingDependencyError: Without the extra ``artifex-audio[loader]``.

    Attributes:
        labels: The names that the numbers under ``label`` stand for.
        time_axis_keys: The representation's name where its last axis is time.

    Example:
        >>> import tempfile
        >>> from artifex.generative_models.modalities.audio import extract
        >>> out = Path(tempfile.mkdtemp()) / "features"
        >>> config = AudioModalityConfig(representation="raw_waveform", duration=0.5)
        >>> _ = extract([], out, config=config, n_synthetic=6, report=False)
        >>> data = FeatureDataset(out)
        >>> sample = data[1]
        >>> sample["raw_waveform"].shape, sample["length"], sample["id"], data.labels[sample["label"]]
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
        store.check_ready()
        self.folder = Path(folder).resolve()
        plan = plans.read(self.folder)
        if plan is None:
            raise FileNotFoundError(f"{folder}: no extraction here, there is no {store.PLAN}")
        _check_config(config, plan.audio, folder)
        super().__init__(plan.config, split, rngs=rngs)
        self.name = name
        self.labels = tuple(plan.labels)
        number = {label: place for place, label in enumerate(self.labels)}
        paths: dict[str, int] = {}
        rows = [self._row(record, paths, number) for record in manifest(folder, digest=plan.digest)]
        if not rows:
            raise ValueError(f"{folder} holds no example: nothing could be extracted, {store.FAILURES} says why")
        shards, places, indices, labels, shapes, dtypes, self._id, self._source = zip(*rows, strict=True)
        self._paths = [self.folder / file for file in paths]
        for path in self._paths:
            store.check_there(path)
        self._shard = np.array(shards, np.int32)
        self._record = np.array(places, np.int32)
        self._index = np.array(indices, np.int64)
        self._label = np.array(labels, np.int32)
        self._shape = np.array(shapes, np.int64).reshape(len(rows), -1)
        self._dtype = store.dtype_of(dtypes[0])
        self._key = plan.config.representation_name
        self.time_axis_keys = (self._key,)
        self._readers = store.Readers()

    def __len__(self) -> int:
        return len(self._shard)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one example.

        Args:
            index: Its place; a negative one counts from the end.

        Returns:
            The features under the representation's name; ``length``, the size of their last axis; ``id`` and
            ``source``; and ``label``, the number of its class.

        Raises:
            IndexError: When there is no such example.
            OSError: When it is damaged; the message names the shard.
        """
        place = position(index, len(self), self.name)
        path = self._paths[self._shard[place]]
        shape = tuple(self._shape[place].tolist())
        features = store.read_known(
            self._readers(path),
            path,
            int(self._record[place]),
            index=int(self._index[place]),
            shape=shape,
            dtype=self._dtype,
        )
        return {
            self._key: features,
            "length": shape[-1] if shape else 1,
            "id": self._id[place],
            "source": self._source[place],
            "label": int(self._label[place]),
        }

    def lengths(self) -> np.ndarray:
        """Return the length of every example along time.

        Returns:
            The sizes of the last axis, frames or samples, shape (n,), int64.
        """
        return self._shape[:, -1].copy() if self._shape.shape[1] else np.ones(len(self), np.int64)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_readers"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._readers = store.Readers()

    @staticmethod
    def _row(record: dict[str, Any], paths: dict[str, int], number: dict[str, int]) -> tuple[Any, ...]:
        return (
            paths.setdefault(record["file"], len(paths)),
            record["record"],
            record["index"],
            number[record["label"]],
            tuple(record["shape"]),
            record["dtype"],
            record["id"],
            record["source"],
        )


def _check_config(config: AudioModalityConfig | None, there: dict[str, Any], folder: str | os.PathLike[str]) -> None:
    if config is None:
        return
    if not isinstance(config, AudioModalityConfig):
        raise TypeError(f"FeatureDataset takes config=AudioModalityConfig(…), got {type(config).__name__}")
    expected = config.to_dict()
    different = [f"{key} is {value}, not {expected[key]}" for key, value in there.items() if value != expected[key]]
    if different:
        raise ValueError(f"{folder} holds other features than config says: {', '.join(different)}")
