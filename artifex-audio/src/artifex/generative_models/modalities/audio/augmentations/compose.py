"""Policies: augmentations one after another, one of several, at random; from plain data and back, and over a batch."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from artifex.generative_models.core import kinds, numerics, registry, resolve
from artifex.generative_models.core.checks import check_integer, check_number
from artifex.generative_models.core.components.factory import Bound
from artifex.generative_models.core.components.kind import options_of
from artifex.generative_models.core.numerics.batching import batch_local
from artifex.generative_models.core.protocols import Augmentation
from artifex.generative_models.modalities.audio.annotations import with_annotations
from artifex.generative_models.modalities.audio.augmentations.draws import Drawn

# What may stand for a step: a name, a (name, options) pair, a mapping with "name", a list of steps, or a function.
Step = str | tuple[str, Mapping[str, Any]] | Mapping[str, Any] | list[Any] | Callable[..., jax.Array]


def compose(*steps: Step) -> Augmentation:
    """Make a policy that applies steps one after another.

    Step ``i`` gets key ``i`` of ``jax.random.split(key, n)``, so its draw depends on nothing that other steps do.

    Args:
        *steps: Augmentations or other policies: a name, a (name, options) pair, a mapping with ``name`` and options
            beside it, or a function ``f(x, key)``.

    Returns:
        A function ``f(x, key)`` of one example, compiled where it is called; equal steps give an equal function.

    Raises:
        LookupError: For a name that is not registered.
        TypeError: For something that is no step, or an option that a step does not take.
        ValueError: When a step changes the shape or dtype, where the policy is called.

    Example:
        >>> policy = compose("invert_polarity", ("random_gain", {"gain_range": (0.5, 0.5)}))
        >>> policy(jnp.ones(3), jax.random.key(0)).tolist()
        [-0.5, -0.5, -0.5]
    """
    return _policy(_compose, steps)


def one_of(*steps: Step, weights: tuple[float, ...] | list[float] | None = None) -> Augmentation:
    """Make a policy that applies one of several steps, drawn for each example.

    Under ``vmap``, and so in a batch, every step is computed for every example and one is kept.

    Args:
        *steps: As ``compose`` takes them, at least one.
        weights: How likely each step is, relative to the others, at least 0. None means all alike.

    Returns:
        A function ``f(x, key)`` of one example.

    Raises:
        ValueError: Without steps, or for weights that do not fit them or are all 0.
        TypeError: As ``compose`` does.
        LookupError: As ``compose`` does.

    Example:
        >>> policy = one_of("invert_polarity", "reverse", weights=[3, 1])
        >>> inverted = [float(policy(jnp.arange(1.0, 3.0), jax.random.key(seed))[0]) < 0 for seed in range(8)]
        >>> 0 < sum(inverted) < 8
        True

    Reference:
        ``audiomentations.OneOf``.
    """
    _check_any("one_of", steps)
    if weights is not None:
        for place, weight in enumerate(weights):
            check_number(f"weights[{place}]", weight, minimum=0)
        if len(weights) != len(steps) or not sum(weights):
            raise ValueError(
                f"one_of takes a weight for each of its {len(steps)} steps, not all of them 0, got {weights!r}"
            )
        return _policy(_one_of, steps, weights=tuple(map(float, weights)))
    return _policy(_one_of, steps)


def some_of(*steps: Step, n: int | tuple[int, int | None] | list[int] = (1, None)) -> Augmentation:
    """Make a policy that applies several of its steps, drawn for each example, in the order in which they stand.

    How many is uniform between the bounds, and every choice of that many is as likely.

    Args:
        *steps: As ``compose`` takes them, at least one.
        n: How many: a number, or the least and the greatest, at least 0; None means all of them.

    Returns:
        A function ``f(x, key)`` of one example. Under ``vmap`` every step is computed.

    Raises:
        ValueError: Without steps, or for a number of them that is out of order or above theirs.
        TypeError: As ``compose`` does.
        LookupError: As ``compose`` does.

    Example:
        >>> policy = some_of("invert_polarity", "reverse", n=1)
        >>> policy(jnp.arange(1.0, 3.0), jax.random.key(0)).tolist() in ([-1.0, -2.0], [2.0, 1.0])
        True

    Reference:
        ``audiomentations.SomeOf``.
    """
    _check_any("some_of", steps)
    least, most = (n, n) if isinstance(n, int) else n
    most = len(steps) if most is None else most
    check_integer("n[0]", least, minimum=0, unit="steps")
    check_integer("n[1]", most, minimum=0, maximum=len(steps), unit="steps")
    if least > most:
        raise ValueError(f"n is how many steps at least and at most, got {least} above {most}")
    return _policy(_some_of, steps, n=(int(least), int(most)))


def random_order(*steps: Step) -> Augmentation:
    """Make a policy that applies all its steps in an order drawn for each example.

    Under ``vmap`` each of the ``k`` places computes every step, ``k * k`` in all.

    Args:
        *steps: As ``compose`` takes them, at least one.

    Returns:
        A function ``f(x, key)`` of one example.

    Raises:
        ValueError: Without steps.
        TypeError: As ``compose`` does.
        LookupError: As ``compose`` does.

    Example:
        >>> policy = random_order(lambda x, key: x + 1, lambda x, key: 2 * x)
        >>> sorted({float(policy(jnp.ones(()), jax.random.key(seed))) for seed in range(8)})
        [3.0, 4.0]

    Reference:
        ``audiomentations.Compose(shuffle=True)``.
    """
    _check_any("random_order", steps)
    return _policy(_random_order, steps)


def with_probability(probability: float | jax.Array, step: Step) -> Augmentation:
    """Make a policy that applies a step to a share of the examples and leaves the others as they are.

    In plain data it is the key ``probability`` beside a step's ``name``.

    Args:
        probability: How likely the step is applied, 0 to 1. May be traced.
        step: As ``compose`` takes it.

    Returns:
        A function ``f(x, key)`` of one example. Under ``vmap`` the step is computed for all.

    Raises:
        ValueError: For a probability out of range.
        TypeError: As ``compose`` does.
        LookupError: As ``compose`` does.

    Example:
        >>> policy = with_probability(0.5, "invert_polarity")
        >>> sorted({float(policy(jnp.ones(1), jax.random.key(seed))[0]) for seed in range(8)})
        [-1.0, 1.0]
    """
    if not isinstance(probability, jax.Array):
        check_number("probability", probability, minimum=0, maximum=1)
    return _policy(_with_probability, (step,), probability=probability)


def create_policy(spec: Step, *, sample_rate: int | None = None) -> Augmentation:
    """Make a policy of plain data, such as a TOML file holds.

    Args:
        spec: A step as ``compose`` takes it. In a mapping, ``name`` is that of an augmentation, or ``"compose"``,
            ``"one_of"`` (with ``weights``), ``"some_of"`` (with ``n``) or ``"random_order"``, which have a list
            ``steps`` beside it; ``probability`` beside any name is ``with_probability``. A list of steps, and a mapping
            that has ``steps`` and no ``name``, is ``compose``.
        sample_rate: Given, in Hz, to every step that takes a ``sample_rate`` and was not told any.

    Returns:
        A function ``f(x, key)`` of one example.

    Raises:
        LookupError: For a name that is not registered.
        TypeError: For something that is no step, or an option that a step does not take.
        ValueError: As the function of that name raises it.

    Example:
        >>> policy = create_policy({"steps": [
        ...     {"name": "random_gain", "gain_range": [0.5, 2.0], "probability": 0.5},
        ...     {"name": "one_of", "steps": [{"name": "low_pass"}, {"name": "high_pass"}]},
        ... ]}, sample_rate=8000)
        >>> policy(jnp.ones(100), jax.random.key(0)).shape
        (100,)
    """
    if sample_rate is not None:
        check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    return _step(spec, sample_rate)


def policy_spec(policy: Augmentation) -> dict[str, Any]:
    """Return a policy as plain data: what ``create_policy`` makes it of again.

    Args:
        policy: A policy, or a registered augmentation, its options bound or not.

    Returns:
        Names, numbers, text and lists in dicts. Options at their defaults are left out.

    Raises:
        TypeError: For a function that is not registered, or an option that is no plain data, such as an array.

    Example:
        >>> policy_spec(compose(with_probability(0.5, "reverse"), ("time_shift", {"max_shift": 80})))
        {'name': 'compose', 'steps': [{'name': 'reverse', 'probability': 0.5}, {'name': 'time_shift', 'max_shift': 80}]}
    """
    function, options = _parts(policy)
    if function is _with_probability:
        inner = policy_spec(options["steps"][0])
        if "probability" in inner:
            inner = {"name": "compose", "steps": [inner]}
        return {**inner, "probability": _plain("probability", options["probability"])}
    if function in _COMBINATORS.values():
        name = next(name for name, own in _COMBINATORS.items() if own is function)
        rest = {option: _plain(option, value) for option, value in options.items() if option != "steps"}
        return {"name": name, "steps": [policy_spec(step) for step in options["steps"]], **rest}
    defaults = _defaults(function)
    stated = {name: value for name, value in options.items() if not _is_default(value, defaults.get(name))}
    return {"name": _registered_name(function), **{name: _plain(name, value) for name, value in stated.items()}}


def steps_of(policy: Augmentation) -> list[Any]:
    """Return the augmentations that a policy is made of, without their options.

    Args:
        policy: A policy, or an augmentation, its options bound or not.

    Returns:
        The functions, in the order in which they stand; an augmentation is its own only step.

    Example:
        >>> [step.__name__ for step in steps_of(compose("reverse", one_of("random_gain", "time_shift")))]
        ['reverse', 'random_gain', 'time_shift']
    """
    function, options = _parts(policy)
    if function is _with_probability or function in _COMBINATORS.values():
        return [inner for step in options["steps"] for inner in steps_of(step)]
    return [function]


def describe(policy: Step, key: jax.Array, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return what a policy draws from a key: the parameters that it changes an example of this shape with.

    Args:
        policy: A step as ``compose`` takes it.
        key: What the policy is called with.
        shape: The example's shape, such as (time,).

    Returns:
        ``name``, and beside it what was drawn, in the units of the options, as numbers and lists; ``steps`` holds the
        same of each step, those alone that are applied.

    Raises:
        TypeError: As ``compose`` does.
        LookupError: As ``compose`` does.

    Example:
        >>> told = describe(compose("time_shift", ("random_gain", {"gain_range": (2, 2)})), jax.random.key(0), (8000,))
        >>> told["steps"][1], -1600 <= told["steps"][0]["shift"] <= 1600
        ({'name': 'random_gain', 'gain': 2.0}, True)
    """
    numerics.check_key("describe", key)
    resolved = _step(policy, None)
    drawn = _run(with_annotations(resolved), (jnp.zeros(shape, jnp.float32),), key)[1]
    return _told(resolved, jax.tree.map(lambda leaf: np.asarray(leaf).tolist(), drawn))


