"""MPEG audio streams (MP3): positions of frames, and spans as small files that decode to exactly the span.

libsndfile takes the length of an MP3 from its first frames, and libmpg123 skips unrecognized bytes. This module parses all
frame headers, so that the length is exact and a missing or damaged frame raises.
"""

from __future__ import annotations

import functools

import attrs
import numpy as np

from artifex.generative_models.modalities.audio.io.sources import AudioReadError
from artifex.generative_models.modalities.audio.io.streams import BytesOfStream
from artifex.generative_models.modalities.audio.io.tags import skip_leading_tags, skip_trailing_tags

_BITRATES = {  # kbit/s by (is MPEG-1, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # MPEG-1, MPEG-2, MPEG-2.5
_DECODER_DELAY = 529
_N_CHAINED = 3  # frames that must follow each other where a stream begins
_MAX_JUNK = 1 << 16
_MAX_BIG_VALUES = 288
_HEADER_BYTES = 4
_ENCODERS = (b"LAME", b"Lavf", b"Lavc")  # of headers with delay, padding and a checksum
_LAVF_CHECKED_BYTES = 190


@attrs.frozen(eq=False)
class MpegStream:
    """The frames of an MPEG audio stream.

    Args:
        starts: Position of each frame, int64.
        sizes: Bytes of each frame, int32.
        n_main: Bytes of main data in each frame, int32.
        n_before: Bytes of main data of each frame that precede it (``main_data_begin``), int32.
        frame: The properties of all frames.
        skip: Samples at the start that are encoder and decoder delay (gapless playback).
        n_samples: Number of samples without delay and padding.
    """

    starts: np.ndarray
    sizes: np.ndarray
    n_main: np.ndarray
    n_before: np.ndarray
    frame: Frame
    skip: int
    n_samples: int


@attrs.frozen
class Frame:
    """The properties that a frame header declares.

    Args:
        is_mpeg1: Whether the version is MPEG-1, not MPEG-2 or MPEG-2.5.
        layer: 1, 2 or 3.
        rate: Sample rate in Hz.
        n_channels: Number of channels.
        size: Bytes of the frame.
        n_samples: Samples per channel.
        tag: Position of the Xing header in the frame.
    """

    is_mpeg1: bool
    layer: int
    rate: int
    n_channels: int
    size: int
    n_samples: int
    tag: int


def read_mpeg(name: str, content: bytes, start: int = 0, end: int | None = None) -> MpegStream | None:
    """Find the frames of an MPEG audio stream.

    Tags in front of and behind the stream, and junk in front of it that is not a damaged frame, are skipped. A Xing, Info or
    VBRI header is not audio. Delay and padding that its LAME extension declares are removed, as ffmpeg and libmpg123 do; the
    padding only if the header's frame count is possible, as ffmpeg does.

    Args:
        name: Name of the file in error messages.
        content: The bytes of the file.
        start: First byte of the stream.
        end: The byte after the stream; by default the end of the file.

    Returns:
        The stream, or None if there is none.

    Raises:
        AudioReadError: When frames are missing or damaged.

    Reference:
        ISO/IEC 11172-3 and 13818-3; http://gabriel.mp3-tech.org/mp3infotag.html for the header.
    """
    end = skip_trailing_tags(content, start, len(content) if end is None else end)
    begin = skip_leading_tags(content, start, end)
    first = _first_frame(content, begin, end)
    if first is None:
        return None
    frame = frame_header(content, first)
    assert frame is not None
    junk = content[begin:first]
    if (begin > start and junk.strip(b"\0")) or _is_info_before(content, start, first):
        raise AudioReadError(
            name, f"is damaged: no MP3 frame follows the tag that ends at byte {begin}; download it again"
        )
    if _is_damaged_frame(junk, content[first : first + 4]):
        raise AudioReadError(
            name, f"is damaged: the header of the MP3 frame at byte {begin} is wrong; download it again"
        )
    starts, sizes = _follow(name, content, first, end)
    info = _info_header(name, content, int(starts[0]), frame)
    if info is not None:
        starts, sizes = starts[1:], sizes[1:]
    if not len(starts):
        raise AudioReadError(name, "contains no MP3 frames after its header; download it again")
    skip, padding = (0, 0) if info is None else _gapless(name, info, len(starts), int(starts[-1] + sizes[-1]) - first)
    n_samples = len(starts) * frame.n_samples - skip - padding
    if n_samples < 1:
        raise AudioReadError(name, "declares more delay and padding than its number of samples; download it again")
    raw = np.frombuffer(content, np.uint8)
    n_crc = 2 * (raw[starts + 1] & 1 == 0)
    side = starts + _HEADER_BYTES + n_crc
    n_before = raw[side].astype(np.int32)
    if frame.is_mpeg1:
        n_before = n_before << 1 | raw[side + 1] >> 7
    n_main = (sizes - frame.tag - n_crc).astype(np.int32)
    return MpegStream(starts, sizes.astype(np.int32), n_main, n_before, frame, skip, n_samples)


def mpeg_span(
    name: str, stream: MpegStream, content: bytes | BytesOfStream, start: int, count: int
) -> tuple[bytes, int, int]:
    """Return a small file that decodes to a span, and samples before it.

    Args:
        name: Name of the file in error messages.
        stream: The stream.
        content: The bytes of the file.
        start: First sample.
        count: Number of samples, at least 1.

    Returns:
        The file, the number of samples that precede the span in it, and the number of samples of all its frames.

    Raises:
        AudioReadError: When a frame is damaged.
    """
    frame = stream.frame
    first = (start + stream.skip) // frame.n_samples
    last = (start + stream.skip + count - 1) // frame.n_samples
    # The output of a frame depends on the two frames before it: overlapping blocks, and the memory of the filter bank.
    lead = max(0, first - 2)
    origin = lead
    if frame.layer == 3:
        needed = int(stream.n_before[lead])
        while needed > 0 and origin > 0:
            origin -= 1
            needed -= int(stream.n_main[origin])
    begin, end = int(stream.starts[origin]), int(stream.starts[last] + stream.sizes[last])
    is_contiguous = end - begin == int(stream.sizes[origin : last + 1].sum())
    span = bytearray(content[begin:end])
    if not is_contiguous:
        pieces = zip(stream.starts[origin : last + 1].tolist(), stream.sizes[origin : last + 1].tolist(), strict=True)
        span = bytearray(b"".join(content[place : place + size] for place, size in pieces))
    if len(span) < int(stream.sizes[origin : last + 1].sum()):
        raise AudioReadError(name, "changed while it was read; read it again", transient=True)
    n_frames = last + 1 - origin
    if frame.layer != 3:
        # libsndfile estimates the length from the size and the first frame: append enough frames for any estimate.
        head = int(stream.sizes[origin])
        tail = content[begin : begin + head]
        repeated = max(2, n_frames + 2 - len(span) // head)
        return bytes(span) + tail * repeated, start + stream.skip - origin * frame.n_samples, n_frames * frame.n_samples
    places = np.cumsum(stream.sizes[origin : last + 1]) - stream.sizes[origin : last + 1]
    unusable = _check_side_info(name, stream, span, places, origin, lead)
    begin_bits, most = (9, 511) if frame.is_mpeg1 else (8, 255)
    reservoir = 0
    for number, place in enumerate(places.tolist()):
        side = place + _HEADER_BYTES + (0 if span[place + 1] & 1 else 2)
        n_side = frame.tag - _HEADER_BYTES
        if unusable[number]:  # silenced, but the data of earlier frames remain available
            begin = min(reservoir, most) << 8 * n_side - begin_bits
            span[side : side + n_side] = begin.to_bytes(n_side, "big")
        elif number + origin >= lead:
            break
        reservoir += int(stream.n_main[origin + number])
    n_before = start + stream.skip + (1 - origin) * frame.n_samples
    return _silence(span, n_frames) + span, n_before, (n_frames + 1) * frame.n_samples


@functools.lru_cache(maxsize=4096)
def _parsed(word: bytes) -> Frame | None:
    if len(word) < 4 or word[0] != 0xFF or word[1] & 0xE0 != 0xE0:
        return None
    version, layer = word[1] >> 3 & 3, 4 - (word[1] >> 1 & 3)
    bitrate, rate, padding = word[2] >> 4, word[2] >> 2 & 3, word[2] >> 1 & 1
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3 or word[3] & 3 == 2:
        return None
    is_mpeg1, n_channels = version == 3, 1 if word[3] >> 6 == 3 else 2
    hertz = _RATES[version][rate]
    bits = 1000 * _BITRATES[is_mpeg1, layer][bitrate - 1]
    n_samples = 384 if layer == 1 else 1152 if layer == 2 or is_mpeg1 else 576
    size = (12 * bits // hertz + padding) * 4 if layer == 1 else n_samples // 8 * bits // hertz + padding
    tag = 4 + ((17 if n_channels == 1 else 32) if is_mpeg1 else (9 if n_channels == 1 else 17))
    return Frame(is_mpeg1, layer, hertz, n_channels, size, n_samples, tag)


def frame_header(content: bytes, place: int) -> Frame | None:
    """Parse the frame header at a position.

    Args:
        content: The bytes of the file.
        place: The position.

    Returns:
        The properties of the frame, or None if there is no frame header.

    Example:
        >>> frame_header(bytes.fromhex("fffb9064"), 0).rate
        44100
    """
    return _parsed(bytes(content[place : place + 4]))


def is_mpeg(content: bytes) -> bool:
    """Return whether bytes begin with the frames of an MPEG stream.

    Args:
        content: The first bytes of a file, without tags.

    Returns:
        Whether several frames follow each other.

    Example:
        >>> is_mpeg(b"RIFF")
        False
    """
    return _is_chain(content, 0, len(content))


def _first_frame(content: bytes, begin: int, end: int) -> int | None:
    """Return the position of the first frame that is followed by frames or by the end of the stream."""
    place = begin
    while (place := content.find(b"\xff", place, min(end, begin + _MAX_JUNK))) >= 0:
        if _is_chain(content, place, end):
            return place
        place += 1
    return None


def _frames_follow(content: bytes, place: int, end: int, head: bytes) -> bool:
    """Return whether there are frames of the same kind anywhere after a position."""
    for sync in (b"\xff" + bytes((head[1] & 0xFE | has_no_crc,)) for has_no_crc in (0, 1)):
        at = place
        while (at := content.find(sync, at, end)) >= 0:
            if _is_chain(content, at, end):
                return True
            at += 1
    return False


def _is_chain(content: bytes, place: int, end: int) -> bool:
    first = frame_header(content, place)
    if first is None:
        return False
    following = place
    for number in range(_N_CHAINED):
        if number and following == end:
            return True
        frame = frame_header(content, following)
        if frame is None or _kind(frame) != _kind(first):
            return False
        following += frame.size
        if number and following > end:
            return True
    return True


def _kind(frame: Frame) -> tuple[object, ...]:
    return frame.is_mpeg1, frame.layer, frame.rate


def _is_damaged_frame(junk: bytes, following: bytes) -> bool:
    """Return whether bytes begin with a frame like the following one, except for at most one bit of its header."""
    expected, word = _parsed(following), int.from_bytes(junk[:4], "big")
    if expected is None or len(junk) < 4:
        return False
    candidates = [_parsed((word ^ flipped).to_bytes(4, "big")) for flipped in (0, *(1 << bit for bit in range(32)))]
    return any(each and _kind(each) == _kind(expected) and each.size <= len(junk) for each in candidates)


def _follow(name: str, content: bytes, first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions and sizes of the frames from the first one on."""
    head = frame_header(content, first)
    assert head is not None
    version = content[first + 1] & 0xFE
    sizes_of = [0] * 256
    for byte in range(256):
        frame = _parsed(bytes((0xFF, version, byte, content[first + 3])))
        sizes_of[byte] = frame.size if frame and frame.rate == head.rate else 0
    starts: list[int] = []
    place = first
    while place < end:
        stop = end - 4
        while place <= stop and content[place] == 0xFF and content[place + 1] & 0xFE == version:
            size = sizes_of[content[place + 2]]
            if not size:
                break
            starts.append(place)
            place += size
        if place >= end:
            break
        following = _skip_gap(name, content, place, end, content[first : first + 4])
        if following is None:
            break
        place = following
    found = np.array(starts, np.int64)
    raw = np.frombuffer(content, np.uint8)
    sizes = np.array(sizes_of, np.int64)[raw[found + 2]]
    if int(found[-1] + sizes[-1]) > end:
        raise AudioReadError(
            name,
            f"is truncated: {int(found[-1] + sizes[-1]) - end} bytes of its last MP3 frame are missing; download it again",
        )
    _check_swallowed(name, raw, found, sizes, np.array(sizes_of, np.int64), version)
    is_mono = raw[found + 3] >> 6 == 3
    if (is_mono != is_mono[0]).any():
        changed = int(found[np.argmax(is_mono != is_mono[0])])
        raise AudioReadError(
            name, f"is damaged: the number of channels changes in the MP3 frame at byte {changed}; download it again"
        )
    return found, sizes


def _check_swallowed(
    name: str, raw: np.ndarray, starts: np.ndarray, sizes: np.ndarray, sizes_of: np.ndarray, version: int
) -> None:
    """Raise if one flipped bit in the bit rate of a frame would divide it into several complete frames."""
    for bit in (0x02, 0x10, 0x20, 0x40, 0x80):
        other = sizes_of[raw[starts + 2] ^ bit]
        inner = np.where((other > 0) & (other + 4 <= sizes), starts + other, starts)
        is_header = (inner > starts) & (raw[inner] == 0xFF) & (raw[inner + 1] & 0xFE == version)
        for number in np.flatnonzero(is_header).tolist():
            place, end = int(inner[number]), int(starts[number] + sizes[number])
            while (
                place + 4 <= end
                and raw[place] == 0xFF
                and raw[place + 1] & 0xFE == version
                and sizes_of[raw[place + 2]]
            ):
                place += int(sizes_of[raw[place + 2]])
            if place == end:
                raise AudioReadError(
                    name,
                    f"is damaged: the bit rate of the MP3 frame at byte {int(starts[number])} is wrong; download it again",
                )


def _skip_gap(name: str, content: bytes, place: int, end: int, head: bytes) -> int | None:
    """Return the position of the next frame, or None if only tags or junk follow.

    Raises:
        AudioReadError: When audio follows after bytes that are not a tag, or the bytes are a damaged frame.
    """
    following = place
    while (after := skip_leading_tags(content, following, end, anywhere=True)) > following:
        following = after
    if following >= end:
        return None
    frame, first = frame_header(content, following), _parsed(head)
    assert first is not None
    if frame is not None and following > place and _kind(frame) == _kind(first):
        return following
    if frame is not None and _is_chain(content, following, end):
        raise AudioReadError(
            name,
            f"the MP3 frame at byte {following} has {frame.rate} Hz, the frames before it {first.rate} Hz: streams of "
            f"different formats are concatenated; split the file",
        )
    if _frames_follow(content, following + 1, end, head) or _is_damaged_frame(content[following:end], head):
        raise AudioReadError(
            name, f"is damaged: the MP3 frame at byte {following} has no valid header; download it again"
        )
    return None


def _is_info_before(content: bytes, start: int, first: int) -> bool:
    """Return whether a Xing header precedes the first frame, hidden by a tag with a wrong size."""
    for magic in (b"Xing", b"Info"):
        at = content.rfind(magic, start, first)
        for tag in (13, 21, 36):
            frame = frame_header(content, at - tag) if at - tag >= start else None
            if frame is not None and frame.tag == tag:
                return True
    return False


def _info_header(name: str, content: bytes, place: int, frame: Frame) -> bytes | None:
    """Return the first frame if it is a Xing, Info or VBRI header, else None."""
    if frame.layer != 3:
        return None
    whole = content[place : place + frame.size]
    for magic, at in ((b"Xing", frame.tag), (b"Info", frame.tag), (b"VBRI", 36)):
        n_wrong = _n_different_bits(whole[at : at + 4], magic)
        if n_wrong == 1:
            raise _damaged_info(name)
        if n_wrong == 0:
            return whole
    return None


def _damaged_info(name: str) -> AudioReadError:
    return AudioReadError(name, "is damaged: its Info header, which declares the delay, is wrong; encode it again")


def _n_different_bits(found: bytes, expected: bytes) -> int:
    return (int.from_bytes(found, "big") ^ int.from_bytes(expected, "big")).bit_count()


def _gapless(name: str, info: bytes, n_frames: int, n_bytes: int) -> tuple[int, int]:
    """Return the samples to skip at the start and at the end, from the header frame."""
    frame = _parsed(info[:4])
    assert frame is not None
    tag = frame.tag
    if info[tag : tag + 4] not in (b"Xing", b"Info"):
        return 0, 0
    flags = int.from_bytes(info[tag + 4 : tag + 8], "big")
    place = tag + 8
    count_at = place if flags & 1 else None
    place += 4 if flags & 1 else 0
    bytes_at = place if flags & 2 else None
    place += (4 if flags & 2 else 0) + (100 if flags & 4 else 0) + (4 if flags & 8 else 0)
    declared = None if count_at is None else int.from_bytes(info[count_at : count_at + 4], "big")
    declared_bytes = None if bytes_at is None else int.from_bytes(info[bytes_at : bytes_at + 4], "big")
    lame = info[place : place + 36]
    # One wrong bit in the name of the encoder is detected by the checksum.
    has_delay = len(lame) == 36 and min(_n_different_bits(lame[:4], encoder) for encoder in _ENCODERS) <= 1
    if not has_delay and any(encoder in info for encoder in _ENCODERS):
        raise _damaged_info(name)  # not at the position that the flags of the header imply
    stored = int.from_bytes(lame[34:36], "big") if has_delay else 0
    actual = bytearray(info)
    is_stored_right = not stored or _has_checksum(actual, place + 34, stored)
    if declared is not None and count_at is not None:
        actual[count_at : count_at + 4] = n_frames.to_bytes(4, "big")
    is_count_wrong = not is_stored_right and _has_checksum(actual, place + 34, stored)
    if bytes_at is not None and not is_stored_right and not is_count_wrong:
        actual[bytes_at : bytes_at + 4] = n_bytes.to_bytes(4, "big")
        is_count_wrong = _has_checksum(actual, place + 34, stored)
    is_flipped = declared and (declared ^ n_frames).bit_count() == 1
    if not is_stored_right and (not is_count_wrong or is_flipped):
        raise _damaged_info(name)
    has_bytes = declared_bytes is None or abs(declared_bytes - n_bytes) <= 0.01 * n_bytes
    if declared and declared > n_frames and not is_count_wrong and not (declared_bytes and has_bytes):
        raise AudioReadError(
            name,
            f"is truncated: the header declares {declared} MP3 frames, the file contains {n_frames}; download it again",
        )
    if not has_delay:
        return 0, 0
    delay, padding = int.from_bytes(lame[21:24], "big") >> 12, int.from_bytes(lame[21:24], "big") & 0xFFF
    is_possible = declared == n_frames or (declared and declared < n_frames and has_bytes)
    return delay + _DECODER_DELAY, max(0, padding - _DECODER_DELAY) if is_possible else 0


def _check_side_info(
    name: str, stream: MpegStream, span: bytearray, places: np.ndarray, origin: int, lead: int
) -> np.ndarray:
    """Raise if the side information of a frame is impossible; return the frames whose main data is not complete."""
    frame = stream.frame
    raw = np.frombuffer(span, np.uint8)
    has_crc = (raw[places + 1] & 1) == 0
    side = places + _HEADER_BYTES + 2 * has_crc
    n_side = frame.tag - _HEADER_BYTES
    bits = np.unpackbits(raw[side[:, None] + np.arange(n_side)], axis=1).astype(np.int64)

    def field(at: int, n_bits: int) -> np.ndarray:
        return bits[:, at : at + n_bits] @ (1 << np.arange(n_bits)[::-1])

    shown = slice(origin, origin + len(places))
    begin, main = stream.n_before[shown], stream.n_main[shown]
    if frame.is_mpeg1:
        at = 9 + (5 if frame.n_channels == 1 else 3) + 4 * frame.n_channels
        n_granules, n_bits = 2, 59
    else:
        at = 8 + frame.n_channels
        n_granules, n_bits = 1, 63
    n_fields = n_granules * frame.n_channels
    lengths = np.stack([field(at + n_bits * i, 12) for i in range(n_fields)], 1)
    big = np.stack([field(at + n_bits * i + 12, 9) for i in range(n_fields)], 1)
    switch = at + 12 + 9 + 8 + (4 if frame.is_mpeg1 else 9)
    is_switched = np.stack([field(switch + n_bits * i, 1) for i in range(n_fields)], 1)
    block_type = np.stack([field(switch + n_bits * i + 1, 2) for i in range(n_fields)], 1)
    reservoir = np.cumsum(main) - main
    available = 8 * (main + begin)
    wrong = (
        (lengths.sum(1) > available) | (big > _MAX_BIG_VALUES).any(1) | ((is_switched == 1) & (block_type == 0)).any(1)
    )
    unusable: np.ndarray = begin > reservoir
    unusable[: lead - origin] = True
    wrong &= ~unusable
    if wrong.any():
        at_byte = int(stream.starts[origin + int(np.argmax(wrong))])
        raise AudioReadError(name, f"is damaged: the MP3 frame at byte {at_byte} is invalid; download it again")
    return unusable


def _silence(span: bytearray, n_frames: int) -> bytes:
    """Return a Xing header that declares the number of frames, and a silent frame, to put in front of frames."""
    for bitrate in range(1, 15):
        header = bytes((0xFF, span[1] | 1, bitrate << 4 | span[2] & 0x0C, span[3]))
        frame = _parsed(header)
        if frame is not None and frame.size >= frame.tag + 12:
            break
    else:
        raise AssertionError("no bit rate gives a frame of this size")
    tag = b"Xing" + (1).to_bytes(4, "big") + (n_frames + 1).to_bytes(4, "big")
    return (header + bytes(frame.tag - 4) + tag).ljust(frame.size, b"\0") + header.ljust(frame.size, b"\0")


def _has_checksum(info: bytearray, at: int, stored: int) -> bool:
    """Return whether ``stored`` is the checksum of a header frame: of the bytes before it, or as ffmpeg computes it.

    The checksum of ffmpeg (libavformat/mp3enc.c) always covers 190 bytes. In MPEG-1 stereo these are the bytes before the
    checksum; in other frames they include the checksum itself, as 0.
    """
    if _crc16_arc(bytes(info[:at])) == stored:
        return True
    zeroed = info[:at] + b"\0\0" + info[at + 2 :]
    return _crc16_arc(bytes(zeroed[:_LAVF_CHECKED_BYTES].ljust(_LAVF_CHECKED_BYTES, b"\0"))) == stored


@functools.cache
def _arc_table() -> list[int]:
    table: list[int] = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0xA001 if byte & 1 else 0)
        table.append(byte)
    return table


def _crc16_arc(content: bytes) -> int:
    table, remainder = _arc_table(), 0
    for byte in content:
        remainder = remainder >> 8 ^ table[(remainder ^ byte) & 0xFF]
    return remainder
