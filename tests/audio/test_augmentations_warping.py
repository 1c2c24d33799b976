import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from artifex.generative_models.core import registry
from artifex.generative_models.modalities.audio import frequency_warp, time_warp, with_annotations
from artifex.generative_models.modalities.audio.augmentations import works_on

BOTH = [time_warp, frequency_warp]
KEYS = 4000


@functools.cache
def draws(n_frames, max_warp):
    """Centers and distances, (KEYS,) each."""
    drawn = compiled_draws()(jax.random.split(jax.random.key(0), KEYS), n_frames, max_warp)
    return np.asarray(drawn["warp_center"]), np.asarray(drawn["warp_distance"])


@functools.cache
def compiled_draws():
    draw = with_annotations(time_warp)

    def one(key, n, max_warp):
        return draw(jnp.ones((1, 200)), key, max_warp, n_valid_frames=n)[1]

    return jax.jit(jax.vmap(one, (0, None, None)))


def assert_uniform(values, low, high):
    counts = np.bincount(values - low, minlength=high - low + 1)
    assert len(counts) == high - low + 1
    if len(counts) > 1:
        assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize(
    ("n_frames", "max_warp", "limit"), [(200, 20, 20), (200, 80, 80), (60, 80, 28), (5, 80, 1), (4, 1, 0)]
)
def test_the_frame_is_drawn_away_from_the_ends_and_moved_up_to_the_limit_either_way(n_frames, max_warp, limit):
    center, distance = draws(n_frames, max_warp)
    assert_uniform(center, limit + 1, n_frames - 2 - limit)
    assert_uniform(distance, -limit, limit)


def test_center_and_distance_are_independent_of_each_other_and_of_other_examples():
    center, distance = draws(200, 20)
    for one, other in ((center, distance), (center[1:], center[:-1]), (distance[1:], distance[:-1])):
        assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(KEYS)


def test_time_is_piecewise_linear_between_the_ends_and_the_frame_that_moves():
    spectrograms = np.random.default_rng(0).normal(size=(40, 3, 57)).astype(np.float32)
    valid = np.arange(40) + 18
    one = with_annotations(time_warp)
    batched = jax.jit(jax.vmap(lambda s, key, n: one(s, key, 25, n_valid_frames=n)))
    warped, drawn = batched(spectrograms, jax.random.split(jax.random.key(0), 40), valid)
    warped, place = np.asarray(warped), np.arange(57)
    moves = np.asarray(drawn["warp_distance"])
    for row, n in enumerate(valid):
        center = int(drawn["warp_center"][row])
        source = np.interp(place, [0, center + moves[row], n - 1], [0, center, n - 1])
        source = np.where(place < n, source, place)
        expected = np.stack([np.interp(source, place, each) for each in spectrograms[row].astype(float)])
        np.testing.assert_allclose(warped[row], expected, atol=2e-5)
        np.testing.assert_array_equal(warped[row, :, n:], spectrograms[row, :, n:])
        np.testing.assert_array_equal(warped[row][:, [0, n - 1]], spectrograms[row][:, [0, n - 1]])
    assert moves.min() < -10
    assert moves.max() > 10


def test_nan_in_the_padding_does_not_reach_the_warped_frames():
    spectrogram = np.random.default_rng(0).normal(size=(3, 57)).astype(np.float32)
    spectrogram[:, 30:] = np.nan
    warped = time_warp(spectrogram, jax.random.key(1), n_valid_frames=30)
    assert np.isfinite(warped[:, :30]).all()
    assert np.isnan(warped[:, 30:]).all()


@pytest.mark.parametrize(("shape", "max_warp"), [((3, 57), 0), ((3, 3), 80), ((3, 2), 80), ((3, 1), 80)])
def test_a_warp_without_room_changes_nothing(shape, max_warp):
    spectrogram = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    for seed in range(3):
        np.testing.assert_array_equal(time_warp(spectrogram, jax.random.key(seed), max_warp), spectrogram)


def test_hours_are_warped_as_precisely_as_seconds():
    n = 500_000
    place = np.arange(n)
    warped, drawn = with_annotations(time_warp)(
        (place % 2).astype(np.float32)[None], jax.random.key(0), n_valid_frames=n
    )
    center, distance = int(drawn["warp_center"]), int(drawn["warp_distance"])
    source = np.interp(place, [0, center + distance, n - 1], [0, center, n - 1])
    np.testing.assert_allclose(warped[0], np.abs(source - 2 * np.round(source / 2)), atol=5e-5)


def jaitly_hinton(f, alpha, f_hi, half):
    """Where VTLP puts frequency f, half being half the sample rate."""
    knee = f_hi * min(alpha, 1)
    return np.where(f <= knee / alpha, f * alpha, half - (half - knee) / (half - knee / alpha) * (half - f))


