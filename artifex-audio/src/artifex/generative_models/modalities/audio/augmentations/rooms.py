"""Augmentations that simulate rooms: impulse responses from a bank, and shoebox rooms by the image-source method."""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_choice, check_flag, check_integer, check_number, check_range
from artifex.generative_models.core.numerics import cos2pi, jit, safe_sqrt, sin2pi, working_dtype
from artifex.generative_models.modalities.audio.annotations import Drawn, augmentation
from artifex.generative_models.modalities.audio.augmentations.banks import (
    N_DEFAULT_RESPONSES,
    as_bank,
    default_responses,
)
from artifex.generative_models.modalities.audio.augmentations.domain import checked_waveform
from artifex.generative_models.modalities.audio.augmentations.draws import Bounds, draw_integer, draw_uniform
from artifex.generative_models.modalities.audio.augmentations.noise import scaled_rms
from artifex.generative_models.modalities.audio.preprocessing.filters import biquad, fft_convolve, sosfilt

_KEEP = ("rms", "peak")
_SPEED_OF_SOUND = 343.0  # meters per second

_HALF = 40  # samples on either side of a reflection's arrival that its windowed sinc covers
_BLOCK = 64  # samples; each reflection starts in one block of the response and extends into the next two
_MAX_PATHS = 64  # paths whose sincs are computed at once; more would not fit in the cache
_MIN_DISTANCE = 0.1  # meters; a shorter path is not louder
# Cutoff in Hz of the filter that removes the low frequencies at which reflections add up in phase, as Allen and Berkley
# do.
_HIGH_PASS = 50.0
_MIN_RELATIVE_LEVEL = 1e-4  # relative to the level of the response; below it there is only rounding error of the FFT
_MIN_LEVEL = 1e-18  # its square is not representable in float32


def _draw_impulse_response(key: Array, shape: tuple[int, ...], *, bank: ArrayLike | None) -> Drawn:
    n_responses = N_DEFAULT_RESPONSES if bank is None else np.shape(bank)[0]
    return {"index": draw_integer(key, (0, n_responses - 1))}


@augmentation(draw=_draw_impulse_response)
def impulse_response(
    audio: ArrayLike,
    key: Array,
    *,
    bank: ArrayLike | None = None,
    keep: str | None = "rms",
    compensate_delay: bool = False,
    sample_rate: int | None = None,
) -> Array:
    """Convolve a clip with a random impulse response, truncated to the length of the clip.

    Args:
        audio: One waveform (..., time), floating point.
        key: PRNG key.
        bank: Impulse responses (n, taps), the same for all channels, or (n, ..., taps) with axes that broadcast to the
            clip's leading axes; floating point, at the clip's sample rate, shorter ones zero-padded at the end. Drawn
            uniformly. ``sound_bank`` reads them from files. May be traced. By default eight tails of decaying noise
            with reverberation times from 0.1 to 0.4 seconds.
        keep: Level of the clip, over all channels, that is restored: ``"rms"`` or ``"peak"``. None leaves the gain of
            the response.
        compensate_delay: Whether to shift the result so that the highest peak of the response is at time 0 and the
            direct sound keeps its position.
        sample_rate: Sample rate in Hz of the default responses; required without ``bank``, otherwise ignored. Static.

    Returns:
        The same shape and dtype, not clipped; NaN throughout for a clip that contains NaN or infinity. Annotation:
        ``index`` of the response.

    Raises:
        ValueError: For a scalar, an empty clip, a bank whose shape does not fit, or an unknown ``keep``.
        TypeError: For integer audio; convert it with ``to_float``. Without both ``bank`` and ``sample_rate``.

    Example:
        >>> echo = impulse_response(jnp.array([1.0, 0, 0, 0]), jax.random.key(0), bank=[[1.0, 0.0, 0.5]], keep=None)
        >>> echo.round(3).tolist()
        [1.0, 0.0, 0.5, 0.0]

    Reference:
        ``audiomentations.ApplyImpulseResponse``, which sets the peak to 0.5;
        ``torch_audiomentations.ApplyImpulseResponse(compensate_for_propagation_delay=…)``.
    """
    waveform = checked_waveform("impulse_response", audio, key)
    _check_output(keep, compensate_delay)
    if sample_rate is not None:
        check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    if bank is None:
        if sample_rate is None:
            raise TypeError(
                "impulse_response must be given a bank of impulse responses, or the sample_rate of the default ones, "
                "got neither; pass sample_rate in Hz"
            )
        bank = default_responses(int(sample_rate))
    return _impulse_response(waveform, key, as_bank("impulse_response", bank, waveform.shape), keep, compensate_delay)


