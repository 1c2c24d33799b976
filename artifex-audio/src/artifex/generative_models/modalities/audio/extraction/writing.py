"""Encode shards and write them; used by the local engine and by the tasks of the Ray engine."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from artifex.generative_models.modalities.audio.extraction.encode import encode_shards
from artifex.generative_models.modalities.audio.extraction.plan import Plan
from artifex.generative_models.modalities.audio.extraction.retrying import Backoff
from artifex.generative_models.modalities.audio.extraction.store import write_shard


def write_shards(
    folder: Path,
    plan: Plan,
    numbers: list[int],
    base: Path,
    backoff: Backoff,
    *,
    progress: Callable[[], None] | None = None,
) -> None:
    """Encode shards and write each while the next is encoded.

    Args:
        folder: The folder of the extraction.
        plan: Its plan.
        numbers: Numbers of the shards.
        base: The folder that relative paths of recordings are relative to.
        backoff: How often to read a recording again.
        progress: Called when a recording is done.
    """
    with ThreadPoolExecutor(1) as writer:
        writing: Future[None] | None = None
        for number, examples, failures in encode_shards(plan, numbers, plan.reader(base), backoff, progress=progress):
            if writing is not None:
                writing.result()
            writing = writer.submit(write_shard, folder, number, plan.digest, examples, failures)
        if writing is not None:
            writing.result()
