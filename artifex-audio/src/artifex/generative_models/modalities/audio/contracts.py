"""Conformance-kit subjects for the kinds of artifex-audio."""

from __future__ import annotations

import inspect
import io
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Any

import jax
import jax.numpy as jnp
import numpy as np

from artifex.generative_models.core.testing import Rule, Skipped, Subject, Violation, signals
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
    """Return the rules of a reader: how it declares its formats, reads intact files and raises for others.

    Args:
        component: The class. Its method ``example``, which returns a small intact file as bytes, provides the file for the
            rules about reading; without it they are skipped.

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
        Rule(name="raises for files that are not audio", verify=check_refusal),
        Rule(name="recognizes its example", verify=lambda: _check_recognition(component())),
        Rule(name="reads as many samples as it declares", verify=lambda: _check_length(component())),
        Rule(name="spans equal slices of the whole", verify=lambda: _check_spans(component())),
        Rule(name="a path and its bytes give equal samples", verify=lambda: _check_path(component())),
        Rule(name="damaged files raise AudioReadError", verify=lambda: _check_damage(component())),
    ]


def representation(component: Callable[[AudioModalityConfig], Any]) -> list[Subject | Rule]:
    """Return the rules of a representation: ``encode``, ``lengths``, and ``decode`` of encoded signals.

    Args:
        component: The class.

    Returns:
        Two subjects and a rule.
    """

    def at(length: int) -> Any:
        return component(
            AudioModalityConfig(
                duration=length / _SAMPLE_RATE, n_fft=256, hop_length=64, n_mel_channels=20, normalize=False
            )
        )

    def encoded(length: int) -> dict[str, np.ndarray]:
        return {name: np.asarray(at(length).encode(wave)) for name, wave in signals(length).items()}

    def check_lengths() -> None:
        audio = signals(640)["noise"]
        alone = np.asarray(at(256).encode(audio[:256]))
        padded = np.asarray(at(640).encode(audio, lengths=np.int32(256)))
        valid = padded[tuple(slice(0, size) for size in alone.shape)]
        if not np.allclose(valid, alone, rtol=1e-4, atol=1e-4 * np.abs(alone).max()):
            raise Violation(
                "encode with lengths differs from the clip without its padding",
                "256 of 640 samples",
                "ignore the samples past lengths",
            )

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
        Rule(name="samples past lengths are ignored", verify=check_lengths),
    ]


def _example(reader: Any) -> bytes:
    """Return the example of a reader, a small file."""
    if not hasattr(reader, "example"):
        raise Skipped("the reader has no method example() that returns a small file as bytes")
    content: bytes = reader.example()
    return content


def _read_all(reader: Any, stream: IO[bytes]) -> np.ndarray:
    with reader.open(stream, "example" + reader.extensions[0]) as recording:
        info = recording.info
        samples: np.ndarray = recording.read(0, info.n_samples)
    if samples.shape != (info.n_samples, info.n_channels) or samples.dtype != np.float32:
        raise Violation(
            f"read returns {samples.dtype} {samples.shape}, expected float32 {(info.n_samples, info.n_channels)}",
            cause="info and read disagree",
        )
    return samples


def _check_recognition(reader: Any) -> None:
    head = _example(reader)
    if reader.magic and not any(head.startswith(magic, offset) for offset, magic in reader.magic):
        raise Violation("the example contains none of the magic bytes", cause="magic is wrong")


def _check_length(reader: Any) -> None:
    samples = _read_all(reader, io.BytesIO(_example(reader)))
    if not samples.size or not np.isfinite(samples).all():
        raise Violation("the samples of the example are not finite, or there are none", "example()")


def _check_spans(reader: Any) -> None:
    content = _example(reader)
    whole = _read_all(reader, io.BytesIO(content))
    random = np.random.default_rng(0)
    with reader.open(io.BytesIO(content), "example" + reader.extensions[0]) as recording:
        for _ in range(30):
            start = int(random.integers(len(whole)))
            count = int(random.integers(1, len(whole) - start + 1))
            if not np.array_equal(recording.read(start, count), whole[start : start + count]):
                raise Violation(f"read({start}, {count}) differs from that slice of the whole", "example()")


def _check_path(reader: Any) -> None:
    content = _example(reader)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "example")
        path.write_bytes(content)
        with path.open("rb", buffering=0) as stream:
            from_path = _read_all(reader, stream)
    if not np.array_equal(from_path, _read_all(reader, io.BytesIO(content))):
        raise Violation("the samples of a file differ from those of its bytes", "example()")


def _check_damage(reader: Any) -> None:
    content = _example(reader)
    whole = _read_all(reader, io.BytesIO(content))
    random = np.random.default_rng(0)
    damaged: dict[str, bytes] = {}
    for cut in (*random.integers(len(content), size=30), len(content) - 1):
        damaged[f"the first {cut} of {len(content)} bytes"] = content[:cut]
    for place in map(int, random.integers(len(content), size=100)):
        flipped = content[place] ^ (1 << int(random.integers(8)))
        damaged[f"a flipped bit in byte {place}"] = content[:place] + bytes([flipped]) + content[place + 1 :]
    for name, changed in damaged.items():
        try:
            samples = _read_all(reader, io.BytesIO(changed))
        except AudioReadError:
            continue
        except Violation as violation:
            raise Violation(violation.observed, name, violation.cause) from violation
        except Exception as error:
            raise Violation(f"raises {error!r}", name, "raise AudioReadError") from error
        if len(changed) == len(content) - 1 or (len(changed) < len(content) and len(samples) > len(whole)):
            raise Violation("reads a truncated file", name, "compare the size of the file with its header")
        if not np.isfinite(samples).all():
            raise Violation("the samples are not finite", name)


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
