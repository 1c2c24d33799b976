import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from artifex.generative_models.core import registry
from artifex.generative_models.modalities.audio import filter_augment, spectral_noise, with_annotations
from artifex.generative_models.modalities.audio.augmentations import works_on

BOTH = [spectral_noise, filter_augment]
KEYS = 4000


@functools.cache
def filters(n_freq, filter_type):
    """Gains in dB of many filters (KEYS, n_freq), and what was drawn for each."""
    one = with_annotations(filter_augment)
    options = {"filter_type": filter_type, "scale": "dB"}
    batched = jax.jit(jax.vmap(lambda key: one(jnp.zeros((n_freq, 1)), key, **options)))
    gains, drawn = batched(jax.random.split(jax.random.key(0), KEYS))
    return np.asarray(gains)[..., 0], {name: np.asarray(value) for name, value in drawn.items()}


@pytest.mark.parametrize("filter_type", ["step", "linear"])
def test_each_band_has_its_drawn_gain(filter_type):
    gains, drawn = filters(60, filter_type)
    for row in range(100):
        n_bands, drawn_gain = drawn["n_bands"][row], drawn["gain_db"][row]
        edges = [0, *drawn["edges"][row][: n_bands - 1], 60]
        bands = itertools.pairwise(edges)
        if filter_type == "step":
            pieces = [np.full(end - first, drawn_gain[k]) for k, (first, end) in enumerate(bands)]
        else:
            pieces = [np.linspace(*drawn_gain[k : k + 2], end - first) for k, (first, end) in enumerate(bands)]
        np.testing.assert_allclose(gains[row], np.concatenate(pieces), atol=2e-6)
        assert (drawn["edges"][row][n_bands - 1 :] == 60).all()


def test_the_number_of_bands_is_uniform_and_no_band_is_below_the_minimum_width():
    drawn = filters(60, "step")[1]
    counts = np.bincount(drawn["n_bands"], minlength=7)
    assert not counts[:3].any()
    assert stats.chisquare(counts[3:]).pvalue > 1e-3
    edges = np.pad(drawn["edges"], ((0, 0), (1, 0)))
    widths = np.diff(edges, append=60)
    present = np.arange(6) < drawn["n_bands"][:, None]
    assert widths[present].min() == 6
    assert not widths[~present].any()


def test_edges_divide_the_bins_beyond_the_minimum_widths_uniformly():
    drawn = filters(60, "step")[1]
    for n in (3, 4, 5, 6):
        edges = drawn["edges"][drawn["n_bands"] == n][:, : n - 1]
        spare = 60 - 6 * n
        counts = np.bincount((edges - 6 * np.arange(1, n)).ravel(), minlength=spare + 1)
        assert len(counts) == spare + 1
        assert stats.chisquare(counts).pvalue > 1e-3


def test_gains_are_uniform_and_uncorrelated_with_each_other_and_the_bands():
    drawn = filters(60, "linear")[1]
    assert drawn["gain_db"].shape == (KEYS, 7)
    assert stats.kstest(drawn["gain_db"].ravel(), "uniform", (-6, 12)).pvalue > 1e-3
    known = np.column_stack([drawn["gain_db"], drawn["n_bands"], drawn["edges"][:, 0]])
    between = np.corrcoef(known, rowvar=False)
    # The first edge and the number of bands do know of each other.
    assert np.abs(between[:7] - np.eye(9)[:7]).max() < 4.5 / np.sqrt(KEYS)


def test_too_few_bins_reduce_the_widths_of_bands_to_zero():
    gains, drawn = filters(4, "step")
    widths = np.diff(np.pad(drawn["edges"], ((0, 0), (1, 0))), append=4)
    assert (widths >= 0).all()
    assert (widths.sum(axis=1) == 4).all()
    for n in (3, 4):
        assert widths[drawn["n_bands"] == n][:, :n].min() == 1
    assert np.abs(gains).max() <= 6


@pytest.mark.parametrize(
    ("scale", "of_power"),
    [
        ("magnitude", np.sqrt),
        ("dB", lambda power: 10 * np.log10(power)),
        ("ln", np.log),
        ("log10", np.log10),
        ("power", np.asarray),
    ],
)
def test_every_scale_is_filtered_alike(scale, of_power):
    power = np.random.default_rng(0).uniform(0.1, 2, (40, 50))
    key = jax.random.key(0)
    gain_db = filter_augment(jnp.zeros((40, 50)), key, scale="dB")
    expected = of_power(power * 10 ** (np.asarray(gain_db, float) / 10))
    found = filter_augment(jnp.asarray(of_power(power), jnp.float32), key, scale=scale)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_complex_numbers_are_filtered_as_magnitudes_and_keep_their_phase():
    values = jnp.array([[1.0 + 1j, -2j] * 25] * 40)
    key = jax.random.key(0)
    filtered = filter_augment(values, key, scale="magnitude")
    np.testing.assert_allclose(
        filtered, np.asarray(values) * np.asarray(filter_augment(jnp.ones((40, 50)), key, scale="magnitude")), rtol=1e-6
    )
    with pytest.raises(TypeError, match='filter_augment expects a real spectrogram.* scale="magnitude"'):
        filter_augment(values, key)


