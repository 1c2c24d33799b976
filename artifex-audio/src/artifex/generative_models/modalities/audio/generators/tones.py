"""Steady tones, single samples and clicks."""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_flag, check_integer, check_number
from artifex.generative_models.modalities.audio.annotations import annotated
from artifex.generative_models.modalities.audio.ranges import check_band, check_range, settled

Known = dict[str, jax.Array]


@annotated
def silence(key: jax.Array, *, n_time_steps: int, sample_rate: int) -> tuple[jax.Array, Known]:
    """Render zeros.

    Args:
        key: Checked, and not used: nothing is drawn.
        n_time_steps: Length in samples.
        sample_rate: Samples per second, Hz; silence is the same at all.

    Returns:
        The waveform, (n_time_steps,) float32. Annotations: none.

    Raises:
        TypeError: When ``key`` is no random key.

    Example:
        >>> silence(jax.random.key(0), n_time_steps=3, sample_rate=16000).tolist()
        [0.0, 0.0, 0.0]

    Reference:
        Digital silence: every sample 0.
    """
    numerics.check_key("silence", key)
    return jnp.zeros(n_time_steps), {}


silence.draws = False  # type: ignore[attr-defined]


@annotated
def dc(
    key: jax.Array, *, n_time_steps: int, sample_rate: int, amplitude_min: float = -0.5, amplitude_max: float = 0.5
) -> tuple[jax.Array, Known]:
    """Render a constant drawn uniformly.

    Args:
        key: Decides the constant.
        n_time_steps: Length in samples.
        sample_rate: Samples per second, Hz; a constant is the same at all.
        amplitude_min: Lowest constant, full scale 1.
        amplitude_max: Highest constant, full scale 1, at least ``amplitude_min``; equal to it, the constant is fixed.

    Returns:
        The waveform, (n_time_steps,) float32. Annotations: ``amplitude``, the constant.

    Raises:
        ValueError: When the range is empty.

    Example:
        >>> dc(jax.random.key(0), n_time_steps=3, sample_rate=16000, amplitude_min=0.25, amplitude_max=0.25).tolist()
        [0.25, 0.25, 0.25]

    Reference:
        Direct current: a signal of 0 Hz.
    """
    check_range("amplitude", amplitude_min, amplitude_max)
    amplitude = numerics.uniform(key, (), minval=amplitude_min, maxval=amplitude_max)
    return jnp.full(n_time_steps, amplitude), {"amplitude": amplitude}


@annotated
def impulse(key: jax.Array, *, n_time_steps: int, sample_rate: int, amplitude: float = 0.5) -> tuple[jax.Array, Known]:
    """Render a single sample that is not 0, at a place drawn uniformly.

    Args:
        key: Decides the place.
        n_time_steps: Length in samples.
        sample_rate: Samples per second, Hz.
        amplitude: Value of that sample, full scale 1.

    Returns:
        The waveform, (n_time_steps,) float32. Annotations: ``onsets`` (1,), the place of the sample.

    Example:
        >>> click = impulse(jax.random.key(0), n_time_steps=100, sample_rate=16000)
        >>> int((click != 0).sum()), float(click.sum())
        (1, 0.5)

    Reference:
        The unit sample of digital signal processing: every frequency up to half the sample rate alike.
    """
    place = numerics.randint(key, (), 0, n_time_steps)
    audio = jnp.where(jnp.arange(n_time_steps) == place, jnp.float32(1), jnp.float32(0))
    return settled("amplitude", amplitude, minimum=0) * audio, {
        "onsets": place[None].astype(np.float32) / np.float32(sample_rate)
    }


