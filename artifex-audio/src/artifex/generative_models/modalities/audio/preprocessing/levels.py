"""The level of waveforms: integers to floats, offset taken off, peak and RMS normalized, highs raised and lowered."""

from __future__ import annotations

import numbers
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_number
from artifex.generative_models.core.numerics import safe_sqrt, working_dtype

# Samples that the recursion of de_emphasis goes through one by one; blocks of them run side by side.
_BLOCK = 64


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


def normalize_audio(audio: ArrayLike, *, threshold: ArrayLike = 0.0) -> jax.Array:
    """Bring the peak of every clip to 1.

    Args:
        audio: Waveforms (..., time). Integers are scaled by ``to_float`` first.
        threshold: The peak, full scale 1, up to which a clip counts as silence, at least 0. One number, or one
            per clip, broadcast against the leading axes; may be traced.

    Returns:
        (..., time) with a largest magnitude of 1 along time; float32 for integers, else the input's dtype. A
        silent clip (its peak at or below the threshold, or below the least normal number) comes back as it is,
        one that holds NaN or infinity as NaN.

    Raises:
        ValueError: For a scalar, an empty clip, or a threshold below 0.
        TypeError: As ``to_float`` does.

    Example:
        >>> normalize_audio(np.array([[0.0, -0.5, 0.25], [0.0, 0.0, 0.0]])).tolist()
        [[0.0, -1.0, 0.5], [0.0, 0.0, 0.0]]

    Reference:
        ``librosa.util.normalize(audio, axis=-1)``.
    """
    waveforms = as_waveforms("normalize_audio", audio)
    _check_given("threshold", threshold, minimum=0, unit="of full scale 1")
    normalized: jax.Array = _normalize(waveforms, _number(threshold))
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
    _check_given("target_rms", target_rms, above=0)
    normalized: jax.Array = _rms_normalize(waveforms, _number(target_rms))
    return normalized


def remove_dc(audio: ArrayLike) -> jax.Array:
    """Take the mean of every clip off it.

    Args:
        audio: Waveforms (..., time). Integers are scaled by ``to_float`` first.

    Returns:
        (..., time) with a mean of 0; float32 for integers, else the input's dtype.

    Raises:
        ValueError: For a scalar or an empty clip.
        TypeError: As ``to_float`` does.

    Example:
        >>> remove_dc(np.array([1.0, 0.0, 0.5])).tolist()
        [0.5, -0.5, 0.0]

    Reference:
        ``scipy.signal.detrend(audio, type="constant")``.
    """
    centered: jax.Array = _remove_dc(as_waveforms("remove_dc", audio))
    return centered


def pre_emphasis(audio: ArrayLike, coefficient: ArrayLike = 0.97) -> jax.Array:
    """Raise high frequencies: of each sample a share of the one before is taken off.

    Args:
        audio: Waveforms (..., time), with silence before them. Integers are scaled by ``to_float`` first.
        coefficient: The share, from 0 to 1. One number, or one per clip, broadcast against the leading axes; may
            be traced.

    Returns:
        ``audio[t] - coefficient * audio[t - 1]``, (..., time), the first sample as it is; float32 for integers,
        else the input's dtype.

    Raises:
        ValueError: For a scalar, an empty clip, or a coefficient out of range.
        TypeError: As ``to_float`` does.

    Example:
        >>> pre_emphasis(np.array([1.0, 1.0, 0.5]), coefficient=0.5).tolist()
        [1.0, 0.5, 0.0]

    Reference:
        ``torchaudio.functional.preemphasis``, ``scipy.signal.lfilter([1, -coefficient], 1, audio)``.
        ``librosa.effects.preemphasis`` does the same with ``zi=[0]``; by itself it adds
        ``2 * audio[0] - audio[1]`` to the first sample.
    """
    waveforms = as_waveforms("pre_emphasis", audio)
    _check_given("coefficient", coefficient, minimum=0, maximum=1)
    emphasized: jax.Array = _pre_emphasis(waveforms, _number(coefficient))
    return emphasized


