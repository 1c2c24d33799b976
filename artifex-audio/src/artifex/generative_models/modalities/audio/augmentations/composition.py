"""Policies: augmentations made of steps, written in Python or as plain data such as TOML."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from artifex.generative_models.core import resolve
from artifex.generative_models.core.checks import check_integer, check_number, check_option, is_list, is_mapping
from artifex.generative_models.core.components.factory import Bound
from artifex.generative_models.core.protocols import Augmentation
from artifex.generative_models.modalities.audio.annotations import function_and_options, option_defaults
from artifex.generative_models.modalities.audio.augmentations.combinators import (
    COMBINATORS,
    apply_in_order,
    apply_in_random_order,
    apply_one,
    apply_some,
    apply_with_probability,
)
from artifex.generative_models.modalities.audio.augmentations.units import SampleRate

# A step of a policy: a name, a (name, options) pair, a mapping with "name", a list of steps, or a function.
Step = str | tuple[str, Mapping[str, Any]] | Mapping[str, Any] | list[Any] | Callable[..., jax.Array]

_PROBABILITY = "the probability of a step is the option probability, beside its name"


def compose(*steps: Step, sample_rate: SampleRate = None) -> Augmentation:
    """Make a policy that applies steps in order.

    Step ``i`` gets key ``i`` of ``jax.random.split(key, n)``, so its draw does not depend on the other steps.

    Args:
        *steps: Augmentations or policies: a name, a (name, options) pair, a mapping with ``name`` and its options, a
            list of steps, or a function ``f(example, key)``.
        sample_rate: Sample rate in Hz, for all steps, nested ones included, that take a sample rate and have none.

    Returns:
        A function ``f(example, key)`` of one example, compiled on its first call; equal steps give equal functions.
        Calling it raises a TypeError if a step requires a sample rate and has none, and a ValueError if a step changes
        the shape or dtype.

    Raises:
        LookupError: If a name is not registered.
        TypeError: If a step is invalid or does not take an option.

    Example:
        >>> import jax.numpy as jnp
        >>> policy = compose("invert_polarity", ("random_gain", {"gain_range": (0.5, 0.5)}))
        >>> policy(jnp.ones(3), jax.random.key(0)).tolist()
        [-0.5, -0.5, -0.5]
    """
    return Bound(apply_in_order, steps=_as_steps(steps, sample_rate))


def one_of(*steps: Step, weights: Sequence[float] | None = None, sample_rate: SampleRate = None) -> Augmentation:
    """Make a policy that applies one step, drawn for each example.

    Under ``vmap``, and therefore in a batch, every step is computed for every example and one result is kept.

    Args:
        *steps: As in ``compose``, at least one.
        weights: Relative probability of each step, at least 0. None means equal probabilities.
        sample_rate: As in ``compose``.

    Returns:
        A function ``f(example, key)`` of one example.

    Raises:
        ValueError: If there are no steps, or ``weights`` has another length or is all 0.
        TypeError: As in ``compose``.
        LookupError: As in ``compose``.

    Example:
        >>> import jax.numpy as jnp
        >>> policy = one_of("invert_polarity", "reverse", weights=[3, 1])
        >>> inverted = [float(policy(jnp.arange(1.0, 3.0), jax.random.key(seed))[0]) < 0 for seed in range(8)]
        >>> 0 < sum(inverted) < 8
        True

    Reference:
        ``audiomentations.OneOf``.
    """
    _check_not_empty("one_of", steps)
    options: dict[str, Any] = {}
    if weights is not None:
        has_one_for_each = np.shape(weights) == (len(steps),)
        for index, weight in enumerate(weights if has_one_for_each else ()):
            check_number(f"weights[{index}]", weight, minimum=0)
        if not has_one_for_each or not sum(weights):
            raise ValueError(
                f"weights must be {len(steps)} numbers, one for each step of one_of, not all 0, got {weights!r}"
            )
        options = {"weights": tuple(map(float, weights))}
    return Bound(apply_one, steps=_as_steps(steps, sample_rate), **options)


def some_of(
    *steps: Step, n: int | tuple[int, int | None] | list[int] = (1, None), sample_rate: SampleRate = None
) -> Augmentation:
    """Make a policy that applies a random subset of its steps, drawn for each example, in order.

    The number of steps is uniform between the bounds; all subsets of that size are equally likely.

    Args:
        *steps: As in ``compose``, at least one.
        n: Number of steps, or (min, max), at least 0; a maximum of None means all steps.
        sample_rate: As in ``compose``.

    Returns:
        A function ``f(example, key)`` of one example. Under ``vmap`` every step is computed.

    Raises:
        ValueError: If there are no steps, or ``n`` is out of order or above the number of steps.
        TypeError: As in ``compose``.
        LookupError: As in ``compose``.

    Example:
        >>> import jax.numpy as jnp
        >>> policy = some_of("invert_polarity", "reverse", n=1)
        >>> policy(jnp.arange(1.0, 3.0), jax.random.key(0)).tolist() in ([-1.0, -2.0], [2.0, 1.0])
        True

    Reference:
        ``audiomentations.SomeOf``.
    """
    _check_not_empty("some_of", steps)
    bounds: Any = n if isinstance(n, tuple | list) and len(n) == 2 else (n, n)
    minimum, maximum = bounds[0], len(steps) if bounds[1] is None else bounds[1]
    check_integer("n[0]", minimum, minimum=0, unit="steps")
    check_integer("n[1]", maximum, minimum=0, maximum=len(steps), unit="steps")
    if minimum > maximum:
        raise ValueError(f"n must be (min, max) with min <= max, got ({minimum}, {maximum})")
    return Bound(apply_some, steps=_as_steps(steps, sample_rate), n=(int(minimum), int(maximum)))


def random_order(*steps: Step, sample_rate: SampleRate = None) -> Augmentation:
    """Make a policy that applies all steps in an order drawn for each example.

    Under ``vmap`` each of the ``n`` positions computes every step, ``n * n`` in total.

    Args:
        *steps: As in ``compose``, at least one.
        sample_rate: As in ``compose``.

    Returns:
        A function ``f(example, key)`` of one example.

    Raises:
        ValueError: If there are no steps.
        TypeError: As in ``compose``.
        LookupError: As in ``compose``.

    Example:
        >>> import jax.numpy as jnp
        >>> policy = random_order("invert_polarity", "reverse")
        >>> policy(jnp.arange(1.0, 3.0), jax.random.key(0)).tolist()
        [-2.0, -1.0]
    """
    _check_not_empty("random_order", steps)
    return Bound(apply_in_random_order, steps=_as_steps(steps, sample_rate))


def with_probability(probability: float | jax.Array, step: Step, *, sample_rate: SampleRate = None) -> Augmentation:
    """Make a policy that applies a step to a fraction of the examples and returns the others unchanged.

    In plain data it is the key ``probability`` beside the ``name`` of a step.

    Args:
        probability: Probability that the step is applied, 0 to 1. May be traced.
        step: As in ``compose``.
        sample_rate: As in ``compose``.

    Returns:
        A function ``f(example, key)`` of one example. Under ``vmap`` the step is computed for every example.

    Raises:
        ValueError: If ``probability`` is out of range.
        TypeError: As in ``compose``.
        LookupError: As in ``compose``.

    Example:
        >>> import jax.numpy as jnp
        >>> policy = with_probability(0.5, "invert_polarity")
        >>> sorted({float(policy(jnp.ones(1), jax.random.key(seed))[0]) for seed in range(8)})
        [-1.0, 1.0]
    """
    check_option("probability", probability, minimum=0, maximum=1)
    return Bound(apply_with_probability, steps=_as_steps((step,), sample_rate), probability=probability)


def create_policy(spec: Step, *, sample_rate: SampleRate = None) -> Augmentation:
    """Make a policy from plain data, such as the contents of a TOML file.

    Args:
        spec: A step as in ``compose``. In a mapping, ``name`` is the name of an augmentation, or ``"compose"``,
            ``"one_of"`` (with ``weights``), ``"some_of"`` (with ``n``) or ``"random_order"``, which take a list
            ``steps`` and optionally ``sample_rate``. ``probability`` beside any name means ``with_probability``. A
            list of steps, or a mapping with ``steps`` and without ``name``, means ``compose``.
        sample_rate: As in ``compose``; a ``sample_rate`` in ``spec`` takes precedence for the steps below it.

    Returns:
        A function ``f(example, key)`` of one example.

    Raises:
        LookupError: If a name is not registered.
        TypeError: If a step is invalid or does not take an option.
        ValueError: As in the function of that name.

    Example:
        >>> import jax.numpy as jnp
        >>> policy = create_policy({"sample_rate": 8000, "steps": [
        ...     {"name": "random_gain", "gain_range": [0.5, 2.0], "probability": 0.5},
        ...     {"name": "one_of", "steps": [{"name": "low_pass"}, {"name": "high_pass"}]},
        ... ]})
        >>> policy(jnp.ones(100), jax.random.key(0)).shape
        (100,)
    """
    if sample_rate is not None:
        check_option("sample_rate", sample_rate, integer=True, minimum=1, unit="Hz")
    if is_list(spec) and not isinstance(spec, tuple):
        return compose(*spec, sample_rate=sample_rate)
    if is_list(spec) and len(spec) == 2 and is_mapping(spec[1]):
        if not isinstance(spec[0], str):
            raise TypeError(f"a (name, options) pair must begin with the name of an augmentation, got {spec[0]!r}")
        spec = {"name": spec[0], **spec[1]}
    options: dict[str, Any] = {}
    if is_mapping(spec):
        _check_mapping(spec)
        options = {"name": "compose", **spec} if "steps" in spec and "name" not in spec else dict(spec)
        if "probability" in options:
            return with_probability(options.pop("probability"), options, sample_rate=sample_rate)
        make = _POLICIES.get(str(options.get("name")))
        if make is not None:
            return _from_mapping(make, options, sample_rate)
        options = {name: tuples(value) for name, value in options.items()}
    try:
        step = resolve("augmentation", options or spec)
    except TypeError as error:
        if any(option == "p" or option.startswith("prob") for option in options):
            raise TypeError(f"{_PROBABILITY}, got {options!r}") from error
        raise
    return _without_defaults(_with_sample_rate(step, sample_rate))


def tuples(value: Any) -> Any:
    """Return lists as tuples, recursively, so that options from a file equal options written in Python.

    Args:
        value: The value of an option.

    Returns:
        The value, its lists and tuples as tuples.

    Example:
        >>> tuples([1, [2, 3]])
        (1, (2, 3))
    """
    return tuple(map(tuples, value)) if is_list(value) else value


def is_default(value: Any, default: Any) -> bool:
    """Return whether the value of an option equals its default, types included.

    Args:
        value: The value.
        default: The default.

    Returns:
        Whether they are equal; False for arrays.

    Example:
        >>> is_default([0.5, 2.0], (0.5, 2.0)), is_default(1, 1.0)
        (False, False)
        >>> is_default((0.5, 2.0), (0.5, 2.0))
        True
    """
    if isinstance(value, np.ndarray | jax.Array) or type(value) is not type(default):
        return False
    return bool(tuples(value) == tuples(default))


def _check_not_empty(name: str, steps: tuple[Step, ...]) -> None:
    if not steps:
        raise ValueError(f"{name} must be given at least one step, got none")


def _as_steps(steps: Sequence[Step], sample_rate: SampleRate) -> tuple[Augmentation, ...]:
    return tuple(create_policy(step, sample_rate=sample_rate) for step in steps)


def _check_mapping(spec: Mapping[str, Any]) -> None:
    if not spec:
        raise TypeError("a step must have a name, and a policy a list of steps, got an empty mapping")
    if "steps" not in spec and not isinstance(spec.get("name"), str):
        raise TypeError(
            f"a step must have a name, a string, beside its options, and a policy a list called steps, got {dict(spec)!r}"
        )
    if spec.get("name") == "with_probability":
        raise TypeError(f"{_PROBABILITY}, got {dict(spec)!r}")


def _from_mapping(make: Callable[..., Augmentation], options: dict[str, Any], sample_rate: SampleRate) -> Augmentation:
    """Call ``compose`` or another function that makes a policy with the options of a mapping."""
    name, steps = options.pop("name"), options.pop("steps", [])
    if not isinstance(steps, list | tuple):
        raise TypeError(f"the steps of {name} must be a list, got {steps!r}")
    parameters = inspect.signature(make).parameters.values()
    known = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    for option in options:
        if option not in known:
            raise TypeError(
                f"{name} takes no option {option!r}. It takes: {', '.join(['steps', *known, 'probability'])}"
            )
    return make(*steps, **{"sample_rate": sample_rate, **options})


def _with_sample_rate(step: Augmentation, sample_rate: SampleRate) -> Augmentation:
    """Bind the sample rate of a step, or of the steps of a policy, that take one and have none."""
    if sample_rate is None:
        return step
    function, options = function_and_options(step)
    if function in COMBINATORS:
        steps = tuple(_with_sample_rate(inner, sample_rate) for inner in options["steps"])
        return Bound(function, **{**options, "steps": steps})
    if "sample_rate" in options or "sample_rate" not in option_defaults(function):
        return step
    return Bound(function, **options, sample_rate=sample_rate)


def _without_defaults(step: Augmentation) -> Augmentation:
    """Drop options that equal their defaults, so that a policy equals the one read from its specification.

    A sample rate is kept: another one may not replace it.
    """
    function, options = function_and_options(step)
    if not options or function in COMBINATORS:
        return step
    defaults = option_defaults(function)
    kept = {
        name: value
        for name, value in options.items()
        if name == "sample_rate" or name not in defaults or not is_default(value, defaults[name])
    }
    if len(kept) == len(options):
        return step
    return Bound(function, **kept) if kept else function


_POLICIES: dict[str, Callable[..., Augmentation]] = {
    "compose": compose,
    "one_of": one_of,
    "some_of": some_of,
    "random_order": random_order,
}
