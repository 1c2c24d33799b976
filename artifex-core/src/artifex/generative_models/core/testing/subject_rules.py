"""The rules that every subject is checked against, whatever its kind."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import jax
import jax.numpy as jnp
import numpy as np

from artifex.generative_models.core.checks import is_list
from artifex.generative_models.core.numerics.compilation import tree_map
from artifex.generative_models.core.testing.causes import batch_mixing_located, describe_input, input_noted
from artifex.generative_models.core.testing.comparison import (
    are_close,
    are_identical,
    largest_difference,
    select_example,
    to_numpy,
)
from artifex.generative_models.core.testing.subject import Skipped, Subject, Violation
from artifex.generative_models.core.testing.trial import Trial, gradient_of

_SHORT_LENGTHS = (1, 2, 3, 4, 8, 16, 32, 64, 128)


def subject_rules(subject: Subject) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield the rules that apply to a subject.

    Args:
        subject: The subject.

    Yields:
        Pairs of the rule's name and a function that raises ``Violation`` if the subject breaks it.
    """
    trial = Trial(subject)
    has_example = subject.example is not None
    is_complex = any(np.iscomplexobj(example) for example in trial.examples.values() if example is not None)
    properties = {
        "example": has_example,
        "real example": has_example and not is_complex,
        "key": subject.keyed,
        "example or key": has_example or subject.keyed,
        "draws": subject.keyed and subject.draws,
        "gradient": has_example and subject.differentiable,
    }
    for rule, (verify, required) in _RULES.items():
        if required is None or properties[required]:
            name = f"{subject.label}: {rule}" if subject.label else rule
            yield name, functools.partial(_verify_on_shortest, verify, trial)


def _verify_on_shortest(verify: Callable[[Trial], None], trial: Trial) -> None:
    """Verify a rule; on a violation, search for the shortest input that has the same cause."""
    try:
        verify(trial)
    except Violation as violation:
        for length in (n for n in _SHORT_LENGTHS if n < trial.length):
            try:
                verify(Trial(attrs.evolve(trial.subject, lengths=(length,))))
            except Violation as shorter:
                if shorter.cause == violation.cause:
                    raise shorter from None
            except Exception:  # noqa: BLE001  the function does not accept so short an input
                continue
        raise


def _check_shape(trial: Trial) -> None:
    subject = trial.subject
    for length in subject.lengths if subject.shape is not None else ():
        name, example = next(iter(subject.examples(length).items()))
        output = (trial.outputs if length == trial.length else trial.shorter(length)[0])[name]
        expected = subject.shape((length,) if example is None else example.shape)  # type: ignore[misc]
        shapes = tree_map(lambda array: array.shape, output)
        if shapes != expected:
            raise Violation(f"returns the shape {shapes}, expected {expected}", describe_input(name, example, length))


def _check_dtype(trial: Trial) -> None:
    for name, example in trial.examples.items():
        expected = _valid_dtypes(trial.subject) or (np.dtype(np.float32 if example is None else example.dtype),)
        for leaf in jax.tree.leaves(trial.outputs[name]):
            if leaf.dtype not in expected:
                raise Violation(
                    f"returns {leaf.dtype}, expected {' or '.join(map(str, expected))}",
                    describe_input(name, example, trial.length),
                )


def _check_pure(trial: Trial) -> None:
    for name, example in trial.examples.items():
        inputs = () if example is None else (example.copy(),)
        again = to_numpy(trial.function(*inputs, *trial.arguments(None)))
        described = describe_input(name, example, trial.length)
        if not are_identical(inputs, () if example is None else (example,)):
            raise Violation("changes its input in place", described, "an assignment into the argument")
        if not are_identical(again, trial.outputs[name]):
            raise Violation("returns another result the second time", described, "state outside the arguments")


def _check_finite(trial: Trial) -> None:
    for length in trial.subject.lengths:
        outputs = trial.outputs if length == trial.length else trial.shorter(length)[0]
        for name, example in trial.subject.examples(length).items():
            if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(outputs[name])):
                raise Violation(
                    "returns NaN or infinity",
                    describe_input(name, example, length),
                    "a division by, or a logarithm or root of, a level that may be 0",
                )


