"""Noise."""

from __future__ import annotations

import jax

from artifex.generative_models.core import numerics


def noise(key: jax.Array, *, n_time_steps: int, sample_rate: int, amplitude: float = 0.3) -> jax.Array:
    """Render white Gaussian noise.

    Args:
        key: Decides the samples.
        n_time_steps: Length in samples.
        sample_rate: Samples per second, Hz; the spectrum is flat up to half of it.
        amplitude: Standard deviation, full scale 1. Some samples lie above full scale: 1 in 1 200 at 0.3.

    Returns:
        The waveform, (n_time_steps,) float32.

    Example:
        >>> round(float(noise(jax.random.key(0), n_time_steps=16000, sample_rate=16000).std()), 2)
        0.3

    Reference:
        ``amplitude * jax.random.normal(key, (n_time_steps,))``, bit for bit.
    """
    return amplitude * numerics.normal(key, (n_time_steps,))
