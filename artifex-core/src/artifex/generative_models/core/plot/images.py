"""Plots of spectrograms and of other features with several values per frame, as images over time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from artifex.generative_models.core.checks import check_choice, check_number
from artifex.generative_models.core.plot.figures import axes_or_new, check_time, time_limits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.image import AxesImage

SCALES = ("linear", "log")

Scale = str | tuple[Callable[[Any], Any], Callable[[Any], Any]]

OCTAVES_HZ = 125.0 * 2.0 ** np.arange(9)
TINY = float(np.finfo(np.float32).tiny)
TICK_LABEL_POINTS = 13.0  # height of a tick label and its margin
MAX_COLUMNS = 4096  # more columns than a screen has pixels cost time and memory


def decibels_below_maximum(powers: ArrayLike, *, db_range: float = 80.0) -> NDArray[np.float64]:
    """Convert powers to dB relative to their maximum.

    Args:
        powers: Non-negative powers, any shape, not empty.
        db_range: Range in dB; lower levels are clipped to ``-db_range``.

    Returns:
        Levels in [-db_range, 0] dB, float64; all ``-db_range`` for silence. NaN stays NaN, infinity becomes 0 dB.

    Raises:
        TypeError: When the powers are complex.
        ValueError: When a power is negative or the array is empty.

    Example:
        >>> decibels_below_maximum([2.0, 0.2, 0.0]).round(6).tolist()
        [0.0, -10.0, -80.0]
    """
    check_number("db_range", db_range, above=0, unit="dB")
    array = np.asarray(powers)
    if np.iscomplexobj(array):
        raise TypeError("powers must be real, got complex values; square the magnitudes")
    array = array.astype(np.float64)
    if not array.size:
        raise ValueError(f"powers must not be empty, got shape {array.shape}")
    if np.any(array < 0):
        raise ValueError(
            f"powers must not be negative, got {np.nanmin(array):g}; plot levels in dB without this conversion"
        )
    top = float(np.max(array, initial=0.0, where=np.isfinite(array)))
    if top == 0:
        return np.where(np.isnan(array), np.nan, -db_range)
    relative = 10.0 * np.log10(np.maximum(array, TINY) / max(top, TINY))
    return np.asarray(np.clip(relative, -db_range, 0.0))


def spectrogram(
    values: ArrayLike,
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
    """Plot a spectrogram whose frequency bins are linearly spaced from 0 Hz.

    Args:
        values: Values (freq, time), such as levels in dB.
        top: Frequency of the last bin in Hz, above 0.
        step: Seconds between frames, such as ``hop_length / sample_rate``.
        start: Time of the center of the first frame, in seconds.
        label: Label of the color bar, with the unit.
        limits: Values (min, max) of the first and last color. By default the minimum and maximum of the values.
        scale: Frequency scale: ``"linear"``, ``"log"``, or a pair of functions that convert from Hz and to Hz.
        ax: The axes to draw on. By default a new figure is created; it is the ``figure`` of the returned axes.
        bar: The axes of the color bar. By default it is placed beside the image.
        title: The title.

    Returns:
        The axes, with a color bar; time in seconds is on the x-axis and frequency in Hz on the y-axis.

    Raises:
        ValueError: When the shape or scale is invalid.
        MissingDependencyError: When matplotlib is not installed; install ``artifex-core[plot]``.

    Example:
        >>> spectrogram(np.zeros((513, 10)), 8000.0, step=0.016).get_ylabel()
        'frequency (Hz)'
    """
    array = _as_matrix(values, "freq")
    check_number("top", top, above=0, unit="Hz")
    if isinstance(scale, str):
        check_choice("scale", scale, choices=SCALES)
    ax = axes_or_new(ax)
    half = top / max(1, len(array) - 1) / 2
    bottom = 0.0
    if scale == "linear":
        _draw(ax, bar, array, (-half, top + half), step, start, label, limits)
    else:
        edges = np.clip(np.linspace(-half, top + half, len(array) + 1), 0.0, None)
        if scale == "log":
            # A logarithmic scale does not contain 0 Hz.
            bottom = edges[0] = min(half, top / 2)
            ax.set_yscale("log")
        else:
            ax.set_yscale("function", functions=scale)
        _draw(ax, bar, array, edges, step, start, label, limits)
    ax.set_ylim(bottom, top)
    if scale != "linear":
        to_scale = np.log if isinstance(scale, str) else scale[0]
        low, high = (float(to_scale(np.float64(hz))) for hz in (bottom, top))
        _set_ticks(
            ax, {hz: float((to_scale(np.float64(hz)) - low) / (high - low)) for hz in _tick_frequencies(bottom, top)}
        )
    ax.set_ylabel("frequency (Hz)")
    ax.set_title(title)
    return ax


def bands(
    values: ArrayLike,
    centers: ArrayLike,
    *,
    step: float,
    start: float = 0.0,
    label: str = "",
    limits: tuple[float, float] | None = None,
    ax: Axes | None = None,
    bar: Axes | None = None,
    title: str = "",
) -> Axes:
    """Plot values in frequency bands, such as a mel spectrogram, with bands of equal height labeled in Hz.

    Args:
        values: Values (bands, time), such as levels in dB.
        centers: Center frequencies in Hz, shape (bands,), increasing.
        step: Seconds between frames, such as ``hop_length / sample_rate``.
        start: Time of the center of the first frame, in seconds.
        label: Label of the color bar, with the unit.
        limits: Values (min, max) of the first and last color. By default the minimum and maximum of the values.
        ax: The axes to draw on. By default a new figure is created; it is the ``figure`` of the returned axes.
        bar: The axes of the color bar. By default it is placed beside the image.
        title: The title.

    Returns:
        The axes; band i extends from i to i + 1 on the y-axis, and ticks are at round frequencies.

    Raises:
        ValueError: When the shape is invalid or the centers do not increase.
        MissingDependencyError: When matplotlib is not installed; install ``artifex-core[plot]``.

    Example:
        >>> drawn = bands(np.zeros((40, 10)), np.geomspace(100, 4000, 40), step=0.016)
        >>> [tick.get_text() for tick in drawn.get_yticklabels()]
        ['125', '250', '500', '1000', '2000', '4000']
    """
    array = _as_matrix(values, "bands")
    hz = np.asarray(centers, np.float64)
    if hz.shape != (len(array),):
        raise ValueError(f"centers must contain one frequency per band, shape ({len(array)},), got shape {hz.shape}")
    if not np.isfinite(hz).all() or np.any(np.diff(hz) <= 0):
        raise ValueError("centers must be finite and increasing")
    ax = axes_or_new(ax)
    _draw(ax, bar, array, (0.0, len(array)), step, start, label, limits)
    ticks = _tick_frequencies(hz[0], hz[-1]) if len(hz) > 1 else [float(hz[0])]
    places = {each: (float(np.interp(each, hz, np.arange(len(hz)))) + 0.5) / len(hz) for each in ticks}
    _set_ticks(ax, places, height=len(hz))
    ax.set_ylabel("frequency (Hz)")
    ax.set_title(title)
    return ax


def rows(
    values: ArrayLike,
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
    """Plot a matrix over time with numbered or named rows, such as MFCC or chroma.

    Args:
        values: Values (rows, time).
        step: Seconds between frames, such as ``hop_length / sample_rate``.
        start: Time of the center of the first frame, in seconds.
        names: Names of the rows. By default they are numbered.
        first: Number of the first row.
        row: Label of the y-axis.
        label: Label of the color bar, with the unit.
        limits: Values (min, max) of the first and last color. By default the minimum and maximum of the values.
        diverging: Whether to use a diverging colormap, for values of both signs.
        ax: The axes to draw on. By default a new figure is created; it is the ``figure`` of the returned axes.
        bar: The axes of the color bar. By default it is placed beside the image.
        title: The title.

    Returns:
        The axes; each row is centered on its number.

    Raises:
        ValueError: When the shape is invalid or the number of names differs from the number of rows.
        MissingDependencyError: When matplotlib is not installed; install ``artifex-core[plot]``.

    Example:
        >>> drawn = rows(np.zeros((2, 10)), step=0.1, names=["left", "right"])
        >>> [tick.get_text() for tick in drawn.get_yticklabels()]
        ['left', 'right']
    """
    array = _as_matrix(values, "rows")
    if names is not None and len(names) != len(array):
        raise ValueError(f"names must contain one name per row, {len(array)}, got {len(names)}")
    ax = axes_or_new(ax)
    from matplotlib.ticker import MaxNLocator

    last = first + len(array)
    colors = "coolwarm" if diverging else "magma"
    edges = (first - 0.5, last - 0.5)
    _draw(ax, bar, array, edges, step, start, label, limits, colors=colors, mean=True)
    if names is not None:
        ax.set_yticks(range(first, last), list(names))
    else:
        ax.yaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
    ax.set_ylabel(row)
    ax.set_title(title)
    return ax


def _as_matrix(values: ArrayLike, row: str) -> NDArray[Any]:
    array = np.asarray(values)
    if np.iscomplexobj(array):
        raise TypeError("values must be real, got complex values; plot their magnitudes or levels")
    if array.ndim != 2 or not array.size:
        raise ValueError(
            f"values must have shape ({row}, time) and not be empty, got shape {array.shape}; plot one example at a time"
        )
    return array.astype(np.float32) if array.dtype != np.float64 else array


def _reduce_columns(
    values: NDArray[Any], step: float, start: float, *, mean: bool = False
) -> tuple[NDArray[Any], float, float]:
    """Reduce adjacent columns to their maximum, or mean, so that at most MAX_COLUMNS are left."""
    n_columns: int = values.shape[1]
    size = -(-n_columns // MAX_COLUMNS)
    if size == 1:
        return values, step, start
    begins = np.arange(0, n_columns, size)
    if mean:
        thin = np.add.reduceat(values, begins, axis=1) / np.diff(begins, append=n_columns)
    else:
        thin = np.fmax.reduceat(values, begins, axis=1)
    return thin, size * step, start + (size - 1) / 2 * step


def _color_limits(values: NDArray[Any], limits: tuple[float, float] | None) -> tuple[float, float]:
    if limits is not None:
        return limits
    finite = np.isfinite(values)
    if not finite.any():
        return 0.0, 1.0
    low, high = float(np.min(values[finite])), float(np.max(values[finite]))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _draw(
    ax: Axes,
    bar: Axes | None,
    values: NDArray[Any],
    edges: tuple[float, float] | NDArray[np.float64],
    step: float,
    start: float,
    label: str,
    limits: tuple[float, float] | None,
    *,
    colors: str = "magma",
    mean: bool = False,
) -> None:
    """Draw values (rows, time) as an image with a color bar.

    ``edges`` contains the two outer edges of rows of equal height, or the edges of all rows.
    """
    check_time(step, start)
    span = time_limits(values.shape[1], step, start)
    low, high = _color_limits(values, limits)
    values, step, start = _reduce_columns(values, step, start, mean=mean)
    n_columns: int = values.shape[1]
    image: AxesImage | QuadMesh
    if isinstance(edges, tuple):
        extent = (start - step / 2, start + (n_columns - 0.5) * step, *edges)
        image = ax.imshow(values, origin="lower", aspect="auto", cmap=colors, vmin=low, vmax=high, extent=extent)
    else:
        times = start + (np.arange(n_columns + 1) - 0.5) * step
        image = ax.pcolormesh(times, edges, values, cmap=colors, vmin=low, vmax=high, rasterized=True)
    ax.set_xlim(*span)
    ax.set_xlabel("time (s)")
    if bar is None:
        ax.figure.colorbar(image, label=label, ax=ax, pad=0.015)
    else:
        ax.figure.colorbar(image, label=label, cax=bar)


def _tick_frequencies(low: float, high: float) -> list[float]:
    """Return round frequencies from ``low`` to ``high``: octaves around 1 kHz, or multiples of a step if these are too few."""
    found = [float(hz) for hz in OCTAVES_HZ if low <= hz <= high]
    if len(found) < 3:
        from matplotlib.ticker import MaxNLocator

        steps = MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        found = [float(hz) for hz in steps if low <= hz <= high and hz >= 0]
    return found


def _set_ticks(ax: Axes, places: Mapping[float, float], *, height: float | None = None) -> None:
    """Set ticks at frequencies, given their positions from 0 (bottom) to 1 (top).

    Frequencies whose labels would overlap that of a higher frequency are skipped.
    """
    min_distance = TICK_LABEL_POINTS / max(1.0, ax.get_window_extent().height / ax.figure.dpi * 72)
    shown: list[float] = []
    for hz in sorted(places, reverse=True):
        if 0 <= places[hz] <= 1 and (not shown or places[shown[-1]] - places[hz] > min_distance):
            shown.append(hz)
    shown.reverse()
    where = shown if height is None else [places[hz] * height for hz in shown]
    ax.set_yticks(where, [f"{hz:g}" for hz in shown])
    ax.set_yticks([], minor=True)
