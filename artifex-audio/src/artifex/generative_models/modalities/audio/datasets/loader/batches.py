"""Make one batch: read its examples, apply the transforms, pad and stack."""

from __future__ import annotations

import inspect
import multiprocessing
import operator
import pickle
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from artifex.generative_models.core.checks import warn_if_time_is_not_last
from artifex.generative_models.modalities.audio.datasets.loader.compatibility import interpreter_is_exiting
from artifex.generative_models.modalities.audio.datasets.loader.errors import LoaderError
from artifex.generative_models.modalities.audio.datasets.loader.plan import BatchPlan, IndexedDataset, dataset_name
from artifex.generative_models.modalities.audio.datasets.random_draws import transform_rng
from artifex.generative_models.modalities.base import read_examples, reading_epoch, reading_method

Batch = dict[str, np.ndarray | dict[str, Any]]
"""Stacked arrays by key, in nested dicts where the examples contain dicts."""

SHAPE_ADVICE = (
    "Pass bucket_lengths=… to make_loader, which pads the arrays in the dataset's time_axis_keys, or a transform that trims, "
    "pads or drops other entries"
)


class BatchResult(NamedTuple):
    """A batch, or the error that was raised instead. Grain sends the arrays in a tuple through shared memory.

    Attributes:
        step: The batch's step.
        batch: Arrays by key; empty with an error.
        error: The error, or None.
    """

    step: int
    batch: Batch
    error: BaseException | None = None


