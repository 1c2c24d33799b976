"""Sirens."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_number
from artifex.generative_models.modalities.audio.annotations import audio_type


def annotated_ambulance(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    f_min: float,
    f_max: float,
    interval: float,
    hold: float,
    amplitude: float,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Render the siren, and its annotation ``f0`` (n_time_steps,) in Hz."""
    check_number("interval", interval, above=0)
    check_number("hold", hold, minimum=1 / sample_rate, unit="seconds")
    if not 0 <= f_min <= f_max or f_max * max(interval, 1) > sample_rate / 2:
        raise ValueError(
            f"0 <= f_min <= f_max must hold, and both tones must be at most {sample_rate / 2} Hz (half the sample rate), "
            f"got f_min={f_min}, f_max={f_max}, interval={interval}"
        )
    tone_key, phase_key, start_key = jax.random.split(key, 3)
    low = numerics.uniform(tone_key, (), minval=f_min, maxval=f_max)
    n_hold = round(hold * sample_rate)
    start = numerics.randint(start_key, (), 0, 2 * n_hold)

    # The phase of each tone is exact after any number of samples: take it at the number of samples for which that tone
    # has sounded so far.
    n = jnp.arange(n_time_steps)
    n_low = _n_low_samples(start + n, n_hold) - _n_low_samples(start, n_hold)
    tones = jnp.stack([low, low * interval])
    phases = numerics.phase_ramp(tones, n_time_steps=n_time_steps, sample_rate=sample_rate)
    phase = phases[0, n_low] + phases[1, n - n_low] + numerics.uniform(phase_key)
    is_low = (start + n) % (2 * n_hold) < n_hold
    return amplitude * numerics.sin2pi(phase), {"f0": jnp.where(is_low, tones[0], tones[1])}


@audio_type(annotated=annotated_ambulance)
def ambulance(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    f_min: float = 400.0,
    f_max: float = 500.0,
    interval: float = 4 / 3,
    hold: float = 0.6,
    amplitude: float = 0.5,
) -> jax.Array:
    """Render the two-tone siren of an ambulance, with continuous phase, from a random position in its pattern.

    Args:
        key: PRNG key.
        n_time_steps: Length in samples.
        sample_rate: Sample rate in Hz.
        f_min: Minimum frequency of the low tone in Hz, at least 0; drawn uniformly.
        f_max: Maximum frequency of the low tone in Hz.
        interval: Frequency ratio of the high tone to the low tone, above 0; 4/3 is a perfect fourth.
        hold: Duration of each tone in seconds, at least one sample.
        amplitude: Peak amplitude; full scale is 1.

    Returns:
        The waveform (n_time_steps,), float32, accurate to 1e-6 of the amplitude at any length.

    Raises:
        ValueError: If a tone may be above half the sample rate, or an option is out of range.

    Example:
        >>> audio = ambulance(jax.random.key(0), n_time_steps=16000, sample_rate=16000)
        >>> audio.shape, round(float(abs(audio).max()), 3)
        ((16000,), 0.5)

    Reference:
        DIN 14610, the siren of German emergency vehicles: two tones a perfect fourth apart.
    """
    return annotated_ambulance(
        key,
        n_time_steps=n_time_steps,
        sample_rate=sample_rate,
        f_min=f_min,
        f_max=f_max,
        interval=interval,
        hold=hold,
        amplitude=amplitude,
    )[0]


def _n_low_samples(position: jax.Array, n_hold: int) -> jax.Array:
    """Count the samples of the low tone, which starts the pattern, before a position in the pattern."""
    return position // (2 * n_hold) * n_hold + jnp.minimum(position % (2 * n_hold), n_hold)
