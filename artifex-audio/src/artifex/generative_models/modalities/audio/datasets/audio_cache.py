"""Files of decoded and resampled audio, for ``cached``. Imports no jax, so that loader workers start fast."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO

import attrs
import numpy as np

from artifex.generative_models.core import registry
from artifex.generative_models.core.components.metadata import installed_version
from artifex.generative_models.core.files import atomic_path, remove_abandoned_files
from artifex.generative_models.modalities.audio.io import (
    AudioInfo,
    AudioReadError,
    AudioSource,
    Samples,
    decode,
    read_blocks,
    resampled_length,
)

_FORMAT = 1  # increase it when the files or the decoded samples change
_HEADER_BYTES = 512
_BLOCK_SIZE = 4096
_BLOCK = np.dtype([("checksum", "<u4"), ("samples", "<f4", (_BLOCK_SIZE,))])
_SCANS = 64

Span = Callable[[AudioInfo], tuple[int, int]]
Crop = Callable[[int], tuple[int, int]]


@attrs.frozen
class _Header:
    """First bytes of a file: the shape of its samples and the header of the recording."""

    n_samples: int
    n_channels: int
    source_sample_rate: int
    source_channels: int
    source_samples: int
    source_format: str
    source_subtype: str

    def encode(self) -> bytes:
        text = json.dumps(attrs.asdict(self)).encode()
        return b"%08x %s" % (zlib.crc32(text), text.ljust(_HEADER_BYTES - 9))

    @staticmethod
    def parse(content: bytes) -> _Header | None:
        text = content[9:].rstrip()
        return _Header(**json.loads(text)) if content[:9] == b"%08x " % zlib.crc32(text) else None

    def info(self, path: Path) -> AudioInfo:
        return AudioInfo(
            path=path,
            sample_rate=self.source_sample_rate,
            n_channels=self.source_channels,
            n_samples=self.source_samples,
            format=self.source_format,
            subtype=self.source_subtype,
        )

    @property
    def n_blocks(self) -> int:
        return -(-self.n_samples * self.n_channels // _BLOCK_SIZE)


class AudioCache:
    """Decoded and resampled segments of recordings in a folder, one file each.

    A file is named by a hash of the recording and the options. It is written atomically and contains a checksum for every
    4096 samples, which is verified when they are read; a missing or damaged file is written again. If the folder cannot be
    written to, or is full, recordings are decoded as without a cache, with one warning per process.

    Args:
        folder: The folder; it is created.
        max_bytes: Maximum size of the folder in bytes; None means no limit.

    Raises:
        OSError: When the folder cannot be created.
    """

    def __init__(self, folder: str | os.PathLike[str], max_bytes: int | None) -> None:
        self.folder = Path(folder).absolute()
        self.max_bytes = max_bytes
        self._used: int | None = None
        self._written = 0
        self._is_stopped = False
        self.folder.mkdir(parents=True, exist_ok=True)
        for subfolder in self.folder.glob("??"):
            remove_abandoned_files(subfolder)

    def decode(
        self,
        source: AudioSource,
        span: Span,
        crop: Crop,
        *,
        segment: tuple[float, float | None],
        sample_rate: int,
        mono: bool,
        name: str,
    ) -> tuple[np.ndarray, AudioInfo]:
        """Return a crop of a segment, from the cache if it contains the segment; otherwise the segment is added to it.

        Args:
            source: The recording.
            span: A function from the header to the samples of the segment; it checks the header.
            crop: A function from the length of the resampled segment to the first sample and the number of samples.
            segment: Start and end of the segment in seconds.
            sample_rate: Target sample rate in Hz.
            mono: Whether to average the channels.
            name: Name of the recording in error messages.

        Returns:
            The samples and the header of the recording, as ``io.decode`` returns them.

        Raises:
            AudioReadError: When the recording cannot be read.
        """
        path = self._path(source, segment, sample_rate, mono=mono)
        if path is not None:
            found = _read(path, span, crop, mono=mono, name=name)
            if found is None and self._write(
                path, read_blocks(source, span, sample_rate=sample_rate, mono=mono, name=name), span, sample_rate
            ):
                found = _read(path, span, crop, mono=mono, name=name)
            if found is not None:
                return found
        return decode(source, span, crop, sample_rate=sample_rate, mono=mono, name=name)

    def read_blocks(
        self,
        source: AudioSource,
        span: Span,
        *,
        segment: tuple[float, float | None],
        sample_rate: int,
        mono: bool,
        name: str,
        size: int = 1 << 16,
    ) -> Iterator[tuple[AudioInfo, np.ndarray]]:
        """Yield a segment in blocks, from the cache if it contains the segment.

        Args:
            source: The recording.
            span: A function from the header to the samples of the segment.
            segment: Start and end of the segment in seconds.
            sample_rate: Target sample rate in Hz.
            mono: Whether to average the channels.
            name: Name of the recording in error messages.
            size: Samples per block.

        Yields:
            The header of the recording and a block (time, channels), as ``io.read_blocks`` yields them.

        Raises:
            AudioReadError: When the recording cannot be read.
        """
        path = self._path(source, segment, sample_rate, mono=mono)
        first, length = 0, 1

        def crop(n_samples: int) -> tuple[int, int]:
            nonlocal length
            length = n_samples
            return first, min(size, n_samples - first)

        while first < length:
            found = None if path is None else _read(path, span, crop, mono=mono, name=name)
            if found is None:
                break
            yield found[1], np.atleast_2d(found[0]).T
            first += size
        else:
            return
        blocks = read_blocks(source, span, size=size, sample_rate=sample_rate, mono=mono, name=name)
        for number, block in enumerate(blocks):
            if number * size >= first:
                yield block

    def _path(
        self, source: AudioSource, segment: tuple[float, float | None], sample_rate: int, *, mono: bool
    ) -> Path | None:
        """Return the file of a segment; None if the recording is missing or invalid, which decoding reports."""
        content: object
        if isinstance(source, bytes):
            content = hashlib.blake2b(source).hexdigest()
        elif isinstance(source, Samples):
            if source.array.dtype.kind not in "fiu":
                return None
            digest = hashlib.blake2b(np.ascontiguousarray(source.array).data).hexdigest()
            content = digest, source.array.shape, source.array.dtype.str, source.sample_rate
        else:
            try:
                status = os.stat(source)
            except OSError:
                return None
            # The time of the last change of the file's entry can't be set, unlike that of its last modification.
            times = status.st_mtime_ns, status.st_ctime_ns
            content = os.path.abspath(source), status.st_size, times
        key = repr((_FORMAT, content, segment, sample_rate, mono, _decoder()))
        name = hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=20).hexdigest()
        return self.folder / name[:2] / f"{name[2:]}.audio"

    def _write(self, path: Path, blocks: Iterator[tuple[AudioInfo, np.ndarray]], span: Span, sample_rate: int) -> bool:
        """Write the blocks of a segment to its file; return False if there is no space."""
        if self._is_stopped:
            return False
        info, block = next(blocks)
        header = _Header(
            resampled_length(info, span(info)[1], sample_rate),
            block.shape[1],
            info.sample_rate,
            info.n_channels,
            info.n_samples,
            info.format,
            info.subtype,
        )
        n_bytes = _HEADER_BYTES + header.n_blocks * _BLOCK.itemsize
        if not self._has_space(n_bytes):
            self._stop(f"is full (max_bytes={self.max_bytes}); increase max_bytes")
            return False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                file.write(header.encode())
                _write_samples(file, block, blocks)
        except AudioReadError:
            raise
        except OSError as error:
            self._stop(f"cannot be written to: {error}")
            return False
        self._written += n_bytes
        return True

    def _has_space(self, n_bytes: int) -> bool:
        if self.max_bytes is None:
            return True
        # Other processes write to the folder, too, so that it is measured again now and then.
        if self._used is None or self._written > self.max_bytes // _SCANS:
            self._used, self._written = _size(self.folder), 0
        return self._used + self._written + n_bytes <= self.max_bytes

    def _stop(self, reason: str) -> None:
        self._is_stopped = True
        message = f"the cache {self.folder} {reason}; recordings that it does not contain are decoded in every epoch"
        warnings.warn(message, UserWarning, stacklevel=6)


def _read(path: Path, span: Span, crop: Crop, *, mono: bool, name: str) -> tuple[np.ndarray, AudioInfo] | None:
    """Return a crop from a file and the header of the recording, or None if the file is missing or damaged."""
    try:
        with path.open("rb") as file:
            header = _Header.parse(file.read(_HEADER_BYTES))
            if header is None:
                return None
            info = header.info(Path(name))
            span(info)
            first, count = crop(header.n_samples)
            samples = _read_samples(file, first * header.n_channels, count * header.n_channels)
    except AudioReadError:
        raise
    except OSError:
        return None
    if samples is None:
        return None
    return (samples if mono else samples.reshape(count, -1).T.copy()), info


def _read_samples(file: BinaryIO, first: int, count: int) -> np.ndarray | None:
    """Return samples of a file, or None if they are damaged."""
    begin, end = first // _BLOCK_SIZE, -(-(first + count) // _BLOCK_SIZE)
    file.seek(_HEADER_BYTES + begin * _BLOCK.itemsize)
    content = bytearray((end - begin) * _BLOCK.itemsize)  # unlike bytes, it gives arrays that can be written to
    if file.readinto(content) < len(content):  # type: ignore[attr-defined]
        return None
    blocks = np.frombuffer(content, _BLOCK)
    checksums = [zlib.crc32(block, number) for number, block in enumerate(blocks["samples"], begin)]
    if checksums != blocks["checksum"].tolist():
        return None
    offset = first - begin * _BLOCK_SIZE
    return blocks["samples"].reshape(-1)[offset : offset + count]


def _write_samples(file: BinaryIO, block: np.ndarray, blocks: Iterator[tuple[AudioInfo, np.ndarray]]) -> None:
    number = 0
    samples = block.ravel()
    while len(samples):
        following = next(blocks, None)
        if following is None:
            samples = np.pad(samples, (0, -len(samples) % _BLOCK_SIZE))
        n_blocks = len(samples) // _BLOCK_SIZE
        content = np.empty(n_blocks, _BLOCK)
        content["samples"] = samples[: n_blocks * _BLOCK_SIZE].reshape(n_blocks, _BLOCK_SIZE)
        content["checksum"] = [zlib.crc32(each, index) for index, each in enumerate(content["samples"], number)]
        file.write(content.tobytes())
        number += n_blocks
        samples = samples[n_blocks * _BLOCK_SIZE :]
        if following is not None:
            samples = np.concatenate([samples, following[1].ravel()])


def _size(folder: Path) -> int:
    total = 0
    for file in folder.glob("??/*"):
        try:
            total += file.stat().st_size
        except OSError:  # another process has removed or renamed it
            continue
    return total


@cache
def _decoder() -> tuple[object, ...]:
    """Return the identity of the code that decodes and resamples: another version may give other samples."""
    readers = registry("reader")
    versions = [installed_version(name) for name in ("soundfile", "soxr")]
    return (*versions, *((name, repr(readers.choice(name).claim)) for name in readers))
