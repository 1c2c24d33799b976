"""How the conformance kit runs components of the kinds that audio owns."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from artifex.generative_models.core.testing import Rule, Subject, signals
from artifex.generative_models.modalities.audio.augmentations.domain import works_on
from artifex.generative_models.modalities.audio.base import AudioModalityConfig

_RATE = 16000


def audio_type(component: Any) -> list[Subject | Rule]:
    """Return an audio type as the kit runs it: a function of a key, at several lengths.

    Args:
        component: The function; one with the attribute ``draws`` set to False may give the same sound for every key.

    Returns:
        One subject.
    """
    return [
        Subject(
            at=lambda length: partial(component, n_time_steps=length, sample_rate=_RATE),
            shape=lambda shape: shape,
            dtype=np.float32,
            keyed=True,
            draws=getattr(component, "draws", True),
        )
    ]


def augmentation(component: Any) -> list[Subject | Rule]:
    """Return an augmentation as the kit runs it: a function of a waveform, or a spectrogram, and a key.

    Args:
        component: The function; one with the attribute ``draws`` set to False may do the same for every key.

    Returns:
        One subject.
    """
    takes_rate = "sample_rate" in inspect.signature(component).parameters
    return [
        Subject(
            function=partial(component, sample_rate=_RATE) if takes_rate else component,
            example=_spectrograms if works_on(component) == "spectrogram" else signals,
            shape=lambda shape: shape,
            keyed=True,
            draws=getattr(component, "draws", True),
        )
    ]


def metric(component: Any) -> list[Subject | Rule]:
    """Return a metric as the kit runs it: the score of a waveform against noise.

    Args:
        component: The function.

    Returns:
        One subject.
    """

    def against_noise(estimate: jax.Array) -> Any:
        reference = signals(estimate.shape[-1])["noise"]
        return component(estimate, jnp.asarray(reference, estimate.dtype))

    return [Subject(function=against_noise, example=signals, shape=lambda shape: ())]


def representation(component: Any) -> list[Subject | Rule]:
    """Return a representation as the kit runs it: its encode, and its decode of what that gives.

    Args:
        component: The class.

    Returns:
        Two subjects.
    """

    def at(length: int) -> Any:
        return component(
            AudioModalityConfig(duration=length / _RATE, n_fft=256, hop_length=64, n_mel_channels=20, normalize=False)
        )

    def encoded(length: int) -> dict[str, np.ndarray]:
        return {name: np.asarray(at(length).encode(wave)) for name, wave in signals(length).items()}

    lengths = (64, 640)
    dtype = encoded(lengths[-1])["noise"].dtype
    return [
        Subject(
            label="encode",
            at=lambda length: at(length).encode,
            example=signals,
            lengths=lengths,
            shape=lambda shape: at(shape[-1]).shape,
            dtype=None if dtype == np.float32 else dtype,
            batched=True,
        ),
        Subject(
            label="decode",
            at=lambda length: at(length).decode,
            example=encoded,
            lengths=lengths[-1:],
            shape=lambda shape: (lengths[-1],),
            dtype=None if dtype == np.float32 else np.float32,
            batched=True,
        ),
    ]


def _spectrograms(length: int) -> dict[str, np.ndarray]:
    bands = np.hanning(12)[1:-1, None].astype(np.float32)
    return {name: bands * np.abs(wave) for name, wave in signals(min(length, 60)).items()}
