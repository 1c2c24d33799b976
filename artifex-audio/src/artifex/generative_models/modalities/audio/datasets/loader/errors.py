"""The error of a loader."""


class LoaderError(RuntimeError):
    """Batches cannot be made, because of the loader's threads or processes rather than an example."""
