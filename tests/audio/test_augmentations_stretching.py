"""Pitch shift and speed against closed forms and librosa."""

import warnings

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest

from artifex.generative_models.modalities.audio import pitch_shift, speed, time_stretch, with_annotations

RATE = 8000
LENGTH = 6000
KEYS = jax.random.split(jax.random.key(3), 12)
TIME = np.arange(LENGTH) / RATE


def tone(frequency):
    return np.sin(2 * np.pi * frequency * TIME).astype(np.float32)


def drawn(augmentation, audio, **options):
    """The augmented clip for each key, and the drawn parameter."""
    made, known = jax.jit(jax.vmap(lambda key: with_annotations(augmentation)(audio, key, **options)))(KEYS)
    (numbers,) = known.values()
    return np.asarray(made, np.float64), np.asarray(numbers, np.float64)


def pitch(audio):
    """The strongest frequency in Hz, between the bins by a parabola through the logarithms of three."""
    levels = np.log(np.abs(np.fft.rfft(audio * np.hanning(len(audio)))) + 1e-12)
    peak = int(np.argmax(levels[1:-1])) + 1
    below, middle, above = levels[peak - 1 : peak + 2]
    return (peak + 0.5 * (below - above) / (below - 2 * middle + above)) * RATE / len(audio)


@pytest.fixture(scope="module")
def shifted():
    audio = np.stack([tone(440), tone(3300), np.where((TIME > 0.25) & (TIME < 0.5), tone(880), 0)])
    return drawn(pitch_shift, audio, n_fft=512)


def test_a_tone_is_shifted_by_the_drawn_semitones(shifted):
    made, semitones = shifted
    found = [1200 * np.log2(pitch(row[1000:5000]) / 440) for row in made[:, 0]]
    np.testing.assert_allclose(found, 100 * semitones, atol=3)


def test_frequencies_above_half_the_sample_rate_are_removed(shifted):
    made, semitones = shifted
    gone = 3300 * 2 ** (semitones / 12) > RATE / 2
    levels = np.sqrt(np.mean(made[:, 1, 500:-500] ** 2, axis=-1))
    assert 0 < gone.sum() < 12
    assert levels[gone].max() < 1e-3
    assert levels[semitones < 0].min() > 0.6


def test_a_pitch_shift_keeps_the_time_of_an_event(shifted):
    made, _ = shifted
    heard = np.abs(made[:, 2]) > 0.4
    first, last = heard.argmax(axis=-1), LENGTH - 1 - heard[:, ::-1].argmax(axis=-1)
    # The time resolution of the vocoder is half a frame.
    np.testing.assert_allclose(first, 0.25 * RATE, atol=256)
    np.testing.assert_allclose(last, 0.5 * RATE, atol=256)


@pytest.mark.parametrize("semitones", [-3.0, 2.5])
def test_a_pitch_shift_equals_that_of_librosa(semitones):
    chord = (tone(220) + tone(550) + tone(1310)).astype(np.float64) / 3
    ours = pitch_shift(chord.astype(np.float32), KEYS[0], (semitones, semitones), n_fft=512)
    with warnings.catch_warnings():  # librosa 1.0 warns of its own internal calls
        warnings.simplefilter("ignore", FutureWarning)
        theirs = librosa.effects.pitch_shift(chord, sr=RATE, n_steps=semitones, n_fft=512, hop_length=128)
    # At the end librosa's versions differ among themselves.
    np.testing.assert_allclose(ours[500:-1000], theirs[500:-1000], atol=2e-3)


def test_a_shift_of_zero_semitones_returns_the_audio():
    audio = tone(700)
    np.testing.assert_allclose(pitch_shift(audio, KEYS[0], (0, 0), n_fft=512)[300:-300], audio[300:-300], atol=2e-4)


@pytest.fixture(scope="module")
def played():
    # 300 Hz fit the clip, so that its beginning continues it.
    return {tail: drawn(speed, np.stack([tone(300), tone(300)]), tail=tail) for tail in ("zeros", "wrap")}


