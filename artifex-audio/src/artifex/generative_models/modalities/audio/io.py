"""Reading and writing audio files, on the host: NumPy, soundfile and soxr. Imports no jax."""

from __future__ import annotations

import contextlib
import errno
import glob
import io
import math
import os
import re
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

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
_MOST_CHANNELS = 64
_RESAMPLER = 160  # samples at the lower rate that soxr HQ hears on either side, and more
_PASSING = {
    getattr(errno, name) for name in ("EMFILE", "ENFILE", "EIO", "ESTALE", "EAGAIN", "ENOMEM", "ETIMEDOUT", "ENOTCONN")
}
_FILE = "recording in memory"
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
        transient: Whether the reason lies with the system and may pass: too many open files, a share that is away.

    Example:
        >>> raise AudioReadError("a.wav", "the file is empty (0 bytes)")
        Traceback (most recent call last):
        artifex.generative_models.modalities.audio.io.AudioReadError: a.wav: the file is empty (0 bytes)
    """

    def __init__(self, path: str | os.PathLike[str], reason: str, *, transient: bool = False) -> None:
        super().__init__(f"{os.fspath(path)}: {reason}")
        self.path = os.fspath(path)
        self.reason = reason
        self.transient = transient

    def __reduce__(self) -> tuple[Any, ...]:
        return (partial(AudioReadError, transient=self.transient), (self.path, self.reason))


@attrs.frozen(kw_only=True)
class AudioInfo:
    """What the header of an audio file says.

    Args:
        path: The file, or what a recording in memory is called.
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


@attrs.frozen(eq=False)
class Samples:
    """A recording that is decoded already.

    Args:
        array: Samples (time,) or (channels, time): floating point as it is, integers scaled by their range.
        sample_rate: Samples per second, Hz.

    Example:
        >>> probe(Samples(np.zeros((2, 400), np.int16), 8000)).duration
        0.05
    """

    array: np.ndarray
    sample_rate: int


AudioSource = str | os.PathLike[str] | bytes | Samples
"""A recording: a file, the bytes of one, or samples."""


def probe(source: AudioSource, *, name: str | None = None) -> AudioInfo:
    """Read the header of an audio file and check it against the file.

    Args:
        source: A file, the bytes of one, or ``Samples``.
        name: What a recording in memory is called in messages; a file is called by its path.

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
    if isinstance(source, Samples):
        return _facts(source, name or _FILE)
    with _opened(source, name) as opened:
        return _header(_name(source, name), *opened)


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
    check_flag("mono", mono)
    if sample_rate is not None:
        check_integer("sample_rate", sample_rate, minimum=1, maximum=_MAX_RATE, unit="Hz")
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
    source: AudioSource,
    span: Callable[[AudioInfo], tuple[int, int]],
    *,
    sample_rate: int | None = None,
    mono: bool = True,
    name: str | None = None,
) -> tuple[np.ndarray, AudioInfo]:
    """Decode the span of a recording that is chosen once its header is known.

    Args:
        source: A file, the bytes of one, or ``Samples``.
        span: From the header to the first sample and the number of samples, at the file's rate.
        sample_rate: The rate to resample to, Hz; None keeps the file's.
        mono: Whether the channels are averaged to one.
        name: What a recording in memory is called in messages; a file is called by its path.

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
    called = _name(source, name)
    if isinstance(source, Samples):
        info = _facts(source, called)
        _check_ratio(info, sample_rate)
        start, count = span(info)
        around = _around(info, start, count, sample_rate)
        frames = _floats(np.atleast_2d(source.array)[:, around.start : around.stop].T)
    else:
        with _opened(source, name) as (file, stream):
            info = _header(called, file, stream)
            _check_ratio(info, sample_rate)
            start, count = span(info)
            # What is mixed, resampled or transposed next may be read to memory that the next recording takes again.
            copied = info.n_channels > 1 or sample_rate not in (None, info.sample_rate)
            around = _around(info, start, count, sample_rate)
            memory = _scratch("read", len(around), info.n_channels) if copied else None
            frames = _frames(called, file, stream, around.start, len(around), out=memory)
    _check_values(called, info, frames)
    if sample_rate is not None and sample_rate != info.sample_rate:
        frames = _resampled(frames, info.sample_rate, sample_rate, mono=mono, first=start - around.start, count=count)
    elif mono and info.n_channels > 1:
        frames = _mixed(frames, np.empty(len(frames), np.float32))[:, None]
    return (np.ascontiguousarray(frames[:, 0]) if mono else frames.T.copy()), info


