"""Deltas, liftering, mean and variance normalization and PCEN against SciPy, librosa and loops."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest
import scipy.signal

from artifex.generative_models.extensions.audio_processing.spectral import mfcc
from artifex.generative_models.extensions.audio_processing.spectral.postprocessing import (
    cmvn,
    deltas,
    lifter,
    pcen,
    sliding_cmn,
)

N_FRAMES = np.array([45, 31, 1, 31])
RATES = {"sample_rate": 16000, "hop_length": 160}

FUNCTIONS = {
    "deltas": deltas,
    "second deltas": lambda x, **options: deltas(x, width=5, order=2, **options),
    "cmvn": cmvn,
    "cmn": lambda x, **options: cmvn(x, variance=False, **options),
    "sliding": lambda x, **options: sliding_cmn(x, window=12, min_window=5, **options),
    "sliding centered": lambda x, **options: sliding_cmn(x, window=13, center=True, variance=True, **options),
}
every_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


@pytest.fixture(scope="module")
def features():
    """Return rows far from 0, such as levels, (4, 4, 45) float32."""
    rng = np.random.default_rng(1)
    rows = (8 * rng.standard_normal((3, 4, 45)) - [[60], [0], [5], [300]]).astype(np.float32)
    return rows[[0, 1, 2, 0]]  # an even number, for two devices


@pytest.mark.parametrize(("width", "order"), [(9, 1), (3, 1), (5, 2), (9, 2), (7, 3), (51, 1)])
def test_deltas_equal_librosa_and_scipy(features, width, order):
    found = deltas(features, width=width, order=order)
    wide = features.astype(np.float64)
    expected = librosa.feature.delta(wide, width=width, order=order, mode="nearest")
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(features).max())
    smoothed = scipy.signal.savgol_filter(wide, width, order, deriv=order, mode="nearest")
    np.testing.assert_allclose(found, smoothed, rtol=0, atol=1e-6 * np.abs(features).max())


def test_first_deltas_equal_the_regression_of_htk_and_kaldi(features):
    padded = np.pad(features.astype(np.float64), ((0, 0), (0, 0), (2, 2)), mode="edge")
    frames = [padded[..., 2 + n : 47 + n] - padded[..., 2 - n : 47 - n] for n in (1, 2)]
    expected = (frames[0] + 2 * frames[1]) / (2 * (1 + 4))
    np.testing.assert_allclose(deltas(features, width=5), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("amount", [22.0, 10.5])
def test_lifter_equals_htk_and_the_option_of_the_configuration(signals, config, amount):
    plain = mfcc(signals["noise"], config)
    n = np.arange(13)[:, None]
    expected = np.asarray(plain, np.float64) * (1 + amount / 2 * np.sin(np.pi * n / amount))
    found = lifter(plain, lifter=amount)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found, mfcc(signals["noise"], config.evolve(lifter=amount)), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("variance", [True, False])
def test_cmvn_normalizes_over_the_valid_frames_of_each_row(features, variance):
    found = np.asarray(cmvn(features, variance=variance, n_frames=N_FRAMES))
    for row, given, count in zip(found, features.astype(np.float64), N_FRAMES, strict=True):
        valid = given[:, :count]
        expected = valid - valid.mean(axis=1, keepdims=True)
        if variance and count > 1:
            expected /= valid.std(axis=1, keepdims=True)
        np.testing.assert_allclose(row[:, :count], expected, rtol=0, atol=1e-4)
        np.testing.assert_array_equal(row[:, count:], 0)


def kaldi_loop(features, window, min_window, center, variance):
    """Compute Kaldi's loop in double precision."""
    features = features.astype(np.float64)
    n_frames, found = features.shape[-1], np.zeros(features.shape)
    for t in range(n_frames):
        start, end = (t - window // 2, t - window // 2 + window) if center else (t - window, t + 1)
        if start < 0:
            start, end = 0, end - start
        if not center and end > t:
            end = max(t + 1, min_window)
        if end > n_frames:
            start, end = max(0, start - (end - n_frames)), n_frames
        part = features[..., start:end]
        found[..., t] = features[..., t] - part.mean(axis=-1)
        if variance:
            found[..., t] = found[..., t] / part.std(axis=-1) if end - start > 1 else 0
    return found


@pytest.mark.parametrize(
    ("window", "min_window", "center"),
    [(600, 100, False), (12, 5, False), (20, 20, False), (12, 5, True), (13, 5, True), (1, 1, False), (1, 1, True)],
)
@pytest.mark.parametrize("variance", [False, True])
def test_sliding_cmn_equals_the_loop_of_kaldi_on_the_unpadded_clip(features, window, min_window, center, variance):
    options = {"window": window, "min_window": min_window, "center": center, "variance": variance}
    padded = np.where(np.arange(45) < N_FRAMES[:, None, None], features, np.nan)
    found = np.asarray(sliding_cmn(padded, n_frames=N_FRAMES, **options))
    for row, given, count in zip(found, features, N_FRAMES, strict=True):
        np.testing.assert_allclose(row[:, :count], kaldi_loop(given[:, :count], **options), rtol=0, atol=3e-4)
        np.testing.assert_array_equal(row[:, count:], 0)


def test_sliding_variance_is_accurate_far_from_zero_and_for_many_frames():
    given = (np.random.default_rng(2).standard_normal((1, 3000)) + 1000).astype(np.float32)
    options = {"window": 50, "min_window": 10, "center": False, "variance": True}
    np.testing.assert_allclose(sliding_cmn(given, **options), kaldi_loop(given, **options), rtol=0, atol=1e-3)


@pytest.mark.parametrize("scale", [1.0, 2.0**31])
def test_pcen_equals_librosa(batch, scale):
    magnitude = np.abs(librosa.stft(scale * batch, n_fft=512, hop_length=160)).astype(np.float32)
    expected = librosa.pcen(magnitude.astype(np.float64), sr=16000, hop_length=160)
    np.testing.assert_allclose(pcen(magnitude, **RATES), expected, rtol=0, atol=1e-5 * expected.max())


def test_pcen_accepts_a_traced_value_per_band(features):
    spectrogram = np.abs(features[0])
    options = {
        "gain": np.float32([0.98, 0.5, 0.8, 0.0]),
        "bias": np.float32([2, 1, 10, 0.1]),
        "power": np.float32([0.5, 0.25, 1, 0.1]),
        "eps": np.float32([1e-6, 1e-3, 1e-1, 1.0]),
    }
    found = jax.jit(lambda x, options: pcen(x, time_constant=0.06, **RATES, **options))(spectrogram, options)
    for band, row in enumerate(spectrogram.astype(np.float64)):
        one = {name: float(values[band]) for name, values in options.items()}
        expected = librosa.pcen(row, sr=16000, hop_length=160, time_constant=0.06, **one)
        np.testing.assert_allclose(found[band], expected, rtol=0, atol=1e-5 * expected.max())

    def total(options):
        return jnp.sum(pcen(spectrogram.at[1].set(0), time_constant=0.06, **RATES, **options))

    spectrogram = jnp.asarray(spectrogram)
    for gradient in jax.grad(total)(options).values():
        assert np.isfinite(gradient).all()


@every_function
def test_valid_frames_equal_those_of_the_unpadded_features(function, features):
    padded = np.where(np.arange(45) < N_FRAMES[:, None, None], features, np.nan)
    found = np.asarray(function(padded, n_frames=N_FRAMES))
    assert np.isfinite(found).all()
    gradient = jax.grad(lambda x: jnp.sum(function(x, n_frames=N_FRAMES) ** 2))(padded)
    assert np.isfinite(gradient).all()
    for row, count in enumerate(N_FRAMES):
        expected = function(features[..., :count])[row]
        np.testing.assert_allclose(found[row, :, :count], expected, rtol=0, atol=2e-4)
        np.testing.assert_array_equal(found[row, :, count:], 0)


def test_pcen_is_causal(features):
    spectrogram = np.abs(features)
    found = pcen(np.where(np.arange(45) < 31, spectrogram, np.nan), **RATES)
    np.testing.assert_allclose(found[..., :31], pcen(spectrogram, **RATES)[..., :31], rtol=1e-6)


ALL = {**FUNCTIONS, "lifter": lifter, "pcen": lambda x: pcen(jnp.abs(x), **RATES)}
all_functions = pytest.mark.parametrize("function", ALL.values(), ids=ALL)


@all_functions
@pytest.mark.parametrize("level", [0.0, 0.1, 1e-25])
def test_constant_rows_and_single_frames_have_finite_values_and_gradients(function, level):
    both = jax.value_and_grad(lambda x: jnp.sum(function(x) ** 2))
    for shape in ((4, 4, 45), (2, 3, 1)):
        value, gradient = both(np.full(shape, level, np.float32))
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("function", [cmvn, FUNCTIONS["sliding centered"]], ids=["cmvn", "sliding"])
@pytest.mark.parametrize("level", [0.1, -100.1, 12345.678])
def test_constant_row_becomes_zero(function, level):
    np.testing.assert_allclose(function(np.full((1, 4000), level, np.float32)), 0, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_normalized_rows_do_not_depend_on_their_level(features, scale):
    centered = np.float32(features - features.mean(axis=-1, keepdims=True))
    for function in (cmvn, FUNCTIONS["sliding centered"]):
        found = function(np.float32(centered * scale))
        np.testing.assert_allclose(found, function(centered), rtol=0, atol=1e-4)
        gradient = jax.grad(lambda x, function=function: jnp.sum(function(x) ** 3))(np.float32(centered * scale))
        assert np.isfinite(gradient).all()


@all_functions
def test_vmap_equals_the_batch_and_nan_stays_in_its_example(function, features):
    found = np.asarray(function(features))
    np.testing.assert_allclose(jax.vmap(function)(features), found, rtol=0, atol=1e-5 * np.abs(found).max())
    with_nan = features.copy()
    with_nan[1, 2, 20] = np.nan
    with_nan = np.asarray(function(with_nan))
    assert np.isnan(with_nan[1, 2]).any()
    # At the frame of the NaN itself deltas are finite, since its weight is 0.
    kept = np.ones((4, 4), bool)
    kept[1, 2] = False
    np.testing.assert_allclose(with_nan[kept], found[kept], rtol=0, atol=1e-5 * np.abs(found).max())


@all_functions
def test_bfloat16_is_computed_in_float32_and_returned(function, features):
    half = jnp.asarray(features, jnp.bfloat16)
    found, wide = function(half), function(half.astype(jnp.float32))
    assert found.dtype == jnp.bfloat16
    # The two are compiled separately: ties may round differently, and sums that cancel leave rounding errors.
    np.testing.assert_allclose(found.astype(np.float32), wide, rtol=2**-8, atol=1e-5)


@every_function
def test_examples_on_two_devices_stay_there(function, features):
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(jax.sharding.AxisType.Explicit,))
    spread = jax.device_put(features, jax.NamedSharding(mesh, jax.P("batch")))
    with jax.set_mesh(mesh):
        found = function(spread, n_frames=N_FRAMES)
    assert found.sharding.spec[0] == "batch"
    np.testing.assert_allclose(found, function(features, n_frames=N_FRAMES), rtol=0, atol=2e-4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: deltas(x, width=8), ValueError, "odd number of frames, got 8"),
        (lambda x: deltas(x, width=3, order=3), ValueError, "order must be an integer from 1 to 2"),
        (lambda x: deltas(x[0, 0]), ValueError, r"\(..., rows, time\) and not empty, got shape \(45,\)"),
        (lambda x: deltas(x, n_frames=[1, 2]), ValueError, "must broadcast to the leading axes"),
        (lambda x: cmvn(x, n_frames=[46, 1, 1, 1]), ValueError, "n_frames must be from 0 to 45 frames"),
        (lambda x: cmvn(x.astype(int)), TypeError, "real floating point"),
        (lambda x: cmvn(x, variance=1), TypeError, "variance must be True or False"),
        (lambda x: sliding_cmn(x, window=0), ValueError, "window must be an integer of at least 1"),
        (lambda x: sliding_cmn(x, window=50), ValueError, "min_window must be at most window 50, got 100"),
        (lambda x: lifter(x, lifter=0.0), ValueError, "lifter must be a finite number above 0"),
        (lambda x: pcen(x, gain=np.ones(3), **RATES), ValueError, r"one value per row \(4,\), got shape \(3,\)"),
        (lambda x: pcen(x, bias=0.0, **RATES), ValueError, "bias must be a finite number above 0"),
    ],
)
def test_invalid_input_raises(features, call, error, message):
    with pytest.raises(error, match=message):
        call(features)
