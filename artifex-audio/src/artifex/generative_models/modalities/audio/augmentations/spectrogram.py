"""Random masks over one spectrogram: SpecAugment, its parts and its published policies."""

from __future__ import annotations

import math
import numbers
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_choice, check_integer, check_number
from artifex.generative_models.core.numerics import working_dtype
from artifex.generative_models.modalities.audio.annotations import annotated
from artifex.generative_models.modalities.audio.augmentations.domain import (
    as_spectrogram,
    on_spectrogram,
    valid_frames,
)
from artifex.generative_models.modalities.audio.augmentations.draws import Drawn
from artifex.generative_models.modalities.audio.augmentations.warping import warp_frames


@on_spectrogram
@annotated
def frequency_mask(
    spectrogram: ArrayLike,
    key: jax.Array,
    num_masks: int = 1,
    mask_param: int | jax.Array = 10,
    *,
    max_share: float | None = None,
    fill_value: ArrayLike | str = 0.0,
    n_valid_frames: ArrayLike | None = None,
) -> Drawn:
    """Cover random bands of frequencies.

    Each mask draws its width uniformly from [0, width limit] and then its start uniformly from [0, n_freq -
    width], the two from different keys. The width limit is ``mask_param``, or less by ``max_share``. Annotations
    are ``freq_start`` and ``freq_width`` in bins, of each mask.

    Args:
        spectrogram: One spectrogram (..., freq, time), real or complex; leading axes share the masks.
        key: Decides the masks.
        num_masks: How many masks, at least 0; they may overlap. Static.
        mask_param: The greatest width in bins, at least 0. May be traced.
        max_share: The greatest share of the axis that one mask may cover, 0 to 1. None leaves one bin at
            least, so that no mask ever covers all.
        fill_value: What is put there: a number (in decibels or logarithms 0 is loud), or ``"mean"`` or
            ``"min"`` of each (freq, time) before masking.
        n_valid_frames: How many frames hold sound where the rest is padding, which ``"mean"`` and ``"min"``
            then leave out. None means all. May be traced.

    Returns:
        The same shape and dtype.

    Raises:
        ValueError: For fewer than two axes, an empty axis, or an option out of range.
        TypeError: For integers, or the minimum of complex numbers.

    Example:
        >>> masked = frequency_mask(jnp.ones((80, 5)), jax.random.key(0), mask_param=10)
        >>> bool((masked == masked[:, :1]).all()), int((masked == 0).any(axis=1).sum()) <= 10
        (True, True)

    Reference:
        Park et al., "SpecAugment", Interspeech 2019, arXiv:1904.08779.
    """
    numerics.check_key("frequency_mask", key)
    values = as_spectrogram("frequency_mask", spectrogram)
    _check_masks("num_masks", num_masks, "mask_param", mask_param, "max_share", max_share)
    statistic, fill = _fill("frequency_mask", fill_value, values)
    frames = valid_frames(n_valid_frames, values)
    counts, shares = (num_masks, 0), (max_share, None)
    return _mask(values, (key, key), (mask_param, 0), fill, frames, counts, shares, statistic)


