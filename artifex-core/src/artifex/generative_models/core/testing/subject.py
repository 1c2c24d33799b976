"""The subject of a check: a function, and how to call it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np


@attrs.frozen(kw_only=True)
class Subject:
    """A component, or one of its methods, as a pure function of an example, a key, or both.

    Args:
        function: Takes the example (if there is one), then the key (if ``keyed``); returns an array or a pytree.
        example: Returns examples of a length in samples, by name; None if the function takes no example.
        shape: Returns the output's shape, given that of the example, or ``(length,)`` if there is no example; None if any
            shape is valid.
        dtype: The output's dtype, or a tuple of valid dtypes; None means that of the example.
        lengths: Lengths in samples to check, the longest last; most rules use the last one.
        at: Returns the function for a length, if the length is an option of it; None means ``function`` for all lengths.
        keyed: Whether the function takes a key.
        draws: Whether the output depends on the key.
        batched: Whether the function accepts leading batch axes; otherwise it is batched with ``jax.vmap``.
        differentiable: Whether the gradient with respect to the example must be finite.
        label: The method's name, for the report.
    """

    function: Callable[..., Any] | None = None
    example: Callable[[int], Mapping[str, np.ndarray]] | None = None
    shape: Callable[[tuple[int, ...]], Any] | None = None
    dtype: Any = None
    lengths: tuple[int, ...] = (1, 400)
    at: Callable[[int], Callable[..., Any]] | None = None
    keyed: bool = False
    draws: bool = True
    batched: bool = False
    differentiable: bool = True
    label: str = ""

    def function_for(self, length: int) -> Callable[..., Any]:
        """Return the function for a length.

        Args:
            length: Length in samples.

        Returns:
            ``at(length)`` if ``at`` is given, else ``function``.
        """
        if self.at is not None:
            return self.at(length)
        assert self.function is not None
        return self.function

    def examples(self, length: int) -> Mapping[str, np.ndarray | None]:
        """Return the examples of a length.

        Args:
            length: Length in samples.

        Returns:
            The examples by name; ``{"": None}`` if the function takes none.
        """
        return self.example(length) if self.example is not None else {"": None}


@attrs.frozen(kw_only=True)
class Rule:
    """A rule that applies to one kind only.

    Args:
        name: A short statement of the rule.
        verify: Raises ``Violation``, or any other exception, if the component breaks the rule.
    """

    name: str
    verify: Callable[[], None]


class Violation(Exception):  # noqa: N818  an outcome of a check, not an error of the kit
    """A component breaks a rule.

    Args:
        observed: The observed behavior.
        example: The input that shows it, or "".
        cause: The likely cause, or "".
    """

    def __init__(self, observed: str, example: str = "", cause: str = "") -> None:
        super().__init__(observed)
        self.observed, self.example, self.cause = observed, example, cause
        self.location = ""  # file:line of the cause, if it is known more precisely than the component's definition


class Skipped(Exception):  # noqa: N818
    """A rule cannot be checked here; the message contains the reason."""


def signals(length: int) -> dict[str, np.ndarray]:
    """Return the test waveforms on which every component is checked.

    Args:
        length: Length in samples.

    Returns:
        Waveforms (length,), float32, by name: noise, silence, DC, and a full-scale square wave.

    Example:
        >>> {name: waveform.shape for name, waveform in signals(3).items()}["silence"]
        (3,)
    """
    noise = 0.2 * np.random.default_rng(length).standard_normal(length)
    square = np.where(np.arange(length) // 8 % 2, -1.0, 1.0)
    waveforms = {"noise": noise, "silence": np.zeros(length), "dc": np.full(length, 0.5), "full-scale square": square}
    return {name: waveform.astype(np.float32) for name, waveform in waveforms.items()}
