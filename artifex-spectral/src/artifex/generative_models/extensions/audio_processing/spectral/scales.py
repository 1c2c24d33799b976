"""Scales of pitch as the ear has them: mel, Bark and ERB, from Hz and back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

from artifex.generative_models.core.checks import check_choice

_Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]

# Slaney's Auditory Toolbox: 3 mel per 200 Hz up to 1 kHz, then 27 mel per factor of 6.4.
_SLANEY_BREAK_HZ, _SLANEY_HZ_PER_MEL, _SLANEY_LOG_STEP = 1000.0, 200.0 / 3, np.log(6.4) / 27
_SLANEY_BREAK_MEL = _SLANEY_BREAK_HZ / _SLANEY_HZ_PER_MEL


def _slaney_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    above = np.log(np.maximum(hz, _SLANEY_BREAK_HZ) / _SLANEY_BREAK_HZ) / _SLANEY_LOG_STEP
    return np.asarray(np.minimum(hz, _SLANEY_BREAK_HZ) / _SLANEY_HZ_PER_MEL + above)


def _slaney_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = np.exp(_SLANEY_LOG_STEP * np.maximum(mel - _SLANEY_BREAK_MEL, 0))
    return np.asarray(np.minimum(mel, _SLANEY_BREAK_MEL) * _SLANEY_HZ_PER_MEL * above)


def _traunmueller(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(26.81 * hz / (1960.0 + hz) - 0.53)


def _traunmueller_hz(bark: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1960.0 * (bark + 0.53) / (26.28 - bark))


SCALES: dict[str, tuple[_Curve, _Curve]] = {
    "slaney": (_slaney_mel, _slaney_hz),
    "htk": (lambda hz: 2595.0 * np.log10(1.0 + hz / 700.0), lambda mel: 700.0 * (10.0 ** (mel / 2595.0) - 1.0)),
    "kaldi": (lambda hz: 1127.0 * np.log1p(hz / 700.0), lambda mel: 700.0 * np.expm1(mel / 1127.0)),
    "bark": (_traunmueller, _traunmueller_hz),
    "erb": (
        lambda hz: 21.4 * np.log10(1.0 + 0.00437 * hz),
        lambda rate: (10.0 ** (rate / 21.4) - 1.0) / 0.00437,
    ),
    "linear": (lambda hz: hz, lambda place: place),
}


def hz_to_mel(frequency: ArrayLike, *, mel_scale: str = "slaney") -> NDArray[np.float64]:
    """Return frequencies on a scale of pitch.

    Args:
        frequency: Frequencies, Hz, any shape.
        mel_scale: ``"slaney"`` (linear to 1 kHz, logarithmic above), ``"htk"`` (2595 log10(1 + f / 700)),
            ``"kaldi"`` (1127 ln(1 + f / 700)), ``"bark"`` (critical bands), ``"erb"`` (equivalent rectangular
            bandwidths) or ``"linear"`` (Hz).

    Returns:
        Mels, Bark or ERBs, a NumPy array in the same shape, float64.

    Raises:
        ValueError: For an unknown scale.

    Example:
        >>> [round(float(hz_to_mel(1000.0, mel_scale=scale)), 2) for scale in ("slaney", "htk", "bark", "erb")]
        [15.0, 999.99, 8.53, 15.62]

    Reference:
        ``librosa.hz_to_mel``; Traunmüller, "Analytical expressions for the tonotopic sensory scale", 1990;
        Glasberg and Moore, "Derivation of auditory filter shapes from notched-noise data", 1990.
    """
    check_choice("mel_scale", mel_scale, choices=tuple(SCALES))
    return np.asarray(SCALES[mel_scale][0](np.asarray(frequency, dtype=np.float64)))


def mel_to_hz(mel: ArrayLike, *, mel_scale: str = "slaney") -> NDArray[np.float64]:
    """Return the frequencies of places on a scale of pitch.

    Args:
        mel: Mels, Bark or ERBs, any shape.
        mel_scale: One of the scales of ``hz_to_mel``.

    Returns:
        Frequencies in Hz, a NumPy array in the same shape, float64.

    Raises:
        ValueError: For an unknown scale.

    Example:
        >>> float(mel_to_hz(15.0).round(2))
        1000.0

    Reference:
        ``librosa.mel_to_hz``, and as ``hz_to_mel``.
    """
    check_choice("mel_scale", mel_scale, choices=tuple(SCALES))
    return np.asarray(SCALES[mel_scale][1](np.asarray(mel, dtype=np.float64)))
