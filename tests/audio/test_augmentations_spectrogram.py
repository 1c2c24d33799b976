import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from artifex.generative_models.core import create, registry
from artifex.generative_models.modalities.audio import frequency_mask, spec_augment, time_mask
from artifex.generative_models.modalities.audio.augmentations import on_spectrogram, works_on

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
def test_width_is_uniform_up_to_the_parameter_and_start_up_to_the_last_place(function):
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
def test_every_place_is_masked_at_times_the_last_included(function):
    assert covered(function, 40, mask_param=3).any(axis=0).all()


@pytest.mark.parametrize(
    ("function", "options", "widest"),
    [
        (frequency_mask, {"mask_param": 20}, 9),
        (time_mask, {"mask_param": 20}, 9),
        (time_mask, {"mask_param": 20, "max_share": 1.0}, 10),
        (frequency_mask, {"mask_param": 20, "max_share": 0.3}, 3),
        (frequency_mask, {"mask_param": 2, "max_share": 0.3}, 2),
    ],
)
def test_one_mask_leaves_a_place_unless_it_is_told_how_much_it_may_cover(function, options, widest):
    assert_uniform(covered(function, 10, **options).sum(axis=1), 0, widest)


@pytest.mark.parametrize("function", MASKS)
def test_an_axis_of_one_place_is_left(function):
    ones = jnp.ones((1, 1))
    assert all(function(ones, jax.random.key(seed), mask_param=5) == ones for seed in range(10))


def test_several_masks_are_drawn_apart():
    mask = covered(time_mask, 40, num_masks=3, mask_param=10)
    assert mask.sum(axis=1).max() > 20
    # The expected cover of one place by three masks that know nothing of each other.
    one = covered(time_mask, 40, mask_param=10).mean(axis=0)
    np.testing.assert_allclose(mask.mean(axis=0)[10:-10], (1 - (1 - one) ** 3)[10:-10], atol=0.05)


@pytest.mark.parametrize("function", ALL)
def test_no_masks_and_no_width_leave_all_as_it_is(function):
    spectrogram = jnp.arange(2000.0).reshape(40, 50)
    key = jax.random.key(0)
    kinds = ("freq_masks", "time_masks") if function is spec_augment else ("num_masks",)
    params = ("freq_mask_param", "time_mask_param") if function is spec_augment else ("mask_param",)
    for names in (kinds, params):
        np.testing.assert_array_equal(function(spectrogram, key, **dict.fromkeys(names, 0)), spectrogram)
    shares = ("freq_max_share", "time_max_share") if function is spec_augment else ("max_share",)
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
def test_what_is_not_finite_stays_in_its_spectrogram(fill_value):
    spectrograms = np.random.default_rng(0).normal(size=(3, 40, 50)).astype(np.float32)
    spoilt = spectrograms.copy()
    spoilt[1] = np.nan
    key = jax.random.key(0)
    expected = np.asarray(spec_augment(spectrograms, key, fill_value=fill_value))
    found = np.asarray(spec_augment(spoilt, key, fill_value=fill_value))
    np.testing.assert_array_equal(found[[0, 2]], expected[[0, 2]])


@pytest.mark.parametrize("function", [time_mask, spec_augment])
def test_masks_lie_among_the_valid_frames(function):
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
def test_statistics_leave_the_padding_out(fill_value, expected):
    spectrogram = jnp.array([[1.0, 3.0, -90.0, -90.0]] * 4)
    masked = frequency_mask(spectrogram, jax.random.key(1), mask_param=3, fill_value=fill_value, n_valid_frames=2)
    changed = np.asarray(masked != spectrogram)
    assert changed.any()
    assert set(np.asarray(masked)[changed].tolist()) == {expected}


def test_a_share_of_the_valid_frames_bounds_the_width():
    keys = jax.random.split(jax.random.key(0), 2000)

    def one(key, n):
        return time_mask(jnp.ones((1, 100)), key, mask_param=90, max_share=0.29, n_valid_frames=n)

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
def test_the_gradient_passes_what_is_not_masked(function):
    spectrogram, key = jnp.ones((40, 50)), jax.random.key(0)
    gradient = jax.grad(lambda s: function(s, key).sum())(spectrogram)
    np.testing.assert_array_equal(gradient, function(spectrogram, key))


@pytest.mark.parametrize("function", ALL)
@pytest.mark.parametrize("shape", [(), (5,), (0, 5), (5, 0)])
def test_what_has_no_bins_and_frames_is_refused(function, shape):
    with pytest.raises(ValueError, match=rf"{function.__name__} takes a spectrogram \(\.\.\., freq, time\)"):
        function(jnp.ones(shape), jax.random.key(0))


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"num_masks": -1}, ValueError, "num_masks must be an integer of at least 0"),
        ({"num_masks": 1.5}, TypeError, "num_masks must be an integer"),
        ({"mask_param": -1}, ValueError, "mask_param must be an integer of at least 0"),
        ({"max_share": 1.5}, ValueError, "max_share must be a finite number from 0 to 1"),
        ({"fill_value": "median"}, ValueError, "fill_value must be one of 'mean', 'min'"),
        ({"fill_value": np.nan}, ValueError, "fill_value must be a finite number"),
        ({"n_valid_frames": 6}, ValueError, "n_valid_frames must be an integer from 1 to 5 frames"),
    ],
)
@pytest.mark.parametrize("function", MASKS)
def test_options_out_of_range_are_refused(function, options, error, match):
    with pytest.raises(error, match=match):
        function(jnp.ones((5, 5)), jax.random.key(0), **options)


def test_spec_augment_names_the_option_that_is_out_of_range():
    with pytest.raises(ValueError, match="time_mask_param must be an integer of at least 0"):
        spec_augment(jnp.ones((5, 5)), jax.random.key(0), time_mask_param=-1)


def test_integers_and_the_minimum_of_complex_numbers_are_refused():
    with pytest.raises(TypeError, match="int32"):
        time_mask(jnp.ones((5, 5), jnp.int32), jax.random.key(0))
    with pytest.raises(TypeError, match="no minimum"):
        time_mask(jnp.ones((5, 5), jnp.complex64), jax.random.key(0), fill_value="min")


@pytest.mark.parametrize("function", ALL)
def test_they_are_found_by_name_and_marked(function):
    assert registry("augmentation")[function.__name__] is function
    assert works_on(function) == "spectrogram"
    assert works_on(create("augmentation", function.__name__, fill_value="mean")) == "spectrogram"
    assert works_on(registry("augmentation")["time_shift"]) == "waveform"


def test_the_mark_leaves_the_function_itself():
    def halved(spectrogram, key):
        return spectrogram / 2

    assert on_spectrogram(halved) is halved


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
