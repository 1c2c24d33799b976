"""Tests of commands run in an empty folder."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def artifex(
    artifex: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs a command in ``tmp_path``."""
    monkeypatch.chdir(tmp_path)
    return artifex
