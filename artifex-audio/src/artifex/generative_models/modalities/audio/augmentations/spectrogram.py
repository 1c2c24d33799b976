"""Random changes of one spectrogram: the masks of SpecAugment."""

from __future__ import annotations

import math
import numbers
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_choice, check_integer, check_number
from artifex.generative_models.core.numerics import working_dtype
from artifex.generative_models.modalities.audio.augmentations.domain import on_spectrogram


@on_spectrogram
def frequency_mask(
    spectrogram: ArrayLike,
    key: jax.Array,
    num_masks: int = 1,
    mask_param: int | jax.Array = 10,
    *,
    max_share: float | None = None,
    fill_value: ArrayLike | str = 0.0,
    n_valid_frames: ArrayLike | None = None,
) -> jax.Array:
    """Cover random bands of frequencies.

    Each mask draws its width uniformly from [0, width limit] and then its start uniformly from [0, n_freq -
    width], the two from different keys. The width limit is ``mask_param``, or less by ``max_share``.

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
    values = _spectrogram("frequency_mask", spectrogram)
    _check_masks("num_masks", num_masks, "mask_param", mask_param, "max_share", max_share)
    statistic, fill = _fill("frequency_mask", fill_value, values)
    frames = _frames(n_valid_frames, values)
    counts, shares = (num_masks, 0), (max_share, None)
    masked: jax.Array = _mask(values, (key, key), (mask_param, 0), fill, frames, counts, shares, statistic)
    return masked


@on_spectrogram
def time_mask(
    spectrogram: ArrayLike,
    key: jax.Array,
    num_masks: int = 1,
    mask_param: int | jax.Array = 10,
    *,
    max_share: float | None = None,
    fill_value: ArrayLike | str = 0.0,
    n_valid_frames: ArrayLike | None = None,
) -> jax.Array:
    """Cover random spans of frames.

    As ``frequency_mask``, along time.

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
    values = _spectrogram("time_mask", spectrogram)
    _check_masks("num_masks", num_masks, "mask_param", mask_param, "max_share", max_share)
    statistic, fill = _fill("time_mask", fill_value, values)
    frames = _frames(n_valid_frames, values)
    counts, shares = (0, num_masks), (None, max_share)
    masked: jax.Array = _mask(values, (key, key), (0, mask_param), fill, frames, counts, shares, statistic)
    return masked


@on_spectrogram
def spec_augment(
    spectrogram: ArrayLike,
    key: jax.Array,
    freq_masks: int = 2,
    time_masks: int = 2,
    freq_mask_param: int | jax.Array = 15,
    time_mask_param: int | jax.Array = 20,
    *,
    freq_max_share: float | None = None,
    time_max_share: float | None = None,
    fill_value: ArrayLike | str = 0.0,
    n_valid_frames: ArrayLike | None = None,
) -> jax.Array:
    """Cover random bands of frequencies and random spans of frames.

    The two halves of ``jax.random.split(key)`` draw what ``frequency_mask`` and ``time_mask`` draw.

    Args:
        spectrogram: One spectrogram (..., freq, time), real or complex; leading axes share the masks.
        key: Decides the masks.
        freq_masks: How many bands, at least 0. Static.
        time_masks: How many spans, at least 0. Static.
        freq_mask_param: The greatest width of a band in bins, at least 0. May be traced.
        time_mask_param: The greatest width of a span in frames, at least 0. May be traced.
        freq_max_share: The greatest share of the bins that one band may cover, 0 to 1; None leaves one at
            least.
        time_max_share: The greatest share of the valid frames that one span may cover, 0 to 1; None leaves
            one at least. For clips of differing length 0.05 to 0.2 is usual.
        fill_value: What is put there: a number (in decibels or logarithms 0 is loud), or ``"mean"`` or
            ``"min"`` of each (freq, time) before masking.
        n_valid_frames: How many frames, from the first, hold sound where the rest is padding: spans lie among
            them and statistics are taken of them. None means all. May be traced.

    Returns:
        The same shape and dtype.

    Raises:
        ValueError: For fewer than two axes, an empty axis, or an option out of range.
        TypeError: For integers, or the minimum of complex numbers.

    Example:
        >>> keys = jax.random.split(jax.random.key(0), 4)
        >>> jax.vmap(spec_augment)(jnp.ones((4, 80, 125)), keys).shape
        (4, 80, 125)

    Reference:
        Park et al., "SpecAugment", Interspeech 2019, arXiv:1904.08779; its time warping is left out, as in
        most of its implementations.
    """
    numerics.check_key("spec_augment", key)
    values = _spectrogram("spec_augment", spectrogram)
    for axis, number, param, share in (
        ("freq", freq_masks, freq_mask_param, freq_max_share),
        ("time", time_masks, time_mask_param, time_max_share),
    ):
        _check_masks(f"{axis}_masks", number, f"{axis}_mask_param", param, f"{axis}_max_share", share)
    statistic, fill = _fill("spec_augment", fill_value, values)
    freq_key, time_key = jax.random.split(key)
    masked: jax.Array = _mask(
        values,
        (freq_key, time_key),
        (freq_mask_param, time_mask_param),
        fill,
        _frames(n_valid_frames, values),
        (freq_masks, time_masks),
        (freq_max_share, time_max_share),
        statistic,
    )
    return masked


