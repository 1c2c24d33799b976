"""Policies: application, draws, plain data, sample rate and batches."""

import itertools
import math
import tomllib
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tomli_w

from artifex.generative_models.core import registry
from artifex.generative_models.core.components.factory import Bound
from artifex.generative_models.core.testing import Subject, check_function, signals
from artifex.generative_models.modalities.audio import (
    apply_batch,
    augment_audio,
    compose,
    create_policy,
    default_policy,
    describe,
    one_of,
    policy_spec,
    random_gain,
    random_order,
    some_of,
    time_shift,
    with_annotations,
    with_probability,
)
from artifex.generative_models.modalities.audio.annotations import augmentation
from artifex.generative_models.modalities.audio.augmentations import works_on


def plus(x, key, number=1.0):
    return x + number


def times(x, key, number=2.0):
    return x * number


def draw_offset(key, shape):
    return {"drawn": jax.random.uniform(key)}


@augmentation(draw=draw_offset)
def offset(x, key):
    return x + draw_offset(key, x.shape)["drawn"]


MANY = jax.random.split(jax.random.key(7), 2000)


def results(policy, x=1.0):
    return np.asarray(jax.jit(jax.vmap(lambda key: policy(jnp.float32(x), key)))(MANY))


def test_steps_are_applied_in_order():
    assert float(compose(plus, times)(jnp.float32(1), jax.random.key(0))) == 4
    assert float(compose(times, plus)(jnp.float32(1), jax.random.key(0))) == 3
    assert float(compose()(jnp.float32(1), jax.random.key(0))) == 1


def test_each_step_gets_its_own_key():
    x, key = jnp.asarray(signals(400)["noise"]), jax.random.key(3)
    first, second = jax.random.split(key)
    expected = random_gain(time_shift(x, first, max_shift=80), second)
    policy = compose(("time_shift", {"max_shift": 80}), "random_gain")
    np.testing.assert_allclose(policy(x, key), expected, rtol=1e-6)


def test_draws_of_the_steps_are_independent():
    told = jax.jit(jax.vmap(lambda key: with_annotations(compose(offset, offset))(jnp.zeros(()), key)[1]))(MANY)
    a, b = (np.asarray(step["drawn"]) for step in told["steps"])
    assert abs(np.corrcoef(a, b)[0, 1]) < 4 / math.sqrt(len(MANY))


@pytest.mark.parametrize(("weights", "shares"), [(None, (1 / 3, 1 / 3, 1 / 3)), ((1, 0, 3), (0.25, 0, 0.75))])
def test_one_of_applies_steps_with_their_weights(weights, shares):
    policy = one_of(partial(plus, number=1), partial(plus, number=2), partial(plus, number=3), weights=weights)
    for number, share in zip((1, 2, 3), shares, strict=True):
        seen = np.mean(results(policy, 0.0) == number)
        assert abs(seen - share) <= 4 * math.sqrt(share * (1 - share) / len(MANY))


@pytest.mark.parametrize(("n", "counts"), [((1, None), (1, 2, 3)), (2, (2,)), ((0, 1), (0, 1))])
def test_some_of_applies_all_subsets_of_a_size_equally_often(n, counts):
    seen = results(some_of(*(partial(plus, number=float(2**place)) for place in range(3)), n=n), 0.0)
    for choice in itertools.product((0, 1), repeat=3):
        count = sum(choice)
        share = 1 / len(counts) / math.comb(3, count) if count in counts else 0.0
        found = np.mean(seen == sum(on * 2**place for place, on in enumerate(choice)))
        assert abs(found - share) <= 4 * math.sqrt(share * (1 - share) / len(MANY))


