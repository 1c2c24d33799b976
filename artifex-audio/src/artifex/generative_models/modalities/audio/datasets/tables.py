"""Datasets of recordings in tables: Hugging Face datasets, data frames, lists of dicts. Imports no jax."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from artifex.generative_models.modalities.audio.base import AudioModalityConfig
from artifex.generative_models.modalities.audio.datasets.manifests.labels import check_classes, label_names
from artifex.generative_models.modalities.audio.datasets.manifests.splits import are_in_split
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
    torchcodec nor FFmpeg is needed. Other columns are read by ``column`` only.

    Args:
        config: Configuration of the examples; by default ``AudioModalityConfig()``.
        table: A ``datasets.Dataset``, a data frame of pandas or polars, a table of Arrow, or a sequence. Each item of a
            sequence is a mapping, or the audio itself. The audio is the path of a file, the bytes of a file (``bytes``,
            ``bytearray`` or ``memoryview``), a mapping with ``bytes`` or ``path`` (``bytes`` takes precedence), or a
            mapping with ``array``, (time,) or (channels, time), and ``sampling_rate`` in Hz.
        audio: Name of the audio column.
        label: Name of the column of labels, strings or integers, or lists of them; None, or a table without the default
            column, omits labels. ``dataset.labels`` contains the names of a Hugging Face ``ClassLabel`` column, or the
            sorted strings; integers are used unchanged. For lists, ``label`` in an example is a multi-hot array, float32
            (n_classes,), with as many classes as there are names, or the largest integer plus 1.
        classes: Class names in the order of their indices, which fixes the numbering: every label is one of them, or an
            index into them. By default see ``label``.
        mono: Whether to average the channels; for this and the other options see ``AudioFileDataset``.
        crop: The part of a longer recording.
        hop: Hop between sliding windows in seconds.
        on_error: Whether a recording that cannot be read raises, is skipped, or warns.
        split: Name of the split: one of those in a column ``split`` of strings, which selects the recordings. All of another
            table is ``"train"``, or the split of a Hugging Face dataset.
        seed: Seed of random crops, at least 0.
        rngs: Random number generators that ``get_batch`` draws indices from.
        name: Name of the dataset in error messages.

    Raises:
        TypeError: When the table has no length or indexing, such as a stream, a lazy frame or a dict of splits.
        ValueError: When a column does not exist, the table does not have the split, labels are neither strings nor
            integers or not in ``classes``, or an option is out of range.

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
        classes: Sequence[str] | None = None,
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
        self._renumbered: dict[int, int] = {}
        _check_table(table)
        self._annotation_table = _without_audio(table, audio)
        if hasattr(table, "cast_column"):
            self._table = self._prepare_hugging_face(table)
        elif (columns := _columns_of(table)) is not None:
            self._table = self._prepare_columns(columns, len(table))
        else:
            self._table = table
            self._prepare_labels(_as_mapping(table[0]) or {})
        if classes is not None:
            self._set_classes(classes)
        self._select_split(name, str(getattr(table, "split", "train")))

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
        row = _as_mapping(item)
        has_columns = row is not None and (self._audio_column in row or not _is_audio(row))
        value = row.get(self._audio_column) if row is not None and has_columns else item
        audio, audio_name = _audio_of(value, name, self._audio_column)
        return Source(audio, audio_name, self._class_index(item, name))

    def fingerprint(self) -> str:
        """Return a checksum of the options, the labels and the audio; see ``RecordingDataset.fingerprint``.

        For a Hugging Face dataset, its own fingerprint represents its content.
        """
        own: str | None = getattr(self._table, "_fingerprint", None)
        return super().fingerprint() if own is None else checksum(own, self._audio_column, *self._options())

    def _set_classes(self, classes: Sequence[str]) -> None:
        """Number the classes as given. Labels that are indices into a column's own names become names first."""
        if self._label_column is None:
            raise ValueError("classes requires labels; omit classes, or set label to the name of their column")
        if self._class_indices or not self.labels:
            self.labels = check_classes(classes, self.labels)
            self._class_indices = (
                {name: number for number, name in enumerate(self.labels)} if self._class_indices else {}
            )
        else:  # the labels are indices into names of a Hugging Face ClassLabel
            names, self.labels = self.labels, check_classes(classes, self.labels)
            self._renumbered = {number: self.labels.index(name) for number, name in enumerate(names)}
        if self._n_classes is not None:
            self._n_classes = len(self.labels)

    def _select_split(self, name: str, own: str) -> None:
        """Keep the recordings of the split."""
        splits: list[str | None] = [None] * len(self._table)
        if "split" in self._recording_column_names():
            values = _column_values(self._annotation_table, "split")
            names = getattr(getattr(self._annotation_table, "features", {}).get("split"), "names", None)
            if names is not None:  # indices in a Hugging Face ClassLabel column
                values = [names[value] if isinstance(value, int) else value for value in values]
            splits = [value if isinstance(value, str) else None for value in values]
        selected = are_in_split(splits, self.split, f"the table of {name}", own=own)
        if not all(selected):
            rows = [index for index, is_in_split in enumerate(selected) if is_in_split]
            self._table = _select_rows(self._table, rows)
            self._annotation_table = _select_rows(self._annotation_table, rows)

    def _recording_classes(self) -> Sequence[int | tuple[int, ...] | None]:
        name = self._label_column
        if name is None:
            return [None] * self.n_recordings()
        values = _column_values(self._annotation_table, name)
        return [self._class_index({name: value}, f"recording {index}") for index, value in enumerate(values)]

    def _recording_column_names(self) -> tuple[str, ...]:
        table = self._annotation_table
        if hasattr(table, "column_names"):
            return tuple(table.column_names)
        if isinstance(table, _Rows):
            return table.names
        return tuple(name for name in _as_mapping(table[0]) or {} if name != self._audio_column)

    def _recording_column(self, name: str) -> list[str] | np.ndarray:
        # pandas stores NaN for strings that are missing
        values = [None if value != value else value for value in _column_values(self._annotation_table, name)]
        if all(value is None or isinstance(value, str) for value in values):
            return ["" if value is None else str(value) for value in values]
        if all(value is None or isinstance(value, int | float | np.number | np.bool_) for value in values):
            return np.array([math.nan if value is None else value for value in values])
        raise ValueError(f"column {name!r} of {self.name} must contain strings or numbers")

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
            element = _element(features[self._label_column])
            names = getattr(element, "names", None)
            is_list = element is not features[self._label_column]
            if names is not None:
                self.labels = tuple(names)
                self._n_classes = len(self.labels) if is_list else None
            else:
                self._index_labels(table[self._label_column] if is_list else table.unique(self._label_column))
        prepared: Table = table
        return prepared

    def _prepare_columns(self, columns: Mapping[str, Callable[[int], object]], length: int) -> Table:
        """Return the audio and label columns of a data frame or Arrow table as rows."""
        known = ", ".join(map(repr, columns))
        if self._audio_column not in columns:
            raise ValueError(f"audio must be a column of the table: {known}; got {self._audio_column!r}")
        if self._label_column not in columns:
            self._omit_labels(columns)
        used = [self._audio_column] if self._label_column is None else [self._audio_column, self._label_column]
        rows = _Rows(length, {name: columns[name] for name in used})
        if self._label_column is not None:
            self._index_labels([columns[self._label_column](index) for index in range(len(rows))])
        return rows

    def _prepare_labels(self, first: Mapping[str, Any]) -> None:
        if self._audio_column not in first and first and not _is_audio(first):
            known = ", ".join(map(repr, first))
            raise ValueError(
                f"audio must be one of the keys of the first recording, {known}, got {self._audio_column!r}"
            )
        if self._label_column not in first:
            self._omit_labels(first)
        if self._label_column is not None and not isinstance(first[self._label_column], int | np.integer):
            items = [self._table[index] for index in range(len(self._table))]
            self._index_labels([(_as_mapping(item) or {}).get(self._label_column) for item in items])

    def _omit_labels(self, columns: Iterable[str]) -> None:
        if self._label_column not in (None, "label"):
            known = ", ".join(map(repr, columns)) or "none"
            raise ValueError(f"label must be a column of the table: {known}; got {self._label_column!r}")
        self._label_column = None

    def _index_labels(self, values: Iterable[object]) -> None:
        """Number the classes of labels: strings sorted, integers unchanged."""
        labels = [_as_label(value) for value in values]
        if None in labels:
            invalid = next(value for value, label in zip(values, labels, strict=True) if label is None)
            raise ValueError(
                f"labels must be strings or integers, or lists of them, got {invalid!r} in {self._label_column!r}; "
                f"label=None omits labels"
            )
        names = [name for label in labels for name in (label if isinstance(label, tuple) else (label,))]
        if any(isinstance(name, str) for name in names):
            self.labels = label_names(str(name) for name in names)
            self._class_indices = {label: number for number, label in enumerate(self.labels)}
        if any(isinstance(label, tuple) for label in labels):
            numbers = [name for name in names if isinstance(name, int)]
            self._n_classes = len(self.labels) or max(numbers, default=-1) + 1

    def _class_index(self, item: object, name: str) -> int | tuple[int, ...] | None:
        if self._label_column is None:
            return None
        value = (_as_mapping(item) or {}).get(self._label_column)
        label = _as_label(value)
        names = label if isinstance(label, tuple) else (label,)
        found = [self._class_indices.get(str(each)) if self._class_indices else each for each in names]
        indices = tuple(self._renumbered.get(each, each) for each in found if isinstance(each, int))
        # -1 means unlabeled in Hugging Face datasets, where it is allowed.
        first = -1 if hasattr(self._table, "cast_column") else 0
        if self.labels and not self._class_indices and not all(first <= each < len(self.labels) for each in indices):
            raise ValueError(
                f"{name}: {self._label_column} must be an index below the {len(self.labels)} classes, got {value!r}"
            )
        if self._n_classes is not None:
            if len(indices) == len(names) and all(0 <= each < self._n_classes for each in indices):
                return indices
            expected = f"a list of classes below {self._n_classes}"
        else:
            if len(indices) == len(names) and not isinstance(label, tuple):
                return indices[0]
            expected = "one of the labels" if self._class_indices else "an integer"
        raise ValueError(f"{name}: {self._label_column} must be {expected}, got {value!r}")


