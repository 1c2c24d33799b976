"""Integrated loudness (ITU-R BS.1770) and loudness normalization."""

from __future__ import annotations

import math
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_integer
from artifex.generative_models.core.numerics import jit, working_dtype
from artifex.generative_models.modalities.audio.preprocessing.filters import sosfilt
from artifex.generative_models.modalities.audio.preprocessing.levels import (
    as_waveforms,
    check_channel_axis,
    check_scalar,
    match_ranks,
    to_float,
)

# The K-weighting filters, which the standard specifies at 48 kHz only, as analog prototypes. High shelf: frequency in
# Hz, Q, gain in dB, and the exponent of the gain in the middle coefficient. High-pass: frequency in Hz and Q.
_SHELF = (1681.974450955533, 0.7071752369554196, 3.999843853973347)
_SHELF_EXPONENT = 0.4996667741545416
_HIGH_PASS = (38.13547087602444, 0.5003270373238773)
_STANDARD_RATE = 48000
_REFERENCE_FREQUENCY = 997.0  # Hz
_ACCURATE_RATE = 16000  # Hz; from this rate on, the filters are within 0.1 dB of the standard
_MIN_RATE = 4000  # Hz; the shelf must be below half the sample rate

_CHANNEL_WEIGHTS = (1.0, 1.0, 1.0, 1.41, 1.41)
_OFFSET = -0.691  # dB; a 1 kHz sine at full scale in one channel is then -3.01 LUFS
_ABSOLUTE_GATE = -70.0  # LUFS
_RELATIVE_GATE = 0.1  # power ratio of -10 LU
_HOPS_PER_BLOCK = 4  # hops of 100 ms


def integrated_loudness(audio: ArrayLike, *, sample_rate: int, channel_axis: int | None = None) -> jax.Array:
    """Measure the integrated loudness of each clip.

    The clip is K-weighted. The mean power is computed over blocks of 400 ms with a hop of 100 ms, and averaged over the
    blocks above -70 LUFS. Blocks more than 10 LU below this average are then excluded, and the result is the average
    over the remaining blocks. An incomplete block at the end is ignored. A clip shorter than 400 ms is one block.

    The standard specifies filters for 48 kHz. At sample rates from 16 kHz on, the filters are within 0.1 dB of them up to
    0.2 times the sample rate; below 16 kHz, within 0.25 dB. At 8 kHz, broadband noise is measured up to 0.4 LU too loud,
    and signals around 1 kHz, such as the test signals of the standard, within 0.1 LU.

    Args:
        audio: Waveforms (..., time), full scale 1. Integers are converted with ``to_float`` first.
        sample_rate: Sample rate in Hz, an integer of at least 4000; static.
        channel_axis: Axis of the channels of one clip, at most five: left, right, center, left surround, right
            surround. The surrounds are weighted by 1.41. A low-frequency effects channel must be omitted. Not the last
            axis. None for single-channel clips. Static.

    Returns:
        Loudness in LUFS, (...) without the channel axis; float32 for integers, else the dtype of ``audio``. -70 when no
        block is above -70 LUFS, as for silence; NaN for a clip with NaN or infinity.

    Raises:
        ValueError: When ``audio`` is a scalar or empty, the sample rate is below 4000 Hz, or there are more than five
            channels.
        TypeError: When the sample rate or the axis is not an integer, or ``audio`` is not real.

    Example:
        >>> tone = np.sin(2 * np.pi * 997 * np.arange(48000) / 48000)
        >>> round(float(integrated_loudness(tone, sample_rate=48000)), 1)
        -3.0
        >>> round(float(integrated_loudness(np.stack([tone / 2] * 2), sample_rate=48000, channel_axis=-2)), 1)
        -6.0

    Reference:
        ITU-R BS.1770-4 (2015), annex 1.
    """
    waveforms = as_waveforms("integrated_loudness", audio)
    axis = _check_clips("integrated_loudness", waveforms, sample_rate, channel_axis)
    return _integrated_loudness(waveforms, int(sample_rate), axis)


