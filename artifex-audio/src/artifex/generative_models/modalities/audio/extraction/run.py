"""Running an extraction: agree on the plan, write the shards that are not there, and finish what is whole."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from artifex.generative_models.core.checks import check_choice, check_flag, check_integer
from artifex.generative_models.modalities.audio.base import AudioModality, AudioModalityConfig, AudioRepresentation
from artifex.generative_models.modalities.audio.extraction import plan as plans
from artifex.generative_models.modalities.audio.extraction import recordings, store
from artifex.generative_models.modalities.audio.extraction.encode import Encoded, encoded
from artifex.generative_models.modalities.audio.extraction.plan import Plan
from artifex.generative_models.modalities.audio.extraction.share import Share

ENGINES = ("local", "ray")


@attrs.frozen(kw_only=True)
class Extraction:
    """What an extraction gave.

    Args:
        out: The folder, or None when no recording could be read and nothing was written.
        records: The manifest: a dict for each example; of the shards of this process alone while others are missing.
        failures: ``index``, ``source`` and ``reason`` of each recording that could not be extracted.
        shards: How many shards the extraction has.
        written: How many of them this call wrote.
        missing: Those that are still to be written, by other processes or by the same command again.
    """

    out: Path | None
    records: list[dict[str, Any]]
    failures: list[dict[str, Any]]
    shards: int = 0
    written: int = 0
    missing: tuple[int, ...] = ()


def extract(
    paths: Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    config: AudioModalityConfig | None = None,
    whole: bool = True,
    n_synthetic: int = 30,
    batch_size: int = 32,
    shard_size: int | None = None,
    share: Share | None = None,
    engine: str = "local",
    overwrite: bool = False,
    report: bool = True,
    n_examples: int = 6,
    progress: Callable[[int, int], None] | None = None,
) -> Extraction:
    """Extract the features of recordings to a folder.

    The folder holds ``plan.json``, ``config.toml``, which gives the same features again, and ``shards/``: ArrayRecord
    files of safetensors records, each committed by a JSON file beside it with its records, failures and checksum. When
    all are there, whichever process notices adds ``manifest.jsonl`` (a line for each example: id, source, label, rate,
    length, levels, shape, dtype, and where it lies), ``failures.jsonl`` and ``report.html``. ``read_features`` and
    ``FeatureDataset`` read it back.

    Whatever stops a process, shards that are committed stay, and the same call goes on from there; the result is the
    same to the byte as that of a call that was never stopped, on the same machine and versions. A call that asks for
    something else than the folder's plan is refused.

    A recording keeps its own length: it is padded to one of a few lengths, so that few programs are compiled, and the
    frames of the padding are cut off again. A representation whose frames are not centered on their samples with zeros
    around the recording gives other values in the last frames than it gives for the unpadded recording. It goes through
    the encoder in one piece, however long it is.

    Args:
        paths: Files, and folders with everything beneath them; none means the synthetic dataset.
        out: The folder to make, or to go on with.
        config: What the audio is like and what it is turned into; None means mel spectrograms with the defaults.
        whole: Whether each recording keeps its own length; otherwise its first ``config.duration`` seconds are kept, with
            zeros after a shorter one. Synthetic sounds have that length in any case.
        n_synthetic: How many synthetic sounds are made when there are no paths.
        batch_size: The most recordings that are encoded at once; fewer when they are long.
        shard_size: The most recordings in a shard; None makes about 64 shards of 32 to 1024.
        share: Which part of the shards is this process's; None means all.
        engine: ``"local"``, this process; or ``"ray"``, tasks on a Ray cluster whose machines see the same files, which
            takes the extra ``artifex-audio[ray]``.
        overwrite: Whether an extraction at ``out`` that differs gives way.
        report: Whether ``report.html`` is written; takes the extra ``artifex-audio[plot]``.
        n_examples: How many examples the report shows.
        progress: Called with the number of this process's recordings that are done and of all of them.

    Returns:
        What was extracted and what could not be. Where no header can be read, nothing is written.

    Raises:
        FileExistsError: When ``out`` holds another extraction and ``overwrite`` is not given, or something else; or when
            another process put another extraction in the place of this one meanwhile.
        FileNotFoundError: For a path that is not there.
        ValueError: For a folder without audio, or an option out of range.
        AudioReadError: When a recording cannot be read for a reason that may pass, such as too many open files. Its shard
            is not written; the same call tries it again.
        OSError: When a recording has changed since the extraction was planned.
        MissingDependencyError: For something that is needed and not installed, before anything is read.

    Example:
        >>> import tempfile
        >>> out = Path(tempfile.mkdtemp()) / "features"
        >>> config = AudioModalityConfig(representation="raw_waveform", duration=0.5)
        >>> result = extract([], out, config=config, n_synthetic=3, report=False)
        >>> [(record["id"], record["shape"]) for record in result.records]
        [('sine-0', [8000]), ('noise-1', [8000]), ('chirp-2', [8000])]
        >>> extract([], out, config=config, n_synthetic=3, report=False).written  # all is there
        0
    """
    if config is None:
        config = AudioModalityConfig(representation=AudioRepresentation.MEL_SPECTROGRAM)
    for name, flag in (("whole", whole), ("overwrite", overwrite), ("report", report)):
        check_flag(name, flag)
    check_integer("n_synthetic", n_synthetic, minimum=1)
    check_integer("batch_size", batch_size, minimum=1)
    if shard_size is not None:
        check_integer("shard_size", shard_size, minimum=1)
    check_integer("n_examples", n_examples, minimum=0)
    check_choice("engine", engine, choices=ENGINES)
    if engine == "ray" and share is not None:
        raise ValueError("--engine ray spreads all shards over its cluster; leave --shard out")
    store.check_ready()
    if report:
        from artifex.generative_models.modalities.audio import report as reporting

        reporting.check_ready()
    folder = Path(out).resolve()
    given = [Path(path) for path in paths]
    whole = whole and bool(given)
    AudioModality(_shortest(config) if whole else config)
    _check_place(folder, given, asked=out)
    asked = plans.asked(
        config,
        recordings.found(given) if given else recordings.synthetic(config, n_synthetic),
        {"paths": [str(path) for path in given]} if given else {"synthetic": n_synthetic},
        whole=whole,
        batch_size=batch_size,
        shard_size=shard_size,
    )
    plan = _settled(folder, asked, overwrite=overwrite, named=out)
    if not plan.shards:
        return Extraction(out=None, records=[], failures=plan.failures())

    for each in (folder, folder / store.SHARDS):
        store.sweep(each)
    held = share or Share()
    mine = [number for number in range(len(plan.shards)) if held.holds(number)]
    done = _committed(folder, plan, mine)
    to_do = [number for number in mine if number not in done]
    count = _Count(plan, mine, to_do, first=held.index == 0, tell=progress)
    if to_do and engine == "ray":
        from artifex.generative_models.modalities.audio.extraction import ray_engine

        ray_engine.write_shards(folder, plan, to_do, done=lambda number: count(len(plan.shards[number])))
    elif to_do:
        write_shards(folder, plan, to_do, Path.cwd(), progress=count)

    numbers = range(len(plan.shards))
    there = {path.name for path in (folder / store.SHARDS).iterdir()}
    missing = tuple(number for number in numbers if Path(store.sidecar_name(number, plan.digest)).name not in there)
    # One of many processes does not read what all others wrote, unless it may be the last.
    sidecars = _committed(folder, plan, mine if missing else numbers)
    missing = missing or tuple(number for number in numbers if number not in sidecars)
    if missing:
        own = {number: sidecar for number, sidecar in sidecars.items() if held.holds(number)}
        records, failures = _tables(plan, own, plan.failures() if held.index == 0 else [])
    else:
        records, failures = _finish(folder, plan, sidecars, report=report, n_examples=n_examples)
    return Extraction(
        out=folder, records=records, failures=failures, shards=len(plan.shards), written=len(to_do), missing=missing
    )


def read_features(folder: str | os.PathLike[str]) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Read back what ``artifex extract`` wrote.

    Args:
        folder: The folder that was given as ``--out``.

    Yields:
        For each example its record in the manifest and its features, in the order of the recordings.

    Raises:
        FileNotFoundError: When the folder holds no extraction, or shards of it are missing.
        OSError: When a record is damaged.

    Example:
        >>> import tempfile
        >>> out = Path(tempfile.mkdtemp()) / "features"
        >>> config = AudioModalityConfig(representation="raw_waveform", duration=0.5)
        >>> _ = extract([], out, config=config, n_synthetic=2, report=False)
        >>> [(record["label"], features.shape) for record, features in read_features(out)]
        [('sine', (8000,)), ('noise', (8000,))]
    """
    readers = store.Readers()
    for record in manifest(folder):
        path = Path(folder) / record["file"]
        yield record, store.read_record(readers(path), path, record["record"])[1]


