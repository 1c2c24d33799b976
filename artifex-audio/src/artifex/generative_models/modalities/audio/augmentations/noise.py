"""Random noise added to a waveform: white, colored, of recordings."""

from __future__ import annotations

import math
import numbers
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_number, check_range
from artifex.generative_models.core.numerics import working_dtype
from artifex.generative_models.modalities.audio.annotations import annotated
from artifex.generative_models.modalities.audio.augmentations.banks import as_bank, as_lengths, default_noises
from artifex.generative_models.modalities.audio.augmentations.draws import Drawn, as_float, draw_uniform
from artifex.generative_models.modalities.audio.generators.noises import colored_noise

_Range = tuple[ArrayLike, ArrayLike] | jax.Array


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
    waveform = as_float("add_gaussian_noise", audio)
    if isinstance(noise_level, numbers.Number):
        check_number("noise_level", noise_level, minimum=0)
    noisy: jax.Array = _add_gaussian_noise(waveform, key, noise_level)
    return noisy


@jax.jit
def _add_gaussian_noise(waveform: jax.Array, key: jax.Array, noise_level: ArrayLike) -> jax.Array:
    working = working_dtype(waveform.dtype)
    noise = jnp.asarray(noise_level, working) * numerics.normal(key, waveform.shape, working)
    return (waveform.astype(working) + noise).astype(waveform.dtype)


@annotated
def add_gaussian_snr(audio: ArrayLike, key: jax.Array, snr_db_range: _Range = (5.0, 40.0)) -> Drawn:
    """Add white Gaussian noise at a random ratio to the clip's own level.

    The noise's standard deviation is set by the clip's RMS, so the ratio measured in a short clip scatters about the
    one that was drawn: by 0.05 dB in 16 000 samples.

    Args:
        audio: One waveform (..., time), floating point. The level is the RMS of all its channels together; every
            sample of every channel gets its own noise.
        key: Decides the ratio and the noise.
        snr_db_range: The least and the greatest signal-to-noise ratio, dB, uniform between them. May be traced.

    Returns:
        The same shape and dtype, not clipped; silence stays silence, and a clip that holds NaN or infinity becomes
        NaN. Its annotation is ``snr_db``.

    Raises:
        ValueError: For a scalar, an empty clip, or a range out of order.
        TypeError: For integers, which ``to_float`` makes floats.

    Example:
        >>> noisy = add_gaussian_snr(jnp.ones(16000), jax.random.key(0), snr_db_range=(20.0, 20.0))
        >>> round(float((noisy - 1).std()), 2)
        0.1

    Reference:
        ``audiomentations.AddGaussianSNR``.
    """
    numerics.check_key("add_gaussian_snr", key)
    waveform = as_float("add_gaussian_snr", audio)
    noisy: Drawn = _add_gaussian_snr(waveform, key, *check_range("snr_db_range", snr_db_range, unit="dB"))
    return noisy


@jax.jit
def _add_gaussian_snr(waveform: jax.Array, key: jax.Array, low: ArrayLike, high: ArrayLike) -> Drawn:
    working = working_dtype(waveform.dtype)
    snr_key, noise_key = jax.random.split(key)
    snr_db = draw_uniform(snr_key, (low, high), dtype=working)
    values = waveform.astype(working)
    level = root_mean_square(values) * _ratio(snr_db)
    noisy = values + level * numerics.normal(noise_key, waveform.shape, working)
    return noisy.astype(waveform.dtype), {"snr_db": snr_db}


