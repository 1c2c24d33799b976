import importlib.util
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from artifex.generative_models.core.testing import Subject, check_function, signals
from artifex.generative_models.modalities.audio import convert_sample_rate, resample_audio, resample_by
from artifex.generative_models.modalities.audio.preprocessing import resampling

_FILE = Path(__file__).parent / "references" / "make_resample_torchaudio.py"
_SPEC = importlib.util.spec_from_file_location(_FILE.stem, _FILE)
assert _SPEC is not None
assert _SPEC.loader is not None
references = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(references)

# The last three have no short common period.
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
    """Drop the samples that the silence before and after the clip affects."""
    edge = len(audio) // 5
    return audio[edge:-edge]


@pytest.mark.parametrize(("orig", "target"), RATES)
def test_a_tone_becomes_the_same_tone_at_the_new_rate(orig, target):
    fractions = np.array([0.02, 0.3, 0.7, 0.85])
    frequencies = fractions * min(orig, target) / 2
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
def test_aliases_are_attenuated_by_90_db(orig, target, frequency):
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
    positions = np.array([1, 2, 3]) * period
    while positions[0] < 500:
        positions = positions * 2
    audio = np.zeros(positions[-1] + 500, np.float32)
    audio[positions] = 1
    resampled = np.asarray(resample_audio(audio, orig, target))
    expected = positions * target // orig
    peaks = [np.argmax(resampled[position - 50 : position + 50]) + position - 50 for position in expected]
    assert peaks == expected.tolist()
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
def test_half_precision_is_computed_in_float32(orig, target, dtype):
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
def test_waveforms_of_a_batch_are_independent(orig, target):
    audio = np.random.default_rng(0).normal(size=(3, 300)).astype(np.float32)
    resampled = resample_audio(audio, orig, target)
    invalid = audio.copy()
    invalid[1, 100] = np.nan
    np.testing.assert_array_equal(
        resample_audio(invalid, orig, target)[jnp.array([0, 2])], resampled[jnp.array([0, 2])]
    )

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


@pytest.mark.thorough
@pytest.mark.parametrize(("orig", "target"), [(16001, 16000), (44100, 16001), (48000, 47999), (192000, 16001)])
def test_ratios_with_large_terms_take_little_memory_forward_and_backward(orig, target):
    audio = jax.ShapeDtypeStruct((2, orig), jnp.float32)

    def energy(a):
        return jnp.sum(resample_audio(a, orig, target) ** 2)

    for function in (lambda a: resample_audio(a, orig, target), jax.grad(energy)):
        used = jax.jit(function).lower(audio).compile().memory_analysis().temp_size_in_bytes
        # A table of every phase by its taps would take 9 to 104 MB, one of target by orig 1 GB and more.
        assert used < 6e6 + 12 * 4 * 2 * max(orig, target)


@pytest.mark.parametrize(("orig", "target"), [(0, 16000), (16000, 0), (-8000, 16000), (16000, -1)])
def test_a_rate_below_one_raises(orig, target):
    with pytest.raises(ValueError, match="_sr must be an integer of at least 1 Hz, got"):
        resample_audio(np.ones(10), orig, target)


@pytest.mark.parametrize("rate", [16000.0, "16000", True])
def test_a_rate_that_is_not_an_integer_raises(rate):
    with pytest.raises(TypeError, match="target_sr must be an integer of at least 1 Hz, got"):
        resample_audio(np.ones(10), 8000, rate)


@pytest.mark.parametrize(("audio", "match"), [(np.zeros((2, 0)), r"shape \(2, 0\)"), (1.0, "a scalar")])
def test_an_empty_clip_raises(audio, match):
    with pytest.raises(ValueError, match=f"resample_audio takes waveforms .* got {match}"):
        resample_audio(audio, 16000, 8000)


def test_both_names_give_the_same_result():
    audio = np.random.default_rng(0).normal(size=(2, 100)).astype(np.float32)
    np.testing.assert_array_equal(convert_sample_rate(audio, 44100, 16000), resample_audio(audio, 44100, 16000))


