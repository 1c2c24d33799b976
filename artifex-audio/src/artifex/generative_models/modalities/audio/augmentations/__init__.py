"""Random changes of one example. Each name is imported when it is first used: workers load no jax."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # pyright: ignore[reportUnknownVariableType] (lazy_loader has no types)
