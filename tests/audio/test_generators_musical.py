"""Notes, chords, strings and digits, against closed forms, the string's own recursion, and Goertzel's algorithm."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from artifex.generative_models.core import create
from artifex.generative_models.modalities.audio.annotations import with_annotations
from artifex.generative_models.modalities.audio.generators.musical import DIGITS

RATE = 8000


@cache
def rendered(name, n, keys=1, rate=RATE, **options):
    """Waveforms and annotations for several keys, as NumPy arrays with a leading batch axis."""
    make = with_annotations(create("audio_type", name, **options))
    batch = jax.jit(jax.vmap(partial(make, n_time_steps=n, sample_rate=rate)))
    audio, annotations = jax.tree.map(np.asarray, batch(jax.random.split(jax.random.key(1), keys)))
    return audio.astype(np.float64), {key: value.astype(np.float64) for key, value in annotations.items()}


def stack(frequency, amplitudes, phases, t):
    order = np.arange(1, len(amplitudes) + 1)[:, None]
    return (amplitudes[:, None] * np.sin(2 * np.pi * (order * frequency * t + phases[:, None]))).sum(axis=0)


@pytest.mark.parametrize(("n", "keys"), [(2, 300), (60 * RATE, 1)])
def test_a_harmonic_stack_is_the_sum_of_its_sines_at_any_length(n, keys):
    audio, annotations = rendered("harmonic_stack", n, keys)
    frequency, amplitudes, phases = (annotations[name][0] for name in ("frequency", "amplitudes", "phases"))
    expected = stack(frequency, amplitudes, phases, np.arange(n) / RATE)
    np.testing.assert_allclose(audio[0], expected, atol=1e-5)


def test_harmonics_fall_by_the_slope_and_stop_below_nyquist():
    _, annotations = rendered("harmonic_stack", 2, 300)
    order = np.arange(1, 17)
    level = np.exp(-np.log(10) / 20 * annotations["rolloff_db"][:, None] * np.log2(order))
    level[annotations["frequency"][:, None] * order >= RATE / 2] = 0
    assert (level == 0).any()
    np.testing.assert_allclose(annotations["amplitudes"], 0.5 * level / level.sum(axis=-1, keepdims=True), atol=1e-6)


def test_the_envelope_of_a_note_goes_through_its_corners_and_multiplies_a_steady_tone():
    n = RATE
    audio, annotations = rendered("adsr_note", n, 100)
    t = np.arange(n) / RATE
    for row in range(4):
        one = {name: value[row] for name, value in annotations.items()}
        onset = one["onset_samples"][0] / RATE
        corners, end = np.cumsum([onset, one["attack"], one["decay"]]), onset + one["held_samples"] / RATE
        assert corners[-1] < end
        times = [0, *corners, end, end + one["release"]]
        envelope = np.interp(t, times, [0, 0, 1, one["sustain"], one["sustain"], 0])
        np.testing.assert_allclose(one["envelope"], envelope, atol=3e-5)
        np.testing.assert_array_equal(one["f0"] > 0, one["envelope"] > 0)
        levels = 10 ** (-9 / 20 * np.log2(np.arange(1, 9))) * (one["frequency"] * np.arange(1, 9) < RATE / 2)
        tone = stack(one["frequency"], 0.5 * levels / levels.sum(), one["phase"] * np.arange(1, 9), t)
        np.testing.assert_allclose(audio[row], one["envelope"] * tone, atol=1e-5)


def test_a_note_released_during_the_attack_falls_from_its_current_level():
    _, annotations = rendered("adsr_note", 800, held_max=0.5, attack_min=0.2, attack_max=0.2, onset_max=0.0)
    peak = annotations["held_samples"][0] / RATE / annotations["attack"][0]
    assert peak < 0.5
    np.testing.assert_allclose(annotations["envelope"].max(), peak, atol=1e-3)


def test_a_drawn_chord_has_the_intervals_of_its_quality():
    audio, annotations = rendered("chord", 400, keys=300)
    intervals = np.array([(0, 4, 7), (0, 3, 7), (0, 3, 6), (0, 4, 8)])[annotations["quality"].astype(int)]
    roots = annotations["notes"][:, :1]
    np.testing.assert_array_equal(annotations["notes"] - roots, intervals)
    np.testing.assert_allclose(annotations["frequencies"], 440 * 2 ** ((annotations["notes"] - 69) / 12), rtol=2e-6)
    np.testing.assert_allclose(annotations["stems"].sum(axis=1), audio, atol=1e-6)
    assert set(roots.ravel()) <= set(range(48, 73))
    for values, count in ((roots.ravel() - 48, 25), (annotations["quality"], 4)):
        assert scipy.stats.chisquare(np.bincount(values.astype(int), minlength=count)).pvalue > 1e-3


def test_given_notes_sound_at_their_frequencies():
    audio, annotations = rendered("chord", RATE, notes=(57, 60.5, 76), tuning=442.0, n_harmonics=1)
    expected = 442 * 2 ** ((np.array([57, 60.5, 76]) - 69) / 12)
    np.testing.assert_allclose(annotations["frequencies"][0], expected, rtol=1e-6)
    t = np.arange(RATE) / RATE
    sines = np.sin(2 * np.pi * (expected[:, None] * t + annotations["phases"][0][:, None])) / 6
    np.testing.assert_allclose(annotations["stems"][0], sines, atol=5e-4)
    assert "quality" not in annotations
    assert audio.shape == (1, RATE)


def test_a_string_satisfies_the_karplus_strong_recursion():
    delay, loss = 40, 10 ** (-3 / (200 * 1.0))
    f = RATE / (delay + 0.5)
    decay = decay_time(f, delay, loss)
    audio = rendered("karplus_strong", 4000, f_min=f, f_max=f, decay_min=decay, decay_max=decay)[0][0]
    string = audio[: delay + 1].copy()
    for n in range(delay + 1, 4000):
        string = np.append(string, loss * (string[n - delay] + string[n - delay - 1]) / 2)
    assert np.sqrt(np.mean((string - audio) ** 2)) < 0.01 * np.sqrt(np.mean(audio**2))


def decay_time(f, delay, loss):
    """60 dB decay time of the fundamental of the recursion in seconds, from its pole."""
    poles = np.roots([1, *[0] * (delay - 1), -loss / 2, -loss / 2])
    pole = poles[np.argmin(np.abs(poles - np.exp(2j * np.pi * f / RATE)))]
    return np.log(1e-3) / np.log(np.abs(pole)) / RATE


def test_a_string_is_in_tune_and_has_the_annotated_decay():
    audio, annotations = rendered("karplus_strong", 2 * RATE, keys=4, decay_min=1.0)
    n = np.arange(RATE)
    for sound, f, decay in zip(audio, annotations["frequency"], annotations["decay"], strict=True):
        tuned = np.exp(-2j * np.pi * f * n / RATE) * np.blackman(RATE)
        early, late = ((sound[start : start + RATE] * tuned).sum() for start in (0, RATE))
        drift = np.angle(late / early * np.exp(-2j * np.pi * f)) / (2 * np.pi)
        assert abs(1200 * np.log2(1 + drift / f)) < 0.5
        np.testing.assert_allclose(np.abs(late / early), 10 ** (-3 / decay), rtol=0.01)
    np.testing.assert_allclose(annotations["decays"][:, 0], annotations["decay"], rtol=1e-5)
    audible = annotations["decays"] > 0
    assert (np.diff(annotations["decays"], axis=-1)[audible[:, 1:]] <= 0).all()
    np.testing.assert_array_equal(audible, annotations["frequency"][:, None] * np.arange(1, 81) < RATE / 2)


def test_a_string_starts_with_noise_of_the_given_level():
    audio, _ = rendered("karplus_strong", 2, 300)
    np.testing.assert_allclose(audio[:, 0].std(), 0.2, rtol=0.15)
    assert scipy.stats.kstest(audio[:, 0] / 0.2, "norm").pvalue > 1e-3


def goertzel(sound, frequencies):
    n = np.arange(len(sound))
    return np.abs(np.exp(-2j * np.pi * np.outer(frequencies, n) / RATE) @ sound)


def test_digits_are_decoded_by_goertzels_algorithm_at_their_onsets():
    low, high = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
    audio, annotations = rendered("dtmf", RATE, keys=8)
    for sound, digits, onsets in zip(audio, annotations["digits"], annotations["onset_samples"], strict=True):
        for digit, start in zip(digits, onsets.astype(int), strict=True):
            piece = sound[start : start + 640]
            decoded = 4 * goertzel(piece, low).argmax() + goertzel(piece, high).argmax()
            assert decoded == digit
            assert np.abs(sound[start + 640 : start + 1120]).max(initial=0) == 0
    np.testing.assert_array_equal(np.diff(annotations["onset_samples"], axis=-1), round(0.14 * RATE))
    assert annotations["onset_samples"][:, -1].max() + 0.08 * RATE <= RATE


def test_given_digits_are_dialed_in_order_and_the_closed_form_holds_for_long_ones():
    audio, annotations = rendered("dtmf", 20 * RATE, digits="9#", tone=9.0, gap=1.0, twist_db=6.0)
    assert [DIGITS[int(code)] for code in annotations["digits"][0]] == ["9", "#"]
    np.testing.assert_array_equal(annotations["frequencies"][0], [[852, 1477], [941, 1477]])
    start, level = int(annotations["onset_samples"][0, 1]), 10 ** (6 / 20)
    t = np.arange(9 * RATE) / RATE
    low, high = (np.sin(2 * np.pi * (f * t + p)) for f, p in zip((941, 1477), annotations["phases"][0, 1], strict=True))
    inner = slice(100, -100)
    expected = 0.5 * (low + level * high) / (1 + level)
    np.testing.assert_allclose(audio[0, start : start + 9 * RATE][inner], expected[inner], atol=2e-5)


def test_digits_after_the_end_are_cut_off_and_have_no_onset():
    audio, annotations = rendered("dtmf", 2000, keys=300)
    np.testing.assert_array_equal(annotations["onset_samples"][0], [0, round(0.14 * RATE), -1, -1, -1])
    assert np.isfinite(audio).all()
    assert scipy.stats.chisquare(np.bincount(annotations["digits"].astype(int).ravel(), minlength=16)).pvalue > 1e-3


@pytest.mark.parametrize(
    ("name", "n", "keys", "ranges"),
    [
        ("harmonic_stack", 2, 300, {"frequency": (80, 800), "rolloff_db": (3, 12)}),
        (
            "adsr_note",
            RATE,
            100,
            {
                "frequency": (100, 1000),
                "onset_samples": (0, 0.2 * RATE),
                "attack": (0.005, 0.05),
                "decay": (0.05, 0.2),
                "sustain": (0.3, 0.9),
                "release": (0.05, 0.2),
                "phase": (0, 1),
            },
        ),
        ("karplus_strong", 2, 300, {"frequency": (80, 400), "decay": (0.5, 4)}),
    ],
)
def test_drawn_parameters_are_uniform_and_independent(name, n, keys, ranges):
    _, annotations = rendered(name, n, keys)
    fractions = [(annotations[drawn].ravel() - low) / (high - low) for drawn, (low, high) in ranges.items()]
    for fraction, drawn in zip(fractions, ranges, strict=True):
        assert scipy.stats.kstest(fraction, "uniform").pvalue > 1e-3, drawn
    assert np.abs(np.corrcoef(fractions) - np.eye(len(ranges))).max() < 4 / np.sqrt(keys)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("harmonic_stack", {"f_min": 300.0, "rolloff_min": 6.0, "amplitude": 0.5}),
        ("adsr_note", {"sustain_min": 0.3, "onset_max": 0.2, "attack_max": 0.05, "amplitude": 0.5}),
        ("chord", {"tuning": 440.0, "rolloff_db": 12.0, "amplitude": 0.5}),
        ("karplus_strong", {"f_min": 100.0, "decay_min": 0.01, "amplitude": 0.2}),
        ("dtmf", {"amplitude": 0.5, "twist_db": 0.0}),
    ],
)
def test_gradients_of_traced_options_are_finite_and_correct(name, options):
    fixed = {"n_harmonics": 6} if name == "karplus_strong" else {}  # all of them are well below half the sample rate
    make = partial(create("audio_type", name, **fixed), jax.random.key(3), n_time_steps=64, sample_rate=RATE)

    @jax.jit
    @jax.value_and_grad
    def energy(options):
        return jnp.sum(make(**options) ** 2 * jnp.arange(64.0) / 64)

    value, slopes = energy(options)
    assert all(np.isfinite(slope) for slope in slopes.values())
    first = next(iter(options))
    step = 1e-3 * options[first]
    above, below = (float(energy({**options, first: options[first] + sign * step})[0]) for sign in (1, -1))
    np.testing.assert_allclose(slopes[first], (above - below) / (2 * step), rtol=0.02, atol=2e-4)
    silent = energy({**options, "amplitude": 0.0})[1]
    assert all(np.isfinite(slope) for slope in silent.values())
    assert value > 0


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("harmonic_stack", {"n_harmonics": 0}, ValueError, "n_harmonics must be an integer"),
        ("harmonic_stack", {"f_max": 5000.0}, ValueError, "f_max <= 4000.0 Hz"),
        ("adsr_note", {"onset_max": 1.5}, ValueError, "onset_max must be a finite number from 0 to 1"),
        ("adsr_note", {"attack_min": 0.0}, ValueError, "attack_min must be a finite number above 0 seconds"),
        ("chord", {"qualities": ("major", "minor7")}, ValueError, "same number of notes"),
        ("chord", {"qualities": ("mayor",)}, ValueError, "major"),
        ("chord", {"notes": "C4"}, TypeError, "tuple of MIDI numbers"),
        ("chord", {"notes": (60, 120)}, ValueError, "highest note must be at most 4000.0 Hz"),
        ("chord", {"root_max": 40}, ValueError, "root_max must be an integer"),
        ("karplus_strong", {"f_min": 0.0}, ValueError, "f_min must be a finite number above 0 Hz"),
        ("dtmf", {"digits": "12x"}, ValueError, "0123456789"),
        ("dtmf", {"tone": 0.0}, ValueError, "tone must be a finite number above 0 seconds"),
    ],
)
def test_an_option_out_of_range_raises(name, options, error, message):
    with pytest.raises(error, match=message):
        create("audio_type", name, **options)(jax.random.key(0), n_time_steps=8, sample_rate=RATE)


def test_a_sample_rate_too_low_for_dtmf_raises():
    with pytest.raises(ValueError, match="at least 3266 Hz, got 3000"):
        create("audio_type", "dtmf")(jax.random.key(0), n_time_steps=8, sample_rate=3000)
