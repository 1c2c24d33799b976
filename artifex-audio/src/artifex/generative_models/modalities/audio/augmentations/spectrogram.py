"""Random masks on a spectrogram: frequency masks, time masks, and SpecAugment with its published policies."""

from __future__ import annotations

import math
import numbers
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import (
    check_choice,
    check_integer,
    check_number,
    check_option,
    is_jax_array,
)
from artifex.generative_models.core.numerics import jit, working_dtype
from artifex.generative_models.modalities.audio.annotations import Drawn, augmentation
from artifex.generative_models.modalities.audio.augmentations.domain import checked_spectrogram, valid_frames
from artifex.generative_models.modalities.audio.augmentations.draws import draw_integer
from artifex.generative_models.modalities.audio.augmentations.units import SampleRate, frames_from_seconds
from artifex.generative_models.modalities.audio.augmentations.warping import draw_warp, warp_frames


def _draw_frequency_mask(
    key: Array, shape: tuple[int, ...], *, num_masks: int, mask_param: int | Array, max_fraction: float | None
) -> Drawn:
    _check_masks("", num_masks, mask_param, max_fraction)
    return _draw_masks("freq", key, shape[-2], num_masks, mask_param, max_fraction)


@augmentation(draw=_draw_frequency_mask, domain="spectrogram")
def frequency_mask(
    spectrogram: ArrayLike,
    key: Array,
    num_masks: int = 1,
    mask_param: int | Array = 10,
    *,
    max_fraction: float | None = None,
    fill_value: ArrayLike | str = 0.0,
    n_valid_frames: ArrayLike | None = None,
) -> Array:
    """Mask random bands of frequencies.

    The width of each mask is drawn uniformly from [0, maximum width], its start from [0, n_freq - width]. The maximum
    width is ``mask_param``, limited by ``max_fraction``.

    Args:
        spectrogram: One spectrogram (..., freq, time), real or complex; leading axes share the masks.
        key: PRNG key.
        num_masks: Number of masks, at least 0; masks may overlap. Static.
        mask_param: Maximum width in bins, at least 0. May be traced.
        max_fraction: Maximum width as a fraction of the axis, 0 to 1. None leaves at least one bin unmasked by each
            mask.
        fill_value: Fill value: a number (0 is loud in dB and logarithms), or ``"mean"`` or ``"min"`` of each
            (freq, time) before masking.
        n_valid_frames: Number of frames, from the first, that are not padding; ``"mean"`` and ``"min"`` are computed
            over them. None means all. May be traced.

    Returns:
        The masked spectrogram, same shape and dtype. Annotations: ``freq_start`` and ``freq_width`` (num_masks,) in
        bins; none without masks.

    Raises:
        ValueError: If there are fewer than two axes or an empty axis, or an option is out of range.
        TypeError: If the spectrogram is of integers, or complex and the fill value is ``"min"``.

    Example:
        >>> masked = frequency_mask(jnp.ones((80, 5)), jax.random.key(0), mask_param=10)
        >>> bool((masked == masked[:, :1]).all()), int((masked == 0).any(axis=1).sum()) <= 10
        (True, True)

    Reference:
        Park et al., "SpecAugment", Interspeech 2019, arXiv:1904.08779.
    """
    values = checked_spectrogram("frequency_mask", spectrogram, key)
    drawn = _draw_frequency_mask(
        key, values.shape, num_masks=num_masks, mask_param=mask_param, max_fraction=max_fraction
    )
    return _mask("frequency_mask", values, drawn, fill_value, n_valid_frames)


def _draw_time_mask(
    key: Array,
    shape: tuple[int, ...],
    *,
    num_masks: int,
    mask_param: int | Array,
    max_fraction: float | None,
    n_valid_frames: ArrayLike | None,
    mask_param_seconds: float | Array | None,
    sample_rate: SampleRate,
    hop_length: int | None,
) -> Drawn:
    mask_param = frames_from_seconds("mask_param", mask_param, mask_param_seconds, sample_rate, hop_length, default=10)
    _check_masks("", num_masks, mask_param, max_fraction)
    n_valid = valid_frames(n_valid_frames, shape[-1])
    return _draw_masks("time", key, n_valid, num_masks, mask_param, max_fraction)


