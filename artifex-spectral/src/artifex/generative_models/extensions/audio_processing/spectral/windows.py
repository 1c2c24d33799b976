"""Windows as NumPy tables in float64, and the one way in which the package gets a window's values."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from artifex.generative_models.core import resolve
from artifex.generative_models.core.checks import check_flag, check_integer


def hann(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Return a Hann window.

    Args:
        length: Length in samples, at least 1.
        periodic: True for spectra (the window of ``length + 1`` samples without its last), False for filter
            design.

    Returns:
        The window, (length,) float64, peak 1.

    Raises:
        TypeError: When ``length`` is no integer or ``periodic`` no flag.
        ValueError: When ``length`` is below 1.

    Example:
        >>> hann(4).round(3).tolist()
        [0.0, 0.5, 1.0, 0.5]

    Reference:
        ``scipy.signal.get_window("hann", length)``.
    """
    return _cosine_sum(length, (0.5, 0.5), periodic)


def hamming(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Return a Hamming window.

    Args:
        length: Length in samples, at least 1.
        periodic: True for spectra (the window of ``length + 1`` samples without its last), False for filter
            design.

    Returns:
        The window, (length,) float64, peak 1.

    Raises:
        TypeError: When ``length`` is no integer or ``periodic`` no flag.
        ValueError: When ``length`` is below 1.

    Example:
        >>> hamming(4).round(3).tolist()
        [0.08, 0.54, 1.0, 0.54]

    Reference:
        ``scipy.signal.get_window("hamming", length)``.
    """
    return _cosine_sum(length, (0.54, 0.46), periodic)


def blackman(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Return a Blackman window.

    Args:
        length: Length in samples, at least 1.
        periodic: True for spectra (the window of ``length + 1`` samples without its last), False for filter
            design.

    Returns:
        The window, (length,) float64, peak 1.

    Raises:
        TypeError: When ``length`` is no integer or ``periodic`` no flag.
        ValueError: When ``length`` is below 1.

    Example:
        >>> abs(blackman(4)).round(3).tolist()
        [0.0, 0.34, 1.0, 0.34]

    Reference:
        ``scipy.signal.get_window("blackman", length)``.
    """
    return _cosine_sum(length, (0.42, 0.5, 0.08), periodic)


@lru_cache(maxsize=128)
def window_table(window: Any, length: int) -> NDArray[np.float64]:
    """Return the values of a window as a configuration names it.

    Args:
        window: A registered name, a ``(name, ((option, value), …))`` pair, or a function of the window kind.
        length: Length in samples.

    Returns:
        The periodic window, (length,) float64, not writeable.

    Raises:
        UnknownComponentError: When no window of that name is installed.
        TypeError: For options that the window does not take.
        ValueError: When what it returns is not (length,) finite numbers.

    Example:
        >>> window_table("hann", 4).round(3).tolist()
        [0.0, 0.5, 1.0, 0.5]
    """
    spec = (window[0], dict(window[1])) if isinstance(window, tuple) else window
    with jax.ensure_compile_time_eval():  # a window written with jax.numpy gives numbers inside a trace too
        table = np.array(resolve("window", spec)(length, periodic=True), dtype=np.float64)
    if table.shape != (length,) or not np.isfinite(table).all():
        raise ValueError(
            f"the window {window!r} has to return {length} finite numbers for length {length}, "
            f"got shape {table.shape}" + ("" if np.isfinite(table).all() else " with NaN or infinity in it")
        )
    table.flags.writeable = False
    return table


def _cosine_sum(length: int, weights: tuple[float, ...], periodic: bool) -> NDArray[np.float64]:
    check_integer("length", length, minimum=1, unit="samples")
    check_flag("periodic", periodic)
    if length == 1:
        return np.ones(1)
    angle = 2 * np.pi * np.arange(length) / (length if periodic else length - 1)
    window = sum((-1) ** k * weight * np.cos(k * angle) for k, weight in enumerate(weights))
    return np.asarray(window, dtype=np.float64)
