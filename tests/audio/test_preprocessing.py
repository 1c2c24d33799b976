import inspect

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest
import scipy.signal

from artifex.generative_models.modalities.audio import (
    de_emphasis,
    normalize_audio,
    pre_emphasis,
    remove_dc,
    rms_normalize,
    to_float,
    trim_or_pad,
)
from artifex.generative_models.modalities.audio.preprocessing.levels import as_waveforms

NORMALIZERS = [normalize_audio, rms_normalize]


@pytest.fixture
def clips():
    return np.random.default_rng(0).normal(size=(3, 400)).astype(np.float32) * np.array([[1e-3], [0.2], [5.0]], "f")


@pytest.mark.parametrize(
    ("dtype", "minimum", "middle", "maximum"),
    [
        (np.int8, -128, 0, 127),
        (np.uint8, 0, 128, 255),
        (np.int16, -(2**15), 0, 2**15 - 1),
        (np.uint16, 0, 2**15, 2**16 - 1),
        (np.int32, -(2**31), 0, 2**31 - 1),
        (np.uint32, 0, 2**31, 2**32 - 1),
    ],
)
def test_integers_are_scaled_by_their_range(dtype, minimum, middle, maximum):
    scaled = to_float(np.array([minimum, middle, maximum], dtype))
    step = 2.0 ** (1 - np.iinfo(dtype).bits)
    assert scaled.dtype == jnp.float32
    np.testing.assert_array_equal(scaled, np.array([-1, 0, 1 - step], np.float32))


def test_a_quiet_unsigned_recording_keeps_its_low_bits():
    assert to_float(np.array([2**31 + 3], np.uint32)).tolist() == [3 * 2.0**-31]


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_floats_are_not_scaled(dtype):
    audio = jnp.array([3.0, -2.0], dtype)
    assert to_float(audio).dtype == dtype
    assert to_float(audio).tolist() == [3.0, -2.0]


@pytest.mark.parametrize("function", [to_float, *NORMALIZERS])
@pytest.mark.parametrize(
    ("audio", "match"),
    [
        (np.array([1, 2], np.int64), "sample format, got int64: cast"),
        (np.array([1, 2], np.uint64), "sample format, got uint64: cast"),
        ([1, 2], "int64"),
        (np.array([True]), "got bool"),
        (np.array([1j]), "got complex128"),
    ],
)
def test_invalid_dtypes_raise(function, audio, match):
    with pytest.raises(TypeError, match=match):
        function(audio)


@pytest.mark.parametrize("function", NORMALIZERS)
@pytest.mark.parametrize(("audio", "match"), [(np.zeros((2, 0)), r"got shape \(2, 0\)"), (1.0, "got a scalar")])
def test_normalizers_raise_for_empty_clips_and_scalars(function, audio, match):
    with pytest.raises(ValueError, match=f"{function.__name__} takes waveforms .* at least one sample, {match}"):
        function(audio)


def test_a_waveform_of_any_batch_shape_is_accepted():
    assert as_waveforms("f", np.zeros((2, 3, 4), np.int16)).dtype == jnp.int16


def test_the_peak_of_every_clip_becomes_one(clips):
    expected = clips / np.abs(clips).max(axis=-1, keepdims=True)
    np.testing.assert_allclose(normalize_audio(clips), expected, rtol=3e-7)
    peaks = np.abs(normalize_audio(clips)).max(axis=-1)
    assert (peaks <= 1).all()
    assert (peaks >= np.nextafter(np.float32(1), 0)).all()


def test_full_scale_negative_int16_stays_full_scale():
    assert normalize_audio(np.array([-32768, 16384], np.int16)).tolist() == [-1.0, 0.5]


@pytest.mark.parametrize("target", [0.1, 0.02])
def test_the_rms_of_every_clip_becomes_the_target(clips, target):
    levels = np.sqrt(np.mean(np.square(np.asarray(rms_normalize(clips, target), np.float64)), axis=-1))
    np.testing.assert_allclose(levels, target, rtol=1e-6)


def test_rms_targets_may_be_traced_and_differ_by_clip(clips):
    targets = jnp.array([0.1, 0.2, 0.3])
    levels = np.sqrt(np.mean(np.square(jax.jit(rms_normalize)(clips, targets)), axis=-1))
    np.testing.assert_allclose(levels, targets, rtol=1e-6)


def test_the_rms_of_a_long_clip_is_precise():
    audio = np.random.default_rng(0).normal(size=2_000_000).astype(np.float32)
    level = np.sqrt(np.mean(np.square(np.asarray(rms_normalize(audio), np.float64))))
    assert level == pytest.approx(0.1, rel=1e-5)


@pytest.mark.parametrize("target", [0, -0.1, float("nan")])
def test_an_rms_target_out_of_range_raises(target):
    with pytest.raises(ValueError, match="target_rms must be a finite number above 0"):
        rms_normalize(np.ones(3), target)


