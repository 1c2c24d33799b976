"""Pictures of waveforms, spectrograms, mel bands, and of a clip's features, with the axes of a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from artifex.generative_models.core import plot
from artifex.generative_models.core.checks import check_choice, check_number
from artifex.generative_models.extensions.audio_processing.spectral.filterbanks import band_frequencies
from artifex.generative_models.extensions.audio_processing.spectral.overview import clip_features
from artifex.generative_models.extensions.audio_processing.spectral.scales import SCALES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig

KINDS = ("power", "magnitude", "level")

_PITCHES = ("C", "", "D", "", "E", "F", "", "G", "", "A", "", "B")
_BELOW = "dB re max"


def waveform(audio: Any, config: SpectralConfig, *, ax: Axes | None = None, title: str = "") -> Axes:
    """Draw a waveform over time.

    Args:
        audio: Samples (time,) or (channels, time), full scale [-1, 1].
        config: The conventions; the sample rate counts.
        ax: Where to draw; None makes a figure, which is ``ax.figure`` of what is returned.
        title: The title.

    Returns:
        The axes, seconds from left to right.

    Raises:
        ValueError: For another shape.
        MissingDependencyError: Without matplotlib, which the extra ``artifex-spectral[plot]`` brings.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> [float(second) for second in waveform(np.zeros(800), SpectralConfig(sample_rate=8000)).get_xlim()]
        [0.0, 0.1]

    Reference:
        ``librosa.display.waveshow``.
    """
    return plot.waveform(audio, config.sample_rate, ax=ax, title=title)


def spectrogram(
    values: Any,
    config: SpectralConfig,
    *,
    kind: str | None = None,
    scale: str = "linear",
    db_range: float = 80.0,
    ax: Axes | None = None,
    title: str = "",
) -> Axes:
    """Draw a spectrogram in dB over seconds and Hz.

    Args:
        values: What ``stft``, ``power_spectrogram`` or ``magnitude_spectrogram`` returns for one clip, or levels of
            it in dB, (n_fft // 2 + 1, n_frames).
        config: The conventions that made them.
        kind: What real values are: ``"power"``, ``"magnitude"`` or ``"level"``; None for complex ones.
        scale: How frequencies are spread: ``"linear"``, ``"log"``, or ``"mel"`` for ``config.mel_scale``.
        db_range: How far below the maximum the colors reach, dB.
        ax: Where to draw; None makes a figure, which is ``ax.figure`` of what is returned.
        title: The title.

    Returns:
        The axes; each frame lies around the second on which it is centered.

    Raises:
        ValueError: For another shape, kind or scale, or powers or magnitudes below 0.
        MissingDependencyError: Without matplotlib, which the extra ``artifex-spectral[plot]`` brings.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig, stft
        >>> config = SpectralConfig(sample_rate=8000, n_fft=256, n_mels=20)
        >>> spectrogram(stft(np.ones(800, np.float32), config), config).get_ylabel()
        'frequency (Hz)'

    Reference:
        ``librosa.display.specshow``.
    """
    check_choice("scale", scale, choices=("linear", "log", "mel"))
    array = np.asarray(values)
    _check_rows("a spectrogram", array, config.n_freq, "n_fft // 2 + 1")
    if np.iscomplexobj(array):
        if kind is not None:
            raise ValueError(f"kind says what real values are, and these are complex: leave out kind={kind!r}")
        array, kind = np.abs(array), "magnitude"
    elif kind is None:
        raise ValueError(
            'kind has to say what real values are: "power" (of power_spectrogram), "magnitude" (of '
            'magnitude_spectrogram) or "level" (in dB)'
        )
    levels, label, limits = _levels(array, kind, db_range)
    return plot.spectrogram(
        levels,
        (config.n_freq - 1) * config.sample_rate / config.n_fft,
        **_over_time(config),
        label=label,
        limits=limits,
        scale=SCALES[config.mel_scale] if scale == "mel" else scale,
        ax=ax,
        title=title,
    )


def mel(
    values: Any,
    config: SpectralConfig,
    *,
    kind: str | None = None,
    db_range: float = 80.0,
    ax: Axes | None = None,
    title: str = "",
) -> Axes:
    """Draw mel bands, labeled in Hz, over seconds.

    Args:
        values: What ``mel_spectrogram`` or ``log_mel_spectrogram`` returns for one clip, (n_mels, n_frames).
        config: The conventions that made them.
        kind: ``"power"`` or ``"magnitude"`` for what is drawn in dB, ``"level"`` for what ``log_mel_spectrogram``
            gives, which is drawn as it is; None for what ``mel_spectrogram`` gives by ``config.power``.
        db_range: How far below the maximum the colors reach, dB.
        ax: Where to draw; None makes a figure, which is ``ax.figure`` of what is returned.
        title: The title.

    Returns:
        The axes; band i lies from i to i + 1, each frame around the second on which it is centered.

    Raises:
        ValueError: For another shape or kind, or powers or magnitudes below 0.
        MissingDependencyError: Without matplotlib, which the extra ``artifex-spectral[plot]`` brings.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig, mel_spectrogram
        >>> config = SpectralConfig(sample_rate=8000, n_fft=512, n_mels=40)
        >>> drawn = mel(mel_spectrogram(np.ones(8000, np.float32), config), config)
        >>> [tick.get_text() for tick in drawn.get_yticklabels()]
        ['250', '500', '1000', '2000']

    Reference:
        ``librosa.display.specshow(…, y_axis="mel")``.
    """
    array = np.asarray(values)
    _check_rows("a mel spectrogram", array, config.n_mels, "n_mels")
    if kind is None:
        kind = "power" if config.power == 2 else "magnitude"
    levels, label, limits = _levels(array, kind, db_range, config)
    return plot.bands(
        levels,
        band_frequencies(config),
        **_over_time(config),
        label=label,
        limits=limits,
        ax=ax,
        title=title,
    )


def features(audio: Any, config: SpectralConfig, *, title: str = "") -> Figure:
    """Draw a clip and its features, one above the other.

    Args:
        audio: Samples (time,) or (channels, time), floating point, full scale [-1, 1]; the features are those of
            the mean of the channels.
        config: The conventions.
        title: The title of the whole.

    Returns:
        A figure of the waveform with its RMS, the spectrogram with centroid and rolloff, mel levels, MFCC, pitch
        classes and onset strength, all over the same seconds.

    Raises:
        TypeError: When the audio is not of a real floating dtype.
        ValueError: For another shape, or a clip that is shorter than an uncentered frame.
        MissingDependencyError: Without matplotlib, which the extra ``artifex-spectral[plot]`` brings.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> config = SpectralConfig(sample_rate=8000, n_fft=256, n_mels=20)
        >>> figure = features(np.zeros(800, np.float32), config, title="silence")
        >>> figure.savefig("silence.png")  # doctest: +SKIP
    """
    samples = np.asarray(audio)
    if samples.ndim not in (1, 2) or not samples.size:
        raise ValueError(f"audio is (time,) or (channels, time) and not empty, got shape {samples.shape}")
    mono = samples.mean(axis=0) if samples.ndim == 2 and samples.dtype.kind == "f" else np.atleast_2d(samples)[0]
    return features_figure(samples, clip_features(mono, config), config, title=title)


def features_figure(
    audio: NDArray[Any], found: Mapping[str, NDArray[Any]], config: SpectralConfig, *, title: str = ""
) -> Figure:
    """Draw what ``clip_features`` found of a clip, as ``features`` does.

    Args:
        audio: The clip, (time,) or (channels, time).
        found: Its features.
        config: The conventions that made them.
        title: The title of the whole.

    Returns:
        The figure.
    """
    figure = plot.new_figure(10.0, 13.0)
    heights = (1.1, 2.0, 2.0, 1.4, 1.4, 0.9)
    # Color bars in a column of their own leave all panels as wide as each other, so that seconds line up.
    grid = figure.add_gridspec(len(heights), 2, height_ratios=heights, width_ratios=(1.0, 0.018))
    panels = [figure.add_subplot(grid[row, 0]) for row in range(len(heights))]
    bars = {row: figure.add_subplot(grid[row, 1]) for row in (1, 2, 3, 4)}
    over_time = _over_time(config)

    plot.waveform(audio, config.sample_rate, ax=panels[0])
    level = found["rms"]
    name = "RMS"
    plot.lines({name: level}, **over_time, ax=panels[0], colors=["black"])
    panels[0].set_title("Waveform")
    peak = float(np.max(np.abs(audio), initial=0.0, where=np.isfinite(audio))) or 1.0
    panels[0].set_ylim(-1.1 * peak, 1.1 * peak)

    levels, label, limits = _levels(found["power"], "power", 80.0)
    plot.spectrogram(
        levels,
        float(found["power_frequencies"][-1]),
        **over_time,
        label=label,
        limits=limits,
        ax=panels[1],
        bar=bars[1],
        title=f"Spectrogram, n_fft {config.n_fft}, hop {config.hop}",
    )
    share = f"{100 * config.rolloff_share:g} % rolloff"
    curves = {"centroid": found["spectral_centroid"], share: found["spectral_rolloff"]}
    plot.lines(curves, **over_time, ax=panels[1], colors=["cyan", "lime"])
    panels[1].set_ylim(0.0, config.sample_rate / 2)

    levels, label, limits = _levels(found["log_mel_spectrogram"], "level", 80.0, config)
    plot.bands(
        levels,
        band_frequencies(config),
        **over_time,
        label=label,
        limits=limits,
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
    plot.lines({"onset strength": found["onset_strength"]}, **over_time, label="rise (dB)", ax=panels[5])
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
_UNITS = {"db": "dB", "ln": "natural log", "log10": "log10"}


def _draw_cepstra(values: NDArray[Any], config: SpectralConfig, panel: Axes, bar: Axes) -> None:
    # The first coefficient is the level, and so large that the others would all have one color.
    others = values if len(values) == 1 else values[:-1] if config.c0_last else values[1:]
    first = 0 if len(values) == 1 else 1
    # Beside it, what is left of a flat spectrum is rounding.
    largest, reach = (float(np.max(np.abs(x), initial=0.0, where=np.isfinite(x))) for x in (values, others))
    reach = max(reach, 1e-3 * largest) or 1.0
    plot.rows(
        others,
        **_over_time(config),
        first=first,
        row="coefficient",
        label="MFCC",
        limits=(-reach, reach),
        diverging=True,
        ax=panel,
        bar=bar,
        title=f"MFCC {first} to {len(values) - 1}" if len(values) > 1 else "MFCC 0",
    )


def _over_time(config: SpectralConfig) -> dict[str, Any]:
    """Seconds from frame to frame, and on which the first is centered."""
    return {
        "step": config.hop / config.sample_rate,
        "start": (config.frame / 2 - config.padding) / config.sample_rate,
    }


def _check_rows(what: str, array: NDArray[Any], rows: int, name: str) -> None:
    if array.ndim != 2 or array.shape[0] != rows or not array.shape[1]:
        raise ValueError(
            f"{what} of this configuration is ({name} = {rows}, n_frames), got shape {array.shape}; draw one clip at "
            f"a time, with the configuration that made it"
        )


def _levels(
    values: NDArray[Any], kind: str, db_range: float, config: SpectralConfig | None = None
) -> tuple[NDArray[Any], str, tuple[float, float]]:
    """What is drawn, what its colors are, and where they begin and end; without a configuration levels are in dB."""
    check_choice("kind", kind, choices=KINDS)
    check_number("db_range", db_range, above=0, unit="dB")
    if kind != "level":
        if np.iscomplexobj(values):
            raise TypeError(f"a {kind} is real, got complex values")
        if np.any(values < 0):
            raise ValueError(f'kind is {kind!r}, but some values are below 0; pass kind="level" for levels')
        powers = values if kind == "power" else np.square(values.astype(np.float64))
        return plot.decibels_below_maximum(powers, db_range=db_range), _BELOW, (-db_range, 0.0)
    label, reach = "dB", db_range
    if config is not None:
        label = f"level ({_UNITS[config.log]}"
        label += ", rescaled)" if config.level_scale != 1 or config.level_offset else ")"
        decades = db_range * config.power / 20
        reach = {"db": db_range, "log10": decades, "ln": decades * float(np.log(10))}[config.log]
        reach *= abs(config.level_scale)
    finite = np.isfinite(values)
    low = float(np.min(values, initial=np.inf, where=finite)) if finite.any() else 0.0
    high = float(np.max(values, initial=-np.inf, where=finite)) if finite.any() else 0.0
    if high == low:  # as silence is
        return values, label, (low, low + reach)
    # No narrower than an eighth, or a flat spectrum would show its rounding.
    spread = float(np.clip(high - low, reach / 8, reach))
    return (
        values,
        label,
        (low, low + spread) if config is not None and config.level_scale < 0 else (high - spread, high),
    )
