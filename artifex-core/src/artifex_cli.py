"""The entry point of the command line, outside of the namespace ``artifex``.

A stray file that hides the namespace hides the command line, which is inside it. This module is outside, so that it can
report the file. It imports the standard library only. To find the distribution that installed the file, it loads
``core.components.metadata`` by its path, since an import by name would fail.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from importlib.machinery import all_suffixes
from pathlib import Path
from typing import NoReturn, cast

LEVELS = (
    "artifex",
    "artifex.plugins",
    "artifex.generative_models",
    "artifex.generative_models.modalities",
    "artifex.generative_models.extensions",
    "artifex.generative_models.extensions.audio_processing",
)


def main() -> None:
    """Run the command line, or print why it cannot be imported and exit with code 2 (``doctor``: 1)."""
    if not _core_can_be_found():
        _exit_with(namespace_faults() or ["artifex-core is not installed in this Python: pip install artifex-core"])
    try:
        from artifex.generative_models.core.cli import main as run
    except ImportError as error:
        _exit_with(
            namespace_faults() or [f"the command line cannot start: {error}; pip install --upgrade artifex-core"]
        )
    run()


def namespace_faults() -> list[str]:
    """Describe the files on ``sys.path`` that turn a level of the namespace into an ordinary package or module.

    Python prefers an ordinary package or module to a namespace package, wherever it is on ``sys.path``, so that one such
    file hides the modules of all other distributions.

    Returns:
        One sentence for each file, with the remedy; empty without such files.
    """
    return [_describe(level, file) for level in LEVELS for file in _ordinary_files(level)]


def _ordinary_files(level: str) -> Iterator[Path]:
    """Yield the files that make a level an ordinary package or module."""
    parts = level.split(".")
    for folder in dict.fromkeys(Path(entry or ".").absolute() for entry in sys.path):
        package = folder.joinpath(*parts)
        candidates = [package / f"__init__{suffix}" for suffix in all_suffixes()]
        candidates += [package.with_name(parts[-1] + suffix) for suffix in all_suffixes()]
        yield from (file for file in candidates if file.is_file())


def _describe(level: str, file: Path) -> str:
    is_package = file.name.startswith("__init__.")
    form = "package" if is_package else "module"
    if is_package and _belongs_to_namespace(file.parent, level):
        problem = f"{file} makes {level} an ordinary {form}, which hides the modules of other distributions"
        remedy = "delete that file"
    else:
        problem = f"{file} is an unrelated {form} named {level}, which hides that of artifex-core"
        remedy = "rename it, or remove its folder from PYTHONPATH and sys.path"
    owner = _owner_of(file)
    return f"{problem}: {remedy if owner is None else f'it belongs to {owner}; pip uninstall {owner}'}"


def _belongs_to_namespace(folder: Path, level: str) -> bool:
    return level != LEVELS[0] or any((folder / name).is_dir() for name in ("generative_models", "plugins"))


def _owner_of(file: Path) -> str | None:
    """Return the distribution that installed a file, or None."""
    path = Path(__file__).parent / "artifex" / "generative_models" / "core" / "components" / "metadata.py"
    spec = importlib.util.spec_from_file_location("artifex_metadata", path)
    if spec is None or spec.loader is None:
        return None
    metadata = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(metadata)
    except (ImportError, OSError):  # artifex-core is installed incompletely
        return None
    return cast("str | None", metadata.owner_of(file))


def _core_can_be_found() -> bool:
    """Return whether the namespace contains the core, without importing anything."""
    spec = importlib.util.find_spec(LEVELS[0])
    folders = spec.submodule_search_locations if spec is not None else None
    return any(Path(folder, "generative_models", "core").is_dir() for folder in folders or ())


def _exit_with(faults: list[str]) -> NoReturn:
    for fault in faults:
        print(f"artifex: {fault if fault.isprintable() else ascii(fault)}", file=sys.stderr)
    sys.exit(1 if sys.argv[1:2] == ["doctor"] else 2)


if __name__ == "__main__":
    main()
