"""Postprocessing of features (..., rows, time): deltas, liftering, mean and variance normalization, PCEN."""

from __future__ import annotations

import math
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from numpy.typing import NDArray

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_flag, check_integer, check_number
from artifex.generative_models.extensions.audio_processing.spectral.cepstral import lifter_weights
from artifex.generative_models.extensions.audio_processing.spectral.framing import aligned
from artifex.generative_models.extensions.audio_processing.spectral.pipeline import check_lengths, check_spectrogram

# A standard deviation up to this many rounding errors (eps) of the largest value counts as 0.
_ROUNDING_UNITS = 16


def deltas(features: ArrayLike, *, width: int = 9, order: int = 1, n_frames: ArrayLike | None = None) -> jax.Array:
    """Compute delta features: derivatives over time, by a local polynomial fit (Savitzky-Golay).

    The first and the last valid frame are replicated at the edges.

    Args:
        features: Features, (..., rows, time), floating point.
        width: Number of frames of the fit, odd, at least 3.
        order: Order of the derivative and degree of the polynomial, at least 1 and below ``width``.
        n_frames: Number of valid frames of each example, integers that broadcast against the leading axes. By default
            all are valid.

    Returns:
        Derivatives per frame, in the shape and dtype of ``features``; 0 past the valid frames.

    Raises:
        TypeError: If ``features`` is not real floating point, or ``n_frames`` are not integers.
        ValueError: If a shape does not match, or an option is out of range.

    Example:
        >>> deltas(2.0 * jnp.arange(20.0)[None])[0, 4:8].round(4).tolist()
        [2.0, 2.0, 2.0, 2.0]

    Reference:
        ``librosa.feature.delta(…, mode="nearest")`` and ``scipy.signal.savgol_filter``; librosa's default mode,
        ``"interp"``, computes the first and last ``width // 2`` frames from polynomials that are fitted to the first
        and last ``width`` frames. ``order=1`` is the regression of HTK, Kaldi and
        ``torchaudio.functional.compute_deltas`` (with ``width=5``). Their second derivative is ``deltas(deltas(x))``;
        Kaldi's differs at the edges.
    """
    features = check_spectrogram("features", features)
    check_integer("width", width, minimum=3, unit="frames")
    if width % 2 == 0:
        raise ValueError(f"width must be an odd number of frames, got {width}; use {width + 1}")
    check_integer("order", order, minimum=1, maximum=width - 1)
    return _deltas(features, _broadcast_counts(features, n_frames), width=int(width), order=int(order))


def lifter(cepstra: ArrayLike, *, lifter: float = 22.0) -> jax.Array:
    """Apply a cepstral lifter: multiply coefficient n by ``1 + lifter / 2 * sin(pi n / lifter)``.

    Args:
        cepstra: Coefficients, (..., n_mfcc, time), floating point, starting at coefficient 0.
        lifter: Liftering coefficient, above 0. ``SpectralConfig.lifter`` applies the same weights in ``mfcc``.

    Returns:
        Coefficients, in the shape and dtype of ``cepstra``.

    Raises:
        TypeError: If ``cepstra`` is not real floating point.
        ValueError: If ``cepstra`` is not (..., n_mfcc, time), or ``lifter`` is not above 0.

    Example:
        >>> lifter(jnp.ones((3, 1)), lifter=2.0)[:, 0].round(3).tolist()
        [1.0, 2.0, 1.0]

    Reference:
        The HTK Book, 5.3; Kaldi's ``cepstral_lifter``. ``librosa.feature.mfcc`` counts coefficients from 1 instead.
    """
    cepstra = check_spectrogram("cepstra", cepstra)
    check_number("lifter", lifter, above=0.0)
    return _lifter(cepstra, lifter=float(lifter))


