"""The errors that artifex raises on its own account."""

from __future__ import annotations

from collections.abc import Iterable

import attrs


class UnknownComponentError(LookupError):
    """No installed distribution provides a component of that name."""


class ConflictingComponentError(LookupError):
    """Several distributions claim one name, and nothing says which is meant."""


class BrokenComponentError(LookupError):
    """A component was found but cannot be loaded, or is not what its kind asks for."""


class MissingDependencyError(ImportError):
    """Something that is not installed is needed; the message says what to install."""


class PluginWarning(UserWarning):
    """A plugin was left out, and why."""


@attrs.frozen(kw_only=True)
class Problem:
    """Something that cannot be used, and why: a plugin, a file, a shard.

    Args:
        source: The file, distribution or entry point.
        message: What is wrong and what to do.
        error: The exception that caused it, if any.
    """

    source: str
    message: str
    error: BaseException | None = None

    def __str__(self) -> str:
        return f"{self.source}: {self.message}"


def suggest(given: str, known: Iterable[str]) -> str:
    """Return "did you mean …?" for the nearest known words, or an empty string.

    Args:
        given: The word that was not found.
        known: The words that would have been.

    Returns:
        A clause that starts with a space, or "".

    Example:
        >>> suggest("sampel_rate", ["sample_rate", "n_fft"])
        " Did you mean 'sample_rate'?"
        >>> suggest("zzz", ["sample_rate", "n_fft"])
        ''
    """
    import difflib  # costs 5 ms, and most commands find what they were asked for

    near = difflib.get_close_matches(str(given), list(known), n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
