import inspect
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from artifex.generative_models.core import MissingDependencyError, refresh, registry
from artifex.generative_models.modalities.audio import (
    add_gaussian_noise,
    augment_audio,
    augment_audio_batch,
    normalize_audio,
    random_gain,
    time_shift,
    time_stretch,
    to_float,
)
from artifex.generative_models.modalities.audio.spectral_settings import spectral_extension

RATE = 16000
ALL = [time_shift, time_stretch, add_gaussian_noise, random_gain]


@pytest.fixture(scope="module")
def noise():
    return jnp.asarray(np.random.default_rng(0).normal(size=2000), jnp.float32) * 0.1


@pytest.fixture
def without_spectral(monkeypatch):
    monkeypatch.setenv("ARTIFEX_DISABLE_PLUGINS", "artifex-spectral")
    refresh()
    spectral_extension.cache_clear()
    yield
    monkeypatch.undo()
    refresh()
    spectral_extension.cache_clear()


def pitch(audio):
    windowed = np.asarray(audio, np.float64) * np.hanning(len(audio))
    return np.argmax(np.abs(np.fft.rfft(windowed, 2**18))) * RATE / 2**18


def onset(audio):
    return int(np.argmax(np.abs(np.asarray(audio)) > 0.3))


@pytest.mark.parametrize("seed", range(4))
def test_a_shift_moves_time_and_nothing_else(seed, noise):
    key = jax.random.key(seed)
    shift = int(jax.random.randint(key, (), -700, 701))
    expected = np.roll(noise, shift)
    np.testing.assert_array_equal(time_shift(noise, key, max_shift=700), expected)
    expected[: max(0, shift)] = 0
    expected[len(expected) + min(0, shift) :] = 0
    np.testing.assert_array_equal(time_shift(noise, key, max_shift=700, mode="fill"), expected)


@pytest.mark.parametrize("mode", ["wrap", "fill"])
def test_shifts_are_uniform_and_both_ends_are_reached(mode):
    click = jnp.zeros(21).at[10].set(1)
    keys = jax.random.split(jax.random.key(0), 7000)
    moved = jax.jit(jax.vmap(lambda key: time_shift(click, key, max_shift=3, mode=mode)))(keys)
    counts = np.bincount(np.argmax(moved, axis=1), minlength=21)
    assert counts[7:14].sum() == 7000
    assert ((counts[7:14] - 1000) ** 2 / 1000).sum() < 6 + 5 * np.sqrt(12)


def test_a_shift_beyond_the_length_wraps_around_or_gives_silence():
    audio = jnp.arange(1.0, 6.0)
    for seed in range(6):
        key = jax.random.key(seed)
        shift = int(jax.random.randint(key, (), -1600, 1601))
        np.testing.assert_array_equal(time_shift(audio, key), np.roll(audio, shift))
        assert abs(shift) >= 5
        assert not time_shift(audio, key, mode="fill").any()


def test_channels_share_the_shift_and_examples_do_not():
    channels = jnp.stack([jnp.arange(10.0), 100 + jnp.arange(10.0)])
    moved = np.asarray(time_shift(channels, jax.random.key(1), max_shift=5))
    np.testing.assert_array_equal(moved[1], moved[0] + 100)
    assert sorted(moved[0]) == list(range(10))
    assert moved[0, 0] != 0


@pytest.mark.parametrize(("dtype", "silence"), [(np.int16, 0), (np.uint8, 128)])
def test_integers_are_shifted_without_conversion(dtype, silence):
    audio = np.arange(1, 9).astype(dtype)
    shifts = [time_shift(audio, jax.random.key(seed), max_shift=4, mode="fill") for seed in range(8)]
    assert {s.dtype for s in shifts} == {np.dtype(dtype)}
    assert set(np.concatenate(shifts).tolist()) == {*range(1, 9), silence}


@pytest.mark.parametrize("rate", [0.8, 0.93, 1.0, 1.2])
def test_a_stretch_keeps_the_pitch(rate):
    tone = jnp.sin(2 * jnp.pi * 440 * jnp.arange(float(RATE)) / RATE)
    stretched = time_stretch(tone, jax.random.key(0), (rate, rate), tail="zeros")
    assert stretched.shape == tone.shape
    assert abs(pitch(stretched[1000:13000]) - 440) < 1


@pytest.mark.parametrize("rate", [0.8, 1.2])
def test_a_stretch_moves_an_onset_by_its_rate(rate):
    tone = jnp.sin(2 * jnp.pi * 440 * jnp.arange(float(RATE)) / RATE)
    late = jnp.where(jnp.arange(RATE) < 8000, 0.0, tone)
    # A frame of the vocoder is 1024 samples long, and so is its doubt about the place.
    stretched = time_stretch(late, jax.random.key(0), (rate, rate), tail="zeros")
    assert abs(onset(stretched) - 8000 / rate) < 512


