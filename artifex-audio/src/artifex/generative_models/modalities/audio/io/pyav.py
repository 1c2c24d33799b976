"""Decoding with PyAV, the Python binding of ffmpeg's libraries."""

from __future__ import annotations

import contextlib
import os
from bisect import bisect_right
from collections import Counter
from collections.abc import Generator, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

import attrs
import numpy as np

from artifex.generative_models.core.extras import require
from artifex.generative_models.modalities.audio.io.containers import (
    MAGIC,
    audio_track,
    check_container,
    identify_container,
)
from artifex.generative_models.modalities.audio.io.measured import MeasuredFiles
from artifex.generative_models.modalities.audio.io.sources import AudioInfo, AudioReadError, UnsupportedAudioError
from artifex.generative_models.modalities.audio.io.streams import BytesOfStream, PartOfStream

_FORMATS = {
    "mov": "MP4",
    "matroska": "MATROSKA",
    "asf": "ASF",
    "aac": "ADTS",
    "amr": "AMR",
    "ac3": "AC3",
    "eac3": "EAC3",
}
_SUBTYPES: dict[str, str] = {
    "mp3": "MPEG_LAYER_III",
    "mp3float": "MPEG_LAYER_III",
    "mp2": "MPEG_LAYER_II",
    "mp2float": "MPEG_LAYER_II",
    "amrnb": "AMR_NB",
    "amrwb": "AMR_WB",
    "pcm_s8": "PCM_S8",
    "pcm_u8": "PCM_U8",
    **{f"pcm_s{bits}{order}": f"PCM_{bits}" for bits in (16, 24, 32) for order in ("le", "be")},
    **{f"pcm_f32{order}": "FLOAT" for order in ("le", "be")},
    **{f"pcm_f64{order}": "DOUBLE" for order in ("le", "be")},
}
# Codecs whose frames do not depend on those long before; the decoders of the others have a state or random noise.
_SEEKABLE = ("alac", "flac", "vorbis", "pcm_")
# Codecs of which ffmpeg removes the padding of the last packet of an MP4 file.
_TRIMMED = ("aac", "ac3", "eac3", "mp2", "mp3")
_PREROLL = 0.5  # seconds
_MARK_SPACING = 0.25  # seconds
_MAX_UNMARKED = 100  # frames


class PyavReader:
    """The reader of M4A, MP4, MOV, 3GP, AAC, WebM, Matroska, WMA, AMR and AC-3 files, with PyAV.

    The first audio stream is read. Encoder delay and padding are removed and edit lists are applied as by ffmpeg.

    Reference:
        https://pyav.basswood-io.com
    """

    extensions = (
        *(".3g2", ".3ga", ".3gp", ".aac", ".ac3", ".amr", ".asf", ".awb", ".eac3", ".ec3", ".m4a", ".m4b", ".m4r"),
        *(".m4v", ".mka", ".mkv", ".mov", ".mp4", ".weba", ".webm", ".wma", ".wmv"),
    )
    magic = MAGIC
    requires = ("av", "artifex-audio[av]")

    @contextlib.contextmanager
    def open(self, stream: IO[bytes], name: str) -> Generator[MediaRecording]:
        """Open a file and measure its length.

        Args:
            stream: The file.
            name: The path, or the name of a file in memory.

        Yields:
            The open recording.

        Raises:
            UnsupportedAudioError: When it is another format.
            AudioReadError: When the file is truncated or damaged, or contains no audio.
            MissingDependencyError: Without the extra ``artifex-audio[av]``.
        """
        require("av", install="artifex-audio[av]", purpose="Reading this format")
        content = BytesOfStream(stream)
        container = identify_container(content)
        if container is None:
            raise UnsupportedAudioError(
                name, "is not audio that can be decoded; expected MP4, AAC, Matroska, WMA, AMR or AC-3"
            )
        with contextlib.closing(MediaRecording(name, stream, container)) as recording:
            yield recording

    def example(self) -> bytes:
        """Return a small AMR file, for the conformance kit."""
        return b"#!AMR\n" + (b"\x3c" + bytes(range(31))) * 10


@attrs.frozen(kw_only=True)
class _Measured:
    """The header and the length of a file, and the samples at which decoding can start, by timestamp."""

    info: AudioInfo
    marks: dict[int, int]


