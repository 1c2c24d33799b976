"""Random draws from a range."""

from __future__ import annotations

import numbers

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from artifex.generative_models.core import numerics
from artifex.generative_models.modalities.audio.annotations import Drawn

# Ranges (min, max) of numbers or JAX arrays.
Bounds = tuple[ArrayLike, ArrayLike] | Array
IntegerBounds = tuple[int | Array, int | Array]


def draw_uniform(key: Array, bounds: Bounds, shape: tuple[int, ...] = (), dtype: DTypeLike = jnp.float32) -> Array:
    """Draw from a uniform distribution, in float32 whatever the dtype of the result.

    Args:
        key: PRNG key.
        bounds: Range (min, max). May be traced.
        shape: Shape of the result.
        dtype: Dtype of the result.

    Returns:
        Values in [min, max).

    Example:
        >>> 1 <= float(draw_uniform(jax.random.key(0), (1, 2))) < 2
        True
    """
    low, high = (jnp.asarray(bound, jnp.float32) for bound in bounds)
    return numerics.uniform(key, shape, jnp.float32, low, high).astype(dtype)


def draw_snr(key: Array, snr_db_range: Bounds) -> tuple[Drawn, Array]:
    """Draw a signal-to-noise ratio, and split off the key of the noise.

    Args:
        key: PRNG key.
        snr_db_range: Range (min, max) in dB. May be traced.

    Returns:
        The drawn parameter ``snr_db``, and the key of the noise.
    """
    snr_key, noise_key = jax.random.split(key)
    return {"snr_db": draw_uniform(snr_key, snr_db_range)}, noise_key


def draw_log_uniform(key: Array, bounds: Bounds, shape: tuple[int, ...] = (), dtype: DTypeLike = jnp.float32) -> Array:
    """Draw values whose logarithms are distributed uniformly.

    Args:
        key: PRNG key.
        bounds: Range (min, max), above 0. May be traced.
        shape: Shape of the result.
        dtype: Dtype of the result.

    Returns:
        Values in [min, max], up to rounding.

    Example:
        >>> 100 <= float(draw_log_uniform(jax.random.key(0), (100, 200))) <= 200.001
        True
    """
    low, high = (jnp.log(jnp.asarray(bound, jnp.float32)) for bound in bounds)
    return jnp.exp(draw_uniform(key, (low, high), shape, dtype))


def draw_integer(key: Array, bounds: Bounds, shape: tuple[int, ...] = ()) -> Array:
    """Draw integers from a range that includes both ends.

    Args:
        key: PRNG key.
        bounds: Range (min, max) of integers. May be traced.
        shape: Shape of the result.

    Returns:
        Values in [min, max], int32.

    Example:
        >>> int(draw_integer(jax.random.key(0), (3, 3)))
        3
    """
    low, high = (jnp.asarray(bound, jnp.int32) for bound in bounds)
    return numerics.randint(key, shape, low, high + 1, jnp.int32)


def limit_default(bounds: Bounds, default: tuple[float, float], maximum: float | Array) -> Bounds:
    """Return a range, limited to a maximum if it is the default range.

    Args:
        bounds: Range (min, max).
        default: The default range.
        maximum: The maximum. May be traced.

    Returns:
        The range. Ranges of JAX arrays are returned unchanged.

    Example:
        >>> limit_default((150, 7500), (150.0, 7500.0), 3960.0), limit_default((150, 7000), (150.0, 7500.0), 3960.0)
        ((150.0, 3960.0), (150, 7000))
    """
    are_numbers = isinstance(bounds, tuple | list) and all(isinstance(bound, numbers.Real) for bound in bounds)
    if not are_numbers or tuple(bounds) != default:
        return bounds
    if isinstance(maximum, Array):
        return jnp.minimum(default[0], maximum), jnp.minimum(default[1], maximum)
    return min(default[0], maximum), min(default[1], maximum)
