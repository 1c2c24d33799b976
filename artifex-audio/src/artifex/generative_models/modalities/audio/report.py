"""The report of an extraction: one HTML page that needs nothing beside itself."""

from __future__ import annotations

import base64
import io
import wave
from collections import Counter
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from artifex.generative_models.core import plot
from artifex.generative_models.core.components.metadata import installed_version
from artifex.generative_models.core.errors import MissingDependencyError
from artifex.generative_models.core.extras import require
from artifex.generative_models.modalities.audio.base import AudioModalityConfig
from artifex.generative_models.modalities.audio.representations import spectral_extension

if TYPE_CHECKING:
    import jinja2
    from matplotlib.axes import Axes

EXAMPLE_SECONDS = 10.0

# Seen on white and on near-black, since the page follows the reader's color scheme and the pictures cannot.
_INK = "#7d8590"

_DB_RANGE = 80.0


def check_ready() -> None:
    """Raise unless what the report needs is installed.

    Raises:
        MissingDependencyError: Without the extra ``artifex-audio[plot]``; the message names the way without a
            report.
    """
    try:
        require("matplotlib", install="artifex-audio[plot]", purpose="The pictures of report.html")
    except MissingDependencyError as error:
        raise MissingDependencyError(f"{error}, or pass --no-report to go without it") from error


def example(
    record: dict[str, Any], features: np.ndarray, audio: np.ndarray, config: AudioModalityConfig
) -> dict[str, Any]:
    """Return what the report shows of one example: a picture of its features and its sound.

    Args:
        record: Its line in the manifest.
        features: Its features.
        audio: Its waveform, float32 (time,).
        config: What the audio is like.

    Returns:
        The record, with the PNG and the WAV as data URIs; both stop after ``EXAMPLE_SECONDS``.
    """
    n_samples = round(EXAMPLE_SECONDS * config.sample_rate)
    sound = audio[:n_samples]
    if config.normalize:
        sound = sound / max(float(np.abs(audio).max()), np.finfo(np.float32).tiny)
    return {
        **record,
        "cut": len(audio) > n_samples,
        "picture": _data_uri("image/png", _picture(features, config)),
        "sound": _data_uri("audio/wav", wav_bytes(sound, config.sample_rate)),
    }


def wav_bytes(audio: np.ndarray, sample_rate: int) -> bytes:
    """Return a 16-bit WAV file in memory.

    Args:
        audio: Samples (time,), full scale [-1, 1]; what lies beyond is cut.
        sample_rate: Samples per second, Hz.

    Returns:
        The file.

    Example:
        >>> len(wav_bytes(np.zeros(100, np.float32), 8000))
        244
    """
    whole = np.round(np.clip(audio, -1.0, 1.0) * 32767).astype("<i2")
    memory = io.BytesIO()
    with wave.open(memory, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(whole.tobytes())
    return memory.getvalue()


def render(
    records: list[dict[str, Any]],
    failures: list[dict[str, Any]],
    config: AudioModalityConfig,
    examples: list[dict[str, Any]],
    *,
    whole: bool,
) -> str:
    """Return the report as HTML.

    Args:
        records: The manifest, at least one.
        failures: ``source`` and ``reason`` of each recording that could not be extracted.
        config: What the audio is like.
        examples: What ``example`` returned for those to show.
        whole: Whether each recording kept its own length.

    Returns:
        A page that asks nothing of any network.
    """
    durations = [record["duration"] for record in records]
    peaks = [record["peak_dbfs"] for record in records if record["peak_dbfs"] is not None]
    levels = [record["rms_dbfs"] for record in records if record["rms_dbfs"] is not None]
    settings = {key: value for key, value in config.to_dict().items() if not (whole and key == "duration")}
    return _template().render(
        records=records,
        failures=failures,
        settings=settings,
        examples=examples,
        total=_span(sum(durations)),
        rates=Counter(record["source_sample_rate"] for record in records).most_common(),
        channels=Counter(record["source_channels"] for record in records).most_common(),
        formats=Counter(record["source_format"] for record in records).most_common(),
        labels=Counter(record["label"] for record in records if record["label"] is not None).most_common(),
        shapes=_shape(records),
        dtype=records[0]["dtype"],
        size=_size(sum(int(np.prod(r["shape"])) * np.dtype(r["dtype"]).itemsize for r in records)),
        statistics=[
            (
                name,
                *(f"{number:.{digits}f}" for number in (min(values), float(np.median(values)), max(values))),
                unit,
            )
            for name, values, digits, unit in (
                ("Duration", durations, 2, "s"),
                ("Peak level", peaks, 1, "dBFS"),
                ("RMS level", levels, 1, "dBFS"),
            )
            if values
        ],
        n_silent=len(records) - len(peaks),
        n_full=sum(peak >= -0.01 for peak in peaks),
        histograms=[
            histogram("Durations", durations, "s"),
            *([histogram("RMS levels", levels, "dBFS")] if levels else []),
        ],
        example_seconds=EXAMPLE_SECONDS,
        whole=whole,
        version=installed_version("artifex-audio"),
    )


def histogram(title: str, values: list[float], unit: str, *, n_bins: int = 24) -> dict[str, Any]:
    """Return what the page draws as a histogram.

    Args:
        title: What is counted.
        values: The values, at least one.
        unit: Their unit.
        n_bins: How many bars at most.

    Returns:
        ``bars`` (each with its place and height as shares of the whole, its count and its range), ``ticks``,
        ``top``, the highest count, and whether the axis is ``logarithmic``; or, when all values are one, that
        as ``only`` and their ``count``.

    Example:
        >>> drawn = histogram("Durations", [1.0, 1.0, 2.0], "s", n_bins=2)
        >>> [bar["count"] for bar in drawn["bars"]], drawn["top"]
        ([2, 1], 2)
    """
    low, high = min(values), max(values)
    if high - low < 1e-6 * max(1.0, abs(high)):
        return {"title": title, "unit": unit, "only": f"{low:.2f}", "count": len(values)}
    # Lengths from a click to an hour share one picture only on a logarithmic axis.
    logarithmic = unit == "s" and low > 0 and high / low > 20
    spaced = np.geomspace if logarithmic else np.linspace
    edges = spaced(low, high, n_bins + 1)
    edges[0], edges[-1] = low, high
    counts = np.histogram(values, bins=edges)[0].tolist()
    top = max(counts)
    bars = [
        {
            "x": place / n_bins,
            "width": 1 / n_bins,
            "height": count / top,
            "count": count,
            "range": f"{edges[place]:.2f} to {edges[place + 1]:.2f} {unit}",
        }
        for place, count in enumerate(counts)
    ]
    digits = 2 if unit == "s" and high < 100 else 1
    return {
        "title": title,
        "unit": unit,
        "only": None,
        "logarithmic": logarithmic,
        "bars": bars,
        "ticks": [(place / 4, f"{value:.{digits}f}") for place, value in enumerate(spaced(low, high, 5))],
        "top": top,
    }


@cache
def _template() -> jinja2.Template:
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    source = resources.files("artifex.generative_models.modalities.audio") / "templates" / "report.html"
    return environment.from_string(source.read_text(encoding="utf-8"))


def _picture(features: np.ndarray, config: AudioModalityConfig) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 2.4), layout="constrained", facecolor="none")
    axes = figure.add_subplot(facecolor="none")
    _PAINTERS.get(config.representation_name, _unknown)(axes, features, config)
    for part in figure.axes:
        part.tick_params(colors=_INK)
        for text in (part.xaxis.label, part.yaxis.label):
            text.set_color(_INK)
        for spine in part.spines.values():
            spine.set_edgecolor(_INK)
    memory = io.BytesIO()
    figure.savefig(memory, format="png", dpi=160)
    return memory.getvalue()


