"""What an extraction leaves on disk: shards of records with their sidecars, each file whole or not there at all."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import secrets
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from artifex.generative_models.core.extras import require

PLAN = "plan.json"
CONFIG = "config.toml"
MANIFEST = "manifest.jsonl"
FAILURES = "failures.jsonl"
REPORT = "report.html"
SHARDS = "shards"

_EXTRA = "artifex-audio[loader]"
_TENSOR = "features"
_WRITER = "group_size:1,uncompressed"
_READER = "readahead_buffer_size:0,max_parallelizm:0"
_READ_BYTES = 1 << 15
_HASH_BYTES = 1 << 20
_LEFTOVER = re.compile(r".+\.(?P<host>[\w-]+)-(?P<pid>\d+)-[0-9a-f]{8}\.tmp")
_NAMED = re.compile(r"(?P<plan>[0-9a-f]{8})-\d{5,}\.(json|arrayrecord)")
_SEAL_END = b'"\n}\n'

_own: set[str] = set()


def check_ready() -> None:
    """Raise unless what shards are written with is installed.

    Raises:
        MissingDependencyError: Without the extra ``artifex-audio[loader]``.
    """
    _array_record()
    _safetensors()


def shard_name(number: int, digest: str) -> str:
    """Return where a shard lies in the folder.

    The plan is in the name, so that a process that still follows a plan which another has replaced cannot put features
    of the one in the place of the other's.

    Args:
        number: Its number, from 0.
        digest: The checksum of its plan.

    Returns:
        A relative path.

    Example:
        >>> shard_name(3, "0123456789abcdef"), sidecar_name(3, "0123456789abcdef")
        ('shards/01234567-00003.arrayrecord', 'shards/01234567-00003.json')
    """
    return f"{names_start(digest)}{number:05d}.arrayrecord"


def sidecar_name(number: int, digest: str) -> str:
    """Return where the sidecar of a shard lies in the folder.

    Args:
        number: The shard's number, from 0.
        digest: The checksum of its plan.

    Returns:
        A relative path.
    """
    return f"{names_start(digest)}{number:05d}.json"


def names_start(digest: str) -> str:
    """Return what the relative paths of all shards of a plan begin with.

    Args:
        digest: The checksum of the plan.

    Returns:
        The beginning.
    """
    return f"{SHARDS}/{digest[:8]}-"


def plan_digest(out: Path) -> str:
    """Return the checksum at the end of the plan of a folder, without reading the plan.

    Args:
        out: The folder of an extraction.

    Returns:
        The checksum, or ``""`` where there is no plan or its end is damaged.
    """
    try:
        with (out / PLAN).open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(-min(file.tell(), 64 + len(_SEAL_END)), os.SEEK_END)
            found = re.fullmatch(rb"([0-9a-f]{64})" + re.escape(_SEAL_END), file.read())
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return found[1].decode() if found else ""


def check_plan(out: Path, digest: str) -> None:
    """Raise unless a plan is still the one that a folder follows.

    Args:
        out: The folder of an extraction.
        digest: The checksum of the plan.

    Raises:
        FileExistsError: When another has taken its place.
    """
    if plan_digest(out) != digest:
        raise FileExistsError(
            f"{out}: {PLAN} is no longer the one that this process follows; another process has begun another extraction "
            f"there (--overwrite), this one stops"
        )


def clear_others(out: Path, digest: str) -> None:
    """Remove the shards of other plans than the one that a folder follows.

    Args:
        out: The folder of an extraction.
        digest: The checksum of the plan.
    """
    for path in (out / SHARDS).iterdir():
        match = _NAMED.fullmatch(path.name)
        if match and match["plan"] != digest[:8]:
            path.unlink(missing_ok=True)


def sealed(table: dict[str, Any]) -> bytes:
    """Return a table as JSON that ends with the SHA-256 of what stands before it.

    Args:
        table: What JSON can hold; the items of a list get a line each.

    Returns:
        The text, the same for equal tables.

    Example:
        >>> table, digest = unsealed(sealed({"ids": ["a", "b"]}))
        >>> table, len(digest)
        ({'ids': ['a', 'b']}, 64)
        >>> unsealed(sealed({"ids": ["a", "b"]}).replace(b"a", b"c", 1))
        Traceback (most recent call last):
        ValueError: its content is not what its checksum says
    """
    return _closed(_body(table))


def unsealed(content: bytes) -> tuple[dict[str, Any], str]:
    """Return the table that ``sealed`` wrote, and its checksum.

    Args:
        content: The text.

    Returns:
        The table and the SHA-256.

    Raises:
        ValueError: When the text is not as it was written.
    """
    try:
        table = json.loads(content)
        digest = table.pop("sha256")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError("it is cut off or no longer JSON") from error
    # Compared as text, since a changed byte may leave the table that it is read as the same.
    if _closed(_body(table)) != content:
        raise ValueError("its content is not what its checksum says")
    return table, digest


def pack(record: dict[str, Any], features: np.ndarray) -> bytes:
    """Return an example as bytes that say what they are: safetensors, its metadata the record as JSON.

    Args:
        record: What the manifest says of it.
        features: Its features.

    Returns:
        The same bytes for the same example.

    Raises:
        ValueError: For features of a dtype that safetensors does not hold.

    Example:
        >>> record, features = unpack(pack({"id": "a", "dtype": "float32"}, np.ones((2, 3), np.float32)))
        >>> record["id"], features.shape
        ('a', (2, 3))

    Reference:
        The safetensors format, https://github.com/huggingface/safetensors.
    """
    try:
        # One entry: the order of several is not the same in two processes.
        packed: bytes = _safetensors().save({_TENSOR: np.ascontiguousarray(features)}, {"record": json.dumps(record)})
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"features of dtype {features.dtype} cannot be stored: safetensors does not hold it"
        ) from error
    return packed


def unpack(content: bytes) -> tuple[dict[str, Any], np.ndarray]:
    """Return the record and the features of an example that ``pack`` made.

    Args:
        content: The bytes.

    Returns:
        The record, and features of its own memory.
    """
    # Read by hand: the library's own reader gives the tensors without the metadata.
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    record: dict[str, Any] = json.loads(header["__metadata__"]["record"])
    tensor = header[_TENSOR]
    first, last = tensor["data_offsets"]
    values = np.frombuffer(content, np.uint8, count=last - first, offset=start + first)
    return record, values.view(dtype_of(record["dtype"])).reshape(tensor["shape"]).copy()


def open_shard(path: Path) -> Any:
    """Open a shard for reads in any order, from any thread.

    Args:
        path: The file.

    Returns:
        An ArrayRecord reader; its ``read([position, …])`` returns the bytes of records.

    Raises:
        FileNotFoundError: When there is no such file, which ArrayRecord itself takes for an empty one.
        MissingDependencyError: Without the extra ``artifex-audio[loader]``.
    """
    check_there(path)
    return _array_record().ArrayRecordReader(str(path), options=_READER, file_reader_buffer_size=_READ_BYTES)


class Readers:
    """Open shards, the latest few hundred of them, since each holds a file open; for any number of threads.

    Args:
        most: How many are open at once.
    """

    def __init__(self, most: int = 400) -> None:
        self._most = most
        self._open: dict[Path, Any] = {}
        self._lock = threading.Lock()

    def __call__(self, path: Path) -> Any:
        """Return the reader of a shard; see ``open_shard``."""
        reader = self._open.get(path)
        if reader is not None:
            return reader
        with self._lock:
            if path not in self._open:
                opened = open_shard(path)
                if len(self._open) >= self._most:  # it closes when no thread reads with it any more
                    del self._open[next(iter(self._open))]
                self._open[path] = opened
            return self._open[path]


def check_there(path: Path) -> None:
    """Raise unless a shard is there.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: When there is no such file; the message says what to do.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: this shard is missing; the command that wrote the features writes it again, or the features have "
            f"to be copied again"
        )


