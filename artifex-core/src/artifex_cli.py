"""The door to the command line, outside the namespace ``artifex`` and built on the standard library alone.

What hides the namespace hides the command line inside it too. This module stands where nothing hides it, and
says what is in the way.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterator
from importlib.machinery import all_suffixes
from pathlib import Path
from typing import NoReturn

LEVELS = (
    "artifex",
    "artifex.plugins",
    "artifex.generative_models",
    "artifex.generative_models.modalities",
    "artifex.generative_models.extensions",
    "artifex.generative_models.extensions.audio_processing",
)


def main() -> None:
    """Run the command line, or say what keeps Python from finding it and exit with code 2 (``doctor``: 1)."""
    if not _core_is_in_reach():
        _leave(
            namespace_faults() or ["artifex-core is not installed where this Python looks: pip install artifex-core"]
        )
    try:
        from artifex.generative_models.core.cli import main as run
    except ImportError as error:
        _leave(namespace_faults() or [f"the command line cannot start: {error}; pip install --upgrade artifex-core"])
    run()


def namespace_faults() -> list[str]:
    """Say which files on ``sys.path`` turn a part of the namespace into an ordinary package or module.

    Python takes an ordinary package or module before any namespace package, wherever on ``sys.path`` it lies,
    so that one such file hides what all other distributions installed there.

    Returns:
        One sentence for each file, with what to do; empty when all is well.
    """
    return [_sentence(level, file) for level in LEVELS for file in _regular(level)]


def _regular(level: str) -> Iterator[Path]:
    """Yield the files that make a level an ordinary package or module."""
    parts = level.split(".")
    for folder in dict.fromkeys(Path(entry or ".").absolute() for entry in sys.path):
        place = folder.joinpath(*parts)
        yield from (init for suffix in all_suffixes() if (init := place / f"__init__{suffix}").is_file())
        yield from (one for suffix in all_suffixes() if (one := place.with_name(parts[-1] + suffix)).is_file())


def _sentence(level: str, file: Path) -> str:
    inside = file.name.startswith("__init__.")
    form = "package" if inside else "module"
    if inside and _is_part_of_the_namespace(file.parent, level):
        what = f"{file} makes {level} an ordinary {form}, which hides what other distributions put there"
        remedy = "delete that file"
    else:
        what = f"{file} is an unrelated {form} called {level}, which hides the one of artifex-core"
        remedy = "rename it, or take its folder off PYTHONPATH and sys.path"
    owner = _owner_of(file)
    return f"{what}: {remedy if owner is None else f'it is part of {owner}; pip uninstall {owner}'}"


def _is_part_of_the_namespace(folder: Path, level: str) -> bool:
    return level != LEVELS[0] or any((folder / part).is_dir() for part in ("generative_models", "plugins"))


def _owner_of(file: Path) -> str | None:
    """Return the distribution whose record lists a file."""
    for distribution in importlib.metadata.distributions():
        try:
            listed = distribution.files or ()
            if any(f.name == file.name and Path(str(f.locate())).resolve() == file.resolve() for f in listed):
                return str(distribution.metadata["Name"])
        except (OSError, ValueError, TypeError):
            continue
    return None


def _core_is_in_reach() -> bool:
    """Whether the namespace leads to the core, found without running anybody's code."""
    spec = importlib.util.find_spec(LEVELS[0])
    places = spec.submodule_search_locations if spec is not None else None
    return any(Path(place, "generative_models", "core").is_dir() for place in places or ())


def _leave(faults: list[str]) -> NoReturn:
    for fault in faults:
        print(f"artifex: {fault}", file=sys.stderr)
    sys.exit(1 if sys.argv[1:2] == ["doctor"] else 2)


if __name__ == "__main__":
    main()
