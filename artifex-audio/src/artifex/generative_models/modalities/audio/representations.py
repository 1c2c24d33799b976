"""Representations of waveforms, each with an encoder and a decoder."""

from __future__ import annotations

from functools import cache
from typing import Any, Protocol, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.core import MissingDependencyError, UnknownComponentError, registry
from artifex.generative_models.core.configuration import ExtensionConfig
from artifex.generative_models.modalities.audio.base import AudioModalityConfig

# ``encode`` drops the last frame, so the end of a clip is covered only by the edge of one window. Samples are divided by
# the window sum where it is above this fraction of its maximum: there an unmodified clip is reconstructed exactly, and a
# modified one is amplified by at most a factor of 8.
_MIN_COVERAGE = 0.01


class SpectralExtension(Protocol):
    """The methods of the extension ``spectral`` that artifex-audio calls; artifex-spectral documents them."""

    def stft(self, audio: ArrayLike) -> jax.Array:
        """Compute complex STFTs."""
        ...

    def istft(self, spectrum: ArrayLike, *, length: int, min_coverage: float = 0.0) -> jax.Array:
        """Invert complex STFTs."""
        ...

    def compute_mel_spectrogram(self, audio: ArrayLike) -> jax.Array:
        """Compute mel power spectrograms."""
        ...

    def compute_log_mel_spectrogram(self, audio: ArrayLike) -> jax.Array:
        """Compute mel spectrograms in dB."""
        ...

    def mel_to_audio(self, mel: ArrayLike, *, length: int, key: jax.Array | None = None) -> jax.Array:
        """Reconstruct waveforms from mel power spectrograms."""
        ...

    def log_mel_to_audio(self, levels: ArrayLike, *, length: int, key: jax.Array | None = None) -> jax.Array:
        """Reconstruct waveforms from mel spectrograms in dB."""
        ...

    def time_stretch(self, audio: ArrayLike, rate: ArrayLike, *, length: int) -> jax.Array:
        """Change the duration of waveforms without changing their pitch."""
        ...

    def band_frequencies(self) -> np.ndarray:
        """Return the center frequencies of the mel bands in Hz."""
        ...


class RawWaveform:
    """The waveform itself.

    Args:
        config: The configuration.

    Example:
        >>> RawWaveform(AudioModalityConfig(duration=0.5)).shape
        (8000,)
    """

    def __init__(self, config: AudioModalityConfig) -> None:
        self.shape = (config.n_time_steps,)

    def encode(self, audio: ArrayLike) -> jax.Array:
        """Return waveforms unchanged.

        Args:
            audio: Waveforms (..., n_time_steps).

        Returns:
            The waveforms (..., n_time_steps).
        """
        return jnp.asarray(audio)

    def decode(self, encoded: ArrayLike, *, key: jax.Array | None = None) -> jax.Array:
        """Return waveforms unchanged.

        Args:
            encoded: Waveforms (..., n_time_steps).
            key: Ignored.

        Returns:
            The waveforms (..., n_time_steps).
        """
        return jnp.asarray(encoded)


class MelSpectrogram:
    """The mel power spectrogram of ``SpectralAnalysis.compute_mel_spectrogram``, without its last frame.

    Args:
        config: The configuration.

    Raises:
        MissingDependencyError: Without artifex-spectral.

    Example:
        >>> MelSpectrogram(AudioModalityConfig()).shape
        (80, 125)
    """

    def __init__(self, config: AudioModalityConfig) -> None:
        self._spectral = _analysis("mel_spectrogram", config, n_mels=config.n_mel_channels)
        self._n_samples = config.n_time_steps
        self.shape = (config.n_mel_channels, config.n_time_frames)

    def encode(self, audio: ArrayLike) -> jax.Array:
        """Compute mel power spectrograms.

        Args:
            audio: Waveforms (..., n_time_steps).

        Returns:
            Mel power spectrograms (..., n_mel_channels, n_time_frames).
        """
        return self._spectral.compute_mel_spectrogram(audio)[..., : self.shape[-1]]

    def decode(self, encoded: ArrayLike, *, key: jax.Array | None = None) -> jax.Array:
        """Reconstruct waveforms: estimate STFT magnitudes, then apply the Griffin-Lim algorithm.

        Args:
            encoded: Mel power spectrograms (..., n_mel_channels, n_time_frames).
            key: PRNG key for the initial phases; None starts with zero phases.

        Returns:
            Waveforms (..., n_time_steps).
        """
        return self._spectral.mel_to_audio(_with_last_frame(encoded), length=self._n_samples, key=key)