@annotated
def click_train(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    rate_min: float = 2.0,
    rate_max: float = 20.0,
    amplitude: float = 0.5,
) -> tuple[jax.Array, Known]:
    """Render clicks of one sample at a rate, and from a phase, drawn uniformly.

    A click is the first sample at or after its time; the times do not drift at any length.

    Args:
        key: Decides the rate and when the first click comes.
        n_time_steps: Length in samples.
        sample_rate: Samples per second, Hz.
        rate_min: Lowest rate, clicks per second, at least 0.
        rate_max: Highest rate, clicks per second, at most a quarter of the sample rate. A Python number: it decides how
            many onsets are annotated.
        amplitude: Value of the clicks, full scale 1.

    Returns:
        The waveform, (n_time_steps,) float32. Annotations: ``rate``, clicks per second; ``onsets`` (k,), k the most
        clicks that ``rate_max`` allows, NaN where there are fewer.

    Raises:
        TypeError: When ``rate_max`` is no Python number.
        ValueError: When the range is empty or reaches above a quarter of the sample rate.

    Example:
        >>> clicks = click_train(jax.random.key(0), n_time_steps=16000, sample_rate=16000, rate_min=10, rate_max=10)
        >>> int((clicks != 0).sum())
        10

    Reference:
        A phase accumulator that clicks where it wraps.
    """
    check_number("rate_max", rate_max, minimum=0, maximum=sample_rate / 4, unit="per second")
    check_range("rate", rate_min, rate_max, minimum=0)
    rate_key, phase_key = jax.random.split(key)
    rate = numerics.uniform(rate_key, (), minval=rate_min, maxval=rate_max)
    # From one sample before the clip, so that each of its samples has one before it.
    phase = numerics.phase_ramp(
        rate, n_time_steps=n_time_steps + 1, sample_rate=sample_rate, start=numerics.uniform(phase_key)
    )
    clicks = (phase[:-1] < 0) & (phase[1:] >= 0) & (phase[:-1] - phase[1:] > -0.5)
    most = min(n_time_steps, math.ceil(n_time_steps * rate_max / sample_rate) + 1)
    (places,) = jnp.nonzero(clicks, size=most, fill_value=-1)
    onsets = jnp.where(places < 0, np.float32(np.nan), places.astype(np.float32) / np.float32(sample_rate))
    return settled("amplitude", amplitude, minimum=0) * clicks.astype(np.float32), {"rate": rate, "onsets": onsets}


@annotated
def sine(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    f_min: float = 200.0,
    f_max: float = 800.0,
    amplitude: float = 0.5,
) -> tuple[jax.Array, Known]:
    """Render a sine wave of a frequency and starting phase drawn uniformly.

    Args:
        key: Decides the frequency and the phase.
        n_time_steps: Length in samples.
        sample_rate: Samples per second, Hz.
        f_min: Lowest frequency, Hz, at least 0.
        f_max: Highest frequency, Hz, at most half the sample rate.
        amplitude: Peak, full scale 1.

    Returns:
        The waveform, (n_time_steps,) float32, precise to 1e-6 of the amplitude at any length. Annotations:
        ``frequency``; ``phase``, that of the first sample in cycles; ``f0`` (n_time_steps,), the frequency.

    Raises:
        ValueError: When the band is empty or reaches above half the sample rate.

    Example:
        >>> tone = sine(jax.random.key(0), n_time_steps=16000, sample_rate=16000)
        >>> tone.shape, round(float(abs(tone).max()), 3)
        ((16000,), 0.5)

    Reference:
        ``amplitude * sin(2 pi (f n / sample_rate + phase))``, n = 0, 1, …
    """
    phase, known = _drawn_phase(key, n_time_steps, sample_rate, f_min, f_max)
    return settled("amplitude", amplitude, minimum=0) * numerics.sin2pi(phase), known


