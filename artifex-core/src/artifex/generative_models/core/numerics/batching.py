"""How a batch goes through a function of one example: on the devices where it lies, and in parts that stay in the cache."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P


def batch_local(function: Callable[..., Any], first: jax.Array, *others: jax.Array, core: int) -> Any:
    """Call a function so that each device works on its own examples of a batch sharded over explicit axes.

    XLA gathers the whole batch on every device for the FFTs of a sharded one (JAX 0.10); under ``shard_map``
    it sees local ones. Over automatic axes nothing is known while tracing, and XLA decides.

    Args:
        function: Takes the arrays, gives a pytree of arrays with the same leading axes; examples do not
            depend on each other.
        first: (..., and ``core`` axes of one example); its sharding decides.
        *others: Arrays, or trees of them, with the same leading axes.
        core: Number of axes of one example in ``first``.

    Returns:
        What the function returns.

    Example:
        >>> batch_local(lambda audio, gain: audio * gain[:, None], jnp.ones((2, 3)), jnp.arange(2.0), core=1).tolist()
        [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """
    spec = jax.typeof(first).sharding.spec
    if any(spec[first.ndim - core :]):  # an example lies on several devices, but is worked on as a whole
        first = jax.reshard(first, NamedSharding(jax.typeof(first).sharding.mesh, P(*spec[: first.ndim - core])))
    names, lead = sharded_axes(first, core)
    if not names:
        return function(first, *others)
    mesh, spec = jax.typeof(first).sharding.mesh, P(*lead)
    placed = NamedSharding(mesh, spec)
    # Unchecked, for a function whose loops begin with constants: everything here differs from device to device anyway.
    each = jax.shard_map(
        function, mesh=mesh, in_specs=(spec,) * (1 + len(others)), out_specs=spec, axis_names=names, check_vma=False
    )
    return each(first, *jax.tree.map(lambda other: jax.reshard(other, placed), others))


def sharded_axes(array: jax.Array, core: int) -> tuple[set[str], tuple[Any, ...]]:
    """Return the explicit mesh axes over which whole examples lie, and how the leading axes are split.

    Args:
        array: (..., and ``core`` axes of one example).
        core: Number of axes of one example.

    Returns:
        The names of the axes, and the leading part of the specification.

    Example:
        >>> sharded_axes(jnp.ones((4, 3)), 1)
        (set(), (None,))
    """
    spec = jax.typeof(array).sharding.spec
    lead = spec[: array.ndim - core]
    return {name for entry in lead if entry for name in (entry if isinstance(entry, tuple) else (entry,))}, lead


def on_one_device(array: jax.Array) -> bool:
    """Return whether an array is known to lie on one device, so that a loop over its rows cuts through no others.

    Args:
        array: An array, traced or not.

    Returns:
        Whether it is.

    Example:
        >>> on_one_device(jnp.ones(3))
        True
    """
    if isinstance(array, jax.core.Tracer):  # under shard_map over all axes, what is seen is one device's part
        return jax.device_count() == 1 or jax.typeof(array).sharding.mesh.are_all_axes_manual
    return len(array.sharding.device_set) == 1


def map_chunks(function: Callable[[Any], Any], rows: Any, chunk_size: int) -> Any:
    """Map a function of some rows over all, so many at once; what is left over goes through it by itself.

    Args:
        function: Takes a pytree of arrays with some rows, gives a pytree of arrays with as many.
        rows: The arrays with all rows.
        chunk_size: Number of rows that go through it together, at least 1.

    Returns:
        What the function gives, for all rows.

    Example:
        >>> map_chunks(jnp.cumsum, jnp.arange(1, 6), chunk_size=2).tolist()
        [1, 3, 3, 7, 5]
    """
    n_rows = len(jax.tree.leaves(rows)[0])
    full = n_rows // chunk_size * chunk_size
    groups = jax.tree.map(lambda x: x[:full].reshape(-1, chunk_size, *x.shape[1:]), rows)
    done = jax.tree.map(lambda x: x.reshape(full, *x.shape[2:]), lax.map(function, groups))
    if full == n_rows:
        return done
    rest = function(jax.tree.map(lambda x: x[full:], rows))
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), done, rest)


def vmap_in_chunks(
    function: Callable[..., Any], *, chunk_size: int = 1, single_device: bool = False
) -> Callable[..., Any]:
    """Make ``vmap`` of a function go through the rows one after another on a CPU, where what it touches then stays in the cache.

    XLA runs such a loop on one thread: it is for what is bound by memory otherwise, or consists of FFTs, which have one
    thread anyway. On other devices, and where the rows may lie on several, it is the ``vmap`` that it would be.

    Args:
        function: A pure function of arrays that returns an array or a tree of arrays.
        chunk_size: How many rows go through it together.
        single_device: Whether the rows are known to lie on one device, beyond what ``on_one_device`` sees of them while tracing.

    Returns:
        The same function, with the same derivatives.

    Example:
        >>> @vmap_in_chunks
        ... def louder(audio, gain):
        ...     return audio * gain
        >>> jax.vmap(louder)(jnp.ones((2, 3)), jnp.arange(2.0)).tolist()
        [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """
    together = jax.vmap(function)

    def in_turn(*rows: Any) -> Any:
        if chunk_size == 1:
            return lax.map(lambda row: function(*row), rows)
        return map_chunks(lambda some: together(*some), rows, chunk_size)

    def local(*rows: Any) -> Any:
        if len(jax.tree.leaves(rows)[0]) <= chunk_size:
            return together(*rows)
        return lax.platform_dependent(*rows, cpu=in_turn, default=together)

    @custom_vmap
    def every(*rows: Any) -> Any:
        first = jax.tree.leaves(rows)[0]
        if sharded_axes(first, first.ndim - 1)[0]:
            return batch_local(lambda _, *rows: local(*rows), first, *rows, core=first.ndim - 1)
        return local(*rows) if single_device or on_one_device(first) else together(*rows)

    @every.def_vmap
    def more(size: int, is_batched: Any, *rows: Any) -> Any:
        whole = _broadcast(size, is_batched, rows)
        flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), whole)
        made = jax.tree.map(lambda leaf: leaf.reshape(size, -1, *leaf.shape[1:]), every(*flat))
        return made, jax.tree.map(lambda _: True, made)

    single = custom_vmap(function)

    @single.def_vmap
    def rows(size: int, is_batched: Any, *arguments: Any) -> Any:
        made = every(*_broadcast(size, is_batched, arguments))
        return made, jax.tree.map(lambda _: True, made)

    # A function with a rule for vmap alone has no derivatives: those are of the function itself.
    @jax.custom_jvp
    @functools.wraps(function)
    def both(*arguments: Any) -> Any:
        return single(*arguments)

    @both.defjvp
    def derivative(primals: Any, tangents: Any) -> Any:
        return both(*primals), jax.jvp(function, primals, tangents)[1]

    return both


def _broadcast(size: int, is_batched: Any, arguments: Any) -> list[Any]:
    return [
        value if along else jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (size, *leaf.shape)), value)
        for value, along in zip(arguments, is_batched, strict=True)
    ]