def loudness_normalize(
    audio: ArrayLike, target_lufs: ArrayLike = -23.0, *, sample_rate: int, channel_axis: int | None = None
) -> jax.Array:
    """Normalize the integrated loudness of each clip.

    Args:
        audio: Waveforms (..., time), full scale 1. Integers are converted with ``to_float`` first.
        target_lufs: Target loudness in LUFS, from -70 to 0; -23 is the broadcast level of EBU R 128. One number, or one
            per clip, broadcast against the leading axes; may be traced.
        sample_rate: Sample rate in Hz, an integer of at least 4000; static.
        channel_axis: Axis of the channels of one clip, which have a common gain, as for ``integrated_loudness``. None
            for single-channel clips. Static.

    Returns:
        (..., time); float32 for integers, else the dtype of ``audio``. Peaks are not limited and may exceed full scale.
        A clip without a block above -70 LUFS is returned unchanged. A clip with NaN or infinity becomes NaN.

    Raises:
        ValueError: When ``audio`` is a scalar or empty, the sample rate is below 4000 Hz, there are more than five
            channels, or the target is out of range.
        TypeError: When the sample rate or the axis is not an integer, or ``audio`` is not real.

    Example:
        >>> noise = np.random.default_rng(0).normal(size=16000)
        >>> normalized = loudness_normalize(noise, -18.0, sample_rate=16000)
        >>> round(float(integrated_loudness(normalized, sample_rate=16000)), 1)
        -18.0

    Reference:
        ITU-R BS.1770-4 (2015), annex 1; EBU R 128 (2020).
    """
    waveforms = as_waveforms("loudness_normalize", audio)
    axis = _check_clips("loudness_normalize", waveforms, sample_rate, channel_axis)
    check_scalar("target_lufs", target_lufs, minimum=_ABSOLUTE_GATE, maximum=0, unit="LUFS")
    return _loudness_normalize(waveforms, jnp.asarray(target_lufs), int(sample_rate), axis)


def k_weighting(sample_rate: int) -> np.ndarray:
    """Design the K-weighting filter: a high shelf and a high-pass, by the bilinear transform of analog prototypes.

    Args:
        sample_rate: Sample rate in Hz, an integer of at least 4000.

    Returns:
        Second-order sections for ``sosfilt``, (2, 6) float64, read-only; at 48 kHz those of the standard.

    Raises:
        ValueError: When the sample rate is below 4000 Hz.
        TypeError: When the sample rate is not an integer.

    Example:
        >>> k_weighting(48000)[0, :3].round(4).tolist()
        [1.5351, -2.6917, 1.1984]

    Reference:
        ITU-R BS.1770-4 (2015), annex 1, tables 1 and 2.
    """
    check_integer("sample_rate", sample_rate, minimum=_MIN_RATE, unit="Hz")
    return _k_weighting(int(sample_rate))


def _check_clips(name: str, audio: jax.Array, sample_rate: int, channel_axis: int | None) -> int | None:
    check_integer("sample_rate", sample_rate, minimum=_MIN_RATE, unit="Hz")
    if channel_axis is None:
        return None
    axis = check_channel_axis(name, audio, channel_axis)
    if audio.shape[axis] > len(_CHANNEL_WEIGHTS):
        raise ValueError(
            f"{name} takes at most {len(_CHANNEL_WEIGHTS)} channels (left, right, center and two surrounds, without "
            f"low-frequency effects), got {audio.shape[axis]}: shape {audio.shape} with channel_axis={channel_axis}"
        )
    return axis


@lru_cache(maxsize=32)
def _k_weighting(sample_rate: int) -> np.ndarray:
    frequency, quality, gain_db = _SHELF
    gain = 10 ** (gain_db / 20)
    warped, denominator = _denominator(frequency, quality, sample_rate)
    middle = gain**_SHELF_EXPONENT * warped / quality
    shelf = [gain + middle + warped**2, 2 * (warped**2 - gain), gain - middle + warped**2, *denominator]
    # The standard does not normalize the numerator of the high-pass. Other sample rates have its gain at 48 kHz.
    frequency, quality = _HIGH_PASS
    _, denominator = _denominator(frequency, quality, sample_rate)
    _, (scale, *_) = _denominator(frequency, quality, _STANDARD_RATE)
    sections = np.array([shelf, [scale, -2 * scale, scale, *denominator]])
    sections /= sections[:, 3:4]
    if sample_rate < _ACCURATE_RATE:
        # The bilinear transform distorts the shelf at low rates; keep the standard's gain at its reference frequency.
        standard = _gain_at_reference(_k_weighting(_STANDARD_RATE), _STANDARD_RATE)
        sections[0, :3] *= standard / _gain_at_reference(sections, sample_rate)
    sections.setflags(write=False)
    return sections