def apply_batch(policy: Step, batch: Any, key: jax.Array) -> Any:
    """Apply a policy to every example of a batch, each with a draw of its own.

    Row ``i`` gets key ``i`` of ``jax.random.split(key, batch)``, so it does not change when the batch grows. Where the
    batch is several arrays, such as an input and its target, row ``i`` of each gets the same key and so the same draw.

    Args:
        policy: A step as ``compose`` takes it.
        batch: An array (batch, ...), or a tree of arrays with the same first axis.
        key: Decides everything.

    Returns:
        The same, changed. What is sharded over its first axis stays where it is.

    Raises:
        ValueError: For no array, an empty batch, or arrays of different first axes.
        TypeError: As ``compose`` does.
        LookupError: As ``compose`` does.

    Example:
        >>> clips = jnp.ones((3, 4000))
        >>> noisy, target = apply_batch("random_gain", (clips, clips), jax.random.key(0))
        >>> bool((noisy == target).all()), len(set(noisy[:, 0].tolist()))
        (True, 3)
    """
    numerics.check_key("apply_batch", key)
    for path, leaf in jax.tree_util.tree_flatten_with_path(batch)[0]:
        kind = leaf.dtype if isinstance(leaf, jax.Array) else np.asarray(leaf).dtype
        if not jnp.issubdtype(kind, jnp.number):
            raise TypeError(
                f"apply_batch changes every array of a batch, got {kind} at {jax.tree_util.keystr(path) or 'its root'}: give "
                f"it what is to be changed alone, such as batch['audio']"
            )
    arrays = jax.tree.map(jnp.asarray, batch)
    sizes = {leaf.shape[:1] for leaf in jax.tree.leaves(arrays)}
    if len(sizes) != 1 or sizes <= {(), (0,)}:
        shapes = [leaf.shape for leaf in jax.tree.leaves(arrays)]
        raise ValueError(f"apply_batch takes arrays (batch, ...) of one batch size, at least 1, got shapes {shapes}")
    return _run(Bound(_rows, policy=_step(policy, None)), (arrays,), key)


