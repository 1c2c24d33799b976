"""Datasets that select, repeat, mix or map the examples of other datasets. Imports no jax.

A view maps ``(index, epoch)`` to the example of a part: its number, the index in it, and its epoch. Views of views are
resolved down to the datasets that read examples, so that examples of one dataset are read together.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from artifex.generative_models.core.checks import is_mapping
from artifex.generative_models.modalities.audio.datasets.loader.batches import takes_rng
from artifex.generative_models.modalities.audio.datasets.loader.plan import (
    IndexedDataset,
    dataset_name,
    fingerprint_of,
    is_fixed,
)
from artifex.generative_models.modalities.audio.datasets.random_draws import map_rng, mix_rng, pass_rng
from artifex.generative_models.modalities.base import (
    BaseDataset,
    checksum,
    current_epoch,
    position,
    read_examples,
    reading_epoch,
)

Column = list[str] | list[tuple[str, ...]] | np.ndarray


class View(BaseDataset):
    """Base class of views. It keeps the classes, annotations, lengths, time axes and epochs of its parts.

    Args:
        function: Name of the function that creates the view.
        parts: The datasets that it reads.
        parameters: Everything else that determines its examples, for the fingerprint.
        split: Name of the split; by default that of the parts.

    Attributes:
        parts: The datasets that it reads.
        is_fixed: Whether an index is the same example in every epoch, apart from random crops and transforms.
    """

    is_fixed: bool

    def __init__(
        self, function: str, parts: Sequence[BaseDataset], *parameters: object, split: str | None = None
    ) -> None:
        first = parts[0]
        splits = "+".join(dict.fromkeys(part.split for part in parts))
        super().__init__(first.config, splits if split is None else split, rngs=first.rngs)
        names = [dataset_name(part) for part in parts]
        self.name = f"{function}({', '.join(names if len(names) < 4 else [*names[:2], '…', names[-1]])})"
        self.parts = tuple(parts)
        self.labels = first.labels
        self.time_axis_keys = first.time_axis_keys
        self.pad_values = dict(first.pad_values)
        self.is_fixed = all(is_fixed(part) for part in parts)
        self._parameters = (function, *parameters)

    @abstractmethod
    def locate(self, index: int, epoch: int) -> tuple[int, int, int]:
        """Return the number of the part, the index in it and its epoch.

        Args:
            index: Index of an example, from 0.
            epoch: Epoch of the view.
        """

    @abstractmethod
    def origins(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the number of the part and the index in it of every example, in the current epoch."""

    def __getitem__(self, index: int) -> Any:
        """Return an example of the epoch that a loader is reading, or of epoch 0 outside of a loader.

        Args:
            index: Its index; negative indices count from the end.
        """
        source, place, epoch = self._resolve(position(index, len(self), self.name), current_epoch())
        with reading_epoch(epoch), _Note(self.name, [index]):
            return source[place]

    def __iter__(self) -> Iterator[Any]:
        """Yield every example once, in order; recordings that cannot be read raise or are skipped."""
        for index in range(len(self)):
            example = self[index]
            if not is_mapping(example) or example.get("valid", True):
                yield example

    def example(self, index: int, *, epoch: int | None = None) -> Any:
        """Return one example of an epoch; see ``BaseDataset.example``."""
        return self.examples([index], epoch=epoch)[0]

    def examples(self, indices: Sequence[int], *, epoch: int | None = None) -> list[Any]:
        """Return several examples of one epoch; those of one dataset are read together.

        Args:
            indices: Indices of the examples; negative indices count from the end.
            epoch: Number of the epoch, as in ``BaseDataset.example``.

        Returns:
            The examples, in order.
        """
        epoch = current_epoch() if epoch is None else epoch
        groups: dict[tuple[int, int], tuple[BaseDataset, list[int], list[int]]] = {}
        for number, index in enumerate(indices):
            source, place, source_epoch = self._resolve(position(index, len(self), self.name), epoch)
            group = groups.setdefault((id(source), source_epoch), (source, [], []))
            group[1].append(number)
            group[2].append(place)
        examples: list[Any] = [None] * len(indices)
        for (_, source_epoch), (source, numbers, places) in groups.items():
            with _Note(self.name, [indices[number] for number in numbers]):
                read = read_examples(source, places, epoch=source_epoch)
            for number, example in zip(numbers, read, strict=True):
                examples[number] = example
        return examples

    def lengths(self) -> np.ndarray | None:
        """Return the length of every example, in the current epoch; see ``BaseDataset.lengths``."""
        return cast("np.ndarray | None", self._gather(lambda part: part.lengths()))

    def max_length(self) -> int | None:
        """Return the maximum length of all examples of the parts, which no epoch exceeds, if lengths are available."""
        maxima = [part.max_length() if isinstance(part, View) else _max_length(part) for part in self.parts]
        known = [each for each in maxima if each is not None]
        return max(known) if len(known) == len(maxima) else None

    def targets(self) -> np.ndarray | None:
        """Return the class of every example of the current epoch; see ``BaseDataset.targets``."""
        return cast("np.ndarray | None", self._gather(lambda part: part.targets()))

    def recordings(self) -> np.ndarray:
        """Return the number of the recording of every example; see ``BaseDataset.recordings``."""
        pairs = _recordings_of(self, {})
        return np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names that ``column`` accepts: those of all parts."""
        return tuple(
            name for name in self.parts[0].column_names if all(name in each.column_names for each in self.parts)
        )

    def column(self, name: str) -> Column:
        """Return a value of every example of the current epoch; see ``BaseDataset.column``.

        Args:
            name: One of ``column_names``.
        """
        if name not in self.column_names:
            return super().column(name)
        values = self._gather(lambda part: part.column(name))
        assert values is not None
        return cast("Column", values)

    def fingerprint(self) -> str:
        """Return a checksum of the function, its parameters and the parts; see ``BaseDataset.fingerprint``."""
        return checksum(len(self), self.split, self._parameters, [part.fingerprint() for part in self.parts])

    def collate_fn(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Combine examples into a batch, as the first part does.

        Args:
            samples: The examples.

        Returns:
            The batch.
        """
        return self.parts[0].collate_fn(samples)

    def _resolve(self, index: int, epoch: int) -> tuple[BaseDataset, int, int]:
        """Return the dataset that reads an example, the index in it and its epoch."""
        dataset: BaseDataset = self
        while isinstance(dataset, View) and not isinstance(dataset, Mapped):
            part, index, epoch = dataset.locate(index, epoch)
            dataset = dataset.parts[part]
        return dataset, index, epoch

    def _gather(self, values_of: Callable[[BaseDataset], Any]) -> Any:
        """Return values of every example, from those of the parts; None where a part has none."""
        values = [values_of(part) for part in self.parts]
        if any(value is None for value in values):
            return None
        parts, indices = self.origins()
        if any(isinstance(value, list) for value in values):
            return [values[part][index] for part, index in zip(parts.tolist(), indices.tolist(), strict=True)]
        starts = np.cumsum([0, *(len(value) for value in values[:-1])])
        return np.concatenate(values)[starts[parts] + indices]


