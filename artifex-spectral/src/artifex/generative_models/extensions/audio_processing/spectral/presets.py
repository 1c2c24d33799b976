"""Presets: configurations that reproduce the results of other tools.

Audio has full scale 1 for all of them: presets of tools that work on 16-bit values set ``input_scale`` to 32768. Random
operations (Kaldi's dither) are left out, and ``top_db`` refers to the maximum of each example instead of the batch
(torchaudio, OpenAI's Whisper).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache

from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig

# The spacing of float32 at 1, which is the floor of Kaldi's logarithms.
_EPSILON = 1.1920928955078125e-07


@cache
def _build(name: str) -> SpectralConfig:
    with warnings.catch_warnings():
        # The defaults of some tools contain empty mel filters.
        warnings.filterwarnings("ignore", message=".*mel filters are empty", category=UserWarning)
        return _PRESETS[name]()


_PRESETS: dict[str, Callable[[], SpectralConfig]] = {
    "librosa": lambda: SpectralConfig(
        sample_rate=22050, n_fft=2048, hop_length=512, n_mels=128, mel_scale="slaney", mel_norm="slaney", n_mfcc=20
    ),
    "torchaudio": lambda: SpectralConfig(
        sample_rate=16000,
        n_fft=400,
        hop_length=200,
        pad_mode="reflect",
        n_mels=128,
        mel_scale="htk",
        mel_norm=None,
        top_db=None,
        n_mfcc=40,
    ),
    "torchaudio_mfcc": lambda: _build("torchaudio").evolve(top_db=80.0),
    "whisper": lambda: SpectralConfig(
        sample_rate=16000,
        n_fft=400,
        hop_length=160,
        pad_mode="reflect",
        frame_count="drop_last",
        n_mels=80,
        log="log10",
        top_db=80.0,
        level_offset=4.0,
        level_scale=0.25,
    ),
    "kaldi": lambda: SpectralConfig(
        sample_rate=16000,
        input_scale=32768.0,
        n_fft=512,
        hop_length=160,
        win_length=400,
        window_type="povey",
        window_periodic=False,
        window_place="start",
        center=False,
        remove_dc=True,
        preemphasis=0.97,
        n_mels=23,
        f_min=20.0,
        mel_scale="kaldi",
        mel_norm=None,
        filter_shape="scale",
        log="ln",
        amin=_EPSILON,
        top_db=None,
        n_mfcc=13,
        lifter=22.0,
        use_energy=True,
    ),
    "lhotse": lambda: _build("kaldi").evolve(
        input_scale=1.0,
        pad_length=120,
        pad_mode="symmetric",
        frame_count="round",
        n_mels=80,
        f_max=7600.0,
        use_energy=False,
    ),
    "htk": lambda: _build("kaldi").evolve(
        window_type="hamming",
        remove_dc=False,
        power=1,
        n_mels=26,
        f_min=0.0,
        amin=1.0,
        dct_norm="htk",
        c0_last=True,
        use_energy=False,
    ),
    "hifigan": lambda: SpectralConfig(
        sample_rate=22050,
        n_fft=1024,
        hop_length=256,
        center=False,
        pad_length=384,
        pad_mode="reflect",
        power=1,
        power_offset=1e-9,
        n_mels=80,
        f_max=8000.0,
        log="ln",
        amin=1e-5,
        top_db=None,
    ),
    "vocos": lambda: SpectralConfig(
        sample_rate=24000,
        n_fft=1024,
        hop_length=256,
        pad_mode="reflect",
        power=1,
        n_mels=100,
        mel_scale="htk",
        mel_norm=None,
        log="ln",
        amin=1e-7,
        top_db=None,
    ),
    "speechbrain": lambda: SpectralConfig(
        sample_rate=16000,
        n_fft=400,
        hop_length=160,
        window_type="hamming",
        n_mels=40,
        mel_scale="htk",
        mel_norm=None,
        filter_shape="symmetric",
        n_mfcc=20,
    ),
}


def __getattr__(name: str) -> SpectralConfig:
    """Build a preset on first access."""
    if name not in _PRESETS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _build(name)


def __dir__() -> list[str]:
    """List the presets."""
    return sorted(_PRESETS)
