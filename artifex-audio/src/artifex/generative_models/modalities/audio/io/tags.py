"""Tags in front of and behind audio streams: ID3v1, ID3v2, APE, Lyrics3, and zeros."""

from __future__ import annotations

from artifex.generative_models.modalities.audio.io.streams import BytesOfStream

_ID3V1_BYTES = 128
_APE_FOOTER_BYTES = 32
_BLOCK = 1 << 16


def skip_leading_tags(content: bytes | BytesOfStream, start: int, end: int, *, anywhere: bool = False) -> int:
    """Return the position after the tags and zeros at a position.

    Args:
        content: The bytes of a file.
        start: The position.
        end: The end of the stream.
        anywhere: Whether to also skip the tags that end a stream, as in concatenated files.

    Returns:
        The position.

    Example:
        >>> skip_leading_tags(b"ID3" + bytes([4, 0, 0, 0, 0, 0, 5]) + b"title" + bytes(7) + b"fLaC", 0, 26)
        22
    """
    place = start
    while place < end:
        head = content[place : place + _APE_FOOTER_BYTES]
        if head[:3] == b"ID3" and len(head) >= 10:
            size = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
            place += size + (10 if head[5] & 0x10 else 0)
        elif head[:8] == b"APETAGEX":
            is_header = int.from_bytes(head[20:24], "little") & (1 << 29)
            place += _APE_FOOTER_BYTES + (int.from_bytes(head[12:16], "little") if is_header else 0)
        elif anywhere and head[:3] == b"TAG" and place + _ID3V1_BYTES <= end:
            place += _ID3V1_BYTES
        elif head[:1] == b"\0":
            block = content[place : min(end, place + _BLOCK)]
            place += len(block) - len(block.lstrip(b"\0"))
        else:
            break
    return min(place, end)


def skip_trailing_tags(content: bytes | BytesOfStream, start: int, end: int) -> int:
    """Return the position of the tags at the end of a stream.

    Args:
        content: The bytes of a file.
        start: First byte of the stream.
        end: The end of the stream.

    Returns:
        The position, at least ``start``.

    Example:
        >>> skip_trailing_tags(b"audio" + b"TAG".ljust(128), 0, 133)
        5
    """
    while end > start:
        footer = content[max(start, end - _APE_FOOTER_BYTES) : end]
        if content[end - _ID3V1_BYTES : end - _ID3V1_BYTES + 3] == b"TAG" and end - _ID3V1_BYTES >= start:
            end -= _ID3V1_BYTES
        elif footer[:8] == b"APETAGEX":
            has_header = int.from_bytes(footer[20:24], "little") >> 31
            end -= int.from_bytes(footer[12:16], "little") + (_APE_FOOTER_BYTES if has_header else 0)
        elif content[end - 9 : end] == b"LYRICS200":
            size = content[end - 15 : end - 9]
            if not size.isdigit():
                break
            end -= 15 + int(size)
        elif footer[-10:-7] == b"3DI":
            end -= 20 + sum((byte & 0x7F) << shift for byte, shift in zip(footer[-4:], (21, 14, 7, 0), strict=True))
        else:
            break
    return max(start, end)
