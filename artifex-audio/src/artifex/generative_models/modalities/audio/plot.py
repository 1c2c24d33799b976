"""Pictures of waveforms and spectrograms, drawn with matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from artifex.generative_models.core.checks import check_choice, check_integer, check_number
from artifex.generative_models.core.extras import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEL_SCALES = ("slaney", "htk")

_MEL_TICKS = (125, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000)
_TINY = float(np.finfo(np.float32).tiny)


def waveform(audio: Any, sample_rate: int, *, ax: Axes | None = None, title: str = "") -> Axes:
    """Draw a waveform over time.

    Args:
        audio: Samples (time,) or (channels, time), full scale [-1, 1].
        sample_rate: Samples per second, Hz.
        ax: Where to draw; None makes a figure, which is ``ax.figure`` of what is returned.
        title: The title.

    Returns:
        The axes, seconds from left to right.

    Raises:
        ValueError: For another shape.
        MissingDependencyError: Without the extra ``artifex-audio[plot]``.

    Example:
        >>> waveform(np.zeros(800), 8000).get_xlabel()
        'time (s)'
    """
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    samples = np.asarray(audio, np.float32)
    if samples.ndim not in (1, 2) or not samples.size:
        raise ValueError(f"audio is (time,) or (channels, time) and not empty, got shape {samples.shape}")
    ax = _axes(ax)
    seconds = np.arange(samples.shape[-1]) / sample_rate
    for channel in np.atleast_2d(samples):
        ax.plot(seconds, channel, linewidth=0.6, alpha=0.85)
    ax.set_xlim(0.0, samples.shape[-1] / sample_rate)
    limit = max(1.0, float(np.nanmax(np.abs(samples))))
    ax.set_ylim(-limit, limit)
    ax.set_xlabel("time (s)")
    ax.set_ylabel("amplitude")
    ax.set_title(title)
    return ax


def spectrogram(
    values: Any,
    sample_rate: int,
    hop_length: int,
    *,
    power: bool = False,
    db_range: float = 80.0,
    ax: Axes | None = None,
    title: str = "",
) -> Axes:
    """Draw a spectrogram with a linear frequency axis.

    Args:
        values: Spectra (n_fft // 2 + 1, n_frames), complex, or magnitudes, or powers with ``power=True``.
        sample_rate: Samples per second, Hz.
        hop_length: Samples from one frame to the next.
        power: Whether real values are powers.
        db_range: How far below the maximum the colours reach, dB.
        ax: Where to draw; None makes a figure, which is ``ax.figure`` of what is returned.
        title: The title.

    Returns:
        The axes, Hz from bottom to top and seconds from left to right, with a colour bar in dB below the
        maximum.

    Raises:
        ValueError: For another shape.
        MissingDependencyError: Without the extra ``artifex-audio[plot]``.

    Example:
        >>> spectrogram(np.ones((513, 10)), 16000, 256).get_ylabel()
        'frequency (Hz)'
    """
    decibels = _decibels(values, power=power, db_range=db_range)
    ax = _axes(ax)
    half_bin = sample_rate / 4 / max(1, len(decibels) - 1)
    _image(ax, decibels, sample_rate, hop_length, (-half_bin, sample_rate / 2 + half_bin), db_range)
    ax.set_ylim(0.0, sample_rate / 2)
    ax.set_ylabel("frequency (Hz)")
    ax.set_title(title)
    return ax


def mel(
    values: Any,
    sample_rate: int,
    hop_length: int,
    *,
    power: bool = True,
    f_min: float = 0.0,
    f_max: float | None = None,
    mel_scale: str = "slaney",
    db_range: float = 80.0,
    ax: Axes | None = None,
    title: str = "",
) -> Axes:
    """Draw a mel spectrogram, its frequency axis labelled in Hz.

    Args:
        values: Mel powers (n_mels, n_frames), or magnitudes with ``power=False``.
        sample_rate: Samples per second, Hz.
        hop_length: Samples from one frame to the next.
        power: Whether the values are powers.
        f_min: Lower edge of the lowest band, Hz.
        f_max: Upper edge of the highest band, Hz; None means half the sample rate.
        mel_scale: ``"slaney"`` or ``"htk"``.
        db_range: How far below the maximum the colours reach, dB.
        ax: Where to draw; None makes a figure, which is ``ax.figure`` of what is returned.
        title: The title.

    Returns:
        The axes, seconds from left to right, with a colour bar in dB below the maximum.

    Raises:
        ValueError: For another shape or an unknown scale.
        MissingDependencyError: Without the extra ``artifex-audio[plot]``.

    Example:
        >>> [tick.get_text() for tick in mel(np.ones((80, 10)), 8000, 256).get_yticklabels()]
        ['2000', '1000', '500', '250']
    """
    check_choice("mel_scale", mel_scale, choices=MEL_SCALES)
    decibels = _decibels(values, power=power, db_range=db_range)
    top = sample_rate / 2 if f_max is None else f_max
    n_mels = len(decibels)
    edges = hz_to_mel(np.array([f_min, top]), mel_scale=mel_scale)
    ticks = np.array([hz for hz in _MEL_TICKS if f_min <= hz < top], float)
    band = (hz_to_mel(ticks, mel_scale=mel_scale) - edges[0]) / (edges[1] - edges[0]) * (n_mels + 1) - 0.5
    ax = _axes(ax)
    _image(ax, decibels, sample_rate, hop_length, (0.0, n_mels), db_range)
    shown: list[tuple[float, float]] = []
    for place, hz in zip(band[::-1], ticks[::-1], strict=True):
        if 0 <= place <= n_mels and (not shown or shown[-1][0] - place > 0.06 * n_mels):
            shown.append((float(place), float(hz)))
    ax.set_yticks([place for place, _ in shown], [f"{hz:.0f}" for _, hz in shown])
    ax.set_ylabel("frequency (Hz, mel scale)")
    ax.set_title(title)
    return ax


def hz_to_mel(frequency: Any, *, mel_scale: str = "slaney") -> np.ndarray:
    """Convert Hz to mel, for the ticks of an axis.

    Args:
        frequency: Frequencies, Hz.
        mel_scale: ``"slaney"`` (linear below 1 kHz) or ``"htk"``.

    Returns:
        Mels, of the same shape.

    Example:
        >>> hz_to_mel([0.0, 1000.0])
        array([ 0., 15.])

    Reference:
        Slaney, Auditory Toolbox (1998); the HTK Book, section 5.4.
    """
    check_choice("mel_scale", mel_scale, choices=MEL_SCALES)
    hz = np.asarray(frequency, float)
    if mel_scale == "htk":
        return np.asarray(2595.0 * np.log10(1.0 + hz / 700.0))
    logarithmic = 15.0 + 27.0 * np.log(np.maximum(hz, 1000.0) / 1000.0) / np.log(6.4)
    return np.where(hz < 1000.0, hz * 3.0 / 200.0, logarithmic)


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    require("matplotlib", install="artifex-audio[plot]", purpose="Drawing")
    from matplotlib.figure import Figure

    return Figure(figsize=(8.0, 3.0), layout="constrained").add_subplot()


def _decibels(values: Any, *, power: bool, db_range: float) -> np.ndarray:
    check_number("db_range", db_range, above=0, unit="dB")
    array = np.asarray(values)
    if array.ndim != 2 or not array.size:
        raise ValueError(
            f"a spectrogram is (freq, time) and not empty, got shape {array.shape}; draw one example at a time"
        )
    powers = np.abs(array).astype(np.float64)
    if not power or np.iscomplexobj(array):
        powers = powers**2
    top = float(np.max(powers, initial=0.0, where=np.isfinite(powers)))
    relative = 10.0 * np.log10(np.maximum(powers, _TINY) / max(top, _TINY))
    return relative if top > 0 else np.full_like(relative, -db_range)


def _image(
    ax: Axes,
    decibels: np.ndarray,
    sample_rate: int,
    hop_length: int,
    vertical: tuple[float, float],
    db_range: float,
) -> None:
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    check_integer("hop_length", hop_length, minimum=1, unit="samples")
    hop, n_frames = hop_length / sample_rate, decibels.shape[1]
    image = ax.imshow(
        decibels,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=-db_range,
        vmax=0.0,
        extent=(-0.5 * hop, (n_frames - 0.5) * hop, *vertical),
    )
    ax.set_xlim(0.0, max(n_frames - 0.5, 0.5) * hop)
    ax.set_xlabel("time (s)")
    ax.figure.colorbar(image, ax=ax, label="dB below the maximum", pad=0.015)
