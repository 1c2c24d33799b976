"""Contracts of the conformance kit for the kinds that artifex-spectral defines."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from artifex.generative_models.core.testing import Rule, Subject, Violation


def window(component: Any) -> list[Subject | Rule]:
    """Return the checks of a window: a function of a length, with consistent periodic and symmetric forms.

    Args:
        component: The window function.

    Returns:
        One subject and one rule.
    """

    def verify_forms() -> None:
        for length in (8, 9):
            given = np.asarray(component(length, periodic=True))
            expected = np.asarray(component(length + 1, periodic=False))[:-1]
            if not np.allclose(given, expected, atol=1e-6):
                raise Violation(
                    "the periodic window must be the symmetric window of one more sample, without its last sample",
                    f"length {length}",
                )

    return [
        Subject(
            at=lambda length: partial(component, length),
            shape=lambda shape: shape,
            dtype=(np.float32, np.float64),
        ),
        Rule(name="periodic and symmetric agree", verify=verify_forms),
    ]


def preset(component: Any) -> list[Subject | Rule]:
    """Return the checks of a preset: it is hashable, and equal to itself after conversion to plain values and back.

    Args:
        component: The configuration.

    Returns:
        One rule.
    """

    def verify_round_trip() -> None:
        if type(component).from_dict(component.to_dict()) != component:
            raise Violation("from_dict(to_dict()) must return an equal configuration")
        hash(component)

    return [Rule(name="round trip through plain values", verify=verify_round_trip)]
