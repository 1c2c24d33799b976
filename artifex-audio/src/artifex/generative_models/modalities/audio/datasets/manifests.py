"""Manifests: tables of recordings in CSV, TSV or JSON lines. Imports no jax."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from artifex.generative_models.core.files import atomic_path
from artifex.generative_models.modalities.audio.io.write import check_writable_folder

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_MISNAMED_PATH = (
    *("audio", "audio_filepath", "audio_path", "file", "file_path", "filename", "filepath"),
    *("path", "paths", "wav"),
)


@attrs.frozen(kw_only=True)
class Recording:
    """A recording, or a segment of one, as a manifest describes it.

    Args:
        path: The file.
        label: Class label, or None.
        start: Start of the segment in seconds.
        end: End of the segment in seconds; None means the end of the file.
        split: Split that it belongs to, such as ``"train"``, or None.
        sample_rate: Sample rate of the file in Hz, if known.
        n_channels: Channels of the file, if known.
        n_samples: Samples per channel of the whole file, if known.

    Example:
        >>> Recording(path="a.wav", start=1.0).end is None
        True
    """

    path: str
    label: str | None = None
    start: float = 0.0
    end: float | None = None
    split: str | None = None
    sample_rate: int | None = None
    n_channels: int | None = None
    n_samples: int | None = None


def read_manifest(path: str | os.PathLike[str], *, check_paths: bool = True) -> list[Recording]:
    r"""Read a manifest.

    The column ``path`` is required. Optional columns are ``label``; ``start`` and ``end`` in seconds, where an empty cell
    means the start or end of the file; ``split``; and ``sample_rate`` in Hz, ``n_channels`` and ``n_samples`` of the
    file, with which headers need not be read. Other columns are ignored. Relative paths are relative to the folder of
    the manifest.

    Args:
        path: A UTF-8 file that ends in .csv or .tsv, with column names in the first line, or in .jsonl, with one object
            per line.
        check_paths: Whether to raise for files that do not exist.

    Returns:
        The recordings, in order.

    Raises:
        FileNotFoundError: When the manifest, or a file that it names, does not exist.
        ValueError: When the manifest is empty, is not UTF-8, has no column ``path``, or a cell is invalid. The message
            names the line.

    Example:
        >>> import tempfile
        >>> manifest = Path(tempfile.mkdtemp()) / "takes.csv"
        >>> _ = manifest.write_text("path,label,start,end\na.wav,dog,0.5,2\n")
        >>> recording = read_manifest(manifest, check_paths=False)[0]
        >>> Path(recording.path).name, recording.label, recording.start, recording.end
        ('a.wav', 'dog', 0.5, 2.0)
    """
    file = Path(path)
    if file.suffix.lower() not in (*_SEPARATORS, ".jsonl"):
        raise ValueError(f"{file}: a manifest must end in .csv, .tsv or .jsonl")
    text = _read_text(file)
    separator = _SEPARATORS.get(file.suffix.lower())
    lines = _parse_json_lines(file, text) if separator is None else _parse_cells(file, text, separator)
    recordings: list[Recording] = []
    checked: set[str] = set()
    first_without: dict[str, int] = {}
    for number, cells in lines:
        recording = _recording(f"{file}:{number}", file.parent, cells)
        if check_paths and recording.path not in checked:
            if not os.path.exists(recording.path):
                raise FileNotFoundError(
                    f"{file}:{number}: no such file: {recording.path}; paths are relative to the manifest"
                )
            checked.add(recording.path)
        for column in ("label", "split"):
            if getattr(recording, column) is None:
                first_without.setdefault(column, number)
        recordings.append(recording)
    if not recordings:
        raise ValueError(f"{file}: the manifest contains no recordings")
    for column, number in first_without.items():
        if any(getattr(recording, column) is not None for recording in recordings):
            raise ValueError(
                f"{file}:{number}: has no {column}, but other lines do; fill in the cell or drop the column"
            )
    return recordings


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


def folder_label(file: Path, root: Path) -> str:
    """Return the label of a recording, the name of a folder.

    It is the folder directly below ``root``, since recordings are commonly sorted into one folder per class, which may be
    divided further (by speaker, by session). For a file directly in ``root`` it is the name of ``root``.

    Args:
        file: The recording.
        root: The folder that was searched.

    Returns:
        The folder's name.

    Example:
        >>> folder_label(Path("pets/dog/monday/a.wav"), Path("pets")), folder_label(Path("pets/b.wav"), Path("pets"))
        ('dog', 'pets')
    """
    parts = file.relative_to(root).parts
    return parts[0] if len(parts) > 1 else os.path.basename(os.path.abspath(file.parent)) or "/"


def label_names(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct labels, sorted: integers by value, then other labels alphabetically.

    Args:
        labels: The label of each recording.

    Returns:
        The distinct labels.

    Example:
        >>> label_names(["10", "dog", "9", "cat", "dog"])
        ('9', '10', 'cat', 'dog')
    """

    def order(name: str) -> tuple[int, int, str]:
        return (0, int(name), name) if name.isascii() and name.isdigit() else (1, 0, name)

    return tuple(sorted(set(labels), key=order))


