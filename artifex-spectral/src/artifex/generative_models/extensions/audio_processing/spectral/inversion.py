"""From cepstra, levels, mel bands and magnitudes back to waveforms."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_integer, check_number
from artifex.generative_models.core.numerics.batching import batch_local, map_chunks, on_one_device
from artifex.generative_models.extensions.audio_processing.spectral.cepstral import cepstral_table
from artifex.generative_models.extensions.audio_processing.spectral.filterbanks import filters_of
from artifex.generative_models.extensions.audio_processing.spectral.framing import (
    audio_of,
    check_invertible,
    spectra_of,
)
from artifex.generative_models.extensions.audio_processing.spectral.pipeline import (
    check_real,
    check_spectrum,
)
from artifex.generative_models.extensions.audio_processing.spectral.stft import input_response

if TYPE_CHECKING:
    from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig

# Mel powers below this are silence: -180 dB, and far above where the gradient of a quotient overflows in
# float32.
_SILENCE = 1e-18

# A sum of spectra below this has no phase to speak of: its square, which gradients divide by, vanishes in float32.
_NO_PHASE = 1e-18

# At the ends of a clip that frames do not cover well (one left out, or no padding), dividing by less than this share
# of the full squared-window sum would blow up what phases that do not agree leave there: of noise to 8 times its peak.
_MIN_COVERAGE = 0.3

# So many frames are worked on at once on a CPU: their spectra stay in its cache through all iterations.
_FRAMES_AT_ONCE = 512


def griffin_lim(
    magnitude: ArrayLike,
    config: SpectralConfig,
    *,
    length: int,
    n_iter: int = 32,
    momentum: float = 0.99,
    key: jax.Array | None = None,
) -> jax.Array:
    """Find a waveform whose spectrum has given magnitudes: the fast Griffin-Lim algorithm.

    Args:
        magnitude: Magnitudes, (..., n_fft // 2 + 1, n_frames), real; at most as many frames as ``length``
            samples make.
        config: The conventions that made them; of what frames go through before the transform, the scaling and
            the pre-emphasis are undone, and the means that ``remove_dc`` took are lost.
        length: Length of the result in samples.
        n_iter: Number of iterations, at least 0.
        momentum: How far each iteration goes beyond the last, from 0 (the original algorithm) to 1, as librosa
            and torchaudio have it.
        key: Draws the phases to start from; with leading axes, example i (counted along them) starts as it
            would alone under ``jax.random.split(key, n)[i]``. None starts from phases of 0, which settle less
            well.

    Returns:
        Waveforms, (..., length), in the dtype of ``magnitude``. At the ends of a clip that is not padded,
        where only the rim of a window reaches, they fade.

    Raises:
        TypeError: When the magnitudes are not real.
        ValueError: When shapes do not fit, or the window and hop leave samples that no window reaches.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> config = SpectralConfig(n_fft=256, n_mels=20)
        >>> griffin_lim(jnp.ones((129, 16)), config, length=1000, key=jax.random.key(0)).shape
        (1000,)

    Reference:
        Perraudin, Balazs and Søndergaard, "A fast Griffin-Lim algorithm", 2013; ``librosa.griffinlim``.
    """
    magnitude = jnp.asarray(magnitude)
    check_real("griffin_lim", magnitude)
    check_spectrum("magnitude", magnitude, config.n_freq, "n_fft // 2 + 1")
    _check_synthesis(config, magnitude.shape[-1], length, n_iter)
    check_number("momentum", momentum, minimum=0.0, maximum=1.0)
    single_device = on_one_device(magnitude)
    audio: jax.Array = _griffin_lim(magnitude, config, length, n_iter, float(momentum), single_device, key)
    return audio


def mel_to_magnitude(mel: ArrayLike, config: SpectralConfig, *, n_iter: int = 30) -> jax.Array:
    """Find non-negative magnitudes that have given mel bands.

    It starts from spectra that are smooth between the centers of the bands and takes multiplicative steps, which
    keep them positive and treat loud and quiet bands alike. Of the many spectra that have the same bands, least
    squares (``scipy.optimize.nnls``) gives one with most frequencies at 0; this one stays smooth, as most sounds
    are.

    Args:
        mel: Powers in mel bands (magnitudes where ``config.power`` is 1), (..., n_mels, n_frames), real; what is
            negative counts as 0.
        config: The conventions that made them.
        n_iter: Number of steps, at least 0.

    Returns:
        Magnitudes, (..., n_fft // 2 + 1, n_frames), in the dtype of ``mel``; 0 at frequencies that no band
        reaches.

    Raises:
        TypeError: When the powers are not real.
        ValueError: When the shape does not fit.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> mel_to_magnitude(jnp.ones((20, 16)), SpectralConfig(n_fft=256, n_mels=20)).shape
        (129, 16)

    Reference:
        Lee and Seung, "Algorithms for non-negative matrix factorization", 2000 (the divergence), for one
        factor, the steps taken to the power 1.5.
    """
    mel = jnp.asarray(mel)
    check_real("mel_to_magnitude", mel)
    check_spectrum("mel", mel, config.n_mels, "n_mels")
    check_integer("n_iter", n_iter, minimum=0)
    magnitude: jax.Array = _mel_to_magnitude(mel, config, n_iter, on_one_device(mel))
    return magnitude


def log_mel_to_mel(levels: ArrayLike, config: SpectralConfig) -> jax.Array:
    """Return the powers in mel bands that have given levels: ``log_mel_spectrogram`` undone.

    Args:
        levels: Levels, (..., n_mels, n_frames), real, in the unit, to the reference, and with the offset and scale
            of ``config``.
        config: The conventions that made them.

    Returns:
        Powers (magnitudes where ``config.power`` is 1), in the shape and dtype of ``levels``. They are exact but
        where ``amin`` or ``top_db`` took the place of something quieter; float16 overflows above 65504.

    Raises:
        TypeError: When the levels are not real.
        ValueError: When the shape does not fit.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> log_mel_to_mel(jnp.full((20, 16), -30.0), SpectralConfig(n_fft=256, n_mels=20))[0, 0].round(6).item()
        0.0010000000474974513

    Reference:
        ``librosa.db_to_power``.
    """
    levels = jnp.asarray(levels)
    check_real("log_mel_to_mel", levels)
    check_spectrum("levels", levels, config.n_mels, "n_mels")
    mel: jax.Array = _log_mel_to_mel(levels, config)
    return mel


def mfcc_to_log_mel(cepstra: ArrayLike, config: SpectralConfig) -> jax.Array:
    """Return the smoothest mel levels that have given cepstral coefficients: ``mfcc`` undone.

    The lifter is divided out, and the coefficients that there are not count as 0.

    Args:
        cepstra: Coefficients, (..., at most n_mels, n_frames), real, as ``mfcc`` gives them.
        config: The conventions that made them.

    Returns:
        Levels, (..., n_mels, n_frames), as ``log_mel_spectrogram`` gives them, in the dtype of ``cepstra``; they
        are exact when there are ``n_mels`` coefficients.

    Raises:
        TypeError: When the coefficients are not real.
        ValueError: When the shape does not fit, or with ``use_energy``: the energy that took the place of the
            first coefficient does not say what the mean level was.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> mfcc_to_log_mel(jnp.ones((13, 16)), SpectralConfig(n_fft=256, n_mels=20)).shape
        (20, 16)

    Reference:
        ``librosa.feature.inverse.mfcc_to_mel``, before its ``db_to_power``.
    """
    cepstra = jnp.asarray(cepstra)
    check_real("mfcc_to_log_mel", cepstra)
    check_spectrum("cepstra", cepstra)
    if cepstra.shape[-2] > config.n_mels:
        raise ValueError(
            f"cepstra has to be (..., at most n_mels = {config.n_mels}, time), got shape {cepstra.shape}: there are no "
            f"more coefficients than mel bands"
        )
    if config.use_energy:
        raise ValueError(
            "mfcc_to_log_mel cannot undo use_energy=True: the energy took the place of the first coefficient, which "
            "holds the mean level; make the coefficients with use_energy=False"
        )
    levels: jax.Array = _mfcc_to_log_mel(cepstra, config)
    return levels


def mel_to_audio(
    mel: ArrayLike, config: SpectralConfig, *, length: int, n_iter: int = 32, key: jax.Array | None = None
) -> jax.Array:
    """Find a waveform that has given mel bands: ``mel_to_magnitude``, then ``griffin_lim``.

    Args:
        mel: Powers in mel bands (magnitudes where ``config.power`` is 1), (..., n_mels, n_frames), real.
        config: The conventions that made them.
        length: Length of the result in samples.
        n_iter: Number of Griffin-Lim iterations, at least 0.
        key: Draws the phases to start from, as ``griffin_lim`` has it.

    Returns:
        Waveforms, (..., length), in the dtype of ``mel``.

    Raises:
        TypeError: When the powers are not real.
        ValueError: When shapes do not fit, or the window and hop leave samples that no window reaches.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> mel_to_audio(jnp.ones((20, 16)), SpectralConfig(n_fft=256, n_mels=20), length=1000).shape
        (1000,)

    Reference:
        ``librosa.feature.inverse.mel_to_audio``.
    """
    mel, dtype = _working("mel_to_audio", mel)
    magnitude = mel_to_magnitude(mel, config)
    return griffin_lim(magnitude, config, length=length, n_iter=n_iter, key=key).astype(dtype)


def log_mel_to_audio(
    levels: ArrayLike, config: SpectralConfig, *, length: int, n_iter: int = 32, key: jax.Array | None = None
) -> jax.Array:
    """Find a waveform that has given mel levels: ``log_mel_to_mel``, then ``mel_to_audio``.

    Args:
        levels: Levels, (..., n_mels, n_frames), real, as ``log_mel_spectrogram`` gives them.
        config: The conventions that made them.
        length: Length of the result in samples.
        n_iter: Number of Griffin-Lim iterations, at least 0.
        key: Draws the phases to start from, as ``griffin_lim`` has it.

    Returns:
        Waveforms, (..., length), in the dtype of ``levels``.

    Raises:
        TypeError: When the levels are not real.
        ValueError: When shapes do not fit, or the window and hop leave samples that no window reaches.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> log_mel_to_audio(jnp.zeros((20, 16)), SpectralConfig(n_fft=256, n_mels=20), length=1000).shape
        (1000,)

    Reference:
        ``librosa.feature.inverse.mel_to_audio(librosa.db_to_power(…))``.
    """
    levels, dtype = _working("log_mel_to_audio", levels)
    mel = log_mel_to_mel(levels, config)
    return mel_to_audio(mel, config, length=length, n_iter=n_iter, key=key).astype(dtype)


def mfcc_to_audio(
    cepstra: ArrayLike, config: SpectralConfig, *, length: int, n_iter: int = 32, key: jax.Array | None = None
) -> jax.Array:
    """Find a waveform that has given cepstral coefficients: ``mfcc_to_log_mel``, then ``log_mel_to_audio``.

    Args:
        cepstra: Coefficients, (..., at most n_mels, n_frames), real, as ``mfcc`` gives them.
        config: The conventions that made them.
        length: Length of the result in samples.
        n_iter: Number of Griffin-Lim iterations, at least 0.
        key: Draws the phases to start from, as ``griffin_lim`` has it.

    Returns:
        Waveforms, (..., length), in the dtype of ``cepstra``.

    Raises:
        TypeError: When the coefficients are not real.
        ValueError: When shapes do not fit, with ``use_energy``, or when the window and hop leave samples that no
            window reaches.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> mfcc_to_audio(jnp.zeros((13, 16)), SpectralConfig(n_fft=256, n_mels=20), length=1000).shape
        (1000,)

    Reference:
        ``librosa.feature.inverse.mfcc_to_audio``.
    """
    cepstra, dtype = _working("mfcc_to_audio", cepstra)
    levels = mfcc_to_log_mel(cepstra, config)
    return log_mel_to_audio(levels, config, length=length, n_iter=n_iter, key=key).astype(dtype)


def _working(what: str, given: ArrayLike) -> tuple[jax.Array, np.dtype]:
    """An array in the dtype of the computation, in which all steps in between stay, and its own dtype."""
    array = jnp.asarray(given)
    check_real(what, array)
    return array.astype(numerics.working_dtype(array.dtype)), array.dtype


def _few_rows_at_once(function: Callable[..., jax.Array], single_device: bool, *arrays: jax.Array) -> jax.Array:
    """Call a function of arrays (..., freq, n_frames), on a CPU for a few examples after another."""
    lead, n_frames = arrays[0].shape[:-2], arrays[0].shape[-1]
    chunk_size = max(1, _FRAMES_AT_ONCE // n_frames)

    def in_parts(*arrays: jax.Array) -> jax.Array:
        rows = tuple(array.reshape(-1, *array.shape[-2:]) for array in arrays)
        found: jax.Array = map_chunks(lambda some: function(*some), rows, chunk_size)
        return found.reshape(*lead, *found.shape[1:])

    if not (single_device or on_one_device(arrays[0])) or math.prod(lead) <= chunk_size:
        return function(*arrays)
    found: jax.Array = lax.platform_dependent(*arrays, cpu=in_parts, default=function)
    return found


def _check_synthesis(config: SpectralConfig, n_frames: int, length: int, n_iter: int) -> None:
    check_invertible(config)
    check_integer("length", length, minimum=1, unit="samples")
    check_integer("n_iter", n_iter, minimum=0)
    if n_frames > config.n_frames(length):
        raise ValueError(
            f"{n_frames} frames are more than the {config.n_frames(length)} that length {length} makes at "
            f"hop_length {config.hop}; lengthen it or leave frames out"
        )


def _first_phases(key: jax.Array | None, shape: tuple[int, ...], dtype: np.dtype[np.float64]) -> jax.Array:
    """Unit complex numbers (..., n_freq, n_frames) to start from."""
    if key is None:
        cycles = jnp.zeros(shape, dtype)
    elif len(shape) == 2:
        cycles = numerics.uniform(key, shape, dtype)
    else:
        keys = jax.random.split(key, math.prod(shape[:-2]))
        cycles = jax.vmap(lambda k: numerics.uniform(k, shape[-2:], dtype))(keys).reshape(shape)
    return lax.complex(numerics.cos2pi(cycles), numerics.sin2pi(cycles))


@partial(jax.jit, static_argnums=(1, 2, 3, 4, 5))
def _griffin_lim(
    magnitude: jax.Array,
    config: SpectralConfig,
    length: int,
    n_iter: int,
    momentum: float,
    single_device: bool,
    key: jax.Array | None,
) -> jax.Array:
    working = numerics.working_dtype(magnitude.dtype)
    n_frames = magnitude.shape[-1]
    share = momentum / (1 + momentum)
    response = np.abs(input_response(config))
    undo = np.where(response > 0, 1 / np.where(response > 0, response, 1), 0).astype(working)
    plain = config.plain
    to_audio = partial(audio_of, config=plain, length=length, min_coverage=_MIN_COVERAGE)

    def found(magnitude: jax.Array, phases: jax.Array) -> jax.Array:
        target = magnitude.astype(working).swapaxes(-1, -2) * undo

        def step(_: int, state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            estimate, previous = state
            rebuilt = spectra_of(to_audio(estimate), plain, n_frames)
            # In real numbers, because XLA multiplies and divides a complex by a real one as two complex ones.
            real = rebuilt.real - share * previous.real
            imag = rebuilt.imag - share * previous.imag
            size = numerics.safe_sqrt(jnp.square(real) + jnp.square(imag))
            # Written so that NaN stays NaN.
            silent = size <= _NO_PHASE
            scale = jnp.where(silent, 0, target / jnp.where(silent, 1, size))
            return lax.complex(scale * real, scale * imag), rebuilt

        first = target * phases.swapaxes(-1, -2)
        estimate, _ = lax.fori_loop(0, n_iter, step, (first, jnp.zeros_like(first)))
        return to_audio(estimate).astype(magnitude.dtype)

    local = partial(_few_rows_at_once, found, single_device)
    audio: jax.Array = batch_local(local, magnitude, _first_phases(key, magnitude.shape, working), core=2)
    return audio


@partial(jax.jit, static_argnums=(1, 2, 3))
def _mel_to_magnitude(mel: jax.Array, config: SpectralConfig, n_iter: int, single_device: bool) -> jax.Array:
    working = numerics.working_dtype(mel.dtype)
    table = filters_of(config)
    filters = table.astype(working)
    row_sums, column_sums = table.sum(axis=1), table.sum(axis=0)
    # One over the weight that reaches each frequency, and 0 where none does.
    spread = np.where(column_sums > 0, 1 / np.where(column_sums > 0, column_sums, 1), 0).astype(working)
    level = np.where(row_sums > 0, 1 / np.where(row_sums > 0, row_sums, 1), 0).astype(working)
    product = partial(jnp.matmul, precision=lax.Precision.HIGHEST)

    def found(mel: jax.Array) -> jax.Array:
        target = jnp.maximum(mel.astype(working), 0).swapaxes(-1, -2)

        def step(_: int, values: jax.Array) -> jax.Array:
            reached = product(values, filters.T)
            ratio = jnp.where(reached > _SILENCE, target / jnp.where(reached > _SILENCE, reached, 1), 0)
            factor = product(ratio, filters) * spread
            # To the power 1.5, which settles in two thirds of the steps.
            return values * factor * numerics.safe_sqrt(factor)

        values = lax.fori_loop(0, n_iter, step, product(target * level, filters) * spread)
        if config.power == 2:
            magnitude = numerics.safe_sqrt(jnp.maximum(values - config.power_offset, 0))
        elif config.power_offset:
            magnitude = numerics.safe_sqrt(jnp.maximum(jnp.square(values) - config.power_offset, 0))
        else:
            magnitude = values
        return magnitude.swapaxes(-1, -2).astype(mel.dtype)

    magnitude: jax.Array = batch_local(partial(_few_rows_at_once, found, single_device), mel, core=2)
    return magnitude


@partial(jax.jit, static_argnums=(1,))
def _log_mel_to_mel(levels: jax.Array, config: SpectralConfig) -> jax.Array:
    exact = levels.astype(numerics.working_dtype(levels.dtype)) / config.level_scale - config.level_offset
    # How much the natural logarithm grows with a level.
    growth = {"db": math.log(10) * config.power / 20, "log10": math.log(10), "ln": 1.0}[config.log]
    return (max(config.ref, config.amin) * jnp.exp(growth * exact)).astype(levels.dtype)


@partial(jax.jit, static_argnums=(1,))
def _mfcc_to_log_mel(cepstra: jax.Array, config: SpectralConfig) -> jax.Array:
    working = numerics.working_dtype(cepstra.dtype)
    table = cepstral_table(cepstra.shape[-2], config.n_mels, config.dct_norm, config.lifter)
    # The rows are orthogonal, so that the pseudo-inverse divides each by its square; a lifter may have made one 0.
    squares = np.sum(table**2, axis=1, keepdims=True)
    inverse = np.where(squares > 1e-12, table / np.where(squares > 1e-12, squares, 1), 0).astype(working)
    ordered = jnp.roll(cepstra, 1, axis=-2) if config.c0_last else cepstra
    levels = jnp.einsum("cm,...ct->...mt", inverse, ordered.astype(working), precision=lax.Precision.HIGHEST)
    return levels.astype(cepstra.dtype)
