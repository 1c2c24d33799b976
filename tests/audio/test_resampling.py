import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from artifex.generative_models.modalities.audio import convert_sample_rate, resample_audio

# The last three have no small common period.
RATES = [
    (16000, 8000),
    (8000, 16000),
    (48000, 16000),
    (8000, 48000),
    (44100, 16000),
    (16000, 22050),
    (44100, 48000),
    (48000, 44100),
    (16001, 16000),
    (44100, 16001),
    (11025, 16001),
]


def tone(frequency, rate, length):
    return np.sin(2 * np.pi * frequency * np.arange(length) / rate)


def decibels(amplitude):
    return 20 * np.log10(np.max(np.abs(amplitude)) + 1e-30)


def inner(audio):
    """Leave out what silence before and after the clip bears on."""
    edge = len(audio) // 5
    return audio[edge:-edge]


@pytest.mark.parametrize(("orig", "target"), RATES)
def test_a_tone_becomes_the_same_tone_at_the_new_rate(orig, target):
    shares = np.array([0.02, 0.3, 0.7, 0.85])
    frequencies = shares * min(orig, target) / 2
    length = max(orig // 4, 4000)
    audio = np.stack([tone(f, orig, length) for f in frequencies]).astype(np.float32)
    resampled = np.asarray(resample_audio(audio, orig, target), np.float64)
    expected = np.stack([tone(f, target, resampled.shape[-1]) for f in frequencies])
    assert decibels(inner((resampled - expected).T)) < -105


@pytest.mark.parametrize(("orig", "target"), [(16000, 8000), (16000, 44100), (44100, 16001)])
def test_the_passband_is_flat_to_a_hundredth_of_a_decibel(orig, target):
    frequency = 0.89 * min(orig, target) / 2
    length = orig // 2
    resampled = np.asarray(resample_audio(tone(frequency, orig, length).astype(np.float32), orig, target), np.float64)
    expected = tone(frequency, target, len(resampled))
    gain = np.dot(inner(resampled), inner(expected)) / np.dot(inner(expected), inner(expected))
    assert abs(20 * math.log10(gain)) < 0.01


@pytest.mark.parametrize(
    ("orig", "target", "frequency"),
    [
        (16000, 8000, 7000),
        (16000, 8000, 4040),
        (44100, 16000, 8100),
        (48000, 44100, 23000),
        (44100, 16001, 12000),
    ],
)
def test_what_the_new_rate_cannot_carry_is_ninety_decibels_down(orig, target, frequency):
    resampled = resample_audio(tone(frequency, orig, orig // 2).astype(np.float32), orig, target)
    assert decibels(inner(np.asarray(resampled))) < -90


@pytest.mark.parametrize(("orig", "target"), [(44100, 16000), (16000, 22050), (48000, 44100), (16001, 16000)])
def test_it_agrees_with_soxr_on_band_limited_noise(orig, target):
    soxr = pytest.importorskip("soxr")
    length = orig // 2
    spectrum = np.fft.rfft(np.random.default_rng(0).normal(size=length))
    spectrum[np.fft.rfftfreq(length, 1 / orig) > 0.5 * min(orig, target) / 2] = 0
    audio = np.fft.irfft(spectrum, length)
    reference = soxr.resample(audio, orig, target, quality="HQ")
    resampled = np.asarray(resample_audio(audio.astype(np.float32), orig, target))
    n = min(len(reference), len(resampled))
    assert decibels(inner(resampled[:n] - reference[:n])) < decibels(audio) - 110


@pytest.mark.parametrize(("orig", "target"), RATES)
@pytest.mark.parametrize("length", [1, 2, 1001])
def test_the_length_is_rounded_up(orig, target, length):
    resampled = resample_audio(np.ones((2, 1, length), np.float32), orig, target)
    assert resampled.shape == (2, 1, math.ceil(length * target / orig))
    assert np.isfinite(resampled).all()


@pytest.mark.parametrize(("orig", "target"), [(16000, 8000), (44100, 16000), (16001, 16000)])
def test_a_click_does_not_drift(orig, target):
    period = orig // math.gcd(orig, target)
    places = np.array([1, 2, 3]) * period
    while places[0] < 500:
        places = places * 2
    audio = np.zeros(places[-1] + 500, np.float32)
    audio[places] = 1
    resampled = np.asarray(resample_audio(audio, orig, target))
    expected = places * target // orig
    found = [np.argmax(resampled[place - 50 : place + 50]) + place - 50 for place in expected]
    assert found == expected.tolist()
    around = resampled[expected[1] - 50 : expected[1] + 51]
    np.testing.assert_allclose(around, around[::-1], atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, jnp.bfloat16])
def test_the_same_rate_returns_the_input(dtype):
    audio = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5)), dtype)
    resampled = resample_audio(audio, 16000, 16000)
    assert resampled.dtype == dtype
    np.testing.assert_array_equal(resampled, audio)


