"""Levels: logarithms of powers and amplitudes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_number
from artifex.generative_models.extensions.audio_processing.spectral.pipeline import check_real

if TYPE_CHECKING:
    from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig

LOGS = ("db", "ln", "log10")


def power_to_db(
    power: ArrayLike, *, ref: ArrayLike = 1.0, amin: float = 1e-10, top_db: float | None = 80.0
) -> jax.Array:
    """Return levels of powers in dB: ``10 log10(power / ref)``.

    Args:
        power: Powers, (..., freq, time) or (time,), non-negative.
        ref: The power that is 0 dB.
        amin: What takes the place of powers below it, above 0.
        top_db: How far below the loudest value of each example (its last two axes) levels may fall, dB; None
            for as far as they fall.

    Returns:
        Levels in dB, in the shape and dtype of ``power``.

    Raises:
        TypeError: When ``power`` is not of a real floating dtype.
        ValueError: When ``amin`` or ``top_db`` is out of range.

    Example:
        >>> power_to_db(jnp.asarray([1.0, 0.1, 0.0])).round(3).tolist()
        [0.0, -10.0, -80.0]

    Reference:
        ``librosa.power_to_db``, which takes the loudest value of the whole array instead.
    """
    power = jnp.asarray(power)
    check_real("power_to_db", power)
    check_number("amin", amin, above=0.0)
    if top_db is not None:
        check_number("top_db", top_db, minimum=0.0, unit="dB")
    level: jax.Array = _power_to_db(power, ref, amin, top_db)
    return level


def amplitude_to_db(
    amplitude: ArrayLike, *, ref: ArrayLike = 1.0, amin: float = 1e-5, top_db: float | None = 80.0
) -> jax.Array:
    """Return levels of amplitudes in dB: ``20 log10(amplitude / ref)``.

    Args:
        amplitude: Amplitudes, (..., freq, time) or (time,), non-negative.
        ref: The amplitude that is 0 dB.
        amin: What takes the place of amplitudes below it, above 0.
        top_db: How far below the loudest value of each example (its last two axes) levels may fall, dB; None
            for as far as they fall.

    Returns:
        Levels in dB, in the shape and dtype of ``amplitude``.

    Raises:
        TypeError: When ``amplitude`` is not of a real floating dtype.
        ValueError: When ``amin`` or ``top_db`` is out of range.

    Example:
        >>> amplitude_to_db(jnp.asarray([1.0, 0.1, 0.0])).round(3).tolist()
        [0.0, -20.0, -80.0]

    Reference:
        ``librosa.amplitude_to_db``, which takes the loudest value of the whole array instead.
    """
    amplitude = jnp.asarray(amplitude)
    check_real("amplitude_to_db", amplitude)
    check_number("amin", amin, above=0.0)
    if top_db is not None:
        check_number("top_db", top_db, minimum=0.0, unit="dB")
    level: jax.Array = _amplitude_to_db(amplitude, ref, amin, top_db)
    return level


def decibels(power: jax.Array, ref: ArrayLike, amin: ArrayLike, top_db: float | None) -> jax.Array:
    """Return levels of powers (..., freq, time) in a working dtype, as ``power_to_db`` does."""
    amin = jnp.maximum(jnp.asarray(amin, power.dtype), np.finfo(power.dtype).tiny)
    level = 10 * jnp.log10(jnp.maximum(power, amin)) - 10 * jnp.log10(jnp.maximum(jnp.asarray(ref, power.dtype), amin))
    if top_db is None:
        return level
    loudest = level.max(axis=tuple(range(-min(2, level.ndim), 0)), keepdims=True)
    return jnp.maximum(level, loudest - top_db)


def level_of(values: jax.Array, config: SpectralConfig) -> jax.Array:
    """Return the logarithm of powers or magnitudes in a working dtype, as configured, before ``top_db``."""
    ref = max(config.ref, config.amin)
    logarithm = jnp.log if config.log == "ln" else jnp.log10
    level: jax.Array = logarithm(jnp.maximum(values, max(config.amin, float(np.finfo(values.dtype).tiny))))
    if ref != 1:
        level = level - float(np.log(ref) if config.log == "ln" else np.log10(ref))
    return 20.0 / config.power * level if config.log == "db" else level


def finished_level(level: jax.Array, config: SpectralConfig) -> jax.Array:
    """Return levels (..., freq, time) no further below the loudest of their example than ``top_db``, then scaled."""
    if config.top_db is not None:
        decades = config.top_db * config.power / 20.0
        reach = {"db": config.top_db, "log10": decades, "ln": decades * float(np.log(10.0))}[config.log]
        level = jnp.maximum(level, level.max(axis=(-2, -1), keepdims=True) - reach)
    if config.level_offset:
        level = level + config.level_offset
    return level if config.level_scale == 1 else level * config.level_scale


@partial(jax.jit, static_argnums=(3,))
def _power_to_db(power: jax.Array, ref: ArrayLike, amin: ArrayLike, top_db: float | None) -> jax.Array:
    return decibels(power.astype(numerics.working_dtype(power.dtype)), ref, amin, top_db).astype(power.dtype)


@partial(jax.jit, static_argnums=(3,))
def _amplitude_to_db(amplitude: jax.Array, ref: ArrayLike, amin: ArrayLike, top_db: float | None) -> jax.Array:
    working = numerics.working_dtype(amplitude.dtype)
    half = None if top_db is None else top_db / 2
    return (2 * decibels(jnp.abs(amplitude.astype(working)), ref, amin, half)).astype(amplitude.dtype)
