"""The loader: an iterator over batches whose state can be saved and restored."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from artifex.generative_models.core.checks import check_flag, check_integer
from artifex.generative_models.modalities.audio.datasets.loader.batches import (
    SHAPE_ADVICE,
    Batch,
    BatchMaker,
    named_arrays,
)
from artifex.generative_models.modalities.audio.datasets.loader.compatibility import import_grain
from artifex.generative_models.modalities.audio.datasets.loader.errors import LoaderError
from artifex.generative_models.modalities.audio.datasets.loader.plan import (
    BatchPlan,
    IndexedDataset,
    PlanFingerprint,
    dataset_name,
)
from artifex.generative_models.modalities.audio.datasets.loader.workers import Prefetcher, check_main_module

_RATE_WINDOW = 32
_MAX_SHUFFLED = 2**32


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Progress of a loader, over all hosts.

    Args:
        epoch: Epoch of the latest batch, from 0.
        step: Number of batches returned.
        examples: Number of examples in them, without padding.
        examples_per_second: Rate over the last 32 batches; 0 before the second one.
        fraction: Fraction of all epochs, 0 to 1; None with ``epochs=None``.
    """

    epoch: int
    step: int
    examples: int
    examples_per_second: float
    fraction: float | None


class LoaderState(PlanFingerprint):
    """State of a loader: the step, and everything that determines the batches."""

    step: int


