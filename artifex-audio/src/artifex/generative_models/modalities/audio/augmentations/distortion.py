"""Random distortion of a waveform: clipping, saturation, coarse quantization, tremolo."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_integer, check_range
from artifex.generative_models.core.numerics import working_dtype
from artifex.generative_models.core.numerics.batching import vmap_in_chunks
from artifex.generative_models.modalities.audio.annotations import annotated
from artifex.generative_models.modalities.audio.augmentations.draws import Drawn, as_float, draw_uniform

_Range = tuple[ArrayLike, ArrayLike] | jax.Array
_IntegerRange = tuple[int | jax.Array, int | jax.Array] | jax.Array

# How far below its peak a clip's threshold is sought, octaves (96 dB), and in how many halvings: to 1e-5.
_OCTAVES = 16
_HALVINGS = 20


@annotated
def clip_distortion(audio: ArrayLike, key: jax.Array, share_range: _Range = (0.0, 0.4)) -> Drawn:
    """Clip a random share of a clip's samples, as a recorder does that is set too high.

    The threshold is the magnitude that this share of the samples exceeds, the same for both signs. It is found by
    bisection, without sorting: 20 passes that count, about as dear as two copies of the clip per pass, and to
    1e-5 of itself as long as it is less than 96 dB below the peak.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the threshold.
        key: Decides the share.
        share_range: The least and the greatest share of the samples that are clipped, from 0 to 1, uniform between
            them. May be traced.

    Returns:
        The same shape and dtype; no sample is larger than it was. The gradient is 1 where a sample is left alone
        and 0 where it is clipped, the threshold held constant.

    Raises:
        ValueError: For a scalar, an empty clip, a share outside 0 to 1 or a range out of order.
        TypeError: For integers, which ``to_float`` makes floats.

    Example:
        >>> ramp = jnp.arange(1.0, 11.0)
        >>> clipped = clip_distortion(ramp, jax.random.key(0), (0.3, 0.3))
        >>> int((clipped < ramp).sum())
        3

    Reference:
        ``audiomentations.ClippingDistortion``, which clips half of the share at each end: the same where the
        samples lie symmetrically about 0.
    """
    numerics.check_key("clip_distortion", key)
    waveform = as_float("clip_distortion", audio)
    share = check_range("share_range", share_range, minimum=0, maximum=1)
    changed: Drawn = _clip_distortion(waveform, key, *share)
    return changed


@jax.jit
def _clip_distortion(waveform: jax.Array, key: jax.Array, low: ArrayLike, high: ArrayLike) -> Drawn:
    working = working_dtype(waveform.dtype)
    values = waveform.astype(working)
    share = draw_uniform(key, (low, high), dtype=working)
    threshold = _exceeded_by(share, jnp.abs(values))
    return jnp.clip(values, -threshold, threshold).astype(waveform.dtype), {"share": share}


@annotated
def tanh_distortion(audio: ArrayLike, key: jax.Array, distortion_range: _Range = (0.01, 0.7)) -> Drawn:
    """Saturate a clip by a random amount with the hyperbolic tangent, and bring it back to the level it had.

    The clip is raised until the magnitude that 99 % of the amount of its samples exceed is one half, where the
    tangent begins to bend.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, are raised and brought
            back together.
        key: Decides the amount.
        distortion_range: The least and the greatest amount, a share from 0 to 1, uniform between them. May be
            traced.

    Returns:
        The same shape and dtype, of the same root mean square; silence stays silent. In the gradient the raise
        is held constant.

    Raises:
        ValueError: For a scalar, an empty clip, an amount outside 0 to 1 or a range out of order.
        TypeError: For integers, which ``to_float`` makes floats.

    Example:
        >>> tone = jnp.sin(jnp.arange(100.0))
        >>> distorted = tanh_distortion(tone, jax.random.key(0))
        >>> bool(jnp.isclose(jnp.std(distorted), jnp.std(tone), rtol=1e-3))
        True

    Reference:
        ``audiomentations.TanhDistortion``.
    """
    numerics.check_key("tanh_distortion", key)
    waveform = as_float("tanh_distortion", audio)
    distortion = check_range("distortion_range", distortion_range, minimum=0, maximum=1)
    changed: Drawn = _tanh_distortion(waveform, key, *distortion)
    return changed


@jax.jit
def _tanh_distortion(waveform: jax.Array, key: jax.Array, low: ArrayLike, high: ArrayLike) -> Drawn:
    working = working_dtype(waveform.dtype)
    values = waveform.astype(working)
    distortion = draw_uniform(key, (low, high), dtype=working)
    threshold = _exceeded_by(0.99 * distortion, jnp.abs(values))
    distorted = jnp.tanh(values * (0.5 / (threshold + 1e-6)))
    before, after = (jnp.sqrt(jnp.maximum(jnp.mean(jnp.square(signal)), 1e-18)) for signal in (values, distorted))
    changed = jnp.where(before > 1e-9, distorted * (before / after), distorted)
    return changed.astype(waveform.dtype), {"distortion": distortion}


@vmap_in_chunks
def _exceeded_by(share: jax.Array, magnitudes: jax.Array) -> jax.Array:
    """Give the least magnitude, to 1e-5, that no more than a share of an array's elements exceed."""
    magnitudes = jax.lax.stop_gradient(magnitudes)
    allowed = share * magnitudes.size
    peak = jnp.maximum(jnp.max(magnitudes), np.finfo(magnitudes.dtype).tiny)

    def at(octave: jax.Array) -> jax.Array:
        return jnp.where(octave < 0, peak * jnp.exp2(octave), peak)

    low, high = (jnp.asarray(octave, magnitudes.dtype) for octave in (-_OCTAVES, 0))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        # Counted in floats, which XLA adds up faster than integers.
        too_many = jnp.sum(magnitudes > at(middle), dtype=magnitudes.dtype) > allowed
        low, high = jnp.where(too_many, middle, low), jnp.where(too_many, high, middle)
    return at(high)


