"""SpectralConfig: accepted and rejected options, and derived values."""

from __future__ import annotations

import warnings

import jax.numpy as jnp
import librosa
import numpy as np
import pytest
import scipy.signal

from artifex.generative_models.core.configuration import ExtensionConfig
from artifex.generative_models.extensions.audio_processing.spectral import (
    SpectralConfig,
    magnitude_spectrogram,
    stft,
)


def test_defaults_equal_librosa():
    config = SpectralConfig()
    assert (config.sample_rate, config.n_fft, config.hop, config.win) == (22050, 2048, 512, 2048)
    assert (config.window_type, config.n_mels, config.f_min, config.f_top) == ("hann", 128, 0.0, 11025.0)
    assert (config.center, config.pad_mode, config.mel_scale, config.mel_norm) == (
        True,
        "constant",
        "slaney",
        "slaney",
    )
    assert (config.amin, config.ref, config.top_db, config.rolloff_fraction) == (1e-10, 1.0, 80.0, 0.85)


def test_defaults_that_depend_on_n_fft_follow_evolve():
    assert SpectralConfig().evolve(n_fft=1024).hop == 256


@pytest.mark.parametrize("length", [1, 511, 512, 4000])
def test_centered_signals_have_one_more_frame_than_hops(length):
    assert SpectralConfig().n_frames(length) == 1 + length // 512


def test_extension_options_are_read_and_missing_ones_have_defaults():
    extension = ExtensionConfig(extensions={"spectral": {"n_fft": 1024, "window_type": "hamming"}, "other": {"x": 1}})
    assert SpectralConfig.from_extension(extension) == SpectralConfig(n_fft=1024, window_type="hamming")
    assert SpectralConfig.from_extension(ExtensionConfig()) == SpectralConfig()


@pytest.mark.parametrize(
    "spec",
    ["hamming", ("hamming", {}), ["hamming", {}], {"name": "hamming"}],
    ids=["name", "pair", "list", "mapping"],
)
def test_window_is_accepted_in_any_form_and_is_hashable(spec):
    config = SpectralConfig(window_type=spec)
    assert config == SpectralConfig(window_type="hamming")
    assert hash(config) == hash(SpectralConfig(window_type="hamming"))


def test_window_may_be_a_function(signals):
    def bartlett(length, *, periodic=True):
        return scipy.signal.get_window("bartlett", length, fftbins=periodic)

    options = {"n_fft": 256, "n_mels": 20, "sample_rate": 8000}
    ours = magnitude_spectrogram(signals["noise"], SpectralConfig(window_type=bartlett, **options))
    hann = magnitude_spectrogram(signals["noise"], SpectralConfig(**options))
    assert not np.allclose(ours, hann, rtol=0.01)


