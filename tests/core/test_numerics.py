"""Draws equal jax.random, sines and phases equal exact arithmetic, roots equal closed forms."""

import warnings
from fractions import Fraction
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from artifex.generative_models.core import numerics
from artifex.generative_models.core.numerics.framing import cut_frames, overlap_add

KEYS = {
    "typed": lambda: jax.random.key(0),
    "typed, large": lambda: jax.random.fold_in(jax.random.key(2**31), 2**32 - 1),
    "raw": lambda: jax.random.PRNGKey(7),
    "raw NumPy": lambda: np.array([2**32 - 1, 2**32 - 2], np.uint32),
}

# Each takes the module to draw from, so that one entry serves both sides of the comparison.
DRAWS = {
    "bits": lambda m, key, shape: m.bits(key, shape),
    "uniform": lambda m, key, shape: m.uniform(key, shape),
    "uniform, range": lambda m, key, shape: m.uniform(key, shape, minval=-0.3, maxval=7.7),
    "uniform, huge range": lambda m, key, shape: m.uniform(key, shape, jnp.float32, -1e30, 3e30),
    "uniform, empty range": lambda m, key, shape: m.uniform(key, shape, minval=2.0, maxval=1.0),
    "normal": lambda m, key, shape: m.normal(key, shape),
    "normal, float32": lambda m, key, shape: m.normal(key, shape, jnp.float32),
    "randint": lambda m, key, shape: m.randint(key, shape, -1600, 1601),
    "randint, wide": lambda m, key, shape: m.randint(key, shape, -(2**31), 2**31 - 1),
    "randint, whole range": lambda m, key, shape: m.randint(key, shape, -(2**31), np.uint32(2**31)),
    "randint, largest": lambda m, key, shape: m.randint(key, shape, 2**31 - 3, np.uint32(2**31)),
    "randint, empty range": lambda m, key, shape: m.randint(key, shape, 5, 5),
    "randint, uint32": lambda m, key, shape: m.randint(key, shape, 3, np.uint32(4_000_000_001), jnp.uint32),
    "randint, clipped": lambda m, key, shape: m.randint(key, shape, -7, 9, jnp.uint32),
    "randint, float bounds": lambda m, key, shape: m.randint(key, shape, -2.5, 9.9),
    "bernoulli": lambda m, key, shape: m.bernoulli(key, shape=shape),
    "bernoulli, p": lambda m, key, shape: m.bernoulli(key, 0.03, shape),
}
PLAIN = pytest.mark.parametrize("name", ["bits", "uniform", "normal", "randint", "bernoulli"])
# One-dimensional draws are padded to a multiple of 64.
SHAPES = [(), (1,), (63,), (64,), (3, 5, 7), (0,), (4, 0)]

# Draws that call jax.random.
FALLBACKS = {
    "uniform, float16": lambda m, key: m.uniform(key, (9,), jnp.float16),
    "uniform, bfloat16": lambda m, key: m.uniform(key, (9,), jnp.bfloat16, -1, 1),
    "normal, bfloat16": lambda m, key: m.normal(key, (9,), jnp.bfloat16),
    "normal, complex64": lambda m, key: m.normal(key, (9,), jnp.complex64),
    "randint, int8": lambda m, key: m.randint(key, (9,), -9, 9, jnp.int8),
    "randint, uint16": lambda m, key: m.randint(key, (9,), 0, 60_000, jnp.uint16),
    "bernoulli, bfloat16": lambda m, key: m.bernoulli(key, jnp.bfloat16(0.3), (9,)),
}


def assert_same(ours, theirs):
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


def primitives(function, *arguments):
    return str(jax.make_jaxpr(function)(*arguments))


@pytest.mark.parametrize("name", DRAWS)
def test_draw_equals_jax_random_bit_for_bit(name):
    draw = DRAWS[name]
    for key in KEYS.values():
        assert_same(draw(numerics, key(), (65,)), draw(jax.random, key(), (65,)))


@pytest.mark.thorough
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["bits", "normal", "randint"])
def test_draw_of_any_shape_equals_jax_random(name, shape):
    key = jax.random.key(12)
    assert_same(DRAWS[name](numerics, key, shape), DRAWS[name](jax.random, key, shape))


