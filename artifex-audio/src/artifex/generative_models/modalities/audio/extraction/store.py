"""Write and commit shards. A shard is committed by its sidecar, a JSON file with its records and its checksum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, cast

import numpy as np

from artifex.generative_models.core.files import atomic_path, write_atomic
from artifex.generative_models.modalities.audio.shards import layout
from artifex.generative_models.modalities.audio.shards.checksums import (
    file_checksum,
    parse_with_checksum,
    with_checksum,
)
from artifex.generative_models.modalities.audio.shards.reading import plan_digest
from artifex.generative_models.modalities.audio.shards.records import ExampleRecord, FailureRecord, write_records
from artifex.generative_models.modalities.audio.statistics import Statistics, compute_statistics, merge_statistics


class Sidecar(TypedDict):
    """The content of a sidecar.

    Attributes:
        plan: SHA-256 of the plan.
        shard: Number of the shard.
        bytes: Size of the shard's file.
        sha256_of_shard: SHA-256 of the shard's file.
        records: The records of its examples, in order.
        failures: The recordings of the shard that could not be extracted.
        statistics: Statistics of the real features by split, "" without splits, and by name of the feature.
    """

    plan: str
    shard: int
    bytes: int
    sha256_of_shard: str
    records: list[ExampleRecord]
    failures: list[FailureRecord]
    statistics: dict[str, dict[str, dict[str, Any]]]


def write_shard(
    folder: Path,
    number: int,
    digest: str,
    examples: Sequence[tuple[ExampleRecord, Mapping[str, np.ndarray]]],
    failures: Sequence[FailureRecord],
) -> None:
    """Write a shard and commit it with its sidecar.

    Args:
        folder: The folder of the extraction.
        number: Number of the shard.
        digest: SHA-256 of the plan.
        examples: Records and features, in order.
        failures: The recordings of the shard that could not be extracted.

    Raises:
        FileExistsError: When the plan of the folder has been replaced.
    """
    try:
        with atomic_path(folder / layout.shard_file(number, digest)) as temporary:
            write_records(temporary, examples)
            size, checksum = temporary.stat().st_size, file_checksum(temporary)
            check_plan(folder, digest)
        sidecar = Sidecar(
            plan=digest,
            shard=number,
            bytes=size,
            sha256_of_shard=checksum,
            records=[record for record, _ in examples],
            failures=list(failures),
            statistics=_statistics(examples),
        )
        check_plan(folder, digest)
        write_atomic(folder / layout.sidecar_file(number, digest), with_checksum(sidecar))
    except (OSError, RuntimeError):
        # The temporary file may have been removed by a process that found the extraction complete: it removes all
        # temporary files. Then another process has committed this shard, too.
        check_plan(folder, digest)
        if read_sidecar(folder, number, digest) is None:
            raise


def merge_sidecar_statistics(sidecars: Mapping[int, Sidecar]) -> dict[str, dict[str, dict[str, Any]]]:
    """Merge the statistics of shards, in the order of their numbers.

    Args:
        sidecars: The sidecars by the number of the shard.

    Returns:
        Statistics by split and feature, as in a sidecar.
    """
    parts = [
        (split, name, Statistics.from_dict(table))
        for _, sidecar in sorted(sidecars.items())
        for split, features in sidecar["statistics"].items()
        for name, table in features.items()
    ]
    return _merge(parts)


def _statistics(
    examples: Sequence[tuple[ExampleRecord, Mapping[str, np.ndarray]]],
) -> dict[str, dict[str, dict[str, Any]]]:
    return _merge(
        (record.get("split", ""), name, compute_statistics(values))
        for record, features in examples
        for name, values in features.items()
        if not np.iscomplexobj(values)
    )


def _merge(parts: Iterable[tuple[str, str, Statistics]]) -> dict[str, dict[str, dict[str, Any]]]:
    grouped: dict[str, dict[str, list[Statistics]]] = {}
    for split, name, statistics in parts:
        grouped.setdefault(split, {}).setdefault(name, []).append(statistics)
    return {
        split: {name: merge_statistics(each).to_dict() for name, each in sorted(features.items())}
        for split, features in sorted(grouped.items())
    }


def read_sidecar(folder: Path, number: int, digest: str) -> Sidecar | None:
    """Read the sidecar of a committed shard.

    Args:
        folder: The folder of the extraction.
        number: Number of the shard.
        digest: SHA-256 of the plan.

    Returns:
        The sidecar, or None when the shard must be written: the sidecar is missing, damaged or belongs to another plan,
        or the shard is missing or has another size.

    Raises:
        OSError: When it cannot be read for another reason.
    """
    try:
        sidecar = parse_sidecar((folder / layout.sidecar_file(number, digest)).read_bytes())
        size = (folder / layout.shard_file(number, digest)).stat().st_size
    except (FileNotFoundError, ValueError):
        return None
    return sidecar if size == sidecar["bytes"] and sidecar["plan"] == digest else None


def parse_sidecar(content: bytes) -> Sidecar:
    """Parse and verify the content of a sidecar.

    Args:
        content: The content of the file.

    Returns:
        The sidecar.

    Raises:
        ValueError: When it is damaged.
    """
    return cast(Sidecar, parse_with_checksum(content)[0])


def check_plan(folder: Path, digest: str) -> None:
    """Raise unless a plan is still the current plan of a folder.

    Args:
        folder: The folder of the extraction.
        digest: SHA-256 of the plan.

    Raises:
        FileExistsError: When another plan has replaced it.
    """
    if plan_digest(folder) != digest:
        raise FileExistsError(
            f"{folder}: {layout.PLAN} was replaced while this process was running: another process has started another extraction "
            f"with --overwrite; this process stops"
        )


def remove_shards_of_other_plans(folder: Path, digest: str) -> None:
    """Remove the shards and sidecars of other plans.

    Args:
        folder: The folder of the extraction.
        digest: SHA-256 of the current plan.
    """
    for path in (folder / layout.SHARDS).iterdir():
        if layout.belongs_to_other_plan(path.name, digest):
            path.unlink(missing_ok=True)


def write_if_changed(path: Path, content: bytes) -> bool:
    """Write a file atomically unless it already has the content.

    Args:
        path: The file.
        content: The content.

    Returns:
        Whether it was written.
    """
    if path.is_file() and path.read_bytes() == content:
        return False
    write_atomic(path, content)
    return True
