"""Rooms around a waveform: impulse responses from a bank, and shoebox rooms by the image-source method."""

from __future__ import annotations

import itertools
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_choice, check_flag, check_integer, check_number, check_range
from artifex.generative_models.core.numerics import cos2pi, safe_sqrt, sin2pi, working_dtype
from artifex.generative_models.modalities.audio.annotations import annotated
from artifex.generative_models.modalities.audio.augmentations.banks import as_bank, default_responses
from artifex.generative_models.modalities.audio.augmentations.draws import Drawn, as_float, draw_uniform
from artifex.generative_models.modalities.audio.augmentations.noise import root_mean_square
from artifex.generative_models.modalities.audio.preprocessing.filters import biquad, fft_convolve, sosfilt

_Range = tuple[ArrayLike, ArrayLike] | jax.Array

KEEPS = ("rms", "peak")

_HALF = 40  # samples on either side of a reflection's arrival over which its windowed sinc goes
_BLOCK = 64  # samples; each reflection falls into one block of the response and reaches into the next two
_AT_ONCE = 64  # paths whose sincs are held together: more would not stay in the cache
_NEAREST = 0.1  # meters; what is nearer is no louder
# Hz: where reflections that all add up would build up what no room does; Allen and Berkley filter it out, too.
_HIGH_PASS = 50.0
_HEARD = 1e-4  # of the level that a response could give: less is the rounding of the FFT
_LEAST = 1e-18  # a level whose square float32 no longer holds


@annotated
def impulse_response(
    audio: ArrayLike,
    key: jax.Array,
    *,
    bank: ArrayLike | None = None,
    keep: str | None = "rms",
    compensate_delay: bool = False,
    sample_rate: int = 16000,
) -> Drawn:
    """Convolve a clip with a random impulse response; what rings on after the clip's end is cut off.

    Args:
        audio: One waveform (..., time), floating point.
        key: Decides which response, every one as likely.
        bank: Impulse responses (n, taps), for all channels alike, or (n, ..., taps) with axes that broadcast to the
            clip's leading axes, floating point, of the clip's sample rate, zeros after those that are shorter;
            ``sound_bank`` reads them. May be traced. None means eight tails of noise with reverberation times from
            0.1 to 0.4 seconds.
        keep: Which level of the clip, all its channels together, is kept: ``"rms"`` or ``"peak"``; None leaves it to
            the response.
        compensate_delay: Whether the clip is moved ahead by as many samples as the response's highest peak lies behind
            its start, so that the direct sound stays where it was.
        sample_rate: Samples per second, Hz, of the responses that stand in for a bank; static.

    Returns:
        The same shape and dtype, not clipped; NaN throughout for a clip that holds NaN or infinity. Its annotation is
        ``index``, which response.

    Raises:
        ValueError: For a scalar, an empty clip, a bank whose shape does not fit, or an unknown ``keep``.
        TypeError: For integers, which ``to_float`` makes floats.

    Example:
        >>> echo = impulse_response(jnp.array([1.0, 0, 0, 0]), jax.random.key(0), bank=[[1.0, 0.0, 0.5]], keep=None)
        >>> echo.round(3).tolist()
        [1.0, 0.0, 0.5, 0.0]

    Reference:
        ``audiomentations.ApplyImpulseResponse``, which sets the peak to 0.5;
        ``torch_audiomentations.ApplyImpulseResponse(compensate_for_propagation_delay=…)``.
    """
    numerics.check_key("impulse_response", key)
    waveform = as_float("impulse_response", audio)
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    _check_output(keep, compensate_delay)
    given = default_responses(int(sample_rate)) if bank is None else bank
    responses = as_bank("impulse_response", given, waveform.shape)
    changed: Drawn = _impulse_response(waveform, key, responses, keep, compensate_delay)
    return changed