@PLAIN
def test_draw_under_jit_and_vmap_equals_the_loop_and_jax_random(name):
    keys, draw = jax.random.split(jax.random.key(3), 4), DRAWS[name]
    batched = jax.jit(jax.vmap(lambda key: draw(numerics, key, (65,))))(keys)
    assert_same(batched, np.stack([draw(numerics, key, (65,)) for key in keys]))
    assert_same(batched, np.stack([draw(jax.random, key, (65,)) for key in keys]))


def test_raw_keys_are_batched_by_vmap_too():
    keys = jax.random.split(jax.random.PRNGKey(3), 4)
    assert_same(jax.vmap(numerics.normal)(keys), jax.vmap(jax.random.normal)(keys))


def test_draw_of_an_example_does_not_change_when_the_batch_grows():
    rows = [jax.vmap(lambda k: numerics.normal(k, (9,)))(jax.random.split(jax.random.key(5), n)) for n in (2, 7)]
    assert_same(rows[0], rows[1][:2])


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_draws_do_not_use_the_slow_primitives(draw):
    ours, theirs = (
        primitives(partial(draw, module, shape=(9,)), jax.random.key(0)) for module in (numerics, jax.random)
    )
    assert "random_bits" in theirs
    assert "random_bits" not in ours
    assert "random_split" not in ours


@pytest.mark.parametrize("draw", FALLBACKS.values(), ids=FALLBACKS)
def test_other_dtypes_are_drawn_by_jax_random(draw):
    key = jax.random.key(11)
    assert "random_bits" in primitives(partial(draw, numerics), key)
    assert_same(draw(numerics, key), draw(jax.random, key))


@pytest.mark.parametrize("implementation", ["rbg", "unsafe_rbg"])
@PLAIN
def test_other_kinds_of_key_are_drawn_by_jax_random(name, implementation):
    key, draw = jax.random.key(1, impl=implementation), DRAWS[name]
    assert "random_bits" in primitives(lambda key: draw(numerics, key, (9,)), key)
    assert_same(draw(numerics, key, (9,)), draw(jax.random, key, (9,)))


def test_draw_follows_the_partitionable_setting_when_it_changes():
    key, compiled = jax.random.key(0), jax.jit(lambda key: numerics.normal(key, (5,)))
    draws = {}
    for partitionable in (True, False, True, False):
        with jax.threefry_partitionable(partitionable):
            expected = jax.random.normal(key, (5,))
            assert_same(numerics.normal(key, (5,)), expected)
            assert_same(compiled(key), expected)
        draws[partitionable] = np.asarray(expected)
    assert not np.array_equal(draws[True], draws[False])


@pytest.mark.parametrize("name", ["uniform", "normal", "randint", "randint, wide", "bernoulli", "bernoulli, p"])
def test_draw_follows_the_x64_setting_when_it_changes(name):
    key, draw = jax.random.key(0), DRAWS[name]
    compiled = jax.jit(lambda key: draw(numerics, key, (5,)))
    for enabled in (False, True, False, True):
        with jax.enable_x64(enabled):
            expected = draw(jax.random, key, (5,))
            assert_same(draw(numerics, key, (5,)), expected)
            assert_same(compiled(key), expected)


def test_float32_draws_are_the_same_with_x64():
    key = jax.random.key(0)
    with jax.enable_x64(True):
        assert_same(numerics.normal(key, (9,), np.float32), jax.random.normal(key, (9,), np.float32))
        assert_same(numerics.randint(key, (9,), -5, 5, np.int32), jax.random.randint(key, (9,), -5, 5, np.int32))
        assert_same(numerics.bits(key, (9,)), jax.random.bits(key, (9,), np.uint32))
        assert "random_bits" not in primitives(lambda key: numerics.normal(key, (9,), np.float32), key)


def test_an_unavailable_dtype_warns_as_jax_random_does():
    key = jax.random.key(0)
    with warnings.catch_warnings(record=True) as theirs:
        warnings.simplefilter("always")
        jax.random.normal(key, (), np.float64)
    with pytest.warns(theirs[0].category, match="float64"):
        numerics.normal(key, (), np.float64)


