"""The vowel, against filters of scipy, spectral envelopes and the closed form of its pulse."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
import scipy.stats

from artifex.generative_models.core import create
from artifex.generative_models.modalities.audio.annotations import with_annotations

RATE = 16000
VOWELS = ("iy", "ih", "eh", "ae", "ah", "aa", "ao", "uh", "uw", "er")


@cache
def rendered(n, keys=1, rate=RATE, **options):
    """Vowels and annotations for several keys, as NumPy arrays with a leading batch axis."""
    make = with_annotations(create("audio_type", "vowel", **options))
    batch = jax.jit(jax.vmap(partial(make, n_time_steps=n, sample_rate=rate)))
    audio, annotations = jax.tree.map(np.asarray, batch(jax.random.split(jax.random.key(1), keys)))
    return audio.astype(np.float64), {key: value.astype(np.float64) for key, value in annotations.items()}


def harmonics_by_quadrature(annotations, n_harmonics=80):
    """Coefficients of exp(2 pi i k (f t + phase)): the slope of the pulse, integrated, times scipy's resonators."""
    order = np.arange(1, n_harmonics + 1)
    x = (np.arange(20000) + 0.5) / 20000
    carriers = np.exp(-2j * np.pi * np.outer(order * annotations["open_quotient"], x))
    pulse = carriers @ (2 * x - 3 * x**2) / len(x)
    for formant, bandwidth in zip(annotations["formants"], annotations["bandwidths"], strict=True):
        pole = np.pi * (-bandwidth + 2j * formant)
        filter_ = ([abs(pole) ** 2], np.poly([pole, pole.conj()]).real)
        pulse = pulse * scipy.signal.freqs(*filter_, 2 * np.pi * annotations["frequency"] * order)[1]
    pulse[annotations["frequency"] * order >= RATE / 2] = 0
    return pulse / np.sqrt((np.abs(pulse) ** 2).sum() / 2)


def test_a_vowel_is_a_cubic_pulse_filtered_by_four_resonators():
    audio, annotations = rendered(RATE // 4, keys=3, f_min=200.0)
    for row in range(3):
        one = {name: value[row] for name, value in annotations.items()}
        order = np.arange(1, 81)[:, None]
        carriers = np.exp(2j * np.pi * order * (one["frequency"] * np.arange(RATE // 4) / RATE + one["phase"]))
        expected = 0.1 * (harmonics_by_quadrature(one) @ carriers).real
        np.testing.assert_allclose(audio[row], expected, atol=2e-5)


@pytest.mark.parametrize("speaker", ["man", "child"])
def test_the_spectral_envelope_peaks_at_the_formants(speaker):
    options = {"vowels": ("ae",), "speaker": speaker, "f_min": 40.0, "f_max": 40.0, "n_harmonics": 130}
    audio, annotations = rendered(RATE, **options)
    order = np.arange(1, 131)
    level = np.abs(np.exp(-2j * np.pi * np.outer(40.0 * order / RATE, np.arange(RATE))) @ audio[0])
    smooth = np.log(level) + 6 / 20 * np.log(10) * np.log2(order)
    peaks = 40.0 * order[scipy.signal.argrelmax(np.convolve(smooth, np.ones(5) / 5, "same"), order=4)[0]]
    for formant in annotations["formants"][0]:
        assert np.abs(peaks - formant).min() < 60


def test_the_pitch_is_f0_and_the_level_is_its_root_mean_square():
    audio, annotations = rendered(RATE, keys=3, amplitude=0.2)
    for sound, f in zip(audio, annotations["frequency"], strict=True):
        shifted = np.exp(-2j * np.pi * f * np.arange(RATE // 2) / RATE) * np.blackman(RATE // 2)
        early, late = ((sound[start : start + RATE // 2] * shifted).sum() for start in (0, RATE // 2))
        drift = np.angle(late / early * np.exp(-1j * np.pi * f)) / np.pi
        assert abs(1200 * np.log2(1 + drift / f)) < 0.5
        periods = round(int(RATE * 0.9 * f / RATE) * RATE / f)
        np.testing.assert_allclose(np.sqrt(np.mean(sound[:periods] ** 2)), 0.2, rtol=0.01)


def test_a_vowel_is_exact_after_a_minute():
    audio, annotations = rendered(60 * 8000, rate=8000, n_harmonics=2)
    one = {name: value[0] for name, value in annotations.items()}
    order = np.arange(1, 3)[:, None]
    t = np.arange(60 * 8000)[-8000:] / 8000
    carriers = np.exp(2j * np.pi * order * (one["frequency"] * t + one["phase"]))
    expected = 0.1 * (harmonics_by_quadrature(one, 2) @ carriers).real
    np.testing.assert_allclose(audio[0, -8000:], expected, atol=2e-5)


def test_vowels_and_voices_are_drawn_uniformly():
    _, annotations = rendered(2, keys=300)
    assert scipy.stats.chisquare(np.bincount(annotations["vowel"].astype(int), minlength=10)).pvalue > 1e-3
    ranges = {"frequency": (90, 300), "open_quotient": (0.4, 0.7), "scale": (0.95, 1.05), "phase": (0, 1)}
    fractions = [(annotations[drawn] - low) / (high - low) for drawn, (low, high) in ranges.items()]
    for fraction in fractions:
        assert scipy.stats.kstest(fraction, "uniform").pvalue > 1e-3
    assert np.abs(np.corrcoef(fractions) - np.eye(4)).max() < 0.25
    first = annotations["formants"][:, 0] / annotations["scale"]
    first_formants = dict(zip(VOWELS, (270, 390, 530, 660, 640, 730, 570, 440, 300, 490), strict=True))
    np.testing.assert_allclose(first, [first_formants[VOWELS[int(which)]] for which in annotations["vowel"]], rtol=1e-5)


def test_gradients_of_traced_options_are_finite_and_correct():
    make = partial(create("audio_type", "vowel"), jax.random.key(3), n_time_steps=64, sample_rate=RATE)

    @jax.jit
    @jax.value_and_grad
    def energy(options):
        return jnp.sum(make(**options) ** 2 * jnp.arange(64, dtype=jnp.float32))

    options = {"f_min": 100.0, "open_min": 0.45, "scale_max": 1.05, "amplitude": 0.1}
    _, slopes = energy(options)
    for option in ("f_min", "open_min"):
        step = 1e-3 * options[option]
        above, below = (float(energy({**options, option: options[option] + sign * step})[0]) for sign in (1, -1))
        np.testing.assert_allclose(slopes[option], (above - below) / (2 * step), rtol=0.03, atol=2e-3)
    for changed in ({}, {"amplitude": 0.0}):
        assert all(np.isfinite(slope) for slope in energy({**options, **changed})[1].values())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"vowels": "iy"}, TypeError, "tuple of names"),
        ({"vowels": ("oy",)}, ValueError, "iy"),
        ({"speaker": "dog"}, ValueError, "woman"),
        ({"f_max": 9000.0}, ValueError, "f_max <= 8000.0 Hz"),
        ({"open_min": 0.0}, ValueError, "open_min must be a finite number from 0.1 to 0.9"),
    ],
)
def test_an_option_out_of_range_raises(options, error, message):
    with pytest.raises(error, match=message):
        create("audio_type", "vowel", **options)(jax.random.key(0), n_time_steps=8, sample_rate=RATE)