@pytest.mark.parametrize("tail", ["zeros", "wrap"])
def test_speed_scales_the_frequency_of_a_sine(played, tail):
    made, speeds = played[tail]
    expected = np.sin(2 * np.pi * 300 * speeds[:, None] * TIME)
    assert 0.9 <= speeds.min() < 0.95
    assert 1.05 < speeds.max() <= 1.1
    for row, sine, number in zip(made, expected, speeds, strict=True):
        end = min(LENGTH, int(LENGTH / number)) - 100 if tail == "zeros" else LENGTH
        np.testing.assert_allclose(row[:, 100:end], np.broadcast_to(sine[100:end], (2, end - 100)), atol=2e-4)


def test_a_faster_clip_ends_in_silence_with_zeros(played):
    made, speeds = played["zeros"]
    for row, number in zip(made, speeds, strict=True):
        assert not row[:, int(np.ceil(LENGTH / number)) :].any()


@pytest.mark.parametrize(
    ("function", "options", "error", "match"),
    [
        (pitch_shift, {"semitones_range": (-25, 0)}, ValueError, r"semitones_range\[0\] must be .* -24"),
        (
            pitch_shift,
            {"semitones_range": (1, -1)},
            ValueError,
            "semitones_range must be .min, max. with min <= max, got .1, -1.",
        ),
        (pitch_shift, {"semitones_range": jnp.ones(2)}, TypeError, "semitones_range must be Python numbers"),
        (pitch_shift, {"n_fft": 2}, ValueError, "n_fft must be an integer of at least 4 samples"),
        (speed, {"speed_range": (0, 1)}, ValueError, r"speed_range\[0\] must be a finite number above 0"),
        (speed, {"speed_range": (jnp.ones(()), 2)}, TypeError, "speed_range must be Python numbers"),
        (speed, {"tail": "zero"}, ValueError, "tail must be one of 'wrap', 'zeros'"),
    ],
)
def test_options_out_of_range_raise(function, options, error, match):
    with pytest.raises(error, match=match):
        function(jnp.ones(100), KEYS[0], **options)


@pytest.mark.parametrize("semitones", [-4.0, 1.0, 4.0])
def test_the_end_of_a_shifted_tone_is_as_loud_as_its_middle(semitones):
    tone = jnp.sin(2 * jnp.pi * 500 * jnp.arange(8000.0) / 16000)  # whole periods, so that its beginning continues it
    shifted = np.asarray(pitch_shift(tone, jax.random.key(0), (semitones, semitones)))
    middle, end = (np.sqrt(np.mean(np.square(part))) for part in (shifted[3000:5000], shifted[-160:]))
    assert abs(20 * np.log10(end / middle)) < 1


@pytest.mark.parametrize("rate", [0.8, 0.93, 1.2])
def test_a_stretch_has_the_level_and_tempo_of_librosa(rate):
    time = np.arange(8000) / 16000
    chord = sum(np.sin(2 * np.pi * hz * time) for hz in (220, 550, 1310)) / 3
    beating = chord * (0.6 + 0.4 * np.sin(2 * np.pi * 6 * time))
    ours = time_stretch(beating.astype(np.float32), jax.random.key(0), (rate, rate), tail="zeros")
    with warnings.catch_warnings():  # as above
        warnings.simplefilter("ignore", FutureWarning)
        theirs = librosa.effects.time_stretch(beating, rate=rate, n_fft=1024)
    end = min(len(ours), len(theirs)) - 1000
    np.testing.assert_allclose(ours[500:end], theirs[500:end], atol=2e-3)


def test_speed_removes_aliases_and_keeps_the_passband():
    time = np.arange(6000)
    for cycles, level, error in ((0.48, 0.0, 1e-4), (0.35, 1.0, 1e-3)):
        sine = np.sin(2 * np.pi * cycles * time).astype(np.float32)
        faster = speed(sine, jax.random.key(0), (1.1, 1.1))
        expected = level * np.sin(2 * np.pi * cycles * 1.1 * time)
        np.testing.assert_allclose(faster[200:5000], expected[200:5000], atol=error)


def test_a_pitch_shift_with_zeros_ends_in_silence():
    beep = np.zeros(8000, np.float32)
    beep[:1600] = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(1600) / 16000)
    for semitones in (-4.0, 0.05, 4.0):
        shifted = pitch_shift(beep, jax.random.key(0), (semitones, semitones), tail="zeros")
        assert np.abs(shifted[-1000:]).max() < 1e-4
