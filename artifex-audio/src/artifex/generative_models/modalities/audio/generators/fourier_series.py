"""Sawtooth, square and triangle waves as Fourier series that end below half the sample rate.

The first M terms of the series of a sawtooth or a square wave sum to the integral of the Dirichlet kernel
sin(m t) / sin(t), with m = 2 M + 1 or m = 2 M, from 0 to half a cycle or a quarter of a cycle. With
1 / sin(t) = 1 / t + g(t), it equals the sine integral of m t plus, by integration by parts, g and its derivatives over
powers of m. The cost is the same for a thousand harmonics as for ten, and the frequency may be traced. A few harmonics
are summed one by one, because the expansion in 1 / m is accurate for large m only.
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from artifex.generative_models.core import numerics

_FEW_TERMS = 8  # up to this many terms are summed one by one
# Only inaudible fundamental frequencies have more harmonics, and float32 represents odd numbers up to about this limit.
_MAX_HARMONICS = 2.0**20
_SINE_INTEGRAL_SPLIT = 4.0  # power series below, auxiliary functions above


def count_harmonics(frequency: jax.Array, sample_rate: int) -> jax.Array:
    """Return the number of harmonics below half the sample rate.

    Args:
        frequency: Fundamental frequency in Hz, a scalar; may be traced.
        sample_rate: Sample rate in Hz.

    Returns:
        The number, a float32 scalar, at most 2**20.

    Example:
        >>> count_harmonics(jnp.float32(440.0), 16000).item()
        18.0
    """
    nyquist = np.float32(sample_rate / 2)
    return jnp.ceil(nyquist / jnp.maximum(frequency, nyquist / np.float32(_MAX_HARMONICS))) - 1


def sawtooth_series(phase: jax.Array, n_harmonics: jax.Array) -> jax.Array:
    """Compute a band-limited rising sawtooth with peak 1.

    Args:
        phase: Phase in cycles from the discontinuity, (time,), from -0.5 to 0.5.
        n_harmonics: Number of harmonics, a float scalar.

    Returns:
        The waveform, (time,).

    Example:
        >>> round(sawtooth_series(jnp.full(1, 0.25), jnp.float32(101.0)).item(), 2)
        -0.5
    """
    first = numerics.sin2pi(phase)
    few = _sum_terms(first, jnp.zeros_like(first), 2 * numerics.cos2pi(phase), n_harmonics, range(1, _FEW_TERMS + 1), 1)
    m = 2 * jnp.maximum(n_harmonics, _FEW_TERMS + 1) + 1
    distance = jnp.abs(phase)
    many = _integrate_kernel(m, np.float32(np.pi) * distance, m * distance / 2) - np.float32(np.pi) * distance
    series = jnp.where(n_harmonics > _FEW_TERMS, jnp.where(phase < 0, -many, many), few)
    return np.float32(-2 / np.pi) * series


def square_series(phase: jax.Array, n_harmonics: jax.Array) -> jax.Array:
    """Compute a band-limited square wave with peak 1.

    Args:
        phase: Phase in cycles from the rising edge, (time,), from -0.5 to 0.5.
        n_harmonics: Number of harmonics, a float scalar; only odd harmonics are present.

    Returns:
        The waveform, (time,).

    Example:
        >>> round(square_series(jnp.full(1, 0.25), jnp.float32(101.0)).item(), 2)
        1.01
    """
    n_terms = jnp.floor((n_harmonics + 1) / 2)
    first = numerics.sin2pi(phase)
    few = _sum_terms(first, -first, 2 * numerics.cos2pi(2 * phase), n_terms, range(1, 2 * _FEW_TERMS, 2), 1)
    m = 2 * jnp.maximum(n_terms, _FEW_TERMS + 1)
    distance = jnp.minimum(jnp.abs(phase), 0.5 - jnp.abs(phase))
    many = _integrate_kernel(m, np.float32(2 * np.pi) * distance, m * distance) / 2
    series = jnp.where(n_terms > _FEW_TERMS, jnp.where(phase < 0, -many, many), few)
    return np.float32(4 / np.pi) * series


def triangle_series(phase: jax.Array, n_harmonics: jax.Array) -> jax.Array:
    """Compute a band-limited triangle wave with peak 1.

    Args:
        phase: Phase in cycles from the minimum, (time,), from -0.5 to 0.5.
        n_harmonics: Number of harmonics, a float scalar; only odd harmonics are present.

    Returns:
        The waveform, (time,).

    Example:
        >>> round(triangle_series(jnp.full(1, 0.125), jnp.float32(101.0)).item(), 2)
        -0.5
    """
    n_terms = jnp.floor((n_harmonics + 1) / 2)
    first = numerics.cos2pi(phase)
    few = _sum_terms(first, first, 2 * numerics.cos2pi(2 * phase), n_terms, range(1, 2 * _FEW_TERMS, 2), 2)
    m = 2 * jnp.maximum(n_terms, _FEW_TERMS + 1)
    distance = jnp.minimum(jnp.abs(phase), 0.5 - jnp.abs(phase))
    quarter = jnp.full((1,), 0.25, phase.dtype)
    at_quarter, at_phase = (
        _integrate_kernel_twice(m, np.float32(2 * np.pi) * position, m * position) for position in (quarter, distance)
    )
    many = (at_quarter - at_phase) / 2
    series = jnp.where(n_terms > _FEW_TERMS, jnp.where(jnp.abs(phase) > 0.25, -many, many), few)
    return np.float32(-8 / np.pi**2) * series


def _sum_terms(
    first: jax.Array, previous: jax.Array, factor: jax.Array, n_terms: jax.Array, orders: range, power: int
) -> jax.Array:
    """Sum up to ``_FEW_TERMS`` harmonics divided by powers of their orders, by Chebyshev's recurrence.

    A harmonic is ``factor`` times the one before it minus the one before that.
    """
    total, term = jnp.zeros_like(first), first
    for i, order in enumerate(orders):
        total = total + jnp.where(i < n_terms, term / order**power, 0)
        previous, term = term, factor * term - previous
    return total


def _integrate_kernel(m: jax.Array, u: jax.Array, cycles: jax.Array) -> jax.Array:
    """Integrate sin(m t) / sin(t) from 0 to u in [0, pi / 2]; ``cycles`` is ``m u / (2 pi)``."""
    sine, cosine = numerics.sin2pi(cycles), numerics.cos2pi(cycles)
    g, dg, ddg, dddg = _cosecant_remainder(u)
    by_parts = (sine * (dg - dddg / m**2) / m - cosine * (g - ddg / m**2)) / m
    return _sine_integral(m * u, sine, cosine) + by_parts


def _integrate_kernel_twice(m: jax.Array, u: jax.Array, cycles: jax.Array) -> jax.Array:
    """Integrate ``_integrate_kernel`` from 0 to u, up to a constant."""
    sine, cosine = numerics.sin2pi(cycles), numerics.cos2pi(cycles)
    g, dg, ddg, dddg = _cosecant_remainder(u)
    by_parts = (sine * (3 * ddg / m**2 - g) + cosine * (4 * dddg / m**2 - 2 * dg) / m) / m**2
    return u * _sine_integral(m * u, sine, cosine) + cosine / m + by_parts


def _cosecant_remainder(u: jax.Array) -> tuple[jax.Array, ...]:
    """Compute 1 / sin(u) - 1 / u and its first three derivatives, u in [0, pi / 2]."""
    u_squared = u * u
    g, dg, ddg, dddg = (_polynomial(coefficients, u_squared) for coefficients in _cosecant_coefficients())
    return u * g, dg, u * ddg, dddg


def _sine_integral(z: jax.Array, sine: jax.Array, cosine: jax.Array) -> jax.Array:
    """Integrate sin(t) / t from 0 to z >= 0, given the sine and the cosine of z."""
    near, f, g = _sine_integral_coefficients()
    small = jnp.minimum(z, _SINE_INTEGRAL_SPLIT)
    inverse = 1 / jnp.maximum(z, _SINE_INTEGRAL_SPLIT)
    scaled = (_SINE_INTEGRAL_SPLIT * inverse) ** 2
    auxiliary = cosine * _polynomial(f, scaled) + sine * inverse * _polynomial(g, scaled)
    large = np.float32(np.pi / 2) - inverse * auxiliary
    return jnp.where(z < _SINE_INTEGRAL_SPLIT, small * _polynomial(near, small * small), large)


def _polynomial(coefficients: tuple[float, ...], x: jax.Array) -> jax.Array:
    """Evaluate a polynomial, lowest power first."""
    value = jnp.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * x + coefficient
    return value


def _fit_polynomial(values: np.ndarray, x: np.ndarray, degree: int) -> np.polynomial.Polynomial:
    """Fit at Chebyshev points, which is within a few percent of the minimax polynomial."""
    return np.polynomial.Chebyshev.fit(x, values, degree).convert(kind=np.polynomial.Polynomial)


def _chebyshev_points(low: float, high: float, count: int) -> np.ndarray:
    return (low + high) / 2 + (high - low) / 2 * np.cos((np.arange(count) + 0.5) * np.pi / count)


@functools.lru_cache
def _cosecant_coefficients() -> tuple[tuple[float, ...], ...]:
    """Polynomials in u**2 of g(u) = 1 / sin(u) - 1 / u and its derivatives; the odd ones are divided by u."""
    u = _chebyshev_points(1e-3, np.pi / 2, 200)
    even = _fit_polynomial((1 / np.sin(u) - 1 / u) / u, u * u, 7).coef
    g = np.polynomial.Polynomial(np.stack([np.zeros_like(even), even], axis=1).ravel())
    derivatives = [g.deriv(order).coef if order else g.coef for order in range(4)]
    return tuple(
        tuple(float(c) for c in coefficients[1 - order % 2 :: 2]) for order, coefficients in enumerate(derivatives)
    )


@functools.lru_cache
def _sine_integral_coefficients() -> tuple[tuple[float, ...], ...]:
    """The power series of Si(z) / z, and polynomials of the auxiliary functions z f(z) and z**2 g(z) for large z.

    f and g are the Laplace transforms of 1 / (1 + t**2) and t / (1 + t**2).
    """
    near = tuple((-1.0) ** k / ((2 * k + 1) * math.factorial(2 * k + 1)) for k in range(11))
    nodes, weights = np.polynomial.laguerre.laggauss(120)
    scaled = _chebyshev_points(0, 1, 200)
    integrand = 1 / (1 + nodes**2 * (scaled[:, None] / _SINE_INTEGRAL_SPLIT**2))
    f, g = (_fit_polynomial(integrand @ w, scaled, 8).coef for w in (weights, weights * nodes))
    return near, tuple(map(float, f)), tuple(map(float, g))
