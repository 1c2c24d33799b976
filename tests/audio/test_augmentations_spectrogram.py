import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from artifex.generative_models.core import create, registry
from artifex.generative_models.modalities.audio import (
    frequency_mask,
    spec_augment,
    time_mask,
    time_warp,
    with_annotations,
)
from artifex.generative_models.modalities.audio.augmentations import works_on

MASKS = [frequency_mask, time_mask]
ALL = [*MASKS, spec_augment]
DRAWS = 4000


@functools.cache
def compiled(function, n, **options):
    # One place of the other axis shows the mask.
    ones = jnp.ones((n, 1) if function is frequency_mask else (1, n))
    return jax.jit(
        jax.vmap(lambda key, width: function(ones, key, mask_param=width, **options).ravel() == 0, (0, None))
    )


def covered(function, n, mask_param, **options):
    """Which of n places of the masked axis are covered, (DRAWS, n)."""
    keys = jax.random.split(jax.random.key(0), DRAWS)
    return np.asarray(compiled(function, n, **options)(keys, mask_param))


def assert_uniform(values, low, high):
    """Chi-square against the uniform distribution on low..high, both included."""
    counts = np.bincount(values - low, minlength=high - low + 1)
    assert len(counts) == high - low + 1
    expected = len(values) / len(counts)
    degrees = len(counts) - 1
    assert ((counts - expected) ** 2 / expected).sum() < degrees + 5 * np.sqrt(2 * degrees)


@pytest.mark.parametrize("function", MASKS)
def test_width_is_uniform_up_to_the_parameter_and_start_up_to_the_last_position(function):
    mask = covered(function, 40, mask_param=7)
    width = mask.sum(axis=1)
    assert_uniform(width, 0, 7)
    assert (np.diff(mask, prepend=0, append=0, axis=1).clip(0).sum(axis=1) == (width > 0)).all()
    for each in (1, 7):
        assert_uniform(mask[width == each].argmax(axis=1), 0, 40 - each)


@pytest.mark.parametrize("function", MASKS)
def test_width_and_start_are_independent(function):
    mask = covered(function, 40, mask_param=20)
    width = mask.sum(axis=1)
    seen = width > 0
    share = mask[seen].argmax(axis=1) / (40 - width[seen])
    assert abs(np.corrcoef(width[seen], share)[0, 1]) < 5 / np.sqrt(seen.sum())


@pytest.mark.parametrize("function", MASKS)
def test_every_position_including_the_last_can_be_masked(function):
    assert covered(function, 40, mask_param=3).any(axis=0).all()


@pytest.mark.parametrize(
    ("function", "options", "widest"),
    [
        (frequency_mask, {"mask_param": 20}, 9),
        (time_mask, {"mask_param": 20}, 9),
        (time_mask, {"mask_param": 20, "max_fraction": 1.0}, 10),
        (frequency_mask, {"mask_param": 20, "max_fraction": 0.3}, 3),
        (frequency_mask, {"mask_param": 2, "max_fraction": 0.3}, 2),
    ],
)
def test_one_mask_leaves_one_position_unless_max_fraction_is_given(function, options, widest):
    assert_uniform(covered(function, 10, **options).sum(axis=1), 0, widest)


@pytest.mark.parametrize("function", MASKS)
def test_an_axis_of_one_position_is_not_masked(function):
    ones = jnp.ones((1, 1))
    assert all(function(ones, jax.random.key(seed), mask_param=5) == ones for seed in range(10))


def test_several_masks_are_drawn_independently():
    mask = covered(time_mask, 40, num_masks=3, mask_param=10)
    assert mask.sum(axis=1).max() > 20
    # The expected cover of one place by three masks that know nothing of each other.
    one = covered(time_mask, 40, mask_param=10).mean(axis=0)
    np.testing.assert_allclose(mask.mean(axis=0)[10:-10], (1 - (1 - one) ** 3)[10:-10], atol=0.05)


@pytest.mark.parametrize("function", ALL)
def test_no_masks_or_a_width_of_zero_change_nothing(function):
    spectrogram = jnp.arange(2000.0).reshape(40, 50)
    key = jax.random.key(0)
    kinds = ("freq_masks", "time_masks") if function is spec_augment else ("num_masks",)
    params = ("freq_mask_param", "time_mask_param") if function is spec_augment else ("mask_param",)
    for names in (kinds, params):
        np.testing.assert_array_equal(function(spectrogram, key, **dict.fromkeys(names, 0)), spectrogram)
    shares = ("freq_max_fraction", "time_max_fraction") if function is spec_augment else ("max_fraction",)
    np.testing.assert_array_equal(function(spectrogram, key, **dict.fromkeys(shares, 0)), spectrogram)


