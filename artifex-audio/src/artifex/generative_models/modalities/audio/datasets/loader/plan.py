"""The plan of a loader: the examples of every batch, and the length that they are padded to."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol, TypedDict

import numpy as np

from artifex.generative_models.modalities.audio.datasets.loader.compatibility import import_grain
from artifex.generative_models.modalities.audio.datasets.random_draws import bucket_rng
from artifex.generative_models.modalities.base import content_checksum, reading_epoch

_MAX_CANDIDATES = 512


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


def is_fixed(dataset: IndexedDataset) -> bool:
    """Return whether an index of a dataset is the same example in every epoch, which it is not in a mixture.

    Args:
        dataset: The dataset.

    Returns:
        Its attribute ``is_fixed``; True for a dataset without one.
    """
    return bool(getattr(dataset, "is_fixed", True))


def fingerprint_of(dataset: IndexedDataset) -> str:
    """Return the fingerprint of a dataset.

    Args:
        dataset: The dataset.

    Returns:
        Its ``fingerprint()``, or a checksum of the content of a list; empty for other objects.
    """
    fingerprint = getattr(dataset, "fingerprint", None)
    if callable(fingerprint):
        return str(fingerprint())
    return content_checksum(dataset) if isinstance(dataset, list | tuple) else ""


class PlanFingerprint(TypedDict):
    """Everything that determines the batches of a loader, as values that JSON supports."""

    dataset: str
    data: str
    dataset_length: int
    batch_sizes: list[int]
    shuffle: bool
    seed: int
    drop_remainder: bool
    bucket_lengths: list[int]
    lengths_crc32: int


class BucketedEpoch(NamedTuple):
    """The batches of an epoch with buckets.

    Attributes:
        indices: Indices of the examples of all batches, one batch after the other; -1 for padding.
        starts: Position in ``indices`` where each batch starts, and the end of the last one, shape (steps + 1,).
        buckets: Bucket of each batch, shape (steps,).
    """

    indices: np.ndarray
    starts: np.ndarray
    buckets: np.ndarray


@dataclass(frozen=True, eq=False)
class BatchPlan:
    """The examples of every batch, as a function of the seed and the step.

    Args:
        dataset: Name of the dataset's class.
        data: Fingerprint of the dataset; empty for a dataset without one.
        n_examples: Number of examples.
        batch_sizes: Examples per batch, over all hosts: one number for each bucket, or one without buckets.
        shuffle: Whether every epoch has a random order.
        seed: Seed of the order.
        epochs: Number of epochs; None for infinitely many.
        drop_remainder: Whether the examples that do not fill a batch at the end of an epoch are dropped.
        bucket_lengths: Lengths that examples are padded to, ascending; empty without buckets.
        lengths: Length of every example, with buckets.
        lengths_of_epoch: Function that returns the lengths in the epoch that is being read, where epochs have different
            examples.
    """

    dataset: str
    data: str
    n_examples: int
    batch_sizes: tuple[int, ...]
    shuffle: bool
    seed: int
    epochs: int | None
    drop_remainder: bool
    bucket_lengths: tuple[int, ...] = ()
    lengths: np.ndarray | None = None
    lengths_of_epoch: Callable[[], np.ndarray | None] | None = None
    _bucketed_epochs: dict[int, BucketedEpoch] = field(init=False, default_factory=dict[int, BucketedEpoch], repr=False)

    @cached_property
    def steps_per_epoch(self) -> int:
        """Number of batches per epoch."""
        if len(set(self.batch_sizes)) > 1:
            return len(self._bucketed_epoch(0).buckets)  # depends on the lengths only: the same in all epochs
        if self.drop_remainder:
            return self.n_examples // self.batch_sizes[0]
        return -(-self.n_examples // self.batch_sizes[0])

    @property
    def n_dropped(self) -> int:
        """Number of examples that are in no batch of an epoch."""
        return self.n_examples % self.batch_sizes[0] if self.drop_remainder else 0

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
            "batch_sizes": sorted(set(self.batch_sizes)),
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
        per_epoch = self.n_examples - self.n_dropped
        if self.bucket_lengths and step:  # the batch with padding may be any of the epoch
            indices, starts, _ = self._bucketed_epoch(epoch)
            return epoch * per_epoch + int((indices[: starts[step]] >= 0).sum())
        return epoch * per_epoch + min(per_epoch, step * self.batch_sizes[0])

    def examples_of(self, step: int, shard: tuple[int, int] = (0, 1)) -> tuple[int, list[int], int | None]:
        """Return the examples of a batch.

        Args:
            step: The batch, from 0.
            shard: ``(index, count)``: the part of the batch.

        Returns:
            The epoch; the index of each example, -1 for padding; and the length that they are padded to, or None.
        """
        index, count = shard
        epoch, step_of_epoch = divmod(step, self.steps_per_epoch)
        if self.bucket_lengths:
            indices, starts, buckets = self._bucketed_epoch(epoch)
            start, stop = starts[step_of_epoch : step_of_epoch + 2].tolist()
            size = (stop - start) // count
            first = start + index * size
            return epoch, indices[first : first + size].tolist(), self.bucket_lengths[int(buckets[step_of_epoch])]
        size = self.batch_sizes[0] // count
        first = step_of_epoch * self.batch_sizes[0] + index * size
        n = self.n_examples
        places = range(first, first + size)
        return epoch, [int(self._order[epoch * n + place]) if place < n else -1 for place in places], None

    def max_growth(self, step: int) -> float:
        """Return the size of the largest batch relative to a given one.

        Args:
            step: The given batch, from 0.

        Returns:
            The ratio, at least 1.
        """
        if not self.bucket_lengths:
            return 1.0
        sizes = [n * length for n, length in zip(self.batch_sizes, self.bucket_lengths, strict=True)]
        epoch, step_of_epoch = divmod(step, self.steps_per_epoch)
        return max(sizes) / sizes[int(self._bucketed_epoch(epoch).buckets[step_of_epoch])]

    @cached_property
    def _order(self) -> Sequence[int]:
        """Order of the examples of all epochs, computed on access."""
        order = import_grain().MapDataset.range(self.n_examples)
        if self.shuffle:
            # Grain adds the epoch to the seed: without hashing, epoch 1 of seed 0 would equal epoch 0 of seed 1.
            order = order.shuffle(seed=int(np.random.SeedSequence(self.seed).generate_state(1)[0]))
        repeated: Sequence[int] = order.repeat()
        return repeated

    def _bucketed_epoch(self, epoch: int) -> BucketedEpoch:
        batches = self._bucketed_epochs.get(epoch)
        if batches is None:
            batches = self._fill_buckets(epoch)
            for earlier in list(self._bucketed_epochs):
                if earlier < epoch - 1:
                    self._bucketed_epochs.pop(earlier, None)
            self._bucketed_epochs[epoch] = batches
        return batches

    def _fill_buckets(self, epoch: int) -> BucketedEpoch:
        rng, lengths = bucket_rng(self.seed, epoch), self.lengths
        if self.lengths_of_epoch is not None:
            with reading_epoch(epoch):
                lengths = self.lengths_of_epoch()
        assert lengths is not None
        bounds = np.array(self.bucket_lengths)
        order = rng.permutation(self.n_examples) if self.shuffle else np.arange(self.n_examples)
        if self.drop_remainder:  # before bucketing: the remainder of the buckets always contains examples of one bucket
            order = order[: self.n_examples - self.n_dropped]
        bucket_of = np.searchsorted(bounds, lengths[order])
        members = [order[bucket_of == bucket] for bucket in range(len(bounds))]
        batches: list[np.ndarray] = []
        buckets: list[int] = []
        for bucket in reversed(range(len(bounds))):
            size = self.batch_sizes[bucket]
            for shorter in reversed(range(bucket)):  # examples of shorter buckets fill the last batch
                n_missing = -len(members[bucket]) % size
                members[bucket] = np.concatenate([members[bucket], members[shorter][:n_missing]])
                members[shorter] = members[shorter][n_missing:]
            n_missing = -len(members[bucket]) % size
            padded = np.pad(members[bucket], (0, n_missing), constant_values=-1)
            batches += list(padded.reshape(-1, size))
            buckets += [bucket] * (len(padded) // size)
        if self.shuffle:
            batch_order = rng.permutation(len(batches))
        else:
            batch_order = np.argsort([batch[0] for batch in batches], kind="stable")
        batches = [batches[number] for number in batch_order]
        starts = np.cumsum([0, *(len(batch) for batch in batches)])
        return BucketedEpoch(np.concatenate(batches), starts, np.array(buckets)[batch_order])

    def __getstate__(self) -> dict[str, Any]:
        # Workers compute the order and the buckets themselves: they are large, or cannot be pickled.
        return {**{key: value for key, value in self.__dict__.items() if key != "_order"}, "_bucketed_epochs": {}}


def choose_bucket_lengths(
    lengths: np.ndarray, n_buckets: int, budget: int | None = None, multiple: int = 1
) -> tuple[int, ...]:
    """Choose bucket lengths with the minimum padding.

    Args:
        lengths: Length of every example, shape (n,), at least 1.
        n_buckets: Maximum number of buckets, at least 1.
        budget: Maximum number of samples in a batch. The lengths then divide it by a number of examples that is a multiple
            of ``multiple``, so that full batches fill the budget. None without a budget.
        multiple: Divisor of the number of examples in a batch.

    Returns:
        At most ``n_buckets`` lengths, ascending; the last one is at least the length of every example.

    Example:
        >>> choose_bucket_lengths(np.array([10, 11, 12, 30, 31, 90]), 3)
        (12, 31, 90)
        >>> choose_bucket_lengths(np.array([10, 11, 12, 30, 31, 90]), 3, budget=100)
        (12, 33, 100)
    """
    longest = int(lengths.max())
    if budget is None:
        candidates = np.unique(lengths)
    else:
        n_examples = np.arange(multiple, budget // int(lengths.min()) + multiple, multiple)
        candidates = np.unique(budget // n_examples)
        first = int(np.searchsorted(candidates, longest))
        candidates = candidates[: first + 1]
    if len(candidates) > _MAX_CANDIDATES:
        quantiles = np.quantile(candidates, np.linspace(0, 1, _MAX_CANDIDATES), method="higher")
        candidates = np.unique(quantiles.astype(np.int64))
    counts = np.concatenate(
        [[0], np.cumsum(np.bincount(np.searchsorted(candidates, lengths), minlength=len(candidates)))]
    )
    # Dynamic programming: smallest[j] is the minimum padded size of all examples up to candidate j, with the buckets so far.
    cost = candidates[None, :] * (counts[None, 1:] - counts[:-1, None]).astype(np.float64)  # from i to j in one bucket
    cost[np.tril_indices(len(candidates), -1)] = np.inf
    smallest = cost[0]
    starts: list[np.ndarray] = []
    for _ in range(min(n_buckets, len(candidates)) - 1):
        totals = np.concatenate([cost[:1], smallest[:-1, None] + cost[1:]])
        starts.append(totals.argmin(axis=0))
        smallest = totals.min(axis=0)
    chosen: list[int] = []
    last = len(candidates) - 1
    for start in [*reversed(starts), np.zeros(len(candidates), np.int64)]:
        chosen.append(int(candidates[last]))
        last = int(start[last]) - 1
        if last < 0:
            break
    return tuple(reversed(chosen))
