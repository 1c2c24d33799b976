"""Time the discovery of 500 distributions with 5 000 components, from the start of the interpreter.

Run it as ``python benchmarks/registry.py``. Every case is a process of its own; every round runs each case once,
one after the other, so that what else the machine does falls on all of them alike, and what a case costs beyond
a bare interpreter is taken within a round. The table gives the median over the rounds with the lowest and the
highest. The peer is ``importlib.metadata.entry_points()``, which reads the same metadata; the first two rounds
warm the file cache and are not counted.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

GROUPS = {"artifex.audio_types": "sound", "artifex.augmentations": "change", "artifex.windows": "window"}


class Case(NamedTuple):
    """What is run, and whether the written distributions are on the path."""

    arguments: tuple[str, ...]
    crowded: bool = True


LIST = "from artifex.generative_models.core import registry; names = list(registry('audio_type'))"
EMPTY = "import typer; app = typer.Typer(); app.command()(lambda kind='': None); app()"
CASES = {
    "bare interpreter": Case(("-c", "pass")),
    "importlib.metadata.entry_points()": Case(("-c", "import importlib.metadata as m; found = m.entry_points()")),
    "list(registry('audio_type'))": Case(("-c", LIST)),
    "typer, a command that does nothing": Case(("-c", EMPTY), crowded=False),
    "artifex list": Case(("-m", "artifex_cli", "list")),
    "list(registry('audio_type')), own only": Case(("-c", LIST), crowded=False),
    "artifex list, own only": Case(("-m", "artifex_cli", "list"), crowded=False),
}


def write_distributions(folder: Path, n_distributions: int, n_components: int) -> list[tuple[str, str, str]]:
    """Write installed distributions: a module each, and metadata as long as a published package's.

    Args:
        folder: Where to write; put it on ``sys.path``.
        n_distributions: How many.
        n_components: How many components each of them offers, spread over three groups.

    Returns:
        Triples of entry-point group, component's name and module, in the order in which they were written.
    """
    description = "A plugin, and what its author has to say about it.\n" * 80
    written = []
    for number in range(n_distributions):
        module = f"stress_plugin_{number:04}"
        info = folder / f"{module}-1.{number}.dist-info"
        info.mkdir(parents=True)
        classifiers = "Classifier: Programming Language :: Python :: 3\n" * 8
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {module.replace('_', '-')}\nVersion: 1.{number}\n"
            f"{classifiers}Requires-Dist: artifex-core\n\n{description}"
        )
        (info / "RECORD").write_text(f"{module}.py,,\n")
        lines = ["[console_scripts]", f"{module} = {module}:main"]
        functions = ["def main(): ..."]
        for place, (group, stem) in enumerate(GROUPS.items()):
            lines += ["", f"[{group}]"]
            for index in range(place, n_components, len(GROUPS)):
                name = f"{stem}_{number:04}_{index}"
                lines.append(f"{name} = {module}:{name}")
                functions.append(f"def {name}(first, second=None, **options): return first")
                written.append((group, name, module))
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        (folder / f"{module}.py").write_text("\n".join(functions) + "\n")
    return written


def seconds(case: Case, folder: Path) -> float:
    """Run a case in a process of its own and return how long it took."""
    inherited = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join(filter(None, (str(folder) if case.crowded else "", inherited)))
    environment = {**os.environ, "PYTHONPATH": path}
    begin = time.perf_counter()
    subprocess.run([sys.executable, *case.arguments], env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begin


def spread(values: list[float]) -> str:
    """Write a median with its lowest and highest, in milliseconds."""
    low, middle, high = (1e3 * each for each in (min(values), statistics.median(values), max(values)))
    return f"{middle:6.0f} ({low:.0f}-{high:.0f})"


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--distributions", type=int, default=500)
    parser.add_argument("--components", type=int, default=10, help="how many each distribution offers")
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_distributions(folder, given.distributions, given.components)
        for case in (*CASES.values(), *CASES.values()):
            seconds(case, folder)
        taken = [{name: seconds(case, folder) for name, case in CASES.items()} for _ in range(given.rounds)]
    bare = next(iter(CASES))
    total = given.distributions * given.components
    print(f"Python {sys.version.split()[0]}, {given.distributions} distributions, {total} components, ms")
    print(f"{'':40}{'whole process':24}beyond a bare interpreter")
    for name in CASES:
        beyond = spread([each[name] - each[bare] for each in taken]) if name != bare else ""
        print(f"{name:40}{spread([each[name] for each in taken]):24}{beyond}".rstrip())


if __name__ == "__main__":
    main()