@partial(jax.jit, static_argnames=("keep", "compensate_delay"))
def _impulse_response(
    waveform: jax.Array, key: jax.Array, bank: jax.Array, keep: str | None, compensate_delay: bool
) -> Drawn:
    working = working_dtype(waveform.dtype)
    index = numerics.randint(key, (), 0, bank.shape[0], jnp.int32)
    response = bank[index].astype(working)
    values = waveform.astype(working)
    if compensate_delay:
        height = jnp.max(jnp.abs(response).reshape(-1, response.shape[-1]), axis=0)
        place = jnp.argmax(height) + jnp.arange(values.shape[-1])
        wet = jnp.take(fft_convolve(values, response), place, axis=-1, mode="clip")
    else:
        wet = fft_convolve(values, response[..., : values.shape[-1]], "causal")
    return _leveled(values, wet, response, keep).astype(waveform.dtype), {"index": index}


@annotated
def room(
    audio: ArrayLike,
    key: jax.Array,
    width_range: _Range = (3.6, 5.6),
    depth_range: _Range = (3.6, 3.9),
    height_range: _Range = (2.4, 3.0),
    absorption_range: _Range = (0.075, 0.4),
    *,
    order: int = 3,
    margin: float = 0.1,
    duration: float = 0.1,
    keep: str | None = "rms",
    compensate_delay: bool = False,
    sample_rate: int = 16000,
) -> Drawn:
    """Let a clip sound in a random shoebox room; what rings on after the clip's end is cut off.

    Source and microphone are drawn uniformly from the room, independently of each other. Every wall takes the same
    share of the sound at all frequencies.

    Args:
        audio: One waveform (..., time), floating point; channels sound from one source to one microphone.
        key: Decides the room and the places in it.
        width_range: The least and the greatest width, meters above 0, uniform between them. May be traced.
        depth_range: The least and the greatest depth, meters above 0, uniform between them. May be traced.
        height_range: The least and the greatest height, meters above 0, uniform between them. May be traced.
        absorption_range: The least and the greatest share of the energy that a wall takes at each reflection, 0 to 1,
            uniform between them. May be traced.
        order: The most reflections on the way from source to microphone, at least 0: 3 makes 63 paths, 6 makes 377,
            12 makes 2 625, and the time it takes grows with them. So few paths are early reflections, and die away
            sooner than the room's reverberation does; a tail wants 12 or more, and a longer ``duration``. Static.
        margin: Meters from source and microphone to the nearest wall, at least 0.
        duration: Seconds of the room's response, above 0; what arrives later is left out. Static.
        keep: Which level of the clip, all its channels together, is kept: ``"rms"`` or ``"peak"``; None leaves it to
            the room, where the direct sound comes with a gain of 1 over the distance in meters.
        compensate_delay: Whether the direct sound stays where it was, or comes as late as it takes, 2.9 ms a meter.
        sample_rate: Samples per second, Hz; static.

    Returns:
        The same shape and dtype, not clipped; NaN throughout for a clip that holds NaN or infinity. Its annotations
        are ``width``, ``depth``, ``height``, ``absorption``, and the places ``source`` (3,) and ``microphone`` (3,) in
        meters from a lower corner.

    Raises:
        ValueError: For a scalar, an empty clip, a range that is out of order or of bounds, or a margin of half the
            room or more.
        TypeError: For integers, which ``to_float`` makes floats.

    Example:
        >>> clip = jnp.zeros(800).at[0].set(1.0)
        >>> echoes = room(clip, jax.random.key(0), order=1, keep=None, compensate_delay=True)
        >>> int((jnp.abs(echoes) > 0.05).sum()) > 5
        True

    Reference:
        Allen and Berkley, "Image method for efficiently simulating small-room acoustics", JASA 65(4), 1979;
        ``audiomentations.RoomSimulator``, whose microphone is 15 to 35 cm from the source.
    """
    numerics.check_key("room", key)
    waveform = as_float("room", audio)
    sizes = tuple(
        check_range(name, bounds, above=0, unit="meters")
        for name, bounds in (
            ("width_range", width_range),
            ("depth_range", depth_range),
            ("height_range", height_range),
        )
    )
    absorption = check_range("absorption_range", absorption_range, minimum=0, maximum=1)
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    check_integer("order", order, minimum=0, unit="reflections")
    check_number("margin", margin, minimum=0, unit="meters")
    check_number("duration", duration, above=0, unit="seconds")
    for (least, _), name in zip(sizes, ("width", "depth", "height"), strict=True):
        if not isinstance(least, jax.Array) and 2 * margin >= least:
            raise ValueError(f"margin must be below half the least {name}, {least / 2} meters, got {margin}")
    _check_output(keep, compensate_delay)
    n_taps = max(1, round(duration * sample_rate))
    changed: Drawn = _room(
        waveform, key, sizes, absorption, margin, int(sample_rate), n_taps, int(order), keep, compensate_delay
    )
    return changed


