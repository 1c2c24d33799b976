"""Random changes of a waveform's level: gain, loudness, polarity."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_integer, check_range
from artifex.generative_models.core.numerics import working_dtype
from artifex.generative_models.modalities.audio.annotations import annotated
from artifex.generative_models.modalities.audio.augmentations.draws import Drawn, as_float, draw_uniform
from artifex.generative_models.modalities.audio.preprocessing.levels import normalize_audio
from artifex.generative_models.modalities.audio.preprocessing.loudness import loudness_normalize

_Range = tuple[ArrayLike, ArrayLike] | jax.Array


@annotated
def random_gain(
    audio: ArrayLike, key: jax.Array, gain_range: tuple[ArrayLike, ArrayLike] | jax.Array = (0.7, 1.3)
) -> Drawn:
    """Multiply a clip by a random gain.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the gain.
        key: Decides the gain.
        gain_range: The least and the greatest gain, factors of at least 0, uniform between them. May be
            traced.

    Returns:
        The same shape and dtype, not clipped: a gain above 1 can exceed full scale.

    Raises:
        ValueError: For a scalar, an empty clip, a negative gain or a range out of order.
        TypeError: For integers, which ``to_float`` makes floats.

    Example:
        >>> import jax.numpy as jnp
        >>> gained = random_gain(jnp.ones(3), jax.random.key(0), gain_range=(0.5, 0.5))
        >>> gained.tolist()
        [0.5, 0.5, 0.5]
    """
    numerics.check_key("random_gain", key)
    waveform = as_float("random_gain", audio)
    changed: Drawn = _random_gain(waveform, key, *check_range("gain_range", gain_range, minimum=0))
    return changed


@jax.jit
def _random_gain(waveform: jax.Array, key: jax.Array, low: ArrayLike, high: ArrayLike) -> Drawn:
    working = working_dtype(waveform.dtype)
    gain = draw_uniform(key, (low, high), dtype=working)
    return (waveform.astype(working) * gain).astype(waveform.dtype), {"gain": gain}


@annotated
def gain_transition(
    audio: ArrayLike,
    key: jax.Array,
    gain_db_range: _Range = (-24.0, 6.0),
    duration_range: _Range = (0.2, 6.0),
    *,
    sample_rate: int = 16000,
) -> Drawn:
    """Fade a clip from one random gain to another, the gain in dB going along a straight line.

    Before the fade the first gain holds, after it the second. The fade begins anywhere from its own duration
    before the clip to the clip's end, so that a clip can begin or end in the middle of it.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the fade.
        key: Decides the two gains, the duration and the place.
        gain_db_range: The least and the greatest gain, dB, uniform between them. May be traced.
        duration_range: The shortest and the longest fade, seconds above 0, uniform between them. May be traced.
        sample_rate: Samples per second, Hz; static.

    Returns:
        The same shape and dtype, not clipped. Its annotations are ``gain_db`` (2,), before and after, and
        ``duration`` and ``start`` in seconds.

    Raises:
        ValueError: For a scalar, an empty clip, a duration of 0 or less, or a range out of order.
        TypeError: For integers, which ``to_float`` makes floats.

    Example:
        >>> faded = gain_transition(jnp.ones(4), jax.random.key(0), (-20.0, -20.0))
        >>> faded.round(6).tolist() == [0.1] * 4
        False
        >>> bool(jnp.allclose(faded, 0.1))
        True

    Reference:
        ``audiomentations.GainTransition``.
    """
    numerics.check_key("gain_transition", key)
    waveform = as_float("gain_transition", audio)
    gains = check_range("gain_db_range", gain_db_range, unit="dB")
    durations = check_range("duration_range", duration_range, above=0, unit="seconds")
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    changed: Drawn = _gain_transition(waveform, key, gains, durations, int(sample_rate))
    return changed


@partial(jax.jit, static_argnames="sample_rate")
def _gain_transition(
    waveform: jax.Array,
    key: jax.Array,
    gains: tuple[ArrayLike, ArrayLike],
    durations: tuple[ArrayLike, ArrayLike],
    sample_rate: int,
) -> Drawn:
    working = working_dtype(waveform.dtype)
    first, second, third, fourth = jax.random.split(key, 4)
    gain_db = jnp.stack([draw_uniform(first, gains, dtype=working), draw_uniform(second, gains, dtype=working)])
    duration = draw_uniform(third, durations, dtype=working)
    length = waveform.shape[-1]
    start = draw_uniform(fourth, (-duration, length / sample_rate), dtype=working)
    time = jnp.arange(length, dtype=working)
    passed = jnp.clip((time - start * sample_rate) / (duration * sample_rate), 0, 1)
    gain = _from_db(gain_db[0] + (gain_db[1] - gain_db[0]) * passed)
    changed = (waveform.astype(working) * gain).astype(waveform.dtype)
    return changed, {"gain_db": gain_db, "duration": duration, "start": start}


def _from_db(level: jax.Array) -> jax.Array:
    return jnp.exp(level * (math.log(10) / 20))


def invert_polarity(audio: ArrayLike, key: jax.Array) -> jax.Array:
    """Turn a clip upside down, which is not heard but looks different to a network.

    Nothing is drawn: ``with_probability(0.5, "invert_polarity")`` does it at random.

    Args:
        audio: One waveform (..., time), floating point, full scale 1.
        key: Not used; every augmentation takes one.

    Returns:
        The same shape and dtype, its sign changed.

    Raises:
        ValueError: For a scalar or an empty clip.
        TypeError: For integers, which ``to_float`` makes floats.

    Example:
        >>> invert_polarity(jnp.array([0.5, -0.25]), jax.random.key(0)).tolist()
        [-0.5, 0.25]

    Reference:
        ``audiomentations.PolarityInversion``.
    """
    numerics.check_key("invert_polarity", key)
    return -as_float("invert_polarity", audio)


invert_polarity.draws = False  # type: ignore[attr-defined]


def normalize(audio: ArrayLike, key: jax.Array, *, threshold: ArrayLike = 0.0) -> jax.Array:
    """Bring the peak of a clip to 1: ``normalize_audio`` as a step of a policy.

    Nothing is drawn: ``with_probability(0.5, "normalize")`` does it at random.

    Args:
        audio: One waveform (..., time), floating point; leading axes are channels of one clip, which keep their
            balance: the peak is that of all of them.
        key: Not used; every augmentation takes one.
        threshold: The peak, full scale 1, up to which a clip counts as silence and is left as it is, at least 0.
            May be traced.

    Returns:
        The same shape and dtype; NaN throughout for a clip that holds NaN or infinity.

    Raises:
        ValueError: For a scalar, an empty clip, or a threshold below 0.
        TypeError: For integers, which ``to_float`` makes floats.

    Example:
        >>> normalize(jnp.array([[0.5, -0.25], [0.125, 0.0]]), jax.random.key(0)).tolist()
        [[1.0, -0.5], [0.25, 0.0]]

    Reference:
        ``audiomentations.Normalize``.
    """
    numerics.check_key("normalize", key)
    waveform = as_float("normalize", audio)
    return normalize_audio(waveform.reshape(-1), threshold=threshold).reshape(waveform.shape)


normalize.draws = False  # type: ignore[attr-defined]


@annotated
def random_loudness(
    audio: ArrayLike, key: jax.Array, lufs_range: _Range = (-31.0, -13.0), *, sample_rate: int = 16000
) -> Drawn:
    """Bring a clip to a random integrated loudness, measured as broadcasters do.

    Args:
        audio: One waveform (time,), or (channels, time) with at most five channels, floating point, full scale 1.
            Channels are measured together and share the gain; further axes in front share the target alone.
        key: Decides the loudness.
        lufs_range: The least and the greatest loudness, LUFS from -70 to 0, uniform between them. May be traced.
        sample_rate: Samples per second, Hz, at least 4000; static.

    Returns:
        The same shape and dtype, not clipped: peaks can exceed full scale. A clip no part of which is above
        -70 LUFS comes back as it is, one that holds NaN or infinity as NaN.

    Raises:
        ValueError: For a scalar, an empty clip, more than five channels, a rate below 4000 Hz, or a range that is
            out of order or of bounds.
        TypeError: For integers, which ``to_float`` makes floats.

    Example:
        >>> from artifex.generative_models.modalities.audio import integrated_loudness
        >>> noise = jax.random.normal(jax.random.key(1), (8000,))
        >>> louder = random_loudness(noise, jax.random.key(0), (-20.0, -20.0))
        >>> round(float(integrated_loudness(louder, sample_rate=16000)), 1)
        -20.0

    Reference:
        ``audiomentations.LoudnessNormalization``; ITU-R BS.1770-4 (2015), annex 1.
    """
    numerics.check_key("random_loudness", key)
    waveform = as_float("random_loudness", audio)
    target = check_range("lufs_range", lufs_range, minimum=-70, maximum=0, unit="LUFS")
    check_integer("sample_rate", sample_rate, minimum=4000, unit="Hz")
    changed: Drawn = _random_loudness(waveform, key, *target, int(sample_rate))
    return changed


@partial(jax.jit, static_argnames="sample_rate")
def _random_loudness(waveform: jax.Array, key: jax.Array, low: ArrayLike, high: ArrayLike, sample_rate: int) -> Drawn:
    lufs = draw_uniform(key, (low, high), dtype=working_dtype(waveform.dtype))
    channel_axis = -2 if waveform.ndim > 1 else None
    return loudness_normalize(waveform, lufs, sample_rate=sample_rate, channel_axis=channel_axis), {"lufs": lufs}
