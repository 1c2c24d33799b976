"""Banks of sounds: recordings read into one array, and the default banks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_integer, check_number, is_list, is_mapping
from artifex.generative_models.modalities.audio.augmentations.domain import as_float
from artifex.generative_models.modalities.audio.io import find_audio, read_audio

_NOISE_LENGTH = 32768
N_DEFAULT_RESPONSES = 8
_RT60 = np.linspace(0.1, 0.4, N_DEFAULT_RESPONSES)  # seconds
_DIRECT_DB = np.linspace(10.0, 0.0, N_DEFAULT_RESPONSES)  # level of the direct sound above that of the tail


def sound_bank(
    sounds: str | os.PathLike[str] | Iterable[str | os.PathLike[str] | ArrayLike | Mapping[str, object]],
    *,
    length: int | None = None,
    length_seconds: float | None = None,
    sample_rate: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Read sounds into one array: noise for ``add_background_noise``, impulse responses for ``impulse_response``.

    Args:
        sounds: A file, a folder, a glob pattern, or a list of them, read as mono and resampled; or a dataset, or another
            iterable of examples: arrays (time,), or dicts with an array under ``audio`` and optionally its length in
            samples under ``length``.
        length: Maximum number of samples of each sound, from its start; by default all.
        length_seconds: The same in seconds, instead of ``length``.
        sample_rate: Sample rate of the bank in Hz. Files are resampled to it; arrays must have it. A dict with a
            different rate under ``sample_rate`` raises.

    Returns:
        The sounds, float32 (n, length), zero-padded at the end; and the length of each in samples, int32 (n,).

    Raises:
        ValueError: If there are no sounds, both lengths are given, or a sound is empty, not (time,) or of another rate.
        FileNotFoundError: For a path that does not exist.
        AudioReadError: For an unreadable file.

    Example:
        >>> bank, lengths = sound_bank([np.ones(3), np.ones(5)], length=4, sample_rate=16000)
        >>> bank.shape, lengths.tolist()
        ((2, 4), [3, 4])
    """
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    if length_seconds is not None:
        if length is not None:
            raise ValueError(f"pass length or length_seconds, got {length} samples and {length_seconds} seconds")
        check_number("length_seconds", length_seconds, above=0, unit="seconds")
        length = max(1, round(length_seconds * sample_rate))
    if length is not None:
        check_integer("length", length, minimum=1, unit="samples")
    kept = [sound[:length] for sound in _sounds(sounds, length, sample_rate)]
    if not kept:
        raise ValueError("sound_bank takes at least one sound, got none")
    lengths = np.array([len(sound) for sound in kept], np.int32)
    bank = np.zeros((len(kept), length or int(lengths.max())), np.float32)
    for row, sound in zip(bank, kept, strict=True):
        row[: len(sound)] = sound
    return bank, lengths


def as_bank(name: str, bank: ArrayLike, shape: tuple[int, ...]) -> Array:
    """Validate a bank for clips of a shape and return it as an array.

    Args:
        name: The augmentation's name, for the message.
        bank: The bank (n, ..., time).
        shape: The clip's shape (..., time).

    Returns:
        The array.

    Raises:
        ValueError: For an empty bank, or one whose inner axes do not broadcast to the clip's leading axes.
        TypeError: For integers.

    Example:
        >>> as_bank("impulse_response", np.ones((4, 3, 80)), (2, 16000))
        Traceback (most recent call last):
        ValueError: impulse_response takes a bank (n, time), or (n, ..., time) with axes that broadcast to the clip's leading axes (2,), got shape (4, 3, 80)
    """
    given: object = bank
    if isinstance(given, tuple) and is_list(given) and [np.ndim(element) for element in given] == [2, 1]:
        raise ValueError(
            f"{name} takes the array of sounds as its bank, got a pair; unpack it: bank, lengths = sound_bank(…)"
        )
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


def as_lengths(name: str, lengths: ArrayLike, bank: Array) -> Array:
    """Validate the lengths of a bank's sounds, unless they are traced, and return them as an array.

    Args:
        name: The augmentation's name, for the message.
        lengths: Lengths in samples (n,).
        bank: The bank (n, ..., time).

    Returns:
        int32 (n,).

    Raises:
        TypeError: For lengths that are not integers.
        ValueError: For a different shape, or a length below 1 or above the bank's.

    Example:
        >>> as_lengths("add_background_noise", [3, 6], jnp.ones((2, 5)))
        Traceback (most recent call last):
        ValueError: add_background_noise takes lengths from 1 to 5 samples, got 3 to 6
    """
    count, longest = bank.shape[0], bank.shape[-1]
    given = lengths if isinstance(lengths, Array) else np.asarray(lengths)
    if not jnp.issubdtype(given.dtype, jnp.integer):
        raise TypeError(f"{name} takes lengths in samples, integers, got {given.dtype}")
    if given.shape != (count,):
        raise ValueError(f"{name} takes one length for each of the {count} sounds of its bank, got shape {given.shape}")
    if isinstance(given, np.ndarray) and not (given.min() >= 1 and given.max() <= longest):
        raise ValueError(f"{name} takes lengths from 1 to {longest} samples, got {given.min()} to {given.max()}")
    return jnp.clip(jnp.asarray(given, jnp.int32), 1, longest)


@lru_cache(maxsize=1)
def default_noises() -> np.ndarray:
    """Return the default bank of noise: white, pink and brown, each with a period of 32 768 samples.

    Returns:
        float32 (3, 32768), of RMS 0.1; deterministic.

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
    return _read_only(noises)


@lru_cache(maxsize=8)
def default_responses(sample_rate: int) -> np.ndarray:
    """Return the default bank of impulse responses: a direct sound followed by exponentially decaying noise.

    Args:
        sample_rate: Sample rate in Hz.

    Returns:
        float32 (8, 0.4 * sample_rate), with reverberation times from 0.1 to 0.4 seconds and a direct sound at sample 0
        that is 10 to 0 dB above the tail; deterministic.

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
    return _read_only(tails)


def _read_only(table: np.ndarray) -> np.ndarray:
    single = table.astype(np.float32)
    single.flags.writeable = False
    return single


def _sounds(sounds: Any, length: int | None, sample_rate: int) -> Iterable[np.ndarray]:
    if all(isinstance(each, str | os.PathLike) for each in (sounds if is_list(sounds) else [sounds])):
        # One sample more than needed, since the duration is rounded at the file's sample rate.
        duration = None if length is None else (length + 1) / sample_rate
        for path in find_audio(sounds) if sounds else []:
            yield read_audio(path, sample_rate=sample_rate, duration=duration)[0]
        return
    for index, example in enumerate(sounds):
        item = example if is_mapping(example) else {"audio": example}
        rate = item.get("sample_rate", sample_rate)
        if rate != sample_rate:
            raise ValueError(f"sound {index} has {rate} Hz, expected {sample_rate} Hz: resample it first")
        sound: np.ndarray = np.asarray(item["audio"])
        if sound.ndim != 1 or not sound.size or not np.issubdtype(sound.dtype, np.floating):
            raise ValueError(
                f"sound {index} must be floating-point samples (time,), at least one, got {sound.dtype} {sound.shape}"
            )
        yield sound[: item.get("length", len(sound))]
