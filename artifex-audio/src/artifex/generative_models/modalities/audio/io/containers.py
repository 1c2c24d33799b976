"""Checks that the containers that ffmpeg reads are complete: it reads truncated ones without an error."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

import attrs

from artifex.generative_models.modalities.audio.io.sources import AudioReadError
from artifex.generative_models.modalities.audio.io.streams import BytesOfStream
from artifex.generative_models.modalities.audio.io.tags import skip_leading_tags, skip_trailing_tags

_MATROSKA_MAGIC = b"\x1a\x45\xdf\xa3"
_ASF_MAGIC = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_ASF_END = b"$E"
_ATOMS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")

MAGIC = (
    *((4, atom) for atom in _ATOMS),
    (0, _MATROSKA_MAGIC),
    (0, _ASF_MAGIC),
    *((0, magic) for magic in (b"#!AMR", b"\xff\xf1", b"\xff\xf9", b"\x0b\x77")),
)
"""Magic bytes of the containers, as pairs of offset and bytes."""

_EBML, _SEGMENT, _CLUSTER, _TRACKS, _CRC = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0x1654AE6B, 0xBF
_TRACK_ENTRY, _TRACK_NUMBER, _TRACK_TYPE, _AUDIO = 0xAE, 0xD7, 0x83, 2
_BLOCK_GROUP, _BLOCKS = 0xA0, (0xA3, 0xA1)
_LEVEL_1 = (_CLUSTER, _TRACKS, 0x114D9B74, 0x1549A966, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367)
_LACED = 0x06
_IN_GROUP = (0xA1, 0x75A1, 0x9B, 0xFA, 0xFB, 0xFD, 0xA4, 0x75A2, 0x8E, 0xEC, 0xBF, 0xA2, 0xC8, 0xAF)
_IN_CLUSTER = (0xE7, 0xA3, 0xA0, 0xA7, 0xAB, 0x5854, 0xEC, 0xBF, 0xAF)

_AMR_BYTES = {
    b"#!AMR\n": (13, 14, 16, 18, 20, 21, 27, 32, 6, 1, 1, 1, 1, 1, 1, 1),
    b"#!AMR-WB\n": (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 6, 1, 1, 1, 1, 1),
}
_AC3_KBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_ADTS_HEADER, _AC3_HEADER = 7, 6


@attrs.frozen(kw_only=True)
class Track:
    """Declarations of the first audio track of an MP4 file, in samples of the track.

    Args:
        timescale: Samples per second.
        duration: Sum of the durations of its packets.
        edits: The edit list as pairs (duration in seconds, first sample); -1 marks silence.
        is_fragmented: Whether packets follow in fragments, so that ``duration`` does not count them.
    """

    timescale: int
    duration: int
    edits: tuple[tuple[float, int], ...]
    is_fragmented: bool


def identify_container(content: BytesOfStream) -> str | None:
    r"""Return ffmpeg's name of the container of a file.

    Args:
        content: The file.

    Returns:
        The name, or None if it is not one of those that are checked here.

    Example:
        >>> import io
        >>> identify_container(BytesOfStream(io.BytesIO(b"#!AMR\n")))
        'amr'
    """
    head = content[:16]
    if head[:4] == _MATROSKA_MAGIC:
        return "matroska"
    if head == _ASF_MAGIC:
        return "asf"
    if head[4:8] in _ATOMS:
        return "mov"
    if any(head.startswith(magic) for magic in _AMR_BYTES):
        return "amr"
    place = skip_leading_tags(content, 0, len(content))
    frame = content[place : place + 8]
    if len(frame) < 8:
        return None
    if frame[0] == 0xFF and frame[1] & 0xF6 == 0xF0:
        return "aac"
    if frame[:2] == b"\x0b\x77" and frame[5] >> 3 <= 16:
        return "ac3" if frame[5] >> 3 <= 10 else "eac3"
    return None


def check_container(name: str, container: str, content: BytesOfStream) -> int:
    """Raise if a file is truncated, or the structure of its container is damaged.

    Args:
        name: Name of the recording in error messages.
        container: The container, as ``identify_container`` returns it.
        content: The file.

    Returns:
        The number of packets of the first audio track of Matroska; 0 for other containers.

    Raises:
        AudioReadError: When it is.

    Reference:
        ISO 14496-12 (MP4), RFC 8794 and RFC 9559 (Matroska), Advanced Systems Format specification, RFC 4867 (AMR),
        ISO 14496-3 (ADTS), ATSC A/52 (AC-3).
    """
    if container == "matroska":
        return _check_matroska(name, content)
    checks: dict[str, Callable[[str, BytesOfStream], None]] = {
        "mov": _check_mp4,
        "asf": _check_asf,
        "amr": _check_amr,
        "aac": lambda name, content: _check_frames(name, content, _adts_bytes, _ADTS_HEADER),
        "ac3": lambda name, content: _check_frames(name, content, _ac3_bytes, _AC3_HEADER),
        "eac3": lambda name, content: _check_frames(name, content, _ac3_bytes, _AC3_HEADER),
    }
    checks[container](name, content)
    return 0


def audio_track(content: BytesOfStream) -> Track | None:
    """Return the declarations of the first audio track of an MP4 file.

    Args:
        content: The file.

    Returns:
        The declarations, or None if there is no audio track or they are incomplete.
    """
    moov = next((content[first:last] for kind, first, last in _atoms(content, 0, len(content)) if kind == b"moov"), b"")
    per_second = _field(_inside(moov, b"mvhd"))
    for trak in _all(moov, b"trak"):
        mdia = _inside(trak, b"mdia")
        if _inside(mdia, b"hdlr")[8:12] != b"soun":
            continue
        stts = _inside(_inside(_inside(mdia, b"minf"), b"stbl"), b"stts")
        elst = _inside(_inside(trak, b"edts"), b"elst")
        timescale = _field(_inside(mdia, b"mdhd"))
        if not (timescale and per_second):
            return None
        pairs = (stts[place : place + 8] for place in range(8, len(stts) - 7, 8))
        width = 8 if elst[:1] == b"\1" else 4
        edits: list[tuple[float, int]] = []
        for place in range(8, len(elst) - 2 * width - 3, 2 * width + 4):
            duration = int.from_bytes(elst[place : place + width], "big") / per_second
            edits.append((duration, int.from_bytes(elst[place + width : place + 2 * width], "big", signed=True)))
        return Track(
            timescale=timescale,
            duration=sum(int.from_bytes(pair[:4], "big") * int.from_bytes(pair[4:], "big") for pair in pairs),
            edits=tuple(edits),
            is_fragmented=bool(_inside(moov, b"mvex")),
        )
    return None


def _truncated(name: str, detail: str) -> AudioReadError:
    return AudioReadError(name, f"is truncated: {detail}; download or record it again")


def _damaged(name: str, detail: str) -> AudioReadError:
    return AudioReadError(name, f"is damaged: {detail}; download it again")


def _concatenated(name: str) -> AudioReadError:
    return AudioReadError(name, "is followed by a second file, which would not be read; split them")


def _atoms(content: bytes | BytesOfStream, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the atoms of a part of an MP4 file: kind, first byte and end of the content, which may be beyond ``end``."""
    place = start
    while place + 8 <= end:
        head = content[place : place + 16]
        size, kind, n_head = int.from_bytes(head[:4], "big"), head[4:8], 8
        if size == 1:
            size, n_head = int.from_bytes(head[8:16], "big"), 16
        elif size == 0:
            size = end - place
        if size < n_head or not all(32 <= byte < 127 or byte == 0xA9 for byte in kind):
            return
        yield kind, place + n_head, place + size
        place += size


