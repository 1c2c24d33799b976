"""Mixtures of other audio types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from artifex.generative_models.core import numerics, resolve
from artifex.generative_models.modalities.audio.annotations import AnnotatedAudio, audio_type, with_annotations
from artifex.generative_models.modalities.audio.generators.parameters import check_sequence, draw_uniform

_MAX_SNR_DB = 200.0  # beyond the dynamic range of float32, and far from where powers overflow


def _annotated_mixture(
    key: jax.Array, n_time_steps: int, sample_rate: int, of: Sequence[Any], snr_min: float, snr_max: float
) -> AnnotatedAudio:
    check_sequence("of", of, "audio types such as ('sine', 'noise')")
    if len(of) < 2:
        raise ValueError(f"of must name at least two audio types, got {of!r}")
    generators = [with_annotations(resolve("audio_type", spec)) for spec in of]
    snr_key, *keys = jax.random.split(key, 1 + len(generators))
    snr_db = draw_uniform(snr_key, "snr", snr_min, snr_max, minimum=-_MAX_SNR_DB, maximum=_MAX_SNR_DB, unit="dB")

    waveforms: list[jax.Array] = []
    annotations: dict[str, jax.Array] = {}
    for i, (generator, generator_key) in enumerate(zip(generators, keys, strict=True)):
        waveform, own_annotations = generator(generator_key, n_time_steps=n_time_steps, sample_rate=sample_rate)
        annotations.update({f"{i}.{name}": value for name, value in own_annotations.items()})
        waveforms.append(waveform)
    signal, noise = waveforms[0], jnp.stack(waveforms[1:]).sum(axis=0)
    signal_rms, noise_rms = _scaled_rms(signal), _scaled_rms(noise)
    both_audible = (signal_rms > 0) & (noise_rms > 0)
    ratio = jnp.where(both_audible, signal_rms, 1) / jnp.where(both_audible, noise_rms, 1)
    noise_gain = jnp.where(both_audible, ratio * jnp.exp(snr_db * np.float32(-np.log(10) / 20)), 1)

    scale = 1 / jnp.maximum(jnp.max(jnp.abs(signal + noise_gain * noise)), 1)
    gains = jnp.stack([scale, *[noise_gain * scale] * (len(waveforms) - 1)])
    stems = jnp.stack([waveform * gains[i] for i, waveform in enumerate(waveforms)])
    for name in annotations:
        if name.split(".")[-1] == "stems":
            annotations[name] = annotations[name] * gains[int(name.split(".")[0])]
    one_silent = jnp.where(signal_rms > 0, np.inf, jnp.where(noise_rms > 0, -np.inf, np.nan))
    return stems.sum(axis=0), {
        "snr_db": jnp.where(both_audible, snr_db, one_silent),
        "stems": stems,
        "gains": gains,
        **annotations,
    }


@audio_type(annotated=_annotated_mixture)
def mixture(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    of: Sequence[Any] = ("sine", "noise"),
    snr_min: float = 0.0,
    snr_max: float = 20.0,
) -> jax.Array:
    """Mix the first of several audio types with the others at a random signal-to-noise ratio.

    The ratio is the mean power of the first waveform over the mean power of the sum of the others. The others keep
    their relative levels. A mixture that exceeds full scale is attenuated to a peak of 1.

    Args:
        key: Random key; determines the ratio and the waveforms.
        n_time_steps: Length in samples.
        sample_rate: Sample rate in Hz.
        of: At least two audio types as a tuple: names, ``(name, options)`` pairs, mappings with ``name`` and options, or
            functions. Mixtures may be nested.
        snr_min: Minimum ratio in dB, at least -200.
        snr_max: Maximum ratio in dB, at most 200.

    Returns:
        The waveform, (n_time_steps,) float32.

        Annotations, for n audio types: ``snr_db``, infinite or NaN when a waveform is silent; ``stems``
        (n, n_time_steps), which sum to the waveform; ``gains`` (n,), the gain of each stem; and the annotations of type
        i under ``"i.name"``, such as ``"0.frequency"``, or ``"1.0.f0"`` for a nested mixture. Annotated
        amplitudes exclude the gain of the mixture; annotated stems include it.

    Raises:
        TypeError: When ``of`` is not a sequence of audio types, or is empty.
        LookupError: When an audio type is unknown.
        ValueError: When there is only one audio type, or a ratio is out of range.

    Example:
        >>> from artifex.generative_models.modalities.audio.annotations import with_annotations
        >>> of = (("sine", {"f_min": 400.0}), "noise")
        >>> audio, annotations = with_annotations(mixture)(
        ...     jax.random.key(0), n_time_steps=800, sample_rate=16000, of=of
        ... )
        >>> audio.shape, annotations["stems"].shape, bool(0 <= annotations["snr_db"] < 20)
        ((800,), (2, 800), True)

    Reference:
        ``snr_db = 10 * log10(mean(stems[0] ** 2) / mean(sum(stems[1:]) ** 2))``.
    """
    return _annotated_mixture(key, n_time_steps, sample_rate, of, snr_min, snr_max)[0]


def _scaled_rms(waveform: jax.Array) -> jax.Array:
    """Compute the RMS of a waveform scaled to peak 1, because squares of values below 1e-19 underflow."""
    peak = jnp.max(jnp.abs(waveform))
    return peak * numerics.rms(waveform / jnp.where(peak > 0, peak, 1))
