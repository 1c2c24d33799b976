"""What is done to finished features (..., rows, time): deltas, liftering, mean and variance normalization, PCEN."""

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from numpy.typing import NDArray

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_flag, check_integer, check_number
from artifex.generative_models.extensions.audio_processing.spectral.cepstral import lifter_weights
from artifex.generative_models.extensions.audio_processing.spectral.pipeline import check_lengths, check_real

# A spread of so many roundings of the largest value is no spread.
_ROUNDINGS = 16


def deltas(features: ArrayLike, *, width: int = 9, order: int = 1, n_frames: ArrayLike | None = None) -> jax.Array:
    """Return derivatives over time: of the polynomial that fits the frames about each one best.

    Before the first frame and after the last valid one the feature is taken to stay as it is.

    Args:
        features: Features, (..., rows, time), floating point.
        width: Number of frames that the polynomial is fitted to, odd, at least 3.
        order: The derivative, and the degree of the polynomial, at least 1 and below ``width``.
        n_frames: How many frames of each example are valid, integers that broadcast against the leading axes. None
            for all.

    Returns:
        Derivatives per frame, in the shape and dtype of ``features``; 0 past the valid frames.

    Raises:
        TypeError: When ``features`` is not of a real floating dtype, or ``n_frames`` not integers.
        ValueError: When a shape or an option does not fit.

    Example:
        >>> deltas(2.0 * jnp.arange(20.0)[None])[0, 4:8].round(4).tolist()
        [2.0, 2.0, 2.0, 2.0]

    Reference:
        ``librosa.feature.delta(…, mode="nearest")`` and ``scipy.signal.savgol_filter``; librosa's default mode,
        ``"interp"``, fits the first and last ``width // 2`` frames with one polynomial. With ``order=1`` it is the
        regression of HTK, Kaldi and ``torchaudio.functional.compute_deltas`` (whose width is 5); their second
        derivative is the delta of the delta, ``deltas(deltas(x))``.
    """
    features = _checked("deltas", features)
    check_integer("width", width, minimum=3, unit="frames")
    if width % 2 == 0:
        raise ValueError(f"width must be an odd number of frames, got {width}; take {width + 1}")
    check_integer("order", order, minimum=1, maximum=width - 1)
    found: jax.Array = _deltas(features, _valid(features, n_frames), width, order)
    return found


def lifter(cepstra: ArrayLike, *, lifter: float = 22.0) -> jax.Array:
    """Return cepstra whose coefficient n is multiplied by ``1 + lifter / 2 * sin(pi n / lifter)``.

    Args:
        cepstra: Coefficients, (..., n_mfcc, time), floating point, from coefficient 0.
        lifter: The lifter, above 0. ``SpectralConfig.lifter`` does the same within ``mfcc``.

    Returns:
        Coefficients, in the shape and dtype of ``cepstra``.

    Raises:
        TypeError: When ``cepstra`` is not of a real floating dtype.
        ValueError: When it is not (..., n_mfcc, time), or ``lifter`` not above 0.

    Example:
        >>> lifter(jnp.ones((3, 1)), lifter=2.0)[:, 0].round(3).tolist()
        [1.0, 2.0, 1.0]

    Reference:
        The HTK Book, 5.3; Kaldi's ``cepstral_lifter``. ``librosa.feature.mfcc`` counts coefficients from 1 there.
    """
    cepstra = _checked("lifter", cepstra)
    check_number("lifter", lifter, above=0.0)
    found: jax.Array = _liftered(cepstra, lifter)
    return found


def cmvn(features: ArrayLike, *, variance: bool = True, n_frames: ArrayLike | None = None) -> jax.Array:
    """Return features with mean 0 and variance 1 over the valid frames of each row.

    A row that stays the same, but for rounding, becomes 0.

    Args:
        features: Features, (..., rows, time), floating point.
        variance: Whether to divide by the standard deviation.
        n_frames: How many frames of each example are valid, integers that broadcast against the leading axes. None
            for all.

    Returns:
        Features, in the shape and dtype of ``features``; 0 past the valid frames.

    Raises:
        TypeError: When ``features`` is not of a real floating dtype, ``variance`` no bool, or ``n_frames`` not
            integers.
        ValueError: When a shape does not fit.

    Example:
        >>> cmvn(jnp.asarray([[1.0, 3.0, 1.0, 3.0, 99.0]]), n_frames=4).tolist()
        [[-1.0, 1.0, -1.0, 1.0, 0.0]]

    Reference:
        Kaldi's ``apply-cmvn --norm-vars``: the variance is the mean square, not divided by one frame fewer.
    """
    features = _checked("cmvn", features)
    check_flag("variance", variance)
    found: jax.Array = _cmvn(features, _valid(features, n_frames), variance)
    return found