def test_a_frequency_mask_covers_whole_bins_and_a_time_mask_whole_frames():
    spectrogram = jnp.ones((40, 50))
    for seed in range(5):
        key = jax.random.key(seed)
        bins = np.asarray(frequency_mask(spectrogram, key, mask_param=8))
        frames = np.asarray(time_mask(spectrogram, key, mask_param=8))
        assert (bins == bins[:, :1]).all()
        assert (frames == frames[:1]).all()
    assert bins.shape == frames.shape == (40, 50)


def test_spec_augment_is_a_frequency_mask_and_a_time_mask():
    spectrogram = jax.random.normal(jax.random.key(1), (40, 50))
    key = jax.random.key(0)
    first, second = jax.random.split(key)
    expected = time_mask(frequency_mask(spectrogram, first, 2, 15), second, 2, 20)
    np.testing.assert_array_equal(spec_augment(spectrogram, key), expected)
    assert (np.asarray(expected) == 0).any()


@pytest.mark.parametrize("function", ALL)
@pytest.mark.parametrize("lead", [(2,), (2, 3)])
def test_leading_axes_share_the_masks(function, lead):
    key = jax.random.key(3)
    masked = np.asarray(function(jnp.ones((*lead, 40, 50)), key))
    one = np.asarray(function(jnp.ones((40, 50)), key))
    np.testing.assert_array_equal(masked, np.broadcast_to(one, masked.shape))
    assert 0 < one.mean() < 1


@pytest.mark.parametrize("function", ALL)
@pytest.mark.parametrize(("fill_value", "statistic"), [("mean", np.mean), ("min", np.min), (-7.5, lambda x: -7.5)])
def test_the_fill_is_a_number_or_a_statistic_of_each_spectrogram(function, fill_value, statistic):
    spectrograms = np.random.default_rng(0).normal(size=(2, 40, 50)).astype(np.float32)
    key = jax.random.key(3)
    mask = np.asarray(function(jnp.ones((40, 50)), key)) == 0
    masked = np.asarray(function(spectrograms, key, fill_value=fill_value))
    for before, after in zip(spectrograms, masked, strict=True):
        np.testing.assert_array_equal(after[~mask], before[~mask])
        np.testing.assert_allclose(after[mask], statistic(before), atol=1e-6)
    assert mask.any()


def test_the_fill_may_be_traced():
    key = jax.random.key(3)
    filled = jax.jit(lambda value: frequency_mask(jnp.ones((40, 50)), key, fill_value=value))
    np.testing.assert_array_equal(filled(0.5), frequency_mask(jnp.ones((40, 50)), key, fill_value=0.5))


@pytest.mark.parametrize("fill_value", ["mean", "min", 0.0])
def test_nan_and_infinity_stay_in_their_spectrogram(fill_value):
    spectrograms = np.random.default_rng(0).normal(size=(3, 40, 50)).astype(np.float32)
    spoilt = spectrograms.copy()
    spoilt[1] = np.nan
    key = jax.random.key(0)
    expected = np.asarray(spec_augment(spectrograms, key, fill_value=fill_value))
    found = np.asarray(spec_augment(spoilt, key, fill_value=fill_value))
    np.testing.assert_array_equal(found[[0, 2]], expected[[0, 2]])


@pytest.mark.parametrize("function", [time_mask, spec_augment])
def test_masks_are_within_the_valid_frames(function):
    masks = {"num_masks": 2, "mask_param": 20} if function is time_mask else {"freq_masks": 0}
    keys = jax.random.split(jax.random.key(0), 1000)
    valid = jnp.arange(1000) % 10 + 1

    def one(key, n):
        return function(jnp.ones((1, 30)), key, **masks, n_valid_frames=n)

    mask = np.asarray(jax.jit(jax.vmap(one))(keys, valid)).reshape(1000, 30) == 0
    for n in range(1, 11):
        cover = mask[valid == n].sum(axis=0)
        assert (cover[: n if n > 1 else 0] > 0).all()
        assert not cover[n:].any()


