"""Locating the audio in containers of chunks (WAV, RF64, W64, AIFF, CAF, AU), also with incorrect headers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Literal

import attrs

from artifex.generative_models.modalities.audio.io.sources import AudioReadError

_UNKNOWN_SIZES = (0x7F000000, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFF000, 0xFFFFFFFF, 1 << 63, (1 << 64) - 1)
_NEAR = 1024  # programs that write to a pipe store one of these sizes, plus or minus that of the headers
_MAX_CHUNKS = 1 << 12
_MAX_PLACE = 1 << 62  # beyond it, seeking raises
_MAX_JUNK = 256
_TAIL_BYTES = 1 << 16
_TRAILING_IDS = (b"LIST", b"id3 ", b"ID3 ", b"bext", b"cue ", b"smpl", b"iXML", b"_PMX", b"PEAK", b"fact", b"afsp")
_MPEG_TAGS = (0x50, 0x55)
_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")


@attrs.frozen
class Form:
    """The syntax of a container.

    Args:
        id_bytes: Bytes of a chunk's id.
        size_bytes: Bytes of a chunk's size.
        order: Byte order of sizes.
        align: Chunks start at multiples of this many bytes.
        first: Position of the first chunk.
        total: Position of the size of the whole container, or None.
        data: Id of the chunk with the audio.
        before: Bytes in this chunk before the audio.
        counts_header: Whether sizes include the header of the chunk.
    """

    id_bytes: int
    size_bytes: int
    order: Literal["little", "big"]
    align: int
    first: int
    total: int | None
    data: bytes
    before: int = 0
    counts_header: bool = False

    @property
    def header_bytes(self) -> int:
        """Bytes of a chunk's header."""
        return self.id_bytes + self.size_bytes


_RIFF = Form(4, 4, "little", 2, 12, 4, b"data")
_FORMS = {
    b"RIFF": _RIFF,
    b"RF64": _RIFF,
    b"BW64": _RIFF,
    b"RIFX": Form(4, 4, "big", 2, 12, 4, b"data"),
    b"FORM": Form(4, 4, "big", 2, 12, 4, b"SSND", before=8),
    b"caff": Form(4, 8, "big", 1, 8, None, b"data", before=4),
    b"riff": Form(16, 8, "little", 8, 40, 16, b"data" + _W64_TAIL, counts_header=True),
}
_SUBFORMS = {
    b"RIFF": (b"WAVE",),
    b"RIFX": (b"WAVE",),
    b"RF64": (b"WAVE",),
    b"BW64": (b"WAVE",),
    b"FORM": (b"AIFF", b"AIFC"),
}


@attrs.frozen
class AudioData:
    """The audio in a container.

    Args:
        start: First byte of the audio.
        end: The byte after it.
        patches: Bytes to replace in the header, by position, so that it declares this extent; empty if it does.
        is_mpeg: Whether the audio is an MPEG stream.
        may_be_followed: Whether libsndfile ends the audio after its declared size, not at the end of the file.
    """

    start: int
    end: int
    patches: dict[int, bytes]
    is_mpeg: bool = False
    may_be_followed: bool = False