def _check_table(table: object) -> None:
    name = type(table).__name__
    splits = _as_mapping(table)
    if splits is not None:
        raise TypeError(f"table must be one table, got {name} of {', '.join(map(repr, splits))}; pass one of them")
    if hasattr(table, "collect_schema") and hasattr(table, "collect"):
        raise TypeError(f"table must be in memory, got {name}; pass its collect()")
    is_content = isinstance(table, str | bytes | bytearray | memoryview)
    if is_content or not isinstance(table, Sized) or not hasattr(table, "__getitem__"):
        raise TypeError(f"table must have __len__ and __getitem__, got {name}; load a stream into a table or a list")
    if not len(table):
        raise ValueError("table must not be empty, got 0 recordings")


def _select_rows(table: Any, rows: list[int]) -> Any:
    """Return some rows of a table that is prepared."""
    if hasattr(table, "cast_column"):
        return table.select(rows)
    if isinstance(table, _Rows):
        return table.select(rows)
    return [table[index] for index in rows]


class _Rows:
    """Rows of some columns."""

    def __init__(self, length: int, columns: Mapping[str, Callable[[int], object]]) -> None:
        self._length = length
        self._columns = columns

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._columns)

    def __len__(self) -> int:
        return self._length

    def select(self, rows: list[int]) -> _Rows:
        columns = {name: partial(_value_at, get, rows) for name, get in self._columns.items()}
        return _Rows(len(rows), columns)

    def values_of(self, name: str) -> list[object]:
        return [self._columns[name](index) for index in range(self._length)]

    def __getitem__(self, index: int, /) -> dict[str, object]:
        return {name: get(index) for name, get in self._columns.items()}


