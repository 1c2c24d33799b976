"""Ogg files: checks of pages, and chained or multiplexed streams."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import attrs
import numpy as np

from artifex.generative_models.modalities.audio.io.sources import AudioReadError, UnsupportedAudioError
from artifex.generative_models.modalities.audio.io.streams import BytesOfStream

_CONTINUED, _FIRST, _LAST = 1, 2, 4
_HEADER_BYTES = 27
_CODECS = {
    b"\x01vorbis": "VORBIS",
    b"OpusHead": "OPUS",
    b"\x7fFLAC": "FLAC",
    b"Speex   ": "Speex",
    b"CELT    ": "CELT",
    b"PCM     ": "Ogg PCM",
}
_DECODED = ("VORBIS", "OPUS", "FLAC")
_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Page(NamedTuple):
    """A page.

    Attributes:
        start: Its position.
        size: Its size in bytes, including the header.
        serial: The stream it belongs to.
        number: Its number in the stream.
        granule: Its granule position: samples up to its end, or -1.
        flags: 1: continues a packet, 2: first page, 4: last page.
        lacing: The segment table.
    """

    start: int
    size: int
    serial: int
    number: int
    granule: int
    flags: int
    lacing: bytes


@attrs.frozen(eq=False)
class Link:
    """One stream of audio in an Ogg file.

    Args:
        codec: ``"VORBIS"``, ``"OPUS"`` or ``"FLAC"``.
        pages: Its pages, in order.
        pre_skip: Samples at 48 kHz at the start of an Opus stream that are not played.
        ends: The highest granule position up to the end of each page, int64.
        is_contiguous: Whether there are no other pages between them.
    """

    codec: str
    pages: list[Page]
    ends: np.ndarray
    is_contiguous: bool
    pre_skip: int = 0

    @property
    def start(self) -> int:
        """First byte."""
        return self.pages[0].start

    @property
    def end(self) -> int:
        """The byte after the last page."""
        return self.pages[-1].start + self.pages[-1].size


def read_ogg(name: str, content: bytes, start: int, end: int) -> list[Link]:
    """Find the streams of audio in an Ogg file and check that no page is missing.

    Args:
        name: Name of the file in error messages.
        content: The bytes of the file.
        start: Position of the first page.
        end: End of the pages; bytes after the last page of all streams are ignored.

    Returns:
        The streams, in order: several if the file is chained.

    Raises:
        AudioReadError: When pages are missing or damaged, or the file is truncated.
        UnsupportedAudioError: When it contains no audio that is supported, or several streams at the same time.

    Reference:
        RFC 3533; RFC 7845 for Opus; https://xiph.org/flac/ogg_mapping.html for FLAC.
    """
    links: list[Link] = []
    streams: dict[int, list[Page]] = {}
    latest: dict[int, int] = {}
    for page in _pages(name, content, start, end):
        pages = streams.get(page.serial)
        if pages and not page.flags & _FIRST:
            last = pages[-1]
            if page.number != (last.number + 1) & 0xFFFFFFFF or last.flags & _LAST:
                raise _disordered(name, last, page)
            if 0 <= page.granule < latest[page.serial]:
                raise AudioReadError(
                    name, f"is damaged: positions decrease in the Ogg page at byte {page.start}; download it again"
                )
        else:
            if streams and all(pages[-1].flags & _LAST for pages in streams.values()):
                links.append(_audio_stream(name, content, streams))
                streams = {}
            if not page.flags & _FIRST or page.serial in streams:
                raise AudioReadError(
                    name,
                    f"is damaged: the Ogg page at byte {page.start} precedes the first page of its stream, follows the last "
                    f"one, or repeats the first; "
                    f"download it again",
                )
            pages = streams[page.serial] = []
            latest[page.serial] = 0
        pages.append(page)
        if page.granule > 0:
            latest[page.serial] = page.granule
    links.append(_audio_stream(name, content, streams))
    for link in links:
        _check_pages(name, content, [*link.pages[:3], link.pages[-1]])
    return links


def check_pages_of_span(name: str, content: bytes | BytesOfStream, link: Link, start: int, end: int) -> None:
    """Check the checksums of the pages that are decoded for a span.

    Args:
        name: Name of the file in error messages.
        content: The bytes of the file.
        link: The stream.
        start: Granule position from which on packets are decoded.
        end: Granule position at the end of the span.

    Raises:
        AudioReadError: When a page is damaged.
    """
    first = int(np.searchsorted(link.ends, start)) - 2
    last = int(np.searchsorted(link.ends, end, side="right")) + 2
    _check_pages(name, content, link.pages[max(0, first) : last])


def packets(content: bytes, pages: Sequence[Page]) -> Iterator[bytes]:
    """Yield the packets of a stream.

    Args:
        content: The bytes of the file.
        pages: Its pages.

    Yields:
        Each packet.
    """
    packet = b""
    for page in pages:
        place = page.start + _HEADER_BYTES + len(page.lacing)
        size = 0
        for lace in page.lacing:
            size += lace
            if lace < 255:
                yield packet + content[place : place + size]
                place, size, packet = place + size, 0, b""
        packet += content[place : place + size]


def flac_from_ogg(name: str, content: bytes, link: Link) -> bytes:
    """Return the FLAC stream in an Ogg stream as a native FLAC file.

    Args:
        name: Name of the file in error messages.
        content: The bytes of the file.
        link: The stream.

    Returns:
        The FLAC file, with the stream information as its only metadata.

    Raises:
        AudioReadError: When a page is damaged or the header is not that of FLAC.
    """
    _check_pages(name, content, link.pages)
    first, *rest = packets(content, link.pages)
    n_headers = int.from_bytes(first[7:9], "big")
    if first[9:13] != b"fLaC" or len(first) < 51 or first[13] & 0x7F:
        raise AudioReadError(name, "is damaged: its first Ogg packet is not a FLAC header; download it again")
    if not n_headers:  # not declared: only frames begin with the byte 0xFF
        n_headers = next((number for number, packet in enumerate(rest) if packet[:1] == b"\xff"), len(rest))
    return b"fLaC" + bytes((0x80,)) + first[14:51] + b"".join(rest[n_headers:])


def crc(content: bytes) -> int:
    """Compute the checksum of an Ogg page.

    Args:
        content: The page with its checksum set to zero.

    Returns:
        The CRC-32 with polynomial 0x04C11DB7, initial value 0, not reflected.

    Example:
        >>> hex(crc(b"123456789"))
        '0x89a1897f'
    """
    # zlib computes the same code with the bits of each byte, and of the result, reversed.
    reflected = zlib.crc32(content.translate(_REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(reflected.to_bytes(4, "little").translate(_REVERSED_BITS), "big")


def _pages(name: str, content: bytes, start: int, end: int) -> Iterator[Page]:
    place = start
    is_last = False
    while place < end:
        if content[place : place + 4] != b"OggS" or end - place < _HEADER_BYTES:
            following = content.find(b"OggS", place, end)
            if following < 0 and is_last:
                return
            if following < 0:
                raise _truncated(name)
            raise AudioReadError(
                name,
                f"is damaged: an Ogg page is expected at byte {place}, the next is at byte {following}; download it again",
            )
        version, flags, granule, serial, number, _, n_segments = struct.unpack_from("<BBqIIIB", content, place + 4)
        lacing = content[place + _HEADER_BYTES : place + _HEADER_BYTES + n_segments]
        size = _HEADER_BYTES + n_segments + sum(lacing)
        if place + size > end or len(lacing) < n_segments:
            raise AudioReadError(name, "is truncated: the last Ogg page is incomplete; download it again")
        if version:
            raise AudioReadError(
                name, f"is damaged: the Ogg page at byte {place} has version {version}; download it again"
            )
        yield Page(place, size, serial, number, granule, flags, lacing)
        is_last = bool(flags & _LAST)
        place += size


def _truncated(name: str) -> AudioReadError:
    return AudioReadError(name, "is truncated: the end of the Ogg stream is missing; download it again")


def _disordered(name: str, last: Page, page: Page) -> AudioReadError:
    if last.flags & _LAST:
        reason = f"the Ogg page at byte {page.start} continues a stream that has ended"
    elif page.number > last.number + 1:
        reason = f"Ogg pages {last.number + 1} to {page.number - 1} are missing at byte {page.start}"
    else:
        reason = f"Ogg page {page.number} follows page {last.number} at byte {page.start}"
    return AudioReadError(name, f"is damaged: {reason}; download it again")


def _audio_stream(name: str, content: bytes, streams: dict[int, list[Page]]) -> Link:
    if not streams:
        raise AudioReadError(name, "is not an Ogg file: it contains no pages; download it again")
    found: list[tuple[str, list[Page]]] = []
    for pages in streams.values():
        first = pages[0].start + _HEADER_BYTES + len(pages[0].lacing)
        codec = next((codec for magic, codec in _CODECS.items() if content.startswith(magic, first)), None)
        if codec is not None:
            found.append((codec, pages))
    if len(found) != 1:
        _check_pages(name, content, [pages[0] for pages in streams.values()])
        reason = f"contains {len(found)} streams of audio at the same time" if found else "contains no audio"
        raise UnsupportedAudioError(name, f"the Ogg file {reason}; expected one stream of Vorbis, Opus or FLAC")
    codec, pages = found[0]
    if codec not in _DECODED:
        raise UnsupportedAudioError(
            name, f"the codec {codec} is not supported in Ogg; expected Vorbis, Opus or FLAC; convert the file"
        )
    if not pages[-1].flags & _LAST:
        raise _truncated(name)
    head = pages[0].start + _HEADER_BYTES + len(pages[0].lacing)
    pre_skip = int.from_bytes(content[head + 10 : head + 12], "little") if codec == "OPUS" else 0
    ends = np.maximum.accumulate([page.granule for page in pages])
    return Link(codec, pages, ends, len(streams) == 1, pre_skip)


def _check_pages(name: str, content: bytes | BytesOfStream, pages: Sequence[Page]) -> None:
    if not pages:
        return
    # All pages are read at once, because the pages of a stream are close to each other.
    origin = pages[0].start
    block = content[origin : pages[-1].start + pages[-1].size] if len(pages) > 4 else None
    for page in pages:
        first = page.start - origin
        whole = content[page.start : page.start + page.size] if block is None else block[first : first + page.size]
        if crc(whole[:22] + bytes(4) + whole[26:]) != int.from_bytes(whole[22:26], "little"):
            raise AudioReadError(
                name, f"is damaged: the checksum of the Ogg page at byte {page.start} is wrong; download it again"
            )
