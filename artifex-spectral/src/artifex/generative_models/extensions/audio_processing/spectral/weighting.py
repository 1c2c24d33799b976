"""A, B, C, D and Z frequency weighting."""

from __future__ import annotations

from functools import lru_cache

import jax
import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_choice, check_number
from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig
from artifex.generative_models.extensions.audio_processing.spectral.framing import aligned
from artifex.generative_models.extensions.audio_processing.spectral.levels import decibels
from artifex.generative_models.extensions.audio_processing.spectral.pipeline import check_config, check_spectrogram
from artifex.generative_models.extensions.audio_processing.spectral.scales import as_float64

_Table = NDArray[np.float64]

WEIGHTINGS = ("A", "B", "C", "D", "Z")
"""Names of the weightings."""

_LOW_HZ, _HIGH_HZ = 20.598997, 12194.217

# Gain in dB, number of zeros at 0 Hz, and poles as (frequency in Hz, order).
_RESPONSES: dict[str, tuple[float, int, tuple[tuple[float, int], ...]]] = {
    "A": (2.0, 4, ((_HIGH_HZ, 2), (_LOW_HZ, 2), (107.65265, 1), (737.86223, 1))),
    "B": (0.17, 3, ((_HIGH_HZ, 2), (_LOW_HZ, 2), (158.48932, 1))),
    "C": (0.062, 2, ((_HIGH_HZ, 2), (_LOW_HZ, 2))),
}


def frequency_weighting(frequency: ArrayLike, kind: str = "A", *, min_db: float | None = -80.0) -> _Table:
    """Compute a frequency weighting in dB, which is about 0 dB at 1 kHz.

    Args:
        frequency: Frequencies in Hz, any shape.
        kind: ``"A"`` (hearing at low levels), ``"B"``, ``"C"`` (hearing at high levels), ``"D"`` (aircraft noise) or
            ``"Z"`` (none).
        min_db: Minimum weight in dB; smaller weights are replaced by it. None for no minimum: the weight of 0 Hz is
            then minus infinity, except for ``"Z"``.

    Returns:
        Weights in dB, a float64 NumPy array of the same shape.

    Raises:
        TypeError: If ``frequency`` or ``min_db`` is not a real number.
        ValueError: If the weighting is unknown.

    Example:
        >>> frequency_weighting([0.0, 100.0, 1000.0, 10000.0]).round(1).tolist()
        [-80.0, -19.1, 0.0, -2.5]

    Reference:
        IEC 61672-1 for A, C and Z, IEC 537 for D; ``librosa.frequency_weighting``.
    """
    check_choice("kind", kind, choices=WEIGHTINGS)
    squared = np.square(as_float64("frequency", frequency))
    with np.errstate(divide="ignore"):
        if kind == "Z":
            weight = np.zeros_like(squared)
        else:
            weight = _d_weighting(squared) if kind == "D" else _pole_zero_weighting(squared, kind)
    if min_db is None:
        return weight
    check_number("min_db", min_db, unit="dB")
    return np.maximum(weight, min_db)


def perceptual_weighting(power: ArrayLike, config: SpectralConfig, *, kind: str = "A") -> jax.Array:
    """Convert a power spectrogram to frequency-weighted levels in dB.

    Args:
        power: Power, (..., n_fft // 2 + 1, n_frames), as returned by ``power_spectrogram``.
        config: Analysis configuration, with ``ref``, ``amin`` and ``top_db``.
        kind: Weighting, as in ``frequency_weighting``.

    Returns:
        Levels in dB, in the shape and dtype of ``power``; ``top_db`` applies before the weighting.

    Raises:
        TypeError: If ``power`` is not real floating point.
        ValueError: If the shape does not match the configuration, or the weighting is unknown.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> config = SpectralConfig(sample_rate=8000, n_fft=256, n_mels=20)
        >>> perceptual_weighting(np.ones((129, 3), np.float32), config)[0].tolist()
        [-80.0, -80.0, -80.0]

    Reference:
        ``librosa.perceptual_weighting``, with ``top_db`` per example.
    """
    check_config(config)
    power = check_spectrogram("power", power, rows="n_fft // 2 + 1", n_rows=config.n_freq)
    check_choice("kind", kind, choices=WEIGHTINGS)
    return _perceptual_weighting(power, config=config, kind=kind)


@numerics.jit(static_argnames=["config", "kind"])
def _perceptual_weighting(power: jax.Array, *, config: SpectralConfig, kind: str) -> jax.Array:
    level = decibels(power.astype(numerics.working_dtype(power.dtype)), config.ref, config.amin, config.top_db)
    weights = _bin_weights(config.sample_rate, config.n_fft, kind)
    return (level + aligned(weights, level)).astype(power.dtype)


@lru_cache(maxsize=64)
def _bin_weights(sample_rate: int, n_fft: int, kind: str) -> _Table:
    weights = frequency_weighting(np.arange(n_fft // 2 + 1) * (sample_rate / n_fft), kind)[:, None]
    weights.flags.writeable = False
    return weights


def _pole_zero_weighting(squared: _Table, kind: str) -> _Table:
    """Compute a weighting in dB from its poles and zeros, at squared frequencies."""
    gain, n_zeros, poles = _RESPONSES[kind]
    weight = 10 * n_zeros * np.log10(squared) + gain
    for pole, order in poles:
        weight = weight - 10 * order * np.log10(squared + pole**2)
    return np.asarray(weight + 40 * np.log10(_HIGH_HZ))


def _d_weighting(squared: _Table) -> _Table:
    """Compute D-weighting in dB, at squared frequencies."""
    numerator = np.log10((1018.7**2 - squared) ** 2 + 1039.6**2 * squared)
    denominator = np.log10((3136.5**2 - squared) ** 2 + 3424.0**2 * squared)
    poles = np.log10(282.7**2 + squared) + np.log10(1160.0**2 + squared)
    return np.asarray(10 * (np.log10(squared) + numerator - denominator - poles) - 40 * np.log10(8.3046305e-3))
