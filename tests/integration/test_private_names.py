"""Tests use public names of JAX and artifex only."""

from __future__ import annotations

import ast

import pytest
from tests.integration.source import ROOT

PACKAGES = ("artifex", "jax", "jaxlib", "flax")


def private_uses(source: str) -> list[tuple[int, str]]:
    """Return the lines that import, read or replace a private name of a module, with the name."""
    tree = ast.parse(source)
    imported: set[str] = set()
    uses = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            imported |= {alias.asname or alias.name for alias in node.names if alias.name.startswith(PACKAGES)}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in PACKAGES:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            imported |= {alias.asname or alias.name for alias in node.names}
        else:
            continue
        uses += [(node.lineno, name) for name in names if name.startswith(PACKAGES) and _has_private_part(name)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _is_private(node.attr) and ast.unparse(node.value) in imported:
            uses.append((node.lineno, ast.unparse(node)))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("setattr") and len(node.args) > 1:
            owner, name = node.args[:2]
            if isinstance(name, ast.Constant) and _is_private(str(name.value)) and ast.unparse(owner) in imported:
                uses.append((node.lineno, f"{ast.unparse(owner)}.{name.value}"))
    return sorted(uses)


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def _has_private_part(name: str) -> bool:
    return any(map(_is_private, name.split(".")))


def test_tests_use_public_names_only():
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for line, name in private_uses(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "from jax._src import compiler",
        "from artifex.generative_models.core.registry import _registries",
        "from artifex.generative_models.core import plugins\nplugins._sections('')",
        "from artifex.generative_models.core import plugins\nmonkeypatch.setattr(plugins, '_sections', None)",
        "import jax\njax._src",
    ],
)
def test_a_planted_private_name_is_found(source):
    assert len(private_uses(source)) == 1


@pytest.mark.parametrize("source", ["import jax\njax.__version__", "self._x", "from _pytest import config"])
def test_other_names_are_accepted(source):
    assert not private_uses(source)
