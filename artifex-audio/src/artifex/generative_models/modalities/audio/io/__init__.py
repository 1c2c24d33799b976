"""Reading and writing audio files on the host, with NumPy, soundfile and soxr. Imports no jax."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # pyright: ignore[reportUnknownVariableType]  untyped
