"""Representations of waveforms, each with an encoder and a decoder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.modalities.audio.base import AudioModalityConfig
from artifex.generative_models.modalities.audio.spectral_settings import SpectralSettings, extension_of

# Without the last centered frame, the end of a clip is covered only by the edge of one window. Samples are divided by the
# window sum where it is above this fraction of its maximum: there an unmodified clip is reconstructed exactly, and a
# modified one is amplified by at most a factor of 8.
_MIN_COVERAGE = 0.01


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

    def encode(self, audio: ArrayLike, *, lengths: ArrayLike | None = None) -> jax.Array:
        """Return waveforms unchanged, except for samples past their lengths.

        Args:
            audio: Waveforms (..., n_time_steps).
            lengths: Number of valid samples of each clip, integers that broadcast against the leading axes; samples past
                them become 0. By default all are valid.

        Returns:
            The waveforms (..., n_time_steps).

        Raises:
            TypeError: When ``lengths`` are not integers.
            ValueError: When one is out of range; traced ones are not checked.
        """
        waveforms = jnp.asarray(audio)
        if lengths is None:
            return waveforms
        given, n_samples = lengths if isinstance(lengths, jax.Array) else np.asarray(lengths), waveforms.shape[-1]
        if not jnp.issubdtype(given.dtype, jnp.integer):
            raise TypeError(f"lengths must be integers, numbers of samples, got {given.dtype}")
        if isinstance(given, np.ndarray) and (outside := given[(given < 0) | (given > n_samples)]).size:
            raise ValueError(f"lengths must be from 0 to {n_samples} samples, got {outside[0]}")
        counts = jnp.broadcast_to(given.astype(np.int32), waveforms.shape[:-1])[..., None]
        positions = np.arange(n_samples, dtype=np.int32).reshape((1,) * (waveforms.ndim - 1) + (-1,))
        return jnp.where(positions < counts, waveforms, 0)

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
    """The mel spectrogram of ``SpectralAnalysis.compute_mel_spectrogram``, by default in power.

    Args:
        config: The configuration.

    Raises:
        MissingDependencyError: Without artifex-spectral.

    Example:
        >>> MelSpectrogram(AudioModalityConfig()).shape
        (80, 125)
    """

    def __init__(self, config: AudioModalityConfig) -> None:
        self._settings = _settings("mel_spectrogram", config)
        self._n_samples = config.n_time_steps
        self.shape = (config.n_mel_channels, config.n_time_frames)

    def encode(self, audio: ArrayLike, *, lengths: ArrayLike | None = None) -> jax.Array:
        """Compute mel spectrograms.

        Args:
            audio: Waveforms (..., n_time_steps).
            lengths: Number of valid samples of each clip, integers that broadcast against the leading axes; samples past
                them are ignored. By default all are valid.

        Returns:
            Mel power spectrograms, or magnitudes if ``config.analysis.power`` is 1, (..., n_mel_channels, n_time_frames).
        """
        return extension_of(self._settings).compute_mel_spectrogram(audio, lengths=lengths)

    def decode(self, encoded: ArrayLike, *, key: jax.Array | None = None) -> jax.Array:
        """Reconstruct waveforms: estimate STFT magnitudes, then apply the Griffin-Lim algorithm.

        Args:
            encoded: Mel spectrograms (..., n_mel_channels, n_time_frames).
            key: PRNG key for the initial phases; None starts with zero phases.

        Returns:
            Waveforms (..., n_time_steps).

        Raises:
            ValueError: When windows and hop of the analysis leave samples uncovered.
        """
        frames = _with_last_frame(encoded, self._settings)
        return extension_of(_all_frames(self._settings)).mel_to_audio(frames, length=self._n_samples, key=key)


class LogMelSpectrogram:
    """The log-mel spectrogram of ``SpectralAnalysis.compute_log_mel_spectrogram``.

    By default levels are in dB and limited to 80 dB below the maximum of the clip.

    Args:
        config: The configuration.

    Attributes:
        shape: Shape of one encoded example.
        pad_value: The level of silence, which pads examples of different lengths in a batch.

    Raises:
        MissingDependencyError: Without artifex-spectral.

    Example:
        >>> LogMelSpectrogram(AudioModalityConfig()).shape, LogMelSpectrogram(AudioModalityConfig()).pad_value
        ((80, 125), -100.0)
        >>> LogMelSpectrogram(AudioModalityConfig(spectral="whisper", duration=30.0)).shape
        (80, 3000)
    """

    def __init__(self, config: AudioModalityConfig) -> None:
        self._settings = _settings("log_mel_spectrogram", config)
        self._n_samples = config.n_time_steps
        self.shape = (config.n_mel_channels, config.n_time_frames)
        self.pad_value = _level_of_silence(self._settings.to_dict())

    def encode(self, audio: ArrayLike, *, lengths: ArrayLike | None = None) -> jax.Array:
        """Compute log-mel spectrograms.

        Args:
            audio: Waveforms (..., n_time_steps).
            lengths: Number of valid samples of each clip, integers that broadcast against the leading axes; samples past
                them are ignored. By default all are valid.

        Returns:
            Levels, by default in dB, (..., n_mel_channels, n_time_frames).
        """
        return extension_of(self._settings).compute_log_mel_spectrogram(audio, lengths=lengths)

    def decode(self, encoded: ArrayLike, *, key: jax.Array | None = None) -> jax.Array:
        """Reconstruct waveforms: convert levels to power, then decode as ``MelSpectrogram`` does.

        Args:
            encoded: Levels (..., n_mel_channels, n_time_frames).
            key: PRNG key for the initial phases; None starts with zero phases.

        Returns:
            Waveforms (..., n_time_steps).

        Raises:
            ValueError: When windows and hop of the analysis leave samples uncovered.
        """
        frames = _with_last_frame(encoded, self._settings)
        return extension_of(_all_frames(self._settings)).log_mel_to_audio(frames, length=self._n_samples, key=key)


class Stft:
    """The complex short-time Fourier transform of ``SpectralAnalysis.stft``.

    Args:
        config: The configuration.

    Raises:
        MissingDependencyError: Without artifex-spectral.

    Example:
        >>> Stft(AudioModalityConfig(sample_rate=22050, n_fft=2048, hop_length=512, duration=3.0)).shape
        (1025, 129)
    """

    def __init__(self, config: AudioModalityConfig) -> None:
        # One mel band: mel filters that contain no bin cause a warning, and are not used.
        self._settings = _settings("stft", config if config.spectral is not None else config.evolve(n_mel_channels=1))
        self._n_samples = config.n_time_steps
        self.shape = (config.n_fft // 2 + 1, config.n_time_frames)

    def encode(self, audio: ArrayLike, *, lengths: ArrayLike | None = None) -> jax.Array:
        """Compute complex STFTs.

        Args:
            audio: Waveforms (..., n_time_steps).
            lengths: Number of valid samples of each clip, integers that broadcast against the leading axes; samples past
                them are ignored. By default all are valid.

        Returns:
            Complex STFTs (..., n_fft // 2 + 1, n_time_frames).
        """
        return extension_of(self._settings).stft(audio, lengths=lengths)

    def decode(self, encoded: ArrayLike, *, key: jax.Array | None = None) -> jax.Array:
        """Invert complex STFTs.

        The inversion is exact except where the window sum is below a hundredth of its full value: by default, at most the
        last ``2 * hop_length`` samples fade to silence.

        Args:
            encoded: Complex STFTs (..., n_fft // 2 + 1, n_time_frames).
            key: Ignored.

        Returns:
            Waveforms (..., n_time_steps).

        Raises:
            ValueError: When windows and hop of the analysis leave samples uncovered.
        """
        return extension_of(self._settings).istft(encoded, length=self._n_samples, min_coverage=_MIN_COVERAGE)


def _level_of_silence(settings: Mapping[str, Any]) -> float:
    """Return the log-mel level of silence from the fields of a SpectralConfig."""
    ratio = settings["amin"] / max(settings["ref"], settings["amin"])
    level = math.log(ratio) if settings["log"] == "ln" else math.log10(ratio)
    if settings["log"] == "db":
        level *= 20.0 / settings["power"]
    return float((level + settings["level_offset"]) * settings["level_scale"])


def _settings(name: str, config: AudioModalityConfig) -> SpectralSettings:
    settings = config.analysis
    if config.n_time_frames < 1:
        raise ValueError(
            f"{name}: an example must have at least {settings.min_length} samples for one frame (hop_length = "
            f"{settings.hop}), got {config.n_time_steps} ({config.duration} s at {config.sample_rate} Hz); lengthen "
            f"duration or shorten hop_length"
        )
    return settings


def _all_frames(settings: SpectralSettings) -> SpectralSettings:
    """Return the settings with the last centered frame, which some drop."""
    return settings.evolve(frame_count="fit") if settings.frame_count == "drop_last" else settings


def _with_last_frame(encoded: ArrayLike, settings: SpectralSettings) -> jax.Array:
    """Repeat the last frame where the settings drop one."""
    frames = jnp.asarray(encoded)
    return jnp.concatenate([frames, frames[..., -1:]], axis=-1) if settings.frame_count == "drop_last" else frames
