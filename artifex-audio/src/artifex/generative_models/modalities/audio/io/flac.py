"""FLAC streams: their extent, and their length according to the last frame."""

from __future__ import annotations

import functools
import itertools
import os
import re
from typing import IO

import attrs
import numpy as np

from artifex.generative_models.modalities.audio.io.sources import AudioReadError

_INFO_BYTES = 42
_NEXT_STREAM = b"fLaC\0\0\0\x22"
_BLOCK = 1 << 20
_MAX_SEARCHED = 1 << 19
_N_PROBES = 5
_SYNC = re.compile(rb"\xff[\xf8\xf9]")
_MIN_TAIL, _MAX_TAIL = 1 << 14, 1 << 20
_MAX_METADATA_BLOCKS = 1 << 10
_RATES = {
    1: 88200,
    2: 176400,
    3: 192000,
    4: 8000,
    5: 16000,
    6: 22050,
    7: 24000,
    8: 32000,
    9: 44100,
    10: 48000,
    11: 96000,
}
_SIZES = {
    1: 192,
    **{code: 576 << (code - 2) for code in range(2, 6)},
    **{code: 256 << (code - 8) for code in range(8, 16)},
}


@attrs.frozen
class FlacStream:
    """A FLAC stream in a file.

    Args:
        start: Its first byte.
        end: The byte after it.
        patches: Bytes to replace in the header, by position, so that it declares the length; empty if it does.
    """

    start: int
    end: int
    patches: dict[int, bytes]


@attrs.frozen
class _Frame:
    first: int
    n_samples: int
    rate: int | None


def find_flac(name: str, stream: IO[bytes], start: int, end: int) -> list[FlacStream]:
    """Find the FLAC streams in a file, and check each length against its header.

    Args:
        name: Name of the file in error messages.
        stream: The file; its position changes.
        start: Position of the first stream.
        end: End of the last stream.

    Returns:
        The streams: several if files are concatenated.

    Raises:
        AudioReadError: When a stream is truncated or its metadata is damaged.

    Reference:
        RFC 9639.
    """
    places = [start, *_later_streams(stream, _skip_metadata(stream, start, end) or start + _INFO_BYTES, end), end]
    return [_check_stream(name, stream, first, last) for first, last in itertools.pairwise(places)]


def _later_streams(stream: IO[bytes], place: int, end: int) -> list[int]:
    """Return the positions of the streams after the first.

    A large file is searched only if its frame numbers do not increase, because reading it is slower than decoding a span.
    """
    if end - place > _MAX_SEARCHED and _advances(stream, place, end):
        return []
    found: list[int] = []
    overlap = len(_NEXT_STREAM) - 1
    stream.seek(place)
    rest = b""
    while place < end and (block := stream.read(min(_BLOCK, end - place))):
        content = rest + block
        origin = place - len(rest)
        at = -1
        while (at := content.find(_NEXT_STREAM, at + 1)) >= 0:
            found.append(origin + at)
        rest = content[-overlap:]
        place += len(block)
    return found


