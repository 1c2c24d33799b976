"""Reading recordings, or spans of them: decoding, mixing to mono and resampling."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator

import numpy as np

from artifex.generative_models.core.checks import check_flag, check_integer, check_number
from artifex.generative_models.core.extras import require
from artifex.generative_models.modalities.audio.io.faults import system_errors
from artifex.generative_models.modalities.audio.io.integrity import check_samples
from artifex.generative_models.modalities.audio.io.readers import open_recording
from artifex.generative_models.modalities.audio.io.sources import (
    MAX_SAMPLE_RATE,
    AudioInfo,
    AudioReadError,
    AudioSource,
    source_name,
)

_FILTER_REACH = 160  # half the length of soxr HQ's filter in samples at the lower rate, rounded up
_MAX_RATIO = 256
_MAX_SCRATCH = 1 << 20


def probe(source: AudioSource, *, name: str | None = None) -> AudioInfo:
    """Read the header of a recording and measure its length.

    Args:
        source: The path of a file, the bytes of a file, or ``Samples``.
        name: Name of a recording in memory in error messages.

    Returns:
        The header.

    Raises:
        AudioReadError: When the file does not exist, is empty, truncated or not audio, or its header is implausible.
        MissingDependencyError: Without the extra ``artifex-audio[files]``.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from artifex.generative_models.modalities.audio.io import write_audio
        >>> path = Path(tempfile.mkdtemp()) / "silence.wav"
        >>> write_audio(path, np.zeros(8000), 16000)
        >>> info = probe(path)
        >>> info.sample_rate, info.n_samples, info.duration, info.subtype
        (16000, 8000, 0.5, 'PCM_16')
    """
    with open_recording(source, name) as recording:
        return recording.info


def read_audio(
    path: str | os.PathLike[str],
    *,
    sample_rate: int | None = None,
    mono: bool = True,
    offset: float = 0.0,
    duration: float | None = None,
) -> tuple[np.ndarray, int]:
    """Read an audio file, or a span of it. Only the span is decoded.

    Args:
        path: A file: wav, flac, ogg, opus, mp3, aiff or another format of an installed reader.
        sample_rate: Target sample rate in Hz (soxr, quality HQ); by default the file's.
        mono: Whether to average the channels.
        offset: Start of the span in seconds.
        duration: Duration of the span in seconds, limited to the end of the file; by default to the end of the file.

    Returns:
        The samples as float32, full scale [-1, 1], shape (time,), or (channels, time) with ``mono=False``; and their
        sample rate in Hz. Resampling n samples from the file's ``rate`` gives ``ceil(n * sample_rate / rate)``.

    Raises:
        AudioReadError: When the file does not exist, is empty, truncated, damaged or not audio, contains values that are
            not finite or far beyond full scale (8 in lossy formats, 100 in floating-point files, or the value of the
            environment variable ``ARTIFEX_MAX_PEAK``), or ends before ``offset``.
        MissingDependencyError: Without the extra ``artifex-audio[files]``.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from artifex.generative_models.modalities.audio.io import write_audio
        >>> path = Path(tempfile.mkdtemp()) / "step.wav"
        >>> write_audio(path, np.repeat([0.0, 0.5], 8000), 16000)
        >>> audio, rate = read_audio(path, offset=0.5, duration=0.25)
        >>> audio.shape, rate, float(audio.min())
        ((4000,), 16000, 0.5)

    Reference:
        The SoX Resampler library, quality HQ, https://sourceforge.net/projects/soxr/.
    """
    check_flag("mono", mono)
    if sample_rate is not None:
        check_integer("sample_rate", sample_rate, minimum=1, maximum=MAX_SAMPLE_RATE, unit="Hz")
    check_number("offset", offset, minimum=0, unit="seconds")
    if duration is not None:
        check_number("duration", duration, above=0, unit="seconds")

    def span(info: AudioInfo) -> tuple[int, int]:
        start = round(offset * info.sample_rate)
        if start >= info.n_samples:
            raise AudioReadError(path, f"offset must be below the duration of {info.duration:g} s, got {offset} s")
        remaining = info.n_samples - start
        return start, remaining if duration is None else min(remaining, max(1, round(duration * info.sample_rate)))

    audio, info = decode(path, span, sample_rate=sample_rate, mono=mono)
    return audio, info.sample_rate if sample_rate is None else sample_rate


def decode(
    source: AudioSource,
    span: Callable[[AudioInfo], tuple[int, int]],
    *,
    sample_rate: int | None = None,
    mono: bool = True,
    name: str | None = None,
) -> tuple[np.ndarray, AudioInfo]:
    """Decode a span of a recording; the span is computed from the header.

    Args:
        source: The path of a file, the bytes of a file, or ``Samples``.
        span: A function from the header to the first sample and the number of samples, at the file's rate.
        sample_rate: Target sample rate in Hz; by default the file's.
        mono: Whether to average the channels.
        name: Name of a recording in memory in error messages.

    Returns:
        The samples, as ``read_audio`` returns them, and the header.

    Raises:
        AudioReadError: As for ``read_audio``.

    Example:
        >>> from artifex.generative_models.modalities.audio.io import Samples
        >>> audio, info = decode(Samples(np.zeros(8000), 16000), lambda info: (info.n_samples - 100, 100))
        >>> audio.shape, info.n_samples
        ((100,), 8000)
    """
    with system_errors(source_name(source, name)):
        return _decode(source, span, sample_rate=sample_rate, mono=mono, name=name)


def _decode(
    source: AudioSource,
    span: Callable[[AudioInfo], tuple[int, int]],
    *,
    sample_rate: int | None,
    mono: bool,
    name: str | None,
) -> tuple[np.ndarray, AudioInfo]:
    with open_recording(source, name) as recording:
        info = recording.info
        if sample_rate is not None and sample_rate > _MAX_RATIO * info.sample_rate:
            raise AudioReadError(
                info.path,
                f"implausible sample rate in the header: {info.sample_rate} Hz. Resampling to more than {_MAX_RATIO} "
                f"times the rate, here {sample_rate} Hz, is not supported; correct the header",
            )
        start, count = span(info)
        context = _with_context(info, start, count, sample_rate)
        # Use a reused buffer if mixing, resampling or transposing copies the samples below.
        is_copied = info.n_channels > 1 or sample_rate not in (None, info.sample_rate)
        scratch = _scratch("read", len(context), info.n_channels) if is_copied else None
        samples = recording.read(context.start, len(context), out=scratch)
    check_samples(info, samples)
    if sample_rate is not None and sample_rate != info.sample_rate:
        first = start - context.start
        samples = _resample(samples, info.sample_rate, sample_rate, mono=mono, first=first, count=count)
    elif mono and info.n_channels > 1:
        samples = _mix(samples, np.empty(len(samples), np.float32))[:, None]
    return (np.ascontiguousarray(samples[:, 0]) if mono else samples.T.copy()), info


def read_blocks(
    source: AudioSource,
    span: Callable[[AudioInfo], tuple[int, int]] | None = None,
    *,
    size: int = 1 << 16,
    name: str | None = None,
) -> Iterator[tuple[AudioInfo, np.ndarray]]:
    """Decode a recording block by block, so that memory does not grow with its length.

    Args:
        source: The path of a file, the bytes of a file, or ``Samples``.
        span: A function from the header to the first sample and the number of samples; by default the whole recording.
        size: Samples per block; the last block may be shorter.
        name: Name of a recording in memory in error messages.

    Yields:
        The header and a block, float32 (time, channels), at the file's rate.

    Raises:
        AudioReadError: As for ``read_audio``.

    Example:
        >>> from artifex.generative_models.modalities.audio.io import Samples
        >>> [block.shape for _, block in read_blocks(Samples(np.zeros(2500), 8000), size=1000)]
        [(1000, 1), (1000, 1), (500, 1)]
    """
    with open_recording(source, name) as recording:
        info = recording.info
        start, count = (0, info.n_samples) if span is None else span(info)
        for first in range(start, start + count, size):
            block = recording.read(first, min(size, start + count - first))
            check_samples(info, block)
            yield info, block


def _with_context(info: AudioInfo, start: int, count: int, sample_rate: int | None) -> range:
    """Return the range of samples to read for a span, extended by the reach of the resampling filter."""
    margin = 0
    if sample_rate is not None and sample_rate != info.sample_rate:
        margin = _FILTER_REACH * -(-info.sample_rate // sample_rate)
    return range(max(0, start - margin), min(info.n_samples, start + count + margin))


def _resample(samples: np.ndarray, rate: int, target: int, *, mono: bool, first: int, count: int) -> np.ndarray:
    """Resample ``count`` samples from ``first`` on; the samples around them are context for the filter."""
    soxr = require("soxr", install="artifex-audio[files]", purpose="Resampling audio files")
    n_samples, n_channels = samples.shape
    n_resampled = -(-count * target // rate)
    # The span must start on a sample of the target rate: a whole number of periods of both rates has to precede it.
    period = rate // math.gcd(rate, target)
    n_periods = -(-first // period)
    n_before = n_periods * period - first
    n_after = -(-rate // target)  # soxr rounds the length of the result down
    shape = (n_before + n_samples + n_after, 1 if mono else n_channels)
    scratch = _scratch("resample", *shape)
    padded = np.empty(shape, np.float32) if scratch is None else scratch
    padded[:n_before] = 0.0
    padded[n_before + n_samples :] = 0.0
    middle = padded[n_before : n_before + n_samples]
    if mono and n_channels > 1:
        _mix(samples, middle[:, 0])
    else:
        middle[:] = samples
    resampled: np.ndarray = soxr.resample(padded, rate, target, quality="HQ")
    begin = n_periods * target // math.gcd(rate, target)
    return resampled[begin : begin + n_resampled]


def _mix(samples: np.ndarray, out: np.ndarray) -> np.ndarray:
    # 30 times faster than np.mean over the last axis.
    np.add(samples[:, 0], samples[:, 1], out=out)
    for channel in range(2, samples.shape[1]):
        out += samples[:, channel]
    out /= samples.shape[1]
    return out


_memory = threading.local()


def _scratch(purpose: str, count: int, n_channels: int) -> np.ndarray | None:
    """Return an uninitialized buffer (count, n_channels), reused in this thread, or None above a maximum size.

    Allocating a new one takes as long as reading and resampling together.
    """
    size = count * n_channels
    if count < 1 or size > _MAX_SCRATCH:
        return None
    memory: np.ndarray | None = getattr(_memory, purpose, None)
    if memory is None or len(memory) < size:
        memory = np.empty(size, np.float32)
        setattr(_memory, purpose, memory)
    return memory[:size].reshape(count, n_channels)
