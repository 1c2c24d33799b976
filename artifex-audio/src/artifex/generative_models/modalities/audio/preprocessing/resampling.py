"""Sample rates: windowed-sinc resampling by a fixed ratio, and by one that is traced."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_choice, check_integer, check_number
from artifex.generative_models.core.numerics import cos2pi, high_word, sin2pi, working_dtype
from artifex.generative_models.core.numerics.batching import batch_local, on_one_device, vmap_in_chunks
from artifex.generative_models.modalities.audio.preprocessing.levels import as_waveforms, to_float

Quality = Literal["kaiser_best", "kaiser_fast", "hann", "soxr_hq"]
ResamplingMethod = Literal["sinc_interp_hann", "sinc_interp_kaiser"]


class _Sinc(NamedTuple):
    """Zero crossings on each side, cutoff over the lower Nyquist frequency, and the Kaiser window's shape (None: Hann)."""

    width: int
    rolloff: float
    beta: float | None


_PRESETS = {
    "kaiser_best": _Sinc(64, 0.9475937167399596, 14.769656459379492),
    "kaiser_fast": _Sinc(16, 0.85, 8.555504641634386),
    "hann": _Sinc(6, 0.99, None),
    "soxr_hq": _Sinc(96, 0.9565, 13.4),
}
_METHODS = ("sinc_interp_hann", "sinc_interp_kaiser")

# Taps that are kept in tables: of more of them the rest is computed where it is used.
_MOST_TAPS = 2**20
# One product makes so many neighboring samples from their common inputs, between these bounds: more of them
# multiply more zeros, fewer leave the processor idle. And there are at most so many products.
_LEAST_OUTPUTS, _MOST_OUTPUTS, _MOST_PRODUCTS = 32, 128, 32
# Samples that stay in the cache of a CPU with what is made of them: by products, which like one row at a time, and by
# gathering around places, for which FFTs of several rows come first.
_AT_ONCE, _GATHERED_AT_ONCE = 2**16, 2**18

# Of the filter for traced ratios: how far down its stopband is, the length of its transforms, and the points and the
# degree of the polynomials that read between the samples of twice the rate.
_STOPBAND_DB = 85.0
_TRANSFORM = 1024
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
    """Change the sample rate; what the new rate cannot carry is filtered out.

    Sample ``k`` of the result is the band-limited input at time ``k / target_sr``, with silence assumed
    before and after the clip. For awkward ratios, such as 44100 to 16001 Hz, memory stays bounded too.

    A quality is four numbers by name; each of them can be given by itself instead:

    =============== ===== ======= ============= ====================================================================
    quality         width rolloff window        flat to 0.01 dB up to, and gone from, shares of the lower Nyquist
    =============== ===== ======= ============= ====================================================================
    ``kaiser_best`` 64    0.9476  Kaiser, 14.77 0.89, 1.01 (90 dB down)
    ``kaiser_fast`` 16    0.85    Kaiser, 8.56  0.70, 1.00 (85 dB down)
    ``hann``        6     0.99    Hann          ``torchaudio``'s default: 2 dB down at 0.89, 7 at 1.00, 55 at 1.5
    ``soxr_hq``     96    0.9565  Kaiser, 13.4  0.91, 1.00 (120 dB down): within 0.2 dB what soxr's HQ does
    =============== ===== ======= ============= ====================================================================

    Args:
        audio: Waveforms (..., time). Integers are scaled by ``to_float`` first.
        orig_sr: The clip's sample rate in Hz, a positive integer; static.
        target_sr: The new sample rate in Hz, a positive integer; static.
        quality: A row of the table; static.
        lowpass_filter_width: Zero crossings of the sinc on each side, a positive integer; static. None for that of
            the quality.
        rolloff: Cutoff as a share of the lower Nyquist frequency, above 0 and up to 1; static. None for that of the
            quality.
        resampling_method: The window, ``"sinc_interp_hann"`` or ``"sinc_interp_kaiser"``; static. None for that of
            the quality.
        beta: Shape of the Kaiser window, at least 0; static. None for that of the quality, 14.77 where it has none.

    Returns:
        (..., ceil(time * target_sr / orig_sr)); float32 for integers, else the input's dtype. The input
        itself where the rates are equal.

    Raises:
        ValueError: For a scalar, an empty clip, an unknown quality or method, a number out of range, or a ``beta``
            for a Hann window.
        TypeError: For a rate or width that is no integer, or as ``to_float`` does.

    Example:
        >>> resample_audio(np.zeros((2, 44100), np.float32), 44100, 16000).shape
        (2, 16000)

    Reference:
        Smith, Digital Audio Resampling Home Page (CCRMA); ``torchaudio.functional.resample``, whose parameters
        these are and whose numbers come out.
    """
    waveforms = as_waveforms("resample_audio", audio)
    check_integer("orig_sr", orig_sr, minimum=1, unit="Hz")
    check_integer("target_sr", target_sr, minimum=1, unit="Hz")
    kernel = _kernel(quality, lowpass_filter_width, rolloff, resampling_method, beta)
    divisor = math.gcd(orig_sr, target_sr)
    orig, target = int(orig_sr) // divisor, int(target_sr) // divisor
    if orig == target:
        return to_float(waveforms)
    resampled: jax.Array = _resample(waveforms, orig, target, kernel, on_one_device(waveforms))
    return resampled


