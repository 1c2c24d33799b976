"""The length of waveforms: cut, padded, trimmed and split by level, faded, brought to one of a few lengths."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_choice, check_integer, check_number
from artifex.generative_models.core.numerics import working_dtype
from artifex.generative_models.modalities.audio.preprocessing.channels import check_channel_axis
from artifex.generative_models.modalities.audio.preprocessing.framing import frame
from artifex.generative_models.modalities.audio.preprocessing.levels import as_waveforms, to_float

# How far a fade has come, 0 to 1, to its gain.
_FADES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear": lambda x: x,
    "exponential": lambda x: x * 2 ** (x - 1),
    "logarithmic": lambda x: 1 + np.log10(0.1 + x),
    "quarter_sine": lambda x: np.sin(x * np.pi / 2),
    "half_sine": lambda x: (1 - np.cos(x * np.pi)) / 2,
}

_LEAST_LEVEL = 1e-5  # librosa's floor, -100 dBFS


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
    _check_padding(pad_value, waveforms.dtype)
    padding = jnp.asarray(pad_value).astype(waveforms.dtype)
    fitted: jax.Array = _trim_or_pad(waveforms, padding, int(target_length))
    return fitted


def pad_to_bucket(
    audio: ArrayLike, bucket_lengths: Sequence[int], length: ArrayLike | None = None, *, pad_value: ArrayLike = 0.0
) -> tuple[jax.Array, jax.Array]:
    """Pad clips to the least of a few lengths that holds them, so that few shapes are compiled.

    The choice hangs on the shape alone, so it is made before anything is traced. NumPy arrays are padded before
    they go to the device, and compile nothing.

    Args:
        audio: Waveforms (..., time) of any dtype; ``time`` may be 0.
        bucket_lengths: The lengths to choose from, in samples, each at least 1, in any order; static.
        length: How many samples of each clip are valid, integers broadcast against the leading axes, when it was
            padded before; may be traced. None means all of them.
        pad_value: What follows the clip, as ``trim_or_pad`` takes it.

    Returns:
        The clips, (..., bucket) in the input's dtype, and their valid lengths in samples, (...) int32.

    Raises:
        ValueError: For a scalar, no buckets, a bucket below 1, a clip longer than the longest bucket, or lengths
            that do not fit the leading axes.
        TypeError: For a bucket or a length that is no integer.

    Example:
        >>> padded, length = pad_to_bucket(np.ones((2, 5)), (4, 8, 16))
        >>> padded.shape, length.tolist()
        ((2, 8), [5, 5])
    """
    waveforms = audio if isinstance(audio, jax.Array) else np.asarray(audio)
    if not waveforms.ndim:
        raise ValueError("pad_to_bucket takes waveforms (..., time), got a scalar")
    if not isinstance(bucket_lengths, Sequence) or not len(bucket_lengths):
        raise ValueError(f"bucket_lengths must be one or more lengths in samples, got {bucket_lengths!r}")
    for bucket in bucket_lengths:
        check_integer("bucket_lengths", bucket, minimum=1, unit="samples")
    time, leading = waveforms.shape[-1], waveforms.shape[:-1]
    fitting = [int(bucket) for bucket in bucket_lengths if bucket >= time]
    if not fitting:
        raise ValueError(
            f"the longest bucket has {max(bucket_lengths)} samples and the clip {time}: add a longer bucket, or cut "
            f"the clip with trim_or_pad"
        )
    valid = jnp.asarray(time if length is None else length)
    if not jnp.issubdtype(valid.dtype, jnp.integer):
        raise TypeError(f"length must be integers, in samples, got {valid.dtype}")
    if len(valid.shape) > len(leading) or any(
        ours not in (1, theirs) for ours, theirs in zip(valid.shape[::-1], leading[::-1], strict=False)
    ):
        raise ValueError(f"length of shape {valid.shape} does not fit the leading axes {leading} of the audio")
    if isinstance(waveforms, np.ndarray) and isinstance(pad_value, numbers.Number):
        _check_padding(pad_value, waveforms.dtype)
        missing = [(0, 0)] * len(leading) + [(0, min(fitting) - time)]
        padded = jnp.asarray(np.pad(waveforms, missing, constant_values=np.asarray(pad_value, waveforms.dtype)))
    else:
        padded = trim_or_pad(waveforms, min(fitting), pad_value)
    return padded, jnp.broadcast_to(valid.astype(jnp.int32), leading)


def trim(
    audio: ArrayLike,
    top_db: ArrayLike = 60.0,
    *,
    ref: ArrayLike | None = None,
    frame_length: int = 2048,
    hop_length: int = 512,
    channel_axis: int | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Take off what is silent at both ends of each clip.

    As shapes cannot hang on what is in a clip, the array keeps its length: what is kept moves to the front and
    zeros follow it. A frame, centered on its time with zeros beyond the ends, is silent when its RMS level is at
    least ``top_db`` below the reference; levels below -100 dBFS count as -100.

    Args:
        audio: Waveforms (..., time). Integers are scaled by ``to_float`` first.
        top_db: How far below the reference silence begins, dB, above 0; may be traced.
        ref: The level that ``top_db`` is counted from, full scale 1, above 0; may be traced. None means that of
            each clip's loudest frame. A clip of digital silence is then as loud as its loudest frame throughout,
            and is kept whole.
        frame_length: Samples of a frame, at least 1; static.
        hop_length: Samples from frame to frame, at least 1, which is how finely clips are cut; static.
        channel_axis: The axis of channels that are cut together, where any of them sounds; not the last axis.
            None means that each waveform is a clip by itself. Static.

    Returns:
        The clips, (..., time), float32 for integers, else the input's dtype; and how many samples of each were
        kept, (...) int32, without the axis of the channels. A clip that holds NaN or infinity is kept whole.

    Raises:
        ValueError: For a scalar, an empty clip, or an option out of range.
        TypeError: As ``to_float`` does, or for an option of the wrong type.

    Example:
        >>> clip = np.concatenate([np.zeros(6), np.ones(4), np.zeros(6)])
        >>> trimmed, length = trim(clip, frame_length=2, hop_length=2)
        >>> trimmed[:length].tolist()
        [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]

    Reference:
        ``librosa.effects.trim``.
    """
    waveforms = as_waveforms("trim", audio)
    axis = _check_levels("trim", waveforms, top_db, ref, frame_length, hop_length, channel_axis)
    trimmed: tuple[jax.Array, jax.Array] = _trim(
        waveforms, top_db, ref, frame_length=int(frame_length), hop_length=int(hop_length), axis=axis
    )
    return trimmed


