"""Writing audio files atomically."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt

from artifex.generative_models.core.checks import check_flag, check_integer
from artifex.generative_models.core.errors import printable
from artifex.generative_models.core.extras import require
from artifex.generative_models.core.files import atomic_path
from artifex.generative_models.modalities.audio.io.sources import MAX_CHANNELS, MAX_SAMPLE_RATE

_BLOCK = 1 << 16
_OGG_BLOCK = 1024  # libvorbis copies each block to the stack of the thread, which may be small
_BUFFER_BYTES = 1 << 18
_MAX_32_BIT_BYTES = (1 << 32) - (1 << 16)  # less the headers


class _Container(NamedTuple):
    """A container that audio is written to.

    Args:
        name: Name in libsndfile.
        subtypes: Encodings; the first is the default.
        max_sample_rate: Maximum sample rate in Hz.
        max_channels: Maximum number of channels.
        has_32_bit_sizes: Whether sizes in bytes are stored as 32-bit integers.
    """

    name: str
    subtypes: tuple[str, ...]
    max_sample_rate: int = MAX_SAMPLE_RATE
    max_channels: int = 1024
    has_32_bit_sizes: bool = False


# Excluded are encodings in blocks of a fixed length (ADPCM, GSM 6.10, G.72x), which pad audio to a multiple of it, and those
# that libsndfile 1.2.2 does not encode correctly (DWVW).
_WAV = ("PCM_16", "PCM_24", "PCM_32", "PCM_U8", "FLOAT", "DOUBLE", "ULAW", "ALAW")
_CONTAINERS = {
    ".wav": _Container("WAV", _WAV, has_32_bit_sizes=True),
    ".rf64": _Container("RF64", _WAV),
    ".w64": _Container("W64", _WAV),
    ".flac": _Container("FLAC", ("PCM_16", "PCM_24", "PCM_S8"), max_sample_rate=655_350, max_channels=8),
    ".aiff": _Container("AIFF", (*_WAV, "PCM_S8"), has_32_bit_sizes=True),
    # Above 200 kHz, and from 256 channels on, libvorbis cannot be set up and libsndfile 1.2.2 crashes.
    ".ogg": _Container("OGG", ("VORBIS", "OPUS"), max_sample_rate=200_000, max_channels=255),
    ".opus": _Container("OGG", ("OPUS",), max_channels=255),
    ".mp3": _Container("MP3", ("MPEG_LAYER_III",), max_channels=2),
}
_SAMPLE_RATES = {
    "OPUS": (8000, 12000, 16000, 24000, 48000),
    "MPEG_LAYER_III": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
}
# Numbers of channels and sample rates at which encoders treat the last channel as the effects channel of surround sound:
# Opus with channel mapping family 1 (RFC 7845, 5.1.1.2), libvorbis with its settings for 5.1 channels.
_SURROUND = {"OPUS": ((6, 7, 8), range(48_001)), "VORBIS": ((6,), range(40_000, 70_001))}
_PCM_BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
_SAMPLE_BYTES = {"ULAW": 1, "ALAW": 1, "FLOAT": 4, "DOUBLE": 8} | {name: bits // 8 for name, bits in _PCM_BITS.items()}
_MAX_PEAK = {"FLOAT": float(np.finfo(np.float32).max), "DOUBLE": float(np.finfo(np.float64).max)}


def write_audio(
    path: str | os.PathLike[str],
    audio: npt.ArrayLike,
    sample_rate: int,
    *,
    clip: bool = False,
    subtype: str | None = None,
) -> None:
    """Write an audio file atomically.

    The file is read back with the same number of samples and channels. PCM encodings round to the nearest step, so that
    samples that were read from such a file are written unchanged.

    Args:
        path: A file that ends in .wav, .rf64, .w64, .flac, .aiff, .ogg, .opus or .mp3. An existing file is replaced.
        audio: Floating-point samples (time,) or (channels, time), full scale [-1, 1].
        sample_rate: Sample rate in Hz: at most 655350 for .flac and 200000 for .ogg; 8000, 12000, 16000, 24000 or 48000
            for Opus; one of those that MPEG defines, 8000 to 48000, for .mp3.
        clip: Whether to clip samples beyond full scale. Otherwise they raise, unless ``subtype`` is ``"FLOAT"`` or
            ``"DOUBLE"``, which store them.
        subtype: Encoding, as soundfile names it; by default 16-bit PCM for lossless formats, Vorbis for .ogg. The
            containers .wav, .rf64, .w64 and .aiff take ``"PCM_16"``, ``"PCM_24"``, ``"PCM_32"``, ``"PCM_U8"``,
            ``"FLOAT"``, ``"DOUBLE"``, ``"ULAW"`` and ``"ALAW"``, .aiff also ``"PCM_S8"``, .flac takes ``"PCM_16"``,
            ``"PCM_24"`` and ``"PCM_S8"``, and .ogg takes ``"VORBIS"`` and ``"OPUS"``.

    Raises:
        TypeError: When the samples are not floating-point.
        FileNotFoundError: When the folder does not exist.
        PermissionError: When the folder cannot be written to.
        DiskFullError: When the disk is full; an existing file is unchanged.
        ValueError: When the shape, suffix, rate, encoding or number of channels is not supported, samples are NaN,
            infinite or beyond full scale, or a .wav or .aiff file would exceed 4 GiB.
        MissingDependencyError: Without the extra ``artifex-audio[files]``.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "loud.flac"
        >>> write_audio(path, np.array([0.0, 2.0]), 16000)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: audio must be within full scale [-1, 1], got a peak of 2; scale it, pass clip=True to clip it, or ...
        >>> write_audio(path, np.array([0.0, 2.0]), 16000, clip=True)

    Reference:
        RFC 3533 (Ogg), RFC 7845 (Opus in Ogg), RFC 9639 (FLAC), ISO/IEC 11172-3 (MP3), EBU Tech 3306 (RF64).
    """
    if not isinstance(path, str | os.PathLike):  # pyright: ignore[reportUnnecessaryIsInstance]  user input
        raise TypeError(
            f"path must be a file name, got {type(path).__name__}; call write_audio(path, audio, sample_rate)"
        )
    check_flag("clip", clip)
    check_integer("sample_rate", sample_rate, minimum=1, maximum=MAX_SAMPLE_RATE, unit="Hz")
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in _CONTAINERS:
        raise ValueError(f"path must end in {', '.join(_CONTAINERS)}, got {str(target)!r}")
    container = _CONTAINERS[suffix]
    encoding = container.subtypes[0] if subtype is None else str(subtype).upper()
    if encoding not in container.subtypes:
        raise ValueError(f"subtype for {suffix} must be one of {', '.join(container.subtypes)}, got {subtype!r}")
    samples = _as_channels(audio)
    n_channels, n_samples = samples.shape
    _check_supported(target, encoding, samples, sample_rate)
    _check_values(samples, encoding, clip=clip)
    soundfile = require("soundfile", install="artifex-audio[files]", purpose="Writing audio files")
    check_writable_folder(target)
    with atomic_path(target) as temporary:
        with open(temporary, "wb", buffering=_BUFFER_BYTES) as file:
            output = _Output(file)
            try:
                with soundfile.SoundFile(
                    output, "w", sample_rate, n_channels, encoding, format=container.name
                ) as encoder:
                    for block in _encoder_blocks(samples, encoding, clip=clip):
                        encoder.write(block)
                        output.check()
            except (soundfile.LibsndfileError, AssertionError) as error:
                output.check()
                raise ValueError(
                    f"{printable(target)}: {container.name} {encoding} does not support {n_channels} channels at "
                    f"{sample_rate} Hz; audio must be (time,) or (channels, time), got shape {samples.shape}"
                ) from error
            output.check()
        if container.name == "AIFF":
            _correct_aiff_sizes(temporary, n_samples, samples.size * _SAMPLE_BYTES[encoding])


def check_writable_folder(path: Path) -> None:
    """Raise unless the folder of a file exists and can be written to.

    Args:
        path: The file to write.

    Raises:
        FileNotFoundError: When the folder does not exist.
        PermissionError: When the folder cannot be written to.
    """
    name, folder = printable(path), printable(path.parent)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{name}: the folder {folder} does not exist; create it first")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"{name}: the folder {folder} cannot be written to; choose another folder")


class _Output:
    """A file that libsndfile writes to. It keeps the first exception, which libsndfile does not report."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._error: BaseException | None = None

    def check(self) -> None:
        if self._error is not None:
            raise self._error

    def write(self, content: bytes) -> int:
        return self._call(lambda: self._file.write(content))

    def seek(self, offset: int, whence: int) -> int:
        return self._call(lambda: self._file.seek(offset, whence))

    def tell(self) -> int:
        return self._call(self._file.tell)

    def _call(self, operation: Callable[[], int]) -> int:
        if self._error is None:
            try:
                return operation()
            except BaseException as error:  # noqa: BLE001 - C code would print the exception and continue
                self._error = error
        return 0


