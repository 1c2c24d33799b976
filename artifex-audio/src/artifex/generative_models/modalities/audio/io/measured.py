"""Measurements of files, kept so that reading many spans of a file measures it once."""

from __future__ import annotations

import io
import os
import threading
import time
from collections import OrderedDict
from typing import IO, Generic, TypeVar

from artifex.generative_models.modalities.audio.io.streams import PartOfStream

T = TypeVar("T")

_SETTLED = 2.0  # seconds after which a modification changes the file's time


class MeasuredFiles(Generic[T]):
    """Measurements of the files that were read last. Files in memory and files that have changed since have none.

    Args:
        max_bytes: Maximum size of the measurements.

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
        """Keep the measurement of a file.

        Args:
            stream: The file.
            measurement: Its measurement.
            n_bytes: Approximate size of the measurement.
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
    # As in git: a file that changes again within the resolution of its time would keep its version.
    if time.time() - max(status.st_mtime, status.st_ctime) < _SETTLED:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
