"""The report of an extraction: one HTML page that needs no other files and no network."""

from __future__ import annotations

import base64
import io
import wave
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from artifex.generative_models.core import plot
from artifex.generative_models.core.components.metadata import installed_version
from artifex.generative_models.core.errors import MissingDependencyError
from artifex.generative_models.core.extras import require
from artifex.generative_models.modalities.audio.base import AudioModalityConfig, AudioRepresentation
from artifex.generative_models.modalities.audio.datasets.normalization import normalize_peak
from artifex.generative_models.modalities.audio.extraction.features import spectral_features
from artifex.generative_models.modalities.audio.formatting import format_duration, format_shapes
from artifex.generative_models.modalities.audio.shards.records import (
    ExampleRecord,
    FailureRecord,
    ManifestRecord,
    dtype_from_name,
)
from artifex.generative_models.modalities.audio.spectral_settings import extension_of

if TYPE_CHECKING:
    import jinja2
    from matplotlib.axes import Axes

EXAMPLE_SECONDS = 10.0
"""Examples are shown and played up to this length."""

# A gray that is readable on light and dark pages: the page follows the reader's color scheme, the figures cannot.
_FIGURE_COLOR = "#7d8590"

_DB_RANGE = 80.0

_BANDS = ("stft", "mel_spectrogram", "log_mel_spectrogram")
_CEPSTRA = ("mfcc", "lfcc")
_PITCH_CLASSES = ("C", "", "D", "", "E", "F", "", "G", "", "A", "", "B")


@attrs.frozen(kw_only=True)
class ReportExample:
    """An example in the report.

    Args:
        record: Its manifest record.
        truncated: Whether it is longer than ``EXAMPLE_SECONDS``.
        pictures: Each feature as a data URI of a PNG, by name.
        sound: The waveform as a data URI of a WAV file.
    """

    record: ManifestRecord
    truncated: bool
    pictures: dict[str, str]
    sound: str


@attrs.frozen(kw_only=True)
class HistogramBar:
    """A bar of a histogram.

    Args:
        x: Left edge, as a fraction of the width of the plot.
        width: Width, as a fraction of the width of the plot.
        height: Height, as a fraction of the height of the plot.
        count: Number of values.
        values: The range of the values, with its unit.
    """

    x: float
    width: float
    height: float
    count: int
    values: str


@attrs.frozen(kw_only=True)
class Histogram:
    """A histogram, as the page draws it.

    Args:
        title: The title.
        unit: Unit of the values.
        single_value: The value, formatted, when all values are equal; there are no bars then.
        n_values: Number of values.
        logarithmic: Whether the axis of the values is logarithmic.
        bars: The bars.
        ticks: Positions, as fractions of the width, and labels of the ticks.
        max_count: Count of the highest bar.
    """

    title: str
    unit: str
    single_value: str | None = None
    n_values: int
    logarithmic: bool = False
    bars: Sequence[HistogramBar] = ()
    ticks: Sequence[tuple[float, str]] = ()
    max_count: int = 0


def check_report_dependencies() -> None:
    """Raise unless the packages that the report needs are installed.

    Raises:
        MissingDependencyError: Without the extra ``artifex-audio[plot]``; the message names ``--no-report``, too.
    """
    try:
        require("matplotlib", install="artifex-audio[plot]", purpose="The figures of report.html")
    except MissingDependencyError as error:
        raise MissingDependencyError(f"{error}, or omit it with --no-report (report=False)") from error


def render_example(
    record: ManifestRecord,
    features: Mapping[str, np.ndarray],
    audio: np.ndarray,
    config: AudioModalityConfig,
) -> ReportExample:
    """Render the figures and the sound of an example.

    Args:
        record: Its manifest record.
        features: Its features by name.
        audio: Its waveform, float32 (time,).
        config: The configuration of the features.

    Returns:
        The example; figures and sound are truncated to ``EXAMPLE_SECONDS``.
    """
    n_samples = round(EXAMPLE_SECONDS * config.sample_rate)
    sound = (normalize_peak(audio) if config.normalize else audio)[:n_samples]
    return ReportExample(
        record=record,
        truncated=len(audio) > n_samples,
        pictures={
            name: _data_uri("image/png", _draw_feature(name, values, config)) for name, values in features.items()
        },
        sound=_data_uri("audio/wav", wav_bytes(sound, config.sample_rate)),
    )


