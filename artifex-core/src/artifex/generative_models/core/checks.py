"""Validation of options of functions and fields of configurations. Imports no jax."""

from __future__ import annotations

import math
import numbers
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeGuard

import attrs

from artifex.generative_models.core.errors import suggest

# An array of at least this many clips of at most this many samples is probably (time, channels).
_MIN_SAMPLES = 100
_MAX_CHANNELS = 8


def check_integer(
    name: str, value: object, *, minimum: float | None = None, maximum: float | None = None, unit: str = ""
) -> None:
    """Raise unless a value is an integer within its bounds.

    Args:
        name: The name that the error message shows, such as the option's name.
        value: The value. NumPy integers are accepted, bool is not.
        minimum: Minimum allowed value.
        maximum: Maximum allowed value.
        unit: The unit that the error message shows.

    Raises:
        TypeError: When it is not an integer.
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
    value: object,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    unit: str = "",
) -> None:
    """Raise unless a value is a finite real number within its bounds.

    Args:
        name: The name that the error message shows, such as the option's name.
        value: The value. NumPy numbers are accepted, bool is not.
        minimum: Minimum allowed value.
        maximum: Maximum allowed value.
        above: Exclusive lower bound.
        unit: The unit that the error message shows.

    Raises:
        TypeError: When it is not a real number.
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


