"""Compute the features of the tools that the presets reproduce, on four short clips.

``python tests/spectral/references/make_references.py`` rewrites ``peers.npz`` in its folder and prints the stored
arrays. It requires torch, torchaudio, transformers, librosa, kaldi-native-fbank, vocos, speechbrain and lhotse; it
loads no weights and downloads nothing. The stored file was computed with transformers 5.23.0, torchaudio 2.11.0
(torch 2.13.0, CPU), kaldi-native-fbank 1.23.0, vocos 0.1.0, speechbrain 1.1.2, lhotse 1.33.0 and librosa 0.11.0.

The file contains the array ``"name/clip"``, (frames, features) float32, for each name in ``REFERENCES`` and each clip in
``CLIPS``; results of tools that return (features, frames) are transposed. The clips themselves are not stored, since
`clip` computes them from their names. ``"about"`` is a JSON text with the origin of each array: ``{name: {"label": ...,
"sample_rate": ..., "versions": {package: version}}}``.

HiFi-GAN is not a package: `hifigan_mel` contains the calls of ``mel_spectrogram`` in the file ``meldataset.py`` of
github.com/jik876/hifi-gan (MIT license, copyright 2020 Jungil Kong) with the values of its ``config_v1.json``, adapted
to the current signatures of torch and librosa (keywords, ``return_complex``).
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

STORED = Path(__file__).with_name("peers.npz")
CLIPS = ("speech", "silence", "noise", "faint")
INT16 = 32768.0


def clip(name: str, sample_rate: int) -> np.ndarray:
    """Compute one of ``CLIPS``, float32 in [-1, 1], 37 samples longer than 0.4 s, so that no hop divides its length.

    "speech" is silent up to 0.1 s, and then contains decaying harmonics of 140 Hz, a tone of 3 kHz, a click at 0.3 s
    and weak noise, which keeps every band above rounding errors of float32. "faint" is noise at about the level of the
    tools' floors. The noise is computed from the bits of PCG64, which are equal in all versions of NumPy.
    """
    n_samples = round(0.4 * sample_rate) + 37
    bits = np.random.PCG64(20250).random_raw(n_samples)
    noise = (bits >> np.uint64(11)).astype(np.float64) / 2.0**52 - 1.0
    if name == "silence":
        return np.zeros(n_samples, np.float32)
    if name in ("noise", "faint"):
        return ((0.5 if name == "noise" else 3e-5) * noise).astype(np.float32)
    if name != "speech":
        raise ValueError(f"name must be one of {', '.join(CLIPS)}, got {name!r}")
    time = np.arange(n_samples) / sample_rate - 0.1
    harmonics = sum(np.sin(2 * np.pi * 140.0 * k * time + k * k) / k for k in range(1, 21))
    voiced = 0.25 * harmonics * np.exp(-np.maximum(time, 0.0) / 0.12) + 0.05 * np.sin(2 * np.pi * 3000.0 * time)
    audio = np.where(time >= 0.0, voiced + 0.004 * noise, 0.0)
    audio[round(0.3 * sample_rate)] += 0.4
    return audio.astype(np.float32)


def whisper_numpy(audio: np.ndarray) -> np.ndarray:
    """Compute Whisper's log-mel levels, 80 bands, with the NumPy code of transformers, without padding to 30 s."""
    from transformers import WhisperFeatureExtractor

    return WhisperFeatureExtractor()._np_extract_fbank_features(audio[None], "cpu")[0].T


def whisper_torch(audio: np.ndarray) -> np.ndarray:
    """Compute Whisper's log-mel levels, 80 bands, with the torch code of transformers, which is OpenAI's."""
    from transformers import WhisperFeatureExtractor

    return WhisperFeatureExtractor()._torch_extract_fbank_features(audio[None], "cpu")[0].T


def torchaudio_mel(audio: np.ndarray) -> np.ndarray:
    """Compute torchaudio's ``MelSpectrogram()``: power, 128 bands."""
    return _of_torch(_torchaudio_quietly("MelSpectrogram"), audio).T


def torchaudio_db(audio: np.ndarray) -> np.ndarray:
    """Compute torchaudio's ``AmplitudeToDB()`` of ``MelSpectrogram()``, without ``top_db``."""
    import torchaudio

    to_db = torchaudio.transforms.AmplitudeToDB()
    mel = _torchaudio_quietly("MelSpectrogram")
    return _of_torch(lambda x: to_db(mel(x)), audio).T


def torchaudio_mfcc(audio: np.ndarray) -> np.ndarray:
    """Compute torchaudio's ``MFCC()``: 40 coefficients, ``top_db`` 80."""
    return _of_torch(_torchaudio_quietly("MFCC"), audio).T


def torchaudio_kaldi_fbank(audio: np.ndarray) -> np.ndarray:
    """Compute ``torchaudio.compliance.kaldi.fbank`` with its defaults, of 16-bit values."""
    from torchaudio.compliance import kaldi

    return _of_torch(lambda x: kaldi.fbank(INT16 * x[None]), audio)


