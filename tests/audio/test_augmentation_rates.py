"""Options in Hz and seconds at several sample rates, against SciPy, the Audio EQ Cookbook and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal

from artifex.generative_models.core import create
from artifex.generative_models.modalities.audio import (
    band_limit,
    biquad,
    drop_frequencies,
    impulse_response,
    integrated_loudness,
    random_loudness,
    room,
    room_impulse_response,
    with_annotations,
)
from artifex.generative_models.modalities.audio.augmentations.banks import default_responses
from artifex.generative_models.modalities.audio.preprocessing.filters import BIQUADS
from artifex.generative_models.modalities.audio.preprocessing.loudness import k_weighting

KEY = jax.random.key(0)
NOISE = np.random.default_rng(0).normal(size=2000).astype(np.float32)
CLICK = np.eye(1, 4096, dtype=np.float32)[0]
RATES = pytest.mark.parametrize("rate", [8000, 44100])


def response(changed, rate):
    """The frequencies of all bins except the first and the last, and their gains."""
    gains = np.abs(np.fft.rfft(np.asarray(changed, np.float64)))
    return np.fft.rfftfreq(len(changed), 1 / rate)[1:-1], gains[1:-1]


@RATES
def test_pass_and_band_filters_equal_those_of_scipy(rate):
    at, options = rate / 10, {"frequency_range": (rate / 10, rate / 10), "sample_rate": rate}
    band = {"bandwidth_fraction_range": (0.5, 0.5)}
    for name, kind, edges, more in (
        ("low_pass", "low", at, {}),
        ("high_pass", "high", at, {}),
        ("band_pass", "bandpass", (0.75 * at, 1.25 * at), band),
        ("band_stop", "bandstop", (0.75 * at, 1.25 * at), band),
    ):
        expected = signal.sosfilt(signal.butter(2, edges, kind, fs=rate, output="sos"), NOISE)
        changed = create("augmentation", name, **options, **more)(NOISE, KEY)
        np.testing.assert_allclose(changed, expected, atol=1e-4, err_msg=name)


@RATES
def test_shelves_and_peaks_equal_the_analog_prototypes(rate):
    at, q, gain = rate / 10, 0.9, 10 ** (9 / 40)
    root = np.sqrt(gain)
    for name, top, bottom in (
        ("peaking", lambda s: s**2 + s * gain / q + 1, lambda s: s**2 + s / (gain * q) + 1),
        ("low_shelf", lambda s: gain * (s**2 + root / q * s + gain), lambda s: gain * s**2 + root / q * s + 1),
        ("high_shelf", lambda s: gain * (gain * s**2 + root / q * s + 1), lambda s: s**2 + root / q * s + gain),
    ):
        options = {"frequency_range": (at, at), "gain_db_range": (9.0, 9.0), "q_range": (q, q), "sample_rate": rate}
        hz, gains = response(create("augmentation", name, **options)(CLICK[:2000], KEY), rate)
        s = 1j * np.tan(np.pi * hz / rate) / np.tan(np.pi * at / rate)
        np.testing.assert_allclose(gains, np.abs(top(s) / bottom(s)), rtol=2e-3, err_msg=name)


@RATES
def test_band_limit_and_notches_are_at_their_frequencies(rate):
    middle = np.roll(CLICK, 2048)
    hz, gains = response(band_limit(middle, KEY, (rate / 2, rate / 2), sample_rate=rate), rate)
    assert gains[hz > rate / 4 + 1].max() < 1e-3
    assert np.abs(gains[hz < rate / 4 - 150] - 1).max() < 0.01
    dropped = drop_frequencies(middle, KEY, (rate / 4, rate / 4), (1, 1), width=rate / 10, sample_rate=rate)
    away, gains = np.abs(hz - rate / 4), response(dropped, rate)[1]
    assert gains[away < 0.9 * rate / 30].max() < 1e-3
    assert np.abs(gains[away > rate / 10] - 1).max() < 0.01


@pytest.mark.parametrize("rate", [8000, 48000])
def test_noise_is_normalized_to_the_target_loudness(rate):
    hiss = np.diff(np.random.default_rng(1).normal(size=rate // 2)).astype(np.float32)
    louder = random_loudness(hiss, KEY, (-20.0, -20.0), sample_rate=rate)
    assert float(integrated_loudness(louder, sample_rate=rate)) == pytest.approx(-20, abs=0.05)


@pytest.mark.parametrize("rate", [8000, 11025, 12000])
def test_the_k_weighting_at_low_rates_follows_the_table_of_the_standard(rate):
    shelf = [1.53512485958697, -2.69169619938640, 1.19839281085285, 1, -1.69065929318241, 0.73248077421585]
    high_pass = [1, -2, 1, 1, -1.99004745483398, 0.99007225036621]
    hz = np.geomspace(20, 0.4 * rate / 2, 100)
    ours, table = (
        20 * np.log10(np.abs(signal.sosfreqz(np.asarray(sections), hz, fs=fs)[1]))
        for sections, fs in ((k_weighting(rate), rate), ([shelf, high_pass], 48000))
    )
    assert np.abs(ours - table).max() < 0.25


@pytest.mark.parametrize("kind", BIQUADS)
def test_a_biquad_depends_only_on_the_fraction_of_the_sample_rate(kind):
    for rate in (8000, 44100):
        ours = biquad(kind, rate / 10, sample_rate=rate, gain_db=6.0)
        np.testing.assert_allclose(ours, biquad(kind, 1600.0, sample_rate=16000, gain_db=6.0), atol=2e-6)


def test_a_room_applies_a_response_of_the_given_duration():
    click = jnp.asarray(CLICK[:600])
    sounds, drawn = with_annotations(room)(click, KEY, order=2, keep=None, sample_rate=8000, duration=0.03)
    size = [drawn["width"], drawn["depth"], drawn["height"]]
    places = drawn["source"], drawn["microphone"], drawn["absorption"]
    heard = room_impulse_response(size, *places, sample_rate=8000, n_taps=240, order=2)
    expected = signal.sosfilt(signal.butter(2, 50, "highpass", fs=8000, output="sos"), np.asarray(heard))
    np.testing.assert_allclose(sounds[:240], expected, atol=3e-5)
    assert np.abs(sounds[240:]).max() < 1e-6


@pytest.mark.parametrize(
    ("keep", "level"), [("rms", lambda x: np.sqrt(np.mean(np.square(x)))), ("peak", lambda x: np.abs(x).max())]
)
def test_a_room_keeps_the_chosen_level(keep, level):
    sounds = np.asarray(room(NOISE, KEY, keep=keep, sample_rate=16000), np.float64)
    assert level(sounds) == pytest.approx(level(NOISE.astype(np.float64)), rel=1e-4)


def test_the_default_responses_have_the_sample_rate_of_the_clip():
    sounds = np.asarray(impulse_response(np.eye(1, 4000, dtype=np.float32)[0], KEY, keep=None, sample_rate=8000))
    apart = [np.abs(np.pad(each, (0, 4000 - len(each))) - sounds).max() for each in default_responses(8000)]
    assert min(apart) < 1e-4


def test_the_delay_follows_the_speed_of_sound():
    heard = room_impulse_response(
        [5, 4, 3], [1, 1, 1], [1, 1, 3], 1, sample_rate=16000, n_taps=200, order=0, speed_of_sound=320.0
    )
    assert int(jnp.argmax(heard)) == 2 * 16000 // 320


def test_the_highest_peak_of_a_response_can_be_negative():
    bank = np.float32([[0, 0.3, 0, -1, 0.2]])
    ahead = impulse_response(jnp.eye(1, 50)[0], KEY, bank=bank, keep=None, compensate_delay=True)
    np.testing.assert_allclose(ahead[:3], [-1, 0.2, 0], atol=1e-6)
