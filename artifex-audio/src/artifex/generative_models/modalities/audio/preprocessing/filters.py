"""Filters of waveforms: the equalizer's biquads and their cascades, recursive filtering, convolution by FFT."""

from __future__ import annotations

import math
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_choice, check_integer, check_number
from artifex.generative_models.core.numerics import cos2pi, sin2pi, working_dtype
from artifex.generative_models.core.numerics.batching import batch_local, on_one_device, vmap_in_chunks
from artifex.generative_models.modalities.audio.preprocessing.levels import as_waveforms, to_float

BIQUADS = ("lowpass", "highpass", "bandpass", "bandstop", "allpass", "peaking", "lowshelf", "highshelf")

# Samples that one matrix product filters from rest: fewer make more steps that join the blocks, more make more products.
_BLOCK = 32
# Samples of the FFTs that are made together on a CPU: several rows go through one FFT faster than one by one.
_AT_ONCE = 2**20

# Below this the scale of the states of a section would lose digits itself.
_LEAST_SCALE = 2.0**-20


def biquad(
    kind: str,
    frequency: ArrayLike,
    sample_rate: int,
    *,
    q: ArrayLike = 0.7071067811865476,
    gain_db: ArrayLike = 0.0,
) -> jax.Array:
    """Design a filter of second order as equalizers have them.

    The coefficients are rounded so that the gain at 0 Hz and at half the sample rate stays what it is by design; the
    corner of one in float32 is off by up to 0.03 % at 50 Hz of 44 100 Hz, and 0.2 % at 20 Hz. That counts where a filter is
    sharp: a notch at 50 Hz of 48 000 Hz with ``q=30`` takes 25 dB off that frequency, where one that ``scipy.signal.iirnotch``
    made in float64 takes off all.

    Args:
        kind: ``"lowpass"``, ``"highpass"``, ``"bandpass"`` (0 dB at its peak), ``"bandstop"``, ``"allpass"``,
            ``"peaking"``, ``"lowshelf"`` or ``"highshelf"``.
        frequency: The corner or center, Hz, above 0 and below half the sample rate; any shape. May be traced.
        sample_rate: Samples per second, Hz; static.
        q: Quality, above 0: the sharpness of the corner, or center over width; broadcast. May be traced.
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

    Sections are run in blocks, as state equations that float32 serves well down to low corners; what is
    lost there is in the coefficients: ``1 + a1 + a2`` of a corner at 20 Hz and 44 100 Hz is right to 0.4 % in float32.
    Sections of NumPy's, in float64, keep all digits.

    Args:
        audio: Waveforms (..., time). Integers are scaled by ``to_float`` first.
        sos: Sections, (n_sections, 6) or (..., n_sections, 6) broadcast against the leading axes, each
            ``b0, b1, b2, a0, a1, a2``. May be traced.

    Returns:
        (..., time); float32 for integers, else the audio's dtype. NaN from the first sample on that is NaN or infinite,
        in that waveform alone.

    Raises:
        ValueError: For a scalar, an empty clip, or sections of another shape.
        TypeError: As ``to_float`` does.

    Example:
        >>> halved = [[0.5, 0, 0, 1, -0.5, 0]]
        >>> sosfilt(np.array([1.0, 0, 0, 0]), halved).round(4).tolist()
        [0.5, 0.25, 0.125, 0.0625]

    Reference:
        ``scipy.signal.sosfilt``; Middleton and Goodwin, "Digital Control and Estimation", 1990 (delta operators).
    """
    waveforms = to_float(as_waveforms("sosfilt", audio))
    given = sos if isinstance(sos, jax.Array) else np.asarray(sos, np.float64)
    if given.ndim < 2 or given.shape[-1] != 6 or not given.shape[-2]:
        raise ValueError(f"sos is (n_sections, 6) or (..., n_sections, 6), got shape {given.shape}")
    try:
        np.broadcast_shapes(waveforms.shape[:-1], given.shape[:-2])
    except ValueError as error:
        raise ValueError(
            f"sos of shape {given.shape} does not fit audio of shape {waveforms.shape}: what comes before "
            f"(n_sections, 6) has to broadcast against what comes before time"
        ) from error
    working = working_dtype(waveforms.dtype)
    if isinstance(given, jax.Array):
        sections = _traced_state_equations(given.astype(working))
    else:
        sections = _States(*(jnp.asarray(each, working) for each in _state_equations(given, np)))
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
        (..., samples); float32 for integers, else the audio's dtype. NaN spreads over the block that it lies in, and
        over no other waveform.

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
    count = time + width - 1 if mode == "full" else time
    convolved: jax.Array = _convolve(waveforms, taps, first, count, on_one_device(waveforms))
    return convolved


