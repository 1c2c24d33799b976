"""Phase vocoder: time stretching of spectra and audio without changing the pitch, with a traced rate."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_integer, check_number
from artifex.generative_models.core.numerics.batching import batch_local, vmap_in_chunks
from artifex.generative_models.extensions.audio_processing.spectral import framing, pipeline
from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig

# Minimum fraction of the full sum of squared windows; below it, unpadded ends of a clip fade out.
_MIN_COVERAGE = 0.03

_RealAndImag = tuple[jax.Array, jax.Array]

# Chunk size in samples on a CPU. A chunk fits into the cache; smaller chunks would leave threads idle.
_CHUNK_SAMPLES = 2**18


def phase_vocoder(spectrum: ArrayLike, rate: ArrayLike, *, n_frames: int) -> jax.Array:
    """Stretch spectra in time with a phase vocoder.

    Magnitudes are interpolated linearly between frames; the phase advance between two frames is preserved.

    Args:
        spectrum: Complex spectra, (..., freq, time).
        rate: Stretch factor, a scalar or one per example (broadcast against the leading axes), above 0; may be traced.
            Above 1 is faster.
        n_frames: Number of frames of the result; frames past the end of the input are 0.

    Returns:
        Complex spectra, (..., freq, n_frames). Frames from ``ceil(time / rate)`` on are 0.

    Raises:
        TypeError: If the spectrum is not complex.
        ValueError: If it is empty or has fewer than two axes, ``rate`` is a Python number that is not above 0, or the
            shape of ``rate`` does not broadcast.

    Example:
        >>> phase_vocoder(jnp.ones((5, 12), complex), 1.5, n_frames=8).shape
        (5, 8)

    Reference:
        Flanagan and Golden, "Phase vocoder", 1966; ``librosa.phase_vocoder``.
    """
    spectrum = pipeline.check_spectrogram("spectrum", spectrum, rows="freq", check_dtype=pipeline.check_complex)
    check_integer("n_frames", n_frames, minimum=1)
    _check_rate(rate, spectrum.shape[:-2])
    return _phase_vocoder(spectrum, rate, n_frames=n_frames)


def time_stretch(audio: ArrayLike, rate: ArrayLike, config: SpectralConfig, *, length: int) -> jax.Array:
    """Stretch audio in time without changing the pitch.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        rate: Stretch factor, a scalar or one per example (broadcast against the leading axes), above 0; may be traced.
            Above 1 is faster.
        config: Configuration of the transform; input scaling, DC removal and pre-emphasis are ignored.
        length: Length of the result in samples; the ``round(time / rate)`` samples of the stretched audio are trimmed
            or zero-padded to it.

    Returns:
        Waveforms, (..., length), in the dtype of the audio.

    Raises:
        TypeError: If the audio is not real floating point.
        ValueError: If the audio is empty or shorter than a frame, ``rate`` is a Python number that is not above 0, the
            shape of ``rate`` does not broadcast, or the window and hop leave samples uncovered.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> config = SpectralConfig(n_fft=256, n_mels=20)
        >>> time_stretch(jnp.sin(jnp.arange(1000.0)), 2.0, config, length=1000)[500:].any().item()
        False

    Reference:
        ``librosa.effects.time_stretch``.
    """
    audio = pipeline.check_audio(audio, config)
    framing.check_invertible(config)
    check_integer("length", length, minimum=1, unit="samples")
    _check_rate(rate, audio.shape[:-1])
    return _time_stretch(audio, rate, config=config, length=length)


def _stretch_example(spectra: jax.Array, rate: jax.Array, n_frames: int) -> jax.Array:
    """Stretch the spectra (time, freq) of one example to (n_frames, freq)."""
    last = len(spectra) - 1
    # Phases are unit complex numbers with real and imaginary parts in separate arrays: angles would lose precision as
    # they grow. Division and sqrt are used because XLA's rsqrt takes four times as long on a CPU.
    magnitude = numerics.safe_abs(spectra)
    audible = magnitude > framing.MIN_MAGNITUDE
    scale = 1 / jnp.where(audible, magnitude, 1)
    unit = jnp.where(audible, spectra.real * scale, 1), jnp.where(audible, spectra.imag * scale, 0)
    position = jnp.arange(n_frames, dtype=scale.dtype) * rate.astype(scale.dtype)
    index = jnp.clip(jnp.floor(position), 0, last).astype(np.int32)
    fraction = position - jnp.floor(position)

    def at(index: jax.Array) -> list[jax.Array]:
        parts = (*unit, magnitude)
        return [lax.dynamic_index_in_dim(part, index, keepdims=False) for part in parts]

    def step(phase: _RealAndImag, frame: tuple[jax.Array, ...]) -> tuple[_RealAndImag, _RealAndImag]:
        index, fraction, inside = frame
        (real, imag, level), (next_real, next_imag, next_level) = at(index), at(jnp.minimum(index + 1, last))
        # The last frame is followed by silence with phase 0.
        next_real, next_imag, next_level = (
            jnp.where(index < last, x, silence) for x, silence in ((next_real, 1), (next_imag, 0), (next_level, 0))
        )
        level = jnp.where(inside, (1 - fraction) * level + fraction * next_level, 0)
        # Advance the phase by the advance between the two frames.
        advance_real, advance_imag = next_real * real + next_imag * imag, next_imag * real - next_real * imag
        real = phase[0] * advance_real - phase[1] * advance_imag
        imag = phase[0] * advance_imag + phase[1] * advance_real
        # One step of Newton's method restores the length of 1 after rounding.
        correction = 1.5 - 0.5 * (jnp.square(real) + jnp.square(imag))
        return (real * correction, imag * correction), (level * phase[0], level * phase[1])

    inside = position < len(spectra)
    _, stretched = lax.scan(step, (unit[0][0], unit[1][0]), (index, fraction, inside))
    return lax.complex(*stretched)


def _check_rate(rate: ArrayLike, shape: tuple[int, ...]) -> None:
    if isinstance(rate, int | float):
        check_number("rate", rate, above=0.0)
    pipeline.check_broadcast("rate", rate, shape)


def _over_leading_axes(function: Callable[..., jax.Array], n_axes: int) -> Callable[..., jax.Array]:
    """Apply ``jax.vmap`` once for each leading axis."""
    for _ in range(n_axes):
        function = jax.vmap(function)
    return function


@numerics.jit(static_argnames=["n_frames"])
def _phase_vocoder(spectrum: jax.Array, rate: ArrayLike, *, n_frames: int) -> jax.Array:
    stretch = _over_leading_axes(vmap_in_chunks(partial(_stretch_example, n_frames=n_frames)), spectrum.ndim - 2)

    def stretch_local(spectrum: jax.Array, rate: jax.Array) -> jax.Array:
        return stretch(spectrum.swapaxes(-1, -2), rate).swapaxes(-1, -2)

    rates = jnp.broadcast_to(jnp.asarray(rate, spectrum.real.dtype), spectrum.shape[:-2])
    return batch_local(stretch_local, spectrum, rates, core=2)


@numerics.jit(static_argnames=["config", "length"])
def _time_stretch(audio: jax.Array, rate: ArrayLike, *, config: SpectralConfig, length: int) -> jax.Array:
    working = numerics.working_dtype(audio.dtype)
    n_frames = max(1, -(-(length + 2 * config.padding) // config.hop))
    plain = config.without_frame_processing()
    # At unpadded ends, only the edges of windows contribute; modified phases would be amplified there.
    min_coverage = 0.0 if 2 * config.padding >= config.frame_length - 1 else _MIN_COVERAGE

    @partial(vmap_in_chunks, chunk_size=max(1, _CHUNK_SAMPLES // audio.shape[-1]))
    def stretch_one(audio: jax.Array, rate: jax.Array) -> jax.Array:
        spectra = framing.compute_spectra(audio, plain)
        n_valid = jnp.ceil(spectra.shape[0] / rate)
        stretched = _stretch_example(spectra, rate, n_frames)
        stretched = framing.synthesize(stretched, plain, length, n_valid, min_coverage=min_coverage)
        inside = jnp.arange(length, dtype=working) < jnp.round(audio.shape[-1] / rate)
        return jnp.where(inside, stretched, 0)

    def stretch_local(audio: jax.Array, rate: jax.Array) -> jax.Array:
        return _over_leading_axes(stretch_one, rate.ndim)(audio.astype(working), rate).astype(audio.dtype)

    rates = jnp.broadcast_to(jnp.asarray(rate, working), audio.shape[:-1])
    return batch_local(stretch_local, audio, rates, core=1)