class MediaRecording:
    """A file that is open for reading with PyAV.

    Args:
        name: Name of the recording in error messages.
        stream: The file.
        container: ffmpeg's name of the container.

    Attributes:
        info: The header of the file; the length is that of its decoded samples.

    Raises:
        AudioReadError: When the file is truncated or damaged, or contains no audio.
    """

    def __init__(self, name: str, stream: IO[bytes], container: str) -> None:
        self._name, self._stream, self._format = name, stream, container
        self._opened: contextlib.ExitStack = contextlib.ExitStack()
        self._frames: Iterator[Any] = iter(())
        self._part: PartOfStream | None = None
        self._place, self._rest = -1, np.empty((0, 1), np.float32)
        self._n_packets, self._last_packet, self._is_trimmed = 0, (0, 0), False
        measured = _measured.get(stream)
        if measured is None:
            measured = self._measure()
            _measured.put(stream, measured, 1000 + 200 * len(measured.marks))
        self._marks, self._starts = measured.marks, tuple(measured.marks.values())
        self.info = attrs.evolve(measured.info, path=Path(name))

    def read(self, start: int, count: int, *, out: np.ndarray | None = None) -> np.ndarray:
        """Return a span of the file.

        Args:
            start: First sample.
            count: Number of samples.
            out: Not used.

        Returns:
            float32 (count, channels), full scale [-1, 1].

        Raises:
            AudioReadError: When the span cannot be decoded.
        """
        self._go_to(start)
        samples = np.empty((count, self.info.n_channels), np.float32)
        n_filled = 0
        while n_filled < count:
            if not len(self._rest):
                frame = next(self._frames, None)
                if frame is None:
                    raise self._too_short(start + n_filled)
                self._rest = _to_float(frame)
            piece = self._rest[: count - n_filled]
            self._rest = self._rest[len(piece) :]
            samples[n_filled : n_filled + len(piece)] = piece
            n_filled += len(piece)
        self._place = start + count
        return samples

    def close(self) -> None:
        """Close the decoder; the stream stays open."""
        self._frames = iter(())
        self._opened.close()
        self._place = -1

    def _measure(self) -> _Measured:
        with self._errors():
            n_packets = check_container(self._name, self._format, BytesOfStream(self._stream))
            codec: str = self._open().codec_context.name
        n_samples = 0
        first = None
        places: list[tuple[int, int]] = []
        for frame in self._frames:
            first = first or frame
            if codec.startswith(_SEEKABLE) and frame.pts is not None:
                places.append((n_samples, frame.pts))
            n_samples += frame.samples
        self.close()
        if self._n_packets < n_packets:
            raise AudioReadError(
                self._name, f"is damaged: {self._n_packets} of {n_packets} packets can be decoded; download it again"
            )
        if first is not None and self._format == "mov":
            n_samples -= self._padding(n_samples, first.sample_rate, codec)
        if first is None or n_samples < 1:
            raise AudioReadError(self._name, "contains 0 samples; download or record it again")
        return _Measured(
            info=AudioInfo(
                path=Path(self._name),
                sample_rate=first.sample_rate,
                n_channels=first.layout.nb_channels,
                n_samples=n_samples,
                format=_FORMATS[self._format],
                subtype=_SUBTYPES.get(codec, codec.upper()),
            ),
            marks=_marks(places, round(_MARK_SPACING * first.sample_rate)),
        )

    def _padding(self, n_samples: int, sample_rate: int, codec: str) -> int:
        """Return the number of decoded samples after the end of an MP4 track, which ffmpeg removes since version 9."""
        track = audio_track(BytesOfStream(self._stream))
        last, ended = self._last_packet
        if self._is_trimmed or track is None or track.is_fragmented or len(track.edits) > 1:
            return 0
        (duration, start), *_ = track.edits or ((np.inf, 0),)
        if start < 0 or duration <= 0:
            return 0
        n_edited = duration * track.timescale
        if codec.startswith(_TRIMMED):
            end = min(n_edited, track.duration - start)
            excess = n_samples - round(end * sample_rate / track.timescale)
        elif n_edited < last + ended:
            excess = round((last + ended - n_edited) * sample_rate / track.timescale)
        else:
            excess = 0
        return max(0, excess)

    def _go_to(self, start: int) -> None:
        """Decode up to a sample."""
        preroll = round(_PREROLL * self.info.sample_rate)
        number = bisect_right(self._starts, start - preroll) - 1
        mark = self._starts[number] if number >= 0 else 0
        if not 0 <= self._place <= start or mark > self._place + 2 * preroll:
            self._start_at(mark)
        while self._place < start:
            n_wanted = start - self._place
            if not len(self._rest):
                frame = next(self._frames, None)
                if frame is None:
                    raise self._too_short(self._place)
                if frame.samples <= n_wanted:
                    self._place += frame.samples
                    continue
                self._rest = _to_float(frame)
            n_skipped = min(n_wanted, len(self._rest))
            self._rest = self._rest[n_skipped:]
            self._place += n_skipped

    def _start_at(self, mark: int) -> None:
        """Open the file at a mark, or at its start."""
        self.close()
        self._rest = self._rest[:0]
        with self._errors():
            stream = self._open()
            if mark:
                timestamp = next(timestamp for timestamp, sample in self._marks.items() if sample == mark)
                stream.container.seek(timestamp, stream=stream)
        self._place = 0
        for frame in islice(self._frames, _MAX_UNMARKED if mark else 0):
            if self._marks.get(frame.pts, np.inf) <= mark:
                self._place, self._rest = self._marks[frame.pts], _to_float(frame)
                return
        if mark:
            self._start_at(0)

    def _open(self) -> Any:
        """Open the file, and return its first audio stream."""
        import av
        from av.stream import Discard

        part = PartOfStream(self._stream, 0, self._stream.seek(0, os.SEEK_END))
        part.seek(0)
        self._part = part
        is_lenient = int(av.__version__.partition(".")[0]) >= 19
        options: dict[str, Any] = {} if is_lenient else {"metadata_errors": "ignore"}
        open_container: Any = av.open
        container = open_container(part, format=self._format, **options)
        self._opened.enter_context(container)
        if not container.streams.audio:
            raise AudioReadError(self._name, "contains no audio")
        stream = container.streams.audio[0]
        if stream.codec_context is None:
            raise UnsupportedAudioError(self._name, "the codec of its audio is not supported by PyAV")
        for other in container.streams:
            if other is not stream:
                other.discard = Discard.all
        stream.codec_context.options = {"err_detect": "crccheck+explode"}
        self._n_packets = 0
        self._frames = self._decode(container, stream)
        return stream

    def _decode(self, container: Any, stream: Any) -> Iterator[Any]:
        shape = None
        with self._errors():
            for packet in container.demux(stream):
                self._n_packets += packet.size > 0
                if packet.pts is not None:
                    end = sum(self._last_packet)
                    if self._format == "asf" and self._n_packets > 1 and packet.pts > end + (packet.duration or 0) / 2:
                        raise AudioReadError(
                            self._name, f"is damaged: {packet.pts - end} ms of audio are missing; download it again"
                        )
                    self._last_packet = (packet.pts, packet.duration or 0)
                if packet.has_sidedata("skip_samples"):
                    self._is_trimmed |= any(bytes(packet.get_sidedata("skip_samples"))[4:8])
                if packet.is_corrupt:
                    raise AudioReadError(
                        self._name, "is damaged or truncated: a packet is incomplete; download it again"
                    )
                for frame in packet.decode():
                    found = (frame.sample_rate, frame.layout.nb_channels)
                    shape = shape or found
                    if found != shape:
                        raise AudioReadError(
                            self._name,
                            f"changes from {shape[1]} channels at {shape[0]} Hz to {found[1]} channels at {found[0]} Hz; "
                            f"split the file",
                        )
                    yield frame

    @contextlib.contextmanager
    def _errors(self) -> Generator[None]:
        from av.error import FFmpegError

        try:
            yield
        except AudioReadError:
            self._raise_system_error()
            raise
        except MemoryError as error:  # system_errors distinguishes missing memory
            self._raise_system_error()
            raise AudioReadError(
                self._name, "is damaged: it declares more memory than can be allocated; download it again"
            ) from error
        except (FFmpegError, ValueError, OverflowError) as error:
            self._raise_system_error()
            reason = getattr(error, "strerror", None) or str(error)
            raise AudioReadError(
                self._name, f"is damaged or truncated ({reason.lower()}); download it again"
            ) from error
        self._raise_system_error()

    def _raise_system_error(self) -> None:
        if self._part is not None and self._part.error is not None:
            raise self._part.error

    def _too_short(self, place: int) -> AudioReadError:
        return AudioReadError(
            self._name,
            f"is damaged or truncated: its length is {self.info.n_samples} samples, but only {place} can be decoded; "
            f"download it again",
        )


def _to_float(frame: Any) -> np.ndarray:
    """Return a frame as float32 (time, channels)."""
    samples: np.ndarray = frame.to_ndarray()
    samples = samples.T if frame.format.is_planar else samples.reshape(frame.samples, -1)
    if samples.dtype.kind == "f":
        return samples.astype(np.float32)
    full_scale = 2.0 ** (8 * samples.dtype.itemsize - 1)
    zero = full_scale if samples.dtype.kind == "u" else 0.0
    return ((samples.astype(np.float64) - zero) / full_scale).astype(np.float32)


def _marks(places: list[tuple[int, int]], spacing: int) -> dict[int, int]:
    """Return frames at which decoding can start: sample by timestamp.

    They need timestamps of their own; those of Matroska are rounded to milliseconds.
    """
    counts = Counter(timestamp for _, timestamp in places)
    marks: dict[int, int] = {}
    next_mark = 0
    for sample, timestamp in places:
        if counts[timestamp] == 1 and sample >= next_mark:
            marks[timestamp] = sample
            next_mark = sample + spacing
    return marks


# Measuring decodes the whole file.
_measured = MeasuredFiles[_Measured](1 << 24)
