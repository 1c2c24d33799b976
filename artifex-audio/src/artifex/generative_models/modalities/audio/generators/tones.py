"""Steady tones."""

from __future__ import annotations

import jax

from artifex.generative_models.core import numerics
from artifex.generative_models.modalities.audio.generators.ranges import check_band


def sine(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    f_min: float = 200.0,
    f_max: float = 800.0,
    amplitude: float = 0.5,
) -> jax.Array:
    """Render a sine wave of a frequency and starting phase drawn uniformly.

    Args:
        key: Decides the frequency and the phase.
        n_time_steps: Length in samples.
        sample_rate: Samples per second, Hz.
        f_min: Lowest frequency, Hz, at least 0.
        f_max: Highest frequency, Hz, at most half the sample rate.
        amplitude: Peak, full scale 1.

    Returns:
        The waveform, (n_time_steps,) float32, precise to 1e-6 of the amplitude at any length.

    Raises:
        ValueError: When the band is empty or reaches above half the sample rate.

    Example:
        >>> tone = sine(jax.random.key(0), n_time_steps=16000, sample_rate=16000)
        >>> tone.shape, round(float(abs(tone).max()), 3)
        ((16000,), 0.5)

    Reference:
        ``amplitude * sin(2 pi (f n / sample_rate + phase))``, n = 0, 1, …
    """
    check_band(f_min, f_max, sample_rate)
    frequency_key, phase_key = jax.random.split(key)
    frequency = numerics.uniform(frequency_key, (), minval=f_min, maxval=f_max)
    phase = numerics.phase_ramp(
        frequency, n_time_steps=n_time_steps, sample_rate=sample_rate, start=numerics.uniform(phase_key)
    )
    return amplitude * numerics.sin2pi(phase)
