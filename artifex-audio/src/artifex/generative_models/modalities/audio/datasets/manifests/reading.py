"""Reading manifests of any registered format."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from artifex.generative_models.modalities.audio.datasets.manifests.columns import recording_of
from artifex.generative_models.modalities.audio.datasets.manifests.formats import find_format
from artifex.generative_models.modalities.audio.datasets.manifests.recording import Recording
from artifex.generative_models.modalities.audio.io import exists


def read_manifest(
    path: str | os.PathLike[str], *, manifest_format: str | None = None, check_paths: bool = True
) -> list[Recording]:
    r"""Read a manifest of any registered format.

    Artifex's own manifests are tables in CSV, TSV or JSON lines. Their column ``path`` is required. Optional columns are
    ``label``, in JSON also a list of labels; ``start``, and ``end`` or ``duration``, in seconds, where an empty cell means
    the start or end of the file; ``split``; and ``sample_rate`` in Hz, ``n_channels`` and ``n_samples`` of the file, which
    make it unnecessary to read headers. Other columns are annotations. Relative paths are relative to the folder of the
    manifest. A backslash separates folders, unless a file has it in its name.

    Other usual names of these columns are recognized, such as ``audio_filepath``, ``file_name``, ``wav``, ``offset``,
    ``start_time``, ``begin``, ``end_time``, ``start_ms``, ``sampling_rate``. A column of times in samples or frames raises.

    Args:
        path: A file in UTF-8, or a folder such as a Kaldi data folder. ``artifex list manifest_format`` lists the formats.
        manifest_format: Name of the format; by default it is recognized by the file's name and columns.
        check_paths: Whether to raise for files that do not exist.

    Returns:
        The recordings, in order.

    Raises:
        FileNotFoundError: When the manifest, or a file that it names, does not exist.
        ValueError: When the manifest is empty, is not UTF-8, has no column ``path``, or a cell is invalid. The message
            names the line.
        UnknownComponentError: When there is no format of that name.

    Example:
        >>> import tempfile
        >>> manifest = Path(tempfile.mkdtemp()) / "takes.csv"
        >>> _ = manifest.write_text("path,label,start,end,text\na.wav,dog,0.5,2,woof\n")
        >>> recording = read_manifest(manifest, check_paths=False)[0]
        >>> recording.name, recording.label, recording.start, recording.end, recording.annotations
        ('a.wav', 'dog', 0.5, 2.0, {'text': 'woof'})
    """
    file = Path(path)
    folder = file if file.is_dir() else file.parent
    recordings: list[Recording] = []
    places: list[str] = []
    checked: set[str] = set()
    for row in find_format(file, manifest_format).parse(file):
        place = f"{row.file or file}:{row.line}"
        recording = recording_of(place, folder, row.cells)
        if check_paths and recording.path not in checked:
            if not exists(recording.path):
                raise FileNotFoundError(f"{place}: no such file: {recording.path}; paths are relative to the manifest")
            checked.add(recording.path)
        recordings.append(recording)
        places.append(place)
    if not recordings:
        raise ValueError(f"{file}: the manifest contains no recordings")
    check_complete(recordings, places)
    return recordings


def check_complete(recordings: Sequence[Recording], places: Sequence[str]) -> None:
    """Raise when some recordings have a label or a split, and others do not.

    Args:
        recordings: The recordings.
        places: For each recording its file and line, or its path, for the message.

    Raises:
        ValueError: When a label or split is missing.
    """
    for column in ("label", "split"):
        missing = [getattr(recording, column) is None for recording in recordings]
        if any(missing) and not all(missing):
            raise ValueError(
                f"{places[missing.index(True)]}: has no {column}, but other recordings do; fill in the cell or drop the column"
            )
