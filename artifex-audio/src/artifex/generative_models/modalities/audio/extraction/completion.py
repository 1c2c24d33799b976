"""Complete an extraction whose shards are all committed: manifest, failures, report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from artifex.generative_models.core.files import remove_abandoned_files, write_atomic
from artifex.generative_models.modalities.audio.extraction.plan import Plan
from artifex.generative_models.modalities.audio.extraction.retrying import Backoff, attempt, retried
from artifex.generative_models.modalities.audio.extraction.store import (
    Sidecar,
    check_plan,
    merge_sidecar_statistics,
    remove_shards_of_other_plans,
    write_if_changed,
)
from artifex.generative_models.modalities.audio.io import AudioReadError
from artifex.generative_models.modalities.audio.shards import layout
from artifex.generative_models.modalities.audio.shards.checksums import with_checksum
from artifex.generative_models.modalities.audio.shards.records import (
    FailureRecord,
    ManifestRecord,
    open_shard,
    read_example,
)


def collect_records(
    plan: Plan, sidecars: Mapping[int, Sidecar], *, header_failures: bool = True
) -> tuple[list[ManifestRecord], list[FailureRecord]]:
    """Collect the records and failures of shards.

    Args:
        plan: The plan.
        sidecars: The sidecars by the number of the shard.
        header_failures: Whether to include recordings whose headers could not be read, which are in no shard.

    Returns:
        Records and failures, each in the order of the recordings.
    """
    records: list[ManifestRecord] = []
    failures = plan.failures() if header_failures else []
    for number, sidecar in sidecars.items():
        failures += sidecar["failures"]
        file = layout.shard_file(number, plan.digest)
        for position, record in enumerate(sidecar["records"]):
            records.append({**record, "file": file, "record": position})
    return sorted(records, key=lambda record: record["index"]), sorted(failures, key=lambda failure: failure["index"])


def summary_files(plan: Plan, sidecars: Mapping[int, Sidecar]) -> dict[str, bytes]:
    """Return the files that a complete extraction contains next to its plan and shards, without the report.

    Args:
        plan: The plan.
        sidecars: The sidecars of all shards.

    Returns:
        The content of each file by its name.
    """
    records, failures = collect_records(plan, sidecars)
    return {
        layout.CONFIG: plan.config_content(),
        layout.FAILURES: _json_lines(failures),
        layout.STATISTICS: with_checksum(merge_sidecar_statistics(sidecars)),
        layout.MANIFEST: _json_lines(records),
    }


def complete_extraction(
    folder: Path,
    plan: Plan,
    sidecars: Mapping[int, Sidecar],
    *,
    report: bool,
    n_report_examples: int,
    backoff: Backoff,
) -> tuple[list[ManifestRecord], list[FailureRecord]]:
    """Write the manifest, the failures and the report, and remove obsolete files.

    Any process may call this, also repeatedly: it writes the same bytes.

    Args:
        folder: The folder of the extraction.
        plan: Its plan.
        sidecars: The sidecars of all shards.
        report: Whether to write the report.
        n_report_examples: Number of examples in the report.
        backoff: How often to read a recording of the report again.

    Returns:
        All records and failures.

    Raises:
        FileExistsError: When the plan of the folder has been replaced.
        AudioReadError: When a recording of the report cannot be read for a temporary reason.
    """
    records, failures = collect_records(plan, sidecars)
    check_plan(folder, plan.digest)
    written = [
        name for name, content in summary_files(plan, sidecars).items() if write_if_changed(folder / name, content)
    ]
    if report and records and (written or not (folder / layout.REPORT).is_file()):
        page = _render_report(folder, plan, records, failures, n_report_examples, backoff)
        check_plan(folder, plan.digest)
        write_atomic(folder / layout.REPORT, page.encode("utf-8", "replace"))
    # All shards are committed: no process on any host needs a temporary file any more. One that completes the extraction
    # at the same moment writes its file again.
    remove_abandoned_files(folder, other_hosts=True)
    remove_abandoned_files(folder / layout.SHARDS, other_hosts=True)
    check_plan(folder, plan.digest)
    remove_shards_of_other_plans(folder, plan.digest)
    return records, failures


def _render_report(
    folder: Path,
    plan: Plan,
    records: list[ManifestRecord],
    failures: list[FailureRecord],
    n_examples: int,
    backoff: Backoff,
) -> str:
    from artifex.generative_models.modalities.audio.extraction.report import (
        ReportExample,
        render_example,
        render_report,
    )

    read = plan.reader(Path.cwd())
    examples: list[ReportExample] = []
    for record in _evenly_spaced(records, n_examples):
        path = folder / record["file"]
        _, features = read_example(open_shard(path), path, record["record"])
        waveform = retried(partial(attempt, read, record["index"]), backoff)
        if isinstance(waveform, AudioReadError):
            raise waveform
        examples.append(render_example(record, features, waveform[0], plan.config))
    variable_length = plan.variable_length or plan.synthetic
    return render_report(records, failures, plan.settings, examples, variable_length=variable_length)


def _evenly_spaced(records: list[ManifestRecord], count: int) -> list[ManifestRecord]:
    count = min(count, len(records))
    return [records[(2 * i + 1) * len(records) // (2 * count)] for i in range(count)]


def _json_lines(records: Iterable[ManifestRecord | FailureRecord]) -> bytes:
    return "".join(json.dumps(record, allow_nan=False) + "\n" for record in records).encode()