@partial(jax.jit, static_argnames=("kind", "sample_rate"))
def _biquad(frequency: jax.Array, q: jax.Array, gain_db: jax.Array, kind: str, sample_rate: int) -> jax.Array:
    dtype = jnp.result_type(frequency, q, gain_db, jnp.float32)
    frequency, q, gain_db = (value.astype(dtype) for value in jnp.broadcast_arrays(frequency, q, gain_db))
    turns = frequency / sample_rate
    cosine, alpha = cos2pi(turns), sin2pi(turns) / (2 * q)
    # 1 - cos and 1 + cos without the cancellation that low and high corners would suffer.
    from_one, to_one = 2 * jnp.square(sin2pi(turns / 2)), 2 * jnp.square(cos2pi(turns / 2))
    a = jnp.exp(gain_db * (math.log(10) / 40))
    rise, fall, side = a + 1, a - 1, 2 * jnp.sqrt(a) * alpha
    # At the end of the spectrum that is nearer to the corner, 0 Hz or half the sample rate, the response is a ratio of
    # sums that all but vanish. So a2 makes up for what rounding did to a1, and b2 for what it did to the others.
    low = cosine >= 0
    sign = jnp.where(low, 1, -1).astype(dtype)
    if kind == "lowshelf":
        a0, a1, end = rise + fall * cosine + side, -2 * (fall + rise * cosine), jnp.where(low, from_one, a * to_one)
        a1, end = a1 / a0, 4 * end / a0
    elif kind == "highshelf":
        a0, a1, end = rise - fall * cosine + side, 2 * (fall - rise * cosine), jnp.where(low, a * from_one, to_one)
        a1, end = a1 / a0, 4 * end / a0
    else:
        a0 = 1 + (alpha / a if kind == "peaking" else alpha)
        a1, end = -2 * cosine / a0, 2 * jnp.where(low, from_one, to_one) / a0
    a2 = end - (1 + sign * a1)
    end = (1 + sign * a1) + a2

    def made_up(b0: jax.Array, b1: jax.Array, gain: jax.Array | int) -> tuple[jax.Array, jax.Array, jax.Array]:
        return b0, b1, gain * end - (b0 + sign * b1)

    if kind == "lowpass":
        b0 = jnp.where(low, end / 4, from_one / (2 * a0))
        numerator = b0, 2 * b0, b0
    elif kind == "highpass":
        b0 = jnp.where(low, to_one / (2 * a0), end / 4)
        numerator = b0, -2 * b0, b0
    elif kind == "bandpass":
        numerator = alpha / a0, jnp.zeros_like(alpha), -alpha / a0
    elif kind == "bandstop":
        numerator = (1 + a2) / 2, a1, (1 + a2) / 2
    elif kind == "allpass":
        numerator = a2, a1, jnp.ones_like(a2)
    elif kind == "peaking":
        numerator = made_up((1 + alpha * a) / a0, a1, 1)
    elif kind == "lowshelf":
        b0, b1 = a * (rise - fall * cosine + side) / a0, 2 * a * (fall - rise * cosine) / a0
        numerator = made_up(b0, b1, jnp.where(low, jnp.square(a), 1))
    else:
        b0, b1 = a * (rise + fall * cosine + side) / a0, -2 * a * (fall + rise * cosine) / a0
        numerator = made_up(b0, b1, jnp.where(low, 1, jnp.square(a)))
    return jnp.stack([*numerator, jnp.ones_like(a1), a1, a2], axis=-1)


class _States(NamedTuple):
    """Sections as state equations, each (..., n_sections), in which what all but vanishes keeps its digits.

    ``sign`` is 1 for poles near 0 Hz and -1 for those near half the sample rate::

        output = direct * input + first_out * first + second_out * second
        first' = sign * first + scale * second
        second' = sign * second - damping * second - pull * first + input
    """

    sign: Any
    scale: Any
    pull: Any
    damping: Any
    direct: Any
    first_out: Any
    second_out: Any


