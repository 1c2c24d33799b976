"""The sound of a megaphone."""

from __future__ import annotations

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_integer, check_number
from artifex.generative_models.modalities.audio.annotations import augmentation

N_TAPS = 127


def draw_megaphone(
    key: jax.Array, shape: tuple[int, ...], *, drive_range: tuple[float, float] = (6.0, 24.0)
) -> dict[str, jax.Array]:
    """Draw the gain before the clipping for an example of a shape, in dB."""
    minimum, maximum = drive_range
    return {"drive": numerics.uniform(key, (), minval=minimum, maxval=maximum)}


@augmentation(draw=draw_megaphone)
def megaphone(
    audio: ArrayLike,
    key: jax.Array,
    *,
    drive_range: tuple[float, float] = (6.0, 24.0),
    f_min: float = 400.0,
    f_max: float = 3400.0,
    sample_rate: int,
) -> jax.Array:
    """Apply a band-pass filter, then soft clipping with a random gain.

    Args:
        audio: Waveform (time,), floating point, full scale [-1, 1].
        key: PRNG key.
        drive_range: Range (min, max) of the gain before the clipping, in dB; drawn uniformly.
        f_min: Lower edge of the band in Hz, above 0.
        f_max: Upper edge of the band in Hz, below half the sample rate.
        sample_rate: Sample rate in Hz.

    Returns:
        The waveform, within [-1, 1]; shape and dtype are kept.

    Raises:
        TypeError: For a dtype that is not floating point.
        ValueError: For an empty waveform, leading axes, or options out of range.

    Example:
        >>> tone = jnp.sin(jnp.arange(800) * 0.4)
        >>> megaphone(tone, jax.random.key(0), sample_rate=16000).shape
        (800,)

    Reference:
        The filter is ``scipy.signal.firwin(127, (f_min, f_max), pass_zero=False, fs=sample_rate)``.
    """
    values = jnp.asarray(audio)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"audio must be one waveform (time,) of at least one sample, got shape {values.shape}")
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    check_number("f_min", f_min, above=0, unit="Hz")
    check_number("f_max", f_max, above=0, unit="Hz")
    if not f_min < f_max < sample_rate / 2:
        raise ValueError(
            f"f_min < f_max < {sample_rate / 2} Hz (half the sample rate) must hold, got f_min={f_min}, f_max={f_max}"
        )
    drive = draw_megaphone(key, values.shape, drive_range=drive_range)["drive"]
    working = values.astype(numerics.working_dtype(values.dtype))
    taps = jnp.asarray(_band_pass(float(f_min), float(f_max), sample_rate), working.dtype)
    filtered = jnp.convolve(working, taps, mode="full", precision=jax.lax.Precision.HIGHEST)
    delay = N_TAPS // 2
    gain = jnp.exp(drive.astype(working.dtype) * (np.log(10) / 20))
    return jnp.tanh(gain * filtered[delay : delay + values.size]).astype(values.dtype)


@lru_cache(maxsize=32)
def _band_pass(f_min: float, f_max: float, sample_rate: int) -> NDArray[np.float64]:
    """Design a linear-phase band-pass filter: a windowed difference of sincs, with gain 1 at its center."""
    n = np.arange(N_TAPS) - N_TAPS // 2
    low, high = 2 * f_min / sample_rate, 2 * f_max / sample_rate
    taps: NDArray[np.float64] = (high * np.sinc(high * n) - low * np.sinc(low * n)) * np.hamming(N_TAPS)
    taps /= np.sum(taps * np.cos(np.pi * n * (low + high) / 2))
    taps.flags.writeable = False
    return taps
