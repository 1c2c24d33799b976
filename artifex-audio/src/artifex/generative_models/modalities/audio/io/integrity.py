"""Checks for truncated, damaged and inconsistent audio files that libsndfile reads without an error."""

from __future__ import annotations

import math
import os
import re
from typing import IO

import numpy as np

from artifex.generative_models.modalities.audio.io.sources import MAX_SAMPLE_RATE, AudioInfo, AudioReadError

_LOSSY = ("VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III")
_MAX_LOSSY_PEAK = 8.0
_UNKNOWN_SIZE = 0x7FFFF000  # recorders that write to a pipe store this size or a larger one
_MAX_TRAILING_BYTES = 256
_FLAC_TAIL_BYTES = 1 << 14
_OGG_TAIL_BYTES = 1 << 16

# libsndfile's log of a file, in which it notes inconsistencies that are not errors.
_LOGGED_BYTES = re.compile(r"^\s*(?:data|SSND|Data Size|riff)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
_LOGGED_SAMPLES = re.compile(r"Calculated frame count (\d+) does not match value from 'ds64' chunk of (\d+)")
_LOGGED_CHUNK = re.compile(r"Unknown chunk marker(?: \([0-9A-F]+\))? at position (\d+)")
_LOGGED_LENGTH = re.compile(r"^Length\s*:\s*(\d+)", re.MULTILINE)


def check_file(name: str, stream: IO[bytes]) -> None:
    """Raise if a file is empty, or if its end contradicts its header in a way that libsndfile ignores.

    Args:
        name: Name of the file in error messages.
        stream: The file, open for reading; its position is set to the start.

    Raises:
        AudioReadError: When the file is empty or truncated, or its header is inconsistent.
    """
    size = stream.seek(0, os.SEEK_END)
    if size == 0:
        raise AudioReadError(name, "the file is empty (0 bytes); download or record it again")
    stream.seek(0)
    start = stream.read(4)
    if start == b"fLaC":
        _check_flac(name, stream, size)
    elif start == b"OggS":
        _check_ogg(name, stream, size)
    else:
        _check_mp3(name, stream, size, start)
    stream.seek(0)


def check_header(info: AudioInfo, log: str, stream: IO[bytes]) -> None:
    """Raise if the header of a file is implausible or contradicts the file.

    Args:
        info: The header as libsndfile returns it.
        log: libsndfile's log of the file.
        stream: The file, open for reading; its position is kept.

    Raises:
        AudioReadError: When the sample rate or the number of samples is implausible, the file is truncated, or more
            audio follows than the header declares.
    """
    path = info.path
    if not 1 <= info.sample_rate <= MAX_SAMPLE_RATE:
        raise AudioReadError(path, f"implausible sample rate in the header: {info.sample_rate} Hz; correct the header")
    trailing = _trailing_bytes(log, stream)
    if trailing > _MAX_TRAILING_BYTES and trailing > 0.01 * info.n_samples * info.n_channels:
        raise AudioReadError(
            path,
            f"the header declares {info.n_samples} samples, but {trailing} more bytes follow: the recording was "
            f"interrupted or the header is wrong; repair the header or convert the file again",
        )
    if info.n_samples < 1:
        raise AudioReadError(path, "the header declares 0 samples; download or record it again")
    if info.n_samples >= 1 << 62:
        raise AudioReadError(path, "the header does not declare a length; encode it to a file instead of a stream")
    declared, found, unit = _logged_sizes(log)
    if declared > found:
        raise AudioReadError(
            path, f"is truncated: the header declares {declared} {unit}, the file contains {found}; download it again"
        )


def check_samples(info: AudioInfo, samples: np.ndarray) -> None:
    """Raise if decoded samples are not finite, or far beyond full scale in a lossy format.

    Args:
        info: The header of the recording.
        samples: Samples of any shape, not empty.

    Raises:
        AudioReadError: For such samples.
    """
    peak = float(np.maximum(samples.max(), -samples.min()))
    if not math.isfinite(peak):
        count = samples.size - int(np.isfinite(samples).sum())
        raise AudioReadError(info.path, f"contains {count} samples that are NaN or infinite; repair or exclude it")
    if peak > _MAX_LOSSY_PEAK and info.subtype in _LOSSY:
        raise AudioReadError(
            info.path, f"decodes to a peak of {peak:.3g} (full scale is 1): it is damaged; download it again"
        )


def _logged_sizes(log: str) -> tuple[int, int, str]:
    """Return the declared and the found size, and their unit, from libsndfile's log; zeros if they agree."""
    if match := _LOGGED_BYTES.search(log):
        declared, found = int(match[1]), int(match[2])
        return (0, 0, "") if declared >= _UNKNOWN_SIZE else (declared, found, "bytes of audio")
    if match := _LOGGED_SAMPLES.search(log):
        return int(match[2]), int(match[1]), "samples"
    return 0, 0, ""


def _trailing_bytes(log: str, stream: IO[bytes]) -> int:
    """Return the number of bytes after the last chunk if they look like audio, else 0.

    Tags, text and padding do not count: tags begin with letters, padding with zeros or ones.
    """
    unknown, length = _LOGGED_CHUNK.search(log), _LOGGED_LENGTH.search(log)
    if not unknown or not length:
        return 0
    offset, position = int(unknown[1]), stream.tell()
    stream.seek(offset)
    first = stream.read(4)
    stream.seek(position)
    is_text = first[:3].isalnum() or (first.isascii() and first.decode().isprintable())
    is_padding = first in (bytes(4), b"\xff" * 4)
    return 0 if is_text or is_padding else int(length[1]) - offset


def _check_ogg(name: str, stream: IO[bytes], size: int) -> None:
    stream.seek(max(0, size - _OGG_TAIL_BYTES))
    tail = stream.read()
    page = tail.rfind(b"OggS")
    end_of_stream = 4
    if page < 0 or len(tail) < page + 27 or not tail[page + 5] & end_of_stream:
        raise AudioReadError(name, "is truncated: the end of the Ogg stream is missing; download it again")
    n_segments = tail[page + 26]
    page_bytes = 27 + n_segments + sum(tail[page + 27 : page + 27 + n_segments])
    if len(tail) < page + page_bytes:
        raise AudioReadError(name, "is truncated: the last Ogg page is incomplete; download it again")


def _check_mp3(name: str, stream: IO[bytes], size: int, start: bytes) -> None:
    declared = _xing_bytes(stream, start)
    if declared is None:
        return
    first_frame, n_bytes = declared
    if n_bytes > 1.01 * (size - first_frame):
        raise AudioReadError(
            name,
            f"is truncated: the header declares {n_bytes} bytes of MP3, the file contains {size - first_frame}; "
            f"download it again",
        )


def _xing_bytes(stream: IO[bytes], start: bytes) -> tuple[int, int] | None:
    """Return the position of the first MP3 frame and the bytes that its Xing header declares, or None without one."""
    first_frame = 0
    if start[:3] == b"ID3":
        stream.seek(6)
        size = stream.read(4)
        first_frame = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(size, (21, 14, 7, 0), strict=False))
    stream.seek(first_frame)
    frame = stream.read(64)
    if len(frame) < 64 or frame[0] != 0xFF or frame[1] & 0xE0 != 0xE0:
        return None
    is_mpeg1, is_mono = frame[1] & 0x18 == 0x18, frame[3] & 0xC0 == 0xC0
    tag = 4 + ((17 if is_mono else 32) if is_mpeg1 else (9 if is_mono else 17))
    if frame[tag : tag + 4] not in (b"Xing", b"Info"):
        return None
    flags = int.from_bytes(frame[tag + 4 : tag + 8], "big")
    if not flags & 2:
        return None
    place = tag + 8 + (4 if flags & 1 else 0)
    return first_frame, int.from_bytes(frame[place : place + 4], "big")


