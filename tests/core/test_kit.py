"""The conformance kit: each rule finds the component that breaks it, and correct components pass."""

import re
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from artifex.generative_models.core import PluginWarning, UnknownComponentError, numerics, registry
from artifex.generative_models.core.testing import Report, check, components, contract_locations


def noisy(audio, key, *, level: float = 0.1):
    """Add noise.

    Args:
        audio: Waveform (time,).
        key: PRNG key.
        level: Its standard deviation, full scale 1.
    """
    values = jnp.asarray(audio).astype(numerics.working_dtype(audio.dtype))
    result = values + level * numerics.normal(key, values.shape, values.dtype)
    return result.astype(audio.dtype)


def tone(key, *, n_time_steps: int, sample_rate: int):
    """Render a tone of 300 to 600 Hz."""
    frequency = numerics.uniform(key, minval=300.0, maxval=600.0)
    return numerics.sin2pi(numerics.phase_ramp(frequency, n_time_steps=n_time_steps, sample_rate=sample_rate))


class Halving:
    """Half the waveform.

    Args:
        config: The audio's configuration; durations in seconds.
    """

    def __init__(self, config):
        self.shape = (config.n_time_steps,)

    def encode(self, audio, *, lengths=None):
        values = jnp.asarray(audio)
        return self.change(values.astype(numerics.working_dtype(values.dtype)) / 2).astype(values.dtype)

    def decode(self, encoded, *, key=None):
        return jnp.asarray(encoded) * 2

    def change(self, audio):
        return audio


def is_traced_by(name: str, value) -> bool:
    """Return whether a value is traced by a transform, given the name of its tracer."""
    while value is not None and name not in type(value).__name__:
        value = getattr(value, "val", None)
    return value is not None


def undocumented(audio, key, *, level: float = 0.1):
    """Add noise to a waveform in full scale."""
    return noisy(audio, key, level=level)


def with_unchecked_option(audio, key, *, loud: bool = False):
    """Add noise, full scale.

    Args:
        audio: Waveform (time,).
        key: PRNG key.
        loud: Whether to add ten times as much.
    """
    return noisy(audio, key, level=1.0 if loud else 0.1)


def with_array_at_import(audio, key):
    """Add noise, full scale."""
    return noisy(audio, key)


def with_wrong_shape(audio, key):
    """Add noise, full scale, and drop every second sample."""
    return noisy(audio, key)[::2]


def with_wrong_dtype(audio, key):
    """Add noise, full scale, and return float16 for float32."""
    result = noisy(audio, key)
    return result.astype(jnp.float16) if result.dtype == jnp.float32 else result


def changing_its_input(audio, key):
    """Add noise, full scale, and clear the input."""
    result = noisy(audio, key)
    if isinstance(audio, np.ndarray):
        audio[:] = 7
    return result


def nan_at_one_sample(key, *, n_time_steps: int, sample_rate: int):
    """Render a tone of unit deviation, full scale."""
    result = tone(key, n_time_steps=n_time_steps, sample_rate=sample_rate)
    return result / jnp.std(result)


def ignoring_its_key(audio, key):
    """Add no noise, full scale."""
    return jnp.asarray(audio)


def with_key_used_twice(audio, key):
    """Add noise twice, full scale."""
    return noisy(noisy(audio, key), key)


def with_drawn_shape(audio, key):
    """Add noise, with a slice of a drawn length in samples."""
    length_key, key = jax.random.split(key)
    result = noisy(audio, key)
    if isinstance(result, jax.core.Tracer):
        return result
    length = 1 + int(numerics.randint(length_key, (), 0, 300)) % result.shape[-1]
    return result.at[:length].set(result[:length] * 1)


def different_under_jit(audio, key):
    """Add noise, full scale, and double it under jit."""
    return noisy(audio, key) * (2 if is_traced_by("DynamicJaxprTracer", audio) else 1)


def different_under_vmap(audio, key):
    """Add noise, full scale, and double it under vmap."""
    return noisy(audio, key) * (2 if is_traced_by("BatchTracer", audio) else 1)


class SilencedByLoudBatch(Halving):
    __doc__ = Halving.__doc__

    def change(self, audio):
        return jnp.where(jnp.max(jnp.abs(audio)) > 50, 0, audio)


