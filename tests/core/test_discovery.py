"""Discovery of components and hooks from the metadata of installed distributions."""

import importlib.metadata
import inspect
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from artifex.generative_models.core import (
    ConflictingComponentError,
    Kind,
    PluginWarning,
    UnknownComponentError,
    kinds,
    refresh,
    registry,
)
from artifex.generative_models.core.components import discovery
from artifex.generative_models.core.components import hooks as hook_modules
from artifex.generative_models.core.components.discovery import FIRST_PARTY
from artifex.generative_models.core.components.metadata import distributions_with

pytestmark = pytest.mark.usefixtures("fresh_registry")

ROOT = Path(__file__).parents[2]


def hooks(body: str, kind: str = "widget", *, summary: str = "A thing.", group: str = "") -> str:
    return f"""
from artifex.generative_models.core import Kind, hookimpl
{body}

@hookimpl
def artifex_kinds():
    return [Kind(name={kind!r}, group={group or f"artifex.{kind}s"!r}, summary={summary!r}, form="function")]
"""


def install_hooks(install, distribution: str, source: str, **given):
    module = f"{distribution.replace('-', '_')}_hooks"
    return install(distribution, {"artifex": {"hooks": module}}, modules={module: source}, **given)


def test_artifex_kinds_declares_kinds(install):
    install_hooks(install, "widget-kinds", hooks(""))
    assert kinds()["widget"].group == "artifex.widgets"
    assert list(registry("widget")) == []


def test_artifex_commands_adds_commands_and_failing_ones_are_skipped(install):
    from artifex.generative_models.core.cli import build

    install_hooks(
        install,
        "failing-commands",
        "from artifex.generative_models.core import hookimpl\n"
        "@hookimpl\ndef artifex_commands(app): raise OSError('no terminal')",
    )
    install_hooks(
        install,
        "sound-commands",
        "from artifex.generative_models.core import hookimpl\n"
        "@hookimpl\ndef artifex_commands(app): app.command('greet')(lambda: print('hello'))",
    )
    with pytest.warns(PluginWarning, match="commands of failing-commands:hooks skipped: OSError: no terminal"):
        app = build()
    names = {command.name for command in app.registered_commands}
    assert {"greet", "list", "show", "doctor"} <= names


HOOKS = [name for name, _ in inspect.getmembers(hook_modules.HookSpecs, inspect.isfunction) if not name.startswith("_")]


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_and_tested(hook):
    assert len((inspect.getdoc(getattr(hook_modules.HookSpecs, hook)) or "").split()) > 4
    assert f"`{hook}(" in (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    assert any(f"def {hook}(" in test.read_text(encoding="utf-8") for test in Path(__file__).parent.glob("test_*.py"))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise OSError('out of order')", "OSError: out of order"),
        ("import sys\nsys.exit('leaving')", "SystemExit: leaving"),
        ("import no_such_module_anywhere", "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        (
            hooks("").replace("return [", "return [3, "),
            "TypeError: artifex_kinds() must return a list of Kind, got the item 3",
        ),
        (hooks("").replace("return [", "raise OSError('late')\n    return ["), "OSError: late"),
        (hooks("").replace("@hookimpl", ""), "TypeError: artifex_kinds is not marked with @hookimpl"),
        (
            hooks("").replace("artifex_kinds", "artifex_kindz"),
            "PluginValidationError: unknown hook 'artifex_kindz'",
        ),
        (
            hooks("", "Wid get"),
            "ValueError: Kind.name must be a lower-case word such as 'audio_type', got 'Wid get'",
        ),
        (
            hooks("", "widget", group="somebody.widgets"),
            "ValueError: Kind.group must be a group such as 'artifex.audio_types', got 'somebody.widgets'",
        ),
        (
            hooks("from artifex.generative_models.core import registry\nregistry('widget')"),
            "RuntimeError: a hook module",
        ),
    ],
)
def test_a_broken_module_of_hooks_is_skipped_with_one_warning(install, source, reason):
    install_hooks(install, "broken-dist", source)
    install_hooks(install, "sound-dist", hooks("", "gizmo"))
    with pytest.warns(PluginWarning) as caught:
        found = [list(kinds()), list(kinds())][1]
    assert len(caught) == 1
    assert {"gizmo", "modality"} <= set(found)
    assert "widget" not in found
    assert re.match(r"plugin skipped: broken-dist: hooks = broken_dist_hooks: ", str(caught[0].message))
    assert reason in str(caught[0].message)
    problem = discovery.scan().problems[0]
    assert problem.source == "broken-dist"
    assert isinstance(problem.error, BaseException)


