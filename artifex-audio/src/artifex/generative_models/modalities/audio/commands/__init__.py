"""The commands of artifex-audio: ``extract``, ``scan`` and ``augment``."""

from __future__ import annotations

import typer

from artifex.generative_models.modalities.audio.commands.augment_command import augment
from artifex.generative_models.modalities.audio.commands.extract_command import extract
from artifex.generative_models.modalities.audio.commands.scan_command import scan


def add_commands(app: typer.Typer) -> None:
    """Add the commands of artifex-audio to the command line.

    Args:
        app: The command line.
    """
    app.command()(extract)
    app.command()(scan)
    app.command()(augment)
