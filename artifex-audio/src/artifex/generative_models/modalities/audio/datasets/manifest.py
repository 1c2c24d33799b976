"""Tables of recordings in files: reading, checking and writing them. Imports no jax."""

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

SEPARATORS = {".csv": ",", ".tsv": "\t"}


@attrs.frozen(kw_only=True)
class Recording:
    """A recording in a file, or a part of one, and what is known of it before it is read.

    Args:
        path: The file.
        label: What it is, or None.
        start: Where the part begins, seconds.
        end: Where it ends, seconds; None means the end of the file.
        split: Which part of the data it belongs to, or None.
        sample_rate: Samples per second of the file, Hz, where that is known.
        n_channels: Its channels, where that is known.
        n_frames: Samples in each channel of the whole file, where that is known.

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
    n_frames: int | None = None


def read_manifest(path: str | os.PathLike[str], *, check_paths: bool = True) -> list[Recording]:
    r"""Read a table of recordings.

    Its columns are ``path``, and where they are wanted ``label``, ``start`` and ``end`` (seconds, an empty cell
    meaning the start and the end of the file), ``split``, and ``sample_rate`` (Hz), ``n_channels`` and ``n_frames`` of
    the file, which save reading its header. Others are left alone. Paths are relative to the folder that the table
    lies in.

    Args:
        path: A file that ends in .csv or .tsv, with the columns' names in its first line, or in .jsonl, with an object
            in each line; UTF-8.
        check_paths: Whether a file that is not there is an error now rather than when it is read.

    Returns:
        The recordings, in the order of the table.

    Raises:
        FileNotFoundError: When the table, or a file that it names, is not there.
        ValueError: For a table that is empty, no UTF-8 or has no column ``path``, and for a cell that cannot be true;
            the message names the line.

    Example:
        >>> import tempfile
        >>> table = Path(tempfile.mkdtemp()) / "takes.csv"
        >>> _ = table.write_text("path,label,start,end\na.wav,dog,0.5,2\n")
        >>> recording = read_manifest(table, check_paths=False)[0]
        >>> Path(recording.path).name, recording.label, recording.start, recording.end
        ('a.wav', 'dog', 0.5, 2.0)
    """
    file = Path(path)
    if file.suffix.lower() not in (*SEPARATORS, ".jsonl"):
        raise ValueError(f"{file}: a manifest ends in .csv, .tsv or .jsonl")
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise FileNotFoundError(f"{file}: no such manifest") from None
    except IsADirectoryError:
        raise ValueError(f"{file}: is a folder; a manifest is a file") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ValueError(f"{file}:{line}: is no text in UTF-8; save it as UTF-8") from error
    separator = SEPARATORS.get(file.suffix.lower())
    rows = _objects(file, text) if separator is None else _cells(file, text, separator)
    there: set[str] = set()
    recordings = []
    unlabeled: dict[str, int] = {}
    for line, row in rows:
        recording = _recording(f"{file}:{line}", file.parent, row)
        if check_paths and recording.path not in there:
            if not os.path.exists(recording.path):
                raise FileNotFoundError(
                    f"{file}:{line}: no such file: {recording.path}; paths are relative to the manifest"
                )
            there.add(recording.path)
        for column in ("label", "split"):
            if getattr(recording, column) is None:
                unlabeled.setdefault(column, line)
        recordings.append(recording)
    if not recordings:
        raise ValueError(f"{file}: the manifest names no recordings")
    for column, line in unlabeled.items():
        if any(getattr(recording, column) is not None for recording in recordings):
            raise ValueError(f"{file}:{line}: has no {column}, others have one; fill it in, or drop the column")
    return recordings


def write_manifest(path: str | os.PathLike[str], rows: Iterable[Mapping[str, Any]]) -> None:
    r"""Write a table of recordings, whole or not at all.

    Args:
        path: A file that ends in .jsonl; one that is there is replaced.
        rows: For each recording what its line says: ``path``, and whatever else; None is left out. A path beneath
            the table's folder is written relative to it, so that both can move together, any other in full.

    Raises:
        ValueError: For another ending, or a number that is not finite.
        FileNotFoundError: When the folder that it goes to does not exist.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_manifest(folder / "manifest.jsonl", [{"path": folder / "dog" / "a.wav", "label": "dog"}])
        >>> (folder / "manifest.jsonl").read_text()
        '{"path": "dog/a.wav", "label": "dog"}\n'
    """
    file = check_manifest_path(path)
    folder = file.resolve().parent
    partial = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with partial.open("w", encoding="utf-8") as lines:
            for row in rows:
                said = {key: value for key, value in row.items() if value is not None}
                said["path"] = _beneath(folder, row["path"])
                lines.write(json.dumps(said, allow_nan=False) + "\n")
            lines.flush()
            os.fsync(lines.fileno())
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def check_manifest_path(path: str | os.PathLike[str]) -> Path:
    """Raise unless a manifest can be written at a place.

    Args:
        path: A file that ends in .jsonl.

    Returns:
        The path.

    Raises:
        ValueError: For another ending.
        FileNotFoundError: When the folder does not exist.
        PermissionError: When the folder cannot be written to.

    Example:
        >>> check_manifest_path("manifest.txt")
        Traceback (most recent call last):
        ValueError: manifest.txt: a manifest that is written ends in .jsonl
    """
    file = Path(path)
    if file.suffix.lower() != ".jsonl":
        raise ValueError(f"{file}: a manifest that is written ends in .jsonl")
    if not file.parent.is_dir():
        raise FileNotFoundError(f"{file}: the folder {file.parent} does not exist; make it first")
    if not os.access(file.parent, os.W_OK):
        raise PermissionError(f"{file}: the folder {file.parent} cannot be written to; name another place")
    return file


def folder_label(file: Path, root: Path) -> str:
    """Return the label that folders give a recording.

    It is the folder right beneath the one that was given, as people sort recordings into one folder for each class and
    may divide that further (by speaker, by session); for a recording that lies in no such folder, the one it lies in.

    Args:
        file: The recording.
        root: The folder that it was found from.

    Returns:
        The folder's name.

    Example:
        >>> folder_label(Path("pets/dog/monday/a.wav"), Path("pets")), folder_label(Path("pets/b.wav"), Path("pets"))
        ('dog', 'pets')
    """
    beneath = file.relative_to(root).parts
    return beneath[0] if len(beneath) > 1 else os.path.basename(os.path.abspath(file.parent)) or "/"


def label_names(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the names of classes in order: numbers by size, then words by letter.

    Args:
        labels: The label of each recording.

    Returns:
        Each name once.

    Example:
        >>> label_names(["10", "dog", "9", "cat", "dog"])
        ('9', '10', 'cat', 'dog')
    """

    def order(name: str) -> tuple[int, int, str]:
        return (0, int(name), name) if name.isascii() and name.isdigit() else (1, 0, name)

    return tuple(sorted(set(labels), key=order))


