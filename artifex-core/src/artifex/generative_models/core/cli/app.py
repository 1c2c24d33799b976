"""Build and run the command line."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from typing import Annotated, Any

import typer

from artifex.generative_models.core import errors
from artifex.generative_models.core.cli.terminal import print_error
from artifex.generative_models.core.components.discovery import scan
from artifex.generative_models.core.components.hooks import implementations
from artifex.generative_models.core.components.loading import call_guarded
from artifex.generative_models.core.components.metadata import installed_version
from artifex.generative_models.core.files import disk_full_errors

DISK_FULL_CODE = 3
"""Exit code of the command line when a file cannot be written because the disk is full."""

# Errors that are printed as one message; any other exception is shown with its traceback.
EXPECTED_ERRORS = (
    errors.BrokenComponentError,
    errors.ConflictingComponentError,
    errors.MissingDependencyError,
    errors.UnknownComponentError,
    MemoryError,
    OSError,
    TypeError,
    ValueError,
)
# Older versions of typer depend on click, newer ones contain a copy: in both, this is the base class of usage errors.
_USAGE_ERROR: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "UsageError")


def build() -> typer.Typer:
    """Build the command line with the commands of every installed distribution.

    Returns:
        The app. A plugin whose hook fails is skipped with a warning.
    """
    app = typer.Typer(
        name="artifex",
        help="Audio files, training batches and features in JAX.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )
    app.callback()(_global_options)
    for plugin, artifex_commands in implementations(scan().manager, "artifex_commands"):
        _, error = call_guarded(artifex_commands, app)
        if error is not None:
            warnings.warn(
                f"commands of {plugin} skipped: {type(error).__name__}: {error}", errors.PluginWarning, stacklevel=2
            )
    return app


def main() -> None:
    """Run the command line.

    An expected error prints one message to standard error and exits with code 2, or with code 3 when the disk is full.
    """
    warnings.showwarning = _print_warning
    try:
        with contextlib.redirect_stdout(sys.stderr):  # output of plugins must not mix with that of the command
            app = build()
        with disk_full_errors("the output"):
            code = app(prog_name="artifex", standalone_mode=False)
            sys.stdout.flush()
    except _USAGE_ERROR as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
        else:
            command = error.ctx.command_path if error.ctx is not None else "artifex"
            message = error.format_message()
            end = "" if message.endswith((".", "?")) else "."
            print_error(f"{message}{end} See {command} --help")
        sys.exit(2)
    except typer.Abort:
        sys.exit("artifex: interrupted")
    except BrokenPipeError:  # the reader of the output, such as head, has ended
        _flush_or_discard_output()
        sys.exit(1)
    except EXPECTED_ERRORS as error:
        # Notes that start with "in " locate the error in a configuration; JAX adds others, about its traceback.
        places = [note for note in getattr(error, "__notes__", []) if note.startswith("in ")]
        print_error("; ".join([str(error) or "not enough memory", *places]))
        _flush_or_discard_output()
        sys.exit(DISK_FULL_CODE if isinstance(error, errors.DiskFullError) else 2)
    sys.exit(code if isinstance(code, int) else 0)


def _flush_or_discard_output() -> None:
    """Flush standard output, or discard it when that fails: Python would flush again at exit, with another exit code."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_version(requested: bool) -> None:
    if requested:
        print(f"artifex {installed_version('artifex-core')}")
        raise typer.Exit


def _global_options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    pass


def _print_warning(message: Warning | str, category: type[Warning], *location: object, **options: object) -> None:
    print_error(f"warning: {message}")