def find_audio_data(name: str, stream: IO[bytes], start: int, end: int) -> AudioData | None:
    """Find the audio in a container of chunks.

    The declared size is used if it agrees with the following chunks or with the size of the container. Otherwise, such as
    in a file that was written to a pipe, the audio extends to the following chunks or to the end of the file.

    Args:
        name: Name of the file in error messages.
        stream: The file; its position changes.
        start: Position of the container in the file.
        end: End of the container in the file.

    Returns:
        The audio, or None if this is not such a container or no audio is found in it.

    Raises:
        AudioReadError: When the file is truncated, or its header is wrong and the audio's extent cannot be determined.

    Reference:
        IBM and Microsoft, "Multimedia Programming Interface and Data Specifications 1.0"; EBU Tech 3306 (RF64); Apple, "Audio
        Interchange File Format" and "Core Audio Format"; Sony, "Wave64".
    """
    head = _read(stream, start, 40)
    if head[:4] in (b".snd", b"dns."):
        return _find_in_au(name, stream, start, end, head)
    form = _FORMS.get(head[:4])
    if form is None or head[8:12] not in _SUBFORMS.get(head[:4], (head[8:12],)):
        return None
    sizes = _Sizes(stream, form, start, end)
    chunks = list(_walk(sizes, start + form.first))
    data = next(((place, size) for identity, place, size in chunks if identity == form.data), None)
    if data is None:
        return None
    place, declared = data
    wide = next((at for identity, at, _ in chunks if identity == b"ds64"), None)
    total = None if form.total is None else int.from_bytes(head[form.total : form.total + form.size_bytes], form.order)
    if head[:4] in (b"RF64", b"BW64") and wide is not None and declared == 0xFFFFFFFF:
        body = _read(stream, wide + 8, 16)
        total, declared = int.from_bytes(body[:8], "little"), int.from_bytes(body[8:16], "little")
    else:
        wide = None
    total_end = None if total is None else start + total + (0 if form.counts_header else 8)
    body_start = place + form.header_bytes
    actual = _data_end(name, sizes, body_start, declared, total_end)
    patches: dict[int, bytes] = {}
    if actual - body_start != declared:
        patches = _patches(form, start, place, actual, wide)
    # libsndfile stops at ids that are not text.
    patches |= {
        at: b"junk"
        for identity, at, _ in chunks
        if not identity[:4].isascii() or not identity[:4].decode().isprintable()
    }
    format_tag = next((at for identity, at, _ in chunks if identity == b"fmt "), None)
    is_mpeg = (
        format_tag is not None
        and int.from_bytes(_read(stream, format_tag + form.header_bytes, 2), form.order) in _MPEG_TAGS
    )
    return AudioData(body_start + form.before, actual, patches, is_mpeg, form.align == 2)


@attrs.frozen
class _Sizes:
    stream: IO[bytes]
    form: Form
    start: int
    end: int