def sliding_cmn(
    features: ArrayLike,
    *,
    window: int = 600,
    min_window: int = 100,
    center: bool = False,
    variance: bool = False,
    n_frames: ArrayLike | None = None,
) -> jax.Array:
    """Return features less their mean over a window that slides along time.

    Args:
        features: Features, (..., rows, time), floating point.
        window: Length of the window in frames, at least 1. Where it is not centered it is the frames before, and one
            more for the frame itself, as Kaldi has it.
        min_window: The least number of frames at the start, where the window, if not centered, looks ahead for them;
            at most ``window``.
        center: Whether the window lies about each frame instead of before it. At the ends it is moved, not cut.
        variance: Whether to divide by the standard deviation in the window too; where that is only rounding, the
            result is 0.
        n_frames: How many frames of each example are valid, integers that broadcast against the leading axes. None
            for all.

    Returns:
        Features, in the shape and dtype of ``features``; 0 past the valid frames.

    Raises:
        TypeError: When ``features`` is not of a real floating dtype, a flag no bool, or ``n_frames`` not integers.
        ValueError: When a shape or an option does not fit.

    Example:
        >>> sliding_cmn(jnp.arange(6.0)[None], window=2, min_window=1).tolist()
        [[0.0, 0.5, 1.0, 1.0, 1.0, 1.0]]

    Reference:
        Kaldi's ``apply-cmvn-sliding``; ``torchaudio.functional.sliding_window_cmn``.
    """
    features = _checked("sliding_cmn", features)
    check_integer("window", window, minimum=1, unit="frames")
    if not center:
        check_integer("min_window", min_window, minimum=1, maximum=window, unit="frames")
    check_flag("center", center)
    check_flag("variance", variance)
    found: jax.Array = _sliding_cmn(features, _valid(features, n_frames), window, min_window, center, variance)
    return found


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
    """Return a spectrogram with each band's gain controlled by its own recent level, and compressed.

    It looks at no later frame, so that padding behind a clip does not change it. What can be learned may be traced,
    and be one value or one per band.

    Args:
        spectrogram: Magnitudes or powers, (..., rows, time), non-negative, floating point. The defaults are meant for
            magnitudes of 32-bit samples: multiply audio of full scale 1 by ``2**31`` first.
        sample_rate: Samples per second, Hz.
        hop_length: Samples from one frame to the next.
        gain: How much of the level is taken away, a scalar or (rows,), from 0 to 1.
        bias: What is added before the compression, a scalar or (rows,), above 0.
        power: The exponent of the compression, a scalar or (rows,), above 0.
        time_constant: How far the recent level reaches back, seconds, above 0.
        eps: The least level, a scalar or (rows,), above 0.

    Returns:
        Values, in the shape and dtype of ``spectrogram``.

    Raises:
        TypeError: When ``spectrogram`` is not of a real floating dtype.
        ValueError: When a shape does not fit, or a Python number is out of range.

    Example:
        >>> pcen(jnp.zeros((40, 5)), sample_rate=16000, hop_length=160).max().item()
        0.0

    Reference:
        Wang and others, "Trainable frontend for robust and far-field keyword spotting", 2017; ``librosa.pcen``,
        whose recent level is 1 before the first frame.
    """
    spectrogram = _checked("pcen", spectrogram)
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    check_integer("hop_length", hop_length, minimum=1, unit="samples")
    check_number("time_constant", time_constant, above=0.0, unit="seconds")
    rows = spectrogram.shape[-2]
    given = {"gain": gain, "bias": bias, "power": power, "eps": eps}
    for name, value in given.items():
        if isinstance(value, int | float):
            check_number(name, value, minimum=0.0, above=None if name == "gain" else 0.0)
        elif np.shape(value) not in ((), (1,), (rows,)):
            raise ValueError(f"{name} has to be a scalar or one value per row ({rows},), got shape {np.shape(value)}")
    reach = time_constant * sample_rate / hop_length
    share = (math.sqrt(1 + 4 * reach**2) - 1) / (2 * reach**2)
    found: jax.Array = _pcen(spectrogram, gain, bias, power, eps, share)
    return found


def _checked(name: str, features: ArrayLike) -> jax.Array:
    features = jnp.asarray(features)
    check_real(name, features)
    if features.ndim < 2 or features.size == 0:
        raise ValueError(f"{name} takes an array (..., rows, time), not empty, got shape {features.shape}")
    return features


