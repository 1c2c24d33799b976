"""Reading and writing audio files, on the host: NumPy, soundfile and soxr. Imports no jax."""

from __future__ import annotations

import math
import os
import re
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

import attrs
import numpy as np

from artifex.generative_models.core.checks import check_flag, check_integer, check_number
from artifex.generative_models.core.extras import require

SUFFIXES = (
    *(".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".rf64", ".snd"),
    *(".w64", ".wav", ".wave"),
)
"""Endings of the files that a folder is searched for; soundfile decodes all of them."""

_EXTRA = "artifex-audio[files]"
_BLOCK = 1 << 20
_LOSSY = ("VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III")
_LOSSY_PEAK = 8.0
_MAX_RATE = 10_000_000
_MAX_RATIO = 256
_UNKNOWN_SIZE = 0x7FFFF000
_FLOATING = ("FLOAT", "DOUBLE")
_FORMATS = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".aiff": ("AIFF", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}


class AudioReadError(OSError):
    """An audio file cannot be read; the message names the file, the reason and what to do.

    Args:
        path: The file.
        reason: Why, and what to do.

    Example:
        >>> raise AudioReadError("a.wav", "the file is empty (0 bytes)")
        Traceback (most recent call last):
        artifex.generative_models.modalities.audio.io.AudioReadError: a.wav: the file is empty (0 bytes)
    """

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        super().__init__(f"{os.fspath(path)}: {reason}")
        self.path = os.fspath(path)
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return (AudioReadError, (self.path, self.reason))


@attrs.frozen(kw_only=True)
class AudioInfo:
    """What the header of an audio file says.

    Args:
        path: The file.
        sample_rate: Samples per second, Hz.
        n_channels: Channels.
        n_frames: Samples in each channel.
        format: The container, such as ``"WAV"``.
        subtype: The encoding, such as ``"PCM_16"``.

    Example:
        >>> facts = {"n_channels": 1, "format": "WAV", "subtype": "PCM_16"}
        >>> AudioInfo(path=Path("a.wav"), sample_rate=8000, n_frames=4000, **facts).duration
        0.5
    """

    path: Path
    sample_rate: int
    n_channels: int
    n_frames: int
    format: str
    subtype: str

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.n_frames / self.sample_rate


def probe(path: str | os.PathLike[str]) -> AudioInfo:
    """Read the header of an audio file and check it against the file.

    Args:
        path: The file.

    Returns:
        What the header says.

    Raises:
        AudioReadError: When the file is missing, empty, no audio, cut off, or its header cannot be true.
        MissingDependencyError: Without the extra ``artifex-audio[files]``.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "silence.wav"
        >>> write_audio(path, np.zeros(8000), 16000)
        >>> info = probe(path)
        >>> info.sample_rate, info.n_frames, info.duration, info.subtype
        (16000, 8000, 0.5, 'PCM_16')
    """
    with _opened(path) as file:
        return _header(path, file)


def read_audio(
    path: str | os.PathLike[str],
    *,
    sample_rate: int | None = None,
    mono: bool = True,
    offset: float = 0.0,
    duration: float | None = None,
) -> tuple[np.ndarray, int]:
    """Read an audio file, or a span of it; no more than the span is decoded.

    Args:
        path: The file: wav, flac, ogg, opus, mp3, aiff and whatever else libsndfile decodes.
        sample_rate: The rate to resample to, Hz (soxr, quality HQ); None keeps the file's.
        mono: Whether the channels are averaged to one.
        offset: Where the span starts, seconds from the start of the file.
        duration: Length of the span in seconds; None, or more than there is, reads to the end.

    Returns:
        The samples as float32, full scale [-1, 1], shape (time,), or (channels, time) with ``mono=False``;
        and their sample rate in Hz. Resampling n samples gives ``ceil(n * sample_rate / rate)``.

    Raises:
        AudioReadError: When the file is missing, empty, no audio or cut off, holds a value that is not
            finite, or a peak far above full scale, or has no samples at ``offset``.
        MissingDependencyError: Without the extra ``artifex-audio[files]``.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "step.wav"
        >>> write_audio(path, np.repeat([0.0, 0.5], 8000), 16000)
        >>> audio, rate = read_audio(path, offset=0.5, duration=0.25)
        >>> audio.shape, rate, float(audio.min())
        ((4000,), 16000, 0.5)

    Reference:
        The SoX Resampler library, quality HQ, https://sourceforge.net/projects/soxr/.
    """
    check_number("offset", offset, minimum=0, unit="seconds")
    if duration is not None:
        check_number("duration", duration, above=0, unit="seconds")

    def span(info: AudioInfo) -> tuple[int, int]:
        start = round(offset * info.sample_rate)
        if start >= info.n_frames:
            raise AudioReadError(path, f"no audio at offset {offset} s: it is {info.duration:g} s long")
        rest = info.n_frames - start
        return start, rest if duration is None else min(rest, max(1, round(duration * info.sample_rate)))

    audio, info = decode(path, span, sample_rate=sample_rate, mono=mono)
    return audio, info.sample_rate if sample_rate is None else sample_rate


def decode(
    path: str | os.PathLike[str],
    span: Callable[[AudioInfo], tuple[int, int]],
    *,
    sample_rate: int | None = None,
    mono: bool = True,
) -> tuple[np.ndarray, AudioInfo]:
    """Decode the span of a file that is chosen once its header is known.

    Args:
        path: The file.
        span: From the header to the first sample and the number of samples, at the file's rate.
        sample_rate: The rate to resample to, Hz; None keeps the file's.
        mono: Whether the channels are averaged to one.

    Returns:
        The samples as ``read_audio`` gives them, and what the header says.

    Raises:
        AudioReadError: As ``read_audio`` does.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "silence.wav"
        >>> write_audio(path, np.zeros(8000), 16000)
        >>> audio, info = decode(path, lambda info: (info.n_frames - 100, 100))
        >>> audio.shape, info.n_frames
        ((100,), 8000)
    """
    check_flag("mono", mono)
    if sample_rate is not None:
        check_integer("sample_rate", sample_rate, minimum=1, maximum=_MAX_RATE, unit="Hz")
    with _opened(path) as file:
        info = _header(path, file)
        if sample_rate is not None and sample_rate > _MAX_RATIO * info.sample_rate:
            raise AudioReadError(
                path,
                f"its header says {info.sample_rate} Hz, and resampling to more than {_MAX_RATIO} times "
                f"that, {sample_rate} Hz, is refused; correct the header",
            )
        start, count = span(info)
        frames = _frames(path, file, start, count)
    _check_values(path, info, frames)
    if mono and info.n_channels > 1:
        frames = frames.mean(axis=1, keepdims=True, dtype=np.float32)
    if sample_rate is not None and sample_rate != info.sample_rate:
        frames = _resampled(frames, info.sample_rate, sample_rate)
    return (frames[:, 0] if mono else np.ascontiguousarray(frames.T)), info


def write_audio(
    path: str | os.PathLike[str],
    audio: Any,
    sample_rate: int,
    *,
    clip: bool = False,
    subtype: str | None = None,
) -> None:
    """Write an audio file, whole or not at all.

    Args:
        path: A file that ends in .wav, .flac, .aiff, .ogg, .opus or .mp3; one that is there is replaced.
        audio: Floating-point samples (time,) or (channels, time), full scale [-1, 1].
        sample_rate: Samples per second, Hz.
        clip: Whether samples beyond full scale are cut to it; otherwise they are an error, unless ``subtype``
            is ``"FLOAT"`` or ``"DOUBLE"``, which keep them.
        subtype: The encoding, such as ``"PCM_24"``; None means 16-bit where the format is lossless.

    Raises:
        TypeError: For samples that are no floating-point numbers.
        FileNotFoundError: When the folder that it goes to does not exist.
        ValueError: For a shape, an ending, a rate or an encoding that cannot be written, NaN or infinity, or
            samples beyond full scale.
        MissingDependencyError: Without the extra ``artifex-audio[files]``.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "loud.flac"
        >>> write_audio(path, np.array([0.0, 2.0]), 16000)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: audio has a peak of 2, beyond full scale 1: scale it, pass clip=True to cut it, or ...
        >>> write_audio(path, np.array([0.0, 2.0]), 16000, clip=True)
    """
    check_flag("clip", clip)
    check_integer("sample_rate", sample_rate, minimum=1, maximum=_MAX_RATE, unit="Hz")
    target = Path(path)
    if target.suffix.lower() not in _FORMATS:
        raise ValueError(f"a file to write ends in {', '.join(_FORMATS)}, got {str(target)!r}")
    container, usual = _FORMATS[target.suffix.lower()]
    encoding = usual if subtype is None else subtype.upper()
    samples = _writable(audio)
    peak = float(np.abs(samples).max())
    if clip:
        samples = np.clip(samples, -1.0, 1.0)
    elif peak > 1 and encoding not in _FLOATING:
        raise ValueError(
            f"audio has a peak of {peak:g}, beyond full scale 1: scale it, pass clip=True to cut it, "
            f'or subtype="FLOAT" to keep it'
        )
    soundfile = require("soundfile", install=_EXTRA, purpose="Writing audio files")
    if not soundfile.check_format(container, encoding):
        known = ", ".join(soundfile.available_subtypes(container))
        raise ValueError(f"subtype for {target.suffix} is one of {known}, got {subtype!r}")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target}: the folder {target.parent} does not exist; make it first")
    if not os.access(target.parent, os.W_OK):
        raise PermissionError(f"{target}: the folder {target.parent} cannot be written to")
    partial = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        try:
            soundfile.write(partial, samples.T, sample_rate, format=container, subtype=encoding)
        except soundfile.LibsndfileError as error:
            channels = 1 if samples.ndim == 1 else len(samples)
            raise ValueError(
                f"{target}: {container} {encoding} cannot hold {channels} channels at {sample_rate} Hz: {error}"
            ) from error
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def find_audio(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Find the audio files that are meant by files and folders.

    Args:
        paths: A file, a folder, or several. A folder is searched with everything beneath it for files with
            the endings of ``SUFFIXES``, hidden ones left out; a file that is named itself counts whatever its
            ending.

    Returns:
        The files, in the order given, sorted within each folder; each once.

    Raises:
        FileNotFoundError: For a path that is not there.
        ValueError: For a folder without audio, or no path at all.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("b.wav", "a.FLAC", ".hidden.wav", "notes.txt"):
        ...     folder.joinpath(name).touch()
        >>> [path.name for path in find_audio(folder)]
        ['a.FLAC', 'b.wav']
    """
    return [file for file, _ in find_audio_in(paths)]


def find_audio_in(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
) -> list[tuple[Path, Path]]:
    """Find audio files, each with the folder it was found from.

    Args:
        paths: As for ``find_audio``.

    Returns:
        Pairs of a file and the folder that was given; for a file that was named itself, the folder it lies
        in.

    Raises:
        FileNotFoundError: For a path that is not there.
        ValueError: For a folder without audio, or no path at all.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> folder.joinpath("dog").mkdir()
        >>> folder.joinpath("dog", "a.wav").touch()
        >>> [str(file.relative_to(root)) for file, root in find_audio_in(folder)]
        ['dog/a.wav']
    """
    given = [Path(paths)] if isinstance(paths, str | os.PathLike) else [Path(path) for path in paths]
    if not given:
        raise ValueError("no audio files: give a file, a folder, or a list of them")
    found: dict[str, tuple[Path, Path]] = {}
    for path in given:
        if path.is_dir():
            inside = _walk(path)
            if not inside:
                raise ValueError(
                    f"{path}: no audio files in this folder or beneath it; looked for {', '.join(SUFFIXES)}"
                )
        elif path.exists():
            inside = [path]
        else:
            raise FileNotFoundError(f"{path}: no such file or folder")
        for file in inside:
            found.setdefault(os.path.realpath(file), (file, path if path.is_dir() else path.parent))
    return list(found.values())


def _walk(folder: Path) -> list[Path]:
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(place, name)
            for name in files
            if os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith(".")
        ]
    return sorted(found)


def _opened(path: str | os.PathLike[str]) -> Any:
    soundfile = require("soundfile", install=_EXTRA, purpose="Reading audio files")
    try:
        size = os.stat(path).st_size
    except FileNotFoundError:
        raise AudioReadError(path, "no such file") from None
    except OSError as error:
        raise AudioReadError(path, f"cannot be opened: {error.strerror}") from error
    if os.path.isdir(path):
        raise AudioReadError(path, "is a folder; name a file in it")
    if size == 0:
        raise AudioReadError(path, "the file is empty (0 bytes); fetch or record it again")
    try:
        with open(path, "rb") as stream:
            _check_tail(path, stream, size)
    except PermissionError as error:
        raise AudioReadError(path, f"cannot be opened: {error.strerror}") from error
    try:
        return soundfile.SoundFile(path)
    except soundfile.LibsndfileError as error:
        raise AudioReadError(
            path,
            f"is no audio that can be decoded ({_reason(error)}); "
            f"its content has to be wav, flac, ogg, opus, mp3 or aiff",
        ) from error
    except OSError as error:
        raise AudioReadError(path, f"cannot be opened: {error}") from error


def _reason(error: Any) -> str:
    return str(getattr(error, "error_string", error)).removeprefix("Error : ").rstrip(".\n").strip().lower()


def _header(path: str | os.PathLike[str], file: Any) -> AudioInfo:
    info = AudioInfo(
        path=Path(path),
        sample_rate=file.samplerate,
        n_channels=file.channels,
        n_frames=file.frames,
        format=file.format,
        subtype=file.subtype,
    )
    if not 1 <= info.sample_rate <= _MAX_RATE:
        raise AudioReadError(path, f"its header says {info.sample_rate} Hz, which cannot be true; correct the header")
    if info.n_frames < 1:
        raise AudioReadError(path, "its header says that it holds no samples; fetch or record it again")
    if info.n_frames >= 1 << 62:
        raise AudioReadError(path, "its header does not say how long it is; encode it anew to a file, not a stream")
    said, held = _declared(file.extra_info)
    if said > held:
        raise AudioReadError(
            path,
            f"is cut off: its header says {said} {_unit(file.extra_info)}, the file holds {held}; fetch it again",
        )
    return info


_SIZES = re.compile(r"^\s*(?:data|SSND|Data Size|riff)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
_FRAMES = re.compile(r"Calculated frame count (\d+) does not match value from 'ds64' chunk of (\d+)")


def _declared(log: str) -> tuple[int, int]:
    """Return what the header declares and what libsndfile, which reads on without a word, found instead."""
    if match := _SIZES.search(log):
        said, held = int(match[1]), int(match[2])
        return (0, 0) if said >= _UNKNOWN_SIZE else (said, held)
    if match := _FRAMES.search(log):
        return int(match[2]), int(match[1])
    return 0, 0


def _unit(log: str) -> str:
    return "bytes of audio" if _SIZES.search(log) else "samples"


def _check_tail(path: str | os.PathLike[str], file: BinaryIO, size: int) -> None:
    """Refuse an Ogg file that ends before its end, and an MP3 far shorter than its Xing header says."""
    head = file.read(4)
    if head == b"OggS":
        file.seek(max(0, size - 65_536))
        tail = file.read()
        page = tail.rfind(b"OggS")
        if page < 0 or len(tail) < page + 27 or not tail[page + 5] & 4:
            raise AudioReadError(path, "is cut off: the Ogg stream has no end; fetch it again")
        segments = tail[page + 27 : page + 27 + tail[page + 26]]
        if len(tail) < page + 27 + tail[page + 26] + sum(segments):
            raise AudioReadError(path, "is cut off: the last Ogg page is not whole; fetch it again")
        return
    said = _xing_bytes(file, head)
    if said is not None and said[1] > 1.01 * (size - said[0]):
        raise AudioReadError(
            path,
            f"is cut off: its header says {said[1]} bytes of MP3, the file holds {size - said[0]}; fetch it again",
        )


def _xing_bytes(file: BinaryIO, head: bytes) -> tuple[int, int] | None:
    """Return where the first MP3 frame starts and the bytes its Xing header declares, or None without one."""
    start = 0
    if head[:3] == b"ID3":
        file.seek(6)
        size = file.read(4)
        start = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(size, (21, 14, 7, 0), strict=False))
    file.seek(start)
    frame = file.read(64)
    if len(frame) < 64 or frame[0] != 0xFF or frame[1] & 0xE0 != 0xE0:
        return None
    mpeg1, mono = frame[1] & 0x18 == 0x18, frame[3] & 0xC0 == 0xC0
    tag = 4 + ((17 if mono else 32) if mpeg1 else (9 if mono else 17))
    if frame[tag : tag + 4] not in (b"Xing", b"Info"):
        return None
    flags = int.from_bytes(frame[tag + 4 : tag + 8], "big")
    if not flags & 2:
        return None
    place = tag + 8 + (4 if flags & 1 else 0)
    return start, int.from_bytes(frame[place : place + 4], "big")


def _frames(path: str | os.PathLike[str], file: Any, start: int, count: int) -> np.ndarray:
    # In blocks, so that a header that lies about the length does not decide how much memory is taken.
    import soundfile

    blocks: list[np.ndarray] = []
    got = 0
    try:
        if start:
            file.seek(start)
        while got < count:
            block = file.read(min(_BLOCK, count - got), dtype="float32", always_2d=True)
            blocks.append(block)
            got += len(block)
            if not len(block):
                break
    except soundfile.LibsndfileError as error:
        raise AudioReadError(
            path,
            f"is damaged or cut off after {start + got} of {file.frames} samples ({_reason(error)}); fetch it again",
        ) from error
    if got < count:
        raise AudioReadError(
            path,
            f"is cut off: its header says {file.frames} samples, {start + got} can be decoded; fetch it again",
        )
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def _check_values(path: str | os.PathLike[str], info: AudioInfo, frames: np.ndarray) -> None:
    peak = float(np.maximum(frames.max(), -frames.min()))
    if not math.isfinite(peak):
        count = frames.size - int(np.isfinite(frames).sum())
        raise AudioReadError(path, f"holds {count} samples that are NaN or infinite; mend or leave it out")
    if peak > _LOSSY_PEAK and info.subtype in _LOSSY:
        raise AudioReadError(
            path, f"decodes to a peak of {peak:.3g} where full scale is 1: it is damaged; fetch it again"
        )


def _resampled(frames: np.ndarray, rate: int, target: int) -> np.ndarray:
    soxr = require("soxr", install=_EXTRA, purpose="Resampling audio files")
    length = -(-len(frames) * target // rate)
    # soxr rounds the length; the samples after the end are zero to it either way.
    padding = -(-rate // target)
    padded = np.concatenate([frames, np.zeros((padding, frames.shape[1]), np.float32)])
    resampled: np.ndarray = soxr.resample(padded, rate, target, quality="HQ")
    return resampled[:length]


def _writable(audio: Any) -> np.ndarray:
    samples = np.asarray(audio)
    if samples.dtype.kind != "f" and samples.dtype.name != "bfloat16":
        raise TypeError(
            f"audio is floating point with full scale [-1, 1], got {samples.dtype}; divide by its range first"
        )
    if samples.ndim not in (1, 2) or 0 in samples.shape:
        raise ValueError(f"audio is (time,) or (channels, time) and not empty, got shape {samples.shape}")
    if samples.dtype != np.float64:
        samples = samples.astype(np.float32)
    if not np.isfinite(samples).all():
        count = samples.size - int(np.isfinite(samples).sum())
        raise ValueError(f"audio holds {count} samples that are NaN or infinite; nothing was written")
    return samples
