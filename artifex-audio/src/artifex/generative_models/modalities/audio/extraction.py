"""The main job: recordings become features in a folder, with a manifest and a report, whole or not at all."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache, partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs
import numpy as np

from artifex.generative_models.core.checks import check_flag, check_integer
from artifex.generative_models.modalities.audio import report as reporting
from artifex.generative_models.modalities.audio.base import (
    AudioModality,
    AudioModalityConfig,
    AudioRepresentation,
)
from artifex.generative_models.modalities.audio.datasets.files import encoder
from artifex.generative_models.modalities.audio.io import (
    AudioInfo,
    AudioReadError,
    decode,
    find_audio_in,
    probe,
)

MANIFEST = "manifest.jsonl"
FAILURES = "failures.jsonl"
CONFIG = "config.toml"
REPORT = "report.html"

# soundfile and soxr release the GIL: two threads keep the device fed, more take the cores it computes on.
_THREADS = 2
_AHEAD = 4
_SMALLEST_BUCKET = 16_384
_NAME_BYTES = 150
_BATCH_SAMPLES = 1 << 22


@attrs.frozen(kw_only=True)
class Recording:
    """Something to extract features from, and how to read it.

    Args:
        index: Its place among all that were asked for.
        id: Its name, unique among them.
        source: The file, or what made it.
        label: The folder it lies in beneath the one that was given, or the kind of sound; None where there is
            none.
        n_samples: Its length at the configuration's rate, as far as its header says.
        facts: What else the manifest records of it.
        read: Returns the waveform, float32 (time,).
    """

    index: int
    id: str
    source: str
    label: str | None
    n_samples: int
    facts: dict[str, Any]
    read: Callable[[], np.ndarray]


@attrs.frozen(kw_only=True)
class Failure:
    """A recording that could not be extracted.

    Args:
        index: Its place among all that were asked for.
        source: The file.
        reason: Why, and what to do.
    """

    index: int
    source: str
    reason: str


@attrs.frozen(kw_only=True)
class Extraction:
    """What an extraction gave.

    Args:
        out: The folder, or None when no recording could be read and nothing was written.
        records: The manifest: a dict for each example.
        failures: The recordings that could not be extracted.
    """

    out: Path | None
    records: list[dict[str, Any]]
    failures: list[Failure]


def extract(
    paths: Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    config: AudioModalityConfig | None = None,
    whole: bool = True,
    n_synthetic: int = 30,
    batch_size: int = 32,
    overwrite: bool = False,
    report: bool = True,
    n_examples: int = 6,
    progress: Callable[[int, int], None] | None = None,
) -> Extraction:
    """Extract the features of recordings to a folder.

    The folder holds ``features/*.npy``, ``manifest.jsonl`` (a line for each example: id, source, label, rate,
    length, shape, dtype, file, levels), ``failures.jsonl``, ``config.toml``, which gives the same features
    again, and ``report.html``. It appears whole at the end, or not at all. ``read_features`` reads it back.

    A recording keeps its own length: it is padded to one of a few lengths, so that few programs are compiled,
    and the frames of the padding are cut off again. A representation whose frames are not centred on their
    samples with zeros around the recording gives other values in the last frames than it gives for the
    unpadded recording.

    Args:
        paths: Files, and folders with everything beneath them; none means the synthetic dataset.
        out: The folder to make.
        config: What the audio is like and what it is turned into; None means mel spectrograms with the
            defaults.
        whole: Whether each recording keeps its own length; otherwise its first ``config.duration`` seconds
            are kept, with zeros after a shorter one.
        n_synthetic: How many synthetic sounds are made when there are no paths.
        batch_size: The most recordings that are encoded at once; fewer when they are long.
        overwrite: Whether an earlier extraction at ``out`` gives way.
        report: Whether ``report.html`` is written; takes the extra ``artifex-audio[plot]``.
        n_examples: How many examples the report shows.
        progress: Called with the number of recordings done and of all.

    Returns:
        What was extracted and what could not be. Where nothing could be, nothing is written.

    Raises:
        FileExistsError: When ``out`` is there and not empty and ``overwrite`` is not given, or it is no
            extraction.
        FileNotFoundError: For a path that is not there.
        ValueError: For a folder without audio, or an option out of range.
        MissingDependencyError: For something that is needed and not installed, before anything is read.

    Example:
        >>> import tempfile
        >>> out = Path(tempfile.mkdtemp()) / "features"
        >>> config = AudioModalityConfig(representation="raw_waveform", duration=0.5)
        >>> result = extract([], out, config=config, n_synthetic=3, report=False)
        >>> [(record["id"], record["shape"]) for record in result.records]
        [('sine-0', [8000]), ('noise-1', [8000]), ('chirp-2', [8000])]
    """
    if config is None:
        config = AudioModalityConfig(representation=AudioRepresentation.MEL_SPECTROGRAM)
    for name, flag in (("whole", whole), ("overwrite", overwrite), ("report", report)):
        check_flag(name, flag)
    check_integer("batch_size", batch_size, minimum=1)
    check_integer("n_examples", n_examples, minimum=0)
    if report:
        reporting.check_ready()
    AudioModality(config.evolve(duration=bucket_length(1, config.hop_length) / config.sample_rate) if whole else config)
    given = [Path(path) for path in paths]
    folder = FeatureFolder(out, overwrite=overwrite, sources=given)
    if given:
        recordings, failures = from_files(given, config, whole=whole)
    else:
        recordings, failures = synthetic(config, n_synthetic), []
    origin = {"paths": [str(path) for path in given]} if given else {"synthetic": n_synthetic}

    with folder:
        n_all = len(recordings) + len(failures)
        if progress is not None:
            progress(len(failures), n_all)
        for result in _encoded(recordings, config, whole=whole, batch_size=batch_size):
            if isinstance(result, Failure):
                failures.append(result)
            else:
                folder.add(*result)
            if progress is not None:
                progress(len(folder.records) + len(failures), n_all)
        failures.sort(key=lambda failure: failure.index)
        records = folder.sorted_records()
        if not records:
            return Extraction(out=None, records=[], failures=failures)
        folder.write_tables(failures)
        folder.write(CONFIG, _config_text(config, whole=whole, origin=origin))
        if report:
            shown = _spread(records, n_examples)
            by_index = {recording.index: recording for recording in recordings}
            pictures = [
                reporting.example(record, folder.load(record), by_index[record["index"]].read(), config)
                for record in shown
            ]
            folder.write(
                REPORT,
                reporting.render(records, [attrs.asdict(f) for f in failures], config, pictures, whole=whole),
            )
        folder.commit()
    return Extraction(out=folder.out, records=records, failures=failures)


def read_features(folder: str | os.PathLike[str]) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Read back what ``artifex extract`` wrote.

    Args:
        folder: The folder that was given as ``--out``.

    Yields:
        For each example its record in the manifest and its features.

    Raises:
        FileNotFoundError: When the folder holds no extraction.

    Example:
        >>> import tempfile
        >>> out = Path(tempfile.mkdtemp()) / "features"
        >>> config = AudioModalityConfig(representation="raw_waveform", duration=0.5)
        >>> _ = extract([], out, config=config, n_synthetic=2, report=False)
        >>> [(record["label"], features.shape) for record, features in read_features(out)]
        [('sine', (8000,)), ('noise', (8000,))]
    """
    manifest = Path(folder) / MANIFEST
    if not manifest.is_file():
        raise FileNotFoundError(f"{folder}: no extraction here, there is no {MANIFEST}")
    with manifest.open(encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            yield record, np.load(Path(folder) / record["file"], allow_pickle=False)


def from_files(paths: list[Path], config: AudioModalityConfig, *, whole: bool) -> tuple[list[Recording], list[Failure]]:
    """Find recordings and read their headers.

    Args:
        paths: Files and folders.
        config: What the audio is like.
        whole: Whether a recording keeps its own length.

    Returns:
        Those whose header can be read, and those whose cannot.

    Raises:
        FileNotFoundError: For a path that is not there.
        ValueError: For a folder without audio.
    """
    found = find_audio_in(paths)
    names = _unique([file.relative_to(root).as_posix() for file, root in found])
    recordings: list[Recording] = []
    failures: list[Failure] = []
    limit = None if whole else config.n_time_steps
    with ThreadPoolExecutor(_THREADS) as pool:
        headers = pool.map(_probed, (file for file, _ in found))
        for index, ((file, root), name, info) in enumerate(zip(found, names, headers, strict=True)):
            if isinstance(info, AudioReadError):
                failures.append(Failure(index=index, source=str(file), reason=info.reason))
                continue
            beneath = file.relative_to(root).parent.name
            n_samples = -(-info.n_frames * config.sample_rate // info.sample_rate)
            recordings.append(
                Recording(
                    index=index,
                    id=name,
                    source=str(file),
                    label=beneath or None,
                    n_samples=n_samples if limit is None else min(limit, n_samples),
                    facts={
                        "source_sample_rate": info.sample_rate,
                        "source_channels": info.n_channels,
                        "source_format": f"{info.format} {info.subtype}",
                    },
                    read=partial(_read, file, config.sample_rate, limit),
                )
            )
    return recordings, failures


def synthetic(config: AudioModalityConfig, n_samples: int) -> list[Recording]:
    """Return the sounds of the synthetic dataset as recordings.

    Args:
        config: What the audio is like.
        n_samples: How many.

    Returns:
        The recordings: sine, noise and chirp in turn.
    """
    from artifex.generative_models.modalities.audio.datasets.synthetic import SyntheticAudioDataset

    plain = config.evolve(representation=AudioRepresentation.RAW_WAVEFORM, normalize=False)
    dataset = SyntheticAudioDataset(plain, n_samples=n_samples, audio_types=("sine", "noise", "chirp"))
    kinds = dataset.audio_types
    return [
        Recording(
            index=index,
            id=f"{kinds[index % len(kinds)]}-{index:0{len(str(n_samples - 1))}d}",
            source=f"synthetic {kinds[index % len(kinds)]}",
            label=kinds[index % len(kinds)],
            n_samples=config.n_time_steps,
            facts={
                "source_sample_rate": config.sample_rate,
                "source_channels": 1,
                "source_format": "synthetic",
            },
            read=partial(_rendered, dataset, index),
        )
        for index in range(n_samples)
    ]


class FeatureFolder:
    """A folder of features that appears whole or not at all.

    Everything is written to a folder beside it, which takes its name at ``commit`` and is removed if that
    never comes.

    Args:
        out: The folder to make.
        overwrite: Whether an earlier extraction gives way.
        sources: What the features are made of; it must not lie in a folder that gives way.

    Raises:
        FileExistsError: When the folder is there and not empty and ``overwrite`` is not given, or it is no
            extraction.
        ValueError: When a source lies in the folder that would give way.
    """

    def __init__(self, out: str | os.PathLike[str], *, overwrite: bool, sources: Iterable[Path] = ()) -> None:
        self.out = Path(out).resolve()
        self.records: list[dict[str, Any]] = []
        if self.out.exists() and not self.out.is_dir():
            raise FileExistsError(f"{out} is a file; name a folder to write to")
        if os.path.ismount(self.out):
            raise ValueError(f"{out} is a mount point, which cannot be replaced as a whole; name a folder in it")
        if self.out.exists() and any(self.out.iterdir()):
            if not overwrite:
                raise FileExistsError(f"{out} is not empty; name another folder, or pass --overwrite to replace it")
            if not (self.out / MANIFEST).is_file():
                raise FileExistsError(
                    f"{out} holds no earlier extraction (no {MANIFEST}) and is not overwritten; name another folder"
                )
            for source in sources:
                if source.resolve().is_relative_to(self.out):
                    raise ValueError(f"{source} lies in {out}, which would be overwritten; name another folder")
        self._partial = self.out.with_name(f".{self.out.name}.partial-{os.getpid()}-{secrets.token_hex(4)}")
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        """Make the folder beside it."""
        try:
            for parent in reversed(self.out.parents):
                if not parent.exists():
                    parent.mkdir()
                    self._made.append(parent)
            (self._partial / "features").mkdir(parents=True)
        except OSError as error:
            self.__exit__(None, None, None)
            raise type(error)(
                f"{self.out} cannot be made: {error.strerror}; the folder that it lies in, {self.out.parent}, has to be "
                f"one that can be written to"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what was not committed."""
        if self._partial.exists():
            shutil.rmtree(self._partial, ignore_errors=True)
            for parent in reversed(self._made):
                if not any(parent.iterdir()):
                    parent.rmdir()

    def add(self, record: dict[str, Any], features: np.ndarray) -> None:
        """Write one example.

        Args:
            record: Its line in the manifest; ``shape``, ``dtype`` and ``file`` are added to it.
            features: Its features.
        """
        name = f"features/{record['id']}.npy"
        with (self._partial / name).open("wb") as file:
            np.save(file, features, allow_pickle=False)
            _flush(file)
        self.records.append({**record, "shape": list(features.shape), "dtype": str(features.dtype), "file": name})

    def load(self, record: dict[str, Any]) -> np.ndarray:
        """Return the features of a record that was added."""
        features: np.ndarray = np.load(self._partial / record["file"], allow_pickle=False)
        return features

    def sorted_records(self) -> list[dict[str, Any]]:
        """Return the records in the order of the recordings."""
        return sorted(self.records, key=lambda record: record["index"])

    def write_tables(self, failures: list[Failure]) -> None:
        """Write the manifest and the failures, a JSON object on each line."""
        self.write(MANIFEST, _lines(self.sorted_records()))
        self.write(FAILURES, _lines([attrs.asdict(failure) for failure in failures]))

    def write(self, name: str, text: str) -> None:
        """Write a text file beside the features."""
        with (self._partial / name).open("w", encoding="utf-8", errors="replace", newline="\n") as file:
            file.write(text)
            _flush(file)

    def commit(self) -> None:
        """Give the folder its name; an earlier one goes away only when this one has taken its place."""
        _sync_folder(self._partial / "features")
        _sync_folder(self._partial)
        earlier: Path | None = None
        if self.out.exists():
            earlier = self._partial.with_name(self._partial.name.replace(".partial-", ".replaced-"))
            self.out.rename(earlier)
        try:
            self._partial.rename(self.out)
        except BaseException:
            if earlier is not None:
                earlier.rename(self.out)
            raise
        _sync_folder(self.out.parent)
        if earlier is not None:
            shutil.rmtree(earlier, ignore_errors=True)


def bucket_length(n_samples: int, hop_length: int) -> int:
    """Return the length that a recording is padded to: a power of two or one and a half of it, in whole hops.

    Args:
        n_samples: The recording's length.
        hop_length: Samples from one frame to the next.

    Returns:
        The length, less than one and a half of the recording's and a hop for any that is not short.

    Example:
        >>> [bucket_length(n, 256) for n in (1, 16_384, 16_385, 25_000, 100_000)]
        [16384, 16384, 24576, 32768, 131072]
    """
    size, step = _SMALLEST_BUCKET, 0
    while size < n_samples:
        size = size * 3 // 2 if step % 2 == 0 else size * 4 // 3
        step += 1
    return -(-size // hop_length) * hop_length


def _encoded(
    recordings: list[Recording], config: AudioModalityConfig, *, whole: bool, batch_size: int
) -> Iterator[tuple[dict[str, Any], np.ndarray] | Failure]:
    """Yield the record and the features of every recording, or why there are none, as batches are done."""

    def length_of(n_samples: int) -> int:
        return bucket_length(n_samples, config.hop_length) if whole else config.n_time_steps

    # No more rows than there are recordings of a length: one long file is not computed batch_size times.
    expected = Counter(length_of(recording.n_samples) for recording in recordings)
    waiting: dict[int, list[tuple[Recording, np.ndarray]]] = {}

    def rows(length: int) -> int:
        return max(1, min(batch_size, expected[length], _BATCH_SAMPLES // length))

    for recording, audio in _read_ahead(recordings):
        if isinstance(audio, AudioReadError):
            yield Failure(index=recording.index, source=recording.source, reason=audio.reason)
            continue
        try:
            _valid_shape(config, len(audio) if whole else config.n_time_steps)
        except ValueError as error:
            yield Failure(index=recording.index, source=recording.source, reason=f"is too short: {error}")
            continue
        length = length_of(len(audio))
        batch = waiting.setdefault(length, [])
        batch.append((recording, audio))
        if len(batch) == rows(length):
            yield from _encode(batch, length, rows(length), config, whole=whole)
            batch.clear()
    for length, batch in sorted(waiting.items()):
        if batch:
            yield from _encode(batch, length, rows(length), config, whole=whole)


def _encode(
    batch: list[tuple[Recording, np.ndarray]],
    length: int,
    rows: int,
    config: AudioModalityConfig,
    *,
    whole: bool,
) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    audio = np.zeros((rows, length), np.float32)
    for row, (_, samples) in zip(audio, batch, strict=False):
        row[: len(samples)] = samples
    encode = encoder(config.evolve(duration=length / config.sample_rate) if whole else config)
    encoded = np.asarray(encode(audio))
    for (recording, samples), features in zip(batch, encoded, strict=False):
        shape = _valid_shape(config, len(samples) if whole else length)
        valid = np.ascontiguousarray(features[tuple(slice(0, size) for size in shape)])
        yield _record(recording, samples, config), valid


@lru_cache(maxsize=4096)
def _valid_shape(config: AudioModalityConfig, n_samples: int) -> tuple[int, ...]:
    return AudioModality(config.evolve(duration=n_samples / config.sample_rate)).output_shape


def _record(recording: Recording, audio: np.ndarray, config: AudioModalityConfig) -> dict[str, Any]:
    peak = float(np.abs(audio).max())
    rms = float(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))
    return {
        "index": recording.index,
        "id": recording.id,
        "source": recording.source,
        "label": recording.label,
        **recording.facts,
        "representation": config.representation_name,
        "sample_rate": config.sample_rate,
        "n_samples": len(audio),
        "duration": len(audio) / config.sample_rate,
        "peak_dbfs": _decibels(peak),
        "rms_dbfs": _decibels(rms),
    }


def _decibels(level: float) -> float | None:
    return round(20.0 * float(np.log10(level)), 2) if level > 0 else None


def _read_ahead(recordings: list[Recording]) -> Iterator[tuple[Recording, np.ndarray | AudioReadError]]:
    pool = ThreadPoolExecutor(_THREADS)
    try:
        coming = iter(recordings)
        ahead: list[tuple[Recording, Future[np.ndarray | AudioReadError]]] = [
            (recording, pool.submit(_audio_of, recording)) for recording in islice(coming, _AHEAD)
        ]
        while ahead:
            recording, audio = ahead.pop(0)
            result = audio.result()
            ahead += [(following, pool.submit(_audio_of, following)) for following in islice(coming, 1)]
            yield recording, result
    finally:
        pool.shutdown(cancel_futures=True)


def _audio_of(recording: Recording) -> np.ndarray | AudioReadError:
    try:
        return recording.read()
    except AudioReadError as error:
        return error


def _probed(file: Path) -> AudioInfo | AudioReadError:
    try:
        return probe(file)
    except AudioReadError as error:
        return error


def _read(file: Path, sample_rate: int, limit: int | None) -> np.ndarray:
    def span(info: AudioInfo) -> tuple[int, int]:
        wanted = info.n_frames if limit is None else -(-limit * info.sample_rate // sample_rate)
        return 0, min(info.n_frames, wanted)

    audio, _ = decode(file, span, sample_rate=sample_rate)
    return audio if limit is None else audio[:limit]


def _rendered(dataset: Any, index: int) -> np.ndarray:
    return np.asarray(dataset[index]["audio"], np.float32)


def _unique(names: list[str]) -> list[str]:
    """Turn relative paths into names for files: one folder deep, safe everywhere, each different."""
    taken: set[str] = set()
    unique: list[str] = []
    for name in names:
        plain = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", name).replace("/", "__")).lstrip(".")
        plain = plain.encode()[-_NAME_BYTES:].decode(errors="ignore") or "recording"
        candidate, number = plain, 2
        while candidate.casefold() in taken:
            candidate, number = f"{plain}-{number}", number + 1
        taken.add(candidate.casefold())
        unique.append(candidate)
    return unique


def _spread(records: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    count = min(count, len(records))
    return [records[(2 * place + 1) * len(records) // (2 * count)] for place in range(count)]


def _config_text(config: AudioModalityConfig, *, whole: bool, origin: dict[str, Any]) -> str:
    import tomli_w

    audio = {key: value for key, value in config.to_dict().items() if not (whole and key == "duration")}
    if whole and "synthetic" in origin:
        audio["duration"] = config.duration
    table = tomli_w.dumps({"audio": audio, "source": origin, "software": {"artifex-audio": version("artifex-audio")}})
    return f"# The same features again: artifex extract [AUDIO]... --config {CONFIG}\n{table}"


def _lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)


def _flush(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
