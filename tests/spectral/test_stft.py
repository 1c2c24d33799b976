"""STFT, power and levels against librosa and jax.scipy, and the inverse STFT."""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest
import scipy.signal

from artifex.generative_models.core import registry
from artifex.generative_models.extensions.audio_processing.spectral import (
    SpectralConfig,
    amplitude_to_db,
    instantaneous_frequency,
    istft,
    magnitude_spectrogram,
    power_spectrogram,
    power_to_db,
    stft,
)
from artifex.generative_models.extensions.audio_processing.spectral.windows import window_table

CONVENTIONS = [
    {},
    {"hop_length": 100},
    {"hop_length": 64, "win_length": 300},
    {"hop_length": 128, "pad_mode": "reflect"},
    {"hop_length": 128, "center": False},
    {"hop_length": 128, "window_type": "blackman", "n_fft": 511},
    {"hop_length": 10, "window_type": "hamming"},
]


def config_of(**options):
    return SpectralConfig(**{"sample_rate": 8000, "n_fft": 512, "n_mels": 40, **options})


def librosas(config):
    return {
        "n_fft": config.n_fft,
        "hop_length": config.hop,
        "win_length": config.win,
        "window": config.window_type,
        "center": config.center,
        "pad_mode": config.pad_mode,
    }


def assert_close(ours, reference, fraction):
    """Check that shapes are equal and values agree within a fraction of the peak of the reference."""
    ours, reference = np.asarray(ours), np.asarray(reference)
    assert ours.shape == reference.shape
    assert np.abs(ours - reference).max() <= fraction * np.abs(reference).max()


@pytest.mark.parametrize("options", CONVENTIONS, ids=str)
def test_spectrum_equals_librosa_for_every_option(batch, options):
    config = config_of(**options)
    reference = librosa.stft(batch, **librosas(config))
    ours = stft(batch, config)
    for row, expected in zip(ours, reference, strict=True):
        assert_close(row, expected, 1e-6)


@pytest.mark.parametrize("row", range(4), ids=["noise", "tone", "click", "silence"])
def test_magnitude_and_power_equal_librosa_unbatched_and_batched(batch, row, config):
    audio = batch[row]
    expected = np.abs(librosa.stft(audio, **librosas(config)))
    assert_close(magnitude_spectrogram(audio, config), expected, 1e-6)
    assert_close(power_spectrogram(audio, config), expected**2, 1e-6)
    assert_close(magnitude_spectrogram(batch, config)[row], expected, 1e-6)
    assert_close(power_spectrogram(batch, config)[row], expected**2, 1e-6)


def test_spectrum_equals_jax_scipy_times_the_sum_of_the_window(signals):
    config = config_of(hop_length=100, window_type="hamming")
    # A whole number of hops, to which scipy pads.
    audio = signals["noise"][: 39 * config.hop]
    window = scipy.signal.get_window(config.window_type, config.n_fft)
    overlap = config.n_fft - config.hop
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):  # jax.scipy relies on promotion
        *_, theirs = jax.scipy.signal.stft(
            audio, window=config.window_type, nperseg=config.n_fft, noverlap=overlap, padded=False
        )
    assert_close(stft(audio, config), np.asarray(theirs) * window.sum(), 1e-5)


@pytest.mark.parametrize("length", [1, 2, 500])
@pytest.mark.parametrize("pad_mode", ["constant", "reflect"])
def test_clip_shorter_than_a_frame_is_padded_as_by_numpy(signals, length, pad_mode):
    config = config_of(hop_length=128, pad_mode=pad_mode)
    audio = signals["noise"][:length].astype(np.float64)
    padded = np.pad(audio, config.n_fft // 2, mode=pad_mode)
    frames = np.lib.stride_tricks.sliding_window_view(padded, config.n_fft)[:: config.hop]
    expected = np.fft.rfft(frames * scipy.signal.get_window("hann", config.n_fft)).T
    assert_close(stft(audio.astype(np.float32), config), expected, 1e-6)


WINDOWS = sorted(registry("window"))


@pytest.mark.parametrize("window", WINDOWS)
def test_spectrum_with_every_window_equals_numpy(signals, window):
    config = config_of(n_fft=64, n_mels=10, window_type=window)
    audio = signals["noise"][:500]
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(audio.astype(np.float64), 32), 64)[::16]
    with jax.disable_jit():  # operation by operation, so that nothing is compiled again for each window
        assert_close(stft(audio, config), np.fft.rfft(frames * registry("window")[window](64)).T, 1e-6)


