"""Augmentations that add noise to a waveform: white, colored, recorded."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_option, check_range
from artifex.generative_models.core.numerics import jit, working_dtype
from artifex.generative_models.modalities.audio.annotations import Drawn, augmentation
from artifex.generative_models.modalities.audio.augmentations.banks import as_bank, as_lengths, default_noises
from artifex.generative_models.modalities.audio.augmentations.domain import checked_waveform
from artifex.generative_models.modalities.audio.augmentations.draws import (
    Bounds,
    draw_integer,
    draw_snr,
    draw_uniform,
)
from artifex.generative_models.modalities.audio.generators.noises import colored_noise


def _draw_add_gaussian_noise(key: Array, shape: tuple[int, ...]) -> Drawn:
    return {}  # only the noise itself is random


@augmentation(draw=_draw_add_gaussian_noise)
def add_gaussian_noise(audio: ArrayLike, key: Array, noise_level: ArrayLike = 0.005) -> Array:
    """Add white Gaussian noise of a given standard deviation.

    Args:
        audio: One waveform (..., time), floating point; every channel gets independent noise.
        key: PRNG key.
        noise_level: Standard deviation of the noise, at least 0; full scale is 1. May be traced.

    Returns:
        The same shape and dtype, not clipped.

    Raises:
        ValueError: For a scalar, an empty clip or a negative level.
        TypeError: For integer audio; convert it with ``to_float``.

    Example:
        >>> noisy = add_gaussian_noise(jnp.zeros(16000), jax.random.key(0), noise_level=0.1)
        >>> round(float(noisy.std()), 2)
        0.1

    Reference:
        ``audio + noise_level * jax.random.normal(key, audio.shape)``.
    """
    waveform = checked_waveform("add_gaussian_noise", audio, key)
    if not isinstance(noise_level, np.ndarray):
        check_option("noise_level", noise_level, minimum=0)
    return _add_gaussian_noise(waveform, key, noise_level)


@jit()
def _add_gaussian_noise(waveform: Array, key: Array, noise_level: ArrayLike) -> Array:
    working = working_dtype(waveform.dtype)
    noise = jnp.asarray(noise_level, working) * numerics.normal(key, waveform.shape, working)
    return (waveform.astype(working) + noise).astype(waveform.dtype)


def _draw_add_gaussian_snr(key: Array, shape: tuple[int, ...], *, snr_db_range: Bounds) -> Drawn:
    return draw_snr(key, snr_db_range)[0]


@augmentation(draw=_draw_add_gaussian_snr)
def add_gaussian_snr(audio: ArrayLike, key: Array, snr_db_range: Bounds = (5.0, 40.0)) -> Array:
    """Add white Gaussian noise at a random signal-to-noise ratio.

    The RMS of the clip determines the standard deviation of the noise. The ratio measured in a short clip therefore
    varies about the drawn one: by 0.05 dB in 16 000 samples.

    Args:
        audio: One waveform (..., time), floating point. The RMS is that of all channels together; every channel gets
            independent noise.
        key: PRNG key.
        snr_db_range: Signal-to-noise ratio range (min, max) in dB; drawn uniformly. May be traced.

    Returns:
        The same shape and dtype, not clipped. Silence is returned unchanged; a clip that contains NaN or infinity
        becomes NaN. Annotation: ``snr_db``.

    Raises:
        ValueError: For a scalar, an empty clip, or an invalid range.
        TypeError: For integer audio; convert it with ``to_float``.

    Example:
        >>> noisy = add_gaussian_snr(jnp.ones(16000), jax.random.key(0), snr_db_range=(20.0, 20.0))
        >>> round(float((noisy - 1).std()), 2)
        0.1

    Reference:
        ``audiomentations.AddGaussianSNR``.
    """
    waveform = checked_waveform("add_gaussian_snr", audio, key)
    return _add_gaussian_snr(waveform, key, check_range("snr_db_range", snr_db_range, unit="dB"))


@jit()
def _add_gaussian_snr(waveform: Array, key: Array, snr_db_range: Bounds) -> Array:
    drawn, noise_key = draw_snr(key, snr_db_range)
    noise = numerics.normal(noise_key, waveform.shape, working_dtype(waveform.dtype))
    return _add_noise(waveform, noise, drawn["snr_db"])


def _draw_add_colored_noise(
    key: Array, shape: tuple[int, ...], *, snr_db_range: Bounds, slope_db_range: Bounds
) -> Drawn:
    return _draw_snr_and_slope(key, snr_db_range, slope_db_range)[0]


def _draw_snr_and_slope(key: Array, snr_db_range: Bounds, slope_db_range: Bounds) -> tuple[Drawn, Array]:
    """Return the drawn parameters and the key of the noise."""
    snr_key, slope_key, noise_key = jax.random.split(key, 3)
    drawn = {"snr_db": draw_uniform(snr_key, snr_db_range), "slope_db": draw_uniform(slope_key, slope_db_range)}
    return drawn, noise_key


@augmentation(draw=_draw_add_colored_noise)
def add_colored_noise(
    audio: ArrayLike, key: Array, snr_db_range: Bounds = (5.0, 40.0), slope_db_range: Bounds = (-6.0, 6.0)
) -> Array:
    """Add Gaussian noise of a random spectral slope at a random signal-to-noise ratio.

    Args:
        audio: One waveform (..., time), floating point. The RMS is that of all channels together; every channel gets
            independent noise of the same slope and RMS.
        key: PRNG key.
        snr_db_range: Signal-to-noise ratio range (min, max) in dB; drawn uniformly. The noise has exactly this ratio.
            May be traced.
        slope_db_range: Range (min, max) of the slope of the power spectrum in dB per octave, from -60 to 60; drawn
            uniformly. -6.02 is brown noise, -3.01 pink, 0 white, 3.01 blue, 6.02 violet. May be traced.

    Returns:
        The same shape and dtype, not clipped. Silence is returned unchanged; a clip that contains NaN or infinity
        becomes NaN. Annotations: ``snr_db`` and ``slope_db``.

    Raises:
        ValueError: For a scalar, an empty clip, or an invalid range.
        TypeError: For integer audio; convert it with ``to_float``.

    Example:
        >>> noisy = add_colored_noise(jnp.ones(1000), jax.random.key(0), (20.0, 20.0), (-3.0, -3.0))
        >>> round(float(jnp.mean((noisy - 1) ** 2) ** 0.5), 4)
        0.1

    Reference:
        ``audiomentations.AddColorNoise``; the noise is that of the audio type ``colored_noise``.
    """
    waveform = checked_waveform("add_colored_noise", audio, key)
    snrs = check_range("snr_db_range", snr_db_range, unit="dB")
    slopes = check_range("slope_db_range", slope_db_range, minimum=-60, maximum=60, unit="dB per octave")
    return _add_colored_noise(waveform, key, snrs, slopes)


@jit()
def _add_colored_noise(waveform: Array, key: Array, snrs: Bounds, slopes: Bounds) -> Array:
    drawn, noise_key = _draw_snr_and_slope(key, snrs, slopes)
    slope_db = drawn["slope_db"].astype(working_dtype(waveform.dtype))
    # The slope does not depend on the sample rate.
    options: dict[str, Any] = {"n_time_steps": waveform.shape[-1], "sample_rate": 1, "slope_db": slope_db}

    def channel(channel_key: Array) -> Array:
        return colored_noise(channel_key, **options, amplitude=1.0)

    if waveform.ndim == 1:
        noise = channel(noise_key)
    else:
        keys = jax.random.split(noise_key, math.prod(waveform.shape[:-1]))
        noise = jax.vmap(channel)(keys).reshape(waveform.shape)
    return _add_noise(waveform, noise, drawn["snr_db"])


def _draw_add_background_noise(
    key: Array, shape: tuple[int, ...], *, snr_db_range: Bounds, bank: ArrayLike | None, lengths: ArrayLike | None
) -> Drawn:
    index_key, offset_key, snr_key = jax.random.split(key, 3)
    n_sounds, *_, longest = np.shape(default_noises() if bank is None else bank)
    index = draw_integer(index_key, (0, n_sounds - 1))
    valid = jnp.full(n_sounds, longest) if lengths is None else jnp.clip(jnp.asarray(lengths), 1, longest)
    length = valid.astype(jnp.int32)[index]
    time = shape[-1]
    n_offsets = jnp.where(length < time, length, length - time + 1)
    offset = draw_integer(offset_key, (0, n_offsets - 1))
    return {"index": index, "offset": offset, "snr_db": draw_uniform(snr_key, snr_db_range)}


@augmentation(draw=_draw_add_background_noise)
def add_background_noise(
    audio: ArrayLike,
    key: Array,
    snr_db_range: Bounds = (3.0, 30.0),
    *,
    bank: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
) -> Array:
    """Add a random excerpt of a random recording at a random signal-to-noise ratio.

    The recording is drawn uniformly from the bank. The excerpt of a recording that is at least as long as the clip is
    within it, and its offset is drawn uniformly. A shorter recording starts at a random sample and repeats.

    Args:
        audio: One waveform (..., time), floating point.
        key: PRNG key.
        snr_db_range: Signal-to-noise ratio range (min, max) in dB; drawn uniformly. It is the RMS of the clip over that
            of the excerpt, each of all channels together. May be traced.
        bank: Recordings (n, time), the same for all channels, or (n, ..., time) with axes that broadcast to the
            clip's leading axes; floating point, at the clip's sample rate. ``sound_bank`` reads them from files. May be
            traced. By default white, pink and brown noise of 32 768 samples.
        lengths: Length of each recording in samples (n,), from 1 to the bank's length; by default the bank's length.
            May be traced.

    Returns:
        The same shape and dtype, not clipped. Silence is returned unchanged, a silent excerpt adds nothing, and a clip
        that contains NaN or infinity becomes NaN. Annotations: ``index`` of the recording; ``offset``, the sample of
        the recording at the start of the clip; ``snr_db``.

    Raises:
        ValueError: For a scalar, an empty clip, an invalid range, a bank whose shape does not fit, or invalid lengths.
        TypeError: For integer audio; convert it with ``to_float``. For lengths that are not integers.

    Example:
        >>> hum = 0.5 * numerics.sin2pi(jnp.arange(400) / 100)[None]
        >>> noisy = add_background_noise(jnp.ones(800), jax.random.key(0), (20.0, 20.0), bank=hum)
        >>> round(float(jnp.mean((noisy - 1) ** 2) ** 0.5), 4)
        0.1

    Reference:
        ``audiomentations.AddBackgroundNoise``.
    """
    waveform = checked_waveform("add_background_noise", audio, key)
    snrs = check_range("snr_db_range", snr_db_range, unit="dB")
    if bank is None and lengths is not None:
        raise ValueError("lengths are those of a bank, got lengths without a bank; pass bank as well")
    sounds = as_bank("add_background_noise", default_noises() if bank is None else bank, waveform.shape)
    valid = None if lengths is None else as_lengths("add_background_noise", lengths, sounds)
    return _add_background_noise(waveform, key, snrs, sounds, valid)


@jit()
def _add_background_noise(waveform: Array, key: Array, snrs: Bounds, bank: Array, lengths: Array | None) -> Array:
    drawn = _draw_add_background_noise(key, waveform.shape, snr_db_range=snrs, bank=bank, lengths=lengths)
    index, offset = drawn["index"], drawn["offset"]
    time = waveform.shape[-1]
    if lengths is None and bank.shape[-1] >= time:
        start = [index, *[jnp.int32(0)] * (bank.ndim - 2), offset]
        excerpt = jax.lax.dynamic_slice(bank, start, (1, *bank.shape[1:-1], time))[0]
    else:
        length = jnp.int32(bank.shape[-1]) if lengths is None else lengths[index]
        excerpt = _repeat(bank, index, offset, length, time)
    noise = excerpt.astype(working_dtype(waveform.dtype))
    return _add_noise(waveform, noise, drawn["snr_db"], noise_rms=numerics.rms(noise, axis=None))


def _repeat(bank: Array, index: Array, offset: Array, length: Array, time: int) -> Array:
    """Return samples (..., time) of one sound, repeated, from an offset; the bank is not copied."""
    position = offset + jnp.arange(time, dtype=jnp.int32)
    # The integer remainder would dominate the run time. The float quotient is off by at most one for sounds that repeat
    # less than four million times.
    n_repeats = jnp.floor(position.astype(jnp.float32) * (1 / length.astype(jnp.float32))).astype(jnp.int32)
    position = position - n_repeats * length
    position = jnp.where(position < 0, position + length, position)
    position = jnp.where(position >= length, position - length, position)
    axes = bank.shape[1:-1]
    channels = [jnp.arange(size, dtype=jnp.int32).reshape(-1, *[1] * (len(axes) - i)) for i, size in enumerate(axes)]
    position = position.reshape(*[1] * len(axes), time)
    # Positions are within bounds; XLA:CPU vectorizes mode="clip" better than mode="promise_in_bounds".
    return bank.at[(index, *channels, position)].get(mode="clip")


def _add_noise(audio: Array, noise: Array, snr_db: Array, noise_rms: ArrayLike = 1) -> Array:
    """Add noise (..., time) at a signal-to-noise ratio; noise of RMS 0 adds nothing."""
    values = audio.astype(working_dtype(audio.dtype))
    level = scaled_rms(values) * jnp.exp(snr_db.astype(values.dtype) * (-math.log(10) / 20))
    rms = jnp.asarray(noise_rms, values.dtype)
    level = level / jnp.where(rms > 0, rms, 1)
    noise = jnp.broadcast_to(noise.astype(values.dtype), values.shape)
    return (values + level * noise).astype(audio.dtype)


def scaled_rms(values: Array) -> Array:
    """Compute the RMS of all samples, scaled so that neither squares nor gradients overflow or underflow.

    Args:
        values: Any shape.

    Returns:
        A scalar; 0 for silence, NaN if a sample is NaN or infinite.

    Example:
        >>> f"{scaled_rms(jnp.array([3e30, -3e30])):.3g}"
        '3e+30'
    """
    limits = np.finfo(values.dtype)
    peak = jax.lax.stop_gradient(jnp.max(jnp.abs(values)))
    scale = jnp.clip(peak, limits.tiny, limits.max / 8)
    return scale * numerics.rms(values * (1 / scale), axis=None)