@functools.cache
def noises(kind, dtype):
    """Spectrograms (30, 2, 40, 50) of which 45 frames are valid, the same with noise, and the ratios in dB."""
    values = 3 + np.random.default_rng(0).normal(size=(2, 30, 2, 40, 50))
    spectrograms = (values[0] + 1j * values[1]).astype(dtype) if dtype == "complex64" else values[0].astype(dtype)
    one = with_annotations(spectral_noise)
    batched = jax.jit(jax.vmap(lambda s, key: one(s, key, (0.0, 20.0), kind=kind, n_valid_frames=45)))
    noisy, drawn = batched(spectrograms, jax.random.split(jax.random.key(0), 30))
    return spectrograms, np.asarray(noisy), np.asarray(drawn["snr_db"])


@pytest.mark.parametrize(
    ("kind", "dtype"), [("additive", "float32"), ("additive", "complex64"), ("multiplicative", "complex64")]
)
def test_the_noise_has_the_drawn_ratio_and_is_gaussian(kind, dtype):
    clean, noisy, snr_db = noises(kind, dtype)
    np.testing.assert_array_equal(noisy[..., 45:], clean[..., 45:])
    clean, noise = clean[..., :45], (noisy - clean)[..., :45]
    reference = clean if kind == "multiplicative" else clean.std(axis=(-2, -1), keepdims=True)
    unit = noise / reference * 10 ** (snr_db / 20)[:, None, None, None]
    parts = np.stack([unit.real, unit.imag]) * np.sqrt(2) if dtype == "complex64" else unit[None]
    # The deviation of the estimate of a deviation from n values is 1 / sqrt(2 n).
    deviation = parts.std(axis=(-2, -1))
    assert np.abs(deviation - 1).max() < 5 / np.sqrt(2 * 40 * 45)
    assert stats.kstest(parts.ravel(), "norm").pvalue > 1e-3
    if dtype == "complex64":
        assert abs(np.corrcoef(parts[0].ravel(), parts[1].ravel())[0, 1]) < 4 / np.sqrt(parts[0].size)


def test_channels_share_the_ratio_and_have_independent_noise():
    clean, noisy, _ = noises("additive", "float32")
    noise = noisy - clean
    first, second = noise[:, 0, :, :45].ravel(), noise[:, 1, :, :45].ravel()
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(first.size)
    assert abs(np.corrcoef(noise[0, 0, :, :45].ravel(), noise[1, 0, :, :45].ravel())[0, 1]) < 4 / np.sqrt(1800)


def test_additive_noise_does_not_depend_on_the_offset_and_multiplicative_noise_leaves_silence():
    spectrogram = jax.random.normal(jax.random.key(0), (40, 50))
    key = jax.random.key(1)
    noise = spectral_noise(spectrogram, key) - spectrogram
    np.testing.assert_allclose(spectral_noise(spectrogram - 60, key) - (spectrogram - 60), noise, atol=2e-5)
    assert not spectral_noise(jnp.zeros((40, 50)), key, kind="multiplicative").any()


@pytest.mark.parametrize("function", BOTH)
def test_the_draw_does_not_depend_on_the_values(function):
    spectrograms = np.random.default_rng(0).normal(size=(2, 40, 50)).astype(np.float32)
    key = jax.random.key(5)
    (_, first), (_, second) = (with_annotations(function)(each, key) for each in spectrograms)
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name])


@pytest.mark.parametrize(
    ("function", "options", "error", "match"),
    [
        (spectral_noise, {"snr_db_range": (9, 3)}, ValueError, "snr_db_range must be .min, max."),
        (spectral_noise, {"kind": "pink"}, ValueError, "kind must be one of 'additive', 'multiplicative'"),
        (spectral_noise, {"n_valid_frames": 0}, ValueError, "n_valid_frames must be an integer from 1 to 5 frames"),
        (filter_augment, {"gain_db_range": (1, np.inf)}, ValueError, r"gain_db_range\[1\] must be a finite number"),
        (filter_augment, {"n_bands": (0, 3)}, ValueError, r"n_bands\[0\] must be an integer of at least 1"),
        (filter_augment, {"n_bands": (4, 3)}, ValueError, "n_bands must be .min, max."),
        (filter_augment, {"n_bands": 3}, ValueError, "n_bands must be .min, max."),
        (filter_augment, {"min_bandwidth": 0}, ValueError, "min_bandwidth must be an integer of at least 1 bin"),
        (filter_augment, {"filter_type": "cubic"}, ValueError, "filter_type must be one of 'linear', 'step'"),
        (filter_augment, {"scale": "mel"}, ValueError, "scale must be one of 'power', 'magnitude', 'dB'"),
    ],
)
def test_options_out_of_range_raise(function, options, error, match):
    with pytest.raises(error, match=match):
        function(jnp.ones((5, 5)), jax.random.key(0), **options)


@pytest.mark.parametrize("function", BOTH)
def test_they_are_registered_for_spectrograms(function):
    assert registry("augmentation")[function.__name__] is function
    assert works_on(function) == "spectrogram"