def steps(config):
    """Return the hops up to the length of the window with which the STFT is invertible."""
    hops = (config.win // 4, config.win // 3, config.win)
    return [
        hop
        for hop in hops
        if scipy.signal.check_NOLA(window_table(config.window_type, config.win), config.win, config.win - hop, tol=1e-4)
    ]


@pytest.mark.thorough
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("window", WINDOWS)
def test_istft_inverts_stft_for_all_windows_hops_and_lengths(window, dtype):
    audio = np.random.default_rng(0).uniform(-1, 1, 200).astype(dtype)
    tried = 0
    with jax.enable_x64(dtype == np.float64), jax.disable_jit():
        for n_fft, win in ((31, 31), (32, 20)):
            config = config_of(n_fft=n_fft, win_length=win, n_mels=4, window_type=window)
            for hop in steps(config):
                for length in (1, 100) if hop == config.win // 4 else (100,):
                    # With a frame of zeros appended, the last samples are covered by frames, too.
                    padded = np.pad(audio[:length], (0, n_fft))
                    here = config.evolve(hop_length=hop)
                    again = istft(stft(padded, here), here, length=length)
                    assert again.shape == (length,)
                    np.testing.assert_allclose(again, audio[:length], atol=1e-12 if dtype == np.float64 else 1e-5)
                    tried += 1
    assert tried >= 4  # at least two lengths for each window


def test_istft_of_an_inconsistent_spectrum_equals_librosa(config):
    rng = np.random.default_rng(1)
    spectrum = (rng.standard_normal((3, 257, 20)) + 1j * rng.standard_normal((3, 257, 20))).astype(np.complex64)
    length = 128 * 19
    expected = librosa.istft(spectrum, **{k: v for k, v in librosas(config).items() if k != "pad_mode"}, length=length)
    assert_close(istft(spectrum, config, length=length), expected, 1e-5)


def test_istft_is_zero_outside_all_frames(config):
    audio = istft(jnp.ones((257, 3), complex), config, length=4000)
    assert audio.shape == (4000,)
    assert not np.any(audio[512:])


def test_istft_of_a_batch_equals_that_of_each_example(signals, config):
    spectra = stft(np.stack([signals["noise"], signals["tone"]]), config)[..., :1]
    both = istft(spectra, config, length=200)
    np.testing.assert_allclose(both[1], istft(spectra[1], config, length=200), atol=1e-7)


def test_istft_raises_for_a_window_and_hop_that_leave_samples_uncovered():
    config = config_of(hop_length=512)
    with pytest.raises(ValueError, match=r"'hann' of 512 samples and hop_length 512 cannot be inverted.*NOLA"):
        istft(jnp.ones((257, 4), complex), config, length=1000)


@pytest.mark.parametrize(
    ("spectrum", "error", "message"),
    [
        (np.ones((257, 4)), TypeError, "must be complex, got float"),
        (
            np.ones((256, 4), complex),
            ValueError,
            r"n_fft // 2 \+ 1 = 257, time\) and not empty, got shape \(256, 4\)",
        ),
        (np.ones(257, complex), ValueError, r"got shape \(257,\)"),
    ],
)
def test_istft_raises_for_an_invalid_spectrum(config, spectrum, error, message):
    with pytest.raises(error, match=message):
        istft(spectrum, config, length=100)


@pytest.mark.parametrize("top_db", [80.0, 20.0, None])
def test_levels_equal_librosa(signals, config, top_db):
    power = np.abs(librosa.stft(signals["noise"], **librosas(config))) ** 2
    np.testing.assert_allclose(
        power_to_db(power, ref=2.0, top_db=top_db),
        librosa.power_to_db(power, ref=2.0, top_db=top_db),
        atol=1e-4,
    )
    amplitude = np.sqrt(power)
    np.testing.assert_allclose(
        amplitude_to_db(amplitude, top_db=top_db),
        librosa.amplitude_to_db(amplitude, top_db=top_db),
        atol=1e-4,
    )


def test_top_db_is_relative_to_the_maximum_of_each_example():
    quiet, loud = np.full((4, 5), 1e-6, np.float32), np.full((4, 5), 1e6, np.float32)
    levels = power_to_db(np.stack([quiet, loud]))
    np.testing.assert_allclose(levels[0], -60.0, atol=1e-4)


@pytest.mark.parametrize(("options", "message"), [({"amin": 0.0}, "amin"), ({"top_db": -3.0}, "top_db")])
def test_invalid_level_options_raise(options, message):
    with pytest.raises(ValueError, match=message):
        power_to_db(np.ones(3, np.float32), **options)


@pytest.mark.parametrize("convert", [power_to_db, amplitude_to_db])
def test_function_as_reference_raises(convert):
    with pytest.raises(TypeError, match="ref must be a number or an array, got a function"):
        convert(np.ones(3, np.float32), ref=np.max)


@pytest.mark.parametrize("name", ["noise", "tone", "click"])
def test_instantaneous_frequency_equals_librosa(signals, config, name):
    options = {"sr": 8000, "n_fft": 512, "hop_length": 128, "pad_mode": "constant", "dtype": np.complex128}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of librosa, about its own call
        expected, _, magnitude = librosa.reassigned_spectrogram(signals[name], reassign_times=False, **options)
    ours = np.asarray(instantaneous_frequency(signals[name], config))
    # A quotient of two tiny numbers is a rounding error in both tools.
    audible = magnitude > 1e-2 * magnitude.max()
    assert audible.any()
    np.testing.assert_allclose(ours[audible], expected[audible], rtol=0, atol=1e-4 * 4000)


def test_instantaneous_frequency_of_silence_is_that_of_the_bin(signals, config):
    ours = np.asarray(instantaneous_frequency(signals["silence"], config))
    np.testing.assert_array_equal(
        ours, np.broadcast_to(librosa.fft_frequencies(sr=8000, n_fft=512)[:, None], ours.shape)
    )
