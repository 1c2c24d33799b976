"""Levels of waveforms: integers to floats, DC removal, peak and RMS normalization, pre-emphasis and de-emphasis."""

from __future__ import annotations

import numbers
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_integer, check_number, warn_if_time_is_not_last
from artifex.generative_models.core.numerics import jit, rms, working_dtype

# Samples per block of the recursion of de_emphasis; all blocks are computed at once.
_BLOCK = 64


def to_float(audio: ArrayLike) -> jax.Array:
    """Convert audio to floating point; integers are scaled to [-1, 1] by the range of their dtype.

    Args:
        audio: Any shape. Signed integers of b bits are divided by ``2**(b - 1)``. Unsigned integers have the offset
            ``2**(b - 1)`` subtracted first, as in 8-bit WAV files. Floats are returned unchanged.

    Returns:
        The same shape; float32 for integers, else the dtype of ``audio``.

    Raises:
        TypeError: When ``audio`` is boolean or complex, or contains 64-bit integers, which are not a sample format.

    Example:
        >>> to_float(np.array([-32768, 0, 16384], np.int16)).tolist()
        [-1.0, 0.0, 0.5]
        >>> to_float(np.array([0, 128], np.uint8)).tolist()
        [-1.0, 0.0]

    Reference:
        ``soundfile.read(..., dtype="float32")``.
    """
    return _to_float(_as_real("to_float", audio))


def normalize_audio(audio: ArrayLike, *, threshold: ArrayLike = 0.0, channel_axis: int | None = None) -> jax.Array:
    """Normalize the peak of each clip to 1.

    Args:
        audio: Waveforms (..., time). Integers are converted with ``to_float`` first.
        threshold: Maximum peak of a clip that is treated as silent, full scale 1, at least 0. One number, or one per
            clip, broadcast against the leading axes; may be traced.
        channel_axis: Axis of the channels of one clip, usually -2; they have a common gain, which keeps their balance.
            None for single-channel clips: every waveform is normalized by itself. Static.

    Returns:
        (..., time) with a maximum magnitude of 1 along time; float32 for integers, else the dtype of ``audio``. A silent
        clip, or one with a peak below the smallest normal number, is returned unchanged. A clip with NaN or infinity
        becomes NaN.

    Raises:
        ValueError: When ``audio`` is a scalar or empty, ``threshold`` is negative, or ``channel_axis`` is the last axis or
            out of range.
        TypeError: When ``audio`` is not real.

    Example:
        >>> normalize_audio(np.array([[0.0, -0.5, 0.25], [0.0, 0.0, 0.0]])).tolist()
        [[0.0, -1.0, 0.5], [0.0, 0.0, 0.0]]
        >>> normalize_audio(np.array([[0.5, -0.25], [0.125, 0.0]]), channel_axis=-2).tolist()
        [[1.0, -0.5], [0.25, 0.0]]

    Reference:
        ``librosa.util.normalize(audio, axis=-1)``.
    """
    waveforms = as_waveforms("normalize_audio", audio)
    check_scalar("threshold", threshold, minimum=0, unit="of full scale 1")
    axis = None if channel_axis is None else check_channel_axis("normalize_audio", waveforms, channel_axis)
    return _normalize(waveforms, _as_floats(threshold), axis)


def rms_normalize(audio: ArrayLike, target_rms: ArrayLike = 0.1, *, channel_axis: int | None = None) -> jax.Array:
    """Normalize the root mean square of each clip.

    Args:
        audio: Waveforms (..., time). Integers are converted with ``to_float`` first.
        target_rms: Target RMS, full scale 1, above 0; 0.1 is -20 dBFS. One number, or one per clip, broadcast against
            the leading axes; may be traced.
        channel_axis: Axis of the channels of one clip, usually -2; their common RMS is normalized, which keeps their
            balance. None for single-channel clips: every waveform is normalized by itself. Static.

    Returns:
        (..., time); float32 for integers, else the dtype of ``audio``. Peaks are not limited and may exceed full scale.
        A silent clip is returned unchanged. A clip with NaN or infinity becomes NaN.

    Raises:
        ValueError: When ``audio`` is a scalar or empty, ``target_rms`` is not above 0, or ``channel_axis`` is the last
            axis or out of range.
        TypeError: When ``audio`` is not real.

    Example:
        >>> rms_normalize(np.array([0.5, -0.5]), target_rms=0.25).tolist()
        [0.25, -0.25]
    """
    waveforms = as_waveforms("rms_normalize", audio)
    check_scalar("target_rms", target_rms, above=0)
    axis = None if channel_axis is None else check_channel_axis("rms_normalize", waveforms, channel_axis)
    return _rms_normalize(waveforms, _as_floats(target_rms), axis)


