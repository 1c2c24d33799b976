"""JSON files that end with their own SHA-256, and checksums of files."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from artifex.generative_models.core.checks import is_list

_END = b'"\n}\n'


def with_checksum(table: Mapping[str, Any]) -> bytes:
    """Format a table as JSON whose last entry is the SHA-256 of the text before it.

    Args:
        table: JSON values by key; the items of a list are written one per line.

    Returns:
        The UTF-8 text. Equal tables with their keys in the same order give the same text.

    Example:
        >>> table, digest = parse_with_checksum(with_checksum({"ids": ["a", "b"]}))
        >>> table, len(digest)
        ({'ids': ['a', 'b']}, 64)
        >>> parse_with_checksum(with_checksum({"ids": ["a", "b"]}).replace(b"a", b"c", 1))
        Traceback (most recent call last):
        ValueError: its content does not match its checksum
    """
    body = ",\n".join(f"{json.dumps(key)}: {_format_value(value)}" for key, value in table.items())
    return f'{{\n{body},\n"sha256": "{hashlib.sha256(body.encode()).hexdigest()}"\n}}\n'.encode()


def parse_with_checksum(content: bytes) -> tuple[dict[str, Any], str]:
    """Parse and verify a table that ``with_checksum`` formatted.

    Args:
        content: The text.

    Returns:
        The table and its SHA-256.

    Raises:
        ValueError: When the text is not what ``with_checksum`` returned.
    """
    try:
        table = json.loads(content)
        digest = table.pop("sha256")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError("it is truncated or not valid JSON") from error
    # The text is compared, because a change of white space parses to the same table.
    if with_checksum(table) != content:
        raise ValueError("its content does not match its checksum")
    return table, digest


def trailing_checksum(path: Path) -> str:
    """Read the SHA-256 at the end of a file that ``with_checksum`` formatted, without reading or verifying the rest.

    Args:
        path: The file.

    Returns:
        64 hexadecimal digits, or ``""`` when the file does not exist or its end is damaged.
    """
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(-min(file.tell(), 64 + len(_END)), os.SEEK_END)
            match = re.fullmatch(rb"([0-9a-f]{64})" + re.escape(_END), file.read())
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return match[1].decode() if match else ""


def file_checksum(path: Path) -> str:
    """Compute the SHA-256 of a file.

    Args:
        path: The file.

    Returns:
        64 hexadecimal digits.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _format_value(value: Any) -> str:
    if is_list(value) and value:
        return "[\n" + ",\n".join(json.dumps(item, allow_nan=False) for item in value) + "\n]"
    return json.dumps(value, allow_nan=False)
