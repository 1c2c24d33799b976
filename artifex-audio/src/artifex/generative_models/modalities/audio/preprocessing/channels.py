"""The channels of waveforms: mixed down, and stereo as mid and side."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_integer
from artifex.generative_models.core.numerics import working_dtype
from artifex.generative_models.modalities.audio.preprocessing.levels import as_waveforms, to_float


def to_mono(audio: ArrayLike, channel_axis: int = -2) -> jax.Array:
    """Mix channels down to one: their mean.

    Args:
        audio: Waveforms (..., channels, time). Integers are scaled by ``to_float`` first.
        channel_axis: Which axis the channels are on, any but the last, which is time; static.

    Returns:
        (..., time), the axis of the channels gone; float32 for integers, else the input's dtype.

    Raises:
        ValueError: For a scalar, an empty clip, no channels, or an axis that the array does not have or that is
            time.
        TypeError: For an axis that is no integer, or as ``to_float`` does.

    Example:
        >>> import numpy as np
        >>> to_mono(np.array([[1.0, 0.5], [0.0, 0.25]])).tolist()
        [0.5, 0.375]

    Reference:
        ``librosa.to_mono``.
    """
    waveforms = as_waveforms("to_mono", audio)
    mono: jax.Array = _to_mono(waveforms, check_channel_axis("to_mono", waveforms, channel_axis))
    return mono


def mid_side(audio: ArrayLike) -> jax.Array:
    """Turn stereo, left and right, into mid and side: half the sum, and half the difference.

    Mid is what ``to_mono`` gives, and neither exceeds the louder channel. ``from_mid_side`` undoes it, to the
    rounding of the sums.

    Args:
        audio: Stereo (..., 2, time), left first. Integers are scaled by ``to_float`` first.

    Returns:
        (..., 2, time), mid first; float32 for integers, else the input's dtype.

    Raises:
        ValueError: For a shape that is not (..., 2, time), or an empty clip.
        TypeError: As ``to_float`` does.

    Example:
        >>> import numpy as np
        >>> mid_side(np.array([[1.0, 0.5], [0.0, 0.5]])).tolist()
        [[0.5, 0.5], [0.5, 0.0]]

    Reference:
        Blumlein, "Improvements in and relating to sound-transmission" (1931).
    """
    turned: jax.Array = _sum_and_difference(_stereo("mid_side", audio), 0.5)
    return turned


def from_mid_side(audio: ArrayLike) -> jax.Array:
    """Turn mid and side into left and right, their sum and their difference: the inverse of ``mid_side``.

    Args:
        audio: Mid and side (..., 2, time), mid first, as ``mid_side`` gives them. Integers are scaled by
            ``to_float`` first.

    Returns:
        (..., 2, time), left first; float32 for integers, else the input's dtype.

    Raises:
        ValueError: For a shape that is not (..., 2, time), or an empty clip.
        TypeError: As ``to_float`` does.

    Example:
        >>> import numpy as np
        >>> from_mid_side(np.array([[0.5, 0.5], [0.5, 0.0]])).tolist()
        [[1.0, 0.5], [0.0, 0.5]]

    Reference:
        Blumlein, "Improvements in and relating to sound-transmission" (1931).
    """
    turned: jax.Array = _sum_and_difference(_stereo("from_mid_side", audio), 1.0)
    return turned


def check_channel_axis(name: str, audio: jax.Array, channel_axis: int) -> int:
    """Return the axis of the channels counted from the end, or say why it is none.

    Args:
        name: The function's name, for the message.
        audio: Waveforms.
        channel_axis: The axis given for the channels.

    Returns:
        The same axis, from -2 downward.

    Raises:
        ValueError: For an axis that the array does not have, that is time, or that is empty.
        TypeError: For what is no integer.

    Example:
        >>> check_channel_axis("to_mono", jnp.zeros((3, 2, 8)), 1)
        -2
    """
    check_integer("channel_axis", channel_axis)
    axis = channel_axis - audio.ndim if channel_axis >= 0 else channel_axis
    if not -audio.ndim <= axis <= -2:
        raise ValueError(
            f"{name} takes waveforms (..., channels, time) and the axis of the channels, any but the last; got "
            f"shape {audio.shape} and channel_axis={channel_axis}"
        )
    if not audio.shape[axis]:
        raise ValueError(f"{name} takes at least one channel, got shape {audio.shape} with channel_axis={channel_axis}")
    return int(axis)


def _stereo(name: str, audio: ArrayLike) -> jax.Array:
    waveforms = as_waveforms(name, audio)
    if waveforms.ndim < 2 or waveforms.shape[-2] != 2:
        raise ValueError(f"{name} takes two channels, (..., 2, time), got shape {waveforms.shape}")
    return waveforms


@partial(jax.jit, static_argnames="axis")
def _to_mono(audio: jax.Array, axis: int) -> jax.Array:
    audio = to_float(audio)
    return jnp.mean(audio, axis=axis, dtype=working_dtype(audio.dtype)).astype(audio.dtype)


@jax.jit
def _sum_and_difference(audio: jax.Array, scale: jax.Array) -> jax.Array:
    audio = to_float(audio)
    values = audio.astype(working_dtype(audio.dtype)) * scale
    first, second = values[..., 0, :], values[..., 1, :]
    return jnp.stack([first + second, first - second], axis=-2).astype(audio.dtype)