def _read_text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise FileNotFoundError(f"{file}: no such manifest") from None
    except IsADirectoryError:
        raise ValueError(f"{file}: is a folder; expected a manifest file") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ValueError(f"{file}:{line}: is not valid UTF-8; save it as UTF-8") from error


def _parse_cells(file: Path, text: str, separator: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    header: list[str] | None = None
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
                _check_columns(f"{file}:{reader.line_num}", header, separator)
                continue
            if len(cells) != len(header):
                raise ValueError(
                    f"{file}:{reader.line_num}: expected {len(header)} cells, as in the first line, got {len(cells)}; "
                    f'quote cells that contain {separator!r}: "…"'
                )
            yield (
                reader.line_num,
                {key: cell.strip() or None for key, cell in zip(header, cells, strict=True) if key},
            )
    except csv.Error as error:
        raise ValueError(f"{file}:{reader.line_num}: cannot be parsed: {error}") from error
    if header is None:
        raise ValueError(f"{file}: the manifest is empty; its first line must contain column names, including path")


def _parse_json_lines(file: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{file}:{number}: is not valid JSON: {error}") from error
        if not isinstance(fields, dict):
            raise ValueError(  # noqa: TRY004  the content of a file is a value
                f"{file}:{number}: expected a JSON object with a path, got {type(fields).__name__}"
            )
        if fields.get("path") is None:
            _check_columns(f"{file}:{number}", [key for key in fields if key != "path"], None)
        yield number, fields


def _check_columns(place: str, columns: list[str], separator: str | None) -> None:
    if "path" in columns:
        duplicates = sorted({column for column in columns if column and columns.count(column) > 1})
        if duplicates:
            raise ValueError(f"{place}: duplicate column {duplicates[0]!r}")
        return
    similar = [column for column in columns if column.lower() in _MISNAMED_PATH]
    hint = f"; rename {similar[0]!r}" if similar else ""
    if separator is not None and len(columns) == 1 and any(other in columns[0] for other in ";,\t|"):
        hint = f"; columns must be separated by {'commas' if separator == ',' else 'tabs'}"
    raise ValueError(f"{place}: expected a column 'path', got {', '.join(map(repr, columns)) or 'no columns'}{hint}")


def _recording(place: str, folder: Path, cells: Mapping[str, Any]) -> Recording:
    path = cells.get("path")
    if not isinstance(path, str) or not path or "\0" in path:
        raise ValueError(f"{place}: path must be the path of a file, got {path!r}")
    fields: dict[str, Any] = {"path": os.path.join(folder, path)}
    for column, convert in _CONVERTERS.items():
        value = cells.get(column)
        if value is not None:
            fields[column] = convert(place, column, value)
    recording = Recording(**fields)
    if recording.end is not None and recording.end <= recording.start:
        raise ValueError(f"{place}: end must be after start = {recording.start:g} s, got {recording.end:g} s")
    return recording


def _as_name(place: str, column: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise ValueError(f"{place}: {column} must be a string or an integer, got {value!r}")
    return str(value)


def _as_seconds(place: str, column: str, value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"{place}: {column} must be a number of seconds of at least 0, got {value!r}")
    return number


def _as_count(place: str, column: str, value: Any) -> int:
    try:
        number = -1 if isinstance(value, bool | float) else int(value)
    except (TypeError, ValueError):
        number = -1
    if number < 1:
        raise ValueError(f"{place}: {column} must be an integer of at least 1, got {value!r}")
    return number


_CONVERTERS: dict[str, Callable[[str, str, Any], str | float | int]] = {
    **dict.fromkeys(("label", "split"), _as_name),
    **dict.fromkeys(("start", "end"), _as_seconds),
    **dict.fromkeys(("sample_rate", "n_channels", "n_samples"), _as_count),
}


def _relative_path(folder: Path, path: str) -> str:
    absolute = Path(os.path.abspath(path))
    resolved = Path(os.path.realpath(absolute.parent)) / absolute.name
    return resolved.relative_to(folder).as_posix() if resolved.is_relative_to(folder) else str(absolute)
