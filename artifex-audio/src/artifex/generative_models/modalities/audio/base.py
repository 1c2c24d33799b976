"""The audio modality: its configuration, its shapes, and the way to its representations and back."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

import attrs

from artifex.generative_models.core import registry
from artifex.generative_models.core.checks import check_flag, check_integer, check_number, field_check, plain_number
from artifex.generative_models.core.configuration import Configuration
from artifex.generative_models.modalities.base import Modality

if TYPE_CHECKING:
    import jax
    from flax import nnx
    from jax.typing import ArrayLike


class AudioRepresentation(Enum):
    """The representations that artifex-audio brings; any registered one may be named in their place.

    Example:
        >>> AudioRepresentation.MEL_SPECTROGRAM.value
        'mel_spectrogram'
    """

    RAW_WAVEFORM = "raw_waveform"
    MEL_SPECTROGRAM = "mel_spectrogram"
    STFT = "stft"


def _representation(value: Any) -> Any:
    members = {member.value: member for member in AudioRepresentation}
    return members.get(value, value) if isinstance(value, str) else value


def _as_float(value: Any) -> Any:
    plain = plain_number(value)
    return float(plain) if isinstance(plain, int) and not isinstance(plain, bool) else plain


def _check_representation(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, AudioRepresentation):
        return
    if not isinstance(value, str):
        raise TypeError(
            f"AudioModalityConfig.representation is an AudioRepresentation or the name of a registered one, "
            f"got {value!r} ({type(value).__name__})"
        )
    known = registry("representation")
    if value not in known:
        known[value]


@attrs.frozen(kw_only=True)
class AudioModalityConfig(Configuration):
    """What audio examples are like, and what they are turned into.

    Args:
        representation: An ``AudioRepresentation``, or the name of a registered one.
        sample_rate: Samples per second, Hz.
        n_mel_channels: Mel bands, at most ``n_fft // 2 + 1``.
        hop_length: Samples from one frame to the next, at most ``n_fft``.
        n_fft: Samples in a frame.
        duration: Length of an example in seconds.
        normalize: Whether each clip's peak is brought to 1.

    Raises:
        TypeError: For a value of the wrong type or a misspelled key.
        ValueError: For a value out of range.
        UnknownComponentError: For a representation that is not installed.

    Example:
        >>> config = AudioModalityConfig(duration=0.5)
        >>> config.n_time_steps, config.n_time_frames
        (8000, 31)
        >>> AudioModalityConfig(hop_length=2048)
        Traceback (most recent call last):
        ValueError: AudioModalityConfig.hop_length must be at most n_fft = 1024 samples, got 2048: frames would leave gaps
    """

    representation: AudioRepresentation | str = attrs.field(
        default=AudioRepresentation.RAW_WAVEFORM, converter=_representation, validator=_check_representation
    )
    sample_rate: int = attrs.field(
        default=16000,
        converter=plain_number,
        validator=field_check(check_integer, minimum=1, maximum=10_000_000, unit="Hz"),
    )
    n_mel_channels: int = attrs.field(
        default=80, converter=plain_number, validator=field_check(check_integer, minimum=1)
    )
    hop_length: int = attrs.field(
        default=256, converter=plain_number, validator=field_check(check_integer, minimum=1, unit="samples")
    )
    n_fft: int = attrs.field(
        default=1024, converter=plain_number, validator=field_check(check_integer, minimum=2, unit="samples")
    )
    duration: float = attrs.field(
        default=2.0, converter=_as_float, validator=field_check(check_number, above=0, unit="seconds")
    )
    normalize: bool = attrs.field(default=True, validator=field_check(check_flag))

    def __attrs_post_init__(self) -> None:
        if self.hop_length > self.n_fft:
            raise ValueError(
                f"AudioModalityConfig.hop_length must be at most n_fft = {self.n_fft} samples, "
                f"got {self.hop_length}: frames would leave gaps"
            )
        if self.n_mel_channels > self.n_fft // 2 + 1:
            raise ValueError(
                f"AudioModalityConfig.n_mel_channels must be at most n_fft // 2 + 1 = {self.n_fft // 2 + 1}, "
                f"got {self.n_mel_channels}: n_fft = {self.n_fft} carries no more frequencies"
            )
        if self.n_time_steps < 1:
            raise ValueError(
                f"AudioModalityConfig.duration must be at least one sample, 1 / {self.sample_rate} seconds, "
                f"got {self.duration}"
            )

    @property
    def n_time_steps(self) -> int:
        """Samples in an example: ``sample_rate * duration``, rounded."""
        return round(self.sample_rate * self.duration)

    @property
    def n_time_frames(self) -> int:
        """Frames in an encoded example: ``n_time_steps // hop_length``, the last centered frame dropped."""
        return self.n_time_steps // self.hop_length

    @property
    def representation_name(self) -> str:
        """The representation's name in the registry."""
        return self.representation.value if isinstance(self.representation, Enum) else self.representation


