"""Loudness as broadcasters measure it, and clips brought to one loudness."""

from __future__ import annotations

import math
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_integer, check_number
from artifex.generative_models.core.numerics import working_dtype
from artifex.generative_models.modalities.audio.preprocessing.channels import check_channel_axis
from artifex.generative_models.modalities.audio.preprocessing.filters import sosfilt
from artifex.generative_models.modalities.audio.preprocessing.levels import as_waveforms, to_float

# The filters that the standard gives for 48 kHz alone, as frequency in Hz, quality and gain in dB: a high shelf,
# what a head adds, and a high pass. The share is how the shelf's gain divides over its middle.
_SHELF = (1681.974450955533, 0.7071752369554196, 3.999843853973347)
_SHELF_SHARE = 0.4996667741545416
_HIGH_PASS = (38.13547087602444, 0.5003270373238773)
_STANDARD_RATE = 48000
_STANDARD_TONE = 997.0  # Hz
_UNBENT_RATE = 16000  # from which on the filters are within 0.1 dB
_LEAST_RATE = 4000  # the shelf needs room below half the sample rate

_CHANNEL_WEIGHTS = (1.0, 1.0, 1.0, 1.41, 1.41)
_OFFSET = -0.691  # dB, so that a sine of 1 kHz at full scale in one channel is -3.01 LUFS
_GATE = -70.0
_RELATIVE_GATE = 0.1  # of the power: -10 LU
_HOPS_IN_A_BLOCK = 4  # of 100 ms


def loudness(audio: ArrayLike, sample_rate: int, *, channel_axis: int | None = None) -> jax.Array:
    """Measure the integrated loudness of every clip.

    The clip is K-weighted; its power over blocks of 400 ms, a new one every 100 ms, is averaged over those above
    -70 LUFS, and again over those of them that are less than 10 LU below that average. The last block is the last
    whole one. A clip shorter than 400 ms is one block.

    The standard gives its filters for 48 kHz. Those of other rates follow them within 0.1 dB up to 0.4 of half the
    rate from 16 kHz on, within 0.25 dB below; so noise at 8 kHz is measured up to 0.4 LU too loud, what lies around
    1 kHz, as the standard's test signals do, within 0.1 LU.

    Args:
        audio: Waveforms (..., time), full scale 1. Integers are scaled by ``to_float`` first.
        sample_rate: Samples per second, Hz, an integer of at least 4000; static.
        channel_axis: The axis of the channels of one clip, at most five of them: left, right, center, left and
            right surround, the surrounds weighted by 1.41. Leave out a channel of low frequency effects, which is
            not measured. Not the last axis. None means that each waveform is a clip of one channel. Static.

    Returns:
        Loudness in LUFS, (...) without the axis of the channels; float32 for integers, else the input's dtype.
        -70 where no block is above that, as in silence, and NaN for a clip that holds NaN or infinity.

    Raises:
        ValueError: For a scalar, an empty clip, a rate below 4000 Hz, or more than five channels.
        TypeError: For a rate or an axis that is no integer, or as ``to_float`` does.

    Example:
        >>> tone = np.sin(2 * np.pi * 997 * np.arange(48000) / 48000)
        >>> round(float(loudness(tone, 48000)), 1)
        -3.0
        >>> round(float(loudness(np.stack([tone / 2] * 2), 48000, channel_axis=-2)), 1)
        -6.0

    Reference:
        ITU-R BS.1770-4 (2015), annex 1.
    """
    waveforms = as_waveforms("loudness", audio)
    axis = _check_clips("loudness", waveforms, sample_rate, channel_axis)
    measured: jax.Array = _loudness(waveforms, int(sample_rate), axis)
    return measured


def loudness_normalize(
    audio: ArrayLike, sample_rate: int, target_lufs: ArrayLike = -23.0, *, channel_axis: int | None = None
) -> jax.Array:
    """Bring every clip to one integrated loudness, measured as ``loudness`` does.

    Args:
        audio: Waveforms (..., time), full scale 1. Integers are scaled by ``to_float`` first.
        sample_rate: Samples per second, Hz, an integer of at least 4000; static.
        target_lufs: The loudness to reach, LUFS, from -70 to 0: -23 is what broadcasting asks (EBU R 128). One
            number, or one per clip, broadcast against the leading axes; may be traced.
        channel_axis: The axis of channels that make one clip and get one gain, as ``loudness`` takes it. None
            means that each waveform is a clip of one channel. Static.

    Returns:
        (..., time); float32 for integers, else the input's dtype. Peaks are not limited, so they can exceed full
        scale. A clip no block of which is above -70 LUFS comes back as it is, one that holds NaN or infinity as
        NaN.

    Raises:
        ValueError: For a scalar, an empty clip, a rate below 4000 Hz, more than five channels, or a target out
            of range.
        TypeError: For a rate or an axis that is no integer, or as ``to_float`` does.

    Example:
        >>> noise = np.random.default_rng(0).normal(size=16000)
        >>> round(float(loudness(loudness_normalize(noise, 16000, -18.0), 16000)), 1)
        -18.0

    Reference:
        ITU-R BS.1770-4 (2015), annex 1; EBU R 128 (2020).
    """
    waveforms = as_waveforms("loudness_normalize", audio)
    axis = _check_clips("loudness_normalize", waveforms, sample_rate, channel_axis)
    if not isinstance(target_lufs, jax.Array | np.ndarray):
        check_number("target_lufs", target_lufs, minimum=_GATE, maximum=0, unit="LUFS")
    normalized: jax.Array = _loudness_normalize(waveforms, jnp.asarray(target_lufs), int(sample_rate), axis)
    return normalized


