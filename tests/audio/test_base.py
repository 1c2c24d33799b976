"""The audio modality: configuration, shapes, encode and decode."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.generative_models.core import UnknownComponentError, registry
from artifex.generative_models.modalities.audio import AudioModality, AudioModalityConfig, AudioRepresentation
from artifex.generative_models.modalities.audio.base import AudioRepresentation as FromBase

MEL = AudioRepresentation.MEL_SPECTROGRAM
SMALL = {"sample_rate": 8000, "duration": 0.25, "n_fft": 256, "hop_length": 64, "n_mel_channels": 20}


def speech_like(n: int, seed: int = 0) -> np.ndarray:
    draws = np.random.default_rng(seed)
    t = np.arange(n) / 8000
    tone = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 12))
    return (0.2 * tone * (1 + 0.5 * np.sin(2 * np.pi * 4 * t)) + 0.01 * draws.standard_normal(n)).astype(np.float32)


def test_representation_values_are_registered_names():
    assert FromBase is AudioRepresentation
    assert {r.name.lower() for r in AudioRepresentation} == {r.value for r in AudioRepresentation}
    assert {r.value for r in AudioRepresentation} <= set(registry("representation"))


def test_the_defaults_are_those_of_the_guide():
    config = AudioModalityConfig()
    assert config.to_dict() == {
        "representation": "raw_waveform",
        "spectral": None,
        "sample_rate": 16000,
        "n_mel_channels": 80,
        "hop_length": 256,
        "n_fft": 1024,
        "duration": 2.0,
        "normalize": True,
    }


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"representation": AudioRepresentation.RAW_WAVEFORM}, (32000,)),
        ({"representation": MEL}, (80, 125)),
        (
            {
                "representation": AudioRepresentation.STFT,
                "sample_rate": 22050,
                "n_fft": 2048,
                "hop_length": 512,
                "duration": 3.0,
            },
            (1025, 129),
        ),
    ],
)
def test_the_shapes_of_the_guide(options, shape):
    modality = AudioModality(config=AudioModalityConfig(**options), rngs=nnx.Rngs(0))
    assert modality.output_shape == shape
    assert modality.n_time_steps == round(modality.config.sample_rate * modality.config.duration)
    assert modality.n_time_frames == modality.n_time_steps // modality.config.hop_length


def test_the_number_of_samples_is_rounded():
    assert AudioModalityConfig(duration=2.01).n_time_steps == 32160


@pytest.mark.parametrize("sample_rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("representation", list(AudioRepresentation))
def test_common_sample_rates_encode_to_output_shape(sample_rate, representation):
    config = AudioModalityConfig(representation=representation, sample_rate=sample_rate, duration=0.1)
    modality = AudioModality(config=config, rngs=nnx.Rngs(0))
    assert modality.encode(jnp.ones((2, modality.n_time_steps))).shape == (2, *modality.output_shape)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sample_rate": -1}, ValueError, "sample_rate must be an integer from 1 .* Hz, got -1"),
        ({"sample_rate": 16000.5}, TypeError, "sample_rate must be an integer"),
        ({"hop_length": 2048}, ValueError, "hop_length must be at most n_fft = 1024"),
        ({"n_mel_channels": 600}, ValueError, r"n_mel_channels must be at most n_fft // 2 \+ 1 = 513, got 600"),
        ({"duration": 0}, ValueError, "duration must be a finite number above 0 seconds, got 0"),
        ({"duration": float("nan")}, ValueError, "duration must be a finite number"),
        ({"duration": 1e-9}, ValueError, "at least one sample"),
        ({"normalize": "yes"}, TypeError, "normalize must be True or False"),
        ({"sampel_rate": 8000}, TypeError, "Did you mean 'sample_rate'"),
        (
            {"representation": "mel"},
            UnknownComponentError,
            "Available: log_mel_spectrogram, mel_spectrogram, raw_waveform, stft",
        ),
        ({"representation": 3}, TypeError, "must be an AudioRepresentation or the name"),
    ],
)
def test_an_invalid_configuration_raises(options, error, message):
    with pytest.raises(error, match=message):
        AudioModalityConfig(**options)


def test_numpy_numbers_are_converted_to_python_numbers():
    config = AudioModalityConfig(sample_rate=np.int64(8000), duration=1)
    assert (type(config.sample_rate), type(config.duration), config.duration) == (int, float, 1.0)
    assert type(AudioModalityConfig(duration=np.float32(0.5)).duration) is float


def test_a_configuration_is_written_to_and_read_from_a_file(tmp_path):
    config = AudioModalityConfig(representation=MEL, duration=0.5)
    for name in ("experiment.toml", "experiment.yaml"):
        config.to_file(tmp_path / name)
        assert AudioModalityConfig.from_file(tmp_path / name) == config


def test_encode_scales_integers_by_their_range():
    modality = AudioModality(AudioModalityConfig(**SMALL, normalize=False))
    pcm = np.full(2000, -32768, np.int16)
    np.testing.assert_array_equal(modality.encode(pcm), np.full(2000, -1, np.float32))


@pytest.mark.parametrize(
    ("shape", "remedy"), [((), "trim_or_pad"), ((1999,), "trim_or_pad"), ((2000, 2), "transpose it")]
)
def test_encode_raises_for_another_length(shape, remedy):
    with pytest.raises(ValueError, match=rf"audio must have shape \(\.\.\., 2000\).*{remedy}"):
        AudioModality(AudioModalityConfig(**SMALL)).encode(np.zeros(shape, np.float32))


def test_decode_raises_for_another_shape():
    modality = AudioModality(AudioModalityConfig(**SMALL, representation=MEL))
    with pytest.raises(ValueError, match=r"mel_spectrogram of shape \(\.\.\., 20, 31\), got \(20, 30\)"):
        modality.decode(jnp.ones((20, 30)))


@pytest.mark.parametrize("name", sorted(registry("representation")))
def test_decode_inverts_encode(name):
    """Waveform and STFT are exact; mel spectrograms are compared after encoding again."""
    modality = AudioModality(AudioModalityConfig(**SMALL, representation=name))
    audio = np.stack([speech_like(2000), speech_like(2000, seed=1)])
    audio /= np.abs(audio).max(axis=-1, keepdims=True)
    encoded = modality.encode(audio)
    decoded = np.asarray(modality.decode(encoded))
    assert decoded.shape == audio.shape
    assert decoded.dtype == np.float32
    if "mel" in name:
        again = np.asarray(modality.encode(decoded))
        power, target = (10 ** (x / 10) if name == "log_mel_spectrogram" else x for x in (again, np.asarray(encoded)))
        assert np.linalg.norm(power - target) / np.linalg.norm(target) < 0.15
    else:
        np.testing.assert_allclose(decoded, audio, atol=2e-5)


def test_log_mel_is_decoded_like_the_corresponding_power():
    mel, log_mel = (
        AudioModality(AudioModalityConfig(**SMALL, representation=name))
        for name in ("mel_spectrogram", "log_mel_spectrogram")
    )
    audio = speech_like(2000)
    levels = np.asarray(log_mel.encode(audio))
    assert levels.max() - levels.min() <= 80
    power = np.asarray(mel.encode(audio))
    np.testing.assert_allclose(levels, 10 * np.log10(np.maximum(power, 1e-8 * power.max())), atol=1e-3)
    key = jax.random.key(0)
    expected = np.asarray(mel.decode(np.float32(10) ** (levels / 10), key=key))
    np.testing.assert_allclose(log_mel.decode(levels, key=key), expected, atol=1e-2 * np.abs(expected).max())


@pytest.mark.parametrize("hop_length", [64, 80, 128])
@pytest.mark.parametrize("n", [2048, 2000, 2047, 2111])
def test_a_modified_stft_is_not_amplified_at_the_end(hop_length, n):
    """Only the edge of a window covers the end, since the last frame is dropped: exact before it, faded there."""
    config = AudioModalityConfig(
        **{**SMALL, "duration": n / 8000, "hop_length": hop_length}, representation="stft", normalize=False
    )
    modality = AudioModality(config)
    audio = speech_like(n)
    encoded = np.asarray(modality.encode(audio))
    decoded = np.asarray(modality.decode(encoded))
    settled = n - 2 * hop_length
    np.testing.assert_allclose(decoded[:settled], audio[:settled], atol=2e-5)
    assert np.abs(decoded).max() <= np.abs(audio).max() + 1e-4
    draws = np.random.default_rng(0)
    change = 0.01 * encoded * draws.standard_normal(encoded.shape)
    error = np.abs(np.asarray(modality.decode((encoded + change).astype(np.complex64))) - decoded)
    assert error[settled:].max() < 10 * error[:settled].max()


@pytest.mark.parametrize("name", sorted(registry("representation")))
def test_encode_and_decode_work_under_jit_vmap_and_grad(name):
    modality = AudioModality(AudioModalityConfig(**SMALL, representation=name))
    audio = np.stack([speech_like(2000), np.zeros(2000, np.float32)])
    encoded = modality.encode(audio)
    scale = np.abs(encoded).max()
    np.testing.assert_allclose(jax.jit(modality.encode)(audio), encoded, atol=1e-5 * scale)
    np.testing.assert_allclose(jax.vmap(modality.encode)(audio), encoded, atol=1e-5 * scale)
    gradient = jax.grad(lambda x: jnp.sum(jnp.abs(modality.encode(x))))(audio)
    assert np.isfinite(gradient).all()
    assert np.isfinite(jax.jit(modality.decode)(encoded)).all()


def test_a_modality_without_configuration_has_the_defaults():
    assert AudioModality(rngs=nnx.Rngs(0)).config == AudioModalityConfig()
    with pytest.raises(TypeError, match=r"config must be an AudioModalityConfig or None, got {.*} \(dict\)"):
        AudioModality(config={"sample_rate": 8000})