@jit(static_argnames=["keep", "compensate_delay"])
def _impulse_response(waveform: Array, key: Array, bank: Array, keep: str | None, compensate_delay: bool) -> Array:
    response = bank[_draw_impulse_response(key, waveform.shape, bank=bank)["index"]]
    return _convolve(waveform, response, keep=keep, compensate_delay=compensate_delay)


def _convolve(audio: Array, response: Array, *, keep: str | None, compensate_delay: bool) -> Array:
    working = working_dtype(audio.dtype)
    values = audio.astype(working)
    response = response.astype(working)
    response = response.reshape(*[1] * (values.ndim - response.ndim), *response.shape)
    if compensate_delay:
        height = jnp.max(jnp.abs(response).reshape(-1, response.shape[-1]), axis=0)
        position = jnp.argmax(height).astype(jnp.int32) + jnp.arange(values.shape[-1], dtype=jnp.int32)
        wet = jnp.take(fft_convolve(values, response), position, axis=-1, mode="clip")
    else:
        wet = fft_convolve(values, response[..., : values.shape[-1]], "causal")
    return _restore_level(values, wet, response, keep).astype(audio.dtype)


def _draw_room(
    key: Array,
    shape: tuple[int, ...],
    *,
    width_range: Bounds,
    depth_range: Bounds,
    height_range: Bounds,
    absorption_range: Bounds,
    margin: float,
) -> Drawn:
    width_key, depth_key, height_key, absorption_key, source_key, microphone_key = jax.random.split(key, 6)
    width = draw_uniform(width_key, width_range)
    depth = draw_uniform(depth_key, depth_range)
    height = draw_uniform(height_key, height_range)
    free = jnp.stack([width, depth, height]) - 2 * margin
    return {
        "width": width,
        "depth": depth,
        "height": height,
        "absorption": draw_uniform(absorption_key, absorption_range),
        "source": margin + draw_uniform(source_key, (0, 1), (3,)) * free,
        "microphone": margin + draw_uniform(microphone_key, (0, 1), (3,)) * free,
    }


@augmentation(draw=_draw_room)
def room(
    audio: ArrayLike,
    key: Array,
    width_range: Bounds = (3.6, 5.6),
    depth_range: Bounds = (3.6, 3.9),
    height_range: Bounds = (2.4, 3.0),
    absorption_range: Bounds = (0.075, 0.4),
    *,
    order: int = 3,
    margin: float = 0.1,
    duration: float = 0.1,
    keep: str | None = "rms",
    compensate_delay: bool = False,
    sample_rate: int,
) -> Array:
    """Convolve a clip with the response of a random shoebox room, truncated to the length of the clip.

    The positions of source and microphone are drawn uniformly and independently. All walls absorb the same fraction of
    the energy at all frequencies.

    Args:
        audio: One waveform (..., time), floating point; channels share the source and the microphone.
        key: PRNG key.
        width_range: Width range (min, max) in meters, above 0; drawn uniformly. May be traced.
        depth_range: Depth range (min, max) in meters, above 0; drawn uniformly. May be traced.
        height_range: Height range (min, max) in meters, above 0; drawn uniformly. May be traced.
        absorption_range: Range (min, max) of the fraction of the energy that a wall absorbs at each reflection, 0 to 1;
            drawn uniformly. May be traced.
        order: Maximum number of reflections on a path from source to microphone, at least 0. The run time grows with
            the number of paths: 63 for order 3, 377 for order 6, 2 625 for order 12. Low orders contain early
            reflections only and decay faster than the room's reverberation; a full tail needs an order of 12 or more
            and a longer ``duration``. Static.
        margin: Minimum distance in meters of source and microphone from the walls, at least 0.
        duration: Length of the room's response in seconds, above 0; later reflections are ignored. Static.
        keep: Level of the clip, over all channels, that is restored: ``"rms"`` or ``"peak"``. None leaves the gain of
            the room, in which the direct sound has a gain of 1 over its distance in meters.
        compensate_delay: Whether the direct sound keeps its position. Otherwise it is delayed by 2.9 ms per meter.
        sample_rate: Sample rate in Hz; static.

    Returns:
        The same shape and dtype, not clipped; NaN throughout for a clip that contains NaN or infinity. Annotations:
        ``width``, ``depth``, ``height``, ``absorption``, and the positions ``source`` (3,) and ``microphone`` (3,) in
        meters from a lower corner.

    Raises:
        ValueError: For a scalar, an empty clip, an invalid range, or a margin of half the room or more.
        TypeError: For integer audio; convert it with ``to_float``.

    Example:
        >>> clip = jnp.zeros(800).at[0].set(1.0)
        >>> echoes = room(clip, jax.random.key(0), order=1, keep=None, compensate_delay=True, sample_rate=16000)
        >>> int((jnp.abs(echoes) > 0.05).sum()) > 5
        True

    Reference:
        Allen and Berkley, "Image method for efficiently simulating small-room acoustics", JASA 65(4), 1979;
        ``audiomentations.RoomSimulator``, whose microphone is 15 to 35 cm from the source.
    """
    waveform = checked_waveform("room", audio, key)
    ranges: dict[str, Any] = {
        "width_range": check_range("width_range", width_range, above=0, unit="meters"),
        "depth_range": check_range("depth_range", depth_range, above=0, unit="meters"),
        "height_range": check_range("height_range", height_range, above=0, unit="meters"),
        "absorption_range": check_range("absorption_range", absorption_range, minimum=0, maximum=1),
    }
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    check_integer("order", order, minimum=0, unit="reflections")
    check_number("margin", margin, minimum=0, unit="meters")
    check_number("duration", duration, above=0, unit="seconds")
    for name in ("width", "depth", "height"):
        smallest, _ = ranges[f"{name}_range"]
        if not isinstance(smallest, Array) and 2 * margin >= smallest:
            raise ValueError(f"margin must be below half the minimum {name}, {smallest / 2} meters, got {margin}")
    _check_output(keep, compensate_delay)
    return _room(
        waveform,
        key,
        ranges | {"margin": margin},
        sample_rate=int(sample_rate),
        n_taps=max(1, round(duration * sample_rate)),
        order=int(order),
        keep=keep,
        compensate_delay=compensate_delay,
    )


