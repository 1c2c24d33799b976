"""Augmentations by recursive filters: low-pass, high-pass, band-pass, band-stop, shelves and equalizers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_integer, check_option, check_range
from artifex.generative_models.core.numerics import jit, working_dtype
from artifex.generative_models.modalities.audio.annotations import Drawn, augmentation
from artifex.generative_models.modalities.audio.augmentations.domain import checked_waveform
from artifex.generative_models.modalities.audio.augmentations.draws import (
    Bounds,
    draw_log_uniform,
    draw_uniform,
    limit_default,
)
from artifex.generative_models.modalities.audio.preprocessing import state_space
from artifex.generative_models.modalities.audio.preprocessing.filters import biquad, butterworth, sosfilt

_LOW_PASS = (150.0, 7500.0)
_HIGH_PASS = (20.0, 2400.0)
_BAND = (200.0, 4000.0)
_LOW_SHELF = (50.0, 4000.0)
_HIGH_SHELF = (300.0, 7500.0)
_PEAKING = (50.0, 7500.0)
_EQ = (42.0, 7500.0)

# Maximum frequencies as fractions of half the sample rate: the first keeps filters stable in float32, the second limits
# the default ranges, the third limits the edges of bands.
_MAX_FRACTION = 0.999
_MAX_DEFAULT_FRACTION = 0.99
_MAX_EDGE_FRACTION = 0.99


def _draw_pass(
    key: Array,
    shape: tuple[int, ...],
    *,
    frequency_range: Bounds,
    sample_rate: int | Array,
    default: tuple[float, float],
) -> Drawn:
    return {"frequency": _draw_frequency(key, frequency_range, default, sample_rate)}


_draw_low_pass = functools.partial(_draw_pass, default=_LOW_PASS)
_draw_high_pass = functools.partial(_draw_pass, default=_HIGH_PASS)


@augmentation(draw=_draw_low_pass)
def low_pass(
    audio: ArrayLike, key: Array, frequency_range: Bounds = _LOW_PASS, *, order: int = 2, sample_rate: int | Array
) -> Array:
    """Apply a Butterworth low-pass filter with a random cutoff.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the filter.
        key: PRNG key.
        frequency_range: Cutoff (-3 dB) range (min, max) in Hz, below half the sample rate; drawn log-uniformly.
            The default range is limited to 0.99 times half the sample rate. May be traced.
        order: Filter order, an even number from 2 to 8; the slope is 6 dB per octave times the order. Static.
        sample_rate: Sample rate in Hz. May be traced.

    Returns:
        The same shape and dtype. The initial filter state is zero. Annotation: ``frequency``.

    Raises:
        ValueError: For a scalar, an empty clip, an invalid order, or a range that is invalid or not below half the
            sample rate.
        TypeError: For integer audio; convert it with ``to_float``.

    Example:
        >>> hiss = jnp.array([1.0, -1.0] * 16)
        >>> bool(jnp.abs(low_pass(hiss, jax.random.key(0), (100.0, 200.0), sample_rate=16000)).max() < 0.1)
        True

    Reference:
        ``audiomentations.LowPassFilter``, which draws the cutoff on the mel scale and also draws the order;
        ``scipy.signal.butter``.
    """
    waveform = checked_waveform("low_pass", audio, key)
    _check_order(order, even=True)
    cutoffs = _check_frequencies(frequency_range, _LOW_PASS, sample_rate)
    return _pass_filter(waveform, key, cutoffs, sample_rate, "lowpass", _draw_low_pass, int(order))


@augmentation(draw=_draw_high_pass)
def high_pass(
    audio: ArrayLike, key: Array, frequency_range: Bounds = _HIGH_PASS, *, order: int = 2, sample_rate: int | Array
) -> Array:
    """Apply a Butterworth high-pass filter with a random cutoff.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the filter.
        key: PRNG key.
        frequency_range: Cutoff (-3 dB) range (min, max) in Hz, below half the sample rate; drawn log-uniformly.
            The default range is limited to 0.99 times half the sample rate. May be traced.
        order: Filter order, an even number from 2 to 8; the slope is 6 dB per octave times the order. Static.
        sample_rate: Sample rate in Hz. May be traced.

    Returns:
        The same shape and dtype. The initial filter state is zero. Annotation: ``frequency``.

    Raises:
        ValueError: For a scalar, an empty clip, an invalid order, or a range that is invalid or not below half the
            sample rate.
        TypeError: For integer audio; convert it with ``to_float``.

    Example:
        >>> constant = jnp.ones(1000)
        >>> filtered = high_pass(constant, jax.random.key(0), (500.0, 1000.0), sample_rate=16000)
        >>> bool(jnp.abs(filtered[500:]).max() < 1e-3)
        True

    Reference:
        ``audiomentations.HighPassFilter``, which draws the cutoff on the mel scale and also draws the order;
        ``scipy.signal.butter``.
    """
    waveform = checked_waveform("high_pass", audio, key)
    _check_order(order, even=True)
    cutoffs = _check_frequencies(frequency_range, _HIGH_PASS, sample_rate)
    return _pass_filter(waveform, key, cutoffs, sample_rate, "highpass", _draw_high_pass, int(order))


def _draw_band(
    key: Array,
    shape: tuple[int, ...],
    *,
    frequency_range: Bounds,
    bandwidth_fraction_range: Bounds,
    sample_rate: int | Array,
) -> Drawn:
    frequency_key, bandwidth_key = jax.random.split(key)
    return {
        "frequency": _draw_frequency(frequency_key, frequency_range, _BAND, sample_rate),
        "bandwidth_fraction": draw_uniform(bandwidth_key, bandwidth_fraction_range),
    }


@augmentation(draw=_draw_band)
def band_pass(
    audio: ArrayLike,
    key: Array,
    frequency_range: Bounds = _BAND,
    bandwidth_fraction_range: Bounds = (0.5, 1.99),
    *,
    order: int = 2,
    sample_rate: int | Array,
) -> Array:
    """Apply a Butterworth band-pass filter with a random center and bandwidth.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the filter.
        key: PRNG key.
        frequency_range: Center range (min, max) in Hz, below half the sample rate; drawn log-uniformly. The
            default range is limited to 0.99 times half the sample rate. May be traced.
        bandwidth_fraction_range: Range (min, max) of the bandwidth (-3 dB) divided by the center frequency, above 0 and
            below 2; drawn uniformly. Edges are limited to 0.99 times half the sample rate. May be traced.
        order: Filter order at each edge, an integer from 1 to 8; the slope is 6 dB per octave times the order. Static.
        sample_rate: Sample rate in Hz. May be traced.

    Returns:
        The same shape and dtype. The initial filter state is zero. Annotations: ``frequency`` and
        ``bandwidth_fraction``.

    Raises:
        ValueError: For a scalar, an empty clip, an invalid order, or an invalid range.
        TypeError: For integer audio; convert it with ``to_float``.

    Example:
        >>> hiss = jnp.array([1.0, -1.0] * 50)
        >>> filtered = band_pass(hiss, jax.random.key(0), (500.0, 900.0), sample_rate=16000)
        >>> bool(jnp.abs(filtered[50:]).max() < 0.02)
        True

    Reference:
        ``audiomentations.BandPassFilter``; ``scipy.signal.butter``.
    """
    waveform = checked_waveform("band_pass", audio, key)
    _check_order(order, even=False)
    centers = _check_frequencies(frequency_range, _BAND, sample_rate)
    bandwidths = _check_bandwidths(bandwidth_fraction_range)
    return _band_filter(waveform, key, centers, bandwidths, sample_rate, "bandpass", int(order))


@augmentation(draw=_draw_band)
def band_stop(
    audio: ArrayLike,
    key: Array,
    frequency_range: Bounds = _BAND,
    bandwidth_fraction_range: Bounds = (0.5, 1.99),
    *,
    order: int = 2,
    sample_rate: int | Array,
) -> Array:
    """Apply a Butterworth band-stop filter with a random center and bandwidth.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the filter.
        key: PRNG key.
        frequency_range: Center range (min, max) in Hz, below half the sample rate; drawn log-uniformly. The
            default range is limited to 0.99 times half the sample rate. May be traced.
        bandwidth_fraction_range: Range (min, max) of the bandwidth (-3 dB) divided by the center frequency, above 0 and
            below 2; drawn uniformly. Edges are limited to 0.99 times half the sample rate. May be traced.
        order: Filter order at each edge, an integer from 1 to 8; the slope is 6 dB per octave times the order. Static.
        sample_rate: Sample rate in Hz. May be traced.

    Returns:
        The same shape and dtype. The initial filter state is zero. Annotations: ``frequency`` and
        ``bandwidth_fraction``.

    Raises:
        ValueError: For a scalar, an empty clip, an invalid order, or an invalid range.
        TypeError: For integer audio; convert it with ``to_float``.

    Example:
        >>> constant = jnp.ones(1000)
        >>> filtered = band_stop(constant, jax.random.key(0), (500.0, 900.0), (0.5, 1.0), sample_rate=16000)
        >>> bool(jnp.isclose(filtered[-1], 1, atol=1e-3))
        True

    Reference:
        ``audiomentations.BandPassFilter``; ``scipy.signal.butter``.
    """
    waveform = checked_waveform("band_stop", audio, key)
    _check_order(order, even=False)
    centers = _check_frequencies(frequency_range, _BAND, sample_rate)
    bandwidths = _check_bandwidths(bandwidth_fraction_range)
    return _band_filter(waveform, key, centers, bandwidths, sample_rate, "bandstop", int(order))


def _draw_equalizer(
    key: Array,
    shape: tuple[int, ...],
    *,
    frequency_range: Bounds,
    gain_db_range: Bounds,
    q_range: Bounds,
    sample_rate: int | Array,
    default: tuple[float, float],
) -> Drawn:
    frequency_key, gain_key, q_key = jax.random.split(key, 3)
    return {
        "frequency": _draw_frequency(frequency_key, frequency_range, default, sample_rate),
        "gain_db": draw_uniform(gain_key, gain_db_range),
        "q": draw_uniform(q_key, q_range),
    }


_draw_low_shelf = functools.partial(_draw_equalizer, default=_LOW_SHELF)
_draw_high_shelf = functools.partial(_draw_equalizer, default=_HIGH_SHELF)
_draw_peaking = functools.partial(_draw_equalizer, default=_PEAKING)


@augmentation(draw=_draw_low_shelf)
def low_shelf(
    audio: ArrayLike,
    key: Array,
    frequency_range: Bounds = _LOW_SHELF,
    gain_db_range: Bounds = (-18.0, 18.0),
    q_range: Bounds = (0.1, 0.999),
    *,
    sample_rate: int | Array,
) -> Array:
    """Apply a low-shelf filter with a random frequency, gain and quality factor.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the filter.
        key: PRNG key.
        frequency_range: Midpoint range (min, max) in Hz, below half the sample rate; drawn log-uniformly. The gain in
            dB at the midpoint is half of the full gain. The default range is limited to 0.99 times half the sample
            rate. May be traced.
        gain_db_range: Range (min, max) of the gain at 0 Hz in dB; drawn uniformly. May be traced.
        q_range: Range (min, max) of the quality factor, above 0; drawn uniformly. A higher value is steeper;
            above 0.7071 the response overshoots. May be traced.
        sample_rate: Sample rate in Hz. May be traced.

    Returns:
        The same shape and dtype. The initial filter state is zero. Annotations: ``frequency``, ``gain_db`` and ``q``.

    Raises:
        ValueError: For a scalar, an empty clip, or an invalid range.
        TypeError: For integer audio; convert it with ``to_float``.

    Example:
        >>> constant = jnp.ones(2000)
        >>> boosted = low_shelf(constant, jax.random.key(0), (500.0, 900.0), (6.0, 6.0), (0.7, 0.7), sample_rate=16000)
        >>> round(float(boosted[-1]), 3)
        1.995

    Reference:
        ``audiomentations.LowShelfFilter``; R. Bristow-Johnson, "Audio EQ Cookbook" (W3C, 2021).
    """
    waveform = checked_waveform("low_shelf", audio, key)
    ranges = _check_equalizer(frequency_range, gain_db_range, q_range, _LOW_SHELF, sample_rate)
    return _equalize(waveform, key, ranges, sample_rate, "lowshelf", _draw_low_shelf)


@augmentation(draw=_draw_high_shelf)
def high_shelf(
    audio: ArrayLike,
    key: Array,
    frequency_range: Bounds = _HIGH_SHELF,
    gain_db_range: Bounds = (-18.0, 18.0),
    q_range: Bounds = (0.1, 0.999),
    *,
    sample_rate: int | Array,
) -> Array:
    """Apply a high-shelf filter with a random frequency, gain and quality factor.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the filter.
        key: PRNG key.
        frequency_range: Midpoint range (min, max) in Hz, below half the sample rate; drawn log-uniformly. The gain in
            dB at the midpoint is half of the full gain. The default range is limited to 0.99 times half the sample
            rate. May be traced.
        gain_db_range: Range (min, max) of the gain at half the sample rate in dB; drawn uniformly. May be traced.
        q_range: Range (min, max) of the quality factor, above 0; drawn uniformly. A higher value is steeper;
            above 0.7071 the response overshoots. May be traced.
        sample_rate: Sample rate in Hz. May be traced.

    Returns:
        The same shape and dtype. The initial filter state is zero. Annotations: ``frequency``, ``gain_db`` and ``q``.

    Raises:
        ValueError: For a scalar, an empty clip, or an invalid range.
        TypeError: For integer audio; convert it with ``to_float``.

    Example:
        >>> constant = jnp.ones(1000)
        >>> boosted = high_shelf(
        ...     constant, jax.random.key(0), (2000.0, 4000.0), (6.0, 6.0), (0.7, 0.7), sample_rate=16000
        ... )
        >>> round(float(boosted[-1]), 3)
        1.0

    Reference:
        ``audiomentations.HighShelfFilter``; R. Bristow-Johnson, "Audio EQ Cookbook" (W3C, 2021).
    """
    waveform = checked_waveform("high_shelf", audio, key)
    ranges = _check_equalizer(frequency_range, gain_db_range, q_range, _HIGH_SHELF, sample_rate)
    return _equalize(waveform, key, ranges, sample_rate, "highshelf", _draw_high_shelf)


@augmentation(draw=_draw_peaking)
def peaking(
    audio: ArrayLike,
    key: Array,
    frequency_range: Bounds = _PEAKING,
    gain_db_range: Bounds = (-24.0, 24.0),
    q_range: Bounds = (0.5, 5.0),
    *,
    sample_rate: int | Array,
) -> Array:
    """Apply a peaking equalizer with a random center, gain and quality factor.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the filter.
        key: PRNG key.
        frequency_range: Center range (min, max) in Hz, below half the sample rate; drawn log-uniformly. The
            default range is limited to 0.99 times half the sample rate. May be traced.
        gain_db_range: Range (min, max) of the gain at the center in dB; drawn uniformly. May be traced.
        q_range: Range (min, max) of the quality factor, above 0; drawn uniformly. It is the center divided by
            the bandwidth. May be traced.
        sample_rate: Sample rate in Hz. May be traced.

    Returns:
        The same shape and dtype. The initial filter state is zero. Annotations: ``frequency``, ``gain_db`` and ``q``.

    Raises:
        ValueError: For a scalar, an empty clip, or an invalid range.
        TypeError: For integer audio; convert it with ``to_float``.

    Example:
        >>> constant = jnp.ones(1000)
        >>> boosted = peaking(constant, jax.random.key(0), (2000.0, 4000.0), (6.0, 6.0), sample_rate=16000)
        >>> round(float(boosted[-1]), 3)
        1.0

    Reference:
        ``audiomentations.PeakingFilter``; R. Bristow-Johnson, "Audio EQ Cookbook" (W3C, 2021).
    """
    waveform = checked_waveform("peaking", audio, key)
    ranges = _check_equalizer(frequency_range, gain_db_range, q_range, _PEAKING, sample_rate)
    return _equalize(waveform, key, ranges, sample_rate, "peaking", _draw_peaking)


def _draw_parametric_eq(
    key: Array,
    shape: tuple[int, ...],
    *,
    gain_db_range: Bounds,
    q_range: Bounds,
    shelf_q_range: Bounds,
    n_bands: int,
    f_min: float | Array,
    f_max: float | Array,
    sample_rate: int | Array,
) -> Drawn:
    frequency_key, gain_key, q_key, shelf_key = jax.random.split(key, 4)
    low, high = (jnp.log(jnp.asarray(end, jnp.float32)) for end in _limit_default((f_min, f_max), _EQ, sample_rate))
    position = jnp.arange(n_bands, dtype=jnp.float32) + draw_uniform(frequency_key, (0, 1), (n_bands,))
    return {
        "frequency": jnp.exp(low + (high - low) * (position / n_bands)),
        "gain_db": draw_uniform(gain_key, gain_db_range, (n_bands,)),
        "q": draw_uniform(q_key, q_range, (n_bands - 2,)),
        "shelf_q": draw_uniform(shelf_key, shelf_q_range, (2,)),
    }


@augmentation(draw=_draw_parametric_eq)
def parametric_eq(
    audio: ArrayLike,
    key: Array,
    gain_db_range: Bounds = (-12.0, 12.0),
    q_range: Bounds = (0.5, 5.0),
    shelf_q_range: Bounds = (0.1, 0.999),
    *,
    n_bands: int = 7,
    f_min: float = _EQ[0],
    f_max: float = _EQ[1],
    sample_rate: int | Array,
) -> Array:
    """Apply a parametric equalizer with random bands: a low shelf, peaks and a high shelf.

    The range from ``f_min`` to ``f_max`` is divided into ``n_bands`` equal intervals on a logarithmic scale. The
    frequency of each filter is drawn log-uniformly from its interval.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the filters.
        key: PRNG key.
        gain_db_range: Range (min, max) of the gain of each band in dB; drawn uniformly. May be traced.
        q_range: Range (min, max) of the quality factor of each peak, above 0; drawn uniformly. May be traced.
        shelf_q_range: Range (min, max) of the quality factor of each shelf, above 0; drawn uniformly. May be traced.
        n_bands: Number of filters, an integer of at least 3; static.
        f_min: Minimum frequency of the low shelf in Hz, above 0.
        f_max: Maximum frequency of the high shelf in Hz, below half the sample rate. The default range is limited to
            0.99 times half the sample rate.
        sample_rate: Sample rate in Hz. May be traced.

    Returns:
        The same shape and dtype. The initial filter state is zero. Annotations: ``frequency`` and ``gain_db``
        (n_bands,), ``q`` (n_bands - 2,) and ``shelf_q`` (2,).

    Raises:
        ValueError: For a scalar, an empty clip, too few bands, or an invalid range.
        TypeError: For integer audio; convert it with ``to_float``.

    Example:
        >>> audio = jnp.ones(20)
        >>> equalized = parametric_eq(audio, jax.random.key(0), (0.0, 0.0), n_bands=3, sample_rate=16000)
        >>> bool(jnp.allclose(equalized, audio, atol=1e-4))
        True

    Reference:
        ``audiomentations.SevenBandParametricEQ``, whose intervals overlap; R. Bristow-Johnson, "Audio EQ Cookbook"
        (W3C, 2021).
    """
    waveform = checked_waveform("parametric_eq", audio, key)
    check_integer("n_bands", n_bands, minimum=3)
    check_option("sample_rate", sample_rate, integer=True, minimum=1, unit="Hz")
    limited = _limit_default((f_min, f_max), _EQ, sample_rate)
    low, high = check_range(("f_min", "f_max"), limited, above=0, unit="Hz")
    _check_below_nyquist("f_max", high, sample_rate)
    ranges = {
        "gain_db_range": check_range("gain_db_range", gain_db_range, unit="dB"),
        "q_range": check_range("q_range", q_range, above=0),
        "shelf_q_range": check_range("shelf_q_range", shelf_q_range, above=0),
        "f_min": low,
        "f_max": high,
    }
    return _parametric_eq(waveform, key, ranges, sample_rate, int(n_bands))


@jit(static_argnames=["n_bands"])
def _parametric_eq(
    waveform: Array, key: Array, ranges: dict[str, Any], sample_rate: int | Array, n_bands: int
) -> Array:
    drawn = _draw_parametric_eq(key, waveform.shape, **ranges, n_bands=n_bands, sample_rate=sample_rate)
    frequency, gain_db, shelf_q = drawn["frequency"], drawn["gain_db"], drawn["shelf_q"]
    low_shelf_section = _section("lowshelf", waveform, frequency[:1], gain_db[:1], shelf_q[:1], sample_rate)
    peaks = _section("peaking", waveform, frequency[1:-1], gain_db[1:-1], drawn["q"], sample_rate)
    high_shelf_section = _section("highshelf", waveform, frequency[-1:], gain_db[-1:], shelf_q[1:], sample_rate)
    return _filter(waveform, jnp.concatenate([low_shelf_section, peaks, high_shelf_section]))


@jit(static_argnames=["kind", "draw", "order"])
def _pass_filter(
    waveform: Array,
    key: Array,
    frequency_range: Bounds,
    sample_rate: int | Array,
    kind: str,
    draw: Callable[..., Drawn],
    order: int,
) -> Array:
    drawn = draw(key, waveform.shape, frequency_range=frequency_range, sample_rate=sample_rate)
    cutoff = drawn["frequency"].astype(working_dtype(waveform.dtype))
    return _filter(waveform, butterworth(kind, order, cutoff, sample_rate=sample_rate))


@jit(static_argnames=["kind", "order"])
def _band_filter(
    waveform: Array,
    key: Array,
    frequency_range: Bounds,
    bandwidth_fraction_range: Bounds,
    sample_rate: int | Array,
    kind: str,
    order: int,
) -> Array:
    drawn = _draw_band(
        key,
        waveform.shape,
        frequency_range=frequency_range,
        bandwidth_fraction_range=bandwidth_fraction_range,
        sample_rate=sample_rate,
    )
    values = waveform.astype(working_dtype(waveform.dtype))
    rate = jnp.asarray(sample_rate, values.dtype)
    low, high = _band_edges(drawn["frequency"], drawn["bandwidth_fraction"], rate)
    sections = state_space.butterworth_band(kind, order, low, high, rate)
    return state_space.filter_sections(values, sections).astype(waveform.dtype)


@jit(static_argnames=["kind", "draw"])
def _equalize(
    waveform: Array,
    key: Array,
    ranges: Mapping[str, Bounds],
    sample_rate: int | Array,
    kind: str,
    draw: Callable[..., Drawn],
) -> Array:
    drawn = draw(key, waveform.shape, **ranges, sample_rate=sample_rate)
    return _filter(waveform, _section(kind, waveform, **drawn, sample_rate=sample_rate)[None])


def _limit_default(bounds: Bounds, default: tuple[float, float], sample_rate: int | Array) -> Bounds:
    """Return a range; the default range is limited to 0.99 times half the sample rate."""
    rate = sample_rate.astype(jnp.float32) if isinstance(sample_rate, Array) else sample_rate
    return limit_default(bounds, default, _MAX_DEFAULT_FRACTION / 2 * rate)


def _check_frequencies(
    frequency_range: Bounds, default: tuple[float, float], sample_rate: int | Array
) -> tuple[Any, Any]:
    check_option("sample_rate", sample_rate, integer=True, minimum=1, unit="Hz")
    limited = _limit_default(frequency_range, default, sample_rate)
    low, high = check_range("frequency_range", limited, above=0, unit="Hz")
    for bound in (low, high):
        _check_below_nyquist("frequency_range", bound, sample_rate)
    return low, high


def _check_below_nyquist(name: str, frequency: Any, sample_rate: int | Array) -> None:
    if not isinstance(frequency, Array) and not isinstance(sample_rate, Array) and frequency >= sample_rate / 2:
        raise ValueError(
            f"{name} must be below {sample_rate / 2} Hz, half the sample rate of {sample_rate} Hz, "
            f"got {frequency} Hz; pass the sample rate of the audio as sample_rate, or use lower frequencies"
        )


def _check_equalizer(
    frequency_range: Bounds,
    gain_db_range: Bounds,
    q_range: Bounds,
    default: tuple[float, float],
    sample_rate: int | Array,
) -> dict[str, Bounds]:
    return {
        "frequency_range": _check_frequencies(frequency_range, default, sample_rate),
        "gain_db_range": check_range("gain_db_range", gain_db_range, unit="dB"),
        "q_range": check_range("q_range", q_range, above=0),
    }


def _check_bandwidths(bandwidth_fraction_range: Bounds) -> tuple[Any, Any]:
    name = "bandwidth_fraction_range"
    return check_range(name, bandwidth_fraction_range, above=0, maximum=1.999, unit="of the center")


def _check_order(order: int, *, even: bool) -> None:
    check_integer("order", order, minimum=2 if even else 1, maximum=8)
    if even and order % 2:
        raise ValueError(f"order must be even, 2 to 8, got {order}")


def _draw_frequency(
    key: Array, frequency_range: Bounds, default: tuple[float, float], sample_rate: int | Array
) -> Array:
    drawn = draw_log_uniform(key, _limit_default(frequency_range, default, sample_rate))
    # Only traced bounds, which are not validated, can exceed this limit.
    return jnp.minimum(drawn, _MAX_FRACTION / 2 * jnp.asarray(sample_rate, jnp.float32))


def _band_edges(center: Array, bandwidth_fraction: Array, rate: Array) -> tuple[Array, Array]:
    """Return the edges of a band in Hz."""
    center, half = center.astype(rate.dtype), bandwidth_fraction.astype(rate.dtype) / 2
    max_edge = _MAX_EDGE_FRACTION / 2 * rate
    return jnp.minimum(center * (1 - half), 0.98 * max_edge), jnp.minimum(center * (1 + half), max_edge)


def _section(kind: str, audio: Array, frequency: Array, gain_db: Array, q: Array, sample_rate: int | Array) -> Array:
    working = working_dtype(audio.dtype)
    frequency, gain_db, q = (parameter.astype(working) for parameter in (frequency, gain_db, q))
    return biquad(kind, frequency, sample_rate=sample_rate, q=q, gain_db=gain_db)


def _filter(audio: Array, sos: Array) -> Array:
    return sosfilt(audio.astype(working_dtype(audio.dtype)), sos).astype(audio.dtype)
