"""A waveform policy without options: ``augment_audio`` and its specification."""

from __future__ import annotations

import functools

import jax
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.protocols import Augmentation
from artifex.generative_models.modalities.audio.augmentations.batches import apply_batch
from artifex.generative_models.modalities.audio.augmentations.composition import compose
from artifex.generative_models.modalities.audio.preprocessing.levels import as_waveforms, to_float


@functools.cache
def default_policy() -> Augmentation:
    """Return the policy of ``augment_audio``.

    Returns:
        A function ``f(example, key)``; ``policy_spec`` returns it as plain data, to start from.

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
        # The peak is near 1 here. That of a silent clip is the peak of the noise, which must not be amplified.
        ("normalize", {"threshold": 0.03}),
        ("random_gain", {"gain_range": (0.8, 1.2)}),
    )


def augment_audio(audio: ArrayLike, key: jax.Array) -> jax.Array:
    """Augment a waveform: shift in time, add noise, time-stretch, normalize the peak and apply a random gain.

    The steps are those of ``default_policy``: ``time_shift`` by up to 800 samples, ``normalize``,
    ``add_gaussian_noise`` of 0.005, ``time_stretch`` by 0.95 to 1.05, ``normalize`` again, and ``random_gain`` of 0.8 to
    1.2, last because normalization would undo it. The peak therefore equals the gain and may exceed full scale by 20
    percent. The noise is 46 dB below the peak whatever the level of the recording; a silent clip contains only the noise.

    Args:
        audio: One waveform (..., time); leading axes, such as channels, share shift, rate and gain. Integers are scaled
            to [-1, 1] by ``to_float``.
        key: PRNG key.

    Returns:
        The augmented waveform, same shape; float32 for integers, else the input's dtype.

    Raises:
        MissingDependencyError: If artifex-spectral, which time-stretches, is not installed.
        ValueError: If ``audio`` is a scalar or empty.
        TypeError: If the dtype is not an audio dtype.

    Example:
        >>> import jax.numpy as jnp
        >>> augmented = augment_audio(jnp.sin(jnp.arange(4000.0) * 0.2), jax.random.key(0))
        >>> augmented.shape, 0.8 <= float(abs(augmented).max()) <= 1.2
        ((4000,), True)
    """
    numerics.check_key("augment_audio", key)
    return default_policy()(to_float(as_waveforms("augment_audio", audio)), key)


def augment_audio_batch(audio_batch: ArrayLike, key: jax.Array) -> jax.Array:
    """Apply ``augment_audio`` to every clip of a batch, with an independent draw for each.

    Clip ``i`` gets key ``i`` of ``jax.random.split(key, batch_size)``, so its draw does not depend on the batch size.

    Args:
        audio_batch: Waveforms (batch, ..., time).
        key: PRNG key of the batch.

    Returns:
        The augmented batch, same shape; float32 for integers, else the input's dtype.

    Raises:
        MissingDependencyError: If artifex-spectral is not installed.
        ValueError: If there are fewer than two axes, or the batch or the clips are empty.
        TypeError: If the dtype is not an audio dtype.

    Example:
        >>> import jax.numpy as jnp
        >>> augment_audio_batch(jnp.ones((3, 4000)), jax.random.key(0)).shape
        (3, 4000)
    """
    numerics.check_key("augment_audio_batch", key)
    batch = as_waveforms("augment_audio_batch", audio_batch)
    if batch.ndim < 2 or not batch.shape[0]:
        raise ValueError(
            f"augment_audio_batch expects (batch, ..., time) with at least one clip, got shape {batch.shape}; "
            f"for a single clip call augment_audio"
        )
    augmented: jax.Array = apply_batch(default_policy(), to_float(batch), key)
    return augmented
