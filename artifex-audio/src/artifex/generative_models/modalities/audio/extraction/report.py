"""The report of an extraction: one HTML page that needs no other files and no network."""

from __future__ import annotations

import base64
import io
import wave
from collections import Counter
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import attrs
import numpy as np

from artifex.generative_models.core import plot
from artifex.generative_models.core.components.metadata import installed_version
from artifex.generative_models.core.errors import MissingDependencyError
from artifex.generative_models.core.extras import require
from artifex.generative_models.modalities.audio.base import AudioModalityConfig
from artifex.generative_models.modalities.audio.datasets.normalization import normalize_peak
from artifex.generative_models.modalities.audio.formatting import format_duration
from artifex.generative_models.modalities.audio.shards.records import ExampleRecord, FailureRecord, ManifestRecord
from artifex.generative_models.modalities.audio.spectral_settings import extension_of

if TYPE_CHECKING:
    import jinja2
    from matplotlib.axes import Axes

EXAMPLE_SECONDS = 10.0
"""Examples are shown and played up to this length."""

# A gray that is readable on light and dark pages: the page follows the reader's color scheme, the figures cannot.
_FIGURE_COLOR = "#7d8590"

_DB_RANGE = 80.0


@attrs.frozen(kw_only=True)
class ReportExample:
    """An example in the report.

    Args:
        record: Its manifest record.
        truncated: Whether it is longer than ``EXAMPLE_SECONDS``.
        picture: The features as a data URI of a PNG.
        sound: The waveform as a data URI of a WAV file.
    """

    record: ManifestRecord
    truncated: bool
    picture: str
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
    record: ManifestRecord, features: np.ndarray, audio: np.ndarray, config: AudioModalityConfig
) -> ReportExample:
    """Render the figure and the sound of an example.

    Args:
        record: Its manifest record.
        features: Its features.
        audio: Its waveform, float32 (time,).
        config: The configuration of the features.

    Returns:
        The example; figure and sound are truncated to ``EXAMPLE_SECONDS``.
    """
    n_samples = round(EXAMPLE_SECONDS * config.sample_rate)
    sound = (normalize_peak(audio) if config.normalize else audio)[:n_samples]
    return ReportExample(
        record=record,
        truncated=len(audio) > n_samples,
        picture=_data_uri("image/png", _draw_features(features, config)),
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
    config: AudioModalityConfig,
    examples: Sequence[ReportExample],
    *,
    variable_length: bool,
) -> str:
    """Render the report as HTML.

    Args:
        records: The manifest, at least one record.
        failures: The recordings that could not be extracted.
        config: The configuration of the features.
        examples: The examples to show.
        variable_length: Whether each recording kept its length.

    Returns:
        The page; it contains no links.
    """
    durations = [record["duration"] for record in records]
    peaks = [record["peak_dbfs"] for record in records if record["peak_dbfs"] is not None]
    rms = [record["rms_dbfs"] for record in records if record["rms_dbfs"] is not None]
    settings = {key: value for key, value in config.to_dict().items() if not (variable_length and key == "duration")}
    n_bytes = sum(int(np.prod(record["shape"])) * np.dtype(record["dtype"]).itemsize for record in records)
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
        shapes=_format_shapes(records),
        dtype=records[0]["dtype"],
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


def _draw_features(features: np.ndarray, config: AudioModalityConfig) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 2.4), layout="constrained", facecolor="none")
    axes = figure.add_subplot(facecolor="none")
    draw = _DRAWING_FUNCTIONS.get(config.representation_name, _draw_other)
    draw(axes, features, config)
    for each in figure.axes:  # the plot and its color bar
        each.tick_params(colors=_FIGURE_COLOR)
        for text in (each.xaxis.label, each.yaxis.label):
            text.set_color(_FIGURE_COLOR)
        for spine in each.spines.values():
            spine.set_edgecolor(_FIGURE_COLOR)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=160)
    return buffer.getvalue()


def _draw_waveform(axes: Axes, features: np.ndarray, config: AudioModalityConfig) -> None:
    plot.waveform(features[: round(EXAMPLE_SECONDS * config.sample_rate)], config.sample_rate, ax=axes)


def _draw_mel(axes: Axes, features: np.ndarray, config: AudioModalityConfig) -> None:
    settings = config.analysis
    shown = features[:, : _n_frames_shown(config)]
    label, limits = "level (dB)" if config.spectral is None else "level", None
    if config.representation_name == "mel_spectrogram":
        shown = plot.decibels_below_maximum(shown if settings.power == 2 else np.square(shown), db_range=_DB_RANGE)
        label, limits = "dB re max", (-_DB_RANGE, 0.0)
    frequencies = extension_of(settings).band_frequencies()
    step, start = _frame_times(config)
    plot.bands(shown, frequencies, step=step, start=start, label=label, limits=limits, ax=axes)


def _draw_stft(axes: Axes, features: np.ndarray, config: AudioModalityConfig) -> None:
    power = np.abs(features[:, : _n_frames_shown(config)]) ** 2
    step, start = _frame_times(config)
    plot.spectrogram(
        plot.decibels_below_maximum(power, db_range=_DB_RANGE),
        config.sample_rate / 2,
        step=step,
        start=start,
        label="dB re max",
        limits=(-_DB_RANGE, 0.0),
        ax=axes,
    )


def _frame_times(config: AudioModalityConfig) -> tuple[float, float]:
    """Return the time between frames and the center of the first frame, in seconds."""
    if config.spectral is None:  # centered frames
        return config.hop_length / config.sample_rate, 0.0
    analysis = config.analysis
    return analysis.hop / analysis.sample_rate, (analysis.frame_length / 2 - analysis.padding) / analysis.sample_rate


def _draw_other(axes: Axes, features: np.ndarray, config: AudioModalityConfig) -> None:
    real = np.atleast_1d(np.abs(features) if np.iscomplexobj(features) else features)
    axes.imshow(real.reshape(-1, real.shape[-1]), origin="lower", aspect="auto", interpolation="nearest", cmap="magma")
    axes.set_xlabel("index on the last axis")
    axes.set_ylabel("index")


_DRAWING_FUNCTIONS = {
    "raw_waveform": _draw_waveform,
    "mel_spectrogram": _draw_mel,
    "log_mel_spectrogram": _draw_mel,
    "stft": _draw_stft,
}


def _n_frames_shown(config: AudioModalityConfig) -> int:
    return max(1, round(EXAMPLE_SECONDS * config.sample_rate) // config.hop_length)


def _data_uri(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def _format_statistics(values: Sequence[float], digits: int) -> tuple[str, str, str]:
    minimum, median, maximum = min(values), float(np.median(values)), max(values)
    return f"{minimum:.{digits}f}", f"{median:.{digits}f}", f"{maximum:.{digits}f}"


def _format_shapes(records: Sequence[ManifestRecord]) -> str:
    """Format the shapes of all examples, axes of different sizes as a range: ``80 × 23–156``."""
    shapes = [record["shape"] for record in records]
    if len({len(shape) for shape in shapes}) > 1:
        return "various"
    sizes = [sorted(set(axis)) for axis in zip(*shapes, strict=True)]
    return " × ".join(str(axis[0]) if len(axis) == 1 else f"{axis[0]}–{axis[-1]}" for axis in sizes)


def _format_size(n_bytes: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.1f} {unit}"
    return f"{n_bytes} B"


def _label_names(record: ExampleRecord) -> list[str]:
    label = record["label"]
    return label if isinstance(label, list) else [] if label is None else [label]
