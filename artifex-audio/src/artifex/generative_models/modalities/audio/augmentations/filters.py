"""Random filters over a waveform: passes, stops, shelves, equalizers, lost bands, air, corrupted phases."""

from __future__ import annotations

import math
import numbers
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_integer, check_number, check_range
from artifex.generative_models.core.numerics import working_dtype
from artifex.generative_models.modalities.audio.annotations import annotated
from artifex.generative_models.modalities.audio.augmentations.draws import (
    Drawn,
    as_float,
    draw_log_uniform,
    draw_uniform,
)
from artifex.generative_models.modalities.audio.preprocessing.filters import (
    biquad,
    butterworth,
    butterworth_band_filter,
    fft_convolve,
    sosfilt,
)

_Range = tuple[ArrayLike, ArrayLike] | jax.Array
_Bounds = tuple[ArrayLike, ArrayLike]

_PASS = (150.0, 7500.0)
_HIGH_PASS = (20.0, 2400.0)
_BAND = (200.0, 4000.0)
_LOW_SHELF = (50.0, 4000.0)
_HIGH_SHELF = (300.0, 7500.0)
_PEAK = (50.0, 7500.0)
_EQ = (42.0, 7500.0)
_DROPPED = (0.0, 8000.0)
_RECORDED = (4000.0, 14000.0)

# Frequencies stay this share of half the sample rate or less, where filters are still stable in float32.
_HIGHEST = 0.999
_DEFAULT_HIGHEST = 0.99
# The edges of a band stay below this share.
_HIGHEST_EDGE = 0.99

# Of kernels: a Kaiser window whose side lobes lie below -70 dB, and the product of its transition, as a share of the
# sample rate, with its length.
_KAISER_BETA = 6.755
_TRANSITION = (70 - 7.95) / 14.36
_BAND_LIMIT_TRANSITION = 140.0  # Hz
_AIR_TAPS = 255


@annotated
def low_pass(
    audio: ArrayLike, key: jax.Array, frequency_range: _Range = _PASS, *, order: int = 2, sample_rate: int = 16000
) -> Drawn:
    """Take the high frequencies away with a Butterworth filter of random cutoff.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the filter.
        key: Decides the cutoff.
        frequency_range: The least and the greatest cutoff (-3 dB), Hz, log-uniform between them, below half the
            sample rate; the default's ends just below half of a lower rate. May be traced.
        order: Of the filter, an even number from 2 to 8: its slope is 6 dB per octave times that. Static.
        sample_rate: Samples per second, Hz; static.

    Returns:
        The same shape and dtype. The filter starts from silence.

    Raises:
        ValueError: For a scalar, an empty clip, an order out of bounds, or a range out of order or not below half
            the sample rate.
        TypeError: For integers, which ``to_float`` makes floats.

    Example:
        >>> hiss = jnp.array([1.0, -1.0] * 16)
        >>> bool(jnp.abs(low_pass(hiss, jax.random.key(0), (100.0, 200.0))).max() < 0.1)
        True

    Reference:
        ``audiomentations.LowPassFilter``, which draws cutoffs on the mel scale, and the order too;
        ``scipy.signal.butter``.
    """
    return _one_sided("low_pass", "lowpass", audio, key, frequency_range, _PASS, order, sample_rate)


@annotated
def high_pass(
    audio: ArrayLike,
    key: jax.Array,
    frequency_range: _Range = _HIGH_PASS,
    *,
    order: int = 2,
    sample_rate: int = 16000,
) -> Drawn:
    """Take the low frequencies away with a Butterworth filter of random cutoff.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the filter.
        key: Decides the cutoff.
        frequency_range: The least and the greatest cutoff (-3 dB), Hz, log-uniform between them, below half the
            sample rate; the default's ends just below half of a lower rate. May be traced.
        order: Of the filter, an even number from 2 to 8: its slope is 6 dB per octave times that. Static.
        sample_rate: Samples per second, Hz; static.

    Returns:
        The same shape and dtype. The filter starts from silence.

    Raises:
        ValueError: For a scalar, an empty clip, an order out of bounds, or a range out of order or not below half
            the sample rate.
        TypeError: For integers, which ``to_float`` makes floats.

    Example:
        >>> steady = jnp.ones(1000)
        >>> bool(jnp.abs(high_pass(steady, jax.random.key(0), (500.0, 1000.0))[500:]).max() < 1e-3)
        True

    Reference:
        ``audiomentations.HighPassFilter``, which draws cutoffs on the mel scale, and the order too;
        ``scipy.signal.butter``.
    """
    return _one_sided("high_pass", "highpass", audio, key, frequency_range, _HIGH_PASS, order, sample_rate)


