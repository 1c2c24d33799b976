"""Errors of the operating system and failed allocations while a file is read: transient unless known to be permanent."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Generator

import numpy as np

from artifex.generative_models.modalities.audio.io.sources import AudioReadError

# Caused by the name, the permissions or the content of a file, such as an invalid position.
_PERMANENT_ERRORS = (
    errno.EACCES,
    errno.EINVAL,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EOVERFLOW,
    errno.EPERM,
)
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_SPARE_BYTES = 64 << 20


@contextlib.contextmanager
def system_errors(path: str | os.PathLike[str]) -> Generator[None]:
    """Raise errors of the operating system and failed allocations as ``AudioReadError``.

    Libraries report a failed allocation as a damaged file. An error that is not transient therefore becomes transient when
    no memory is left.

    Args:
        path: The file that is read.

    Yields:
        Nothing.

    Raises:
        AudioReadError: For an OSError or MemoryError of the block.

    Example:
        >>> with system_errors("a.wav"):
        ...     raise MemoryError
        Traceback (most recent call last):
        artifex.generative_models.modalities.audio.io.sources.AudioReadError: a.wav: cannot be read: not enough memory; ...
    """
    try:
        yield
    except AudioReadError as error:
        if error.transient or _has_spare_memory():
            raise
        raise _memory_error(path) from error
    except OSError as error:
        raise system_error(path, "read", error) from error
    except MemoryError as error:
        raise _memory_error(path) from error


def system_error(path: str | os.PathLike[str], operation: str, error: OSError) -> AudioReadError:
    """Convert an error of the operating system to an ``AudioReadError``.

    Args:
        path: The file.
        operation: ``"opened"`` or ``"read"``.
        error: The error of the operating system.

    Returns:
        The error. It is transient, such as for too many open files or an unavailable network drive, unless the cause is the
        name, the permissions or the content of the file.

    Example:
        >>> system_error("a.wav", "read", OSError(errno.EIO, "Input/output error")).transient
        True
    """
    reason = error.strerror or str(error) or type(error).__name__
    return AudioReadError(path, f"cannot be {operation}: {reason}", transient=is_transient(error))


def is_transient(error: OSError) -> bool:
    """Return whether an error of the operating system may be temporary, that is, not known to be permanent.

    Args:
        error: The error of the operating system.

    Example:
        >>> is_transient(OSError(errno.EIO, "Input/output error")), is_transient(PermissionError(errno.EACCES, ""))
        (True, False)
    """
    return error.errno is not None and error.errno not in _PERMANENT_ERRORS


def describe_mode(mode: int) -> str:
    """Return the type of a path that is not a file, for an error message.

    Args:
        mode: The mode, as ``os.stat`` returns it.

    Example:
        >>> describe_mode(stat.S_IFIFO | 0o644)
        'a named pipe'
    """
    return _KINDS.get(stat.S_IFMT(mode), "neither a file nor a folder")


def exists(path: str | os.PathLike[str]) -> bool:
    """Return whether a file exists; True if this cannot be determined, where ``os.path.exists`` returns False.

    Args:
        path: The path; symbolic links are followed.

    Example:
        >>> exists(os.curdir), exists("no such file")
        (True, False)
    """
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError:
        return True
    return True


def missing_now(error: AudioReadError, *, existed: bool) -> AudioReadError:
    """Return a transient error if a file existed and is missing now, such as on an unmounted drive.

    Args:
        error: The error of reading the file.
        existed: Whether the file existed before.

    Returns:
        The same error, or the transient one.

    Example:
        >>> error = AudioReadError("a.wav", "no such file")
        >>> error.__cause__ = FileNotFoundError()
        >>> missing_now(error, existed=True).transient, missing_now(error, existed=False).transient
        (True, False)
    """
    if existed and isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
        return AudioReadError(error.path, "existed before and is missing now", transient=True)
    return error


def _memory_error(path: str | os.PathLike[str]) -> AudioReadError:
    return AudioReadError(
        path, "cannot be read: not enough memory; free memory, or exclude the file if it is too long", transient=True
    )


def _has_spare_memory() -> bool:
    try:
        np.empty(_SPARE_BYTES, np.uint8)
    except MemoryError:
        return False
    return True