@pytest.mark.parametrize(("fill_value", "expected"), [("mean", 2.0), ("min", 1.0)])
def test_statistics_exclude_the_padding(fill_value, expected):
    spectrogram = jnp.array([[1.0, 3.0, -90.0, -90.0]] * 4)
    masked = frequency_mask(spectrogram, jax.random.key(1), mask_param=3, fill_value=fill_value, n_valid_frames=2)
    changed = np.asarray(masked != spectrogram)
    assert changed.any()
    assert set(np.asarray(masked)[changed].tolist()) == {expected}


def test_a_fraction_of_the_valid_frames_limits_the_width():
    keys = jax.random.split(jax.random.key(0), 2000)

    def one(key, n):
        return time_mask(jnp.ones((1, 100)), key, mask_param=90, max_fraction=0.29, n_valid_frames=n)

    masked = jax.jit(jax.vmap(one, (0, None)))
    for valid in (100, 50):
        width = (np.asarray(masked(keys, valid)) == 0).sum(axis=(1, 2))
        assert_uniform(width, 0, int(valid * 29 // 100))


@pytest.mark.parametrize("function", ALL)
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32, jnp.complex64])
def test_shape_and_dtype_are_kept(function, dtype):
    spectrogram = jnp.ones((2, 40, 50), dtype)
    for fill_value in (0.0, "mean"):
        masked = function(spectrogram, jax.random.key(0), fill_value=fill_value)
        assert (masked.shape, masked.dtype) == (spectrogram.shape, dtype)


@pytest.mark.parametrize("function", ALL)
def test_one_compile_serves_all_keys_and_widths_under_vmap(function):
    traces = []
    name = "time_mask_param" if function is spec_augment else "mask_param"

    @jax.jit
    def batched(spectrograms, keys, width):
        traces.append(0)
        return jax.vmap(lambda s, k: function(s, k, **{name: width}))(spectrograms, keys)

    spectrograms = jax.random.normal(jax.random.key(9), (3, 40, 50))
    for seed in range(3):
        keys = jax.random.split(jax.random.key(seed), 3)
        found = batched(spectrograms, keys, 4 + seed)
        loop = [function(s, k, **{name: 4 + seed}) for s, k in zip(spectrograms, keys, strict=True)]
        np.testing.assert_array_equal(found, jnp.stack(loop))
    assert len(traces) == 1


@pytest.mark.parametrize("function", ALL)
def test_the_gradient_is_one_where_nothing_is_masked(function):
    spectrogram, key = jnp.ones((40, 50)), jax.random.key(0)
    gradient = jax.grad(lambda s: function(s, key).sum())(spectrogram)
    np.testing.assert_array_equal(gradient, function(spectrogram, key))


@pytest.mark.parametrize("function", ALL)
@pytest.mark.parametrize("shape", [(), (5,), (0, 5), (5, 0)])
def test_spectrograms_without_bins_or_frames_raise(function, shape):
    with pytest.raises(ValueError, match=rf"{function.__name__} expects a spectrogram \(\.\.\., freq, time\)"):
        function(jnp.ones(shape), jax.random.key(0))


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"num_masks": -1}, ValueError, "num_masks must be an integer of at least 0"),
        ({"num_masks": 1.5}, TypeError, "num_masks must be an integer"),
        ({"mask_param": -1}, ValueError, "mask_param must be an integer of at least 0"),
        ({"max_fraction": 1.5}, ValueError, "max_fraction must be a finite number from 0 to 1"),
        ({"fill_value": "median"}, ValueError, "fill_value must be one of 'mean', 'min'"),
        ({"fill_value": np.nan}, ValueError, "fill_value must be a finite number"),
        ({"n_valid_frames": 6}, ValueError, "n_valid_frames must be an integer from 1 to 5 frames"),
    ],
)
@pytest.mark.parametrize("function", MASKS)
def test_options_out_of_range_raise(function, options, error, match):
    with pytest.raises(error, match=match):
        function(jnp.ones((5, 5)), jax.random.key(0), **options)


def test_spec_augment_names_the_option_that_is_out_of_range():
    with pytest.raises(ValueError, match="time_mask_param must be an integer of at least 0"):
        spec_augment(jnp.ones((5, 5)), jax.random.key(0), time_mask_param=-1)


