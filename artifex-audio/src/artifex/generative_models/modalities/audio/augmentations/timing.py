"""Random changes of where things are in a waveform: shifts."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_choice, check_integer
from artifex.generative_models.modalities.audio.annotations import annotated
from artifex.generative_models.modalities.audio.augmentations.draws import Drawn
from artifex.generative_models.modalities.audio.preprocessing import as_waveforms


@annotated
def time_shift(audio: ArrayLike, key: jax.Array, max_shift: int | jax.Array = 1600, *, mode: str = "wrap") -> Drawn:
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
    changed: Drawn = _time_shift(waveform, key, max_shift, mode)
    return changed


@partial(jax.jit, static_argnames="mode")
def _time_shift(waveform: jax.Array, key: jax.Array, max_shift: ArrayLike, mode: str) -> Drawn:
    length = waveform.shape[-1]
    shift = numerics.randint(key, (), -jnp.asarray(max_shift), jnp.asarray(max_shift) + 1)
    if mode == "wrap":
        source = jnp.arange(length) - shift % length
        source = jnp.where(source < 0, source + length, source)
        return jnp.take(waveform, source, axis=-1, mode="clip"), {"shift": shift}
    source = jnp.arange(length) - jnp.clip(shift, -length, length)
    moved = jnp.take(waveform, source, axis=-1, mode="clip")
    return jnp.where((source >= 0) & (source < length), moved, _silence(waveform.dtype)), {"shift": shift}


def _silence(dtype: Any) -> jax.Array:
    unsigned = jnp.issubdtype(dtype, jnp.unsignedinteger)
    return jnp.asarray(2 ** (np.iinfo(dtype).bits - 1) if unsigned else 0, dtype)
