"""Mel spectrograms and log-mel spectrograms."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.extensions.audio_processing.spectral import filterbanks
from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig
from artifex.generative_models.extensions.audio_processing.spectral.framing import Frames
from artifex.generative_models.extensions.audio_processing.spectral.levels import clip_and_scale_levels, frame_levels
from artifex.generative_models.extensions.audio_processing.spectral.pipeline import analyze


def mel_spectrogram(audio: ArrayLike, config: SpectralConfig, *, lengths: ArrayLike | None = None) -> jax.Array:
    """Compute a mel spectrogram.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: Analysis configuration.
        lengths: Number of valid samples of each example, integers that broadcast against the leading axes; samples
            past them are ignored. By default all are valid.

    Returns:
        Power, or magnitude if ``config.power`` is 1, (..., n_mels, n_frames), in the dtype of the audio. With
        ``lengths``, frames past the valid ones equal those of silence.

    Raises:
        TypeError: If the audio is not real floating point, or ``lengths`` are not integers.
        ValueError: If the audio is empty or shorter than a frame, or the shape of ``lengths`` does not broadcast.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> mel_spectrogram(jnp.ones((2, 1000)), SpectralConfig(n_fft=256, n_mels=20)).shape
        (2, 20, 16)

    Reference:
        ``librosa.feature.melspectrogram``.
    """
    return analyze(audio, config, lengths, measure=measure_mel)


def log_mel_spectrogram(audio: ArrayLike, config: SpectralConfig, *, lengths: ArrayLike | None = None) -> jax.Array:
    """Compute a log-mel spectrogram, in the unit of ``config.log``.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: Analysis configuration.
        lengths: Number of valid samples of each example, integers that broadcast against the leading axes; samples
            past them are ignored. By default all are valid.

    Returns:
        Levels, by default in dB, (..., n_mels, n_frames), in the dtype of the audio. With ``lengths``, frames past the
        valid ones equal those of silence.

    Raises:
        TypeError: If the audio is not real floating point, or ``lengths`` are not integers.
        ValueError: If the audio is empty or shorter than a frame, or the shape of ``lengths`` does not broadcast.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> float(log_mel_spectrogram(jnp.zeros(1000), SpectralConfig(n_fft=256, n_mels=20)).max())
        -100.0

    Reference:
        ``librosa.power_to_db(librosa.feature.melspectrogram(…))``, with ``top_db`` per example.
    """
    return analyze(audio, config, lengths, measure=measure_log_mel, finish=finish_log_mel)


def measure_mel(frames: Frames, config: SpectralConfig) -> jax.Array:
    """Compute mel power or magnitude (..., n_mels, n_frames) of frames."""
    values = frames.power
    if config.power_offset:
        values = values + config.power_offset
    if config.power == 1:
        values = numerics.safe_sqrt(values) if config.power_offset else frames.magnitude
    return numerics.platform_dependent(
        values, cpu=partial(apply_filter_blocks, config), default=partial(apply_filter_bank, config)
    )


def measure_log_mel(frames: Frames, config: SpectralConfig) -> jax.Array:
    """Compute log-mel levels (..., n_mels, n_frames) of frames, before ``top_db``."""
    return frame_levels(measure_mel(frames, config), config)


def finish_log_mel(levels: jax.Array, config: SpectralConfig, n_valid: jax.Array | None) -> jax.Array:
    """Apply ``top_db``, offset and scale to log-mel levels."""
    return clip_and_scale_levels(levels, config)


def apply_filter_bank(config: SpectralConfig, values: jax.Array) -> jax.Array:
    """Multiply spectra (..., n_frames, n_freq) by the whole filter bank; returns (..., n_mels, n_frames)."""
    filters = filterbanks.config_filter_bank(config).astype(values.dtype)
    # By default accelerators multiply matrices in reduced precision.
    return jnp.einsum("mf,...tf->...mt", filters, values, precision=lax.Precision.HIGHEST)


def apply_filter_blocks(config: SpectralConfig, values: jax.Array) -> jax.Array:
    """Multiply spectra as ``apply_filter_bank`` does, in blocks of filters without their zeros: faster on a CPU."""
    mel = [values[..., bins] @ weights.astype(values.dtype) for bins, weights in filterbanks.filter_blocks(config)]
    return jnp.concatenate(mel, axis=-1).swapaxes(-1, -2)
