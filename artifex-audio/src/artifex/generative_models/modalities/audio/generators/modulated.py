"""Tones that are modulated in level or pitch."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_choice
from artifex.generative_models.modalities.audio.annotations import annotated
from artifex.generative_models.modalities.audio.generators.partials import check_reach, drawn
from artifex.generative_models.modalities.audio.ranges import check_band, settled


@annotated
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
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Render a sine wave whose amplitude another sine wave modulates; all their parameters are drawn uniformly.

    Args:
        key: Decides carrier, modulator, depth and both phases.
        n_time_steps: Length in samples.
        sample_rate: Samples per second, Hz.
        f_min: Lowest carrier frequency, Hz, at least 0.
        f_max: Highest carrier frequency, Hz; ``f_max + rate_max`` is at most half the sample rate.
        rate_min: Lowest frequency of the modulator, Hz, at least 0.
        rate_max: Highest frequency of the modulator, Hz.
        depth_min: Least depth, a share of the carrier from 0 to 1.
        depth_max: Greatest depth, a share of the carrier from 0 to 1.
        amplitude: Peak of the modulated wave, full scale 1.

    Returns:
        The waveform, (n_time_steps,) float32.

        Annotations: ``f0`` (n_time_steps,) the carrier in Hz; ``envelope`` (n_time_steps,); scalars ``frequency`` and
        ``phase`` (cycles) of the carrier at the first sample, ``rate`` (Hz) and ``rate_phase`` (cycles) of the
        modulator, ``depth``.

    Raises:
        ValueError: When an option is out of its range, or the upper sideband above half the sample rate.

    Example:
        >>> am(jax.random.key(0), n_time_steps=8000, sample_rate=16000).shape
        (8000,)

    Reference:
        ``amplitude / (1 + depth) * (1 + depth * sin(2 pi (rate t + rate_phase))) * sin(2 pi (frequency t + phase))``:
        the sidebands at ``frequency ± rate`` have ``depth / 2`` of the carrier's amplitude.
    """
    check_band(f_min, f_max, sample_rate)
    f_key, phase_key, rate_key, rate_phase_key, depth_key = jax.random.split(key, 5)
    frequency = drawn(f_key, "f", f_min, f_max, minimum=0, unit="Hz")
    rate = drawn(rate_key, "rate", rate_min, rate_max, minimum=0, unit="Hz")
    depth = drawn(depth_key, "depth", depth_min, depth_max, minimum=0, maximum=1)
    check_reach("f_max + rate_max", f_max + rate_max, sample_rate)
    settled("amplitude", amplitude, minimum=0, unit="full scale")
    phase, rate_phase = numerics.uniform(phase_key), numerics.uniform(rate_phase_key)
    span = {"n_time_steps": n_time_steps, "sample_rate": sample_rate}
    modulator = numerics.sin2pi(numerics.phase_ramp(rate, start=rate_phase, **span))
    envelope = amplitude / (1 + depth) * (1 + depth * modulator)
    audio = envelope * numerics.sin2pi(numerics.phase_ramp(frequency, start=phase, **span))
    return audio, {
        "f0": jnp.full(n_time_steps, frequency),
        "envelope": envelope,
        "frequency": frequency,
        "phase": phase,
        "rate": rate,
        "rate_phase": rate_phase,
        "depth": depth,
    }


