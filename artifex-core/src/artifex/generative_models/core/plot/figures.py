"""Figures, axes and the time axis that all plots share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifex.generative_models.core.checks import check_number
from artifex.generative_models.core.extras import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def new_figure(width: float = 8.0, height: float = 3.0) -> Figure:
    """Create an empty figure with constrained layout, without pyplot.

    Args:
        width: Width in inches.
        height: Height in inches.

    Returns:
        The figure; write it with ``figure.savefig("picture.png")``.

    Raises:
        MissingDependencyError: When matplotlib is not installed; install ``artifex-core[plot]``.

    Example:
        >>> new_figure().get_layout_engine() is not None
        True
    """
    require("matplotlib", install="artifex-core[plot]", purpose="Drawing")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def axes_or_new(ax: Axes | None) -> Axes:
    """Return the given axes, or those of a new figure.

    Args:
        ax: The axes, or None.

    Returns:
        The axes.
    """
    return new_figure().add_subplot() if ax is None else ax


def check_time(step: float, start: float) -> None:
    """Validate the time axis.

    Args:
        step: Seconds between frames.
        start: Time of the first frame in seconds.

    Raises:
        TypeError: When a value is not a number.
        ValueError: When the step is not positive or a value is not finite.
    """
    check_number("step", step, above=0, unit="seconds")
    check_number("start", start, unit="seconds")


def time_limits(n_frames: int, step: float, start: float) -> tuple[float, float]:
    """Return the limits of the time axis, from 0 s to the end of the last frame.

    Args:
        n_frames: Number of frames.
        step: Seconds between frames.
        start: Time of the center of the first frame in seconds.

    Returns:
        The limits in seconds. They begin with the first frame if all frames end before 0 s.
    """
    first, last = start - step / 2, start + (n_frames - 0.5) * step
    return (max(0.0, first) if last > 0 else first), last