def test_frequencies_move_by_the_formula_of_vtlp():
    # 8000 Hz over 40 bins; a spectrum that is piecewise linear between bins is known everywhere.
    spectrogram = np.random.default_rng(0).normal(size=(41, 3)).astype(np.float32)
    one = with_annotations(frequency_warp)
    batched = jax.jit(jax.vmap(lambda key, share: one(spectrogram, key, (0.8, 1.25), f_hi_fraction=share)))
    shares = np.linspace(0.5, 0.9, 30)
    warped, drawn = batched(jax.random.split(jax.random.key(0), 30), shares)
    f = np.linspace(0, 8000, 160_001)
    warped, alphas = np.asarray(warped), np.asarray(drawn["alpha"], float)
    for row, (alpha, share) in enumerate(zip(alphas, shares, strict=True)):
        came_from = np.interp(np.linspace(0, 8000, 41), jaitly_hinton(f, alpha, 8000 * share, 8000), f)
        expected = np.stack([np.interp(came_from, np.linspace(0, 8000, 41), each) for each in spectrogram.T], axis=-1)
        np.testing.assert_allclose(warped[row], expected, atol=1e-4)
        np.testing.assert_array_equal(warped[row][[0, -1]], spectrogram[[0, -1]])
    assert alphas.min() < 0.85
    assert alphas.max() > 1.2


def test_a_factor_above_one_raises_a_formant():
    peak = jnp.zeros((201, 1)).at[100].set(1.0)
    for alpha, place in ((0.9, 90), (1.0, 100), (1.1, 110)):
        warped = frequency_warp(peak, jax.random.key(0), jnp.array([alpha, alpha]))
        assert int(warped.argmax()) == place
        if alpha == 1:
            np.testing.assert_array_equal(warped, peak)


@pytest.mark.parametrize("function", BOTH)
def test_leading_axes_share_the_warp_and_half_precision_is_kept(function):
    spectrograms = jax.random.normal(jax.random.key(1), (2, 3, 20, 30))
    key = jax.random.key(2)
    warped = function(spectrograms, key)
    np.testing.assert_allclose(warped[1, 2], function(spectrograms[1, 2], key), atol=1e-6)
    half = function(spectrograms.astype(jnp.float16), key)
    assert half.dtype == jnp.float16
    np.testing.assert_allclose(half, warped, atol=5e-3)


@pytest.mark.parametrize("function", BOTH)
def test_an_input_and_its_target_are_warped_alike(function):
    spectrograms = np.random.default_rng(0).normal(size=(2, 20, 30)).astype(np.float32)
    key = jax.random.key(5)
    (_, first), (_, second) = (with_annotations(function)(each, key) for each in spectrograms)
    assert {name: float(value) for name, value in first.items()} == {k: float(v) for k, v in second.items()}


@pytest.mark.parametrize(
    ("function", "options", "error", "match"),
    [
        (time_warp, {"max_warp": -1}, ValueError, "max_warp must be an integer of at least 0 frames"),
        (time_warp, {"max_warp": 2.5}, TypeError, "max_warp must be an integer"),
        (time_warp, {"n_valid_frames": 6}, ValueError, "n_valid_frames must be an integer from 1 to 5 frames"),
        (frequency_warp, {"alpha_range": (0, 1)}, ValueError, r"alpha_range\[0\] must be a finite number above 0"),
        (frequency_warp, {"alpha_range": (1.1, 0.9)}, ValueError, "alpha_range must be .min, max."),
        (frequency_warp, {"f_hi_fraction": 1.0}, ValueError, "f_hi_fraction must be above 0 and below 1"),
        (frequency_warp, {"f_hi_fraction": 0.0}, ValueError, "f_hi_fraction must be a finite number above 0"),
    ],
)
def test_options_out_of_range_raise(function, options, error, match):
    with pytest.raises(error, match=match):
        function(jnp.ones((5, 5)), jax.random.key(0), **options)


@pytest.mark.parametrize("function", BOTH)
def test_invalid_spectrograms_raise(function):
    key = jax.random.key(0)
    with pytest.raises(TypeError, match="complex64: take the magnitude"):
        function(jnp.ones((5, 5), jnp.complex64), key)
    with pytest.raises(ValueError, match=rf"{function.__name__} expects a spectrogram \(\.\.\., freq, time\)"):
        function(jnp.ones(5), key)


@pytest.mark.parametrize("function", BOTH)
def test_they_are_registered_for_spectrograms(function):
    assert registry("augmentation")[function.__name__] is function
    assert works_on(function) == "spectrogram"