def wav_bytes(audio: np.ndarray, sample_rate: int) -> bytes:
    """Encode a waveform as a 16-bit mono WAV file in memory.

    Args:
        audio: Samples (time,), full scale [-1, 1]; clipped to it.
        sample_rate: Sample rate in Hz.

    Returns:
        The content of the file.

    Example:
        >>> len(wav_bytes(np.zeros(100, np.float32), 8000))
        244
    """
    pcm = np.round(np.clip(audio, -1.0, 1.0) * 32767).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(pcm.tobytes())
    return buffer.getvalue()


def render_report(
    records: Sequence[ManifestRecord],
    failures: Sequence[FailureRecord],
    settings: Mapping[str, object],
    examples: Sequence[ReportExample],
    *,
    variable_length: bool,
) -> str:
    """Render the report as HTML.

    Args:
        records: The manifest, at least one record.
        failures: The recordings that could not be extracted.
        settings: The settings to show, among them ``features``, ``sample_rate``, ``normalize`` and, of features of one
            length, ``duration``.
        examples: The examples to show.
        variable_length: Whether each recording kept its length.

    Returns:
        The page; it contains no links.
    """
    durations = [record["duration"] for record in records]
    peaks = [record["peak_dbfs"] for record in records if record["peak_dbfs"] is not None]
    rms = [record["rms_dbfs"] for record in records if record["rms_dbfs"] is not None]
    n_bytes = sum(
        int(np.prod(shape)) * dtype_from_name(record["dtypes"][name]).itemsize
        for record in records
        for name, shape in record["shapes"].items()
    )
    statistics = [("Duration", durations, 2, "s"), ("Peak level", peaks, 1, "dBFS"), ("RMS level", rms, 1, "dBFS")]
    histograms = [histogram("Durations", durations, "s")]
    if rms:
        histograms.append(histogram("RMS levels", rms, "dBFS"))
    return _template().render(
        records=records,
        failures=failures,
        settings=settings,
        examples=examples,
        total=format_duration(sum(durations)),
        rates=Counter(record["source_sample_rate"] for record in records).most_common(),
        channels=Counter(record["source_channels"] for record in records).most_common(),
        formats=Counter(record["source_format"] for record in records).most_common(),
        labels=Counter(name for record in records for name in _label_names(record)).most_common(),
        shapes=format_shapes([record["shapes"] for record in records]),
        dtypes=records[0]["dtypes"],
        size=_format_size(n_bytes),
        statistics=[
            (name, *_format_statistics(values, digits), unit) for name, values, digits, unit in statistics if values
        ],
        n_silent=len(records) - len(peaks),
        n_full_scale=sum(peak >= -0.01 for peak in peaks),
        histograms=histograms,
        example_seconds=EXAMPLE_SECONDS,
        variable_length=variable_length,
        version=installed_version("artifex-audio"),
    )


def histogram(title: str, values: Sequence[float], unit: str, *, n_bins: int = 24) -> Histogram:
    """Compute a histogram.

    Args:
        title: The title.
        values: The values, at least one.
        unit: Their unit. Values in seconds that span more than a factor of 20 get a logarithmic axis.
        n_bins: Number of bins.

    Returns:
        The histogram.

    Example:
        >>> durations = histogram("Durations", [1.0, 1.0, 2.0], "s", n_bins=2)
        >>> [bar.count for bar in durations.bars], durations.max_count
        ([2, 1], 2)
    """
    low, high = min(values), max(values)
    if high - low < 1e-6 * max(1.0, abs(high)):
        return Histogram(title=title, unit=unit, single_value=f"{low:.2f}", n_values=len(values))
    logarithmic = unit == "s" and low > 0 and high / low > 20
    spaced = np.geomspace if logarithmic else np.linspace
    edges = spaced(low, high, n_bins + 1)
    edges[0], edges[-1] = low, high
    counts = np.histogram(values, bins=edges)[0].tolist()
    digits = 2 if unit == "s" and high < 100 else 1
    return Histogram(
        title=title,
        unit=unit,
        n_values=len(values),
        logarithmic=logarithmic,
        bars=[
            HistogramBar(
                x=i / n_bins,
                width=1 / n_bins,
                height=count / max(counts),
                count=count,
                values=f"{edges[i]:.2f} to {edges[i + 1]:.2f} {unit}",
            )
            for i, count in enumerate(counts)
        ],
        ticks=[(i / 4, f"{value:.{digits}f}") for i, value in enumerate(spaced(low, high, 5))],
        max_count=max(counts),
    )


