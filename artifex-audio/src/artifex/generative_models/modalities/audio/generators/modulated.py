"""Tones with modulated amplitude or frequency."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_choice, check_option, is_jax_array
from artifex.generative_models.modalities.audio.annotations import AnnotatedAudio, audio_type
from artifex.generative_models.modalities.audio.generators.parameters import (
    check_band,
    check_below_nyquist,
    draw_uniform,
)

# Bessel coefficients of a vibrato of up to an octave: with this many terms and sampled angles, the errors by truncation
# and aliasing are below 1e-9.
_N_BESSEL_TERMS = 9
_N_BESSEL_ANGLES = 24


def _annotated_am(
    key: jax.Array,
    n_time_steps: int,
    sample_rate: int,
    f_min: float,
    f_max: float,
    rate_min: float,
    rate_max: float,
    depth_min: float,
    depth_max: float,
    amplitude: float,
) -> AnnotatedAudio:
    check_option("amplitude", amplitude, minimum=0, unit="full scale")
    drawn, depth_key = _draw_carrier_and_modulator(key, f_min, f_max, rate_min, rate_max, sample_rate)
    depth = draw_uniform(depth_key, "depth", depth_min, depth_max, minimum=0, maximum=1)
    check_below_nyquist("f_max + rate_max", f_max + rate_max, sample_rate)
    modulator = _sine(drawn["rate"], drawn["rate_phase"], n_time_steps, sample_rate)
    envelope = amplitude / (1 + depth) * (1 + depth * modulator)
    audio = envelope * _sine(drawn["frequency"], drawn["phase"], n_time_steps, sample_rate)
    return audio, {"f0": jnp.full(n_time_steps, drawn["frequency"]), "envelope": envelope, **drawn, "depth": depth}


@audio_type(annotated=_annotated_am)
def am(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    f_min: float = 400.0,
    f_max: float = 1600.0,
    rate_min: float = 20.0,
    rate_max: float = 120.0,
    depth_min: float = 0.2,
    depth_max: float = 1.0,
    amplitude: float = 0.5,
) -> jax.Array:
    """Generate a sine wave with sinusoidal amplitude modulation and random parameters.

    Args:
        key: Random key; determines carrier, modulator, depth and both phases.
        n_time_steps: Length in samples.
        sample_rate: Sample rate in Hz.
        f_min: Minimum carrier frequency in Hz, at least 0.
        f_max: Maximum carrier frequency in Hz; ``f_max + rate_max`` must be at most half the sample rate.
        rate_min: Minimum modulation frequency in Hz, at least 0.
        rate_max: Maximum modulation frequency in Hz.
        depth_min: Minimum modulation depth, from 0 to 1.
        depth_max: Maximum modulation depth, from 0 to 1.
        amplitude: Maximum of the envelope, full scale 1, at least 0.

    Returns:
        The waveform, (n_time_steps,) float32.

        Annotations: ``f0`` (n_time_steps,), the carrier frequency in Hz; ``envelope`` (n_time_steps,); scalars
        ``frequency`` in Hz and ``phase`` in cycles of the carrier, ``rate`` in Hz and ``rate_phase`` in cycles of the
        modulator, both at the first sample, ``depth``.

    Raises:
        ValueError: When an option is out of range, or the upper sideband is above half the sample rate.

    Example:
        >>> am(jax.random.key(0), n_time_steps=8000, sample_rate=16000).shape
        (8000,)

    Reference:
        ``amplitude / (1 + depth) * (1 + depth * sin(2 pi (rate t + rate_phase))) * sin(2 pi (frequency t + phase))``:
        the sidebands at ``frequency ± rate`` have ``depth / 2`` times the amplitude of the carrier.
    """
    return _annotated_am(
        key, n_time_steps, sample_rate, f_min, f_max, rate_min, rate_max, depth_min, depth_max, amplitude
    )[0]


def _annotated_fm(
    key: jax.Array,
    n_time_steps: int,
    sample_rate: int,
    f_min: float,
    f_max: float,
    rate_min: float,
    rate_max: float,
    index_min: float,
    index_max: float,
    amplitude: float,
) -> AnnotatedAudio:
    check_option("amplitude", amplitude, minimum=0, unit="full scale")
    drawn, index_key = _draw_carrier_and_modulator(key, f_min, f_max, rate_min, rate_max, sample_rate)
    frequency, rate = drawn["frequency"], drawn["rate"]
    index = draw_uniform(index_key, "index", index_min, index_max, minimum=0)
    check_below_nyquist("f_max + (index_max + 1) * rate_max", f_max + (index_max + 1) * rate_max, sample_rate)
    ramp = partial(numerics.phase_ramp, n_time_steps=n_time_steps, sample_rate=sample_rate)
    modulator, carrier = ramp(rate, start=drawn["rate_phase"]), ramp(frequency, start=drawn["phase"])
    audio = amplitude * numerics.sin2pi(carrier + index * np.float32(1 / (2 * np.pi)) * numerics.sin2pi(modulator))
    return audio, {"f0": frequency + index * rate * numerics.cos2pi(modulator), **drawn, "index": index}


@audio_type(annotated=_annotated_fm)
def fm(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    f_min: float = 500.0,
    f_max: float = 1500.0,
    rate_min: float = 2.0,
    rate_max: float = 50.0,
    index_min: float = 0.5,
    index_max: float = 5.0,
    amplitude: float = 0.5,
) -> jax.Array:
    """Generate a sine wave with sinusoidal frequency modulation and random parameters.

    Args:
        key: Random key; determines carrier, modulator, modulation index and both phases.
        n_time_steps: Length in samples.
        sample_rate: Sample rate in Hz.
        f_min: Minimum carrier frequency in Hz, at least 0.
        f_max: Maximum carrier frequency in Hz; ``f_max + (index_max + 1) * rate_max`` (Carson's bandwidth) must be at
            most half the sample rate.
        rate_min: Minimum modulation frequency in Hz, at least 0.
        rate_max: Maximum modulation frequency in Hz.
        index_min: Minimum modulation index (peak frequency deviation over modulation frequency), at least 0.
        index_max: Maximum modulation index.
        amplitude: Peak, full scale 1, at least 0.

    Returns:
        The waveform, (n_time_steps,) float32, accurate to 1e-6 of the amplitude per unit of index at any length.

        Annotations: ``f0`` (n_time_steps,), the instantaneous frequency in Hz,
        ``frequency + index * rate * cos(2 pi (rate t + rate_phase))``, which is negative where the phase decreases;
        scalars ``frequency`` in Hz and ``phase`` in cycles of the carrier, ``rate`` in Hz and ``rate_phase`` in cycles
        of the modulator, ``index``.

    Raises:
        ValueError: When an option is out of range, or the upper sidebands are above half the sample rate.

    Example:
        >>> fm(jax.random.key(0), n_time_steps=8000, sample_rate=16000).shape
        (8000,)

    Reference:
        J. M. Chowning, "The synthesis of complex audio spectra by means of frequency modulation", JAES 21 (1973): the
        amplitudes of the sidebands at ``frequency + n * rate`` are the Bessel functions ``J_n(index)``.
    """
    return _annotated_fm(
        key, n_time_steps, sample_rate, f_min, f_max, rate_min, rate_max, index_min, index_max, amplitude
    )[0]


def _annotated_vibrato(
    key: jax.Array,
    n_time_steps: int,
    sample_rate: int,
    f_min: float,
    f_max: float,
    rate_min: float,
    rate_max: float,
    depth_min: float,
    depth_max: float,
    amplitude: float,
) -> AnnotatedAudio:
    check_option("amplitude", amplitude, minimum=0, unit="full scale")
    drawn, depth_key = _draw_carrier_and_modulator(key, f_min, f_max, rate_min, rate_max, sample_rate, rate_above=0)
    frequency, rate, rate_phase = drawn["frequency"], drawn["rate"], drawn["rate_phase"]
    depth = draw_uniform(depth_key, "depth", depth_min, depth_max, minimum=0, maximum=1200, unit="cents")
    if not is_jax_array(depth_max):
        check_below_nyquist("f_max raised by depth_max", f_max * 2 ** (depth_max / 1200), sample_rate)
    log_depth = depth * np.float32(np.log(2) / 1200)
    ramp = partial(numerics.phase_ramp, n_time_steps=n_time_steps, sample_rate=sample_rate)
    modulator = ramp(rate, start=rate_phase)

    # Coefficients I_k(log_depth) of exp(log_depth * cos(x)) - 1, by a discrete Fourier transform.
    angles = 2 * np.pi * np.arange(_N_BESSEL_ANGLES) / _N_BESSEL_ANGLES
    cosines = np.cos(angles[:, None] * np.arange(_N_BESSEL_TERMS)) / _N_BESSEL_ANGLES
    frequency_ratio = jnp.expm1(log_depth * np.cos(angles, dtype=np.float32))
    bessel = jnp.sum(frequency_ratio[:, None] * cosines.astype(np.float32), axis=0)
    terms = bessel[1:] * (1 / (np.pi * np.arange(1, _N_BESSEL_TERMS))).astype(np.float32)

    def deviation(cycles: jax.Array) -> jax.Array:
        """Return the phase deviation in cycles times rate / frequency: a sine series, summed by Clenshaw's recurrence."""
        twice, later, last = 2 * numerics.sin2pi(cycles), jnp.zeros_like(cycles), jnp.zeros_like(cycles)
        for term in terms[::-1]:
            later, last = term + twice * later - last, later
        return -later * numerics.cos2pi(cycles)

    phase_deviation = frequency / rate * (deviation(modulator) - deviation(rate_phase))
    # The mean frequency is slightly above ``frequency``. As one float32 their sum would be too inaccurate for the phase
    # of a one-minute clip, so the difference has its own ramp.
    mean_phase = ramp(frequency, start=drawn["phase"]) + ramp(frequency * bessel[0])
    audio = amplitude * numerics.sin2pi(mean_phase + phase_deviation)
    return audio, {"f0": frequency * jnp.exp(log_depth * numerics.sin2pi(modulator)), **drawn, "depth_cents": depth}


@audio_type(annotated=_annotated_vibrato)
def vibrato(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    f_min: float = 200.0,
    f_max: float = 800.0,
    rate_min: float = 4.0,
    rate_max: float = 8.0,
    depth_min: float = 20.0,
    depth_max: float = 100.0,
    amplitude: float = 0.5,
) -> jax.Array:
    """Generate a sine wave with vibrato, sinusoidal in cents, and random parameters.

    Args:
        key: Random key; determines frequency and phase, and the rate, phase and depth of the vibrato.
        n_time_steps: Length in samples.
        sample_rate: Sample rate in Hz.
        f_min: Minimum center frequency in Hz, at least 0.
        f_max: Maximum center frequency in Hz; raised by ``depth_max`` it must be at most half the sample rate.
        rate_min: Minimum vibrato rate in Hz, above 0.
        rate_max: Maximum vibrato rate in Hz.
        depth_min: Minimum peak deviation in cents (hundredths of a semitone), from 0 to 1200.
        depth_max: Maximum peak deviation in cents, from 0 to 1200.
        amplitude: Peak, full scale 1, at least 0.

    Returns:
        The waveform, (n_time_steps,) float32.

        Annotations: ``f0`` (n_time_steps,), the instantaneous frequency in Hz,
        ``frequency * 2 ** (depth_cents / 1200 * sin(2 pi (rate t + rate_phase)))``; scalars ``frequency`` in Hz,
        ``phase`` at the first sample in cycles, ``rate`` in Hz, ``rate_phase`` in cycles, ``depth_cents``.

    Raises:
        ValueError: When an option is out of range, or the maximum frequency is above half the sample rate.

    Example:
        >>> vibrato(jax.random.key(0), n_time_steps=8000, sample_rate=16000).shape
        (8000,)

    Reference:
        The phase is the integral of the frequency, term by term of the Jacobi-Anger expansion of ``exp(a sin(x))``
        (DLMF 10.35), whose coefficients are the modified Bessel functions ``I_k(a)``.
    """
    return _annotated_vibrato(
        key, n_time_steps, sample_rate, f_min, f_max, rate_min, rate_max, depth_min, depth_max, amplitude
    )[0]


def _annotated_tremolo(
    key: jax.Array,
    n_time_steps: int,
    sample_rate: int,
    f_min: float,
    f_max: float,
    rate_min: float,
    rate_max: float,
    depth_min: float,
    depth_max: float,
    amplitude: float,
) -> AnnotatedAudio:
    check_option("amplitude", amplitude, minimum=0, unit="full scale")
    drawn, depth_key = _draw_carrier_and_modulator(key, f_min, f_max, rate_min, rate_max, sample_rate)
    depth = draw_uniform(depth_key, "depth", depth_min, depth_max, minimum=0, unit="dB")
    modulator = _sine(drawn["rate"], drawn["rate_phase"], n_time_steps, sample_rate)
    envelope = amplitude * jnp.exp(depth * np.float32(np.log(10) / 40) * (modulator - 1))
    audio = envelope * _sine(drawn["frequency"], drawn["phase"], n_time_steps, sample_rate)
    return audio, {"f0": jnp.full(n_time_steps, drawn["frequency"]), "envelope": envelope, **drawn, "depth_db": depth}


@audio_type(annotated=_annotated_tremolo)
def tremolo(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    f_min: float = 200.0,
    f_max: float = 800.0,
    rate_min: float = 4.0,
    rate_max: float = 8.0,
    depth_min: float = 3.0,
    depth_max: float = 12.0,
    amplitude: float = 0.5,
) -> jax.Array:
    """Generate a sine wave with tremolo, sinusoidal in dB, and random parameters.

    Args:
        key: Random key; determines frequency and phase, and the rate, phase and depth of the tremolo.
        n_time_steps: Length in samples.
        sample_rate: Sample rate in Hz.
        f_min: Minimum frequency in Hz, at least 0.
        f_max: Maximum frequency in Hz, at most half the sample rate.
        rate_min: Minimum tremolo rate in Hz, at least 0.
        rate_max: Maximum tremolo rate in Hz.
        depth_min: Minimum difference between the highest and the lowest level in dB, at least 0.
        depth_max: Maximum difference between the highest and the lowest level in dB.
        amplitude: Maximum of the envelope, full scale 1, at least 0.

    Returns:
        The waveform, (n_time_steps,) float32.

        Annotations: ``f0`` (n_time_steps,) in Hz; ``envelope`` (n_time_steps,); scalars ``frequency`` in Hz, ``phase``
        at the first sample in cycles, ``rate`` in Hz, ``rate_phase`` in cycles, ``depth_db``.

    Raises:
        ValueError: When an option is out of range, or the band reaches above half the sample rate.

    Example:
        >>> tremolo(jax.random.key(0), n_time_steps=8000, sample_rate=16000).shape
        (8000,)

    Reference:
        ``envelope * sin(2 pi (frequency t + phase))`` with
        ``envelope = amplitude * 10 ** (depth_db / 40 * (sin(2 pi (rate t + rate_phase)) - 1))``.
    """
    return _annotated_tremolo(
        key, n_time_steps, sample_rate, f_min, f_max, rate_min, rate_max, depth_min, depth_max, amplitude
    )[0]


def _annotated_siren(
    key: jax.Array,
    n_time_steps: int,
    sample_rate: int,
    shape: str,
    low_min: float,
    low_max: float,
    high_min: float,
    high_max: float,
    rate_min: float,
    rate_max: float,
    rise_min: float,
    rise_max: float,
    amplitude: float,
) -> AnnotatedAudio:
    check_choice("shape", shape, choices=("swept", "two_tone"))
    check_band(low_min, low_max, sample_rate, ("low_min", "low_max"))
    check_band(high_min, high_max, sample_rate, ("high_min", "high_max"))
    if not is_jax_array(low_max) and not is_jax_array(high_min) and low_max > high_min:
        raise ValueError(f"low_max must be at most high_min, got low_max = {low_max} Hz, high_min = {high_min} Hz")
    check_option("amplitude", amplitude, minimum=0, unit="full scale")
    low_key, high_key, rate_key, rise_key, position_key, phase_key = jax.random.split(key, 6)
    low = draw_uniform(low_key, "low", low_min, low_max, minimum=0, unit="Hz")
    high = draw_uniform(high_key, "high", high_min, high_max, minimum=0, unit="Hz")
    rate = draw_uniform(rate_key, "rate", rate_min, rate_max, above=0, unit="Hz")
    rise = draw_uniform(rise_key, "rise", rise_min, rise_max, minimum=0.01, maximum=0.99)
    rate_phase, phase = numerics.uniform(position_key), numerics.uniform(phase_key)
    span, fall = high - low, 1 - rise

    def shape_and_integral(cycles: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return the relative frequency, 0 for low and 1 for high, and the integral of its deviation from the mean."""
        position = jnp.where(cycles < 0, cycles + 1, cycles)
        is_rising, since_peak = position < rise, position - rise
        if shape == "two_tone":
            height = jnp.where(is_rising, np.float32(1), np.float32(0))
            return height, jnp.where(is_rising, fall * position, rise * (1 - position))
        up, down = position / rise, since_peak / fall
        return jnp.where(is_rising, up, 1 - down), jnp.where(
            is_rising, position * (up - 1), since_peak * (1 - down)
        ) / 2

    ramp = partial(numerics.phase_ramp, n_time_steps=n_time_steps, sample_rate=sample_rate)
    height, integral = shape_and_integral(ramp(rate, start=rate_phase))
    mean_height = rise if shape == "two_tone" else 0.5
    mean_phase = ramp(low * (1 - mean_height), start=phase) + ramp(high * mean_height)
    phase_deviation = span / rate * (integral - shape_and_integral(rate_phase)[1])
    audio = amplitude * numerics.sin2pi(mean_phase + phase_deviation)
    return audio, {
        "f0": low * (1 - height) + high * height,
        "low": low,
        "high": high,
        "rate": rate,
        "rise": rise,
        "rate_phase": rate_phase,
        "phase": phase,
    }


@audio_type(annotated=_annotated_siren)
def siren(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    shape: str = "swept",
    low_min: float = 400.0,
    low_max: float = 700.0,
    high_min: float = 900.0,
    high_max: float = 1500.0,
    rate_min: float = 0.5,
    rate_max: float = 3.0,
    rise_min: float = 0.3,
    rise_max: float = 0.7,
    amplitude: float = 0.5,
) -> jax.Array:
    """Generate a siren that alternates between two frequencies, with random parameters.

    Args:
        key: Random key; determines both frequencies, the rate, the fraction of the rise, the position in the cycle and
            the phase.
        n_time_steps: Length in samples.
        sample_rate: Sample rate in Hz.
        shape: ``"swept"`` rises and falls linearly; ``"two_tone"`` switches with a continuous phase.
        low_min: Minimum of the lower frequency in Hz, at least 0.
        low_max: Maximum of the lower frequency in Hz.
        high_min: Minimum of the upper frequency in Hz, at least ``low_max``.
        high_max: Maximum of the upper frequency in Hz, at most half the sample rate.
        rate_min: Minimum number of cycles per second, above 0.
        rate_max: Maximum number of cycles per second.
        rise_min: Minimum fraction of a cycle in which the frequency rises (``"swept"``) or is the upper one
            (``"two_tone"``), from 0.01 to 0.99.
        rise_max: Maximum of that fraction.
        amplitude: Peak, full scale 1, at least 0.

    Returns:
        The waveform, (n_time_steps,) float32. The error of its phase is at most 3e-8 cycles times
        ``(high - low) / rate``, at any length.

        Annotations: ``f0`` (n_time_steps,), the instantaneous frequency in Hz; scalars ``low``, ``high`` and ``rate``
        in Hz, ``rise``, ``rate_phase`` (position in the siren's cycle) and ``phase`` (of the waveform) at the first
        sample in cycles.

    Raises:
        ValueError: When an option is out of range, or a frequency is above half the sample rate.

    Example:
        >>> siren(jax.random.key(0), n_time_steps=8000, sample_rate=16000, shape="two_tone").shape
        (8000,)

    Reference:
        The phase is the integral of the frequency: the ramp of the mean frequency plus a periodic deviation.
    """
    frequencies = low_min, low_max, high_min, high_max
    cycle = rate_min, rate_max, rise_min, rise_max
    return _annotated_siren(key, n_time_steps, sample_rate, shape, *frequencies, *cycle, amplitude)[0]


def _draw_carrier_and_modulator(
    key: jax.Array,
    f_min: float,
    f_max: float,
    rate_min: float,
    rate_max: float,
    sample_rate: int,
    rate_above: float | None = None,
) -> tuple[dict[str, jax.Array], jax.Array]:
    """Draw frequencies in Hz and phases in cycles; return them by the names of their annotations, and an unused key."""
    check_band(f_min, f_max, sample_rate)
    f_key, phase_key, rate_key, rate_phase_key, unused_key = jax.random.split(key, 5)
    drawn = {
        "frequency": draw_uniform(f_key, "f", f_min, f_max, minimum=0, unit="Hz"),
        "phase": numerics.uniform(phase_key),
        "rate": draw_uniform(rate_key, "rate", rate_min, rate_max, minimum=0, above=rate_above, unit="Hz"),
        "rate_phase": numerics.uniform(rate_phase_key),
    }
    return drawn, unused_key


def _sine(frequency: jax.Array, phase: jax.Array, n_time_steps: int, sample_rate: int) -> jax.Array:
    return numerics.sin2pi(
        numerics.phase_ramp(frequency, n_time_steps=n_time_steps, sample_rate=sample_rate, start=phase)
    )