def _walk(sizes: _Sizes, place: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the id, position and size of the chunks up to the one with the audio."""
    form = sizes.form
    for _ in range(_MAX_CHUNKS):
        header = _read(sizes.stream, place, form.header_bytes)
        if len(header) < form.header_bytes:
            return
        identity, size = header[: form.id_bytes], int.from_bytes(header[form.id_bytes :], form.order)
        if form.counts_header:
            size = max(0, size - form.header_bytes)
        yield identity, place, size
        if identity == form.data:
            return
        place = _next(sizes, place, size)


def _next(sizes: _Sizes, place: int, size: int) -> int:
    form = sizes.form
    after = place + form.header_bytes + size
    return after + (sizes.start - after) % form.align


def _data_end(name: str, sizes: _Sizes, body: int, declared: int, total_end: int | None) -> int:
    available = sizes.end - body
    is_total_right = total_end is not None and 0 <= sizes.end - total_end <= 1
    if declared > available:
        if is_total_right or _is_unknown(declared):
            return _end_before_chunks(sizes, body)
        raise AudioReadError(
            name,
            f"is truncated: the header declares {declared} bytes of audio, the file contains {available}; download it again",
        )
    after = body + declared
    aligned = after + (sizes.start - after) % sizes.form.align
    if sizes.end in (after, aligned) and declared:
        return after
    if any(_is_chunks(sizes, place) for place in {aligned, after}):
        return after
    if is_total_right or not declared:
        return _end_before_chunks(sizes, after)
    if any(_is_tags(sizes, place) for place in {aligned, after}):
        return after
    trailing = sizes.end - after
    is_consistent = total_end is not None and 0 <= total_end - after <= sizes.form.align
    if trailing <= _MAX_JUNK and is_consistent:
        return after
    raise _unexplained(name, declared, trailing)


def _unexplained(name: str, declared: int, trailing: int) -> AudioReadError:
    return AudioReadError(
        name,
        f"the header declares {declared} bytes of audio, but {trailing} more bytes follow that are neither chunks nor tags: the "
        f"recording was interrupted, two files are concatenated, or the header is wrong; repair it or convert the file again",
    )


def _is_unknown(size: int) -> bool:
    return any(abs(size - unknown) <= _NEAR for unknown in _UNKNOWN_SIZES)


def _is_chunks(sizes: _Sizes, after: int) -> bool:
    """Return whether chunks follow up to the end of the file, or up to tags."""
    form = sizes.form
    place, n_found = after, 0
    while place + form.header_bytes <= sizes.end:
        header = _read(sizes.stream, place, form.header_bytes)
        size = int.from_bytes(header[form.id_bytes :], form.order)
        if form.counts_header:
            size -= form.header_bytes
        is_container = header[: form.id_bytes] in _FORMS or header[:4] == b"riff"
        if size < 0 or is_container or place + form.header_bytes + size > sizes.end or n_found > _MAX_CHUNKS:
            break
        if not size and not _is_text(header[:4]):  # numbers with many zeros look like empty chunks
            break
        n_found += 1
        place = min(_next(sizes, place, size), sizes.end)
    return n_found > 0 and (place >= sizes.end or _is_tags(sizes, place) or sizes.end - place < form.header_bytes)


def _is_text(content: bytes) -> bool:
    return all(32 <= byte < 127 or byte in (9, 10, 13) for byte in content)


def _is_tags(sizes: _Sizes, place: int) -> bool:
    """Return whether the bytes up to the end are tags, text or padding."""
    first = _read(sizes.stream, place, 64)
    if first[:4] in _FORMS:
        return False
    is_tag = first[:3] in (b"ID3", b"TAG", b"APE") or first.lstrip(b"\0 \r\n")[:1] == b"<"
    if is_tag or (len(first) > 3 and _is_text(first)):
        return True
    if first.strip(b"\0") and first.strip(b"\xff"):
        return False
    while block := _read(sizes.stream, place, 1 << 20):
        if block.strip(first[:1]):
            return False
        place += len(block)
    return True


def _end_before_chunks(sizes: _Sizes, body: int) -> int:
    """Return the position of known chunks at the end of the file, or the end of the file without them."""
    origin = max(body, sizes.end - _TAIL_BYTES)
    tail = _read(sizes.stream, origin, sizes.end - origin)
    found = [origin + at for identity in _TRAILING_IDS for at in _places(tail, identity)]
    return min((place for place in found if _is_chunks(sizes, place)), default=sizes.end)


def _places(content: bytes, identity: bytes) -> Iterator[int]:
    at = -1
    while (at := content.find(identity, at + 1)) >= 0:
        yield at


def _patches(form: Form, start: int, place: int, end: int, wide: int | None) -> dict[int, bytes]:
    """Return header bytes, by position, that declare that the audio and the file end at ``end``."""
    size = end - place - (0 if form.counts_header else form.header_bytes)
    total = end - start - (0 if form.counts_header else 8)
    if wide is not None:
        return {wide + 8: total.to_bytes(8, "little") + size.to_bytes(8, "little")}
    most = 256**form.size_bytes - 1
    patches = {place + form.id_bytes: min(size, most).to_bytes(form.size_bytes, form.order)}
    if form.total is not None:
        patches[start + form.total] = min(total, most).to_bytes(form.size_bytes, form.order)
    return patches


def _find_in_au(name: str, stream: IO[bytes], start: int, end: int, head: bytes) -> AudioData:
    order: Literal["little", "big"] = "big" if head[:4] == b".snd" else "little"
    offset, declared = (int.from_bytes(head[at : at + 4], order) for at in (4, 8))
    body = start + offset
    sizes = _Sizes(stream, _RIFF, start, end)
    available = end - body
    if declared == available or (declared < available and declared and _is_tags(sizes, body + declared)):
        return AudioData(body, body + declared, {})
    if declared > available and not _is_unknown(declared):
        raise AudioReadError(
            name,
            f"is truncated: the header declares {declared} bytes of audio, the file contains {available}; download it again",
        )
    if declared and available - declared > _MAX_JUNK:
        raise _unexplained(name, declared, available - declared)
    return AudioData(body, end, {start + 8: min(max(0, available), 0xFFFFFFFF).to_bytes(4, order)})


def _read(stream: IO[bytes], place: int, count: int) -> bytes:
    if not 0 <= place < _MAX_PLACE:
        return b""
    stream.seek(place)
    return stream.read(count)