def test_bounds_and_probabilities_may_be_traced_and_broadcast():
    key = jax.random.key(2)
    low, high = jnp.array([[-1.0], [2.0]]), jnp.array([5.0, 2.5, 1e6])
    p = jnp.array([0.0, 0.2, 1.0])

    def draws(module, low, high, p):
        return (
            module.uniform(key, (2, 3), minval=low, maxval=high),
            module.randint(key, (2, 3), low.astype(int), high.astype(int)),
            module.bernoulli(key, p),
            module.bernoulli(key, p, (4, 3)),
        )

    found = jax.jit(partial(draws, numerics))(low, high, p)
    with jax.numpy_rank_promotion("allow"):
        expected = draws(jax.random, low, high, p)
    for ours, theirs in zip(found, expected, strict=True):
        assert_same(ours, theirs)


def test_derivative_with_respect_to_the_bounds_is_that_of_jax_random():
    def total(module, low, high):
        return jnp.sum(module.uniform(jax.random.key(4), (8,), minval=low, maxval=high))

    ours, theirs = (jax.grad(partial(total, m), argnums=(0, 1))(-2.0, 3.0) for m in (numerics, jax.random))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_shape_may_be_an_integer_or_a_list():
    key = jax.random.key(0)
    assert_same(numerics.normal(key, 3), jax.random.normal(key, (3,)))
    assert_same(numerics.uniform(key, [np.int64(2), 3]), jax.random.uniform(key, (2, 3)))


def test_more_than_2_to_the_32_draws_are_left_to_jax_random():
    key = jax.random.key(0)
    assert "random_bits" in primitives(lambda key: numerics.bits(key, (2**16, 2**16))[0, 0], key)
    assert "random_bits" not in primitives(lambda key: numerics.bits(key, (2**16, 2**16 - 1))[0, 0], key)


def test_a_batch_of_keys_raises_as_in_jax_random():
    with pytest.raises(ValueError, match=r"vmap"):
        numerics.normal(jax.random.split(jax.random.key(0)), (3,))


def test_an_integer_probability_raises_as_in_jax_random():
    with pytest.raises(TypeError, match="floating"):
        numerics.bernoulli(jax.random.key(0), 1)


def test_key_reuse_raises_if_jax_checks_it():
    with jax.debug_key_reuse(True):
        key = jax.random.key(0)
        numerics.normal(key, (3,))
        with pytest.raises(jax.errors.KeyReuseError):
            numerics.normal(key, (3,))


def test_raw_keys_raise_where_jax_disallows_them():
    with jax.legacy_prng_key("error"), pytest.raises(ValueError, match="Legacy"):
        numerics.normal(np.zeros(2, np.uint32), (3,))


GRID = np.concatenate([np.linspace(-1, 1, 40_001), np.random.default_rng(0).uniform(-1, 1, 200_000)]).astype("f4")
TURNS = {
    "sin2pi": (numerics.sin2pi, np.sin, lambda angle: 2 * np.pi * np.cos(angle)),
    "cos2pi": (numerics.cos2pi, np.cos, lambda angle: -2 * np.pi * np.sin(angle)),
}
turns = pytest.mark.parametrize(("turn", "reference", "derivative"), TURNS.values(), ids=TURNS)


@turns
def test_sine_and_cosine_are_as_exact_as_float32_allows(turn, reference, derivative):
    values = np.asarray(turn(GRID))
    np.testing.assert_allclose(values, reference(2 * np.pi * GRID.astype(float)), rtol=0, atol=1.7e-7)
    assert np.abs(values).max() == 1
    np.testing.assert_array_equal(values, np.asarray(jax.jit(jax.vmap(turn))(GRID)))


@turns
def test_sine_and_cosine_repeat_every_cycle(turn, reference, derivative):
    fraction = np.arange(-512, 512) / 1024
    for cycles in (1, 5, 1023, 8191):
        np.testing.assert_array_equal(turn(jnp.float32(fraction + cycles)), turn(jnp.float32(fraction)))