def cmvn(features: ArrayLike, *, variance: bool = True, n_frames: ArrayLike | None = None) -> jax.Array:
    """Apply cepstral mean and variance normalization over the valid frames of each row.

    Rows that are constant up to rounding become 0.

    Args:
        features: Features, (..., rows, time), floating point.
        variance: Whether to divide by the standard deviation, too.
        n_frames: Number of valid frames of each example, integers that broadcast against the leading axes. By default
            all are valid.

    Returns:
        Features, in the shape and dtype of ``features``; 0 past the valid frames.

    Raises:
        TypeError: If ``features`` is not real floating point, ``variance`` is not a bool, or ``n_frames`` are not
            integers.
        ValueError: If a shape does not match.

    Example:
        >>> cmvn(jnp.asarray([[1.0, 3.0, 1.0, 3.0, 99.0]]), n_frames=4).tolist()
        [[-1.0, 1.0, -1.0, 1.0, 0.0]]

    Reference:
        Kaldi's ``apply-cmvn --norm-vars``, with the biased variance.
    """
    features = check_spectrogram("features", features)
    check_flag("variance", variance)
    return _cmvn(features, _broadcast_counts(features, n_frames), variance=variance)


def sliding_cmn(
    features: ArrayLike,
    *,
    window: int = 600,
    min_window: int = 100,
    center: bool = False,
    variance: bool = False,
    n_frames: ArrayLike | None = None,
) -> jax.Array:
    """Subtract the mean in a sliding window.

    Args:
        features: Features, (..., rows, time), floating point.
        window: Length of the window in frames, at least 1. If it is not centered, it contains this many previous
            frames and the frame itself, as in Kaldi.
        min_window: Minimum number of frames in a window that is not centered, at most ``window``; the windows of the
            first frames extend past the frame to contain this many.
        center: Whether the window is centered on each frame instead of ending there. At both ends of the features it
            is shifted, not shortened.
        variance: Whether to divide by the standard deviation in the window, too; the result is 0 where the features
            are constant up to rounding.
        n_frames: Number of valid frames of each example, integers that broadcast against the leading axes. By default
            all are valid.

    Returns:
        Features, in the shape and dtype of ``features``; 0 past the valid frames.

    Raises:
        TypeError: If ``features`` is not real floating point, a flag is not a bool, or ``n_frames`` are not integers.
        ValueError: If a shape does not match, or an option is out of range.

    Example:
        >>> sliding_cmn(jnp.arange(6.0)[None], window=2, min_window=1).tolist()
        [[0.0, 0.5, 1.0, 1.0, 1.0, 1.0]]

    Reference:
        Kaldi's ``apply-cmvn-sliding``; ``torchaudio.functional.sliding_window_cmn``.
    """
    features = check_spectrogram("features", features)
    check_integer("window", window, minimum=1, unit="frames")
    if not center:
        check_integer("min_window", min_window, minimum=1, unit="frames")
        if min_window > window:
            raise ValueError(
                f"min_window must be at most window {window}, got {min_window}; lower min_window or raise window"
            )
    check_flag("center", center)
    check_flag("variance", variance)
    return _sliding_cmn(
        features,
        _broadcast_counts(features, n_frames),
        window=int(window),
        min_window=int(min_window),
        center=center,
        variance=variance,
    )


