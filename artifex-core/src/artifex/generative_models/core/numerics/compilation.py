"""``jax.jit`` that preserves the types of functions."""

from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

import jax

P = ParamSpec("P")

R = TypeVar("R")


def jit(*, static_argnames: Sequence[str] = ()) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Create a decorator that compiles a function with ``jax.jit`` and preserves its type for type checkers.

    Args:
        static_argnames: Names of the static arguments.

    Returns:
        The decorator.

    Example:
        >>> import jax.numpy as jnp
        >>> @jit(static_argnames=["n_samples"])
        ... def ramp(gain: jax.Array, n_samples: int) -> jax.Array:
        ...     return gain * jnp.arange(n_samples, dtype=gain.dtype)
        >>> ramp(jnp.float32(2), n_samples=3).tolist()
        [0.0, 2.0, 4.0]
    """

    def compiled(function: Callable[P, R]) -> Callable[P, R]:
        return jax.jit(function, static_argnames=static_argnames)

    return compiled
