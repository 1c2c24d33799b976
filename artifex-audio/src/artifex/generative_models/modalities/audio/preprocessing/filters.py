"""Filters of waveforms: the equaliser's biquads and their cascades, recursive filtering, convolution by FFT."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_choice, check_integer, check_number
from artifex.generative_models.core.numerics import cos2pi, sin2pi, working_dtype
from artifex.generative_models.modalities.audio.preprocessing.levels import as_waveforms, to_float

BIQUADS = ("lowpass", "highpass", "bandpass", "bandstop", "allpass", "peaking", "lowshelf", "highshelf")

# Samples that one matrix product filters from rest: fewer make more steps that join the blocks, more make more products.
_BLOCK = 32


def biquad(
    kind: str,
    frequency: ArrayLike,
    sample_rate: int,
    *,
    q: ArrayLike = 0.7071067811865476,
    gain_db: ArrayLike = 0.0,
) -> jax.Array:
    """Design a filter of second order as equalisers have them.

    Args:
        kind: ``"lowpass"``, ``"highpass"``, ``"bandpass"`` (0 dB at its peak), ``"bandstop"``, ``"allpass"``,
            ``"peaking"``, ``"lowshelf"`` or ``"highshelf"``.
        frequency: The corner or centre, Hz, above 0 and below half the sample rate; any shape. May be traced.
        sample_rate: Samples per second, Hz; static.
        q: Quality, above 0: the sharpness of the corner, or centre over width; broadcast. May be traced.
        gain_db: What a peak or shelf adds, dB; the other kinds take no notice of it; broadcast. May be traced.

    Returns:
        (..., 6): ``b0, b1, b2, 1, a1, a2``, for ``sosfilt``, which wants (..., n_sections, 6): ``biquad(…)[..., None, :]``
        is one section.

    Raises:
        ValueError: For an unknown kind, or a number out of range.
        TypeError: For something that is no number.

    Example:
        >>> [round(float(each), 3) for each in biquad("lowpass", 2000.0, 16000, q=0.5)]
        [0.086, 0.172, 0.086, 1.0, -0.828, 0.172]

    Reference:
        Bristow-Johnson, "Audio EQ Cookbook", W3C Note 2021; ``torchaudio.functional.lowpass_biquad`` and its like.
    """
    check_choice("kind", kind, choices=BIQUADS)
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    for name, value, bounds in (
        ("frequency", frequency, {"above": 0, "unit": "Hz"}),
        ("q", q, {"above": 0}),
        ("gain_db", gain_db, {"unit": "dB"}),
    ):
        if not isinstance(value, jax.Array):
            for each in np.ravel(np.asarray(value)).tolist():
                check_number(name, each, **bounds)
    if not isinstance(frequency, jax.Array) and np.max(frequency) >= sample_rate / 2:
        raise ValueError(
            f"frequency must be below {sample_rate / 2} Hz, half the sample rate of {sample_rate} Hz, got {frequency}"
        )
    designed: jax.Array = _biquad(jnp.asarray(frequency), jnp.asarray(q), jnp.asarray(gain_db), kind, sample_rate)
    return designed


def butterworth(kind: str, order: int, frequency: ArrayLike, sample_rate: int) -> jax.Array:
    """Design a Butterworth low-pass or high-pass of even order.

    Args:
        kind: ``"lowpass"`` or ``"highpass"``.
        order: An even number of at least 2; the slope is 6 dB per octave for each. Static.
        frequency: Where it is 3 dB down, Hz, above 0 and below half the sample rate; any shape. May be traced.
        sample_rate: Samples per second, Hz; static.

    Returns:
        (..., order / 2, 6), for ``sosfilt``.

    Raises:
        ValueError: For an unknown kind, an odd order, or a frequency out of range.
        TypeError: For something that is no number.

    Example:
        >>> butterworth("highpass", 4, 1000.0, 16000).shape
        (2, 6)

    Reference:
        ``scipy.signal.butter(order, frequency, kind, fs=sample_rate, output="sos")``, which has the same response.
    """
    check_choice("kind", kind, choices=("lowpass", "highpass"))
    check_integer("order", order, minimum=2)
    if order % 2:
        raise ValueError(f"order must be even, got {order}")
    angles = (2 * np.arange(order // 2) + 1) * np.pi / (2 * order)
    given = np.asarray(frequency)[..., None] if not isinstance(frequency, jax.Array) else frequency[..., None]
    return biquad(kind, given, sample_rate, q=jnp.asarray(1 / (2 * np.cos(angles))))


def sosfilt(audio: ArrayLike, sos: ArrayLike) -> jax.Array:
    """Filter waveforms through sections of second order, starting from rest.

    Each section is run as a state-variable filter, which float32 serves well down to low corners; what is lost there is
    in the coefficients: ``1 + a1 + a2`` of a corner at 20 Hz and 16 000 Hz is right to 0.2 % in float32.

    Args:
        audio: Waveforms (..., time). Integers are scaled by ``to_float`` first.
        sos: Stable sections, (n_sections, 6) or (..., n_sections, 6) broadcast against the leading axes, each
            ``b0, b1, b2, a0, a1, a2``. May be traced.

    Returns:
        (..., time); float32 for integers, else the audio's dtype.

    Raises:
        ValueError: For a scalar, an empty clip, or sections of another shape.
        TypeError: As ``to_float`` does.

    Example:
        >>> halved = [[0.5, 0, 0, 1, -0.5, 0]]
        >>> sosfilt(np.array([1.0, 0, 0, 0]), halved).tolist()
        [0.5, 0.25, 0.125, 0.0625]

    Reference:
        ``scipy.signal.sosfilt``; Simper, "Linear Trapezoidal Integrated State Variable Filter", Cytomic 2013.
    """
    waveforms = to_float(as_waveforms("sosfilt", audio))
    sections = jnp.asarray(sos)
    if sections.ndim < 2 or sections.shape[-1] != 6 or not sections.shape[-2]:
        raise ValueError(f"sos is (n_sections, 6) or (..., n_sections, 6), got shape {sections.shape}")
    filtered: jax.Array = _sosfilt(waveforms, sections)
    return filtered


def fft_convolve(audio: ArrayLike, kernel: ArrayLike, mode: str = "full") -> jax.Array:
    """Convolve along time, in blocks by FFT.

    Args:
        audio: Waveforms (..., time). Integers are scaled by ``to_float`` first.
        kernel: Filters (..., taps), broadcast against the leading axes. May be traced.
        mode: ``"full"`` gives ``time + taps - 1`` samples, ``"same"`` the ``time`` in their middle, ``"causal"`` the
            first ``time``.

    Returns:
        (..., samples); float32 for integers, else the audio's dtype.

    Raises:
        ValueError: For a scalar or an empty array, or an unknown mode.
        TypeError: As ``to_float`` does.

    Example:
        >>> fft_convolve(np.array([1.0, 2.0, 3.0]), np.array([1.0, 0.5]), "causal").round(3).tolist()
        [1.0, 2.5, 4.0]

    Reference:
        ``scipy.signal.fftconvolve``; overlap-save, Oppenheim and Schafer, "Discrete-Time Signal Processing", 8.7.
    """
    check_choice("mode", mode, choices=("full", "same", "causal"))
    waveforms = to_float(as_waveforms("fft_convolve", audio))
    taps = to_float(as_waveforms("fft_convolve", kernel))
    time, width = waveforms.shape[-1], taps.shape[-1]
    first = (width - 1) // 2 if mode == "same" else 0
    convolved: jax.Array = _convolve(waveforms, taps, first, time + width - 1 if mode == "full" else time)
    return convolved


@partial(jax.jit, static_argnames=("kind", "sample_rate"))
def _biquad(frequency: jax.Array, q: jax.Array, gain_db: jax.Array, kind: str, sample_rate: int) -> jax.Array:
    dtype = jnp.result_type(frequency, q, gain_db, jnp.float32)
    frequency, q, gain_db = (value.astype(dtype) for value in jnp.broadcast_arrays(frequency, q, gain_db))
    turns = frequency / sample_rate
    sine, cosine = sin2pi(turns), cos2pi(turns)
    # 1 - cos and 1 + cos without the cancellation that low and high corners would suffer.
    from_one, to_one = 2 * jnp.square(sin2pi(turns / 2)), 2 * jnp.square(cos2pi(turns / 2))
    alpha = sine / (2 * q)
    a = jnp.exp(gain_db * (math.log(10) / 40))
    none = jnp.zeros_like(alpha)
    if kind in ("lowshelf", "highshelf"):
        low = kind == "lowshelf"
        side = 2 * jnp.sqrt(a) * alpha
        rise, fall = (a + 1, a - 1)
        sign = 1 if low else -1
        b0 = a * (rise - sign * fall * cosine + side)
        b1 = sign * 2 * a * (fall - sign * rise * cosine)
        b2 = a * (rise - sign * fall * cosine - side)
        a0 = rise + sign * fall * cosine + side
        a1 = -sign * 2 * (fall + sign * rise * cosine)
        a2 = rise + sign * fall * cosine - side
    else:
        a0, a1, a2 = 1 + alpha, -2 * cosine, 1 - alpha
        if kind == "peaking":
            a0, a2 = 1 + alpha / a, 1 - alpha / a
        b0, b1, b2 = {
            "lowpass": (from_one / 2, from_one, from_one / 2),
            "highpass": (to_one / 2, -to_one, to_one / 2),
            "bandpass": (alpha, none, -alpha),
            "bandstop": (jnp.ones_like(alpha), a1, jnp.ones_like(alpha)),
            "allpass": (a2, a1, a0),
            "peaking": (1 + alpha * a, a1, 1 - alpha * a),
        }[kind]
    return jnp.stack([b0 / a0, b1 / a0, b2 / a0, jnp.ones_like(a0), a1 / a0, a2 / a0], axis=-1)


@jax.jit
def _sosfilt(audio: jax.Array, sos: jax.Array) -> jax.Array:
    working = working_dtype(audio.dtype)
    sections = sos.astype(working)
    shape = jnp.broadcast_shapes(audio.shape[:-1], sections.shape[:-2])
    values = jnp.broadcast_to(audio.astype(working), (*shape, audio.shape[-1]))
    for section in range(sections.shape[-2]):
        values = _section(values, sections[..., section, :])
    return values.astype(audio.dtype)


def _section(values: jax.Array, section: jax.Array) -> jax.Array:
    """Run one section, (..., 6), over (..., time)."""
    b0, b1, b2, a0, a1, a2 = (section[..., place] for place in range(6))
    # Its denominator as a state-variable filter of corner ``g`` and damping ``k``, its numerator as gains of the three
    # outputs of that filter: (1 - z)^2, 1 - z^2 and (1 + z)^2.
    nyquist, dc = a0 - a1 + a2, a0 + a1 + a2
    g = jnp.sqrt(dc / nyquist)
    k = 2 * (a0 - a2) / (nyquist * g)
    high, low = (b0 - b1 + b2) / nyquist, (b0 + b1 + b2) / dc
    band = 2 * (b0 - b2) / (nyquist * g)
    c1 = 1 / (1 + g * (g + k))
    c2 = g * c1
    c3 = g * c2
    # state' = A state + B v; output = C state + D v, the state two numbers.
    matrix = jnp.stack([jnp.stack([2 * c1 - 1, -2 * c2], -1), jnp.stack([2 * c2, 1 - 2 * c3], -1)], -2)
    drive = jnp.stack([2 * c2, 2 * c3], -1)
    own_band, own_low = band - k * high, low - high
    read = jnp.stack([own_band * c1 + own_low * c2, -own_band * c2 + own_low * (1 - c3)], -1)
    direct = high + own_band * c2 + own_low * c3

    time = values.shape[-1]
    size = min(_BLOCK, time)
    n_blocks = -(-time // size)
    powers = _powers(matrix, size)
    # The answer to an impulse, as a matrix that filters a block from rest, and what a block leaves in the state.
    driven = jnp.einsum("...kij,...j->...ki", powers[..., :-1, :, :], drive)
    answer = jnp.concatenate([direct[..., None], jnp.einsum("...i,...ki->...k", read, driven[..., :-1, :])], -1)
    later = np.arange(size) - np.arange(size)[:, None]
    through = jnp.where(later >= 0, answer[..., np.maximum(later, 0)], 0)
    padded = jnp.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, n_blocks * size - time)])
    blocks = padded.reshape(*values.shape[:-1], n_blocks, size)
    filtered = _product(blocks, through)
    if n_blocks > 1:
        left = _product(blocks, driven[..., ::-1, :])
        p, o, m, n = _entries(powers[..., -1, :, :])

        def join(state: tuple[jax.Array, jax.Array], ends: tuple[jax.Array, ...]) -> tuple[Any, Any]:
            x, y = state
            return (p * x + o * y + ends[0], m * x + n * y + ends[1]), (x, y)

        ends = tuple(jnp.moveaxis(left[..., place], -1, 0) for place in range(2))
        rest = jnp.zeros_like(ends[0][0])
        starts = lax.scan(join, (rest, rest), ends)[1]
        # What each sample of a block still hears of the state that the block began with.
        heard = jnp.einsum("...i,...kij->...kj", read, powers[..., :-1, :, :])
        for place, start in enumerate(starts):
            filtered += jnp.moveaxis(start, 0, -1)[..., None] * heard[..., None, :, place]
    return filtered.reshape(*values.shape[:-1], -1)[..., :time]


def _product(blocks: jax.Array, matrices: jax.Array) -> jax.Array:
    return jnp.einsum("...ni,...ij->...nj", blocks, matrices, precision=lax.Precision.HIGHEST)


def _entries(matrix: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    return matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 1, 0], matrix[..., 1, 1]


def _pair(vector: jax.Array) -> tuple[jax.Array, jax.Array]:
    return vector[..., 0], vector[..., 1]


def _powers(matrix: jax.Array, count: int) -> jax.Array:
    """Powers 0 to ``count`` of (..., 2, 2) matrices, (..., count + 1, 2, 2), by doubling."""
    powers = jnp.broadcast_to(jnp.eye(2, dtype=matrix.dtype), matrix.shape)[..., None, :, :]
    step = matrix
    while powers.shape[-3] <= count:
        further = jnp.matmul(powers, step[..., None, :, :], precision=lax.Precision.HIGHEST)
        powers = jnp.concatenate([powers, further], axis=-3)
        step = jnp.matmul(step, step, precision=lax.Precision.HIGHEST)
    return powers[..., : count + 1, :, :]


@partial(jax.jit, static_argnames=("first", "count"))
def _convolve(audio: jax.Array, kernel: jax.Array, first: int, count: int) -> jax.Array:
    """Samples ``first`` to ``first + count`` of the full convolution, by overlap-save."""
    working = working_dtype(audio.dtype)
    values, taps = audio.astype(working), kernel.astype(working)
    width = taps.shape[-1]
    size = _fft_size(width, count + width - 1)
    step = size - width + 1
    n_blocks = -(-count // step)
    # Block i of the result needs the width - 1 samples before it as well, which end the block before: one more block at
    # the end gives those of the last.
    needed = (n_blocks + (n_blocks > 1)) * step + (width - 1) * (n_blocks == 1)
    before = width - 1 - first
    after = max(0, needed - before - values.shape[-1])
    padded = jnp.pad(values, [(0, 0)] * (values.ndim - 1) + [(before, after)])[..., :needed]
    blocks = padded[..., None, :]
    if n_blocks > 1:
        steps = padded.reshape(*padded.shape[:-1], n_blocks + 1, step)
        blocks = jnp.concatenate([steps[..., :-1, :], steps[..., 1:, : width - 1]], -1)
    spectra = jnp.fft.rfft(blocks, size) * jnp.fft.rfft(taps, size)[..., None, :]
    joined = jnp.fft.irfft(spectra, size)[..., width - 1 :]
    return joined.reshape(*joined.shape[:-2], -1)[..., :count].astype(audio.dtype)


def _fft_size(width: int, whole: int) -> int:
    """How long the transforms are: several times the kernel, so that little is thrown away, and no longer than all."""
    at_once = 1 << (whole - 1).bit_length()
    return min(at_once, max(1024, 4 << (width - 1).bit_length()))
