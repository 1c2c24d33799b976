"""Random changes of a waveform's duration, of its pitch, and of both: time stretch, pitch shift, speed."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_choice, check_integer, check_range
from artifex.generative_models.core.numerics import working_dtype
from artifex.generative_models.modalities.audio.annotations import annotated
from artifex.generative_models.modalities.audio.augmentations.draws import Drawn, as_float, draw_uniform
from artifex.generative_models.modalities.audio.preprocessing import resample_by
from artifex.generative_models.modalities.audio.representations import spectral_extension

# Two octaves, beyond which nothing is left of a voice, and the work grows with the ratio.
_MOST_SEMITONES = 24.0

# Zero crossings on each side of the filter that reads between samples.
_HALF_WIDTH = 32


@annotated
def time_stretch(
    audio: ArrayLike,
    key: jax.Array,
    rate_range: tuple[float, float] = (0.8, 1.2),
    *,
    tail: str = "wrap",
    n_fft: int | None = None,
    hop_length: int | None = None,
) -> Drawn:
    """Play a clip faster or slower by a random rate: the pitch stays, and so does the length of the array.

    The work is done by the phase vocoder of the extension ``"spectral"``, found by name. As with librosa's, noisy
    sound loses 2 to 4 dB at any rate but 1, since its phases no longer add up; normalize afterward where a model must
    not tell a stretched clip by its level.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the rate.
        key: Decides the rate.
        rate_range: The least and the greatest rate, above 0, uniform between them; above 1 is faster. Static,
            since the greatest rate decides how much of the clip is needed again.
        tail: What follows where a faster clip ends early. ``"wrap"`` goes on with its beginning, so that no
            rate can be told by its silent tail: the choice for steady sounds, music, tagging. ``"zeros"``
            pads with silence, as librosa and audiomentations users expect: the choice where the clip must be
            heard once, as with transcripts or onsets. A slower clip loses its end either way.
        n_fft: Samples in a frame of the vocoder. None means 1024, or in a shorter clip the largest power of
            two that it holds, at least 16. 2048 suits music at 44 100 Hz.
        hop_length: Samples from frame to frame, at most ``n_fft``; None means ``n_fft // 4``.

    Returns:
        The same shape and dtype.

    Raises:
        MissingDependencyError: Without artifex-spectral.
        ValueError: For a scalar, an empty clip, a range out of order or not above 0, or an unknown tail.
        TypeError: For integers, which ``to_float`` makes floats, or a range that is traced.

    Example:
        >>> tone = jnp.sin(jnp.arange(4000) * 0.2)
        >>> time_stretch(tone, jax.random.key(0), rate_range=(0.9, 1.1)).shape
        (4000,)

    Reference:
        ``librosa.effects.time_stretch``.
    """
    numerics.check_key("time_stretch", key)
    waveform = as_float("time_stretch", audio)
    low, high = map(float, check_range("rate_range", rate_range, above=0, static=True))
    check_choice("tail", tail, choices=("wrap", "zeros"))
    length = waveform.shape[-1]
    extension, n_fft = _vocoder("time_stretch", length, n_fft, hop_length)
    # The last frames of the fastest version reach half a frame beyond what is kept of it.
    ahead = max(0, math.ceil(length * high) - length) + n_fft // 2 if tail == "wrap" else 0
    changed: Drawn = _time_stretch(waveform, key, low, high, extension, ahead)
    return changed


@annotated
def pitch_shift(
    audio: ArrayLike,
    key: jax.Array,
    semitones_range: tuple[float, float] = (-4.0, 4.0),
    *,
    tail: str = "wrap",
    n_fft: int | None = None,
    hop_length: int | None = None,
) -> Drawn:
    """Make a clip higher or lower by a random interval: its duration stays.

    The phase vocoder of the extension ``"spectral"`` stretches the clip, and reading it at another speed brings the
    duration back. Formants move with the pitch. What is said of the level of noise at ``time_stretch`` holds here too.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the interval.
        key: Decides the interval.
        semitones_range: The least and the greatest interval in semitones, -24 to 24, uniform between them; 12 is an
            octave up. Static, since the greatest decides how much there is to compute.
        tail: What the frames at the end meet beyond it. ``"wrap"`` is the clip's beginning, so that steady sound keeps
            its level, and a clip that ends in silence may end in a trace of its beginning; ``"zeros"`` is silence, into
            which the end fades, as librosa's and audiomentations' does: the choice for speech and padded clips.
        n_fft: Samples in a frame of the vocoder. None means 1024, or in a shorter clip the largest power of two that it
            holds, at least 16. 2048 suits music at 44 100 Hz.
        hop_length: Samples from frame to frame, at most ``n_fft``; None means ``n_fft // 4``.

    Returns:
        The same shape and dtype. What would lie above half the sample rate is left out.

    Raises:
        MissingDependencyError: Without artifex-spectral.
        ValueError: For a scalar, an empty clip, an option out of range, or an unknown tail.
        TypeError: For integers, which ``to_float`` makes floats, or a range that is traced.

    Example:
        >>> tone = jnp.sin(jnp.arange(4000) * 0.2)
        >>> octave_up = pitch_shift(tone, jax.random.key(0), semitones_range=(12, 12))
        >>> octave_up.shape, int(jnp.abs(jnp.fft.rfft(octave_up)).argmax())
        ((4000,), 255)

    Reference:
        ``librosa.effects.pitch_shift``; ``audiomentations.PitchShift``.
    """
    numerics.check_key("pitch_shift", key)
    waveform = as_float("pitch_shift", audio)
    low, high = map(
        float,
        check_range("semitones_range", semitones_range, minimum=-_MOST_SEMITONES, maximum=_MOST_SEMITONES, static=True),
    )
    check_choice("tail", tail, choices=("wrap", "zeros"))
    extension, n_fft = _vocoder("pitch_shift", waveform.shape[-1], n_fft, hop_length)
    ahead = n_fft if tail == "wrap" else 0
    changed: Drawn = _pitch_shift(waveform, key, low, high, extension, max(1.0, 2 ** (high / 12)), ahead)
    return changed


@annotated
def speed(
    audio: ArrayLike, key: jax.Array, speed_range: tuple[float, float] = (0.9, 1.1), *, tail: str = "zeros"
) -> Drawn:
    """Play a clip faster and higher, or slower and lower, as a tape does, in an array of the same length.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the speed.
        key: Decides the speed.
        speed_range: The least and the greatest speed, above 0, uniform between them; above 1 is faster. Static, since
            the greatest decides how long the filters are.
        tail: What follows where a faster clip ends early: ``"zeros"``, or ``"wrap"`` for its beginning again. A slower
            clip loses its end either way.

    Returns:
        The same shape and dtype. What would lie above half the sample rate is left out.

    Raises:
        ValueError: For a scalar, an empty clip, a range out of order or not above 0, or an unknown tail.
        TypeError: For integers, which ``to_float`` makes floats, or a range that is traced.

    Example:
        >>> tone = jnp.sin(jnp.arange(4000) * 0.2)
        >>> faster = speed(tone, jax.random.key(0), speed_range=(1.25, 1.25))
        >>> bool(jnp.abs(faster[100:3000] - jnp.sin(jnp.arange(100, 3000) * 0.25)).max() < 1e-3)
        True

    Reference:
        Ko et al., "Audio Augmentation for Speech Recognition", Interspeech 2015; ``torchaudio.transforms.Speed``,
        which changes the length instead.
    """
    numerics.check_key("speed", key)
    waveform = as_float("speed", audio)
    low, high = map(float, check_range("speed_range", speed_range, above=0, static=True))
    check_choice("tail", tail, choices=("wrap", "zeros"))
    length, longest = waveform.shape[-1], max(1.0, high)
    # What the filter looks ahead at belongs to the beginning, too.
    ahead = math.ceil(length * longest) - length + math.ceil(_HALF_WIDTH * longest) if tail == "wrap" else 0
    changed: Drawn = _speed(waveform, key, low, high, longest, ahead)
    return changed


def _vocoder(name: str, length: int, n_fft: int | None, hop_length: int | None) -> tuple[Any, int]:
    """The extension that stretches, and the length of its frames."""
    n_fft = min(1024, max(16, 1 << (length.bit_length() - 1))) if n_fft is None else n_fft
    check_integer("n_fft", n_fft, minimum=4, unit="samples")
    hop_length = n_fft // 4 if hop_length is None else hop_length
    check_integer("hop_length", hop_length, minimum=1, maximum=n_fft, unit="samples")
    # The vocoder uses no mel filter; one is the number that fits every n_fft.
    return spectral_extension(name, n_fft=n_fft, hop_length=hop_length, n_mels=1), n_fft


@partial(jax.jit, static_argnames=("extension", "ahead"))
def _time_stretch(
    waveform: jax.Array, key: jax.Array, low: ArrayLike, high: ArrayLike, extension: Any, ahead: int
) -> Drawn:
    length = waveform.shape[-1]
    values = waveform.astype(working_dtype(waveform.dtype))
    rate = draw_uniform(key, (low, high), dtype=values.dtype)
    continued = jnp.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, ahead)], mode="wrap")
    stretched: jax.Array = extension.time_stretch(continued, rate, length=length)
    return stretched.astype(waveform.dtype), {"rate": rate}


@partial(jax.jit, static_argnames=("extension", "longest", "ahead"))
def _pitch_shift(
    waveform: jax.Array, key: jax.Array, low: ArrayLike, high: ArrayLike, extension: Any, longest: float, ahead: int
) -> Drawn:
    length = waveform.shape[-1]
    values = waveform.astype(working_dtype(waveform.dtype))
    semitones = draw_uniform(key, (low, high), dtype=values.dtype)
    ratio = jnp.clip(jnp.exp2(semitones / 12), 0, longest)
    continued = jnp.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, ahead)], mode="wrap")
    stretched = extension.time_stretch(continued, 1 / ratio, length=math.ceil((length + ahead) * longest))
    shifted = resample_by(stretched, ratio, length=length, max_ratio=longest, half_width=_HALF_WIDTH)
    return shifted.astype(waveform.dtype), {"semitones": semitones}


@partial(jax.jit, static_argnames=("longest", "ahead"))
def _speed(waveform: jax.Array, key: jax.Array, low: ArrayLike, high: ArrayLike, longest: float, ahead: int) -> Drawn:
    length = waveform.shape[-1]
    values = waveform.astype(working_dtype(waveform.dtype))
    drawn = draw_uniform(key, (low, high), dtype=values.dtype)
    continued = jnp.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, ahead)], mode="wrap")
    played = resample_by(continued, drawn, length=length, max_ratio=longest, half_width=_HALF_WIDTH)
    return played.astype(waveform.dtype), {"speed": drawn}
