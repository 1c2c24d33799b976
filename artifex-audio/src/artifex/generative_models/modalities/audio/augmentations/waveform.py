"""Random changes of one waveform: in time, in duration, in noise, in level."""

from __future__ import annotations

import math
import numbers
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_choice, check_integer, check_number
from artifex.generative_models.core.numerics import working_dtype
from artifex.generative_models.modalities.audio.preprocessing import as_waveforms
from artifex.generative_models.modalities.audio.representations import spectral_extension

Bound = float | jax.Array


def time_shift(audio: ArrayLike, key: jax.Array, max_shift: int | jax.Array = 1600, *, mode: str = "wrap") -> jax.Array:
    """Move a clip in time by a random number of samples.

    Args:
        audio: One waveform (..., time), floating point or integers; leading axes, such as channels, move
            together.
        key: Decides the shift.
        max_shift: The largest shift in samples, at least 0; every integer in [-max_shift, max_shift] is as
            likely. May be traced.
        mode: ``"wrap"`` brings what leaves at one end in at the other; ``"fill"`` leaves silence (the middle
            of the range of unsigned integers). A shift of the whole length or more then leaves nothing else.

    Returns:
        The same shape and dtype. A positive shift is a delay.

    Raises:
        ValueError: For a scalar, an empty clip, a negative ``max_shift`` or an unknown mode.
        TypeError: For a dtype that is no audio.

    Example:
        >>> audio = jnp.arange(6.0)
        >>> sorted(time_shift(audio, jax.random.key(0), max_shift=2).tolist())
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]

    Reference:
        ``audiomentations.Shift``.
    """
    numerics.check_key("time_shift", key)
    waveform = as_waveforms("time_shift", audio)
    if not isinstance(max_shift, jax.Array):
        check_integer("max_shift", max_shift, minimum=0, unit="samples")
    check_choice("mode", mode, choices=("wrap", "fill"))
    shifted: jax.Array = _time_shift(waveform, key, max_shift, mode)
    return shifted


def time_stretch(
    audio: ArrayLike,
    key: jax.Array,
    rate_range: tuple[float, float] = (0.8, 1.2),
    *,
    tail: str = "wrap",
    n_fft: int | None = None,
    hop_length: int | None = None,
) -> jax.Array:
    """Play a clip faster or slower by a random rate: the pitch stays, and so does the length of the array.

    The work is done by the phase vocoder of the extension ``"spectral"``, found by name. As with librosa's, noisy
    sound loses 2 to 4 dB at any rate but 1, since its phases no longer add up; normalise afterwards where a model must
    not tell a stretched clip by its level.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the rate.
        key: Decides the rate.
        rate_range: The least and the greatest rate, above 0, uniform between them; above 1 is faster. Static,
            since the greatest rate decides how much of the clip is needed again.
        tail: What follows where a faster clip ends early. ``"wrap"`` goes on with its beginning, so that no
            rate can be told by its silent tail: the choice for steady sounds, music, tagging. ``"zeros"``
            pads with silence, as librosa and audiomentations users expect: the choice where the clip must be
            heard once, as with transcripts or onsets. A slower clip loses its end either way.
        n_fft: Samples in a frame of the vocoder. None means 1024, or in a shorter clip the largest power of
            two that it holds, at least 16. 2048 suits music at 44 100 Hz.
        hop_length: Samples from frame to frame, at most ``n_fft``; None means ``n_fft // 4``.

    Returns:
        The same shape and dtype.

    Raises:
        MissingDependencyError: Without artifex-spectral.
        ValueError: For a scalar, an empty clip, a range out of order or not above 0, or an unknown tail.
        TypeError: For integers, which ``to_float`` makes floats, or a range that is traced.

    Example:
        >>> tone = jnp.sin(jnp.arange(4000) * 0.2)
        >>> time_stretch(tone, jax.random.key(0), rate_range=(0.9, 1.1)).shape
        (4000,)

    Reference:
        ``librosa.effects.time_stretch``.
    """
    numerics.check_key("time_stretch", key)
    waveform = _floating("time_stretch", audio)
    low, high = _pair("rate_range", rate_range)
    check_number("rate_range[0]", low, above=0)
    check_number("rate_range[1]", high, above=0)
    check_choice("tail", tail, choices=("wrap", "zeros"))
    length = waveform.shape[-1]
    n_fft = min(1024, max(16, 1 << (length.bit_length() - 1))) if n_fft is None else n_fft
    check_integer("n_fft", n_fft, minimum=4, unit="samples")
    hop_length = n_fft // 4 if hop_length is None else hop_length
    check_integer("hop_length", hop_length, minimum=1, maximum=n_fft, unit="samples")
    # The vocoder uses no mel filter; one is the number that fits every n_fft.
    extension = spectral_extension("time_stretch", n_fft=n_fft, hop_length=hop_length, n_mels=1)
    # The last frames of the fastest version reach half a frame beyond what is kept of it.
    ahead = max(0, math.ceil(length * high) - length) + n_fft // 2 if tail == "wrap" else 0
    stretched: jax.Array = _time_stretch(waveform, key, float(low), float(high), extension, ahead)
    return stretched


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
    waveform = _floating("add_gaussian_noise", audio)
    if isinstance(noise_level, numbers.Number):
        check_number("noise_level", noise_level, minimum=0)
    noisy: jax.Array = _add_gaussian_noise(waveform, key, noise_level)
    return noisy


