"""Random noise added to a waveform."""

from __future__ import annotations

import numbers

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_number
from artifex.generative_models.core.numerics import working_dtype
from artifex.generative_models.modalities.audio.augmentations.draws import floating


def add_gaussian_noise(audio: ArrayLike, key: jax.Array, noise_level: ArrayLike = 0.005) -> jax.Array:
    """Add white Gaussian noise.

    Args:
        audio: One waveform (..., time), floating point; every sample of every channel gets its own noise.
        key: Decides the noise.
        noise_level: Its standard deviation, full scale 1, at least 0. May be traced.

    Returns:
        The same shape and dtype, not clipped.

    Raises:
        ValueError: For a scalar, an empty clip or a negative level.
        TypeError: For integers, which ``to_float`` makes floats.

    Example:
        >>> noisy = add_gaussian_noise(jnp.zeros(16000), jax.random.key(0), noise_level=0.1)
        >>> round(float(noisy.std()), 2)
        0.1

    Reference:
        ``audio + noise_level * jax.random.normal(key, audio.shape)``.
    """
    numerics.check_key("add_gaussian_noise", key)
    waveform = floating("add_gaussian_noise", audio)
    if isinstance(noise_level, numbers.Number):
        check_number("noise_level", noise_level, minimum=0)
    noisy: jax.Array = _add_gaussian_noise(waveform, key, noise_level)
    return noisy


@jax.jit
def _add_gaussian_noise(waveform: jax.Array, key: jax.Array, noise_level: ArrayLike) -> jax.Array:
    working = working_dtype(waveform.dtype)
    noise = jnp.asarray(noise_level, working) * numerics.normal(key, waveform.shape, working)
    return (waveform.astype(working) + noise).astype(waveform.dtype)
