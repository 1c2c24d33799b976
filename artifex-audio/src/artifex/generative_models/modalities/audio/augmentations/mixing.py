"""Augmentations of a whole batch, which mix each example with another one and their targets alike."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_number
from artifex.generative_models.core.numerics import working_dtype


def mixup(batch: ArrayLike, key: jax.Array, *targets: ArrayLike, alpha: ArrayLike = 0.2) -> tuple[jax.Array, ...]:
    """Mix each example of a batch with the one before it, and their targets by the same shares.

    Row ``i`` becomes ``share * row[i] + (1 - share) * row[i - 1]``, the first one mixed with the last; a loader has
    shuffled them. NaN in one row reaches the next one too.

    Args:
        batch: Examples (batch, ...), floating point: waveforms, spectrograms.
        key: Decides the shares, one for each row.
        *targets: Arrays (batch, ...) to mix alike, floating point: one-hot or soft labels.
        alpha: Both parameters of the beta distribution that the shares have, above 0: below 1 most examples stay
            nearly what they were, 1 makes every share as likely. May be traced.

    Returns:
        The mixed batch, each of the mixed targets, and the shares (batch,) of the examples themselves. Shapes and
        dtypes are those given.

    Raises:
        ValueError: For no examples, targets of another number of rows, or an alpha of 0 or less.
        TypeError: For integers: make labels one-hot with ``jax.nn.one_hot``, and samples floats with ``to_float``.

    Example:
        >>> mixed, labels, share = mixup(jnp.eye(2), jax.random.key(0), jnp.eye(2))
        >>> bool(jnp.allclose(labels[:, 0], jnp.stack([share[0], 1 - share[1]])))
        True

    Reference:
        Zhang, Cisse, Dauphin and Lopez-Paz, "mixup: beyond empirical risk minimization", ICLR 2018.
    """
    arrays = _checked("mixup", batch, key, targets, alpha)
    mixed: tuple[jax.Array, ...] = _mixup(arrays, key, alpha)
    return mixed


def cutmix(batch: ArrayLike, key: jax.Array, *targets: ArrayLike, alpha: ArrayLike = 1.0) -> tuple[jax.Array, ...]:
    """Replace a random span of time in each example by the same span of the one before it, and mix their targets.

    The first row gets its span from the last; a loader has shuffled them. The span is as long as the drawn share says,
    to a whole sample, and lies anywhere within the example. NaN in one row reaches the next one within the span, and
    in its target.

    Args:
        batch: Examples (batch, ..., time), floating point: waveforms, spectrograms, all of whose bins are cut.
        key: Decides the shares and the places, one for each row.
        *targets: Arrays (batch, ...), floating point: one-hot or soft labels, which are mixed by the shares.
        alpha: Both parameters of the beta distribution that the shares have, above 0: 1 makes every share as likely.
            May be traced.

    Returns:
        The cut batch, each of the mixed targets, and the shares (batch,) of time that the examples keep: exactly those
        by which the targets are mixed. Shapes and dtypes are those given.

    Raises:
        ValueError: For no examples, examples without samples, targets of another number of rows, or an alpha of 0 or
            less.
        TypeError: For integers: make labels one-hot with ``jax.nn.one_hot``, and samples floats with ``to_float``.

    Example:
        >>> cut, share = cutmix(jnp.array([[1.0] * 10, [2.0] * 10]), jax.random.key(0))
        >>> bool(jnp.allclose((cut == jnp.array([[1.0], [2.0]])).mean(axis=-1), share))
        True

    Reference:
        Yun et al., "CutMix: regularization strategy to train strong classifiers with localizable features", ICCV 2019,
        along time.
    """
    arrays = _checked("cutmix", batch, key, targets, alpha)
    if arrays[0].ndim < 2 or not arrays[0].shape[-1]:
        raise ValueError(f"cutmix takes a batch (batch, ..., time) of at least one sample, got {arrays[0].shape}")
    cut: tuple[jax.Array, ...] = _cutmix(arrays, key, alpha)
    return cut


def symmetric_beta(key: jax.Array, alpha: ArrayLike, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    """Draw from a beta distribution with two equal parameters, without rejection and so without a loop.

    Args:
        key: Decides the values.
        alpha: Both parameters, above 0. May be traced.
        shape: Of the result; static.
        dtype: Of the result, float32 or float64.

    Returns:
        Values from 0 to 1.

    Example:
        >>> symmetric_beta(jax.random.key(0), 0.2, (3,)).shape
        (3,)

    Reference:
        Devroye, "Random variate generation in one line of code", Winter Simulation Conference 1996.
    """
    first, second, third = jax.random.split(key, 3)
    uniform = 1 - numerics.uniform(first, shape, dtype)
    # The limit is far beyond what makes a share of 0, and keeps infinity from meeting a cosine of 0.
    odds = jnp.expm1(jnp.minimum(-jnp.log(uniform) / jnp.asarray(alpha, dtype), 80))
    odds = odds * jnp.square(numerics.cos2pi(numerics.uniform(second, shape, dtype)))
    # (1 - sqrt(odds / (1 + odds))) / 2 without the cancellation.
    smaller = 0.5 / ((1 + odds) * (1 + jnp.sqrt(odds / (1 + odds))))
    return jnp.where(numerics.bernoulli(third, shape=shape), smaller, 1 - smaller)


def _checked(
    name: str, batch: ArrayLike, key: jax.Array, targets: tuple[ArrayLike, ...], alpha: ArrayLike
) -> tuple[jax.Array, ...]:
    numerics.check_key(name, key)
    arrays = tuple(map(jnp.asarray, (batch, *targets)))
    for array in arrays:
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise TypeError(
                f"{name} mixes floating-point arrays, got {array.dtype}: to_float(audio) scales samples, "
                f"jax.nn.one_hot(labels, n_classes) spreads labels"
            )
        if array.shape[:1] != arrays[0].shape[:1] or not array.shape or not array.shape[0]:
            shapes = [each.shape for each in arrays]
            raise ValueError(f"{name} takes arrays (batch, ...) of one batch size, at least 1, got shapes {shapes}")
    if not isinstance(alpha, jax.Array):
        check_number("alpha", alpha, above=0)
    return arrays


@jax.jit
def _mixup(arrays: tuple[jax.Array, ...], key: jax.Array, alpha: ArrayLike) -> tuple[jax.Array, ...]:
    batch = arrays[0]
    share = _beside(symmetric_beta(key, alpha, batch.shape[:1], working_dtype(batch.dtype)), batch)
    return *(_mixed(array, share) for array in arrays), share


@jax.jit
def _cutmix(arrays: tuple[jax.Array, ...], key: jax.Array, alpha: ArrayLike) -> tuple[jax.Array, ...]:
    batch, *targets = arrays
    rows, time = batch.shape[0], batch.shape[-1]
    dtype = working_dtype(batch.dtype)
    share_key, place_key = jax.random.split(key)
    drawn = _beside(symmetric_beta(share_key, alpha, (rows,), dtype), batch)
    width = jnp.round((1 - drawn) * time).astype(jnp.int32)
    free = time - width
    place_share = _beside(numerics.uniform(place_key, (rows,), dtype), batch)
    start = jnp.minimum(jnp.floor(place_share * (free + 1).astype(dtype)).astype(jnp.int32), free)
    place = jnp.arange(time)
    is_cut = (place >= start[:, None]) & (place < (start + width)[:, None])
    is_cut = is_cut.reshape(rows, *[1] * (batch.ndim - 2), time)
    share = free.astype(dtype) / time
    cut = jnp.where(is_cut, _before(batch), batch)
    return cut, *(_mixed(target, share) for target in targets), share


def _mixed(array: jax.Array, share: jax.Array) -> jax.Array:
    dtype = working_dtype(array.dtype)
    own = share.astype(dtype).reshape(-1, *[1] * (array.ndim - 1))
    values = array.astype(dtype)
    return (own * values + (1 - own) * _before(values)).astype(array.dtype)


def _beside(values: jax.Array, batch: jax.Array) -> jax.Array:
    """Lay one number a row on the devices that hold the row."""
    sharding = jax.typeof(batch).sharding
    if not _is_explicit(sharding):
        return values
    laid: jax.Array = jax.reshard(values, jax.NamedSharding(sharding.mesh, jax.P(sharding.spec[0])))
    return laid


def _before(array: jax.Array) -> jax.Array:
    """The row before each row."""

    def roll(rows: jax.Array) -> jax.Array:
        return jnp.roll(rows, 1, axis=0)

    sharding = jax.typeof(array).sharding
    if not _is_explicit(sharding):
        return roll(array)
    # With explicit axes JAX refuses to roll over a sharded one, which its compiler can do.
    rolled: jax.Array = jax.sharding.auto_axes(roll, out_sharding=sharding)(array)
    return rolled


def _is_explicit(sharding: Any) -> bool:
    """Whether the rows are known to be sharded while they are traced."""
    return not sharding.mesh.empty and sharding.spec[0] is not None