def remove_dc(audio: ArrayLike) -> jax.Array:
    """Subtract the mean of each clip.

    Args:
        audio: Waveforms (..., time). Integers are converted with ``to_float`` first.

    Returns:
        (..., time) with mean 0; float32 for integers, else the dtype of ``audio``.

    Raises:
        ValueError: When ``audio`` is a scalar or empty.
        TypeError: When ``audio`` is not real.

    Example:
        >>> remove_dc(np.array([1.0, 0.0, 0.5])).tolist()
        [0.5, -0.5, 0.0]

    Reference:
        ``scipy.signal.detrend(audio, type="constant")``.
    """
    return _remove_dc(as_waveforms("remove_dc", audio))


def pre_emphasis(audio: ArrayLike, coefficient: ArrayLike = 0.97) -> jax.Array:
    """Apply a first-order pre-emphasis filter, which amplifies high frequencies.

    Args:
        audio: Waveforms (..., time), filtered from zero initial state. Integers are converted with ``to_float`` first.
        coefficient: Filter coefficient, from 0 to 1. One number, or one per clip, broadcast against the leading axes;
            may be traced.

    Returns:
        ``audio[t] - coefficient * audio[t - 1]``, (..., time), with the first sample unchanged; float32 for integers,
        else the dtype of ``audio``.

    Raises:
        ValueError: When ``audio`` is a scalar or empty, or ``coefficient`` is out of range.
        TypeError: When ``audio`` is not real.

    Example:
        >>> pre_emphasis(np.array([1.0, 1.0, 0.5]), coefficient=0.5).tolist()
        [1.0, 0.5, 0.0]

    Reference:
        ``torchaudio.functional.preemphasis``, ``scipy.signal.lfilter([1, -coefficient], 1, audio)``, and
        ``librosa.effects.preemphasis`` with ``zi=[0]``. By default, librosa adds ``2 * audio[0] - audio[1]`` to the
        first sample.
    """
    waveforms = as_waveforms("pre_emphasis", audio)
    check_scalar("coefficient", coefficient, minimum=0, maximum=1)
    return _pre_emphasis(waveforms, _as_floats(coefficient))


def de_emphasis(audio: ArrayLike, coefficient: ArrayLike = 0.97) -> jax.Array:
    """Apply a first-order de-emphasis filter, the inverse of ``pre_emphasis``.

    Args:
        audio: Waveforms (..., time), filtered from zero initial state. Integers are converted with ``to_float`` first.
        coefficient: Filter coefficient, from 0 to 1. One number, or one per clip, broadcast against the leading axes;
            may be traced.

    Returns:
        ``y[t] = audio[t] + coefficient * y[t - 1]``, (..., time), with the first sample unchanged; float32 for integers,
        else the dtype of ``audio``.

    Raises:
        ValueError: When ``audio`` is a scalar or empty, or ``coefficient`` is out of range.
        TypeError: When ``audio`` is not real.

    Example:
        >>> de_emphasis(np.array([1.0, 0.5, 0.0]), coefficient=0.5).tolist()
        [1.0, 1.0, 0.5]

    Reference:
        ``torchaudio.functional.deemphasis`` without its clipping to [-1, 1],
        ``scipy.signal.lfilter([1], [1, -coefficient], audio)``, and ``librosa.effects.deemphasis`` with ``zi=[0]``. By
        default, librosa inverts the first sample of its own ``preemphasis``.
    """
    waveforms = as_waveforms("de_emphasis", audio)
    check_scalar("coefficient", coefficient, minimum=0, maximum=1)
    return _de_emphasis(waveforms, _as_floats(coefficient))


def as_waveforms(name: str, audio: ArrayLike) -> jax.Array:
    """Convert audio to an array of waveforms, and validate its shape and dtype. Warn if it is probably (time, channels).

    Args:
        name: Name of the function, for the message.
        audio: Waveforms (..., time).

    Returns:
        The array, with unchanged dtype.

    Raises:
        ValueError: When ``audio`` is a scalar or has no samples.
        TypeError: When ``audio`` is boolean, complex or of 64-bit integers.

    Example:
        >>> as_waveforms("normalize_audio", np.zeros((3, 0)))
        Traceback (most recent call last):
        ValueError: normalize_audio takes waveforms (..., time) of at least one sample, got shape (3, 0)
    """
    array = _as_real(name, audio)
    if not array.ndim or not array.shape[-1]:
        given = f"shape {array.shape}" if array.ndim else "a scalar"
        raise ValueError(f"{name} takes waveforms (..., time) of at least one sample, got {given}")
    warn_if_time_is_not_last(name, array.shape, stacklevel=4)
    return array