def _advances(stream: IO[bytes], start: int, end: int) -> bool:
    """Return whether frame numbers increase at increasing positions, which are denser towards both ends.

    A position without a frame may be in the picture of a later stream.
    """
    size = end - start
    steps = [size >> shift for shift in range(_N_PROBES, 1, -1)]
    numbers: list[int] = []
    for place in [*(start + step for step in steps), start + size // 2, *(end - step for step in reversed(steps))]:
        stream.seek(place)
        block = stream.read(_MIN_TAIL)
        found = (_parse_frame(block[match.start() : match.start() + 16], 1) for match in _SYNC.finditer(block))
        frame = next((frame for frame in found if frame is not None), None)
        if frame is None:
            return False
        numbers.append(frame.first)
    return all(earlier <= later for earlier, later in itertools.pairwise(numbers)) and len(set(numbers)) > 1


def _check_stream(name: str, stream: IO[bytes], start: int, end: int) -> FlacStream:
    stream.seek(start)
    info = stream.read(_INFO_BYTES)
    if len(info) < _INFO_BYTES or info[4] & 0x7F or info[5:8] != b"\0\0\x22":
        raise AudioReadError(name, "is damaged: its FLAC header is incomplete or wrong; download it again")
    declared = int.from_bytes(info[18:26], "big") & ((1 << 36) - 1)
    rate = int.from_bytes(info[18:21], "big") >> 4
    block_size, max_frame_bytes = int.from_bytes(info[10:12], "big"), int.from_bytes(info[15:18], "big")
    _check_first_frame(name, stream, start, end, block_size, rate)
    tail_bytes = min(end - start - _INFO_BYTES, max(_MIN_TAIL, min(max_frame_bytes, _MAX_TAIL)))
    stream.seek(end - tail_bytes)
    tail = stream.read(tail_bytes)
    place = len(tail)
    while (place := _previous_sync(tail, place)) >= 0:
        frame = _parse_frame(tail[place : place + 16], block_size)
        # Compressed audio may contain bytes that look like a frame header; the checksum of the frame excludes them.
        if frame is None or (frame.first + frame.n_samples != declared and crc16(tail[place:])):
            continue
        if frame.rate not in (None, rate):
            raise AudioReadError(
                name, f"is damaged: the header declares {rate} Hz, its frames {frame.rate} Hz; download it again"
            )
        n_samples = frame.first + frame.n_samples
        if n_samples == declared:
            return FlacStream(start, end, {})
        if declared > n_samples:
            raise AudioReadError(
                name,
                f"is truncated or its header is wrong: it declares {declared} samples, the last frame ends at sample "
                f"{n_samples}; download it again or convert it again",
            )
        counted = (int.from_bytes(info[18:26], "big") >> 36 << 36 | n_samples).to_bytes(8, "big")
        return FlacStream(start, end, {start + 18: counted})
    if declared:
        raise AudioReadError(
            name,
            f"is truncated: the header declares {declared} samples, but its last frame is missing; download it again",
        )
    raise AudioReadError(name, "is truncated: its last FLAC frame is incomplete; download it again")


def _previous_sync(content: bytes, end: int) -> int:
    return max(content.rfind(b"\xff\xf8", 0, end), content.rfind(b"\xff\xf9", 0, end))


def _check_first_frame(name: str, stream: IO[bytes], start: int, end: int, block_size: int, rate: int) -> None:
    place = _skip_metadata(stream, start, end)
    if place is not None:
        stream.seek(place)
        frame = _parse_frame(stream.read(16), block_size)
        if frame is not None and (frame.first or frame.rate not in (None, rate)):
            raise AudioReadError(
                name,
                f"is damaged: its first FLAC frame starts at sample {frame.first} with {frame.rate or rate} Hz, expected "
                f"sample 0 with {rate} Hz; download it again",
            )
        if frame is not None:
            return
    raise AudioReadError(name, "is damaged: no FLAC frame follows its metadata; download it again")


def _skip_metadata(stream: IO[bytes], start: int, end: int) -> int | None:
    """Return the position of the first frame of a stream, or None if its metadata is damaged."""
    place = start + 4
    for _ in range(_MAX_METADATA_BLOCKS):
        stream.seek(place, os.SEEK_SET)
        header = stream.read(4)
        place += 4 + int.from_bytes(header[1:4], "big")
        if len(header) < 4 or place > end:
            return None
        if header[0] & 0x80:
            return place
    return None


def _parse_frame(header: bytes, block_size: int) -> _Frame | None:
    """Return the extent of the FLAC frame with this header, or None if it is not a frame header."""
    if len(header) < 6 or header[0] != 0xFF or header[1] & 0xFE != 0xF8:
        return None
    leading_ones = 8 - (header[4] ^ 0xFF).bit_length()
    n_continuation = max(0, leading_ones - 1)
    size_code, rate_code = header[2] >> 4, header[2] & 15
    n_size, n_rate = {6: 1, 7: 2}.get(size_code, 0), {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    end = 5 + n_continuation + n_size + n_rate
    if leading_ones in (1, 8) or len(header) <= end or crc8(header[: end + 1]):
        return None
    number = header[4] & (0x7F >> leading_ones)
    for byte in header[5 : 5 + n_continuation]:
        number = number << 6 | byte & 0x3F
    at = 5 + n_continuation
    n_samples = _SIZES.get(size_code, int.from_bytes(header[at : at + n_size], "big") + 1)
    value = int.from_bytes(header[at + n_size : end], "big")
    rate = {12: 1000 * value, 13: value, 14: 10 * value}.get(rate_code, _RATES.get(rate_code))
    has_variable_blocks = header[1] & 1
    return _Frame(number if has_variable_blocks else number * block_size, n_samples, rate)


def crc8(content: bytes) -> int:
    """Compute the checksum of a frame header.

    Args:
        content: The header; with its checksum, the result is 0.

    Returns:
        The CRC-8 with polynomial 0x07.

    Example:
        >>> hex(crc8(b"123456789"))
        '0xf4'
    """
    remainder = 0
    for byte in content:
        remainder ^= byte
        for _ in range(8):
            remainder = (remainder << 1 ^ 0x107) if remainder & 0x80 else remainder << 1
    return remainder


def crc16(content: bytes) -> int:
    """Compute the checksum of a frame.

    Args:
        content: The frame; with its checksum, the result is 0.

    Returns:
        The CRC-16 with polynomial 0x8005.

    Example:
        >>> hex(crc16(b"123456789"))
        '0xfee8'
    """
    bits = np.unpackbits(np.frombuffer(content, np.uint8))
    powers = _powers()
    # The code is linear: each bit adds x to the power of its distance from the end.
    places = np.flatnonzero(bits[::-1])
    return int(np.bitwise_xor.reduce(powers[places % len(powers)])) if len(places) else 0


@functools.cache
def _powers() -> np.ndarray:
    """Return x**(16 + n) modulo the polynomial, for every n up to its period."""
    powers: list[int] = []
    power = 0x8005
    while not powers or power != 0x8005:
        powers.append(power)
        power = (power << 1 ^ 0x18005) if power & 0x8000 else power << 1
    return np.array(powers, np.uint16)
