"""Retry recordings that could not be extracted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import attrs

from artifex.generative_models.core.files import atomic_path, write_atomic
from artifex.generative_models.modalities.audio.extraction.encode import can_be_extracted
from artifex.generative_models.modalities.audio.extraction.plan import Plan
from artifex.generative_models.modalities.audio.extraction.recordings import PlannedRecording, Reader, read_headers
from artifex.generative_models.modalities.audio.extraction.retrying import Backoff
from artifex.generative_models.modalities.audio.extraction.store import Sidecar, read_sidecar
from artifex.generative_models.modalities.audio.shards import layout
from artifex.generative_models.modalities.audio.shards.checksums import with_checksum


def read_failed_headers(folder: Path, stored: Plan, requested: Plan, backoff: Backoff) -> Plan | None:
    """Reread headers that could not be read, and those of failed recordings whose files have been replaced.

    Args:
        folder: The folder of the extraction.
        stored: Its plan.
        requested: The requested plan, with the present sizes and modification times of the files.
        backoff: How often to read a header again.

    Returns:
        The updated plan, or None if it equals the stored one.

    Raises:
        AudioReadError: When a header cannot be read for a temporary reason.
    """
    if [each["source"] for each in stored.recordings] != [each["source"] for each in requested.recordings]:
        return None
    failed = [failure["index"] for failure in stored.failures()]
    for number in range(len(stored.shards)):
        sidecar = read_sidecar(folder, number, stored.digest)
        replaced = [] if sidecar is None else [failure["index"] for failure in sidecar["failures"]]
        failed += [index for index in replaced if _is_replaced(stored.recordings[index], requested.recordings[index])]
    again = [requested.recordings[index] for index in failed]
    headers = read_headers(again, stored.config, variable_length=stored.variable_length, backoff=backoff)
    recordings = list(stored.recordings)
    for index, header in zip(failed, headers, strict=True):
        if "error" not in header or _is_replaced(recordings[index], header):
            recordings[index] = header
    if recordings == stored.recordings:
        return None
    return attrs.evolve(stored, recordings=recordings).with_shards()


def keep_shards(folder: Path, old: Plan, new: Plan) -> None:
    """Keep the committed shards that are unchanged in a new plan, under their new names.

    Args:
        folder: The folder of the extraction.
        old: Its plan.
        new: The plan that will replace it, of the same recordings.
    """
    numbers = {_batches(old, shard): number for number, shard in enumerate(old.shards)}
    for number, shard in enumerate(new.shards):
        was = numbers.get(_batches(new, shard))
        if was is None or any(old.recordings[index] != new.recordings[index] for index in shard):
            continue
        sidecar = read_sidecar(folder, was, old.digest)
        if sidecar is not None:
            _link(folder / layout.shard_file(was, old.digest), folder / layout.shard_file(number, new.digest))
            content = with_checksum({**sidecar, "plan": new.digest, "shard": number})
            write_atomic(folder / layout.sidecar_file(number, new.digest), content)


def find_readable_failures(plan: Plan, sidecars: Mapping[int, Sidecar], read: Reader, backoff: Backoff) -> list[int]:
    """Find the shards with a failed recording that can be extracted now.

    Args:
        plan: The plan.
        sidecars: The sidecars of committed shards, by the number of the shard.
        read: Reads a recording.
        backoff: How often to read a recording again.

    Returns:
        The numbers of the shards, which must be written again.

    Raises:
        AudioReadError: When a recording cannot be read for a temporary reason.
    """
    return [
        number
        for number, sidecar in sidecars.items()
        if any(can_be_extracted(plan, failure["index"], read, backoff) for failure in sidecar["failures"])
    ]


def _batches(plan: Plan, shard: list[int]) -> tuple[tuple[int, int, int], ...]:
    """Return the index, padded length and batch size of each recording; they determine the bytes of the shard."""
    lengths = [plan.padded_length(plan.recordings[index].get("n_samples", 0)) for index in shard]
    return tuple((index, length, plan.batch_size_at(length)) for index, length in zip(shard, lengths, strict=True))


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        pass
    except OSError:  # the file system has no hard links
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)


def _is_replaced(was: PlannedRecording, now: PlannedRecording) -> bool:
    return (was.get("bytes"), was.get("modified")) != (now.get("bytes"), now.get("modified"))
