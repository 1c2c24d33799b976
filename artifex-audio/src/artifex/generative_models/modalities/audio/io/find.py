"""Searching folders and patterns for audio files."""

from __future__ import annotations

import fnmatch
import glob
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import attrs

from artifex.generative_models.core.errors import Problem, printable
from artifex.generative_models.modalities.audio.io.faults import describe_mode, is_transient
from artifex.generative_models.modalities.audio.io.readers import known_extensions
from artifex.generative_models.modalities.audio.io.sources import AudioReadError

# Suffixes of audio files that no reader of artifex decodes. They are reported as skipped.
_OTHER_SUFFIXES = (
    *(".8svx", ".ape", ".avi", ".avr", ".dff", ".dsf", ".dts", ".htk", ".ircam", ".mpc", ".nist", ".paf", ".pvf"),
    *(".ra", ".rm", ".sds", ".sph", ".spx", ".svx", ".tak", ".tta", ".voc", ".vox", ".wv", ".wve"),
)
_N_NAMED = 3


@attrs.frozen(kw_only=True)
class FoundAudio:
    """The result of a search.

    Args:
        files: Pairs of a file and the folder that was given. For a file given by its own path or matched by a pattern, the
            folder is its parent.
        skipped: Audio files that no reader decodes, and pipes, sockets and devices with the suffix of an audio file, each
            with the reason.
    """

    files: list[tuple[Path, Path]]
    skipped: list[Problem]


class _Candidate(NamedTuple):
    """A path with the suffix of an audio file, or one that was given.

    Args:
        path: The path.
        root: The folder that was searched.
        identity: The path without symbolic links.
        reason: Why it is skipped, or "".
    """

    path: str
    root: Path
    identity: str
    reason: str


