"""Conformance-kit subjects for the kinds of artifex-audio."""

from __future__ import annotations

import inspect
import io
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from artifex.generative_models.core.testing import Rule, Subject, Violation, signals
from artifex.generative_models.modalities.audio.augmentations.domain import works_on
from artifex.generative_models.modalities.audio.base import AudioModalityConfig
from artifex.generative_models.modalities.audio.datasets.manifests.formats import ManifestFormat
from artifex.generative_models.modalities.audio.io import AudioReadError

_SAMPLE_RATE = 16000


def audio_type(component: Callable[..., Any]) -> list[Subject | Rule]:
    """Return the subject of an audio type: a function of a key, at several lengths.

    Args:
        component: The function. When its attribute ``draws`` is False, equal waveforms for different keys are accepted.

    Returns:
        One subject.
    """
    return [
        Subject(
            at=lambda length: partial(component, n_time_steps=length, sample_rate=_SAMPLE_RATE),
            shape=lambda shape: shape,
            dtype=np.float32,
            keyed=True,
            draws=getattr(component, "draws", True),
        )
    ]


def augmentation(component: Callable[..., Any]) -> list[Subject | Rule]:
    """Return the subject of an augmentation: a function of a waveform or spectrogram and a key.

    Args:
        component: The function; a required ``sample_rate`` is set to 16000. When its attribute ``draws`` is False, equal
            results for different keys are accepted.

    Returns:
        One subject.
    """
    function = component
    sample_rate = inspect.signature(component).parameters.get("sample_rate")
    if sample_rate is not None and sample_rate.default in (inspect.Parameter.empty, None):
        function = partial(component, sample_rate=_SAMPLE_RATE)
    return [
        Subject(
            function=function,
            example=_spectrograms if works_on(component) == "spectrogram" else signals,
            shape=lambda shape: shape,
            keyed=True,
            draws=getattr(component, "draws", True),
        )
    ]


def manifest_format(component: ManifestFormat) -> list[Subject | Rule]:
    """Return the checks of a manifest format: a missing manifest raises.

    Args:
        component: The format.

    Returns:
        One rule.
    """

    def verify_missing() -> None:
        with tempfile.TemporaryDirectory() as folder:
            missing = Path(folder, next(iter(component.names), f"missing{next(iter(component.suffixes), '')}"))
            try:
                rows = list(component.parse(missing))
            except OSError:
                return
        raise Violation(f"a missing manifest must raise an OSError, got {len(rows)} rows", str(missing.name))

    return [Rule(name="a missing manifest raises", verify=verify_missing)]


def metric(component: Callable[..., Any]) -> list[Subject | Rule]:
    """Return the subject of a metric: its value for a waveform compared with noise.

    Args:
        component: The function.

    Returns:
        One subject.
    """

    def against_noise(estimate: jax.Array) -> Any:
        reference = signals(estimate.shape[-1])["noise"]
        return component(estimate, jnp.asarray(reference, estimate.dtype))

    return [Subject(function=against_noise, example=signals, shape=lambda shape: ())]


def reader(component: Callable[[], Any]) -> list[Subject | Rule]:
    """Return the rules of a reader: its extensions and magic bytes, and that it refuses what is not audio.

    Args:
        component: The class.

    Returns:
        The rules.
    """

    def check_extensions() -> None:
        extensions: object = component().extensions
        if not _is_tuple_of(extensions, _is_extension):
            raise Violation(f"extensions is {extensions!r}, expected a tuple such as ('.wav', '.flac')")

    def check_magic() -> None:
        magic: object = component().magic
        if not _is_tuple_of(magic, _is_magic):
            raise Violation(f"magic is {magic!r}, expected a tuple of (offset, bytes)")

    def check_refusal() -> None:
        for name, content in {"text": b"not audio\n" * 100, "zeros": bytes(1000)}.items():
            try:
                with component().open(io.BytesIO(content), name):
                    pass
            except AudioReadError:
                continue
            raise Violation("open accepts a file that is not audio", name, "raise UnsupportedAudioError")

    return [
        Rule(name="extensions", verify=check_extensions),
        Rule(name="magic bytes", verify=check_magic),
        Rule(name="refuses what is not audio", verify=check_refusal),
    ]


def representation(component: Callable[[AudioModalityConfig], Any]) -> list[Subject | Rule]:
    """Return the subjects of a representation: ``encode``, and ``decode`` of encoded signals.

    Args:
        component: The class.

    Returns:
        Two subjects.
    """

    def at(length: int) -> Any:
        return component(
            AudioModalityConfig(
                duration=length / _SAMPLE_RATE, n_fft=256, hop_length=64, n_mel_channels=20, normalize=False
            )
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


def _is_tuple_of(value: Any, is_valid: Callable[[Any], bool]) -> bool:
    return issubclass(type(value), tuple) and all(map(is_valid, value))


def _is_extension(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(".") and value == value.lower()


def _is_magic(value: Any) -> bool:
    match value:
        case (int(offset), bytes()):
            return offset >= 0
        case _:
            return False


def _spectrograms(length: int) -> dict[str, np.ndarray]:
    bands = np.hanning(12)[1:-1, None].astype(np.float32)
    return {name: bands * np.abs(wave) for name, wave in signals(min(length, 60)).items()}
