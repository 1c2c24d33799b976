"""Random changes of where things are in a waveform: shifts, spans left out or silenced, time reversed."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_choice, check_integer, check_range
from artifex.generative_models.core.numerics import working_dtype
from artifex.generative_models.modalities.audio.annotations import annotated
from artifex.generative_models.modalities.audio.augmentations.draws import Drawn, as_float, draw_uniform
from artifex.generative_models.modalities.audio.preprocessing import as_waveforms


@annotated
def time_shift(
    audio: ArrayLike, key: jax.Array, max_shift: int | jax.Array = 1600, *, mode: str = "wrap", fade: int = 0
) -> Drawn:
    """Move a clip in time by a random number of samples.

    Args:
        audio: One waveform (..., time), floating point or integers; leading axes, such as channels, move
            together.
        key: Decides the shift.
        max_shift: The largest shift in samples, at least 0; every integer in [-max_shift, max_shift] is as
            likely. May be traced.
        mode: ``"wrap"`` brings what leaves at one end in at the other; ``"fill"`` leaves silence (the middle
            of the range of unsigned integers). A shift of the whole length or more then leaves nothing else.
        fade: Over how many samples the clip fades at the seam, linearly, at least 0; for floating point. Static.

    Returns:
        The same shape and dtype. A positive shift is a delay.

    Raises:
        ValueError: For a scalar, an empty clip, a negative ``max_shift`` or ``fade``, or an unknown mode.
        TypeError: For a dtype that is no audio, or integers that are to fade.

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
    check_integer("fade", fade, minimum=0, unit="samples")
    if fade:
        as_float("time_shift with a fade", waveform)
    changed: Drawn = _time_shift(waveform, key, max_shift, mode, int(fade))
    return changed


@annotated
def reverse(audio: ArrayLike, key: jax.Array) -> Drawn:
    """Play a clip backward.

    Args:
        audio: One waveform (..., time), of any dtype of audio.
        key: Decides nothing; ``with_probability`` applies it at random.

    Returns:
        The same shape and dtype.

    Raises:
        ValueError: For a scalar or an empty clip.
        TypeError: For a dtype that is no audio.

    Example:
        >>> reverse(jnp.arange(3.0), jax.random.key(0)).tolist()
        [2.0, 1.0, 0.0]

    Reference:
        ``audiomentations.Reverse``.
    """
    numerics.check_key("reverse", key)
    return as_waveforms("reverse", audio)[..., ::-1], {}


reverse.draws = False  # type: ignore[attr-defined]


@annotated
def silence_span(
    audio: ArrayLike, key: jax.Array, share_range: tuple[ArrayLike, ArrayLike] = (0.01, 0.2), *, fade: int = 80
) -> Drawn:
    """Silence a random span of a clip.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the span.
        key: Decides the span: its share of the clip, and then where it starts, at any sample that leaves room for it.
        share_range: The least and the greatest share of the clip, 0 to 1, uniform between them. May be traced.
        fade: Over how many samples the sound fades at both ends, linearly, inside the span; at least 0, and at most a
            third of the span. Static.

    Returns:
        The same shape and dtype.

    Raises:
        ValueError: For a scalar, an empty clip, or an option out of range.
        TypeError: For integers, which ``to_float`` makes floats.

    Example:
        >>> masked = silence_span(jnp.ones(1000), jax.random.key(0), share_range=(0.1, 0.1), fade=0)
        >>> int((masked == 0).sum())
        100

    Reference:
        ``audiomentations.TimeMask``.
    """
    numerics.check_key("silence_span", key)
    waveform = as_float("silence_span", audio)
    low, high = check_range("share_range", share_range, minimum=0, maximum=1)
    check_integer("fade", fade, minimum=0, unit="samples")
    changed: Drawn = _silence_span(waveform, key, low, high, int(fade))
    return changed


@annotated
def drop_chunks(
    audio: ArrayLike,
    key: jax.Array,
    count_range: tuple[int, int] = (1, 3),
    width_range: tuple[int | jax.Array, int | jax.Array] = (100, 1000),
) -> Drawn:
    """Set random chunks of a clip to zero.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the chunks.
        key: Decides how many chunks there are, how wide each is, and where, at any sample that leaves room for it.
        count_range: The least and the greatest number of chunks, every number as likely; they may overlap. Static.
        width_range: The least and the greatest width in samples, every width as likely. May be traced. A chunk that
            is wider than the clip covers it.

    Returns:
        The same shape and dtype.

    Raises:
        ValueError: For a scalar, an empty clip, or an option out of range.
        TypeError: For integers, which ``to_float`` makes floats.

    Example:
        >>> dropped = drop_chunks(jnp.ones(1000), jax.random.key(0), count_range=(1, 1), width_range=(50, 50))
        >>> int((dropped == 0).sum())
        50

    Reference:
        ``speechbrain.augment.time_domain.DropChunk``.
    """
    numerics.check_key("drop_chunks", key)
    waveform = as_float("drop_chunks", audio)
    counts = check_range("count_range", count_range, integer=True, static=True, minimum=1, unit="chunks")
    widths = check_range("width_range", width_range, integer=True, minimum=1, unit="samples")
    changed: Drawn = _drop_chunks(waveform, key, counts[0], widths, counts[1])
    return changed


