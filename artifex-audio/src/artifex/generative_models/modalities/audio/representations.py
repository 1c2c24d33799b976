"""What a waveform becomes for a model, and its inverse."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from artifex.generative_models.core import MissingDependencyError, UnknownComponentError, registry
from artifex.generative_models.core.configuration import ExtensionConfig
from artifex.generative_models.modalities.audio.base import AudioModalityConfig

# The frame that encode drops leaves the end of a clip to the rim of a window. To divide by a hundredth of the full
# window at the least keeps an untouched clip exact to there, and blows a changed one up by no more than 8.
_MIN_COVERAGE = 0.01


class RawWaveform:
    """The waveform itself.

    Args:
        config: What the audio is like.

    Example:
        >>> RawWaveform(AudioModalityConfig(duration=0.5)).shape
        (8000,)
    """

    def __init__(self, config: AudioModalityConfig) -> None:
        self.shape = (config.n_time_steps,)

    def encode(self, audio: ArrayLike) -> jax.Array:
        """Return the waveforms (..., n_time_steps) as they are."""
        return jnp.asarray(audio)

    def decode(self, encoded: ArrayLike, *, key: jax.Array | None = None) -> jax.Array:
        """Return the waveforms (..., n_time_steps) as they are."""
        return jnp.asarray(encoded)


class MelSpectrogram:
    """The power mel spectrogram, as ``SpectralAnalysis.compute_mel_spectrogram`` gives it, its last frame dropped.

    Args:
        config: What the audio is like.

    Raises:
        MissingDependencyError: Without artifex-spectral.

    Example:
        >>> MelSpectrogram(AudioModalityConfig()).shape
        (80, 125)
    """

    def __init__(self, config: AudioModalityConfig) -> None:
        self._spectral = _analysis("mel_spectrogram", config, n_mels=config.n_mel_channels)
        self._length = config.n_time_steps
        self.shape = (config.n_mel_channels, config.n_time_frames)

    def encode(self, audio: ArrayLike) -> jax.Array:
        """Return mel powers (..., n_mel_channels, n_time_frames) of waveforms (..., n_time_steps)."""
        mel: jax.Array = self._spectral.compute_mel_spectrogram(audio)
        return mel[..., : self.shape[-1]]

    def decode(self, encoded: ArrayLike, *, key: jax.Array | None = None) -> jax.Array:
        """Return waveforms (..., n_time_steps) of such mel powers: magnitudes that fit, then Griffin-Lim."""
        audio: jax.Array = self._spectral.mel_to_audio(_with_last_frame(encoded), length=self._length, key=key)
        return audio


class LogMelSpectrogram:
    """The mel levels in dB, as ``SpectralAnalysis.compute_log_mel_spectrogram`` gives them, the last frame dropped.

    They reach 80 dB below the loudest of the clip.

    Args:
        config: What the audio is like.

    Raises:
        MissingDependencyError: Without artifex-spectral.

    Example:
        >>> LogMelSpectrogram(AudioModalityConfig()).shape
        (80, 125)
    """

    def __init__(self, config: AudioModalityConfig) -> None:
        self._spectral = _analysis("log_mel_spectrogram", config, n_mels=config.n_mel_channels)
        self._length = config.n_time_steps
        self.shape = (config.n_mel_channels, config.n_time_frames)

    def encode(self, audio: ArrayLike) -> jax.Array:
        """Return mel levels in dB (..., n_mel_channels, n_time_frames) of waveforms (..., n_time_steps)."""
        levels: jax.Array = self._spectral.compute_log_mel_spectrogram(audio)
        return levels[..., : self.shape[-1]]

    def decode(self, encoded: ArrayLike, *, key: jax.Array | None = None) -> jax.Array:
        """Return waveforms (..., n_time_steps) of such mel levels: as for the powers that have them."""
        audio: jax.Array = self._spectral.log_mel_to_audio(_with_last_frame(encoded), length=self._length, key=key)
        return audio


class Stft:
    """The complex short-time Fourier transform, its last frame dropped; the one spectrum that keeps the phase.

    Args:
        config: What the audio is like.

    Raises:
        MissingDependencyError: Without artifex-spectral.

    Example:
        >>> Stft(AudioModalityConfig(sample_rate=22050, n_fft=2048, hop_length=512, duration=3.0)).shape
        (1025, 129)
    """

    def __init__(self, config: AudioModalityConfig) -> None:
        self._spectral = _analysis("stft", config, n_mels=1)
        self._length = config.n_time_steps
        self.shape = (config.n_fft // 2 + 1, config.n_time_frames)

    def encode(self, audio: ArrayLike) -> jax.Array:
        """Return complex spectra (..., n_fft // 2 + 1, n_time_frames) of waveforms (..., n_time_steps)."""
        spectrum: jax.Array = self._spectral.stft(audio)
        return spectrum[..., : self.shape[-1]]

    def decode(self, encoded: ArrayLike, *, key: jax.Array | None = None) -> jax.Array:
        """Return the waveforms (..., n_time_steps) of such spectra.

        They are exact except after the last frame that is kept: where less than a hundredth of the full window
        reaches, at most the last ``2 * hop_length`` samples, they fade to silence.
        """
        audio: jax.Array = self._spectral.istft(encoded, length=self._length, min_coverage=_MIN_COVERAGE)
        return audio


def _with_last_frame(encoded: ArrayLike) -> jax.Array:
    """Repeat the last frame in the place of the one that ``encode`` dropped."""
    frames = jnp.asarray(encoded)
    return jnp.concatenate([frames, frames[..., -1:]], axis=-1)


def _analysis(name: str, config: AudioModalityConfig, *, n_mels: int) -> Any:
    if config.n_time_frames < 1:
        raise ValueError(
            f"{name} needs at least one hop of {config.hop_length} samples, but {config.duration} s at "
            f"{config.sample_rate} Hz has {config.n_time_steps}; lengthen duration or shorten hop_length"
        )
    return spectral_extension(
        f"The representation {name!r}",
        sample_rate=config.sample_rate,
        n_fft=config.n_fft,
        hop_length=config.hop_length,
        n_mels=n_mels,
    )


@cache
def spectral_extension(purpose: str, **options: Any) -> Any:
    """Return the spectral extension with some options, found by name.

    Args:
        purpose: What it is needed for, as the start of a sentence.
        **options: Its options, such as ``n_fft``.

    Returns:
        The extension, one object for the same options.

    Raises:
        MissingDependencyError: Without artifex-spectral.
    """
    try:
        extension = registry("extension")["spectral"]
    except UnknownComponentError as error:
        raise MissingDependencyError(
            f"{purpose} needs the extension 'spectral', which is not installed: pip install artifex-spectral"
        ) from error
    return extension(config=ExtensionConfig(extensions={"spectral": options}), rngs=None)