@augmentation(draw=_draw_time_mask, domain="spectrogram")
def time_mask(
    spectrogram: ArrayLike,
    key: Array,
    num_masks: int = 1,
    mask_param: int | Array = 10,
    *,
    max_fraction: float | None = None,
    fill_value: ArrayLike | str = 0.0,
    n_valid_frames: ArrayLike | None = None,
    mask_param_seconds: float | Array | None = None,
    sample_rate: SampleRate = None,
    hop_length: int | None = None,
) -> Array:
    """Mask random spans of frames, as ``frequency_mask`` does along frequency.

    Args:
        spectrogram: One spectrogram (..., freq, time), real or complex; leading axes share the masks.
        key: PRNG key.
        num_masks: Number of masks, at least 0; masks may overlap. Static.
        mask_param: Maximum width in frames, at least 0. May be traced.
        max_fraction: Maximum width as a fraction of the valid frames, 0 to 1 (``p`` in the paper). None leaves at least
            one frame unmasked by each mask.
        fill_value: Fill value: a number (0 is loud in dB and logarithms), or ``"mean"`` or ``"min"`` of each
            (freq, time) before masking.
        n_valid_frames: Number of frames, from the first, that are not padding; masks and statistics are restricted to
            them. None means all. May be traced.
        mask_param_seconds: Maximum width in seconds, instead of ``mask_param``; requires ``sample_rate`` and
            ``hop_length``.
        sample_rate: Sample rate in Hz, for ``mask_param_seconds``. May be traced.
        hop_length: Samples from frame to frame, for ``mask_param_seconds``.

    Returns:
        The masked spectrogram, same shape and dtype. Annotations: ``time_start`` and ``time_width`` (num_masks,) in
        frames; none without masks.

    Raises:
        ValueError: If there are fewer than two axes or an empty axis, or an option is out of range.
        TypeError: If the spectrogram is of integers, or complex and the fill value is ``"min"``, or ``sample_rate`` or
            ``hop_length`` is missing.

    Example:
        >>> masked = time_mask(jnp.ones((5, 100)), jax.random.key(0), mask_param=10)
        >>> bool((masked == masked[:1]).all()), int((masked == 0).any(axis=0).sum()) <= 10
        (True, True)

    Reference:
        Park et al., "SpecAugment", Interspeech 2019, arXiv:1904.08779.
    """
    values = checked_spectrogram("time_mask", spectrogram, key)
    drawn = _draw_time_mask(
        key,
        values.shape,
        num_masks=num_masks,
        mask_param=mask_param,
        max_fraction=max_fraction,
        n_valid_frames=n_valid_frames,
        mask_param_seconds=mask_param_seconds,
        sample_rate=sample_rate,
        hop_length=hop_length,
    )
    return _mask("time_mask", values, drawn, fill_value, n_valid_frames)


# The options that a published policy sets, their defaults, and table 1 of Park et al. (W, F, m_F, T, p, m_T).
_OPTIONS = ("time_warp", "freq_mask_param", "freq_masks", "time_mask_param", "time_max_fraction", "time_masks")
_DEFAULTS = (0, 15, 2, 20, None, 2)
_POLICIES = {
    "LB": (80, 27, 1, 100, 1.0, 1),
    "LD": (80, 27, 2, 100, 1.0, 2),
    "SM": (40, 15, 2, 70, 0.2, 2),
    "SS": (40, 27, 2, 70, 0.2, 2),
}


