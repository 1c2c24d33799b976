"""Augmentations of a waveform's level: gain, fades, loudness, polarity."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_integer, check_option, check_range
from artifex.generative_models.core.numerics import jit, working_dtype
from artifex.generative_models.modalities.audio.annotations import Drawn, augmentation
from artifex.generative_models.modalities.audio.augmentations.domain import checked_waveform
from artifex.generative_models.modalities.audio.augmentations.draws import Bounds, draw_uniform
from artifex.generative_models.modalities.audio.preprocessing.levels import normalize_audio
from artifex.generative_models.modalities.audio.preprocessing.loudness import loudness_normalize


def _draw_random_gain(key: Array, shape: tuple[int, ...], *, gain_range: Bounds) -> Drawn:
    return {"gain": draw_uniform(key, gain_range)}


@augmentation(draw=_draw_random_gain)
def random_gain(audio: ArrayLike, key: Array, gain_range: Bounds = (0.7, 1.3)) -> Array:
    """Multiply a clip by a random gain.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the gain.
        key: PRNG key.
        gain_range: Gain range (min, max), factors of at least 0; drawn uniformly. May be traced.

    Returns:
        The same shape and dtype. The result is not clipped: a gain above 1 can exceed full scale. Annotation: ``gain``.

    Raises:
        ValueError: For a scalar, an empty clip, a negative gain or an invalid range.
        TypeError: For integer audio; convert it with ``to_float``.

    Example:
        >>> import jax.numpy as jnp
        >>> scaled = random_gain(jnp.ones(3), jax.random.key(0), gain_range=(0.5, 0.5))
        >>> scaled.tolist()
        [0.5, 0.5, 0.5]
    """
    waveform = checked_waveform("random_gain", audio, key)
    return _random_gain(waveform, key, check_range("gain_range", gain_range, minimum=0))


@jit()
def _random_gain(waveform: Array, key: Array, gain_range: Bounds) -> Array:
    gain = _draw_random_gain(key, waveform.shape, gain_range=gain_range)["gain"]
    working = working_dtype(waveform.dtype)
    return (waveform.astype(working) * gain.astype(working)).astype(waveform.dtype)


def _draw_gain_transition(
    key: Array, shape: tuple[int, ...], *, gain_db_range: Bounds, duration_range: Bounds, sample_rate: int | Array
) -> Drawn:
    first_key, second_key, duration_key, start_key = jax.random.split(key, 4)
    gain_db = jnp.stack([draw_uniform(first_key, gain_db_range), draw_uniform(second_key, gain_db_range)])
    duration = draw_uniform(duration_key, duration_range)
    start = draw_uniform(start_key, (-duration, shape[-1] / sample_rate))
    return {"gain_db": gain_db, "duration": duration, "start": start}


@augmentation(draw=_draw_gain_transition)
def gain_transition(
    audio: ArrayLike,
    key: Array,
    gain_db_range: Bounds = (-24.0, 6.0),
    duration_range: Bounds = (0.2, 6.0),
    *,
    sample_rate: int | Array,
) -> Array:
    """Fade between two random gains, linearly in dB.

    The first gain applies before the fade, the second after it. The start of the fade is drawn uniformly, from its
    duration before the start of the clip to the end of the clip. A clip can therefore begin or end within the fade.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the fade.
        key: PRNG key.
        gain_db_range: Range (min, max) of both gains in dB; drawn uniformly. May be traced.
        duration_range: Range (min, max) of the fade's duration in seconds, above 0; drawn uniformly. May be traced.
        sample_rate: Sample rate in Hz. May be traced.

    Returns:
        The same shape and dtype, not clipped. Annotations: ``gain_db`` (2,), before and after the fade; ``duration``
        and ``start`` in seconds.

    Raises:
        ValueError: For a scalar, an empty clip, a duration of 0 or less, or an invalid range.
        TypeError: For integer audio; convert it with ``to_float``.

    Example:
        >>> faded = gain_transition(jnp.ones(4), jax.random.key(0), (-20.0, -20.0), sample_rate=16000)
        >>> bool(jnp.allclose(faded, 0.1))
        True

    Reference:
        ``audiomentations.GainTransition``.
    """
    waveform = checked_waveform("gain_transition", audio, key)
    gains = check_range("gain_db_range", gain_db_range, unit="dB")
    durations = check_range("duration_range", duration_range, above=0, unit="seconds")
    check_option("sample_rate", sample_rate, integer=True, minimum=1, unit="Hz")
    return _gain_transition(waveform, key, gains, durations, sample_rate)


@jit()
def _gain_transition(waveform: Array, key: Array, gains: Bounds, durations: Bounds, sample_rate: int | Array) -> Array:
    drawn = _draw_gain_transition(
        key, waveform.shape, gain_db_range=gains, duration_range=durations, sample_rate=sample_rate
    )
    working = working_dtype(waveform.dtype)
    before_db, after_db = drawn["gain_db"].astype(working)
    duration, start = drawn["duration"].astype(working), drawn["start"].astype(working)
    rate = jnp.asarray(sample_rate, working)
    time = jnp.arange(waveform.shape[-1], dtype=working)
    progress = jnp.clip((time - start * rate) / (duration * rate), 0, 1)
    level_db = before_db + (after_db - before_db) * progress
    gain = jnp.exp(level_db * (math.log(10) / 20))
    return (waveform.astype(working) * jnp.broadcast_to(gain, waveform.shape)).astype(waveform.dtype)


@augmentation(draw=None)
def invert_polarity(audio: ArrayLike, key: Array) -> Array:
    """Invert the polarity of a clip, which is inaudible but changes the input of a network.

    Nothing is drawn: ``with_probability(0.5, "invert_polarity")`` applies it at random.

    Args:
        audio: One waveform (..., time), floating point.
        key: PRNG key; unused.

    Returns:
        ``-audio``, the same shape and dtype.

    Raises:
        ValueError: For a scalar or an empty clip.
        TypeError: For integer audio; convert it with ``to_float``.

    Example:
        >>> invert_polarity(jnp.array([0.5, -0.25]), jax.random.key(0)).tolist()
        [-0.5, 0.25]

    Reference:
        ``audiomentations.PolarityInversion``.
    """
    return -checked_waveform("invert_polarity", audio, key)


@augmentation(draw=None)
def normalize(audio: ArrayLike, key: Array, *, threshold: ArrayLike = 0.0) -> Array:
    """Normalize the peak of a clip to 1; the augmentation form of ``normalize_audio``.

    Nothing is drawn: ``with_probability(0.5, "normalize")`` applies it at random.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the gain, which is
            that of the peak of all of them.
        key: PRNG key; unused.
        threshold: Peak, at least 0, up to which a clip counts as silent and is returned unchanged. May be traced.

    Returns:
        The same shape and dtype; NaN throughout for a clip that contains NaN or infinity.

    Raises:
        ValueError: For a scalar, an empty clip, or a negative threshold.
        TypeError: For integer audio; convert it with ``to_float``.

    Example:
        >>> normalize(jnp.array([[0.5, -0.25], [0.125, 0.0]]), jax.random.key(0)).tolist()
        [[1.0, -0.5], [0.25, 0.0]]

    Reference:
        ``audiomentations.Normalize``.
    """
    waveform = checked_waveform("normalize", audio, key)
    return normalize_audio(waveform.reshape(-1), threshold=threshold).reshape(waveform.shape)


def _draw_random_loudness(key: Array, shape: tuple[int, ...], *, lufs_range: Bounds) -> Drawn:
    return {"lufs": draw_uniform(key, lufs_range)}


@augmentation(draw=_draw_random_loudness)
def random_loudness(audio: ArrayLike, key: Array, lufs_range: Bounds = (-31.0, -13.0), *, sample_rate: int) -> Array:
    """Normalize a clip to a random integrated loudness (ITU-R BS.1770).

    Args:
        audio: One waveform (time,), or (channels, time) with at most five channels, floating point, full scale 1.
            Channels are measured together and share the gain. Further leading axes are measured separately and share
            the target.
        key: PRNG key.
        lufs_range: Loudness range (min, max) in LUFS, from -70 to 0; drawn uniformly. May be traced.
        sample_rate: Sample rate in Hz, at least 4000; static.

    Returns:
        The same shape and dtype, not clipped: peaks can exceed full scale. A clip without any block above -70 LUFS is
        returned unchanged. A clip that contains NaN or infinity becomes NaN. Annotation: ``lufs``.

    Raises:
        ValueError: For a scalar, an empty clip, more than five channels, a rate below 4000 Hz, or an invalid range.
        TypeError: For integer audio; convert it with ``to_float``.

    Example:
        >>> from artifex.generative_models.modalities.audio import integrated_loudness
        >>> noise = jax.random.normal(jax.random.key(1), (8000,))
        >>> normalized = random_loudness(noise, jax.random.key(0), (-20.0, -20.0), sample_rate=16000)
        >>> round(float(integrated_loudness(normalized, sample_rate=16000)), 1)
        -20.0

    Reference:
        ``audiomentations.LoudnessNormalization``; ITU-R BS.1770-4 (2015), annex 1.
    """
    waveform = checked_waveform("random_loudness", audio, key)
    target = check_range("lufs_range", lufs_range, minimum=-70, maximum=0, unit="LUFS")
    check_integer("sample_rate", sample_rate, minimum=4000, unit="Hz")
    return _random_loudness(waveform, key, target, int(sample_rate))


@jit(static_argnames=["sample_rate"])
def _random_loudness(waveform: Array, key: Array, lufs_range: Bounds, sample_rate: int) -> Array:
    drawn = _draw_random_loudness(key, waveform.shape, lufs_range=lufs_range)
    lufs = drawn["lufs"].astype(working_dtype(waveform.dtype))
    return loudness_normalize(waveform, lufs, sample_rate=sample_rate, channel_axis=-2 if waveform.ndim > 1 else None)
