"""What holds for every spectral function alike: jit, vmap, grad, half precision, float64, NaN, wrong
input."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest

from artifex.generative_models.core.configuration import ExtensionConfig
from artifex.generative_models.extensions.audio_processing import spectral
from artifex.generative_models.extensions.audio_processing.spectral import SpectralAnalysis, SpectralConfig

FUNCTIONS = {
    name: getattr(spectral, name)
    for name in (
        "stft",
        "magnitude_spectrogram",
        "power_spectrogram",
        "mel_spectrogram",
        "log_mel_spectrogram",
        "mfcc",
        "spectral_centroid",
        "spectral_bandwidth",
        "spectral_rolloff",
    )
}
every_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


@every_function
def test_batch_and_vmap_over_jit_equal_the_loop(function, batch, config):
    stacked = np.stack([function(row, config) for row in batch])
    scale = np.abs(stacked).max()
    found = {
        "batch": function(batch, config),
        "vmap": jax.vmap(jax.jit(lambda rows: function(rows, config)))(batch.reshape(2, 2, -1)).reshape(stacked.shape),
    }
    for how, values in found.items():
        np.testing.assert_allclose(values, stacked, rtol=0, atol=1e-6 * scale, err_msg=how)


@every_function
def test_value_and_gradient_are_finite_on_every_signal_and_one_sample(function, batch, config):
    both = jax.jit(jax.value_and_grad(lambda audio: jnp.sum(jnp.abs(function(audio, config)))))
    for audio in (batch[:, 1000:2000], np.eye(2, 1, dtype=np.float32)):
        value, slope = both(audio)
        assert np.isfinite(value)
        assert np.isfinite(slope).all()


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
def test_half_precision_is_computed_in_float32_and_returned_as_it_came(function, signals, config):
    dtype = jnp.float16 if function in (FUNCTIONS["mfcc"], FUNCTIONS["magnitude_spectrogram"]) else jnp.bfloat16
    audio = jnp.asarray(signals["tone"], dtype)
    found, wide = function(audio, config), function(audio.astype(jnp.float32), config)
    expected = wide if jnp.iscomplexobj(wide) else wide.astype(dtype)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(np.asarray(found, np.complex64), np.asarray(expected, np.complex64))


@every_function
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_value_in_one_row_never_touches_another(function, batch, config, bad):
    dirty = batch.copy()
    dirty[1, 2000] = bad
    found, clean = np.asarray(function(dirty, config)), np.asarray(function(batch, config))
    np.testing.assert_array_equal(found[[0, 2, 3]], clean[[0, 2, 3]])
    assert not np.isfinite(found[1]).all()


@every_function
def test_constants_loud_and_next_to_nothing_are_finite(function, config):
    for level in (1.0, 1e6, 1e-30):
        assert np.isfinite(function(np.full(4000, level, np.float32), config)).all()


@every_function
@pytest.mark.parametrize(
    ("audio", "error", "message"),
    [
        (np.zeros(100, np.int16), TypeError, "got int16: scale it first, such as by audio / 32768"),
        (np.zeros(100, complex), TypeError, "floating point with full scale 1, got complex"),
        (np.zeros((3, 0), np.float32), ValueError, r"at least one sample, got shape \(3, 0\)"),
        (np.float32(1), ValueError, r"got shape \(\)"),
    ],
    ids=["integers", "complex", "empty", "scalar"],
)
def test_wrong_audio_says_what_was_given_and_what_to_do(function, config, audio, error, message):
    with pytest.raises(error, match=message):
        function(audio, config)


def test_uncentred_clip_shorter_than_a_frame_is_an_error(config):
    with pytest.raises(ValueError, match="of 100 samples is shorter than one frame of n_fft 512"):
        FUNCTIONS["stft"](np.zeros(100, np.float32), config.evolve(center=False))


def test_one_compilation_serves_all_analyses_of_equal_configuration(signals):
    options = {"sample_rate": 8000, "n_fft": 400, "n_mels": 30}
    traces = []

    def counted(spectra, config):
        traces.append(None)
        return jnp.abs(spectra).sum(-1)

    from artifex.generative_models.extensions.audio_processing.spectral.stft import analyse

    for _ in range(3):
        analyse(signals["noise"], SpectralConfig(**options), counted)
    assert len(traces) == 1


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