def _check_flac(name: str, stream: IO[bytes], size: int) -> None:
    """Raise if the last FLAC frame does not end where the header says that the stream ends."""
    stream.seek(0)
    header = stream.read(42)
    n_samples = int.from_bytes(header[18:26], "big") & ((1 << 36) - 1)
    block_size, max_frame_bytes = int.from_bytes(header[10:12], "big"), int.from_bytes(header[15:18], "big")
    if len(header) < 42 or header[4] & 0x7F or not n_samples:
        return
    stream.seek(max(42, size - max(_FLAC_TAIL_BYTES, min(max_frame_bytes, 1 << 20))))
    tail = stream.read()
    for sync in (b"\xff\xf8", b"\xff\xf9"):
        place = tail.rfind(sync)
        while place >= 0:
            first = _flac_first_sample(tail[place : place + 16], block_size)
            is_last = first is None or first < n_samples <= first + block_size
            # Compressed audio may contain bytes that look like a frame header; the checksum excludes them.
            if not is_last and not _crc(tail[place:], 16, 0x8005):
                raise AudioReadError(
                    name,
                    f"the header declares {n_samples} samples, but the last frame starts at sample {first}: the file is "
                    f"truncated or the header is wrong; download it again or convert it again",
                )
            if first is not None and is_last:
                return
            place = tail.rfind(sync, 0, place)


def _flac_first_sample(header: bytes, block_size: int) -> int | None:
    """Return the first sample of the FLAC frame with this header, or None if it is not a frame header."""
    if len(header) < 6:
        return None
    leading_ones = 8 - (header[4] ^ 0xFF).bit_length()
    n_continuation = max(0, leading_ones - 1)
    n_extra = {6: 1, 7: 2}.get(header[2] >> 4, 0) + {12: 1, 13: 2, 14: 2}.get(header[2] & 15, 0)
    end = 5 + n_continuation + n_extra
    if leading_ones in (1, 8) or len(header) <= end or _crc(header[: end + 1], 8, 0x07):
        return None
    number = header[4] & (0x7F >> leading_ones)
    for byte in header[5 : 5 + n_continuation]:
        number = number << 6 | byte & 0x3F
    has_variable_blocks = header[1] & 1
    return number if has_variable_blocks else number * block_size


def _crc(content: bytes, n_bits: int, polynomial: int) -> int:
    remainder, top = 0, 1 << (n_bits - 1)
    for byte in content:
        remainder ^= byte << (n_bits - 8)
        for _ in range(8):
            remainder = (remainder << 1 ^ polynomial if remainder & top else remainder << 1) & (2 * top - 1)
    return remainder
