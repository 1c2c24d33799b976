"""Duration of waveforms: trimming, padding, bucketing, splitting at silence and fading."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_choice, check_integer, check_number
from artifex.generative_models.core.numerics import framing, jit, working_dtype
from artifex.generative_models.modalities.audio.preprocessing.levels import (
    as_waveforms,
    check_channel_axis,
    check_scalar,
    to_float,
)

# Gain of a fade-in as a function of the position in it, from 0 to 1.
_FADES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear": lambda x: x,
    "exponential": lambda x: x * 2 ** (x - 1),
    "logarithmic": lambda x: 1 + np.log10(0.1 + x),
    "quarter_sine": lambda x: np.sin(x * np.pi / 2),
    "half_sine": lambda x: (1 - np.cos(x * np.pi)) / 2,
}

_MIN_LEVEL = 1e-5  # librosa's floor, -100 dBFS


def trim_or_pad(audio: ArrayLike, target_length: int, pad_value: ArrayLike = 0.0) -> jax.Array:
    """Trim waveforms at the end, or pad them with a constant, to a target length.

    Args:
        audio: Waveforms (..., time) of any dtype; ``time`` may be 0.
        target_length: Target length in samples, at least 0; static. For a duration in seconds, pass
            ``round(duration * sample_rate)``.
        pad_value: Fill value of the padding. For unsigned integers, silence is the middle of the range, 128 for 8 bits.
            May be traced.

    Returns:
        (..., target_length) in the dtype of ``audio``.

    Raises:
        ValueError: When ``audio`` is a scalar, ``target_length`` is negative, or the dtype cannot represent
            ``pad_value``.
        TypeError: When ``target_length`` is not an integer.

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
    _check_pad_value(pad_value, waveforms.dtype)
    return _trim_or_pad(waveforms, jnp.asarray(pad_value).astype(waveforms.dtype), int(target_length))


def pad_to_bucket(
    audio: ArrayLike, bucket_lengths: Sequence[int], length: ArrayLike | None = None, *, pad_value: ArrayLike = 0.0
) -> tuple[jax.Array, jax.Array]:
    """Pad waveforms to the shortest bucket length that fits, to limit the number of compiled shapes.

    The bucket depends on the shape only and is selected before tracing. NumPy arrays are padded on the host, without
    compilation.

    Args:
        audio: Waveforms (..., time) of any dtype; ``time`` may be 0.
        bucket_lengths: Bucket lengths in samples, each at least 1, in any order; static.
        length: Number of valid samples per clip, when the clips are already padded: integers, broadcast against the
            leading axes; may be traced. None if all samples are valid.
        pad_value: Fill value of the padding, as for ``trim_or_pad``.

    Returns:
        The waveforms, (..., bucket) in the dtype of ``audio``, and their valid lengths in samples, (...) int32.

    Raises:
        ValueError: When ``audio`` is a scalar or longer than all buckets, there are no buckets, a bucket is below 1, or
            the shape of ``length`` does not match the leading axes.
        TypeError: When a bucket or a length is not an integer.

    Example:
        >>> padded, length = pad_to_bucket(np.ones((2, 5)), (4, 8, 16))
        >>> padded.shape, length.tolist()
        ((2, 8), [5, 5])
    """
    waveforms = audio if isinstance(audio, jax.Array) else np.asarray(audio)
    if not waveforms.ndim:
        raise ValueError("pad_to_bucket takes waveforms (..., time), got a scalar")
    if not isinstance(bucket_lengths, Sequence) or not bucket_lengths:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"bucket_lengths must be one or more lengths in samples, got {bucket_lengths!r}")
    for bucket in bucket_lengths:
        check_integer("bucket_lengths", bucket, minimum=1, unit="samples")
    time, leading = waveforms.shape[-1], waveforms.shape[:-1]
    long_enough = [int(bucket) for bucket in bucket_lengths if bucket >= time]
    if not long_enough:
        raise ValueError(
            f"bucket_lengths must contain a length of at least {time} samples, the length of the clips, got a maximum "
            f"of {max(bucket_lengths)}: add a longer bucket, or cut the clips with trim_or_pad"
        )
    valid = jnp.asarray(time if length is None else length)
    if not jnp.issubdtype(valid.dtype, jnp.integer):
        raise TypeError(f"length must be integers, in samples, got {valid.dtype}")
    try:
        lengths = jnp.broadcast_to(valid.astype(jnp.int32), leading)
    except ValueError as error:
        raise ValueError(
            f"length must broadcast against the leading axes {leading} of the audio, got shape {valid.shape}"
        ) from error
    if isinstance(waveforms, np.ndarray) and isinstance(pad_value, numbers.Number):
        _check_pad_value(pad_value, waveforms.dtype)
        padding = [(0, 0)] * len(leading) + [(0, min(long_enough) - time)]
        padded = jnp.asarray(np.pad(waveforms, padding, constant_values=np.asarray(pad_value, waveforms.dtype)))
    else:
        padded = trim_or_pad(waveforms, min(long_enough), pad_value)
    return padded, lengths


