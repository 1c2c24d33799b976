"""Logarithmic quantization of waveforms: mu-law with any number of values, and the A-law of telephony."""

from __future__ import annotations

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_integer
from artifex.generative_models.core.numerics import working_dtype
from artifex.generative_models.modalities.audio.preprocessing.levels import to_float

_A_LAW_TOGGLE = 0x55  # G.711 sends every other bit inverted, so that silence is no row of zeros


def mu_law_encode(audio: ArrayLike, n_values: int = 256) -> jax.Array:
    """Quantize audio to the codes of the mu-law, fine where it is quiet and coarse where it is loud.

    With ``mu = n_values - 1`` the code is ``sign(x) * log(1 + mu * |x|) / log(1 + mu)``, in [-1, 1], brought to
    [0, mu] and rounded, halves up. This is the continuous law that WaveNet uses, not the eight-bit wire format
    of G.711.

    Args:
        audio: Waveforms of any shape, full scale 1; what exceeds it is clipped. Integers are scaled by
            ``to_float`` first.
        n_values: How many codes there are, from 2 to 65536; static.

    Returns:
        Codes from 0 to ``n_values - 1``, int32, in the same shape. NaN, which no code stands for, becomes that
        of silence, ``n_values // 2``.

    Raises:
        ValueError: For a number of values out of range.
        TypeError: For a number of values that is no integer, or as ``to_float`` does.

    Example:
        >>> mu_law_encode(np.array([-1.0, 0.0, 0.01, 1.0])).tolist()
        [0, 128, 157, 255]

    Reference:
        ``torchaudio.functional.mu_law_encoding``. ``librosa.mu_compress`` centers its codes on 0 and rounds up,
        so that they are these minus 128, or one more.
    """
    waveforms = to_float(audio)
    _check_n_values(n_values)
    codes: jax.Array = _mu_law_encode(waveforms, int(n_values))
    return codes


def mu_law_decode(codes: ArrayLike, n_values: int = 256) -> jax.Array:
    """Turn codes of the mu-law into audio: the inverse of ``mu_law_encode`` to within half a step.

    Args:
        codes: Integers of any shape from 0 to ``n_values - 1``; what lies outside counts as the nearest.
        n_values: How many codes there are, from 2 to 65536; static.

    Returns:
        Audio from -1 to 1, float32, in the same shape.

    Raises:
        ValueError: For a number of values out of range.
        TypeError: For codes or a number of values that are no integers.

    Example:
        >>> mu_law_decode(np.array([0, 255])).tolist()
        [-1.0, 1.0]

    Reference:
        ``torchaudio.functional.mu_law_decoding``.
    """
    given = _codes("mu_law_decode", codes)
    _check_n_values(n_values)
    audio: jax.Array = _mu_law_decode(given, int(n_values))
    return audio


def a_law_encode(audio: ArrayLike) -> jax.Array:
    """Quantize audio to the eight-bit A-law of European telephony.

    The sample is cut to 13 bits (rounded down); a code is its sign, one of eight segments, each twice as wide as
    the one before but for the first two, and one of sixteen steps in it, every other bit inverted.

    Args:
        audio: Waveforms of any shape, full scale 1; what exceeds it is clipped. Integers are scaled by
            ``to_float`` first.

    Returns:
        Codes from 0 to 255, int32, in the same shape. NaN, which no code stands for, becomes that of silence.

    Raises:
        TypeError: As ``to_float`` does.

    Example:
        >>> a_law_encode(np.array([-32768, 0, 32767], np.int16)).tolist()
        [42, 213, 170]

    Reference:
        ITU-T G.711 (1988), table 1.
    """
    codes: jax.Array = _a_law_encode(to_float(audio))
    return codes


def a_law_decode(codes: ArrayLike) -> jax.Array:
    """Turn codes of the A-law into audio, each into the middle of its step.

    Args:
        codes: Integers of any shape from 0 to 255; what lies outside counts as the nearest.

    Returns:
        Audio from -0.984375 to 0.984375, float32, in the same shape.

    Raises:
        TypeError: For codes that are no integers.

    Example:
        >>> a_law_decode(np.array([42, 213, 170], np.uint8)).tolist()
        [-0.984375, 0.000244140625, 0.984375]

    Reference:
        ITU-T G.711 (1988), table 1.
    """
    audio: jax.Array = _looked_up(_codes("a_law_decode", codes))
    return audio


def _check_n_values(n_values: int) -> None:
    check_integer("n_values", n_values, minimum=2, maximum=2**16)


def _codes(name: str, codes: ArrayLike) -> jax.Array:
    array = codes if isinstance(codes, jax.Array) else np.asarray(codes)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise TypeError(f"{name} takes codes, which are integers, got {array.dtype}")
    return jnp.asarray(array)


@partial(jax.jit, static_argnames="n_values")
def _mu_law_encode(audio: jax.Array, n_values: int) -> jax.Array:
    mu = n_values - 1
    values = jnp.clip(audio.astype(working_dtype(audio.dtype)), -1, 1)
    values = jnp.where(jnp.isnan(values), 0, values)
    compressed = jnp.sign(values) * jnp.log1p(mu * jnp.abs(values)) / np.log1p(mu)
    return jnp.floor((compressed + 1) / 2 * mu + 0.5).astype(jnp.int32)


@partial(jax.jit, static_argnames="n_values")
def _mu_law_decode(codes: jax.Array, n_values: int) -> jax.Array:
    mu = n_values - 1
    position = (2 * jnp.clip(codes.astype(jnp.int32), 0, mu) - mu).astype(jnp.float32) / mu
    return jnp.sign(position) * jnp.expm1(jnp.abs(position) * np.float32(np.log1p(mu))) / mu


@jax.jit
def _a_law_encode(audio: jax.Array) -> jax.Array:
    values = audio.astype(working_dtype(audio.dtype))
    linear = jnp.floor(jnp.clip(jnp.where(jnp.isnan(values), 0, values) * 4096, -4096, 4095)).astype(jnp.int32)
    magnitude = jnp.where(linear < 0, -1 - linear, linear)
    segment = sum((magnitude >= 2**power).astype(jnp.int32) for power in range(5, 12))
    step = (magnitude >> jnp.maximum(segment, 1)) & 0xF
    sign = jnp.where(linear < 0, 0, 0x80)
    codes: jax.Array = (sign | (segment << 4) | step) ^ _A_LAW_TOGGLE
    return codes


@jax.jit
def _looked_up(codes: jax.Array) -> jax.Array:
    return jnp.take(jnp.asarray(_a_law_levels()), jnp.clip(codes.astype(jnp.int32), 0, 255), mode="clip")


@lru_cache(maxsize=1)
def _a_law_levels() -> np.ndarray:
    """The audio of each code (256,)."""
    sent = np.arange(256) ^ _A_LAW_TOGGLE
    segment, step = sent >> 4 & 7, sent & 0xF
    # In units of 2**-12, each step at its middle; the first two segments are one of 32 steps.
    level = np.where(segment, (step + 16.5) * 2.0 ** np.maximum(segment, 1), (step + 0.5) * 2)
    levels = (np.where(sent & 0x80, level, -level) / 4096).astype(np.float32)
    levels.setflags(write=False)
    return levels