def convert_sample_rate(
    audio: ArrayLike, orig_sr: int, target_sr: int, *, quality: Quality = "kaiser_best"
) -> jax.Array:
    """Change the sample rate: ``resample_audio`` by the name that says what it is for.

    Args:
        audio: Waveforms (..., time).
        orig_sr: The clip's sample rate in Hz.
        target_sr: The new sample rate in Hz.
        quality: How well, as ``resample_audio`` has it.

    Returns:
        (..., ceil(time * target_sr / orig_sr)), as ``resample_audio`` gives it.

    Raises:
        ValueError: As ``resample_audio`` does.
        TypeError: As ``resample_audio`` does.

    Example:
        >>> convert_sample_rate(np.zeros(16000, np.float32), 16000, 22050).shape
        (22050,)
    """
    return resample_audio(audio, orig_sr, target_sr, quality=quality)


def resample_by(
    audio: ArrayLike, ratio: ArrayLike, *, length: int | None = None, max_ratio: float = 2.0, half_width: int = 32
) -> jax.Array:
    """Read waveforms at another speed: sample ``k`` of the result is the band-limited input at sample ``k * ratio``.

    A ratio above 1 is faster and higher, and what would lie above half the sample rate then is filtered out. Sines up
    to 0.8 of the frequency that is left come out within 1e-4, those above it more than 80 dB down.

    Args:
        audio: Waveforms (..., time), with silence before and after them. Integers are scaled by ``to_float`` first.
        ratio: Samples of the input for one of the output, above 0 and up to ``max_ratio``. One number, or one per
            waveform, broadcast against the leading axes; may be traced. No gradient flows to it.
        length: Samples to give, a positive integer; static. None for as many as come in. Those that lie past the
            end of the input are 0.
        max_ratio: The greatest ratio, at least 1: filters are made long enough for it; static.
        half_width: Zero crossings of the sinc on each side, an integer of at least 8; static. The filter falls
            from 0 dB to -85 over ``5.4 / half_width`` of the frequencies that are left.

    Returns:
        (..., length); float32 for integers, else the input's dtype.

    Raises:
        ValueError: For a scalar, an empty clip, or a number out of range.
        TypeError: For a length or width that is no integer, or as ``to_float`` does.

    Example:
        >>> clip = np.sin(2 * np.pi * 0.01 * np.arange(1000))
        >>> twice = resample_by(clip, 2.0)
        >>> bool(abs(twice[100:400] - np.sin(2 * np.pi * 0.02 * np.arange(100, 400))).max() < 1e-4)
        True

    Reference:
        Smith and Gossett, "A Flexible Sampling-Rate Conversion Method", ICASSP 1984; the reading between samples of
        twice the rate follows Niemitalo, "Polynomial Interpolators for High-Quality Resampling of Oversampled
        Audio", 2001.
    """
    waveforms = as_waveforms("resample_by", audio)
    check_number("max_ratio", max_ratio, minimum=1)
    check_integer("half_width", half_width, minimum=8, unit="zero crossings")
    if isinstance(ratio, numbers.Number | str):
        check_number("ratio", ratio, above=0, maximum=max_ratio)
    if length is None:
        length = waveforms.shape[-1]
    check_integer("length", length, minimum=1, unit="samples")
    resampled: jax.Array = _resample_by(
        waveforms, jnp.asarray(ratio), int(length), float(max_ratio), int(half_width), on_one_device(waveforms)
    )
    return resampled


