"""Kaldi data folders: wav.scp, segments, utt2spk and text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from artifex.generative_models.modalities.audio.datasets.manifests.formats import ManifestFormat
from artifex.generative_models.modalities.audio.datasets.manifests.lines import ManifestRow, find_beside, text_lines

_FIX = "utils/fix_data_dir.sh of Kaldi corrects this"


def parse_kaldi(path: Path) -> Iterator[ManifestRow]:
    """Parse a Kaldi data folder: one row per utterance.

    ``wav.scp`` contains the files, ``segments`` their segments in seconds (an end of -1 is the end of the file),
    ``utt2spk`` the speakers and ``text`` the transcripts; only the first is required. Relative paths are relative to the
    folder or, as in Kaldi, to the working directory.

    Args:
        path: The folder, or its ``wav.scp``.

    Yields:
        Rows with ``path``, ``start``, ``end``, ``id``, ``speaker`` and ``text``.

    Raises:
        FileNotFoundError: When there is no ``wav.scp``.
        ValueError: For a command or an archive in ``wav.scp``, which are not supported, and for an utterance that one of
            the files does not contain. The message names the file and the line.

    Reference:
        https://kaldi-asr.org/doc/data_prep.html
    """
    folder = path if path.is_dir() else path.parent
    recordings = {key: (number, value) for number, key, value in _entries(folder / "wav.scp")}
    files = {key: _audio_file(folder, number, value) for key, (number, value) in recordings.items()}
    segments, wav_scp = folder / "segments", folder / "wav.scp"
    has_segments = segments.is_file()
    utterances: dict[str, tuple[int, dict[str, object]]] = {}
    if has_segments:
        for number, key, value in _entries(segments):
            utterances[key] = number, _segment(f"{segments}:{number}", value, files)
    else:
        utterances = {key: (recordings[key][0], {"path": file}) for key, file in files.items()}
    annotations = {
        column: _annotations(folder / name, utterances)
        for name, column in (("utt2spk", "speaker"), ("text", "text"))
        if (folder / name).is_file()
    }
    for key, (number, cells) in utterances.items():
        found = {column: values[key] for column, values in annotations.items()}
        yield ManifestRow(line=number, cells={**cells, "id": key, **found}, file=segments if has_segments else wav_scp)


def _entries(file: Path) -> Iterator[tuple[int, str, str]]:
    """Yield the line number, the key and the value of each line of a Kaldi table."""
    first_lines: dict[str, int] = {}
    for number, line in text_lines(file):
        if not line.strip():
            continue
        key, *rest = line.strip().split(maxsplit=1)
        if key in first_lines:
            raise ValueError(f"{file}:{number}: duplicate key {key}, first on line {first_lines[key]}; {_FIX}")
        first_lines[key] = number
        yield number, key, rest[0] if rest else ""


def _audio_file(folder: Path, number: int, value: str) -> str:
    place = f"{folder / 'wav.scp'}:{number}"
    if not value:
        raise ValueError(f"{place}: expected an id and a path, got the id only")
    if value.endswith("|") or value.startswith("|"):
        raise ValueError(
            f"{place}: is a command, which is not supported: {value[:80]!r}; write its output to a file, as "
            f"wav-copy of Kaldi does, and give the path of the file"
        )
    if re.search(r"\.ark:\d+(\[.*\])?$", value):
        raise ValueError(
            f"{place}: is a position in an archive: {value[:80]!r}; write the recordings to files of their own"
        )
    return find_beside(folder, value)


def _segment(place: str, value: str, files: Mapping[str, str]) -> dict[str, object]:
    fields = value.split()
    if len(fields) not in (3, 4):
        raise ValueError(f"{place}: expected UTTERANCE RECORDING START END, got {len(fields) + 1} fields")
    recording, start, end = fields[:3]
    if recording not in files:
        raise ValueError(f"{place}: the recording {recording} is not in wav.scp; {_FIX}")
    if len(fields) == 4 and fields[3] != "0":
        raise ValueError(f"{place}: selects channel {fields[3]}; write each channel to a file of its own")
    until_end = re.fullmatch(r"-1(\.0*)?", end) is not None
    return {"path": files[recording], "start": start, "end": None if until_end else end}


def _annotations(file: Path, utterances: Mapping[str, object]) -> dict[str, str]:
    values = {key: (number, value) for number, key, value in _entries(file)}
    for key, (number, _) in values.items():
        if key not in utterances:
            raise ValueError(f"{file}:{number}: the utterance {key} has no recording; {_FIX}")
    missing = next((key for key in utterances if key not in values), None)
    if missing is not None:
        raise ValueError(f"{file}: the utterance {missing} is missing; {_FIX}")
    return {key: value for key, (_, value) in values.items()}


KALDI = ManifestFormat(names=("wav.scp",), folder=True, parse=parse_kaldi)
"""Kaldi data folders, given as the folder or as its ``wav.scp``."""
