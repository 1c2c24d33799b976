"""Decoding with soundfile, the Python binding of libsndfile."""

from __future__ import annotations

import contextlib
import io
import os
import struct
from collections.abc import Generator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from artifex.generative_models.core.extras import require
from artifex.generative_models.modalities.audio.io.integrity import check_file, check_header
from artifex.generative_models.modalities.audio.io.sources import AudioInfo, AudioReadError, UnsupportedAudioError

if TYPE_CHECKING:
    import soundfile

_BLOCK = 1 << 20
_MAX_OGG_PAGE_BYTES = 65_307
_MAX_VORBIS_BLOCK = 8192


class SoundfileReader:
    """The reader of the formats that libsndfile decodes, with soundfile.

    Reference:
        https://libsndfile.github.io/libsndfile/formats.html
    """

    extensions = (
        *(".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".rf64", ".snd"),
        *(".w64", ".wav", ".wave"),
    )
    magic = (
        *((0, magic) for magic in (b"RF64", b"BW64", b"riff", b"RIFX", b".snd", b"dns.", b"caff", b"fLaC", b"OggS")),
        *((8, magic) for magic in (b"WAVE", b"AIFF", b"AIFC")),
    )

    @contextlib.contextmanager
    def open(self, stream: IO[bytes], name: str) -> Generator[FileRecording]:
        """Open an audio file and check its header.

        Args:
            stream: The file.
            name: The path, or the name of a file in memory.

        Yields:
            The open recording.

        Raises:
            UnsupportedAudioError: When libsndfile does not support the file.
            AudioReadError: When the file is truncated, or its header is inconsistent.
            MissingDependencyError: Without the extra ``artifex-audio[files]``.
        """
        soundfile = require("soundfile", install="artifex-audio[files]", purpose="Reading audio files")
        check_file(name, stream)
        try:
            file = soundfile.SoundFile(stream if isinstance(stream, io.BytesIO) else stream.fileno(), closefd=False)
        except soundfile.LibsndfileError as error:
            raise UnsupportedAudioError(
                name, f"is not audio that can be decoded ({_reason(error)}); expected wav, flac, ogg, opus, mp3 or aiff"
            ) from error
        with file:
            yield FileRecording(name, file, stream)


class FileRecording:
    """An audio file that is open for reading.

    Args:
        name: Name of the recording in error messages.
        file: The decoder.
        stream: The file itself.

    Attributes:
        info: The header of the file.

    Raises:
        AudioReadError: When the header is inconsistent.
    """

    def __init__(self, name: str, file: soundfile.SoundFile, stream: IO[bytes]) -> None:
        self._file = file
        self._stream = stream
        self.info = AudioInfo(
            path=Path(name),
            sample_rate=file.samplerate,
            n_channels=file.channels,
            n_samples=file.frames,
            format=file.format,
            subtype=file.subtype,
        )
        check_header(self.info, file.extra_info, stream)

    def read(self, start: int, count: int, *, out: np.ndarray | None = None) -> np.ndarray:
        """Return a span of the file.

        Args:
            start: First sample.
            count: Number of samples.
            out: Buffer (count, channels) that may be used for the result.

        Returns:
            float32 (count, channels), full scale [-1, 1].

        Raises:
            AudioReadError: When the span cannot be decoded.
        """
        import soundfile

        file, declared = self._file, self.info.n_samples
        blocks: list[np.ndarray] = []
        n_read = 0
        try:
            self._seek(start)
            # In blocks, so that memory is bounded by the content of the file, not by the length that its header declares.
            while n_read < count:
                block = file.read(min(_BLOCK, count - n_read), dtype="float32", always_2d=True, out=out)
                blocks.append(block)
                n_read += len(block)
                if not len(block):
                    break
        except soundfile.LibsndfileError as error:
            raise AudioReadError(
                self.info.path,
                f"is damaged or truncated after {start + n_read} of {declared} samples ({_reason(error)}); "
                f"download it again",
            ) from error
        if n_read < count:
            raise AudioReadError(
                self.info.path,
                f"is truncated: the header declares {declared} samples, but only {start + n_read} can be decoded; "
                f"download it again",
            )
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)

    def _seek(self, start: int) -> None:
        file = self._file
        if start == file.tell():  # seeking would restart the decoder
            return
        place = min(start, self._exact_vorbis_seek()) if file.subtype == "VORBIS" else start
        file.seek(place)
        while place < start and (n_skipped := len(file.read(min(_BLOCK, start - place), dtype="float32"))):
            place += n_skipped

    def _exact_vorbis_seek(self) -> int:
        """Return the last sample that libsndfile seeks to exactly in an Ogg Vorbis file.

        Positions are counted back from the end of a page. The last page of a file ends before its last block does, and
        libsndfile 1.2.2 is off by the difference. The end of the page before it is exact; without one, only the start is.
        """
        position = self._stream.tell()
        self._stream.seek(max(0, self._stream.seek(0, os.SEEK_END) - 2 * _MAX_OGG_PAGE_BYTES))
        tail = self._stream.read()
        self._stream.seek(position)
        last: tuple[int, int] | None = None
        end = len(tail)
        while (end := tail.rfind(b"OggS", 0, end)) >= 0:
            page = tail[end : end + 27]
            if len(page) < 27 or page[4]:
                continue
            n_samples, serial = struct.unpack("<qI", page[6:18])
            if n_samples < 0:
                continue
            if last is None:
                last = n_samples, serial
            else:
                in_last_page = last[0] - n_samples
                is_exact = serial == last[1] and in_last_page >= 0
                return max(0, self.info.n_samples - in_last_page - _MAX_VORBIS_BLOCK) if is_exact else 0
        return 0


def _reason(error: Exception) -> str:
    return str(getattr(error, "error_string", error)).removeprefix("Error : ").rstrip(".\n").strip().lower()
