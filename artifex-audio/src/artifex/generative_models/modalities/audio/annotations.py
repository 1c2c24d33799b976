"""Metadata of generated and augmented audio: annotations of audio types, drawn parameters of augmentations."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal, TypeAlias, TypeVar

import jax
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.core.checks import check_choice
from artifex.generative_models.core.components.factory import Bound

F = TypeVar("F", bound=Callable[..., Any])

_REQUIRED = inspect.Parameter.empty

AnnotatedAudio: TypeAlias = tuple[jax.Array, dict[str, jax.Array]]
"""A waveform and its annotations by name."""

Drawn: TypeAlias = dict[str, jax.Array]
"""The drawn parameters of an augmentation by name."""


def audio_type(*, annotated: Callable[..., AnnotatedAudio] | None = None, draws: bool = True) -> Callable[[F], F]:
    """Return a decorator that attaches the annotations of an audio type to it and returns it unchanged.

    Shapes of annotations depend on the length, sample rate and options only, not on the drawn values. Common names are ``f0`` (n_time_steps,)
    in Hz, 0 where the sound is unpitched; ``onset_samples`` (k,) int32, -1 where there are fewer than k; ``stems``
    (n, n_time_steps), which sum to the waveform; and every drawn parameter under its own name. Under ``jit``, annotations
    that are not used are not computed.

    Positions and long durations are integers in samples, under names that end in ``_samples``: float32 seconds are off by
    up to 2 samples after 10 minutes at 48 kHz. Datasets add them in seconds, as float64, under names that end in ``_seconds``.

    Args:
        annotated: A function with the same parameters, with or without defaults, that returns the waveform and its
            annotations. None for an audio type without annotations.
        draws: Whether the waveform depends on the key.

    Returns:
        The decorator; it sets the attributes ``annotated`` (unless None) and ``draws``.

    Example:
        >>> import jax.numpy as jnp
        >>> def annotated_click(key, n_time_steps, sample_rate):
        ...     position = jax.random.randint(key, (), 0, n_time_steps)
        ...     return jnp.zeros(n_time_steps).at[position].set(1.0), {"onset_samples": position[None]}
        >>> @audio_type(annotated=annotated_click)
        ... def click(key, *, n_time_steps, sample_rate):
        ...     return annotated_click(key, n_time_steps, sample_rate)[0]
        >>> audio, annotations = with_annotations(click)(jax.random.key(0), n_time_steps=100, sample_rate=1000)
        >>> bool(audio.argmax() == annotations["onset_samples"][0])
        True
    """

    def attach(function: F) -> F:
        if annotated is not None:
            function.annotated = annotated  # type: ignore[attr-defined]
        function.draws = draws  # type: ignore[attr-defined]
        return function

    return attach


def augmentation(
    *, draw: Callable[..., Drawn] | None, domain: Literal["waveform", "spectrogram"] = "waveform"
) -> Callable[[F], F]:
    """Return a decorator that attaches the random draw of an augmentation to it and returns it unchanged.

    Args:
        draw: ``draw(key, shape, *, …)`` returns the drawn parameters by name for an example of that shape. Its
            keyword arguments are some or all of the options of the augmentation, with the same values as in the call
            of the augmentation, defaults included. None for a deterministic augmentation.
        domain: Whether the augmentation takes waveforms (..., time) or spectrograms (..., freq, time).

    Returns:
        The decorator; it sets the attributes ``draw``, ``draws`` and ``works_on``.

    Example:
        >>> def draw_gain(key, shape, *, gain_range):
        ...     return {"gain": jax.random.uniform(key, (), minval=gain_range[0], maxval=gain_range[1])}
        >>> @augmentation(draw=draw_gain)
        ... def gain(audio, key, gain_range=(0.5, 2.0)):
        ...     return draw_gain(key, audio.shape, gain_range=gain_range)["gain"] * audio
        >>> key, audio = jax.random.key(0), jax.numpy.ones(8000)
        >>> bool(gain(audio, key)[0] == drawn_parameters(gain, key, audio.shape)["gain"])
        True
    """
    check_choice("domain", domain, choices=("waveform", "spectrogram"))

    def attach(function: F) -> F:
        function.draw = draw  # type: ignore[attr-defined]
        function.draws = draw is not None  # type: ignore[attr-defined]
        function.works_on = domain  # type: ignore[attr-defined]
        return function

    return attach


def function_and_options(augmentation: Any) -> tuple[Any, dict[str, Any]]:
    """Return the function of an augmentation and its bound options.

    Args:
        augmentation: A function or a partial application of one.

    Returns:
        The function and a dict of its options.

    Example:
        >>> function_and_options(Bound(jax.numpy.clip, max=1.0))[1]
        {'max': 1.0}
    """
    options: dict[str, Any] = {}
    while isinstance(augmentation, functools.partial):
        options = {**augmentation.keywords, **options}
        augmentation = augmentation.func
    return augmentation, options


def drawn_parameters(function: Callable[..., Any], key: jax.Array, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return the parameters that an augmentation draws for an example.

    Args:
        function: An augmentation, with or without options bound.
        key: The random key passed to the augmentation.
        shape: Shape of the example.

    Returns:
        The drawn parameters by name; empty for an augmentation without a declared draw.

    Example:
        >>> drawn_parameters(lambda audio, key: audio, jax.random.key(0), (8000,))
        {}
    """
    function, options = function_and_options(function)
    draw = getattr(function, "draw", None)
    if draw is None:
        return {}
    options = option_defaults(function) | options
    taken = list(inspect.signature(draw).parameters)[2:]
    drawn: dict[str, Any] = draw(
        key, shape, **{name: options[name] for name in taken if options.get(name, _REQUIRED) is not _REQUIRED}
    )
    return drawn


