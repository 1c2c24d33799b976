"""Searching folders and patterns for audio files."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path

SUFFIXES = (
    *(".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".rf64", ".snd"),
    *(".w64", ".wav", ".wave"),
)
"""Suffixes of the audio files that are searched for in folders; soundfile decodes all of them."""


def find_audio(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Find audio files by path, folder or pattern.

    Args:
        paths: A file, a folder, a pattern such as ``"takes/**/*.wav"``, or several of them. Folders are searched
            recursively for files with one of ``SUFFIXES``; hidden files and folders are skipped. A pattern matches such
            files, and folders, which are searched. A file given by its own path is included whatever its suffix.

    Returns:
        The files in the order given, sorted within each folder, without duplicates.

    Raises:
        FileNotFoundError: When a path does not exist or a pattern matches no audio files.
        ValueError: When a folder contains no audio files or ``paths`` is empty.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("b.wav", "a.FLAC", ".hidden.wav", "notes.txt"):
        ...     folder.joinpath(name).touch()
        >>> [path.name for path in find_audio(folder)]
        ['a.FLAC', 'b.wav']
    """
    return [file for file, _ in find_audio_in(paths)]


def find_audio_in(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
) -> list[tuple[Path, Path]]:
    """Find audio files, each with the folder that was searched.

    Args:
        paths: As for ``find_audio``.

    Returns:
        Pairs of a file and the folder that was given. For a file given by its own path or matched by a pattern, the
        folder is its parent.

    Raises:
        FileNotFoundError: When a path does not exist or a pattern matches no audio files.
        ValueError: When a folder contains no audio files or ``paths`` is empty.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> folder.joinpath("dog").mkdir()
        >>> folder.joinpath("dog", "a.wav").touch()
        >>> [str(file.relative_to(root)) for file, root in find_audio_in(folder)]
        ['dog/a.wav']
    """
    if not isinstance(paths, str | os.PathLike | Iterable):
        raise TypeError(f"paths must be a file, a folder, a pattern, or a list of them, got {type(paths).__name__}")
    given = [Path(paths)] if isinstance(paths, str | os.PathLike) else [Path(path) for path in paths]
    if not given:
        raise ValueError("paths is empty; give a file, a folder, a pattern, or a list of them")
    found: dict[str, tuple[Path, Path]] = {}
    for path in given:
        for file, root in _find_one(path):
            found.setdefault(os.path.realpath(file), (file, root))
    return list(found.values())


def _find_one(path: Path) -> list[tuple[Path, Path]]:
    if path.is_dir():
        pairs = [(file, path) for file in _search_folder(path)]
        if not pairs:
            raise ValueError(f"{path}: no audio files in this folder; expected files with {', '.join(SUFFIXES)}")
        return pairs
    if path.exists():
        return [(path, path.parent)]
    if glob.has_magic(str(path)):
        return _match_pattern(path)
    raise FileNotFoundError(f"{path}: no such file or folder")


def _match_pattern(pattern: Path) -> list[tuple[Path, Path]]:
    matches = [Path(path) for path in sorted(glob.glob(str(pattern), recursive=True))]
    pairs: list[tuple[Path, Path]] = []
    for path in matches:
        if path.is_dir():
            if "**" not in pattern.parts:  # which matches the files in the folder, too
                pairs += [(file, path) for file in _search_folder(path)]
        elif path.suffix.lower() in SUFFIXES:
            pairs.append((path, path.parent))
    if not pairs:
        matched = f"matches {len(matches)} paths, but no audio files" if matches else "matches nothing"
        raise FileNotFoundError(f"{pattern}: this pattern {matched}; expected files with {', '.join(SUFFIXES)}")
    return pairs


def _search_folder(folder: Path) -> list[Path]:
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(parent, name)
            for name in files
            if os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith(".")
        ]
    return sorted(found)