def _state_equations(sos: Any, xp: ModuleType) -> _States:
    b0, b1, b2, a1, a2 = (sos[..., place] / sos[..., 3] for place in (0, 1, 2, 4, 5))
    sign = xp.where(a1 <= 0, 1, -1).astype(sos.dtype)
    pole, zero = (1 + sign * a1) + a2, (b0 + sign * b1) + b2
    return _states(xp, sign, pole, a1 + 2 * sign, zero, b0, b1 + 2 * sign * b0)


def _states(xp: ModuleType, sign: Any, pole: Any, damping: Any, zero: Any, b0: Any, slope: Any) -> _States:
    """Give the equations of sections whose small sums are known: ``slope`` is ``b1 + 2 * sign * b0``."""
    # So that both states are about as large; what comes out does not depend on it.
    scale = xp.sqrt(xp.maximum(xp.abs(pole), _LEAST_SCALE))
    if xp is jnp:
        scale = lax.stop_gradient(scale)
    return _States(sign, scale, pole / scale, damping, b0, (zero - b0 * pole) / scale, slope - b0 * damping)


def band_filtered(
    audio: jax.Array, kind: str, order: int, low: jax.Array, high: jax.Array, sample_rate: int
) -> jax.Array:
    """Pass a band, or stop it, by the filter that ``scipy.signal.butter`` designs, between edges that are traced.

    The sections go to the filter as the small sums that it needs, not as coefficients near 1 and 2, in which float32
    would lose the poles of a low or narrow band.

    Args:
        audio: Waveforms (..., time) in a working dtype.
        kind: ``"bandpass"`` or ``"bandstop"``.
        order: Of the filter at each edge.
        low: Edge, Hz, above 0.
        high: Edge, Hz, above ``low`` and below half the sample rate.
        sample_rate: Samples per second, Hz.

    Returns:
        The same shape and dtype.

    Example:
        >>> hiss = jnp.array([1.0, -1.0] * 50)
        >>> band = band_filtered(hiss, "bandpass", 2, jnp.float32(500), jnp.float32(900), 16000)
        >>> bool(jnp.abs(band[50:]).max() < 0.02)
        True

    Reference:
        ``scipy.signal.butter(order, (low, high), kind, fs=sample_rate, output="sos")``.
    """
    return _sosfilt(audio, _butterworth_band(kind, order, low, high, sample_rate))  # type: ignore[no-any-return]


