"""Cache of measurements of files, so that a file is measured once for many spans."""

from __future__ import annotations

import io
import os
import threading
import time
from collections import OrderedDict
from typing import IO, Generic, TypeVar

from artifex.generative_models.modalities.audio.io.streams import PartOfStream

T = TypeVar("T")

_TIME_RESOLUTION = 2.0  # seconds; modifications that are further apart change the modification time of a file


class MeasuredFiles(Generic[T]):
    """Cache of the measurements of the most recently read files.

    Files in memory and files that were modified in the last 2 seconds are not cached.

    Args:
        max_bytes: Maximum size of all measurements together in bytes.

    Example:
        >>> MeasuredFiles(1 << 20).get(io.BytesIO()) is None
        True
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._n_bytes = 0
        self._files: OrderedDict[tuple[int, ...], tuple[T, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, stream: IO[bytes]) -> T | None:
        """Return the measurement of a file, or None.

        Args:
            stream: The file.

        Returns:
            The measurement.
        """
        version = _version(stream)
        with self._lock:
            if version is None or version not in self._files:
                return None
            self._files.move_to_end(version)
            return self._files[version][0]

    def put(self, stream: IO[bytes], measurement: T, n_bytes: int) -> None:
        """Store the measurement of a file.

        Args:
            stream: The file.
            measurement: Its measurement.
            n_bytes: Approximate size of the measurement in bytes.
        """
        version = _version(stream)
        with self._lock:
            if version is None or version in self._files:
                return
            self._files[version] = measurement, n_bytes
            self._n_bytes += n_bytes
            while self._n_bytes > self._max_bytes:
                _, (_, n_oldest) = self._files.popitem(last=False)
                self._n_bytes -= n_oldest


def _version(stream: IO[bytes]) -> tuple[int, ...] | None:
    """Return numbers that change when a file does, or None if it is in memory or was modified just now."""
    if isinstance(stream, io.BytesIO | PartOfStream):
        return None
    status = os.fstat(stream.fileno())
    # As in git: two modifications within the resolution of the modification time have the same version.
    if time.time() - max(status.st_mtime, status.st_ctime) < _TIME_RESOLUTION:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
