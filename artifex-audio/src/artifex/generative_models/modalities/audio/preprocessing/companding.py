"""Logarithmic quantization of waveforms: mu-law with any number of values, and the A-law of telephony."""

from __future__ import annotations

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_integer
from artifex.generative_models.core.numerics import jit, working_dtype
from artifex.generative_models.modalities.audio.preprocessing.levels import to_float

_A_LAW_TOGGLE = 0x55  # G.711 inverts every other bit, so that silence is not transmitted as a run of zeros


def mu_law_encode(audio: ArrayLike, n_values: int = 256) -> jax.Array:
    """Quantize audio with mu-law companding.

    With ``mu = n_values - 1``, the compressed value ``sign(x) * log(1 + mu * |x|) / log(1 + mu)`` is mapped from
    [-1, 1] to [0, mu] and rounded half up. This is the continuous law of WaveNet, not the 8-bit wire format of G.711.

    Args:
        audio: Waveforms of any shape, full scale 1; values outside [-1, 1] are clipped. Integers are converted with
            ``to_float`` first.
        n_values: Number of codes, from 2 to 65536; static.

    Returns:
        Codes from 0 to ``n_values - 1``, int32, in the same shape. NaN is encoded as silence, ``n_values // 2``.

    Raises:
        ValueError: When ``n_values`` is out of range.
        TypeError: When ``n_values`` is not an integer, or ``audio`` is not real.

    Example:
        >>> mu_law_encode(np.array([-1.0, 0.0, 0.01, 1.0])).tolist()
        [0, 128, 157, 255]

    Reference:
        ``torchaudio.functional.mu_law_encoding``. ``librosa.mu_compress`` rounds up and centers the codes on 0: it
        returns these codes minus ``n_values // 2``, or one more.
    """
    waveforms = to_float(audio)
    check_integer("n_values", n_values, minimum=2, maximum=2**16)
    return _mu_law_encode(waveforms, int(n_values))


def mu_law_decode(codes: ArrayLike, n_values: int = 256) -> jax.Array:
    """Decode mu-law codes: the inverse of ``mu_law_encode`` up to half a quantization step.

    Args:
        codes: Integers of any shape from 0 to ``n_values - 1``; others are clipped to this range.
        n_values: Number of codes, from 2 to 65536; static.

    Returns:
        Audio from -1 to 1, float32, in the same shape.

    Raises:
        ValueError: When ``n_values`` is out of range.
        TypeError: When ``codes`` or ``n_values`` are not integers.

    Example:
        >>> mu_law_decode(np.array([0, 255])).tolist()
        [-1.0, 1.0]

    Reference:
        ``torchaudio.functional.mu_law_decoding``.
    """
    integers = _as_codes("mu_law_decode", codes)
    check_integer("n_values", n_values, minimum=2, maximum=2**16)
    return _mu_law_decode(integers, int(n_values))


def a_law_encode(audio: ArrayLike) -> jax.Array:
    """Quantize audio with the 8-bit A-law of European telephony.

    The sample is truncated to 13 bits. A code consists of the sign, one of eight segments and one of sixteen steps in
    the segment, with every other bit inverted. Each segment after the second is twice as wide as the one before.

    Args:
        audio: Waveforms of any shape, full scale 1; values outside [-1, 1] are clipped. Integers are converted with
            ``to_float`` first.

    Returns:
        Codes from 0 to 255, int32, in the same shape. NaN is encoded as silence.

    Raises:
        TypeError: When ``audio`` is not real.

    Example:
        >>> a_law_encode(np.array([-32768, 0, 32767], np.int16)).tolist()
        [42, 213, 170]

    Reference:
        ITU-T G.711 (1988), table 1.
    """
    return _a_law_encode(to_float(audio))


def a_law_decode(codes: ArrayLike) -> jax.Array:
    """Decode A-law codes to the midpoints of their quantization steps.

    Args:
        codes: Integers of any shape from 0 to 255; others are clipped to this range.

    Returns:
        Audio from -0.984375 to 0.984375, float32, in the same shape.

    Raises:
        TypeError: When ``codes`` are not integers.

    Example:
        >>> a_law_decode(np.array([42, 213, 170], np.uint8)).tolist()
        [-0.984375, 0.000244140625, 0.984375]

    Reference:
        ITU-T G.711 (1988), table 1.
    """
    return _a_law_decode(_as_codes("a_law_decode", codes))


def _as_codes(name: str, codes: ArrayLike) -> jax.Array:
    array = codes if isinstance(codes, jax.Array) else np.asarray(codes)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise TypeError(f"{name} takes integer codes, got {array.dtype}")
    return jnp.asarray(array)


@jit(static_argnames=["n_values"])
def _mu_law_encode(audio: jax.Array, n_values: int) -> jax.Array:
    mu = n_values - 1
    values = jnp.clip(audio.astype(working_dtype(audio.dtype)), -1, 1)
    values = jnp.where(jnp.isnan(values), 0, values)
    compressed = jnp.sign(values) * jnp.log1p(mu * jnp.abs(values)) / values.dtype.type(np.log1p(mu))
    return jnp.floor((compressed + 1) / 2 * mu + 0.5).astype(jnp.int32)


@jit(static_argnames=["n_values"])
def _mu_law_decode(codes: jax.Array, n_values: int) -> jax.Array:
    mu = n_values - 1
    compressed = (2 * jnp.clip(codes.astype(jnp.int32), 0, mu) - mu).astype(jnp.float32) / mu
    return jnp.sign(compressed) * jnp.expm1(jnp.abs(compressed) * np.float32(np.log1p(mu))) / mu


@jit()
def _a_law_encode(audio: jax.Array) -> jax.Array:
    values = audio.astype(working_dtype(audio.dtype))
    linear = jnp.floor(jnp.clip(jnp.where(jnp.isnan(values), 0, values) * 4096, -4096, 4095)).astype(jnp.int32)
    magnitude = jnp.where(linear < 0, -1 - linear, linear)
    segment = jnp.sum(jnp.stack([magnitude >= 2**power for power in range(5, 12)]), axis=0, dtype=jnp.int32)
    step = (magnitude >> jnp.maximum(segment, 1)) & 0xF
    sign = jnp.where(linear < 0, 0, 0x80)
    return (sign | (segment << 4) | step) ^ _A_LAW_TOGGLE


@jit()
def _a_law_decode(codes: jax.Array) -> jax.Array:
    return jnp.take(jnp.asarray(_a_law_levels()), jnp.clip(codes.astype(jnp.int32), 0, 255), mode="clip")


@lru_cache(maxsize=1)
def _a_law_levels() -> np.ndarray:
    """The decoded value of each code, (256,) float32."""
    toggled = np.arange(256) ^ _A_LAW_TOGGLE
    segment, step = toggled >> 4 & 7, toggled & 0xF
    # In units of 2**-12, the midpoint of each step; the first two segments have the same step size.
    level = np.where(segment, (step + 16.5) * 2.0 ** np.maximum(segment, 1), (step + 0.5) * 2)
    levels = (np.where(toggled & 0x80, level, -level) / 4096).astype(np.float32)
    levels.setflags(write=False)
    return levels
