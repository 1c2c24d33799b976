"""The names, signatures and values that users rely on, across the three distributions."""

import importlib
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.generative_models.core.configuration import ExtensionConfig
from artifex.generative_models.extensions.audio_processing.spectral import SpectralAnalysis
from artifex.generative_models.modalities import audio as library
from artifex.generative_models.modalities.audio import AudioModalityConfig, SyntheticAudioDataset
from artifex.generative_models.modalities.base import BaseDataset

HOMES = {
    "artifex.generative_models.modalities.audio": ["AudioModality", "AudioModalityConfig", "AudioRepresentation"],
    "artifex.generative_models.modalities.audio.base": ["AudioRepresentation"],
    "artifex.generative_models.modalities.audio.datasets": ["SyntheticAudioDataset", "create_audio_dataset"],
    "artifex.generative_models.modalities.base": ["BaseDataset"],
    "artifex.generative_models.extensions.audio_processing.spectral": ["SpectralAnalysis"],
    "artifex.generative_models.core.configuration": ["ExtensionConfig"],
}

HELPERS = {
    "normalize_audio": "(audio)",
    "rms_normalize": "(audio, target_rms=0.1)",
    "resample_audio": "(audio, orig_sr, target_sr)",
    "convert_sample_rate": "(audio, orig_sr, target_sr)",
    "trim_or_pad": "(audio, target_length, pad_value=0.0)",
    "time_shift": "(audio, key, max_shift=1600)",
    "time_stretch": "(audio, key, rate_range=(0.8, 1.2))",
    "add_gaussian_noise": "(audio, key, noise_level=0.005)",
    "random_gain": "(audio, key, gain_range=(0.7, 1.3))",
    "frequency_mask": "(spectrogram, key, num_masks=1, mask_param=10)",
    "time_mask": "(spectrogram, key, num_masks=1, mask_param=10)",
    "spec_augment": "(spectrogram, key, freq_masks=2, time_masks=2, freq_mask_param=15, time_mask_param=20)",
    "augment_audio": "(audio, key)",
    "augment_audio_batch": "(audio_batch, key)",
}


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in HOMES.items() for name in names])
def test_every_name_is_where_users_import_it_from(module, name):
    assert inspect.isclass(found := getattr(importlib.import_module(module), name)) or callable(found)


@pytest.mark.parametrize("name", HELPERS)
def test_every_helper_takes_what_users_give_it(name):
    """By place as far as the signature goes; what we add is keyword-only."""
    expected = list(inspect.signature(eval(f"lambda {HELPERS[name][1:-1]}: 0")).parameters.values())
    given = list(inspect.signature(getattr(library, name)).parameters.values())
    for ours, theirs in zip(given, expected, strict=False):
        assert (ours.name, ours.default) == (theirs.name, theirs.default)
    assert len(given) >= len(expected)
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in given[len(expected) :])


@pytest.mark.parametrize(
    "name",
    [
        "normalize_audio",
        "rms_normalize",
        "time_shift",
        "time_stretch",
        "add_gaussian_noise",
        "random_gain",
        "augment_audio",
    ],
)
def test_a_waveform_helper_keeps_the_length(name):
    audio = jnp.sin(jnp.arange(3000.0))
    key = () if "normalize" in name else (jax.random.key(0),)
    assert getattr(library, name)(audio, *key).shape == audio.shape


def test_the_extension_takes_its_options_and_their_defaults():
    spectral = SpectralAnalysis(
        config=ExtensionConfig(weight=1.0, enabled=True, extensions={"spectral": {}}), rngs=nnx.Rngs(0)
    )
    found = spectral.config
    assert (found.sample_rate, found.n_fft, found.hop, found.window_type, found.n_mels) == (
        22050,
        2048,
        512,
        "hann",
        128,
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"n_ftt": 512}, "Did you mean 'n_fft'"),
        ({"window_type": "hannn"}, "hann"),
        ({"sample_rate": -1}, "sample_rate"),
        ({"n_fft": 512, "hop_length": 1024}, "hop_length"),
        ({"n_fft": 64, "n_mels": 128}, "n_mels"),
    ],
)
def test_a_bad_option_of_the_extension_is_refused_at_construction(options, says):
    with pytest.raises((TypeError, ValueError, LookupError), match=says):
        SpectralAnalysis(config=ExtensionConfig(extensions={"spectral": options}), rngs=nnx.Rngs(0))


