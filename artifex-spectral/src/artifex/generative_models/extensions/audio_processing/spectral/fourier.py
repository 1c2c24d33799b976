"""The short-time Fourier transform, spectrograms, and the inverse transform."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from numpy.typing import NDArray

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_integer, check_number
from artifex.generative_models.core.numerics.batching import batch_local
from artifex.generative_models.extensions.audio_processing.spectral import framing, pipeline
from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig

# Below this power the phase is undefined: its square, by which gradients divide, underflows in float32.
_MIN_POWER = 1e-18


def stft(audio: ArrayLike, config: SpectralConfig, *, lengths: ArrayLike | None = None) -> jax.Array:
    """Compute the short-time Fourier transform.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: Analysis configuration.
        lengths: Number of valid samples of each example, integers that broadcast against the leading axes; samples
            past them are ignored. By default all are valid.

    Returns:
        Complex spectra, (..., n_fft // 2 + 1, n_frames), complex64 (complex128 for float64), unscaled. Phases are
        relative to the start of each frame. With ``lengths``, frames past the valid ones equal those of silence.

    Raises:
        TypeError: If the audio is not real floating point, or ``lengths`` are not integers.
        ValueError: If the audio is empty or shorter than a frame, or the shape of ``lengths`` does not broadcast.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> stft(jnp.ones(1000), SpectralConfig(n_fft=256, n_mels=20)).shape
        (129, 16)

    Reference:
        ``librosa.stft``.
    """
    return pipeline.analyze(audio, config, lengths, measure=measure_stft, returns_spectra=True)


def magnitude_spectrogram(audio: ArrayLike, config: SpectralConfig, *, lengths: ArrayLike | None = None) -> jax.Array:
    """Compute the magnitude of the short-time Fourier transform.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: Analysis configuration.
        lengths: Number of valid samples of each example, integers that broadcast against the leading axes; samples
            past them are ignored. By default all are valid.

    Returns:
        Magnitudes, (..., n_fft // 2 + 1, n_frames), in the dtype of the audio. With ``lengths``, frames past the valid
        ones equal those of silence.

    Raises:
        TypeError: If the audio is not real floating point, or ``lengths`` are not integers.
        ValueError: If the audio is empty or shorter than a frame, or the shape of ``lengths`` does not broadcast.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> float(magnitude_spectrogram(jnp.ones(1024), SpectralConfig(n_fft=256, n_mels=20))[0, 8])
        128.0

    Reference:
        ``abs(librosa.stft(…))``.
    """
    return pipeline.analyze(audio, config, lengths, measure=measure_magnitude, returns_spectra=True)


def power_spectrogram(audio: ArrayLike, config: SpectralConfig, *, lengths: ArrayLike | None = None) -> jax.Array:
    """Compute the squared magnitude of the short-time Fourier transform.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: Analysis configuration.
        lengths: Number of valid samples of each example, integers that broadcast against the leading axes; samples
            past them are ignored. By default all are valid.

    Returns:
        Power, (..., n_fft // 2 + 1, n_frames), in the dtype of the audio; float16 overflows above 65504. With
        ``lengths``, frames past the valid ones equal those of silence.

    Raises:
        TypeError: If the audio is not real floating point, or ``lengths`` are not integers.
        ValueError: If the audio is empty or shorter than a frame, or the shape of ``lengths`` does not broadcast.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> float(power_spectrogram(jnp.ones(1024), SpectralConfig(n_fft=256, n_mels=20))[0, 8])
        16384.0

    Reference:
        ``abs(librosa.stft(…)) ** 2``.
    """
    return pipeline.analyze(audio, config, lengths, measure=measure_power, returns_spectra=True)


def instantaneous_frequency(audio: ArrayLike, config: SpectralConfig, *, lengths: ArrayLike | None = None) -> jax.Array:
    """Compute the instantaneous frequency of each bin: the time derivative of its phase.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: Analysis configuration.
        lengths: Number of valid samples of each example, integers that broadcast against the leading axes; samples
            past them are ignored. By default all are valid.

    Returns:
        Frequencies in Hz, 0 to half the sample rate, (..., n_fft // 2 + 1, n_frames), in the dtype of the audio; the
        center frequency of the bin where its magnitude is negligible. With ``lengths``, frames past the valid ones equal
        those of silence.

    Raises:
        TypeError: If the audio is not real floating point, or ``lengths`` are not integers.
        ValueError: If the audio is empty or shorter than a frame, or the shape of ``lengths`` does not broadcast.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> tone = jnp.sin(2 * jnp.pi * 1010 / 8000 * jnp.arange(2048.0))
        >>> config = SpectralConfig(sample_rate=8000, n_fft=256, n_mels=20)
        >>> round(float(instantaneous_frequency(tone, config)[32, 16]))
        1010

    Reference:
        Auger and Flandrin, "Improving the readability of time-frequency and time-scale representations by the
        reassignment method", 1995; ``librosa.reassigned_spectrogram``.
    """
    return pipeline.analyze(audio, config, lengths, measure=_measure_instantaneous_frequency, returns_spectra=True)


def measure_stft(frames: framing.Frames, config: SpectralConfig) -> jax.Array:
    """Compute complex spectra (..., n_freq, n_frames) of frames."""
    return frames.spectra.swapaxes(-1, -2)


def measure_magnitude(frames: framing.Frames, config: SpectralConfig) -> jax.Array:
    """Compute magnitudes (..., n_freq, n_frames) of frames."""
    return frames.magnitude.swapaxes(-1, -2)


def measure_power(frames: framing.Frames, config: SpectralConfig) -> jax.Array:
    """Compute power (..., n_freq, n_frames) of frames."""
    return frames.power.swapaxes(-1, -2)


def _measure_instantaneous_frequency(frames: framing.Frames, config: SpectralConfig) -> jax.Array:
    window = framing.frame_window(config)
    derivative = (np.roll(window, -1) - np.roll(window, 1)) / 2
    spectra, power = frames.spectra, frames.power
    # Bins this far below the strongest one contain rounding errors only.
    negligible = float(np.finfo(power.dtype).eps) ** 2 * lax.stop_gradient(power.max(axis=-1, keepdims=True))
    audible = ~(power <= jnp.maximum(negligible, _MIN_POWER))  # True for NaN
    rotation = jnp.imag(frames.windowed_spectra(derivative) * spectra.conj()) / jnp.where(audible, power, 1)
    deviation = jnp.where(audible, rotation, 0) * (config.sample_rate / (2 * np.pi))
    return jnp.clip(framing.aligned(config.frequencies, power) - deviation, 0, config.sample_rate / 2).swapaxes(-1, -2)


def istft(spectrum: ArrayLike, config: SpectralConfig, *, length: int, min_coverage: float = 0.0) -> jax.Array:
    """Compute the inverse short-time Fourier transform, by overlap-add over the sum of squared windows.

    Args:
        spectrum: Complex spectra, (..., n_fft // 2 + 1, n_frames).
        config: Configuration of the forward transform.
        length: Length of the result in samples; samples past the last frame are 0.
        min_coverage: Fraction of the full sum of squared windows below which the result fades out, 0 to 1. With 0 an
            unmodified spectrum is reconstructed exactly, but a modified one is amplified where only the edge of a
            window contributes, as at the end of a clip whose last frame is missing.

    Returns:
        Waveforms, (..., length), real. Samples that no window covers are 0, such as the first one of an uncentered Hann
        window. ``input_scale`` and ``preemphasis`` are inverted; the latter approximately if the window does not start
        at 0. The means that ``remove_dc`` subtracted are lost.

    Raises:
        TypeError: If the spectrum is not complex.
        ValueError: If the shape does not match the configuration, or the window and hop leave samples uncovered.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> config = SpectralConfig(n_fft=256, n_mels=20)
        >>> tone = jnp.sin(jnp.arange(1000.0))
        >>> bool(abs(istft(stft(tone, config), config, length=1000) - tone).max() < 1e-5)
        True

    Reference:
        Griffin and Lim, "Signal estimation from modified short-time Fourier transform", 1984;
        ``librosa.istft``.
    """
    pipeline.check_config(config)
    spectrum = pipeline.check_spectrogram(
        "spectrum", spectrum, rows="n_fft // 2 + 1", n_rows=config.n_freq, check_dtype=pipeline.check_complex
    )
    framing.check_invertible(config)
    check_integer("length", length, minimum=1, unit="samples")
    check_number("min_coverage", min_coverage, minimum=0.0, maximum=1.0)
    return _istft(spectrum, config=config, length=length, min_coverage=float(min_coverage))


def frame_response(config: SpectralConfig) -> NDArray[np.complex128]:
    """Compute the frequency response of input scaling and pre-emphasis, (n_freq,) complex128."""
    delay = np.exp(-2j * np.pi * np.arange(config.n_freq) / config.n_fft)
    return np.asarray(config.input_scale * (1 - config.preemphasis * delay), np.complex128)


@numerics.jit(static_argnames=["config", "length", "min_coverage"])
def _istft(spectrum: jax.Array, *, config: SpectralConfig, length: int, min_coverage: float) -> jax.Array:
    def invert(spectrum: jax.Array) -> jax.Array:
        audio = framing.synthesize(spectrum.swapaxes(-1, -2), config, length, min_coverage=min_coverage)
        audio = audio / config.input_scale
        return _deemphasize(audio, config.preemphasis) if config.preemphasis else audio

    return batch_local(invert, spectrum, core=2)


def _deemphasize(audio: jax.Array, coefficient: float) -> jax.Array:
    """Compute ``y[n] = x[n] + coefficient * y[n - 1]`` along the last axis."""

    def combine(left: tuple[jax.Array, jax.Array], right: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        return left[0] * right[0], left[1] * right[0] + right[1]

    decay = jnp.full_like(audio, coefficient)
    filtered: jax.Array = lax.associative_scan(combine, (decay, audio), axis=audio.ndim - 1)[1]
    return filtered
