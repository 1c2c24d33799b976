"""Windows as NumPy tables in float64, the one way in which the package gets their values, and their overlaps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial, wraps
from typing import Any, TypeVar, cast

import jax
import numpy as np
from numpy.typing import NDArray

from artifex.generative_models.core import resolve
from artifex.generative_models.core.checks import check_flag, check_integer, check_number, plain_number
from artifex.generative_models.extensions.audio_processing.spectral.docstrings import completed

_Window = TypeVar("_Window", bound=Callable[..., NDArray[np.float64]])


def _window(**checks: Callable[[str, Any], None]) -> Callable[[_Window], _Window]:
    """Make a window of what gives its symmetric form: check the arguments, cut the periodic form, document both.

    What is decorated has a window's signature. It is called for at least 2 samples, without ``periodic``, and
    with options that passed their checks.

    Args:
        **checks: What raises unless an option's name and value fit, by option.

    Returns:
        The decorator.
    """

    def decorate(symmetric: _Window) -> _Window:
        @wraps(symmetric)
        def window(length: int, *, periodic: bool = True, **options: Any) -> NDArray[np.float64]:
            check_integer("length", length, minimum=1, unit="samples")
            check_flag("periodic", periodic)
            for name, value in options.items():
                if name in checks:
                    checks[name](name, value)
            if length == 1 and options.keys() <= checks.keys():
                return np.ones(1)
            plain = {name: plain_number(value) for name, value in options.items()}
            return symmetric(int(length) + periodic, **plain)[:length]

        window.__doc__ = completed(symmetric.__doc__, args=_ARGS, returns=_RETURNS, raises=_RAISES)
        return cast(_Window, window)

    return decorate


_ARGS = """\
length: Length in samples, at least 1.
periodic: True for spectra (the symmetric window of ``length + 1`` samples without its last), False for the
    symmetric window, as filters are designed with."""

_RETURNS = "The window, (length,) float64; a single sample is 1."

_RAISES = """\
TypeError: When ``length`` is no integer, ``periodic`` no flag, or an option of the wrong type.
ValueError: When ``length`` is below 1 or an option out of its range."""


@_window()
def boxcar(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Return a rectangular window: all ones.

    Example:
        >>> boxcar(3).tolist()
        [1.0, 1.0, 1.0]

    Reference:
        ``scipy.signal.windows.boxcar``.
    """
    return _cosine_sum(length, (1.0,))


