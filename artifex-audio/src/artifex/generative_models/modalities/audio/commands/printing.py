"""Formatting that the commands share."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager


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


@contextmanager
def progress_bar(description: str) -> Generator[Callable[[int, int], None], None, None]:
    """Show a progress bar on standard error if it is a terminal; the bar disappears at the end.

    Args:
        description: Name of the task.

    Yields:
        A function that updates the bar, of the number of completed items and the total.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = TextColumn(description), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
