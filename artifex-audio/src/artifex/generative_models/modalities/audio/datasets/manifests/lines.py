"""Lines of manifests: CSV, TSV and JSON lines as rows of cells, each with its line number."""

from __future__ import annotations

import csv
import gzip
import json
import os
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import attrs

_MAX_LINE_BYTES = 1 << 26
_MAX_SHOWN = 200


@attrs.frozen(kw_only=True)
class ManifestRow:
    """One line of a manifest.

    Args:
        line: Number of the line, from 1.
        cells: Values by the name of the column; None for an empty cell. The usual names of a file, a start, an end and a
            duration are recognized, such as ``path``, ``audio_filepath``, ``start``, ``offset``, ``end``, ``duration``;
            also ``label``, ``split``, ``sample_rate``, ``n_channels``, ``n_samples``. Others become annotations.
        file: The file of the line, if it is not the manifest itself.

    Example:
        >>> ManifestRow(line=2, cells={"path": "a.wav", "start": 0.5, "text": "hello"}).line
        2
    """

    line: int
    cells: dict[str, object]
    file: Path | None = None


def text_lines(file: Path) -> Iterator[tuple[int, str]]:
    """Read the lines of a UTF-8 file, decompressed when its name ends in .gz.

    Args:
        file: The file.

    Yields:
        The number of each line, from 1, and its text with the line break.

    Raises:
        FileNotFoundError: When the file does not exist.
        ValueError: When it is a folder, is not UTF-8 or not gzip, or a line is longer than 64 MiB.
    """
    try:
        stream = gzip.open(file) if file.suffix.lower() == ".gz" else file.open("rb")  # noqa: SIM115
    except FileNotFoundError:
        raise FileNotFoundError(f"{file}: no such manifest") from None
    except IsADirectoryError:
        raise ValueError(f"{file}: is a folder; expected a manifest file") from None
    number = 0
    with stream:
        try:
            while content := stream.readline(_MAX_LINE_BYTES + 1):
                number += 1
                if len(content) > _MAX_LINE_BYTES:
                    raise ValueError(f"{file}:{number}: is longer than {_MAX_LINE_BYTES >> 20} MiB; is it a manifest?")
                yield number, content.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{file}:{number}: is not valid UTF-8; save it as UTF-8") from error
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"{file}: cannot be decompressed: {error}") from error


def shortened(value: object) -> str:
    """Format a value of a manifest for an error message; long values are shortened.

    Args:
        value: The value.

    Example:
        >>> shortened("a.wav"), shortened(["a"] * 1000)
        ("'a.wav'", 'a list')
    """
    if isinstance(value, list | dict):
        return f"a {type(value).__name__}"  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, int) and abs(value) >= 10**30:
        return "an integer of more than 30 digits"
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def find_beside(folder: Path, path: str) -> str:
    """Return a path that is relative to a manifest, or to the working directory as in Kaldi and lhotse.

    Args:
        folder: The folder of the manifest.
        path: The path.

    Returns:
        The path; an absolute one if the file is not in the folder but exists relative to the working directory.
    """
    is_in_working_directory = not os.path.lexists(folder / path) and os.path.lexists(path)
    return os.path.abspath(path) if is_in_working_directory else path


def table_rows(file: Path) -> Iterator[ManifestRow]:
    """Parse a table by the suffix of its file.

    Args:
        file: A file that ends in .csv or .tsv, with column names in the first line, or in .json or .jsonl, with one JSON
            object per line; .gz after the suffix means gzip.

    Yields:
        The rows.

    Raises:
        FileNotFoundError: When the file does not exist.
        ValueError: When it cannot be parsed. The message names the line.
    """
    suffix = _suffix(file)
    return csv_rows(file) if suffix == ".csv" else tsv_rows(file) if suffix == ".tsv" else json_rows(file)


def csv_rows(file: Path) -> Iterator[ManifestRow]:
    """Parse comma-separated values, where cells may be quoted (RFC 4180); see ``table_rows``."""
    line = 0

    def counted() -> Iterator[str]:
        nonlocal line
        for number, text in text_lines(file):
            line = number
            yield text

    reader = csv.reader(counted(), strict=True, skipinitialspace=True)

    def split() -> Iterator[tuple[int, list[str]]]:
        try:
            for cells in reader:
                yield line, cells
        except csv.Error as error:
            raise ValueError(f"{file}:{line}: cannot be parsed: {error}") from error

    return _rows(file, split(), ",")


