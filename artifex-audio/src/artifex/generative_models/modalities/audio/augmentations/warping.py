"""Random warps of the time or frequency axis of a spectrogram."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_option, check_range, is_jax_array
from artifex.generative_models.core.numerics import jit, working_dtype
from artifex.generative_models.modalities.audio.annotations import Drawn, augmentation
from artifex.generative_models.modalities.audio.augmentations.domain import checked_spectrogram, valid_frames
from artifex.generative_models.modalities.audio.augmentations.draws import Bounds, draw_integer, draw_uniform
from artifex.generative_models.modalities.audio.augmentations.units import SampleRate, frames_from_seconds

_IF_COMPLEX = "take the magnitude, since interpolation cancels bins and frames of different phase"


def _draw_time_warp(
    key: Array,
    shape: tuple[int, ...],
    *,
    max_warp: int | Array,
    n_valid_frames: ArrayLike | None,
    max_warp_seconds: float | Array | None,
    sample_rate: SampleRate,
    hop_length: int | None,
) -> Drawn:
    max_warp = frames_from_seconds("max_warp", max_warp, max_warp_seconds, sample_rate, hop_length, default=80)
    check_option("max_warp", max_warp, integer=True, minimum=0, unit="frames")
    return draw_warp(key, max_warp, valid_frames(n_valid_frames, shape[-1]))


@augmentation(draw=_draw_time_warp, domain="spectrogram")
def time_warp(
    spectrogram: ArrayLike,
    key: Array,
    max_warp: int | Array = 80,
    *,
    n_valid_frames: ArrayLike | None = None,
    max_warp_seconds: float | Array | None = None,
    sample_rate: SampleRate = None,
    hop_length: int | None = None,
) -> Array:
    """Warp the time axis of a spectrogram: move a random frame by a random distance.

    A frame ``warp_center`` is drawn uniformly from those at least ``limit`` + 1 frames from either end, and an integer
    ``warp_distance`` uniformly from [-limit, limit]. The content of ``warp_center`` moves to ``warp_center +
    warp_distance``; the first and the last frame stay; time between the three is interpolated linearly. The limit is
    ``max_warp``, reduced for short clips to (n - 3) // 2 of n frames, so four frames or fewer are unchanged.

    Args:
        spectrogram: One real spectrogram (..., freq, time); leading axes share the warp.
        key: PRNG key.
        max_warp: Maximum distance in frames, at least 0. May be traced.
        n_valid_frames: Number of frames, from the first, that are not padding; only they are warped. None means all.
            May be traced.
        max_warp_seconds: Maximum distance in seconds, instead of ``max_warp``; requires ``sample_rate`` and
            ``hop_length``.
        sample_rate: Sample rate in Hz, for ``max_warp_seconds``. May be traced.
        hop_length: Samples from frame to frame, for ``max_warp_seconds``.

    Returns:
        The warped spectrogram, same shape and dtype. Annotations: ``warp_center`` and ``warp_distance`` in frames.

    Raises:
        ValueError: If there are fewer than two axes or an empty axis, or an option is out of range.
        TypeError: If the spectrogram is complex or of integers, or ``sample_rate`` or ``hop_length`` is missing.

    Example:
        >>> warped = time_warp(jnp.arange(100.0)[None], jax.random.key(0), max_warp=10)
        >>> float(warped[0, 0]), float(warped[0, -1]), bool((jnp.diff(warped) > 0).all())
        (0.0, 99.0, True)

    Reference:
        Park et al., "SpecAugment", Interspeech 2019, arXiv:1904.08779. As in ESPnet, lhotse and SpeechBrain the warp is
        piecewise linear instead of the paper's spline (sparse_image_warp); those interpolate with a cubic and are
        discontinuous between the pieces.
    """
    values = checked_spectrogram("time_warp", spectrogram, key, if_complex=_IF_COMPLEX)
    drawn = _draw_time_warp(
        key,
        values.shape,
        max_warp=max_warp,
        n_valid_frames=n_valid_frames,
        max_warp_seconds=max_warp_seconds,
        sample_rate=sample_rate,
        hop_length=hop_length,
    )
    n_valid = valid_frames(n_valid_frames, values.shape[-1])
    return warp_frames(values, drawn["warp_center"], drawn["warp_distance"], n_valid)


# Compiled apart from warp_frames, so that a spectrogram of another shape does not compile the draws again.
@jit()
def draw_warp(key: Array, max_warp: ArrayLike, n_valid: ArrayLike) -> Drawn:
    """Draw the parameters of ``time_warp``.

    Args:
        key: PRNG key.
        max_warp: Maximum distance in frames.
        n_valid: Number of frames that are not padding.

    Returns:
        ``warp_center`` and ``warp_distance`` in frames.
    """
    last = jnp.asarray(n_valid, jnp.int32) - 1
    limit = jnp.maximum(jnp.minimum(jnp.asarray(max_warp, jnp.int32), (last - 2) // 2), 0)
    center_key, distance_key = jax.random.split(key)
    return {
        "warp_center": draw_integer(center_key, (limit + 1, last - limit - 1)),
        "warp_distance": draw_integer(distance_key, (-limit, limit)),
    }


@jit()
def warp_frames(values: Array, center: Array, distance: Array, n_valid: ArrayLike) -> Array:
    """Move frame ``center`` of a spectrogram by ``distance`` frames, as ``time_warp`` does.

    Args:
        values: Spectrogram (..., freq, time).
        center: The frame to move.
        distance: The distance in frames.
        n_valid: Number of frames that are not padding.

    Returns:
        The warped spectrogram, same shape and dtype.

    Example:
        >>> [f"{value:.2f}" for value in warp_frames(jnp.arange(5.0)[None], jnp.array(2), jnp.array(1), 5)[0]]
        ['0.00', '0.67', '1.33', '2.00', '4.00']
    """
    dtype = working_dtype(values.dtype)
    last, target = jnp.asarray(n_valid, jnp.int32) - 1, center + distance
    position = jnp.arange(values.shape[-1], dtype=jnp.int32)
    before = position.astype(dtype) / target.astype(dtype)
    after = jnp.maximum(last - position, 0).astype(dtype) / jnp.maximum(last - target, 1).astype(dtype)
    return _interpolate(values, -distance.astype(dtype) * jnp.where(position <= target, before, after), -1)


def _draw_frequency_warp(key: Array, shape: tuple[int, ...], *, alpha_range: Bounds) -> Drawn:
    return {"alpha": draw_uniform(key, check_range("alpha_range", alpha_range, above=0))}


@augmentation(draw=_draw_frequency_warp, domain="spectrogram")
def frequency_warp(
    spectrogram: ArrayLike, key: Array, alpha_range: Bounds = (0.9, 1.1), *, f_hi_fraction: float | Array = 0.6
) -> Array:
    """Scale the frequency axis by a random factor (vocal tract length perturbation, VTLP).

    Frequency f moves to alpha f, up to the point where one of the two reaches the boundary; above it the map is linear
    to the last bin, which stays, as does the first. Bins are interpolated linearly.

    Args:
        spectrogram: One real spectrogram (..., freq, time), its bins evenly spaced in Hz from 0 to half the sample rate;
            leading axes share the factor. With mel bins, the mel scale is warped.
        key: PRNG key.
        alpha_range: Factor (min, max), above 0; drawn uniformly; above 1 formants rise, as with a shorter vocal tract.
            May be traced.
        f_hi_fraction: Boundary above the significant formants, as a fraction of the axis above 0 and below 1; 0.6 is
            4800 Hz at 16 kHz. May be traced.

    Returns:
        The warped spectrogram, same shape and dtype. Annotation: ``alpha``.

    Raises:
        ValueError: If there are fewer than two axes or an empty axis, or an option is out of range.
        TypeError: If the spectrogram is complex or of integers.

    Example:
        >>> peak = jnp.zeros((101, 1)).at[40].set(1.0)
        >>> int(frequency_warp(peak, jax.random.key(0), alpha_range=(1.1, 1.1)).argmax())
        44

    Reference:
        Jaitly and Hinton, "Vocal Tract Length Perturbation (VTLP) improves speech recognition", ICML workshop 2013, its
        piecewise linear formula. The paper moves the mel filters; moving the spectrum by alpha, as here and in nlpaug,
        corresponds to moving the filters by about 1 / alpha.
    """
    values = checked_spectrogram("frequency_warp", spectrogram, key, if_complex=_IF_COMPLEX)
    check_option("f_hi_fraction", f_hi_fraction, above=0)
    if not is_jax_array(f_hi_fraction) and f_hi_fraction >= 1:
        raise ValueError(f"f_hi_fraction must be above 0 and below 1, got {f_hi_fraction}")
    drawn = _draw_frequency_warp(key, values.shape, alpha_range=alpha_range)
    return _scale_frequency(values, drawn["alpha"], f_hi_fraction)


@jit()
def _scale_frequency(values: Array, alpha: Array, f_hi_fraction: ArrayLike) -> Array:
    dtype = working_dtype(values.dtype)
    alpha = alpha.astype(dtype)
    last = values.shape[-2] - 1
    position = jnp.arange(last + 1, dtype=dtype)
    # The boundary between the two linear pieces after the warp, as a fraction of the axis.
    knee = jnp.asarray(f_hi_fraction).astype(dtype) * jnp.minimum(alpha, 1)
    below = position * (1 / alpha - 1)
    above = (last - position) * (1 - (1 - knee / alpha) / (1 - knee))
    return _interpolate(values, jnp.where(position <= knee * last, below, above), -2)


def _interpolate(values: Array, offset: Array, axis: int) -> Array:
    """Read each position of an axis at an offset from it, interpolated linearly.

    Offsets are smaller than positions, so that rounding errors do not grow along the axis.
    """
    whole = jnp.floor(offset)
    first = jnp.arange(values.shape[axis], dtype=jnp.int32) + whole.astype(jnp.int32)
    working = values.astype(working_dtype(values.dtype))
    fraction = jnp.expand_dims(offset - whole, [i for i in range(values.ndim) if i != values.ndim + axis])
    before, after = (jnp.take(working, index, axis=axis, mode="clip") for index in (first, first + 1))
    # Without interpolation, a neighbor that is not finite is ignored.
    return jnp.where(fraction == 0, before, before * (1 - fraction) + after * fraction).astype(values.dtype)
