"""How the conformance kit runs components of the kinds that spectral owns."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from artifex.generative_models.core.testing import Rule, Subject, Violation


def window(component: Any) -> list[Subject | Rule]:
    """Return a window as the kit runs it: a function of a length, and how its two forms hang together.

    Args:
        component: The function.

    Returns:
        One subject and one rule.
    """

    def periodic() -> None:
        for length in (8, 9):
            given = np.asarray(component(length, periodic=True))
            expected = np.asarray(component(length + 1, periodic=False))[:-1]
            if not np.allclose(given, expected, atol=1e-6):
                raise Violation(
                    "the periodic window is not the symmetric one of a sample more, its last sample dropped",
                    f"length {length}",
                )

    return [
        Subject(
            at=lambda length: partial(component, length),
            shape=lambda shape: shape,
            dtype=(np.float32, np.float64),
        ),
        Rule(name="periodic and symmetric agree", verify=periodic),
    ]


def preset(component: Any) -> list[Subject | Rule]:
    """Return the rules of a preset: it is fixed, and travels through plain values.

    Args:
        component: The configuration.

    Returns:
        One rule.
    """

    def travels() -> None:
        if type(component).from_dict(component.to_dict()) != component:
            raise Violation("from_dict(to_dict()) gives another configuration")
        hash(component)

    return [Rule(name="travels through plain values", verify=travels)]
