"""Files on the host: atomic writes, leftovers of interrupted writes, TOML and YAML."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import socket
import tomllib
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import yaml

from artifex.generative_models.core.checks import is_list, is_mapping
from artifex.generative_models.core.errors import DiskFullError, printable

_DISK_FULL = tuple(getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG") if hasattr(errno, name))
_MAX_NAME_BYTES = 255  # of common file systems
_MAX_ATTEMPTS = 3
_TEMPORARY = re.compile(r"\..+\.(?P<host>[\w-]+)-(?P<pid>\d+)-[0-9a-f]{16}\.tmp")
_MAX_DEPTH = 64
_MAX_DIGITS = 400
_MAX_VALUES = 100_000
_in_progress: set[str] = set()
_T = TypeVar("_T")


@contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Generator[Path, None, None]:
    """Yield a temporary file beside ``target`` that replaces it when the block ends without an error.

    The temporary file is created empty with ``O_EXCL`` and ``O_NOFOLLOW`` under an unpredictable name. It is synced to
    disk before it replaces the target, and removed if the block raises. Readers see the old file or the new one. A target
    that is a symbolic link is replaced, not followed.

    Args:
        target: The file to write; its folder must exist.

    Yields:
        The temporary file.

    Raises:
        DiskFullError: When the disk is full, including errors that a library raises in the block.
        IsADirectoryError: When the target is a folder.
        OSError: When the folder does not exist or cannot be written to.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "settings.txt"
        >>> with atomic_path(target) as temporary:
        ...     _ = temporary.write_text("hop_length = 256")
        >>> target.read_text(), len(list(target.parent.iterdir()))
        ('hop_length = 256', 1)
    """
    target = Path(target)
    if target.is_dir():
        raise IsADirectoryError(f"{printable(target)} is a folder; give the name of a file")
    with disk_full_errors(target), _temporary_file(target) as temporary:
        yield temporary
        _sync(temporary)
        temporary.replace(target)
        _sync_folder(target.parent)


def write_atomic(target: str | os.PathLike[str], content: str | bytes) -> None:
    """Write a file atomically, as ``atomic_path`` does.

    Args:
        target: The file to write; its folder must exist.
        content: Text, written as UTF-8, or bytes.

    Raises:
        DiskFullError: When the disk is full.
        OSError: When the folder does not exist or cannot be written to.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "settings.txt"
        >>> write_atomic(target, "hop_length = 256")
        >>> target.read_text()
        'hop_length = 256'
    """
    encoded = content.encode() if isinstance(content, str) else content

    def write() -> None:
        with atomic_path(target) as temporary:
            temporary.write_bytes(encoded)

    _retry_if_swept(write)


def create_atomic(target: str | os.PathLike[str], content: bytes) -> bool:
    """Write a file atomically unless it exists; of several processes that try at once, one succeeds.

    Args:
        target: The file to create; its folder must exist.
        content: The content.

    Returns:
        Whether this call created the file. On a file system without hard links, two calls at the same moment may both
        do so; the later content stays.

    Raises:
        DiskFullError: When the disk is full.
        OSError: When the folder does not exist or cannot be written to.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "plan.json"
        >>> create_atomic(target, b"{}"), create_atomic(target, b"[]"), target.read_bytes()
        (True, False, b'{}')
    """
    path = Path(target)

    def create() -> bool:
        with disk_full_errors(path), _temporary_file(path) as temporary:
            temporary.write_bytes(content)
            _sync(temporary)
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            except OSError:  # the file system has no hard links
                if path.exists():
                    return False
                temporary.replace(path)
            _sync_folder(path.parent)
        return True

    return _retry_if_swept(create)


@contextmanager
def disk_full_errors(target: str | os.PathLike[str]) -> Generator[None, None, None]:
    """Raise the errors of a full disk as ``DiskFullError``.

    Args:
        target: The file or folder that is written, for the message.

    Yields:
        Nothing.

    Raises:
        DiskFullError: When the block raises because the disk is full, or a quota or the maximum file size is reached.

    Example:
        >>> with disk_full_errors("a.wav"):
        ...     raise OSError(errno.ENOSPC, "No space left on device")
        Traceback (most recent call last):
        artifex.generative_models.core.errors.DiskFullError: a.wav cannot be written: No space left on device; ...
    """
    try:
        yield
    except DiskFullError:
        raise
    except Exception as error:
        reason = disk_full_reason(error)
        if reason is None:
            raise
        raise DiskFullError(
            f"{printable(target)} cannot be written: {reason}; free space, or write to another disk"
        ) from error


def disk_full_reason(error: BaseException) -> str | None:
    """Return the system's message when an error was caused by a full disk, a quota or the maximum file size.

    Args:
        error: An exception of Python, or of a library that reports the system's message.

    Returns:
        The message, or None for any other error.

    Example:
        >>> disk_full_reason(RuntimeError("write() failed: No space left on device"))
        'No space left on device'
        >>> disk_full_reason(OSError(errno.EACCES, "Permission denied")) is None
        True
    """
    for number in _DISK_FULL:
        if getattr(error, "errno", None) == number or os.strerror(number) in str(error):
            return os.strerror(number)
    return disk_full_reason(error.__cause__) if error.__cause__ is not None else None


def temporary_files(folder: str | os.PathLike[str]) -> list[Path]:
    """List the temporary files of ``atomic_path`` in a folder, in progress or left by killed processes.

    Args:
        folder: The folder; subfolders are not searched.

    Returns:
        The files, sorted; empty when the folder does not exist.
    """
    if not Path(folder).is_dir():
        return []
    return sorted(entry for entry in Path(folder).iterdir() if _TEMPORARY.fullmatch(entry.name))


def remove_abandoned_files(folder: str | os.PathLike[str], *, other_hosts: bool = False) -> list[Path]:
    """Remove the temporary files in a folder whose processes have ended.

    Args:
        folder: The folder; subfolders are not searched.
        other_hosts: Whether to remove the files of other hosts and process-id namespaces, too. Their processes cannot be
            checked from here: pass True only when no process writes to the folder any more.

    Returns:
        The files that were removed.
    """
    removed: list[Path] = []
    for path in temporary_files(folder):
        match = _TEMPORARY.fullmatch(path.name)
        if match is None or path.name in _in_progress:
            continue
        is_abandoned = not _is_running(int(match["pid"])) if match["host"] == _host() else other_hosts
        if is_abandoned:
            path.unlink(missing_ok=True)
            removed.append(path)
    return removed


def _sync_folder(folder: str | os.PathLike[str]) -> None:
    """Sync a folder's entries to disk; does nothing on Windows, where a folder cannot be opened.

    Args:
        folder: The folder.
    """
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_table(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a TOML or YAML file that contains a table.

    Args:
        path: A file that ends in .toml, .yaml or .yml.

    Returns:
        The table; an empty one for an empty file.

    Raises:
        FileNotFoundError: When the file does not exist.
        OSError: When it cannot be read.
        ValueError: For another suffix, text that is not UTF-8 or not valid TOML or YAML, or a file that does not
            contain a table.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "settings.toml"
        >>> write_atomic(path, "hop_length = 256")
        >>> read_table(path)
        {'hop_length': 256}
    """
    path = Path(path)
    _format(path)
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error}") from None
    return parse_table(path, text)


