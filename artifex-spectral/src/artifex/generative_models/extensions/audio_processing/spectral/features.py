"""Descriptors of each frame: the shape of its spectrum, how it changes, its level and its zero crossings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_integer, check_number
from artifex.generative_models.extensions.audio_processing.spectral.framing import Frames
from artifex.generative_models.extensions.audio_processing.spectral.levels import decibels, finished_level, level_of
from artifex.generative_models.extensions.audio_processing.spectral.mel import mel_spectrogram
from artifex.generative_models.extensions.audio_processing.spectral.pipeline import feature

if TYPE_CHECKING:
    from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig

# librosa's: what takes the place of a power below it, how far below the loudest a level may fall, and the amplitude
# that has no sign.
_LEAST_POWER, _TOP_DB, _LEAST_SAMPLE = 1e-10, 80.0, 1e-10

_Bands = list[tuple[int, int, int]]


@feature()
def spectral_centroid(frames: Frames, config: SpectralConfig) -> jax.Array:
    """Return the mean frequency of each frame, weighted by magnitude.

    Returns:
        Frequencies in Hz, (..., n_frames), in the audio's dtype; 0 for silence.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> tone = jnp.sin(jnp.pi / 2 * jnp.arange(2048))
        >>> round(float(spectral_centroid(tone, SpectralConfig(sample_rate=8000, n_fft=256, n_mels=20))[16]))
        2000

    Reference:
        ``librosa.feature.spectral_centroid``.
    """
    return jnp.sum(_shares(frames.magnitude, 0.0) * config.frequencies.astype(frames.magnitude.dtype), axis=-1)


@feature()
def spectral_bandwidth(frames: Frames, config: SpectralConfig) -> jax.Array:
    """Return the standard deviation of frequency in each frame, weighted by magnitude.

    Returns:
        Widths in Hz, (..., n_frames), in the audio's dtype; 0 for silence.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> spectral_bandwidth(jnp.zeros(1000), SpectralConfig(n_fft=256, n_mels=20)).max().item()
        0.0

    Reference:
        ``librosa.feature.spectral_bandwidth``.
    """
    center = spectral_centroid.measure(frames, config)[..., None]
    deviation = config.frequencies.astype(frames.magnitude.dtype) - center
    return numerics.safe_sqrt(jnp.sum(_shares(frames.magnitude, 0.0) * jnp.square(deviation), axis=-1))


@feature()
def spectral_rolloff(frames: Frames, config: SpectralConfig) -> jax.Array:
    """Return the frequency at or below which ``config.rolloff_share`` of each frame's magnitude lies.

    Returns:
        Frequencies in Hz, (..., n_frames), in the audio's dtype; 0 for silence. The gradient is 0.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> tone = jnp.sin(jnp.pi / 2 * jnp.arange(2048))
        >>> float(spectral_rolloff(tone, SpectralConfig(sample_rate=8000, n_fft=256, n_mels=20))[16])
        2031.25

    Reference:
        ``librosa.feature.spectral_rolloff``.
    """
    running = jnp.cumsum(frames.magnitude, axis=-1)
    total = running[..., -1]
    below = jnp.sum(running < config.rolloff_share * total[..., None], axis=-1).astype(total.dtype)
    return jnp.where(jnp.isfinite(total), below * (config.sample_rate / config.n_fft), jnp.nan)


@feature(check=lambda config, amin: check_number("amin", amin, above=0.0))
def spectral_flatness(frames: Frames, config: SpectralConfig, *, amin: float = _LEAST_POWER) -> jax.Array:
    """Return the geometric over the arithmetic mean of each frame's power: near 0 for a tone, toward 1 for noise.

    Options:
        amin: What takes the place of powers below it, above 0.

    Returns:
        Ratios from 0 to 1, (..., n_frames), in the audio's dtype; 1 for silence.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> click = jnp.eye(1, 256, 128)[0]
        >>> spectral_flatness(click, SpectralConfig(n_fft=256, n_mels=20, center=False)).round(3).tolist()
        [1.0]

    Reference:
        ``librosa.feature.spectral_flatness``.
    """
    amin = max(amin, 4 * float(np.finfo(frames.power.dtype).tiny))
    power = jnp.where(frames.power < amin, amin, frames.power)
    return jnp.exp(jnp.mean(jnp.log(power), axis=-1)) / jnp.mean(power, axis=-1)


@feature()
def spectral_crest(frames: Frames, config: SpectralConfig) -> jax.Array:
    """Return the largest over the mean power of each frame's spectrum: 1 when it is flat, ``n_freq`` for one line.

    Returns:
        Ratios from 1 to ``n_freq``, (..., n_frames), in the audio's dtype; 1 for silence, which counts as flat.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> click = jnp.eye(1, 256, 128)[0]
        >>> spectral_crest(click, SpectralConfig(n_fft=256, n_mels=20, center=False)).round(3).tolist()
        [1.0]

    Reference:
        Peeters, "A large set of audio features", 2004, and MATLAB's ``spectralCrest``, of the power spectrum.
    """
    shares = _shares(frames.power, 1 / config.n_freq)
    # A maximum may leave NaN out, see below.
    return jnp.where(jnp.isnan(shares[..., 0]), jnp.nan, config.n_freq * jnp.max(shares, axis=-1))


@feature()
def spectral_entropy(frames: Frames, config: SpectralConfig) -> jax.Array:
    """Return how evenly each frame's power is spread over frequency: the entropy of its shares over the most it can be.

    Returns:
        Values from 0 (one line) to 1 (flat), (..., n_frames), in the audio's dtype; 1 for silence, which counts as
        flat.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> click = jnp.eye(1, 256, 128)[0]
        >>> spectral_entropy(click, SpectralConfig(n_fft=256, n_mels=20, center=False)).round(3).tolist()
        [1.0]

    Reference:
        Misra and others, "Spectral entropy based feature for robust ASR", 2004, and MATLAB's ``spectralEntropy``.
    """
    shares = _shares(frames.power, 1 / config.n_freq)
    # The derivative of the logarithm at 0 would be infinite; a share of 0 adds nothing.
    terms = shares * jnp.log(jnp.where(shares == 0, 1, shares))
    return -jnp.sum(terms, axis=-1) / float(np.log(config.n_freq))


@feature()
def spectral_slope(frames: Frames, config: SpectralConfig) -> jax.Array:
    """Return the slope of a straight line through each frame's magnitudes over frequency, their sum taken as 1.

    Returns:
        Slopes in 1/Hz, (..., n_frames), in the audio's dtype, whatever the level; 0 for silence.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> deep = jnp.sin(0.1 * jnp.arange(256))
        >>> bool(spectral_slope(deep, SpectralConfig(n_fft=256, n_mels=20, center=False))[0] < 0)
        True

    Reference:
        Peeters, "A large set of audio features", 2004; MATLAB's ``spectralSlope`` leaves out the division by the sum.
    """
    frequency = config.frequencies
    deviation = frequency - frequency.mean()
    weight = (deviation / np.sum(deviation**2)).astype(frames.magnitude.dtype)
    return jnp.sum(_shares(frames.magnitude, 0.0) * weight, axis=-1)


def _contrast(
    measured: tuple[jax.Array, jax.Array], config: SpectralConfig, n_valid: jax.Array | None, **options: float
) -> jax.Array:
    peak, valley = (decibels(values, 1.0, _LEAST_POWER, _TOP_DB) for values in measured)
    return peak - valley


def _check_contrast(config: SpectralConfig, n_bands: int, f_min: float, quantile: float) -> None:
    check_integer("n_bands", n_bands, minimum=1)
    check_number("f_min", f_min, above=0.0, unit="Hz")
    check_number("quantile", quantile, above=0.0, maximum=0.5)
    lowest = f_min * 2.0 ** (n_bands - 1)
    if lowest >= config.sample_rate / 2:
        raise ValueError(
            f"the last of n_bands {n_bands} octaves above f_min {f_min} Hz starts at {lowest} Hz, not below half the "
            f"sample rate of {config.sample_rate} Hz; lower n_bands or f_min"
        )
    narrow = [band for band, (first, end, _) in enumerate(_octaves(config, n_bands, f_min, quantile)) if first >= end]
    if narrow:
        raise ValueError(
            f"band {narrow[0]} of the spectral contrast has no bin: those of n_fft {config.n_fft} are "
            f"{config.sample_rate / config.n_fft:.1f} Hz apart; raise n_fft or f_min {f_min} Hz"
        )


@feature(finish=_contrast, check=_check_contrast)
def spectral_contrast(
    frames: Frames, config: SpectralConfig, *, n_bands: int = 6, f_min: float = 200.0, quantile: float = 0.02
) -> tuple[jax.Array, jax.Array]:
    """Return how far the strongest bins of each octave stand above its weakest.

    Options:
        n_bands: Number of octaves above ``f_min``; there is one band more, below it.
        f_min: Upper edge of the lowest band, Hz.
        quantile: The share of a band's bins, at least one, whose mean is its peak and its valley, above 0 and at
            most 0.5.

    Returns:
        Differences in dB, of levels at most 80 dB below the loudest of the clip, (..., n_bands + 1, n_frames), in the
        audio's dtype; 0 for silence. The levels are librosa's, ``10 log10`` of magnitudes, so that a tone 20 dB above
        what surrounds it has a contrast of 10 dB.

    Raises:
        ValueError: When the bands reach above half the sample rate, or are too narrow for ``n_fft``.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> spectral_contrast(jnp.ones((2, 1000)), SpectralConfig(n_fft=512, n_mels=20)).shape
        (2, 7, 8)

    Reference:
        Jiang and others, "Music type classification by spectral contrast feature", 2002;
        ``librosa.feature.spectral_contrast``, with the loudest of each clip in place of that of the whole array.
    """
    peaks, valleys = [], []
    for first, end, count in _octaves(config, n_bands, f_min, quantile):
        band = frames.magnitude[..., first:end]
        peaks.append(jnp.mean(lax.top_k(band, count)[0], axis=-1))
        valleys.append(-jnp.mean(lax.top_k(-band, count)[0], axis=-1))
    return jnp.stack(peaks, axis=-2), jnp.stack(valleys, axis=-2)


def _rise(measured: jax.Array, config: SpectralConfig, n_valid: jax.Array | None) -> jax.Array:
    # The first frame differs from none, and frames past the valid ones are silent: they only fall.
    return jnp.pad(_risen(measured).sum(axis=-2), [(0, 0)] * (measured.ndim - 2) + [(1, 0)])


@feature(finish=_rise)
def spectral_flux(frames: Frames, config: SpectralConfig) -> jax.Array:
    """Return by how much magnitudes grew since the frame before, summed over those frequencies where they grew.

    Returns:
        Sums of magnitudes (the half-wave rectified L1 norm), (..., n_frames), in the audio's dtype; 0 for the first
        frame.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> spectral_flux(jnp.zeros(1000), SpectralConfig(n_fft=256, n_mels=20)).max().item()
        0.0

    Reference:
        Dixon, "Onset detection revisited", 2006; MATLAB's ``spectralFlux`` takes the L2 norm of rises and falls.
    """
    return jnp.moveaxis(frames.magnitude, -1, -2)


def _onset(levels: jax.Array, config: SpectralConfig, n_valid: jax.Array | None) -> jax.Array:
    levels = finished_level(levels, _in_db(config))
    n_frames = levels.shape[-1]
    late = 1 + (config.n_fft // (2 * config.hop) if config.center else 0)
    rise = jnp.mean(_risen(levels), axis=-2)
    strength = jnp.pad(rise, [(0, 0)] * (rise.ndim - 1) + [(late, 0)])[..., :n_frames]
    if n_valid is not None:
        strength = jnp.where(jnp.arange(n_frames) < n_valid[..., None], strength, 0)
    return strength


@feature(finish=_onset)
def onset_strength(frames: Frames, config: SpectralConfig) -> jax.Array:
    """Return by how much mel levels rise from frame to frame, the mean over bands: it peaks where notes begin.

    Where frames are centered it is later by half a frame, ``n_fft // (2 * hop_length)`` frames, as librosa's, so that
    a peak is where the sound has begun.

    Returns:
        Rises in dB, whatever ``config.log``, (..., n_frames), in the audio's dtype; 0 for silence.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> click = jnp.eye(1, 2048, 1024)[0]
        >>> int(onset_strength(click, SpectralConfig(n_fft=256, n_mels=20)).argmax())
        17

    Reference:
        ``librosa.onset.onset_strength``, with the mel bands, floor and ``top_db`` of the configuration.
    """
    return level_of(mel_spectrogram.measure(frames, config), _in_db(config))


@feature()
def rms(frames: Frames, config: SpectralConfig) -> jax.Array:
    """Return the root of the mean square of each frame's samples, without a window.

    Returns:
        Amplitudes, full scale 1 whatever ``input_scale`` is, (..., n_frames), in the audio's dtype.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> rms(0.5 * jnp.ones(1000), SpectralConfig(n_fft=256, n_mels=20))[8].item()
        0.5

    Reference:
        ``librosa.feature.rms``.
    """
    return numerics.safe_sqrt(jnp.mean(jnp.square(frames.samples), axis=-1)) / config.input_scale


@feature()
def zero_crossing_rate(frames: Frames, config: SpectralConfig) -> jax.Array:
    """Return the share of each frame's samples that have another sign than the sample before, 0 being positive.

    Zeros that a frame begins or ends with, as padding is, cross nothing. librosa pads with the first and last samples
    to that end, and counts a crossing where a frame begins with 0 and goes on below, or comes from below and ends so.

    Returns:
        Rates from 0 to 1, (..., n_frames), in the audio's dtype. The gradient is 0.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> tone = jnp.cos(jnp.pi / 2 * jnp.arange(2048) + 0.1)
        >>> zero_crossing_rate(tone, SpectralConfig(n_fft=256, n_mels=20))[16].item()
        0.5

    Reference:
        ``librosa.feature.zero_crossing_rate``.
    """
    samples = frames.samples
    place = np.arange(config.frame, dtype=np.int32)
    heard = jnp.abs(samples) > _LEAST_SAMPLE
    first = jnp.min(jnp.where(heard, place, config.frame), axis=-1, keepdims=True)
    last = jnp.max(jnp.where(heard, place, -1), axis=-1, keepdims=True)
    below = samples < -_LEAST_SAMPLE
    crossed = (below[..., 1:] != below[..., :-1]) & (place[1:] > first) & (place[1:] <= last)
    rate = jnp.sum(crossed, axis=-1).astype(samples.dtype) / config.frame
    return jnp.where(jnp.isfinite(jnp.sum(samples, axis=-1)), rate, jnp.nan)


def normalized(values: jax.Array, size: Callable[..., jax.Array], axis: int, silent: float) -> jax.Array:
    """Return values over their size along an axis, such as their sum, or ``silent`` where all are next to nothing.

    Args:
        values: Values of at least 0, in a working dtype.
        size: ``f(values, axis=…, keepdims=True)``, in proportion to the values, such as ``jnp.sum``.
        axis: The axis.
        silent: What stands where all values are 0.

    Returns:
        Values in the same shape.

    Example:
        >>> normalized(jnp.asarray([1.0, 3.0]), jnp.sum, axis=-1, silent=0.0).tolist()
        [0.25, 0.75]
    """
    # The derivative of a quotient has the square of the divisor, which vanishes long before it does; over the
    # largest value, whose derivative cancels, it is near 1. XLA leaves NaN out of a maximum on CPUs, not out of a sum.
    largest = lax.stop_gradient(jnp.max(values, axis=axis, keepdims=True))
    quiet = jnp.sum(values, axis=axis, keepdims=True) < np.finfo(values.dtype).tiny
    scaled = values / jnp.where(quiet, 1, largest)
    return jnp.where(quiet, silent, scaled / jnp.where(quiet, 1, size(scaled, axis=axis, keepdims=True)))


def _shares(values: jax.Array, silent: float) -> jax.Array:
    return normalized(values, jnp.sum, -1, silent)


def _risen(values: jax.Array) -> jax.Array:
    """By how much values (..., time) grew since the frame before, 0 where they fell."""
    rise = values[..., 1:] - values[..., :-1]
    return jnp.where(rise < 0, 0, rise)


def _in_db(config: SpectralConfig) -> SpectralConfig:
    return config.evolve(log="db", level_offset=0.0, level_scale=1.0)


def _octaves(config: SpectralConfig, n_bands: int, f_min: float, quantile: float) -> _Bands:
    """First bin, end, and number of bins that count as peak and as valley, of each band, as librosa has them."""
    frequency = config.frequencies
    edges = np.concatenate([[0.0], f_min * 2.0 ** np.arange(n_bands + 1)])
    bands = []
    for band in range(n_bands + 1):
        first = int(np.searchsorted(frequency, edges[band]))
        end = int(np.searchsorted(frequency, edges[band + 1], side="right"))
        first -= band > 0
        if band == n_bands:
            end = config.n_freq
        count = max(1, int(np.rint(quantile * (end - first))))
        bands.append((first, end - (band < n_bands), count))
    return bands
