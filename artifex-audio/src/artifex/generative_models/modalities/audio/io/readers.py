"""Opening recordings with the reader that recognizes them: by magic bytes first, then by extension."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import stat
import warnings
from collections.abc import Generator, Iterator
from typing import IO, Protocol

import numpy as np

from artifex.generative_models.core import BrokenComponentError, registry
from artifex.generative_models.core.protocols import Reader
from artifex.generative_models.modalities.audio.io.faults import describe_mode, system_error, system_errors
from artifex.generative_models.modalities.audio.io.sources import (
    ArrayRecording,
    AudioInfo,
    AudioReadError,
    AudioSource,
    Samples,
    UnsupportedAudioError,
    source_name,
)
from artifex.generative_models.modalities.audio.io.streams import FileInMemory

_BUILT_IN = "soundfile"
_HEAD_BYTES = 4096


class AudioRecording(Protocol):
    """An open recording, as readers return it.

    Attributes:
        info: The header; ``n_samples`` is the length that ``read`` can return, not an estimate.
    """

    info: AudioInfo

    def read(self, start: int, count: int, *, out: np.ndarray | None = None) -> np.ndarray:
        """Return a span as float32 (count, channels), full scale [-1, 1].

        Args:
            start: First sample.
            count: Number of samples; ``start + count`` is at most ``info.n_samples``.
            out: Buffer (count, channels), float32, that may be used for the result.

        Raises:
            AudioReadError: When fewer samples can be decoded.
        """
        ...


@contextlib.contextmanager
def open_recording(source: AudioSource, name: str | None = None) -> Generator[AudioRecording]:
    """Open a recording with the first reader that recognizes it.

    A reader recognizes a file by its magic bytes, else by its extension; the reader ``soundfile`` comes first, the others
    follow in the order of their names. A file that one reader does not support is passed to the next.

    Args:
        source: The path of a file, the bytes of a file, or ``Samples``.
        name: Name of a recording in memory in error messages; its extension is used like that of a file.

    Yields:
        The open recording.

    Raises:
        AudioReadError: When the file does not exist, no reader supports it, or it is damaged.
        MissingDependencyError: When the reader of the file needs an extra that is not installed.

    Example:
        >>> with open_recording(Samples(np.zeros(800), 8000)) as recording:
        ...     recording.info.duration, recording.read(0, 2).shape
        (0.1, (2, 1))
    """
    known_as = source_name(source, name)
    if isinstance(source, Samples):
        yield ArrayRecording(source, known_as)
        return
    # The file is opened once, for the checks and for the decoder.
    with system_errors(known_as), _open_stream(source, known_as) as stream, contextlib.ExitStack() as stack:
        yield _open_with_readers(stream, known_as, stack)


def reader_extensions() -> tuple[str, ...]:
    """Return the extensions of the files that can be read, sorted.

    Returns:
        Extensions such as ``".wav"``, in lower case, of all readers whose extra is installed. Readers that cannot be loaded
        are omitted with a warning.

    Example:
        >>> {".flac", ".mp3", ".wav"} <= set(reader_extensions())
        True
    """
    return tuple(extension for extension, missing in known_extensions().items() if not missing)


def known_extensions() -> dict[str, str]:
    """Return the extensions of all readers, sorted, each with the requirement that must be installed.

    Returns:
        The requirement, such as ``"artifex-audio[av]"``, or "" if the files can be read.

    Example:
        >>> known_extensions()[".wav"]
        ''
    """
    known: dict[str, str] = {}
    for _, reader in _readers():
        missing = _missing(reader) or ""
        for extension in reader.extensions:
            known[extension] = missing and known.get(extension, missing)
    return dict(sorted(known.items()))


def _open_with_readers(stream: IO[bytes], name: str, stack: contextlib.ExitStack) -> AudioRecording:
    head = stream.read(_HEAD_BYTES)
    if not head:
        raise AudioReadError(name, "the file is empty (0 bytes); download or record it again")
    refused: UnsupportedAudioError | None = None
    missing: str | None = None
    for reader in _candidates(head, name):
        if (requirement := _missing(reader)) is not None:
            missing = missing or requirement
            continue
        stream.seek(0)
        try:
            recording: AudioRecording = stack.enter_context(reader.open(stream, name))
        except UnsupportedAudioError as error:
            refused = refused or error
            continue
        return recording
    reason = refused.reason if refused else "no reader that is installed supports this file"
    if missing:
        reason = f"this format needs an extra that is not installed: pip install '{missing}' ({reason})"
    raise AudioReadError(name, reason)


def _candidates(head: bytes, name: str) -> Iterator[Reader]:
    """Yield the readers that may support a file, the most likely first."""
    built_in = registry("reader")[_BUILT_IN]()
    is_recognized = _has_magic(built_in, head)
    if is_recognized:  # no other reader needs to be loaded
        yield built_in
    extension = os.path.splitext(name)[1].lower()
    others = [reader for reader_name, reader in _readers() if reader_name != _BUILT_IN]
    yield from (reader for reader in others if _has_magic(reader, head))
    claims = [reader for reader in (built_in, *others) if extension in reader.extensions]
    unrecognized = [reader for reader in claims if not _has_magic(reader, head)]
    yield from unrecognized
    # The built-in reader also reads some formats without magic bytes or extension.
    if not is_recognized and built_in not in unrecognized:
        yield built_in


def _readers() -> list[tuple[str, Reader]]:
    """Return all readers by name; those that cannot be loaded are skipped with a warning."""
    readers = registry("reader")
    found: list[tuple[str, Reader]] = []
    for name in readers:
        try:
            found.append((name, readers[name]()))
        except BrokenComponentError as error:
            warnings.warn(f"{error}; the formats of this reader cannot be read", RuntimeWarning, stacklevel=2)
    return found


def _has_magic(reader: Reader, head: bytes) -> bool:
    return any(head.startswith(magic, offset) for offset, magic in _by_offset(tuple(reader.magic)))


@functools.cache
def _by_offset(magic: tuple[tuple[int, bytes], ...]) -> tuple[tuple[int, tuple[bytes, ...]], ...]:
    offsets = sorted({offset for offset, _ in magic})
    return tuple((offset, tuple(each for at, each in magic if at == offset)) for offset in offsets)


def _missing(reader: object) -> str | None:
    """Return the requirement that must be installed for a reader, or None."""
    module, requirement = getattr(reader, "requires", (None, None))
    return requirement if module and importlib.util.find_spec(module) is None else None


def _open_stream(source: str | os.PathLike[str] | bytes, name: str) -> IO[bytes]:
    if isinstance(source, bytes):
        return FileInMemory(source)
    try:
        mode = os.stat(source).st_mode
        if stat.S_ISREG(mode):  # opening a named pipe would block
            return open(source, "rb", buffering=0)
    except FileNotFoundError as error:
        raise AudioReadError(name, "no such file") from error
    except OSError as error:
        raise system_error(name, "opened", error) from error
    raise AudioReadError(name, f"is {describe_mode(mode)}; expected a file")
