"""A cache of decoded and resampled audio for datasets of recordings. Imports no jax."""

from __future__ import annotations

import os
from typing import TypeVar

from artifex.generative_models.core.checks import check_integer
from artifex.generative_models.modalities.audio.datasets.audio_cache import AudioCache
from artifex.generative_models.modalities.audio.datasets.recordings import RecordingDataset
from artifex.generative_models.modalities.base import BaseDataset

D = TypeVar("D", bound=BaseDataset)


def cached(dataset: D, folder: str | os.PathLike[str], *, max_bytes: int | None = None) -> D:
    """Store the decoded and resampled recordings of a dataset in a folder, so that later epochs only read them.

    Each recording, or its segment, is decoded as a whole when it is first read, mixed and resampled as the dataset's
    options require, and stored as float32: 230 MB per hour and channel at 16 kHz. Examples equal those of ``dataset`` to
    within 1e-6 before normalization, ``crop="random"`` included. Length, labels, fingerprint and options are those
    of ``dataset``.

    A stored recording is used as long as the file's path, size and times of modification and change are the same (for
    bytes and arrays, the content), and the segment, sample rate, ``mono``, and the versions of the decoders. Recordings
    that have changed are stored again; the old ones remain until the folder is removed. Several processes, also on several
    hosts, may use one folder at the same time. Files are written atomically, and damaged ones are written again.

    If the disk is full or the folder cannot be written to, the remaining recordings are decoded in every epoch, with one
    warning per process.

    Args:
        dataset: A dataset of recordings, such as ``AudioFileDataset`` or ``TableAudioDataset``.
        folder: The folder; it is created. Datasets may share one.
        max_bytes: Maximum size of the folder in bytes; when it is reached, nothing is added or removed, and one warning
            is given. Every process measures the folder when it starts to write and after each 1/64 of the maximum that it
            writes: n processes may exceed the maximum by n/64 of it plus one recording each. None means no limit.

    Returns:
        A copy of the dataset that uses the cache.

    Raises:
        TypeError: When the dataset does not read recordings.
        ValueError: When ``max_bytes`` is negative.
        OSError: When the folder cannot be created.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from artifex.generative_models.modalities.audio import AudioFileDataset, AudioModalityConfig, write_audio
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_audio(folder / "a.wav", np.full(44100, 0.25), 44100)
        >>> dataset = AudioFileDataset(AudioModalityConfig(duration=0.5), folder / "a.wav", crop="random")
        >>> fast = cached(dataset, folder / "cache")
        >>> bool(np.allclose(fast[0]["audio"], dataset[0]["audio"], atol=1e-6))
        True
    """
    if max_bytes is not None:
        check_integer("max_bytes", max_bytes, minimum=0, unit="bytes")
    if not isinstance(dataset, RecordingDataset):
        raise TypeError(
            f"cached requires a dataset of recordings, such as AudioFileDataset or TableAudioDataset, got "
            f"{type(dataset).__name__}; call cached before subset, mix and other functions of datasets; artifex extract stores "
            f"the features of recordings"
        )
    return dataset.with_cache(AudioCache(folder, None if max_bytes is None else int(max_bytes)))
