"""Inversion of spectrograms, mel spectrograms and cepstral coefficients: reconstruction of waveforms."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_integer, check_number
from artifex.generative_models.core.numerics.batching import batch_local, map_chunks, on_one_device
from artifex.generative_models.extensions.audio_processing.spectral import framing, pipeline
from artifex.generative_models.extensions.audio_processing.spectral.cepstral import dct_table
from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig
from artifex.generative_models.extensions.audio_processing.spectral.filterbanks import config_filter_bank
from artifex.generative_models.extensions.audio_processing.spectral.fourier import frame_response

# Mel power below this (-180 dB) is treated as silence; gradients of quotients overflow far below it in float32.
_SILENCE = 1e-18

# Fraction of the full sum of squared windows below which the result of Griffin-Lim fades out. At poorly covered ends
# (a missing frame, or no padding) inconsistent phases would be amplified; noise would reach 8 times its original peak.
_MIN_COVERAGE = 0.3

# On a CPU this many frames are processed at a time: their spectra fit into the cache for all iterations.
_CHUNK_FRAMES = 512


def griffin_lim(
    magnitude: ArrayLike,
    config: SpectralConfig,
    *,
    length: int,
    n_iter: int = 32,
    momentum: float = 0.99,
    key: jax.Array | None = None,
) -> jax.Array:
    """Reconstruct waveforms from magnitudes with the fast Griffin-Lim algorithm.

    Args:
        magnitude: Magnitudes, (..., n_fft // 2 + 1, n_frames), real, with at most ``config.n_frames(length)`` frames.
        config: Configuration of the forward transform. Input scaling and pre-emphasis are inverted; the means that
            ``remove_dc`` subtracted are lost.
        length: Length of the result in samples.
        n_iter: Number of iterations, at least 0.
        momentum: Momentum of the iterations, 0 (the original algorithm) to 1, as in librosa and torchaudio.
        key: PRNG key for random initial phases. With leading axes, example i has the phases of
            ``jax.random.split(key, n)[i]``. None for initial phases of 0, which give worse results.

    Returns:
        Waveforms, (..., length), in the dtype of ``magnitude``. Without padding they fade out at both ends, where only
        the edge of a window contributes.

    Raises:
        TypeError: If the magnitudes are not real floating point, or ``key`` is not a single PRNG key.
        ValueError: If a shape does not match the configuration, or the window and hop leave samples uncovered.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> config = SpectralConfig(n_fft=256, n_mels=20)
        >>> griffin_lim(jnp.ones((129, 16)), config, length=1000, key=jax.random.key(0)).shape
        (1000,)

    Reference:
        Perraudin, Balazs and Søndergaard, "A fast Griffin-Lim algorithm", 2013; ``librosa.griffinlim``.
    """
    pipeline.check_config(config)
    magnitude = pipeline.check_spectrogram("magnitude", magnitude, rows="n_fft // 2 + 1", n_rows=config.n_freq)
    framing.check_invertible(config)
    check_integer("length", length, minimum=1, unit="samples")
    check_integer("n_iter", n_iter, minimum=0)
    check_number("momentum", momentum, minimum=0.0, maximum=1.0)
    if key is not None:
        numerics.check_key("griffin_lim", key)
    n_frames = magnitude.shape[-1]
    if n_frames > config.n_frames(length):
        raise ValueError(
            f"magnitude must have at most {config.n_frames(length)} frames for length {length} at hop_length "
            f"{config.hop}, got {n_frames}; raise length or drop frames"
        )
    return _griffin_lim(
        magnitude,
        key,
        config=config,
        length=length,
        n_iter=n_iter,
        momentum=float(momentum),
        single_device=on_one_device(magnitude),
    )


def mel_to_magnitude(mel: ArrayLike, config: SpectralConfig, *, n_iter: int = 30) -> jax.Array:
    """Approximate the magnitudes of a mel spectrogram by non-negative spectra with the same mel bands.

    Multiplicative updates start from a smooth spectrum and keep it positive; relative errors of loud and quiet bands
    have the same weight. Many spectra have the same mel bands: non-negative least squares (``scipy.optimize.nnls``)
    returns one that is 0 at most frequencies, this function a smooth one.

    Args:
        mel: Mel power (magnitude if ``config.power`` is 1), (..., n_mels, n_frames), real; negative values count as 0.
        config: Configuration of the mel spectrogram.
        n_iter: Number of updates, at least 0.

    Returns:
        Magnitudes, (..., n_fft // 2 + 1, n_frames), in the dtype of ``mel``; 0 at frequencies outside all bands.

    Raises:
        TypeError: If ``mel`` is not real floating point.
        ValueError: If the shape does not match the configuration.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> mel_to_magnitude(jnp.ones((20, 16)), SpectralConfig(n_fft=256, n_mels=20)).shape
        (129, 16)

    Reference:
        Lee and Seung, "Algorithms for non-negative matrix factorization", 2000: the updates for the divergence, with
        one factor fixed, raised to the power of 1.5; ``librosa.feature.inverse.mel_to_stft``.
    """
    pipeline.check_config(config)
    mel = pipeline.check_spectrogram("mel", mel, rows="n_mels", n_rows=config.n_mels)
    check_integer("n_iter", n_iter, minimum=0)
    return _mel_to_magnitude(mel, config=config, n_iter=n_iter, single_device=on_one_device(mel))


def log_mel_to_mel(levels: ArrayLike, config: SpectralConfig) -> jax.Array:
    """Invert ``log_mel_spectrogram``: convert log-mel levels to mel power.

    Args:
        levels: Levels, (..., n_mels, n_frames), real, as returned by ``log_mel_spectrogram``.
        config: Configuration of the log-mel spectrogram.

    Returns:
        Power (magnitude if ``config.power`` is 1), in the shape and dtype of ``levels``, exact except where ``amin`` or
        ``top_db`` clipped it; float16 overflows above 65504.

    Raises:
        TypeError: If the levels are not real floating point.
        ValueError: If the shape does not match the configuration.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> log_mel_to_mel(jnp.full((20, 16), -30.0), SpectralConfig(n_fft=256, n_mels=20))[0, 0].round(6).item()
        0.0010000000474974513

    Reference:
        ``librosa.db_to_power``.
    """
    pipeline.check_config(config)
    levels = pipeline.check_spectrogram("levels", levels, rows="n_mels", n_rows=config.n_mels)
    return _log_mel_to_mel(levels, config=config)


def mfcc_to_log_mel(cepstra: ArrayLike, config: SpectralConfig) -> jax.Array:
    """Invert ``mfcc``: convert cepstral coefficients to log-mel levels.

    The lifter is inverted, and missing coefficients count as 0.

    Args:
        cepstra: Coefficients, (..., at most n_mels, n_frames), real, as returned by ``mfcc``.
        config: Configuration of the coefficients.

    Returns:
        Levels, (..., n_mels, n_frames), in the dtype of ``cepstra``, exact if there are ``n_mels`` coefficients.

    Raises:
        TypeError: If the coefficients are not real floating point.
        ValueError: If the shape does not match the configuration, or ``config.use_energy`` is set: the energy has
            replaced the coefficient that contains the mean level.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> mfcc_to_log_mel(jnp.ones((13, 16)), SpectralConfig(n_fft=256, n_mels=20)).shape
        (20, 16)

    Reference:
        ``librosa.feature.inverse.mfcc_to_mel``, before its ``db_to_power``.
    """
    pipeline.check_config(config)
    cepstra = pipeline.check_spectrogram("cepstra", cepstra)
    if cepstra.shape[-2] > config.n_mels:
        raise ValueError(
            f"cepstra must be (..., at most n_mels = {config.n_mels}, time), got shape {cepstra.shape}; drop coefficients "
            f"or raise n_mels"
        )
    if config.use_energy:
        raise ValueError(
            "mfcc_to_log_mel cannot invert use_energy=True: the energy has replaced the coefficient that contains the "
            "mean level; compute the coefficients with use_energy=False"
        )
    return _mfcc_to_log_mel(cepstra, config=config)


def mel_to_audio(
    mel: ArrayLike, config: SpectralConfig, *, length: int, n_iter: int = 32, key: jax.Array | None = None
) -> jax.Array:
    """Reconstruct waveforms from a mel spectrogram, with ``mel_to_magnitude`` and ``griffin_lim``.

    Args:
        mel: Mel power (magnitude if ``config.power`` is 1), (..., n_mels, n_frames), real.
        config: Configuration of the mel spectrogram.
        length: Length of the result in samples.
        n_iter: Number of Griffin-Lim iterations, at least 0.
        key: PRNG key for random initial phases, as in ``griffin_lim``; None for phases of 0.

    Returns:
        Waveforms, (..., length), in the dtype of ``mel``.

    Raises:
        TypeError: If ``mel`` is not real floating point.
        ValueError: If a shape does not match the configuration, or the window and hop leave samples uncovered.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> mel_to_audio(jnp.ones((20, 16)), SpectralConfig(n_fft=256, n_mels=20), length=1000).shape
        (1000,)

    Reference:
        ``librosa.feature.inverse.mel_to_audio``.
    """
    mel, dtype = _as_working("mel", mel)
    magnitude = mel_to_magnitude(mel, config)
    return griffin_lim(magnitude, config, length=length, n_iter=n_iter, key=key).astype(dtype)


def log_mel_to_audio(
    levels: ArrayLike, config: SpectralConfig, *, length: int, n_iter: int = 32, key: jax.Array | None = None
) -> jax.Array:
    """Reconstruct waveforms from a log-mel spectrogram, with ``log_mel_to_mel`` and ``mel_to_audio``.

    Args:
        levels: Levels, (..., n_mels, n_frames), real, as returned by ``log_mel_spectrogram``.
        config: Configuration of the log-mel spectrogram.
        length: Length of the result in samples.
        n_iter: Number of Griffin-Lim iterations, at least 0.
        key: PRNG key for random initial phases, as in ``griffin_lim``; None for phases of 0.

    Returns:
        Waveforms, (..., length), in the dtype of ``levels``.

    Raises:
        TypeError: If the levels are not real floating point.
        ValueError: If a shape does not match the configuration, or the window and hop leave samples uncovered.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> log_mel_to_audio(jnp.zeros((20, 16)), SpectralConfig(n_fft=256, n_mels=20), length=1000).shape
        (1000,)

    Reference:
        ``librosa.feature.inverse.mel_to_audio(librosa.db_to_power(…))``.
    """
    levels, dtype = _as_working("levels", levels)
    mel = log_mel_to_mel(levels, config)
    return mel_to_audio(mel, config, length=length, n_iter=n_iter, key=key).astype(dtype)


def mfcc_to_audio(
    cepstra: ArrayLike, config: SpectralConfig, *, length: int, n_iter: int = 32, key: jax.Array | None = None
) -> jax.Array:
    """Reconstruct waveforms from cepstral coefficients, with ``mfcc_to_log_mel`` and ``log_mel_to_audio``.

    Args:
        cepstra: Coefficients, (..., at most n_mels, n_frames), real, as returned by ``mfcc``.
        config: Configuration of the coefficients.
        length: Length of the result in samples.
        n_iter: Number of Griffin-Lim iterations, at least 0.
        key: PRNG key for random initial phases, as in ``griffin_lim``; None for phases of 0.

    Returns:
        Waveforms, (..., length), in the dtype of ``cepstra``.

    Raises:
        TypeError: If the coefficients are not real floating point.
        ValueError: If a shape does not match the configuration, ``config.use_energy`` is set, or the window and hop
            leave samples uncovered.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> mfcc_to_audio(jnp.zeros((13, 16)), SpectralConfig(n_fft=256, n_mels=20), length=1000).shape
        (1000,)

    Reference:
        ``librosa.feature.inverse.mfcc_to_audio``.
    """
    cepstra, dtype = _as_working("cepstra", cepstra)
    levels = mfcc_to_log_mel(cepstra, config)
    return log_mel_to_audio(levels, config, length=length, n_iter=n_iter, key=key).astype(dtype)


def _as_working(name: str, given: ArrayLike) -> tuple[jax.Array, np.dtype]:
    """Convert an array to float32 or float64 for the intermediate steps; return it and its original dtype."""
    array = jnp.asarray(given)
    pipeline.check_real(name, array)
    return array.astype(numerics.working_dtype(array.dtype)), array.dtype


def _in_chunks(function: Callable[..., jax.Array], single_device: bool, *arrays: jax.Array) -> jax.Array:
    """Call a function of arrays (..., freq, n_frames), on a CPU with a few examples at a time."""
    lead, n_frames = arrays[0].shape[:-2], arrays[0].shape[-1]
    chunk_size = max(1, _CHUNK_FRAMES // n_frames)

    def by_chunks(*arrays: jax.Array) -> jax.Array:
        examples = tuple(array.reshape(-1, *array.shape[-2:]) for array in arrays)
        result: jax.Array = map_chunks(lambda chunk: function(*chunk), examples, chunk_size)
        return result.reshape(*lead, *result.shape[1:])

    if not (single_device or on_one_device(arrays[0])) or math.prod(lead) <= chunk_size:
        return function(*arrays)
    return numerics.platform_dependent(*arrays, cpu=by_chunks, default=function)


def _initial_phases(key: jax.Array | None, shape: tuple[int, ...], dtype: np.dtype[np.float64]) -> jax.Array:
    """Create unit complex numbers (..., n_freq, n_frames) of random phase, or of phase 0 without a key."""
    if key is None:
        cycles = jnp.zeros(shape, dtype)
    elif len(shape) == 2:
        cycles = numerics.uniform(key, shape, dtype)
    else:
        keys = jax.random.split(key, math.prod(shape[:-2]))
        cycles = jax.vmap(partial(numerics.uniform, shape=shape[-2:], dtype=dtype))(keys).reshape(shape)
    return lax.complex(numerics.cos2pi(cycles), numerics.sin2pi(cycles))


def _reciprocal(values: np.ndarray, minimum: float = 0.0) -> np.ndarray:
    """Return 1 / values where they are above a minimum, else 0."""
    present = values > minimum
    return np.where(present, 1 / np.where(present, values, 1), 0)


@numerics.jit(static_argnames=["config", "length", "n_iter", "momentum", "single_device"])
def _griffin_lim(
    magnitude: jax.Array,
    key: jax.Array | None,
    *,
    config: SpectralConfig,
    length: int,
    n_iter: int,
    momentum: float,
    single_device: bool,
) -> jax.Array:
    working = numerics.working_dtype(magnitude.dtype)
    n_frames = magnitude.shape[-1]
    acceleration = momentum / (1 + momentum)
    inverse_response = _reciprocal(np.abs(frame_response(config)))
    plain = config.without_frame_processing()
    to_audio = partial(framing.synthesize, config=plain, length=length, min_coverage=_MIN_COVERAGE)

    def reconstruct(magnitude: jax.Array, phases: jax.Array) -> jax.Array:
        target = magnitude.astype(working).swapaxes(-1, -2)
        target = target * framing.aligned(inverse_response, target)

        def step(state: tuple[jax.Array, jax.Array], _: None) -> tuple[tuple[jax.Array, jax.Array], None]:
            estimate, previous = state
            rebuilt = framing.compute_spectra(to_audio(estimate), plain, n_frames)
            # Real arithmetic, since XLA converts real factors of complex numbers to complex ones.
            real = rebuilt.real - acceleration * previous.real
            imag = rebuilt.imag - acceleration * previous.imag
            size = numerics.safe_sqrt(jnp.square(real) + jnp.square(imag))
            # The comparison is False for NaN, which propagates.
            silent = size <= framing.MIN_MAGNITUDE
            scale = jnp.where(silent, 0, target / jnp.where(silent, 1, size))
            return (lax.complex(scale * real, scale * imag), rebuilt), None

        phases = phases.swapaxes(-1, -2)
        initial = lax.complex(target * phases.real, target * phases.imag)
        (estimate, _), _ = lax.scan(step, (initial, jnp.zeros_like(initial)), length=n_iter)
        return to_audio(estimate).astype(magnitude.dtype)

    phases = _initial_phases(key, magnitude.shape, working)
    return batch_local(partial(_in_chunks, reconstruct, single_device), magnitude, phases, core=2)


@numerics.jit(static_argnames=["config", "n_iter", "single_device"])
def _mel_to_magnitude(mel: jax.Array, *, config: SpectralConfig, n_iter: int, single_device: bool) -> jax.Array:
    working = numerics.working_dtype(mel.dtype)
    table = config_filter_bank(config)
    filters = table.astype(working)
    frequency_weight, band_weight = _reciprocal(table.sum(axis=0)), _reciprocal(table.sum(axis=1))
    product = partial(jnp.matmul, precision=lax.Precision.HIGHEST)

    def approximate(mel: jax.Array) -> jax.Array:
        target = jnp.maximum(mel.astype(working), 0).swapaxes(-1, -2)
        spread = framing.aligned(frequency_weight, target)

        def step(values: jax.Array, _: None) -> tuple[jax.Array, None]:
            bands = product(values, filters.T)
            audible = bands > _SILENCE
            ratio = jnp.where(audible, target / jnp.where(audible, bands, 1), 0)
            factor = product(ratio, filters) * spread
            # The power of 1.5 converges in two thirds of the iterations.
            return values * factor * numerics.safe_sqrt(factor), None

        initial = product(target * framing.aligned(band_weight, target), filters) * spread
        values, _ = lax.scan(step, initial, length=n_iter)
        if config.power == 2:
            magnitude = numerics.safe_sqrt(jnp.maximum(values - config.power_offset, 0))
        elif config.power_offset:
            magnitude = numerics.safe_sqrt(jnp.maximum(jnp.square(values) - config.power_offset, 0))
        else:
            magnitude = values
        return magnitude.swapaxes(-1, -2).astype(mel.dtype)

    return batch_local(partial(_in_chunks, approximate, single_device), mel, core=2)


@numerics.jit(static_argnames=["config"])
def _log_mel_to_mel(levels: jax.Array, *, config: SpectralConfig) -> jax.Array:
    unscaled = levels.astype(numerics.working_dtype(levels.dtype)) / config.level_scale - config.level_offset
    # Natural logarithm of the power or magnitude per unit of the levels.
    ln_per_unit = {"db": math.log(10) * config.power / 20, "log10": math.log(10), "ln": 1.0}[config.log]
    return (max(config.ref, config.amin) * jnp.exp(ln_per_unit * unscaled)).astype(levels.dtype)


@numerics.jit(static_argnames=["config"])
def _mfcc_to_log_mel(cepstra: jax.Array, *, config: SpectralConfig) -> jax.Array:
    working = numerics.working_dtype(cepstra.dtype)
    table = dct_table(cepstra.shape[-2], config.n_mels, config.dct_norm, config.lifter)
    # The rows are orthogonal, so that the pseudo-inverse divides each by its squared norm. The norm is 0 where the
    # weight of the lifter is 0.
    inverse = (table * _reciprocal(np.sum(table**2, axis=1, keepdims=True), 1e-12)).astype(working)
    ordered = jnp.roll(cepstra, 1, axis=-2) if config.c0_last else cepstra
    levels = jnp.einsum("cm,...ct->...mt", inverse, ordered.astype(working), precision=lax.Precision.HIGHEST)
    return levels.astype(cepstra.dtype)
