"""Resampling with windowed sinc filters, by a fixed ratio of sample rates or by a traced ratio."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_choice, check_integer, check_number
from artifex.generative_models.core.numerics import cos2pi, high_word, jit, sin2pi, working_dtype
from artifex.generative_models.core.numerics.batching import batch_local, on_one_device, vmap_in_chunks
from artifex.generative_models.modalities.audio.preprocessing.levels import as_waveforms, check_scalar, to_float

Quality = Literal["kaiser_best", "kaiser_fast", "hann", "soxr_hq"]
ResamplingMethod = Literal["sinc_interp_hann", "sinc_interp_kaiser"]


class _Kernel(NamedTuple):
    """A windowed sinc: zero crossings per side, cutoff relative to the lower Nyquist frequency, Kaiser beta (None: Hann)."""

    width: int
    rolloff: float
    beta: float | None


_KAISER_BEST_BETA = 14.769656459379492
_PRESETS = {
    "kaiser_best": _Kernel(64, 0.9475937167399596, _KAISER_BEST_BETA),
    "kaiser_fast": _Kernel(16, 0.85, 8.555504641634386),
    "hann": _Kernel(6, 0.99, None),
    "soxr_hq": _Kernel(96, 0.9565, 13.4),
}
_METHODS = ("sinc_interp_hann", "sinc_interp_kaiser")

# Filters with more taps than this in total are computed on the fly instead of stored in tables.
_MAX_TABLE_TAPS = 2**20
# One matrix product computes this many neighboring output samples from their common input samples. Larger matrices
# contain more zeros; products with smaller ones are inefficient.
_MIN_OUTPUTS, _MAX_OUTPUTS, _MAX_PRODUCTS = 32, 128, 32
# Samples per chunk: a chunk and its result fit the cache of a CPU. Resampling by products is fastest for single rows;
# resampling by gathering starts with FFTs of several rows.
CHUNK_SAMPLES, GATHER_CHUNK_SAMPLES = 2**16, 2**18

# For traced ratios: stopband attenuation, FFT size, number of points, degree and window of the interpolation polynomials
# between samples at twice the rate, and outputs per exact position.
_STOPBAND_DB = 85.0
_FFT_SIZE = 1024
_POINTS, _DEGREE, _POINTS_BETA = 12, 5, 10.0
_STRIDE = 32


def resample_audio(
    audio: ArrayLike,
    orig_sr: int,
    target_sr: int,
    *,
    quality: Quality = "kaiser_best",
    lowpass_filter_width: int | None = None,
    rolloff: float | None = None,
    resampling_method: ResamplingMethod | None = None,
    beta: float | None = None,
) -> jax.Array:
    """Resample waveforms to another sample rate, with an anti-aliasing filter.

    Sample ``k`` of the result is the band-limited input at time ``k / target_sr``, with silence before and after the clip.
    Memory use is bounded for all pairs of rates, such as 44100 and 16001 Hz.

    A quality is a preset of four parameters, each of which can be overridden:

    =============== ===== ======= ============= ====================================================================
    quality         width rolloff window        passband (0.01 dB) and stopband, relative to the lower Nyquist frequency
    =============== ===== ======= ============= ====================================================================
    ``kaiser_best`` 64    0.9476  Kaiser, 14.77 0.89, 1.01 (-90 dB)
    ``kaiser_fast`` 16    0.85    Kaiser, 8.56  0.70, 1.00 (-85 dB)
    ``hann``        6     0.99    Hann          default of ``torchaudio``: -2 dB at 0.89, -7 dB at 1.00, -55 dB at 1.5
    ``soxr_hq``     96    0.9565  Kaiser, 13.4  0.91, 1.00 (-120 dB); within 0.2 dB of the response of soxr HQ
    =============== ===== ======= ============= ====================================================================

    Args:
        audio: Waveforms (..., time). Integers are converted with ``to_float`` first.
        orig_sr: Sample rate of ``audio`` in Hz, a positive integer; static.
        target_sr: Target sample rate in Hz, a positive integer; static.
        quality: Name of a preset; static.
        lowpass_filter_width: Zero crossings of the sinc per side, a positive integer; static. None for that of the
            preset.
        rolloff: Cutoff relative to the lower Nyquist frequency, above 0 and at most 1; static. None for that of the
            preset.
        resampling_method: The window, ``"sinc_interp_hann"`` or ``"sinc_interp_kaiser"``; static. None for that of the
            preset.
        beta: Shape parameter of the Kaiser window, at least 0; static. None for that of the preset, or 14.77 if the
            preset has a Hann window.

    Returns:
        (..., ceil(time * target_sr / orig_sr)); float32 for integers, else the dtype of ``audio``. For equal rates, the
        input.

    Raises:
        ValueError: When ``audio`` is a scalar or empty, a name is unknown, a number is out of range, or ``beta`` is given
            for a Hann window.
        TypeError: When a rate or width is not an integer, or ``audio`` is not real.

    Example:
        >>> resample_audio(np.zeros((2, 44100), np.float32), 44100, 16000).shape
        (2, 16000)

    Reference:
        Smith, Digital Audio Resampling Home Page (CCRMA); ``torchaudio.functional.resample``, with the same parameters
        and results.
    """
    waveforms = as_waveforms("resample_audio", audio)
    check_integer("orig_sr", orig_sr, minimum=1, unit="Hz")
    check_integer("target_sr", target_sr, minimum=1, unit="Hz")
    kernel = _kernel(quality, lowpass_filter_width, rolloff, resampling_method, beta)
    divisor = math.gcd(orig_sr, target_sr)
    orig, target = int(orig_sr) // divisor, int(target_sr) // divisor
    if orig == target:
        return to_float(waveforms)
    return _resample(waveforms, orig, target, kernel, on_one_device(waveforms))


def convert_sample_rate(
    audio: ArrayLike, orig_sr: int, target_sr: int, *, quality: Quality = "kaiser_best"
) -> jax.Array:
    """Resample waveforms to another sample rate. Alias of ``resample_audio``.

    Args:
        audio: Waveforms (..., time). Integers are converted with ``to_float`` first.
        orig_sr: Sample rate of ``audio`` in Hz, a positive integer; static.
        target_sr: Target sample rate in Hz, a positive integer; static.
        quality: Name of a preset of ``resample_audio``; static.

    Returns:
        (..., ceil(time * target_sr / orig_sr)); float32 for integers, else the dtype of ``audio``.

    Raises:
        ValueError: When ``audio`` is a scalar or empty, the quality is unknown, or a rate is below 1.
        TypeError: When a rate is not an integer, or ``audio`` is not real.

    Example:
        >>> convert_sample_rate(np.zeros(16000, np.float32), 16000, 22050).shape
        (22050,)
    """
    return resample_audio(audio, orig_sr, target_sr, quality=quality)


def resample_by(
    audio: ArrayLike, ratio: ArrayLike, *, length: int | None = None, max_ratio: float = 2.0, half_width: int = 32
) -> jax.Array:
    """Resample waveforms by a ratio that may be traced: sample ``k`` is the band-limited input at position ``k * ratio``.

    A ratio above 1 increases speed and pitch, with an anti-aliasing filter. Sines below 0.8 times the lower Nyquist
    frequency are accurate to 1e-4; those above it are attenuated by more than 80 dB.

    Args:
        audio: Waveforms (..., time), preceded and followed by silence. Integers are converted with ``to_float`` first.
        ratio: Input samples per output sample, above 0 and at most ``max_ratio``. One number, or one per waveform,
            broadcast against the leading axes; may be traced. Its gradient is stopped.
        length: Number of output samples, a positive integer; static. None for the input length. Samples after the end of
            the input are 0.
        max_ratio: Maximum ratio, at least 1, which determines the length of the filters; static.
        half_width: Zero crossings of the sinc per side, an integer of at least 8; static. The transition from 0 dB to
            -85 dB has a width of ``5.4 / half_width`` times the lower Nyquist frequency.

    Returns:
        (..., length); float32 for integers, else the dtype of ``audio``.

    Raises:
        ValueError: When ``audio`` is a scalar or empty, or a number is out of range.
        TypeError: When a length or width is not an integer, or ``audio`` is not real.

    Example:
        >>> clip = np.sin(2 * np.pi * 0.01 * np.arange(1000))
        >>> doubled = resample_by(clip, 2.0)
        >>> bool(abs(doubled[100:400] - np.sin(2 * np.pi * 0.02 * np.arange(100, 400))).max() < 1e-4)
        True

    Reference:
        Smith and Gossett, "A Flexible Sampling-Rate Conversion Method", ICASSP 1984; for the interpolation between
        samples at twice the rate, Niemitalo, "Polynomial Interpolators for High-Quality Resampling of Oversampled
        Audio", 2001.
    """
    waveforms = as_waveforms("resample_by", audio)
    check_number("max_ratio", max_ratio, minimum=1)
    check_integer("half_width", half_width, minimum=8, unit="zero crossings")
    check_scalar("ratio", ratio, above=0, maximum=max_ratio)
    if length is None:
        length = waveforms.shape[-1]
    check_integer("length", length, minimum=1, unit="samples")
    return _resample_by(
        waveforms, jnp.asarray(ratio), int(length), float(max_ratio), int(half_width), on_one_device(waveforms)
    )


def _kernel(quality: str, width: int | None, rolloff: float | None, method: str | None, beta: float | None) -> _Kernel:
    check_choice("quality", quality, choices=_PRESETS)
    preset = _PRESETS[quality]
    width = preset.width if width is None else width
    rolloff = preset.rolloff if rolloff is None else rolloff
    if method is None:
        method = "sinc_interp_hann" if preset.beta is None else "sinc_interp_kaiser"
    check_integer("lowpass_filter_width", width, minimum=1, unit="zero crossings")
    check_number("rolloff", rolloff, above=0, maximum=1)
    check_choice("resampling_method", method, choices=_METHODS)
    if method == "sinc_interp_kaiser":
        beta = (preset.beta or _KAISER_BEST_BETA) if beta is None else beta
        check_number("beta", beta, minimum=0)
    elif beta is not None:
        raise ValueError(
            f"beta is a parameter of the Kaiser window; a Hann window has no beta, got beta={beta!r}: omit it, or "
            f"pass resampling_method='sinc_interp_kaiser'"
        )
    return _Kernel(int(width), float(rolloff), None if beta is None else float(beta))


def _map_rows(
    function: Callable[..., jax.Array], single_device: bool, chunk_size: int, *arrays: jax.Array
) -> jax.Array:
    """Apply a function of one row to all rows, on a CPU in chunks of ``chunk_size`` rows."""
    mapped = jax.vmap(vmap_in_chunks(function, chunk_size=max(1, chunk_size), single_device=single_device))
    return batch_local(mapped, *arrays, core=1)


@jit(static_argnames=["orig", "target", "kernel", "single_device"])
def _resample(audio: jax.Array, orig: int, target: int, kernel: _Kernel, single_device: bool) -> jax.Array:
    """Resample by a ratio in lowest terms."""
    audio = to_float(audio)
    rows = audio.astype(working_dtype(audio.dtype)).reshape(-1, audio.shape[-1])
    layout = _product_layout(orig, target, kernel)
    if layout is None:
        resampled = _resample_by_gathering(rows, orig, target, kernel)
    else:
        resampled = _resample_by_products(rows, orig, target, kernel, layout, single_device)
    return resampled.reshape(*audio.shape[:-1], -1).astype(audio.dtype)


def _half_width(orig: int, target: int, kernel: _Kernel) -> int:
    """Taps per side, in input samples."""
    return math.ceil(kernel.width * max(1.0, orig / target) / kernel.rolloff)


def _product_layout(orig: int, target: int, kernel: _Kernel) -> tuple[int, int] | None:
    """Return periods of the ratio per hop and outputs per matrix product; None if the tables would have too many taps.

    A period of the ratio is ``orig`` input samples and ``target`` output samples.
    """
    n_taps = 2 * _half_width(orig, target, kernel)
    outputs = min(max(round(0.6 * n_taps * target / orig), _MIN_OUTPUTS), _MAX_OUTPUTS)
    # A hop has at least the inputs of one product, so that these are a slice of a row of hops.
    periods = math.ceil(max(outputs / target, (n_taps + 1 + outputs * orig / target) / orig))
    outputs = max(outputs, math.ceil(periods * target / _MAX_PRODUCTS))
    table_taps = periods * target * (n_taps + outputs * orig / target)
    return (periods, outputs) if table_taps <= _MAX_TABLE_TAPS else None


@lru_cache(maxsize=32)
def _filter_tables(
    orig: int, target: int, kernel: _Kernel, layout: tuple[int, int]
) -> tuple[tuple[int, np.ndarray], ...]:
    """Return for each product of a hop its first padded input sample and its filters (inputs, outputs)."""
    periods, outputs = layout
    half_width = _half_width(orig, target, kernel)
    cutoff = kernel.rolloff * min(1.0, target / orig)
    tables: list[tuple[int, np.ndarray]] = []
    for first in range(0, periods * target, outputs):
        last = min(first + outputs, periods * target) - 1
        start, stop = first * orig // target, -(-last * orig // target) + 2 * half_width + 1
        position: np.ndarray = np.arange(first, last + 1) * orig / target
        crossings: np.ndarray = (np.arange(start, stop)[:, None] - half_width - position) * cutoff
        filters = cutoff * np.sinc(crossings) * _window_table(crossings, kernel)
        filters.setflags(write=False)
        tables.append((start, filters))
    return tuple(tables)


def _window_table(crossings: np.ndarray, kernel: _Kernel) -> np.ndarray:
    distance = np.minimum(np.abs(crossings) / kernel.width, 1)
    if kernel.beta is None:
        return np.asarray(np.square(np.cos(np.pi / 2 * distance)))
    kaiser = np.i0(kernel.beta * np.sqrt(1 - np.square(distance))) / np.i0(kernel.beta)
    return np.where(distance < 1, kaiser, 0)


def _resample_by_products(
    rows: jax.Array, orig: int, target: int, kernel: _Kernel, layout: tuple[int, int], single_device: bool
) -> jax.Array:
    """Resample hop by hop: neighboring outputs are one matrix product of their common inputs with a filter table."""
    n_rows, length = rows.shape
    n_out = -(-length * target // orig)
    tables = _filter_tables(orig, target, kernel, layout)
    hop, outputs_per_hop = layout[0] * orig, layout[0] * target
    half_width, n_hops = _half_width(orig, target, kernel), -(-n_out // outputs_per_hop)
    lookahead = max(start for start, _ in tables) + hop

    def resample_row(row: jax.Array, n_hops: int, before: int, after: int) -> jax.Array:
        padded = jnp.pad(row, (before, after))
        products: list[jax.Array] = []
        for start, filters in tables:
            inputs = padded[start : start + n_hops * hop].reshape(n_hops, hop)[:, : len(filters)]
            products.append(jnp.matmul(inputs, filters.astype(row.dtype), precision=lax.Precision.HIGHEST))
        return jnp.concatenate(products, axis=-1).reshape(n_hops * outputs_per_hop)

    if length <= 2 * CHUNK_SAMPLES:
        after = n_hops * hop + lookahead - half_width - length
        if after < 0:  # the last samples are not needed for any output
            rows, after = rows[:, :after], 0
        resample = partial(resample_row, n_hops=n_hops, before=half_width, after=after)
        return _map_rows(resample, single_device, CHUNK_SAMPLES // length, rows)[:, :n_out]
    n_segments = -(-length // CHUNK_SAMPLES)
    n_hops = -(-n_hops // n_segments)
    after = max(0, n_segments * n_hops * hop + lookahead - half_width - length)
    padded = jnp.pad(rows, ((0, 0), (half_width, after)))
    starts = range(0, n_segments * n_hops * hop, n_hops * hop)
    segments = jnp.stack([padded[:, start:][:, : n_hops * hop + lookahead] for start in starts], axis=1)
    segments = segments.reshape(-1, segments.shape[-1])
    resample = partial(resample_row, n_hops=n_hops, before=0, after=0)
    resampled = _map_rows(resample, single_device, CHUNK_SAMPLES // segments.shape[-1], segments)
    return resampled.reshape(n_rows, -1)[:, :n_out]


def _kaiser_coefficients(beta: float) -> tuple[float, ...]:
    """Power series of ``i0(beta * sqrt(z)) / i0(beta)``, highest power first."""
    terms = [(beta / 2) ** (2 * k) / math.factorial(k) ** 2 for k in range(max(32, math.ceil(2 * beta)))]
    return tuple(term / math.fsum(terms) for term in reversed(terms))


def _kaiser(z: jax.Array, beta: float) -> jax.Array:
    """Evaluate the Kaiser window at distances from -1 to 1, given ``z = 1 - distance**2``."""
    window = jnp.zeros_like(z)
    for coefficient in _kaiser_coefficients(beta):
        window = window * z + coefficient
    return window


def _sinc(crossings: jax.Array) -> jax.Array:
    is_center = crossings == 0
    return jnp.where(is_center, 1, sin2pi(crossings / 2) / jnp.where(is_center, 1, jnp.pi * crossings))


def _windowed_sinc(crossings: jax.Array, kernel: _Kernel) -> jax.Array:
    """Evaluate the windowed sinc at distances in zero crossings."""
    distance = crossings / kernel.width
    z = 1 - jnp.square(distance)
    window = jnp.square(cos2pi(distance / 4)) if kernel.beta is None else _kaiser(z, kernel.beta)
    return jnp.where(z > 0, _sinc(crossings) * window, 0)


def _resample_by_gathering(rows: jax.Array, orig: int, target: int, kernel: _Kernel) -> jax.Array:
    """Resample with filters computed for a few phases at a time; outputs one period apart have the same filter."""
    n_rows, length = rows.shape
    n_out = -(-length * target // orig)
    n_phases, n_periods = min(target, n_out), -(-n_out // target)
    half_width = min(_half_width(orig, target, kernel), length)
    cutoff = kernel.rolloff * min(1.0, target / orig)
    chunk_size = max(1, min(n_phases, GATHER_CHUNK_SAMPLES // (2 * half_width * n_rows * n_periods)))
    n_chunks = -(-n_phases // chunk_size)

    # The product of two rates may need 64 bits.
    position = np.arange(n_chunks * chunk_size, dtype=np.int64) * orig
    integers = (position // target).astype(np.int32).reshape(n_chunks, chunk_size)
    fractions = (position % target / target).astype(rows.dtype).reshape(n_chunks, chunk_size)
    offset = jnp.arange(1 - half_width, half_width + 1, dtype=np.int32)[None, :]
    period_start = (np.arange(n_periods, dtype=np.int32) * orig)[:, None, None]
    padded = jnp.pad(rows, ((0, 0), (half_width - 1, half_width)))

    @jax.checkpoint
    def resample_phases(positions: tuple[jax.Array, jax.Array]) -> jax.Array:
        integer, fraction = positions
        filters = cutoff * _windowed_sinc((offset.astype(rows.dtype) - fraction[:, None]) * cutoff, kernel)
        index = period_start + (integer[:, None] + offset + (half_width - 1))[None]
        inputs = jnp.take(padded, index, axis=1, mode="clip")
        return jnp.einsum("rpct,ct->rpc", inputs, filters, precision=lax.Precision.HIGHEST)

    chunks = lax.map(resample_phases, (integers, fractions))  # pyright: ignore[reportUnknownVariableType]
    phases = jnp.moveaxis(jnp.asarray(chunks), 0, 2).reshape(n_rows, n_periods, -1)[..., :n_phases]
    return phases.reshape(n_rows, -1)[:, :n_out]


@jit(static_argnames=["length", "max_ratio", "half_width", "single_device"])
def _resample_by(
    audio: jax.Array, ratio: jax.Array, length: int, max_ratio: float, half_width: int, single_device: bool
) -> jax.Array:
    audio = to_float(audio)
    values = audio.astype(working_dtype(audio.dtype))
    leading = jnp.broadcast_shapes(values.shape[:-1], ratio.shape)
    rows = jnp.broadcast_to(values, (*leading, values.shape[-1])).reshape(-1, values.shape[-1])
    ratios = jnp.broadcast_to(ratio.astype(values.dtype), leading).reshape(-1)

    def resample_row(row: jax.Array, ratio: jax.Array) -> jax.Array:
        ratios = lax.stop_gradient(ratio)[None]
        return _interpolate(_upsample_filtered(row[None], ratios, max_ratio, half_width), ratios, length)[0]

    chunk_size = GATHER_CHUNK_SAMPLES // max(rows.shape[-1], length)
    resampled = _map_rows(resample_row, single_device, chunk_size, rows, ratios)
    return resampled.reshape(*leading, length).astype(audio.dtype)


def _upsample_filtered(rows: jax.Array, ratio: jax.Array, max_ratio: float, half_width: int) -> jax.Array:
    """Upsample rows by 2, with an anti-aliasing filter for the ratio: (rows, 2 * time + points).

    The filter depends on the ratio, so the convolution is by FFT, whose cost does not depend on the filter length. The
    result has half of the interpolation points before the first sample and half after the last.
    """
    n_rows, time = rows.shape
    dtype = rows.dtype
    n_side = math.ceil(half_width * max_ratio)
    # The stopband starts at the lower Nyquist frequency; the formulas are Kaiser's.
    rolloff = 1 - (_STOPBAND_DB - 7.95) / (14.36 * 2 * half_width)
    beta = 0.1102 * (_STOPBAND_DB - 8.7)
    stretch = jnp.maximum(ratio, 1)[:, None, None]
    # One filter for the new samples in between, one for the existing samples.
    steps = np.arange(-n_side, n_side + 1)
    offset = jnp.asarray(np.stack([steps, steps + 0.5]), dtype)[None]
    z = 1 - jnp.square(offset / (half_width * stretch))
    cutoff = rolloff / stretch
    taps = jnp.where(z > 0, cutoff * _sinc(offset * cutoff) * _kaiser(z, beta), 0)

    size = max(_FFT_SIZE, 1 << (4 * n_side).bit_length())
    hop = size - 2 * n_side
    n_hops = -(-(time + _POINTS) // hop)
    before = n_side + _POINTS // 4
    padded = jnp.pad(rows, ((0, 0), (before, (n_hops + 1) * hop - before - time)))
    hops = padded.reshape(n_rows, n_hops + 1, hop)
    frames = jnp.concatenate([hops[:, :-1], hops[:, 1:, : 2 * n_side]], axis=-1)
    spectra = jnp.fft.rfft(frames)[:, None] * jnp.fft.rfft(taps, size)[:, :, None]
    phases = jnp.fft.irfft(spectra, size)[..., 2 * n_side :]
    return jnp.stack([phases[:, 0], phases[:, 1]], axis=-1).reshape(n_rows, -1)[:, : 2 * time + _POINTS]


@lru_cache(maxsize=1)
def _interpolation_polynomials() -> np.ndarray:
    """Weight of each point as a polynomial of the position between two samples.

    Returns:
        Coefficients (points, degree + 1), highest power first, read-only.
    """
    centered = 0.5 * np.cos(np.pi * (np.arange(64) + 0.5) / 64)  # Chebyshev points from -0.5 to 0.5
    polynomials: list[np.ndarray] = []
    for point in range(_POINTS):
        distance = point - (_POINTS // 2 - 1) - (centered + 0.5)
        squared = np.square(distance / (_POINTS / 2))
        weight = np.sinc(distance) * np.i0(_POINTS_BETA * np.sqrt(1 - squared)) / np.i0(_POINTS_BETA)
        polynomials.append(np.polynomial.polynomial.polyfit(centered, weight, _DEGREE)[::-1])
    coefficients: np.ndarray = np.array(polynomials)
    coefficients.setflags(write=False)
    return coefficients


def _interpolate(upsampled: jax.Array, ratio: jax.Array, length: int) -> jax.Array:
    """Interpolate rows at twice the rate at multiples of twice the ratio, with polynomials of the neighboring points."""
    dtype = upsampled.dtype
    step = 2 * ratio[:, None]
    last = upsampled.shape[-1] - _POINTS
    # Float32 cannot represent positions late in a clip precisely. Every _STRIDE-th position is exact, as an integer and a
    # fraction in units of 2**-32, and the others are relative to it.
    stride = step * _STRIDE
    stride_integer = jnp.floor(stride)
    stride_fraction = ((stride - stride_integer) * 2.0**32).astype(np.uint32)
    count = jnp.arange(-(-length // _STRIDE), dtype=np.uint32)[None, :]
    carry = high_word(count, stride_fraction).astype(np.int32)
    origin = count.astype(np.int32) * stride_integer.astype(np.int32) + carry
    origin_fraction = (count * stride_fraction >> 16).astype(dtype) / 2**16
    position = origin_fraction[..., None] + np.arange(_STRIDE, dtype=dtype)[None, None, :] * step[..., None]
    before = jnp.floor(position)
    centered = (position - before - 0.5).reshape(len(upsampled), -1)[:, :length]
    index = (origin[..., None] + before.astype(np.int32)).reshape(len(upsampled), -1)[:, :length]
    is_inside = index < last
    index = jnp.where(is_inside, index, 0) + 1
    total = jnp.zeros_like(centered)
    for point, coefficients in enumerate(_interpolation_polynomials()):
        weight = jnp.full_like(centered, coefficients[0])
        for coefficient in coefficients[1:]:
            weight = weight * centered + coefficient.astype(dtype)
        total = total + weight * jnp.take_along_axis(upsampled, index + point, axis=1, mode="promise_in_bounds")
    return jnp.where(is_inside, total, 0)
