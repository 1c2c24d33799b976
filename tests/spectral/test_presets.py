"""Presets against results of the tools, which are stored or computed here."""

from __future__ import annotations

import importlib.util
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import librosa
import numpy as np
import pytest

from artifex.generative_models.core import UnknownComponentError, create, registry
from artifex.generative_models.extensions.audio_processing.spectral import SpectralAnalysis, SpectralConfig

_FILE = Path(__file__).parent / "references" / "make_references.py"
_SPEC = importlib.util.spec_from_file_location("make_references", _FILE)
references = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(references)

# Preset, overrides and method for each reference.
OURS = {
    "whisper_numpy": ("whisper", {}, "compute_log_mel_spectrogram"),
    "whisper_torch": ("whisper", {}, "compute_log_mel_spectrogram"),
    "torchaudio_mel": ("torchaudio", {}, "compute_mel_spectrogram"),
    "torchaudio_db": ("torchaudio", {}, "compute_log_mel_spectrogram"),
    "torchaudio_mfcc": ("torchaudio_mfcc", {}, "compute_mfcc"),
    "torchaudio_kaldi_fbank": ("kaldi", {}, "compute_log_mel_spectrogram"),
    "torchaudio_kaldi_mfcc": ("kaldi", {"use_energy": False}, "compute_mfcc"),
    "kaldi_fbank": ("kaldi", {}, "compute_log_mel_spectrogram"),
    "kaldi_mfcc": ("kaldi", {}, "compute_mfcc"),
    "htk_fbank": ("htk", {}, "compute_log_mel_spectrogram"),
    "htk_mfcc_power": ("htk", {"power": 2}, "compute_mfcc"),
    "speechbrain_fbank": ("speechbrain", {}, "compute_log_mel_spectrogram"),
    "vocos_mel": ("vocos", {}, "compute_log_mel_spectrogram"),
    "vocos_mel_same": ("vocos", {"center": False, "pad_length": 384}, "compute_log_mel_spectrogram"),
    "hifigan_mel": ("hifigan", {}, "compute_log_mel_spectrogram"),
    "lhotse_fbank": ("lhotse", {}, "compute_log_mel_spectrogram"),
    "lhotse_mfcc": ("lhotse", {"n_mels": 23}, "compute_mfcc"),
}


def computed(name, clip):
    preset, overrides, method = OURS[name]
    audio = references.clip(clip, references.REFERENCES[name].sample_rate)
    return np.asarray(getattr(SpectralAnalysis.from_preset(preset, **overrides), method)(audio)).T


# Units of the logarithms in dB of power.
DECIBELS = {"db": 1.0, "log10": 10.0, "ln": 10.0 / np.log(10.0)}


def assert_equal(ours, theirs, name=None):
    """Check that values agree within 1e-4 of the peak, and levels within 1e-3 dB."""
    assert ours.shape == theirs.shape
    within = 1e-4 * np.abs(theirs).max()
    if name is not None and "log" in OURS[name][2]:
        preset = create("preset", OURS[name][0])
        # lhotse computes its filters in float32, and some of them are one bin wide: they deviate by 1.1e-3 dB.
        within = (2e-3 if name == "lhotse_fbank" else 1e-3) / DECIBELS[preset.log] * preset.level_scale
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=within)


@pytest.fixture(scope="module")
def stored():
    with np.load(references.STORED) as file:
        return dict(file)


@pytest.mark.parametrize("name", OURS)
def test_preset_equals_the_stored_results_of_the_tool(name, stored):
    assert set(OURS) == set(references.REFERENCES)
    for clip in references.CLIPS:
        assert_equal(computed(name, clip), stored[f"{name}/{clip}"], name)


@pytest.mark.parametrize("name", OURS)
def test_preset_equals_the_tool_where_it_is_installed(name):
    for package in references.REFERENCES[name].packages:
        try:
            version(package)
        except PackageNotFoundError:
            pytest.skip(f"{package} is not installed")
    reference = references.REFERENCES[name]
    assert_equal(computed(name, "speech"), reference.features(references.clip("speech", reference.sample_rate)), name)


@pytest.mark.parametrize("clip", references.CLIPS)
def test_librosa_preset_equals_the_defaults_of_librosa(clip):
    audio = references.clip(clip, 22050)
    analysis = SpectralAnalysis.from_preset("librosa")
    power = librosa.feature.melspectrogram(y=audio)
    assert_equal(np.asarray(analysis.compute_mel_spectrogram(audio)), power)
    levels = np.asarray(analysis.compute_log_mel_spectrogram(audio))
    np.testing.assert_allclose(levels, librosa.power_to_db(power), rtol=0, atol=1e-3)
    assert_equal(np.asarray(analysis.compute_mfcc(audio)), librosa.feature.mfcc(y=audio))


