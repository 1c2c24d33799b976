"""The conformance kit in pytest: ``pytest --artifex`` adds a test for each installed component.

pytest imports this module in every project where artifex is installed. It is therefore not part of ``core.testing``,
which imports jax.
"""

from __future__ import annotations

import contextlib
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that select the components to check."""
    group = parser.getgroup("artifex", "conformance of artifex components")
    group.addoption("--artifex", action="store_true", help="check the installed artifex components")
    group.addoption("--artifex-kind", action="append", metavar="KIND", help="check only this kind; may be repeated")
    group.addoption(
        "--artifex-dist", action="append", metavar="NAME", help="check only this distribution; may be repeated"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Create two CPU devices for the rule about sharding, if JAX has not started."""
    if _is_enabled(config):
        import jax

        with contextlib.suppress(RuntimeError):  # JAX has started: that rule is skipped
            jax.config.update("jax_num_cpu_devices", 2)


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add a test for each selected component."""
    if not _is_enabled(config):
        return
    from artifex.generative_models.core.testing import components

    for selected_kind in config.getoption("--artifex-kind") or [None]:
        for distribution in config.getoption("--artifex-dist") or [None]:
            for kind, name in components(selected_kind, distribution):
                items.append(ComponentItem.from_parent(session, name=f"{kind}[{name}]", kind=kind, component=name))


class ComponentItem(pytest.Item):
    """A test that a component passes the rules of its kind.

    Args:
        kind: The kind.
        component: The component's name.
        **options: Arguments of ``pytest.Item``.
    """

    def __init__(self, *, kind: str, component: str, **options: Any) -> None:
        super().__init__(**options)
        self.kind, self.component = kind, component

    def runtest(self) -> None:
        """Check the component."""
        from artifex.generative_models.core.testing import check

        report = check(self.kind, self.component)
        if not report.passed:
            raise NonconformityError(str(report))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the report instead of a traceback through the kit."""
        if isinstance(excinfo.value, NonconformityError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Return the location and the name of the test."""
        return self.path, None, f"artifex {self.name}"


class NonconformityError(Exception):
    """A component breaks a rule of its kind."""


def _is_enabled(config: pytest.Config) -> bool:
    return any(config.getoption(option) for option in ("--artifex", "--artifex-kind", "--artifex-dist"))