def tsv_rows(file: Path) -> Iterator[ManifestRow]:
    """Parse tab-separated values, which have no quoting: quotation marks are part of the text; see ``table_rows``."""
    return _rows(file, ((number, text.rstrip("\r\n").split("\t")) for number, text in text_lines(file)), "\t")


def json_rows(file: Path) -> Iterator[ManifestRow]:
    """Parse JSON lines; see ``table_rows``."""
    for number, text in text_lines(file):
        if not text.strip():
            continue
        try:
            fields = json.loads(text, parse_constant=_constant)
        except RecursionError:
            raise ValueError(f"{file}:{number}: is nested too deeply") from None
        except ValueError as error:
            raise ValueError(f"{file}:{number}: is not valid JSON: {error}; expected one object per line") from error
        if not isinstance(fields, dict):
            raise ValueError(  # noqa: TRY004  the content of a file is a value
                f"{file}:{number}: expected a JSON object with a path, got {type(fields).__name__}"
            )
        yield ManifestRow(line=number, cells=cast(dict[str, object], fields))


def first_columns(file: Path, separator: str | None = None) -> tuple[str, ...]:
    """Return the names of the columns of a table, by which its format is recognized.

    Args:
        file: The file; parsed by its suffix as in ``table_rows``.
        separator: The separator of columns in a file without quoting; None for that of the suffix.

    Returns:
        The cells of the first line, or the keys of the first object; empty if they cannot be parsed.
    """
    try:
        text = next(text for _, text in text_lines(file) if text.strip())
        if separator is not None:
            return tuple(text.rstrip("\r\n").split(separator)) if separator in text else ()
        suffix = _suffix(file)
        if suffix in (".csv", ".tsv"):
            cells = next(csv.reader([text], skipinitialspace=True)) if suffix == ".csv" else text.split("\t")
            return tuple(cell.strip() for cell in cells)
        fields: Any = json.loads(text)
    except (ValueError, StopIteration, RecursionError, csv.Error):
        return ()
    return tuple(cast(dict[str, object], fields)) if isinstance(fields, dict) else ()


def _suffix(file: Path) -> str:
    """Return the suffix of a file in lower case, without that of gzip."""
    return Path(file.name.lower().removesuffix(".gz")).suffix


def _constant(name: str) -> float | None:
    """Convert NaN, which Python's json writes for missing values, to None."""
    return None if name == "NaN" else float(name)


def _rows(file: Path, lines: Iterator[tuple[int, Sequence[str]]], separator: str) -> Iterator[ManifestRow]:
    header: list[str] | None = None
    for number, cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        if header is None:
            header = [cell.strip() for cell in _without_empty_end(cells)]
            _check_header(f"{file}:{number}", header, separator)
            continue
        n_named = len(_without_empty_end(cells, len(header)))
        if n_named != len(header):
            hint = "; a cell that contains a comma must be quoted" if separator == "," else ""
            if header[0].startswith("#") or cells[0].lstrip().startswith("#"):
                hint = "; manifests have no comments: remove the line that begins with #"
            raise ValueError(
                f"{file}:{number}: expected {len(header)} cells, as in the first line, got {n_named}{hint}"
            )
        named = zip(header, cells, strict=False)  # without the empty cells at the end
        yield ManifestRow(line=number, cells={key: cell.strip() or None for key, cell in named if key})
    if header is None:
        raise ValueError(f"{file}: the manifest is empty; its first line must contain column names, including path")


def _without_empty_end(cells: Sequence[str], at_least: int = 0) -> Sequence[str]:
    """Return cells without the empty ones at the end, which spreadsheets write."""
    n_cells = len(cells)
    while n_cells > at_least and not cells[n_cells - 1].strip():
        n_cells -= 1
    return cells[:n_cells]


def _check_header(place: str, header: list[str], separator: str) -> None:
    duplicates = sorted(column for column, count in Counter(header).items() if column and count > 1)
    if duplicates:
        raise ValueError(f"{place}: duplicate column {shortened(duplicates[0])}")
    if len(header) == 1 and any(other in header[0] for other in ";,\t|"):
        raise ValueError(
            f"{place}: columns must be separated by {'commas' if separator == ',' else 'tabs'}, got {shortened(header[0])}"
        )