def test_integers_are_scaled_first_also_at_the_same_rate():
    audio = np.full(400, 16384, np.int16)
    assert resample_audio(audio, 16000, 16000).tolist() == [0.5] * 400
    np.testing.assert_array_equal(
        resample_audio(audio, 16000, 8000), resample_audio(np.full(400, 0.5, np.float32), 16000, 8000)
    )


@pytest.mark.parametrize(("orig", "target"), [(16000, 8000), (16001, 16000)])
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_halves_are_computed_in_float32(orig, target, dtype):
    audio = jnp.asarray(np.random.default_rng(0).normal(size=300), dtype)
    resampled = resample_audio(audio, orig, target)
    assert resampled.dtype == dtype
    np.testing.assert_array_equal(resampled, resample_audio(audio.astype(jnp.float32), orig, target).astype(dtype))


@pytest.mark.parametrize(("orig", "target"), [(16000, 22050), (16001, 16000)])
def test_doubles_are_resampled_in_double_precision(orig, target):
    with jax.enable_x64(True):
        resampled = resample_audio(tone(1000, orig, 4000), orig, target)
        assert resampled.dtype == jnp.float64
        assert decibels(inner(np.asarray(resampled) - tone(1000, target, len(resampled)))) < -125


@pytest.mark.parametrize(("orig", "target"), [(16000, 8000), (44100, 48000), (16001, 16000)])
def test_rows_are_their_own(orig, target):
    audio = np.random.default_rng(0).normal(size=(3, 300)).astype(np.float32)
    resampled = resample_audio(audio, orig, target)
    spoilt = audio.copy()
    spoilt[1, 100] = np.nan
    np.testing.assert_array_equal(resample_audio(spoilt, orig, target)[jnp.array([0, 2])], resampled[jnp.array([0, 2])])

    def one(row):
        return resample_audio(row, orig, target)

    np.testing.assert_allclose(resampled, np.stack([one(row) for row in audio]), atol=2e-6)
    np.testing.assert_allclose(jax.vmap(one)(audio), resampled, atol=2e-6)
    np.testing.assert_allclose(jax.jit(one)(audio), resampled, atol=2e-6)


@pytest.mark.parametrize(("orig", "target"), [(16000, 8000), (441, 160), (16001, 16000)])
def test_the_gradient_is_the_transpose(orig, target):
    generator = np.random.default_rng(0)
    audio = jnp.asarray(generator.normal(size=300), jnp.float32)
    resampled, pull = jax.vjp(lambda a: resample_audio(a, orig, target), audio)
    cotangent = jnp.asarray(generator.normal(size=resampled.shape), jnp.float32)
    (gradient,) = pull(cotangent)
    # <y, R x> = <R^T y, x>, and R is linear, so x may be any vector.
    assert float(jnp.vdot(gradient, audio)) == pytest.approx(float(jnp.vdot(cotangent, resampled)), rel=1e-4)
    assert np.isfinite(jax.grad(lambda a: jnp.sum(resample_audio(a, orig, target) ** 2))(jnp.zeros(1))).all()


@pytest.mark.parametrize(("orig", "target"), [(16001, 16000), (44100, 16001), (48000, 47999), (192000, 16001)])
def test_awkward_ratios_take_little_memory_forward_and_backward(orig, target):
    audio = jax.ShapeDtypeStruct((2, orig), jnp.float32)

    def energy(a):
        return jnp.sum(resample_audio(a, orig, target) ** 2)

    for function in (lambda a: resample_audio(a, orig, target), jax.grad(energy)):
        used = jax.jit(function).lower(audio).compile().memory_analysis().temp_size_in_bytes
        # A table of every phase by its taps would take 9 to 104 MB, one of target by orig 1 GB and more.
        assert used < 6e6 + 12 * 4 * 2 * max(orig, target)


@pytest.mark.parametrize(("orig", "target"), [(0, 16000), (16000, 0), (-8000, 16000), (16000, -1)])
def test_a_rate_below_one_is_refused(orig, target):
    with pytest.raises(ValueError, match="_sr must be an integer of at least 1 Hz, got"):
        resample_audio(np.ones(10), orig, target)


@pytest.mark.parametrize("rate", [16000.0, "16000", True])
def test_a_rate_that_is_no_integer_is_refused(rate):
    with pytest.raises(TypeError, match="target_sr must be an integer of at least 1 Hz, got"):
        resample_audio(np.ones(10), 8000, rate)


@pytest.mark.parametrize(("audio", "match"), [(np.zeros((2, 0)), r"shape \(2, 0\)"), (1.0, "a scalar")])
def test_an_empty_clip_is_refused(audio, match):
    with pytest.raises(ValueError, match=f"resample_audio takes waveforms .* got {match}"):
        resample_audio(audio, 16000, 8000)


def test_both_names_do_the_same():
    audio = np.random.default_rng(0).normal(size=(2, 100)).astype(np.float32)
    np.testing.assert_array_equal(convert_sample_rate(audio, 44100, 16000), resample_audio(audio, 44100, 16000))
