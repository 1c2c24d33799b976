import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from artifex.generative_models.modalities.audio import with_annotations
from artifex.generative_models.modalities.audio.augmentations import (
    bit_crush,
    clip_distortion,
    mu_law_quantize,
    tanh_distortion,
    tremolo,
)
from artifex.generative_models.modalities.audio.preprocessing.companding import mu_law_decode, mu_law_encode

RATE = 8000


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).normal(0, 0.1, 4000).astype(np.float32)


def drawn_for(augmentation, audio, n_keys, seed=0, **options):
    """The augmented clip and the drawn parameters, for many keys."""
    keys = jax.random.split(jax.random.key(seed), n_keys)
    draw = with_annotations(augmentation)
    changed, drawn = jax.jit(jax.vmap(lambda key: draw(jnp.asarray(audio), key, **options)))(keys)
    return np.asarray(changed), {name: np.asarray(value) for name, value in drawn.items()}


def exceeded_by(share, audio):
    """The magnitude that a share of the samples exceed, by sorting."""
    return np.sort(np.abs(audio), axis=None)[audio.size - 1 - int(np.float32(share) * np.float32(audio.size))]


def test_the_drawn_fraction_of_samples_is_clipped(noise):
    clipped, drawn = drawn_for(clip_distortion, noise, 24)
    np.testing.assert_allclose((clipped != noise).mean(axis=-1), drawn["fraction"], atol=2 / 4000)
    for row, share in zip(clipped, drawn["fraction"], strict=True):
        level = exceeded_by(share, noise)
        np.testing.assert_allclose(row, np.clip(noise, -level, level), rtol=2e-5)


def test_thresholds_far_below_the_peak_are_found():
    quiet = np.random.default_rng(1).normal(0, 1e-3, 4000).astype(np.float32)
    quiet[7] = 1
    clipped = np.asarray(clip_distortion(quiet, jax.random.key(0), (0.25, 0.25)))
    assert abs((clipped != quiet).sum() - 1000) <= 1
    np.testing.assert_allclose(clipped[7], exceeded_by(0.25, quiet), rtol=2e-5)


def test_channels_share_the_threshold(noise):
    stereo = np.stack([noise[:2000], 3 * noise[2000:]])
    clipped = np.asarray(clip_distortion(stereo, jax.random.key(0), (0.2, 0.2)))
    assert abs((clipped != stereo).sum() - 800) <= 1
    assert clipped[1].max() == np.abs(clipped).max() > 0.1


def test_tanh_distortion_is_a_scaled_tanh_of_the_same_rms(noise):
    distorted, drawn = drawn_for(tanh_distortion, noise, 8)
    level = np.sqrt(np.mean(np.square(noise, dtype=np.float64)))
    for row, amount in zip(distorted, drawn["distortion"], strict=True):
        saturated = np.tanh(noise * 0.5 / (exceeded_by(np.float32(0.99) * amount, noise) + 1e-6))
        np.testing.assert_allclose(row, saturated * level / np.sqrt(np.mean(saturated**2)), rtol=1e-4)
    np.testing.assert_allclose(np.sqrt(np.mean(np.square(distorted), axis=-1)), level, rtol=1e-5)


def test_a_full_scale_sine_keeps_six_db_per_bit():
    sine = np.sin(2 * np.pi * 0.1234567 * np.arange(8000)).astype(np.float32)
    crushed, drawn = drawn_for(bit_crush, sine, 64, bit_depth_range=(8, 14))
    error = np.mean(np.square(crushed.astype(np.float64) - sine), axis=-1)
    snr_db = 10 * np.log10(np.mean(np.square(sine, dtype=np.float64)) / error)
    np.testing.assert_allclose(snr_db, 6.02 * drawn["bit_depth"] + 1.76, atol=0.3)
    assert set(drawn["bit_depth"].tolist()) == set(range(8, 15))


@pytest.mark.parametrize("n_bits", [1, 4, 16])
def test_crushed_samples_are_the_nearest_steps(noise, n_bits):
    steps = 2.0 ** (n_bits - 1)
    crushed = bit_crush(noise, jax.random.key(0), (n_bits, n_bits))
    np.testing.assert_array_equal(crushed, np.round(noise * steps) / steps)


