"""What is known beside the samples: of a generated sound, what it was made from; of an augmentation, what it drew."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal, ParamSpec, TypeVar

import jax
import numpy as np
from jax.typing import ArrayLike

from artifex.generative_models.core.components.factory import Bound

_P = ParamSpec("_P")
F = TypeVar("F", bound=Callable[..., Any])


def annotated(render: Callable[_P, tuple[jax.Array, dict[str, jax.Array]]]) -> Callable[_P, jax.Array]:
    """Make an audio type or an augmentation of a function that returns a sound and what is known of it.

    The annotations have the shapes that the options decide, never the draws: ``f0`` (n_time_steps,) in Hz, 0 where
    nothing is pitched; ``onsets`` (k,) in seconds, NaN where there are fewer than k; ``stems`` (n, n_time_steps), which
    add up to the sound; everything that was drawn under its own name. Where nobody asks for them they cost nothing:
    the compiler leaves them out.

    An augmentation names what it drew: the option ``gain_range`` gives ``gain``. What it drew does not depend on the
    samples, only on the key, the shape and the options.

    Args:
        render: A function ``f(key, *, n_time_steps, sample_rate, **options)``, or ``f(audio, key, **options)``, that
            returns the waveform and a dict of arrays.

    Returns:
        The audio type or augmentation: the same function, returning the waveform alone.

    Example:
        >>> import jax.numpy as jnp
        >>> @annotated
        ... def click(key, *, n_time_steps, sample_rate):
        ...     place = jax.random.randint(key, (), 0, n_time_steps)
        ...     return jnp.zeros(n_time_steps).at[place].set(1.0), {"onsets": place[None] / sample_rate}
        >>> click(jax.random.key(0), n_time_steps=100, sample_rate=1000).shape
        (100,)
        >>> sound, known = with_annotations(click)(jax.random.key(0), n_time_steps=100, sample_rate=1000)
        >>> int(sound.argmax()) == round(1000 * float(known["onsets"][0]))
        True
    """

    @functools.wraps(render)
    def audio_type(*args: _P.args, **kwargs: _P.kwargs) -> jax.Array:
        return render(*args, **kwargs)[0]

    audio_type.__signature__ = inspect.signature(render).replace(return_annotation="jax.Array")  # type: ignore[attr-defined]
    audio_type.__annotations__ = {**audio_type.__annotations__, "return": "jax.Array"}
    audio_type.annotated = render  # type: ignore[attr-defined]
    return audio_type


def audio_type(
    *, annotated: Callable[..., tuple[jax.Array, dict[str, jax.Array]]] | None = None, draws: bool = True
) -> Callable[[F], F]:
    """Return a decorator that attaches the annotations of an audio type to it and returns it unchanged.

    Annotations have shapes that the options determine, never the draws: ``f0`` (n_time_steps,) in Hz, 0 where the sound
    is unpitched; ``onsets`` (k,) in seconds, NaN where there are fewer than k; ``stems`` (n, n_time_steps), which add up
    to the waveform; and every drawn parameter under its own name.

    Args:
        annotated: A function of the same arguments, without defaults, that returns the waveform and its annotations.
        draws: Whether the waveform depends on the key.

    Returns:
        The decorator; it sets the attributes ``annotated`` and ``draws``.

    Example:
        >>> import jax.numpy as jnp
        >>> def annotated_click(key, *, n_time_steps, sample_rate):
        ...     position = jax.random.randint(key, (), 0, n_time_steps)
        ...     return jnp.zeros(n_time_steps).at[position].set(1.0), {"onsets": position[None] / sample_rate}
        >>> @audio_type(annotated=annotated_click)
        ... def click(key, *, n_time_steps, sample_rate):
        ...     return annotated_click(key, n_time_steps=n_time_steps, sample_rate=sample_rate)[0]
        >>> audio, annotations = with_annotations(click)(jax.random.key(0), n_time_steps=100, sample_rate=1000)
        >>> int(audio.argmax()) == round(1000 * float(annotations["onsets"][0]))
        True
    """

    def attach(function: F) -> F:
        if annotated is not None:
            function.annotated = annotated  # type: ignore[attr-defined]
        function.draws = draws  # type: ignore[attr-defined]
        return function

    return attach


def augmentation(
    *, draw: Callable[..., dict[str, jax.Array]] | None, domain: Literal["waveform", "spectrogram"] = "waveform"
) -> Callable[[F], F]:
    """Return a decorator that attaches the draw of an augmentation to it and returns it unchanged.

    Args:
        draw: ``draw(key, shape, **options)`` returns the parameters drawn for an example of that shape, by name. It takes
            the options it needs under the names that the augmentation gives them. None for an augmentation that draws
            nothing.
        domain: Whether the augmentation takes waveforms (..., time) or spectrograms (..., freq, time).

    Returns:
        The decorator; it sets the attributes ``draw``, ``draws`` and ``works_on``.

    Example:
        >>> def draw_gain(key, shape, *, gain_range=(0.5, 2.0)):
        ...     return {"gain": jax.random.uniform(key, (), minval=gain_range[0], maxval=gain_range[1])}
        >>> @augmentation(draw=draw_gain)
        ... def gain(audio, key, gain_range=(0.5, 2.0)):
        ...     return draw_gain(key, audio.shape, gain_range=gain_range)["gain"] * audio
        >>> float(drawn_parameters(gain, jax.random.key(0), (8000,))["gain"]) == float(gain(jax.numpy.ones(1), jax.random.key(0))[0])
        True
    """

    def attach(function: F) -> F:
        function.draw = draw  # type: ignore[attr-defined]
        function.draws = draw is not None  # type: ignore[attr-defined]
        function.works_on = domain  # type: ignore[attr-defined]
        return function

    return attach


def drawn_parameters(function: Callable[..., Any], key: jax.Array, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return the parameters that an augmentation draws for an example.

    Args:
        function: An augmentation, its options bound or not.
        key: The key that the augmentation is called with.
        shape: The shape of the example.

    Returns:
        The drawn parameters by name; empty for an augmentation without a declared draw.
    """
    options: dict[str, Any] = {}
    while isinstance(function, functools.partial):
        options = {**function.keywords, **options}
        function = function.func
    draw = getattr(function, "draw", None)
    if draw is None:
        return {}
    taken = inspect.signature(draw).parameters
    drawn: dict[str, Any] = draw(key, shape, **{name: value for name, value in options.items() if name in taken})
    return drawn


