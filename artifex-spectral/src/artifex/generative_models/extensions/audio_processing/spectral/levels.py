"""Conversion of power and amplitude to levels in dB and other logarithmic units."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_number
from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig
from artifex.generative_models.extensions.audio_processing.spectral.pipeline import check_real


def power_to_db(
    power: ArrayLike, *, ref: ArrayLike = 1.0, amin: float = 1e-10, top_db: float | None = 80.0
) -> jax.Array:
    """Convert power to dB: ``10 log10(power / ref)``.

    Args:
        power: Power, (..., freq, time) or (time,), non-negative.
        ref: Reference power, which is 0 dB: a scalar, or an array that broadcasts against ``power``.
        amin: Minimum power, above 0; smaller values are replaced by it.
        top_db: Maximum distance in dB from the maximum level of each example (its last two axes); lower levels are
            clipped. None for no clipping.

    Returns:
        Levels in dB, in the shape and dtype of ``power``.

    Raises:
        TypeError: If ``power`` is not real floating point, or ``ref`` is a function.
        ValueError: If ``amin`` or ``top_db`` is out of range.

    Example:
        >>> power_to_db(jnp.asarray([1.0, 0.1, 0.0])).round(3).tolist()
        [0.0, -10.0, -80.0]

    Reference:
        ``librosa.power_to_db``, whose ``top_db`` refers to the maximum of the whole array.
    """
    power = jnp.asarray(power)
    check_real("power", power)
    _check_level_options(ref, amin, top_db)
    return _power_to_db(power, ref, amin, top_db=top_db)


def amplitude_to_db(
    amplitude: ArrayLike, *, ref: ArrayLike = 1.0, amin: float = 1e-5, top_db: float | None = 80.0
) -> jax.Array:
    """Convert amplitude to dB: ``20 log10(amplitude / ref)``.

    Args:
        amplitude: Amplitude, (..., freq, time) or (time,), non-negative.
        ref: Reference amplitude, which is 0 dB: a scalar, or an array that broadcasts against ``amplitude``.
        amin: Minimum amplitude, above 0; smaller values are replaced by it.
        top_db: Maximum distance in dB from the maximum level of each example (its last two axes); lower levels are
            clipped. None for no clipping.

    Returns:
        Levels in dB, in the shape and dtype of ``amplitude``.

    Raises:
        TypeError: If ``amplitude`` is not real floating point, or ``ref`` is a function.
        ValueError: If ``amin`` or ``top_db`` is out of range.

    Example:
        >>> amplitude_to_db(jnp.asarray([1.0, 0.1, 0.0])).round(3).tolist()
        [0.0, -20.0, -80.0]

    Reference:
        ``librosa.amplitude_to_db``, whose ``top_db`` refers to the maximum of the whole array.
    """
    amplitude = jnp.asarray(amplitude)
    check_real("amplitude", amplitude)
    _check_level_options(ref, amin, top_db)
    return _amplitude_to_db(amplitude, ref, amin, top_db=top_db)


def decibels(power: jax.Array, ref: ArrayLike, amin: ArrayLike, top_db: float | None) -> jax.Array:
    """Convert float32 or float64 power (..., freq, time) to dB, as ``power_to_db`` does."""
    amin = jnp.maximum(jnp.asarray(amin, power.dtype), np.finfo(power.dtype).tiny)
    reference = jnp.maximum(jnp.asarray(ref, power.dtype), amin)
    if reference.ndim:
        reference = reference.reshape((1,) * (power.ndim - reference.ndim) + reference.shape)
    level = 10 * jnp.log10(jnp.maximum(power, amin)) - 10 * jnp.log10(reference)
    if top_db is None:
        return level
    maximum = level.max(axis=tuple(range(-min(2, level.ndim), 0)), keepdims=True)
    return jnp.maximum(level, maximum - top_db)


def frame_levels(values: jax.Array, config: SpectralConfig) -> jax.Array:
    """Compute the levels of power or magnitude in the unit of a configuration, before ``top_db``.

    Args:
        values: Power, or magnitude if ``config.power`` is 1, float32 or float64.
        config: Analysis configuration.

    Returns:
        Levels of the same shape.
    """
    ref = max(config.ref, config.amin)
    logarithm = jnp.log if config.log == "ln" else jnp.log10
    level: jax.Array = logarithm(jnp.maximum(values, max(config.amin, float(np.finfo(values.dtype).tiny))))
    if ref != 1:
        level = level - float(np.log(ref) if config.log == "ln" else np.log10(ref))
    return 20.0 / config.power * level if config.log == "db" else level


def clip_and_scale_levels(level: jax.Array, config: SpectralConfig) -> jax.Array:
    """Apply ``top_db``, ``level_offset`` and ``level_scale`` of a configuration.

    Args:
        level: Levels, (..., freq, time), float32 or float64.
        config: Analysis configuration.

    Returns:
        Levels of the same shape.
    """
    if config.top_db is not None:
        level = jnp.maximum(level, level.max(axis=(-2, -1), keepdims=True) - db_to_unit(config.top_db, config))
    if config.level_offset:
        level = level + config.level_offset
    return level if config.level_scale == 1 else level * config.level_scale


def level_unit(config: SpectralConfig) -> str:
    """Return the unit of the log-mel levels of a configuration, for tables and plots."""
    unit = {"db": "dB", "ln": "natural log", "log10": "log10"}[config.log]
    return f"{unit}, rescaled" if config.level_scale != 1 or config.level_offset else unit


def db_to_unit(difference: float, config: SpectralConfig) -> float:
    """Convert a difference of levels in dB to the unit of a configuration."""
    decades = difference * config.power / 20.0
    return {"db": difference, "log10": decades, "ln": decades * float(np.log(10.0))}[config.log]


def _check_level_options(ref: ArrayLike, amin: float, top_db: float | None) -> None:
    if callable(ref):
        raise TypeError("ref must be a number or an array, got a function; pass its value, for example ref=power.max()")
    check_number("amin", amin, above=0.0)
    if top_db is not None:
        check_number("top_db", top_db, minimum=0.0, unit="dB")


@numerics.jit(static_argnames=["top_db"])
def _power_to_db(power: jax.Array, ref: ArrayLike, amin: ArrayLike, *, top_db: float | None) -> jax.Array:
    return decibels(power.astype(numerics.working_dtype(power.dtype)), ref, amin, top_db).astype(power.dtype)


@numerics.jit(static_argnames=["top_db"])
def _amplitude_to_db(amplitude: jax.Array, ref: ArrayLike, amin: ArrayLike, *, top_db: float | None) -> jax.Array:
    working = numerics.working_dtype(amplitude.dtype)
    half = None if top_db is None else top_db / 2
    return (2 * decibels(jnp.abs(amplitude.astype(working)), ref, amin, half)).astype(amplitude.dtype)