@annotated
def band_pass(
    audio: ArrayLike,
    key: jax.Array,
    frequency_range: _Range = _BAND,
    bandwidth_fraction_range: _Range = (0.5, 1.99),
    *,
    order: int = 2,
    sample_rate: int = 16000,
) -> Drawn:
    """Keep a random band of frequencies alone, with a Butterworth filter.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the filter.
        key: Decides the band.
        frequency_range: The least and the greatest center, Hz, log-uniform between them, below half the sample
            rate; the default's ends just below half of a lower rate. May be traced.
        bandwidth_fraction_range: The least and the greatest width of the band between its edges (-3 dB), as a ratio
            to the center, above 0 and below 2, uniform between them. An edge that would lie above 0.99 of half the
            sample rate lies there. May be traced.
        order: Of the filter at each edge, an integer from 1 to 8: its slope is 6 dB per octave times that. Static.
        sample_rate: Samples per second, Hz; static.

    Returns:
        The same shape and dtype. The filter starts from silence.

    Raises:
        ValueError: For a scalar, an empty clip, an order out of bounds, or a range out of order or of bounds.
        TypeError: For integers, which ``to_float`` makes floats.

    Example:
        >>> hiss = jnp.array([1.0, -1.0] * 50)
        >>> bool(jnp.abs(band_pass(hiss, jax.random.key(0), (500.0, 900.0))[50:]).max() < 0.02)
        True

    Reference:
        ``audiomentations.BandPassFilter``; ``scipy.signal.butter``.
    """
    bandwidths = bandwidth_fraction_range
    return _two_sided("band_pass", "bandpass", audio, key, frequency_range, bandwidths, order, sample_rate)


@annotated
def band_stop(
    audio: ArrayLike,
    key: jax.Array,
    frequency_range: _Range = _BAND,
    bandwidth_fraction_range: _Range = (0.5, 1.99),
    *,
    order: int = 2,
    sample_rate: int = 16000,
) -> Drawn:
    """Take a random band of frequencies away, with a Butterworth filter.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the filter.
        key: Decides the band.
        frequency_range: The least and the greatest center, Hz, log-uniform between them, below half the sample
            rate; the default's ends just below half of a lower rate. May be traced.
        bandwidth_fraction_range: The least and the greatest width of the band between its edges (-3 dB), as a ratio
            to the center, above 0 and below 2, uniform between them. An edge that would lie above 0.99 of half the
            sample rate lies there. May be traced.
        order: Of the filter at each edge, an integer from 1 to 8: its slope is 6 dB per octave times that. Static.
        sample_rate: Samples per second, Hz; static.

    Returns:
        The same shape and dtype. The filter starts from silence.

    Raises:
        ValueError: For a scalar, an empty clip, an order out of bounds, or a range out of order or of bounds.
        TypeError: For integers, which ``to_float`` makes floats.

    Example:
        >>> steady = jnp.ones(1000)
        >>> bool(jnp.isclose(band_stop(steady, jax.random.key(0), (500.0, 900.0), (0.5, 1.0))[-1], 1, atol=1e-3))
        True

    Reference:
        ``audiomentations.BandStopFilter``; ``scipy.signal.butter``.
    """
    bandwidths = bandwidth_fraction_range
    return _two_sided("band_stop", "bandstop", audio, key, frequency_range, bandwidths, order, sample_rate)


@annotated
def low_shelf(
    audio: ArrayLike,
    key: jax.Array,
    frequency_range: _Range = _LOW_SHELF,
    gain_db_range: _Range = (-18.0, 18.0),
    q_range: _Range = (0.1, 0.999),
    *,
    sample_rate: int = 16000,
) -> Drawn:
    """Raise or lower the low frequencies by a random shelf.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the filter.
        key: Decides frequency, gain and quality.
        frequency_range: The least and the greatest middle of the slope, where half the gain (in dB) is reached, Hz,
            log-uniform between them, below half the sample rate; the default's ends just below half of a lower
            rate. May be traced.
        gain_db_range: The least and the greatest gain at 0 Hz, dB, uniform between them. May be traced.
        q_range: The least and the greatest quality, above 0, uniform between them: the greater the steeper, a bump
            from 0.7071 on. May be traced.
        sample_rate: Samples per second, Hz; static.

    Returns:
        The same shape and dtype. The filter starts from silence.

    Raises:
        ValueError: For a scalar, an empty clip, or a range out of order or of bounds.
        TypeError: For integers, which ``to_float`` makes floats.

    Example:
        >>> steady = jnp.ones(2000)
        >>> raised = low_shelf(steady, jax.random.key(0), (500.0, 900.0), (6.0, 6.0), (0.7, 0.7))
        >>> round(float(raised[-1]), 3)
        1.995

    Reference:
        ``audiomentations.LowShelfFilter``; R. Bristow-Johnson, "Audio EQ Cookbook" (W3C, 2021).
    """
    return _equalized(
        "low_shelf", "lowshelf", audio, key, frequency_range, _LOW_SHELF, gain_db_range, q_range, sample_rate
    )


