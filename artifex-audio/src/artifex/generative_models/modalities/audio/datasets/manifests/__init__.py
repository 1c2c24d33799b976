"""Manifests: tables of recordings and segments in the formats of several tools. Imports no jax."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # pyright: ignore[reportUnknownVariableType]  untyped