def manifest(folder: str | os.PathLike[str], *, digest: str | None = None) -> Iterator[dict[str, Any]]:
    """Return the manifest of an extraction that is complete.

    Args:
        folder: The folder that was given as ``--out``.
        digest: The checksum of the plan that it has to belong to; None means that of the folder's plan.

    Yields:
        A record for each example.

    Raises:
        FileNotFoundError: When the folder holds no extraction, or one that is not complete.
        ValueError: When the manifest belongs to another plan.
    """
    path = Path(folder) / store.MANIFEST
    if not path.is_file():
        if (Path(folder) / store.PLAN).is_file():
            raise FileNotFoundError(
                f"{folder}: this extraction is not complete, there is no {store.MANIFEST}; the command that began it "
                f"goes on with it"
            )
        raise FileNotFoundError(f"{folder}: no extraction here, there is no {store.MANIFEST}")
    if digest is None:
        digest = store.plan_digest(Path(folder))
    start = store.names_start(digest)
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            if not record["file"].startswith(start):
                raise ValueError(
                    f"{path} belongs to another plan than {store.PLAN}: the extraction was replaced while an earlier one "
                    f"was at work; the command that wrote the features mends it"
                )
            yield record


def write_shards(
    out: Path, plan: Plan, numbers: list[int], base: Path, *, progress: Callable[[], None] | None = None
) -> None:
    """Encode shards and write them.

    Args:
        out: The folder of the extraction.
        plan: Its plan.
        numbers: Which shards.
        base: The folder that relative paths of recordings start from.
        progress: Called when a recording is done.
    """
    with ThreadPoolExecutor(1) as writer:
        writing: Future[None] | None = None
        for shard in encoded(plan, numbers, plan.reader(base), progress=progress):
            if writing is not None:
                writing.result()
            writing = writer.submit(_write, out, plan, shard)
        if writing is not None:
            writing.result()


