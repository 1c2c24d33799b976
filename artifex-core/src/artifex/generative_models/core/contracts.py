"""How the kit runs components of the kinds that core owns."""

from __future__ import annotations

import inspect
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from artifex.generative_models.core.configuration import ExtensionConfig
from artifex.generative_models.core.testing import Broken, Rule, Skipped, Subject, signals
from artifex.generative_models.extensions.base import ModelExtension
from artifex.generative_models.modalities.base import BaseDataset


def modality(component: Any) -> list[Subject | Rule]:
    """Return the rules of a modality: what it announces is what it encodes, and decoding goes back.

    Args:
        component: The class.

    Returns:
        Its rules.
    """

    def announced() -> None:
        made = component(config=None, rngs=nnx.Rngs(0))
        if not (isinstance(made.output_shape, tuple) and all(isinstance(n, int) for n in made.output_shape)):
            raise Broken(f"output_shape is {made.output_shape!r}, expected a tuple of int", "config=None")
        n_time_steps = getattr(made, "n_time_steps", None)
        if n_time_steps is None:
            return
        encoded = made.encode(signals(n_time_steps)["noise"])
        if encoded.shape != made.output_shape:
            raise Broken(f"encodes to {encoded.shape}, announces {made.output_shape}", "config=None")
        decoded = made.decode(encoded)
        if decoded.shape != (n_time_steps,) or not np.isfinite(decoded).all():
            raise Broken(f"decodes to {decoded.shape}, expected finite ({n_time_steps},)", "config=None")

    return [Rule(name="output_shape is what encode gives", verify=announced)]


def extension(component: Any) -> list[Subject | Rule]:
    """Return the rules of an extension: its weight and switch, its loss, and its features under jax.

    Args:
        component: The class.

    Returns:
        Its rules, and its call as a subject where it defines one.
    """
    made = component(config=ExtensionConfig(weight=2.0), rngs=nnx.Rngs(0))
    pair = [{"audio": jnp.asarray(wave)} for wave in list(signals(4000).values())[:2]]

    def switch() -> None:
        if (made.weight, made.enabled) != (2.0, True):
            raise Broken(f"weight and enabled are {made.weight!r} and {made.enabled!r}, expected 2.0 and True")
        off = component(config=ExtensionConfig(enabled=False), rngs=nnx.Rngs(0))
        if float(off.loss_fn(*pair)) != 0:
            raise Broken("its loss is not 0 when it is disabled", "enabled=False")

    def loss() -> None:
        single = component(config=ExtensionConfig(weight=1.0), rngs=nnx.Rngs(0))
        once, twice = (jnp.asarray(each.loss_fn(*pair)) for each in (single, made))
        if once.shape != () or not jnp.isfinite(once):
            raise Broken(f"its loss is {once!r}, expected a finite scalar", "noise against silence")
        if not jnp.allclose(twice, 2 * once):
            raise Broken(f"weight 2 gives the loss {twice}, weight 1 {once}", "noise against silence")

    rules: list[Subject | Rule] = [
        Rule(name="weight and switch", verify=switch),
        Rule(name="loss scales with its weight", verify=loss),
    ]
    if component.__call__ is ModelExtension.__call__:
        return rules
    return [*rules, Subject(label="call", function=made, example=signals, lengths=(1, 4000), batched=True)]


def dataset(component: Any) -> list[Subject | Rule]:
    """Return the rules of a dataset: indexing, iterating and batching agree, and nothing changes between two looks.

    Args:
        component: The class.

    Returns:
        Its rules; all but the first are tried only where it can be made without arguments.
    """

    def made() -> Any:
        needed = [
            p.name
            for p in inspect.signature(component).parameters.values()
            if p.default is p.empty
            and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
            and p.name not in ("config", "rngs")
        ]
        if needed:
            raise Skipped(f"it needs {', '.join(needed)}")
        taken = inspect.signature(component).parameters
        try:
            return component(**{name: None for name in ("config", "rngs") if name in taken})
        except ValueError as error:  # it knows what it lacks; a test of its own has to give it
            raise Skipped(f"it cannot be made without arguments: {error}") from error

    def is_dataset() -> None:
        if not issubclass(component, BaseDataset):
            raise Broken(f"{component.__name__} is no BaseDataset", cause="derive it from BaseDataset")

    def agrees() -> None:
        data = made()
        for place, sample in enumerate(itertools.islice(data, 3)):
            for again in (data[place], data[place]):
                _expect_same(sample, again, f"example {place}")

    def ends() -> None:
        data = made()
        try:
            data[len(data)]
        except IndexError:
            return
        raise Broken(f"data[len(data)] is not an IndexError, with len(data) = {len(data)}")

    def batches() -> None:
        data = made()
        batch = data.collate_fn([data[0], data[min(1, len(data) - 1)]])
        for name, value in batch.items():
            if len(value) != 2:
                raise Broken(f"{name!r} of a batch of two is {len(value)} long")
        for name, value in data.get_batch(3).items():
            if len(value) != 3:
                raise Broken(f"{name!r} of get_batch(3) is {len(value)} long")

    return [
        Rule(name="is a BaseDataset", verify=is_dataset),
        Rule(name="iterating equals indexing, twice", verify=agrees),
        Rule(name="ends where its length says", verify=ends),
        Rule(name="batches", verify=batches),
    ]


def _expect_same(a: Any, b: Any, what: str) -> None:
    if set(a) != set(b):
        raise Broken(f"the keys differ: {sorted(a)} and {sorted(b)}", what)
    for name, value in a.items():
        same = (
            np.array_equal(value, b[name], equal_nan=True)
            if isinstance(value, np.ndarray | jax.Array)
            else value == b[name]
        )
        if not same:
            raise Broken(f"{name!r} differs between iterating and indexing", what, "a draw that depends on state")