@annotated
def multi_tone(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    n_tones: int = 4,
    f_min: float = 200.0,
    f_max: float = 800.0,
    amplitude: float = 0.5,
) -> tuple[jax.Array, Known]:
    """Render several sine waves of one level, their frequencies and starting phases drawn uniformly.

    Args:
        key: Decides the frequencies and the phases.
        n_time_steps: Length in samples.
        sample_rate: Samples per second, Hz.
        n_tones: How many, at least 1.
        f_min: Lowest frequency, Hz, at least 0.
        f_max: Highest frequency, Hz, at most half the sample rate.
        amplitude: Highest peak there can be, full scale 1; each tone's is ``amplitude / n_tones``.

    Returns:
        The waveform, (n_time_steps,) float32. Annotations: ``frequencies`` (n_tones,); ``phases`` (n_tones,), those of
        the first sample in cycles; ``stems`` (n_tones, n_time_steps), the tones.

    Raises:
        TypeError: When ``n_tones`` is no integer.
        ValueError: When ``n_tones`` is below 1, or the band is empty or reaches above half the sample rate.

    Example:
        >>> tones = multi_tone(jax.random.key(0), n_time_steps=16000, sample_rate=16000, n_tones=3)
        >>> tones.shape, bool(abs(tones).max() <= 0.5)
        ((16000,), True)

    Reference:
        The sum of ``n_tones`` waves of ``sine``.
    """
    check_integer("n_tones", n_tones, minimum=1)
    check_band(f_min, f_max, sample_rate)
    frequency_key, phase_key = jax.random.split(key)
    frequencies = numerics.uniform(frequency_key, (n_tones,), minval=f_min, maxval=f_max)
    phases = numerics.uniform(phase_key, (n_tones,))
    ramps = numerics.phase_ramp(frequencies, n_time_steps=n_time_steps, sample_rate=sample_rate, start=phases)
    stems = settled("amplitude", amplitude, minimum=0) / n_tones * numerics.sin2pi(ramps)
    return jnp.sum(stems, axis=0), {"frequencies": frequencies, "phases": phases, "stems": stems}


@annotated
def square(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    f_min: float = 200.0,
    f_max: float = 800.0,
    amplitude: float = 0.5,
    band_limited: bool = True,
) -> tuple[jax.Array, Known]:
    """Render a square wave of a frequency and starting phase drawn uniformly.

    Args:
        key: Decides the frequency and the phase.
        n_time_steps: Length in samples.
        sample_rate: Samples per second, Hz.
        f_min: Lowest frequency, Hz, at least 0.
        f_max: Highest frequency, Hz, at most half the sample rate.
        amplitude: Peak of the ideal wave, full scale 1. Band-limited, it rings at its edges, up to 1.28 times as high.
        band_limited: Whether the wave is its Fourier series below half the sample rate, without aliases (they lie
            below -100 dB); otherwise the ideal wave is sampled.

    Returns:
        The waveform, (n_time_steps,) float32. Annotations: ``frequency``; ``phase``, that of the first sample in
        cycles; ``f0`` (n_time_steps,), the frequency.

    Raises:
        TypeError: When ``band_limited`` is neither True nor False.
        ValueError: When the band is empty or reaches above half the sample rate.

    Example:
        >>> wave = square(jax.random.key(0), n_time_steps=1000, sample_rate=16000, band_limited=False)
        >>> sorted(set(wave.tolist()))
        [-0.5, 0.5]

    Reference:
        ``scipy.signal.square(2 pi (f n / sample_rate + phase))``; the sum of its series by Stilson and Smith,
        "Alias-free digital synthesis of classic analog waveforms" (1996), integrated in closed form.
    """
    check_flag("band_limited", band_limited)
    phase, known = _drawn_phase(key, n_time_steps, sample_rate, f_min, f_max)
    if band_limited:
        wave = _square_series(phase, _harmonics_below_nyquist(known["frequency"], sample_rate))
    else:
        wave = jnp.where(phase >= 0, np.float32(1), np.float32(-1))
    return settled("amplitude", amplitude, minimum=0) * wave, known


