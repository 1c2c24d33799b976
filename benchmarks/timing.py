"""What the benchmarks share: one call timed, and several timings told as a median with its spread."""

import statistics
import time
from collections.abc import Callable
from typing import Any


def milliseconds(function: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    function()
    return 1e3 * (time.perf_counter() - begin)


def spread(values: list[float], digits: int = 2) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"