def make_loader(
    dataset: IndexedDataset,
    batch_size: int,
    *,
    shuffle: bool = False,
    seed: int = 0,
    epochs: int | None = 1,
    workers: int = 0,
    shard: tuple[int, int] | None = None,
    drop_remainder: bool = True,
    transforms: Sequence[Callable[..., Mapping[str, object]]] = (),
    bucket_lengths: Sequence[int] | None = None,
) -> Loader:
    """Create a loader: batches of NumPy arrays, read ahead in threads or processes, resumable at any batch.

    The examples of batch ``step`` depend on (seed, step) only, and the content of an example on (dataset, seed, epoch,
    index) only: not on the number of workers or hosts, nor on restarts.

    Args:
        dataset: A ``BaseDataset``, or another object with ``__len__`` and ``__getitem__`` whose examples are dicts.
        batch_size: Examples per batch, over all hosts.
        shuffle: Whether every epoch has a random order, drawn from ``seed``. It takes no memory.
        seed: Seed of the order and the transforms, at least 0.
        epochs: Number of epochs, at least 1; None for infinitely many.
        workers: Number of worker processes. 0 reads in two threads of this process, which is fastest unless reading or
            transforming an example holds the GIL.
        shard: ``(index, count)``: this process makes the examples from position ``index * batch_size / count`` of every
            batch. By default ``(jax.process_index(), jax.process_count())`` if ``jax.distributed`` is initialized, else
            ``(0, 1)``.
        drop_remainder: Whether to drop the examples that do not fill a batch at the end of an epoch. With ``shuffle``, each
            epoch drops different ones. Otherwise the last batch is padded with zeros, with ``valid`` False and ``index`` -1.
        transforms: Functions ``f(example)`` or ``f(example, rng)`` that return a modified example, in NumPy. ``rng`` is
            ``np.random.default_rng(SeedSequence(seed, spawn_key=(2, epoch, index, number of the transform)))``. The
            orders of buckets have the spawn key ``(3, epoch)``, the random crops of datasets ``(1, epoch, index)``: the
            streams are independent.
        bucket_lengths: Lengths in samples, ascending. Examples of similar length are batched together and padded to the
            shortest of these lengths that fits, so that there are as many shapes as lengths.

    Returns:
        The loader. Its batches contain the stacked entries of the examples, and ``valid`` (n,) bool, ``index`` and
        ``epoch`` (n,) int64, and ``length`` (n,) where examples have a time axis, with n = ``batch_size / count``. Strings
        are NumPy arrays of strings.

    Raises:
        TypeError: When the dataset or an option has the wrong type.
        ValueError: When an option is out of range, or options contradict each other.
        MissingDependencyError: When Grain is not installed: ``pip install 'artifex-audio[loader]'``.

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
    kind = type(dataset).__name__
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")) or isinstance(dataset, str | Mapping):
        raise TypeError(f"dataset must have __len__ and __getitem__, got {kind}")
    check_integer("batch_size", batch_size, minimum=1)
    check_flag("shuffle", shuffle)
    check_integer("seed", seed, minimum=0)
    if epochs is not None:
        check_integer("epochs", epochs, minimum=1)
    check_flag("drop_remainder", drop_remainder)
    n_examples, name = len(dataset), dataset_name(dataset)
    if not n_examples:
        raise ValueError(f"dataset must not be empty, got {name} with 0 examples")
    if shuffle and n_examples > _MAX_SHUFFLED:
        raise ValueError(f"shuffle=True supports at most 2**32 examples, got {name} with {n_examples}")
    if drop_remainder and n_examples < batch_size:
        raise ValueError(
            f"batch_size must be at most the {n_examples} examples of {name}, got {batch_size}; use a smaller batch_size, "
            f"or drop_remainder=False to pad the batch"
        )
    buckets, lengths = _check_buckets(dataset, bucket_lengths)
    check_integer("workers", workers, minimum=0)
    index, count = _check_shard(shard, int(batch_size))
    _check_transforms(transforms)
    import_grain()
    if workers:
        check_main_module()
    fingerprint = getattr(dataset, "fingerprint", None)
    plan = BatchPlan(
        dataset=kind,
        data=str(fingerprint()) if callable(fingerprint) else "",
        n_examples=n_examples,
        batch_size=int(batch_size),
        shuffle=shuffle,
        seed=int(seed),
        epochs=None if epochs is None else int(epochs),
        drop_remainder=drop_remainder,
        bucket_lengths=buckets,
        lengths=lengths,
    )
    n_per_shard = plan.batch_size // count
    make_batch = BatchMaker(plan, dataset, transforms, index * n_per_shard, (index + 1) * n_per_shard)
    return Loader(make_batch, workers=int(workers), shard=(index, count))


class Loader:
    """An iterator over batches that can be saved and restored; created by ``make_loader``.

    A ``for`` loop continues after the latest batch, also after a ``break``. After the last epoch the loader is exhausted:
    the loop ends, and another loop raises until ``rewind`` or ``restore`` is called.

    An error in an example is raised in place of its batch, and again on every further call, so that no data is skipped
    unnoticed. ``loader.restore(loader.state())`` reads that batch again.

    Args:
        make_batch: The function from a step to its batch.
        workers: Number of worker processes.
        shard: ``(index, count)``, the part of each batch that is made by this process.

    Attributes:
        batch_size: Examples per batch, over all hosts.
        n_examples: Number of examples in the dataset.
        n_restarts: Number of calls of ``rewind`` and ``restore``.
        shard: ``(index, count)``.
        steps_per_epoch: Number of batches per epoch.

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

    def __init__(self, make_batch: BatchMaker, *, workers: int, shard: tuple[int, int]) -> None:
        self._make_batch = make_batch
        self._plan = make_batch.plan
        self._prefetcher = Prefetcher(make_batch, workers)
        self.batch_size = self._plan.batch_size
        self.n_examples = self._plan.n_examples
        self.n_restarts = 0
        self.shard = shard
        self.steps_per_epoch = self._plan.steps_per_epoch
        self._step = 0
        self._is_exhausted = False
        self._error: BaseException | None = None
        self._shapes: dict[str, tuple[int, ...]] | None = None
        self._times: deque[tuple[float, int]] = deque(maxlen=_RATE_WINDOW + 1)
        self._pid = os.getpid()
        self._reader: threading.Thread | None = None

    def __len__(self) -> int:
        """Return the number of batches in all epochs."""
        if self._plan.epochs is None:
            raise TypeError("a loader with epochs=None has no length; steps_per_epoch is the length of an epoch")
        return self._plan.n_steps

    def __iter__(self) -> Loader:
        if self._is_exhausted:
            raise RuntimeError(
                f"this loader is exhausted, after epochs={self._plan.epochs} and {self._step} batches; pass more epochs to "
                f"make_loader, or call loader.rewind() to iterate over the same batches again"
            )
        return self

    def __next__(self) -> dict[str, Any]:
        self.check_reader()
        if self._error is not None:
            raise self._error
        if self._step >= self._plan.n_steps:
            self._is_exhausted = True
            self.close()
            raise StopIteration
        try:
            batch = self._read()
        except Exception as error:
            self._error = error
            self.close()
            raise
        except BaseException:  # KeyboardInterrupt may lose the batch being read: reading restarts at this step
            self.close()
            raise
        self._step += 1
        self._times.append((time.perf_counter(), self._plan.count_examples(self._step)))
        return batch

    def state(self) -> LoaderState:
        """Return the state of the loader, as a small dict that JSON supports.

        Returns:
            ``step``, the number of batches returned, and everything that must be equal where it is restored; that does
            not include the numbers of workers, hosts and epochs, nor the transforms.
        """
        return {"step": self._step, **self._plan.fingerprint}

    def restore(self, state: Mapping[str, object]) -> Loader:
        """Continue from a state; the next batch is the one after it.

        Args:
            state: A state that ``state`` returned, on this loader or one with other ``workers``, ``shard`` or ``epochs``.

        Returns:
            The loader.

        Raises:
            TypeError: When it is not a state.
            ValueError: When it belongs to other data or another order, or its step is beyond the last batch; the message
                contains the differences.
        """
        own: Mapping[str, object] = self._plan.fingerprint
        if not isinstance(state, Mapping) or set(state) != {"step", *own}:  # pyright: ignore[reportUnnecessaryIsInstance]  user input
            raise TypeError(f"state must be a dict with {', '.join(['step', *own])}, got {state!r}")
        differences = [f"{key} was {state[key]!r} and is {own[key]!r}" for key in own if state[key] != own[key]]
        if differences:
            raise ValueError(
                f"this state belongs to other batches: {'; '.join(differences)}. "
                f"Create the loader with the same options, or start from the beginning"
            )
        step = state["step"]
        check_integer("the state's step", step, minimum=0)
        if not isinstance(step, int) or step > self._plan.n_steps:
            raise ValueError(
                f"the state's step must be at most {self._plan.n_steps}, the number of batches with "
                f"epochs={self._plan.epochs}, got {step}; pass more epochs to make_loader"
            )
        self._restart(step)
        return self

    def rewind(self) -> Loader:
        """Start again from the first batch: ``for batch in loader.rewind()`` iterates over the same batches.

        Returns:
            The loader.
        """
        self._restart(0)
        return self

    @property
    def progress(self) -> Progress:
        """Progress up to the latest batch."""
        times = self._times
        elapsed = times[-1][0] - times[0][0] if times else 0.0
        return Progress(
            epoch=max(0, self._step - 1) // self.steps_per_epoch,
            step=self._step,
            examples=self._plan.count_examples(self._step),
            examples_per_second=(times[-1][1] - times[0][1]) / elapsed if elapsed > 0 else 0.0,
            fraction=None if self._plan.epochs is None else self._step / self._plan.n_steps,
        )

    def close(self) -> None:
        """Stop reading ahead, and the workers. The next batch starts them again."""
        self._prefetcher.stop()

    def check_reader(self) -> None:
        """Raise in a forked process, and in a second thread: batches would be read twice, or lost.

        Raises:
            LoaderError: When this process is a fork of the one that created the loader, or when another thread that is
                still alive has read batches since the loader was created, rewound or restored.
        """
        if os.getpid() != self._pid:
            raise LoaderError(
                f"this loader belongs to process {self._pid}, and this is process {os.getpid()}, a fork of it, which would "
                f"read the same batches again; call make_loader in each process, with shard=(index, count)"
            )
        thread = threading.current_thread()
        if self._reader is not None and self._reader is not thread and self._reader.is_alive():
            raise LoaderError(
                f"this loader is read by the thread {self._reader.name!r}, and this is the thread {thread.name!r}; read it in "
                f"one thread, or call loader.restore(loader.state()) to continue in this one"
            )
        self._reader = thread

    def _restart(self, step: int) -> None:
        self.close()
        self._reader = None
        self._step = step
        self.n_restarts += 1
        self._is_exhausted = False
        self._error = None
        self._shapes = None
        self._times.clear()

    def _read(self) -> Batch:
        if self._prefetcher.is_started:
            result = self._prefetcher.next(self._step)
        else:
            # The first batch is made here, since its size determines how many are read ahead.
            result = self._make_batch(self._step)
            if result.error is None and self._step + 1 < self._plan.n_steps:
                n_bytes = sum(array.nbytes for _, array in named_arrays(result.batch))
                self._prefetcher.start(self._step + 1, n_bytes * self._plan.max_growth(self._step))
        if result.error is not None:
            raise result.error
        if result.step != self._step:
            raise LoaderError(f"expected batch {self._step}, got batch {result.step}: a batch was lost")
        if not self._plan.bucket_lengths:
            self._check_shapes(result.batch)
        return result.batch

    def _check_shapes(self, batch: Batch) -> None:
        shapes = {name: array.shape[1:] for name, array in named_arrays(batch)}
        if self._shapes is not None and self._shapes != shapes:
            keys = sorted({*self._shapes, *shapes})
            pairs = [(key, self._shapes.get(key, "missing"), shapes.get(key, "missing")) for key in keys]
            differences = "; ".join(f"{key!r} {before} and {now}" for key, before, now in pairs if before != now)
            raise ValueError(f"examples must have the same shape in all batches, got {differences}. {SHAPE_ADVICE}")
        self._shapes = shapes