@annotated
def pulse(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    f_min: float = 200.0,
    f_max: float = 800.0,
    duty_min: float = 0.1,
    duty_max: float = 0.9,
    amplitude: float = 0.5,
    band_limited: bool = True,
) -> tuple[jax.Array, Known]:
    """Render a pulse wave of a frequency, duty cycle and starting phase drawn uniformly.

    The wave is high for the first ``duty`` of each cycle and low for the rest, so its mean is ``2 duty - 1`` times the
    amplitude.

    Args:
        key: Decides the frequency, the duty cycle and the phase.
        n_time_steps: Length in samples.
        sample_rate: Samples per second, Hz.
        f_min: Lowest frequency, Hz, at least 0.
        f_max: Highest frequency, Hz, at most half the sample rate.
        duty_min: Least share of a cycle that is high, from 0.
        duty_max: Greatest share of a cycle that is high, up to 1.
        amplitude: Peak of the ideal wave, full scale 1. Band-limited, it rings at its edges, up to twice as high where
            few harmonics are left.
        band_limited: Whether the wave is its Fourier series below half the sample rate, without aliases (they lie
            below -100 dB); otherwise the ideal wave is sampled.

    Returns:
        The waveform, (n_time_steps,) float32. Annotations: ``frequency``; ``phase``, that of the first sample in
        cycles; ``duty``; ``f0`` (n_time_steps,), the frequency.

    Raises:
        TypeError: When ``band_limited`` is neither True nor False.
        ValueError: When a range is empty, the band reaches above half the sample rate, or a duty cycle leaves [0, 1].

    Example:
        >>> wave = pulse(jax.random.key(0), n_time_steps=1000, sample_rate=16000, band_limited=False)
        >>> sorted(set(wave.tolist()))
        [-0.5, 0.5]

    Reference:
        ``scipy.signal.square(2 pi (f n / sample_rate + phase), duty)``; the difference of two sawtooths.
    """
    check_flag("band_limited", band_limited)
    check_range("duty", duty_min, duty_max, minimum=0, maximum=1)
    tone_key, duty_key = jax.random.split(key)
    duty = numerics.uniform(duty_key, (), minval=duty_min, maxval=duty_max)
    phase, known = _drawn_phase(tone_key, n_time_steps, sample_rate, f_min, f_max)
    if band_limited:
        n_harmonics = _harmonics_below_nyquist(known["frequency"], sample_rate)
        shifted = phase - duty
        shifted = shifted - jnp.round(shifted)
        wave = 2 * duty - 1 + _sawtooth_series(shifted, n_harmonics) - _sawtooth_series(phase, n_harmonics)
    else:
        wave = jnp.where(jnp.where(phase < 0, phase + 1, phase) < duty, np.float32(1), np.float32(-1))
    return settled("amplitude", amplitude, minimum=0) * wave, {**known, "duty": duty}


@annotated
def sawtooth(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    f_min: float = 200.0,
    f_max: float = 800.0,
    amplitude: float = 0.5,
    band_limited: bool = True,
) -> tuple[jax.Array, Known]:
    """Render a rising sawtooth wave of a frequency and starting phase drawn uniformly.

    Args:
        key: Decides the frequency and the phase.
        n_time_steps: Length in samples.
        sample_rate: Samples per second, Hz.
        f_min: Lowest frequency, Hz, at least 0.
        f_max: Highest frequency, Hz, at most half the sample rate.
        amplitude: Peak of the ideal wave, full scale 1. Band-limited, it rings at its edge, up to 1.18 times as high.
        band_limited: Whether the wave is its Fourier series below half the sample rate, without aliases (they lie
            below -100 dB); otherwise the ideal wave is sampled.

    Returns:
        The waveform, (n_time_steps,) float32. Annotations: ``frequency``; ``phase``, that of the first sample in
        cycles from the edge; ``f0`` (n_time_steps,), the frequency.

    Raises:
        TypeError: When ``band_limited`` is neither True nor False.
        ValueError: When the band is empty or reaches above half the sample rate.

    Example:
        >>> wave = sawtooth(jax.random.key(0), n_time_steps=1000, sample_rate=16000)
        >>> wave.shape
        (1000,)

    Reference:
        ``scipy.signal.sawtooth(2 pi (f n / sample_rate + phase))``; the sum of its series by Stilson and Smith,
        "Alias-free digital synthesis of classic analog waveforms" (1996), integrated in closed form.
    """
    check_flag("band_limited", band_limited)
    phase, known = _drawn_phase(key, n_time_steps, sample_rate, f_min, f_max)
    if band_limited:
        wave = _sawtooth_series(phase, _harmonics_below_nyquist(known["frequency"], sample_rate))
    else:
        wave = 2 * phase + jnp.where(phase >= 0, np.float32(-1), np.float32(1))
    return settled("amplitude", amplitude, minimum=0) * wave, known