@annotated
def add_colored_noise(
    audio: ArrayLike,
    key: jax.Array,
    snr_db_range: _Range = (5.0, 40.0),
    slope_db_range: _Range = (-6.0, 6.0),
) -> Drawn:
    """Add Gaussian noise of a random color at a random ratio to the clip's own level.

    Args:
        audio: One waveform (..., time), floating point. The level is the RMS of all its channels together; every
            channel gets its own noise, of the same slope and RMS.
        key: Decides the ratio, the slope and the noise.
        snr_db_range: The least and the greatest signal-to-noise ratio, dB, uniform between them; the noise has it
            exactly. May be traced.
        slope_db_range: The least and the greatest slope of the noise's power spectrum, dB per octave from -60 to 60,
            uniform between them: -6.02 is brown, -3.01 pink, 0 white, 3.01 blue, 6.02 violet. May be traced.

    Returns:
        The same shape and dtype, not clipped; silence stays silence, and a clip that holds NaN or infinity becomes
        NaN. Its annotations are ``snr_db`` and ``slope_db``.

    Raises:
        ValueError: For a scalar, an empty clip, or a range that is out of order or of bounds.
        TypeError: For integers, which ``to_float`` makes floats.

    Example:
        >>> noisy = add_colored_noise(jnp.ones(1000), jax.random.key(0), (20.0, 20.0), (-3.0, -3.0))
        >>> round(float(jnp.mean((noisy - 1) ** 2) ** 0.5), 4)
        0.1

    Reference:
        ``audiomentations.AddColorNoise``; the noise is that of the audio type ``colored_noise``.
    """
    numerics.check_key("add_colored_noise", key)
    waveform = as_float("add_colored_noise", audio)
    snr = check_range("snr_db_range", snr_db_range, unit="dB")
    slope = check_range("slope_db_range", slope_db_range, minimum=-60, maximum=60, unit="dB per octave")
    noisy: Drawn = _add_colored_noise(waveform, key, snr, slope)
    return noisy


@jax.jit
def _add_colored_noise(
    waveform: jax.Array, key: jax.Array, snr: tuple[ArrayLike, ArrayLike], slope: tuple[ArrayLike, ArrayLike]
) -> Drawn:
    working = working_dtype(waveform.dtype)
    snr_key, slope_key, noise_key = jax.random.split(key, 3)
    snr_db, slope_db = draw_uniform(snr_key, snr, dtype=working), draw_uniform(slope_key, slope, dtype=working)
    values = waveform.astype(working)
    # A slope is the same at any sample rate.
    options: dict[str, Any] = {"n_time_steps": values.shape[-1], "sample_rate": 1, "slope_db": slope_db}

    def channel(own: jax.Array) -> jax.Array:
        return colored_noise(own, **options, amplitude=1.0)

    if values.ndim == 1:
        noise = channel(noise_key)
    else:
        keys = jax.random.split(noise_key, math.prod(values.shape[:-1]))
        noise = jax.vmap(channel)(keys).reshape(values.shape)
    level = root_mean_square(values) * _ratio(snr_db)
    noisy = values + level * noise.astype(working)
    return noisy.astype(waveform.dtype), {"snr_db": snr_db, "slope_db": slope_db}


@annotated
def add_background_noise(
    audio: ArrayLike,
    key: jax.Array,
    snr_db_range: _Range = (3.0, 30.0),
    *,
    bank: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
) -> Drawn:
    """Add a random part of a random recording at a random ratio to the clip's own level.

    Every recording is as likely. From one that is as long as the clip or longer a part is taken that lies within it,
    every place as likely; one that is shorter begins at any of its samples and is repeated.

    Args:
        audio: One waveform (..., time), floating point.
        key: Decides the recording, the place in it and the ratio.
        snr_db_range: The least and the greatest signal-to-noise ratio, dB, uniform between them: the RMS of the clip
            over that of the part that is heard, each of all channels together. May be traced.
        bank: Recordings (n, time), heard alike in all channels, or (n, ..., time) with axes that broadcast to the
            clip's leading axes, floating point, of the clip's sample rate; ``sound_bank`` reads them. May be traced.
            None means three of 32 768 samples: white, pink and brown noise.
        lengths: How many samples of each recording are sound (n,), 1 to the bank's length; None means all. May be
            traced.

    Returns:
        The same shape and dtype, not clipped. Silence stays silence, a part that is silent adds nothing, and a clip
        that holds NaN or infinity becomes NaN. Its annotations are ``index``, which recording; ``offset``, the sample
        of it where the clip starts; and ``snr_db``.

    Raises:
        ValueError: For a scalar, an empty clip, a range out of order, a bank whose shape does not fit, or lengths that
            do not.
        TypeError: For integer samples, which ``to_float`` makes floats, or lengths that are no integers.

    Example:
        >>> hum = 0.5 * numerics.sin2pi(jnp.arange(400) / 100)[None]
        >>> noisy = add_background_noise(jnp.ones(800), jax.random.key(0), (20.0, 20.0), bank=hum)
        >>> round(float(jnp.mean((noisy - 1) ** 2) ** 0.5), 4)
        0.1

    Reference:
        ``audiomentations.AddBackgroundNoise``.
    """
    numerics.check_key("add_background_noise", key)
    waveform = as_float("add_background_noise", audio)
    snr = check_range("snr_db_range", snr_db_range, unit="dB")
    if bank is None and lengths is not None:
        raise ValueError("lengths are those of a bank, got lengths without a bank")
    sounds = as_bank("add_background_noise", default_noises() if bank is None else bank, waveform.shape)
    known = None if lengths is None else as_lengths("add_background_noise", lengths, sounds)
    noisy: Drawn = _add_background_noise(waveform, key, snr, sounds, known)
    return noisy


