"""Scanning: decode and measure every recording in a folder, to find invalid files and write a manifest."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypedDict

import attrs
import numpy as np

from artifex.generative_models.core.checks import check_integer
from artifex.generative_models.core.errors import Problem
from artifex.generative_models.modalities.audio.datasets.manifests import folder_label, label_names
from artifex.generative_models.modalities.audio.io import AudioReadError, exists, missing_now, read_blocks, search_audio

_FULL_SCALE = 32767 / 32768
_CLIPPED_RUN = 3
_SILENCE_PEAK = 1e-4
_MAX_DC = 0.01


@attrs.frozen(kw_only=True)
class ScannedRecording:
    """Measurements of a recording that was decoded completely.

    Args:
        path: The file.
        label: Name of the folder that labels it.
        sample_rate: Sample rate in Hz.
        n_channels: Number of channels.
        n_samples: Samples per channel that were decoded.
        duration: Duration in seconds.
        peak: Maximum magnitude, full scale 1.
        dc: Mean of the samples, full scale 1.
        clipped: Whether 3 consecutive samples are at full scale.
        format: Container and encoding, such as ``"WAV PCM_16"``.
    """

    path: str
    label: str
    sample_rate: int
    n_channels: int
    n_samples: int
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

    def manifest(self) -> list[dict[str, str | int | float]]:
        """Return the fields of each recording for ``write_manifest``."""
        keys = ("path", "label", "sample_rate", "n_channels", "n_samples", "duration", "peak")
        return [{key: getattr(each, key) for key in keys} for each in self.recordings]

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
        labels = Counter(each.label for each in recordings)
        return {
            "count": len(recordings),
            "duration": {"total": float(durations.sum()), **_spread(durations)},
            "sample_rates": _counts(each.sample_rate for each in recordings),
            "n_channels": _counts(each.n_channels for each in recordings),
            "formats": _counts(each.format for each in recordings),
            "labels": {label: labels[label] for label in label_names(labels)},
            "peak": _spread(np.array([each.peak for each in recordings])),
            "clipped": sum(each.clipped for each in recordings),
            "silent": sum(each.silent for each in recordings),
            "dc": sum(each.has_dc for each in recordings),
            "problems": len(self.problems),
        }


def scan(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> ScanResult:
    """Decode recordings completely and measure them.

    Files are decoded in blocks, so that memory does not grow with their length.

    Args:
        paths: Files, folders and patterns, as for ``find_audio``.
        threads: Number of files decoded in parallel; decoding releases the GIL.
        progress: Called with the number of completed files and the total.

    Returns:
        Measurements of the valid files; the invalid files, and those that were skipped, with the reason.

    Raises:
        FileNotFoundError: When a path does not exist.
        ValueError: When a folder contains no audio files or ``paths`` is empty.
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
    found = search_audio(paths)
    files = found.files
    missing = {file for file, _ in files if not exists(file)}  # links to nothing
    recordings, problems = [], []
    for n_completed, result in enumerate(_measure_in_order(files, threads, missing), start=1):
        if isinstance(result, Problem):
            problems.append(result)
        else:
            recordings.append(result)
        if progress is not None:
            progress(n_completed, len(files))
    return ScanResult(recordings=tuple(recordings), problems=tuple(problems), skipped=tuple(found.skipped))


def _measure_in_order(
    files: list[tuple[Path, Path]], threads: int, missing: set[Path]
) -> Iterator[ScannedRecording | Problem]:
    remaining = iter(files)
    pool = ThreadPoolExecutor(threads)
    try:
        pending: list[Future[ScannedRecording | Problem]] = [
            pool.submit(_measure, file, root, file not in missing) for file, root in islice(remaining, 8 * threads)
        ]
        while pending:
            result = pending.pop(0).result()
            pending += [pool.submit(_measure, file, root, file not in missing) for file, root in islice(remaining, 1)]
            yield result
    finally:
        pool.shutdown(cancel_futures=True)


def _measure(file: Path, root: Path, existed: bool) -> ScannedRecording | Problem:
    total, n_samples, peak, clipped = 0.0, 0, 0.0, False
    tail = np.zeros((0, 1), bool)
    try:
        for header, block in read_blocks(file):
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
            raise AudioReadError(file, f"{error.reason}; this may be temporary: try again", transient=True) from error
        return Problem(source=str(file), message=error.reason)
    return ScannedRecording(
        path=str(file),
        label=folder_label(file, root),
        sample_rate=info.sample_rate,
        n_channels=info.n_channels,
        n_samples=n_samples,
        duration=n_samples / info.sample_rate,
        peak=peak,
        dc=total / (n_samples * info.n_channels),
        clipped=clipped,
        format=f"{info.format} {info.subtype}",
    )


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
