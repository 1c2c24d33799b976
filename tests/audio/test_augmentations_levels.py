import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from artifex.generative_models.modalities.audio import with_annotations
from artifex.generative_models.modalities.audio.augmentations import (
    gain_transition,
    invert_polarity,
    normalize,
    random_loudness,
)

RATE = 16000
KEYS = 2000


@pytest.fixture(scope="module")
def fades():
    """Many fades of one second of ones, and what was drawn for each."""
    keys = jax.random.split(jax.random.key(0), KEYS)
    draw = with_annotations(gain_transition)
    gains, drawn = jax.jit(jax.vmap(lambda key: draw(jnp.ones(1000), key, sample_rate=1000)))(keys)
    return np.asarray(gains, np.float64), {name: np.asarray(value, np.float64) for name, value in drawn.items()}


def test_a_fade_is_linear_in_db(fades):
    gains, drawn = fades
    start, duration = drawn["start"], drawn["duration"]
    for row in range(0, KEYS, 40):
        ends = start[row], start[row] + duration[row]
        expected = np.interp(np.arange(1000) / 1000, ends, drawn["gain_db"][row])
        np.testing.assert_allclose(20 * np.log10(gains[row]), expected, atol=2e-4)


def test_the_start_of_a_fade_is_uniform(fades):
    drawn = fades[1]
    place = (drawn["start"] + drawn["duration"]) / (drawn["duration"] + 1)
    assert stats.kstest(place, "uniform").pvalue > 1e-3
    both = np.stack([place, drawn["duration"], *drawn["gain_db"].T])
    between = np.corrcoef(both)[np.triu_indices(4, 1)]
    assert np.abs(between).max() < 4 / np.sqrt(KEYS)
    for gain in drawn["gain_db"].T:
        assert stats.kstest(gain, "uniform", (-24, 30)).pvalue > 1e-3


def test_channels_share_the_fade_and_equal_gains_are_constant():
    stereo = jnp.stack([jnp.ones(200), jnp.linspace(-1, 1, 200)])
    faded = gain_transition(stereo, jax.random.key(3), duration_range=(0.01, 0.02), sample_rate=RATE)
    np.testing.assert_allclose(faded[1], faded[0] * stereo[1], atol=1e-6)
    steady = gain_transition(stereo, jax.random.key(3), (6.0, 6.0), sample_rate=RATE)
    np.testing.assert_allclose(steady, 10 ** (6 / 20) * stereo, rtol=1e-6)


def test_polarity_is_inverted_exactly():
    audio = jnp.array([[0.5, -0.25, 0.0], [jnp.nan, 1.0, -2.0]])
    np.testing.assert_array_equal(invert_polarity(audio, jax.random.key(0)), -np.asarray(audio))
    assert invert_polarity.draws is False


def test_normalize_scales_all_channels_by_one_peak():
    stereo = np.array([[0.1, -0.2], [0.05, 0.0]], np.float32)
    np.testing.assert_allclose(normalize(stereo, jax.random.key(0)), stereo * 5, rtol=1e-6)


@pytest.mark.parametrize(("threshold", "peak"), [(0.0, 1.0), (0.19, 1.0), (0.21, 0.2)])
def test_clips_below_the_threshold_are_unchanged(threshold, peak):
    audio = jnp.array([0.1, -0.2])
    np.testing.assert_allclose(jnp.abs(normalize(audio, jax.random.key(0), threshold=threshold)).max(), peak)


def lufs_of_a_tone(audio):
    """BS.1770 at 997 Hz, where its weighting makes up for its offset of -.691 dB."""
    return 10 * np.log10(np.mean(np.square(np.asarray(audio, np.float64)), axis=-1))


def test_a_tone_is_normalized_to_the_drawn_loudness():
    tone = 0.3 * jnp.sin(2 * jnp.pi * 997 / RATE * jnp.arange(RATE // 2, dtype=jnp.float32))
    keys = jax.random.split(jax.random.key(1), 8)
    draw = with_annotations(random_loudness)
    louder, drawn = jax.jit(jax.vmap(lambda key: draw(tone, key, sample_rate=RATE)))(keys)
    np.testing.assert_allclose(lufs_of_a_tone(louder), drawn["lufs"], atol=0.1)
    assert np.ptp(drawn["lufs"]) > 5


def test_channels_are_measured_together_and_share_the_gain():
    tone = jnp.sin(2 * jnp.pi * 997 / RATE * jnp.arange(RATE // 2, dtype=jnp.float32))
    stereo = jnp.stack([0.1 * tone, 0.2 * tone])
    louder = random_loudness(stereo, jax.random.key(0), (-20.0, -20.0), sample_rate=RATE)
    np.testing.assert_allclose(louder[1], 2 * louder[0], rtol=1e-5, atol=1e-6)
    power = sum(10 ** (lufs_of_a_tone(channel) / 10) for channel in louder)
    assert abs(10 * np.log10(power) + 20) < 0.1


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda x, key: gain_transition(x, key, (6.0, -6.0), sample_rate=RATE), "gain_db_range must be .min, max."),
        (lambda x, key: gain_transition(x, key, duration_range=(0, 1), sample_rate=RATE), "above 0 seconds, got 0"),
        (lambda x, key: random_loudness(x, key, (-80.0, -20.0), sample_rate=RATE), "from -70 to 0 LUFS, got -80.0"),
        (lambda x, key: random_loudness(x, key, sample_rate=100), "at least 4000 Hz, got 100"),
        (lambda x, key: random_loudness(jnp.ones((6, 10)), key, sample_rate=RATE), "at most 5 channels"),
        (lambda x, key: normalize(x, key, threshold=-0.1), "threshold must be"),
    ],
)
def test_an_option_out_of_range_raises(call, told):
    with pytest.raises(ValueError, match=told):
        call(jnp.ones(10), jax.random.key(0))
