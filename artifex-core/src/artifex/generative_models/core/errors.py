"""Exceptions and warnings of artifex, and the helpers that format their messages."""

from __future__ import annotations

import unicodedata
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


class DiskFullError(OSError):
    """A file cannot be written because the disk is full, or a quota or the maximum size of a file is reached.

    The file that it would have replaced is unchanged. The command line exits with code 3.
    """


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
        return f"{printable(self.source)}: {printable(self.message)}"


def printable(text: object) -> str:
    r"""Escape the characters of a name that must not reach a terminal.

    File names, labels and the names of entry points may contain any character. Control characters, line breaks,
    bidirectional overrides and bytes that are not UTF-8 are replaced by escape sequences as in a Python string literal.

    Args:
        text: A name or path.

    Returns:
        The text in printable characters.

    Example:
        >>> print(printable("take\x1b[2J\n1.wav"))
        take\x1b[2J\n1.wav
    """
    given = str(text)
    if given.isprintable():
        return given
    return "".join(
        each
        if each.isprintable() or unicodedata.category(each) == "Zs"
        else each.encode("unicode_escape", "surrogatepass").decode()
        for each in given
    )


def printable_lines(text: object) -> str:
    r"""Escape the characters of a message that must not reach a terminal, and keep its line breaks.

    Args:
        text: A message of one or more lines.

    Returns:
        The message in printable characters and line breaks.

    Example:
        >>> printable_lines("a.wav:\n  clipped\x07")
        'a.wav:\n  clipped\\x07'
    """
    return "\n".join(printable(line) for line in str(text).split("\n"))


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
