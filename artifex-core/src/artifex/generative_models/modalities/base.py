"""What every modality and dataset has. Imports no jax, so that loader workers can use it."""

from __future__ import annotations

import numbers
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from artifex.generative_models.core.checks import check_integer

if TYPE_CHECKING:
    from flax import nnx


class Modality(ABC):
    """A kind of data: what its examples look like, and how they become what a model works on and back.

    Args:
        config: The modality's configuration.
    """

    def __init__(self, config: Any) -> None:
        self.config = config

    @property
    @abstractmethod
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one encoded example."""

    @abstractmethod
    def encode(self, data: Any) -> Any:
        """Turn data into the representation that the configuration names."""

    @abstractmethod
    def decode(self, encoded: Any) -> Any:
        """Turn the representation back into data."""


class BaseDataset(ABC):
    """Examples by index, each a dict, and batches of them.

    A subclass gives ``__len__`` and either ``__getitem__``, from which the rest follows, or ``__iter__`` and
    ``get_batch``. With ``__len__`` and ``__getitem__`` it is a Grain source as it stands.

    ``time_axis_keys`` names what an example holds that has time as its last axis and its length under ``length``: what
    a loader pads when examples differ in length.

    Args:
        config: What the examples are like.
        split: Which part of the data, such as ``"train"``.
        rngs: Where ``get_batch`` draws from: the stream ``sample``, else the default one; None draws the same
            sequence of batches every time.

    Example:
        >>> class Squares(BaseDataset):
        ...     def __len__(self): return 4
        ...     def __getitem__(self, index): return {"square": np.array(index**2), "name": str(index)}
        >>> data = Squares(config=None, rngs=None)
        >>> data.collate_fn([data[1], data[3]])
        {'square': array([1, 9]), 'name': ['1', '3']}
        >>> sorted(int(sample["square"]) for sample in data)
        [0, 1, 4, 9]
    """

    time_axis_keys: tuple[str, ...] = ("audio",)

    def __init__(self, config: Any, split: str = "train", *, rngs: nnx.Rngs | None) -> None:
        if not isinstance(split, str) or not split:
            raise TypeError(f"split is the name of a part of the data, such as 'train', got {split!r}")
        self.config = config
        self.split = split
        self.rngs = rngs
        self._draws = np.random.default_rng(0)

    @abstractmethod
    def __len__(self) -> int:
        """Return how many examples there are."""

    def __getitem__(self, index: int) -> Any:
        """Return one example."""
        raise TypeError(f"{type(self).__name__} has no access by index: it defines no __getitem__")

    def __iter__(self) -> Iterator[Any]:
        """Yield every example once, in order."""
        for index in range(len(self)):
            yield self[index]

    def example(self, index: int, *, epoch: int = 0) -> Any:
        """Return one example as training sees it in an epoch.

        A dataset that draws something of an example, such as which part of a recording is taken, draws it from
        ``(seed, epoch, index)`` alone. ``dataset[index]`` is the example of epoch 0.

        Args:
            index: Its place, from 0.
            epoch: How many times training has gone through the data before, from 0.

        Returns:
            What ``self[index]`` returns.
        """
        return self[index]

    def examples(self, indices: Sequence[int], *, epoch: int = 0) -> list[Any]:
        """Return several examples of one epoch; a dataset that makes them faster together overrides it.

        Args:
            indices: Their places, from 0.
            epoch: As for ``example``.

        Returns:
            A list of what ``example`` returns.
        """
        return [self.example(int(index), epoch=epoch) for index in indices]

    def lengths(self) -> np.ndarray | None:
        """Return the length of every example along time, where that is known without reading them.

        Returns:
            Lengths, shape (n,), int64, or None.
        """
        return None

    def fingerprint(self) -> str:
        """Return a few digits that are the same where the examples are, in another process too.

        A loader's state carries them, so that it is not gone on with over other data. A dataset with more that decides
        its examples than class, length, split and configuration overrides this.

        Returns:
            Eight hexadecimal digits.
        """
        return checksum(type(self).__qualname__, len(self), self.split, self.config)

    def get_batch(self, batch_size: int) -> dict[str, Any]:
        """Return a batch of examples drawn with replacement.

        Args:
            batch_size: How many, at least 1.

        Returns:
            What ``collate_fn`` makes of them, and ``index``, the places they were drawn from, shape
            (batch_size,).

        Raises:
            ValueError: When the dataset is empty or the size is no positive integer.
        """
        indices = self.draw_indices(batch_size)
        return {**self.collate_fn([self[int(i)] for i in indices]), "index": indices}

    def draw_indices(self, batch_size: int) -> np.ndarray:
        """Draw places of examples, with replacement.

        Args:
            batch_size: How many, at least 1.

        Returns:
            Indices, shape (batch_size,), int64.

        Raises:
            ValueError: When the dataset is empty or the size is no positive integer.
        """
        check_integer("batch_size", batch_size, minimum=1)
        if not len(self):
            raise ValueError(f"{type(self).__name__} is empty: there is nothing to draw a batch from")
        draws = self._draws
        if self.rngs is not None:
            import jax

            key = self.rngs["sample"]() if "sample" in self.rngs else self.rngs()
            draws = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        return draws.integers(0, len(self), size=batch_size)

    def collate_fn(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Put examples together: arrays are stacked, everything else becomes a list.

        Args:
            samples: Examples with the same keys; an array has the same shape in all of them.

        Returns:
            A dict with those keys; arrays are (batch, …).

        Raises:
            ValueError: For no examples, differing keys, or arrays that differ in shape.
        """
        if not samples:
            raise ValueError("collate_fn was given no samples; a batch has at least one")
        keys = list(samples[0])
        for number, sample in enumerate(samples):
            if set(sample) != set(keys):
                raise ValueError(f"sample {number} has the keys {sorted(sample)}, but sample 0 has {sorted(keys)}")
        return {key: _stack(key, [sample[key] for sample in samples]) for key in keys}


