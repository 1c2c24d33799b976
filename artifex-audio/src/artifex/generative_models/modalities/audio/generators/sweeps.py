"""Frequency sweeps, and the inverse filter that turns a recorded sweep into an impulse response."""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_choice, check_integer, check_number, check_option
from artifex.generative_models.modalities.audio.annotations import AnnotatedAudio, audio_type
from artifex.generative_models.modalities.audio.generators.parameters import check_band

_METHODS = ("linear", "quadratic", "logarithmic", "hyperbolic")


def _annotated_chirp(
    key: jax.Array, n_time_steps: int, sample_rate: int, f_min: float, f_max: float, amplitude: float, method: str
) -> AnnotatedAudio:
    check_band(f_min, f_max, sample_rate)
    check_choice("method", method, choices=_METHODS)
    check_option("amplitude", amplitude, minimum=0)
    start = numerics.uniform(key)
    if method == "linear":
        phase = numerics.chirp_ramp(f_min, f_max, n_time_steps=n_time_steps, sample_rate=sample_rate, start=start)
        f0 = f_min + (f_max - f_min) * (jnp.arange(n_time_steps, dtype=phase.dtype) / n_time_steps)
    else:
        ramp, f0 = _sweep(method, f_min, f_max, n_time_steps, sample_rate)
        phase = ramp + start
    return amplitude * numerics.sin2pi(phase), {"phase": start, "f0": f0}


@audio_type(annotated=_annotated_chirp)
def chirp(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    f_min: float = 200.0,
    f_max: float = 800.0,
    amplitude: float = 0.5,
    method: str = "linear",
) -> jax.Array:
    """Generate a frequency sweep from ``f_min`` to ``f_max`` with random phase.

    Args:
        key: Random key; determines the phase.
        n_time_steps: Length in samples; the sweep reaches ``f_max`` at the end of the clip.
        sample_rate: Sample rate in Hz.
        f_min: Start frequency in Hz, at least 0, and above 0 for a logarithmic or hyperbolic sweep. Both frequencies may
            be traced if the sweep is linear.
        f_max: End frequency in Hz, at most half the sample rate.
        amplitude: Peak, full scale 1, at least 0.
        method: How the frequency f changes with time: "linear"; "quadratic", which starts with zero slope;
            "logarithmic", with a constant number of octaves per second; "hyperbolic", with 1 / f linear.

    Returns:
        The waveform, (n_time_steps,) float32, accurate to 1e-6 of the amplitude at any length. Annotations: ``phase``
        of the first sample in cycles; ``f0`` (n_time_steps,), the instantaneous frequency in Hz.

    Raises:
        TypeError: When a frequency is not a Python number and the sweep is not linear.
        ValueError: When the band is empty or reaches above half the sample rate, the method is unknown, or ``f_min`` is
            0 for a logarithmic or hyperbolic sweep.

    Example:
        >>> chirp(jax.random.key(0), n_time_steps=8000, sample_rate=16000).shape
        (8000,)

    Reference:
        ``scipy.signal.chirp(t, f_min, n_time_steps / sample_rate, f_max, method)``: the phase is the integral of the
        frequency.
    """
    return _annotated_chirp(key, n_time_steps, sample_rate, f_min, f_max, amplitude, method)[0]


def _annotated_exponential_sweep(
    key: jax.Array,
    n_time_steps: int,
    sample_rate: int,
    f_min: float,
    f_max: float,
    amplitude: float,
    fade: float,
    phase: float | None,
) -> AnnotatedAudio:
    check_band(f_min, f_max, sample_rate)
    check_number("fade", fade, minimum=0, unit="seconds")
    check_option("amplitude", amplitude, minimum=0)
    start = numerics.uniform(key) if phase is None else jnp.asarray(phase, np.float32)
    ramp, f0 = _sweep("logarithmic", f_min, f_max, n_time_steps, sample_rate)
    fade_length = min(fade * sample_rate, n_time_steps / 2)
    position = jnp.arange(n_time_steps, dtype=np.int32)
    distance_to_edge = jnp.minimum(position, n_time_steps - 1 - position).astype(np.float32) + 0.5
    # The squared sine of a quarter cycle is a raised cosine.
    envelope = numerics.sin2pi(jnp.minimum(distance_to_edge / max(fade_length, 0.5), 1) / 4) ** 2
    return amplitude * envelope * numerics.sin2pi(ramp + start), {"phase": start, "f0": f0}


@audio_type(annotated=_annotated_exponential_sweep)
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
) -> jax.Array:
    """Generate an exponential sine sweep for impulse response measurements, faded at both ends.

    The convolution of a recording of the sweep with the sweep's ``inverse_filter`` is the impulse response.

    Args:
        key: Random key; determines the phase.
        n_time_steps: Length in samples; the sweep reaches ``f_max`` at the end of the clip.
        sample_rate: Sample rate in Hz.
        f_min: Start frequency in Hz, above 0; a Python number.
        f_max: End frequency in Hz, at most half the sample rate; a Python number.
        amplitude: Peak, full scale 1, at least 0.
        fade: Length of the raised-cosine fade at each end in seconds, at least 0; limited to half the clip.
        phase: Phase of the first sample in cycles; None draws it uniformly.

    Returns:
        The waveform, (n_time_steps,) float32, accurate to 1e-6 of the amplitude at any length. Annotations: ``phase``
        of the first sample in cycles; ``f0`` (n_time_steps,), the instantaneous frequency in Hz.

    Raises:
        TypeError: When a frequency is not a Python number.
        ValueError: When the band is empty, starts at 0 Hz or reaches above half the sample rate, or ``fade`` is
            negative.

    Example:
        >>> sweep = exponential_sweep(jax.random.key(0), n_time_steps=16000, sample_rate=16000)
        >>> impulse = jax.scipy.signal.fftconvolve(sweep, inverse_filter(sweep, f_min=50.0, f_max=3500.0))
        >>> int(impulse.argmax()), round(float(impulse.max()), 3)
        (15999, 1.0)

    Reference:
        Farina, "Simultaneous measurement of impulse response and distortion with a swept-sine technique" (2000).
    """
    return _annotated_exponential_sweep(key, n_time_steps, sample_rate, f_min, f_max, amplitude, fade, phase)[0]