@annotated
def high_shelf(
    audio: ArrayLike,
    key: jax.Array,
    frequency_range: _Range = _HIGH_SHELF,
    gain_db_range: _Range = (-18.0, 18.0),
    q_range: _Range = (0.1, 0.999),
    *,
    sample_rate: int = 16000,
) -> Drawn:
    """Raise or lower the high frequencies by a random shelf.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the filter.
        key: Decides frequency, gain and quality.
        frequency_range: The least and the greatest middle of the slope, where half the gain (in dB) is reached, Hz,
            log-uniform between them, below half the sample rate; the default's ends just below half of a lower
            rate. May be traced.
        gain_db_range: The least and the greatest gain at half the sample rate, dB, uniform between them. May be
            traced.
        q_range: The least and the greatest quality, above 0, uniform between them: the greater the steeper, a bump
            from 0.7071 on. May be traced.
        sample_rate: Samples per second, Hz; static.

    Returns:
        The same shape and dtype. The filter starts from silence.

    Raises:
        ValueError: For a scalar, an empty clip, or a range out of order or of bounds.
        TypeError: For integers, which ``to_float`` makes floats.

    Example:
        >>> steady = jnp.ones(1000)
        >>> raised = high_shelf(steady, jax.random.key(0), (2000.0, 4000.0), (6.0, 6.0), (0.7, 0.7))
        >>> round(float(raised[-1]), 3)
        1.0

    Reference:
        ``audiomentations.HighShelfFilter``; R. Bristow-Johnson, "Audio EQ Cookbook" (W3C, 2021).
    """
    return _equalized(
        "high_shelf", "highshelf", audio, key, frequency_range, _HIGH_SHELF, gain_db_range, q_range, sample_rate
    )


@annotated
def peaking(
    audio: ArrayLike,
    key: jax.Array,
    frequency_range: _Range = _PEAK,
    gain_db_range: _Range = (-24.0, 24.0),
    q_range: _Range = (0.5, 5.0),
    *,
    sample_rate: int = 16000,
) -> Drawn:
    """Raise or lower the frequencies about a random one.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the filter.
        key: Decides frequency, gain and quality.
        frequency_range: The least and the greatest center, Hz, log-uniform between them, below half the sample
            rate; the default's ends just below half of a lower rate. May be traced.
        gain_db_range: The least and the greatest gain at the center, dB, uniform between them. May be traced.
        q_range: The least and the greatest quality, above 0, uniform between them: the center's ratio to the
            width. May be traced.
        sample_rate: Samples per second, Hz; static.

    Returns:
        The same shape and dtype. The filter starts from silence.

    Raises:
        ValueError: For a scalar, an empty clip, or a range out of order or of bounds.
        TypeError: For integers, which ``to_float`` makes floats.

    Example:
        >>> steady = jnp.ones(1000)
        >>> raised = peaking(steady, jax.random.key(0), (2000.0, 4000.0), (6.0, 6.0))
        >>> round(float(raised[-1]), 3)
        1.0

    Reference:
        ``audiomentations.PeakingFilter``; R. Bristow-Johnson, "Audio EQ Cookbook" (W3C, 2021).
    """
    return _equalized("peaking", "peaking", audio, key, frequency_range, _PEAK, gain_db_range, q_range, sample_rate)


def _one_sided(
    name: str,
    kind: str,
    audio: ArrayLike,
    key: jax.Array,
    frequency_range: Any,
    default: tuple[float, float],
    order: int,
    sample_rate: int,
) -> Drawn:
    numerics.check_key(name, key)
    waveform = as_float(name, audio)
    _check_filter(order, sample_rate, 2)
    bounds = _frequencies(frequency_range, default, sample_rate)
    changed: Drawn = _passed(waveform, key, bounds, kind, int(order), int(sample_rate))
    return changed


@partial(jax.jit, static_argnames=("kind", "order", "sample_rate"))
def _passed(waveform: jax.Array, key: jax.Array, bounds: _Bounds, kind: str, order: int, sample_rate: int) -> Drawn:
    frequency = _frequency(key, bounds, sample_rate, working_dtype(waveform.dtype))
    return _through(waveform, butterworth(kind, order, frequency, sample_rate=sample_rate)), {"frequency": frequency}


def _two_sided(
    name: str,
    kind: str,
    audio: ArrayLike,
    key: jax.Array,
    frequency_range: Any,
    bandwidth_fraction_range: Any,
    order: int,
    sample_rate: int,
) -> Drawn:
    numerics.check_key(name, key)
    waveform = as_float(name, audio)
    _check_filter(order, sample_rate, 1)
    bounds = _frequencies(frequency_range, _BAND, sample_rate)
    bandwidths = check_range(
        "bandwidth_fraction_range", bandwidth_fraction_range, above=0, maximum=1.999, unit="of the center"
    )
    changed: Drawn = _banded(waveform, key, bounds, bandwidths, kind, int(order), int(sample_rate))
    return changed