class BatchMaker:
    """The function from a step to its batch. It is sent to worker processes.

    Args:
        plan: The examples of every batch.
        dataset: The dataset.
        transforms: Functions ``f(example)`` or ``f(example, rng)``.
        shard: ``(index, count)``: the part of each batch to make.
        pad_values: The value that pads the time axis of each key; 0 for keys that are missing.
    """

    def __init__(
        self,
        plan: BatchPlan,
        dataset: IndexedDataset,
        transforms: Sequence[Callable[..., Mapping[str, object]]],
        shard: tuple[int, int],
        pad_values: Mapping[str, float],
    ) -> None:
        self.plan = plan
        self.dataset = dataset
        self._name = dataset_name(dataset)
        self._transforms = [(transform, takes_rng(transform)) for transform in transforms]
        self._shard = shard
        self._pad_values = dict(pad_values)

    def __call__(self, step: int) -> BatchResult:
        """Make a batch; errors are returned, since Grain would skip the batches after an error."""
        step = int(step)
        if interpreter_is_exiting():
            return BatchResult(step, {}, LoaderError(f"the interpreter is exiting: batch {step} is not read"))
        try:
            return BatchResult(step, self._make(step))
        except StopIteration as error:  # would end the loop over the loader
            return BatchResult(step, {}, _unexpected_stop(error))
        except Exception as error:  # noqa: BLE001  raised by the loader
            return BatchResult(step, {}, picklable_error(error) if multiprocessing.parent_process() else error)
        except SystemExit as error:
            # In a thread it would be ignored, and a worker would end as if it were complete.
            reason = f"{self._name} or a transform called sys.exit ({error}) in batch {step}"
            return BatchResult(step, {}, LoaderError(reason))

    def _make(self, step: int) -> Batch:
        epoch, indices, bucket = self.plan.examples_of(step, self._shard)
        is_example = np.array(indices) >= 0
        # If all examples of this shard are padding, the first one of the batch is read for their shapes.
        read = [index for index in indices if index >= 0] or self.plan.examples_of(step)[1][:1]
        with reading_epoch(epoch):
            examples = self._read(step, read, epoch)
        keys = [key for key in time_axis_keys(self.dataset) if key in examples[0]]
        if step == 0 and "audio" in keys:
            warn_if_time_is_not_last(f"example {read[0]} of {self._name}", np.shape(examples[0]["audio"]))
        if bucket is not None:
            examples = [self._pad(example, bucket, index) for example, index in zip(examples, read, strict=True)]
        elif keys:
            examples = [{**example, "length": _length_of(example, keys)} for example in examples]
        batch = _stack(examples, read, len(indices))
        if not is_example.any():
            batch = map_arrays(np.zeros_like, batch)
        arrays: Any = batch
        for key in keys:
            arrays[key][~is_example] = self._pad_values.get(key, 0)
        if keys and "mask" not in batch:
            batch["mask"] = np.arange(arrays[keys[0]].shape[-1]) < arrays["length"][:, None]
        valid: Any = batch.get("valid", True)
        batch["valid"] = is_example & valid
        batch["index"] = np.array(indices, np.int64)
        batch["epoch"] = np.full(len(indices), epoch, np.int64)
        return dict(sorted(batch.items()))

    def _pad(self, example: Mapping[str, Any], bucket: int, index: int) -> dict[str, Any]:
        """Return an example whose time axes are padded, or whose padding is cut, to the bucket's length."""
        keys = time_axis_keys(self.dataset)
        if not any(key in example for key in keys):
            raise ValueError(
                f"buckets require {' or '.join(map(repr, keys))} in every example, got example {index} with {list(example)}; "
                f"the attribute time_axis_keys of a dataset names the arrays whose last axis is time"
            )
        length = _length_of(example, keys)
        if length > bucket:
            raise ValueError(
                f"example {index}{_path_of(example)} must have at most the {bucket} samples of its bucket, got {length}; "
                f"lengths() must include the effect of transforms, and files must not change"
            )
        padded = {**example, "length": length}
        for key in keys:
            if key in example:
                value, pad_value = np.asarray(example[key]), self._pad_values.get(key, 0)
                if (~np.isin(value[..., bucket:], np.array((0, pad_value)).astype(value.dtype))).any():
                    raise ValueError(
                        f"example {index}{_path_of(example)} has samples other than padding after the {bucket} samples of its "
                        f"bucket; a transform that changes the length must set 'length', and lengths() must include its effect"
                    )
                value = value[..., :bucket]
                widths = [(0, 0)] * (value.ndim - 1) + [(0, bucket - value.shape[-1])]
                padded[key] = np.pad(value, widths, constant_values=pad_value)
        return padded

    def _read(self, step: int, indices: list[int], epoch: int) -> list[Mapping[str, Any]]:
        """Read examples: together where the dataset overrides ``examples``, else one by one."""
        if reading_method(type(self.dataset)) != "examples":
            return [self._transform(self._read_one(index, epoch), index, epoch) for index in indices]
        dataset: Any = self.dataset
        try:
            examples = dataset.examples(indices, epoch=epoch)
        except Exception as error:
            error.add_note(f"in batch {step}, epoch {epoch}, examples {indices} of {self._name}")
            raise
        return [self._transform(example, index, epoch) for example, index in zip(examples, indices, strict=True)]

    def _read_one(self, index: int, epoch: int) -> Any:
        try:
            return read_examples(self.dataset, [index], epoch=epoch)[0]
        except Exception as error:
            error.add_note(f"in example {index} of {self._name}, epoch {epoch}")
            raise

    def _transform(self, example: Any, index: int, epoch: int) -> Mapping[str, Any]:
        result = _check_example(example, f"example {index} of {self._name}")
        for number, (transform, with_rng) in enumerate(self._transforms):
            try:
                if with_rng:
                    output = transform(result, transform_rng(self.plan.seed, epoch, index, number))
                else:
                    output = transform(result)
            except Exception as error:
                error.add_note(f"in transform {number} of example {index} of {self._name}, epoch {epoch}")
                raise
            result = _check_example(output, f"transform {number}")
        return result


def time_axis_keys(dataset: IndexedDataset) -> tuple[str, ...]:
    """Return the keys of arrays whose last axis is time.

    Args:
        dataset: The dataset.

    Returns:
        Its attribute ``time_axis_keys``; ``("audio",)`` for a dataset without one.
    """
    return tuple(getattr(dataset, "time_axis_keys", ("audio",)))


def map_arrays(function: Callable[[np.ndarray], np.ndarray], batch: Batch) -> Batch:
    """Apply a function to every array of a batch.

    Args:
        function: The function.
        batch: The batch.

    Returns:
        A batch with the same keys.
    """
    return {
        key: map_arrays(function, value) if isinstance(value, dict) else function(value) for key, value in batch.items()
    }


