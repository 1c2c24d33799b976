"""What is done to waveforms before they become training data: scale, level, sample rate, length."""

from __future__ import annotations

import math
import numbers
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_integer, check_number
from artifex.generative_models.core.numerics import safe_sqrt, sin2pi, working_dtype

# The windowed sinc known as "kaiser_best": zero crossings on each side, cutoff as a share of the Nyquist
# frequency, and the Kaiser window's shape.
_ZERO_CROSSINGS = 64
_ROLLOFF = 0.9475937167399596
_BETA = 14.769656459379492

# A larger filter bank is not worth keeping: its taps are computed where they are used.
_MOST_TAPS_IN_A_BANK = 2**20
# Blocks of a few samples leave the convolution memory-bound: several periods of the ratio then make one.
_LEAST_BLOCK = 32
_GATHERED_AT_ONCE = 2**18


def to_float(audio: ArrayLike) -> jax.Array:
    """Bring audio to floating point, integers scaled to [-1, 1] by the range of their dtype.

    Args:
        audio: Any shape. Signed integers of b bits are divided by ``2**(b - 1)``; unsigned ones have their
            middle, ``2**(b - 1)``, taken off first, as 8-bit WAV files ask. Floats pass as they are.

    Returns:
        The same shape; float32 for integers, else the input's dtype.

    Raises:
        TypeError: For booleans, complex numbers, and 64-bit integers, which are no sample format: their range
            says nothing about the recording's.

    Example:
        >>> to_float(np.array([-32768, 0, 16384], np.int16)).tolist()
        [-1.0, 0.0, 0.5]
        >>> to_float(np.array([0, 128], np.uint8)).tolist()
        [-1.0, 0.0]

    Reference:
        ``soundfile.read(..., dtype="float32")``.
    """
    scaled: jax.Array = _to_float(_real("to_float", audio))
    return scaled


def normalize_audio(audio: ArrayLike) -> jax.Array:
    """Bring the peak of every clip to 1.

    Args:
        audio: Waveforms (..., time). Integers are scaled by ``to_float`` first.

    Returns:
        (..., time) with a largest magnitude of 1 along time; float32 for integers, else the input's dtype. A
        silent clip (its peak 0 or below the least normal number) comes back as it is, one that holds NaN or
        infinity as NaN.

    Raises:
        ValueError: For a scalar or an empty clip.
        TypeError: As ``to_float`` does.

    Example:
        >>> normalize_audio(np.array([[0.0, -0.5, 0.25], [0.0, 0.0, 0.0]])).tolist()
        [[0.0, -1.0, 0.5], [0.0, 0.0, 0.0]]

    Reference:
        ``librosa.util.normalize(audio, axis=-1)``.
    """
    normalized: jax.Array = _normalize(as_waveforms("normalize_audio", audio))
    return normalized


def rms_normalize(audio: ArrayLike, target_rms: ArrayLike = 0.1) -> jax.Array:
    """Bring the root mean square of every clip to a target.

    Args:
        audio: Waveforms (..., time). Integers are scaled by ``to_float`` first.
        target_rms: The level to reach, full scale 1, above 0: -20 dBFS is 0.1. One number, or one per clip,
            broadcast against the leading axes; may be traced.

    Returns:
        (..., time); float32 for integers, else the input's dtype. Peaks are not limited, so they can exceed
        full scale. A silent clip comes back as it is, one that holds NaN or infinity as NaN.

    Raises:
        ValueError: For a scalar, an empty clip, or a target that is not above 0.
        TypeError: As ``to_float`` does.

    Example:
        >>> rms_normalize(np.array([0.5, -0.5]), target_rms=0.25).tolist()
        [0.25, -0.25]
    """
    waveforms = as_waveforms("rms_normalize", audio)
    if isinstance(target_rms, numbers.Number):
        check_number("target_rms", target_rms, above=0)
    normalized: jax.Array = _rms_normalize(waveforms, jnp.asarray(target_rms))
    return normalized


