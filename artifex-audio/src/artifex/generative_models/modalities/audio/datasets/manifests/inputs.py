"""Recordings to process: those of manifests, and those in files, folders and patterns."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

import attrs

from artifex.generative_models.core.errors import Problem
from artifex.generative_models.modalities.audio.datasets.manifests.folders import label_recordings
from artifex.generative_models.modalities.audio.datasets.manifests.formats import is_manifest
from artifex.generative_models.modalities.audio.datasets.manifests.reading import read_manifest
from artifex.generative_models.modalities.audio.datasets.manifests.recording import Recording
from artifex.generative_models.modalities.audio.io import exists, search_audio


@attrs.frozen(kw_only=True)
class FoundRecordings:
    """The result of a search.

    Args:
        recordings: The recordings, as ``find_recordings`` returns them.
        skipped: Audio files that no reader decodes, and pipes, sockets and devices, each with the reason.
    """

    recordings: list[Recording]
    skipped: list[Problem]


def find_recordings(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[Recording]:
    """Find the recordings of manifests, and those in files, folders and patterns.

    Args:
        paths: A manifest, a path as for ``find_audio``, or several of them. A Kaldi data folder is a manifest.

    Returns:
        The recordings in the order given, sorted within each folder. All rows of a manifest are returned, including those
        whose files do not exist. Files from other paths are returned once; their labels and splits follow from their
        folders, see ``label_recordings``.

    Raises:
        FileNotFoundError: When a path does not exist, a pattern matches no audio files, or no file of a manifest exists.
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
    return search_recordings(paths).recordings


def search_recordings(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> FoundRecordings:
    """Find recordings as ``find_recordings`` does, and the audio files that no reader decodes.

    Args:
        paths: As for ``find_recordings``.

    Returns:
        The recordings, and the files that are skipped.

    Raises:
        FileNotFoundError: As for ``find_recordings``.
        ValueError: As for ``find_recordings``.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("a.wav", "b.sph"):
        ...     folder.joinpath(name).touch()
        >>> found = search_recordings(folder)
        >>> [each.name for each in found.recordings], [Path(each.source).name for each in found.skipped]
        (['a.wav'], ['b.sph'])
    """
    given = list(paths) if isinstance(paths, Iterable) and not isinstance(paths, str) else [paths]
    if not given or not all(isinstance(path, str | os.PathLike) for path in given):  # pyright: ignore[reportUnnecessaryIsInstance]
        search_audio(paths)  # raises
    recordings: list[Recording] = []
    skipped: list[Problem] = []
    found: set[str] = set()
    for from_manifest, group in groupby(given, _is_manifest):
        if from_manifest:
            recordings += [recording for manifest in group for recording in _read_existing(manifest)]
            continue
        audio = search_audio(list(group))
        skipped += audio.skipped
        for recording in label_recordings(audio.files):
            resolved = os.path.realpath(recording.path)
            if resolved not in found:
                found.add(resolved)
                recordings.append(recording)
    return FoundRecordings(recordings=recordings, skipped=skipped)


def _read_existing(manifest: str | os.PathLike[str]) -> list[Recording]:
    """Read a manifest, and raise if none of its files exist. Single missing files raise when they are read."""
    recordings = read_manifest(manifest, check_paths=False)
    return recordings if any(exists(each.path) for each in recordings) else read_manifest(manifest)


def _is_manifest(path: str | os.PathLike[str]) -> bool:
    return os.path.exists(path) and is_manifest(Path(path))
