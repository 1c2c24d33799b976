"""The loader: an iterator over batches whose state can be saved and restored."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from artifex.generative_models.core.checks import check_flag, check_integer, check_number
from artifex.generative_models.core.display import html_table, one_line
from artifex.generative_models.modalities.audio.datasets.composition import warn_of_wrapper
from artifex.generative_models.modalities.audio.datasets.loader.batches import (
    SHAPE_ADVICE,
    Batch,
    BatchMaker,
    named_arrays,
    time_axis_keys,
)
from artifex.generative_models.modalities.audio.datasets.loader.compatibility import import_grain
from artifex.generative_models.modalities.audio.datasets.loader.errors import LoaderError
from artifex.generative_models.modalities.audio.datasets.loader.plan import (
    BatchPlan,
    IndexedDataset,
    PlanFingerprint,
    choose_bucket_lengths,
    dataset_name,
    fingerprint_of,
    is_fixed,
)
from artifex.generative_models.modalities.audio.datasets.loader.workers import Prefetcher, check_main_module

_RATE_WINDOW = 32
_MAX_SHUFFLED = 2**32
_BUDGET_BUCKETS = 16


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
    batch_size: int | None = None,
    *,
    shuffle: bool = False,
    seed: int = 0,
    epochs: int | None = 1,
    workers: int = 0,
    shard: tuple[int, int] | None = None,
    drop_remainder: bool | None = None,
    transforms: Sequence[Callable[..., Mapping[str, object]]] = (),
    bucket_lengths: int | Sequence[int] | None = None,
    max_batch_samples: int | None = None,
    max_batch_seconds: float | None = None,
    batch_multiple: int = 1,
    pad_value: float | Mapping[str, float] | None = None,
) -> Loader:
    """Create a loader: batches of NumPy arrays, read ahead in threads or processes, resumable at any batch.

    The examples of batch ``step`` depend on (seed, step) only, and the content of an example on (dataset, seed, epoch,
    index) only: not on the number of workers or hosts, nor on restarts.

    Args:
        dataset: A ``BaseDataset``, or another object with ``__len__`` and ``__getitem__`` whose examples are dicts.
        batch_size: Examples per batch, over all hosts. None with a budget, ``max_batch_samples`` or ``max_batch_seconds``.
        shuffle: Whether every epoch has a random order, drawn from ``seed``. It takes no memory.
        seed: Seed of the order and the transforms, at least 0.
        epochs: Number of epochs, at least 1; None for infinitely many.
        workers: Number of worker processes. 0 reads in two threads of this process, which is fastest unless reading or
            transforming an example holds the GIL.
        shard: ``(index, count)``: this process makes part ``index`` of the ``count`` equal parts of every batch. By default ``(jax.process_index(), jax.process_count())`` if ``jax.distributed`` is initialized, else
            ``(0, 1)``.
        drop_remainder: Whether to drop the examples that do not fill a batch at the end of an epoch. With ``shuffle``, each
            epoch drops different ones. Otherwise a batch is completed with padding, with ``valid`` False and ``index`` -1.
            By default True with ``batch_size``; a budget drops no examples.
        transforms: Functions ``f(example)`` or ``f(example, rng)`` that return a modified example, in NumPy. ``rng`` is
            ``np.random.default_rng(SeedSequence(seed, spawn_key=(2, epoch, index, number of the transform)))``. The
            orders of buckets have the spawn key ``(3, epoch)``, the random crops of datasets ``(1, epoch, index)``: the
            streams are independent.
        bucket_lengths: Lengths in samples, ascending. Examples of similar length are batched together and padded to the
            shortest of these lengths that fits, so that there are as many shapes as lengths. An integer is the maximum
            number of lengths, which are then chosen for the minimum padding. By default 16 with a budget, else no buckets.
        max_batch_samples: Maximum number of samples in a batch, padding included, over all hosts: a budget. A batch of a
            bucket has as many examples as fit. The unit is that of ``dataset.lengths()``: frames for features.
        max_batch_seconds: The same budget in seconds, for datasets of waveforms with a configuration.
        batch_multiple: With a budget, the number of examples in a batch is a multiple of it. It must be a multiple of the
            number of shards, and for ``device_batches`` of the number of devices, on all hosts that the state is restored on.
        pad_value: The value that pads the time axis of examples; a mapping gives one by key. By default that of
            ``dataset.pad_values``: the level of silence for log-mel spectrograms, else 0.

    Returns:
        The loader. Its batches contain the stacked entries of the examples, and ``valid`` (n,) bool, ``index`` and
        ``epoch`` (n,) int64, where n is the number of examples in the batch over ``count``. Where examples have a time axis
        they also contain ``length`` (n,), and ``mask`` (n, time) bool, True before ``length``, unless examples have a
        ``mask`` of their own. Strings are NumPy arrays of strings.

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
    warn_of_wrapper(dataset)
    check_flag("shuffle", shuffle)
    check_integer("seed", seed, minimum=0)
    if epochs is not None:
        check_integer("epochs", epochs, minimum=1)
    n_examples, name = len(dataset), dataset_name(dataset)
    if not n_examples:
        raise ValueError(f"dataset must not be empty, got {name} with 0 examples")
    if shuffle and n_examples > _MAX_SHUFFLED:
        raise ValueError(f"shuffle=True supports at most 2**32 examples, got {name} with {n_examples}")
    budget = _check_budget(dataset, batch_size, max_batch_samples, max_batch_seconds, batch_multiple)
    if drop_remainder is not None:
        check_flag("drop_remainder", drop_remainder)
        if drop_remainder and budget is not None:
            raise ValueError("a budget drops no examples; omit drop_remainder=True")
    drops = budget is None and drop_remainder is not False
    if batch_size is not None and drops and n_examples < batch_size:
        raise ValueError(
            f"batch_size must be at most the {n_examples} examples of {name}, got {batch_size}; use a smaller batch_size, "
            f"or drop_remainder=False to pad the batch"
        )
    if bucket_lengths is None and budget is not None:
        bucket_lengths = _BUDGET_BUCKETS
    buckets, lengths = _check_buckets(dataset, bucket_lengths, budget, batch_multiple)
    batch_sizes = _batch_sizes(batch_size, buckets, budget, batch_multiple)
    check_integer("workers", workers, minimum=0)
    shard = _check_shard(shard, batch_size, batch_multiple)
    _check_transforms(transforms)
    import_grain()
    if workers:
        check_main_module()
    plan = BatchPlan(
        dataset=kind,
        data=fingerprint_of(dataset),
        n_examples=n_examples,
        batch_sizes=batch_sizes,
        shuffle=shuffle,
        seed=int(seed),
        epochs=None if epochs is None else int(epochs),
        drop_remainder=drops,
        bucket_lengths=buckets,
        lengths=lengths,
        lengths_of_epoch=None if lengths is None or is_fixed(dataset) else getattr(dataset, "lengths", None),
    )
    make_batch = BatchMaker(plan, dataset, transforms, shard, _check_pad_values(dataset, pad_value))
    return Loader(make_batch, workers=int(workers), shard=shard)


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
        dataset: The dataset.
        batch_sizes: The numbers of examples per batch, over all hosts, ascending: one, or several with a budget.
        n_examples: Number of examples in the dataset.
        n_dropped: Number of examples that are in no batch of an epoch.
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
        self.dataset = make_batch.dataset
        self._plan = make_batch.plan
        self._prefetcher = Prefetcher(make_batch, workers)
        self.batch_sizes = tuple(sorted(set(self._plan.batch_sizes)))
        self.n_examples = self._plan.n_examples
        self.n_dropped = self._plan.n_dropped
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

    def __repr__(self) -> str:
        return one_line("Loader", self.summary())

    def _repr_html_(self) -> str:
        return html_table("Loader", self.summary())

    def summary(self) -> dict[str, object]:
        """Return what ``repr`` and notebooks show.

        Returns:
            Values by name; None where they do not apply.
        """
        plan = self._plan
        first, last = self.batch_sizes[0], self.batch_sizes[-1]
        return {
            "dataset": dataset_name(self.dataset),
            "n_examples": plan.n_examples,
            "batch_size": first if first == last else f"{first} to {last}",
            "bucket_lengths": list(plan.bucket_lengths) or None,
            "steps_per_epoch": self.steps_per_epoch,
            "epochs": "infinitely many" if plan.epochs is None else plan.epochs,
            "step": self._step,
            "shard": None if self.shard == (0, 1) else self.shard,
        }

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


