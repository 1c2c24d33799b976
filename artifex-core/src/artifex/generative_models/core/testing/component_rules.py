"""The rules about a component as a whole: documentation, options, and no work at import."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from typing import Any

import jax

from artifex.generative_models.core.components.factory import Bound
from artifex.generative_models.core.components.kind import Kind, options_of
from artifex.generative_models.core.testing.subject import Rule, Subject, Violation
from artifex.generative_models.core.testing.trial import Trial

UNITS = re.compile(
    r"\b(Hz|kHz|seconds?|s|ms|samples?|frames?|dB|full scale|radians?|degrees|cycles?|octaves?|semitones?|fractions?"
    r"|bins?|bands?|mels?|times|factor|ratio|rate|probability|percent|standard deviation|peak|power|bits?|shape)\b"
)

_INVALID_VALUE = "no such value"


def check_documentation(kind: Kind, component: Any) -> None:
    """Check that the docstring describes every option and names a unit."""
    docstring = inspect.getdoc(component) or ""
    if not docstring.strip():
        raise Violation("has no docstring", cause="write one")
    if kind.form == "value":
        return
    options = options_of(kind, component) or {}
    missing = [name for name in options if not re.search(rf"\b{re.escape(name)}\b", docstring)]
    if missing:
        raise Violation(f"the docstring does not describe {', '.join(missing)}", cause="an Args entry is missing")
    if options and not UNITS.search(docstring):
        raise Violation("the docstring names no unit", cause="state Hz, seconds, samples, dB, full scale …")


def check_options(kind: Kind, component: Any, contract: Callable[[Any], list[Subject | Rule]]) -> None:
    """Check that a function raises an error for an invalid value of each option."""
    for option in options_of(kind, component) or {}:
        subjects_and_rules = contract(Bound(component, **{option: _INVALID_VALUE}))
        trial = Trial(next(part for part in subjects_and_rules if isinstance(part, Subject)))
        try:
            trial.function(*trial.arguments(trial.first_example[1]))
        except Exception:  # noqa: BLE001  any error will do
            continue
        raise Violation(f"accepts {option}={_INVALID_VALUE!r}", cause=f"{option} is not checked")


def check_import(component: Any) -> None:
    """Check that the component's module contains no JAX array, because it would be allocated at import."""
    module = sys.modules.get(getattr(inspect.unwrap(getattr(component, "func", component)), "__module__", ""))
    for name, value in vars(module).items() if module is not None else ():
        if any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(value)):
            raise Violation(
                f"{getattr(module, '__name__', '')}.{name} is an array created at import",
                cause="create it where it is used",
            )