def find_audio(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Find audio files by path, folder or pattern.

    Args:
        paths: A file, a folder, a pattern such as ``"takes/**/*.wav"``, or several of them. Folders are searched
            recursively for files with the extensions of installed readers; hidden files and folders are skipped.
            Symbolic links are followed; a folder with several links to it is searched once. A pattern matches files with
            these extensions, and folders, which are searched. A file given by its path is included with any suffix.

    Returns:
        The files in the order given, sorted within each folder, without duplicates.

    Raises:
        FileNotFoundError: When a path does not exist or a pattern matches no audio files.
        ValueError: When a folder contains no audio files or ``paths`` is empty.
        AudioReadError: When a folder cannot be listed, or a path is a pipe, a socket or a device.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("b.wav", "a.FLAC", ".hidden.wav", "notes.txt"):
        ...     folder.joinpath(name).touch()
        >>> [path.name for path in find_audio(folder)]
        ['a.FLAC', 'b.wav']
    """
    return [file for file, _ in search_audio(paths).files]


def search_audio(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> FoundAudio:
    """Find audio files, and those that are skipped because no reader decodes them.

    Args:
        paths: As for ``find_audio``.

    Returns:
        The files, and those that were skipped.

    Raises:
        FileNotFoundError: When a path does not exist or a pattern matches no audio files.
        ValueError: When a folder contains no audio files or ``paths`` is empty.
        AudioReadError: As for ``find_audio``.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("a.wav", "b.sph", "notes.txt"):
        ...     folder.joinpath(name).touch()
        >>> found = search_audio(folder)
        >>> len(found.files), Path(found.skipped[0].source).name, found.skipped[0].message
        (1, 'b.sph', 'no reader decodes .sph files')
        >>> [str(file.relative_to(root)) for file, root in found.files]
        ['a.wav']
    """
    if not isinstance(paths, str | os.PathLike | Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]  user input
        raise TypeError(f"paths must be a file, a folder, a pattern, or a list of them, got {type(paths).__name__}")
    given = [Path(paths)] if isinstance(paths, str | os.PathLike) else [Path(path) for path in paths]
    if not given:
        raise ValueError("paths is empty; give a file, a folder, a pattern, or a list of them")
    suffixes = _suffixes()
    identities: set[str] = set()
    files: list[tuple[Path, Path]] = []
    skipped: list[Problem] = []
    for path in given:
        n_files = 0
        names: list[str] = []
        for candidate in _candidates(path, suffixes):
            if candidate.reason:
                names.append(candidate.path)
            else:
                n_files += 1
            if candidate.identity in identities:
                continue
            identities.add(candidate.identity)
            if candidate.reason:
                skipped.append(Problem(source=str(Path(candidate.path)), message=candidate.reason))
            else:
                files.append((Path(candidate.path), candidate.root))
        if not n_files:
            _raise_nothing_found(path, suffixes, skipped=names)
    return FoundAudio(files=files, skipped=skipped)


def _suffixes() -> dict[str, str]:
    """Return the suffixes of audio files, each with the reason why such files are skipped, or ""."""
    suffixes = {suffix: f"no reader decodes {suffix} files" for suffix in _OTHER_SUFFIXES}
    for suffix, missing in known_extensions().items():
        suffixes[suffix] = f"no reader decodes {suffix} files; pip install '{missing}'" if missing else ""
    return suffixes


def _candidates(path: Path, suffixes: Mapping[str, str]) -> list[_Candidate]:
    """Return the candidates for a given path, sorted by the parts of their paths."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        if not glob.has_magic(str(path)):
            raise FileNotFoundError(f"{printable(path)}: no such file or folder") from None
        candidates = list(_matches(path, suffixes))
    except OSError as error:
        raise _system_error(path, "cannot be accessed", error) from error
    else:
        if stat.S_ISDIR(mode):
            candidates = list(_search_folders([str(path)], suffixes))
        elif stat.S_ISREG(mode):
            candidates = [_Candidate(str(path), path.parent, os.path.realpath(path), "")]
        else:
            raise AudioReadError(path, f"is {describe_mode(mode)}; expected a file or a folder")
    # The separator sorts before every other character, as in the comparison of paths.
    return sorted(candidates, key=lambda candidate: candidate.path.replace(os.sep, "\0"))


def _search_folders(tops: list[str], suffixes: Mapping[str, str]) -> Iterator[_Candidate]:
    """Yield the candidates in folders and their subfolders."""
    roots = {top: Path(top) for top in tops}
    for top, _, real, entries in _walk(tops):
        for entry in entries:
            if _suffix(entry.name) not in suffixes:
                continue
            is_link = entry.is_symlink()
            identity = os.path.realpath(entry.path) if is_link else os.path.join(real, entry.name)
            is_file = not is_link and entry.is_file(follow_symlinks=False)
            yield _Candidate(entry.path, roots[top], identity, _reason_to_skip(entry.path, suffixes, is_file=is_file))


def _walk(tops: list[str]) -> Iterator[tuple[str, str, str, list[os.DirEntry[str]]]]:
    """Yield folders and their subfolders: the top, the path, the path without links, and the entries except folders.

    Each folder is visited once. Symbolic links are followed last, so that files are found under their real paths where
    possible. Hidden files and folders are omitted.
    """
    visited: set[str] = set()
    pending = [(top, top) for top in tops]
    while pending:
        links: list[tuple[str, str]] = []
        for top, first in pending:
            folders = [(first, os.path.realpath(first))]
            while folders:
                path, real = folders.pop()
                if real in visited:
                    continue
                visited.add(real)
                entries: list[os.DirEntry[str]] = []
                for entry in _list(path):
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append((entry.path, os.path.join(real, entry.name)))
                    elif entry.is_symlink() and os.path.isdir(entry.path):
                        links.append((top, entry.path))
                    else:
                        entries.append(entry)
                yield top, path, real, entries
        pending = sorted(links)


def _matches(pattern: Path, suffixes: Mapping[str, str]) -> Iterator[_Candidate]:
    """Yield the files that a pattern matches, then the files in the folders that it matches."""
    folders: list[str] = []
    parents: dict[str, tuple[Path, str]] = {}
    for path in _expand_pattern(pattern):
        try:
            mode = os.lstat(path).st_mode
        except OSError as error:
            raise _system_error(path, "cannot be accessed", error) from error
        if stat.S_ISDIR(mode) or (stat.S_ISLNK(mode) and os.path.isdir(path)):
            folders.append(path)
        elif _suffix(path) in suffixes:
            folder, name = os.path.split(path)
            if folder not in parents:
                parents[folder] = Path(folder), os.path.realpath(folder)
            root, real = parents[folder]
            identity = os.path.realpath(path) if stat.S_ISLNK(mode) else os.path.join(real, name)
            yield _Candidate(path, root, identity, _reason_to_skip(path, suffixes, is_file=stat.S_ISREG(mode)))
    yield from _search_folders(sorted(folders, key=lambda folder: (os.path.islink(folder), folder)), suffixes)


def _expand_pattern(pattern: Path) -> Iterator[str]:
    """Yield the paths that match a pattern, as ``glob`` does; loops of links end, and unlistable folders raise."""
    parts = pattern.parts[1:] if pattern.anchor else pattern.parts
    return _expand(pattern.anchor or ".", parts)


def _expand(folder: str, parts: tuple[str, ...]) -> Iterator[str]:
    part, rest = parts[0], parts[1:]
    if part == "**":
        for _, path, _, entries in _walk([folder]):
            yield from _expand(path, rest) if rest else (entry.path for entry in entries)
        return
    if glob.has_magic(part):
        names = sorted(entry.name for entry in _list(folder) if fnmatch.fnmatch(entry.name, part))
        found = [os.path.join(folder, name) for name in names if part.startswith(".") or not name.startswith(".")]
    else:
        found = [os.path.join(folder, part)] if os.path.lexists(os.path.join(folder, part)) else []
    for path in found:
        if not rest:
            yield path
        elif os.path.isdir(path):
            yield from _expand(path, rest)


def _list(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        raise _system_error(folder, "is a folder that cannot be listed", error) from error


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def _reason_to_skip(path: str, suffixes: Mapping[str, str], *, is_file: bool = False) -> str:
    """Return why a path is skipped, or ""."""
    if not is_file:
        try:
            mode = os.stat(path).st_mode
        except OSError:  # a dangling link: an error when it is read
            mode = stat.S_IFREG
        if not stat.S_ISREG(mode):
            return f"is {describe_mode(mode)}, not a file"
    return suffixes[_suffix(path)]


def _system_error(path: str | os.PathLike[str], problem: str, error: OSError) -> AudioReadError:
    # The path existed when its folder was listed: one that is missing now may be on a drive that is unmounted.
    transient = is_transient(error) or isinstance(error, FileNotFoundError | NotADirectoryError)
    remedy = "try again" if transient else "change its permissions, or leave it out"
    return AudioReadError(path, f"{problem}: {error.strerror}; {remedy}", transient=transient)


def _raise_nothing_found(path: Path, suffixes: Mapping[str, str], *, skipped: list[str]) -> None:
    readable = sorted(suffix for suffix, reason in suffixes.items() if not reason)
    expected = f"expected files with {', '.join(readable)}"
    if skipped:
        names = ", ".join(printable(os.path.basename(each)) for each in skipped[:_N_NAMED])
        more = f" and {len(skipped) - _N_NAMED} more" if len(skipped) > _N_NAMED else ""
        expected += f"; skipped {names}{more}: {_reason_to_skip(skipped[0], suffixes)}"
    if path.is_dir():
        raise ValueError(f"{printable(path)}: no audio files in this folder; {expected}")
    n_matches = sum(1 for _ in _expand_pattern(path))
    matched = f"matches {n_matches} paths, but no audio files" if n_matches else "matches nothing"
    raise FileNotFoundError(f"{printable(path)}: this pattern {matched}; {expected}")