def check_channel_axis(name: str, audio: jax.Array, channel_axis: int) -> int:
    """Return the channel axis as a negative index, or raise.

    Args:
        name: Name of the function, for the message.
        audio: Waveforms.
        channel_axis: The channel axis.

    Returns:
        The same axis, -2 or below.

    Raises:
        ValueError: When the axis is out of range, empty or the time axis.
        TypeError: When it is not an integer.

    Example:
        >>> check_channel_axis("to_mono", jnp.zeros((3, 2, 8)), 1)
        -2
    """
    check_integer("channel_axis", channel_axis)
    axis = channel_axis - audio.ndim if channel_axis >= 0 else channel_axis
    if not -audio.ndim <= axis <= -2:
        raise ValueError(
            f"{name} takes waveforms (..., channels, time) and a channel_axis other than the last, got shape "
            f"{audio.shape} and channel_axis={channel_axis}"
        )
    if not audio.shape[axis]:
        raise ValueError(f"{name} takes at least one channel, got shape {audio.shape} with channel_axis={channel_axis}")
    return int(axis)


def check_scalar(name: str, value: object, **bounds: Any) -> None:
    """Validate an option that is a single number. Arrays, with one number per clip, may be traced and are not validated.

    Args:
        name: Name of the option, for the message.
        value: The option.
        **bounds: Keyword arguments of ``check_number``.

    Raises:
        TypeError: When it is a complex number, a string or None.
        ValueError: When it is not finite or out of bounds.
    """
    if value is None or isinstance(value, numbers.Number | str):
        check_number(name, value, **bounds)


def match_ranks(*arrays: jax.Array) -> list[jax.Array]:
    """Prepend axes of size 1 until all arrays have the same rank.

    Args:
        *arrays: Arrays of any shapes.

    Returns:
        The arrays, reshaped.

    Example:
        >>> [array.shape for array in match_ranks(jnp.ones((2, 3)), jnp.ones(3))]
        [(2, 3), (1, 3)]
    """
    rank = max(array.ndim for array in arrays)
    return [jnp.expand_dims(array, range(rank - array.ndim)) for array in arrays]


def _as_floats(value: ArrayLike) -> jax.Array | np.ndarray:
    """Convert a number to a NumPy array; jit then places it on the devices of the audio."""
    return value if isinstance(value, jax.Array) else np.asarray(value, float)


def _as_real(name: str, audio: ArrayLike) -> jax.Array:
    # JAX converts 64-bit integers to 32 bits silently, so the dtype is read from NumPy.
    array = audio if isinstance(audio, jax.Array) else np.asarray(audio)
    dtype = array.dtype
    is_integer = jnp.issubdtype(dtype, jnp.integer)
    if is_integer and np.iinfo(dtype).bits == 64:
        raise TypeError(
            f"{name} expects audio in a sample format, got {dtype}: cast to the integer dtype of the recording, such as "
            f"audio.astype('int16'), or to float32 if it is already scaled to [-1, 1]"
        )
    if not is_integer and not jnp.issubdtype(dtype, jnp.floating):
        given = type(audio).__name__ if dtype.kind in "OSU" else dtype
        raise TypeError(f"{name} expects real audio, floats or integers of at most 32 bits, got {given}")
    return jnp.asarray(array)


@jit()
def _to_float(audio: jax.Array) -> jax.Array:
    if not jnp.issubdtype(audio.dtype, jnp.integer):
        return audio
    limits = np.iinfo(audio.dtype)
    offset = 2 ** (limits.bits - 1)
    if not limits.min:
        signed = jnp.dtype(f"int{limits.bits}")
        audio = jax.lax.bitcast_convert_type(audio ^ audio.dtype.type(offset), signed)
    return audio.astype(jnp.float32) / float(offset)


