"""The command line: one typer app, its commands contributed through the hook ``artifex_commands``."""

from __future__ import annotations

import sys
import warnings

import typer

from artifex.generative_models.core import plugins
from artifex.generative_models.core.errors import (
    BrokenComponentError,
    ConflictingComponentError,
    MissingDependencyError,
    PluginWarning,
    UnknownComponentError,
)

EXPECTED = (
    BrokenComponentError,
    ConflictingComponentError,
    MissingDependencyError,
    UnknownComponentError,
    OSError,
    TypeError,
    ValueError,
)


def build() -> typer.Typer:
    """Return the command line with every installed distribution's commands.

    Returns:
        The app. A plugin whose hook fails is named in a warning and left out.
    """
    app = typer.Typer(
        name="artifex",
        help="Audio to training batches and back, inside JAX.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    manager = plugins.scan().manager
    for name, plugin in manager.list_name_plugin():
        add = getattr(plugin, "artifex_commands", None)
        if add is None:
            continue
        _, error = plugins.load_guarded(lambda add=add: add(app))
        if error is not None:
            warnings.warn(f"commands of {name} left out: {type(error).__name__}: {error}", PluginWarning, stacklevel=2)
    return app


def main() -> None:
    """Run the command line; an expected error is one message on standard error and exit code 2."""
    warnings.showwarning = _one_line
    try:
        build()()
    except EXPECTED as error:
        print(f"artifex: {error}", file=sys.stderr)
        sys.exit(2)


def _one_line(message: Warning | str, category: type[Warning], *place: object, **more: object) -> None:
    print(f"artifex: warning: {message}", file=sys.stderr)