def _waveform(axes: Axes, features: np.ndarray, config: AudioModalityConfig) -> None:
    plot.waveform(features[: round(EXAMPLE_SECONDS * config.sample_rate)], config.sample_rate, ax=axes)


def _mel(axes: Axes, features: np.ndarray, config: AudioModalityConfig) -> None:
    analysis = spectral_extension(
        "The picture of mel bands",
        sample_rate=config.sample_rate,
        n_fft=config.n_fft,
        hop_length=config.hop_length,
        n_mels=config.n_mel_channels,
    )
    shown = features[:, : _n_frames(config)]
    over_time = _over_time(config)
    if config.representation_name == "mel_spectrogram":
        shown = plot.decibels_below_maximum(shown, db_range=_DB_RANGE)
    else:
        over_time |= {"label": "level (dB)", "limits": None}
    plot.bands(shown, analysis.band_frequencies(), ax=axes, **over_time)


def _stft(axes: Axes, features: np.ndarray, config: AudioModalityConfig) -> None:
    levels = plot.decibels_below_maximum(np.abs(features[:, : _n_frames(config)]) ** 2, db_range=_DB_RANGE)
    plot.spectrogram(levels, config.sample_rate / 2, ax=axes, **_over_time(config))


def _over_time(config: AudioModalityConfig) -> dict[str, Any]:
    step = config.hop_length / config.sample_rate
    return {"step": step, "label": "dB re max", "limits": (-_DB_RANGE, 0.0)}


def _unknown(axes: Axes, features: np.ndarray, config: AudioModalityConfig) -> None:
    real = np.atleast_1d(np.abs(features) if np.iscomplexobj(features) else features)
    axes.imshow(real.reshape(-1, real.shape[-1]), origin="lower", aspect="auto", interpolation="nearest", cmap="magma")
    axes.set_xlabel("index on the last axis")
    axes.set_ylabel("index")


def _n_frames(config: AudioModalityConfig) -> int:
    return max(1, round(EXAMPLE_SECONDS * config.sample_rate) // config.hop_length)


_PAINTERS = {"raw_waveform": _waveform, "mel_spectrogram": _mel, "log_mel_spectrogram": _mel, "stft": _stft}


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _shape(records: list[dict[str, Any]]) -> str:
    shapes = [record["shape"] for record in records]
    if len({len(shape) for shape in shapes}) > 1:
        return "various"
    sizes = [sorted(set(axis)) for axis in zip(*shapes, strict=True)]
    return " × ".join(str(axis[0]) if len(axis) == 1 else f"{axis[0]}–{axis[-1]}" for axis in sizes)


def _span(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _size(count: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"