def _all(content: bytes, kind: bytes) -> Iterator[bytes]:
    return (content[first:last] for found, first, last in _atoms(content, 0, len(content)) if found == kind)


def _inside(content: bytes, kind: bytes) -> bytes:
    """Return the content of the first atom of a kind, or nothing."""
    return next(_all(content, kind), b"")


def _field(header: bytes) -> int:
    """Return the time scale in a ``mvhd`` or ``mdhd`` atom."""
    place = 20 if header[:1] == b"\1" else 12
    return int.from_bytes(header[place : place + 4], "big")


def _check_mp4(name: str, content: BytesOfStream) -> None:
    size, found = len(content), set[bytes]()
    for kind, _, end in _atoms(content, 0, size):
        if end > size:
            raise _truncated(name, f"{end - size} bytes of its last atom are missing ({kind.decode('latin-1')})")
        if kind == b"moov" and kind in found:
            raise _concatenated(name)
        found.add(kind)
    if b"moov" not in found:
        raise _truncated(name, "it has no index (moov), which recorders write last")


def _check_matroska(name: str, content: BytesOfStream) -> int:
    size = len(content)
    n_packets: dict[int, int] = {}
    audio: list[int] = []
    place, end = 0, size
    while place < end:
        element, first, last = _element(content, place)
        if element == _EBML and place > 0:
            raise _concatenated(name)
        if element == _SEGMENT:
            if last is not None and last > size:
                raise _truncated(name, f"{last - size} bytes are missing")
            place, end = first, size if last is None else last
            continue
        if last is None and element != _CLUSTER:
            raise _damaged(name, f"an element of unknown length is at byte {place}")
        if (last or 0) > end:
            raise (_truncated if (last or 0) > size else _damaged)(name, f"an element at byte {place} exceeds the file")
        if element == _TRACKS and last is not None:
            tracks = list(_tracks(content[first:last]))
            n_packets |= {number: 0 for number, _ in tracks}
            audio += [number for number, kind in tracks if kind == _AUDIO]
        is_cluster = element == _CLUSTER
        place = _check_cluster(name, content, first, last, end, n_packets) if is_cluster else last or end
    if not n_packets:
        raise _truncated(name, "it contains no tracks")
    if content[end : end + 4] == _MATROSKA_MAGIC:
        raise _concatenated(name)
    return n_packets[audio[0]] if audio else 0