def test_integers_and_the_minimum_of_complex_numbers_raise():
    with pytest.raises(TypeError, match="int32"):
        time_mask(jnp.ones((5, 5), jnp.int32), jax.random.key(0))
    with pytest.raises(TypeError, match="no minimum"):
        time_mask(jnp.ones((5, 5), jnp.complex64), jax.random.key(0), fill_value="min")


@pytest.mark.parametrize("function", ALL)
def test_they_are_registered_for_spectrograms(function):
    assert registry("augmentation")[function.__name__] is function
    assert works_on(function) == "spectrogram"
    assert works_on(create("augmentation", function.__name__, fill_value="mean")) == "spectrogram"
    assert works_on(registry("augmentation")["time_shift"]) == "waveform"


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (frequency_mask, ["spectrogram", "key", "num_masks=1", "mask_param=10"]),
        (time_mask, ["spectrogram", "key", "num_masks=1", "mask_param=10"]),
        (
            spec_augment,
            [
                "spectrogram",
                "key",
                "freq_masks=2",
                "time_masks=2",
                "freq_mask_param=15",
                "time_mask_param=20",
            ],
        ),
    ],
)
def test_parameters_have_their_agreed_names_order_and_defaults(function, expected):
    parameters = [p for p in inspect.signature(function).parameters.values() if p.kind is not p.KEYWORD_ONLY]
    assert [p.name if p.default is p.empty else f"{p.name}={p.default}" for p in parameters] == expected


def test_the_annotations_are_the_masked_positions():
    for seed in range(10):
        masked, drawn = with_annotations(spec_augment)(jnp.ones((40, 50)), jax.random.key(seed))
        drawn = {name: np.asarray(value) for name, value in drawn.items()}
        assert {name: value.shape for name, value in drawn.items()} == {
            "freq_start": (2,),
            "freq_width": (2,),
            "time_start": (2,),
            "time_width": (2,),
        }
        expected = np.ones((40, 50))
        for start, width in zip(drawn["freq_start"], drawn["freq_width"], strict=True):
            expected[start : start + width] = 0
        for start, width in zip(drawn["time_start"], drawn["time_width"], strict=True):
            expected[:, start : start + width] = 0
        np.testing.assert_array_equal(masked, expected)


@pytest.mark.parametrize(("function", "axis"), [(frequency_mask, "freq"), (time_mask, "time")])
def test_each_mask_returns_only_its_own_parameters(function, axis):
    drawn = with_annotations(function)(jnp.ones((40, 50)), jax.random.key(0), num_masks=2)[1]
    assert {name: value.shape for name, value in drawn.items()} == {f"{axis}_start": (2,), f"{axis}_width": (2,)}
    assert with_annotations(function)(jnp.ones((40, 50)), jax.random.key(0), num_masks=0)[1] == {}


# W, F, m_F, T, p, m_T of the paper's table 1.
TABLE = {
    "LB": (80, 27, 1, 100, 1.0, 1),
    "LD": (80, 27, 2, 100, 1.0, 2),
    "SM": (40, 15, 2, 70, 0.2, 2),
    "SS": (40, 27, 2, 70, 0.2, 2),
}


def test_a_policy_draws_the_parameters_of_the_paper():
    warp, band, n_bands, span, share, n_spans = TABLE["SS"]
    ones, keys = jnp.ones((80, 400)), jax.random.split(jax.random.key(0), DRAWS)
    draw = with_annotations(spec_augment)
    draws = jax.jit(jax.vmap(lambda key, n: draw(ones, key, policy="SS", n_valid_frames=n)[1], (0, None)))
    for n in (400, 200, 50):
        drawn = {name: np.asarray(value) for name, value in draws(keys, n).items()}
        assert drawn["freq_width"].shape == drawn["freq_start"].shape == (DRAWS, n_bands)
        assert drawn["time_width"].shape == drawn["time_start"].shape == (DRAWS, n_spans)
        furthest = min(warp, (n - 3) // 2)
        assert_uniform(drawn["warp_distance"], -furthest, furthest)
        for k in range(n_bands):
            assert_uniform(drawn["freq_width"][:, k], 0, band)
        for k in range(n_spans):
            assert_uniform(drawn["time_width"][:, k], 0, min(span, int(share * n)))
        assert (drawn["time_start"] + drawn["time_width"]).max() == n


@pytest.mark.parametrize("policy", TABLE)
def test_a_policy_is_the_options_of_the_paper(policy):
    spectrogram = jax.random.normal(jax.random.key(1), (80, 400))
    warp, band, n_bands, span, share, n_spans = TABLE[policy]
    options = {"time_warp": warp, "time_max_fraction": share}
    for seed, n in ((0, 400), (1, 400), (2, 60)):
        key = jax.random.key(seed)
        expected = spec_augment(spectrogram, key, n_bands, n_spans, band, span, **options, n_valid_frames=n)
        found = spec_augment(spectrogram, key, policy=policy, n_valid_frames=n)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "stated",
    [
        {"freq_masks": 1},
        {"time_masks": 1},
        {"freq_mask_param": 14},
        {"time_mask_param": jnp.array(20)},
        {"time_max_fraction": 0.5},
        {"time_warp": 5},
    ],
)
def test_a_policy_with_an_option_that_it_sets_raises(stated):
    with pytest.raises(ValueError, match=rf"policy 'SS' sets {next(iter(stated))} to .* not both"):
        spec_augment(jnp.ones((5, 5)), jax.random.key(0), policy="SS", **stated)