def blocks(
    source: AudioSource,
    span: Callable[[AudioInfo], tuple[int, int]] | None = None,
    *,
    size: int = 1 << 16,
    name: str | None = None,
) -> Iterator[tuple[AudioInfo, np.ndarray]]:
    """Decode a recording piece by piece, so that its length does not decide how much memory is taken.

    Args:
        source: A file, the bytes of one, or ``Samples``.
        span: From the header to the first sample and the number of samples; None means all of it.
        size: Samples of each channel in a piece; the last one may have fewer.
        name: What a recording in memory is called in messages; a file is called by its path.

    Yields:
        What the header says, and a piece, float32 (time, channels), at the file's rate.

    Raises:
        AudioReadError: As ``read_audio`` does.

    Example:
        >>> [piece.shape for _, piece in blocks(Samples(np.zeros(2500), 8000), size=1000)]
        [(1000, 1), (1000, 1), (500, 1)]
    """
    called = _name(source, name)
    if isinstance(source, Samples):
        info = _facts(source, called)
        start, count = (0, info.n_frames) if span is None else span(info)
        frames = np.atleast_2d(source.array)[:, start : start + count].T
        for first in range(0, count, size):
            piece = _floats(frames[first : first + size])
            _check_values(called, info, piece)
            yield info, piece
        return
    with _opened(source, name) as (file, stream):
        info = _header(called, file, stream)
        start, count = (0, info.n_frames) if span is None else span(info)
        for first in range(start, start + count, size):
            piece = _frames(called, file, stream, first, min(size, start + count - first))
            _check_values(called, info, piece)
            yield info, piece


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
        paths: A file, a folder, a pattern such as ``"takes/**/*.wav"``, or several. A folder is searched with
            everything beneath it for files with the endings of ``SUFFIXES``, hidden ones left out, and a pattern
            finds such files and folders; a file that is named itself counts whatever its ending.

    Returns:
        The files, in the order given, sorted within each folder; each once.

    Raises:
        FileNotFoundError: For a path that is not there, or a pattern that nothing fits.
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
        Pairs of a file and the folder that was given; for a file that was named itself or found by a pattern,
        the folder it lies in.

    Raises:
        FileNotFoundError: For a path that is not there, or a pattern that nothing fits.
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
            roots = [path] * len(inside)
        elif path.exists():
            inside, roots = [path], [path.parent]
        else:
            inside, roots = _fitting(path)
        for file, root in zip(inside, roots, strict=True):
            found.setdefault(os.path.realpath(file), (file, root))
    return list(found.values())


def _fitting(pattern: Path) -> tuple[list[Path], list[Path]]:
    """Return the files that a pattern finds, itself or in folders that it fits, and where each was found from."""
    if not glob.has_magic(str(pattern)):
        raise FileNotFoundError(f"{pattern}: no such file or folder")
    fitting = [Path(path) for path in sorted(glob.glob(str(pattern), recursive=True))]
    pairs: list[tuple[Path, Path]] = []
    for path in fitting:
        if not path.is_dir():
            pairs += [(path, path.parent)] if path.suffix.lower() in SUFFIXES else []
        elif "**" not in pattern.parts:
            pairs += [(file, path) for file in _walk(path)]
    if not pairs:
        what = f"fits {len(fitting)} paths, but no audio" if fitting else "fits nothing"
        raise FileNotFoundError(f"{pattern}: this pattern {what}; looked for {', '.join(SUFFIXES)}")
    return [file for file, _ in pairs], [root for _, root in pairs]


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


def _name(source: AudioSource, name: str | None) -> str:
    return name or _FILE if isinstance(source, bytes | Samples) else os.fspath(source)


@contextlib.contextmanager
def _opened(source: str | os.PathLike[str] | bytes, name: str | None) -> Iterator[tuple[Any, IO[bytes]]]:
    soundfile = require("soundfile", install=_EXTRA, purpose="Reading audio files")
    called = _name(source, name)
    # One opening for the checks and the decoder.
    with _stream(source) as stream:
        try:
            _check_ends(called, stream)
        except AudioReadError:
            raise
        except OSError as error:
            raise _unreadable(called, "read", error) from error
        try:
            file = soundfile.SoundFile(stream if isinstance(source, bytes) else stream.fileno(), closefd=False)
        except soundfile.LibsndfileError as error:
            raise AudioReadError(
                called,
                f"is no audio that can be decoded ({_reason(error)}); "
                f"its content has to be wav, flac, ogg, opus, mp3 or aiff",
            ) from error
        with file:
            yield file, stream


