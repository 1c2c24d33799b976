"""A third party's wheel: found after its install, used by name, gone after its uninstall, harming nobody."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
AMBULANCE = ROOT / "examples" / "artifex-plugin-ambulance"


class Environment:
    """A fresh virtual environment that also sees what the running one has, its editable installs included."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=True)
        self.python = folder / "bin" / "python" if os.name == "posix" else folder / "Scripts" / "python.exe"
        packages = Path(self.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip())
        outer = sysconfig.get_path("purelib")
        (packages / "outer.pth").write_text(f"import site; site.addsitedir({outer!r})\n")

    def run(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess:
        given = {key: value for key, value in os.environ.items() if key != "ARTIFEX_DISABLE_PLUGINS"}
        command = [str(self.python), *arguments]
        ran = subprocess.run(command, env=given | environment, capture_output=True, text=True, check=False)
        assert not check or ran.returncode == 0, ran.stderr
        return ran

    def artifex(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return self.run("-m", "artifex_cli", *arguments, check=False, **environment)

    def listed(self, kind: str) -> dict:
        return json.loads(self.artifex("list", kind, "--json").stdout)[kind]["components"]

    def install(self, *wheels: Path) -> None:
        self.run(
            "-m",
            "pip",
            "--disable-pip-version-check",
            "install",
            "--no-index",
            "--no-deps",
            *map(str, wheels),
        )

    def uninstall(self, *distributions: str) -> None:
        self.run("-m", "pip", "--disable-pip-version-check", "uninstall", "--yes", *distributions)


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Environment:
    return Environment(tmp_path_factory.mktemp("third_party") / "env")


@pytest.fixture(scope="module")
def ambulance(tmp_path_factory) -> Path:
    """Build the example's wheel with what is installed here."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheels")
    build = f"from hatchling.build import build_wheel; print(build_wheel({str(folder)!r}))"
    built = subprocess.run([sys.executable, "-c", build], cwd=AMBULANCE, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder / built.stdout.split()[-1]


def wheel_of(folder: Path, name: str, entry_points: str, modules: dict[str, str]) -> Path:
    """Write a wheel by hand."""
    plain = name.replace("-", "_")
    info = f"{plain}-1.0.dist-info"
    files = {f"{module}.py": source for module, source in modules.items()} | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": entry_points,
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text.encode())}\n"
    wheel = folder / f"{plain}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(path, text)
    return wheel


def test_the_wheel_ships_its_own_package_alone(ambulance):
    names = zipfile.ZipFile(ambulance).namelist()
    assert {name.split("/")[0] for name in names} == {
        "artifex_plugin_ambulance",
        "artifex_plugin_ambulance-1.0.0.dist-info",
    }
    assert "artifex_plugin_ambulance/py.typed" in names


USE = """
import numpy as np
from artifex.generative_models.core import create, registry
from artifex.generative_models.modalities.audio import AudioModalityConfig
from artifex.generative_models.modalities.audio.datasets import SyntheticAudioDataset

config = AudioModalityConfig(duration=0.05, normalize=False)
data = SyntheticAudioDataset(config, n_samples=4, audio_types=["ambulance", ("ambulance", {"amplitude": 0.25})])
peaks = [float(np.abs(sample["audio"]).max()) for sample in data]
assert np.allclose(peaks, [0.5, 0.25] * 2, rtol=0.01), peaks
assert data[0]["audio_type"] == "ambulance"
from artifex_plugin_ambulance.windows import welch
assert registry("window")["welch"] is welch
assert registry("window")["welch@artifex-plugin-ambulance"] is welch
try:
    create("audio_type", "ambulance", hodl=0.2)
except TypeError as error:
    assert "Did you mean 'hold'" in str(error)
"""


@pytest.mark.thorough
def test_a_plugin_comes_with_its_install_and_goes_with_its_uninstall(environment, ambulance):
    assert "ambulance" not in environment.listed("audio_type")
    environment.install(ambulance)
    try:
        claim = {"distribution": "artifex-plugin-ambulance", "version": "1.0.0"}
        for kind, name in (("audio_type", "ambulance"), ("augmentation", "megaphone"), ("window", "welch")):
            (found,) = environment.listed(kind)[name]
            assert found.items() >= claim.items()
        assert "hold" in environment.artifex("show", "audio_type", "ambulance").stdout
        environment.run("-W", "error", "-c", USE)
        quick = ["-k", "found or refused or parabola", "-p", "no:cacheprovider", "-c", os.devnull]
        tests = environment.run("-m", "pytest", "-q", *quick, "--rootdir", str(AMBULANCE), str(AMBULANCE / "tests"))
        assert " passed" in tests.stdout
        assert (
            "ambulance"
            not in json.loads(
                environment.artifex(
                    "list", "audio_type", "--json", ARTIFEX_DISABLE_PLUGINS="artifex-plugin-ambulance"
                ).stdout
            )["audio_type"]["components"]
        )
    finally:
        environment.uninstall("artifex-plugin-ambulance")
    assert "ambulance" not in environment.listed("audio_type")
    gone = environment.artifex("show", "audio_type", "ambulance")
    assert gone.returncode == 2
    assert gone.stderr.startswith("artifex: no audio_type 'ambulance' is installed.")


BITES = """
import warnings
warnings.simplefilter("error")
from artifex.generative_models.core import BrokenComponentError, ConflictingComponentError, create, registry

names = registry("audio_type")
assert {"bad", "sine", "noise"} <= set(names)
assert names["noise"].__name__ == "noise"
try:
    names["bad"]
except BrokenComponentError as error:
    assert "audio_type 'bad' of raising-plugin 1.0" in str(error), error
    assert isinstance(error.__cause__, SystemExit)
else:
    raise AssertionError("a plugin that leaves was not noticed")
try:
    create("audio_type", "sine")
except ConflictingComponentError as error:
    for part in ("artifex-audio", "sine-plugin 1.0", "'sine@artifex-audio'", "'sine@sine-plugin'"):
        assert part in str(error), error
else:
    raise AssertionError("a clash was settled silently")
assert names["sine@artifex-audio"].__module__.startswith("artifex.")
assert create("audio_type", "sine@sine-plugin", level=2.0)(None, n_time_steps=1, sample_rate=1) == 2.0
"""


@pytest.mark.thorough
def test_a_plugin_that_leaves_and_one_that_claims_sine_bite_only_who_asks(environment, tmp_path):
    raising = wheel_of(
        tmp_path,
        "raising-plugin",
        "[artifex]\nhooks = raising_hooks\n[artifex.audio_types]\nbad = raising_parts:bad\n",
        {
            "raising_parts": "raise SystemExit('no')",
            "raising_hooks": "from artifex.generative_models.core import hookimpl\n"
            "@hookimpl\ndef artifex_commands(app): raise OSError('no terminal')\n",
        },
    )
    claiming = wheel_of(
        tmp_path,
        "sine-plugin",
        "[artifex.audio_types]\nsine = sine_parts:sine\n",
        {"sine_parts": "def sine(key, *, n_time_steps, sample_rate, level=1.0):\n    return level\n"},
    )
    environment.install(raising, claiming)
    try:
        environment.run("-c", BITES)
        listed = environment.artifex("list", "audio_type")
        assert listed.returncode == 0
        assert "conflict: write sine@sine-plugin" in listed.stdout
        assert listed.stderr.count("\n") == 1
        assert listed.stderr.startswith(
            "artifex: warning: commands of raising-plugin:hooks skipped: OSError: no terminal"
        )
        doctor = environment.artifex("doctor")
        assert doctor.returncode == 1
        assert "3 problems:" in doctor.stdout
        for part in (
            "raising-plugin 1.0: audio_type 'bad'",
            "write sine@artifex-audio or sine@sine-plugin",
            "no terminal",
        ):
            assert part in doctor.stdout
    finally:
        environment.uninstall("raising-plugin", "sine-plugin")
    assert environment.artifex("list", "audio_type").stderr == ""