@annotated
def triangle(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    f_min: float = 200.0,
    f_max: float = 800.0,
    amplitude: float = 0.5,
    band_limited: bool = True,
) -> tuple[jax.Array, Known]:
    """Render a triangle wave of a frequency and starting phase drawn uniformly.

    Args:
        key: Decides the frequency and the phase.
        n_time_steps: Length in samples.
        sample_rate: Samples per second, Hz.
        f_min: Lowest frequency, Hz, at least 0.
        f_max: Highest frequency, Hz, at most half the sample rate.
        amplitude: Peak of the ideal wave, full scale 1; the band-limited one stays within it.
        band_limited: Whether the wave is its Fourier series below half the sample rate, without aliases (they lie
            below -100 dB); otherwise the ideal wave is sampled.

    Returns:
        The waveform, (n_time_steps,) float32. Annotations: ``frequency``; ``phase``, that of the first sample in
        cycles from the lowest point; ``f0`` (n_time_steps,), the frequency.

    Raises:
        TypeError: When ``band_limited`` is neither True nor False.
        ValueError: When the band is empty or reaches above half the sample rate.

    Example:
        >>> wave = triangle(jax.random.key(0), n_time_steps=1000, sample_rate=16000)
        >>> wave.shape, bool(abs(wave).max() <= 0.5)
        ((1000,), True)

    Reference:
        ``scipy.signal.sawtooth(2 pi (f n / sample_rate + phase), 0.5)``; the integral of the series of ``square``.
    """
    check_flag("band_limited", band_limited)
    phase, known = _drawn_phase(key, n_time_steps, sample_rate, f_min, f_max)
    if band_limited:
        wave = _triangle_series(phase, _harmonics_below_nyquist(known["frequency"], sample_rate))
    else:
        wave = 4 * jnp.abs(phase) - 1
    return settled("amplitude", amplitude, minimum=0) * wave, known


def _drawn_phase(
    key: jax.Array, n_time_steps: int, sample_rate: int, f_min: float, f_max: float
) -> tuple[jax.Array, Known]:
    """Draw a frequency and a starting phase; give the phase of every sample and what is known of it."""
    check_band(f_min, f_max, sample_rate)
    frequency_key, phase_key = jax.random.split(key)
    frequency = numerics.uniform(frequency_key, (), minval=f_min, maxval=f_max)
    start = numerics.uniform(phase_key)
    phase = numerics.phase_ramp(frequency, n_time_steps=n_time_steps, sample_rate=sample_rate, start=start)
    return phase, {"frequency": frequency, "phase": start, "f0": jnp.full(n_time_steps, frequency)}


# The first M terms of the Fourier series of a sawtooth or a square wave add up to the integral of the Dirichlet kernel
# sin(m t) / sin(t), m = 2 M + 1 or 2 M, from 0 to half a cycle or a quarter. With 1 / sin(t) = 1 / t + g(t) that is the
# sine integral of m t and, integrated by parts, g and its derivatives over powers of m: as cheap for a thousand
# harmonics as for ten, with a frequency that is traced. Few harmonics are added one by one, since there m is small.
_FEW = 8
_MANY = 2.0**20  # a float32 counts no further to odd numbers, and half the sample rate over this is below hearing


