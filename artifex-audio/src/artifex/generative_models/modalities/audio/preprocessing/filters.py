"""Digital filters: biquads, Butterworth designs, second-order sections and FFT convolution."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_choice, check_integer, check_number, check_option, is_jax_array
from artifex.generative_models.core.numerics import cos2pi, jit, sin2pi, working_dtype
from artifex.generative_models.core.numerics.batching import batch_local, on_one_device, vmap_in_chunks
from artifex.generative_models.modalities.audio.preprocessing import state_space
from artifex.generative_models.modalities.audio.preprocessing.levels import as_waveforms, to_float

BIQUADS = ("lowpass", "highpass", "bandpass", "bandstop", "allpass", "peaking", "lowshelf", "highshelf")

# Maximum number of samples per FFT call on a CPU: one call for several rows is faster than one call per row.
_CHUNK_SAMPLES = 2**20


def biquad(
    kind: str,
    frequency: ArrayLike,
    *,
    sample_rate: int | jax.Array,
    q: ArrayLike = 0.7071067811865476,
    gain_db: ArrayLike = 0.0,
) -> jax.Array:
    """Design a biquad, a second-order filter.

    The coefficients are rounded such that the gain at 0 Hz and at half the sample rate is exact. In float32, the
    relative error of the corner frequency is up to 0.03 % at 50 Hz and 0.2 % at 20 Hz for a sample rate of 44 100 Hz.
    This matters for sharp filters: a notch at 50 Hz with ``q=30`` for 48 000 Hz attenuates that frequency by 25 dB, while
    one designed in float64 by ``scipy.signal.iirnotch`` removes it.

    Args:
        kind: ``"lowpass"``, ``"highpass"``, ``"bandpass"`` (0 dB at its peak), ``"bandstop"``, ``"allpass"``,
            ``"peaking"``, ``"lowshelf"`` or ``"highshelf"``.
        frequency: Corner or center frequency in Hz, above 0 and below half the sample rate; any shape. May be traced.
        sample_rate: Sample rate in Hz, an integer of at least 1. May be traced.
        q: Quality factor, above 0: sharpness of the corner, or center frequency over bandwidth; broadcast. May be
            traced.
        gain_db: Gain of a peaking or shelving filter in dB; ignored by the other kinds; broadcast. May be traced.

    Returns:
        Coefficients ``b0, b1, b2, 1, a1, a2``, (..., 6). ``sosfilt`` takes (..., n_sections, 6): for a single section,
        pass ``biquad(...)[..., None, :]``.

    Raises:
        ValueError: When the kind is unknown, or a number is out of range.
        TypeError: When a parameter is not a number.

    Example:
        >>> [round(float(each), 3) for each in biquad("lowpass", 2000.0, sample_rate=16000, q=0.5)]
        [0.086, 0.172, 0.086, 1.0, -0.828, 0.172]

    Reference:
        Bristow-Johnson, "Audio EQ Cookbook", W3C Note 2021; ``torchaudio.functional.lowpass_biquad`` and similar.
    """
    check_choice("kind", kind, choices=BIQUADS)
    check_option("sample_rate", sample_rate, integer=True, minimum=1, unit="Hz")
    _check_numbers("frequency", frequency, above=0, unit="Hz")
    _check_numbers("q", q, above=0)
    _check_numbers("gain_db", gain_db, unit="dB")
    if not is_jax_array(frequency) and not is_jax_array(sample_rate) and np.max(frequency) >= sample_rate / 2:
        raise ValueError(
            f"frequency must be below {sample_rate / 2} Hz, half the sample rate of {sample_rate} Hz, got {frequency}"
        )
    return _biquad(jnp.asarray(frequency), jnp.asarray(q), jnp.asarray(gain_db), jnp.asarray(sample_rate), kind)


def butterworth(kind: str, order: int, frequency: ArrayLike, *, sample_rate: int | jax.Array) -> jax.Array:
    """Design a Butterworth low-pass or high-pass filter of even order as second-order sections.

    Args:
        kind: ``"lowpass"`` or ``"highpass"``.
        order: Filter order, an even number of at least 2; the slope is ``6 * order`` dB per octave. Static.
        frequency: Cutoff frequency (-3 dB) in Hz, above 0 and below half the sample rate; any shape. May be traced.
        sample_rate: Sample rate in Hz, an integer of at least 1. May be traced.

    Returns:
        Sections for ``sosfilt``, (..., order / 2, 6).

    Raises:
        ValueError: When the kind is unknown, the order is odd, or the frequency is out of range.
        TypeError: When a parameter is not a number.

    Example:
        >>> butterworth("highpass", 4, 1000.0, sample_rate=16000).shape
        (2, 6)

    Reference:
        ``scipy.signal.butter(order, frequency, kind, fs=sample_rate, output="sos")``, which has the same response.
    """
    check_choice("kind", kind, choices=("lowpass", "highpass"))
    check_integer("order", order, minimum=2)
    if order % 2:
        raise ValueError(f"order must be even, got {order}")
    angles = (2 * np.arange(order // 2) + 1) * np.pi / (2 * order)
    cutoff = frequency if isinstance(frequency, jax.Array) else np.asarray(frequency)
    return biquad(kind, cutoff[..., None], sample_rate=sample_rate, q=jnp.asarray(1 / (2 * np.cos(angles))))


def sosfilt(audio: ArrayLike, sos: ArrayLike) -> jax.Array:
    """Filter waveforms with second-order sections, from zero initial state.

    The recursion runs in blocks, on state equations that are accurate in float32 down to low corner frequencies. The
    coefficients limit the accuracy: for a corner at 20 Hz and 44 100 Hz, ``1 + a1 + a2`` has a relative error of 0.4 %
    in float32. Sections in a NumPy array of float64 keep their full precision.

    Args:
        audio: Waveforms (..., time). Integers are converted with ``to_float`` first.
        sos: Second-order sections, (n_sections, 6) or (..., n_sections, 6) broadcast against the leading axes, each
            ``b0, b1, b2, a0, a1, a2``. May be traced.

    Returns:
        (..., time); float32 for integers, else the dtype of ``audio``. NaN or infinity in a waveform gives NaN from that
        sample on, in that waveform only.

    Raises:
        ValueError: When ``audio`` is a scalar or empty, or ``sos`` has another shape.
        TypeError: When ``audio`` is not real.

    Example:
        >>> one_pole = [[0.5, 0, 0, 1, -0.5, 0]]
        >>> sosfilt(np.array([1.0, 0, 0, 0]), one_pole).round(4).tolist()
        [0.5, 0.25, 0.125, 0.0625]

    Reference:
        ``scipy.signal.sosfilt``; Middleton and Goodwin, "Digital Control and Estimation", 1990 (delta operators).
    """
    waveforms = to_float(as_waveforms("sosfilt", audio))
    sections = sos if isinstance(sos, jax.Array) else np.asarray(sos, np.float64)
    if sections.ndim < 2 or sections.shape[-1] != 6 or not sections.shape[-2]:
        raise ValueError(f"sos must be (n_sections, 6) or (..., n_sections, 6), got shape {sections.shape}")
    try:
        np.broadcast_shapes(waveforms.shape[:-1], sections.shape[:-2])
    except ValueError as error:
        raise ValueError(
            f"sos of shape {sections.shape} does not fit audio of shape {waveforms.shape}: the axes before "
            f"(n_sections, 6) must broadcast against the axes before time"
        ) from error
    dtype = working_dtype(waveforms.dtype)
    return state_space.filter_sections(waveforms, state_space.from_coefficients(sections, dtype))


def fft_convolve(audio: ArrayLike, kernel: ArrayLike, mode: str = "full") -> jax.Array:
    """Convolve along time by blockwise FFT (overlap-save).

    Args:
        audio: Waveforms (..., time). Integers are converted with ``to_float`` first.
        kernel: Impulse responses (..., taps), broadcast against the leading axes. May be traced.
        mode: ``"full"`` returns ``time + taps - 1`` samples, ``"same"`` the central ``time`` samples of them, ``"causal"``
            the first ``time``.

    Returns:
        (..., samples); float32 for integers, else the dtype of ``audio``. NaN spreads over its block, but not to other
        waveforms.

    Raises:
        ValueError: When an array is a scalar or empty, or the mode is unknown.
        TypeError: When an array is not real.

    Example:
        >>> fft_convolve(np.array([1.0, 2.0, 3.0]), np.array([1.0, 0.5]), "causal").round(3).tolist()
        [1.0, 2.5, 4.0]

    Reference:
        ``scipy.signal.fftconvolve``; overlap-save, Oppenheim and Schafer, "Discrete-Time Signal Processing", 8.7.
    """
    check_choice("mode", mode, choices=("full", "same", "causal"))
    waveforms = to_float(as_waveforms("fft_convolve", audio))
    taps = to_float(as_waveforms("fft_convolve", kernel))
    time, n_taps = waveforms.shape[-1], taps.shape[-1]
    first = (n_taps - 1) // 2 if mode == "same" else 0
    count = time + n_taps - 1 if mode == "full" else time
    return _convolve(waveforms, taps, first, count, on_one_device(waveforms))


def _check_numbers(name: str, values: ArrayLike, **bounds: Any) -> None:
    if not is_jax_array(values):
        for number in np.ravel(np.asarray(values)).tolist():
            check_number(name, number, **bounds)


@jit(static_argnames=["kind"])
def _biquad(frequency: jax.Array, q: jax.Array, gain_db: jax.Array, sample_rate: jax.Array, kind: str) -> jax.Array:
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.result_type(frequency, q, gain_db, jnp.float32)
    frequency, q, gain_db = (value.astype(dtype) for value in jnp.broadcast_arrays(frequency, q, gain_db))
    cycles = frequency / sample_rate.astype(dtype)
    cosine, alpha = cos2pi(cycles), sin2pi(cycles) / (2 * q)
    # 1 - cos and 1 + cos, without cancellation at low and high corner frequencies.
    one_minus_cos, one_plus_cos = 2 * jnp.square(sin2pi(cycles / 2)), 2 * jnp.square(cos2pi(cycles / 2))
    a = jnp.exp(gain_db * (math.log(10) / 40))
    a_plus_1, a_minus_1, side = a + 1, a - 1, 2 * jnp.sqrt(a) * alpha
    # At the nearer of 0 Hz and half the sample rate, the response is a ratio of sums that nearly vanish. So a2
    # compensates the rounding of a1, and b2 that of the other coefficients.
    is_low = cosine >= 0
    sign = jnp.where(is_low, 1, -1).astype(dtype)
    if kind == "lowshelf":
        a0, a1 = a_plus_1 + a_minus_1 * cosine + side, -2 * (a_minus_1 + a_plus_1 * cosine)
        end = jnp.where(is_low, one_minus_cos, a * one_plus_cos)
        a1, end = a1 / a0, 4 * end / a0
    elif kind == "highshelf":
        a0, a1 = a_plus_1 - a_minus_1 * cosine + side, 2 * (a_minus_1 - a_plus_1 * cosine)
        end = jnp.where(is_low, a * one_minus_cos, one_plus_cos)
        a1, end = a1 / a0, 4 * end / a0
    else:
        a0 = 1 + (alpha / a if kind == "peaking" else alpha)
        a1, end = -2 * cosine / a0, 2 * jnp.where(is_low, one_minus_cos, one_plus_cos) / a0
    a2 = end - (1 + sign * a1)
    end = (1 + sign * a1) + a2

    def with_compensated_b2(
        b0: jax.Array, b1: jax.Array, gain: jax.Array | int
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        return b0, b1, gain * end - (b0 + sign * b1)

    if kind == "lowpass":
        b0 = jnp.where(is_low, end / 4, one_minus_cos / (2 * a0))
        numerator = b0, 2 * b0, b0
    elif kind == "highpass":
        b0 = jnp.where(is_low, one_plus_cos / (2 * a0), end / 4)
        numerator = b0, -2 * b0, b0
    elif kind == "bandpass":
        numerator = alpha / a0, jnp.zeros_like(alpha), -alpha / a0
    elif kind == "bandstop":
        numerator = (1 + a2) / 2, a1, (1 + a2) / 2
    elif kind == "allpass":
        numerator = a2, a1, jnp.ones_like(a2)
    elif kind == "peaking":
        numerator = with_compensated_b2((1 + alpha * a) / a0, a1, 1)
    elif kind == "lowshelf":
        b0, b1 = a * (a_plus_1 - a_minus_1 * cosine + side) / a0, 2 * a * (a_minus_1 - a_plus_1 * cosine) / a0
        numerator = with_compensated_b2(b0, b1, jnp.where(is_low, jnp.square(a), 1))
    else:
        b0, b1 = a * (a_plus_1 + a_minus_1 * cosine + side) / a0, -2 * a * (a_minus_1 + a_plus_1 * cosine) / a0
        numerator = with_compensated_b2(b0, b1, jnp.where(is_low, 1, jnp.square(a)))
    return jnp.stack([*numerator, jnp.ones_like(a1), a1, a2], axis=-1)


@jit(static_argnames=["first", "count", "single_device"])
def _convolve(audio: jax.Array, kernel: jax.Array, first: int, count: int, single_device: bool) -> jax.Array:
    """Compute samples ``first`` to ``first + count`` of the full convolution, by overlap-save."""
    dtype = working_dtype(audio.dtype)
    leading = jnp.broadcast_shapes(audio.shape[:-1], kernel.shape[:-1])
    rows, taps = (
        jnp.broadcast_to(each.astype(dtype), (*leading, each.shape[-1])).reshape(-1, each.shape[-1])
        for each in (audio, kernel)
    )
    n_taps = taps.shape[-1]
    size = _fft_size(n_taps, count)
    step = size - n_taps + 1
    n_blocks = -(-count // step)
    # A block consists of ``step`` samples and the first n_taps - 1 samples of the next step. The last block therefore
    # needs one step more.
    needed = (n_blocks + (n_blocks > 1)) * step + (n_taps - 1) * (n_blocks == 1)
    before = n_taps - 1 - first
    after = max(0, needed - before - rows.shape[-1])

    def convolve_row(row: jax.Array, taps: jax.Array) -> jax.Array:
        padded = jnp.pad(row, (before, after))[:needed]
        blocks = padded[None]
        if n_blocks > 1:
            steps = padded.reshape(n_blocks + 1, step)
            blocks = jnp.concatenate([steps[:-1], steps[1:, : n_taps - 1]], -1)
        spectra = jnp.fft.rfft(blocks, size) * jnp.fft.rfft(taps, size)[None]
        return jnp.fft.irfft(spectra, size)[:, n_taps - 1 :].reshape(-1)[:count]

    chunk_size = max(1, _CHUNK_SAMPLES // (n_blocks * size))
    convolve_rows = jax.vmap(vmap_in_chunks(convolve_row, chunk_size=chunk_size, single_device=single_device))
    return batch_local(convolve_rows, rows, taps, core=1).reshape(*leading, count).astype(audio.dtype)


def _fft_size(n_taps: int, count: int) -> int:
    """Return the FFT size with the lowest cost: a power of two, or a size at which there is only one block."""
    single = _fast_fft_size(count + n_taps - 1)
    sizes = [size for k in range(10, single.bit_length()) if 2 * n_taps <= (size := 1 << k) < single]

    def work(size: int) -> float:
        return (2 * -(-count // (size - n_taps + 1)) + 1) * size * math.log2(size)

    return min([single, *sizes], key=work)


def _fast_fft_size(minimum: int) -> int:
    """Return the smallest number of at least ``minimum`` of the form 2**k times one of a few odd factors."""
    return min(odd << (-(-minimum // odd) - 1).bit_length() for odd in (1, 3, 5, 9, 15, 25, 27, 45))