def test_an_unknown_kind_error_names_skipped_distributions(install):
    install_hooks(install, "broken-dist", "raise OSError('out of order')")
    with pytest.warns(PluginWarning):
        kinds()
    with pytest.raises(UnknownComponentError, match="skipped because broken: broken-dist"):
        registry("widget")


def test_no_hook_of_a_broken_module_stays_registered(install):
    source = hooks("").replace("return [", "return [3, ") + "\n@hookimpl\ndef artifex_commands(app): ...\n"
    install_hooks(install, "broken-dist", source)
    with pytest.warns(PluginWarning):
        scan = discovery.scan()
    assert all(
        "broken-dist" not in owner for owner, _ in hook_modules.implementations(scan.manager, "artifex_commands")
    )


def test_a_module_registered_twice_raises(install):
    install_hooks(install, "first-dist", hooks(""))
    install("second-dist", {"artifex": {"again": "first_dist_hooks"}})
    with pytest.warns(PluginWarning, match="second-dist: .*is already registered by first-dist:hooks"):
        assert "widget" in kinds()


def test_equal_declarations_of_a_kind_are_one_kind(install):
    install_hooks(install, "first-dist", hooks(""))
    install_hooks(install, "second-dist", hooks(""))
    assert registry("widget").kind.summary == "A thing."


def test_different_declarations_of_a_kind_raise(install):
    install_hooks(install, "first-dist", hooks(""))
    names = registry("widget")
    install_hooks(install, "second-dist", hooks("", summary="Another thing."))
    assert "widget" not in kinds()
    assert "modality" in kinds()
    for ask in (lambda: registry("widget"), lambda: names["anything"], lambda: list(names)):
        with pytest.raises(
            ConflictingComponentError, match="'widget' is declared differently by first-dist and second-dist"
        ):
            ask()


@pytest.mark.parametrize("setting", ["widget-dist", "Widget_Dist", "other,widget.dist", " widget-dist other ", "*"])
def test_a_distribution_can_be_disabled(install, monkeypatch, setting):
    install("widget-dist", {"artifex.modalities": {"widget": "no_such_module_anywhere:Widget"}})
    assert "widget" in registry("modality")
    monkeypatch.setenv("ARTIFEX_DISABLE_PLUGINS", setting)
    refresh()
    assert "widget" not in registry("modality")
    with pytest.raises(UnknownComponentError, match=r"disabled by ARTIFEX_DISABLE_PLUGINS: .*widget-dist"):
        registry("modality")["widget"]


def test_a_star_does_not_disable_first_party_distributions(monkeypatch):
    monkeypatch.setenv("ARTIFEX_DISABLE_PLUGINS", "*")
    refresh()
    assert {"modality", "extension", "dataset"} <= set(kinds())


def test_a_disabled_module_of_hooks_is_not_imported(install, monkeypatch):
    monkeypatch.setenv("ARTIFEX_DISABLE_PLUGINS", "broken-dist")
    install_hooks(install, "broken-dist", "raise OSError('out of order')")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "modality" in kinds()


@pytest.mark.parametrize(
    "text",
    [
        "[artifex.modalities]\nno equals sign here\n",
        "[artifex.modalities]\nwidget =\n",
        "[artifex.modalities]\nwidget = module:Widget:again\n",
        "[artifex.modalities]\nwidget = not a module\n",
        "[artifex.modalities]\nwid@get = module:Widget\n",
        "[artifex.modalities]\nwidget = one:Widget\nwidget = two:Widget\n",
    ],
)
def test_a_distribution_with_malformed_entry_points_is_skipped(install, text):
    install("malformed-dist", text)
    install("sound-dist", {"artifex.modalities": {"sound": "no_such_module_anywhere:Sound"}})
    with pytest.warns(PluginWarning, match="malformed-dist: metadata: ") as caught:
        assert "sound" in registry("modality")
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)
    assert "widget" not in registry("modality")


