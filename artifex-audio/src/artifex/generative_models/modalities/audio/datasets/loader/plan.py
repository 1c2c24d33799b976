"""The plan of a loader: the examples of every batch, and the length that they are padded to."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypedDict

import numpy as np

from artifex.generative_models.modalities.audio.datasets.loader.compatibility import import_grain
from artifex.generative_models.modalities.audio.datasets.random_draws import bucket_rng


class IndexedDataset(Protocol):
    """Protocol of datasets that a loader reads: a ``BaseDataset`` or another sequence of dicts."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Mapping[str, object]: ...


def dataset_name(dataset: IndexedDataset) -> str:
    """Return the name of a dataset for error messages.

    Args:
        dataset: The dataset.

    Returns:
        Its attribute ``name``, or the name of its class.
    """
    return str(getattr(dataset, "name", type(dataset).__name__))


class PlanFingerprint(TypedDict):
    """Everything that determines the batches of a loader, as values that JSON supports."""

    dataset: str
    data: str
    dataset_length: int
    batch_size: int
    shuffle: bool
    seed: int
    drop_remainder: bool
    bucket_lengths: list[int]
    lengths_crc32: int


@dataclass(frozen=True, eq=False)
class BatchPlan:
    """The examples of every batch, as a function of the seed and the step.

    Args:
        dataset: Name of the dataset's class.
        data: Fingerprint of the dataset; empty for a dataset without one.
        n_examples: Number of examples.
        batch_size: Examples per batch, over all hosts.
        shuffle: Whether every epoch has a random order.
        seed: Seed of the order.
        epochs: Number of epochs; None for infinitely many.
        drop_remainder: Whether the examples that do not fill a batch at the end of an epoch are dropped.
        bucket_lengths: Lengths that examples are padded to, ascending; empty without buckets.
        lengths: Length of every example, with buckets.
    """

    dataset: str
    data: str
    n_examples: int
    batch_size: int
    shuffle: bool
    seed: int
    epochs: int | None
    drop_remainder: bool
    bucket_lengths: tuple[int, ...] = ()
    lengths: np.ndarray | None = None
    _bucketed_epochs: dict[int, tuple[np.ndarray, np.ndarray]] = field(
        init=False, default_factory=dict[int, tuple[np.ndarray, np.ndarray]], repr=False
    )

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches per epoch."""
        if self.drop_remainder:
            return self.n_examples // self.batch_size
        return -(-self.n_examples // self.batch_size)

    @property
    def n_steps(self) -> int:
        """Number of batches in all epochs."""
        # Grain represents infinite repetition by sys.maxsize; the range of steps must end below it.
        return sys.maxsize - 1 if self.epochs is None else self.epochs * self.steps_per_epoch

    @cached_property
    def fingerprint(self) -> PlanFingerprint:
        """Everything that determines the batches, as values that JSON supports."""
        return {
            "dataset": self.dataset,
            "data": self.data,
            "dataset_length": self.n_examples,
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "seed": self.seed,
            "drop_remainder": self.drop_remainder,
            "bucket_lengths": list(self.bucket_lengths),
            "lengths_crc32": 0 if self.lengths is None else zlib.crc32(self.lengths.tobytes()),
        }

    def count_examples(self, n_steps: int) -> int:
        """Return the number of examples in the first batches, without padding.

        Args:
            n_steps: Number of batches.

        Returns:
            The number of examples.
        """
        epoch, step = divmod(n_steps, self.steps_per_epoch)
        per_epoch = min(self.n_examples, self.steps_per_epoch * self.batch_size)
        if self.bucket_lengths and step:  # the batch with padding may be any of the epoch
            return epoch * per_epoch + int((self._bucketed_epoch(epoch)[0][:step] >= 0).sum())
        return epoch * per_epoch + min(per_epoch, step * self.batch_size)

    def examples_of(self, step: int, start: int, stop: int) -> tuple[int, list[int], int | None]:
        """Return the examples at positions ``start`` to ``stop`` of a batch.

        Args:
            step: The batch, from 0.
            start: First position in the batch.
            stop: Position after the last one.

        Returns:
            The epoch; the index of each example, -1 for padding; and the length that they are padded to, or None.
        """
        epoch, step_of_epoch = divmod(step, self.steps_per_epoch)
        if self.bucket_lengths:
            batches, buckets = self._bucketed_epoch(epoch)
            return epoch, batches[step_of_epoch, start:stop].tolist(), self.bucket_lengths[int(buckets[step_of_epoch])]
        first = step_of_epoch * self.batch_size
        n = self.n_examples
        indices = [
            int(self._order[epoch * n + place]) if place < n else -1 for place in range(first + start, first + stop)
        ]
        return epoch, indices, None

    def max_growth(self, step: int) -> float:
        """Return the size of the largest batch relative to a given one.

        Args:
            step: The given batch, from 0.

        Returns:
            The ratio, at least 1.
        """
        length = self.examples_of(step, 0, 1)[2]
        return self.bucket_lengths[-1] / length if length else 1.0

    @cached_property
    def _order(self) -> Sequence[int]:
        """Order of the examples of all epochs, computed on access."""
        order = import_grain().MapDataset.range(self.n_examples)
        if self.shuffle:
            # Grain adds the epoch to the seed: without hashing, epoch 1 of seed 0 would equal epoch 0 of seed 1.
            order = order.shuffle(seed=int(np.random.SeedSequence(self.seed).generate_state(1)[0]))
        repeated: Sequence[int] = order.repeat()
        return repeated

    def _bucketed_epoch(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the indices of an epoch, (steps, batch_size), and the bucket of each batch, (steps,)."""
        batches = self._bucketed_epochs.get(epoch)
        if batches is None:
            batches = self._fill_buckets(bucket_rng(self.seed, epoch))
            for earlier in list(self._bucketed_epochs):
                if earlier < epoch - 1:
                    self._bucketed_epochs.pop(earlier, None)
            self._bucketed_epochs[epoch] = batches
        return batches

    def _fill_buckets(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        assert self.lengths is not None
        bounds = np.array(self.bucket_lengths)
        order = rng.permutation(self.n_examples) if self.shuffle else np.arange(self.n_examples)
        if self.drop_remainder:  # before bucketing: the remainder of the buckets always contains the longest examples
            order = order[: self.n_examples // self.batch_size * self.batch_size]
        bucket_of = np.searchsorted(bounds, self.lengths[order])
        batches: list[np.ndarray] = []
        buckets: list[int] = []
        remainder = order[:0]
        for bucket in range(len(self.bucket_lengths)):
            # Examples that do not fill a batch move to the next bucket: no more are dropped than without buckets.
            members = np.concatenate([remainder, order[bucket_of == bucket]])
            n_full = len(members) // self.batch_size
            batches.append(members[: n_full * self.batch_size].reshape(n_full, self.batch_size))
            buckets += [bucket] * n_full
            remainder = members[n_full * self.batch_size :]
        if len(remainder):
            batches.append(np.pad(remainder, (0, self.batch_size - len(remainder)), constant_values=-1)[None])
            buckets.append(int(np.searchsorted(bounds, self.lengths[remainder]).max()))
        all_batches = np.concatenate(batches)
        if self.shuffle:
            batch_order = rng.permutation(len(all_batches))
        else:
            batch_order = np.argsort(all_batches[:, 0], kind="stable")
        return all_batches[batch_order], np.array(buckets)[batch_order]

    def __getstate__(self) -> dict[str, Any]:
        # Workers compute the order and the buckets themselves: they are large, or cannot be pickled.
        return {**{key: value for key, value in self.__dict__.items() if key != "_order"}, "_bucketed_epochs": {}}