@partial(jax.jit, static_argnames=("sample_rate", "n_taps", "order", "keep", "compensate_delay"))
def _room(
    waveform: jax.Array,
    key: jax.Array,
    sizes: tuple[Any, ...],
    absorption_range: tuple[ArrayLike, ArrayLike],
    margin: float,
    sample_rate: int,
    n_taps: int,
    order: int,
    keep: str | None,
    compensate_delay: bool,
) -> Drawn:
    working = working_dtype(waveform.dtype)
    *own, absorption_key, source_key, microphone_key = jax.random.split(key, 6)
    size = jnp.stack(
        [draw_uniform(each, (low, high), dtype=working) for each, (low, high) in zip(own, sizes, strict=True)]
    )
    absorption = draw_uniform(absorption_key, absorption_range, dtype=working)
    free = size - 2 * margin
    source = margin + draw_uniform(source_key, (0, 1), (3,), working) * free
    microphone = margin + draw_uniform(microphone_key, (0, 1), (3,), working) * free
    start = _distance(source - microphone) if compensate_delay else jnp.zeros((), working)
    response = _response(size, source, microphone, absorption, start, sample_rate, n_taps, order, 343.0)
    if sample_rate > 2 * _HIGH_PASS:
        response = sosfilt(response, biquad("highpass", _HIGH_PASS, sample_rate=sample_rate)[None])
    values = waveform.astype(working)
    wet = fft_convolve(values, response[: values.shape[-1]], "causal")
    changed = _leveled(values, wet, response, keep).astype(waveform.dtype)
    width, depth, height = size
    drawn = {"width": width, "depth": depth, "height": height, "absorption": absorption}
    return changed, {**drawn, "source": source, "microphone": microphone}