def _policy(function: Callable[..., jax.Array], steps: tuple[Step, ...], **options: Any) -> Augmentation:
    return Bound(function, steps=tuple(_step(step, None) for step in steps), **options)


def _check_any(name: str, steps: tuple[Step, ...]) -> None:
    if not steps:
        raise ValueError(f"{name} takes at least one step, got none")


def _step(spec: Step, sample_rate: int | None) -> Augmentation:
    """Turn what may stand for a step into a function with its options bound."""
    if isinstance(spec, list):
        spec = {"name": "compose", "steps": spec}
    if isinstance(spec, Mapping):
        _check_step(spec)
        spec = {"name": "compose", **spec} if "steps" in spec and "name" not in spec else dict(spec)
        if "probability" in spec:
            probability = spec.pop("probability")
            return with_probability(probability, _step(spec, sample_rate))
        maker = {"compose": compose, "one_of": one_of, "some_of": some_of, "random_order": random_order}.get(
            str(spec.get("name"))
        )
        if maker is not None:
            return _of_data(maker, spec, sample_rate)
        spec = {name: _frozen(value) for name, value in spec.items()}
    elif isinstance(spec, tuple) and len(spec) == 2 and isinstance(spec[1], Mapping):
        return _step({"name": spec[0], **spec[1]}, sample_rate)
    return _lean(_at_rate(resolve("augmentation", spec), sample_rate))


