"""Second-order sections as state equations, which stay accurate in float32 at low corner frequencies."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from artifex.generative_models.core.numerics import jit, working_dtype

# Samples per block of the recursion, filtered from zero initial state by one matrix product. Smaller blocks take more
# steps, larger blocks more multiplications.
_BLOCK = 32
_MIN_SCALE = 2.0**-20  # a division by a smaller scale would lose precision


class Sections(NamedTuple):
    """State equations of sections, each array (..., n_sections).

    ``sign`` is 1 for poles near 0 Hz and -1 for poles near half the sample rate::

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


def from_coefficients(sos: jax.Array | np.ndarray, dtype: np.dtype) -> Sections:
    """Convert second-order sections to state equations.

    Args:
        sos: (..., n_sections, 6), each ``b0, b1, b2, a0, a1, a2``. NumPy arrays are converted in float64.
        dtype: dtype of the state equations.

    Returns:
        The state equations.

    Example:
        >>> from_coefficients(np.array([[0.5, 0, 0, 1, -0.5, 0]]), np.dtype(np.float32)).sign.tolist()
        [1.0]
    """
    if isinstance(sos, jax.Array):
        return _convert_traced(sos.astype(dtype))
    return Sections(*(jnp.asarray(each, dtype) for each in _convert(sos, np)))


