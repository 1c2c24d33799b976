"""Overlapping frames of waveforms, and their overlap-add."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_integer
from artifex.generative_models.core.numerics import framing, jit, working_dtype
from artifex.generative_models.modalities.audio.preprocessing.levels import as_waveforms, to_float


def frame(audio: ArrayLike, frame_length: int, hop_length: int) -> jax.Array:
    """Cut waveforms into overlapping frames. Samples after the last complete frame are dropped.

    There is no padding. For centered frames, pad the waveforms by half a frame at both ends first.

    Args:
        audio: Waveforms (..., time) with at least ``frame_length`` samples.
        frame_length: Samples per frame, at least 1; static.
        hop_length: Samples between the starts of successive frames, at least 1; static. May exceed ``frame_length``.

    Returns:
        Frames (..., n_frames, frame_length) in the dtype of ``audio``, where n_frames is
        ``1 + (time - frame_length) // hop_length``.

    Raises:
        ValueError: When ``audio`` is a scalar or shorter than a frame, or a length is below 1.
        TypeError: When a length is not an integer, or ``audio`` is not real.

    Example:
        >>> import numpy as np
        >>> frame(np.arange(6, dtype=np.int16), frame_length=4, hop_length=2).tolist()
        [[0, 1, 2, 3], [2, 3, 4, 5]]

    Reference:
        ``librosa.util.frame``, with the last two axes swapped.
    """
    waveforms = as_waveforms("frame", audio)
    check_integer("frame_length", frame_length, minimum=1, unit="samples")
    check_integer("hop_length", hop_length, minimum=1, unit="samples")
    if waveforms.shape[-1] < frame_length:
        raise ValueError(
            f"frame takes waveforms (..., time) of at least frame_length={frame_length} samples, got shape "
            f"{waveforms.shape}: pad them, for example with trim_or_pad, or use shorter frames"
        )
    return _frame(waveforms, int(frame_length), int(hop_length))


def overlap_add(frames: ArrayLike, hop_length: int) -> jax.Array:
    """Sum overlapping frames: the adjoint of ``frame``.

    Where the windows applied to the frames sum to 1, the result is the original waveform. Periodic Hann windows with a
    hop of a half or a quarter of their length sum to a constant.

    Args:
        frames: Frames (..., n_frames, frame_length). Integers are converted with ``to_float`` first.
        hop_length: Samples between the starts of successive frames, at least 1; static.

    Returns:
        Waveforms (..., (n_frames - 1) * hop_length + frame_length); float32 for integers, else the dtype of ``frames``.

    Raises:
        ValueError: When there are fewer than two axes, no frames or no samples, or ``hop_length`` is below 1.
        TypeError: When ``hop_length`` is not an integer, or ``frames`` is not real.

    Example:
        >>> import numpy as np
        >>> overlap_add(np.ones((3, 4), np.float32), hop_length=2).tolist()
        [1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0]

    Reference:
        Allen and Rabiner, "A unified approach to short-time Fourier analysis and synthesis" (1977).
    """
    array = as_waveforms("overlap_add", frames)
    if array.ndim < 2 or not array.shape[-2]:
        raise ValueError(
            f"overlap_add takes frames (..., n_frames, frame_length), at least one, got shape {array.shape}"
        )
    check_integer("hop_length", hop_length, minimum=1, unit="samples")
    return _overlap_add(array, int(hop_length))


@jit(static_argnames=["frame_length", "hop_length"])
def _frame(audio: jax.Array, frame_length: int, hop_length: int) -> jax.Array:
    n_frames = 1 + (audio.shape[-1] - frame_length) // hop_length
    total = (n_frames - 1 + -(-frame_length // hop_length)) * hop_length  # cut_frames needs complete hops
    padding = [(0, 0, 0)] * (audio.ndim - 1) + [(0, total - audio.shape[-1], 0)]
    padded = lax.pad(audio, jnp.zeros((), audio.dtype), padding)
    return framing.cut_frames(padded, frame_length=frame_length, hop_length=hop_length, n_frames=n_frames)


@jit(static_argnames=["hop_length"])
def _overlap_add(frames: jax.Array, hop_length: int) -> jax.Array:
    frames = to_float(frames)
    n_frames, frame_length = frames.shape[-2:]
    length = (n_frames - 1) * hop_length + frame_length
    values = frames.astype(working_dtype(frames.dtype))
    return framing.overlap_add(values, hop_length=hop_length)[..., :length].astype(frames.dtype)
