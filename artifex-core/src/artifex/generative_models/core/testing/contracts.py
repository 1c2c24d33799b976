"""The contracts of the kinds of artifex-core: how the conformance kit calls their components."""

from __future__ import annotations

import inspect
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from artifex.generative_models.core.checks import is_list
from artifex.generative_models.core.configuration import ExtensionConfig
from artifex.generative_models.core.testing.subject import Rule, Skipped, Subject, Violation, signals
from artifex.generative_models.extensions.base import ModelExtension
from artifex.generative_models.modalities.base import BaseDataset


def modality(component: Any) -> list[Subject | Rule]:
    """Return the rules of a modality: its output shape, and that decoding inverts encoding in shape.

    Args:
        component: The class.

    Returns:
        The rules.
    """

    def check_output_shape() -> None:
        instance = component(config=None, rngs=nnx.Rngs(0))
        output_shape = instance.output_shape
        if not (
            is_list(output_shape) and isinstance(output_shape, tuple) and all(isinstance(n, int) for n in output_shape)
        ):
            raise Violation(f"output_shape is {output_shape!r}, expected a tuple of int", "config=None")
        n_time_steps = getattr(instance, "n_time_steps", None)
        if n_time_steps is None:
            return
        encoded = instance.encode(signals(n_time_steps)["noise"])
        if encoded.shape != output_shape:
            raise Violation(f"encode returns the shape {encoded.shape}, output_shape is {output_shape}", "config=None")
        decoded = instance.decode(encoded)
        if decoded.shape != (n_time_steps,) or not np.isfinite(decoded).all():
            raise Violation(
                f"decode returns the shape {decoded.shape}, expected finite values ({n_time_steps},)", "config=None"
            )

    return [Rule(name="output_shape is that of encode", verify=check_output_shape)]


def extension(component: Any) -> list[Subject | Rule]:
    """Return the rules of an extension: weight, ``enabled``, loss, and its features under JAX.

    Args:
        component: The class.

    Returns:
        The rules, and its ``__call__`` as a subject if it defines one.
    """
    instance = component(config=ExtensionConfig(weight=2.0), rngs=nnx.Rngs(0))
    noise_and_silence = [{"audio": jnp.asarray(signals(4000)[name])} for name in ("noise", "silence")]

    def check_weight_and_enabled() -> None:
        if (instance.weight, instance.enabled) != (2.0, True):
            raise Violation(f"weight is {instance.weight!r} and enabled {instance.enabled!r}, expected 2.0 and True")
        disabled = component(config=ExtensionConfig(enabled=False), rngs=nnx.Rngs(0))
        if float(disabled.loss_fn(*noise_and_silence)) != 0:
            raise Violation("the loss is not 0 if the extension is disabled", "enabled=False")

    def check_loss() -> None:
        single = component(config=ExtensionConfig(weight=1.0), rngs=nnx.Rngs(0))
        loss, doubled = (jnp.asarray(each.loss_fn(*noise_and_silence)) for each in (single, instance))
        if loss.shape != () or not jnp.isfinite(loss):
            raise Violation(f"the loss is {loss!r}, expected a finite scalar", "noise and silence")
        if not jnp.allclose(doubled, 2 * loss):
            raise Violation(f"the loss is {doubled} for weight 2 and {loss} for weight 1", "noise and silence")

    rules: list[Subject | Rule] = [
        Rule(name="weight and enabled", verify=check_weight_and_enabled),
        Rule(name="loss is proportional to the weight", verify=check_loss),
    ]
    if component.__call__ is not ModelExtension.__call__:
        rules.append(Subject(label="call", function=instance, example=signals, lengths=(1, 4000), batched=True))
    return rules


def dataset(component: Any) -> list[Subject | Rule]:
    """Return the rules of a dataset: indexing, iterating and batching agree and are repeatable.

    Args:
        component: The class.

    Returns:
        The rules; all but the first are skipped if the class cannot be created without arguments.
    """

    def create() -> Any:
        parameters = inspect.signature(component).parameters
        required = [
            p.name
            for p in parameters.values()
            if p.default is p.empty
            and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
            and p.name not in ("config", "rngs")
        ]
        if required:
            raise Skipped(f"the dataset requires {', '.join(required)}")
        try:
            return component(**{name: None for name in ("config", "rngs") if name in parameters})
        except ValueError as error:  # it requires other arguments
            raise Skipped(f"the dataset cannot be created without arguments: {error}") from error

    def check_base_class() -> None:
        if not issubclass(component, BaseDataset):
            raise Violation(f"{component.__name__} is not a BaseDataset", cause="derive it from BaseDataset")

    def check_indexing() -> None:
        data = create()
        for index, example in zip(range(3), data, strict=False):
            for again in (data[index], data[index]):
                _require_equal(example, again, f"example {index}")

    def check_length() -> None:
        data = create()
        try:
            data[len(data)]
        except IndexError:
            return
        raise Violation(f"data[len(data)] does not raise IndexError, with len(data) = {len(data)}")

    def check_batches() -> None:
        data = create()
        batches = {
            "collate_fn of two examples": (data.collate_fn([data[0], data[min(1, len(data) - 1)]]), 2),
            "get_batch(3)": (data.get_batch(3), 3),
        }
        for source, (batch, batch_size) in batches.items():
            for name, value in batch.items():
                if len(value) != batch_size:
                    raise Violation(f"{source} returns {name!r} of length {len(value)}, expected {batch_size}")

    return [
        Rule(name="is a BaseDataset", verify=check_base_class),
        Rule(name="iterating equals indexing", verify=check_indexing),
        Rule(name="index out of range raises", verify=check_length),
        Rule(name="batches", verify=check_batches),
    ]


def _require_equal(a: Any, b: Any, described: str) -> None:
    if set(a) != set(b):
        raise Violation(f"the keys differ: {sorted(a)} and {sorted(b)}", described)
    for name, value in a.items():
        is_array = hasattr(value, "__array__")
        if not (np.array_equal(value, b[name], equal_nan=True) if is_array else value == b[name]):
            raise Violation(
                f"{name!r} differs between iterating and indexing", described, "a draw that depends on state"
            )
