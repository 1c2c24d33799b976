"""The domain of an augmentation, waveform or spectrogram, and the validation of its example and key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_option
from artifex.generative_models.core.numerics import working_dtype
from artifex.generative_models.modalities.audio.annotations import function_and_options
from artifex.generative_models.modalities.audio.preprocessing.levels import as_waveforms


def works_on(augmentation: Callable[..., Any]) -> str:
    """Return the domain of an augmentation, its options bound or not.

    Args:
        augmentation: A function, or the result of ``create("augmentation", name, **options)``.

    Returns:
        ``"spectrogram"`` if it was declared with ``augmentation(draw=…, domain="spectrogram")``, else ``"waveform"``.

    Example:
        >>> works_on(lambda audio, key: audio)
        'waveform'
    """
    return str(getattr(function_and_options(augmentation)[0], "works_on", "waveform"))


def as_float(name: str, audio: ArrayLike) -> jax.Array:
    """Validate floating-point waveforms and return them as an array.

    Args:
        name: The augmentation's name, for the message.
        audio: Waveforms (..., time).

    Returns:
        The array, its dtype unchanged.

    Raises:
        ValueError: For a scalar or an empty clip.
        TypeError: For integers, booleans and complex numbers.

    Example:
        >>> as_float("random_gain", jnp.ones(3, jnp.int16))
        Traceback (most recent call last):
        TypeError: random_gain takes floating-point audio, got int16: to_float(audio) scales it to [-1, 1]
    """
    waveform = as_waveforms(name, audio)
    if jnp.issubdtype(waveform.dtype, jnp.integer):
        raise TypeError(
            f"{name} takes floating-point audio, got {waveform.dtype}: to_float(audio) scales it to [-1, 1]"
        )
    return waveform


def checked_waveform(name: str, audio: ArrayLike, key: jax.Array) -> jax.Array:
    """Validate a floating-point waveform and a key; return the waveform as an array.

    Args:
        name: The augmentation's name, for the message.
        audio: One waveform (..., time).
        key: A single PRNG key.

    Returns:
        The array, its dtype unchanged.

    Raises:
        ValueError: For a scalar or an empty clip.
        TypeError: For integers, booleans and complex numbers, or if ``key`` is not a single PRNG key.
    """
    numerics.check_key(name, key)
    return as_float(name, audio)


def checked_spectrogram(
    name: str, spectrogram: ArrayLike, key: jax.Array, *, if_complex: str | None = None
) -> jax.Array:
    """Validate a spectrogram and a key; return the spectrogram as an array.

    Args:
        name: The augmentation's name, for the message.
        spectrogram: A spectrogram (..., freq, time).
        key: A single PRNG key.
        if_complex: Remedy in the error for complex values; None accepts complex values.

    Returns:
        The array, its dtype unchanged.

    Raises:
        ValueError: If it has fewer than two axes or an empty axis.
        TypeError: If it is of integers, or complex and ``if_complex`` is given, or ``key`` is not a single PRNG key.

    Example:
        >>> checked_spectrogram("time_mask", jnp.ones(5), jax.random.key(0))
        Traceback (most recent call last):
        ValueError: time_mask expects a spectrogram (..., freq, time) of at least one bin and one frame, got shape (5,)
    """
    numerics.check_key(name, key)
    values = jnp.asarray(spectrogram)
    if values.ndim < 2 or not all(values.shape[-2:]):
        raise ValueError(
            f"{name} expects a spectrogram (..., freq, time) of at least one bin and one frame, got shape {values.shape}"
        )
    working_dtype(values.dtype)
    if if_complex and jnp.iscomplexobj(values):
        raise TypeError(f"{name} expects a real spectrogram, got {values.dtype}: {if_complex}")
    return values


def valid_frames(n_valid_frames: ArrayLike | None, n_frames: int) -> ArrayLike:
    """Return the number of valid frames of a padded spectrogram, validated unless it is traced.

    Args:
        n_valid_frames: The number of frames, from the first, that are not padding; None means all.
        n_frames: The number of frames of the spectrogram.

    Returns:
        The number.

    Raises:
        TypeError: If it is not an integer.
        ValueError: If it is below 1 or above ``n_frames``.

    Example:
        >>> valid_frames(None, 125)
        125
    """
    if n_valid_frames is None:
        return n_frames
    check_option("n_valid_frames", n_valid_frames, integer=True, minimum=1, maximum=n_frames, unit="frames")
    return n_valid_frames
