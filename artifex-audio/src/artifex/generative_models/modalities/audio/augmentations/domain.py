"""The domain of an augmentation, waveform or spectrogram, and checks of spectrograms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_option
from artifex.generative_models.core.numerics import working_dtype
from artifex.generative_models.modalities.audio.annotations import function_and_options


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


def as_spectrogram(name: str, spectrogram: ArrayLike, *, if_complex: str | None = None) -> jax.Array:
    """Validate a spectrogram and return it as an array.

    Args:
        name: The augmentation's name, for the message.
        spectrogram: A spectrogram (..., freq, time).
        if_complex: Advice for complex values, which are then rejected; None accepts them.

    Returns:
        The array, its dtype unchanged.

    Raises:
        ValueError: If it has fewer than two axes or an empty axis.
        TypeError: If it is of integers, or complex and ``if_complex`` is given.

    Example:
        >>> as_spectrogram("time_mask", jnp.ones(5))
        Traceback (most recent call last):
        ValueError: time_mask expects a spectrogram (..., freq, time) of at least one bin and one frame, got shape (5,)
    """
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
