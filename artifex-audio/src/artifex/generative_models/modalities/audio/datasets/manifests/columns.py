"""Columns of manifests: their usual names, and the conversion of their values."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from artifex.generative_models.core.errors import suggest
from artifex.generative_models.modalities.audio.datasets.manifests.labels import Label
from artifex.generative_models.modalities.audio.datasets.manifests.lines import shortened
from artifex.generative_models.modalities.audio.datasets.manifests.recording import Recording
from artifex.generative_models.modalities.audio.io.sources import MAX_SAMPLE_RATE

# Names are compared in lower case, with underscores between words.
_OF_A_FILE = (
    "abs|absolute|audio|clip|flac|full|media|mp3|recording|rel|relative|sample|slice|sound|speech|utterance|wav"
)
_OF_A_SEGMENT = "audio|chunk|clip|event|region|seg|segment|sound|speech|t|time|timestamp|utt|utterance"
_MILLISECONDS = "ms|msec|msecs|millis|millisecond|milliseconds"
_SECONDS = f"(_time|_timestamp)?(_(in_)?(s|sec|secs|second|seconds|{_MILLISECONDS}))?"
_OTHER_UNITS = "(_(in_)?(us|ns|samples?|frames?))"
_ROLES = {
    "path": rf"(({_OF_A_FILE})_?)?(path|paths|file|files|file_?path|file_?name|fname|fn)|audio|flac|mp3|wav",
    "start": rf"(({_OF_A_SEGMENT})_)?(start|begin|onset|from){_SECONDS}|tmin|t0",
    "end": rf"(({_OF_A_SEGMENT})_)?(end|stop|finish|until|to){_SECONDS}|tmax|t1",
    "offset": rf"(({_OF_A_SEGMENT})_)?offset{_SECONDS}",
    "duration": rf"(({_OF_A_SEGMENT}|file|total)_)?(duration|dur){_SECONDS}|length_(in_)?(s|sec|secs|seconds|{_MILLISECONDS})",
    "sample_rate": "sample_?rate|sampling_rate|sr|fs",
    "n_channels": "n_channels|num_channels|channels",
    "n_samples": "n_samples|num_samples",
    "label": "label",
    "split": "split",
}
_PATTERNS = {role: re.compile(pattern) for role, pattern in _ROLES.items()}
_UNCLEAR = re.compile(
    rf"(({_OF_A_SEGMENT})_)?(start|begin|onset|offset|end|stop|from|to|duration|dur|length)(_time)?{_OTHER_UNITS}"
    rf"|(frame|sample)_(offset|start|end|onset)|((num|n)_)?frames|(({_OF_A_SEGMENT})_)?length|seconds"
    rf"|(({_OF_A_SEGMENT}|cue|mark)_)?(in|out)(_point)?{_SECONDS}|(x|time_?)(min|max)|(start|begin|end|stop)s|durations"
)
_MAX_COLUMNS = 10_000
_SHOWN_COLUMNS = 12
_TOLERANCE = 0.02
_MAX_SECONDS = 1e9
_MAX_SAMPLES = 1 << 48
_MAX_CHANNELS = 1 << 16


def recording_of(place: str, folder: Path, cells: Mapping[str, object]) -> Recording:
    r"""Convert the cells of a row to a recording.

    Args:
        place: File and line, for messages.
        folder: The base folder of relative paths.
        cells: Values by the name of the column.

    Returns:
        The recording.

    Raises:
        ValueError: When a cell is invalid, two columns have the same meaning, or the unit of a column is unclear.

    Example:
        >>> cells = {"audio_filepath": "a.wav", "offset": 0.5, "duration": 0.25, "text": "yes"}
        >>> recording = recording_of("takes.jsonl:1", Path("takes"), cells)
        >>> recording.path, recording.start, recording.end, recording.annotations
        ('takes/a.wav', 0.5, 0.75, {'text': 'yes'})
    """
    present = {column: value for column, value in cells.items() if value is not None}
    # The offset of a sound event, which has an onset, is its end; in other manifests, the offset is the start.
    has_onset = any(_normalized(column).endswith("onset") for column in cells)
    columns = _columns_by_role(place, tuple(present), "end" if has_onset else "start")
    path, name = _path(place, folder, columns["path"], present[columns["path"]])
    fields: dict[str, Any] = {"path": path, "name": name}
    numbers: dict[str, float] = {
        role: _as_seconds(place, columns[role], present[columns[role]])
        for role in ("start", "end", "duration")
        if role in columns
    }
    for role, convert in _CONVERTERS.items():
        if role in columns:
            fields[role] = convert(place, columns[role], present[columns[role]])
    start, end = _segment(place, columns, numbers, fields)
    used = set(columns.values())
    annotations = {column: value for column, value in present.items() if column not in used}
    for column, value in annotations.items():
        if isinstance(value, float | list | dict):
            _check_writable(place, column, cast(object, value))
    return Recording(**fields, start=start, end=end, annotations=annotations)


@lru_cache(maxsize=1024)
def _roles_of(columns: tuple[str, ...], role_of_offset: str) -> tuple[dict[str, str], str]:
    """Return the column of each role, and an error message or an empty string."""
    found: dict[str, str] = {}
    names = {column: _normalized(column) for column in columns}
    for column, name in names.items():
        role = next((role for role, pattern in _PATTERNS.items() if pattern.fullmatch(name)), None)
        role = role_of_offset if role == "offset" else role
        if role in found:
            return found, f"columns {found[role]!r} and {column!r} are both the {role}; drop or rename one of them"
        if role is not None:
            found[role] = column
        elif _UNCLEAR.fullmatch(name):
            return found, (
                f"column {column!r} may be a time; times are in seconds, in columns named start, end or duration, and "
                f"lengths of whole files in n_samples: convert or rename it"
            )
    if "path" not in found:
        given = ", ".join(map(shortened, columns[:_SHOWN_COLUMNS])) or "no columns"
        given += f" and {len(columns) - _SHOWN_COLUMNS} more" if len(columns) > _SHOWN_COLUMNS else ""
        hint = suggest(columns[0][:40], ["path", "audio_filepath", "file_name"]) if len(columns) == 1 else ""
        return found, f"expected a column 'path' (or audio_filepath, file_name, wav …), got {given}{hint}"
    return found, ""


def _columns_by_role(place: str, columns: tuple[str, ...], role_of_offset: str) -> dict[str, str]:
    if len(columns) > _MAX_COLUMNS:
        raise ValueError(f"{place}: has {len(columns)} columns; a manifest has at most {_MAX_COLUMNS}")
    found, problem = _roles_of(columns, role_of_offset)
    if problem:
        raise ValueError(f"{place}: {problem}")
    return found


@lru_cache(maxsize=1024)
def _normalized(column: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column)
    return re.sub(r"[^0-9a-z]+", "_", words.lower()).strip("_")


def _path(place: str, folder: Path, column: str, value: object) -> tuple[str, str]:
    """Return the path of a file, and its name relative to the folder of the manifest."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"{place}: {column} must be the path of a file, got {shortened(value)}")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", value):
        raise ValueError(
            f"{place}: {column} must be the path of a file, got the URL {shortened(value)}; download the file"
        )
    path = os.path.join(folder, value)
    if value.startswith("~") and not os.path.lexists(path):
        path = os.path.join(folder, os.path.expanduser(value))
    elif "\\" in value and os.sep != "\\" and not os.path.lexists(path):
        if re.match(r"[A-Za-z]:|\\\\", value):
            raise ValueError(
                f"{place}: {column} is an absolute path of Windows, which does not exist here: {shortened(value)}; "
                f"write paths relative to the manifest"
            )
        path = os.path.join(folder, value.replace("\\", "/"))
    # Strings, since pathlib takes ten times as long as the rest.
    root = os.path.join(os.path.normpath(folder), "")
    name = os.path.normpath(path)
    name = name.removeprefix(root) if root != f".{os.sep}" else name
    return path, name.replace(os.sep, "/").lstrip("/")


