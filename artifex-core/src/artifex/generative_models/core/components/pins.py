"""Pins: entries of a project's ``artifex.toml`` that select the distribution that provides a component."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from artifex.generative_models.core.checks import is_mapping
from artifex.generative_models.core.components.discovery import Scan, scan
from artifex.generative_models.core.components.metadata import normalize_name
from artifex.generative_models.core.errors import PluginWarning, suggest

FILE = "artifex.toml"
VARIABLE = "ARTIFEX_CONFIG"
_TABLE = "components"


@attrs.frozen(kw_only=True)
class Pins:
    """The pins of a project.

    Args:
        path: The file, or None without a file.
        distributions: The pinned distribution's normalized name, by kind and name.
        text: The content of the file.
        error: The exception raised while the file was read or parsed, or None.
    """

    path: str | None = None
    distributions: Mapping[tuple[str, str], str] = attrs.field(factory=dict[tuple[str, str], str])
    text: str = ""
    error: OSError | ValueError | None = None

    def location(self, kind: str, name: str) -> str:
        """Return the file and the line that pin a name."""
        return _location(self.path, self.text, _TABLE, kind, name)


_lock = threading.Lock()
_cached: tuple[Scan | None, Pins] = (None, Pins())


def active_pins() -> Pins:
    """Return the pins of the current project; the file is read once per scan of the installed distributions.

    The file is the one that the environment variable ``ARTIFEX_CONFIG`` names, or the nearest ``artifex.toml`` in the
    working directory and its parents.

    Returns:
        The pins; empty if there is no file.

    Raises:
        OSError: If the file that ``ARTIFEX_CONFIG`` names cannot be read.
        ValueError: If the file is malformed; the message names the file and the line.

    Example:
        >>> ("modality", "no_such_modality") in active_pins().distributions
        False
    """
    pins = read_pins()
    if pins.error is not None:
        raise pins.error.with_traceback(None)
    return pins


def read_pins() -> Pins:
    """Return the pins of the current project as ``active_pins`` does, but set ``error`` for an invalid file.

    Returns:
        The pins. The first call after a scan warns of unused pins.
    """
    global _cached
    current = scan()
    with _lock:
        if _cached[0] is current:
            return _cached[1]
        pins = _read_file()
        _cached = (current, pins)
    for message in unused_pins(pins):
        warnings.warn(message, PluginWarning, stacklevel=3)
    return pins


def unused_pins(pins: Pins) -> Iterator[str]:
    """Yield a message for each pin of a kind or name that no installed distribution provides.

    Args:
        pins: The pins.

    Yields:
        A sentence with the file, the line and close matches.
    """
    current = scan()
    unknown_kinds = {kind for kind, _ in pins.distributions} - set(current.kinds)
    for kind in sorted(unknown_kinds):
        location = _location(pins.path, pins.text, _TABLE, kind)
        yield f"{location}: no kind of component {kind!r} is installed.{suggest(kind, current.kinds)}"
    for kind, name in pins.distributions:
        names = {name for _, declared in current.kinds.get(kind, ()) for name in current.groups.get(declared.group, ())}
        if kind not in unknown_kinds and name not in names:
            yield f"{pins.location(kind, name)}: no {kind} {name!r} is installed.{suggest(name, names)}"


def _read_file() -> Pins:
    named = os.environ.get(VARIABLE)
    path = named or _nearest_file()
    if path is None:
        return Pins()
    try:
        text = Path(path).read_bytes().decode()
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return Pins(path=path, error=ValueError(f"{path}, line {line}: the file is not UTF-8 text"))
    except OSError as error:
        source = f", which {VARIABLE} names," if named else ""
        return Pins(path=path, error=type(error)(f"{path}{source} cannot be read: {error.strerror}"))
    try:
        return Pins(path=path, distributions=_parse(path, text), text=text)
    except ValueError as error:
        return Pins(path=path, text=text, error=error)


def _nearest_file() -> str | None:
    try:
        folder = Path.cwd()
    except OSError:  # the working directory was deleted
        return None
    candidates = (str(parent / FILE) for parent in (folder, *folder.parents))
    return next(filter(os.path.isfile, candidates), None)


def _parse(path: str, text: str) -> dict[tuple[str, str], str]:
    import tomllib  # imported here because most projects have no such file

    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}") from error
    for table in content:
        if table != _TABLE:
            raise ValueError(
                f"{_location(path, text, table)}: unknown table {table!r}.{suggest(table, [_TABLE])} "
                f"{FILE} may contain: {_TABLE}"
            )
    distributions: dict[tuple[str, str], str] = {}
    for kind, names in _checked_table(path, text, content.get(_TABLE, {}), _TABLE).items():
        for name, distribution in _checked_table(path, text, names, _TABLE, kind).items():
            if not isinstance(distribution, str) or not distribution.strip():
                raise ValueError(
                    f"{_location(path, text, _TABLE, kind, name)}: {name} must be the name of a distribution in "
                    f"quotes, got {distribution!r}"
                )
            distributions[kind, name] = normalize_name(distribution.strip())
    return distributions


def _checked_table(path: str, text: str, value: object, *keys: str) -> Mapping[str, Any]:
    if is_mapping(value):
        return value
    example = '[components.audio_type] with lines such as sine = "artifex-audio"'
    raise ValueError(
        f"{_location(path, text, *keys)}: {'.'.join(keys)} must be a table, got {value!r}; write {example}"
    )


def _location(path: str | None, text: str, *keys: str) -> str:
    """Return the file and line of a key.

    tomllib does not report the lines of keys. The line is the smallest n for which the first n lines are valid TOML and
    contain the key.
    """
    lines = text.split("\n")
    n_lines = next((n for n in range(1, len(lines) + 1) if _has_key("\n".join(lines[:n]), keys)), len(lines))
    return f"{path}, line {n_lines}"


def _has_key(text: str, keys: tuple[str, ...]) -> bool:
    import tomllib

    try:
        table: object = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    for key in keys:
        if not is_mapping(table) or key not in table:
            return False
        table = table[key]
    return True