@on_spectrogram
@annotated
def time_mask(
    spectrogram: ArrayLike,
    key: jax.Array,
    num_masks: int = 1,
    mask_param: int | jax.Array = 10,
    *,
    max_share: float | None = None,
    fill_value: ArrayLike | str = 0.0,
    n_valid_frames: ArrayLike | None = None,
) -> Drawn:
    """Cover random spans of frames.

    As ``frequency_mask``, along time. Annotations are ``time_start`` and ``time_width`` in frames, of each mask.

    Args:
        spectrogram: One spectrogram (..., freq, time), real or complex; leading axes share the masks.
        key: Decides the masks.
        num_masks: How many masks, at least 0; they may overlap. Static.
        mask_param: The greatest width in frames, at least 0. May be traced.
        max_share: The greatest share of the valid frames that one mask may cover, 0 to 1 (``p`` in the
            paper). None leaves one frame at least, so that no mask ever covers all.
        fill_value: What is put there: a number (in decibels or logarithms 0 is loud), or ``"mean"`` or
            ``"min"`` of each (freq, time) before masking.
        n_valid_frames: How many frames, from the first, hold sound where the rest is padding: masks lie among
            them and statistics are taken of them. None means all. May be traced.

    Returns:
        The same shape and dtype.

    Raises:
        ValueError: For fewer than two axes, an empty axis, or an option out of range.
        TypeError: For integers, or the minimum of complex numbers.

    Example:
        >>> masked = time_mask(jnp.ones((5, 100)), jax.random.key(0), mask_param=10)
        >>> bool((masked == masked[:1]).all()), int((masked == 0).any(axis=0).sum()) <= 10
        (True, True)

    Reference:
        Park et al., "SpecAugment", Interspeech 2019, arXiv:1904.08779.
    """
    numerics.check_key("time_mask", key)
    values = as_spectrogram("time_mask", spectrogram)
    _check_masks("num_masks", num_masks, "mask_param", mask_param, "max_share", max_share)
    statistic, fill = _fill("time_mask", fill_value, values)
    frames = valid_frames(n_valid_frames, values)
    counts, shares = (0, num_masks), (None, max_share)
    return _mask(values, (key, key), (0, mask_param), fill, frames, counts, shares, statistic)


# Table 1 of Park et al.: W, F, m_F, T, p and m_T there.
_POLICIES = {
    name: {
        "time_warp": warp,
        "freq_mask_param": band,
        "freq_masks": bands,
        "time_mask_param": span,
        "time_max_share": share,
        "time_masks": spans,
    }
    for name, warp, band, bands, span, share, spans in (
        ("LB", 80, 27, 1, 100, 1.0, 1),
        ("LD", 80, 27, 2, 100, 1.0, 2),
        ("SM", 40, 15, 2, 70, 0.2, 2),
        ("SS", 40, 27, 2, 70, 0.2, 2),
    )
}
_WITHOUT_POLICY = {
    "freq_masks": 2,
    "time_masks": 2,
    "freq_mask_param": 15,
    "time_mask_param": 20,
    "time_max_share": None,
    "time_warp": 0,
}


