"""SpectralAnalysis: names and shapes, features from one transform, the loss."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest
from flax import nnx

from artifex.generative_models.core import registry
from artifex.generative_models.core.configuration import ExtensionConfig
from artifex.generative_models.extensions.audio_processing import spectral
from artifex.generative_models.extensions.audio_processing.spectral import SpectralAnalysis, SpectralConfig

OPTIONS = {"sample_rate": 8000, "n_fft": 512, "hop_length": 128, "n_mels": 40}


def analysis_of(weight=1.0, enabled=True, **options):
    return SpectralAnalysis(
        config=ExtensionConfig(weight=weight, enabled=enabled, extensions={"spectral": {**OPTIONS, **options}}),
        rngs=nnx.Rngs(0),
    )


@pytest.fixture(scope="module")
def analysis():
    return analysis_of()


def test_extension_is_found_by_name():
    assert registry("extension")["spectral"] is SpectralAnalysis


def test_extension_without_options_has_the_defaults():
    assert SpectralAnalysis(ExtensionConfig()).config == SpectralConfig()


def test_extension_accepts_an_extension_config_only():
    with pytest.raises(TypeError, match="ExtensionConfig"):
        SpectralAnalysis({"n_fft": 512})


def test_extension_contains_no_arrays(analysis):
    assert not jax.tree.leaves(nnx.state(analysis))


METHODS = {
    "compute_stft": (spectral.magnitude_spectrogram, (257, 32)),
    "compute_spectrogram": (spectral.power_spectrogram, (257, 32)),
    "compute_mel_spectrogram": (spectral.mel_spectrogram, (40, 32)),
    "compute_log_mel_spectrogram": (spectral.log_mel_spectrogram, (40, 32)),
    "compute_mfcc": (spectral.mfcc, (13, 32)),
    "compute_spectral_centroid": (spectral.spectral_centroid, (32,)),
    "compute_spectral_bandwidth": (spectral.spectral_bandwidth, (32,)),
    "compute_spectral_rolloff": (spectral.spectral_rolloff, (32,)),
    "stft": (spectral.stft, (257, 32)),
}


@pytest.mark.parametrize("method", METHODS)
def test_method_equals_the_function_with_the_configuration(analysis, signals, config, method):
    function, shape = METHODS[method]
    found = getattr(analysis, method)(signals["noise"])
    assert found.shape == shape
    np.testing.assert_array_equal(found, function(signals["noise"], config))


def test_calls_of_the_guide_have_its_shapes():
    analysis = SpectralAnalysis(config=ExtensionConfig(), rngs=nnx.Rngs(0))
    audio = jnp.sin(2 * jnp.pi * 440 * jnp.arange(22050.0) / 22050)
    assert analysis.compute_stft(audio).shape == (1025, 44)
    assert analysis.compute_mfcc(audio, n_mfcc=20).shape == (20, 44)
    assert float(analysis.compute_spectral_centroid(audio)[20]) == pytest.approx(440, abs=5)


def test_features_from_one_transform_equal_those_of_the_methods(analysis, signals):
    features = analysis.extract_spectral_features(signals["tone"])
    expected = {
        "spectrogram": "compute_spectrogram",
        "mel_spectrogram": "compute_mel_spectrogram",
        "log_mel_spectrogram": "compute_log_mel_spectrogram",
        "mfcc": "compute_mfcc",
        "spectral_centroid": "compute_spectral_centroid",
        "spectral_bandwidth": "compute_spectral_bandwidth",
        "spectral_rolloff": "compute_spectral_rolloff",
    }
    assert features.keys() == expected.keys()
    for name, method in expected.items():
        alone = np.asarray(getattr(analysis, method)(signals["tone"]))
        np.testing.assert_allclose(features[name], alone, rtol=0, atol=1e-5 * np.abs(alone).max(), err_msg=name)


def test_call_returns_the_features_of_an_array_or_of_audio_in_a_mapping(analysis, signals):
    expected = analysis.extract_spectral_features(signals["noise"])
    for inputs in (signals["noise"], {"audio": signals["noise"], "label": 3}):
        found = analysis(inputs)
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values)
    with pytest.raises(ValueError, match='contain the key "audio", got a mapping with label'):
        analysis({"label": 3})


def test_loss_is_the_weighted_mean_distance_of_the_mel_levels(signals):
    levels = [
        librosa.power_to_db(
            librosa.feature.melspectrogram(y=signals[name], sr=8000, n_fft=512, hop_length=128, n_mels=40)
        )
        for name in ("noise", "tone")
    ]
    loss = analysis_of(weight=0.25).loss_fn({"audio": signals["noise"]}, {"audio": signals["tone"]})
    assert loss.shape == ()
    assert float(loss) == pytest.approx(0.25 * np.abs(levels[0] - levels[1]).mean(), rel=1e-5)
    assert float(analysis_of(enabled=False).loss_fn({"audio": signals["noise"]}, signals["tone"])) == 0
    assert float(analysis_of().loss_fn({"audio": signals["noise"]}, signals["noise"])) == 0


def test_loss_has_a_finite_gradient_that_points_to_the_target(signals):
    analysis = analysis_of()
    value_and_slope = jax.jit(
        jax.value_and_grad(lambda gain: analysis.loss_fn(signals["noise"], gain * signals["noise"]))
    )
    assert value_and_slope(2.0)[1] > 0
    assert value_and_slope(0.5)[1] < 0
    silent = value_and_slope(0.0)
    assert np.isfinite(silent[0])
    assert np.isfinite(silent[1])


def test_loss_of_clips_of_different_length_raises(analysis, signals):
    with pytest.raises(ValueError, match=r"same shape, got \(4000,\) and \(3000,\)"):
        analysis.loss_fn(signals["noise"], signals["noise"][:3000])


def test_inverses_have_the_requested_length(analysis, chord):
    batch = np.stack([chord, chord[::-1]])
    np.testing.assert_allclose(analysis.istft(analysis.stft(batch), length=7900), batch[:, :7900], atol=1e-5)

    def ways_back(audio, rates):
        mel, magnitude = analysis.compute_mel_spectrogram(audio), analysis.compute_stft(audio)
        return (
            analysis.mel_to_audio(mel, length=8000, n_iter=1, key=jax.random.key(0)),
            analysis.magnitude_to_audio(magnitude, length=8000, n_iter=1),
            analysis.time_stretch(audio, rates, length=8000),
        )

    for found in jax.eval_shape(ways_back, batch, jnp.asarray([0.9, 1.1])):
        assert (found.shape, found.dtype) == ((2, 8000), np.float32)