@pytest.mark.parametrize("name", registry("preset"))
def test_preset_has_every_setting_and_accepts_overrides(name):
    preset = create("preset", name)
    assert isinstance(preset, SpectralConfig)
    assert SpectralConfig.from_dict(preset.to_dict()) == preset
    assert create("preset", name, n_mels=20, n_mfcc=None).n_mels == 20


@pytest.mark.parametrize("name", ["kaldi", "htk", "lhotse", "whisper", "hifigan"])
def test_istft_inverts_scaling_and_preemphasis(name):
    """Without padding, 300 samples at both ends are covered by the edges of windows only."""
    analysis = SpectralAnalysis.from_preset(name, remove_dc=False)
    audio = references.clip("speech", analysis.config.sample_rate)
    audio += 0.01 * references.clip("noise", analysis.config.sample_rate)
    inside = slice(300, -300)
    again = np.asarray(analysis.istft(analysis.stft(audio), length=len(audio)))
    if name == "htk":  # a Hamming window is not 0 at the first sample of a frame, whose pre-emphasis is not inverted
        assert np.linalg.norm((again - audio)[inside]) < 1e-2 * np.linalg.norm(audio[inside])
    else:
        np.testing.assert_allclose(again[inside], audio[inside], rtol=0, atol=1e-5 * np.abs(audio).max())
    played = np.asarray(analysis.time_stretch(audio, 1.0, length=len(audio)))
    np.testing.assert_allclose(played[inside], audio[inside], rtol=0, atol=1e-5 * np.abs(audio).max())
    faster = np.asarray(analysis.time_stretch(audio, 1.3, length=len(audio)))
    assert np.abs(faster).max() < 2 * np.abs(audio).max()


@pytest.mark.thorough
@pytest.mark.parametrize("name", registry("preset"))
def test_audio_from_the_levels_of_a_preset_has_about_the_original_level(name):
    analysis = SpectralAnalysis.from_preset(name)
    time = np.arange(8000) / analysis.config.sample_rate
    audio = (0.3 * np.sin(2 * np.pi * 440 * time) + 0.1 * np.sin(2 * np.pi * 1900 * time)).astype(np.float32)
    found = np.asarray(analysis.log_mel_to_audio(analysis.compute_log_mel_spectrogram(audio), length=8000, n_iter=16))
    assert np.abs(found).max() < 2 * np.abs(audio).max()
    assert np.sqrt(np.mean(found[1000:-1000] ** 2)) == pytest.approx(np.sqrt(np.mean(audio**2)), rel=0.2)


def test_number_of_frames_equals_that_of_the_tool():
    """Closed forms from the documentation of the tools, at lengths that are not multiples of the hop."""
    for n in (400, 401, 559, 560, 640, 1600, 1679, 1680, 6437):
        assert registry("preset")["whisper"].n_frames(n) == n // 160
        assert registry("preset")["kaldi"].n_frames(n) == 1 + (n - 400) // 160
        assert registry("preset")["lhotse"].n_frames(n) == (n + 80) // 160
        assert registry("preset")["hifigan"].n_frames(n) == n // 256
        assert registry("preset")["torchaudio"].n_frames(n) == 1 + n // 200


@pytest.mark.parametrize(("name", "minimum"), [("whisper", 160), ("lhotse", 80), ("kaldi", 400), ("hifigan", 256)])
def test_a_clip_that_is_too_short_raises_with_the_minimum_length(name, minimum):
    analysis = SpectralAnalysis.from_preset(name)
    assert analysis.config.n_frames(minimum - 1) < analysis.config.n_frames(minimum) == 1
    with pytest.raises(ValueError, match=f"at least {minimum} samples for one frame .* got {minimum - 1}"):
        analysis.stft(np.zeros(minimum - 1, np.float32))


def test_unknown_preset_or_setting_raises_and_the_nearest_is_suggested():
    with pytest.raises(UnknownComponentError, match="whisper"):
        SpectralAnalysis.from_preset("wisper")
    with pytest.raises((TypeError, ValueError), match="n_mels"):
        SpectralAnalysis.from_preset("whisper", n_mel=128)