def named_arrays(batch: Batch, parent: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Iterate over the arrays of a batch.

    Args:
        batch: The batch.
        parent: Prefix of the names.

    Yields:
        The name of each array, such as ``"annotations.f0"`` in a nested dict, and the array.
    """
    for key, value in batch.items():
        if isinstance(value, dict):
            yield from named_arrays(value, f"{parent}{key}.")
        else:
            yield parent + key, value


def picklable_error(error: BaseException) -> BaseException:
    """Return an error in a form that can be sent to another process, with its traceback as a note.

    Args:
        error: The error.

    Returns:
        A copy of it, or a ``LoaderError`` with its text and notes if it cannot be pickled.
    """
    error.add_note("".join(["in a worker process:\n", *traceback.format_tb(error.__traceback__)]).rstrip())
    try:
        copied: BaseException = pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001  an exception may define any __reduce__
        replacement = LoaderError(f"{type(error).__name__}: {error}")
        for note in getattr(error, "__notes__", ()):
            replacement.add_note(note)
        return replacement
    return copied


def takes_rng(transform: Callable[..., Mapping[str, object]]) -> bool:
    """Return whether a transform takes a generator as its second argument.

    Args:
        transform: The transform.

    Returns:
        Whether it has a second positional parameter that is required or named ``rng``.

    Example:
        >>> takes_rng(lambda example, rng: example), takes_rng(lambda example, gain=0.5: example)
        (True, False)
    """
    try:
        parameters = list(inspect.signature(transform).parameters.values())
    except (TypeError, ValueError):  # some functions implemented in C have no signature
        return False
    positional = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return len(positional) > 1 and (positional[1].default is inspect.Parameter.empty or positional[1].name == "rng")


def _unexpected_stop(error: StopIteration) -> LoaderError:
    place = "; ".join(getattr(error, "__notes__", ()))
    result = LoaderError(
        f"StopIteration was raised {place}: an iterator was exhausted. Index into a sequence instead of calling next(), "
        f"or pass a default, next(iterator, None)"
    )
    result.__cause__ = error
    return result


def _check_example(example: Mapping[str, Any], origin: str) -> Mapping[str, Any]:
    if not isinstance(example, Mapping) or not example:  # pyright: ignore[reportUnnecessaryIsInstance]  user input
        raise TypeError(f"{origin} must be a dict with at least one entry, got {type(example).__name__}")
    return example


def _length_of(example: Mapping[str, Any], keys: Sequence[str]) -> int:
    size = int(next(np.shape(example[key])[-1] for key in keys if key in example))
    try:
        length = operator.index(np.asarray(example.get("length", size))[()])
    except TypeError:
        raise TypeError(
            f"'length' must be an integer, a number of samples{_path_of(example)}, got {example['length']!r}"
        ) from None
    if length < 0:
        raise ValueError(f"'length' must be at least 0 samples{_path_of(example)}, got {length}")
    if length > size:
        raise ValueError(
            f"'length' must be at most the {size} samples{_path_of(example)}, got {length}; a transform that changes the "
            f"length must set 'length'"
        )
    return length


def _stack(examples: Sequence[Mapping[str, Any]], indices: Sequence[int], n_examples: int, parent: str = "") -> Batch:
    """Return a dict of stacked arrays of ``n_examples`` examples; those after the given ones are zeros."""
    keys = set(examples[0])
    for example, index in zip(examples, indices, strict=False):
        if set(example) != keys:
            raise ValueError(
                f"the examples of a batch must have the same keys{parent}, got {sorted(keys)} in example "
                f"{indices[0]}{_path_of(examples[0])} and {sorted(example)} in example {index}{_path_of(example)}; a "
                f"transform can add or drop keys"
            )
    stacked: Batch = {}
    for key in sorted(keys):
        if isinstance(examples[0][key], Mapping):
            stacked[key] = _stack([example[key] for example in examples], indices, n_examples, f" in {key!r}")
            continue
        values = [np.asarray(example[key]) for example in examples]
        dtypes = {value.dtype for value in values}
        if any(dtype.hasobject for dtype in dtypes) or len({dtype.kind in "US" for dtype in dtypes}) > 1:
            types = sorted({type(example[key]).__name__ for example in examples})
            raise TypeError(
                f"{key!r} must be numbers, arrays or strings, got {', '.join(types)}; a transform can drop it"
            )
        for value, index, example in zip(values, indices, examples, strict=False):
            if value.shape != values[0].shape:
                raise ValueError(
                    f"{key!r}{parent} must have the same shape in all examples of a batch, got {values[0].shape} in example "
                    f"{indices[0]}{_path_of(examples[0])} and {value.shape} in example {index}{_path_of(example)}. "
                    f"{SHAPE_ADVICE}"
                )
        array = np.zeros((n_examples, *values[0].shape), reduce(np.promote_types, dtypes))
        for place, value in enumerate(values[:n_examples]):
            array[place] = value
        stacked[key] = array
    return stacked


def _path_of(example: Mapping[str, Any]) -> str:
    return f" ({example['path']})" if "path" in example else ""
