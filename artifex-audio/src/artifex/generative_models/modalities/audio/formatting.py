"""Formatting of quantities for people, shared by commands and reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def format_duration(seconds: float) -> str:
    """Format a duration in seconds, minutes or hours.

    Args:
        seconds: The duration in seconds, at least 0.

    Returns:
        The text.

    Example:
        >>> format_duration(1.5), format_duration(121.0), format_duration(7500.0)
        ('1.50 s', '2 min 01 s', '2 h 05 min')
    """
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"


def format_shapes(shapes: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, str]:
    """Format the shapes of features, axes of different sizes as a range.

    Args:
        shapes: The shapes of the features of each example, at least one, by the name of the feature.

    Returns:
        The text for each feature.

    Example:
        >>> format_shapes([{"mfcc": (13, 23)}, {"mfcc": (13, 156)}])
        {'mfcc': '13 × 23–156'}
    """
    return {name: _format_shape([each[name] for each in shapes]) for name in shapes[0]}


def _format_shape(shapes: Sequence[Sequence[int]]) -> str:
    if len({len(shape) for shape in shapes}) > 1:
        return "various"
    sizes = [sorted(set(axis)) for axis in zip(*shapes, strict=True)]
    return " × ".join(str(axis[0]) if len(axis) == 1 else f"{axis[0]}–{axis[-1]}" for axis in sizes)