def room_impulse_response(
    size: ArrayLike,
    source: ArrayLike,
    microphone: ArrayLike,
    absorption: ArrayLike,
    *,
    sample_rate: int,
    n_taps: int,
    order: int,
    speed_of_sound: float = 343.0,
) -> jax.Array:
    """Compute the impulse response of a shoebox room from the mirror images of its source.

    Each path arrives as a sinc under a Hann window of 81 samples, at a fraction of a sample where it does, with a gain
    of 1 over its length in meters, times the amplitude that each of its walls leaves; nearer than 0.1 m is no louder.
    Of a sinc that begins before the response the beginning is cut off. With enough reflections and absorption the
    sound above a few hundred Hz dies away as Eyring's formula says, to 15 % in a room that is nearly a cube; below, where
    all reflections add up, it stays longer, and below 50 Hz up to 17 dB louder; ``room`` filters that out.

    Args:
        size: Width, depth and height (3,), meters. May be traced, as the next three.
        source: Its place (3,), meters from a lower corner.
        microphone: Its place (3,), meters.
        absorption: The share of the energy that a wall takes at each reflection, 0 to 1: one number, or (6,), for the
            walls at width 0 and at full width, at depth 0 and full depth, the floor and the ceiling.
        sample_rate: Samples per second, Hz; static.
        n_taps: Length of the response in samples; what arrives later is left out. Static.
        order: The most reflections on a path, at least 0; static.
        speed_of_sound: Meters per second.

    Returns:
        (n_taps,) float32, or float64 where an argument is.

    Raises:
        ValueError: For a wrong shape, a size or an absorption out of range, or a place outside the room.
        TypeError: For something that is no number.

    Example:
        >>> h = room_impulse_response([5, 4, 3], [1, 1, 1], [1, 1, 3], 1, sample_rate=34300, n_taps=400, order=0)
        >>> int(h.argmax()), round(float(h.max()), 4)
        (200, 0.5)

    Reference:
        Allen and Berkley, "Image method for efficiently simulating small-room acoustics", JASA 65(4), 1979;
        Peterson, "Simulating the response of multiple microphones to a single acoustic source", JASA 80(5), 1986.
    """
    check_integer("sample_rate", sample_rate, minimum=1, unit="Hz")
    check_integer("n_taps", n_taps, minimum=1, unit="samples")
    check_integer("order", order, minimum=0, unit="reflections")
    check_number("speed_of_sound", speed_of_sound, above=0, unit="meters per second")
    places = {"size": size, "source": source, "microphone": microphone}
    arrays = {name: _as_array(value) for name, value in (*places.items(), ("absorption", absorption))}
    for name in places:
        if arrays[name].shape != (3,):
            raise ValueError(f"{name} is three numbers, meters, got shape {arrays[name].shape}")
    if arrays["absorption"].shape not in ((), (6,)):
        raise ValueError(
            f"absorption is one number, or one for each of 6 walls, got shape {arrays['absorption'].shape}"
        )
    _check_places(arrays)
    dtype = working_dtype(jnp.result_type(*(jnp.asarray(value) for value in arrays.values()), jnp.float32))
    response: jax.Array = _response(
        *(jnp.asarray(value, dtype) for value in arrays.values()),
        jnp.zeros((), dtype),
        int(sample_rate),
        int(n_taps),
        int(order),
        float(speed_of_sound),
    )
    return response


def _as_array(value: Any) -> Any:
    return value if isinstance(value, jax.Array) else np.asarray(value)


def _check_places(arrays: dict[str, Any]) -> None:
    """Raise for what is out of range among the arrays that are not traced."""
    known = {name: value for name, value in arrays.items() if isinstance(value, np.ndarray)}
    for name, value in known.items():
        if not (np.issubdtype(value.dtype, np.integer) or np.issubdtype(value.dtype, np.floating)):
            raise TypeError(f"{name} must be real numbers, got {value.dtype}")
        least, most = (0, 1) if name == "absorption" else (0, np.inf)
        if not (np.isfinite(value).all() and (value >= least).all() and (value <= most).all()):
            raise ValueError(f"{name} must be finite numbers from {least} to {most}, got {value.tolist()}")
    if "size" not in known:
        return
    if not known["size"].all():
        raise ValueError(f"size must be above 0 meters, got {known['size'].tolist()}")
    for name in ("source", "microphone"):
        if name in known and (known[name] > known["size"]).any():
            raise ValueError(
                f"{name} must lie within the room of {known['size'].tolist()} meters, got {known[name].tolist()}"
            )


def _check_output(keep: str | None, compensate_delay: bool) -> None:
    if keep is not None:
        check_choice("keep", keep, choices=KEEPS)
    check_flag("compensate_delay", compensate_delay)


