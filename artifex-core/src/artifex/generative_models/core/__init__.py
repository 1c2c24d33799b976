"""The core of artifex: registries of components, the factory, and hooks for plugins. It does not import jax."""

from artifex.generative_models.core.components.factory import create, resolve
from artifex.generative_models.core.components.hooks import hookimpl
from artifex.generative_models.core.components.kind import Claim, Kind
from artifex.generative_models.core.components.registries import Registry, kinds, refresh, registry
from artifex.generative_models.core.errors import (
    BrokenComponentError,
    ConflictingComponentError,
    DiskFullError,
    MissingDependencyError,
    PluginWarning,
    UnknownComponentError,
)

__all__ = [
    "BrokenComponentError",
    "Claim",
    "ConflictingComponentError",
    "DiskFullError",
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
