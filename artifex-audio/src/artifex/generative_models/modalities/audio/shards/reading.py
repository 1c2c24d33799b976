"""Read a folder of extracted features: its plan, its manifest and its examples."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from artifex.generative_models.core import registry
from artifex.generative_models.modalities.audio.base import AudioModalityConfig, AudioRepresentation
from artifex.generative_models.modalities.audio.shards import layout
from artifex.generative_models.modalities.audio.shards.checksums import parse_with_checksum, trailing_checksum
from artifex.generative_models.modalities.audio.shards.records import ManifestRecord, ShardReaders, read_example

PLAN_FORMAT = 3


def read_plan_table(folder: Path) -> tuple[dict[str, Any], str] | None:
    """Read and verify the plan of a folder.

    Args:
        folder: The folder of an extraction.

    Returns:
        The content of ``plan.json`` and its SHA-256, or None when there is no plan.

    Raises:
        ValueError: When the plan is damaged, or was written by another version of artifex in another format.
    """
    path = folder / layout.PLAN
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        table, digest = parse_with_checksum(content)
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if table.pop("format", None) != PLAN_FORMAT:
        raise ValueError(f"{path} was written by another version of artifex, in another format")
    return table, digest


def config_of_plan(
    audio: Mapping[str, Any], features: Sequence[str], spectral: Mapping[str, Any] | None
) -> AudioModalityConfig:
    """Create the configuration of a plan; imports jax if there is a spectral analysis.

    Args:
        audio: The configuration in the plan, without the representation and the analysis.
        features: Names of the features.
        spectral: Fields of a ``SpectralConfig``, or None.

    Returns:
        The configuration. Its representation is the first feature if that is a representation, else the raw waveform.
    """
    representation = (
        features[0] if features[0] in registry("representation") else AudioRepresentation.RAW_WAVEFORM.value
    )
    return AudioModalityConfig.from_dict({**audio, "representation": representation, "spectral": spectral})


def plan_digest(folder: Path) -> str:
    """Read the SHA-256 at the end of a folder's plan, without reading the plan.

    Args:
        folder: The folder of an extraction.

    Returns:
        The SHA-256, or ``""`` when there is no plan or its end is damaged.
    """
    return trailing_checksum(folder / layout.PLAN)


def read_features(
    folder: str | os.PathLike[str], *, feature: str | None = None
) -> Iterator[tuple[ManifestRecord, np.ndarray]]:
    """Iterate over the features that ``artifex extract`` wrote.

    Args:
        folder: The folder given as ``--out``.
        feature: Name of the feature; None means the only one. ``FeatureDataset`` returns several together.

    Returns:
        An iterator over pairs of a manifest record and the feature, in the order of the recordings. It raises
        FileNotFoundError at a missing shard and OSError at a damaged record.

    Raises:
        FileNotFoundError: When the folder contains no extraction, or an incomplete one.
        ValueError: When the folder contains several features and ``feature`` is None, or no feature of that name; or when
            the manifest belongs to another plan.

    Example:
        >>> import tempfile
        >>> from artifex.generative_models.modalities.audio import AudioModalityConfig, extract
        >>> out = Path(tempfile.mkdtemp()) / "features"
        >>> config = AudioModalityConfig(representation="raw_waveform", duration=0.5)
        >>> _ = extract([], out, config=config, n_synthetic=2, report=False)
        >>> [(record["label"], features.shape) for record, features in read_features(out)]
        [('sine', (8000,)), ('noise', (8000,))]
    """
    records = read_records(folder)
    plan = read_plan_table(Path(folder))
    names: list[str] = [] if plan is None else plan[0]["features"]
    if feature is None and len(names) > 1:
        raise ValueError(f"{folder} contains {', '.join(names)}; name one, such as feature={names[0]!r}")
    name = names[0] if feature is None else feature
    if name not in names:
        raise ValueError(f"{folder} contains no feature {name!r}; it contains {', '.join(names)}")
    readers = ShardReaders()

    def read(record: ManifestRecord) -> tuple[ManifestRecord, np.ndarray]:
        path = Path(folder) / record["file"]
        return record, read_example(readers(path), path, record["record"])[1][name]

    return map(read, records)


def read_records(folder: str | os.PathLike[str], *, digest: str | None = None) -> Iterator[ManifestRecord]:
    """Iterate over the manifest of a complete extraction.

    Args:
        folder: The folder given as ``--out``.
        digest: SHA-256 of the plan that the manifest must belong to; None means the folder's current plan.

    Returns:
        An iterator over the records of the examples.

    Raises:
        FileNotFoundError: When the folder contains no extraction, or an incomplete one.
        ValueError: When the manifest belongs to another plan.
    """
    path = Path(folder) / layout.MANIFEST
    if not path.is_file():
        if (Path(folder) / layout.PLAN).is_file():
            raise FileNotFoundError(
                f"{folder}: the extraction is not complete: {layout.MANIFEST} is missing; run the command that started it again"
            )
        raise FileNotFoundError(no_extraction(folder))
    records = _parse_manifest(path, layout.shard_prefix(plan_digest(Path(folder)) if digest is None else digest))
    first = list(islice(records, 1))  # raises now if the manifest belongs to another plan
    return chain(first, records)


def _parse_manifest(path: Path, prefix: str) -> Iterator[ManifestRecord]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            record: ManifestRecord = json.loads(line)
            if not record["file"].startswith(prefix):
                raise ValueError(
                    f"{path} belongs to another plan than {layout.PLAN}: the extraction was replaced while another process was "
                    f"writing; run the command that wrote the features again"
                )
            yield record


def no_extraction(folder: str | os.PathLike[str]) -> str:
    """Return the message for a folder that contains no extraction.

    Args:
        folder: The folder.

    Returns:
        The message.
    """
    return f"{folder}: this folder contains no extraction: {layout.PLAN} is missing"