def _check_cluster(
    name: str, content: BytesOfStream, start: int, end: int | None, limit: int, n_packets: dict[int, int]
) -> int:
    """Check the elements of a cluster, count its packets, and return its end."""
    part: bytes | BytesOfStream = content if end is None else content[start:end]
    offset = 0 if end is None else start
    place, stop = start - offset, limit if end is None else end - offset
    while place < stop:
        element, first, last = _element(part, place)
        if end is None and element in (*_LEVEL_1, _EBML):
            break
        if element not in _IN_CLUSTER or last is None:
            raise _damaged(name, f"an unknown element is in the cluster at byte {place + offset}")
        if last > stop:
            is_cut = last + offset > len(content)
            raise (_truncated if is_cut else _damaged)(name, f"the block at byte {place + offset} exceeds its cluster")
        checksum = int.from_bytes(part[first:last], "little")
        if element == _CRC and end is not None and checksum != zlib.crc32(part[last:stop]):
            raise _damaged(name, f"the checksum of the cluster at byte {start} is wrong")
        blocks = [(first, last)] if element in _BLOCKS else []
        if element == _BLOCK_GROUP:
            elements = list(_children(part[first:last]))
            if not elements or elements[-1][2] != last - first or any(kind not in _IN_GROUP for kind, *_ in elements):
                raise _damaged(name, f"the block at byte {place + offset} has unknown elements")
            blocks = [(first + begin, first + stop) for kind, begin, stop in elements if kind in _BLOCKS]
        for begin, after in blocks:
            track, n_bytes = _number(part, begin)
            if track not in n_packets:
                raise _damaged(name, f"the block at byte {begin + offset} belongs to no track")
            flags = part[begin + n_bytes + 2 : min(after, begin + n_bytes + 4)]
            n_packets[track] += flags[1] + 1 if len(flags) == 2 and flags[0] & _LACED else 1
        place = last
    return place + offset


def _tracks(tracks: bytes) -> Iterator[tuple[int, int]]:
    """Yield the number and the type of each track."""
    for kind, first, last in _children(tracks):
        if kind == _TRACK_ENTRY:
            entry = tracks[first:last]
            fields = {kind: int.from_bytes(entry[begin:end], "big") for kind, begin, end in _children(entry)}
            yield fields.get(_TRACK_NUMBER, 0), fields.get(_TRACK_TYPE, 0)


def _children(content: bytes) -> Iterator[tuple[int, int, int]]:
    place = 0
    while place < len(content):
        element, first, last = _element(content, place)
        if last is None or last > len(content):
            return
        yield element, first, last
        place = last