def _harmonics_below_nyquist(frequency: jax.Array, sample_rate: int) -> jax.Array:
    highest = np.float32(sample_rate / 2)
    return jnp.ceil(highest / jnp.maximum(frequency, highest / np.float32(_MANY))) - 1


def _sawtooth_series(phase: jax.Array, n_harmonics: jax.Array) -> jax.Array:
    first = numerics.sin2pi(phase)
    few = _few_terms(first, jnp.zeros_like(first), 2 * numerics.cos2pi(phase), n_harmonics, range(1, _FEW + 1), 1)
    m = 2 * jnp.maximum(n_harmonics, _FEW + 1) + 1
    distance = jnp.abs(phase)
    many = _kernel_integral(m, np.float32(np.pi) * distance, m * distance / 2) - np.float32(np.pi) * distance
    series = jnp.where(n_harmonics > _FEW, jnp.where(phase < 0, -many, many), few)
    return np.float32(-2 / np.pi) * series


def _square_series(phase: jax.Array, n_harmonics: jax.Array) -> jax.Array:
    n_terms = jnp.floor((n_harmonics + 1) / 2)
    first = numerics.sin2pi(phase)
    few = _few_terms(first, -first, 2 * numerics.cos2pi(2 * phase), n_terms, range(1, 2 * _FEW, 2), 1)
    m = 2 * jnp.maximum(n_terms, _FEW + 1)
    distance = jnp.minimum(jnp.abs(phase), 0.5 - jnp.abs(phase))
    many = _kernel_integral(m, np.float32(2 * np.pi) * distance, m * distance) / 2
    series = jnp.where(n_terms > _FEW, jnp.where(phase < 0, -many, many), few)
    return np.float32(4 / np.pi) * series


def _triangle_series(phase: jax.Array, n_harmonics: jax.Array) -> jax.Array:
    n_terms = jnp.floor((n_harmonics + 1) / 2)
    first = numerics.cos2pi(phase)
    few = _few_terms(first, first, 2 * numerics.cos2pi(2 * phase), n_terms, range(1, 2 * _FEW, 2), 2)
    m = 2 * jnp.maximum(n_terms, _FEW + 1)
    distance = jnp.minimum(jnp.abs(phase), 0.5 - jnp.abs(phase))
    quarter = jnp.full((1,), 0.25, phase.dtype)
    at_quarter, here = (
        _kernel_integral_integrated(m, np.float32(2 * np.pi) * place, m * place) for place in (quarter, distance)
    )
    many = (at_quarter - here) / 2
    series = jnp.where(n_terms > _FEW, jnp.where(jnp.abs(phase) > 0.25, -many, many), few)
    return np.float32(-8 / np.pi**2) * series


def _few_terms(
    first: jax.Array, before: jax.Array, factor: jax.Array, n_terms: jax.Array, orders: range, power: int
) -> jax.Array:
    """Add up to ``_FEW`` harmonics, each found from the two before it by Chebyshev's recurrence."""
    total, last, term = jnp.zeros_like(first), before, first
    for i, order in enumerate(orders):
        total = total + jnp.where(i < n_terms, term / order**power, 0)
        last, term = term, factor * term - last
    return total


def _kernel_integral(m: jax.Array, u: jax.Array, cycles: jax.Array) -> jax.Array:
    """Integrate sin(m t) / sin(t) from 0 to u in [0, pi / 2]; ``cycles`` is ``m u / (2 pi)``."""
    sine, cosine = numerics.sin2pi(cycles), numerics.cos2pi(cycles)
    g, dg, ddg, dddg = _cosecant_remainder(u)
    by_parts = (sine * (dg - dddg / m**2) / m - cosine * (g - ddg / m**2)) / m
    return _sine_integral(m * u, sine, cosine) + by_parts