@pytest.mark.parametrize(("augmentation", "bits"), [(bit_crush, (5, 10)), (mu_law_quantize, (5, 8))])
def test_bit_depths_are_uniform(augmentation, bits):
    counts = np.bincount(drawn_for(augmentation, np.ones(1), 3000)[1]["bit_depth"])
    assert counts[: bits[0]].sum() == 0
    assert len(counts) == bits[1] + 1
    assert stats.chisquare(counts[bits[0] :]).pvalue > 1e-3


@pytest.mark.parametrize("augmentation", [bit_crush, mu_law_quantize])
def test_the_gradient_passes_straight_through_the_rounding(augmentation, noise):
    slope = jax.grad(lambda x: jnp.sum(augmentation(x, jax.random.key(0))))(jnp.asarray(noise[:50]))
    np.testing.assert_array_equal(slope, 1)


@pytest.mark.parametrize("n_bits", [1, 5, 8, 16])
def test_mu_law_steps_are_those_of_the_codec(noise, n_bits):
    quantized = mu_law_quantize(4 * noise, jax.random.key(0), (n_bits, n_bits))
    expected = mu_law_decode(mu_law_encode(4 * noise, 2**n_bits), 2**n_bits)
    apart = np.abs(np.asarray(quantized) - np.asarray(expected)) > 1e-5
    # At the finest a sample that lies between two steps may go either way.
    assert apart.sum() <= (2 if n_bits == 16 else 0)
    assert len(np.unique(np.asarray(quantized).round(6))) <= 2**n_bits


def test_quantization_keeps_nan_in_place():
    audio = jnp.array([0.5, jnp.nan, -0.5])
    for augmentation in (bit_crush, mu_law_quantize):
        np.testing.assert_array_equal(np.isnan(augmentation(audio, jax.random.key(0))), [False, True, False])


def test_tremolo_is_modulation_by_the_drawn_sine():
    ones = np.ones((2, 4000), np.float32)
    swelling, drawn = drawn_for(tremolo, ones, 16, sample_rate=RATE)
    time = np.arange(4000) / RATE
    rate, depth, phase = (drawn[name].astype(np.float64)[:, None] for name in ("rate", "depth", "phase"))
    expected = 1 - depth * (0.5 + 0.5 * np.sin(2 * np.pi * (rate * time + phase)))
    np.testing.assert_allclose(swelling[:, 0], expected, atol=2e-6)
    np.testing.assert_array_equal(swelling[:, 1], swelling[:, 0])


def test_tremolo_phases_are_uniform():
    drawn = drawn_for(tremolo, np.ones(1), 2000, sample_rate=RATE)[1]
    assert stats.kstest(drawn["phase"], "uniform").pvalue > 1e-3
    between = np.corrcoef(np.stack([drawn[name] for name in ("phase", "rate", "depth")]))[np.triu_indices(3, 1)]
    assert np.abs(between).max() < 4 / np.sqrt(2000)


@pytest.mark.parametrize(
    ("call", "error", "told"),
    [
        (lambda x, key: clip_distortion(x, key, (0.1, 1.2)), ValueError, "from 0 to 1, got 1.2"),
        (lambda x, key: tanh_distortion(x, key, (0.5, 0.1)), ValueError, "min <= max, got .0.5, 0.1."),
        (lambda x, key: bit_crush(x, key, (0, 4)), ValueError, "from 1 to 24 bits, got 0"),
        (lambda x, key: bit_crush(x, key, (4.5, 8)), TypeError, "an integer from 1 to 24 bits, got 4.5"),
        (lambda x, key: mu_law_quantize(x, key, (8, 17)), ValueError, "from 1 to 16 bits, got 17"),
        (lambda x, key: tremolo(x, key, depth_range=(0, 2), sample_rate=RATE), ValueError, "from 0 to 1, got 2"),
        (lambda x, key: tremolo(x, key, (-1, 2), sample_rate=RATE), ValueError, "at least 0 Hz, got -1"),
    ],
)
def test_an_option_out_of_range_raises(call, error, told):
    with pytest.raises(error, match=told):
        call(jnp.ones(10), jax.random.key(0))
