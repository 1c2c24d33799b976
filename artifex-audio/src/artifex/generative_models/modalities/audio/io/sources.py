"""Sources of audio (paths, bytes and arrays), their headers, and their errors."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

import attrs
import numpy as np

from artifex.generative_models.core.errors import printable

MAX_SAMPLE_RATE = 10_000_000
"""Maximum sample rate in Hz."""

MAX_CHANNELS = 64
"""Maximum number of channels of an array with fewer samples than channels: it is probably (time, channels)."""

_NAME = "recording in memory"


class AudioReadError(OSError):
    """An audio file cannot be read. The message contains the file, the reason and a remedy.

    Args:
        path: The file.
        reason: The reason, and a remedy.
        transient: Whether the cause is the system and may be temporary, such as too many open files or an unavailable
            network drive.

    Example:
        >>> raise AudioReadError("a.wav", "the file is empty (0 bytes)")
        Traceback (most recent call last):
        artifex.generative_models.modalities.audio.io.sources.AudioReadError: a.wav: the file is empty (0 bytes)
    """

    def __init__(self, path: str | os.PathLike[str], reason: str, *, transient: bool = False) -> None:
        super().__init__(f"{printable(os.fspath(path))}: {reason}")
        self.path = os.fspath(path)
        self.reason = reason
        self.transient = transient

    def __reduce__(self) -> tuple[Callable[[str, str], AudioReadError], tuple[str, str]]:
        return partial(type(self), transient=self.transient), (self.path, self.reason)


class UnsupportedAudioError(AudioReadError):
    """A reader does not support a file; another one may.

    Example:
        >>> raise UnsupportedAudioError("a.oga", "the codec Speex is not supported")
        Traceback (most recent call last):
        artifex.generative_models.modalities.audio.io.sources.UnsupportedAudioError: a.oga: the codec Speex is not supported
    """


@attrs.frozen(kw_only=True)
class AudioInfo:
    """The header of an audio file.

    Args:
        path: The file, or the name of a recording in memory.
        sample_rate: Sample rate in Hz.
        n_channels: Number of channels.
        n_samples: Number of samples per channel.
        format: Container format, such as ``"WAV"``.
        subtype: Encoding, such as ``"PCM_16"``.

    Example:
        >>> AudioInfo(
        ...     path=Path("a.wav"), sample_rate=8000, n_channels=1, n_samples=4000, format="WAV", subtype="PCM_16"
        ... ).duration
        0.5
    """

    path: Path
    sample_rate: int
    n_channels: int
    n_samples: int
    format: str
    subtype: str

    @property
    def duration(self) -> float:
        """Duration in seconds."""
        return self.n_samples / self.sample_rate


@attrs.frozen(eq=False)
class Samples:
    """A decoded recording.

    Args:
        array: Samples (time,) or (channels, time). Floating-point samples are used unchanged; integers are scaled by
            the range of their dtype.
        sample_rate: Sample rate in Hz.

    Example:
        >>> ArrayRecording(Samples(np.zeros((2, 400), np.int16), 8000), "noise").info.duration
        0.05
    """

    array: np.ndarray
    sample_rate: int


AudioSource = str | os.PathLike[str] | bytes | Samples
"""A recording: the path of a file, the bytes of a file, or samples."""


def source_name(source: AudioSource, name: str | None = None) -> str:
    """Return the name of a recording for error messages.

    Args:
        source: The recording.
        name: The name of a recording in memory; ignored for a path.

    Returns:
        The path, or the name.

    Raises:
        TypeError: For any other type.

    Example:
        >>> source_name("a.wav"), source_name(b"RIFF", "example 7")
        ('a.wav', 'example 7')
    """
    if isinstance(source, bytes | Samples):
        return name or _NAME
    if not isinstance(source, str | os.PathLike):  # pyright: ignore[reportUnnecessaryIsInstance]  user input
        raise TypeError(
            f"expected the path of a file, its bytes, or Samples, got {type(source).__name__}; pass file.read() for an open "
            f"file, bytes(buffer) for a buffer, Samples(array, sample_rate) for an array"
        )
    return os.fspath(source)


class ArrayRecording:
    """Samples as an open recording.

    Args:
        samples: The samples.
        name: Name of the recording in error messages.

    Attributes:
        info: The header that a file of the samples would have; ``subtype`` is the dtype.

    Raises:
        AudioReadError: When the shape, dtype or sample rate is invalid.
    """

    def __init__(self, samples: Samples, name: str) -> None:
        shape, dtype, rate = samples.array.shape, samples.array.dtype, samples.sample_rate
        if len(shape) not in (1, 2) or 0 in shape:
            raise AudioReadError(name, f"samples must be (time,) or (channels, time) and not empty, got shape {shape}")
        if dtype.kind not in "fiu":
            raise AudioReadError(name, f"samples must be floating-point or integer, got {dtype}")
        if dtype.kind in "iu" and dtype.itemsize == 8:
            raise AudioReadError(
                name, f"full scale is ambiguous for {dtype} samples; pass int16 or int32, or floats in [-1, 1]"
            )
        if len(shape) == 2 and shape[0] > max(MAX_CHANNELS, shape[1]):
            raise AudioReadError(name, f"samples must be (channels, time), got shape {shape}; transpose the array")
        given = cast("object", rate)  # of any type in a table
        is_integer = isinstance(given, int | np.integer) and not isinstance(given, bool)
        if not is_integer or not 1 <= rate <= MAX_SAMPLE_RATE:
            raise AudioReadError(name, f"sample rate must be an integer from 1 to {MAX_SAMPLE_RATE} Hz, got {rate!r}")
        self._array = np.atleast_2d(samples.array)
        self.info = AudioInfo(
            path=Path(name),
            sample_rate=int(rate),
            n_channels=self._array.shape[0],
            n_samples=self._array.shape[1],
            format="SAMPLES",
            subtype=dtype.name,
        )

    def read(self, start: int, count: int, *, out: np.ndarray | None = None) -> np.ndarray:
        """Return a span of the samples; integers are scaled to [-1, 1] by the range of their dtype.

        Args:
            start: First sample.
            count: Number of samples.
            out: Not used.

        Returns:
            float32 (count, channels).
        """
        samples = self._array[:, start : start + count].T
        if samples.dtype.kind == "f":
            return samples.astype(np.float32)
        full_scale = 2.0 ** (8 * samples.dtype.itemsize - 1)
        zero = full_scale if samples.dtype.kind == "u" else 0.0
        return ((samples.astype(np.float64) - zero) / full_scale).astype(np.float32)
