"""Banks of sounds, on the host: recordings read into one array, and those that stand in where none is given."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_integer
from artifex.generative_models.modalities.audio.augmentations.draws import as_float
from artifex.generative_models.modalities.audio.io import find_audio, read_audio

_NOISE_LENGTH = 32768
_RT60 = np.linspace(0.1, 0.4, 8)  # seconds
_DIRECT_DB = np.linspace(10.0, 0.0, 8)  # of the direct sound above the tail


def sound_bank(
    sounds: str | os.PathLike[str] | Iterable[Any], *, length: int | None = None, sample_rate: int = 16000
) -> tuple[np.ndarray, np.ndarray]:
    """Read sounds into one array: noises for ``add_background_noise``, responses for ``impulse_response``.

    Args:
        sounds: A file, a folder, a pattern, or a list of them, read as mono and resampled; or a dataset, or any other
            iterable of examples: arrays (time,), or dicts with such an array under ``audio`` and, where it is padded,
            its length in samples under ``length``.
        length: Samples kept of each sound, from its start; None keeps the longest whole.
        sample_rate: Samples per second of the bank, Hz. Arrays are taken to have it; a dict that has another one under
            ``sample_rate`` is refused.

    Returns:
        The sounds, float32 (n, length), zeros after those that are shorter; and how many samples of each are sound,
        int32 (n,).

    Raises:
        ValueError: Without any sound, for one that is empty or not (time,), or of another rate.
        FileNotFoundError: For a path that is not there.
        AudioReadError: For a file that cannot be read.

    Example:
        >>> bank, lengths = sound_bank([np.ones(3), np.ones(5)], length=4)
        >>> bank.shape, lengths.tolist()
        ((2, 4), [3, 4])
    """
    if length is not None:
        check_integer("length", length, minimum=1, unit="samples")
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    kept = [sound[:length] for sound in _sounds(sounds, length, sample_rate)]
    if not kept:
        raise ValueError("sound_bank takes at least one sound, got none")
    lengths = np.array([len(sound) for sound in kept], np.int32)
    bank = np.zeros((len(kept), length or int(lengths.max())), np.float32)
    for row, sound in zip(bank, kept, strict=True):
        row[: len(sound)] = sound
    return bank, lengths


def as_bank(name: str, bank: ArrayLike, shape: tuple[int, ...]) -> jax.Array:
    """Return a bank as an array, or say why it is none for clips of this shape.

    Args:
        name: The augmentation's name, for the message.
        bank: What was given for a bank (n, ..., time).
        shape: The clip's shape, (..., time).

    Returns:
        The array.

    Raises:
        ValueError: For an empty bank, or one whose axes between do not broadcast to the clip's leading axes.
        TypeError: For integers.

    Example:
        >>> as_bank("impulse_response", np.ones((4, 3, 80)), (2, 16000))
        Traceback (most recent call last):
        ValueError: impulse_response takes a bank (n, time), or (n, ..., time) with axes that broadcast to the clip's leading axes (2,), got shape (4, 3, 80)
    """
    if isinstance(bank, tuple) and len(bank) == 2 and np.ndim(bank[1]) == 1 and np.ndim(bank[0]) == 2:
        raise ValueError(f"{name} takes the sounds alone as its bank: bank, lengths = sound_bank(…)")
    if isinstance(bank, str | os.PathLike):
        raise TypeError(f"{name} takes an array as its bank, got {bank!r}: sound_bank reads files into one")
    sounds = as_float(f"{name}: bank", bank)
    try:
        fits = bool(sounds.size) and np.broadcast_shapes(sounds.shape[1:-1], shape[:-1]) == shape[:-1]
    except ValueError:
        fits = False
    if sounds.ndim < 2 or not fits:
        raise ValueError(
            f"{name} takes a bank (n, time), or (n, ..., time) with axes that broadcast to the clip's leading axes "
            f"{shape[:-1]}, got shape {sounds.shape}"
        )
    return sounds


def as_lengths(name: str, lengths: ArrayLike, bank: jax.Array) -> jax.Array:
    """Return how many samples of each sound in a bank are sound, checked unless they are traced.

    Args:
        name: The augmentation's name, for the message.
        lengths: Samples (n,).
        bank: The bank (n, ..., time).

    Returns:
        int32 (n,).

    Raises:
        TypeError: For numbers that are no integers.
        ValueError: For another shape, or a length below 1 or above the bank's.

    Example:
        >>> as_lengths("add_background_noise", [3, 6], jnp.ones((2, 5)))
        Traceback (most recent call last):
        ValueError: add_background_noise takes lengths from 1 to 5 samples, got 3 to 6
    """
    count, longest = bank.shape[0], bank.shape[-1]
    given = lengths if isinstance(lengths, jax.Array) else np.asarray(lengths)
    if not jnp.issubdtype(given.dtype, jnp.integer):
        raise TypeError(f"{name} takes lengths in samples, integers, got {given.dtype}")
    if given.shape != (count,):
        raise ValueError(f"{name} takes one length for each of the {count} sounds of its bank, got shape {given.shape}")
    if isinstance(given, np.ndarray) and not (given.min() >= 1 and given.max() <= longest):
        raise ValueError(f"{name} takes lengths from 1 to {longest} samples, got {given.min()} to {given.max()}")
    return jnp.clip(jnp.asarray(given, jnp.int32), 1, longest)


@lru_cache(maxsize=1)
def default_noises() -> np.ndarray:
    """Return a small bank of noises: white, pink and brown, each of a period of 32 768 samples.

    Returns:
        float32 (3, 32768), of RMS 0.1; the same in every process.

    Example:
        >>> default_noises().shape
        (3, 32768)

    Reference:
        Timmer and König, "On generating power law noise" (1995).
    """
    draws = np.random.default_rng(0)
    frequency = np.arange(_NOISE_LENGTH // 2 + 1.0)
    frequency[0] = np.inf
    spectra = draws.standard_normal((3, frequency.size)) + 1j * draws.standard_normal((3, frequency.size))
    noises = np.fft.irfft(spectra * frequency ** -np.array([[0.0], [0.5], [1.0]]))
    noises *= 0.1 / np.sqrt(np.mean(noises**2, axis=-1, keepdims=True))
    return _fixed(noises)


@lru_cache(maxsize=8)
def default_responses(sample_rate: int) -> np.ndarray:
    """Return a small bank of impulse responses: a direct sound, and noise that dies away behind it.

    Args:
        sample_rate: Samples per second, Hz.

    Returns:
        float32 (8, 0.4 * sample_rate), with reverberation times from 0.1 to 0.4 seconds, and a direct sound at the
        first sample from 10 to 0 dB above the tail; the same in every process.

    Example:
        >>> default_responses(16000).shape
        (8, 6400)

    Reference:
        Moorer, "About this reverberation business", Computer Music Journal 3(2), 1979.
    """
    time = np.arange(max(2, round(_RT60[-1] * sample_rate))) / sample_rate
    tails = np.random.default_rng(0).standard_normal((len(_RT60), len(time))) * 10 ** (-3 * time / _RT60[:, None])
    tails[:, 0] = 0
    tails *= 10 ** (-_DIRECT_DB[:, None] / 20) / np.sqrt(np.sum(tails**2, axis=-1, keepdims=True))
    tails[:, 0] = 1
    return _fixed(tails)


def _fixed(table: np.ndarray) -> np.ndarray:
    single = table.astype(np.float32)
    single.flags.writeable = False
    return single


def _sounds(sounds: Any, length: int | None, sample_rate: int) -> Iterable[np.ndarray]:
    several = isinstance(sounds, list | tuple) and all(isinstance(each, str | os.PathLike) for each in sounds)
    if several or isinstance(sounds, str | os.PathLike):
        # A sample more than is kept: the span is rounded at the file's own rate.
        duration = None if length is None else (length + 1) / sample_rate
        for path in find_audio(sounds) if sounds else []:
            yield read_audio(path, sample_rate=sample_rate, duration=duration)[0]
        return
    for place, example in enumerate(sounds):
        yield _sound(place, example, sample_rate)


def _sound(place: int, example: Any, sample_rate: int) -> np.ndarray:
    known = example if isinstance(example, Mapping) else {"audio": example}
    rate = known.get("sample_rate", sample_rate)
    if rate != sample_rate:
        raise ValueError(f"sound {place} has {rate} Hz, expected {sample_rate} Hz: resample it first")
    sound = np.asarray(known["audio"])
    if sound.ndim != 1 or not sound.size or not np.issubdtype(sound.dtype, np.floating):
        raise ValueError(
            f"sound {place} must be floating-point samples (time,), at least one, got {sound.dtype} {sound.shape}"
        )
    return sound[: known.get("length", len(sound))]