def de_emphasis(audio: ArrayLike, coefficient: ArrayLike = 0.97) -> jax.Array:
    """Lower high frequencies: the inverse of ``pre_emphasis``.

    Args:
        audio: Waveforms (..., time), with silence before them. Integers are scaled by ``to_float`` first.
        coefficient: The share of the sample before that is added, from 0 to 1. One number, or one per clip,
            broadcast against the leading axes; may be traced.

    Returns:
        ``y[t] = audio[t] + coefficient * y[t - 1]``, (..., time), the first sample as it is; float32 for
        integers, else the input's dtype.

    Raises:
        ValueError: For a scalar, an empty clip, or a coefficient out of range.
        TypeError: As ``to_float`` does.

    Example:
        >>> de_emphasis(np.array([1.0, 0.5, 0.0]), coefficient=0.5).tolist()
        [1.0, 1.0, 0.5]

    Reference:
        ``torchaudio.functional.deemphasis`` (which clips to [-1, 1], as this does not),
        ``scipy.signal.lfilter([1], [1, -coefficient], audio)``. ``librosa.effects.deemphasis`` does the same
        with ``zi=[0]``; by itself it undoes its own treatment of the first sample.
    """
    waveforms = as_waveforms("de_emphasis", audio)
    _check_given("coefficient", coefficient, minimum=0, maximum=1)
    emphasized: jax.Array = _de_emphasis(waveforms, _number(coefficient))
    return emphasized


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


def _number(value: ArrayLike) -> jax.Array | np.ndarray:
    """What stays on the host until it is needed, so that it goes where the audio lies."""
    return value if isinstance(value, jax.Array) else np.asarray(value, float)


def _check_given(name: str, value: ArrayLike, **bounds: Any) -> None:
    """Check one number; arrays, one number per clip, may be traced."""
    if isinstance(value, numbers.Number | str):
        check_number(name, value, **bounds)


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


def _near_one(audio: jax.Array, threshold: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
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
    silent = jnp.less(peak, limits.tiny) | (peak <= threshold[..., None].astype(values.dtype))
    power = jax.lax.reduce_precision(jnp.clip(peak, limits.tiny, limits.max / 8), limits.nexp, 0)
    scale = jax.lax.stop_gradient(1 / power)
    return values * scale, peak * scale, silent


@jax.jit
def _normalize(audio: jax.Array, threshold: jax.Array) -> jax.Array:
    audio = _to_float(audio)
    scaled, peak, silent = _near_one(audio, threshold)
    return jnp.where(silent, audio, scaled / jnp.where(silent, 1, peak)).astype(audio.dtype)


@jax.jit
def _rms_normalize(audio: jax.Array, target_rms: jax.Array) -> jax.Array:
    audio = _to_float(audio)
    scaled, peak, silent = _near_one(audio, jnp.zeros(()))
    rms = safe_sqrt(jnp.mean(jnp.square(scaled), axis=-1, keepdims=True))
    level = jnp.where(jnp.isnan(peak), peak, rms)
    gain = target_rms[..., None].astype(scaled.dtype) / jnp.where(silent, 1, level)
    return jnp.where(silent, audio, scaled * gain).astype(audio.dtype)


@jax.jit
def _remove_dc(audio: jax.Array) -> jax.Array:
    audio = _to_float(audio)
    values = audio.astype(working_dtype(audio.dtype))
    return (values - jnp.mean(values, axis=-1, keepdims=True)).astype(audio.dtype)


@jax.jit
def _pre_emphasis(audio: jax.Array, coefficient: jax.Array) -> jax.Array:
    audio = _to_float(audio)
    values = audio.astype(working_dtype(audio.dtype))
    before = jnp.pad(values, [(0, 0)] * (values.ndim - 1) + [(1, 0)])[..., :-1]
    return (values - coefficient[..., None].astype(values.dtype) * before).astype(audio.dtype)


@jax.jit
def _de_emphasis(audio: jax.Array, coefficient: jax.Array) -> jax.Array:
    audio = _to_float(audio)
    values = audio.astype(working_dtype(audio.dtype))
    time = values.shape[-1]
    share = jnp.broadcast_to(coefficient.astype(values.dtype), values.shape[:-1])[..., None]
    n_blocks = -(-time // _BLOCK)
    padded = jnp.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, n_blocks * _BLOCK - time)])
    blocks = jnp.moveaxis(padded.reshape(*values.shape[:-1], n_blocks, _BLOCK), -1, 0)

    def step(before: jax.Array, sample: jax.Array) -> tuple[jax.Array, jax.Array]:
        now = sample + share * before
        return now, now

    # All blocks at once, each as if silence came before it; then what each hears of those before.
    last, alone = jax.lax.scan(step, jnp.zeros_like(blocks[0]), blocks)
    powers = jnp.cumprod(jnp.broadcast_to(share, (_BLOCK, *share.shape)), axis=0)

    def join(before: jax.Array, end: jax.Array) -> tuple[jax.Array, jax.Array]:
        return end + powers[-1][..., 0] * before, before

    _, heard = jax.lax.scan(join, jnp.zeros_like(last[..., 0]), jnp.moveaxis(last, -1, 0))
    joined = alone + powers * jnp.moveaxis(heard, 0, -1)
    return jnp.moveaxis(joined, 0, -1).reshape(*values.shape[:-1], -1)[..., :time].astype(audio.dtype)