def test_clips_at_or_below_the_threshold_are_unchanged(clips):
    peaks = np.abs(clips).max(axis=-1)
    normalized = np.asarray(normalize_audio(clips, threshold=peaks[1]))
    np.testing.assert_array_equal(normalized[:2], clips[:2])
    np.testing.assert_array_equal(normalized[2], normalize_audio(clips[2]))
    by_clip = jax.jit(lambda a, t: normalize_audio(a, threshold=t))(clips, jnp.array([0.0, 1.0, 0.0]) * peaks)
    np.testing.assert_allclose(np.abs(by_clip).max(axis=-1), [1, peaks[1], 1], rtol=1e-6)
    invalid = clips.copy()
    invalid[0, 3] = np.nan
    assert np.isnan(normalize_audio(invalid, threshold=1.0)[0]).all()


@pytest.mark.parametrize("threshold", [-0.1, float("nan")])
def test_a_threshold_out_of_range_raises(threshold):
    with pytest.raises(ValueError, match="threshold must be a finite number of at least 0"):
        normalize_audio(np.ones(3), threshold=threshold)


def test_the_mean_of_every_clip_is_removed(clips):
    offset = clips + np.array([[3.0], [0.0], [-0.5]], np.float32)
    np.testing.assert_allclose(remove_dc(offset), scipy.signal.detrend(offset, type="constant"), atol=1e-6)
    assert remove_dc(np.array([0, 2**14], np.int16)).tolist() == [-0.25, 0.25]


@pytest.mark.parametrize("coefficient", [0.0, 0.5, 0.97, 1.0])
def test_emphasis_equals_the_filters_of_scipy_and_librosa(coefficient, clips):
    emphasized, lowered = pre_emphasis(clips, coefficient), de_emphasis(clips, coefficient)
    np.testing.assert_allclose(emphasized, scipy.signal.lfilter([1, -coefficient], [1], clips), atol=2e-6)
    np.testing.assert_allclose(lowered, scipy.signal.lfilter([1], [1, -coefficient], clips), rtol=1e-5, atol=1e-4)
    theirs = librosa.effects.preemphasis(clips[2], coef=coefficient, zi=[0])
    np.testing.assert_allclose(emphasized[2], theirs, atol=2e-6)
    theirs = librosa.effects.preemphasis(clips[2], coef=coefficient)
    assert theirs[0] - emphasized[2, 0] == pytest.approx(2 * clips[2, 0] - clips[2, 1], rel=1e-5)
    np.testing.assert_allclose(theirs[1:], emphasized[2, 1:], atol=2e-6)


@pytest.mark.parametrize("length", [1, 2, 400])
def test_de_emphasis_inverts_pre_emphasis(length, clips):
    clips = clips[:, :length]
    np.testing.assert_allclose(de_emphasis(pre_emphasis(clips)), clips, rtol=1e-4, atol=1e-5)


def test_coefficients_may_be_traced_and_differ_by_clip(clips):
    coefficients = jnp.array([0.9, 0.5, 0.0])
    for function in (pre_emphasis, de_emphasis):
        together = jax.jit(function)(clips, coefficients)
        one_by_one = [function(clip, float(each)) for clip, each in zip(clips, coefficients, strict=True)]
        np.testing.assert_allclose(together, np.stack(one_by_one), rtol=1e-5, atol=1e-6)


def test_the_gradient_of_the_coefficient_is_finite_at_its_bounds(clips):
    slope = jax.jit(jax.grad(lambda coefficient: jnp.sum(de_emphasis(clips[:2], coefficient) ** 2)))
    assert np.isfinite(slope(jnp.array([0.0, 1.0]))).all()


@pytest.mark.parametrize("function", [pre_emphasis, de_emphasis])
@pytest.mark.parametrize("coefficient", [-0.1, 1.1, float("nan")])
def test_a_coefficient_out_of_range_raises(function, coefficient):
    with pytest.raises(ValueError, match="coefficient must be a finite number from 0 to 1, got"):
        function(np.ones(3), coefficient)


@pytest.mark.parametrize("function", NORMALIZERS)
@pytest.mark.parametrize("value", [0.0, 1e-40])
def test_silence_and_denormals_stay_silence(function, value):
    normalized = function(jnp.full(8, value, jnp.float32))
    assert float(jnp.abs(normalized).max()) <= value


@pytest.mark.parametrize("function", NORMALIZERS)
@pytest.mark.parametrize("level", [0.0, 1e-36, 1e-25, 1.0, 1e25, 3e38])
def test_the_gradient_is_finite_at_every_level(function, level):
    audio = level * jnp.array([0.5, -1.0, 0.25], jnp.float32)
    value, gradient = jax.value_and_grad(lambda a: jnp.sum(function(a) * jnp.array([1.0, 2.0, 3.0])))(audio)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("function", NORMALIZERS)