def _scale_near_one(audio: jax.Array, threshold: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Scale clips by powers of two to a peak near 1, so that squares and reciprocals neither overflow nor underflow.

    The result of the callers does not depend on the scale, so its gradient is stopped.

    Returns:
        The scaled clips (..., time), their peaks (..., 1), NaN for clips with NaN or infinity, and whether each clip is
        silent.
    """
    values = audio.astype(working_dtype(audio.dtype))
    peak = jnp.max(jnp.abs(values), axis=-1, keepdims=True)
    peak = jnp.where(jnp.isfinite(peak), peak, jnp.nan)
    limits = np.finfo(values.dtype)
    peaks, thresholds = match_ranks(peak, threshold[..., None].astype(values.dtype))
    is_silent = jnp.less(peaks, limits.tiny) | (peaks <= thresholds)
    power_of_two = jax.lax.reduce_precision(jnp.clip(peak, limits.tiny, limits.max / 8), limits.nexp, 0)
    scale = jax.lax.stop_gradient(1 / power_of_two)
    return values * scale, peak * scale, is_silent


def _join_channels(audio: jax.Array, channel_axis: int | None) -> jax.Array:
    """Concatenate the channels of each clip along time."""
    if channel_axis is None:
        return audio
    moved = jnp.moveaxis(audio, channel_axis, -2)
    return moved.reshape(*moved.shape[:-2], -1)


def _split_channels(joined: jax.Array, audio: jax.Array, channel_axis: int | None) -> jax.Array:
    """Invert ``_join_channels`` of ``audio``; further leading axes are kept."""
    if channel_axis is None:
        return joined
    n_channels = audio.shape[channel_axis]
    return jnp.moveaxis(joined.reshape(*joined.shape[:-1], n_channels, -1), -2, channel_axis)


@jit(static_argnames=["channel_axis"])
def _normalize(audio: jax.Array, threshold: jax.Array | np.ndarray, channel_axis: int | None) -> jax.Array:
    given = audio
    audio = _join_channels(_to_float(audio), channel_axis)
    scaled, peak, is_silent = _scale_near_one(audio, jnp.asarray(threshold))
    audio, scaled, peak, is_silent = match_ranks(audio, scaled, peak, is_silent)
    normalized = scaled / jnp.where(is_silent, 1, peak)
    result = jnp.where(is_silent, audio.astype(scaled.dtype), normalized).astype(audio.dtype)
    return _split_channels(result, given, channel_axis)


@jit(static_argnames=["channel_axis"])
def _rms_normalize(audio: jax.Array, target_rms: jax.Array | np.ndarray, channel_axis: int | None) -> jax.Array:
    given = audio
    audio = _join_channels(_to_float(audio), channel_axis)
    scaled, peak, is_silent = _scale_near_one(audio, jnp.zeros(()))
    level = jnp.where(jnp.isnan(peak), peak, rms(scaled, keepdims=True))
    target = jnp.asarray(target_rms)[..., None].astype(scaled.dtype)
    audio, scaled, target, level, is_silent = match_ranks(audio, scaled, target, level, is_silent)
    gain = target / jnp.where(is_silent, 1, level)
    result = jnp.where(is_silent, audio.astype(scaled.dtype), scaled * gain).astype(audio.dtype)
    return _split_channels(result, given, channel_axis)


@jit()
def _remove_dc(audio: jax.Array) -> jax.Array:
    audio = _to_float(audio)
    values = audio.astype(working_dtype(audio.dtype))
    return (values - jnp.mean(values, axis=-1, keepdims=True)).astype(audio.dtype)


@jit()
def _pre_emphasis(audio: jax.Array, coefficient: jax.Array | np.ndarray) -> jax.Array:
    audio = _to_float(audio)
    values = audio.astype(working_dtype(audio.dtype))
    previous = jnp.pad(values, [(0, 0)] * (values.ndim - 1) + [(1, 0)])[..., :-1]
    values, previous, factor = match_ranks(values, previous, jnp.asarray(coefficient)[..., None].astype(values.dtype))
    return (values - factor * previous).astype(audio.dtype)


@jit()
def _de_emphasis(audio: jax.Array, coefficient: jax.Array | np.ndarray) -> jax.Array:
    audio = _to_float(audio)
    values = audio.astype(working_dtype(audio.dtype))
    time = values.shape[-1]
    factor = jnp.broadcast_to(jnp.asarray(coefficient, values.dtype), values.shape[:-1])[..., None]
    n_blocks = -(-time // _BLOCK)
    padded = jnp.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, n_blocks * _BLOCK - time)])
    blocks = jnp.moveaxis(padded.reshape(*values.shape[:-1], n_blocks, _BLOCK), -1, 0)

    def filter_sample(previous: jax.Array, sample: jax.Array) -> tuple[jax.Array, jax.Array]:
        output = sample + factor * previous
        return output, output

    # All blocks are filtered at once from zero initial state, then the decaying state of earlier blocks is added.
    last, from_zero = jax.lax.scan(filter_sample, jnp.zeros_like(blocks[0]), blocks)
    powers = jnp.cumprod(jnp.broadcast_to(factor[None], (_BLOCK, *factor.shape)), axis=0)

    def next_state(state: jax.Array, block_end: jax.Array) -> tuple[jax.Array, jax.Array]:
        return block_end + powers[-1][..., 0] * state, state

    _, states = jax.lax.scan(next_state, jnp.zeros_like(last[..., 0]), jnp.moveaxis(last, -1, 0))
    filtered = from_zero + powers * jnp.moveaxis(states, 0, -1)[None]
    return jnp.moveaxis(filtered, 0, -1).reshape(*values.shape[:-1], -1)[..., :time].astype(audio.dtype)
