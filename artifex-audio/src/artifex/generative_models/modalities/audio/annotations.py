"""What is known beside the samples: of a generated sound, what it was made from; of an augmentation, what it drew."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec

import jax

from artifex.generative_models.core.factory import Bound

_P = ParamSpec("_P")


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
    return known if known is not None else Bound(_without, audio_type)


def _without(
    audio_type: Callable[..., jax.Array], *args: Any, **options: Any
) -> tuple[jax.Array, dict[str, jax.Array]]:
    return audio_type(*args, **options), {}