@pytest.mark.parametrize(("orig", "target"), references.RATES)
def test_results_equal_torchaudio_with_the_same_parameters(orig, target):
    audio = references.clip(orig).astype(np.float32)
    options = {name: {"quality": name} for name in references.PARAMETERS} | {"own": references.PARAMETERS["own"]}
    with np.load(references.STORED) as stored:
        for name, parameters in options.items():
            resampled = resample_audio(audio, orig, target, **parameters)
            np.testing.assert_allclose(resampled, stored[f"{orig} {target} {name}"], atol=1e-6, rtol=0, err_msg=name)


def test_a_parameter_overrides_that_of_the_preset():
    audio = references.clip(1).astype(np.float32)
    best = references.PARAMETERS["kaiser_best"]
    full = resample_audio(audio, 3, 2, quality="kaiser_best")
    overridden = resample_audio(audio, 3, 2, quality="hann", **{name: best[name] for name in best if name != "beta"})
    np.testing.assert_array_equal(overridden, full)
    assert np.abs(resample_audio(audio, 3, 2, rolloff=0.5) - full).max() > 0.1
    np.testing.assert_array_equal(
        convert_sample_rate(audio, 3, 2, quality="hann"), resample_audio(audio, 3, 2, quality="hann")
    )


def test_the_soxr_hq_preset_has_the_response_of_soxr_hq():
    soxr = pytest.importorskip("soxr")
    fractions = np.array([0.5, 0.85, 0.9, 0.93, 0.95, 1.0, 1.02, 1.3, 2.0])
    audio = np.stack([tone(fraction * 8000, 44100, 8000) for fraction in fractions]).astype(np.float32)
    ours = np.asarray(resample_audio(audio, 44100, 16000, quality="soxr_hq"), np.float64)
    theirs = soxr.resample(audio.T.astype(np.float64), 44100, 16000, quality="HQ").T
    levels = np.array([[20 * np.log10(np.std(inner(row))) for row in rows] for rows in (ours, theirs)])
    np.testing.assert_allclose(levels[0, :5], levels[1, :5], atol=0.3)
    assert levels[:, 5:].max() < -115


@pytest.mark.parametrize("duration", [1, pytest.param(4, marks=pytest.mark.thorough)])
def test_chunks_do_not_change_the_result(duration, monkeypatch):
    monkeypatch.setattr(resampling, "CHUNK_SAMPLES", 2500)
    monkeypatch.setattr(resampling, "GATHER_CHUNK_SAMPLES", 2500)
    monkeypatch.setattr(resampling, "on_one_device", lambda array: True)
    audio = np.random.default_rng(0).normal(size=(2, 5, duration * 1100)).astype(np.float32)

    def one(row):
        return resample_audio(row, 4, 3, quality="hann")

    in_chunks = jax.jit(jax.vmap(jax.vmap(one)))(audio)
    np.testing.assert_allclose(one(audio), in_chunks, atol=1e-6)
    slopes = jax.vmap(jax.grad(lambda row: jnp.sum(one(row) ** 2)))(audio[0])
    ratios = jnp.linspace(0.5, 2, 5)
    resampled = jax.jit(jax.vmap(resample_by))(audio[0], ratios)
    monkeypatch.undo()
    np.testing.assert_allclose(in_chunks, jax.jit(one)(audio), atol=1e-6)
    np.testing.assert_allclose(slopes, jax.jit(jax.grad(lambda row: jnp.sum(one(row) ** 2)))(audio[0]), atol=1e-5)
    np.testing.assert_allclose(resampled, jax.jit(resample_by)(audio[0], ratios), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"quality": "best"}, "quality must be one of 'kaiser_best'"),
        ({"lowpass_filter_width": 0}, "lowpass_filter_width must be an integer of at least 1"),
        ({"rolloff": 1.1}, "rolloff must be"),
        ({"resampling_method": "hann"}, "resampling_method must be one of 'sinc_interp_hann'"),
        ({"beta": -1.0}, "beta must be"),
        ({"quality": "hann", "beta": 3.0}, "Hann window has no beta, got beta=3.0"),
    ],
)
def test_invalid_filter_parameters_raise(options, match):
    with pytest.raises(ValueError, match=match):
        resample_audio(np.ones(10), 2, 1, **options)


RATIOS = np.array([0.5, 0.77, 0.999, 1.0, 1.37, 2.0], np.float32)