def resample_audio(audio: ArrayLike, orig_sr: int, target_sr: int) -> jax.Array:
    """Change the sample rate; what the new rate cannot carry is filtered out.

    Sample ``k`` of the result is the band-limited input at time ``k / target_sr``, with silence assumed
    before and after the clip. The passband is flat to 0.01 dB up to 0.89 of the lower Nyquist frequency; 1.01
    times that Nyquist frequency and all above are more than 90 dB down. Ratios of small integers are one
    strided convolution; for awkward ones, such as 44100 to 16001 Hz, memory stays bounded too.

    Args:
        audio: Waveforms (..., time). Integers are scaled by ``to_float`` first.
        orig_sr: The clip's sample rate in Hz, a positive integer; static.
        target_sr: The new sample rate in Hz, a positive integer; static.

    Returns:
        (..., ceil(time * target_sr / orig_sr)); float32 for integers, else the input's dtype. The input
        itself where the rates are equal.

    Raises:
        ValueError: For a scalar, an empty clip, or a rate below 1.
        TypeError: For a rate that is no integer, or as ``to_float`` does.

    Example:
        >>> resample_audio(np.zeros((2, 44100), np.float32), 44100, 16000).shape
        (2, 16000)

    Reference:
        Smith, Digital Audio Resampling Home Page (CCRMA); ``torchaudio.functional.resample`` with its
        "kaiser_best" parameters.
    """
    waveforms = as_waveforms("resample_audio", audio)
    check_integer("orig_sr", orig_sr, minimum=1, unit="Hz")
    check_integer("target_sr", target_sr, minimum=1, unit="Hz")
    divisor = math.gcd(orig_sr, target_sr)
    orig, target = int(orig_sr) // divisor, int(target_sr) // divisor
    resampled: jax.Array = _to_float(waveforms) if orig == target else _resample(waveforms, orig, target)
    return resampled


def convert_sample_rate(audio: ArrayLike, orig_sr: int, target_sr: int) -> jax.Array:
    """Change the sample rate: ``resample_audio`` by the name that says what it is for.

    Args:
        audio: Waveforms (..., time).
        orig_sr: The clip's sample rate in Hz.
        target_sr: The new sample rate in Hz.

    Returns:
        (..., ceil(time * target_sr / orig_sr)), as ``resample_audio`` gives it.

    Raises:
        ValueError: As ``resample_audio`` does.
        TypeError: As ``resample_audio`` does.

    Example:
        >>> convert_sample_rate(np.zeros(16000, np.float32), 16000, 22050).shape
        (22050,)
    """
    return resample_audio(audio, orig_sr, target_sr)


def trim_or_pad(audio: ArrayLike, target_length: int, pad_value: ArrayLike = 0.0) -> jax.Array:
    """Bring clips to one length: cut at the end, or continued with a constant.

    Args:
        audio: Waveforms (..., time) of any dtype; ``time`` may be 0.
        target_length: The new length in samples, at least 0; static.
        pad_value: What follows a shorter clip. In unsigned integers silence is the middle of the range, 128
            for 8 bits. May be traced.

    Returns:
        (..., target_length) in the input's dtype.

    Raises:
        ValueError: For a scalar, a negative length, or a pad value that the dtype cannot hold.
        TypeError: For a length that is no integer.

    Example:
        >>> trim_or_pad(np.array([[1, 2, 3], [4, 5, 6]], np.int16), 4).tolist()
        [[1, 2, 3, 0], [4, 5, 6, 0]]

    Reference:
        ``librosa.util.fix_length``.
    """
    waveforms = jnp.asarray(audio)
    if not waveforms.ndim:
        raise ValueError("trim_or_pad takes waveforms (..., time), got a scalar")
    check_integer("target_length", target_length, minimum=0, unit="samples")
    if isinstance(pad_value, numbers.Number):
        check_number("pad_value", pad_value)
        if jnp.issubdtype(waveforms.dtype, jnp.integer):
            _check_held("pad_value", pad_value, waveforms.dtype)
    padding = jnp.asarray(pad_value).astype(waveforms.dtype)
    fitted: jax.Array = _trim_or_pad(waveforms, padding, int(target_length))
    return fitted


def as_waveforms(name: str, audio: ArrayLike) -> jax.Array:
    """Return audio as an array, or say why it is none: what every function of waveforms starts with.

    Args:
        name: The function's name, for the message.
        audio: What was given for waveforms (..., time).

    Returns:
        The array, its dtype unchanged.

    Raises:
        ValueError: For a scalar or an empty clip.
        TypeError: For booleans, complex numbers and 64-bit integers.

    Example:
        >>> as_waveforms("normalize_audio", np.zeros((3, 0)))
        Traceback (most recent call last):
        ValueError: normalize_audio takes waveforms (..., time) of at least one sample, got shape (3, 0)
    """
    array = _real(name, audio)
    if not array.ndim or not array.shape[-1]:
        given = f"shape {array.shape}" if array.ndim else "a scalar"
        raise ValueError(f"{name} takes waveforms (..., time) of at least one sample, got {given}")
    return array


