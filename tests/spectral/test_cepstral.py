"""Cepstral coefficients against librosa, scipy and closed forms."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import scipy.fft

from artifex.generative_models.extensions.audio_processing.spectral import (
    lfcc,
    log_mel_spectrogram,
    mfcc,
)


@pytest.mark.parametrize(
    ("row", "n_mfcc"),
    [(0, 13), (1, 13), (2, 13), (3, 13), (0, 40)],
    ids=["noise", "tone", "click", "silence", "all"],
)
def test_mfcc_equals_librosa_unbatched_and_batched(batch, row, n_mfcc, config):
    expected = librosa.feature.mfcc(y=batch[row], sr=8000, n_mfcc=n_mfcc, n_fft=512, hop_length=128, n_mels=40)
    for ours in (mfcc(batch[row], config, n_mfcc=n_mfcc), mfcc(batch, config, n_mfcc=n_mfcc)[row]):
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_more_coefficients_than_mel_bands_raise(signals, config):
    with pytest.raises(ValueError, match="n_mfcc must be at most n_mels 40, got 41"):
        mfcc(signals["noise"], config, n_mfcc=41)


def test_zero_coefficients_raise(signals, config):
    with pytest.raises(ValueError, match="n_mfcc must be an integer of at least 1"):
        mfcc(signals["noise"], config, n_mfcc=0)


def test_lfcc_equals_the_dct_of_evenly_spaced_triangular_bands(batch, config):
    """As in torchaudio.functional.linear_fbanks and LFCC: peaks of 1, 10 log10, an orthonormal DCT."""
    edges = np.linspace(0, 4000, 42)
    bins = np.arange(257) * 8000 / 512
    bank = np.stack([np.interp(bins, edges[k : k + 3], [0, 1, 0]) for k in range(40)])
    for row in batch[[0, 2, 3]]:  # the bands away from a tone contain rounding errors
        power = np.abs(librosa.stft(row.astype(np.float64), n_fft=512, hop_length=128)) ** 2
        expected = scipy.fft.dct(librosa.power_to_db(bank @ power), axis=0, norm="ortho")[:20]
        ours = lfcc(row, config, n_lfcc=20)
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("norm", ["ortho", None, "htk"])
@pytest.mark.parametrize("lifter", [0.0, 22.0])
def test_dct_norm_equals_scipy_and_lifter_equals_htk(signals, config, norm, lifter):
    levels = np.asarray(log_mel_spectrogram(signals["noise"], config), np.float64)
    if norm == "htk":  # the HTK Book, section 5.6: sqrt(2 / N) sum of m_j cos(pi i / N (j - 0.5)), also for C0
        j = np.arange(1, 41)
        expected = np.sqrt(2 / 40) * np.cos(np.pi * np.arange(13)[:, None] / 40 * (j - 0.5)) @ levels
    else:
        expected = scipy.fft.dct(levels, axis=0, norm=norm)[:13]
    if lifter:  # also section 5.6: 1 + L / 2 sin(pi n / L)
        expected *= 1 + 11 * np.sin(np.pi * np.arange(13) / 22)[:, None]
    ours = mfcc(signals["noise"], config.evolve(dct_norm=norm, lifter=lifter))
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    last = mfcc(signals["noise"], config.evolve(dct_norm=norm, lifter=lifter, c0_last=True))
    np.testing.assert_allclose(last, np.roll(ours, -1, axis=0), rtol=0, atol=1e-6 * np.abs(expected).max())
