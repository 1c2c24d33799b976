"""From waveforms to frames and back: padding, cutting, windowing, overlap-add, and the length of what is valid."""

from __future__ import annotations

from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

from artifex.generative_models.core import numerics
from artifex.generative_models.extensions.audio_processing.spectral.windows import window_table

if TYPE_CHECKING:
    from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig

PAD_MODES = ("constant", "reflect", "symmetric")

# Above this many frames over one sample, shifted blocks make a graph too large.
_MOST_BLOCKS = 32

# A squared-window sum below this share of its peak amplifies rounding beyond use.
_LEAST_OVERLAP = 1e-10


class Frames:
    """The frames of some audio as a feature looks at them; what is not asked for is not computed.

    Args:
        audio: Padded waveforms, (..., at least ``(n_frames - 1 + ceil(frame / hop)) * hop``), in a working dtype.
        n_frames: Number of frames.
        config: The conventions.
        valid: Which frames are valid, (..., n_frames) bool; the others are taken as silent. None for all.
    """

    def __init__(self, audio: jax.Array, n_frames: int, config: SpectralConfig, valid: jax.Array | None = None) -> None:
        self._audio = audio
        self._n_frames = n_frames
        self._config = config
        self._valid = valid

    @cached_property
    def samples(self) -> jax.Array:
        """The samples of each frame (..., n_frames, frame), scaled and with their mean removed as configured."""
        config = self._config
        raw = self._cut(np.full(config.frame, config.input_scale))
        return raw - raw.mean(axis=-1, keepdims=True) if config.remove_dc else raw

    @cached_property
    def spectra(self) -> jax.Array:
        """Complex spectra (..., n_frames, n_freq)."""
        return self.spectra_under(frame_window(self._config))

    @cached_property
    def power(self) -> jax.Array:
        """Squared magnitudes (..., n_frames, n_freq)."""
        return jnp.square(self.spectra.real) + jnp.square(self.spectra.imag)

    @cached_property
    def magnitude(self) -> jax.Array:
        """Magnitudes (..., n_frames, n_freq)."""
        return numerics.safe_abs(self.spectra)

    def spectra_under(self, window: NDArray[np.float64]) -> jax.Array:
        """Return complex spectra (..., n_frames, n_freq) under another window (frame,)."""
        config = self._config
        if not config.remove_dc and not config.preemphasis:
            return jnp.fft.rfft(self._cut(config.input_scale * window), n=config.n_fft)
        samples = self.samples
        before = jnp.concatenate([samples[..., :1], samples[..., :-1]], axis=-1)
        emphasized = samples - config.preemphasis * before
        return jnp.fft.rfft(emphasized * window.astype(samples.dtype), n=config.n_fft)

    def _cut(self, weights: NDArray[np.float64]) -> jax.Array:
        """Cut (..., time) into frames (..., n_frames, frame) times some weights."""
        hop, size = self._config.hop, self._config.frame
        # What is fastest differs: slices are copies on a CPU, but gathers elsewhere.
        slices = partial(by_slices, hop=hop, size=size, n_frames=self._n_frames)
        blocks = partial(by_blocks, hop=hop, size=size, n_frames=self._n_frames)
        others = blocks if -(-size // hop) <= _MOST_BLOCKS else slices
        cut: jax.Array = lax.platform_dependent(self._audio, cpu=slices, default=others)
        frames: jax.Array = cut * weights.astype(self._audio.dtype)
        return frames if self._valid is None else jnp.where(self._valid[..., None], frames, 0)


def by_slices(audio: jax.Array, *, hop: int, size: int, n_frames: int) -> jax.Array:
    """Cut (..., time) into frames (..., n_frames, size), one slice after another."""
    starts = hop * jnp.arange(n_frames)
    return jax.vmap(lambda start: lax.dynamic_slice_in_dim(audio, start, size, axis=-1), out_axes=-2)(starts)


def by_blocks(audio: jax.Array, *, hop: int, size: int, n_frames: int) -> jax.Array:
    """Cut (..., time) into frames (..., n_frames, size), as blocks of a hop side by side."""
    n_blocks = -(-size // hop)
    blocks = audio[..., : (n_frames - 1 + n_blocks) * hop].reshape(*audio.shape[:-1], -1, hop)
    pieces = [blocks[..., block : block + n_frames, : size - block * hop] for block in range(n_blocks)]
    return jnp.concatenate(pieces, axis=-1)


def padded_audio(audio: jax.Array, config: SpectralConfig, lengths: jax.Array | None = None) -> jax.Array:
    """Return audio (..., time) with its ends padded as configured, a whole number of hops long.

    Args:
        audio: Waveforms, (..., time), in a working dtype.
        config: The conventions.
        lengths: The valid samples of each, (...,) integers; what comes after them does not count, and the end is
            padded from there. None for all.

    Returns:
        Padded waveforms, (..., as many samples as ``Frames`` wants).
    """
    length, pad = audio.shape[-1], config.padding
    n_blocks = -(-config.frame // config.hop)
    total = (config.n_frames(length) - 1 + n_blocks) * config.hop
    if lengths is not None:
        audio = jnp.where(jnp.arange(length) < lengths[..., None], audio, 0)
    if config.pad_mode == "constant" or not pad:
        return _fitted(audio, pad, total)
    if lengths is None:
        # Kaldi's frames may reach further past the end than before the start.
        after = max(pad, config.frame)
        if after >= length:  # XLA takes a second over the many mirrors of a short clip
            mirrors = np.pad(np.arange(length), (pad, after), mode=config.pad_mode)  # type: ignore[call-overload]
            return _fitted(audio[..., mirrors], 0, total)
        return _fitted(jnp.pad(audio, [(0, 0)] * (audio.ndim - 1) + [(pad, after)], mode=config.pad_mode), 0, total)
    place = _mirrored(jnp.arange(total) - pad, lengths[..., None], config.pad_mode)
    return jnp.take_along_axis(audio, jnp.clip(place, 0, length - 1), axis=-1)


def spectra_of(audio: jax.Array, config: SpectralConfig, n_frames: int | None = None) -> jax.Array:
    """Return the complex spectra (..., n_frames, n_freq) of audio (..., time) in a working dtype, all frames or the first."""
    count = config.n_frames(audio.shape[-1]) if n_frames is None else n_frames
    return Frames(padded_audio(audio, config), count, config).spectra


def audio_of(
    spectra: jax.Array,
    config: SpectralConfig,
    length: int,
    n_valid: jax.Array | None = None,
    *,
    min_coverage: float = 0.0,
) -> jax.Array:
    """Return the audio (..., length) of spectra (..., n_frames, n_freq): overlap-add over the squared-window sum.

    ``n_valid`` says how many frames there are in truth, the others being zero; it is a scalar. Below
    ``min_coverage`` of the full squared-window sum the audio fades.
    """
    window = frame_window(config)
    n_frames = spectra.shape[-2]
    frames = jnp.fft.irfft(spectra, n=config.n_fft)[..., : config.frame]
    audio = _overlap_add(frames * window.astype(frames.dtype), config.hop)
    shape = (config.window_type, config.window_periodic, config.win, config.frame, config.hop)
    if n_valid is None:
        inverse = _inverse_envelope(*shape, n_frames, frames.dtype, min_coverage)
    else:
        envelope = _envelope_of_valid(window, config.hop, n_frames, n_valid)
        full = _steady_envelope(*shape).max()
        reached = envelope > _LEAST_OVERLAP * full
        inverse = jnp.where(reached, 1 / jnp.maximum(jnp.where(reached, envelope, 1), min_coverage * full), 0)
    start = config.padding
    kept = (audio * inverse)[..., start : start + length]
    return jnp.pad(kept, [(0, 0)] * (kept.ndim - 1) + [(0, length - kept.shape[-1])])


def check_invertible(config: SpectralConfig) -> None:
    """Raise when the windows of a steady row of frames do not reach every sample."""
    envelope = _steady_envelope(config.window_type, config.window_periodic, config.win, config.frame, config.hop)
    if envelope.min() <= _LEAST_OVERLAP * envelope.max():
        raise ValueError(
            f"the window {config.window_type!r} of {config.win} samples with hop_length {config.hop} cannot "
            f"be inverted: some samples are reached by no window (NOLA); shorten the hop, such as to "
            f"{max(1, config.win // 4)}"
        )


def frame_window(config: SpectralConfig) -> NDArray[np.float64]:
    """Return the window in its place among the samples of a frame, (frame,) float64."""
    return _placed(config.window_type, config.window_periodic, config.win, config.frame)


@lru_cache(maxsize=128)
def _placed(window: Any, periodic: bool, win_length: int, frame: int) -> NDArray[np.float64]:
    before = (frame - win_length) // 2
    table = np.pad(window_table(window, win_length, periodic), (before, frame - win_length - before))
    table.flags.writeable = False
    return table


def _fitted(audio: jax.Array, before: int, total: int) -> jax.Array:
    """Zeros in front, and zeros behind or samples cut off, to a total length."""
    batch = [(0, 0, 0)] * (audio.ndim - 1)
    return lax.pad(audio, jnp.zeros((), audio.dtype), [*batch, (before, total - before - audio.shape[-1], 0)])


def _mirrored(place: jax.Array, lengths: jax.Array, mode: str) -> jax.Array:
    """Fold sample indices into [0, length) as ``numpy.pad`` does, as often as it takes."""
    if mode == "reflect":
        period = jnp.maximum(2 * (lengths - 1), 1)
        place = place % period
        return jnp.minimum(place, period - place) * (lengths > 1)
    period = jnp.maximum(2 * lengths, 1)
    place = place % period
    return jnp.minimum(place, period - 1 - place)


def _overlap_add(frames: jax.Array, hop: int) -> jax.Array:
    """Add frames (..., n_frames, frame) up at steps of a hop, to a whole number of hops."""
    n_frames, size = frames.shape[-2:]
    n_blocks = -(-size // hop)
    batch = [(0, 0)] * (frames.ndim - 2)
    if n_blocks > _MOST_BLOCKS:
        places = hop * jnp.arange(n_frames)[:, None] + jnp.arange(size)
        silence = jnp.zeros((*frames.shape[:-2], (n_frames - 1 + n_blocks) * hop), frames.dtype)
        return silence.at[..., places].add(frames)
    blocks = jnp.pad(frames, [*batch, (n_blocks - 1, n_blocks - 1), (0, n_blocks * hop - size)])
    total = sum(
        blocks[..., first : first + n_frames + n_blocks - 1, block * hop : (block + 1) * hop]
        for block, first in enumerate(range(n_blocks - 1, -1, -1))
    )
    return jnp.asarray(total).reshape(*frames.shape[:-2], -1)


def _envelope_of_valid(window: NDArray[np.float64], hop: int, n_frames: int, n_valid: jax.Array) -> jax.Array:
    """The squared windows of the first frames, added up: as many samples as ``n_frames`` reach."""
    n_blocks = -(-len(window) // hop)
    squares = np.pad(window**2, (0, n_blocks * hop - len(window))).reshape(n_blocks, hop)
    frame = np.arange(n_frames + n_blocks - 1)[:, None] - np.arange(n_blocks)
    over = ((frame >= 0) & (frame < jnp.minimum(n_valid, n_frames))).astype(n_valid.dtype)
    return jnp.matmul(over, squares.astype(n_valid.dtype), precision=lax.Precision.HIGHEST).reshape(-1)


@lru_cache(maxsize=128)
def _envelope(window: Any, periodic: bool, win_length: int, frame: int, hop: int, n_frames: int) -> NDArray[np.float64]:
    """The squared windows of some frames, added up: (n_frames - 1 + ceil(frame / hop), hop) blocks."""
    n_blocks = -(-frame // hop)
    placed = _placed(window, periodic, win_length, frame)
    pieces = np.pad(placed**2, (0, n_blocks * hop - frame)).reshape(n_blocks, hop)
    total = np.zeros((n_frames - 1 + n_blocks, hop))
    for block, piece in enumerate(pieces):
        total[block : block + n_frames] += piece
    return total


def _steady_envelope(window: Any, periodic: bool, win_length: int, frame: int, hop: int) -> NDArray[np.float64]:
    """One hop of the squared-window sum, far from the ends."""
    n_blocks = -(-frame // hop)
    steady: NDArray[np.float64] = _envelope(window, periodic, win_length, frame, hop, n_blocks)[n_blocks - 1]
    return steady


def _inverse_envelope(
    window: Any,
    periodic: bool,
    win_length: int,
    frame: int,
    hop: int,
    n_frames: int,
    dtype: np.dtype[Any],
    min_coverage: float,
) -> jax.Array:
    """One over the squared-window sum of all frames, from its two ends and the block that repeats between."""
    n_blocks = -(-frame // hop)
    few = _envelope(window, periodic, win_length, frame, hop, min(n_frames, 2 * n_blocks))
    full = _steady_envelope(window, periodic, win_length, frame, hop).max()
    reached = few > _LEAST_OVERLAP * full
    inverse = np.where(reached, 1 / np.maximum(np.where(reached, few, 1), min_coverage * full), 0)
    middle = n_blocks - 1
    repeated = jnp.broadcast_to(jnp.asarray(inverse[middle], dtype), (n_frames - 1 + n_blocks - len(few), hop))
    return jnp.concatenate(
        [jnp.asarray(inverse[: middle + 1], dtype), repeated, jnp.asarray(inverse[middle + 1 :], dtype)]
    ).reshape(-1)