def _check_supported(target: Path, encoding: str, samples: np.ndarray, sample_rate: int) -> None:
    name, container = printable(target), _CONTAINERS[target.suffix.lower()]
    n_channels, n_samples = samples.shape
    rates = _SAMPLE_RATES.get(encoding)
    if rates is not None and sample_rate not in rates:
        listed = ", ".join(map(str, rates))
        raise ValueError(
            f"{name}: the sample rate of {encoding} must be {listed} Hz, got {sample_rate} Hz; resample it"
        )
    if sample_rate > container.max_sample_rate:
        raise ValueError(
            f"{name}: the sample rate must be at most {container.max_sample_rate} Hz in {container.name} files, got "
            f"{sample_rate} Hz; resample it, or write a .wav file"
        )
    if n_channels > container.max_channels:
        raise ValueError(
            f"{name}: {container.name} files have at most {container.max_channels} channels, got {n_channels}; audio must "
            f"be (time,) or (channels, time), got shape {samples.shape}"
        )
    surround_channels, surround_rates = _SURROUND.get(encoding, ((), range(0)))
    if n_channels in surround_channels and sample_rate in surround_rates:
        raise ValueError(
            f"{name}: at {sample_rate} Hz {encoding} keeps only the lowest frequencies of the last of {n_channels} "
            f"channels, the effects channel of surround sound; write a .flac or .wav file, or fewer channels"
        )
    if container.has_32_bit_sizes and samples.size * _SAMPLE_BYTES[encoding] > _MAX_32_BIT_BYTES:
        raise ValueError(
            f"{name}: {n_samples} samples of {n_channels} channels in {encoding} exceed the 4 GiB of a {container.name} "
            f"file; write a .rf64, .w64 or .flac file"
        )


