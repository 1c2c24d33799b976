"""Shards: ArrayRecord files whose records are safetensors, each with the features and the metadata of one example."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NotRequired, Protocol, TypedDict

import numpy as np

from artifex.generative_models.core.extras import require

_EXTRA = "artifex-audio[loader]"
_WRITER_OPTIONS = "group_size:1,uncompressed"
_READER_OPTIONS = "readahead_buffer_size:0,max_parallelism:0"
_READ_BYTES = 1 << 15


class ExampleRecord(TypedDict):
    """Metadata of one example, as in its shard.

    Attributes:
        index: Index of the recording in the plan.
        id: Name of the recording, unique in the extraction.
        source: Path of the recording, or a description of a synthetic one.
        label: Name of its class, a list of several, or None.
        start: Start of the segment in seconds. Absent for whole recordings.
        end: End of the segment in seconds. Absent if the segment ends with the recording.
        split: Split of the recording in its manifest. Absent where there are none.
        annotations: Other columns of its manifest. Absent where there are none.
        source_sample_rate: Sample rate of the recording, Hz.
        source_channels: Number of its channels.
        source_format: Container and encoding, such as ``"WAV PCM_16"``.
        sample_rate: Sample rate of the encoded waveform, Hz.
        n_samples: Length of the encoded waveform in samples.
        duration: Its length in seconds.
        peak_dbfs: Peak level in dBFS; None for silence.
        rms_dbfs: RMS level in dBFS; None for silence.
        shapes: Shape of each feature by its name.
        dtypes: Name of the dtype of each feature.
    """

    index: int
    id: str
    source: str
    label: str | list[str] | None
    start: NotRequired[float]
    end: NotRequired[float]
    split: NotRequired[str]
    annotations: NotRequired[dict[str, object]]
    source_sample_rate: int
    source_channels: int
    source_format: str
    sample_rate: int
    n_samples: int
    duration: float
    peak_dbfs: float | None
    rms_dbfs: float | None
    shapes: dict[str, list[int]]
    dtypes: dict[str, str]


class ManifestRecord(ExampleRecord):
    """Metadata of one example and its position: a line of the manifest.

    Attributes:
        file: Path of the shard relative to the folder.
        record: Position of the record in the shard.
    """

    file: str
    record: int


class FailureRecord(TypedDict):
    """A recording that could not be extracted: a line of ``failures.jsonl``.

    Attributes:
        index: Index of the recording in the plan.
        source: Its path.
        reason: Why it could not be extracted.
    """

    index: int
    source: str
    reason: str


class ShardReader(Protocol):
    """An ArrayRecord reader."""

    def read(self, positions: list[int], /) -> list[bytes]:
        """Read the records at some positions."""
        ...

    def num_records(self) -> int:
        """Return the number of records."""
        ...

    def close(self) -> None:
        """Close the file."""


def check_dependencies() -> None:
    """Raise unless the packages that read and write shards are installed.

    Raises:
        MissingDependencyError: Without the extra ``artifex-audio[loader]``.
    """
    _array_record()
    _safetensors()


def pack_example(record: ExampleRecord, features: Mapping[str, np.ndarray]) -> bytes:
    """Serialize an example as safetensors, one tensor per feature, with its record as JSON metadata.

    Args:
        record: The metadata of the example.
        features: Its features by name.

    Returns:
        The bytes, the same for equal examples.

    Raises:
        ValueError: For a dtype that safetensors does not support.

    Example:
        >>> packed = pack_example({"id": "a", "dtypes": {"mfcc": "float32"}}, {"mfcc": np.ones((13, 3), np.float32)})
        >>> record, features = unpack_example(packed)
        >>> record["id"], features["mfcc"].shape
        ('a', (13, 3))

    Reference:
        The safetensors format, https://github.com/huggingface/safetensors.
    """
    try:
        # A single metadata entry: the order of several differs between processes.
        tensors = {name: np.ascontiguousarray(values) for name, values in features.items()}
        packed: bytes = _safetensors().save(tensors, {"record": json.dumps(record)})
    except (KeyError, ValueError) as error:
        dtypes = ", ".join(sorted({str(values.dtype) for values in features.values()}))
        raise ValueError(
            f"features of dtype {dtypes} cannot be stored: safetensors does not support this dtype"
        ) from error
    return packed


def unpack_example(content: bytes) -> tuple[ExampleRecord, dict[str, np.ndarray]]:
    """Deserialize an example; the inverse of ``pack_example``.

    Args:
        content: The bytes.

    Returns:
        The record, and the features by name, as writable arrays.
    """
    # Parsed here, since safetensors.numpy.load does not return the metadata.
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    record: ExampleRecord = json.loads(header["__metadata__"]["record"])
    features: dict[str, np.ndarray] = {}
    for name, dtype in record["dtypes"].items():
        first, last = header[name]["data_offsets"]
        values = np.frombuffer(content, np.uint8, count=last - first, offset=start + first)
        features[name] = values.view(dtype_from_name(dtype)).reshape(header[name]["shape"]).copy()
    return record, features


def write_records(path: Path, examples: Iterable[tuple[ExampleRecord, Mapping[str, np.ndarray]]]) -> None:
    """Write examples to an ArrayRecord file.

    Args:
        path: The file, which is overwritten.
        examples: Records and features, in order.

    Raises:
        ValueError: For features of a dtype that safetensors does not support.
        MissingDependencyError: Without the extra ``artifex-audio[loader]``.
    """
    writer = _array_record().ArrayRecordWriter(str(path), _WRITER_OPTIONS)
    for record, features in examples:
        writer.write(pack_example(record, features))
    writer.close()


def open_shard(path: Path) -> ShardReader:
    """Open a shard for random access from any thread.

    Args:
        path: The file.

    Returns:
        An ArrayRecord reader.

    Raises:
        FileNotFoundError: When the file does not exist. (ArrayRecord treats a missing file as an empty one.)
        MissingDependencyError: Without the extra ``artifex-audio[loader]``.
    """
    check_shard_exists(path)
    reader: ShardReader = _array_record().ArrayRecordReader(
        str(path), options=_READER_OPTIONS, file_reader_buffer_size=_READ_BYTES
    )
    return reader


class ShardReaders:
    """A cache of open shards, safe for use from several threads.

    Each open shard occupies a file descriptor; when the cache is full, the shard opened first is closed.

    Args:
        max_open: Maximum number of open shards.
    """

    def __init__(self, max_open: int = 400) -> None:
        self._max_open = max_open
        self._open: dict[Path, ShardReader] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._open)

    def __reduce__(self) -> tuple[type[ShardReaders], tuple[int]]:
        return ShardReaders, (self._max_open,)  # a copy in another process opens the shards itself

    def __call__(self, path: Path) -> ShardReader:
        """Return the reader of a shard; see ``open_shard``."""
        reader = self._open.get(path)
        if reader is not None:
            return reader
        with self._lock:
            if path not in self._open:
                opened = open_shard(path)
                if len(self._open) >= self._max_open:
                    # Its destructor closes the file once no other thread holds the reader.
                    del self._open[next(iter(self._open))]
                self._open[path] = opened
            return self._open[path]


def check_shard_exists(path: Path) -> None:
    """Raise unless a shard exists.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: When it does not exist.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: this shard is missing; run the command that wrote the features again, or copy the folder again"
        )


