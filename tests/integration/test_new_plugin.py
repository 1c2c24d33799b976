"""A package that ``artifex new plugin`` wrote: installed afresh it passes its own tests, which catch bugs."""

import importlib.util
import os
import re
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

from artifex.generative_models.core.cli.scaffold import TEMPLATES, write_plugin

PACKAGE = "artifex_plugin_my_tide"


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return write_plugin("my-tide", list(TEMPLATES), out=tmp_path_factory.mktemp("written"))


@pytest.fixture(scope="module")
def run(tmp_path_factory, package):
    """Install the package into a fresh environment and return what runs Python there."""
    folder = tmp_path_factory.mktemp("fresh") / "env"
    venv.create(folder, with_pip=importlib.util.find_spec("pip") is None)
    scheme = {"base": str(folder), "platbase": str(folder)}
    installed = Path(sysconfig.get_path("purelib", "venv", scheme))
    outer = sysconfig.get_path("purelib")
    (installed / "outer.pth").write_text(f"import site; site.addsitedir({outer!r})\n")
    python = Path(sysconfig.get_path("scripts", "venv", scheme)) / Path("python").with_suffix(
        ".exe" * (os.name == "nt")
    )
    hiding = ("ARTIFEX_DISABLE_PLUGINS", "PYTEST_ADDOPTS", "PIP_NO_BUILD_ISOLATION")
    inherited = {name: value for name, value in os.environ.items() if name not in hiding}

    def ran(*arguments, **environment):
        path = os.pathsep.join(filter(None, [environment.get("PYTHONPATH"), inherited.get("PYTHONPATH")]))
        return subprocess.run(
            [str(python), *map(str, arguments)],
            cwd=package,
            env={**inherited, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    made = ran("-m", "pip", "install", *offline, package)
    assert made.returncode == 0, made.stdout + made.stderr
    assert (installed / PACKAGE / "py.typed").is_file()
    return ran


@pytest.mark.thorough
def test_its_own_tests_and_examples_pass_where_it_is_installed(run):
    tested = run(
        "-m",
        "pytest",
        "-rA",
        "--no-header",
        "-p",
        "no:cacheprovider",
        "--pyargs",
        PACKAGE,
        "tests",
        "README.md",
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
    passed = set(re.findall(r"^PASSED (\S+)", tested.stdout, flags=re.MULTILINE))
    assert not re.findall(r"^(SKIPPED|XFAIL)", tested.stdout, flags=re.MULTILINE)
    holds = "tests/test_conformance.py::test_component_passes_the_rules_of_its_kind"
    assert {f"{holds}[{kind}-my_tide]" for kind in TEMPLATES} <= passed
    assert "README.md::README.md" in passed
    examples = {test.rpartition("::")[2] for test in passed if PACKAGE in test}
    assert examples == {
        f"{PACKAGE}.{template.module}.{'MyTide' if template.object_name == 'classname' else 'my_tide'}"
        for template in TEMPLATES.values()
        if template.object_name != "constant"
    }


BUGS = {
    "an if on a traced value": (
        "augmentation",
        "    return (jnp.tanh",
        "    if drive > 2:\n        drive = drive / 2\n    return (jnp.tanh",
        "    if drive > 2:",
        "jit equals eager",
        "a Python if, while, and, or, not on a traced value; use jnp.where",
    ),
    "one key used twice": (
        "audio_type",
        "numerics.uniform(phase_key)",
        "numerics.uniform(frequency_key)",
        "numerics.uniform(frequency_key)",
        "no key used twice",
        "the same key is used twice; split it",
    ),
    "a maximum over the batch": (
        "representation",
        "    companded: jax.Array =",
        "    values = values / jnp.maximum(jnp.max(jnp.abs(values)), 1e-6)\n        companded: jax.Array =",
        "jnp.max(jnp.abs(values))",
        "encode: examples are independent",
        "a maximum, mean or sum over the batch axis; reduce over the example's own axes",
    ),
}


@pytest.mark.thorough
def test_a_bug_put_in_by_hand_is_caught_with_its_cause_and_line(run, package, tmp_path):
    shutil.copytree(package / "src", tmp_path / "src")
    expected = {}
    for kind, right, wrong, sign, rule, cause in BUGS.values():
        module = tmp_path / "src" / PACKAGE / f"{TEMPLATES[kind].module}.py"
        text = module.read_text(encoding="utf-8")
        assert text.count(right) == 1
        module.write_text(text.replace(right, wrong), encoding="utf-8")
        lines = module.read_text(encoding="utf-8").splitlines()
        (number,) = (place for place, line in enumerate(lines, 1) if sign in line)
        expected[kind] = (rule, f"likely cause: {cause}, {module.name}:{number}")
    tested = run(
        *("-m", "pytest", "-p", "no:cacheprovider", "tests/test_conformance.py", "-k", " or ".join(expected)),
        PYTHONPATH=str(tmp_path / "src"),
    )
    reports = re.split(r"^_+ test_component_\w+\[(\w+)-my_tide\] _+$", tested.stdout, flags=re.MULTILINE)
    found = dict(zip(reports[1::2], reports[2::2], strict=True))
    assert set(found) == set(expected), tested.stdout + tested.stderr
    for kind, (rule, cause) in expected.items():
        entry = found[kind].partition(f"✗ {rule}: ")[2].partition("✗")[0].partition("✓")[0]
        assert cause in entry, found[kind]
