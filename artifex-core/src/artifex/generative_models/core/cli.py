"""The command line: one typer app, its commands contributed through the hook ``artifex_commands``."""

from __future__ import annotations

import contextlib
import importlib.metadata
import sys
import warnings
from typing import Annotated, Any

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
# Newer typer brings its own copy of click, older typer depends on it: either way this is its base of usage
# errors.
_USAGE: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "UsageError")


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
    app.callback()(_options)
    for name, add in plugins.hooks_of(plugins.scan().manager, "artifex_commands"):
        _, error = plugins.load_guarded(add, app)
        if error is not None:
            warnings.warn(f"commands of {name} left out: {type(error).__name__}: {error}", PluginWarning, stacklevel=2)
    return app


def _print_version(asked: bool) -> None:
    if asked:
        print(f"artifex {importlib.metadata.version('artifex-core')}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; an expected error is one message on standard error and exit code 2."""
    warnings.showwarning = _one_line
    try:
        with contextlib.redirect_stdout(sys.stderr):  # what a plugin prints is no part of a command's output
            app = build()
        code = app(prog_name="artifex", standalone_mode=False)
    except _USAGE as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
        else:
            command = error.ctx.command_path if error.ctx is not None else "artifex"
            print(f"artifex: {error.format_message().rstrip('.')}; see {command} --help", file=sys.stderr)
        sys.exit(2)
    except typer.Abort:
        sys.exit("artifex: interrupted")
    except EXPECTED as error:
        # JAX has notes of its own, about its traceback.
        places = [note for note in getattr(error, "__notes__", []) if note.startswith("in ")]
        print("; ".join([f"artifex: {error}", *places]), file=sys.stderr)
        sys.exit(2)
    sys.exit(code if isinstance(code, int) else 0)


def _one_line(message: Warning | str, category: type[Warning], *place: object, **more: object) -> None:
    print(f"artifex: warning: {message}", file=sys.stderr)