def torchaudio_kaldi_mfcc(audio: np.ndarray) -> np.ndarray:
    """Compute ``torchaudio.compliance.kaldi.mfcc`` with its defaults (without the energy), of 16-bit values."""
    from torchaudio.compliance import kaldi

    return _of_torch(lambda x: kaldi.mfcc(INT16 * x[None]), audio)


def kaldi_fbank(audio: np.ndarray) -> np.ndarray:
    """Compute kaldi-native-fbank's fbank, 23 bands, with its defaults except for the dither, of 16-bit values."""
    import kaldi_native_fbank as knf

    options = knf.FbankOptions()
    options.frame_opts.dither = 0.0
    return _of_kaldi(knf.OnlineFbank(options), audio)


def kaldi_mfcc(audio: np.ndarray) -> np.ndarray:
    """Compute kaldi-native-fbank's MFCC with its defaults (energy instead of c0) except for the dither."""
    import kaldi_native_fbank as knf

    options = knf.MfccOptions()
    options.frame_opts.dither = 0.0
    return _of_kaldi(knf.OnlineMfcc(options), audio)


def htk_fbank(audio: np.ndarray) -> np.ndarray:
    """Compute HTK's FBANK of 26 magnitudes with kaldi-native-fbank in HTK mode, of 16-bit values."""
    import kaldi_native_fbank as knf

    options = knf.FbankOptions()
    options.frame_opts.dither = 0.0
    options.frame_opts.remove_dc_offset = False
    options.frame_opts.window_type = "hamming"
    options.mel_opts.num_bins = 26
    options.mel_opts.low_freq = 0.0
    options.mel_opts.htk_mode = True
    options.use_power = False
    return _of_kaldi(knf.OnlineFbank(options), audio)


def htk_mfcc_power(audio: np.ndarray) -> np.ndarray:
    """Compute HTK's MFCC_0 with ``USEPOWER``, c1 to c12 and C0 of 26 powers, with kaldi-native-fbank in HTK mode."""
    import kaldi_native_fbank as knf

    options = knf.MfccOptions()
    options.frame_opts.dither = 0.0
    options.frame_opts.remove_dc_offset = False
    options.frame_opts.window_type = "hamming"
    options.mel_opts.num_bins = 26
    options.mel_opts.low_freq = 0.0
    options.mel_opts.htk_mode = True
    options.use_energy = False
    options.htk_compat = True
    return _of_kaldi(knf.OnlineMfcc(options), audio)


def speechbrain_fbank(audio: np.ndarray) -> np.ndarray:
    """Compute SpeechBrain's ``Fbank()``: levels in dB, 40 bands."""
    from speechbrain.lobes.features import Fbank

    features = Fbank()
    return _of_torch(lambda x: features(x[None])[0], audio)


def vocos_mel(audio: np.ndarray) -> np.ndarray:
    """Compute Vocos' ``MelSpectrogramFeatures()``: natural logarithm of 100 magnitudes at 24 kHz, centered frames."""
    from vocos.feature_extractors import MelSpectrogramFeatures

    return _of_torch(MelSpectrogramFeatures(), audio).T


def vocos_mel_same(audio: np.ndarray) -> np.ndarray:
    """Compute Vocos' ``MelSpectrogramFeatures(padding="same")``."""
    from vocos.feature_extractors import MelSpectrogramFeatures

    features = MelSpectrogramFeatures(padding="same")
    return _of_torch(lambda x: features(x[None])[0], audio).T


def hifigan_mel(audio: np.ndarray) -> np.ndarray:
    """Compute HiFi-GAN's ``mel_spectrogram`` with the values of ``config_v1.json``."""
    import librosa
    import torch

    n_fft, hop = 1024, 256
    basis = torch.from_numpy(librosa.filters.mel(sr=22050, n_fft=n_fft, n_mels=80, fmin=0, fmax=8000)).float()
    pad = int((n_fft - hop) / 2)
    y = torch.nn.functional.pad(torch.from_numpy(audio)[None, None], (pad, pad), mode="reflect").squeeze(1)
    window = torch.hann_window(1024)
    spec = torch.stft(
        y, n_fft, hop_length=hop, win_length=1024, window=window, center=False, onesided=True, return_complex=True
    )
    spec = torch.sqrt(torch.view_as_real(spec).pow(2).sum(-1) + 1e-9)
    spec = torch.matmul(basis, spec)
    return torch.log(torch.clamp(spec, min=1e-5))[0].T.numpy()


def lhotse_fbank(audio: np.ndarray) -> np.ndarray:
    """Compute lhotse's ``Fbank()``: 80 bands, samples in [-1, 1]."""
    return _of_lhotse("Fbank", audio)


def lhotse_mfcc(audio: np.ndarray) -> np.ndarray:
    """Compute lhotse's ``Mfcc()``: 13 coefficients of 23 bands, samples in [-1, 1]."""
    return _of_lhotse("Mfcc", audio)