def _butterworth_band(kind: str, order: int, low: jax.Array, high: jax.Array, sample_rate: int) -> _States:
    lower, upper = (jnp.tan(math.pi / sample_rate * edge) for edge in (low, high))
    width, square = upper - lower, upper * lower
    # Of the poles of the low pass that it is made of, one of each conjugate couple; the real one is apart.
    angles = np.pi / (2 * order) * (np.arange(1, order, 2) if order % 2 == 0 else np.arange(2, order, 2))
    real, imaginary = (part.astype(low.dtype) for part in (-np.cos(angles), np.sin(angles)))
    pole = lax.complex(width * real, width * (imaginary if kind == "bandpass" else -imaginary))
    root = jnp.sqrt(pole * pole - 4 * square)
    # The larger one first: the other, by subtraction, would lose its digits.
    larger = (pole + jnp.where(jnp.real(jnp.conj(pole) * root) < 0, -root, root)) / 2
    analogue = jnp.concatenate([larger, square / larger])
    # Of the poles z of the digital filter: |1 - z|**2, |1 + z|**2 and 1 - |z|**2.
    away = jnp.square(1 - jnp.real(analogue)) + jnp.square(jnp.imag(analogue))
    near, far, loss = 4 * _power(analogue) / away, 4 / away, -4 * jnp.real(analogue) / away
    if order % 2:
        scale = 1 + width + square
        near, far, loss = (
            jnp.append(each, one / scale) for each, one in ((near, 4 * square), (far, 4.0), (loss, 2 * width))
        )
    # 1 - cos and 1 + cos of the center.
    from_one, to_one = 2 * square / (1 + square), 2 / (1 + square)
    sign = jnp.where(near <= far, 1, -1).astype(low.dtype)
    vanishing, rest = (jnp.where(sign > 0, one, other) for one, other in ((near, far), (from_one, to_one)))
    if kind == "bandpass":
        # Poles above the center have both zeros at half the rate, those below at 0 Hz, one between them one of each: so no
        # section amplifies what another has to take away. Each leaves the center as it is.
        side = np.array([1] * (order // 2) + [-1] * (order // 2) + [0] * (order % 2))
        sine = jnp.sqrt(from_one * to_one)
        apart = jnp.where(side == 0, 2 * sine, 2 * jnp.where(side > 0, to_one, from_one))
        b0 = jnp.hypot(vanishing - (near + far) / 2 * rest, loss * sine) / apart
        slope = 2 * b0 * (side + sign)
        zero = jnp.where(side == 0, 0, sign * slope)
    else:
        b0 = near / (2 * from_one)
        slope = 2 * b0 * sign * rest
        zero = sign * slope
    # One from above the center, then one from below.
    pairs = zip(range(order // 2), range(order // 2, order), strict=False)
    places = np.array([place for pair in pairs for place in pair] + [order - 1] * (order % 2))
    states = _states(jnp, sign, vanishing, sign * (vanishing + loss), zero, b0, slope)
    return _States(*(each[places] for each in states))


def _power(values: jax.Array) -> jax.Array:
    return jnp.square(jnp.real(values)) + jnp.square(jnp.imag(values))


@jax.jit
def _traced_state_equations(sos: jax.Array) -> _States:
    return _state_equations(sos, jnp)


@jax.jit
def _sosfilt(audio: jax.Array, sections: _States) -> jax.Array:
    values = audio.astype(working_dtype(audio.dtype))
    time = values.shape[-1]
    size = min(_BLOCK, time)
    n_blocks = -(-time // size)
    # A product with a block would carry what is not finite back to the block's start.
    finite = jnp.isfinite(values)
    spoilt = jnp.min(jnp.where(finite, time, np.arange(time)), axis=-1, keepdims=True)
    padded = jnp.pad(jnp.where(finite, values, 0), [(0, 0)] * (values.ndim - 1) + [(0, n_blocks * size - time)])
    blocks = padded.reshape(*values.shape[:-1], n_blocks, size)
    for k in range(sections.sign.shape[-1]):
        blocks = _section(blocks, _States(*(each[..., k] for each in sections)))
    filtered = blocks.reshape(*blocks.shape[:-2], -1)[..., :time]
    return jnp.where(np.arange(time) < spoilt, filtered, jnp.nan).astype(audio.dtype)


def _section(blocks: jax.Array, section: _States) -> jax.Array:
    """Run one section, each of its numbers (...), over blocks (..., n_blocks, size) that follow each other."""
    through, enter, leave, (to_first, to_second) = _block_answers(section, blocks.shape[-1])
    filtered = _product(blocks, through)
    if blocks.shape[-2] == 1:
        return filtered

    def join(states: tuple[jax.Array, ...], left: tuple[jax.Array, ...]) -> tuple[Any, Any]:
        first, second = states
        after = (
            to_first[0] * first + to_first[1] * second + left[0],
            to_second[0] * first + to_second[1] * second + left[1],
        )
        return after, states

    left = _product(blocks, enter)
    ends = tuple(jnp.moveaxis(left[..., place], -1, 0) for place in range(2))
    rest = jnp.zeros_like(ends[0][0])
    for place, states in enumerate(lax.scan(join, (rest, rest), ends)[1]):
        filtered += jnp.moveaxis(states, 0, -1)[..., None] * leave[..., None, :, place]
    return filtered


def _block_answers(
    section: _States, size: int
) -> tuple[jax.Array, jax.Array, jax.Array, tuple[tuple[jax.Array, ...], ...]]:
    """Tell how a block answers its samples and the states that it begins with.

    Returns:
        From samples to the output (..., size, size) and to the states that they leave (..., size, 2); from states to
        the output (..., size, 2); and for each of the states after a block what it has of those before it, each (...).
    """
    # From either state at 1, and from rest, which an impulse ends.
    begin = tuple(0 * section.sign[..., None] + np.asarray(each, section.sign.dtype) for each in np.eye(2, 3))
    impulse = np.zeros((size, 3), section.sign.dtype)
    impulse[0, 2] = 1
    sign, scale, pull, damping, direct, first_out, second_out = (each[..., None] for each in section)

    def advance(states: tuple[jax.Array, ...], sample: jax.Array) -> tuple[Any, Any]:
        first, second = states
        output = direct * sample + first_out * first + second_out * second
        after = (
            sign * first + scale * second,
            sign * second - (damping * second + pull * first) + sample,
        )
        return after, (output, after[0][..., 2], after[1][..., 2])

    (first, second), (outputs, *left) = lax.scan(advance, begin, jnp.asarray(impulse))
    outputs = jnp.moveaxis(outputs, 0, -2)
    # Each row is the answer to an impulse one sample later: rows that are one too short shift what they hold.
    lead = section.sign.shape
    answer = jnp.pad(outputs[..., 2], [(0, 0)] * len(lead) + [(0, size)])
    rows = jnp.broadcast_to(answer[..., None, :], (*lead, size, 2 * size)).reshape(*lead, -1)
    through = rows[..., : size * (2 * size - 1)].reshape(*lead, size, 2 * size - 1)[..., :size]
    enter = jnp.moveaxis(jnp.stack(left, axis=-1)[::-1], 0, -2)
    return through, enter, outputs[..., :2], ((first[..., 0], first[..., 1]), (second[..., 0], second[..., 1]))


def _product(blocks: jax.Array, matrices: jax.Array) -> jax.Array:
    return jnp.matmul(blocks, matrices, precision=lax.Precision.HIGHEST)


@partial(jax.jit, static_argnames=("first", "count", "single_device"))
def _convolve(audio: jax.Array, kernel: jax.Array, first: int, count: int, single_device: bool) -> jax.Array:
    """Samples ``first`` to ``first + count`` of the full convolution, by overlap-save."""
    working = working_dtype(audio.dtype)
    lead = jnp.broadcast_shapes(audio.shape[:-1], kernel.shape[:-1])
    values, taps = (
        jnp.broadcast_to(each.astype(working), (*lead, each.shape[-1])).reshape(-1, each.shape[-1])
        for each in (audio, kernel)
    )
    width = taps.shape[-1]
    size = _fft_size(width, count)
    step = size - width + 1
    n_blocks = -(-count // step)
    # Block i of the result needs the width - 1 samples before it as well, which end the block before: one more block at
    # the end gives those of the last.
    needed = (n_blocks + (n_blocks > 1)) * step + (width - 1) * (n_blocks == 1)
    before = width - 1 - first
    after = max(0, needed - before - values.shape[-1])

    def convolved(row: jax.Array, taps: jax.Array) -> jax.Array:
        padded = jnp.pad(row, (before, after))[:needed]
        blocks = padded[None]
        if n_blocks > 1:
            steps = padded.reshape(n_blocks + 1, step)
            blocks = jnp.concatenate([steps[:-1], steps[1:, : width - 1]], -1)
        spectra = jnp.fft.rfft(blocks, size) * jnp.fft.rfft(taps, size)
        return jnp.fft.irfft(spectra, size)[:, width - 1 :].reshape(-1)[:count]

    each = jax.vmap(
        vmap_in_chunks(convolved, chunk_size=max(1, _AT_ONCE // (n_blocks * size)), single_device=single_device)
    )
    joined: jax.Array = batch_local(each, values, taps, core=1)
    return joined.reshape(*lead, count).astype(audio.dtype)


def _fft_size(width: int, count: int) -> int:
    """How long the transforms are: of powers of two, and what holds all at once, that with the least work."""
    whole = _fast_size(count + width - 1)
    sizes = [size for k in range(10, whole.bit_length()) if 2 * width <= (size := 1 << k) < whole]

    def work(size: int) -> float:
        return (2 * -(-count // (size - width + 1)) + 1) * size * math.log2(size)

    return min([whole, *sizes], key=work)


def _fast_size(least: int) -> int:
    """The least of the numbers that FFTs like, 2**k times a few odd ones, that is not below another."""
    return min(odd << (-(-least // odd) - 1).bit_length() for odd in (1, 3, 5, 9, 15, 25, 27, 45))