def _valid(features: jax.Array, n_frames: ArrayLike | None) -> jax.Array | None:
    if n_frames is None:
        return None
    return jnp.asarray(check_lengths(n_frames, features.shape[:-2], features.shape[-1], "frames"))


def _prepared(features: jax.Array, n_valid: jax.Array | None) -> tuple[jax.Array, jax.Array | NDArray[np.bool_], Any]:
    """Features in a working dtype, 0 where not valid; which frames are, (..., 1, time); and how many, (..., 1, 1)."""
    features = features.astype(numerics.working_dtype(features.dtype))
    n_frames = features.shape[-1]
    if n_valid is None:
        return features, np.ones((1, n_frames), bool), n_frames
    count = jnp.clip(n_valid, 0, n_frames)[..., None, None]
    valid = jnp.arange(n_frames) < count
    return jnp.where(valid, features, 0), valid, count


@partial(jax.jit, static_argnums=(2, 3))
def _deltas(features: jax.Array, n_valid: jax.Array | None, width: int, order: int) -> jax.Array:
    values, valid, count = _prepared(features, n_valid)
    if n_valid is not None:
        last = jnp.take_along_axis(values, jnp.maximum(count - 1, 0), axis=-1)
        values = jnp.where(valid, values, last)
    reach, n_frames = width // 2, values.shape[-1]
    # jnp.pad's edge mode slices every axis, which a sharded one does not let it.
    padded = jnp.concatenate([values[..., :1]] * reach + [values] + [values[..., -1:]] * reach, axis=-1)
    weights = _derivative(width, order)
    slope = sum(float(weight) * padded[..., k : k + n_frames] for k, weight in enumerate(weights))
    found: jax.Array = jnp.where(valid, slope, 0).astype(features.dtype)
    return found


