"""Verify the files of an extraction against their checksums."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

from artifex.generative_models.core.errors import Problem
from artifex.generative_models.core.files import temporary_files
from artifex.generative_models.modalities.audio.datasets.manifests.labels import names_of
from artifex.generative_models.modalities.audio.extraction.completion import summary_files
from artifex.generative_models.modalities.audio.extraction.plan import Plan, read_plan
from artifex.generative_models.modalities.audio.extraction.store import Sidecar, parse_sidecar
from artifex.generative_models.modalities.audio.formatting import format_shapes
from artifex.generative_models.modalities.audio.shards import layout
from artifex.generative_models.modalities.audio.shards.checksums import file_checksum
from artifex.generative_models.modalities.audio.shards.reading import no_extraction
from artifex.generative_models.modalities.audio.shards.records import check_dependencies, open_shard, read_example

_MAX_NAMES = 3
_REPAIR = "run the command that wrote the features again"


@attrs.frozen(kw_only=True)
class Verification:
    """The result of verifying an extraction.

    Args:
        problems: Damaged, missing and unexpected files, with paths relative to the folder; empty when there are none.
        n_shards: Number of shards in the plan; 0 when the plan cannot be read.
        n_examples: Number of examples in the shards whose sidecars can be read.
        n_failures: Number of recordings that could not be extracted, as far as sidecars can be read.
        duration: Total duration of these examples in seconds.
        shapes: Shape of each feature as text, such as ``"13 × 23–156"``.
        splits: Number of examples of each split; empty without splits.
        classes: Number of examples of each class; empty without labels.
        preset: The preset and its options as text; None without a spectral analysis.
    """

    problems: list[Problem]
    n_shards: int = 0
    n_examples: int = 0
    n_failures: int = 0
    duration: float = 0.0
    shapes: Mapping[str, str] = attrs.field(factory=dict[str, str])
    splits: Mapping[str, int] = attrs.field(factory=dict[str, int])
    classes: Mapping[str, int] = attrs.field(factory=dict[str, int])
    preset: str | None = None


def verify(folder: str | os.PathLike[str], *, progress: Callable[[int, int], None] | None = None) -> Verification:
    """Verify every byte of an extraction.

    Shards are compared with the checksums in their sidecars, and records with the sidecars; sidecars and the plan with
    their own checksums; the manifest, the failures, the statistics and the configuration with the content that follows from the plan and
    the sidecars. Files that artifex did not write are reported. The content of ``report.html`` is not verified. Nothing is
    changed.

    Args:
        folder: The folder given as ``--out``.
        progress: Called with the number of verified shards and the total number.

    Returns:
        The problems, and a summary of the extraction.

    Raises:
        FileNotFoundError: When the folder contains no extraction.
        MissingDependencyError: Without the extra ``artifex-audio[loader]``.

    Example:
        >>> import tempfile
        >>> from artifex.generative_models.modalities.audio import AudioModalityConfig, extract
        >>> out = Path(tempfile.mkdtemp()) / "features"
        >>> config = AudioModalityConfig(representation="raw_waveform", duration=0.5)
        >>> _ = extract([], out, config=config, n_synthetic=2, report=False)
        >>> result = verify(out)
        >>> result.problems, result.n_examples, result.duration, result.shapes
        ([], 2, 1.0, {'raw_waveform': '8000'})
        >>> _ = out.joinpath("notes.txt").write_text("notes")
        >>> [problem.source for problem in verify(out).problems]
        ['notes.txt']
    """
    check_dependencies()
    path = Path(folder)
    if not path.is_dir() or not any(path.iterdir()):
        raise FileNotFoundError(no_extraction(folder))
    try:
        plan = read_plan(path)
    except ValueError as error:
        message = f"{error}; start the extraction again with --overwrite"
        return Verification(problems=[Problem(source=layout.PLAN, message=message)])
    if plan is None:
        if not (path / layout.SHARDS).is_dir():
            raise FileNotFoundError(no_extraction(folder))
        message = "is missing; shards are useless without it: extract to another folder"
        return Verification(problems=[Problem(source=layout.PLAN, message=message)])
    problems: list[Problem] = []
    sidecars: dict[int, Sidecar] = {}
    for number in range(len(plan.shards)):
        sidecar, problem = _verify_shard(path, plan, number)
        if problem is not None:
            problems.append(problem)
        if sidecar is not None:
            sidecars[number] = sidecar
        if progress is not None:
            progress(number + 1, len(plan.shards))
    problems += _verify_summary_files(path, plan, sidecars)
    problems += _unexpected_files(path, plan)
    records = [record for sidecar in sidecars.values() for record in sidecar["records"]]
    labels = (record["label"] for record in records)
    found = Counter(name for label in labels for name in names_of(tuple(label) if isinstance(label, list) else label))
    return Verification(
        problems=problems,
        n_shards=len(plan.shards),
        n_examples=len(records),
        n_failures=len(plan.failures()) + sum(len(sidecar["failures"]) for sidecar in sidecars.values()),
        duration=sum(record["duration"] for record in records),
        shapes=format_shapes([record["shapes"] for record in records]) if records else {},
        splits=dict(sorted(Counter(record["split"] for record in records if "split" in record).items())),
        classes={name: found[name] for name in plan.labels},
        preset=None if plan.spectral is None else plan.analysis_name,
    )


def _verify_shard(folder: Path, plan: Plan, number: int) -> tuple[Sidecar | None, Problem | None]:
    shard_name, sidecar_name = layout.shard_file(number, plan.digest), layout.sidecar_file(number, plan.digest)
    shard_path, sidecar_path = folder / shard_name, folder / sidecar_name
    if not sidecar_path.is_file():
        if not shard_path.is_file():
            return None, Problem(source=shard_name, message=f"the shard is missing; {_REPAIR}")
        message = f"the sidecar is missing, so {shard_name} is not committed; {_REPAIR}"
        return None, Problem(source=sidecar_name, message=message)
    try:
        sidecar = parse_sidecar(sidecar_path.read_bytes())
    except ValueError as error:
        return None, Problem(source=sidecar_name, message=f"the sidecar is damaged: {error}; {_REPAIR}")
    if sidecar.get("plan") != plan.digest:
        message = f"the sidecar belongs to another plan than {layout.PLAN}; {_REPAIR}"
        return None, Problem(source=sidecar_name, message=message)
    message = _shard_problem(shard_path, plan, number, sidecar)
    return sidecar, Problem(source=shard_name, message=message) if message else None


def _shard_problem(path: Path, plan: Plan, number: int, sidecar: Sidecar) -> str:
    if not path.is_file():
        return f"the shard is missing; {_REPAIR}"
    size = path.stat().st_size
    if size != sidecar["bytes"]:
        return f"the shard has {size} bytes, expected {sidecar['bytes']}; {_REPAIR}"
    if file_checksum(path) != sidecar["sha256_of_shard"]:
        damaged = _damaged_examples(path, sidecar)
        return f"the shard is damaged: its checksum is not that in its sidecar{damaged}; remove it, then {_REPAIR}"
    reader = open_shard(path)
    records = [read_example(reader, path, position)[0] for position in range(reader.num_records())]
    reader.close()
    indices = [record["index"] for record in sidecar["records"]] + [failure["index"] for failure in sidecar["failures"]]
    if records != sidecar["records"] or sorted(indices) != plan.shards[number]:
        return f"the records of the shard are not those of its sidecar and the plan; remove it, then {_REPAIR}"
    return ""


def _damaged_examples(path: Path, sidecar: Sidecar) -> str:
    reader = open_shard(path)
    damaged: list[str] = []
    for position, record in enumerate(sidecar["records"]):
        try:
            read_example(reader, path, position)
        except OSError:
            damaged.append(record["id"])
    if not damaged:
        return ""
    more = f" and {len(damaged) - _MAX_NAMES} more" if len(damaged) > _MAX_NAMES else ""
    return f" ({', '.join(damaged[:_MAX_NAMES])}{more} cannot be read)"


def _verify_summary_files(folder: Path, plan: Plan, sidecars: dict[int, Sidecar]) -> list[Problem]:
    if len(sidecars) < len(plan.shards):  # their content follows from all sidecars
        return []
    problems: list[Problem] = []
    for name, content in summary_files(plan, sidecars).items():
        if not (folder / name).is_file():
            problems.append(Problem(source=name, message=f"is missing; {_REPAIR}"))
        elif (folder / name).read_bytes() != content:
            problems.append(Problem(source=name, message=f"does not agree with the shards; {_REPAIR}"))
    return problems


def _unexpected_files(folder: Path, plan: Plan) -> list[Problem]:
    expected = {
        layout.PLAN,
        layout.CONFIG,
        layout.MANIFEST,
        layout.FAILURES,
        layout.STATISTICS,
        layout.REPORT,
        layout.SHARDS,
    }
    for number in range(len(plan.shards)):
        expected |= {layout.shard_file(number, plan.digest), layout.sidecar_file(number, plan.digest)}
    problems: list[Problem] = []
    for parent in (folder, folder / layout.SHARDS):
        temporary = temporary_files(parent)
        for path in sorted(parent.iterdir()) if parent.is_dir() else ():
            name = path.relative_to(folder).as_posix()
            if path in temporary:
                message = "is a temporary file of a process that is running or was killed; it is ignored"
                problems.append(Problem(source=name, message=message))
            elif name not in expected:
                problems.append(Problem(source=name, message="is not part of the extraction; move or remove it"))
    return problems
