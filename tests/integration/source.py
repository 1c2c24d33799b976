"""The source tree, for tests of the rules that all code follows."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
DISTRIBUTIONS = ("artifex-core", "artifex-audio", "artifex-spectral")


def module_name(path: Path, source: Path) -> str:
    """Return the dotted name of a module; a package's ``__init__`` has the name of the package."""
    parts = path.relative_to(source).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def source_files(distribution: str, suffixes: tuple[str, ...] = (".py", ".pyi")) -> list[Path]:
    """Return the files of a distribution, sorted."""
    return sorted(path for path in (ROOT / distribution / "src").rglob("*") if path.suffix in suffixes)


def modules() -> dict[str, list[Path]]:
    """Return the files of each module of the three distributions; a lazy package has an .py and a .pyi file."""
    found: dict[str, list[Path]] = {}
    for distribution in DISTRIBUTIONS:
        for path in source_files(distribution):
            found.setdefault(module_name(path, ROOT / distribution / "src"), []).append(path)
    return found


def imported_names(tree: ast.AST, module: str, *, is_package: bool) -> list[tuple[str, bool]]:
    """Return the absolute name of everything that a module imports, and whether a function imports it."""
    in_functions = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [(alias.name, id(node) in in_functions) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".")
            parents = parts[: len(parts) - node.level + is_package] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            names += [(f"{base}.{alias.name}", id(node) in in_functions) for alias in node.names]
    return names
