"""The A, B, C, D and Z weightings of frequency, and levels under them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_choice, check_number
from artifex.generative_models.extensions.audio_processing.spectral.levels import decibels
from artifex.generative_models.extensions.audio_processing.spectral.pipeline import check_real, check_spectrum

if TYPE_CHECKING:
    from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig

_Table = NDArray[np.float64]


def _poles(offset: float, n_zeros: int, *poles: tuple[float, int]) -> Callable[[_Table], _Table]:
    """A curve in dB over squared frequency: zeros at 0 Hz and pairs of (pole in Hz, order)."""

    def curve(square: _Table) -> _Table:
        level = 10 * n_zeros * np.log10(square) + offset
        for pole, order in poles:
            level = level - 10 * order * np.log10(square + pole**2)
        return np.asarray(level + 40 * np.log10(_HIGH))

    return curve


def _d(square: _Table) -> _Table:
    above = np.log10((1018.7**2 - square) ** 2 + 1039.6**2 * square)
    below = np.log10((3136.5**2 - square) ** 2 + 3424.0**2 * square)
    level = np.log10(square) + above - below - np.log10(282.7**2 + square) - np.log10(1160.0**2 + square)
    return np.asarray(10 * level - 40 * np.log10(8.3046305e-3))


_LOW, _HIGH = 20.598997, 12194.217

CURVES: dict[str, Callable[[_Table], _Table]] = {
    "A": _poles(2.0, 4, (_HIGH, 2), (_LOW, 2), (107.65265, 1), (737.86223, 1)),
    "B": _poles(0.17, 3, (_HIGH, 2), (_LOW, 2), (158.48932, 1)),
    "C": _poles(0.062, 2, (_HIGH, 2), (_LOW, 2)),
    "D": _d,
    "Z": np.zeros_like,
}


def frequency_weighting(frequency: ArrayLike, kind: str = "A", *, min_db: float | None = -80.0) -> _Table:
    """Return by how many dB a weighting raises levels at some frequencies: about 0 at 1 kHz.

    Args:
        frequency: Frequencies, Hz, any shape.
        kind: ``"A"`` (as the ear has it at low levels), ``"B"``, ``"C"`` (at high levels), ``"D"`` (aircraft noise)
            or ``"Z"`` (none).
        min_db: The least weight, dB; None for as low as it falls, which is without end at 0 Hz.

    Returns:
        Weights in dB, a NumPy array in the same shape, float64.

    Raises:
        TypeError: When ``min_db`` is not a number.
        ValueError: For an unknown weighting.

    Example:
        >>> frequency_weighting([0.0, 100.0, 1000.0, 10000.0]).round(1).tolist()
        [-80.0, -19.1, 0.0, -2.5]

    Reference:
        IEC 61672-1 for A, C and Z, IEC 537 for D; ``librosa.frequency_weighting``.
    """
    check_choice("kind", kind, choices=tuple(CURVES))
    with np.errstate(divide="ignore"):
        level = CURVES[kind](np.square(np.asarray(frequency, dtype=np.float64)))
    if min_db is None:
        return level
    check_number("min_db", min_db, unit="dB")
    return np.maximum(level, min_db)


def perceptual_weighting(power: ArrayLike, config: SpectralConfig, *, kind: str = "A") -> jax.Array:
    """Return the levels of a power spectrogram under a weighting.

    Args:
        power: Powers, (..., freq, time), as ``power_spectrogram`` gives them.
        config: The conventions: its frequencies, ``ref``, ``amin`` and ``top_db``.
        kind: The weighting, ``"A"``, ``"B"``, ``"C"``, ``"D"`` or ``"Z"``.

    Returns:
        Levels in dB, in the shape and dtype of ``power``; ``top_db`` holds before the weight is added.

    Raises:
        TypeError: When ``power`` is not of a real floating dtype.
        ValueError: When its shape does not fit, or for an unknown weighting.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> config = SpectralConfig(sample_rate=8000, n_fft=256, n_mels=20)
        >>> perceptual_weighting(jnp.ones((129, 3)), config)[0].tolist()
        [-80.0, -80.0, -80.0]

    Reference:
        ``librosa.perceptual_weighting``, with ``top_db`` per example.
    """
    power = jnp.asarray(power)
    check_real("perceptual_weighting", power)
    check_spectrum("power", power, config.n_freq, "n_freq")
    check_choice("kind", kind, choices=tuple(CURVES))
    level: jax.Array = _weighted(power, config, kind)
    return level


@lru_cache(maxsize=64)
def _weights(sample_rate: int, n_fft: int, kind: str) -> _Table:
    weights = frequency_weighting(np.arange(n_fft // 2 + 1) * (sample_rate / n_fft), kind)[:, None]
    weights.flags.writeable = False
    return weights


@partial(jax.jit, static_argnums=(1, 2))
def _weighted(power: jax.Array, config: SpectralConfig, kind: str) -> jax.Array:
    working = numerics.working_dtype(power.dtype)
    level = decibels(power.astype(working), config.ref, config.amin, config.top_db)
    return (level + _weights(config.sample_rate, config.n_fft, kind).astype(working)).astype(power.dtype)
