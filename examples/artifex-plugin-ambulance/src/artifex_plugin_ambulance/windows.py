"""The Welch window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from artifex.generative_models.core.checks import check_flag, check_integer


def welch(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Compute a Welch window, a parabola that is 0 at both ends.

    Args:
        length: Length in samples, at least 1.
        periodic: Whether the window is periodic, for spectral analysis; False gives a symmetric window, for filter
            design.

    Returns:
        The window (length,), float64, peak 1.

    Raises:
        TypeError: If ``length`` is not an integer or ``periodic`` not a bool.
        ValueError: If ``length`` is below 1.

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
    center = (length if periodic else length - 1) / 2
    distance = (np.arange(length, dtype=np.float64) - center) / center
    return np.ones(length) - distance * distance
