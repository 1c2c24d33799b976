"""The mel scale, exact triangular filter banks, and mel spectrograms."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from numpy.typing import NDArray

from artifex.generative_models.core.checks import check_choice, check_integer, check_number
from artifex.generative_models.extensions.audio_processing.spectral.stft import analyse, decibels, power_of

if TYPE_CHECKING:
    from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig

_Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]

# Slaney's Auditory Toolbox: 3 mel per 200 Hz up to 1 kHz, then 27 mel per factor of 6.4.
_SLANEY_BREAK_HZ, _SLANEY_HZ_PER_MEL, _SLANEY_LOG_STEP = 1000.0, 200.0 / 3, np.log(6.4) / 27
_SLANEY_BREAK_MEL = _SLANEY_BREAK_HZ / _SLANEY_HZ_PER_MEL


def _slaney_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    above = np.log(np.maximum(hz, _SLANEY_BREAK_HZ) / _SLANEY_BREAK_HZ) / _SLANEY_LOG_STEP
    return np.asarray(np.minimum(hz, _SLANEY_BREAK_HZ) / _SLANEY_HZ_PER_MEL + above)


def _slaney_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = np.exp(_SLANEY_LOG_STEP * np.maximum(mel - _SLANEY_BREAK_MEL, 0))
    return np.asarray(np.minimum(mel, _SLANEY_BREAK_MEL) * _SLANEY_HZ_PER_MEL * above)


def _htk_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(2595.0 * np.log10(1.0 + hz / 700.0))


def _htk_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(700.0 * (10.0 ** (mel / 2595.0) - 1.0))


MEL_SCALES: dict[str, tuple[_Curve, _Curve]] = {
    "slaney": (_slaney_mel, _slaney_hz),
    "htk": (_htk_mel, _htk_hz),
}
MEL_NORMS = ("slaney", None)


def hz_to_mel(frequency: ArrayLike, *, mel_scale: str = "slaney") -> NDArray[np.float64]:
    """Return frequencies on the mel scale.

    Args:
        frequency: Frequencies, Hz, any shape.
        mel_scale: ``"slaney"`` or ``"htk"``.

    Returns:
        Mels, a NumPy array in the same shape, float64.

    Raises:
        ValueError: For an unknown scale.

    Example:
        >>> float(hz_to_mel(1000.0).round(2)), float(hz_to_mel(1000.0, mel_scale="htk").round(2))
        (15.0, 999.99)

    Reference:
        ``librosa.hz_to_mel``.
    """
    check_choice("mel_scale", mel_scale, choices=tuple(MEL_SCALES))
    return MEL_SCALES[mel_scale][0](np.asarray(frequency, dtype=np.float64))


def mel_to_hz(mel: ArrayLike, *, mel_scale: str = "slaney") -> NDArray[np.float64]:
    """Return the frequencies of mels.

    Args:
        mel: Mels, any shape.
        mel_scale: ``"slaney"`` or ``"htk"``.

    Returns:
        Frequencies in Hz, a NumPy array in the same shape, float64.

    Raises:
        ValueError: For an unknown scale.

    Example:
        >>> float(mel_to_hz(15.0).round(2))
        1000.0

    Reference:
        ``librosa.mel_to_hz``.
    """
    check_choice("mel_scale", mel_scale, choices=tuple(MEL_SCALES))
    return MEL_SCALES[mel_scale][1](np.asarray(mel, dtype=np.float64))


@lru_cache(maxsize=64)
def mel_filter_bank(
    *,
    sample_rate: int,
    n_fft: int,
    n_mels: int = 128,
    f_min: float = 0.0,
    f_max: float | None = None,
    mel_scale: str = "slaney",
    mel_norm: str | None = "slaney",
) -> NDArray[np.float64]:
    """Return triangular filters that turn a power spectrum into mel bands.

    Args:
        sample_rate: Samples per second, Hz.
        n_fft: Length of the Fourier transform in samples.
        n_mels: Number of bands.
        f_min: Lower edge of the first band, Hz.
        f_max: Upper edge of the last band, Hz; None for half the sample rate.
        mel_scale: ``"slaney"`` or ``"htk"``.
        mel_norm: ``"slaney"`` for filters of area 1, None for filters of peak 1.

    Returns:
        Filters, (n_mels, n_fft // 2 + 1) float64, a cached NumPy array that is not writeable.

    Raises:
        TypeError: For a value of the wrong type.
        ValueError: For a value out of range.

    Example:
        >>> mel_filter_bank(sample_rate=16000, n_fft=512, n_mels=40).shape
        (40, 257)

    Reference:
        Slaney, "Auditory Toolbox", 1998; ``librosa.filters.mel``.
    """
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    check_integer("n_fft", n_fft, minimum=2, unit="samples")
    check_integer("n_mels", n_mels, minimum=1)
    top = sample_rate / 2 if f_max is None else f_max
    check_number("f_max", top, above=0.0, unit="Hz")
    check_number("f_min", f_min, minimum=0.0, maximum=top, unit="Hz")
    check_choice("mel_norm", mel_norm, choices=MEL_NORMS)
    low, high = hz_to_mel(np.array([f_min, top]), mel_scale=mel_scale)
    edges = mel_to_hz(np.linspace(low, high, n_mels + 2), mel_scale=mel_scale)
    bins = np.arange(n_fft // 2 + 1) * sample_rate / n_fft
    widths = np.diff(edges)[:, None]
    distance = bins - edges[:, None]
    filters = np.maximum(0, np.minimum(distance[:-2] / widths[:-1], -distance[2:] / widths[1:]))
    if mel_norm == "slaney":
        filters *= (2 / (edges[2:] - edges[:-2]))[:, None]
    filters.flags.writeable = False
    return filters


def mel_spectrogram(audio: ArrayLike, config: SpectralConfig) -> jax.Array:
    """Return the power in mel bands.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: The conventions.

    Returns:
        Powers, (..., n_mels, n_frames), in the audio's dtype.

    Raises:
        TypeError: When the audio is not of a real floating dtype.
        ValueError: When it is empty, or uncentred and shorter than a frame.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> mel_spectrogram(jnp.ones((2, 1000)), SpectralConfig(n_fft=256, n_mels=20)).shape
        (2, 20, 16)

    Reference:
        ``librosa.feature.melspectrogram``.
    """
    return analyse(audio, config, mel_of)


def log_mel_spectrogram(audio: ArrayLike, config: SpectralConfig) -> jax.Array:
    """Return the levels of mel bands.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: The conventions; ``ref``, ``amin`` and ``top_db`` are those of ``power_to_db``.

    Returns:
        Levels in dB, (..., n_mels, n_frames), in the audio's dtype.

    Raises:
        TypeError: When the audio is not of a real floating dtype.
        ValueError: When it is empty, or uncentred and shorter than a frame.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> float(log_mel_spectrogram(jnp.zeros(1000), SpectralConfig(n_fft=256, n_mels=20)).max())
        -100.0

    Reference:
        ``librosa.power_to_db(librosa.feature.melspectrogram(…))``, with ``top_db`` per example.
    """
    return analyse(audio, config, log_mel_of)


def mel_filters(config: SpectralConfig) -> NDArray[np.float64]:
    """Return the filter bank of a configuration, (n_mels, n_freq) float64."""
    return mel_filter_bank(
        sample_rate=config.sample_rate,
        n_fft=config.n_fft,
        n_mels=config.n_mels,
        f_min=config.f_min,
        f_max=config.f_top,
        mel_scale=config.mel_scale,
        mel_norm=config.mel_norm,
    )


def mel_of(spectra: jax.Array, config: SpectralConfig) -> jax.Array:
    """Return mel powers (..., n_mels, n_frames) of spectra (..., n_frames, n_freq)."""
    power = power_of(spectra)
    filters = mel_filters(config).astype(power.dtype)
    # Accelerators multiply matrices in fewer bits unless told not to.
    return jnp.einsum("mf,...tf->...mt", filters, power, precision=lax.Precision.HIGHEST)


def log_mel_of(spectra: jax.Array, config: SpectralConfig) -> jax.Array:
    """Return mel levels in dB (..., n_mels, n_frames) of spectra (..., n_frames, n_freq)."""
    return decibels(mel_of(spectra, config), config.ref, config.amin, config.top_db)
