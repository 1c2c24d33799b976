"""Recordings in a table as a dataset: a Hugging Face dataset, or any sequence. Imports no jax."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from artifex.generative_models.modalities.audio.base import AudioModalityConfig
from artifex.generative_models.modalities.audio.datasets.files import RecordingDataset, Source
from artifex.generative_models.modalities.audio.datasets.manifest import label_names
from artifex.generative_models.modalities.audio.io import AudioReadError, AudioSource, Samples
from artifex.generative_models.modalities.base import checksum

if TYPE_CHECKING:
    from flax import nnx


class TableAudioDataset(RecordingDataset):
    """Recordings in the rows of a table, read, mixed, resampled and cropped as ``AudioFileDataset`` does it.

    Audio is decoded here, by soundfile, and only the part that an example shows: an audio column of a Hugging Face
    dataset is taken undecoded, so that neither torchcodec nor FFmpeg is needed, and no other column is read.

    Args:
        config: What the examples are like; None means the defaults.
        table: A ``datasets.Dataset``, or a sequence of rows. A row is a mapping, or the audio itself. The audio is the
            path of a file, the bytes of one, a mapping with ``bytes`` or ``path`` (the bytes count more), or a mapping
            with ``array``, (time,) or (channels, time), and ``sampling_rate`` in Hz.
        audio: The column that holds the audio.
        label: The column that holds the labels, words or integers; None, or none of this name, leaves labels out.
            ``dataset.labels`` holds the names of a Hugging Face ``ClassLabel`` column, or the words in order; integers
            stay what they are.
        mono: As for ``AudioFileDataset``, as are the others.
        crop: Which part of a longer recording is taken.
        hop: Seconds from one sliding window to the next.
        on_error: What happens when a recording cannot be read.
        split: Which part of the data the table is.
        seed: At least 0; another number draws other crops.
        rngs: Where ``get_batch`` draws indices from.
        name: What the dataset is called.

    Raises:
        TypeError: For a table without a length and rows by index, such as a stream or several splits.
        ValueError: For a column that is not there, labels that are neither words nor integers, or an option out of
            range.

    Example:
        >>> rows = [{"audio": {"array": np.full(400, 0.5), "sampling_rate": 8000}, "label": word} for word in "ba"]
        >>> data = TableAudioDataset(AudioModalityConfig(sample_rate=8000, duration=0.1), rows)
        >>> data[0]["audio"].shape, data[0]["length"], data[0]["label"], data.labels
        ((800,), 400, 1, ('a', 'b'))
    """

    def __init__(
        self,
        config: AudioModalityConfig | None = None,
        table: Any = (),
        *,
        audio: str = "audio",
        label: str | None = "label",
        mono: bool = True,
        crop: str = "center",
        hop: float | None = None,
        on_error: str = "raise",
        split: str = "train",
        seed: int = 0,
        rngs: nnx.Rngs | None = None,
        name: str = "TableAudioDataset",
    ) -> None:
        super().__init__(
            config, mono=mono, crop=crop, hop=hop, on_error=on_error, split=split, seed=seed, rngs=rngs, name=name
        )
        self._audio = audio
        self._numbers: dict[str, int] = {}
        self._label: str | None = label
        if isinstance(table, Mapping):
            parts = ", ".join(map(repr, table))
            raise TypeError(f"table is one table of rows, got {type(table).__name__} of {parts}: give one of them")
        if not hasattr(table, "__len__") or not hasattr(table, "__getitem__") or isinstance(table, str | bytes):
            raise TypeError(
                f"table has a length and rows by index, got {type(table).__name__}; load a stream to a table, or make "
                f"a list of it"
            )
        if not len(table):
            raise ValueError("the table is empty: it has no rows")
        self._table = self._undecoded(table) if hasattr(table, "cast_column") else table
        if not hasattr(table, "cast_column"):
            self._read_labels(table[0] if isinstance(table[0], Mapping) else {})

    def n_recordings(self) -> int:
        """Return how many rows there are."""
        return len(self._table)

    def source(self, recording: int) -> Source:
        """Return where a recording comes from.

        Args:
            recording: The place of its row.
        """
        row = self._table[recording]
        called = f"row {recording}"
        value = row
        if isinstance(row, Mapping) and (self._audio in row or not _is_audio(row)):
            value = row.get(self._audio)
        source, name = _audio_of(value, called, self._audio)
        return Source(source, name, self._number(row, called))

    def fingerprint(self) -> str:
        """Return a few digits that are the same where the examples are; see ``BaseDataset.fingerprint``.

        The rows count by their number alone, since a row may hold its audio.
        """
        columns = self._audio, self._label
        options = self.split, self.seed, self.config, self.mono, self.crop, self._hop, self.labels
        return checksum(len(self._table), columns, options)

    def _undecoded(self, table: Any) -> Any:
        """Return a Hugging Face table of the columns that count, their audio as bytes and paths."""
        features = table.features
        if self._audio not in features:
            known = ", ".join(map(repr, features))
            raise ValueError(f"the table has no column {self._audio!r} for audio=; it has {known}")
        if self._label not in features:
            self._no_labels(list(features))
        columns = [self._audio] if self._label is None else [self._audio, self._label]
        table = table.with_format(None).select_columns(columns)
        feature = features[self._audio]
        if hasattr(feature, "decode"):
            table = table.cast_column(self._audio, type(feature)(decode=False))
        if self._label is not None:
            names = getattr(features[self._label], "names", None)
            if names is not None:
                self.labels = tuple(names)
            else:
                self._name_labels(table.unique(self._label))
        return table

    def _read_labels(self, first: Mapping[str, Any]) -> None:
        if self._audio not in first and first and not _is_audio(first):
            known = ", ".join(map(repr, first))
            raise ValueError(f"the rows have no {self._audio!r} for audio=; the first has {known}")
        if self._label not in first:
            self._no_labels(list(first))
        if self._label is not None and not isinstance(first[self._label], int | np.integer):
            self._name_labels([row.get(self._label) if isinstance(row, Mapping) else None for row in self._table])

    def _no_labels(self, columns: list[Any]) -> None:
        if self._label not in (None, "label"):
            known = ", ".join(map(repr, columns)) or "none"
            raise ValueError(f"the table has no column {self._label!r} for label=; it has {known}")
        self._label = None

    def _name_labels(self, values: Sequence[Any]) -> None:
        for value in values:
            if isinstance(value, bool) or not isinstance(value, str | int | np.integer):
                raise ValueError(  # noqa: TRY004  a cell of a table is a value
                    f"labels are words or integers, got {value!r} in {self._label!r}; label=None skips it"
                )
        if any(isinstance(value, str) for value in values):
            self.labels = label_names(str(value) for value in values)
            self._numbers = {label: place for place, label in enumerate(self.labels)}

    def _number(self, row: Any, called: str) -> int | None:
        if self._label is None:
            return None
        value = row.get(self._label) if isinstance(row, Mapping) else None
        if self._numbers and value is not None and str(value) in self._numbers:
            return self._numbers[str(value)]
        if isinstance(value, int | np.integer) and not isinstance(value, bool):
            return int(value)
        raise ValueError(f"{called}: {self._label} is an integer as in the first row, got {value!r}")


def _is_audio(row: Mapping[str, Any]) -> bool:
    return any(key in row for key in ("array", "bytes", "path"))


def _audio_of(value: Any, called: str, column: str) -> tuple[AudioSource | AudioReadError, str]:
    """Return the audio of a row, or why there is none, and what it is called."""
    if isinstance(value, Mapping):
        path, content = value.get("path"), value.get("bytes")
        name = os.fspath(path) if path else called
        if content is not None:
            return content, name
        if value.get("array") is not None:
            return Samples(np.asarray(value["array"]), value.get("sampling_rate") or 0), name
        value = path
    if isinstance(value, bytes):
        return value, called
    if isinstance(value, str | os.PathLike) and os.fspath(value):
        return os.fspath(value), os.fspath(value)
    what = "nothing" if value is None else f"{type(value).__name__}"
    reason = f"its {column} is {what}; it has to be a path, bytes, or a mapping with bytes, path, or array"
    return AudioReadError(called, reason), called