class LogMelSpectrogram:
    """The mel spectrogram in dB of ``SpectralAnalysis.compute_log_mel_spectrogram``, without its last frame.

    Levels are limited to 80 dB below the maximum of the clip.

    Args:
        config: The configuration.

    Raises:
        MissingDependencyError: Without artifex-spectral.

    Example:
        >>> LogMelSpectrogram(AudioModalityConfig()).shape
        (80, 125)
    """

    def __init__(self, config: AudioModalityConfig) -> None:
        self._spectral = _analysis("log_mel_spectrogram", config, n_mels=config.n_mel_channels)
        self._n_samples = config.n_time_steps
        self.shape = (config.n_mel_channels, config.n_time_frames)

    def encode(self, audio: ArrayLike) -> jax.Array:
        """Compute log-mel spectrograms.

        Args:
            audio: Waveforms (..., n_time_steps).

        Returns:
            Mel spectrograms in dB (..., n_mel_channels, n_time_frames).
        """
        return self._spectral.compute_log_mel_spectrogram(audio)[..., : self.shape[-1]]

    def decode(self, encoded: ArrayLike, *, key: jax.Array | None = None) -> jax.Array:
        """Reconstruct waveforms: convert levels to power, then decode as ``MelSpectrogram`` does.

        Args:
            encoded: Mel spectrograms in dB (..., n_mel_channels, n_time_frames).
            key: PRNG key for the initial phases; None starts with zero phases.

        Returns:
            Waveforms (..., n_time_steps).
        """
        return self._spectral.log_mel_to_audio(_with_last_frame(encoded), length=self._n_samples, key=key)


class Stft:
    """The complex short-time Fourier transform, without its last frame.

    Args:
        config: The configuration.

    Raises:
        MissingDependencyError: Without artifex-spectral.

    Example:
        >>> Stft(AudioModalityConfig(sample_rate=22050, n_fft=2048, hop_length=512, duration=3.0)).shape
        (1025, 129)
    """

    def __init__(self, config: AudioModalityConfig) -> None:
        self._spectral = _analysis("stft", config, n_mels=1)
        self._n_samples = config.n_time_steps
        self.shape = (config.n_fft // 2 + 1, config.n_time_frames)

    def encode(self, audio: ArrayLike) -> jax.Array:
        """Compute complex STFTs.

        Args:
            audio: Waveforms (..., n_time_steps).

        Returns:
            Complex STFTs (..., n_fft // 2 + 1, n_time_frames).
        """
        return self._spectral.stft(audio)[..., : self.shape[-1]]

    def decode(self, encoded: ArrayLike, *, key: jax.Array | None = None) -> jax.Array:
        """Invert complex STFTs.

        The inversion is exact except at the end, where the window sum of the remaining frames is below a hundredth of its
        full value: at most the last ``2 * hop_length`` samples fade to silence.

        Args:
            encoded: Complex STFTs (..., n_fft // 2 + 1, n_time_frames).
            key: Ignored.

        Returns:
            Waveforms (..., n_time_steps).
        """
        return self._spectral.istft(encoded, length=self._n_samples, min_coverage=_MIN_COVERAGE)


def _with_last_frame(encoded: ArrayLike) -> jax.Array:
    """Repeat the last frame, as a substitute for the one that ``encode`` dropped."""
    frames = jnp.asarray(encoded)
    return jnp.concatenate([frames, frames[..., -1:]], axis=-1)


def _analysis(name: str, config: AudioModalityConfig, *, n_mels: int) -> SpectralExtension:
    if config.n_time_frames < 1:
        raise ValueError(
            f"{name}: an example must have at least hop_length = {config.hop_length} samples, got {config.n_time_steps} "
            f"({config.duration} s at {config.sample_rate} Hz); lengthen duration or shorten hop_length"
        )
    return spectral_extension(
        f"The representation {name!r}",
        sample_rate=config.sample_rate,
        n_fft=config.n_fft,
        hop_length=config.hop_length,
        n_mels=n_mels,
    )


@cache
def spectral_extension(purpose: str, **options: Any) -> SpectralExtension:
    """Create the extension ``spectral`` of artifex-spectral, which artifex-audio does not import.

    Args:
        purpose: Subject of the error message, such as ``"The representation 'stft'"``.
        **options: Its options, such as ``n_fft``.

    Returns:
        The extension, the same object for equal options.

    Raises:
        MissingDependencyError: Without artifex-spectral.
    """
    try:
        extension = registry("extension")["spectral"]
    except UnknownComponentError as error:
        raise MissingDependencyError(
            f"{purpose} needs the extension 'spectral', which is not installed: pip install artifex-spectral"
        ) from error
    return cast(SpectralExtension, extension(config=ExtensionConfig(extensions={"spectral": options}), rngs=None))
