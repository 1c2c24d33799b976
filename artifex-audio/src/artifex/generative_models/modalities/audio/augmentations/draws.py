"""Random draws from a range, and the check of audio that augmentations share."""

from __future__ import annotations

import numbers
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from artifex.generative_models.core import numerics
from artifex.generative_models.modalities.audio.preprocessing.levels import as_waveforms

# A range (min, max), of numbers or JAX arrays.
Bounds = tuple[ArrayLike, ArrayLike] | jax.Array


def as_float(name: str, audio: ArrayLike) -> jax.Array:
    """Validate floating-point waveforms and return them as an array.

    Args:
        name: The augmentation's name, for the message.
        audio: Waveforms (..., time).

    Returns:
        The array, its dtype unchanged.

    Raises:
        ValueError: For a scalar or an empty clip.
        TypeError: For integers, booleans and complex numbers.

    Example:
        >>> as_float("random_gain", jnp.ones(3, jnp.int16))
        Traceback (most recent call last):
        TypeError: random_gain takes floating-point audio, got int16: to_float(audio) scales it to [-1, 1]
    """
    waveform = as_waveforms(name, audio)
    if jnp.issubdtype(waveform.dtype, jnp.integer):
        raise TypeError(
            f"{name} takes floating-point audio, got {waveform.dtype}: to_float(audio) scales it to [-1, 1]"
        )
    return waveform


def draw_uniform(
    key: jax.Array, bounds: Bounds, shape: tuple[int, ...] = (), dtype: DTypeLike = jnp.float32
) -> jax.Array:
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


def draw_snr(key: jax.Array, snr_db_range: Bounds) -> tuple[dict[str, jax.Array], jax.Array]:
    """Draw a signal-to-noise ratio, and split off the key of the noise.

    Args:
        key: PRNG key.
        snr_db_range: Range (min, max) in dB. May be traced.

    Returns:
        The drawn parameter ``snr_db``, and the key of the noise.
    """
    snr_key, noise_key = jax.random.split(key)
    return {"snr_db": draw_uniform(snr_key, snr_db_range)}, noise_key


def draw_log_uniform(
    key: jax.Array, bounds: Bounds, shape: tuple[int, ...] = (), dtype: DTypeLike = jnp.float32
) -> jax.Array:
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


def draw_integer(key: jax.Array, bounds: Bounds, shape: tuple[int, ...] = ()) -> jax.Array:
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


def is_default(bounds: Any, default: tuple[float, float]) -> bool:
    """Return whether a range has the default bounds; a range of JAX arrays has not.

    Args:
        bounds: Range (min, max).
        default: The default range.

    Returns:
        Whether both bounds are equal.

    Example:
        >>> is_default((150, 7500), (150.0, 7500.0)), is_default(jnp.array([150, 7500]), (150.0, 7500.0))
        (True, False)
    """
    if not isinstance(bounds, tuple | list) or not all(isinstance(bound, numbers.Real) for bound in bounds):
        return False
    return tuple(bounds) == default