def _gain_at_reference(sections: np.ndarray, sample_rate: int) -> float:
    z: np.ndarray = np.exp(-2j * np.pi * _REFERENCE_FREQUENCY / sample_rate) ** np.arange(3)
    return float(np.prod(np.abs(sections[:, :3] @ z) / np.abs(sections[:, 3:] @ z)))


def _denominator(frequency: float, quality: float, sample_rate: int) -> tuple[float, list[float]]:
    """Return the prewarped frequency and the denominator of the bilinear transform of a second-order resonance."""
    warped = math.tan(math.pi * frequency / sample_rate)
    return warped, [1 + warped / quality + warped**2, 2 * (warped**2 - 1), 1 - warped / quality + warped**2]


@jit(static_argnames=["sample_rate", "axis"])
def _integrated_loudness(audio: jax.Array, sample_rate: int, axis: int | None) -> jax.Array:
    audio = to_float(audio)
    values = audio.astype(working_dtype(audio.dtype))
    lufs, _ = _gated_loudness(values, sample_rate, axis)
    return lufs.astype(audio.dtype)


@jit(static_argnames=["sample_rate", "axis"])
def _loudness_normalize(audio: jax.Array, target_lufs: jax.Array, sample_rate: int, axis: int | None) -> jax.Array:
    audio = to_float(audio)
    values = audio.astype(working_dtype(audio.dtype))
    lufs, is_silent = _gated_loudness(values, sample_rate, axis)
    target, lufs, is_silent = match_ranks(target_lufs.astype(values.dtype), lufs, is_silent)
    gain = jnp.where(is_silent, 1, 10 ** ((target - lufs) / 20))[..., None]
    values, gain = match_ranks(values, gain if axis is None else jnp.expand_dims(gain, axis))
    return (values * gain).astype(audio.dtype)


def _gated_loudness(values: jax.Array, sample_rate: int, axis: int | None) -> tuple[jax.Array, jax.Array]:
    """Return the loudness of floats (..., time), and whether all blocks of a clip are below the absolute gate."""
    time, hop = values.shape[-1], round(sample_rate / 10)
    squares = jnp.square(sosfilt(values, _k_weighting(sample_rate)))
    if axis is not None:
        weights = np.array(_CHANNEL_WEIGHTS[: values.shape[axis]], values.dtype)
        shape = [1] * values.ndim
        shape[axis] = len(weights)
        squares = jnp.sum(squares * weights.reshape(shape), axis=axis)
    if time < _HOPS_PER_BLOCK * hop:
        power = jnp.mean(squares, axis=-1, keepdims=True)
        is_finite = jnp.isfinite(power[..., 0])
    else:
        n_hops = time // hop
        hop_energy = jnp.sum(squares[..., : n_hops * hop].reshape(*squares.shape[:-1], n_hops, hop), axis=-1)
        is_finite = jnp.isfinite(jnp.sum(hop_energy, axis=-1) + jnp.sum(squares[..., n_hops * hop :], axis=-1))
        n_blocks = n_hops - _HOPS_PER_BLOCK + 1
        shifted = jnp.stack([hop_energy[..., k : k + n_blocks] for k in range(_HOPS_PER_BLOCK)])
        power = jnp.sum(shifted, axis=0) / (_HOPS_PER_BLOCK * hop)
    above_gate = power > 10 ** ((_ABSOLUTE_GATE - _OFFSET) / 10)
    threshold = _RELATIVE_GATE * _masked_mean(power, above_gate)
    above_both = above_gate & (power > threshold[..., None])
    is_silent = ~jnp.any(above_both, axis=-1)
    mean_power = jnp.where(is_silent, 1, _masked_mean(power, above_both))
    lufs = jnp.where(is_silent, _ABSOLUTE_GATE, _OFFSET + 10 * jnp.log10(mean_power))
    return jnp.where(is_finite, lufs, jnp.nan), is_silent & is_finite


def _masked_mean(values: jax.Array, mask: jax.Array) -> jax.Array:
    count = jnp.maximum(jnp.sum(mask, axis=-1), 1)
    return jnp.sum(jnp.where(mask, values, 0), axis=-1) / count.astype(values.dtype)
