"""Inputs, likely causes and locations of failures, for the report."""

from __future__ import annotations

import contextlib
import inspect
import re
import traceback
from collections.abc import Generator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from artifex.generative_models.core import numerics
from artifex.generative_models.core.testing.subject import Violation

_INPUT_NOTE = "input: "

_CAUSES: tuple[tuple[type[Exception], str], ...] = (
    (jax.errors.KeyReuseError, "the same key is used twice; split it"),
    (jax.errors.TracerBoolConversionError, "a Python if, while, and, or, not on a traced value; use jnp.where"),
    (jax.errors.TracerIntegerConversionError, "a traced value as an index or a length"),
    (jax.errors.TracerArrayConversionError, "a NumPy function on a traced value; use jax.numpy"),
    (jax.errors.NonConcreteBooleanIndexError, "a boolean mask as an index; use jnp.where"),
    (jax.errors.UnexpectedTracerError, "a traced value kept outside the function"),
    (jax.errors.ConcretizationTypeError, "int(), float() or a shape from a traced value"),
)

# Operations over axis 0 in a jaxpr: reductions, sorts and cumulative sums.
_OVER_FIRST_AXIS = re.compile(r"= (reduce_\w+\[axes=\(0[,)]|arg\w+\[axes=\(0,|(sort|cum\w+)\[(dimension|axis)=0\b)")


def describe_input(name: str, example: np.ndarray | None, length: int | None = None) -> str:
    """Describe an input: its name, shape and dtype, or its length in samples if there is no example."""
    if example is None:
        return f"{length} samples" if length is not None else ""
    return f"{name} {tuple(example.shape)} {example.dtype}"


@contextlib.contextmanager
def input_noted(name: str, example: np.ndarray | None, length: int | None = None) -> Generator[None, None, None]:
    """Return a context manager that adds a description of the input to any exception raised inside."""
    try:
        yield
    except Exception as error:
        error.add_note(f"{_INPUT_NOTE}{describe_input(name, example, length)}")
        raise


def noted_input(error: BaseException) -> str:
    """Return the description that ``input_noted`` added to an exception, or an empty string."""
    notes = getattr(error, "__notes__", ())
    return next((note.removeprefix(_INPUT_NOTE) for note in notes if note.startswith(_INPUT_NOTE)), "")


@contextlib.contextmanager
def batch_mixing_located(function: Any, batch: tuple[Any, ...]) -> Generator[None, None, None]:
    """Return a context manager that sets ``location`` of a ``Violation`` to the line that reduces over the batch axis.

    Args:
        function: The function over a batch.
        batch: Its arguments.
    """
    try:
        yield
    except Violation as violation:
        location = ""
        program = jax.make_jaxpr(function)(*batch)
        for line in program.pretty_print(source_info=True).splitlines():
            source = re.search(r"# (\S.*):(\d+):\d+ \(", line)  # absent from lines inside of JAX's own functions
            if source is not None:
                location = f"{Path(source[1]).name}:{source[2]}"
            if _OVER_FIRST_AXIS.search(line):
                violation.location = location
                break
        raise


def cause_of(error: BaseException, component: Any) -> str:
    """Return the likely cause of an exception that a component raised, and its location."""
    cause = next((text for error_type, text in _CAUSES if isinstance(error, error_type)), "raised")
    own_folders = (Path(__file__).parent, Path(numerics.__file__).parent)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).parent not in own_folders
        and not re.search(r"[/\\](jax|jaxlib|numpy|flax)[/\\]", frame.filename)
    ]
    location = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else definition_of(component)
    return f"{cause}, {location}"


def definition_of(component: Any) -> str:
    """Return where a component is defined, as file:line."""
    try:
        target = inspect.unwrap(getattr(component, "func", component))
        return f"{Path(inspect.getsourcefile(target) or '').name}:{inspect.getsourcelines(target)[1]}"
    except (TypeError, OSError):
        return repr(component)
