"""Random changes of the timing of a waveform: shifts, silenced or removed spans, time reversal."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_choice, check_integer, check_option, check_range, is_jax_array
from artifex.generative_models.core.numerics import jit, working_dtype
from artifex.generative_models.modalities.audio.annotations import Drawn, augmentation
from artifex.generative_models.modalities.audio.augmentations.domain import as_float, checked_waveform
from artifex.generative_models.modalities.audio.augmentations.draws import (
    Bounds,
    IntegerBounds,
    draw_integer,
    draw_uniform,
)
from artifex.generative_models.modalities.audio.augmentations.units import SampleRate, to_samples
from artifex.generative_models.modalities.audio.preprocessing.levels import as_waveforms


def _draw_time_shift(
    key: Array,
    shape: tuple[int, ...],
    *,
    max_shift: int | Array,
    max_shift_seconds: float | Array | None,
    sample_rate: SampleRate,
) -> Drawn:
    max_shift = to_samples("max_shift", max_shift, max_shift_seconds, sample_rate, default=1600)
    check_option("max_shift", max_shift, integer=True, minimum=0, unit="samples")
    limit = jnp.asarray(max_shift, jnp.int32)
    return {"shift": draw_integer(key, (-limit, limit))}


@augmentation(draw=_draw_time_shift)
def time_shift(
    audio: ArrayLike,
    key: Array,
    max_shift: int | Array = 1600,
    *,
    mode: str = "wrap",
    fade: int | Array = 0,
    max_shift_seconds: float | Array | None = None,
    fade_seconds: float | Array | None = None,
    sample_rate: SampleRate = None,
) -> Array:
    """Shift a waveform in time by a random number of samples.

    The shift is an integer drawn uniformly from [-max_shift, max_shift].

    Args:
        audio: One waveform (..., time), floating point or integers; leading axes, such as channels, share the shift.
        key: PRNG key.
        max_shift: Maximum shift in samples, at least 0. May be traced.
        mode: ``"wrap"`` moves samples from one end to the other; ``"fill"`` fills with silence, which for unsigned
            integers is the middle of their range. With ``"fill"``, a shift of the length or more gives silence.
        fade: Length in samples of a linear fade at the seam, at least 0; requires floating-point audio. May be traced.
        max_shift_seconds: Maximum shift in seconds, instead of ``max_shift``; requires ``sample_rate``.
        fade_seconds: Length of the fade in seconds, instead of ``fade``; requires ``sample_rate``.
        sample_rate: Sample rate in Hz, for options in seconds. May be traced.

    Returns:
        The shifted waveform, same shape and dtype. A positive shift is a delay. Annotation: ``shift`` in samples.

    Raises:
        ValueError: If ``audio`` is a scalar or empty, an option is out of range, or a length is given in samples and in
            seconds.
        TypeError: If the dtype is not an audio dtype, integers are to be faded, or ``sample_rate`` is missing.

    Example:
        >>> audio = jnp.arange(6.0)
        >>> sorted(time_shift(audio, jax.random.key(0), max_shift=2).tolist())
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]

    Reference:
        ``audiomentations.Shift``.
    """
    numerics.check_key("time_shift", key)
    waveform = as_waveforms("time_shift", audio)
    check_choice("mode", mode, choices=("wrap", "fill"))
    fade = to_samples("fade", fade, fade_seconds, sample_rate, default=0)
    check_option("fade", fade, integer=True, minimum=0, unit="samples")
    has_fade = is_jax_array(fade) or bool(fade)
    if has_fade:
        as_float("time_shift with a fade", waveform)
    drawn = _draw_time_shift(
        key, waveform.shape, max_shift=max_shift, max_shift_seconds=max_shift_seconds, sample_rate=sample_rate
    )
    return _shift(waveform, drawn["shift"], fade, mode, has_fade)


@augmentation(draw=None)
def reverse(audio: ArrayLike, key: Array) -> Array:
    """Reverse a waveform in time.

    Args:
        audio: One waveform (..., time), of any audio dtype.
        key: PRNG key; unused. Wrap the step in ``with_probability`` to apply it at random.

    Returns:
        The reversed waveform, same shape and dtype.

    Raises:
        ValueError: If ``audio`` is a scalar or empty.
        TypeError: If the dtype is not an audio dtype.

    Example:
        >>> reverse(jnp.arange(3.0), jax.random.key(0)).tolist()
        [2.0, 1.0, 0.0]

    Reference:
        ``audiomentations.Reverse``.
    """
    numerics.check_key("reverse", key)
    return as_waveforms("reverse", audio)[..., ::-1]


def _draw_silence_span(key: Array, shape: tuple[int, ...], *, fraction_range: Bounds) -> Drawn:
    bounds = check_range("fraction_range", fraction_range, minimum=0, maximum=1)
    fraction_key, start_key = jax.random.split(key)
    fraction = draw_uniform(fraction_key, bounds)
    width = jnp.round(fraction * shape[-1]).astype(jnp.int32)
    return {"fraction": fraction, "start": draw_integer(start_key, (0, shape[-1] - width)), "width": width}


@augmentation(draw=_draw_silence_span)
def silence_span(
    audio: ArrayLike,
    key: Array,
    fraction_range: Bounds = (0.01, 0.2),
    *,
    fade: int | Array = 80,
    fade_seconds: float | Array | None = None,
    sample_rate: SampleRate = None,
) -> Array:
    """Silence a random span of a waveform.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the span.
        key: PRNG key.
        fraction_range: Width of the span as a fraction of the clip, (min, max) within [0, 1]; drawn uniformly. The start
            is uniform among the positions where the span fits. May be traced.
        fade: Length in samples of the linear fades at both ends, inside the span; at least 0, limited to a third of the
            span. May be traced.
        fade_seconds: Length of the fades in seconds, instead of ``fade``; requires ``sample_rate``.
        sample_rate: Sample rate in Hz, for ``fade_seconds``. May be traced.

    Returns:
        The waveform with the span silenced, same shape and dtype. Annotations: ``fraction`` of the clip; ``start`` and
        ``width`` in samples.

    Raises:
        ValueError: If ``audio`` is a scalar or empty, or an option is out of range.
        TypeError: If ``audio`` is of integers (convert it with ``to_float``), or ``sample_rate`` is missing.

    Example:
        >>> masked = silence_span(jnp.ones(1000), jax.random.key(0), fraction_range=(0.1, 0.1), fade=0)
        >>> int((masked == 0).sum())
        100

    Reference:
        ``audiomentations.TimeMask``.
    """
    waveform = checked_waveform("silence_span", audio, key)
    fade = to_samples("fade", fade, fade_seconds, sample_rate, default=80)
    check_option("fade", fade, integer=True, minimum=0, unit="samples")
    drawn = _draw_silence_span(key, waveform.shape, fraction_range=fraction_range)
    return _silence_span(waveform, drawn["start"], drawn["width"], fade)


def _draw_drop_chunks(
    key: Array,
    shape: tuple[int, ...],
    *,
    count_range: tuple[int, int],
    width_range: IntegerBounds,
    width_range_seconds: Bounds | None,
    sample_rate: SampleRate,
) -> Drawn:
    counts = check_range("count_range", count_range, integer=True, static=True, minimum=1, unit="chunks")
    width_range = to_samples("width_range", width_range, width_range_seconds, sample_rate, default=(100, 1000))
    widths = check_range("width_range", width_range, integer=True, minimum=1, unit="samples")
    count_key, width_key, start_key = jax.random.split(key, 3)
    width = draw_integer(width_key, widths, (counts[1],))
    start = draw_integer(start_key, (0, jnp.maximum(shape[-1] - width, 0)), (counts[1],))
    return {"count": draw_integer(count_key, counts), "width": width, "start": start}


@augmentation(draw=_draw_drop_chunks)
def drop_chunks(
    audio: ArrayLike,
    key: Array,
    count_range: tuple[int, int] = (1, 3),
    width_range: IntegerBounds = (100, 1000),
    *,
    width_range_seconds: Bounds | None = None,
    sample_rate: SampleRate = None,
) -> Array:
    """Set random chunks of a waveform to zero.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the chunks.
        key: PRNG key.
        count_range: Number of chunks (min, max), at least 1; drawn uniformly. Chunks may overlap. Static.
        width_range: Width of a chunk in samples, (min, max), at least 1; drawn uniformly. A chunk longer than the clip
            covers it. The start is uniform among the positions where the chunk fits. May be traced.
        width_range_seconds: The same in seconds, instead of ``width_range``; requires ``sample_rate``.
        sample_rate: Sample rate in Hz, for ``width_range_seconds``. May be traced.

    Returns:
        The waveform with the chunks set to zero, same shape and dtype. Annotations: ``count``; ``width`` and ``start``
        (max count,) in samples, of which the first ``count`` are used.

    Raises:
        ValueError: If ``audio`` is a scalar or empty, or an option is out of range.
        TypeError: If ``audio`` is of integers (convert it with ``to_float``), or ``sample_rate`` is missing.

    Example:
        >>> dropped = drop_chunks(jnp.ones(1000), jax.random.key(0), count_range=(1, 1), width_range=(50, 50))
        >>> int((dropped == 0).sum())
        50

    Reference:
        ``speechbrain.augment.time_domain.DropChunk``.
    """
    waveform = checked_waveform("drop_chunks", audio, key)
    drawn = _draw_drop_chunks(
        key,
        waveform.shape,
        count_range=count_range,
        width_range=width_range,
        width_range_seconds=width_range_seconds,
        sample_rate=sample_rate,
    )
    return _zero_chunks(waveform, drawn["count"], drawn["start"], drawn["width"])


def _draw_splice_out(
    key: Array,
    shape: tuple[int, ...],
    *,
    n_spans: int,
    max_width: int | Array,
    max_width_seconds: float | Array | None,
    sample_rate: SampleRate,
) -> Drawn:
    check_integer("n_spans", n_spans, minimum=1)
    max_width = to_samples("max_width", max_width, max_width_seconds, sample_rate, default=400)
    check_option("max_width", max_width, integer=True, minimum=0, unit="samples")
    start, width = _draw_spans(key, max_width, shape[-1], int(n_spans))
    return {"start": start, "width": width}


@augmentation(draw=_draw_splice_out)
def splice_out(
    audio: ArrayLike,
    key: Array,
    n_spans: int = 8,
    max_width: int | Array = 400,
    *,
    max_width_seconds: float | Array | None = None,
    sample_rate: SampleRate = None,
) -> Array:
    """Remove random spans from a waveform, join the rest, and pad the end with silence.

    Spans are removed one after another. Each has a width drawn uniformly from [0, max_width] and a start drawn
    uniformly from the positions of the remaining samples where it fits. At least one sample remains.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the spans.
        key: PRNG key.
        n_spans: Number of spans, at least 1. Static.
        max_width: Maximum width of a span in samples, at least 0. May be traced.
        max_width_seconds: Maximum width in seconds, instead of ``max_width``; requires ``sample_rate``.
        sample_rate: Sample rate in Hz, for ``max_width_seconds``. May be traced.

    Returns:
        The spliced waveform, same shape and dtype. Annotations: ``start`` and ``width`` (n_spans,) in samples, in the
        order in which spans are removed.

    Raises:
        ValueError: If ``audio`` is a scalar or empty, or an option is out of range.
        TypeError: If ``audio`` is of integers (convert it with ``to_float``), or ``sample_rate`` is missing.

    Example:
        >>> spliced = splice_out(jnp.arange(1.0, 9.0), jax.random.key(1), n_spans=1, max_width=3)
        >>> bool((jnp.diff(spliced[spliced > 0]) > 0).all())
        True

    Reference:
        Jain et al., "SpliceOut: A Simple and Efficient Audio Augmentation Method", arXiv:2110.00046;
        ``torch_audiomentations.SpliceOut``.
    """
    waveform = checked_waveform("splice_out", audio, key)
    drawn = _draw_splice_out(
        key,
        waveform.shape,
        n_spans=n_spans,
        max_width=max_width,
        max_width_seconds=max_width_seconds,
        sample_rate=sample_rate,
    )
    return _remove_spans(waveform, drawn["start"], drawn["width"])


@jit(static_argnames=["mode", "has_fade"])
def _shift(waveform: Array, shift: Array, fade: ArrayLike, mode: str, has_fade: bool) -> Array:
    length = waveform.shape[-1]
    if mode == "wrap":
        source = jnp.arange(length, dtype=jnp.int32) - shift % length
        source = jnp.where(source < 0, source + length, source)
        shifted = jnp.take(waveform, source, axis=-1, mode="clip")
        fade_in = fade_out = shift % length != 0
    else:
        source = jnp.arange(length, dtype=jnp.int32) - jnp.clip(shift, -length, length)
        shifted = jnp.take(waveform, source, axis=-1, mode="clip")
        is_inside = jnp.broadcast_to((source >= 0) & (source < length), waveform.shape)
        shifted = jnp.where(is_inside, shifted, _silence(waveform.dtype))
        fade_in, fade_out = shift > 0, shift < 0
    if has_fade:
        dtype = working_dtype(waveform.dtype)
        gain = jnp.where(fade_in, _ramp(source, fade, dtype), 1) * jnp.where(
            fade_out, _ramp(length - 1 - source, fade, dtype), 1
        )
        shifted = (shifted.astype(dtype) * jnp.broadcast_to(gain, waveform.shape)).astype(waveform.dtype)
    return shifted


def _ramp(position: Array, fade: ArrayLike, dtype: DTypeLike) -> Array:
    """Return a gain that rises linearly over the ``fade`` samples from position 0."""
    return jnp.clip((position + 1).astype(dtype) / (jnp.asarray(fade) + 1).astype(dtype), 0, 1)


@jit()
def _silence_span(waveform: Array, start: Array, width: Array, fade: ArrayLike) -> Array:
    dtype = working_dtype(waveform.dtype)
    position = jnp.arange(waveform.shape[-1], dtype=jnp.int32) - start
    is_inside = (position >= 0) & (position < width)
    # The middle third of the span is silent even if the span is shorter than two fades.
    fade = jnp.minimum(jnp.asarray(fade, jnp.int32), width // 3)
    gain = 1 - _ramp(jnp.minimum(position, width - 1 - position), fade, dtype)
    is_silent = jnp.broadcast_to(is_inside & (gain <= 0), waveform.shape)
    gain = jnp.broadcast_to(jnp.where(is_inside, gain, 1), waveform.shape)
    return jnp.where(is_silent, 0, waveform.astype(dtype) * gain).astype(waveform.dtype)


@jit()
def _zero_chunks(waveform: Array, count: Array, start: Array, width: Array) -> Array:
    position = jnp.arange(waveform.shape[-1], dtype=jnp.int32)[:, None]
    is_inside = (position >= start[None, :]) & (position < (start + width)[None, :])
    is_counted = (jnp.arange(len(start), dtype=jnp.int32) < count)[None, :]
    is_dropped = jnp.broadcast_to((is_inside & is_counted).any(axis=-1), waveform.shape)
    return jnp.where(is_dropped, jnp.zeros((), waveform.dtype), waveform)


@jit(static_argnames=["length", "n_spans"])
def _draw_spans(key: Array, max_width: ArrayLike, length: int, n_spans: int) -> tuple[Array, Array]:
    width_key, start_key = jax.random.split(key)
    widths = draw_integer(width_key, (0, max_width), (n_spans,))
    remaining = jnp.asarray(length, jnp.int32)
    spans: list[tuple[Array, Array]] = []
    for span, span_key in enumerate(jax.random.split(start_key, n_spans)):
        width = jnp.minimum(widths[span], remaining - 1)
        spans.append((draw_integer(span_key, (0, remaining - width)), width))
        remaining -= width
    starts, widths = (jnp.stack(each) for each in zip(*spans, strict=True))
    return starts, widths


@jit()
def _remove_spans(waveform: Array, starts: Array, widths: Array) -> Array:
    position = source = jnp.arange(waveform.shape[-1], dtype=jnp.int32)
    for span in reversed(range(len(starts))):
        source += jnp.where(source >= starts[span], widths[span], 0)
    is_kept = jnp.broadcast_to(position < waveform.shape[-1] - jnp.sum(widths, dtype=jnp.int32), waveform.shape)
    return jnp.where(is_kept, jnp.take(waveform, source, axis=-1, mode="clip"), 0).astype(waveform.dtype)


def _silence(dtype: np.dtype) -> Array:
    is_unsigned = jnp.issubdtype(dtype, jnp.unsignedinteger)
    return jnp.asarray(2 ** (np.iinfo(dtype).bits - 1) if is_unsigned else 0, dtype)
