"""The audio modality: configuration, shapes, encoding and decoding."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

import attrs

from artifex.generative_models.core import registry
from artifex.generative_models.core.checks import (
    check_flag,
    check_integer,
    check_number,
    field_check,
    plain_float,
    plain_int,
)
from artifex.generative_models.core.configuration import Configuration
from artifex.generative_models.modalities.base import Modality

if TYPE_CHECKING:
    import jax
    from flax import nnx
    from jax.typing import ArrayLike


class AudioRepresentation(Enum):
    """The main representations of artifex-audio; the name of any registered representation can be used instead.

    Example:
        >>> AudioRepresentation.MEL_SPECTROGRAM.value
        'mel_spectrogram'
    """

    RAW_WAVEFORM = "raw_waveform"
    MEL_SPECTROGRAM = "mel_spectrogram"
    STFT = "stft"


def _as_member(value: AudioRepresentation | str) -> AudioRepresentation | str:
    """Convert the name of a member of AudioRepresentation to the member; return other values unchanged."""
    members = {member.value: member for member in AudioRepresentation}
    return members.get(value, value) if isinstance(value, str) else value


def _check_representation(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, AudioRepresentation):
        return
    if not isinstance(value, str):
        raise TypeError(
            f"AudioModalityConfig.representation must be an AudioRepresentation or the name of a registered "
            f"representation, got {value!r} ({type(value).__name__})"
        )
    representations = registry("representation")
    if value not in representations:
        representations[value]  # raises and names the registered ones


@attrs.frozen(kw_only=True)
class AudioModalityConfig(Configuration):
    """Configuration of audio examples and their representation.

    Args:
        representation: An ``AudioRepresentation``, or the name of a registered representation.
        sample_rate: Sample rate in Hz.
        n_mel_channels: Number of mel bands, at most ``n_fft // 2 + 1``.
        hop_length: Hop length in samples, at most ``n_fft``.
        n_fft: FFT and frame length in samples.
        duration: Duration of an example in seconds.
        normalize: Whether to normalize each clip to a peak of 1.

    Raises:
        TypeError: For a value of the wrong type or an unknown keyword.
        ValueError: For a value out of range.
        UnknownComponentError: For a representation that is not installed.

    Example:
        >>> config = AudioModalityConfig(duration=0.5)
        >>> config.n_time_steps, config.n_time_frames
        (8000, 31)
        >>> AudioModalityConfig(hop_length=2048)
        Traceback (most recent call last):
        ValueError: AudioModalityConfig.hop_length must be at most n_fft = 1024 samples, got 2048: frames would not cover all samples
    """

    representation: AudioRepresentation | str = attrs.field(
        default=AudioRepresentation.RAW_WAVEFORM, converter=_as_member, validator=_check_representation
    )
    sample_rate: int = attrs.field(
        default=16000,
        converter=plain_int,
        validator=field_check(check_integer, minimum=1, maximum=10_000_000, unit="Hz"),
    )
    n_mel_channels: int = attrs.field(default=80, converter=plain_int, validator=field_check(check_integer, minimum=1))
    hop_length: int = attrs.field(
        default=256, converter=plain_int, validator=field_check(check_integer, minimum=1, unit="samples")
    )
    n_fft: int = attrs.field(
        default=1024, converter=plain_int, validator=field_check(check_integer, minimum=2, unit="samples")
    )
    duration: float = attrs.field(
        default=2.0, converter=plain_float, validator=field_check(check_number, above=0, unit="seconds")
    )
    normalize: bool = attrs.field(default=True, validator=field_check(check_flag))

    def __attrs_post_init__(self) -> None:
        if self.hop_length > self.n_fft:
            raise ValueError(
                f"AudioModalityConfig.hop_length must be at most n_fft = {self.n_fft} samples, "
                f"got {self.hop_length}: frames would not cover all samples"
            )
        if self.n_mel_channels > self.n_fft // 2 + 1:
            raise ValueError(
                f"AudioModalityConfig.n_mel_channels must be at most n_fft // 2 + 1 = {self.n_fft // 2 + 1}, "
                f"got {self.n_mel_channels}: n_fft = {self.n_fft} has no more frequency bins"
            )
        if self.n_time_steps < 1:
            raise ValueError(
                f"AudioModalityConfig.duration must be at least one sample, 1 / {self.sample_rate} seconds, "
                f"got {self.duration}"
            )

    @property
    def n_time_steps(self) -> int:
        """Number of samples of an example: ``sample_rate * duration``, rounded."""
        return round(self.sample_rate * self.duration)

    @property
    def n_time_frames(self) -> int:
        """Number of frames of an encoded example: ``n_time_steps // hop_length``; the last centered frame is dropped."""
        return self.n_time_steps // self.hop_length

    @property
    def representation_name(self) -> str:
        """Name of the representation in the registry."""
        return self.representation.value if isinstance(self.representation, Enum) else self.representation


