"""The registry with many distributions, threads, and faulty plugins."""

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import threading
import types
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from artifex.generative_models.core import (
    BrokenComponentError,
    PluginWarning,
    UnknownComponentError,
    kinds,
    refresh,
    registry,
)
from artifex.generative_models.core.components.discovery import scan

pytestmark = pytest.mark.usefixtures("fresh_registry")

N_DISTRIBUTIONS, N_COMPONENTS = 500, 10
PLAIN = "def double(x, *, by=2):\n    return by * x\n"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Write the distributions of the benchmark; return their folder and components."""
    path = Path(__file__).parents[2] / "benchmarks" / "registry.py"
    spec = importlib.util.spec_from_file_location("registry_benchmark", path)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    folder = tmp_path_factory.mktemp("many")
    return folder, benchmark.write_distributions(folder, N_DISTRIBUTIONS, N_COMPONENTS)


@pytest.fixture
def many(written, fresh_registry, monkeypatch):
    """Add these distributions to ``sys.path``; yield kind, name and module of each component."""
    folder, components = written
    monkeypatch.syspath_prepend(str(folder))
    refresh()
    kind_of = {kind.group: name for name, kind in kinds().items()}
    yield [(kind_of[group], name, module) for group, name, module in components]
    for module in loaded():
        del sys.modules[module]


def loaded() -> set[str]:
    return {name for name in sys.modules if name.startswith("stress_plugin_")}


def test_five_thousand_components_are_listed_without_imports(many):
    assert len(many) == N_DISTRIBUTIONS * N_COMPONENTS
    for kind in {kind for kind, _, _ in many}:
        assert {name for each, name, _ in many if each == kind} <= set(registry(kind))
    assert not loaded()


def test_only_the_requested_component_is_loaded(many):
    kind, name, module = many[len(many) // 2]
    assert registry(kind)[name].__name__ == name
    assert loaded() == {module}


def test_claims_equal_the_entry_points_of_the_standard_library(many):
    for group, names in scan().groups.items():
        theirs = {(e.name, e.value, e.dist.version) for e in importlib.metadata.entry_points(group=group)}
        assert {(c.name, c.value, c.version) for claims in names.values() for c in claims} == theirs


def test_one_broken_distribution_among_many_is_one_warning(many, install):
    install("malformed-dist", "[artifex.audio_types]\nno equals sign here\n")
    with pytest.warns(PluginWarning, match="malformed-dist: metadata: ") as caught:
        names = set(registry("audio_type"))
    assert len(caught) == 1
    assert {name for kind, name, _ in many if kind == "audio_type"} <= names


def test_one_of_many_distributions_can_be_disabled(many, monkeypatch):
    off = many[0][2]
    monkeypatch.setenv("ARTIFEX_DISABLE_PLUGINS", off)
    refresh()
    for kind, name, module in many[:: N_COMPONENTS // 2]:
        assert (name in registry(kind)) == (module != off)


def test_concurrent_threads_load_different_components(many):
    requested = many[:: len(many) // 40]
    refresh()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda each: registry(each[0])[each[1]], requested * 3))
    assert [each.__name__ for each in found] == [name for _, name, _ in requested] * 3
    assert loaded() == {module for _, _, module in requested}


def install_plugin(install, distribution, source, *, name="double", version="1.0", module=None):
    module = module or f"{distribution.replace('-', '_')}_parts"
    entries = {"artifex.gadgets": {name: f"{module}:double"}}
    return install(distribution, entries, modules={module: source}, version=version)


@pytest.fixture
def gate(monkeypatch):
    """Yield a module ``stress_gate`` with two events: a plugin's import sets ``entered`` and waits for ``opened``."""
    module = types.ModuleType("stress_gate")
    module.entered, module.opened = threading.Event(), threading.Event()
    monkeypatch.setitem(sys.modules, "stress_gate", module)
    yield module
    module.opened.set()


WAIT = "import stress_gate\nstress_gate.entered.set()\nassert stress_gate.opened.wait(60)\n"


def test_other_plugins_can_be_loaded_while_one_is_imported(install, gadgets, gate):
    install_plugin(install, "slow-dist", WAIT + PLAIN, name="slow")
    install_plugin(install, "quick-dist", PLAIN, name="quick")
    names = registry(gadgets)
    with ThreadPoolExecutor(2) as pool:
        slow = [pool.submit(names.__getitem__, "slow") for _ in range(2)]
        try:
            assert gate.entered.wait(60)
            assert names["quick"](1) == 2
            assert list(names) == ["quick", "slow"]
            names.register("own", abs)
            assert names["own"] is abs
            assert "modality" in kinds()
            assert not any(each.done() for each in slow)
        finally:
            gate.opened.set()
        first, second = (each.result(60) for each in slow)
    assert first is second
    assert first(1) == 2