def _kernel(quality: str, width: int | None, rolloff: float | None, method: str | None, beta: float | None) -> _Sinc:
    check_choice("quality", quality, choices=_PRESETS)
    kernel = _PRESETS[quality]
    if width is not None:
        check_integer("lowpass_filter_width", width, minimum=1, unit="zero crossings")
        kernel = kernel._replace(width=int(width))
    if rolloff is not None:
        check_number("rolloff", rolloff, above=0, maximum=1)
        kernel = kernel._replace(rolloff=float(rolloff))
    if method is not None:
        check_choice("resampling_method", method, choices=_METHODS)
        if method == "sinc_interp_hann":
            kernel = kernel._replace(beta=None)
        elif kernel.beta is None:
            kernel = kernel._replace(beta=_PRESETS["kaiser_best"].beta)
    if beta is not None:
        check_number("beta", beta, minimum=0)
        if kernel.beta is None:
            raise ValueError(
                f"beta shapes a Kaiser window, and the window is a Hann window, got beta={beta!r}: leave it out or "
                f"give resampling_method='sinc_interp_kaiser'"
            )
        kernel = kernel._replace(beta=float(beta))
    return kernel


def _mapped(function: Callable[..., jax.Array], single_device: bool, chunk_size: int, *rows: jax.Array) -> jax.Array:
    """Apply a function of one row to all, on a CPU to so many at once."""
    each = jax.vmap(vmap_in_chunks(function, chunk_size=max(1, chunk_size), single_device=single_device))
    mapped: jax.Array = batch_local(each, *rows, core=1)
    return mapped


@partial(jax.jit, static_argnames=("orig", "target", "kernel", "single_device"))
def _resample(audio: jax.Array, orig: int, target: int, kernel: _Sinc, single_device: bool) -> jax.Array:
    """Resample by a reduced ratio."""
    audio = to_float(audio)
    values = audio.astype(working_dtype(audio.dtype)).reshape(-1, audio.shape[-1])
    plan = _plan(orig, target, kernel)
    if plan is None:
        resampled = _by_gathering(values, orig, target, kernel)
    else:
        resampled = _by_products(values, orig, target, kernel, plan, single_device)
    return resampled.reshape(*audio.shape[:-1], -1).astype(audio.dtype)


def _half_width(orig: int, target: int, kernel: _Sinc) -> int:
    """Taps on each side, in input samples."""
    return math.ceil(kernel.width * max(1.0, orig / target) / kernel.rolloff)


def _plan(orig: int, target: int, kernel: _Sinc) -> tuple[int, int] | None:
    """How many periods of the ratio make a hop, and how many of its outputs one product; None for too many taps."""
    reach = 2 * _half_width(orig, target, kernel)
    outputs = min(max(round(0.6 * reach * target / orig), _LEAST_OUTPUTS), _MOST_OUTPUTS)
    # A hop holds the inputs of one product, so that its rows are cut from the rows of hops.
    periods = math.ceil(max(outputs / target, (reach + 1 + outputs * orig / target) / orig))
    outputs = max(outputs, math.ceil(periods * target / _MOST_PRODUCTS))
    taps = periods * target * (reach + outputs * orig / target)
    return (periods, outputs) if taps <= _MOST_TAPS else None


