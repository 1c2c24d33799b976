"""Peak normalization of recordings on the host. Imports no jax."""

from __future__ import annotations

import numpy as np

MAX_GAIN_DB = 60.0
"""Maximum gain of the normalization in dB. Clips with a lower peak than its negative contain noise only, as a rule."""


def normalize_peak(audio: np.ndarray) -> np.ndarray:
    """Normalize the peak of a clip to 1, with a gain of at most ``MAX_GAIN_DB``.

    Args:
        audio: One clip, (time,) or (channels, time), float32. All channels have the same gain.

    Returns:
        The clip in its shape; silence is returned unchanged.

    Example:
        >>> normalize_peak(np.array([[0.5, 0.0], [0.0, -0.25]], np.float32)).tolist()
        [[1.0, 0.0], [0.0, -0.5]]
        >>> normalize_peak(np.array([1e-5, 0.0], np.float32)).round(4).tolist()
        [0.009999999776482582, 0.0]
    """
    peak = np.abs(audio).max(initial=np.float32(0))
    normalized: np.ndarray = audio / max(peak, np.float32(10 ** (-MAX_GAIN_DB / 20)))
    return normalized
