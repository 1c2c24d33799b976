"""Parts of files as separate files, with bytes of their headers replaced."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class BytesOfStream:
    """The bytes of a file, read when they are sliced. The position of the file does not change.

    Args:
        stream: The file.

    Example:
        >>> BytesOfStream(io.BytesIO(b"0123456789"))[2:5]
        b'234'
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._descriptor = stream.fileno() if isinstance(stream, io.FileIO) and hasattr(os, "pread") else None
        position = stream.tell()
        self._size = stream.seek(0, os.SEEK_END)
        stream.seek(position)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, span: slice) -> bytes:
        first, last, _ = span.indices(self._size)
        count = max(0, last - first)
        if self._descriptor is not None:
            return os.pread(self._descriptor, count, first)
        position = self._stream.tell()
        self._stream.seek(first)
        content = self._stream.read(count)
        self._stream.seek(position)
        return content


class FileInMemory(io.BytesIO):
    """A file in memory in which seeking to a negative position seeks to the start.

    In a callback of libsndfile, an exception would be printed instead of raised.

    Example:
        >>> FileInMemory(b"0123").seek(-8, os.SEEK_END)
        0
    """

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Set the position.

        Args:
            offset: Offset in bytes.
            whence: Its origin, as for other files.

        Returns:
            The position.
        """
        try:
            return super().seek(offset, whence)
        except ValueError:
            return super().seek(0)


class PartOfStream(io.RawIOBase):
    """A part of a file as a read-only file.

    Errors of the underlying file are kept in ``error``, because libsndfile's callbacks cannot raise them.

    Args:
        stream: The file.
        start: First byte of the part.
        end: The byte after it.
        patches: Bytes to replace, by position in ``stream``.

    Attributes:
        error: The last error of the operating system or of an allocation, or None.

    Example:
        >>> part = PartOfStream(io.BytesIO(b"0123456789"), 2, 8, {4: b"XY"})
        >>> part.read()
        b'23XY67'
    """

    def __init__(self, stream: IO[bytes], start: int, end: int, patches: Mapping[int, bytes] | None = None) -> None:
        super().__init__()
        self._stream, self._start, self._end = stream, start, end
        self._patches = dict(patches or {})
        self._place = start
        self.error: OSError | MemoryError | None = None

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position in the part."""
        return self._place - self._start

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position.

        Args:
            offset: Offset in bytes.
            whence: Its origin, as for other files.

        Returns:
            The position.
        """
        origin = {os.SEEK_SET: self._start, os.SEEK_CUR: self._place, os.SEEK_END: self._end}[whence]
        self._place = max(self._start, origin + offset)
        return self.tell()

    def read(self, size: int = -1, /) -> bytes:
        """Read bytes.

        Args:
            size: Maximum number of bytes; by default all.

        Returns:
            The bytes.

        Raises:
            OSError: When the underlying file cannot be read.
        """
        content = super().read(size)
        if self.error is not None:
            raise self.error
        return content or b""

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read bytes into a buffer; errors are kept.

        Args:
            buffer: The buffer.

        Returns:
            The number of bytes read.
        """
        view = memoryview(buffer).cast("B")
        first = self._place
        count = max(0, min(len(view), self._end - first))
        try:
            self._stream.seek(first)
            content = self._stream.read(count) if count else b""
        except (OSError, MemoryError) as error:
            self.error = error
            return 0
        view[: len(content)] = content
        for place, patch in self._patches.items():
            low, high = max(place, first), min(place + len(patch), first + len(content))
            if low < high:
                view[low - first : high - first] = patch[low - place : high - place]
        self._place += len(content)
        return len(content)