def _stream(source: str | os.PathLike[str] | bytes) -> IO[bytes]:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    try:
        return open(source, "rb", buffering=0)
    except FileNotFoundError:
        raise AudioReadError(source, "no such file") from None
    except OSError as error:
        if os.path.isdir(source):
            raise AudioReadError(source, "is a folder; name a file in it") from error
        raise _unreadable(source, "opened", error) from error


def _unreadable(path: str | os.PathLike[str], what: str, error: OSError) -> AudioReadError:
    return AudioReadError(path, f"cannot be {what}: {error.strerror}", transient=error.errno in _PASSING)


def _facts(source: Samples, name: str) -> AudioInfo:
    array = source.array
    if array.ndim not in (1, 2) or 0 in array.shape:
        raise AudioReadError(name, f"samples are (time,) or (channels, time) and not empty, got shape {array.shape}")
    if array.dtype.kind not in "fiu":
        raise AudioReadError(name, f"samples are floating point or integers, got {array.dtype}")
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8:
        raise AudioReadError(
            name, f"{array.dtype} does not say what full scale is: give int16 or int32, whose range it is, or floats"
        )
    if array.ndim == 2 and array.shape[0] > max(_MOST_CHANNELS, array.shape[1]):
        raise AudioReadError(name, f"samples are (channels, time), got {array.shape}: transpose them")
    rate = source.sample_rate
    if isinstance(rate, bool) or not isinstance(rate, int | np.integer) or not 1 <= rate <= _MAX_RATE:
        raise AudioReadError(name, f"its sample rate is an integer of 1 to {_MAX_RATE} Hz, got {rate!r}")
    return AudioInfo(
        path=Path(name),
        sample_rate=int(rate),
        n_channels=1 if array.ndim == 1 else array.shape[0],
        n_frames=array.shape[-1],
        format="SAMPLES",
        subtype=array.dtype.name,
    )


def _floats(frames: np.ndarray) -> np.ndarray:
    if frames.dtype.kind == "f":
        return frames.astype(np.float32)
    bits = 8 * frames.dtype.itemsize - 1
    middle = 2.0**bits if frames.dtype.kind == "u" else 0.0
    return ((frames.astype(np.float64) - middle) / 2.0**bits).astype(np.float32)


def _check_ratio(info: AudioInfo, sample_rate: int | None) -> None:
    if sample_rate is not None and sample_rate > _MAX_RATIO * info.sample_rate:
        raise AudioReadError(
            info.path,
            f"its header says {info.sample_rate} Hz, and resampling to more than {_MAX_RATIO} times "
            f"that, {sample_rate} Hz, is refused; correct the header",
        )


def _mixed(frames: np.ndarray, out: np.ndarray) -> np.ndarray:
    # np.mean over the last axis takes thirty times as long.
    np.add(frames[:, 0], frames[:, 1], out=out)
    for channel in range(2, frames.shape[1]):
        out += frames[:, channel]
    out /= frames.shape[1]
    return out


def _reason(error: Any) -> str:
    return str(getattr(error, "error_string", error)).removeprefix("Error : ").rstrip(".\n").strip().lower()


