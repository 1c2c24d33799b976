"""Policies as data: their specification, the augmentations they consist of, and the parameters that they draw."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import numpy as np
from jax import Array

from artifex.generative_models.core import numerics, registry
from artifex.generative_models.core.checks import is_list
from artifex.generative_models.core.protocols import Augmentation
from artifex.generative_models.modalities.audio.annotations import (
    drawn_parameters,
    function_and_options,
    option_defaults,
)
from artifex.generative_models.modalities.audio.augmentations.combinators import (
    COMBINATORS,
    check_sample_rate_bound,
    step_name,
)
from artifex.generative_models.modalities.audio.augmentations.composition import Step, create_policy, is_default
from artifex.generative_models.modalities.audio.augmentations.units import SampleRate


def policy_spec(policy: Augmentation) -> dict[str, Any]:
    """Return a policy as plain data; the inverse of ``create_policy``.

    Args:
        policy: A policy, or a registered augmentation, its options bound or not.

    Returns:
        Nested dicts and lists of names, numbers and strings. Options at their defaults are left out.

    Raises:
        TypeError: If a function is not registered, or an option is not plain data, such as an array.

    Example:
        >>> from artifex.generative_models.modalities.audio import compose, with_probability
        >>> policy_spec(compose(with_probability(0.5, "reverse"), ("time_shift", {"max_shift": 80})))
        {'name': 'compose', 'steps': [{'name': 'reverse', 'probability': 0.5}, {'name': 'time_shift', 'max_shift': 80}]}
    """
    function, options = function_and_options(policy)
    name = COMBINATORS.get(function)
    if name == "with_probability":
        inner = policy_spec(options["steps"][0])
        if "probability" in inner:
            inner = {"name": "compose", "steps": [inner]}
        return {**inner, "probability": _plain("probability", options["probability"])}
    if name is not None:
        rest = {option: _plain(option, value) for option, value in options.items() if option != "steps"}
        return {"name": name, "steps": [policy_spec(step) for step in options["steps"]], **rest}
    defaults = option_defaults(function)
    return {"name": _registered_name(function)} | {
        option: _plain(option, value)
        for option, value in options.items()
        if not is_default(value, defaults.get(option))
    }


def steps_of(policy: Augmentation) -> list[Any]:
    """Return the augmentations that a policy consists of, without their options.

    Args:
        policy: A policy, or an augmentation, its options bound or not.

    Returns:
        The functions in order; for an augmentation, itself.

    Example:
        >>> from artifex.generative_models.modalities.audio import compose, one_of
        >>> [step.__name__ for step in steps_of(compose("reverse", one_of("random_gain", "time_shift")))]
        ['reverse', 'random_gain', 'time_shift']
    """
    function, options = function_and_options(policy)
    if function in COMBINATORS:
        return [inner for step in options["steps"] for inner in steps_of(step)]
    return [function]


def describe(policy: Step, key: Array, shape: tuple[int, ...], *, sample_rate: SampleRate = None) -> dict[str, Any]:
    """Return the parameters that a policy draws from a key for an example.

    Args:
        policy: A step as in ``compose``.
        key: The key that the policy is called with.
        shape: Shape of the example, such as (time,).
        sample_rate: As in ``compose``.

    Returns:
        ``name`` and the drawn parameters in the units of the options, as numbers and lists; ``steps`` contains the same
        for every step that is applied, in the order of application.

    Raises:
        TypeError: As in ``compose``, or if a step requires a sample rate and has none.
        LookupError: As in ``compose``.

    Example:
        >>> from artifex.generative_models.modalities.audio import compose
        >>> policy = compose("time_shift", ("random_gain", {"gain_range": (2, 2)}))
        >>> description = describe(policy, jax.random.key(0), (8000,))
        >>> description["steps"][1], -1600 <= description["steps"][0]["shift"] <= 1600
        ({'name': 'random_gain', 'gain': 2.0}, True)
    """
    numerics.check_key("describe", key)
    if not isinstance(shape, tuple | list):  # pyright: ignore[reportUnnecessaryIsInstance] (users pass a length)
        raise TypeError(
            f"shape must be the shape of an example, such as (16000,), got {shape!r} ({type(shape).__name__})"
        )
    made = create_policy(policy, sample_rate=sample_rate)
    check_sample_rate_bound(made, step_name(made))
    drawn = drawn_parameters(made, key, tuple(shape))
    return _describe(made, jax.tree.map(_to_list, drawn))


def _to_list(array: Array) -> Any:
    return np.asarray(array).tolist()


def _describe(step: Augmentation, drawn: dict[str, Any]) -> dict[str, Any]:
    """Add names to drawn parameters and leave out the steps that are not applied."""
    function, options = function_and_options(step)
    if function not in COMBINATORS:
        return {"name": step_name(step), **drawn}
    described: list[dict[str, Any]] = [_describe(*pair) for pair in zip(options["steps"], drawn["steps"], strict=True)]
    if "applied" in drawn:
        only = described[0]
        return {**(only if drawn["applied"] else {"name": only["name"]}), "applied": drawn["applied"]}
    if "choice" in drawn:
        described = [described[drawn["choice"]]]
    elif "chosen" in drawn:
        described = list(itertools.compress(described, drawn["chosen"]))
    elif "order" in drawn:
        order: list[int] = drawn["order"]
        described = [described[position] for position in order]
    return {"name": COMBINATORS[function], "steps": described}


def _plain(name: str, value: Any) -> Any:
    if is_list(value):
        return [_plain(name, element) for element in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(
        f"the option {name} must be plain data (numbers, strings, lists), got {type(value).__name__}: "
        f"add it in Python, as in compose(create_policy(spec), (step, {{{name!r}: array}}))"
    )


def _registered_name(function: Any) -> str:
    known = registry("augmentation")
    own_name = getattr(function, "__name__", "")
    for name in [own_name] * (own_name in known) + list(known):
        if known[name] is function:
            return name
    raise TypeError(
        f"{function!r} is not registered as an augmentation: register it, since plain data refers to it by name"
    )