def parse_table(path: str | os.PathLike[str], text: str) -> dict[str, Any]:
    """Parse a table from TOML or YAML, by the suffix of its file; the inverse of ``format_table``.

    Args:
        path: A file name that ends in .toml, .yaml or .yml; nothing is read.
        text: The contents of the file.

    Returns:
        The table; an empty one for empty text.

    Raises:
        ValueError: For another suffix, text that is not valid TOML or YAML, or contents that are not a table.

    Example:
        >>> parse_table("settings.toml", "hop_length = 256")
        {'hop_length': 256}
    """
    parse, _ = _format(Path(path))
    try:
        table = parse(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be parsed: {error}") from None
    if table is None:
        return {}
    if not is_mapping(table):
        raise ValueError(f"{path} must contain a table of settings, got {type(table).__name__}")
    return dict(table)


def format_table(path: str | os.PathLike[str], table: Mapping[str, Any]) -> str:
    r"""Format a table as TOML or YAML, by the suffix of the file it is meant for.

    Args:
        path: A file name that ends in .toml, .yaml or .yml; nothing is read or written.
        table: Plain values. TOML has no None: keys whose value is None are left out.

    Returns:
        The text of the file.

    Raises:
        ValueError: For another suffix.

    Example:
        >>> format_table("settings.toml", {"hop_length": 256, "win_length": None})
        'hop_length = 256\n'
    """
    _, dump = _format(Path(path))
    return dump(dict(table))


def _format(path: Path) -> tuple[Callable[[str], Any], Callable[[dict[str, Any]], str]]:
    if path.suffix.lower() not in _FORMATS:
        raise ValueError(f"the file name must end in .toml, .yaml or .yml, got {str(path)!r}")
    return _FORMATS[path.suffix.lower()]


def _load_toml(text: str) -> Any:
    # tomllib takes quadratic time for a key of many parts.
    if re.search(rf"(?<![\w\"'-])(?:[\w\"'-]++\s*+\.\s*+){{{_MAX_DEPTH}}}", text):
        raise ValueError(f"a key is nested more than {_MAX_DEPTH} levels deep")
    return tomllib.loads(text)


def _load_yaml(text: str) -> Any:
    import yaml

    loader = _bounded_yaml_loader()(text)
    try:
        return loader.get_single_data()
    except (yaml.YAMLError, OverflowError) as error:
        raise ValueError(str(error)) from None
    finally:
        loader.dispose()


@cache
def _bounded_yaml_loader() -> type[yaml.SafeLoader]:
    """Return a loader that bounds the depth, and the number of values that aliases expand to."""
    import yaml

    numbers = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")

    class BoundedLoader(yaml.SafeLoader):
        def __init__(self, text: str) -> None:
            super().__init__(text)
            self._depth = 0
            self._sizes: dict[int, int] = {}

        def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
            is_alias = self.check_event(yaml.AliasEvent)
            self._depth += 1
            if self._depth > _MAX_DEPTH:
                raise ValueError(f"values are nested more than {_MAX_DEPTH} levels deep")
            node = super().compose_node(parent, index)
            self._depth -= 1
            if is_alias and id(node) not in self._sizes:
                raise ValueError("a value contains an alias of itself")
            if not is_alias:
                self._sizes[id(node)] = self._size(node)
            return node

        def _size(self, node: yaml.Node | None) -> int:
            children: list[yaml.Node] = []
            if isinstance(node, yaml.MappingNode):
                children = [each for pair in node.value for each in pair]
            elif isinstance(node, yaml.SequenceNode):
                children = list(node.value)
            elif isinstance(node, yaml.ScalarNode) and node.tag in numbers and len(node.value) > _MAX_DIGITS:
                raise ValueError(f"a number has more than {_MAX_DIGITS} characters")
            size = 1 + sum(self._sizes[id(each)] for each in children)
            if size > _MAX_VALUES:
                raise ValueError(f"aliases expand to more than {_MAX_VALUES} values")
            return size

    return BoundedLoader


def _dump_toml(data: dict[str, Any]) -> str:
    import tomli_w

    return tomli_w.dumps(_without_none(data))


def _dump_yaml(data: dict[str, Any]) -> str:
    import yaml

    return str(yaml.safe_dump(data, sort_keys=False))


_FORMATS: dict[str, tuple[Callable[[str], Any], Callable[[dict[str, Any]], str]]] = {
    ".toml": (_load_toml, _dump_toml),
    ".yaml": (_load_yaml, _dump_yaml),
    ".yml": (_load_yaml, _dump_yaml),
}


def _without_none(value: Any) -> Any:
    if is_mapping(value):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return [_without_none(v) for v in value] if is_list(value) else value


def _retry_if_swept(write: Callable[[], _T]) -> _T:
    """Write again when the temporary file is gone: another host may remove it when it finds the output complete."""
    for _ in range(_MAX_ATTEMPTS - 1):
        try:
            return write()
        except FileNotFoundError as error:
            if not _TEMPORARY.fullmatch(os.path.basename(error.filename or "")):
                raise
            if not os.path.isdir(os.path.dirname(error.filename) or "."):
                raise
    return write()


@contextmanager
def _temporary_file(target: Path) -> Generator[Path, None, None]:
    ending = f".{_host()}-{os.getpid()}-{secrets.token_hex(8)}.tmp"
    # The name of the target is cut where the file system could not store it with the ending.
    name = os.fsdecode(os.fsencode(target.name)[: _MAX_NAME_BYTES - len(ending) - 1])
    temporary = target.with_name(f".{name}{ending}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0), 0o666))
    _in_progress.add(temporary.name)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
        _in_progress.discard(temporary.name)


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _host() -> str:
    """Return an identifier of the system and its process-id namespace, within which process ids are comparable."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")  # read each time: a forked process may be in another one
    except OSError:  # not Linux
        namespace = ""
    return _identifier(namespace)


@cache
def _identifier(namespace: str) -> str:
    """Return an identifier of a process-id namespace. Hosts may have the same name, so it depends on the boot, too."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:  # not Linux
        boot = ""
    names = "\0".join((socket.gethostname(), boot, namespace))
    return hashlib.sha256(names.encode("utf-8", "replace")).hexdigest()[:16]


def _is_running(pid: int) -> bool:
    if pid == os.getpid():  # an earlier process of this id: the files of this one are in _in_progress
        return False
    if os.name == "nt":  # signal 0 ends a process there
        return True
    try:
        os.kill(pid, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)
    return True
