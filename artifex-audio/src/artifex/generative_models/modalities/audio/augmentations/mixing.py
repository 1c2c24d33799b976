"""Augmentations of a batch that mix each example, and its targets, with another one: mixup and CutMix."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_number
from artifex.generative_models.core.numerics import jit, working_dtype


def mixup(batch: ArrayLike, key: Array, *targets: ArrayLike, alpha: ArrayLike = 0.2) -> tuple[Array, ...]:
    """Apply mixup: replace each example and its targets by a weighted mean with the previous example.

    Example ``i`` becomes ``weight * batch[i] + (1 - weight) * batch[i - 1]``; the first one is mixed with the last.
    The batch is expected in shuffled order. NaN in one example propagates to the next one.

    Args:
        batch: Examples (batch, ...), floating point: waveforms or spectrograms.
        key: PRNG key; one weight is drawn per example.
        *targets: Arrays (batch, ...) that are mixed with the same weights, floating point: one-hot or soft labels.
        alpha: Both parameters of the beta distribution of the weights, above 0. 1 is uniform; below 1, most weights are
            close to 0 or 1. May be traced.

    Returns:
        The mixed batch, the mixed targets, and the weights (batch,). Shapes and dtypes are those of the input.

    Raises:
        ValueError: For a single clip, an empty batch, targets of a different batch size, or an alpha of 0 or less.
        TypeError: For integers; convert labels with ``jax.nn.one_hot`` and audio with ``to_float``.

    Example:
        >>> mixed, labels, weights = mixup(jnp.eye(2), jax.random.key(0), jnp.eye(2))
        >>> bool(jnp.allclose(labels[:, 0], jnp.stack([weights[0], 1 - weights[1]])))
        True

    Reference:
        Zhang, Cisse, Dauphin and Lopez-Paz, "mixup: beyond empirical risk minimization", ICLR 2018.
    """
    return _mixup(_check_batch("mixup", batch, key, targets, alpha), key, alpha)


def cutmix(batch: ArrayLike, key: Array, *targets: ArrayLike, alpha: ArrayLike = 1.0) -> tuple[Array, ...]:
    """Apply CutMix along time: replace a random span of each example by that of the previous one, and mix the targets.

    The first example gets its span from the last. The batch is expected in shuffled order. The length of the span is
    the drawn fraction, rounded to a sample; its position is uniform. NaN in one example propagates to the span of the
    next one and to its target.

    Args:
        batch: Examples (batch, ..., time), floating point: waveforms, or spectrograms, in which the span
            covers all frequencies.
        key: PRNG key; one fraction and position is drawn per example.
        *targets: Arrays (batch, ...), floating point: one-hot or soft labels, which are mixed by the fractions.
        alpha: Both parameters of the beta distribution of the fractions, above 0; 1 is uniform. May be traced.

    Returns:
        The cut batch, the mixed targets, and the fraction (batch,) of time that each example keeps, which are exactly
        the weights of the targets. Shapes and dtypes are those of the input.

    Raises:
        ValueError: For a single clip, an empty batch, examples without samples, targets of a different batch size, or
            an alpha of 0 or less.
        TypeError: For integers; convert labels with ``jax.nn.one_hot`` and audio with ``to_float``.

    Example:
        >>> cut, kept = cutmix(jnp.array([[1.0] * 10, [2.0] * 10]), jax.random.key(0))
        >>> bool(jnp.allclose((cut == jnp.array([[1.0], [2.0]])).mean(axis=-1), kept))
        True

    Reference:
        Yun et al., "CutMix: regularization strategy to train strong classifiers with localizable features", ICCV 2019,
        along time.
    """
    arrays = _check_batch("cutmix", batch, key, targets, alpha)
    if arrays[0].ndim < 2 or not arrays[0].shape[-1]:
        raise ValueError(f"cutmix takes a batch (batch, ..., time) of at least one sample, got {arrays[0].shape}")
    return _cutmix(arrays, key, alpha)


def symmetric_beta(key: Array, alpha: ArrayLike, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    """Draw from a beta distribution with two equal parameters, without rejection sampling.

    Args:
        key: PRNG key.
        alpha: Both parameters, above 0. May be traced.
        shape: Shape of the result; static.
        dtype: Dtype of the result, float32 or float64.

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
    # The limit avoids NaN from infinity times a cosine of 0. It excludes only values within 1e-35 of 0 or 1.
    odds = jnp.expm1(jnp.minimum(-jnp.log(uniform) / jnp.asarray(alpha, dtype), 80))
    odds = odds * jnp.square(numerics.cos2pi(numerics.uniform(second, shape, dtype)))
    # (1 - sqrt(odds / (1 + odds))) / 2 without cancellation.
    smaller = 0.5 / ((1 + odds) * (1 + jnp.sqrt(odds / (1 + odds))))
    return jnp.where(numerics.bernoulli(third, shape=shape), smaller, 1 - smaller)


