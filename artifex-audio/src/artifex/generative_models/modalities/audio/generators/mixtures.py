"""Mixtures of other audio types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from artifex.generative_models.core import numerics, resolve
from artifex.generative_models.modalities.audio.annotations import annotated, with_annotations
from artifex.generative_models.modalities.audio.generators.partials import drawn

_MOST_DB = 200.0  # more than float32 tells apart, far from where its powers overflow


@annotated
def mixture(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    of: Sequence[Any] = ("sine", "noise"),
    snr_min: float = 0.0,
    snr_max: float = 20.0,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Mix the first of several audio types with all others, at a signal-to-noise ratio drawn uniformly.

    The ratio is one of mean powers, of the first to the sum of the others, which keep their levels among each other.
    Where the sum would exceed full scale it is turned down as a whole.

    Args:
        key: Decides the ratio, and each audio type's own draws.
        n_time_steps: Length in samples.
        sample_rate: Samples per second, Hz.
        of: At least two audio types as a tuple: names, ``(name, options)`` pairs, mappings with ``name`` and options, or
            functions; a mixture may be among them.
        snr_min: Least ratio, dB, at least -200.
        snr_max: Greatest ratio, dB, at most 200.

    Returns:
        The waveform, (n_time_steps,) float32.

        Annotations, for n audio types: ``snr_db``, infinite where there is nothing to compare with; ``stems``
        (n, n_time_steps), which add up to the waveform; ``gains`` (n,), by which each stem was multiplied; and what the
        i-th type knows under ``"i.name"``, such as ``"0.frequency"`` or, of a mixture in a mixture, ``"1.0.f0"``.
        Levels among these are those before the gain, but stems are as they are in the waveform.

    Raises:
        TypeError: When ``of`` is no sequence of audio types.
        LookupError: For an audio type that is unknown.
        ValueError: When there are fewer than two, ``snr_min`` exceeds ``snr_max``, or one is out of range.

    Example:
        >>> from artifex.generative_models.modalities.audio.annotations import with_annotations
        >>> of = (("sine", {"f_min": 400.0}), "noise")
        >>> audio, known = with_annotations(mixture)(jax.random.key(0), n_time_steps=800, sample_rate=16000, of=of)
        >>> audio.shape, known["stems"].shape, bool(0 <= known["snr_db"] < 20)
        ((800,), (2, 800), True)

    Reference:
        ``snr_db = 10 * log10(mean(stems[0] ** 2) / mean(sum(stems[1:]) ** 2))``.
    """
    if isinstance(of, str) or not isinstance(of, Sequence):
        raise TypeError(f"of is a tuple of audio types such as ('sine', 'noise'), got {of!r}")
    if len(of) < 2:
        raise ValueError(f"of must name at least two audio types, got {of!r}")
    parts = [with_annotations(resolve("audio_type", spec)) for spec in of]
    snr_key, *keys = jax.random.split(key, 1 + len(parts))
    snr_db = drawn(snr_key, "snr", snr_min, snr_max, minimum=-_MOST_DB, maximum=_MOST_DB, unit="dB")

    waves: list[jax.Array] = []
    known: dict[str, jax.Array] = {}
    for part, own_key in zip(parts, keys, strict=True):
        wave, own = part(own_key, n_time_steps=n_time_steps, sample_rate=sample_rate)
        known.update({f"{len(waves)}.{name}": value for name, value in own.items()})
        waves.append(wave)
    signal, rest = waves[0], jnp.stack(waves[1:]).sum(axis=0)
    signal_rms, rest_rms = _rms(signal), _rms(rest)
    comparable = (signal_rms > 0) & (rest_rms > 0)
    ratio = jnp.where(comparable, signal_rms, 1) / jnp.where(comparable, rest_rms, 1)
    gain = jnp.where(comparable, ratio * jnp.exp(snr_db * np.float32(-np.log(10) / 20)), 1)

    scale = 1 / jnp.maximum(jnp.max(jnp.abs(signal + gain * rest)), 1)
    gains = jnp.stack([scale, *[gain * scale] * (len(waves) - 1)])
    stems = jnp.stack([wave * gains[i] for i, wave in enumerate(waves)])
    for name in known:
        if name.split(".")[-1] == "stems":
            known[name] = known[name] * gains[int(name.split(".")[0])]
    alone = jnp.where(signal_rms > 0, np.inf, jnp.where(rest_rms > 0, -np.inf, np.nan))
    return stems.sum(axis=0), {
        "snr_db": jnp.where(comparable, snr_db, alone),
        "stems": stems,
        "gains": gains,
        **known,
    }


def _rms(wave: jax.Array) -> jax.Array:
    """Give the root of the mean power, of however small a wave: squares of what is below 1e-19 would vanish."""
    peak = jnp.max(jnp.abs(wave))
    scaled = wave / jnp.where(peak > 0, peak, 1)
    return peak * numerics.safe_sqrt(jnp.mean(scaled * scaled))