def with_annotations(audio_type: Callable[..., jax.Array]) -> Callable[..., tuple[jax.Array, dict[str, jax.Array]]]:
    """Return the function of an audio type or augmentation that gives its annotations too.

    Args:
        audio_type: An audio type or augmentation, its options bound or not.

    Returns:
        A function of the same arguments that returns the waveform and a dict of arrays, empty for one that knows
        nothing. For equal functions it is an equal function.

    Example:
        >>> def hum(key, *, n_time_steps, sample_rate): return jax.numpy.zeros(n_time_steps)
        >>> with_annotations(hum)(jax.random.key(0), n_time_steps=2, sample_rate=8)[1]
        {}
    """
    if isinstance(audio_type, Bound):
        return Bound(with_annotations(audio_type.func), *audio_type.args, **audio_type.keywords)
    known: Any = getattr(audio_type, "annotated", None)
    if known is not None:
        return Bound(known, **_missing_defaults(audio_type, known))
    return Bound(_with_drawn if getattr(audio_type, "draw", None) else _without, audio_type)


def _missing_defaults(function: Callable[..., Any], annotated: Callable[..., Any]) -> dict[str, Any]:
    """The defaults of a function's options that its annotated form takes without one."""
    bare = {p.name for p in inspect.signature(annotated).parameters.values() if p.default is p.empty}
    taken = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in taken if p.name in bare and p.default is not p.empty}


def _with_drawn(
    function: Callable[..., jax.Array], data: ArrayLike, key: jax.Array, *positional: Any, **options: Any
) -> tuple[jax.Array, dict[str, jax.Array]]:
    options |= zip(list(inspect.signature(function).parameters)[2:], positional, strict=False)
    return function(data, key, **options), drawn_parameters(Bound(function, **options), key, np.shape(data))


def _without(
    audio_type: Callable[..., jax.Array], *args: Any, **options: Any
) -> tuple[jax.Array, dict[str, jax.Array]]:
    return audio_type(*args, **options), {}
