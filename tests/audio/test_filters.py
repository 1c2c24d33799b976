"""Biquads, second-order sections and FFT convolution, compared with scipy and the formulas of the Audio EQ Cookbook."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal

from artifex.generative_models.core.testing import Subject, check_function, signals
from artifex.generative_models.modalities.audio.preprocessing.filters import (
    BIQUADS,
    biquad,
    butterworth,
    fft_convolve,
    sosfilt,
)


def cookbook(kind, frequency, rate, q, gain_db):
    """Return the response of the cookbook's analog prototype, H(s), at bilinearly transformed frequencies."""
    amplitude = 10 ** (gain_db / 40)

    def response(hz):
        s = 1j * np.tan(np.pi * hz / rate) / np.tan(np.pi * frequency / rate)
        root = math.sqrt(amplitude)
        top, bottom = {
            "lowpass": (1, s**2 + s / q + 1),
            "highpass": (s**2, s**2 + s / q + 1),
            "bandpass": (s / q, s**2 + s / q + 1),
            "bandstop": (s**2 + 1, s**2 + s / q + 1),
            "allpass": (s**2 - s / q + 1, s**2 + s / q + 1),
            "peaking": (s**2 + s * amplitude / q + 1, s**2 + s / (amplitude * q) + 1),
            "lowshelf": (amplitude * (s**2 + root / q * s + amplitude), amplitude * s**2 + root / q * s + 1),
            "highshelf": (amplitude * (amplitude * s**2 + root / q * s + 1), s**2 + root / q * s + amplitude),
        }[kind]
        return top / bottom

    return response


@pytest.mark.parametrize("kind", BIQUADS)
def test_a_biquad_has_the_response_of_the_cookbook(kind):
    hz = np.geomspace(10, 7900, 200)
    for frequency, q, gain_db in ((150.0, 0.707, 6.0), (1000.0, 3.0, -12.0), (7000.0, 0.5, 3.0)):
        sos = np.asarray(biquad(kind, frequency, sample_rate=16000, q=q, gain_db=gain_db), np.float64)[None]
        _, ours = signal.sosfreqz(sos, hz, fs=16000)
        np.testing.assert_allclose(ours, cookbook(kind, frequency, 16000, q, gain_db)(hz), atol=2e-4)


def test_the_measured_response_is_the_designed_one():
    impulse = np.zeros(4096, np.float32)
    impulse[0] = 1
    sos = jnp.stack([biquad(kind, 900.0, sample_rate=16000, gain_db=9.0) for kind in BIQUADS])[:, None]
    responses = np.fft.rfft(np.asarray(sosfilt(impulse, sos), np.float64))
    hz = np.fft.rfftfreq(4096, 1 / 16000)
    for kind, response in zip(BIQUADS, responses, strict=True):
        expected = cookbook(kind, 900.0, 16000, math.sqrt(0.5), 9.0)(hz[1:-1])
        np.testing.assert_allclose(response[1:-1], expected, atol=1e-4)


@pytest.mark.parametrize(("kind", "btype"), [("lowpass", "low"), ("highpass", "high")])
@pytest.mark.parametrize("order", [2, 4, 8])
def test_butterworth_has_the_response_of_scipy(kind, btype, order):
    hz = np.geomspace(20, 7900, 100)
    _, ours = signal.sosfreqz(np.asarray(butterworth(kind, order, 1200.0, sample_rate=16000), np.float64), hz, fs=16000)
    expected = signal.butter(order, 1200.0, btype, fs=16000, output="sos")
    np.testing.assert_allclose(ours, signal.sosfreqz(expected, hz, fs=16000)[1], atol=2e-4)


@pytest.mark.parametrize(("time", "shape"), [(1, ()), (32, (3,)), (33, (2, 3)), (200, (2, 1)), (201, (3,))])
def test_sosfilt_equals_scipy(time, shape):
    audio = np.random.default_rng(time).standard_normal((2, 3, time)).astype(np.float32)
    corners = np.broadcast_to(np.array([300.0, 900.0, 2500.0]), shape) if shape[-1:] == (3,) else np.full(shape, 700.0)
    sos = np.stack([np.asarray(biquad(kind, corners, sample_rate=16000)) for kind in ("lowpass", "peaking")], -2)
    each = np.broadcast_to(sos, (2, 3, 2, 6)).astype(np.float64)
    expected = [[signal.sosfilt(each[i, j].copy(), audio[i, j].astype(np.float64)) for j in range(3)] for i in range(2)]
    np.testing.assert_allclose(sosfilt(audio, sos), expected, atol=3e-6)


@pytest.mark.parametrize("kind", ["lowpass", "highpass", "peaking"])
def test_low_corner_frequencies_are_accurate(kind):
    audio = np.random.default_rng(0).standard_normal(20000).astype(np.float32)
    sos = np.asarray(biquad(kind, 50.0, sample_rate=44100, gain_db=6.0))[None]
    expected = signal.sosfilt(sos.astype(np.float64), audio.astype(np.float64))
    assert np.abs(np.asarray(sosfilt(audio, sos)) - expected).max() < 1e-5 * np.abs(expected).max()
    with jax.enable_x64(True):
        wide = sosfilt(audio.astype(np.float64), sos.astype(np.float64))
        assert np.abs(np.asarray(wide) - expected).max() < 1e-12 * np.abs(expected).max()


