"""SpectralAnalysis: the spectral functions of one configuration, as an extension beside a model."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Mapping
from typing import Any, Protocol, cast, overload

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import ArrayLike
from numpy.typing import NDArray

from artifex.generative_models.core import create
from artifex.generative_models.core.configuration import ExtensionConfig
from artifex.generative_models.extensions.audio_processing.spectral.cepstral import lfcc, mfcc
from artifex.generative_models.extensions.audio_processing.spectral.chroma import chroma
from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig
from artifex.generative_models.extensions.audio_processing.spectral.features import (
    onset_strength,
    rms,
    spectral_bandwidth,
    spectral_centroid,
    spectral_contrast,
    spectral_crest,
    spectral_entropy,
    spectral_flatness,
    spectral_flux,
    spectral_rolloff,
    spectral_slope,
    zero_crossing_rate,
)
from artifex.generative_models.extensions.audio_processing.spectral.filterbanks import band_frequencies
from artifex.generative_models.extensions.audio_processing.spectral.framing import Frames
from artifex.generative_models.extensions.audio_processing.spectral.inversion import (
    griffin_lim,
    log_mel_to_audio,
    mel_to_audio,
    mfcc_to_audio,
)
from artifex.generative_models.extensions.audio_processing.spectral.mel import log_mel_spectrogram, mel_spectrogram
from artifex.generative_models.extensions.audio_processing.spectral.pipeline import Feature, feature, finish_all
from artifex.generative_models.extensions.audio_processing.spectral.stft import (
    instantaneous_frequency,
    istft,
    magnitude_spectrogram,
    power_spectrogram,
    stft,
)
from artifex.generative_models.extensions.audio_processing.spectral.vocoder import time_stretch
from artifex.generative_models.extensions.base import ModelExtension

# What extract_spectral_features gives, by name.
_ALL: dict[str, Feature] = {
    "spectrogram": power_spectrogram,
    "mel_spectrogram": mel_spectrogram,
    "log_mel_spectrogram": log_mel_spectrogram,
    "mfcc": mfcc,
    "spectral_centroid": spectral_centroid,
    "spectral_bandwidth": spectral_bandwidth,
    "spectral_rolloff": spectral_rolloff,
}


class _Method(Protocol):
    @overload
    def __call__(self, audio: ArrayLike, *, lengths: None = None, **options: Any) -> jax.Array: ...

    @overload
    def __call__(self, audio: ArrayLike, *, lengths: ArrayLike, **options: Any) -> tuple[jax.Array, jax.Array]: ...


def _method(function: Feature) -> _Method:
    """Return a feature as a method that takes its configuration from the extension."""
    given = inspect.signature(function)
    audio, _, *options = given.parameters.values()

    @functools.wraps(function)
    def method(self: SpectralAnalysis, audio: ArrayLike, **options: Any) -> Any:
        return function(audio, self.config, **options)

    bound = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    method.__signature__ = given.replace(parameters=[bound, audio, *options])  # type: ignore[attr-defined]
    method.__doc__ = re.sub(r"\n    config: .*", "", function.__doc__ or "")
    return cast(_Method, method)


class SpectralAnalysis(ModelExtension):
    """Spectra, mel bands, cepstra and descriptors of audio, and the ways back.

    It holds no arrays, only its configuration: every method is a pure function of its arguments, so that
    ``jax.jit``, ``jax.vmap`` and ``jax.grad`` take it as it is. Audio is (..., time), floating point with
    full scale 1.

    Args:
        config: Weight, switch, and the fields of ``SpectralConfig`` under ``extensions["spectral"]``.
        rngs: Taken for the form that extensions have; nothing is drawn.

    Raises:
        TypeError: When ``config`` is no ``ExtensionConfig``.
        ValueError: For an unknown key or a value that does not fit.

    Example:
        >>> options = {"sample_rate": 16000, "n_fft": 512, "n_mels": 40}
        >>> spectral = SpectralAnalysis(ExtensionConfig(extensions={"spectral": options}))
        >>> spectral.compute_mel_spectrogram(jnp.ones((2, 4000))).shape
        (2, 40, 32)
    """

    def __init__(self, config: ExtensionConfig, *, rngs: nnx.Rngs | None = None) -> None:
        super().__init__(config, rngs=rngs)
        self.config = SpectralConfig.from_extension(config)

    @classmethod
    def from_preset(cls, name: str, /, **overrides: Any) -> SpectralAnalysis:
        """Return an analysis with the conventions of another tool.

        Args:
            name: A registered preset, such as ``"whisper"``.
            **overrides: Fields of ``SpectralConfig`` that differ from it.

        Returns:
            The analysis.

        Raises:
            UnknownComponentError: When no preset has that name.
            TypeError: For an unknown field.
            ValueError: For a value that does not fit.

        Example:
            >>> SpectralAnalysis.from_preset("whisper").compute_log_mel_spectrogram(jnp.zeros(16000)).shape
            (80, 100)
            >>> SpectralAnalysis.from_preset("whisper", n_mels=128).config.n_mels
            128
        """
        config = create("preset", name, **overrides)
        return cls(ExtensionConfig(extensions={"spectral": config.to_dict()}))

    def __call__(self, inputs: Any, model_outputs: Any = None) -> dict[str, Any]:
        """Return the features of audio by name.

        Args:
            inputs: Waveforms (..., time), or a mapping that has them under ``"audio"``.
            model_outputs: Not looked at.

        Returns:
            What ``extract_spectral_features`` returns.
        """
        return self.extract_spectral_features(_audio_in(inputs, "inputs"))

    def loss_fn(self, batch: Any, model_outputs: Any) -> jax.Array:
        """Return how far the mel levels of the outputs are from those of the batch.

        Args:
            batch: A mapping with waveforms (..., time) under ``"audio"``, or the waveforms.
            model_outputs: The same, of the same shape.

        Returns:
            ``weight`` times the mean absolute difference of the log-mel spectrograms, dB, a scalar; 0 when
            the extension is not enabled.

        Raises:
            ValueError: When the shapes differ or there is no ``"audio"``.

        Example:
            >>> spectral = SpectralAnalysis(ExtensionConfig(weight=0.5))
            >>> tone = jnp.sin(jnp.arange(4096.0))
            >>> round(float(spectral.loss_fn({"audio": tone}, 0.1 * tone)), 3)
            10.0
        """
        if not self.enabled:
            return jnp.zeros(())
        target, estimate = _audio_in(batch, "batch"), _audio_in(model_outputs, "model_outputs")
        if target.shape != estimate.shape:
            raise ValueError(
                f"the audio of batch and model_outputs differ in shape: {target.shape} and {estimate.shape}"
            )
        difference = self.compute_log_mel_spectrogram(estimate) - self.compute_log_mel_spectrogram(target)
        return self.weight * jnp.mean(jnp.abs(difference))

    stft = _method(stft)

    def istft(self, spectrum: ArrayLike, *, length: int, min_coverage: float = 0.0) -> jax.Array:
        """Return waveforms (..., length) of complex spectra; see ``stft.istft``."""
        return istft(spectrum, self.config, length=length, min_coverage=min_coverage)

    compute_stft = _method(magnitude_spectrogram)
    compute_spectrogram = _method(power_spectrogram)
    compute_mel_spectrogram = _method(mel_spectrogram)
    compute_log_mel_spectrogram = _method(log_mel_spectrogram)
    compute_lfcc = _method(lfcc)
    compute_chroma = _method(chroma)
    compute_instantaneous_frequency = _method(instantaneous_frequency)
    compute_spectral_centroid = _method(spectral_centroid)
    compute_spectral_bandwidth = _method(spectral_bandwidth)
    compute_spectral_rolloff = _method(spectral_rolloff)
    compute_spectral_flatness = _method(spectral_flatness)
    compute_spectral_contrast = _method(spectral_contrast)
    compute_spectral_flux = _method(spectral_flux)
    compute_spectral_crest = _method(spectral_crest)
    compute_spectral_entropy = _method(spectral_entropy)
    compute_spectral_slope = _method(spectral_slope)
    compute_onset_strength = _method(onset_strength)
    compute_rms = _method(rms)
    compute_zero_crossing_rate = _method(zero_crossing_rate)

    @overload
    def compute_mfcc(self, audio: ArrayLike, n_mfcc: int | None = None, *, lengths: None = None) -> jax.Array: ...

    @overload
    def compute_mfcc(
        self, audio: ArrayLike, n_mfcc: int | None = None, *, lengths: ArrayLike
    ) -> tuple[jax.Array, jax.Array]: ...

    def compute_mfcc(self, audio: ArrayLike, n_mfcc: int | None = None, *, lengths: ArrayLike | None = None) -> Any:
        """Return cepstral coefficients (..., n_mfcc, n_frames), as many as configured or 13; see ``cepstral.mfcc``."""
        return mfcc(audio, self.config, n_mfcc=n_mfcc, lengths=lengths)

    def extract_spectral_features(self, audio: ArrayLike, *, lengths: ArrayLike | None = None) -> dict[str, jax.Array]:
        """Return all features of audio, from one transform.

        Args:
            audio: Waveforms, (..., time).
            lengths: How many samples of each example are valid, as the ``compute_`` methods have it.

        Returns:
            ``spectrogram`` (power), ``mel_spectrogram``, ``log_mel_spectrogram``, ``mfcc``, ``spectral_centroid``,
            ``spectral_bandwidth`` and ``spectral_rolloff``, as the ``compute_`` methods give them; with
            ``lengths``, ``n_frames`` too: the number of valid frames of each example.

        Example:
            >>> sorted(SpectralAnalysis(ExtensionConfig()).extract_spectral_features(jnp.ones(4096)))[:3]
            ['log_mel_spectrogram', 'mel_spectrogram', 'mfcc']
        """
        if lengths is None:
            return cast(dict[str, jax.Array], _features(audio, self.config))
        found, n_frames = _features(audio, self.config, lengths=lengths)
        return {**cast(dict[str, jax.Array], found), "n_frames": n_frames}

    def band_frequencies(self) -> NDArray[np.float64]:
        """Return the frequency in the middle of each mel band, Hz, (n_mels,); see ``filterbanks.band_frequencies``."""
        return band_frequencies(self.config)

    def mel_to_audio(self, mel: ArrayLike, *, length: int, n_iter: int = 32, key: jax.Array | None = None) -> jax.Array:
        """Return waveforms (..., length) of powers in mel bands; see ``inversion.mel_to_audio``."""
        return mel_to_audio(mel, self.config, length=length, n_iter=n_iter, key=key)

    def log_mel_to_audio(
        self, levels: ArrayLike, *, length: int, n_iter: int = 32, key: jax.Array | None = None
    ) -> jax.Array:
        """Return waveforms (..., length) of levels of mel bands; see ``inversion.log_mel_to_audio``."""
        return log_mel_to_audio(levels, self.config, length=length, n_iter=n_iter, key=key)

    def mfcc_to_audio(
        self, cepstra: ArrayLike, *, length: int, n_iter: int = 32, key: jax.Array | None = None
    ) -> jax.Array:
        """Return waveforms (..., length) of cepstral coefficients; see ``inversion.mfcc_to_audio``."""
        return mfcc_to_audio(cepstra, self.config, length=length, n_iter=n_iter, key=key)

    def magnitude_to_audio(
        self, magnitude: ArrayLike, *, length: int, n_iter: int = 32, key: jax.Array | None = None
    ) -> jax.Array:
        """Return waveforms (..., length) of magnitudes; see ``inversion.griffin_lim``."""
        return griffin_lim(magnitude, self.config, length=length, n_iter=n_iter, key=key)

    def time_stretch(self, audio: ArrayLike, rate: ArrayLike, *, length: int) -> jax.Array:
        """Return waveforms (..., length) played faster at the same pitch; see ``stft.time_stretch``."""
        return time_stretch(audio, rate, self.config, length=length)


def _audio_in(data: Any, name: str) -> jax.Array:
    if isinstance(data, Mapping):
        if "audio" not in data:
            raise ValueError(
                f'{name} is a mapping without the key "audio"; it has {", ".join(map(str, data)) or "none"}'
            )
        data = data["audio"]
    return jnp.asarray(data)


def _finish(measured: dict[str, Any], config: SpectralConfig, n_valid: jax.Array | None) -> dict[str, Any]:
    return finish_all(_ALL, measured, config, n_valid)


@feature(finish=_finish)
def _features(frames: Frames, config: SpectralConfig) -> dict[str, Any]:
    """Return all features by name."""
    return {name: one.measure(frames, config) for name, one in _ALL.items()}
