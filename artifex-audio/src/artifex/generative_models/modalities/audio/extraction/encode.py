"""Encode the recordings of shards: decoded ahead on threads, batched by padded length, encoded by compiled programs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from artifex.generative_models.core import registry
from artifex.generative_models.modalities.audio.base import AudioModality, AudioModalityConfig
from artifex.generative_models.modalities.audio.datasets.normalization import normalize_peak
from artifex.generative_models.modalities.audio.datasets.recordings import encoder
from artifex.generative_models.modalities.audio.extraction import padding
from artifex.generative_models.modalities.audio.extraction.features import spectral_encoder
from artifex.generative_models.modalities.audio.extraction.plan import Plan
from artifex.generative_models.modalities.audio.extraction.recordings import (
    THREADS,
    Reader,
    SourceFormat,
    Waveform,
)
from artifex.generative_models.modalities.audio.extraction.retrying import Backoff, attempt, retried
from artifex.generative_models.modalities.audio.io import AudioReadError
from artifex.generative_models.modalities.audio.shards.records import ExampleRecord, FailureRecord

if TYPE_CHECKING:
    import jax

_MAX_SAMPLES_AHEAD = 1 << 22

Example = tuple[ExampleRecord, dict[str, np.ndarray]]
"""The record of an example, and its features by name."""


def encode_shards(
    plan: Plan, numbers: list[int], read: Reader, backoff: Backoff, *, progress: Callable[[], None] | None = None
) -> Iterator[tuple[int, list[Example], list[FailureRecord]]]:
    """Encode shards one after another.

    Each recording is encoded as a whole, so the memory needed is that of the longest one plus the features of one shard.
    Recordings of the next shard are decoded while a shard is encoded.

    Args:
        plan: The plan.
        numbers: Numbers of the shards.
        read: Reads a recording.
        backoff: How often to read a recording again.
        progress: Called when a recording is done.

    Yields:
        For each shard its number, its examples, and the recordings that could not be extracted, both in the order of the
        recordings.

    Raises:
        AudioReadError: When a recording cannot be read for a temporary reason.
        OSError: When a recording has changed since it was planned.
        MemoryError: When the host or the device has not enough memory.
    """
    waveforms = _read_ahead(plan, [index for number in numbers for index in plan.shards[number]], read, backoff)
    try:
        for number in numbers:
            examples: list[Example] = []
            failures: list[FailureRecord] = []
            for result in _encode_in_batches(plan, (next(waveforms) for _ in plan.shards[number])):
                if isinstance(result, tuple):
                    examples.append(result)
                else:
                    failures.append(result)
                if progress is not None:
                    progress()
            examples.sort(key=lambda example: example[0]["index"])
            failures.sort(key=lambda failure: failure["index"])
            yield number, examples, failures
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):  # the error of JAX
            raise
        raise MemoryError(
            "not enough memory to compute the features; free memory and run the same command again, committed shards are kept"
        ) from error
    finally:
        waveforms.close()


def can_be_extracted(plan: Plan, index: int, read: Reader, backoff: Backoff) -> bool:
    """Return whether a recording that could not be extracted can be extracted now.

    Args:
        plan: The plan.
        index: Index of the recording.
        read: Reads a recording.
        backoff: How often to read it again.

    Raises:
        AudioReadError: When it cannot be read for a temporary reason.
    """
    return not _reason_of_failure(plan, retried(partial(attempt, read, index), backoff))


def example_record(
    plan: Plan, index: int, audio: np.ndarray, source_format: SourceFormat, features: Mapping[str, np.ndarray]
) -> ExampleRecord:
    """Return the record of an example.

    Args:
        plan: The plan.
        index: Index of the recording.
        audio: Its waveform, (time,).
        source_format: The format of the file.
        features: The features by name.

    Returns:
        The record.
    """
    recording, sample_rate = plan.recordings[index], plan.config.sample_rate
    record: ExampleRecord = {
        "index": index,
        "id": recording["id"],
        "source": recording["source"],
        "label": recording["label"],
        "source_sample_rate": source_format["source_sample_rate"],
        "source_channels": source_format["source_channels"],
        "source_format": source_format["source_format"],
        "sample_rate": sample_rate,
        "n_samples": len(audio),
        "duration": len(audio) / sample_rate,
        "peak_dbfs": _decibels(float(np.abs(audio).max())),
        "rms_dbfs": _decibels(float(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))),
        "shapes": {name: list(values.shape) for name, values in features.items()},
        "dtypes": {name: str(values.dtype) for name, values in features.items()},
    }
    if "start" in recording:
        record["start"] = recording["start"]
    if "end" in recording:
        record["end"] = recording["end"]
    if "split" in recording:
        record["split"] = recording["split"]
    if "annotations" in recording:
        record["annotations"] = recording["annotations"]
    return record


def _encode_in_batches(
    plan: Plan, waveforms: Iterable[tuple[int, Waveform | AudioReadError]]
) -> Iterator[Example | FailureRecord]:
    """Yield the example of each recording, or why there is none, in the order in which batches finish."""
    batches: dict[int, list[tuple[int, Waveform]]] = {}
    # Computation on the device is asynchronous: a batch is computed while the previous one is unpacked and the
    # recordings of the next one are read.
    running: Iterator[Example] = iter(())
    for index, result in waveforms:
        reason = _reason_of_failure(plan, result)
        if isinstance(result, AudioReadError) or reason:
            yield FailureRecord(index=index, source=plan.recordings[index]["source"], reason=reason)
            continue
        length = plan.padded_length(len(result[0]))
        batch = batches.setdefault(length, [])
        batch.append((index, result))
        if len(batch) == plan.batch_size_at(length):
            started = _start_batch(plan, batches.pop(length), length)
            yield from running
            running = started
    for length, batch in sorted(batches.items()):
        started = _start_batch(plan, batch, length)
        yield from running
        running = started
    yield from running


def _reason_of_failure(plan: Plan, result: Waveform | AudioReadError) -> str:
    """Return why a recording cannot be extracted; empty if it can."""
    if isinstance(result, AudioReadError):
        return result.reason
    try:
        for name in plan.features:
            _valid_slices(plan, name, len(result[0]) if plan.variable_length else plan.config.n_time_steps)
    except ValueError as error:
        return f"is too short: {error}"
    return ""


def check_features(plan: Plan) -> None:
    """Raise when features cannot be computed, such as for a missing distribution, or have different time axes.

    Args:
        plan: The plan; its recordings are not used.

    Raises:
        ValueError: When the duration is too short, or the features have different numbers of frames or samples.
        MissingDependencyError: When a distribution is not installed.
    """
    config = plan.config
    length = padding.padded_length(1, config.hop_length) if plan.variable_length else config.n_time_steps
    sizes = {name: _valid_slices(plan, name, length)[-1:] for name in plan.features}
    if len(set(map(str, sizes.values()))) > 1:
        described = ", ".join(f"{name} {size[0].stop if size else 1}" for name, size in sizes.items())
        raise ValueError(
            f"the features of one extraction must have one time axis; for {length} samples their last axes are {described}; "
            f"extract samples and frames to different folders"
        )


def _start_batch(plan: Plan, batch: list[tuple[int, Waveform]], length: int) -> Iterator[Example]:
    """Start encoding a batch and return an iterator that waits for the features."""
    audio = np.zeros((plan.batch_size_at(length), length), np.float32)
    lengths = np.full(len(audio), length, np.int32)
    for row, (_, (samples, _)) in enumerate(batch):
        audio[row, : len(samples)] = normalize_peak(samples) if plan.config.normalize else samples
        if plan.variable_length:
            lengths[row] = len(samples)
    return _unpack_batch(plan, batch, length, {name: _encode(plan, name, audio, lengths) for name in plan.features})


def _encode(plan: Plan, name: str, audio: np.ndarray, lengths: np.ndarray) -> jax.Array:
    config = plan.config
    if name not in registry("representation"):
        return spectral_encoder(name, config.analysis)(audio, lengths)
    if not plan.variable_length:
        return encoder(config.evolve(representation=name))(audio)
    encode = encoder(config.evolve(representation=name, duration=audio.shape[-1] / config.sample_rate))
    return encode(audio, lengths=lengths)


def _unpack_batch(
    plan: Plan, batch: list[tuple[int, Waveform]], length: int, features: Mapping[str, jax.Array]
) -> Iterator[Example]:
    arrays = {name: np.asarray(values) for name, values in features.items()}
    for row, (index, (samples, source_format)) in enumerate(batch):
        n_samples = len(samples) if plan.variable_length else length
        valid = {
            name: np.ascontiguousarray(values[row][_valid_slices(plan, name, n_samples)])
            for name, values in arrays.items()
        }
        yield example_record(plan, index, samples, source_format, valid), valid


def _valid_slices(plan: Plan, name: str, n_samples: int) -> tuple[Any, ...]:
    """Return the slices of padded features that belong to a waveform; raise ValueError if it is too short."""
    if name in registry("representation"):
        return tuple(map(slice, _feature_shape(plan.config.evolve(representation=name), n_samples)))
    settings = plan.config.analysis
    n_frames = int(settings.n_frames(n_samples))
    if n_frames < 1:
        raise ValueError(f"{name}: a frame needs at least {settings.min_length} samples, got {n_samples}")
    return ..., slice(n_frames)


@lru_cache(maxsize=4096)
def _feature_shape(config: AudioModalityConfig, n_samples: int) -> tuple[int, ...]:
    return AudioModality(config.evolve(duration=n_samples / config.sample_rate)).output_shape


def _decibels(level: float) -> float | None:
    return round(20.0 * float(np.log10(level)), 2) if level > 0 else None


def _read_ahead(
    plan: Plan, indices: list[int], read: Reader, backoff: Backoff
) -> Generator[tuple[int, Waveform | AudioReadError], None, None]:
    """Yield waveforms in order while the next ones are decoded: up to two batches, fewer of long recordings."""
    pool = ThreadPoolExecutor(THREADS)
    pending: list[tuple[int, Future[Waveform | AudioReadError]]] = []
    pending_samples = submitted = 0
    try:
        while pending or submitted < len(indices):
            while submitted < len(indices) and (
                len(pending) < THREADS or (len(pending) < 2 * plan.batch_size and pending_samples < _MAX_SAMPLES_AHEAD)
            ):
                index = indices[submitted]
                pending.append((index, pool.submit(attempt, read, index)))
                pending_samples += plan.recordings[index].get("n_samples", 0)
                submitted += 1
            index, waveform = pending.pop(0)
            pending_samples -= plan.recordings[index].get("n_samples", 0)
            # Recordings are read again here, not in the pool, which could not be interrupted while it waits.
            yield index, retried(partial(attempt, read, index), backoff, first=waveform.result())
    finally:
        pool.shutdown(cancel_futures=True)