def _spectrogram(name: str, spectrogram: ArrayLike) -> jax.Array:
    values = jnp.asarray(spectrogram)
    if values.ndim < 2 or not all(values.shape[-2:]):
        raise ValueError(
            f"{name} takes a spectrogram (..., freq, time) of at least one bin and one frame, got shape {values.shape}"
        )
    working_dtype(values.dtype)
    return values


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


def _frames(n_valid_frames: ArrayLike | None, values: jax.Array) -> ArrayLike | None:
    if n_valid_frames is not None and not isinstance(n_valid_frames, jax.Array):
        check_integer("n_valid_frames", n_valid_frames, minimum=1, maximum=values.shape[-1], unit="frames")
    return n_valid_frames


def _mask(
    values: jax.Array,
    keys: tuple[jax.Array, jax.Array],
    mask_params: tuple[ArrayLike, ArrayLike],
    fill: ArrayLike,
    n_valid_frames: ArrayLike | None,
    num_masks: tuple[int, int],
    max_shares: tuple[float | None, float | None],
    statistic: str | None,
) -> jax.Array:
    """Cover bands and spans at once; pairs are (along freq, along time)."""
    n_freq, n_frames = values.shape[-2:]
    valid = n_frames if n_valid_frames is None else n_valid_frames
    bands, spans = (
        _bounds(key, n, param, _widest(n, share), number) if number else None
        for key, n, param, share, number in zip(keys, (n_freq, valid), mask_params, max_shares, num_masks, strict=True)
    )
    masked: jax.Array = _cover(values, bands, spans, fill, valid, statistic)
    return masked


# Compiled apart from what covers, so that a spectrogram of another shape compiles no draws.
@partial(jax.jit, static_argnames="num_masks")
def _bounds(
    key: jax.Array, n: ArrayLike, mask_param: ArrayLike, widest: ArrayLike, num_masks: int
) -> tuple[jax.Array, jax.Array]:
    """Draw masks among n places: the first that each covers and the one after its last, both (num_masks,)."""
    width_key, start_key = jax.random.split(key)
    width = numerics.randint(width_key, (num_masks,), 0, jnp.minimum(mask_param, widest) + 1)
    start = numerics.randint(start_key, (num_masks,), 0, n - width + 1)
    return start, start + width


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
    covered = _within(bands, n_freq)[:, None] | _within(spans, n_frames)
    if statistic:
        fill = _statistic(values, statistic, jnp.arange(n_frames) < valid)
    return jnp.where(covered, jnp.asarray(fill).astype(values.dtype), values)


def _within(bounds: tuple[jax.Array, jax.Array] | None, n: int) -> jax.Array:
    if bounds is None:
        return jnp.zeros(n, bool)
    first, end = bounds
    place = jnp.arange(n)
    return jnp.any((place >= first[:, None]) & (place < end[:, None]), axis=0)


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
    return jnp.mean(working, axis=(-2, -1), keepdims=True, where=valid)
