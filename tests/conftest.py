"""How tests compile, and fixtures that run the command line and install distributions written by a test."""

import gc
import os
import platform
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from textwrap import dedent

import pytest

# jax reads these when it is imported, and subprocesses inherit them.
# Programs are compiled once for all test processes and runs; `pytest --cache-clear` removes them. They fit one machine.
CACHE = Path(__file__).parents[1] / ".pytest_cache" / "d" / f"jax-{platform.node()}"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
# librosa's numba functions: processes that fill one cache at the same time can mix up its files, and calls then crash.
os.environ["NUMBA_CACHE_DIR"] = str(CACHE.with_name(f"numba-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"))
os.environ.setdefault("NUMBA_OPT", "0")  # they compile in two thirds of the time
# Without expensive optimizations, programs compile in a third of the time. .ci/run sets 0 where digits matter.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# A user may set both of these: neither the library nor an example relies on implicit promotion.
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"
# An unknown flag ends the process, so these are set for the JAX versions that have them. The fusion emitters take half of
# the compile time; splitting programs for parallel compilation costs a seventh where each core has a test process.
split = "--xla_cpu_parallel_codegen_split_count=1"
flags = {"0.10": f"{split} --xla_cpu_use_fusion_emitters=false", "0.12": split}.get(version("jax")[:4], "")
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()

import jax  # noqa: E402

from artifex.generative_models.core import cli, refresh  # noqa: E402
from artifex.generative_models.core.components.registries import temporary_registrations  # noqa: E402

jax.config.update("jax_num_cpu_devices", 2)  # for the tests of sharding

# Tests marked as thorough take long and rarely fail alone: .ci/run runs them, the README's command does not.
THOROUGHLY = bool(os.environ.get("ARTIFEX_TEST_THOROUGHLY"))

# JAX keeps many objects alive for each program. Collecting garbage less often saves a twentieth of the time.
gc.set_threshold(200_000, 20, 50)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests marked as thorough by default."""
    for item in items:
        if item.get_closest_marker("thorough") and not THOROUGHLY:
            item.add_marker(pytest.mark.skip(reason="only where ARTIFEX_TEST_THOROUGHLY is set"))


@pytest.fixture
def artifex(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs a command: its exit code, standard output and standard error."""
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # the command line replaces it

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["artifex", *map(str, words)])
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            with pytest.raises(SystemExit) as exited:
                cli.main()
        captured = capsys.readouterr()
        return exited.value.code, captured.out, captured.err

    return run


@pytest.fixture
def full_disk() -> Iterator[None]:
    """Let files grow to 1000 bytes only: the system then reports an error as for a full disk."""
    resource = pytest.importorskip("resource")  # not on Windows
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@dataclass
class Installed:
    """A distribution installed by a test, in its own folder on ``sys.path``."""

    folder: Path
    metadata: Path

    def uninstall(self) -> None:
        shutil.rmtree(self.metadata)
        refresh()


@pytest.fixture
def fresh_registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Scan distributions again before and after a test, and undo its registrations and imports."""
    monkeypatch.delenv("ARTIFEX_DISABLE_PLUGINS", raising=False)
    monkeypatch.delenv("ARTIFEX_CONFIG", raising=False)
    with temporary_registrations():
        yield
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
                del sys.modules[name]


@pytest.fixture
def install(fresh_registry: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Installed]:
    """Return a function that writes the metadata and modules of a distribution to a folder and prepends it to ``sys.path``.

    ``entry_points`` maps groups to names and values, or is the text of entry_points.txt; ``modules`` maps names to
    source.
    """

    def installed(
        name: str,
        entry_points: Mapping[str, Mapping[str, str]] | str,
        *,
        modules: Mapping[str, str] | None = None,
        version: str = "1.0",
        metadata: str | None = None,
    ) -> Installed:
        folder = tmp_path / f"path{len(list(tmp_path.iterdir()))}"
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        if metadata is None:
            metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (info / "METADATA").write_text(metadata)
        if not isinstance(entry_points, str):
            entry_points = "\n".join(
                f"[{group}]\n" + "\n".join(f"{key} = {value}" for key, value in entries.items())
                for group, entries in entry_points.items()
            )
        (info / "entry_points.txt").write_text(entry_points)
        for module, source in (modules or {}).items():
            (folder / f"{module}.py").write_text(dedent(source))
        monkeypatch.syspath_prepend(str(folder))
        refresh()
        return Installed(folder, info)

    return installed


@pytest.fixture
def gadgets(install: Callable[..., Installed]) -> str:
    """Install a distribution that declares the kind ``gadget``, and return that name."""
    install(
        "gadget-kinds",
        {"artifex": {"gadgets": "gadget_hooks"}},
        modules={
            "gadget_hooks": """
                from artifex.generative_models.core import Kind, hookimpl

                @hookimpl
                def artifex_kinds():
                    given = dict(summary="A thing.", form="function", positional=1)
                    return [Kind(name="gadget", group="artifex.gadgets", **given)]
            """
        },
    )
    return "gadget"
