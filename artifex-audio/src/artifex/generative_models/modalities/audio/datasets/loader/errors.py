"""The error of a loader."""


class LoaderError(RuntimeError):
    """Batches cannot be made because a thread or process of the loader failed, not because of an example."""