def test_window_options_are_applied_and_survive_conversion_to_plain_values():
    from artifex.generative_models.core import registry

    def tilted(length, *, periodic=True, tilt=0.0):
        return 1 + tilt * np.arange(length) / length

    registry("window").register("tilted", tilted)
    try:
        config = SpectralConfig(window_type=("tilted", {"tilt": 0.5}))
        again = SpectralConfig.from_dict(config.to_dict())
        assert again == config == SpectralConfig(window_type={"name": "tilted", "tilt": 0.5})
        assert config != SpectralConfig(window_type=("tilted", {"tilt": 0.25}))
        with pytest.raises(TypeError, match=r"has no option 'tlit'\. Did you mean 'tilt'"):
            SpectralConfig(window_type=("tilted", {"tlit": 0.5}))
    finally:
        registry("window").unregister("tilted")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hop_length": 3000}, "hop_length must be at most the window length of 2048 .* got 3000"),
        ({"hop_length": 600, "win_length": 512}, "hop_length must be at most the window length of 512 .* got 600"),
        ({"hop_length": 0}, "hop_length must be an integer of at least 1"),
        ({"win_length": 4096}, "win_length must be at most n_fft 2048, got 4096"),
        ({"n_fft": 1}, "n_fft must be an integer of at least 2"),
        ({"sample_rate": -1}, "sample_rate must be an integer of at least 1 Hz"),
        ({"window_type": "hanning"}, "no window 'hanning' is installed.*blackman.*hamming.*hann"),
        ({"pad_mode": "edge"}, "pad_mode must be one of 'constant', 'reflect'"),
        ({"mel_scale": "barks"}, "mel_scale must be one of 'slaney', 'htk', 'kaldi', 'bark'"),
        ({"mel_norm": "area"}, "mel_norm must be one of 'slaney', 'l1', 'l2', None"),
        ({"f_max": 12000.0}, "f_max must be at most 11025.0 Hz, half the sample rate, got 12000.0 Hz"),
        ({"f_min": 5000.0, "f_max": 5000.0}, "f_min must be below f_max 5000.0 Hz, got 5000.0 Hz"),
        ({"f_min": -1.0}, "f_min must be a finite number of at least 0.0 Hz"),
        (
            {"n_mels": 1026},
            "n_mels must be at most 1025, the number of frequency bins for n_fft 2048, got 1026.*at least 2050",
        ),
        ({"n_mels": 0}, "n_mels must be an integer of at least 1"),
        ({"top_db": -1.0}, "top_db must be a finite number of at least 0.0 dB"),
        ({"amin": 0.0}, "amin must be a finite number above 0.0"),
        ({"ref": 0.0}, "ref must be a finite number above 0.0"),
        ({"rolloff_fraction": 1.5}, "rolloff_fraction must be a finite number above 0.0 and at most 1.0"),
        ({"hop_lenght": 256}, "unknown key 'hop_lenght'. Did you mean 'hop_length'"),
    ],
)
def test_invalid_option_raises_with_the_given_and_the_allowed_values(options, message):
    with pytest.raises(ValueError, match=message):
        SpectralConfig.from_extension(ExtensionConfig(extensions={"spectral": options}))
    with pytest.raises((ValueError, TypeError), match=message):
        SpectralConfig(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"n_fft": 1024.0},
        {"n_fft": True},
        {"window_type": np.ones(9)},
        {"window_type": {"alpha": 1}},
        {"center": 1},
        {"window_type": 3},
        {"f_max": "8k"},
        {"window_type": None},
    ],
)
def test_option_of_the_wrong_type_raises_type_error(options):
    with pytest.raises(TypeError, match=f"SpectralConfig.{next(iter(options))}"):
        SpectralConfig(**options)


def test_window_that_returns_another_length_raises():
    with pytest.raises(ValueError, match="must return 2048 finite numbers for length 2048, got shape \\(5,\\)"):
        SpectralConfig(window_type=lambda length, *, periodic=True: np.ones(5))


def test_empty_mel_filters_warn_once_with_a_sufficient_n_fft():
    options = {"sample_rate": 16000, "n_mels": 120}

    def empty_at(n_fft):
        bank = librosa_mel(sr=16000, n_fft=n_fft, n_mels=120, dtype=np.float64)
        return [str(i) for i in np.flatnonzero(~bank.any(axis=1))]

    lacking, enough = empty_at(256), next(n_fft for n_fft in (256, 512, 1024, 2048) if not empty_at(n_fft))
    message = f"{len(lacking)} of 120 mel filters are empty.*filters {', '.join(lacking)}.*Raise n_fft to {enough}"
    with pytest.warns(UserWarning, match=message):
        SpectralConfig(n_fft=256, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SpectralConfig(n_fft=256, **options)
        SpectralConfig(n_fft=enough, **options)


def librosa_mel(**options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return librosa.filters.mel(**options)


def test_numpy_numbers_become_python_numbers():
    """Equal configurations have equal hashes, and a float64 scalar of NumPy would promote float32."""
    given = SpectralConfig(
        n_fft=np.int16(512), hop_length=np.int16(128), n_mels=20, f_min=np.float32(20.5), power=np.int64(2)
    )
    plain = SpectralConfig(n_fft=512, hop_length=128, n_mels=20, f_min=20.5)
    assert (given, hash(given)) == (plain, hash(plain))
    assert {type(value) for value in (given.n_fft, given.f_min, given.power)} == {int, float}


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.int64])
def test_n_frames_is_right_for_narrow_and_unsigned_integers(dtype):
    config = SpectralConfig(n_fft=2048, center=False)
    lengths = np.array([0, 100, 200], dtype)
    assert config.n_frames(lengths).tolist() == [0, 0, 0]
    assert config.n_frames(jnp.asarray(lengths)).tolist() == [0, 0, 0]
    assert SpectralConfig(n_fft=64, n_mels=5).n_frames(lengths).tolist() == [0, 7, 13]


def test_centered_frames_with_the_window_at_the_start():
    config = SpectralConfig(n_fft=512, win_length=400, hop_length=160, window_place="start", n_mels=20)
    click = np.eye(1, 2000, 5 * 160, dtype=np.float32)[0]
    assert float(stft(click, config)[0, 5].real) == 1.0
