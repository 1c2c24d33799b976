"""SpectralAnalysis: the spectral functions as an extension with one configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import ArrayLike
from numpy.typing import NDArray

from artifex.generative_models.core import create
from artifex.generative_models.core.configuration import ExtensionConfig
from artifex.generative_models.extensions.audio_processing.spectral import (
    cepstral,
    chromagram,
    features,
    fourier,
    inversion,
    mel,
    vocoder,
)
from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig
from artifex.generative_models.extensions.audio_processing.spectral.filterbanks import band_frequencies
from artifex.generative_models.extensions.audio_processing.spectral.framing import Frames
from artifex.generative_models.extensions.audio_processing.spectral.pipeline import analyze
from artifex.generative_models.extensions.base import ModelExtension


class SpectralAnalysis(ModelExtension):
    """Spectral features of audio and their inverses, with one configuration.

    An instance contains no arrays, and its methods are pure functions of their arguments: ``jax.jit``, ``jax.vmap`` and
    ``jax.grad`` apply to them directly.

    Args:
        config: Weight, whether the extension is enabled, and the fields of ``SpectralConfig`` in
            ``extensions["spectral"]``.
        rngs: Ignored; all extensions accept it.

    Raises:
        TypeError: If ``config`` is not an ``ExtensionConfig``.
        ValueError: If a key is unknown or a value is invalid.

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
    def from_preset(cls, name: str, /, **overrides: object) -> SpectralAnalysis:
        """Create an analysis that reproduces another tool.

        Args:
            name: Registered preset, such as ``"whisper"``.
            **overrides: Fields of ``SpectralConfig`` to change.

        Returns:
            The analysis.

        Raises:
            UnknownComponentError: If no preset has that name.
            TypeError: If a field does not exist.
            ValueError: If a value is invalid.

        Example:
            >>> SpectralAnalysis.from_preset("whisper").compute_log_mel_spectrogram(jnp.zeros(16000)).shape
            (80, 100)
            >>> SpectralAnalysis.from_preset("whisper", n_mels=128).config.n_mels
            128
        """
        config = create("preset", name, **overrides)
        return cls(ExtensionConfig(extensions={"spectral": config.to_dict()}))

    def __call__(self, inputs: Any, model_outputs: Any = None) -> dict[str, Any]:
        """Compute the features of ``extract_spectral_features``.

        Args:
            inputs: Waveforms (..., time), or a mapping that contains them under ``"audio"``.
            model_outputs: Ignored.

        Returns:
            Features by name.
        """
        return self.extract_spectral_features(_get_audio(inputs, "inputs"))

    def loss_fn(
        self, batch: ArrayLike | Mapping[str, ArrayLike], model_outputs: ArrayLike | Mapping[str, ArrayLike]
    ) -> jax.Array:
        """Compute the weighted mean absolute difference of log-mel spectrograms.

        Args:
            batch: Target waveforms (..., time), or a mapping that contains them under ``"audio"``.
            model_outputs: Estimated waveforms of the same shape, in either form.

        Returns:
            ``weight`` times the mean absolute difference in dB, a scalar; 0 if the extension is not enabled.

        Raises:
            ValueError: If the shapes differ or ``"audio"`` is missing.

        Example:
            >>> spectral = SpectralAnalysis(ExtensionConfig(weight=0.5))
            >>> tone = jnp.sin(jnp.arange(4096.0))
            >>> round(float(spectral.loss_fn({"audio": tone}, 0.1 * tone)), 3)
            10.0
        """
        if not self.enabled:
            return jnp.zeros(())
        target, estimate = _get_audio(batch, "batch"), _get_audio(model_outputs, "model_outputs")
        if target.shape != estimate.shape:
            raise ValueError(
                f"batch and model_outputs must have audio of the same shape, got {target.shape} and {estimate.shape}"
            )
        difference = self.compute_log_mel_spectrogram(estimate) - self.compute_log_mel_spectrogram(target)
        return self.weight * jnp.mean(jnp.abs(difference))

    def stft(self, audio: ArrayLike, *, lengths: ArrayLike | None = None) -> jax.Array:
        """Compute the short-time Fourier transform; see the function ``stft``.

        Args:
            audio: Waveforms, (..., time), floating point, full scale 1.
            lengths: Number of valid samples of each example, by default all.

        Returns:
            Complex spectra, (..., n_freq, n_frames).
        """
        return fourier.stft(audio, self.config, lengths=lengths)

    def istft(self, spectrum: ArrayLike, *, length: int, min_coverage: float = 0.0) -> jax.Array:
        """Compute the inverse short-time Fourier transform; see the function ``istft``.

        Args:
            spectrum: Complex spectra, (..., n_freq, n_frames).
            length: Length of the result in samples.
            min_coverage: Fraction of the full sum of squared windows below which the result fades out, 0 to 1.

        Returns:
            Waveforms, (..., length).
        """
        return fourier.istft(spectrum, self.config, length=length, min_coverage=min_coverage)

    def compute_stft(self, audio: ArrayLike, *, lengths: ArrayLike | None = None) -> jax.Array:
        """Compute the magnitude of the short-time Fourier transform; see the function ``magnitude_spectrogram``.

        Args:
            audio: Waveforms, (..., time), floating point, full scale 1.
            lengths: Number of valid samples of each example, by default all.

        Returns:
            Magnitudes, (..., n_freq, n_frames).
        """
        return fourier.magnitude_spectrogram(audio, self.config, lengths=lengths)

    def compute_spectrogram(self, audio: ArrayLike, *, lengths: ArrayLike | None = None) -> jax.Array:
        """Compute the power spectrogram; see the function ``power_spectrogram``.

        Args:
            audio: Waveforms, (..., time), floating point, full scale 1.
            lengths: Number of valid samples of each example, by default all.

        Returns:
            Power, (..., n_freq, n_frames).
        """
        return fourier.power_spectrogram(audio, self.config, lengths=lengths)

    def compute_mel_spectrogram(self, audio: ArrayLike, *, lengths: ArrayLike | None = None) -> jax.Array:
        """Compute a mel spectrogram; see the function ``mel_spectrogram``.

        Args:
            audio: Waveforms, (..., time), floating point, full scale 1.
            lengths: Number of valid samples of each example, by default all.

        Returns:
            Power, or magnitude if ``config.power`` is 1, (..., n_mels, n_frames).
        """
        return mel.mel_spectrogram(audio, self.config, lengths=lengths)

    def compute_log_mel_spectrogram(self, audio: ArrayLike, *, lengths: ArrayLike | None = None) -> jax.Array:
        """Compute a log-mel spectrogram; see the function ``log_mel_spectrogram``.

        Args:
            audio: Waveforms, (..., time), floating point, full scale 1.
            lengths: Number of valid samples of each example, by default all.

        Returns:
            Levels, by default in dB, (..., n_mels, n_frames).
        """
        return mel.log_mel_spectrogram(audio, self.config, lengths=lengths)

    def compute_mfcc(
        self, audio: ArrayLike, n_mfcc: int | None = None, *, lengths: ArrayLike | None = None
    ) -> jax.Array:
        """Compute mel-frequency cepstral coefficients; see the function ``mfcc``.

        Args:
            audio: Waveforms, (..., time), floating point, full scale 1.
            n_mfcc: Number of coefficients; None for the configured number, by default 13.
            lengths: Number of valid samples of each example, by default all.

        Returns:
            Coefficients, (..., n_mfcc, n_frames).
        """
        return cepstral.mfcc(audio, self.config, n_mfcc=n_mfcc, lengths=lengths)

    def compute_lfcc(
        self, audio: ArrayLike, *, n_lfcc: int | None = None, lengths: ArrayLike | None = None
    ) -> jax.Array:
        """Compute linear-frequency cepstral coefficients; see the function ``lfcc``.

        Args:
            audio: Waveforms, (..., time), floating point, full scale 1.
            n_lfcc: Number of coefficients; None for the configured number, by default 13.
            lengths: Number of valid samples of each example, by default all.

        Returns:
            Coefficients, (..., n_lfcc, n_frames).
        """
        return cepstral.lfcc(audio, self.config, n_lfcc=n_lfcc, lengths=lengths)

    def compute_chroma(
        self, audio: ArrayLike, *, n_chroma: int = 12, tuning: float = 0.0, lengths: ArrayLike | None = None
    ) -> jax.Array:
        """Compute a chromagram; see the function ``chroma``.

        Args:
            audio: Waveforms, (..., time), floating point, full scale 1.
            n_chroma: Number of pitch classes per octave; the first one is C.
            tuning: Deviation of A4 from 440 Hz in chroma bins, which are semitones for ``n_chroma`` 12.
            lengths: Number of valid samples of each example, by default all.

        Returns:
            Relative power, 0 to 1, (..., n_chroma, n_frames).
        """
        return chromagram.chroma(audio, self.config, n_chroma=n_chroma, tuning=tuning, lengths=lengths)

    def compute_instantaneous_frequency(self, audio: ArrayLike, *, lengths: ArrayLike | None = None) -> jax.Array:
        """Compute the instantaneous frequency of each bin; see the function ``instantaneous_frequency``.

        Args:
            audio: Waveforms, (..., time), floating point, full scale 1.
            lengths: Number of valid samples of each example, by default all.

        Returns:
            Frequencies in Hz, (..., n_freq, n_frames).
        """
        return fourier.instantaneous_frequency(audio, self.config, lengths=lengths)

    def compute_spectral_centroid(self, audio: ArrayLike, *, lengths: ArrayLike | None = None) -> jax.Array:
        """Compute the spectral centroid; see the function ``spectral_centroid``.

        Args:
            audio: Waveforms, (..., time), floating point, full scale 1.
            lengths: Number of valid samples of each example, by default all.

        Returns:
            Frequencies in Hz, (..., n_frames).
        """
        return features.spectral_centroid(audio, self.config, lengths=lengths)

    def compute_spectral_bandwidth(self, audio: ArrayLike, *, lengths: ArrayLike | None = None) -> jax.Array:
        """Compute the spectral bandwidth; see the function ``spectral_bandwidth``.

        Args:
            audio: Waveforms, (..., time), floating point, full scale 1.
            lengths: Number of valid samples of each example, by default all.

        Returns:
            Bandwidths in Hz, (..., n_frames).
        """
        return features.spectral_bandwidth(audio, self.config, lengths=lengths)

    def compute_spectral_rolloff(self, audio: ArrayLike, *, lengths: ArrayLike | None = None) -> jax.Array:
        """Compute the spectral rolloff; see the function ``spectral_rolloff``.

        Args:
            audio: Waveforms, (..., time), floating point, full scale 1.
            lengths: Number of valid samples of each example, by default all.

        Returns:
            Frequencies in Hz, (..., n_frames).
        """
        return features.spectral_rolloff(audio, self.config, lengths=lengths)

    def compute_spectral_flatness(
        self, audio: ArrayLike, *, amin: float = 1e-10, lengths: ArrayLike | None = None
    ) -> jax.Array:
        """Compute the spectral flatness; see the function ``spectral_flatness``.

        Args:
            audio: Waveforms, (..., time), floating point, full scale 1.
            amin: Minimum power, above 0; smaller values are replaced by it.
            lengths: Number of valid samples of each example, by default all.

        Returns:
            Ratios, 0 to 1, (..., n_frames).
        """
        return features.spectral_flatness(audio, self.config, amin=amin, lengths=lengths)

    def compute_spectral_contrast(
        self,
        audio: ArrayLike,
        *,
        n_bands: int = 6,
        f_min: float = 200.0,
        quantile: float = 0.02,
        lengths: ArrayLike | None = None,
    ) -> jax.Array:
        """Compute the spectral contrast; see the function ``spectral_contrast``.

        Args:
            audio: Waveforms, (..., time), floating point, full scale 1.
            n_bands: Number of octave bands above ``f_min``; one more band is below it.
            f_min: Upper edge of the lowest band in Hz.
            quantile: Fraction of the bins of a band that are averaged for its peak and its valley, at most 0.5.
            lengths: Number of valid samples of each example, by default all.

        Returns:
            Differences in dB, (..., n_bands + 1, n_frames).
        """
        return features.spectral_contrast(
            audio, self.config, n_bands=n_bands, f_min=f_min, quantile=quantile, lengths=lengths
        )

    def compute_spectral_flux(self, audio: ArrayLike, *, lengths: ArrayLike | None = None) -> jax.Array:
        """Compute the spectral flux; see the function ``spectral_flux``.

        Args:
            audio: Waveforms, (..., time), floating point, full scale 1.
            lengths: Number of valid samples of each example, by default all.

        Returns:
            Sums of increases in magnitude, (..., n_frames).
        """
        return features.spectral_flux(audio, self.config, lengths=lengths)

    def compute_spectral_crest(self, audio: ArrayLike, *, lengths: ArrayLike | None = None) -> jax.Array:
        """Compute the spectral crest factor; see the function ``spectral_crest``.

        Args:
            audio: Waveforms, (..., time), floating point, full scale 1.
            lengths: Number of valid samples of each example, by default all.

        Returns:
            Ratios, 1 to ``n_freq``, (..., n_frames).
        """
        return features.spectral_crest(audio, self.config, lengths=lengths)

    def compute_spectral_entropy(self, audio: ArrayLike, *, lengths: ArrayLike | None = None) -> jax.Array:
        """Compute the normalized spectral entropy; see the function ``spectral_entropy``.

        Args:
            audio: Waveforms, (..., time), floating point, full scale 1.
            lengths: Number of valid samples of each example, by default all.

        Returns:
            Values, 0 to 1, (..., n_frames).
        """
        return features.spectral_entropy(audio, self.config, lengths=lengths)

    def compute_spectral_slope(self, audio: ArrayLike, *, lengths: ArrayLike | None = None) -> jax.Array:
        """Compute the spectral slope; see the function ``spectral_slope``.

        Args:
            audio: Waveforms, (..., time), floating point, full scale 1.
            lengths: Number of valid samples of each example, by default all.

        Returns:
            Slopes in 1/Hz, (..., n_frames).
        """
        return features.spectral_slope(audio, self.config, lengths=lengths)

    def compute_onset_strength(self, audio: ArrayLike, *, lengths: ArrayLike | None = None) -> jax.Array:
        """Compute the onset strength; see the function ``onset_strength``.

        Args:
            audio: Waveforms, (..., time), floating point, full scale 1.
            lengths: Number of valid samples of each example, by default all.

        Returns:
            Increases in dB, (..., n_frames).
        """
        return features.onset_strength(audio, self.config, lengths=lengths)

    def compute_rms(self, audio: ArrayLike, *, lengths: ArrayLike | None = None) -> jax.Array:
        """Compute the root mean square of each frame; see the function ``rms``.

        Args:
            audio: Waveforms, (..., time), floating point, full scale 1.
            lengths: Number of valid samples of each example, by default all.

        Returns:
            Amplitudes, (..., n_frames).
        """
        return features.rms(audio, self.config, lengths=lengths)

    def compute_zero_crossing_rate(self, audio: ArrayLike, *, lengths: ArrayLike | None = None) -> jax.Array:
        """Compute the zero-crossing rate; see the function ``zero_crossing_rate``.

        Args:
            audio: Waveforms, (..., time), floating point, full scale 1.
            lengths: Number of valid samples of each example, by default all.

        Returns:
            Rates, 0 to 1, (..., n_frames).
        """
        return features.zero_crossing_rate(audio, self.config, lengths=lengths)

    def extract_spectral_features(self, audio: ArrayLike, *, lengths: ArrayLike | None = None) -> dict[str, jax.Array]:
        """Compute several features from one transform.

        Args:
            audio: Waveforms, (..., time), floating point, full scale 1.
            lengths: Number of valid samples of each example, by default all.

        Returns:
            ``spectrogram`` (power), ``mel_spectrogram``, ``log_mel_spectrogram``, ``mfcc``, ``spectral_centroid``,
            ``spectral_bandwidth`` and ``spectral_rolloff``, as the ``compute_`` methods return them.

        Example:
            >>> sorted(SpectralAnalysis(ExtensionConfig()).extract_spectral_features(jnp.ones(4096)))[:3]
            ['log_mel_spectrogram', 'mel_spectrogram', 'mfcc']
        """
        return analyze(audio, self.config, lengths, measure=_measure_features, finish=_finish_features)

    def band_frequencies(self) -> NDArray[np.float64]:
        """Compute the center frequencies of the mel bands in Hz, (n_mels,); see the function ``band_frequencies``."""
        return band_frequencies(self.config)

    def mel_to_audio(self, mel: ArrayLike, *, length: int, n_iter: int = 32, key: jax.Array | None = None) -> jax.Array:
        """Reconstruct waveforms from mel spectrograms; see the function ``mel_to_audio``.

        Args:
            mel: Mel power (magnitude if ``config.power`` is 1), (..., n_mels, n_frames).
            length: Length of the result in samples.
            n_iter: Number of Griffin-Lim iterations, at least 0.
            key: PRNG key for random initial phases; None for phases of 0.

        Returns:
            Waveforms, (..., length).
        """
        return inversion.mel_to_audio(mel, self.config, length=length, n_iter=n_iter, key=key)

    def log_mel_to_audio(
        self, levels: ArrayLike, *, length: int, n_iter: int = 32, key: jax.Array | None = None
    ) -> jax.Array:
        """Reconstruct waveforms from log-mel spectrograms; see the function ``log_mel_to_audio``.

        Args:
            levels: Levels, (..., n_mels, n_frames).
            length: Length of the result in samples.
            n_iter: Number of Griffin-Lim iterations, at least 0.
            key: PRNG key for random initial phases; None for phases of 0.

        Returns:
            Waveforms, (..., length).
        """
        return inversion.log_mel_to_audio(levels, self.config, length=length, n_iter=n_iter, key=key)

    def mfcc_to_audio(
        self, cepstra: ArrayLike, *, length: int, n_iter: int = 32, key: jax.Array | None = None
    ) -> jax.Array:
        """Reconstruct waveforms from cepstral coefficients; see the function ``mfcc_to_audio``.

        Args:
            cepstra: Coefficients, (..., n_mfcc, n_frames).
            length: Length of the result in samples.
            n_iter: Number of Griffin-Lim iterations, at least 0.
            key: PRNG key for random initial phases; None for phases of 0.

        Returns:
            Waveforms, (..., length).
        """
        return inversion.mfcc_to_audio(cepstra, self.config, length=length, n_iter=n_iter, key=key)

    def magnitude_to_audio(
        self, magnitude: ArrayLike, *, length: int, n_iter: int = 32, key: jax.Array | None = None
    ) -> jax.Array:
        """Reconstruct waveforms from magnitudes; see the function ``griffin_lim``.

        Args:
            magnitude: Magnitudes, (..., n_freq, n_frames).
            length: Length of the result in samples.
            n_iter: Number of Griffin-Lim iterations, at least 0.
            key: PRNG key for random initial phases; None for phases of 0.

        Returns:
            Waveforms, (..., length).
        """
        return inversion.griffin_lim(magnitude, self.config, length=length, n_iter=n_iter, key=key)

    def time_stretch(self, audio: ArrayLike, rate: ArrayLike, *, length: int) -> jax.Array:
        """Stretch audio in time without changing the pitch; see the function ``time_stretch``.

        Args:
            audio: Waveforms, (..., time), floating point, full scale 1.
            rate: Stretch factor, a scalar or one per example, above 0; may be traced. Above 1 is faster.
            length: Length of the result in samples.

        Returns:
            Waveforms, (..., length).
        """
        return vocoder.time_stretch(audio, rate, self.config, length=length)