def butterworth_band(kind: str, order: int, low: jax.Array, high: jax.Array, sample_rate: int | jax.Array) -> Sections:
    """Design a Butterworth band-pass or band-stop filter.

    Args:
        kind: ``"bandpass"`` or ``"bandstop"``.
        order: Filter order per band edge, at least 1.
        low: Lower band edge in Hz, above 0, a scalar.
        high: Upper band edge in Hz, above ``low`` and below half the sample rate, a scalar.
        sample_rate: Sample rate in Hz.

    Returns:
        ``order`` sections, in the dtype of ``low``.

    Example:
        >>> butterworth_band("bandpass", 3, jnp.float32(500), jnp.float32(900), 16000).sign.shape
        (3,)

    Reference:
        ``scipy.signal.butter(order, (low, high), kind, fs=sample_rate, output="sos")``.
    """
    # The bilinear transform with prewarped band edges.
    lower, upper = (jnp.tan(math.pi / sample_rate * edge) for edge in (low, high))
    width, square = upper - lower, upper * lower
    # Poles of the analog low-pass prototype, one of each conjugate pair; a real pole is handled separately below.
    angles = np.pi / (2 * order) * (np.arange(1, order, 2) if order % 2 == 0 else np.arange(2, order, 2))
    real, imaginary = (part.astype(low.dtype) for part in (-np.cos(angles), np.sin(angles)))
    prototype = lax.complex(width * real, width * (imaginary if kind == "bandpass" else -imaginary))
    root = jnp.sqrt(prototype * prototype - (4 * square).astype(prototype.dtype))
    # The larger root of the quadratic first; computing the smaller one by subtraction would lose precision.
    larger = (prototype + jnp.where(jnp.real(jnp.conj(prototype) * root) < 0, -root, root)) / 2
    analog = jnp.concatenate([larger, square.astype(larger.dtype) / larger])
    # For the poles z of the digital filter: |1 - z|**2, |1 + z|**2 and 1 - |z|**2.
    distance = jnp.square(1 - jnp.real(analog)) + jnp.square(jnp.imag(analog))
    near = 4 * (jnp.square(jnp.real(analog)) + jnp.square(jnp.imag(analog))) / distance
    far, loss = 4 / distance, -4 * jnp.real(analog) / distance
    if order % 2:
        scale = 1 + width + square
        near, far, loss = (
            jnp.append(each, real_pole / scale)
            for each, real_pole in ((near, 4 * square), (far, jnp.full_like(scale, 4)), (loss, 2 * width))
        )
    # 1 - cos and 1 + cos of the center frequency.
    one_minus_cos, one_plus_cos = 2 * square / (1 + square), 2 / (1 + square)
    sign = jnp.where(near <= far, 1, -1).astype(low.dtype)
    pole = jnp.where(sign > 0, near, far)
    rest = jnp.where(sign > 0, one_minus_cos, one_plus_cos)
    if kind == "bandpass":
        # Both zeros of a section are at half the sample rate for poles above the center, at 0 Hz for poles below, and one
        # at each for a pole in between. Then no section amplifies frequencies that another attenuates. Each section has
        # gain 1 at the center.
        side = np.array([1] * (order // 2) + [-1] * (order // 2) + [0] * (order % 2), low.dtype)
        sine = jnp.sqrt(one_minus_cos * one_plus_cos)
        zero_distance = jnp.where(side == 0, 2 * sine, 2 * jnp.where(side > 0, one_plus_cos, one_minus_cos))
        b0 = jnp.hypot(pole - (near + far) / 2 * rest, loss * sine) / zero_distance
        slope = 2 * b0 * (side + sign)
        zero = jnp.where(side == 0, 0, sign * slope)
    else:
        b0 = near / (2 * one_minus_cos)
        slope = 2 * b0 * sign * rest
        zero = sign * slope
    # Sections above and below the center alternate.
    pairs = zip(range(order // 2), range(order // 2, order), strict=False)
    positions = np.array([position for pair in pairs for position in pair] + [order - 1] * (order % 2))
    sections = _state_equations(jnp, sign, pole, sign * (pole + loss), zero, b0, slope)
    return Sections(*(each[positions] for each in sections))


@jit()
def filter_sections(audio: jax.Array, sections: Sections) -> jax.Array:
    """Filter waveforms with state equations, from zero initial state.

    Args:
        audio: Waveforms (..., time) of a floating dtype.
        sections: State equations, broadcast against the leading axes.

    Returns:
        The filtered waveforms, (..., time), in the dtype of ``audio``. NaN or infinity in a waveform gives NaN from that
        sample on.

    Example:
        >>> one_pole = from_coefficients(np.array([[0.5, 0, 0, 1, -0.5, 0]]), np.dtype(np.float32))
        >>> filter_sections(jnp.array([1.0, 0, 0, 0]), one_pole).round(4).tolist()
        [0.5, 0.25, 0.125, 0.0625]
    """
    values = audio.astype(working_dtype(audio.dtype))
    time = values.shape[-1]
    size = min(_BLOCK, time)
    n_blocks = -(-time // size)
    # The matrix product of a block would spread NaN and infinity back to the start of the block.
    is_finite = jnp.isfinite(values)
    position = jnp.broadcast_to(jnp.arange(time, dtype=jnp.int32), values.shape)
    first_invalid = jnp.min(jnp.where(is_finite, time, position), axis=-1, keepdims=True)
    padded = jnp.pad(jnp.where(is_finite, values, 0), [(0, 0)] * (values.ndim - 1) + [(0, n_blocks * size - time)])
    blocks = padded.reshape(*values.shape[:-1], n_blocks, size)
    for k in range(sections.sign.shape[-1]):
        blocks = _filter_section(blocks, Sections(*(each[..., k] for each in sections)))
    filtered = blocks.reshape(*blocks.shape[:-2], -1)[..., :time]
    filtered, position, first_invalid = jnp.broadcast_arrays(filtered, position, first_invalid)
    return jnp.where(position < first_invalid, filtered, jnp.nan).astype(audio.dtype)


@jit()
def _convert_traced(sos: jax.Array) -> Sections:
    return _convert(sos, jnp)


def _convert(sos: Any, xp: ModuleType) -> Sections:
    b0, b1, b2, a1, a2 = (sos[..., column] / sos[..., 3] for column in (0, 1, 2, 4, 5))
    sign = xp.where(a1 <= 0, 1, -1).astype(sos.dtype)
    pole, zero = (1 + sign * a1) + a2, (b0 + sign * b1) + b2
    return _state_equations(xp, sign, pole, a1 + 2 * sign, zero, b0, b1 + 2 * sign * b0)


def _state_equations(xp: ModuleType, sign: Any, pole: Any, damping: Any, zero: Any, b0: Any, slope: Any) -> Sections:
    """Compute state equations from sums of coefficients, which are small and inaccurate after rounding the coefficients.

    ``pole`` is ``1 + sign * a1 + a2``, ``damping`` is ``a1 + 2 * sign``, ``zero`` is ``b0 + sign * b1 + b2`` and ``slope``
    is ``b1 + 2 * sign * b0``.
    """
    # The scale makes both states similar in magnitude; the output does not depend on it.
    scale = xp.sqrt(xp.maximum(xp.abs(pole), _MIN_SCALE))
    if xp is jnp:
        scale = lax.stop_gradient(scale)
    return Sections(sign, scale, pole / scale, damping, b0, (zero - b0 * pole) / scale, slope - b0 * damping)


def _filter_section(blocks: jax.Array, section: Sections) -> jax.Array:
    """Filter successive blocks (..., n_blocks, size) with one section, each of its arrays (...)."""
    response, to_states, from_states, (next_first, next_second) = _block_matrices(section, blocks.shape[-1])
    filtered = _matmul(blocks, response)
    if blocks.shape[-2] == 1:
        return filtered

    def next_states(states: tuple[jax.Array, ...], added: tuple[jax.Array, ...]) -> tuple[Any, Any]:
        first, second = states
        after = (
            next_first[0] * first + next_first[1] * second + added[0],
            next_second[0] * first + next_second[1] * second + added[1],
        )
        return after, states

    added = _matmul(blocks, to_states)
    per_block = tuple(jnp.moveaxis(added[..., state], -1, 0) for state in range(2))
    next_first, next_second = (
        tuple(jnp.broadcast_to(each, per_block[0].shape[1:]) for each in row) for row in (next_first, next_second)
    )
    zero_state = jnp.zeros_like(per_block[0][0])
    for state, starts in enumerate(lax.scan(next_states, (zero_state, zero_state), per_block)[1]):
        starts, outputs = jnp.moveaxis(starts, 0, -1)[..., None], from_states[..., None, :, state]
        filtered += starts * jnp.expand_dims(outputs, range(filtered.ndim - outputs.ndim))
    return filtered


def _block_matrices(
    section: Sections, size: int
) -> tuple[jax.Array, jax.Array, jax.Array, tuple[tuple[jax.Array, ...], ...]]:
    """Compute the linear map of a block from its samples and initial states to its output and final states.

    Returns:
        The matrices from samples to output (..., size, size), from samples to final states (..., size, 2), and from
        initial states to output (..., size, 2); and for each final state the factors of both initial states, each (...).
    """
    leading = section.sign.shape
    # Three runs at once: from each initial state set to 1, and the impulse response. The initial states are computed from
    # the section, so that they have its sharding, as ``scan`` requires.
    zeros = 0 * jnp.broadcast_to(section.sign[..., None], (*leading, 3))
    begin = tuple(zeros + np.broadcast_to(run, (*leading, 3)) for run in np.eye(2, 3, dtype=section.sign.dtype))
    impulse = np.zeros((size, 3), section.sign.dtype)
    impulse[0, 2] = 1
    sign, scale, pull, damping, direct, first_out, second_out = (
        jnp.broadcast_to(each[..., None], (*leading, 3)) for each in section
    )

    def next_sample(states: tuple[jax.Array, ...], sample: jax.Array) -> tuple[Any, Any]:
        first, second = states
        sample = jnp.broadcast_to(sample, first.shape)
        output = direct * sample + first_out * first + second_out * second
        after = (sign * first + scale * second, sign * second - (damping * second + pull * first) + sample)
        return after, (output, after[0][..., 2], after[1][..., 2])

    (first, second), (outputs, *final) = lax.scan(next_sample, begin, jnp.asarray(impulse))
    outputs = jnp.moveaxis(outputs, 0, -2)
    # Row k of the matrix is the impulse response delayed by k: reshaping to rows one element too short does so.
    impulse_response = jnp.pad(outputs[..., 2], [(0, 0)] * len(leading) + [(0, size)])
    rows = jnp.broadcast_to(impulse_response[..., None, :], (*leading, size, 2 * size)).reshape(*leading, -1)
    response = rows[..., : size * (2 * size - 1)].reshape(*leading, size, 2 * size - 1)[..., :size]
    to_states = jnp.moveaxis(jnp.stack(final, axis=-1)[::-1], 0, -2)
    factors = ((first[..., 0], first[..., 1]), (second[..., 0], second[..., 1]))
    return response, to_states, outputs[..., :2], factors


def _matmul(blocks: jax.Array, matrices: jax.Array) -> jax.Array:
    return jnp.matmul(blocks, matrices, precision=lax.Precision.HIGHEST)