@on_spectrogram
@annotated
def spec_augment(
    spectrogram: ArrayLike,
    key: jax.Array,
    freq_masks: int = 2,
    time_masks: int = 2,
    freq_mask_param: int | jax.Array = 15,
    time_mask_param: int | jax.Array = 20,
    *,
    time_warp: int | jax.Array = 0,
    freq_max_share: float | None = None,
    time_max_share: float | None = None,
    policy: str | None = None,
    fill_value: ArrayLike | str = 0.0,
    n_valid_frames: ArrayLike | None = None,
) -> Drawn:
    """Warp time, then cover random bands of frequencies and random spans of frames.

    The first two keys of ``jax.random.split`` draw what ``frequency_mask`` and ``time_mask`` draw; where time is
    warped, a third draws what ``time_warp`` draws. Annotations are those of the three.

    Args:
        spectrogram: One spectrogram (..., freq, time), real or, where time is not warped, complex; leading axes
            share what is drawn.
        key: Decides the warp and the masks.
        freq_masks: How many bands, at least 0. Static.
        time_masks: How many spans, at least 0. Static.
        freq_mask_param: The greatest width of a band in bins, at least 0. May be traced.
        time_mask_param: The greatest width of a span in frames, at least 0. May be traced.
        time_warp: The furthest that a frame is moved, in frames, at least 0, as ``max_warp`` of ``time_warp``; 0
            leaves time alone. May be traced.
        freq_max_share: The greatest share of the bins that one band may cover, 0 to 1; None leaves one at
            least.
        time_max_share: The greatest share of the valid frames that one span may cover, 0 to 1; None leaves
            one at least. For clips of differing length 0.05 to 0.2 is usual.
        policy: A published policy instead of the options that it sets, each of which then keeps its default:
            ``"LB"`` and ``"LD"`` (LibriSpeech, basic and double) warp by up to 80 frames and cover 1 or 2 bands
            of up to 27 bins and as many spans of up to 100 frames, be it all of a short clip; ``"SM"`` and
            ``"SS"`` (Switchboard, mild and strong) warp by up to 40 and cover 2 bands of up to 15 or 27 bins and
            2 spans of up to 70 frames and a fifth of the clip. They are made for 80 mel bins and frames of 10 ms.
        fill_value: What is put there: a number (in decibels or logarithms 0 is loud; the paper fills with the
            mean), or ``"mean"`` or ``"min"`` of each (freq, time) before masking.
        n_valid_frames: How many frames, from the first, hold sound where the rest is padding: they alone are
            warped, spans lie among them and statistics are taken of them. None means all. May be traced.

    Returns:
        The same shape and dtype.

    Raises:
        ValueError: For fewer than two axes, an empty axis, an option out of range, or an option beside the policy
            that sets it.
        TypeError: For integers, the minimum of complex numbers, or their warping.

    Example:
        >>> keys = jax.random.split(jax.random.key(0), 4)
        >>> jax.vmap(spec_augment)(jnp.ones((4, 80, 125)), keys).shape
        (4, 80, 125)

    Reference:
        Park et al., "SpecAugment", Interspeech 2019, arXiv:1904.08779, its table 1 for the policies.
    """
    numerics.check_key("spec_augment", key)
    options = _settle_policy(
        policy,
        {
            "freq_masks": freq_masks,
            "time_masks": time_masks,
            "freq_mask_param": freq_mask_param,
            "time_mask_param": time_mask_param,
            "time_max_share": time_max_share,
            "time_warp": time_warp,
        },
    )
    options["freq_max_share"] = freq_max_share
    for axis in ("freq", "time"):
        names = (f"{axis}_masks", f"{axis}_mask_param", f"{axis}_max_share")
        number, param, share = names
        _check_masks(number, options[number], param, options[param], share, options[share])
    furthest = options["time_warp"]
    if not isinstance(furthest, jax.Array):
        check_integer("time_warp", furthest, minimum=0, unit="frames")
    warps = isinstance(furthest, jax.Array) or furthest > 0
    values = as_spectrogram(
        "spec_augment",
        spectrogram,
        instead_of_complex="take its magnitude, or leave time_warp at 0" if warps else None,
    )
    statistic, fill = _fill("spec_augment", fill_value, values)
    valid = valid_frames(n_valid_frames, values)
    freq_key, time_key, *warp_key = jax.random.split(key, 3 if warps else 2)
    known: dict[str, Any] = {}
    if warps:
        values, known = warp_frames(values, warp_key[0], furthest, valid)
    masked, masks = _mask(
        values,
        (freq_key, time_key),
        (options["freq_mask_param"], options["time_mask_param"]),
        fill,
        valid,
        (options["freq_masks"], options["time_masks"]),
        (freq_max_share, options["time_max_share"]),
        statistic,
    )
    return masked, known | masks


def _settle_policy(policy: str | None, options: dict[str, Any]) -> dict[str, Any]:
    if policy is None:
        return options
    check_choice("policy", policy, choices=_POLICIES)
    for name, value in options.items():
        if isinstance(value, jax.Array) or value != _WITHOUT_POLICY[name]:
            raise ValueError(
                f"policy {policy!r} sets {name} to {_POLICIES[policy][name]}, got {name}={value!r} too: give the policy "
                "or its options, not both"
            )
    return dict(_POLICIES[policy])


def _check_masks(
    number: str,
    num_masks: int,
    width: str,
    mask_param: int | jax.Array,
    share: str,
    max_share: float | None,
) -> None:
    check_integer(number, num_masks, minimum=0)
    if not isinstance(mask_param, jax.Array):
        check_integer(width, mask_param, minimum=0)
    if max_share is not None:
        check_number(share, max_share, minimum=0, maximum=1)