def test_a_misspelled_extension_is_not_passed_over():
    with pytest.raises(ValueError, match="no key 'spectral', got 'spectra'; rename it"):
        SpectralAnalysis(config=ExtensionConfig(extensions={"spectra": {"n_fft": 512}}), rngs=nnx.Rngs(0))
    other = ExtensionConfig(extensions={"adversarial": {"depth": 3}})
    assert SpectralAnalysis(config=other, rngs=nnx.Rngs(0)).config.n_fft == 2048


@pytest.mark.parametrize("name", [name for name, takes in HELPERS.items() if ", key" in takes])
def test_what_is_no_key_is_refused_by_name(name):
    data = jnp.ones((4, 64))
    with pytest.raises(TypeError, match=f"{name} takes one random key, such as .*, got 0 \\(int\\)"):
        getattr(library, name)(data, 0)
    with pytest.raises(TypeError, match=f"{name} takes one random key.*keys of shape .*jax.vmap"):
        getattr(library, name)(data, jax.random.split(jax.random.key(0), 4))


def test_the_features_come_by_the_names_and_shapes_that_users_know():
    options = {"sample_rate": 8000, "n_fft": 256, "n_mels": 20}
    spectral = SpectralAnalysis(config=ExtensionConfig(extensions={"spectral": options}), rngs=nnx.Rngs(0))
    audio = jnp.asarray(np.random.default_rng(0).standard_normal((2, 2000)), jnp.float32)
    shapes = {name: value.shape for name, value in spectral.extract_spectral_features(audio).items()}
    assert shapes == {
        "spectrogram": (2, 129, 32),
        "mel_spectrogram": (2, 20, 32),
        "log_mel_spectrogram": (2, 20, 32),
        "mfcc": (2, 13, 32),
        "spectral_centroid": (2, 32),
        "spectral_bandwidth": (2, 32),
        "spectral_rolloff": (2, 32),
    }
    assert spectral.compute_stft(audio).shape == (2, 129, 32)
    assert jax.vmap(spectral.compute_mel_spectrogram)(audio).shape == (2, 20, 32)


def test_a_training_loop_holds_under_jit_with_features_and_masks():
    """Waveforms augmented, mel spectrograms masked, all in one compiled step."""
    config = AudioModalityConfig(
        sample_rate=8000, duration=0.25, representation="mel_spectrogram", n_fft=256, hop_length=64, n_mel_channels=20
    )
    dataset = SyntheticAudioDataset(config=config, n_samples=12)
    traces = 0

    @jax.jit
    def step(audio, key):
        nonlocal traces
        traces += 1
        wave_key, mask_key = jax.random.split(key)
        mel = dataset.modality.encode(library.augment_audio_batch(audio, wave_key))
        return jax.vmap(library.spec_augment)(mel, jax.random.split(mask_key, len(audio)))

    for epoch in range(3):
        batch = dataset[4 * epoch : 4 * epoch + 4]
        masked = step(batch["audio"], jax.random.key(epoch))
        assert masked.shape == (4, *dataset.modality.output_shape)
        assert np.isfinite(masked).all()
    assert traces == 1


def test_a_dataset_of_ones_own_needs_a_length_an_iterator_and_batches():
    class Recordings(BaseDataset):
        def __init__(self, config, paths, split="train", *, rngs):
            super().__init__(config, split, rngs=rngs)
            self.paths = paths

        def __len__(self):
            return len(self.paths)

        def __iter__(self):
            for index, path in enumerate(self.paths):
                yield {"audio": jnp.zeros(16), "index": jnp.array(index), "path": path}

        def get_batch(self, batch_size):
            key = self.rngs.sample() if "sample" in self.rngs else jax.random.key(0)
            chosen = jax.random.randint(key, (batch_size,), 0, len(self))
            return {"audio": jnp.zeros((batch_size, 16)), "paths": [self.paths[int(i)] for i in chosen]}

    data = Recordings(AudioModalityConfig(), ["a.wav", "b.wav"], rngs=nnx.Rngs(0))
    assert (data.split, len(list(data)), data.get_batch(3)["audio"].shape) == ("train", 2, (3, 16))
    assert data.collate_fn(list(data))["path"] == ["a.wav", "b.wav"]