def _encoder_blocks(samples: np.ndarray, encoding: str, *, clip: bool) -> Iterator[np.ndarray]:
    """Yield blocks (time, channels): for PCM as integers, rounded to the nearest step."""
    size = _OGG_BLOCK if encoding in ("VORBIS", "OPUS") else _BLOCK
    n_bits = _PCM_BITS.get(encoding)
    for start in range(0, samples.shape[1], size):
        block = samples[:, start : start + size].T
        if clip:
            block = np.clip(block, -1.0, 1.0)
        if n_bits is not None:
            n_steps = 2.0 ** (n_bits - 1)
            steps = np.clip(np.rint(block * np.float64(n_steps)), -n_steps, n_steps - 1)
            block = steps.astype(np.int32) << (32 - n_bits)  # libsndfile uses the highest bits
        yield np.ascontiguousarray(block)


def _correct_aiff_sizes(path: Path, n_samples: int, n_bytes: int) -> None:
    """Correct an AIFF header: libsndfile 1.2.2 counts the byte that pads an odd number of bytes as a sample."""
    with path.open("r+b") as file:
        file.seek(12)
        while len(header := file.read(8)) == 8:
            name, size = struct.unpack(">4sI", header)
            content = file.tell()
            if name == b"COMM":
                file.seek(content + 2)
                file.write(struct.pack(">I", n_samples))
            elif name == b"SSND":
                file.seek(content - 4)
                file.write(struct.pack(">I", 8 + n_bytes))
            file.seek(content + size + size % 2)


def _as_channels(audio: npt.ArrayLike) -> np.ndarray:
    """Return samples as float32 or float64 (channels, time)."""
    samples = np.asarray(audio)
    if samples.dtype.kind != "f" and samples.dtype.name != "bfloat16":
        raise TypeError(
            f"audio must be floating-point with full scale [-1, 1], got {samples.dtype}; divide integers by their range"
        )
    if samples.ndim not in (1, 2) or 0 in samples.shape:
        raise ValueError(f"audio must be (time,) or (channels, time) and not empty, got shape {samples.shape}")
    if samples.ndim == 2 and samples.shape[0] > max(MAX_CHANNELS, samples.shape[1]):
        raise ValueError(f"audio must be (time,) or (channels, time), got shape {samples.shape}; transpose the array")
    return np.atleast_2d(samples if samples.dtype == np.float64 else samples.astype(np.float32))


def _check_values(samples: np.ndarray, encoding: str, *, clip: bool) -> None:
    if not np.isfinite(samples).all():
        count = samples.size - int(np.isfinite(samples).sum())
        raise ValueError(f"audio must be finite, got {count} samples that are NaN or infinite; nothing was written")
    peak = max(float(samples.max()), -float(samples.min()))
    if not clip and peak > _MAX_PEAK.get(encoding, 1.0):
        raise ValueError(
            f"audio must be within full scale [-1, 1], got a peak of {peak:g}; scale it, pass clip=True to clip it, "
            f'or subtype="FLOAT" to store it unchanged'
        )
