"""Mel spectrograms: powers and levels in the bands of a filter bank."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax

from artifex.generative_models.core import numerics
from artifex.generative_models.extensions.audio_processing.spectral.filterbanks import bands_of, filters_of
from artifex.generative_models.extensions.audio_processing.spectral.framing import Frames
from artifex.generative_models.extensions.audio_processing.spectral.levels import finished_level, level_of
from artifex.generative_models.extensions.audio_processing.spectral.pipeline import feature

if TYPE_CHECKING:
    from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig


@feature()
def mel_spectrogram(frames: Frames, config: SpectralConfig) -> jax.Array:
    """Return the power in mel bands, or the magnitude where ``config.power`` is 1.

    Returns:
        Powers, (..., n_mels, n_frames), in the audio's dtype.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> mel_spectrogram(jnp.ones((2, 1000)), SpectralConfig(n_fft=256, n_mels=20)).shape
        (2, 20, 16)

    Reference:
        ``librosa.feature.melspectrogram``.
    """
    values = frames.power
    if config.power_offset:
        values = values + config.power_offset
    if config.power == 1:
        values = numerics.safe_sqrt(values) if config.power_offset else frames.magnitude
    banded: jax.Array = lax.platform_dependent(values, cpu=partial(_by_bands, config), default=partial(_whole, config))
    return banded


def _whole(config: SpectralConfig, values: jax.Array) -> jax.Array:
    filters = filters_of(config).astype(values.dtype)
    # Accelerators multiply matrices in fewer bits unless told not to.
    return jnp.einsum("mf,...tf->...mt", filters, values, precision=lax.Precision.HIGHEST)


def _by_bands(config: SpectralConfig, values: jax.Array) -> jax.Array:
    pieces = [values[..., bins] @ table.astype(values.dtype) for bins, table in bands_of(config)]
    return jnp.concatenate(pieces, axis=-1).swapaxes(-1, -2)


def _finish(levels: jax.Array, config: SpectralConfig, n_valid: jax.Array | None) -> jax.Array:
    return finished_level(levels, config)


@feature(finish=_finish)
def log_mel_spectrogram(frames: Frames, config: SpectralConfig) -> jax.Array:
    """Return the levels of mel bands, in the unit of ``config.log``: dB, unless it says otherwise.

    Returns:
        Levels, (..., n_mels, n_frames), in the audio's dtype.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> float(log_mel_spectrogram(jnp.zeros(1000), SpectralConfig(n_fft=256, n_mels=20)).max())
        -100.0

    Reference:
        ``librosa.power_to_db(librosa.feature.melspectrogram(…))``, with ``top_db`` per example.
    """
    return level_of(mel_spectrogram.measure(frames, config), config)
