"""Framing and synthesis: padding, windowed frames, their spectra, and overlap-add with window correction."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

from artifex.generative_models.core import numerics
from artifex.generative_models.core.numerics.framing import cut_frames, overlap_add
from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig
from artifex.generative_models.extensions.audio_processing.spectral.windows import window_table

_Array = TypeVar("_Array", NDArray[Any], jax.Array)

# Where the sum of squared windows is below this fraction of its maximum, dividing by it amplifies rounding errors.
_MIN_OVERLAP = 1e-10

# Below this magnitude the phase is undefined: its square, by which gradients divide, underflows in float32.
MIN_MAGNITUDE = 1e-18


class Frames:
    """Frames of audio, the first argument of ``measure`` in ``analyze``. Attributes are computed on first access.

    Args:
        audio: Padded waveforms, (..., at least ``(n_frames - 1 + ceil(frame_length / hop)) * hop``), float32 or
            float64.
        n_frames: Number of frames.
        config: Analysis configuration.
        valid: Mask of the valid frames, (..., n_frames) bool; other frames are set to 0. None if all are valid.
    """

    def __init__(self, audio: jax.Array, n_frames: int, config: SpectralConfig, valid: jax.Array | None = None) -> None:
        self._audio = audio
        self._n_frames = n_frames
        self._config = config
        self._valid = valid

    @cached_property
    def samples(self) -> jax.Array:
        """Samples of each frame, (..., n_frames, frame_length), after input scaling and DC removal."""
        config = self._config
        samples = self._cut(np.full(config.frame_length, config.input_scale))
        return samples - samples.mean(axis=-1, keepdims=True) if config.remove_dc else samples

    @cached_property
    def spectra(self) -> jax.Array:
        """Complex spectra, (..., n_frames, n_freq)."""
        return self.windowed_spectra(frame_window(self._config))

    @cached_property
    def power(self) -> jax.Array:
        """Squared magnitudes, (..., n_frames, n_freq)."""
        return jnp.square(self.spectra.real) + jnp.square(self.spectra.imag)

    @cached_property
    def magnitude(self) -> jax.Array:
        """Magnitudes, (..., n_frames, n_freq)."""
        return numerics.safe_abs(self.spectra)

    def windowed_spectra(self, window: NDArray[np.float64]) -> jax.Array:
        """Compute complex spectra with another window.

        Args:
            window: Window, (frame_length,).

        Returns:
            Spectra, (..., n_frames, n_freq).
        """
        config = self._config
        if not config.remove_dc and not config.preemphasis:
            return jnp.fft.rfft(self._cut(config.input_scale * window), n=config.n_fft)
        samples = self.samples
        previous = jnp.concatenate([samples[..., :1], samples[..., :-1]], axis=-1)
        emphasized = samples - config.preemphasis * previous
        return jnp.fft.rfft(emphasized * aligned(window, samples), n=config.n_fft)

    def _cut(self, weights: NDArray[np.float64]) -> jax.Array:
        """Cut the audio into frames (..., n_frames, frame_length) and multiply them by weights."""
        config = self._config
        frames = cut_frames(
            self._audio, frame_length=config.frame_length, hop_length=config.hop, n_frames=self._n_frames
        )
        frames = frames * aligned(weights, frames)
        return frames if self._valid is None else jnp.where(self._valid[..., None], frames, 0)


def aligned(table: _Array, array: jax.Array) -> _Array:
    """Convert a table to the dtype of an array, with leading axes of length 1 up to its rank."""
    return table.astype(array.dtype).reshape((1,) * (array.ndim - table.ndim) + table.shape)


def pad_audio(audio: jax.Array, config: SpectralConfig, lengths: jax.Array | None = None) -> jax.Array:
    """Pad audio at both ends as configured, to a whole number of hops.

    Args:
        audio: Waveforms, (..., time), float32 or float64.
        config: Analysis configuration.
        lengths: Number of valid samples of each example, (...,) integers; samples past them are ignored, and the end is
            padded from there. None if all are valid.

    Returns:
        Padded waveforms, with as many samples as ``Frames`` requires.
    """
    length, pad = audio.shape[-1], config.padding
    n_blocks = -(-config.frame_length // config.hop)
    total = (config.n_frames(length) - 1 + n_blocks) * config.hop
    batch = [(0, 0)] * (audio.ndim - 1)
    if lengths is not None:
        positions = aligned(np.arange(length), lengths[..., None])
        audio = jnp.where(positions < lengths[..., None], audio, 0)
    if config.pad_mode == "constant" or not pad:
        return _pad_or_trim(audio, pad, total)
    if lengths is None:
        # Kaldi's frames may extend further past the end than before the start.
        after = max(pad, config.frame_length)
        if after >= length:  # compiling repeated reflections of a short clip takes XLA a second
            indices = np.pad(np.arange(length), (pad, after), mode=config.pad_mode)  # type: ignore[call-overload]
            return _pad_or_trim(audio[..., indices], 0, total)
        return _pad_or_trim(jnp.pad(audio, [*batch, (pad, after)], mode=config.pad_mode), 0, total)
    mirrored = _reflected(aligned(np.arange(total) - pad, lengths[..., None]), lengths[..., None], config.pad_mode)
    return jnp.take_along_axis(audio, jnp.clip(mirrored, 0, length - 1), axis=-1)


def compute_spectra(audio: jax.Array, config: SpectralConfig, n_frames: int | None = None) -> jax.Array:
    """Compute complex spectra (..., n_frames, n_freq) of audio (..., time) in float32 or float64.

    Args:
        audio: Waveforms, (..., time).
        config: Analysis configuration.
        n_frames: Number of frames, counted from the first, by default all.

    Returns:
        Complex spectra, time before frequency.
    """
    count = config.n_frames(audio.shape[-1]) if n_frames is None else n_frames
    return Frames(pad_audio(audio, config), count, config).spectra


def synthesize(
    spectra: jax.Array,
    config: SpectralConfig,
    length: int,
    n_valid: jax.Array | None = None,
    *,
    min_coverage: float = 0.0,
) -> jax.Array:
    """Invert spectra by overlap-add, divided by the sum of squared windows.

    Args:
        spectra: Complex spectra, (..., n_frames, n_freq).
        config: Analysis configuration.
        length: Length of the result in samples.
        n_valid: Number of valid frames, a scalar; later frames must be 0. None if all are valid.
        min_coverage: Fraction of the full sum of squared windows below which the result fades out.

    Returns:
        Waveforms, (..., length).
    """
    window = frame_window(config)
    n_frames = spectra.shape[-2]
    frames = jnp.fft.irfft(spectra, n=config.n_fft)[..., : config.frame_length]
    audio = overlap_add(frames * aligned(window, frames), hop_length=config.hop)
    if n_valid is None:
        inverse = _inverse_envelope(config, n_frames, frames.dtype, min_coverage)
    else:
        envelope = _envelope_of_valid(window, config.hop, n_frames, n_valid)
        full = float(_steady_envelope(config).max())
        covered = envelope > _MIN_OVERLAP * full
        inverse = jnp.where(covered, 1 / jnp.maximum(jnp.where(covered, envelope, 1), min_coverage * full), 0)
    start = config.padding
    kept = (audio * aligned(inverse, audio))[..., start : start + length]
    return jnp.pad(kept, [(0, 0)] * (kept.ndim - 1) + [(0, length - kept.shape[-1])])


def check_invertible(config: SpectralConfig) -> None:
    """Raise unless the windows satisfy the nonzero overlap-add condition.

    Args:
        config: Analysis configuration.

    Raises:
        ValueError: If some samples are not covered by any window.
    """
    envelope = _steady_envelope(config)
    if envelope.min() <= _MIN_OVERLAP * envelope.max():
        raise ValueError(
            f"the STFT with the window {config.window_type!r} of {config.win} samples and hop_length {config.hop} "
            f"cannot be inverted: some samples are not covered by any window (NOLA); lower hop_length, for example to "
            f"{max(1, config.win // 4)}"
        )


def frame_window(config: SpectralConfig) -> NDArray[np.float64]:
    """Return the window of a configuration, zero-padded to (frame_length,) float64."""
    table = window_table(config.window_type, config.win, config.window_periodic)
    before = (config.frame_length - config.win) // 2
    return np.pad(table, (before, config.frame_length - config.win - before))


def _pad_or_trim(audio: jax.Array, before: int, total: int) -> jax.Array:
    """Pad with zeros in front, then pad with zeros or trim at the end to a total length."""
    batch = [(0, 0, 0)] * (audio.ndim - 1)
    return lax.pad(audio, jnp.zeros((), audio.dtype), [*batch, (before, total - before - audio.shape[-1], 0)])


def _reflected(positions: NDArray[Any], lengths: jax.Array, mode: str) -> jax.Array:
    """Map positions into [0, length) as ``numpy.pad`` does, with as many reflections as needed."""
    if mode == "reflect":
        period = jnp.maximum(2 * (lengths - 1), 1)
        folded = positions % period
        return jnp.minimum(folded, period - folded) * (lengths > 1).astype(lengths.dtype)
    period = jnp.maximum(2 * lengths, 1)
    folded = positions % period
    return jnp.minimum(folded, period - 1 - folded)


def _envelope_of_valid(window: NDArray[np.float64], hop: int, n_frames: int, n_valid: jax.Array) -> jax.Array:
    """Sum the squared windows of the first ``n_valid`` frames, over as many samples as ``n_frames`` cover."""
    n_blocks = -(-len(window) // hop)
    squares = np.pad(window**2, (0, n_blocks * hop - len(window))).reshape(n_blocks, hop)
    frame = (np.arange(n_frames + n_blocks - 1)[:, None] - np.arange(n_blocks)).astype(n_valid.dtype)
    covering = ((frame >= 0) & (frame < jnp.minimum(n_valid, n_frames))).astype(n_valid.dtype)
    return jnp.matmul(covering, squares.astype(n_valid.dtype), precision=lax.Precision.HIGHEST).reshape(-1)


def _envelope(config: SpectralConfig, n_frames: int) -> NDArray[np.float64]:
    """Sum the squared windows of some frames, in blocks: (n_frames - 1 + ceil(frame_length / hop), hop)."""
    window, hop = frame_window(config), config.hop
    n_blocks = -(-len(window) // hop)
    squares = np.pad(window**2, (0, n_blocks * hop - len(window))).reshape(n_blocks, hop)
    total = np.zeros((n_frames - 1 + n_blocks, hop))
    for block, square in enumerate(squares):
        total[block : block + n_frames] += square
    return total


@lru_cache(maxsize=128)
def _steady_envelope(config: SpectralConfig) -> NDArray[np.float64]:
    """Return one hop of the sum of squared windows, away from the ends."""
    n_blocks = -(-config.frame_length // config.hop)
    steady: NDArray[np.float64] = _envelope(config, n_blocks)[n_blocks - 1]
    return steady


def _inverse_envelope(config: SpectralConfig, n_frames: int, dtype: np.dtype[Any], min_coverage: float) -> jax.Array:
    """Compute the reciprocal of the sum of squared windows from its two ends and the block that repeats between them."""
    n_blocks = -(-config.frame_length // config.hop)
    few = _envelope(config, min(n_frames, 2 * n_blocks))
    full = _steady_envelope(config).max()
    covered = few > _MIN_OVERLAP * full
    inverse = np.where(covered, 1 / np.maximum(np.where(covered, few, 1), min_coverage * full), 0)
    middle = n_blocks - 1
    repeated = jnp.broadcast_to(
        jnp.asarray(inverse[middle : middle + 1], dtype), (n_frames - 1 + n_blocks - len(few), config.hop)
    )
    return jnp.concatenate(
        [jnp.asarray(inverse[: middle + 1], dtype), repeated, jnp.asarray(inverse[middle + 1 :], dtype)]
    ).reshape(-1)
