"""Batches from a dataset, in an order that depends on the seed and the step only. Imports no jax."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # pyright: ignore[reportUnknownVariableType]  untyped
