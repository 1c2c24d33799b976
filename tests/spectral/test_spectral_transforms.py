"""What holds for every feature alike, beside the kit's rules: loud and faint constants, wrong input, float64."""

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
# Six octaves above 200 Hz are more than 8 kHz have.
FUNCTIONS["spectral_contrast"] = partial(spectral.spectral_contrast, n_bands=3)
every_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


def test_gradient_of_the_power_is_that_of_the_closed_form(signals, config):
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
        # DC and Nyquist stand once among the bins, the others twice.
        edge = frame.sum() + (-1) ** np.arange(512) * (frame * (-1) ** np.arange(512)).sum()
        ends[start : start + 512] += signs * edge
    again = window * padded + ends
    np.testing.assert_allclose(gradient, again[256:-256], rtol=0, atol=1e-5 * np.abs(again).max())


@every_function
def test_constants_loud_and_next_to_nothing_are_finite(function, config):
    for level in (1.0, 1e6, 1e-30):
        assert np.isfinite(function(np.full(4000, level, np.float32), config)).all()


@every_function
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_value_is_seen_in_what_comes_of_it(function, signals, config, bad):
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
def test_wrong_audio_says_what_was_given_and_what_to_do(function, config, audio, error, message):
    with pytest.raises(error, match=message):
        function(audio, config)


def test_uncentered_clip_shorter_than_a_frame_is_an_error(config):
    with pytest.raises(ValueError, match="at least 512 samples for one frame .* got 100; pad it or set center=True"):
        FUNCTIONS["stft"](np.zeros(100, np.float32), config.evolve(center=False))


def test_one_compilation_serves_all_analyses_of_equal_configuration(signals):
    options = {"sample_rate": 8000, "n_fft": 400, "n_mels": 30}
    traces = []

    def measure(frames, config):
        traces.append(None)
        return frames.magnitude.sum(-1)

    for _ in range(3):
        analyze(signals["noise"], SpectralConfig(**options), measure=measure)
    assert len(traces) == 1


def test_an_option_that_a_feature_does_not_take_is_refused_by_name(signals, config):
    with pytest.raises(TypeError, match="unexpected keyword argument 'n_mfc'"):
        FUNCTIONS["mfcc"](signals["noise"], config, n_mfc=13)


@pytest.fixture
def doubles():
    with jax.enable_x64(True):
        yield


@pytest.mark.usefixtures("doubles")
def test_float64_equals_numpys_to_nine_digits_where_it_is_enabled(signals, config, quietly):
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
def test_float32_audio_stays_float32_where_float64_is_enabled(signals, config):
    def everything(audio):
        return [function(audio, config) for function in FUNCTIONS.values()], spectral.time_stretch(
            audio, 1.1, config, length=4000
        )

    leaves = jax.tree.leaves(jax.eval_shape(everything, signals["noise"]))
    assert {leaf.dtype for leaf in leaves} == {np.dtype(np.float32), np.dtype(np.complex64)}


def test_methods_of_the_extension_compile_and_map_as_they_are(batch):
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
def test_floors_below_what_float32_holds_are_finite_on_silence(signals, config, amin):
    silence = signals["silence"]
    assert np.isfinite(FUNCTIONS["log_mel_spectrogram"](silence, config.evolve(amin=amin))).all()
    assert np.isfinite(spectral.power_to_db(silence, amin=amin)).all()
    assert np.isfinite(spectral.amplitude_to_db(silence, amin=amin)).all()
    np.testing.assert_allclose(FUNCTIONS["spectral_flatness"](silence, config, amin=amin), 1.0, rtol=1e-4)


def test_what_is_no_configuration_is_named_with_the_way_to_one(signals, config):
    message = "called with audio and a SpectralConfig, got {} and {}; create"
    with pytest.raises(TypeError, match=message.format("ndarray", "str")):
        FUNCTIONS["mel_spectrogram"](signals["tone"], "whisper")
    with pytest.raises(TypeError, match=message.format("SpectralConfig", "ndarray")):
        FUNCTIONS["mel_spectrogram"](config, signals["tone"])


def test_rms_has_full_scale_1_whatever_the_input_is_scaled_by(signals, config):
    plain = np.asarray(FUNCTIONS["rms"](signals["tone"], config))
    np.testing.assert_allclose(FUNCTIONS["rms"](signals["tone"], config.evolve(input_scale=32768.0)), plain, rtol=1e-6)
