"""Plots of waveforms, spectrograms, mel spectrograms, and a summary of the features of a clip."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from artifex.generative_models.core import plot
from artifex.generative_models.core.checks import check_choice, check_number
from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig
from artifex.generative_models.extensions.audio_processing.spectral.filterbanks import band_frequencies
from artifex.generative_models.extensions.audio_processing.spectral.levels import db_to_unit, level_unit
from artifex.generative_models.extensions.audio_processing.spectral.scales import hz_to_mel, mel_to_hz
from artifex.generative_models.extensions.audio_processing.spectral.summary import clip_features

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class HasAnalysis(Protocol):
    """A configuration with a ``SpectralConfig``, such as an ``AudioModalityConfig`` of artifex-audio."""

    @property
    def analysis(self) -> Any:
        """The ``SpectralConfig``."""
        ...

    @property
    def representation_name(self) -> str:
        """Name of the representation."""
        ...


KINDS = ("power", "magnitude", "level")

_PITCHES = ("C", "", "D", "", "E", "F", "", "G", "", "A", "", "B")


def waveform(audio: Any, config: SpectralConfig | HasAnalysis, *, ax: Axes | None = None, title: str = "") -> Axes:
    """Plot a waveform.

    Args:
        audio: Samples (time,) or (channels, time), full scale [-1, 1].
        config: Analysis configuration, or that of a modality, for the sample rate.
        ax: Axes to draw on; None creates a figure, available as ``figure`` of the returned axes.
        title: Title.

    Returns:
        The axes; the x-axis is in seconds.

    Raises:
        ValueError: If the audio has another shape.
        MissingDependencyError: If matplotlib is missing; install ``artifex-spectral[plot]``.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> [float(second) for second in waveform(np.zeros(800), SpectralConfig(sample_rate=8000)).get_xlim()]
        [0.0, 0.1]

    Reference:
        ``librosa.display.waveshow``.
    """
    config = _spectral_config(config)
    return plot.waveform(audio, config.sample_rate, ax=ax, title=title)


def spectrogram(
    values: Any,
    config: SpectralConfig | HasAnalysis,
    *,
    kind: str | None = None,
    scale: str = "linear",
    db_range: float = 80.0,
    ax: Axes | None = None,
    title: str = "",
) -> Axes:
    """Plot a spectrogram in dB.

    Args:
        values: Result of ``stft``, ``power_spectrogram`` or ``magnitude_spectrogram`` for one clip, or levels in dB,
            (n_fft // 2 + 1, n_frames).
        config: Configuration of the spectrogram, or of the modality that computed it.
        kind: Kind of real values: ``"power"``, ``"magnitude"`` or ``"level"``; None for complex values.
        scale: Frequency axis: ``"linear"``, ``"log"``, or ``"mel"`` for ``config.mel_scale``.
        db_range: Range of the colors in dB, below the maximum.
        ax: Axes to draw on; None creates a figure, available as ``figure`` of the returned axes.
        title: Title.

    Returns:
        The axes; each frame is centered on its time.

    Raises:
        ValueError: If the shape, ``kind`` or ``scale`` is invalid, or a power or magnitude is negative.
        MissingDependencyError: If matplotlib is missing; install ``artifex-spectral[plot]``.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig, stft
        >>> config = SpectralConfig(sample_rate=8000, n_fft=256, n_mels=20)
        >>> spectrogram(stft(np.ones(800, np.float32), config), config).get_ylabel()
        'frequency (Hz)'

    Reference:
        ``librosa.display.specshow``.
    """
    config = _spectral_config(config)
    check_choice("scale", scale, choices=("linear", "log", "mel"))
    array = np.asarray(values)
    _check_rows("a spectrogram", array, config.n_freq, "n_fft // 2 + 1")
    if np.iscomplexobj(array):
        if kind is not None:
            raise ValueError(
                f"kind is for real values only, got kind={kind!r} and complex values; leave out kind={kind!r}"
            )
        array, kind = np.abs(array), "magnitude"
    elif kind is None:
        raise ValueError(
            'kind must be "power" (of power_spectrogram), "magnitude" (of magnitude_spectrogram) or "level" (in dB) for '
            "real values, got None"
        )
    levels, colors = _levels(array, kind, db_range)
    return plot.spectrogram(
        levels,
        (config.n_freq - 1) * config.sample_rate / config.n_fft,
        **_over_time(config),
        **colors,
        scale=(
            (partial(hz_to_mel, mel_scale=config.mel_scale), partial(mel_to_hz, mel_scale=config.mel_scale))
            if scale == "mel"
            else scale
        ),
        ax=ax,
        title=title,
    )


def mel(
    values: Any,
    config: SpectralConfig | HasAnalysis,
    *,
    kind: str | None = None,
    db_range: float = 80.0,
    ax: Axes | None = None,
    title: str = "",
) -> Axes:
    """Plot a mel spectrogram, with band frequencies in Hz.

    Args:
        values: Result of ``mel_spectrogram`` or ``log_mel_spectrogram`` for one clip, (n_mels, n_frames).
        config: Configuration of the mel spectrogram, or of the modality that computed it.
        kind: ``"power"`` or ``"magnitude"``, which are plotted in dB, or ``"level"`` for the result of
            ``log_mel_spectrogram``, which is plotted unchanged. By default that of the representation if ``config`` is
            that of a modality, and that of ``mel_spectrogram`` if it is a ``SpectralConfig``.
        db_range: Range of the colors in dB, below the maximum.
        ax: Axes to draw on; None creates a figure, available as ``figure`` of the returned axes.
        title: Title.

    Returns:
        The axes; band i extends from i to i + 1, and each frame is centered on its time.

    Raises:
        ValueError: If the shape or ``kind`` is invalid, or a power or magnitude is negative.
        MissingDependencyError: If matplotlib is missing; install ``artifex-spectral[plot]``.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig, mel_spectrogram
        >>> config = SpectralConfig(sample_rate=8000, n_fft=512, n_mels=40)
        >>> drawn = mel(mel_spectrogram(np.ones(8000, np.float32), config), config)
        >>> [tick.get_text() for tick in drawn.get_yticklabels()]
        ['250', '500', '1000', '2000']

    Reference:
        ``librosa.display.specshow(…, y_axis="mel")``.
    """
    is_level = getattr(config, "representation_name", "") == "log_mel_spectrogram"
    config = _spectral_config(config)
    array = np.asarray(values)
    _check_rows("a mel spectrogram", array, config.n_mels, "n_mels")
    if kind is None:
        kind = "level" if is_level else "power" if config.power == 2 else "magnitude"
    levels, colors = _levels(array, kind, db_range, config)
    return plot.bands(
        levels,
        band_frequencies(config),
        **_over_time(config),
        **colors,
        ax=ax,
        title=title,
    )


def features(audio: Any, config: SpectralConfig | HasAnalysis, *, title: str = "") -> Figure:
    """Plot a summary of the features of a clip.

    Args:
        audio: Samples (time,) or (channels, time), floating point, full scale [-1, 1]; channels are averaged for the
            features.
        config: Analysis configuration, or that of a modality.
        title: Title of the figure.

    Returns:
        A figure of the waveform with its RMS, the spectrogram with centroid and rolloff, the log-mel spectrogram, MFCC,
        chroma and onset strength, with a common time axis.

    Raises:
        TypeError: If the audio is not real floating point.
        ValueError: If the audio has another shape, or is shorter than a frame.
        MissingDependencyError: If matplotlib is missing; install ``artifex-spectral[plot]``.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> config = SpectralConfig(sample_rate=8000, n_fft=256, n_mels=20)
        >>> figure = features(np.zeros(800, np.float32), config, title="silence")
        >>> figure.savefig("silence.png")  # doctest: +SKIP
    """
    config = _spectral_config(config)
    samples = np.asarray(audio)
    if samples.ndim not in (1, 2) or not samples.size:
        raise ValueError(f"audio must be (time,) or (channels, time) and not empty, got shape {samples.shape}")
    mono = samples.mean(axis=0) if samples.ndim == 2 and samples.dtype.kind == "f" else np.atleast_2d(samples)[0]
    return features_figure(samples, clip_features(mono, config), config, title=title)


def features_figure(
    audio: NDArray[Any], found: Mapping[str, NDArray[Any]], config: SpectralConfig, *, title: str = ""
) -> Figure:
    """Plot a summary from the features that ``clip_features`` returns.

    Args:
        audio: Clip, (time,) or (channels, time).
        found: Features of the clip.
        config: Analysis configuration.
        title: Title of the figure.

    Returns:
        The figure.
    """
    figure = plot.new_figure(10.0, 13.0)
    heights = (1.1, 2.0, 2.0, 1.4, 1.4, 0.9)
    # Color bars in a separate column keep all panels equally wide, so that their time axes are aligned.
    grid = figure.add_gridspec(len(heights), 2, height_ratios=heights, width_ratios=(1.0, 0.018))
    panels = [figure.add_subplot(grid[row, 0]) for row in range(len(heights))]
    bars = {row: figure.add_subplot(grid[row, 1]) for row in (1, 2, 3, 4)}
    over_time = _over_time(config)

    plot.waveform(audio, config.sample_rate, ax=panels[0])
    plot.lines({"RMS": found["rms"]}, **over_time, ax=panels[0], colors=["black"])
    panels[0].set_title("Waveform")
    peak = float(np.max(np.abs(audio), initial=0.0, where=np.isfinite(audio))) or 1.0
    panels[0].set_ylim(-1.1 * peak, 1.1 * peak)

    levels, colors = _levels(found["power"], "power", 80.0)
    plot.spectrogram(
        levels,
        float(found["power_frequencies"][-1]),
        **over_time,
        **colors,
        ax=panels[1],
        bar=bars[1],
        title=f"Spectrogram, n_fft {config.n_fft}, hop {config.hop}",
    )
    rolloff = f"{100 * config.rolloff_fraction:g} % rolloff"
    curves = {"centroid": found["spectral_centroid"], rolloff: found["spectral_rolloff"]}
    plot.lines(curves, **over_time, ax=panels[1], colors=["cyan", "lime"])
    panels[1].set_ylim(0.0, config.sample_rate / 2)

    levels, colors = _levels(found["log_mel_spectrogram"], "level", 80.0, config)
    plot.bands(
        levels,
        band_frequencies(config),
        **over_time,
        **colors,
        ax=panels[2],
        bar=bars[2],
        title=f"Levels of {config.n_mels} {_SCALE_NAMES.get(config.mel_scale, config.mel_scale)} bands",
    )
    _draw_cepstra(found["mfcc"], config, panels[3], bars[3])
    plot.rows(
        found["chroma"],
        **over_time,
        names=_PITCHES,
        label="relative power",
        limits=(0.0, 1.0),
        row="pitch class",
        ax=panels[4],
        bar=bars[4],
        title="Chroma",
    )
    panels[4].tick_params(axis="y", labelsize="x-small")
    plot.lines({"onset strength": found["onset_strength"]}, **over_time, label="increase (dB)", ax=panels[5])
    panels[5].set_title("Onset strength")
    for panel in panels:
        panel.set_xlim(0.0, np.shape(audio)[-1] / config.sample_rate)
        panel.title.set_fontsize("medium")
    for panel in panels[:-1]:
        panel.set_xlabel("")
        panel.tick_params(labelbottom=False)
    figure.align_ylabels(panels)
    if title:
        figure.suptitle(title)
    return figure


_SCALE_NAMES = {"slaney": "mel", "htk": "mel", "kaldi": "mel", "bark": "Bark", "erb": "ERB"}


def _draw_cepstra(values: NDArray[Any], config: SpectralConfig, panel: Axes, bar: Axes) -> None:
    # Coefficient 0 is the level. It is omitted, because its range would give all others the same color.
    others = values if len(values) == 1 else values[:-1] if config.c0_last else values[1:]
    first = 0 if len(values) == 1 else 1
    # Coefficients much smaller than the largest one are rounding errors, such as those of a flat spectrum.
    largest, limit = (float(np.max(np.abs(x), initial=0.0, where=np.isfinite(x))) for x in (values, others))
    limit = max(limit, 1e-3 * largest) or 1.0
    plot.rows(
        others,
        **_over_time(config),
        first=first,
        row="coefficient",
        label="MFCC",
        limits=(-limit, limit),
        diverging=True,
        ax=panel,
        bar=bar,
        title=f"MFCC {first} to {len(values) - 1}" if len(values) > 1 else "MFCC 0",
    )


def _spectral_config(config: SpectralConfig | HasAnalysis) -> SpectralConfig:
    analysis = config if isinstance(config, SpectralConfig) else getattr(config, "analysis", None)
    if not isinstance(analysis, SpectralConfig):
        raise TypeError(
            f"config must be a SpectralConfig or an AudioModalityConfig, got {type(config).__name__}; pass the array "
            f"first, then the configuration"
        )
    return analysis


def _over_time(config: SpectralConfig) -> dict[str, Any]:
    """Return the time between frames and the center of the first frame, in seconds."""
    return {
        "step": config.hop / config.sample_rate,
        "start": (config.frame_length / 2 - config.padding) / config.sample_rate,
    }


def _check_rows(plotted: str, array: NDArray[Any], rows: int, name: str) -> None:
    if array.ndim != 2 or array.shape[0] != rows or not array.shape[1]:
        raise ValueError(
            f"{plotted} must be ({name} = {rows}, n_frames) for this configuration, got shape {array.shape}; plot one clip at "
            f"a time, with the configuration it was computed with"
        )


def _levels(
    values: NDArray[Any], kind: str, db_range: float, config: SpectralConfig | None = None
) -> tuple[NDArray[Any], dict[str, Any]]:
    """Return the levels to plot, and the label and limits of their colors. Without a configuration they are in dB."""
    check_choice("kind", kind, choices=KINDS)
    check_number("db_range", db_range, above=0, unit="dB")
    if kind != "level":
        if np.iscomplexobj(values):
            raise TypeError(f"kind {kind!r} is for real values, got complex values")
        if np.any(values < 0):
            raise ValueError(f'values of kind {kind!r} must not be negative; pass kind="level" for levels')
        powers = values if kind == "power" else np.square(values.astype(np.float64))
        levels = plot.decibels_below_maximum(powers, db_range=db_range)
        return levels, {"label": "dB re max", "limits": (-db_range, 0.0)}
    label, span = "dB", db_range
    if config is not None:
        label = f"level ({level_unit(config)})"
        span = db_to_unit(db_range, config) * abs(config.level_scale)
    finite = np.isfinite(values)
    low = float(np.min(values, initial=np.inf, where=finite)) if finite.any() else 0.0
    high = float(np.max(values, initial=-np.inf, where=finite)) if finite.any() else 0.0
    # At least an eighth of the range, to hide the rounding errors of a flat spectrum; the full range for silence.
    spread = span if high == low else float(np.clip(high - low, span / 8, span))
    from_low = high == low or (config is not None and config.level_scale < 0)
    return values, {"label": label, "limits": (low, low + spread) if from_low else (high - spread, high)}