def checksum(*parts: Any) -> str:
    """Return a checksum of what values look like, for ``BaseDataset.fingerprint``.

    Args:
        *parts: Values whose ``repr`` says what they are; a place in memory that it names makes no difference.

    Returns:
        Eight hexadecimal digits.

    Example:
        >>> checksum("train", 3) == checksum("train", 3) != checksum("train", 4)
        True
        >>> checksum(object()) == checksum(object())
        True
    """
    return f"{zlib.crc32(re.sub(' at 0x[0-9a-fA-F]+', '', repr(parts)).encode()):08x}"


def position(index: Any, length: int, name: str) -> int:
    """Return a place counted from the start, as sequences take it.

    Args:
        index: An integer from ``-length`` to ``length - 1``.
        length: How many there are.
        name: What is indexed, for the message.

    Returns:
        The place, 0 to ``length - 1``.

    Raises:
        TypeError: When it is no integer.
        IndexError: When it is out of range.

    Example:
        >>> position(-1, 10, "dataset")
        9
    """
    if isinstance(index, bool) or not isinstance(index, numbers.Integral):
        raise TypeError(f"{name} is indexed by an integer, got {index!r} ({type(index).__name__})")
    place = int(index)
    if not -length <= place < length:
        raise IndexError(f"{name} has {length} examples, got index {place}")
    return place % length


def _stack(key: str, values: list[Any]) -> Any:
    if not all(hasattr(value, "__array_namespace__") for value in values):
        return values
    shapes = sorted({tuple(value.shape) for value in values})
    if len(shapes) > 1:
        raise ValueError(
            f"{key!r} differs in shape between samples: {', '.join(map(str, shapes))}; "
            f"trim or pad to one length before batching"
        )
    return values[0].__array_namespace__().stack(values)
