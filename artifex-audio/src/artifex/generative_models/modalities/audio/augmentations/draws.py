"""What the augmentations share: checks of what they are given, and draws between two bounds."""

from __future__ import annotations

import numbers
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_integer, check_number
from artifex.generative_models.modalities.audio.preprocessing import as_waveforms

# What an augmentation that is marked ``annotated`` returns: its output, and what was drawn, by name.
Drawn = tuple[jax.Array, dict[str, Any]]


def floating(name: str, audio: ArrayLike) -> jax.Array:
    """Return audio as a floating-point array, or say why it is none: what every augmentation of waveforms starts with.

    Args:
        name: The augmentation's name, for the message.
        audio: What was given for waveforms (..., time).

    Returns:
        The array, its dtype unchanged.

    Raises:
        ValueError: For a scalar or an empty clip.
        TypeError: For integers, booleans and complex numbers.

    Example:
        >>> floating("random_gain", jnp.ones(3, jnp.int16))
        Traceback (most recent call last):
        TypeError: random_gain takes floating-point audio, got int16: to_float(audio) scales it to [-1, 1]
    """
    waveform = as_waveforms(name, audio)
    if jnp.issubdtype(waveform.dtype, jnp.integer):
        raise TypeError(
            f"{name} takes floating-point audio, got {waveform.dtype}: to_float(audio) scales it to [-1, 1]"
        )
    return waveform


def pair(name: str, bounds: Any, *, whole: bool = False, static: bool = False, **allowed: Any) -> tuple[Any, Any]:
    """Return the least and the greatest value of what is drawn, checked unless they are traced.

    Args:
        name: What the option is called.
        bounds: A pair (least, greatest), or an array of two.
        whole: Whether both are integers.
        static: Whether they may not be traced, since what there is to compute hangs on them.
        **allowed: What both have to be within, as ``core.checks.check_number`` takes it: ``minimum``, ``maximum``,
            ``above``, ``unit``.

    Returns:
        The two.

    Raises:
        TypeError: When a bound is no number, or traced and static.
        ValueError: When there are not two, one is out of bounds, or the first is above the second.

    Example:
        >>> pair("gain_range", (0.5, 2), minimum=0)
        (0.5, 2)
        >>> pair("gain_range", (2, 0.5))
        Traceback (most recent call last):
        ValueError: gain_range is a pair (least, greatest), got 2 above 0.5
    """
    if static and any(
        isinstance(each, jax.Array) for each in (bounds, *(bounds if isinstance(bounds, tuple | list) else ()))
    ):
        raise TypeError(f"{name} is static, since it decides how much there is to compute: give Python numbers")
    try:
        low, high = bounds
    except (TypeError, ValueError):
        raise ValueError(f"{name} is a pair (least, greatest), got {bounds!r}") from None
    for place, bound in enumerate((low, high)):
        if not isinstance(bound, jax.Array):
            (check_integer if whole else check_number)(f"{name}[{place}]", bound, **allowed)
    if isinstance(low, numbers.Real) and isinstance(high, numbers.Real) and low > high:
        raise ValueError(f"{name} is a pair (least, greatest), got {low!r} above {high!r}")
    return low, high


def uniform(key: jax.Array, low: ArrayLike, high: ArrayLike, dtype: Any) -> jax.Array:
    """Draw a scalar uniformly.

    Args:
        key: Decides it.
        low: The least value.
        high: The greatest value.
        dtype: Of the result.

    Returns:
        A scalar in [low, high).

    Example:
        >>> 1 <= float(uniform(jax.random.key(0), 1, 2, jnp.float32)) < 2
        True
    """
    return uniforms(key, (), low, high, dtype)


def uniforms(key: jax.Array, shape: tuple[int, ...], low: ArrayLike, high: ArrayLike, dtype: Any) -> jax.Array:
    """Draw an array uniformly; in float32, so that audio of any precision gets the same draw.

    Args:
        key: Decides it.
        shape: Of the result.
        low: The least value.
        high: The greatest value.
        dtype: Of the result.

    Returns:
        Numbers in [low, high).

    Example:
        >>> bool((uniforms(jax.random.key(0), (3,), 1, 2, jnp.float32) >= 1).all())
        True
    """
    bounds = (jnp.asarray(bound, jnp.float32) for bound in (low, high))
    return numerics.uniform(key, shape, jnp.float32, *bounds).astype(dtype)


def log_uniform(key: jax.Array, low: ArrayLike, high: ArrayLike, dtype: Any) -> jax.Array:
    """Draw a scalar uniformly on a logarithmic scale, as frequencies are heard.

    Args:
        key: Decides it.
        low: The least value, above 0.
        high: The greatest value.
        dtype: Of the result.

    Returns:
        A scalar in [low, high], up to rounding.

    Example:
        >>> 100 <= float(log_uniform(jax.random.key(0), 100, 200, jnp.float32)) <= 200.001
        True
    """
    low, high = (jnp.log(jnp.asarray(bound, jnp.float32)) for bound in (low, high))
    return jnp.exp(uniform(key, low, high, dtype))
