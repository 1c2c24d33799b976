"""Random changes of a waveform's duration: time stretch."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_choice, check_integer
from artifex.generative_models.core.numerics import working_dtype
from artifex.generative_models.modalities.audio.annotations import annotated
from artifex.generative_models.modalities.audio.augmentations.draws import Drawn, floating, pair, uniform
from artifex.generative_models.modalities.audio.representations import spectral_extension


@annotated
def time_stretch(
    audio: ArrayLike,
    key: jax.Array,
    rate_range: tuple[float, float] = (0.8, 1.2),
    *,
    tail: str = "wrap",
    n_fft: int | None = None,
    hop_length: int | None = None,
) -> Drawn:
    """Play a clip faster or slower by a random rate: the pitch stays, and so does the length of the array.

    The work is done by the phase vocoder of the extension ``"spectral"``, found by name. As with librosa's, noisy
    sound loses 2 to 4 dB at any rate but 1, since its phases no longer add up; normalise afterwards where a model must
    not tell a stretched clip by its level.

    Args:
        audio: One waveform (..., time), floating point; leading axes, such as channels, share the rate.
        key: Decides the rate.
        rate_range: The least and the greatest rate, above 0, uniform between them; above 1 is faster. Static,
            since the greatest rate decides how much of the clip is needed again.
        tail: What follows where a faster clip ends early. ``"wrap"`` goes on with its beginning, so that no
            rate can be told by its silent tail: the choice for steady sounds, music, tagging. ``"zeros"``
            pads with silence, as librosa and audiomentations users expect: the choice where the clip must be
            heard once, as with transcripts or onsets. A slower clip loses its end either way.
        n_fft: Samples in a frame of the vocoder. None means 1024, or in a shorter clip the largest power of
            two that it holds, at least 16. 2048 suits music at 44 100 Hz.
        hop_length: Samples from frame to frame, at most ``n_fft``; None means ``n_fft // 4``.

    Returns:
        The same shape and dtype.

    Raises:
        MissingDependencyError: Without artifex-spectral.
        ValueError: For a scalar, an empty clip, a range out of order or not above 0, or an unknown tail.
        TypeError: For integers, which ``to_float`` makes floats, or a range that is traced.

    Example:
        >>> tone = jnp.sin(jnp.arange(4000) * 0.2)
        >>> time_stretch(tone, jax.random.key(0), rate_range=(0.9, 1.1)).shape
        (4000,)

    Reference:
        ``librosa.effects.time_stretch``.
    """
    numerics.check_key("time_stretch", key)
    waveform = floating("time_stretch", audio)
    for bound in rate_range if isinstance(rate_range, tuple | list) else (rate_range,):
        if isinstance(bound, jax.Array):
            raise TypeError(
                "rate_range is static, since it decides how much of the clip is needed: give Python numbers"
            )
    low, high = pair("rate_range", rate_range, above=0)
    check_choice("tail", tail, choices=("wrap", "zeros"))
    length = waveform.shape[-1]
    n_fft = min(1024, max(16, 1 << (length.bit_length() - 1))) if n_fft is None else n_fft
    check_integer("n_fft", n_fft, minimum=4, unit="samples")
    hop_length = n_fft // 4 if hop_length is None else hop_length
    check_integer("hop_length", hop_length, minimum=1, maximum=n_fft, unit="samples")
    # The vocoder uses no mel filter; one is the number that fits every n_fft.
    extension = spectral_extension("time_stretch", n_fft=n_fft, hop_length=hop_length, n_mels=1)
    # The last frames of the fastest version reach half a frame beyond what is kept of it.
    ahead = max(0, math.ceil(length * high) - length) + n_fft // 2 if tail == "wrap" else 0
    changed: Drawn = _time_stretch(waveform, key, float(low), float(high), extension, ahead)
    return changed


@partial(jax.jit, static_argnames=("extension", "ahead"))
def _time_stretch(
    waveform: jax.Array, key: jax.Array, low: ArrayLike, high: ArrayLike, extension: Any, ahead: int
) -> Drawn:
    length = waveform.shape[-1]
    values = waveform.astype(working_dtype(waveform.dtype))
    rate = uniform(key, low, high, values.dtype)
    continued = jnp.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, ahead)], mode="wrap")
    stretched: jax.Array = extension.time_stretch(continued, rate, length=length)
    return stretched.astype(waveform.dtype), {"rate": rate}