@partial(jax.jit, static_argnames=("kind", "order", "sample_rate"))
def _banded(
    waveform: jax.Array,
    key: jax.Array,
    bounds: _Bounds,
    bandwidths: _Bounds,
    kind: str,
    order: int,
    sample_rate: int,
) -> Drawn:
    working = working_dtype(waveform.dtype)
    first, second = jax.random.split(key)
    frequency = _frequency(first, bounds, sample_rate, working)
    fraction = draw_uniform(second, bandwidths, dtype=working)
    highest = _HIGHEST_EDGE * sample_rate / 2
    low = jnp.minimum(frequency * (1 - fraction / 2), 0.98 * highest)
    high = jnp.minimum(frequency * (1 + fraction / 2), highest)
    changed = butterworth_band_filter(waveform.astype(working), kind, order, low, high, sample_rate=sample_rate)
    return changed.astype(waveform.dtype), {"frequency": frequency, "bandwidth_fraction": fraction}


def _equalized(
    name: str,
    kind: str,
    audio: ArrayLike,
    key: jax.Array,
    frequency_range: Any,
    default: tuple[float, float],
    gain_db_range: Any,
    q_range: Any,
    sample_rate: int,
) -> Drawn:
    numerics.check_key(name, key)
    waveform = as_float(name, audio)
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    bounds = _frequencies(frequency_range, default, sample_rate)
    gains, qualities = check_range("gain_db_range", gain_db_range, unit="dB"), check_range("q_range", q_range, above=0)
    changed: Drawn = _one_section(waveform, key, bounds, gains, qualities, kind, int(sample_rate))
    return changed


@partial(jax.jit, static_argnames=("kind", "sample_rate"))
def _one_section(
    waveform: jax.Array,
    key: jax.Array,
    bounds: _Bounds,
    gains: _Bounds,
    qualities: _Bounds,
    kind: str,
    sample_rate: int,
) -> Drawn:
    working = working_dtype(waveform.dtype)
    first, second, third = jax.random.split(key, 3)
    frequency = _frequency(first, bounds, sample_rate, working)
    gain_db, q = draw_uniform(second, gains, dtype=working), draw_uniform(third, qualities, dtype=working)
    section = biquad(kind, frequency, sample_rate=sample_rate, q=q, gain_db=gain_db)
    return _through(waveform, section[None]), {"frequency": frequency, "gain_db": gain_db, "q": q}


@annotated
def parametric_eq(
    audio: ArrayLike,
    key: jax.Array,
    gain_db_range: _Range = (-12.0, 12.0),
    q_range: _Range = (0.5, 5.0),
    shelf_q_range: _Range = (0.1, 0.999),
    *,
    n_bands: int = 7,
    f_min: float = _EQ[0],
    f_max: float = _EQ[1],
    sample_rate: int = 16000,
) -> Drawn:
    """Raise and lower bands all over the spectrum: a low shelf, peaks, and a high shelf, each at random.

    The span from ``f_min`` to ``f_max`` is divided into ``n_bands`` parts of as many octaves; each filter's frequency
    is drawn from its own part.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the filters.
        key: Decides frequencies, gains and qualities.
        gain_db_range: The least and the greatest gain of a band, dB, uniform between them. May be traced.
        q_range: The least and the greatest quality of a peak, above 0, uniform between them. May be traced.
        shelf_q_range: The least and the greatest quality of a shelf, above 0, uniform between them. May be traced.
        n_bands: How many filters there are, an integer of at least 3; static.
        f_min: The lowest frequency of the low shelf, Hz above 0.
        f_max: The highest frequency of the high shelf, Hz below half the sample rate; the default lies just below
            half of a lower rate.
        sample_rate: Samples per second, Hz; static.

    Returns:
        The same shape and dtype. The filters start from silence. Its annotations are ``frequency`` and ``gain_db``
        (n_bands,), ``q`` (n_bands - 2,) and ``shelf_q`` (2,).

    Raises:
        ValueError: For a scalar, an empty clip, too few bands, or a range or span out of order or of bounds.
        TypeError: For integers, which ``to_float`` makes floats.

    Example:
        >>> audio = jnp.ones(20)
        >>> equalized = parametric_eq(audio, jax.random.key(0), (0.0, 0.0), n_bands=3)
        >>> bool(jnp.allclose(equalized, audio, atol=1e-4))
        True

    Reference:
        ``audiomentations.SevenBandParametricEQ``, whose parts overlap a little; R. Bristow-Johnson, "Audio EQ
        Cookbook" (W3C, 2021).
    """
    numerics.check_key("parametric_eq", key)
    waveform = as_float("parametric_eq", audio)
    check_integer("n_bands", n_bands, minimum=3)
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    for name, bound in (("f_min", f_min), ("f_max", f_max)):
        check_number(name, bound, above=0, unit="Hz")
    span = _held((f_min, f_max), _EQ, sample_rate)
    if not span[0] <= span[1] < sample_rate / 2:
        raise ValueError(
            f"the bands go from f_min to f_max below {sample_rate / 2} Hz, half the sample rate of {sample_rate} Hz, "
            f"got f_min={f_min}, f_max={f_max}"
        )
    gains = check_range("gain_db_range", gain_db_range, unit="dB")
    qualities, shelf_qualities = (
        check_range("q_range", q_range, above=0),
        check_range("shelf_q_range", shelf_q_range, above=0),
    )
    changed: Drawn = _parametric_eq(
        waveform, key, span, gains, qualities, shelf_qualities, int(n_bands), int(sample_rate)
    )
    return changed


