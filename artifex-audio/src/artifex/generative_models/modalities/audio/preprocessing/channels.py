"""Channels of waveforms: downmix to mono, and mid/side stereo."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from artifex.generative_models.core.numerics import jit, working_dtype
from artifex.generative_models.modalities.audio.preprocessing.levels import as_waveforms, check_channel_axis, to_float


def to_mono(audio: ArrayLike, channel_axis: int = -2) -> jax.Array:
    """Downmix to mono by averaging the channels.

    Args:
        audio: Waveforms (..., channels, time). Integers are converted with ``to_float`` first.
        channel_axis: The channel axis, any but the last, which is time; static.

    Returns:
        (..., time), without the channel axis; float32 for integers, else the dtype of ``audio``.

    Raises:
        ValueError: When ``audio`` is a scalar or empty, or ``channel_axis`` is out of range or the time axis.
        TypeError: When ``channel_axis`` is not an integer, or ``audio`` is not real.

    Example:
        >>> import numpy as np
        >>> to_mono(np.array([[1.0, 0.5], [0.0, 0.25]])).tolist()
        [0.5, 0.375]

    Reference:
        ``librosa.to_mono``.
    """
    waveforms = as_waveforms("to_mono", audio)
    return _to_mono(waveforms, check_channel_axis("to_mono", waveforms, channel_axis))


def mid_side(audio: ArrayLike) -> jax.Array:
    """Encode left/right stereo as mid/side: half the sum and half the difference.

    Mid equals ``to_mono``, and neither exceeds the peak of the louder channel. ``from_mid_side`` is the inverse, up to
    rounding.

    Args:
        audio: Stereo (..., 2, time), left first. Integers are converted with ``to_float`` first.

    Returns:
        (..., 2, time), mid first; float32 for integers, else the dtype of ``audio``.

    Raises:
        ValueError: When the shape is not (..., 2, time), or the clip is empty.
        TypeError: When ``audio`` is not real.

    Example:
        >>> import numpy as np
        >>> mid_side(np.array([[1.0, 0.5], [0.0, 0.5]])).tolist()
        [[0.5, 0.5], [0.5, 0.0]]

    Reference:
        Blumlein, "Improvements in and relating to sound-transmission" (1931).
    """
    return _sum_and_difference(_as_stereo("mid_side", audio), 0.5)


def from_mid_side(audio: ArrayLike) -> jax.Array:
    """Decode mid/side to left/right stereo: the sum and the difference. The inverse of ``mid_side``.

    Args:
        audio: Mid/side (..., 2, time), mid first. Integers are converted with ``to_float`` first.

    Returns:
        (..., 2, time), left first; float32 for integers, else the dtype of ``audio``.

    Raises:
        ValueError: When the shape is not (..., 2, time), or the clip is empty.
        TypeError: When ``audio`` is not real.

    Example:
        >>> import numpy as np
        >>> from_mid_side(np.array([[0.5, 0.5], [0.5, 0.0]])).tolist()
        [[1.0, 0.5], [0.0, 0.5]]

    Reference:
        Blumlein, "Improvements in and relating to sound-transmission" (1931).
    """
    return _sum_and_difference(_as_stereo("from_mid_side", audio), 1.0)


def _as_stereo(name: str, audio: ArrayLike) -> jax.Array:
    waveforms = as_waveforms(name, audio)
    if waveforms.ndim < 2 or waveforms.shape[-2] != 2:
        raise ValueError(f"{name} takes two channels, (..., 2, time), got shape {waveforms.shape}")
    return waveforms


@jit(static_argnames=["axis"])
def _to_mono(audio: jax.Array, axis: int) -> jax.Array:
    audio = to_float(audio)
    return jnp.mean(audio, axis=axis, dtype=working_dtype(audio.dtype)).astype(audio.dtype)


@jit()
def _sum_and_difference(audio: jax.Array, scale: float) -> jax.Array:
    audio = to_float(audio)
    values = audio.astype(working_dtype(audio.dtype)) * scale
    first, second = values[..., 0, :], values[..., 1, :]
    return jnp.stack([first + second, first - second], axis=-2).astype(audio.dtype)
