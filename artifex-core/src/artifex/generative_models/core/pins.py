"""Pins: which distribution provides a name, as the file ``artifex.toml`` of a project has it."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from artifex.generative_models.core import plugins
from artifex.generative_models.core.errors import PluginWarning, suggest
from artifex.generative_models.core.plugins import Scan

FILE = "artifex.toml"
VARIABLE = "ARTIFEX_CONFIG"
_TABLE = "components"


@attrs.frozen(kw_only=True)
class Pins:
    """What a project's file chooses.

    Args:
        path: The file in effect, or None when there is none.
        chosen: Distributions by kind and name, each in its normalized spelling.
        text: What stands in the file.
        error: What keeps it from being used: no such file, no TOML, or not of the form that is expected.
    """

    path: str | None = None
    chosen: Mapping[tuple[str, str], str] = attrs.field(factory=dict)
    text: str = ""
    error: OSError | ValueError | None = None

    def place(self, kind: str, name: str) -> str:
        """Return the file and the line where a name is pinned."""
        return _place(self.path, self.text, _TABLE, kind, name)


_lock = threading.Lock()
_known: tuple[Scan | None, Pins] = (None, Pins())


def in_effect() -> Pins:
    """Return the pins in effect: read once for each look at what is installed.

    The file is the one that the environment variable ``ARTIFEX_CONFIG`` names, or the nearest ``artifex.toml``
    from the working directory upward.

    Returns:
        The pins; none where there is no file.

    Raises:
        OSError: When the file that ``ARTIFEX_CONFIG`` names cannot be read.
        ValueError: When the file is malformed; the message holds its name and the line.

    Example:
        >>> "no_such_modality" in in_effect().chosen
        False
    """
    found = read()
    if found.error is not None:
        raise type(found.error)(str(found.error))
    return found


def read() -> Pins:
    """Return the pins in effect as ``in_effect`` does; a file that cannot be used comes with its error.

    Returns:
        The pins. The first reading warns of kinds and names that nobody provides.
    """
    global _known
    scan = plugins.scan()
    with _lock:
        if _known[0] is scan:
            return _known[1]
        found = _read()
        _known = (scan, found)
    for oddity in oddities(found):
        warnings.warn(oddity, PluginWarning, stacklevel=3)
    return found


def oddities(found: Pins) -> Iterator[str]:
    """Say which pins have no effect, since nobody provides what they pin.

    Args:
        found: The pins.

    Returns:
        One sentence for each, with the file, the line and the nearest names.
    """
    scan = plugins.scan()
    unknown = {kind for kind, _ in found.chosen} - set(scan.kinds)
    for kind in sorted(unknown):
        yield (
            f"{_place(found.path, found.text, _TABLE, kind)}: no kind of component {kind!r} is installed."
            f"{suggest(kind, scan.kinds)}"
        )
    for kind, name in found.chosen:
        names = _names(scan, kind)
        if kind not in unknown and name not in names:
            yield f"{found.place(kind, name)}: no {kind} {name!r} is installed.{suggest(name, names)}"


def _names(scan: Scan, kind: str) -> set[str]:
    return {name for _, each in scan.kinds.get(kind, ()) for name in scan.groups.get(each.group, ())}


def _read() -> Pins:
    named = os.environ.get(VARIABLE)
    path = named or _nearest()
    if path is None:
        return Pins()
    try:
        text = Path(path).read_bytes().decode()
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return Pins(path=path, error=ValueError(f"{path}, line {line}: it is no text in UTF-8"))
    except OSError as error:
        how = f", which {VARIABLE} names," if named else ""
        return Pins(path=path, error=type(error)(f"{path}{how} cannot be read: {error.strerror}"))
    try:
        return Pins(path=path, chosen=_chosen(path, text), text=text)
    except ValueError as error:
        return Pins(path=path, text=text, error=error)


def _nearest() -> str | None:
    try:
        folder = Path.cwd()
    except OSError:  # the working directory is gone
        return None
    tried = (str(each / FILE) for each in (folder, *folder.parents))
    return next(filter(os.path.isfile, tried), None)


def _chosen(path: str, text: str) -> dict[tuple[str, str], str]:
    import tomllib  # most projects have no such file

    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}") from error
    for table in content:
        if table != _TABLE:
            raise ValueError(
                f"{_place(path, text, table)}: unknown table {table!r}.{suggest(table, [_TABLE])} "
                f"{FILE} takes: {_TABLE}"
            )
    chosen = {}
    for kind, names in _mapping(path, text, content.get(_TABLE, {}), _TABLE).items():
        for name, distribution in _mapping(path, text, names, _TABLE, kind).items():
            if not isinstance(distribution, str) or not distribution.strip():
                raise ValueError(
                    f"{_place(path, text, _TABLE, kind, name)}: {name} = the name of a distribution in quotes, "
                    f"got {distribution!r}"
                )
            chosen[kind, name] = plugins.normalized(distribution.strip())
    return chosen


def _mapping(path: str, text: str, value: Any, *keys: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    example = '[components.audio_type] with lines such as sine = "artifex-audio"'
    raise ValueError(f"{_place(path, text, *keys)}: {'.'.join(keys)} is a table, got {value!r}; write {example}")


def _place(path: str | None, text: str, *keys: str) -> str:
    """Return file and line of a key: tomllib tells no lines, but the first lines that hold the key do."""
    lines = text.split("\n")
    line = next((n for n in range(1, len(lines) + 1) if _holds("\n".join(lines[:n]), keys)), len(lines))
    return f"{path}, line {line}"


def _holds(text: str, keys: tuple[str, ...]) -> bool:
    import tomllib

    try:
        found: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    for key in keys:
        if not isinstance(found, dict) or key not in found:
            return False
        found = found[key]
    return True
