"""Typed versions of ``jax.jit``, ``jax.tree.map`` and ``lax.platform_dependent``."""

from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import jax
from jax import Array, lax

P = ParamSpec("P")
R = TypeVar("R")

_platform_dependent: Callable[..., Any] = lax.platform_dependent


def jit(*, static_argnames: Sequence[str] = ()) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Create a decorator that compiles a function with ``jax.jit`` and preserves its type for type checkers.

    Args:
        static_argnames: Names of the static arguments.

    Returns:
        The decorator.

    Example:
        >>> import jax.numpy as jnp
        >>> @jit(static_argnames=["n_samples"])
        ... def ramp(gain: Array, n_samples: int) -> Array:
        ...     return gain * jnp.arange(n_samples, dtype=gain.dtype)
        >>> ramp(jnp.float32(2), n_samples=3).tolist()
        [0.0, 2.0, 4.0]
    """

    def compiled(function: Callable[P, R]) -> Callable[P, R]:
        return jax.jit(function, static_argnames=static_argnames)

    return compiled


def tree_map(function: Callable[[Array], object], tree: Any) -> Any:
    """Apply a function to every array of a pytree, as ``jax.tree.map`` does; the parameter of a lambda is typed.

    Args:
        function: A function of one array.
        tree: A pytree of arrays.

    Returns:
        The results, in a pytree of the same structure.

    Example:
        >>> tree_map(lambda array: array.shape, {"audio": jax.numpy.ones(3)})
        {'audio': (3,)}
    """
    return jax.tree.map(function, tree)


def platform_dependent(*arguments: object, cpu: Callable[..., R], default: Callable[..., R]) -> R:
    """Call a function on CPUs, and another one with equal results on other devices.

    Args:
        *arguments: Arguments of both functions, pytrees of arrays.
        cpu: The function for CPUs.
        default: The function for other devices.

    Returns:
        The result of the function.

    Example:
        >>> import jax.numpy as jnp
        >>> platform_dependent(jnp.arange(3), cpu=jnp.sum, default=jnp.sum).item()
        3

    Reference:
        ``jax.lax.platform_dependent``, which type checkers cannot follow.
    """
    result: R = _platform_dependent(*arguments, cpu=cpu, default=default)
    return result
