"""Sums of harmonics with constant frequency and exponential decay."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from artifex.generative_models.core import numerics
from artifex.generative_models.modalities.audio.generators.parameters import computed_once


def select_row(table: np.ndarray, index: jax.Array) -> jax.Array:
    """Return one row of a small table at a traced index, without a gather.

    Args:
        table: Numbers, (rows, ...).
        index: Index of the row, a scalar integer.

    Returns:
        The row, (...).

    Example:
        >>> select_row(np.array([[1.0, 2.0], [3.0, 4.0]], np.float32), jnp.int32(1))
        Array([3., 4.], dtype=float32)
    """
    selected = jnp.arange(len(table)).reshape(-1, *(1,) * (table.ndim - 1)) == index
    return jnp.sum(jnp.where(selected, table, table.dtype.type(0)), axis=0, dtype=table.dtype)


def rolloff_amplitudes(n_harmonics: int, rolloff_db: float | jax.Array) -> jax.Array:
    """Return the amplitudes of harmonics that decrease by a constant number of dB per octave, starting at 1.

    Args:
        n_harmonics: Number of harmonics.
        rolloff_db: Decrease in dB per octave; may be traced.

    Returns:
        The amplitudes, (n_harmonics,).

    Example:
        >>> [round(float(level), 3) for level in rolloff_amplitudes(4, 6.0206)]
        [1.0, 0.5, 0.333, 0.25]
    """
    octaves = np.log2(np.arange(1, n_harmonics + 1)).astype(np.float32)
    return jnp.exp(octaves * (rolloff_db * np.float32(-np.log(10) / 20)))


def below_nyquist(f0: jax.Array, n_harmonics: int, sample_rate: int) -> jax.Array:
    """Return which harmonics are below half the sample rate.

    Args:
        f0: Fundamental frequency in Hz.
        n_harmonics: Number of harmonics.
        sample_rate: Sample rate in Hz.

    Returns:
        Booleans, (n_harmonics,).

    Example:
        >>> below_nyquist(jnp.float32(200.0), 3, 1000)
        Array([ True,  True, False], dtype=bool)
    """
    return f0 * np.arange(1, n_harmonics + 1, dtype=np.float32) < sample_rate / 2


def sum_harmonics(
    f0: jax.Array,
    sines: jax.Array,
    cosines: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    decays: jax.Array | None = None,
) -> jax.Array:
    """Sum the harmonics of one fundamental frequency, each with its own exponential decay.

    At sample ``m * block + b`` a harmonic is a product of a factor that depends on m and a factor that depends on b, so
    the sum over all harmonics is one matrix product. It evaluates far fewer sines than samples, and its phases are as
    precise as those of ``numerics.phase_ramp`` at any length.

    Args:
        f0: Fundamental frequency in Hz.
        sines: Amplitudes of the sines, (n_harmonics,).
        cosines: Amplitudes of the cosines, (n_harmonics,).
        n_time_steps: Length in samples.
        sample_rate: Sample rate in Hz.
        decays: Decay rates in nepers per second, at least 0, (n_harmonics,); None for no decay.

    Returns:
        ``sum_k exp(-decays[k] t) (sines[k] sin(2 pi k f0 t) + cosines[k] cos(2 pi k f0 t))`` with k from 1,
        (n_time_steps,).

    Example:
        >>> one = jnp.ones(1)
        >>> sum_harmonics(jnp.float32(2.0), one, 0 * one, n_time_steps=5, sample_rate=8)
        Array([ 0.,  1.,  0., -1.,  0.], dtype=float32)
    """
    block = 1 << (n_time_steps.bit_length() // 2)
    n_blocks = -(-n_time_steps // block)
    order = np.arange(1, len(sines) + 1, dtype=np.float32)[:, None]
    block_starts = numerics.phase_ramp(f0 * block, n_time_steps=n_blocks, sample_rate=sample_rate)
    within_block = numerics.phase_ramp(f0, n_time_steps=block, sample_rate=sample_rate)
    coarse = order * computed_once(block_starts)[None, :]
    fine = order * computed_once(within_block)[None, :]
    sine, cosine = numerics.sin2pi(coarse), numerics.cos2pi(coarse)
    sines, cosines = computed_once(sines)[:, None], computed_once(cosines)[:, None]
    # sin(a + b) = sin(a) cos(b) + cos(a) sin(b), and likewise for the cosine.
    left = jnp.concatenate([sines * sine + cosines * cosine, sines * cosine - cosines * sine])
    right = jnp.concatenate([numerics.cos2pi(fine), numerics.sin2pi(fine)])
    if decays is not None:
        rates = jnp.tile(computed_once(decays), 2)[:, None] * np.float32(-1 / sample_rate)
        left = left * jnp.exp(rates * (block * np.arange(n_blocks, dtype=np.float32))[None, :])
        right = right * jnp.exp(rates * np.arange(block, dtype=np.float32)[None, :])
    blocks = jnp.einsum("km,kb->mb", left, right, precision=jax.lax.Precision.HIGHEST)
    return blocks.reshape(-1)[:n_time_steps]
