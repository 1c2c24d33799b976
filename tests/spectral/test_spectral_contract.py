"""The rules of the conformance kit for every public function: jit, vmap, grad, dtypes, examples, keys."""

from __future__ import annotations

import inspect
from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest

from artifex.generative_models.core.testing import Subject, check_function, signals
from artifex.generative_models.extensions.audio_processing import spectral
from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig, stft

CONFIG = SpectralConfig(sample_rate=8000, n_fft=128, n_mels=20)
FEATURES = {
    name: function
    for name in spectral.__all__
    if name != "analyze" and "lengths" in inspect.signature(function := getattr(spectral, name)).parameters
}
OPTIONS = {"spectral_contrast": {"n_bands": 3}}


def spectra(length):
    return {name: np.asarray(stft(wave, CONFIG)) for name, wave in signals(length).items()}


def powers(length):
    return {name: np.square(np.abs(each)) for name, each in spectra(length).items()}


def bands(length):
    return {name: each[:20] for name, each in powers(length).items()}


def levels(length):
    return {name: np.asarray(spectral.power_to_db(each)) for name, each in bands(length).items()}


def cepstra(length):
    return {name: each[:13] for name, each in levels(length).items()}


# Functions of spectra and features: their input and options.
OTHERS = {
    "amplitude_to_db": (bands, {}),
    "cmvn": (levels, {}),
    "deltas": (levels, {}),
    "istft": (spectra, {"config": CONFIG, "length": 400}),
    "lifter": (cepstra, {}),
    "log_mel_to_mel": (levels, {"config": CONFIG}),
    "mel_to_magnitude": (bands, {"config": CONFIG, "n_iter": 3}),
    "mfcc_to_log_mel": (cepstra, {"config": CONFIG}),
    "pcen": (bands, {"sample_rate": 8000, "hop_length": 32}),
    "perceptual_weighting": (powers, {"config": CONFIG}),
    "phase_vocoder": (spectra, {"rate": 1.3, "n_frames": 9}),
    "power_to_db": (bands, {}),
    "sliding_cmn": (levels, {}),
}
# Functions with random initial phases.
KEYED = {
    "griffin_lim": (powers, {"config": CONFIG, "length": 400, "n_iter": 2}),
    "log_mel_to_audio": (levels, {"config": CONFIG, "length": 400, "n_iter": 2}),
    "mel_to_audio": (bands, {"config": CONFIG, "length": 400, "n_iter": 2}),
    "mfcc_to_audio": (cepstra, {"config": CONFIG, "length": 400, "n_iter": 2}),
}
# Functions that return tables or do not take arrays, and those with tests of their own.
TABLES = {
    "SpectralAnalysis",
    "SpectralConfig",
    "band_frequencies",
    "chroma_filter_bank",
    "filter_bank",
    "frequency_weighting",
    "hz_to_mel",
    "analyze",
    "is_cola",
    "is_nola",
    "mel_to_hz",
}


def stretched(audio):
    return spectral.time_stretch(audio, jnp.float32(1.3), CONFIG, length=300)


SUBJECTS = {
    **{
        name: Subject(
            function=partial(function, config=CONFIG, **OPTIONS.get(name, {})),
            example=signals,
            batched=True,
            dtype=np.complex64 if name == "stft" else None,
        )
        for name, function in FEATURES.items()
    },
    "time_stretch": Subject(function=stretched, example=signals, batched=True),
    **{
        name: Subject(
            function=partial(getattr(spectral, name), **options),
            example=example,
            batched=True,
            dtype=np.float32 if name == "istft" else None,
        )
        for name, (example, options) in OTHERS.items()
    },
    **{
        name: Subject(
            function=lambda x, key, name=name, options=options: getattr(spectral, name)(x, key=key, **options),
            example=example,
            keyed=True,
            lengths=(400,),
        )
        for name, (example, options) in KEYED.items()
    },
}


def test_every_public_function_is_covered():
    assert set(spectral.__all__) == set(SUBJECTS) | TABLES


@pytest.mark.thorough
@pytest.mark.parametrize("name", SUBJECTS)
def test_rule_of_the_conformance_kit_holds(name):
    report = check_function(name, SUBJECTS[name])
    assert report.passed, str(report)