def test_the_gradient_is_that_of_the_formula(function):
    audio = jnp.array([0.5, -2.0, 0.25, 1.0])

    def formula(a):
        return a / jnp.abs(a).max() if function is normalize_audio else 0.1 * a / jnp.sqrt(jnp.mean(a**2))

    np.testing.assert_allclose(jax.jacobian(function)(audio), jax.jacobian(formula)(audio), atol=1e-6)


@pytest.mark.parametrize("function", NORMALIZERS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_stay_in_their_clip(function, bad, clips):
    invalid = clips.copy()
    invalid[1, 7] = bad
    normalized = np.asarray(function(invalid))
    assert np.isnan(normalized[1]).all()
    np.testing.assert_array_equal(normalized[[0, 2]], np.asarray(function(clips))[[0, 2]])


@pytest.mark.parametrize("function", NORMALIZERS)
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_is_computed_in_float32(function, dtype):
    audio = jnp.asarray(np.linspace(-3, 5, 4097), dtype)
    normalized = function(audio)
    assert normalized.dtype == dtype
    np.testing.assert_array_equal(normalized, function(audio.astype(jnp.float32)).astype(dtype))


@pytest.mark.parametrize("function", NORMALIZERS)
def test_float64_stays_float64_when_enabled(function):
    with jax.enable_x64(True):
        audio = np.random.default_rng(0).normal(size=(2, 50))
        normalized = function(audio)
        peak, rms = np.abs(audio).max(-1, keepdims=True), np.sqrt((audio**2).mean(-1, keepdims=True))
        expected = audio / peak if function is normalize_audio else 0.1 * audio / rms
        assert normalized.dtype == jnp.float64
        np.testing.assert_allclose(normalized, expected, rtol=1e-14)


@pytest.mark.parametrize("function", [*NORMALIZERS, lambda a: trim_or_pad(a, 300), lambda a: trim_or_pad(a, 500)])
def test_jit_equals_eager_and_vmap_equals_the_loop(function, clips):
    eager = function(clips)
    np.testing.assert_allclose(jax.jit(function)(clips), eager, rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(function)(clips), np.stack([function(clip) for clip in clips]), rtol=1e-6)
    np.testing.assert_allclose(function(clips[None]), eager[None], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32, jnp.bfloat16, np.bool_])
@pytest.mark.parametrize("length", [0, 2, 4, 7])
def test_clips_are_cut_or_padded_at_the_end_in_their_dtype(dtype, length):
    audio = np.ones((2, 3, 4)).astype(dtype)
    fitted = trim_or_pad(audio, length)
    assert (fitted.shape, fitted.dtype) == ((2, 3, length), jnp.dtype(dtype))
    expected = np.pad(audio[..., :length], ((0, 0), (0, 0), (0, max(0, length - 4))))
    np.testing.assert_array_equal(fitted, expected)


def test_an_empty_clip_becomes_padding():
    assert trim_or_pad(np.zeros((2, 0), np.uint8), 3, pad_value=128).tolist() == [[128] * 3] * 2


def test_the_pad_value_may_be_traced():
    padded = jax.jit(lambda audio, value: trim_or_pad(audio, 4, value))(jnp.ones(2), 0.5)
    assert padded.tolist() == [1, 1, 0.5, 0.5]


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ((np.ones(3), -5), ValueError, "target_length must be an integer of at least 0 samples, got -5"),
        ((np.ones(3), 2.0), TypeError, "target_length must be an integer of at least 0 samples, got 2.0"),
        ((np.ones(3), True), TypeError, "target_length must be an integer"),
        ((1.0, 3), ValueError, "got a scalar"),
        (
            (np.ones(3, np.int16), 4, 0.5),
            ValueError,
            "pad_value must be an integer from -32768 to 32767 for int16",
        ),
        ((np.ones(3, np.uint8), 4, -1), ValueError, "pad_value must be an integer from 0 to 255 for uint8"),
        ((np.ones(3), 4, "silence"), TypeError, "silence"),
    ],
)
def test_invalid_arguments_of_trim_or_pad_raise(arguments, error, match):
    with pytest.raises(error, match=match):
        trim_or_pad(*arguments)


@pytest.mark.parametrize(
    ("function", "signature"),
    [
        (normalize_audio, ["audio", "threshold=0.0", "channel_axis=None"]),
        (rms_normalize, ["audio", "target_rms=0.1", "channel_axis=None"]),
        (pre_emphasis, ["audio", "coefficient=0.97"]),
        (de_emphasis, ["audio", "coefficient=0.97"]),
        (trim_or_pad, ["audio", "target_length", "pad_value=0.0"]),
    ],
)
def test_parameters_have_the_expected_names_order_and_defaults(function, signature):
    parameters = inspect.signature(function).parameters.values()
    assert [p.name if p.default is p.empty else f"{p.name}={p.default}" for p in parameters] == signature