def expected_files(
    plan: Plan, sidecars: dict[int, dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, bytes]]:
    """Return what a complete extraction says of itself.

    Args:
        plan: Its plan.
        sidecars: The sidecars of all shards.

    Returns:
        The records, the failures, and the files beside the shards with what they hold.
    """
    records, failures = _tables(plan, sidecars, plan.failures())
    files = {
        store.CONFIG: plan.config_text().encode("utf-8", "replace"),
        store.FAILURES: _lines(failures),
        store.MANIFEST: _lines(records),
    }
    return records, failures, files


class _Count:
    """How many of a process's recordings are done."""

    def __init__(
        self, plan: Plan, mine: list[int], to_do: list[int], *, first: bool, tell: Callable[[int, int], None] | None
    ) -> None:
        failed = len(plan.failures()) if first else 0
        self.all = failed + sum(len(plan.shards[number]) for number in mine)
        self.done = self.all - sum(len(plan.shards[number]) for number in to_do)
        self.tell = tell
        self(0)

    def __call__(self, more: int = 1) -> None:
        self.done += more
        if self.tell is not None:
            self.tell(self.done, self.all)


def _write(out: Path, plan: Plan, shard: Encoded) -> None:
    store.write_shard(out, shard.number, plan.digest, shard.examples, shard.failures)


def _shortest(config: AudioModalityConfig) -> AudioModalityConfig:
    return config.evolve(duration=plans.bucket_length(1, config.hop_length) / config.sample_rate)


def _check_place(out: Path, sources: list[Path], *, asked: str | os.PathLike[str]) -> None:
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"{asked} is a file; name a folder to write to")
    for source in sources:
        if source.resolve().is_relative_to(out):
            raise ValueError(f"{source} lies in {asked}, the folder to write to; name another folder")
    there = next(parent for parent in (out, *out.parents) if parent.exists())
    if not there.is_dir():
        raise NotADirectoryError(_cannot_be_made(out, "Not a directory"))


def _cannot_be_made(out: Path, reason: str | None) -> str:
    return f"{out} cannot be made: {reason}; the folder that it lies in, {out.parent}, has to be one that can be written to"


