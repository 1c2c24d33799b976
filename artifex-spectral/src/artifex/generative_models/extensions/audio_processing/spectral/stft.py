"""The short-time Fourier transform, its inverse, levels in dB, and the phase vocoder."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from jax.typing import ArrayLike
from numpy.typing import NDArray

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_integer, check_number
from artifex.generative_models.extensions.audio_processing.spectral.windows import window_table

if TYPE_CHECKING:
    from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig

_Measured = TypeVar("_Measured")

PAD_MODES = ("constant", "reflect")

# Above this many frames over one sample, shifted blocks make a graph too large; a gather by index takes over.
_MOST_BLOCKS = 32

# A squared-window sum below this share of its peak amplifies rounding beyond use.
_LEAST_OVERLAP = 1e-10

# A magnitude below this has no phase to speak of: its square, which gradients divide by, vanishes in float32.
_LEAST_MAGNITUDE = 1e-18


def stft(audio: ArrayLike, config: SpectralConfig) -> jax.Array:
    """Return the complex short-time Fourier transform.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: The conventions.

    Returns:
        Spectra, (..., n_fft // 2 + 1, n_frames), complex64 (complex128 for float64), unscaled, phases
        relative to the start of each frame.

    Raises:
        TypeError: When the audio is not of a real floating dtype.
        ValueError: When it is empty, or uncentred and shorter than a frame.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> stft(jnp.ones(1000), SpectralConfig(n_fft=256, n_mels=20)).shape
        (129, 16)

    Reference:
        ``librosa.stft``.
    """
    return analyse(audio, config, _spectrum_of)


def magnitude_spectrogram(audio: ArrayLike, config: SpectralConfig) -> jax.Array:
    """Return the magnitudes of the short-time Fourier transform.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: The conventions.

    Returns:
        Magnitudes, (..., n_fft // 2 + 1, n_frames), in the audio's dtype.

    Raises:
        TypeError: When the audio is not of a real floating dtype.
        ValueError: When it is empty, or uncentred and shorter than a frame.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> float(magnitude_spectrogram(jnp.ones(1024), SpectralConfig(n_fft=256, n_mels=20))[0, 8])
        128.0

    Reference:
        ``abs(librosa.stft(…))``.
    """
    return analyse(audio, config, _magnitude_of)


def power_spectrogram(audio: ArrayLike, config: SpectralConfig) -> jax.Array:
    """Return the squared magnitudes of the short-time Fourier transform.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        config: The conventions.

    Returns:
        Powers, (..., n_fft // 2 + 1, n_frames), in the audio's dtype; float16 overflows above 65504.

    Raises:
        TypeError: When the audio is not of a real floating dtype.
        ValueError: When it is empty, or uncentred and shorter than a frame.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> float(power_spectrogram(jnp.ones(1024), SpectralConfig(n_fft=256, n_mels=20))[0, 8])
        16384.0

    Reference:
        ``abs(librosa.stft(…)) ** 2``.
    """
    return analyse(audio, config, _power_of)


def istft(spectrum: ArrayLike, config: SpectralConfig, *, length: int, min_coverage: float = 0.0) -> jax.Array:
    """Return the waveform of a short-time Fourier transform: overlap-add over the sum of squared windows.

    Args:
        spectrum: Spectra, (..., n_fft // 2 + 1, n_frames), complex.
        config: The conventions that made them.
        length: Length of the result in samples; what no frame reaches is 0.
        min_coverage: The share of the full squared-window sum below which the result fades instead of being
            divided by next to nothing, 0 to 1. At 0 a spectrum that was not changed comes back exactly, but a
            changed one is blown up where only the rim of a window reaches, as at the end of a clip whose last
            frame is missing.

    Returns:
        Waveforms, (..., length), real. Where no window reaches (the first sample of an uncentred Hann window)
        it is 0.

    Raises:
        TypeError: When the spectrum is not complex.
        ValueError: When its shape does not fit, or the window and hop leave samples that no window reaches.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> config = SpectralConfig(n_fft=256, n_mels=20)
        >>> tone = jnp.sin(jnp.arange(1000.0))
        >>> bool(abs(istft(stft(tone, config), config, length=1000) - tone).max() < 1e-5)
        True

    Reference:
        Griffin and Lim, "Signal estimation from modified short-time Fourier transform", 1984;
        ``librosa.istft``.
    """
    spectrum = jnp.asarray(spectrum)
    if not jnp.issubdtype(spectrum.dtype, np.complexfloating):
        raise TypeError(f"istft takes a complex spectrum, got {spectrum.dtype}; for magnitudes there is griffin_lim")
    check_spectrum("spectrum", spectrum, config.n_freq, "n_fft // 2 + 1")
    check_invertible(config)
    check_integer("length", length, minimum=1, unit="samples")
    check_number("min_coverage", min_coverage, minimum=0.0, maximum=1.0)
    audio: jax.Array = _istft(spectrum, config, length, float(min_coverage))
    return audio


def power_to_db(
    power: ArrayLike, *, ref: ArrayLike = 1.0, amin: float = 1e-10, top_db: float | None = 80.0
) -> jax.Array:
    """Return levels of powers in dB: ``10 log10(power / ref)``.

    Args:
        power: Powers, (..., freq, time) or (time,), non-negative.
        ref: The power that is 0 dB.
        amin: What takes the place of powers below it, above 0.
        top_db: How far below the loudest value of each example (its last two axes) levels may fall, dB; None
            for as far as they fall.

    Returns:
        Levels in dB, in the shape and dtype of ``power``.

    Raises:
        TypeError: When ``power`` is not of a real floating dtype.
        ValueError: When ``amin`` or ``top_db`` is out of range.

    Example:
        >>> power_to_db(jnp.asarray([1.0, 0.1, 0.0])).round(3).tolist()
        [0.0, -10.0, -80.0]

    Reference:
        ``librosa.power_to_db``, which takes the loudest value of the whole array instead.
    """
    power = jnp.asarray(power)
    check_real("power_to_db", power)
    check_number("amin", amin, above=0.0)
    if top_db is not None:
        check_number("top_db", top_db, minimum=0.0, unit="dB")
    level: jax.Array = _power_to_db(power, ref, amin, top_db)
    return level


def amplitude_to_db(
    amplitude: ArrayLike, *, ref: ArrayLike = 1.0, amin: float = 1e-5, top_db: float | None = 80.0
) -> jax.Array:
    """Return levels of amplitudes in dB: ``20 log10(amplitude / ref)``.

    Args:
        amplitude: Amplitudes, (..., freq, time) or (time,), non-negative.
        ref: The amplitude that is 0 dB.
        amin: What takes the place of amplitudes below it, above 0.
        top_db: How far below the loudest value of each example (its last two axes) levels may fall, dB; None
            for as far as they fall.

    Returns:
        Levels in dB, in the shape and dtype of ``amplitude``.

    Raises:
        TypeError: When ``amplitude`` is not of a real floating dtype.
        ValueError: When ``amin`` or ``top_db`` is out of range.

    Example:
        >>> amplitude_to_db(jnp.asarray([1.0, 0.1, 0.0])).round(3).tolist()
        [0.0, -20.0, -80.0]

    Reference:
        ``librosa.amplitude_to_db``, which takes the loudest value of the whole array instead.
    """
    amplitude = jnp.asarray(amplitude)
    check_real("amplitude_to_db", amplitude)
    check_number("amin", amin, above=0.0)
    if top_db is not None:
        check_number("top_db", top_db, minimum=0.0, unit="dB")
    level: jax.Array = _amplitude_to_db(amplitude, ref, amin, top_db)
    return level


def phase_vocoder(spectrum: ArrayLike, rate: ArrayLike, *, n_frames: int) -> jax.Array:
    """Play spectra faster or slower and keep their frequencies.

    Between two frames magnitudes are interpolated; phases advance by what they advanced between the two
    frames.

    Args:
        spectrum: Spectra, (..., freq, time), complex.
        rate: Speed, a scalar or one per example (broadcast against the leading axes), above 0; may be traced.
            Above 1 is faster.
        n_frames: Number of frames of the result; those past the end of the input are 0.

    Returns:
        Spectra, (..., freq, n_frames), complex, of which the first ``ceil(time / rate)`` frames are filled.

    Raises:
        TypeError: When the spectrum is not complex.
        ValueError: When its shape does not fit, or ``rate`` is a Python number that is not above 0.

    Example:
        >>> phase_vocoder(jnp.ones((5, 12), complex), 1.5, n_frames=8).shape
        (5, 8)

    Reference:
        Flanagan and Golden, "Phase vocoder", 1966; ``librosa.phase_vocoder``.
    """
    spectrum = jnp.asarray(spectrum)
    if not jnp.issubdtype(spectrum.dtype, np.complexfloating):
        raise TypeError(f"phase_vocoder takes a complex spectrum, got {spectrum.dtype}")
    check_spectrum("spectrum", spectrum)
    check_integer("n_frames", n_frames, minimum=1)
    stretched: jax.Array = _phase_vocoder(spectrum, _checked_rate(rate), n_frames)
    return stretched


def time_stretch(audio: ArrayLike, rate: ArrayLike, config: SpectralConfig, *, length: int) -> jax.Array:
    """Play audio faster or slower at the same pitch.

    Args:
        audio: Waveforms, (..., time), floating point, full scale 1.
        rate: Speed, a scalar or one per example (broadcast against the leading axes), above 0; may be traced.
            Above 1 is faster.
        config: The conventions of the transform in between.
        length: Length of the result in samples; the stretched audio of ``round(time / rate)`` samples is cut
            or padded with zeros to it.

    Returns:
        Waveforms, (..., length), in the audio's dtype.

    Raises:
        TypeError: When the audio is not of a real floating dtype.
        ValueError: When it is empty, or uncentred and shorter than a frame, when ``rate`` is a Python number
            that is not above 0, or when the window and hop leave samples that no window reaches.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> config = SpectralConfig(n_fft=256, n_mels=20)
        >>> time_stretch(jnp.sin(jnp.arange(1000.0)), 2.0, config, length=1000)[500:].any().item()
        False

    Reference:
        ``librosa.effects.time_stretch``.
    """
    audio = check_audio(audio, config)
    check_invertible(config)
    check_integer("length", length, minimum=1, unit="samples")
    stretched: jax.Array = _time_stretch(audio, _checked_rate(rate), config, length)
    return stretched


def analyse(audio: ArrayLike, config: SpectralConfig, measure: Callable[..., _Measured], *options: Any) -> _Measured:
    """Measure something on the spectra of audio: the one way from waveforms to features.

    Args:
        audio: Waveforms, (..., time), floating point.
        config: The conventions.
        measure: ``f(spectra, config, *options)`` of complex spectra (..., n_frames, n_freq), a function that
            is defined once (the compiled code is kept by it), to one array or several in a pytree, each with
            the same leading axes.
        *options: Hashable options of the measure.

    Returns:
        What the measure gives; real arrays in the audio's dtype.

    Raises:
        TypeError: When the audio is not of a real floating dtype.
        ValueError: When it is empty, or uncentred and shorter than a frame.

    Example:
        >>> from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
        >>> def peak(spectra, config):
        ...     return abs(spectra).max(axis=-1)
        >>> analyse(jnp.ones(1000), SpectralConfig(n_fft=256, n_mels=20), peak).shape
        (16,)
    """
    measured: _Measured = _analyse(check_audio(audio, config), config, measure, options)
    return measured


def spectra_of(audio: jax.Array, config: SpectralConfig) -> jax.Array:
    """Return the spectra (..., n_frames, n_freq) of audio (..., time) in a working dtype."""
    return jnp.fft.rfft(_windowed_frames(audio, config))


def audio_of(
    spectra: jax.Array,
    config: SpectralConfig,
    length: int,
    n_valid: jax.Array | None = None,
    *,
    min_coverage: float = 0.0,
) -> jax.Array:
    """Return the audio (..., length) of spectra (..., n_frames, n_freq).

    ``n_valid`` says how many frames there are in truth, the others being zero; it is a scalar. Below
    ``min_coverage`` of the full squared-window sum the audio fades.
    """
    window = padded_window(config)
    n_frames = spectra.shape[-2]
    frames = jnp.fft.irfft(spectra, n=config.n_fft)
    audio = _overlap_add(frames * window.astype(frames.dtype), config.hop)
    if n_valid is None:
        shape = (config.window_type, config.win, config.n_fft, config.hop, n_frames)
        inverse = _inverse_envelope(*shape, frames.dtype, min_coverage)
    else:
        squares = jnp.asarray(window**2, frames.dtype) * (jnp.arange(n_frames) < n_valid)[:, None]
        envelope = _overlap_add(squares, config.hop)
        least = _LEAST_OVERLAP * _steady_envelope(config.window_type, config.win, config.n_fft, config.hop).max()
        inverse = jnp.where(envelope > least, 1 / jnp.where(envelope > least, envelope, 1), 0)
    start = config.padding
    kept = (audio * inverse)[..., start : start + length]
    return jnp.pad(kept, [(0, 0)] * (kept.ndim - 1) + [(0, length - kept.shape[-1])])


def power_of(spectra: jax.Array) -> jax.Array:
    """Return squared magnitudes."""
    return jnp.square(spectra.real) + jnp.square(spectra.imag)


def decibels(power: jax.Array, ref: ArrayLike, amin: ArrayLike, top_db: float | None) -> jax.Array:
    """Return levels of powers (..., freq, time) in a working dtype, as ``power_to_db`` does."""
    amin = jnp.asarray(amin, power.dtype)
    level = 10 * jnp.log10(jnp.maximum(power, amin)) - 10 * jnp.log10(jnp.maximum(jnp.asarray(ref, power.dtype), amin))
    if top_db is None:
        return level
    loudest = level.max(axis=tuple(range(-min(2, level.ndim), 0)), keepdims=True)
    return jnp.maximum(level, loudest - top_db)


def phasor(z: jax.Array, at_zero: float) -> jax.Array:
    """Return ``z / |z|``, and ``at_zero`` with no gradient where ``z`` is next to nothing."""
    magnitude = numerics.safe_abs(z)
    heard = magnitude > _LEAST_MAGNITUDE
    return jnp.where(heard, z / jnp.where(heard, magnitude, 1), jnp.asarray(at_zero, z.dtype))


def batch_local(function: Callable[..., Any], first: jax.Array, *others: jax.Array, core: int) -> Any:
    """Call a function so that each device works on its own examples of a batch sharded over explicit axes.

    XLA gathers the whole batch on every device for the FFTs of a sharded one (JAX 0.10); under ``shard_map``
    it sees local ones. Over automatic axes nothing is known while tracing, and XLA decides.

    Args:
        function: Takes the arrays, gives a pytree of arrays with the same leading axes; examples do not
            depend on each other.
        first: (..., and ``core`` axes of one example); its sharding decides.
        *others: Arrays with the same leading axes.
        core: Number of axes of one example in ``first``.

    Returns:
        What the function returns.
    """
    sharding = jax.typeof(first).sharding
    lead = sharding.spec[: first.ndim - core]
    names = {name for entry in lead if entry is not None for name in (entry if isinstance(entry, tuple) else (entry,))}
    if not names or any(sharding.spec[first.ndim - core :]):
        return function(first, *others)
    spec = P(*lead)
    placed = NamedSharding(sharding.mesh, spec)
    mapped = jax.shard_map(
        function, mesh=sharding.mesh, in_specs=(spec,) * (1 + len(others)), out_specs=spec, axis_names=names
    )
    return mapped(first, *(jax.reshard(other, placed) for other in others))


def check_audio(audio: ArrayLike, config: SpectralConfig) -> jax.Array:
    """Return audio as an array, or raise when it is none that the configuration can analyse."""
    audio = jnp.asarray(audio)
    if not jnp.issubdtype(audio.dtype, np.floating):
        raise TypeError(
            f"audio has to be floating point with full scale 1, got {audio.dtype}"
            + (": scale it first, such as by audio / 32768 for int16" if audio.dtype.kind in "iu" else "")
        )
    if audio.ndim == 0 or audio.size == 0:
        raise ValueError(f"audio has to be (..., time) with at least one sample, got shape {audio.shape}")
    if config.n_frames(audio.shape[-1]) < 1:
        raise ValueError(
            f"audio of {audio.shape[-1]} samples is shorter than one frame of n_fft {config.n_fft} samples; "
            f"pad it or set center=True"
        )
    return audio


def check_real(what: str, array: jax.Array) -> None:
    """Raise unless an array is of a real floating dtype."""
    if not jnp.issubdtype(array.dtype, np.floating):
        raise TypeError(f"{what} takes an array of a real floating dtype, got {array.dtype}")


def check_spectrum(name: str, array: jax.Array, rows: int | None = None, what: str = "") -> None:
    """Raise unless an array is (..., rows, time), not empty."""
    if array.ndim < 2 or array.size == 0 or (rows is not None and array.shape[-2] != rows):
        expected = f"{what} = {rows}" if rows is not None else "freq"
        raise ValueError(f"{name} has to be (..., {expected}, time), not empty, got shape {array.shape}")


def check_invertible(config: SpectralConfig) -> None:
    """Raise when the windows of a steady row of frames do not reach every sample."""
    envelope = _steady_envelope(config.window_type, config.win, config.n_fft, config.hop)
    if envelope.min() <= _LEAST_OVERLAP * envelope.max():
        raise ValueError(
            f"the window {config.window_type!r} of {config.win} samples with hop_length {config.hop} cannot "
            f"be inverted: some samples are reached by no window (NOLA); shorten the hop, such as to "
            f"{max(1, config.win // 4)}"
        )


@lru_cache(maxsize=128)
def _padded(window: Any, win_length: int, n_fft: int) -> NDArray[np.float64]:
    before = (n_fft - win_length) // 2
    table = np.pad(window_table(window, win_length), (before, n_fft - win_length - before))
    table.flags.writeable = False
    return table


def padded_window(config: SpectralConfig) -> NDArray[np.float64]:
    """Return the window centred in n_fft samples, (n_fft,) float64."""
    return _padded(config.window_type, config.win, config.n_fft)


@lru_cache(maxsize=128)
def _envelope(window: Any, win_length: int, n_fft: int, hop: int, n_frames: int) -> NDArray[np.float64]:
    """The squared windows of some frames, added up: (n_frames - 1 + ceil(n_fft / hop), hop) blocks."""
    n_blocks = -(-n_fft // hop)
    pieces = np.pad(_padded(window, win_length, n_fft) ** 2, (0, n_blocks * hop - n_fft)).reshape(n_blocks, hop)
    total = np.zeros((n_frames - 1 + n_blocks, hop))
    for block, piece in enumerate(pieces):
        total[block : block + n_frames] += piece
    return total


def _steady_envelope(window: Any, win_length: int, n_fft: int, hop: int) -> NDArray[np.float64]:
    """One hop of the squared-window sum, far from the ends."""
    n_blocks = -(-n_fft // hop)
    steady: NDArray[np.float64] = _envelope(window, win_length, n_fft, hop, n_blocks)[n_blocks - 1]
    return steady


def _inverse_envelope(
    window: Any, win_length: int, n_fft: int, hop: int, n_frames: int, dtype: np.dtype[Any], min_coverage: float
) -> jax.Array:
    """One over the squared-window sum of all frames, from its two ends and the block that repeats between."""
    n_blocks = -(-n_fft // hop)
    few = _envelope(window, win_length, n_fft, hop, min(n_frames, 2 * n_blocks))
    full = _steady_envelope(window, win_length, n_fft, hop).max()
    reached = few > _LEAST_OVERLAP * full
    inverse = np.where(reached, 1 / np.maximum(np.where(reached, few, 1), min_coverage * full), 0)
    middle = n_blocks - 1
    repeated = jnp.broadcast_to(jnp.asarray(inverse[middle], dtype), (n_frames - 1 + n_blocks - len(few), hop))
    return jnp.concatenate(
        [jnp.asarray(inverse[: middle + 1], dtype), repeated, jnp.asarray(inverse[middle + 1 :], dtype)]
    ).reshape(-1)


def _windowed_frames(audio: jax.Array, config: SpectralConfig) -> jax.Array:
    """Cut (..., time) into frames (..., n_frames, n_fft) times the window."""
    hop, n_fft, pad = config.hop, config.n_fft, config.padding
    n_frames = config.n_frames(audio.shape[-1])
    n_blocks = -(-n_fft // hop)
    window = padded_window(config).astype(audio.dtype)
    if pad and config.pad_mode == "reflect":
        audio, pad = jnp.pad(audio, [(0, 0)] * (audio.ndim - 1) + [(pad, pad)], mode="reflect"), 0
    total = (n_frames - 1 + n_blocks) * hop
    batch = [(0, 0, 0)] * (audio.ndim - 1)
    audio = lax.pad(audio, jnp.zeros((), audio.dtype), [*batch, (pad, total - pad - audio.shape[-1], 0)])
    if n_blocks > _MOST_BLOCKS:
        return audio[..., hop * jnp.arange(n_frames)[:, None] + jnp.arange(n_fft)] * window
    blocks = audio.reshape(*audio.shape[:-1], -1, hop)
    pieces = []
    for block in range(n_blocks):
        piece = window[block * hop : (block + 1) * hop]
        pieces.append(blocks[..., block : block + n_frames, : len(piece)] * piece)
    return jnp.concatenate(pieces, axis=-1)


def _overlap_add(frames: jax.Array, hop: int) -> jax.Array:
    """Add frames (..., n_frames, n_fft) up at steps of a hop, to a whole number of hops."""
    n_frames, n_fft = frames.shape[-2:]
    n_blocks = -(-n_fft // hop)
    batch = [(0, 0)] * (frames.ndim - 2)
    if n_blocks > _MOST_BLOCKS:
        places = hop * jnp.arange(n_frames)[:, None] + jnp.arange(n_fft)
        silence = jnp.zeros((*frames.shape[:-2], (n_frames - 1 + n_blocks) * hop), frames.dtype)
        return silence.at[..., places].add(frames)
    blocks = jnp.pad(frames, [*batch, (0, 0), (0, n_blocks * hop - n_fft)])
    blocks = blocks.reshape(*frames.shape[:-1], n_blocks, hop)
    total = sum(
        jnp.pad(blocks[..., block, :], [*batch, (block, n_blocks - 1 - block), (0, 0)]) for block in range(n_blocks)
    )
    return jnp.asarray(total).reshape(*frames.shape[:-2], -1)


def _spectrum_of(spectra: jax.Array, config: SpectralConfig) -> jax.Array:
    return spectra.swapaxes(-1, -2)


def _magnitude_of(spectra: jax.Array, config: SpectralConfig) -> jax.Array:
    return numerics.safe_abs(spectra).swapaxes(-1, -2)


def _power_of(spectra: jax.Array, config: SpectralConfig) -> jax.Array:
    return power_of(spectra).swapaxes(-1, -2)


@partial(jax.jit, static_argnums=(1, 2, 3))
def _analyse(audio: jax.Array, config: SpectralConfig, measure: Callable[..., Any], options: tuple[Any, ...]) -> Any:
    working = numerics.working_dtype(audio.dtype)

    def local(audio: jax.Array) -> Any:
        measured = measure(spectra_of(audio.astype(working), config), config, *options)
        return jax.tree.map(lambda x: x.astype(audio.dtype) if x.dtype == working else x, measured)

    return batch_local(local, audio, core=1)


@partial(jax.jit, static_argnums=(1, 2, 3))
def _istft(spectrum: jax.Array, config: SpectralConfig, length: int, min_coverage: float) -> jax.Array:
    def local(spectrum: jax.Array) -> jax.Array:
        return audio_of(spectrum.swapaxes(-1, -2), config, length, min_coverage=min_coverage)

    audio: jax.Array = batch_local(local, spectrum, core=2)
    return audio


@partial(jax.jit, static_argnums=(3,))
def _power_to_db(power: jax.Array, ref: ArrayLike, amin: ArrayLike, top_db: float | None) -> jax.Array:
    return decibels(power.astype(numerics.working_dtype(power.dtype)), ref, amin, top_db).astype(power.dtype)


@partial(jax.jit, static_argnums=(3,))
def _amplitude_to_db(amplitude: jax.Array, ref: ArrayLike, amin: ArrayLike, top_db: float | None) -> jax.Array:
    working = numerics.working_dtype(amplitude.dtype)
    power = jnp.square(amplitude.astype(working))
    return decibels(power, jnp.square(ref), jnp.square(amin), top_db).astype(amplitude.dtype)


def _checked_rate(rate: ArrayLike) -> ArrayLike:
    if isinstance(rate, int | float):
        check_number("rate", rate, above=0.0)
    return rate


def _stretched(spectra: jax.Array, rate: jax.Array, n_frames: int) -> jax.Array:
    """The phase vocoder on one example (time, freq): (n_frames, freq)."""
    n_given = spectra.shape[0]
    real = spectra.real.dtype
    padded = jnp.pad(spectra, ((0, 2), (0, 0)))
    step = jnp.arange(n_frames, dtype=real) * rate.astype(real)
    place = jnp.clip(jnp.floor(step), 0, n_given).astype(np.int32)
    share = (step - jnp.floor(step))[:, None]
    magnitude = numerics.safe_abs(padded)
    unit = phasor(padded, 1.0)
    # A phase advance is a quotient of unit numbers, and the accumulated phase their product: no angle ever
    # grows.
    advance = unit[place + 1] * jnp.conj(unit[place])
    turns = jnp.concatenate([unit[:1], advance[:-1]])
    phase = phasor(lax.associative_scan(jnp.multiply, turns), 1.0)
    louds = (1 - share) * magnitude[place] + share * magnitude[place + 1]
    return jnp.where((step < n_given)[:, None], louds * phase, 0)


def _broadcast_rate(rate: ArrayLike, shape: tuple[int, ...], dtype: np.dtype[Any]) -> jax.Array:
    return jnp.broadcast_to(jnp.asarray(rate, dtype), shape)


@partial(jax.jit, static_argnums=(2,))
def _phase_vocoder(spectrum: jax.Array, rate: ArrayLike, n_frames: int) -> jax.Array:
    one = jnp.vectorize(partial(_stretched, n_frames=n_frames), signature="(t,f),()->(u,f)")

    def local(spectrum: jax.Array, rate: jax.Array) -> jax.Array:
        stretched: jax.Array = one(spectrum.swapaxes(-1, -2), rate).swapaxes(-1, -2)
        return stretched

    rates = _broadcast_rate(rate, spectrum.shape[:-2], spectrum.real.dtype)
    stretched: jax.Array = batch_local(local, spectrum, rates, core=2)
    return stretched


@partial(jax.jit, static_argnums=(2, 3))
def _time_stretch(audio: jax.Array, rate: ArrayLike, config: SpectralConfig, length: int) -> jax.Array:
    working = numerics.working_dtype(audio.dtype)
    n_frames = max(1, -(-(length + 2 * config.padding) // config.hop))

    def one(audio: jax.Array, rate: jax.Array) -> jax.Array:
        spectra = spectra_of(audio, config)
        n_valid = jnp.ceil(spectra.shape[0] / rate)
        stretched = audio_of(_stretched(spectra, rate, n_frames), config, length, n_valid)
        return jnp.where(jnp.arange(length) < jnp.round(audio.shape[-1] / rate), stretched, 0)

    def local(audio: jax.Array, rate: jax.Array) -> jax.Array:
        each = jnp.vectorize(one, signature="(n),()->(m)")
        stretched: jax.Array = each(audio.astype(working), rate)
        return stretched.astype(audio.dtype)

    stretched: jax.Array = batch_local(local, audio, _broadcast_rate(rate, audio.shape[:-1], working), core=1)
    return stretched
