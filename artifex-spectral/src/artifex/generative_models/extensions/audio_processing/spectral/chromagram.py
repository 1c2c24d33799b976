"""Chroma features."""

from __future__ import annotations

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from numpy.typing import NDArray

from artifex.generative_models.core.checks import check_integer, check_number
from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig
from artifex.generative_models.extensions.audio_processing.spectral.features import normalized
from artifex.generative_models.extensions.audio_processing.spectral.framing import Frames
from artifex.generative_models.extensions.audio_processing.spectral.pipeline import analyze

_A0_HZ = 27.5


def chroma(
    audio: ArrayLike,
    config: SpectralConfig,
    *,
    n_chroma: int = 12,
    tuning: float = 0.0,
    lengths: ArrayLike | None = None,
) -> jax.Array:
    """Compute a chromagram: the power in each pitch class, relative to the strongest one of the frame.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: Analysis configuration.
        n_chroma: Number of pitch classes per octave; the first one is C.
        tuning: Deviation of A4 from 440 Hz in chroma bins, which are semitones for ``n_chroma`` 12.
        lengths: Number of valid samples of each example, integers that broadcast against the leading axes; samples
            past them are ignored. By default all are valid.

    Returns:
        Relative power, 0 to 1, (..., n_chroma, n_frames), in the dtype of the audio; 0 for silence. With ``lengths``,
        frames past the valid ones equal those of silence.

    Raises:
        TypeError: If the audio is not real floating point, or ``lengths`` are not integers.
        ValueError: If the audio is empty or shorter than a frame, or the shape of ``lengths`` does not broadcast.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> a4 = jnp.sin(2 * jnp.pi * 440 / 22050 * jnp.arange(8192.0))
        >>> int(chroma(a4, SpectralConfig())[:, 8].argmax())
        9

    Reference:
        ``librosa.feature.chroma_stft`` with ``tuning=0``; librosa estimates the tuning by default.
    """
    check_integer("n_chroma", n_chroma, minimum=1)
    check_number("tuning", tuning, unit="chroma bins")
    options = {"n_chroma": int(n_chroma), "tuning": float(tuning)}
    return analyze(audio, config, lengths, measure=measure_chroma, options=options)


def measure_chroma(frames: Frames, config: SpectralConfig, *, n_chroma: int = 12, tuning: float = 0.0) -> jax.Array:
    """Compute the chromagram (..., n_chroma, n_frames) of frames."""
    filters = chroma_filter_bank(sample_rate=config.sample_rate, n_fft=config.n_fft, n_chroma=n_chroma, tuning=tuning)
    power = jnp.einsum(
        "cf,...tf->...ct", filters.astype(frames.power.dtype), frames.power, precision=lax.Precision.HIGHEST
    )
    return normalized(power, jnp.max, axis=-2, at_silence=0.0)


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
    """Create a filter bank that maps a spectrum to pitch classes.

    Args:
        sample_rate: Sample rate in Hz.
        n_fft: FFT length in samples.
        n_chroma: Number of pitch classes per octave; the first one is C.
        tuning: Deviation of A4 from 440 Hz in chroma bins, which are semitones for ``n_chroma`` 12.
        center_octave: Octave with the largest weight, counted from 27.5 Hz; librosa's ``ctroct``.
        octave_width: Standard deviation of the Gaussian weight of octaves, in octaves, above 0; None for equal weights.
            librosa's ``octwidth``.

    Returns:
        Filters, (n_chroma, n_fft // 2 + 1) float64. The array is cached and read-only. The L2 norm of each column is
        the weight of its octave.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of range.

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
    pitch = n_chroma * np.log2(frequency / (_A0_HZ * 2.0 ** (tuning / n_chroma)))
    # 0 Hz has no pitch: as in librosa, the bin is one and a half octaves below the next one and as wide.
    pitch = np.concatenate([[pitch[0] - 1.5 * n_chroma], pitch])
    width = np.concatenate([np.maximum(np.diff(pitch), 1.0), [1.0]])
    half = round(n_chroma / 2)
    distance = np.remainder(pitch - np.arange(n_chroma)[:, None] + half, n_chroma) - half
    filters: NDArray[np.float64] = np.exp(-0.5 * (2 * distance / width) ** 2)
    filters /= np.linalg.norm(filters, axis=0)
    if octave_width is not None:
        check_number("octave_width", octave_width, above=0.0, unit="octaves")
        filters *= np.exp(-0.5 * ((pitch / n_chroma - center_octave) / octave_width) ** 2)
    filters = np.roll(filters, -3 * (n_chroma // 12), axis=0)[:, : n_fft // 2 + 1].copy()
    filters.flags.writeable = False
    return filters