@jit(static_argnames=["sample_rate", "n_taps", "order", "keep", "compensate_delay"])
def _room(
    waveform: Array,
    key: Array,
    ranges: dict[str, Any],
    sample_rate: int,
    n_taps: int,
    order: int,
    keep: str | None,
    compensate_delay: bool,
) -> Array:
    drawn = _draw_room(key, waveform.shape, **ranges)
    working = working_dtype(waveform.dtype)
    size = jnp.stack([drawn["width"], drawn["depth"], drawn["height"]]).astype(working)
    source, microphone, absorption = (drawn[name].astype(working) for name in ("source", "microphone", "absorption"))
    start = _norm(source - microphone) if compensate_delay else jnp.zeros((), working)
    response = _room_response(size, source, microphone, absorption, start, sample_rate, n_taps, order, _SPEED_OF_SOUND)
    if sample_rate > 2 * _HIGH_PASS:
        response = sosfilt(response, biquad("highpass", _HIGH_PASS, sample_rate=sample_rate)[None])
    return _convolve(waveform, response, keep=keep, compensate_delay=False)


def room_impulse_response(
    size: ArrayLike,
    source: ArrayLike,
    microphone: ArrayLike,
    absorption: ArrayLike,
    *,
    sample_rate: int,
    order: int,
    n_taps: int | None = None,
    duration: float | None = None,
    speed_of_sound: float = _SPEED_OF_SOUND,
) -> Array:
    """Compute the impulse response of a shoebox room by the image-source method.

    Each path adds a sinc with a Hann window of 81 samples at its fractional delay. Its gain is 1 over its length in
    meters, but at most that at 0.1 m, times the reflection coefficient of each of its walls. A sinc that starts before
    the response is truncated. Above a few hundred Hz, with enough reflections and absorption, the reverberation time is
    that of Eyring's formula to 15 % in a room that is nearly a cube. At lower frequencies, where all reflections add up
    in phase, it is longer, and below 50 Hz the response is up to 17 dB louder; ``room`` filters these out.

    Args:
        size: Width, depth and height (3,) in meters. May be traced, like the next three.
        source: Position (3,) in meters from a lower corner.
        microphone: Position (3,) in meters from the same corner.
        absorption: Fraction of the energy that a wall absorbs at each reflection, 0 to 1: one number, or (6,) for the
            walls at width 0 and at full width, at depth 0 and at full depth, the floor and the ceiling.
        sample_rate: Sample rate in Hz; static.
        order: Maximum number of reflections on a path, at least 0; static.
        n_taps: Length of the response in samples; later reflections are ignored. Static. Pass this or ``duration``.
        duration: The length in seconds.
        speed_of_sound: Speed of sound in meters per second; static.

    Returns:
        (n_taps,), float32, or float64 if an argument is.

    Raises:
        ValueError: For a wrong shape, a size or an absorption out of range, or a position outside the room.
        TypeError: For values that are not numbers, and unless exactly one of ``n_taps`` and ``duration`` is given.

    Example:
        >>> h = room_impulse_response([5, 4, 3], [1, 1, 1], [1, 1, 3], 1, sample_rate=34300, n_taps=400, order=0)
        >>> int(h.argmax()), round(float(h.max()), 4)
        (200, 0.5)

    Reference:
        Allen and Berkley, "Image method for efficiently simulating small-room acoustics", JASA 65(4), 1979;
        Peterson, "Simulating the response of multiple microphones to a single acoustic source", JASA 80(5), 1986.
    """
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    if n_taps is None and duration is not None:
        check_number("duration", duration, above=0, unit="seconds")
        n_taps = max(1, round(duration * sample_rate))
    elif n_taps is None or duration is not None:
        raise TypeError(f"pass either n_taps or duration, got n_taps={n_taps}, duration={duration}")
    check_integer("n_taps", n_taps, minimum=1, unit="samples")
    check_integer("order", order, minimum=0, unit="reflections")
    check_number("speed_of_sound", speed_of_sound, above=0, unit="meters per second")
    given = {"size": size, "source": source, "microphone": microphone, "absorption": absorption}
    arrays = {name: value if isinstance(value, Array) else np.asarray(value) for name, value in given.items()}
    for name in ("size", "source", "microphone"):
        if arrays[name].shape != (3,):
            raise ValueError(f"{name} must be three numbers in meters, got shape {arrays[name].shape}")
    if arrays["absorption"].shape not in ((), (6,)):
        raise ValueError(
            f"absorption must be one number, or one for each of 6 walls, got shape {arrays['absorption'].shape}"
        )
    _check_geometry({name: value for name, value in arrays.items() if isinstance(value, np.ndarray)})
    is_double = any(jnp.asarray(value).dtype == np.float64 for value in arrays.values())
    dtype = working_dtype(np.float64 if is_double else np.float32)
    size, source, microphone, absorption = (jnp.asarray(value, dtype) for value in arrays.values())
    return _room_response(
        size,
        source,
        microphone,
        absorption,
        jnp.zeros((), dtype),
        int(sample_rate),
        int(n_taps),
        int(order),
        float(speed_of_sound),
    )


