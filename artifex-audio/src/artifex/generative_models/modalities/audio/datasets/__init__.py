"""Datasets of audio. Each name is imported when it is first used, so that loader workers load no jax."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # pyright: ignore[reportUnknownVariableType]  untyped