def _check_batch(
    name: str, batch: ArrayLike, key: Array, targets: tuple[ArrayLike, ...], alpha: ArrayLike
) -> tuple[Array, ...]:
    numerics.check_key(name, key)
    arrays = tuple(jnp.asarray(array) for array in (batch, *targets))
    if arrays[0].ndim == 1:
        raise ValueError(f"{name} takes a batch (batch, ..., time), got shape {arrays[0].shape}, a single clip")
    for array in arrays:
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise TypeError(
                f"{name} mixes floating-point arrays, got {array.dtype}: to_float(audio) scales samples, "
                f"jax.nn.one_hot(labels, n_classes) encodes labels"
            )
        if array.shape[:1] != arrays[0].shape[:1] or not array.shape or not array.shape[0]:
            shapes = [each.shape for each in arrays]
            raise ValueError(f"{name} takes arrays (batch, ...) of one batch size, at least 1, got shapes {shapes}")
    if not isinstance(alpha, Array):
        check_number("alpha", alpha, above=0)
    return arrays


@jit()
def _mixup(arrays: tuple[Array, ...], key: Array, alpha: ArrayLike) -> tuple[Array, ...]:
    batch = arrays[0]
    weights = _shard_as(symmetric_beta(key, alpha, batch.shape[:1], working_dtype(batch.dtype)), batch)
    return *(_mix(array, weights) for array in arrays), weights


@jit()
def _cutmix(arrays: tuple[Array, ...], key: Array, alpha: ArrayLike) -> tuple[Array, ...]:
    batch, *targets = arrays
    n_examples, n_samples = batch.shape[0], batch.shape[-1]
    dtype = working_dtype(batch.dtype)
    fraction_key, position_key = jax.random.split(key)
    fraction = _shard_as(symmetric_beta(fraction_key, alpha, (n_examples,), dtype), batch)
    width = jnp.round((1 - fraction) * n_samples).astype(jnp.int32)
    kept = n_samples - width
    position = _shard_as(numerics.uniform(position_key, (n_examples,), dtype), batch)
    start = jnp.minimum(jnp.floor(position * (kept + 1).astype(dtype)).astype(jnp.int32), kept)
    time = jnp.arange(n_samples, dtype=jnp.int32)[None, :]
    is_cut = (time >= start[:, None]) & (time < (start + width)[:, None])
    is_cut = is_cut.reshape(n_examples, *[1] * (batch.ndim - 2), n_samples)
    weights = kept.astype(dtype) / n_samples
    cut = jnp.where(is_cut, _previous(batch), batch)
    return cut, *(_mix(target, weights) for target in targets), weights


def _mix(array: Array, weights: Array) -> Array:
    dtype = working_dtype(array.dtype)
    weight = weights.astype(dtype).reshape(-1, *[1] * (array.ndim - 1))
    values = array.astype(dtype)
    return (weight * values + (1 - weight) * _previous(values)).astype(array.dtype)


def _shard_as(values: Array, batch: Array) -> Array:
    """Shard one number per example as the batch is sharded."""
    sharding = jax.typeof(batch).sharding
    if not _is_explicitly_sharded(sharding):
        return values
    sharded: Array = jax.reshard(values, jax.NamedSharding(sharding.mesh, jax.P(sharding.spec[0])))
    return sharded


def _previous(array: Array) -> Array:
    """Return the example before each example."""

    def roll(examples: Array) -> Array:
        return jnp.roll(examples, 1, axis=0)

    sharding = jax.typeof(array).sharding
    if not _is_explicitly_sharded(sharding):
        return roll(array)
    # jnp.roll raises along an explicitly sharded axis; with auto_axes the compiler partitions it.
    rolled: Array = jax.sharding.auto_axes(roll, out_sharding=sharding)(array)  # pyright: ignore[reportAssignmentType, reportUnknownVariableType]
    return rolled


def _is_explicitly_sharded(sharding: Any) -> bool:
    return not sharding.mesh.empty and sharding.spec[0] is not None
