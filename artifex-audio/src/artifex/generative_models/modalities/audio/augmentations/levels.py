"""Random changes of a waveform's level."""

from __future__ import annotations

import jax
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.numerics import working_dtype
from artifex.generative_models.modalities.audio.annotations import annotated
from artifex.generative_models.modalities.audio.augmentations.draws import Drawn, floating, pair, uniform


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
    waveform = floating("random_gain", audio)
    changed: Drawn = _random_gain(waveform, key, *pair("gain_range", gain_range, minimum=0))
    return changed


@jax.jit
def _random_gain(waveform: jax.Array, key: jax.Array, low: ArrayLike, high: ArrayLike) -> Drawn:
    working = working_dtype(waveform.dtype)
    gain = uniform(key, low, high, working)
    return (waveform.astype(working) * gain).astype(waveform.dtype), {"gain": gain}
