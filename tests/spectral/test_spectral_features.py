"""Spectral features against librosa, SciPy and formulas."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest
import scipy.stats

from artifex.generative_models.extensions.audio_processing.spectral import (
    SpectralConfig,
    lfcc,
    log_mel_spectrogram,
    magnitude_spectrogram,
    mel_spectrogram,
    mfcc,
    power_spectrogram,
)
from artifex.generative_models.extensions.audio_processing.spectral import features as module
from artifex.generative_models.extensions.audio_processing.spectral.chromagram import chroma
from artifex.generative_models.extensions.audio_processing.spectral.features import (
    onset_strength,
    rms,
    spectral_bandwidth,
    spectral_centroid,
    spectral_contrast,
    spectral_crest,
    spectral_entropy,
    spectral_flatness,
    spectral_flux,
    spectral_rolloff,
    spectral_slope,
    zero_crossing_rate,
)

FRAMES = {"n_fft": 512, "hop_length": 128}
SIGNALS = ["noise", "tone", "click", "silence"]


def magnitudes(audio):
    return np.abs(librosa.stft(audio.astype(np.float64), **FRAMES))


def over(values, total, at_rest):
    return np.divide(
        values, total, out=np.full(np.broadcast_shapes(values.shape, total.shape), at_rest), where=total > 0
    )


def crest(audio):
    power = magnitudes(audio) ** 2
    return over(power.max(axis=0), power.mean(axis=0), 1.0)


def entropy(audio):
    power = magnitudes(audio) ** 2
    power[:, power.sum(axis=0) == 0] = 1
    return scipy.stats.entropy(power, axis=0) / np.log(257)


def slope(audio):
    magnitude = magnitudes(audio)
    shares = over(magnitude, magnitude.sum(axis=0, keepdims=True), 0.0)
    return np.polyfit(librosa.fft_frequencies(sr=8000, n_fft=512), shares, 1)[0]


def flux(audio):
    magnitude = magnitudes(audio)
    return np.maximum(0, np.diff(magnitude, axis=1, prepend=magnitude[:, :1])).sum(axis=0)


DESCRIPTORS = {
    "centroid": (spectral_centroid, lambda y: librosa.feature.spectral_centroid(y=y, sr=8000, **FRAMES)[0]),
    "bandwidth": (spectral_bandwidth, lambda y: librosa.feature.spectral_bandwidth(y=y, sr=8000, **FRAMES)[0]),
    "rolloff": (spectral_rolloff, lambda y: librosa.feature.spectral_rolloff(y=y, sr=8000, **FRAMES)[0]),
    "flatness": (spectral_flatness, lambda y: librosa.feature.spectral_flatness(y=y, **FRAMES)[0]),
    "crest": (spectral_crest, crest),
    "entropy": (spectral_entropy, entropy),
    "slope": (spectral_slope, slope),
    "flux": (spectral_flux, flux),
    "rms": (rms, lambda y: librosa.feature.rms(y=y, frame_length=512, hop_length=128)[0]),
    "zero_crossings": (
        zero_crossing_rate,
        lambda y: librosa.feature.zero_crossing_rate(y, frame_length=512, hop_length=128)[0],
    ),
}

# Five octaves, since librosa's six do not fit below 4 kHz.
OPTIONS = {spectral_contrast: {"n_bands": 5}}
EVERY = {name: value for name, value in vars(module).items() if name.startswith("spectral_")}
EVERY |= {"onset_strength": onset_strength, "rms": rms, "zero_crossing_rate": zero_crossing_rate}
EVERY |= {"chroma": chroma}
# The other functions are in test_spectral_transforms.
REST = {name: value for name, value in EVERY.items() if name[9:] not in ("centroid", "bandwidth", "rolloff")}
OTHERS = {
    function.__name__: function for function in (log_mel_spectrogram, mel_spectrogram, mfcc, lfcc, power_spectrogram)
}


@pytest.mark.parametrize("name", DESCRIPTORS)
@pytest.mark.parametrize("row", range(4), ids=SIGNALS)
def test_feature_equals_the_reference_unbatched_and_batched(batch, name, row, config):
    ours, theirs = DESCRIPTORS[name]
    expected = theirs(batch[row])
    for found in (ours(batch[row], config), ours(batch, config)[row]):
        # The slope of a click is 0 and that of noise is 1e-7 per Hz; the tolerance is 1e-11 for both.
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max() + 1e-11)


@pytest.mark.parametrize("row", range(4), ids=SIGNALS)
def test_contrast_equals_librosa_in_double_precision(batch, row, config):
    # In single precision the weakest bins of a tone contain rounding errors only.
    expected = librosa.feature.spectral_contrast(S=magnitudes(batch[row]), sr=8000, n_bands=5)
    with jax.enable_x64(True):
        found = spectral_contrast(batch[row].astype(np.float64), config, n_bands=5)
        assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["noise", "click", "silence"])
def test_contrast_equals_librosa_of_a_batch_of_equally_loud_clips(signals, name, config):
    expected = librosa.feature.spectral_contrast(y=signals[name], sr=8000, n_bands=5, **FRAMES)
    found = spectral_contrast(np.stack([signals[name]] * 2), config, n_bands=5)
    np.testing.assert_allclose(found[1], expected, rtol=0, atol=1e-3)


def test_contrast_with_other_bands_and_quantiles(signals, config):
    options = {"n_bands": 3, "quantile": 0.3}
    expected = librosa.feature.spectral_contrast(y=signals["noise"], sr=8000, fmin=150.0, **options, **FRAMES)
    found = spectral_contrast(signals["noise"], config, f_min=150.0, **options)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


def test_contrast_raises_for_bands_that_do_not_fit(signals, config):
    with pytest.raises(ValueError, match="starts at 6400.0 Hz, which must be below half the sample rate of 8000 Hz"):
        spectral_contrast(signals["noise"], config)
    with pytest.raises(ValueError, match="band 0 of the spectral contrast contains no frequency bin"):
        spectral_contrast(signals["noise"], config.evolve(n_fft=128, hop_length=None, n_mels=10), f_min=50.0, n_bands=2)
    with pytest.raises(ValueError, match="quantile must be a finite number above 0.0 and at most 0.5"):
        spectral_contrast(signals["noise"], config, n_bands=2, quantile=0.9)


@pytest.mark.parametrize("row", range(4), ids=SIGNALS)
def test_onset_strength_equals_librosa_unbatched_and_batched(batch, row, config):
    expected = librosa.onset.onset_strength(y=batch[row], sr=8000, n_mels=40, **FRAMES)
    for found in (onset_strength(batch[row], config), onset_strength(batch, config)[row]):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


def test_onset_strength_without_centering_is_not_delayed(signals, config):
    mel = librosa.feature.melspectrogram(y=signals["noise"], sr=8000, n_mels=40, center=False, **FRAMES)
    expected = librosa.onset.onset_strength(S=librosa.power_to_db(mel), center=False)
    found = onset_strength(signals["noise"], config.evolve(center=False, log="ln", level_scale=0.5))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


def test_zero_crossings_equal_librosa_where_samples_are_zero(config):
    # Frames start at multiples of 16 with the value 1.
    audio = np.float32([1, 0, -1, 0, 1, -1, 0, 0, 1, 1e-12, -1, -1e-12, -1, 3, -2, 2] * 200)
    expected = librosa.feature.zero_crossing_rate(audio, frame_length=512, hop_length=128)[0]
    np.testing.assert_allclose(zero_crossing_rate(audio, config), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("sign", [-1, 1])
def test_padding_has_no_zero_crossings(sign, config):
    audio = sign * np.ones((2, 1000), np.float32)
    np.testing.assert_array_equal(zero_crossing_rate(audio, config, lengths=[1000, 600]), 0)


@pytest.mark.parametrize("share", [0.01, 1.0])
def test_rolloff_is_the_lowest_frequency_with_the_fraction_at_or_below_it(signals, share, config):
    config = config.evolve(rolloff_fraction=share)
    magnitude = np.asarray(magnitude_spectrogram(signals["noise"], config), np.float64)
    found = np.asarray(spectral_rolloff(signals["noise"], config)) / (8000 / 512)
    running = np.cumsum(magnitude, axis=0) / magnitude.sum(axis=0)
    for frame, place in enumerate(found.round().astype(int)):
        assert running[place, frame] >= share - 1e-5
        assert place == 0 or running[place - 1, frame] < share + 1e-5


def test_example_does_not_depend_on_louder_examples(batch, config):
    louder = batch * np.float32([[1000], [1], [1000], [1]])
    np.testing.assert_array_equal(spectral_rolloff(louder, config)[1], spectral_rolloff(batch[1], config))
    quiet = onset_strength(louder, config)[1]
    np.testing.assert_allclose(quiet, onset_strength(batch[1], config), rtol=0, atol=1e-4)
    quiet = spectral_contrast(louder, config, n_bands=5)[1]
    np.testing.assert_allclose(quiet, spectral_contrast(batch[1], config, n_bands=5), rtol=0, atol=1e-4)


@pytest.mark.thorough
@pytest.mark.parametrize("function", EVERY.values(), ids=EVERY)
def test_value_and_gradient_are_finite_on_every_signal_and_near_silence(function, batch, config):
    options = OPTIONS.get(function, {})
    both = jax.jit(jax.value_and_grad(lambda audio: jnp.sum(function(audio, config, **options))))
    dc = np.full((1, 1000), 0.5, np.float32)
    for audio in (np.concatenate([batch[:, 1000:2000], dc]), 1e-22 * batch[:, 500:1500], 1e-38 * batch[:, :1000]):
        value, gradient = both(np.resize(audio, (5, 1000)).astype(np.float32))
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
    value, gradient = both(np.ones((1, 1), np.float32))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_features_of_the_spectral_shape_do_not_depend_on_the_level(signals, config):
    loud, quiet = 1e3 * signals["noise"], 1e-15 * signals["noise"]
    for function in (spectral_centroid, spectral_bandwidth, spectral_crest, spectral_entropy, spectral_slope, chroma):
        np.testing.assert_allclose(function(np.float32(quiet), config), function(np.float32(loud), config), rtol=1e-4)


def test_features_accept_a_spectrum_of_three_frequencies():
    config = SpectralConfig(sample_rate=8000, n_fft=4, hop_length=1, n_mels=1, mel_norm=None, mel_scale="linear")
    for function in (spectral_crest, spectral_entropy, spectral_slope, spectral_flatness):
        assert np.isfinite(function(np.ones(8, np.float32), config)).all()
