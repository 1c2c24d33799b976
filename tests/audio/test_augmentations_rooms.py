import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal, stats

from artifex.generative_models.modalities.audio import with_annotations
from artifex.generative_models.modalities.audio.augmentations import impulse_response, room, room_impulse_response
from artifex.generative_models.modalities.audio.augmentations.banks import default_responses

DRAWS = np.random.default_rng(0)
CLIP = DRAWS.standard_normal(500).astype(np.float32)
BANK = (DRAWS.standard_normal((5, 90)) * np.exp(-np.arange(90) / 15)).astype(np.float32)
BANK[np.arange(5), [0, 3, 7, 20, 40]] = 4.0  # the direct sound
SPEED = 343.0
RATE = 16000


def rms(audio):
    return np.sqrt(np.mean(np.square(np.asarray(audio, np.float64)), axis=-1))


def many(augmentation, audio, count, **options):
    told = with_annotations(augmentation)
    keys = jax.random.split(jax.random.key(0), count)
    changed, drawn = jax.jit(jax.vmap(lambda key: told(jnp.asarray(audio), key, **options)))(keys)
    return np.asarray(changed, np.float64), {name: np.asarray(value) for name, value in drawn.items()}


@pytest.mark.parametrize(("compensate", "first"), [(False, [0] * 5), (True, [0, 3, 7, 20, 40])])
def test_a_clip_is_convolved_with_the_drawn_response(compensate, first):
    wet, drawn = many(impulse_response, CLIP, 12, bank=BANK, keep=None, compensate_delay=compensate)
    assert len(set(drawn["index"].tolist())) >= 4
    for row, index in zip(wet, drawn["index"], strict=True):
        whole = signal.fftconvolve(CLIP.astype(np.float64), BANK[index].astype(np.float64))
        np.testing.assert_allclose(row, whole[first[index] :][:500], atol=2e-5)


def test_keep_restores_the_rms_or_the_peak():
    stereo = np.stack([CLIP, 0.1 * CLIP])
    free, _ = many(impulse_response, stereo, 4, bank=BANK, keep=None)
    assert np.ptp(rms(free.reshape(4, -1))) > 0.1
    for keep, level in (("rms", rms), ("peak", lambda audio: np.abs(audio).max(-1))):
        kept, _ = many(impulse_response, stereo, 4, bank=BANK, keep=keep)
        np.testing.assert_allclose(level(kept.reshape(4, -1)), level(stereo.reshape(-1)), rtol=1e-5)
        gain = level(stereo.reshape(-1)) / level(free.reshape(4, -1))
        np.testing.assert_allclose(kept, gain[:, None, None] * free, atol=1e-5)


def test_channels_of_a_bank_go_to_the_channels_of_the_clip():
    bank = np.stack([BANK[:2], BANK[2:4]])
    wet, drawn = many(impulse_response, np.stack([CLIP, CLIP]), 3, bank=bank, keep=None)
    for row, index in zip(wet, drawn["index"], strict=True):
        for channel, response in zip(row, bank[index], strict=True):
            np.testing.assert_allclose(channel, np.convolve(CLIP, response)[:500], atol=2e-5)


def test_responses_are_uniform():
    _, drawn = many(impulse_response, CLIP[:2], 2000, bank=BANK)
    assert stats.chisquare(np.bincount(drawn["index"], minlength=5)).pvalue > 1e-3


def test_silence_stays_silent_and_late_responses_are_not_amplified():
    key = jax.random.key(0)
    np.testing.assert_array_equal(impulse_response(jnp.zeros(200), key, sample_rate=RATE), np.zeros(200))
    late = np.zeros((1, 50))
    late[0, 20] = 1e-3
    for keep in ("rms", "peak"):
        assert np.abs(impulse_response(jnp.ones(10), key, bank=late, keep=keep)).max() < 1e-3


def test_default_responses_have_the_documented_reverberation_times():
    responses = default_responses(16000).astype(np.float64)
    assert (np.abs(responses).argmax(-1) == 0).all()
    times = [reverberation_time(response, 16000) for response in responses[:, 1:]]
    np.testing.assert_allclose(times, np.linspace(0.1, 0.4, 8), rtol=0.1)
    above = 10 * np.log10(responses[:, 0] ** 2 / np.sum(responses[:, 1:] ** 2, -1))
    np.testing.assert_allclose(above, np.linspace(10, 0, 8), atol=1e-3)


