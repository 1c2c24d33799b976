"""Noise: white, of any slope, within a band, in bursts."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_number
from artifex.generative_models.modalities.audio.annotations import annotated
from artifex.generative_models.modalities.audio.ranges import check_band, check_range, settled

Known = dict[str, jax.Array]

_LEAST_PERIOD = 64  # a clip shorter than this is cut from one, so that it has frequencies between 0 and half the rate


@annotated
def noise(key: jax.Array, *, n_time_steps: int, sample_rate: int, amplitude: float = 0.3) -> tuple[jax.Array, Known]:
    """Render white Gaussian noise.

    Args:
        key: Decides the samples.
        n_time_steps: Length in samples.
        sample_rate: Samples per second, Hz; the spectrum is flat up to half of it.
        amplitude: Standard deviation, full scale 1. Some samples lie above full scale: 1 in 1 200 at 0.3.

    Returns:
        The waveform, (n_time_steps,) float32. Annotations: none.

    Example:
        >>> round(float(noise(jax.random.key(0), n_time_steps=16000, sample_rate=16000).std()), 2)
        0.3

    Reference:
        ``amplitude * jax.random.normal(key, (n_time_steps,))``, bit for bit.
    """
    return settled("amplitude", amplitude, minimum=0) * numerics.normal(key, (n_time_steps,)), {}


@annotated
def colored_noise(
    key: jax.Array, *, n_time_steps: int, sample_rate: int, slope_db: float = -3.0, amplitude: float = 0.3
) -> tuple[jax.Array, Known]:
    """Render Gaussian noise whose spectrum rises or falls by the same number of dB in each octave.

    Args:
        key: Decides the samples.
        n_time_steps: Length in samples. The spectrum starts at 1 / length; there is nothing at 0 Hz.
        sample_rate: Samples per second, Hz; the spectrum reaches up to half of it.
        slope_db: Slope of the power spectrum, dB per octave, from -60 to 60: 0 is white, negative is darker.
        amplitude: RMS of the clip, full scale 1.

    Returns:
        The waveform, (n_time_steps,) float32. Annotations: ``slope_db``.

    Raises:
        TypeError: When ``slope_db`` is no number.
        ValueError: When it is out of range.

    Example:
        >>> hiss = colored_noise(jax.random.key(0), n_time_steps=16000, sample_rate=16000, slope_db=1.5)
        >>> round(float((hiss**2).mean() ** 0.5), 4)
        0.3

    Reference:
        Timmer and König, "On generating power law noise" (1995).
    """
    if not isinstance(slope_db, jax.Array):
        check_number("slope_db", slope_db, minimum=-60, maximum=60, unit="dB per octave")
    slope = jnp.asarray(slope_db, np.float32)
    return _of_slope(key, n_time_steps, slope / (20 * math.log10(2)), amplitude), {"slope_db": slope}


@annotated
def pink_noise(
    key: jax.Array, *, n_time_steps: int, sample_rate: int, amplitude: float = 0.3
) -> tuple[jax.Array, Known]:
    """Render Gaussian noise whose power falls as 1 / f: 3.01 dB per octave, the same power in each octave.

    Args:
        key: Decides the samples.
        n_time_steps: Length in samples. The spectrum starts at 1 / length; there is nothing at 0 Hz.
        sample_rate: Samples per second, Hz; the spectrum reaches up to half of it.
        amplitude: RMS of the clip, full scale 1.

    Returns:
        The waveform, (n_time_steps,) float32. Annotations: none.

    Example:
        >>> pink_noise(jax.random.key(0), n_time_steps=16000, sample_rate=16000).shape
        (16000,)

    Reference:
        Timmer and König, "On generating power law noise" (1995).
    """
    return _of_slope(key, n_time_steps, -0.5, amplitude), {}


@annotated
def brown_noise(
    key: jax.Array, *, n_time_steps: int, sample_rate: int, amplitude: float = 0.3
) -> tuple[jax.Array, Known]:
    """Render Gaussian noise whose power falls as 1 / f**2: 6.02 dB per octave, as that of a random walk.

    Args:
        key: Decides the samples.
        n_time_steps: Length in samples. The spectrum starts at 1 / length; there is nothing at 0 Hz.
        sample_rate: Samples per second, Hz; the spectrum reaches up to half of it.
        amplitude: RMS of the clip, full scale 1.

    Returns:
        The waveform, (n_time_steps,) float32. Annotations: none.

    Example:
        >>> brown_noise(jax.random.key(0), n_time_steps=16000, sample_rate=16000).shape
        (16000,)

    Reference:
        Timmer and König, "On generating power law noise" (1995).
    """
    return _of_slope(key, n_time_steps, -1.0, amplitude), {}


@annotated
def blue_noise(
    key: jax.Array, *, n_time_steps: int, sample_rate: int, amplitude: float = 0.3
) -> tuple[jax.Array, Known]:
    """Render Gaussian noise whose power rises as f: 3.01 dB per octave.

    Args:
        key: Decides the samples.
        n_time_steps: Length in samples. The spectrum starts at 1 / length; there is nothing at 0 Hz.
        sample_rate: Samples per second, Hz; the spectrum reaches up to half of it.
        amplitude: RMS of the clip, full scale 1.

    Returns:
        The waveform, (n_time_steps,) float32. Annotations: none.

    Example:
        >>> blue_noise(jax.random.key(0), n_time_steps=16000, sample_rate=16000).shape
        (16000,)

    Reference:
        Timmer and König, "On generating power law noise" (1995).
    """
    return _of_slope(key, n_time_steps, 0.5, amplitude), {}


@annotated
def violet_noise(
    key: jax.Array, *, n_time_steps: int, sample_rate: int, amplitude: float = 0.3
) -> tuple[jax.Array, Known]:
    """Render Gaussian noise whose power rises as f**2: 6.02 dB per octave, as that of white noise differentiated.

    Args:
        key: Decides the samples.
        n_time_steps: Length in samples. The spectrum starts at 1 / length; there is nothing at 0 Hz.
        sample_rate: Samples per second, Hz; the spectrum reaches up to half of it.
        amplitude: RMS of the clip, full scale 1.

    Returns:
        The waveform, (n_time_steps,) float32. Annotations: none.

    Example:
        >>> violet_noise(jax.random.key(0), n_time_steps=16000, sample_rate=16000).shape
        (16000,)

    Reference:
        Timmer and König, "On generating power law noise" (1995).
    """
    return _of_slope(key, n_time_steps, 1.0, amplitude), {}


@annotated
def band_limited_noise(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    f_min: float = 200.0,
    f_max: float = 800.0,
    amplitude: float = 0.3,
) -> tuple[jax.Array, Known]:
    """Render Gaussian noise that is flat within a band and nothing outside.

    Args:
        key: Decides the samples.
        n_time_steps: Length in samples.
        sample_rate: Samples per second, Hz.
        f_min: Lower edge, Hz, at least 0.
        f_max: Upper edge, Hz, at most half the sample rate. A band narrower than 1 / length is made that wide.
        amplitude: RMS of the clip, full scale 1.

    Returns:
        The waveform, (n_time_steps,) float32. Annotations: none.

    Raises:
        ValueError: When the band is empty or reaches above half the sample rate.

    Example:
        >>> band = band_limited_noise(jax.random.key(0), n_time_steps=16000, sample_rate=16000)
        >>> round(float((band**2).mean() ** 0.5), 4)
        0.3

    Reference:
        A brick wall: bins of a discrete Fourier transform, those at the edges in proportion to their share in the band.
    """
    check_band(f_min, f_max, sample_rate)
    low, high = (jnp.asarray(edge, np.float32) for edge in (f_min, f_max))
    period = _period(n_time_steps)
    low, high = low * np.float32(period / sample_rate), high * np.float32(period / sample_rate)
    wider = jnp.maximum(0.5 - (high - low) / 2, 0)
    bins = jnp.arange(period // 2 + 1, dtype=np.float32)
    shares = jnp.clip(jnp.minimum(high + wider, bins + 0.5) - jnp.maximum(low - wider, bins - 0.5), 0, 1)
    return _shaped(key, n_time_steps, shares, amplitude), {}


@annotated
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
) -> tuple[jax.Array, Known]:
    """Render bursts of white Gaussian noise with raised-cosine edges and silence between.

    Time is cut into slots of 1 / rate, the first from the clip's start. Each holds one burst, of a duration and at a
    place drawn uniformly, so bursts never overlap; the last may be cut by the clip's end.

    Args:
        key: Decides the rate, the durations, the places and the samples.
        n_time_steps: Length in samples.
        sample_rate: Samples per second, Hz.
        rate_min: Lowest rate, bursts per second, above 0.
        rate_max: Highest rate, bursts per second. A Python number: it decides how many onsets are annotated.
        duration_min: Shortest burst in seconds, edges included, at least 0.
        duration_max: Longest burst in seconds, at most 1 / rate_max.
        edge: Length of either edge in seconds, at least 0; at most half the burst.
        amplitude: Standard deviation between the edges, full scale 1.

    Returns:
        The waveform, (n_time_steps,) float32. Annotations: ``rate``, bursts per second; ``onsets`` and ``durations``
        (k,), k the most slots that ``rate_max`` allows, NaN for those after the clip's end.

    Raises:
        TypeError: When an option is no number.
        ValueError: When a range is empty, or a burst can be longer than its slot.

    Example:
        >>> bursts = noise_bursts(jax.random.key(0), n_time_steps=16000, sample_rate=16000)
        >>> bursts.shape, bool((bursts == 0).any())
        ((16000,), True)

    Reference:
        White noise under a Tukey window for each burst, as gap-detection and onset-detection stimuli have it.
    """
    check_number("rate_max", rate_max, above=0, unit="per second")
    check_range("rate", rate_min, rate_max, minimum=0)
    if not isinstance(rate_min, jax.Array) and rate_min == 0:
        raise ValueError(f"rate_min must be above 0 per second, got {rate_min}")
    check_range("duration", duration_min, duration_max, minimum=0, maximum=1 / rate_max, unit="seconds")
    check_number("edge", edge, minimum=0, unit="seconds")
    rate_key, duration_key, place_key, noise_key = jax.random.split(key, 4)
    most = math.ceil(n_time_steps * rate_max / sample_rate) + 1
    rate = numerics.uniform(rate_key, (), minval=rate_min, maxval=rate_max)
    durations = numerics.uniform(duration_key, (most,), minval=duration_min, maxval=duration_max)
    # In samples, which a float32 counts one by one for minutes.
    slot = sample_rate / rate
    lengths = durations * sample_rate
    onsets = jnp.arange(most) * slot + numerics.uniform(place_key, (most,)) * jnp.maximum(slot - lengths, 0)

    place = jnp.arange(n_time_steps, dtype=np.float32)
    own = jnp.clip(jnp.floor(place / slot).astype(np.int32), 0, most - 1)
    since, length = place - onsets[own], lengths[own]
    inward = jnp.minimum(since, length - since)
    ramp = jnp.minimum(edge * sample_rate, length / 2)
    share = jnp.where(ramp > 0, inward / jnp.where(ramp > 0, ramp, 1), jnp.where(inward >= 0, 1, 0))
    envelope = numerics.sin2pi(jnp.clip(share, 0, 1) / 4) ** 2
    audio = settled("amplitude", amplitude, minimum=0) * envelope * numerics.normal(noise_key, (n_time_steps,))
    is_heard = onsets < n_time_steps
    known = {"onsets": onsets / sample_rate, "durations": durations}
    return audio, {"rate": rate} | {name: jnp.where(is_heard, value, np.nan) for name, value in known.items()}


def _of_slope(key: jax.Array, n_time_steps: int, exponent: jax.Array | float, amplitude: float) -> jax.Array:
    """Give noise whose amplitude spectrum goes as frequency to the power of ``exponent``."""
    bins = jnp.arange(_period(n_time_steps) // 2 + 1, dtype=np.float32)
    logs = exponent * jnp.log(jnp.maximum(bins, 1))
    return _shaped(key, n_time_steps, jnp.where(bins > 0, jnp.exp(logs - jnp.max(logs)), 0), amplitude)


def _shaped(key: jax.Array, n_time_steps: int, weights: jax.Array, amplitude: float) -> jax.Array:
    """Draw a spectrum, weight it and give the signal, at the RMS asked for."""
    real, imaginary = numerics.normal(key, (2, len(weights)))
    # What is real anyway, 0 Hz and half the rate, has all its power in one part.
    ends = jnp.zeros(len(weights)).at[jnp.array([0, -1])].set(1)
    spectrum = weights * jax.lax.complex(real * (1 + ends * np.float32(math.sqrt(2) - 1)), imaginary * (1 - ends))
    audio = jnp.fft.irfft(spectrum, n=2 * (len(weights) - 1))[:n_time_steps]
    loudest = jnp.max(jnp.abs(audio))
    scaled = audio / jnp.where(loudest > 0, loudest, 1)
    rms = numerics.safe_sqrt(jnp.mean(scaled * scaled))
    shaped: jax.Array = settled("amplitude", amplitude, minimum=0) * scaled / jnp.where(rms > 0, rms, 1)
    return shaped


def _period(n_time_steps: int) -> int:
    """Give the least even number of samples that has no prime factor above 5 and holds the clip.

    An FFT of a length with large prime factors takes many times as long.
    """
    least = max(n_time_steps, _LEAST_PERIOD)
    best = 1 << (least - 1).bit_length()
    for odd in (3**i * 5**j for i in range(20) for j in range(14)):
        if 2 * odd < best:
            best = min(best, odd * (1 << max((-(-least // odd) - 1).bit_length(), 1)))
    return best
