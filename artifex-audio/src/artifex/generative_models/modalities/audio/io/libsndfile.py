"""Decoding with soundfile, the Python binding of libsndfile."""

from __future__ import annotations

import io
import os
from bisect import bisect_right
from collections.abc import Callable
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeVar

import attrs
import numpy as np

from artifex.generative_models.core.extras import require
from artifex.generative_models.modalities.audio.io.chunks import find_audio_data
from artifex.generative_models.modalities.audio.io.flac import find_flac
from artifex.generative_models.modalities.audio.io.integrity import check_header
from artifex.generative_models.modalities.audio.io.measured import MeasuredFiles
from artifex.generative_models.modalities.audio.io.mpeg import MpegStream, is_mpeg, mpeg_span, read_mpeg
from artifex.generative_models.modalities.audio.io.ogg import (
    Link,
    check_pages_of_span,
    flac_from_ogg,
    read_ogg,
)
from artifex.generative_models.modalities.audio.io.sources import AudioInfo, AudioReadError, UnsupportedAudioError
from artifex.generative_models.modalities.audio.io.streams import BytesOfStream, FileInMemory, PartOfStream
from artifex.generative_models.modalities.audio.io.tags import skip_leading_tags, skip_trailing_tags

if TYPE_CHECKING:
    import soundfile

T = TypeVar("T")

_BLOCK = 1 << 20
_MAX_VORBIS_BLOCK = 8192
_OPUS_PREROLL = 3840  # samples at 48 kHz, RFC 7845
_MAX_REREAD = 1 << 28
_TRANSIENT_CODES = (2, 17)  # SFE_SYSTEM, SFE_MALLOC_FAILED
_HEADERLESS = {".gsm": "GSM610", ".vox": "VOX_ADPCM"}  # 8 kHz, one channel, by convention
_MPEG_EXTENSIONS = (".mp1", ".mp2", ".mp3", ".mpga")