def _check_step(spec: Mapping[str, Any]) -> None:
    """Say what is wrong with a mapping that cannot be a step."""
    if not spec:
        raise TypeError("a policy has a list of steps, or the name of one, got nothing")
    if "steps" not in spec and not isinstance(spec.get("name"), str):
        raise TypeError(f"a step has a name, and a policy a list called steps, got {dict(spec)!r}")
    if spec.get("name") == "with_probability" or "p" in spec:
        raise TypeError("how often a step is applied is called probability, beside its name and options")


def _lean(step: Augmentation) -> Augmentation:
    """Leave out options that have their default, so that a policy equals what is read of it again.

    The rate stays, for none is given to a step that was told one.
    """
    function, options = _parts(step)
    if not options or function in _COMBINATORS.values() or function is _with_probability:
        return step
    known = _defaults(function)
    kept = {
        name: value
        for name, value in options.items()
        if name == "sample_rate" or name not in known or not _is_default(value, known[name])
    }
    return step if len(kept) == len(options) else Bound(function, **kept) if kept else function


def _of_data(maker: Callable[..., Augmentation], spec: dict[str, Any], sample_rate: int | None) -> Augmentation:
    name, steps = spec.pop("name"), spec.pop("steps", [])
    if not isinstance(steps, list | tuple):
        raise TypeError(f"the steps of {name} are a list, got {steps!r}")
    known = [each.name for each in inspect.signature(maker).parameters.values() if each.kind is each.KEYWORD_ONLY]
    for option in spec:
        if option not in known:
            raise TypeError(f"{name} takes no option {option!r}. It takes: {', '.join(['steps', *known])}")
    return maker(*(_step(step, sample_rate) for step in steps), **spec)


def _frozen(value: Any) -> Any:
    """Tuples for lists, so that what was read from a file equals what was written in Python."""
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value


def _at_rate(step: Augmentation, sample_rate: int | None) -> Augmentation:
    if sample_rate is None:
        return step
    function, options = _parts(step)
    if function in _COMBINATORS.values() or function is _with_probability:
        options = {**options, "steps": tuple(_at_rate(inner, sample_rate) for inner in options["steps"])}
        return Bound(function, **options)
    known = options_of(kinds()["augmentation"], function) or {}
    if "sample_rate" not in known or "sample_rate" in options or _defaults(function)["sample_rate"] == sample_rate:
        return step
    return Bound(function, **options, sample_rate=sample_rate)


def _parts(step: Any) -> tuple[Any, dict[str, Any]]:
    options: dict[str, Any] = {}
    while isinstance(step, functools.partial):
        options = {**step.keywords, **options}
        step = step.func
    return step, options