def _check_depends_on_key(trial: Trial) -> None:
    name, example = trial.first_example
    others = (to_numpy(trial.function(*trial.arguments(example, seed))) for seed in range(1, 9))
    if all(are_identical(other, trial.outputs[name]) for other in others):
        raise Violation(
            "nine keys give the same result", describe_input(name, example, trial.length), "the key is not used"
        )


def _check_no_key_reuse(trial: Trial) -> None:
    name, example = trial.first_example
    arguments = trial.arguments(example)
    with jax.debug_key_reuse(True), input_noted(name, example):
        try:
            jax.eval_shape(trial.function, *arguments)
        except Exception:
            trial.function(*arguments)  # an eager call raises at the line of the reuse
            raise


def _check_one_compilation(trial: Trial) -> None:
    name, example = trial.first_example
    trial.function(*trial.arguments(example))
    n_compilations = 0

    def count(event: str, duration_secs: float, **details: Any) -> None:
        nonlocal n_compilations
        n_compilations += event.endswith("backend_compile_duration")

    jax.monitoring.register_event_duration_secs_listener(count)
    try:
        for seed in range(10, 16):
            trial.function(*trial.arguments(example, seed))
    finally:
        jax.monitoring.unregister_event_duration_listener(count)
    if n_compilations:
        raise Violation(
            f"six more keys compile {n_compilations} more programs",
            describe_input(name, example, trial.length),
            "a drawn value is used as a shape or a static argument",
        )


def _check_jit(trial: Trial) -> None:
    if trial.is_consistent:
        return
    compiled = jax.jit(trial.function)
    for name, example in trial.examples.items():
        with input_noted(name, example):
            output = to_numpy(compiled(*trial.arguments(example)))
        described = describe_input(name, example, trial.length)
        _require_close(trial, output, trial.outputs[name], "jit and eager results differ", described)


def _check_vmap(trial: Trial) -> None:
    if trial.is_consistent:
        return
    batch = trial.batch()
    batched = trial.function if trial.subject.batched else jax.vmap(trial.function)
    output = to_numpy(batched(*batch))
    names = list(trial.examples)
    for index in range(len(batch[-1])):
        with batch_mixing_located(trial.compiled_batch, batch):
            _require_close(
                trial,
                select_example(output, index),
                trial.eager_example(batch, index),
                "the results for a batch and for its examples one by one differ",
                names[index % len(names)],
                "the batch axis is mixed into the result",
            )


def _check_independent_examples(trial: Trial) -> None:
    batch = trial.batch()
    original = to_numpy(trial.any_batch(*batch))
    for description, value in (("loud", 1e3), ("NaN", np.nan)):
        changed = np.array(batch[0])
        changed[1] = value if np.isnan(value) else value * (1 + np.abs(changed[0]))
        output = to_numpy(trial.any_batch(changed, *batch[1:]))
        for index in (0, 2, 3):
            with batch_mixing_located(trial.compiled_batch, batch):
                if not are_close(select_example(output, index), select_example(original, index)):
                    raise Violation(
                        f"example {index} changes if example 1 is {description}",
                        f"a batch {batch[0].shape}",
                        "a maximum, mean or sum over the batch axis; reduce over the example's own axes",
                    )


def _check_gradient(trial: Trial) -> None:
    for length in trial.subject.lengths:
        gradients: dict[str, Any] = {} if length == trial.length else trial.shorter(length)[1]
        compute = gradient_of(trial.subject.function_for(length))
        for name, example in trial.subject.examples(length).items():
            with input_noted(name, example):
                gradient = gradients[name] if name in gradients else np.asarray(compute(*trial.arguments(example)))
            if not np.isfinite(gradient).all():
                raise Violation(
                    "the gradient is NaN or infinite",
                    describe_input(name, example, length),
                    "a root, a logarithm, a norm or a division at 0: guard its argument, not its result",
                )


