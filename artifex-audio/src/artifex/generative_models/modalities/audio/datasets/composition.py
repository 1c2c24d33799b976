"""Functions that make datasets of other datasets: select, split, combine, balance and map. Imports no jax."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast, overload

import numpy as np
import numpy.typing as npt

from artifex.generative_models.core.checks import check_flag, check_integer, check_number, is_list, is_mapping
from artifex.generative_models.modalities.audio.datasets.loader.plan import IndexedDataset, dataset_name, is_fixed
from artifex.generative_models.modalities.audio.datasets.manifests.splits import assign_splits
from artifex.generative_models.modalities.audio.datasets.views import (
    Column,
    Concatenation,
    Mapped,
    Mixture,
    Repetition,
    Selection,
    SequenceDataset,
)
from artifex.generative_models.modalities.base import BaseDataset, position, read_examples


def subset(dataset: IndexedDataset, indices: npt.ArrayLike) -> BaseDataset:
    """Select examples by their indices.

    Args:
        dataset: A ``BaseDataset``, or another sequence of dicts.
        indices: Indices, in any order; negative ones count from the end. Or a mask, bool (n_examples,).

    Returns:
        A dataset of these examples, in this order.

    Raises:
        TypeError: When the indices are neither integers nor a mask.
        ValueError: When there are none, one occurs twice, or the mask has another length.
        IndexError: When an index is out of range.

    Example:
        >>> data = subset([{"x": i} for i in range(5)], [3, -1])
        >>> [example["x"] for example in data]
        [3, 4]
    """
    source = _as_dataset(dataset)
    array = np.asarray(indices)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iub"):
        raise TypeError(f"indices must be a list of integers or a mask, such as [0, 2], got {indices!r}")
    if array.dtype == bool:
        if len(array) != len(source):
            raise ValueError(
                f"a mask must have one value for each of the {len(source)} examples of {dataset_name(source)}, got {len(array)}"
            )
        array = np.flatnonzero(array)
    if not len(array):
        raise ValueError(f"indices must select at least one example of {dataset_name(source)}, got none")
    places = np.array([position(index, len(source), dataset_name(source)) for index in array.tolist()], np.int64)
    values, counts = np.unique(places, return_counts=True)
    if counts.max() > 1:
        raise ValueError(
            f"each index must occur once, since equal examples have equal random crops, got {values[counts.argmax()]} "
            f"{counts.max()} times; repeat examples with repeat or mix"
        )
    return Selection("subset", source, places)


def take(dataset: IndexedDataset, n: int) -> BaseDataset:
    """Select the first examples.

    Args:
        dataset: A ``BaseDataset``, or another sequence of dicts.
        n: Number of examples, from 1 to the length of the dataset.

    Returns:
        A dataset of the first n examples.

    Raises:
        TypeError: When n is not an integer.
        ValueError: When it is out of range.

    Example:
        >>> len(take([{"x": i} for i in range(5)], 2))
        2
    """
    source = _as_dataset(dataset)
    check_integer("n", n, minimum=1, maximum=len(source))
    return Selection("take", source, np.arange(n, dtype=np.int64))


@overload
def split(
    dataset: IndexedDataset,
    fractions: Mapping[str, float],
    *,
    by: str | None = None,
    stratify: str | None = None,
    seed: int = 0,
) -> dict[str, BaseDataset]: ...


@overload
def split(
    dataset: IndexedDataset,
    fractions: Sequence[float],
    *,
    by: str | None = None,
    stratify: str | None = None,
    seed: int = 0,
) -> tuple[BaseDataset, ...]: ...


def split(
    dataset: IndexedDataset,
    fractions: Mapping[str, float] | Sequence[float],
    *,
    by: str | None = None,
    stratify: str | None = None,
    seed: int = 0,
) -> dict[str, BaseDataset] | tuple[BaseDataset, ...]:
    """Divide a dataset at random. Every example is in exactly one of the parts.

    Windows of one recording, and repetitions of one example, are always in the same part. The rule is that of
    ``assign_splits``; no example is read.

    Args:
        dataset: A ``BaseDataset``, or another sequence of dicts.
        fractions: Fractions with a sum of 1: by name, such as ``{"train": 0.8, "test": 0.2}``, or a sequence.
        by: Name of a column, such as ``"speaker"``: examples with the same value are in the same part.
        stratify: Name of a column, such as ``"label"``, whose proportions are about equal in every part.
        seed: Seed of the division, at least 0.

    Returns:
        The parts, by name or in order. Their examples are in the order of the dataset.

    Raises:
        TypeError: When the fractions are neither a mapping nor a sequence.
        ValueError: When the fractions do not sum to 1, there are fewer groups than parts, a column does not exist or lacks
            values, or the examples of the dataset change from epoch to epoch, as those of ``mix`` do.

    Example:
        >>> data = [{"x": i, "speaker": "abcd"[i % 4]} for i in range(8)]
        >>> train, test = split(data, (0.75, 0.25), by="speaker")
        >>> len(train), sorted(set(train.column("speaker")) & set(test.column("speaker")))
        (6, [])
    """
    source = _as_dataset(dataset)
    _check_fixed("split", source)
    names = fractions if is_mapping(fractions) else None
    if isinstance(fractions, str) or not (names or isinstance(fractions, Sequence | np.ndarray)):
        raise TypeError(f"fractions must be a dict or a sequence, such as (0.8, 0.2), got {fractions!r}")
    shares: dict[Any, float] = dict(names) if names else dict(enumerate(cast("Sequence[float]", fractions)))
    for name, fraction in shares.items():
        check_number(f"the fraction of {name!r}", fraction)
    groups = [str(each) for each in source.recordings().tolist()] if by is None else _groups(source, by)
    strata = None if stratify is None else _groups(source, stratify)
    assigned = assign_splits(groups, shares, strata=strata, seed=seed)
    members: dict[Any, list[int]] = {name: [] for name in shares}
    for index, name in enumerate(assigned):
        members[name].append(index)
    parts = {
        name: Selection("split", source, np.array(indices, np.int64), split=name if names else None)
        for name, indices in members.items()
    }
    return dict(parts) if names else tuple(parts.values())


def concat(datasets: Sequence[IndexedDataset]) -> BaseDataset:
    """Join datasets, one after another.

    The first example of each is read, to compare their entries.

    Args:
        datasets: Datasets with the same classes, configuration, and entries of examples.

    Returns:
        A dataset of all examples.

    Raises:
        TypeError: When the datasets are not a list.
        ValueError: When there are none, or they differ in classes, configuration or entries.

    Example:
        >>> [example["x"] for example in concat([[{"x": 0}, {"x": 1}], [{"x": 2}]])]
        [0, 1, 2]
    """
    return Concatenation(_compatible("concat", datasets))


def mix(
    datasets: Sequence[IndexedDataset], weights: Sequence[float], *, length: int | None = None, seed: int = 0
) -> BaseDataset:
    """Mix datasets in given proportions.

    In every epoch, the number of examples of each dataset is exactly its weight times the length, rounded by largest
    remainders, in random order. Each dataset is read from begin to end in a random order of its own, which continues from
    epoch to epoch: all its examples are used equally often, and after each pass its own epoch advances, so that random
    crops of a small dataset that is repeated differ. All depends on the seed, the epoch and the index only.

    An index is another example in every epoch. Therefore ``targets`` and ``column`` return the values of epoch 0 outside
    of a loader; ``split``, ``filter`` and ``balanced`` raise; apply them to the datasets before mixing.

    Args:
        datasets: Datasets with the same classes, configuration, and entries of examples.
        weights: Relative frequency of each dataset, above 0. The weights need not sum to 1.
        length: Number of examples per epoch; by default the sum of the lengths of the datasets.
        seed: Seed of the order, at least 0.

    Returns:
        A dataset of the mixture.

    Raises:
        TypeError: When the datasets or weights are not a list.
        ValueError: When there is not one weight for each dataset, a dataset would never be drawn, or datasets differ in
            classes, configuration or entries.

    Example:
        >>> speech, noise = [{"x": i} for i in range(6)], [{"x": -1}, {"x": -2}]
        >>> data = mix([speech, noise], weights=[1, 1])
        >>> len(data), sorted(example["x"] for example in data if example["x"] < 0)
        (8, [-2, -2, -1, -1])
    """
    parts = _compatible("mix", datasets)
    if isinstance(weights, str) or not isinstance(weights, Sequence | np.ndarray):  # pyright: ignore[reportUnnecessaryIsInstance]  user input
        raise TypeError(f"weights must be a list of one number per dataset, got {weights!r}")
    if len(weights) != len(parts):
        raise ValueError(f"weights must have one number per dataset, {len(parts)}, got {len(weights)}")
    for number, weight in enumerate(weights):
        check_number(f"weights[{number}]", weight, above=0)
    return _mixture("mix", parts, weights, length, seed)


def balanced(dataset: IndexedDataset, by: str = "label", *, length: int | None = None, seed: int = 0) -> BaseDataset:
    """Draw equally often from the classes of a dataset, or the values of another column.

    It is ``mix`` of one subset per value that occurs, with equal weights: the examples of rare classes are repeated, with
    other random crops, and those of frequent ones are spread over several epochs.

    Args:
        dataset: A ``BaseDataset``, or another sequence of dicts.
        by: Name of a column, such as ``"label"`` or ``"speaker"``.
        length: Number of examples per epoch; by default the length of the dataset.
        seed: Seed of the order, at least 0.

    Returns:
        A dataset whose examples change from epoch to epoch; see ``mix``.

    Raises:
        ValueError: When the column does not exist or lacks values, examples have several classes, or the examples of the
            dataset change from epoch to epoch.

    Example:
        >>> data = balanced([{"label": 0}] * 9 + [{"label": 1}])
        >>> data.class_counts()
        {'0': 5, '1': 5}
    """
    source = _as_dataset(dataset)
    _check_fixed("balanced", source)
    values = source.column(by)
    if any(isinstance(value, tuple) for value in values):
        raise ValueError(f"balanced requires one class per example, got several in {by!r} of {dataset_name(source)}")
    members: dict[str, list[int]] = {}
    for index, value in enumerate(_groups(source, by, values)):
        members.setdefault(value, []).append(index)
    parts = [Selection("balanced", source, np.array(members[value], np.int64)) for value in sorted(members)]
    view = _mixture("balanced", parts, [1] * len(parts), len(source) if length is None else length, seed)
    view.name = f"balanced({dataset_name(source)})"
    return view


def filter(  # noqa: A001  the name of Grain
    dataset: IndexedDataset, predicate: Callable[..., bool], *, decode: bool = False
) -> BaseDataset:
    """Select the examples for which a function returns True.

    The function is called once per example, now. By default it is given the values of the columns, which need no reading:
    ``filter(data, lambda row: row["speaker"] != "george")``. Columns are those in ``dataset.column_names``, such as
    ``"label"`` (a name), ``"length"`` (in samples) and annotations.

    Args:
        dataset: A ``BaseDataset``, or another sequence of dicts.
        predicate: Function of the columns of an example that returns a bool.
        decode: Whether the function is given the example itself, of epoch 0. This reads the whole dataset.

    Returns:
        A dataset of the selected examples.

    Raises:
        TypeError: When the predicate is not a function, or returns anything else than True or False.
        ValueError: When it selects none, uses a column that does not exist, or the examples of the dataset change from
            epoch to epoch.

    Example:
        >>> data = filter([{"x": i} for i in range(5)], lambda row: row["x"] > 2)
        >>> [example["x"] for example in data]
        [3, 4]

    Reference:
        ``filter`` of Grain is given examples, as with ``decode=True``, and reads them again in every epoch.
    """
    source = _as_dataset(dataset)
    name = dataset_name(source)
    check_flag("decode", decode)
    if not callable(predicate):
        raise TypeError(f"predicate must be a function of an example's columns, got {predicate!r}")
    _check_fixed("filter", source)
    columns = _Columns(source)
    selected: list[int] = []
    for index in range(len(source)):
        keep = predicate(read_examples(source, [index], epoch=0)[0] if decode else _Row(columns, index))
        if not isinstance(keep, bool | np.bool_):  # pyright: ignore[reportUnnecessaryIsInstance]  user-defined
            raise TypeError(f"predicate must return True or False, got {keep!r} for example {index} of {name}")
        if keep:
            selected.append(index)
    if not selected:
        raise ValueError(f"predicate must be True for at least one example, got False for all {len(source)} of {name}")
    return Selection("filter", source, np.array(selected, np.int64))


def map(  # noqa: A001  the name of Grain
    dataset: IndexedDataset, function: Callable[..., Mapping[str, object]], *, seed: int = 0
) -> BaseDataset:
    """Apply a function to every example when it is read, in NumPy on the host.

    Classes, annotations and lengths remain those of the dataset: the function must not change the class under ``"label"``,
    and a function that changes the number of samples must set ``"length"``. With worker processes the function must be
    defined in a module.

    Args:
        dataset: A ``BaseDataset``, or another sequence of dicts.
        function: ``f(example)`` or ``f(example, rng)``, which returns a dict. ``rng`` is
            ``np.random.default_rng(SeedSequence(seed, spawn_key=(6, epoch, index, number of maps before)))``.
        seed: Seed of ``rng``, at least 0.

    Returns:
        A dataset of the results.

    Raises:
        TypeError: When the function is not callable; when an example is read, if it does not return a dict.
        ValueError: When an example is read, if the function changes the class under ``"label"``.

    Example:
        >>> data = map([{"x": i} for i in range(3)], lambda example: {**example, "square": example["x"] ** 2})
        >>> data[2]
        {'x': 2, 'square': 4}

    Reference:
        ``map`` and ``random_map`` of Grain.
    """
    if not callable(function):
        raise TypeError(f"function must be a function of an example, got {function!r}")
    check_integer("seed", seed, minimum=0)
    return Mapped(_as_dataset(dataset), function, int(seed))


def repeat(dataset: IndexedDataset, n: int) -> BaseDataset:
    """Repeat a dataset within an epoch. Each repetition is an epoch of the dataset: random crops differ.

    Args:
        dataset: A ``BaseDataset``, or another sequence of dicts.
        n: Number of repetitions, at least 1.

    Returns:
        A dataset of n times as many examples.

    Raises:
        TypeError: When n is not an integer.
        ValueError: When it is less than 1.

    Example:
        >>> [example["x"] for example in repeat([{"x": 0}, {"x": 1}], 2)]
        [0, 1, 0, 1]

    Reference:
        ``repeat`` of Grain. Use ``epochs=None`` of ``make_loader`` to repeat without end.
    """
    check_integer("n", n, minimum=1)
    return Repetition(_as_dataset(dataset), int(n))


def warn_of_wrapper(dataset: object) -> None:
    """Warn if an object that is not a ``BaseDataset`` holds one in its attributes and hides what it provides.

    Args:
        dataset: The object that is used as a dataset.
    """
    if isinstance(dataset, BaseDataset):
        return
    attributes: list[object] = list(getattr(dataset, "__dict__", {}).values())
    held = [each for value in attributes for each in (value if is_list(value) else [value])]
    inner = next((each for each in held if isinstance(each, BaseDataset)), None)
    if inner is None:
        return
    hidden = {
        "lengths()": not hasattr(dataset, "lengths") and type(inner).lengths is not BaseDataset.lengths,
        "time_axis_keys": not hasattr(dataset, "time_axis_keys") and inner.time_axis_keys != BaseDataset.time_axis_keys,
        "pad_values": not hasattr(dataset, "pad_values") and bool(inner.pad_values),
        "labels and targets()": not hasattr(dataset, "targets") and bool(inner.labels),
        "fingerprint()": not hasattr(dataset, "fingerprint"),
    }
    lost = [name for name, is_hidden in hidden.items() if is_hidden]
    if lost:
        kind = type(dataset).__name__
        warnings.warn(
            f"{kind} wraps {dataset_name(inner)} and does not define its {', '.join(lost)}: bucket_lengths may be refused, "
            f"and restoring a state on other data is not. Use map(dataset, function) or another function of "
            f"artifex.generative_models.modalities.audio.datasets, or define them in {kind}",
            UserWarning,
            stacklevel=3,
        )


class _Columns:
    """Columns of a dataset, each read once."""

    def __init__(self, dataset: BaseDataset) -> None:
        self.dataset = dataset
        self._columns: dict[str, Column] = {}

    def __getitem__(self, name: str) -> Column:
        if name not in self._columns:
            self._columns[name] = self.dataset.column(name)
        return self._columns[name]


class _Row(Mapping[str, Any]):
    """The columns of one example."""

    def __init__(self, columns: _Columns, index: int) -> None:
        self._columns = columns
        self._index = index

    def __getitem__(self, name: str) -> Any:
        return self._columns[name][self._index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns.dataset.column_names)

    def __len__(self) -> int:
        return len(self._columns.dataset.column_names)

    def __contains__(self, name: object) -> bool:
        return name in self._columns.dataset.column_names


def _as_dataset(dataset: object) -> BaseDataset:
    if isinstance(dataset, BaseDataset):
        source = dataset
    else:
        is_sequence = hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")
        kind = type(dataset).__name__
        if not is_sequence or is_mapping(dataset) or isinstance(dataset, str | bytes | np.ndarray):
            raise TypeError(f"dataset must be a BaseDataset or a sequence of dicts, got {kind}")
        if is_list(dataset) and not all(is_mapping(item) for item in dataset):
            raise TypeError(f"dataset must be a sequence of dicts, got a {kind} of other items")
        source = SequenceDataset(cast("IndexedDataset", dataset))
        warn_of_wrapper(source.items)
    if not len(source):
        raise ValueError(f"dataset must not be empty, got {dataset_name(source)} with 0 examples")
    return source


def _check_fixed(function: str, dataset: BaseDataset) -> None:
    if not is_fixed(dataset):
        raise ValueError(
            f"{function} requires examples that are the same in every epoch, got {dataset_name(dataset)}; apply {function} "
            f"to the datasets before mix or balanced"
        )


def _groups(dataset: BaseDataset, name: str, values: Column | None = None) -> list[str]:
    """Return the values of a column as text; raise for missing ones."""
    values = dataset.column(name) if values is None else values
    is_index = name == "label" and not isinstance(values, list)
    missing = [
        index
        for index, value in enumerate(values)
        if (isinstance(value, str) and not value)
        or (isinstance(value, numbers.Real) and (math.isnan(float(value)) or (is_index and float(value) < 0)))
    ]
    if missing:
        raise ValueError(
            f"{name!r} must have a value for every example of {dataset_name(dataset)}, got none for {len(missing)} examples, "
            f"the first of them {missing[0]}; remove them with filter"
        )
    return [str(value) for value in values]


def _mixture(
    function: str, parts: Sequence[BaseDataset], weights: Sequence[float], length: int | None, seed: int
) -> Mixture:
    n_examples = sum(len(part) for part in parts) if length is None else length
    check_integer("length", n_examples, minimum=1)
    check_integer("seed", seed, minimum=0)
    relative = np.array(weights, np.float64)
    quotas = relative / relative.sum() * int(n_examples)
    counts = np.floor(quotas + 1e-9).astype(np.int64)
    # The examples left go to the largest remainders, the first of equal ones.
    counts[np.argsort(counts - quotas, kind="stable")[: int(n_examples) - int(counts.sum())]] += 1
    if not counts.all():
        never = int(np.flatnonzero(counts == 0)[0])
        raise ValueError(
            f"length must be large enough for an example of every dataset or class, got {n_examples}, in which dataset "
            f"{never} of {len(parts)} has none"
        )
    return Mixture(function, parts, counts.tolist(), int(seed))


def _compatible(function: str, datasets: Sequence[IndexedDataset]) -> list[BaseDataset]:
    """Return datasets that have the same classes, configuration and entries, or raise."""
    kind = type(cast("object", datasets)).__name__
    if not is_list(datasets) or any(is_mapping(each) for each in datasets):
        raise TypeError(f"{function} requires a list of datasets, such as {function}([a, b]), got {kind}")
    if not datasets:
        raise ValueError(f"{function} requires at least one dataset, got none")
    parts = [_as_dataset(each) for each in datasets]
    first, entries = parts[0], _entries(parts[0])
    for number, part in enumerate(parts[1:], 1):
        pairs = {
            "labels": (first.labels, part.labels),
            "config": (first.config, part.config),
            "time_axis_keys": (first.time_axis_keys, part.time_axis_keys),
            "pad_values": (dict(first.pad_values), dict(part.pad_values)),
            "entries of an example": (entries, _entries(part)),
        }
        for name, (expected, given) in pairs.items():
            if expected != given:
                advice = {
                    "labels": "pass the same classes= to both, or omit labels",
                    "config": "create both with one configuration",
                }.get(name, "make them equal with map")
                raise ValueError(
                    f"{function} requires datasets with the same {name}, got {_difference(expected, given)} in dataset 0 "
                    f"({dataset_name(first)}) and dataset {number} ({dataset_name(part)}); {advice}"
                )
    return parts


def _entries(dataset: BaseDataset) -> dict[str, str]:
    """Return the kind of each entry of the first example: the number of axes for arrays."""
    example = read_examples(dataset, [0], epoch=0)[0]
    entries: dict[str, str] = {}

    def add(prefix: str, values: Mapping[str, Any]) -> None:
        for key, value in values.items():
            if is_mapping(value):
                add(f"{prefix}{key}.", value)
            else:
                array = np.asarray(value)
                kind = "text" if array.dtype.kind in "US" else "numbers"
                entries[prefix + key] = f"{kind} of {array.ndim} axes" if array.ndim else kind

    add("", example)
    return entries


def _difference(expected: Any, given: Any) -> str:
    """Return two values, or those of their entries that differ."""
    as_dict = [each.to_dict() if hasattr(each, "to_dict") else each for each in (expected, given)]
    if not all(is_mapping(each) for each in as_dict):
        return f"{expected!r} and {given!r}"
    one, other = as_dict
    keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    sides = [", ".join(f"{key}={each.get(key, 'missing')}" for key in keys) for each in (one, other)]
    return " and ".join(sides)
