"""Read the files that options name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from artifex.generative_models.core.files import read_table


def read_option_file(file: Path, option: str) -> dict[str, Any]:
    """Read a TOML or YAML file given as the value of an option.

    Args:
        file: The file.
        option: The option, for the error message.

    Returns:
        The table in the file.

    Raises:
        ValueError: When the file cannot be read or parsed.
    """
    try:
        return read_table(file)
    except OSError as error:
        raise ValueError(f"{option} {file} cannot be read: {error.strerror}") from error
