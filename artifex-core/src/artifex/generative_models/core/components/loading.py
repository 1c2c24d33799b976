"""Import the objects that entry points name, and call plugin code with exceptions returned as values."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def load_object(value: str) -> Any:
    """Import the object that an entry point names.

    Args:
        value: ``"package.module:object"``; an optional ``[extras]`` is ignored.

    Returns:
        The object.

    Example:
        >>> load_object("math:pi")
        3.141592653589793
    """
    module, _, path = value.partition("[")[0].strip().partition(":")
    found: Any = importlib.import_module(module.strip())
    for attribute in path.strip().split(".") if path.strip() else ():
        found = getattr(found, attribute)
    return found


def call_guarded(
    function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> tuple[T, None] | tuple[None, BaseException]:
    """Call a function of a plugin and return its result or the exception it raised.

    Args:
        function: The function.
        *args: Its positional arguments.
        **kwargs: Its keyword arguments.

    Returns:
        ``(result, None)`` or ``(None, exception)``. ``SystemExit`` is returned too; only ``KeyboardInterrupt`` is raised.

    Example:
        >>> call_guarded(int, "12")
        (12, None)
        >>> call_guarded(int, "twelve")[1]
        ValueError("invalid literal for int() with base 10: 'twelve'")
    """
    try:
        return function(*args, **kwargs), None
    except BaseException as error:
        if type(error) is KeyboardInterrupt:  # subclasses are defined by plugins, not raised by Ctrl-C
            raise
        return None, error
