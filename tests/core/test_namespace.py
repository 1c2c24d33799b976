"""Three distributions share one namespace, of which no level is an ordinary package."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import artifex_cli

ROOT = Path(__file__).parents[2]
SOURCES = [ROOT / name / "src" for name in ("artifex-core", "artifex-audio", "artifex-spectral")]
OWN = ["core", "modalities/audio", "extensions/audio_processing/spectral"]


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.parent.name)
@pytest.mark.parametrize("level", artifex_cli.LEVELS)
def test_a_namespace_level_is_not_an_ordinary_package(source, level):
    folder = source.joinpath(*level.split("."))
    assert not list(folder.glob("__init__.*"))
    assert not list(folder.parent.glob(f"{folder.name}.py*"))


@pytest.mark.parametrize("level", artifex_cli.LEVELS)
def test_every_namespace_level_spans_distributions(level):
    holders = [source for source in SOURCES if source.joinpath(*level.split(".")).is_dir()]
    assert holders


def test_every_folder_is_a_namespace_level_or_an_ordinary_package():
    levels = {Path(*level.split(".")) for level in artifex_cli.LEVELS}
    for source in SOURCES:
        for folder in {file.parent for file in source.rglob("*.py")} - {source}:
            assert folder.relative_to(source) in levels or (folder / "__init__.py").is_file(), folder


def test_every_installed_folder_has_py_typed():
    marked = [*OWN, "modalities", "extensions"]
    for folder in marked:
        found = [
            source for source in SOURCES if (source / "artifex" / "generative_models" / folder / "py.typed").is_file()
        ]
        assert len(found) == 1, folder


def run(*arguments: str, path: Path) -> subprocess.CompletedProcess:
    searched = os.pathsep.join(filter(None, (str(path), os.environ.get("PYTHONPATH", ""))))
    environment = {**os.environ, "PYTHONPATH": searched}
    command = [sys.executable, "-m", "artifex_cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=path)


@pytest.mark.parametrize("file", ["artifex/__init__.py", "artifex.py"])
def test_an_unrelated_package_is_reported_and_not_imported(tmp_path, file):
    foreign = tmp_path / "elsewhere" / file
    foreign.parent.mkdir(parents=True)
    foreign.write_text("raise SystemExit('this is somebody else')")
    for command, code in (("list", 2), ("doctor", 1)):
        ran = run(command, path=tmp_path / "elsewhere")
        assert ran.returncode == code
        assert ran.stdout == ""
        assert ran.stderr.startswith(f"artifex: {foreign} is an unrelated ")
        assert ran.stderr.count("\n") == 1
        assert "rename it" in ran.stderr


def test_the_report_of_an_unrelated_distribution_says_how_to_uninstall_it(tmp_path):
    (tmp_path / "artifex").mkdir()
    (tmp_path / "artifex" / "__init__.py").write_text("")
    info = tmp_path / "paint_artifex-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: paint-artifex\nVersion: 2.0\n")
    (info / "RECORD").write_text("artifex/__init__.py,,\n")
    ran = run("list", path=tmp_path)
    assert ran.returncode == 2
    assert "it belongs to paint-artifex; pip uninstall paint-artifex" in ran.stderr


@pytest.mark.parametrize("level", artifex_cli.LEVELS[:3:2])
def test_a_stray_init_file_that_hides_the_core_is_reported(tmp_path, level):
    stray = tmp_path.joinpath(*level.split("."), "__init__.py")
    (stray.parent / "plugins").mkdir(parents=True)
    stray.write_text("")
    ran = run("list", path=tmp_path)
    assert ran.returncode == 2
    assert f"{stray} makes {level} an ordinary package, which hides the modules of other distributions" in ran.stderr
    assert "delete that file" in ran.stderr


def test_a_command_line_that_cannot_start_prints_the_reason(tmp_path):
    (tmp_path / "typer.py").write_text("raise ImportError('half an install')")
    ran = run("list", path=tmp_path)
    assert ran.returncode == 2
    assert ran.stderr.startswith("artifex: the command line cannot start: half an install; pip install")
    assert ran.stderr.count("\n") == 1


def test_faults_are_found_at_every_level(tmp_path, monkeypatch):
    assert artifex_cli.namespace_faults() == []
    monkeypatch.syspath_prepend(str(tmp_path))
    strays = [tmp_path.joinpath(*level.split("."), "__init__.py") for level in artifex_cli.LEVELS]
    for stray in strays:
        stray.parent.mkdir(parents=True, exist_ok=True)
        stray.write_text("")
    faults = artifex_cli.namespace_faults()
    assert [fault.partition(" makes ")[0] for fault in faults] == [str(stray) for stray in strays]
