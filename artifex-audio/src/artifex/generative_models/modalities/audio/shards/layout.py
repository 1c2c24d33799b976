"""Names of the files in a folder of extracted features."""

from __future__ import annotations

import re

PLAN = "plan.json"
CONFIG = "config.toml"
MANIFEST = "manifest.jsonl"
FAILURES = "failures.jsonl"
STATISTICS = "statistics.json"
REPORT = "report.html"
SHARDS = "shards"

_SHARD_OR_SIDECAR = re.compile(r"(?P<plan>[0-9a-f]{8})-\d{5,}\.(json|arrayrecord)")


def shard_file(number: int, digest: str) -> str:
    """Return the path of a shard relative to the folder.

    The name contains the plan's digest, so that a process that still follows a replaced plan cannot overwrite the shards
    of the new one.

    Args:
        number: Number of the shard, from 0.
        digest: SHA-256 of the plan.

    Returns:
        A relative path.

    Example:
        >>> shard_file(3, "0123456789abcdef"), sidecar_file(3, "0123456789abcdef")
        ('shards/01234567-00003.arrayrecord', 'shards/01234567-00003.json')
    """
    return f"{shard_prefix(digest)}{number:05d}.arrayrecord"


def sidecar_file(number: int, digest: str) -> str:
    """Return the path, relative to the folder, of the JSON file that belongs to a shard (its sidecar).

    Args:
        number: Number of the shard, from 0.
        digest: SHA-256 of the plan.

    Returns:
        A relative path.
    """
    return f"{shard_prefix(digest)}{number:05d}.json"


def shard_prefix(digest: str) -> str:
    """Return the common prefix of the relative paths of a plan's shards and sidecars.

    Args:
        digest: SHA-256 of the plan.

    Returns:
        The prefix.
    """
    return f"{SHARDS}/{digest[:8]}-"


def belongs_to_other_plan(name: str, digest: str) -> bool:
    """Return whether a file name is that of a shard or sidecar of another plan.

    Args:
        name: The file name, without its folder.
        digest: SHA-256 of the plan.

    Returns:
        Whether it is; False for names of other files.

    Example:
        >>> belongs_to_other_plan("01234567-00003.json", "89abcdef"), belongs_to_other_plan("notes.txt", "89abcdef")
        (True, False)
    """
    match = _SHARD_OR_SIDECAR.fullmatch(name)
    return match is not None and match["plan"] != digest[:8]