def split(
    audio: ArrayLike,
    top_db: ArrayLike = 60.0,
    *,
    max_intervals: int,
    ref: ArrayLike | None = None,
    frame_length: int = 2048,
    hop_length: int = 512,
    channel_axis: int | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Find the stretches of each clip that are not silent, as ``trim`` tells silence.

    Args:
        audio: Waveforms (..., time). Integers are scaled by ``to_float`` first.
        top_db: How far below the reference silence begins, dB, above 0; may be traced.
        max_intervals: How many intervals there is room for, at least 1; static.
        ref: The level that ``top_db`` is counted from, full scale 1, above 0; may be traced. None means that of
            each clip's loudest frame.
        frame_length: Samples of a frame, at least 1; static.
        hop_length: Samples from frame to frame, at least 1, which is how finely clips are cut; static.
        channel_axis: The axis of channels that are split together, where any of them sounds; not the last axis.
            None means that each waveform is a clip by itself. Static.

    Returns:
        Where the first ``max_intervals`` stretches start and end, in samples, the end not included,
        (..., max_intervals, 2) int32, both ``time`` where there are no more; and how many there are in truth,
        which may be more than there was room for, (...) int32. Both without the axis of the channels. A clip
        that holds NaN or infinity is one stretch.

    Raises:
        ValueError: For a scalar, an empty clip, or an option out of range.
        TypeError: As ``to_float`` does, or for an option of the wrong type.

    Example:
        >>> clip = np.concatenate([np.ones(4), np.zeros(6), np.ones(6)])
        >>> intervals, count = split(clip, max_intervals=3, frame_length=2, hop_length=2)
        >>> intervals.tolist(), int(count)
        ([[0, 6], [10, 16], [16, 16]], 2)

    Reference:
        ``librosa.effects.split``.
    """
    waveforms = as_waveforms("split", audio)
    axis = _check_levels("split", waveforms, top_db, ref, frame_length, hop_length, channel_axis)
    check_integer("max_intervals", max_intervals, minimum=1)
    found: tuple[jax.Array, jax.Array] = _split(
        waveforms,
        top_db,
        ref,
        frame_length=int(frame_length),
        hop_length=int(hop_length),
        axis=axis,
        max_intervals=int(max_intervals),
    )
    return found


def fade(audio: ArrayLike, fade_in: int = 0, fade_out: int = 0, shape: str = "linear") -> jax.Array:
    """Let clips begin and end gently.

    With ``x`` from 0 to 1 over the fade, both ends included, the gain is ``x`` (linear), ``x * 2**(x - 1)``
    (exponential), ``1 + log10(0.1 + x)`` up to 1 (logarithmic), ``sin(pi * x / 2)`` (quarter_sine) or
    ``(1 - cos(pi * x)) / 2`` (half_sine); the end mirrors the beginning. Where the two overlap, both apply. A fade of one sample silences the first and
    leaves the last.

    Args:
        audio: Waveforms (..., time). Integers are scaled by ``to_float`` first.
        fade_in: Samples over which the clip rises, from 0 to ``time``; static.
        fade_out: Samples over which it falls, from 0 to ``time``; static.
        shape: The gain over the fade: "linear", "exponential", "logarithmic", "quarter_sine" or "half_sine".

    Returns:
        (..., time); float32 for integers, else the input's dtype.

    Raises:
        ValueError: For a scalar, an empty clip, a fade longer than the clip, or another shape.
        TypeError: As ``to_float`` does, or for a length that is no integer.

    Example:
        >>> fade(np.ones(6), fade_in=3, fade_out=2).tolist()
        [0.0, 0.5, 1.0, 1.0, 1.0, 0.0]

    Reference:
        ``torchaudio.transforms.Fade``.
    """
    waveforms = as_waveforms("fade", audio)
    for name, samples in (("fade_in", fade_in), ("fade_out", fade_out)):
        check_integer(name, samples, minimum=0, maximum=waveforms.shape[-1], unit="samples")
    check_choice("shape", shape, choices=tuple(_FADES))
    faded: jax.Array = _fade(waveforms, int(fade_in), int(fade_out), shape)
    return faded


def _check_levels(
    name: str,
    audio: jax.Array,
    top_db: Any,
    ref: Any,
    frame_length: int,
    hop_length: int,
    channel_axis: int | None,
) -> int | None:
    if isinstance(top_db, numbers.Number | str):
        check_number("top_db", top_db, above=0, unit="dB")
    if isinstance(ref, numbers.Number | str):
        check_number("ref", ref, above=0, unit="of full scale 1")
    check_integer("frame_length", frame_length, minimum=1, unit="samples")
    check_integer("hop_length", hop_length, minimum=1, unit="samples")
    return None if channel_axis is None else check_channel_axis(name, audio, channel_axis)


def _check_padding(value: Any, dtype: Any) -> None:
    given_as_number = isinstance(value, numbers.Number)
    if given_as_number:
        check_number("pad_value", value)
    if given_as_number and jnp.issubdtype(dtype, jnp.integer):
        bounds = np.iinfo(dtype)
        if value != int(value) or not bounds.min <= value <= bounds.max:
            raise ValueError(
                f"pad_value must be an integer from {bounds.min} to {bounds.max} for {dtype} audio, got {value!r}"
            )


@partial(jax.jit, static_argnames="target_length")
def _trim_or_pad(audio: jax.Array, pad_value: jax.Array, target_length: int) -> jax.Array:
    kept = audio[..., :target_length]
    missing = (0, target_length - kept.shape[-1], 0)
    return jax.lax.pad(kept, pad_value, [(0, 0, 0)] * (kept.ndim - 1) + [missing])


@lru_cache(maxsize=128)
def _fade_gain(length: int, fade_in: int, fade_out: int, shape: str) -> np.ndarray:
    gain = np.ones(length)
    gain[:fade_in] *= np.clip(_FADES[shape](np.linspace(0, 1, fade_in)), 0, 1)
    gain[length - fade_out :] *= np.clip(_FADES[shape](1 - np.linspace(0, 1, fade_out)), 0, 1)
    gain.setflags(write=False)
    return gain


@partial(jax.jit, static_argnames=("fade_in", "fade_out", "shape"))
def _fade(audio: jax.Array, fade_in: int, fade_out: int, shape: str) -> jax.Array:
    audio = to_float(audio)
    values = audio.astype(working_dtype(audio.dtype))
    gain = _fade_gain(audio.shape[-1], fade_in, fade_out, shape)
    return (values * gain.astype(values.dtype)).astype(audio.dtype)


def _sounding(
    audio: jax.Array, top_db: jax.Array, ref: jax.Array | None, frame_length: int, hop_length: int, axis: int | None
) -> jax.Array:
    """Tell which centered frames of floats (..., time) are not silent, (..., n_frames) without the channels."""
    values = jax.lax.stop_gradient(audio.astype(working_dtype(audio.dtype)))
    squares = jnp.square(values)
    # Sums over steps that divide both lengths, so that hardly anything is framed.
    step, n_frames = math.gcd(frame_length, hop_length), 1 + audio.shape[-1] // hop_length
    total = -(-((n_frames - 1) * hop_length + frame_length) // step) * step
    before = frame_length // 2
    missing = [(0, 0, 0)] * (audio.ndim - 1) + [(before, total - before - audio.shape[-1], 0)]
    padded = jax.lax.pad(squares, jnp.zeros((), squares.dtype), missing)
    sums = jnp.sum(padded.reshape(*audio.shape[:-1], -1, step), axis=-1)
    power = jnp.sum(frame(sums, frame_length // step, hop_length // step), axis=-1) / frame_length
    spoilt = ~jnp.isfinite(jnp.sum(power, axis=-1, keepdims=True))
    if axis is not None:
        power, spoilt = jnp.max(power, axis=axis), jnp.any(spoilt, axis=axis)
    loudest = jnp.max(power, axis=-1, keepdims=True) if ref is None else jnp.square(ref)[..., None].astype(values.dtype)
    share = 10 ** (-jnp.asarray(top_db, values.dtype)[..., None] / 10)
    floor = _LEAST_LEVEL**2
    return (jnp.maximum(power, floor) > jnp.maximum(loudest, floor) * share) | spoilt


@partial(jax.jit, static_argnames=("frame_length", "hop_length", "axis"))
def _trim(
    audio: jax.Array,
    top_db: jax.Array,
    ref: jax.Array | None,
    frame_length: int,
    hop_length: int,
    axis: int | None,
) -> tuple[jax.Array, jax.Array]:
    audio = to_float(audio)
    time = audio.shape[-1]
    sounds = _sounding(audio, top_db, ref, frame_length, hop_length, axis)
    n_frames = sounds.shape[-1]
    number = jnp.arange(n_frames, dtype=jnp.int32)
    first = jnp.min(jnp.where(sounds, number, n_frames), axis=-1)
    last = jnp.max(jnp.where(sounds, number, -1), axis=-1)
    start = jnp.minimum(first * hop_length, time)
    length = jnp.maximum(jnp.minimum((last + 1) * hop_length, time) - start, 0)
    shift, kept = (each if axis is None else jnp.expand_dims(each, axis + 1) for each in (start, length))
    place = jnp.arange(time, dtype=jnp.int32)
    moved = jnp.take_along_axis(audio, jnp.minimum(place + shift[..., None], time - 1), axis=-1, mode="clip")
    return jnp.where(place < kept[..., None], moved, 0), length


@partial(jax.jit, static_argnames=("frame_length", "hop_length", "axis", "max_intervals"))
def _split(
    audio: jax.Array,
    top_db: jax.Array,
    ref: jax.Array | None,
    frame_length: int,
    hop_length: int,
    axis: int | None,
    max_intervals: int,
) -> tuple[jax.Array, jax.Array]:
    audio = to_float(audio)
    time = audio.shape[-1]
    sounds = _sounding(audio, top_db, ref, frame_length, hop_length, axis)
    n_frames = sounds.shape[-1]
    beyond = [(0, 0)] * (sounds.ndim - 1)
    starts = sounds & ~jnp.pad(sounds, [*beyond, (1, 0)])[..., :-1]
    ends = sounds & ~jnp.pad(sounds, [*beyond, (0, 1)])[..., 1:]
    number = jnp.arange(n_frames, dtype=jnp.int32)

    def first_ones(chosen: jax.Array, offset: int) -> jax.Array:
        found = jnp.sort(jnp.where(chosen, (number + offset) * hop_length, time), axis=-1)[..., :max_intervals]
        room = [*beyond, (0, max_intervals - found.shape[-1])]
        return jnp.minimum(jnp.pad(found, room, constant_values=time), time)

    intervals = jnp.stack([first_ones(starts, 0), first_ones(ends, 1)], axis=-1)
    return intervals, jnp.sum(starts, axis=-1, dtype=jnp.int32)
