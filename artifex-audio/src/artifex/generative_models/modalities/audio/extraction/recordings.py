"""What is read: the recordings of an extraction, their headers, and their waveforms."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from artifex.generative_models.modalities.audio.base import AudioModalityConfig, AudioRepresentation
from artifex.generative_models.modalities.audio.datasets.manifests import folder_label
from artifex.generative_models.modalities.audio.io import AudioInfo, AudioReadError, decode, find_audio_in, probe

# soundfile and soxr release the GIL: two threads keep the device fed, more take the cores it computes on.
THREADS = 2
_NAME_BYTES = 150
_KINDS = ("sine", "noise", "chirp")

Row = dict[str, Any]
"""A recording in the plan: ``id``, ``source``, ``label``; of a file ``bytes`` and ``modified`` (ns); and ``n_samples`` at
the configuration's rate as far as its header says, or the ``error`` for which there are none."""

Reader = Callable[[int], tuple[np.ndarray, dict[str, Any]]]
"""From a recording's index to its waveform, float32 (time,), and what else the manifest says of it."""


def found(paths: list[Path]) -> list[Row]:
    """Find recordings.

    Args:
        paths: Files and folders.

    Returns:
        A row for each, in the order given, sorted within a folder; headers are not read.

    Raises:
        FileNotFoundError: For a path that is not there.
        ValueError: For a folder without audio.
    """
    files = find_audio_in(paths)
    names = _unique([file.relative_to(root).as_posix() for file, root in files])
    rows: list[Row] = []
    for (file, root), name in zip(files, names, strict=True):
        row = {"id": name, "source": str(file), "label": folder_label(file, root)}
        try:
            status = file.stat()
        except OSError:  # a link to nothing, or a file that went away: reading its header says so
            rows.append({**row, "bytes": None, "modified": None})
        else:
            rows.append({**row, "bytes": status.st_size, "modified": status.st_mtime_ns})
    return rows


def with_headers(rows: list[Row], config: AudioModalityConfig, *, whole: bool) -> list[Row]:
    """Read the headers of recordings.

    Args:
        rows: What ``found`` returned.
        config: What the audio is like.
        whole: Whether a recording keeps its own length.

    Returns:
        The rows with ``n_samples``, or ``error`` where the header cannot be read.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        headers = pool.map(_probed, (row["source"] for row in rows), chunksize=1)
        return [{**row, **_length(header, config, whole=whole)} for row, header in zip(rows, headers, strict=True)]


def synthetic(config: AudioModalityConfig, n_samples: int) -> list[Row]:
    """Return rows for the sounds of the synthetic dataset: sine, noise and chirp in turn.

    Args:
        config: What the audio is like.
        n_samples: How many.

    Returns:
        A row for each.
    """
    kinds = [_KINDS[index % len(_KINDS)] for index in range(n_samples)]
    width = len(str(n_samples - 1))
    return [
        {
            "id": f"{kind}-{index:0{width}d}",
            "source": f"synthetic {kind}",
            "label": kind,
            "n_samples": config.n_time_steps,
        }
        for index, kind in enumerate(kinds)
    ]


def synthetic_reader(config: AudioModalityConfig, n_samples: int) -> Reader:
    """Return what renders the sounds of the synthetic dataset.

    Args:
        config: What the audio is like.
        n_samples: How many there are.

    Returns:
        The reader.

    Raises:
        ValueError: For sizes out of range.
    """
    from artifex.generative_models.modalities.audio.datasets.synthetic import SyntheticAudioDataset

    plain = config.evolve(representation=AudioRepresentation.RAW_WAVEFORM, normalize=False)
    dataset = SyntheticAudioDataset(plain, n_samples=n_samples, audio_types=_KINDS)
    facts = {"source_sample_rate": config.sample_rate, "source_channels": 1, "source_format": "synthetic"}
    return lambda index: (np.asarray(dataset[index]["audio"], np.float32), facts)


def file_reader(rows: list[Row], base: str | os.PathLike[str], config: AudioModalityConfig, *, whole: bool) -> Reader:
    """Return what reads the files of an extraction.

    Args:
        rows: What ``found`` returned.
        base: The folder that relative paths start from.
        config: What the audio is like.
        whole: Whether a recording keeps its own length; otherwise ``config.duration`` seconds are read.

    Returns:
        The reader; it raises AudioReadError for a file that cannot be read, and OSError for one that is not what it was
        when the extraction was planned.
    """
    return partial(_read, rows, Path(base), config.sample_rate, None if whole else config.n_time_steps)


def check_lasting(error: AudioReadError) -> None:
    """Raise where a recording cannot be read for a reason that may pass: it is then no failure to be written down.

    Args:
        error: Why it cannot be read.

    Raises:
        AudioReadError: Where that may pass; the message says what to do.
    """
    if getattr(error, "transient", False):
        raise AudioReadError(
            error.path, f"{error.reason}; that may pass: whole shards stay, and the same command tries it again"
        ) from error


def _check_unchanged(file: Path, row: Row) -> None:
    try:
        status = file.stat()
    except OSError:  # it went away: what reading it gave says so
        return
    if row["bytes"] is not None and (status.st_size, status.st_mtime_ns) != (row["bytes"], row["modified"]):
        raise OSError(
            f"{file} has changed since this extraction was planned; put it back as it was, or begin anew with --overwrite"
        )


def _read(
    rows: list[Row], base: Path, sample_rate: int, limit: int | None, index: int
) -> tuple[np.ndarray, dict[str, Any]]:
    def span(info: AudioInfo) -> tuple[int, int]:
        wanted = info.n_samples if limit is None else -(-limit * info.sample_rate // sample_rate)
        return 0, min(info.n_samples, wanted)

    file = base / rows[index]["source"]
    try:
        audio, info = decode(file, span, sample_rate=sample_rate)
    except AudioReadError as error:
        if not getattr(error, "transient", False):
            _check_unchanged(file, rows[index])
        raise
    _check_unchanged(file, rows[index])
    facts = {
        "source_sample_rate": info.sample_rate,
        "source_channels": info.n_channels,
        "source_format": f"{info.format} {info.subtype}",
    }
    return audio if limit is None else audio[:limit], facts


def _length(header: AudioInfo | AudioReadError, config: AudioModalityConfig, *, whole: bool) -> dict[str, Any]:
    if isinstance(header, AudioReadError):
        return {"error": header.reason}
    n_samples = -(-header.n_samples * config.sample_rate // header.sample_rate)
    return {"n_samples": n_samples if whole else min(config.n_time_steps, n_samples)}


def _probed(file: str) -> AudioInfo | AudioReadError:
    try:
        return probe(file)
    except AudioReadError as error:
        check_lasting(error)
        return error


def _unique(names: list[str]) -> list[str]:
    """Turn relative paths into names for files: one folder deep, safe everywhere, each different."""
    taken: set[str] = set()
    unique: list[str] = []
    for name in names:
        plain = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", name).replace("/", "__")).lstrip(".")
        plain = plain.encode()[-_NAME_BYTES:].decode(errors="ignore") or "recording"
        candidate, number = plain, 2
        while candidate.casefold() in taken:
            candidate, number = f"{plain}-{number}", number + 1
        taken.add(candidate.casefold())
        unique.append(candidate)
    return unique
