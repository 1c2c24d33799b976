"""What is in a folder of recordings: everything decoded once, measured, and listed in a manifest."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from artifex.generative_models.core.checks import check_integer
from artifex.generative_models.modalities.audio.datasets.manifest import folder_label, label_names
from artifex.generative_models.modalities.audio.io import AudioReadError, blocks, find_audio_in

_FULL_SCALE = 32767 / 32768
_RUN = 3
_SILENT = 1e-4
_DC = 0.01


@attrs.frozen(kw_only=True)
class Scanned:
    """A recording that can be read from end to end.

    Args:
        path: The file.
        label: What its folder says that it is.
        sample_rate: Samples per second, Hz.
        n_channels: Channels.
        n_frames: Samples in each channel, as many as were decoded.
        duration: Length in seconds.
        peak: The greatest magnitude of a sample, full scale 1.
        dc: The mean of its samples, full scale 1.
        clipped: Whether 3 samples in a row are at full scale.
        format: The container and the encoding, such as ``"WAV PCM_16"``.
    """

    path: str
    label: str
    sample_rate: int
    n_channels: int
    n_frames: int
    duration: float
    peak: float
    dc: float
    clipped: bool
    format: str

    @property
    def silent(self) -> bool:
        """Whether no sample is louder than -80 dB of full scale."""
        return self.peak <= _SILENT

    @property
    def offset(self) -> bool:
        """Whether the mean is farther from zero than -40 dB of full scale."""
        return abs(self.dc) > _DC


@attrs.frozen(kw_only=True)
class Problem:
    """A file that cannot be read.

    Args:
        path: The file.
        reason: Why, and what to do.
    """

    path: str
    reason: str


@attrs.frozen(kw_only=True)
class ScanResult:
    """What a scan found.

    Args:
        recordings: What can be read, in the order of the files.
        problems: What cannot.
    """

    recordings: tuple[Scanned, ...]
    problems: tuple[Problem, ...]

    def rows(self) -> list[dict[str, Any]]:
        """Return what a manifest says of the recordings: a dict for each."""
        keys = ("path", "label", "sample_rate", "n_channels", "n_frames", "duration", "peak")
        return [{key: getattr(each, key) for key in keys} for each in self.recordings]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, and its summary, as what JSON can hold."""
        found = attrs.asdict(self)
        return {"summary": self.summary(), **{key: list(value) for key, value in found.items()}}

    def summary(self) -> dict[str, Any]:
        """Return the figures of all recordings together.

        Returns:
            ``count``; ``duration`` with ``total``, ``min``, ``median`` and ``max`` in seconds; how many recordings
            there are of each of ``sample_rates``, ``n_channels``, ``formats`` and ``labels``; ``peak`` with ``min``,
            ``median`` and ``max``; how many are ``clipped``, ``silent`` and off zero (``dc``); and ``problems``.
        """
        recordings = self.recordings
        durations = np.array([each.duration for each in recordings])
        peaks = np.array([each.peak for each in recordings])
        labels = Counter(each.label for each in recordings)
        return {
            "count": len(recordings),
            "duration": {"total": float(durations.sum()), **_spread(durations)},
            "sample_rates": _counts(each.sample_rate for each in recordings),
            "n_channels": _counts(each.n_channels for each in recordings),
            "formats": _counts(each.format for each in recordings),
            "labels": {label: labels[label] for label in label_names(labels)},
            "peak": _spread(peaks),
            "clipped": sum(each.clipped for each in recordings),
            "silent": sum(each.silent for each in recordings),
            "dc": sum(each.offset for each in recordings),
            "problems": len(self.problems),
        }


def scan(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> ScanResult:
    """Decode every recording once, from end to end, and say what is there.

    Files are decoded in blocks: an hour takes no more memory than a second.

    Args:
        paths: Files, folders and patterns, as ``find_audio`` takes them.
        threads: How many files are decoded at once; decoding releases the GIL.
        progress: Called with the number of files done and of all.

    Returns:
        What can be read and what cannot, with the reason.

    Raises:
        FileNotFoundError: For a path that is not there.
        ValueError: For a folder without audio, or no path at all.
        MissingDependencyError: Without the extra ``artifex-audio[files]``.

    Example:
        >>> import tempfile
        >>> from artifex.generative_models.modalities.audio.io import write_audio
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_audio(folder / "a.wav", np.full(4000, 0.5), 8000)
        >>> folder.joinpath("b.wav").touch()
        >>> found = scan(folder)
        >>> found.recordings[0].duration, found.recordings[0].peak, found.problems[0].reason
        (0.5, 0.5, 'the file is empty (0 bytes); fetch or record it again')
    """
    check_integer("threads", threads, minimum=1)
    found = find_audio_in(paths)
    recordings, problems = [], []
    for done, result in enumerate(_in_order(found, threads), start=1):
        if isinstance(result, Problem):
            problems.append(result)
        else:
            recordings.append(result)
        if progress is not None:
            progress(done, len(found))
    return ScanResult(recordings=tuple(recordings), problems=tuple(problems))


def _in_order(found: list[tuple[Path, Path]], threads: int) -> Iterator[Scanned | Problem]:
    coming = iter(found)
    pool = ThreadPoolExecutor(threads)
    try:
        ahead: list[Future[Scanned | Problem]] = [
            pool.submit(_measured, file, root) for file, root in islice(coming, 8 * threads)
        ]
        while ahead:
            result = ahead.pop(0).result()
            ahead += [pool.submit(_measured, file, root) for file, root in islice(coming, 1)]
            yield result
    finally:
        pool.shutdown(cancel_futures=True)


def _measured(file: Path, root: Path) -> Scanned | Problem:
    total, n_frames, peak, clipped = 0.0, 0, 0.0, False
    tail = np.zeros((0, 1), bool)
    try:
        for facts, piece in blocks(file):
            info = facts
            n_frames += len(piece)
            total += float(piece.sum(dtype=np.float64))
            loudest = max(float(piece.max()), -float(piece.min()))
            peak = max(peak, loudest)
            if not clipped and (loudest >= _FULL_SCALE or tail.any()):
                # A run may go on from the block before.
                full = np.concatenate([tail.reshape(-1, piece.shape[1]), np.abs(piece) >= _FULL_SCALE])
                runs = full[_RUN - 1 :].copy()
                for back in range(1, _RUN):
                    runs &= full[_RUN - 1 - back : len(full) - back]
                clipped = bool(runs.any())
                tail = full[-(_RUN - 1) :]
            else:
                tail = np.zeros((0, piece.shape[1]), bool)
    except AudioReadError as error:
        return Problem(path=str(file), reason=error.reason)
    return Scanned(
        path=str(file),
        label=folder_label(file, root),
        sample_rate=info.sample_rate,
        n_channels=info.n_channels,
        n_frames=n_frames,
        duration=n_frames / info.sample_rate,
        peak=peak,
        dc=total / (n_frames * info.n_channels),
        clipped=clipped,
        format=f"{info.format} {info.subtype}",
    )


def _spread(values: np.ndarray) -> dict[str, float | None]:
    if not len(values):
        return dict.fromkeys(("min", "median", "max"))
    return {"min": float(values.min()), "median": float(np.median(values)), "max": float(values.max())}


def _counts(values: Iterable[Any]) -> dict[str, int]:
    return {str(value): count for value, count in Counter(values).most_common()}
