"""Manifests that are one table: artifex's own, NeMo, Common Voice, LJSpeech and Hugging Face."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from artifex.generative_models.modalities.audio.datasets.manifests.formats import ManifestFormat
from artifex.generative_models.modalities.audio.datasets.manifests.lines import (
    ManifestRow,
    json_rows,
    table_rows,
    text_lines,
    tsv_rows,
)


def parse_common_voice(file: Path) -> Iterator[ManifestRow]:
    """Parse a table of Common Voice: clips in the folder ``clips`` beside it, sentences and speakers.

    Args:
        file: Such as ``validated.tsv``.

    Yields:
        Rows with ``path``, ``text`` (the column ``sentence``), ``speaker`` (``client_id``), and the other columns.
    """
    clips = "clips/" if (file.parent / "clips").is_dir() else ""
    for row in tsv_rows(file):
        cells = _renamed(row.cells, {"sentence": "text", "client_id": "speaker"})
        path = cells.get("path")
        if isinstance(path, str):
            path = path if "/" in path or "\\" in path else f"{clips}{path}"
            cells["path"] = path if Path(path).suffix else f"{path}.mp3"  # as in the first releases
        yield ManifestRow(line=row.line, cells=cells)


def parse_ljspeech(file: Path) -> Iterator[ManifestRow]:
    """Parse the table of LJSpeech: ``NAME|TEXT|NORMALIZED TEXT``, without a header and without quoting.

    Args:
        file: ``metadata.csv``, beside the folder ``wavs``.

    Yields:
        Rows with ``path``, ``text`` (the normalized text, where there is one) and ``raw_text``.

    Raises:
        ValueError: When a line has neither two nor three fields.
    """
    for number, line in text_lines(file):
        if not line.strip():
            continue
        fields = [field.strip() for field in line.rstrip("\r\n").split("|")]
        if len(fields) not in (2, 3) or not fields[0]:
            raise ValueError(
                f"{file}:{number}: expected NAME|TEXT or NAME|TEXT|NORMALIZED TEXT, got {len(fields)} fields"
            )
        name, raw = fields[:2]
        path = f"wavs/{name if Path(name).suffix.lower() in ('.wav', '.flac') else f'{name}.wav'}"
        text = fields[-1] or raw
        yield ManifestRow(line=number, cells={"path": path, "text": text or None, "raw_text": raw or None})


def parse_hugging_face(file: Path) -> Iterator[ManifestRow]:
    """Parse the metadata of a Hugging Face audio folder.

    Args:
        file: ``metadata.csv`` or ``metadata.jsonl``.

    Yields:
        Rows with the columns of the table; ``transcription`` is named ``text``.
    """
    for row in table_rows(file):
        yield ManifestRow(line=row.line, cells=_renamed(row.cells, {"transcription": "text"}))


def _renamed(cells: dict[str, object], names: dict[str, str]) -> dict[str, object]:
    """Rename columns, unless the new name is taken."""
    return {key if names.get(key, key) in cells else names[key]: value for key, value in cells.items()}


_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl")

ARTIFEX = ManifestFormat(suffixes=(*_SUFFIXES, *(f"{suffix}.gz" for suffix in _SUFFIXES)), parse=table_rows)
"""The manifests of artifex: a table with a column ``path``, or with another usual name of it."""

NEMO = ManifestFormat(
    suffixes=(".json", ".jsonl", ".json.gz", ".jsonl.gz"), columns=("audio_filepath",), parse=json_rows
)
"""The manifests of NVIDIA NeMo: JSON lines with ``audio_filepath``, ``offset``, ``duration`` and ``text``."""

COMMON_VOICE = ManifestFormat(suffixes=(".tsv",), columns=("client_id", "path", "sentence"), parse=parse_common_voice)
"""The tables of Mozilla Common Voice."""

LJSPEECH = ManifestFormat(names=("metadata.csv",), separator="|", parse=parse_ljspeech)
"""The table of LJSpeech and of other corpora with the same layout."""

HUGGING_FACE = ManifestFormat(
    names=("metadata.csv", "metadata.jsonl"), columns=("file_name",), parse=parse_hugging_face
)
"""The metadata of a folder of audio for Hugging Face ``datasets``."""