def with_nan_gradient_at_silence(audio, key):
    """Add noise, full scale, to the magnitude."""
    values = jnp.asarray(audio)
    magnitude = jnp.sqrt(jnp.square(values.astype(numerics.working_dtype(values.dtype))))
    return noisy(magnitude, key).astype(values.dtype)


def rounding_in_half_precision(audio, key):
    """Add noise, full scale, after many roundings."""
    values = jnp.asarray(audio)
    for _ in range(60):
        values = values * 1.01 + values * 0.01
    return noisy(values, key)


def returning_float32(audio, key):
    """Add noise, full scale, never in float64."""
    result = noisy(audio, key)
    return result.astype(jnp.float32) if result.dtype == jnp.float64 else result


class GatheredOnEveryDevice(Halving):
    __doc__ = Halving.__doc__

    def change(self, audio):
        mesh = jax.sharding.get_abstract_mesh()
        return audio if mesh.empty else jax.sharding.reshard(audio, jax.P())


class ReadingThePadding(Halving):
    """Half the waveform, louder by its last sample.

    Args:
        config: The audio's configuration; durations in seconds.
    """

    def change(self, audio):
        return audio + audio[..., -1:]


DEFECTS = {
    "documented": ("augmentation", undocumented, "level"),
    "options are checked": ("augmentation", with_unchecked_option, "accepts loud='no such value'"),
    "no array at import": ("augmentation", with_array_at_import, "TABLE is an array created at import"),
    "shape": ("augmentation", with_wrong_shape, r"returns the shape \(1,\), expected \(2,\)"),
    "dtype": ("augmentation", with_wrong_dtype, "returns float16, expected float32"),
    "pure": ("augmentation", changing_its_input, "changes its input in place"),
    "finite": ("audio_type", nan_at_one_sample, "input: 1 samples"),
    "depends on its key": ("augmentation", ignoring_its_key, "the key is not used"),
    "no key used twice": (
        "augmentation",
        with_key_used_twice,
        r"the same key is used twice; split it, test_kit.py:\d+",
    ),
    "one compilation for all keys": ("augmentation", with_drawn_shape, "a drawn value is used as a shape"),
    "jit equals eager": ("augmentation", different_under_jit, "jit and eager results differ"),
    "vmap equals the loop": (
        "augmentation",
        different_under_vmap,
        "for a batch and for its examples one by one differ",
    ),
    "encode: examples are independent": (
        "representation",
        SilencedByLoudBatch,
        "example 0 changes if example 1 is loud",
    ),
    "gradient is finite": ("augmentation", with_nan_gradient_at_silence, r"input: silence \(1,\) float32"),
    "samples past lengths are ignored": (
        "representation",
        ReadingThePadding,
        "encode with lengths differs from the clip without its padding",
    ),
    "half precision": ("augmentation", rounding_in_half_precision, "computed in half precision"),
    "float64 if enabled": ("augmentation", returning_float32, "returns float32 for float64"),
    "encode: sharded equals unsharded": ("representation", GatheredOnEveryDevice, "gathers the whole batch"),
}


@pytest.fixture(autouse=True)
def _module_with_an_array():
    module = types.ModuleType("a_module_with_an_array")
    module.TABLE = jnp.zeros(3)
    sys.modules[module.__name__] = module
    with_array_at_import.__module__ = module.__name__
    yield
    del sys.modules[module.__name__]


@pytest.mark.thorough
@pytest.mark.parametrize("rule", DEFECTS)
def test_each_defect_breaks_exactly_its_rule(rule):
    kind, component, message = DEFECTS[rule]
    report = check(kind, component)
    assert [failure.rule for failure in report.failures] == [rule], str(report)
    assert re.search(message, str(report)), str(report)


def test_every_rule_has_a_defect():
    passes = {
        rule
        for kind, component in (("augmentation", noisy), ("representation", Halving))
        for rule in check(kind, component).passes
    }
    passed_rules = {rule.split(": ")[-1] for rule in passes}
    assert passed_rules == {rule.split(": ")[-1] for rule in DEFECTS}


@pytest.mark.parametrize(
    ("kind", "component"), [("augmentation", noisy), ("audio_type", tone), ("representation", Halving)]
)
def test_correct_components_pass(kind, component):
    report = check(kind, component)
    assert report.passed, str(report)
    assert not report.skipped


