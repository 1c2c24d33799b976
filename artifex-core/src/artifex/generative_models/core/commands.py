"""Commands about the registry."""

from __future__ import annotations

import typer


def add_to(app: typer.Typer) -> None:
    """Add the commands of core to the command line.

    Args:
        app: The command line.
    """
