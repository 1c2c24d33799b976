"""Modules import each other without cycles, and distributions import core only."""

from __future__ import annotations

import ast
from collections.abc import Mapping

import pytest
from tests.integration.source import DISTRIBUTIONS, ROOT, imported_names, module_name, modules, source_files

ALLOWED = {
    "artifex-core": {"artifex-core"},
    "artifex-audio": {"artifex-audio", "artifex-core"},
    "artifex-spectral": {"artifex-spectral", "artifex-core"},
}


def imports() -> dict[str, dict[str, bool]]:
    """Return the modules that each module imports, and whether only functions import them."""
    known = modules()
    graph: dict[str, dict[str, bool]] = {name: {} for name in known}
    for name, paths in known.items():
        for path in paths:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for imported, in_function in imported_names(tree, name, is_package=path.stem == "__init__"):
                target = imported if imported in known else imported.rpartition(".")[0]
                if target in known and target != name:
                    graph[name][target] = graph[name].get(target, True) and in_function
    return graph


def cycles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the strongly connected components of more than one module (Tarjan's algorithm)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(name: str) -> None:
        order[name] = lowest[name] = len(order)
        stack.append(name)
        for target in sorted(graph[name]):
            if target not in order:
                visit(target)
                lowest[name] = min(lowest[name], lowest[target])
            elif target in stack:
                lowest[name] = min(lowest[name], order[target])
        if lowest[name] == order[name]:
            component = [stack.pop()]
            while component[-1] != name:
                component.append(stack.pop())
            if len(component) > 1:
                found.append(sorted(component))

    for name in sorted(graph):
        if name not in order:
            visit(name)
    return found


def test_modules_have_no_import_cycles():
    """Imports under TYPE_CHECKING count; imports inside functions do not."""
    found = cycles({name: {target for target, late in row.items() if not late} for name, row in imports().items()})
    assert not found, "\n".join(f"import cycle: {', '.join(component)}" for component in found)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_distribution_imports_itself_and_core_only(distribution):
    """Imports inside functions count."""
    owners = {module_name(path, ROOT / each / "src"): each for each in DISTRIBUTIONS for path in source_files(each)}
    graph = imports()
    foreign = [
        f"{name} imports {target} of {owners[target]}"
        for name, owner in owners.items()
        if owner == distribution
        for target in graph[name]
        if owners[target] not in ALLOWED[distribution]
    ]
    assert not foreign, "\n".join(foreign)


def test_a_planted_cycle_is_found():
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a", "d"}}) == [["b", "c"]]


@pytest.mark.parametrize(
    ("source", "is_package", "expected"),
    [
        ("from artifex.core import files", False, [("artifex.core.files", False)]),
        ("import jax.numpy as jnp", False, [("jax.numpy", False)]),
        ("from . import files", False, [("pkg.sub.files", False)]),
        ("from . import files", True, [("pkg.sub.mod.files", False)]),
        ("from .. import files", True, [("pkg.sub.files", False)]),
        ("from .names import x", True, [("pkg.sub.mod.names.x", False)]),
        ("if TYPE_CHECKING:\n    from a import b", False, [("a.b", False)]),
        ("def f():\n    import a", False, [("a", True)]),
    ],
)
def test_imported_names_are_absolute(source, is_package, expected):
    assert imported_names(ast.parse(source), "pkg.sub.mod", is_package=is_package) == expected
