"""Pictures of waveforms, of values over time and frequency, and of lines, drawn with matplotlib. Imports no jax."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from artifex.generative_models.core.checks import check_choice, check_integer, check_number
from artifex.generative_models.core.extras import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SCALES = ("linear", "log")

Scale = str | tuple[Callable[[Any], Any], Callable[[Any], Any]]

_OCTAVES = 125.0 * 2.0 ** np.arange(9)
_TINY = float(np.finfo(np.float32).tiny)
# What a label takes of the height, with air around it.
_TICK_POINTS = 13.0
# More than these cannot be told apart on a screen, and cost time and memory.
_MOST_COLUMNS = 4096
_MOST_ON_A_CURVE = 2048


def new_figure(width: float = 8.0, height: float = 3.0) -> Figure:
    """Return an empty figure that keeps its labels apart, outside pyplot.

    Args:
        width: Width, inches.
        height: Height, inches.

    Returns:
        The figure; ``figure.savefig("picture.png")`` writes it.

    Raises:
        MissingDependencyError: Without the extra ``artifex-core[plot]``.

    Example:
        >>> new_figure().get_layout_engine() is not None
        True
    """
    require("matplotlib", install="artifex-core[plot]", purpose="Drawing")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def decibels_below_maximum(powers: Any, *, db_range: float = 80.0) -> NDArray[np.float64]:
    """Return levels of powers below the largest of them.

    Args:
        powers: Powers, any shape, not empty, not negative.
        db_range: How far down levels go, dB.

    Returns:
        Levels from ``-db_range`` to 0 dB, float64; all ``-db_range`` where there is no power. NaN stays NaN,
        infinity is 0 dB.

    Raises:
        TypeError: For complex values.
        ValueError: When a power is negative or there is none.

    Example:
        >>> decibels_below_maximum([2.0, 0.2, 0.0]).round(6).tolist()
        [0.0, -10.0, -80.0]
    """
    check_number("db_range", db_range, above=0, unit="dB")
    array = np.asarray(powers)
    if np.iscomplexobj(array):
        raise TypeError("powers are real, got complex values; square their magnitudes")
    array = array.astype(np.float64)
    if not array.size:
        raise ValueError(f"powers are not empty, got shape {array.shape}")
    if np.any(array < 0):
        raise ValueError(f"powers are not negative, got {np.nanmin(array):g}; levels are drawn as they are")
    top = float(np.max(array, initial=0.0, where=np.isfinite(array)))
    if top == 0:
        return np.where(np.isnan(array), np.nan, -db_range)
    relative = 10.0 * np.log10(np.maximum(array, _TINY) / max(top, _TINY))
    return np.asarray(np.clip(relative, -db_range, 0.0))


def waveform(audio: Any, sample_rate: int, *, ax: Axes | None = None, title: str = "") -> Axes:
    """Draw a waveform over time.

    Args:
        audio: Samples (time,) or (channels, time), full scale [-1, 1]. Long ones are drawn as the least and the
            largest sample of each stretch, so that no peak is lost.
        sample_rate: Samples per second, Hz.
        ax: Where to draw; None makes a figure, which is ``ax.figure`` of what is returned.
        title: The title.

    Returns:
        The axes, seconds from left to right.

    Raises:
        ValueError: For another shape.
        MissingDependencyError: Without the extra ``artifex-core[plot]``.

    Example:
        >>> waveform(np.zeros(800), 8000).get_xlabel()
        'time (s)'
    """
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    samples = np.asarray(audio)
    if samples.ndim not in (1, 2) or not samples.size or np.iscomplexobj(samples):
        raise ValueError(
            f"audio is (time,) or (channels, time), real and not empty, got shape {samples.shape} of {samples.dtype}"
        )
    samples = samples.astype(np.float32)
    ax = _axes(ax)
    for channel in np.atleast_2d(samples):
        ax.plot(*_outline(channel, sample_rate), linewidth=0.6, alpha=0.85, marker=_mark(channel))
    ax.set_xlim(0.0, samples.shape[-1] / sample_rate)
    limit = max(1.0, float(np.max(np.abs(samples), initial=0.0, where=np.isfinite(samples))))
    ax.set_ylim(-limit, limit)
    ax.set_xlabel("time (s)")
    ax.set_ylabel("amplitude")
    ax.set_title(title)
    return ax


def spectrogram(
    values: Any,
    top: float,
    *,
    step: float,
    start: float = 0.0,
    label: str = "",
    limits: tuple[float, float] | None = None,
    scale: Scale = "linear",
    ax: Axes | None = None,
    bar: Axes | None = None,
    title: str = "",
) -> Axes:
    """Draw values over time and frequency, the frequencies evenly spaced from 0 Hz.

    Args:
        values: Values (freq, time), such as levels.
        top: The frequency of the last row, Hz, above 0.
        step: Seconds from one column to the next.
        start: The second on which the first column is centered.
        label: What the colors are, with its unit.
        limits: The values of the first and last color; None for the least and the largest.
        scale: ``"linear"``, ``"log"``, or a pair of functions that take Hz to places and back.
        ax: Where to draw; None makes a figure, which is ``ax.figure`` of what is returned.
        bar: Where the color bar goes; None for beside the picture.
        title: The title.

    Returns:
        The axes, Hz from bottom to top and seconds from left to right, with a color bar.

    Raises:
        ValueError: For another shape or scale.
        MissingDependencyError: Without the extra ``artifex-core[plot]``.

    Example:
        >>> spectrogram(np.zeros((513, 10)), 8000.0, step=0.016).get_ylabel()
        'frequency (Hz)'
    """
    array = _two_dimensional(values, "freq")
    check_number("top", top, above=0, unit="Hz")
    if isinstance(scale, str):
        check_choice("scale", scale, choices=SCALES)
    ax = _axes(ax)
    half = top / max(1, len(array) - 1) / 2
    bottom = 0.0
    if scale == "linear":
        _image(ax, bar, array, (-half, top + half), step, start, label, limits, "magma")
    else:
        edges = np.clip(np.linspace(-half, top + half, len(array) + 1), 0.0, None)
        if scale == "log":
            # The row of 0 Hz has no place on this scale.
            bottom = edges[0] = min(half, top / 2)
            ax.set_yscale("log")
        else:
            ax.set_yscale("function", functions=scale)
        _mesh(ax, bar, array, edges, step, start, label, limits)
    ax.set_ylim(bottom, top)
    if scale != "linear":
        forward = np.log if isinstance(scale, str) else scale[0]
        low, high = (float(forward(np.float64(hz))) for hz in (bottom, top))
        _set_ticks(ax, {hz: float((forward(np.float64(hz)) - low) / (high - low)) for hz in _round_hz(bottom, top)})
    ax.set_ylabel("frequency (Hz)")
    ax.set_title(title)
    return ax


def bands(
    values: Any,
    centers: Any,
    *,
    step: float,
    start: float = 0.0,
    label: str = "",
    limits: tuple[float, float] | None = None,
    ax: Axes | None = None,
    bar: Axes | None = None,
    title: str = "",
) -> Axes:
    """Draw values over time in bands of frequency, one as high as the other, labeled in Hz.

    Args:
        values: Values (bands, time), such as levels.
        centers: The frequency in the middle of each band, Hz, (bands,), increasing.
        step: Seconds from one column to the next.
        start: The second on which the first column is centered.
        label: What the colors are, with its unit.
        limits: The values of the first and last color; None for the least and the largest.
        ax: Where to draw; None makes a figure, which is ``ax.figure`` of what is returned.
        bar: Where the color bar goes; None for beside the picture.
        title: The title.

    Returns:
        The axes; band i lies from i to i + 1, and the ticks are at round frequencies.

    Raises:
        ValueError: For another shape, or centers that do not increase.
        MissingDependencyError: Without the extra ``artifex-core[plot]``.

    Example:
        >>> drawn = bands(np.zeros((40, 10)), np.geomspace(100, 4000, 40), step=0.016)
        >>> [tick.get_text() for tick in drawn.get_yticklabels()]
        ['125', '250', '500', '1000', '2000', '4000']
    """
    array = _two_dimensional(values, "bands")
    hz = np.asarray(centers, np.float64)
    if hz.shape != (len(array),):
        raise ValueError(f"centers has one frequency for each of the {len(array)} bands, got shape {hz.shape}")
    if not np.isfinite(hz).all() or np.any(np.diff(hz) <= 0):
        raise ValueError("centers are finite and increase from band to band")
    ax = _axes(ax)
    _image(ax, bar, array, (0.0, len(array)), step, start, label, limits, "magma")
    wanted = _round_hz(hz[0], hz[-1]) if len(hz) > 1 else [float(hz[0])]
    places = {each: (float(np.interp(each, hz, np.arange(len(hz)))) + 0.5) / len(hz) for each in wanted}
    _set_ticks(ax, places, height=len(hz))
    ax.set_ylabel("frequency (Hz)")
    ax.set_title(title)
    return ax


def rows(
    values: Any,
    *,
    step: float,
    start: float = 0.0,
    names: Sequence[str] | None = None,
    first: int = 0,
    row: str = "",
    label: str = "",
    limits: tuple[float, float] | None = None,
    diverging: bool = False,
    ax: Axes | None = None,
    bar: Axes | None = None,
    title: str = "",
) -> Axes:
    """Draw values over time in rows that have a number or a name.

    Args:
        values: Values (rows, time).
        step: Seconds from one column to the next.
        start: The second on which the first column is centered.
        names: The name of each row; None numbers them.
        first: The number of the first row.
        row: What a row is.
        label: What the colors are, with its unit.
        limits: The values of the first and last color; None for the least and the largest.
        diverging: Whether the colors part at the middle, for values of both signs.
        ax: Where to draw; None makes a figure, which is ``ax.figure`` of what is returned.
        bar: Where the color bar goes; None for beside the picture.
        title: The title.

    Returns:
        The axes; row i is centered on its number.

    Raises:
        ValueError: For another shape, or names that are not as many.
        MissingDependencyError: Without the extra ``artifex-core[plot]``.

    Example:
        >>> drawn = rows(np.zeros((2, 10)), step=0.1, names=["left", "right"])
        >>> [tick.get_text() for tick in drawn.get_yticklabels()]
        ['left', 'right']
    """
    array = _two_dimensional(values, "rows")
    if names is not None and len(names) != len(array):
        raise ValueError(f"names has one for each of the {len(array)} rows, got {len(names)}")
    ax = _axes(ax)
    from matplotlib.ticker import MaxNLocator

    last = first + len(array)
    colors = "coolwarm" if diverging else "magma"
    vertical = (first - 0.5, last - 0.5)
    _image(ax, bar, array, vertical, step, start, label, limits, colors, mean=True)
    if names is not None:
        ax.set_yticks(range(first, last), list(names))
    else:
        ax.yaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
    ax.set_ylabel(row)
    ax.set_title(title)
    return ax


def lines(
    values: Mapping[str, Any],
    *,
    step: float,
    start: float = 0.0,
    label: str = "",
    colors: Sequence[str] | None = None,
    ax: Axes | None = None,
    title: str = "",
) -> Axes:
    """Draw values over time as lines, with a legend when there is more to see than one line.

    Args:
        values: The values (time,) of each line, by its name.
        step: Seconds from one value to the next.
        start: The second of the first value.
        label: What the values are, with their unit.
        colors: A color for each line, in matplotlib's words; None for its usual ones.
        ax: Where to draw, over what is there; None makes a figure, which is ``ax.figure`` of what is returned.
        title: The title.

    Returns:
        The axes.

    Raises:
        ValueError: For another shape.
        MissingDependencyError: Without the extra ``artifex-core[plot]``.

    Example:
        >>> lines({"level": [0.0, 1.0]}, step=0.5).lines[0].get_xdata().tolist()
        [0.0, 0.5]
    """
    _check_time(step, start)
    curves = {name: np.asarray(one, np.float64) for name, one in values.items()}
    for name, curve in curves.items():
        if curve.ndim != 1 or not curve.size:
            raise ValueError(f"{name} is (time,) and not empty, got shape {curve.shape}")
    ax = _axes(ax)
    alone = not ax.has_data()
    painted: Sequence[str | None] = [None] * len(curves) if colors is None else colors
    for (name, curve), color in zip(curves.items(), painted, strict=True):
        ax.plot(*_outline(curve, 1 / step, start), linewidth=1.0, marker=_mark(curve), label=name, color=color)
    if alone:
        ax.set_xlim(*_span(max(map(len, curves.values())), step, start))
    ax.set_xlabel("time (s)")
    if label:
        ax.set_ylabel(label)
    if title:
        ax.set_title(title)
    if len(curves) > 1 or not alone:
        # What is seen on the dark end of a picture's colors is not seen on white.
        dark = bool(ax.images or ax.collections)
        ax.legend(
            loc="upper right",
            fontsize="small",
            framealpha=0.6,
            facecolor="black" if dark else "white",
            labelcolor="white" if dark else "black",
        )
    return ax


def _axes(ax: Axes | None) -> Axes:
    return new_figure().add_subplot() if ax is None else ax


def _two_dimensional(values: Any, row: str) -> NDArray[Any]:
    array = np.asarray(values)
    if np.iscomplexobj(array):
        raise TypeError("what is drawn is real, got complex values; take their levels")
    if array.ndim != 2 or not array.size:
        raise ValueError(f"values are ({row}, time) and not empty, got shape {array.shape}; draw one example at a time")
    return array.astype(np.float32) if array.dtype != np.float64 else array


def _check_time(step: float, start: float) -> None:
    check_number("step", step, above=0, unit="seconds")
    check_number("start", start, unit="seconds")


def _span(count: int, step: float, start: float) -> tuple[float, float]:
    """From second 0 to the end of the last of ``count`` columns."""
    first, last = start - step / 2, start + (count - 0.5) * step
    return (max(0.0, first) if last > 0 else first), last


def _mark(curve: NDArray[Any]) -> str:
    """How each value is marked: one alone would be a line without length."""
    return "o" if len(curve) == 1 else ""


def _outline(curve: NDArray[Any], rate: float, start: float = 0.0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Seconds and values of a curve; of a long one the least and the largest value of each stretch."""
    size = -(-len(curve) // _MOST_ON_A_CURVE)
    if size < 3:
        return start + np.arange(len(curve)) / rate, curve
    begins = np.arange(0, len(curve), size)
    ends = np.stack([np.fmin.reduceat(curve, begins), np.fmax.reduceat(curve, begins)], axis=1)
    middles = (begins + np.minimum(begins + size, len(curve)) - 1) / 2
    return start + np.repeat(middles, 2) / rate, ends.ravel()


def _thinned(
    values: NDArray[Any], step: float, start: float, *, mean: bool = False
) -> tuple[NDArray[Any], float, float]:
    """No more columns than can be seen: each the largest of those that it stands for, or their mean."""
    size = -(-values.shape[1] // _MOST_COLUMNS)
    if size == 1:
        return values, step, start
    begins = np.arange(0, values.shape[1], size)
    if mean:
        thin = np.add.reduceat(values, begins, axis=1) / np.diff([*begins, values.shape[1]])
    else:
        thin = np.fmax.reduceat(values, begins, axis=1)
    return thin, size * step, start + (size - 1) / 2 * step


def _colors(values: NDArray[Any], limits: tuple[float, float] | None) -> tuple[float, float]:
    if limits is not None:
        return limits
    finite = np.isfinite(values)
    if not finite.any():
        return 0.0, 1.0
    low, high = (
        float(np.min(values, initial=np.inf, where=finite)),
        float(np.max(values, initial=-np.inf, where=finite)),
    )
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _image(
    ax: Axes,
    bar: Axes | None,
    values: NDArray[Any],
    vertical: tuple[float, float],
    step: float,
    start: float,
    label: str,
    limits: tuple[float, float] | None,
    colors: str,
    *,
    mean: bool = False,
) -> None:
    _check_time(step, start)
    span = _span(values.shape[1], step, start)
    low, high = _colors(values, limits)
    values, step, start = _thinned(values, step, start, mean=mean)
    image = ax.imshow(
        values,
        origin="lower",
        aspect="auto",
        cmap=colors,
        vmin=low,
        vmax=high,
        extent=(start - step / 2, start + (values.shape[1] - 0.5) * step, *vertical),
    )
    _finish(ax, bar, image, span, label)


def _mesh(
    ax: Axes,
    bar: Axes | None,
    values: NDArray[Any],
    edges: NDArray[np.float64],
    step: float,
    start: float,
    label: str,
    limits: tuple[float, float] | None,
) -> None:
    _check_time(step, start)
    span = _span(values.shape[1], step, start)
    low, high = _colors(values, limits)
    values, step, start = _thinned(values, step, start)
    seconds = start + (np.arange(values.shape[1] + 1) - 0.5) * step
    mesh = ax.pcolormesh(seconds, edges, values, cmap="magma", vmin=low, vmax=high, rasterized=True)
    _finish(ax, bar, mesh, span, label)


def _finish(ax: Axes, bar: Axes | None, drawn: Any, span: tuple[float, float], label: str) -> None:
    ax.set_xlim(*span)
    ax.set_xlabel("time (s)")
    place = {"ax": ax, "pad": 0.015} if bar is None else {"cax": bar}
    ax.figure.colorbar(drawn, label=label, **place)


def _round_hz(low: float, high: float) -> list[float]:
    """Round frequencies from ``low`` to ``high``: octaves of 1 kHz, or even steps where they are too few."""
    found = [float(hz) for hz in _OCTAVES if low <= hz <= high]
    if len(found) < 3:
        from matplotlib.ticker import MaxNLocator

        steps = MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        found = [float(hz) for hz in steps if low <= hz <= high and hz >= 0]
    return found


def _set_ticks(ax: Axes, places: Mapping[float, float], *, height: float | None = None) -> None:
    """Set ticks at frequencies by their places from 0 to 1, the high ones first, none so near that labels touch."""
    least = _TICK_POINTS / max(1.0, ax.get_window_extent().height / ax.figure.dpi * 72)
    shown: list[float] = []
    for hz in sorted(places, reverse=True):
        if 0 <= places[hz] <= 1 and (not shown or places[shown[-1]] - places[hz] > least):
            shown.append(hz)
    shown.reverse()
    where = shown if height is None else [places[hz] * height for hz in shown]
    ax.set_yticks(where, [f"{hz:g}" for hz in shown])
    ax.set_yticks([], minor=True)
