"""The core of artifex: the registry, the factory, and how a distribution plugs in. Imports no jax."""

from artifex.generative_models.core.errors import (
    BrokenComponentError,
    ConflictingComponentError,
    MissingDependencyError,
    PluginWarning,
    UnknownComponentError,
)
from artifex.generative_models.core.factory import create, resolve
from artifex.generative_models.core.plugins import Claim, Kind, hookimpl
from artifex.generative_models.core.registry import Registry, kinds, refresh, registry

__all__ = [
    "BrokenComponentError",
    "Claim",
    "ConflictingComponentError",
    "Kind",
    "MissingDependencyError",
    "PluginWarning",
    "Registry",
    "UnknownComponentError",
    "create",
    "hookimpl",
    "kinds",
    "refresh",
    "registry",
    "resolve",
]
