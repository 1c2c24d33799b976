"""Modalities by name: plain words over the one registry."""

from __future__ import annotations

from typing import Any

from artifex.generative_models.core.registry import registry


def register_modality(name: str, component: Any, *, replace: bool = False) -> None:
    """Add a class of this kind in this process; see ``Registry.register``.

    Args:
        name: The name to find it by.
        component: The class.
        replace: Whether it may take the place of one that is there.

    Raises:
        ConflictingComponentError: When the name is taken and ``replace`` is False.
        TypeError: When it is no class of this kind.
    """
    registry("modality").register(name, component, replace=replace)


def get_modality(name: str) -> Any:
    """Return a class of this kind by name.

    Args:
        name: Its name, or ``"name@distribution"``.

    Returns:
        The class.

    Raises:
        LookupError: When nobody provides it, several do, or it cannot be loaded.
    """
    return registry("modality")[name]


def list_modalities() -> list[str]:
    """Return the names of this kind that are installed or registered; imports none of them.

    Returns:
        The names, sorted.

    Example:
        >>> isinstance(list_modalities(), list)
        True
    """
    return list(registry("modality"))