@annotated
def bit_crush(audio: ArrayLike, key: jax.Array, bit_depth_range: _IntegerRange = (5, 10)) -> Drawn:
    """Round a clip to the steps of a random number of bits, without dither; full scale itself is kept at both ends.

    Args:
        audio: One waveform (..., time), floating point, full scale 1; leading axes, such as channels, share the
            number of bits.
        key: Decides the number of bits.
        bit_depth_range: The least and the greatest number of bits, integers from 1 to 24, each as likely. May be
            traced.

    Returns:
        The same shape and dtype, multiples of ``2 / 2**bits``; what exceeds full scale is rounded, not clipped.
        The gradient is that of the input (straight through), the rounding's own being 0 nearly everywhere.

    Raises:
        ValueError: For a scalar, an empty clip, a number of bits out of bounds or a range out of order.
        TypeError: For integer audio, which ``to_float`` makes floats, or bits that are no integers.

    Example:
        >>> bit_crush(jnp.array([0.3, -0.9, 0.1]), jax.random.key(0), (3, 3)).tolist()
        [0.25, -1.0, 0.0]

    Reference:
        ``audiomentations.BitCrush``, whose steps are ``1 / (2**(bits - 1) + 1)``.
    """
    numerics.check_key("bit_crush", key)
    waveform = as_float("bit_crush", audio)
    changed: Drawn = _bit_crush(
        waveform,
        key,
        *check_range("bit_depth_range", bit_depth_range, integer=True, minimum=1, maximum=24, unit="bits"),
    )
    return changed


@jax.jit
def _bit_crush(waveform: jax.Array, key: jax.Array, low: ArrayLike, high: ArrayLike) -> Drawn:
    working = working_dtype(waveform.dtype)
    values = waveform.astype(working)
    bit_depth = _randint(key, low, high)
    n_steps = _power_of_two(bit_depth - 1, working)
    crushed = _straight_through(jnp.round(values * n_steps) / n_steps, values)
    return crushed.astype(waveform.dtype), {"bit_depth": bit_depth}


@annotated
def mu_law_quantize(audio: ArrayLike, key: jax.Array, bit_depth_range: _IntegerRange = (5, 8)) -> Drawn:
    """Round a clip to the values of the mu-law of a random number of bits: fine where quiet, coarse where loud.

    Args:
        audio: One waveform (..., time), floating point, full scale 1; leading axes, such as channels, share the
            number of bits.
        key: Decides the number of bits.
        bit_depth_range: The least and the greatest number of bits, integers from 1 to 16, each as likely: 8 are
            256 values, a telephone's. May be traced.

    Returns:
        The same shape and dtype, clipped to full scale. The gradient is that of the input (straight through)
        where it is within full scale, 0 beyond. No value is 0: silence becomes the least step above it, 0.0001 at 8
        bits and 0.0038 at 5.

    Raises:
        ValueError: For a scalar, an empty clip, a number of bits out of bounds or a range out of order.
        TypeError: For integer audio, which ``to_float`` makes floats, or bits that are no integers.

    Example:
        >>> quantized = mu_law_quantize(jnp.array([-1.0, 0.01, 2.0]), jax.random.key(0), (8, 8))
        >>> [round(float(sample), 4) for sample in quantized]
        [-1.0, 0.0102, 1.0]

    Reference:
        ``mu_law_decode(mu_law_encode(audio, 2**bits), 2**bits)``; ``torchaudio.functional.mu_law_encoding``.
    """
    numerics.check_key("mu_law_quantize", key)
    waveform = as_float("mu_law_quantize", audio)
    changed: Drawn = _mu_law_quantize(
        waveform,
        key,
        *check_range("bit_depth_range", bit_depth_range, integer=True, minimum=1, maximum=16, unit="bits"),
    )
    return changed


