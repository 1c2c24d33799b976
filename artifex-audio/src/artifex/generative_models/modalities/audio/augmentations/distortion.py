"""Augmentations that distort a waveform: clipping, saturation, quantization, tremolo."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_integer, check_range
from artifex.generative_models.core.numerics import jit, working_dtype
from artifex.generative_models.core.numerics.batching import vmap_in_chunks
from artifex.generative_models.modalities.audio.annotations import Drawn, augmentation
from artifex.generative_models.modalities.audio.augmentations.domain import checked_waveform
from artifex.generative_models.modalities.audio.augmentations.draws import (
    Bounds,
    IntegerBounds,
    draw_integer,
    draw_uniform,
)

# The bisection for a clipping threshold searches this many octaves (96 dB) below the peak, to a relative error of 1e-5.
_OCTAVES = 16
_N_BISECTIONS = 20

_MIN_RMS = np.float32(1e-9)  # its square is still a normal float32


def _draw_clip_distortion(key: Array, shape: tuple[int, ...], *, fraction_range: Bounds) -> Drawn:
    return {"fraction": draw_uniform(key, fraction_range)}


@augmentation(draw=_draw_clip_distortion)
def clip_distortion(audio: ArrayLike, key: Array, fraction_range: Bounds = (0.0, 0.4)) -> Array:
    """Clip a random fraction of the samples.

    The threshold is the magnitude that this fraction of the samples exceeds; it is the same for both signs. It is found
    by bisection, without sorting: 20 passes over the clip, each of which costs about two copies. Its relative error is
    1e-5 unless it is more than 96 dB below the peak.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the threshold.
        key: PRNG key.
        fraction_range: Range (min, max) of the fraction of clipped samples, from 0 to 1; drawn uniformly. May be traced.

    Returns:
        The same shape and dtype. The gradient is 1 for samples that are not clipped and 0 for clipped samples; the
        threshold is held constant. Annotation: ``fraction``.

    Raises:
        ValueError: For a scalar, an empty clip, a fraction outside [0, 1] or an invalid range.
        TypeError: For integer audio; convert it with ``to_float``.

    Example:
        >>> ramp = jnp.arange(1.0, 11.0)
        >>> clipped = clip_distortion(ramp, jax.random.key(0), (0.3, 0.3))
        >>> int((clipped < ramp).sum())
        3

    Reference:
        ``audiomentations.ClippingDistortion``, which clips half of the fraction at each end: the same for samples
        distributed symmetrically about 0.
    """
    waveform = checked_waveform("clip_distortion", audio, key)
    return _clip_distortion(waveform, key, check_range("fraction_range", fraction_range, minimum=0, maximum=1))


@jit()
def _clip_distortion(waveform: Array, key: Array, fraction_range: Bounds) -> Array:
    fraction = _draw_clip_distortion(key, waveform.shape, fraction_range=fraction_range)["fraction"]
    values = waveform.astype(working_dtype(waveform.dtype))
    threshold = _exceeded_by(fraction.astype(values.dtype), jnp.abs(values))
    return jnp.clip(values, -threshold, threshold).astype(waveform.dtype)


def _draw_tanh_distortion(key: Array, shape: tuple[int, ...], *, distortion_range: Bounds) -> Drawn:
    return {"distortion": draw_uniform(key, distortion_range)}


@augmentation(draw=_draw_tanh_distortion)
def tanh_distortion(audio: ArrayLike, key: Array, distortion_range: Bounds = (0.01, 0.7)) -> Array:
    """Apply hyperbolic tangent saturation of a random amount, and restore the RMS.

    A fraction of 0.99 times ``distortion`` of the samples exceeds a threshold. The clip is amplified until this
    threshold is 0.5, above which the hyperbolic tangent saturates.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the gain and the RMS.
        key: PRNG key.
        distortion_range: Range (min, max) of the amount of distortion, from 0 to 1; drawn uniformly. May be traced.

    Returns:
        The same shape, dtype and RMS; silence is returned unchanged. The gradient holds the gain constant. Annotation:
        ``distortion``.

    Raises:
        ValueError: For a scalar, an empty clip, an amount outside [0, 1] or an invalid range.
        TypeError: For integer audio; convert it with ``to_float``.

    Example:
        >>> tone = jnp.sin(jnp.arange(100.0))
        >>> distorted = tanh_distortion(tone, jax.random.key(0))
        >>> bool(jnp.isclose(jnp.std(distorted), jnp.std(tone), rtol=1e-3))
        True

    Reference:
        ``audiomentations.TanhDistortion``.
    """
    waveform = checked_waveform("tanh_distortion", audio, key)
    return _tanh_distortion(waveform, key, check_range("distortion_range", distortion_range, minimum=0, maximum=1))


@jit()
def _tanh_distortion(waveform: Array, key: Array, distortion_range: Bounds) -> Array:
    distortion = _draw_tanh_distortion(key, waveform.shape, distortion_range=distortion_range)["distortion"]
    values = waveform.astype(working_dtype(waveform.dtype))
    threshold = _exceeded_by(0.99 * distortion.astype(values.dtype), jnp.abs(values))
    distorted = jnp.tanh(values * (0.5 / (threshold + 1e-6)))
    before, after = (
        jnp.maximum(numerics.rms(signal, axis=None), _MIN_RMS.astype(values.dtype)) for signal in (values, distorted)
    )
    changed = jnp.where(before > _MIN_RMS.astype(values.dtype), distorted * (before / after), distorted)
    return changed.astype(waveform.dtype)


@vmap_in_chunks
def _exceeded_by(fraction: Array, magnitudes: Array) -> Array:
    """Return the smallest magnitude, to a relative error of 1e-5, that at most a fraction of the elements exceeds."""
    magnitudes = jax.lax.stop_gradient(magnitudes)
    allowed = fraction * magnitudes.size
    peak = jnp.maximum(jnp.max(magnitudes), np.finfo(magnitudes.dtype).tiny)

    def at(octave: Array) -> Array:
        return jnp.where(octave < 0, peak * jnp.exp2(octave), peak)

    low, high = (jnp.asarray(octave, magnitudes.dtype) for octave in (-_OCTAVES, 0))
    for _ in range(_N_BISECTIONS):
        middle = (low + high) / 2
        # XLA sums floats faster than integers.
        too_many = jnp.sum(magnitudes > at(middle), dtype=magnitudes.dtype) > allowed
        low, high = jnp.where(too_many, middle, low), jnp.where(too_many, high, middle)
    return at(high)


def _draw_bit_crush(key: Array, shape: tuple[int, ...], *, bit_depth_range: IntegerBounds) -> Drawn:
    return {"bit_depth": draw_integer(key, bit_depth_range)}


@augmentation(draw=_draw_bit_crush)
def bit_crush(audio: ArrayLike, key: Array, bit_depth_range: IntegerBounds = (5, 10)) -> Array:
    """Quantize a clip uniformly to a random bit depth, without dither.

    Args:
        audio: One waveform (..., time), floating point, full scale 1; leading axes, such as channels, share the bit
            depth.
        key: PRNG key.
        bit_depth_range: Bit depth range (min, max), integers from 1 to 24; drawn uniformly. May be traced.

    Returns:
        The same shape and dtype: multiples of ``2 / 2**bit_depth``, among them -1 and 1. Values beyond full scale are
        rounded, not clipped. The gradient is that of the input (straight-through estimator). Annotation: ``bit_depth``.

    Raises:
        ValueError: For a scalar, an empty clip, a bit depth outside 1 to 24 or an invalid range.
        TypeError: For integer audio; convert it with ``to_float``. For bit depths that are not integers.

    Example:
        >>> bit_crush(jnp.array([0.3, -0.9, 0.1]), jax.random.key(0), (3, 3)).tolist()
        [0.25, -1.0, 0.0]

    Reference:
        ``audiomentations.BitCrush``, whose step is ``1 / (2**(bits - 1) + 1)``.
    """
    waveform = checked_waveform("bit_crush", audio, key)
    bit_depths = check_range("bit_depth_range", bit_depth_range, integer=True, minimum=1, maximum=24, unit="bits")
    return _bit_crush(waveform, key, bit_depths)


@jit()
def _bit_crush(waveform: Array, key: Array, bit_depth_range: IntegerBounds) -> Array:
    bit_depth = _draw_bit_crush(key, waveform.shape, bit_depth_range=bit_depth_range)["bit_depth"]
    working = working_dtype(waveform.dtype)
    values = waveform.astype(working)
    n_steps = _power_of_two(bit_depth - 1, working)
    return _straight_through(jnp.round(values * n_steps) / n_steps, values).astype(waveform.dtype)


def _draw_mu_law_quantize(key: Array, shape: tuple[int, ...], *, bit_depth_range: IntegerBounds) -> Drawn:
    return {"bit_depth": draw_integer(key, bit_depth_range)}


@augmentation(draw=_draw_mu_law_quantize)
def mu_law_quantize(audio: ArrayLike, key: Array, bit_depth_range: IntegerBounds = (5, 8)) -> Array:
    """Quantize a clip by mu-law companding to a random bit depth.

    Args:
        audio: One waveform (..., time), floating point, full scale 1; leading axes, such as channels, share the bit
            depth.
        key: PRNG key.
        bit_depth_range: Bit depth range (min, max), integers from 1 to 16; drawn uniformly. 8 bits are the 256 values
            of telephony. May be traced.

    Returns:
        The same shape and dtype, clipped to full scale. The gradient is that of the input (straight-through estimator)
        within full scale and 0 beyond. Mu-law has no level at 0: silence becomes the smallest positive level, 0.0001 at
        8 bits and 0.0038 at 5. Annotation: ``bit_depth``.

    Raises:
        ValueError: For a scalar, an empty clip, a bit depth outside 1 to 16 or an invalid range.
        TypeError: For integer audio; convert it with ``to_float``. For bit depths that are not integers.

    Example:
        >>> quantized = mu_law_quantize(jnp.array([-1.0, 0.01, 2.0]), jax.random.key(0), (8, 8))
        >>> [round(float(sample), 4) for sample in quantized]
        [-1.0, 0.0102, 1.0]

    Reference:
        ``mu_law_decode(mu_law_encode(audio, 2**bits), 2**bits)``; ``torchaudio.functional.mu_law_encoding``.
    """
    waveform = checked_waveform("mu_law_quantize", audio, key)
    bit_depths = check_range("bit_depth_range", bit_depth_range, integer=True, minimum=1, maximum=16, unit="bits")
    return _mu_law_quantize(waveform, key, bit_depths)


@jit()
def _mu_law_quantize(waveform: Array, key: Array, bit_depth_range: IntegerBounds) -> Array:
    bit_depth = _draw_mu_law_quantize(key, waveform.shape, bit_depth_range=bit_depth_range)["bit_depth"]
    working = working_dtype(waveform.dtype)
    mu = _power_of_two(bit_depth, working) - 1
    scale = jnp.log1p(mu)
    values = jnp.clip(waveform.astype(working), -1, 1)
    compressed = jnp.copysign(jnp.log(1 + mu * jnp.abs(values)) / scale, values)
    level = (2 * jnp.floor((compressed + 1) / 2 * mu + 0.5) - mu) / mu
    expanded = jnp.copysign((jnp.exp(jnp.abs(level) * scale) - 1) / mu, level)
    return _straight_through(expanded, values).astype(waveform.dtype)


@jax.custom_jvp
def _straight_through(quantized: Array, values: Array) -> Array:
    """Return ``quantized``, with the gradient of ``values``."""
    return quantized


@_straight_through.defjvp
def _straight_through_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    return primals[0], tangents[1]


def _power_of_two(exponent: Array, dtype: np.dtype) -> Array:
    # exp2 is not exact in the last digit, but quantization steps are powers of two.
    return jnp.left_shift(jnp.ones((), jnp.int32), exponent).astype(dtype)


def _draw_tremolo(key: Array, shape: tuple[int, ...], *, rate_range: Bounds, depth_range: Bounds) -> Drawn:
    rate_key, depth_key, phase_key = jax.random.split(key, 3)
    return {
        "rate": draw_uniform(rate_key, rate_range),
        "depth": draw_uniform(depth_key, depth_range),
        "phase": draw_uniform(phase_key, (0, 1)),
    }


@augmentation(draw=_draw_tremolo)
def tremolo(
    audio: ArrayLike, key: Array, rate_range: Bounds = (0.5, 8.0), depth_range: Bounds = (0.1, 0.9), *, sample_rate: int
) -> Array:
    """Modulate the amplitude of a clip by a sine of random rate, depth and phase.

    The gain is ``1 - depth * (1 + sin(2 * pi * (rate * t + phase))) / 2``, from ``1 - depth`` to 1.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the modulation.
        key: PRNG key.
        rate_range: Modulation rate range (min, max) in Hz, at least 0; drawn uniformly. May be traced.
        depth_range: Depth range (min, max), a fraction from 0 to 1; drawn uniformly. May be traced.
        sample_rate: Sample rate in Hz; static.

    Returns:
        The same shape and dtype. Annotations: ``rate``, ``depth`` and ``phase``, which is uniform in cycles.

    Raises:
        ValueError: For a scalar, an empty clip, a negative rate, a depth outside [0, 1] or an invalid range.
        TypeError: For integer audio; convert it with ``to_float``.

    Example:
        >>> modulated = tremolo(jnp.ones(16000), jax.random.key(0), (4.0, 4.0), (0.5, 0.5), sample_rate=16000)
        >>> round(float(modulated.min()), 4), round(float(modulated.max()), 4)
        (0.5, 1.0)

    Reference:
        The tremolo effect of SoX.
    """
    waveform = checked_waveform("tremolo", audio, key)
    rates = check_range("rate_range", rate_range, minimum=0, unit="Hz")
    depths = check_range("depth_range", depth_range, minimum=0, maximum=1)
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    return _tremolo(waveform, key, rates, depths, int(sample_rate))


@jit(static_argnames=["sample_rate"])
def _tremolo(waveform: Array, key: Array, rates: Bounds, depths: Bounds, sample_rate: int) -> Array:
    drawn = _draw_tremolo(key, waveform.shape, rate_range=rates, depth_range=depths)
    working = working_dtype(waveform.dtype)
    rate, depth, phase = (drawn[name].astype(working) for name in ("rate", "depth", "phase"))
    cycles = numerics.phase_ramp(rate, n_time_steps=waveform.shape[-1], sample_rate=sample_rate, start=phase)
    gain = 1 - depth * (1 + numerics.sin2pi(cycles)) / 2
    return (waveform.astype(working) * jnp.broadcast_to(gain.astype(working), waveform.shape)).astype(waveform.dtype)
