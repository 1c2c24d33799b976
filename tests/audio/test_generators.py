"""The audio types, against closed forms and jax.random's own draws."""

import inspect

import jax
import numpy as np
import pytest
import scipy.signal

from artifex.generative_models.core import create, registry

RATE = 16000
NAMES = sorted(registry("audio_type"))


def render(name, seed=0, n=RATE, rate=RATE, **options):
    return np.asarray(create("audio_type", name, **options)(jax.random.key(seed), n_time_steps=n, sample_rate=rate))


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_documented_and_keyword_only(name):
    function = registry("audio_type")[name]
    parameters = list(inspect.signature(function).parameters.values())
    assert parameters[0].name == "key"
    for parameter in parameters[1:]:
        assert parameter.kind is parameter.KEYWORD_ONLY
    for parameter in parameters:
        assert f"{parameter.name}: " in inspect.getdoc(function)


@pytest.mark.parametrize("seconds", [1, 60])
def test_a_sine_is_exact_at_any_length(seconds):
    n = seconds * RATE
    frequency_key, phase_key = jax.random.split(jax.random.key(0))
    frequency = float(jax.random.uniform(frequency_key, minval=200.0, maxval=800.0))
    phase = float(jax.random.uniform(phase_key))
    expected = 0.5 * np.sin(2 * np.pi * (frequency * np.arange(n) / RATE + phase))
    np.testing.assert_allclose(render("sine", n=n), expected, atol=3e-6)


def test_sines_spread_over_their_band():
    keys = jax.random.split(jax.random.key(0), 400)
    make = create("audio_type", "sine")
    audio = np.asarray(jax.vmap(lambda key: make(key, n_time_steps=4096, sample_rate=RATE))(keys))
    peaks = np.abs(np.fft.rfft(audio * np.hanning(4096), n=1 << 15)).argmax(axis=-1) * RATE / (1 << 15)
    assert peaks.min() > 199
    assert peaks.max() < 801
    counts, _ = np.histogram(peaks, bins=6, range=(200, 800))
    assert scipy.stats.chisquare(counts).pvalue > 1e-3


def test_noise_equals_the_draw_of_jax_random():
    expected = 0.3 * np.asarray(jax.random.normal(jax.random.key(5), (RATE,)))
    np.testing.assert_array_equal(render("noise", seed=5), expected.astype(np.float32))


@pytest.mark.parametrize("seconds", [1, 20])
def test_a_chirp_equals_scipy_from_200_to_800_hz(seconds):
    n = seconds * RATE
    phase = float(jax.random.uniform(jax.random.key(0)))
    expected = 0.5 * scipy.signal.chirp(np.arange(n) / RATE, 200, seconds, 800, phi=360 * phase - 90)
    np.testing.assert_allclose(render("chirp", n=n), expected, atol=3e-6)


def test_chirps_have_random_phase():
    assert np.abs(render("chirp", seed=0) - render("chirp", seed=1)).max() > 0.1


@pytest.mark.parametrize("name", ["sine", "chirp"])
def test_a_band_above_half_the_sample_rate_raises(name):
    with pytest.raises(ValueError, match="f_max <= 500.0 Hz"):
        render(name, n=100, rate=1000)
    with pytest.raises(ValueError, match="f_min=300.0, f_max=200.0"):
        render(name, f_min=300.0, f_max=200.0)
