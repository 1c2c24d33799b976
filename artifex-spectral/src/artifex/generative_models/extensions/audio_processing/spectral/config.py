"""The spectral configuration: every convention of the analysis in one hashable place."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Self

import attrs
import numpy as np

from artifex.generative_models.core import UnknownComponentError
from artifex.generative_models.core.checks import (
    check_choice,
    check_flag,
    check_integer,
    check_number,
    field_check,
)
from artifex.generative_models.core.configuration import Configuration, ExtensionConfig
from artifex.generative_models.core.errors import suggest
from artifex.generative_models.extensions.audio_processing.spectral.mel import (
    MEL_NORMS,
    MEL_SCALES,
    mel_filter_bank,
)
from artifex.generative_models.extensions.audio_processing.spectral.stft import PAD_MODES
from artifex.generative_models.extensions.audio_processing.spectral.windows import window_table


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


def _window_spec(value: Any) -> Any:
    if isinstance(value, Mapping) and "name" in value:
        value = (value["name"], {k: v for k, v in value.items() if k != "name"})
    if isinstance(value, list | tuple) and len(value) == 2 and isinstance(value[1], Mapping | list | tuple):
        name, options = value
        pairs = options.items() if isinstance(options, Mapping) else options
        return (name, tuple(sorted((k, _hashable(v)) for k, v in pairs))) if options else name
    return value


def _optional(check: Callable[..., None], **bounds: Any) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    validator: Callable[[Any, attrs.Attribute[Any], Any], None] = attrs.validators.optional(
        field_check(check, **bounds)
    )
    return validator


@attrs.frozen(kw_only=True)
class SpectralConfig(Configuration):
    """How audio is analysed; the defaults are librosa's. What is None follows from the rest.

    Args:
        sample_rate: Samples per second, Hz.
        n_fft: Length of the Fourier transform in samples, at least 2; odd lengths work.
        hop_length: Samples from one frame to the next, at most ``win_length``; None for a quarter of
            ``n_fft``.
        win_length: Length of the window in samples, at most ``n_fft`` and centred in it; None for ``n_fft``.
        window_type: A registered window's name, a ``(name, options)`` pair, a mapping with ``name`` and
            options, or a function ``f(length, *, periodic=True)``.
        center: Whether frame t is centred on sample ``t * hop_length``, the ends padded; else it starts
            there.
        pad_mode: What the ends are padded with: ``"constant"`` (zeros) or ``"reflect"``.
        n_mels: Number of mel bands, at most ``n_fft // 2 + 1``.
        f_min: Lower edge of the mel bands, Hz.
        f_max: Upper edge of the mel bands, Hz, at most half the sample rate, which None stands for.
        mel_scale: ``"slaney"`` (linear to 1 kHz, logarithmic above) or ``"htk"``.
        mel_norm: ``"slaney"`` (each filter of area 1) or None (each of peak 1).
        ref: The power that is 0 dB.
        amin: The power that takes the place of anything below it, before the logarithm.
        top_db: How far below the loudest value of an example levels may fall, dB; None for as far as they
            fall.
        rolloff_share: The share of a frame's magnitude that lies at or below its rolloff, between 0 and 1.

    Raises:
        TypeError: For a value of the wrong type, or a key that there is not (the nearest one is named).
        ValueError: For a value out of range, values that do not go together, or an unknown window.

    Example:
        >>> config = SpectralConfig(sample_rate=16000, n_fft=1024, n_mels=80)
        >>> config.hop, config.n_freq, config.n_frames(32000)
        (256, 513, 126)
        >>> SpectralConfig(window_type="han")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: SpectralConfig.window_type: no window 'han' is installed. Did you mean 'hann' or ...
    """

    sample_rate: int = attrs.field(default=22050, validator=field_check(check_integer, minimum=1, unit="Hz"))
    n_fft: int = attrs.field(default=2048, validator=field_check(check_integer, minimum=2, unit="samples"))
    hop_length: int | None = attrs.field(default=None, validator=_optional(check_integer, minimum=1, unit="samples"))
    win_length: int | None = attrs.field(default=None, validator=_optional(check_integer, minimum=1, unit="samples"))
    window_type: Any = attrs.field(default="hann", converter=_window_spec)
    center: bool = attrs.field(default=True, validator=field_check(check_flag))
    pad_mode: str = attrs.field(default="constant", validator=field_check(check_choice, choices=PAD_MODES))
    n_mels: int = attrs.field(default=128, validator=field_check(check_integer, minimum=1))
    f_min: float = attrs.field(default=0.0, validator=field_check(check_number, minimum=0.0, unit="Hz"))
    f_max: float | None = attrs.field(default=None, validator=_optional(check_number, above=0.0, unit="Hz"))
    mel_scale: str = attrs.field(default="slaney", validator=field_check(check_choice, choices=tuple(MEL_SCALES)))
    mel_norm: str | None = attrs.field(default="slaney", validator=field_check(check_choice, choices=MEL_NORMS))
    ref: float = attrs.field(default=1.0, validator=field_check(check_number, above=0.0))
    amin: float = attrs.field(default=1e-10, validator=field_check(check_number, above=0.0))
    top_db: float | None = attrs.field(default=80.0, validator=_optional(check_number, minimum=0.0, unit="dB"))
    rolloff_share: float = attrs.field(default=0.85, validator=field_check(check_number, above=0.0, maximum=1.0))

    def __attrs_post_init__(self) -> None:
        """Check what depends on several fields at once."""
        if self.win > self.n_fft:
            raise ValueError(
                f"SpectralConfig: win_length {self.win} is above n_fft {self.n_fft}; the window has to fit"
            )
        if self.hop > self.win:
            raise ValueError(
                f"SpectralConfig: hop_length {self.hop} is above the window's length of {self.win} samples "
                f"(n_fft {self.n_fft}), so that samples would be skipped; lower it to at most {self.win}"
            )
        self._check_window()
        self._check_mel()

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return max(1, self.n_fft // 4) if self.hop_length is None else self.hop_length

    @property
    def win(self) -> int:
        """Length of the window in samples."""
        return self.n_fft if self.win_length is None else self.win_length

    @property
    def f_top(self) -> float:
        """Upper edge of the mel bands, Hz."""
        return self.sample_rate / 2 if self.f_max is None else self.f_max

    @property
    def n_freq(self) -> int:
        """Number of frequencies of a spectrum."""
        return self.n_fft // 2 + 1

    @property
    def padding(self) -> int:
        """Samples that are added at either end."""
        return self.n_fft // 2 if self.center else 0

    def n_frames(self, length: int) -> int:
        """Return the number of frames of a clip.

        Args:
            length: Its length in samples.

        Returns:
            The number of frames; 0 when it is too short for one.

        Example:
            >>> SpectralConfig().n_frames(22050), SpectralConfig(center=False).n_frames(2047)
            (44, 0)
        """
        return max(0, 1 + (length + 2 * self.padding - self.n_fft) // self.hop)

    @classmethod
    def from_extension(cls, config: ExtensionConfig) -> Self:
        """Read ``config.extensions["spectral"]``; what it leaves out has its default.

        Args:
            config: The configuration of an extension.

        Returns:
            The spectral configuration.

        Raises:
            ValueError: For an unknown key (the nearest one is named) or a value that does not fit.

        Example:
            >>> SpectralConfig.from_extension(ExtensionConfig(extensions={"spectral": {"n_fft": 1024}})).hop
            256
        """
        near = [] if "spectral" in config.extensions else [n for n in config.extensions if suggest(n, ["spectral"])]
        if near:
            raise ValueError(f"ExtensionConfig.extensions has no 'spectral'; did you mean that by {near[0]!r}?")
        return cls.from_dict(config.extensions.get("spectral", {}))

    def _check_window(self) -> None:
        try:
            hash(self.window_type)
        except TypeError as error:
            raise TypeError(
                f"SpectralConfig.window_type has to be a window's name, a (name, options) pair, a mapping "
                f"with 'name' in it, or a function, and hashable, got {self.window_type!r}"
            ) from error
        try:
            window_table(self.window_type, self.win)
        except UnknownComponentError as error:
            raise ValueError(f"SpectralConfig.window_type: {error}") from error
        except TypeError as error:
            raise TypeError(f"SpectralConfig.window_type: {error}") from error

    def _check_mel(self) -> None:
        if self.f_top > self.sample_rate / 2:
            raise ValueError(
                f"SpectralConfig: f_max {self.f_top} Hz is above {self.sample_rate / 2} Hz, half the "
                f"sample rate of {self.sample_rate} Hz; lower f_max or leave it out"
            )
        if self.f_min >= self.f_top:
            raise ValueError(f"SpectralConfig: f_min {self.f_min} Hz has to be below f_max {self.f_top} Hz")
        if self.n_mels > self.n_freq:
            raise ValueError(
                f"SpectralConfig: n_mels {self.n_mels} is more than the {self.n_freq} frequencies of n_fft "
                f"{self.n_fft}; lower n_mels to at most {self.n_freq} or raise n_fft to at least "
                f"{2 * self.n_mels - 2}"
            )
        _warn_of_empty_filters(self.sample_rate, self.n_fft, self.n_mels, self.f_min, self.f_top, self.mel_scale)


@cache
def _warn_of_empty_filters(
    sample_rate: int, n_fft: int, n_mels: int, f_min: float, f_max: float, mel_scale: str
) -> None:
    """Say once which filters fall between two bins."""

    def empty(length: int) -> list[int]:
        filters = mel_filter_bank(
            sample_rate=sample_rate,
            n_fft=length,
            n_mels=n_mels,
            f_min=f_min,
            f_max=f_max,
            mel_scale=mel_scale,
        )
        return [int(i) for i in np.flatnonzero(filters.max(axis=1) == 0)]

    lacking = empty(n_fft)
    if not lacking:
        return
    enough = 1 << n_fft.bit_length()
    while enough < 2**20 and empty(enough):
        enough *= 2
    listed = ", ".join(map(str, lacking[:12])) + (", …" if len(lacking) > 12 else "")
    warnings.warn(
        f"{len(lacking)} of {n_mels} mel filters are empty and always give 0 (filters {listed}): the bins of "
        f"n_fft {n_fft} are {sample_rate / n_fft:.1f} Hz apart, further than they are wide. n_fft {enough} "
        f"fills them all; lowering n_mels helps too",
        UserWarning,
        stacklevel=5,
    )
