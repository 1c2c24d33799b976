"""Cepstral coefficients against librosa."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from artifex.generative_models.extensions.audio_processing.spectral import mfcc


@pytest.mark.parametrize(
    ("row", "n_mfcc"),
    [(0, 13), (1, 13), (2, 13), (3, 13), (0, 40)],
    ids=["noise", "tone", "click", "silence", "all"],
)
def test_coefficients_equal_librosas_alone_and_in_a_batch(batch, row, n_mfcc, config):
    expected = librosa.feature.mfcc(y=batch[row], sr=8000, n_mfcc=n_mfcc, n_fft=512, hop_length=128, n_mels=40)
    for ours in (mfcc(batch[row], config, n_mfcc=n_mfcc), mfcc(batch, config, n_mfcc=n_mfcc)[row]):
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_more_coefficients_than_mel_bands_are_an_error(signals, config):
    with pytest.raises(ValueError, match="n_mfcc 41 is above n_mels 40"):
        mfcc(signals["noise"], config, n_mfcc=41)


def test_no_coefficients_are_an_error(signals, config):
    with pytest.raises(ValueError, match="n_mfcc must be an integer of at least 1"):
        mfcc(signals["noise"], config, n_mfcc=0)
