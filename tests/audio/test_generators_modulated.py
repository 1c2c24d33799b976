"""Modulated tones, against closed forms in float64, Bessel functions, and the phase of the analytic signal."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
import scipy.special
import scipy.stats

from artifex.generative_models.core import create
from artifex.generative_models.modalities.audio.annotations import with_annotations

RATE = 8000
NAMES = ("am", "fm", "vibrato", "tremolo", "siren")


@cache
def rendered(name, n, keys=1, rate=RATE, **options):
    """Waveforms and annotations for several keys, as NumPy arrays with a leading batch axis."""
    make = with_annotations(create("audio_type", name, **options))
    batch = jax.jit(jax.vmap(partial(make, n_time_steps=n, sample_rate=rate)))
    audio, annotations = jax.tree.map(np.asarray, batch(jax.random.split(jax.random.key(1), keys)))
    return audio.astype(np.float64), {key: value.astype(np.float64) for key, value in annotations.items()}


def cycles_at(annotations, t, of="frequency", phase="phase"):
    return annotations[of][:1, None] * t + annotations[phase][:1, None]


def wave(cycles):
    return np.sin(2 * np.pi * cycles)


def am_form(annotations, t):
    depth = annotations["depth"]
    envelope = (1 + depth * wave(cycles_at(annotations, t, "rate", "rate_phase"))) / (1 + depth)
    np.testing.assert_allclose(annotations["envelope"], 0.5 * envelope, atol=1e-6)
    return envelope * wave(cycles_at(annotations, t))


def fm_form(annotations, t):
    cycles = cycles_at(annotations, t, "rate", "rate_phase")
    return wave(cycles_at(annotations, t) + annotations["index"] / (2 * np.pi) * wave(cycles))


def vibrato_form(annotations, t):
    log_depth, rate = annotations["depth_cents"] * np.log(2) / 1200, annotations["rate"]
    cycles = cycles_at(annotations, t, "rate", "rate_phase")
    total = scipy.special.iv(0, log_depth) * t
    for k in range(1, 20):
        increment = wave(k * (cycles - 0.25)) - wave(k * (annotations["rate_phase"] - 0.25))
        total = total + scipy.special.iv(k, log_depth) * increment / (np.pi * rate * k)
    return wave(annotations["frequency"] * total + annotations["phase"])


def tremolo_form(annotations, t):
    level = 10 ** (annotations["depth_db"] / 40 * (wave(cycles_at(annotations, t, "rate", "rate_phase")) - 1))
    np.testing.assert_allclose(annotations["envelope"], 0.5 * level, atol=1e-6)
    return level * wave(cycles_at(annotations, t))


def siren_form(annotations, t):
    rate, rise, low, high = (annotations[name][0] for name in ("rate", "rise", "low", "high"))
    first = annotations["rate_phase"][0]
    starts = np.arange(np.ceil(t[-1] * rate + first) + 1)
    knots = np.sort(np.concatenate([starts, starts + rise]))
    heights = np.where(np.isin(knots, starts), low, high)
    areas = np.concatenate([[0], np.cumsum(np.diff(knots) * (heights[1:] + heights[:-1]) / 2)])

    def integral(position):
        before = np.searchsorted(knots, position, side="right") - 1
        height = np.interp(position, knots, heights)
        return areas[before] + (position - knots[before]) * (height + heights[before]) / 2

    return wave((integral(t * rate + first) - integral(np.array([first]))) / rate + annotations["phase"][0])[None]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "form", "tolerance"),
    [
        ("am", am_form, 3e-6),
        ("fm", fm_form, 1e-5),
        ("vibrato", vibrato_form, 1e-4),
        ("tremolo", tremolo_form, 3e-6),
        ("siren", siren_form, 5e-4),
    ],
)
def test_the_phase_equals_the_closed_form_after_a_minute(name, form, tolerance):
    audio, annotations = rendered(name, 60 * RATE)
    np.testing.assert_allclose(audio, 0.5 * form(annotations, np.arange(60 * RATE) / RATE), atol=tolerance)


@pytest.mark.parametrize(
    ("name", "options"),
    [("fm", {"rate_max": 20.0}), ("vibrato", {}), ("siren", {}), ("siren", {"shape": "two_tone"})],
)
def test_the_phase_of_the_analytic_signal_moves_at_f0(name, options):
    audio, annotations = rendered(name, 2 * RATE, keys=4, **options)
    cycles = np.unwrap(np.angle(scipy.signal.hilbert(audio)), axis=-1) / (2 * np.pi)
    measured = (cycles[:, 2:] - cycles[:, :-2]) * RATE / 2
    inner = slice(RATE // 4, -RATE // 4)
    error = np.abs(measured - annotations["f0"][:, 1:-1])[:, inner] / annotations["f0"][:, 1:-1][:, inner]
    assert np.percentile(error, 90) < 0.003
    pitches = annotations["frequency"][:, None] if name != "siren" else 0
    assert (np.ptp(annotations["f0"] - pitches, axis=-1) > 1).all()


def line_spectrum(audio):
    """Amplitudes at integer frequencies in Hz, for one second."""
    return np.abs(np.fft.rfft(audio)) * 2 / RATE


def test_the_sidebands_of_am_have_half_the_depth():
    options = {
        "f_min": 1000.0,
        "f_max": 1000.0,
        "rate_min": 100.0,
        "rate_max": 100.0,
        "depth_min": 0.6,
        "depth_max": 0.6,
    }
    amplitudes = line_spectrum(rendered("am", RATE, **options)[0][0])
    carrier = 0.5 / 1.6
    np.testing.assert_allclose(amplitudes[[900, 1000, 1100]], [0.3 * carrier, carrier, 0.3 * carrier], atol=1e-5)
    amplitudes[[900, 1000, 1100]] = 0
    assert amplitudes.max() < 1e-5


def test_the_sidebands_of_fm_are_bessel_functions_of_the_index():
    options = {"f_min": 1000.0, "f_max": 1000.0, "rate_min": 50.0, "rate_max": 50.0, "index_min": 2.0, "index_max": 2.0}
    amplitudes = line_spectrum(rendered("fm", RATE, **options)[0][0])
    orders = np.arange(-8, 9)
    np.testing.assert_allclose(amplitudes[1000 + 50 * orders], 0.5 * np.abs(scipy.special.jv(orders, 2.0)), atol=1e-5)


def test_vibrato_deviates_by_the_annotated_cents():
    _, annotations = rendered("vibrato", 2 * RATE, keys=4)
    cents = 1200 * np.log2(annotations["f0"] / annotations["frequency"][:, None])
    np.testing.assert_allclose(cents.max(axis=-1), annotations["depth_cents"], rtol=1e-3)
    np.testing.assert_allclose(cents.min(axis=-1), -annotations["depth_cents"], rtol=1e-3)


def test_tremolo_has_the_annotated_depth():
    audio, annotations = rendered("tremolo", 2 * RATE, keys=4)
    peaks = np.abs(scipy.signal.hilbert(audio))[:, RATE // 4 : -RATE // 4]
    depth = 20 * np.log10(peaks.max(axis=-1) / peaks.min(axis=-1))
    np.testing.assert_allclose(depth, annotations["depth_db"], rtol=0.01)


def test_a_two_tone_siren_is_at_the_upper_tone_for_its_fraction():
    _, annotations = rendered("siren", 2 * RATE, keys=4, shape="two_tone", rate_min=2.0, rate_max=2.0)
    upper = annotations["f0"] == annotations["high"][:, None]
    np.testing.assert_array_equal(annotations["f0"] == annotations["low"][:, None], ~upper)
    np.testing.assert_allclose(upper.mean(axis=-1), annotations["rise"], atol=1e-3)


@pytest.mark.parametrize(
    ("name", "ranges"),
    [
        ("am", {"frequency": (400, 1600), "rate": (20, 120), "depth": (0.2, 1), "phase": (0, 1), "rate_phase": (0, 1)}),
        ("fm", {"frequency": (500, 1500), "rate": (2, 50), "index": (0.5, 5)}),
        ("vibrato", {"frequency": (200, 800), "rate": (4, 8), "depth_cents": (20, 100)}),
        ("tremolo", {"frequency": (200, 800), "rate": (4, 8), "depth_db": (3, 12)}),
        ("siren", {"low": (400, 700), "high": (900, 1500), "rate": (0.5, 3), "rise": (0.3, 0.7), "phase": (0, 1)}),
    ],
)
def test_drawn_parameters_are_uniform_and_independent(name, ranges):
    _, annotations = rendered(name, 2, keys=300)
    for drawn, (low, high) in ranges.items():
        assert scipy.stats.kstest((annotations[drawn] - low) / (high - low), "uniform").pvalue > 1e-3, drawn
    correlations = np.corrcoef([annotations[drawn] for drawn in ranges])
    assert np.abs(correlations - np.eye(len(ranges))).max() < 0.25


@pytest.mark.thorough
@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_traced_options_are_finite_and_correct(name):
    rate_max = 100.0 if name in ("am", "fm") else 8.0
    options = {"low_min" if name == "siren" else "f_min": 300.0, "rate_max": rate_max, "amplitude": 0.5}
    make = partial(create("audio_type", name), jax.random.key(3), n_time_steps=64, sample_rate=RATE)

    @jax.jit
    @jax.value_and_grad
    def energy(options):
        return jnp.sum(make(**options) ** 2 * jnp.arange(64.0) / 64)

    value, slopes = energy(options)
    assert all(np.isfinite(slope) for slope in slopes.values())
    first = next(iter(options))
    above, below = (float(energy({**options, first: options[first] + step})[0]) for step in (0.5, -0.5))
    np.testing.assert_allclose(slopes[first], above - below, rtol=0.02, atol=1e-4)
    assert value > 0


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("am", {"f_max": 3950.0}, r"f_max \+ rate_max must be at most 4000.0 Hz, half the sample rate, got 4070 Hz"),
        ("am", {"depth_max": 1.5}, "depth_max must be a finite number from 0 to 1"),
        (
            "fm",
            {"index_max": 90.0},
            r"f_max \+ \(index_max \+ 1\) \* rate_max must be at most 4000.0 Hz, .* got 6050 Hz",
        ),
        ("fm", {"rate_min": 60.0}, "rate_min must be at most rate_max, got rate_min = 60.0 Hz, rate_max = 50.0 Hz"),
        ("vibrato", {"f_max": 3990.0}, "f_max raised by depth_max must be at most 4000.0 Hz, .* got 4227"),
        ("vibrato", {"rate_min": 0.0}, "rate_min must be a finite number above 0 Hz"),
        ("tremolo", {"depth_min": -1.0}, "depth_min must be a finite number of at least 0 dB"),
        ("siren", {"shape": "round"}, "swept"),
        (
            "siren",
            {"low_max": 1000.0},
            "low_max must be at most high_min, got low_max = 1000.0 Hz, high_min = 900.0 Hz",
        ),
        ("siren", {"high_max": 5000.0}, "high_max <= 4000.0 Hz"),
    ],
)
def test_an_option_out_of_range_raises(name, options, message):
    with pytest.raises(ValueError, match=message):
        create("audio_type", name, **options)(jax.random.key(0), n_time_steps=8, sample_rate=RATE)