def _draw_spec_augment(
    key: Array,
    shape: tuple[int, ...],
    *,
    freq_masks: int,
    time_masks: int,
    freq_mask_param: int | Array,
    time_mask_param: int | Array,
    time_warp: int | Array,
    freq_max_fraction: float | None,
    time_max_fraction: float | None,
    policy: str | None,
    n_valid_frames: ArrayLike | None,
    time_mask_param_seconds: float | Array | None,
    time_warp_seconds: float | Array | None,
    sample_rate: SampleRate,
    hop_length: int | None,
) -> Drawn:
    for name, seconds in (("time_mask_param", time_mask_param_seconds), ("time_warp", time_warp_seconds)):
        if policy is not None and seconds is not None:
            raise ValueError(
                f"policy {policy!r} sets {name}, got {name}_seconds={seconds!r} too: give the policy or its options, not both"
            )
    options = _policy_options(
        policy,
        freq_masks=freq_masks,
        time_masks=time_masks,
        freq_mask_param=freq_mask_param,
        time_mask_param=frames_from_seconds(
            "time_mask_param", time_mask_param, time_mask_param_seconds, sample_rate, hop_length, default=20
        ),
        time_max_fraction=time_max_fraction,
        time_warp=frames_from_seconds("time_warp", time_warp, time_warp_seconds, sample_rate, hop_length, default=0),
    )
    options["freq_max_fraction"] = freq_max_fraction
    for axis in ("freq", "time"):
        _check_masks(
            f"{axis}_", options[f"{axis}_masks"], options[f"{axis}_mask_param"], options[f"{axis}_max_fraction"]
        )
    check_option("time_warp", options["time_warp"], integer=True, minimum=0, unit="frames")
    has_warp = is_jax_array(options["time_warp"]) or options["time_warp"] > 0
    n_valid = valid_frames(n_valid_frames, shape[-1])
    freq_key, time_key, *warp_key = jax.random.split(key, 3 if has_warp else 2)
    drawn: Drawn = {}
    if has_warp:
        drawn = draw_warp(warp_key[0], options["time_warp"], n_valid)
    for axis, axis_key, size in (("freq", freq_key, shape[-2]), ("time", time_key, n_valid)):
        number, param, fraction = (options[f"{axis}_{name}"] for name in ("masks", "mask_param", "max_fraction"))
        drawn |= _draw_masks(axis, axis_key, size, number, param, fraction)
    return drawn


