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
from artifex.generative_models.modalities.audio.io.readers import AudioRecording, open_recording
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
    crop: Callable[[int], tuple[int, int]] | None = None,
    *,
    sample_rate: int | None = None,
    mono: bool = True,
    name: str | None = None,
) -> tuple[np.ndarray, AudioInfo]:
    """Decode a span of a recording; the span is computed from the header.

    Args:
        source: The path of a file, the bytes of a file, or ``Samples``.
        span: A function from the header to the first sample and the number of samples, at the file's rate.
        crop: A function from the length of the resampled span to the first sample and the number of samples to return,
            at the target rate; by default the whole span. A crop equals a slice of the whole resampled span, but only the
            crop is decoded.
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
    with system_errors(source_name(source, name)), open_recording(source, name) as recording:
        start, count = span(recording.info)
        n_resampled = resampled_length(recording.info, count, sample_rate)
        first, length = (0, n_resampled) if crop is None else crop(n_resampled)
        samples = _read_resampled(recording, start, first, length, sample_rate=sample_rate, mono=mono)
        return (np.ascontiguousarray(samples[:, 0]) if mono else samples.T.copy()), recording.info


def read_blocks(
    source: AudioSource,
    span: Callable[[AudioInfo], tuple[int, int]] | None = None,
    *,
    size: int = 1 << 16,
    sample_rate: int | None = None,
    mono: bool = False,
    name: str | None = None,
) -> Iterator[tuple[AudioInfo, np.ndarray]]:
    """Decode a recording block by block, so that memory does not grow with its length.

    Args:
        source: The path of a file, the bytes of a file, or ``Samples``.
        span: A function from the header to the first sample and the number of samples, at the file's rate; by default
            the whole recording.
        size: Samples per block; the last block may be shorter.
        sample_rate: Target sample rate in Hz; by default the file's. The blocks are slices of the resampled span.
        mono: Whether to average the channels.
        name: Name of a recording in memory in error messages.

    Yields:
        The header and a block, float32 (time, channels).

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
        length = resampled_length(info, count, sample_rate)
        for first in range(0, length, size):
            n_samples = min(size, length - first)
            yield info, _read_resampled(recording, start, first, n_samples, sample_rate=sample_rate, mono=mono)


def resampled_length(info: AudioInfo, count: int, sample_rate: int | None) -> int:
    """Return the length of a span after resampling.

    Args:
        info: The header of the recording.
        count: Number of samples at the recording's rate.
        sample_rate: Target sample rate in Hz; None means the recording's.

    Returns:
        ``ceil(count * sample_rate / info.sample_rate)``.

    Raises:
        AudioReadError: When the target is more than 256 times the recording's rate.
    """
    if sample_rate is None:
        return count
    if sample_rate > _MAX_RATIO * info.sample_rate:
        raise AudioReadError(
            info.path,
            f"implausible sample rate in the header: {info.sample_rate} Hz. Resampling to more than {_MAX_RATIO} "
            f"times the rate, here {sample_rate} Hz, is not supported; correct the header",
        )
    return -(-count * sample_rate // info.sample_rate)


def _read_resampled(
    recording: AudioRecording, start: int, first: int, count: int, *, sample_rate: int | None, mono: bool
) -> np.ndarray:
    """Return ``count`` samples (time, channels) from ``first`` on, both at the target rate, of the span from ``start`` on."""
    info = recording.info
    rate, target = info.sample_rate, sample_rate or info.sample_rate
    # Samples around the span are context for the filter.
    margin = 0 if rate == target else _FILTER_REACH * -(-rate // target)
    begin = max(0, start + first * rate // target - margin)
    end = min(info.n_samples, start - (-(first + count) * rate // target) + margin)
    # Use a reused buffer if mixing, resampling or transposing copies the samples below.
    scratch = _scratch("read", end - begin, info.n_channels) if info.n_channels > 1 or rate != target else None
    samples = recording.read(begin, end - begin, out=scratch)
    check_samples(info, samples)
    if rate != target:
        return _resample(samples, rate, target, mono=mono, before=start - begin, first=first, count=count)
    return _mix(samples, np.empty(len(samples), np.float32))[:, None] if mono and info.n_channels > 1 else samples


def _resample(
    samples: np.ndarray, rate: int, target: int, *, mono: bool, before: int, first: int, count: int
) -> np.ndarray:
    """Resample the span that begins ``before`` samples after the first one; return ``count`` samples from ``first`` on."""
    soxr = require("soxr", install="artifex-audio[files]", purpose="Resampling audio files")
    n_samples, n_channels = samples.shape
    # A whole number of periods of both rates is required between the first sample and the start of the span.
    period = rate // math.gcd(rate, target)
    n_before = -before % period
    n_periods = (before + n_before) // period
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
    begin = n_periods * target // math.gcd(rate, target) + first
    return resampled[begin : begin + count]


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
