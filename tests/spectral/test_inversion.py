"""Griffin-Lim and the inversion of mel bands, levels and cepstral coefficients, compared with librosa."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest

from artifex.generative_models.extensions.audio_processing.spectral import (
    log_mel_spectrogram,
    magnitude_spectrogram,
    mel_spectrogram,
    mfcc,
)
from artifex.generative_models.extensions.audio_processing.spectral.inversion import (
    griffin_lim,
    log_mel_to_audio,
    log_mel_to_mel,
    mel_to_audio,
    mel_to_magnitude,
    mfcc_to_audio,
    mfcc_to_log_mel,
)

FRAMES = {"n_fft": 512, "hop_length": 128}


def convergence(audio, magnitude):
    """Return the spectral convergence: the error of the magnitudes, relative to their norm."""
    again = np.abs(librosa.stft(np.asarray(audio), **FRAMES))
    return np.linalg.norm(again - magnitude) / np.linalg.norm(magnitude)


@pytest.fixture(scope="module")
def magnitude(chord):
    return np.abs(librosa.stft(chord, **FRAMES))


@pytest.mark.parametrize(("n_iter", "momentum"), [(0, 0.99), (3, 0.0), (3, 0.99)])
def test_first_iterations_from_zero_phases_equal_librosa(magnitude, config, n_iter, momentum):
    expected = librosa.griffinlim(magnitude, n_iter=n_iter, momentum=momentum, init=None, length=8000, **FRAMES)
    ours = griffin_lim(magnitude, config, length=8000, n_iter=n_iter, momentum=momentum)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-3 * np.abs(expected).max())


def test_random_phases_converge_as_well_as_librosa(magnitude, config, quietly):
    options = {"length": 8000, **FRAMES}
    theirs = [
        convergence(quietly(librosa.griffinlim, magnitude, random_state=seed, **options), magnitude)
        for seed in range(16)
    ]
    start = np.broadcast_to(magnitude, (16, *magnitude.shape))
    ours = [convergence(audio, magnitude) for audio in griffin_lim(start, config, length=8000, key=jax.random.key(0))]
    assert np.mean(ours) < 1.1 * np.mean(theirs)


def test_each_example_has_its_own_key(magnitude, config):
    key = jax.random.key(3)
    batch = griffin_lim(np.stack([magnitude, 2 * magnitude]), config, length=8000, n_iter=2, key=key)
    for i, row_key in enumerate(jax.random.split(key, 2)):
        alone = griffin_lim((i + 1) * magnitude, config, length=8000, n_iter=2, key=row_key)
        np.testing.assert_allclose(batch[i], alone, atol=1e-5)


def test_missing_frames_at_the_end_do_not_change_the_rest(magnitude, config):
    ours = griffin_lim(magnitude[:, :-1], config, length=8000, key=jax.random.key(0))
    assert ours.shape == (8000,)
    again = np.abs(librosa.stft(np.asarray(ours), **FRAMES))[:, :-1]
    assert np.linalg.norm(again - magnitude[:, :-1]) < 0.1 * np.linalg.norm(magnitude)


def test_more_frames_than_the_length_has_raise(magnitude, config):
    with pytest.raises(ValueError, match="magnitude must have at most 32 frames for length 4000 .* got 63"):
        griffin_lim(magnitude, config, length=4000)


@pytest.mark.parametrize("signal", ["noise", "chord"])
def test_magnitudes_of_mel_bands_have_the_same_bands(signals, chord, config, signal):
    audio = chord if signal == "chord" else signals["noise"]
    mel = librosa.feature.melspectrogram(y=audio, sr=8000, n_mels=40, **FRAMES)
    bank = librosa.filters.mel(sr=8000, n_fft=512, n_mels=40)
    theirs = bank @ librosa.feature.inverse.mel_to_stft(mel, sr=8000, n_fft=512) ** 2
    ours = bank @ np.asarray(mel_to_magnitude(mel, config)) ** 2

    def distance(found):
        return np.linalg.norm(found - mel) / np.linalg.norm(mel)

    def level_distance(found):
        return np.abs(librosa.power_to_db(found, top_db=None) - librosa.power_to_db(mel, top_db=None)).mean()

    assert distance(ours) < max(0.001, 0.1 * distance(theirs))
    assert level_distance(ours) < max(0.01, 0.05 * level_distance(theirs))


def test_audio_from_mel_bands_has_the_same_bands_as_accurately_as_librosa(chord, config):
    mel = librosa.feature.melspectrogram(y=chord, sr=8000, n_mels=40, **FRAMES)

    def distance(audio):
        return np.linalg.norm(np.asarray(mel_spectrogram(np.asarray(audio), config)) - mel) / np.linalg.norm(mel)

    theirs = librosa.feature.inverse.mel_to_audio(mel, sr=8000, length=8000, **FRAMES)
    ours = mel_to_audio(mel, config, length=8000, key=jax.random.key(0))
    assert distance(ours) < 1.1 * distance(theirs)


LEVELS = {
    "db": {},
    "db of magnitudes": {"power": 1, "ref": 20.0, "amin": 1e-4},
    "ln, as HiFi-GAN": {"log": "ln", "power": 1, "power_offset": 1e-9, "amin": 1e-5},
    "log10, scaled as Whisper": {"log": "log10", "level_offset": 4.0, "level_scale": 0.25},
    "16 bits, pre-emphasized": {"input_scale": 32768.0, "preemphasis": 0.97, "remove_dc": True, "log": "ln"},
}


@pytest.mark.parametrize("options", LEVELS.values(), ids=LEVELS)
def test_log_mel_to_mel_inverts_log_mel_spectrogram(chord, config, options):
    config = config.evolve(top_db=None, **options)
    mel = np.asarray(mel_spectrogram(chord[:2000], config))
    levels = log_mel_spectrogram(chord[:2000], config)
    np.testing.assert_allclose(log_mel_to_mel(levels, config), np.maximum(mel, config.amin), rtol=1e-4)


@pytest.mark.parametrize("norm", ["ortho", "htk", None])
@pytest.mark.parametrize("options", [{}, {"lifter": 22.0}, {"c0_last": True, "lifter": 22.0}])
def test_n_mels_coefficients_are_inverted_exactly(chord, config, norm, options):
    levels = np.asarray(log_mel_spectrogram(chord[:2000], config))
    config = config.evolve(dct_norm=norm, n_mfcc=40, **options)
    found = mfcc_to_log_mel(mfcc(chord[:2000], config), config)
    np.testing.assert_allclose(found, levels, atol=1e-3)


def test_mel_bands_of_few_coefficients_equal_librosa(chord, config):
    cepstra = np.asarray(mfcc(chord[:2000], config, n_mfcc=13))
    expected = librosa.feature.inverse.mfcc_to_mel(cepstra, n_mels=40)
    np.testing.assert_allclose(log_mel_to_mel(mfcc_to_log_mel(cepstra, config), config), expected, rtol=1e-4)


def test_audio_from_levels_and_from_all_coefficients_equals_audio_from_mel_bands(chord, config):
    audio, key = chord[:2000], jax.random.key(0)
    options = {"length": 2000, "n_iter": 2, "key": key}
    mel = np.asarray(mel_spectrogram(audio, config))
    expected = np.asarray(mel_to_audio(np.maximum(mel, 1e-8 * mel.max()), config, **options))
    for found in (
        log_mel_to_audio(log_mel_spectrogram(audio, config), config, **options),
        mfcc_to_audio(mfcc(audio, config, n_mfcc=40), config, **options),
    ):
        np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["ln, as HiFi-GAN", "16 bits, pre-emphasized"])
def test_audio_from_levels_has_the_level_of_the_original(chord, config, name):
    """Processing of the audio before the transform, and of the levels after it, is inverted."""
    config, audio = config.evolve(**LEVELS[name]), chord[:2000]
    found = np.asarray(log_mel_to_audio(log_mel_spectrogram(audio, config), config, length=2000, n_iter=8))
    assert 0.8 < found.std() / audio.std() < 1.25


UNEVEN = {
    "not padded": {"center": False},
    "as Kaldi": {"center": False, "window_place": "start", "win_length": 400, "window_type": "povey"},
    "padded less": {"center": False, "pad_length": 192, "pad_mode": "reflect"},
}


@pytest.mark.parametrize("options", UNEVEN.values(), ids=UNEVEN)
def test_poorly_covered_ends_are_not_amplified(signals, config, options):
    config = config.evolve(**options)
    magnitude = magnitude_spectrogram(signals["noise"], config)
    found = np.asarray(griffin_lim(magnitude, config, length=4000, key=jax.random.key(0)))
    assert np.abs(found).max() < 2 * np.abs(signals["noise"]).max()
    again = magnitude_spectrogram(found, config)
    assert np.linalg.norm(again - magnitude) < 0.3 * np.linalg.norm(magnitude)


def test_example_does_not_depend_on_the_batch_size(signals, config):
    """On a CPU 40 examples are processed in chunks."""
    key = jax.random.key(0)
    mel = np.asarray(mel_spectrogram(signals["noise"], config))
    mels = mel * np.linspace(0.5, 1, 40, dtype=np.float32)[:, None, None]
    magnitudes = np.asarray(mel_to_magnitude(mels, config, n_iter=3))
    many = np.asarray(griffin_lim(magnitudes, config, length=4000, n_iter=1, key=key))
    assert many.shape == (40, 4000)
    for i in (0, 39):
        magnitude = np.asarray(mel_to_magnitude(mels[i], config, n_iter=3))
        np.testing.assert_allclose(magnitudes[i], magnitude, rtol=1e-3, atol=1e-5 * magnitude.max())
        row_key = jax.random.split(key, 40)[i]
        alone = griffin_lim(magnitudes[i], config, length=4000, n_iter=1, key=row_key)
        np.testing.assert_allclose(many[i], alone, atol=1e-4)
    folded = mel_to_magnitude(mels.reshape(4, 10, *mel.shape), config, n_iter=3)
    np.testing.assert_array_equal(folded.reshape(magnitudes.shape), magnitudes)


def test_one_compilation_for_all_keys(magnitude, config):
    count = 0

    @jax.jit
    def find(key):
        nonlocal count
        count += 1
        return griffin_lim(magnitude, config, length=8000, n_iter=1, key=key)

    first, second = (np.asarray(find(jax.random.key(seed))) for seed in (0, 1))
    assert count == 1
    assert np.abs(first - second).max() > 0.01


@pytest.mark.parametrize(
    ("find", "rows"), [(log_mel_to_mel, 40), (mfcc_to_log_mel, 13), (mel_to_magnitude, 40), (mfcc_to_audio, 13)]
)
def test_half_precision_is_computed_in_float32_and_returned(config, find, rows):
    options = {"length": 512, "n_iter": 1} if find is mfcc_to_audio else {}
    given = np.linspace(-2, 2, 5 * rows, dtype=np.float16).reshape(rows, 5)
    found = find(given, config, **options)
    assert found.dtype == np.float16
    single = np.asarray(find(given.astype(np.float32), config, **options))
    np.testing.assert_allclose(found, single, rtol=1e-3, atol=1e-3 * np.abs(single).max())


def test_silence_and_inconsistent_spectra_give_finite_audio_and_gradients(config):
    gradient = jax.jit(jax.value_and_grad(lambda mel: jnp.sum(mel_to_audio(mel, config, length=512, n_iter=2) ** 2)))
    for mel in (np.zeros((40, 5)), np.full((40, 5), -1.0), np.eye(40, 5)):
        value, slope = gradient(mel.astype(np.float32))
        assert np.isfinite(value)
        assert np.isfinite(slope).all()


def test_cepstra_of_silence_have_finite_gradients(config):
    """Through levels and mel powers."""
    gradient = jax.jit(jax.value_and_grad(lambda c: jnp.sum(mfcc_to_audio(c, config, length=512, n_iter=1) ** 2)))
    silent = np.asarray(mfcc(np.zeros(512, np.float32), config))
    for cepstra in (np.zeros_like(silent), silent, 10 * silent):
        value, slope = gradient(cepstra)
        assert np.isfinite(value)
        assert np.isfinite(slope).all()


def test_negative_mel_powers_count_as_zero(config):
    assert not np.any(mel_to_magnitude(np.full((40, 3), -1.0, np.float32), config))


def test_nan_in_one_example_does_not_affect_the_others(signals, config):
    magnitude = np.stack([np.asarray(magnitude_spectrogram(signals["noise"], config))] * 2)
    clean = griffin_lim(magnitude, config, length=4000, n_iter=2)
    magnitude[0, 5, 5] = np.nan
    dirty = griffin_lim(magnitude, config, length=4000, n_iter=2)
    np.testing.assert_array_equal(dirty[1], clean[1])
    assert np.isnan(dirty[0]).any()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda c: griffin_lim(np.ones((257, 3), complex), c, length=256),
            TypeError,
            "magnitude must be real floating point",
        ),
        (
            lambda c: griffin_lim(np.ones((255, 3)), c, length=256),
            ValueError,
            r"= 257, time\) and not empty, got shape",
        ),
        (lambda c: griffin_lim(np.ones((257, 3)), c, length=256, momentum=1.5), ValueError, "momentum"),
        (lambda c: griffin_lim(np.ones((257, 3)), c, length=256, n_iter=-1), ValueError, "n_iter"),
        (
            lambda c: mel_to_magnitude(np.ones((41, 3)), c),
            ValueError,
            r"n_mels = 40, time\) and not empty, got shape",
        ),
        (lambda c: mel_to_audio(np.ones((40, 3)), c, length=0), ValueError, "length"),
        (lambda c: mel_to_audio(np.ones((40, 3)), c, length=256, key=0), TypeError, "griffin_lim takes one random key"),
        (lambda c: log_mel_to_mel(np.ones((40, 3), int), c), TypeError, "levels must be real floating point"),
        (lambda c: log_mel_to_audio(np.ones((3, 40)), c, length=256), ValueError, "n_mels = 40"),
        (lambda c: mfcc_to_log_mel(np.ones((41, 3)), c), ValueError, "at most n_mels = 40"),
        (lambda c: mfcc_to_audio(np.ones((13, 3)), c.evolve(use_energy=True), length=256), ValueError, "use_energy"),
    ],
)
def test_invalid_input_raises(config, call, error, message):
    with pytest.raises(error, match=message):
        call(config)
