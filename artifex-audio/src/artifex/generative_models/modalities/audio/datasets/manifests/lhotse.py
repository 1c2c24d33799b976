"""Manifests of lhotse: recordings, and supervisions, which are segments of recordings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from artifex.generative_models.modalities.audio.datasets.manifests.formats import ManifestFormat
from artifex.generative_models.modalities.audio.datasets.manifests.lines import ManifestRow, find_beside, json_rows

_ANNOTATIONS = ("text", "speaker", "language", "gender")


def parse_lhotse(file: Path) -> Iterator[ManifestRow]:
    """Parse recordings, or supervisions with the recordings beside them.

    The recordings of ``X_supervisions_Y.jsonl.gz`` are in ``X_recordings_Y.jsonl.gz``, as lhotse writes them. Relative
    paths are relative to the manifest or, as in lhotse, to the working directory.

    Args:
        file: A manifest of recordings or supervisions that ends in .jsonl or .jsonl.gz.

    Yields:
        Rows with ``path``, ``id``, ``sample_rate``, ``n_channels`` and ``n_samples``; of supervisions also ``start``,
        ``duration``, ``text``, ``speaker``, ``language``, ``gender``.

    Raises:
        FileNotFoundError: When the recordings of supervisions are missing.
        ValueError: For cuts, recordings that are not in one file, and recordings with transforms; these are unsupported.

    Reference:
        https://lhotse.readthedocs.io/en/latest/corpus.html
    """
    recordings: dict[str, dict[str, object]] | None = None
    for row in json_rows(file):
        place = f"{file}:{row.line}"
        if "sources" in row.cells:
            yield ManifestRow(line=row.line, cells=_recording(place, file.parent, row.cells))
        elif "recording_id" in row.cells:
            if recordings is None:
                recordings = _recordings_of(file)
            key = row.cells["recording_id"]
            if not isinstance(key, str) or key not in recordings:
                raise ValueError(f"{place}: the recording {str(key)[:80]} is not in {_recordings_file(file)}")
            yield ManifestRow(line=row.line, cells=_supervision(place, row.cells, recordings[key]))
        else:
            raise ValueError(
                f"{place}: is not a recording or a supervision; `lhotse cut decompose` writes those of cuts"
            )


def _recordings_of(supervisions: Path) -> dict[str, dict[str, object]]:
    file = _recordings_file(supervisions)
    found: dict[str, dict[str, object]] = {}
    for row in json_rows(file):
        found[str(row.cells.get("id"))] = _recording(f"{file}:{row.line}", file.parent, row.cells)
    return found


def _recordings_file(supervisions: Path) -> Path:
    """Return the manifest of the recordings beside one of supervisions."""
    named = supervisions.name.replace("supervisions", "recordings").replace("supervision", "recording")
    plain = named.removesuffix(".gz")
    for name in (named, plain, f"{plain}.gz"):
        if name != supervisions.name and (supervisions.parent / name).is_file():
            return supervisions.parent / name
    raise FileNotFoundError(
        f"{supervisions}: contains supervisions, whose recordings are missing; expected them in a file with 'recordings' "
        f"in place of 'supervisions' in its name"
    )


def _recording(place: str, folder: Path, cells: Mapping[str, object]) -> dict[str, object]:
    sources = cells.get("sources")
    listed = cast(list[object], sources) if isinstance(sources, list) else []
    source = cast(dict[str, object], listed[0]) if len(listed) == 1 and isinstance(listed[0], dict) else {}
    path = source.get("source")
    if source.get("type") != "file" or not isinstance(path, str):
        raise ValueError(
            f"{place}: expected one source of type 'file', got {len(listed)} of type {str(source.get('type'))[:40]!r}; "
            f"`lhotse` can save such recordings as files (save_audios)"
        )
    if cells.get("transforms"):
        raise ValueError(f"{place}: has transforms, which are not applied; save the transformed audio as files")
    channels = cells.get("channel_ids") or source.get("channels")
    return {
        "path": find_beside(folder, path),
        "id": cells.get("id"),
        "sample_rate": cells.get("sampling_rate"),
        "n_channels": len(cast(list[object], channels)) if isinstance(channels, list) else None,
        "n_samples": cells.get("num_samples"),
    }


def _supervision(place: str, cells: Mapping[str, object], recording: dict[str, object]) -> dict[str, object]:
    missing = [key for key in ("id", "start", "duration") if cells.get(key) is None]
    if missing:
        raise ValueError(f"{place}: has no {missing[0]}")
    n_channels = recording["n_channels"]
    channel = cells.get("channel", 0)
    selected = len(cast(list[object], channel)) if isinstance(channel, list) else 1
    if isinstance(n_channels, int) and selected != n_channels:
        raise ValueError(
            f"{place}: selects {selected} of {n_channels} channels, which is not supported; write each channel to a file "
            f"of its own"
        )
    annotations = {key: cells.get(key) for key in _ANNOTATIONS}
    return {**recording, "start": cells["start"], "duration": cells["duration"], "id": cells["id"], **annotations}


LHOTSE = ManifestFormat(
    suffixes=(".jsonl", ".jsonl.gz"), columns=("id", "sources|recording_id|supervisions"), parse=parse_lhotse
)
"""Recordings and supervisions of lhotse."""
