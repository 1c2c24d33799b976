"""The Welch window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from artifex.generative_models.core.checks import check_flag, check_integer


def welch(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Return a Welch window: a parabola that is 0 at both ends.

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
        >>> welch(4).tolist()
        [0.0, 0.75, 1.0, 0.75]

    Reference:
        P. D. Welch, "The use of fast Fourier transform for the estimation of power spectra" (1967).
    """
    check_integer("length", length, minimum=1, unit="samples")
    check_flag("periodic", periodic)
    if length == 1:
        return np.ones(1)
    middle = (length if periodic else length - 1) / 2
    distance = (np.arange(length, dtype=np.float64) - middle) / middle
    return np.ones(length) - distance * distance
