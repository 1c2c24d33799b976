"""Calls that type checkers accept, and calls marked "wrong" that they reject; ``test_typed_calls.py`` checks each line."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from artifex.generative_models.core import create, registry
from artifex.generative_models.core.configuration import ExtensionConfig
from artifex.generative_models.core.numerics import normal, phase_ramp, rms, sin2pi
from artifex.generative_models.extensions.audio_processing.spectral import (
    SpectralAnalysis,
    SpectralConfig,
    griffin_lim,
    mfcc,
    power_to_db,
    stft,
)
from artifex.generative_models.modalities.audio import (
    AudioFileDataset,
    AudioModality,
    AudioModalityConfig,
    AudioRepresentation,
    add_background_noise,
    add_gaussian_noise,
    apply_batch,
    compose,
    device_batches,
    integrated_loudness,
    low_pass,
    make_loader,
    normalize_audio,
    one_of,
    pad_to_bucket,
    random_gain,
    read_audio,
    sound_bank,
    time_shift,
    trim_or_pad,
    with_probability,
    write_audio,
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
    whisper: SpectralConfig = create("preset", "whisper", n_mels=128)
    griffin_lim(abs(stft(audio, whisper)), registry("preset")["whisper"], length=16000)
    griffin_lim(abs(stft(audio, whisper)), whisper)  # wrong
    power_to_db(audio, ref=audio.max())
    power_to_db(audio, ref=np.max)  # wrong
    print(number, create("window", "hann")(512).sum())


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
    low_pass(audio, key, (1000.0, 2000.0), sample_rate=16000)
    low_pass(audio, key)  # wrong
    low_pass(audio, key, 1000.0, sample_rate=16000)  # wrong
    low_pass(audio, key, sample_rate=None)  # wrong
    integrated_loudness(audio, sample_rate=16000)
    integrated_loudness(audio, 16000)  # wrong
    pad_to_bucket(audio, [8000, 16000])
    pad_to_bucket(audio, 8000)  # wrong
    print(text)


def policies() -> None:
    """Compose policies and apply them to batches."""
    bank, lengths = sound_bank("noises", sample_rate=16000)
    sound_bank("noises")  # wrong
    policy = compose(
        time_shift,
        ("random_gain", {"gain_range": (0.5, 1.5)}),
        one_of(low_pass, {"name": "high_pass", "order": 4}),
        with_probability(0.5, partial(add_background_noise, bank=bank, lengths=lengths)),
        sample_rate=16000,
    )
    augmented: jax.Array = policy(audio, key)
    jax.vmap(partial(random_gain, gain_range=(0.5, 2.0)))(augmented[None], jax.random.split(key, 1))
    apply_batch(policy, {"audio": audio[None]}, key)
    apply_batch("low_pass", audio[None], key, sample_rate=16000)
    apply_batch("low_pass", audio[None], key, sampel_rate=16000)  # wrong
    compose(time_shift, sample_rate="16000")  # wrong
    with_probability(time_shift, 0.5)  # wrong
    one_of(time_shift, random_gain, weights="12")  # wrong


def datasets() -> None:
    """Create datasets and the modality."""
    config = AudioModalityConfig()
    SyntheticAudioDataset(config=config, n_samples=10, audio_types=["sine", "noise"])
    SyntheticAudioDataset(config=config, n_sample=10)  # wrong
    SyntheticAudioDataset(config=config, n_samples="10")  # wrong
    SyntheticAudioDataset(config={"sample_rate": 16000}, n_samples=10)  # wrong
    create_audio_dataset(dataset_type="synthetic", config=config, n_samples=10)
    create_audio_dataset(dataset_type=3)  # wrong
    recordings = AudioFileDataset(config=config, paths=["recordings"])
    AudioFileDataset(config=config, paths=3)  # wrong
    loader = make_loader(recordings, batch_size=8, seed=0)
    make_loader(recordings, max_batch_seconds="20")  # wrong
    make_loader(recordings, batch_size="8")  # wrong
    make_loader(config, batch_size=8)  # wrong
    for batch in device_batches(loader):
        write_audio("clip.wav", batch["audio"][0], config.sample_rate)
    device_batches(recordings)  # wrong
    write_audio("clip.wav", audio)  # wrong
    read_audio("clip.wav", 16000)  # wrong
    AudioModality(config=config, rngs=None)
    AudioModality(config="mel_spectrogram", rngs=None)  # wrong
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