@annotated
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
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Render a sine wave whose frequency a cosine modulates; all their parameters are drawn uniformly.

    Args:
        key: Decides carrier, modulator, index and both phases.
        n_time_steps: Length in samples.
        sample_rate: Samples per second, Hz.
        f_min: Lowest carrier frequency, Hz, at least 0.
        f_max: Highest carrier frequency, Hz; ``f_max + (index_max + 1) * rate_max``, Carson's bandwidth, is at most
            half the sample rate.
        rate_min: Lowest frequency of the modulator, Hz, at least 0.
        rate_max: Highest frequency of the modulator, Hz.
        index_min: Least modulation index, the peak deviation over the modulator's frequency, a ratio of at least 0.
        index_max: Greatest modulation index.
        amplitude: Peak, full scale 1.

    Returns:
        The waveform, (n_time_steps,) float32, precise to 1e-6 of the amplitude per unit of index at any length.

        Annotations: ``f0`` (n_time_steps,) the instantaneous frequency in Hz, ``frequency + index * rate * cos(…)``,
        negative where the phase turns backward; scalars ``frequency`` and ``phase`` (cycles) of the carrier, ``rate``
        (Hz) and ``rate_phase`` (cycles) of the modulator, ``index``.

    Raises:
        ValueError: When an option is out of its range, or the upper sidebands above half the sample rate.

    Example:
        >>> fm(jax.random.key(0), n_time_steps=8000, sample_rate=16000).shape
        (8000,)

    Reference:
        J. M. Chowning, "The synthesis of complex audio spectra by means of frequency modulation", JAES 21 (1973): the
        sidebands at ``frequency + n * rate`` have the amplitudes of the Bessel functions ``J_n(index)``.
    """
    check_band(f_min, f_max, sample_rate)
    f_key, phase_key, rate_key, rate_phase_key, index_key = jax.random.split(key, 5)
    frequency = drawn(f_key, "f", f_min, f_max, minimum=0, unit="Hz")
    rate = drawn(rate_key, "rate", rate_min, rate_max, minimum=0, unit="Hz")
    index = drawn(index_key, "index", index_min, index_max, minimum=0)
    check_reach("f_max + (index_max + 1) * rate_max", f_max + (index_max + 1) * rate_max, sample_rate)
    settled("amplitude", amplitude, minimum=0, unit="full scale")
    phase, rate_phase = numerics.uniform(phase_key), numerics.uniform(rate_phase_key)
    span = {"n_time_steps": n_time_steps, "sample_rate": sample_rate}
    modulator = numerics.phase_ramp(rate, start=rate_phase, **span)
    carrier = numerics.phase_ramp(frequency, start=phase, **span)
    audio = amplitude * numerics.sin2pi(carrier + index * np.float32(1 / (2 * np.pi)) * numerics.sin2pi(modulator))
    return audio, {
        "f0": frequency + index * rate * numerics.cos2pi(modulator),
        "frequency": frequency,
        "phase": phase,
        "rate": rate,
        "rate_phase": rate_phase,
        "index": index,
    }


@annotated
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
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Render a sine wave whose pitch sways, sinusoidally in cents; all parameters are drawn uniformly.

    Args:
        key: Decides pitch, phase, and rate, phase and depth of the vibrato.
        n_time_steps: Length in samples.
        sample_rate: Samples per second, Hz.
        f_min: Lowest frequency in the middle of the vibrato, Hz, at least 0.
        f_max: Highest frequency in the middle of the vibrato, Hz; raised by ``depth_max`` it is at most half the sample
            rate.
        rate_min: Slowest vibrato, Hz, above 0.
        rate_max: Fastest vibrato, Hz.
        depth_min: Least deviation to either side, cents (hundredths of a semitone), from 0 to 1200.
        depth_max: Greatest deviation to either side, cents, from 0 to 1200.
        amplitude: Peak, full scale 1.

    Returns:
        The waveform, (n_time_steps,) float32.

        Annotations: ``f0`` (n_time_steps,) the instantaneous frequency in Hz,
        ``frequency * 2 ** (depth_cents / 1200 * sin(2 pi (rate t + rate_phase)))``; scalars ``frequency``, ``phase``
        (cycles) at the first sample, ``rate`` (Hz), ``rate_phase`` (cycles), ``depth_cents``.

    Raises:
        ValueError: When an option is out of its range, or the highest pitch above half the sample rate.

    Example:
        >>> vibrato(jax.random.key(0), n_time_steps=8000, sample_rate=16000).shape
        (8000,)

    Reference:
        The phase is the integral of the frequency, term by term of the Jacobi-Anger expansion of ``exp(a sin(x))`` (DLMF
        10.35), whose coefficients are the modified Bessel functions ``I_k(a)``.
    """
    check_band(f_min, f_max, sample_rate)
    f_key, phase_key, rate_key, rate_phase_key, depth_key = jax.random.split(key, 5)
    frequency = drawn(f_key, "f", f_min, f_max, minimum=0, unit="Hz")
    rate = drawn(rate_key, "rate", rate_min, rate_max, above=0, unit="Hz")
    depth = drawn(depth_key, "depth", depth_min, depth_max, minimum=0, maximum=1200, unit="cents")
    if not isinstance(depth_max, jax.Array):
        check_reach("f_max raised by depth_max", f_max * 2 ** (depth_max / 1200), sample_rate)
    settled("amplitude", amplitude, minimum=0, unit="full scale")
    phase, rate_phase = numerics.uniform(phase_key), numerics.uniform(rate_phase_key)
    span = {"n_time_steps": n_time_steps, "sample_rate": sample_rate}
    bend = depth * np.float32(np.log(2) / 1200)
    position = numerics.phase_ramp(rate, start=rate_phase, **span)

    angles = 2 * np.pi * np.arange(_N_ANGLES) / _N_ANGLES
    waves = np.cos(angles[:, None] * np.arange(_N_TERMS)) / _N_ANGLES
    swing = jnp.expm1(bend * np.cos(angles, dtype=np.float32))
    bessel = jnp.sum(swing[:, None] * waves.astype(np.float32), axis=0)
    terms = bessel[1:] * (1 / (np.pi * np.arange(1, _N_TERMS))).astype(np.float32)

    def deviation(cycles: jax.Array) -> jax.Array:
        """Cycles that the swaying adds, times rate / frequency: Clenshaw's sum of the terms' sines."""
        twice, later, last = 2 * numerics.sin2pi(cycles), jnp.zeros_like(cycles), jnp.zeros_like(cycles)
        for term in terms[::-1]:
            later, last = term + twice * later - last, later
        return -later * numerics.cos2pi(cycles)

    swayed = frequency / rate * (deviation(position) - deviation(rate_phase))
    # The mean is a little above the middle; as one number it would be rounded by too much for a minute's phase.
    above = numerics.phase_ramp(frequency * bessel[0], **span)
    audio = amplitude * numerics.sin2pi(numerics.phase_ramp(frequency, start=phase, **span) + above + swayed)
    return audio, {
        "f0": frequency * jnp.exp(bend * numerics.sin2pi(position)),
        "frequency": frequency,
        "phase": phase,
        "rate": rate,
        "rate_phase": rate_phase,
        "depth_cents": depth,
    }


