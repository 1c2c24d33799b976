"""Checks for truncated, damaged and inconsistent audio files that libsndfile reads without an error."""

from __future__ import annotations

import math
import os
import re

import numpy as np

from artifex.generative_models.modalities.audio.io.sources import MAX_SAMPLE_RATE, AudioInfo, AudioReadError

MAX_PEAK_VARIABLE = "ARTIFEX_MAX_PEAK"
"""Environment variable with the highest magnitude that samples of floating-point files may have, full scale 1."""

_LOSSY = (
    *("VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III"),
    *("AAC", "AC3", "EAC3", "AMR_NB", "AMR_WB", "WMAV1", "WMAV2"),
)
_INTEGER = ("PCM_", "ULAW", "ALAW", "int", "uint")
_FLOATING_POINT = ("FLOAT", "DOUBLE")
_MAX_LOSSY_PEAK = 8.0
_MAX_FLOAT_PEAK = 100.0  # +40 dB; one flipped bit of an exponent multiplies a sample by 2**16 or more, or by 256
_UNKNOWN_SIZE = 0x7F000000  # recorders that write to a pipe store this size or a larger one

# libsndfile's log of a file, in which it notes inconsistencies that are not errors.
_LOGGED_BYTES = re.compile(r"^\s*(?:data|SSND|Data Size|riff)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
_LOGGED_SAMPLES = re.compile(r"Calculated frame count (\d+) does not match value from 'ds64' chunk of (\d+)")


def check_header(info: AudioInfo, log: str) -> None:
    """Raise if the header of a file is implausible or contradicts the file.

    Args:
        info: The header as libsndfile returns it.
        log: libsndfile's log of the file.

    Raises:
        AudioReadError: When the sample rate or the number of samples is implausible, the file is truncated.
    """
    path = info.path
    if not 1 <= info.sample_rate <= MAX_SAMPLE_RATE:
        raise AudioReadError(path, f"implausible sample rate in the header: {info.sample_rate} Hz; correct the header")
    if info.n_samples < 1:
        raise AudioReadError(path, "the header declares 0 samples; download or record it again")
    if info.n_samples >= 1 << 62:
        raise AudioReadError(path, "the header does not declare a length; encode it to a file instead of a stream")
    declared, found, unit = _logged_sizes(log)
    if declared > found:
        raise AudioReadError(
            path, f"is truncated: the header declares {declared} {unit}, the file contains {found}; download it again"
        )


def check_samples(info: AudioInfo, samples: np.ndarray) -> None:
    """Raise if decoded samples are not finite or far beyond full scale.

    Samples of lossy formats may reach 8, those of floating-point files ``max_float_peak()``.

    Args:
        info: The header of the recording.
        samples: Samples of any shape, not empty.

    Raises:
        AudioReadError: For such samples.
    """
    if info.subtype.startswith(_INTEGER):  # bounded by their format
        return
    peak = float(np.maximum(samples.max(), -samples.min()))
    if not math.isfinite(peak):
        count = samples.size - int(np.isfinite(samples).sum())
        raise AudioReadError(info.path, f"contains {count} samples that are NaN or infinite; repair or exclude it")
    if peak > _MAX_LOSSY_PEAK and info.subtype in _LOSSY:
        raise AudioReadError(
            info.path, f"decodes to a peak of {peak:.3g} (full scale is 1): it is damaged; download it again"
        )
    if info.subtype in _FLOATING_POINT and peak > (most := max_float_peak()):
        raise AudioReadError(
            info.path,
            f"contains floating-point samples of magnitude {peak:.3g} (full scale is 1, {most:g} is accepted): it is damaged "
            f"or stores integers as floats; scale it, or set {MAX_PEAK_VARIABLE} to a higher limit",
        )


def max_float_peak() -> float:
    """Return the highest magnitude that samples of floating-point files may have.

    Returns:
        100 (+40 dB), or the value of the environment variable ``ARTIFEX_MAX_PEAK``.

    Raises:
        ValueError: When the variable is not a positive number.

    Example:
        >>> max_float_peak()
        100.0
    """
    given = os.environ.get(MAX_PEAK_VARIABLE)
    if given is None:
        return _MAX_FLOAT_PEAK
    try:
        most = float(given)
    except ValueError:
        most = math.nan
    if not most > 0:
        raise ValueError(f"{MAX_PEAK_VARIABLE} must be a positive number such as 40000, or inf, got {given!r}")
    return most


def _logged_sizes(log: str) -> tuple[int, int, str]:
    """Return the declared and the found size, and their unit, from libsndfile's log; zeros if they agree."""
    if match := _LOGGED_BYTES.search(log):
        declared, found = int(match[1]), int(match[2])
        return (0, 0, "") if declared >= _UNKNOWN_SIZE else (declared, found, "bytes of audio")
    if match := _LOGGED_SAMPLES.search(log):
        return int(match[2]), int(match[1]), "samples"
    return 0, 0, ""
