"""Whether the folder of an extraction holds just what was written to it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from artifex.generative_models.modalities.audio.extraction import plan as plans
from artifex.generative_models.modalities.audio.extraction import store
from artifex.generative_models.modalities.audio.extraction.plan import Plan
from artifex.generative_models.modalities.audio.extraction.run import expected_files

_NAMED = 3
_AGAIN = "the command that wrote the features mends it"


@attrs.frozen
class Problem:
    """Something in the folder of an extraction that is not as it was written.

    Args:
        file: Where, relative to the folder.
        what: What is wrong, and what to do.
    """

    file: str
    what: str


@attrs.frozen(kw_only=True)
class Verified:
    """What an extraction was found to be.

    Args:
        problems: What is not as it was written; empty when all is.
        shards: How many shards the plan names; 0 when there is no plan to be read.
        records: How many examples are in the shards whose sidecars can be read.
        failures: How many recordings could not be extracted, as far as is known.
    """

    problems: list[Problem]
    shards: int = 0
    records: int = 0
    failures: int = 0


def verify(folder: str | os.PathLike[str], *, progress: Callable[[int, int], None] | None = None) -> Verified:
    """Check every byte of an extraction.

    It reads every shard against the checksum in its sidecar and every record against the sidecar, the sidecars and the
    plan against their own checksums, the manifest, the failures and the configuration against what follows from them,
    and looks for files that nobody of artifex wrote. What ``report.html`` holds is not checked. Nothing is changed.

    Args:
        folder: The folder that was given as ``--out``.
        progress: Called with the number of shards that are checked and of all.

    Returns:
        What is wrong, if anything, and what there is.

    Raises:
        FileNotFoundError: When the folder holds no extraction.

    Example:
        >>> import tempfile
        >>> from artifex.generative_models.modalities.audio import AudioModalityConfig, extract
        >>> out = Path(tempfile.mkdtemp()) / "features"
        >>> config = AudioModalityConfig(representation="raw_waveform", duration=0.5)
        >>> _ = extract([], out, config=config, n_synthetic=2, report=False)
        >>> verify(out).problems
        []
        >>> _ = out.joinpath("notes.txt").write_text("mine")
        >>> [problem.file for problem in verify(out).problems]
        ['notes.txt']
    """
    store.check_ready()
    out = Path(folder)
    if not out.is_dir() or not any(out.iterdir()):
        raise FileNotFoundError(f"{folder}: no extraction here, there is no {store.PLAN}")
    try:
        plan = plans.read(out)
    except ValueError as error:
        return Verified(problems=[Problem(store.PLAN, f"{error}; --overwrite begins the extraction anew")])
    if plan is None:
        if not (out / store.SHARDS).is_dir():
            raise FileNotFoundError(f"{folder}: no extraction here, there is no {store.PLAN}")
        return Verified(
            problems=[Problem(store.PLAN, "is missing; the shards cannot be told without it: extract anew")]
        )
    problems: list[Problem] = []
    sidecars: dict[int, dict[str, Any]] = {}
    for number in range(len(plan.shards)):
        sidecar, found = _shard(out, plan, number)
        problems += found
        if sidecar is not None:
            sidecars[number] = sidecar
        if progress is not None:
            progress(number + 1, len(plan.shards))
    problems += _beside(out, plan, sidecars)
    return Verified(
        problems=problems + _foreign(out, plan),
        shards=len(plan.shards),
        records=sum(len(sidecar["records"]) for sidecar in sidecars.values()),
        failures=len(plan.failures()) + sum(len(sidecar["failures"]) for sidecar in sidecars.values()),
    )


def _shard(out: Path, plan: Plan, number: int) -> tuple[dict[str, Any] | None, list[Problem]]:
    name, beside = store.shard_name(number, plan.digest), store.sidecar_name(number, plan.digest)
    path = out / name
    if not (out / beside).is_file():
        if path.is_file():
            return None, [Problem(beside, f"the sidecar is missing, {name} is not committed without it; {_AGAIN}")]
        return None, [Problem(name, f"the shard is missing; {_AGAIN}")]
    try:
        sidecar, _ = store.unsealed((out / beside).read_bytes())
    except ValueError as error:
        return None, [Problem(beside, f"the sidecar is damaged: {error}; {_AGAIN}")]
    if sidecar.get("plan") != plan.digest:
        return None, [Problem(beside, f"the sidecar belongs to another plan than {store.PLAN}; {_AGAIN}")]
    if not path.is_file():
        return sidecar, [Problem(name, f"the shard is missing; {_AGAIN}")]
    size = path.stat().st_size
    if size != sidecar["bytes"]:
        return sidecar, [Problem(name, f"the shard has {size} bytes, {sidecar['bytes']} were written; {_AGAIN}")]
    if store.file_digest(path) != sidecar["sha256_of_shard"]:
        what = f"the shard is damaged, its checksum is not that of its sidecar{_unreadable(path, sidecar)}"
        return sidecar, [Problem(name, f"{what}; remove it, and {_AGAIN}")]
    return sidecar, [Problem(name, what) for what in _contents(path, plan, number, sidecar)]


def _contents(path: Path, plan: Plan, number: int, sidecar: dict[str, Any]) -> list[str]:
    """Compare the records of a shard with its sidecar: they differ when neither is damaged but one was made otherwise."""
    reader = store.open_shard(path)
    records = [store.read_record(reader, path, place)[0] for place in range(reader.num_records())]
    reader.close()
    held = sorted([entry["index"] for entry in sidecar["records"] + sidecar["failures"]])
    if records != sidecar["records"] or held != plan.shards[number]:
        return [f"the shard does not hold the recordings that its sidecar and the plan name; remove it, and {_AGAIN}"]
    return []


def _unreadable(path: Path, sidecar: dict[str, Any]) -> str:
    reader = store.open_shard(path)
    damaged = []
    for place, record in enumerate(sidecar["records"]):
        try:
            store.read_record(reader, path, place)
        except OSError:
            damaged.append(record["id"])
    if not damaged:
        return ""
    more = f" and {len(damaged) - _NAMED} more" if len(damaged) > _NAMED else ""
    return f" ({', '.join(damaged[:_NAMED])}{more} cannot be read)"


def _beside(out: Path, plan: Plan, sidecars: dict[int, dict[str, Any]]) -> list[Problem]:
    if len(sidecars) < len(plan.shards):  # what follows from all of them is not known
        return []
    problems = []
    for name, content in expected_files(plan, sidecars)[2].items():
        if not (out / name).is_file():
            problems.append(Problem(name, f"is missing; {_AGAIN}"))
        elif (out / name).read_bytes() != content:
            problems.append(Problem(name, f"is not what the shards say; {_AGAIN}"))
    return problems


def _foreign(out: Path, plan: Plan) -> list[Problem]:
    names = {store.PLAN, store.CONFIG, store.MANIFEST, store.FAILURES, store.REPORT, store.SHARDS}
    numbers = range(len(plan.shards))
    names |= {name(number, plan.digest) for number in numbers for name in (store.shard_name, store.sidecar_name)}
    unfinished = {*store.leftovers(out), *store.leftovers(out / store.SHARDS)}
    problems = []
    for folder in (out, out / store.SHARDS):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            name = path.relative_to(out).as_posix()
            if path in unfinished:
                problems.append(
                    Problem(name, "is unfinished: a process is writing it or was stopped; it counts for nothing")
                )
            elif name not in names:
                problems.append(Problem(name, "is no part of the extraction; move or remove it"))
    return problems