# Up to an octave to either side the terms that are left out, and what so few angles mix up, are below 1e-9.
_N_TERMS = 9
_N_ANGLES = 24


@annotated
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
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Render a sine wave whose level sways, sinusoidally in dB; all parameters are drawn uniformly.

    Args:
        key: Decides pitch, phase, and rate, phase and depth of the tremolo.
        n_time_steps: Length in samples.
        sample_rate: Samples per second, Hz.
        f_min: Lowest frequency, Hz, at least 0.
        f_max: Highest frequency, Hz, at most half the sample rate.
        rate_min: Slowest tremolo, Hz, at least 0.
        rate_max: Fastest tremolo, Hz.
        depth_min: Least difference between loudest and softest, dB, at least 0.
        depth_max: Greatest difference between loudest and softest, dB.
        amplitude: Peak where it is loudest, full scale 1.

    Returns:
        The waveform, (n_time_steps,) float32.

        Annotations: ``f0`` (n_time_steps,) in Hz; ``envelope`` (n_time_steps,); scalars ``frequency``, ``phase``
        (cycles) at the first sample, ``rate`` (Hz), ``rate_phase`` (cycles), ``depth_db``.

    Raises:
        ValueError: When an option is out of its range, or the band above half the sample rate.

    Example:
        >>> tremolo(jax.random.key(0), n_time_steps=8000, sample_rate=16000).shape
        (8000,)

    Reference:
        ``envelope * sin(2 pi (frequency t + phase))`` with
        ``envelope = amplitude * 10 ** (depth_db / 40 * (sin(2 pi (rate t + rate_phase)) - 1))``.
    """
    check_band(f_min, f_max, sample_rate)
    f_key, phase_key, rate_key, rate_phase_key, depth_key = jax.random.split(key, 5)
    frequency = drawn(f_key, "f", f_min, f_max, minimum=0, unit="Hz")
    rate = drawn(rate_key, "rate", rate_min, rate_max, minimum=0, unit="Hz")
    depth = drawn(depth_key, "depth", depth_min, depth_max, minimum=0, unit="dB")
    settled("amplitude", amplitude, minimum=0, unit="full scale")
    phase, rate_phase = numerics.uniform(phase_key), numerics.uniform(rate_phase_key)
    span = {"n_time_steps": n_time_steps, "sample_rate": sample_rate}
    sway = numerics.sin2pi(numerics.phase_ramp(rate, start=rate_phase, **span))
    envelope = amplitude * jnp.exp(depth * np.float32(np.log(10) / 40) * (sway - 1))
    audio = envelope * numerics.sin2pi(numerics.phase_ramp(frequency, start=phase, **span))
    return audio, {
        "f0": jnp.full(n_time_steps, frequency),
        "envelope": envelope,
        "frequency": frequency,
        "phase": phase,
        "rate": rate,
        "rate_phase": rate_phase,
        "depth_db": depth,
    }


@annotated
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
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Render a siren between two pitches, swept up and down or switched; all parameters are drawn uniformly.

    Args:
        key: Decides both pitches, the rate, the share of the rise, where in its cycle it begins, and the phase.
        n_time_steps: Length in samples.
        sample_rate: Samples per second, Hz.
        shape: ``"swept"`` rises and falls linearly, ``"two_tone"`` jumps with an unbroken phase.
        low_min: Lowest of the lower pitch, Hz, at least 0.
        low_max: Highest of the lower pitch, Hz.
        high_min: Lowest of the upper pitch, Hz, at least ``low_max``.
        high_max: Highest of the upper pitch, Hz, at most half the sample rate.
        rate_min: Fewest cycles per second, Hz, above 0.
        rate_max: Most cycles per second, Hz.
        rise_min: Least share of a cycle in which the pitch rises (``"swept"``) or is the upper one
            (``"two_tone"``), from 0.01 to 0.99.
        rise_max: Greatest such share.
        amplitude: Peak, full scale 1.

    Returns:
        The waveform, (n_time_steps,) float32. Its phase is off by up to 3e-8 cycles times ``(high - low) / rate``, at
        any length.

        Annotations: ``f0`` (n_time_steps,) the instantaneous frequency in Hz; scalars ``low``, ``high`` and ``rate``
        (Hz), ``rise``, ``rate_phase`` (where in its cycle the siren begins) and ``phase`` (of the wave), in cycles.

    Raises:
        ValueError: When an option is out of its range, or a pitch above half the sample rate.

    Example:
        >>> siren(jax.random.key(0), n_time_steps=8000, sample_rate=16000, shape="two_tone").shape
        (8000,)

    Reference:
        The phase is the integral of the frequency: the mean frequency's ramp, and what the cycle adds to it.
    """
    check_choice("shape", shape, choices=("swept", "two_tone"))
    check_band(low_min, low_max, sample_rate)
    check_band(high_min, high_max, sample_rate)
    low_key, high_key, rate_key, rise_key, position_key, phase_key = jax.random.split(key, 6)
    low = drawn(low_key, "low", low_min, low_max, minimum=0, unit="Hz")
    high = drawn(high_key, "high", high_min, high_max, minimum=0, unit="Hz")
    if not isinstance(low_max, jax.Array) and not isinstance(high_min, jax.Array) and low_max > high_min:
        raise ValueError(f"low_max must not exceed high_min (Hz), got {low_max} and {high_min}")
    rate = drawn(rate_key, "rate", rate_min, rate_max, above=0, unit="Hz")
    rise = drawn(rise_key, "rise", rise_min, rise_max, minimum=0.01, maximum=0.99)
    settled("amplitude", amplitude, minimum=0, unit="full scale")
    rate_phase, phase = numerics.uniform(position_key), numerics.uniform(phase_key)
    span: dict[str, Any] = {"n_time_steps": n_time_steps, "sample_rate": sample_rate}
    range_, fall = high - low, 1 - rise

    def in_cycle(cycles: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The frequency above the lower pitch, and the integral over the cycle of it less its mean, as shares."""
        place = jnp.where(cycles < 0, cycles + 1, cycles)
        rising, after = place < rise, place - rise
        if shape == "two_tone":
            return jnp.where(rising, 1.0, 0.0), jnp.where(rising, fall * place, rise * (1 - place))
        up, down = place / rise, after / fall
        return jnp.where(rising, up, 1 - down), jnp.where(rising, place * (up - 1), after * (1 - down)) / 2

    height, gained = in_cycle(numerics.phase_ramp(rate, start=rate_phase, **span))
    share = rise if shape == "two_tone" else 0.5
    mean = numerics.phase_ramp(low * (1 - share), start=phase, **span) + numerics.phase_ramp(high * share, **span)
    bent = range_ / rate * (gained - in_cycle(rate_phase)[1])
    audio = amplitude * numerics.sin2pi(mean + bent)
    return audio, {
        "f0": low * (1 - height) + high * height,
        "low": low,
        "high": high,
        "rate": rate,
        "rise": rise,
        "rate_phase": rate_phase,
        "phase": phase,
    }
