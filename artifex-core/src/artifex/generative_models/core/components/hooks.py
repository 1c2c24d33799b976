"""The pluggy hooks that a module in entry-point group ``artifex`` may implement."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pluggy

from artifex.generative_models.core.components.kind import Kind

PROJECT = "artifex"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class HookSpecs:
    """The hooks that a module in entry-point group ``artifex`` may implement."""

    @hookspec
    def artifex_kinds(self) -> list[Kind]:
        """Return the kinds of component that this distribution declares."""
        return []

    @hookspec
    def artifex_contracts(self) -> dict[str, str]:
        """Return the contract of each kind that this distribution declares, as ``"module:function"``."""
        return {}

    @hookspec
    def artifex_commands(self, app: Any) -> None:
        """Add commands to the command line, a ``typer.Typer``; import their dependencies inside the commands."""


HOOKS = tuple(name for name in vars(HookSpecs) if name.startswith(f"{PROJECT}_"))


def new_manager() -> pluggy.PluginManager:
    """Return a pluggy manager that has the hook specifications and no plugins."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(HookSpecs)
    return manager


def implementations(manager: pluggy.PluginManager, hook: str) -> list[tuple[str, Callable[..., Any]]]:
    """Return the implementations of a hook, so that each can be called separately.

    Args:
        manager: The plugin manager.
        hook: The hook's name.

    Returns:
        Pairs of ``"distribution:entry point"`` and function, in the order of registration.
    """
    found = getattr(manager.hook, hook).get_hookimpls()
    return [(implementation.plugin_name, implementation.function) for implementation in found]


def register_module(manager: pluggy.PluginManager, module: Any, name: str) -> list[Kind]:
    """Register a hook module and return the kinds that it declares.

    Args:
        manager: The plugin manager.
        module: The module.
        name: ``"distribution:entry point"``.

    Returns:
        The kinds. If the module raises or is invalid, none of its hooks stays registered.

    Raises:
        ValueError: If the module is registered already.
        TypeError: If a hook is not marked with ``@hookimpl``, or ``artifex_kinds`` returns anything but kinds.
    """
    registered = manager.get_name(module)
    if registered is not None:
        raise ValueError(f"{module.__name__} is already registered by {registered}")
    try:
        manager.register(module, name=name)
        manager.check_pending()
        return _declared_kinds(manager, module, name)
    except BaseException:
        manager.unregister(name=name)
        raise


def _declared_kinds(manager: pluggy.PluginManager, module: Any, name: str) -> list[Kind]:
    hooks = {hook: dict(implementations(manager, hook)).get(name) for hook in HOOKS}
    for hook, function in hooks.items():
        if hasattr(module, hook) and function is None:
            raise TypeError(f"{hook} is not marked with @hookimpl")
    artifex_kinds = hooks["artifex_kinds"]
    kinds = list(artifex_kinds()) if artifex_kinds is not None else []
    for kind in kinds:
        if not isinstance(kind, Kind):
            raise TypeError(f"artifex_kinds() must return a list of Kind, got the item {kind!r}")
    return kinds
