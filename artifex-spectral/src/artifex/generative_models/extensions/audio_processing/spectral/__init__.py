"""Spectral analysis for JAX: STFT, mel spectrograms, MFCC, spectral features, and their inverses."""

from artifex.generative_models.extensions.audio_processing.spectral.analysis import SpectralAnalysis
from artifex.generative_models.extensions.audio_processing.spectral.cepstral import lfcc, mfcc
from artifex.generative_models.extensions.audio_processing.spectral.chromagram import chroma, chroma_filter_bank
from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig
from artifex.generative_models.extensions.audio_processing.spectral.features import (
    onset_strength,
    rms,
    spectral_bandwidth,
    spectral_centroid,
    spectral_contrast,
    spectral_crest,
    spectral_entropy,
    spectral_flatness,
    spectral_flux,
    spectral_rolloff,
    spectral_slope,
    zero_crossing_rate,
)
from artifex.generative_models.extensions.audio_processing.spectral.filterbanks import band_frequencies, filter_bank
from artifex.generative_models.extensions.audio_processing.spectral.fourier import (
    instantaneous_frequency,
    istft,
    magnitude_spectrogram,
    power_spectrogram,
    stft,
)
from artifex.generative_models.extensions.audio_processing.spectral.inversion import (
    griffin_lim,
    log_mel_to_audio,
    log_mel_to_mel,
    mel_to_audio,
    mel_to_magnitude,
    mfcc_to_audio,
    mfcc_to_log_mel,
)
from artifex.generative_models.extensions.audio_processing.spectral.levels import amplitude_to_db, power_to_db
from artifex.generative_models.extensions.audio_processing.spectral.mel import log_mel_spectrogram, mel_spectrogram
from artifex.generative_models.extensions.audio_processing.spectral.pipeline import analyze
from artifex.generative_models.extensions.audio_processing.spectral.postprocessing import (
    cmvn,
    deltas,
    lifter,
    pcen,
    sliding_cmn,
)
from artifex.generative_models.extensions.audio_processing.spectral.scales import hz_to_mel, mel_to_hz
from artifex.generative_models.extensions.audio_processing.spectral.vocoder import phase_vocoder, time_stretch
from artifex.generative_models.extensions.audio_processing.spectral.weighting import (
    frequency_weighting,
    perceptual_weighting,
)
from artifex.generative_models.extensions.audio_processing.spectral.windows import is_cola, is_nola

__all__ = [
    "SpectralAnalysis",
    "SpectralConfig",
    "amplitude_to_db",
    "analyze",
    "band_frequencies",
    "chroma",
    "chroma_filter_bank",
    "cmvn",
    "deltas",
    "filter_bank",
    "frequency_weighting",
    "griffin_lim",
    "hz_to_mel",
    "instantaneous_frequency",
    "is_cola",
    "is_nola",
    "istft",
    "lfcc",
    "lifter",
    "log_mel_spectrogram",
    "log_mel_to_audio",
    "log_mel_to_mel",
    "magnitude_spectrogram",
    "mel_spectrogram",
    "mel_to_audio",
    "mel_to_hz",
    "mel_to_magnitude",
    "mfcc",
    "mfcc_to_audio",
    "mfcc_to_log_mel",
    "onset_strength",
    "pcen",
    "perceptual_weighting",
    "phase_vocoder",
    "power_spectrogram",
    "power_to_db",
    "rms",
    "sliding_cmn",
    "spectral_bandwidth",
    "spectral_centroid",
    "spectral_contrast",
    "spectral_crest",
    "spectral_entropy",
    "spectral_flatness",
    "spectral_flux",
    "spectral_rolloff",
    "spectral_slope",
    "stft",
    "time_stretch",
    "zero_crossing_rate",
]
