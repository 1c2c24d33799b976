"""Augmentations one after another: a pipeline for waveforms that needs no options."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.modalities.audio.augmentations.levels import random_gain
from artifex.generative_models.modalities.audio.augmentations.noise import add_gaussian_noise
from artifex.generative_models.modalities.audio.augmentations.stretching import time_stretch
from artifex.generative_models.modalities.audio.augmentations.timing import time_shift
from artifex.generative_models.modalities.audio.preprocessing import as_waveforms, normalize_audio, to_float


def augment_audio(audio: ArrayLike, key: jax.Array) -> jax.Array:
    """Shift, add noise, stretch, bring the peak to 1, and vary the level: a fair start for most training.

    The steps are ``time_shift`` by up to 800 samples, ``normalize_audio``, ``add_gaussian_noise`` of 0.005,
    ``time_stretch`` at 0.95 to 1.05, ``normalize_audio`` again, and ``random_gain`` of 0.8 to 1.2, which comes last
    since normalising would undo it. The peak is thus the gain, and may exceed full scale by a fifth. The noise lies
    46 dB below the peak however loud the recording was; a silent clip stays at the level of the noise.

    Args:
        audio: One waveform (..., time); leading axes, such as channels, share shift, rate and gain. Integers
            are scaled to [-1, 1] by ``to_float`` first.
        key: Decides everything.

    Returns:
        The same shape; float32 for integers, else the input's dtype.

    Raises:
        MissingDependencyError: Without artifex-spectral, which stretches.
        ValueError: For a scalar or an empty clip.
        TypeError: For a dtype that is no audio.

    Example:
        >>> import jax.numpy as jnp
        >>> augmented = augment_audio(jnp.sin(jnp.arange(4000) * 0.2), jax.random.key(0))
        >>> augmented.shape, 0.8 <= float(abs(augmented).max()) <= 1.2
        ((4000,), True)
    """
    numerics.check_key("augment_audio", key)
    augmented: jax.Array = _augment(as_waveforms("augment_audio", audio), key)
    return augmented


def augment_audio_batch(audio_batch: ArrayLike, key: jax.Array) -> jax.Array:
    """Apply ``augment_audio`` to every clip of a batch, each with a draw of its own.

    Row ``i`` gets key ``i`` of ``jax.random.split(key, batch)``, so it does not change when the batch grows.

    Args:
        audio_batch: Waveforms (batch, ..., time).
        key: Decides everything.

    Returns:
        The same shape; float32 for integers, else the input's dtype.

    Raises:
        MissingDependencyError: Without artifex-spectral.
        ValueError: For fewer than two axes, an empty batch or empty clips.
        TypeError: For a dtype that is no audio.

    Example:
        >>> import jax.numpy as jnp
        >>> augment_audio_batch(jnp.ones((3, 4000)), jax.random.key(0)).shape
        (3, 4000)
    """
    numerics.check_key("augment_audio_batch", key)
    batch = as_waveforms("augment_audio_batch", audio_batch)
    if batch.ndim < 2 or not batch.shape[0]:
        raise ValueError(
            f"augment_audio_batch takes (batch, ..., time) with at least one clip, got shape {batch.shape}; "
            f"augment_audio takes a single one"
        )
    augmented: jax.Array = _augment_rows(batch, key)
    return augmented


@jax.jit
def _augment(audio: jax.Array, key: jax.Array) -> jax.Array:
    shift_key, noise_key, rate_key, gain_key = jax.random.split(key, 4)
    audio = normalize_audio(time_shift(to_float(audio), shift_key, max_shift=800))
    silent = jnp.max(jnp.abs(audio), axis=-1, keepdims=True) < 0.5  # a clip that sounds has a peak of 1 here
    audio = add_gaussian_noise(audio, noise_key, noise_level=0.005)
    audio = time_stretch(audio, rate_key, rate_range=(0.95, 1.05))
    return random_gain(jnp.where(silent, audio, normalize_audio(audio)), gain_key, gain_range=(0.8, 1.2))


@jax.jit
def _augment_rows(batch: jax.Array, key: jax.Array) -> jax.Array:
    keys = jax.random.split(key, batch.shape[0])
    rows, sharding = jax.vmap(_augment), jax.typeof(batch).sharding
    axes = sharding.spec[0]
    if axes is not None:
        # Explicitly sharded rows stay on their devices, which XLA's FFT would not see to by itself.
        own = jax.sharding.PartitionSpec(axes)
        names = set(axes) if isinstance(axes, tuple) else {axes}
        rows = jax.shard_map(rows, mesh=sharding.mesh, in_specs=(own, own), out_specs=own, axis_names=names)
        placed = jax.sharding.NamedSharding(sharding.mesh, own)
        keys = jax.reshard(keys, placed)
    augmented: jax.Array = rows(batch, keys)
    return augmented
