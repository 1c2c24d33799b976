"""Output of commands: text and tables, wrapped on a terminal and plain when piped. Control characters are escaped."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from artifex.generative_models.core.errors import printable, printable_lines


def say(text: str = "", style: str = "", *, after: str = "", indent: int = 0) -> None:
    """Print text; on a terminal it is wrapped to the terminal's width.

    Args:
        text: The text; by default an empty line.
        style: The style on a terminal, as rich names it.
        after: Text after it, without the style.
        indent: Number of spaces before each line.

    Example:
        >>> say("bands", indent=2)
          bands
    """
    text, after = printable_lines(text), printable_lines(after)
    if not sys.stdout.isatty():
        lines = f"{text}{after}".removesuffix("\n").split("\n")
        print("\n".join((" " * indent + line).rstrip() for line in lines))
        return
    from rich.padding import Padding
    from rich.text import Text

    body = Text.assemble((text, style), after)
    _console().print(Padding(body, (0, 0, 0, indent)) if indent else body)


def table(rows: Sequence[tuple[str, ...]], *, widths: Iterable[int] = ()) -> None:
    """Print a table; when piped, each row is one line and columns are two spaces apart.

    Args:
        rows: The cells of each row.
        widths: The minimum width of each column, in characters.

    Example:
        >>> table([("n_mels", "80"), ("hop", "160")])
          n_mels  80
          hop     160
    """
    n_columns = max((len(row) for row in rows), default=0)
    padded = [(*map(printable, row), *[""] * (n_columns - len(row))) for row in rows]
    minimum_widths = [*widths, *[0] * n_columns][:n_columns]
    if not sys.stdout.isatty():
        columns = zip(minimum_widths, zip(*padded, strict=True), strict=True)
        needed = [max(minimum, *map(len, column)) for minimum, column in columns]
        for row in padded:
            print(f"  {'  '.join(cell.ljust(width) for cell, width in zip(row, needed, strict=True))}".rstrip())
        return
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0))
    for column in range(n_columns):
        # Only the last column, which contains explanations, is wrapped.
        is_last = column == n_columns - 1
        grid.add_column(no_wrap=not is_last, min_width=minimum_widths[column] or None, overflow="fold")
    for row in padded:
        grid.add_row(*(Text(cell) for cell in row))
    _console().print(Padding(grid, (0, 0, 0, 2)))


def print_error(error: object) -> None:
    """Print an error to standard error, without control characters.

    Args:
        error: The error or its message.
    """
    print(f"artifex: {printable_lines(error)}", file=sys.stderr)


def _console() -> Any:
    from rich.console import Console

    return Console(highlight=False)
