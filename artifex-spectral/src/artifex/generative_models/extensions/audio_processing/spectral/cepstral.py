"""Cepstral coefficients on the mel and linear frequency scales."""

from __future__ import annotations

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from numpy.typing import NDArray

from artifex.generative_models.core.checks import check_integer
from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig
from artifex.generative_models.extensions.audio_processing.spectral.framing import Frames
from artifex.generative_models.extensions.audio_processing.spectral.levels import clip_and_scale_levels
from artifex.generative_models.extensions.audio_processing.spectral.mel import measure_log_mel
from artifex.generative_models.extensions.audio_processing.spectral.pipeline import analyze

_LevelsAndEnergy = tuple[jax.Array, jax.Array | None]


def mfcc(
    audio: ArrayLike, config: SpectralConfig, *, n_mfcc: int | None = None, lengths: ArrayLike | None = None
) -> jax.Array:
    """Compute mel-frequency cepstral coefficients: the DCT-II of the log-mel spectrogram.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: Analysis configuration.
        n_mfcc: Number of coefficients, at most ``n_mels``; None for ``config.n_cepstra``.
        lengths: Number of valid samples of each example, integers that broadcast against the leading axes; samples
            past them are ignored. By default all are valid.

    Returns:
        Coefficients, (..., n_mfcc, n_frames), in the dtype of the audio. With ``lengths``, frames past the valid ones
        equal those of silence.

    Raises:
        TypeError: If the audio is not real floating point, or ``lengths`` are not integers.
        ValueError: If the audio is empty or shorter than a frame, or the shape of ``lengths`` does not broadcast;
            if ``n_mfcc`` is above ``n_mels``.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> mfcc(jnp.ones(1000), SpectralConfig(n_fft=256, n_mels=20), n_mfcc=5).shape
        (5, 16)

    Reference:
        Davis and Mermelstein, "Comparison of parametric representations for monosyllabic word recognition in
        continuously spoken sentences", 1980; ``librosa.feature.mfcc``; lifter and energy as in Kaldi and HTK.
    """
    n_coefficients = _check_count("n_mfcc", n_mfcc, config)
    return analyze(
        audio, config, lengths, measure=measure_mfcc, finish=finish_mfcc, options={"n_coefficients": n_coefficients}
    )


def lfcc(
    audio: ArrayLike, config: SpectralConfig, *, n_lfcc: int | None = None, lengths: ArrayLike | None = None
) -> jax.Array:
    """Compute linear-frequency cepstral coefficients: MFCC with triangular bands that are evenly spaced in Hz.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: Analysis configuration.
        n_lfcc: Number of coefficients, at most ``n_mels``; None for ``config.n_cepstra``.
        lengths: Number of valid samples of each example, integers that broadcast against the leading axes; samples
            past them are ignored. By default all are valid.

    Returns:
        Coefficients, (..., n_lfcc, n_frames), in the dtype of the audio. With ``lengths``, frames past the valid ones
        equal those of silence.

    Raises:
        TypeError: If the audio is not real floating point, or ``lengths`` are not integers.
        ValueError: If the audio is empty or shorter than a frame, or the shape of ``lengths`` does not broadcast;
            if ``n_lfcc`` is above ``n_mels``.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> lfcc(jnp.ones(1000), SpectralConfig(n_fft=256, n_mels=20), n_lfcc=5).shape
        (5, 16)

    Reference:
        ``torchaudio.transforms.LFCC``.
    """
    n_coefficients = _check_count("n_lfcc", n_lfcc, config)
    return analyze(
        audio, config, lengths, measure=_measure_lfcc, finish=finish_mfcc, options={"n_coefficients": n_coefficients}
    )


def measure_mfcc(frames: Frames, config: SpectralConfig, *, n_coefficients: int | None = None) -> _LevelsAndEnergy:
    """Compute log-mel levels (..., n_mels, n_frames) and, with ``use_energy``, log energies (..., n_frames)."""
    levels = measure_log_mel(frames, config)
    if not config.use_energy:
        return levels, None
    energy = jnp.sum(jnp.square(frames.samples), axis=-1)
    return levels, jnp.log(jnp.maximum(energy, float(np.finfo(np.float32).eps)))


def finish_mfcc(
    measured: _LevelsAndEnergy,
    config: SpectralConfig,
    n_valid: jax.Array | None,
    *,
    n_coefficients: int | None = None,
) -> jax.Array:
    """Compute cepstral coefficients (..., n_coefficients, n_frames) from the results of ``measure_mfcc``."""
    levels, energy = measured
    table = dct_table(n_coefficients or config.n_cepstra, config.n_mels, config.dct_norm, config.lifter)
    levels = clip_and_scale_levels(levels, config)
    cepstra = jnp.einsum("cm,...mt->...ct", table.astype(levels.dtype), levels, precision=lax.Precision.HIGHEST)
    if energy is not None:
        cepstra = jnp.concatenate([energy[..., None, :], cepstra[..., 1:, :]], axis=-2)
    return jnp.roll(cepstra, -1, axis=-2) if config.c0_last else cepstra


def lifter_weights(n: int, lifter: float) -> NDArray[np.float64]:
    """Compute the weights of a cepstral lifter, (n,) float64."""
    weights: NDArray[np.float64] = 1 + lifter / 2 * np.sin(np.pi * np.arange(n) / lifter)
    return weights


@lru_cache(maxsize=64)
def dct_table(n_out: int, n_in: int, norm: str | None = "ortho", lifter: float = 0.0) -> NDArray[np.float64]:
    """Create the matrix of the first coefficients of a DCT-II, multiplied by the weights of a lifter.

    Args:
        n_out: Number of coefficients.
        n_in: Number of values.
        norm: Normalization, as in ``SpectralConfig.dct_norm``.
        lifter: Cepstral lifter; 0 for none.

    Returns:
        Matrix, (n_out, n_in) float64. The array is cached and read-only.
    """
    order = np.arange(n_out)
    table: NDArray[np.float64] = np.cos(np.pi / n_in * order[:, None] * (np.arange(n_in) + 0.5))
    table *= 2.0 if norm is None else np.sqrt(2 / n_in)
    if norm == "ortho":
        table[0] *= np.sqrt(0.5)
    if lifter:
        table *= lifter_weights(n_out, lifter)[:, None]
    table.flags.writeable = False
    return table


def _check_count(name: str, count: int | None, config: SpectralConfig) -> int | None:
    """Validate the number of coefficients."""
    if count is None:
        return None
    check_integer(name, count, minimum=1)
    if count > config.n_mels:
        raise ValueError(f"{name} must be at most n_mels {config.n_mels}, got {count}; lower it or raise n_mels")
    return int(count)


def _measure_lfcc(frames: Frames, config: SpectralConfig, *, n_coefficients: int | None) -> _LevelsAndEnergy:
    return measure_mfcc(frames, config.evolve(mel_scale="linear", mel_norm=None, filter_shape="hz"))
