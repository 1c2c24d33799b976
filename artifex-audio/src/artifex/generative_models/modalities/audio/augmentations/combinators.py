"""The functions behind the policies: how ``compose``, ``one_of`` and the others apply and draw their steps."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.components.factory import Bound
from artifex.generative_models.core.protocols import Augmentation
from artifex.generative_models.modalities.audio.annotations import (
    augmentation,
    drawn_parameters,
    function_and_options,
    option_defaults,
)

T = TypeVar("T")

Steps = tuple[Augmentation, ...]
Applier = Callable[[Array, Array], Array]


def _draw_in_order(key: Array, shape: tuple[int, ...], *, steps: Steps) -> dict[str, Any]:
    return {"steps": _draw_steps("compose", steps, _split(key, steps), shape)}


@augmentation(draw=_draw_in_order)
def apply_in_order(example: ArrayLike, key: Array, *, steps: Steps) -> Array:
    """Apply all steps in order; step ``i`` gets key ``i`` of ``jax.random.split(key, n)``.

    Args:
        example: The example.
        key: PRNG key.
        steps: The steps, as functions.

    Returns:
        The augmented example, same shape and dtype. Annotation: ``steps``, the drawn parameters of every step.
    """
    numerics.check_key("compose", key)
    return call_compiled(_apply_in_order, example, key, steps=steps)


def _apply_in_order(example: Array, key: Array, *, steps: Steps) -> Array:
    for apply, step_key in zip(_appliers("compose", steps), _split(key, steps), strict=True):
        example = apply(example, step_key)
    return example


def _split(key: Array, steps: Steps) -> list[Array]:
    return list(jax.random.split(key, len(steps))) if steps else []


def _draw_one(key: Array, shape: tuple[int, ...], *, steps: Steps, weights: tuple[float, ...] | None) -> dict[str, Any]:
    choice_key, step_key = jax.random.split(key)
    choice = _draw_choice(choice_key, len(steps), weights)
    return {"choice": choice, "steps": _draw_steps("one_of", steps, _fold_in_positions(step_key, steps), shape)}


@augmentation(draw=_draw_one)
def apply_one(example: ArrayLike, key: Array, *, steps: Steps, weights: tuple[float, ...] | None = None) -> Array:
    """Apply one step, drawn with the given weights.

    Args:
        example: The example.
        key: PRNG key.
        steps: The steps, as functions.
        weights: As for ``one_of``.

    Returns:
        The augmented example, same shape and dtype. Annotations: ``choice``, the index of the step; ``steps``, the
        drawn parameters of every step.
    """
    numerics.check_key("one_of", key)
    return call_compiled(_apply_one, example, key, steps=steps, weights=weights)


def _apply_one(example: Array, key: Array, *, steps: Steps, weights: tuple[float, ...] | None = None) -> Array:
    choice_key, step_key = jax.random.split(key)
    choice = _draw_choice(choice_key, len(steps), weights)
    return _switch(choice, _appliers("one_of", steps), example, jax.random.fold_in(step_key, choice))


def _draw_choice(key: Array, n_steps: int, weights: tuple[float, ...] | None) -> Array:
    relative = np.ones(n_steps) if weights is None else np.asarray(weights)
    thresholds = np.cumsum(relative)[:-1] / relative.sum()
    drawn = numerics.uniform(key)
    return jnp.sum(drawn >= jnp.asarray(thresholds, jnp.float32).astype(drawn.dtype), dtype=jnp.int32)


def _draw_some(key: Array, shape: tuple[int, ...], *, steps: Steps, n: tuple[int, int]) -> dict[str, Any]:
    chosen, step_keys = _draw_subset(key, len(steps), n)
    return {"chosen": chosen, "steps": _draw_steps("some_of", steps, step_keys, shape)}


@augmentation(draw=_draw_some)
def apply_some(example: ArrayLike, key: Array, *, steps: Steps, n: tuple[int, int]) -> Array:
    """Apply a drawn subset of n[0] to n[1] steps, in order.

    Args:
        example: The example.
        key: PRNG key.
        steps: The steps, as functions.
        n: As for ``some_of``.

    Returns:
        The augmented example, same shape and dtype. Annotations: ``chosen`` (n_steps,), whether each step is applied;
        ``steps``, the drawn parameters of every step.
    """
    numerics.check_key("some_of", key)
    return call_compiled(_apply_some, example, key, steps=steps, n=n)


def _apply_some(example: Array, key: Array, *, steps: Steps, n: tuple[int, int]) -> Array:
    chosen, step_keys = _draw_subset(key, len(steps), n)
    for position, apply in enumerate(_appliers("some_of", steps)):
        example = _apply_if(chosen[position], apply, example, step_keys[position])
    return example


def _draw_subset(key: Array, n_steps: int, n: tuple[int, int]) -> tuple[Array, list[Array]]:
    """Draw a mask (n_steps,) of the steps to apply; return it with the key of each step."""
    count_key, order_key, *step_keys = jax.random.split(key, n_steps + 2)
    count = numerics.randint(count_key, (), n[0], n[1] + 1)
    # The steps with the ``count`` smallest of n_steps random numbers; of two equal numbers the first ranks lower.
    ranks = jnp.argsort(jnp.argsort(numerics.uniform(order_key, (n_steps,))))
    return ranks < count, step_keys


def _draw_random_order(key: Array, shape: tuple[int, ...], *, steps: Steps) -> dict[str, Any]:
    order_key, step_key = jax.random.split(key)
    step_keys = _fold_in_positions(step_key, steps)
    return {
        "order": _draw_permutation(order_key, len(steps)),
        "steps": _draw_steps("random_order", steps, step_keys, shape),
    }


@augmentation(draw=_draw_random_order)
def apply_in_random_order(example: ArrayLike, key: Array, *, steps: Steps) -> Array:
    """Apply all steps in a drawn order.

    Args:
        example: The example.
        key: PRNG key.
        steps: The steps, as functions.

    Returns:
        The augmented example, same shape and dtype. Annotations: ``order`` (n_steps,), the indices of the steps in
        order of application; ``steps``, the drawn parameters of every step.
    """
    numerics.check_key("random_order", key)
    return call_compiled(_apply_in_random_order, example, key, steps=steps)


def _apply_in_random_order(example: Array, key: Array, *, steps: Steps) -> Array:
    order_key, step_key = jax.random.split(key)
    order = _draw_permutation(order_key, len(steps))
    step_keys = jax.vmap(jax.random.fold_in, (None, 0))(step_key, order)
    branches = _appliers("random_order", steps)

    def apply_next(example: Array, position_and_key: tuple[Array, Array]) -> tuple[Array, None]:
        position, own_key = position_and_key
        return _switch(position, branches, example, own_key), None

    return jax.lax.scan(apply_next, example, (order, step_keys))[0]


def _draw_permutation(key: Array, n_steps: int) -> Array:
    return jnp.argsort(numerics.uniform(key, (n_steps,)))


def _draw_with_probability(
    key: Array, shape: tuple[int, ...], *, steps: Steps, probability: float | Array
) -> dict[str, Any]:
    applied_key, step_key = jax.random.split(key)
    applied = _draw_applied(applied_key, probability)
    return {"applied": applied, "steps": _draw_steps("with_probability", steps, [step_key], shape)}


@augmentation(draw=_draw_with_probability)
def apply_with_probability(example: ArrayLike, key: Array, *, steps: Steps, probability: float | Array) -> Array:
    """Apply the only step with the given probability.

    Args:
        example: The example.
        key: PRNG key.
        steps: The steps, as functions.
        probability: As for ``with_probability``.

    Returns:
        The augmented example, same shape and dtype. Annotations: ``applied``; ``steps``, the drawn parameters of the
        step.
    """
    numerics.check_key("with_probability", key)
    return call_compiled(_apply_with_probability, example, key, steps=steps, probability=probability)


def _apply_with_probability(example: Array, key: Array, *, steps: Steps, probability: float | Array) -> Array:
    applied_key, step_key = jax.random.split(key)
    applied = _draw_applied(applied_key, probability)
    return _apply_if(applied, _appliers("with_probability", steps)[0], example, step_key)


def _draw_applied(key: Array, probability: float | Array) -> Array:
    drawn = numerics.uniform(key)
    return drawn < jnp.asarray(probability, drawn.dtype)


# The function of each combinator and the name under which a policy's specification refers to it.
COMBINATORS: dict[Callable[..., Any], str] = {
    apply_in_order: "compose",
    apply_one: "one_of",
    apply_some: "some_of",
    apply_in_random_order: "random_order",
    apply_with_probability: "with_probability",
}


def step_name(step: Any) -> str:
    """Return the name of a step's function, such as ``"low_pass"`` or ``"one_of"``.

    Args:
        step: A function or a partial application of one.

    Returns:
        The name.

    Example:
        >>> step_name(Bound(apply_one, steps=()))
        'one_of'
    """
    function = function_and_options(step)[0]
    return COMBINATORS.get(function) or str(getattr(function, "__name__", type(function).__name__))


def check_sample_rate_bound(step: Augmentation, label: str) -> None:
    """Raise if a step requires a sample rate and none is bound.

    Args:
        step: A function, its options bound or not.
        label: The step's position and name for the message.

    Raises:
        TypeError: If the function's parameter ``sample_rate`` has no default and is not bound.

    Example:
        >>> def low_pass(audio, key, *, sample_rate): return audio
        >>> check_sample_rate_bound(low_pass, "step 1, low_pass,")
        Traceback (most recent call last):
        TypeError: step 1, low_pass, requires sample_rate: give it to the policy, as in compose(..., sample_rate=16000), or to apply_batch
    """
    function, options = function_and_options(step)
    # The functions of combinators have no such parameter.
    if "sample_rate" not in options and option_defaults(function).get("sample_rate") is inspect.Parameter.empty:
        raise TypeError(
            f"{label} requires sample_rate: give it to the policy, as in compose(..., sample_rate=16000), or to apply_batch"
        )


def _labels(combinator: str, steps: Steps) -> Iterator[tuple[str, Augmentation]]:
    for position, step in enumerate(steps, 1):
        label = f"step {position}, {step_name(step)},"
        check_sample_rate_bound(step, label)
        yield f"{label} of {combinator}", step


def _draw_steps(combinator: str, steps: Steps, keys: list[Array], shape: tuple[int, ...]) -> list[dict[str, Any]]:
    drawn: list[dict[str, Any]] = []
    for (label, step), key in zip(_labels(combinator, steps), keys, strict=True):
        with _errors_name(label):
            drawn.append(drawn_parameters(step, key, shape))
    return drawn


def _fold_in_positions(key: Array, steps: Steps) -> list[Array]:
    return [jax.random.fold_in(key, position) for position in range(len(steps))]


def _appliers(combinator: str, steps: Steps) -> list[Applier]:
    """Return a function of example and key for every step, whose errors name the step."""
    return [functools.partial(_apply_step, label, step) for label, step in _labels(combinator, steps)]


def _apply_step(label: str, step: Augmentation, example: Array, key: Array) -> Array:
    with _errors_name(label):
        changed = jnp.asarray(step(example, key))
    if (changed.shape, changed.dtype) != (example.shape, example.dtype):
        raise ValueError(
            f"{label} must keep shape and dtype, got {changed.shape} {changed.dtype} from {example.shape} {example.dtype}"
        )
    return changed


@contextlib.contextmanager
def _errors_name(label: str) -> Generator[None, None, None]:
    """Add the label of a step to the errors raised within it."""
    try:
        yield
    except (TypeError, ValueError) as error:
        error.add_note(f"in {label}")
        raise


def _apply_if(applied: Array, apply: Applier, example: Array, key: Array) -> Array:
    def keep(example: Array, key: Array) -> Array:
        return example

    return jnp.asarray(jax.lax.cond(applied, apply, keep, example, key))


def _switch(index: Array, branches: list[Applier], example: Array, key: Array) -> Array:
    return jnp.asarray(jax.lax.switch(index, branches, example, key))


def call_compiled(function: Callable[..., T], example: Any, key: Array, **options: Any) -> T:
    """Call a function of an example and a key, compiled once for all values of the arrays among its options.

    Args:
        function: The function.
        example: An array or a tree of arrays.
        key: A PRNG key.
        **options: Options of the function; ``Bound`` functions, lists and tuples among them may contain arrays.

    Returns:
        The result of the function.

    Example:
        >>> def scale(x, key, gain): return x * gain
        >>> float(call_compiled(scale, jnp.float32(3), jax.random.key(0), gain=jnp.float32(2)))
        6.0
    """
    arrays: list[Any] = []

    def extract(option: Any) -> Any:
        if isinstance(option, Array | np.ndarray):
            arrays.append(option)
            return _ArrayIndex(len(arrays) - 1)
        return _map_options(extract, option)

    def as_array(leaf: ArrayLike) -> Array:
        return jnp.asarray(leaf)

    converted: Any = jax.tree.map(as_array, example)
    result: T = _call(extract(Bound(function, **options)), arrays, converted, key)
    return result


@numerics.jit(static_argnames=["function"])
def _call(function: Any, arrays: list[Array], example: Any, key: Array) -> Any:
    def insert(option: Any) -> Any:
        return arrays[option] if isinstance(option, _ArrayIndex) else _map_options(insert, option)

    return insert(function)(example, key)


class _ArrayIndex(int):
    """Stands for an array among the options of a policy, so that the policy is hashable without it."""


def _map_options(change: Callable[[Any], Any], option: Any) -> Any:
    """Apply ``change`` to the elements of a partial function, list or tuple; return anything else unchanged."""
    if isinstance(option, Bound):
        options = {name: change(value) for name, value in option.keywords.items()}
        return Bound(change(option.func), *map(change, option.args), **options)
    if type(option) in (list, tuple):
        return type(option)(map(change, option))
    return option
