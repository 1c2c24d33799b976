"""Faster compilation for tests that do not compare the last digits."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import cast

import jax


@contextlib.contextmanager
def quick_compilation() -> Generator[None, None, None]:
    """Return a context manager that compiles without XLA's expensive optimizations.

    Compilation takes about a third of the time. Results may differ from optimized programs in the last digits.

    Example:
        >>> with quick_compilation():
        ...     float(jax.jit(lambda x: x + 1)(1.0))
        2.0
    """
    before = cast("bool", jax.config.read("jax_disable_most_optimizations"))
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)