def test_zeros_and_peaks_are_exact():
    halves, quarters = np.arange(-8, 9) / 2, np.arange(-8, 8) / 2 + 0.25
    signs = (-1.0) ** np.arange(-8, 8)
    np.testing.assert_array_equal(numerics.sin2pi(jnp.float32(halves)), 0)
    np.testing.assert_array_equal(numerics.sin2pi(jnp.float32(quarters)), signs)
    np.testing.assert_array_equal(numerics.cos2pi(jnp.float32(quarters)), 0)
    np.testing.assert_array_equal(numerics.cos2pi(jnp.float32(halves[:-1])), signs)


@turns
def test_derivatives_are_those_of_sine_and_cosine(turn, reference, derivative):
    angle = 2 * np.pi * GRID[::10].astype(float)
    first = jax.vmap(jax.grad(turn))(GRID[::10])
    second = jax.vmap(jax.grad(jax.grad(turn)))(GRID[::10])
    np.testing.assert_allclose(first, derivative(angle), rtol=0, atol=2 * np.pi * 4e-7)
    np.testing.assert_allclose(second, -((2 * np.pi) ** 2) * reference(angle), rtol=0, atol=(2 * np.pi) ** 2 * 6e-7)


@turns
def test_float64_is_exact_to_float64(turn, reference, derivative):
    with jax.enable_x64(True):
        cycles = np.random.default_rng(1).uniform(-1, 1, 1000)
        values = turn(cycles)
        assert values.dtype == np.float64
        np.testing.assert_allclose(values, reference(2 * np.pi * cycles), rtol=0, atol=2e-15)


@turns
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_is_computed_in_float32(turn, reference, derivative, dtype):
    cycles = jnp.linspace(-1, 1, 101).astype(dtype)
    assert_same(turn(cycles), turn(cycles.astype(np.float32)).astype(dtype))
    assert jax.grad(lambda x: turn(x).sum())(cycles).dtype == dtype


@turns
def test_nan_and_infinite_angles_affect_only_themselves(turn, reference, derivative):
    cycles = jnp.array([0.1, np.nan, 0.2, np.inf, -np.inf, 3e38])
    np.testing.assert_array_equal(np.isfinite(turn(cycles)), [True, False, True, False, False, True])


@turns
@pytest.mark.parametrize("cycles", [np.arange(3), np.ones(2, np.complex64), True])
def test_angles_that_are_not_real_raise(turn, reference, derivative, cycles):
    with pytest.raises(TypeError, match=r"floating dtype first|requires a real array"):
        turn(cycles)


def exact_phase(n, f_start, f_end, n_time_steps, sample_rate, start=0.0):
    """Compute the wrapped phase of samples ``n`` in rational arithmetic."""
    first, last, start = (Fraction(float(value)) for value in (f_start, f_end, start))
    phases = [
        start + first * k / sample_rate + (last - first) * k * k / (2 * n_time_steps * sample_rate) for k in map(int, n)
    ]
    return np.array([float(phase - round(phase)) for phase in phases])


def cyclic_distance(a, b):
    difference = np.asarray(a, float) - b
    return np.abs(difference - np.round(difference)).max()


# The spacing of float32 just below 0.5 is 2**-25, so that the rounding error is up to 2**-26.
CLOSEST = 2.0**-25.9

RAMPS = {
    "audio": (16_000, 16_000, 200.0, 800.0, 0.0),
    "odd length": (22_051, 44_100, 19_999.99, 0.3, 0.25),
    "downward through zero": (4_001, 8_000, 3_000.1, -2_999.7, -0.7),
    "negative": (1_000, 22_050, -440.44, -880.1, 3.3),
    "slower than a clip": (2_000, 48_000, 1e-5, 3e-4, 0.1),
    "above the sample rate": (1_000, 8_000, 1e6 + 0.5, 6.7e7, 0.0),
    "one sample a second": (500, 1, 0.1, 0.2, 0.0),
    "a megahertz": (3_000, 4_000_000_001, 1.9e7, 5e6, 0.0),
    "one sample": (1, 16_000, 200.0, 800.0, 0.3),
    "two samples": (2, 16_000, 7_000.0, -7_000.0, 0.9),
}


