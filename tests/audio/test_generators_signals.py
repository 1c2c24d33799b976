"""Tones, sweeps and noise, compared with scipy, Fourier series and the distributions of their parameters."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
import scipy.stats

from artifex.generative_models.core import create
from artifex.generative_models.modalities.audio.annotations import with_annotations
from artifex.generative_models.modalities.audio.generators.parameters import floor_multiples
from artifex.generative_models.modalities.audio.generators.sweeps import inverse_filter

RATE = 16000
KEY = jax.random.key(0)


def render(name, n=RATE, rate=RATE, **options):
    made = with_annotations(create("audio_type", name, **options))(KEY, n_time_steps=n, sample_rate=rate)
    return np.asarray(made[0], np.float64), {key: np.asarray(value, np.float64) for key, value in made[1].items()}


def render_batch(name, count, n, **options):
    function = partial(with_annotations(create("audio_type", name, **options)), n_time_steps=n, sample_rate=RATE)
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(function))(jax.random.split(jax.random.key(1), count)))


SERIES = {
    "sawtooth": lambda k, x: -2 / np.pi * np.sin(k * x) / k,
    "square": lambda k, x: np.where(k % 2, 4 / np.pi * np.sin(k * x) / k, 0),
    "triangle": lambda k, x: np.where(k % 2, -8 / np.pi**2 * np.cos(k * x) / k**2, 0),
}


@pytest.mark.parametrize("name", SERIES)
@pytest.mark.parametrize("frequency", [110.1, 997.3, 3333.3, 7000.1])
def test_band_limited_waves_are_their_fourier_series_with_aliases_below_100_db(name, frequency):
    audio, annotations = render(name, n=4096, f_min=frequency, f_max=frequency, amplitude=1.0)
    angle = 2 * np.pi * (annotations["frequency"] * np.arange(4096) / RATE + annotations["phase"])
    orders = np.arange(1, np.ceil(RATE / 2 / annotations["frequency"]))[:, None]
    series = SERIES[name](orders, angle).sum(axis=0)
    spectrum, rest = (np.abs(np.fft.rfft(wave * np.blackman(4096))).max() for wave in (series, audio - series))
    assert 20 * np.log10(rest / spectrum) < -100
    np.testing.assert_allclose(audio, series, atol=1e-5)


def test_a_band_limited_pulse_is_its_fourier_series():
    audio, annotations = render("pulse", n=4096, amplitude=1.0)
    cycles, duty = annotations["frequency"] * np.arange(4096) / RATE + annotations["phase"], annotations["duty"]
    orders = np.arange(1, np.ceil(RATE / 2 / annotations["frequency"]))[:, None]
    waves = [np.sin(2 * np.pi * orders * moved) / orders for moved in (cycles, cycles - duty)]
    series = 2 * duty - 1 + 2 / np.pi * (waves[0] - waves[1]).sum(axis=0)
    np.testing.assert_allclose(audio, series, atol=1e-5)


@pytest.mark.parametrize("name", ["square", "pulse", "sawtooth", "triangle"])
def test_ideal_waves_equal_scipy(name):
    audio, annotations = render(name, n=2000, amplitude=1.0, band_limited=False)
    cycles = annotations["frequency"] * np.arange(2000) / RATE + annotations["phase"]
    angle = 2 * np.pi * cycles
    reference = {
        "square": lambda: scipy.signal.square(angle),
        "pulse": lambda: scipy.signal.square(angle, annotations["duty"]),
        "sawtooth": lambda: scipy.signal.sawtooth(angle),
        "triangle": lambda: scipy.signal.sawtooth(angle, 0.5),
    }[name]()
    edges = (0, 0.5, float(annotations.get("duty", 0)))
    clear = np.min([np.abs((cycles - edge + 0.5) % 1 - 0.5) for edge in edges], axis=0) > 1e-6
    assert clear.mean() > 0.99
    np.testing.assert_allclose(audio[clear], reference[clear], atol=2e-6)


@pytest.mark.parametrize(
    ("name", "crest"), [("sine", 2**0.5), ("square", 1), ("triangle", 3**0.5), ("sawtooth", 3**0.5)]
)
def test_crest_factors(name, crest):
    options = {} if name == "sine" else {"band_limited": False}
    audio, _ = render(name, amplitude=0.8, f_min=300.7, f_max=300.7, **options)
    assert np.abs(audio).max() == pytest.approx(0.8, rel=2e-3)
    assert np.abs(audio).max() / np.sqrt(np.mean(audio**2)) == pytest.approx(crest, rel=5e-3)


@pytest.mark.parametrize("name", ["sine", "pulse", "multi_tone"])
def test_frequencies_and_phases_are_uniform_and_independent(name):
    annotations = render_batch(name, 400, 4)[1]
    frequency = annotations["frequencies"][:, 0] if name == "multi_tone" else annotations["frequency"]
    phase = annotations["phases"][:, 0] if name == "multi_tone" else annotations["phase"]
    assert scipy.stats.kstest(frequency, scipy.stats.uniform(200, 600).cdf).pvalue > 1e-3
    assert scipy.stats.kstest(phase, scipy.stats.uniform().cdf).pvalue > 1e-3
    assert abs(scipy.stats.spearmanr(frequency, phase).statistic) < 0.2


def test_multi_tone_is_the_sum_of_its_stems_within_its_amplitude():
    audio, annotations = render("multi_tone", n_tones=3, amplitude=0.9)
    np.testing.assert_allclose(annotations["stems"].sum(axis=0), audio, atol=1e-6)
    assert np.abs(audio).max() <= 0.9
    waves = np.sin(
        2 * np.pi * (np.outer(annotations["frequencies"], np.arange(RATE)) / RATE + annotations["phases"][:, None])
    )
    np.testing.assert_allclose(annotations["stems"], 0.3 * waves, atol=1e-6)


def test_an_impulse_is_at_its_onset():
    audio, annotations = render("impulse", n=500)
    assert np.flatnonzero(audio).tolist() == annotations["onset_samples"].tolist()
    positions = render_batch("impulse", 300, 50)[0].argmax(axis=-1)
    assert scipy.stats.chisquare(np.bincount(positions // 10, minlength=5)).pvalue > 1e-3


def test_dc_has_the_annotated_amplitude_and_silence_is_zero():
    audio, annotations = render("dc", n=5)
    np.testing.assert_array_equal(audio, np.full(5, annotations["amplitude"]))
    assert not render("silence", n=5)[0].any()


@pytest.mark.parametrize("seconds", [1, 60])
def test_clicks_have_their_rate_and_onsets_without_drift(seconds):
    audio, annotations = render("click_train", n=seconds * RATE)
    positions = np.flatnonzero(audio)
    np.testing.assert_array_equal(annotations["onset_samples"][: len(positions)], positions)
    assert (annotations["onset_samples"][len(positions) :] == -1).all()
    times = positions[0] + np.arange(len(positions)) * RATE / annotations["rate"]
    assert np.abs(positions - times).max() <= 1.1
    assert positions[-1] + RATE / annotations["rate"] >= len(audio) - 1


@pytest.mark.parametrize("method", ["linear", "quadratic", "logarithmic", "hyperbolic"])
@pytest.mark.parametrize("seconds", [2, 60])
def test_chirps_equal_scipy_at_any_length(method, seconds):
    n = seconds * RATE
    audio, annotations = render("chirp", n=n, method=method, amplitude=1.0)
    times = np.arange(n) / RATE
    expected = scipy.signal.chirp(times, 200, seconds, 800, method=method, phi=360 * annotations["phase"] - 90)
    np.testing.assert_allclose(audio, expected, atol=1e-6)
    angle = np.unwrap(np.angle(scipy.signal.hilbert(audio[: 2 * RATE])))
    middle = slice(RATE // 2, RATE)
    np.testing.assert_allclose(np.gradient(angle)[middle] * RATE / 2 / np.pi, annotations["f0"][middle], rtol=0.02)


def test_a_sweep_convolved_with_its_inverse_is_an_impulse():
    sweep, _ = render("exponential_sweep", n=2 * RATE)
    response = scipy.signal.fftconvolve(sweep, np.asarray(inverse_filter(sweep, f_min=50.0, f_max=3500.0)))
    energy, peak = response**2, 2 * RATE - 1
    assert response.argmax() == peak
    assert response[peak] == pytest.approx(1, abs=1e-5)
    outside = energy.sum() - energy[peak - 160 : peak + 161].sum()
    assert 10 * np.log10(outside / energy.sum()) < -28
    assert not np.asarray(inverse_filter(np.zeros(9, np.float32), f_min=50.0, f_max=3500.0)).any()


SLOPES = [
    ("pink_noise", {}, -0.5),
    ("brown_noise", {}, -1),
    ("blue_noise", {}, 0.5),
    ("violet_noise", {}, 1),
    ("colored_noise", {"slope_db": 4.5}, 4.5 / 6.0206),
]


@pytest.mark.parametrize(("name", "options", "exponent"), SLOPES)
def test_colored_noise_has_its_slope_and_rms(name, options, exponent):
    audio = render_batch(name, 24, 8101, **options)[0]
    np.testing.assert_allclose(np.sqrt(np.mean(audio**2, axis=-1)), 0.3, rtol=1e-5)
    f, power = scipy.signal.welch(audio, RATE, nperseg=1024, window="blackmanharris", detrend=False)
    band = (f > 250) & (f < 4000)
    slope = np.polyfit(np.log2(f[band]), 10 * np.log10(power.mean(axis=0)[band]), 1)[0]
    assert slope == pytest.approx(20 * np.log10(2) * exponent, abs=0.3)


def test_band_limited_noise_is_flat_inside_its_band_and_zero_outside():
    audio = render_batch("band_limited_noise", 24, 8000)[0]
    np.testing.assert_allclose(np.sqrt(np.mean(audio**2, axis=-1)), 0.3, rtol=1e-5)
    f, power = scipy.signal.welch(audio, RATE, nperseg=2000, window="blackmanharris", detrend=False)
    power = power.mean(axis=0)
    inside = power[(f > 250) & (f < 750)]
    assert power[(f < 150) | (f > 850)].max() < 1e-6 * inside.mean()
    assert inside.max() / inside.min() < 2.5


def test_a_band_of_zero_width_is_audible():
    audio, _ = render("band_limited_noise", n=1000, f_min=440.0, f_max=440.0)
    assert np.sqrt(np.mean(audio**2)) == pytest.approx(0.3, rel=1e-5)


TEN_MINUTES = {"n_time_steps": 600 * 48_000, "sample_rate": 48_000}


def last_nonzero(audio):
    """Return the position of the last nonzero sample, in a form that XLA computes without storing the audio."""
    return jnp.max(jnp.where(audio != 0, np.arange(len(audio), dtype=np.int32), -1))


@pytest.mark.parametrize("name", ["impulse", "click_train"])
def test_the_last_onset_of_ten_minutes_is_exact_to_the_sample(name):
    """In float32, the distance of numbers near 600 s is 6.1e-5 s: 2.9 samples."""

    @jax.jit
    def last(key):
        audio, annotations = with_annotations(create("audio_type", name))(key, **TEN_MINUTES)
        return last_nonzero(audio), jnp.max(annotations["onset_samples"])

    positions, onsets = jax.tree.map(int, last(jax.random.key(3)))
    assert positions == onsets > 2**24


def test_a_note_late_in_ten_minutes_starts_and_ends_at_its_samples():
    @jax.jit
    def edges(key):
        note = create("audio_type", "adsr_note", onset_min=0.9, onset_max=0.95, held_max=0.6)
        _, annotations = with_annotations(note)(key, **TEN_MINUTES)
        envelope, position = annotations.pop("envelope"), np.arange(TEN_MINUTES["n_time_steps"], dtype=np.int32)
        onset, last = annotations["onset_samples"][0], last_nonzero(envelope)
        at = jnp.stack([onset, onset + 1, onset + 48])
        del annotations["f0"]
        return jnp.min(jnp.where(envelope > 0, position, np.int32(2**30))), last, envelope[at], annotations

    first, last, levels, one = jax.tree.map(np.asarray, edges(jax.random.key(0)))
    onset, end = one["onset_samples"][0], one["onset_samples"][0] + one["held_samples"]
    assert onset > 2**24
    assert first == onset + 1  # the envelope is 0 at the onset
    np.testing.assert_allclose(levels, np.array([0, 1, 48]) / (one["attack"] * 48_000), rtol=1e-6)
    assert last == np.ceil(end + np.float64(one["release"]) * 48_000) - 1


def test_bursts_late_in_ten_minutes_start_at_their_onsets():
    n_before_the_end = 2**18

    @jax.jit
    def end(key):
        bursts = create("audio_type", "noise_bursts", edge=0.0, rate_min=3.3, rate_max=3.3)
        audio, annotations = with_annotations(bursts)(key, **TEN_MINUTES)
        return audio[-n_before_the_end:], annotations

    audio, one = jax.tree.map(np.asarray, end(jax.random.key(0)))
    audible = one["onset_samples"] >= 0
    slots = (np.arange(audible.sum()) * (48_000 / np.float64(one["rate"]))).astype(int)
    assert (one["onset_samples"][audible] - slots).min() >= -1
    assert (one["onset_samples"][audible] - slots).max() <= 48_000 / 3.3
    positions = np.flatnonzero(audio) + TEN_MINUTES["n_time_steps"] - n_before_the_end
    starts = positions[1:][np.diff(positions) > 1]  # without the first, which may have begun earlier
    assert len(starts) > 10
    np.testing.assert_array_equal(starts, one["onset_samples"][audible][-len(starts) :])
    lengths = np.floor(one["durations"][audible][-len(starts) :] * np.float64(48_000)) + 1
    ends = positions[:-1][np.diff(positions) > 1] + 1
    np.testing.assert_allclose(ends[1:], (starts + lengths)[:-1], atol=1)


@pytest.mark.parametrize("step", [256.00003, 9600.3, 14_545.455, 480_000.03, 8_000_000.5])
def test_multiples_of_a_step_are_rounded_down_exactly(step):
    step, count = np.float32(step), int(min(2**23, (2**31 - 1) // step))
    found = np.asarray(jax.jit(floor_multiples, static_argnums=1)(step, count))
    np.testing.assert_array_equal(found, np.floor(np.arange(count) * np.float64(step)).astype(int))


def test_bursts_are_nonzero_from_their_onset_for_their_duration_only():
    audio, annotations = render("noise_bursts", n=2 * RATE, amplitude=0.3)
    times = np.arange(len(audio)) / RATE
    audible = annotations["onset_samples"] >= 0
    since = times - annotations["onset_samples"][audible, None] / RATE
    left = annotations["durations"][audible, None] - since
    margin = 2e-5
    assert not audio[((since < -margin) | (left < -margin)).all(axis=0)].any()
    assert audio[((since > 0.005) & (left > 0.005)).any(axis=0)].std() == pytest.approx(0.3, rel=0.06)
    assert audible.sum() in (np.floor(2 * annotations["rate"]), np.ceil(2 * annotations["rate"]))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("chirp", {"method": "log"}, "method must be one of"),
        ("chirp", {"method": "logarithmic", "f_min": 0.0}, "f_min must be above 0 Hz"),
        ("pulse", {"duty_max": 1.5}, "duty_max must be"),
        ("dc", {"amplitude_min": 0.5, "amplitude_max": 0.1}, "amplitude_min must be at most amplitude_max"),
        ("click_train", {"rate_max": 9000.0}, "rate_max must be"),
        ("noise_bursts", {"duration_max": 1.0}, "duration_max must be"),
        ("multi_tone", {"n_tones": 0}, "n_tones must be"),
        ("sine", {"f_min": np.int64(9000), "f_max": np.int64(9000)}, "f_max <= 8000.0 Hz"),
        *[(name, {"amplitude": -1.0}, "amplitude must be") for name in ("sine", "noise", "pink_noise", "chirp")],
        ("square", {"amplitude": np.nan}, "amplitude must be"),
        ("colored_noise", {"slope_db": 90.0}, "slope_db must be"),
        *[(name, {"f_max": 9000.0}, "f_max <= 8000.0 Hz") for name in ("square", "pulse", "band_limited_noise")],
    ],
)
def test_options_out_of_range_raise(name, options, message):
    with pytest.raises(ValueError, match=message):
        render(name, n=10, **options)
