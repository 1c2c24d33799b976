"""The level of waveforms: integers scaled to floats, peak and RMS normalised."""

from __future__ import annotations

import numbers

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_number
from artifex.generative_models.core.numerics import safe_sqrt, working_dtype


def to_float(audio: ArrayLike) -> jax.Array:
    """Bring audio to floating point, integers scaled to [-1, 1] by the range of their dtype.

    Args:
        audio: Any shape. Signed integers of b bits are divided by ``2**(b - 1)``; unsigned ones have their
            middle, ``2**(b - 1)``, taken off first, as 8-bit WAV files ask. Floats pass as they are.

    Returns:
        The same shape; float32 for integers, else the input's dtype.

    Raises:
        TypeError: For booleans, complex numbers, and 64-bit integers, which are no sample format: their range
            says nothing about the recording's.

    Example:
        >>> to_float(np.array([-32768, 0, 16384], np.int16)).tolist()
        [-1.0, 0.0, 0.5]
        >>> to_float(np.array([0, 128], np.uint8)).tolist()
        [-1.0, 0.0]

    Reference:
        ``soundfile.read(..., dtype="float32")``.
    """
    scaled: jax.Array = _to_float(_real("to_float", audio))
    return scaled


def normalize_audio(audio: ArrayLike) -> jax.Array:
    """Bring the peak of every clip to 1.

    Args:
        audio: Waveforms (..., time). Integers are scaled by ``to_float`` first.

    Returns:
        (..., time) with a largest magnitude of 1 along time; float32 for integers, else the input's dtype. A
        silent clip (its peak 0 or below the least normal number) comes back as it is, one that holds NaN or
        infinity as NaN.

    Raises:
        ValueError: For a scalar or an empty clip.
        TypeError: As ``to_float`` does.

    Example:
        >>> normalize_audio(np.array([[0.0, -0.5, 0.25], [0.0, 0.0, 0.0]])).tolist()
        [[0.0, -1.0, 0.5], [0.0, 0.0, 0.0]]

    Reference:
        ``librosa.util.normalize(audio, axis=-1)``.
    """
    normalized: jax.Array = _normalize(as_waveforms("normalize_audio", audio))
    return normalized


def rms_normalize(audio: ArrayLike, target_rms: ArrayLike = 0.1) -> jax.Array:
    """Bring the root mean square of every clip to a target.

    Args:
        audio: Waveforms (..., time). Integers are scaled by ``to_float`` first.
        target_rms: The level to reach, full scale 1, above 0: -20 dBFS is 0.1. One number, or one per clip,
            broadcast against the leading axes; may be traced.

    Returns:
        (..., time); float32 for integers, else the input's dtype. Peaks are not limited, so they can exceed
        full scale. A silent clip comes back as it is, one that holds NaN or infinity as NaN.

    Raises:
        ValueError: For a scalar, an empty clip, or a target that is not above 0.
        TypeError: As ``to_float`` does.

    Example:
        >>> rms_normalize(np.array([0.5, -0.5]), target_rms=0.25).tolist()
        [0.25, -0.25]
    """
    waveforms = as_waveforms("rms_normalize", audio)
    if isinstance(target_rms, numbers.Number):
        check_number("target_rms", target_rms, above=0)
    normalized: jax.Array = _rms_normalize(waveforms, jnp.asarray(target_rms))
    return normalized


def as_waveforms(name: str, audio: ArrayLike) -> jax.Array:
    """Return audio as an array, or say why it is none: what every function of waveforms starts with.

    Args:
        name: The function's name, for the message.
        audio: What was given for waveforms (..., time).

    Returns:
        The array, its dtype unchanged.

    Raises:
        ValueError: For a scalar or an empty clip.
        TypeError: For booleans, complex numbers and 64-bit integers.

    Example:
        >>> as_waveforms("normalize_audio", np.zeros((3, 0)))
        Traceback (most recent call last):
        ValueError: normalize_audio takes waveforms (..., time) of at least one sample, got shape (3, 0)
    """
    array = _real(name, audio)
    if not array.ndim or not array.shape[-1]:
        given = f"shape {array.shape}" if array.ndim else "a scalar"
        raise ValueError(f"{name} takes waveforms (..., time) of at least one sample, got {given}")
    return array


def _real(name: str, audio: ArrayLike) -> jax.Array:
    # JAX would cut 64-bit integers to 32 without a word, so NumPy looks first.
    array = audio if isinstance(audio, jax.Array) else np.asarray(audio)
    dtype = array.dtype
    integer = jnp.issubdtype(dtype, jnp.integer)
    if integer and np.iinfo(dtype).bits == 64:
        raise TypeError(
            f"{name} was given {dtype}, which is no sample format: cast to the integers that the recording "
            f"was made with, such as audio.astype('int16'), or to float32 if it is scaled to [-1, 1] already"
        )
    if not integer and not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"{name} takes real audio, floats or integers of at most 32 bits, got {dtype}")
    return jnp.asarray(array)


@jax.jit
def _to_float(audio: jax.Array) -> jax.Array:
    if not jnp.issubdtype(audio.dtype, jnp.integer):
        return audio
    bounds = np.iinfo(audio.dtype)
    middle = 2 ** (bounds.bits - 1)
    if not bounds.min:
        signed = jnp.dtype(f"int{bounds.bits}")
        audio = jax.lax.bitcast_convert_type(audio ^ audio.dtype.type(middle), signed)
    scaled: jax.Array = audio.astype(jnp.float32) / float(middle)
    return scaled


def _near_one(audio: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Scale clips by powers of two to a peak near 1.

    Squares and reciprocals then neither overflow nor vanish, in the gradient either. What is made of the
    result does not depend on the scale, which is therefore held constant.

    Returns:
        The scaled clips, their peaks (..., 1), NaN where a clip is not finite, and whether a clip is silent.
    """
    values = audio.astype(working_dtype(audio.dtype))
    peak = jnp.max(jnp.abs(values), axis=-1, keepdims=True)
    peak = jnp.where(jnp.isfinite(peak), peak, jnp.nan)
    limits = np.finfo(values.dtype)
    silent = jnp.less(peak, limits.tiny)
    power = jax.lax.reduce_precision(jnp.clip(peak, limits.tiny, limits.max / 8), limits.nexp, 0)
    scale = jax.lax.stop_gradient(1 / power)
    return values * scale, peak * scale, silent


@jax.jit
def _normalize(audio: jax.Array) -> jax.Array:
    audio = _to_float(audio)
    scaled, peak, silent = _near_one(audio)
    return jnp.where(silent, audio, scaled / jnp.where(silent, 1, peak)).astype(audio.dtype)


@jax.jit
def _rms_normalize(audio: jax.Array, target_rms: jax.Array) -> jax.Array:
    audio = _to_float(audio)
    scaled, peak, silent = _near_one(audio)
    rms = safe_sqrt(jnp.mean(jnp.square(scaled), axis=-1, keepdims=True))
    level = jnp.where(jnp.isnan(peak), peak, rms)
    gain = target_rms[..., None].astype(scaled.dtype) / jnp.where(silent, 1, level)
    return jnp.where(silent, audio, scaled * gain).astype(audio.dtype)