def test_the_report_locates_a_python_if_on_a_traced_value():
    def clipped(audio, key):
        """Add noise, full scale, and clip what is loud."""
        result = noisy(audio, key)
        if result.max() > 1:
            result = result / 2
        return result

    report = check("augmentation", clipped)
    failed = {failure.rule: failure for failure in report.failures}
    line = clipped.__code__.co_firstlineno + 3
    assert (
        failed["jit equals eager"].cause
        == f"a Python if, while, and, or, not on a traced value; use jnp.where, test_kit.py:{line}"
    )


def test_the_report_locates_an_int_of_a_traced_value():
    def rolled(audio, key):
        """Shift by a number of samples."""
        return jnp.roll(jnp.asarray(audio), int(numerics.randint(key, (), 0, 9)))

    failed = {failure.rule: failure for failure in check("augmentation", rolled).failures}
    line = rolled.__code__.co_firstlineno + 2
    assert failed["jit equals eager"].cause == f"int(), float() or a shape from a traced value, test_kit.py:{line}"


def test_a_component_that_cannot_be_created_is_a_failure():
    class Refusing(Halving):
        """Raise for every duration in seconds of the config."""

        def __init__(self, config):
            raise RuntimeError("never")

    report = check("representation", Refusing)
    assert [failure.rule for failure in report.failures] == ["can be created"]
    assert "RuntimeError: never" in str(report)


def test_str_of_a_report_contains_failures_and_passes():
    report = check("augmentation", ignoring_its_key)
    assert isinstance(report, Report)
    assert str(report).startswith("augmentation 'ignoring_its_key' breaks 1 of 17 rules\n  ✗ depends on its key: ")


def test_every_first_party_kind_has_a_contract():
    assert {
        "audio_type",
        "augmentation",
        "dataset",
        "extension",
        "metric",
        "modality",
        "preset",
        "representation",
        "window",
    } <= set(contract_locations())


def test_the_hook_artifex_contracts_declares_contracts(install):
    install(
        "gadgets",
        {"artifex": {"gadgets": "gadget_hooks"}, "artifex.gadgets": {"doubler": "gadget_hooks:doubler"}},
        modules={
            "gadget_hooks": '''
                from artifex.generative_models.core import Kind, hookimpl

                @hookimpl
                def artifex_kinds():
                    return [Kind(name="gadget", group="artifex.gadgets", summary="A thing.", form="function", positional=1)]

                @hookimpl
                def artifex_contracts():
                    return {"gadget": "gadget_hooks:contract"}

                def contract(component):
                    from artifex.generative_models.core.testing import Subject, signals
                    return [Subject(function=component, example=signals, shape=lambda shape: shape)]

                def doubler(wave):
                    """Double a wave, full scale."""
                    return 2 * wave
            '''
        },
    )
    assert check("gadget", "doubler").passed
    assert components("gadget") == [("gadget", "doubler")]


def test_the_report_contains_the_smallest_failing_input():
    def forgetful_of_the_fifth(audio, key):
        """Add noise, full scale, and leave the fifth sample in place in half precision."""
        result = noisy(audio, key)
        return (
            result.at[4].set(result[4].astype(jnp.bfloat16).astype(result.dtype) * jnp.nan)
            if result.size > 4
            else result
        )

    (failure, *_) = [f for f in check("augmentation", forgetful_of_the_fifth).failures if f.rule == "finite"]
    assert failure.example == "noise (8,) float32"


def test_failing_contracts_are_skipped_with_a_warning(install):
    install(
        "broken-contracts",
        {"artifex": {"broken": "broken_contracts"}},
        modules={
            "broken_contracts": """
                from artifex.generative_models.core import hookimpl

                @hookimpl
                def artifex_contracts():
                    raise RuntimeError("never")
            """
        },
    )
    with pytest.warns(PluginWarning, match="contracts of broken-contracts:broken skipped"):
        assert "window" in contract_locations()


def test_an_unknown_kind_or_component_raises():
    with pytest.raises(UnknownComponentError, match="augmentation"):
        check("augmentaton", noisy)
    with pytest.raises(UnknownComponentError, match="no augmentation 'nosy'"):
        check("augmentation", "nosy")


def test_components_are_listed_by_kind_and_distribution():
    assert ("audio_type", "sine") in components()
    assert components("audio_type", "artifex-audio") == [
        ("audio_type", name)
        for name in registry("audio_type")
        if registry("audio_type").claims(name)[0].distribution == "artifex-audio"
    ]
    assert components(distribution="artifex-core") == []
