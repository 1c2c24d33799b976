"""Find the recordings of an extraction, read their headers, and decode them."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NotRequired, TypedDict

import attrs
import numpy as np

from artifex.generative_models.core.errors import printable
from artifex.generative_models.modalities.audio.base import AudioModalityConfig, AudioRepresentation
from artifex.generative_models.modalities.audio.datasets.manifests.inputs import find_recordings as find_inputs
from artifex.generative_models.modalities.audio.datasets.manifests.reading import check_complete
from artifex.generative_models.modalities.audio.datasets.segments import check_header, segment_span
from artifex.generative_models.modalities.audio.extraction.retrying import Backoff, attempt, retried
from artifex.generative_models.modalities.audio.io import AudioInfo, AudioReadError, decode, missing_now, probe

THREADS = 2
"""Decoding threads. soundfile and soxr release the GIL: two threads keep the device busy, more would compete with it."""

_MAX_ID_BYTES = 150
_DECLARED = ("sample_rate", "n_channels", "n_samples")
_SYNTHETIC_TYPES = ("sine", "noise", "chirp")


class PlannedRecording(TypedDict):
    """A recording in the plan.

    Attributes:
        id: Name of the recording, unique in the extraction and valid as a file name.
        source: Path of the file, or a description of a synthetic example.
        label: Name of its class, a list of several, or None.
        start: Start of the segment in seconds. Absent for whole recordings.
        end: End of the segment in seconds. Absent where it is that of the recording.
        declared: Sample rate in Hz, number of channels and samples per channel according to the manifest, where it contains
            them.
        split: Split of the recording in the manifest. Absent where there are none.
        annotations: Other columns of the manifest. Absent where there are none.
        bytes: Size of the file; None when the file could not be examined. Absent for synthetic examples.
        modified: Modification time of the file in ns; None when the file could not be examined.
        n_samples: Length in samples at the configured sample rate, according to the header.
        error: Why the header could not be read.
    """

    id: str
    source: str
    label: str | list[str] | None
    start: NotRequired[float]
    end: NotRequired[float]
    declared: NotRequired[dict[str, int]]
    split: NotRequired[str]
    annotations: NotRequired[dict[str, object]]
    bytes: NotRequired[int | None]
    modified: NotRequired[int | None]
    n_samples: NotRequired[int]
    error: NotRequired[str]


class SourceFormat(TypedDict):
    """The format of a recording, as in the manifest.

    Attributes:
        source_sample_rate: Sample rate of the file, Hz.
        source_channels: Number of channels of the file.
        source_format: Container and encoding, such as ``"WAV PCM_16"``.
    """

    source_sample_rate: int
    source_channels: int
    source_format: str


Waveform = tuple[np.ndarray, SourceFormat]
"""Samples, float32 (time,), at the configured sample rate, and the format of the source."""

Reader = Callable[[int], Waveform]
"""A function that reads a recording by its index in the plan."""


def find_recordings(paths: list[Path]) -> list[PlannedRecording]:
    """Find recordings without reading their headers.

    Args:
        paths: Files, folders and manifests.

    Returns:
        The recordings, in the order of ``paths``, sorted within a folder. Their ids are those of a manifest with a column
        ``id``, else derived from their paths.

    Raises:
        FileNotFoundError: For a path that does not exist.
        ValueError: For an invalid manifest, or a folder without audio files.
        AudioReadError: For a file that cannot be examined for a temporary reason.
    """
    files = find_inputs(paths)
    check_complete([attrs.evolve(each, split=None) for each in files], [each.path for each in files])
    ids = _unique_ids([str(each.annotations.get("id") or each.name) for each in files])
    recordings: list[PlannedRecording] = []
    for file, name in zip(files, ids, strict=True):
        label = list(file.label) if isinstance(file.label, tuple) else file.label
        recording = PlannedRecording(id=name, source=file.path, label=label, bytes=None, modified=None)
        if file.is_segment:
            recording["start"] = file.start
        if file.end is not None:
            recording["end"] = file.end
        declared = {key: value for key in _DECLARED if (value := getattr(file, key))}
        if declared:
            recording["declared"] = declared
        if file.split is not None:
            recording["split"] = file.split
        if file.annotations:
            recording["annotations"] = dict(file.annotations)
        try:
            status = Path(file.path).stat()
        except (FileNotFoundError, NotADirectoryError, PermissionError):  # reading the header reports it
            pass
        except OSError as error:
            raise _not_now(Path(file.path), error) from error
        else:
            recording.update({"bytes": status.st_size, "modified": status.st_mtime_ns})
        recordings.append(recording)
    return recordings


def select_split(recordings: list[PlannedRecording], split: str) -> list[PlannedRecording]:
    """Return the recordings of one split.

    Args:
        recordings: The recordings that ``find_recordings`` returned.
        split: Name of the split.

    Returns:
        Its recordings, in order.

    Raises:
        ValueError: When recordings have no split, or none is in this one; the message names the splits.

    Example:
        >>> select_split([{"id": "a.wav", "split": "train"}], "valid")
        Traceback (most recent call last):
        ValueError: split must be 'train', got 'valid'
    """
    selected = [recording for recording in recordings if recording.get("split") == split]
    without = [recording["source"] for recording in recordings if "split" not in recording]
    if without:
        raise ValueError(
            f"{len(without)} of {len(recordings)} recordings have no split, such as {printable(without[0])}, got split "
            f"{split!r}; give a manifest with a column 'split', such as one written by `artifex scan --split`"
        )
    if not selected:
        splits = sorted({recording["split"] for recording in recordings if "split" in recording})
        expected = repr(splits[0]) if len(splits) == 1 else f"one of {', '.join(map(repr, splits))}"
        raise ValueError(f"split must be {expected}, got {split!r}")
    return selected


def read_headers(
    recordings: list[PlannedRecording],
    config: AudioModalityConfig,
    *,
    variable_length: bool,
    backoff: Backoff,
) -> list[PlannedRecording]:
    """Read the headers of recordings.

    Args:
        recordings: The recordings that ``find_recordings`` returned.
        config: The configuration.
        variable_length: Whether each recording keeps its length; otherwise it is at most ``config.n_time_steps``.
        backoff: How often to read a header again.

    Returns:
        The recordings with ``n_samples``, or with ``error`` where the header could not be read.

    Raises:
        AudioReadError: When a header cannot be read for a temporary reason.
    """
    planned: list[PlannedRecording] = []
    pool = ThreadPoolExecutor(THREADS)
    read = partial(attempt, _read_length)
    try:
        for recording, result in zip(recordings, pool.map(read, recordings), strict=True):
            length = retried(partial(read, recording), backoff, first=result)
            if isinstance(length, AudioReadError):
                planned.append({**recording, "error": length.reason})
                continue
            n_samples, rate = length
            n_samples = -(-n_samples * config.sample_rate // rate)
            n_samples = n_samples if variable_length else min(config.n_time_steps, n_samples)
            planned.append({**recording, "n_samples": n_samples})
    finally:
        pool.shutdown(cancel_futures=True)
    return planned


def _read_length(recording: PlannedRecording) -> tuple[int, int]:
    """Return the number of samples and the sample rate of a recording, or of its segment, according to its header."""
    try:
        header = probe(recording["source"])
        _, count = _planned_span(recording, header)
    except AudioReadError as error:
        raise missing_now(error, existed=recording.get("bytes") is not None) from error
    return count, header.sample_rate


def synthetic_recordings(config: AudioModalityConfig, n_examples: int) -> list[PlannedRecording]:
    """Return the recordings of the synthetic dataset: sine, noise and chirp in turn.

    Args:
        config: The configuration.
        n_examples: Number of examples.

    Returns:
        The recordings.
    """
    width = len(str(n_examples - 1))
    recordings: list[PlannedRecording] = []
    for index in range(n_examples):
        audio_type = _SYNTHETIC_TYPES[index % len(_SYNTHETIC_TYPES)]
        recordings.append(
            PlannedRecording(
                id=f"{audio_type}-{index:0{width}d}",
                source=f"synthetic {audio_type}",
                label=audio_type,
                n_samples=config.n_time_steps,
            )
        )
    return recordings


def synthetic_reader(config: AudioModalityConfig, n_examples: int) -> Reader:
    """Return a function that generates the synthetic examples.

    Args:
        config: The configuration.
        n_examples: Number of examples.

    Returns:
        The reader.
    """
    from artifex.generative_models.modalities.audio.datasets.synthetic import SyntheticAudioDataset

    waveform_config = config.evolve(representation=AudioRepresentation.RAW_WAVEFORM, normalize=False)
    dataset = SyntheticAudioDataset(waveform_config, n_samples=n_examples, audio_types=_SYNTHETIC_TYPES)
    source_format = SourceFormat(source_sample_rate=config.sample_rate, source_channels=1, source_format="synthetic")
    return lambda index: (np.asarray(dataset[index]["audio"], np.float32), source_format)


def file_reader(
    recordings: list[PlannedRecording],
    base: Path,
    config: AudioModalityConfig,
    *,
    variable_length: bool,
) -> Reader:
    """Return a function that decodes the files of an extraction.

    Args:
        recordings: The recordings.
        base: The folder that relative paths are relative to.
        config: The configuration.
        variable_length: Whether each recording keeps its length; otherwise its first ``config.duration`` seconds are read.

    Returns:
        The reader. It raises AudioReadError for a file that cannot be read, which is transient when the file could be
        opened when it was planned and cannot be opened now; and OSError for a file that has changed since then.
    """
    max_samples = None if variable_length else config.n_time_steps
    return partial(_decode, recordings, base, config.sample_rate, max_samples)


def _decode(
    recordings: list[PlannedRecording], base: Path, sample_rate: int, max_samples: int | None, index: int
) -> Waveform:
    def span(info: AudioInfo) -> tuple[int, int]:
        first, count = _planned_span(recordings[index], info)
        required = count if max_samples is None else -(-max_samples * info.sample_rate // sample_rate)
        return first, min(count, required)

    file = base / recordings[index]["source"]
    try:
        audio, info = decode(file, span, sample_rate=sample_rate)
    except AudioReadError as error:
        if not error.transient:
            _check_unchanged(file, recordings[index])
            # Its header could be read, so the cause is not the file. Readers may raise subclasses for damaged files.
            cause = error.__cause__
            if isinstance(cause, OSError) and type(cause).__module__ == "builtins":
                raise _not_now(file, cause) from error
        raise
    _check_unchanged(file, recordings[index])
    source_format = SourceFormat(
        source_sample_rate=info.sample_rate,
        source_channels=info.n_channels,
        source_format=f"{info.format} {info.subtype}",
    )
    return audio if max_samples is None else audio[:max_samples], source_format


def _planned_span(recording: PlannedRecording, info: AudioInfo) -> tuple[int, int]:
    source, start, end = recording["source"], recording.get("start", 0.0), recording.get("end")
    check_header(source, info, **recording.get("declared", {}))
    return segment_span(source, start, end, info.sample_rate, info.n_samples)


def _check_unchanged(file: Path, recording: PlannedRecording) -> None:
    try:
        status = file.stat()
    except OSError as error:
        raise _not_now(file, error) from error
    planned = recording.get("bytes"), recording.get("modified")
    if planned[0] is not None and (status.st_size, status.st_mtime_ns) != planned:
        raise OSError(
            f"{printable(file)} has changed since the extraction was started; restore it, or start again with --overwrite"
        )


def _not_now(file: Path, error: OSError) -> AudioReadError:
    """Return the error for a file that was found, or read, when it was planned."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return AudioReadError(file, "was found when the extraction was planned and is missing now", transient=True)
    reason = error.strerror or type(error).__name__
    return AudioReadError(file, f"cannot be read any more: {reason}", transient=True)


def _unique_ids(names: list[str]) -> list[str]:
    """Convert relative paths to unique names that are valid as file names on every system."""
    used: set[str] = set()
    ids: list[str] = []
    numbers: defaultdict[str, int] = defaultdict(lambda: 1)
    for name in names:
        safe = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", name).replace("/", "__")).lstrip(".")
        safe = safe.encode()[-_MAX_ID_BYTES:].decode(errors="ignore") or "recording"
        candidate = safe
        while candidate.casefold() in used:  # as for the segments of one file
            numbers[safe] += 1
            candidate = f"{safe}-{numbers[safe]}"
        used.add(candidate.casefold())
        ids.append(candidate)
    return ids