def _check_writable(place: str, column: str, value: object) -> None:
    """Raise for an annotation that JSON does not support, before any recording is processed."""
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place}: {column} cannot be written as JSON: {error}") from None


def _segment(
    place: str, columns: Mapping[str, str], numbers: Mapping[str, float], fields: Mapping[str, Any]
) -> tuple[float, float | None]:
    """Return start and end of a segment from two of start, end and duration."""
    start, end, duration = numbers.get("start", 0.0), numbers.get("end"), numbers.get("duration")
    if duration is not None:
        if duration == 0:
            raise ValueError(f"{place}: {columns['duration']} must be above 0 s, got 0")
        if end is None:
            length, rate = fields.get("n_samples"), fields.get("sample_rate")
            whole = start == 0 and length and rate and abs(duration - length / rate) <= 1 / rate
            end = None if whole else start + duration
        elif abs(end - start - duration) > _TOLERANCE:
            raise ValueError(
                f"{place}: {columns['duration']} = {duration:g} s does not agree with start = {start:g} s and "
                f"{columns['end']} = {end:g} s; drop one of the columns"
            )
    if end is not None and end <= start:
        raise ValueError(
            f"{place}: {columns.get('end', 'end')} must be after {columns.get('start', 'start')} = {start:g} s, "
            f"got {end:g} s"
        )
    return start, end


def _as_label(place: str, column: str, value: object) -> Label:
    if isinstance(value, list):
        return tuple(_as_name(place, column, each) for each in cast(list[object], value))
    return _as_name(place, column, value)


def _as_name(place: str, column: str, value: object) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if value == "" or not (isinstance(value, str) or is_number):
        raise ValueError(f"{place}: {column} must be a string, a number, or a list of them, got {shortened(value)}")
    try:
        return str(value)
    except ValueError as error:  # an integer of thousands of digits
        raise ValueError(f"{place}: {column} is too long: {error}") from None


def _as_seconds(place: str, column: str, value: object) -> float:
    number = math.nan
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            number = float(value) / (1000 if re.search(rf"_({_MILLISECONDS})$", _normalized(column)) else 1)
        except (ValueError, OverflowError):
            number = math.nan
    if not 0 <= number <= _MAX_SECONDS:
        raise ValueError(
            f"{place}: {column} must be a number of seconds from 0 to {_MAX_SECONDS:g}, got {shortened(value)}"
        )
    return number


def _as_count(maximum: int) -> Callable[[str, str, object], int]:
    def convert(place: str, column: str, value: object) -> int:
        number = -1
        if isinstance(value, str | int) and not isinstance(value, bool):
            try:
                number = int(re.sub(r"\.0*$", "", value) if isinstance(value, str) else value)  # pandas writes 16000.0
            except ValueError:
                number = -1
        elif isinstance(value, float) and value.is_integer():
            number = int(value)
        if not 1 <= number <= maximum:
            raise ValueError(f"{place}: {column} must be an integer from 1 to {maximum}, got {shortened(value)}")
        return number

    return convert


_CONVERTERS: dict[str, Callable[[str, str, object], Label | int]] = {
    "label": _as_label,
    "split": _as_name,
    "sample_rate": _as_count(MAX_SAMPLE_RATE),
    "n_channels": _as_count(_MAX_CHANNELS),
    "n_samples": _as_count(_MAX_SAMPLES),
}
