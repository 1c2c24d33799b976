"""Tones whose frequency moves."""

from __future__ import annotations

import jax

from artifex.generative_models.core import numerics
from artifex.generative_models.modalities.audio.generators.ranges import check_band


def chirp(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    f_min: float = 200.0,
    f_max: float = 800.0,
    amplitude: float = 0.5,
) -> jax.Array:
    """Render a linear sweep from ``f_min`` up to ``f_max`` with a starting phase drawn uniformly.

    Args:
        key: Decides the phase.
        n_time_steps: Length in samples; the sweep reaches ``f_max`` at its end.
        sample_rate: Samples per second, Hz.
        f_min: Frequency at the start, Hz, at least 0.
        f_max: Frequency at the end, Hz, at most half the sample rate.
        amplitude: Peak, full scale 1.

    Returns:
        The waveform, (n_time_steps,) float32.

    Raises:
        ValueError: When the band is empty or reaches above half the sample rate.

    Example:
        >>> chirp(jax.random.key(0), n_time_steps=8000, sample_rate=16000).shape
        (8000,)

    Reference:
        ``scipy.signal.chirp(t, f_min, n_time_steps / sample_rate, f_max)``: the phase is the integral of the frequency.
    """
    check_band(f_min, f_max, sample_rate)
    phase = numerics.chirp_ramp(
        f_min, f_max, n_time_steps=n_time_steps, sample_rate=sample_rate, start=numerics.uniform(key)
    )
    return amplitude * numerics.sin2pi(phase)
