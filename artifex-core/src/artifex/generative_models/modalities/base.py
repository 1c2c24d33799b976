"""Base classes of modalities and datasets. Imports no jax, so that loader workers can use it."""

from __future__ import annotations

import numbers
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from artifex.generative_models.core.checks import check_integer, is_list, is_mapping
from artifex.generative_models.core.display import html_table, one_line

if TYPE_CHECKING:
    from flax import nnx

_EPOCH: ContextVar[int] = ContextVar("epoch", default=0)


def current_epoch() -> int:
    """Return the epoch that a loader is reading, for datasets whose examples change from epoch to epoch.

    Returns:
        The epoch, from 0; 0 outside of a loader.

    Example:
        >>> current_epoch()
        0
    """
    return _EPOCH.get()


@contextmanager
def reading_epoch(epoch: int) -> Generator[None]:
    """Set the epoch that ``dataset[index]`` reads, in this thread.

    Args:
        epoch: Epoch, from 0.

    Raises:
        TypeError: When the epoch is not an integer.
        ValueError: When it is negative.

    Example:
        >>> with reading_epoch(3):
        ...     current_epoch()
        3
    """
    check_integer("epoch", epoch, minimum=0)
    token = _EPOCH.set(int(epoch))
    try:
        yield
    finally:
        _EPOCH.reset(token)


