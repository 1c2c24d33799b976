"""Modalities by name: shortcuts for ``registry("modality")``."""

from __future__ import annotations

from typing import Any

from artifex.generative_models.core.components.registries import registry


def register_modality(name: str, component: Any, *, replace: bool = False) -> None:
    """Register a modality in this process; see ``Registry.register``.

    Args:
        name: The modality's name.
        component: The class.
        replace: Whether to replace a modality that has this name.

    Raises:
        ConflictingComponentError: If the name is taken and ``replace`` is False.
        TypeError: If the object is not a modality class.
    """
    registry("modality").register(name, component, replace=replace)


def get_modality(name: str) -> Any:
    """Return the class of a modality.

    Args:
        name: Its name, or ``"name@distribution"``.

    Returns:
        The class.

    Raises:
        LookupError: If no distribution provides it, several do, or it cannot be loaded.
    """
    return registry("modality")[name]


def list_modalities() -> list[str]:
    """List the modalities that are installed or registered, without importing them.

    Returns:
        Their names, sorted.

    Example:
        >>> isinstance(list_modalities(), list)
        True
    """
    return list(registry("modality"))
