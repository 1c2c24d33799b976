"""Exceptions and warnings of artifex, and the helpers that format their messages."""

from __future__ import annotations

from collections.abc import Iterable

import attrs


class UnknownComponentError(LookupError):
    """No installed distribution provides a component of that name."""


class ConflictingComponentError(LookupError):
    """Several distributions provide a component of that name and none is selected."""


class BrokenComponentError(LookupError):
    """A component is installed but cannot be imported, or is not a valid component of its kind."""


class MissingDependencyError(ImportError):
    """An optional dependency is not installed; the message contains the command that installs it."""


class PluginWarning(UserWarning):
    """A plugin was skipped; the message contains the reason."""


@attrs.frozen(kw_only=True)
class Problem:
    """A plugin, file or shard that cannot be used, with the reason.

    Args:
        source: The file, distribution or entry point.
        message: The reason, and how to fix it.
        error: The exception that caused it, or None.
    """

    source: str
    message: str
    error: BaseException | None = None

    def __str__(self) -> str:
        return f"{self.source}: {self.message}"


def suggest(given: str, known: Iterable[str]) -> str:
    """Suggest the closest matches of an unknown word, or words that start with it.

    Args:
        given: The unknown word.
        known: The valid words.

    Returns:
        " Did you mean …?" with a leading space, or an empty string if no word is close.

    Example:
        >>> suggest("sampel_rate", ["sample_rate", "n_fft"])
        " Did you mean 'sample_rate'?"
        >>> suggest("mel", ["mel_spectrogram", "stft"])
        " Did you mean 'mel_spectrogram'?"
        >>> suggest("zzz", ["sample_rate", "n_fft"])
        ''
    """
    import difflib  # takes 5 ms, which most commands do not need

    words = {word.lower(): word for word in known}
    start = str(given).lower()
    matches = difflib.get_close_matches(start, words, n=3, cutoff=0.6)
    matches = matches or [word for word in words if len(start) > 2 and word.startswith(start)][:3]
    return f" Did you mean {' or '.join(repr(words[match]) for match in matches)}?" if matches else ""
