"""Sample rates: windowed-sinc resampling by a fixed ratio."""

from __future__ import annotations

import math
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_integer
from artifex.generative_models.core.numerics import sin2pi, working_dtype
from artifex.generative_models.modalities.audio.preprocessing.levels import as_waveforms, to_float

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
    resampled: jax.Array = to_float(waveforms) if orig == target else _resample(waveforms, orig, target)
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


@partial(jax.jit, static_argnames=("orig", "target"))
def _resample(audio: jax.Array, orig: int, target: int) -> jax.Array:
    """Resample by a reduced ratio."""
    audio = to_float(audio)
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
