"""The audio modality: configuration, shapes, encoding and decoding."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Self

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
from artifex.generative_models.modalities.audio.spectral_settings import (
    SpectralSettings,
    spectral_extension,
    spectral_settings,
)
from artifex.generative_models.modalities.base import Modality

if TYPE_CHECKING:
    import jax
    import numpy as np
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


# Fields that follow ``spectral``, with the names of its fields.
_SHARED_FIELDS = {"sample_rate": "sample_rate", "n_mel_channels": "n_mels", "hop_length": "hop", "n_fft": "n_fft"}


def _as_spectral(value: str | Mapping[str, object] | Configuration | None) -> Any:
    """Convert the fields of a SpectralConfig to the SpectralConfig, and check other values."""
    if value is None:
        return None
    settings = spectral_settings(value)
    return value if isinstance(value, str) else settings


def _resolved(spectral: str | Mapping[str, object] | Configuration | None) -> SpectralSettings | None:
    """Return the settings that identify an analysis: a preset equals its SpectralConfig."""
    return None if spectral is None else spectral_settings(spectral)


def _follow(field: str, default: int) -> Any:
    """Return an attrs default: the value of the analysis, or a number without one."""

    def value(config: AudioModalityConfig) -> int:
        settings = _resolved(config.spectral)
        return default if settings is None else getattr(settings, _SHARED_FIELDS[field])

    return attrs.Factory(value, takes_self=True)


@attrs.frozen(kw_only=True)
class AudioModalityConfig(Configuration):
    """Configuration of audio examples and their representation.

    Args:
        representation: An ``AudioRepresentation``, or the name of a registered representation.
        spectral: Spectral analysis of the representation: the name of a preset of artifex-spectral such as
            ``"whisper"``, a ``SpectralConfig``, or a mapping of its fields. ``sample_rate``, ``n_mel_channels``,
            ``hop_length`` and ``n_fft`` default to its values; the number of frames is its ``n_frames``. A waveform
            representation uses only its sample rate. None for librosa's analysis with those four settings and without the last centered frame.
        sample_rate: Sample rate in Hz; by default that of ``spectral``, or 16000.
        n_mel_channels: Number of mel bands, at most ``n_fft // 2 + 1``; by default that of ``spectral``, or 80.
        hop_length: Hop length in samples, at most ``n_fft``; by default that of ``spectral``, or 256.
        n_fft: FFT and frame length in samples; by default that of ``spectral``, or 1024.
        duration: Duration of an example in seconds.
        normalize: Whether datasets and extraction normalize each clip to a peak of 1, all channels together. Recordings
            are amplified by at most 60 dB: noise below -60 dBFS stays below full scale. ``AudioModality.encode`` does
            not normalize.

    Raises:
        TypeError: For a value of the wrong type or an unknown keyword.
        ValueError: For a value out of range, or one that contradicts ``spectral``.
        UnknownComponentError: For a representation or preset that is not installed.
        MissingDependencyError: For ``spectral`` without artifex-spectral.

    Example:
        >>> config = AudioModalityConfig(duration=0.5)
        >>> config.n_time_steps, config.n_time_frames
        (8000, 31)
        >>> config = AudioModalityConfig(representation="log_mel_spectrogram", spectral="hifigan", duration=1.0)
        >>> config.sample_rate, config.n_mel_channels, config.n_time_frames
        (22050, 80, 86)
        >>> AudioModalityConfig(spectral="whisper", sample_rate=44100)
        Traceback (most recent call last):
        ValueError: AudioModalityConfig.sample_rate = 44100 contradicts spectral = 'whisper', whose sample_rate is 16000; leave out sample_rate, or pass a changed analysis, such as spectral=create("preset", "whisper", sample_rate=44100)
        >>> AudioModalityConfig(hop_length=2048)
        Traceback (most recent call last):
        ValueError: AudioModalityConfig.hop_length must be at most n_fft = 1024 samples, got 2048: frames would not cover all samples
    """

    representation: AudioRepresentation | str = attrs.field(
        default=AudioRepresentation.RAW_WAVEFORM, converter=_as_member, validator=_check_representation
    )
    # Settings are compared, so that equality and hash do not depend on how the analysis was given.
    spectral: str | Mapping[str, object] | Configuration | None = attrs.field(
        default=None, converter=_as_spectral, eq=_resolved
    )
    sample_rate: int = attrs.field(
        default=_follow("sample_rate", 16000),
        converter=plain_int,
        validator=field_check(check_integer, minimum=1, maximum=10_000_000, unit="Hz"),
    )
    n_mel_channels: int = attrs.field(
        default=_follow("n_mel_channels", 80), converter=plain_int, validator=field_check(check_integer, minimum=1)
    )
    hop_length: int = attrs.field(
        default=_follow("hop_length", 256),
        converter=plain_int,
        validator=field_check(check_integer, minimum=1, unit="samples"),
    )
    n_fft: int = attrs.field(
        default=_follow("n_fft", 1024),
        converter=plain_int,
        validator=field_check(check_integer, minimum=2, unit="samples"),
    )
    duration: float = attrs.field(
        default=2.0, converter=plain_float, validator=field_check(check_number, above=0, unit="seconds")
    )
    normalize: bool = attrs.field(default=True, validator=field_check(check_flag))

    def __attrs_post_init__(self) -> None:
        settings = _resolved(self.spectral)
        if settings is not None:
            self._check_agreement(settings)
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
        """Number of frames of an encoded example: that of ``spectral``, or without it ``n_time_steps // hop_length``.

        Without ``spectral``, the last centered frame is dropped; with an odd ``n_fft``, the last sample does not count.
        """
        settings = _resolved(self.spectral)
        if settings is None:  # without importing artifex-spectral
            return (self.n_time_steps - self.n_fft % 2) // self.hop_length
        return int(settings.n_frames(self.n_time_steps))

    @property
    def analysis(self) -> SpectralSettings:
        """The ``SpectralConfig`` of the representation.

        Raises:
            MissingDependencyError: Without artifex-spectral.
        """
        if self.spectral is not None:
            return spectral_settings(self.spectral)
        extension = spectral_extension(
            f"The representation {self.representation_name!r}",
            sample_rate=self.sample_rate,
            n_fft=self.n_fft,
            hop_length=self.hop_length,
            n_mels=self.n_mel_channels,
            frame_count="drop_last",
        )
        return extension.config

    @property
    def representation_name(self) -> str:
        """Name of the representation in the registry."""
        return self.representation.value if isinstance(self.representation, Enum) else self.representation

    def evolve(self, **changes: Any) -> Self:
        """Return a copy in which some fields are replaced; the copy is validated.

        Args:
            **changes: New field values by name. With a new ``spectral``, the fields that follow it are not kept.

        Returns:
            The copy.

        Raises:
            TypeError: When a name is not a field, or a value has the wrong type.
            ValueError: When a value is out of range, or contradicts ``spectral``.

        Example:
            >>> AudioModalityConfig(duration=0.5).evolve(spectral="whisper").hop_length
            160
        """
        if changes.get("spectral") is None:
            return super().evolve(**changes)
        names = [field.name for field in attrs.fields(type(self)) if field.name not in _SHARED_FIELDS]
        return type(self)(**{**{name: getattr(self, name) for name in names}, **changes})

    def _check_agreement(self, settings: SpectralSettings) -> None:
        for field, name in _SHARED_FIELDS.items():
            given, expected = getattr(self, field), getattr(settings, name)
            if given == expected:
                continue
            option = "hop_length" if name == "hop" else name
            is_preset = isinstance(self.spectral, str)
            origin = f"spectral = {self.spectral!r}" if is_preset else "spectral"
            changed = (
                f'create("preset", "{self.spectral}", {option}={given})'
                if is_preset
                else f"config.spectral.evolve({option}={given})"
            )
            raise ValueError(
                f"AudioModalityConfig.{field} = {given} contradicts {origin}, whose {option} is {expected}; leave out "
                f"{field}, or pass a changed analysis, such as spectral={changed}"
            )


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

    def n_frames(self, lengths: int | np.ndarray | jax.Array) -> int | np.ndarray | jax.Array:
        """Return the number of valid frames of clips that ``encode`` is given with their ``lengths``.

        Args:
            lengths: Numbers of valid samples, an int or an array of integers; may be traced.

        Returns:
            Numbers of frames, in the form of ``lengths``: the ``n_time_frames`` of a clip of that length alone; 0 for
            clips too short for one frame.

        Raises:
            MissingDependencyError: Without artifex-spectral.

        Example:
            >>> AudioModality(AudioModalityConfig(spectral="whisper")).n_frames(16000)
            100
        """
        config = self.config
        # One mel band: mel filters that contain no bin cause a warning, and are not used.
        analysis = (config if config.spectral is not None else config.evolve(n_mel_channels=1)).analysis
        n_frames: int | np.ndarray | jax.Array = analysis.n_frames(lengths)
        return n_frames

    def encode(self, audio: ArrayLike, *, lengths: ArrayLike | None = None) -> jax.Array:
        """Encode waveforms as the representation.

        Args:
            audio: Waveforms (..., n_time_steps), full scale [-1, 1]; integers are scaled by the range of their dtype.
                With ``lengths``, waveforms of any length, such as a batch of a bucket.
            lengths: Number of valid samples of each clip, integers that broadcast against the leading axes, such as the
                ``length`` of a padded batch. Samples past them are ignored: the first ``n_frames(lengths)`` frames of a
                spectrogram equal those of the clip alone, and later ones equal those of silence. May be traced. By
                default all samples are valid.

        Returns:
            Features (..., *output_shape), or with ``n_frames(audio.shape[-1])`` frames for waveforms of another length.
            The waveforms are not normalized: datasets normalize the clips that they read when ``config.normalize`` is
            set; use ``normalize_audio`` for others.

        Raises:
            ValueError: When the last axis is not ``n_time_steps`` long and there are no ``lengths``, or ``lengths`` are out
                of range.
            TypeError: When ``lengths`` are not integers.

        Example:
            >>> import numpy as np
            >>> config = AudioModalityConfig(representation="log_mel_spectrogram", spectral="whisper", duration=1.0)
            >>> modality = AudioModality(config)
            >>> modality.encode(np.ones((2, 16000), np.float32), lengths=[16000, 8000]).shape, modality.n_frames(8000)
            ((2, 80, 100), 50)
        """
        import numpy as np

        from artifex.generative_models.modalities.audio.preprocessing.levels import to_float

        shape = np.shape(audio)
        is_expected = bool(shape) and shape[-1] == self.n_time_steps
        if lengths is None:
            if not is_expected:
                is_transposed = len(shape) > 1 and shape[-2] == self.n_time_steps
                remedy = (
                    "transpose it"
                    if is_transposed
                    else f"use trim_or_pad(audio, {self.n_time_steps}), or pass the lengths of a padded batch"
                )
                raise ValueError(
                    f"encode: audio must have shape (..., {self.n_time_steps}), {self.config.duration} s at "
                    f"{self.config.sample_rate} Hz, got {shape}; {remedy}"
                )
            return self.representation.encode(to_float(audio))
        if not is_expected and shape and shape[-1]:
            longer = self.config.evolve(duration=shape[-1] / self.config.sample_rate)
            return AudioModality(longer).encode(audio, lengths=lengths)
        return self.representation.encode(to_float(audio), lengths=lengths)

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
