"""What commands print: text and tables, wrapped on a terminal and plain when piped."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any


def say(text: str, style: str = "", *, after: str = "", indent: int = 0, skip: bool = False) -> None:
    """Print text, on a terminal wrapped to its width.

    Args:
        text: The text.
        style: How it looks on a terminal, in rich's words.
        after: Text that follows it without that style.
        indent: Spaces before each line.
        skip: Whether to print nothing.

    Example:
        >>> say("bands", indent=2)
          bands
    """
    if skip:
        return
    if not sys.stdout.isatty():
        print("\n".join((" " * indent + line).rstrip() for line in f"{text}{after}".splitlines() or [""]))
        return
    from rich.padding import Padding
    from rich.text import Text

    body = Text.assemble((text, style), after)
    _console().print(Padding(body, (0, 0, 0, indent)) if indent else body)


def table(rows: Sequence[tuple[str, ...]], *, widths: Iterable[int] = ()) -> None:
    """Print rows of cells; piped, each row is one line and columns are two spaces apart.

    Args:
        rows: The cells of each row.
        widths: The least width of each column, in characters.

    Example:
        >>> table([("n_mels", "80"), ("hop", "160")])
          n_mels  80
          hop     160
    """
    columns = max((len(row) for row in rows), default=0)
    full = [(*row, *[""] * (columns - len(row))) for row in rows]
    least = [*widths, *[0] * columns][:columns]
    needed = [max(least[i], *(len(row[i]) for row in full)) for i in range(columns)] if full else []
    if not sys.stdout.isatty():
        for row in full:
            print(f"  {'  '.join(cell.ljust(width) for cell, width in zip(row, needed, strict=True))}".rstrip())
        return
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0))
    for i in range(columns):
        # Words that help are wrapped, names are not.
        grid.add_column(no_wrap=i < columns - 1, min_width=least[i] or None, overflow="fold")
    for row in full:
        grid.add_row(*(Text(cell) for cell in row))
    _console().print(Padding(grid, (0, 0, 0, 2)))


def _console() -> Any:
    from rich.console import Console

    return Console(highlight=False)