@pytest.mark.parametrize(
    "section", [[0.3, 0.2, 0.1, 1, 0, 0], [1, -0.5, 0, 1, -0.9, 0], [2, 1, 0, 2, 0.4, -0.3], [1, 0, 0, 1, -1, 0]]
)
def test_sections_with_fewer_poles_or_unnormalized_a0_are_filtered(section):
    audio = np.random.default_rng(1).standard_normal(100).astype(np.float32)
    expected = signal.sosfilt(np.array([section]) / section[3], audio)
    np.testing.assert_allclose(sosfilt(audio, np.array([section])), expected, atol=2e-6)


def test_numpy_sections_keep_float64_precision():
    audio = np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    for kind in ("low", "high"):
        sos = signal.butter(4, 20.0, kind, fs=44100, output="sos")
        expected = signal.sosfilt(sos, audio.astype(np.float64))
        assert np.abs(np.asarray(sosfilt(audio, sos)) - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize(("kind", "frequency", "sign"), [("lowpass", 20.0, 1), ("highpass", 22030.0, -1)])
def test_rounding_preserves_the_gain_at_the_nearer_end_of_the_spectrum(kind, frequency, sign):
    sos = np.asarray(biquad(kind, frequency, sample_rate=44100), np.float64)
    powers = np.array([1, sign, 1])
    assert powers @ sos[:3] / (powers @ sos[3:]) == pytest.approx(1, abs=1e-6)


def test_nan_and_infinity_affect_later_samples_of_their_waveform_only():
    audio = np.random.default_rng(0).standard_normal((3, 100)).astype(np.float32)
    invalid = audio.copy()
    invalid[1, 50], invalid[2, 7] = np.nan, np.inf
    clean, filtered = np.asarray(sosfilt(audio, LOW)), np.asarray(sosfilt(invalid, LOW))
    np.testing.assert_array_equal(np.isfinite(filtered).sum(axis=-1), [100, 50, 7])
    np.testing.assert_array_equal(filtered[np.isfinite(filtered)], clean[np.isfinite(filtered)])


@pytest.mark.parametrize(("time", "taps"), [(1, 1), (1, 33), (40, 2), (40, 600), (3000, 33), (3000, 600)])
def test_fft_convolve_is_a_convolution(time, taps):
    draws = np.random.default_rng(taps)
    audio, kernel = draws.standard_normal(time), draws.standard_normal(taps)
    full = np.convolve(audio, kernel)
    spans = {"full": (0, time + taps - 1), "causal": (0, time), "same": ((taps - 1) // 2, (taps - 1) // 2 + time)}
    for mode, (first, end) in spans.items():
        ours = fft_convolve(audio.astype(np.float32), kernel.astype(np.float32), mode)
        np.testing.assert_allclose(ours, full[first:end], atol=2e-6 * np.abs(full).max())


def test_each_waveform_may_have_its_own_kernel():
    draws = np.random.default_rng(3)
    audio, kernels = draws.standard_normal((2, 3, 200)), draws.standard_normal((3, 20))
    expected = signal.fftconvolve(audio, np.broadcast_to(kernels, (2, 3, 20)), axes=-1)
    np.testing.assert_allclose(fft_convolve(audio.astype(np.float32), kernels.astype(np.float32)), expected, atol=1e-5)


LOW = np.asarray([[0.1, 0.2, 0.1, 1.0, -1.2, 0.6]], np.float32)


@pytest.mark.parametrize(
    "function", [lambda audio: sosfilt(audio, LOW), lambda audio: fft_convolve(audio, LOW[0], "causal")]
)
def test_filters_follow_the_rules_for_array_code(function):
    report = check_function("filter", Subject(function=function, example=signals, shape=lambda s: s, batched=True))
    assert report.passed, str(report)


def test_corners_and_gains_may_be_traced():
    def level(corner, gain):
        return jnp.abs(sosfilt(jnp.ones(50), biquad("lowshelf", corner, sample_rate=16000, gain_db=gain)[None])).sum()

    slopes = jax.jit(jax.grad(level, argnums=(0, 1)))(500.0, 0.0)
    assert all(np.isfinite(slope) for slope in slopes)
    step = (level(500.0, 0.01) - level(500.0, -0.01)) / 0.02
    np.testing.assert_allclose(slopes[1], step, rtol=2e-2)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: biquad("low", 100.0, sample_rate=16000), ValueError, "kind"),
        (lambda: biquad("lowpass", 8000.0, sample_rate=16000), ValueError, "below 8000.0 Hz, half the sample rate"),
        (lambda: biquad("lowpass", [100.0, -1.0], sample_rate=16000), ValueError, "frequency"),
        (lambda: biquad("lowpass", "high", sample_rate=16000), TypeError, "frequency"),
        (lambda: biquad("lowpass", 100.0, sample_rate=16000, q=0), ValueError, "q"),
        (lambda: butterworth("lowpass", 3, 100.0, sample_rate=16000), ValueError, "even"),
        (lambda: sosfilt(np.ones(3), np.ones(6)), ValueError, r"n_sections, 6"),
        (lambda: fft_convolve(np.ones(3), np.ones(2), "valid"), ValueError, "mode"),
        (lambda: fft_convolve(np.ones(3), np.ones(0)), ValueError, "at least one sample"),
    ],
)
def test_invalid_arguments_raise(call, error, match):
    with pytest.raises(error, match=match):
        call()