def _fill(name: str, fill_value: ArrayLike | str, values: jax.Array) -> tuple[str | None, ArrayLike]:
    if not isinstance(fill_value, str):
        if isinstance(fill_value, numbers.Real):
            check_number("fill_value", fill_value)
        return None, fill_value
    check_choice("fill_value", fill_value, choices=("mean", "min"))
    if fill_value == "min" and jnp.iscomplexobj(values):
        raise TypeError(f"{name} was given complex values, which have no minimum: choose a number or 'mean'")
    return fill_value, 0


def _mask(
    values: jax.Array,
    keys: tuple[jax.Array, jax.Array],
    mask_params: tuple[ArrayLike, ArrayLike],
    fill: ArrayLike,
    valid: ArrayLike,
    num_masks: tuple[int, int],
    max_shares: tuple[float | None, float | None],
    statistic: str | None,
) -> Drawn:
    """Cover bands and spans at once; pairs are (along freq, along time)."""
    places = (values.shape[-2], valid)
    bands, spans = (
        _draw(key, n, param, _widest(n, share), number) if number else None
        for key, n, param, share, number in zip(keys, places, mask_params, max_shares, num_masks, strict=True)
    )
    masked: jax.Array = _cover(values, bands, spans, fill, valid, statistic)
    known = {}
    for axis, drawn in (("freq", bands), ("time", spans)):
        if drawn is not None:
            known[f"{axis}_start"], known[f"{axis}_width"] = drawn
    return masked, known


# Compiled apart from what covers, so that a spectrogram of another shape compiles no draws.
@partial(jax.jit, static_argnames="num_masks")
def _draw(
    key: jax.Array, n: ArrayLike, mask_param: ArrayLike, widest: ArrayLike, num_masks: int
) -> tuple[jax.Array, jax.Array]:
    """Draw masks among n places: the first that each covers and how many it covers, both (num_masks,)."""
    width_key, start_key = jax.random.split(key)
    width = numerics.randint(width_key, (num_masks,), 0, jnp.minimum(mask_param, widest) + 1)
    start = numerics.randint(start_key, (num_masks,), 0, n - width + 1)
    return start, width


@partial(jax.jit, static_argnames="statistic")
def _cover(
    values: jax.Array,
    bands: tuple[jax.Array, jax.Array] | None,
    spans: tuple[jax.Array, jax.Array] | None,
    fill: ArrayLike,
    valid: ArrayLike,
    statistic: str | None,
) -> jax.Array:
    n_freq, n_frames = values.shape[-2:]
    # Where nothing is valid there is nothing to fill with.
    covered = (_within(bands, n_freq)[:, None] | _within(spans, n_frames)) & (jnp.asarray(valid) > 0)
    if statistic:
        fill = _statistic(values, statistic, jnp.arange(n_frames) < valid)
    return jnp.where(covered, jnp.asarray(fill).astype(values.dtype), values)


def _within(masks: tuple[jax.Array, jax.Array] | None, n: int) -> jax.Array:
    if masks is None:
        return jnp.zeros(n, bool)
    start, width = (each[:, None] for each in masks)
    place = jnp.arange(n)
    return jnp.any((place >= start) & (place < start + width), axis=0)


def _widest(valid: ArrayLike, max_share: float | None) -> ArrayLike:
    if max_share is None:
        return valid - 1
    # A share such as 0.29 of 100 is meant as 29, which no float product reaches.
    if isinstance(valid, int):
        return math.floor(max_share * valid + 1e-9)
    return jnp.floor(max_share * valid + 1e-3).astype(jnp.int32)


def _statistic(values: jax.Array, statistic: str, valid: jax.Array) -> jax.Array:
    working = values.astype(working_dtype(values.dtype))
    if statistic == "min":
        return jnp.min(working, axis=(-2, -1), keepdims=True, initial=np.inf, where=valid)
    total = jnp.sum(working, axis=(-2, -1), keepdims=True, where=valid)
    return total / jnp.maximum(jnp.sum(valid) * working.shape[-2], 1)
