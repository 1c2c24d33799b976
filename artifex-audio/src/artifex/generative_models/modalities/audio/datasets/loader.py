"""Batches from a dataset, in an order that is a function of (seed, step) alone. Imports no jax, so that workers can."""

from __future__ import annotations

import concurrent.futures.thread
import inspect
import multiprocessing
import os
import pickle
import sys
import time
import traceback
import weakref
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from pathlib import Path
from typing import Any

import numpy as np

from artifex.generative_models.core.checks import check_flag, check_integer
from artifex.generative_models.core.extras import require
from artifex.generative_models.modalities.base import BaseDataset

READ_THREADS = 2
PREFETCH_BYTES = 128 * 2**20
PREFETCH_BATCHES = 16  # more than hides the jitter of a disk only holds memory

# Smaller arrays go through a pipe, which writes 4 KiB whole or not at all, also when a worker is killed.
SHARED_BYTES = 512

_Made = tuple[int, dict[str, Any], BaseException | None]  # a step, its batch, or the error there was instead
_Transforms = tuple[tuple[Callable[..., Any], bool], ...]  # and whether each takes an rng
_HOW_TO_BATCH = (
    "Give make_loader bucket_lengths=… to pad them to a few lengths, or a transform that brings them to one shape"
)


class LoaderError(RuntimeError):
    """Batches cannot be made, for a reason that lies in the loader's processes and not in an example."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a loader has come, all hosts together.

    Attributes:
        epoch: The epoch of the latest batch, from 0.
        step: How many batches there were.
        examples: How many examples were in them, not counting the rows that fill up a last batch.
        examples_per_second: The rate of the last 32 batches, 0 before the second one.
        fraction: How much of all epochs is done, 0 to 1; None for a loader without end.
    """

    epoch: int
    step: int
    examples: int
    examples_per_second: float
    fraction: float | None


def make_loader(
    dataset: Any,
    batch_size: int,
    *,
    shuffle: bool = False,
    seed: int = 0,
    epochs: int | None = 1,
    workers: int = 0,
    shard: tuple[int, int] | None = None,
    drop_remainder: bool = True,
    transforms: Sequence[Callable[..., Mapping[str, Any]]] = (),
    bucket_lengths: Sequence[int] | None = None,
) -> Loader:
    """Return batches of a dataset: dicts of NumPy arrays, read ahead in threads or processes, resumable to the batch.

    Which examples form batch ``step`` depends on (seed, step) alone, and what an example looks like on (dataset, seed,
    epoch, index) alone: not on workers, hosts or restarts.

    Args:
        dataset: A ``BaseDataset``, or anything with ``__len__`` and ``__getitem__``; its examples are dicts.
        batch_size: Examples in a batch, of all hosts together.
        shuffle: Whether every epoch has an order of its own, drawn from ``seed``; it takes no memory.
        seed: At least 0; what the order and the transforms draw from.
        epochs: How many times all examples are gone through, at least 1; None for ever.
        workers: Processes that read; 0 reads in two threads of this process, which is best unless what an example
            takes holds Python's lock.
        shard: ``(index, count)``: this process makes rows ``index * batch_size / count`` and on of every batch. None
            means this process of ``jax.process_count()`` where ``jax.distributed`` is initialized, else all rows.
        drop_remainder: Whether the examples that do not fill a last batch of an epoch are left out (others in each
            epoch); otherwise rows of zeros with ``valid`` False and ``index`` -1 fill it up.
        transforms: Functions ``f(example)`` or ``f(example, rng)`` that return the example changed, in NumPy; ``rng``
            is ``np.random.default_rng(SeedSequence(seed, spawn_key=(2, epoch, index, number of the transform)))``. The
            orders of buckets have the spawn key ``(3, epoch)``, a dataset's own draws ``(1, epoch, index)``: no two
            of them are the same numbers.
        bucket_lengths: Lengths in samples, rising: examples of like length are put together and padded to the least
            of these that holds them, so that there are as many shapes as lengths.

    Returns:
        A ``Loader``. Its batches have what the examples have, stacked, and ``valid`` (rows,) bool, ``index`` and
        ``epoch`` (rows,) int64, and ``length`` (rows,) where examples have a time axis; rows is
        ``batch_size / count``. Strings are NumPy arrays of strings.

    Raises:
        TypeError: For something that is no dataset, or a value of the wrong type.
        ValueError: For a value out of range, or sizes that do not go together.
        MissingDependencyError: Without grain: ``pip install 'artifex-audio[loader]'``.

    Example:
        >>> squares = [{"square": i**2} for i in range(10)]
        >>> loader = make_loader(squares, 4, shuffle=True, epochs=2)
        >>> [batch["square"].shape for batch in loader]
        [(4,), (4,), (4,), (4,)]
        >>> loader.rewind().progress.fraction
        0.0

    Reference:
        Grain, https://github.com/google/grain: the order is its ``MapDataset.range(n).shuffle(seed).repeat()``.
    """
    plan = _checked_plan(dataset, batch_size, shuffle, seed, epochs, drop_remainder, bucket_lengths)
    check_integer("workers", workers, minimum=0)
    index, count = _checked_shard(shard, plan.batch_size)
    rows = plan.batch_size // count
    changes = tuple((transform, _takes_rng(transform)) for transform in _checked_transforms(transforms))
    batches = _Batches(plan, dataset, changes, index * rows, (index + 1) * rows)
    _grain()
    if workers:
        _check_main()
    return Loader(batches, workers=int(workers), shard=(index, count))


