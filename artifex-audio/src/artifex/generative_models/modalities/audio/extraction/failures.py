"""Read recordings again that could not be extracted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs

from artifex.generative_models.modalities.audio.extraction.encode import can_be_extracted
from artifex.generative_models.modalities.audio.extraction.plan import Plan
from artifex.generative_models.modalities.audio.extraction.recordings import PlannedRecording, Reader, read_headers
from artifex.generative_models.modalities.audio.extraction.retrying import Backoff
from artifex.generative_models.modalities.audio.extraction.store import Sidecar, read_sidecar


def read_failed_headers(folder: Path, stored: Plan, requested: Plan, backoff: Backoff) -> Plan | None:
    """Read the headers again that could not be read, and those of failed recordings that have been replaced.

    Args:
        folder: The folder of the extraction.
        stored: Its plan.
        requested: The requested plan, with the present sizes and modification times of the files.
        backoff: How often to read a header again.

    Returns:
        The plan that follows from the headers, or None when it is the stored one.

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


def _is_replaced(was: PlannedRecording, now: PlannedRecording) -> bool:
    return (was.get("bytes"), was.get("modified")) != (now.get("bytes"), now.get("modified"))
