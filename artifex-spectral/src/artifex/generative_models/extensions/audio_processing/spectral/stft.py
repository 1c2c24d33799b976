"""The short-time Fourier transform and its inverse."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from numpy.typing import NDArray

from artifex.generative_models.core.checks import check_integer, check_number
from artifex.generative_models.core.numerics.batching import batch_local
from artifex.generative_models.extensions.audio_processing.spectral.framing import (
    Frames,
    audio_of,
    check_invertible,
    frame_window,
)
from artifex.generative_models.extensions.audio_processing.spectral.pipeline import check_spectrum, feature

if TYPE_CHECKING:
    from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig

# A power below this has no phase to speak of: its square, which gradients divide by, vanishes in float32.
_LEAST_POWER = 1e-18


@feature(spectra=True)
def stft(frames: Frames, config: SpectralConfig) -> jax.Array:
    """Return the complex short-time Fourier transform.

    Returns:
        Spectra, (..., n_fft // 2 + 1, n_frames), complex64 (complex128 for float64), unscaled, phases relative to
        the start of each frame.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> stft(jnp.ones(1000), SpectralConfig(n_fft=256, n_mels=20)).shape
        (129, 16)

    Reference:
        ``librosa.stft``.
    """
    return frames.spectra.swapaxes(-1, -2)


@feature(spectra=True)
def magnitude_spectrogram(frames: Frames, config: SpectralConfig) -> jax.Array:
    """Return the magnitudes of the short-time Fourier transform.

    Returns:
        Magnitudes, (..., n_fft // 2 + 1, n_frames), in the audio's dtype.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> float(magnitude_spectrogram(jnp.ones(1024), SpectralConfig(n_fft=256, n_mels=20))[0, 8])
        128.0

    Reference:
        ``abs(librosa.stft(…))``.
    """
    return frames.magnitude.swapaxes(-1, -2)


@feature(spectra=True)
def power_spectrogram(frames: Frames, config: SpectralConfig) -> jax.Array:
    """Return the squared magnitudes of the short-time Fourier transform.

    Returns:
        Powers, (..., n_fft // 2 + 1, n_frames), in the audio's dtype; float16 overflows above 65504.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> float(power_spectrogram(jnp.ones(1024), SpectralConfig(n_fft=256, n_mels=20))[0, 8])
        16384.0

    Reference:
        ``abs(librosa.stft(…)) ** 2``.
    """
    return frames.power.swapaxes(-1, -2)


@feature(spectra=True)
def instantaneous_frequency(frames: Frames, config: SpectralConfig) -> jax.Array:
    """Return the frequency of what each bin hears: the derivative of its phase.

    Returns:
        Frequencies in Hz, 0 to half the sample rate, (..., n_fft // 2 + 1, n_frames), in the audio's dtype; the
        bin's own where it hears nothing.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> tone = jnp.sin(2 * jnp.pi * 1010 / 8000 * jnp.arange(2048))
        >>> config = SpectralConfig(sample_rate=8000, n_fft=256, n_mels=20)
        >>> round(float(instantaneous_frequency(tone, config)[32, 16]))
        1010

    Reference:
        Auger and Flandrin, "Improving the readability of time-frequency and time-scale representations by the
        reassignment method", 1995; ``librosa.reassigned_spectrogram``.
    """
    window = frame_window(config)
    slope = (np.roll(window, -1) - np.roll(window, 1)) / 2
    spectra, power = frames.spectra, frames.power
    # What lies further below the loudest bin than numbers are precise is rounding.
    least = float(np.finfo(power.dtype).eps) ** 2 * lax.stop_gradient(power.max(axis=-1, keepdims=True))
    heard = ~(power <= jnp.maximum(least, _LEAST_POWER))  # NaN is heard too
    turn = jnp.imag(frames.spectra_under(slope) * spectra.conj()) / jnp.where(heard, power, 1)
    bins = config.frequencies.astype(power.dtype)
    frequency = bins - jnp.where(heard, turn, 0) * (config.sample_rate / (2 * np.pi))
    return jnp.clip(frequency, 0, config.sample_rate / 2).swapaxes(-1, -2)


def istft(spectrum: ArrayLike, config: SpectralConfig, *, length: int, min_coverage: float = 0.0) -> jax.Array:
    """Return the waveform of a short-time Fourier transform: overlap-add over the sum of squared windows.

    Args:
        spectrum: Spectra, (..., n_fft // 2 + 1, n_frames), complex.
        config: The conventions that made them.
        length: Length of the result in samples; what no frame reaches is 0.
        min_coverage: The share of the full squared-window sum below which the result fades instead of being
            divided by next to nothing, 0 to 1. At 0 a spectrum that was not changed comes back exactly, but a
            changed one is blown up where only the rim of a window reaches, as at the end of a clip whose last
            frame is missing.

    Returns:
        Waveforms, (..., length), real. Where no window reaches (the first sample of an uncentered Hann window)
        it is 0. ``input_scale`` is undone, and so is ``preemphasis``, but for what it makes of the first sample of
        each frame under a window that does not start from 0; the means that ``remove_dc`` took are lost.

    Raises:
        TypeError: When the spectrum is not complex.
        ValueError: When its shape does not fit, or the window and hop leave samples that no window reaches.

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
    spectrum = jnp.asarray(spectrum)
    if not jnp.issubdtype(spectrum.dtype, np.complexfloating):
        raise TypeError(f"istft takes a complex spectrum, got {spectrum.dtype}; for magnitudes there is griffin_lim")
    check_spectrum("spectrum", spectrum, config.n_freq, "n_fft // 2 + 1")
    check_invertible(config)
    check_integer("length", length, minimum=1, unit="samples")
    check_number("min_coverage", min_coverage, minimum=0.0, maximum=1.0)
    audio: jax.Array = _istft(spectrum, config, length, float(min_coverage))
    return audio


def input_response(config: SpectralConfig) -> NDArray[np.complex128]:
    """Return what the scaling and pre-emphasis of frames do to a spectrum, (n_freq,) complex128."""
    turn = np.exp(-2j * np.pi * np.arange(config.n_freq) / config.n_fft)
    return np.asarray(config.input_scale * (1 - config.preemphasis * turn))


def _deemphasized(audio: jax.Array, share: float) -> jax.Array:
    """Return ``y[n] = x[n] + share * y[n - 1]`` along the last axis."""

    def joined(left: tuple[jax.Array, jax.Array], right: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        return left[0] * right[0], left[1] * right[0] + right[1]

    decay = jnp.full_like(audio, share)
    found: jax.Array = lax.associative_scan(joined, (decay, audio), axis=audio.ndim - 1)[1]
    return found


@partial(jax.jit, static_argnums=(1, 2, 3))
def _istft(spectrum: jax.Array, config: SpectralConfig, length: int, min_coverage: float) -> jax.Array:
    def local(spectrum: jax.Array) -> jax.Array:
        spectra = spectrum.swapaxes(-1, -2)
        audio = audio_of(spectra, config, length, min_coverage=min_coverage) / config.input_scale
        return _deemphasized(audio, config.preemphasis) if config.preemphasis else audio

    audio: jax.Array = batch_local(local, spectrum, core=2)
    return audio
