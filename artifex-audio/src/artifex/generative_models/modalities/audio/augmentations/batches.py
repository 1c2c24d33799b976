"""Policies over batches."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from artifex.generative_models.core import numerics
from artifex.generative_models.core.numerics.batching import batch_local
from artifex.generative_models.core.protocols import Augmentation
from artifex.generative_models.modalities.audio.augmentations.combinators import (
    call_compiled,
    check_sample_rate_bound,
    step_name,
)
from artifex.generative_models.modalities.audio.augmentations.composition import Step, create_policy
from artifex.generative_models.modalities.audio.augmentations.units import SampleRate


def apply_batch(policy: Step, batch: Any, key: Array, *, sample_rate: SampleRate = None) -> Any:
    """Apply a policy to every example of a batch, with an independent draw for each.

    Example ``i`` gets key ``i`` of ``jax.random.split(key, batch_size)``, so its draw does not depend on the batch size.
    If the batch is several arrays, such as an input and its target, example ``i`` of each gets the same key and
    therefore the same draw.

    Args:
        policy: A step as in ``compose``.
        batch: An array (batch, ...), or a tree of arrays with the same first axis.
        key: PRNG key of the batch.
        sample_rate: As in ``compose``.

    Returns:
        The augmented batch. An array that is sharded over its first axis keeps its sharding.

    Raises:
        ValueError: If there are no arrays, the batch is empty, or the first axes differ.
        TypeError: As in ``compose``, if a step requires a sample rate and has none, or if an array is not numeric.
        LookupError: As in ``compose``.

    Example:
        >>> clips = jnp.ones((3, 4000))
        >>> noisy, target = apply_batch("random_gain", (clips, clips), jax.random.key(0))
        >>> bool((noisy == target).all()), len(set(noisy[:, 0].tolist()))
        (True, 3)
    """
    numerics.check_key("apply_batch", key)
    made = create_policy(policy, sample_rate=sample_rate)
    check_sample_rate_bound(made, step_name(made))
    jax.tree.map_with_path(_check_numeric, batch)
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(batch)]
    sizes = {shape[:1] for shape in shapes}
    if len(sizes) != 1 or sizes <= {(), (0,)}:
        raise ValueError(
            f"apply_batch expects arrays (batch, ...) of one batch size of at least 1, got shapes {shapes}"
        )
    return call_compiled(_apply_to_examples, batch, key, policy=made)


def _check_numeric(path: tuple[Any, ...], leaf: Any) -> None:
    dtype = leaf.dtype if isinstance(leaf, Array) else np.asarray(leaf).dtype
    if not jnp.issubdtype(dtype, jnp.number):
        raise TypeError(
            f"apply_batch expects numeric arrays, got {dtype} at {jax.tree_util.keystr(path) or 'the root'}: "
            f"give it only the arrays to augment, such as batch['audio']"
        )


def _apply_to_examples(batch: Any, key: Array, *, policy: Augmentation) -> Any:
    def apply(example: Any, key: Array) -> Any:
        def augment(leaf: Array) -> Array:
            return policy(leaf, key)

        return jax.tree.map(augment, example)

    def apply_to_shard(_: Array, examples: Any, keys: Array) -> Any:
        return jax.vmap(apply)(examples, keys)

    first: Array = jax.tree.leaves(batch)[0]
    keys = jax.random.split(key, first.shape[0])
    return batch_local(apply_to_shard, first, batch, keys, core=first.ndim - 1)