def trim(
    audio: ArrayLike,
    top_db: ArrayLike = 60.0,
    *,
    ref: ArrayLike | None = None,
    frame_length: int = 2048,
    hop_length: int = 512,
    channel_axis: int | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Trim leading and trailing silence from each clip.

    Shapes cannot depend on the samples, so the array keeps its length: the trimmed clip is moved to the front and
    followed by zeros. A frame, centered and zero-padded, is silent when its RMS level is at least ``top_db`` below the
    reference. Levels below -100 dBFS count as -100 dBFS.

    Args:
        audio: Waveforms (..., time). Integers are converted with ``to_float`` first.
        top_db: Threshold below the reference in dB, above 0; may be traced.
        ref: Reference level, full scale 1, above 0; may be traced. None for the loudest frame of each clip; digital
            silence is then not trimmed, because all its frames are equally loud.
        frame_length: Samples per frame, at least 1; static.
        hop_length: Samples between successive frames, at least 1, the resolution of the trimming; static.
        channel_axis: Channel axis, not the last axis; the channels are trimmed together, to the frames in which any
            channel is not silent. None to trim each waveform separately. Static.

    Returns:
        The clips, (..., time), float32 for integers, else the dtype of ``audio``; and the trimmed length of each in
        samples, (...) int32, without the channel axis. A clip with NaN or infinity is not trimmed.

    Raises:
        ValueError: When ``audio`` is a scalar or empty, or an option is out of range.
        TypeError: When an option has the wrong type, or ``audio`` is not real.

    Example:
        >>> clip = np.concatenate([np.zeros(6), np.ones(4), np.zeros(6)])
        >>> trimmed, length = trim(clip, frame_length=2, hop_length=2)
        >>> trimmed[:length].tolist()
        [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]

    Reference:
        ``librosa.effects.trim``.
    """
    waveforms = as_waveforms("trim", audio)
    axis = _check_silence_options("trim", waveforms, top_db, ref, frame_length, hop_length, channel_axis)
    return _trim(waveforms, top_db, ref, int(frame_length), int(hop_length), axis)


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
    """Split each clip into non-silent intervals; silence is defined as for ``trim``.

    Args:
        audio: Waveforms (..., time). Integers are converted with ``to_float`` first.
        top_db: Threshold below the reference in dB, above 0; may be traced.
        max_intervals: Maximum number of returned intervals, at least 1; static.
        ref: Reference level, full scale 1, above 0; may be traced. None for the loudest frame of each clip.
        frame_length: Samples per frame, at least 1; static.
        hop_length: Samples between successive frames, at least 1, the resolution of the intervals; static.
        channel_axis: Channel axis, not the last axis; the channels are split together, at the frames in which all
            channels are silent. None to split each waveform separately. Static.

    Returns:
        Start and end (exclusive) of the first ``max_intervals`` intervals in samples, (..., max_intervals, 2) int32; and
        the true number of intervals, (...) int32, which may exceed ``max_intervals``. Unused intervals are (``time``,
        ``time``). Both arrays omit the channel axis. A clip with NaN or infinity is one interval.

    Raises:
        ValueError: When ``audio`` is a scalar or empty, or an option is out of range.
        TypeError: When an option has the wrong type, or ``audio`` is not real.

    Example:
        >>> clip = np.concatenate([np.ones(4), np.zeros(6), np.ones(6)])
        >>> intervals, count = split(clip, max_intervals=3, frame_length=2, hop_length=2)
        >>> intervals.tolist(), int(count)
        ([[0, 6], [10, 16], [16, 16]], 2)

    Reference:
        ``librosa.effects.split``.
    """
    waveforms = as_waveforms("split", audio)
    axis = _check_silence_options("split", waveforms, top_db, ref, frame_length, hop_length, channel_axis)
    check_integer("max_intervals", max_intervals, minimum=1)
    return _split(waveforms, top_db, ref, int(frame_length), int(hop_length), axis, int(max_intervals))


def fade(
    audio: ArrayLike,
    fade_in: int | None = None,
    fade_out: int | None = None,
    shape: str = "linear",
    *,
    fade_in_seconds: float | None = None,
    fade_out_seconds: float | None = None,
    sample_rate: int | None = None,
) -> jax.Array:
    """Apply a fade-in and a fade-out.

    With ``x`` from 0 to 1 over the fade, both ends included, the gain is ``x`` (linear), ``x * 2**(x - 1)``
    (exponential), ``1 + log10(0.1 + x)`` clipped to 1 (logarithmic), ``sin(pi * x / 2)`` (quarter_sine) or
    ``(1 - cos(pi * x)) / 2`` (half_sine). The fade-out is the mirror image. Where both overlap, their gains are
    multiplied. A fade-in of one sample sets the first sample to 0, a fade-out of one sample has no effect.

    Args:
        audio: Waveforms (..., time). Integers are converted with ``to_float`` first.
        fade_in: Length of the fade-in in samples, from 0 to ``time``; static. None for 0, or if ``fade_in_seconds`` is
            given.
        fade_out: Length of the fade-out in samples, from 0 to ``time``; static. None for 0, or if ``fade_out_seconds``
            is given.
        shape: Shape of the fades: "linear", "exponential", "logarithmic", "quarter_sine" or "half_sine".
        fade_in_seconds: Length of the fade-in in seconds, instead of ``fade_in``; static.
        fade_out_seconds: Length of the fade-out in seconds, instead of ``fade_out``; static.
        sample_rate: Sample rate in Hz, required with lengths in seconds; static.

    Returns:
        (..., time); float32 for integers, else the dtype of ``audio``.

    Raises:
        ValueError: When ``audio`` is a scalar or empty, a fade is longer than the clip, or the shape is unknown.
        TypeError: When a length has the wrong type or is given twice, or ``audio`` is not real.

    Example:
        >>> fade(np.ones(6), fade_in=3, fade_out=2).tolist()
        [0.0, 0.5, 1.0, 1.0, 1.0, 0.0]
        >>> fade(np.ones(6), fade_in_seconds=0.3, sample_rate=10).tolist()
        [0.0, 0.5, 1.0, 1.0, 1.0, 1.0]

    Reference:
        ``torchaudio.transforms.Fade``.
    """
    waveforms = as_waveforms("fade", audio)
    time = waveforms.shape[-1]
    fade_in = _fade_length("fade_in", fade_in, fade_in_seconds, sample_rate, time)
    fade_out = _fade_length("fade_out", fade_out, fade_out_seconds, sample_rate, time)
    check_choice("shape", shape, choices=tuple(_FADES))
    return _fade(waveforms, fade_in, fade_out, shape)


def _fade_length(name: str, samples: int | None, seconds: float | None, sample_rate: int | None, time: int) -> int:
    """Return the length of a fade in samples from its length in samples or in seconds."""
    if seconds is None:
        length = 0 if samples is None else samples
    else:
        if samples is not None:
            raise TypeError(f"{name} and {name}_seconds must not both be given, got {samples!r} and {seconds!r}")
        if sample_rate is None:
            raise TypeError(f"{name}_seconds requires sample_rate, in Hz: pass it, or give {name} in samples instead")
        check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
        check_number(f"{name}_seconds", seconds, minimum=0, unit="seconds")
        length = round(seconds * sample_rate)
    check_integer(name, length, minimum=0, maximum=time, unit="samples")
    return int(length)


def _check_silence_options(
    name: str,
    audio: jax.Array,
    top_db: ArrayLike,
    ref: ArrayLike | None,
    frame_length: int,
    hop_length: int,
    channel_axis: int | None,
) -> int | None:
    check_scalar("top_db", top_db, above=0, unit="dB")
    if ref is not None:
        check_scalar("ref", ref, above=0, unit="of full scale 1")
    check_integer("frame_length", frame_length, minimum=1, unit="samples")
    check_integer("hop_length", hop_length, minimum=1, unit="samples")
    return None if channel_axis is None else check_channel_axis(name, audio, channel_axis)


def _check_pad_value(value: Any, dtype: np.dtype) -> None:
    if value is not None and not isinstance(value, numbers.Number | str):
        return
    check_number("pad_value", value)
    if jnp.issubdtype(dtype, jnp.integer):
        limits = np.iinfo(dtype)
        number: Any = value
        if number != int(number) or not limits.min <= number <= limits.max:
            raise ValueError(
                f"pad_value must be an integer from {limits.min} to {limits.max} for {dtype} audio, got {value!r}"
            )


@jit(static_argnames=["target_length"])
def _trim_or_pad(audio: jax.Array, pad_value: jax.Array, target_length: int) -> jax.Array:
    # A negative padding trims.
    return jax.lax.pad(audio, pad_value, [(0, 0, 0)] * (audio.ndim - 1) + [(0, target_length - audio.shape[-1], 0)])


@lru_cache(maxsize=128)
def _fade_gain(length: int, fade_in: int, fade_out: int, shape: str) -> np.ndarray:
    gain = np.ones(length)
    gain[:fade_in] *= np.clip(_FADES[shape](np.linspace(0, 1, fade_in)), 0, 1)
    gain[length - fade_out :] *= np.clip(_FADES[shape](1 - np.linspace(0, 1, fade_out)), 0, 1)
    gain.setflags(write=False)
    return gain


@jit(static_argnames=["fade_in", "fade_out", "shape"])
def _fade(audio: jax.Array, fade_in: int, fade_out: int, shape: str) -> jax.Array:
    audio = to_float(audio)
    values = audio.astype(working_dtype(audio.dtype))
    gain = _fade_gain(audio.shape[-1], fade_in, fade_out, shape).astype(values.dtype)
    return (values * np.broadcast_to(gain, values.shape)).astype(audio.dtype)


def _nonsilent_frames(
    audio: jax.Array, top_db: ArrayLike, ref: ArrayLike | None, frame_length: int, hop_length: int, axis: int | None
) -> jax.Array:
    """Return which centered frames of floats (..., time) are not silent, (..., n_frames) without the channel axis."""
    values = jax.lax.stop_gradient(audio.astype(working_dtype(audio.dtype)))
    # Squares are summed over steps that divide both lengths; a frame is the sum of a few steps.
    step, n_frames = math.gcd(frame_length, hop_length), 1 + audio.shape[-1] // hop_length
    n_hops = n_frames - 1 + -(-frame_length // hop_length)
    before = frame_length // 2
    padding = [(0, 0, 0)] * (audio.ndim - 1) + [(before, n_hops * hop_length - before - audio.shape[-1], 0)]
    padded = jax.lax.pad(jnp.square(values), jnp.zeros((), values.dtype), padding)
    step_energy = jnp.sum(padded.reshape(*audio.shape[:-1], -1, step), axis=-1)
    frames = framing.cut_frames(
        step_energy, frame_length=frame_length // step, hop_length=hop_length // step, n_frames=n_frames
    )
    power = jnp.sum(frames, axis=-1) / frame_length
    is_invalid = ~jnp.isfinite(jnp.sum(power, axis=-1, keepdims=True))
    if axis is not None:
        power, is_invalid = jnp.max(power, axis=axis), jnp.any(is_invalid, axis=axis)
    if ref is None:
        reference = jnp.max(power, axis=-1, keepdims=True)
    else:
        reference = jnp.square(jnp.asarray(ref))[..., None].astype(values.dtype)
    ratio = 10 ** (-jnp.asarray(top_db, values.dtype)[..., None] / 10)
    floor = _MIN_LEVEL**2
    power, reference, ratio, is_invalid = jnp.broadcast_arrays(power, reference, ratio, is_invalid)
    return (jnp.maximum(power, floor) > jnp.maximum(reference, floor) * ratio) | is_invalid


@jit(static_argnames=["frame_length", "hop_length", "axis"])
def _trim(
    audio: jax.Array, top_db: ArrayLike, ref: ArrayLike | None, frame_length: int, hop_length: int, axis: int | None
) -> tuple[jax.Array, jax.Array]:
    audio = to_float(audio)
    time = audio.shape[-1]
    is_nonsilent = _nonsilent_frames(audio, top_db, ref, frame_length, hop_length, axis)
    n_frames = is_nonsilent.shape[-1]
    index = jnp.broadcast_to(jnp.arange(n_frames, dtype=jnp.int32), is_nonsilent.shape)
    first = jnp.min(jnp.where(is_nonsilent, index, n_frames), axis=-1)
    last = jnp.max(jnp.where(is_nonsilent, index, -1), axis=-1)
    start = jnp.minimum(first * hop_length, time)
    length = jnp.maximum(jnp.minimum((last + 1) * hop_length, time) - start, 0)
    starts, lengths = (each if axis is None else jnp.expand_dims(each, axis + 1) for each in (start, length))
    position = jnp.arange(time, dtype=jnp.int32)
    position, starts, lengths = jnp.broadcast_arrays(position, starts[..., None], lengths[..., None])
    moved = jnp.take_along_axis(audio, jnp.minimum(position + starts, time - 1), axis=-1, mode="clip")
    return jnp.where(position < lengths, moved, 0), length


@jit(static_argnames=["frame_length", "hop_length", "axis", "max_intervals"])
def _split(
    audio: jax.Array,
    top_db: ArrayLike,
    ref: ArrayLike | None,
    frame_length: int,
    hop_length: int,
    axis: int | None,
    max_intervals: int,
) -> tuple[jax.Array, jax.Array]:
    audio = to_float(audio)
    time = audio.shape[-1]
    is_nonsilent = _nonsilent_frames(audio, top_db, ref, frame_length, hop_length, axis)
    leading = [(0, 0)] * (is_nonsilent.ndim - 1)
    is_start = is_nonsilent & ~jnp.pad(is_nonsilent, [*leading, (1, 0)])[..., :-1]
    is_end = is_nonsilent & ~jnp.pad(is_nonsilent, [*leading, (0, 1)])[..., 1:]

    def first_positions(selected: jax.Array, offset: int) -> jax.Array:
        """Return the sample positions of the first selected frames, in order."""
        index = jnp.broadcast_to(jnp.arange(selected.shape[-1], dtype=jnp.int32), selected.shape)
        positions = jnp.sort(jnp.where(selected, (index + offset) * hop_length, time), axis=-1)[..., :max_intervals]
        padding = [*leading, (0, max_intervals - positions.shape[-1])]
        return jnp.minimum(jnp.pad(positions, padding, constant_values=time), time)

    intervals = jnp.stack([first_positions(is_start, 0), first_positions(is_end, 1)], axis=-1)
    return intervals, jnp.sum(is_start, axis=-1, dtype=jnp.int32)
