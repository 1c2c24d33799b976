"""Sound as it comes out of a megaphone."""

from __future__ import annotations

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_integer, check_number

N_TAPS = 127


def megaphone(
    audio: ArrayLike,
    key: jax.Array,
    *,
    drive_range: tuple[float, float] = (6.0, 24.0),
    f_min: float = 400.0,
    f_max: float = 3400.0,
    sample_rate: int = 16000,
) -> jax.Array:
    """Keep a band of frequencies and drive it into soft clipping by a random gain.

    Args:
        audio: One waveform (time,), floating point, full scale [-1, 1].
        key: Decides the gain.
        drive_range: Least and greatest gain before the clipping, dB, uniform between them.
        f_min: Lower edge of the band, Hz, above 0.
        f_max: Upper edge of the band, Hz, below half the sample rate.
        sample_rate: Samples per second, Hz.

    Returns:
        The same shape and dtype, within [-1, 1].

    Raises:
        TypeError: For a dtype that is not floating point.
        ValueError: For an empty waveform, one with more axes, or options out of range.

    Example:
        >>> tone = jnp.sin(jnp.arange(800) * 0.4)
        >>> megaphone(tone, jax.random.key(0)).shape
        (800,)

    Reference:
        The band is that of ``scipy.signal.firwin(127, (f_min, f_max), pass_zero=False, fs=sample_rate)``.
    """
    values = jnp.asarray(audio)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"megaphone takes one waveform (time,) of at least one sample, got shape {values.shape}")
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    for name, edge in (("f_min", f_min), ("f_max", f_max)):
        check_number(name, edge, above=0, unit="Hz")
    if not f_min < f_max < sample_rate / 2:
        raise ValueError(
            f"the band goes from f_min up to f_max below {sample_rate / 2} Hz, half the sample rate, "
            f"got f_min={f_min}, f_max={f_max}"
        )
    least, greatest = drive_range
    drive = numerics.uniform(key, (), minval=least, maxval=greatest)
    working = values.astype(numerics.working_dtype(values.dtype))
    taps = jnp.asarray(_band(float(f_min), float(f_max), sample_rate), working.dtype)
    band = jnp.convolve(working, taps, mode="full", precision=jax.lax.Precision.HIGHEST)
    half = N_TAPS // 2
    gain = jnp.exp(drive.astype(working.dtype) * (np.log(10) / 20))
    return jnp.tanh(gain * band[half : half + values.size]).astype(values.dtype)


@lru_cache(maxsize=32)
def _band(f_min: float, f_max: float, sample_rate: int) -> NDArray[np.float64]:
    """Return the taps of a linear-phase band pass: a windowed difference of sincs, gain 1 in its middle."""
    n = np.arange(N_TAPS) - N_TAPS // 2
    low, high = 2 * f_min / sample_rate, 2 * f_max / sample_rate
    taps: NDArray[np.float64] = (high * np.sinc(high * n) - low * np.sinc(low * n)) * np.hamming(N_TAPS)
    taps /= np.sum(taps * np.cos(np.pi * n * (low + high) / 2))
    taps.flags.writeable = False
    return taps
