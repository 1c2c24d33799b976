"""Framing and overlap-add."""

from functools import partial
from typing import cast

import jax
import jax.numpy as jnp
from jax import Array, lax

# With more frames per sample than this, the graph of shifted blocks becomes too large.
_MAX_BLOCKS = 32


def cut_frames(signal: Array, *, frame_length: int, hop_length: int, n_frames: int) -> Array:
    """Cut a signal into overlapping frames.

    Args:
        signal: (..., time), with at least ``(n_frames - 1 + ceil(frame_length / hop_length)) * hop_length`` samples.
        frame_length: Number of samples per frame.
        hop_length: Number of samples between the starts of adjacent frames.
        n_frames: Number of frames.

    Returns:
        Frames (..., n_frames, frame_length).

    Example:
        >>> cut_frames(jnp.arange(8), frame_length=4, hop_length=2, n_frames=3).tolist()
        [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7]]
    """
    # XLA compiles the slices to copies on CPU, but to slow gathers on other devices.
    slices = partial(frames_by_slices, frame_length=frame_length, hop_length=hop_length, n_frames=n_frames)
    blocks = partial(frames_by_blocks, frame_length=frame_length, hop_length=hop_length, n_frames=n_frames)
    other_devices = blocks if -(-frame_length // hop_length) <= _MAX_BLOCKS else slices
    return cast("Array", lax.platform_dependent(signal, cpu=slices, default=other_devices))


def overlap_add(frames: Array, *, hop_length: int) -> Array:
    """Sum overlapping frames at hops of ``hop_length`` samples; the transpose of ``cut_frames``.

    Args:
        frames: (..., n_frames, frame_length).
        hop_length: Number of samples between the starts of adjacent frames.

    Returns:
        The signal, (..., (n_frames - 1 + ceil(frame_length / hop_length)) * hop_length).

    Example:
        >>> overlap_add(jnp.ones((3, 4)), hop_length=2).tolist()
        [1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0]
    """
    n_frames, frame_length = frames.shape[-2:]
    n_blocks = -(-frame_length // hop_length)
    batch = [(0, 0)] * (frames.ndim - 2)
    if n_blocks > _MAX_BLOCKS:
        positions = hop_length * jnp.arange(n_frames)[:, None] + jnp.arange(frame_length)[None, :]
        zeros = jnp.zeros((*frames.shape[:-2], (n_frames - 1 + n_blocks) * hop_length), frames.dtype)
        return zeros.at[..., positions].add(frames)
    blocks = jnp.pad(frames, [*batch, (n_blocks - 1, n_blocks - 1), (0, n_blocks * hop_length - frame_length)])
    total = sum(
        blocks[..., first : first + n_frames + n_blocks - 1, block * hop_length : (block + 1) * hop_length]
        for block, first in enumerate(range(n_blocks - 1, -1, -1))
    )
    return jnp.asarray(total).reshape(*frames.shape[:-2], -1)


def frames_by_slices(signal: Array, *, frame_length: int, hop_length: int, n_frames: int) -> Array:
    """Cut frames as slices of the signal; fast on CPU.

    Args:
        signal: As for ``cut_frames``.
        frame_length: Number of samples per frame.
        hop_length: Number of samples between the starts of adjacent frames.
        n_frames: Number of frames.

    Returns:
        Frames (..., n_frames, frame_length).
    """

    def frame_at(start: Array) -> Array:
        return lax.dynamic_slice_in_dim(signal, start, frame_length, axis=-1)

    return jax.vmap(frame_at, out_axes=-2)(hop_length * jnp.arange(n_frames))


def frames_by_blocks(signal: Array, *, frame_length: int, hop_length: int, n_frames: int) -> Array:
    """Cut frames as concatenated, shifted blocks of ``hop_length`` samples; fast on accelerators.

    Args:
        signal: As for ``cut_frames``.
        frame_length: Number of samples per frame.
        hop_length: Number of samples between the starts of adjacent frames.
        n_frames: Number of frames.

    Returns:
        Frames (..., n_frames, frame_length).
    """
    n_blocks = -(-frame_length // hop_length)
    blocks = signal[..., : (n_frames - 1 + n_blocks) * hop_length].reshape(*signal.shape[:-1], -1, hop_length)
    pieces = [blocks[..., k : k + n_frames, : frame_length - k * hop_length] for k in range(n_blocks)]
    return jnp.concatenate(pieces, axis=-1)