@pytest.fixture(scope="module")
def resample_rows():
    return jax.jit(jax.vmap(jax.vmap(resample_by, (0, None)), (0, 0)))


def test_a_traced_ratio_interpolates_sines_accurately(resample_rows):
    time = np.arange(3000)
    frequencies = np.array([0.004, 0.2, 0.5, 0.79]) * np.minimum(0.5, 0.5 / RATIOS)[:, None]
    audio = np.sin(2 * np.pi * frequencies[..., None] * time)
    resampled = np.asarray(resample_rows(audio.astype(np.float32), RATIOS), np.float64)
    position = RATIOS.astype(np.float64)[:, None] * time
    expected = np.sin(2 * np.pi * frequencies[..., None] * position[:, None])
    inside = ((position > 140) & (position < len(time) - 140))[:, None]
    assert np.abs(np.where(inside, resampled - expected, 0)).max() < 1e-4
    assert not resampled[np.broadcast_to((position >= len(time))[:, None], resampled.shape)].any()


def test_aliases_of_a_traced_ratio_are_attenuated_by_80_db(resample_rows):
    time = np.arange(3000)
    fractions = np.array([1.003, 1.05, 1.3, 1.9])
    frequencies = np.minimum(fractions * 0.5 / RATIOS[:, None], 0.4999)
    folded = frequencies * RATIOS[:, None] > 0.5
    audio = np.sin(2 * np.pi * frequencies[..., None] * time)
    resampled = np.asarray(resample_rows(audio.astype(np.float32), RATIOS))
    inside = ((RATIOS[:, None] * time > 140) & (RATIOS[:, None] * time < len(time) - 140))[:, None]
    assert folded.sum() == 8
    assert decibels(np.where(inside & folded[..., None], resampled, 0)) < -80


def test_late_positions_are_accurate():
    time = np.arange(2**18)
    ratio = np.float32(0.7123456)
    resampled = np.asarray(resample_by(np.sin(2 * np.pi * 0.21 * time).astype(np.float32), ratio), np.float64)
    assert np.abs(resampled - np.sin(2 * np.pi * 0.21 * float(ratio) * time))[200:].max() < 1e-4


def test_positions_beyond_two_million_are_accurate():
    audio = np.zeros(4_000_000, np.float32)
    steps = np.array([100, 2_000_000, 3_100_000, 3_999_000])
    audio[steps] = 1
    ratio = np.float32(0.9)
    resampled = np.asarray(resample_by(audio, ratio, length=4_444_000))
    peaks = np.flatnonzero(resampled > 0.5)
    assert np.abs(peaks[:, None] * np.float64(ratio) - steps).min(axis=0).max() < 0.5
    assert len(peaks) <= 2 * len(steps)


def test_the_output_length_is_an_option():
    audio = np.random.default_rng(0).normal(size=(2, 500)).astype(np.float32)
    full = np.asarray(resample_by(audio, 0.8))
    assert full.shape == (2, 500)
    longer = np.asarray(resample_by(audio, np.array([0.8, 1.3]), length=700))
    np.testing.assert_allclose(longer[0, :500], full[0], atol=1e-6)
    assert longer[1, 384] != 0  # at sample 499.2
    assert not longer[1, 385:].any()
    np.testing.assert_allclose(resample_by(audio, 0.8, length=9), full[:, :9], atol=1e-6)


def test_resample_by_follows_the_rules_for_array_code():
    report = check_function(
        "resample_by", Subject(function=lambda a: resample_by(a, 1.3), example=signals, batched=True)
    )
    assert report.passed, str(report)


@pytest.mark.parametrize(
    ("ratio", "options", "match"),
    [
        (0.0, {}, "ratio must be"),
        (2.5, {}, "ratio must be"),
        (1.0, {"max_ratio": 0.9}, "max_ratio must be"),
        (1.0, {"half_width": 7}, "half_width must be an integer of at least 8"),
        (1.0, {"length": 0}, "length must be an integer of at least 1 sample"),
    ],
)
def test_invalid_arguments_of_resample_by_raise(ratio, options, match):
    with pytest.raises(ValueError, match=match):
        resample_by(np.ones(10), ratio, **options)
