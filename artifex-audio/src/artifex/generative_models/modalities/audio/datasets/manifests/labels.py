"""Labels of recordings: names of classes, their order, and multi-hot arrays."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import numpy as np

Label = str | tuple[str, ...]
"""The class of a recording, or its classes."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)", re.ASCII)


def label_names(labels: Iterable[Label | None]) -> tuple[str, ...]:
    """Return the distinct names of classes, sorted: numbers by value, then other names alphabetically.

    Args:
        labels: The label of each recording: a name, several names, or None.

    Returns:
        The distinct names.

    Example:
        >>> label_names(["10", "dog", "-1", "9", ("cat", "dog"), "1.5"])
        ('-1', '1.5', '9', '10', 'cat', 'dog')
    """

    def order(name: str) -> tuple[int, Decimal, str]:
        return (0, Decimal(name), name) if _NUMBER.fullmatch(name) else (1, Decimal(0), name)

    return tuple(sorted({name for label in labels for name in names_of(label)}, key=order))


def check_classes(classes: Sequence[str], labels: Iterable[Label | None]) -> tuple[str, ...]:
    """Check the classes that a user gives for a dataset.

    Args:
        classes: Names of classes in the order of their indices.
        labels: The labels of the recordings, each of which must be among the classes.

    Returns:
        The classes.

    Raises:
        TypeError: When the classes are not a list of names.
        ValueError: When a name occurs twice, or a label is not among them.

    Example:
        >>> check_classes(["no", "yes"], ["yes", "maybe"])
        Traceback (most recent call last):
        ValueError: classes must contain every label, got no 'maybe' in ['no', 'yes']
    """
    # A set has no order, and the values of a mapping would be ignored.
    is_list = isinstance(classes, Sequence) and not isinstance(classes, str)  # pyright: ignore[reportUnnecessaryIsInstance]  user input
    if not is_list or not all(isinstance(name, str) and name for name in classes):  # pyright: ignore[reportUnnecessaryIsInstance]  user input
        raise TypeError(f"classes must be a list of names, such as ['no', 'yes'], got {classes!r}")
    names = tuple(classes)
    if len(set(names)) < len(names) or not names:
        raise ValueError(f"classes must be different names, at least one, got {list(classes)}")
    missing = [name for name in label_names(labels) if name not in names]
    if missing:
        raise ValueError(f"classes must contain every label, got no {', '.join(map(repr, missing))} in {list(classes)}")
    return names


def names_of(label: Label | None) -> tuple[str, ...]:
    """Return the names of the classes of a label.

    Args:
        label: A name, several names, or None.

    Returns:
        The names; empty for None.

    Example:
        >>> names_of("dog"), names_of(("dog", "rain")), names_of(None)
        (('dog',), ('dog', 'rain'), ())
    """
    if label is None:
        return ()
    return (label,) if isinstance(label, str) else label


def class_label(label: Label | None, indices: Mapping[str, int]) -> int | tuple[int, ...] | None:
    """Convert a label to class indices.

    Args:
        label: A name, several names, or None.
        indices: The index of each class by its name.

    Returns:
        The index of the class, a tuple of indices for several names, or None.

    Example:
        >>> class_label("rain", {"dog": 0, "rain": 1}), class_label(("rain", "dog"), {"dog": 0, "rain": 1})
        (1, (1, 0))
    """
    if label is None or isinstance(label, str):
        return None if label is None else indices.get(label)
    return tuple(indices[name] for name in label)


def multi_hot(classes: Iterable[int], n_classes: int) -> np.ndarray:
    """Return the multi-hot array of several classes.

    Args:
        classes: Class indices.
        n_classes: Number of classes.

    Returns:
        float32 (n_classes,): 1 for each of the classes, else 0.

    Example:
        >>> multi_hot((0, 2), 4)
        array([1., 0., 1., 0.], dtype=float32)
    """
    values = np.zeros(n_classes, np.float32)
    values[list(classes)] = 1.0
    return values
