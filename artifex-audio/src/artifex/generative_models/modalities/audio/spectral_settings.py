"""Access to artifex-spectral, which artifex-audio does not import: presets, settings and the extension, by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

from artifex.generative_models.core import MissingDependencyError, UnknownComponentError, kinds, registry
from artifex.generative_models.core.configuration import Configuration, ExtensionConfig

if TYPE_CHECKING:
    import jax
    import numpy as np
    from jax.typing import ArrayLike


class SpectralSettings(Protocol):
    """The members of a ``SpectralConfig`` that artifex-audio uses; artifex-spectral documents them."""

    @property
    def sample_rate(self) -> int:
        """Sample rate in Hz."""
        ...

    @property
    def n_fft(self) -> int:
        """FFT length in samples."""
        ...

    @property
    def n_freq(self) -> int:
        """Number of frequency bins."""
        ...

    @property
    def n_mels(self) -> int:
        """Number of mel bands."""
        ...

    @property
    def hop(self) -> int:
        """Samples between successive frames."""
        ...

    @property
    def frame_length(self) -> int:
        """Samples in a frame."""
        ...

    @property
    def padding(self) -> int:
        """Samples of padding at both ends."""
        ...

    @property
    def frame_count(self) -> str:
        """Rule for the number of frames."""
        ...

    @property
    def power(self) -> int:
        """Exponent of the magnitude spectrum before the mel filters."""
        ...

    @property
    def min_length(self) -> int:
        """Minimum number of samples for one frame."""
        ...

    def __hash__(self) -> int: ...

    def n_frames(self, length: Any) -> Any:
        """Return the number of frames of signals."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain values."""
        ...

    def evolve(self, **changes: Any) -> Self:
        """Return a copy in which some fields are replaced."""
        ...


class SpectralExtension(Protocol):
    """The members of the extension ``spectral`` that artifex-audio uses; artifex-spectral documents them."""

    @property
    def config(self) -> SpectralSettings:
        """The configuration of the analysis."""
        ...

    def stft(self, audio: ArrayLike, *, lengths: ArrayLike | None = None) -> jax.Array:
        """Compute complex STFTs."""
        ...

    def istft(self, spectrum: ArrayLike, *, length: int, min_coverage: float = 0.0) -> jax.Array:
        """Invert complex STFTs."""
        ...

    def compute_mel_spectrogram(self, audio: ArrayLike, *, lengths: ArrayLike | None = None) -> jax.Array:
        """Compute mel power spectrograms."""
        ...

    def compute_log_mel_spectrogram(self, audio: ArrayLike, *, lengths: ArrayLike | None = None) -> jax.Array:
        """Compute mel spectrograms in dB."""
        ...

    def mel_to_audio(self, mel: ArrayLike, *, length: int, key: jax.Array | None = None) -> jax.Array:
        """Reconstruct waveforms from mel power spectrograms."""
        ...

    def log_mel_to_audio(self, levels: ArrayLike, *, length: int, key: jax.Array | None = None) -> jax.Array:
        """Reconstruct waveforms from mel spectrograms in dB."""
        ...

    def time_stretch(self, audio: ArrayLike, rate: ArrayLike, *, length: int) -> jax.Array:
        """Change the duration of waveforms without changing their pitch."""
        ...

    def band_frequencies(self) -> np.ndarray:
        """Return the center frequencies of the mel bands in Hz."""
        ...


def spectral_settings(spectral: str | Mapping[str, object] | Configuration) -> SpectralSettings:
    """Return the settings of a spectral analysis.

    Args:
        spectral: The name of a registered preset, such as ``"whisper"``; a ``SpectralConfig``; or its fields.

    Returns:
        The ``SpectralConfig``.

    Raises:
        MissingDependencyError: Without artifex-spectral.
        UnknownComponentError: For a preset that is not installed.
        TypeError: For another type.
        ValueError: For invalid fields.

    Example:
        >>> spectral_settings("whisper").hop, spectral_settings({"n_fft": 1024}).hop
        (160, 256)
    """
    if isinstance(spectral, str):
        if "preset" not in kinds():
            raise _missing(f"spectral={spectral!r}")
        spectral = registry("preset")[spectral]
    elif isinstance(spectral, Mapping):
        return _create_extension("spectral", spectral).config
    if not isinstance(spectral, Configuration) or not hasattr(spectral, "n_mels"):
        raise TypeError(
            f"spectral must be the name of a preset, a SpectralConfig or a mapping of its fields, got {spectral!r} "
            f"({type(spectral).__name__})"
        )
    return cast(SpectralSettings, spectral)


@cache
def spectral_extension(purpose: str, **options: Any) -> SpectralExtension:
    """Create the extension ``spectral`` of artifex-spectral.

    Args:
        purpose: Subject of the error message, such as ``"The representation 'stft'"``.
        **options: Its options, such as ``n_fft``.

    Returns:
        The extension, the same object for equal options.

    Raises:
        MissingDependencyError: Without artifex-spectral.
    """
    return _create_extension(purpose, options)


@cache
def extension_of(settings: SpectralSettings) -> SpectralExtension:
    """Create the extension ``spectral`` with given settings.

    Args:
        settings: A ``SpectralConfig``.

    Returns:
        The extension, the same object for equal settings.
    """
    return _create_extension("The spectral analysis", settings.to_dict())


def _create_extension(purpose: str, options: Mapping[str, Any]) -> SpectralExtension:
    try:
        extension = registry("extension")["spectral"]
    except UnknownComponentError as error:
        raise _missing(purpose) from error
    return cast(SpectralExtension, extension(config=ExtensionConfig(extensions={"spectral": options}), rngs=None))


def _missing(purpose: str) -> MissingDependencyError:
    return MissingDependencyError(
        f"{purpose} needs the extension 'spectral', which is not installed: pip install artifex-spectral"
    )