def test_a_plugin_uninstalled_during_its_import_is_unknown_afterward(install, gadgets, gate):
    installed = install_plugin(install, "slow-dist", WAIT + PLAIN, name="slow")
    names = registry(gadgets)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(names.__getitem__, "slow")
        try:
            assert gate.entered.wait(60)
            installed.uninstall()
        finally:
            gate.opened.set()
        assert slow.result(60)(1) == 2
    with pytest.raises(UnknownComponentError):
        names["slow"]


@pytest.mark.parametrize(
    ("source", "original"),
    [
        ("class Leave(BaseException): ...\nraise Leave('now')", "Leave: now"),
        ("class Stop(KeyboardInterrupt): ...\nraise Stop('mine')", "Stop: mine"),
        ("raise GeneratorExit", "GeneratorExit: "),
        ("import asyncio\nraise asyncio.CancelledError", "CancelledError: "),
        ("def again(): again()\nagain()", "RecursionError: "),
        ("raise SystemExit", "SystemExit: "),
    ],
)
def test_system_exit_in_a_plugin_is_reported(install, gadgets, source, original):
    install_plugin(install, "leaving-dist", source, name="leaving")
    install_plugin(install, "sound-dist", PLAIN)
    with pytest.raises(BrokenComponentError, match=f"leaving-dist 1.0 .*cannot be loaded: {original}"):
        registry(gadgets)["leaving"]
    assert registry(gadgets)["double"](1) == 2


def test_circular_imports_of_plugins_are_reported(install, gadgets):
    install_plugin(install, "first-dist", f"from second_dist_parts import double as other\n{PLAIN}", name="first")
    install_plugin(install, "second-dist", f"from first_dist_parts import double as other\n{PLAIN}", name="second")
    install_plugin(install, "sound-dist", PLAIN)
    for name in ("first", "second"):
        with pytest.raises(BrokenComponentError, match=rf"{name}-dist 1\.0 .*ImportError: .*circular import"):
            registry(gadgets)[name]
    assert registry(gadgets)["double"](1) == 2


def test_refresh_finds_an_upgrade(install, gadgets):
    old = install_plugin(install, "first-dist", "def double(x): return 'old'\n", module="old_parts")
    assert registry(gadgets)["double"](1) == "old"
    old.uninstall()
    install_plugin(install, "first-dist", "def double(x): return 'new'\n", module="new_parts", version="2.0")
    assert [claim.version for claim in registry(gadgets).claims("double")] == ["2.0"]
    assert registry(gadgets)["double"](1) == "new"


def test_refresh_loads_the_new_code_of_an_unused_plugin(install, gadgets):
    installed = install_plugin(install, "first-dist", PLAIN)
    assert registry(gadgets).claims("double")[0].version == "1.0"
    (installed.folder / "first_dist_parts.py").write_text("def double(x): return 'new'\n")
    upgraded = installed.metadata.with_name("first_dist-2.0.dist-info")
    installed.metadata.rename(upgraded)
    (upgraded / "METADATA").write_text("Metadata-Version: 2.1\nName: first-dist\nVersion: 2.0\n")
    refresh()
    assert registry(gadgets).claims("double")[0].version == "2.0"
    assert registry(gadgets)["double"](1) == "new"


NOISY = """
import sys
from artifex.generative_models.core import hookimpl
print("imported, and proud of it")
sys.stdout.write("still here")

@hookimpl
def artifex_commands(app):
    print("adding commands")
"""


def run_with(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH", ""))))
    command = [sys.executable, "-m", "artifex_cli", *arguments]
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_output_of_plugins_at_import_is_not_in_the_output_of_commands(install):
    entries = {"artifex": {"hooks": "noisy_hooks"}, "artifex.windows": {"noisy": "noisy_parts:double"}}
    parts_ = f"print('loaded')\n{PLAIN.replace('*, by', '*, periodic=True, by')}"
    folder = install("noisy-dist", entries, modules={"noisy_hooks": NOISY, "noisy_parts": parts_}).folder
    ran = run_with(folder, "list", "window", "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["window"]["components"]["noisy"][0]["distribution"] == "noisy-dist"
    for said in ("imported, and proud of it", "still here", "adding commands"):
        assert said in ran.stderr
    ran = run_with(folder, "show", "window", "noisy")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("noisy  window, noisy-dist 1.0\n")
    assert "loaded" in ran.stderr


def test_commands_work_with_a_module_of_hooks_that_exits_or_cannot_be_imported(install):
    entries = {"artifex": {"hooks": "leaving_hooks", "missing": "no_such_module_anywhere"}}
    folder = install("leaving-dist", entries, modules={"leaving_hooks": "raise SystemExit(7)"}).folder
    ran = run_with(folder, "list", "modality")
    assert ran.returncode == 0
    assert ran.stdout.startswith("modality\n")
    assert "leaving-dist: hooks = leaving_hooks: SystemExit: 7" in ran.stderr
    assert "leaving-dist: missing = no_such_module_anywhere: ModuleNotFoundError" in ran.stderr
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)
        assert {problem.source for problem in scan().problems} == {"leaving-dist"}
