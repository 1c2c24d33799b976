"""Natural mistakes raise an error that names the argument, before anything is compiled."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from artifex.generative_models.core import create
from artifex.generative_models.extensions.audio_processing import spectral
from artifex.generative_models.modalities import audio
from artifex.generative_models.modalities.audio.datasets import SyntheticAudioDataset

CLIP = np.ones(100, np.float32)
KEY = jax.random.key(0)
CONFIG = spectral.SpectralConfig()

CALLS = {
    "target_rms must be .* got None": lambda: audio.rms_normalize(CLIP, None),
    "expects real audio, .* got NoneType": lambda: audio.normalize_audio(None),
    "expects real audio, .* got str": lambda: audio.normalize_audio("a.wav"),
    "pad_value must be a finite number, got '0'": lambda: audio.trim_or_pad(CLIP, 200, pad_value="0"),
    r"noise_level must be .* got \(0.1, 0.2\)": lambda: audio.add_gaussian_noise(CLIP, KEY, (0.1, 0.2)),
    r"n\[0\] must be an integer of at least 0 steps, got 1.5": lambda: audio.some_of("reverse", n=1.5),
    r"shape must be .* such as \(16000,\), got 100": lambda: audio.describe("reverse", KEY, 100),
    "mixup takes a batch .* a single clip": lambda: audio.mixup(CLIP, KEY),
    "path must be a file name, got ndarray": lambda: audio.write_audio(CLIP, "a.wav", 16000),
    "paths must be a file, .* got NoneType": lambda: audio.find_audio(None),
    "paths must be a file, .* for synthetic audio": lambda: audio.extract(None, "out"),
    "nowhere: no such file or folder": lambda: audio.extract("nowhere", "out"),
    "config must be an AudioModalityConfig or None, got str": lambda: audio.extract([], "out", config="a.toml"),
    "rngs must be None or an nnx.Rngs, .* got 0": lambda: SyntheticAudioDataset(rngs=0),
    "requires examples, .* got int": lambda: SyntheticAudioDataset(n_samples=2).collate_fn([0, 1]),
    "domain must be one of": lambda: audio.augmentation(draw=None, domain="image"),
    "sample_rate must be an integer": lambda: create("audio_type", "sine")(KEY, n_time_steps=9, sample_rate="16000"),
    "Did you mean 'mel_spectrogram'": lambda: audio.AudioModalityConfig(representation="MEL_SPECTROGRAM"),
    "audio must be an array .* got NoneType": lambda: spectral.stft(None, CONFIG),
    r"ref must be a number or an array, got a function; .* ref=power.max\(\)": lambda: spectral.power_to_db(
        CLIP, ref=np.max
    ),
    "config must be a SpectralConfig, got int; pass the array first": lambda: spectral.istft(
        jnp.ones((1025, 4), complex), 2048, length=9
    ),
    "config must be a SpectralConfig, got int": lambda: spectral.griffin_lim(jnp.ones((1025, 4)), 2048, length=9),
    "config must be a SpectralConfig, got str": lambda: spectral.log_mel_to_mel(jnp.ones((128, 4)), "librosa"),
    "lengths must be from 0 to 100 samples, got 200": lambda: spectral.stft(CLIP[None], CONFIG, lengths=[200]),
}


@pytest.mark.parametrize("message", CALLS)
def test_natural_mistakes_raise_an_error_that_names_the_argument(message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((TypeError, ValueError, LookupError, OSError), match=message):
        CALLS[message]()
