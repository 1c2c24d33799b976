"""``jax.jit`` for annotated functions."""

from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

import jax

P = ParamSpec("P")


R = TypeVar("R")


def jit(*, static_argnames: Sequence[str] = ()) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that compiles a function as ``jax.jit`` does and keeps its type.

    Args:
        static_argnames: Names of the arguments that are static.

    Returns:
        The decorator.

    Example:
        >>> import jax.numpy as jnp
        >>> @jit(static_argnames=["n_samples"])
        ... def ramp(gain: float, n_samples: int) -> jax.Array:
        ...     return gain * jnp.arange(n_samples)
        >>> ramp(2, n_samples=3).tolist()
        [0, 2, 4]
    """

    def compiled(function: Callable[P, R]) -> Callable[P, R]:
        return jax.jit(function, static_argnames=static_argnames)

    return compiled
