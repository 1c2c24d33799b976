"""Griffin-Lim and the way back from mel bands, measured against librosa's own results."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest

from artifex.generative_models.extensions.audio_processing.spectral import (
    griffin_lim,
    magnitude_spectrogram,
    mel_spectrogram,
    mel_to_audio,
    mel_to_magnitude,
)

FRAMES = {"n_fft": 512, "hop_length": 128}


def convergence(audio, magnitude):
    """Spectral convergence: the distance of the magnitudes, relative to their norm."""
    again = np.abs(librosa.stft(np.asarray(audio), **FRAMES))
    return np.linalg.norm(again - magnitude) / np.linalg.norm(magnitude)


@pytest.fixture(scope="module")
def magnitude(chord):
    return np.abs(librosa.stft(chord, **FRAMES))


@pytest.mark.parametrize(("n_iter", "momentum"), [(0, 0.99), (3, 0.0), (3, 0.99)])
def test_few_steps_from_zero_phase_equal_librosas(magnitude, config, n_iter, momentum):
    expected = librosa.griffinlim(magnitude, n_iter=n_iter, momentum=momentum, init=None, length=8000, **FRAMES)
    ours = griffin_lim(magnitude, config, length=8000, n_iter=n_iter, momentum=momentum)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-3 * np.abs(expected).max())


def test_random_phases_settle_as_well_as_librosas(magnitude, config, quietly):
    options = {"length": 8000, **FRAMES}
    theirs = [
        convergence(quietly(librosa.griffinlim, magnitude, random_state=seed, **options), magnitude)
        for seed in range(16)
    ]
    start = np.broadcast_to(magnitude, (16, *magnitude.shape))
    ours = [convergence(audio, magnitude) for audio in griffin_lim(start, config, length=8000, key=jax.random.key(0))]
    assert np.mean(ours) < 1.1 * np.mean(theirs)


def test_each_example_starts_from_its_own_key(magnitude, config):
    key = jax.random.key(3)
    batch = griffin_lim(np.stack([magnitude, 2 * magnitude]), config, length=8000, n_iter=2, key=key)
    for i, row_key in enumerate(jax.random.split(key, 2)):
        alone = griffin_lim((i + 1) * magnitude, config, length=8000, n_iter=2, key=row_key)
        np.testing.assert_allclose(batch[i], alone, atol=1e-5)


def test_frames_left_out_at_the_end_leave_the_rest_as_it_is(magnitude, config):
    ours = griffin_lim(magnitude[:, :-1], config, length=8000, key=jax.random.key(0))
    assert ours.shape == (8000,)
    again = np.abs(librosa.stft(np.asarray(ours), **FRAMES))[:, :-1]
    assert np.linalg.norm(again - magnitude[:, :-1]) < 0.1 * np.linalg.norm(magnitude)


def test_more_frames_than_the_length_makes_are_an_error(magnitude, config):
    with pytest.raises(ValueError, match="63 frames are more than the 32 that length 4000 makes"):
        griffin_lim(magnitude, config, length=4000)


@pytest.mark.parametrize("signal", ["noise", "chord"])
def test_magnitudes_found_for_mel_bands_have_these_bands(signals, chord, config, signal):
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


def test_audio_found_for_mel_bands_has_these_bands_as_well_as_librosas(chord, config):
    mel = librosa.feature.melspectrogram(y=chord, sr=8000, n_mels=40, **FRAMES)

    def distance(audio):
        return np.linalg.norm(np.asarray(mel_spectrogram(np.asarray(audio), config)) - mel) / np.linalg.norm(mel)

    theirs = librosa.feature.inverse.mel_to_audio(mel, sr=8000, length=8000, **FRAMES)
    ours = mel_to_audio(mel, config, length=8000, key=jax.random.key(0))
    assert distance(ours) < 1.1 * distance(theirs)


def test_silence_and_what_no_audio_has_give_finite_audio_and_gradients(config):
    gradient = jax.jit(jax.value_and_grad(lambda mel: jnp.sum(mel_to_audio(mel, config, length=512, n_iter=2) ** 2)))
    for mel in (np.zeros((40, 5)), np.full((40, 5), -1.0), np.eye(40, 5)):
        value, slope = gradient(mel.astype(np.float32))
        assert np.isfinite(value)
        assert np.isfinite(slope).all()


def test_negative_mel_powers_count_as_none(config):
    assert not np.any(mel_to_magnitude(np.full((40, 3), -1.0, np.float32), config))


def test_row_with_nan_leaves_the_others_alone(signals, config):
    magnitude = np.stack([np.asarray(magnitude_spectrogram(signals["noise"], config))] * 2)
    clean = griffin_lim(magnitude, config, length=4000, n_iter=2)
    magnitude[0, 5, 5] = np.nan
    dirty = griffin_lim(magnitude, config, length=4000, n_iter=2)
    np.testing.assert_array_equal(dirty[1], clean[1])
    assert np.isnan(dirty[0]).any()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda c: griffin_lim(np.ones((257, 3), complex), c, length=256), TypeError, "real floating dtype"),
        (
            lambda c: griffin_lim(np.ones((255, 3)), c, length=256),
            ValueError,
            r"= 257, time\), not empty, got shape",
        ),
        (lambda c: griffin_lim(np.ones((257, 3)), c, length=256, momentum=1.5), ValueError, "momentum"),
        (lambda c: griffin_lim(np.ones((257, 3)), c, length=256, n_iter=-1), ValueError, "n_iter"),
        (
            lambda c: mel_to_magnitude(np.ones((41, 3)), c),
            ValueError,
            r"n_mels = 40, time\), not empty, got shape",
        ),
        (lambda c: mel_to_audio(np.ones((40, 3)), c, length=0), ValueError, "length"),
    ],
)
def test_wrong_input_is_named(config, call, error, message):
    with pytest.raises(error, match=message):
        call(config)
