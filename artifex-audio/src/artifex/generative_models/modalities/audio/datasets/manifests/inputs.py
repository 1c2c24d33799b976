"""Recordings to process: those of manifests, and those in files, folders and patterns."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from artifex.generative_models.modalities.audio.datasets.manifests.formats import is_manifest
from artifex.generative_models.modalities.audio.datasets.manifests.labels import folder_label
from artifex.generative_models.modalities.audio.datasets.manifests.reading import read_manifest
from artifex.generative_models.modalities.audio.datasets.manifests.recording import Recording
from artifex.generative_models.modalities.audio.io import find_audio_in


def find_recordings(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[Recording]:
    """Find the recordings of manifests, and those in files, folders and patterns.

    Args:
        paths: A manifest, or anything that ``find_audio`` takes, or several of them. A Kaldi data folder is a manifest.

    Returns:
        The recordings in the order given, sorted within each folder. Files that are not from a manifest are labeled by
        their folder; see ``folder_label``. A file or segment that is found twice is returned once.

    Raises:
        FileNotFoundError: When a path does not exist or a pattern matches no audio files.
        ValueError: When a manifest is invalid, a folder contains no audio files or ``paths`` is empty.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> folder.joinpath("a.wav").touch()
        >>> manifest = folder / "segments.jsonl"
        >>> _ = manifest.write_text('{"path": "a.wav", "start": 0.5}')
        >>> [(each.name, each.start) for each in find_recordings([folder, manifest])]
        [('a.wav', 0.0), ('a.wav', 0.5)]
    """
    given = list(paths) if isinstance(paths, Iterable) and not isinstance(paths, str) else [paths]
    if not given or not all(isinstance(path, str | os.PathLike) for path in given):  # pyright: ignore[reportUnnecessaryIsInstance]
        find_audio_in(paths)  # raises
    found: dict[tuple[str, float, float | None], Recording] = {}
    for from_manifest, group in groupby(given, _is_manifest):
        if from_manifest:
            recordings = [recording for manifest in group for recording in read_manifest(manifest)]
        else:
            recordings = [
                Recording(path=str(file), name=file.relative_to(root).as_posix(), label=folder_label(file, root))
                for file, root in find_audio_in(list(group))
            ]
        for recording in recordings:
            found.setdefault((os.path.realpath(recording.path), recording.start, recording.end), recording)
    return list(found.values())


def _is_manifest(path: str | os.PathLike[str]) -> bool:
    return os.path.exists(path) and is_manifest(Path(path))
