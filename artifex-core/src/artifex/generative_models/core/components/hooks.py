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
        """Return the kinds of component that this distribution owns."""
        return []

    @hookspec
    def artifex_contracts(self) -> dict[str, str]:
        """Return, for each kind that this distribution owns, the ``"module:function"`` that describes how to test it."""
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
        manager: The manager that holds the plugins.
        hook: The hook's name.

    Returns:
        Pairs of ``"distribution:entry point"`` and function, in the order of registration.
    """
    found = getattr(manager.hook, hook).get_hookimpls()
    return [(implementation.plugin_name, implementation.function) for implementation in found]


def register_module(manager: pluggy.PluginManager, module: Any, name: str) -> list[Kind]:
    """Register a module of hooks and return the kinds that it declares.

    Args:
        manager: The manager that holds the plugins.
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
    own = {hook: [function for plugin, function in implementations(manager, hook) if plugin == name] for hook in HOOKS}
    for hook, functions in own.items():
        if hasattr(module, hook) and not functions:
            raise TypeError(f"{hook} is not marked with @hookimpl")
    kinds = [kind for artifex_kinds in own["artifex_kinds"] for kind in artifex_kinds()]
    for kind in kinds:
        if not isinstance(kind, Kind):
            raise TypeError(f"artifex_kinds() must return a list of Kind, got the item {kind!r}")
    return kinds
