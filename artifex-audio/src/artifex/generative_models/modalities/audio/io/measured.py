"""Memory of what was measured of files, so that reading many spans of a file measures it once."""

from __future__ import annotations

import io
import os
import threading
import time
from collections import OrderedDict
from typing import IO, Generic, TypeVar

T = TypeVar("T")

_SETTLED = 2.0  # seconds after which a file's time tells its versions apart


class MeasuredFiles(Generic[T]):
    """What was measured of the files read last. A file that has changed since, or is in memory, is not among them.

    Args:
        n_files: Maximum number of files.

    Example:
        >>> MeasuredFiles(10).get(io.BytesIO()) is None
        True
    """

    def __init__(self, n_files: int) -> None:
        self._n_files = n_files
        self._files: OrderedDict[tuple[int, ...], T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, stream: IO[bytes]) -> T | None:
        """Return what was measured of a file, or None."""
        version = _version(stream)
        with self._lock:
            if version is None or version not in self._files:
                return None
            self._files.move_to_end(version)
            return self._files[version]

    def put(self, stream: IO[bytes], measured: T) -> None:
        """Keep what was measured of a file."""
        version = _version(stream)
        if version is None:
            return
        with self._lock:
            self._files[version] = measured
            if len(self._files) > self._n_files:
                self._files.popitem(last=False)


def _version(stream: IO[bytes]) -> tuple[int, ...] | None:
    """Return numbers that change when a file does, or None if it is in memory or was modified just now."""
    if isinstance(stream, io.BytesIO):
        return None
    status = os.fstat(stream.fileno())
    # As in git: a file that changes again within the resolution of its time would keep its version.
    if time.time() - max(status.st_mtime, status.st_ctime) < _SETTLED:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
