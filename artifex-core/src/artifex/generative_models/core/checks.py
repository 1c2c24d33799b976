"""Checks of plain values, for functions and configurations alike: what was given, what was expected."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from artifex.generative_models.core.errors import suggest


def check_integer(
    name: str, value: Any, *, minimum: int | None = None, maximum: int | None = None, unit: str = ""
) -> None:
    """Raise unless a value is an integer within its bounds.

    Args:
        name: What the value is called where the user wrote it.
        value: The value; bool is no integer, a NumPy integer is.
        minimum: The least value allowed.
        maximum: The greatest value allowed.
        unit: The unit, for the message.

    Raises:
        TypeError: When it is no integer.
        ValueError: When it is out of bounds.

    Example:
        >>> check_integer("sample_rate", -1, minimum=1, unit="Hz")
        Traceback (most recent call last):
        ValueError: sample_rate must be an integer of at least 1 Hz, got -1
    """
    expected = f"an integer{_bounds(minimum, maximum, unit)}"
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be {expected}, got {value!r} ({type(value).__name__})")
    if _outside(value, minimum, maximum):
        raise ValueError(f"{name} must be {expected}, got {value!r}")


def check_number(
    name: str,
    value: Any,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    unit: str = "",
) -> None:
    """Raise unless a value is a finite real number within its bounds.

    Args:
        name: What the value is called where the user wrote it.
        value: The value; bool is no number.
        minimum: The least value allowed.
        maximum: The greatest value allowed.
        above: A bound that the value has to exceed.
        unit: The unit, for the message.

    Raises:
        TypeError: When it is no real number.
        ValueError: When it is not finite or out of bounds.

    Example:
        >>> check_number("duration", 0, above=0, unit="seconds")
        Traceback (most recent call last):
        ValueError: duration must be a finite number above 0 seconds, got 0
    """
    expected = f"a finite number{_bounds(minimum, maximum, unit, above)}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be {expected}, got {value!r} ({type(value).__name__})")
    number = float(value)
    if not math.isfinite(number) or _outside(number, minimum, maximum) or (above is not None and number <= above):
        raise ValueError(f"{name} must be {expected}, got {value!r}")


def check_flag(name: str, value: Any) -> None:
    """Raise unless a value is True or False.

    Args:
        name: What the value is called where the user wrote it.
        value: The value.

    Raises:
        TypeError: When it is neither.

    Example:
        >>> check_flag("normalize", "yes")
        Traceback (most recent call last):
        TypeError: normalize must be True or False, got 'yes' (str)
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r} ({type(value).__name__})")


def check_choice(name: str, value: Any, *, choices: Iterable[Any]) -> None:
    """Raise unless a value is one of a few.

    Args:
        name: What the value is called where the user wrote it.
        value: The value.
        choices: The values allowed.

    Raises:
        ValueError: When it is none of them; the message names the nearest and all.

    Example:
        >>> check_choice("mode", "warp", choices=("wrap", "fill"))
        Traceback (most recent call last):
        ValueError: mode must be one of 'wrap', 'fill', got 'warp'. Did you mean 'wrap'?
    """
    known = tuple(choices)
    # Equality alone would take True for 1.
    if not any(
        isinstance(value, type(k)) and isinstance(value, bool) is isinstance(k, bool) and value == k for k in known
    ):
        hint = suggest(str(value), map(str, known))
        raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, got {value!r}.{hint}")


def plain_number(value: Any) -> Any:
    """Return a number of NumPy's as Python's, for a field's converter; anything else as it is.

    Args:
        value: Whatever was given.

    Returns:
        An int for what is an integer, a float for what is another real number, else ``value``.

    Example:
        >>> import numpy as np
        >>> plain_number(np.int64(8000)), plain_number(np.float32(0.5)), plain_number("8000")
        (8000, 0.5, '8000')
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) else value


def field_check(check: Callable[..., None], **bounds: Any) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    """Return a check of this module as an attrs validator.

    Args:
        check: ``check_integer``, ``check_number``, ``check_flag`` or ``check_choice``.
        **bounds: What the check takes besides name and value.

    Returns:
        A validator that names the class and the field.

    Example:
        >>> import attrs
        >>> @attrs.frozen(kw_only=True)
        ... class Frames:
        ...     hop_length: int = attrs.field(default=256, validator=field_check(check_integer, minimum=1))
        >>> Frames(hop_length=0)
        Traceback (most recent call last):
        ValueError: Frames.hop_length must be an integer of at least 1, got 0
    """

    def validate(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        check(f"{type(instance).__name__}.{attribute.name}", value, **bounds)

    return validate


def _outside(value: Any, minimum: float | None, maximum: float | None) -> bool:
    return (minimum is not None and value < minimum) or (maximum is not None and value > maximum)


def _bounds(minimum: float | None, maximum: float | None, unit: str, above: float | None = None) -> str:
    tail = f" {unit}" if unit else ""
    if above is not None:
        return f" above {above}{tail}" + (f" and at most {maximum}{tail}" if maximum is not None else "")
    if minimum is not None and maximum is not None:
        return f" from {minimum} to {maximum}{tail}"
    if minimum is not None:
        return f" of at least {minimum}{tail}"
    if maximum is not None:
        return f" of at most {maximum}{tail}"
    return f" in {unit}" if unit else ""
