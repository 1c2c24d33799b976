"""The mel scale, the filter bank and mel spectrograms against librosa."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from artifex.generative_models.extensions.audio_processing.spectral import (
    SpectralConfig,
    filter_bank,
    hz_to_mel,
    log_mel_spectrogram,
    mel_spectrogram,
    mel_to_hz,
)


@pytest.mark.parametrize("mel_scale", ["slaney", "htk"])
def test_mel_scale_equals_librosa_in_both_directions(mel_scale):
    frequency = np.concatenate([np.linspace(0, 2000, 101), np.geomspace(2000, 24000, 50)])
    mel = librosa.hz_to_mel(frequency, htk=mel_scale == "htk")
    np.testing.assert_allclose(hz_to_mel(frequency, mel_scale=mel_scale), mel, rtol=1e-12)
    np.testing.assert_allclose(mel_to_hz(mel, mel_scale=mel_scale), frequency, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("convert", [hz_to_mel, mel_to_hz])
@pytest.mark.parametrize("values", [None, [1.0, None], "440", 1j], ids=str)
def test_values_that_are_not_real_numbers_raise(convert, values):
    with pytest.raises(TypeError, match="must be real numbers, got"):
        convert(values)


@pytest.mark.parametrize("mel_scale", ["slaney", "htk"])
@pytest.mark.parametrize("mel_norm", ["slaney", None])
@pytest.mark.parametrize(
    ("sample_rate", "n_fft", "n_mels", "f_min", "f_max"),
    [(22050, 2048, 128, 0.0, None), (16000, 1024, 80, 0.0, 8000.0), (8000, 511, 23, 20.0, 3700.0)],
)
def test_filter_bank_equals_librosa(sample_rate, n_fft, n_mels, f_min, f_max, mel_scale, mel_norm):
    ours = filter_bank(
        sample_rate=sample_rate,
        n_fft=n_fft,
        n_mels=n_mels,
        f_min=f_min,
        f_max=f_max,
        mel_scale=mel_scale,
        mel_norm=mel_norm,
    )
    theirs = librosa.filters.mel(
        sr=sample_rate,
        n_fft=n_fft,
        n_mels=n_mels,
        fmin=f_min,
        fmax=f_max,
        htk=mel_scale == "htk",
        norm=mel_norm,
        dtype=np.float64,
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12 * theirs.max())


def test_filter_bank_is_read_only():
    with pytest.raises(ValueError, match="read-only"):
        filter_bank(sample_rate=8000, n_fft=256)[0, 0] = 1


@pytest.mark.parametrize("row", range(4), ids=["noise", "tone", "click", "silence"])
@pytest.mark.parametrize("mel", [("slaney", "slaney"), ("htk", None)], ids=str)
def test_mel_powers_and_levels_equal_librosa_unbatched_and_batched(batch, row, mel, config):
    mel_scale, mel_norm = mel
    config = config.evolve(mel_scale=mel_scale, mel_norm=mel_norm)
    expected = librosa.feature.melspectrogram(
        y=batch[row],
        sr=config.sample_rate,
        n_fft=config.n_fft,
        hop_length=config.hop,
        n_mels=config.n_mels,
        htk=mel_scale == "htk",
        norm=mel_norm,
    )
    for ours in (mel_spectrogram(batch[row], config), mel_spectrogram(batch, config)[row]):
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-6 * expected.max())
    for ours in (log_mel_spectrogram(batch[row], config), log_mel_spectrogram(batch, config)[row]):
        np.testing.assert_allclose(ours, librosa.power_to_db(expected), rtol=0, atol=1e-3)


def test_levels_follow_ref_amin_and_top_db(signals, config):
    power = librosa.feature.melspectrogram(y=signals["tone"], sr=8000, n_fft=512, hop_length=128, n_mels=40)
    for options in ({"ref": 10.0, "top_db": 30.0}, {"amin": 1e-3, "top_db": None}):
        ours = log_mel_spectrogram(signals["tone"], config.evolve(**options))
        np.testing.assert_allclose(ours, librosa.power_to_db(power, **options), rtol=0, atol=1e-3)


def test_levels_of_quiet_noise_are_not_clipped(signals):
    config = SpectralConfig(sample_rate=8000, n_fft=512, hop_length=128, n_mels=40, top_db=None)
    loud, quiet = (log_mel_spectrogram(gain * signals["noise"], config) for gain in (np.float32(1), np.float32(1e-3)))
    np.testing.assert_allclose(loud - quiet, 60.0, atol=1e-3)
