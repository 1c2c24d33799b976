"""Validation and random draws of the parameters of audio types."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_option, check_range, is_jax_array


def draw_uniform(
    key: jax.Array,
    name: str,
    low: float | jax.Array,
    high: float | jax.Array,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    unit: str = "",
) -> jax.Array:
    """Draw a parameter uniformly between the options ``{name}_min`` and ``{name}_max``.

    Args:
        key: Random key.
        name: Name of the parameter.
        low: Value of ``{name}_min``; may be traced.
        high: Value of ``{name}_max``; may be traced.
        minimum: Minimum allowed value of both options.
        maximum: Maximum allowed value of both options.
        above: Exclusive lower bound of both options.
        unit: The unit, for the message.

    Returns:
        The parameter, a float32 scalar.

    Raises:
        TypeError: When an option is not a number.
        ValueError: When an option is out of bounds, or ``low`` is above ``high``.

    Example:
        >>> float(draw_uniform(jax.random.key(0), "rate", 4.0, 4.0))
        4.0
        >>> draw_uniform(jax.random.key(0), "rate", 4.0, 2.0, unit="Hz")
        Traceback (most recent call last):
        ValueError: rate_min must be at most rate_max, got rate_min = 4.0 Hz, rate_max = 2.0 Hz
    """
    check_range((f"{name}_min", f"{name}_max"), (low, high), minimum=minimum, maximum=maximum, above=above, unit=unit)
    # XLA may recompute the value in another loop and round it differently; the annotation must equal the used value.
    return computed_once(numerics.uniform(key, (), minval=low, maxval=high))


def check_sequence(name: str, values: object, description: str) -> None:
    """Raise unless an option is a sequence of at least one item.

    Args:
        name: Name of the option, for the message.
        values: The option. A string is not accepted.
        description: Description of the items, for the message.

    Raises:
        TypeError: When it is not a sequence, or empty.

    Example:
        >>> check_sequence("vowels", "iy", "names such as ('iy', 'aa')")
        Traceback (most recent call last):
        TypeError: vowels must be a tuple of names such as ('iy', 'aa'), got 'iy'
    """
    if isinstance(values, str) or not isinstance(values, Sequence) or not values:
        raise TypeError(f"{name} must be a tuple of {description}, got {values!r}")


def check_band(
    f_min: float | jax.Array, f_max: float | jax.Array, sample_rate: int, names: tuple[str, str] = ("f_min", "f_max")
) -> None:
    """Raise unless ``0 <= f_min <= f_max <= sample_rate / 2``. Traced values are not checked.

    Args:
        f_min: Minimum frequency in Hz.
        f_max: Maximum frequency in Hz.
        sample_rate: Sample rate in Hz.
        names: Names of the two options, for the message.

    Raises:
        TypeError: When a frequency is not a number.
        ValueError: When the band is empty or reaches above half the sample rate.

    Example:
        >>> check_band(200.0, 800.0, 1000)
        Traceback (most recent call last):
        ValueError: f_min and f_max must satisfy 0 <= f_min <= f_max <= 500.0 Hz, half the sample rate, got f_min=200.0, f_max=800.0
    """
    if is_jax_array(f_min) or is_jax_array(f_max):
        return
    low, high = names
    for name, frequency in ((low, f_min), (high, f_max)):
        check_option(name, frequency, unit="Hz")
    check_option("sample_rate", sample_rate, integer=True, minimum=1, unit="Hz")
    if not 0 <= f_min <= f_max <= sample_rate / 2:
        raise ValueError(
            f"{low} and {high} must satisfy 0 <= {low} <= {high} <= {sample_rate / 2} Hz, half the sample rate, "
            f"got {low}={f_min}, {high}={f_max}"
        )


def check_below_nyquist(description: str, frequency: float | jax.Array, sample_rate: int) -> None:
    """Raise when the highest frequency of a waveform is above half the sample rate. Traced frequencies are not checked.

    Args:
        description: Description of the frequency, for the message.
        frequency: The frequency in Hz.
        sample_rate: Sample rate in Hz.

    Raises:
        ValueError: When it is above half the sample rate.

    Example:
        >>> check_below_nyquist("f_max + rate_max", 510.0, 1000)
        Traceback (most recent call last):
        ValueError: f_max + rate_max must be at most 500.0 Hz, half the sample rate, got 510 Hz
    """
    if not is_jax_array(frequency) and frequency > sample_rate / 2:
        raise ValueError(
            f"{description} must be at most {sample_rate / 2} Hz, half the sample rate, got {frequency:g} Hz"
        )


def computed_once(x: jax.Array) -> jax.Array:
    """Return an array unchanged, but prevent XLA from recomputing it in every loop that uses it.

    XLA on a CPU fuses the operations that produce a small array, random draws included, into the loop over all
    harmonics and samples, which takes four to seven times as long. It does not fuse a remainder. An optimization barrier
    has no effect in JAX 0.10.

    Args:
        x: An array of floats below 2**100 in magnitude.

    Returns:
        The same values.

    Example:
        >>> computed_once(jnp.float32(0.25)).item()
        0.25
    """
    return jax.lax.rem(x, jnp.full_like(x, 2.0**100))


def floor_multiples(step: jax.Array, count: int) -> jax.Array:
    """Return ``floor(step * i)`` for i from 0, without the rounding errors of float32 above 2**24.

    Args:
        step: A float32 scalar, from 1 to 2**23; exact for a step of at least 256, whose fraction has at most 16 bits.
        count: Number of multiples, at most 2**23; the last must be below 2**31.

    Returns:
        The multiples rounded down, (count,) int32.

    Example:
        >>> floor_multiples(jnp.float32(4800.25), 6).tolist()
        [0, 4800, 9600, 14400, 19201, 24001]
    """
    whole = jnp.floor(step)
    fraction = ((step - whole) * 2**16).astype(np.int32)
    i = np.arange(count, dtype=np.int32)
    carry = (fraction * (i // 256) + fraction * (i % 256) // 256) // 256  # products stay below 2**31
    return whole.astype(np.int32) * i + carry