def _without_audio(table: Any, audio: str) -> Any:
    """Return a table without its column of audio, from which annotations are read; a sequence is returned as it is."""
    if hasattr(table, "cast_column"):
        return table.with_format(None).select_columns([name for name in table.column_names if name != audio])
    columns = _columns_of(table)
    if columns is None:
        return table
    return _Rows(len(table), {name: get for name, get in columns.items() if name != audio})


def _column_values(table: Any, name: str) -> list[object]:
    """Return a column of a table that ``_without_audio`` returned."""
    if hasattr(table, "cast_column"):
        return list(table[name])
    if isinstance(table, _Rows):
        return table.values_of(name)
    return [(_as_mapping(table[index]) or {}).get(name) for index in range(len(table))]


def _columns_of(table: Any) -> Mapping[str, Callable[[int], object]] | None:
    """Return the columns of a data frame or Arrow table as functions of the row, or None for other tables."""
    is_column = (hasattr(table, "iloc") and not hasattr(table, "columns")) or (
        hasattr(table, "to_pylist") and not hasattr(table, "column_names")
    )
    if is_column:
        raise TypeError(f"table must be a table or a list, got {type(table).__name__}; pass a list of its values")
    if hasattr(table, "iloc"):  # pandas
        return {str(name): table[name].iloc.__getitem__ for name in table.columns}
    if hasattr(table, "get_column"):  # polars
        return {name: table.get_column(name).__getitem__ for name in table.columns}
    if hasattr(table, "column_names"):  # Arrow
        return {name: partial(_arrow_value, table.column(name)) for name in table.column_names}
    return None


