"""Read again after errors that may be temporary, with increasing waiting times."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import TypeVar

import attrs

from artifex.generative_models.modalities.audio.io import AudioReadError

T = TypeVar("T")

_MAX_DELAY = 60.0


@attrs.frozen(kw_only=True)
class Backoff:
    """How often to read again after an error that may be temporary, and how to wait before.

    Args:
        retries: Maximum number of further attempts.
        wait: Called with the waiting time in seconds: 1, 2, 4, …, at most 60.
    """

    retries: int = 0
    wait: Callable[[float], object] = time.sleep


def attempt(function: Callable[..., T], *arguments: object) -> T | AudioReadError:
    """Return the result of a function, or the ``AudioReadError`` that it raises.

    Args:
        function: The function.
        *arguments: Its arguments.

    Returns:
        The result or the error.
    """
    try:
        return function(*arguments)
    except AudioReadError as error:
        return error


def retried(
    read: Callable[[], T | AudioReadError], backoff: Backoff, *, first: T | AudioReadError | None = None
) -> T | AudioReadError:
    """Return a result that is not a transient error.

    Args:
        read: Reads, and returns the result or the error, as ``attempt`` does.
        backoff: The number of attempts and the waiting times.
        first: The result of the first attempt, if it has been made.

    Returns:
        The result, or an error that is permanent.

    Raises:
        AudioReadError: When the last attempt ends with a transient error. It must not be recorded as a failure.

    Example:
        >>> results = iter([AudioReadError("a.wav", "cannot be read: Input/output error", transient=True), "samples"])
        >>> with warnings.catch_warnings(action="ignore"):
        ...     retried(lambda: next(results), Backoff(retries=3, wait=print))
        1.0
        'samples'
    """
    result = read() if first is None else first
    for number in range(backoff.retries):
        if not _is_transient(result):
            return result
        delay = min(_MAX_DELAY, 2.0**number)
        warnings.warn(
            f"{result}; attempt {number + 2} of {backoff.retries + 1} in {delay:g} s", RuntimeWarning, stacklevel=2
        )
        backoff.wait(delay)
        result = read()
    if isinstance(result, AudioReadError) and result.transient:
        message = f"{result.reason}; this may be temporary: run the same command again, committed shards are kept"
        raise AudioReadError(result.path, message, transient=True) from result
    return result


def _is_transient(result: object) -> bool:
    return isinstance(result, AudioReadError) and result.transient