@cache
def _template() -> jinja2.Template:
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    source = resources.files("artifex.generative_models.modalities.audio.extraction") / "templates" / "report.html"
    return environment.from_string(source.read_text(encoding="utf-8"))


def _draw_feature(name: str, values: np.ndarray, config: AudioModalityConfig) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 2.4), layout="constrained", facecolor="none")
    axes = figure.add_subplot(facecolor="none")
    if name == AudioRepresentation.RAW_WAVEFORM.value:
        plot.waveform(values[: round(EXAMPLE_SECONDS * config.sample_rate)], config.sample_rate, ax=axes)
    elif name in _BANDS or name in spectral_features():
        n_frames = max(1, round(EXAMPLE_SECONDS * config.sample_rate) // config.hop_length)
        _draw_frames(axes, name, values[..., :n_frames], config)
    else:
        _draw_other(axes, values)
    for each in figure.axes:  # the plot and its color bar
        each.tick_params(colors=_FIGURE_COLOR)
        for text in (each.xaxis.label, each.yaxis.label):
            text.set_color(_FIGURE_COLOR)
        for spine in each.spines.values():
            spine.set_edgecolor(_FIGURE_COLOR)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=160)
    return buffer.getvalue()


def _draw_frames(axes: Axes, name: str, values: np.ndarray, config: AudioModalityConfig) -> None:
    settings = config.analysis
    start = (settings.frame_length / 2 - settings.padding) / settings.sample_rate
    times: dict[str, Any] = {"step": settings.hop / settings.sample_rate, "start": start, "ax": axes}
    label = name.replace("_", " ")
    if values.ndim == 1:
        plot.lines({name: values}, label=label, **times)
    elif name in ("stft", "spectrogram", "mel_spectrogram"):
        is_power = name == "spectrogram" or (name == "mel_spectrogram" and settings.power == 2)
        levels = plot.decibels_below_maximum(values if is_power else np.abs(values) ** 2, db_range=_DB_RANGE)
        scale: dict[str, Any] = {"label": "dB re max", "limits": (-_DB_RANGE, 0.0), **times}
        if name == "mel_spectrogram":
            plot.bands(levels, extension_of(settings).band_frequencies(), **scale)
        else:
            plot.spectrogram(levels, config.sample_rate / 2, **scale)
    elif name == "log_mel_spectrogram":
        level = "level (dB)" if config.spectral is None else "level"
        plot.bands(values, extension_of(settings).band_frequencies(), label=level, **times)
    else:
        names = _PITCH_CLASSES if name == "chroma" and len(values) == len(_PITCH_CLASSES) else None
        maximum = float(np.abs(values).max())
        symmetric = name in _CEPSTRA and maximum > 0
        limits = (-maximum, maximum) if symmetric else None
        plot.rows(values, names=names, row=label, diverging=symmetric, limits=limits, **times)


def _draw_other(axes: Axes, values: np.ndarray) -> None:
    real = np.atleast_1d(np.abs(values) if np.iscomplexobj(values) else values)
    axes.imshow(real.reshape(-1, real.shape[-1]), origin="lower", aspect="auto", interpolation="nearest", cmap="magma")
    axes.set_xlabel("index on the last axis")
    axes.set_ylabel("index")


def _data_uri(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def _format_statistics(values: Sequence[float], digits: int) -> tuple[str, str, str]:
    minimum, median, maximum = min(values), float(np.median(values)), max(values)
    return f"{minimum:.{digits}f}", f"{median:.{digits}f}", f"{maximum:.{digits}f}"


def _format_size(n_bytes: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.1f} {unit}"
    return f"{n_bytes} B"


def _label_names(record: ExampleRecord) -> list[str]:
    label = record["label"]
    return label if isinstance(label, list) else [] if label is None else [label]
