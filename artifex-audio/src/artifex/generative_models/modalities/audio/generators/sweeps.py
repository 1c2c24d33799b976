"""Tones whose frequency moves from one end of a band to the other, and what turns a recorded one into an impulse."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_choice, check_integer, check_number
from artifex.generative_models.modalities.audio.annotations import annotated
from artifex.generative_models.modalities.audio.ranges import check_band, settled

_METHODS = ("linear", "quadratic", "logarithmic", "hyperbolic")


@annotated
def chirp(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    f_min: float = 200.0,
    f_max: float = 800.0,
    amplitude: float = 0.5,
    method: str = "linear",
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Render a sweep from ``f_min`` up to ``f_max`` with a starting phase drawn uniformly.

    Args:
        key: Decides the phase.
        n_time_steps: Length in samples; the sweep reaches ``f_max`` at its end.
        sample_rate: Samples per second, Hz.
        f_min: Frequency at the start, Hz, at least 0, and above 0 for a logarithmic or hyperbolic sweep. It and
            ``f_max`` may be traced where the sweep is linear.
        f_max: Frequency at the end, Hz, at most half the sample rate.
        amplitude: Peak, full scale 1.
        method: How the frequency f moves in time: "linear"; "quadratic", slowly at first; "logarithmic", by the same
            number of octaves in each second; "hyperbolic", 1 / f linearly.

    Returns:
        The waveform, (n_time_steps,) float32, precise to 1e-6 of the amplitude at any length. Annotations: ``phase``,
        that of the first sample in cycles; ``f0`` (n_time_steps,), the frequency at each sample.

    Raises:
        TypeError: When a frequency is no Python number and the sweep not linear.
        ValueError: When the band is empty or reaches above half the sample rate, the method is unknown, or ``f_min`` is
            0 where it cannot be.

    Example:
        >>> chirp(jax.random.key(0), n_time_steps=8000, sample_rate=16000).shape
        (8000,)

    Reference:
        ``scipy.signal.chirp(t, f_min, n_time_steps / sample_rate, f_max, method)``: the phase is the integral of the
        frequency.
    """
    check_band(f_min, f_max, sample_rate)
    check_choice("method", method, choices=_METHODS)
    start = numerics.uniform(key)
    if method == "linear":
        phase = numerics.chirp_ramp(f_min, f_max, n_time_steps=n_time_steps, sample_rate=sample_rate, start=start)
        frequency = f_min + (f_max - f_min) * (jnp.arange(n_time_steps, dtype=phase.dtype) / n_time_steps)
    else:
        ramp, frequency = _swept(method, f_min, f_max, n_time_steps, sample_rate)
        phase = ramp + start
    return settled("amplitude", amplitude, minimum=0) * numerics.sin2pi(phase), {"phase": start, "f0": frequency}