def test_random_order_applies_all_orders_equally_often():
    changes = {"+1": lambda x: x + 1, "*2": lambda x: x * 2, "+10": lambda x: x + 10}
    seen = results(random_order(*(lambda x, key, change=change: change(x) for change in changes.values())))
    ends = []
    for order in itertools.permutations(changes.values()):
        value = 1.0
        for change in order:
            value = change(value)
        ends.append(value)
    for value in set(ends):
        share = ends.count(value) / 6
        assert abs(np.mean(seen == value) - share) <= 4 * math.sqrt(share * (1 - share) / len(MANY))


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_with_probability_applies_its_step_to_that_fraction(probability):
    share = np.mean(results(with_probability(probability, plus)) == 2)
    assert abs(share - probability) <= 4 * math.sqrt(probability * (1 - probability) / len(MANY))


def test_a_traced_probability_or_array_option_changes_without_recompilation():
    traces = []

    def step(x, key, level):
        traces.append(1)
        return x + level

    for value in (0.1, 0.2, 0.9):
        policy = create_policy(with_probability(jnp.float32(1), create_policy(compose(partial(plus, number=1)))))
        given = compose(policy)
        assert float(given(jnp.float32(0), jax.random.key(0))) == 1
        moved = with_probability(jnp.float32(1.0), Bound(step, level=jnp.float32(value)))
        assert float(moved(jnp.float32(0), jax.random.key(0))) == np.float32(value)
    assert len(traces) == 1


NESTED = {
    "name": "compose",
    "steps": [
        {"name": "time_shift", "max_shift": 80, "mode": "fill"},
        {
            "name": "one_of",
            "steps": [{"name": "random_gain", "gain_range": [0.5, 2.0]}, {"name": "add_gaussian_noise"}],
            "weights": [1.0, 3.0],
        },
        {"name": "some_of", "steps": [{"name": "random_gain"}, {"name": "time_shift"}], "n": [0, 2]},
        {"name": "random_order", "steps": [{"name": "random_gain"}, {"name": "time_shift"}], "probability": 0.25},
    ],
}


def test_a_policy_survives_plain_data_and_toml():
    policy = create_policy(NESTED)
    assert policy_spec(policy) == NESTED
    again = create_policy(tomllib.loads(tomli_w.dumps(policy_spec(policy))))
    assert (again, hash(again)) == (policy, hash(policy))
    x = jnp.asarray(signals(400)["noise"])
    np.testing.assert_array_equal(again(x, jax.random.key(0)), policy(x, jax.random.key(0)))
    assert create_policy({"steps": NESTED["steps"]}) == create_policy(NESTED["steps"]) == policy
    assert create_policy(policy_spec(default_policy())) == default_policy()


def rate_plus(x, key, *, sample_rate):
    return x + sample_rate


def test_the_sample_rate_reaches_nested_steps_that_have_none():
    policy = compose(one_of(rate_plus), plus, Bound(rate_plus, sample_rate=1), sample_rate=100)
    assert float(policy(jnp.float32(0), jax.random.key(0))) == 102
    assert policy == compose(one_of(rate_plus, sample_rate=100), plus, Bound(rate_plus, sample_rate=1), sample_rate=7)
    for make in (
        lambda rate: one_of(rate_plus, sample_rate=rate),
        lambda rate: some_of(rate_plus, n=1, sample_rate=rate),
        lambda rate: random_order(rate_plus, sample_rate=rate),
        lambda rate: with_probability(1.0, rate_plus, sample_rate=rate),
        lambda rate: create_policy([rate_plus], sample_rate=rate),
        lambda rate: create_policy({"sample_rate": rate, "steps": [rate_plus]}),
        lambda rate: create_policy({"sample_rate": rate, "steps": [rate_plus]}, sample_rate=1),
    ):
        assert float(make(100)(jnp.float32(0), jax.random.key(0))) == 100
        assert describe(make(100), jax.random.key(0), ())["name"]
    assert apply_batch(rate_plus, jnp.zeros(2), jax.random.key(0), sample_rate=100).tolist() == [100, 100]
    assert apply_batch(compose(rate_plus), jnp.zeros(2), jax.random.key(0), sample_rate=100).tolist() == [100, 100]