def _element(content: bytes | BytesOfStream, place: int) -> tuple[int, int, int | None]:
    """Return an EBML element: its id, and first byte and end of its content; the end is None if it is unknown."""
    head = content[place : place + 12]
    n_id = 9 - head[0].bit_length() if head and head[0] else 9
    if n_id > 4 or len(head) <= n_id:
        return 0, place + 1, len(content) + 1
    size, n_size = _number(head, n_id)
    first = place + n_id + n_size
    return int.from_bytes(head[:n_id], "big"), first, None if size == (1 << 7 * n_size) - 1 else first + size


def _number(content: bytes | BytesOfStream, place: int) -> tuple[int, int]:
    """Return an EBML number of variable length, and its length in bytes."""
    head = content[place : place + 8]
    width = 9 - head[0].bit_length() if head and head[0] else 9
    if width > 8:
        return 1 << 60, 1
    return int.from_bytes(head[:width], "big") & ((1 << 7 * width) - 1), width


def _check_asf(name: str, content: BytesOfStream) -> None:
    size = len(content)
    head = content[: int.from_bytes(content[16:24], "little")]
    properties = head.find(_ASF_PROPERTIES)
    data = len(head)
    if properties < 0 or len(head) < properties + 100:
        raise _truncated(name, "its header is incomplete")
    if content[data : data + 16] != _ASF_DATA:
        raise _truncated(name, "it contains no audio")
    n_packets, flags, n_bytes = (
        int.from_bytes(head[properties + place : properties + place + width], "little")
        for place, width in ((56, 8), (88, 4), (92, 4))
    )
    start, is_stream = data + 50, flags & 1  # written to a pipe: the number of packets is not declared
    if not n_bytes:
        raise _damaged(name, "its packets have no length")
    end = start + (size - start) // n_bytes * n_bytes if is_stream else start + n_packets * n_bytes
    if end > size:
        raise _truncated(name, f"it contains {(size - start) // n_bytes} of {n_packets} packets")
    if is_stream and content[end : end + 2] not in (b"", _ASF_END):
        raise _truncated(name, f"it ends within a packet of {n_bytes} bytes")
    mark = content[start : start + 1]
    for place in range(start, end, n_bytes):
        if content[place : place + 1] != mark:
            raise _damaged(name, f"no packet is at byte {place}")
    place = size if is_stream else end
    while place < size:  # indexes follow
        if content[place : place + 16] == _ASF_MAGIC:
            raise _concatenated(name)
        n_object = int.from_bytes(content[place + 16 : place + 24], "little")
        if n_object < 24 or place + n_object > size:
            raise _damaged(name, f"no object is at byte {place}")
        place += n_object


def _check_amr(name: str, content: BytesOfStream) -> None:
    magic = next(magic for magic in _AMR_BYTES if content[: len(magic)] == magic)
    file, place = content[:], len(magic)
    while place < len(file):
        if file[place] & 0x83:
            raise _damaged(name, f"no AMR frame is at byte {place}")
        place += _AMR_BYTES[magic][file[place] >> 3 & 15]
    if place > len(file):
        raise _truncated(name, f"{place - len(file)} bytes of its last frame are missing")


def _check_frames(name: str, content: BytesOfStream, frame_bytes: Callable[[bytes], int], n_header: int) -> None:
    """Follow frames, each with its length in its header, from the first to the last."""
    file = content[:]
    place = skip_leading_tags(file, 0, len(file))
    end = skip_trailing_tags(file, place, len(file))
    while place < end:
        n_bytes = frame_bytes(file[place : place + n_header])
        if not n_bytes and place + n_header > end:
            raise _truncated(name, "it ends within the header of a frame")
        if not n_bytes:
            raise _damaged(name, f"no frame is at byte {place}")
        place += n_bytes
    if place > end:
        raise _truncated(name, f"{place - end} bytes of its last frame are missing")


def _adts_bytes(header: bytes) -> int:
    if len(header) < _ADTS_HEADER or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
        return 0
    size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return size if size > _ADTS_HEADER else 0


def _ac3_bytes(header: bytes) -> int:
    if len(header) < _AC3_HEADER or header[:2] != b"\x0b\x77":
        return 0
    if header[5] >> 3 > 10:
        return 2 * (((header[2] & 7) << 8 | header[3]) + 1)
    rate, code = header[4] >> 6, header[4] & 63
    if rate == 3 or code >= 2 * len(_AC3_KBITS):
        return 0
    kbits = _AC3_KBITS[code // 2]
    return 2 * (2 * kbits, kbits * 320 // 147 + code % 2, 3 * kbits)[rate]
