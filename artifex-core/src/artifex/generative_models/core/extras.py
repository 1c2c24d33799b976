"""Import optional dependencies, with an error that names the extra to install."""

from __future__ import annotations

import importlib
from types import ModuleType

from artifex.generative_models.core.errors import MissingDependencyError


def require(module: str, *, install: str, purpose: str) -> ModuleType:
    """Import an optional module, or raise an error that names the requirement to install.

    Args:
        module: The module, such as ``"soundfile"``.
        install: The requirement to install, such as ``"artifex-audio[files]"``.
        purpose: The purpose, as the subject of a sentence, such as ``"Reading FLAC"``.

    Returns:
        The module.

    Raises:
        MissingDependencyError: If it is not installed.

    Example:
        >>> require("json", install="nothing", purpose="Reading JSON").__name__
        'json'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise MissingDependencyError(
            f"{purpose} needs {module}, which is not installed: pip install '{install}'"
        ) from error