def test_the_error_for_an_unknown_policy_lists_the_policies():
    with pytest.raises(ValueError, match="policy must be one of 'LB', 'LD', 'SM', 'SS', got 'XL'"):
        spec_augment(jnp.ones((5, 5)), jax.random.key(0), policy="XL")


def test_without_a_policy_the_default_options_apply():
    # An option left alone beside a policy has to pass for one that was not stated.
    stated = inspect.signature(spec_augment).parameters
    names = ("freq_masks", "time_masks", "freq_mask_param", "time_mask_param", "time_max_fraction", "time_warp")
    defaults = {name: stated[name].default for name in names}
    masked = spec_augment(jnp.ones((80, 400)), jax.random.key(0), policy="LB", **defaults)
    np.testing.assert_array_equal(masked, spec_augment(jnp.ones((80, 400)), jax.random.key(0), policy="LB"))


def test_spec_augment_warps_time_before_masking_and_draws_the_same_masks():
    spectrogram = jax.random.normal(jax.random.key(1), (40, 50))
    key = jax.random.key(0)
    first, second, third = jax.random.split(key, 3)
    warped = time_warp(spectrogram, third, 20)
    expected = time_mask(frequency_mask(warped, first, 2, 15), second, 2, 20)
    found, drawn = with_annotations(spec_augment)(spectrogram, key, time_warp=20)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found == 0, spec_augment(spectrogram, key) == 0)
    assert drawn["warp_distance"] != 0
    with pytest.raises(TypeError, match="complex64: take the magnitude, or leave time_warp at 0"):
        spec_augment(spectrogram.astype(jnp.complex64), key, time_warp=20)


@pytest.mark.parametrize("fill_value", ["mean", "min"])
def test_a_spectrogram_without_valid_frames_is_unchanged(fill_value):
    spectrogram = jnp.asarray(np.random.default_rng(0).random((10, 40)), jnp.float32)
    masked = jax.jit(lambda n: spec_augment(spectrogram, jax.random.key(0), fill_value=fill_value, n_valid_frames=n))
    np.testing.assert_array_equal(masked(jnp.int32(0)), spectrogram)


def test_widths_in_seconds_equal_those_in_frames():
    spectrogram, key = jnp.ones((20, 200)), jax.random.key(3)
    rate = {"sample_rate": 16000, "hop_length": 160}
    np.testing.assert_array_equal(
        time_mask(spectrogram, key, 3, mask_param_seconds=0.5, **rate), time_mask(spectrogram, key, 3, 50)
    )
    np.testing.assert_array_equal(
        spec_augment(spectrogram, key, time_mask_param_seconds=0.3, time_warp_seconds=0.2, **rate),
        spec_augment(spectrogram, key, time_mask_param=30, time_warp=20),
    )
    with pytest.raises(ValueError, match="exclude each other"):
        time_mask(spectrogram, key, mask_param=3, mask_param_seconds=0.5, **rate)
    with pytest.raises(ValueError, match="'SM' sets time_warp, got time_warp_seconds=0.2 too"):
        spec_augment(spectrogram, key, policy="SM", time_warp_seconds=0.2, **rate)
    with pytest.raises(TypeError, match="requires hop_length"):
        time_mask(spectrogram, key, mask_param_seconds=0.5, sample_rate=16000)
    with pytest.raises(TypeError, match="requires sample_rate"):
        time_mask(spectrogram, key, mask_param_seconds=0.5, hop_length=160)
