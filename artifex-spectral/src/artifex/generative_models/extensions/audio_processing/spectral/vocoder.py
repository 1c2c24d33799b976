"""The phase vocoder: spectra and audio played faster or slower at the same pitch, the rate traced."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_integer, check_number
from artifex.generative_models.core.numerics.batching import batch_local, vmap_in_chunks
from artifex.generative_models.extensions.audio_processing.spectral.framing import (
    audio_of,
    check_invertible,
    spectra_of,
)
from artifex.generative_models.extensions.audio_processing.spectral.pipeline import (
    check_audio,
    check_spectrum,
)

if TYPE_CHECKING:
    from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig

# A magnitude below this has no phase to speak of: its square, which gradients divide by, vanishes in float32.
_LEAST_MAGNITUDE = 1e-18

# The share of the full squared-window sum that the ends of a clip are divided by at the least.
_MIN_COVERAGE = 0.03

# Samples of the rows that go through a CPU's cache together: with too few its threads and its FFTs have little to share.
_AT_ONCE = 2**18


def phase_vocoder(spectrum: ArrayLike, rate: ArrayLike, *, n_frames: int) -> jax.Array:
    """Play spectra faster or slower and keep their frequencies.

    Between two frames magnitudes are interpolated; phases advance by what they advanced between the two
    frames.

    Args:
        spectrum: Spectra, (..., freq, time), complex.
        rate: Speed, a scalar or one per example (broadcast against the leading axes), above 0; may be traced.
            Above 1 is faster.
        n_frames: Number of frames of the result; those past the end of the input are 0.

    Returns:
        Spectra, (..., freq, n_frames), complex, of which the first ``ceil(time / rate)`` frames are filled.

    Raises:
        TypeError: When the spectrum is not complex.
        ValueError: When its shape does not fit, or ``rate`` is a Python number that is not above 0.

    Example:
        >>> phase_vocoder(jnp.ones((5, 12), complex), 1.5, n_frames=8).shape
        (5, 8)

    Reference:
        Flanagan and Golden, "Phase vocoder", 1966; ``librosa.phase_vocoder``.
    """
    spectrum = jnp.asarray(spectrum)
    if not jnp.issubdtype(spectrum.dtype, np.complexfloating):
        raise TypeError(f"phase_vocoder takes a complex spectrum, got {spectrum.dtype}")
    check_spectrum("spectrum", spectrum)
    check_integer("n_frames", n_frames, minimum=1)
    stretched: jax.Array = _phase_vocoder(spectrum, _checked_rate(rate), n_frames)
    return stretched


def time_stretch(audio: ArrayLike, rate: ArrayLike, config: SpectralConfig, *, length: int) -> jax.Array:
    """Play audio faster or slower at the same pitch.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        rate: Speed, a scalar or one per example (broadcast against the leading axes), above 0; may be traced.
            Above 1 is faster.
        config: The conventions of the transform in between; its scaling, pre-emphasis and removal of means are left out.
        length: Length of the result in samples; the stretched audio of ``round(time / rate)`` samples is cut
            or padded with zeros to it.

    Returns:
        Waveforms, (..., length), in the audio's dtype.

    Raises:
        TypeError: When the audio is not of a real floating dtype.
        ValueError: When it is empty, or uncentered and shorter than a frame, when ``rate`` is a Python number
            that is not above 0, or when the window and hop leave samples that no window reaches.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> config = SpectralConfig(n_fft=256, n_mels=20)
        >>> time_stretch(jnp.sin(jnp.arange(1000.0)), 2.0, config, length=1000)[500:].any().item()
        False

    Reference:
        ``librosa.effects.time_stretch``.
    """
    audio = check_audio(audio, config)
    check_invertible(config)
    check_integer("length", length, minimum=1, unit="samples")
    stretched: jax.Array = _time_stretch(audio, _checked_rate(rate), config, length)
    return stretched


def _checked_rate(rate: ArrayLike) -> ArrayLike:
    if isinstance(rate, int | float):
        check_number("rate", rate, above=0.0)
    return rate


def _stretched(spectra: jax.Array, rate: jax.Array, n_frames: int) -> jax.Array:
    """The phase vocoder on one example (time, freq): (n_frames, freq)."""
    last = len(spectra) - 1
    # Reals and imaginary parts by themselves, and phases as unit numbers: no angle is ever taken, and none grows. Division
    # and sqrt, since XLA's rsqrt costs four times as much on a CPU.
    magnitude = numerics.safe_abs(spectra)
    heard = magnitude > _LEAST_MAGNITUDE
    scale = 1 / jnp.where(heard, magnitude, 1)
    unit = jnp.where(heard, spectra.real * scale, 1), jnp.where(heard, spectra.imag * scale, 0)
    step = jnp.arange(n_frames, dtype=scale.dtype) * rate.astype(scale.dtype)
    place = jnp.clip(jnp.floor(step), 0, last).astype(np.int32)
    share = step - jnp.floor(step)

    def frame(phase: tuple[jax.Array, jax.Array], at: tuple[jax.Array, ...]) -> tuple[Any, Any]:
        place, share, sounds = at
        (here, here_i, loud), (there, there_i, later) = (
            [lax.dynamic_index_in_dim(part, index, keepdims=False) for part in (*unit, magnitude)]
            for index in (place, jnp.minimum(place + 1, last))
        )
        # After the last frame comes silence, which has no phase.
        there, there_i, later = (jnp.where(place < last, x, none) for x, none in ((there, 1), (there_i, 0), (later, 0)))
        level = jnp.where(sounds, (1 - share) * loud + share * later, 0)
        # From frame to frame the phase advances by what it advanced between the two frames.
        turn, turn_i = there * here + there_i * here_i, there_i * here - there * here_i
        real, imaginary = phase[0] * turn - phase[1] * turn_i, phase[0] * turn_i + phase[1] * turn
        # One step of Newton's undoes what rounding did to a length of 1.
        back_to_one = 1.5 - 0.5 * (jnp.square(real) + jnp.square(imaginary))
        return (real * back_to_one, imaginary * back_to_one), (level * phase[0], level * phase[1])

    _, louds = lax.scan(frame, (unit[0][0], unit[1][0]), (place, share, step < len(spectra)))
    return lax.complex(*louds)


def _broadcast_rate(rate: ArrayLike, shape: tuple[int, ...], dtype: np.dtype[Any]) -> jax.Array:
    return jnp.broadcast_to(jnp.asarray(rate, dtype), shape)


@partial(jax.jit, static_argnums=(2,))
def _phase_vocoder(spectrum: jax.Array, rate: ArrayLike, n_frames: int) -> jax.Array:
    one = jnp.vectorize(vmap_in_chunks(partial(_stretched, n_frames=n_frames)), signature="(t,f),()->(u,f)")

    def local(spectrum: jax.Array, rate: jax.Array) -> jax.Array:
        stretched: jax.Array = one(spectrum.swapaxes(-1, -2), rate).swapaxes(-1, -2)
        return stretched

    rates = _broadcast_rate(rate, spectrum.shape[:-2], spectrum.real.dtype)
    stretched: jax.Array = batch_local(local, spectrum, rates, core=2)
    return stretched


@partial(jax.jit, static_argnums=(2, 3))
def _time_stretch(audio: jax.Array, rate: ArrayLike, config: SpectralConfig, length: int) -> jax.Array:
    working = numerics.working_dtype(audio.dtype)
    n_frames = max(1, -(-(length + 2 * config.padding) // config.hop))
    plain = config.plain
    # Ends that are not padded lie under the rim of a window alone, where changed phases would be blown up.
    least = 0.0 if 2 * config.padding >= config.frame - 1 else _MIN_COVERAGE

    @partial(vmap_in_chunks, chunk_size=max(1, _AT_ONCE // audio.shape[-1]))
    def one(audio: jax.Array, rate: jax.Array) -> jax.Array:
        spectra = spectra_of(audio, plain)
        n_valid = jnp.ceil(spectra.shape[0] / rate)
        stretched = audio_of(_stretched(spectra, rate, n_frames), plain, length, n_valid, min_coverage=least)
        return jnp.where(jnp.arange(length) < jnp.round(audio.shape[-1] / rate), stretched, 0)

    def local(audio: jax.Array, rate: jax.Array) -> jax.Array:
        each = jnp.vectorize(one, signature="(n),()->(m)")
        stretched: jax.Array = each(audio.astype(working), rate)
        return stretched.astype(audio.dtype)

    stretched: jax.Array = batch_local(local, audio, _broadcast_rate(rate, audio.shape[:-1], working), core=1)
    return stretched