class SoundfileReader:
    """The reader of the formats that libsndfile decodes, with soundfile.

    Lengths are measured: what headers declare is checked against the chunks, pages or frames of the file. Ogg FLAC, chained
    Ogg and MP3 in WAV are read, too, which libsndfile does not.

    Reference:
        https://libsndfile.github.io/libsndfile/formats.html
    """

    extensions = (
        *(".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".gsm", ".mp2", ".mp3", ".oga", ".ogg", ".opus", ".rf64"),
        *(".snd", ".w64", ".wav", ".wave"),
    )
    magic = (
        *((0, magic) for magic in (b"RF64", b"BW64", b"riff", b"RIFX", b".snd", b"dns.", b"caff", b"fLaC", b"OggS")),
        *((8, magic) for magic in (b"WAVE", b"AIFF", b"AIFC")),
        *((0, b"\xff" + bytes((byte,))) for byte in b"\xfb\xfa\xf3\xf2\xe3\xe2\xfd\xfc\xf5\xf4"),  # MPEG, not AAC
        (0, b"ID3"),
    )

    def open(self, stream: IO[bytes], name: str) -> FileRecording:
        """Open an audio file and check its header.

        Args:
            stream: The file.
            name: The path, or the name of a file in memory.

        Returns:
            The open recording, a context manager that closes it.

        Raises:
            UnsupportedAudioError: When libsndfile does not support the file.
            AudioReadError: When the file is truncated, or its header is inconsistent.
            MissingDependencyError: Without the extra ``artifex-audio[files]``.
        """
        require("soundfile", install="artifex-audio[files]", purpose="Reading audio files")
        return FileRecording(name, stream)

    def example(self) -> bytes:
        """Return a small WAV file, for the conformance kit."""
        soundfile = require("soundfile", install="artifex-audio[files]", purpose="Reading audio files")
        file = io.BytesIO()
        soundfile.write(file, np.linspace(-0.5, 0.5, 600).reshape(300, 2), 8000, format="WAV")
        return file.getvalue()


class FileRecording:
    """An audio file that is open for reading.

    Args:
        name: Name of the recording in error messages.
        stream: The file.

    Attributes:
        info: The header of the file.

    Raises:
        AudioReadError: When the header is inconsistent.
    """

    def __init__(self, name: str, stream: IO[bytes]) -> None:
        self._name = name
        self._stream = stream
        self._parts: list[_Part] = []
        self.info = self._attempt(self._open)
        self._firsts = [0, *accumulate(part.info.n_samples for part in self._parts)]

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
        return self._attempt(lambda: self._read(start, count, out))

    def __enter__(self) -> FileRecording:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the decoders; the stream stays open."""
        for part in self._parts:
            part.close()

    def _read(self, start: int, count: int, out: np.ndarray | None) -> np.ndarray:
        if len(self._parts) == 1:
            return self._parts[0].read(start, count, out)
        pieces: list[np.ndarray] = []
        end = start + count
        for number in range(max(0, bisect_right(self._firsts, start) - 1), len(self._parts)):
            first, part = self._firsts[number], self._parts[number]
            low, high = max(start, first), min(end, first + part.info.n_samples)
            if low < high:
                pieces.append(part.read(low - first, high - low, None))
        return np.concatenate(pieces)

    def _open(self) -> AudioInfo:
        self._parts = _open_parts(self._name, self._stream)
        first, *others = (part.info for part in self._parts)
        for other in others:
            if (other.sample_rate, other.n_channels) != (first.sample_rate, first.n_channels):
                raise AudioReadError(
                    self._name,
                    f"contains streams of different formats: {first.n_channels} channels at {first.sample_rate} Hz, then "
                    f"{other.n_channels} channels at {other.sample_rate} Hz; split the file",
                )
        return attrs.evolve(first, n_samples=sum(part.info.n_samples for part in self._parts)) if others else first

    def _attempt(self, operation: Callable[[], T]) -> T:
        """Call an operation; if it fails, read the file into memory and call it again.

        libsndfile reports an error of the operating system like a damaged file, or as the end of the file. What fails in
        memory, too, is the file's fault. libsndfile reads a large file through Python instead, where errors are visible.
        """
        try:
            return operation()
        except MemoryError as error:
            self.close()
            raise AudioReadError(
                self._name, "cannot be read: not enough memory; read a shorter span", transient=True
            ) from error
        except AudioReadError as error:
            self.close()
            if error.transient or isinstance(self._stream, io.BytesIO | PartOfStream):
                raise
            self._stream = _reread(self._stream)
        self._parts = []
        if operation != self._open:
            self._open()
        try:
            return operation()
        except AudioReadError:
            self.close()
            raise


class _Part(Protocol):
    """A stream in a file."""

    info: AudioInfo

    def read(self, start: int, count: int, out: np.ndarray | None, /) -> np.ndarray: ...

    def close(self) -> None: ...


_Opener = partial[_Part]


def _open_parts(name: str, stream: IO[bytes]) -> list[_Part]:
    """Return the streams of a file, in order."""
    openers = _measured.get(stream)
    if openers is None:
        openers = _measure(name, stream)
        if not any(opener.func is _open_in_memory for opener in openers):
            _measured.put(stream, openers, _n_bytes(openers))
    parts: list[_Part] = []
    try:
        for opener in openers:
            parts.append(opener(name, stream))
    except BaseException:
        for part in parts:
            part.close()
        raise
    return parts


def _measure(name: str, stream: IO[bytes]) -> list[_Opener]:
    """Return functions that open the streams of a file, in order."""
    content = BytesOfStream(stream)
    size = len(content)
    if not size:
        raise AudioReadError(name, "the file is empty (0 bytes); download or record it again")
    start = skip_leading_tags(content, 0, size)
    head = content[start : start + 12]
    if head[:4] == b"fLaC":
        found = find_flac(name, stream, start, skip_trailing_tags(content, start, size))
        if start == 0 and len(found) == 1 and not found[0].patches:
            return [partial(_open_plain)]
        return [partial(_open_window, start=each.start, end=each.end, patches=each.patches) for each in found]
    if head[:4] == b"OggS":
        return _measure_ogg(name, stream, start, skip_trailing_tags(content, start, size))
    data = find_audio_data(name, stream, start, skip_trailing_tags(content, start, size))
    if data is not None and data.is_mpeg:
        return [_measure_mpeg(name, stream, data.start, data.end, "WAV")]
    if data is not None:
        if start == 0 and not data.patches and (data.end == size or data.may_be_followed):
            return [_measure_plain(name, stream, is_checked=True)]
        return [partial(_open_window, start=start, end=data.end, patches=data.patches, is_checked=True)]
    extension = os.path.splitext(name)[1].lower()
    if extension in _MPEG_EXTENSIONS or is_mpeg(content[start : start + _BLOCK // 8]):
        return [_measure_mpeg(name, stream, 0, size, "MP3")]
    return [_measure_plain(name, stream, headerless=_HEADERLESS.get(extension))]


def _measure_plain(name: str, stream: IO[bytes], **options: Any) -> _Opener:
    """Return the function that opens a file, and that raises if libsndfile does not read the same header again.

    libsndfile ignores errors of the operating system while it reads a header, and then decodes other bytes in another format.
    Here it reads through Python, where they raise.
    """
    file = _Decoded(name, PartOfStream(stream, 0, stream.seek(0, os.SEEK_END)), **options)
    layout = file.layout()
    file.close()
    return partial(_open_plain, layout=layout, **options)


def _measure_ogg(name: str, stream: IO[bytes], start: int, end: int) -> list[_Opener]:
    stream.seek(0)
    content = stream.read()
    links = read_ogg(name, content, start, min(end, len(content)))
    is_plain = len(links) == 1 and start == 0 and links[0].is_contiguous and links[0].end == len(content)
    openers: list[_Opener] = []
    for link in links:
        if link.codec == "FLAC":
            native = FileInMemory(flac_from_ogg(name, content, link))
            for each in find_flac(name, native, 0, len(native.getvalue())):
                part = PartOfStream(native, each.start, each.end, each.patches)
                openers.append(partial(_open_in_memory, part=part))
        else:
            openers.append(partial(_open_ogg, link=link, is_plain=is_plain))
    return openers


def _measure_mpeg(name: str, stream: IO[bytes], start: int, end: int, container: str) -> _Opener:
    stream.seek(0)
    found = read_mpeg(name, stream.read(), start, end)
    if found is None:
        raise UnsupportedAudioError(
            name, "is not audio that can be decoded (no MP3 frames); expected wav, flac, ogg, opus, mp3 or aiff"
        )
    return partial(_open_mpeg, layout=found, container=container)


def _open_plain(name: str, stream: IO[bytes], *, layout: tuple[object, ...] = (), **options: Any) -> _Part:
    file = _Decoded(name, stream, **options)
    if layout and file.layout() != layout:
        file.close()
        raise AudioReadError(name, "cannot be read: its header differs from that which was read before")
    return file


def _open_window(
    name: str, stream: IO[bytes], *, start: int, end: int, patches: dict[int, bytes], **options: Any
) -> _Part:
    return _Decoded(name, PartOfStream(stream, start, end, patches), **options)


def _open_mpeg(name: str, stream: IO[bytes], *, layout: MpegStream, container: str) -> _Part:
    return _Mpeg(name, stream, layout=layout, container=container)


def _open_in_memory(name: str, stream: IO[bytes], *, part: PartOfStream) -> _Part:
    return _Decoded(name, part, container="OGG")


def _open_ogg(name: str, stream: IO[bytes], *, link: Link, is_plain: bool) -> _Part:
    content = BytesOfStream(stream)
    source: Any = stream
    if not link.is_contiguous:
        source = FileInMemory(b"".join(content[page.start : page.start + page.size] for page in link.pages))
    elif not is_plain:
        source = PartOfStream(stream, link.start, link.end)
    return _DecodedOgg(name, source, content, link)


_measured = MeasuredFiles[list[_Opener]](1 << 26)


def _n_bytes(openers: list[_Opener]) -> int:
    """Return the approximate size of measurements in memory."""
    n_bytes = 1000
    for opener in openers:
        match opener.keywords:
            case {"layout": MpegStream() as layout}:
                n_bytes += 20 * len(layout.starts)
            case {"link": Link() as link}:
                n_bytes += 400 * len(link.pages)
            case _:
                n_bytes += 1000
    return n_bytes


class _Decoded:
    """A stream that libsndfile decodes."""

    def __init__(
        self,
        name: str,
        source: Any,
        *,
        headerless: str | None = None,
        container: str | None = None,
        is_checked: bool = False,
    ) -> None:
        self._name = name
        self._source = source
        self._headerless = headerless
        self._place = 0  # the decoder's position; codecs that cannot seek do not return it
        self._file = self._open()
        try:
            self.info = AudioInfo(
                path=Path(name),
                sample_rate=self._file.samplerate,
                n_channels=self._file.channels,
                n_samples=self._file.frames,
                format=container or self._file.format,
                subtype=self._file.subtype,
            )
            check_header(self.info, "" if is_checked else self._file.extra_info)
        except AudioReadError:
            self._file.close()
            raise

    def close(self) -> None:
        self._file.close()

    def layout(self) -> tuple[object, ...]:
        """Return the header and, before anything has been decoded, the position of the first byte of the audio."""
        return self.info, self._file.endian, self._source.tell()

    def read(self, start: int, count: int, out: np.ndarray | None, /) -> np.ndarray:
        import soundfile

        blocks: list[np.ndarray] = []
        n_read = 0
        most = max(1, 8 * _BLOCK // max(8, self.info.n_channels))
        try:
            self._seek(start)
            # In blocks, so that memory is bounded by the content of the file, not by the length that its header declares.
            while n_read < count:
                n_wanted = min(most, count - n_read)
                block = self._file.read(n_wanted, dtype="float32", always_2d=True, out=out if count <= most else None)
                blocks.append(block)
                n_read += len(block)
                self._place += len(block)
                # soundfile seeks to the expected position after a short read: going on would repeat or skip samples.
                if len(block) < n_wanted:
                    break
        except soundfile.LibsndfileError as error:
            raise self._error(
                error, f"is damaged or truncated after {start + n_read} of {self.info.n_samples} samples"
            ) from error
        self._raise_system_error()
        if n_read < count:
            raise AudioReadError(
                self._name,
                f"is damaged or truncated: its length is {self.info.n_samples} samples, but only {start + n_read} can be "
                f"decoded; download it again",
            )
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)

    def _open(self) -> soundfile.SoundFile:
        import soundfile

        raw: dict[str, Any] = {}
        if self._headerless:
            raw = {"format": "RAW", "subtype": self._headerless, "samplerate": 8000, "channels": 1}
        self._source.seek(0)
        in_memory = isinstance(self._source, io.BytesIO | PartOfStream)
        file: Any = self._source if in_memory else self._source.fileno()
        try:
            opened = soundfile.SoundFile(file, closefd=False, **raw)
        except soundfile.LibsndfileError as error:
            self._raise_system_error()
            if error.code in _TRANSIENT_CODES:
                raise self._error(error, "cannot be read") from error
            raise UnsupportedAudioError(
                self._name,
                f"is not audio that can be decoded ({_reason(error)}); expected wav, flac, ogg, opus, mp3 or aiff",
            ) from error
        try:
            self._raise_system_error()
        except (OSError, MemoryError):
            opened.close()
            raise
        return opened

    def _seek(self, start: int) -> None:
        if start == self._place:  # seeking would restart the decoder
            return
        if self._file.seekable():
            self._place = self._exact_seek(start)
            self._file.seek(self._place)
        elif self._place > start:
            self._file.close()
            self._file = self._open()
            self._place = 0
        while self._place < start:
            n_wanted = min(max(1, 8 * _BLOCK // max(8, self.info.n_channels)), start - self._place)
            n_skipped = len(self._file.read(n_wanted, dtype="float32"))
            self._place += n_skipped
            if n_skipped < n_wanted:
                raise AudioReadError(
                    self._name,
                    f"is damaged or truncated: its length is {self.info.n_samples} samples, but only {self._place} can be "
                    f"decoded; download it again",
                )

    def _exact_seek(self, start: int) -> int:
        """Return the last sample up to ``start`` that libsndfile seeks to exactly."""
        return start

    def _raise_system_error(self) -> None:
        error = getattr(self._source, "error", None)
        if error is not None:
            raise error

    def _error(self, error: soundfile.LibsndfileError, reason: str) -> AudioReadError:
        self._raise_system_error()
        return AudioReadError(
            self._name, f"{reason} ({_reason(error)}); download it again", transient=error.code in _TRANSIENT_CODES
        )


class _DecodedOgg(_Decoded):
    """A stream of Vorbis or Opus."""

    def __init__(self, name: str, source: Any, content: BytesOfStream, link: Link) -> None:
        super().__init__(name, source)
        self._content = content
        self._link = link

    def read(self, start: int, count: int, out: np.ndarray | None, /) -> np.ndarray:
        scale, offset, reach = 1.0, 0, 2 * _MAX_VORBIS_BLOCK
        if self._link.codec == "OPUS":
            scale, reach = 48000 / self.info.sample_rate, 2 * _OPUS_PREROLL
            offset = self._link.pre_skip
        first = start if start == self._place else self._exact_seek(start)
        check_pages_of_span(
            self._name,
            self._content,
            self._link,
            int(first * scale) - reach,
            int((start + count) * scale) + offset + reach,
        )
        return super().read(start, count, out)

    def _exact_seek(self, start: int) -> int:
        """Return the last sample up to ``start`` that libsndfile seeks to exactly.

        Positions are counted back from the end of a page. The last page of a Vorbis stream ends before its last block does,
        and libsndfile 1.2.2 is off by the difference. The end of the page before it is exact; without one, only the start is.
        """
        if self._link.codec != "VORBIS":
            return start
        ends = [page.granule for page in self._link.pages[-4:] if page.granule >= 0]
        if len(ends) < 2:
            return 0
        return min(start, max(0, self.info.n_samples - (ends[-1] - ends[-2]) - _MAX_VORBIS_BLOCK))


class _Mpeg:
    """An MPEG audio stream; each span is decoded from its own frames."""

    def __init__(self, name: str, stream: IO[bytes], *, layout: MpegStream, container: str) -> None:
        self._name = name
        self._layout = layout
        self._content = BytesOfStream(stream)
        self.info = AudioInfo(
            path=Path(name),
            sample_rate=layout.frame.rate,
            n_channels=layout.frame.n_channels,
            n_samples=layout.n_samples,
            format=container,
            subtype=f"MPEG_LAYER_{'I' * layout.frame.layer}",
        )

    def close(self) -> None:
        """Do nothing: no decoder is open."""

    def read(self, start: int, count: int, out: np.ndarray | None, /) -> np.ndarray:
        import soundfile

        content, n_before, n_total = mpeg_span(self._name, self._layout, self._content, start, count)
        try:
            with soundfile.SoundFile(FileInMemory(content)) as file:
                # libmpg123 removes the delay of its decoder, or not, depending on its version.
                n_before -= n_total - file.frames if self._layout.frame.layer == 3 else 0
                samples: np.ndarray = file.read(n_before + count, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise AudioReadError(
                self._name,
                f"is damaged between samples {start} and {start + count} ({_reason(error)}); download it again",
                transient=error.code in _TRANSIENT_CODES,
            ) from error
        if len(samples) < n_before + count:
            raise AudioReadError(
                self._name,
                f"is damaged: only {max(0, len(samples) - n_before)} of {count} samples can be decoded from sample {start} on; "
                f"download it again",
            )
        return samples[n_before:]


def _reread(stream: IO[bytes]) -> Any:
    """Return a file in memory, or a large one as a part of itself."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    return FileInMemory(stream.read()) if size <= _MAX_REREAD else PartOfStream(stream, 0, size)


def _reason(error: Exception) -> str:
    return str(getattr(error, "error_string", error)).removeprefix("Error : ").rstrip(".\n").strip().lower()