@augmentation(draw=_draw_spec_augment, domain="spectrogram")
def spec_augment(
    spectrogram: ArrayLike,
    key: Array,
    freq_masks: int = 2,
    time_masks: int = 2,
    freq_mask_param: int | Array = 15,
    time_mask_param: int | Array = 20,
    *,
    time_warp: int | Array = 0,
    freq_max_fraction: float | None = None,
    time_max_fraction: float | None = None,
    policy: str | None = None,
    fill_value: ArrayLike | str = 0.0,
    n_valid_frames: ArrayLike | None = None,
    time_mask_param_seconds: float | Array | None = None,
    time_warp_seconds: float | Array | None = None,
    sample_rate: SampleRate = None,
    hop_length: int | None = None,
) -> Array:
    """Apply SpecAugment: warp the time axis, then mask random bands of frequencies and random spans of frames.

    Args:
        spectrogram: One spectrogram (..., freq, time), real, or complex if time is not warped; leading axes share the
            drawn parameters.
        key: PRNG key.
        freq_masks: Number of frequency masks, at least 0. Static.
        time_masks: Number of time masks, at least 0. Static.
        freq_mask_param: Maximum width of a frequency mask in bins, at least 0. May be traced.
        time_mask_param: Maximum width of a time mask in frames, at least 0. May be traced.
        time_warp: Maximum distance in frames of the time warp, at least 0, as ``max_warp`` of ``time_warp``; 0 disables
            it. May be traced.
        freq_max_fraction: Maximum width of a frequency mask as a fraction of the bins, 0 to 1; None leaves at least one
            bin unmasked by each mask.
        time_max_fraction: Maximum width of a time mask as a fraction of the valid frames, 0 to 1; None leaves at least
            one frame unmasked by each mask. 0.05 to 0.2 is usual for variable-length clips.
        policy: Name of a published policy, instead of the options that it sets. ``"LB"`` and ``"LD"`` (LibriSpeech basic
            and double) warp by up to 80 frames, with 1 or 2 frequency masks of up to 27 bins and as many time masks of
            up to 100 frames, which may cover all of a short clip. ``"SM"`` and ``"SS"`` (Switchboard mild and strong)
            warp by up to 40 frames, with 2 frequency masks of up to 15 or 27 bins and 2 time masks of up to 70 frames
            and a fifth of the clip. They were made for 80 mel bins and a hop of 10 ms.
        fill_value: Fill value: a number (0 is loud in dB and logarithms; the paper uses the mean), or ``"mean"`` or
            ``"min"`` of each (freq, time) before masking.
        n_valid_frames: Number of frames, from the first, that are not padding; the warp, time masks and statistics are
            restricted to them. None means all. May be traced.
        time_mask_param_seconds: Maximum width of a time mask in seconds, instead of ``time_mask_param``; requires
            ``sample_rate`` and ``hop_length``.
        time_warp_seconds: Maximum distance of the time warp in seconds, instead of ``time_warp``; requires
            ``sample_rate`` and ``hop_length``.
        sample_rate: Sample rate in Hz, for options in seconds. May be traced.
        hop_length: Samples from frame to frame, for options in seconds.

    Returns:
        The augmented spectrogram, same shape and dtype. Annotations: those of ``time_warp``, ``frequency_mask`` and
        ``time_mask``.

    Raises:
        ValueError: If there are fewer than two axes or an empty axis, an option is out of range, or ``policy`` is given
            with an option that it sets.
        TypeError: If the spectrogram is of integers, or complex and the fill value is ``"min"`` or time is warped.

    Example:
        >>> keys = jax.random.split(jax.random.key(0), 4)
        >>> jax.vmap(spec_augment)(jnp.ones((4, 80, 125)), keys).shape
        (4, 80, 125)

    Reference:
        Park et al., "SpecAugment", Interspeech 2019, arXiv:1904.08779, table 1 for the policies.
    """
    values = checked_spectrogram("spec_augment", spectrogram, key)
    drawn = _draw_spec_augment(
        key,
        values.shape,
        freq_masks=freq_masks,
        time_masks=time_masks,
        freq_mask_param=freq_mask_param,
        time_mask_param=time_mask_param,
        time_warp=time_warp,
        freq_max_fraction=freq_max_fraction,
        time_max_fraction=time_max_fraction,
        policy=policy,
        n_valid_frames=n_valid_frames,
        time_mask_param_seconds=time_mask_param_seconds,
        time_warp_seconds=time_warp_seconds,
        sample_rate=sample_rate,
        hop_length=hop_length,
    )
    if "warp_center" in drawn:
        checked_spectrogram("spec_augment", values, key, if_complex="take the magnitude, or leave time_warp at 0")
        n_valid = valid_frames(n_valid_frames, values.shape[-1])
        values = warp_frames(values, drawn["warp_center"], drawn["warp_distance"], n_valid)
    return _mask("spec_augment", values, drawn, fill_value, n_valid_frames)


def _policy_options(policy: str | None, **options: Any) -> dict[str, Any]:
    """Return the options, or those of a published policy; raise if both are given."""
    if policy is None:
        return options
    check_choice("policy", policy, choices=_POLICIES)
    for name, default, value in zip(_OPTIONS, _DEFAULTS, _POLICIES[policy], strict=True):
        given = options[name]
        if is_jax_array(given) or given != default:
            raise ValueError(
                f"policy {policy!r} sets {name} to {value}, got {name}={given!r} too: give the policy "
                "or its options, not both"
            )
    return dict(zip(_OPTIONS, _POLICIES[policy], strict=True))


def _check_masks(axis: str, num_masks: int, mask_param: int | Array, max_fraction: float | None) -> None:
    """Check the options of masks, whose names begin with ``axis``."""
    check_integer(f"{axis}masks" if axis else "num_masks", num_masks, minimum=0)
    check_option(f"{axis}mask_param", mask_param, integer=True, minimum=0)
    if max_fraction is not None:
        check_number(f"{axis}max_fraction", max_fraction, minimum=0, maximum=1)


