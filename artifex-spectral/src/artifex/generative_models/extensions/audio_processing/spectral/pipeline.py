"""analyze: the function that every feature calls, with lengths, batches, dtypes, sharding and chunking in one place."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar, overload

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import warn_if_time_is_not_last
from artifex.generative_models.core.numerics.batching import batch_local, map_chunks, on_one_device, sharded_axes
from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig
from artifex.generative_models.extensions.audio_processing.spectral.framing import Frames, aligned, pad_audio

# On a CPU more frames than these are analyzed in chunks, whose spectra fit into the cache.
_CHUNK_FRAMES = 1024

# Results that are as large as the spectra do not fit into the cache: for them chunks are faster above this many frames only.
_CHUNK_FRAMES_OF_SPECTRA = 4096

_Measured = TypeVar("_Measured")
_Result = TypeVar("_Result")


@overload
def analyze(
    audio: ArrayLike,
    config: SpectralConfig,
    lengths: ArrayLike | None = None,
    *,
    measure: Callable[..., _Measured],
    finish: None = None,
    options: Mapping[str, Hashable] = ...,
    returns_spectra: bool = False,
) -> _Measured: ...


@overload
def analyze(
    audio: ArrayLike,
    config: SpectralConfig,
    lengths: ArrayLike | None = None,
    *,
    measure: Callable[..., object],
    finish: Callable[..., _Result],
    options: Mapping[str, Hashable] = ...,
    returns_spectra: bool = False,
) -> _Result: ...


def analyze(
    audio: ArrayLike,
    config: SpectralConfig,
    lengths: ArrayLike | None = None,
    *,
    measure: Callable[..., _Measured],
    finish: Callable[..., _Result] | None = None,
    options: Mapping[str, Hashable] | None = None,
    returns_spectra: bool = False,
) -> _Measured | _Result:
    """Compute a feature of audio from a function of its frames.

    Every feature of this package calls this function, and user-defined features can call it, too. It validates, pads
    and frames the audio, handles batch axes, variable-length examples, half precision and sharded arrays, and analyzes
    long input in cache-sized chunks on a CPU. It compiles once for each combination of shapes, configuration, functions
    and options. ``measure`` and ``finish`` should therefore be module-level functions: a lambda or nested function is
    a new object in each call and is compiled again.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: Analysis configuration.
        lengths: Number of valid samples of each example, integers that broadcast against the leading axes; samples
            past them are ignored. By default all are valid.
        measure: ``measure(frames, config, **options)`` computes the feature of each frame independently, from the
            attributes of ``Frames``: ``samples`` (..., n_frames, frame_length), and ``spectra``, ``power`` and
            ``magnitude`` (..., n_frames, n_freq). It returns an array (..., n_frames) or (..., rows, n_frames), or a
            pytree of such arrays.
        finish: ``finish(measured, config, n_valid, **options)`` applies operations on several frames, such as a maximum
            over time, to the result of ``measure``. ``n_valid`` is the number of valid frames of each example, (...,)
            int32, or None without ``lengths``. By default the result of ``measure`` is returned.
        options: Keyword arguments of both functions. They are static and must be hashable.
        returns_spectra: Whether the result is as large as the spectra; then only longer input is analyzed in chunks.

    Returns:
        The result of ``finish``, or of ``measure``, in the dtype of the audio. With ``lengths``, frames past the valid
        ones equal those of silence; ``config.n_frames(lengths)`` is the number of valid frames.

    Raises:
        TypeError: If the audio is not real floating point, or ``lengths`` are not integers.
        ValueError: If the audio is empty or shorter than a frame, the shape of ``lengths`` does not broadcast, or
            ``measure`` returns another shape.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> def measure_peak(frames, config):
        ...     return frames.magnitude.max(axis=-1)
        >>> def spectral_peak(audio, config, *, lengths=None):
        ...     return analyze(audio, config, lengths, measure=measure_peak)
        >>> spectral_peak(jnp.ones((2, 1000)), SpectralConfig(n_fft=256, n_mels=20)).shape
        (2, 16)
    """
    audio = check_audio(audio, config)
    valid = None if lengths is None else check_lengths("lengths", lengths, audio.shape[:-1], audio.shape[-1])
    result: _Measured | _Result = _analyze(
        audio,
        valid,
        config=config,
        measure=measure,
        finish=finish,
        options=tuple(sorted((options or {}).items())),
        max_frames=_CHUNK_FRAMES_OF_SPECTRA if returns_spectra else _CHUNK_FRAMES,
        single_device=on_one_device(audio),
    )
    return result


def check_audio(audio: ArrayLike | str | None, config: SpectralConfig) -> jax.Array:
    """Convert audio to an array, or raise if the configuration cannot analyze it.

    Args:
        audio: Waveforms, (..., time).
        config: Analysis configuration.

    Returns:
        The audio as a JAX array.

    Raises:
        TypeError: If ``config`` is not a configuration, or the audio is not real floating point.
        ValueError: If the audio is empty or shorter than a frame.
    """
    check_config(config)
    if audio is None or isinstance(audio, str):
        raise TypeError(f"audio must be an array of shape (..., time), got {type(audio).__name__}")
    audio = jnp.asarray(audio)
    if not jnp.issubdtype(audio.dtype, np.floating):
        raise TypeError(
            f"audio must be floating point with full scale 1, got {audio.dtype}"
            + ("; scale it first, for example audio / 32768 for int16" if audio.dtype.kind in "iu" else "")
        )
    if audio.ndim == 0 or audio.size == 0:
        raise ValueError(f"audio must be (..., time) with at least one sample, got shape {audio.shape}")
    if audio.shape[-1] < config.min_length:
        raise ValueError(
            f"audio must have at least {config.min_length} samples for one frame (frames of {config.frame_length} "
            f"samples), got {audio.shape[-1]}; pad it" + ("" if config.padding else " or set center=True")
        )
    warn_if_time_is_not_last("spectral features", audio.shape, stacklevel=5)
    return audio


def check_config(config: object) -> None:
    """Raise unless ``config`` is a SpectralConfig."""
    if not isinstance(config, SpectralConfig):
        remedy = (
            "pass config.analysis"
            if isinstance(getattr(config, "analysis", None), SpectralConfig)
            else (
                "pass the array first, then a configuration such as SpectralConfig(sample_rate=16000) or "
                "create('preset', 'whisper')"
            )
        )
        raise TypeError(f"config must be a SpectralConfig, got {type(config).__name__}; {remedy}")


def check_real(name: str, array: jax.Array) -> None:
    """Raise unless the argument ``name`` is real floating point."""
    if not jnp.issubdtype(array.dtype, np.floating):
        remedy = "take its magnitude with abs" if array.dtype.kind == "c" else "convert it with astype(float)"
        raise TypeError(f"{name} must be real floating point, got {array.dtype}; {remedy}")


def check_complex(name: str, array: jax.Array) -> None:
    """Raise unless the argument ``name`` is complex."""
    if not jnp.issubdtype(array.dtype, np.complexfloating):
        raise TypeError(
            f"{name} must be complex, got {array.dtype}; compute it with stft, or invert magnitudes with griffin_lim"
        )


def check_spectrogram(
    name: str,
    values: ArrayLike,
    *,
    rows: str = "rows",
    n_rows: int | None = None,
    check_dtype: Callable[[str, jax.Array], None] = check_real,
) -> jax.Array:
    """Convert a spectrogram, or features, to an array, or raise unless it is (..., rows, time) and not empty.

    Args:
        name: Name of the argument, for the message.
        values: The spectrogram.
        rows: Name of the second to last axis, for the message.
        n_rows: Expected size of that axis; by default any.
        check_dtype: ``check_real`` or ``check_complex``.

    Returns:
        The spectrogram as a JAX array.

    Raises:
        TypeError: If its dtype is invalid.
        ValueError: If it is empty or has another shape.
    """
    array = jnp.asarray(values)
    check_dtype(name, array)
    if array.ndim < 2 or array.size == 0 or (n_rows is not None and array.shape[-2] != n_rows):
        expected = rows if n_rows is None else f"{rows} = {n_rows}"
        raise ValueError(f"{name} must be (..., {expected}, time) and not empty, got shape {array.shape}")
    return array


def check_lengths(
    name: str, lengths: ArrayLike, shape: tuple[int, ...], maximum: int, unit: str = "samples"
) -> jax.Array | np.ndarray:
    """Broadcast lengths to the leading axes, or raise if they are invalid.

    Args:
        name: Name of the argument, for the message.
        lengths: Integers.
        shape: Shape of the leading axes.
        maximum: Maximum length.
        unit: Unit of the lengths, for the message.

    Returns:
        Lengths, int32, of that shape.

    Raises:
        TypeError: If they are not integers.
        ValueError: If one is out of range, or the shape does not broadcast.
    """
    given = lengths if isinstance(lengths, jax.Array) else np.asarray(lengths)
    if not jnp.issubdtype(given.dtype, np.integer):
        raise TypeError(f"{name} must be integers, numbers of {unit}, got {given.dtype}")
    if isinstance(given, np.ndarray) and (outside := given[(given < 0) | (given > maximum)]).size:
        raise ValueError(f"{name} must be from 0 to {maximum} {unit}, got {outside[0]}")
    check_broadcast(name, given, shape)
    if isinstance(given, np.ndarray):  # NumPy avoids the cost of a dispatch
        return np.broadcast_to(given.astype(np.int32), shape)
    return jnp.broadcast_to(given.astype(np.int32), shape)


def check_broadcast(name: str, array: ArrayLike, shape: tuple[int, ...]) -> None:
    """Raise unless an array broadcasts to the leading axes.

    Args:
        name: Name of the argument, for the message.
        array: The array.
        shape: Shape of the leading axes.

    Raises:
        ValueError: If it does not.
    """
    try:
        broadcasts = np.broadcast_shapes(np.shape(array), shape) == shape
    except ValueError:
        broadcasts = False
    if not broadcasts:
        raise ValueError(f"{name} must broadcast to the leading axes {shape}, got shape {np.shape(array)}")


@numerics.jit(static_argnames=["config", "measure", "finish", "options", "max_frames", "single_device"])
def _analyze(
    audio: jax.Array,
    lengths: ArrayLike | None,
    *,
    config: SpectralConfig,
    measure: Callable[..., Any],
    finish: Callable[..., Any] | None,
    options: tuple[tuple[str, Hashable], ...],
    max_frames: int,
    single_device: bool,
) -> Any:
    working = numerics.working_dtype(audio.dtype)
    n_frames = config.n_frames(audio.shape[-1])
    may_chunk = single_device or bool(sharded_axes(audio, 1)[0])

    def measure_frames(
        padded: jax.Array, n_valid: jax.Array | None, first: jax.Array | None = None, count: int = n_frames
    ) -> Any:
        """Measure ``count`` frames, which start with frame ``first`` of each example."""
        valid = None
        if n_valid is not None:
            n_valid = n_valid[..., None]
            index = aligned(jnp.arange(count), n_valid)
            valid = (index if first is None else first[..., None] + index) < n_valid
        measured = measure(Frames(padded, count, config, valid), config, **dict(options))
        for shape in map(np.shape, jax.tree.leaves(measured)):
            if shape[-1:] != (count,):
                raise ValueError(
                    f"measure must return arrays whose last axis is the frames (here {count}), got shape {shape}; move "
                    f"that axis to the end, for example with swapaxes(-1, -2)"
                )
        return measured

    def measure_segments(padded: jax.Array, n_valid: jax.Array | None) -> Any:
        """Measure one segment of an example (examples, time) after another."""
        n_segments = -(-n_frames // _CHUNK_FRAMES)
        size = -(-n_frames // n_segments)
        segments = _segments(padded, n_segments, size, config)
        first = jnp.tile(size * jnp.arange(n_segments, dtype=np.int32), len(padded))
        ends = None if n_valid is None else jnp.repeat(n_valid, n_segments)

        def measure_segment(_: None, segment: tuple[jax.Array, jax.Array | None, jax.Array]) -> tuple[None, Any]:
            samples, n_valid, first = segment
            return None, measure_frames(samples, n_valid, first, size)

        measured = lax.scan(measure_segment, None, (segments, ends, first))[1]

        def join(x: jax.Array) -> jax.Array:
            x = jnp.moveaxis(x.reshape(len(padded), n_segments, *x.shape[1:]), 1, -2)
            return x.reshape(*x.shape[:-2], -1)[..., :n_frames]

        return jax.tree.map(join, measured)

    def measure_chunks(padded: jax.Array, n_valid: jax.Array | None) -> Any:
        """Measure a few examples, or one segment of a long example, at a time."""
        batch = padded.shape[:-1]
        examples = (padded.reshape(-1, padded.shape[-1]), None if n_valid is None else n_valid.reshape(-1))
        if n_frames > _CHUNK_FRAMES:
            measured = measure_segments(*examples)
        else:
            measured = map_chunks(lambda chunk: measure_frames(*chunk), examples, _CHUNK_FRAMES // n_frames)

        def unflatten(x: jax.Array) -> jax.Array:
            return x.reshape(*batch, *x.shape[1:])

        return jax.tree.map(unflatten, measured)

    def analyze_local(audio: jax.Array, lengths: jax.Array | None = None) -> Any:
        n_valid = None
        if lengths is not None:
            lengths = jnp.clip(lengths, 0, audio.shape[-1])
            n_valid = jnp.clip(config.n_frames(lengths), 0, n_frames)
        padded = pad_audio(audio.astype(working), config, lengths)
        if may_chunk and math.prod(audio.shape[:-1]) * n_frames > max_frames:
            result = numerics.platform_dependent(padded, n_valid, cpu=measure_chunks, default=measure_frames)
        else:
            result = measure_frames(padded, n_valid)
        if finish is not None:
            result = finish(result, config, n_valid, **dict(options))

        def restore_dtype(x: jax.Array) -> jax.Array:
            return x.astype(audio.dtype) if x.dtype == working else x

        return jax.tree.map(restore_dtype, result)

    return batch_local(analyze_local, audio, *(() if lengths is None else (jnp.asarray(lengths),)), core=1)


def _segments(padded: jax.Array, n_segments: int, size: int, config: SpectralConfig) -> jax.Array:
    """Cut examples (examples, time) into overlapping segments of ``size`` frames.

    Returns:
        Segments, (examples * n_segments, samples of a segment).
    """
    overlap = (-(-config.frame_length // config.hop) - 1) * config.hop
    step = size * config.hop
    missing = max(0, n_segments * step + overlap - padded.shape[-1])
    padded = jnp.pad(padded, [(0, 0), (0, missing)])
    pieces = [padded[:, : n_segments * step].reshape(len(padded), n_segments, step)]
    n_following = -(-overlap // step) * step
    following = jnp.pad(padded[:, step : n_segments * step + overlap], [(0, 0), (0, n_following - overlap)])
    for start in range(0, n_following, step):
        piece = following[:, start : start + n_segments * step].reshape(len(padded), n_segments, step)
        pieces.append(piece[..., : min(step, overlap - start)])
    return jnp.concatenate(pieces, axis=-1).reshape(len(padded) * n_segments, -1)