def inverse_filter(sweep: ArrayLike, *, f_min: float, f_max: float) -> jax.Array:
    """Compute the inverse filter of an exponential sweep: time-reversed and amplitude-compensated.

    The convolution of a sweep with its inverse filter is a band-limited impulse with peak 1 at sample
    ``n_time_steps - 1``. With the defaults of ``exponential_sweep`` at 2 s and 16 kHz, the energy more than 10 ms from
    the peak is 28 dB below the total.

    Args:
        sweep: Waveforms of ``exponential_sweep``, (..., n_time_steps).
        f_min: Start frequency of the sweep in Hz, above 0.
        f_max: End frequency of the sweep in Hz, above 0.

    Returns:
        The filters, (..., n_time_steps), in the dtype of ``sweep``; zeros for a silent sweep.

    Raises:
        ValueError: When a frequency is not above 0.

    Example:
        >>> sweep = exponential_sweep(jax.random.key(0), n_time_steps=400, sample_rate=16000)
        >>> filters = inverse_filter(sweep, f_min=50.0, f_max=3500.0)
        >>> filters.shape, round(float(sweep @ filters[::-1]), 3)
        ((400,), 1.0)

    Reference:
        Farina, "Simultaneous measurement of impulse response and distortion with a swept-sine technique" (2000): a slope
        of 6 dB per octave compensates the longer time that the sweep spends at low frequencies.
    """
    check_option("f_min", f_min, above=0, unit="Hz")
    check_option("f_max", f_max, above=0, unit="Hz")
    sweep = jnp.asarray(sweep)
    working = sweep.astype(numerics.working_dtype(sweep.dtype))
    n_time_steps = sweep.shape[-1]
    position = jnp.arange(n_time_steps, dtype=working.dtype) / max(n_time_steps, 1)
    compensation = jnp.exp(jnp.log(jnp.asarray(f_max / f_min, working.dtype)) * (position - 1))
    weighted = working * jnp.expand_dims(compensation, range(working.ndim - 1))
    peak = jnp.sum(working * weighted, axis=-1, keepdims=True)
    reversed_filters = jnp.where(peak > 0, weighted / jnp.where(peak > 0, peak, 1), 0)
    return reversed_filters[..., ::-1].astype(sweep.dtype)


def _sweep(method: str, f_min: float, f_max: float, n_time_steps: int, sample_rate: int) -> tuple[jax.Array, jax.Array]:
    """Return the phases in cycles and the frequencies in Hz of a nonlinear sweep, (n_time_steps,) each."""
    check_integer("n_time_steps", n_time_steps, minimum=1, unit="samples")
    check_number("f_min", f_min, minimum=0, unit="Hz")
    check_number("f_max", f_max, minimum=0, unit="Hz")
    if method != "quadratic" and f_min == 0:
        raise ValueError(f"f_min must be above 0 Hz for a {method} sweep, got {f_min}")
    phase, frequency = _sweep_table(method, float(f_min), float(f_max), int(n_time_steps), int(sample_rate))
    return jnp.asarray(phase), jnp.asarray(frequency)


# The phases need more bits than float32 has, and unlike those of a linear sweep they have no closed form in integers.
# Only the starting phase is random, so the ramp is a table computed in float64.
@functools.lru_cache(maxsize=8)
def _sweep_table(
    method: str, f_min: float, f_max: float, n_time_steps: int, sample_rate: int
) -> tuple[np.ndarray, np.ndarray]:
    """Compute phases in cycles, wrapped to [-0.5, 0.5], and frequencies in Hz, (n_time_steps,) float32 each."""
    position = np.arange(n_time_steps) / n_time_steps
    duration = n_time_steps / sample_rate
    if f_min == f_max:
        frequency, phase = np.full(n_time_steps, f_min), f_min * duration * position
    elif method == "quadratic":
        frequency = f_min + (f_max - f_min) * position**2
        phase = duration * position * (f_min + (f_max - f_min) * position**2 / 3)
    elif method == "logarithmic":
        log_ratio = math.log(f_max / f_min)
        frequency = f_min * np.exp(log_ratio * position)
        phase = duration * f_min * np.expm1(log_ratio * position) / log_ratio
    else:
        slope = (f_max - f_min) / f_max
        frequency = f_min / (1 - slope * position)
        phase = -duration * f_min * np.log1p(-slope * position) / slope
    tables = (phase - np.round(phase)).astype(np.float32), frequency.astype(np.float32)
    for table in tables:
        table.setflags(write=False)
    return tables
