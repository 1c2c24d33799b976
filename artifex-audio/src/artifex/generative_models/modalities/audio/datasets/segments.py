"""Segments of recordings: their samples, and the comparison of a manifest with the header of the file."""

from __future__ import annotations

from artifex.generative_models.modalities.audio.io import AudioInfo, AudioReadError

_TOLERANCE = 0.02


def segment_span(name: str, start: float, end: float | None, sample_rate: int, n_samples: int) -> tuple[int, int]:
    """Return the samples of a segment.

    Args:
        name: The file, for messages.
        start: Start in seconds.
        end: End in seconds; None means the end of the file. Since manifests contain rounded seconds, an end may exceed the
            file by up to 20 ms.
        sample_rate: Sample rate of the file in Hz.
        n_samples: Samples per channel of the file.

    Returns:
        The first sample and the number of samples, at the file's rate.

    Raises:
        AudioReadError: When the segment is outside the file.

    Example:
        >>> segment_span("a.wav", 0.5, 0.75, 8000, 8000)
        (4000, 2000)
    """
    if not start and end is None:
        return 0, n_samples
    first = round(start * sample_rate)
    last = n_samples if end is None else round(end * sample_rate)
    if last > n_samples + _TOLERANCE * sample_rate or first >= min(last, n_samples):
        until = "its end" if end is None else f"{end:g} s"
        if first == last < n_samples:
            raise AudioReadError(
                name,
                f"the segment from {start:g} s to {until} is shorter than a sample at {sample_rate} Hz; correct the manifest",
            )
        raise AudioReadError(
            name,
            f"the segment from {start:g} s to {until} is outside the recording, which is "
            f"{n_samples / sample_rate:g} s long; correct the manifest",
        )
    return first, min(last, n_samples) - first


def check_header(
    name: str,
    info: AudioInfo,
    *,
    sample_rate: int | None = None,
    n_channels: int | None = None,
    n_samples: int | None = None,
) -> None:
    """Raise when the header of a file differs from its manifest.

    Args:
        name: The file, for messages.
        info: The header.
        sample_rate: Sample rate according to the manifest, Hz; None if unknown.
        n_channels: Number of channels according to the manifest; None if unknown.
        n_samples: Samples per channel according to the manifest; None if unknown.

    Raises:
        AudioReadError: When they differ.
    """
    if sample_rate and n_samples and (sample_rate, n_samples) != (info.sample_rate, info.n_samples):
        raise AudioReadError(
            name,
            f"has changed: expected {n_samples} samples at {sample_rate} Hz, the header declares {info.n_samples} at "
            f"{info.sample_rate} Hz; create the manifest or the dataset again",
        )
    for noun, expected, found, unit in (
        ("sample rate", sample_rate, info.sample_rate, " Hz"),
        ("number of channels", n_channels, info.n_channels, ""),
        ("number of samples", n_samples, info.n_samples, ""),
    ):
        if expected and expected != found:
            raise AudioReadError(
                name,
                f"the {noun} is {found}{unit}, but the manifest declares {expected}{unit}; correct the manifest, or "
                f"drop the column",
            )