def _header(path: str, file: Any, stream: IO[bytes]) -> AudioInfo:
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
    log = file.extra_info
    rest = _beyond(log, stream)
    if rest > _JUNK and rest > 0.01 * file.frames * info.n_channels:
        raise AudioReadError(
            path,
            f"its header says {info.n_frames} samples, {rest} bytes that are no part of them follow: the recorder "
            f"stopped early or the header lies; mend it, or convert the file anew",
        )
    if info.n_frames < 1:
        raise AudioReadError(path, "its header says that it holds no samples; fetch or record it again")
    if info.n_frames >= 1 << 62:
        raise AudioReadError(path, "its header does not say how long it is; encode it anew to a file, not a stream")
    said, held = _declared(log)
    if said > held:
        raise AudioReadError(
            path,
            f"is cut off: its header says {said} {_unit(log)}, the file holds {held}; fetch it again",
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


_BEYOND = re.compile(r"Unknown chunk marker(?: \([0-9A-F]+\))? at position (\d+)")
_LENGTH = re.compile(r"^Length\s*:\s*(\d+)", re.MULTILINE)
_JUNK = 256


def _beyond(log: str, stream: IO[bytes]) -> int:
    """Return the bytes after the last chunk that look like audio, which libsndfile leaves alone without a word.

    Tags, text and padding are there by intent: they begin with letters, or repeat zeros or ones.
    """
    unknown, length = _BEYOND.search(log), _LENGTH.search(log)
    if not unknown or not length:
        return 0
    place, here = int(unknown[1]), stream.tell()
    stream.seek(place)
    first = stream.read(4)
    stream.seek(here)
    intended = first[:3].isalnum() or (first.isascii() and first.decode().isprintable()) or first in _PADDING
    return 0 if intended else int(length[1]) - place


_PADDING = (bytes(4), b"\xff" * 4)


def _unit(log: str) -> str:
    return "bytes of audio" if _SIZES.search(log) else "samples"


def _check_ends(path: str, stream: IO[bytes]) -> None:
    size = stream.seek(0, os.SEEK_END)
    if size == 0:
        raise AudioReadError(path, "the file is empty (0 bytes); fetch or record it again")
    stream.seek(0)
    _check_tail(path, stream, size)
    stream.seek(0)


def _check_tail(path: str, file: IO[bytes], size: int) -> None:
    """Refuse what ends before or after its header says, where libsndfile does so in silence."""
    head = file.read(4)
    if head == b"fLaC":
        _check_flac(path, file, size)
        return
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


def _check_flac(path: str, file: IO[bytes], size: int) -> None:
    """Refuse a FLAC file of whole frames that are more or fewer than its header states."""
    file.seek(0)
    head = file.read(42)
    total = int.from_bytes(head[18:26], "big") & ((1 << 36) - 1)
    block, longest = int.from_bytes(head[10:12], "big"), int.from_bytes(head[15:18], "big")
    if len(head) < 42 or head[4] & 0x7F or not total:
        return
    file.seek(max(42, size - max(_FLAC_TAIL, min(longest, 1 << 20))))
    tail = file.read()
    for sync in (b"\xff\xf8", b"\xff\xf9"):
        place = tail.rfind(sync)
        while place >= 0:
            start = _flac_frame(tail[place : place + 16], block)
            # Chance makes headers of frames as well; the sum over the frame is checked where it matters.
            fits = start is None or start < total <= start + block
            if not fits and not _crc(tail[place:], 16, 0x8005):
                raise AudioReadError(
                    path,
                    f"its header says {total} samples, but the last frame begins at sample {start}: it is cut off, or "
                    f"the header lies; fetch it again, or convert it anew",
                )
            if start is not None and fits:
                return
            place = tail.rfind(sync, 0, place)


_FLAC_TAIL = 1 << 14


def _flac_frame(head: bytes, block: int) -> int | None:
    """Return the first sample of the frame that a FLAC frame header announces, or None for what is no such header."""
    if len(head) < 6:
        return None
    ones = 8 - (head[4] ^ 0xFF).bit_length()
    more = max(0, ones - 1)
    extra = {6: 1, 7: 2}.get(head[2] >> 4, 0) + {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    end = 5 + more + extra
    if ones == 1 or ones == 8 or len(head) <= end or _crc(head[: end + 1], 8, 0x07):
        return None
    number = head[4] & (0x7F >> ones)
    for byte in head[5 : 5 + more]:
        number = number << 6 | byte & 0x3F
    return number if head[1] & 1 else number * block


def _crc(content: bytes, bits: int, polynomial: int) -> int:
    remainder, top = 0, 1 << (bits - 1)
    for byte in content:
        remainder ^= byte << (bits - 8)
        for _ in range(8):
            remainder = (remainder << 1 ^ polynomial if remainder & top else remainder << 1) & (2 * top - 1)
    return remainder


def _xing_bytes(file: IO[bytes], head: bytes) -> tuple[int, int] | None:
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


_memory = threading.local()


def _scratch(purpose: str, count: int, n_channels: int) -> np.ndarray | None:
    """Return memory (count, n_channels) that this thread uses again and again, or None for more than a block.

    Fresh memory of this size comes from the system and goes back to it, page by page: that takes as long as reading
    and resampling together.
    """
    needed = count * n_channels
    if count < 1 or needed > _BLOCK:
        return None
    memory: np.ndarray | None = getattr(_memory, purpose, None)
    if memory is None or len(memory) < needed:
        memory = np.empty(needed, np.float32)
        setattr(_memory, purpose, memory)
    return memory[:needed].reshape(count, n_channels)


def _frames(
    path: str, file: Any, stream: IO[bytes], start: int, count: int, *, out: np.ndarray | None = None
) -> np.ndarray:
    # In blocks, so that a header that lies about the length does not decide how much memory is taken.
    import soundfile

    pieces: list[np.ndarray] = []
    got = 0
    try:
        # A decoder that is there already is not started anew.
        if start != file.tell():
            place = min(start, _reached(file, stream)) if file.subtype == "VORBIS" else start
            file.seek(place)
            while place < start and (skipped := len(file.read(min(_BLOCK, start - place), dtype="float32"))):
                place += skipped
        while got < count:
            piece = file.read(min(_BLOCK, count - got), dtype="float32", always_2d=True, out=out)
            pieces.append(piece)
            got += len(piece)
            if not len(piece):
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
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def _reached(file: Any, stream: IO[bytes]) -> int:
    """Return up to which sample libsndfile finds its place in an Ogg Vorbis file.

    It counts back from where a page ends. The last page ends before its last block does, and 1.2.2 comes out beside
    the place by as much, without a word; the page before it is safe, and where there is none the beginning.
    """
    here = stream.tell()
    stream.seek(max(0, stream.seek(0, os.SEEK_END) - 2 * _OGG_PAGE))
    tail = stream.read()
    stream.seek(here)
    last: tuple[int, int] | None = None
    end = len(tail)
    while (end := tail.rfind(b"OggS", 0, end)) >= 0:
        page = tail[end : end + 27]
        if len(page) < 27 or page[4]:
            continue
        position, serial = struct.unpack("<qI", page[6:18])
        if position < 0:
            continue
        if last is None:
            last = position, serial
        else:
            held = last[0] - position
            return max(0, file.frames - held - _VORBIS_BLOCK) if serial == last[1] and held >= 0 else 0
    return 0


_OGG_PAGE = 65_307
_VORBIS_BLOCK = 8192


def _check_values(path: str, info: AudioInfo, frames: np.ndarray) -> None:
    peak = float(np.maximum(frames.max(), -frames.min()))
    if not math.isfinite(peak):
        count = frames.size - int(np.isfinite(frames).sum())
        raise AudioReadError(path, f"holds {count} samples that are NaN or infinite; mend or leave it out")
    if peak > _LOSSY_PEAK and info.subtype in _LOSSY:
        raise AudioReadError(
            path, f"decodes to a peak of {peak:.3g} where full scale is 1: it is damaged; fetch it again"
        )


def _around(info: AudioInfo, start: int, count: int, target: int | None) -> range:
    """Return the samples to read for a span: with its neighbors on both sides where a resampler hears them."""
    margin = 0 if target in (None, info.sample_rate) else _RESAMPLER * -(-info.sample_rate // (target or 1))
    return range(max(0, start - margin), min(info.n_frames, start + count + margin))


def _resampled(frames: np.ndarray, rate: int, target: int, *, mono: bool, first: int, count: int) -> np.ndarray:
    """Resample ``count`` of the frames from ``first`` on; before and after them stand their neighbors."""
    soxr = require("soxr", install=_EXTRA, purpose="Resampling audio files")
    n_frames, n_channels = frames.shape
    length = -(-count * target // rate)
    # The span begins on a sample of the new rate when a whole number of periods of both rates lies before it.
    period = rate // math.gcd(rate, target)
    before = -(-first // period)
    lead = before * period - first
    # soxr rounds the length; the samples after the end are zero to it either way.
    padding = -(-rate // target)
    shape = (lead + n_frames + padding, 1 if mono else n_channels)
    padded = _scratch("resampled", *shape)
    if padded is None:
        padded = np.empty(shape, np.float32)
    padded[:lead] = 0.0
    padded[lead + n_frames :] = 0.0
    held = padded[lead : lead + n_frames]
    if mono and n_channels > 1:
        _mixed(frames, held[:, 0])
    else:
        held[:] = frames
    resampled: np.ndarray = soxr.resample(padded, rate, target, quality="HQ")
    begin = before * target // math.gcd(rate, target)
    return resampled[begin : begin + length]


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
