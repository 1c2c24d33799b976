"""Mel, Bark and ERB scales and filter banks against librosa, scipy and closed forms."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import scipy.signal

from artifex.generative_models.extensions.audio_processing.spectral import filter_bank, hz_to_mel, mel_to_hz

BANK = {"sample_rate": 16000, "n_fft": 1024, "n_mels": 40}

# Values as printed in the papers, or from the formula in the docstring.
SCALES = {
    "kaldi": ([700.0], [1127.0 * np.log(2.0)]),
    "htk": ([700.0, 6300.0], [2595.0 * np.log10(2.0), 2595.0]),
    "bark": ([100.0, 1000.0, 4400.0], [0.77, 8.53, 18.02]),  # Traunmüller 1990
    "erb": ([100.0, 1000.0, 10000.0], [3.37, 15.62, 35.32]),  # Glasberg and Moore 1990
    "linear": ([0.0, 123.0], [0.0, 123.0]),
}


@pytest.mark.parametrize("scale", SCALES)
def test_scales_equal_the_values_of_the_papers_in_both_directions(scale):
    hz, places = (np.array(values) for values in SCALES[scale])
    np.testing.assert_allclose(hz_to_mel(hz, mel_scale=scale), places, rtol=0, atol=5.1e-3)
    grid = np.linspace(0, 12000, 100)
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(grid, mel_scale=scale), mel_scale=scale), grid, atol=1e-8)


@pytest.mark.parametrize(("mel_norm", "theirs"), [("l1", 1), ("l2", 2), ("slaney", "slaney"), (None, None)])
@pytest.mark.parametrize("htk", [True, False])
def test_norms_equal_librosa(mel_norm, theirs, htk):
    ours = filter_bank(**BANK, mel_scale="htk" if htk else "slaney", mel_norm=mel_norm)
    expected = librosa.filters.mel(sr=16000, n_fft=1024, n_mels=40, htk=htk, norm=theirs, dtype=np.float64)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12 * expected.max())


def test_linear_bands_are_equal_triangles():
    ours = filter_bank(sample_rate=8000, n_fft=800, n_mels=9, mel_scale="linear", mel_norm=None)
    expected = np.stack([np.interp(np.arange(401), [40 * k, 40 * k + 40, 40 * k + 80], [0, 1, 0]) for k in range(9)])
    np.testing.assert_allclose(ours, expected, atol=1e-12)


@pytest.mark.parametrize("scale", ["htk", "kaldi", "bark", "erb"])
def test_triangles_linear_on_the_scale_sum_to_one_between_the_outer_centers(scale):
    bank = filter_bank(**BANK, mel_scale=scale, mel_norm=None, filter_shape="scale")
    bins = hz_to_mel(np.arange(513) * 16000 / 1024, mel_scale=scale)
    edges = np.linspace(bins[0], bins[-1], 42)
    inside = (bins >= edges[1]) & (bins <= edges[-2])
    np.testing.assert_allclose(bank.sum(axis=0)[inside], 1.0, atol=1e-9)
    expected = np.stack([np.interp(bins, edges[k : k + 3], [0, 1, 0]) for k in range(40)])
    np.testing.assert_allclose(bank, expected, atol=1e-9)


def test_htk_and_kaldi_scales_have_equal_filters():
    htk, kaldi = (filter_bank(**BANK, mel_scale=scale, filter_shape="scale") for scale in ("htk", "kaldi"))
    np.testing.assert_allclose(htk, kaldi, atol=1e-12)


@pytest.mark.parametrize("center", [500.0, 1000.0, 3000.0])
def test_gammatones_equal_the_power_response_of_scipy_filters(center):
    """Within 1 dB down to -25 dB: scipy's digital filter of order 4 also contains a mirror image."""
    half = 4 * 24.7
    place = hz_to_mel(center, mel_scale="erb")
    low, high = mel_to_hz(np.array([place - 1, place + 1]), mel_scale="erb")
    bank = filter_bank(
        sample_rate=16000, n_fft=4096, n_mels=1, f_min=float(low), f_max=float(high), mel_scale="erb", mel_norm=None,
        filter_shape="gammatone",
    )[0]  # fmt: skip
    bins = np.arange(2049) * 16000 / 4096
    b, a = scipy.signal.gammatone(center, "iir", fs=16000)
    _, response = scipy.signal.freqz(b, a, worN=bins, fs=16000)
    expected = 20 * np.log10(np.abs(response) / np.abs(response).max())
    heard = (expected > -25) & (np.abs(bins - center) < 20 * half)
    np.testing.assert_allclose(10 * np.log10(bank[heard]), expected[heard], rtol=0, atol=1.0)
    assert bins[bank.argmax()] == pytest.approx(center, abs=4)


@pytest.mark.parametrize("shape", ["hz", "scale", "symmetric", "gammatone"])
@pytest.mark.parametrize("scale", ["slaney", "htk", "kaldi", "bark", "erb", "linear"])
def test_every_filter_bank_is_non_negative_finite_and_ordered_by_frequency(scale, shape):
    bank = filter_bank(**BANK, mel_scale=scale, filter_shape=shape, mel_norm=None)
    assert bank.shape == (40, 513)
    assert np.isfinite(bank).all()
    assert bank.min() >= 0
    assert bank.max() <= 1 + 1e-12
    assert (np.diff(bank.argmax(axis=1)) >= 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mel_scale": "barks"}, "mel_scale must be one of 'slaney', 'htk', 'kaldi', 'bark', 'erb', 'linear'"),
        ({"filter_shape": "box"}, "filter_shape must be one of 'hz', 'scale', 'symmetric', 'gammatone'"),
        ({"mel_norm": "l3"}, "mel_norm must be one of 'slaney', 'l1', 'l2', None"),
        ({"f_min": 9000.0}, "f_min must be below f_max"),
    ],
)
def test_invalid_options_raise_errors_that_name_them(options, message):
    with pytest.raises(ValueError, match=message):
        filter_bank(**{**BANK, **options})
