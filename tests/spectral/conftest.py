"""Signals and a configuration that the spectral tests share, so that few functions are compiled."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig

SAMPLE_RATE, LENGTH = 8000, 4000


@pytest.fixture(scope="session")
def config():
    return SpectralConfig(sample_rate=SAMPLE_RATE, n_fft=512, hop_length=128, n_mels=40)


@pytest.fixture(scope="session")
def signals():
    """Float32 clips of half a second by name."""
    rng = np.random.default_rng(0)
    time = np.arange(LENGTH) / SAMPLE_RATE
    clips = {
        "noise": 0.3 * rng.standard_normal(LENGTH),
        "tone": 0.5 * np.sin(2 * np.pi * 440 * time),
        "click": np.eye(1, LENGTH, 1234)[0],
        "silence": np.zeros(LENGTH),
    }
    return {name: clip.astype(np.float32) for name, clip in clips.items()}


@pytest.fixture(scope="session")
def batch(signals):
    """The clips as one array, (4, 4000)."""
    return np.stack(list(signals.values()))


@pytest.fixture(scope="session")
def chord():
    """A second of five decaying partials, float32, with an onset."""
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    partials = sum(np.sin(2 * np.pi * 220 * k * time + k) / k for k in range(1, 6))
    return (0.2 * partials * np.exp(-2 * time) * np.minimum(1, time / 0.01)).astype(np.float32)


@pytest.fixture(scope="session")
def quietly():
    """Call a reference tool without its own deprecation warnings, which differ between its versions."""

    def call(function, *args, **options):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return function(*args, **options)

    return call
