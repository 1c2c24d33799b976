"""Overlapping frames of waveforms, and the waveform that overlapping frames add up to."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_integer
from artifex.generative_models.core.numerics import working_dtype
from artifex.generative_models.modalities.audio.preprocessing.levels import as_waveforms, to_float

# Above this many frames over one sample, shifted blocks make a graph too large.
_MOST_BLOCKS = 32


def frame(audio: ArrayLike, frame_length: int, hop_length: int) -> jax.Array:
    """Cut clips into frames that start a hop apart; samples after the last whole frame are left out.

    Nothing is padded: for frames centered on their times, pad the clip by half a frame on both sides first.

    Args:
        audio: Waveforms (..., time) of at least ``frame_length`` samples.
        frame_length: Samples of a frame, at least 1; static.
        hop_length: Samples from the start of one frame to that of the next, at least 1; static. Above
            ``frame_length`` some samples are in no frame.

    Returns:
        (..., n_frames, frame_length) in the input's dtype; n_frames is
        ``1 + (time - frame_length) // hop_length``.

    Raises:
        ValueError: For a scalar, a clip shorter than a frame, or a length below 1.
        TypeError: For a length that is no integer, or as ``to_float`` does.

    Example:
        >>> import numpy as np
        >>> frame(np.arange(6, dtype=np.int16), frame_length=4, hop_length=2).tolist()
        [[0, 1, 2, 3], [2, 3, 4, 5]]

    Reference:
        ``librosa.util.frame``, its last two axes swapped.
    """
    waveforms = as_waveforms("frame", audio)
    check_integer("frame_length", frame_length, minimum=1, unit="samples")
    check_integer("hop_length", hop_length, minimum=1, unit="samples")
    if waveforms.shape[-1] < frame_length:
        raise ValueError(
            f"frame takes waveforms (..., time) of at least frame_length={frame_length} samples, got shape "
            f"{waveforms.shape}: pad them, such as with trim_or_pad, or shorten the frames"
        )
    frames: jax.Array = _frame(waveforms, int(frame_length), int(hop_length))
    return frames


def overlap_add(frames: ArrayLike, hop_length: int) -> jax.Array:
    """Add frames up, each a hop later than the one before: the adjoint of ``frame``.

    Where windows that were laid on the frames add up to 1, as Hann windows a half or a quarter apart do up to a
    factor, the sum is the waveform that was cut.

    Args:
        frames: Frames (..., n_frames, frame_length). Integers are scaled by ``to_float`` first.
        hop_length: Samples from the start of one frame to that of the next, at least 1; static.

    Returns:
        Waveforms (..., (n_frames - 1) * hop_length + frame_length); float32 for integers, else the input's
        dtype.

    Raises:
        ValueError: For less than two axes, no frames, empty frames, or a hop below 1.
        TypeError: For a hop that is no integer, or as ``to_float`` does.

    Example:
        >>> import numpy as np
        >>> overlap_add(np.ones((3, 4), np.float32), hop_length=2).tolist()
        [1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0]

    Reference:
        Allen and Rabiner, "A unified approach to short-time Fourier analysis and synthesis" (1977).
    """
    cut = as_waveforms("overlap_add", frames)
    if cut.ndim < 2 or not cut.shape[-2]:
        raise ValueError(f"overlap_add takes frames (..., n_frames, frame_length), at least one, got shape {cut.shape}")
    check_integer("hop_length", hop_length, minimum=1, unit="samples")
    added: jax.Array = _overlap_add(cut, int(hop_length))
    return added


@partial(jax.jit, static_argnames=("frame_length", "hop_length"))
def _frame(audio: jax.Array, frame_length: int, hop_length: int) -> jax.Array:
    # What is fastest differs: slices are copies on a CPU, but gathers elsewhere.
    slices = partial(_by_slices, frame_length=frame_length, hop_length=hop_length)
    blocks = partial(_by_blocks, frame_length=frame_length, hop_length=hop_length)
    others = blocks if -(-frame_length // hop_length) <= _MOST_BLOCKS else slices
    cut: jax.Array = lax.platform_dependent(audio, cpu=slices, default=others)
    return cut


def _by_slices(audio: jax.Array, *, frame_length: int, hop_length: int) -> jax.Array:
    starts = hop_length * jnp.arange(1 + (audio.shape[-1] - frame_length) // hop_length)
    return jax.vmap(lambda start: lax.dynamic_slice_in_dim(audio, start, frame_length, axis=-1), out_axes=-2)(starts)


def _by_blocks(audio: jax.Array, *, frame_length: int, hop_length: int) -> jax.Array:
    """Put blocks of a hop side by side."""
    n_frames, n_blocks = 1 + (audio.shape[-1] - frame_length) // hop_length, -(-frame_length // hop_length)
    total = (n_frames - 1 + n_blocks) * hop_length
    batch = [(0, 0, 0)] * (audio.ndim - 1)
    whole = lax.pad(audio, jnp.zeros((), audio.dtype), [*batch, (0, total - audio.shape[-1], 0)])
    blocks = whole.reshape(*audio.shape[:-1], -1, hop_length)
    pieces = [blocks[..., k : k + n_frames, : frame_length - k * hop_length] for k in range(n_blocks)]
    return jnp.concatenate(pieces, axis=-1)


@partial(jax.jit, static_argnames="hop_length")
def _overlap_add(frames: jax.Array, hop_length: int) -> jax.Array:
    frames = to_float(frames)
    values = frames.astype(working_dtype(frames.dtype))
    n_frames, frame_length = values.shape[-2:]
    length, n_blocks = (n_frames - 1) * hop_length + frame_length, -(-frame_length // hop_length)
    if n_blocks > _MOST_BLOCKS:
        places = hop_length * jnp.arange(n_frames)[:, None] + jnp.arange(frame_length)
        return jnp.zeros((*values.shape[:-2], length), values.dtype).at[..., places].add(values).astype(frames.dtype)
    batch = [(0, 0)] * (values.ndim - 2)
    blocks = jnp.pad(values, [*batch, (0, 0), (0, n_blocks * hop_length - frame_length)])
    blocks = blocks.reshape(*values.shape[:-1], n_blocks, hop_length)
    total = sum(jnp.pad(blocks[..., k, :], [*batch, (k, n_blocks - 1 - k), (0, 0)]) for k in range(n_blocks))
    return jnp.asarray(total).reshape(*values.shape[:-2], -1)[..., :length].astype(frames.dtype)