def _check_budget(
    dataset: IndexedDataset,
    batch_size: int | None,
    max_batch_samples: int | None,
    max_batch_seconds: float | None,
    batch_multiple: int,
) -> int | None:
    """Return the maximum number of samples in a batch; None with a batch size."""
    given = {"batch_size": batch_size, "max_batch_samples": max_batch_samples, "max_batch_seconds": max_batch_seconds}
    names = [name for name, value in given.items() if value is not None]
    if len(names) != 1:
        raise TypeError(f"make_loader requires one of {', '.join(given)}, got {' and '.join(names) or 'none'}")
    check_integer("batch_multiple", batch_multiple, minimum=1)
    if batch_size is not None:
        check_integer("batch_size", batch_size, minimum=1)
        if batch_multiple != 1:
            raise ValueError(f"batch_multiple requires a budget, got batch_size={batch_size}; omit batch_multiple")
        return None
    if max_batch_samples is not None:
        check_integer("max_batch_samples", max_batch_samples, minimum=1, unit="samples")
        return int(max_batch_samples)
    check_number("max_batch_seconds", max_batch_seconds, above=0, unit="seconds")
    rate = getattr(getattr(dataset, "config", None), "sample_rate", None)
    if rate is None or "audio" not in time_axis_keys(dataset):
        raise ValueError(
            f"max_batch_seconds requires a dataset of waveforms with a configuration, got {dataset_name(dataset)}; pass "
            f"max_batch_samples, in the unit of lengths()"
        )
    # Rounded, since 2.3 s at 44.1 kHz are 101429.99999999999 samples in float64.
    return int(round(float(max_batch_seconds or 0) * rate, 6))


