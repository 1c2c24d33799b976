"""Comparison of pytrees of arrays."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np

from artifex.generative_models.core.numerics.compilation import tree_map


def to_numpy(tree: Any) -> Any:
    """Convert the arrays of a pytree to NumPy."""
    return jax.tree.map(np.asarray, tree)


def select_example(tree: Any, index: int) -> Any:
    """Select one example of a batch, a pytree of arrays."""
    return tree_map(lambda array: array[index], tree)


def are_identical(a: Any, b: Any) -> bool:
    """Return whether two pytrees have equal values; NaN equals NaN."""
    return jax.tree.all(jax.tree.map(partial(np.array_equal, equal_nan=True), a, b))


def are_close(actual: Any, expected: Any, tolerance: float = 0.0) -> bool:
    """Return whether two pytrees agree within 1e-4 of each value plus 1e-5 of the largest one plus a tolerance."""

    def close(x: np.ndarray, y: np.ndarray) -> bool:
        scale = np.abs(y[np.isfinite(y)]).max(initial=0)
        atol = 1e-5 * scale + tolerance + 1e-30
        return x.shape == y.shape and np.allclose(x, y, rtol=1e-4, atol=atol, equal_nan=True)

    return bool(jax.tree.all(jax.tree.map(close, actual, expected)))


def largest_difference(a: Any, b: Any) -> float:
    """Return the largest absolute difference between two pytrees; infinity if shapes differ."""

    def difference(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.abs(x.astype(np.complex128) - y).max(initial=0)) if x.shape == y.shape else np.inf

    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max((difference(x, y) for x, y in pairs), default=0.0)
