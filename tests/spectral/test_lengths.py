"""Variable-length clips in one batch: padding has no effect, and the valid frames are counted."""

from __future__ import annotations

import inspect
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from artifex.generative_models.core import create
from artifex.generative_models.extensions.audio_processing import spectral
from artifex.generative_models.extensions.audio_processing.spectral import log_mel_spectrogram, mfcc, stft

FEATURES = {
    name: function
    for name in spectral.__all__
    if name != "analyze" and "lengths" in inspect.signature(function := getattr(spectral, name)).parameters
}
# At 8 kHz there are fewer than six octaves above 200 Hz.
FEATURES["spectral_contrast"] = partial(spectral.spectral_contrast, n_bands=3)
LENGTHS = (4000, 1303)


@pytest.fixture(scope="module")
def clips():
    """Two noise clips of different lengths, and a batch of them in which loud noise follows the shorter one."""
    rng = np.random.default_rng(1)
    batch = (5 * rng.standard_normal((2, 4000))).astype(np.float32)
    for row, length in zip(batch, LENGTHS, strict=True):
        row[:length] *= 0.1 * np.exp(-np.arange(length) / 1000)
    return [row[:length] for row, length in zip(batch, LENGTHS, strict=True)], batch


def assert_valid_frames_equal(function, clips, config):
    alone, batch = clips
    values, n_frames = function(batch, config, lengths=np.array(LENGTHS)), config.n_frames(np.array(LENGTHS))
    for row, (clip, length) in enumerate(zip(alone, LENGTHS, strict=True)):
        expected = np.asarray(function(clip, config))
        assert int(n_frames[row]) == expected.shape[-1] == config.n_frames(length)
        found = np.asarray(values)[row][..., : expected.shape[-1]]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max(), err_msg=f"row {row}")


@pytest.mark.parametrize("function", FEATURES.values(), ids=FEATURES)
def test_valid_frames_equal_those_of_the_clip_alone(function, clips, config):
    assert_valid_frames_equal(function, clips, config)


@pytest.mark.parametrize("name", ["whisper", "kaldi", "lhotse", "hifigan", "torchaudio_mfcc"])
def test_valid_frames_equal_those_of_the_clip_alone_for_every_padding(name, clips):
    """Zeros, both reflections, no padding; dropped and rounded frames; power and magnitude."""
    preset = create("preset", name, sample_rate=8000, f_max=None, n_mels=20, n_mfcc=None)
    preset = preset.evolve(n_fft=512, win_length=400, hop_length=150, pad_length=preset.pad_length and 180)
    assert_valid_frames_equal(mfcc if name == "torchaudio_mfcc" else log_mel_spectrogram, clips, preset)


def test_frames_past_the_valid_ones_are_silent(clips, config):
    spectra = stft(clips[1], config, lengths=np.array(LENGTHS))
    past = np.arange(spectra.shape[-1]) >= config.n_frames(np.array(LENGTHS))[:, None]
    assert not np.abs(spectra)[past[:, None] & np.ones((1, config.n_freq, 1), bool)].any()
    assert past.sum() == sum(config.n_frames(4000) - config.n_frames(length) for length in LENGTHS)


def test_length_zero_has_no_frames_and_nan_in_the_padding_is_ignored(clips, config):
    batch = clips[1].copy()
    batch[:, 1303:] = np.nan
    levels = log_mel_spectrogram(batch, config, lengths=np.array([1303, 1]))
    assert np.isfinite(levels).all()
    assert config.n_frames([1303, 1, 0]).tolist() == [11, 1, 0]
    nothing = log_mel_spectrogram(batch, config, lengths=np.array([0, 1303]))[0]
    np.testing.assert_array_equal(nothing, log_mel_spectrogram(np.zeros(4000, np.float32), config))


def test_lengths_are_traced_and_broadcast(clips, config):
    traces = []

    @jax.jit
    def run(lengths):
        traces.append(None)
        return log_mel_spectrogram(clips[1], config, lengths=lengths)

    for length in (1000, 2000):
        values = run(jnp.asarray(length))
        expected = log_mel_spectrogram(clips[1][:, :length], config)
        np.testing.assert_allclose(values[..., : config.n_frames(length)], expected, rtol=0, atol=1e-3)
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("lengths", "error", "message"),
    [
        ([1.0, 2.0], TypeError, "lengths must be integers, numbers of samples, got float64"),
        ([4001, 1], ValueError, "from 0 to 4000 samples, got 4001"),
        ([-1, 1], ValueError, "from 0 to 4000 samples, got -1"),
        ([1, 2, 3], ValueError, r"lengths must broadcast to the leading axes \(2,\), got shape \(3,\)"),
    ],
)
def test_invalid_lengths_raise(clips, config, lengths, error, message):
    with pytest.raises(error, match=message):
        stft(clips[1], config, lengths=np.array(lengths))


def test_traced_lengths_beyond_the_clip_are_clipped(clips, config):
    mirrored = config.evolve(pad_mode="reflect")
    expected = log_mel_spectrogram(clips[1], mirrored)
    values = log_mel_spectrogram(clips[1], mirrored, lengths=jnp.asarray(5000))
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-3)