@partial(jax.jit, static_argnames=("n_bands", "sample_rate"))
def _parametric_eq(
    waveform: jax.Array,
    key: jax.Array,
    span: _Bounds,
    gains: _Bounds,
    qualities: _Bounds,
    shelf_qualities: _Bounds,
    n_bands: int,
    sample_rate: int,
) -> Drawn:
    working = working_dtype(waveform.dtype)
    draws = jax.random.split(key, 4)

    def among(place: int, count: int, bounds: _Bounds) -> jax.Array:
        low, high = (jnp.asarray(bound, working) for bound in bounds)
        drawn: jax.Array = draw_uniform(draws[place], (low, high), (count,), working)
        return drawn

    low, high = (jnp.log(jnp.asarray(end, working)) for end in span)
    part = (jnp.arange(n_bands, dtype=working) + among(0, n_bands, (0, 1))) / n_bands
    frequency = jnp.exp(low + (high - low) * part)
    gain_db, q, shelf_q = among(1, n_bands, gains), among(2, n_bands - 2, qualities), among(3, 2, shelf_qualities)

    def sections(kind: str, bands: slice, quality: jax.Array) -> jax.Array:
        return biquad(kind, frequency[bands], sample_rate=sample_rate, q=quality, gain_db=gain_db[bands])

    sos = jnp.concatenate(
        [
            sections("lowshelf", slice(0, 1), shelf_q[:1]),
            sections("peaking", slice(1, n_bands - 1), q),
            sections("highshelf", slice(n_bands - 1, n_bands), shelf_q[1:]),
        ]
    )
    return _through(waveform, sos), {"frequency": frequency, "gain_db": gain_db, "q": q, "shelf_q": shelf_q}


@annotated
def band_limit(audio: ArrayLike, key: jax.Array, rate_range: _Range = _RECORDED, *, sample_rate: int = 16000) -> Drawn:
    """Take away what a recording at a random lower sample rate would not hold, as a telephone does.

    Nothing aliases: the filter is a sinc under a Kaiser window, flat to 140 Hz below half the drawn rate and below
    -60 dB from there on. It is symmetric, so that nothing is delayed.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the filter.
        key: Decides the rate.
        rate_range: The least and the greatest sample rate that the clip seems recorded at, Hz, log-uniform between
            them, at least 1000 and at most ``sample_rate``; the default's ends at a lower rate. May be traced.
        sample_rate: Samples per second of the clip, Hz, at least 1000; static.

    Returns:
        The same shape and dtype, at the same sample rate.

    Raises:
        ValueError: For a scalar, an empty clip, or rates out of order or of bounds.
        TypeError: For integers, which ``to_float`` makes floats.

    Example:
        >>> tone = jnp.sin(2 * jnp.pi * 3000 / 16000 * jnp.arange(2000))
        >>> dull = band_limit(tone, jax.random.key(0), (4000.0, 5000.0))
        >>> bool(jnp.abs(dull[500:1500]).max() < 1e-3)
        True

    Reference:
        ``audiomentations.Resample`` there and back; ``scipy.signal.firwin`` with a Kaiser window.
    """
    numerics.check_key("band_limit", key)
    waveform = as_float("band_limit", audio)
    check_integer("sample_rate", sample_rate, minimum=1000, unit="Hz")
    if _is(rate_range, _RECORDED):
        rate_range = (min(_RECORDED[0], sample_rate), min(_RECORDED[1], sample_rate))
    rates = check_range("rate_range", rate_range, minimum=1000, maximum=sample_rate, unit="Hz")
    changed: Drawn = _band_limit(waveform, key, rates, int(sample_rate))
    return changed


