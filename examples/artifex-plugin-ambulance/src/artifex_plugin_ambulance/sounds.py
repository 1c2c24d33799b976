"""Sirens."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_number


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
    """Render the two-tone siren of an ambulance that starts anywhere in its pattern; the phase goes on where the tone changes.

    Args:
        key: Decides the low tone, the phase, and where in the pattern it starts.
        n_time_steps: Length in samples.
        sample_rate: Samples per second, Hz.
        f_min: Least frequency of the low tone, Hz, at least 0.
        f_max: Greatest frequency of the low tone, Hz.
        interval: Frequency of the high tone over that of the low one, above 0; a fourth is 4/3.
        hold: How long each tone is held, seconds, at least one sample.
        amplitude: Peak, full scale 1.

    Returns:
        The waveform, (n_time_steps,) float32, precise to 1e-6 of the amplitude at any length.

    Raises:
        ValueError: When a tone may lie above half the sample rate, or an option is out of range.

    Example:
        >>> sound = ambulance(jax.random.key(0), n_time_steps=16000, sample_rate=16000)
        >>> sound.shape, round(float(abs(sound).max()), 3)
        ((16000,), 0.5)

    Reference:
        DIN 14610, the two tones a fourth apart of German emergency vehicles.
    """
    check_number("interval", interval, above=0)
    check_number("hold", hold, minimum=1 / sample_rate, unit="seconds")
    if not 0 <= f_min <= f_max or f_max * max(interval, 1) > sample_rate / 2:
        raise ValueError(
            f"the low tone lies from f_min to f_max, and with interval {interval} both tones within 0 to "
            f"{sample_rate / 2} Hz, half the sample rate; got f_min={f_min}, f_max={f_max}"
        )
    tone_key, phase_key, place_key = jax.random.split(key, 3)
    low = numerics.uniform(tone_key, (), minval=f_min, maxval=f_max)
    held = round(hold * sample_rate)
    begin = numerics.randint(place_key, (), 0, 2 * held)

    # Each tone's phase is exact after any number of samples, so it is looked up at the number that it has
    # sounded for.
    step = jnp.arange(n_time_steps)
    on_low = _sounded(begin + step, held) - _sounded(begin, held)
    tones = jnp.stack([low, low * interval])
    phases = numerics.phase_ramp(tones, n_time_steps=n_time_steps, sample_rate=sample_rate)
    phase = phases[0, on_low] + phases[1, step - on_low] + numerics.uniform(phase_key)
    return amplitude * numerics.sin2pi(phase)


def _sounded(step: jax.Array, held: int) -> jax.Array:
    """For how many of the samples before ``step`` the low tone sounded, which begins the pattern."""
    return step // (2 * held) * held + jnp.minimum(step % (2 * held), held)
