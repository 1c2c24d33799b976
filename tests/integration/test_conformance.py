"""Everything that the three distributions provide holds under the rules of its kind."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from artifex.generative_models.core.cli import build
from artifex.generative_models.core.plugins import FIRST_PARTY
from artifex.generative_models.core.testing import check, components

OURS = [pair for distribution in FIRST_PARTY for pair in components(distribution=distribution)]


@pytest.mark.parametrize(("kind", "name"), OURS, ids=[f"{kind}-{name}" for kind, name in OURS])
def test_it_conforms(kind, name):
    report = check(kind, name)
    assert report.passed, str(report)


def test_the_command_shows_what_holds_and_what_does_not(install):
    install(
        "faulty-windows",
        {"artifex.windows": {"lopsided": "lopsided_windows:lopsided"}},
        modules={
            "lopsided_windows": '''
                import numpy as np

                def lopsided(length, *, periodic=True):
                    """Ramp over a length in samples, periodic or not."""
                    return np.linspace(0, 1, length)
            '''
        },
    )
    shown = CliRunner().invoke(build(), ["check", "window"])
    assert shown.exit_code == 1
    assert "ok  window hann" in shown.output
    assert "no  window lopsided" in shown.output
    assert "✗ periodic and symmetric agree" in shown.output
    one = CliRunner().invoke(build(), ["check", "window", "hann"])
    assert (one.exit_code, "1 of 1 components hold" in one.output) == (0, True)
    theirs = CliRunner().invoke(build(), ["check", "--dist", "faulty-windows"])
    assert "0 of 1 components hold" in theirs.output


def test_the_pytest_plugin_adds_a_test_for_each_component(tmp_path):
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-v",
            "-p",
            "no:cacheprovider",
            "--artifex-kind",
            "window",
            "--artifex-dist",
            "artifex-spectral",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    n_windows = len(components("window", "artifex-spectral"))
    assert f"{n_windows} passed" in run.stdout, run.stdout + run.stderr
    assert "window[hann] PASSED" in run.stdout