@partial(jax.jit, static_argnames="sample_rate")
def _band_limit(waveform: jax.Array, key: jax.Array, rates: _Bounds, sample_rate: int) -> Drawn:
    working = working_dtype(waveform.dtype)
    rate = draw_log_uniform(key, rates, dtype=working)
    window = _window(_odd(_TRANSITION * sample_rate / _BAND_LIMIT_TRANSITION)).astype(working)
    cutoff = (rate - _BAND_LIMIT_TRANSITION) / sample_rate  # as a share of half the sample rate
    place = np.arange(len(window)) - len(window) // 2
    kernel = cutoff * jnp.sinc(cutoff * place.astype(working)) * window
    return _convolved(waveform, kernel / jnp.sum(kernel)), {"rate": rate}


@annotated
def drop_frequencies(
    audio: ArrayLike,
    key: jax.Array,
    frequency_range: _Range = _DROPPED,
    n_notches_range: tuple[int, int] = (1, 3),
    *,
    width: float = 400.0,
    sample_rate: int = 16000,
) -> Drawn:
    """Cut a few narrow bands out of the spectrum, at random places.

    The filter is symmetric, so that nothing is delayed. Notches may overlap.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, lose the same bands.
        key: Decides how many bands and where.
        frequency_range: The least and the greatest center of a band, Hz, uniform between them, at most half the
            sample rate; the default's ends there for a lower rate. May be traced.
        n_notches_range: The least and the greatest number of bands, integers of at least 0, each as likely. Static.
        width: Of each band from edge to edge (-6 dB), Hz, at least a 200th of the sample rate; the middle two thirds
            lie below -60 dB. Static.
        sample_rate: Samples per second, Hz; static.

    Returns:
        The same shape and dtype. Its annotations are ``n_notches``, and ``frequency`` (greatest number,), of which
        the first ``n_notches`` are cut out.

    Raises:
        ValueError: For a scalar, an empty clip, or an option out of order or of bounds.
        TypeError: For integer audio, which ``to_float`` makes floats, or a number of bands that is no integer.

    Example:
        >>> tone = jnp.sin(2 * jnp.pi * 1000 / 16000 * jnp.arange(3000))
        >>> without = drop_frequencies(tone, jax.random.key(0), (1000.0, 1000.0), (1, 1))
        >>> bool(jnp.abs(without[1000:2000]).max() < 1e-3)
        True

    Reference:
        ``speechbrain.augment.time_domain.DropFreq``.
    """
    numerics.check_key("drop_frequencies", key)
    waveform = as_float("drop_frequencies", audio)
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    if _is(frequency_range, _DROPPED):
        frequency_range = (_DROPPED[0], min(_DROPPED[1], sample_rate / 2))
    bounds = check_range("frequency_range", frequency_range, minimum=0, maximum=sample_rate / 2, unit="Hz")
    fewest, most = check_range("n_notches_range", n_notches_range, minimum=0)
    for place, number in enumerate((fewest, most)):
        check_integer(f"n_notches_range[{place}]", number, minimum=0)
    check_number("width", width, minimum=sample_rate / 200, maximum=sample_rate / 2, unit="Hz")
    changed: Drawn = _drop_frequencies(waveform, key, bounds, (int(fewest), int(most)), float(width), int(sample_rate))
    return changed


