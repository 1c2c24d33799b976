"""The length of waveforms: cut and padded."""

from __future__ import annotations

import numbers
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_integer, check_number


def trim_or_pad(audio: ArrayLike, target_length: int, pad_value: ArrayLike = 0.0) -> jax.Array:
    """Bring clips to one length: cut at the end, or continued with a constant.

    Args:
        audio: Waveforms (..., time) of any dtype; ``time`` may be 0.
        target_length: The new length in samples, at least 0; static.
        pad_value: What follows a shorter clip. In unsigned integers silence is the middle of the range, 128
            for 8 bits. May be traced.

    Returns:
        (..., target_length) in the input's dtype.

    Raises:
        ValueError: For a scalar, a negative length, or a pad value that the dtype cannot hold.
        TypeError: For a length that is no integer.

    Example:
        >>> trim_or_pad(np.array([[1, 2, 3], [4, 5, 6]], np.int16), 4).tolist()
        [[1, 2, 3, 0], [4, 5, 6, 0]]

    Reference:
        ``librosa.util.fix_length``.
    """
    waveforms = jnp.asarray(audio)
    if not waveforms.ndim:
        raise ValueError("trim_or_pad takes waveforms (..., time), got a scalar")
    check_integer("target_length", target_length, minimum=0, unit="samples")
    if isinstance(pad_value, numbers.Number):
        check_number("pad_value", pad_value)
        if jnp.issubdtype(waveforms.dtype, jnp.integer):
            _check_held("pad_value", pad_value, waveforms.dtype)
    padding = jnp.asarray(pad_value).astype(waveforms.dtype)
    fitted: jax.Array = _trim_or_pad(waveforms, padding, int(target_length))
    return fitted


def _check_held(name: str, value: Any, dtype: Any) -> None:
    bounds = np.iinfo(dtype)
    if value != int(value) or not bounds.min <= value <= bounds.max:
        raise ValueError(
            f"{name} must be an integer from {bounds.min} to {bounds.max} for {dtype} audio, got {value!r}"
        )


@partial(jax.jit, static_argnames="target_length")
def _trim_or_pad(audio: jax.Array, pad_value: jax.Array, target_length: int) -> jax.Array:
    kept = audio[..., :target_length]
    missing = (0, target_length - kept.shape[-1], 0)
    return jax.lax.pad(kept, pad_value, [(0, 0, 0)] * (kept.ndim - 1) + [missing])