def test_the_rate_is_drawn_uniformly_from_its_range():
    tone = jnp.sin(2 * jnp.pi * 440 * jnp.arange(float(RATE)) / RATE)
    late = jnp.where(jnp.arange(RATE) < 6000, 0.0, tone)
    stretch = jax.jit(lambda key: time_stretch(late, key))
    for seed in range(4):
        key = jax.random.key(seed)
        rate = jax.random.uniform(key, minval=0.8, maxval=1.2)
        assert abs(onset(stretch(key)) - 6000 / rate) < 512


def test_a_faster_clip_continues_with_its_beginning_or_silence():
    tone = jnp.sin(2 * jnp.pi * 440 * jnp.arange(float(RATE)) / RATE)
    wrapped, ended = (time_stretch(tone, jax.random.key(0), (1.2, 1.2), tail=tail) for tail in ("wrap", "zeros"))
    end = round(RATE / 1.2)
    # 440 Hz fits the clip, so that its beginning continues it: the tone never stops.
    levels = np.sqrt(np.mean(np.square(wrapped[: RATE // 500 * 500].reshape(-1, 500)), axis=1))
    np.testing.assert_allclose(levels[2:], np.sqrt(0.5), rtol=0.05)
    assert not ended[end:].any()
    assert np.abs(ended[end - 1000 : end - 500]).max() > 0.9


@pytest.mark.parametrize("length", [1, 2, 3, 17, 300])
def test_a_short_clip_is_stretched_too(length):
    stretched = time_stretch(jnp.ones(length), jax.random.key(0))
    assert stretched.shape == (length,)
    np.testing.assert_allclose(stretched, 1, atol=0.2)


def test_noise_is_a_normal_draw_of_its_level(noise):
    key = jax.random.key(1)
    stereo = jnp.stack([noise, noise])
    expected = stereo + 0.005 * jax.random.normal(key, stereo.shape)
    np.testing.assert_allclose(add_gaussian_noise(stereo, key), expected, atol=1e-7)
    np.testing.assert_array_equal(add_gaussian_noise(stereo, key, 0.0), stereo)


def test_a_gain_is_a_uniform_draw_from_its_range(noise):
    key = jax.random.key(1)
    expected = noise * jax.random.uniform(key, minval=0.7, maxval=1.3)
    np.testing.assert_allclose(random_gain(noise, key), expected, rtol=1e-6)
    gains = jax.vmap(lambda k: random_gain(jnp.ones(1), k, (0.5, 2.0)))(jax.random.split(key, 2000))
    assert 0.5 <= gains.min() < 0.51
    assert 1.99 < gains.max() <= 2.0
    # The mean of a uniform draw, give or take four of its standard errors.
    assert abs(gains.mean() - 1.25) < 4 * 1.5 / np.sqrt(12 * 2000)


@pytest.mark.parametrize(
    ("function", "number", "values"),
    [
        (time_shift, lambda x: {"max_shift": x}, [10, 1000]),
        (add_gaussian_noise, lambda x: {"noise_level": x}, [0.0, 0.3]),
        (random_gain, lambda x: {"gain_range": (x, x + 1)}, [0.1, 2.0]),
        (time_stretch, lambda x: {}, [0, 1]),
    ],
)
def test_one_compile_serves_all_keys_and_levels_under_vmap(function, number, values, noise):
    traces = []
    rows = noise.reshape(2, -1)

    @jax.jit
    def batched(audio, keys, x):
        traces.append(0)
        return jax.vmap(lambda row, key: function(row, key, **number(x)))(audio, keys)

    for seed, x in enumerate(values):
        keys = jax.random.split(jax.random.key(seed), 2)
        loop = [function(row, key, **number(x)) for row, key in zip(rows, keys, strict=True)]
        np.testing.assert_allclose(batched(rows, keys, x), jnp.stack(loop), atol=2e-5)
    assert len(traces) == 1


@pytest.mark.parametrize("function", ALL)
def test_half_precision_is_computed_in_float32(function, noise):
    audio, key = noise.astype(jnp.bfloat16), jax.random.key(0)
    found = function(audio, key)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(found, function(audio.astype(jnp.float32), key).astype(jnp.bfloat16))


@pytest.mark.parametrize("function", [time_shift, add_gaussian_noise, random_gain])
def test_gradients_are_finite_on_silence(function):
    gradient = jax.grad(lambda audio: jnp.sum(function(audio, jax.random.key(0)) ** 2))(jnp.zeros(2000))
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("function", ALL)
@pytest.mark.parametrize(("audio", "match"), [(jnp.zeros((2, 0)), r"shape \(2, 0\)"), (1.0, "a scalar")])
def test_an_empty_clip_raises(function, audio, match):
    with pytest.raises(ValueError, match=f"{function.__name__} takes waveforms .* got {match}"):
        function(audio, jax.random.key(0))


@pytest.mark.parametrize("function", [time_stretch, add_gaussian_noise, random_gain])
def test_integers_raise_where_they_cannot_be_kept(function):
    with pytest.raises(TypeError, match=f"{function.__name__} takes floating-point audio, got int16: to_float"):
        function(np.ones(10, np.int16), jax.random.key(0))


@pytest.mark.parametrize(
    ("function", "options", "error", "match"),
    [
        (
            time_shift,
            {"max_shift": -1},
            ValueError,
            "max_shift must be an integer of at least 0 samples, got -1",
        ),
        (time_shift, {"max_shift": 1.5}, TypeError, "max_shift must be an integer"),
        (time_shift, {"mode": "roll"}, ValueError, "mode must be one of 'wrap', 'fill', got 'roll'"),
        (
            time_stretch,
            {"rate_range": (0, 1)},
            ValueError,
            r"rate_range\[0\] must be a finite number above 0",
        ),
        (
            time_stretch,
            {"rate_range": (1.2, 0.8)},
            ValueError,
            "rate_range must be .min, max. with min <= max, got .1.2, 0.8.",
        ),
        (time_stretch, {"rate_range": 1.2}, ValueError, "rate_range must be .min, max., got 1.2"),
        (
            time_stretch,
            {"tail": "zero"},
            ValueError,
            "tail must be one of 'wrap', 'zeros'.* Did you mean 'zeros'",
        ),
        (time_stretch, {"n_fft": 2}, ValueError, "n_fft must be an integer of at least 4 samples"),
        (
            time_stretch,
            {"n_fft": 64, "hop_length": 65},
            ValueError,
            "hop_length must be an integer from 1 to 64",
        ),
        (
            add_gaussian_noise,
            {"noise_level": -1},
            ValueError,
            "noise_level must be a finite number of at least 0",
        ),
        (
            random_gain,
            {"gain_range": (-1, 1)},
            ValueError,
            r"gain_range\[0\] must be a finite number of at least 0",
        ),
        (random_gain, {"gain_range": (2, 1)}, ValueError, "gain_range must be .min, max. with min <= max, got .2, 1."),
    ],
)
def test_options_out_of_range_raise(function, options, error, match):
    with pytest.raises(error, match=match):
        function(jnp.ones(100), jax.random.key(0), **options)


def test_a_traced_rate_range_raises():
    with pytest.raises(TypeError, match="rate_range must be Python numbers"):
        jax.jit(lambda low: time_stretch(jnp.ones(100), jax.random.key(0), (low, 1.2)))(0.8)


def test_without_artifex_spectral_the_error_names_the_distribution_to_install(without_spectral):
    # Lengths that no other test has compiled.
    for function in (time_stretch, augment_audio):
        with pytest.raises(MissingDependencyError, match=r"time_stretch .* pip install artifex-spectral"):
            function(jnp.ones(2111), jax.random.key(0))
    assert time_shift(jnp.ones(2111), jax.random.key(0)).shape == (2111,)


@pytest.fixture(scope="module")
def rows():
    return jnp.asarray(np.random.default_rng(0).normal(size=(3, 2000)), jnp.float32) * jnp.array([[0.01], [1], [4]])


def test_the_pipeline_is_its_steps_in_their_order(noise):
    key = jax.random.key(4)
    first, _, second, third, _, fourth = jax.random.split(key, 6)
    expected = normalize_audio(time_shift(noise, first, max_shift=800))
    expected = add_gaussian_noise(expected, second, 0.005)
    expected = normalize_audio(time_stretch(expected, third, (0.95, 1.05)))
    expected = random_gain(expected, fourth, (0.8, 1.2))
    np.testing.assert_allclose(augment_audio(noise, key), expected, atol=2e-5)


def test_the_gain_is_applied_after_the_normalization(rows):
    keys = jax.random.split(jax.random.key(0), 15)
    peaks = np.concatenate([np.abs(augment_audio_batch(rows, key)).max(axis=1) for key in keys])
    assert 0.8 <= peaks.min() < 0.9
    assert 1.1 < peaks.max() <= 1.2 + 1e-6


def test_the_noise_in_a_silent_clip_is_not_normalized_to_full_scale(rows):
    batch = jnp.concatenate([jnp.zeros((1, 2000)), rows[:2]])
    peaks = np.abs(augment_audio_batch(batch, jax.random.key(0))).max(axis=1)
    assert peaks[0] < 0.05
    assert (peaks[1:] >= 0.8 - 1e-6).all()


def test_the_noise_does_not_depend_on_the_level_of_the_recording(rows):
    quiet, loud = (augment_audio(scale * rows[1], jax.random.key(2)) for scale in (1e-3, 1.0))
    np.testing.assert_allclose(quiet, loud, atol=1e-4)


def test_an_example_does_not_depend_on_the_batch_size(rows):
    key = jax.random.key(7)
    grown = augment_audio_batch(rows, key)
    np.testing.assert_allclose(augment_audio_batch(rows[:2], key), grown[:2], atol=2e-5)
    loop = [augment_audio(row, k) for row, k in zip(rows, jax.random.split(key, 3), strict=True)]
    np.testing.assert_allclose(grown, jnp.stack(loop), atol=2e-5)
    assert not np.allclose(grown[1], augment_audio_batch(rows, jax.random.key(8))[1], atol=1e-2)


SHARDED = """
import jax
jax.config.update("jax_num_cpu_devices", 2)
import numpy as np
from artifex.generative_models.modalities.audio import augment_audio_batch, resample_audio, trim_or_pad
from jax.sharding import AxisType, NamedSharding, PartitionSpec

def augment(batch):
    return augment_audio_batch(batch, jax.random.key(0))

def awkward(batch):
    return resample_audio(batch, 16001, 16000)

def lengthen(batch):
    return trim_or_pad(batch, 1000)

batch = np.random.default_rng(0).normal(size=(4, 600)).astype(np.float32)
mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Explicit,))
for function in (augment, awkward, lengthen):
    expected = function(batch)
    with jax.set_mesh(mesh):
        sharded = jax.device_put(batch, NamedSharding(mesh, PartitionSpec("data")))
        compiled = jax.jit(function).lower(sharded).compile()
        assert "all-gather" not in compiled.as_text(), function
        np.testing.assert_allclose(compiled(sharded), expected, atol=2e-5)
"""


@pytest.mark.thorough
def test_each_device_computes_its_local_examples():
    subprocess.run([sys.executable, "-c", SHARDED], check=True, timeout=300)


def test_nan_and_infinity_stay_in_their_example(rows):
    key = jax.random.key(7)
    augmented = np.asarray(augment_audio_batch(rows.at[1, 50].set(jnp.nan), key))
    np.testing.assert_array_equal(augmented[[0, 2]], np.asarray(augment_audio_batch(rows, key))[[0, 2]])
    assert np.isnan(augmented[1]).any()


def test_the_pipeline_keeps_shape_and_dtype_and_scales_integers(rows):
    key = jax.random.key(0)
    stereo = augment_audio_batch(rows[:2].reshape(2, 2, 1000).astype(jnp.bfloat16), key)
    assert (stereo.shape, stereo.dtype) == ((2, 2, 1000), jnp.bfloat16)
    recording = (np.asarray(rows[0]) * 1000).astype(np.int16)
    np.testing.assert_allclose(augment_audio(recording, key), augment_audio(to_float(recording), key), atol=1e-6)


@pytest.mark.parametrize(
    ("batch", "match"),
    [
        (jnp.zeros(100), r"\(batch, \.\.\., time\) .* got shape \(100,\); for a single clip call augment_audio"),
        (jnp.zeros((0, 100)), r"got shape \(0, 100\)"),
        (jnp.zeros((2, 0)), r"got shape \(2, 0\)"),
    ],
)
def test_an_invalid_batch_raises(batch, match):
    with pytest.raises(ValueError, match=f"augment_audio_batch .*{match}"):
        augment_audio_batch(batch, jax.random.key(0))


@pytest.mark.parametrize("function", ALL)
def test_augmentations_are_found_by_name(function):
    assert registry("augmentation")[function.__name__] is function


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (time_shift, ["audio", "key", "max_shift=1600"]),
        (time_stretch, ["audio", "key", "rate_range=(0.8, 1.2)"]),
        (add_gaussian_noise, ["audio", "key", "noise_level=0.005"]),
        (random_gain, ["audio", "key", "gain_range=(0.7, 1.3)"]),
        (augment_audio, ["audio", "key"]),
        (augment_audio_batch, ["audio_batch", "key"]),
    ],
)
def test_parameters_have_their_agreed_names_order_and_defaults(function, expected):
    parameters = [p for p in inspect.signature(function).parameters.values() if p.kind is not p.KEYWORD_ONLY]
    assert [p.name if p.default is p.empty else f"{p.name}={p.default}" for p in parameters] == expected
