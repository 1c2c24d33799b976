"""What there is to see of one clip: its features, from one transform, small enough to draw however long it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

from artifex.generative_models.extensions.audio_processing.spectral.cepstral import mfcc
from artifex.generative_models.extensions.audio_processing.spectral.chroma import chroma
from artifex.generative_models.extensions.audio_processing.spectral.features import (
    onset_strength,
    rms,
    spectral_bandwidth,
    spectral_centroid,
    spectral_crest,
    spectral_entropy,
    spectral_flatness,
    spectral_rolloff,
    zero_crossing_rate,
)
from artifex.generative_models.extensions.audio_processing.spectral.framing import Frames
from artifex.generative_models.extensions.audio_processing.spectral.mel import log_mel_spectrogram
from artifex.generative_models.extensions.audio_processing.spectral.pipeline import Feature, feature, finish_all

if TYPE_CHECKING:
    from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig

PARTS: dict[str, Feature] = {
    "rms": rms,
    "zero_crossing_rate": zero_crossing_rate,
    "spectral_centroid": spectral_centroid,
    "spectral_bandwidth": spectral_bandwidth,
    "spectral_rolloff": spectral_rolloff,
    "spectral_flatness": spectral_flatness,
    "spectral_crest": spectral_crest,
    "spectral_entropy": spectral_entropy,
    "onset_strength": onset_strength,
    "log_mel_spectrogram": log_mel_spectrogram,
    "mfcc": mfcc,
    "chroma": chroma,
}
"""The features that are looked at, by name."""

# An hour of frames of 1025 bins would be a gigabyte; no picture is so high.
_MOST_POWERS, _LEAST_ROWS = 1 << 24, 128


def clip_features(audio: Any, config: SpectralConfig) -> dict[str, NDArray[Any]]:
    """Return what there is to see of a clip.

    Args:
        audio: A waveform, (time,), floating point, full scale 1.
        config: The conventions.

    Returns:
        The features of ``PARTS`` by name, (n_frames,) or (rows, n_frames), and ``power``, (rows, n_frames), with
        ``power_frequencies``, (rows,), Hz: the power spectrogram, of a long clip the largest power of a few bins at
        a time.

    Raises:
        TypeError: When the audio is not of a real floating dtype.
        ValueError: For another shape, or a clip that is shorter than an uncentered frame.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> found = clip_features(np.zeros(1000, np.float32), SpectralConfig(n_fft=256, n_mels=20))
        >>> found["power"].shape, found["chroma"].shape
        ((129, 16), (12, 16))
    """
    if np.ndim(audio) != 1:
        raise ValueError(
            f"a clip is (time,), got shape {np.shape(audio)}; take one example, or the mean of its channels"
        )
    pool = _pool(config.n_freq, config.n_frames(len(audio)))
    found = cast(dict[str, jax.Array], _measured(audio, config, pool=pool))
    # The middles of the groups: the first is around bin 0.
    frequencies = np.arange(len(found["power"])) * pool * config.sample_rate / config.n_fft
    return {name: np.asarray(one) for name, one in found.items()} | {"power_frequencies": frequencies}


def _pool(n_freq: int, n_frames: int) -> int:
    """How many bins are taken as one: an odd number, so that there is one in their middle."""
    wanted = min(-(-n_freq * n_frames // _MOST_POWERS), n_freq // _LEAST_ROWS)
    return max(1, wanted // 2 * 2 + 1) if wanted > 1 else 1


def _finish(
    measured: dict[str, Any], config: SpectralConfig, n_valid: jax.Array | None, *, pool: int
) -> dict[str, jax.Array]:
    return finish_all(PARTS, measured, config, n_valid)


@feature(finish=_finish)
def _measured(frames: Frames, config: SpectralConfig, *, pool: int = 1) -> dict[str, Any]:
    """Return the features of ``PARTS`` and the power spectrogram by name."""
    power = frames.power
    if pool > 1:
        lead = (1,) * (power.ndim - 1)
        above = pool - 1 - (power.shape[-1] - 1 + pool // 2) % pool
        padding = [(0, 0)] * (power.ndim - 1) + [(pool // 2, above)]
        zero = jnp.zeros((), power.dtype)
        power = lax.reduce_window(power, zero, lax.max, (*lead, pool), (*lead, pool), padding)
    return {"power": jnp.swapaxes(power, -1, -2)} | {name: one.measure(frames, config) for name, one in PARTS.items()}