def read_record(reader: Any, path: Path, place: int) -> tuple[dict[str, Any], np.ndarray]:
    """Read an example from a shard.

    Args:
        reader: What ``open_shard`` returned.
        path: The shard, for the message.
        place: Which record, from 0.

    Returns:
        Its record and its features.

    Raises:
        OSError: When it is damaged; every record is read against its checksum.
    """
    try:
        return unpack(reader.read([int(place)])[0])
    except (RuntimeError, ValueError, KeyError, IndexError) as error:
        raise _damaged(path, place, error) from error


def read_known(
    reader: Any, path: Path, place: int, *, index: int, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> np.ndarray:
    """Read the features of an example whose shape is known from the manifest: ``read_record`` without its JSON.

    Args:
        reader: What ``open_shard`` returned.
        path: The shard, for the message.
        place: Which record, from 0.
        index: The recording that it is of.
        shape: The shape of its features.
        dtype: Their dtype.

    Returns:
        Features of their own memory.

    Raises:
        OSError: When it is damaged, or another record than the manifest says.
    """
    try:
        content = reader.read([place])[0]
    except RuntimeError as error:
        raise _damaged(path, place, error) from error
    start = 8 + int.from_bytes(content[:8], "little")
    size = math.prod(shape) * dtype.itemsize
    if len(content) != start + size or content.find(b'{\\"index\\": %d,' % index, 8, start) < 0:
        raise OSError(f"{path} has been replaced since its manifest was read; open it anew")
    return np.frombuffer(content, dtype, offset=start).reshape(shape).copy()


def write_shard(
    out: Path,
    number: int,
    digest: str,
    examples: Sequence[tuple[dict[str, Any], np.ndarray]],
    failures: Sequence[dict[str, Any]],
) -> None:
    """Write a shard and commit it with its sidecar.

    Args:
        out: The folder of the extraction.
        number: The shard's number.
        digest: The checksum of the plan that it belongs to.
        examples: Records and features, in their order.
        failures: What the manifest of failures says of the recordings that gave none.

    Raises:
        FileExistsError: When the folder follows another plan by now.
    """
    try:
        _write_shard(out, number, digest, examples, failures)
    except (OSError, RuntimeError):
        # Another process had written this shard, and who finished the extraction cleared away what was unfinished.
        check_plan(out, digest)
        if committed(out, number, digest) is None:
            raise


def _write_shard(
    out: Path,
    number: int,
    digest: str,
    examples: Sequence[tuple[dict[str, Any], np.ndarray]],
    failures: Sequence[dict[str, Any]],
) -> None:
    path = out / shard_name(number, digest)
    with _temporary(path) as partial:
        writer = _array_record().ArrayRecordWriter(str(partial), _WRITER)
        for record, features in examples:
            writer.write(pack(record, features))
        writer.close()
        size, content_digest = partial.stat().st_size, file_digest(partial)
        _sync(partial)
        check_plan(out, digest)
        _take_place(partial, path)
    sidecar = {
        "plan": digest,
        "shard": number,
        "bytes": size,
        "sha256_of_shard": content_digest,
        "records": [record for record, _ in examples],
        "failures": list(failures),
    }
    check_plan(out, digest)
    write(out / sidecar_name(number, digest), sealed(sidecar))


def committed(out: Path, number: int, digest: str) -> dict[str, Any] | None:
    """Return the sidecar of a shard that is done.

    Args:
        out: The folder of the extraction.
        number: The shard's number.
        digest: The checksum of the plan that it has to belong to.

    Returns:
        The sidecar, or None when the shard has to be written: it has no sidecar, a damaged one or one of another plan,
        or the file is not there or not of the size that it was.
    """
    try:
        sidecar, _ = unsealed((out / sidecar_name(number, digest)).read_bytes())
        whole = (out / shard_name(number, digest)).stat().st_size == sidecar["bytes"]
    except (OSError, ValueError):
        return None
    return sidecar if whole and sidecar["plan"] == digest else None


def write(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, whatever stops the process.

    Args:
        path: The file; one that is there is replaced.
        content: What it is to hold.
    """
    with _temporary(path) as partial:
        _write_synced(partial, content)
        _take_place(partial, path)


def create_once(path: Path, content: bytes) -> bool:
    """Write a file unless it is there; of several processes that try at once, one succeeds.

    Args:
        path: The file.
        content: What it is to hold.

    Returns:
        Whether this call wrote it.
    """
    with _temporary(path) as partial:
        _write_synced(partial, content)
        try:
            os.link(partial, path)
        except FileExistsError:
            return False
        except OSError:
            # No hard links here. Those who start at once with one command write the same bytes.
            if path.exists():
                return False
            partial.replace(path)
        _sync_folder(path.parent)
    return True


def ensure(path: Path, content: bytes) -> bool:
    """Write a file unless it already holds just that.

    Args:
        path: The file.
        content: What it is to hold.

    Returns:
        Whether it was written.
    """
    if path.is_file() and path.read_bytes() == content:
        return False
    write(path, content)
    return True


def leftovers(folder: Path) -> list[Path]:
    """Return the unfinished files that writers left in a folder, or are at work on.

    Args:
        folder: The folder.

    Returns:
        Files whose names writers give to what is not finished.
    """
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if _LEFTOVER.fullmatch(entry.name))


def sweep(folder: Path, *, elsewhere: bool = False) -> None:
    """Remove what writers of this host that are no longer alive left unfinished in a folder.

    Args:
        folder: The folder.
        elsewhere: Whether to remove what writers of other hosts left, too. Whether they are alive cannot be told from
            here, so it is for when all shards are committed: a writer whose file goes away then has lost nothing.
    """
    for path in leftovers(folder):
        match = _LEFTOVER.fullmatch(path.name)
        if match is None or path.name in _own:
            continue
        if elsewhere if match["host"] != _host() else not _alive(int(match["pid"])):
            path.unlink(missing_ok=True)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file.

    Args:
        path: The file.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_HASH_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _damaged(path: Path, place: int, error: Exception) -> OSError:
    return OSError(
        f"{path}: record {place} is damaged ({error}); remove the shard and give the command that wrote it again"
    )


def _array_record() -> ModuleType:
    return require("array_record.python.array_record_module", install=_EXTRA, purpose="A folder of features")


def _safetensors() -> ModuleType:
    return require("safetensors.numpy", install=_EXTRA, purpose="A folder of features")


def _body(table: dict[str, Any]) -> str:
    return ",\n".join(f"{json.dumps(key)}: {_value(value)}" for key, value in table.items())


def _value(value: Any) -> str:
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(json.dumps(item, allow_nan=False) for item in value) + "\n]"
    return json.dumps(value, allow_nan=False)


def _closed(body: str) -> bytes:
    return f'{{\n{body},\n"sha256": "{hashlib.sha256(body.encode()).hexdigest()}"\n}}\n'.encode()


def dtype_of(name: str) -> np.dtype[Any]:
    """Return a dtype by its name, those of machine learning included.

    Args:
        name: Such as ``"float32"`` or ``"bfloat16"``.

    Returns:
        The dtype.
    """
    try:
        return np.dtype(name)
    except TypeError:
        import ml_dtypes

        kind: type = getattr(ml_dtypes, name)
        return np.dtype(kind)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    partial = path.with_name(f"{path.name}.{_host()}-{os.getpid()}-{secrets.token_hex(4)}.tmp")
    _own.add(partial.name)
    try:
        yield partial
    finally:
        partial.unlink(missing_ok=True)
        _own.discard(partial.name)


def _take_place(partial: Path, path: Path) -> None:
    partial.replace(path)
    _sync_folder(path.parent)


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _host() -> str:
    """Name where process ids mean the same: containers may share a host's name, and each count from 1."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:  # there are none on this system
        namespace = ""
    return re.sub(r"[^\w-]+", "_", f"{socket.gethostname()}{namespace and '_'}{namespace}".rstrip("]")) or "host"


def _alive(pid: int) -> bool:
    if pid == os.getpid():
        return False
    if os.name == "nt":  # signal 0 ends a process there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
