"""SpectralConfig: a hashable object with all settings of the analysis, and the valid values of its options."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Self, TypeVar, overload

import attrs
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from artifex.generative_models.core import UnknownComponentError
from artifex.generative_models.core.checks import (
    check_choice,
    check_flag,
    check_integer,
    check_number,
    field_check,
    optional_float,
    optional_int,
    plain_float,
    plain_int,
)
from artifex.generative_models.core.configuration import Configuration, ExtensionConfig
from artifex.generative_models.core.errors import suggest
from artifex.generative_models.extensions.audio_processing.spectral.scales import MEL_SCALES, mel_frequencies
from artifex.generative_models.extensions.audio_processing.spectral.windows import (
    WindowSpec,
    hashable_window,
    window_table,
)

WINDOW_PLACES = ("center", "start")
PAD_MODES = ("constant", "reflect", "symmetric")
FRAME_COUNTS = ("fit", "drop_last", "round")
MEL_NORMS = ("slaney", "l1", "l2", None)
FILTER_SHAPES = ("hz", "scale", "symmetric", "gammatone")
LOGS = ("db", "ln", "log10")
DCT_NORMS = ("ortho", "htk", None)

_Lengths = TypeVar("_Lengths", int, jax.Array, NDArray[np.int64])

_Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def _integer(minimum: int, unit: str = "") -> _Validator:
    return field_check(check_integer, minimum=minimum, unit=unit)


def _number(**bounds: Any) -> _Validator:
    return field_check(check_number, **bounds)


def _choice(*choices: Any) -> _Validator:
    return field_check(check_choice, choices=choices)


def _optional(validator: _Validator) -> _Validator:
    optional: _Validator = attrs.validators.optional(validator)
    return optional


@attrs.frozen(kw_only=True)
class SpectralConfig(Configuration):
    """Settings of the spectral analysis. The defaults are librosa's, except for ``n_mfcc``, which is 13.

    Args:
        sample_rate: Sample rate in Hz.
        input_scale: Factor applied to the samples first, above 0: 32768 for tools that work on 16-bit values.
        n_fft: FFT length in samples, at least 2; may be odd.
        hop_length: Samples between successive frames, at most ``win_length``; None for ``n_fft // 4``.
        win_length: Window length in samples, at most ``n_fft``; None for ``n_fft``.
        window_type: Registered name of a window, a ``(name, options)`` pair, a mapping with ``name`` and options, or a
            function ``f(length, *, periodic=True)``.
        window_periodic: True for a periodic window, False for a symmetric one, as in Kaldi and HTK.
        window_place: Position of the window in the ``n_fft`` samples: ``"center"`` (librosa, torch: frames of
            ``n_fft`` samples) or ``"start"`` (Kaldi, HTK: frames of ``win_length`` samples, zero-padded to ``n_fft``).
        center: Whether frame t is centered on sample ``t * hop_length``, with half a frame of padding at both ends.
            Otherwise frame t starts at that sample.
        pad_length: Samples of padding at both ends; None to derive it from ``center``.
        pad_mode: Values of the padding: ``"constant"`` (zeros), ``"reflect"`` (without repeating the edge sample) or
            ``"symmetric"`` (repeating the edge sample).
        frame_count: Rule for the number of frames: ``"fit"`` (all that fit into the padded signal), ``"drop_last"``
            (one fewer, as in Whisper) or ``"round"`` (``length / hop_length``, rounded, as in Kaldi with
            ``snip_edges=False``).
        remove_dc: Whether the mean of each frame is subtracted.
        preemphasis: Coefficient of the pre-emphasis ``x[n] - preemphasis * x[n - 1]`` of each frame, 0 to 1. The first
            sample of a frame is used in place of the one before it.
        power: Exponent of the magnitude spectrum before the mel filters: 2 for power, 1 for magnitude.
        power_offset: Value added to the power spectrum, at least 0, as in HiFi-GAN, where it keeps gradients of
            magnitudes finite.
        n_mels: Number of mel bands, at most ``n_fft // 2 + 1``.
        f_min: Lower edge of the mel bands in Hz.
        f_max: Upper edge of the mel bands in Hz, at most half the sample rate; None for half the sample rate.
        mel_scale: Scale on which the mel bands are evenly spaced: ``"slaney"``, ``"htk"``, ``"kaldi"``, ``"bark"``,
            ``"erb"`` or ``"linear"``; see ``hz_to_mel``.
        mel_norm: Normalization of the filters: ``"slaney"`` (area 1), ``"l1"``, ``"l2"`` or None (peak 1).
        filter_shape: Shape of the filters: ``"hz"``, ``"scale"``, ``"symmetric"`` or ``"gammatone"``; see
            ``filter_bank``.
        log: Unit of log-mel levels: ``"db"``, ``"ln"`` or ``"log10"``.
        ref: Reference power (magnitude if ``power`` is 1), whose level is 0.
        amin: Minimum power (magnitude); smaller values are replaced by it before the logarithm.
        top_db: Dynamic range in dB, for any ``log``; levels more than ``top_db`` below the maximum of the example are
            clipped. None for no clipping.
        level_offset: Value added to levels, in their unit.
        level_scale: Factor applied to levels after ``level_offset`` is added, not 0.
        n_mfcc: Number of cepstral coefficients, at most ``n_mels``; None for 13, or ``n_mels`` if that is smaller.
        dct_norm: Normalization of the DCT-II: ``"ortho"`` (orthonormal), ``"htk"`` (factor ``sqrt(2 / n_mels)`` for all
            coefficients) or None (factor 2, as in scipy).
        lifter: Cepstral lifter: coefficient n is multiplied by ``1 + lifter / 2 * sin(pi n / lifter)``; 0 for none.
        c0_last: Whether coefficient 0 is the last one, as in HTK.
        use_energy: Whether coefficient 0 is replaced by the log energy of the frame.
        rolloff_fraction: Fraction of the magnitude of a frame below the rolloff frequency, above 0 and at most 1;
            librosa's ``roll_percent``.

    Raises:
        TypeError: If a value has the wrong type, or a field does not exist (the nearest one is suggested).
        ValueError: If a value is out of range, values contradict each other, or the window is unknown.

    Example:
        >>> config = SpectralConfig(sample_rate=16000, n_fft=1024, n_mels=80)
        >>> config.hop, config.n_freq, config.n_frames(32000)
        (256, 513, 126)
        >>> SpectralConfig(window_type="han")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: SpectralConfig.window_type: no window 'han' is installed. Did you mean 'hann' or ...
    """

    sample_rate: int = attrs.field(default=22050, converter=plain_int, validator=_integer(1, "Hz"))
    input_scale: float = attrs.field(default=1.0, converter=plain_float, validator=_number(above=0.0))
    n_fft: int = attrs.field(default=2048, converter=plain_int, validator=_integer(2, "samples"))
    hop_length: int | None = attrs.field(
        default=None, converter=optional_int, validator=_optional(_integer(1, "samples"))
    )
    win_length: int | None = attrs.field(
        default=None, converter=optional_int, validator=_optional(_integer(1, "samples"))
    )
    window_type: WindowSpec = attrs.field(default="hann", converter=hashable_window)
    window_periodic: bool = attrs.field(default=True, validator=field_check(check_flag))
    window_place: str = attrs.field(default="center", validator=_choice(*WINDOW_PLACES))
    center: bool = attrs.field(default=True, validator=field_check(check_flag))
    pad_length: int | None = attrs.field(
        default=None, converter=optional_int, validator=_optional(_integer(0, "samples"))
    )
    pad_mode: str = attrs.field(default="constant", validator=_choice(*PAD_MODES))
    frame_count: str = attrs.field(default="fit", validator=_choice(*FRAME_COUNTS))
    remove_dc: bool = attrs.field(default=False, validator=field_check(check_flag))
    preemphasis: float = attrs.field(default=0.0, converter=plain_float, validator=_number(minimum=0.0, maximum=1.0))
    power: int = attrs.field(default=2, converter=plain_int, validator=_choice(1, 2))
    power_offset: float = attrs.field(default=0.0, converter=plain_float, validator=_number(minimum=0.0))
    n_mels: int = attrs.field(default=128, converter=plain_int, validator=_integer(1))
    f_min: float = attrs.field(default=0.0, converter=plain_float, validator=_number(minimum=0.0, unit="Hz"))
    f_max: float | None = attrs.field(
        default=None, converter=optional_float, validator=_optional(_number(above=0.0, unit="Hz"))
    )
    mel_scale: str = attrs.field(default="slaney", validator=_choice(*MEL_SCALES))
    mel_norm: str | None = attrs.field(default="slaney", validator=_choice(*MEL_NORMS))
    filter_shape: str = attrs.field(default="hz", validator=_choice(*FILTER_SHAPES))
    log: str = attrs.field(default="db", validator=_choice(*LOGS))
    ref: float = attrs.field(default=1.0, converter=plain_float, validator=_number(above=0.0))
    amin: float = attrs.field(default=1e-10, converter=plain_float, validator=_number(above=0.0))
    top_db: float | None = attrs.field(
        default=80.0, converter=optional_float, validator=_optional(_number(minimum=0.0, unit="dB"))
    )
    level_offset: float = attrs.field(default=0.0, converter=plain_float, validator=_number())
    level_scale: float = attrs.field(default=1.0, converter=plain_float, validator=_number())
    n_mfcc: int | None = attrs.field(default=None, converter=optional_int, validator=_optional(_integer(1)))
    dct_norm: str | None = attrs.field(default="ortho", validator=_choice(*DCT_NORMS))
    lifter: float = attrs.field(default=0.0, converter=plain_float, validator=_number(minimum=0.0))
    c0_last: bool = attrs.field(default=False, validator=field_check(check_flag))
    use_energy: bool = attrs.field(default=False, validator=field_check(check_flag))
    rolloff_fraction: float = attrs.field(
        default=0.85, converter=plain_float, validator=_number(above=0.0, maximum=1.0)
    )

    def __attrs_post_init__(self) -> None:
        """Validate fields that depend on each other."""
        if self.win > self.n_fft:
            raise ValueError(
                f"SpectralConfig: win_length must be at most n_fft {self.n_fft}, got {self.win}; lower win_length or "
                f"raise n_fft"
            )
        if self.hop > self.win:
            raise ValueError(
                f"SpectralConfig: hop_length must be at most the window length of {self.win} samples (n_fft "
                f"{self.n_fft}), or samples would be skipped, got {self.hop}; lower hop_length"
            )
        self._check_window()
        self._check_mel()

    @property
    def hop(self) -> int:
        """Samples between successive frames."""
        return max(1, self.n_fft // 4) if self.hop_length is None else self.hop_length

    @property
    def win(self) -> int:
        """Window length in samples."""
        return self.n_fft if self.win_length is None else self.win_length

    @property
    def f_top(self) -> float:
        """Upper edge of the mel bands in Hz."""
        return self.sample_rate / 2 if self.f_max is None else self.f_max

    @property
    def n_freq(self) -> int:
        """Number of frequency bins."""
        return self.n_fft // 2 + 1

    @property
    def n_cepstra(self) -> int:
        """Number of cepstral coefficients."""
        return min(13, self.n_mels) if self.n_mfcc is None else self.n_mfcc

    @property
    def frame_length(self) -> int:
        """Samples in a frame, before zero-padding to ``n_fft``."""
        return self.n_fft if self.window_place == "center" else self.win

    @property
    def padding(self) -> int:
        """Samples of padding at both ends."""
        if self.pad_length is not None:
            return self.pad_length
        return self.frame_length // 2 if self.center else 0

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """Frequencies of the bins in Hz, (n_freq,)."""
        return np.arange(self.n_freq, dtype=np.float64) * (self.sample_rate / self.n_fft)

    @property
    def min_length(self) -> int:
        """Minimum number of samples for one frame."""
        if self.frame_count == "round":
            return self.hop - self.hop // 2
        dropped = self.hop if self.frame_count == "drop_last" else 0
        return max(1, self.frame_length + dropped - 2 * self.padding)

    @overload
    def n_frames(self, length: int) -> int: ...

    @overload
    def n_frames(self, length: jax.Array) -> jax.Array: ...

    @overload
    def n_frames(self, length: np.ndarray | Sequence[int]) -> NDArray[np.int64]: ...

    def n_frames(self, length: int | jax.Array | np.ndarray | Sequence[int]) -> int | jax.Array | NDArray[np.int64]:
        """Return the number of frames of signals, such as the number of valid frames of padded examples.

        Args:
            length: Lengths in samples, an integer or an array.

        Returns:
            Numbers of frames, an int for an int, else an array; 0 for signals shorter than ``min_length``.

        Example:
            >>> SpectralConfig().n_frames(22050), SpectralConfig(center=False).n_frames(2047)
            (44, 0)
            >>> SpectralConfig().n_frames([22050, 11025]).tolist()
            [44, 22]
        """
        if isinstance(length, int):
            return self._count_frames(length) if length >= self.min_length else 0
        if isinstance(length, jax.Array):
            length = length.astype(np.int32)
            return jnp.where(length < self.min_length, 0, self._count_frames(length))
        length = np.asarray(length).astype(np.int64)
        return np.where(length < self.min_length, 0, self._count_frames(length))

    def _count_frames(self, length: _Lengths) -> _Lengths:
        """Count the frames of signals that are not shorter than ``min_length``."""
        if self.frame_count == "round":
            return (length + self.hop // 2) // self.hop
        n_dropped = int(self.frame_count == "drop_last")
        return 1 + (length + 2 * self.padding - self.frame_length) // self.hop - n_dropped

    def without_frame_processing(self) -> Self:
        """Return the configuration without input scaling, DC removal and pre-emphasis."""
        return self.evolve(input_scale=1.0, remove_dc=False, preemphasis=0.0)

    @classmethod
    def from_extension(cls, config: ExtensionConfig) -> Self:
        """Create the configuration from ``config.extensions["spectral"]``; missing fields have their defaults.

        Args:
            config: Configuration of an extension.

        Returns:
            The spectral configuration.

        Raises:
            ValueError: If a key is unknown (the nearest one is suggested) or a value is invalid.

        Example:
            >>> SpectralConfig.from_extension(ExtensionConfig(extensions={"spectral": {"n_fft": 1024}})).hop
            256
        """
        near = [] if "spectral" in config.extensions else [n for n in config.extensions if suggest(n, ["spectral"])]
        if near:
            raise ValueError(f"ExtensionConfig.extensions has no key 'spectral', got {near[0]!r}; rename it")
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
                f"SpectralConfig: f_max must be at most {self.sample_rate / 2} Hz, half the sample rate, got "
                f"{self.f_top} Hz; lower f_max or leave it out"
            )
        if self.f_min >= self.f_top:
            raise ValueError(
                f"SpectralConfig: f_min must be below f_max {self.f_top} Hz, got {self.f_min} Hz; lower f_min"
            )
        if self.n_mels > self.n_freq:
            raise ValueError(
                f"SpectralConfig: n_mels must be at most {self.n_freq}, the number of frequency bins for n_fft "
                f"{self.n_fft}, got {self.n_mels}; lower n_mels or raise n_fft to at least {2 * self.n_mels - 2}"
            )
        if self.n_cepstra > self.n_mels:
            raise ValueError(
                f"SpectralConfig: n_mfcc must be at most n_mels {self.n_mels}, got {self.n_mfcc}; lower n_mfcc or raise "
                f"n_mels"
            )
        if self.level_scale == 0:
            raise ValueError("SpectralConfig: level_scale must not be 0, or all levels would be 0; leave it at 1")
        _warn_of_empty_filters(
            self.sample_rate, self.n_fft, self.n_mels, self.f_min, self.f_top, self.mel_scale, self.filter_shape
        )


@cache
def _warn_of_empty_filters(
    sample_rate: int, n_fft: int, n_mels: int, f_min: float, f_max: float, mel_scale: str, filter_shape: str
) -> None:
    """Warn once about mel filters that contain no frequency bin."""
    if filter_shape == "gammatone":  # positive everywhere
        return
    edges = mel_frequencies(n_mels + 2, f_min=f_min, f_max=f_max, mel_scale=mel_scale)
    lower, upper = edges[:-2], edges[2:]
    if filter_shape == "symmetric":
        upper = 2 * edges[1:-1] - lower
    empty = _without_bins(lower, upper, sample_rate, n_fft)
    if not len(empty):
        return
    sufficient = 1 << n_fft.bit_length()
    while sufficient < 2**20 and len(_without_bins(lower, upper, sample_rate, sufficient)):
        sufficient *= 2
    listed = ", ".join(map(str, empty[:12])) + (", …" if len(empty) > 12 else "")
    warnings.warn(
        f"{len(empty)} of {n_mels} mel filters are empty and always return 0 (filters {listed}): the frequency bins of "
        f"n_fft {n_fft} are {sample_rate / n_fft:.1f} Hz apart, more than the width of these filters. Raise n_fft to "
        f"{sufficient} or lower n_mels",
        UserWarning,
        stacklevel=5,
    )


def _without_bins(
    lower: NDArray[np.float64], upper: NDArray[np.float64], sample_rate: int, n_fft: int
) -> NDArray[np.intp]:
    """Return the indices of the open frequency intervals that contain no bin of the FFT."""
    # The first bin above the lower edge is one of these three, also after rounding.
    near = np.floor(lower * n_fft / sample_rate)[:, None] + np.arange(3)
    frequencies = near * sample_rate / n_fft
    inside = (frequencies > lower[:, None]) & (frequencies < upper[:, None]) & (near <= n_fft // 2)
    return np.flatnonzero(~inside.any(axis=1))
