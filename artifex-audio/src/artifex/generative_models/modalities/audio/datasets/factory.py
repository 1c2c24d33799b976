"""Creation of datasets by their registered names."""

from __future__ import annotations

from typing import Any, cast

from artifex.generative_models.core import create
from artifex.generative_models.modalities.audio.base import AudioModalityConfig
from artifex.generative_models.modalities.base import BaseDataset


def create_audio_dataset(
    dataset_type: str = "synthetic", config: AudioModalityConfig | None = None, **options: Any
) -> BaseDataset:
    """Create a dataset by its registered name.

    Args:
        dataset_type: ``"synthetic"``, ``"files"``, ``"table"``, ``"features"``, or a name that a plugin registers.
        config: Configuration of the examples; None means the defaults.
        **options: Options of the dataset, such as ``n_samples`` or ``paths``.

    Returns:
        The dataset.

    Raises:
        UnknownComponentError: For an unknown name; the message lists the known names.
        TypeError: For an unknown option; the message lists the valid options.

    Example:
        >>> len(create_audio_dataset("synthetic", n_samples=5, audio_types=["chirp"]))
        5
    """
    return cast("BaseDataset", create("dataset", dataset_type, config=config, **options))
