from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from artifex.generative_models.modalities.audio import integrated_loudness, loudness_normalize
from artifex.generative_models.modalities.audio.preprocessing.loudness import k_weighting

# ITU-R BS.1770-4, annex 1, tables 1 and 2.
SHELF = [1.53512485958697, -2.69169618940638, 1.19839281085285, 1, -1.69065929318241, 0.73248077421585]
HIGH_PASS = [1.0, -2.0, 1.0, 1, -1.99004745483398, 0.99007225036621]


def tone(seconds, dbfs, sample_rate, frequency=1000.0):
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    return 10 ** (dbfs / 20) * np.sin(2 * np.pi * frequency * time)


def mono_like_stereo(parts, sample_rate):
    """One channel as loud as two identical channels."""
    return np.sqrt(2) * np.concatenate([tone(seconds, dbfs, sample_rate) for seconds, dbfs in parts])


def reference(channels, sample_rate, weights):
    """The formulas of the standard, in float64."""
    weighted = scipy.signal.sosfilt(k_weighting(sample_rate).copy(), np.asarray(channels, np.float64))
    hop = round(sample_rate / 10)
    starts = range(0, max(weighted.shape[-1] - 4 * hop, 0) + 1, hop)
    powers = np.array([weights @ np.mean(weighted[:, i : i + 4 * hop] ** 2, axis=-1) for i in starts])

    def level(power):
        return -0.691 + 10 * np.log10(power)

    powers = powers[level(powers) > -70]
    return level(np.mean(powers[level(powers) > level(np.mean(powers)) - 10]))


def decibels(sections, frequency, sample_rate):
    return 20 * np.log10(np.abs(scipy.signal.sosfreqz(sections, frequency, fs=sample_rate)[1]))


def test_the_k_weighting_at_48_khz_is_that_of_the_standard():
    np.testing.assert_allclose(k_weighting(48000), [SHELF, HIGH_PASS], rtol=0, atol=1e-14)


@pytest.mark.parametrize("sample_rate", [16000, 22050, 24000, 32000, 44100, 96000, 192000])
def test_the_k_weighting_is_the_same_at_every_rate(sample_rate):
    frequency = np.geomspace(10, 0.4 * min(sample_rate, 48000) / 2, 500)
    ours = decibels(k_weighting(sample_rate), frequency, sample_rate)
    np.testing.assert_allclose(ours, decibels(np.array([SHELF, HIGH_PASS]), frequency, 48000), rtol=0, atol=0.1)


@pytest.mark.parametrize("dbfs", [-23.0, -33.0])
def test_a_stereo_tone_is_as_loud_as_its_level(dbfs):
    """EBU Tech 3341, cases 1 and 2, shorter."""
    stereo = np.stack([tone(2, dbfs, 48000)] * 2).astype(np.float32)
    assert float(integrated_loudness(stereo, sample_rate=48000, channel_axis=-2)) == pytest.approx(dbfs, abs=0.1)


def test_quiet_passages_are_gated():
    """EBU Tech 3341, cases 3, 4 and 5, at half their lengths; the silence after the shorter ones is gated too."""
    cases = [
        [(5, -36), (30, -23), (5, -36)],
        [(5, -72), (5, -36), (30, -23), (5, -36), (5, -72)],
        [(10, -26), (10.05, -20), (10, -26)],
    ]
    clips = np.zeros((len(cases), 55 * 16000), np.float32)
    for clip, parts in zip(clips, cases, strict=True):
        audio = mono_like_stereo(parts, 16000)
        clip[: len(audio)] = audio
    np.testing.assert_allclose(integrated_loudness(clips, sample_rate=16000), -23, atol=0.1)


@pytest.mark.parametrize("sample_rate", [4000, 8000, 11025, 12000])
def test_a_tone_is_as_loud_at_low_rates(sample_rate):
    stereo = np.stack([tone(2, -23.0, sample_rate)] * 2).astype(np.float32)
    assert float(integrated_loudness(stereo, sample_rate=sample_rate, channel_axis=-2)) == pytest.approx(-23, abs=0.03)
    assert float(integrated_loudness(tone(1, -20, sample_rate, 997.0), sample_rate=sample_rate)) == pytest.approx(
        -23.01, abs=0.02
    )


def test_surround_channels_are_weighted_by_1_41():
    """EBU Tech 3341, case 6, shorter."""
    channels = np.stack([tone(1, dbfs, 48000) for dbfs in (-28, -28, -24, -30, -30)]).astype(np.float32)
    assert float(integrated_loudness(channels, sample_rate=48000, channel_axis=0)) == pytest.approx(-23, abs=0.1)