def pcen(
    spectrogram: ArrayLike,
    *,
    sample_rate: int,
    hop_length: int,
    gain: ArrayLike = 0.98,
    bias: ArrayLike = 2.0,
    power: ArrayLike = 0.5,
    time_constant: float = 0.4,
    eps: ArrayLike = 1e-6,
) -> jax.Array:
    """Apply per-channel energy normalization: automatic gain control of each band, and compression.

    The operation is causal: padding at the end of a clip does not change the frames before it. The smoothed level
    starts at 1, as in librosa. ``gain``, ``bias``, ``power`` and ``eps`` may be traced, so that they can be learned.

    Args:
        spectrogram: Magnitude or power, (..., rows, time), non-negative, floating point. The defaults are meant for
            magnitudes of 32-bit samples: multiply audio of full scale 1 by ``2**31`` first.
        sample_rate: Sample rate in Hz.
        hop_length: Samples between successive frames.
        gain: Exponent of the gain control, a scalar or (rows,), at least 0; 1 removes the level entirely.
        bias: Value added before the compression, a scalar or (rows,), above 0.
        power: Exponent of the compression, a scalar or (rows,), above 0.
        time_constant: Time constant of the smoothed level in seconds, above 0.
        eps: Value added to the smoothed level, a scalar or (rows,), above 0.

    Returns:
        Values, in the shape and dtype of ``spectrogram``.

    Raises:
        TypeError: If ``spectrogram`` is not real floating point.
        ValueError: If a shape does not match, or a Python number is out of range.

    Example:
        >>> pcen(jnp.zeros((40, 5)), sample_rate=16000, hop_length=160).max().item()
        0.0

    Reference:
        Wang and others, "Trainable frontend for robust and far-field keyword spotting", 2017; ``librosa.pcen``.
    """
    spectrogram = check_spectrogram("spectrogram", spectrogram)
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    check_integer("hop_length", hop_length, minimum=1, unit="samples")
    check_number("time_constant", time_constant, above=0.0, unit="seconds")
    rows = spectrogram.shape[-2]
    given = {"gain": gain, "bias": bias, "power": power, "eps": eps}
    for name, value in given.items():
        if isinstance(value, int | float):
            check_number(name, value, minimum=0.0, above=None if name == "gain" else 0.0)
        elif np.shape(value) not in ((), (1,), (rows,)):
            raise ValueError(f"{name} must be a scalar or one value per row ({rows},), got shape {np.shape(value)}")
    n_frames = time_constant * sample_rate / hop_length
    smoothing = (math.sqrt(1 + 4 * n_frames**2) - 1) / (2 * n_frames**2)
    return _pcen(spectrogram, gain, bias, power, eps, smoothing=smoothing)


def _broadcast_counts(features: jax.Array, n_frames: ArrayLike | None) -> jax.Array | None:
    if n_frames is None:
        return None
    return jnp.asarray(check_lengths("n_frames", n_frames, features.shape[:-2], features.shape[-1], "frames"))


def _mask(
    features: jax.Array, n_valid: jax.Array | None
) -> tuple[jax.Array, jax.Array | NDArray[np.bool_], jax.Array | NDArray[np.int32]]:
    """Convert features to float32 or float64 and set invalid frames to 0.

    Returns:
        Features (..., rows, time), the mask of valid frames (..., 1, time), and their number (..., 1, 1). The mask and
        the number have leading axes of length 1 if ``n_valid`` is None.
    """
    features = features.astype(numerics.working_dtype(features.dtype))
    n_frames = features.shape[-1]
    ones = (1,) * (features.ndim - 1)
    if n_valid is None:
        return features, np.ones((*ones, n_frames), bool), np.full((*ones, 1), n_frames, np.int32)
    count = jnp.clip(n_valid, 0, n_frames)[..., None, None]
    valid = aligned(np.arange(n_frames), count) < count
    return jnp.where(valid, features, 0), valid, count


@numerics.jit(static_argnames=["width", "order"])
def _deltas(features: jax.Array, n_valid: jax.Array | None, *, width: int, order: int) -> jax.Array:
    values, valid, count = _mask(features, n_valid)
    if n_valid is not None:
        last = jnp.take_along_axis(values, jnp.maximum(count - 1, 0), axis=-1)
        values = jnp.where(valid, values, last)
    half, n_frames = width // 2, values.shape[-1]
    # jnp.pad with mode="edge" slices every axis, which fails for sharded ones.
    padded = jnp.concatenate([values[..., :1]] * half + [values] + [values[..., -1:]] * half, axis=-1)
    weights = _derivative_weights(width, order)
    slope: jax.Array = sum(  # type: ignore[assignment]
        float(weight) * padded[..., k : k + n_frames] for k, weight in enumerate(weights)
    )
    return jnp.where(valid, slope, 0).astype(features.dtype)