def _check_half_precision(trial: Trial) -> None:
    name, example = trial.first_example
    assert example is not None
    key = trial.arguments(None)
    for dtype in (jnp.bfloat16, jnp.float16):
        half = jnp.asarray(example, dtype)
        expected = _valid_dtypes(trial.subject) or (jnp.dtype(dtype),)
        for leaf in jax.tree.leaves(jax.eval_shape(trial.function, half, *key)):
            if leaf.dtype not in expected:
                raise Violation(
                    f"returns {leaf.dtype} for {half.dtype}, expected {' or '.join(map(str, expected))}",
                    describe_input(name, np.asarray(half), trial.length),
                )
    half = jnp.asarray(example, jnp.bfloat16)  # rounds more coarsely than float16, so that lost digits show
    actual = trial.function(half, *key)
    exact = to_numpy(trial.function(half.astype(jnp.float32), *key))
    for half_leaf, exact_leaf in zip(jax.tree.leaves(actual), jax.tree.leaves(exact), strict=True):
        if jnp.issubdtype(exact_leaf.dtype, np.complexfloating):
            continue
        expected_values = np.asarray(jnp.asarray(exact_leaf, half_leaf.dtype), np.float32)
        values = np.asarray(half_leaf, np.float32)
        peak = max(float(np.abs(expected_values).max(initial=0)), 1e-30)
        rounding = 2**-6 * peak  # twice the machine epsilon of bfloat16
        # The tolerance costs more calls of the function, so that it is computed only where rounding does not suffice.
        if not np.allclose(values, expected_values, atol=rounding, rtol=0) and not np.allclose(
            values, expected_values, atol=rounding + trial.tolerance, rtol=0
        ):
            raise Violation(
                f"loses precision with {half.dtype}",
                describe_input(name, np.asarray(half), trial.length),
                "computed in half precision instead of float32",
            )


def _check_float64(trial: Trial) -> None:
    name, example = trial.first_example
    assert example is not None
    double = example.astype(np.complex128 if np.iscomplexobj(example) else np.float64)
    with jax.enable_x64(True), input_noted(name, double):
        function = trial.subject.function_for(trial.length)
        for leaf in jax.tree.leaves(jax.eval_shape(function, jnp.asarray(double), *trial.arguments(None))):
            if leaf.dtype not in (np.float64, np.complex128):
                raise Violation(
                    f"returns {leaf.dtype} for {double.dtype}", describe_input(name, double), "a cast to float32"
                )


def _check_sharding(trial: Trial) -> None:
    if jax.device_count() < 2:
        raise Skipped("there is one device only; set jax_num_cpu_devices=2 before JAX starts")
    program, sharded = trial.sharded_batch
    text = program.as_text()
    if "all-gather" in text:
        if jax.__version_info__ < (0, 11) and re.search(r"\bfft\(", text):
            raise Skipped(f"JAX {jax.__version__} gathers sharded FFTs under vmap (jax#15680); newer versions do not")
        raise Violation(
            "gathers the whole batch on every device",
            cause="an operation that combines or sorts the examples of a batch",
        )
    if trial.is_consistent:
        return
    batch = trial.batch()
    expected = to_numpy(trial.compiled_batch(*batch))
    _require_close(
        trial, to_numpy(sharded(*batch)), expected, "sharded and unsharded results differ", "a batch of all signals"
    )


def _valid_dtypes(subject: Subject) -> tuple[np.dtype, ...]:
    if subject.dtype is None:
        return ()
    return tuple(map(np.dtype, subject.dtype if is_list(subject.dtype) else (subject.dtype,)))


def _require_close(trial: Trial, actual: Any, expected: Any, observed: str, described: str, cause: str = "") -> None:
    if not are_close(actual, expected) and not are_close(actual, expected, trial.tolerance):
        raise Violation(f"{observed} by up to {largest_difference(actual, expected):.3g}", described, cause)


# Each rule with the property that a subject needs for it to apply.
_RULES: dict[str, tuple[Callable[[Trial], None], str | None]] = {
    "shape": (_check_shape, None),
    "dtype": (_check_dtype, None),
    "pure": (_check_pure, None),
    "finite": (_check_finite, None),
    "depends on its key": (_check_depends_on_key, "draws"),
    "no key used twice": (_check_no_key_reuse, "key"),
    "one compilation for all keys": (_check_one_compilation, "key"),
    "jit equals eager": (_check_jit, None),
    "vmap equals the loop": (_check_vmap, "example or key"),
    "examples are independent": (_check_independent_examples, "example"),
    "gradient is finite": (_check_gradient, "gradient"),
    "half precision": (_check_half_precision, "real example"),
    "float64 if enabled": (_check_float64, "example"),
    "sharded equals unsharded": (_check_sharding, "example or key"),
}
