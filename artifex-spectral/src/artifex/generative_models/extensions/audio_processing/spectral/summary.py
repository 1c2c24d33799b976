"""Features for the summary plot of a clip, from one transform, small enough to draw for clips of any length."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

from artifex.generative_models.extensions.audio_processing.spectral import cepstral, chromagram, features, mel
from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig
from artifex.generative_models.extensions.audio_processing.spectral.framing import Frames
from artifex.generative_models.extensions.audio_processing.spectral.pipeline import analyze

# The power spectrogram of an hour with 1025 bins would need a gigabyte. Above MAX_VALUES values bins are pooled, down to
# MIN_ROWS rows.
MAX_VALUES, MIN_ROWS = 1 << 24, 128


def clip_features(audio: Any, config: SpectralConfig) -> dict[str, NDArray[Any]]:
    """Compute the features of a clip for the summary plot.

    Args:
        audio: Waveform, (time,), floating point, full scale 1.
        config: Analysis configuration.

    Returns:
        Features by name: ``rms``, ``zero_crossing_rate``, ``spectral_centroid``, ``spectral_bandwidth``,
        ``spectral_rolloff``, ``spectral_flatness``, ``spectral_crest``, ``spectral_entropy`` and ``onset_strength``,
        (n_frames,); ``log_mel_spectrogram``, ``mfcc`` and ``chroma``, (rows, n_frames); and ``power``, (rows,
        n_frames), with ``power_frequencies``, (rows,), in Hz: the power spectrogram, max-pooled over frequency for long
        clips.

    Raises:
        TypeError: If the audio is not real floating point.
        ValueError: If it has another shape, or is shorter than a frame.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> features = clip_features(np.zeros(1000, np.float32), SpectralConfig(n_fft=256, n_mels=20))
        >>> features["power"].shape, features["chroma"].shape
        ((129, 16), (12, 16))
    """
    if np.ndim(audio) != 1:
        raise ValueError(
            f"a clip must be (time,), got shape {np.shape(audio)}; pass one example, or average its channels"
        )
    pool_size = _pool_size(config.n_freq, config.n_frames(len(audio)))
    options = {"pool_size": pool_size}
    found = analyze(audio, config, measure=_measure_summary, finish=_finish_summary, options=options)
    # Pools are centered: the first one on bin 0.
    frequencies = np.arange(len(found["power"])) * pool_size * config.sample_rate / config.n_fft
    return {name: np.asarray(values) for name, values in found.items()} | {"power_frequencies": frequencies}


def _pool_size(n_freq: int, n_frames: int) -> int:
    """Return the number of bins to pool: odd, so that pools have a central bin."""
    size = min(-(-n_freq * n_frames // MAX_VALUES), n_freq // MIN_ROWS)
    return max(1, size // 2 * 2 + 1) if size > 1 else 1


def _measure_summary(frames: Frames, config: SpectralConfig, *, pool_size: int) -> dict[str, Any]:
    return {
        "power": jnp.swapaxes(_max_pool(frames.power, pool_size), -1, -2),
        "rms": features.measure_rms(frames, config),
        "zero_crossing_rate": features.measure_zero_crossing_rate(frames, config),
        "spectral_centroid": features.measure_centroid(frames, config),
        "spectral_bandwidth": features.measure_bandwidth(frames, config),
        "spectral_rolloff": features.measure_rolloff(frames, config),
        "spectral_flatness": features.measure_flatness(frames, config),
        "spectral_crest": features.measure_crest(frames, config),
        "spectral_entropy": features.measure_entropy(frames, config),
        "onset_strength": features.measure_onset(frames, config),
        "log_mel_spectrogram": mel.measure_log_mel(frames, config),
        "mfcc": cepstral.measure_mfcc(frames, config),
        "chroma": chromagram.measure_chroma(frames, config),
    }


def _finish_summary(
    measured: dict[str, Any], config: SpectralConfig, n_valid: jax.Array | None, *, pool_size: int
) -> dict[str, jax.Array]:
    return measured | {
        "onset_strength": features.finish_onset(measured["onset_strength"], config, n_valid),
        "log_mel_spectrogram": mel.finish_log_mel(measured["log_mel_spectrogram"], config, n_valid),
        "mfcc": cepstral.finish_mfcc(measured["mfcc"], config, n_valid),
    }


def _max_pool(power: jax.Array, size: int) -> jax.Array:
    """Replace groups of adjacent bins (last axis) by their maximum; the first group is centered on bin 0."""
    if size == 1:
        return power
    window = (*(1,) * (power.ndim - 1), size)
    after = size - 1 - (power.shape[-1] - 1 + size // 2) % size
    padding = [(0, 0)] * (power.ndim - 1) + [(size // 2, after)]
    pooled: jax.Array = lax.reduce_window(power, jnp.zeros((), power.dtype), lax.max, window, window, padding)
    return pooled
