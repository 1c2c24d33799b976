"""The one way from waveforms to features: lengths, sharding, the cache, and what every feature has in common."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast, overload

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.numerics.batching import batch_local, map_chunks, on_one_device, sharded_axes
from artifex.generative_models.extensions.audio_processing.spectral.docstrings import completed
from artifex.generative_models.extensions.audio_processing.spectral.framing import Frames, padded_audio

if TYPE_CHECKING:
    from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig

# More frames than these go through the transform in parts on a CPU, each of so many that its spectra stay in the cache.
_FRAMES_AT_ONCE = 1024

# Where spectra leave the cache anyway, as results, only more frames than these do.
_FRAMES_OF_SPECTRA = 4096

_ARGS = """\
audio: Waveforms, (..., time), floating point, full scale 1.
config: The conventions.
lengths: How many samples of each example are valid, integers that broadcast against the leading axes; what
    comes after them does not count. None for all.
"""
_RETURNS = (
    "With ``lengths``, a pair: that, in which frames past the valid ones are those of silence, and the number of "
    "valid frames of each example, (...,) int32."
)
_RAISES = """\
TypeError: When the audio is not of a real floating dtype or ``lengths`` not integers.
ValueError: When it is empty, or uncentered and shorter than a frame, or the shape of ``lengths`` does not fit.
"""


class Feature(Protocol):
    """A feature of audio: a measure of its frames, and what is made of a clip's frames together.

    ``measure(frames, config, **options)`` looks at frames by themselves and gives arrays whose last axis is time;
    ``finish(measured, config, n_valid, **options)`` looks at whole clips, or is None.
    """

    measure: Callable[..., Any]
    finish: Callable[..., Any] | None
    spectra: bool

    @overload
    def __call__(
        self, audio: ArrayLike, config: SpectralConfig, *, lengths: None = None, **options: Any
    ) -> jax.Array: ...

    @overload
    def __call__(
        self, audio: ArrayLike, config: SpectralConfig, *, lengths: ArrayLike, **options: Any
    ) -> tuple[jax.Array, jax.Array]: ...


def feature(
    *, finish: Callable[..., Any] | None = None, check: Callable[..., None] | None = None, spectra: bool = False
) -> Callable[[Callable[..., Any]], Feature]:
    """Return a decorator that makes a feature of audio of a measure of frames.

    The measure's docstring is the feature's: it has a summary and the sections Returns, Example and Reference, and
    Options when it has some; what is common to all features is added.

    Args:
        finish: ``f(measured, config, n_valid, **options)`` for what needs whole clips: ``n_valid`` is the number of
            valid frames (...,), or None for all.
        check: ``f(config, **options)``, which raises for options that do not fit, before anything is traced.
        spectra: Whether what comes out is as large as the spectra.

    Returns:
        The decorator.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> @feature()
        ... def peak(frames, config):
        ...     '''Return the largest magnitude of each frame.'''
        ...     return frames.magnitude.max(axis=-1)
        >>> peak(jnp.ones((2, 1000)), SpectralConfig(n_fft=256, n_mels=20)).shape
        (2, 16)
    """

    def decorate(measure: Callable[..., Any]) -> Feature:
        own = list(inspect.signature(measure).parameters.values())[2:]
        defaults = {parameter.name: parameter.default for parameter in own}

        @functools.wraps(measure)
        def compute(audio: Any, config: SpectralConfig, *, lengths: Any = None, **options: Any) -> Any:
            unknown = [name for name in options if name not in defaults]
            if unknown:
                raise TypeError(
                    f"{measure.__name__} takes no option {unknown[0]!r}; it takes {', '.join(['lengths', *defaults])}"
                )
            return _computed(compute, audio, config, lengths, {**defaults, **options}, check)

        keyword = inspect.Parameter.KEYWORD_ONLY
        positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
        compute.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                inspect.Parameter("audio", positional, annotation=ArrayLike),
                inspect.Parameter("config", positional, annotation="SpectralConfig"),
                inspect.Parameter("lengths", keyword, default=None, annotation="ArrayLike | None"),
                *own,
            ]
        )
        compute.__doc__ = completed(measure.__doc__, args=_ARGS, returns=_RETURNS, raises=_RAISES)
        compute.measure, compute.finish, compute.spectra = measure, finish, spectra  # type: ignore[attr-defined]
        return cast(Feature, compute)

    return decorate


def finish_all(
    parts: Mapping[str, Feature], measured: Mapping[str, Any], config: SpectralConfig, n_valid: jax.Array | None
) -> dict[str, Any]:
    """Finish several features that were measured on the same frames, by name; what is no feature stays as it is."""
    return {
        name: one if name not in parts or (finish := parts[name].finish) is None else finish(one, config, n_valid)
        for name, one in measured.items()
    }


def check_audio(audio: ArrayLike, config: SpectralConfig) -> jax.Array:
    """Return audio as an array, or raise when it is none that the configuration can analyze."""
    if not hasattr(config, "least_length") or hasattr(audio, "least_length"):
        raise TypeError(
            f"a feature takes audio, then a SpectralConfig, got {type(audio).__name__} and {type(config).__name__}; the "
            f"configuration of a preset is create('preset', 'whisper')"
        )
    audio = jnp.asarray(audio)
    if not jnp.issubdtype(audio.dtype, np.floating):
        raise TypeError(
            f"audio has to be floating point with full scale 1, got {audio.dtype}"
            + (": scale it first, such as by audio / 32768 for int16" if audio.dtype.kind in "iu" else "")
        )
    if audio.ndim == 0 or audio.size == 0:
        raise ValueError(f"audio has to be (..., time) with at least one sample, got shape {audio.shape}")
    if audio.shape[-1] < config.least_length:
        raise ValueError(
            f"audio of {audio.shape[-1]} samples is too short for one frame, which takes {config.least_length} (frames of "
            f"{config.frame} samples); pad it" + ("" if config.padding else " or set center=True")
        )
    return audio


def check_real(what: str, array: jax.Array) -> None:
    """Raise unless an array is of a real floating dtype."""
    if not jnp.issubdtype(array.dtype, np.floating):
        raise TypeError(f"{what} takes an array of a real floating dtype, got {array.dtype}")


def check_spectrum(name: str, array: jax.Array, rows: int | None = None, what: str = "") -> None:
    """Raise unless an array is (..., rows, time), not empty."""
    if array.ndim < 2 or array.size == 0 or (rows is not None and array.shape[-2] != rows):
        expected = f"{what} = {rows}" if rows is not None else "freq"
        raise ValueError(f"{name} has to be (..., {expected}, time), not empty, got shape {array.shape}")


def check_lengths(
    lengths: ArrayLike, shape: tuple[int, ...], longest: int, unit: str = "samples"
) -> jax.Array | np.ndarray:
    """Return lengths (...,) as int32, broadcast to the leading axes, or raise when they do not fit."""
    given = lengths if isinstance(lengths, jax.Array) else np.asarray(lengths)
    if not jnp.issubdtype(given.dtype, np.integer):
        raise TypeError(f"lengths has to be integers, numbers of {unit}, got {given.dtype}")
    if isinstance(given, np.ndarray) and given.size and not 0 <= given.min() <= given.max() <= longest:
        raise ValueError(f"lengths has to be from 0 to {longest} {unit}, got {given.min()} to {given.max()}")
    try:
        fitting = np.broadcast_shapes(given.shape, shape) == shape
    except ValueError:
        fitting = False
    if not fitting:
        raise ValueError(f"lengths of shape {given.shape} does not fit the leading axes {shape}")
    if isinstance(given, np.ndarray):  # what NumPy does costs no dispatch
        return np.broadcast_to(given.astype(np.int32), shape)
    return jnp.broadcast_to(given.astype(np.int32), shape)


def _computed(
    compute: Any,
    audio: ArrayLike,
    config: SpectralConfig,
    lengths: ArrayLike | None,
    options: dict[str, Any],
    check: Callable[..., None] | None,
) -> Any:
    audio = check_audio(audio, config)
    if check is not None:
        check(config, **options)
    valid = None if lengths is None else check_lengths(lengths, audio.shape[:-1], audio.shape[-1])
    return _analyse(audio, valid, config, compute, tuple(sorted(options.items())), on_one_device(audio))


@functools.partial(jax.jit, static_argnums=(2, 3, 4, 5))
def _analyse(
    audio: jax.Array,
    lengths: jax.Array | None,
    config: SpectralConfig,
    compute: Feature,
    options: tuple[tuple[str, Any], ...],
    single_device: bool,
) -> Any:
    working = numerics.working_dtype(audio.dtype)
    named = dict(options)
    n_frames = config.n_frames(audio.shape[-1])
    many = _FRAMES_OF_SPECTRA if compute.spectra else _FRAMES_AT_ONCE
    in_parts = single_device or bool(sharded_axes(audio, 1)[0])

    def measure(padded: jax.Array, n_valid: jax.Array | None, first: jax.Array | int = 0, count: int = n_frames) -> Any:
        valid = None if n_valid is None else first + jnp.arange(count) < n_valid[..., None]
        return compute.measure(Frames(padded, count, config, valid), config, **named)

    def in_stretches(padded: jax.Array, n_valid: jax.Array | None) -> Any:
        n_parts = -(-n_frames // _FRAMES_AT_ONCE)
        size = -(-n_frames // n_parts)
        first = jnp.tile(size * jnp.arange(n_parts), len(padded))
        ends = None if n_valid is None else jnp.repeat(n_valid, n_parts)
        stretches = (_stretches(padded, n_parts, size, config), ends, first)
        measured = lax.map(lambda part: measure(part[0], part[1], part[2], size), stretches)

        def joined(x: jax.Array) -> jax.Array:
            x = jnp.moveaxis(x.reshape(len(padded), n_parts, *x.shape[1:]), 1, -2)
            return x.reshape(*x.shape[:-2], -1)[..., :n_frames]

        return jax.tree.map(joined, measured)

    def by_parts(padded: jax.Array, n_valid: jax.Array | None) -> Any:
        """A few rows after another, or one stretch of a long row after another: their spectra stay in the cache."""
        lead = padded.shape[:-1]
        rows = (padded.reshape(-1, padded.shape[-1]), None if n_valid is None else n_valid.reshape(-1))
        if n_frames > _FRAMES_AT_ONCE:
            measured = in_stretches(*rows)
        else:
            measured = map_chunks(lambda some: measure(*some), rows, _FRAMES_AT_ONCE // n_frames)
        return jax.tree.map(lambda x: x.reshape(*lead, *x.shape[1:]), measured)

    def local(audio: jax.Array, lengths: jax.Array | None = None) -> Any:
        if lengths is not None:
            lengths = jnp.clip(lengths, 0, audio.shape[-1])
        n_valid = None if lengths is None else jnp.clip(config.n_frames(lengths), 0, n_frames)
        padded = padded_audio(audio.astype(working), config, lengths)
        if in_parts and int(np.prod(audio.shape[:-1])) * n_frames > many:
            measured = lax.platform_dependent(padded, n_valid, cpu=by_parts, default=measure)
        else:
            measured = measure(padded, n_valid)
        if compute.finish is not None:
            measured = compute.finish(measured, config, n_valid, **named)
        found = jax.tree.map(lambda x: x.astype(audio.dtype) if x.dtype == working else x, measured)
        return found if n_valid is None else (found, n_valid.astype(np.int32))

    return batch_local(local, audio, *(() if lengths is None else (lengths,)), core=1)


def _stretches(rows: jax.Array, n_parts: int, size: int, config: SpectralConfig) -> jax.Array:
    """The samples of ``n_parts`` times ``size`` frames of each row, (rows * n_parts, samples of a stretch)."""
    overlap = (-(-config.frame // config.hop) - 1) * config.hop
    step = size * config.hop
    rows = jnp.pad(rows, [(0, 0), (0, max(0, n_parts * step + overlap - rows.shape[-1]))])
    body = rows[:, : n_parts * step].reshape(len(rows), n_parts, step)
    n_more = -(-overlap // step) * step
    tail = jnp.pad(rows[:, step : n_parts * step + overlap], [(0, 0), (0, n_more - overlap)])
    pieces = [body]
    for start in range(0, n_more, step):
        piece = tail[:, start : start + n_parts * step].reshape(len(rows), n_parts, step)
        pieces.append(piece[..., : min(step, overlap - start)])
    return jnp.concatenate(pieces, axis=-1).reshape(len(rows) * n_parts, -1)