def _leveled(dry: jax.Array, wet: jax.Array, response: jax.Array, keep: str | None) -> jax.Array:
    """Bring a clip that was convolved back to the level it had."""
    if keep is None:
        return wet
    level = root_mean_square if keep == "rms" else _peak
    before, after = level(dry), level(wet)
    gain = safe_sqrt(jnp.sum(jnp.square(response)) / (response.size // response.shape[-1]))
    gain = jnp.where(gain > 0, gain, 1)
    # A clip that ends before anything of it arrives holds nothing to bring to a level.
    silent = after <= jnp.maximum(_HEARD * gain * before, _LEAST)
    return wet * jnp.where(silent, 1 / gain, before / jnp.where(silent, 1, after))


def _peak(values: jax.Array) -> jax.Array:
    return jnp.max(jnp.abs(values))


@lru_cache(maxsize=16)
def _images(order: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Say where the images of a source lie.

    Returns:
        What the room's size and the source's place are multiplied by, (n, 3) each, and how often each of the six walls
        is met on the way, (n, 6).
    """
    mirrors = np.array(
        [mirror for mirror in itertools.product(range(-order, order + 1), repeat=3) if sum(map(abs, mirror)) <= order]
    )
    is_odd = mirrors % 2
    nearer, farther = (np.where(mirrors < 0, (-mirrors + up) // 2, (mirrors + 1 - up) // 2) for up in (1, 0))
    hits = np.stack([nearer, farther], axis=-1).reshape(-1, 6).astype(np.int32)
    return mirrors + is_odd, 1 - 2 * is_odd, hits


def _distance(away: jax.Array) -> jax.Array:
    return safe_sqrt(jnp.sum(jnp.square(away), axis=-1))


@partial(jax.jit, static_argnames=("sample_rate", "n_taps", "order", "speed_of_sound"))
def _response(
    size: jax.Array,
    source: jax.Array,
    microphone: jax.Array,
    absorption: jax.Array,
    start: jax.Array,
    sample_rate: int,
    n_taps: int,
    order: int,
    speed_of_sound: float,
) -> jax.Array:
    """The response from the moment on when sound has gone ``start`` meters."""
    dtype = size.dtype
    rooms, signs, hits = _images(order)
    images = rooms.astype(dtype) * size + signs.astype(dtype) * source
    distance = _distance(images - microphone)
    left = safe_sqrt(1 - jnp.broadcast_to(absorption, (6,)))
    powers = [jnp.ones_like(left)]
    for _ in range(int(hits.max(initial=0))):
        powers.append(powers[-1] * left)
    kept = jnp.stack(powers)[hits, np.arange(6, dtype=hits.dtype)]
    gain = jnp.prod(kept, axis=-1) / jnp.maximum(distance, _NEAREST)
    delay = jnp.maximum(distance - start, 0) * (sample_rate / speed_of_sound)

    n_blocks = -(-(n_taps + _HALF) // _BLOCK)
    if len(gain) <= _AT_ONCE:
        blocks = _in_blocks(delay, gain, n_blocks)
    else:
        n_parts = -(-len(gain) // _AT_ONCE)
        rest = (0, n_parts * _AT_ONCE - len(gain))
        delays, gains = (jnp.pad(each, rest).reshape(n_parts, _AT_ONCE) for each in (delay, gain))

        def add(sum_: jax.Array, part: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
            return sum_ + _in_blocks(part[0], part[1], n_blocks), None

        blocks, _ = lax.scan(add, jnp.zeros((n_blocks, 3 * _BLOCK), dtype), (delays, gains))
    pieces = blocks.reshape(n_blocks, 3, _BLOCK)
    together = sum(jnp.pad(pieces[:, i], ((i, 2 - i), (0, 0))) for i in range(3))
    response: jax.Array = jnp.reshape(together, -1)[_HALF : _HALF + n_taps]
    return response


def _in_blocks(delay: jax.Array, gain: jax.Array, n_blocks: int) -> jax.Array:
    """Add up sincs by the block in which each begins, (n_blocks, 3 * block), half a sinc late.

    A product of matrices, as scattering them sample by sample is slow on every device.
    """
    dtype = delay.dtype
    block = jnp.floor(delay / _BLOCK)
    since = delay - block * _BLOCK
    away = jnp.arange(3 * _BLOCK, dtype=dtype) - _HALF - since[:, None]
    there = away == 0
    sinc = jnp.where(there, 1, sin2pi(away / 2) / jnp.where(there, 1, np.pi * away))
    window = jnp.where(jnp.abs(away) < _HALF, 0.5 + 0.5 * cos2pi(away / (2 * _HALF)), 0)
    falls = jnp.where(block[:, None] == jnp.arange(n_blocks, dtype=dtype), gain[:, None], 0)
    return jnp.einsum("ib,ij->bj", falls, sinc * window, precision=lax.Precision.HIGHEST)