class Loader:
    """An iterator over batches that says where it stands and goes on from there; ``make_loader`` makes it.

    A ``for`` loop goes on with the batch after the last one, also after a ``break``. At the end of the last epoch the
    loop ends, and another loop is an error until ``rewind`` or ``restore``: nothing runs for no batches unnoticed.

    An error in an example is raised where its batch would have come, and again by whoever goes on, so that no data is
    lost unseen; ``loader.restore(loader.state())`` tries that batch once more.

    Attributes:
        batch_size: Examples in a batch, of all hosts together.
        shard: ``(index, count)``, the part of each batch that is made here.
        steps_per_epoch: How many batches an epoch has.

    Example:
        >>> loader = make_loader([{"x": i} for i in range(6)], 2)
        >>> next(loader)["x"]
        array([0, 1])
        >>> state = loader.state()
        >>> [batch["x"].tolist() for batch in loader]
        [[2, 3], [4, 5]]
        >>> next(loader.restore(state))["x"]
        array([2, 3])
    """

    def __init__(self, batches: _Batches, *, workers: int, shard: tuple[int, int]) -> None:
        self._batches = batches
        self._plan = batches.plan
        self._workers = workers
        self.batch_size = self._plan.batch_size
        self.shard = shard
        self.steps_per_epoch = self._plan.steps_per_epoch
        self._ahead: list[Any] = []  # Grain's iterator, once something is read ahead
        weakref.finalize(self, _stop, self._ahead)
        self._step = 0
        self._ended = False
        self._failure: BaseException | None = None
        self._shapes: dict[str, tuple[int, ...]] | None = None
        self._turn = 0
        self._moments: deque[tuple[float, int]] = deque(maxlen=33)

    def __len__(self) -> int:
        """Return how many batches all epochs have together."""
        if self._plan.epochs is None:
            raise TypeError("a loader with epochs=None has no length; steps_per_epoch is that of an epoch")
        return self._plan.total

    def __iter__(self) -> Loader:
        if self._ended:
            raise RuntimeError(
                f"this loader has come to its end, after epochs={self._plan.epochs} and {self._step} batches: "
                f"make_loader(epochs=…) for more, or loader.rewind() to go through the same batches again"
            )
        return self

    def __next__(self) -> dict[str, Any]:
        if self._failure is not None:
            raise self._failure
        if self._step >= self._plan.total:
            self._ended = True
            self.close()
            raise StopIteration
        try:
            batch = self._take()
        except Exception as error:
            self._failure = error
            self.close()
            raise
        except BaseException:  # Ctrl-C may lose what was being taken: reading starts again where we are
            self.close()
            raise
        self._step += 1
        self._moments.append((time.perf_counter(), self._plan.examples(self._step)))
        return batch

    def state(self) -> dict[str, Any]:
        """Return where the loader stands, as a small dict for JSON.

        Returns:
            ``step``, how many batches were given out, and what has to be the same where it is restored: not the number
            of workers or hosts, the epochs or the transforms.
        """
        return self._state_at(self._step)

    def restore(self, state: Mapping[str, Any]) -> Loader:
        """Go to where a state was taken; the next batch is the very next one.

        Args:
            state: What ``state`` returned, on this loader or one with other ``workers``, ``shard`` or ``epochs``.

        Returns:
            The loader.

        Raises:
            TypeError: When it is no state.
            ValueError: When it is of other data, another order, or a step beyond the end; the message says what differs.
        """
        own = self._plan.fingerprint
        if not isinstance(state, Mapping) or set(state) != {"step", *own}:
            raise TypeError(f"a loader's state is a dict with {', '.join(['step', *own])}, got {state!r}")
        differing = [f"{key} was {state[key]!r} and is {own[key]!r}" for key in own if state[key] != own[key]]
        if differing:
            raise ValueError(
                f"this state belongs to other batches: {'; '.join(differing)}. "
                f"Make the loader as it was, or start at the beginning"
            )
        check_integer("the state's step", state["step"], minimum=0)
        if state["step"] > self._plan.total:
            raise ValueError(
                f"the state is of step {state['step']}, but epochs={self._plan.epochs} is at its end after "
                f"{self._plan.total}: give make_loader more epochs"
            )
        self.close()
        self._go_to(int(state["step"]))
        return self

    def rewind(self) -> Loader:
        """Go to the beginning; the same batches follow: ``for batch in loader.rewind()``.

        Returns:
            The loader.
        """
        self.close()
        self._go_to(0)
        return self

    @property
    def progress(self) -> Progress:
        """How far the loader has come."""
        return self._progress_at(self._step, self._moments)

    def close(self) -> None:
        """Stop reading ahead, and the workers; going on starts them again."""
        _stop(self._ahead)

    def _go_to(self, step: int) -> None:
        self._step = step
        self._turn += 1
        self._ended = False
        self._failure = None
        self._shapes = None
        self._moments.clear()

    def _state_at(self, step: int) -> dict[str, Any]:
        return {"step": step, **self._plan.fingerprint}

    def _progress_at(self, step: int, moments: Sequence[tuple[float, int]]) -> Progress:
        elapsed = moments[-1][0] - moments[0][0] if moments else 0.0
        return Progress(
            epoch=max(0, step - 1) // self.steps_per_epoch,
            step=step,
            examples=self._plan.examples(step),
            examples_per_second=(moments[-1][1] - moments[0][1]) / elapsed if elapsed > 0 else 0.0,
            fraction=None if self._plan.epochs is None else step / self._plan.total,
        )

    def _take(self) -> dict[str, Any]:
        if not self._ahead:
            # The first batch is made here, since how many are read ahead depends on how large it is.
            step, batch, error = self._batches(self._step)
            if error is None and self._step + 1 < self._plan.total:
                self._ahead.append(self._read_ahead(self._step + 1, _n_bytes(batch) * self._plan.growth(self._step)))
        else:
            step, batch, error = self._next_of_ahead()
        if error is not None:
            raise error
        if step != self._step:
            raise LoaderError(f"batch {step} came where batch {self._step} was due: a batch was lost")
        if not self._plan.bucket_lengths:
            self._check_shapes(batch)
        return batch

    def _check_shapes(self, batch: dict[str, Any]) -> None:
        shapes = dict(_shapes(batch))
        if self._shapes is not None and self._shapes != shapes:
            keys = sorted({*self._shapes, *shapes})
            both = [(key, self._shapes.get(key, "missing"), shapes.get(key, "missing")) for key in keys]
            said = "; ".join(f"{key!r} {before} and {now}" for key, before, now in both if before != now)
            raise ValueError(f"examples differ in shape from batch to batch: {said}. {_HOW_TO_BATCH}")
        self._shapes = shapes

    def _next_of_ahead(self) -> _Made:
        try:
            step, batch, error = next(self._ahead[0])
        except StopIteration:
            raise LoaderError(
                f"the readers ended at batch {self._step} of {self._plan.total}, before the end"
            ) from None
        except Exception as error:
            if not self._workers:
                raise
            raise LoaderError(self._why_no_batch(error)) from error
        # Arrays of workers lie in shared memory, which is scarce: they are copied out of it at once.
        return (step, _owned(batch), error) if self._workers else (step, batch, error)

    def _why_no_batch(self, error: Exception) -> str:
        if "exit code" not in str(error):
            return (
                f"the workers cannot begin ({type(error).__name__}: {error}): the dataset and the transforms are sent to "
                f"new processes, so they have to be picklable and importable there; workers=0 needs neither"
            )
        return (
            f"a worker process died before batch {self._step} ({error}). No batch was lost: the state is that of the last "
            f"one given out. Exit code -9 is mostly the system's, short of memory, and -7 a full /dev/shm: fewer workers "
            f"or smaller batches take less; 1 is mostly a program whose work does not stand under "
            f'`if __name__ == "__main__":`'
        )

    def _read_ahead(self, start: int, n_bytes: float) -> Any:
        grain = _grain()
        batches = int(max(1, min(PREFETCH_BATCHES, PREFETCH_BYTES // max(1.0, n_bytes))))
        made = grain.MapDataset.range(start, self._plan.total).map(self._batches)
        if not self._workers:
            threads = min(READ_THREADS, batches)
            ahead = iter(made.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=batches)))
            ahead.start_prefetch()
            return ahead
        from absl import flags

        # Workers ask for Grain's flags, which a script that is no absl app has not parsed (grain#1355).
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()
        # A batch waits in the queue of its worker and again on this side of it.
        each = max(1, batches // (2 * self._workers))
        options = grain.multiprocessing.MultiprocessingOptions(num_workers=self._workers, per_worker_buffer_size=each)
        plain = made.to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0))
        shared = grain.experimental.DatasetOptions(min_shm_size=SHARED_BYTES)
        plain = grain.experimental.WithOptionsIterDataset(plain, shared)
        return iter(plain.mp_prefetch(options, worker_init_fn=_prepare_worker))