@lru_cache(maxsize=64)
def _derivative(width: int, order: int) -> NDArray[np.float64]:
    """The derivative at 0 of the polynomial of that degree that fits values at -width // 2 … width // 2 best."""
    place = np.arange(width) - width // 2
    fit = np.linalg.pinv(np.vander(place / (width // 2), order + 1, increasing=True))
    weights: NDArray[np.float64] = math.factorial(order) * fit[order] / (width // 2) ** order
    return weights


@partial(jax.jit, static_argnums=(1,))
def _liftered(cepstra: jax.Array, lifter: float) -> jax.Array:
    working = numerics.working_dtype(cepstra.dtype)
    weight = lifter_weights(cepstra.shape[-2], lifter)
    return jnp.asarray(cepstra.astype(working) * weight[:, None].astype(working), cepstra.dtype)


@partial(jax.jit, static_argnums=(2,))
def _cmvn(features: jax.Array, n_valid: jax.Array | None, variance: bool) -> jax.Array:
    values, valid, count = _prepared(features, n_valid)
    if variance:
        values, rounding = _scaled(values)
    count = jnp.maximum(count, 1)
    centered = jnp.where(valid, values - values.sum(axis=-1, keepdims=True) / count, 0)
    if variance:
        spread = numerics.safe_sqrt(jnp.sum(jnp.square(centered), axis=-1, keepdims=True) / count)
        centered = _over_spread(centered, spread, rounding)
    return centered.astype(features.dtype)


def _scaled(values: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Rows whose squares neither vanish nor overflow, and how far they are rounded; what follows undoes the scale."""
    kind = np.finfo(values.dtype)
    # XLA leaves NaN out of a maximum on CPUs.
    largest = lax.stop_gradient(jnp.max(jnp.abs(values), axis=-1, keepdims=True))
    usable = jnp.where((largest >= kind.tiny) & jnp.isfinite(largest), largest, 1)
    # By the power of two, the number without its mantissa, nothing is rounded.
    word = np.dtype(f"u{values.dtype.itemsize}")
    exponent = np.array((2**kind.nexp - 1) << kind.nmant, word)
    scaled = values / lax.bitcast_convert_type(lax.bitcast_convert_type(usable, word) & exponent, values.dtype)
    return scaled, jnp.where(largest < kind.tiny, kind.tiny, _ROUNDINGS * kind.eps).astype(values.dtype)


def _over_spread(centered: jax.Array, spread: jax.Array, rounding: jax.Array) -> jax.Array:
    flat = spread <= rounding
    return jnp.where(flat, 0, centered / jnp.where(flat, 1, spread))


@partial(jax.jit, static_argnums=(2, 3, 4, 5))
def _sliding_cmn(
    features: jax.Array, n_valid: jax.Array | None, window: int, min_window: int, center: bool, variance: bool
) -> jax.Array:
    values, valid, count = _prepared(features, n_valid)
    if variance:
        values, rounding = _scaled(values)
    n_frames = values.shape[-1]
    frame = np.arange(n_frames)[None]
    before = np.maximum(frame - window // 2, 0) if center else np.maximum(frame - window, 0)
    after = before + window if center else np.maximum(frame + 1, min_window)
    longest = min(n_frames, int(np.max(after - before)))
    start = jnp.maximum(before - jnp.maximum(after - count, 0), 0)
    length = jnp.maximum(jnp.minimum(after, count) - start, 1)
    mean, spread = _windowed(values, start, length, longest)
    centered = jnp.where(valid, values - mean, 0)
    if variance:
        centered = _over_spread(centered, numerics.safe_sqrt(spread / length), rounding)
    return centered.astype(features.dtype)


def _windowed(values: jax.Array, start: jax.Array, length: jax.Array, longest: int) -> tuple[jax.Array, jax.Array]:
    """The mean, and the sum of squared deviations from it, of ``values[..., start : start + length]`` for each frame.

    A window starts where a block of the longest length does, or is that long and the end of one block and the start of
    the next. Differences of running sums would lose the digits that matter where values are far from 0.
    """
    # Time before rows: what a gather takes lies side by side.
    values = jnp.swapaxes(values, -1, -2)
    start, length = (jnp.swapaxes(x.reshape((1,) * (values.ndim - x.ndim) + x.shape), -1, -2) for x in (start, length))
    lead, (n_frames, n_rows) = values.shape[:-2], values.shape[-2:]
    n_blocks = -(-n_frames // longest)
    padded = jnp.pad(values, [(0, 0)] * len(lead) + [(0, n_blocks * longest - n_frames), (0, 0)])
    blocks = jnp.moveaxis(padded.reshape(*lead, n_blocks, longest, n_rows), -2, 0)
    share = jnp.asarray(1 / np.arange(1, longest + 1), values.dtype)

    def step(
        before: tuple[jax.Array, jax.Array], frame: tuple[jax.Array, jax.Array]
    ) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
        mean, spread = before
        value, share = frame
        new = mean + share * (value - mean)
        after = new, spread + (value - mean) * (value - new)
        return after, after

    def running(share: jax.Array, place: jax.Array, *, reverse: bool) -> tuple[jax.Array, jax.Array]:
        nothing = jnp.zeros_like(blocks[0])
        found = lax.scan(step, (nothing, nothing), (blocks, share), reverse=reverse)[1]
        mean, spread = (
            jnp.take_along_axis(jnp.moveaxis(x, 0, -2).reshape(padded.shape), place, axis=-2) for x in found
        )
        return mean, spread

    ahead = -start % longest
    mean, spread = running(share, start + length - 1, reverse=False)
    mean_ahead, spread_ahead = running(share[::-1], start, reverse=True)
    difference = jnp.where(ahead > 0, mean_ahead - mean, 0)
    part = (ahead / length).astype(values.dtype)
    spread = spread + jnp.where(ahead > 0, spread_ahead, 0) + part * (length - ahead) * jnp.square(difference)
    return jnp.swapaxes(mean + part * difference, -1, -2), jnp.swapaxes(spread, -1, -2)


@partial(jax.jit, static_argnums=(5,))
def _pcen(
    spectrogram: jax.Array, gain: ArrayLike, bias: ArrayLike, power: ArrayLike, eps: ArrayLike, share: float
) -> jax.Array:
    values = spectrogram.astype(numerics.working_dtype(spectrogram.dtype))
    gain, bias, power, eps = (jnp.asarray(given, values.dtype).reshape(-1, 1) for given in (gain, bias, power, eps))

    def step(level: jax.Array, value: jax.Array) -> tuple[jax.Array, jax.Array]:
        level = (1 - share) * level + share * value
        return level, level

    first = jnp.ones_like(values[..., 0])
    level = jnp.moveaxis(lax.scan(step, first, jnp.moveaxis(values, -1, 0))[1], 0, -1)
    gained = values * jnp.exp(-gain * jnp.log(eps + level))
    # exp and log cost less than a power.
    compressed = jnp.exp(power * jnp.log(bias)) * jnp.expm1(power * jnp.log1p(gained / bias))
    return compressed.astype(spectrogram.dtype)
