"""Every component of this package passes the rules of its kind."""

import pytest

from artifex.generative_models.core.testing import check, components


@pytest.mark.parametrize(("kind", "name"), components(distribution="artifex-plugin-ambulance"))
def test_component_conforms(kind: str, name: str) -> None:
    report = check(kind, name)
    assert report.passed, str(report)
