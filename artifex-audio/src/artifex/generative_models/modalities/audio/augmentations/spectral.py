"""Random changes of the levels of a spectrogram: additive or multiplicative noise, and a random frequency response."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_choice, check_integer, check_range
from artifex.generative_models.core.numerics import jit, safe_sqrt, working_dtype
from artifex.generative_models.modalities.audio.annotations import Drawn, augmentation
from artifex.generative_models.modalities.audio.augmentations.domain import checked_spectrogram, valid_frames
from artifex.generative_models.modalities.audio.augmentations.draws import Bounds, draw_integer, draw_snr, draw_uniform

# The effect of a gain of 1 dB, by scale: the natural logarithm of the factor, or the summand.
_FACTORS = {"power": math.log(10) / 10, "magnitude": math.log(10) / 20}
_SUMMANDS = {"dB": 1.0, "ln": math.log(10) / 10, "log10": 0.1}


def _draw_spectral_noise(key: Array, shape: tuple[int, ...], *, snr_db_range: Bounds) -> Drawn:
    return draw_snr(key, check_range("snr_db_range", snr_db_range, unit="dB"))[0]


@augmentation(draw=_draw_spectral_noise, domain="spectrogram")
def spectral_noise(
    spectrogram: ArrayLike,
    key: Array,
    snr_db_range: Bounds = (6.0, 30.0),
    *,
    kind: str = "additive",
    n_valid_frames: ArrayLike | None = None,
) -> Array:
    """Add Gaussian noise to the values of a spectrogram at a random signal-to-noise ratio.

    Additive noise is stationary; its standard deviation is ``snr_db`` below the standard deviation of the values, so
    that it suits logarithms as well as magnitudes. Multiplicative noise is ``snr_db`` below each value, so silence stays
    silent. Magnitudes can become negative; clip them if necessary.

    Args:
        spectrogram: One spectrogram (..., freq, time), real or complex; leading axes share the ratio but not the noise.
            Noise of complex spectrograms is complex, with half of its power in each part.
        key: PRNG key.
        snr_db_range: Signal-to-noise ratio (min, max) in dB (20 log10 of the ratio of standard deviations); drawn
            uniformly. May be traced.
        kind: ``"additive"`` or ``"multiplicative"``.
        n_valid_frames: Number of frames, from the first, that are not padding; the padding is unchanged. None means all.
            May be traced.

    Returns:
        The noisy spectrogram, same shape and dtype. Annotation: ``snr_db``.

    Raises:
        ValueError: If there are fewer than two axes or an empty axis, or an option is out of range.
        TypeError: If the spectrogram is of integers.

    Example:
        >>> silence = jnp.zeros((80, 5))
        >>> bool((spectral_noise(silence, jax.random.key(0)) == silence).all())
        True

    Reference:
        The noise on mel spectrograms of Nam et al., "FilterAugment", ICASSP 2022, arXiv:2110.03282, whose ratios are
        the default.
    """
    values = checked_spectrogram("spectral_noise", spectrogram, key)
    check_choice("kind", kind, choices=("additive", "multiplicative"))
    drawn, noise_key = draw_snr(key, check_range("snr_db_range", snr_db_range, unit="dB"))
    n_valid = valid_frames(n_valid_frames, values.shape[-1])
    return _add_noise(values, noise_key, drawn["snr_db"], n_valid, kind)


@jit(static_argnames=["kind"])
def _add_noise(values: Array, noise_key: Array, snr_db: Array, n_valid: ArrayLike, kind: str) -> Array:
    dtype = working_dtype(values.dtype)
    signal = values.astype(dtype)
    is_valid = jnp.broadcast_to(
        jnp.arange(values.shape[-1], dtype=jnp.int32) < jnp.asarray(n_valid, jnp.int32), values.shape
    )
    reference = signal if kind == "multiplicative" else _standard_deviation(signal, is_valid)
    level = jnp.exp(-_FACTORS["magnitude"] * snr_db.astype(np.finfo(dtype).dtype)).astype(dtype)
    noise = level * _gaussian(noise_key, values.shape, dtype)
    return jnp.where(is_valid, signal + reference * noise, signal).astype(values.dtype)


def _standard_deviation(signal: Array, is_valid: Array) -> Array:
    deviation = signal - jnp.mean(signal, axis=(-2, -1), keepdims=True, where=is_valid)
    power = (deviation * deviation.conj()).real
    return safe_sqrt(jnp.mean(power, axis=(-2, -1), keepdims=True, where=is_valid)).astype(signal.dtype)


def _gaussian(key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    real = np.finfo(dtype).dtype
    if dtype == real:
        return numerics.normal(key, shape, real)
    parts = numerics.normal(key, (2, *shape), real) * np.asarray(math.sqrt(0.5), real)
    return jax.lax.complex(parts[0], parts[1])


def _draw_filter_augment(
    key: Array,
    shape: tuple[int, ...],
    *,
    gain_db_range: Bounds,
    n_bands: tuple[int, int],
    min_bandwidth: int,
    filter_type: str,
) -> Drawn:
    gains = check_range("gain_db_range", gain_db_range, unit="dB")
    min_bands, max_bands = check_range("n_bands", n_bands, integer=True, static=True, minimum=1, unit="bands")
    check_integer("min_bandwidth", min_bandwidth, minimum=1, unit="bins")
    check_choice("filter_type", filter_type, choices=("linear", "step"))
    n_gains = int(max_bands) + (filter_type == "linear")
    return _draw_filter(key, gains, shape[-2], (int(min_bands), int(max_bands)), int(min_bandwidth), n_gains)


@augmentation(draw=_draw_filter_augment, domain="spectrogram")
def filter_augment(
    spectrogram: ArrayLike,
    key: Array,
    gain_db_range: Bounds = (-6.0, 6.0),
    n_bands: tuple[int, int] = (3, 6),
    min_bandwidth: int = 6,
    *,
    filter_type: str = "linear",
    scale: str = "power",
) -> Array:
    """Apply a random frequency response to a spectrogram: random gains in random bands.

    The bins are divided into a random number of bands of at least ``min_bandwidth`` bins. A ``"step"`` filter has one
    gain for each band. A ``"linear"`` filter has one gain for each edge; its gain in dB is linear from the first bin of a
    band to the last.

    Args:
        spectrogram: One spectrogram (..., freq, time), real, or complex if ``scale`` is ``"magnitude"``; leading axes
            share the filter.
        key: PRNG key.
        gain_db_range: Gain (min, max) in dB; drawn uniformly. May be traced.
        n_bands: Number of bands (min, max), at least 1; drawn uniformly. Static.
        min_bandwidth: Minimum width of a band in bins, at least 1; reduced if there are too few bins. Static.
        filter_type: ``"linear"`` or ``"step"``.
        scale: Scale of the values: ``"power"``, ``"magnitude"``, or the logarithm of a power, ``"dB"``, ``"ln"`` or
            ``"log10"``.

    Returns:
        The filtered spectrogram, same shape and dtype. Annotations: ``n_bands``; ``edges`` (max bands - 1,), the first
        bin of every band after the first, or the number of bins for bands that do not exist; ``gain_db`` of every band
        or, for linear filters, of every edge. Gains of bands beyond ``n_bands`` are not used.

    Raises:
        ValueError: If there are fewer than two axes or an empty axis, or an option is out of range.
        TypeError: If the spectrogram is of integers, or complex and ``scale`` is not ``"magnitude"``.

    Example:
        >>> louder = filter_augment(jnp.zeros((80, 5)), jax.random.key(0), gain_db_range=(3, 3), scale="dB")
        >>> float(louder.min()), float(louder.max())
        (3.0, 3.0)

    Reference:
        Nam et al., "FilterAugment", ICASSP 2022, arXiv:2110.03282. The published code never draws the maximum number of
        bands: ``n_bands=(3, 5)`` equals its linear filters, (2, 4) with ``min_bandwidth=4`` its step filters.
    """
    check_choice("scale", scale, choices=(*_FACTORS, *_SUMMANDS))
    if_complex = None if scale == "magnitude" else 'give scale="magnitude"'
    values = checked_spectrogram("filter_augment", spectrogram, key, if_complex=if_complex)
    drawn = _draw_filter_augment(
        key,
        values.shape,
        gain_db_range=gain_db_range,
        n_bands=n_bands,
        min_bandwidth=min_bandwidth,
        filter_type=filter_type,
    )
    return _filter(values, drawn["edges"], drawn["gain_db"], filter_type, scale)


@jit(static_argnames=["n_freq", "n_bands", "min_bandwidth", "n_gains"])
def _draw_filter(
    key: Array,
    gain_db_range: tuple[ArrayLike, ArrayLike],
    n_freq: int,
    n_bands: tuple[int, int],
    min_bandwidth: int,
    n_gains: int,
) -> Drawn:
    max_bands = n_bands[1]
    number_key, edge_key, gain_key = jax.random.split(key, 3)
    number = draw_integer(number_key, n_bands)
    bandwidth = jnp.minimum(min_bandwidth, n_freq // number)
    band = jnp.arange(1, max_bands, dtype=jnp.int32)
    # The bins beyond the minimum widths are divided at random; bands that do not exist are last and empty.
    n_free = n_freq - number * bandwidth
    split = draw_integer(edge_key, (0, n_free), (max_bands - 1,))
    split = jnp.sort(jnp.where(band < number, split, n_freq))
    edges = jnp.minimum(split + band * bandwidth, n_freq)
    return {"n_bands": number, "edges": edges, "gain_db": draw_uniform(gain_key, gain_db_range, (n_gains,))}


@jit(static_argnames=["filter_type", "scale"])
def _filter(values: Array, edges: Array, gain_db: Array, filter_type: str, scale: str) -> Array:
    n_freq = values.shape[-2]
    dtype = working_dtype(values.dtype)
    real = np.finfo(dtype).dtype
    position = jnp.arange(n_freq, dtype=edges.dtype)
    band = jnp.sum(position[:, None] >= edges[None, :], axis=-1, dtype=jnp.int32)
    gain_db = gain_db.astype(jnp.result_type(float))
    gain = gain_db[band]
    if filter_type == "linear":
        first = jnp.concatenate([jnp.zeros(1, edges.dtype), edges])[band]
        end = jnp.concatenate([edges, jnp.full(1, n_freq, edges.dtype)])[band]
        fraction = (position - first).astype(gain.dtype) / jnp.maximum(end - first - 1, 1).astype(gain.dtype)
        gain = gain + fraction * (gain_db[band + 1] - gain)
    gain = jnp.broadcast_to(gain.astype(real)[:, None], values.shape)
    signal = values.astype(dtype)
    if scale in _FACTORS:
        return (signal * jnp.exp(_FACTORS[scale] * gain).astype(dtype)).astype(values.dtype)
    return (signal + _SUMMANDS[scale] * gain).astype(values.dtype)
