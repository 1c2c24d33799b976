"""Formatting that the commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress


def count(number: int, noun: str) -> str:
    """Format a number and a noun, in the plural unless the number is 1.

    Args:
        number: The number.
        noun: The noun in the singular.

    Returns:
        The text.

    Example:
        >>> count(1, "shard"), count(2, "shard")
        ('1 shard', '2 shards')
    """
    return f"{number} {noun}{'s' * (number != 1)}"


def printable(text: object) -> str:
    """Replace surrogates, which file names may contain, so that the text can be printed.

    Args:
        text: A text or path.

    Returns:
        The text.
    """
    return str(text).encode("utf-8", "replace").decode("utf-8")


def progress_bar(description: str, *, disable: bool = False) -> Progress:
    """Create a progress bar on standard error that disappears when it is finished.

    Args:
        description: Name of the task.
        disable: Whether to print nothing.

    Returns:
        The progress bar, not started.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn(description),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=disable,
    )