@dataclass(frozen=True, eq=False)
class _Plan:
    """Which examples form which batch."""

    name: Mapping[str, Any]
    n_examples: int
    batch_size: int
    shuffle: bool
    seed: int
    epochs: int | None
    drop_remainder: bool
    bucket_lengths: tuple[int, ...] = ()
    lengths: np.ndarray | None = None
    _of_epochs: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict, repr=False)

    @property
    def steps_per_epoch(self) -> int:
        if self.drop_remainder:
            return self.n_examples // self.batch_size
        return -(-self.n_examples // self.batch_size)

    @property
    def total(self) -> int:
        # Grain's own length of what is repeated for ever, short of its limit.
        return sys.maxsize - 1 if self.epochs is None else self.epochs * self.steps_per_epoch

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        return {
            **self.name,
            "dataset_length": self.n_examples,
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "seed": self.seed,
            "drop_remainder": self.drop_remainder,
            "bucket_lengths": list(self.bucket_lengths),
            "lengths_crc32": 0 if self.lengths is None else zlib.crc32(self.lengths.tobytes()),
        }

    def examples(self, step: int) -> int:
        """Return how many examples are in the first batches."""
        epoch, within = divmod(step, self.steps_per_epoch)
        of_epoch = min(self.n_examples, self.steps_per_epoch * self.batch_size)
        if self.bucket_lengths and within:  # the batch that is not full may stand anywhere
            return epoch * of_epoch + int((self._epoch(epoch)[0][:within] >= 0).sum())
        return epoch * of_epoch + min(of_epoch, within * self.batch_size)

    def rows(self, step: int, start: int, stop: int) -> tuple[int, list[int], int | None]:
        """Return a batch's epoch, the indices of some of its rows (-1: none), and the length they are padded to."""
        epoch, within = divmod(step, self.steps_per_epoch)
        if self.bucket_lengths:
            batches, buckets = self._epoch(epoch)
            return epoch, batches[within, start:stop].tolist(), self.bucket_lengths[int(buckets[within])]
        first = within * self.batch_size
        places = range(first + start, first + stop)
        n = self.n_examples
        return epoch, [int(self._order[epoch * n + place]) if place < n else -1 for place in places], None

    def growth(self, step: int) -> float:
        """Return how much larger than this a batch may be."""
        bucket = self.rows(step, 0, 1)[2]
        return self.bucket_lengths[-1] / bucket if bucket else 1.0

    @cached_property
    def _order(self) -> Any:
        places = _grain().MapDataset.range(self.n_examples)
        if self.shuffle:
            # Grain adds the epoch to its seed: without this, seed 1 would begin with the second epoch of seed 0.
            places = places.shuffle(seed=int(np.random.SeedSequence(self.seed).generate_state(1)[0]))
        return places.repeat()

    def _epoch(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the indices of an epoch, (steps, batch_size), and the number of each batch's bucket, (steps,)."""
        made = self._of_epochs.get(epoch)
        if made is None:
            made = self._bucketed(_draws(self.seed, 3, epoch))
            for old in list(self._of_epochs):
                if old < epoch - 1:
                    self._of_epochs.pop(old, None)
            self._of_epochs[epoch] = made
        return made

    def _bucketed(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        assert self.lengths is not None
        order = rng.permutation(self.n_examples) if self.shuffle else np.arange(self.n_examples)
        if self.drop_remainder:  # here, since what is left of the buckets is always of the longest
            order = order[: self.n_examples // self.batch_size * self.batch_size]
        bucket_of = np.searchsorted(np.array(self.bucket_lengths), self.lengths[order])
        parts, buckets = [], []
        left = order[:0]
        for bucket in range(len(self.bucket_lengths)):
            # What does not fill a batch goes up a bucket, so that an epoch leaves out no more than without buckets.
            waiting = np.concatenate([left, order[bucket_of == bucket]])
            full = len(waiting) // self.batch_size
            parts.append(waiting[: full * self.batch_size].reshape(full, self.batch_size))
            buckets.append(np.full(full, bucket))
            left = waiting[full * self.batch_size :]
        if len(left):
            parts.append(np.concatenate([left, np.full(self.batch_size - len(left), -1)])[None])
            needed = np.searchsorted(np.array(self.bucket_lengths), self.lengths[left].max())
            buckets.append(np.array([needed]))
        batches, of = np.concatenate(parts), np.concatenate(buckets)
        turns = rng.permutation(len(batches)) if self.shuffle else np.argsort(batches[:, 0], kind="stable")
        return batches[turns], of[turns]

    def __getstate__(self) -> dict[str, Any]:
        return {**{key: value for key, value in self.__dict__.items() if key != "_order"}, "_of_epochs": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def _draws(seed: int, *spawn_key: int) -> np.random.Generator:
    # The first of the key tells transforms (2), orders (3) and the draws of datasets (1) from each other.
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=spawn_key))


class _Batches:
    """The function from a step to its batch, which is what workers are given."""

    def __init__(self, plan: _Plan, dataset: Any, transforms: _Transforms, start: int, stop: int) -> None:
        self.plan = plan
        self.dataset = dataset
        self.transforms = transforms
        self.start = start
        self.stop = stop

    def __call__(self, step: int) -> _Made:
        # A program waits at its end until its threads have done all that they were given.
        if getattr(concurrent.futures.thread, "_shutdown", False):
            return step, {}, LoaderError(f"the program is ending: batch {step} is not read any more")
        try:
            return step, self._batch(int(step)), None
        except Exception as error:  # noqa: BLE001  Grain would lose what follows in this worker
            return step, {}, _portable(error) if multiprocessing.parent_process() else error
        except SystemExit as error:
            # Let through, it would end the program, or a worker, as if all were well.
            return step, {}, LoaderError(f"{_name(self.dataset)} or a transform asks to exit ({error}) in batch {step}")

    def _batch(self, step: int) -> dict[str, Any]:
        epoch, indices, bucket = self.plan.rows(step, self.start, self.stop)
        real = [index for index in indices if index >= 0]
        # A part of a last batch may have no example of its own, and then needs one to see what its zeros are like.
        shown = real or self.plan.rows(step, 0, 1)[1]
        samples = self._samples(step, shown, epoch)
        keys = getattr(self.dataset, "time_axis_keys", ("audio",))
        if bucket is not None:
            samples = [_fitted(sample, keys, bucket, index) for sample, index in zip(samples, shown, strict=True)]
        elif any(key in samples[0] for key in keys):
            samples = [{"length": _length(sample, keys), **sample} for sample in samples]
        batch = _stacked(samples, shown, len(indices))
        is_real = np.array(indices) >= 0
        for key in () if real else list(batch):
            batch[key] = _zeros(batch[key])
        return dict(
            sorted(
                {
                    **batch,
                    "valid": is_real & batch.get("valid", True),
                    "index": np.array(indices, np.int64),
                    "epoch": np.full(len(indices), epoch, np.int64),
                }.items()
            )
        )

    def _samples(self, step: int, indices: list[int], epoch: int) -> list[Mapping[str, Any]]:
        examples = getattr(type(self.dataset), "examples", BaseDataset.examples)
        if examples is BaseDataset.examples:
            return [self._changed(self._one(index, epoch), index, epoch) for index in indices]
        try:
            samples = self.dataset.examples(indices, epoch=epoch)
        except Exception as error:
            error.add_note(f"in batch {step}, epoch {epoch}, among the examples {indices} of {_name(self.dataset)}")
            raise
        return [self._changed(sample, index, epoch) for sample, index in zip(samples, indices, strict=True)]

    def _one(self, index: int, epoch: int) -> Any:
        try:
            if hasattr(self.dataset, "example"):
                return self.dataset.example(index, epoch=epoch)
            return self.dataset[index]
        except Exception as error:
            error.add_note(f"in example {index} of {_name(self.dataset)}, epoch {epoch}")
            raise

    def _changed(self, sample: Any, index: int, epoch: int) -> Mapping[str, Any]:
        for number, (transform, takes_rng) in enumerate(self.transforms):
            _check_sample(sample, f"example {index} of {_name(self.dataset)}")
            try:
                if takes_rng:
                    sample = transform(sample, _draws(self.plan.seed, 2, epoch, index, number))
                else:
                    sample = transform(sample)
            except Exception as error:
                error.add_note(f"in transform {number} of example {index} of {_name(self.dataset)}, epoch {epoch}")
                raise
        _check_sample(sample, f"transform {len(self.transforms) - 1}" if self.transforms else f"example {index}")
        return sample  # type: ignore[no-any-return]


def _check_sample(sample: Any, origin: str) -> None:
    if not isinstance(sample, Mapping) or not sample:
        raise TypeError(f"an example is a dict of at least one entry, but {origin} gave {type(sample).__name__}")


def _length(sample: Mapping[str, Any], keys: Sequence[str]) -> int:
    size = int(next(np.shape(sample[key])[-1] for key in keys if key in sample))
    length = int(sample.get("length", size))
    if length > size:
        raise ValueError(
            f"'length' says {length}, but there are {size} samples{_place(sample)}: a transform that changes the length "
            f"sets 'length' too"
        )
    return length


def _fitted(sample: Mapping[str, Any], keys: Sequence[str], bucket: int, index: int) -> dict[str, Any]:
    """Return an example with its time axes padded, or their padding shortened, to the bucket's length."""
    if not any(key in sample for key in keys):
        raise ValueError(f"bucket_lengths pads {' and '.join(map(repr, keys))}, but example {index} has {list(sample)}")
    length = _length(sample, keys)
    if length > bucket:
        raise ValueError(
            f"example {index}{_place(sample)} has {length} samples, but its dataset's lengths() put it into the bucket "
            f"of {bucket}: the file has changed since, or a transform has made it longer"
        )
    fitted = {**sample, "length": length}
    for key in keys:
        if key in sample:
            whole = np.asarray(sample[key])
            if whole[..., bucket:].any():
                raise ValueError(
                    f"example {index}{_place(sample)} has sound beyond the {bucket} samples of its bucket: a transform "
                    f"that makes it longer sets 'length' too, and lengths() has to know it"
                )
            value = whole[..., :bucket]
            fitted[key] = np.pad(value, [(0, 0)] * (value.ndim - 1) + [(0, bucket - value.shape[-1])])
    return fitted


def _stacked(samples: Sequence[Mapping[str, Any]], indices: Sequence[int], rows: int, within: str = "") -> Any:
    """Return a dict of arrays of so many rows; those after the samples are zeros."""
    keys = set(samples[0])
    for sample, index in zip(samples, indices, strict=False):
        if set(sample) != keys:
            raise ValueError(
                f"examples of a batch have the same keys, but example {indices[0]}{_place(samples[0])} has "
                f"{sorted(keys)} and example {index}{_place(sample)} has {sorted(sample)}{within}; a transform can "
                f"drop or add some"
            )
    stacked: dict[str, Any] = {}
    for key in sorted(keys):
        if isinstance(samples[0][key], Mapping):
            stacked[key] = _stacked([sample[key] for sample in samples], indices, rows, f" in {key!r}")
            continue
        values = [np.asarray(sample[key]) for sample in samples]
        dtypes = {value.dtype for value in values}
        if any(dtype.hasobject for dtype in dtypes) or len({dtype.kind in "US" for dtype in dtypes}) > 1:
            kinds = sorted({type(sample[key]).__name__ for sample in samples})
            raise TypeError(
                f"{key!r} holds {', '.join(kinds)}: a batch takes numbers, arrays and strings; a transform can drop it"
            )
        for value, index, sample in zip(values, indices, samples, strict=False):
            if value.shape != values[0].shape:
                raise ValueError(
                    f"{key!r} differs in shape between the examples of a batch: {values[0].shape} in example "
                    f"{indices[0]}{_place(samples[0])} and {value.shape} in example {index}{_place(sample)}. "
                    f"{_HOW_TO_BATCH}"
                )
        column = np.zeros((rows, *values[0].shape), reduce(np.promote_types, dtypes))
        for row, value in enumerate(values[:rows]):
            column[row] = value
        stacked[key] = column
    return stacked


def _place(sample: Mapping[str, Any]) -> str:
    return f" ({sample['path']})" if "path" in sample else ""


def _name(dataset: Any) -> str:
    return str(getattr(dataset, "name", type(dataset).__name__))


def _zeros(value: Any) -> Any:
    return {key: _zeros(of) for key, of in value.items()} if isinstance(value, dict) else np.zeros_like(value)


def _owned(value: Any) -> Any:
    """Return what a worker sent as arrays of this process, and free the shared memory that it came in."""
    if isinstance(value, dict):
        return {key: _owned(of) for key, of in value.items()}
    owned = np.array(value)
    if getattr(value, "shm", None) is not None:
        # Grain frees it when the array dies, which its own threads may keep from happening before the program ends.
        value._unlink_on_del = False
        value.shm.unlink()
    return owned


def _n_bytes(value: Any) -> int:
    return sum(map(_n_bytes, value.values())) if isinstance(value, dict) else int(value.nbytes)


def _shapes(batch: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, tuple[int, ...]]]:
    for key, value in batch.items():
        if isinstance(value, dict):
            yield from _shapes(value, f"{within}{key}.")
        else:
            yield within + key, value.shape[1:]


def _stop(ahead: list[Any]) -> None:
    while ahead:
        ahead.pop().close()
        # Grain frees shared memory in a thread of its own, which at the program's end would come too late.
        freeing = getattr(_grain().multiprocessing.SharedMemoryArray, "_del_thread_pool", None)
        if freeing is not None:
            freeing.apply(bool)


def _grain() -> Any:
    return require("grain", install="artifex-audio[loader]", purpose="make_loader")


def _portable(error: BaseException) -> BaseException:
    """Return an error as it can be sent to another process, with where it happened as a note."""
    error.add_note("".join(["in a worker process:\n", *traceback.format_tb(error.__traceback__)]).rstrip())
    try:
        return pickle.loads(pickle.dumps(error))  # type: ignore[no-any-return]
    except Exception:  # noqa: BLE001  whatever the reason, its text can be sent
        plain = LoaderError(f"{type(error).__name__}: {error}")
        for note in getattr(error, "__notes__", ()):
            plain.add_note(note)
        return plain


def _prepare_worker(index: int, count: int) -> None:
    """Keep a worker off the accelerator, which belongs to the process that trains."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    if "jax" in sys.modules:  # Grain imports it, without starting a backend
        sys.modules["jax"].config.update("jax_platforms", "cpu")


def _check_main() -> None:
    """Raise where a new process could not import the program, or would run all of it again."""
    advice = "workers are new processes, which import the program"
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise LoaderError(f'{advice}: put what it does under `if __name__ == "__main__":`')
    file = getattr(sys.modules["__main__"], "__file__", None)
    if file is None:  # a notebook or a prompt: what it defines is sent to the workers
        return
    if not Path(file).exists():
        raise LoaderError(f"{advice}: it has to be a file, and {file} is none; save it as one, or use workers=0")
    if Path(file).suffix == ".py" and "__name__" not in Path(file).read_text(encoding="utf-8", errors="replace"):
        raise LoaderError(f'{advice}: put what {file} does under `if __name__ == "__main__":`, or use workers=0')


def _checked_plan(
    dataset: Any,
    batch_size: Any,
    shuffle: Any,
    seed: Any,
    epochs: Any,
    drop_remainder: Any,
    bucket_lengths: Any,
) -> _Plan:
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")) or isinstance(dataset, str | Mapping):
        raise TypeError(f"make_loader takes a dataset, which has __len__ and __getitem__, got {type(dataset).__name__}")
    check_integer("batch_size", batch_size, minimum=1)
    check_flag("shuffle", shuffle)
    check_integer("seed", seed, minimum=0)
    if epochs is not None:
        check_integer("epochs", epochs, minimum=1)
    check_flag("drop_remainder", drop_remainder)
    n_examples = len(dataset)
    if not n_examples:
        raise ValueError(f"{_name(dataset)} is empty: there is nothing to load")
    if shuffle and n_examples > 2**32:
        raise ValueError(f"shuffle takes at most 2**32 examples, {_name(dataset)} has {n_examples}")
    if drop_remainder and n_examples < batch_size:
        raise ValueError(
            f"{_name(dataset)} has {n_examples} examples, which fill no batch of {batch_size}: give a smaller "
            f"batch_size, or drop_remainder=False to have the rest of a batch filled up"
        )
    buckets, lengths = _checked_buckets(dataset, bucket_lengths)
    return _Plan(
        name={
            "dataset": type(dataset).__name__,
            "data": str(fingerprint()) if callable(fingerprint := getattr(dataset, "fingerprint", None)) else "",
        },
        n_examples=n_examples,
        batch_size=int(batch_size),
        shuffle=shuffle,
        seed=int(seed),
        epochs=None if epochs is None else int(epochs),
        drop_remainder=drop_remainder,
        bucket_lengths=buckets,
        lengths=lengths,
    )


def _checked_buckets(dataset: Any, bucket_lengths: Any) -> tuple[tuple[int, ...], np.ndarray | None]:
    if bucket_lengths is None:
        return (), None
    if isinstance(bucket_lengths, str) or not isinstance(bucket_lengths, Sequence | np.ndarray):
        raise TypeError(f"bucket_lengths is a list of lengths in samples, got {bucket_lengths!r}")
    for length in bucket_lengths:
        check_integer("each of bucket_lengths", length, minimum=1, unit="samples")
    buckets = tuple(int(length) for length in bucket_lengths)
    if not buckets or list(buckets) != sorted(set(buckets)):
        raise ValueError(f"bucket_lengths rise from the least to the greatest, got {bucket_lengths!r}")
    known = dataset.lengths() if hasattr(dataset, "lengths") else None
    if known is None:
        raise ValueError(
            f"bucket_lengths needs the length of every example before it is read, which {_name(dataset)} does not "
            f"know: its lengths() has to return them"
        )
    lengths = np.ascontiguousarray(known, dtype=np.int64)
    if lengths.shape != (len(dataset),):
        raise ValueError(f"{_name(dataset)}.lengths() has shape {lengths.shape}, expected ({len(dataset)},)")
    longest = int(lengths.argmax())
    if lengths[longest] > buckets[-1]:
        raise ValueError(
            f"example {longest} of {_name(dataset)} has {lengths[longest]} samples, more than the greatest of "
            f"bucket_lengths, {buckets[-1]}: add a bucket that holds it"
        )
    return buckets, lengths


def _checked_shard(shard: Any, batch_size: int) -> tuple[int, int]:
    index, count = _this_process() if shard is None else _pair(shard)
    if batch_size % count:
        raise ValueError(
            f"batch_size {batch_size} does not divide into {count} shards of equal size: "
            f"{batch_size // count * count or count} and {(batch_size // count + 1) * count} do"
        )
    return index, count


def _pair(shard: Any) -> tuple[int, int]:
    if not isinstance(shard, Sequence) or isinstance(shard, str) or len(shard) != 2:
        raise TypeError(f"shard is (index, count), such as (0, 4), got {shard!r}")
    check_integer("shard's count", shard[1], minimum=1)
    check_integer("shard's index", shard[0], minimum=0, maximum=int(shard[1]) - 1)
    return int(shard[0]), int(shard[1])


def _this_process() -> tuple[int, int]:
    jax = sys.modules.get("jax")
    if jax is None or not jax.distributed.is_initialized():
        return 0, 1
    return int(jax.process_index()), int(jax.process_count())


def _checked_transforms(transforms: Any) -> tuple[Callable[..., Any], ...]:
    if callable(transforms) or not isinstance(transforms, Sequence):
        raise TypeError(f"transforms is a list of functions, got {transforms!r}")
    for transform in transforms:
        if not callable(transform):
            raise TypeError(f"a transform is a function of an example, got {transform!r}")
    return tuple(transforms)


def _takes_rng(transform: Callable[..., Any]) -> bool:
    try:
        parameters = list(inspect.signature(transform).parameters.values())
    except (TypeError, ValueError):  # some functions written in C do not say what they take
        return False
    placed = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return len(placed) > 1 and (placed[1].default is inspect.Parameter.empty or placed[1].name == "rng")
