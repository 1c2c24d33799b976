"""Writing manifests of artifex."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from artifex.generative_models.core.files import atomic_path
from artifex.generative_models.modalities.audio.io.write import check_writable_folder


def write_manifest(path: str | os.PathLike[str], recordings: Iterable[Mapping[str, object]]) -> None:
    r"""Write a manifest atomically.

    Args:
        path: A file that ends in .jsonl. An existing file is replaced.
        recordings: For each recording ``path`` and any other fields. Fields that are None are omitted. A path below the
            folder of the manifest is written relative to it, so that both can be moved together; other paths are
            written as absolute paths.

    Raises:
        ValueError: For another suffix, or a number that is not finite.
        FileNotFoundError: When the folder does not exist.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_manifest(folder / "manifest.jsonl", [{"path": folder / "dog" / "a.wav", "label": "dog"}])
        >>> (folder / "manifest.jsonl").read_text()
        '{"path": "dog/a.wav", "label": "dog"}\n'
    """
    file = check_manifest_path(path)
    folder = file.resolve().parent
    with atomic_path(file) as temporary, temporary.open("w", encoding="utf-8") as lines:
        for recording in recordings:
            fields = {key: value for key, value in recording.items() if value is not None}
            fields["path"] = _relative_path(folder, str(recording["path"]))
            lines.write(json.dumps(fields, allow_nan=False) + "\n")


def check_manifest_path(path: str | os.PathLike[str]) -> Path:
    """Raise unless a manifest can be written to a path.

    Args:
        path: A file that ends in .jsonl.

    Returns:
        The path.

    Raises:
        ValueError: For another suffix.
        FileNotFoundError: When the folder does not exist.
        PermissionError: When the folder cannot be written to.

    Example:
        >>> check_manifest_path("manifest.txt")
        Traceback (most recent call last):
        ValueError: manifest.txt: the manifest to write must end in .jsonl
    """
    file = Path(path)
    if file.suffix.lower() != ".jsonl":
        raise ValueError(f"{file}: the manifest to write must end in .jsonl")
    check_writable_folder(file)
    return file


def _relative_path(folder: Path, path: str) -> str:
    absolute = Path(os.path.abspath(path))
    resolved = Path(os.path.realpath(absolute.parent)) / absolute.name
    return resolved.relative_to(folder).as_posix() if resolved.is_relative_to(folder) else str(absolute)
