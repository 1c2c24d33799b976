"""Writing audio files atomically."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from artifex.generative_models.core.checks import check_flag, check_integer
from artifex.generative_models.core.extras import require
from artifex.generative_models.core.files import atomic_path
from artifex.generative_models.modalities.audio.io.sources import MAX_SAMPLE_RATE

_DEFAULT_ENCODINGS = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".aiff": ("AIFF", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}


def write_audio(
    path: str | os.PathLike[str],
    audio: npt.ArrayLike,
    sample_rate: int,
    *,
    clip: bool = False,
    subtype: str | None = None,
) -> None:
    """Write an audio file atomically.

    Args:
        path: A file that ends in .wav, .flac, .aiff, .ogg, .opus or .mp3. An existing file is replaced.
        audio: Floating-point samples (time,) or (channels, time), full scale [-1, 1].
        sample_rate: Sample rate in Hz.
        clip: Whether to clip samples beyond full scale. Otherwise they raise, unless ``subtype`` is ``"FLOAT"`` or
            ``"DOUBLE"``, which store them.
        subtype: Encoding, such as ``"PCM_24"``; by default 16-bit PCM for lossless formats.

    Raises:
        TypeError: When the samples are not floating-point.
        FileNotFoundError: When the folder does not exist.
        PermissionError: When the folder cannot be written to.
        ValueError: When the shape, suffix, rate or encoding is not supported, or samples are NaN, infinite or beyond
            full scale.
        MissingDependencyError: Without the extra ``artifex-audio[files]``.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "loud.flac"
        >>> write_audio(path, np.array([0.0, 2.0]), 16000)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: audio must be within full scale [-1, 1], got a peak of 2; scale it, pass clip=True to clip it, or ...
        >>> write_audio(path, np.array([0.0, 2.0]), 16000, clip=True)
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            f"path must be a file name, got {type(path).__name__}; call write_audio(path, audio, sample_rate)"
        )
    check_flag("clip", clip)
    check_integer("sample_rate", sample_rate, minimum=1, maximum=MAX_SAMPLE_RATE, unit="Hz")
    target = Path(path)
    if target.suffix.lower() not in _DEFAULT_ENCODINGS:
        raise ValueError(f"path must end in {', '.join(_DEFAULT_ENCODINGS)}, got {str(target)!r}")
    container, default_encoding = _DEFAULT_ENCODINGS[target.suffix.lower()]
    encoding = default_encoding if subtype is None else subtype.upper()
    samples = _checked_samples(audio)
    peak = float(np.abs(samples).max())
    if clip:
        samples = np.clip(samples, -1.0, 1.0)
    elif peak > 1 and encoding not in ("FLOAT", "DOUBLE"):
        raise ValueError(
            f"audio must be within full scale [-1, 1], got a peak of {peak:g}; scale it, pass clip=True to clip it, "
            f'or subtype="FLOAT" to store it unchanged'
        )
    soundfile = require("soundfile", install="artifex-audio[files]", purpose="Writing audio files")
    if not soundfile.check_format(container, encoding):
        known = ", ".join(soundfile.available_subtypes(container))
        raise ValueError(f"subtype for {target.suffix} must be one of {known}, got {subtype!r}")
    check_writable_folder(target)
    with atomic_path(target) as temporary:
        try:
            soundfile.write(temporary, samples.T, sample_rate, format=container, subtype=encoding)
        except soundfile.LibsndfileError as error:
            n_channels = 1 if samples.ndim == 1 else len(samples)
            raise ValueError(
                f"{target}: {container} {encoding} does not support {n_channels} channels at {sample_rate} Hz; audio must "
                f"be (time,) or (channels, time), got shape {samples.shape}"
            ) from error


def check_writable_folder(path: Path) -> None:
    """Raise unless the folder of a file exists and can be written to.

    Args:
        path: The file to write.

    Raises:
        FileNotFoundError: When the folder does not exist.
        PermissionError: When the folder cannot be written to.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: the folder {path.parent} does not exist; create it first")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"{path}: the folder {path.parent} cannot be written to; choose another folder")


def _checked_samples(audio: npt.ArrayLike) -> np.ndarray:
    samples = np.asarray(audio)
    if samples.dtype.kind != "f" and samples.dtype.name != "bfloat16":
        raise TypeError(
            f"audio must be floating-point with full scale [-1, 1], got {samples.dtype}; divide integers by their range"
        )
    if samples.ndim not in (1, 2) or 0 in samples.shape:
        raise ValueError(f"audio must be (time,) or (channels, time) and not empty, got shape {samples.shape}")
    if samples.dtype != np.float64:
        samples = samples.astype(np.float32)
    if not np.isfinite(samples).all():
        count = samples.size - int(np.isfinite(samples).sum())
        raise ValueError(f"audio must be finite, got {count} samples that are NaN or infinite; nothing was written")
    return samples
