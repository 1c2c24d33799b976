"""The spectral configuration: every convention of the analysis in one hashable place."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, Self

import attrs
import jax
import numpy as np
from numpy.typing import NDArray

from artifex.generative_models.core import UnknownComponentError
from artifex.generative_models.core.checks import (
    check_choice,
    check_flag,
    check_integer,
    check_number,
    field_check,
    plain_number,
)
from artifex.generative_models.core.configuration import Configuration, ExtensionConfig
from artifex.generative_models.core.errors import suggest
from artifex.generative_models.extensions.audio_processing.spectral.cepstral import DCT_NORMS
from artifex.generative_models.extensions.audio_processing.spectral.filterbanks import NORMS, SHAPES, filter_bank
from artifex.generative_models.extensions.audio_processing.spectral.framing import PAD_MODES
from artifex.generative_models.extensions.audio_processing.spectral.levels import LOGS
from artifex.generative_models.extensions.audio_processing.spectral.scales import SCALES
from artifex.generative_models.extensions.audio_processing.spectral.windows import window_spec, window_table


def _optional(check: Callable[..., None], **bounds: Any) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    validator: Callable[[Any, attrs.Attribute[Any], Any], None] = attrs.validators.optional(
        field_check(check, **bounds)
    )
    return validator


_FRAME_COUNTS = ("fit", "drop_last", "round")


@attrs.frozen(kw_only=True)
class SpectralConfig(Configuration):
    """How audio is analyzed; the defaults are librosa's, but for 13 cepstra. What is None follows from the rest.

    Args:
        sample_rate: Samples per second, Hz.
        input_scale: What samples are multiplied by first, above 0: 32768 for a tool that works on 16-bit values.
        n_fft: Length of the Fourier transform in samples, at least 2; odd lengths work.
        hop_length: Samples from one frame to the next, at most ``win_length``; None for a quarter of
            ``n_fft``.
        win_length: Length of the window in samples, at most ``n_fft``; None for ``n_fft``.
        window_type: A registered window's name, a ``(name, options)`` pair, a mapping with ``name`` and
            options, or a function ``f(length, *, periodic=True)``.
        window_periodic: Whether the window is periodic, for spectra, or symmetric, as in Kaldi and HTK.
        window_place: Where the window lies in ``n_fft`` samples: ``"center"`` (librosa, torch: frames are
            ``n_fft`` long) or ``"start"`` (Kaldi, HTK: frames are ``win_length`` long, zeros follow).
        center: Whether frame t is centered on sample ``t * hop_length``, the ends padded by half a frame; else it
            starts there.
        pad_length: Samples added at either end in the place of what ``center`` says; None for that.
        pad_mode: What the ends are padded with: ``"constant"`` (zeros), ``"reflect"`` (a mirror in the last
            sample) or ``"symmetric"`` (a mirror behind it).
        frame_count: How many frames there are: ``"fit"`` (as many as fit into the padded clip), ``"drop_last"``
            (one fewer, as Whisper), or ``"round"`` (the length in hops, rounded, as Kaldi without snip_edges).
        remove_dc: Whether each frame's mean is taken away.
        preemphasis: Each frame is filtered by ``x[n] - preemphasis * x[n - 1]``, its first sample standing for the
            one before it; 0 to 1.
        power: 2 for mel bands of power, 1 of magnitude.
        power_offset: Added to the power before anything else, at least 0; keeps gradients of magnitudes finite
            in HiFi-GAN.
        n_mels: Number of mel bands, at most ``n_fft // 2 + 1``.
        f_min: Lower edge of the mel bands, Hz.
        f_max: Upper edge of the mel bands, Hz, at most half the sample rate, which None stands for.
        mel_scale: Where the bands are evenly spaced: on ``"slaney"``, ``"htk"``, ``"kaldi"``, ``"bark"``, ``"erb"``
            or ``"linear"``; see ``hz_to_mel``.
        mel_norm: The size of each filter: ``"slaney"`` (area 1), ``"l1"``, ``"l2"`` or None (peak 1).
        filter_shape: The shape of the filters: ``"hz"``, ``"scale"``, ``"symmetric"`` or ``"gammatone"``; see
            ``filter_bank``.
        log: The unit of levels: ``"db"``, ``"ln"`` or ``"log10"``.
        ref: The power (magnitude where ``power`` is 1) that has level 0.
        amin: The power (magnitude) that takes the place of anything below it, before the logarithm.
        top_db: How far below the loudest value of an example levels may fall, dB, whatever their unit; None for
            as far as they fall.
        level_offset: Added to levels at last.
        level_scale: What they are then multiplied by, not 0.
        n_mfcc: Number of cepstral coefficients unless a call says otherwise, at most ``n_mels``; None for 13, or
            ``n_mels`` where that is less.
        dct_norm: ``"ortho"`` (orthonormal), ``"htk"`` (``sqrt(2 / n_mels)`` for all coefficients) or None (2).
        lifter: Coefficient n is multiplied by ``1 + lifter / 2 * sin(pi n / lifter)``; 0 for none.
        c0_last: Whether the first coefficient comes last, as HTK writes it.
        use_energy: Whether the logarithm of a frame's energy takes the place of the first coefficient.
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

    sample_rate: int = attrs.field(
        default=22050, converter=plain_number, validator=field_check(check_integer, minimum=1, unit="Hz")
    )
    input_scale: float = attrs.field(
        default=1.0, converter=plain_number, validator=field_check(check_number, above=0.0)
    )
    n_fft: int = attrs.field(
        default=2048, converter=plain_number, validator=field_check(check_integer, minimum=2, unit="samples")
    )
    hop_length: int | None = attrs.field(
        default=None, converter=plain_number, validator=_optional(check_integer, minimum=1, unit="samples")
    )
    win_length: int | None = attrs.field(
        default=None, converter=plain_number, validator=_optional(check_integer, minimum=1, unit="samples")
    )
    window_type: Any = attrs.field(default="hann", converter=window_spec)
    window_periodic: bool = attrs.field(default=True, validator=field_check(check_flag))
    window_place: str = attrs.field(default="center", validator=field_check(check_choice, choices=("center", "start")))
    center: bool = attrs.field(default=True, validator=field_check(check_flag))
    pad_length: int | None = attrs.field(
        default=None, converter=plain_number, validator=_optional(check_integer, minimum=0, unit="samples")
    )
    pad_mode: str = attrs.field(default="constant", validator=field_check(check_choice, choices=PAD_MODES))
    frame_count: str = attrs.field(default="fit", validator=field_check(check_choice, choices=_FRAME_COUNTS))
    remove_dc: bool = attrs.field(default=False, validator=field_check(check_flag))
    preemphasis: float = attrs.field(
        default=0.0, converter=plain_number, validator=field_check(check_number, minimum=0.0, maximum=1.0)
    )
    power: int = attrs.field(default=2, converter=plain_number, validator=field_check(check_choice, choices=(1, 2)))
    power_offset: float = attrs.field(
        default=0.0, converter=plain_number, validator=field_check(check_number, minimum=0.0)
    )
    n_mels: int = attrs.field(default=128, converter=plain_number, validator=field_check(check_integer, minimum=1))
    f_min: float = attrs.field(
        default=0.0, converter=plain_number, validator=field_check(check_number, minimum=0.0, unit="Hz")
    )
    f_max: float | None = attrs.field(
        default=None, converter=plain_number, validator=_optional(check_number, above=0.0, unit="Hz")
    )
    mel_scale: str = attrs.field(default="slaney", validator=field_check(check_choice, choices=tuple(SCALES)))
    mel_norm: str | None = attrs.field(default="slaney", validator=field_check(check_choice, choices=NORMS))
    filter_shape: str = attrs.field(default="hz", validator=field_check(check_choice, choices=tuple(SHAPES)))
    log: str = attrs.field(default="db", validator=field_check(check_choice, choices=LOGS))
    ref: float = attrs.field(default=1.0, converter=plain_number, validator=field_check(check_number, above=0.0))
    amin: float = attrs.field(default=1e-10, converter=plain_number, validator=field_check(check_number, above=0.0))
    top_db: float | None = attrs.field(
        default=80.0, converter=plain_number, validator=_optional(check_number, minimum=0.0, unit="dB")
    )
    level_offset: float = attrs.field(default=0.0, converter=plain_number, validator=field_check(check_number))
    level_scale: float = attrs.field(default=1.0, converter=plain_number, validator=field_check(check_number))
    n_mfcc: int | None = attrs.field(
        default=None, converter=plain_number, validator=_optional(check_integer, minimum=1)
    )
    dct_norm: str | None = attrs.field(default="ortho", validator=field_check(check_choice, choices=DCT_NORMS))
    lifter: float = attrs.field(default=0.0, converter=plain_number, validator=field_check(check_number, minimum=0.0))
    c0_last: bool = attrs.field(default=False, validator=field_check(check_flag))
    use_energy: bool = attrs.field(default=False, validator=field_check(check_flag))
    rolloff_share: float = attrs.field(
        default=0.85, converter=plain_number, validator=field_check(check_number, above=0.0, maximum=1.0)
    )

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
    def n_cepstra(self) -> int:
        """Number of cepstral coefficients."""
        return min(13, self.n_mels) if self.n_mfcc is None else self.n_mfcc

    @property
    def frame(self) -> int:
        """Length of a frame in samples: of what is cut out and, zeros added, transformed."""
        return self.n_fft if self.window_place == "center" else self.win

    @property
    def padding(self) -> int:
        """Samples that are added at either end."""
        if self.pad_length is not None:
            return self.pad_length
        return self.frame // 2 if self.center else 0

    def n_frames(self, length: Any) -> Any:
        """Return the number of frames of clips.

        Args:
            length: Their lengths in samples, an integer or an array of them.

        Returns:
            The numbers of frames, as ``length``; 0 when it is too short for one.

        Example:
            >>> SpectralConfig().n_frames(22050), SpectralConfig(center=False).n_frames(2047)
            (44, 0)
        """
        if isinstance(length, np.ndarray | np.generic):
            length = length.astype(np.int64)
        elif isinstance(length, jax.Array):
            length = length.astype(np.int32)
        if self.frame_count == "round":
            return (length + self.hop // 2) // self.hop
        fitting = 1 + (length + 2 * self.padding - self.frame) // self.hop - (self.frame_count == "drop_last")
        return fitting * ((fitting > 0) & (length > 0))

    @property
    def plain(self) -> Self:
        """The same without what frames go through before their transform: scaling, removed means, pre-emphasis."""
        return self.evolve(input_scale=1.0, remove_dc=False, preemphasis=0.0)

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """The frequencies of a spectrum's bins in Hz, (n_freq,)."""
        return np.arange(self.n_freq, dtype=np.float64) * (self.sample_rate / self.n_fft)

    @property
    def least_length(self) -> int:
        """The shortest clip that makes a frame, samples."""
        if self.frame_count == "round":
            return self.hop - self.hop // 2
        dropped = self.hop if self.frame_count == "drop_last" else 0
        return max(1, self.frame + dropped - 2 * self.padding)

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
            window_table(self.window_type, self.win, self.window_periodic)
        except (UnknownComponentError, ValueError) as error:
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
        if self.n_cepstra > self.n_mels:
            raise ValueError(
                f"SpectralConfig: n_mfcc {self.n_mfcc} is above n_mels {self.n_mels}: there are no more coefficients "
                f"than mel bands"
            )
        if self.level_scale == 0:
            raise ValueError("SpectralConfig: level_scale 0 would make every level 0; leave it at 1")
        _warn_of_empty_filters(
            self.sample_rate, self.n_fft, self.n_mels, self.f_min, self.f_top, self.mel_scale, self.filter_shape
        )


@cache
def _warn_of_empty_filters(
    sample_rate: int, n_fft: int, n_mels: int, f_min: float, f_max: float, mel_scale: str, filter_shape: str
) -> None:
    """Say once which filters fall between two bins."""

    def empty(length: int) -> list[int]:
        filters = filter_bank(
            sample_rate=sample_rate,
            n_fft=length,
            n_mels=n_mels,
            f_min=f_min,
            f_max=f_max,
            mel_scale=mel_scale,
            filter_shape=filter_shape,
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