def test_the_sample_rate_of_a_policy_reaches_options_in_seconds():
    x, key = jnp.asarray(signals(400)["noise"]), jax.random.key(0)
    seconds = compose(("time_shift", {"max_shift_seconds": 0.01}), sample_rate=8000)
    np.testing.assert_array_equal(seconds(x, key), compose(("time_shift", {"max_shift": 80}))(x, key))
    assert describe(seconds, key, x.shape) == describe(compose(("time_shift", {"max_shift": 80})), key, x.shape)
    with pytest.raises(TypeError, match="max_shift_seconds requires sample_rate") as caught:
        compose(("time_shift", {"max_shift_seconds": 0.01}))(x, key)
    assert "in step 1, time_shift, of compose" in caught.value.__notes__


def test_the_sample_rate_of_a_file_is_kept_in_plain_data():
    text = "sample_rate = 8000\nsteps = [{name = 'one_of', steps = [{name = 'low_pass'}, {name = 'reverse'}]}]"
    policy = create_policy(tomllib.loads(text))
    one = policy_spec(policy)["steps"][0]
    assert one["steps"] == [{"name": "low_pass", "sample_rate": 8000}, {"name": "reverse"}]
    assert create_policy(policy_spec(policy)) == policy
    stated = create_policy({"name": "low_pass", "sample_rate": 22050}, sample_rate=8000)
    assert policy_spec(stated)["sample_rate"] == 22050
    assert create_policy(compose("high_pass"), sample_rate=8000) == create_policy(["high_pass"], sample_rate=8000)


def test_a_step_without_the_sample_rate_that_it_requires_is_named():
    policy, key = compose(plus, one_of(rate_plus)), jax.random.key(0)
    for call in (
        lambda: policy(jnp.float32(0), key),
        lambda: describe(policy, key, ()),
        lambda: apply_batch(policy, jnp.zeros(2), key),
    ):
        with pytest.raises(TypeError, match="step 1, rate_plus, requires sample_rate: ") as caught:
            call()
        assert caught.value.__notes__[:1] == ["in step 2, one_of, of compose"]
    with pytest.raises(TypeError, match="^rate_plus requires sample_rate"):
        apply_batch(rate_plus, jnp.zeros(2), key)


def test_describe_returns_the_applied_steps_and_their_parameters():
    policy, key = create_policy(NESTED), jax.random.key(2)
    x = jnp.asarray(signals(400)["noise"])
    told = describe(policy, key, x.shape)
    for step in told["steps"][:1]:
        by_hand = jnp.roll(jnp.pad(x, (400, 400)), step["shift"])[400:800]
        alone = compose(*[{"name": "time_shift", "max_shift": 80, "mode": "fill"}])
        first = jax.random.split(key, 4)[0]
        np.testing.assert_array_equal(time_shift(x, first, max_shift=80, mode="fill"), by_hand)
        assert describe(alone, key, x.shape)["name"] == "compose"
    assert [step["name"] for step in told["steps"]][:3] == ["time_shift", "one_of", "some_of"]
    assert len(told["steps"][1]["steps"]) == 1
    applied = [describe(with_probability(0.5, offset), each, ()) for each in MANY[:16]]
    assert {each["applied"] for each in applied} == {True, False}
    assert all(("drawn" in each) == each["applied"] for each in applied)
    order = describe(random_order(plus, times), key, ())["steps"]
    assert sorted(step["name"] for step in order) == ["plus", "times"]


def test_the_same_key_gives_the_same_draw_on_an_input_and_its_target():
    x = jnp.stack([jnp.asarray(wave) for wave in signals(400).values()])
    policy = create_policy([("time_shift", {"max_shift": 80}), with_probability(0.5, "random_gain")])
    ours, theirs = apply_batch(policy, (x, 2 * x), jax.random.key(0))
    np.testing.assert_allclose(theirs, 2 * ours, rtol=1e-6)