def _check_buckets(
    dataset: IndexedDataset, bucket_lengths: Sequence[int] | None
) -> tuple[tuple[int, ...], np.ndarray | None]:
    if bucket_lengths is None:
        return (), None
    if isinstance(bucket_lengths, str) or not isinstance(bucket_lengths, Sequence | np.ndarray):  # pyright: ignore[reportUnnecessaryIsInstance]  user input
        raise TypeError(f"bucket_lengths must be a list of lengths in samples, got {bucket_lengths!r}")
    for length in bucket_lengths:
        check_integer("each of bucket_lengths", length, minimum=1, unit="samples")
    buckets = tuple(int(length) for length in bucket_lengths)
    if not buckets or list(buckets) != sorted(set(buckets)):
        raise ValueError(f"bucket_lengths must be in ascending order, without duplicates, got {bucket_lengths!r}")
    name = dataset_name(dataset)
    known: np.ndarray | None = getattr(dataset, "lengths", lambda: None)()
    if known is None:
        raise ValueError(
            f"bucket_lengths requires the length of every example; implement {type(dataset).__name__}.lengths() to "
            f"return them"
        )
    lengths = np.ascontiguousarray(known, dtype=np.int64)
    if lengths.shape != (len(dataset),):
        raise ValueError(f"{name}.lengths() must have shape ({len(dataset)},), got {lengths.shape}")
    longest = int(lengths.argmax())
    if lengths[longest] > buckets[-1]:
        raise ValueError(
            f"the maximum of bucket_lengths must be at least the length of every example, got {buckets[-1]}, but example "
            f"{longest} of {name} has {lengths[longest]} samples; add a longer bucket"
        )
    return buckets, lengths