def reverberation_time(response, rate):
    """Schroeder's backward integration, -5 to -25 dB, times three."""
    left = np.cumsum(np.square(response[::-1]))[::-1]
    decay = 10 * np.log10(np.maximum(left / left[0], 1e-12))
    fit = (decay <= -5) & (decay >= -25)
    return -60 / np.polyfit(np.flatnonzero(fit) / rate, decay[fit], 1)[0]


SIZE, SOURCE, MICROPHONE = np.array([4.3, 3.7, 2.6]), np.array([1.13, 2.41, 1.02]), np.array([3.29, 0.87, 1.71])
WALLS = np.array([0.1, 0.3, 0.2, 0.45, 0.6, 0.05])


def mirrored(order):
    """Images of the source and their gains, by mirroring at one wall after another."""
    found = {tuple(SOURCE.round(9)): 1.0}
    latest = dict(found)
    for _ in range(order):
        made = {}
        for place, gain in latest.items():
            for wall in range(6):
                axis, end = divmod(wall, 2)
                image = list(place)
                image[axis] = round(2 * end * SIZE[axis] - place[axis], 9)
                made.setdefault(tuple(image), gain * np.sqrt(1 - WALLS[wall]))
        latest = {place: gain for place, gain in made.items() if place not in found}
        found |= latest
    return np.array(list(found)), np.array(list(found.values()))


@pytest.mark.parametrize(("order", "paths"), [(2, 25), (5, 231)])
def test_each_path_has_the_delay_and_gain_of_its_mirror_image(order, paths):
    images, gains = mirrored(order)
    assert len(images) == paths
    away = np.linalg.norm(images - MICROPHONE, axis=1)
    late = np.arange(1200)[:, None] - away / SPEED * 16000
    window = np.where(np.abs(late) < 40, np.cos(np.pi * late / 80) ** 2, 0)
    expected = (np.sinc(late) * window) @ (gains / away)
    place = SIZE, SOURCE, MICROPHONE, WALLS
    response = room_impulse_response(*place, sample_rate=16000, n_taps=1200, order=order)
    np.testing.assert_allclose(response, expected, atol=2e-4)
    assert np.abs(expected).max() > 0.3


def test_a_room_without_echoes_is_its_direct_sound():
    absorbing = room_impulse_response(SIZE, SOURCE, MICROPHONE, 1.0, sample_rate=16000, n_taps=1200, order=5)
    direct = room_impulse_response(SIZE, SOURCE, MICROPHONE, 0.3, sample_rate=16000, n_taps=1200, order=0)
    np.testing.assert_allclose(absorbing, direct, atol=1e-6)


@pytest.mark.parametrize("absorption", [0.3, 0.45])
def test_reverberation_times_follow_eyring(absorption):
    # Above 500 Hz, in a room with walls of about one size, where a sound field is near to diffuse; within 15 %.
    size = np.array([4.0, 4.2, 3.8])
    response = room_impulse_response(
        size, [1.2, 1.1, 1.3], [3.1, 2.6, 1.9], absorption, sample_rate=8000, n_taps=2400, order=25
    )
    band = signal.butter(4, [500, 3000], "bandpass", fs=8000, output="sos")
    surface = 2 * (size[0] * size[1] + size[1] * size[2] + size[0] * size[2])
    eyring = 24 * np.log(10) / SPEED * size.prod() / (-surface * np.log(1 - absorption))
    found = reverberation_time(signal.sosfilt(band, np.asarray(response, np.float64)), 8000)
    assert abs(found / eyring - 1) < 0.15


def test_positions_and_walls_have_gradients():
    def energy(size, source, microphone, absorption):
        response = room_impulse_response(size, source, microphone, absorption, sample_rate=8000, n_taps=300, order=1)
        return jnp.sum(jnp.square(response))

    place = tuple(map(jnp.asarray, (SIZE, SOURCE, SOURCE, 1.0)))  # the source at the microphone, walls that take all
    for slope in jax.jit(jax.grad(energy, argnums=(0, 1, 2, 3)))(*place):
        assert np.isfinite(slope).all()


@pytest.fixture(scope="module")
def rooms():
    """One click in many rooms, heard as it comes, and what was drawn."""
    click = np.zeros(600, np.float32)
    click[0] = 1
    return many(room, click, 2000, order=1, keep=None, margin=0.2, sample_rate=RATE)


