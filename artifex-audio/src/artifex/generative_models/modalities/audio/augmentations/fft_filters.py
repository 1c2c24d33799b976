"""Augmentations by filters applied with the FFT: band limit, notches, air absorption, phase corruption."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_integer, check_number, check_option, check_range
from artifex.generative_models.core.numerics import jit, working_dtype
from artifex.generative_models.modalities.audio.annotations import Drawn, augmentation
from artifex.generative_models.modalities.audio.augmentations.domain import checked_waveform
from artifex.generative_models.modalities.audio.augmentations.draws import (
    Bounds,
    draw_integer,
    draw_log_uniform,
    draw_uniform,
    limit_default,
)
from artifex.generative_models.modalities.audio.preprocessing.filters import fft_convolve

_RATES = (4000.0, 14000.0)
_NOTCHES = (0.0, 8000.0)

# A Kaiser window with side lobes below -70 dB. _TRANSITION is its length in samples times the transition width as a
# fraction of the sample rate.
_KAISER_BETA = 6.755
_TRANSITION = (70 - 7.95) / 14.36
_BAND_LIMIT_TRANSITION = 140.0  # Hz
_AIR_TAPS = 255


def _draw_band_limit(key: Array, shape: tuple[int, ...], *, rate_range: Bounds, sample_rate: int) -> Drawn:
    return {"rate": draw_log_uniform(key, limit_default(rate_range, _RATES, sample_rate))}


@augmentation(draw=_draw_band_limit)
def band_limit(audio: ArrayLike, key: Array, rate_range: Bounds = _RATES, *, sample_rate: int) -> Array:
    """Remove the frequencies that a recording at a random lower sample rate would not contain.

    The zero-phase filter is a sinc with a Kaiser window. It is flat up to 140 Hz below half the drawn rate and attenuates
    frequencies above half the drawn rate by at least 60 dB. The audio is not resampled, so there is no aliasing.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the filter.
        key: PRNG key.
        rate_range: Range (min, max) of the lower sample rate in Hz, at least 1000 and at most ``sample_rate``; drawn
            log-uniformly. The default range is limited to ``sample_rate``. May be traced.
        sample_rate: Sample rate of the clip in Hz, at least 1000; static.

    Returns:
        The same shape and dtype, at the same sample rate. Annotation: ``rate``.

    Raises:
        ValueError: For a scalar, an empty clip, or an invalid range.
        TypeError: For integer audio; convert it with ``to_float``.

    Example:
        >>> tone = jnp.sin(2 * jnp.pi * 3000 / 16000 * jnp.arange(2000.0))
        >>> filtered = band_limit(tone, jax.random.key(0), (4000.0, 5000.0), sample_rate=16000)
        >>> bool(jnp.abs(filtered[500:1500]).max() < 1e-3)
        True

    Reference:
        ``audiomentations.Resample`` to the lower rate and back; ``scipy.signal.firwin`` with a Kaiser window.
    """
    waveform = checked_waveform("band_limit", audio, key)
    check_integer("sample_rate", sample_rate, minimum=1000, unit="Hz")
    limited = limit_default(rate_range, _RATES, sample_rate)
    rates = check_range("rate_range", limited, minimum=1000, maximum=sample_rate, unit="Hz")
    return _band_limit(waveform, key, rates, int(sample_rate))


@jit(static_argnames=["sample_rate"])
def _band_limit(waveform: Array, key: Array, rates: Bounds, sample_rate: int) -> Array:
    rate = _draw_band_limit(key, waveform.shape, rate_range=rates, sample_rate=sample_rate)["rate"]
    working = working_dtype(waveform.dtype)
    window = _kaiser_window(_odd_length(_TRANSITION * sample_rate / _BAND_LIMIT_TRANSITION)).astype(working)
    cutoff = (rate.astype(working) - _BAND_LIMIT_TRANSITION) / sample_rate  # as a fraction of half the sample rate
    time = np.arange(len(window)) - len(window) // 2
    kernel = cutoff * jnp.sinc(cutoff * time.astype(working)) * window
    return _convolve(waveform, kernel / jnp.sum(kernel))


def _draw_drop_frequencies(
    key: Array, shape: tuple[int, ...], *, frequency_range: Bounds, n_notches_range: tuple[int, int], sample_rate: int
) -> Drawn:
    number_key, frequency_key = jax.random.split(key)
    return {
        "n_notches": draw_integer(number_key, n_notches_range),
        "frequency": draw_uniform(
            frequency_key, limit_default(frequency_range, _NOTCHES, sample_rate / 2), (n_notches_range[1],)
        ),
    }


@augmentation(draw=_draw_drop_frequencies)
def drop_frequencies(
    audio: ArrayLike,
    key: Array,
    frequency_range: Bounds = _NOTCHES,
    n_notches_range: tuple[int, int] = (1, 3),
    *,
    width: float = 400.0,
    sample_rate: int,
) -> Array:
    """Apply a random number of notch filters at random frequencies.

    The filters have zero phase. Notches may overlap.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the filters.
        key: PRNG key.
        frequency_range: Range (min, max) of the center frequencies in Hz, at most half the sample rate; drawn
            uniformly. The default range is limited to half the sample rate. May be traced.
        n_notches_range: Range (min, max) of the number of notches, integers of at least 0; drawn uniformly. Static.
        width: Width of each notch between its edges (-6 dB) in Hz, at least 1/200 of the sample rate. The gain in the
            middle two thirds of a notch is below -60 dB. Static.
        sample_rate: Sample rate in Hz; static.

    Returns:
        The same shape and dtype. Annotations: ``n_notches``, and ``frequency`` (``n_notches_range[1]``,) in Hz, of
        which the first ``n_notches`` are removed.

    Raises:
        ValueError: For a scalar, an empty clip, or an option out of range.
        TypeError: For integer audio; convert it with ``to_float``. For numbers of notches that are not integers.

    Example:
        >>> tone = jnp.sin(2 * jnp.pi * 1000 / 16000 * jnp.arange(3000.0))
        >>> filtered = drop_frequencies(tone, jax.random.key(0), (1000.0, 1000.0), (1, 1), sample_rate=16000)
        >>> bool(jnp.abs(filtered[1000:2000]).max() < 1e-3)
        True

    Reference:
        ``speechbrain.augment.time_domain.DropFreq``.
    """
    waveform = checked_waveform("drop_frequencies", audio, key)
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    nyquist = sample_rate / 2
    limited = limit_default(frequency_range, _NOTCHES, sample_rate / 2)
    frequencies = check_range("frequency_range", limited, minimum=0, maximum=nyquist, unit="Hz")
    fewest, most = check_range("n_notches_range", n_notches_range, integer=True, static=True, minimum=0)
    check_number("width", width, minimum=sample_rate / 200, maximum=nyquist, unit="Hz")
    return _drop_frequencies(waveform, key, frequencies, (int(fewest), int(most)), float(width), int(sample_rate))


@jit(static_argnames=["n_notches_range", "width", "sample_rate"])
def _drop_frequencies(
    waveform: Array, key: Array, frequencies: Bounds, n_notches_range: tuple[int, int], width: float, sample_rate: int
) -> Array:
    drawn = _draw_drop_frequencies(
        key,
        waveform.shape,
        frequency_range=frequencies,
        n_notches_range=n_notches_range,
        sample_rate=sample_rate,
    )
    working = working_dtype(waveform.dtype)
    frequency = drawn["frequency"].astype(working)
    window = _kaiser_window(_odd_length(_TRANSITION * sample_rate / (width / 3))).astype(working)
    # n_fft is at least twice the length of the kernel. A bin that contains an edge has a gain between 0 and 1, which
    # places the edge between bin centers.
    n_fft = 1 << math.ceil(math.log2(2 * len(window)))
    bin_width = sample_rate / n_fft
    bins = (np.arange(n_fft // 2 + 1) * bin_width).astype(working)
    distance = jnp.abs(bins[None, :] - frequency[:, None])
    gain = jnp.clip((distance - width / 2) / bin_width + 0.5, 0, 1)
    is_used = jnp.arange(len(frequency), dtype=jnp.int32) < drawn["n_notches"]
    response = jnp.min(jnp.where(is_used[:, None], gain, 1), axis=0, initial=1)
    return _convolve(waveform, _zero_phase_kernel(response, window))


def _draw_air_absorption(
    key: Array, shape: tuple[int, ...], *, temperature_range: Bounds, humidity_range: Bounds, distance_range: Bounds
) -> Drawn:
    temperature_key, humidity_key, distance_key = jax.random.split(key, 3)
    return {
        "temperature": draw_uniform(temperature_key, temperature_range),
        "humidity": draw_uniform(humidity_key, humidity_range),
        "distance": draw_uniform(distance_key, distance_range),
    }


@augmentation(draw=_draw_air_absorption)
def air_absorption(
    audio: ArrayLike,
    key: Array,
    temperature_range: Bounds = (10.0, 20.0),
    humidity_range: Bounds = (30.0, 90.0),
    distance_range: Bounds = (10.0, 100.0),
    *,
    sample_rate: int | Array,
) -> Array:
    """Apply the frequency-dependent absorption of air over a random distance, without the attenuation by spreading.

    The attenuation is that of ISO 9613-1 at a pressure of 101.325 kPa. The filter has 255 taps and zero phase, and
    attenuates by at most 70 dB.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the filter.
        key: PRNG key.
        temperature_range: Temperature range (min, max) in degrees Celsius, from -20 to 50; drawn uniformly. May be
            traced.
        humidity_range: Range (min, max) of the relative humidity in percent, from 10 to 100; drawn uniformly. May be
            traced.
        distance_range: Distance range (min, max) in meters, at least 0; drawn uniformly. May be traced.
        sample_rate: Sample rate in Hz. May be traced.

    Returns:
        The same shape and dtype. Annotations: ``temperature``, ``humidity`` and ``distance``.

    Raises:
        ValueError: For a scalar, an empty clip, or an invalid range.
        TypeError: For integer audio; convert it with ``to_float``.

    Example:
        >>> hiss = jnp.array([1.0, -1.0] * 500)
        >>> key = jax.random.key(0)
        >>> filtered = air_absorption(hiss, key, (20.0, 20.0), (70.0, 70.0), (100.0, 100.0), sample_rate=16000)
        >>> bool(0.3 < jnp.abs(filtered[500]) < 0.5)  # 76.6 dB per kilometer at 8 kHz
        True

    Reference:
        ISO 9613-1 (1993), equations 3 to 5 and annex B; ``audiomentations.AirAbsorption``, which interpolates a table
        by octaves.
    """
    waveform = checked_waveform("air_absorption", audio, key)
    check_option("sample_rate", sample_rate, integer=True, minimum=1, unit="Hz")
    celsius = "degrees Celsius"
    ranges = {
        "temperature_range": check_range("temperature_range", temperature_range, minimum=-20, maximum=50, unit=celsius),
        "humidity_range": check_range("humidity_range", humidity_range, minimum=10, maximum=100, unit="percent"),
        "distance_range": check_range("distance_range", distance_range, minimum=0, unit="meters"),
    }
    return _air_absorption(waveform, key, ranges, sample_rate)


@jit()
def _air_absorption(waveform: Array, key: Array, ranges: Mapping[str, Bounds], sample_rate: int | Array) -> Array:
    drawn = _draw_air_absorption(key, waveform.shape, **ranges)
    working = working_dtype(waveform.dtype)
    temperature, humidity, distance = (drawn[name].astype(working) for name in ("temperature", "humidity", "distance"))
    window = _kaiser_window(_AIR_TAPS).astype(working)
    cycles_per_sample = np.linspace(0, 0.5, _AIR_TAPS // 2 + 2).astype(working)
    frequency = jnp.asarray(sample_rate, working) * cycles_per_sample
    attenuation_db = distance * _air_attenuation(frequency, temperature, humidity)
    return _convolve(waveform, _zero_phase_kernel(jnp.exp(-math.log(10) / 20 * attenuation_db), window))


def _air_attenuation(frequency: Array, temperature: Array, humidity: Array) -> Array:
    """Compute the attenuation of air in dB per meter by ISO 9613-1."""
    kelvin = temperature + 273.15
    relative = kelvin / 293.15
    root = jnp.sqrt(relative)
    saturation = 10 ** (4.6151 - 6.8346 * (273.16 / kelvin) ** 1.261)
    vapor = humidity * saturation
    oxygen = 24 + 4.04e4 * vapor * (0.02 + vapor) / (0.391 + vapor)
    nitrogen = (9 + 280 * vapor * jnp.exp(-4.170 * (relative ** (-1 / 3) - 1))) / root
    square = jnp.square(frequency)
    by_oxygen = 0.01275 * jnp.exp(-2239.1 / kelvin) * oxygen / (oxygen**2 + square)
    by_nitrogen = 0.1068 * jnp.exp(-3352.0 / kelvin) * nitrogen / (nitrogen**2 + square)
    return 8.686 * square * (1.84e-11 * root + (by_oxygen + by_nitrogen) / (relative**2 * root))


def _draw_phase_corruption(key: Array, shape: tuple[int, ...], *, strength_range: Bounds) -> Drawn:
    return _draw_strength(key, strength_range)[0]


def _draw_strength(key: Array, strength_range: Bounds) -> tuple[Drawn, Array]:
    """Return the drawn parameters and the key of the phase offsets."""
    strength_key, offset_key = jax.random.split(key)
    return {"strength": draw_uniform(strength_key, strength_range)}, offset_key


@augmentation(draw=_draw_phase_corruption)
def phase_corruption(audio: ArrayLike, key: Array, strength_range: Bounds = (0.0, 1.0), *, n_fft: int = 1024) -> Array:
    """Add random phases to the spectrum of a clip; magnitudes are unchanged.

    The phase offsets are drawn at the ``n_fft // 2 + 1`` frequencies of a short transform and interpolated linearly to
    those of the transform of the clip. No component therefore moves by more than ``strength * n_fft`` samples. The
    result is circular: samples that move past one end reappear at the other.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the phase offsets.
        key: PRNG key.
        strength_range: Range (min, max) of the strength, from 0 to 1; drawn uniformly. Phase offsets are uniform
            between plus and minus the strength times half a cycle. May be traced.
        n_fft: FFT length of the short transform in samples, an integer of at least 2; static.

    Returns:
        The same shape and dtype; the magnitudes of ``jnp.fft.rfft(audio)`` are unchanged. Annotation: ``strength``.

    Raises:
        ValueError: For a scalar, an empty clip, or an option out of range.
        TypeError: For integer audio; convert it with ``to_float``.

    Example:
        >>> audio = jnp.arange(8.0)
        >>> corrupted = phase_corruption(audio, jax.random.key(0))
        >>> bool(jnp.allclose(abs(jnp.fft.rfft(corrupted)), abs(jnp.fft.rfft(audio)), atol=1e-4))
        True

    Reference:
        ``corrupt_phase`` of ``audiotools``, which adds phases to a short-time transform and so changes the magnitudes
        where its frames overlap.
    """
    waveform = checked_waveform("phase_corruption", audio, key)
    strengths = check_range("strength_range", strength_range, minimum=0, maximum=1)
    check_integer("n_fft", n_fft, minimum=2, unit="samples")
    return _phase_corruption(waveform, key, strengths, int(n_fft))


@jit(static_argnames=["n_fft"])
def _phase_corruption(waveform: Array, key: Array, strengths: Bounds, n_fft: int) -> Array:
    drawn, offset_key = _draw_strength(key, strengths)
    # In cycles, at the frequencies of a transform of n_fft samples.
    offsets = drawn["strength"] * draw_uniform(offset_key, (-0.5, 0.5), (n_fft // 2 + 2,))
    working = working_dtype(waveform.dtype)
    offsets = offsets.astype(working)
    length = waveform.shape[-1]
    bins = np.arange(length // 2 + 1)
    position = bins * (n_fft / length)
    below = np.floor(position).astype(np.int32)
    fraction = (position - below).astype(working)
    left, right = (jnp.take(offsets, below + step, mode="clip") for step in (0, 1))
    # The components at 0 Hz and at half the sample rate are real and keep their phase.
    is_complex = (bins > 0) & (2 * bins < length)
    cycles = jnp.where(is_complex, left + (right - left) * fraction, 0)
    rotation = jax.lax.complex(numerics.cos2pi(cycles), numerics.sin2pi(cycles))
    spectrum = jnp.fft.rfft(waveform.astype(working))
    rotated = spectrum * rotation.reshape(*[1] * (waveform.ndim - 1), -1)
    return jnp.fft.irfft(rotated, n=length).astype(waveform.dtype)


def _convolve(audio: Array, kernel: Array) -> Array:
    values = audio.astype(working_dtype(audio.dtype))
    return fft_convolve(values, kernel.reshape(*[1] * (audio.ndim - 1), -1), mode="same").astype(audio.dtype)


def _odd_length(length: float) -> int:
    return 2 * math.ceil(length / 2) + 1


@lru_cache(maxsize=64)
def _kaiser_window(length: int) -> np.ndarray:
    window: np.ndarray[Any, np.dtype[np.float64]] = np.kaiser(length, _KAISER_BETA)
    window.setflags(write=False)
    return window


def _zero_phase_kernel(response: Array, window: np.ndarray) -> Array:
    """Design a symmetric kernel of the window's length from a real response at evenly spaced frequencies."""
    half = len(window) // 2
    impulse = jnp.fft.irfft(response, n=2 * (len(response) - 1))
    right = impulse[: half + 1]
    return jnp.concatenate([right[:0:-1], right]) * window
