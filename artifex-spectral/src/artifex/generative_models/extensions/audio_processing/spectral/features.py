"""Descriptors of a spectrum's shape: centroid, bandwidth, rolloff."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

from artifex.generative_models.core import numerics
from artifex.generative_models.extensions.audio_processing.spectral.stft import analyse

if TYPE_CHECKING:
    from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig


def spectral_centroid(audio: ArrayLike, config: SpectralConfig) -> jax.Array:
    """Return the mean frequency of each frame, weighted by magnitude.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: The conventions.

    Returns:
        Frequencies in Hz, (..., n_frames), in the audio's dtype; 0 for silence.

    Raises:
        TypeError: When the audio is not of a real floating dtype.
        ValueError: When it is empty, or uncentred and shorter than a frame.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> tone = jnp.sin(jnp.pi / 2 * jnp.arange(2048))
        >>> round(float(spectral_centroid(tone, SpectralConfig(sample_rate=8000, n_fft=256, n_mels=20))[16]))
        2000

    Reference:
        ``librosa.feature.spectral_centroid``.
    """
    return analyse(audio, config, centroid_of)


def spectral_bandwidth(audio: ArrayLike, config: SpectralConfig) -> jax.Array:
    """Return the standard deviation of frequency in each frame, weighted by magnitude.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: The conventions.

    Returns:
        Widths in Hz, (..., n_frames), in the audio's dtype; 0 for silence.

    Raises:
        TypeError: When the audio is not of a real floating dtype.
        ValueError: When it is empty, or uncentred and shorter than a frame.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> spectral_bandwidth(jnp.zeros(1000), SpectralConfig(n_fft=256, n_mels=20)).max().item()
        0.0

    Reference:
        ``librosa.feature.spectral_bandwidth``.
    """
    return analyse(audio, config, bandwidth_of)


def spectral_rolloff(audio: ArrayLike, config: SpectralConfig) -> jax.Array:
    """Return the frequency at or below which a share of each frame's magnitude lies.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: The conventions; ``rolloff_share`` is the share.

    Returns:
        Frequencies in Hz, (..., n_frames), in the audio's dtype; 0 for silence. The gradient is 0.

    Raises:
        TypeError: When the audio is not of a real floating dtype.
        ValueError: When it is empty, or uncentred and shorter than a frame.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> tone = jnp.sin(jnp.pi / 2 * jnp.arange(2048))
        >>> float(spectral_rolloff(tone, SpectralConfig(sample_rate=8000, n_fft=256, n_mels=20))[16])
        2031.25

    Reference:
        ``librosa.feature.spectral_rolloff``.
    """
    return analyse(audio, config, rolloff_of)


def centroid_of(spectra: jax.Array, config: SpectralConfig) -> jax.Array:
    """Return centroids (..., n_frames) of spectra (..., n_frames, n_freq), Hz."""
    return jnp.sum(_shares(spectra) * _frequencies(config, spectra.real.dtype), axis=-1)


def bandwidth_of(spectra: jax.Array, config: SpectralConfig) -> jax.Array:
    """Return bandwidths (..., n_frames) of spectra (..., n_frames, n_freq), Hz."""
    deviation = _frequencies(config, spectra.real.dtype) - centroid_of(spectra, config)[..., None]
    return numerics.safe_sqrt(jnp.sum(_shares(spectra) * jnp.square(deviation), axis=-1))


def rolloff_of(spectra: jax.Array, config: SpectralConfig) -> jax.Array:
    """Return rolloffs (..., n_frames) of spectra (..., n_frames, n_freq), Hz."""
    running = jnp.cumsum(numerics.safe_abs(spectra), axis=-1)
    total = running[..., -1]
    below = jnp.sum(running < config.rolloff_share * total[..., None], axis=-1).astype(total.dtype)
    return jnp.where(jnp.isfinite(total), below * (config.sample_rate / config.n_fft), jnp.nan)


def _frequencies(config: SpectralConfig, dtype: np.dtype[np.float64]) -> NDArray[np.float64]:
    return (np.arange(config.n_freq) * (config.sample_rate / config.n_fft)).astype(dtype)


def _shares(spectra: jax.Array) -> jax.Array:
    """Magnitudes over their sum, as they are where the sum is next to nothing."""
    magnitude = numerics.safe_abs(spectra)
    total = magnitude.sum(axis=-1, keepdims=True)
    least = np.finfo(magnitude.dtype).tiny
    return magnitude / jnp.where(total < least, 1, total)
