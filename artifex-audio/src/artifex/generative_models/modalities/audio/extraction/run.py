"""Run an extraction: agree on the plan, write the missing shards, and complete the folder."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import attrs

from artifex.generative_models.core.checks import check_choice, check_flag, check_integer
from artifex.generative_models.core.errors import printable
from artifex.generative_models.core.files import remove_abandoned_files
from artifex.generative_models.modalities.audio.base import AudioModalityConfig, AudioRepresentation
from artifex.generative_models.modalities.audio.extraction.assignment import ShardAssignment
from artifex.generative_models.modalities.audio.extraction.completion import collect_records, complete_extraction
from artifex.generative_models.modalities.audio.extraction.encode import check_features
from artifex.generative_models.modalities.audio.extraction.failures import find_readable_failures
from artifex.generative_models.modalities.audio.extraction.features import (
    Preset,
    config_with_preset,
    resolve_features,
    resolve_preset,
)
from artifex.generative_models.modalities.audio.extraction.output_folder import agree_on_plan, check_output_folder
from artifex.generative_models.modalities.audio.extraction.plan import Plan, class_names, create_plan
from artifex.generative_models.modalities.audio.extraction.recordings import (
    find_recordings,
    select_split,
    synthetic_recordings,
)
from artifex.generative_models.modalities.audio.extraction.retrying import Backoff, attempt, retried
from artifex.generative_models.modalities.audio.extraction.store import Sidecar, read_sidecar
from artifex.generative_models.modalities.audio.extraction.writing import write_shards
from artifex.generative_models.modalities.audio.io import AudioReadError
from artifex.generative_models.modalities.audio.shards import layout
from artifex.generative_models.modalities.audio.shards.records import (
    FailureRecord,
    ManifestRecord,
    check_dependencies,
)

ENGINES = ("local", "ray")


@attrs.frozen(kw_only=True)
class Extraction:
    """The result of an extraction.

    Args:
        out: The folder, or None when no recording could be read and nothing was written.
        records: The manifest, one record per example; only of this process's shards while others are missing.
        failures: The recordings that could not be extracted.
        n_shards: Number of shards of the extraction.
        n_written: Number of shards that this call wrote.
        missing: Numbers of the shards that other processes, or the same call again, must write.
    """

    out: Path | None
    records: list[ManifestRecord]
    failures: list[FailureRecord]
    n_shards: int = 0
    n_written: int = 0
    missing: tuple[int, ...] = ()


class FailedRecordingsError(RuntimeError):
    """More recordings than allowed could not be extracted.

    Args:
        result: The result; its examples are extracted.
        allowed: Maximum number of failures.
    """

    def __init__(self, result: Extraction, allowed: int) -> None:
        first = result.failures[0]
        super().__init__(
            f"{len(result.failures)} recordings could not be extracted, {allowed} may fail (allow_failures); the first is "
            f"{printable(first['source'])}: {printable(first['reason'])}"
        )
        self.result = result
        self.allowed = allowed

    def __reduce__(self) -> tuple[type[FailedRecordingsError], tuple[Extraction, int]]:
        return FailedRecordingsError, (self.result, self.allowed)


def extract(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    config: AudioModalityConfig | None = None,
    preset: Preset | None = None,
    features: str | Sequence[str] | None = None,
    split: str | None = None,
    variable_length: bool = True,
    n_synthetic: int = 30,
    batch_size: int = 32,
    shard_size: int | None = None,
    assignment: ShardAssignment | None = None,
    engine: str = "local",
    overwrite: bool = False,
    retry_failures: bool = False,
    retries: int = 0,
    allow_failures: int | Literal["all"] = "all",
    wait: Callable[[float], object] = time.sleep,
    report: bool = True,
    n_report_examples: int = 6,
    progress: Callable[[int, int], None] | None = None,
) -> Extraction:
    """Extract features from recordings and write them to a folder.

    The folder contains ``plan.json``, ``config.toml`` (the configuration) and ``shards/``: ArrayRecord files of safetensors
    records. Each shard is committed by a JSON sidecar with its records, failures and checksum. The process that finds all
    shards committed adds ``manifest.jsonl`` (one line per example: id, source, label, sample rate, length, levels, shapes
    and dtypes of the features, shard), ``failures.jsonl`` and ``report.html``. ``read_features`` and ``FeatureDataset`` read
    the folder.

    The same call resumes an interrupted extraction; committed shards are kept. The files are then equal to those of an
    uninterrupted call on the same machine with the same versions. A call that differs from the plan of the folder raises.

    Variable-length recordings are padded to one of a few lengths, so that few programs are compiled. The frames of the
    padding are removed. For a representation without centered frames, the last frames may depend on the padding. Each
    recording is encoded as a whole, at any length.

    Args:
        paths: A file, a folder that is searched recursively, a manifest, or several of them; empty for the synthetic
            dataset. Of the segments in a manifest, only the segments are extracted.
        out: The folder to create, or to resume.
        config: The configuration of the features; None means mel spectrograms with default settings. With a preset, None
            means recordings that are not normalized.
        preset: A preset of artifex-spectral that reproduces another tool, such as ``"whisper"``, or its name and fields of
            ``SpectralConfig`` to change, such as ``("whisper", {"n_mels": 128})``. It is the same as ``config.spectral``.
        features: Names of the features, such as ``("log_mel_spectrogram", "mfcc")``: registered representations, and the
            features of artifex-spectral that ``SpectralAnalysis.compute_…`` returns. All are computed from one decoding of
            a recording and need one time axis. None means ``config.representation``, and ``log_mel_spectrogram`` if that is
            the raw waveform and there is a preset. Without a preset, features have ``n_samples // hop_length`` frames.
        split: Name of the split of a manifest to extract; None means all. Classes are those of all splits.
        variable_length: Whether each recording keeps its length; otherwise its first ``config.duration`` seconds are used
            and shorter recordings are zero-padded. Synthetic examples always have that length.
        n_synthetic: Number of synthetic examples when there are no paths.
        batch_size: Maximum number of recordings in a batch; batches of long recordings are smaller.
        shard_size: Maximum number of recordings in a shard; None results in about 64 shards of 32 to 1024 recordings.
        assignment: The shards that this process writes; None means all.
        engine: ``"local"``, this process; or ``"ray"``, tasks on a Ray cluster whose machines share a file system
            (requires the extra ``artifex-audio[ray]``).
        overwrite: Whether to replace a different extraction in ``out``.
        retry_failures: Whether to read the recordings again that could not be extracted, for example because they have been
            repaired. Only the shards that change are written again. The result equals that of a new extraction.
        retries: How often to read a recording again that cannot be read for a temporary reason, such as an unavailable
            network drive, a file that is missing now, or too little memory.
        allow_failures: Maximum number of recordings that may fail, or ``"all"``; with more an error is raised after the
            others have been extracted.
        wait: Called with the seconds to wait before each of these attempts: 1, 2, 4, …, at most 60.
        report: Whether to write ``report.html`` (requires the extra ``artifex-audio[plot]``).
        n_report_examples: Number of examples in the report.
        progress: Called with the number of finished recordings and the total number of recordings of this process.

    Returns:
        The extracted examples and the failures. When no header can be read, nothing is written.

    Raises:
        FileExistsError: When ``out`` contains a different extraction and ``overwrite`` is False, or other files; or when
            another process replaced this extraction meanwhile.
        FileNotFoundError: For a path that does not exist.
        ValueError: For a folder without audio files, an unknown split, a configuration that contradicts the preset, or an
            option out of range.
        UnknownComponentError: For an unknown preset or feature; the message lists the available ones.
        FailedRecordingsError: When more recordings fail than ``allow_failures``.
        AudioReadError: When a recording cannot be read for a temporary reason, such as an unavailable network drive, too
            little memory, or a file that is missing since the extraction was started. Its shard is not written; the same call
            tries again.
        OSError: When a recording has changed since the extraction was started.
        MemoryError: When the features cannot be computed for lack of memory.
        MissingDependencyError: When an extra is not installed; raised before anything is read.

    Example:
        >>> import tempfile
        >>> out = Path(tempfile.mkdtemp()) / "features"
        >>> config = AudioModalityConfig(representation="raw_waveform", duration=0.5)
        >>> result = extract([], out, config=config, n_synthetic=3, report=False)
        >>> [(record["id"], record["shapes"]) for record in result.records[:2]]
        [('sine-0', {'raw_waveform': [8000]}), ('noise-1', {'raw_waveform': [8000]})]
        >>> extract([], out, config=config, n_synthetic=3, report=False).n_written  # already complete
        0
        >>> mfcc = extract([], out.parent / "mfcc", preset="whisper", features="mfcc", n_synthetic=3, report=False)
        >>> mfcc.records[0]["shapes"]
        {'mfcc': [13, 200]}
    """
    if config is not None and not isinstance(config, AudioModalityConfig):  # pyright: ignore[reportUnnecessaryIsInstance]  user input
        raise TypeError(f"config must be an AudioModalityConfig or None, got {type(config).__name__}")
    if not isinstance(paths, str | os.PathLike | Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]  user input
        raise TypeError(
            f"paths must be a file, a folder, or a list of them ([] for synthetic audio), got {type(paths).__name__}"
        )
    for name, flag in (("variable_length", variable_length), ("overwrite", overwrite), ("report", report)):
        check_flag(name, flag)
    check_flag("retry_failures", retry_failures)
    check_integer("retries", retries, minimum=0)
    check_integer("n_synthetic", n_synthetic, minimum=1)
    check_integer("batch_size", batch_size, minimum=1)
    if shard_size is not None:
        check_integer("shard_size", shard_size, minimum=1)
    check_integer("n_report_examples", n_report_examples, minimum=0)
    check_choice("engine", engine, choices=ENGINES)
    if allow_failures != "all":
        check_integer("allow_failures", allow_failures, minimum=0)
    if engine == "ray" and assignment is not None:
        raise ValueError('engine="ray" writes all shards on its cluster; omit --shard (assignment)')
    check_dependencies()
    if report:
        from artifex.generative_models.modalities.audio.extraction.report import check_report_dependencies

        check_report_dependencies()
    folder = Path(out).resolve()
    given = [Path(paths)] if isinstance(paths, str | os.PathLike) else [Path(path) for path in paths]
    variable_length = variable_length and bool(given)
    if split is not None and not given:
        raise ValueError(
            f"split={split!r} (--split) selects recordings of a manifest; synthetic examples have no splits"
        )
    if preset is None and config is not None and isinstance(config.spectral, str):
        preset = config.spectral
    resolved = None if preset is None else resolve_preset(preset)
    if resolved is not None:
        config = config_with_preset(config, resolved)
    elif config is None:
        config = AudioModalityConfig()
        features = AudioRepresentation.MEL_SPECTROGRAM.value if features is None else features
    names = resolve_features(features, config)
    check_output_folder(folder, given, given=out)
    backoff = Backoff(retries=int(retries), wait=wait)
    found = retried(partial(attempt, find_recordings, given), backoff) if given else []
    if isinstance(found, AudioReadError):
        raise found
    recordings = found if given else synthetic_recordings(config, n_synthetic)
    origin = {"paths": [str(path) for path in given]} if given else {"synthetic": n_synthetic}
    requested = create_plan(
        config,
        recordings if split is None else select_split(recordings, split),
        origin if split is None else {**origin, "split": split},
        features=names,
        preset=resolved,
        labels=class_names(recordings),
        variable_length=variable_length,
        batch_size=batch_size,
        shard_size=shard_size,
    )
    check_features(requested)
    plan = agree_on_plan(
        folder, requested, overwrite=overwrite, retry_failures=retry_failures, backoff=backoff, given=out
    )
    if not plan.shards:
        return _check_failures(Extraction(out=None, records=[], failures=plan.failures()), allow_failures)

    remove_abandoned_files(folder)
    remove_abandoned_files(folder / layout.SHARDS)
    assigned = assignment or ShardAssignment()
    own = [number for number in range(len(plan.shards)) if assigned.includes(number)]
    committed = _read_sidecars(folder, plan, own)
    if retry_failures:
        readable = find_readable_failures(plan, committed, plan.reader(Path.cwd()), backoff)
        for number in readable:
            del committed[number]
        if readable:  # incomplete until they are written
            (folder / layout.MANIFEST).unlink(missing_ok=True)
    to_write = [number for number in own if number not in committed]
    # Process 0 reports the recordings whose headers cannot be read: they are in no shard.
    n_recordings = sum(len(plan.shards[number]) for number in own) + len(plan.failures()) * (assigned.index == 0)
    n_done = n_recordings - sum(len(plan.shards[number]) for number in to_write)

    def count(finished: int = 1) -> None:
        nonlocal n_done
        n_done += finished
        if progress is not None:
            progress(n_done, n_recordings)

    count(0)
    if to_write and engine == "ray":
        from artifex.generative_models.modalities.audio.extraction.ray_engine import write_shards_on_ray

        write_shards_on_ray(folder, plan, to_write, backoff, done=lambda number: count(len(plan.shards[number])))
    elif to_write:
        write_shards(folder, plan, to_write, Path.cwd(), backoff, progress=count)

    missing, sidecars = _find_missing(folder, plan, own)
    if missing:
        own_sidecars = {number: sidecar for number, sidecar in sidecars.items() if assigned.includes(number)}
        records, failures = collect_records(plan, own_sidecars, header_failures=assigned.index == 0)
    else:
        records, failures = complete_extraction(
            folder, plan, sidecars, report=report, n_report_examples=n_report_examples, backoff=backoff
        )
    result = Extraction(
        out=folder,
        records=records,
        failures=failures,
        n_shards=len(plan.shards),
        n_written=len(to_write),
        missing=missing,
    )
    return _check_failures(result, allow_failures)


def _check_failures(result: Extraction, allow_failures: int | Literal["all"]) -> Extraction:
    if allow_failures != "all" and len(result.failures) > allow_failures:
        raise FailedRecordingsError(result, allow_failures)
    return result


def _read_sidecars(folder: Path, plan: Plan, numbers: Iterable[int]) -> dict[int, Sidecar]:
    sidecars = {number: read_sidecar(folder, number, plan.digest) for number in numbers}
    return {number: sidecar for number, sidecar in sidecars.items() if sidecar is not None}


def _find_missing(folder: Path, plan: Plan, own: list[int]) -> tuple[tuple[int, ...], dict[int, Sidecar]]:
    """Return the numbers of the missing shards, and the sidecars that were read.

    While sidecars are missing, only the process's own are read: of many processes, only those that may be the last one
    read all.
    """
    numbers = range(len(plan.shards))
    existing = {path.name for path in (folder / layout.SHARDS).iterdir()}
    missing = tuple(number for number in numbers if Path(layout.sidecar_file(number, plan.digest)).name not in existing)
    sidecars = _read_sidecars(folder, plan, own if missing else numbers)
    return missing or tuple(number for number in numbers if number not in sidecars), sidecars
