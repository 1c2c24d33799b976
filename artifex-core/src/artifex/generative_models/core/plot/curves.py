"""Plots of waveforms and of features with one value per frame, as lines over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from artifex.generative_models.core.checks import check_integer
from artifex.generative_models.core.plot.figures import axes_or_new, check_time, time_limits

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# More segments than a screen has columns of pixels cost time and memory but are not visible.
MAX_SEGMENTS = 2048


def waveform(audio: ArrayLike, sample_rate: int, *, ax: Axes | None = None, title: str = "") -> Axes:
    """Plot a waveform over time.

    Args:
        audio: Samples (time,) or (channels, time), full scale [-1, 1]. A long waveform is drawn as the minimum
            and maximum of each chunk of samples, so that peaks stay visible.
        sample_rate: Samples per second, Hz.
        ax: The axes to draw on. By default a new figure is created; it is the ``figure`` of the returned axes.
        title: The title.

    Returns:
        The axes; time in seconds is on the x-axis.

    Raises:
        ValueError: When the shape is invalid.
        MissingDependencyError: When matplotlib is not installed; install ``artifex-core[plot]``.

    Example:
        >>> waveform(np.zeros(800), 8000).get_xlabel()
        'time (s)'
    """
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    samples = np.asarray(audio)
    if samples.ndim not in (1, 2) or not samples.size or np.iscomplexobj(samples):
        raise ValueError(
            f"audio must be real, of shape (time,) or (channels, time) and not empty, "
            f"got shape {samples.shape} and dtype {samples.dtype}"
        )
    samples = samples.astype(np.float32)
    ax = axes_or_new(ax)
    for channel in np.atleast_2d(samples):
        ax.plot(*_envelope(channel, sample_rate), linewidth=0.6, alpha=0.85, marker=_marker(channel))
    ax.set_xlim(0.0, samples.shape[-1] / sample_rate)
    limit = max(1.0, float(np.max(np.abs(samples), initial=0.0, where=np.isfinite(samples))))
    ax.set_ylim(-limit, limit)
    ax.set_xlabel("time (s)")
    ax.set_ylabel("amplitude")
    ax.set_title(title)
    return ax


def lines(
    values: Mapping[str, ArrayLike],
    *,
    step: float,
    start: float = 0.0,
    label: str = "",
    colors: Sequence[str] | None = None,
    ax: Axes | None = None,
    title: str = "",
) -> Axes:
    """Plot one or more features over time as lines, with a legend if there are several.

    Args:
        values: Values (time,) by name of the line.
        step: Seconds between values.
        start: Time of the first value in seconds.
        label: Label of the y-axis, with the unit.
        colors: A matplotlib color for each line. By default matplotlib's color cycle.
        ax: The axes to draw on, over existing content. By default a new figure is created.
        title: The title.

    Returns:
        The axes.

    Raises:
        ValueError: When the shape is invalid.
        MissingDependencyError: When matplotlib is not installed; install ``artifex-core[plot]``.

    Example:
        >>> lines({"level": [0.0, 1.0]}, step=0.5).lines[0].get_xdata().tolist()
        [0.0, 0.5]
    """
    check_time(step, start)
    curves = {name: np.asarray(one, np.float64) for name, one in values.items()}
    for name, curve in curves.items():
        if curve.ndim != 1 or not curve.size:
            raise ValueError(f"{name} must have shape (time,) and not be empty, got shape {curve.shape}")
    ax = axes_or_new(ax)
    is_empty = not ax.has_data()
    line_colors: Sequence[str | None] = [None] * len(curves) if colors is None else colors
    for (name, curve), color in zip(curves.items(), line_colors, strict=True):
        ax.plot(*_envelope(curve, 1 / step, start), linewidth=1.0, marker=_marker(curve), label=name, color=color)
    if is_empty:
        ax.set_xlim(*time_limits(max(map(len, curves.values())), step, start))
    ax.set_xlabel("time (s)")
    if label:
        ax.set_ylabel(label)
    if title:
        ax.set_title(title)
    if len(curves) > 1 or not is_empty:
        # Colors that are visible on the dark end of a colormap are invisible on white, and vice versa.
        dark = bool(ax.images or ax.collections)
        ax.legend(
            loc="upper right",
            fontsize="small",
            framealpha=0.6,
            facecolor="black" if dark else "white",
            labelcolor="white" if dark else "black",
        )
    return ax


def _marker(curve: NDArray[Any]) -> str:
    """Return the marker of a line; a single value is drawn as a point."""
    return "o" if len(curve) == 1 else ""


def _envelope(curve: NDArray[Any], rate: float, start: float = 0.0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return times and values of a line; a long one is reduced to the minimum and maximum of each chunk."""
    size = -(-len(curve) // MAX_SEGMENTS)
    if size < 3:
        return start + np.arange(len(curve)) / rate, curve
    begins = np.arange(0, len(curve), size)
    ends = np.stack([np.fmin.reduceat(curve, begins), np.fmax.reduceat(curve, begins)], axis=1)
    middles = (begins + np.minimum(begins + size, len(curve)) - 1) / 2
    return start + np.repeat(middles, 2) / rate, ends.ravel()
