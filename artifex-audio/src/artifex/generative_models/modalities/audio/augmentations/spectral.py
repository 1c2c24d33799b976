"""Random changes of one spectrogram's levels: noise of its own, and another frequency response."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_choice, check_integer, check_range
from artifex.generative_models.core.numerics import safe_sqrt, working_dtype
from artifex.generative_models.modalities.audio.annotations import annotated
from artifex.generative_models.modalities.audio.augmentations.domain import (
    as_spectrogram,
    on_spectrogram,
    valid_frames,
)
from artifex.generative_models.modalities.audio.augmentations.draws import Drawn, draw_uniform

_Range = tuple[ArrayLike, ArrayLike] | jax.Array

# What one decibel does: the exponent of a factor, or what is added.
_FACTORS = {"power": math.log(10) / 10, "magnitude": math.log(10) / 20}
_SUMMANDS = {"dB": 1.0, "ln": math.log(10) / 10, "log10": 0.1}


@on_spectrogram
@annotated
def spectral_noise(
    spectrogram: ArrayLike,
    key: jax.Array,
    snr_db_range: _Range = (6.0, 30.0),
    *,
    kind: str = "additive",
    n_valid_frames: ArrayLike | None = None,
) -> Drawn:
    """Add Gaussian noise to the values of a spectrogram, at a random ratio to them.

    Additive noise is even over the spectrogram, its deviation ``snr_db`` below that of the values about their mean, so
    that it suits logarithms as well as magnitudes, whatever their offset. Multiplicative noise is ``snr_db`` below each
    value, so that silence stays silent. ``snr_db`` is the annotation. A magnitude can become negative: clip it where
    what follows minds.

    Args:
        spectrogram: One spectrogram (..., freq, time), real or complex; leading axes share the ratio, not the noise.
            The noise of complex numbers is complex, half of its power in either part.
        key: Decides the ratio and the noise.
        snr_db_range: The least and the greatest signal-to-noise ratio, dB (20 log10 of the ratio of deviations),
            uniform between them. May be traced.
        kind: ``"additive"`` or ``"multiplicative"``.
        n_valid_frames: How many frames, from the first, hold sound where the rest is padding, which then is left as
            it is. None means all. May be traced.

    Returns:
        The same shape and dtype.

    Raises:
        ValueError: For fewer than two axes, an empty axis, or an option out of range.
        TypeError: For integers.

    Example:
        >>> silence = jnp.zeros((80, 5))
        >>> bool((spectral_noise(silence, jax.random.key(0)) == silence).all())
        True

    Reference:
        The noise on mel spectrograms of Nam et al., "FilterAugment", ICASSP 2022, arXiv:2110.03282, whose ratios are
        the default.
    """
    numerics.check_key("spectral_noise", key)
    values = as_spectrogram("spectral_noise", spectrogram)
    low, high = check_range("snr_db_range", snr_db_range, unit="dB")
    check_choice("kind", kind, choices=("additive", "multiplicative"))
    noisy: Drawn = _noisy(values, key, low, high, valid_frames(n_valid_frames, values), kind)
    return noisy


@partial(jax.jit, static_argnames="kind")
def _noisy(values: jax.Array, key: jax.Array, low: ArrayLike, high: ArrayLike, valid: ArrayLike, kind: str) -> Drawn:
    working = working_dtype(values.dtype)
    snr_key, noise_key = jax.random.split(key)
    snr_db = draw_uniform(snr_key, (low, high), dtype=jnp.finfo(working).dtype)
    signal = values.astype(working)
    held = jnp.arange(values.shape[-1]) < valid
    reference = signal if kind == "multiplicative" else _deviation(signal, held)
    noise = jnp.exp(-_FACTORS["magnitude"] * snr_db) * _gaussian(noise_key, values.shape, working)
    return jnp.where(held, signal + reference * noise, signal).astype(values.dtype), {"snr_db": snr_db}


def _deviation(signal: jax.Array, held: jax.Array) -> jax.Array:
    mean = jnp.mean(signal, axis=(-2, -1), keepdims=True, where=held)
    away = signal - mean
    power = (away * away.conj()).real
    return safe_sqrt(jnp.mean(power, axis=(-2, -1), keepdims=True, where=held))


def _gaussian(key: jax.Array, shape: tuple[int, ...], dtype: np.dtype) -> jax.Array:
    real = jnp.finfo(dtype).dtype
    if dtype == real:
        return numerics.normal(key, shape, real)
    parts = numerics.normal(key, (2, *shape), real) * np.asarray(math.sqrt(0.5), real)
    return jax.lax.complex(parts[0], parts[1])


@on_spectrogram
@annotated
def filter_augment(
    spectrogram: ArrayLike,
    key: jax.Array,
    gain_db_range: _Range = (-6.0, 6.0),
    n_bands: tuple[int, int] = (3, 6),
    min_bandwidth: int = 6,
    *,
    filter_type: str = "linear",
    scale: str = "power",
) -> Drawn:
    """Give a spectrogram the frequency response of another room or microphone: random bands of random gain.

    The bins are parted in a random number of bands, each of at least ``min_bandwidth``. A ``"step"`` filter has one
    gain in each band. A ``"linear"`` one has a gain at each edge, and in decibels its gain runs evenly from the first
    bin of a band to the last.

    Annotations are ``n_bands``; ``edges``, the first bin of each band after the first, and the number of bins where
    there are fewer bands; and ``gain_db`` in dB, of each band or, linear, at each edge, of which those of bands beyond
    ``n_bands`` do nothing.

    Args:
        spectrogram: One spectrogram (..., freq, time), real, or complex where the scale is ``"magnitude"``; leading
            axes share the filter.
        key: Decides the filter.
        gain_db_range: The least and the greatest gain, dB, uniform between them. May be traced.
        n_bands: The least and the greatest number of bands, at least 1, both included. Static.
        min_bandwidth: The least width of a band in bins, at least 1, or less where there are too few bins for it.
            Static.
        filter_type: ``"linear"`` or ``"step"``.
        scale: What the values are, so that the gain is applied as decibels: ``"power"`` or ``"magnitude"``, or the
            logarithm of a power: ``"dB"``, ``"ln"`` or ``"log10"``.

    Returns:
        The same shape and dtype.

    Raises:
        ValueError: For fewer than two axes, an empty axis, or an option out of range.
        TypeError: For integers, or complex numbers on another scale than ``"magnitude"``.

    Example:
        >>> louder = filter_augment(jnp.zeros((80, 5)), jax.random.key(0), gain_db_range=(3, 3), scale="dB")
        >>> float(louder.min()), float(louder.max())
        (3.0, 3.0)

    Reference:
        Nam et al., "FilterAugment", ICASSP 2022, arXiv:2110.03282. The published code never draws the greatest number
        of bands; ``n_bands=(3, 5)`` does as it does, and for its step filters (2, 4) with ``min_bandwidth=4``.
    """
    numerics.check_key("filter_augment", key)
    check_choice("scale", scale, choices=(*_FACTORS, *_SUMMANDS))
    values = as_spectrogram(
        "filter_augment",
        spectrogram,
        instead_of_complex=None if scale == "magnitude" else 'choose scale="magnitude"',
    )
    low, high = check_range("gain_db_range", gain_db_range, unit="dB")
    fewest, most = check_range("n_bands", n_bands)
    for place, number in enumerate((fewest, most)):
        check_integer(f"n_bands[{place}]", number, minimum=1)
    check_integer("min_bandwidth", min_bandwidth, minimum=1, unit="bins")
    check_choice("filter_type", filter_type, choices=("linear", "step"))
    n_freq = values.shape[-2]
    known = _draw_filter(key, low, high, n_freq, (int(fewest), int(most)), min_bandwidth, filter_type)
    filtered: jax.Array = _filter(values, known["edges"], known["gain_db"], filter_type, scale)
    return filtered, known


@partial(jax.jit, static_argnames=("n_freq", "n_bands", "min_bandwidth", "filter_type"))
def _draw_filter(
    key: jax.Array,
    low: ArrayLike,
    high: ArrayLike,
    n_freq: int,
    n_bands: tuple[int, int],
    min_bandwidth: int,
    filter_type: str,
) -> dict[str, jax.Array]:
    fewest, most = n_bands
    number_key, edge_key, gain_key = jax.random.split(key, 3)
    number = numerics.randint(number_key, (), fewest, most + 1)
    narrowest = jnp.minimum(min_bandwidth, n_freq // number)
    band = jnp.arange(1, most)
    # What is to spare beyond the least widths is parted at random; bands that there are not come last and are empty.
    spare = n_freq - number * narrowest
    parted = numerics.randint(edge_key, (most - 1,), 0, spare + 1)
    parted = jnp.sort(jnp.where(band < number, parted, n_freq))
    edges = jnp.minimum(parted + band * narrowest, n_freq)
    n_gains = most + (filter_type == "linear")
    dtype = jnp.result_type(float)
    gain_db = draw_uniform(gain_key, (low, high), (n_gains,), dtype)
    return {"n_bands": number, "edges": edges, "gain_db": gain_db}


@partial(jax.jit, static_argnames=("filter_type", "scale"))
def _filter(values: jax.Array, edges: jax.Array, gain_db: jax.Array, filter_type: str, scale: str) -> jax.Array:
    n_freq = values.shape[-2]
    working = working_dtype(values.dtype)
    place = jnp.arange(n_freq)
    band = jnp.sum(place[:, None] >= edges, axis=-1)
    gain = gain_db[band]
    if filter_type == "linear":
        first = jnp.concatenate([jnp.zeros(1, edges.dtype), edges])[band]
        beyond = jnp.concatenate([edges, jnp.full(1, n_freq, edges.dtype)])[band]
        share = (place - first) / jnp.maximum(beyond - first - 1, 1)
        gain = gain + share * (gain_db[band + 1] - gain)
    gain = gain.astype(jnp.finfo(working).dtype)[:, None]
    signal = values.astype(working)
    changed = signal * jnp.exp(_FACTORS[scale] * gain) if scale in _FACTORS else signal + _SUMMANDS[scale] * gain
    return changed.astype(values.dtype)
