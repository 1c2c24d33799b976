"""Chroma against librosa."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from artifex.generative_models.extensions.audio_processing.spectral.chromagram import chroma, chroma_filter_bank


@pytest.mark.parametrize(
    ("sample_rate", "n_fft", "n_chroma", "tuning", "width"),
    [(22050, 2048, 12, 0.0, 2.0), (8000, 511, 12, 0.3, 1.5), (16000, 1024, 24, -0.25, None), (16000, 512, 7, 0.0, 2.0)],
)
def test_filter_bank_equals_librosa(sample_rate, n_fft, n_chroma, tuning, width):
    found = chroma_filter_bank(
        sample_rate=sample_rate, n_fft=n_fft, n_chroma=n_chroma, tuning=tuning, octave_width=width
    )
    expected = librosa.filters.chroma(
        sr=sample_rate, n_fft=n_fft, n_chroma=n_chroma, tuning=tuning, octwidth=width, dtype=np.float64
    )
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_filter_bank_is_read_only():
    with pytest.raises(ValueError, match="read-only"):
        chroma_filter_bank(sample_rate=8000, n_fft=256)[0, 0] = 1


@pytest.mark.parametrize("row", range(4), ids=["noise", "tone", "click", "silence"])
@pytest.mark.parametrize("options", [{}, {"n_chroma": 24, "tuning": 0.2}], ids=["defaults", "quarter tones"])
def test_chroma_equals_librosa_unbatched_and_batched(batch, row, options, config):
    expected = librosa.feature.chroma_stft(
        y=batch[row], sr=8000, n_fft=512, hop_length=128, **({"tuning": 0.0} | options)
    )
    for found in (chroma(batch[row], config, **options), chroma(batch, config, **options)[row]):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_invalid_options_raise(signals, config):
    with pytest.raises(ValueError, match="n_chroma must be an integer of at least 1"):
        chroma(signals["noise"], config, n_chroma=0)
    with pytest.raises(ValueError, match="octave_width must be a finite number above 0"):
        chroma_filter_bank(sample_rate=8000, n_fft=256, octave_width=0.0)
