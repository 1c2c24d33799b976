"""Chroma: how strong each pitch class is, whatever its octave."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

from artifex.generative_models.core.checks import check_integer, check_number
from artifex.generative_models.extensions.audio_processing.spectral.features import normalized
from artifex.generative_models.extensions.audio_processing.spectral.framing import Frames
from artifex.generative_models.extensions.audio_processing.spectral.pipeline import feature

if TYPE_CHECKING:
    from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig

_A0 = 27.5


def _check(config: SpectralConfig, n_chroma: int, tuning: float) -> None:
    check_integer("n_chroma", n_chroma, minimum=1)
    check_number("tuning", tuning, unit="chroma bins")


@feature(check=_check)
def chroma(frames: Frames, config: SpectralConfig, *, n_chroma: int = 12, tuning: float = 0.0) -> jax.Array:
    """Return the power in each pitch class, the strongest of a frame taken as 1.

    Options:
        n_chroma: Number of pitch classes in an octave, the first of which is C.
        tuning: By how much the A above middle C differs from 440 Hz, in pitch classes. librosa estimates it unless
            told otherwise.

    Returns:
        Shares from 0 to 1, (..., n_chroma, n_frames), in the audio's dtype; 0 for silence.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> a4 = jnp.sin(2 * jnp.pi * 440 / 22050 * jnp.arange(8192))
        >>> int(chroma(a4, SpectralConfig())[:, 8].argmax())
        9

    Reference:
        ``librosa.feature.chroma_stft`` with ``tuning=0``.
    """
    filters = chroma_filter_bank(
        sample_rate=config.sample_rate, n_fft=config.n_fft, n_chroma=n_chroma, tuning=float(tuning)
    )
    power = jnp.einsum(
        "cf,...tf->...ct", filters.astype(frames.power.dtype), frames.power, precision=lax.Precision.HIGHEST
    )
    return normalized(power, jnp.max, -2, 0.0)


@lru_cache(maxsize=64)
def chroma_filter_bank(
    *,
    sample_rate: int,
    n_fft: int,
    n_chroma: int = 12,
    tuning: float = 0.0,
    center_octave: float = 5.0,
    octave_width: float | None = 2.0,
) -> NDArray[np.float64]:
    """Return filters that turn a spectrum into pitch classes.

    Args:
        sample_rate: Samples per second, Hz.
        n_fft: Length of the Fourier transform in samples.
        n_chroma: Number of pitch classes in an octave, the first of which is C.
        tuning: By how much the A above middle C differs from 440 Hz, in pitch classes.
        center_octave: The octave above 27.5 Hz that counts most; librosa's ``ctroct``.
        octave_width: Standard deviation in octaves of the weight about it, above 0; None to let all octaves count
            alike. librosa's ``octwidth``.

    Returns:
        Filters, (n_chroma, n_fft // 2 + 1) float64, a cached NumPy array that is not writeable. At every frequency
        the root of their squares is the weight of its octave.

    Raises:
        TypeError: For a value of the wrong type.
        ValueError: For a value out of range.

    Example:
        >>> chroma_filter_bank(sample_rate=16000, n_fft=2048).shape
        (12, 1025)

    Reference:
        ``librosa.filters.chroma``, after Ellis, "Chroma feature analysis and synthesis", 2007.
    """
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    check_integer("n_fft", n_fft, minimum=2, unit="samples")
    check_integer("n_chroma", n_chroma, minimum=1)
    check_number("tuning", tuning, unit="chroma bins")
    check_number("center_octave", center_octave, unit="octaves")
    frequency = np.arange(1, n_fft) * (sample_rate / n_fft)
    place = n_chroma * np.log2(frequency / (_A0 * 2.0 ** (tuning / n_chroma)))
    # 0 Hz has no pitch: it is put one and a half octaves below the first bin, and is as wide.
    place = np.concatenate([[place[0] - 1.5 * n_chroma], place])
    width = np.concatenate([np.maximum(np.diff(place), 1.0), [1.0]])
    half = round(n_chroma / 2)
    distance = np.remainder(place - np.arange(n_chroma)[:, None] + half, n_chroma) - half
    filters: NDArray[np.float64] = np.exp(-0.5 * (2 * distance / width) ** 2)
    filters /= np.linalg.norm(filters, axis=0)
    if octave_width is not None:
        check_number("octave_width", octave_width, above=0.0, unit="octaves")
        filters *= np.exp(-0.5 * ((place / n_chroma - center_octave) / octave_width) ** 2)
    filters = np.roll(filters, -3 * (n_chroma // 12), axis=0)[:, : n_fft // 2 + 1].copy()
    filters.flags.writeable = False
    return filters
