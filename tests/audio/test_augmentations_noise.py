import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from artifex.generative_models.modalities.audio import sound_bank, with_annotations, write_audio
from artifex.generative_models.modalities.audio.augmentations import (
    add_background_noise,
    add_colored_noise,
    add_gaussian_snr,
)
from artifex.generative_models.modalities.audio.augmentations.banks import default_noises

TONE = (0.3 * np.sin(2 * np.pi * 0.013 * np.arange(4096))).astype(np.float32)


def rms(audio, axis=-1):
    return np.sqrt(np.mean(np.square(np.asarray(audio, np.float64)), axis=axis))


def many(augmentation, audio, count, seed=0, **options):
    """What is added to a clip, and what was drawn, for many keys."""
    told = with_annotations(augmentation)
    keys = jax.random.split(jax.random.key(seed), count)
    noisy, drawn = jax.jit(jax.vmap(lambda key: told(jnp.asarray(audio), key, **options)))(keys)
    return np.asarray(noisy, np.float64) - audio, {name: np.asarray(value) for name, value in drawn.items()}


def test_gaussian_noise_has_the_drawn_ratio():
    added, drawn = many(add_gaussian_snr, TONE, 200)
    off = 20 * np.log10(rms(TONE) / rms(added)) - drawn["snr_db"]
    scatter = 20 / np.log(10) / np.sqrt(2 * TONE.size)
    assert np.abs(off).max() < 4.5 * scatter
    assert abs(off.mean()) < 4 * scatter / np.sqrt(200)
    assert stats.kstest(added[0] / rms(added[0]), "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(added[:20])[np.triu_indices(20, 1)]).max() < 4.5 / np.sqrt(TONE.size)


def test_channels_share_the_ratio_and_have_independent_noise():
    stereo = np.stack([TONE, 0 * TONE])
    for augmentation in (add_gaussian_snr, add_colored_noise):
        added, drawn = many(augmentation, stereo, 2)
        both = rms(stereo.reshape(-1)) * 10 ** (-drawn["snr_db"] / 20)
        np.testing.assert_allclose(rms(added), np.stack([both, both], -1), rtol=0.05)
        assert abs(np.corrcoef(added[0])[0, 1]) < 0.3


@pytest.fixture(scope="module")
def colored():
    """A compiled function of a slope that gives many noises."""
    keys = jax.random.split(jax.random.key(1), 200)
    told = with_annotations(add_colored_noise)
    return jax.jit(
        lambda slope: jax.vmap(lambda key: told(jnp.asarray(TONE), key, slope_db_range=(slope, slope)))(keys)
    )


@pytest.mark.parametrize("slope", [-6.0, -3.0, 0.0, 4.5])
def test_colored_noise_has_the_drawn_slope_and_exactly_the_drawn_ratio(colored, slope):
    noisy, drawn = colored(slope)
    added = np.asarray(noisy, np.float64) - TONE
    np.testing.assert_allclose(20 * np.log10(rms(TONE) / rms(added)), drawn["snr_db"], atol=2e-3)
    power = np.mean(np.abs(np.fft.rfft(added / rms(added)[:, None])) ** 2, axis=0)[1:-1]
    fitted = np.polyfit(np.log2(np.arange(1, power.size + 1)), 10 * np.log10(power), 1)[0]
    assert abs(fitted - slope) < 0.05
    np.testing.assert_allclose(drawn["slope_db"], slope, atol=1e-6)


LENGTHS = np.array([3000, 50, 900, 1000], np.int32)


@pytest.fixture(scope="module")
def bank():
    sounds = np.random.default_rng(0).standard_normal((4, 3000)).astype(np.float32)
    return np.where(np.arange(3000) < LENGTHS[:, None], sounds, 1e6).astype(np.float32)


@pytest.fixture(scope="module")
def backgrounds(bank):
    clip = TONE[:1000]
    return clip, *many(add_background_noise, clip, 2000, bank=bank, lengths=LENGTHS)


def test_background_noise_is_the_recording_at_its_offset_scaled_to_the_ratio(bank, backgrounds):
    clip, added, drawn = backgrounds
    for row in range(60):
        index, offset = drawn["index"][row], drawn["offset"][row]
        heard = bank[index].astype(np.float64)[(offset + np.arange(1000)) % LENGTHS[index]]
        gain = rms(clip) / rms(heard) * 10 ** (-drawn["snr_db"][row] / 20)
        np.testing.assert_allclose(added[row], gain * heard, atol=1e-6)


def test_recordings_and_offsets_are_uniform(backgrounds):
    drawn = backgrounds[2]
    assert stats.chisquare(np.bincount(drawn["index"], minlength=4)).pvalue > 1e-3
    places = np.array([2001, 50, 900, 1])[drawn["index"]]
    assert ((drawn["offset"] >= 0) & (drawn["offset"] < places)).all()
    share = (drawn["offset"] + np.random.default_rng(0).random(places.size)) / places
    for index in range(3):
        own = share[drawn["index"] == index]
        assert stats.kstest(own, "uniform").pvalue > 1e-3
        assert own.min() < 0.02
        assert own.max() > 0.98
    between = np.corrcoef(np.stack([drawn["index"], drawn["snr_db"], share]))[np.triu_indices(3, 1)]
    assert np.abs(between).max() < 4 / np.sqrt(2000)


def test_channels_of_a_bank_go_to_the_channels_of_the_clip():
    draws = np.random.default_rng(1)
    stereo = draws.standard_normal((2, 64)).astype(np.float32)
    sounds = draws.standard_normal((3, 2, 100)).astype(np.float32)
    for lengths in (None, np.array([90, 20, 64])):
        added, drawn = many(add_background_noise, stereo, 4, bank=sounds, lengths=lengths)
        for row in range(4):
            index = drawn["index"][row]
            place = (drawn["offset"][row] + np.arange(64)) % (100 if lengths is None else lengths[index])
            heard = sounds[index][:, place]
            gain = rms(stereo, None) / rms(heard, None) * 10 ** (-drawn["snr_db"][row] / 20)
            np.testing.assert_allclose(added[row], gain * heard, atol=2e-6)
    alike, _ = many(add_background_noise, stereo, 1, bank=sounds[:, 0])
    np.testing.assert_allclose(alike[0, 0], alike[0, 1], atol=1e-6)


def test_silence_stays_silent_and_silent_sounds_add_nothing():
    silence, key = jnp.zeros(100), jax.random.key(0)
    for augmentation in (add_gaussian_snr, add_colored_noise, add_background_noise):
        np.testing.assert_array_equal(augmentation(silence, key), silence)
    tone = jnp.asarray(TONE[:100])
    np.testing.assert_array_equal(add_background_noise(tone, key, bank=jnp.zeros((2, 300))), tone)


def test_default_noises_are_white_pink_and_brown():
    noises = default_noises()
    np.testing.assert_allclose(rms(noises), 0.1, rtol=1e-4)
    power = np.abs(np.fft.rfft(noises.astype(np.float64))) ** 2
    octaves = np.log2(np.arange(1, power.shape[1] - 1))
    for row, slope in zip(power, (0, -3.01, -6.02), strict=True):
        assert abs(np.polyfit(octaves, 10 * np.log10(row[1:-1]), 1)[0] - slope) < 0.15


def test_a_bank_is_read_from_files_and_examples(tmp_path):
    clip = TONE[:800]
    write_audio(tmp_path / "a.wav", clip, 8000)
    write_audio(tmp_path / "b.wav", np.stack([clip[:300], clip[:300]]), 8000)
    bank, lengths = sound_bank(tmp_path, length=500, sample_rate=8000)
    assert lengths.tolist() == [500, 300]
    np.testing.assert_allclose(bank[0], clip[:500], atol=2**-15)
    np.testing.assert_allclose(bank[1], np.where(np.arange(500) < 300, clip[:500], 0), atol=2**-15)
    resampled, lengths = sound_bank([str(tmp_path / "a.wav")], sample_rate=16000)
    assert resampled.shape == (1, 1600)
    examples = [{"audio": clip, "length": 700, "sample_rate": 8000}, {"audio": clip[:20]}]
    assert sound_bank(tmp_path, length_seconds=0.0625, sample_rate=8000)[0].shape == (2, 500)
    bank, lengths = sound_bank(iter(examples), sample_rate=8000)
    assert (bank.shape, lengths.tolist()) == ((2, 700), [700, 20])
    np.testing.assert_array_equal(bank[0], clip[:700])


@pytest.mark.parametrize(
    ("call", "error", "told"),
    [
        (lambda: sound_bank([], sample_rate=16000), ValueError, "at least one sound"),
        (
            lambda: sound_bank([np.ones((2, 3))], sample_rate=16000),
            ValueError,
            "sound 0 must be floating-point samples",
        ),
        (
            lambda: sound_bank([{"audio": np.ones(3), "sample_rate": 8}], sample_rate=16000),
            ValueError,
            "has 8 Hz, expected 16000 Hz",
        ),
        (lambda: add_background_noise(np.ones(5), jax.random.key(0), bank=np.ones(9)), ValueError, "takes a bank"),
        (
            lambda: add_background_noise(np.ones((2, 5)), jax.random.key(0), bank=np.ones((4, 3, 9))),
            ValueError,
            r"leading axes \(2,\), got shape \(4, 3, 9\)",
        ),
        (lambda: add_background_noise(np.ones(5), jax.random.key(0), lengths=[3]), ValueError, "without a bank"),
        (
            lambda: add_background_noise(np.ones(5), jax.random.key(0), bank=np.ones((2, 9)), lengths=[9, 10]),
            ValueError,
            "from 1 to 9 samples, got 9 to 10",
        ),
        (
            lambda: add_background_noise(np.ones(5), jax.random.key(0), bank=np.ones((2, 9)), lengths=[9]),
            ValueError,
            "one length for each of the 2 sounds",
        ),
        (
            lambda: add_background_noise(np.ones(5), jax.random.key(0), bank=np.ones((2, 9)), lengths=[9.0, 1.0]),
            TypeError,
            "integers",
        ),
        (lambda: add_colored_noise(np.ones(5), jax.random.key(0), slope_db_range=(-70, 0)), ValueError, "per octave"),
        (
            lambda: add_gaussian_snr(np.ones(5), jax.random.key(0), (40.0, 5.0)),
            ValueError,
            "snr_db_range must be .min, max.",
        ),
        (lambda: add_gaussian_snr(np.ones(5, np.int16), jax.random.key(0)), TypeError, "to_float"),
    ],
)
def test_an_invalid_option_raises(call, error, told):
    with pytest.raises(error, match=told):
        call()


def test_every_offset_within_the_recording_is_drawn():
    told = with_annotations(add_background_noise)
    keys = jax.random.split(jax.random.key(0), 200)
    drawn = jax.jit(jax.vmap(lambda key: told(jnp.ones(8), key, bank=jnp.ones((1, 10)))[1]))(keys)
    assert set(np.asarray(drawn["offset"]).tolist()) == {0, 1, 2}


@pytest.mark.parametrize("bank", ["a folder", (np.ones((2, 5)), np.ones(2))])
def test_a_path_or_a_pair_as_bank_raises(bank):
    with pytest.raises((TypeError, ValueError), match="sound_bank"):
        add_background_noise(jnp.ones(8), jax.random.key(0), bank=bank)