def _real(name: str, audio: ArrayLike) -> jax.Array:
    # JAX would cut 64-bit integers to 32 without a word, so NumPy looks first.
    array = audio if isinstance(audio, jax.Array) else np.asarray(audio)
    dtype = array.dtype
    integer = jnp.issubdtype(dtype, jnp.integer)
    if integer and np.iinfo(dtype).bits == 64:
        raise TypeError(
            f"{name} was given {dtype}, which is no sample format: cast to the integers that the recording "
            f"was made with, such as audio.astype('int16'), or to float32 if it is scaled to [-1, 1] already"
        )
    if not integer and not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"{name} takes real audio, floats or integers of at most 32 bits, got {dtype}")
    return jnp.asarray(array)


def _check_held(name: str, value: Any, dtype: Any) -> None:
    bounds = np.iinfo(dtype)
    if value != int(value) or not bounds.min <= value <= bounds.max:
        raise ValueError(
            f"{name} must be an integer from {bounds.min} to {bounds.max} for {dtype} audio, got {value!r}"
        )


@jax.jit
def _to_float(audio: jax.Array) -> jax.Array:
    if not jnp.issubdtype(audio.dtype, jnp.integer):
        return audio
    bounds = np.iinfo(audio.dtype)
    middle = 2 ** (bounds.bits - 1)
    if not bounds.min:
        signed = jnp.dtype(f"int{bounds.bits}")
        audio = jax.lax.bitcast_convert_type(audio ^ audio.dtype.type(middle), signed)
    scaled: jax.Array = audio.astype(jnp.float32) / float(middle)
    return scaled


