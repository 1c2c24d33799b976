"""Extract features from recordings to a folder of shards, with any number of processes, resumable after interruptions."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # pyright: ignore[reportUnknownVariableType]  untyped
