"""Spectral features of frames, onset strength, RMS and zero-crossing rate."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_integer, check_number
from artifex.generative_models.extensions.audio_processing.spectral import levels
from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig
from artifex.generative_models.extensions.audio_processing.spectral.framing import Frames, aligned
from artifex.generative_models.extensions.audio_processing.spectral.mel import measure_mel
from artifex.generative_models.extensions.audio_processing.spectral.pipeline import analyze

# librosa's constants: minimum power, clipping of levels, and the amplitude up to which a sample counts as 0.
_MIN_POWER, _TOP_DB, _ZERO_AMPLITUDE = 1e-10, 80.0, 1e-10


def spectral_centroid(audio: ArrayLike, config: SpectralConfig, *, lengths: ArrayLike | None = None) -> jax.Array:
    """Compute the spectral centroid: the mean frequency, weighted by magnitude.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: Analysis configuration.
        lengths: Number of valid samples of each example, integers that broadcast against the leading axes; samples
            past them are ignored. By default all are valid.

    Returns:
        Frequencies in Hz, (..., n_frames), in the dtype of the audio; 0 for silence. With ``lengths``, frames past the
        valid ones equal those of silence.

    Raises:
        TypeError: If the audio is not real floating point, or ``lengths`` are not integers.
        ValueError: If the audio is empty or shorter than a frame, or the shape of ``lengths`` does not broadcast.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> tone = jnp.sin(jnp.pi / 2 * jnp.arange(2048.0))
        >>> round(float(spectral_centroid(tone, SpectralConfig(sample_rate=8000, n_fft=256, n_mels=20))[16]))
        2000

    Reference:
        ``librosa.feature.spectral_centroid``.
    """
    return analyze(audio, config, lengths, measure=measure_centroid)


def spectral_bandwidth(audio: ArrayLike, config: SpectralConfig, *, lengths: ArrayLike | None = None) -> jax.Array:
    """Compute the spectral bandwidth: the standard deviation of frequency, weighted by magnitude.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: Analysis configuration.
        lengths: Number of valid samples of each example, integers that broadcast against the leading axes; samples
            past them are ignored. By default all are valid.

    Returns:
        Bandwidths in Hz, (..., n_frames), in the dtype of the audio; 0 for silence. With ``lengths``, frames past the
        valid ones equal those of silence.

    Raises:
        TypeError: If the audio is not real floating point, or ``lengths`` are not integers.
        ValueError: If the audio is empty or shorter than a frame, or the shape of ``lengths`` does not broadcast.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> spectral_bandwidth(jnp.zeros(1000), SpectralConfig(n_fft=256, n_mels=20)).max().item()
        0.0

    Reference:
        ``librosa.feature.spectral_bandwidth``.
    """
    return analyze(audio, config, lengths, measure=measure_bandwidth)


def spectral_rolloff(audio: ArrayLike, config: SpectralConfig, *, lengths: ArrayLike | None = None) -> jax.Array:
    """Compute the spectral rolloff: the frequency up to which bins sum to ``config.rolloff_fraction`` of the magnitude.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: Analysis configuration.
        lengths: Number of valid samples of each example, integers that broadcast against the leading axes; samples
            past them are ignored. By default all are valid.

    Returns:
        Frequencies in Hz, (..., n_frames), in the dtype of the audio; 0 for silence. The gradient is 0. With
        ``lengths``, frames past the valid ones equal those of silence.

    Raises:
        TypeError: If the audio is not real floating point, or ``lengths`` are not integers.
        ValueError: If the audio is empty or shorter than a frame, or the shape of ``lengths`` does not broadcast.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> tone = jnp.sin(jnp.pi / 2 * jnp.arange(2048.0))
        >>> float(spectral_rolloff(tone, SpectralConfig(sample_rate=8000, n_fft=256, n_mels=20))[16])
        2031.25

    Reference:
        ``librosa.feature.spectral_rolloff``.
    """
    return analyze(audio, config, lengths, measure=measure_rolloff)


def spectral_flatness(
    audio: ArrayLike, config: SpectralConfig, *, amin: float = 1e-10, lengths: ArrayLike | None = None
) -> jax.Array:
    """Compute the spectral flatness: the ratio of the geometric to the arithmetic mean of the power.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: Analysis configuration.
        amin: Minimum power, above 0; smaller values are replaced by it.
        lengths: Number of valid samples of each example, integers that broadcast against the leading axes; samples
            past them are ignored. By default all are valid.

    Returns:
        Ratios, 0 (a tone) to 1 (white noise), (..., n_frames), in the dtype of the audio; 1 for silence. With
        ``lengths``, frames past the valid ones equal those of silence.

    Raises:
        TypeError: If the audio is not real floating point, or ``lengths`` are not integers.
        ValueError: If the audio is empty or shorter than a frame, or the shape of ``lengths`` does not broadcast.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> click = jnp.eye(1, 256, 128)[0]
        >>> spectral_flatness(click, SpectralConfig(n_fft=256, n_mels=20, center=False)).round(3).tolist()
        [1.0]

    Reference:
        ``librosa.feature.spectral_flatness``.
    """
    check_number("amin", amin, above=0.0)
    return analyze(audio, config, lengths, measure=measure_flatness, options={"amin": float(amin)})


def spectral_crest(audio: ArrayLike, config: SpectralConfig, *, lengths: ArrayLike | None = None) -> jax.Array:
    """Compute the spectral crest factor: the ratio of the maximum to the mean of the power.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: Analysis configuration.
        lengths: Number of valid samples of each example, integers that broadcast against the leading axes; samples
            past them are ignored. By default all are valid.

    Returns:
        Ratios, 1 (flat) to ``n_freq`` (a single line), (..., n_frames), in the dtype of the audio; 1 for silence. With
        ``lengths``, frames past the valid ones equal those of silence.

    Raises:
        TypeError: If the audio is not real floating point, or ``lengths`` are not integers.
        ValueError: If the audio is empty or shorter than a frame, or the shape of ``lengths`` does not broadcast.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> click = jnp.eye(1, 256, 128)[0]
        >>> spectral_crest(click, SpectralConfig(n_fft=256, n_mels=20, center=False)).round(3).tolist()
        [1.0]

    Reference:
        Peeters, "A large set of audio features", 2004, and MATLAB's ``spectralCrest``, of the power spectrum.
    """
    return analyze(audio, config, lengths, measure=measure_crest)


def spectral_entropy(audio: ArrayLike, config: SpectralConfig, *, lengths: ArrayLike | None = None) -> jax.Array:
    """Compute the normalized spectral entropy of the power.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: Analysis configuration.
        lengths: Number of valid samples of each example, integers that broadcast against the leading axes; samples
            past them are ignored. By default all are valid.

    Returns:
        Values from 0 (a single line) to 1 (flat), (..., n_frames), in the dtype of the audio; 1 for silence. With
        ``lengths``, frames past the valid ones equal those of silence.

    Raises:
        TypeError: If the audio is not real floating point, or ``lengths`` are not integers.
        ValueError: If the audio is empty or shorter than a frame, or the shape of ``lengths`` does not broadcast.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> click = jnp.eye(1, 256, 128)[0]
        >>> spectral_entropy(click, SpectralConfig(n_fft=256, n_mels=20, center=False)).round(3).tolist()
        [1.0]

    Reference:
        Misra and others, "Spectral entropy based feature for robust ASR", 2004, and MATLAB's ``spectralEntropy``.
    """
    return analyze(audio, config, lengths, measure=measure_entropy)


def spectral_slope(audio: ArrayLike, config: SpectralConfig, *, lengths: ArrayLike | None = None) -> jax.Array:
    """Compute the spectral slope: the linear regression of the normalized magnitude over frequency.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: Analysis configuration.
        lengths: Number of valid samples of each example, integers that broadcast against the leading axes; samples
            past them are ignored. By default all are valid.

    Returns:
        Slopes in 1/Hz, (..., n_frames), in the dtype of the audio, independent of the level; 0 for silence. With
        ``lengths``, frames past the valid ones equal those of silence.

    Raises:
        TypeError: If the audio is not real floating point, or ``lengths`` are not integers.
        ValueError: If the audio is empty or shorter than a frame, or the shape of ``lengths`` does not broadcast.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> tone = jnp.sin(0.1 * jnp.arange(256.0))
        >>> bool(spectral_slope(tone, SpectralConfig(n_fft=256, n_mels=20, center=False))[0] < 0)
        True

    Reference:
        Peeters, "A large set of audio features", 2004; MATLAB's ``spectralSlope`` does not normalize the magnitude.
    """
    return analyze(audio, config, lengths, measure=_measure_slope)


def spectral_contrast(
    audio: ArrayLike,
    config: SpectralConfig,
    *,
    n_bands: int = 6,
    f_min: float = 200.0,
    quantile: float = 0.02,
    lengths: ArrayLike | None = None,
) -> jax.Array:
    """Compute the spectral contrast: the difference between peaks and valleys in each octave band.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: Analysis configuration.
        n_bands: Number of octave bands above ``f_min``; one more band is below it.
        f_min: Upper edge of the lowest band in Hz.
        quantile: Fraction of the bins of a band (at least one bin) that are averaged for its peak and for its valley,
            above 0 and at most 0.5.
        lengths: Number of valid samples of each example, integers that broadcast against the leading axes; samples
            past them are ignored. By default all are valid.

    Returns:
        Differences in dB, (..., n_bands + 1, n_frames), in the dtype of the audio; 0 for silence. Peaks and valleys
        are clipped to 80 dB below the maximum of the example. As in librosa, levels are ``10 log10`` of magnitudes: a
        tone 20 dB above its surroundings has a contrast of 10 dB. With ``lengths``, frames past the valid ones equal
        those of silence.

    Raises:
        TypeError: If the audio is not real floating point, or ``lengths`` are not integers.
        ValueError: If the audio is empty or shorter than a frame, or the shape of ``lengths`` does not broadcast;
            if the bands extend above half the sample rate, or are too narrow for ``n_fft``.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> spectral_contrast(jnp.ones((2, 1000)), SpectralConfig(n_fft=512, n_mels=20)).shape
        (2, 7, 8)

    Reference:
        Jiang and others, "Music type classification by spectral contrast feature", 2002;
        ``librosa.feature.spectral_contrast``, with the maximum of each example in place of that of the whole array.
    """
    _check_contrast(config, n_bands, f_min, quantile)
    options = {"n_bands": int(n_bands), "f_min": float(f_min), "quantile": float(quantile)}
    return analyze(audio, config, lengths, measure=_measure_contrast, finish=_finish_contrast, options=options)


def spectral_flux(audio: ArrayLike, config: SpectralConfig, *, lengths: ArrayLike | None = None) -> jax.Array:
    """Compute the spectral flux: the sum of the increases in magnitude since the previous frame.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: Analysis configuration.
        lengths: Number of valid samples of each example, integers that broadcast against the leading axes; samples
            past them are ignored. By default all are valid.

    Returns:
        Half-wave rectified L1 norms, (..., n_frames), in the dtype of the audio; 0 for the first frame. With
        ``lengths``, frames past the valid ones equal those of silence.

    Raises:
        TypeError: If the audio is not real floating point, or ``lengths`` are not integers.
        ValueError: If the audio is empty or shorter than a frame, or the shape of ``lengths`` does not broadcast.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> spectral_flux(jnp.zeros(1000), SpectralConfig(n_fft=256, n_mels=20)).max().item()
        0.0

    Reference:
        Dixon, "Onset detection revisited", 2006; MATLAB's ``spectralFlux`` is the L2 norm of increases and decreases.
    """
    return analyze(audio, config, lengths, measure=_measure_flux, finish=_finish_flux)


def onset_strength(audio: ArrayLike, config: SpectralConfig, *, lengths: ArrayLike | None = None) -> jax.Array:
    """Compute the onset strength: the mean increase of the log-mel levels since the previous frame.

    As in librosa, the result of centered frames is delayed by half a frame, ``n_fft // (2 * hop_length)`` frames, so
    that peaks coincide with onsets.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: Analysis configuration.
        lengths: Number of valid samples of each example, integers that broadcast against the leading axes; samples
            past them are ignored. By default all are valid.

    Returns:
        Increases in dB, independent of ``config.log``, (..., n_frames), in the dtype of the audio; 0 for silence. With
        ``lengths``, frames past the valid ones equal those of silence.

    Raises:
        TypeError: If the audio is not real floating point, or ``lengths`` are not integers.
        ValueError: If the audio is empty or shorter than a frame, or the shape of ``lengths`` does not broadcast.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> click = jnp.eye(1, 2048, 1024)[0]
        >>> int(onset_strength(click, SpectralConfig(n_fft=256, n_mels=20)).argmax())
        17

    Reference:
        ``librosa.onset.onset_strength``, with the mel bands, floor and ``top_db`` of the configuration.
    """
    return analyze(audio, config, lengths, measure=measure_onset, finish=finish_onset)


def rms(audio: ArrayLike, config: SpectralConfig, *, lengths: ArrayLike | None = None) -> jax.Array:
    """Compute the root mean square of the samples of each frame, without a window.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: Analysis configuration.
        lengths: Number of valid samples of each example, integers that broadcast against the leading axes; samples
            past them are ignored. By default all are valid.

    Returns:
        Amplitudes, full scale 1, independent of ``input_scale``, (..., n_frames), in the dtype of the audio. With
        ``lengths``, frames past the valid ones equal those of silence.

    Raises:
        TypeError: If the audio is not real floating point, or ``lengths`` are not integers.
        ValueError: If the audio is empty or shorter than a frame, or the shape of ``lengths`` does not broadcast.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> rms(0.5 * jnp.ones(1000), SpectralConfig(n_fft=256, n_mels=20))[8].item()
        0.5

    Reference:
        ``librosa.feature.rms``.
    """
    return analyze(audio, config, lengths, measure=measure_rms)


def zero_crossing_rate(audio: ArrayLike, config: SpectralConfig, *, lengths: ArrayLike | None = None) -> jax.Array:
    """Compute the zero-crossing rate: the fraction of samples whose sign differs from the previous sample's.

    Zero counts as positive. Zeros at the start and the end of a frame, such as padding, are ignored.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: Analysis configuration.
        lengths: Number of valid samples of each example, integers that broadcast against the leading axes; samples
            past them are ignored. By default all are valid.

    Returns:
        Rates from 0 to 1, (..., n_frames), in the dtype of the audio. The gradient is 0. With ``lengths``, frames past
        the valid ones equal those of silence.

    Raises:
        TypeError: If the audio is not real floating point, or ``lengths`` are not integers.
        ValueError: If the audio is empty or shorter than a frame, or the shape of ``lengths`` does not broadcast.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> tone = jnp.cos(jnp.pi / 2 * jnp.arange(2048.0) + 0.1)
        >>> zero_crossing_rate(tone, SpectralConfig(n_fft=256, n_mels=20))[16].item()
        0.5

    Reference:
        ``librosa.feature.zero_crossing_rate``, which pads with the edge samples and counts crossings next to zeros at
        the edges of a frame.
    """
    return analyze(audio, config, lengths, measure=measure_zero_crossing_rate)


def measure_centroid(frames: Frames, config: SpectralConfig) -> jax.Array:
    """Compute the spectral centroid (..., n_frames) of frames."""
    magnitude = frames.magnitude
    return jnp.sum(_sum_normalized(magnitude, 0.0) * aligned(config.frequencies, magnitude), axis=-1)


def measure_bandwidth(frames: Frames, config: SpectralConfig) -> jax.Array:
    """Compute the spectral bandwidth (..., n_frames) of frames."""
    deviation = aligned(config.frequencies, frames.magnitude) - measure_centroid(frames, config)[..., None]
    return numerics.safe_sqrt(jnp.sum(_sum_normalized(frames.magnitude, 0.0) * jnp.square(deviation), axis=-1))


def measure_rolloff(frames: Frames, config: SpectralConfig) -> jax.Array:
    """Compute the spectral rolloff (..., n_frames) of frames."""
    cumulative = jnp.cumsum(frames.magnitude, axis=-1)
    total = cumulative[..., -1]
    n_below = jnp.sum(cumulative < config.rolloff_fraction * total[..., None], axis=-1).astype(total.dtype)
    return jnp.where(jnp.isfinite(total), n_below * (config.sample_rate / config.n_fft), jnp.nan)


def measure_flatness(frames: Frames, config: SpectralConfig, *, amin: float = _MIN_POWER) -> jax.Array:
    """Compute the spectral flatness (..., n_frames) of frames."""
    amin = max(amin, 4 * float(np.finfo(frames.power.dtype).tiny))
    power = jnp.where(frames.power < amin, amin, frames.power)
    return jnp.exp(jnp.mean(jnp.log(power), axis=-1)) / jnp.mean(power, axis=-1)


def measure_crest(frames: Frames, config: SpectralConfig) -> jax.Array:
    """Compute the spectral crest factor (..., n_frames) of frames."""
    fractions = _sum_normalized(frames.power, 1 / config.n_freq)
    # XLA's maximum ignores NaN on CPUs.
    return jnp.where(jnp.isnan(fractions[..., 0]), jnp.nan, config.n_freq * jnp.max(fractions, axis=-1))


def measure_entropy(frames: Frames, config: SpectralConfig) -> jax.Array:
    """Compute the normalized spectral entropy (..., n_frames) of frames."""
    fractions = _sum_normalized(frames.power, 1 / config.n_freq)
    # A fraction of 0 contributes 0; the derivative of its logarithm would be infinite.
    terms = fractions * jnp.log(jnp.where(fractions == 0, 1, fractions))
    return -jnp.sum(terms, axis=-1) / float(np.log(config.n_freq))


def _measure_slope(frames: Frames, config: SpectralConfig) -> jax.Array:
    deviation = config.frequencies - config.frequencies.mean()
    weights = aligned(deviation / np.sum(deviation**2), frames.magnitude)
    return jnp.sum(_sum_normalized(frames.magnitude, 0.0) * weights, axis=-1)


def _check_contrast(config: SpectralConfig, n_bands: int, f_min: float, quantile: float) -> None:
    check_integer("n_bands", n_bands, minimum=1)
    check_number("f_min", f_min, above=0.0, unit="Hz")
    check_number("quantile", quantile, above=0.0, maximum=0.5)
    lowest = f_min * 2.0 ** (n_bands - 1)
    if lowest >= config.sample_rate / 2:
        raise ValueError(
            f"the last of n_bands {n_bands} octaves above f_min {f_min} Hz starts at {lowest} Hz, which must be below "
            f"half the sample rate of {config.sample_rate} Hz; lower n_bands or f_min"
        )
    bands = _octave_bands(config, n_bands, f_min, quantile)
    empty = [band for band, (first, end, _) in enumerate(bands) if first >= end]
    if empty:
        raise ValueError(
            f"band {empty[0]} of the spectral contrast contains no frequency bin: the bins of n_fft {config.n_fft} are "
            f"{config.sample_rate / config.n_fft:.1f} Hz apart; raise n_fft, or f_min above {f_min} Hz"
        )


def _measure_contrast(
    frames: Frames, config: SpectralConfig, *, n_bands: int, f_min: float, quantile: float
) -> tuple[jax.Array, jax.Array]:
    """Compute the peaks and valleys of each band, (..., n_bands + 1, n_frames)."""
    peaks: list[jax.Array] = []
    valleys: list[jax.Array] = []
    for first, end, count in _octave_bands(config, n_bands, f_min, quantile):
        band = frames.magnitude[..., first:end]
        peaks.append(jnp.mean(lax.top_k(band, count)[0], axis=-1))
        valleys.append(-jnp.mean(lax.top_k(-band, count)[0], axis=-1))
    return jnp.stack(peaks, axis=-2), jnp.stack(valleys, axis=-2)


def _finish_contrast(
    measured: tuple[jax.Array, jax.Array], config: SpectralConfig, n_valid: jax.Array | None, **options: float
) -> jax.Array:
    peaks, valleys = (levels.decibels(values, 1.0, _MIN_POWER, _TOP_DB) for values in measured)
    return peaks - valleys


def _octave_bands(config: SpectralConfig, n_bands: int, f_min: float, quantile: float) -> list[tuple[int, int, int]]:
    """Return librosa's octave bands: first bin, end, and the number of bins averaged for the peak and the valley."""
    edges = f_min * 2.0 ** np.arange(n_bands)
    starts: list[int] = [0, *(np.searchsorted(config.frequencies, edges) - 1).tolist()]
    ends: list[int] = [*np.searchsorted(config.frequencies, edges, side="right").tolist(), config.n_freq]
    return [
        (start, end - (band < n_bands), max(1, round(quantile * (end - start))))
        for band, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def _measure_flux(frames: Frames, config: SpectralConfig) -> jax.Array:
    return jnp.moveaxis(frames.magnitude, -1, -2)


def _finish_flux(magnitude: jax.Array, config: SpectralConfig, n_valid: jax.Array | None) -> jax.Array:
    # Frames past the valid ones are silent, so that magnitudes do not increase there.
    return jnp.pad(_increases(magnitude).sum(axis=-2), [(0, 0)] * (magnitude.ndim - 2) + [(1, 0)])


def measure_onset(frames: Frames, config: SpectralConfig) -> jax.Array:
    """Compute mel levels in dB (..., n_mels, n_frames) of frames, before ``top_db``."""
    return levels.frame_levels(measure_mel(frames, config), _in_db(config))


def finish_onset(measured: jax.Array, config: SpectralConfig, n_valid: jax.Array | None) -> jax.Array:
    """Compute the onset strength (..., n_frames) from mel levels."""
    increase = jnp.mean(_increases(levels.clip_and_scale_levels(measured, _in_db(config))), axis=-2)
    n_frames = measured.shape[-1]
    delay = 1 + (config.n_fft // (2 * config.hop) if config.center else 0)
    strength = jnp.pad(increase, [(0, 0)] * (increase.ndim - 1) + [(delay, 0)])[..., :n_frames]
    if n_valid is not None:
        n_valid = n_valid[..., None]
        strength = jnp.where(aligned(np.arange(n_frames), n_valid) < n_valid, strength, 0)
    return strength


def measure_rms(frames: Frames, config: SpectralConfig) -> jax.Array:
    """Compute the RMS (..., n_frames) of frames."""
    return numerics.safe_sqrt(jnp.mean(jnp.square(frames.samples), axis=-1)) / config.input_scale


def measure_zero_crossing_rate(frames: Frames, config: SpectralConfig) -> jax.Array:
    """Compute the zero-crossing rate (..., n_frames) of frames."""
    samples = frames.samples
    index = np.arange(config.frame_length, dtype=np.int32).reshape((1,) * (samples.ndim - 1) + (-1,))
    nonzero = jnp.abs(samples) > _ZERO_AMPLITUDE
    first = jnp.min(jnp.where(nonzero, index, config.frame_length), axis=-1, keepdims=True)
    last = jnp.max(jnp.where(nonzero, index, -1), axis=-1, keepdims=True)
    negative = samples < -_ZERO_AMPLITUDE
    crossing = (negative[..., 1:] != negative[..., :-1]) & (index[..., 1:] > first) & (index[..., 1:] <= last)
    rate = jnp.sum(crossing, axis=-1).astype(samples.dtype) / config.frame_length
    return jnp.where(jnp.isfinite(jnp.sum(samples, axis=-1)), rate, jnp.nan)


def normalized(values: jax.Array, size: Callable[..., jax.Array], *, axis: int, at_silence: float) -> jax.Array:
    """Divide values by their size along an axis, such as their sum.

    Args:
        values: Non-negative values, float32 or float64.
        size: ``f(values, axis=…, keepdims=True)``, proportional to the values, such as ``jnp.sum``.
        axis: Axis.
        at_silence: Result where all values are 0.

    Returns:
        Values of the same shape.

    Example:
        >>> normalized(jnp.asarray([1.0, 3.0]), jnp.sum, axis=-1, at_silence=0.0).tolist()
        [0.25, 0.75]
    """
    # The derivative of a quotient contains the square of the divisor, which underflows before the divisor does.
    # Dividing by the maximum first, whose derivative cancels, makes the divisor about 1. XLA's maximum ignores NaN on
    # CPUs; its sum does not.
    maximum = lax.stop_gradient(jnp.max(values, axis=axis, keepdims=True))
    silent = jnp.sum(values, axis=axis, keepdims=True) < np.finfo(values.dtype).tiny
    scaled = values / jnp.where(silent, 1, maximum)
    return jnp.where(silent, at_silence, scaled / jnp.where(silent, 1, size(scaled, axis=axis, keepdims=True)))


def _sum_normalized(values: jax.Array, at_silence: float) -> jax.Array:
    return normalized(values, jnp.sum, axis=-1, at_silence=at_silence)


def _increases(values: jax.Array) -> jax.Array:
    """Compute the increases of values (..., time) from frame to frame, 0 where they decrease."""
    difference = values[..., 1:] - values[..., :-1]
    return jnp.where(difference < 0, 0, difference)


def _in_db(config: SpectralConfig) -> SpectralConfig:
    return config.evolve(log="db", level_offset=0.0, level_scale=1.0)