def _batch_sizes(
    batch_size: int | None, buckets: tuple[int, ...], budget: int | None, batch_multiple: int
) -> tuple[int, ...]:
    """Return the number of examples in the batches of each bucket; one number without buckets."""
    if budget is None:
        return (int(batch_size or 0),) * max(1, len(buckets))
    sizes = tuple(budget // length // batch_multiple * batch_multiple for length in buckets)
    if not all(sizes):
        raise ValueError(
            f"the budget must be at least {batch_multiple} examples of the longest bucket, {buckets[-1]} samples: "
            f"{batch_multiple * buckets[-1]} samples, got {budget}"
        )
    return sizes


def _check_pad_values(dataset: IndexedDataset, pad_value: float | Mapping[str, float] | None) -> dict[str, float]:
    keys = time_axis_keys(dataset)
    own: Mapping[str, float] = getattr(dataset, "pad_values", {})
    if pad_value is None:
        return dict(own)
    given = dict(pad_value) if isinstance(pad_value, Mapping) else dict.fromkeys(keys, pad_value)
    for key, value in given.items():
        if key not in keys:
            raise ValueError(f"pad_value must have keys with a time axis, {', '.join(map(repr, keys))}; got {key!r}")
        check_number("pad_value", value)
    return {**own, **{key: float(value) for key, value in given.items()}}


def _check_buckets(
    dataset: IndexedDataset, bucket_lengths: int | Sequence[int] | None, budget: int | None, batch_multiple: int
) -> tuple[tuple[int, ...], np.ndarray | None]:
    if bucket_lengths is None:
        return (), None
    buckets: tuple[int, ...] = ()
    if isinstance(bucket_lengths, int | np.integer) and not isinstance(bucket_lengths, bool):
        check_integer("bucket_lengths", bucket_lengths, minimum=1)
    elif isinstance(bucket_lengths, str) or not isinstance(bucket_lengths, Sequence | np.ndarray):
        raise TypeError(
            f"bucket_lengths must be a list of lengths in samples, or a number of lengths, got {bucket_lengths!r}"
        )
    else:
        for length in bucket_lengths:
            check_integer("each of bucket_lengths", length, minimum=1, unit="samples")
        buckets = tuple(int(length) for length in bucket_lengths)
        if not buckets or list(buckets) != sorted(set(buckets)):
            raise ValueError(f"bucket_lengths must be in ascending order, without duplicates, got {bucket_lengths!r}")
    name = dataset_name(dataset)
    known: np.ndarray | None = getattr(dataset, "lengths", lambda: None)()
    if known is None:
        raise ValueError(
            f"buckets require the length of every example; implement {type(dataset).__name__}.lengths() to return them"
        )
    lengths = np.ascontiguousarray(known, dtype=np.int64)
    if lengths.shape != (len(dataset),):
        raise ValueError(f"{name}.lengths() must have shape ({len(dataset)},), got {lengths.shape}")
    if lengths.min() < 1:
        raise ValueError(f"{name}.lengths() must be at least 1, got {lengths.min()} for example {lengths.argmin()}")
    if not is_fixed(dataset):
        if budget is not None:
            raise ValueError(
                f"a budget requires the same examples in every epoch, but {name} draws others; use batch_size with "
                f"bucket_lengths"
            )
        lengths = np.append(lengths, getattr(dataset, "max_length", lengths.max)())  # the longest one of all epochs
    longest = int(lengths.argmax())
    place = f"example {longest}" if longest < len(dataset) else "an example of another epoch"
    if not buckets:
        if budget is not None and budget // batch_multiple < lengths[longest]:
            raise ValueError(
                f"the budget must be at least batch_multiple={batch_multiple} examples of the longest one, example {longest} of "
                f"{name} with {lengths[longest]} samples: {batch_multiple * lengths[longest]} samples, got {budget}"
            )
        buckets = choose_bucket_lengths(lengths, int(cast(int, bucket_lengths)), budget, batch_multiple)
    if lengths[longest] > buckets[-1]:
        raise ValueError(
            f"the maximum of bucket_lengths must be at least the length of every example, got {buckets[-1]}, but {place} "
            f"of {name} has {lengths[longest]} samples; add a longer bucket"
        )
    return buckets, lengths[: len(dataset)]


def _check_shard(shard: tuple[int, int] | None, batch_size: int | None, batch_multiple: int) -> tuple[int, int]:
    if shard is None:
        index, count = _distributed_shard()
    else:
        if not isinstance(shard, Sequence) or isinstance(shard, str) or len(shard) != 2:  # pyright: ignore[reportUnnecessaryIsInstance]  user input
            raise TypeError(f"shard must be (index, count), such as (0, 4), got {shard!r}")
        check_integer("shard's count", shard[1], minimum=1)
        check_integer("shard's index", shard[0], minimum=0, maximum=int(shard[1]) - 1)
        index, count = int(shard[0]), int(shard[1])
    name, size = ("batch_multiple", batch_multiple) if batch_size is None else ("batch_size", batch_size)
    if size % count:
        raise ValueError(
            f"{name} must be a multiple of the {count} shards, got {size}; use {size // count * count or count} "
            f"or {(size // count + 1) * count}"
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
