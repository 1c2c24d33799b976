"""A policy for waveforms that needs no options."""

from __future__ import annotations

import functools

import jax
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.protocols import Augmentation
from artifex.generative_models.modalities.audio.augmentations.batches import apply_batch
from artifex.generative_models.modalities.audio.augmentations.composition import compose
from artifex.generative_models.modalities.audio.preprocessing import as_waveforms, to_float


@functools.cache
def default_policy() -> Augmentation:
    """Return the policy of ``augment_audio``.

    Returns:
        A function ``f(x, key)``; ``policy_spec`` gives it as plain data to start from.

    Example:
        >>> from artifex.generative_models.modalities.audio import policy_spec
        >>> [step["name"] for step in policy_spec(default_policy())["steps"]]
        ['time_shift', 'normalize', 'add_gaussian_noise', 'time_stretch', 'normalize', 'random_gain']
    """
    return compose(
        ("time_shift", {"max_shift": 800}),
        "normalize",
        ("add_gaussian_noise", {"noise_level": 0.005}),
        ("time_stretch", {"rate_range": (0.95, 1.05)}),
        # A clip that sounds has a peak near 1 here, a silent one that of the noise, which is to stay as low.
        ("normalize", {"threshold": 0.03}),
        ("random_gain", {"gain_range": (0.8, 1.2)}),
    )


def augment_audio(audio: ArrayLike, key: jax.Array) -> jax.Array:
    """Shift, add noise, stretch, bring the peak to 1, and vary the level: a fair start for most training.

    The steps are those of ``default_policy``: ``time_shift`` by up to 800 samples, ``normalize``,
    ``add_gaussian_noise`` of 0.005, ``time_stretch`` at 0.95 to 1.05, ``normalize`` again, and ``random_gain`` of 0.8 to
    1.2, which comes last since normalizing would undo it. The peak is thus the gain, and may exceed full scale by a
    fifth. The noise lies 46 dB below the peak however loud the recording was; a silent clip stays at the level of the
    noise.

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
    return default_policy()(to_float(as_waveforms("augment_audio", audio)), key)


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
    augmented: jax.Array = apply_batch(default_policy(), to_float(batch), key)
    return augmented