class Selection(View):
    """The examples of a dataset at given indices."""

    def __init__(self, function: str, dataset: BaseDataset, indices: np.ndarray, *, split: str | None = None) -> None:
        super().__init__(function, [dataset], checksum(indices.tobytes()), split=split)
        self._indices = indices

    def __len__(self) -> int:
        return len(self._indices)

    def locate(self, index: int, epoch: int) -> tuple[int, int, int]:
        """Return the part, the index in it and its epoch; see ``View.locate``.

        Args:
            index: Index of an example.
            epoch: Epoch of the view.
        """
        return 0, int(self._indices[index]), epoch

    def origins(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the part and the index in it of every example."""
        return np.zeros(len(self), np.int64), self._indices


class Concatenation(View):
    """The examples of several datasets, one dataset after another."""

    def __init__(self, datasets: Sequence[BaseDataset]) -> None:
        super().__init__("concat", datasets)
        self._ends = np.cumsum([len(part) for part in datasets])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def locate(self, index: int, epoch: int) -> tuple[int, int, int]:
        """Return the part, the index in it and its epoch; see ``View.locate``.

        Args:
            index: Index of an example.
            epoch: Epoch of the view.
        """
        part = int(np.searchsorted(self._ends, index, side="right"))
        return part, index - (int(self._ends[part - 1]) if part else 0), epoch

    def origins(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the part and the index in it of every example."""
        sizes = np.diff(self._ends, prepend=0)
        parts = np.repeat(np.arange(len(sizes)), sizes)
        return parts, np.arange(len(self)) - (self._ends - sizes)[parts]


def _max_length(dataset: BaseDataset) -> int | None:
    lengths = dataset.lengths()
    return None if lengths is None else int(lengths.max())


class Repetition(View):
    """The examples of a dataset several times; each repetition is an epoch of the dataset."""

    def __init__(self, dataset: BaseDataset, n: int) -> None:
        super().__init__("repeat", [dataset], n)
        self._n = n
        self._length = len(dataset)

    def __len__(self) -> int:
        return self._n * self._length

    def locate(self, index: int, epoch: int) -> tuple[int, int, int]:
        """Return the part, the index in it and its epoch; see ``View.locate``.

        Args:
            index: Index of an example.
            epoch: Epoch of the view.
        """
        repetition, place = divmod(index, self._length)
        return 0, place, epoch * self._n + repetition

    def origins(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the part and the index in it of every example."""
        return np.zeros(len(self), np.int64), np.tile(np.arange(self._length), self._n)

    def _gather(self, values_of: Callable[[BaseDataset], Any]) -> Any:
        if self.is_fixed:
            return super()._gather(values_of)
        values: list[Any] = []
        for repetition in range(self._n):
            with reading_epoch(current_epoch() * self._n + repetition):
                values.append(values_of(self.parts[0]))
        if values[0] is None:
            return None
        if isinstance(values[0], list):
            return [each for of_epoch in values for each in of_epoch]
        return np.concatenate(values)


class Mixture(View):
    """Examples drawn from several datasets, a given number of each dataset in every epoch."""

    def __init__(self, function: str, datasets: Sequence[BaseDataset], counts: Sequence[int], seed: int) -> None:
        super().__init__(function, datasets, tuple(counts), seed)
        self.is_fixed = False
        self._counts = tuple(counts)
        self._seed = seed
        self._epochs: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def __len__(self) -> int:
        return sum(self._counts)

    def locate(self, index: int, epoch: int) -> tuple[int, int, int]:
        """Return the part, the index in it and its epoch; see ``View.locate``.

        Args:
            index: Index of an example.
            epoch: Epoch of the view.
        """
        parts, indices, passes = self._epoch(epoch)
        return int(parts[index]), int(indices[index]), int(passes[index])

    def origins(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the part and the index in it of every example."""
        return self._epoch(current_epoch())[:2]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_epochs": {}}

    def _epoch(self, epoch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the part, the index in it and the part's epoch of every example."""
        drawn = self._epochs.get(epoch)
        if drawn is None:
            order = np.repeat(np.arange(len(self.parts)), self._counts)
            order = mix_rng(self._seed, epoch).permutation(order)
            indices, passes = np.zeros(len(order), np.int64), np.zeros(len(order), np.int64)
            for part, count in enumerate(self._counts):
                size = len(self.parts[part])
                numbers, places = np.divmod(epoch * count + np.arange(count), size)
                shuffled = [
                    pass_rng(self._seed, part, number).permutation(size)
                    for number in range(int(numbers[0]), int(numbers[-1]) + 1)
                ]
                is_part = order == part
                indices[is_part] = np.concatenate(shuffled)[(numbers - numbers[0]) * size + places]
                passes[is_part] = numbers
            drawn = order, indices, passes
            # One epoch may still be read while the next one is.
            self._epochs = {**{each: self._epochs[each] for each in list(self._epochs)[-1:]}, epoch: drawn}
        return drawn


class Mapped(View):
    """The examples of a dataset, each transformed by a function."""

    def __init__(self, dataset: BaseDataset, function: Callable[..., Mapping[str, object]], seed: int) -> None:
        super().__init__("map", [dataset], function, seed)
        self._function = function
        self._takes_rng = takes_rng(function)
        self._seed = seed
        self._depth = _count_maps(dataset)

    def __len__(self) -> int:
        return len(self.parts[0])

    def locate(self, index: int, epoch: int) -> tuple[int, int, int]:
        """Return the part, the index in it and its epoch; see ``View.locate``.

        Args:
            index: Index of an example.
            epoch: Epoch of the view.
        """
        return 0, index, epoch

    def origins(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the part and the index in it of every example."""
        return np.zeros(len(self), np.int64), np.arange(len(self))

    def __getitem__(self, index: int) -> Any:
        """Return a transformed example of the epoch that a loader is reading, or of epoch 0 outside of a loader.

        Args:
            index: Its index; negative indices count from the end.
        """
        place = position(index, len(self), self.name)
        return self._apply(self.parts[0][place], place, current_epoch())

    def examples(self, indices: Sequence[int], *, epoch: int | None = None) -> list[Any]:
        """Return several transformed examples of one epoch.

        Args:
            indices: Indices of the examples; negative indices count from the end.
            epoch: Number of the epoch, as in ``BaseDataset.example``.

        Returns:
            The examples, in order.
        """
        epoch = current_epoch() if epoch is None else epoch
        places = [position(index, len(self), self.name) for index in indices]
        examples = read_examples(self.parts[0], places, epoch=epoch)
        with reading_epoch(epoch):
            return [self._apply(example, place, epoch) for example, place in zip(examples, places, strict=True)]

    def _apply(self, example: Mapping[str, Any], index: int, epoch: int) -> Mapping[str, object]:
        before = example.get("label")
        with _Note(self.name, [index]):
            if self._takes_rng:
                result = self._function(example, map_rng(self._seed, epoch, index, self._depth))
            else:
                result = self._function(example)
        if not is_mapping(result) or not result:
            raise TypeError(f"the function of {self.name} must return a dict with at least one entry, got {result!r}")
        after = result.get("label", before)
        if isinstance(before, int) and isinstance(after, int | np.integer) and before != after:
            raise ValueError(
                f"the function of {self.name} must not change the class under 'label', got {after} for {before} in example "
                f"{index}: labels, targets() and class_counts() would be those before; return it under another key, or "
                f"label the dataset itself, such as by labels= of AudioFileDataset"
            )
        return result


class SequenceDataset(BaseDataset):
    """A dataset of the items of a sequence of dicts, such as a list, or of an object that wraps a dataset."""

    def __init__(self, items: IndexedDataset) -> None:
        super().__init__(getattr(items, "config", None), getattr(items, "split", "train"), rngs=None)
        self.items = items
        self.name = dataset_name(items)
        self.labels = tuple(getattr(items, "labels", ()))
        self.time_axis_keys = tuple(getattr(items, "time_axis_keys", self.time_axis_keys))
        self.pad_values = dict(getattr(items, "pad_values", {}))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Mapping[str, object]:
        return self.items[position(index, len(self), self.name)]

    def lengths(self) -> np.ndarray | None:
        """Return those of the object, if it has any."""
        lengths: np.ndarray | None = getattr(self.items, "lengths", lambda: None)()
        return lengths

    def targets(self) -> np.ndarray | None:
        """Return those of the object, or for a list the integers under ``"label"``."""
        if not isinstance(self.items, list | tuple):
            targets: np.ndarray | None = getattr(self.items, "targets", lambda: None)()
            return targets
        labels = [item.get("label") for item in self._rows()]
        is_index = labels and all(
            isinstance(label, int | np.integer) and not isinstance(label, bool) for label in labels
        )
        return np.array(labels, np.int64) if is_index else None

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names that ``column`` accepts: for a list, the keys of the first item."""
        if isinstance(self.items, list | tuple):
            return tuple(self._rows()[0])
        return tuple(getattr(self.items, "column_names", ()))

    def column(self, name: str) -> Column:
        """Return a value of every item: of a list, or of an object that has ``column``.

        Args:
            name: One of ``column_names``.
        """
        if name not in self.column_names:
            return super().column(name)
        if not isinstance(self.items, list | tuple):
            return cast("Column", cast(Any, self.items).column(name))
        values = [item.get(name, "") for item in self._rows()]
        return cast("Column", values if any(isinstance(value, str | tuple) for value in values) else np.array(values))

    def fingerprint(self) -> str:
        """Return that of ``fingerprint_of``, or a checksum of the type and length of an object without one."""
        return fingerprint_of(self.items) or checksum(type(self.items).__qualname__, len(self))

    def _rows(self) -> list[Mapping[str, Any]]:
        return list(cast(Any, self.items))


def _count_maps(dataset: BaseDataset) -> int:
    if not isinstance(dataset, View):
        return 0
    return isinstance(dataset, Mapped) + max(_count_maps(part) for part in dataset.parts)


def _recordings_of(dataset: BaseDataset, numbers: dict[int, int]) -> np.ndarray:
    """Return the number of the dataset that reads an example, and of the recording in it, shape (n, 2)."""
    if not isinstance(dataset, View):
        recordings = dataset.recordings()
        return np.stack([np.full(len(recordings), numbers.setdefault(id(dataset), len(numbers))), recordings], axis=1)
    pairs = [_recordings_of(part, numbers) for part in dataset.parts]
    parts, indices = dataset.origins()
    starts = np.cumsum([0, *(len(each) for each in pairs[:-1])])
    return np.asarray(np.concatenate(pairs)[starts[parts] + indices])


class _Note:
    """A context that adds the dataset and the examples to errors."""

    def __init__(self, name: str, indices: Sequence[int]) -> None:
        self._text = f"in example{'s' * (len(indices) > 1)} {', '.join(map(str, indices))} of {name}"

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None:
            error.add_note(self._text)
