"""Random warps of one spectrogram's axes: of time, as SpecAugment does, and of frequency, as another voice would."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_integer, check_number, check_range
from artifex.generative_models.core.numerics import working_dtype
from artifex.generative_models.modalities.audio.annotations import annotated
from artifex.generative_models.modalities.audio.augmentations.domain import (
    as_spectrogram,
    on_spectrogram,
    valid_frames,
)
from artifex.generative_models.modalities.audio.augmentations.draws import Drawn, draw_uniform

_MAGNITUDE = "take its magnitude, as neighboring bins and frames of differing phase cancel when they are interpolated"


@on_spectrogram
@annotated
def time_warp(
    spectrogram: ArrayLike,
    key: jax.Array,
    max_warp: int | jax.Array = 80,
    *,
    n_valid_frames: ArrayLike | None = None,
) -> Drawn:
    """Move a random frame, so that what is before it is stretched and what is after it is squeezed, or the reverse.

    A frame ``warp_center`` is drawn uniformly from those that lie more than the limit from either end, and a whole
    number of frames ``warp_distance`` uniformly from [-limit, limit]; these are the annotations. What was at
    ``warp_center`` is afterward at ``warp_center + warp_distance``, the first and the last frame stay, and time runs
    evenly between the three, interpolated linearly. The limit is ``max_warp``, or less where the clip is too short for
    a frame to move so far: at most (n - 3) // 2 of n frames, so four frames or fewer are left as they are.

    Args:
        spectrogram: One spectrogram (..., freq, time) of real numbers; leading axes share the warp.
        key: Decides the warp.
        max_warp: The furthest that a frame is moved, in frames, at least 0. May be traced.
        n_valid_frames: How many frames, from the first, hold sound where the rest is padding: they alone are
            warped. None means all. May be traced.

    Returns:
        The same shape and dtype.

    Raises:
        ValueError: For fewer than two axes, an empty axis, or an option out of range.
        TypeError: For integers and complex numbers.

    Example:
        >>> warped = time_warp(jnp.arange(100.0)[None], jax.random.key(0), max_warp=10)
        >>> float(warped[0, 0]), float(warped[0, -1]), bool((jnp.diff(warped) > 0).all())
        (0.0, 99.0, True)

    Reference:
        Park et al., "SpecAugment", Interspeech 2019, arXiv:1904.08779. As in ESPnet, lhotse and SpeechBrain time is
        piecewise linear, where the paper's sparse_image_warp bends a spline; they interpolate with a cubic, and
        between the pieces they leave a seam that this does not have.
    """
    numerics.check_key("time_warp", key)
    values = as_spectrogram("time_warp", spectrogram, instead_of_complex=_MAGNITUDE)
    if not isinstance(max_warp, jax.Array):
        check_integer("max_warp", max_warp, minimum=0, unit="frames")
    return warp_frames(values, key, max_warp, valid_frames(n_valid_frames, values))


def warp_frames(values: jax.Array, key: jax.Array, max_warp: ArrayLike, valid: ArrayLike) -> Drawn:
    """Do what ``time_warp`` does, its arguments checked.

    Args:
        values: One spectrogram (..., freq, time).
        key: Decides the warp.
        max_warp: The furthest that a frame is moved, in frames.
        valid: How many frames hold sound.

    Returns:
        The warped spectrogram, and ``warp_center`` and ``warp_distance`` in frames.

    Example:
        >>> warp_frames(jnp.ones((1, 5)), jax.random.key(0), 0, 5)[0].tolist()
        [[1.0, 1.0, 1.0, 1.0, 1.0]]
    """
    center, distance = _draw_warp(key, max_warp, valid)
    warped: jax.Array = _move(values, center, distance, valid)
    return warped, {"warp_center": center, "warp_distance": distance}


# Compiled apart from what moves, so that a spectrogram of another shape compiles no draws.
@jax.jit
def _draw_warp(key: jax.Array, max_warp: ArrayLike, valid: ArrayLike) -> tuple[jax.Array, jax.Array]:
    last = jnp.asarray(valid) - 1
    limit = jnp.clip(jnp.minimum(max_warp, (last - 2) // 2), 0)
    center_key, distance_key = jax.random.split(key)
    center = numerics.randint(center_key, (), limit + 1, last - limit)
    return center, numerics.randint(distance_key, (), -limit, limit + 1)


@jax.jit
def _move(values: jax.Array, center: jax.Array, distance: jax.Array, valid: ArrayLike) -> jax.Array:
    working = working_dtype(values.dtype)
    last, moved = jnp.asarray(valid) - 1, center + distance
    place = jnp.arange(values.shape[-1])
    before = place.astype(working) / moved
    after = jnp.maximum(last - place, 0).astype(working) / jnp.maximum(last - moved, 1)
    return _read(values, -distance.astype(working) * jnp.where(place <= moved, before, after), -1)


@on_spectrogram
@annotated
def frequency_warp(
    spectrogram: ArrayLike,
    key: jax.Array,
    alpha_range: tuple[ArrayLike, ArrayLike] | jax.Array = (0.9, 1.1),
    *,
    f_hi_share: float | jax.Array = 0.6,
) -> Drawn:
    """Scale frequency by a random factor, as a shorter or longer vocal tract does (VTLP).

    What was at frequency f comes to lie at alpha f, up to where one of the two reaches the boundary; above it frequency
    runs evenly on to the last bin, which stays, as does the first. Bins are interpolated linearly. ``alpha`` is the
    annotation.

    Args:
        spectrogram: One spectrogram (..., freq, time) of real numbers, its bins evenly spaced in Hz from 0 to half the
            sample rate; leading axes share the factor. Along mel bins the warp is one of mel, not of Hz.
        key: Decides the factor.
        alpha_range: The least and the greatest factor, above 0, uniform between them; above 1 formants rise, as of a
            shorter vocal tract. May be traced.
        f_hi_share: The boundary, which the significant formants lie below, as a share of the axis above 0 and below 1;
            0.6 is 4800 Hz at 16 kHz. May be traced.

    Returns:
        The same shape and dtype.

    Raises:
        ValueError: For fewer than two axes, an empty axis, or an option out of range.
        TypeError: For integers and complex numbers.

    Example:
        >>> peak = jnp.zeros((101, 1)).at[40].set(1.0)
        >>> int(frequency_warp(peak, jax.random.key(0), alpha_range=(1.1, 1.1)).argmax())
        44

    Reference:
        Jaitly and Hinton, "Vocal Tract Length Perturbation (VTLP) improves speech recognition", ICML workshop 2013,
        its piecewise linear formula. There the mel filters are moved by it; moving the spectrum, as here and in
        nlpaug, does by a factor alpha what moving the filters does by one of about 1 / alpha.
    """
    numerics.check_key("frequency_warp", key)
    values = as_spectrogram("frequency_warp", spectrogram, instead_of_complex=_MAGNITUDE)
    low, high = check_range("alpha_range", alpha_range, above=0)
    if not isinstance(f_hi_share, jax.Array):
        check_number("f_hi_share", f_hi_share, above=0)
        if f_hi_share >= 1:
            raise ValueError(f"f_hi_share must be a share of the axis above 0 and below 1, got {f_hi_share}")
    scaled: Drawn = _scale(values, key, low, high, f_hi_share)
    return scaled


@jax.jit
def _scale(values: jax.Array, key: jax.Array, low: ArrayLike, high: ArrayLike, f_hi_share: ArrayLike) -> Drawn:
    working = working_dtype(values.dtype)
    alpha = draw_uniform(key, (low, high), dtype=working)
    last = values.shape[-2] - 1
    place = jnp.arange(last + 1, dtype=working)
    # Shares of the axis on either side of the knee, after the warp.
    knee = f_hi_share * jnp.minimum(alpha, 1)
    below = place * (1 / alpha - 1)
    above = (last - place) * (1 - (1 - knee / alpha) / (1 - knee))
    return _read(values, jnp.where(place <= knee * last, below, above), -2), {"alpha": alpha}


def _read(values: jax.Array, offset: jax.Array, axis: int) -> jax.Array:
    """Read each place of an axis at an offset from itself (in places), interpolated linearly.

    Offsets rather than positions, as they are small: their rounding error does not grow along the axis.
    """
    whole = jnp.floor(offset)
    first = jnp.arange(values.shape[axis]) + whole.astype(jnp.int32)
    share = offset - whole
    if axis == -2:
        share = share[:, None]
    working = values.astype(working_dtype(values.dtype))
    before, after = (jnp.take(working, place, axis=axis, mode="clip") for place in (first, first + 1))
    # Where nothing lies between, what is not finite next to it does not count.
    return jnp.where(share == 0, before, before * (1 - share) + after * share).astype(values.dtype)
