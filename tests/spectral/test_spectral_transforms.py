"""Properties of every feature beyond the conformance kit: loud and faint constants, invalid input, float64."""

from __future__ import annotations

import inspect
from functools import partial

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest

from artifex.generative_models.core.configuration import ExtensionConfig
from artifex.generative_models.extensions.audio_processing import spectral
from artifex.generative_models.extensions.audio_processing.spectral import SpectralAnalysis, SpectralConfig, analyze

FUNCTIONS = {
    name: function
    for name in spectral.__all__
    if name != "analyze" and "lengths" in inspect.signature(function := getattr(spectral, name)).parameters
}
# At 8 kHz there are fewer than six octaves above 200 Hz.
FUNCTIONS["spectral_contrast"] = partial(spectral.spectral_contrast, n_bands=3)
every_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


def test_gradient_of_the_power_equals_the_closed_form(signals, config):
    audio = signals["noise"].astype(np.float64)
    gradient = jax.grad(lambda x: jnp.sum(FUNCTIONS["power_spectrogram"](x, config)))(signals["noise"])
    # The DFT of n points is n times an isometry once the mirrored bins are counted: sum over bins of |X|^2.
    window = np.zeros(len(audio) + 512)
    frames = 512 * librosa.filters.get_window("hann", 512) ** 2
    ends = np.zeros_like(window)
    signs = librosa.filters.get_window("hann", 512)
    padded, again = np.pad(audio, 256), np.zeros(len(audio) + 512)
    for start in range(0, len(audio) + 1, 128):
        window[start : start + 512] += frames
        frame = padded[start : start + 512] * signs
        # DC and Nyquist occur once, the other bins twice.
        edge = frame.sum() + (-1) ** np.arange(512) * (frame * (-1) ** np.arange(512)).sum()
        ends[start : start + 512] += signs * edge
    again = window * padded + ends
    np.testing.assert_allclose(gradient, again[256:-256], rtol=0, atol=1e-5 * np.abs(again).max())


@every_function
def test_loud_and_faint_constants_are_finite(function, config):
    for level in (1.0, 1e6, 1e-30):
        assert np.isfinite(function(np.full(4000, level, np.float32), config)).all()


@every_function
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_or_infinity_propagates_to_the_result(function, signals, config, bad):
    assert not np.isfinite(function(np.where(np.arange(4000) == 2000, bad, signals["noise"]), config)).all()


@every_function
@pytest.mark.parametrize(
    ("audio", "error", "message"),
    [
        (np.zeros(100, np.int16), TypeError, "got int16; scale it first, for example audio / 32768"),
        (np.zeros(100, complex), TypeError, "floating point with full scale 1, got complex"),
        (np.zeros((3, 0), np.float32), ValueError, r"at least one sample, got shape \(3, 0\)"),
        (np.float32(1), ValueError, r"got shape \(\)"),
    ],
    ids=["integers", "complex", "empty", "scalar"],
)
def test_invalid_audio_raises_with_a_remedy(function, config, audio, error, message):
    with pytest.raises(error, match=message):
        function(audio, config)


def test_audio_of_shape_time_and_channels_warns(config):
    with pytest.warns(UserWarning, match=r"shape \(1000, 2\) is 1000 clips of 2 samples, .* transpose"):
        FUNCTIONS["stft"](np.zeros((1000, 2), np.float32), config)


def test_uncentered_clip_shorter_than_a_frame_raises(config):
    with pytest.raises(ValueError, match="at least 512 samples for one frame .* got 100; pad it or set center=True"):
        FUNCTIONS["stft"](np.zeros(100, np.float32), config.evolve(center=False))


def test_equal_configurations_share_one_compilation(signals):
    options = {"sample_rate": 8000, "n_fft": 400, "n_mels": 30}
    traces = []

    def measure(frames, config):
        traces.append(None)
        return frames.magnitude.sum(-1)

    for _ in range(3):
        analyze(signals["noise"], SpectralConfig(**options), measure=measure)
    assert len(traces) == 1


def test_unknown_option_of_a_feature_raises(signals, config):
    with pytest.raises(TypeError, match="unexpected keyword argument 'n_mfc'"):
        FUNCTIONS["mfcc"](signals["noise"], config, n_mfc=13)


