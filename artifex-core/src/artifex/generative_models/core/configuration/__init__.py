"""Configuration classes: frozen, validated, and convertible to and from plain dicts and TOML or YAML files."""

from artifex.generative_models.core.configuration.base import Configuration
from artifex.generative_models.core.configuration.extension import ExtensionConfig

__all__ = ["Configuration", "ExtensionConfig"]