@pytest.mark.parametrize("metadata", ["", "Metadata-Version: 2.1\nVersion: 1.0\n", "Name:\nVersion: 1.0\n"])
def test_metadata_without_a_name_is_reported_with_its_path(install, metadata):
    install("nameless-dist", {"artifex.modalities": {"widget": "module:Widget"}}, metadata=metadata)
    with pytest.warns(
        PluginWarning, match=r"nameless_dist-1\.0\.dist-info: metadata: ValueError: the metadata has no name"
    ):
        assert "widget" not in registry("modality")


def test_metadata_that_is_not_text_is_reported(install):
    installed = install("binary-dist", "")
    (installed.metadata / "entry_points.txt").write_bytes(b"[artifex.modalities]\nw\xff = module:W\n")
    refresh()
    with pytest.warns(PluginWarning, match="binary-dist: metadata: UnicodeDecodeError"):
        kinds()


def test_entry_points_in_other_groups_are_ignored(install):
    scripts = "; artifex is mentioned\n[console_scripts]\nartifex-thing = module:main\n"
    install("other-dist", f"{scripts}[artifexes.modalities]\nw = module:W\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "w" not in registry("modality")


@pytest.mark.parametrize(
    "text",
    [
        "[artifex.modalities]\n  widget = module:Widget\n",
        "[artifex.modalities]\n# why\nwidget=module:Widget [fast]\n\n",
    ],
)
def test_entry_points_equal_those_of_the_standard_library(install, text):
    install("widget-dist", text)
    found = [e for e in importlib.metadata.entry_points(group="artifex.modalities") if e.name == "widget"]
    assert [claim.value for claim in registry("modality").claims("widget")] == [found[0].value]


def test_name_and_version_equal_those_of_importlib_metadata():
    found = {name: version for name, version, _, _ in distributions_with("artifex")}
    assert set(FIRST_PARTY) <= set(found)
    assert found == {name: importlib.metadata.version(name) for name in found}


def test_only_one_module_imports_importlib_metadata():
    reading = re.compile(
        r"^\s*(import importlib[._]metadata|from importlib(_metadata| import metadata|\.metadata))", re.M
    )
    sources = [*ROOT.glob("artifex-*/src/**/*.py")]
    assert [path.name for path in sources if reading.search(path.read_text(encoding="utf-8"))] == ["metadata.py"]


def test_an_invalid_kind_raises():
    for wrong in (
        {"form": "thing"},
        {"positional": -1},
        {"call": ["rate"]},
        {"attributes": (3,)},
        {"name": 3},
        {"name": "a b"},
    ):
        with pytest.raises((TypeError, ValueError)):
            Kind(
                **{
                    "name": "metric",
                    "group": "artifex.metrics",
                    "summary": "A score.",
                    "form": "function",
                    **wrong,
                }
            )


LISTING = """
import sys
from artifex.generative_models.core import kinds, registry
from artifex.generative_models.core.cli import build
build()
assert "widget" in kinds()
assert "part" in registry("widget")
for kind in kinds():
    for name in registry(kind):
        registry(kind).claims(name)
unwanted = ("jax", "jaxlib", "flax", "matplotlib", "soundfile", "widget_parts")
heavy = [name for name in unwanted if name in sys.modules]
sys.exit(f"imported: {heavy}" if heavy else 0)
"""


def listing_with(install, source: str) -> subprocess.CompletedProcess:
    modules = {"widget_hooks": source, "widget_parts": "def part(): ..."}
    entries = {"artifex": {"hooks": "widget_hooks"}, "artifex.widgets": {"part": "widget_parts:part"}}
    folder = install("widget-dist", entries, modules=modules).folder
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH", ""))))
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run([sys.executable, "-c", LISTING], env=environment, capture_output=True, text=True, check=False)


def test_listing_imports_no_jax_and_no_component(install):
    ran = listing_with(install, hooks(""))
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("module", ["jax", "widget_parts"])
def test_the_test_above_fails_if_a_module_is_imported(install, module):
    ran = listing_with(install, hooks(f"import {module}"))
    assert ran.returncode != 0
    assert f"'{module}'" in ran.stderr


@pytest.mark.parametrize(
    "module",
    [
        "core",
        "core.cli",
        "core.cli.commands",
        "core.components.registries",
        "core.pytest_plugin",
        "core.configuration",
        "core.checks",
        "core.extras",
        "core.protocols",
        "modalities.base",
    ],
)
def test_modules_without_jax_do_not_import_it(module):
    code = f"import sys, artifex.generative_models.{module}; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
