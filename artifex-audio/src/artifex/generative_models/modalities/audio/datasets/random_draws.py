"""NumPy generators of datasets and loaders, one independent stream for each use. Imports no jax.

Every stream is ``np.random.default_rng(SeedSequence(seed, spawn_key=…))``. The first number of the spawn key differs
between uses, so that no two uses draw the same numbers, even with the same seed.
"""

from __future__ import annotations

import numpy as np


def crop_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Return the generator of the crop of an example: spawn key ``(1, epoch, index)``.

    Args:
        seed: Seed of the dataset.
        epoch: Epoch, from 0.
        index: Index of the example.

    Returns:
        The generator.
    """
    return _rng(seed, 1, epoch, index)


def transform_rng(seed: int, epoch: int, index: int, number: int) -> np.random.Generator:
    """Return the generator of a transform for an example: spawn key ``(2, epoch, index, number)``.

    Args:
        seed: Seed of the loader.
        epoch: Epoch, from 0.
        index: Index of the example.
        number: Position of the transform in the list, from 0.

    Returns:
        The generator.

    Example:
        >>> transform_rng(0, 0, 5, 0).random() == transform_rng(0, 0, 5, 0).random() != transform_rng(0, 1, 5, 0).random()
        True
    """
    return _rng(seed, 2, epoch, index, number)


def bucket_rng(seed: int, epoch: int) -> np.random.Generator:
    """Return the generator that shuffles the buckets of an epoch: spawn key ``(3, epoch)``.

    Args:
        seed: Seed of the loader.
        epoch: Epoch, from 0.

    Returns:
        The generator.
    """
    return _rng(seed, 3, epoch)


def mix_rng(seed: int, epoch: int) -> np.random.Generator:
    """Return the generator of the order of datasets in an epoch of a mixture: spawn key ``(4, epoch)``.

    Args:
        seed: Seed of the mixture.
        epoch: Epoch, from 0.

    Returns:
        The generator.
    """
    return _rng(seed, 4, epoch)


def pass_rng(seed: int, part: int, number: int) -> np.random.Generator:
    """Return the generator of the order of a dataset in a mixture: spawn key ``(5, part, number)``.

    Args:
        seed: Seed of the mixture.
        part: Position of the dataset in the mixture, from 0.
        number: Number of the pass through the dataset, from 0.

    Returns:
        The generator.
    """
    return _rng(seed, 5, part, number)


def map_rng(seed: int, epoch: int, index: int, depth: int) -> np.random.Generator:
    """Return the generator of a mapped function for an example: spawn key ``(6, epoch, index, depth)``.

    Args:
        seed: Seed of the map.
        epoch: Epoch, from 0.
        index: Index of the example.
        depth: Number of maps that are applied before.

    Returns:
        The generator.
    """
    return _rng(seed, 6, epoch, index, depth)


def _rng(seed: int, *spawn_key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=spawn_key))
