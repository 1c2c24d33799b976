"""The reader that docs/plugins.md shows works as it is printed there."""

import importlib
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from tests.audio.audio_files import samples

from artifex.generative_models.core import registry
from artifex.generative_models.core.components.registries import temporary_registrations
from artifex.generative_models.core.testing import check
from artifex.generative_models.modalities.audio.io import probe, read_audio, write_audio

SECTION = (
    Path(__file__, "../../../docs/plugins.md").resolve().read_text().partition("### Readers")[2].partition("\n## ")[0]
)
BLOCKS = [block for _, block in re.findall(r"```(python|toml)\n(.*?)```", SECTION, re.DOTALL)]


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """Write the package of the page, and return its entry point's target and its test."""
    source, project, test = BLOCKS
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "artifex_plugin_sphere").mkdir()
    (folder / "artifex_plugin_sphere" / "reader.py").write_text(source)
    ((name, target),) = tomllib.loads(project)["project"]["entry-points"]["artifex.readers"].items()
    module, _, attribute = target.partition(":")
    sys.path.insert(0, str(folder))
    try:
        with temporary_registrations():
            registry("reader").register(name, getattr(importlib.import_module(module), attribute))
            yield test
    finally:
        sys.path.remove(str(folder))
        for loaded in [loaded for loaded in sys.modules if loaded.startswith("artifex_plugin_sphere")]:
            del sys.modules[loaded]


def test_its_own_test_passes(plugin):
    namespace = {}
    exec(plugin, namespace)
    namespace["test_the_reader_conforms"]()


@pytest.mark.skipif(shutil.which("sox") is None, reason="needs SoX")
@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.usefixtures("plugin")
def test_it_reads_the_files_that_sox_writes(tmp_path, order):
    audio = np.stack([samples(500), samples(500)[::-1]])
    write_audio(tmp_path / "a.wav", audio, 16000)
    subprocess.run(["sox", "a.wav", "--endian", order, "a.sph"], cwd=tmp_path, check=True)
    np.testing.assert_array_equal(
        read_audio(tmp_path / "a.sph", mono=False)[0], read_audio(tmp_path / "a.wav", mono=False)[0]
    )
    assert probe(tmp_path / "a.sph").sample_rate == 16000


def test_the_kit_reports_a_reader_that_accepts_truncated_files():
    source = BLOCKS[0].replace("samples.size != count * n_channels or len(content) % 2", "False")
    source = source.replace("samples.reshape(count, n_channels)", "samples.reshape(-1, n_channels)")
    namespace = {}
    exec(source, namespace)
    report = check("reader", namespace["SphereReader"])
    assert [failure.rule for failure in report.failures] == ["damaged files raise AudioReadError"]
    assert "of 1224 bytes" in str(report)