def _defaults(function: Any) -> dict[str, Any]:
    return {name: each.default for name, each in inspect.signature(function).parameters.items()}


def _is_default(value: Any, default: Any) -> bool:
    same = _frozen(value) == _frozen(default) if not isinstance(value, np.ndarray | jax.Array) else False
    return bool(same) and type(value) is type(default)


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(name, each) for each in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"the option {name} is no plain data, got {type(value).__name__}: give it where the policy is used")


def _registered_name(function: Any) -> str:
    known = registry("augmentation")
    own = getattr(function, "__name__", "")
    for name in [own] * (own in known) + list(known):
        if known[name] is function:
            return name
    raise TypeError(f"{function!r} is not registered as an augmentation, so that no name finds it again")


def _told(step: Any, drawn: Any) -> dict[str, Any]:
    """Put names to what was drawn, leaving out the steps that are not applied."""
    function, options = _parts(step)
    if function is _with_probability:
        applied = drawn["applied"]
        inner = _told(options["steps"][0], drawn["steps"][0])
        return {**(inner if applied else {"name": inner["name"]}), "applied": applied}
    if function not in _COMBINATORS.values():
        return {"name": getattr(function, "__name__", type(function).__name__), **drawn}
    name = next(name for name, own in _COMBINATORS.items() if own is function)
    places = drawn.get(
        "order", [place for place, chosen in enumerate(drawn.get("chosen", [True] * len(drawn["steps"]))) if chosen]
    )
    return {"name": name, "steps": [_told(options["steps"][place], drawn["steps"][place]) for place in places]}


class _Slot(int):
    """Where an array was taken out of a policy."""


def _run(function: Any, examples: tuple[Any, ...], key: jax.Array) -> Any:
    """Call a function whose options may hold arrays, compiled once whatever these are."""
    arrays: list[Any] = []

    def without(value: Any) -> Any:
        if isinstance(value, jax.Array | np.ndarray):
            arrays.append(value)
            return _Slot(len(arrays) - 1)
        return _mapped(without, value)

    return _compiled(without(function), arrays, examples, key)


@functools.partial(jax.jit, static_argnums=0)
def _compiled(function: Any, arrays: list[jax.Array], examples: tuple[Any, ...], key: jax.Array) -> Any:
    def whole(value: Any) -> Any:
        return arrays[value] if isinstance(value, _Slot) else _mapped(whole, value)

    return whole(function)(*examples, key)


def _mapped(change: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, Bound):
        options = {name: change(each) for name, each in value.keywords.items()}
        return Bound(change(value.func), *map(change, value.args), **options)
    if type(value) in (list, tuple):
        return type(value)(map(change, value))
    return value


def _rows(batch: Any, key: jax.Array, *, policy: Augmentation) -> Any:
    def row(example: Any, key: jax.Array) -> Any:
        return jax.tree.map(lambda leaf: policy(leaf, key), example)

    first = jax.tree.leaves(batch)[0]
    keys = jax.random.split(key, first.shape[0])
    rows = jax.vmap(row)
    return batch_local(lambda _, batch, keys: rows(batch, keys), first, batch, keys, core=first.ndim - 1)


def _combinator(render: Callable[..., Any]) -> Callable[..., jax.Array]:
    """Make a policy of a function that returns the result and, where it is told to, what was drawn."""

    @functools.wraps(render)
    def told(x: Any, key: jax.Array, **options: Any) -> Any:
        numerics.check_key(render.__name__.strip("_"), key)
        return _run(Bound(render, asked=True, **options), (x,), key)

    @functools.wraps(render)
    def policy(x: Any, key: jax.Array, **options: Any) -> jax.Array:
        numerics.check_key(render.__name__.strip("_"), key)
        changed: jax.Array = _run(Bound(render, asked=False, **options), (x,), key)[0]
        return changed

    policy.annotated = told  # type: ignore[attr-defined]
    return policy


def _drawn(steps: tuple[Augmentation, ...], x: Any, keys: Any, asked: bool) -> list[dict[str, Any]]:
    """What each step draws, which does not depend on the samples; the compiler leaves out all but that."""
    return [with_annotations(step)(x, key)[1] for step, key in zip(steps, keys, strict=True)] if asked else []


def _folded(key: jax.Array, steps: tuple[Augmentation, ...]) -> list[jax.Array]:
    return [jax.random.fold_in(key, place) for place in range(len(steps))]