def _cells(file: Path, text: str, separator: str) -> Iterator[tuple[int, dict[str, Any]]]:
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
                    f"{file}:{reader.line_num}: {len(cells)} cells, but the first line names {len(header)} columns; "
                    f'a cell that holds {separator!r} is put in "quotes"'
                )
            yield (
                reader.line_num,
                {key: cell.strip() or None for key, cell in zip(header, cells, strict=True) if key},
            )
    except csv.Error as error:
        raise ValueError(f"{file}:{reader.line_num}: cannot be parsed: {error}") from error
    if header is None:
        raise ValueError(f"{file}: the manifest is empty; its first line names the columns, of them path")


def _objects(file: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except ValueError as error:
            raise ValueError(f"{file}:{line}: is no JSON: {error}") from error
        if not isinstance(row, dict):
            raise ValueError(  # noqa: TRY004  a line of a file is a value
                f"{file}:{line}: is a JSON {type(row).__name__}; each line is an object with a path"
            )
        if row.get("path") is None:
            _check_columns(f"{file}:{line}", [key for key in row if key != "path"], None)
        yield line, row


def _check_columns(place: str, columns: list[str], separator: str | None) -> None:
    if "path" in columns:
        doubled = sorted({column for column in columns if column and columns.count(column) > 1})
        if doubled:
            raise ValueError(f"{place}: the column {doubled[0]!r} is there twice")
        return
    near = [column for column in columns if column.lower() in _MEANT]
    hint = f"; rename {near[0]!r}" if near else ""
    if separator is not None and len(columns) == 1 and any(other in columns[0] for other in ";,\t|"):
        hint = f"; columns are separated by {'commas' if separator == ',' else 'tabs'}"
    raise ValueError(f"{place}: has no column 'path', it has {', '.join(map(repr, columns)) or 'none'}{hint}")


_MEANT = ("audio", "audio_filepath", "audio_path", "file", "file_path", "filename", "filepath", "path", "paths", "wav")


def _recording(place: str, folder: Path, row: Mapping[str, Any]) -> Recording:
    path = row.get("path")
    if not isinstance(path, str) or not path or "\0" in path:
        raise ValueError(f"{place}: path is the name of a file, got {path!r}")
    values: dict[str, Any] = {"path": os.path.join(folder, path)}
    for column, convert in _CONVERTED.items():
        value = row.get(column)
        if value is not None:
            values[column] = convert(place, column, value)
    recording = Recording(**values)
    if recording.end is not None and recording.end <= recording.start:
        raise ValueError(f"{place}: end is {recording.end:g} s, which is not after start, {recording.start:g} s")
    return recording


def _word(place: str, column: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise ValueError(f"{place}: {column} is a word or an integer, got {value!r}")
    return str(value)


def _seconds(place: str, column: str, value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"{place}: {column} is a number of seconds, at least 0, got {value!r}")
    return number


def _count(place: str, column: str, value: Any) -> int:
    try:
        number = -1 if isinstance(value, bool | float) else int(value)
    except (TypeError, ValueError):
        number = -1
    if number < 1:
        raise ValueError(f"{place}: {column} is an integer of at least 1, got {value!r}")
    return number


_CONVERTED: dict[str, Callable[[str, str, Any], Any]] = {
    **dict.fromkeys(("label", "split"), _word),
    **dict.fromkeys(("start", "end"), _seconds),
    **dict.fromkeys(("sample_rate", "n_channels", "n_frames"), _count),
}


def _beneath(folder: Path, path: str | os.PathLike[str]) -> str:
    full = Path(os.path.abspath(path))
    real = Path(os.path.realpath(full.parent)) / full.name
    return real.relative_to(folder).as_posix() if real.is_relative_to(folder) else str(full)