@annotated
def splice_out(audio: ArrayLike, key: jax.Array, n_spans: int = 8, max_width: int | jax.Array = 400) -> Drawn:
    """Cut random spans out of a clip, join the rest, and fill the end with silence.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the spans.
        key: Decides the spans. One after another has a width from 0 to ``max_width``, every width as likely, and starts
            at any sample of what the others left that leaves room for it. One sample is always left.
        n_spans: How many, at least 1. Static.
        max_width: The greatest width in samples, at least 0. May be traced.

    Returns:
        The same shape and dtype.

    Raises:
        ValueError: For a scalar, an empty clip, or an option out of range.
        TypeError: For integers, which ``to_float`` makes floats.

    Example:
        >>> spliced = splice_out(jnp.arange(1.0, 9.0), jax.random.key(1), n_spans=1, max_width=3)
        >>> bool((jnp.diff(spliced[spliced > 0]) > 0).all())
        True

    Reference:
        Jain et al., "SpliceOut: A Simple and Efficient Audio Augmentation Method", arXiv:2110.00046;
        ``torch_audiomentations.SpliceOut``.
    """
    numerics.check_key("splice_out", key)
    waveform = as_float("splice_out", audio)
    check_integer("n_spans", n_spans, minimum=1)
    if not isinstance(max_width, jax.Array):
        check_integer("max_width", max_width, minimum=0, unit="samples")
    changed: Drawn = _splice_out(waveform, key, max_width, int(n_spans))
    return changed


@partial(jax.jit, static_argnames=("mode", "fade"))
def _time_shift(waveform: jax.Array, key: jax.Array, max_shift: ArrayLike, mode: str, fade: int) -> Drawn:
    length = waveform.shape[-1]
    shift = numerics.randint(key, (), -jnp.asarray(max_shift), jnp.asarray(max_shift) + 1)
    if mode == "wrap":
        source = jnp.arange(length) - shift % length
        source = jnp.where(source < 0, source + length, source)
        moved = jnp.take(waveform, source, axis=-1, mode="clip")
        rises = falls = shift % length != 0
    else:
        source = jnp.arange(length) - jnp.clip(shift, -length, length)
        moved = jnp.take(waveform, source, axis=-1, mode="clip")
        moved = jnp.where((source >= 0) & (source < length), moved, _silence(waveform.dtype))
        rises, falls = shift > 0, shift < 0
    if fade:
        working = working_dtype(waveform.dtype)
        gain = jnp.where(rises, _ramp(source, fade, working), 1) * jnp.where(
            falls, _ramp(length - 1 - source, fade, working), 1
        )
        moved = (moved.astype(working) * gain).astype(waveform.dtype)
    return moved, {"shift": shift}


def _ramp(place: jax.Array, fade: int | jax.Array, dtype: Any) -> jax.Array:
    """A gain that rises over ``fade`` samples, from place 0 on."""
    return jnp.clip((place + 1).astype(dtype) / (fade + 1), 0, 1)


@partial(jax.jit, static_argnames="fade")
def _silence_span(waveform: jax.Array, key: jax.Array, low: ArrayLike, high: ArrayLike, fade: int) -> Drawn:
    length = waveform.shape[-1]
    working = working_dtype(waveform.dtype)
    share_key, start_key = jax.random.split(key)
    share = draw_uniform(share_key, (low, high), dtype=jnp.float32)
    width = jnp.round(share * length).astype(jnp.int32)
    start = numerics.randint(start_key, (), 0, length - width + 1)
    place = jnp.arange(length) - start
    inside = (place >= 0) & (place < width)
    # A third of the span is silent however short it is.
    heard = 1 - _ramp(jnp.minimum(place, width - 1 - place), jnp.minimum(fade, width // 3), working)
    silenced = jnp.where(inside & (heard <= 0), 0, waveform.astype(working) * jnp.where(inside, heard, 1))
    return silenced.astype(waveform.dtype), {"share": share, "start": start, "width": width}


@partial(jax.jit, static_argnames="most")
def _drop_chunks(waveform: jax.Array, key: jax.Array, least: ArrayLike, widths: Any, most: int) -> Drawn:
    length = waveform.shape[-1]
    count_key, width_key, start_key = jax.random.split(key, 3)
    count = numerics.randint(count_key, (), least, most + 1)
    width = numerics.randint(width_key, (most,), widths[0], jnp.asarray(widths[1]) + 1)
    start = numerics.randint(start_key, (most,), 0, jnp.maximum(length - width, 0) + 1)
    place = jnp.arange(length)[:, None]
    covered = (place >= start) & (place < start + width) & (jnp.arange(most) < count)
    dropped = jnp.where(covered.any(axis=-1), jnp.zeros((), waveform.dtype), waveform)
    return dropped, {"count": count, "width": width, "start": start}


@partial(jax.jit, static_argnames="n_spans")
def _splice_out(waveform: jax.Array, key: jax.Array, max_width: ArrayLike, n_spans: int) -> Drawn:
    length = waveform.shape[-1]
    width_key, start_key = jax.random.split(key)
    drawn = numerics.randint(width_key, (n_spans,), 0, jnp.asarray(max_width) + 1)
    left = jnp.asarray(length)
    spans = []
    for span, own_key in enumerate(jax.random.split(start_key, n_spans)):
        width = jnp.minimum(drawn[span], left - 1)
        start = numerics.randint(own_key, (), 0, left - width + 1)
        spans.append((start, width))
        left -= width
    source = jnp.arange(length)
    for start, width in reversed(spans):
        source += jnp.where(source >= start, width, 0)
    spliced = jnp.where(jnp.arange(length) < left, jnp.take(waveform, source, axis=-1, mode="clip"), 0)
    starts, widths = (jnp.stack(each) for each in zip(*spans, strict=True))
    return spliced.astype(waveform.dtype), {"start": starts, "width": widths}


def _silence(dtype: Any) -> jax.Array:
    unsigned = jnp.issubdtype(dtype, jnp.unsignedinteger)
    return jnp.asarray(2 ** (np.iinfo(dtype).bits - 1) if unsigned else 0, dtype)
