"""Write the shards of an extraction as tasks on a Ray cluster. The committed shards on disk are the only state."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from artifex.generative_models.core.extras import require
from artifex.generative_models.modalities.audio.extraction.plan import Plan, read_plan
from artifex.generative_models.modalities.audio.extraction.retrying import Backoff
from artifex.generative_models.modalities.audio.extraction.writing import write_shards


def write_shards_on_ray(
    folder: Path, plan: Plan, numbers: list[int], backoff: Backoff, *, done: Callable[[int], None]
) -> None:
    """Write shards as tasks of a Ray cluster, one task per shard; Ray repeats the tasks of lost machines.

    The cluster is the one that Ray is connected to, or the one at ``RAY_ADDRESS``, or else one that is started on this
    machine and stopped at the end. All machines need artifex, and must see the recordings and the folder under the same
    paths. Tasks run on CPUs.

    Args:
        folder: The folder of the extraction.
        plan: Its plan.
        numbers: Numbers of the shards.
        backoff: How often to read a recording again.
        done: Called with the number of each written shard.

    Raises:
        MissingDependencyError: Without the extra ``artifex-audio[ray]``.
        AudioReadError: When a recording cannot be read for a temporary reason.
        MemoryError: When a machine has not enough memory.
    """
    ray: Any = require("ray", install="artifex-audio[ray]", purpose="--engine ray")
    started = not ray.is_initialized()
    if started:
        ray.init(log_to_driver=False, include_dashboard=False, logging_level="warning")
    try:
        task = ray.remote(_write_shard)
        base = str(Path.cwd())
        waiting = list(numbers)
        running: dict[Any, int] = {}
        # More tasks than processors, so that no processor is idle while the driver reacts; few enough to keep the queue short.
        max_running = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
        while waiting or running:
            while waiting and len(running) < max_running:
                number = waiting.pop(0)
                running[task.remote(str(folder), plan.digest, number, base, backoff)] = number
            finished, _ = ray.wait(list(running))
            for reference in finished:
                _raise_error_of_task(ray, reference)
                done(running.pop(reference))
    finally:
        if started:
            ray.shutdown()


def _raise_error_of_task(ray: Any, reference: Any) -> None:
    """Raise the error of a failed task as it was raised there; Ray's own errors contain a traceback in their message."""
    try:
        ray.get(reference)
    except ray.exceptions.OutOfMemoryError as error:
        raise MemoryError("a machine of the Ray cluster has not enough memory; run the same command again") from error
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, OSError | MemoryError):
            raise error.cause from error
        raise


def _write_shard(folder: str, digest: str, number: int, base: str, backoff: Backoff) -> None:
    write_shards(Path(folder), _shared_plan(folder, digest), [number], Path(base), backoff)


@lru_cache(maxsize=1)
def _shared_plan(folder: str, digest: str) -> Plan:
    plan = read_plan(Path(folder))
    if plan is None or plan.digest != digest:
        raise FileNotFoundError(
            f"{folder}: a machine of the Ray cluster cannot read this extraction; put --out and the recordings on a file "
            f"system that all machines share, under the same paths"
        )
    return plan