def _get_audio(data: ArrayLike | Mapping[str, ArrayLike], name: str) -> jax.Array:
    if isinstance(data, Mapping):
        if "audio" not in data:
            keys = ", ".join(map(str, data)) or "no keys"
            raise ValueError(f'{name} must be an array or contain the key "audio", got a mapping with {keys}')
        data = data["audio"]
    return jnp.asarray(data)


def _measure_features(frames: Frames, config: SpectralConfig) -> dict[str, Any]:
    return {
        "spectrogram": fourier.measure_power(frames, config),
        "mel_spectrogram": mel.measure_mel(frames, config),
        "log_mel_spectrogram": mel.measure_log_mel(frames, config),
        "mfcc": cepstral.measure_mfcc(frames, config),
        "spectral_centroid": features.measure_centroid(frames, config),
        "spectral_bandwidth": features.measure_bandwidth(frames, config),
        "spectral_rolloff": features.measure_rolloff(frames, config),
    }


def _finish_features(
    measured: dict[str, Any], config: SpectralConfig, n_valid: jax.Array | None
) -> dict[str, jax.Array]:
    return measured | {
        "log_mel_spectrogram": mel.finish_log_mel(measured["log_mel_spectrogram"], config, n_valid),
        "mfcc": cepstral.finish_mfcc(measured["mfcc"], config, n_valid),
    }