def _kernel_integral_integrated(m: jax.Array, u: jax.Array, cycles: jax.Array) -> jax.Array:
    sine, cosine = numerics.sin2pi(cycles), numerics.cos2pi(cycles)
    g, dg, ddg, dddg = _cosecant_remainder(u)
    by_parts = (sine * (3 * ddg / m**2 - g) + cosine * (4 * dddg / m**2 - 2 * dg) / m) / m**2
    return u * _sine_integral(m * u, sine, cosine) + cosine / m + by_parts


def _cosecant_remainder(u: jax.Array) -> tuple[jax.Array, ...]:
    """Give 1 / sin(u) - 1 / u and its first three derivatives, u in [0, pi / 2]."""
    square_of_u = u * u
    g, dg, ddg, dddg = (_polynomial(table, square_of_u) for table in _cosecant_tables())
    return u * g, dg, u * ddg, dddg


def _sine_integral(z: jax.Array, sine: jax.Array, cosine: jax.Array) -> jax.Array:
    """Integrate sin(t) / t from 0 to z >= 0, whose sine and cosine are given."""
    near, f, g = _sine_integral_tables()
    nearby = jnp.minimum(z, _SPLIT)
    inverse = 1 / jnp.maximum(z, _SPLIT)
    scaled = (_SPLIT * inverse) ** 2
    far = np.float32(np.pi / 2) - inverse * (cosine * _polynomial(f, scaled) + sine * inverse * _polynomial(g, scaled))
    return jnp.where(z < _SPLIT, nearby * _polynomial(near, nearby * nearby), far)


_SPLIT = 4.0


def _polynomial(coefficients: tuple[float, ...], x: jax.Array) -> jax.Array:
    value = jnp.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * x + coefficient
    return value


def _fitted(values: np.ndarray, x: np.ndarray, degree: int) -> np.polynomial.Polynomial:
    """Interpolate at Chebyshev's points, which is within a few percent of the least greatest error."""
    fit = np.polynomial.Chebyshev.fit(x, values, degree)
    converted: np.polynomial.Polynomial = fit.convert(kind=np.polynomial.Polynomial)
    return converted


def _chebyshev_points(low: float, high: float, count: int) -> np.ndarray:
    points: np.ndarray = (low + high) / 2 + (high - low) / 2 * np.cos((np.arange(count) + 0.5) * np.pi / count)
    return points


@functools.lru_cache
def _cosecant_tables() -> tuple[tuple[float, ...], ...]:
    u = _chebyshev_points(1e-3, np.pi / 2, 200)
    even = _fitted((1 / np.sin(u) - 1 / u) / u, u * u, 7).coef
    g = np.polynomial.Polynomial(np.stack([np.zeros_like(even), even], axis=1).ravel())
    derivatives = [g.deriv(order).coef if order else g.coef for order in range(4)]
    return tuple(
        tuple(float(c) for c in coefficients[1 - order % 2 :: 2]) for order, coefficients in enumerate(derivatives)
    )


@functools.lru_cache
def _sine_integral_tables() -> tuple[tuple[float, ...], ...]:
    near = tuple((-1.0) ** k / ((2 * k + 1) * math.factorial(2 * k + 1)) for k in range(11))
    # Beyond: z f(z) and z**2 g(z), the Laplace transforms of 1 / (1 + t**2) and t / (1 + t**2).
    nodes, weights = np.polynomial.laguerre.laggauss(120)
    scaled = _chebyshev_points(0, 1, 200)
    share = 1 / (1 + nodes**2 * (scaled[:, None] / _SPLIT**2))
    f, g = (_fitted(share @ w, scaled, 8).coef for w in (weights, weights * nodes))
    return near, tuple(map(float, f)), tuple(map(float, g))