def check_flag(name: str, value: object) -> None:
    """Raise unless a value is True or False.

    Args:
        name: The name that the error message shows, such as the option's name.
        value: The value.

    Raises:
        TypeError: When it is not a bool.

    Example:
        >>> check_flag("normalize", "yes")
        Traceback (most recent call last):
        TypeError: normalize must be True or False, got 'yes' (str)
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r} ({type(value).__name__})")


def check_choice(name: str, value: object, *, choices: Iterable[Any]) -> None:
    """Raise unless a value is one of the allowed choices.

    Args:
        name: The name that the error message shows, such as the option's name.
        value: The value.
        choices: The allowed values.

    Raises:
        ValueError: When it is not one of them. The message lists the choices and suggests similar ones.

    Example:
        >>> check_choice("mode", "warp", choices=("wrap", "fill"))
        Traceback (most recent call last):
        ValueError: mode must be one of 'wrap', 'fill', got 'warp'. Did you mean 'wrap'?
    """
    known = tuple(choices)
    # Types are compared since True == 1 and 1.0 == 1.
    if not any(
        isinstance(value, type(k)) and isinstance(value, bool) is isinstance(k, bool) and value == k for k in known
    ):
        hint = suggest(str(value), map(str, known))
        raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, got {value!r}.{hint}")


def check_option(
    name: str,
    value: object,
    *,
    integer: bool = False,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    unit: str = "",
) -> None:
    """Validate a numeric option, unless it is a JAX array or tracer, since the value of a tracer is unknown.

    Args:
        name: The option's name.
        value: The value.
        integer: Whether it must be an integer.
        minimum: Minimum allowed value.
        maximum: Maximum allowed value.
        above: Exclusive lower bound.
        unit: The unit that the error message shows.

    Raises:
        TypeError: When it is not a number, or not an integer where one is required.
        ValueError: When it is not finite or out of bounds.

    Example:
        >>> check_option("amplitude", -1.0, minimum=0, unit="full scale")
        Traceback (most recent call last):
        ValueError: amplitude must be a finite number of at least 0 full scale, got -1.0
    """
    if is_jax_array(value):
        return
    if integer:
        check_integer(name, value, minimum=minimum, maximum=maximum, unit=unit)
    else:
        check_number(name, value, minimum=minimum, maximum=maximum, above=above, unit=unit)


def check_range(
    name: str | tuple[str, str],
    bounds: Any,
    *,
    integer: bool = False,
    static: bool = False,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    unit: str = "",
) -> tuple[Any, Any]:
    """Return the two bounds of a range, validated unless they are JAX arrays or tracers.

    Args:
        name: The option that contains both bounds, such as ``"gain_range"``; or the names of two options, such as
            ``("f_min", "f_max")``.
        bounds: A pair (min, max), or an array of two.
        integer: Whether both must be integers.
        static: Whether both must be Python numbers, since they determine shapes.
        minimum: Minimum allowed value of both.
        maximum: Maximum allowed value of both.
        above: Exclusive lower bound of both.
        unit: The unit that the error message shows.

    Returns:
        The minimum and the maximum.

    Raises:
        TypeError: When a bound is not a number, or is traced although it must be static.
        ValueError: When there are not two bounds, one is out of bounds, or the minimum is above the maximum.

    Example:
        >>> check_range("gain_range", (0.5, 2), minimum=0)
        (0.5, 2)
        >>> check_range("gain_range", (2, 0.5))
        Traceback (most recent call last):
        ValueError: gain_range must be (min, max) with min <= max, got (2, 0.5)
        >>> check_range(("f_min", "f_max"), (800.0, 200.0), unit="Hz")
        Traceback (most recent call last):
        ValueError: f_min must be at most f_max, got f_min = 800.0 Hz, f_max = 200.0 Hz
    """
    try:
        low, high = bounds
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be (min, max), got {bounds!r}") from None
    if static and any(map(is_jax_array, (bounds, low, high))):
        label = name if isinstance(name, str) else " and ".join(name)
        raise TypeError(f"{label} must be Python numbers, since shapes depend on them, got a JAX array")
    names = (f"{name}[0]", f"{name}[1]") if isinstance(name, str) else name
    for each, bound in zip(names, (low, high), strict=True):
        check_option(each, bound, integer=integer, minimum=minimum, maximum=maximum, above=above, unit=unit)
    if isinstance(low, numbers.Real) and isinstance(high, numbers.Real) and low > high:
        if isinstance(name, str):
            raise ValueError(f"{name} must be (min, max) with min <= max, got ({low!r}, {high!r})")
        first, second = (f"{each} = {bound!r} {unit}".rstrip() for each, bound in zip(names, (low, high), strict=True))
        raise ValueError(f"{names[0]} must be at most {names[1]}, got {first}, {second}")
    return low, high


def warn_if_time_is_not_last(name: str, shape: tuple[int, ...], *, stacklevel: int = 3) -> None:
    """Warn if waveforms (..., time) probably have shape (..., time, channels).

    Their last axis has at most 8 entries and the one before at least 100. Such a batch of very short clips is valid, so
    that this is not an error.

    Args:
        name: Name of the function or argument that the message shows.
        shape: Shape of the array.
        stacklevel: As in ``warnings.warn``.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     warn_if_time_is_not_last("random_gain", (16000, 2))
        >>> print(caught[0].message)
        random_gain: audio of shape (16000, 2) is 16000 clips of 2 samples, since time is the last axis; transpose audio ...
    """
    if len(shape) > 1 and shape[-1] <= _MAX_CHANNELS and shape[-2] >= _MIN_SAMPLES:
        warnings.warn(
            f"{name}: audio of shape {shape} is {shape[-2]} clips of {shape[-1]} samples, since time is the last axis; "
            f"transpose audio of shape (time, channels), for example np.swapaxes(audio, -1, -2)",
            UserWarning,
            stacklevel=stacklevel,
        )


def is_jax_array(value: object) -> bool:
    """Return whether a value is a JAX array or tracer, without importing jax.

    Args:
        value: Any value.

    Returns:
        True for JAX arrays and tracers.

    Example:
        >>> is_jax_array(1.0)
        False
    """
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(value, jax.Array)


def is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    """Return whether a value is a mapping; type checkers then accept keys and values of any type.

    Args:
        value: Any value.

    Returns:
        True for mappings.
    """
    return isinstance(value, Mapping)


def is_list(value: object) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    """Return whether a value is a list or tuple; type checkers then accept items of any type.

    Args:
        value: Any value.

    Returns:
        True for lists and tuples.
    """
    return isinstance(value, list | tuple)


def plain_int(value: int) -> int:
    """Convert a NumPy integer to int; return other values unchanged, for a validator to reject.

    Args:
        value: The value of an integer field.

    Returns:
        An int, or the value unchanged.

    Example:
        >>> import numpy as np
        >>> plain_int(np.int64(8000))
        8000
    """
    return value if isinstance(value, bool) or not isinstance(value, numbers.Integral) else int(value)


def plain_float(value: float) -> float:
    """Convert a real number to float; return other values unchanged, for a validator to reject.

    Args:
        value: The value of a numeric field.

    Returns:
        A float, or the value unchanged.

    Example:
        >>> import numpy as np
        >>> plain_float(np.float32(0.5)), plain_float(2)
        (0.5, 2.0)
    """
    return value if isinstance(value, bool) or not isinstance(value, numbers.Real) else float(value)


def optional_int(value: int | None) -> int | None:
    """Convert a NumPy integer to int as ``plain_int`` does; None stays None.

    Args:
        value: The value of an optional integer field.

    Returns:
        An int, None, or the value unchanged.
    """
    return None if value is None else plain_int(value)


def optional_float(value: float | None) -> float | None:
    """Convert a real number to float as ``plain_float`` does; None stays None.

    Args:
        value: The value of an optional numeric field.

    Returns:
        A float, None, or the value unchanged.
    """
    return None if value is None else plain_float(value)


def field_check(check: Callable[..., None], **bounds: Any) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    """Create an attrs validator from a check of this module.

    Args:
        check: ``check_integer``, ``check_number``, ``check_flag`` or ``check_choice``.
        **bounds: Keyword arguments of the check, such as ``minimum``.

    Returns:
        The validator. Its messages contain the class and the field.

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
    if above is not None:
        return f" above {_quantity(above, unit)}" + (
            f" and at most {_quantity(maximum, unit)}" if maximum is not None else ""
        )
    if minimum is not None and maximum is not None:
        return f" from {minimum} to {_quantity(maximum, unit)}"
    if minimum is not None:
        return f" of at least {_quantity(minimum, unit)}"
    if maximum is not None:
        return f" of at most {_quantity(maximum, unit)}"
    return f" in {unit}" if unit else ""


def _quantity(number: float, unit: str) -> str:
    """Return a number with its unit, which is singular for 1: ``1 sample``, ``2 samples``."""
    return f"{number} {re.sub(r'(?<=[a-z])s(?= per |$)', '', unit) if number == 1 else unit}".rstrip()