class Reference(NamedTuple):
    """Origin of a stored array: a label, the sample rate, the packages that were used, and the function."""

    label: str
    sample_rate: int
    packages: tuple[str, ...]
    features: Callable[[np.ndarray], np.ndarray]


REFERENCES = {
    "whisper_numpy": Reference(
        "transformers WhisperFeatureExtractor, NumPy path", 16000, ("transformers",), whisper_numpy
    ),
    "whisper_torch": Reference(
        "transformers WhisperFeatureExtractor, torch path", 16000, ("transformers", "torch"), whisper_torch
    ),
    "torchaudio_mel": Reference("torchaudio MelSpectrogram()", 16000, ("torchaudio", "torch"), torchaudio_mel),
    "torchaudio_db": Reference(
        "torchaudio AmplitudeToDB() of MelSpectrogram()", 16000, ("torchaudio", "torch"), torchaudio_db
    ),
    "torchaudio_mfcc": Reference("torchaudio MFCC()", 16000, ("torchaudio", "torch"), torchaudio_mfcc),
    "torchaudio_kaldi_fbank": Reference(
        "torchaudio.compliance.kaldi.fbank(32768 x)", 16000, ("torchaudio", "torch"), torchaudio_kaldi_fbank
    ),
    "torchaudio_kaldi_mfcc": Reference(
        "torchaudio.compliance.kaldi.mfcc(32768 x)", 16000, ("torchaudio", "torch"), torchaudio_kaldi_mfcc
    ),
    "kaldi_fbank": Reference(
        "kaldi-native-fbank FbankOptions(), dither 0, of 32768 x", 16000, ("kaldi-native-fbank",), kaldi_fbank
    ),
    "kaldi_mfcc": Reference(
        "kaldi-native-fbank MfccOptions(), dither 0, of 32768 x", 16000, ("kaldi-native-fbank",), kaldi_mfcc
    ),
    "htk_fbank": Reference(
        "kaldi-native-fbank in HTK mode: 26 magnitudes, Hamming, of 32768 x", 16000, ("kaldi-native-fbank",), htk_fbank
    ),
    "htk_mfcc_power": Reference(
        "kaldi-native-fbank in HTK mode: c1..c12, C0 of 26 powers, Hamming, of 32768 x",
        16000,
        ("kaldi-native-fbank",),
        htk_mfcc_power,
    ),
    "speechbrain_fbank": Reference("speechbrain Fbank()", 16000, ("speechbrain", "torch"), speechbrain_fbank),
    "vocos_mel": Reference("vocos MelSpectrogramFeatures()", 24000, ("vocos", "torchaudio", "torch"), vocos_mel),
    "vocos_mel_same": Reference(
        'vocos MelSpectrogramFeatures(padding="same")', 24000, ("vocos", "torchaudio", "torch"), vocos_mel_same
    ),
    "hifigan_mel": Reference("HiFi-GAN mel_spectrogram, config_v1", 22050, ("librosa", "torch"), hifigan_mel),
    "lhotse_fbank": Reference("lhotse Fbank()", 16000, ("lhotse", "torch"), lhotse_fbank),
    "lhotse_mfcc": Reference("lhotse Mfcc()", 16000, ("lhotse", "torch"), lhotse_mfcc),
}


def _of_torch(features: Callable[[Any], Any], audio: np.ndarray) -> np.ndarray:
    import torch

    with torch.no_grad():
        return features(torch.from_numpy(audio)).numpy()


def _torchaudio_quietly(name: str) -> Any:
    """Return a transform with its defaults, without the warning about empty filters."""
    import torchaudio

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="At least one mel filterbank has all zero values")
        return getattr(torchaudio.transforms, name)()


def _of_lhotse(name: str, audio: np.ndarray) -> np.ndarray:
    """Compute features with the defaults of an extractor, without a warning of NumPy's about its filters."""
    import lhotse

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="__array_wrap__ must accept", category=DeprecationWarning)
        return getattr(lhotse, name)().extract(audio, 16000)


def _of_kaldi(computer: Any, audio: np.ndarray) -> np.ndarray:
    computer.accept_waveform(16000, (INT16 * audio).tolist())
    computer.input_finished()
    return np.stack([computer.get_frame(i) for i in range(computer.num_frames_ready)])


def main() -> None:
    """Compute every reference on every clip and store them."""
    arrays, about = {}, {}
    for name, reference in REFERENCES.items():
        for clip_name in CLIPS:
            features = reference.features(clip(clip_name, reference.sample_rate))
            arrays[f"{name}/{clip_name}"] = np.ascontiguousarray(features, np.float32)
        about[name] = {
            "label": reference.label,
            "sample_rate": reference.sample_rate,
            "versions": {package: metadata.version(package) for package in reference.packages},
        }
        print(f"{name} {arrays[f'{name}/{CLIPS[0]}'].shape}: {reference.label}, {about[name]['versions']}")
    np.savez_compressed(STORED, about=np.array(json.dumps(about)), **arrays)
    print(f"{STORED.name}: {STORED.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