def _check_clips(name: str, audio: jax.Array, sample_rate: int, channel_axis: int | None) -> int | None:
    check_integer("sample_rate", sample_rate, minimum=_LEAST_RATE, unit="Hz")
    if channel_axis is None:
        return None
    axis = check_channel_axis(name, audio, channel_axis)
    if audio.shape[axis] > len(_CHANNEL_WEIGHTS):
        raise ValueError(
            f"{name} takes at most {len(_CHANNEL_WEIGHTS)} channels (left, right, center and two surrounds, no low "
            f"frequency effects), got {audio.shape[axis]}: shape {audio.shape} with channel_axis={channel_axis}"
        )
    return axis


@lru_cache(maxsize=32)
def _k_weighting(sample_rate: int) -> np.ndarray:
    """The sections (2, 6) of the K-weighting at any rate: the analogue filters behind the standard's, bent to it."""
    frequency, quality, gain_db = _SHELF
    high = 10 ** (gain_db / 20)
    bend, poles = _poles(frequency, quality, sample_rate)
    middle = high**_SHELF_SHARE * bend / quality
    shelf = [high + middle + bend**2, 2 * (bend**2 - high), high - middle + bend**2]
    sections = np.empty((2, 6))
    sections[0] = np.array([*shelf, *poles]) / poles[0]
    # The standard does not divide the numerator; other rates get the gain that this leaves at 48 kHz.
    frequency, quality = _HIGH_PASS
    _, poles = _poles(frequency, quality, sample_rate)
    _, standard = _poles(frequency, quality, _STANDARD_RATE)
    sections[1] = np.array([*(standard[0] * np.array([1, -2, 1])), *poles]) / poles[0]
    if sample_rate < _UNBENT_RATE:
        # The bilinear transform bends the shelf; a tone of 997 Hz is as loud as it has to be all the same.
        sections[0, :3] *= _level(_k_weighting(_STANDARD_RATE), _STANDARD_RATE) / _level(sections, sample_rate)
    sections.setflags(write=False)
    return sections


def _level(sections: np.ndarray, sample_rate: int) -> float:
    """What sections make of the amplitude of the standard's tone."""
    z = np.exp(-2j * np.pi * _STANDARD_TONE / sample_rate) ** np.arange(3)
    return float(np.prod(np.abs(sections[:, :3] @ z) / np.abs(sections[:, 3:] @ z)))


def _poles(frequency: float, quality: float, sample_rate: int) -> tuple[float, list[float]]:
    bend = math.tan(math.pi * frequency / sample_rate)
    return bend, [1 + bend / quality + bend**2, 2 * (bend**2 - 1), 1 - bend / quality + bend**2]


@partial(jax.jit, static_argnames=("sample_rate", "axis"))
def _loudness(audio: jax.Array, sample_rate: int, axis: int | None) -> jax.Array:
    audio = to_float(audio)
    values = audio.astype(working_dtype(audio.dtype))
    measured, _ = _gated(values, sample_rate, axis)
    return measured.astype(audio.dtype)


@partial(jax.jit, static_argnames=("sample_rate", "axis"))
def _loudness_normalize(audio: jax.Array, target_lufs: jax.Array, sample_rate: int, axis: int | None) -> jax.Array:
    audio = to_float(audio)
    values = audio.astype(working_dtype(audio.dtype))
    measured, silent = _gated(values, sample_rate, axis)
    gain = 10 ** ((target_lufs.astype(values.dtype) - measured) / 20)
    gain = jnp.where(silent, 1, gain)[..., None]
    return (values * (gain if axis is None else jnp.expand_dims(gain, axis))).astype(audio.dtype)


def _gated(values: jax.Array, sample_rate: int, axis: int | None) -> tuple[jax.Array, jax.Array]:
    """Give the loudness of floats (..., time), and whether no block of a clip is above the gate."""
    time, hop = values.shape[-1], round(sample_rate / 10)
    squares = jnp.square(sosfilt(values, _k_weighting(sample_rate)))
    if axis is not None:
        weights = np.array(_CHANNEL_WEIGHTS[: values.shape[axis]]).reshape(-1, *(1,) * (-1 - axis))
        squares = jnp.sum(squares * weights.astype(values.dtype), axis=axis)
    if time < _HOPS_IN_A_BLOCK * hop:
        power = jnp.mean(squares, axis=-1, keepdims=True)
        finite = jnp.isfinite(power[..., 0])
    else:
        n_hops = time // hop
        sums = jnp.sum(squares[..., : n_hops * hop].reshape(*squares.shape[:-1], n_hops, hop), axis=-1)
        finite = jnp.isfinite(jnp.sum(sums, axis=-1) + jnp.sum(squares[..., n_hops * hop :], axis=-1))
        n_blocks = n_hops - _HOPS_IN_A_BLOCK + 1
        blocks = jnp.stack([sums[..., k : k + n_blocks] for k in range(_HOPS_IN_A_BLOCK)])
        power = jnp.sum(blocks, axis=0) / (_HOPS_IN_A_BLOCK * hop)
    gate = 10 ** ((_GATE - _OFFSET) / 10)
    above = power > gate
    average = jnp.sum(jnp.where(above, power, 0), axis=-1) / jnp.maximum(jnp.sum(above, axis=-1), 1)
    kept = above & (power > _RELATIVE_GATE * average[..., None])
    average = jnp.sum(jnp.where(kept, power, 0), axis=-1) / jnp.maximum(jnp.sum(kept, axis=-1), 1)
    silent = ~jnp.any(kept, axis=-1)
    measured = jnp.where(silent, _GATE, _OFFSET + 10 * jnp.log10(jnp.where(silent, 1, average)))
    return jnp.where(finite, measured, jnp.nan), silent & finite
