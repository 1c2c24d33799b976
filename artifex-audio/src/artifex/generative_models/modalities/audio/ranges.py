"""Checks that the audio types share."""

from __future__ import annotations

from typing import Any

import jax

from artifex.generative_models.core.checks import check_number


def settled(name: str, value: Any, **bounds: Any) -> Any:
    """Return an option as it is, checked unless it is traced.

    Args:
        name: What the option is called.
        value: Its value.
        **bounds: Those of ``core.checks.check_number``.

    Returns:
        The value.

    Raises:
        TypeError: When it is no number.
        ValueError: When it is out of bounds.

    Example:
        >>> settled("amplitude", -1.0, minimum=0, unit="full scale")
        Traceback (most recent call last):
        ValueError: amplitude must be a finite number of at least 0 full scale, got -1.0
    """
    if not isinstance(value, jax.Array):
        check_number(name, value, **bounds)
    return value


def check_band(f_min: Any, f_max: Any, sample_rate: int) -> None:
    """Raise unless ``0 <= f_min <= f_max <= sample_rate / 2``; traced values pass unseen.

    Args:
        f_min: Lowest frequency, Hz.
        f_max: Highest frequency, Hz.
        sample_rate: Samples per second, Hz.

    Raises:
        TypeError: When a frequency is no number.
        ValueError: When the band is empty or reaches above half the sample rate.

    Example:
        >>> check_band(200.0, 800.0, 1000)
        Traceback (most recent call last):
        ValueError: frequencies go from f_min to f_max within 0 to 500.0 Hz, half the sample rate of 1000 Hz, got f_min=200.0, f_max=800.0
    """
    if isinstance(f_min, jax.Array) or isinstance(f_max, jax.Array):
        return
    for name, value in (("f_min", f_min), ("f_max", f_max)):
        check_number(name, value, unit="Hz")
    if not 0 <= f_min <= f_max <= sample_rate / 2:
        raise ValueError(
            f"frequencies go from f_min to f_max within 0 to {sample_rate / 2} Hz, half the sample rate of "
            f"{sample_rate} Hz, got f_min={f_min}, f_max={f_max}"
        )


def check_range(
    name: str, low: Any, high: Any, *, minimum: float | None = None, maximum: float | None = None, unit: str = ""
) -> None:
    """Raise unless ``minimum <= low <= high <= maximum``; arrays, traced or not, pass unseen.

    Args:
        name: What is drawn; its bounds are the options ``{name}_min`` and ``{name}_max``.
        low: Its lower bound.
        high: Its upper bound.
        minimum: The least value allowed.
        maximum: The greatest value allowed.
        unit: The unit, for the message.

    Raises:
        TypeError: When a bound is no number.
        ValueError: When a bound is not finite, outside of what is allowed, or the lower one above the upper one.

    Example:
        >>> check_range("duty", 0.6, 0.4, minimum=0, maximum=1)
        Traceback (most recent call last):
        ValueError: duty is drawn from duty_min to duty_max, got duty_min=0.6 above duty_max=0.4
    """
    for end, value in (("min", low), ("max", high)):
        settled(f"{name}_{end}", value, minimum=minimum, maximum=maximum, unit=unit)
    if not (isinstance(low, jax.Array) or isinstance(high, jax.Array)) and low > high:
        given = f"{name}_min={low} above {name}_max={high}" + (f" {unit}" if unit else "")
        raise ValueError(f"{name} is drawn from {name}_min to {name}_max, got {given}")