@jax.jit
def _mu_law_quantize(waveform: jax.Array, key: jax.Array, low: ArrayLike, high: ArrayLike) -> Drawn:
    working = working_dtype(waveform.dtype)
    bit_depth = _randint(key, low, high)
    mu = _power_of_two(bit_depth, working) - 1
    scale = jnp.log1p(mu)
    values = jnp.clip(waveform.astype(working), -1, 1)
    compressed = jnp.copysign(jnp.log(1 + mu * jnp.abs(values)) / scale, values)
    position = (2 * jnp.floor((compressed + 1) / 2 * mu + 0.5) - mu) / mu
    expanded = jnp.copysign((jnp.exp(jnp.abs(position) * scale) - 1) / mu, position)
    return _straight_through(expanded, values).astype(waveform.dtype), {"bit_depth": bit_depth}


@jax.custom_jvp
def _straight_through(quantized: jax.Array, values: jax.Array) -> jax.Array:
    """Give the first array, whose gradient is the second's."""
    return quantized


@_straight_through.defjvp
def _straight_through_jvp(
    primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    return primals[0], tangents[1]


def _randint(key: jax.Array, low: ArrayLike, high: ArrayLike) -> jax.Array:
    drawn: jax.Array = numerics.randint(key, (), jnp.asarray(low, jnp.int32), jnp.asarray(high, jnp.int32) + 1, "int32")
    return drawn


def _power_of_two(exponent: jax.Array, dtype: np.dtype) -> jax.Array:
    # By a shift: exp2 is off in the last digit, and the steps would not be those of a converter.
    return jnp.left_shift(jnp.ones((), jnp.int32), exponent).astype(dtype)


@annotated
def tremolo(
    audio: ArrayLike,
    key: jax.Array,
    rate_range: _Range = (0.5, 8.0),
    depth_range: _Range = (0.1, 0.9),
    *,
    sample_rate: int = 16000,
) -> Drawn:
    """Let the level of a clip swell and sink along a sine of random rate, depth and phase.

    The gain goes from ``1 - depth`` to 1: ``1 - depth * (1 + sin(2 * pi * (rate * t + phase))) / 2``.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, swell together.
        key: Decides rate, depth and phase.
        rate_range: The slowest and the fastest rate, Hz of at least 0, uniform between them. May be traced.
        depth_range: The least and the greatest depth, a share of the gain from 0 to 1, uniform between them. May
            be traced.
        sample_rate: Samples per second, Hz; static.

    Returns:
        The same shape and dtype. Its annotations are ``rate``, ``depth`` and ``phase``, uniform in cycles.

    Raises:
        ValueError: For a scalar, an empty clip, a rate below 0, a depth outside 0 to 1 or a range out of order.
        TypeError: For integers, which ``to_float`` makes floats.

    Example:
        >>> swelling = tremolo(jnp.ones(16000), jax.random.key(0), (4.0, 4.0), (0.5, 0.5))
        >>> round(float(swelling.min()), 4), round(float(swelling.max()), 4)
        (0.5, 1.0)

    Reference:
        The tremolo of SoX.
    """
    numerics.check_key("tremolo", key)
    waveform = as_float("tremolo", audio)
    rates = check_range("rate_range", rate_range, minimum=0, unit="Hz")
    depths = check_range("depth_range", depth_range, minimum=0, maximum=1)
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    changed: Drawn = _tremolo(waveform, key, rates, depths, int(sample_rate))
    return changed


@partial(jax.jit, static_argnames="sample_rate")
def _tremolo(
    waveform: jax.Array,
    key: jax.Array,
    rates: tuple[ArrayLike, ArrayLike],
    depths: tuple[ArrayLike, ArrayLike],
    sample_rate: int,
) -> Drawn:
    working = working_dtype(waveform.dtype)
    first, second, third = jax.random.split(key, 3)
    rate, depth = draw_uniform(first, rates, dtype=working), draw_uniform(second, depths, dtype=working)
    phase = draw_uniform(third, (0, 1), dtype=working)
    cycles = numerics.phase_ramp(rate, n_time_steps=waveform.shape[-1], sample_rate=sample_rate, start=phase)
    gain = 1 - depth * (1 + numerics.sin2pi(cycles)) / 2
    changed = (waveform.astype(working) * gain.astype(working)).astype(waveform.dtype)
    return changed, {"rate": rate, "depth": depth, "phase": phase}