@pytest.mark.parametrize(("n", "sample_rate", "f_start", "f_end", "start"), RAMPS.values(), ids=RAMPS)
def test_phase_equals_rational_arithmetic(n, sample_rate, f_start, f_end, start):
    f_start, f_end, start = np.float32([f_start, f_end, start])
    options = {"n_time_steps": n, "sample_rate": sample_rate, "start": start}
    index = np.unique(np.linspace(0, n - 1, 400).astype(int))
    for ours, last in (
        (numerics.chirp_ramp(f_start, f_end, **options), f_end),
        (numerics.phase_ramp(f_start, **options), f_start),
    ):
        assert ours.shape == (n,)
        assert ours.dtype == np.float32
        assert ours.min() >= -0.5
        assert ours.max() < 0.5
        assert cyclic_distance(ours[index], exact_phase(index, f_start, last, n, sample_rate, start)) < CLOSEST


@pytest.mark.parametrize("f_end", [20_000.3, 27.5])
def test_phase_is_exact_after_ten_minutes(f_end):
    f_start, n, sample_rate = np.float32(19_999.7), 600 * 48_000, 48_000
    f_end = np.float32(f_end)
    index = np.r_[n // 2 : n // 2 + 64, n - 64 : n]

    # XLA computes only the requested samples of the 28.8 million.
    @jax.jit
    def samples(f_start, f_end):
        constant = numerics.phase_ramp(f_start, n_time_steps=n, sample_rate=sample_rate)
        chirp = numerics.chirp_ramp(f_start, f_end, n_time_steps=n, sample_rate=sample_rate)
        return [jnp.concatenate([x[n // 2 : n // 2 + 64], x[n - 64 :]]) for x in (constant, chirp)]

    for ours, last in zip(samples(f_start, f_end), (f_start, f_end), strict=True):
        expected = exact_phase(index, f_start, last, n, sample_rate)
        assert cyclic_distance(ours, expected) < CLOSEST
        np.testing.assert_allclose(numerics.sin2pi(ours), np.sin(2 * np.pi * expected), rtol=0, atol=4e-7)


def test_chirp_equals_that_of_scipy():
    n, sample_rate = 320_000, 16_000
    t = np.arange(n) / sample_rate
    ours = numerics.cos2pi(numerics.chirp_ramp(50.0, 7_999.0, n_time_steps=n, sample_rate=sample_rate))
    reference = scipy.signal.chirp(t, 50.0, n / sample_rate, 7_999.0)
    np.testing.assert_allclose(ours, reference, rtol=0, atol=5e-7)


def test_sample_rates_that_divide_give_exact_phases():
    eighths = numerics.phase_ramp(1_000.0, n_time_steps=16_000, sample_rate=8_000)
    np.testing.assert_array_equal(eighths[:8], [0, 0.125, 0.25, 0.375, -0.5, -0.375, -0.25, -0.125])
    np.testing.assert_array_equal(np.reshape(eighths, (-1, 8)), np.tile(eighths[:8], (2_000, 1)))
    seconds = numerics.phase_ramp(441.0, n_time_steps=5 * 44_100, sample_rate=44_100)[::44_100]
    np.testing.assert_array_equal(seconds, 0)


def test_batched_phases_equal_the_loop_and_vmap():
    f_start, f_end = np.float32([[0.0], [440.0], [-3e3]]), np.float32([0.0, 880.3, 1e4])
    ramp = partial(numerics.chirp_ramp, n_time_steps=70, sample_rate=8_000)
    batched = ramp(f_start, f_end, start=0.2)
    assert batched.shape == (3, 3, 70)
    loop = [[ramp(a, b, start=0.2) for b in f_end] for a in f_start[:, 0]]
    np.testing.assert_array_equal(batched, np.array(loop))
    vmapped = jax.jit(jax.vmap(jax.vmap(partial(ramp, start=0.2), (None, 0)), (0, None)))(f_start[:, 0], f_end)
    np.testing.assert_array_equal(batched, vmapped)


def test_one_compilation_serves_every_frequency():
    traces = []

    @jax.jit
    def tone(frequency, start):
        traces.append(frequency)
        return numerics.phase_ramp(frequency, n_time_steps=32, sample_rate=8_000, start=start)

    for frequency in (1.0, 2.5, 3e3):
        tone(frequency, frequency / 7)
    assert len(traces) == 1


def test_an_invalid_frequency_affects_only_its_own_example():
    bad = jnp.array([440.0, np.nan, np.inf, -np.inf, 2.0**26, -(2.0**26), 2.0**26 - 4])
    rows = np.isnan(numerics.phase_ramp(bad, n_time_steps=5, sample_rate=8_000))
    np.testing.assert_array_equal(rows.all(axis=1), [False, True, True, True, True, True, False])
    np.testing.assert_array_equal(rows.any(axis=1), rows.all(axis=1))
    starts = np.isnan(numerics.phase_ramp(440.0, n_time_steps=5, sample_rate=8_000, start=bad[:4]))
    np.testing.assert_array_equal(starts.all(axis=1), [False, True, True, True])


def test_derivatives_of_the_phase_are_those_of_its_formula():
    n, sample_rate = 200, 8_000
    ramp = partial(numerics.chirp_ramp, n_time_steps=n, sample_rate=sample_rate)
    time, share = np.arange(n) / sample_rate, np.arange(n) / (2 * n)
    expected = (time * (1 - share), time * share, np.ones(n))
    for jacobian in (jax.jacfwd, jax.jacrev):
        derivatives = jacobian(lambda a, b, c: ramp(a, b, start=c), argnums=(0, 1, 2))(300.0, 700.0, 0.1)
        for ours, theirs in zip(derivatives, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    constant = jax.jacrev(partial(numerics.phase_ramp, n_time_steps=n, sample_rate=sample_rate))(300.0)
    np.testing.assert_allclose(constant, time, rtol=1e-5)


def test_derivative_of_a_tone_with_respect_to_its_frequency_is_that_of_its_formula():
    n, sample_rate = 160, 16_000
    weights, time = np.random.default_rng(2).normal(size=n), np.arange(n) / sample_rate

    def projection(frequency):
        tone = numerics.sin2pi(numerics.phase_ramp(frequency, n_time_steps=n, sample_rate=sample_rate))
        return jnp.dot(tone, jnp.float32(weights))

    expected = np.dot(weights, 2 * np.pi * time * np.cos(2 * np.pi * 440.0 * time))
    np.testing.assert_allclose(jax.grad(projection)(440.0), expected, rtol=1e-5)


@pytest.mark.parametrize("frequency", [440, np.int32(440), jnp.bfloat16(440), jnp.float16(440)])
def test_other_dtypes_of_frequency_give_float32_phases(frequency):
    options = {"n_time_steps": 50, "sample_rate": 8_000}
    assert_same(numerics.phase_ramp(frequency, **options), numerics.phase_ramp(440.0, **options))


def test_float64_frequencies_give_float64_phases():
    n, sample_rate = 4_800, 48_000
    with jax.enable_x64(True):
        ours = numerics.chirp_ramp(np.pi * 1e3, 2e4, n_time_steps=n, sample_rate=sample_rate, start=0.1)
        assert ours.dtype == np.float64
        assert ours.min() >= -0.5
        assert ours.max() < 0.5
        expected = exact_phase(range(n), np.pi * 1e3, 2e4, n, sample_rate, 0.1)
        assert cyclic_distance(ours, expected) < 1e-12
        narrow = numerics.phase_ramp(np.float32(440), n_time_steps=n, sample_rate=sample_rate)
        assert narrow.dtype == np.float32
    assert_same(narrow, numerics.phase_ramp(np.float32(440), n_time_steps=n, sample_rate=sample_rate))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"n_time_steps": 0, "sample_rate": 8_000},
            ValueError,
            r"n_time_steps must be between 1 and .* got 0",
        ),
        ({"n_time_steps": -4, "sample_rate": 8_000}, ValueError, r"n_time_steps .* got -4"),
        ({"n_time_steps": 4, "sample_rate": 0}, ValueError, r"sample_rate .*\(Hz\), got 0"),
        (
            {"n_time_steps": 4, "sample_rate": 44_100.0},
            TypeError,
            r"sample_rate must be a Python int .* got 44100",
        ),
        ({"n_time_steps": 4.0, "sample_rate": 8_000}, TypeError, r"n_time_steps must be a Python int"),
    ],
)
def test_lengths_and_rates_that_are_not_positive_integers_raise(options, error, message):
    for call in (partial(numerics.phase_ramp, 440.0), partial(numerics.chirp_ramp, 440.0, 880.0)):
        with pytest.raises(error, match=message):
            call(**options)


def test_a_traced_length_raises():
    with pytest.raises(TypeError, match="since it is static"):
        jax.jit(lambda n: numerics.phase_ramp(440.0, n_time_steps=n, sample_rate=8_000))(4)


def test_complex_frequencies_raise():
    with pytest.raises(TypeError, match="real"):
        numerics.phase_ramp(440.0j, n_time_steps=4, sample_rate=8_000)


@pytest.mark.parametrize(
    ("given", "working"),
    [
        ("float16", "float32"),
        (jnp.bfloat16, "float32"),
        (np.float32, "float32"),
        (np.dtype("float64"), "float64"),
        ("complex64", "complex64"),
        (jnp.complex128, "complex128"),
    ],
)
def test_working_dtype_has_at_least_32_bits(given, working):
    with jax.enable_x64(True):
        assert numerics.working_dtype(given) == working
    narrow = {"float64": "float32", "complex128": "complex64"}.get(working, working)
    assert numerics.working_dtype(given) == narrow


@pytest.mark.parametrize("dtype", ["int16", "uint8", "bool", jnp.float8_e5m2])
def test_working_dtype_raises_for_other_dtypes(dtype):
    with pytest.raises(TypeError, match="convert to a floating dtype first"):
        numerics.working_dtype(dtype)


def test_safe_sqrt_is_the_square_root():
    x = np.float32([0.0, 1e-30, 0.25, 2.0, 9e30, np.inf])
    assert_same(numerics.safe_sqrt(x), jnp.sqrt(x))
    np.testing.assert_array_equal(np.isnan(numerics.safe_sqrt(jnp.array([np.nan, -1.0, 1.0]))), [True, True, False])


def test_derivative_of_safe_sqrt_is_0_at_0():
    x = jnp.array([0.0, -0.0, 0.25, 4.0])
    first = jax.jit(jax.vmap(jax.grad(numerics.safe_sqrt)))(x)
    np.testing.assert_array_equal(first, [0, 0, 1, 0.25])
    second = jax.vmap(jax.grad(jax.grad(numerics.safe_sqrt)))(x)
    np.testing.assert_allclose(second, [0, 0, -2, -1 / 32], rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_safe_sqrt_returns_half_precision_as_given(dtype):
    x = jnp.array([0.0, 2.0, 3.0], dtype)
    assert_same(numerics.safe_sqrt(x), jnp.sqrt(x.astype(np.float32)).astype(dtype))


def test_safe_sqrt_raises_for_integers_and_complex_numbers():
    for x in (np.arange(3), np.ones(3, np.complex64)):
        with pytest.raises(TypeError, match=r"floating dtype first|requires a real array"):
            numerics.safe_sqrt(x)


def test_safe_abs_is_the_magnitude():
    z = np.array([0, 3 - 4j, 1e-30, 1e30 + 1e30j, np.nan], np.complex64)
    np.testing.assert_allclose(numerics.safe_abs(z), np.abs(z), rtol=1e-6)
    with jax.enable_x64(True):
        assert numerics.safe_abs(np.array([3 - 4j])).dtype == np.float64


def test_derivative_of_safe_abs_is_0_at_0_and_a_unit_vector_elsewhere():
    def magnitude(re, im):
        return numerics.safe_abs(jax.lax.complex(re, im)).sum()

    re, im = jnp.array([0.0, 3.0, 1e-30, -2e25]), jnp.array([0.0, -4.0, 0.0, 0.0])
    d_re, d_im = jax.jit(jax.grad(magnitude, argnums=(0, 1)))(re, im)
    np.testing.assert_allclose(d_re, [0, 0.6, 1, -1], rtol=1e-6)
    np.testing.assert_allclose(d_im, [0, -0.8, 0, 0], rtol=1e-6)
    z = jnp.array([3 - 4j, 1j])
    np.testing.assert_allclose(
        jax.grad(lambda z: numerics.safe_abs(z).sum())(z), jax.grad(lambda z: jnp.abs(z).sum())(z), rtol=1e-6
    )


def test_gradient_of_the_spectrum_of_silence_is_finite():
    gradient = jax.grad(lambda x: numerics.safe_abs(jnp.fft.rfft(x)).sum())(jnp.zeros(16))
    np.testing.assert_array_equal(gradient, 0)


def test_safe_abs_raises_for_real_numbers():
    with pytest.raises(TypeError, match=r"use jnp.abs"):
        numerics.safe_abs(jnp.ones(3))


@pytest.mark.parametrize("axis", [-1, 0, (0, 1), None])
@pytest.mark.parametrize("keepdims", [False, True])
def test_rms_equals_numpys_formula(axis, keepdims):
    x = np.random.default_rng(0).standard_normal((3, 50)).astype(np.float32)
    expected = np.sqrt(np.mean(np.square(x.astype(np.float64)), axis=axis, keepdims=keepdims))
    np.testing.assert_allclose(numerics.rms(x, axis=axis, keepdims=keepdims), expected, rtol=1e-6)


def test_rms_of_half_precision_is_computed_in_float32():
    """The sum of squares exceeds the range of float16."""
    found = numerics.rms(jnp.full(1000, 60.0, jnp.float16))
    assert found.dtype == jnp.float16
    assert float(found) == 60.0


def test_the_gradient_of_rms_is_zero_at_silence():
    assert not jax.grad(lambda x: numerics.rms(x))(jnp.zeros(8)).any()


@pytest.mark.parametrize("dtype", [np.int16, np.complex64])
def test_rms_raises_unless_the_dtype_is_real_floating(dtype):
    with pytest.raises(TypeError):
        numerics.rms(np.ones(4, dtype))


def test_jit_compiles_once_per_static_value():
    traces = []

    @numerics.jit(static_argnames=["n_samples"])
    def ramp(gain: jax.Array, n_samples: int) -> jax.Array:
        traces.append(n_samples)
        return gain * jnp.arange(n_samples, dtype=gain.dtype)

    for gain in (1.0, 2.0):
        np.testing.assert_array_equal(ramp(jnp.float32(gain), n_samples=3), gain * np.arange(3))
    ramp(jnp.float32(1.0), n_samples=4)
    assert traces == [3, 4]
    assert ramp.__name__ == "ramp"


FRAME_SHAPES = [(4, 2, 5), (5, 2, 5), (3, 3, 4), (2, 5, 3), (40, 1, 6)]  # (40, 1) overlap too often for blocks


@pytest.mark.parametrize(("frame_length", "hop_length", "n_frames"), FRAME_SHAPES)
def test_cut_frames_equals_slices(frame_length, hop_length, n_frames):
    n_samples = (n_frames - 1 + -(-frame_length // hop_length)) * hop_length
    signal = np.random.default_rng(0).standard_normal((2, n_samples)).astype(np.float32)
    frames = cut_frames(jnp.asarray(signal), frame_length=frame_length, hop_length=hop_length, n_frames=n_frames)
    for frame in range(n_frames):
        start = frame * hop_length
        np.testing.assert_array_equal(frames[:, frame], signal[:, start : start + frame_length])


@pytest.mark.parametrize(("frame_length", "hop_length", "n_frames"), FRAME_SHAPES)
def test_overlap_add_is_the_transpose_of_cut_frames(frame_length, hop_length, n_frames):
    n_samples = (n_frames - 1 + -(-frame_length // hop_length)) * hop_length
    frames = np.random.default_rng(0).standard_normal((2, n_frames, frame_length)).astype(np.float32)
    expected = np.zeros((2, n_samples), np.float32)
    for frame in range(n_frames):
        expected[:, frame * hop_length : frame * hop_length + frame_length] += frames[:, frame]
    np.testing.assert_allclose(overlap_add(jnp.asarray(frames), hop_length=hop_length), expected, atol=1e-5)
