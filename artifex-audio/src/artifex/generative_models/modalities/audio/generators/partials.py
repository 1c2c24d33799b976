"""What the audio types of several partials share: checked draws, and sums of decaying harmonics."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from artifex.generative_models.core import numerics
from artifex.generative_models.modalities.audio.ranges import settled


def drawn(key: jax.Array, name: str, least: Any, most: Any, **bounds: Any) -> jax.Array:
    """Draw uniformly between the options ``{name}_min`` and ``{name}_max``, checked unless they are traced.

    Args:
        key: Decides the value.
        name: What is drawn.
        least: The least value.
        most: The greatest value, at least the least.
        **bounds: Those of ``core.checks.check_number``, for both.

    Returns:
        The value, a scalar.

    Raises:
        TypeError: When one is no number.
        ValueError: When one is out of bounds, or both are the wrong way round.

    Example:
        >>> float(drawn(jax.random.key(0), "rate", 4.0, 4.0))
        4.0
        >>> drawn(jax.random.key(0), "rate", 4.0, 2.0, unit="Hz")
        Traceback (most recent call last):
        ValueError: rate_min must not exceed rate_max (Hz), got 4.0 and 2.0
    """
    settled(f"{name}_min", least, **bounds)
    settled(f"{name}_max", most, **bounds)
    if not isinstance(least, jax.Array) and not isinstance(most, jax.Array) and least > most:
        unit = f" ({bounds['unit']})" if bounds.get("unit") else ""
        raise ValueError(f"{name}_min must not exceed {name}_max{unit}, got {least} and {most}")
    # Made again in another loop, a draw may be rounded otherwise: what is annotated has to be what is heard.
    return _kept(numerics.uniform(key, (), minval=least, maxval=most))


def check_reach(meaning: str, highest: Any, sample_rate: int) -> None:
    """Raise where the highest frequency of a sound lies above half the sample rate; a traced one passes unseen.

    Args:
        meaning: How the frequency comes from the options.
        highest: The frequency, Hz.
        sample_rate: Samples per second, Hz.

    Raises:
        ValueError: When it lies above.

    Example:
        >>> check_reach("f_max + rate_max", 510.0, 1000)
        Traceback (most recent call last):
        ValueError: f_max + rate_max = 510 Hz lies above 500.0 Hz, half the sample rate of 1000 Hz
    """
    if not isinstance(highest, jax.Array) and highest > sample_rate / 2:
        raise ValueError(
            f"{meaning} = {highest:g} Hz lies above {sample_rate / 2} Hz, half the sample rate of {sample_rate} Hz"
        )


def row_of(table: np.ndarray, index: jax.Array) -> jax.Array:
    """Return one row of a small table for a traced index, without a gather.

    Args:
        table: Numbers, (rows, …).
        index: Which row, a scalar integer.

    Returns:
        The row.

    Example:
        >>> row_of(np.array([[1.0, 2.0], [3.0, 4.0]], np.float32), jnp.int32(1))
        Array([3., 4.], dtype=float32)
    """
    chosen = jnp.arange(len(table)).reshape(-1, *(1,) * (table.ndim - 1)) == index
    return jnp.sum(jnp.where(chosen, table, 0), axis=0, dtype=table.dtype)


def rolled_off(n_harmonics: int, rolloff_db: Any) -> jax.Array:
    """Return the amplitudes of harmonics that fall by so many dB per octave, the first being 1.

    Args:
        n_harmonics: How many.
        rolloff_db: By how much they fall, dB per octave; may be traced.

    Returns:
        The amplitudes, (n_harmonics,).

    Example:
        >>> [round(float(level), 3) for level in rolled_off(4, 6.0206)]
        [1.0, 0.5, 0.333, 0.25]
    """
    octaves = np.log2(np.arange(1, n_harmonics + 1)).astype(np.float32)
    return jnp.exp(octaves * (rolloff_db * np.float32(-np.log(10) / 20)))


def below_nyquist(f0: jax.Array, n_harmonics: int, sample_rate: int) -> jax.Array:
    """Say which harmonics lie below half the sample rate.

    Args:
        f0: Fundamental frequency, Hz.
        n_harmonics: How many there are.
        sample_rate: Samples per second, Hz.

    Returns:
        Booleans, (n_harmonics,).

    Example:
        >>> below_nyquist(jnp.float32(200.0), 3, 1000)
        Array([ True,  True, False], dtype=bool)
    """
    return f0 * np.arange(1, n_harmonics + 1, dtype=np.float32) < sample_rate / 2


def harmonics(
    f0: jax.Array,
    sines: jax.Array,
    cosines: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    decays: jax.Array | None = None,
) -> jax.Array:
    """Add up harmonics of one frequency, each with a decay of its own.

    A harmonic at sample ``m B + b`` is a product of what depends on m and what depends on b, so that all of them
    together are one product of matrices: far fewer sines than samples, and phases as exact as the ramps they are
    made of, at any length.

    Args:
        f0: Fundamental frequency, Hz.
        sines: Amplitudes of the sines, (n_harmonics,).
        cosines: Amplitudes of the cosines, (n_harmonics,).
        n_time_steps: Length in samples.
        sample_rate: Samples per second, Hz.
        decays: How fast each decays, nepers per second, at least 0, (n_harmonics,); None for not at all.

    Returns:
        ``sum_k exp(-decays[k] t) (sines[k] sin(2 pi k f0 t) + cosines[k] cos(2 pi k f0 t))`` with k from 1,
        (n_time_steps,).

    Example:
        >>> one = jnp.ones(1)
        >>> harmonics(jnp.float32(2.0), one, 0 * one, n_time_steps=5, sample_rate=8)
        Array([ 0.,  1.,  0., -1.,  0.], dtype=float32)
    """
    block = 1 << (n_time_steps.bit_length() // 2)
    n_blocks = -(-n_time_steps // block)
    order = np.arange(1, len(sines) + 1, dtype=np.float32)[:, None]
    coarse = order * _kept(numerics.phase_ramp(f0 * block, n_time_steps=n_blocks, sample_rate=sample_rate))
    fine = order * _kept(numerics.phase_ramp(f0, n_time_steps=block, sample_rate=sample_rate))
    sine, cosine = numerics.sin2pi(coarse), numerics.cos2pi(coarse)
    sines, cosines = _kept(sines), _kept(cosines)
    sines, cosines = sines[:, None], cosines[:, None]
    left = jnp.concatenate([sines * sine + cosines * cosine, sines * cosine - cosines * sine])
    right = jnp.concatenate([numerics.cos2pi(fine), numerics.sin2pi(fine)])
    if decays is not None:
        rates = jnp.tile(_kept(decays), 2)[:, None] * np.float32(-1 / sample_rate)
        left = left * jnp.exp(rates * (block * np.arange(n_blocks, dtype=np.float32)))
        right = right * jnp.exp(rates * np.arange(block, dtype=np.float32))
    blocks = jnp.einsum("km,kb->mb", left, right, precision=jax.lax.Precision.HIGHEST)
    return blocks.reshape(-1)[:n_time_steps]


def _kept(x: jax.Array) -> jax.Array:
    """Return ``x`` as it is, computed once.

    XLA:CPU would fuse all that a small array is made of, random draws included, into the loop over every harmonic and
    block: four to seven times slower. It does not fuse a remainder, and JAX 0.10 drops an optimization barrier.
    """
    return jax.lax.rem(x, jnp.full_like(x, 2.0**100))
