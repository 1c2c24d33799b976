"""Mel filter banks: triangular and gammatone filters on a perceptual scale."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from artifex.generative_models.core.checks import check_choice, check_integer, check_number
from artifex.generative_models.extensions.audio_processing.spectral.config import (
    FILTER_SHAPES,
    MEL_NORMS,
    SpectralConfig,
)
from artifex.generative_models.extensions.audio_processing.spectral.scales import hz_to_mel, mel_frequencies

_Table = NDArray[np.float64]


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
    """Create a mel filter bank, or one on another perceptual scale.

    Args:
        sample_rate: Sample rate in Hz.
        n_fft: FFT length in samples.
        n_mels: Number of filters.
        f_min: Lower edge of the first filter in Hz.
        f_max: Upper edge of the last filter in Hz; None for half the sample rate.
        mel_scale: Scale on which the filters are evenly spaced, as in ``hz_to_mel``.
        mel_norm: ``"slaney"`` divides each filter by half its bandwidth in Hz (area 1), ``"l1"`` and ``"l2"`` by the
            norm of its weights; None leaves peaks of 1.
        filter_shape: ``"hz"`` for triangles that are linear in Hz, ``"scale"`` for triangles that are linear on the
            scale, ``"symmetric"`` for triangles in Hz whose upper half is as wide as the lower one, ``"gammatone"``
            for power responses of gammatone filters.

    Returns:
        Filters, (n_mels, n_fft // 2 + 1) float64. The array is cached and read-only.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of range.

    Example:
        >>> filter_bank(sample_rate=16000, n_fft=512, n_mels=40).shape
        (40, 257)

    Reference:
        Slaney, "Auditory Toolbox", 1998, and ``librosa.filters.mel``; for ``"scale"`` Kaldi and HTK; for
        ``"symmetric"`` SpeechBrain; for ``"gammatone"`` Patterson and others, "An efficient auditory filterbank
        based on the gammatone function", 1987, with the bandwidths of Glasberg and Moore, 1990.
    """
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    check_integer("n_fft", n_fft, minimum=2, unit="samples")
    check_integer("n_mels", n_mels, minimum=1)
    top = sample_rate / 2 if f_max is None else f_max
    check_number("f_max", top, above=0.0, unit="Hz")
    check_number("f_min", f_min, minimum=0.0, unit="Hz")
    if f_min >= top:
        raise ValueError(f"f_min must be below f_max {top} Hz, got {f_min} Hz; lower f_min or raise f_max")
    check_choice("mel_norm", mel_norm, choices=MEL_NORMS)
    check_choice("filter_shape", filter_shape, choices=FILTER_SHAPES)
    edges = mel_frequencies(n_mels + 2, f_min=f_min, f_max=top, mel_scale=mel_scale)
    bins = np.arange(n_fft // 2 + 1) * sample_rate / n_fft
    if filter_shape == "hz":
        filters = _triangles(bins, edges)
    elif filter_shape == "scale":
        filters = _triangles(hz_to_mel(bins, mel_scale=mel_scale), hz_to_mel(edges, mel_scale=mel_scale))
    elif filter_shape == "symmetric":
        filters = _symmetric_triangles(bins, edges)
    else:
        filters = _gammatones(bins, edges)
    if mel_norm == "slaney":
        filters = filters * (2 / (edges[2:] - edges[:-2]))[:, None]
    elif mel_norm is not None:
        norm = np.linalg.norm(filters, ord=int(mel_norm[1]), axis=1, keepdims=True)
        filters = filters / np.where(norm > 0, norm, 1)
    filters.flags.writeable = False
    return filters


def config_filter_bank(config: SpectralConfig) -> NDArray[np.float64]:
    """Create the filter bank of a configuration, (n_mels, n_freq) float64."""
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


@lru_cache(maxsize=64)
def filter_blocks(config: SpectralConfig) -> tuple[tuple[slice, NDArray[np.float64]], ...]:
    """Split the filter bank of a configuration into at most four blocks of adjacent filters.

    Most weights are 0: the four blocks of 80 mel filters over 513 bins contain a quarter of the whole matrix.

    Returns:
        For each block the bins with nonzero weights, and the weights (bins, filters).
    """
    filters = config_filter_bank(config)
    blocks: list[tuple[slice, NDArray[np.float64]]] = []
    for block in np.array_split(filters, max(1, min(4, len(filters) // 8))):
        nonzero = np.flatnonzero(block.any(axis=0))
        bins = slice(int(nonzero[0]), int(nonzero[-1]) + 1) if len(nonzero) else slice(0, 1)
        blocks.append((bins, np.ascontiguousarray(block[:, bins].T)))
    return tuple(blocks)


def band_frequencies(config: SpectralConfig) -> NDArray[np.float64]:
    """Compute the center frequencies of the mel bands of a configuration.

    Args:
        config: Analysis configuration.

    Returns:
        Frequencies in Hz, (n_mels,) float64.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> band_frequencies(SpectralConfig(sample_rate=8000, n_fft=512, n_mels=3, mel_scale="linear")).tolist()
        [1000.0, 2000.0, 3000.0]

    Reference:
        ``librosa.mel_frequencies``, without the edges.
    """
    return mel_frequencies(config.n_mels + 2, f_min=config.f_min, f_max=config.f_top, mel_scale=config.mel_scale)[1:-1]


def _triangles(bins: _Table, edges: _Table) -> _Table:
    widths = np.diff(edges)[:, None]
    distance = bins - edges[:, None]
    return np.asarray(np.maximum(0, np.minimum(distance[:-2] / widths[:-1], -distance[2:] / widths[1:])))


def _symmetric_triangles(bins: _Table, edges: _Table) -> _Table:
    slope = (bins - edges[1:-1, None]) / np.diff(edges)[:-1, None]
    return np.asarray(np.maximum(0, np.minimum(1 + slope, 1 - slope)))


def _gammatones(bins: _Table, edges: _Table) -> _Table:
    """Compute power responses of fourth-order gammatone filters with a bandwidth of 1.019 ERB."""
    centers = edges[1:-1, None]
    bandwidth = 1.019 * 24.7 * (0.00437 * centers + 1)
    return np.asarray((1 + ((bins - centers) / bandwidth) ** 2) ** -4)
