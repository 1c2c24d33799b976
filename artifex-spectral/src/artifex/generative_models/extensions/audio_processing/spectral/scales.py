"""Mel, Bark and ERB scales: conversion from Hz and back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

from artifex.generative_models.core.checks import check_choice

_Conversion = Callable[[NDArray[np.float64]], NDArray[np.float64]]

# Slaney's Auditory Toolbox: 3 mel per 200 Hz up to 1 kHz, then 27 mel per factor of 6.4.
_SLANEY_BREAK_HZ, _SLANEY_HZ_PER_MEL, _SLANEY_LOG_STEP = 1000.0, 200.0 / 3, np.log(6.4) / 27
_SLANEY_BREAK_MEL = _SLANEY_BREAK_HZ / _SLANEY_HZ_PER_MEL


def _slaney_from_hz(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    above = np.log(np.maximum(hz, _SLANEY_BREAK_HZ) / _SLANEY_BREAK_HZ) / _SLANEY_LOG_STEP
    return np.asarray(np.minimum(hz, _SLANEY_BREAK_HZ) / _SLANEY_HZ_PER_MEL + above)


def _slaney_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = np.exp(_SLANEY_LOG_STEP * np.maximum(mel - _SLANEY_BREAK_MEL, 0))
    return np.asarray(np.minimum(mel, _SLANEY_BREAK_MEL) * _SLANEY_HZ_PER_MEL * above)


_CONVERSIONS: dict[str, tuple[_Conversion, _Conversion]] = {
    "slaney": (_slaney_from_hz, _slaney_to_hz),
    "htk": (lambda hz: 2595.0 * np.log10(1.0 + hz / 700.0), lambda mel: 700.0 * (10.0 ** (mel / 2595.0) - 1.0)),
    "kaldi": (lambda hz: 1127.0 * np.log1p(hz / 700.0), lambda mel: 700.0 * np.expm1(mel / 1127.0)),
    "bark": (
        lambda hz: 26.81 * hz / (1960.0 + hz) - 0.53,
        lambda bark: 1960.0 * (bark + 0.53) / (26.28 - bark),
    ),
    "erb": (
        lambda hz: 21.4 * np.log10(1.0 + 0.00437 * hz),
        lambda erb: (10.0 ** (erb / 21.4) - 1.0) / 0.00437,
    ),
    "linear": (lambda hz: hz, lambda hz: hz),
}

MEL_SCALES = tuple(_CONVERSIONS)
"""Names of the scales."""


def hz_to_mel(frequency: ArrayLike, *, mel_scale: str = "slaney") -> NDArray[np.float64]:
    """Convert Hz to mel, or to another perceptual scale.

    Args:
        frequency: Frequencies in Hz, any shape.
        mel_scale: ``"slaney"`` (linear up to 1 kHz, logarithmic above), ``"htk"`` (2595 log10(1 + f / 700)),
            ``"kaldi"`` (1127 ln(1 + f / 700)), ``"bark"`` (critical bands), ``"erb"`` (equivalent rectangular
            bandwidths) or ``"linear"`` (Hz).

    Returns:
        Mel, Bark or ERB values, a float64 NumPy array of the same shape.

    Raises:
        TypeError: If the frequencies are not real numbers.
        ValueError: If the scale is unknown.

    Example:
        >>> [round(float(hz_to_mel(1000.0, mel_scale=scale)), 2) for scale in ("slaney", "htk", "bark", "erb")]
        [15.0, 999.99, 8.53, 15.62]

    Reference:
        ``librosa.hz_to_mel``; Traunmüller, "Analytical expressions for the tonotopic sensory scale", 1990;
        Glasberg and Moore, "Derivation of auditory filter shapes from notched-noise data", 1990.
    """
    check_choice("mel_scale", mel_scale, choices=MEL_SCALES)
    return np.asarray(_CONVERSIONS[mel_scale][0](as_float64("frequency", frequency)))


def mel_to_hz(mel: ArrayLike, *, mel_scale: str = "slaney") -> NDArray[np.float64]:
    """Convert mel, or values on another perceptual scale, to Hz.

    Args:
        mel: Mel, Bark or ERB values, any shape.
        mel_scale: Scale, as in ``hz_to_mel``.

    Returns:
        Frequencies in Hz, a float64 NumPy array of the same shape.

    Raises:
        TypeError: If the values are not real numbers.
        ValueError: If the scale is unknown.

    Example:
        >>> float(mel_to_hz(15.0).round(2))
        1000.0

    Reference:
        ``librosa.mel_to_hz``.
    """
    check_choice("mel_scale", mel_scale, choices=MEL_SCALES)
    return np.asarray(_CONVERSIONS[mel_scale][1](as_float64("mel", mel)))


def mel_frequencies(n_mels: int, *, f_min: float, f_max: float, mel_scale: str = "slaney") -> NDArray[np.float64]:
    """Compute frequencies that are evenly spaced on a perceptual scale.

    Args:
        n_mels: Number of frequencies, at least 2.
        f_min: First frequency in Hz.
        f_max: Last frequency in Hz.
        mel_scale: Scale, as in ``hz_to_mel``.

    Returns:
        Frequencies in Hz, (n_mels,) float64.

    Raises:
        ValueError: If the scale is unknown.

    Example:
        >>> mel_frequencies(3, f_min=0.0, f_max=1000.0).round(3).tolist()
        [0.0, 500.0, 1000.0]

    Reference:
        ``librosa.mel_frequencies``.
    """
    ends = hz_to_mel(np.array([f_min, f_max]), mel_scale=mel_scale)
    return mel_to_hz(np.linspace(float(ends[0]), float(ends[1]), n_mels), mel_scale=mel_scale)


def as_float64(name: str, values: object) -> NDArray[np.float64]:
    """Convert real numbers to a float64 array.

    Args:
        name: Name of the argument, for the message.
        values: Real numbers, any shape.

    Returns:
        The array.

    Raises:
        TypeError: If they are not real numbers.
    """
    array = np.asarray(values)
    if array.dtype.kind in "OSUcmM":  # JAX's additional floating types have the kind V
        raise TypeError(f"{name} must be real numbers, got {values!r}")
    return array.astype(np.float64)