def test_a_full_scale_sine_in_one_channel_is_3_lu_below_zero():
    assert float(integrated_loudness(tone(1, 0, 48000, 997.0), sample_rate=48000)) == pytest.approx(-3.01, abs=0.01)


@pytest.mark.parametrize(("sample_rate", "seconds"), [(8000, 3.37), (11025, 1.0), (44100, 0.4), (16000, 0.15)])
def test_loudness_equals_the_formulas_of_the_standard(sample_rate, seconds):
    draws = np.random.default_rng(0)
    steps = np.repeat(10.0 ** draws.uniform(-3, 0, 40), -(-round(seconds * sample_rate) // 40))
    audio = (draws.normal(size=(2, len(steps))) * steps).astype(np.float32)[:, : round(seconds * sample_rate)]
    together = float(integrated_loudness(audio, sample_rate=sample_rate, channel_axis=0))
    assert together == pytest.approx(reference(audio, sample_rate, np.ones(2)), abs=2e-3)


@pytest.fixture(scope="module")
def clips():
    """Noise, silence, NaN, a level below the gate, and silence with less than a block of noise, at 4 kHz."""
    noise = 0.1 * np.random.default_rng(0).normal(size=(5, 2500))
    noise[1] = 0
    noise[2, 100] = np.nan
    noise[3] *= 1e-4
    return noise.astype(np.float32)


def test_silence_is_at_the_gate_and_nan_gives_nan(clips):
    measured = np.asarray(integrated_loudness(clips, sample_rate=4000))
    assert measured[[1, 3]].tolist() == [-70, -70]
    assert np.isnan(measured).tolist() == [False, False, True, False, False]
    clips = clips[0].copy()
    clips[-1] = np.inf  # after the last complete block
    assert np.isnan(integrated_loudness(clips, sample_rate=4000))


def test_clips_are_normalized_to_their_targets(clips):
    targets = jnp.array([-23.0, -23, -23, -23, -16])
    normalized = np.asarray(jax.jit(partial(loudness_normalize, sample_rate=4000))(clips, targets))
    np.testing.assert_array_equal(normalized[[1, 3]], clips[[1, 3]])
    assert np.isnan(normalized[2]).all()
    np.testing.assert_allclose(
        integrated_loudness(normalized, sample_rate=4000)[np.array([0, 4])], [-23, -16], atol=1e-3
    )


def test_channels_have_a_common_gain(clips):
    stereo = clips[[0, 1, 0, 4]].reshape(2, 2, -1)
    normalized = np.asarray(loudness_normalize(stereo, -20.0, sample_rate=4000, channel_axis=1))
    np.testing.assert_allclose(integrated_loudness(normalized, sample_rate=4000, channel_axis=1), -20, atol=1e-3)
    assert not normalized[0, 1].any()
    ratio = normalized[1] / stereo[1]
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-4)
    swapped = loudness_normalize(stereo.swapaxes(0, 1), -20.0, sample_rate=4000, channel_axis=0)
    np.testing.assert_allclose(swapped, normalized.swapaxes(0, 1), rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "match"),
    [
        (
            (np.ones(9),),
            {"sample_rate": 3999},
            ValueError,
            "sample_rate must be an integer of at least 4000 Hz, got 3999",
        ),
        ((np.ones(9),), {"sample_rate": 16e3}, TypeError, "sample_rate must be an integer"),
        ((np.ones((6, 9)),), {"channel_axis": 0}, ValueError, "at most 5 channels .* without low-frequency effects"),
        ((np.ones((2, 9)),), {"channel_axis": -1}, ValueError, "other than the last, got shape .2, 9. and channel"),
        ((np.ones((2, 0)),), {}, ValueError, "at least one sample"),
        ((np.ones(9), 3.0), {}, ValueError, "target_lufs must be a finite number from -70.0 to 0 LUFS, got 3.0"),
        ((np.ones(9), "loud"), {}, TypeError, "target_lufs"),
    ],
)
def test_invalid_arguments_raise(arguments, options, error, match):
    with pytest.raises(error, match=match):
        loudness_normalize(*arguments, **{"sample_rate": 16000, **options})


@pytest.mark.parametrize(("level", "audible"), [(-69.7, True), (-70.3, False)])
def test_levels_below_the_absolute_gate_are_silence(level, audible):
    tone = 10 ** ((level + 3.01) / 20) * np.sin(2 * np.pi * 997 / 8000 * np.arange(8000))
    assert (float(integrated_loudness(tone.astype(np.float32), sample_rate=8000)) > -70) == audible