def config_or_default(config: object) -> AudioModalityConfig:
    """Return a configuration, or the default one for None.

    Args:
        config: The configuration, or None.

    Returns:
        The configuration.

    Raises:
        TypeError: When it has another type.
    """
    if config is None:
        return AudioModalityConfig()
    if not isinstance(config, AudioModalityConfig):
        raise TypeError(f"config must be an AudioModalityConfig or None, got {config!r} ({type(config).__name__})")
    return config


class AudioModality(Modality):
    """Encoder and decoder of the configured representation.

    It contains no arrays and no random state; its methods work under ``jit``, ``vmap`` and ``grad``.

    Args:
        config: The configuration; None means the defaults.
        rngs: Ignored; accepted for uniformity with other modalities.

    Raises:
        TypeError: When ``config`` is not an AudioModalityConfig.
        MissingDependencyError: When the representation needs a distribution that is not installed.

    Example:
        >>> from flax import nnx
        >>> import jax.numpy as jnp
        >>> modality = AudioModality(config=AudioModalityConfig(duration=0.5), rngs=nnx.Rngs(0))
        >>> modality.encode(jnp.ones((3, 8000))).shape
        (3, 8000)
    """

    config: AudioModalityConfig

    def __init__(self, config: AudioModalityConfig | None = None, *, rngs: nnx.Rngs | None = None) -> None:
        super().__init__(config_or_default(config))
        self.representation = registry("representation")[self.config.representation_name](self.config)

    @property
    def n_time_steps(self) -> int:
        """Number of samples of an example."""
        return self.config.n_time_steps

    @property
    def n_time_frames(self) -> int:
        """Number of frames of an encoded example."""
        return self.config.n_time_frames

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one encoded example, such as ``(80, 125)``."""
        return self.representation.shape

    def encode(self, audio: ArrayLike) -> jax.Array:
        """Encode waveforms as the representation.

        Args:
            audio: Waveforms (..., n_time_steps), full scale [-1, 1]; integers are scaled by the range of their dtype.

        Returns:
            Features (..., *output_shape). With ``config.normalize`` each clip is first normalized to a peak of 1.

        Raises:
            ValueError: When the last axis is not ``n_time_steps`` long.
        """
        import numpy as np

        from artifex.generative_models.modalities.audio.preprocessing.levels import normalize_audio, to_float

        shape = np.shape(audio)
        if not shape or shape[-1] != self.n_time_steps:
            is_transposed = len(shape) > 1 and shape[-2] == self.n_time_steps
            remedy = "transpose it" if is_transposed else f"use trim_or_pad(audio, {self.n_time_steps})"
            raise ValueError(
                f"encode: audio must have shape (..., {self.n_time_steps}), {self.config.duration} s at "
                f"{self.config.sample_rate} Hz, got {shape}; {remedy}"
            )
        waveform = normalize_audio(audio) if self.config.normalize else to_float(audio)
        return self.representation.encode(waveform)

    def decode(self, encoded: ArrayLike, *, key: jax.Array | None = None) -> jax.Array:
        """Decode the representation to waveforms.

        Args:
            encoded: Features (..., *output_shape).
            key: PRNG key for the initial phases of representations without phase; None starts with zero phases.

        Returns:
            Waveforms (..., n_time_steps), with the level of the encoded waveforms. When phases are estimated, as for a mel
            spectrogram, peaks differ from those of the encoded waveforms and may exceed full scale.

        Raises:
            ValueError: When the last axes are not ``output_shape``.
        """
        import numpy as np

        shape, expected = np.shape(encoded), self.output_shape
        if shape[-len(expected) :] != expected:
            raise ValueError(
                f"decode: encoded must be a {self.config.representation_name} of shape "
                f"(..., {', '.join(map(str, expected))}), got {shape}"
            )
        return self.representation.decode(encoded, key=key)

    def __repr__(self) -> str:
        return f"AudioModality({self.config!r})"
