"""Random draws, sines, oscillator phases and safe roots: the arithmetic beneath everything with an array."""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import ParamSpec, TypeGuard, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike, DTypeLike

Shape = int | Sequence[int]
P = ParamSpec("P")
R = TypeVar("R")


def jit(*, static_argnames: Sequence[str] = ()) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that compiles a function as ``jax.jit`` does and keeps its type.

    Args:
        static_argnames: Names of the arguments that are static.

    Returns:
        The decorator.

    Example:
        >>> @jit(static_argnames=["n_samples"])
        ... def ramp(gain: ArrayLike, n_samples: int) -> Array:
        ...     return gain * jnp.arange(n_samples)
        >>> ramp(2, n_samples=3).tolist()
        [0, 2, 4]
    """

    def compiled(function: Callable[P, R]) -> Callable[P, R]:
        return jax.jit(function, static_argnames=static_argnames)

    return compiled


def _in_even_parts(make: Callable[[tuple[int, ...]], Array], shape: tuple[int, ...]) -> Array:
    """Make a row of ``shape`` a few elements longer and cut them off; other shapes are made as they are.

    Where the threads of XLA:CPU do not divide the length of a loop, the loop checks a bound at every element
    and is not vectorized: ten times slower. The barrier keeps the cut out of that loop on JAX 0.12; JAX 0.10
    drops it.
    """
    if len(shape) != 1 or shape[0] % 64 == 0:
        return make(shape)
    row: Array = lax.optimization_barrier(make((-(-shape[0] // 64) * 64,)))
    return row[..., : shape[0]]


# On the CPU jax.random lowers threefry2x32 to rolled loops, which XLA can neither vectorize nor fuse. The
# same rounds written out become one fused loop that gives the same bits. Other values of these settings
# change the bits, or ask for checks that only jax.random makes.
_SETTINGS = {"jax_threefry_partitionable": True, "jax_debug_key_reuse": False}
_RAW_KEY_SETTINGS = {"jax_default_prng_impl": "threefry2x32", "jax_legacy_prng_key": "allow"}


def _is_set(settings: Mapping[str, object]) -> bool:
    return all(getattr(jax.config, name) == value for name, value in settings.items())


def _as_shape(shape: Shape) -> tuple[int, ...]:
    dims = shape if isinstance(shape, Sequence) else (shape,)
    return tuple(operator.index(dim) for dim in dims)


def _is_written_out(key: ArrayLike, shape: tuple[int, ...]) -> TypeGuard[Array]:
    """Whether the rounds below give this draw; all others are left to jax.random, its errors included."""
    if min(shape, default=0) < 0 or math.prod(shape) >= 2**32:
        return False
    if not isinstance(key, Array | np.ndarray) or not _is_set(_SETTINGS):
        return False
    if jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        return key.ndim == 0 and jax.random.key_impl(key) == "threefry2x32"
    return key.shape == (2,) and key.dtype == np.uint32 and _is_set(_RAW_KEY_SETTINGS)


def _default_to(kind: type[float] | type[int], dtype: DTypeLike | None) -> np.dtype:
    return np.dtype(jax.dtypes.canonicalize_dtype(kind) if dtype is None or dtype is kind else dtype)


def _is_float32(dtype: DTypeLike | None) -> bool:
    return bool(_default_to(float, dtype) == np.float32)


def _key_words(key: Array) -> tuple[Array, Array]:
    words = jax.random.key_data(key) if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else key
    return words[0], words[1]


def _threefry2x32(key: tuple[Array, Array], low: Array) -> tuple[Array, Array]:
    """The hash of the counts (0, low)."""
    schedule = (*key, key[0] ^ key[1] ^ np.uint32(0x1BD11BDA))
    x0, x1 = schedule[0], low + schedule[1]
    for block in range(5):
        for rotation in (13, 15, 26, 6) if block % 2 == 0 else (17, 29, 16, 24):
            x0 = x0 + x1
            x1 = ((x1 << np.uint32(rotation)) | (x1 >> np.uint32(32 - rotation))) ^ x0
        x0 = x0 + schedule[(block + 1) % 3]
        x1 = x1 + (schedule[(block + 2) % 3] + np.uint32(block + 1))
    return x0, x1


def _draw(key: tuple[Array, Array], shape: tuple[int, ...]) -> Array:
    # One iota per axis, not a flat one reshaped, so that every device can make its part of a sharded draw.
    count = jnp.zeros(shape, np.uint32)
    for axis in range(len(shape)):
        count = count + lax.broadcasted_iota(np.uint32, shape, axis) * np.uint32(math.prod(shape[axis + 1 :]))
    x0, x1 = _threefry2x32(key, count)
    return x0 ^ x1


def _to_range(words: Array, minval: ArrayLike, maxval: ArrayLike) -> Array:
    minval = jnp.broadcast_to(lax.convert_element_type(minval, np.float32), words.shape)
    maxval = jnp.broadcast_to(lax.convert_element_type(maxval, np.float32), words.shape)
    # The bits are the mantissa of a number in [1, 2).
    mantissa = (words >> np.uint32(9)) | np.uint32(0x3F800000)
    floats = lax.bitcast_convert_type(mantissa, np.float32) - np.float32(1)
    return lax.max(minval, floats * (maxval - minval) + minval)


@jit(static_argnames=["shape"])
def _bits(key: Array, shape: tuple[int, ...]) -> Array:
    return _in_even_parts(partial(_draw, _key_words(key)), shape)


@jit(static_argnames=["shape"])
def _uniform(key: Array, minval: ArrayLike, maxval: ArrayLike, shape: tuple[int, ...]) -> Array:
    return _to_range(_in_even_parts(partial(_draw, _key_words(key)), shape), minval, maxval)


@jit(static_argnames=["shape"])
def _normal(key: Array, shape: tuple[int, ...]) -> Array:
    words = _key_words(key)
    low = np.nextafter(np.float32(-1), np.float32(0))

    def make(shape: tuple[int, ...]) -> Array:
        return np.float32(np.sqrt(2)) * lax.erf_inv(_to_range(_draw(words, shape), low, np.float32(1)))

    return _in_even_parts(make, shape)


@jit(static_argnames=["shape"])
def _bernoulli(key: Array, p: ArrayLike, shape: tuple[int, ...]) -> Array:
    return jnp.broadcast_to(p, shape) > _uniform(key, np.float32(0), np.float32(1), shape)


def _clip_to(value: Array, dtype: np.dtype) -> Array:
    info, own = np.iinfo(dtype), np.iinfo(value.dtype)
    low, high = (value.dtype.type(bound) for bound in (max(info.min, own.min), min(info.max, own.max)))
    return jnp.clip(value, low, high).astype(dtype)


@jit(static_argnames=["shape", "dtype"])
def _randint(key: Array, minval: ArrayLike, maxval: ArrayLike, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    """64 random bits modulo the span, in 32-bit words, as jax.random has it."""
    first, second = _threefry2x32(_key_words(key), lax.iota(np.uint32, 2))
    high, low = (_in_even_parts(partial(_draw, (first[i], second[i])), shape) for i in range(2))

    minval, maxval = (
        value if jnp.issubdtype(value.dtype, np.integer) else value.astype(int)
        for value in (jnp.asarray(minval), jnp.asarray(maxval))
    )
    beyond = maxval > _clip_to(jnp.asarray(np.iinfo(dtype).max, dtype), maxval.dtype)
    minval, maxval, beyond = (
        jnp.broadcast_to(value, shape) for value in (_clip_to(minval, dtype), _clip_to(maxval, dtype), beyond)
    )
    span = jnp.where(maxval <= minval, np.uint32(1), (maxval - minval).astype(np.uint32))
    # A span of 2**32 wraps to 0, and XLA's remainder by 0 is the dividend, which is then the right answer.
    span = jnp.where(beyond & (maxval > minval), span + np.uint32(1), span)
    half = lax.rem(jnp.full(shape, 2**16, np.uint32), span)
    offset = lax.rem(high, span) * lax.rem(half * half, span) + lax.rem(low, span)
    return minval + lax.rem(offset, span).astype(dtype)


def check_key(function: str, key: ArrayLike) -> None:
    """Raise unless what was given for a key is one random key.

    Args:
        function: Who takes it, for the message.
        key: What was given.

    Raises:
        TypeError: When it is no key, or several.

    Example:
        >>> check_key("time_shift", 0)
        Traceback (most recent call last):
        TypeError: time_shift takes one random key, such as jax.random.key(0), got 0 (int)
    """
    if isinstance(key, Array | np.ndarray):
        typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
        if (typed and not key.ndim) or (not typed and key.dtype == np.uint32 and key.ndim == 1):
            return
        given = f"{'keys' if typed else key.dtype} of shape {key.shape}; batch it over keys with jax.vmap"
    else:
        given = f"{key!r} ({type(key).__name__})"
    raise TypeError(f"{function} takes one random key, such as jax.random.key(0), got {given}")


def bits(key: ArrayLike, shape: Shape = ()) -> Array:
    """Draw random words: ``jax.random.bits(key, shape, "uint32")`` bit for bit, ten times as fast on a CPU.

    Like every draw of this module it takes one key, typed or raw, and is batched by ``jax.vmap`` over keys.
    Keys of another kind than threefry2x32, and the non-partitionable mode, are handed to ``jax.random``.

    Args:
        key: a random key.
        shape: shape of the result; static.

    Returns:
        Words of ``shape``, uint32, also where 64-bit types are enabled.

    Example:
        >>> key = jax.random.key(0)
        >>> bool((bits(key, (3,)) == jax.random.bits(key, (3,))).all())
        True

    Reference:
        Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011).
    """
    shape = _as_shape(shape)
    if not _is_written_out(key, shape):
        return jax.random.bits(key, shape, np.uint32)
    return _bits(key, shape)


def uniform(
    key: ArrayLike,
    shape: Shape = (),
    dtype: DTypeLike | None = None,
    minval: ArrayLike = 0.0,
    maxval: ArrayLike = 1.0,
) -> Array:
    """Draw from a uniform distribution: ``jax.random.uniform`` bit for bit, several times as fast on a CPU.

    Args:
        key: a random key.
        shape: shape of the result; static.
        dtype: floating dtype, by default JAX's default float. All but float32 are handed to ``jax.random``.
        minval: smallest value, broadcast against ``shape``; may be traced.
        maxval: bound that no value reaches, broadcast against ``shape``; may be traced.

    Returns:
        Values of ``shape`` in [minval, maxval).

    Example:
        >>> key = jax.random.key(0)
        >>> bool((uniform(key, (5,)) == jax.random.uniform(key, (5,))).all())
        True

    Reference:
        ``jax.random.uniform``.
    """
    shape = _as_shape(shape)
    if not (_is_written_out(key, shape) and _is_float32(dtype)):
        return jax.random.uniform(key, shape, dtype, minval, maxval)
    return _uniform(key, minval, maxval, shape)


def normal(key: ArrayLike, shape: Shape = (), dtype: DTypeLike | None = None) -> Array:
    """Draw from a normal distribution: ``jax.random.normal`` bit for bit, several times as fast on a CPU.

    Args:
        key: a random key.
        shape: shape of the result; static.
        dtype: floating or complex dtype, by default JAX's default float. All but float32 are handed to
            ``jax.random``.

    Returns:
        Values of ``shape`` with mean 0 and standard deviation 1.

    Example:
        >>> key = jax.random.key(0)
        >>> bool((normal(key, (3,)) == jax.random.normal(key, (3,))).all())
        True

    Reference:
        ``jax.random.normal``.
    """
    shape = _as_shape(shape)
    if not (_is_written_out(key, shape) and _is_float32(dtype)):
        return jax.random.normal(key, shape, dtype)
    return _normal(key, shape)


def randint(
    key: ArrayLike, shape: Shape, minval: ArrayLike, maxval: ArrayLike, dtype: DTypeLike | None = None
) -> Array:
    """Draw integers: ``jax.random.randint`` bit for bit, several times as fast on a CPU.

    Args:
        key: a random key.
        shape: shape of the result; static.
        minval: smallest value, broadcast against ``shape``; may be traced.
        maxval: bound that no value reaches, broadcast against ``shape``; may be traced.
        dtype: integer dtype, by default JAX's default int. All but int32 and uint32 are handed to
            ``jax.random``.

    Returns:
        Integers of ``shape`` in [minval, maxval); ``minval`` where the range is empty.

    Example:
        >>> key = jax.random.key(0)
        >>> int(randint(key, (), -5, 6)) == int(jax.random.randint(key, (), -5, 6))
        True

    Reference:
        ``jax.random.randint``.
    """
    shape = _as_shape(shape)
    integer = _default_to(int, dtype)
    if not (_is_written_out(key, shape) and integer in (np.int32, np.uint32)):
        return jax.random.randint(key, shape, minval, maxval, dtype)
    return _randint(key, minval, maxval, shape, integer)


def bernoulli(key: ArrayLike, p: ArrayLike = 0.5, shape: Shape | None = None) -> Array:
    """Draw booleans: ``jax.random.bernoulli`` bit for bit, several times as fast on a CPU.

    Args:
        key: a random key.
        p: probability of True, a float broadcast against ``shape``; may be traced. All dtypes but float32 are
            handed to ``jax.random``.
        shape: shape of the result, by default that of ``p``; static.

    Returns:
        Booleans of ``shape``.

    Example:
        >>> key = jax.random.key(0)
        >>> bool(bernoulli(key, 0.3)) == bool(jax.random.bernoulli(key, 0.3))
        True

    Reference:
        ``jax.random.bernoulli``.
    """
    shape = np.shape(p) if shape is None else _as_shape(shape)
    if not (_is_written_out(key, shape) and jnp.result_type(p) == np.float32):
        return jax.random.bernoulli(key, p, shape)
    return _bernoulli(key, p, shape)


_FLOAT32 = np.dtype(np.float32)
_WORKING_DTYPES = {
    np.dtype(jnp.bfloat16): _FLOAT32,
    np.dtype(np.float16): _FLOAT32,
    _FLOAT32: _FLOAT32,
    np.dtype(np.float64): np.dtype(np.float64),
    np.dtype(np.complex64): np.dtype(np.complex64),
    np.dtype(np.complex128): np.dtype(np.complex128),
}


def working_dtype(dtype: DTypeLike) -> np.dtype:
    """Give the dtype in which a function computes on input of ``dtype``; its result goes back to ``dtype``.

    Args:
        dtype: dtype of the input.

    Returns:
        float32 for float16, bfloat16 and float32; float64, complex64 and complex128 for themselves, or what
        JAX puts in their place while its 64-bit types are not enabled.

    Raises:
        TypeError: any other dtype.

    Example:
        >>> working_dtype(jnp.bfloat16)
        dtype('float32')
    """
    found = _WORKING_DTYPES.get(jnp.dtype(dtype))
    if found is None:
        known = ", ".join(str(name) for name in _WORKING_DTYPES)
        raise TypeError(
            f"expected an array of one of {known}, got {jnp.dtype(dtype)}: convert to a floating dtype first"
        )
    return np.dtype(jax.dtypes.canonicalize_dtype(found))


def _real_working_dtype(name: str, dtype: DTypeLike) -> np.dtype:
    working = working_dtype(dtype)
    if not jnp.issubdtype(working, np.floating):
        raise TypeError(f"{name} expects a real array, got {jnp.dtype(dtype)}")
    return working


# Minimax in the absolute error (3.3e-9 over a quarter of a cycle, well below what float32 can tell), with the
# last places chosen so that a quarter gives 1 and nothing gives more, products and sums being fused or not.
_SINE = (6.2831855, -41.34166, 81.600975, -76.54978, 39.536705)


def _sine_of_quarter(cycles: Array) -> Array:
    if cycles.dtype == np.float64:
        return jnp.sin(2 * np.pi * cycles)
    square = cycles * cycles
    value = jnp.full_like(cycles, _SINE[-1])
    for coefficient in _SINE[-2::-1]:
        value = value * square + np.float32(coefficient)
    return cycles * value


@jax.custom_jvp
def _sin2pi(cycles: Array) -> Array:
    x = cycles - jnp.round(cycles)
    return _sine_of_quarter(jnp.where(jnp.abs(x) > 0.25, jnp.copysign(x.dtype.type(0.5), x) - x, x))


@jax.custom_jvp
def _cos2pi(cycles: Array) -> Array:
    return _sine_of_quarter(cycles.dtype.type(0.25) - jnp.abs(cycles - jnp.round(cycles)))


_sin2pi.defjvps(lambda tangent, _, cycles: cycles.dtype.type(2 * np.pi) * _cos2pi(cycles) * tangent)
_cos2pi.defjvps(lambda tangent, _, cycles: cycles.dtype.type(-2 * np.pi) * _sin2pi(cycles) * tangent)


@jit(static_argnames=["function", "dtype"])
def _in_dtype(function: Callable[[Array], Array], x: Array, dtype: np.dtype) -> Array:
    return function(x.astype(dtype)).astype(x.dtype)


def sin2pi(cycles: ArrayLike) -> Array:
    """Sine of an angle in cycles, ``sin(2 * pi * cycles)``: faster and more precise than ``jnp.sin``.

    Off by less than 1.7e-7 (float32), never outside [-1, 1], and exactly 0 at multiples of one half.

    Args:
        cycles: angle in cycles, any shape, a floating dtype. Half precision is computed in float32.

    Returns:
        The sine, in the shape and dtype of ``cycles``; NaN where ``cycles`` is NaN or infinite.

    Raises:
        TypeError: ``cycles`` is not of a real floating dtype.

    Example:
        >>> sin2pi(jnp.array([0.0, 0.25, 0.5, 1.75]))
        Array([ 0.,  1.,  0., -1.], dtype=float32)

    Reference:
        C23 ``sinpi``, for its exact zeros and reduction.
    """
    cycles = jnp.asarray(cycles)
    return _in_dtype(_sin2pi, cycles, _real_working_dtype("sin2pi", cycles.dtype))


def cos2pi(cycles: ArrayLike) -> Array:
    """Cosine of an angle in cycles, ``cos(2 * pi * cycles)``: faster and more precise than ``jnp.cos``.

    Off by less than 1.7e-7 (float32), never outside [-1, 1], and exactly 0 at odd multiples of one quarter.

    Args:
        cycles: angle in cycles, any shape, a floating dtype. Half precision is computed in float32.

    Returns:
        The cosine, in the shape and dtype of ``cycles``; NaN where ``cycles`` is NaN or infinite.

    Raises:
        TypeError: ``cycles`` is not of a real floating dtype.

    Example:
        >>> cos2pi(jnp.array([0.0, 0.25, 0.5, 1.75]))
        Array([ 1.,  0., -1.,  0.], dtype=float32)

    Reference:
        C23 ``cospi``, for its exact zeros and reduction.
    """
    cycles = jnp.asarray(cycles)
    return _in_dtype(_cos2pi, cycles, _real_working_dtype("cos2pi", cycles.dtype))


# The phase after n samples needs far more bits than a float32 has, and XLA may contract or reorder error-free
# float transforms. So phases are integers, fractions of a cycle in units of 2**-32, which wrap as cycles do.
# Frequencies come in as limbs of 13 bits, few enough for sums of products of limbs to stay within an int32.
_LIMB = 13
_FREQUENCY_LIMBS = 5
_PRODUCT_LIMBS = 9
_FREQUENCY_BOUND = 2.0 ** (2 * _LIMB)


def _frequency_limbs(frequency: Array) -> Array:
    """Split frequencies below 2**26 Hz into signed limbs in units of 2**13, 1 ... 2**-39 Hz."""
    rest, limbs = frequency * np.float32(2.0**-_LIMB), []
    for _ in range(_FREQUENCY_LIMBS):
        limb = jnp.trunc(rest)
        limbs.append(limb.astype(np.int32))
        rest = (rest - limb) * np.float32(2.0**_LIMB)
    return jnp.stack(limbs, axis=-1)


def _words_of_quotient(limbs: Array, divisor: int, n_words: int) -> list[Array]:
    """Give the first 32-bit words, from the top, of the fraction of frequency / divisor."""
    reciprocal = (1 << _LIMB * (_PRODUCT_LIMBS + 1)) // divisor
    digits = [(reciprocal >> _LIMB * (_PRODUCT_LIMBS + 1 - j)) % 2**_LIMB for j in range(_PRODUCT_LIMBS + 2)]
    table = np.array(
        [[digits[k + 2 - i] if k + 2 >= i else 0 for k in range(_PRODUCT_LIMBS)] for i in range(_FREQUENCY_LIMBS)]
    )
    table = table.astype(np.int32).reshape((1,) * (limbs.ndim - 1) + table.shape)
    sums = jnp.sum(limbs[..., None] * table, axis=-2, dtype=np.int32)
    carry = jnp.zeros_like(sums[..., 0])
    words = [jnp.zeros(carry.shape, np.uint32) for _ in range(n_words)]
    for k in reversed(range(_PRODUCT_LIMBS)):
        total = sums[..., k] + carry
        carry = total >> np.int32(_LIMB)
        digit = (total & np.int32(2**_LIMB - 1)).astype(np.uint32)
        for i in range(n_words):
            shift = 32 * (i + 1) - _LIMB * (k + 1)
            if 0 <= shift < 32:
                words[i] = words[i] | (digit << np.uint32(shift))
            elif -_LIMB < shift < 0:
                words[i] = words[i] | (digit >> np.uint32(-shift))
    return words


def high_word(a: Array, b: Array) -> Array:
    """Give the upper 32 of the 64 bits of a product; the lower are those of ``a * b``.

    Args:
        a: uint32, any shape.
        b: uint32, broadcast against ``a``.

    Returns:
        uint32 of their shape.

    Example:
        >>> int(high_word(jnp.uint32(2**31), jnp.uint32(6)))
        3
    """
    half = np.uint32(0xFFFF)
    a_low, a_high, b_low, b_high = a & half, a >> np.uint32(16), b & half, b >> np.uint32(16)
    middle = a_high * b_low + (a_low * b_low >> np.uint32(16))
    return a_high * b_high + (middle >> np.uint32(16)) + (a_low * b_high + (middle & half) >> np.uint32(16))


def _sample_index(length: int, like: Array, dtype: DTypeLike) -> Array:
    """Count along a new last axis of ``like``."""
    return lax.broadcasted_iota(dtype, (1,) * like.ndim + (length,), like.ndim)


def _fixed_point_phase(f_start: Array, f_end: Array, start: Array, n_time_steps: int, sample_rate: int) -> Array:
    limbs = _frequency_limbs(f_start)
    bend = _words_of_quotient(_frequency_limbs(f_end) - limbs, 2 * n_time_steps * sample_rate, 3)
    step_high, step_low = _words_of_quotient(limbs, sample_rate, 2)
    # Makes up for what is cut off below, so that a phase that is a multiple of 2**-32 comes out as itself.
    step_low = step_low + np.uint32(3)
    step_high = step_high + (step_low < 3).astype(np.uint32)
    turn = jnp.minimum((start - jnp.round(start)) * np.float32(2.0**32), np.float32(2.0**31 - 2**7))

    known = (jnp.abs(f_start) < _FREQUENCY_BOUND) & (jnp.abs(f_end) < _FREQUENCY_BOUND) & jnp.isfinite(start)
    unit = jnp.where(known, np.float32(2.0**-32), np.float32(np.nan))[..., None]
    step_high, step_low, bend_high, bend_middle, bend_low, offset = (
        word[..., None] for word in (step_high, step_low, *bend, turn.astype(np.int32).astype(np.uint32))
    )

    def make(shape: tuple[int, ...]) -> Array:
        n = _sample_index(shape[0], start, np.uint32)
        # The mean frequency since the start is step + bend * n, to 64 bits; the phase is n times that.
        low = bend_middle * n
        mean_low = low + high_word(bend_low, n)
        carry = (mean_low < low).astype(np.uint32)
        mean_low = mean_low + step_low
        carry = carry + (mean_low < step_low).astype(np.uint32)
        mean_high = bend_high * n + high_word(bend_middle, n) + step_high + carry
        phase = mean_high * n + high_word(mean_low, n) + offset
        cycles = lax.bitcast_convert_type(phase, np.int32).astype(np.float32) * unit
        # Phases just below one half round to it.
        return jnp.minimum(cycles, np.float32(0.5 - 2.0**-25))

    return _in_even_parts(make, (n_time_steps,))


@partial(jax.custom_jvp, nondiff_argnums=(3, 4))
def _phase(f_start: Array, f_end: Array, start: Array, n_time_steps: int, sample_rate: int) -> Array:
    if f_start.dtype == np.float32:
        return _fixed_point_phase(f_start, f_end, start, n_time_steps, sample_rate)
    n = _sample_index(n_time_steps, start, start.dtype)
    f_start, f_end, start = f_start[..., None], f_end[..., None], start[..., None]
    cycles = start + (f_start + (f_end - f_start) * (n / (2.0 * n_time_steps))) * (n / float(sample_rate))
    return cycles - jnp.floor(cycles + 0.5)


@_phase.defjvp
def _phase_jvp(
    n_time_steps: int, sample_rate: int, primals: tuple[Array, ...], tangents: tuple[Array, ...]
) -> tuple[Array, Array]:
    n = _sample_index(n_time_steps, tangents[2], tangents[2].dtype)
    d_f_start, d_f_end, d_start = (tangent[..., None] for tangent in tangents)
    time, share = n / float(sample_rate), n / (2.0 * n_time_steps)
    tangent = d_start + time * (d_f_start * (1 - share) + d_f_end * share)
    return _phase(*primals, n_time_steps, sample_rate), tangent


@jit(static_argnames=["shape", "dtype", "n_time_steps", "sample_rate"])
def _ramp(
    f_start: ArrayLike,
    f_end: ArrayLike,
    start: ArrayLike,
    shape: tuple[int, ...],
    dtype: np.dtype,
    n_time_steps: int,
    sample_rate: int,
) -> Array:
    f_start, f_end, start = (jnp.broadcast_to(jnp.asarray(x, dtype), shape) for x in (f_start, f_end, start))
    return _phase(f_start, f_end, start, n_time_steps, sample_rate)


def _positive_int(name: str, value: int, unit: str) -> int:
    try:
        number = operator.index(value)
    except TypeError as error:
        raise TypeError(f"{name} must be a Python int ({unit}) known before tracing, got {value!r}") from error
    if not 0 < number < 2**32:
        raise ValueError(f"{name} must be between 1 and 2**32 - 1 ({unit}), got {number}")
    return number


def chirp_ramp(
    f_start: ArrayLike, f_end: ArrayLike, *, n_time_steps: int, sample_rate: int, start: ArrayLike = 0.0
) -> Array:
    """Phase of a linear sweep, in cycles, as exact after ten minutes as after one sample.

    The phase of sample ``n`` at ``t = n / sample_rate`` is the integral of the frequency,
    ``start + f_start * t + (f_end - f_start) * t**2 / (2 * duration)``, wrapped; ``duration`` is
    ``n_time_steps / sample_rate``, so ``f_end`` is reached one sample after the last. Its derivatives with
    respect to both frequencies and ``start`` are those of this formula.

    Args:
        f_start: frequency at sample 0 in Hz, any batch shape; may be traced and negative.
        f_end: frequency at sample ``n_time_steps`` in Hz, broadcast against ``f_start``.
        n_time_steps: number of samples; static.
        sample_rate: samples per second, an integer; static.
        start: phase of sample 0 in cycles, broadcast against ``f_start``.

    Returns:
        Phases in [-0.5, 0.5) of shape (..., n_time_steps); float64 where an argument is, else float32, also
        for half precision, which could not hold a phase. NaN where an argument is NaN or infinite, or where,
        in float32, a frequency is 2**26 Hz or more.

    Raises:
        TypeError: ``n_time_steps`` or ``sample_rate`` is not an int, or an argument is complex.
        ValueError: ``n_time_steps`` or ``sample_rate`` is not positive.

    Example:
        >>> chirp_ramp(0.0, 4.0, n_time_steps=4, sample_rate=8)
        Array([ 0.    ,  0.0625,  0.25  , -0.4375], dtype=float32)

    Reference:
        ``scipy.signal.chirp(t, f_start, n_time_steps / sample_rate, f_end)`` is ``cos2pi`` of this phase.
    """
    n_time_steps = _positive_int("n_time_steps", n_time_steps, "samples")
    sample_rate = _positive_int("sample_rate", sample_rate, "Hz")
    arguments = (f_start, f_end, start)
    dtype = _real_working_dtype("a phase", jnp.result_type(float, *arguments))
    shape = np.broadcast_shapes(*(np.shape(value) for value in arguments))
    return _ramp(f_start, f_end, start, shape, dtype, n_time_steps, sample_rate)


def phase_ramp(frequency: ArrayLike, *, n_time_steps: int, sample_rate: int, start: ArrayLike = 0.0) -> Array:
    """Phase of a constant frequency, in cycles, as exact after ten minutes as after one sample.

    ``sin2pi(phase_ramp(f, ...))`` is ``sin(2 * pi * (f * n / sample_rate + start))`` to 1e-6 at any ``n``.
    The derivative with respect to the frequency is ``n / sample_rate``.

    Args:
        frequency: in Hz, any batch shape; may be traced and negative.
        n_time_steps: number of samples; static.
        sample_rate: samples per second, an integer; static.
        start: phase of sample 0 in cycles, broadcast against ``frequency``.

    Returns:
        Phases in [-0.5, 0.5) of shape (..., n_time_steps), with the dtypes and limits of ``chirp_ramp``.

    Raises:
        TypeError: ``n_time_steps`` or ``sample_rate`` is not an int, or an argument is complex.
        ValueError: ``n_time_steps`` or ``sample_rate`` is not positive.

    Example:
        >>> phase_ramp(1000.0, n_time_steps=5, sample_rate=8000)
        Array([ 0.   ,  0.125,  0.25 ,  0.375, -0.5  ], dtype=float32)

    Reference:
        The phase accumulator of a numerically controlled oscillator.
    """
    return chirp_ramp(frequency, frequency, n_time_steps=n_time_steps, sample_rate=sample_rate, start=start)


def _safe_sqrt(x: Array) -> Array:
    zero = x == 0
    # Without the inner where the derivative at 0 would be infinity times the zero of the outer one: NaN.
    return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, x)))


def safe_sqrt(x: ArrayLike) -> Array:
    """Square root whose derivative at 0 is 0 where that of ``jnp.sqrt`` is infinite.

    Args:
        x: any shape, a floating dtype. Half precision is computed in float32.

    Returns:
        The root in the shape and dtype of ``x``; NaN where ``x`` is NaN or negative.

    Raises:
        TypeError: ``x`` is not of a real floating dtype.

    Example:
        >>> float(jax.grad(safe_sqrt)(0.0)), float(jax.grad(safe_sqrt)(4.0))
        (0.0, 0.25)
    """
    x = jnp.asarray(x)
    return _in_dtype(_safe_sqrt, x, _real_working_dtype("safe_sqrt", x.dtype))


@jax.custom_jvp
def _safe_abs(z: Array) -> Array:
    return jnp.abs(z)


@_safe_abs.defjvp
def _safe_abs_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (z,), (dz,) = primals, tangents
    magnitude = _safe_abs(z)
    divisor = jnp.where(magnitude == 0, 1, magnitude)
    return magnitude, (z.real / divisor) * dz.real + (z.imag / divisor) * dz.imag


def safe_abs(z: ArrayLike) -> Array:
    """Magnitude of complex numbers, with a derivative of 0 at 0, which costs half that of ``jnp.abs``.

    Args:
        z: any shape, complex64 or complex128.

    Returns:
        The magnitude, in the shape of ``z``, float32 or float64.

    Raises:
        TypeError: ``z`` is not complex.

    Example:
        >>> float(safe_abs(3.0 - 4.0j))
        5.0
    """
    z = jnp.asarray(z)
    if not jnp.issubdtype(z.dtype, np.complexfloating):
        raise TypeError(f"safe_abs expects a complex array, got {z.dtype}: use jnp.abs for real ones")
    return _safe_abs(z)