@_window()
def hann(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Return a Hann window: a raised cosine that starts from 0.

    Example:
        >>> hann(4).round(3).tolist()
        [0.0, 0.5, 1.0, 0.5]

    Reference:
        ``scipy.signal.windows.hann``.
    """
    return _cosine_sum(length, (0.5, 0.5))


@_window()
def hamming(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Return a Hamming window: a raised cosine that starts from 0.08, for a low first side lobe.

    Example:
        >>> hamming(4).round(3).tolist()
        [0.08, 0.54, 1.0, 0.54]

    Reference:
        ``scipy.signal.windows.hamming``.
    """
    return _cosine_sum(length, (0.54, 0.46))


@_window(alpha=partial(check_number, minimum=0.0, maximum=1.0))
def general_hamming(length: int, *, periodic: bool = True, alpha: float = 0.54) -> NDArray[np.float64]:
    """Return a generalized Hamming window: a raised cosine of any height; by default Hamming's, as in torch.

    Options:
        alpha: Weight of the constant, 0 to 1, a share; the cosine has the rest.

    Example:
        >>> general_hamming(4, alpha=0.75).round(3).tolist()
        [0.5, 0.75, 1.0, 0.75]

    Reference:
        ``scipy.signal.windows.general_hamming``; ``torch.signal.windows.general_hamming`` for the default.
    """
    return _cosine_sum(length, (alpha, 1 - alpha))


def _check_weights(name: str, value: Any) -> None:
    if not isinstance(value, list | tuple):
        raise TypeError(f"{name} must be a tuple of finite numbers, got {value!r} ({type(value).__name__})")
    if not value:
        raise ValueError(f"{name} must be a tuple of at least one finite number, got {value!r}")
    for place, weight in enumerate(value):
        check_number(f"{name}[{place}]", weight)


@_window(weights=_check_weights)
def general_cosine(
    length: int, *, periodic: bool = True, weights: tuple[float, ...] = (0.5, 0.5)
) -> NDArray[np.float64]:
    """Return a weighted sum of cosines; by default Hann's.

    Options:
        weights: Factors of ``cos(k * angle)`` for k = 0, 1, …, with signs that alternate; scipy's ``a``.

    Example:
        >>> general_cosine(4, weights=(0.4, 0.5, 0.1)).round(3).tolist()
        [0.0, 0.3, 1.0, 0.3]

    Reference:
        ``scipy.signal.windows.general_cosine``, which has no default.
    """
    return _cosine_sum(length, weights)


@_window()
def blackman(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Return a Blackman window: three cosines, side lobes below -58 dB.

    Example:
        >>> abs(blackman(4)).round(3).tolist()
        [0.0, 0.34, 1.0, 0.34]

    Reference:
        ``scipy.signal.windows.blackman``.
    """
    return _cosine_sum(length, (0.42, 0.5, 0.08))


@_window()
def nuttall(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Return Nuttall's minimum four-cosine Blackman-Harris window, side lobes below -97 dB.

    Example:
        >>> nuttall(4).round(3).tolist()
        [0.0, 0.227, 1.0, 0.227]

    Reference:
        Nuttall, "Some windows with very good sidelobe behavior", 1981; ``scipy.signal.windows.nuttall``.
    """
    return _cosine_sum(length, (0.3635819, 0.4891775, 0.1365995, 0.0106411))


@_window()
def blackmanharris(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Return a four-cosine Blackman-Harris window, side lobes below -92 dB.

    Example:
        >>> blackmanharris(4).round(3).tolist()
        [0.0, 0.217, 1.0, 0.217]

    Reference:
        Harris, "On the use of windows for harmonic analysis with the discrete Fourier transform", 1978;
        ``scipy.signal.windows.blackmanharris``.
    """
    return _cosine_sum(length, (0.35875, 0.48829, 0.14128, 0.01168))


@_window()
def flattop(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Return a flat-top window: five cosines whose main lobe shows a tone's level within 0.01 dB.

    Example:
        >>> flattop(4).round(3).tolist()
        [-0.0, -0.055, 1.0, -0.055]

    Reference:
        D'Antona and Ferrero, "Digital Signal Processing for Measurement Systems", 2006;
        ``scipy.signal.windows.flattop``.
    """
    return _cosine_sum(length, (0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368))


@_window()
def povey(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Return Kaldi's Povey window: a Hann window to the power of 0.85. Kaldi takes the symmetric form.

    Example:
        >>> povey(5, periodic=False).round(3).tolist()
        [0.0, 0.555, 1.0, 0.555, 0.0]

    Reference:
        Kaldi, ``feat/feature-window.cc``.
    """
    return _cosine_sum(length, (0.5, 0.5)) ** 0.85


@_window()
def bartlett(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Return a Bartlett window: a triangle whose ends are 0.

    Example:
        >>> bartlett(4).tolist()
        [0.0, 0.5, 1.0, 0.5]

    Reference:
        ``scipy.signal.windows.bartlett``.
    """
    return 1 - abs(_positions(length))


@_window()
def triang(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Return a triangular window whose ends are above 0.

    Example:
        >>> triang(3, periodic=False).tolist()
        [0.5, 1.0, 0.5]

    Reference:
        ``scipy.signal.windows.triang``.
    """
    return 1 - abs(_positions(length)) * (length - 1) / (length + length % 2)


@_window()
def parzen(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Return a Parzen window: piecewise cubic, never negative in its spectrum.

    Example:
        >>> parzen(4).round(3).tolist()
        [0.016, 0.424, 1.0, 0.424]

    Reference:
        Parzen, "Mathematical considerations in the estimation of spectra", 1961;
        ``scipy.signal.windows.parzen``.
    """
    position = abs(_positions(length))
    share = position * (length - 1) / length
    return np.where(position <= 0.5, 1 - 6 * share**2 + 6 * share**3, 2 * (1 - share) ** 3)


@_window()
def bohman(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Return a Bohman window: two half cosines convolved, its slope 0 at the ends.

    Example:
        >>> bohman(4).round(3).tolist()
        [0.0, 0.318, 1.0, 0.318]

    Reference:
        ``scipy.signal.windows.bohman``.
    """
    position = abs(_positions(length))
    return (1 - position) * np.cos(np.pi * position) + np.sin(np.pi * position) / np.pi


@_window()
def cosine(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Return a cosine window: half a period of a sine, its ends above 0.

    Example:
        >>> cosine(3, periodic=False).round(3).tolist()
        [0.5, 1.0, 0.5]

    Reference:
        ``scipy.signal.windows.cosine``.
    """
    return np.cos(np.pi / 2 * _positions(length) * (length - 1) / length)


@_window(alpha=partial(check_number, minimum=0.0, maximum=1.0))
def tukey(length: int, *, periodic: bool = True, alpha: float = 0.5) -> NDArray[np.float64]:
    """Return a Tukey window: flat between two halves of a raised cosine; half of it slope, as in scipy.

    Options:
        alpha: Share of the window that is slope, 0 (boxcar) to 1 (Hann).

    Example:
        >>> tukey(8).round(3).tolist()
        [0.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5]

    Reference:
        ``scipy.signal.windows.tukey``, default included.
    """
    if alpha == 0:
        return np.ones(length)
    slope = np.minimum(1 - abs(_positions(length)), alpha) / alpha
    return 0.5 - 0.5 * np.cos(np.pi * slope)


@_window(beta=partial(check_number, minimum=0.0, maximum=700.0))
def kaiser(length: int, *, periodic: bool = True, beta: float = 12.0) -> NDArray[np.float64]:
    """Return a Kaiser window; ``beta`` is 12 by default, as in torch: side lobes of -90 dB.

    Options:
        beta: Shape, 0 (boxcar) to 700: the higher, the wider the main lobe and the lower the side lobes.

    Example:
        >>> kaiser(4, beta=5).round(3).tolist()
        [0.037, 0.553, 1.0, 0.553]

    Reference:
        Kaiser and Schafer, "On the use of the I0-sinh window for spectrum analysis", 1980;
        ``scipy.signal.windows.kaiser``; ``torch.kaiser_window`` for the default.
    """
    return np.i0(beta * np.sqrt(1 - _positions(length) ** 2)) / np.i0(beta)


def _check_std(name: str, value: Any) -> None:
    if value is not None:
        check_number(name, value, above=0.0, unit="samples")


@_window(std=_check_std)
def gaussian(length: int, *, periodic: bool = True, std: float | None = None) -> NDArray[np.float64]:
    """Return a Gaussian window; by default as wide as Matlab's, 2.5 standard deviations to either side.

    Options:
        std: Standard deviation in samples, above 0; None for a fifth of the window's span.

    Example:
        >>> gaussian(4, std=1.0).round(3).tolist()
        [0.135, 0.607, 1.0, 0.607]

    Reference:
        ``scipy.signal.windows.gaussian``, which has no default; Matlab's ``gausswin`` for ours.
    """
    deviation = (length - 1) / 5 if std is None else std
    with np.errstate(over="ignore"):  # far outside it is 0, however far
        return np.exp(-0.5 * (_positions(length) * ((length - 1) / 2) / deviation) ** 2)


@_window(half_bandwidth=partial(check_number, above=0.0))
def dpss(length: int, *, periodic: bool = True, half_bandwidth: float = 2.5) -> NDArray[np.float64]:
    """Return a Slepian window: the most energy in a band of frequencies that any window can have.

    The default needs at least 6 samples, or a single one.

    Options:
        half_bandwidth: Half the width of the band that holds the energy, bins, above 0 and below half the length;
            scipy's ``NW``.

    Example:
        >>> dpss(8, half_bandwidth=2.0).round(3).tolist()
        [0.074, 0.274, 0.582, 0.877, 1.0, 0.877, 0.582, 0.274]

    Reference:
        Slepian, "Prolate spheroidal wave functions, Fourier analysis, and uncertainty V", 1978;
        ``scipy.signal.windows.dpss``, which has no default; ours is that of its examples.
    """
    if half_bandwidth >= length / 2:
        raise ValueError(
            f"half_bandwidth must be below {length / 2} bins, half of the {length} samples of the symmetric window, "
            f"got {half_bandwidth!r}; lower it or take a longer window"
        )
    from scipy.signal import windows  # here, since it takes long to import and no other window needs it

    table: NDArray[np.float64] = windows.dpss(length, half_bandwidth)
    return table


def window_spec(window_type: Any) -> Any:
    """Return a window as a configuration keeps it: hashable, and the same however it was written.

    Args:
        window_type: A registered name, a ``(name, options)`` pair, a mapping with ``name`` and options beside
            it, or a function of the window kind.

    Returns:
        A name, a ``(name, ((option, value), …))`` pair sorted by option, or what was given where it is neither;
        ``window_table`` takes it, or says what is wrong with it.

    Example:
        >>> window_spec({"name": "kaiser", "beta": 14})
        ('kaiser', (('beta', 14),))
        >>> window_spec(["hann", {}])
        'hann'
    """
    named = _named(window_type)
    if named is None:
        return window_type
    name, options = named
    return (name, tuple((option, _hashable(options[option])) for option in sorted(options))) if options else name


def window_table(window: Any, length: int, periodic: bool = True) -> NDArray[np.float64]:
    """Return the values of a window as a configuration names it.

    Args:
        window: What ``window_spec`` takes or returns.
        length: Length in samples, at least 1.
        periodic: Whether the window is the periodic one, for spectra, or the symmetric one.

    Returns:
        The window, (length,) float64, not writeable.

    Raises:
        UnknownComponentError: When no window of that name is installed.
        TypeError: For another form, or options that the window does not take.
        ValueError: For options out of range, or when what it returns is not (length,) finite numbers.

    Example:
        >>> window_table("hann", 4).round(3).tolist()
        [0.0, 0.5, 1.0, 0.5]
        >>> window_table(("kaiser", {"beta": 5}), 4).round(3).tolist()
        [0.037, 0.553, 1.0, 0.553]
    """
    check_integer("length", length, minimum=1, unit="samples")
    check_flag("periodic", periodic)
    function = resolve("window", _named(window) or window)
    if "periodic" in getattr(function, "keywords", ()):
        raise TypeError(
            f"the window {window!r} cannot say itself whether it is periodic; leave periodic out of its options and set "
            f"window_periodic of the configuration"
        )
    table = _table(function, length, periodic)
    if table.shape != (length,) or not np.isfinite(table).all():
        raise ValueError(
            f"the window {window!r} has to return {length} finite numbers for length {length}, "
            f"got shape {table.shape}" + ("" if np.isfinite(table).all() else " with NaN or infinity in it")
        )
    return table


def overlap_sum(
    window_type: Any, *, win_length: int, hop_length: int, power: int = 1, periodic: bool = True
) -> NDArray[np.float64]:
    """Return what overlapping windows add up to in a long row of frames, over one hop; it repeats from there.

    Args:
        window_type: What ``SpectralConfig.window_type`` takes.
        win_length: Length of the window in samples, at least 1.
        hop_length: Samples from one frame to the next, 1 to ``win_length``.
        power: The power that the window is raised to before, at least 1: 1 for windows, 2 for their squares.
        periodic: Whether the window is the periodic one, for spectra, or the symmetric one.

    Returns:
        The sum from the start of a frame on, (hop_length,) float64.

    Raises:
        LookupError: When no window of that name is installed.
        TypeError: For another form of window, or options that it does not take.
        ValueError: For a length, a hop, a power or an option out of range.

    Example:
        >>> overlap_sum("hann", win_length=8, hop_length=4).round(3).tolist()
        [1.0, 1.0, 1.0, 1.0]

    Reference:
        Allen and Rabiner, "A unified approach to short-time Fourier analysis and synthesis", 1977.
    """
    check_integer("win_length", win_length, minimum=1, unit="samples")
    check_integer("hop_length", hop_length, minimum=1, maximum=win_length, unit="samples")
    check_integer("power", power, minimum=1)
    check_flag("periodic", periodic)
    table = window_table(window_type, win_length, periodic) ** power
    total: NDArray[np.float64] = np.pad(table, (0, -win_length % hop_length)).reshape(-1, hop_length).sum(axis=0)
    return total


def is_nola(
    window_type: Any, *, win_length: int, hop_length: int, tolerance: float = 1e-10, periodic: bool = True
) -> bool:
    """Say whether every sample is reached by a window (nonzero overlap-add), so that an inverse exists.

    Args:
        window_type: What ``SpectralConfig.window_type`` takes.
        win_length: Length of the window in samples, at least 1.
        hop_length: Samples from one frame to the next, 1 to ``win_length``.
        tolerance: What the sum of squared windows has to exceed everywhere, at least 0, a power.
        periodic: Whether the window is the periodic one, for spectra, or the symmetric one.

    Returns:
        True when it does.

    Raises:
        LookupError: When no window of that name is installed.
        TypeError: For another form of window, or options that it does not take.
        ValueError: For a length, a hop, a tolerance or an option out of range.

    Example:
        >>> is_nola("hann", win_length=8, hop_length=4), is_nola("hann", win_length=8, hop_length=8)
        (True, False)

    Reference:
        ``scipy.signal.check_NOLA``.
    """
    check_number("tolerance", tolerance, minimum=0.0)
    total = overlap_sum(window_type, win_length=win_length, hop_length=hop_length, power=2, periodic=periodic)
    return bool(total.min() > tolerance)


def is_cola(
    window_type: Any, *, win_length: int, hop_length: int, tolerance: float = 1e-10, periodic: bool = True
) -> bool:
    """Say whether overlapping windows add up to a constant (constant overlap-add).

    Args:
        window_type: What ``SpectralConfig.window_type`` takes.
        win_length: Length of the window in samples, at least 1.
        hop_length: Samples from one frame to the next, 1 to ``win_length``.
        tolerance: What the sum's distance from its median has to stay below, at least 0, full scale.
        periodic: Whether the window is the periodic one, for spectra, or the symmetric one.

    Returns:
        True when they do.

    Raises:
        LookupError: When no window of that name is installed.
        TypeError: For another form of window, or options that it does not take.
        ValueError: For a length, a hop, a tolerance or an option out of range.

    Example:
        >>> is_cola("hann", win_length=8, hop_length=4), is_cola("hamming", win_length=9, hop_length=4)
        (True, False)

    Reference:
        ``scipy.signal.check_COLA``.
    """
    check_number("tolerance", tolerance, minimum=0.0)
    total = overlap_sum(window_type, win_length=win_length, hop_length=hop_length, periodic=periodic)
    return bool(abs(total - np.median(total)).max() < tolerance)


@lru_cache(maxsize=128)
def _table(function: Callable[..., Any], length: int, periodic: bool) -> NDArray[np.float64]:
    with jax.ensure_compile_time_eval():  # a window written with jax.numpy gives numbers inside a trace too
        table = np.array(function(length, periodic=periodic), dtype=np.float64)
    table.flags.writeable = False
    return table


def _named(value: Any) -> tuple[str, dict[str, Any]] | None:
    """Return a window's name and options where it is written with both, in whichever way."""
    if isinstance(value, Mapping) and "name" in value:
        value = (value["name"], {option: value[option] for option in value if option != "name"})
    if not (isinstance(value, list | tuple) and len(value) == 2 and isinstance(value[0], str)):
        return None
    name, options = value
    pairs = list(
        options.items() if isinstance(options, Mapping) else options if isinstance(options, list | tuple) else "?"
    )
    fit = all(isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs)
    return (name, dict(pairs)) if fit else None


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


def _positions(length: int) -> NDArray[np.float64]:
    """Return where the samples of a symmetric window lie, from -1 to 1, mirrored to the last bit."""
    return (2.0 * np.arange(length) - (length - 1)) / (length - 1)


def _cosine_sum(length: int, weights: tuple[float, ...]) -> NDArray[np.float64]:
    angle = np.pi * _positions(length)
    return np.asarray(sum(weight * np.cos(k * angle) for k, weight in enumerate(weights)), dtype=np.float64)