def random_gain(
    audio: ArrayLike, key: jax.Array, gain_range: tuple[Bound, Bound] | jax.Array = (0.7, 1.3)
) -> jax.Array:
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
        >>> gained = random_gain(jnp.ones(3), jax.random.key(0), gain_range=(0.5, 0.5))
        >>> gained.tolist()
        [0.5, 0.5, 0.5]
    """
    numerics.check_key("random_gain", key)
    waveform = _floating("random_gain", audio)
    low, high = _pair("gain_range", gain_range)
    for place, bound in enumerate((low, high)):
        if isinstance(bound, numbers.Number):
            check_number(f"gain_range[{place}]", bound, minimum=0)
    gained: jax.Array = _random_gain(waveform, key, low, high)
    return gained


def _floating(name: str, audio: ArrayLike) -> jax.Array:
    waveform = as_waveforms(name, audio)
    if jnp.issubdtype(waveform.dtype, jnp.integer):
        raise TypeError(
            f"{name} takes floating-point audio, got {waveform.dtype}: to_float(audio) scales it to [-1, 1]"
        )
    return waveform


def _pair(name: str, bounds: Any) -> tuple[Any, Any]:
    try:
        low, high = bounds
    except (TypeError, ValueError):
        raise ValueError(f"{name} is a pair (least, greatest), got {bounds!r}") from None
    if isinstance(low, numbers.Real) and isinstance(high, numbers.Real) and low > high:
        raise ValueError(f"{name} is a pair (least, greatest), got {low!r} above {high!r}")
    return low, high


@partial(jax.jit, static_argnames="mode")
def _time_shift(waveform: jax.Array, key: jax.Array, max_shift: ArrayLike, mode: str) -> jax.Array:
    length = waveform.shape[-1]
    shift = numerics.randint(key, (), -jnp.asarray(max_shift), jnp.asarray(max_shift) + 1)
    if mode == "wrap":
        source = jnp.arange(length) - shift % length
        return jnp.take(waveform, jnp.where(source < 0, source + length, source), axis=-1, mode="clip")
    source = jnp.arange(length) - jnp.clip(shift, -length, length)
    moved = jnp.take(waveform, source, axis=-1, mode="clip")
    return jnp.where((source >= 0) & (source < length), moved, _silence(waveform.dtype))


def _silence(dtype: Any) -> jax.Array:
    unsigned = jnp.issubdtype(dtype, jnp.unsignedinteger)
    return jnp.asarray(2 ** (np.iinfo(dtype).bits - 1) if unsigned else 0, dtype)


@partial(jax.jit, static_argnames=("extension", "ahead"))
def _time_stretch(
    waveform: jax.Array, key: jax.Array, low: ArrayLike, high: ArrayLike, extension: Any, ahead: int
) -> jax.Array:
    length = waveform.shape[-1]
    values = waveform.astype(working_dtype(waveform.dtype))
    rate = _uniform(key, low, high, values.dtype)
    continued = jnp.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, ahead)], mode="wrap")
    stretched: jax.Array = extension.time_stretch(continued, rate, length=length)
    return stretched.astype(waveform.dtype)


@jax.jit
def _add_gaussian_noise(waveform: jax.Array, key: jax.Array, noise_level: ArrayLike) -> jax.Array:
    working = working_dtype(waveform.dtype)
    noise = jnp.asarray(noise_level, working) * numerics.normal(key, waveform.shape, working)
    return (waveform.astype(working) + noise).astype(waveform.dtype)


@jax.jit
def _random_gain(waveform: jax.Array, key: jax.Array, low: ArrayLike, high: ArrayLike) -> jax.Array:
    working = working_dtype(waveform.dtype)
    return (waveform.astype(working) * _uniform(key, low, high, working)).astype(waveform.dtype)


def _uniform(key: jax.Array, low: ArrayLike, high: ArrayLike, dtype: Any) -> jax.Array:
    return numerics.uniform(key, (), dtype, minval=jnp.asarray(low, dtype), maxval=jnp.asarray(high, dtype))
