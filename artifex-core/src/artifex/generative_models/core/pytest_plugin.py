"""The conformance kit in pytest: ``pytest --artifex`` adds a test for each installed component."""

from __future__ import annotations

from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that choose what is checked."""
    group = parser.getgroup("artifex", "conformance of artifex components")
    group.addoption("--artifex", action="store_true", help="check installed artifex components")
    group.addoption(
        "--artifex-kind", action="append", metavar="KIND", help="check this kind alone; may be given several times"
    )
    group.addoption(
        "--artifex-dist",
        action="append",
        metavar="NAME",
        help="check what this distribution provides alone; may be given several times",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Give jax two CPU devices, so that sharding can be checked, where it has not started yet."""
    if _wanted(config):
        import jax

        try:
            jax.config.update("jax_num_cpu_devices", 2)
        except RuntimeError:  # jax has started: the rule about sharding says that it was not tried
            return


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add a test for each component that was asked for."""
    if not _wanted(config):
        return
    from artifex.generative_models.core.testing import components

    for kind in config.getoption("--artifex-kind") or [None]:
        for distribution in config.getoption("--artifex-dist") or [None]:
            for of_kind, name in components(kind, distribution):
                items.append(
                    ComponentItem.from_parent(session, name=f"{of_kind}[{name}]", kind=of_kind, component=name)
                )


class ComponentItem(pytest.Item):
    """A test that a component holds under the rules of its kind."""

    def __init__(self, *, kind: str, component: str, **more: Any) -> None:
        super().__init__(**more)
        self.kind, self.component = kind, component

    def runtest(self) -> None:
        """Check the component."""
        from artifex.generative_models.core.testing import check

        report = check(self.kind, self.component)
        if not report.passed:
            raise NonconformityError(str(report))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show the report in place of a traceback through the kit."""
        if isinstance(excinfo.value, NonconformityError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Say where the test is from."""
        return self.path, None, f"artifex {self.name}"


class NonconformityError(Exception):
    """A component breaks a rule of its kind."""


def _wanted(config: pytest.Config) -> bool:
    return bool(
        config.getoption("--artifex") or config.getoption("--artifex-kind") or config.getoption("--artifex-dist")
    )