def test_an_example_does_not_depend_on_the_batch_size():
    x = jnp.asarray(signals(400)["noise"])[None].repeat(5, axis=0)
    policy = create_policy(NESTED)
    large = apply_batch(policy, x, jax.random.key(0))
    np.testing.assert_allclose(apply_batch(policy, x[:2], jax.random.key(0)), large[:2], atol=1e-6)
    for row, key in zip(large, jax.random.split(jax.random.key(0), 5), strict=True):
        np.testing.assert_allclose(policy(x[0], key), row, atol=1e-6)
    assert len(np.unique(np.asarray(large)[:, 100])) == 5


QUICK = {"low_pass", "spec_augment"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.thorough) for name in registry("augmentation")],
)
def test_a_sharded_batch_keeps_its_sharding_and_values(name):
    shape = (4, 10, 40) if works_on(registry("augmentation")[name]) == "spectrogram" else (4, 400)
    batch, key = np.random.default_rng(0).random(shape, np.float32), jax.random.key(1)
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Explicit,))
    placed = jax.device_put(batch, jax.NamedSharding(mesh, jax.P("data")))
    ours = apply_batch(name, placed, key, sample_rate=16000)
    assert ours.sharding.spec[0] == "data"
    np.testing.assert_allclose(ours, apply_batch(name, batch, key, sample_rate=16000), atol=2e-5)


@pytest.mark.parametrize(
    "policy",
    [
        compose("time_shift", "random_gain", "add_gaussian_noise"),
        with_probability(0.5, one_of("random_gain", "add_gaussian_noise")),
        pytest.param(one_of("random_gain", "time_shift"), marks=pytest.mark.thorough),
        pytest.param(some_of("random_gain", "time_shift", "add_gaussian_noise"), marks=pytest.mark.thorough),
        pytest.param(random_order("random_gain", "add_gaussian_noise"), marks=pytest.mark.thorough),
    ],
    ids=["compose", "with_probability", "one_of", "some_of", "random_order"],
)
def test_policies_pass_the_conformance_kit(policy):
    subject = Subject(function=policy, example=signals, shape=lambda shape: shape, keyed=True)
    report = check_function("policy", subject)
    assert report.passed, str(report)


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: compose("time_shif"), LookupError, "time_shift"),
        (lambda: compose(("time_shift", {"max_shif": 1})), TypeError, "max_shift"),
        (lambda: compose(3), TypeError, "must be a name"),
        (lambda: one_of(), ValueError, "at least one step"),
        (lambda: one_of("random_gain", weights=[1, 2]), ValueError, "1 numbers, one for each step"),
        (lambda: one_of("random_gain", weights=[0]), ValueError, "not all 0"),
        (lambda: one_of("random_gain", weights=1), ValueError, "1 numbers, one for each step"),
        (lambda: some_of("random_gain", n=1.5), TypeError, r"n\[0\] must be an integer .*got 1.5"),
        (lambda: some_of("random_gain", n=2), ValueError, r"n\[0\]|n\[1\]"),
        (lambda: some_of("random_gain", "time_shift", n=(2, 1)), ValueError, r"got \(2, 1\)"),
        (lambda: with_probability(1.5, "random_gain"), ValueError, "probability"),
        (lambda: create_policy({"name": "one_of", "steps": "reverse"}), TypeError, "a list"),
        (lambda: create_policy({}), TypeError, "got an empty mapping"),
        (lambda: create_policy({"step": []}), TypeError, "a list called steps"),
        (lambda: create_policy({"name": "with_probability", "steps": []}), TypeError, "option probability"),
        (lambda: create_policy({"name": "reverse", "p": 0.5}), TypeError, "option probability"),
        (lambda: create_policy({"name": "reverse", "probabilty": 0.5}), TypeError, "option probability"),
        (lambda: create_policy({"steps": ["reverse"], "p": 0.5}), TypeError, "It takes: steps, .*probability"),
        (lambda: compose((random_gain, {"gain_range": (1, 2)})), TypeError, "begin with the name"),
        (lambda: compose("low_pass", {"order": 4}), TypeError, "must have a name, a string, beside its options"),
        (lambda: apply_batch("reverse", {"type": np.array(["sine"])}, jax.random.key(0)), TypeError, r"\['type'\]"),
        (lambda: create_policy({"name": "one_of", "steps": ["reverse"], "wieghts": [1]}), TypeError, "weights"),
        (lambda: policy_spec(compose(plus)), TypeError, "not registered"),
        (lambda: policy_spec(compose(("random_gain", {"gain_range": jnp.ones(2)}))), TypeError, "must be plain data"),
        (
            lambda: compose(lambda x, key: x[:2])(jnp.ones(3), jax.random.key(0)),
            ValueError,
            "must keep shape and dtype",
        ),
        (lambda: apply_batch("random_gain", jnp.ones(()), jax.random.key(0)), ValueError, "of one batch size"),
        (lambda: apply_batch("random_gain", jnp.ones((0, 4)), jax.random.key(0)), ValueError, "at least 1"),
        (lambda: compose("random_gain")(jnp.ones(3), 0), TypeError, "key"),
    ],
)
def test_invalid_policies_raise(make, error, said):
    with pytest.raises(error, match=said):
        make()


