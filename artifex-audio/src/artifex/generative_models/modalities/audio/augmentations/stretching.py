"""Random changes of the tempo of a waveform, of its pitch, and of both: time stretch, pitch shift, speed."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_choice, check_integer, check_range
from artifex.generative_models.core.numerics import jit, working_dtype
from artifex.generative_models.modalities.audio.annotations import Drawn, augmentation
from artifex.generative_models.modalities.audio.augmentations.domain import checked_waveform
from artifex.generative_models.modalities.audio.augmentations.draws import draw_uniform
from artifex.generative_models.modalities.audio.preprocessing.resampling import resample_by
from artifex.generative_models.modalities.audio.spectral_settings import spectral_extension

_MAX_SEMITONES = 24.0

# Zero crossings of the resampling filter on each side.
_HALF_WIDTH = 32


def _draw_time_stretch(key: jax.Array, shape: tuple[int, ...], *, rate_range: tuple[float, float]) -> Drawn:
    return {"rate": draw_uniform(key, check_range("rate_range", rate_range, above=0, static=True))}


@augmentation(draw=_draw_time_stretch)
def time_stretch(
    audio: ArrayLike,
    key: jax.Array,
    rate_range: tuple[float, float] = (0.8, 1.2),
    *,
    tail: str = "wrap",
    n_fft: int | None = None,
    hop_length: int | None = None,
) -> jax.Array:
    """Time-stretch a waveform by a random rate; pitch and array length stay the same.

    The extension ``"spectral"`` provides the phase vocoder. As with librosa's, noisy signals lose 2 to 4 dB at any rate
    except 1, because their phases no longer add up; normalize afterward if a model must not detect stretched clips by
    their level.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the rate.
        key: PRNG key.
        rate_range: Rate (min, max), above 0; drawn uniformly; above 1 is faster. Static: the maximum determines how many
            samples of the beginning are appended.
        tail: How a faster clip is extended to the original length. ``"wrap"`` continues with its beginning, so that the
            rate cannot be detected from a silent tail; use it for steady sounds, music and tagging. ``"zeros"`` pads
            with silence as librosa and audiomentations do; use it if the clip has a transcript or onsets, because no
            part of it is repeated. The end of a slower clip is cut in either case.
        n_fft: FFT size of the phase vocoder in samples. None means 1024, or for a shorter clip the largest power of two
            that fits, at least 16. 2048 suits music at 44 100 Hz.
        hop_length: Samples from frame to frame, at most ``n_fft``. None means ``n_fft // 4``.

    Returns:
        The stretched waveform, same shape and dtype. Annotation: ``rate``.

    Raises:
        MissingDependencyError: If artifex-spectral is not installed.
        ValueError: If ``audio`` is a scalar or empty, or an option is out of range.
        TypeError: If ``audio`` is of integers (convert it with ``to_float``), or the range is traced.

    Example:
        >>> tone = jnp.sin(jnp.arange(4000.0) * 0.2)
        >>> time_stretch(tone, jax.random.key(0), rate_range=(0.9, 1.1)).shape
        (4000,)

    Reference:
        ``librosa.effects.time_stretch``.
    """
    waveform = checked_waveform("time_stretch", audio, key)
    check_choice("tail", tail, choices=("wrap", "zeros"))
    drawn = _draw_time_stretch(key, waveform.shape, rate_range=rate_range)
    length, max_rate = waveform.shape[-1], float(rate_range[1])
    vocoder, n_fft = _vocoder("time_stretch", length, n_fft, hop_length)
    # The last frames at the maximum rate extend half a frame beyond the samples that are kept.
    n_appended = max(0, math.ceil(length * max_rate) - length) + n_fft // 2 if tail == "wrap" else 0
    return _time_stretch(waveform, drawn["rate"], vocoder, n_appended)


def _draw_pitch_shift(key: jax.Array, shape: tuple[int, ...], *, semitones_range: tuple[float, float]) -> Drawn:
    bounds = check_range(
        "semitones_range",
        semitones_range,
        minimum=-_MAX_SEMITONES,
        maximum=_MAX_SEMITONES,
        static=True,
        unit="semitones",
    )
    return {"semitones": draw_uniform(key, bounds)}


@augmentation(draw=_draw_pitch_shift)
def pitch_shift(
    audio: ArrayLike,
    key: jax.Array,
    semitones_range: tuple[float, float] = (-4.0, 4.0),
    *,
    tail: str = "wrap",
    n_fft: int | None = None,
    hop_length: int | None = None,
) -> jax.Array:
    """Shift the pitch of a waveform by a random interval; the duration stays the same.

    The phase vocoder of the extension ``"spectral"`` stretches the clip, and resampling restores the duration. Formants
    move with the pitch. Noisy signals lose level as in ``time_stretch``.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the interval.
        key: PRNG key.
        semitones_range: Interval (min, max) in semitones, -24 to 24; drawn uniformly; 12 is an octave up. Static: the
            maximum determines the length of the stretched clip.
        tail: Signal that is appended to the clip for the last frames, which extend past its end. ``"wrap"`` appends
            the beginning of the clip: steady sounds keep their level, but if the clip ends in silence, a part of the
            beginning may be audible there. ``"zeros"`` appends silence, as librosa and audiomentations do, so that the
            end fades out; use it for speech and padded clips.
        n_fft: FFT size of the phase vocoder in samples. None means 1024, or for a shorter clip the largest power of two
            that fits, at least 16. 2048 suits music at 44 100 Hz.
        hop_length: Samples from frame to frame, at most ``n_fft``. None means ``n_fft // 4``.

    Returns:
        The shifted waveform, same shape and dtype. Frequencies above half the sample rate are removed. Annotation:
        ``semitones``.

    Raises:
        MissingDependencyError: If artifex-spectral is not installed.
        ValueError: If ``audio`` is a scalar or empty, or an option is out of range.
        TypeError: If ``audio`` is of integers (convert it with ``to_float``), or the range is traced.

    Example:
        >>> tone = jnp.sin(jnp.arange(4000.0) * 0.2)
        >>> octave_up = pitch_shift(tone, jax.random.key(0), semitones_range=(12, 12))
        >>> octave_up.shape, int(jnp.abs(jnp.fft.rfft(octave_up)).argmax())
        ((4000,), 255)

    Reference:
        ``librosa.effects.pitch_shift``; ``audiomentations.PitchShift``.
    """
    waveform = checked_waveform("pitch_shift", audio, key)
    check_choice("tail", tail, choices=("wrap", "zeros"))
    drawn = _draw_pitch_shift(key, waveform.shape, semitones_range=semitones_range)
    max_ratio = max(1.0, 2 ** (float(semitones_range[1]) / 12))
    vocoder, n_fft = _vocoder("pitch_shift", waveform.shape[-1], n_fft, hop_length)
    return _pitch_shift(waveform, drawn["semitones"], vocoder, max_ratio, n_fft if tail == "wrap" else 0)


def _draw_speed(key: jax.Array, shape: tuple[int, ...], *, speed_range: tuple[float, float]) -> Drawn:
    return {"speed": draw_uniform(key, check_range("speed_range", speed_range, above=0, static=True))}


@augmentation(draw=_draw_speed)
def speed(
    audio: ArrayLike, key: jax.Array, speed_range: tuple[float, float] = (0.9, 1.1), *, tail: str = "zeros"
) -> jax.Array:
    """Change the speed of a waveform at random by resampling: both tempo and pitch change, but not the length.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the speed.
        key: PRNG key.
        speed_range: Speed (min, max), above 0; drawn uniformly; above 1 is faster and higher. Static: the maximum
            determines the length of the resampling filter.
        tail: How a faster clip is extended to the original length: ``"zeros"``, or ``"wrap"`` for its beginning. The end
            of a slower clip is cut in either case.

    Returns:
        The resampled waveform, same shape and dtype. Frequencies above half the sample rate are removed. Annotation:
        ``speed``.

    Raises:
        ValueError: If ``audio`` is a scalar or empty, or an option is out of range.
        TypeError: If ``audio`` is of integers (convert it with ``to_float``), or the range is traced.

    Example:
        >>> tone = jnp.sin(jnp.arange(4000.0) * 0.2)
        >>> faster = speed(tone, jax.random.key(0), speed_range=(1.25, 1.25))
        >>> bool(jnp.abs(faster[100:3000] - jnp.sin(jnp.arange(100.0, 3000.0) * 0.25)).max() < 1e-3)
        True

    Reference:
        Ko et al., "Audio Augmentation for Speech Recognition", Interspeech 2015; ``torchaudio.transforms.Speed``,
        which changes the length.
    """
    waveform = checked_waveform("speed", audio, key)
    check_choice("tail", tail, choices=("wrap", "zeros"))
    drawn = _draw_speed(key, waveform.shape, speed_range=speed_range)
    length, max_speed = waveform.shape[-1], max(1.0, float(speed_range[1]))
    # The filter extends beyond the last sample that is read.
    n_appended = math.ceil(length * max_speed) - length + math.ceil(_HALF_WIDTH * max_speed) if tail == "wrap" else 0
    return _change_speed(waveform, drawn["speed"], max_speed, n_appended)


def _vocoder(name: str, length: int, n_fft: int | None, hop_length: int | None) -> tuple[Any, int]:
    """Return the extension whose phase vocoder is used, and its FFT size."""
    n_fft = min(1024, max(16, 1 << (length.bit_length() - 1))) if n_fft is None else n_fft
    check_integer("n_fft", n_fft, minimum=4, unit="samples")
    hop_length = n_fft // 4 if hop_length is None else hop_length
    check_integer("hop_length", hop_length, minimum=1, maximum=n_fft, unit="samples")
    # The vocoder uses no mel filters; one filter fits every n_fft.
    return spectral_extension(name, n_fft=n_fft, hop_length=hop_length, n_mels=1), n_fft


@jit(static_argnames=["vocoder", "n_appended"])
def _time_stretch(waveform: jax.Array, rate: jax.Array, vocoder: Any, n_appended: int) -> jax.Array:
    values = waveform.astype(working_dtype(waveform.dtype))
    stretched: jax.Array = vocoder.time_stretch(
        _append_beginning(values, n_appended), rate.astype(values.dtype), length=waveform.shape[-1]
    )
    return stretched.astype(waveform.dtype)


@jit(static_argnames=["vocoder", "max_ratio", "n_appended"])
def _pitch_shift(
    waveform: jax.Array, semitones: jax.Array, vocoder: Any, max_ratio: float, n_appended: int
) -> jax.Array:
    length = waveform.shape[-1]
    values = waveform.astype(working_dtype(waveform.dtype))
    ratio = jnp.clip(jnp.exp2(semitones.astype(values.dtype) / 12), 0, max_ratio)
    stretched = vocoder.time_stretch(
        _append_beginning(values, n_appended), 1 / ratio, length=math.ceil((length + n_appended) * max_ratio)
    )
    shifted = resample_by(stretched, ratio, length=length, max_ratio=max_ratio, half_width=_HALF_WIDTH)
    return shifted.astype(waveform.dtype)


@jit(static_argnames=["max_speed", "n_appended"])
def _change_speed(waveform: jax.Array, speed: jax.Array, max_speed: float, n_appended: int) -> jax.Array:
    values = waveform.astype(working_dtype(waveform.dtype))
    resampled = resample_by(
        _append_beginning(values, n_appended),
        speed.astype(values.dtype),
        length=waveform.shape[-1],
        max_ratio=max_speed,
        half_width=_HALF_WIDTH,
    )
    return resampled.astype(waveform.dtype)


def _append_beginning(values: jax.Array, n_samples: int) -> jax.Array:
    return jnp.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, n_samples)], mode="wrap")
