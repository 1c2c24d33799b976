"""Fixtures of the tests of the registry and the command line."""

import sys
import warnings

import pytest

from artifex.generative_models.core import cli


@pytest.fixture
def artifex(capsys, monkeypatch):
    """Return a function that runs the command line in this process and returns its exit code and output."""
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["artifex", *arguments])
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            with pytest.raises(SystemExit) as ended:
                cli.main()
        captured = capsys.readouterr()
        return ended.value.code, captured.out, captured.err

    return run