def _value_at(get: Callable[[int], object], rows: list[int], index: int) -> object:
    return get(rows[index])


def _arrow_value(column: Any, index: int) -> object:
    return column[index].as_py()


def _element(feature: Any) -> Any:
    """Return the feature of the elements of a Hugging Face list, or the feature itself."""
    if isinstance(feature, list):
        return feature[0]  # pyright: ignore[reportUnknownVariableType]
    inner = getattr(feature, "feature", None)
    return feature if inner is None else inner


def _as_label(value: object) -> str | int | tuple[str | int, ...] | None:
    """Return a label of a table as plain values, or None if it is invalid."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(cast(int, value))
    if isinstance(value, list | tuple | np.ndarray) or hasattr(value, "to_list"):
        elements = [_as_label(each) for each in cast(Iterable[object], value)]
        names = tuple(each for each in elements if isinstance(each, str | int))
        return names if len(names) == len(elements) else None
    return None


def _as_mapping(item: object) -> Mapping[str, object] | None:
    return cast(Mapping[str, object], item) if isinstance(item, Mapping) else None


def _path_of(value: object) -> str:
    return os.fspath(cast(str, value)) if isinstance(value, str | os.PathLike) else ""


def _is_audio(item: Mapping[str, object]) -> bool:
    return any(key in item for key in ("array", "bytes", "path"))


def _audio_of(value: object, name: str, column: str) -> tuple[AudioSource | AudioReadError, str]:
    """Return the audio of a recording, or the error to raise instead, and the recording's name."""
    mapping = _as_mapping(value)
    if mapping is not None:
        path, content, array = mapping.get("path"), mapping.get("bytes"), mapping.get("array")
        name = _path_of(path) or name
        if content is not None and not isinstance(content, bytes | bytearray | memoryview):
            return AudioReadError(name, f"bytes must be the bytes of a file, got {type(content).__name__}"), name
        value = path if content is None else cast(object, content)
        if content is None and array is not None:
            try:
                samples = np.asarray(array)
            except ValueError as error:  # ragged lists
                return AudioReadError(name, f"array must be (time,) or (channels, time): {error}"), name
            return Samples(samples, cast(int, mapping.get("sampling_rate") or 0)), name
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(cast(bytes, value)), name
    file = _path_of(value)
    if file:
        return file, file
    got = repr(value) if value is None or isinstance(value, str) else type(value).__name__
    reason = f"{column} must be a path, bytes, or a mapping with bytes, path or array, got {got}"
    return AudioReadError(name, reason), name
