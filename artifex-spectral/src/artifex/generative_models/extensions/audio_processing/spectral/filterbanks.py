"""Banks of filters over the bins of a spectrum: triangles on a scale of pitch, and gammatones."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from artifex.generative_models.core.checks import check_choice, check_integer, check_number
from artifex.generative_models.extensions.audio_processing.spectral.scales import hz_to_mel, mel_to_hz

if TYPE_CHECKING:
    from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig

_Table = NDArray[np.float64]

NORMS = ("slaney", "l1", "l2", None)


def _triangles(bins: _Table, edges: _Table) -> _Table:
    widths = np.diff(edges)[:, None]
    distance = bins - edges[:, None]
    return np.asarray(np.maximum(0, np.minimum(distance[:-2] / widths[:-1], -distance[2:] / widths[1:])))


def _in_hz(bins: _Table, edges: _Table, scale: str) -> _Table:
    return _triangles(bins, edges)


def _on_the_scale(bins: _Table, edges: _Table, scale: str) -> _Table:
    return _triangles(hz_to_mel(bins, mel_scale=scale), hz_to_mel(edges, mel_scale=scale))


def _symmetric(bins: _Table, edges: _Table, scale: str) -> _Table:
    """Triangles in Hz as wide above their center as below it."""
    slope = (bins - edges[1:-1, None]) / np.diff(edges)[:-1, None]
    return np.asarray(np.maximum(0, np.minimum(1 + slope, 1 - slope)))


def _gammatones(bins: _Table, edges: _Table, scale: str) -> _Table:
    """The power responses of gammatone filters of order 4, 1.019 ERB wide."""
    centers = edges[1:-1, None]
    width = 1.019 * 24.7 * (0.00437 * centers + 1)
    return np.asarray((1 + ((bins - centers) / width) ** 2) ** -4)


SHAPES: dict[str, Callable[[_Table, _Table, str], _Table]] = {
    "hz": _in_hz,
    "scale": _on_the_scale,
    "symmetric": _symmetric,
    "gammatone": _gammatones,
}


@lru_cache(maxsize=64)
def filter_bank(
    *,
    sample_rate: int,
    n_fft: int,
    n_mels: int = 128,
    f_min: float = 0.0,
    f_max: float | None = None,
    mel_scale: str = "slaney",
    mel_norm: str | None = "slaney",
    filter_shape: str = "hz",
) -> NDArray[np.float64]:
    """Return filters that turn a spectrum into bands: mel bands, or others by the scale.

    Args:
        sample_rate: Samples per second, Hz.
        n_fft: Length of the Fourier transform in samples.
        n_mels: Number of bands.
        f_min: Lower edge of the first band, Hz.
        f_max: Upper edge of the last band, Hz; None for half the sample rate.
        mel_scale: Where the bands are evenly spaced, one of the scales of ``hz_to_mel``.
        mel_norm: ``"slaney"`` for filters of area 1 (as the widths of their edges give it), ``"l1"`` or ``"l2"`` for
            weights whose sum or root of squares is 1, None for filters of peak 1.
        filter_shape: ``"hz"`` for triangles that are straight over Hz, ``"scale"`` for triangles that are straight
            over the scale, ``"symmetric"`` for triangles over Hz as wide above their center as below it,
            ``"gammatone"`` for the power responses of gammatone filters at the centers (which are 1 ERB apart on the
            scale ``"erb"`` when there are as many).

    Returns:
        Filters, (n_mels, n_fft // 2 + 1) float64, a cached NumPy array that is not writeable.

    Raises:
        TypeError: For a value of the wrong type.
        ValueError: For a value out of range.

    Example:
        >>> filter_bank(sample_rate=16000, n_fft=512, n_mels=40).shape
        (40, 257)

    Reference:
        Slaney, "Auditory Toolbox", 1998, and ``librosa.filters.mel``; for ``"scale"`` Kaldi and HTK; for
        ``"symmetric"`` SpeechBrain; for ``"gammatone"`` Patterson and others, "An efficient auditory filterbank
        based on the gammatone function", 1987, with the widths of Glasberg and Moore, 1990.
    """
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    check_integer("n_fft", n_fft, minimum=2, unit="samples")
    check_integer("n_mels", n_mels, minimum=1)
    top = sample_rate / 2 if f_max is None else f_max
    check_number("f_max", top, above=0.0, unit="Hz")
    check_number("f_min", f_min, minimum=0.0, maximum=top, unit="Hz")
    check_choice("mel_norm", mel_norm, choices=NORMS)
    check_choice("filter_shape", filter_shape, choices=tuple(SHAPES))
    low, high = hz_to_mel(np.array([f_min, top]), mel_scale=mel_scale)
    edges = mel_to_hz(np.linspace(low, high, n_mels + 2), mel_scale=mel_scale)
    bins = np.arange(n_fft // 2 + 1) * sample_rate / n_fft
    filters = SHAPES[filter_shape](bins, edges, mel_scale)
    if mel_norm == "slaney":
        filters = filters * (2 / (edges[2:] - edges[:-2]))[:, None]
    elif mel_norm is not None:
        size = np.linalg.norm(filters, ord=int(mel_norm[1]), axis=1, keepdims=True)
        filters = filters / np.where(size > 0, size, 1)
    filters.flags.writeable = False
    return filters


@lru_cache(maxsize=64)
def bands_of(config: SpectralConfig) -> tuple[tuple[slice, NDArray[np.float64]], ...]:
    """Return the filter bank of a configuration in a few pieces: some neighbors each, and the bins they reach.

    Filters reach few bins, and the low ones the fewest: four pieces of eighty mel bands over 513 bins have a third
    of the weights of the whole.
    """
    filters = filters_of(config)
    pieces = []
    for rows in np.array_split(filters, max(1, min(4, len(filters) // 8))):
        reached = np.flatnonzero(rows.any(axis=0))
        bins = slice(int(reached[0]), int(reached[-1]) + 1) if len(reached) else slice(0, 1)
        pieces.append((bins, np.ascontiguousarray(rows[:, bins].T)))
    return tuple(pieces)


def filters_of(config: SpectralConfig) -> NDArray[np.float64]:
    """Return the filter bank of a configuration, (n_mels, n_freq) float64."""
    return filter_bank(
        sample_rate=config.sample_rate,
        n_fft=config.n_fft,
        n_mels=config.n_mels,
        f_min=config.f_min,
        f_max=config.f_top,
        mel_scale=config.mel_scale,
        mel_norm=config.mel_norm,
        filter_shape=config.filter_shape,
    )


def band_frequencies(config: SpectralConfig) -> NDArray[np.float64]:
    """Return the frequency in the middle of each band.

    Args:
        config: The conventions.

    Returns:
        Frequencies in Hz, (n_mels,) float64.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> band_frequencies(SpectralConfig(sample_rate=8000, n_fft=512, n_mels=3, mel_scale="linear")).tolist()
        [1000.0, 2000.0, 3000.0]

    Reference:
        ``librosa.mel_frequencies``, without the edges.
    """
    low, high = hz_to_mel(np.array([config.f_min, config.f_top]), mel_scale=config.mel_scale)
    return mel_to_hz(np.linspace(low, high, config.n_mels + 2)[1:-1], mel_scale=config.mel_scale)
