"""The shards of an extraction mapped over a Ray cluster; what is committed on disk stays the only truth."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from artifex.generative_models.core.extras import require
from artifex.generative_models.modalities.audio.extraction import plan as plans
from artifex.generative_models.modalities.audio.extraction import run
from artifex.generative_models.modalities.audio.extraction.plan import Plan


def write_shards(out: Path, plan: Plan, numbers: list[int], *, done: Callable[[int], None]) -> None:
    """Write shards as tasks of a Ray cluster, one task for each, which Ray repeats where a machine is lost.

    The cluster is the one that Ray is connected to, else the one that ``RAY_ADDRESS`` names, else one that is started on
    this machine and ended afterward. Its machines have to see the recordings and the folder under the same paths, and
    have artifex installed. Tasks run on CPUs.

    Args:
        out: The folder of the extraction.
        plan: Its plan.
        numbers: Which shards.
        done: Called with the number of a shard that is written.

    Raises:
        MissingDependencyError: Without the extra ``artifex-audio[ray]``.
    """
    ray: Any = require("ray", install="artifex-audio[ray]", purpose="--engine ray")
    started = not ray.is_initialized()
    if started:
        ray.init(log_to_driver=False, include_dashboard=False, logging_level="warning")
    try:
        task = ray.remote(_write)
        base = str(Path.cwd())
        waiting = list(numbers)
        running: dict[Any, int] = {}
        # A few tasks more than there are processors, so that none waits for the driver and few are queued.
        most = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
        while waiting or running:
            while waiting and len(running) < most:
                number = waiting.pop(0)
                running[task.remote(str(out), plan.digest, number, base)] = number
            finished, _ = ray.wait(list(running))
            for each in finished:
                ray.get(each)
                done(running.pop(each))
    finally:
        if started:
            ray.shutdown()


def _write(out: str, digest: str, number: int, base: str) -> None:
    run.write_shards(Path(out), _plan(out, digest), [number], Path(base))


@lru_cache(maxsize=1)
def _plan(out: str, digest: str) -> Plan:
    plan = plans.read(Path(out))
    if plan is None or plan.digest != digest:
        raise FileNotFoundError(
            f"{out}: a machine of the Ray cluster does not see this extraction; give --out and the recordings on a file "
            f"system that all its machines share, under the same paths"
        )
    return plan