def read_example(reader: ShardReader, path: Path, position: int) -> tuple[ExampleRecord, dict[str, np.ndarray]]:
    """Read one example from a shard and verify its checksum.

    Args:
        reader: The open shard.
        path: Its path, for the message.
        position: Position of the record, from 0.

    Returns:
        The record and the features by name.

    Raises:
        OSError: When the record is damaged.
    """
    try:
        return unpack_example(reader.read([int(position)])[0])
    except (RuntimeError, ValueError, KeyError, IndexError) as error:
        raise _damaged(path, position, error) from error


def read_features_at(
    reader: ShardReader,
    path: Path,
    position: int,
    *,
    index: int,
    shapes: Mapping[str, tuple[int, ...]],
    dtypes: Mapping[str, np.dtype[Any]],
) -> dict[str, np.ndarray]:
    """Read the features of one example whose shapes are known; faster than ``read_example``: its record is not parsed.

    Args:
        reader: The open shard.
        path: Its path, for the message.
        position: Position of the record, from 0.
        index: Index of the recording in the plan, as in the manifest.
        shapes: Shape of each feature, as in the manifest.
        dtypes: Dtype of each feature.

    Returns:
        The features by name, as writable arrays.

    Raises:
        OSError: When the record is damaged, or is not the one that the manifest describes.
    """
    try:
        content = reader.read([position])[0]
    except RuntimeError as error:
        raise _damaged(path, position, error) from error
    start = 8 + int.from_bytes(content[:8], "little")
    sizes = {name: math.prod(shape) * dtypes[name].itemsize for name, shape in shapes.items()}
    offsets = _offsets(content[8:start], sizes)
    if (
        offsets is None
        or len(content) != start + sum(sizes.values())
        or content.find(b'{\\"index\\": %d,' % index, 8, start) < 0
    ):
        raise OSError(f"{path} has been replaced since its manifest was read; open the dataset again")
    return {
        name: np.frombuffer(content, dtypes[name], math.prod(shape), start + offsets[name]).reshape(shape).copy()
        for name, shape in shapes.items()
    }


def _offsets(header: bytes, sizes: Mapping[str, int]) -> dict[str, int] | None:
    """Return the offset of each feature, or None when the header has others or other sizes."""
    if len(sizes) == 1:
        return dict.fromkeys(sizes, 0)
    table = json.loads(header)
    spans = {name: entry["data_offsets"] for name, entry in table.items() if name != "__metadata__"}
    if {name: end - start for name, (start, end) in spans.items()} != sizes:
        return None
    return {name: start for name, (start, _) in spans.items()}


def dtype_from_name(name: str) -> np.dtype[Any]:
    """Return a dtype by its name, including those of ml_dtypes.

    Args:
        name: Such as ``"float32"`` or ``"bfloat16"``.

    Returns:
        The dtype.
    """
    try:
        return np.dtype(name)
    except TypeError:
        import ml_dtypes

        scalar_type: type = getattr(ml_dtypes, name)
        return np.dtype(scalar_type)


def _damaged(path: Path, position: int, error: Exception) -> OSError:
    return OSError(
        f"{path}: record {position} is damaged ({error}); remove the shard and run the command that wrote it again"
    )


def _array_record() -> ModuleType:
    return require("array_record.python.array_record_module", install=_EXTRA, purpose="A folder of features")


def _safetensors() -> ModuleType:
    return require("safetensors.numpy", install=_EXTRA, purpose="A folder of features")
