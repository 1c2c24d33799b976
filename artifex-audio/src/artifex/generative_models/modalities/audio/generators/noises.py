"""Gaussian noise: white, colored, band-limited and in bursts."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_number, check_option, check_range
from artifex.generative_models.modalities.audio.annotations import AnnotatedAudio, audio_type
from artifex.generative_models.modalities.audio.generators.parameters import check_band, computed_once, floor_multiples

_MIN_PERIOD = 64  # shorter clips are cut from one period of this length


@audio_type()
def noise(key: jax.Array, *, n_time_steps: int, sample_rate: int, amplitude: float = 0.3) -> jax.Array:
    """Generate white Gaussian noise.

    Args:
        key: Random key; determines the samples.
        n_time_steps: Length in samples.
        sample_rate: Sample rate in Hz; the spectrum is flat up to half of it.
        amplitude: Standard deviation, full scale 1, at least 0. At 0.3, 1 in 1200 samples exceeds full scale.

    Returns:
        The waveform, (n_time_steps,) float32. No annotations.

    Raises:
        ValueError: When ``amplitude`` is negative.

    Example:
        >>> round(float(noise(jax.random.key(0), n_time_steps=16000, sample_rate=16000).std()), 2)
        0.3

    Reference:
        ``amplitude * jax.random.normal(key, (n_time_steps,))``, bit-identical.
    """
    check_option("amplitude", amplitude, minimum=0)
    return amplitude * numerics.normal(key, (n_time_steps,))


def _annotated_colored_noise(
    key: jax.Array, n_time_steps: int, sample_rate: int, slope_db: float, amplitude: float
) -> AnnotatedAudio:
    check_option("slope_db", slope_db, minimum=-60, maximum=60, unit="dB per octave")
    slope = jnp.asarray(slope_db, np.float32)
    return _power_law_noise(key, n_time_steps, slope / (20 * math.log10(2)), amplitude), {"slope_db": slope}


@audio_type(annotated=_annotated_colored_noise)
def colored_noise(
    key: jax.Array, *, n_time_steps: int, sample_rate: int, slope_db: float = -3.0, amplitude: float = 0.3
) -> jax.Array:
    """Generate Gaussian noise with a constant spectral slope in dB per octave.

    Args:
        key: Random key; determines the samples.
        n_time_steps: Length in samples. The lowest frequency is at most ``sample_rate / n_time_steps`` Hz; there is no
            energy at 0 Hz.
        sample_rate: Sample rate in Hz; the spectrum reaches up to half of it.
        slope_db: Slope of the power spectrum in dB per octave, from -60 to 60; 0 is white, negative is darker.
        amplitude: RMS of the clip, full scale 1, at least 0.

    Returns:
        The waveform, (n_time_steps,) float32. Annotations: ``slope_db``.

    Raises:
        TypeError: When ``slope_db`` is not a number.
        ValueError: When ``slope_db`` is out of range.

    Example:
        >>> hiss = colored_noise(jax.random.key(0), n_time_steps=16000, sample_rate=16000, slope_db=1.5)
        >>> round(float((hiss**2).mean() ** 0.5), 4)
        0.3

    Reference:
        Timmer and König, "On generating power law noise" (1995).
    """
    return _annotated_colored_noise(key, n_time_steps, sample_rate, slope_db, amplitude)[0]


@audio_type()
def pink_noise(key: jax.Array, *, n_time_steps: int, sample_rate: int, amplitude: float = 0.3) -> jax.Array:
    """Generate pink noise: Gaussian noise with a power spectrum of 1 / f, -3.01 dB per octave.

    Args:
        key: Random key; determines the samples.
        n_time_steps: Length in samples. The lowest frequency is at most ``sample_rate / n_time_steps`` Hz; there is no
            energy at 0 Hz.
        sample_rate: Sample rate in Hz; the spectrum reaches up to half of it.
        amplitude: RMS of the clip, full scale 1, at least 0.

    Returns:
        The waveform, (n_time_steps,) float32. No annotations.

    Raises:
        ValueError: When ``amplitude`` is negative.

    Example:
        >>> pink_noise(jax.random.key(0), n_time_steps=16000, sample_rate=16000).shape
        (16000,)

    Reference:
        Timmer and König, "On generating power law noise" (1995).
    """
    return _power_law_noise(key, n_time_steps, -0.5, amplitude)


@audio_type()
def brown_noise(key: jax.Array, *, n_time_steps: int, sample_rate: int, amplitude: float = 0.3) -> jax.Array:
    """Generate Brownian noise: Gaussian noise with a power spectrum of 1 / f**2, -6.02 dB per octave.

    Args:
        key: Random key; determines the samples.
        n_time_steps: Length in samples. The lowest frequency is at most ``sample_rate / n_time_steps`` Hz; there is no
            energy at 0 Hz.
        sample_rate: Sample rate in Hz; the spectrum reaches up to half of it.
        amplitude: RMS of the clip, full scale 1, at least 0.

    Returns:
        The waveform, (n_time_steps,) float32. No annotations.

    Raises:
        ValueError: When ``amplitude`` is negative.

    Example:
        >>> brown_noise(jax.random.key(0), n_time_steps=16000, sample_rate=16000).shape
        (16000,)

    Reference:
        Timmer and König, "On generating power law noise" (1995).
    """
    return _power_law_noise(key, n_time_steps, -1.0, amplitude)


@audio_type()
def blue_noise(key: jax.Array, *, n_time_steps: int, sample_rate: int, amplitude: float = 0.3) -> jax.Array:
    """Generate blue noise: Gaussian noise with a power spectrum proportional to f, +3.01 dB per octave.

    Args:
        key: Random key; determines the samples.
        n_time_steps: Length in samples. The lowest frequency is at most ``sample_rate / n_time_steps`` Hz; there is no
            energy at 0 Hz.
        sample_rate: Sample rate in Hz; the spectrum reaches up to half of it.
        amplitude: RMS of the clip, full scale 1, at least 0.

    Returns:
        The waveform, (n_time_steps,) float32. No annotations.

    Raises:
        ValueError: When ``amplitude`` is negative.

    Example:
        >>> blue_noise(jax.random.key(0), n_time_steps=16000, sample_rate=16000).shape
        (16000,)

    Reference:
        Timmer and König, "On generating power law noise" (1995).
    """
    return _power_law_noise(key, n_time_steps, 0.5, amplitude)


@audio_type()
def violet_noise(key: jax.Array, *, n_time_steps: int, sample_rate: int, amplitude: float = 0.3) -> jax.Array:
    """Generate violet noise: Gaussian noise with a power spectrum proportional to f**2, +6.02 dB per octave.

    Args:
        key: Random key; determines the samples.
        n_time_steps: Length in samples. The lowest frequency is at most ``sample_rate / n_time_steps`` Hz; there is no
            energy at 0 Hz.
        sample_rate: Sample rate in Hz; the spectrum reaches up to half of it.
        amplitude: RMS of the clip, full scale 1, at least 0.

    Returns:
        The waveform, (n_time_steps,) float32. No annotations.

    Raises:
        ValueError: When ``amplitude`` is negative.

    Example:
        >>> violet_noise(jax.random.key(0), n_time_steps=16000, sample_rate=16000).shape
        (16000,)

    Reference:
        Timmer and König, "On generating power law noise" (1995).
    """
    return _power_law_noise(key, n_time_steps, 1.0, amplitude)


@audio_type()
def band_limited_noise(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    f_min: float = 200.0,
    f_max: float = 800.0,
    amplitude: float = 0.3,
) -> jax.Array:
    """Generate Gaussian noise with a flat spectrum inside a band and no energy outside.

    Args:
        key: Random key; determines the samples.
        n_time_steps: Length in samples.
        sample_rate: Sample rate in Hz.
        f_min: Lower band edge in Hz, at least 0.
        f_max: Upper band edge in Hz, at most half the sample rate. A narrower band than one bin of the Fourier
            transform (at most ``sample_rate / n_time_steps`` Hz) is widened to the width of a bin.
        amplitude: RMS of the clip, full scale 1, at least 0.

    Returns:
        The waveform, (n_time_steps,) float32. No annotations.

    Raises:
        ValueError: When the band is empty or reaches above half the sample rate.

    Example:
        >>> band = band_limited_noise(jax.random.key(0), n_time_steps=16000, sample_rate=16000)
        >>> round(float((band**2).mean() ** 0.5), 4)
        0.3

    Reference:
        A brick-wall filter on the bins of a discrete Fourier transform. Each edge bin is weighted by the fraction of it
        that is inside the band.
    """
    check_band(f_min, f_max, sample_rate)
    period = _period(n_time_steps)
    low, high = (jnp.asarray(edge, np.float32) * np.float32(period / sample_rate) for edge in (f_min, f_max))
    margin = jnp.maximum(0.5 - (high - low) / 2, 0)
    bins = jnp.arange(period // 2 + 1, dtype=np.float32)
    fractions = jnp.clip(jnp.minimum(high + margin, bins + 0.5) - jnp.maximum(low - margin, bins - 0.5), 0, 1)
    return _noise_with_spectrum(key, n_time_steps, fractions, amplitude)


def _annotated_noise_bursts(
    key: jax.Array,
    n_time_steps: int,
    sample_rate: int,
    rate_min: float,
    rate_max: float,
    duration_min: float,
    duration_max: float,
    edge: float,
    amplitude: float,
) -> AnnotatedAudio:
    check_number("rate_max", rate_max, above=0, unit="per second")
    check_range(("rate_min", "rate_max"), (rate_min, rate_max), above=0, unit="per second")
    check_range(
        ("duration_min", "duration_max"), (duration_min, duration_max), minimum=0, maximum=1 / rate_max, unit="seconds"
    )
    check_number("edge", edge, minimum=0, unit="seconds")
    check_option("amplitude", amplitude, minimum=0)
    rate_key, duration_key, position_key, noise_key = jax.random.split(key, 4)
    max_bursts = math.ceil(n_time_steps * rate_max / sample_rate) + 1
    rate = numerics.uniform(rate_key, (), minval=rate_min, maxval=rate_max)
    durations = numerics.uniform(duration_key, (max_bursts,), minval=duration_min, maxval=duration_max)
    slot, lengths = computed_once(sample_rate / rate), durations * sample_rate
    # Positions are integers: float32 is off by several samples after some minutes.
    slot_starts = floor_multiples(slot, max_bursts + 1)
    since_slot_start = numerics.uniform(position_key, (max_bursts,)) * jnp.maximum(slot - lengths, 0)
    onsets = slot_starts[:-1] + computed_once(since_slot_start).astype(np.int32)

    position = jnp.arange(n_time_steps, dtype=np.int32)
    estimate = jnp.clip((position.astype(np.float32) / slot).astype(np.int32), 0, max_bursts - 1)
    estimate = jnp.where(position < slot_starts[estimate], estimate - 1, estimate)
    burst = jnp.where(position >= slot_starts[estimate + 1], estimate + 1, estimate)
    since_onset, length = (position - onsets[burst]).astype(np.float32), lengths[burst]
    distance_to_edge = jnp.minimum(since_onset, length - since_onset)
    edge_length = jnp.minimum(edge * sample_rate, length / 2)
    rectangular = jnp.where(distance_to_edge >= 0, np.float32(1), np.float32(0))
    tapered = distance_to_edge / jnp.where(edge_length > 0, edge_length, 1)
    ramp = jnp.where(edge_length > 0, tapered, rectangular)
    envelope = numerics.sin2pi(jnp.clip(ramp, 0, 1) / 4) ** 2
    audio = amplitude * envelope * numerics.normal(noise_key, (n_time_steps,))
    is_audible = onsets < n_time_steps
    return audio, {
        "rate": rate,
        "onset_samples": jnp.where(is_audible, onsets, -1),
        "durations": jnp.where(is_audible, durations, np.float32(np.nan)),
    }


@audio_type(annotated=_annotated_noise_bursts)
def noise_bursts(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    rate_min: float = 2.0,
    rate_max: float = 5.0,
    duration_min: float = 0.02,
    duration_max: float = 0.15,
    edge: float = 0.005,
    amplitude: float = 0.3,
) -> jax.Array:
    """Generate bursts of white Gaussian noise at a random rate, with raised-cosine edges and silence between them.

    Time is divided into slots of 1 / rate, starting at the beginning of the clip. Each slot contains one burst with
    random duration and position, so bursts do not overlap. The end of the clip may cut the last burst.

    Args:
        key: Random key; determines the rate, the durations, the positions and the samples.
        n_time_steps: Length in samples.
        sample_rate: Sample rate in Hz.
        rate_min: Minimum rate in bursts per second, above 0.
        rate_max: Maximum rate in bursts per second. A Python number, because it determines the shape of
            ``onset_samples``.
        duration_min: Minimum duration of a burst in seconds, edges included, at least 0.
        duration_max: Maximum duration of a burst in seconds, at most ``1 / rate_max``.
        edge: Length of each edge in seconds, at least 0; limited to half the burst.
        amplitude: Standard deviation between the edges, full scale 1, at least 0.

    Returns:
        The waveform, (n_time_steps,) float32. Annotations: ``rate`` in bursts per second; ``onset_samples`` (k,)
        int32 and ``durations`` (k,) in seconds, where k is the maximum number of slots at ``rate_max``; -1 and NaN for
        bursts after the end of the clip.

    Raises:
        TypeError: When an option is not a number.
        ValueError: When a range is empty, or a burst may be longer than its slot.

    Example:
        >>> bursts = noise_bursts(jax.random.key(0), n_time_steps=16000, sample_rate=16000)
        >>> bursts.shape, bool((bursts == 0).any())
        ((16000,), True)

    Reference:
        White noise under one Tukey window per burst, as in stimuli for gap detection and onset detection.
    """
    return _annotated_noise_bursts(
        key, n_time_steps, sample_rate, rate_min, rate_max, duration_min, duration_max, edge, amplitude
    )[0]


def _power_law_noise(key: jax.Array, n_time_steps: int, exponent: jax.Array | float, amplitude: float) -> jax.Array:
    """Generate noise whose amplitude spectrum is proportional to frequency to the power of ``exponent``."""
    bins = jnp.arange(_period(n_time_steps) // 2 + 1, dtype=np.float32)
    log_weights = exponent * jnp.log(jnp.maximum(bins, 1))
    weights = jnp.where(bins > 0, jnp.exp(log_weights - jnp.max(log_weights)), 0)
    return _noise_with_spectrum(key, n_time_steps, weights, amplitude)


def _noise_with_spectrum(key: jax.Array, n_time_steps: int, weights: jax.Array, amplitude: float) -> jax.Array:
    """Draw a Gaussian spectrum, weight it, and return the signal with the RMS ``amplitude``."""
    check_option("amplitude", amplitude, minimum=0)
    # The bins at 0 Hz and at half the sample rate are real, so the real part has all their power.
    is_real = jnp.zeros(len(weights)).at[jnp.array([0, -1])].set(1)
    real, imaginary = numerics.normal(key, (2, len(weights))).astype(is_real.dtype)
    gaussian = jax.lax.complex(real * (1 + is_real * (math.sqrt(2) - 1)), imaginary * (1 - is_real))
    spectrum = weights.astype(gaussian.dtype) * gaussian
    audio = jnp.fft.irfft(spectrum, n=2 * (len(weights) - 1))[:n_time_steps]
    peak = jnp.max(jnp.abs(audio))
    scaled = audio / jnp.where(peak > 0, peak, 1)
    rms = numerics.rms(scaled)
    return amplitude * scaled / jnp.where(rms > 0, rms, 1)


def _period(n_time_steps: int) -> int:
    """Return the smallest even number of at least ``n_time_steps`` without prime factors above 5.

    An FFT of a length with large prime factors takes many times as long.
    """
    minimum = max(n_time_steps, _MIN_PERIOD)
    period = 1 << (minimum - 1).bit_length()
    for odd in (3**i * 5**j for i in range(20) for j in range(14)):
        if 2 * odd < period:
            period = min(period, odd * (1 << max((-(-minimum // odd) - 1).bit_length(), 1)))
    return period
