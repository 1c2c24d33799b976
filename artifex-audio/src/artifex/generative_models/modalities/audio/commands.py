"""Commands that work on recordings."""

from __future__ import annotations

import typer


def add_to(app: typer.Typer) -> None:
    """Add the commands of audio to the command line.

    Args:
        app: The command line.
    """