def option_defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the parameters of a function with their defaults, ``inspect.Parameter.empty`` where there is none.

    Args:
        function: A function.

    Returns:
        The defaults by name; empty for a function whose signature cannot be read.
    """
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}
    return {name: parameter.default for name, parameter in parameters.items()}


def with_annotations(audio_type: Callable[..., jax.Array]) -> Callable[..., AnnotatedAudio]:
    """Return the function that computes an audio type or augmentation together with its annotations.

    The annotations of an augmentation are its drawn parameters.

    Args:
        audio_type: An audio type or augmentation, with or without options bound.

    Returns:
        A function with the same parameters that returns the waveform and a dict of arrays, which is empty if none are
        declared. The results for equal functions compare equal.

    Example:
        >>> def hum(key, *, n_time_steps, sample_rate): return jax.numpy.zeros(n_time_steps)
        >>> with_annotations(hum)(jax.random.key(0), n_time_steps=2, sample_rate=8)[1]
        {}
    """
    if isinstance(audio_type, Bound):
        return Bound(with_annotations(audio_type.func), *audio_type.args, **audio_type.keywords)
    annotated: Any = getattr(audio_type, "annotated", None)
    if annotated is not None:
        return Bound(annotated, **_missing_defaults(audio_type, annotated))
    return Bound(_with_drawn_parameters if getattr(audio_type, "draw", None) else _with_none, audio_type)


def _missing_defaults(function: Callable[..., Any], annotated: Callable[..., Any]) -> dict[str, Any]:
    """Return the defaults of the options for which the annotated function has none."""
    required = {name for name, default in option_defaults(annotated).items() if default is _REQUIRED}
    defaults = option_defaults(function)
    return {name: value for name, value in defaults.items() if name in required and value is not _REQUIRED}


def _with_drawn_parameters(
    function: Callable[..., jax.Array], data: ArrayLike, key: jax.Array, *positional: Any, **options: Any
) -> AnnotatedAudio:
    options |= zip(list(inspect.signature(function).parameters)[2:], positional, strict=False)
    return function(data, key, **options), drawn_parameters(Bound(function, **options), key, np.shape(data))


def _with_none(audio_type: Callable[..., jax.Array], *args: Any, **options: Any) -> AnnotatedAudio:
    return audio_type(*args, **options), {}
