import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest
import scipy.signal

from artifex.generative_models.modalities.audio import frame, from_mid_side, mid_side, overlap_add, to_mono


@pytest.fixture(scope="module")
def stereo():
    return np.random.default_rng(0).normal(size=(3, 2, 50)).astype(np.float32)


def test_mono_is_the_mean_of_the_channels(stereo):
    np.testing.assert_allclose(to_mono(stereo[0]), librosa.to_mono(stereo[0]), rtol=1e-6)
    np.testing.assert_allclose(to_mono(stereo), stereo.mean(axis=1), rtol=1e-6)
    np.testing.assert_array_equal(to_mono(stereo.swapaxes(0, 1), 0), to_mono(stereo))
    assert to_mono(np.array([[32767, -32768], [32767, -32768]], np.int16)).tolist() == [32767 / 32768, -1]


def test_mid_side_is_half_the_sum_and_half_the_difference_and_is_inverted(stereo):
    encoded = mid_side(stereo)
    np.testing.assert_allclose(encoded[:, 0], to_mono(stereo), rtol=1e-6)
    np.testing.assert_allclose(encoded[:, 1], (stereo[:, 0] - stereo[:, 1]) / 2, rtol=1e-6)
    np.testing.assert_allclose(from_mid_side(encoded), stereo, rtol=0, atol=5e-7)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: to_mono(np.ones(5)), ValueError, r"shape \(5,\) and channel_axis=-2"),
        (lambda: to_mono(np.ones((2, 5)), 1), ValueError, "other than the last"),
        (lambda: to_mono(np.ones((2, 5)), -3), ValueError, "channel_axis=-3"),
        (lambda: to_mono(np.ones((0, 5))), ValueError, "at least one channel"),
        (lambda: to_mono(np.ones((2, 5)), 0.0), TypeError, "channel_axis must be an integer"),
        (lambda: mid_side(np.ones((3, 5))), ValueError, r"mid_side takes two channels, \(..., 2, time\), got"),
        (lambda: from_mid_side(np.ones(5)), ValueError, "from_mid_side takes two channels"),
        (lambda: frame(np.ones(5), 6, 1), ValueError, r"at least frame_length=6 samples, got shape \(5,\): pad"),
        (lambda: frame(np.ones(5), 0, 1), ValueError, "frame_length must be an integer of at least 1 sample, got 0"),
        (lambda: frame(np.ones(5), 2, 0), ValueError, "hop_length must be an integer of at least 1 sample, got 0"),
        (lambda: frame(np.ones(5), 2, 1.0), TypeError, "hop_length"),
        (lambda: overlap_add(np.ones(5), 1), ValueError, r"takes frames .* at least one, got shape \(5,\)"),
        (lambda: overlap_add(np.ones((0, 5)), 1), ValueError, r"got shape \(0, 5\)"),
        (lambda: overlap_add(np.ones((2, 5)), 0), ValueError, "hop_length must be"),
    ],
)
def test_invalid_arguments_raise(call, error, match):
    with pytest.raises(error, match=match):
        call()


FRAMINGS = [(8, 4), (7, 3), (5, 9), (40, 1)]


@pytest.mark.parametrize(("frame_length", "hop_length"), FRAMINGS)
def test_frames_equal_librosa(frame_length, hop_length, stereo):
    expected = librosa.util.frame(stereo, frame_length=frame_length, hop_length=hop_length).swapaxes(-1, -2)
    np.testing.assert_array_equal(frame(stereo, frame_length, hop_length), expected)


def test_frames_keep_the_dtype():
    assert frame(np.arange(6, dtype=np.int16), 2, 3).dtype == jnp.int16


@pytest.mark.parametrize(("frame_length", "hop_length"), FRAMINGS)
def test_overlap_add_is_the_adjoint_of_framing(frame_length, hop_length, stereo):
    frames, pull = jax.vjp(lambda audio: frame(audio, frame_length, hop_length), stereo)
    cotangent = np.random.default_rng(1).normal(size=frames.shape).astype(np.float32)
    added = np.asarray(overlap_add(cotangent, hop_length))
    expected = np.asarray(pull(cotangent)[0])[..., : added.shape[-1]]
    np.testing.assert_allclose(added, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("hop_length", [32, 16, 8])
def test_overlap_add_of_frames_with_windows_that_sum_to_one_is_the_audio(hop_length):
    audio = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    window = scipy.signal.get_window("hann", 64) * 2 * hop_length / 64
    reconstructed = overlap_add(frame(audio, 64, hop_length) * window.astype(np.float32)[None], hop_length)
    np.testing.assert_allclose(reconstructed[64:-64], audio[64 : len(reconstructed) - 64], atol=2e-6)
