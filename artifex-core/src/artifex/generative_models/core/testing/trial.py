"""A trial: a subject together with the outputs and compiled programs that several rules share."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from artifex.generative_models.core.testing.causes import input_noted
from artifex.generative_models.core.testing.comparison import are_close, largest_difference, select_example, to_numpy
from artifex.generative_models.core.testing.subject import Subject


class Trial:
    """A subject together with the outputs and compiled programs that several rules share.

    Args:
        subject: The subject. Rules use its last length unless they name another.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.length = subject.lengths[-1]
        self.function = subject.function_for(self.length)
        self.examples = subject.examples(self.length)
        self._shorter: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}

    @property
    def first_example(self) -> tuple[str, np.ndarray | None]:
        """The name of the first example and the example."""
        return next(iter(self.examples.items()))

    def arguments(self, example: np.ndarray | None, seed: int = 0) -> tuple[Any, ...]:
        """Return the arguments of the function: the example if there is one, then a key if it takes one."""
        example_argument = () if example is None else (jnp.asarray(example),)
        return (*example_argument, *((jax.random.key(seed),) if self.subject.keyed else ()))

    def batch(self) -> tuple[Any, ...]:
        """Return the arguments of a batch of at least four examples, each with its own key."""
        examples = [example for example in self.examples.values() if example is not None]
        batch_size = max(len(self.examples), 4)
        stacked = (np.stack([examples[index % len(examples)] for index in range(batch_size)]),) if examples else ()
        return (*stacked, *((jax.random.split(jax.random.key(0), batch_size),) if self.subject.keyed else ()))

    @functools.cached_property
    def outputs(self) -> dict[str, Any]:
        """The eager output for each example, by name."""
        outputs: dict[str, Any] = {}
        for name, example in self.examples.items():
            with input_noted(name, example):
                outputs[name] = to_numpy(self.function(*self.arguments(example)))
        return outputs

    def eager_example(self, batch: tuple[Any, ...], index: int) -> Any:
        """Return the eager output for one example of the batch."""
        return to_numpy(self.function(*(argument[index] for argument in batch)))

    @functools.cached_property
    def tolerance(self) -> float:
        """The difference that two correct programs may have: four times the effect of changing the input by 1e-6.

        It is close to zero for most functions, and large for iterations without a unique solution such as Griffin-Lim.
        """
        rng = np.random.default_rng(0)
        change = 0.0
        for name, example in self.examples.items():
            if example is not None:
                perturbed = (example * (1 + 1e-6 * rng.standard_normal(example.shape))).astype(example.dtype)
                output = to_numpy(self.function(*self.arguments(perturbed)))
                change = max(change, largest_difference(output, self.outputs[name]))
        return 4 * change if np.isfinite(change) else 0.0

    @functools.cached_property
    def compiled_batch(self) -> Any:
        """The compiled function over a batch, on one device."""
        return jax.jit(self.function if self.subject.batched else jax.vmap(self.function))

    @functools.cached_property
    def sharded_batch(self) -> tuple[Any, Callable[..., Any]]:
        """The program over a batch sharded over two devices, and a function that shards a batch and calls it."""
        try:
            return self._compile_sharded(jax.sharding.AxisType.Explicit)
        except Exception as error:
            # Under Explicit axes, some operations need the sharding of their output as an argument.
            if "Sharding" not in type(error).__name__:
                raise
            return self._compile_sharded(jax.sharding.AxisType.Auto)

    def _compile_sharded(self, axis_type: jax.sharding.AxisType) -> tuple[Any, Callable[..., Any]]:
        mesh = jax.make_mesh((2,), ("batch",), axis_types=(axis_type,), devices=jax.devices()[:2])
        sharding = jax.NamedSharding(mesh, jax.P("batch"))

        def shard(batch: tuple[Any, ...]) -> list[jax.Array]:
            return [jax.device_put(argument, sharding) for argument in batch]

        with jax.set_mesh(mesh):
            program = self.compiled_batch.lower(*shard(self.batch())).compile()
        return program, lambda *batch: program(*shard(batch))

    @functools.cached_property
    def is_consistent(self) -> bool:
        """Whether one compiled batch, sharded over two devices if there are two, equals the eager outputs.

        If so, the rules about jit, vmap and sharding hold after one compilation. If not, each rule finds the reason.
        """
        if self.subject.example is None and not self.subject.keyed:
            return False
        batch = self.batch()
        try:
            function = self.sharded_batch[1] if jax.device_count() > 1 else self.compiled_batch
            output = to_numpy(function(*batch))
            return all(
                are_close(select_example(output, i), self.eager_example(batch, i)) for i in range(len(batch[-1]))
            )
        except Exception:  # noqa: BLE001  each rule reports the exception itself
            return False

    @functools.cached_property
    def any_batch(self) -> Callable[..., Any]:
        """The function over a batch: the sharded program if it is correct, else the one for one device."""
        return self.sharded_batch[1] if self.is_consistent and jax.device_count() > 1 else self.compiled_batch

    def shorter(self, length: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return outputs and gradients for each example of a shorter length, by name.

        One compiled program computes both. If it cannot be compiled, the outputs are computed eagerly and the gradients
        are empty.
        """
        if length not in self._shorter:
            self._shorter[length] = self._run_shorter(length)
        return self._shorter[length]

    def _run_shorter(self, length: int) -> tuple[dict[str, Any], dict[str, Any]]:
        function, examples = self.subject.function_for(length), self.subject.examples(length)
        arguments = {name: self.arguments(example) for name, example in examples.items()}
        if all(arguments.values()):  # a function without arguments cannot be traced
            has_gradient = self.subject.differentiable and self.subject.example is not None
            gradient = gradient_of(function)

            @jax.jit
            def compiled(*inputs: Any) -> tuple[Any, Any]:
                return function(*inputs), gradient(*inputs) if has_gradient else None

            with contextlib.suppress(Exception):
                results = {name: to_numpy(compiled(*inputs)) for name, inputs in arguments.items()}
                gradients = {name: slope for name, (_, slope) in results.items()} if has_gradient else {}
                return {name: output for name, (output, _) in results.items()}, gradients
        outputs: dict[str, Any] = {}
        for name, inputs in arguments.items():
            with input_noted(name, examples[name], length):
                outputs[name] = to_numpy(function(*inputs))
        return outputs, {}


def gradient_of(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the compiled gradient of the sum of squares of a function's outputs."""

    def energy(*arguments: Any) -> Any:
        return sum(jnp.sum(jnp.real(leaf * jnp.conj(leaf))) for leaf in jax.tree.leaves(function(*arguments)))

    return jax.jit(jax.grad(energy))
