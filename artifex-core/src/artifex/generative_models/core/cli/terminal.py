"""Output of commands: text and tables, wrapped on a terminal and plain when piped."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any


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
    if not sys.stdout.isatty():
        lines = f"{text}{after}".splitlines() or [""]
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
    padded = [(*row, *[""] * (n_columns - len(row))) for row in rows]
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


def _console() -> Any:
    from rich.console import Console

    return Console(highlight=False)
