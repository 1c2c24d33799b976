"""SpectralAnalysis: the spectral functions of one configuration, as an extension beside a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import ArrayLike

from artifex.generative_models.core.configuration import ExtensionConfig
from artifex.generative_models.extensions.audio_processing.spectral.cepstral import mfcc, mfcc_of
from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig
from artifex.generative_models.extensions.audio_processing.spectral.features import (
    bandwidth_of,
    centroid_of,
    rolloff_of,
    spectral_bandwidth,
    spectral_centroid,
    spectral_rolloff,
)
from artifex.generative_models.extensions.audio_processing.spectral.inversion import griffin_lim, mel_to_audio
from artifex.generative_models.extensions.audio_processing.spectral.mel import (
    log_mel_of,
    log_mel_spectrogram,
    mel_of,
    mel_spectrogram,
)
from artifex.generative_models.extensions.audio_processing.spectral.stft import (
    analyse,
    istft,
    magnitude_spectrogram,
    power_of,
    power_spectrogram,
    stft,
    time_stretch,
)
from artifex.generative_models.extensions.base import ModelExtension


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

    def stft(self, audio: ArrayLike) -> jax.Array:
        """Return complex spectra (..., n_fft // 2 + 1, n_frames); see ``stft.stft``."""
        return stft(audio, self.config)

    def istft(self, spectrum: ArrayLike, *, length: int, min_coverage: float = 0.0) -> jax.Array:
        """Return waveforms (..., length) of complex spectra; see ``stft.istft``."""
        return istft(spectrum, self.config, length=length, min_coverage=min_coverage)

    def compute_stft(self, audio: ArrayLike) -> jax.Array:
        """Return magnitudes (..., n_fft // 2 + 1, n_frames); see ``stft.magnitude_spectrogram``."""
        return magnitude_spectrogram(audio, self.config)

    def compute_spectrogram(self, audio: ArrayLike) -> jax.Array:
        """Return powers (..., n_fft // 2 + 1, n_frames); see ``stft.power_spectrogram``."""
        return power_spectrogram(audio, self.config)

    def compute_mel_spectrogram(self, audio: ArrayLike) -> jax.Array:
        """Return powers in mel bands (..., n_mels, n_frames); see ``mel.mel_spectrogram``."""
        return mel_spectrogram(audio, self.config)

    def compute_log_mel_spectrogram(self, audio: ArrayLike) -> jax.Array:
        """Return levels of mel bands in dB (..., n_mels, n_frames); see ``mel.log_mel_spectrogram``."""
        return log_mel_spectrogram(audio, self.config)

    def compute_mfcc(self, audio: ArrayLike, n_mfcc: int = 13) -> jax.Array:
        """Return cepstral coefficients (..., n_mfcc, n_frames); see ``cepstral.mfcc``."""
        return mfcc(audio, self.config, n_mfcc=n_mfcc)

    def compute_spectral_centroid(self, audio: ArrayLike) -> jax.Array:
        """Return centroids in Hz (..., n_frames); see ``features.spectral_centroid``."""
        return spectral_centroid(audio, self.config)

    def compute_spectral_bandwidth(self, audio: ArrayLike) -> jax.Array:
        """Return bandwidths in Hz (..., n_frames); see ``features.spectral_bandwidth``."""
        return spectral_bandwidth(audio, self.config)

    def compute_spectral_rolloff(self, audio: ArrayLike) -> jax.Array:
        """Return rolloffs in Hz (..., n_frames); see ``features.spectral_rolloff``."""
        return spectral_rolloff(audio, self.config)

    def extract_spectral_features(self, audio: ArrayLike) -> dict[str, jax.Array]:
        """Return all features of audio, from one transform.

        Args:
            audio: Waveforms, (..., time).

        Returns:
            ``spectrogram`` (power), ``mel_spectrogram``, ``log_mel_spectrogram``, ``mfcc`` (13, or as many as
            there are mel bands), ``spectral_centroid``, ``spectral_bandwidth`` and ``spectral_rolloff``, as
            the ``compute_`` methods give them.

        Example:
            >>> sorted(SpectralAnalysis(ExtensionConfig()).extract_spectral_features(jnp.ones(4096)))[:3]
            ['log_mel_spectrogram', 'mel_spectrogram', 'mfcc']
        """
        found: dict[str, jax.Array] = analyse(audio, self.config, _features_of)
        return found

    def mel_to_audio(self, mel: ArrayLike, *, length: int, n_iter: int = 32, key: jax.Array | None = None) -> jax.Array:
        """Return waveforms (..., length) of powers in mel bands; see ``inversion.mel_to_audio``."""
        return mel_to_audio(mel, self.config, length=length, n_iter=n_iter, key=key)

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


def _features_of(spectra: jax.Array, config: SpectralConfig) -> dict[str, jax.Array]:
    return {
        "spectrogram": power_of(spectra).swapaxes(-1, -2),
        "mel_spectrogram": mel_of(spectra, config),
        "log_mel_spectrogram": log_mel_of(spectra, config),
        "mfcc": mfcc_of(spectra, config, min(13, config.n_mels)),
        "spectral_centroid": centroid_of(spectra, config),
        "spectral_bandwidth": bandwidth_of(spectra, config),
        "spectral_rolloff": rolloff_of(spectra, config),
    }
