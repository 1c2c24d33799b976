"""Imports of optional packages, with an error that says which extra brings them."""

from __future__ import annotations

import importlib
from types import ModuleType

from artifex.generative_models.core.errors import MissingDependencyError


def require(module: str, *, install: str, purpose: str) -> ModuleType:
    """Import an optional module or say what to install.

    Args:
        module: The module to import, such as ``"soundfile"``.
        install: What to give pip, such as ``"artifex-audio[files]"``.
        purpose: What it is needed for, as the start of a sentence.

    Returns:
        The module.

    Raises:
        MissingDependencyError: When it is not installed.

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
