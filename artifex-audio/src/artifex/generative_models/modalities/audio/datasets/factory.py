"""Datasets by name."""

from __future__ import annotations

from typing import Any, cast

from artifex.generative_models.core import create
from artifex.generative_models.modalities.audio.base import AudioModalityConfig
from artifex.generative_models.modalities.base import BaseDataset


def create_audio_dataset(
    dataset_type: str = "synthetic", config: AudioModalityConfig | None = None, **options: Any
) -> BaseDataset:
    """Make a dataset by its registered name.

    Args:
        dataset_type: ``"synthetic"``, ``"files"``, or what a plugin registers.
        config: What the audio is like; None means the defaults.
        **options: What that dataset takes, such as ``n_samples`` or ``paths``.

    Returns:
        The dataset.

    Raises:
        UnknownComponentError: For an unknown type; the message names those that are installed.
        TypeError: For an option that the dataset does not take; the message names those it takes.

    Example:
        >>> len(create_audio_dataset("synthetic", n_samples=5, audio_types=["chirp"]))
        5
    """
    return cast("BaseDataset", create("dataset", dataset_type, config=config, **options))
