"""Spectral analysis for JAX: spectra, mel bands, cepstra, descriptors, and the ways back to audio."""

from artifex.generative_models.extensions.audio_processing.spectral.analysis import SpectralAnalysis
from artifex.generative_models.extensions.audio_processing.spectral.cepstral import mfcc
from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig
from artifex.generative_models.extensions.audio_processing.spectral.features import (
    spectral_bandwidth,
    spectral_centroid,
    spectral_rolloff,
)
from artifex.generative_models.extensions.audio_processing.spectral.inversion import (
    griffin_lim,
    mel_to_audio,
    mel_to_magnitude,
)
from artifex.generative_models.extensions.audio_processing.spectral.mel import (
    hz_to_mel,
    log_mel_spectrogram,
    mel_filter_bank,
    mel_spectrogram,
    mel_to_hz,
)
from artifex.generative_models.extensions.audio_processing.spectral.stft import (
    amplitude_to_db,
    istft,
    magnitude_spectrogram,
    phase_vocoder,
    power_spectrogram,
    power_to_db,
    stft,
    time_stretch,
)

__all__ = [
    "SpectralAnalysis",
    "SpectralConfig",
    "amplitude_to_db",
    "griffin_lim",
    "hz_to_mel",
    "istft",
    "log_mel_spectrogram",
    "magnitude_spectrogram",
    "mel_filter_bank",
    "mel_spectrogram",
    "mel_to_audio",
    "mel_to_hz",
    "mel_to_magnitude",
    "mfcc",
    "phase_vocoder",
    "power_spectrogram",
    "power_to_db",
    "spectral_bandwidth",
    "spectral_centroid",
    "spectral_rolloff",
    "stft",
    "time_stretch",
]
