"""Batching: computation on the local examples of a sharded batch, and in chunks that fit the CPU cache."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.core import Tracer
from jax.custom_batching import custom_vmap
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from artifex.generative_models.core.numerics.compilation import tree_map

R = TypeVar("R")


def batch_local(function: Callable[..., R], first: Array, *others: Array, core: int) -> R:
    """Apply a function to a batch such that each device computes its local examples only.

    For a batch sharded over explicit mesh axes the function runs under ``shard_map``. Otherwise XLA would gather the
    whole batch on every device for an FFT (JAX 0.10). Shardings over automatic axes are not available while tracing;
    XLA partitions these.

    Args:
        function: A function of arrays that returns a pytree of arrays with the same leading axes. Examples must be
            independent of each other.
        first: The array whose sharding is used: leading axes, then ``core`` axes of one example.
        *others: Arrays, or pytrees of arrays, with the same leading axes.
        core: Number of axes of one example in ``first``.

    Returns:
        The result of the function.

    Example:
        >>> batch_local(lambda audio, gain: audio * gain[:, None], jnp.ones((2, 3)), jnp.arange(2.0), core=1).tolist()
        [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """
    spec = jax.typeof(first).sharding.spec
    if any(spec[first.ndim - core :]):  # an example is sharded, but the function needs all of it
        first = jax.reshard(first, NamedSharding(jax.typeof(first).sharding.mesh, P(*spec[: first.ndim - core])))
    names, lead = sharded_axes(first, core)
    if not names:
        return function(first, *others)
    mesh, spec = jax.typeof(first).sharding.mesh, P(*lead)
    sharding = NamedSharding(mesh, spec)
    # check_vma=False permits loops whose initial values are constants.
    local = jax.shard_map(
        function, mesh=mesh, in_specs=(spec,) * (1 + len(others)), out_specs=spec, axis_names=names, check_vma=False
    )
    return local(first, *jax.reshard(others, sharding))


def sharded_axes(array: Array, core: int) -> tuple[set[str], tuple[Any, ...]]:
    """Return the explicit mesh axes over which the leading axes of an array are sharded.

    Args:
        array: Leading axes, then ``core`` axes of one example.
        core: Number of axes of one example.

    Returns:
        The names of the mesh axes, and the partition specification of the leading axes.

    Example:
        >>> sharded_axes(jnp.ones((4, 3)), 1)
        (set(), (None,))
    """
    spec = jax.typeof(array).sharding.spec
    lead = spec[: array.ndim - core]
    return set(jax.tree.leaves(tuple(lead))), lead


def on_one_device(array: Array) -> bool:
    """Return whether an array is on one device, so that a loop over its examples needs no communication.

    Args:
        array: An array or tracer.

    Returns:
        True if it is on one device; False if it is not, or if this is unknown while tracing.

    Example:
        >>> on_one_device(jnp.ones(3))
        True
    """
    if not isinstance(array, Tracer):
        return array.sharding.num_devices == 1
    # Under shard_map over all axes, a tracer is the shard of one device.
    return jax.device_count() == 1 or jax.typeof(array).sharding.mesh.are_all_axes_manual


def map_chunks(function: Callable[[Any], Any], batch: Any, chunk_size: int) -> Any:
    """Apply a batched function chunk by chunk.

    Args:
        function: A function of a batch, a pytree of arrays, that returns a pytree of arrays with the same leading axis.
        batch: The whole batch.
        chunk_size: Number of examples per chunk, at least 1. The last chunk may be smaller.

    Returns:
        The results of all chunks, concatenated.

    Example:
        >>> map_chunks(jnp.cumsum, jnp.arange(1, 6), chunk_size=2).tolist()
        [1, 3, 3, 7, 5]
    """
    n_examples = len(jax.tree.leaves(batch)[0])
    end = n_examples // chunk_size * chunk_size  # of the complete chunks
    chunks = tree_map(lambda x: x[:end].reshape(-1, chunk_size, *x.shape[1:]), batch)
    results = tree_map(lambda x: x.reshape(end, *x.shape[2:]), lax.map(function, chunks))
    if end == n_examples:
        return results
    last = function(tree_map(lambda x: x[end:], batch))
    return jax.tree.map(functools.partial(jnp.append, axis=0), results, last)


def vmap_in_chunks(function: Callable[..., R], *, chunk_size: int = 1, single_device: bool = False) -> Callable[..., R]:
    """Return a function whose ``vmap`` computes chunk by chunk on CPU, so that intermediate arrays fit the cache.

    XLA runs the loop over chunks on one thread. This is faster for functions that are otherwise limited by memory
    bandwidth, and for FFTs, which use one thread anyway. On other devices, and for batches on several devices, all
    examples are computed together.

    Args:
        function: A pure function of arrays of one example that returns a pytree of arrays.
        chunk_size: Number of examples per chunk.
        single_device: Whether the batch is always on one device. By default ``on_one_device`` decides.

    Returns:
        A function with the same results and derivatives.

    Example:
        >>> @vmap_in_chunks
        ... def louder(audio, gain):
        ...     return audio * gain
        >>> jax.vmap(louder)(jnp.ones((2, 3)), jnp.arange(2.0)).tolist()
        [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """
    batched = jax.vmap(function)

    def of_arguments(arguments: tuple[Any, ...]) -> R:
        return function(*arguments)

    def in_chunks(*batch: Any) -> R:
        if chunk_size == 1:
            return cast("R", lax.map(of_arguments, batch))
        return cast("R", map_chunks(lambda chunk: batched(*chunk), batch, chunk_size))

    def on_device(*batch: Any) -> R:
        if len(jax.tree.leaves(batch)[0]) <= chunk_size:
            return batched(*batch)
        return cast("R", lax.platform_dependent(*batch, cpu=in_chunks, default=batched))

    @custom_vmap
    def of_batch(*batch: Any) -> R:
        first: Array = jax.tree.leaves(batch)[0]
        if sharded_axes(first, first.ndim - 1)[0]:

            def of_shard(first: Array, *shard: Any) -> R:
                return on_device(*shard)

            return batch_local(of_shard, first, *batch, core=first.ndim - 1)
        return on_device(*batch) if single_device or on_one_device(first) else batched(*batch)

    @of_batch.def_vmap
    def vmap_of_batch(size: int, is_batched: Any, *batches: Any) -> Any:
        """Merge two batch axes into one."""
        nested = _broadcast(size, is_batched, batches)
        flat = tree_map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), nested)
        results = tree_map(lambda leaf: leaf.reshape(size, -1, *leaf.shape[1:]), of_batch(*flat))
        return results, tree_map(lambda _: True, results)

    of_example = custom_vmap(function)

    @of_example.def_vmap
    def vmap_of_example(size: int, is_batched: Any, *arguments: Any) -> Any:
        results = of_batch(*_broadcast(size, is_batched, arguments))
        return results, tree_map(lambda _: True, results)

    # custom_vmap has no differentiation rule; derivatives are those of the given function.
    @jax.custom_jvp
    @functools.wraps(function)
    def differentiable(*arguments: Any) -> Any:
        return of_example(*arguments)

    @differentiable.defjvp
    def jvp(primals: Any, tangents: Any) -> Any:
        return differentiable(*primals), jax.jvp(function, primals, tangents)[1]

    return differentiable


def _broadcast(size: int, is_batched: Any, arguments: Any) -> list[Any]:
    return [
        value if batched else tree_map(lambda leaf: jnp.broadcast_to(leaf, (size, *leaf.shape)), value)
        for value, batched in zip(arguments, is_batched, strict=True)
    ]