def _near_one(audio: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Scale clips by powers of two to a peak near 1.

    Squares and reciprocals then neither overflow nor vanish, in the gradient either. What is made of the
    result does not depend on the scale, which is therefore held constant.

    Returns:
        The scaled clips, their peaks (..., 1), NaN where a clip is not finite, and whether a clip is silent.
    """
    values = audio.astype(working_dtype(audio.dtype))
    peak = jnp.max(jnp.abs(values), axis=-1, keepdims=True)
    peak = jnp.where(jnp.isfinite(peak), peak, jnp.nan)
    limits = np.finfo(values.dtype)
    silent = jnp.less(peak, limits.tiny)
    power = jax.lax.reduce_precision(jnp.clip(peak, limits.tiny, limits.max / 8), limits.nexp, 0)
    scale = jax.lax.stop_gradient(1 / power)
    return values * scale, peak * scale, silent


@jax.jit
def _normalize(audio: jax.Array) -> jax.Array:
    audio = _to_float(audio)
    scaled, peak, silent = _near_one(audio)
    return jnp.where(silent, audio, scaled / jnp.where(silent, 1, peak)).astype(audio.dtype)


@jax.jit
def _rms_normalize(audio: jax.Array, target_rms: jax.Array) -> jax.Array:
    audio = _to_float(audio)
    scaled, peak, silent = _near_one(audio)
    rms = safe_sqrt(jnp.mean(jnp.square(scaled), axis=-1, keepdims=True))
    level = jnp.where(jnp.isnan(peak), peak, rms)
    gain = target_rms[..., None].astype(scaled.dtype) / jnp.where(silent, 1, level)
    return jnp.where(silent, audio, scaled * gain).astype(audio.dtype)


@partial(jax.jit, static_argnames="target_length")
def _trim_or_pad(audio: jax.Array, pad_value: jax.Array, target_length: int) -> jax.Array:
    kept = audio[..., :target_length]
    missing = (0, target_length - kept.shape[-1], 0)
    return jax.lax.pad(kept, pad_value, [(0, 0, 0)] * (kept.ndim - 1) + [missing])


@partial(jax.jit, static_argnames=("orig", "target"))
def _resample(audio: jax.Array, orig: int, target: int) -> jax.Array:
    """Resample by a reduced ratio."""
    audio = _to_float(audio)
    values = audio.astype(working_dtype(audio.dtype)).reshape(-1, audio.shape[-1])
    periods = _periods(orig, target)
    resampled = _by_convolution(values, orig, target, periods) if periods else _by_gathering(values, orig, target)
    return resampled.reshape(*audio.shape[:-1], -1).astype(audio.dtype)


def _half_width(orig: int, target: int) -> int:
    """Taps on each side, in input samples."""
    return math.ceil(_ZERO_CROSSINGS * max(1.0, orig / target) / _ROLLOFF)


def _periods(orig: int, target: int) -> int:
    """How many periods of the ratio make a block of the convolution; 0 where no bank is small enough."""
    periods, overlap = math.ceil(_LEAST_BLOCK / min(orig, target)), 2 * _half_width(orig, target)
    while periods and periods * target * (overlap + periods * orig) > _MOST_TAPS_IN_A_BANK:
        periods //= 2
    return periods


@lru_cache(maxsize=32)
def _filter_bank(orig: int, target: int, periods: int) -> np.ndarray:
    """Taps (periods * target, 2 * half_width + periods * orig): one row for each output sample of a block."""
    half_width = _half_width(orig, target)
    cutoff = _ROLLOFF * min(1.0, target / orig)
    offset = np.arange(2 * half_width + periods * orig) - half_width
    crossings = (offset - np.arange(periods * target)[:, None] * orig / target) * cutoff
    inside = np.abs(crossings) < _ZERO_CROSSINGS
    bank = np.zeros(crossings.shape)
    bell = np.sqrt(1 - (crossings[inside] / _ZERO_CROSSINGS) ** 2)
    bank[inside] = cutoff * np.sinc(crossings[inside]) * np.i0(_BETA * bell) / np.i0(_BETA)
    bank.setflags(write=False)
    return bank


def _by_convolution(audio: jax.Array, orig: int, target: int, periods: int) -> jax.Array:
    n_rows, length = audio.shape
    n_out = -(-length * target // orig)
    bank = _filter_bank(orig, target, periods)
    half_width, n_blocks = _half_width(orig, target), -(-n_out // (periods * target))
    after = (n_blocks - 1) * periods * orig + bank.shape[1] - length - half_width
    blocks = jax.lax.conv_general_dilated(
        audio[:, None],
        jnp.asarray(bank[:, None], audio.dtype),
        window_strides=(periods * orig,),
        padding=[(half_width, after)],
        precision=jax.lax.Precision.HIGHEST,
    )
    return jnp.swapaxes(blocks, 1, 2).reshape(n_rows, -1)[:, :n_out]


@lru_cache(maxsize=1)
def _kaiser_series() -> tuple[float, ...]:
    """Power series of ``i0(beta * sqrt(z)) / i0(beta)``, highest power first; all terms are positive."""
    terms = [(_BETA / 2) ** (2 * k) / math.factorial(k) ** 2 for k in range(32)]
    return tuple(term / math.fsum(terms) for term in reversed(terms))


def _taps(crossings: jax.Array) -> jax.Array:
    """The windowed sinc at distances counted in zero crossings."""
    bell = 1 - jnp.square(crossings / _ZERO_CROSSINGS)
    window = jnp.zeros_like(bell)
    for coefficient in _kaiser_series():
        window = window * bell + coefficient
    middle = crossings == 0
    sinc = jnp.where(middle, 1, sin2pi(crossings / 2) / jnp.where(middle, 1, jnp.pi * crossings))
    return jnp.where(bell > 0, sinc * window, 0)


def _by_gathering(audio: jax.Array, orig: int, target: int) -> jax.Array:
    """Resample by computing the taps of a few phases at a time; outputs one period apart share their taps."""
    n_rows, length = audio.shape
    n_out = -(-length * target // orig)
    n_phases, n_periods = min(target, n_out), -(-n_out // target)
    half_width = min(_half_width(orig, target), length)
    cutoff = _ROLLOFF * min(1.0, target / orig)
    size = max(1, min(n_phases, _GATHERED_AT_ONCE // (2 * half_width * n_rows * n_periods)))
    n_chunks = -(-n_phases // size)

    # In 64 bits, which the product of two rates may need.
    position = np.arange(n_chunks * size, dtype=np.int64) * orig
    whole = (position // target).astype(np.int32).reshape(n_chunks, size)
    part = (position % target / target).astype(audio.dtype).reshape(n_chunks, size)
    offset = jnp.arange(1 - half_width, half_width + 1, dtype=np.int32)
    period = (np.arange(n_periods, dtype=np.int32) * orig)[:, None, None]
    padded = jnp.pad(audio, ((0, 0), (half_width - 1, half_width)))

    @jax.checkpoint
    def chunk(place: tuple[jax.Array, jax.Array]) -> jax.Array:
        first, fraction = place
        taps = cutoff * _taps((offset.astype(audio.dtype) - fraction[:, None]) * cutoff)
        index = period + first[:, None] + offset + (half_width - 1)
        near = jnp.take(padded, index, axis=1, mode="clip")
        return jnp.einsum("rpct,ct->rpc", near, taps, precision=jax.lax.Precision.HIGHEST)

    chunks = jax.lax.map(chunk, (whole, part))
    phases = jnp.moveaxis(chunks, 0, 2).reshape(n_rows, n_periods, -1)[..., :n_phases]
    return phases.reshape(n_rows, -1)[:, :n_out]