class AudioModality(Modality):
    """Audio as a model sees it: the shapes, ``encode`` and ``decode`` of one configuration.

    It holds no arrays and draws nothing, so its methods can be jitted, vmapped and differentiated.

    Args:
        config: What the audio is like; None means the defaults.
        rngs: Taken for uniformity with other modalities; audio has no parameters to draw.

    Raises:
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
        if config is not None and not isinstance(config, AudioModalityConfig):
            raise TypeError(f"AudioModality takes config=AudioModalityConfig(…), got {type(config).__name__}")
        super().__init__(config if config is not None else AudioModalityConfig())
        self.representation = registry("representation")[self.config.representation_name](self.config)

    @property
    def n_time_steps(self) -> int:
        """Samples in an example."""
        return self.config.n_time_steps

    @property
    def n_time_frames(self) -> int:
        """Frames in an encoded example."""
        return self.config.n_time_frames

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one encoded example, such as ``(80, 125)``."""
        shape: tuple[int, ...] = self.representation.shape
        return shape

    def encode(self, audio: ArrayLike) -> jax.Array:
        """Turn waveforms into the representation.

        Args:
            audio: Waveforms (..., n_time_steps), full scale [-1, 1]; integers are scaled by their range.

        Returns:
            (..., *output_shape). With ``config.normalize`` each clip's peak is brought to 1 first.

        Raises:
            ValueError: When the last axis is not ``n_time_steps`` long.
        """
        import numpy as np

        from artifex.generative_models.modalities.audio.preprocessing import normalize_audio, to_float

        shape = np.shape(audio)
        if not shape or shape[-1] != self.n_time_steps:
            raise ValueError(
                f"encode takes waveforms (..., {self.n_time_steps}), {self.config.duration} s at "
                f"{self.config.sample_rate} Hz, got {shape}; trim_or_pad(audio, {self.n_time_steps}) makes it fit"
            )
        ready = normalize_audio(audio) if self.config.normalize else to_float(audio)
        encoded: jax.Array = self.representation.encode(ready)
        return encoded

    def decode(self, encoded: ArrayLike, *, key: jax.Array | None = None) -> jax.Array:
        """Turn the representation back into waveforms.

        Args:
            encoded: (..., *output_shape).
            key: Seeds the phases where the representation holds none; None starts them at zero.

        Returns:
            Waveforms (..., n_time_steps), at the level of what was encoded. Where phases had to be found, as for a mel
            spectrogram, peaks differ from the original's and may exceed full scale.

        Raises:
            ValueError: When the last axes are not ``output_shape``.
        """
        import numpy as np

        shape, expected = np.shape(encoded), self.output_shape
        if shape[-len(expected) :] != expected:
            raise ValueError(
                f"decode takes {self.config.representation_name} (..., {', '.join(map(str, expected))}), got {shape}"
            )
        decoded: jax.Array = self.representation.decode(encoded, key=key)
        return decoded

    def __repr__(self) -> str:
        return f"AudioModality({self.config!r})"
