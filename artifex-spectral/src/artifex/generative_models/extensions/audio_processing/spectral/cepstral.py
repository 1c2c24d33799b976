"""Cepstral coefficients."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from numpy.typing import NDArray

from artifex.generative_models.core.checks import check_integer
from artifex.generative_models.extensions.audio_processing.spectral.mel import log_mel_of
from artifex.generative_models.extensions.audio_processing.spectral.stft import analyse

if TYPE_CHECKING:
    from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig


def mfcc(audio: ArrayLike, config: SpectralConfig, *, n_mfcc: int = 13) -> jax.Array:
    """Return mel-frequency cepstral coefficients: the orthonormal DCT-II of the mel levels in dB.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: The conventions.
        n_mfcc: Number of coefficients, at most ``n_mels``.

    Returns:
        Coefficients, (..., n_mfcc, n_frames), in the audio's dtype.

    Raises:
        TypeError: When the audio is not of a real floating dtype.
        ValueError: When it is empty, or uncentred and shorter than a frame, or ``n_mfcc`` is above
            ``n_mels``.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> mfcc(jnp.ones(1000), SpectralConfig(n_fft=256, n_mels=20), n_mfcc=5).shape
        (5, 16)

    Reference:
        Davis and Mermelstein, 1980; ``librosa.feature.mfcc``.
    """
    check_integer("n_mfcc", n_mfcc, minimum=1)
    if n_mfcc > config.n_mels:
        raise ValueError(
            f"n_mfcc {n_mfcc} is above n_mels {config.n_mels}: there are no more coefficients than mel bands"
        )
    return analyse(audio, config, mfcc_of, n_mfcc)


@lru_cache(maxsize=64)
def dct_table(n_out: int, n_in: int) -> NDArray[np.float64]:
    """Return the first rows of the orthonormal DCT-II, (n_out, n_in) float64, not writeable."""
    table: NDArray[np.float64] = np.cos(np.pi / n_in * np.arange(n_out)[:, None] * (np.arange(n_in) + 0.5)) * np.sqrt(
        2 / n_in
    )
    table[0] *= np.sqrt(0.5)
    table.flags.writeable = False
    return table


def mfcc_of(spectra: jax.Array, config: SpectralConfig, n_mfcc: int) -> jax.Array:
    """Return coefficients (..., n_mfcc, n_frames) of spectra (..., n_frames, n_freq)."""
    levels = log_mel_of(spectra, config)
    table = dct_table(n_mfcc, config.n_mels).astype(levels.dtype)
    return jnp.einsum("cm,...mt->...ct", table, levels, precision=lax.Precision.HIGHEST)
