"""From magnitudes and mel bands back to waveforms."""

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from numpy.typing import NDArray

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_integer, check_number
from artifex.generative_models.extensions.audio_processing.spectral.mel import mel_filters
from artifex.generative_models.extensions.audio_processing.spectral.stft import (
    audio_of,
    batch_local,
    check_invertible,
    check_real,
    check_spectrum,
    phasor,
    spectra_of,
)

if TYPE_CHECKING:
    from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig

# Mel powers below this are silence: -180 dB, and far above where the gradient of a quotient overflows in
# float32.
_SILENCE = 1e-18


def griffin_lim(
    magnitude: ArrayLike,
    config: SpectralConfig,
    *,
    length: int,
    n_iter: int = 32,
    momentum: float = 0.99,
    key: jax.Array | None = None,
) -> jax.Array:
    """Find a waveform whose spectrum has given magnitudes: the fast Griffin-Lim algorithm.

    Args:
        magnitude: Magnitudes, (..., n_fft // 2 + 1, n_frames), real; at most as many frames as ``length``
            samples make.
        config: The conventions that made them.
        length: Length of the result in samples.
        n_iter: Number of iterations, at least 0.
        momentum: How far each iteration goes beyond the last, from 0 (the original algorithm) to 1.
        key: Draws the phases to start from; with leading axes, example i (counted along them) starts as it
            would alone under ``jax.random.split(key, n)[i]``. None starts from phases of 0, which settle less
            well.

    Returns:
        Waveforms, (..., length), in the dtype of ``magnitude``.

    Raises:
        TypeError: When the magnitudes are not real.
        ValueError: When shapes do not fit, or the window and hop leave samples that no window reaches.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> config = SpectralConfig(n_fft=256, n_mels=20)
        >>> griffin_lim(jnp.ones((129, 16)), config, length=1000, key=jax.random.key(0)).shape
        (1000,)

    Reference:
        Perraudin, Balazs and Søndergaard, "A fast Griffin-Lim algorithm", 2013; ``librosa.griffinlim``.
    """
    magnitude = jnp.asarray(magnitude)
    check_real("griffin_lim", magnitude)
    check_spectrum("magnitude", magnitude, config.n_freq, "n_fft // 2 + 1")
    _check_synthesis(config, magnitude.shape[-1], length, n_iter)
    check_number("momentum", momentum, minimum=0.0, maximum=1.0)
    audio: jax.Array = _griffin_lim(magnitude, config, length, n_iter, float(momentum), key)
    return audio


def mel_to_magnitude(mel: ArrayLike, config: SpectralConfig, *, n_iter: int = 50) -> jax.Array:
    """Find non-negative magnitudes whose power has given mel bands.

    It starts from the pseudo-inverse and takes multiplicative steps, which keep powers positive and treat
    loud and quiet bands alike.

    Args:
        mel: Powers in mel bands, (..., n_mels, n_frames), real; what is negative counts as 0.
        config: The conventions that made them.
        n_iter: Number of steps, at least 0.

    Returns:
        Magnitudes, (..., n_fft // 2 + 1, n_frames), in the dtype of ``mel``; 0 at frequencies that no band
        reaches.

    Raises:
        TypeError: When the powers are not real.
        ValueError: When the shape does not fit.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> mel_to_magnitude(jnp.ones((20, 16)), SpectralConfig(n_fft=256, n_mels=20)).shape
        (129, 16)

    Reference:
        Lee and Seung, "Algorithms for non-negative matrix factorization", 2000 (the divergence), for one
        factor.
    """
    mel = jnp.asarray(mel)
    check_real("mel_to_magnitude", mel)
    check_spectrum("mel", mel, config.n_mels, "n_mels")
    check_integer("n_iter", n_iter, minimum=0)
    magnitude: jax.Array = _mel_to_magnitude(mel, config, n_iter)
    return magnitude


def mel_to_audio(
    mel: ArrayLike, config: SpectralConfig, *, length: int, n_iter: int = 32, key: jax.Array | None = None
) -> jax.Array:
    """Find a waveform that has given mel bands: ``mel_to_magnitude``, then ``griffin_lim``.

    Args:
        mel: Powers in mel bands, (..., n_mels, n_frames), real.
        config: The conventions that made them.
        length: Length of the result in samples.
        n_iter: Number of Griffin-Lim iterations, at least 0.
        key: Draws the phases to start from, as ``griffin_lim`` has it.

    Returns:
        Waveforms, (..., length), in the dtype of ``mel``.

    Raises:
        TypeError: When the powers are not real.
        ValueError: When shapes do not fit, or the window and hop leave samples that no window reaches.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> mel_to_audio(jnp.ones((20, 16)), SpectralConfig(n_fft=256, n_mels=20), length=1000).shape
        (1000,)

    Reference:
        ``librosa.feature.inverse.mel_to_audio``.
    """
    mel = jnp.asarray(mel)
    check_real("mel_to_audio", mel)
    # The magnitudes in between stay in the dtype of the computation.
    magnitude = mel_to_magnitude(mel.astype(numerics.working_dtype(mel.dtype)), config)
    return griffin_lim(magnitude, config, length=length, n_iter=n_iter, key=key).astype(mel.dtype)


