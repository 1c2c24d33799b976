"""What an augmentation works on: a waveform, unless it is marked; and what the marked ones take for a spectrogram."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_integer
from artifex.generative_models.core.numerics import working_dtype

_Augmentation = TypeVar("_Augmentation", bound=Callable[..., Any])


def on_spectrogram(augmentation: _Augmentation) -> _Augmentation:
    """Mark an augmentation as one of spectrograms (..., freq, time); without the mark it is one of waveforms.

    Args:
        augmentation: A function ``f(spectrogram, key, **options)``, ``annotated`` or not.

    Returns:
        The same function, its attribute ``works_on`` set.

    Example:
        >>> @on_spectrogram
        ... def quieter(spectrogram, key):
        ...     return 0.5 * spectrogram
        >>> works_on(quieter)
        'spectrogram'
    """
    # What with_annotations gives of it works on the same.
    for function in (augmentation, getattr(augmentation, "annotated", augmentation)):
        function.works_on = "spectrogram"  # type: ignore[union-attr]
    return augmentation


def works_on(augmentation: Callable[..., Any]) -> str:
    """Say what an augmentation works on, its options bound or not.

    Args:
        augmentation: A function, or what ``create("augmentation", name, **options)`` made of it.

    Returns:
        ``"spectrogram"`` where it is marked so, else ``"waveform"``.

    Example:
        >>> works_on(lambda audio, key: audio)
        'waveform'
    """
    while isinstance(augmentation, functools.partial):
        augmentation = augmentation.func
    domain: str = getattr(augmentation, "works_on", "waveform")
    return domain


def as_spectrogram(name: str, spectrogram: ArrayLike, *, instead_of_complex: str | None = None) -> jax.Array:
    """Return a spectrogram as an array, or say why it is none: what every augmentation of spectrograms starts with.

    Args:
        name: The augmentation's name, for the message.
        spectrogram: What was given for spectrograms (..., freq, time).
        instead_of_complex: What to do instead of giving complex numbers, where the augmentation takes none.

    Returns:
        The array, its dtype unchanged.

    Raises:
        ValueError: For fewer than two axes or an empty axis.
        TypeError: For integers, and for complex numbers where they are not taken.

    Example:
        >>> as_spectrogram("time_mask", jnp.ones(5))
        Traceback (most recent call last):
        ValueError: time_mask takes a spectrogram (..., freq, time) of at least one bin and one frame, got shape (5,)
    """
    values = jnp.asarray(spectrogram)
    if values.ndim < 2 or not all(values.shape[-2:]):
        raise ValueError(
            f"{name} takes a spectrogram (..., freq, time) of at least one bin and one frame, got shape {values.shape}"
        )
    working_dtype(values.dtype)
    if instead_of_complex and jnp.iscomplexobj(values):
        raise TypeError(f"{name} takes a spectrogram of real numbers, got {values.dtype}: {instead_of_complex}")
    return values


def valid_frames(n_valid_frames: ArrayLike | None, values: jax.Array) -> ArrayLike:
    """Return how many frames of a spectrogram hold sound, checked unless it is traced.

    Args:
        n_valid_frames: How many, from the first; None means all.
        values: The spectrogram (..., freq, time).

    Returns:
        The number.

    Raises:
        TypeError: When it is no integer.
        ValueError: When it is below 1 or there are not so many.

    Example:
        >>> valid_frames(None, jnp.ones((80, 125)))
        125
    """
    if n_valid_frames is None:
        return values.shape[-1]
    if not isinstance(n_valid_frames, jax.Array):
        check_integer("n_valid_frames", n_valid_frames, minimum=1, maximum=values.shape[-1], unit="frames")
    return n_valid_frames
