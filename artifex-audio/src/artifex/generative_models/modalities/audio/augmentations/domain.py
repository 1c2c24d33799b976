"""What an augmentation works on: a waveform, unless it is marked."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

_Augmentation = TypeVar("_Augmentation", bound=Callable[..., Any])


def on_spectrogram(augmentation: _Augmentation) -> _Augmentation:
    """Mark an augmentation as one of spectrograms (..., freq, time); without the mark it is one of waveforms.

    Args:
        augmentation: A function ``f(spectrogram, key, **options)``.

    Returns:
        The same function, its attribute ``works_on`` set.

    Example:
        >>> @on_spectrogram
        ... def quieter(spectrogram, key):
        ...     return 0.5 * spectrogram
        >>> works_on(quieter)
        'spectrogram'
    """
    augmentation.works_on = "spectrogram"  # type: ignore[attr-defined]
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
