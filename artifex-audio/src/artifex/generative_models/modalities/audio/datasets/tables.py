"""Datasets of recordings in tables, such as Hugging Face datasets or lists of dicts. Imports no jax."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from artifex.generative_models.modalities.audio.base import AudioModalityConfig
from artifex.generative_models.modalities.audio.datasets.manifests import label_names
from artifex.generative_models.modalities.audio.datasets.recordings import Crop, OnError, RecordingDataset, Source
from artifex.generative_models.modalities.audio.io import AudioReadError, AudioSource, Samples
from artifex.generative_models.modalities.base import checksum

if TYPE_CHECKING:
    from flax import nnx


class Table(Protocol):
    """Protocol of tables of recordings: sequences whose items are mappings, or the audio itself."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> object: ...


class TableAudioDataset(RecordingDataset):
    """A dataset of recordings in a table, read, mixed, resampled and cropped as by ``AudioFileDataset``.

    Audio is decoded with soundfile, and only the crop. An audio column of a Hugging Face dataset is read undecoded: neither
    torchcodec nor FFmpeg is needed, and no other columns are read.

    Args:
        config: Configuration of the examples; by default ``AudioModalityConfig()``.
        table: A ``datasets.Dataset``, or a sequence. Each item is a mapping, or the audio itself. The audio is the path
            of a file, the bytes of a file, a mapping with ``bytes`` or ``path`` (``bytes`` takes precedence), or a
            mapping with ``array``, (time,) or (channels, time), and ``sampling_rate`` in Hz.
        audio: Name of the audio column.
        label: Name of the column of labels, strings or integers; None, or a table without the default column, omits
            labels. ``dataset.labels`` contains the names of a Hugging Face ``ClassLabel`` column, or the sorted strings;
            integers are used unchanged.
        mono: Whether to average the channels; for this and the other options see ``AudioFileDataset``.
        crop: The part of a longer recording.
        hop: Hop between sliding windows in seconds.
        on_error: Whether a recording that cannot be read raises, is skipped, or warns.
        split: Name of the split that the table is.
        seed: Seed of random crops, at least 0.
        rngs: Random number generators that ``get_batch`` draws indices from.
        name: Name of the dataset in error messages.

    Raises:
        TypeError: When the table has no length or indexing, such as a stream or a dict of splits.
        ValueError: When a column does not exist, labels are neither strings nor integers, or an option is out of range.

    Example:
        >>> table = [{"audio": {"array": np.full(400, 0.5), "sampling_rate": 8000}, "label": name} for name in "ba"]
        >>> dataset = TableAudioDataset(AudioModalityConfig(sample_rate=8000, duration=0.1), table)
        >>> dataset[0]["audio"].shape, dataset[0]["length"], dataset[0]["label"], dataset.labels
        ((800,), 400, 1, ('a', 'b'))
    """

    def __init__(
        self,
        config: AudioModalityConfig | None = None,
        table: Table = (),
        *,
        audio: str = "audio",
        label: str | None = "label",
        mono: bool = True,
        crop: Crop = "center",
        hop: float | None = None,
        on_error: OnError = "raise",
        split: str = "train",
        seed: int = 0,
        rngs: nnx.Rngs | None = None,
        name: str = "TableAudioDataset",
    ) -> None:
        super().__init__(
            config, mono=mono, crop=crop, hop=hop, on_error=on_error, split=split, seed=seed, rngs=rngs, name=name
        )
        self._audio_column = audio
        self._label_column: str | None = label
        self._class_indices: dict[str, int] = {}
        if isinstance(table, Mapping):
            splits = ", ".join(map(repr, table))
            raise TypeError(f"table must be one table, got {type(table).__name__} of {splits}; pass one of them")
        if not hasattr(table, "__len__") or not hasattr(table, "__getitem__") or isinstance(table, str | bytes):
            raise TypeError(
                f"table must have __len__ and __getitem__, got {type(table).__name__}; load a stream into a table or a list"
            )
        if not len(table):
            raise ValueError("table must not be empty, got 0 recordings")
        if hasattr(table, "cast_column"):
            self._table = self._prepare_hugging_face(table)
        else:
            self._table = table
            first = table[0]
            self._prepare_labels(first if isinstance(first, Mapping) else {})

    def n_recordings(self) -> int:
        """Return the number of recordings."""
        return len(self._table)

    def source(self, recording: int) -> Source:
        """Return the source of a recording.

        Args:
            recording: Index in the table.
        """
        item = self._table[recording]
        name = f"recording {recording}"
        value = item
        if isinstance(item, Mapping) and (self._audio_column in item or not _is_audio(item)):
            value = item.get(self._audio_column)
        audio, audio_name = _audio_of(value, name, self._audio_column)
        return Source(audio, audio_name, self._class_index(item, name))

    def fingerprint(self) -> str:
        """Return a checksum of the options and the number of recordings; see ``BaseDataset.fingerprint``.

        The content of the table is not included, since it may be the audio itself.
        """
        columns = self._audio_column, self._label_column
        options = self.split, self.seed, self.config, self.mono, self.crop, self._hop, self.labels
        return checksum(len(self._table), columns, options)

    def _prepare_hugging_face(self, table: Any) -> Table:
        """Return a Hugging Face dataset with the audio and label columns only, with undecoded audio."""
        features = table.features
        if self._audio_column not in features:
            known = ", ".join(map(repr, features))
            raise ValueError(f"audio must be a column of the table: {known}; got {self._audio_column!r}")
        if self._label_column not in features:
            self._omit_labels(features)
        columns = [self._audio_column] if self._label_column is None else [self._audio_column, self._label_column]
        table = table.with_format(None).select_columns(columns)
        feature = features[self._audio_column]
        if hasattr(feature, "decode"):
            table = table.cast_column(self._audio_column, type(feature)(decode=False))
        if self._label_column is not None:
            names = getattr(features[self._label_column], "names", None)
            if names is not None:
                self.labels = tuple(names)
            else:
                self._index_labels(table.unique(self._label_column))
        prepared: Table = table
        return prepared

    def _prepare_labels(self, first: Mapping[str, Any]) -> None:
        if self._audio_column not in first and first and not _is_audio(first):
            known = ", ".join(map(repr, first))
            raise ValueError(
                f"audio must be one of the keys of the first recording, {known}, got {self._audio_column!r}"
            )
        if self._label_column not in first:
            self._omit_labels(first)
        if self._label_column is not None and not isinstance(first[self._label_column], int | np.integer):
            items = (self._table[index] for index in range(len(self._table)))
            self._index_labels([item.get(self._label_column) if isinstance(item, Mapping) else None for item in items])

    def _omit_labels(self, columns: Iterable[str]) -> None:
        if self._label_column not in (None, "label"):
            known = ", ".join(map(repr, columns)) or "none"
            raise ValueError(f"label must be a column of the table: {known}; got {self._label_column!r}")
        self._label_column = None

    def _index_labels(self, values: Iterable[Any]) -> None:
        values = list(values)
        for value in values:
            if isinstance(value, bool) or not isinstance(value, str | int | np.integer):
                raise ValueError(  # noqa: TRY004  the content of a table is a value
                    f"labels must be strings or integers, got {value!r} in {self._label_column!r}; "
                    f"label=None omits labels"
                )
        if any(isinstance(value, str) for value in values):
            self.labels = label_names(str(value) for value in values)
            self._class_indices = {label: number for number, label in enumerate(self.labels)}

    def _class_index(self, item: Any, name: str) -> int | None:
        if self._label_column is None:
            return None
        value = item.get(self._label_column) if isinstance(item, Mapping) else None
        if self._class_indices and value is not None and str(value) in self._class_indices:
            return self._class_indices[str(value)]
        if isinstance(value, int | np.integer) and not isinstance(value, bool):
            return int(value)
        raise ValueError(f"{name}: {self._label_column} must be an integer, as in the first recording, got {value!r}")


def _is_audio(item: Mapping[str, Any]) -> bool:
    return any(key in item for key in ("array", "bytes", "path"))


def _audio_of(value: Any, name: str, column: str) -> tuple[AudioSource | AudioReadError, str]:
    """Return the audio of a recording, or the error to raise instead, and the recording's name."""
    if isinstance(value, Mapping):
        path, content = value.get("path"), value.get("bytes")
        known_as = os.fspath(path) if path else name
        if content is not None:
            return content, known_as
        if value.get("array") is not None:
            return Samples(np.asarray(value["array"]), value.get("sampling_rate") or 0), known_as
        value = path
    if isinstance(value, bytes):
        return value, name
    if isinstance(value, str | os.PathLike) and os.fspath(value):
        return os.fspath(value), os.fspath(value)
    got = repr(value) if value is None or value == "" else type(value).__name__
    reason = f"{column} must be a path, bytes, or a mapping with bytes, path or array, got {got}"
    return AudioReadError(name, reason), name
