"""Timing functions shared by the benchmarks."""

import statistics
import time
from collections.abc import Callable
from typing import Any


def milliseconds(function: Callable[[], Any]) -> float:
    """Return the wall time of one call."""
    begin = time.perf_counter()
    function()
    return 1e3 * (time.perf_counter() - begin)


def spread(values: list[float], digits: int = 2) -> str:
    """Format values as their median, with the minimum and the maximum in parentheses."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"
