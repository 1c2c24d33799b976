"""The phase vocoder and time stretching against librosa and closed forms."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest

from artifex.generative_models.extensions.audio_processing.spectral import (
    SpectralConfig,
    phase_vocoder,
    stft,
    time_stretch,
)
from artifex.generative_models.extensions.audio_processing.spectral.framing import synthesize


@pytest.mark.parametrize("rate", [0.5, 0.8, 1.0, 1.25, 2.0])
def test_spectra_equal_librosa(chord, config, rate):
    spectrum = np.asarray(stft(chord, config))
    expected = librosa.phase_vocoder(spectrum.astype(np.complex128), rate=rate)
    ours = np.asarray(phase_vocoder(spectrum, jnp.float32(rate), n_frames=140))
    assert not ours[:, expected.shape[1] :].any()
    # After the last frame librosa 0.11 fades out, as ours does; 1.0 extrapolates.
    same = int((spectrum.shape[1] - 1) / rate) + 1
    np.testing.assert_allclose(ours[:, :same], expected[:, :same], rtol=0, atol=1e-4 * np.abs(expected).max())


def test_last_frame_fades_out(config):
    ours = phase_vocoder(np.ones((1, 3), np.complex64), 0.25, n_frames=14)
    np.testing.assert_allclose(ours[0, 8:], [1, 0.75, 0.5, 0.25, 0, 0], atol=1e-6)


def test_phase_does_not_drift_in_a_long_clip():
    n_frames, step = 6000, 0.123456
    cycles = np.arange(n_frames) * step
    spectrum = np.exp(2j * np.pi * cycles)[None]
    ours = np.asarray(phase_vocoder(spectrum.astype(np.complex64), 0.5, n_frames=2 * n_frames - 2))[0]
    # At half the speed each phase advance occurs twice.
    expected = np.exp(2j * np.pi * (np.arange(2 * n_frames - 2) * step))
    assert np.abs(ours - expected).max() < 2e-3


@pytest.mark.parametrize("rate", [0.8, 1.3])
def test_stretched_audio_equals_librosa(chord, signals, config, quietly, rate):
    # With noise the phase of every bin is significant in float32. In float32 librosa's phases lose 1e-3 rad per second.
    audio = chord + 0.1 * np.resize(signals["noise"], chord.shape)
    stretch = librosa.effects.time_stretch
    expected = quietly(stretch, audio.astype(np.float64), rate=rate, n_fft=512, hop_length=128)
    ours = np.asarray(time_stretch(audio, rate, config, length=11000))
    # The frames around the last one differ between librosa's versions.
    same = len(expected) - 640
    np.testing.assert_allclose(ours[:same], expected[:same], rtol=0, atol=1e-4 * np.abs(expected).max())
    assert ours[same : len(expected)].any()
    assert not ours[len(expected) :].any()


@pytest.mark.parametrize("n_valid", [1, 2, 9])
def test_valid_frames_are_overlap_added_as_if_they_were_all(config, n_valid):
    rng = np.random.default_rng(0)
    spectra = rng.normal(size=(9, 257)) + 1j * rng.normal(size=(9, 257))
    spectra[:, [0, -1]] = spectra[:, [0, -1]].real
    spectra[n_valid:] = 0
    # Below this fraction of the full sum of squared windows a single digit of float32 is significant.
    least, length = 1e-4, 128 * n_valid
    ours = synthesize(jnp.asarray(spectra, np.complex64), config, length, jnp.float32(n_valid), min_coverage=least)
    window = np.hanning(513)[:-1]
    total, squares = np.zeros(9 * 128 + 512), np.zeros(9 * 128 + 512)
    for place, frame in enumerate(np.fft.irfft(spectra[:n_valid])):
        total[128 * place : 128 * place + 512] += window * frame
        squares[128 * place : 128 * place + 512] += window**2
    expected = (total / np.maximum(squares, 1.5 * least))[256 : 256 + length]
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("rate", [0.75, 1.5])
def test_stretch_keeps_the_pitch(config, rate):
    tone = np.sin(2 * np.pi * 440 * np.arange(8000) / 8000).astype(np.float32)
    middle = np.asarray(time_stretch(tone, rate, config, length=8000))[1000:4096]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 1 << 16))
    assert abs(np.argmax(spectrum) * 8000 / (1 << 16) - 440) < 1


def test_rate_one_is_the_identity(chord, config):
    np.testing.assert_allclose(time_stretch(chord, 1.0, config, length=8000), chord, atol=1e-5)


def test_each_example_has_its_own_rate_and_rates_share_one_compilation(chord, config):
    traces = []

    @jax.jit
    def stretch(audio, rates):
        traces.append(None)
        return time_stretch(audio, rates, config, length=8000)

    batch = np.stack([chord, chord[::-1]])
    for rates in ([0.8, 1.2], [1.0, 0.9], [1.7, 0.6]):
        ours = stretch(batch, jnp.asarray(rates))
        for row, audio, rate in zip(ours, batch, rates, strict=True):
            np.testing.assert_allclose(row, time_stretch(audio, jnp.float32(rate), config, length=8000), atol=1e-5)
    assert len(traces) == 1


def test_gradient_of_time_stretch_is_finite_on_sound_and_silence(chord, config):
    gradient = jax.jit(
        jax.grad(lambda audio, rate: jnp.sum(time_stretch(audio, rate, config, length=500) ** 2), (0, 1))
    )
    for audio in (chord[:500], np.zeros(500, np.float32)):
        for part in gradient(audio, 1.1):
            assert np.isfinite(part).all()


@pytest.mark.parametrize("rate", [0, -1.0, float("nan")])
def test_invalid_rate_raises(chord, config, rate):
    with pytest.raises(ValueError, match="rate must be a finite number above 0"):
        time_stretch(chord, rate, config, length=8000)


def test_rate_of_another_shape_raises(chord, config):
    with pytest.raises(ValueError, match=r"rate must broadcast to the leading axes \(\), got shape \(2,\)"):
        time_stretch(chord, jnp.ones(2), config, length=8000)


def test_magnitudes_raise():
    with pytest.raises(TypeError, match="must be complex, got float32"):
        phase_vocoder(jnp.ones((5, 5)), 1.0, n_frames=3)


def test_window_that_leaves_samples_uncovered_raises(chord):
    config = SpectralConfig(sample_rate=8000, n_fft=512, hop_length=512, n_mels=40)
    with pytest.raises(ValueError, match="NOLA"):
        time_stretch(chord, 1.1, config, length=8000)
