"""Options that are given either in samples or frames, or in seconds."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from artifex.generative_models.core.checks import check_option, check_range, is_jax_array

SampleRate = int | Array | None


def to_samples(
    name: str, n_samples: Any, seconds: Any, sample_rate: SampleRate, *, default: Any, hop_length: int | None = None
) -> Any:
    """Convert an option that was given in seconds to samples or frames.

    Args:
        name: Name of the option in samples or frames, such as ``"max_shift"``; the other one is ``NAME_seconds``.
        n_samples: Its value.
        seconds: The value of the option in seconds; a pair if ``n_samples`` is a pair; None if it was not given.
        sample_rate: Sample rate in Hz. May be traced.
        default: Default of ``n_samples``.
        hop_length: Samples from frame to frame, for an option in frames.

    Returns:
        ``n_samples`` if ``seconds`` is None, else ``seconds`` rounded to samples or frames.

    Raises:
        ValueError: If ``seconds`` is given and ``n_samples`` is not the default, or ``seconds`` is negative.
        TypeError: If ``sample_rate`` is missing.

    Example:
        >>> to_samples("max_shift", 1600, 0.05, 8000, default=1600)
        400
    """
    if sample_rate is not None:
        check_option("sample_rate", sample_rate, above=0, unit="Hz")
    if seconds is None:
        return n_samples
    if is_jax_array(n_samples) or n_samples != default:
        raise ValueError(f"{name} and {name}_seconds exclude each other, got {n_samples!r} and {seconds!r}: give one")
    if sample_rate is None:
        raise TypeError(f"{name}_seconds requires sample_rate in Hz, got None")
    if isinstance(default, tuple):
        bounds = check_range(f"{name}_seconds", seconds, minimum=0, unit="seconds")
        return tuple(_round(f"{name}_seconds", bound, sample_rate, 1) for bound in bounds)
    return _round(f"{name}_seconds", seconds, sample_rate, 1 if hop_length is None else hop_length)


def frames_from_seconds(
    name: str, n_frames: Any, seconds: Any, sample_rate: SampleRate, hop_length: int | None, *, default: Any
) -> Any:
    """Convert an option that was given in seconds to frames.

    Args:
        name: Name of the option in frames, such as ``"mask_param"``; the other one is ``NAME_seconds``.
        n_frames: Its value.
        seconds: The value of the option in seconds; None if it was not given.
        sample_rate: Sample rate in Hz. May be traced.
        hop_length: Samples from frame to frame.
        default: Default of ``n_frames``.

    Returns:
        ``n_frames`` if ``seconds`` is None, else ``seconds`` rounded to frames.

    Raises:
        ValueError: If ``seconds`` is given and ``n_frames`` is not the default, or ``seconds`` is negative.
        TypeError: If ``sample_rate`` or ``hop_length`` is missing.

    Example:
        >>> frames_from_seconds("max_warp", 80, 0.4, 16000, 160, default=80)
        40
    """
    if hop_length is not None:
        check_option("hop_length", hop_length, integer=True, minimum=1, unit="samples")
    elif seconds is not None:
        raise TypeError(f"{name}_seconds requires hop_length in samples, got None")
    return to_samples(name, n_frames, seconds, sample_rate, default=default, hop_length=hop_length)


def _round(name: str, seconds: float | Array, sample_rate: int | Array, hop_length: int) -> int | Array:
    check_option(name, seconds, minimum=0, unit="seconds")
    if is_jax_array(seconds) or is_jax_array(sample_rate):
        seconds, rate = jnp.asarray(seconds, jnp.float32), jnp.asarray(sample_rate, jnp.float32)
        return jnp.round(seconds * rate / hop_length).astype(jnp.int32)
    return round(float(seconds) * float(sample_rate) / hop_length)