@lru_cache(maxsize=32)
def _tables(orig: int, target: int, kernel: _Sinc, plan: tuple[int, int]) -> tuple[tuple[int, np.ndarray], ...]:
    """For each product of a hop, its first input, counted from the hop's less the half width, and taps (in, out)."""
    periods, outputs = plan
    half_width = _half_width(orig, target, kernel)
    cutoff = kernel.rolloff * min(1.0, target / orig)
    tables = []
    for first in range(0, periods * target, outputs):
        place = np.arange(first, min(first + outputs, periods * target)) * orig
        start, stop = place[0] // target, -(-place[-1] // target) + 2 * half_width + 1
        distance = (np.arange(start, stop)[:, None] - half_width - place / target) * cutoff
        taps = cutoff * np.sinc(distance) * _window(distance, kernel)
        taps.setflags(write=False)
        tables.append((int(start), taps))
    return tuple(tables)


def _window(crossings: np.ndarray, kernel: _Sinc) -> np.ndarray:
    share = np.minimum(np.abs(crossings) / kernel.width, 1)
    if kernel.beta is None:
        return np.asarray(np.square(np.cos(np.pi / 2 * share)))
    bell = np.i0(kernel.beta * np.sqrt(1 - np.square(share))) / np.i0(kernel.beta)
    return np.where(share < 1, bell, 0)


