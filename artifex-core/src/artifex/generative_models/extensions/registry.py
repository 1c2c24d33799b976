"""Extensions by name: shortcuts for ``registry("extension")``."""

from __future__ import annotations

from typing import Any

from artifex.generative_models.core.components.registries import registry


def register_extension(name: str, component: Any, *, replace: bool = False) -> None:
    """Register an extension in this process; see ``Registry.register``.

    Args:
        name: The extension's name.
        component: The class.
        replace: Whether to replace an extension that has this name.

    Raises:
        ConflictingComponentError: If the name is taken and ``replace`` is False.
        TypeError: If the object is not an extension class.
    """
    registry("extension").register(name, component, replace=replace)


def get_extension(name: str) -> Any:
    """Return the class of an extension.

    Args:
        name: Its name, or ``"name@distribution"``.

    Returns:
        The class.

    Raises:
        LookupError: If no distribution provides it, several do, or it cannot be loaded.
    """
    return registry("extension")[name]


def list_extensions() -> list[str]:
    """List the extensions that are installed or registered, without importing them.

    Returns:
        Their names, sorted.

    Example:
        >>> isinstance(list_extensions(), list)
        True
    """
    return list(registry("extension"))