def _check_synthesis(config: SpectralConfig, n_frames: int, length: int, n_iter: int) -> None:
    check_invertible(config)
    check_integer("length", length, minimum=1, unit="samples")
    check_integer("n_iter", n_iter, minimum=0)
    if n_frames > config.n_frames(length):
        raise ValueError(
            f"{n_frames} frames are more than the {config.n_frames(length)} that length {length} makes at "
            f"hop_length {config.hop}; lengthen it or leave frames out"
        )


def _first_phases(key: jax.Array | None, shape: tuple[int, ...], dtype: np.dtype[np.float64]) -> jax.Array:
    """Unit complex numbers (..., n_freq, n_frames) to start from."""
    if key is None:
        cycles = jnp.zeros(shape, dtype)
    elif len(shape) == 2:
        cycles = numerics.uniform(key, shape, dtype)
    else:
        keys = jax.random.split(key, math.prod(shape[:-2]))
        cycles = jax.vmap(lambda k: numerics.uniform(k, shape[-2:], dtype))(keys).reshape(shape)
    return lax.complex(numerics.cos2pi(cycles), numerics.sin2pi(cycles))


@partial(jax.jit, static_argnums=(1, 2, 3, 4))
def _griffin_lim(
    magnitude: jax.Array,
    config: SpectralConfig,
    length: int,
    n_iter: int,
    momentum: float,
    key: jax.Array | None,
) -> jax.Array:
    working = numerics.working_dtype(magnitude.dtype)
    n_frames = magnitude.shape[-1]
    share = momentum / (1 + momentum)

    def local(magnitude: jax.Array, phases: jax.Array) -> jax.Array:
        target = magnitude.astype(working).swapaxes(-1, -2)

        def step(_: int, state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            estimate, previous = state
            rebuilt = spectra_of(audio_of(estimate, config, length), config)[..., :n_frames, :]
            return target * phasor(rebuilt - share * previous, 0.0), rebuilt

        first = target * phases.swapaxes(-1, -2)
        estimate, _ = lax.fori_loop(0, n_iter, step, (first, jnp.zeros_like(first)))
        return audio_of(estimate, config, length).astype(magnitude.dtype)

    audio: jax.Array = batch_local(local, magnitude, _first_phases(key, magnitude.shape, working), core=2)
    return audio


@lru_cache(maxsize=16)
def _pseudo_inverse(config: SpectralConfig) -> NDArray[np.float64]:
    return np.asarray(np.linalg.pinv(mel_filters(config)), dtype=np.float64)


@partial(jax.jit, static_argnums=(1, 2))
def _mel_to_magnitude(mel: jax.Array, config: SpectralConfig, n_iter: int) -> jax.Array:
    working = numerics.working_dtype(mel.dtype)
    table = mel_filters(config)
    filters, start = table.astype(working), _pseudo_inverse(config).astype(working)
    row_sums, column_sums = table.sum(axis=1, keepdims=True), table.sum(axis=0)[:, None]
    # One over the weight that reaches each frequency, and 0 where none does.
    spread = np.where(column_sums > 0, 1 / np.where(column_sums > 0, column_sums, 1), 0).astype(working)
    level = np.where(row_sums > 0, 1 / np.where(row_sums > 0, row_sums, 1), 0).astype(working)

    def apply(matrix: NDArray[np.floating], x: jax.Array) -> jax.Array:
        return jnp.einsum("ij,...jt->...it", matrix, x, precision=lax.Precision.HIGHEST)

    def local(mel: jax.Array) -> jax.Array:
        target = jnp.maximum(mel.astype(working), 0)

        def step(_: int, power: jax.Array) -> jax.Array:
            reached = apply(filters, power)
            ratio = jnp.where(reached > _SILENCE, target / jnp.where(reached > _SILENCE, reached, 1), 0)
            return power * apply(filters.T, ratio) * spread

        # A multiplicative step cannot leave 0, so that no frequency starts much below the level of its bands.
        least = 1e-3 * apply(filters.T, target * level) * spread
        power = lax.fori_loop(0, n_iter, step, jnp.maximum(apply(start, target), least))
        return numerics.safe_sqrt(power).astype(mel.dtype)

    magnitude: jax.Array = batch_local(local, mel, core=2)
    return magnitude