def _settled(out: Path, asked: Plan, *, overwrite: bool, named: str | os.PathLike[str]) -> Plan:
    """Return the plan that all processes follow, which the first of them writes."""
    differing: list[str] = []
    try:
        there = plans.read(out)
    except ValueError as error:
        differing = [str(error)]
    else:
        if there is None:
            _check_unused(out, overwrite=overwrite, named=named)
        elif not (differing := plans.differences(there, asked)):
            return there
    if differing and not overwrite:
        raise FileExistsError(
            f"{named} is not empty, it holds another extraction: {'; '.join(differing)}. Name another folder, or pass "
            f"--overwrite to replace it"
        )
    plan = asked.with_shards()
    if not plan.shards:
        return plan
    try:
        (out / store.SHARDS).mkdir(parents=True, exist_ok=True)
        if differing:
            _withdraw(out, plan)
        elif not store.create_once(out / store.PLAN, plan.content):
            return _settled(out, asked, overwrite=False, named=named)
        store.ensure(out / store.CONFIG, plan.config_text().encode("utf-8", "replace"))
    except OSError as error:
        raise type(error)(_cannot_be_made(out, error.strerror)) from error
    return plan


def _check_unused(out: Path, *, overwrite: bool, named: str | os.PathLike[str]) -> None:
    """Refuse a folder that holds anything but what a process left that was stopped before there was a plan."""
    if not out.exists():
        return
    unfinished = set(store.leftovers(out))
    strange = [entry for entry in out.iterdir() if entry not in unfinished]
    if strange == [out / store.SHARDS] and not any(strange[0].iterdir()):
        return
    if not strange or (out / store.PLAN).exists():  # another process has written it meanwhile
        return
    if overwrite:
        raise FileExistsError(
            f"{named} holds no earlier extraction (no {store.PLAN}) and is not overwritten; name another folder"
        )
    raise FileExistsError(f"{named} is not empty and holds no extraction (no {store.PLAN}); name another folder")


def _withdraw(out: Path, plan: Plan) -> None:
    """Put a plan in the place of another.

    Shards of the other plan count no longer and go. Those of this one have names of their own: several processes may do
    this at once, and one that comes late takes nothing back that another has written since.
    """
    for name in (store.MANIFEST, store.FAILURES, store.REPORT):
        (out / name).unlink(missing_ok=True)
    store.ensure(out / store.PLAN, plan.content)
    store.clear_others(out, plan.digest)


def _committed(out: Path, plan: Plan, numbers: Iterable[int]) -> dict[int, dict[str, Any]]:
    found = {number: store.committed(out, number, plan.digest) for number in numbers}
    return {number: sidecar for number, sidecar in found.items() if sidecar is not None}


def _tables(
    plan: Plan, sidecars: dict[int, dict[str, Any]], failures: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    records = []
    for number, sidecar in sidecars.items():
        failures = [*failures, *sidecar["failures"]]
        file = store.shard_name(number, plan.digest)
        records += [{**record, "file": file, "record": place} for place, record in enumerate(sidecar["records"])]
    return sorted(records, key=_index), sorted(failures, key=_index)


def _index(record: dict[str, Any]) -> int:
    return int(record["index"])


def _finish(
    out: Path, plan: Plan, sidecars: dict[int, dict[str, Any]], *, report: bool, n_examples: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Write what a complete extraction has beside its shards: the same bytes, whoever does it and how often."""
    records, failures, files = expected_files(plan, sidecars)
    store.check_plan(out, plan.digest)
    written = [name for name, content in files.items() if store.ensure(out / name, content)]
    if report and records and (written or not (out / store.REPORT).is_file()):
        from artifex.generative_models.modalities.audio import report as reporting

        page = reporting.render(
            records,
            failures,
            plan.config,
            _pictures(out, plan, _spread(records, n_examples)),
            whole=plan.whole or "synthetic" in plan.origin,
        )
        store.check_plan(out, plan.digest)
        store.write(out / store.REPORT, page.encode("utf-8", "replace"))
    store.sweep(out / store.SHARDS, elsewhere=True)
    store.check_plan(out, plan.digest)
    store.clear_others(out, plan.digest)
    return records, failures


def _pictures(out: Path, plan: Plan, shown: list[dict[str, Any]]) -> list[dict[str, Any]]:
    from artifex.generative_models.modalities.audio import report as reporting

    read = plan.reader(Path.cwd())
    pictures = []
    for record in shown:
        path = out / record["file"]
        _, features = store.read_record(store.open_shard(path), path, record["record"])
        try:
            audio, _ = read(record["index"])
        except OSError:  # gone or changed since it was extracted: there is nothing to hear of it
            continue
        pictures.append(reporting.example(record, features, audio, plan.config))
    return pictures


def _spread(records: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    count = min(count, len(records))
    return [records[(2 * place + 1) * len(records) // (2 * count)] for place in range(count)]


def _lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows).encode()