def _check_shard(shard: tuple[int, int] | None, batch_size: int) -> tuple[int, int]:
    if shard is None:
        index, count = _distributed_shard()
    else:
        if not isinstance(shard, Sequence) or isinstance(shard, str) or len(shard) != 2:  # pyright: ignore[reportUnnecessaryIsInstance]  user input
            raise TypeError(f"shard must be (index, count), such as (0, 4), got {shard!r}")
        check_integer("shard's count", shard[1], minimum=1)
        check_integer("shard's index", shard[0], minimum=0, maximum=int(shard[1]) - 1)
        index, count = int(shard[0]), int(shard[1])
    if batch_size % count:
        raise ValueError(
            f"batch_size must be a multiple of the {count} shards, got {batch_size}; use {batch_size // count * count or count} "
            f"or {(batch_size // count + 1) * count}"
        )
    return index, count


def _distributed_shard() -> tuple[int, int]:
    jax = sys.modules.get("jax")  # not imported: jax.distributed cannot be initialized without it
    if jax is None or not jax.distributed.is_initialized():
        return 0, 1
    return int(jax.process_index()), int(jax.process_count())


def _check_transforms(transforms: Sequence[Callable[..., Mapping[str, object]]]) -> None:
    if callable(transforms) or not isinstance(transforms, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance]  user input
        raise TypeError(f"transforms must be a list of functions, got {transforms!r}")
    for transform in transforms:
        if not callable(transform):
            raise TypeError(f"each of transforms must be a function of an example, got {transform!r}")