def _applied(step: Augmentation, x: Any, key: jax.Array) -> jax.Array:
    name = getattr(_parts(step)[0], "__name__", repr(step)).strip("_")
    try:
        changed = jnp.asarray(step(x, key))
    except (TypeError, ValueError) as error:
        error.add_note(f"in the step {name} of a policy")
        raise
    if (changed.shape, changed.dtype) != (x.shape, x.dtype):
        raise ValueError(
            f"the step {name} makes {changed.shape} {changed.dtype} of {x.shape} {x.dtype}; the steps of a policy keep "
            f"shape and dtype"
        )
    return changed


@_combinator
def _compose(x: Any, key: jax.Array, *, steps: tuple[Augmentation, ...], asked: bool) -> Drawn:
    x = jnp.asarray(x)
    keys = jax.random.split(key, len(steps)) if steps else key
    drawn = []
    for place, step in enumerate(steps):
        if asked:
            drawn.append(with_annotations(step)(x, keys[place])[1])
        x = _applied(step, x, keys[place])
    return x, {"steps": drawn}


@_combinator
def _one_of(
    x: Any, key: jax.Array, *, steps: tuple[Augmentation, ...], asked: bool, weights: tuple[float, ...] | None = None
) -> Drawn:
    x = jnp.asarray(x)
    choice_key, step_key = jax.random.split(key)
    chances = np.ones(len(steps)) if weights is None else np.asarray(weights)
    ends = np.cumsum(chances)[:-1] / chances.sum()
    choice = jnp.sum(numerics.uniform(choice_key) >= jnp.asarray(ends, jnp.float32), dtype=jnp.int32)
    own = jax.random.fold_in(step_key, choice)
    changed = jax.lax.switch(choice, [functools.partial(_applied, step) for step in steps], x, own)
    return changed, {"order": choice[None], "steps": _drawn(steps, x, _folded(step_key, steps), asked)}


@_combinator
def _some_of(x: Any, key: jax.Array, *, steps: tuple[Augmentation, ...], asked: bool, n: tuple[int, int]) -> Drawn:
    x = jnp.asarray(x)
    count_key, place_key, *keys = jax.random.split(key, len(steps) + 2)
    count = numerics.randint(count_key, (), n[0], n[1] + 1)
    places = numerics.uniform(place_key, (len(steps),))
    # Each step's rank among what was drawn; the first of two equal draws comes first.
    chosen = jnp.argsort(jnp.argsort(places)) < count
    changed = x
    for place, step in enumerate(steps):
        changed = _where(chosen[place], step, changed, keys[place])
    return changed, {"chosen": chosen, "steps": _drawn(steps, x, keys, asked)}


@_combinator
def _random_order(x: Any, key: jax.Array, *, steps: tuple[Augmentation, ...], asked: bool) -> Drawn:
    x = jnp.asarray(x)
    order_key, step_key = jax.random.split(key)
    order = jnp.argsort(numerics.uniform(order_key, (len(steps),)))
    branches = [functools.partial(_applied, step) for step in steps]

    def place(changed: jax.Array, each: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        step, own = each
        return jax.lax.switch(step, branches, changed, own), None

    keys = jax.vmap(jax.random.fold_in, (None, 0))(step_key, order)
    changed = jax.lax.scan(place, x, (order, keys))[0]
    return changed, {"order": order, "steps": _drawn(steps, x, _folded(step_key, steps), asked)}


@_combinator
def _with_probability(
    x: Any, key: jax.Array, *, steps: tuple[Augmentation, ...], asked: bool, probability: float | jax.Array
) -> Drawn:
    x = jnp.asarray(x)
    whether_key, own_key = jax.random.split(key)
    applied = numerics.uniform(whether_key) < probability
    return _where(applied, steps[0], x, own_key), {"applied": applied, "steps": _drawn(steps, x, [own_key], asked)}


def _where(applied: jax.Array, step: Augmentation, x: jax.Array, key: jax.Array) -> jax.Array:
    changed: jax.Array = jax.lax.cond(applied, functools.partial(_applied, step), lambda x, key: x, x, key)
    return changed


_COMBINATORS = {"compose": _compose, "one_of": _one_of, "some_of": _some_of, "random_order": _random_order}
