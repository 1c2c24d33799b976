"""Everything that the three distributions provide holds under the rules of its kind."""

import subprocess
import sys
from functools import partial

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

from artifex.generative_models.core import registry
from artifex.generative_models.core.cli import build
from artifex.generative_models.core.components.discovery import FIRST_PARTY
from artifex.generative_models.core.testing import check, components
from artifex.generative_models.modalities.audio.annotations import with_annotations

OURS = [pair for distribution in FIRST_PARTY for pair in components(distribution=distribution)]

# The two large kinds have tests family by family; what the kit asks of them takes a fifth of the time of all tests.
LARGE = {"audio_type", "augmentation"}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param(kind, name, id=f"{kind}-{name}", marks=pytest.mark.thorough if kind in LARGE else ())
        for kind, name in OURS
    ],
)
def test_it_conforms(kind, name):
    report = check(kind, name)
    assert report.passed, str(report)
    if kind == "audio_type":  # here, where the kit has compiled the operations that it goes through
        assert_annotated_rightly(registry("audio_type")[name])


def assert_annotated_rightly(audio_type):
    """What is known beside a sound does not change it, and lies within the clip."""
    n, rate = 400, 16000
    plain = partial(audio_type, n_time_steps=n, sample_rate=rate)
    full = partial(with_annotations(audio_type), n_time_steps=n, sample_rate=rate)
    shapes = []
    for key in jax.random.split(jax.random.key(0), 2):
        audio, facts = full(key)
        np.testing.assert_allclose(audio, plain(key), atol=1e-6)
        shapes.append(jax.tree.map(np.shape, facts))
        if "f0" in facts:
            f0 = np.asarray(facts["f0"])
            assert f0.shape == (n,)
            assert ((f0 >= 0) & (f0 <= rate / 2)).all()
        if "onset_samples" in facts:
            onsets = np.asarray(facts["onset_samples"])
            assert (onsets.ndim, onsets.dtype) == (1, np.int32)
            assert ((onsets >= -1) & (onsets < n)).all()
        if "stems" in facts:
            np.testing.assert_allclose(np.asarray(facts["stems"]).sum(axis=0), audio, atol=1e-5)
    assert shapes[0] == shapes[1]


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
    assert "ok    window hann" in shown.output
    assert "FAIL  window lopsided" in shown.output
    assert "✗ periodic and symmetric agree" in shown.output
    one = CliRunner().invoke(build(), ["check", "window", "hann"])
    assert (one.exit_code, "1 of 1 components pass" in one.output) == (0, True)
    theirs = CliRunner().invoke(build(), ["check", "--dist", "faulty-windows"])
    assert "0 of 1 components pass" in theirs.output


@pytest.mark.thorough
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