def _draw_masks(
    axis: str, key: Array, size: ArrayLike, num_masks: int, mask_param: int | Array, max_fraction: float | None
) -> Drawn:
    """Draw ``AXIS_start`` and ``AXIS_width`` of masks along an axis with ``size`` valid positions."""
    if not num_masks:
        return {}
    start, width = _draw_spans(key, size, mask_param, _max_width(size, max_fraction), num_masks)
    return {f"{axis}_start": start, f"{axis}_width": width}


# Compiled apart from _fill_masks, so that a spectrogram of another shape does not compile the draws again.
@jit(static_argnames=["num_masks"])
def _draw_spans(
    key: Array, size: ArrayLike, mask_param: ArrayLike, max_width: ArrayLike, num_masks: int
) -> tuple[Array, Array]:
    width_key, start_key = jax.random.split(key)
    limit = jnp.minimum(jnp.asarray(mask_param, jnp.int32), jnp.asarray(max_width, jnp.int32))
    width = draw_integer(width_key, (0, limit), (num_masks,))
    start = draw_integer(start_key, (0, jnp.asarray(size, jnp.int32) - width), (num_masks,))
    return start, width


def _max_width(size: ArrayLike, max_fraction: float | None) -> ArrayLike:
    if max_fraction is None:
        return size - 1
    # 0.29 of 100 means 29, which the floating-point product misses.
    if isinstance(size, int):
        return math.floor(max_fraction * size + 1e-9)
    return jnp.floor(max_fraction * jnp.asarray(size, jnp.float32) + 1e-3).astype(jnp.int32)


def _mask(
    name: str, values: Array, drawn: Drawn, fill_value: ArrayLike | str, n_valid_frames: ArrayLike | None
) -> Array:
    """Fill the drawn masks of a spectrogram."""
    statistic = None
    if isinstance(fill_value, str):
        check_choice("fill_value", fill_value, choices=("mean", "min"))
        if fill_value == "min" and jnp.iscomplexobj(values):
            raise TypeError(f"{name}: complex values have no minimum, got fill_value='min': give a number or 'mean'")
        statistic, fill_value = fill_value, 0.0
    elif isinstance(fill_value, numbers.Real):
        check_number("fill_value", fill_value)
    masks = {key: value for key, value in drawn.items() if key.startswith(("freq", "time"))}
    return _fill_masks(values, masks, fill_value, valid_frames(n_valid_frames, values.shape[-1]), statistic)


@jit(static_argnames=["statistic"])
def _fill_masks(values: Array, masks: Drawn, fill_value: ArrayLike, n_valid: ArrayLike, statistic: str | None) -> Array:
    n_freq, n_frames = values.shape[-2:]
    is_masked = _is_masked(masks, "freq", n_freq)[:, None] | _is_masked(masks, "time", n_frames)[None, :]
    # A clip without valid frames is unchanged.
    is_masked = jnp.broadcast_to(is_masked & (jnp.asarray(n_valid) > 0), values.shape)
    fill = jnp.asarray(fill_value).astype(values.dtype)
    if statistic:
        fill = _statistic(values, statistic, jnp.asarray(n_valid, jnp.int32)).astype(values.dtype)
    return jnp.where(is_masked, jnp.broadcast_to(fill, values.shape), values)


def _is_masked(masks: Drawn, axis: str, size: int) -> Array:
    if f"{axis}_start" not in masks:
        return jnp.zeros(size, bool)
    start, width = masks[f"{axis}_start"][:, None], masks[f"{axis}_width"][:, None]
    position = jnp.arange(size, dtype=jnp.int32)[None, :]
    return jnp.any((position >= start) & (position < start + width), axis=0)


def _statistic(values: Array, statistic: str, n_valid: Array) -> Array:
    working = values.astype(working_dtype(values.dtype))
    is_valid = jnp.arange(values.shape[-1], dtype=jnp.int32) < n_valid
    where = jnp.broadcast_to(is_valid, values.shape)
    if statistic == "min":
        return jnp.min(working, axis=(-2, -1), keepdims=True, initial=np.inf, where=where)
    total = jnp.sum(working, axis=(-2, -1), keepdims=True, where=where)
    count = jnp.maximum(jnp.sum(is_valid, dtype=jnp.int32) * values.shape[-2], 1)
    return total / count.astype(total.dtype)