@annotated
def exponential_sweep(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    f_min: float = 50.0,
    f_max: float = 3500.0,
    amplitude: float = 0.5,
    fade: float = 0.01,
    phase: float | None = None,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Render the sweep that measures rooms and devices: exponential in time, faded at both ends.

    What was recorded of it, convolved with its ``inverse_filter``, is the impulse response.

    Args:
        key: Decides the phase.
        n_time_steps: Length in samples; the sweep reaches ``f_max`` at its end.
        sample_rate: Samples per second, Hz.
        f_min: Frequency at the start, Hz, above 0. A Python number, as ``f_max`` is.
        f_max: Frequency at the end, Hz, at most half the sample rate.
        amplitude: Peak, full scale 1.
        fade: Length of the raised-cosine fade at either end in seconds, at least 0; at most half the clip is faded in.
        phase: That of the first sample in cycles; None draws it uniformly.

    Returns:
        The waveform, (n_time_steps,) float32, precise to 1e-6 of the amplitude at any length. Annotations: ``phase``,
        that of the first sample in cycles; ``f0`` (n_time_steps,), the frequency at each sample.

    Raises:
        TypeError: When a frequency is no Python number.
        ValueError: When the band is empty, starts at 0 or reaches above half the sample rate, or ``fade`` is below 0.

    Example:
        >>> sweep = exponential_sweep(jax.random.key(0), n_time_steps=16000, sample_rate=16000)
        >>> impulse = jax.scipy.signal.fftconvolve(sweep, inverse_filter(sweep, f_min=50.0, f_max=3500.0))
        >>> int(impulse.argmax()), round(float(impulse.max()), 3)
        (15999, 1.0)

    Reference:
        Farina, "Simultaneous measurement of impulse response and distortion with a swept-sine technique" (2000).
    """
    check_band(f_min, f_max, sample_rate)
    check_number("fade", fade, minimum=0, unit="seconds")
    drawn = numerics.uniform(key) if phase is None else jnp.asarray(phase, np.float32)
    ramp, frequency = _swept("logarithmic", f_min, f_max, n_time_steps, sample_rate)
    length = min(fade * sample_rate, n_time_steps / 2)
    place = jnp.arange(n_time_steps, dtype=np.float32) + 0.5
    inward = jnp.minimum(place, n_time_steps - place)
    # sin^2 of a quarter cycle is the raised cosine.
    envelope = numerics.sin2pi(jnp.minimum(inward / max(length, 0.5), 1) / 4) ** 2
    return settled("amplitude", amplitude, minimum=0) * envelope * numerics.sin2pi(ramp + drawn), {
        "phase": drawn,
        "f0": frequency,
    }


def inverse_filter(sweep: jax.Array, *, f_min: float, f_max: float) -> jax.Array:
    """Give the filter that makes an impulse of an exponential sweep: the sweep reversed, its lows raised no more.

    A sweep convolved with it is a band-limited impulse of height 1 at sample ``n_time_steps - 1``. With the defaults
    of ``exponential_sweep`` at 2 s and 16 kHz, all but -28 dB of the energy lies within 10 ms of it.

    Args:
        sweep: What ``exponential_sweep`` gave, (..., n_time_steps).
        f_min: Its frequency at the start, Hz, above 0.
        f_max: Its frequency at the end, Hz.

    Returns:
        The filter, (..., n_time_steps), in the dtype of ``sweep``; zeros where the sweep is silent.

    Raises:
        ValueError: When a frequency is not above 0.

    Example:
        >>> sweep = exponential_sweep(jax.random.key(0), n_time_steps=400, sample_rate=16000)
        >>> filters = inverse_filter(sweep, f_min=50.0, f_max=3500.0)
        >>> filters.shape, round(float(sweep @ filters[::-1]), 3)
        ((400,), 1.0)

    Reference:
        Farina, "Simultaneous measurement of impulse response and distortion with a swept-sine technique" (2000): 6 dB
        per octave make up for the time that the sweep spends in the lower ones.
    """
    for name, frequency in (("f_min", f_min), ("f_max", f_max)):
        if not isinstance(frequency, jax.Array):
            check_number(name, frequency, above=0, unit="Hz")
    sweep = jnp.asarray(sweep)
    working = sweep.astype(numerics.working_dtype(sweep.dtype))
    n_time_steps = sweep.shape[-1]
    share = jnp.arange(n_time_steps, dtype=working.dtype) / max(n_time_steps, 1)
    weighted = working * jnp.exp(jnp.log(jnp.asarray(f_max / f_min, working.dtype)) * (share - 1))
    height = jnp.sum(working * weighted, axis=-1, keepdims=True)
    filters: jax.Array = jnp.where(height > 0, weighted / jnp.where(height > 0, height, 1), 0)[..., ::-1]
    return filters.astype(sweep.dtype)


def _swept(method: str, f_min: Any, f_max: Any, n_time_steps: int, sample_rate: int) -> tuple[jax.Array, jax.Array]:
    check_integer("n_time_steps", n_time_steps, minimum=1, unit="samples")
    check_number("f_min", f_min, minimum=0, unit="Hz")
    check_number("f_max", f_max, minimum=0, unit="Hz")
    if method != "quadratic" and f_min == 0:
        raise ValueError(f"a {method} sweep starts above 0 Hz, got f_min={f_min}")
    phase, frequency = _sweep_table(method, float(f_min), float(f_max), int(n_time_steps), int(sample_rate))
    return jnp.asarray(phase), jnp.asarray(frequency)


# The phase of these needs more bits than a float32 has, and no closed form in integers is at hand as for the linear one;
# nothing but the starting phase is drawn, so the whole ramp is a table.
@functools.lru_cache(maxsize=8)
def _sweep_table(
    method: str, f_min: float, f_max: float, n_time_steps: int, sample_rate: int
) -> tuple[np.ndarray, np.ndarray]:
    """Give phases in cycles, wrapped, and frequencies in Hz, (n_time_steps,) float32 each."""
    share = np.arange(n_time_steps) / n_time_steps
    seconds = n_time_steps / sample_rate
    octaves = math.log(f_max / f_min) if method != "quadratic" else 0.0
    if f_min == f_max:
        frequency, phase = np.full(n_time_steps, f_min), f_min * seconds * share
    elif method == "quadratic":
        frequency = f_min + (f_max - f_min) * share**2
        phase = seconds * share * (f_min + (f_max - f_min) * share**2 / 3)
    elif method == "logarithmic":
        frequency = f_min * np.exp(octaves * share)
        phase = seconds * f_min * np.expm1(octaves * share) / octaves
    else:
        bend = (f_max - f_min) / f_max
        frequency = f_min / (1 - bend * share)
        phase = -seconds * f_min * np.log1p(-bend * share) / bend
    tables = (phase - np.round(phase)).astype(np.float32), frequency.astype(np.float32)
    for table in tables:
        table.setflags(write=False)
    return tables