@jax.jit
def _add_background_noise(
    waveform: jax.Array, key: jax.Array, snr: tuple[ArrayLike, ArrayLike], bank: jax.Array, lengths: jax.Array | None
) -> Drawn:
    working = working_dtype(waveform.dtype)
    index_key, offset_key, snr_key = jax.random.split(key, 3)
    snr_db = draw_uniform(snr_key, snr, dtype=working)
    index = numerics.randint(index_key, (), 0, bank.shape[0], jnp.int32)
    time = waveform.shape[-1]
    length = jnp.int32(bank.shape[-1]) if lengths is None else lengths[index]
    n_places = jnp.where(length < time, length, length - time + 1)
    offset = numerics.randint(offset_key, (), 0, n_places, jnp.int32)
    values = waveform.astype(working)
    if lengths is None and bank.shape[-1] >= time:
        start: list[Any] = [index, *[0] * (bank.ndim - 2), offset]
        noise = jax.lax.dynamic_slice(bank, start, (1, *bank.shape[1:-1], time))[0].astype(working)
    else:
        noise = _repeated(bank, index, offset, length, time).astype(working)
    heard = numerics.safe_sqrt(jnp.mean(jnp.square(noise)))
    level = root_mean_square(values) * _ratio(snr_db) / jnp.where(heard > 0, heard, 1)
    noisy = (values + level * noise).astype(waveform.dtype)
    return noisy, {"index": index, "offset": offset, "snr_db": snr_db}


def _repeated(bank: jax.Array, index: jax.Array, offset: jax.Array, length: jax.Array, time: int) -> jax.Array:
    """Samples (..., time) of one sound from an offset on, again and again, without a copy of the whole bank."""
    place = offset + jnp.arange(time, dtype=jnp.int32)
    # The remainder of integers takes longer than all else here. The quotient is off by one at most, as long as a sound
    # is repeated less than four million times.
    place = place - jnp.floor(place.astype(jnp.float32) * (1 / length.astype(jnp.float32))).astype(jnp.int32) * length
    place = jnp.where(place < 0, place + length, place)
    place = jnp.where(place >= length, place - length, place)
    axes = bank.shape[1:-1]
    between = [jnp.arange(size).reshape(-1, *[1] * (len(axes) - i)) for i, size in enumerate(axes)]
    # What is clipped is never out of bounds, but XLA:CPU vectorizes it better than a promise.
    part: jax.Array = bank.at[(index, *between, place)].get(mode="clip")
    return part


def root_mean_square(values: jax.Array) -> jax.Array:
    """Return the RMS of all samples, neither squares nor gradient of which overflow or vanish.

    Args:
        values: Any shape, full scale 1.

    Returns:
        A scalar; 0 for silence, NaN where a sample is NaN or infinite.

    Example:
        >>> f"{root_mean_square(jnp.array([3e30, -3e30])):.3g}"
        '3e+30'
    """
    limits = jnp.finfo(values.dtype)
    peak = jax.lax.stop_gradient(jnp.max(jnp.abs(values)))
    scale = jnp.clip(peak, limits.tiny, limits.max / 8)
    return scale * numerics.safe_sqrt(jnp.mean(jnp.square(values * (1 / scale))))


def _ratio(snr_db: jax.Array) -> jax.Array:
    return jnp.exp(snr_db * (-math.log(10) / 20))