def test_augment_audio_applies_the_default_policy():
    x, key = jnp.asarray(signals(4000)["noise"]), jax.random.key(5)
    np.testing.assert_allclose(augment_audio(x, key), default_policy()(x, key), atol=1e-6)
    spec = policy_spec(default_policy())
    np.testing.assert_allclose(create_policy(spec)(x, key), default_policy()(x, key), atol=1e-6)


@pytest.mark.parametrize("name", ["random_gain", "low_pass", "time_stretch", "tremolo", "add_gaussian_snr"])
def test_drawn_parameters_do_not_depend_on_the_dtype(name):
    with jax.enable_x64(True):
        told = [
            with_annotations(create_policy(name, sample_rate=16000))(jnp.ones(400, dtype), jax.random.key(3))[1]
            for dtype in (jnp.float32, jnp.float64, jnp.bfloat16)
        ]
    for other in told[1:]:
        for ours, theirs in zip(jax.tree.leaves(told[0]), jax.tree.leaves(other), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)


FACTORS = [("random_gain", {"gain_range": bounds}) for bounds in ((0.1, 0.2), (2.0, 3.0), (5.0, 7.0))]


def gains(told):
    inner = [gain for step in told.get("steps", []) for gain in gains(step)]
    return inner + ([told["gain"]] if "gain" in told else [])


@pytest.mark.parametrize(
    "policy",
    [
        one_of(*FACTORS),
        random_order(*FACTORS),
        with_probability(0.5, one_of(*FACTORS)),
        compose(FACTORS[0], some_of(*FACTORS)),
    ],
    ids=["one_of", "random_order", "with_probability", "some_of"],
)
def test_described_gains_equal_the_applied_gain(policy):
    keys = jax.random.split(jax.random.key(1), 6)
    heard = jax.jit(jax.vmap(lambda key: policy(jnp.ones(1), key)[0]))(keys)
    for key, factor in zip(keys, heard, strict=True):
        assert math.prod(gains(describe(policy, key, (1,)))) == pytest.approx(float(factor), rel=1e-5)


def test_an_error_names_the_step():
    policy = compose("reverse", one_of("reverse", ("random_gain", {"gain_range": (3, 1)})))
    with pytest.raises(ValueError, match="got .*3") as caught:
        policy(jnp.ones(100), jax.random.key(0))
    assert [note for note in caught.value.__notes__ if note.startswith("in ")] == [
        "in step 2, random_gain, of one_of",
        "in step 2, one_of, of compose",
    ]
