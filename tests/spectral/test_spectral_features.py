"""Descriptors of a spectrum's shape against librosa."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from artifex.generative_models.extensions.audio_processing.spectral import (
    magnitude_spectrogram,
    spectral_bandwidth,
    spectral_centroid,
    spectral_rolloff,
)

DESCRIPTORS = {
    "centroid": (spectral_centroid, librosa.feature.spectral_centroid),
    "bandwidth": (spectral_bandwidth, librosa.feature.spectral_bandwidth),
    "rolloff": (spectral_rolloff, librosa.feature.spectral_rolloff),
}


@pytest.mark.parametrize("name", DESCRIPTORS)
@pytest.mark.parametrize("row", range(4), ids=["noise", "tone", "click", "silence"])
def test_descriptor_equals_librosas_alone_and_in_a_batch(batch, name, row, config):
    ours, theirs = DESCRIPTORS[name]
    expected = theirs(y=batch[row], sr=8000, n_fft=512, hop_length=128)[0]
    for found in (ours(batch[row], config), ours(batch, config)[row]):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * expected.max())


@pytest.mark.parametrize("share", [0.01, 1.0])
def test_rolloff_is_the_lowest_frequency_with_the_share_at_or_below_it(signals, share, config):
    config = config.evolve(rolloff_share=share)
    magnitude = np.asarray(magnitude_spectrogram(signals["noise"], config), np.float64)
    found = np.asarray(spectral_rolloff(signals["noise"], config)) / (8000 / 512)
    running = np.cumsum(magnitude, axis=0) / magnitude.sum(axis=0)
    for frame, place in enumerate(found.round().astype(int)):
        assert running[place, frame] >= share - 1e-5
        assert place == 0 or running[place - 1, frame] < share + 1e-5


def test_rolloff_of_a_row_does_not_see_its_neighbours(batch, config):
    louder = batch * np.float32([[1000], [1], [1000], [1]])
    np.testing.assert_array_equal(spectral_rolloff(louder, config)[1], spectral_rolloff(batch[1], config))