class Modality(ABC):
    """Base class of modalities, which encode data for a model and decode it.

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
    def encode(self, data: Any, /) -> Any:
        """Convert data to the representation that the configuration selects."""

    @abstractmethod
    def decode(self, encoded: Any) -> Any:
        """Convert the representation back to data; the inverse of ``encode``."""


class BaseDataset(ABC):
    """Base class of datasets: examples by index, each a dict, and batches of them.

    A subclass defines ``__len__`` and either ``__getitem__`` or both ``__iter__`` and ``get_batch``. With ``__len__``
    and ``__getitem__`` it is a data source for Grain.

    ``time_axis_keys`` lists the keys of arrays whose last axis is time. If examples are
    variable-length, a loader pads these arrays to one length and stores the length of each under the key ``length``.

    A subclass whose examples have classes or annotations overrides ``targets``, ``column_names`` and ``column``, so that
    functions such as ``split`` and ``balanced`` work without reading examples.

    Args:
        config: Configuration of the examples.
        split: Name of the split, such as ``"train"``.
        rngs: Random streams for ``get_batch``: the stream ``sample`` if there is one, else the default stream. With None,
            every dataset draws the same sequence of batches.

    Attributes:
        time_axis_keys: Keys of arrays whose last axis is time.
        pad_values: The value that pads the time axis of each key; 0 for keys that are missing.
        labels: Class names, in the order of the indices that ``targets`` returns; () without names.

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
    pad_values: Mapping[str, float] = MappingProxyType({})
    labels: tuple[str, ...] = ()

    def __init__(self, config: Any, split: str = "train", *, rngs: nnx.Rngs | None) -> None:
        if not (split and isinstance(split, str)):  # pyright: ignore[reportUnnecessaryIsInstance]  users' input
            raise TypeError(f"split must be the name of a split, such as 'train', got {split!r}")
        if rngs is not None and not callable(rngs):
            raise TypeError(
                f"rngs must be None or an nnx.Rngs, such as nnx.Rngs(0), got {rngs!r} ({type(rngs).__name__})"
            )
        self.config = config
        self.split = split
        self.rngs = rngs
        self._draws = np.random.default_rng(0)

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of examples."""

    def __getitem__(self, index: int) -> Any:
        """Return one example."""
        raise TypeError(f"{type(self).__name__} cannot be indexed: it does not define __getitem__")

    def __iter__(self) -> Iterator[Any]:
        """Yield every example once, in order."""
        for index in range(len(self)):
            yield self[index]

    def example(self, index: int, *, epoch: int | None = None) -> Any:
        """Return one example of an epoch.

        Random choices, such as the crop of a recording, depend on ``(seed, epoch, index)`` only.

        Args:
            index: Index of the example, from 0.
            epoch: Number of the epoch, from 0. None means the epoch that a loader is reading, or 0 outside of a loader,
                as for ``self[index]``.

        Returns:
            The example, as ``self[index]`` returns it.
        """
        with reading_epoch(current_epoch() if epoch is None else epoch):
            return self[index]

    def examples(self, indices: Sequence[int], *, epoch: int | None = None) -> list[Any]:
        """Return several examples of one epoch; override it if they can be computed faster together.

        Args:
            indices: Indices of the examples, from 0.
            epoch: Number of the epoch, as in ``example``.

        Returns:
            The examples, in order.
        """
        return [self.example(int(index), epoch=epoch) for index in indices]

    def targets(self) -> np.ndarray | None:
        """Return the class of every example without reading the examples.

        Returns:
            Class indices, shape (n,), int64, -1 for examples without a label; for examples of several classes a multi-hot
            array, shape (n, n_classes), float32; None for a dataset without labels.
        """
        return None

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names that ``column`` accepts."""
        has_lengths = type(self).lengths is not BaseDataset.lengths
        return (*(["label"] if self.targets() is not None else []), *(["length"] if has_lengths else []))

    def column(self, name: str) -> list[str] | list[tuple[str, ...]] | np.ndarray:
        """Return a value of every example without reading the examples.

        Args:
            name: One of ``column_names``: ``"label"``, ``"length"``, or an annotation such as ``"speaker"``.

        Returns:
            n strings, or an array of numbers, shape (n,). ``"label"`` is the name of each class, empty for examples
            without a label; a tuple of names for examples of several classes; or the index, where classes have no names.

        Raises:
            ValueError: When there is no such column; the message lists those that exist.
        """
        if name == "label" and (targets := self.targets()) is not None:
            return _named(targets, self.labels)
        if name == "length" and (lengths := self.lengths()) is not None:
            return lengths
        known = ", ".join(map(repr, self.column_names)) or "none"
        raise ValueError(
            f"column must be one of those of {getattr(self, 'name', type(self).__name__)}: {known}; got {name!r}"
        )

    def recordings(self) -> np.ndarray:
        """Return the number of the recording that every example is taken from, without reading the examples.

        Returns:
            Numbers, shape (n,), int64: equal for examples that overlap, such as windows of one recording, which ``split``
            does not divide. By default every example is its own recording.
        """
        return np.arange(len(self), dtype=np.int64)

    def class_counts(self) -> dict[str, int]:
        """Return the number of examples of each class without reading the examples.

        Returns:
            The counts by class name, or by index, such as ``"3"``, where classes have no names. Classes without examples
            are included; examples without a label are not counted.

        Raises:
            ValueError: When the dataset has no labels.
        """
        targets = self.targets()
        if targets is None:
            raise ValueError(f"{getattr(self, 'name', type(self).__name__)} has no labels to count")
        if targets.ndim == 2:
            counts = targets.astype(bool).sum(axis=0)
        else:
            counts = np.bincount(targets[targets >= 0], minlength=len(self.labels))
        by_name: dict[str, int] = {}
        for index, count in enumerate(counts.tolist()):
            name = self.labels[index] if self.labels else str(index)
            by_name[name] = by_name.get(name, 0) + count
        return by_name

    def lengths(self) -> np.ndarray | None:
        """Return the number of samples of every example, if available without reading the examples.

        Returns:
            Lengths, shape (n,), int64, or None.
        """
        return None

    def summary(self) -> dict[str, object]:
        """Return what ``repr`` and notebooks show of the dataset; override it to add to it. Nothing is read for it.

        Returns:
            Values by name; None where a value is not available.
        """
        name: object = getattr(self, "name", None)
        labels: object = getattr(self, "labels", ())
        return {
            "name": None if name == type(self).__name__ else name,
            "n_examples": self._known_length(),
            "split": getattr(self, "split", None),
            "n_classes": len(labels) if is_list(labels) and labels else None,
            "labels": labels if is_list(labels) and labels else None,
        }

    def _known_length(self) -> int | None:
        """Return the number of examples, or None if files would have to be read to count them."""
        return len(self)

    def __repr__(self) -> str:
        return one_line(type(self).__name__, self.summary())

    def _repr_html_(self) -> str:
        return html_table(type(self).__name__, self.summary())

    def fingerprint(self) -> str:
        """Return a checksum of the dataset, which is the same in every process.

        The state of a loader contains it, so that training is not resumed on different data. Override it if examples
        depend on more than class, length, split and configuration.

        Returns:
            Eight hexadecimal digits.
        """
        return checksum(type(self).__qualname__, len(self), self.split, self.config)

    def get_batch(self, batch_size: int) -> dict[str, Any]:
        """Return a batch of examples drawn with replacement.

        Args:
            batch_size: Number of examples, at least 1.

        Returns:
            The batch, as ``collate_fn`` returns it, and under ``index`` the drawn indices, shape (batch_size,).

        Raises:
            TypeError: When the batch size is not an integer.
            ValueError: When the dataset is empty or the batch size is not positive.
        """
        indices = self.draw_indices(batch_size)
        return {**self.collate_fn(read_examples(self, indices.tolist())), "index": indices}

    def draw_indices(self, batch_size: int) -> np.ndarray:
        """Draw indices of examples with replacement.

        Args:
            batch_size: Number of indices, at least 1.

        Returns:
            Indices, shape (batch_size,), int64.

        Raises:
            TypeError: When the batch size is not an integer.
            ValueError: When the dataset is empty or the batch size is not positive.
        """
        check_integer("batch_size", batch_size, minimum=1)
        if not len(self):
            raise ValueError(f"{type(self).__name__} is empty; a batch can be drawn from at least one example")
        draws = self._draws
        if self.rngs is not None:
            import jax

            key = self.rngs["sample"]() if "sample" in self.rngs else self.rngs()
            draws = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        return draws.integers(0, len(self), size=batch_size)

    def collate_fn(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Combine examples into a batch: arrays are stacked, other values become lists.

        Args:
            samples: Examples with equal keys and, for each key, arrays of equal shape.

        Returns:
            A dict with these keys; arrays have shape (batch, ...).

        Raises:
            TypeError: When an example is not a mapping.
            ValueError: When there are no examples, or their keys or array shapes differ.
        """
        if not samples:
            raise ValueError("collate_fn requires at least one example, got none")
        for sample in samples:
            if not is_mapping(sample):
                raise TypeError(
                    f"collate_fn requires examples, mappings such as dataset[0], got {type(sample).__name__}"
                )
        keys = list(samples[0])
        for number, sample in enumerate(samples):
            if set(sample) != set(keys):
                raise ValueError(
                    f"all examples must have equal keys; example 0 has {sorted(keys)}, example {number} has {sorted(sample)}"
                )
        return {key: _stack(key, [sample[key] for sample in samples]) for key in keys}


def read_examples(dataset: Any, indices: Sequence[int], *, epoch: int | None = None) -> list[Any]:
    """Read examples by the method that the most derived class of a dataset defines.

    A subclass may override ``__getitem__`` of a class that defines ``example`` or ``examples``, which do not call it.

    Args:
        dataset: A ``BaseDataset``, or another object with ``__getitem__``.
        indices: Indices of the examples, from 0.
        epoch: Number of the epoch, as in ``BaseDataset.example``.

    Returns:
        The examples, in order.
    """
    epoch = current_epoch() if epoch is None else epoch
    dataset_type = cast("type[object]", type(dataset))
    method = reading_method(dataset_type)
    with reading_epoch(epoch):
        if method == "examples":
            return list(dataset.examples(indices, epoch=epoch))
        if method == "example":
            return [dataset.example(index, epoch=epoch) for index in indices]
        return [dataset[index] for index in indices]


def reading_method(dataset_type: type[object]) -> str:
    """Return the method that reads examples: the one that the most derived class defines.

    Args:
        dataset_type: The class of a dataset.

    Returns:
        ``"examples"``, ``"example"`` or ``"__getitem__"``; of several in one class the first.

    Example:
        >>> class Squares(BaseDataset):
        ...     def __len__(self): return 4
        ...     def __getitem__(self, index): return {"square": index**2}
        >>> reading_method(Squares), reading_method(list)
        ('__getitem__', '__getitem__')
    """
    for each in dataset_type.__mro__:
        if each is BaseDataset:
            break
        for name in ("examples", "example", "__getitem__"):
            if name in vars(each):
                return name
    return "__getitem__"


def checksum(*parts: Any) -> str:
    """Compute a checksum of the ``repr`` of values, for ``BaseDataset.fingerprint``.

    Args:
        *parts: Values whose ``repr`` identifies them; memory addresses are ignored.

    Returns:
        Eight hexadecimal digits.

    Example:
        >>> checksum("train", 3) == checksum("train", 3) != checksum("train", 4)
        True
        >>> checksum(object()) == checksum(object())
        True
    """
    return f"{zlib.crc32(re.sub(' at 0x[0-9a-fA-F]+', '', repr(parts)).encode()):08x}"


def content_checksum(value: Any) -> str:
    """Compute a checksum of the content of a value, including all elements of arrays.

    Args:
        value: Nested mappings, lists and tuples of arrays, bytes and other values, of which the ``repr`` is used.

    Returns:
        Eight hexadecimal digits, the same in every process.

    Example:
        >>> content_checksum([{"x": np.zeros(3)}]) == content_checksum([{"x": np.zeros(3)}])
        True
        >>> content_checksum([{"x": np.zeros(3)}]) == content_checksum([{"x": np.array([0.0, 1e-9, 0.0])}])
        False
    """
    if is_mapping(value):
        return checksum(*[(str(key), content_checksum(each)) for key, each in value.items()])
    if is_list(value):
        return checksum(*[content_checksum(each) for each in value])
    if isinstance(value, bytes | bytearray):
        return f"{zlib.crc32(value):08x}"
    if hasattr(value, "__array__"):
        array = np.asarray(value)
        content = array.tolist() if array.dtype.hasobject else zlib.crc32(np.ascontiguousarray(array).tobytes())
        return checksum(array.shape, array.dtype.str, content)
    return checksum(value)


def position(index: Any, length: int, name: str) -> int:
    """Normalize an index: a negative one counts from the end.

    Args:
        index: An integer from ``-length`` to ``length - 1``.
        length: Number of examples.
        name: Name of the indexed object that the error message shows.

    Returns:
        The index, from 0 to ``length - 1``.

    Raises:
        TypeError: When the index is not an integer.
        IndexError: When it is out of range.

    Example:
        >>> position(-1, 10, "dataset")
        9
    """
    if isinstance(index, bool) or not isinstance(index, numbers.Integral):
        raise TypeError(f"{name} must be indexed by an integer, got {index!r} ({type(index).__name__})")
    number = int(index)
    if not -length <= number < length:
        raise IndexError(f"{name} has {length} examples, got index {number}")
    return number % length


def _named(targets: np.ndarray, labels: tuple[str, ...]) -> list[str] | list[tuple[str, ...]] | np.ndarray:
    """Return the class names of targets, or the indices where classes have no names."""
    if targets.ndim == 2:
        names = labels or [str(index) for index in range(targets.shape[1])]
        return [tuple(names[index] for index in np.flatnonzero(row)) for row in targets]
    return [labels[index] if index >= 0 else "" for index in targets.tolist()] if labels else targets


def _stack(key: str, values: list[Any]) -> Any:
    if not all(hasattr(value, "__array_namespace__") for value in values):
        return values
    shapes = sorted({tuple(value.shape) for value in values})
    if len(shapes) > 1:
        raise ValueError(
            f"{key!r} must have the same shape in all examples, got {', '.join(map(str, shapes))}; "
            f"trim or pad to one length before batching"
        )
    return values[0].__array_namespace__().stack(values)
