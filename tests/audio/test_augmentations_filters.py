import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal, stats

from artifex.generative_models.core.components.factory import Bound
from artifex.generative_models.modalities.audio.annotations import drawn_parameters
from artifex.generative_models.modalities.audio.augmentations import (
    air_absorption,
    band_limit,
    band_pass,
    band_stop,
    drop_frequencies,
    high_pass,
    high_shelf,
    low_pass,
    low_shelf,
    parametric_eq,
    peaking,
    phase_corruption,
)

RATE = 16000
LENGTH = 2000
N = 2000
KEYS = jax.random.split(jax.random.key(0), N)
IN_HZ = [low_pass, high_pass, band_pass, band_stop, low_shelf, high_shelf, peaking]


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).normal(size=LENGTH).astype(np.float32)


def draw_many(augmentation, **options):
    """The drawn parameters for all keys."""
    if augmentation is not phase_corruption:
        options.setdefault("sample_rate", RATE)
    drawn = jax.vmap(lambda key: drawn_parameters(Bound(augmentation, **options), key, (LENGTH,)))(KEYS)
    return {name: np.asarray(value, np.float64) for name, value in drawn.items()}


def drawn_for(augmentation, audio, n_keys, **options):
    """The augmented clip and the drawn parameters, for some of the keys."""
    drawn = draw_many(augmentation, **options)
    if augmentation is not phase_corruption:
        options.setdefault("sample_rate", RATE)
    changed = np.stack([augmentation(audio, key, **options) for key in KEYS[:n_keys]])
    return changed, {name: values[:n_keys] for name, values in drawn.items()}


