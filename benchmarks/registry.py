"""Time the discovery of 500 distributions with 5 000 components, from the start of the interpreter.

Run it as ``python benchmarks/registry.py``. Each case runs in a new process, and each round runs every case once, so
that other load on the machine affects all cases alike. The table shows elapsed time and CPU time beyond a bare
interpreter, the difference within a round: median over the rounds, minimum and maximum. On a busy machine, CPU time is
the more reliable one. The peers are
``importlib_metadata.entry_points()``, which reads the same metadata, and a loop over ``importlib_metadata.distributions()``
that reads name, version and entry points through the plain API. Two rounds warm the file cache and are not counted.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

GROUPS = {"artifex.audio_types": "sound", "artifex.augmentations": "change", "artifex.windows": "window"}


class Case(NamedTuple):
    """The arguments of the interpreter, and whether the written distributions are on ``sys.path``."""

    arguments: tuple[str, ...]
    crowded: bool = True


LIST = "from artifex.generative_models.core import registry; names = list(registry('audio_type'))"
PLAIN = "import importlib_metadata as m; found = [(d.metadata['Name'], d.version, d.entry_points) for d in m.distributions()]"
EMPTY = "import typer; app = typer.Typer(); app.command()(lambda kind='': None); app()"
CASES = {
    "bare interpreter": Case(("-c", "pass")),
    "import importlib_metadata": Case(("-c", "import importlib_metadata")),
    "importlib_metadata.entry_points()": Case(("-c", "import importlib_metadata as m; found = m.entry_points()")),
    "importlib_metadata, plain API": Case(("-c", PLAIN)),
    "list(registry('audio_type'))": Case(("-c", LIST)),
    "typer, a command that does nothing": Case(("-c", EMPTY), crowded=False),
    "artifex list": Case(("-m", "artifex_cli", "list")),
    "list(registry(...)), without the 500": Case(("-c", LIST), crowded=False),
    "artifex list, without the 500": Case(("-m", "artifex_cli", "list"), crowded=False),
}


def write_distributions(folder: Path, n_distributions: int, n_components: int) -> list[tuple[str, str, str]]:
    """Write installed distributions: one module each, and metadata of the length of a published package.

    Args:
        folder: The folder to write to; put it on ``sys.path``.
        n_distributions: Number of distributions.
        n_components: Number of components of each, spread over three groups.

    Returns:
        Triples of entry-point group, component's name and module, in order.
    """
    description = "A plugin, and a description by its author.\n" * 95
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


def measure(case: Case, folder: Path) -> tuple[float, float]:
    """Run a case in a new process and return its elapsed time and CPU time in seconds."""
    inherited = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join(filter(None, (str(folder) if case.crowded else "", inherited)))
    environment = {**os.environ, "PYTHONPATH": path}
    start, cpu_before = time.perf_counter(), _cpu_time_of_children()
    subprocess.run([sys.executable, *case.arguments], env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start, _cpu_time_of_children() - cpu_before


def _cpu_time_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def spread(values: list[float]) -> str:
    """Format the median, minimum and maximum in milliseconds."""
    minimum, median, maximum = (1e3 * each for each in (min(values), statistics.median(values), max(values)))
    return f"{median:6.0f} ({minimum:.0f}-{maximum:.0f})"


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--distributions", type=int, default=500)
    parser.add_argument("--components", type=int, default=10, help="components of each distribution")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_distributions(folder, arguments.distributions, arguments.components)
        for case in (*CASES.values(), *CASES.values()):
            measure(case, folder)
        times = [{name: measure(case, folder) for name, case in CASES.items()} for _ in range(arguments.rounds)]
    bare = next(iter(CASES))
    total = arguments.distributions * arguments.components
    print(f"Python {sys.version.split()[0]}, {arguments.distributions} distributions, {total} components, ms")
    print(f"{'':40}{'elapsed':24}CPU time")
    for name in CASES:
        elapsed, cpu = (
            spread([each[name][i] - (each[bare][i] if name != bare else 0) for each in times]) for i in range(2)
        )
        print(f"{name:40}{elapsed:24}{cpu}")


if __name__ == "__main__":
    main()
