"""Calls that type checkers accept, and calls marked "wrong" that they reject; ``test_typed_calls.py`` checks each line."""

import jax
import jax.numpy as jnp
from flax import nnx

from artifex.generative_models.core import create
from artifex.generative_models.core.configuration import ExtensionConfig
from artifex.generative_models.core.numerics import normal, phase_ramp, rms, sin2pi
from artifex.generative_models.extensions.audio_processing.spectral import SpectralAnalysis, SpectralConfig, mfcc, stft
from artifex.generative_models.modalities.audio import (
    AudioModality,
    AudioModalityConfig,
    AudioRepresentation,
    add_gaussian_noise,
    normalize_audio,
    time_shift,
    trim_or_pad,
)
from artifex.generative_models.modalities.audio.datasets import SyntheticAudioDataset, create_audio_dataset

audio = jnp.zeros(16000)
key = jax.random.key(0)


def configurations() -> None:
    """Create configurations."""
    AudioModalityConfig(representation=AudioRepresentation.STFT, sample_rate=16000, duration=1.0)
    AudioModalityConfig(duration=2)
    AudioModalityConfig(sample_rate="16000")  # wrong
    AudioModalityConfig(sample_rat=16000)  # wrong
    AudioModalityConfig(16000)  # wrong
    AudioModalityConfig(normalize="yes")  # wrong
    SpectralConfig(sample_rate=16000, n_fft=512, window_type="hann")
    SpectralConfig(n_fft="512")  # wrong
    SpectralConfig(n_ftt=512)  # wrong
    SpectralConfig(f_max="8000")  # wrong
    ExtensionConfig(weight=1, extensions={"spectral": {"n_fft": 1024}})
    ExtensionConfig(weight="1")  # wrong
    ExtensionConfig(wieght=1.0)  # wrong
    ExtensionConfig(extensions=["spectral"])  # wrong
    text: str = ExtensionConfig().weight  # wrong
    print(text)


def features() -> None:
    """Compute features."""
    config = SpectralConfig()
    mfcc(audio, config, n_mfcc=20)
    mfcc(audio, config, n_mfc=20)  # wrong
    mfcc(audio, config, n_mfcc="20")  # wrong
    mfcc(audio)  # wrong
    stft(audio, {"n_fft": 512})  # wrong
    number: int = mfcc(audio, config)  # wrong
    SpectralAnalysis(config=ExtensionConfig(), rngs=nnx.Rngs(0)).compute_mfcc(audio, n_mfcc=13)
    SpectralAnalysis(config=ExtensionConfig(), rngs=nnx.Rngs(0)).compute_mfcc(audio, n_mfc=13)  # wrong
    SpectralAnalysis(config={"n_fft": 512}, rngs=None)  # wrong
    print(number)


def augmentations() -> None:
    """Process and augment audio."""
    time_shift(audio, key, max_shift=100)
    time_shift(audio, key, max_shif=100)  # wrong
    time_shift(audio)  # wrong
    add_gaussian_noise(audio, key, noise_level="loud")  # wrong
    trim_or_pad(audio, 8000)
    trim_or_pad(audio, "8000")  # wrong
    trim_or_pad(audio)  # wrong
    text: str = normalize_audio(audio)  # wrong
    print(text)


def datasets() -> None:
    """Create datasets and the modality."""
    config = AudioModalityConfig()
    SyntheticAudioDataset(config=config, n_samples=10, audio_types=["sine", "noise"])
    SyntheticAudioDataset(config=config, n_sample=10)  # wrong
    SyntheticAudioDataset(config=config, n_samples="10")  # wrong
    SyntheticAudioDataset(config={"sample_rate": 16000}, n_samples=10)  # wrong
    create_audio_dataset(dataset_type="synthetic", config=config, n_samples=10)
    create_audio_dataset(dataset_type=3)  # wrong
    AudioModality(config=config, rngs=None)
    AudioModality(config="mel_spectrogram", rngs=None)  # wrong
    AudioModality()  # wrong
    create("audio_type", "sine", amplitude=0.5)
    create("audio_type")  # wrong
    create(3, "sine")  # wrong


def numerics() -> None:
    """Draw and compute."""
    normal(key, (3,))
    normal(key, "3")  # wrong
    phase_ramp(440.0, n_time_steps=100, sample_rate=16000)
    phase_ramp(440.0, n_time_steps=100)  # wrong
    sin2pi("0.25")  # wrong
    rms(audio, axis=-1)
    rms(audio, axes=-1)  # wrong