@pytest.fixture
def doubles():
    with jax.enable_x64(True):
        yield


@pytest.mark.usefixtures("doubles")
def test_float64_equals_numpy_to_nine_digits_when_enabled(signals, config, quietly):
    audio = signals["noise"].astype(np.float64)
    expected = librosa.stft(audio, n_fft=512, hop_length=128)
    bank = librosa.filters.mel(sr=8000, n_fft=512, n_mels=40, dtype=np.float64)
    found = FUNCTIONS["stft"](audio, config)
    assert found.dtype == np.complex128
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    mel = bank @ np.abs(expected) ** 2
    np.testing.assert_allclose(FUNCTIONS["mel_spectrogram"](audio, config), mel, rtol=0, atol=1e-12 * mel.max())
    levels = librosa.power_to_db(mel)
    np.testing.assert_allclose(FUNCTIONS["log_mel_spectrogram"](audio, config), levels, rtol=0, atol=1e-9)
    np.testing.assert_allclose(
        FUNCTIONS["mfcc"](audio, config), librosa.feature.mfcc(S=levels, n_mfcc=13), rtol=0, atol=1e-9
    )
    again = spectral.istft(found, config, length=4000)
    np.testing.assert_allclose(again, audio, rtol=0, atol=1e-12)
    stretched = quietly(librosa.effects.time_stretch, audio, rate=1.3, n_fft=512, hop_length=128)
    ours = spectral.time_stretch(audio, 1.3, config, length=len(stretched))
    np.testing.assert_allclose(ours[:-640], stretched[:-640], rtol=0, atol=1e-9)


@pytest.mark.usefixtures("doubles")
def test_float32_audio_stays_float32_when_float64_is_enabled(signals, config):
    def everything(audio):
        return [function(audio, config) for function in FUNCTIONS.values()], spectral.time_stretch(
            audio, 1.1, config, length=4000
        )

    leaves = jax.tree.leaves(jax.eval_shape(everything, signals["noise"]))
    assert {leaf.dtype for leaf in leaves} == {np.dtype(np.float32), np.dtype(np.complex64)}


def test_methods_of_the_extension_work_under_jit_and_vmap(batch):
    options = {"sample_rate": 8000, "n_fft": 512, "hop_length": 128, "n_mels": 40}
    analysis = SpectralAnalysis(ExtensionConfig(extensions={"spectral": options}))
    expected = np.asarray(analysis.compute_mel_spectrogram(batch))
    mapped = jax.vmap(analysis.compute_mel_spectrogram)(batch)
    np.testing.assert_allclose(mapped, expected, rtol=0, atol=1e-6 * expected.max())
    compiled = jax.jit(analysis.compute_mel_spectrogram)
    np.testing.assert_allclose(compiled(batch), expected, rtol=0, atol=1e-6 * expected.max())
    slope = jax.grad(lambda audio: analysis.compute_mel_spectrogram(audio).sum())(batch)
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("amin", [1e-50, 1e-300])
def test_amin_below_the_range_of_float32_is_finite_on_silence(signals, config, amin):
    silence = signals["silence"]
    assert np.isfinite(FUNCTIONS["log_mel_spectrogram"](silence, config.evolve(amin=amin))).all()
    assert np.isfinite(spectral.power_to_db(silence, amin=amin)).all()
    assert np.isfinite(spectral.amplitude_to_db(silence, amin=amin)).all()
    np.testing.assert_allclose(FUNCTIONS["spectral_flatness"](silence, config, amin=amin), 1.0, rtol=1e-4)


def test_invalid_configuration_raises_with_a_remedy(signals, config):
    with pytest.raises(TypeError, match="config must be a SpectralConfig, got str; pass the array first"):
        FUNCTIONS["mel_spectrogram"](signals["tone"], "whisper")
    with pytest.raises(TypeError, match="config must be a SpectralConfig, got ndarray; pass the array first"):
        FUNCTIONS["mel_spectrogram"](config, signals["tone"])


def test_rms_does_not_depend_on_input_scale(signals, config):
    plain = np.asarray(FUNCTIONS["rms"](signals["tone"], config))
    np.testing.assert_allclose(FUNCTIONS["rms"](signals["tone"], config.evolve(input_scale=32768.0)), plain, rtol=1e-6)