@lru_cache(maxsize=64)
def _derivative_weights(width: int, order: int) -> NDArray[np.float64]:
    """Compute the weights of the derivative at the center of ``width`` values, by a polynomial fit."""
    position = np.arange(width) - width // 2
    fit = np.linalg.pinv(np.vander(position / (width // 2), order + 1, increasing=True))
    weights: NDArray[np.float64] = math.factorial(order) * fit[order] / (width // 2) ** order
    return weights


@numerics.jit(static_argnames=["lifter"])
def _lifter(cepstra: jax.Array, *, lifter: float) -> jax.Array:
    values = cepstra.astype(numerics.working_dtype(cepstra.dtype))
    weights = lifter_weights(cepstra.shape[-2], lifter)[:, None]
    return (values * aligned(weights, values)).astype(cepstra.dtype)


@numerics.jit(static_argnames=["variance"])
def _cmvn(features: jax.Array, n_valid: jax.Array | None, *, variance: bool) -> jax.Array:
    values, valid, count = _mask(features, n_valid)
    values, rounding = _scale_rows(values) if variance else (values, None)
    divisor = jnp.maximum(count, 1).astype(values.dtype)
    centered = jnp.where(valid, values - values.sum(axis=-1, keepdims=True) / divisor, 0)
    if rounding is not None:
        deviation = numerics.safe_sqrt(jnp.sum(jnp.square(centered), axis=-1, keepdims=True) / divisor)
        centered = _divide_by_deviation(centered, deviation, rounding)
    return centered.astype(features.dtype)


def _scale_rows(values: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Scale rows so that their squares neither underflow nor overflow; the division by the deviation cancels the scale.

    Returns:
        The rows, and the standard deviation up to which they count as constant.
    """
    info = np.finfo(values.dtype)
    # XLA's maximum ignores NaN on CPUs.
    maximum = lax.stop_gradient(jnp.max(jnp.abs(values), axis=-1, keepdims=True))
    usable = jnp.where((maximum >= info.tiny) & jnp.isfinite(maximum), maximum, 1)
    # Clearing the mantissa bits rounds down to a power of two, by which division is exact.
    unsigned = np.dtype(f"u{values.dtype.itemsize}")
    exponent_bits = np.array((2**info.nexp - 1) << info.nmant, unsigned)
    power_of_two = lax.bitcast_convert_type(lax.bitcast_convert_type(usable, unsigned) & exponent_bits, values.dtype)
    rounding = jnp.where(maximum < info.tiny, info.tiny, _ROUNDING_UNITS * info.eps).astype(values.dtype)
    return values / power_of_two, rounding


def _divide_by_deviation(centered: jax.Array, deviation: jax.Array, rounding: jax.Array) -> jax.Array:
    constant = deviation <= rounding
    return jnp.where(constant, 0, centered / jnp.where(constant, 1, deviation))


@numerics.jit(static_argnames=["window", "min_window", "center", "variance"])
def _sliding_cmn(
    features: jax.Array, n_valid: jax.Array | None, *, window: int, min_window: int, center: bool, variance: bool
) -> jax.Array:
    values, valid, count = _mask(features, n_valid)
    values, rounding = _scale_rows(values) if variance else (values, None)
    n_frames = values.shape[-1]
    frame = np.arange(n_frames, dtype=np.int32).reshape((1,) * (values.ndim - 1) + (n_frames,))
    before = np.maximum(frame - window // 2, 0) if center else np.maximum(frame - window, 0)
    after = before + window if center else np.maximum(frame + 1, min_window)
    max_length = min(n_frames, int(np.max(after - before)))
    start = jnp.maximum(before - jnp.maximum(after - count, 0), 0)
    length = jnp.maximum(jnp.minimum(after, count) - start, 1)
    mean, squares = _window_moments(values, start, length, max_length)
    centered = jnp.where(valid, values - mean, 0)
    if rounding is not None:
        deviation = numerics.safe_sqrt(squares / length.astype(squares.dtype))
        centered = _divide_by_deviation(centered, deviation, rounding)
    return centered.astype(features.dtype)


def _window_moments(
    values: jax.Array, start: jax.Array, length: jax.Array, max_length: int
) -> tuple[jax.Array, jax.Array]:
    """Compute the mean and the sum of squared deviations of ``values[..., start : start + length]`` for each frame.

    Time is divided into blocks of ``max_length`` frames. A window starts with a block, or it is ``max_length`` long and
    consists of the end of one block and the start of the next; in that case
    the moments of the two pieces, computed by running sums from both ends of each block, are combined. Differences of cumulative sums would lose precision where values are far from 0.

    Args:
        values: Features, (..., rows, time).
        start: First frame of each window, (..., 1, time) int32.
        length: Length of each window, (..., 1, time) int32.
        max_length: Maximum length of a window.

    Returns:
        Means and sums of squared deviations, (..., rows, time).
    """
    # Time before rows makes the gathers contiguous.
    values, start, length = (jnp.swapaxes(x, -1, -2) for x in (values, start, length))
    lead, (n_frames, n_rows) = values.shape[:-2], values.shape[-2:]
    n_blocks = -(-n_frames // max_length)
    padded = jnp.pad(values, [(0, 0)] * len(lead) + [(0, n_blocks * max_length - n_frames), (0, 0)])
    blocks = jnp.moveaxis(padded.reshape(*lead, n_blocks, max_length, n_rows), -2, 0)
    inverse_count = jnp.asarray(1 / np.arange(1, max_length + 1), values.dtype)

    def welford_step(
        moments: tuple[jax.Array, jax.Array], frame: tuple[jax.Array, jax.Array]
    ) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
        mean, squares = moments
        value, inverse = frame
        updated = mean + inverse * (value - mean)
        moments = updated, squares + (value - mean) * (value - updated)
        return moments, moments

    def running_moments(inverse: jax.Array, position: jax.Array, *, reverse: bool) -> tuple[jax.Array, jax.Array]:
        zeros = jnp.zeros_like(blocks[0])
        running = lax.scan(welford_step, (zeros, zeros), (blocks, inverse), reverse=reverse)[1]
        mean, squares = (
            jnp.take_along_axis(jnp.moveaxis(x, 0, -2).reshape(padded.shape), position, axis=-2) for x in running
        )
        return mean, squares

    n_first = -start % max_length
    mean, squares = running_moments(inverse_count, start + length - 1, reverse=False)
    first_mean, first_squares = running_moments(inverse_count[::-1], start, reverse=True)
    difference = jnp.where(n_first > 0, first_mean - mean, 0)
    fraction = n_first.astype(values.dtype) / length.astype(values.dtype)
    n_second = (length - n_first).astype(values.dtype)
    squares = squares + jnp.where(n_first > 0, first_squares, 0) + fraction * n_second * jnp.square(difference)
    return jnp.swapaxes(mean + fraction * difference, -1, -2), jnp.swapaxes(squares, -1, -2)


@numerics.jit(static_argnames=["smoothing"])
def _pcen(
    spectrogram: jax.Array, gain: ArrayLike, bias: ArrayLike, power: ArrayLike, eps: ArrayLike, *, smoothing: float
) -> jax.Array:
    values = spectrogram.astype(numerics.working_dtype(spectrogram.dtype))
    column = (1,) * (values.ndim - 2) + (-1, 1)
    gain, bias, power, eps = (jnp.asarray(x, values.dtype).reshape(column) for x in (gain, bias, power, eps))

    def step(level: jax.Array, value: jax.Array) -> tuple[jax.Array, jax.Array]:
        level = (1 - smoothing) * level + smoothing * value
        return level, level

    initial = jnp.ones_like(values[..., 0])
    level = jnp.moveaxis(lax.scan(step, initial, jnp.moveaxis(values, -1, 0))[1], 0, -1)
    controlled = values * jnp.exp(-gain * jnp.log(eps + level))
    # exp and log are cheaper than a power.
    compressed = jnp.exp(power * jnp.log(bias)) * jnp.expm1(power * jnp.log1p(controlled / bias))
    return compressed.astype(spectrogram.dtype)
