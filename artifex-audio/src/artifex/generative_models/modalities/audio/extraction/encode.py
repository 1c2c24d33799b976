"""Recordings become features: read ahead on threads, batched by length, encoded by few compiled programs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import attrs
import numpy as np

from artifex.generative_models.modalities.audio.base import AudioModality, AudioModalityConfig
from artifex.generative_models.modalities.audio.datasets.recordings import encoder
from artifex.generative_models.modalities.audio.extraction.plan import Plan
from artifex.generative_models.modalities.audio.extraction.recordings import THREADS, Reader, check_lasting
from artifex.generative_models.modalities.audio.io import AudioReadError

_AHEAD_SAMPLES = 1 << 22

Audio = tuple[np.ndarray, dict[str, Any]]
Example = tuple[dict[str, Any], np.ndarray]


@attrs.frozen(kw_only=True)
class Encoded:
    """What the recordings of a shard gave.

    Args:
        number: The shard's number.
        examples: Records and features, in the order of the recordings.
        failures: ``index``, ``source`` and ``reason`` of those that gave none.
    """

    number: int
    examples: list[Example]
    failures: list[dict[str, Any]]


def encoded(
    plan: Plan, numbers: list[int], read: Reader, *, progress: Callable[[], None] | None = None
) -> Iterator[Encoded]:
    """Encode shards, one after the other.

    A recording goes through the encoder in one piece, so the longest one decides how much memory is taken beside the
    features of one shard.

    Args:
        plan: The plan.
        numbers: Which shards.
        read: Reads a recording.
        progress: Called when a recording is done.

    Yields:
        Each shard in turn. Recordings of the next are read while one is encoded.

    Raises:
        AudioReadError: When a recording cannot be read for a reason that may pass.
        OSError: When a recording is not what it was when the extraction was planned.
    """
    coming = _read_ahead(plan, [index for number in numbers for index in plan.shards[number]], read)
    try:
        for number in numbers:
            examples: list[tuple[int, Example]] = []
            failures = []
            for index, result in _shard(plan, (next(coming) for _ in plan.shards[number])):
                if isinstance(result, str):
                    failures.append({"index": index, "source": plan.recordings[index]["source"], "reason": result})
                else:
                    examples.append((index, result))
                if progress is not None:
                    progress()
            examples.sort(key=lambda pair: pair[0])
            failures.sort(key=lambda failure: failure["index"])
            yield Encoded(number=number, examples=[example for _, example in examples], failures=failures)
    finally:
        coming.close()


def _shard(plan: Plan, recordings: Iterable[tuple[int, Audio | AudioReadError]]) -> Iterator[tuple[int, Example | str]]:
    waiting: dict[int, list[tuple[int, Audio]]] = {}
    running: Callable[[], Iterator[tuple[int, Example]]] | None = None
    for index, result in recordings:
        if isinstance(result, AudioReadError):
            yield index, result.reason
            continue
        n_samples = len(result[0])
        try:
            _valid_shape(plan.config, n_samples if plan.whole else plan.config.n_time_steps)
        except ValueError as error:
            yield index, f"is too short: {error}"
            continue
        length = plan.length_of(n_samples)
        batch = waiting.setdefault(length, [])
        batch.append((index, result))
        if len(batch) == plan.rows(length):
            # The device is at work on this batch while the one before is taken apart and the next is read.
            begun = _begin(plan, waiting.pop(length), length)
            if running is not None:
                yield from running()
            running = begun
    for length, batch in sorted(waiting.items()):
        begun = _begin(plan, batch, length)
        if running is not None:
            yield from running()
        running = begun
    if running is not None:
        yield from running()


def _begin(plan: Plan, batch: list[tuple[int, Audio]], length: int) -> Callable[[], Iterator[tuple[int, Example]]]:
    audio = np.zeros((plan.rows(length), length), np.float32)
    for row, (_, (samples, _)) in zip(audio, batch, strict=False):
        row[: len(samples)] = samples
    config = plan.config
    features = encoder(config.evolve(duration=length / config.sample_rate) if plan.whole else config)(audio)

    def finish() -> Iterator[tuple[int, Example]]:
        for (index, (samples, facts)), padded in zip(batch, np.asarray(features), strict=False):
            shape = _valid_shape(config, len(samples) if plan.whole else length)
            valid = np.ascontiguousarray(padded[tuple(slice(0, size) for size in shape)])
            yield index, (_record(plan, index, samples, facts, valid), valid)

    return finish


@lru_cache(maxsize=4096)
def _valid_shape(config: AudioModalityConfig, n_samples: int) -> tuple[int, ...]:
    return AudioModality(config.evolve(duration=n_samples / config.sample_rate)).output_shape


def _record(plan: Plan, index: int, audio: np.ndarray, facts: dict[str, Any], features: np.ndarray) -> dict[str, Any]:
    row, sample_rate = plan.recordings[index], plan.config.sample_rate
    return {
        "index": index,
        "id": row["id"],
        "source": row["source"],
        "label": row["label"],
        **facts,
        "representation": plan.config.representation_name,
        "sample_rate": sample_rate,
        "n_samples": len(audio),
        "duration": len(audio) / sample_rate,
        "peak_dbfs": _decibels(float(np.abs(audio).max())),
        "rms_dbfs": _decibels(float(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))),
        "shape": list(features.shape),
        "dtype": str(features.dtype),
    }


def _decibels(level: float) -> float | None:
    return round(20.0 * float(np.log10(level)), 2) if level > 0 else None


def _read_ahead(
    plan: Plan, indices: list[int], read: Reader
) -> Generator[tuple[int, Audio | AudioReadError], None, None]:
    """Yield what recordings hold, in order, while the next ones are read: two batches, fewer of long ones."""
    pool = ThreadPoolExecutor(THREADS)
    ahead: list[tuple[int, Future[Audio | AudioReadError]]] = []
    samples = place = 0
    try:
        while ahead or place < len(indices):
            while place < len(indices) and (
                len(ahead) < THREADS or (len(ahead) < 2 * plan.batch_size and samples < _AHEAD_SAMPLES)
            ):
                index = indices[place]
                ahead.append((index, pool.submit(_audio_of, read, index)))
                samples += plan.recordings[index]["n_samples"]
                place += 1
            index, audio = ahead.pop(0)
            samples -= plan.recordings[index]["n_samples"]
            yield index, audio.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _audio_of(read: Reader, index: int) -> Audio | AudioReadError:
    try:
        return read(index)
    except AudioReadError as error:
        check_lasting(error)
        return error
