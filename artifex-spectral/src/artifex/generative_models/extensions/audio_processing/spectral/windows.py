"""Window functions as float64 NumPy tables, windows by name, and overlap-add conditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeGuard

import jax
import numpy as np
from numpy.typing import NDArray

from artifex.generative_models.core import resolve
from artifex.generative_models.core.checks import check_flag, check_integer, check_number, is_list, is_mapping

WindowSpec = str | Sequence[Any] | Mapping[str, Any] | Callable[..., Any]
"""A registered name, a ``(name, options)`` pair, a mapping with ``name`` and options, or a window function."""


def boxcar(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Compute a rectangular window.

    Args:
        length: Length in samples, at least 1.
        periodic: True for the periodic window, for spectral analysis; False for the symmetric one, for filter design.

    Returns:
        Window, (length,) float64.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``length`` is out of range.

    Example:
        >>> boxcar(3).tolist()
        [1.0, 1.0, 1.0]

    Reference:
        ``scipy.signal.windows.boxcar``.
    """
    return _cosine_sum(length, periodic, (1.0,))


def hann(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Compute a Hann window.

    Args:
        length: Length in samples, at least 1.
        periodic: True for the periodic window, for spectral analysis; False for the symmetric one, for filter design.

    Returns:
        Window, (length,) float64.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``length`` is out of range.

    Example:
        >>> hann(4).round(3).tolist()
        [0.0, 0.5, 1.0, 0.5]

    Reference:
        ``scipy.signal.windows.hann``.
    """
    return _cosine_sum(length, periodic, (0.5, 0.5))


def hamming(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Compute a Hamming window.

    Args:
        length: Length in samples, at least 1.
        periodic: True for the periodic window, for spectral analysis; False for the symmetric one, for filter design.

    Returns:
        Window, (length,) float64.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``length`` is out of range.

    Example:
        >>> hamming(4).round(3).tolist()
        [0.08, 0.54, 1.0, 0.54]

    Reference:
        ``scipy.signal.windows.hamming``.
    """
    return _cosine_sum(length, periodic, (0.54, 0.46))


def general_hamming(length: int, *, periodic: bool = True, alpha: float = 0.54) -> NDArray[np.float64]:
    """Compute a generalized Hamming window.

    Args:
        length: Length in samples, at least 1.
        periodic: True for the periodic window, for spectral analysis; False for the symmetric one, for filter design.
        alpha: Weight of the constant term, 0 to 1; the cosine has the weight ``1 - alpha``. The default is Hamming's.

    Returns:
        Window, (length,) float64.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``length`` or ``alpha`` is out of range.

    Example:
        >>> general_hamming(4, alpha=0.75).round(3).tolist()
        [0.5, 0.75, 1.0, 0.75]

    Reference:
        ``scipy.signal.windows.general_hamming``; ``torch.signal.windows.general_hamming`` for the default.
    """
    check_number("alpha", alpha, minimum=0.0, maximum=1.0)
    return _cosine_sum(length, periodic, (float(alpha), 1 - float(alpha)))


def general_cosine(length: int, *, periodic: bool = True, weights: Sequence[float] = (0.5, 0.5)) -> NDArray[np.float64]:
    """Compute a weighted sum of cosines.

    Args:
        length: Length in samples, at least 1.
        periodic: True for the periodic window, for spectral analysis; False for the symmetric one, for filter design.
        weights: Weights of ``cos(k * angle)`` for k = 0, 1, …, where the angle is 0 at the center of the window and pi
            at its ends; scipy's ``a``. The default is Hann's.

    Returns:
        Window, (length,) float64.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``length`` or ``weights`` is out of range.

    Example:
        >>> general_cosine(4, weights=(0.4, 0.5, 0.1)).round(3).tolist()
        [0.0, 0.3, 1.0, 0.3]

    Reference:
        ``scipy.signal.windows.general_cosine``, which has no default.
    """
    if not isinstance(weights, list | tuple):
        raise TypeError(f"weights must be a tuple of finite numbers, got {weights!r} ({type(weights).__name__})")
    if not weights:
        raise ValueError(f"weights must be a tuple of at least one finite number, got {weights!r}")
    for index, weight in enumerate(weights):
        check_number(f"weights[{index}]", weight)
    return _cosine_sum(length, periodic, tuple(map(float, weights)))


def blackman(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Compute a Blackman window, with side lobes below -58 dB.

    Args:
        length: Length in samples, at least 1.
        periodic: True for the periodic window, for spectral analysis; False for the symmetric one, for filter design.

    Returns:
        Window, (length,) float64.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``length`` is out of range.

    Example:
        >>> abs(blackman(4)).round(3).tolist()
        [0.0, 0.34, 1.0, 0.34]

    Reference:
        ``scipy.signal.windows.blackman``.
    """
    return _cosine_sum(length, periodic, (0.42, 0.5, 0.08))


def nuttall(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Compute Nuttall's minimum four-term Blackman-Harris window, with side lobes below -98 dB.

    Args:
        length: Length in samples, at least 1.
        periodic: True for the periodic window, for spectral analysis; False for the symmetric one, for filter design.

    Returns:
        Window, (length,) float64.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``length`` is out of range.

    Example:
        >>> nuttall(4).round(3).tolist()
        [0.0, 0.227, 1.0, 0.227]

    Reference:
        Nuttall, "Some windows with very good sidelobe behavior", 1981; ``scipy.signal.windows.nuttall``.
    """
    return _cosine_sum(length, periodic, (0.3635819, 0.4891775, 0.1365995, 0.0106411))


def blackmanharris(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Compute a four-term Blackman-Harris window, with side lobes below -92 dB.

    Args:
        length: Length in samples, at least 1.
        periodic: True for the periodic window, for spectral analysis; False for the symmetric one, for filter design.

    Returns:
        Window, (length,) float64.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``length`` is out of range.

    Example:
        >>> blackmanharris(4).round(3).tolist()
        [0.0, 0.217, 1.0, 0.217]

    Reference:
        Harris, "On the use of windows for harmonic analysis with the discrete Fourier transform", 1978;
        ``scipy.signal.windows.blackmanharris``.
    """
    return _cosine_sum(length, periodic, (0.35875, 0.48829, 0.14128, 0.01168))


def flattop(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Compute a flat-top window, whose main lobe measures the level of a tone within 0.01 dB.

    Args:
        length: Length in samples, at least 1.
        periodic: True for the periodic window, for spectral analysis; False for the symmetric one, for filter design.

    Returns:
        Window, (length,) float64.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``length`` is out of range.

    Example:
        >>> flattop(4).round(3).tolist()
        [-0.0, -0.055, 1.0, -0.055]

    Reference:
        D'Antona and Ferrero, "Digital Signal Processing for Measurement Systems", 2006;
        ``scipy.signal.windows.flattop``.
    """
    return _cosine_sum(length, periodic, (0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368))


def povey(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Compute Kaldi's Povey window: a Hann window to the power of 0.85.

    Args:
        length: Length in samples, at least 1.
        periodic: True for the periodic window, for spectral analysis; False for the symmetric one, for filter design.

    Returns:
        Window, (length,) float64.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``length`` is out of range.

    Example:
        >>> povey(5, periodic=False).round(3).tolist()
        [0.0, 0.555, 1.0, 0.555, 0.0]

    Reference:
        Kaldi, ``feat/feature-window.cc``, which uses the symmetric window.
    """
    return np.asarray(hann(length, periodic=periodic) ** 0.85)


def bartlett(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Compute a Bartlett window: a triangle that is 0 at its ends.

    Args:
        length: Length in samples, at least 1.
        periodic: True for the periodic window, for spectral analysis; False for the symmetric one, for filter design.

    Returns:
        Window, (length,) float64.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``length`` is out of range.

    Example:
        >>> bartlett(4).tolist()
        [0.0, 0.5, 1.0, 0.5]

    Reference:
        ``scipy.signal.windows.bartlett``.
    """
    return _from_symmetric(length, periodic, lambda n: 1 - abs(_positions(n)))


def triang(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Compute a triangular window that is above 0 at its ends.

    Args:
        length: Length in samples, at least 1.
        periodic: True for the periodic window, for spectral analysis; False for the symmetric one, for filter design.

    Returns:
        Window, (length,) float64.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``length`` is out of range.

    Example:
        >>> triang(3, periodic=False).tolist()
        [0.5, 1.0, 0.5]

    Reference:
        ``scipy.signal.windows.triang``.
    """
    return _from_symmetric(length, periodic, lambda n: 1 - abs(_positions(n)) * (n - 1) / (n + n % 2))


def parzen(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Compute a Parzen window: piecewise cubic, with a non-negative spectrum.

    Args:
        length: Length in samples, at least 1.
        periodic: True for the periodic window, for spectral analysis; False for the symmetric one, for filter design.

    Returns:
        Window, (length,) float64.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``length`` is out of range.

    Example:
        >>> parzen(4).round(3).tolist()
        [0.016, 0.424, 1.0, 0.424]

    Reference:
        Parzen, "Mathematical considerations in the estimation of spectra", 1961;
        ``scipy.signal.windows.parzen``.
    """

    def symmetric(n: int) -> NDArray[np.float64]:
        position = abs(_positions(n))
        x = position * (n - 1) / n
        return np.where(position <= 0.5, 1 - 6 * x**2 + 6 * x**3, 2 * (1 - x) ** 3)

    return _from_symmetric(length, periodic, symmetric)


def bohman(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Compute a Bohman window: the convolution of two half cosines.

    Args:
        length: Length in samples, at least 1.
        periodic: True for the periodic window, for spectral analysis; False for the symmetric one, for filter design.

    Returns:
        Window, (length,) float64.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``length`` is out of range.

    Example:
        >>> bohman(4).round(3).tolist()
        [0.0, 0.318, 1.0, 0.318]

    Reference:
        ``scipy.signal.windows.bohman``.
    """

    def symmetric(n: int) -> NDArray[np.float64]:
        position = abs(_positions(n))
        return (1 - position) * np.cos(np.pi * position) + np.sin(np.pi * position) / np.pi

    return _from_symmetric(length, periodic, symmetric)


def cosine(length: int, *, periodic: bool = True) -> NDArray[np.float64]:
    """Compute a cosine window: half a period of a sine, above 0 at its ends.

    Args:
        length: Length in samples, at least 1.
        periodic: True for the periodic window, for spectral analysis; False for the symmetric one, for filter design.

    Returns:
        Window, (length,) float64.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``length`` is out of range.

    Example:
        >>> cosine(3, periodic=False).round(3).tolist()
        [0.5, 1.0, 0.5]

    Reference:
        ``scipy.signal.windows.cosine``.
    """
    return _from_symmetric(length, periodic, lambda n: np.cos(np.pi / 2 * _positions(n) * (n - 1) / n))


def tukey(length: int, *, periodic: bool = True, alpha: float = 0.5) -> NDArray[np.float64]:
    """Compute a Tukey window: flat, with tapered ends.

    Args:
        length: Length in samples, at least 1.
        periodic: True for the periodic window, for spectral analysis; False for the symmetric one, for filter design.
        alpha: Fraction of the window that is tapered, 0 (boxcar) to 1 (Hann).

    Returns:
        Window, (length,) float64.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``length`` or ``alpha`` is out of range.

    Example:
        >>> tukey(8).round(3).tolist()
        [0.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5]

    Reference:
        ``scipy.signal.windows.tukey``.
    """
    check_number("alpha", alpha, minimum=0.0, maximum=1.0)

    def symmetric(n: int) -> NDArray[np.float64]:
        if alpha == 0:
            return np.ones(n)
        taper = np.minimum(1 - abs(_positions(n)), float(alpha)) / float(alpha)
        return 0.5 - 0.5 * np.cos(np.pi * taper)

    return _from_symmetric(length, periodic, symmetric)


def kaiser(length: int, *, periodic: bool = True, beta: float = 12.0) -> NDArray[np.float64]:
    """Compute a Kaiser window.

    Args:
        length: Length in samples, at least 1.
        periodic: True for the periodic window, for spectral analysis; False for the symmetric one, for filter design.
        beta: Shape parameter, 0 (boxcar) to 700. Larger values widen the main lobe and lower the side lobes; the
            default has side lobes of about -90 dB.

    Returns:
        Window, (length,) float64.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``length`` or ``beta`` is out of range.

    Example:
        >>> kaiser(4, beta=5).round(3).tolist()
        [0.037, 0.553, 1.0, 0.553]

    Reference:
        Kaiser and Schafer, "On the use of the I0-sinh window for spectrum analysis", 1980;
        ``scipy.signal.windows.kaiser``; ``torch.kaiser_window`` for the default.
    """
    check_number("beta", beta, minimum=0.0, maximum=700.0)

    def symmetric(n: int) -> NDArray[np.float64]:
        return np.i0(float(beta) * np.sqrt(1 - _positions(n) ** 2)) / np.i0(float(beta))

    return _from_symmetric(length, periodic, symmetric)


def gaussian(length: int, *, periodic: bool = True, std: float | None = None) -> NDArray[np.float64]:
    """Compute a Gaussian window.

    Args:
        length: Length in samples, at least 1.
        periodic: True for the periodic window, for spectral analysis; False for the symmetric one, for filter design.
        std: Standard deviation in samples, above 0; None for a fifth of the distance between the first and the last
            sample of the symmetric window.

    Returns:
        Window, (length,) float64.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``length`` or ``std`` is out of range.

    Example:
        >>> gaussian(4, std=1.0).round(3).tolist()
        [0.135, 0.607, 1.0, 0.607]

    Reference:
        ``scipy.signal.windows.gaussian``, which has no default; Matlab's ``gausswin`` for the default.
    """
    if std is not None:
        check_number("std", std, above=0.0, unit="samples")

    def symmetric(n: int) -> NDArray[np.float64]:
        deviation = (n - 1) / 5 if std is None else float(std)
        with np.errstate(over="ignore"):  # the exponential of minus infinity is 0
            return np.exp(-0.5 * (_positions(n) * ((n - 1) / 2) / deviation) ** 2)

    return _from_symmetric(length, periodic, symmetric)


def dpss(length: int, *, periodic: bool = True, half_bandwidth: float = 2.5) -> NDArray[np.float64]:
    """Compute a Slepian window: the first discrete prolate spheroidal sequence.

    Args:
        length: Length in samples, at least 1.
        periodic: True for the periodic window, for spectral analysis; False for the symmetric one, for filter design.
        half_bandwidth: Half the bandwidth in which the energy is concentrated, in bins, above 0 and below half the
            length of the symmetric window, which is ``length + 1`` for the periodic one; scipy's ``NW``. Any value is
            valid for ``length`` 1.

    Returns:
        Window, (length,) float64.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``length`` or ``half_bandwidth`` is out of range.

    Example:
        >>> dpss(8, half_bandwidth=2.0).round(3).tolist()
        [0.074, 0.274, 0.582, 0.877, 1.0, 0.877, 0.582, 0.274]

    Reference:
        Slepian, "Prolate spheroidal wave functions, Fourier analysis, and uncertainty V", 1978;
        ``scipy.signal.windows.dpss``, which has no default; the default is that of its examples.
    """
    check_number("half_bandwidth", half_bandwidth, above=0.0)

    def symmetric(n: int) -> NDArray[np.float64]:
        if half_bandwidth >= n / 2:
            raise ValueError(
                f"half_bandwidth must be below {n / 2} bins, half of the {n} samples of the symmetric window, got "
                f"{half_bandwidth!r}; lower it or choose a longer window"
            )
        from scipy.signal import windows  # imported here: it takes long, and only this window needs it

        table: NDArray[np.float64] = windows.dpss(n, float(half_bandwidth))
        return table

    return _from_symmetric(length, periodic, symmetric)


def hashable_window(window_type: WindowSpec) -> WindowSpec:
    """Convert the specification of a window to a hashable one; equal windows give equal results.

    Args:
        window_type: A registered name, a ``(name, options)`` pair, a mapping with ``name`` and options, or a window
            function.

    Returns:
        A name, a ``(name, ((option, value), …))`` pair sorted by option, or the argument unchanged if it is neither
        named nor a mapping; ``window_table`` validates it.

    Example:
        >>> hashable_window({"name": "kaiser", "beta": 14})
        ('kaiser', (('beta', 14),))
        >>> hashable_window(["hann", {}])
        'hann'
    """
    named = _name_and_options(window_type)
    if named is None:
        return window_type
    name, options = named
    return (name, tuple((option, _hashable(options[option])) for option in sorted(options))) if options else name


def window_table(window_type: WindowSpec, length: int, periodic: bool = True) -> NDArray[np.float64]:
    """Compute a window from its specification.

    Args:
        window_type: A registered name, a ``(name, options)`` pair, a mapping with ``name`` and options, or a window
            function.
        length: Length in samples, at least 1.
        periodic: True for the periodic window, False for the symmetric one.

    Returns:
        Window, (length,) float64. The array is cached and read-only.

    Raises:
        UnknownComponentError: If no window of that name is installed.
        TypeError: If the specification has another form, or the window does not accept an option.
        ValueError: If an option is out of range, or the window does not return (length,) finite numbers.

    Example:
        >>> window_table("hann", 4).round(3).tolist()
        [0.0, 0.5, 1.0, 0.5]
        >>> window_table(("kaiser", {"beta": 5}), 4).round(3).tolist()
        [0.037, 0.553, 1.0, 0.553]
    """
    check_integer("length", length, minimum=1, unit="samples")
    check_flag("periodic", periodic)
    named = _name_and_options(window_type)
    if named is None and isinstance(window_type, list | tuple):  # the form of scipy.signal.get_window
        raise TypeError(
            f"a window with options must be a pair of its name and a mapping, such as ('kaiser', {{'beta': 14}}), got "
            f"{window_type!r}"
        )
    function = resolve("window", named or window_type)
    if "periodic" in getattr(function, "keywords", ()):
        raise TypeError(
            f"the options of the window {window_type!r} must not contain periodic; set window_periodic of the "
            f"configuration instead"
        )
    table = _evaluate(function, length, periodic)
    if table.shape != (length,) or not np.isfinite(table).all():
        raise ValueError(
            f"the window {window_type!r} must return {length} finite numbers for length {length}, got shape "
            f"{table.shape}" + ("" if np.isfinite(table).all() else " with NaN or infinity")
        )
    return table


def overlap_sum(
    window_type: WindowSpec, *, win_length: int, hop_length: int, power: int = 1, periodic: bool = True
) -> NDArray[np.float64]:
    """Compute the sum of overlapping windows over one hop.

    Away from the ends of a signal, the sum repeats every ``hop_length`` samples.

    Args:
        window_type: Window, as in ``SpectralConfig.window_type``.
        win_length: Length of the window in samples, at least 1.
        hop_length: Samples between successive frames, 1 to ``win_length``.
        power: Exponent applied to the window before summation, at least 1.
        periodic: True for the periodic window, False for the symmetric one.

    Returns:
        Sum, (hop_length,) float64, from the start of a frame.

    Raises:
        UnknownComponentError: If no window of that name is installed.
        TypeError: If the window has another form, or does not accept an option.
        ValueError: If an argument is out of range.

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
    window_type: WindowSpec, *, win_length: int, hop_length: int, tolerance: float = 1e-10, periodic: bool = True
) -> bool:
    """Check the nonzero overlap-add condition, without which there is no inverse STFT.

    Args:
        window_type: Window, as in ``SpectralConfig.window_type``.
        win_length: Length of the window in samples, at least 1.
        hop_length: Samples between successive frames, 1 to ``win_length``.
        tolerance: Value that the sum of squared windows must exceed everywhere, at least 0.
        periodic: True for the periodic window, False for the symmetric one.

    Returns:
        Whether the condition holds.

    Raises:
        UnknownComponentError: If no window of that name is installed.
        TypeError: If the window has another form, or does not accept an option.
        ValueError: If an argument is out of range.

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
    window_type: WindowSpec, *, win_length: int, hop_length: int, tolerance: float = 1e-10, periodic: bool = True
) -> bool:
    """Check the constant overlap-add condition.

    Args:
        window_type: Window, as in ``SpectralConfig.window_type``.
        win_length: Length of the window in samples, at least 1.
        hop_length: Samples between successive frames, 1 to ``win_length``.
        tolerance: Maximum deviation of the sum of windows from its median, at least 0.
        periodic: True for the periodic window, False for the symmetric one.

    Returns:
        Whether the condition holds.

    Raises:
        UnknownComponentError: If no window of that name is installed.
        TypeError: If the window has another form, or does not accept an option.
        ValueError: If an argument is out of range.

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
def _evaluate(function: Callable[..., Any], length: int, periodic: bool) -> NDArray[np.float64]:
    with jax.ensure_compile_time_eval():  # a window written with jax.numpy returns concrete values under jit, too
        table = np.array(function(length, periodic=periodic), dtype=np.float64)
    table.flags.writeable = False
    return table


def _name_and_options(spec: object) -> tuple[str, dict[str, Any]] | None:
    """Split a pair or mapping into the name and the options of a window; None for any other form."""
    if is_mapping(spec) and "name" in spec:
        spec = (spec["name"], {option: spec[option] for option in spec if option != "name"})
    if not (_is_pair(spec) and (is_mapping(spec[1]) or (is_list(spec[1]) and all(map(_is_pair, spec[1]))))):
        return None
    return spec[0], dict(spec[1])


def _is_pair(value: object) -> TypeGuard[Sequence[Any]]:
    """Return whether a value is a list or tuple of two items, the first one a string."""
    return is_list(value) and len(value) == 2 and isinstance(value[0], str)


def _hashable(value: object) -> object:
    return tuple(map(_hashable, value)) if is_list(value) else value


def _from_symmetric(
    length: int, periodic: bool, symmetric: Callable[[int], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Compute a window from a function of the length of its symmetric form.

    The periodic window is the symmetric window of ``length + 1`` samples without its last sample.
    """
    check_integer("length", length, minimum=1, unit="samples")
    check_flag("periodic", periodic)
    return np.ones(1) if length == 1 else symmetric(int(length) + periodic)[:length]


def _positions(length: int) -> NDArray[np.float64]:
    """Compute the positions of the samples of a symmetric window, -1 to 1, exactly antisymmetric."""
    return (2.0 * np.arange(length) - (length - 1)) / (length - 1)


def _cosine_sum(length: int, periodic: bool, weights: tuple[float, ...]) -> NDArray[np.float64]:
    def symmetric(n: int) -> NDArray[np.float64]:
        angle = np.pi * _positions(n)
        return np.asarray(sum(weight * np.cos(k * angle) for k, weight in enumerate(weights)), dtype=np.float64)

    return _from_symmetric(length, periodic, symmetric)