def response(augmentation, n_keys, **options):
    """The gains in dB of a symmetric filter at every Hz, and the drawn parameters, for many keys."""
    click = np.zeros(LENGTH, np.float32)
    click[LENGTH // 2] = 1
    changed, drawn = drawn_for(augmentation, click, n_keys, **options)
    gains = np.abs(np.fft.rfft(changed.astype(np.float64), RATE))
    return 20 * np.log10(np.maximum(gains, 1e-7)), drawn


def cookbook(kind, frequency, q, gain_db, rate=RATE):
    """A section of the Audio EQ Cookbook, by its formulas."""
    angle, root = 2 * np.pi * frequency / rate, 10 ** (gain_db / 40)
    cosine, alpha = np.cos(angle), np.sin(angle) / (2 * q)
    if kind == "peaking":
        b, a = [[1 + alpha * x, -2 * cosine, 1 - alpha * x] for x in (root, 1 / root)]
    else:
        sign = 1 if kind == "low_shelf" else -1
        more, less, bend = root + 1, sign * (root - 1), 2 * np.sqrt(root) * alpha
        b = [more - less * cosine + bend, 2 * (less - more * cosine), more - less * cosine - bend]
        a = [more + less * cosine + bend, -2 * (less + more * cosine), more + less * cosine - bend]
        b[1], a[1] = (b[1], a[1]) if sign == 1 else (-2 * (root - 1 + more * cosine), 2 * (root - 1 - more * cosine))
        b = [root * x for x in b]
    return np.array([*b, *a]) / a[0]


def expect(changed, sections, audio):
    expected = signal.sosfilt(sections, audio.astype(np.float64))
    np.testing.assert_allclose(changed, expected, atol=2e-4 * np.abs(expected).max(), rtol=0)


@pytest.mark.parametrize(("augmentation", "kind", "order"), [(low_pass, "lowpass", 2), (high_pass, "highpass", 4)])
def test_pass_filters_equal_scipy_butterworth_filters(augmentation, kind, order, noise):
    changed, drawn = drawn_for(augmentation, noise, 4, order=order)
    for row, frequency in zip(changed, drawn["frequency"], strict=True):
        expect(row, signal.butter(order, frequency, kind, fs=RATE, output="sos"), noise)


@pytest.mark.parametrize(
    ("augmentation", "kind", "order"),
    [(band_pass, "bandpass", 3), (band_stop, "bandstop", 2), (band_pass, "bandpass", 8)],
)
def test_band_filters_equal_scipy_butterworth_filters(augmentation, kind, order, noise):
    changed, drawn = drawn_for(augmentation, noise, 4, order=order)
    for row, center, width in zip(changed, drawn["frequency"], drawn["bandwidth_fraction"], strict=True):
        edges = center * (1 - width / 2), center * (1 + width / 2)
        expect(row, signal.butter(order, edges, kind, fs=RATE, output="sos"), noise)


@pytest.mark.parametrize(
    ("rate", "center", "width"), [(44100, 55.0, 0.2), (192000, 200.0, 0.5), (16000, 32.0, 0.1), (16000, 3500.0, 1.95)]
)
def test_low_narrow_and_wide_bands_keep_their_precision(rate, center, width, noise):
    edges = center * (1 - width / 2), min(center * (1 + width / 2), 0.99 * rate / 2)
    for order in (2, 8):
        for augmentation, kind in ((band_pass, "bandpass"), (band_stop, "bandstop")):
            options = {"order": order, "sample_rate": rate}
            changed = augmentation(noise, jax.random.key(0), (center, center), (width, width), **options)
            expect(changed, signal.butter(order, edges, kind, fs=rate, output="sos"), noise)


@pytest.mark.parametrize("augmentation", [low_shelf, high_shelf, peaking])
def test_shelves_and_peaks_equal_the_audio_eq_cookbook(augmentation, noise):
    changed, drawn = drawn_for(augmentation, noise, 6)
    for row, *known in zip(changed, drawn["frequency"], drawn["q"], drawn["gain_db"], strict=True):
        expect(row, cookbook(augmentation.__name__, *known)[None], noise)


def test_the_equalizer_is_two_shelves_and_peaks(noise):
    changed, drawn = drawn_for(parametric_eq, noise, 4, n_bands=3)
    kinds = ["low_shelf", "peaking", "high_shelf"]
    for row, frequency, gain_db, q, shelf_q in zip(changed, *drawn_in_order(drawn), strict=True):
        qualities = [shelf_q[0], q[0], shelf_q[1]]
        expect(row, [cookbook(*known) for known in zip(kinds, frequency, qualities, gain_db, strict=True)], noise)


def drawn_in_order(drawn):
    return [drawn[name] for name in ("frequency", "gain_db", "q", "shelf_q")]


def test_frequencies_of_the_equalizer_are_log_uniform_in_their_intervals():
    options = {"n_bands": 4, "f_min": 100.0, "f_max": 1600.0}
    drawn = draw_many(parametric_eq, **options)
    octave = np.log2(drawn["frequency"] / 100)
    for band in range(4):
        assert stats.kstest(octave[:, band] - band, "uniform").pvalue > 1e-3
    assert drawn["q"].shape == (N, 2)
    together = np.concatenate(drawn_in_order(drawn), axis=1)
    between = np.corrcoef(together.T)[np.triu_indices(together.shape[1], 1)]
    assert np.abs(between).max() < 4.5 / np.sqrt(N)


@pytest.mark.parametrize("augmentation", [low_pass, air_absorption, phase_corruption])
def test_channels_share_the_drawn_parameters(augmentation, noise):
    stereo = jnp.stack([noise, 2 * noise])
    options = {} if augmentation is phase_corruption else {"sample_rate": RATE}
    changed = augmentation(stereo, jax.random.key(0), **options)
    np.testing.assert_allclose(changed[1], 2 * changed[0], rtol=1e-4, atol=1e-5)


def test_band_limit_removes_frequencies_above_half_the_drawn_rate():
    gain_db, drawn = response(band_limit, 6)
    for row, rate in zip(gain_db, drawn["rate"], strict=True):
        assert np.abs(row[: int(rate / 2 - 140)]).max() < 0.05
        assert row[int(rate / 2) + 1 :].max() < -60


@pytest.mark.parametrize(("width", "limit"), [(400.0, None), (200.0, 500.0)])
def test_notches_remove_their_bands_only(width, limit):
    options = {"width": width} | ({} if limit is None else {"frequency_range": (0.0, limit)})
    gain_db, drawn = response(drop_frequencies, 8, **options)
    frequency = np.arange(RATE // 2 + 1)
    assert {1, 2, 3} == set(drawn["n_notches"])
    for row, n_notches, centers in zip(gain_db, drawn["n_notches"], drawn["frequency"], strict=True):
        away = np.abs(frequency - centers[: int(n_notches), None]).min(axis=0)
        assert row[away < 0.95 * width / 3].max() < -58
        # Edges of one band alone: the image of a band below 0 Hz is a band too.
        centers = np.concatenate([centers[: int(n_notches)], -centers[: int(n_notches)]])
        near = np.sort(np.abs(frequency - centers[:, None]), axis=0)
        edge = row[(np.abs(near[0] - width / 2) < 1) & (near[1] > width)]
        np.testing.assert_allclose(edge, -6, atol=0.6)
        kept = row[away > width / 2 + 1.05 * width / 6]
        assert np.abs(kept).max(initial=0) < 0.1


def test_number_and_frequencies_of_notches_are_uniform():
    drawn = draw_many(drop_frequencies, n_notches_range=(0, 3))
    counts = np.bincount(drawn["n_notches"].astype(int))
    assert len(counts) == 4
    assert stats.chisquare(counts).pvalue > 1e-3
    for centers in drawn["frequency"].T:
        assert stats.kstest(centers / 8000, "uniform").pvalue > 1e-3
    together = np.column_stack([drawn["n_notches"], drawn["frequency"]])
    assert np.abs(np.corrcoef(together.T)[np.triu_indices(4, 1)]).max() < 4 / np.sqrt(N)


# dB per kilometer at the octaves from 63 Hz to 8 kHz: ISO 9613-2 (1996), table 2.
ABSORPTION = {
    (10, 70): [0.1, 0.4, 1.0, 1.9, 3.7, 9.7, 32.8, 117],
    (20, 70): [0.1, 0.3, 1.1, 2.8, 5.0, 9.0, 22.9, 76.6],
    (30, 70): [0.1, 0.3, 1.0, 3.1, 7.4, 12.7, 23.1, 59.3],
    (15, 20): [0.3, 0.6, 1.2, 2.7, 8.2, 28.2, 88.8, 202],
    (15, 50): [0.1, 0.5, 1.2, 2.2, 4.2, 10.8, 36.2, 129],
    (15, 80): [0.1, 0.3, 1.1, 2.4, 4.1, 8.3, 23.7, 82.8],
}


def test_air_absorption_follows_iso_9613():
    click = jnp.zeros(400).at[200].set(1)
    options = {"sample_rate": 22050, "distance_range": (200.0, 200.0)}
    far = jax.jit(lambda air: air_absorption(click, jax.random.key(0), (air[0],) * 2, (air[1],) * 2, **options))
    octaves = 1000 * 10 ** (0.3 * np.arange(-4, 4))
    for air, per_kilometer in ABSORPTION.items():
        time = np.exp(-2j * np.pi * np.outer(octaves, np.arange(400)) / 22050)
        gain_db = 20 * np.log10(np.abs(time @ np.asarray(far(jnp.array(air, jnp.float32)), np.float64)))
        # The table is rounded to three digits or .1 dB.
        np.testing.assert_allclose(gain_db, -0.2 * np.array(per_kilometer), rtol=0.012, atol=0.05)


@pytest.mark.parametrize("length", [1, 2, 999])
def test_phase_corruption_keeps_magnitudes(length, noise):
    audio = noise[:length]
    corrupted = np.asarray(phase_corruption(audio, jax.random.key(0), (1.0, 1.0)), np.float64)
    before, after = (np.abs(np.fft.rfft(x)) for x in (audio.astype(np.float64), corrupted))
    np.testing.assert_allclose(after, before, atol=1e-5 * before.max())
    np.testing.assert_allclose(np.square(corrupted).sum(), np.square(audio, dtype=np.float64).sum(), rtol=1e-5)


def corrupted_clicks():
    """Clicks in the middle of a clip after phase corruption, and the strengths."""
    click = np.zeros(4096, np.float32)
    click[2048] = 1
    corrupted, drawn = drawn_for(phase_corruption, click, 20, n_fft=256)
    return corrupted.astype(np.float64), drawn["strength"]


def test_phase_offsets_are_uniform_and_strength_zero_changes_nothing(noise):
    corrupted, strength = corrupted_clicks()
    turns = np.angle(np.fft.rfft(np.roll(corrupted, 2048, axis=-1)))[:, 16:-16:16] / (2 * np.pi)
    assert stats.kstest((turns / strength[:, None]).ravel(), "uniform", (-0.5, 1)).pvalue > 1e-3
    np.testing.assert_allclose(phase_corruption(noise, jax.random.key(0), (0.0, 0.0)), noise, atol=1e-5)


def test_no_component_moves_by_more_than_strength_times_n_fft():
    away = np.abs(np.arange(4096) - 2048)
    for row, strength in zip(*corrupted_clicks(), strict=True):
        # A kernel of 256 frequencies joined by straight lines falls off as the square beyond its reach.
        assert np.square(row[away > 256 * (strength + 1)]).sum() < 0.01


@pytest.mark.parametrize("augmentation", [low_pass, band_stop, low_shelf, parametric_eq, band_limit, drop_frequencies])
def test_the_default_range_is_limited_at_a_lower_sample_rate(augmentation):
    known = draw_many(augmentation, sample_rate=2000)["rate" if augmentation is band_limit else "frequency"]
    assert known.max() <= (2000.001 if augmentation is band_limit else 1000)
    assert known.max() > 0.9 * (2000 if augmentation is band_limit else 980)


@pytest.mark.parametrize("augmentation", IN_HZ)
def test_a_range_above_half_the_sample_rate_raises(augmentation):
    with pytest.raises(ValueError, match=r"below 4000.0 Hz, half the sample rate of 8000 Hz, got 4000.0 Hz"):
        augmentation(jnp.ones(10), jax.random.key(0), (100.0, 4000.0), sample_rate=8000)


def test_traced_frequencies_are_limited_to_half_the_sample_rate(noise):
    change = jax.jit(lambda high: low_pass(noise, jax.random.key(0), (high, high), sample_rate=RATE))
    np.testing.assert_allclose(change(9000.0), change(8000.0))
    expect(change(1000.0), signal.butter(2, 1000, fs=RATE, output="sos"), noise)


@pytest.mark.parametrize(
    ("call", "error", "told"),
    [
        (lambda x, key: low_pass(x, key, order=3, sample_rate=RATE), ValueError, "order must be even, 2 to 8, got 3"),
        (
            lambda x, key: band_stop(x, key, order=9, sample_rate=RATE),
            ValueError,
            "order must be an integer from 1 to 8, got 9",
        ),
        (lambda x, key: high_pass(x, key, (0, 100.0), sample_rate=RATE), ValueError, "above 0 Hz, got 0"),
        (
            lambda x, key: band_pass(x, key, bandwidth_fraction_range=(0.5, 2.0), sample_rate=RATE),
            ValueError,
            "got 2.0",
        ),
        (
            lambda x, key: peaking(x, key, q_range=(0.0, 1.0), sample_rate=RATE),
            ValueError,
            "q_range.* above 0, got 0.0",
        ),
        (
            lambda x, key: parametric_eq(x, key, n_bands=2, sample_rate=RATE),
            ValueError,
            "n_bands must be an integer of at least 3",
        ),
        (
            lambda x, key: parametric_eq(x, key, f_max=9000.0, sample_rate=RATE),
            ValueError,
            "half the sample rate of 16000 Hz",
        ),
        (
            lambda x, key: band_limit(x, key, (8000.0, 20000.0), sample_rate=RATE),
            ValueError,
            "from 1000 to 16000 Hz, got 20000.0",
        ),
        (
            lambda x, key: drop_frequencies(x, key, (0.0, 9000.0), sample_rate=RATE),
            ValueError,
            "from 0 to 8000.0 Hz, got 9000.0",
        ),
        (
            lambda x, key: drop_frequencies(x, key, n_notches_range=(0.5, 2), sample_rate=RATE),
            TypeError,
            "an integer of at least 0",
        ),
        (
            lambda x, key: drop_frequencies(x, key, width=10.0, sample_rate=RATE),
            ValueError,
            "width must be .* got 10.0",
        ),
        (
            lambda x, key: air_absorption(x, key, humidity_range=(0, 50), sample_rate=RATE),
            ValueError,
            "from 10 to 100 percent, got 0",
        ),
        (lambda x, key: phase_corruption(x, key, (0.0, 2.0)), ValueError, "from 0 to 1, got 2.0"),
    ],
)
def test_an_option_out_of_range_raises(call, error, told):
    with pytest.raises(error, match=told):
        call(jnp.ones(10), jax.random.key(0))


def test_the_sample_rate_is_required_and_sets_the_cutoff():
    key, rate = jax.random.key(0), 44100
    tone = np.sin(2 * np.pi * 6000 / rate * np.arange(LENGTH)).astype(np.float32)
    with pytest.raises(TypeError, match="sample_rate"):
        low_pass(tone, key, (3000.0, 3000.0))
    filtered = low_pass(tone, key, (3000.0, 3000.0), sample_rate=rate)
    gain_db = 20 * np.log10(np.std(filtered[500:]) / np.std(tone[500:]))
    _, expected = signal.freqz_sos(signal.butter(2, 3000, fs=rate, output="sos"), [6000], fs=rate)
    assert abs(gain_db - 20 * np.log10(np.abs(expected[0]))) < 0.05
    assert abs(gain_db + 13.1) < 0.1


def test_a_traced_sample_rate_gives_the_same_filter(noise):
    key = jax.random.key(0)
    filters = [low_pass, band_pass, peaking, functools.partial(parametric_eq, n_bands=3), air_absorption]
    traced = jax.jit(lambda rate: [change(noise, key, sample_rate=rate) for change in filters])
    for rate in (16000, 11025):
        for filtered, change in zip(traced(rate), filters, strict=True):
            np.testing.assert_allclose(filtered, change(noise, key, sample_rate=rate), atol=2e-5)
