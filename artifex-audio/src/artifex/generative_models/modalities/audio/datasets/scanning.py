"""Scanning: decode and measure recordings, to find invalid files, divide them into splits, and write a manifest."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypedDict, TypeVar

import attrs
import numpy as np

from artifex.generative_models.core.checks import check_integer
from artifex.generative_models.core.errors import Problem
from artifex.generative_models.modalities.audio.datasets.manifests.inputs import search_recordings
from artifex.generative_models.modalities.audio.datasets.manifests.labels import Label, label_names, names_of
from artifex.generative_models.modalities.audio.datasets.manifests.reading import check_complete
from artifex.generative_models.modalities.audio.datasets.manifests.recording import Recording
from artifex.generative_models.modalities.audio.datasets.manifests.splits import assign_splits
from artifex.generative_models.modalities.audio.datasets.segments import check_header, segment_span
from artifex.generative_models.modalities.audio.io import AudioInfo, AudioReadError, exists, missing_now, read_blocks

_Scannable = TypeVar("_Scannable", Recording, "ScannedRecording")
_FULL_SCALE = 32767 / 32768
_CLIPPED_RUN = 3
_SILENCE_PEAK = 1e-4
_MAX_DC = 0.01


@attrs.frozen(kw_only=True)
class ScannedRecording:
    """Measurements of a recording, or of a segment, that was decoded completely.

    Args:
        path: The file.
        name: Path relative to the searched folder or the manifest.
        label: Its label: the name of a folder by default, or that of a manifest; a tuple of several, or None.
        start: Start of the segment in seconds.
        end: End of the segment in seconds; None means the end of the file.
        split: Split that it belongs to, or None.
        annotations: The other columns of its manifest.
        sample_rate: Sample rate in Hz.
        n_channels: Number of channels.
        n_samples: Samples per channel that were decoded.
        n_file_samples: Samples per channel of the whole file.
        duration: Duration in seconds.
        peak: Maximum magnitude, full scale 1.
        dc: Mean of the samples, full scale 1.
        clipped: Whether 3 consecutive samples are at full scale.
        format: Container and encoding, such as ``"WAV PCM_16"``.
    """

    path: str
    name: str
    label: Label | None
    start: float
    end: float | None
    split: str | None
    annotations: Mapping[str, object]
    sample_rate: int
    n_channels: int
    n_samples: int
    n_file_samples: int
    duration: float
    peak: float
    dc: float
    clipped: bool
    format: str

    @property
    def silent(self) -> bool:
        """Whether the peak is at most -80 dB of full scale."""
        return self.peak <= _SILENCE_PEAK

    @property
    def has_dc(self) -> bool:
        """Whether the magnitude of the mean is above -40 dB of full scale."""
        return abs(self.dc) > _MAX_DC


class ScanSummary(TypedDict):
    """Statistics over all recordings of a scan.

    Attributes:
        count: Number of valid recordings.
        duration: ``total``, ``min``, ``median`` and ``max`` in seconds; None without recordings.
        sample_rates: Number of recordings per sample rate, most frequent first.
        n_channels: Number of recordings per number of channels.
        formats: Number of recordings per container and encoding.
        labels: Number of recordings per label, in the order of the labels.
        splits: Number of recordings per split, most frequent first.
        peak: ``min``, ``median`` and ``max``, full scale 1.
        clipped: Number of clipped recordings.
        silent: Number of silent recordings.
        dc: Number of recordings with a DC offset.
        problems: Number of invalid files.
    """

    count: int
    duration: dict[str, float | None]
    sample_rates: dict[str, int]
    n_channels: dict[str, int]
    formats: dict[str, int]
    labels: dict[str, int]
    splits: dict[str, int]
    peak: dict[str, float | None]
    clipped: int
    silent: int
    dc: int
    problems: int


@attrs.frozen(kw_only=True)
class ScanResult:
    """Result of a scan.

    Args:
        recordings: Measurements of the valid files, in order.
        problems: The invalid files.
        skipped: The audio files that no reader decodes, and pipes, sockets and devices.
    """

    recordings: tuple[ScannedRecording, ...]
    problems: tuple[Problem, ...]
    skipped: tuple[Problem, ...] = ()

    def manifest(self) -> list[dict[str, object]]:
        """Return the fields of each recording for ``write_manifest``; fields that are None are not written."""
        return [
            {
                **each.annotations,  # measured values take precedence
                "path": each.path,
                "label": each.label,
                "split": each.split,
                "start": each.start or None,
                "end": each.end,
                "sample_rate": each.sample_rate,
                "n_channels": each.n_channels,
                "n_samples": each.n_file_samples,
                "duration": each.duration,
                "peak": each.peak,
            }
            for each in self.recordings
        ]

    def to_dict(self) -> dict[str, object]:
        """Return the summary, recordings and problems as values that JSON supports."""
        return {
            "summary": self.summary(),
            "recordings": [attrs.asdict(each) for each in self.recordings],
            "problems": [{"source": each.source, "message": each.message} for each in self.problems],
            "skipped": [{"source": each.source, "message": each.message} for each in self.skipped],
        }

    def summary(self) -> ScanSummary:
        """Return statistics over all recordings."""
        recordings = self.recordings
        durations = np.array([each.duration for each in recordings])
        labels = Counter(name for each in recordings for name in names_of(each.label))
        return {
            "count": len(recordings),
            "duration": {"total": float(durations.sum()), **_spread(durations)},
            "sample_rates": _counts(each.sample_rate for each in recordings),
            "n_channels": _counts(each.n_channels for each in recordings),
            "formats": _counts(each.format for each in recordings),
            "labels": {label: labels[label] for label in label_names(labels)},
            "splits": _counts(each.split for each in recordings if each.split is not None),
            "peak": _spread(np.array([each.peak for each in recordings])),
            "clipped": sum(each.clipped for each in recordings),
            "silent": sum(each.silent for each in recordings),
            "dc": sum(each.has_dc for each in recordings),
            "problems": len(self.problems),
        }


def scan(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    label: str | None = None,
    splits: Mapping[str, float] | None = None,
    by: str | None = None,
    seed: int = 0,
    threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> ScanResult:
    """Decode recordings completely and measure them.

    Files are decoded in blocks, so that memory does not grow with their length. Of a segment in a manifest only the segment
    is decoded.

    Args:
        paths: Manifests, files, folders and patterns, as for ``find_recordings``.
        label: The label of a recording: ``"folder"``, the folder directly below the given one; ``"stem"``, the file's name
            without its suffix; or a regular expression that is searched in the path relative to the given folder or the
            manifest, whose first group (or else whole match) is the label. None means the label in a manifest, and the
            folder for other files.
        splits: The fraction of each split; recordings are assigned to splits as by ``assign_splits``.
        by: The group of a recording, which is in one split only: the name of a column, such as ``"speaker"`` or
            ``"label"``; or a regular expression that is searched in the path like that of ``label``. None means the file.
        seed: Seed of the assignment to splits, at least 0.
        threads: Number of files decoded in parallel; decoding releases the GIL.
        progress: Called with the number of completed files and the total.

    Returns:
        Measurements of the valid files; the invalid files, and those that were skipped, with the reason.

    Raises:
        FileNotFoundError: When a path does not exist.
        ValueError: When a manifest is invalid, a folder contains no audio files, ``paths`` is empty, ``label`` or ``by``
            does not match a path or is not a column, or there are fewer groups than splits.
        AudioReadError: When a file cannot be read for a temporary reason, such as an unavailable network drive.
        MissingDependencyError: Without the extra ``artifex-audio[files]``.

    Example:
        >>> import tempfile
        >>> from artifex.generative_models.modalities.audio.io import write_audio
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_audio(folder / "a.wav", np.full(4000, 0.5), 8000)
        >>> folder.joinpath("b.wav").touch()
        >>> result = scan(folder)
        >>> result.recordings[0].duration, result.recordings[0].peak, result.problems[0].message
        (0.5, 0.5, 'the file is empty (0 bytes); download or record it again')
    """
    check_integer("threads", threads, minimum=1)
    found = search_recordings(paths)
    files = found.recordings
    if label is not None:
        files = [attrs.evolve(each, label=_label(each, label)) for each in files]
    check_complete(files, [each.path for each in files])
    if splits is not None:
        files = _with_splits(files, splits, by, seed)  # raises before anything is decoded
    # The others are links to nothing, or rows of a manifest without their files.
    existing = {path for path in {each.path for each in files} if exists(path)}
    recordings: list[ScannedRecording] = []
    problems: list[Problem] = []
    for n_completed, result in enumerate(_measure_in_order(files, threads, existing), start=1):
        if isinstance(result, Problem):
            problems.append(result)
        else:
            recordings.append(result)
        if progress is not None:
            progress(n_completed, len(files))
    if splits is not None and recordings:
        recordings = _with_splits(recordings, splits, by, seed)  # the fractions are those of the valid recordings
    return ScanResult(recordings=tuple(recordings), problems=tuple(problems), skipped=tuple(found.skipped))


def _measure_in_order(files: list[Recording], threads: int, existing: set[str]) -> Iterator[ScannedRecording | Problem]:
    remaining = iter(files)
    pool = ThreadPoolExecutor(threads)
    try:
        pending: list[Future[ScannedRecording | Problem]] = [
            pool.submit(_measure, file, file.path in existing) for file in islice(remaining, 8 * threads)
        ]
        while pending:
            result = pending.pop(0).result()
            pending += [pool.submit(_measure, file, file.path in existing) for file in islice(remaining, 1)]
            yield result
    finally:
        pool.shutdown(cancel_futures=True)


def _measure(file: Recording, existed: bool) -> ScannedRecording | Problem:
    def span(info: AudioInfo) -> tuple[int, int]:
        check_header(
            file.path, info, sample_rate=file.sample_rate, n_channels=file.n_channels, n_samples=file.n_samples
        )
        return segment_span(file.path, file.start, file.end, info.sample_rate, info.n_samples)

    total, n_samples, peak, clipped = 0.0, 0, 0.0, False
    tail = np.zeros((0, 1), bool)
    info: AudioInfo | None = None
    try:
        for header, block in read_blocks(file.path, span):
            info = header
            n_samples += len(block)
            total += float(block.sum(dtype=np.float64))
            block_peak = max(float(block.max()), -float(block.min()))
            peak = max(peak, block_peak)
            if not clipped and (block_peak >= _FULL_SCALE or tail.any()):
                # The end of the previous block comes first, since a run may cross the boundary.
                at_full_scale = np.concatenate(
                    [tail.reshape(-1, block.shape[1]), np.abs(block) >= np.float32(_FULL_SCALE)]
                )
                clipped = _has_run(at_full_scale)
                tail = at_full_scale[-(_CLIPPED_RUN - 1) :]
            else:
                tail = np.zeros((0, block.shape[1]), bool)
    except AudioReadError as error:
        error = missing_now(error, existed=existed)
        if error.transient:  # the manifest must not lack the file because of a fault that passes
            message = f"{error.reason}; this may be temporary: try again"
            raise AudioReadError(file.path, message, transient=True) from error
        return Problem(source=file.path, message=error.reason)
    if info is None:
        return Problem(source=file.path, message="contains no samples")
    return ScannedRecording(
        path=file.path,
        name=file.name,
        label=file.label,
        start=file.start,
        end=file.end,
        split=file.split,
        annotations=file.annotations,
        sample_rate=info.sample_rate,
        n_channels=info.n_channels,
        n_samples=n_samples,
        n_file_samples=info.n_samples,
        duration=n_samples / info.sample_rate,
        peak=peak,
        dc=total / (n_samples * info.n_channels),
        clipped=clipped,
        format=f"{info.format} {info.subtype}",
    )


def _label(file: Recording, rule: str) -> str:
    if rule == "stem":
        return Path(file.path).stem
    if rule == "folder":
        folder, _, _ = file.name.rpartition("/")
        return folder.split("/")[0] or os.path.basename(os.path.dirname(os.path.abspath(file.path))) or "/"
    found = _search("label", rule, file.name)
    if not found:
        raise ValueError(f"{file.path}: the label {rule!r} does not match {file.name!r}; it must match every path")
    return found


def _with_splits(
    recordings: list[_Scannable], splits: Mapping[str, float], by: str | None, seed: int
) -> list[_Scannable]:
    assigned = assign_splits([_group(each, by) for each in recordings], splits, seed=seed)
    return [attrs.evolve(each, split=split) for each, split in zip(recordings, assigned, strict=True)]


def _group(recording: Recording | ScannedRecording, by: str | None) -> str:
    if by is None:
        return os.path.realpath(recording.path)
    if not re.fullmatch(r"\w+", by):
        found = _search("by", by, recording.name)
        if found is None:
            raise ValueError(f"{recording.path}: by={by!r} does not match {recording.name!r}; it must match every path")
        return found
    columns: dict[str, object] = {**recording.annotations, "label": recording.label, "path": recording.path}
    value = columns.get(by)
    if value is None or value == "":
        known = ", ".join(sorted(key for key, value in columns.items() if value is not None))
        raise ValueError(f"{recording.path}: has no {by}; its columns are {known}")
    return str(value)


def _search(name: str, pattern: str, text: str) -> str | None:
    try:
        match = re.search(pattern, text)
    except re.error as error:
        raise ValueError(f"{name} must be a regular expression, got {pattern!r}: {error}") from None
    return None if match is None else match[1] if match.re.groups else match[0]


def _has_run(at_full_scale: np.ndarray) -> bool:
    """Return whether ``_CLIPPED_RUN`` consecutive samples of a channel are True."""
    runs = at_full_scale[_CLIPPED_RUN - 1 :].copy()
    for shift in range(1, _CLIPPED_RUN):
        runs &= at_full_scale[_CLIPPED_RUN - 1 - shift : len(at_full_scale) - shift]
    return bool(runs.any())


def _spread(values: np.ndarray) -> dict[str, float | None]:
    if not len(values):
        return dict.fromkeys(("min", "median", "max"))
    return {"min": float(values.min()), "median": float(np.median(values)), "max": float(values.max())}


def _counts(values: Iterable[Hashable]) -> dict[str, int]:
    return {str(value): count for value, count in Counter(values).most_common()}
