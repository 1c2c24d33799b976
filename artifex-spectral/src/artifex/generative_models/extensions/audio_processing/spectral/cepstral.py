"""Cepstral coefficients: from mel bands, from linear bands, and back."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

from artifex.generative_models.core.checks import check_integer
from artifex.generative_models.extensions.audio_processing.spectral.framing import Frames
from artifex.generative_models.extensions.audio_processing.spectral.levels import finished_level
from artifex.generative_models.extensions.audio_processing.spectral.mel import log_mel_spectrogram
from artifex.generative_models.extensions.audio_processing.spectral.pipeline import feature

if TYPE_CHECKING:
    from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig

DCT_NORMS = ("ortho", "htk", None)

_Levels = tuple[jax.Array, jax.Array | None]


def check_n_mfcc(config: SpectralConfig, n_mfcc: int | None) -> None:
    """Raise unless there are so many coefficients."""
    if n_mfcc is None:
        return
    check_integer("n_mfcc", n_mfcc, minimum=1)
    if n_mfcc > config.n_mels:
        raise ValueError(
            f"n_mfcc {n_mfcc} is above n_mels {config.n_mels}: there are no more coefficients than mel bands"
        )


def _coefficients(
    measured: _Levels, config: SpectralConfig, n_valid: jax.Array | None, *, n_mfcc: int | None = None
) -> jax.Array:
    levels, energy = measured
    table = cepstral_table(n_mfcc or config.n_cepstra, config.n_mels, config.dct_norm, config.lifter)
    levels = finished_level(levels, config)
    cepstra = jnp.einsum("cm,...mt->...ct", table.astype(levels.dtype), levels, precision=lax.Precision.HIGHEST)
    if energy is not None:
        cepstra = jnp.concatenate([energy[..., None, :], cepstra[..., 1:, :]], axis=-2)
    return jnp.roll(cepstra, -1, axis=-2) if config.c0_last else cepstra


@feature(finish=_coefficients, check=check_n_mfcc)
def mfcc(frames: Frames, config: SpectralConfig, *, n_mfcc: int | None = None) -> _Levels:
    """Return mel-frequency cepstral coefficients: the DCT-II of the mel levels.

    Options:
        n_mfcc: Number of coefficients, at most ``n_mels``; None for ``config.n_cepstra``.

    Returns:
        Coefficients, (..., n_mfcc, n_frames), in the audio's dtype.

    Raises:
        ValueError: When ``n_mfcc`` is above ``n_mels``.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> mfcc(jnp.ones(1000), SpectralConfig(n_fft=256, n_mels=20), n_mfcc=5).shape
        (5, 16)

    Reference:
        Davis and Mermelstein, 1980; ``librosa.feature.mfcc``; the lifter and the energy as Kaldi and HTK.
    """
    levels = log_mel_spectrogram.measure(frames, config)
    if not config.use_energy:
        return levels, None
    energy = jnp.sum(jnp.square(frames.samples), axis=-1)
    return levels, jnp.log(jnp.maximum(energy, np.finfo(np.float32).eps))


def _linear(config: SpectralConfig) -> SpectralConfig:
    return config.evolve(mel_scale="linear", mel_norm=None, filter_shape="hz")


def _linear_coefficients(
    measured: _Levels, config: SpectralConfig, n_valid: jax.Array | None, *, n_lfcc: int | None = None
) -> jax.Array:
    return _coefficients(measured, _linear(config), n_valid, n_mfcc=n_lfcc)


@feature(finish=_linear_coefficients, check=lambda config, n_lfcc: check_n_mfcc(config, n_lfcc))
def lfcc(frames: Frames, config: SpectralConfig, *, n_lfcc: int | None = None) -> _Levels:
    """Return linear-frequency cepstral coefficients: as ``mfcc``, of bands that are evenly spaced in Hz.

    Options:
        n_lfcc: Number of coefficients, at most ``n_mels``; None for ``config.n_cepstra``.

    Returns:
        Coefficients, (..., n_lfcc, n_frames), in the audio's dtype.

    Raises:
        ValueError: When ``n_lfcc`` is above ``n_mels``.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> lfcc(jnp.ones(1000), SpectralConfig(n_fft=256, n_mels=20), n_lfcc=5).shape
        (5, 16)

    Reference:
        ``torchaudio.transforms.LFCC``.
    """
    levels: _Levels = mfcc.measure(frames, _linear(config))
    return levels


def lifter_weights(n: int, lifter: float) -> NDArray[np.float64]:
    """Return what a lifter multiplies the first coefficients by, (n,) float64."""
    weights: NDArray[np.float64] = 1 + lifter / 2 * np.sin(np.pi * np.arange(n) / lifter)
    return weights


@lru_cache(maxsize=64)
def cepstral_table(n_out: int, n_in: int, norm: str | None = "ortho", lifter: float = 0.0) -> NDArray[np.float64]:
    """Return the first rows of the DCT-II, liftered, (n_out, n_in) float64, not writeable."""
    order = np.arange(n_out)
    table: NDArray[np.float64] = np.cos(np.pi / n_in * order[:, None] * (np.arange(n_in) + 0.5))
    table *= 2.0 if norm is None else np.sqrt(2 / n_in)
    if norm == "ortho":
        table[0] *= np.sqrt(0.5)
    if lifter:
        table *= lifter_weights(n_out, lifter)[:, None]
    table.flags.writeable = False
    return table
