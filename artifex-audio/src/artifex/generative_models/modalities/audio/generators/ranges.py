"""Checks that the audio types share."""

from __future__ import annotations

from typing import Any


def check_band(f_min: Any, f_max: Any, sample_rate: int) -> None:
    """Raise unless ``0 <= f_min <= f_max <= sample_rate / 2``; traced values pass unseen.

    Args:
        f_min: Lowest frequency, Hz.
        f_max: Highest frequency, Hz.
        sample_rate: Samples per second, Hz.

    Raises:
        ValueError: When the band is empty or reaches above half the sample rate.

    Example:
        >>> check_band(200.0, 800.0, 1000)
        Traceback (most recent call last):
        ValueError: frequencies go from f_min to f_max within 0 to 500.0 Hz, half the sample rate of 1000 Hz, got f_min=200.0, f_max=800.0
    """
    if not (isinstance(f_min, int | float) and isinstance(f_max, int | float)):
        return
    if not 0 <= f_min <= f_max <= sample_rate / 2:
        raise ValueError(
            f"frequencies go from f_min to f_max within 0 to {sample_rate / 2} Hz, half the sample rate of "
            f"{sample_rate} Hz, got f_min={f_min}, f_max={f_max}"
        )
