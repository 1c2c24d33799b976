"""The command line: one typer app whose commands are added through the hook ``artifex_commands``."""

from artifex.generative_models.core.cli.app import build, main

__all__ = ["build", "main"]