def _check_geometry(arrays: dict[str, np.ndarray]) -> None:
    """Raise for values out of range among the arrays that are not JAX arrays."""
    for name, value in arrays.items():
        if not (np.issubdtype(value.dtype, np.integer) or np.issubdtype(value.dtype, np.floating)):
            raise TypeError(f"{name} must be real numbers, got {value.dtype}")
        maximum = 1 if name == "absorption" else np.inf
        if not (np.isfinite(value).all() and (value >= 0).all() and (value <= maximum).all()):
            raise ValueError(f"{name} must be finite numbers from 0 to {maximum}, got {value.tolist()}")
    if "size" not in arrays:
        return
    if not arrays["size"].all():
        raise ValueError(f"size must be above 0 meters, got {arrays['size'].tolist()}")
    for name in ("source", "microphone"):
        if name in arrays and (arrays[name] > arrays["size"]).any():
            raise ValueError(
                f"{name} must be inside the room of {arrays['size'].tolist()} meters, got {arrays[name].tolist()}"
            )


def _check_output(keep: str | None, compensate_delay: bool) -> None:
    if keep is not None:
        check_choice("keep", keep, choices=_KEEP)
    check_flag("compensate_delay", compensate_delay)


def _restore_level(dry: Array, wet: Array, response: Array, keep: str | None) -> Array:
    """Scale a convolved clip to the RMS or peak that it had before."""
    if keep is None:
        return wet
    before, after = ((scaled_rms(x) if keep == "rms" else jnp.max(jnp.abs(x))) for x in (dry, wet))
    gain = safe_sqrt(jnp.sum(jnp.square(response)) / (response.size // response.shape[-1]))
    gain = jnp.where(gain > 0, gain, 1)
    # A clip that ends before the first arrival leaves only rounding error, which is not amplified.
    silent = after <= jnp.maximum(_MIN_RELATIVE_LEVEL * gain * before, _MIN_LEVEL)
    return wet * jnp.where(silent, 1 / gain, before / jnp.where(silent, 1, after))


def _norm(vector: Array) -> Array:
    return safe_sqrt(jnp.sum(jnp.square(vector), axis=-1))


@lru_cache(maxsize=16)
def _images(order: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the mirror images of a source up to an order.

    Returns:
        The factors (n, 3) of the room's size and of the source's position, whose sum is the position of an image; and
        the number of reflections (n, 6) at each wall.
    """
    mirrors = np.array(
        [mirror for mirror in itertools.product(range(-order, order + 1), repeat=3) if sum(map(abs, mirror)) <= order]
    )
    is_odd = mirrors % 2
    nearer, farther = (np.where(mirrors < 0, (-mirrors + up) // 2, (mirrors + 1 - up) // 2) for up in (1, 0))
    hits = np.stack([nearer, farther], axis=-1).reshape(-1, 6).astype(np.int32)
    return mirrors + is_odd, 1 - 2 * is_odd, hits


@jit(static_argnames=["sample_rate", "n_taps", "order", "speed_of_sound"])
def _room_response(
    size: Array,
    source: Array,
    microphone: Array,
    absorption: Array,
    start: Array,
    sample_rate: int,
    n_taps: int,
    order: int,
    speed_of_sound: float,
) -> Array:
    """Compute the response (n_taps,) from the time at which sound has traveled ``start`` meters."""
    dtype = size.dtype
    size_factors, source_factors, n_reflections = _images(order)
    images = size[None, :] * size_factors.astype(dtype) + source[None, :] * source_factors.astype(dtype)
    distance = _norm(images - microphone[None, :])
    coefficient = safe_sqrt(1 - jnp.broadcast_to(absorption, (6,)))
    powers = [jnp.ones_like(coefficient)]
    for _ in range(int(n_reflections.max(initial=0))):
        powers.append(powers[-1] * coefficient)
    reflected = jnp.stack(powers)[n_reflections, np.arange(6, dtype=np.int32)[None, :]]
    gain = jnp.prod(reflected, axis=-1) / jnp.maximum(distance, _MIN_DISTANCE)
    delay = jnp.maximum(distance - start, 0) * (sample_rate / speed_of_sound)

    n_blocks = -(-(n_taps + _HALF) // _BLOCK)
    if len(gain) <= _MAX_PATHS:
        blocks = _sinc_blocks(delay, gain, n_blocks)
    else:
        n_chunks = -(-len(gain) // _MAX_PATHS)
        padding = (0, n_chunks * _MAX_PATHS - len(gain))
        delays, gains = (jnp.pad(each, padding).reshape(n_chunks, _MAX_PATHS) for each in (delay, gain))

        def add(total: Array, chunk: tuple[Array, Array]) -> tuple[Array, None]:
            return total + _sinc_blocks(*chunk, n_blocks), None

        blocks, _ = lax.scan(add, jnp.zeros((n_blocks, 3 * _BLOCK), dtype), (delays, gains))
    pieces = blocks.reshape(n_blocks, 3, _BLOCK)
    padded = [jnp.pad(pieces[:, i], ((i, 2 - i), (0, 0))) for i in range(3)]
    overlapped = padded[0] + padded[1] + padded[2]
    return overlapped.reshape(-1)[_HALF : _HALF + n_taps]


def _sinc_blocks(delay: Array, gain: Array, n_blocks: int) -> Array:
    """Sum the windowed sincs that start in each block, (n_blocks, 3 * block), delayed by half a sinc.

    It is a matrix product, since scattering samples is slow on every device.
    """
    dtype = delay.dtype
    block = jnp.floor(delay / _BLOCK)
    within = delay - block * _BLOCK
    offset = jnp.arange(3 * _BLOCK, dtype=dtype)[None, :] - _HALF - within[:, None]
    is_zero = offset == 0
    sinc = jnp.where(is_zero, 1, sin2pi(offset / 2) / jnp.where(is_zero, 1, math.pi * offset))
    window = jnp.where(jnp.abs(offset) < _HALF, 0.5 + 0.5 * cos2pi(offset / (2 * _HALF)), 0)
    block_gain = jnp.where(block[:, None] == jnp.arange(n_blocks, dtype=dtype)[None, :], gain[:, None], 0)
    return jnp.einsum("ib,ij->bj", block_gain, sinc * window, precision=lax.Precision.HIGHEST)
