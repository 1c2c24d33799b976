"""The main job: recordings become features in a folder of shards, by any number of processes, resumed after any stop."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
