"""Fixtures for tests that install something: distributions written by hand, a registry left as it was."""

import gc
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import jax
import pytest
from jax._src import compiler

from artifex.generative_models.core import refresh
from artifex.generative_models.core.components.registries import temporary_registrations
from artifex.generative_models.core.testing import quick_compilation

jax.config.update("jax_num_cpu_devices", 2)  # so that sharding is tried everywhere

# What compares numbers with references to their last digits is compiled as users compile it.
AS_USERS_DO = {
    "test_cepstral",
    "test_generators",
    "test_mel",
    "test_numerics",
    "test_pipeline",
    "test_preprocessing",
    "test_presets",
    "test_resampling",
    "test_spectral_transforms",
    "test_stft",
}

# What takes long and hardly ever breaks alone: .ci/run tries it, the README's command has six minutes.
THOROUGHLY = bool(os.environ.get("ARTIFEX_TEST_THOROUGHLY"))

# Programs are kept, and what JAX keeps of them is large: looking through it seldom saves a twentieth of the time.
gc.set_threshold(200_000, 20, 50)

# All else, doctests too, is compiled without XLA's costly optimizations.
jax.config.update("jax_disable_most_optimizations", True)

HAS_OTHER_EMITTERS = jax.__version_info__ < (0, 11)

_as_jax_compiles = compiler.get_compile_options


def _without_fusion_emitters(*args: Any, **options: Any) -> Any:
    """Leave out of quick compiles what XLA takes half of their time for on a CPU."""
    chosen = _as_jax_compiles(*args, **options)
    if jax.config.read("jax_disable_most_optimizations"):
        chosen.env_option_overrides = [*chosen.env_option_overrides, ("xla_cpu_use_fusion_emitters", False)]
    return chosen


if HAS_OTHER_EMITTERS:
    compiler.get_compile_options = _without_fusion_emitters


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what is marked as thorough, unless it is asked for."""
    for item in items:
        if item.get_closest_marker("thorough") and not THOROUGHLY:
            item.add_marker(pytest.mark.skip(reason="only where ARTIFEX_TEST_THOROUGHLY is set"))


@pytest.fixture(autouse=True)
def as_users_do(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compile as users do where the module is listed."""
    if request.path.stem not in AS_USERS_DO:
        yield
        return
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture
def quickly(as_users_do: None) -> Iterator[None]:
    """Compile as quickly as elsewhere what does not compare last digits, though its module is listed."""
    with quick_compilation():
        yield


@pytest.fixture(scope="session")
def quick_children() -> dict[str, str]:
    """Environment variables with which a child process compiles as quickly as the tests here."""
    flags = [os.environ.get("XLA_FLAGS", ""), *["--xla_cpu_use_fusion_emitters=false"] * HAS_OTHER_EMITTERS]
    return {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "XLA_FLAGS": " ".join(filter(None, flags))}


@dataclass
class Installed:
    """A distribution that was written by hand, in a folder of its own on ``sys.path``."""

    folder: Path
    metadata: Path

    def uninstall(self) -> None:
        shutil.rmtree(self.metadata)
        refresh()


@pytest.fixture
def fresh_registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Look anew at what is installed, before and after; forget what the test registers and imports."""
    monkeypatch.delenv("ARTIFEX_DISABLE_PLUGINS", raising=False)
    monkeypatch.delenv("ARTIFEX_CONFIG", raising=False)
    with temporary_registrations():
        yield
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
                del sys.modules[name]


@pytest.fixture
def install(fresh_registry: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Installed]:
    """Return a function that writes a distribution's metadata and modules and puts it first on ``sys.path``.

    ``entry_points`` maps a group to names and values, or is the text of the file; ``modules`` maps names to
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
    """Install a distribution that opens the kind ``gadget``, and return that name."""
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