def test_a_room_applies_the_response_of_the_drawn_parameters(rooms):
    heard, drawn = rooms
    for row in range(3):
        size = [drawn[name][row] for name in ("width", "depth", "height")]
        place = size, drawn["source"][row], drawn["microphone"][row], drawn["absorption"][row]
        response = room_impulse_response(*place, sample_rate=16000, n_taps=600, order=1)
        expected = signal.sosfilt(signal.butter(2, 50, "highpass", fs=16000, output="sos"), response)
        np.testing.assert_allclose(heard[row], expected, atol=2e-5)


def test_positions_are_uniform_in_the_room(rooms):
    drawn = rooms[1]
    size = np.stack([drawn[name] for name in ("width", "depth", "height")], axis=-1).astype(np.float64)
    places = [(drawn[name] - 0.2) / (size - 0.4) for name in ("source", "microphone")]
    columns = np.concatenate([*places, size, drawn["absorption"][:, None]], axis=1).T
    for column in columns[:6]:
        assert stats.kstest(column, "uniform").pvalue > 1e-3
    assert np.abs(np.corrcoef(columns)[np.triu_indices(10, 1)]).max() < 4 / np.sqrt(2000)


def test_compensate_delay_keeps_the_direct_sound_in_place():
    click = np.zeros(400, np.float32)
    click[100] = 1
    heard, drawn = many(room, click, 4, order=0, keep=None, compensate_delay=True, sample_rate=8000)
    away = np.linalg.norm(drawn["source"] - drawn["microphone"], axis=-1)
    expected = np.where(np.arange(400) == 100, 1 / away[:, None], 0)
    high_pass = signal.butter(2, 50, "highpass", fs=8000, output="sos")
    np.testing.assert_allclose(heard, signal.sosfilt(high_pass, expected), atol=2e-5)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda key: impulse_response(CLIP, key, bank=np.ones(9)), "takes a bank"),
        (lambda key: impulse_response(CLIP, key, keep="loud", sample_rate=RATE), "keep must be one of"),
        (lambda key: room(CLIP, key, absorption_range=(0.2, 1.1), sample_rate=RATE), "absorption_range"),
        (lambda key: room(CLIP, key, height_range=(0.0, 1.0), sample_rate=RATE), "above 0 meters"),
        (
            lambda key: room(CLIP, key, margin=1.2, sample_rate=RATE),
            "margin must be below half the minimum height, 1.2 meters",
        ),
        (lambda key: room(CLIP, key, order=-1, sample_rate=RATE), "order must be"),
    ],
)
def test_an_invalid_option_raises(call, told):
    with pytest.raises(ValueError, match=told):
        call(jax.random.key(0))


@pytest.mark.parametrize(
    ("place", "error", "told"),
    [
        ((SIZE[:2], SOURCE, MICROPHONE, 0.3), ValueError, "size must be three numbers"),
        ((SIZE, SIZE + 1, MICROPHONE, 0.3), ValueError, "source must be inside the room"),
        ((SIZE, SOURCE, -MICROPHONE, 0.3), ValueError, "microphone must be finite numbers from 0"),
        ((0 * SIZE, SOURCE, MICROPHONE, 0.3), ValueError, "size must be above 0 meters"),
        ((SIZE, SOURCE, MICROPHONE, WALLS[:4]), ValueError, "one for each of 6 walls"),
        ((SIZE, SOURCE, MICROPHONE, 1.2), ValueError, "from 0 to 1"),
        ((SIZE, SOURCE, MICROPHONE, "some"), TypeError, "absorption must be real numbers"),
    ],
)
def test_an_invalid_geometry_raises(place, error, told):
    with pytest.raises(error, match=told):
        room_impulse_response(*place, sample_rate=8000, n_taps=10, order=1)


def test_the_default_responses_need_a_sample_rate():
    with pytest.raises(TypeError, match="pass sample_rate"):
        impulse_response(CLIP, jax.random.key(0))


def test_the_length_of_a_response_can_be_given_in_seconds():
    options = {"sample_rate": 8000, "order": 1}
    in_samples = room_impulse_response(SIZE, SOURCE, MICROPHONE, 0.3, n_taps=200, **options)
    np.testing.assert_array_equal(
        room_impulse_response(SIZE, SOURCE, MICROPHONE, 0.3, duration=0.025, **options), in_samples
    )
    for both in ({}, {"n_taps": 200, "duration": 0.025}):
        with pytest.raises(TypeError, match="either n_taps or duration"):
            room_impulse_response(SIZE, SOURCE, MICROPHONE, 0.3, **options, **both)