@partial(jax.jit, static_argnames=("counts", "width", "sample_rate"))
def _drop_frequencies(
    waveform: jax.Array,
    key: jax.Array,
    bounds: _Bounds,
    counts: tuple[int, int],
    width: float,
    sample_rate: int,
) -> Drawn:
    working = working_dtype(waveform.dtype)
    fewest, most = counts
    first, second = jax.random.split(key)
    n_notches = numerics.randint(first, (), fewest, most + 1, "int32")
    low, high = (jnp.asarray(bound, working) for bound in bounds)
    frequency = draw_uniform(second, (low, high), (most,), working)

    window = _window(_odd(_TRANSITION * sample_rate / (width / 3))).astype(working)
    # Twice as dense as the kernel is long; an edge's place within a bin is told by how far the bin is let through.
    n_fft = 2 ** math.ceil(math.log2(2 * len(window)))
    step = sample_rate / n_fft
    grid = (np.arange(n_fft // 2 + 1) * step).astype(working)
    outside = jnp.clip((jnp.abs(grid - frequency[:, None]) - width / 2) / step + 0.5, 0, 1)
    outside = jnp.where((jnp.arange(most) < n_notches)[:, None], outside, 1)
    response = jnp.min(outside, axis=0, initial=1)
    return _convolved(waveform, _kernel(response, window)), {"n_notches": n_notches, "frequency": frequency}


@annotated
def air_absorption(
    audio: ArrayLike,
    key: jax.Array,
    temperature_range: _Range = (10.0, 20.0),
    humidity_range: _Range = (30.0, 90.0),
    distance_range: _Range = (10.0, 100.0),
    *,
    sample_rate: int = 16000,
) -> Drawn:
    """Dull a clip as the air between source and microphone does, without the loss of level that distance brings.

    The attenuation of every frequency is that of the standard at a pressure of 101.325 kPa, given by a symmetric
    filter of 255 taps, which delays nothing and attenuates by 70 dB at most.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the air.
        key: Decides temperature, humidity and distance.
        temperature_range: The least and the greatest temperature, degrees Celsius from -20 to 50, uniform between
            them. May be traced.
        humidity_range: The least and the greatest relative humidity, percent from 10 to 100, uniform between them.
            May be traced.
        distance_range: The least and the greatest distance, meters of at least 0, uniform between them. May be
            traced.
        sample_rate: Samples per second, Hz; static.

    Returns:
        The same shape and dtype.

    Raises:
        ValueError: For a scalar, an empty clip, or a range out of order or of bounds.
        TypeError: For integers, which ``to_float`` makes floats.

    Example:
        >>> hiss = jnp.array([1.0, -1.0] * 500)
        >>> far = air_absorption(hiss, jax.random.key(0), (20.0, 20.0), (70.0, 70.0), (100.0, 100.0))
        >>> bool(0.3 < jnp.abs(far[500]) < 0.5)  # 76.6 dB per kilometer at 8 kHz
        True

    Reference:
        ISO 9613-1 (1993), equations 3 to 5 and annex B; ``audiomentations.AirAbsorption``, from a table by octaves.
    """
    numerics.check_key("air_absorption", key)
    waveform = as_float("air_absorption", audio)
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    temperatures = check_range("temperature_range", temperature_range, minimum=-20, maximum=50, unit="degrees Celsius")
    humidities = check_range("humidity_range", humidity_range, minimum=10, maximum=100, unit="percent")
    distances = check_range("distance_range", distance_range, minimum=0, unit="meters")
    changed: Drawn = _air_absorption(waveform, key, temperatures, humidities, distances, int(sample_rate))
    return changed


@partial(jax.jit, static_argnames="sample_rate")
def _air_absorption(
    waveform: jax.Array,
    key: jax.Array,
    temperatures: _Bounds,
    humidities: _Bounds,
    distances: _Bounds,
    sample_rate: int,
) -> Drawn:
    working = working_dtype(waveform.dtype)
    first, second, third = jax.random.split(key, 3)
    temperature = draw_uniform(first, temperatures, dtype=working)
    humidity = draw_uniform(second, humidities, dtype=working)
    distance = draw_uniform(third, distances, dtype=working)
    window = _window(_AIR_TAPS).astype(working)
    grid = np.linspace(0, sample_rate / 2, _AIR_TAPS // 2 + 2).astype(working)
    lost = distance * _absorbed(grid, temperature, humidity)
    kernel = _kernel(jnp.exp(-math.log(10) / 20 * lost), window)
    drawn = {"temperature": temperature, "humidity": humidity, "distance": distance}
    return _convolved(waveform, kernel), drawn


def _absorbed(frequency: np.ndarray, temperature: jax.Array, humidity: jax.Array) -> jax.Array:
    """Give the absorption of air, dB per meter, by ISO 9613-1."""
    kelvin = temperature + 273.15
    warmth = kelvin / 293.15
    root = jnp.sqrt(warmth)
    saturation = 10 ** (4.6151 - 6.8346 * (273.16 / kelvin) ** 1.261)
    vapour = humidity * saturation
    oxygen = 24 + 4.04e4 * vapour * (0.02 + vapour) / (0.391 + vapour)
    nitrogen = (9 + 280 * vapour * jnp.exp(-4.170 * (warmth ** (-1 / 3) - 1))) / root
    square = jnp.square(frequency)
    by_oxygen = 0.01275 * jnp.exp(-2239.1 / kelvin) * oxygen / (oxygen**2 + square)
    by_nitrogen = 0.1068 * jnp.exp(-3352.0 / kelvin) * nitrogen / (nitrogen**2 + square)
    return 8.686 * square * (1.84e-11 * root + (by_oxygen + by_nitrogen) / (warmth**2 * root))


@annotated
def phase_corruption(
    audio: ArrayLike, key: jax.Array, strength_range: _Range = (0.0, 1.0), *, n_fft: int = 1024
) -> Drawn:
    """Turn the phase of every frequency by a random angle; the magnitudes stay.

    One transform of the whole clip is turned by angles drawn at the ``n_fft // 2 + 1`` frequencies of a shorter one,
    straight lines between them, so that no sound moves by more than ``strength * n_fft`` samples. What moves past an
    end comes in at the other.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, are turned alike.
        key: Decides the strength and the angles.
        strength_range: The least and the greatest strength, from 0 to 1, uniform between them: angles are uniform
            within strength times half a turn either way. May be traced.
        n_fft: The length of the shorter transform, samples, an integer of at least 2; static.

    Returns:
        The same shape and dtype, with the magnitudes of ``jnp.fft.rfft(audio)`` unchanged.

    Raises:
        ValueError: For a scalar, an empty clip, or an option out of order or of bounds.
        TypeError: For integers, which ``to_float`` makes floats.

    Example:
        >>> audio = jnp.arange(8.0)
        >>> corrupted = phase_corruption(audio, jax.random.key(0))
        >>> bool(jnp.allclose(abs(jnp.fft.rfft(corrupted)), abs(jnp.fft.rfft(audio)), atol=1e-4))
        True

    Reference:
        ``audiotools``' ``corrupt_phase``, which turns the frequencies of a short-time transform and so changes the
        magnitudes where its frames overlap.
    """
    numerics.check_key("phase_corruption", key)
    waveform = as_float("phase_corruption", audio)
    strengths = check_range("strength_range", strength_range, minimum=0, maximum=1)
    check_integer("n_fft", n_fft, minimum=2, unit="samples")
    changed: Drawn = _phase_corruption(waveform, key, *strengths, int(n_fft))
    return changed


@partial(jax.jit, static_argnames="n_fft")
def _phase_corruption(waveform: jax.Array, key: jax.Array, low: ArrayLike, high: ArrayLike, n_fft: int) -> Drawn:
    working = working_dtype(waveform.dtype)
    first, second = jax.random.split(key)
    strength = draw_uniform(first, (low, high), dtype=working)
    length = waveform.shape[-1]
    offsets = strength * draw_uniform(second, (-0.5, 0.5), (n_fft // 2 + 2,), working)
    bins = np.arange(length // 2 + 1)
    place = bins * (n_fft / length)
    below = np.floor(place).astype(np.int32)
    share = (place - below).astype(working)
    left, right = (jnp.take(offsets, below + step, mode="clip") for step in (0, 1))
    # What has no imaginary part has no phase to turn: 0 Hz, and half the sample rate.
    turned = (bins > 0) & (2 * bins < length)
    cycles = jnp.where(turned, left + (right - left) * share, 0)
    turn = jax.lax.complex(numerics.cos2pi(cycles), numerics.sin2pi(cycles))
    changed = jnp.fft.irfft(jnp.fft.rfft(waveform.astype(working)) * turn, n=length)
    return changed.astype(waveform.dtype), {"strength": strength}


def _is(bounds: Any, default: tuple[float, float]) -> bool:
    """Whether bounds are the default ones, which give way to a lower sample rate; what is traced is not."""
    if not isinstance(bounds, tuple | list) or not all(isinstance(bound, numbers.Real) for bound in bounds):
        return False
    return tuple(bounds) == default


def _held(bounds: Any, default: tuple[float, float], sample_rate: int) -> Any:
    if not _is(bounds, default):
        return bounds
    limit = _DEFAULT_HIGHEST * sample_rate / 2
    return min(default[0], limit), min(default[1], limit)


def _frequencies(frequency_range: Any, default: tuple[float, float], sample_rate: int) -> tuple[Any, Any]:
    low, high = check_range("frequency_range", _held(frequency_range, default, sample_rate), above=0, unit="Hz")
    for bound in (low, high):
        if not isinstance(bound, jax.Array) and bound >= sample_rate / 2:
            raise ValueError(
                f"frequency_range lies below {sample_rate / 2} Hz, half the sample rate of {sample_rate} Hz, "
                f"got {bound} Hz: give the rate of the audio as sample_rate, or lower frequencies"
            )
    return low, high


def _check_filter(order: int, sample_rate: int, least: int) -> None:
    check_integer("order", order, minimum=least, maximum=8)
    if order % least:
        raise ValueError(f"order must be even, 2 to 8, got {order}")
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")


def _frequency(key: jax.Array, bounds: _Bounds, sample_rate: int, dtype: np.dtype) -> jax.Array:
    # Only bounds that are traced can reach beyond.
    return jnp.minimum(draw_log_uniform(key, bounds, dtype=dtype), _HIGHEST * sample_rate / 2)


def _through(waveform: jax.Array, sos: jax.Array) -> jax.Array:
    return sosfilt(waveform.astype(working_dtype(waveform.dtype)), sos).astype(waveform.dtype)


def _convolved(waveform: jax.Array, kernel: jax.Array) -> jax.Array:
    values = waveform.astype(working_dtype(waveform.dtype))
    return fft_convolve(values, kernel, mode="same").astype(waveform.dtype)


def _odd(length: float) -> int:
    return 2 * math.ceil(length / 2) + 1


@lru_cache(maxsize=64)
def _window(length: int) -> np.ndarray:
    window = np.kaiser(length, _KAISER_BETA)
    window.setflags(write=False)
    return window


def _kernel(response: jax.Array, window: np.ndarray) -> jax.Array:
    """Give the symmetric kernel, as long as the window, of a real response at evenly spaced frequencies."""
    half = len(window) // 2
    impulse = jnp.fft.irfft(response, n=2 * (len(response) - 1))
    right = impulse[: half + 1]
    return jnp.concatenate([right[:0:-1], right]) * window
