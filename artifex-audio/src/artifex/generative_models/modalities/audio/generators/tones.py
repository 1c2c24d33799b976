"""Tones of constant frequency, impulses, clicks, constants and silence."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_flag, check_integer, check_number, check_option, check_range
from artifex.generative_models.modalities.audio.annotations import AnnotatedAudio, audio_type
from artifex.generative_models.modalities.audio.generators import fourier_series
from artifex.generative_models.modalities.audio.generators.parameters import check_band


@audio_type(draws=False)
def silence(key: jax.Array, *, n_time_steps: int, sample_rate: int) -> jax.Array:
    """Generate silence.

    Args:
        key: Random key; validated but unused, because nothing is drawn.
        n_time_steps: Length in samples.
        sample_rate: Sample rate in Hz; unused.

    Returns:
        Zeros, (n_time_steps,) float32. No annotations.

    Raises:
        TypeError: When ``key`` is not a random key.

    Example:
        >>> silence(jax.random.key(0), n_time_steps=3, sample_rate=16000).tolist()
        [0.0, 0.0, 0.0]

    Reference:
        Digital silence: every sample is 0.
    """
    numerics.check_key("silence", key)
    return jnp.zeros(n_time_steps)


def _annotated_dc(
    key: jax.Array, n_time_steps: int, sample_rate: int, amplitude_min: float, amplitude_max: float
) -> AnnotatedAudio:
    check_range(("amplitude_min", "amplitude_max"), (amplitude_min, amplitude_max))
    amplitude = numerics.uniform(key, (), minval=amplitude_min, maxval=amplitude_max)
    return jnp.full(n_time_steps, amplitude), {"amplitude": amplitude}


@audio_type(annotated=_annotated_dc)
def dc(
    key: jax.Array, *, n_time_steps: int, sample_rate: int, amplitude_min: float = -0.5, amplitude_max: float = 0.5
) -> jax.Array:
    """Generate a constant signal with random amplitude.

    Args:
        key: Random key; determines the amplitude.
        n_time_steps: Length in samples.
        sample_rate: Sample rate in Hz; unused.
        amplitude_min: Minimum amplitude, full scale 1.
        amplitude_max: Maximum amplitude, full scale 1. The amplitude is fixed if this equals ``amplitude_min``.

    Returns:
        The waveform, (n_time_steps,) float32. Annotations: ``amplitude``.

    Raises:
        ValueError: When ``amplitude_min`` is above ``amplitude_max``.

    Example:
        >>> dc(jax.random.key(0), n_time_steps=3, sample_rate=16000, amplitude_min=0.25, amplitude_max=0.25).tolist()
        [0.25, 0.25, 0.25]

    Reference:
        Direct current: a signal of 0 Hz.
    """
    return _annotated_dc(key, n_time_steps, sample_rate, amplitude_min, amplitude_max)[0]


def _annotated_impulse(key: jax.Array, n_time_steps: int, sample_rate: int, amplitude: float) -> AnnotatedAudio:
    check_option("amplitude", amplitude, minimum=0)
    position = numerics.randint(key, (), 0, n_time_steps)
    audio = jnp.where(jnp.arange(n_time_steps) == position, jnp.float32(1), jnp.float32(0))
    return amplitude * audio, {"onset_samples": position[None]}


@audio_type(annotated=_annotated_impulse)
def impulse(key: jax.Array, *, n_time_steps: int, sample_rate: int, amplitude: float = 0.5) -> jax.Array:
    """Generate an impulse of one sample at a random position.

    Args:
        key: Random key; determines the position.
        n_time_steps: Length in samples.
        sample_rate: Sample rate in Hz.
        amplitude: Value of the nonzero sample, full scale 1, at least 0.

    Returns:
        The waveform, (n_time_steps,) float32. Annotations: ``onset_samples`` (1,) int32, the position of the impulse.

    Raises:
        ValueError: When ``amplitude`` is negative.

    Example:
        >>> audio = impulse(jax.random.key(0), n_time_steps=100, sample_rate=16000)
        >>> int((audio != 0).sum()), float(audio.sum())
        (1, 0.5)

    Reference:
        The scaled unit sample of digital signal processing; its spectrum is flat up to half the sample rate.
    """
    return _annotated_impulse(key, n_time_steps, sample_rate, amplitude)[0]


def _annotated_click_train(
    key: jax.Array, n_time_steps: int, sample_rate: int, rate_min: float, rate_max: float, amplitude: float
) -> AnnotatedAudio:
    check_number("rate_max", rate_max, minimum=0, maximum=sample_rate / 4, unit="per second")
    check_range(("rate_min", "rate_max"), (rate_min, rate_max), minimum=0)
    check_option("amplitude", amplitude, minimum=0)
    rate_key, phase_key = jax.random.split(key)
    rate = numerics.uniform(rate_key, (), minval=rate_min, maxval=rate_max)
    # The ramp starts one sample early, so that every sample of the clip has a predecessor.
    phase = numerics.phase_ramp(
        rate, n_time_steps=n_time_steps + 1, sample_rate=sample_rate, start=numerics.uniform(phase_key)
    )
    is_click = (phase[:-1] < 0) & (phase[1:] >= 0) & (phase[:-1] - phase[1:] > -0.5)
    max_clicks = min(n_time_steps, math.ceil(n_time_steps * rate_max / sample_rate) + 1)
    (positions,) = jnp.nonzero(is_click, size=max_clicks, fill_value=-1)
    return amplitude * is_click.astype(np.float32), {"rate": rate, "onset_samples": positions.astype(np.int32)}


@audio_type(annotated=_annotated_click_train)
def click_train(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    rate_min: float = 2.0,
    rate_max: float = 20.0,
    amplitude: float = 0.5,
) -> jax.Array:
    """Generate a periodic train of single-sample clicks with random rate and phase.

    Each click is at the first sample at or after its exact time; rounding errors do not accumulate.

    Args:
        key: Random key; determines the rate and the time of the first click.
        n_time_steps: Length in samples.
        sample_rate: Sample rate in Hz.
        rate_min: Minimum rate in clicks per second, at least 0.
        rate_max: Maximum rate in clicks per second, at most a quarter of the sample rate. A Python number, because it
            determines the shape of ``onset_samples``.
        amplitude: Value of the clicks, full scale 1, at least 0.

    Returns:
        The waveform, (n_time_steps,) float32. Annotations: ``rate`` in clicks per second; ``onset_samples`` (k,)
        int32, the positions of the clicks, where k is their maximum number at ``rate_max``; -1 where there are fewer.

    Raises:
        TypeError: When ``rate_max`` is not a Python number.
        ValueError: When ``rate_min`` is above ``rate_max``, or ``rate_max`` above a quarter of the sample rate.

    Example:
        >>> clicks = click_train(jax.random.key(0), n_time_steps=16000, sample_rate=16000, rate_min=10, rate_max=10)
        >>> int((clicks != 0).sum())
        10

    Reference:
        A phase accumulator with a click at each wrap.
    """
    return _annotated_click_train(key, n_time_steps, sample_rate, rate_min, rate_max, amplitude)[0]


def _annotated_sine(
    key: jax.Array, n_time_steps: int, sample_rate: int, f_min: float, f_max: float, amplitude: float
) -> AnnotatedAudio:
    check_option("amplitude", amplitude, minimum=0)
    phase, annotations = _draw_phase(key, n_time_steps, sample_rate, f_min, f_max)
    return amplitude * numerics.sin2pi(phase), annotations


@audio_type(annotated=_annotated_sine)
def sine(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    f_min: float = 200.0,
    f_max: float = 800.0,
    amplitude: float = 0.5,
) -> jax.Array:
    """Generate a sine wave with random frequency and phase.

    Args:
        key: Random key; determines the frequency and the phase.
        n_time_steps: Length in samples.
        sample_rate: Sample rate in Hz.
        f_min: Minimum frequency in Hz, at least 0.
        f_max: Maximum frequency in Hz, at most half the sample rate.
        amplitude: Peak, full scale 1, at least 0.

    Returns:
        The waveform, (n_time_steps,) float32, accurate to 1e-6 of the amplitude at any length. Annotations:
        ``frequency`` in Hz; ``phase`` of the first sample in cycles; ``f0`` (n_time_steps,) in Hz.

    Raises:
        ValueError: When the band is empty or reaches above half the sample rate.

    Example:
        >>> tone = sine(jax.random.key(0), n_time_steps=16000, sample_rate=16000)
        >>> tone.shape, round(float(abs(tone).max()), 3)
        ((16000,), 0.5)

    Reference:
        ``amplitude * sin(2 pi (f n / sample_rate + phase))``, n = 0, 1, ...
    """
    return _annotated_sine(key, n_time_steps, sample_rate, f_min, f_max, amplitude)[0]


def _annotated_multi_tone(
    key: jax.Array, n_time_steps: int, sample_rate: int, n_tones: int, f_min: float, f_max: float, amplitude: float
) -> AnnotatedAudio:
    check_integer("n_tones", n_tones, minimum=1)
    check_band(f_min, f_max, sample_rate)
    check_option("amplitude", amplitude, minimum=0)
    frequency_key, phase_key = jax.random.split(key)
    frequencies = numerics.uniform(frequency_key, (n_tones,), minval=f_min, maxval=f_max)
    phases = numerics.uniform(phase_key, (n_tones,))
    ramps = numerics.phase_ramp(frequencies, n_time_steps=n_time_steps, sample_rate=sample_rate, start=phases)
    stems = amplitude / n_tones * numerics.sin2pi(ramps)
    return jnp.sum(stems, axis=0), {"frequencies": frequencies, "phases": phases, "stems": stems}


@audio_type(annotated=_annotated_multi_tone)
def multi_tone(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    n_tones: int = 4,
    f_min: float = 200.0,
    f_max: float = 800.0,
    amplitude: float = 0.5,
) -> jax.Array:
    """Generate a sum of sine waves of equal amplitude with random frequencies and phases.

    Args:
        key: Random key; determines the frequencies and the phases.
        n_time_steps: Length in samples.
        sample_rate: Sample rate in Hz.
        n_tones: Number of sine waves, at least 1.
        f_min: Minimum frequency in Hz, at least 0.
        f_max: Maximum frequency in Hz, at most half the sample rate.
        amplitude: Maximum possible peak, full scale 1, at least 0; each sine wave has the peak ``amplitude / n_tones``.

    Returns:
        The waveform, (n_time_steps,) float32. Annotations: ``frequencies`` (n_tones,) in Hz; ``phases`` (n_tones,) of
        the first sample in cycles; ``stems`` (n_tones, n_time_steps), the sine waves.

    Raises:
        TypeError: When ``n_tones`` is not an integer.
        ValueError: When ``n_tones`` is below 1, or the band is empty or reaches above half the sample rate.

    Example:
        >>> tones = multi_tone(jax.random.key(0), n_time_steps=16000, sample_rate=16000, n_tones=3)
        >>> tones.shape, bool(abs(tones).max() <= 0.5)
        ((16000,), True)

    Reference:
        The sum of ``n_tones`` waveforms of ``sine``.
    """
    return _annotated_multi_tone(key, n_time_steps, sample_rate, n_tones, f_min, f_max, amplitude)[0]


def _annotated_wave(
    series: Callable[[jax.Array, jax.Array], jax.Array],
    ideal: Callable[[jax.Array], jax.Array],
    key: jax.Array,
    n_time_steps: int,
    sample_rate: int,
    f_min: float,
    f_max: float,
    amplitude: float,
    band_limited: bool,
) -> AnnotatedAudio:
    """Generate a wave from its Fourier series, or from its ideal shape, as functions of the phase in [-0.5, 0.5)."""
    check_flag("band_limited", band_limited)
    check_option("amplitude", amplitude, minimum=0)
    phase, annotations = _draw_phase(key, n_time_steps, sample_rate, f_min, f_max)
    if band_limited:
        wave = series(phase, fourier_series.count_harmonics(annotations["frequency"], sample_rate))
    else:
        wave = ideal(phase)
    return amplitude * wave, annotations


def _ideal_square(phase: jax.Array) -> jax.Array:
    return jnp.where(phase >= 0, np.float32(1), np.float32(-1))


def _ideal_sawtooth(phase: jax.Array) -> jax.Array:
    return 2 * phase + jnp.where(phase >= 0, np.float32(-1), np.float32(1))


def _ideal_triangle(phase: jax.Array) -> jax.Array:
    return 4 * jnp.abs(phase) - 1


_annotated_square = partial(_annotated_wave, fourier_series.square_series, _ideal_square)
_annotated_sawtooth = partial(_annotated_wave, fourier_series.sawtooth_series, _ideal_sawtooth)
_annotated_triangle = partial(_annotated_wave, fourier_series.triangle_series, _ideal_triangle)


@audio_type(annotated=_annotated_square)
def square(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    f_min: float = 200.0,
    f_max: float = 800.0,
    amplitude: float = 0.5,
    band_limited: bool = True,
) -> jax.Array:
    """Generate a square wave with random frequency and phase.

    Args:
        key: Random key; determines the frequency and the phase.
        n_time_steps: Length in samples.
        sample_rate: Sample rate in Hz.
        f_min: Minimum frequency in Hz, at least 0.
        f_max: Maximum frequency in Hz, at most half the sample rate.
        amplitude: Peak of the ideal wave, full scale 1, at least 0. The overshoot of a band-limited wave reaches up to
            1.28 times this value.
        band_limited: True to sum the Fourier series below half the sample rate, with aliases below -100 dB; False to
            sample the ideal wave.

    Returns:
        The waveform, (n_time_steps,) float32. Annotations: ``frequency`` in Hz; ``phase`` of the first sample in
        cycles; ``f0`` (n_time_steps,) in Hz.

    Raises:
        TypeError: When ``band_limited`` is not a bool.
        ValueError: When the band is empty or reaches above half the sample rate.

    Example:
        >>> wave = square(jax.random.key(0), n_time_steps=1000, sample_rate=16000, band_limited=False)
        >>> sorted(set(wave.tolist()))
        [-0.5, 0.5]

    Reference:
        ``scipy.signal.square(2 pi (f n / sample_rate + phase))``; for the sum of its series, Stilson and Smith,
        "Alias-free digital synthesis of classic analog waveforms" (1996), integrated in closed form.
    """
    return _annotated_square(key, n_time_steps, sample_rate, f_min, f_max, amplitude, band_limited)[0]


def _annotated_pulse(
    key: jax.Array,
    n_time_steps: int,
    sample_rate: int,
    f_min: float,
    f_max: float,
    duty_min: float,
    duty_max: float,
    amplitude: float,
    band_limited: bool,
) -> AnnotatedAudio:
    check_flag("band_limited", band_limited)
    check_range(("duty_min", "duty_max"), (duty_min, duty_max), minimum=0, maximum=1)
    check_option("amplitude", amplitude, minimum=0)
    tone_key, duty_key = jax.random.split(key)
    duty = numerics.uniform(duty_key, (), minval=duty_min, maxval=duty_max)
    phase, annotations = _draw_phase(tone_key, n_time_steps, sample_rate, f_min, f_max)
    if band_limited:
        n_harmonics = fourier_series.count_harmonics(annotations["frequency"], sample_rate)
        shifted = phase - duty
        shifted = shifted - jnp.round(shifted)
        falling = fourier_series.sawtooth_series(shifted, n_harmonics)
        wave = 2 * duty - 1 + falling - fourier_series.sawtooth_series(phase, n_harmonics)
    else:
        is_high = jnp.where(phase < 0, phase + 1, phase) < duty
        wave = jnp.where(is_high, np.float32(1), np.float32(-1))
    return amplitude * wave, {**annotations, "duty": duty}


@audio_type(annotated=_annotated_pulse)
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
) -> jax.Array:
    """Generate a pulse wave with random frequency, duty cycle and phase.

    The wave is high for the first ``duty`` of each cycle and low for the rest, so its mean is ``2 duty - 1`` times the
    amplitude.

    Args:
        key: Random key; determines the frequency, the duty cycle and the phase.
        n_time_steps: Length in samples.
        sample_rate: Sample rate in Hz.
        f_min: Minimum frequency in Hz, at least 0.
        f_max: Maximum frequency in Hz, at most half the sample rate.
        duty_min: Minimum duty cycle, from 0 to 1.
        duty_max: Maximum duty cycle, from 0 to 1.
        amplitude: Peak of the ideal wave, full scale 1, at least 0. The overshoot of a band-limited wave with few
            harmonics reaches up to twice this value.
        band_limited: True to sum the Fourier series below half the sample rate, with aliases below -100 dB; False to
            sample the ideal wave.

    Returns:
        The waveform, (n_time_steps,) float32. Annotations: ``frequency`` in Hz; ``phase`` of the first sample in
        cycles; ``duty``; ``f0`` (n_time_steps,) in Hz.

    Raises:
        TypeError: When ``band_limited`` is not a bool.
        ValueError: When a range is empty, the band reaches above half the sample rate, or a duty cycle is outside
            [0, 1].

    Example:
        >>> wave = pulse(jax.random.key(0), n_time_steps=1000, sample_rate=16000, band_limited=False)
        >>> sorted(set(wave.tolist()))
        [-0.5, 0.5]

    Reference:
        ``scipy.signal.square(2 pi (f n / sample_rate + phase), duty)``: the difference of two sawtooth waves.
    """
    return _annotated_pulse(key, n_time_steps, sample_rate, f_min, f_max, duty_min, duty_max, amplitude, band_limited)[
        0
    ]


@audio_type(annotated=_annotated_sawtooth)
def sawtooth(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    f_min: float = 200.0,
    f_max: float = 800.0,
    amplitude: float = 0.5,
    band_limited: bool = True,
) -> jax.Array:
    """Generate a rising sawtooth wave with random frequency and phase.

    Args:
        key: Random key; determines the frequency and the phase.
        n_time_steps: Length in samples.
        sample_rate: Sample rate in Hz.
        f_min: Minimum frequency in Hz, at least 0.
        f_max: Maximum frequency in Hz, at most half the sample rate.
        amplitude: Peak of the ideal wave, full scale 1, at least 0. The overshoot of a band-limited wave reaches up to
            1.18 times this value.
        band_limited: True to sum the Fourier series below half the sample rate, with aliases below -100 dB; False to
            sample the ideal wave.

    Returns:
        The waveform, (n_time_steps,) float32. Annotations: ``frequency`` in Hz; ``phase`` of the first sample in cycles
        from the discontinuity; ``f0`` (n_time_steps,) in Hz.

    Raises:
        TypeError: When ``band_limited`` is not a bool.
        ValueError: When the band is empty or reaches above half the sample rate.

    Example:
        >>> wave = sawtooth(jax.random.key(0), n_time_steps=1000, sample_rate=16000)
        >>> wave.shape
        (1000,)

    Reference:
        ``scipy.signal.sawtooth(2 pi (f n / sample_rate + phase))``; for the sum of its series, Stilson and Smith,
        "Alias-free digital synthesis of classic analog waveforms" (1996), integrated in closed form.
    """
    return _annotated_sawtooth(key, n_time_steps, sample_rate, f_min, f_max, amplitude, band_limited)[0]


@audio_type(annotated=_annotated_triangle)
def triangle(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    f_min: float = 200.0,
    f_max: float = 800.0,
    amplitude: float = 0.5,
    band_limited: bool = True,
) -> jax.Array:
    """Generate a triangle wave with random frequency and phase.

    Args:
        key: Random key; determines the frequency and the phase.
        n_time_steps: Length in samples.
        sample_rate: Sample rate in Hz.
        f_min: Minimum frequency in Hz, at least 0.
        f_max: Maximum frequency in Hz, at most half the sample rate.
        amplitude: Peak of the ideal wave, full scale 1, at least 0; a band-limited wave does not exceed it.
        band_limited: True to sum the Fourier series below half the sample rate, with aliases below -100 dB; False to
            sample the ideal wave.

    Returns:
        The waveform, (n_time_steps,) float32. Annotations: ``frequency`` in Hz; ``phase`` of the first sample in cycles
        from the minimum; ``f0`` (n_time_steps,) in Hz.

    Raises:
        TypeError: When ``band_limited`` is not a bool.
        ValueError: When the band is empty or reaches above half the sample rate.

    Example:
        >>> wave = triangle(jax.random.key(0), n_time_steps=1000, sample_rate=16000)
        >>> wave.shape, bool(abs(wave).max() <= 0.5)
        ((1000,), True)

    Reference:
        ``scipy.signal.sawtooth(2 pi (f n / sample_rate + phase), 0.5)``; its series is the integral of that of
        ``square``.
    """
    return _annotated_triangle(key, n_time_steps, sample_rate, f_min, f_max, amplitude, band_limited)[0]


def _draw_phase(key: jax.Array, n_time_steps: int, sample_rate: int, f_min: float, f_max: float) -> AnnotatedAudio:
    """Draw a frequency and a starting phase; return the phase of every sample in cycles, and the annotations."""
    check_band(f_min, f_max, sample_rate)
    frequency_key, phase_key = jax.random.split(key)
    frequency = numerics.uniform(frequency_key, (), minval=f_min, maxval=f_max)
    start = numerics.uniform(phase_key)
    phase = numerics.phase_ramp(frequency, n_time_steps=n_time_steps, sample_rate=sample_rate, start=start)
    return phase, {"frequency": frequency, "phase": start, "f0": jnp.full(n_time_steps, frequency)}