def _by_products(
    audio: jax.Array, orig: int, target: int, kernel: _Sinc, plan: tuple[int, int], single_device: bool
) -> jax.Array:
    """Resample hop by hop: neighboring outputs are one matrix product of the inputs that they share."""
    n_rows, length = audio.shape
    n_out = -(-length * target // orig)
    tables = _tables(orig, target, kernel, plan)
    hop, made = plan[0] * orig, plan[0] * target
    half_width, n_hops = _half_width(orig, target, kernel), -(-n_out // made)
    beyond = max(start for start, _ in tables) + hop

    def resampled(row: jax.Array, hops: int, before: int, after: int) -> jax.Array:
        padded = jnp.pad(row, (before, after))
        products = []
        for start, taps in tables:
            inputs = padded[start : start + hops * hop].reshape(hops, hop)[:, : len(taps)]
            products.append(jnp.matmul(inputs, taps.astype(row.dtype), precision=lax.Precision.HIGHEST))
        return jnp.concatenate(products, axis=-1).reshape(hops * made)

    if length <= 2 * _AT_ONCE:
        after = n_hops * hop + beyond - half_width - length
        # What no output needs, as where the last hop is cut off.
        audio, after = (audio[:, :after], 0) if after < 0 else (audio, after)
        whole = partial(resampled, hops=n_hops, before=half_width, after=after)
        return _mapped(whole, single_device, _AT_ONCE // length, audio)[:, :n_out]
    n_parts = -(-length // _AT_ONCE)
    hops = -(-n_hops // n_parts)
    padded = jnp.pad(audio, ((0, 0), (half_width, max(0, n_parts * hops * hop + beyond - half_width - length))))
    parts = jnp.stack([padded[:, k * hops * hop :][:, : hops * hop + beyond] for k in range(n_parts)], axis=1)
    part = partial(resampled, hops=hops, before=0, after=0)
    done = _mapped(part, single_device, _AT_ONCE // parts.shape[-1], parts.reshape(-1, parts.shape[-1]))
    return done.reshape(n_rows, -1)[:, :n_out]


def _series(beta: float) -> tuple[float, ...]:
    """Power series of ``i0(beta * sqrt(z)) / i0(beta)``, highest power first; all terms are positive."""
    terms = [(beta / 2) ** (2 * k) / math.factorial(k) ** 2 for k in range(max(32, math.ceil(2 * beta)))]
    return tuple(term / math.fsum(terms) for term in reversed(terms))


def _kaiser(bell: jax.Array, beta: float) -> jax.Array:
    """The Kaiser window where ``1 - distance**2`` is ``bell``, distances from -1 to 1."""
    window = jnp.zeros_like(bell)
    for coefficient in _series(beta):
        window = window * bell + coefficient
    return window


def _sinc(crossings: jax.Array) -> jax.Array:
    middle = crossings == 0
    return jnp.where(middle, 1, sin2pi(crossings / 2) / jnp.where(middle, 1, jnp.pi * crossings))


def _taps(crossings: jax.Array, kernel: _Sinc) -> jax.Array:
    """The windowed sinc at distances counted in zero crossings."""
    share = crossings / kernel.width
    bell = 1 - jnp.square(share)
    window = jnp.square(cos2pi(share / 4)) if kernel.beta is None else _kaiser(bell, kernel.beta)
    return jnp.where(bell > 0, _sinc(crossings) * window, 0)


def _by_gathering(audio: jax.Array, orig: int, target: int, kernel: _Sinc) -> jax.Array:
    """Resample by computing the taps of a few phases at a time; outputs one period apart share their taps."""
    n_rows, length = audio.shape
    n_out = -(-length * target // orig)
    n_phases, n_periods = min(target, n_out), -(-n_out // target)
    half_width = min(_half_width(orig, target, kernel), length)
    cutoff = kernel.rolloff * min(1.0, target / orig)
    size = max(1, min(n_phases, _GATHERED_AT_ONCE // (2 * half_width * n_rows * n_periods)))
    n_chunks = -(-n_phases // size)

    # In 64 bits, which the product of two rates may need.
    position = np.arange(n_chunks * size, dtype=np.int64) * orig
    whole = (position // target).astype(np.int32).reshape(n_chunks, size)
    part = (position % target / target).astype(audio.dtype).reshape(n_chunks, size)
    offset = jnp.arange(1 - half_width, half_width + 1, dtype=np.int32)
    period = (np.arange(n_periods, dtype=np.int32) * orig)[:, None, None]
    padded = jnp.pad(audio, ((0, 0), (half_width - 1, half_width)))

    @jax.checkpoint
    def chunk(place: tuple[jax.Array, jax.Array]) -> jax.Array:
        first, fraction = place
        taps = cutoff * _taps((offset.astype(audio.dtype) - fraction[:, None]) * cutoff, kernel)
        index = period + first[:, None] + offset + (half_width - 1)
        near = jnp.take(padded, index, axis=1, mode="clip")
        return jnp.einsum("rpct,ct->rpc", near, taps, precision=lax.Precision.HIGHEST)

    chunks = lax.map(chunk, (whole, part))
    phases = jnp.moveaxis(chunks, 0, 2).reshape(n_rows, n_periods, -1)[..., :n_phases]
    return phases.reshape(n_rows, -1)[:, :n_out]


@partial(jax.jit, static_argnames=("length", "max_ratio", "half_width", "single_device"))
def _resample_by(
    audio: jax.Array, ratio: jax.Array, length: int, max_ratio: float, half_width: int, single_device: bool
) -> jax.Array:
    audio = to_float(audio)
    values = audio.astype(working_dtype(audio.dtype))
    lead = jnp.broadcast_shapes(values.shape[:-1], ratio.shape)
    values = jnp.broadcast_to(values, (*lead, values.shape[-1])).reshape(-1, values.shape[-1])
    ratios = jnp.broadcast_to(ratio.astype(values.dtype), lead).reshape(-1)

    def read_at(row: jax.Array, ratio: jax.Array) -> jax.Array:
        own = lax.stop_gradient(ratio)[None]
        return _between(_twice(row[None], own, max_ratio, half_width), own, length)[0]

    read = _mapped(read_at, single_device, _GATHERED_AT_ONCE // max(values.shape[-1], length), values, ratios)
    return read.reshape(*lead, length).astype(audio.dtype)


def _twice(audio: jax.Array, ratio: jax.Array, max_ratio: float, half_width: int) -> jax.Array:
    """Bring rows to twice their rate, without what reading at the ratio would fold: (rows, 2 * time + points).

    The filter follows the ratio, so the convolution is by FFT, for which its length is all the same. Half the points that
    are read around a place come before the first sample, and half after the last.
    """
    n_rows, time = audio.shape
    dtype = audio.dtype
    reach = math.ceil(half_width * max_ratio)
    # The stopband begins where the frequencies that are left end.
    rolloff = 1 - (_STOPBAND_DB - 7.95) / (14.36 * 2 * half_width)
    beta = 0.1102 * (_STOPBAND_DB - 8.7)
    widened = jnp.maximum(ratio, 1)[:, None, None]
    # For the samples between, and for those that are there.
    steps = np.arange(-reach, reach + 1)
    offset = jnp.asarray(np.stack([steps, steps + 0.5]), dtype)
    bell = 1 - jnp.square(offset / (half_width * widened))
    cutoff = rolloff / widened
    taps = jnp.where(bell > 0, cutoff * _sinc(offset * cutoff) * _kaiser(bell, beta), 0)

    size = max(_TRANSFORM, 1 << (4 * reach).bit_length())
    hop = size - 2 * reach
    n_hops = -(-(time + _POINTS) // hop)
    before = reach + _POINTS // 4
    padded = jnp.pad(audio, ((0, 0), (before, (n_hops + 1) * hop - before - time)))
    hops = padded.reshape(n_rows, n_hops + 1, hop)
    frames = jnp.concatenate([hops[:, :-1], hops[:, 1:, : 2 * reach]], axis=-1)
    spectra = jnp.fft.rfft(frames)[:, None] * jnp.fft.rfft(taps, size)[:, :, None]
    phases = jnp.fft.irfft(spectra, size)[..., 2 * reach :]
    return jnp.stack([phases[:, 0], phases[:, 1]], axis=-1).reshape(n_rows, -1)[:, : 2 * time + _POINTS]


@lru_cache(maxsize=1)
def _polynomials() -> np.ndarray:
    """Coefficients (points, degree + 1), highest power first, of the weight of each point around a place between two."""
    middle = 0.5 * np.cos(np.pi * (np.arange(64) + 0.5) / 64)
    fitted = []
    for point in range(_POINTS):
        distance = point - (_POINTS // 2 - 1) - (middle + 0.5)
        share = np.square(distance / (_POINTS / 2))
        weight = np.sinc(distance) * np.i0(_POINTS_BETA * np.sqrt(1 - share)) / np.i0(_POINTS_BETA)
        fitted.append(np.polynomial.polynomial.polyfit(middle, weight, _DEGREE)[::-1])
    coefficients = np.array(fitted)
    coefficients.setflags(write=False)
    return coefficients


def _between(twice: jax.Array, ratio: jax.Array, length: int) -> jax.Array:
    """Read rows of twice the rate at multiples of twice the ratio, by polynomials of the points around."""
    dtype = twice.dtype
    step = 2 * ratio[:, None]
    last = twice.shape[-1] - _POINTS
    # Floats have no digits left for places far into a clip: one in so many is exact, as an integer and a fraction in
    # units of 2**-32, and the others are counted from it.
    stride = step * _STRIDE
    whole = jnp.floor(stride)
    fraction = ((stride - whole) * 2.0**32).astype(np.uint32)
    count = jnp.arange(-(-length // _STRIDE), dtype=np.uint32)
    origin = count.astype(np.int32) * whole.astype(np.int32) + high_word(count, fraction).astype(np.int32)
    part = (count * fraction >> 16).astype(dtype) / 2**16
    place = part[..., None] + np.arange(_STRIDE, dtype=dtype) * step[..., None]
    before = jnp.floor(place)
    middle = (place - before - 0.5).reshape(len(twice), -1)[:, :length]
    index = (origin[..., None] + before.astype(np.int32)).reshape(len(twice), -1)[:, :length]
    inside = index < last
    index = jnp.where(inside, index, 0) + 1
    read = jnp.zeros_like(middle)
    for point, coefficients in enumerate(_polynomials()):
        weight = jnp.full_like(middle, coefficients[0])
        for coefficient in coefficients[1:]:
            weight = weight * middle + coefficient.astype(dtype)
        read = read + weight * jnp.take_along_axis(twice, index + point, axis=1, mode="promise_in_bounds")
    return jnp.where(inside, read, 0)
