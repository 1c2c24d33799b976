"""mypy and pyright reject wrong calls of the public API line by line, and accept the others."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.source import ROOT

CALLS = Path(__file__).with_name("typed_calls.py")


def wrong_lines(source: str) -> set[int]:
    """Return the numbers of the lines marked as wrong."""
    return {number for number, line in enumerate(source.splitlines(), 1) if line.endswith("# wrong")}


def run(tool: str, *arguments: str) -> str:
    """Run a type checker in the repository and return its output."""
    if importlib.util.find_spec(tool) is None:
        pytest.skip(f"{tool} is not installed; .ci/run installs it")
    command = [sys.executable, "-m", tool, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def mypy_errors(path: Path) -> dict[int, str]:
    """Return the errors that ``mypy --strict`` reports for a file, by line."""
    lines = re.findall(rf"^[^\n]*{path.name}:(\d+): error: (.*)$", run("mypy", str(path)), re.MULTILINE)
    return {int(number): message for number, message in lines}


def pyright_errors(path: Path) -> dict[int, str]:
    """Return the errors that pyright reports for a file in strict mode, by line."""
    report = json.loads(run("pyright", "--outputjson", "--project", ".", "--pythonpath", sys.executable, str(path)))
    found = [each for each in report["generalDiagnostics"] if each["severity"] == "error" and each["file"] == str(path)]
    return {each["range"]["start"]["line"] + 1: each["message"] for each in found}


@pytest.mark.thorough
@pytest.mark.parametrize("errors", [mypy_errors, pyright_errors])
def test_type_checkers_reject_the_wrong_calls_only(errors, tmp_path):
    found = errors(Path(shutil.copy(CALLS, tmp_path)))  # pyright excludes the folder of tests
    source = CALLS.read_text(encoding="utf-8")
    lines = source.splitlines()
    accepted = [
        f"accepted: line {number}: {lines[number - 1].strip()}" for number in sorted(wrong_lines(source) - set(found))
    ]
    rejected = [f"rejected: line {n}: {found[n]}" for n in sorted(set(found) - wrong_lines(source))]
    assert not accepted + rejected, "\n".join(accepted + rejected)


@pytest.mark.thorough
@pytest.mark.parametrize("errors", [mypy_errors, pyright_errors])
def test_a_planted_error_is_found(errors, tmp_path):
    path = tmp_path / "planted.py"
    path.write_text("number: int = 3\ntext: str = number\n")
    assert list(errors(path)) == [2]
