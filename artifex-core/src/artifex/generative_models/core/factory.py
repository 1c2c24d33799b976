"""The factory: a component by kind and name, with its options."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, overload

import attrs

from artifex.generative_models.core.errors import suggest
from artifex.generative_models.core.registry import fault_of, kinds, options_of, registry

if TYPE_CHECKING:
    from artifex.generative_models.core.configuration import Configuration
    from artifex.generative_models.core.protocols import AudioType, Augmentation, Metric, Representation, Window
    from artifex.generative_models.extensions.base import ModelExtension
    from artifex.generative_models.modalities.base import BaseDataset, Modality


class Bound(functools.partial):  # type: ignore[type-arg]
    """A function with options bound; equal and of equal hash when function and options are.

    ``jax.jit`` and ``functools.cache`` then know two of them for one, so that asking the factory twice does
    not compile twice. Options are equal when their types are too: 1, 1.0 and True give different programs.
    One that cannot be hashed, such as an array, equals itself alone.

    Example:
        >>> Bound(int, base=2) == Bound(int, base=2)
        True
    """

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bound) and _parts(self) == _parts(other)

    def __hash__(self) -> int:
        return hash(_parts(self))


@overload
def create(kind: Literal["audio_type"], name: str, /, **options: Any) -> AudioType: ...
@overload
def create(kind: Literal["augmentation"], name: str, /, **options: Any) -> Augmentation: ...
@overload
def create(kind: Literal["metric"], name: str, /, **options: Any) -> Metric: ...
@overload
def create(kind: Literal["window"], name: str, /, **options: Any) -> Window: ...
@overload
def create(kind: Literal["representation"], name: str, /, **options: Any) -> Representation: ...
@overload
def create(kind: Literal["dataset"], name: str, /, **options: Any) -> BaseDataset: ...
@overload
def create(kind: Literal["modality"], name: str, /, **options: Any) -> Modality: ...
@overload
def create(kind: Literal["extension"], name: str, /, **options: Any) -> ModelExtension: ...
@overload
def create(kind: Literal["preset"], name: str, /, **options: Any) -> Configuration: ...
@overload
def create(kind: str, name: str, /, **options: Any) -> Any: ...
def create(kind: str, name: str, /, **options: Any) -> Any:
    """Make a component by kind and name.

    Args:
        kind: A kind of component; see ``kinds()``.
        name: Its name, or ``"name@distribution"`` where several provide it.
        **options: Its options. A function comes back with them bound, a class built with them, a value
            changed by them.

    Returns:
        A callable, an instance, or a value, as the kind has it.

    Raises:
        UnknownComponentError: When there is no such kind or name.
        ConflictingComponentError: When several distributions claim the name.
        BrokenComponentError: When it cannot be loaded.
        TypeError: For an option that it does not take; the message names those it takes.

    Example:
        >>> from artifex.generative_models.core import registry
        >>> class Grayscale:
        ...     def __init__(self, config=None, *, rngs): self.config = config
        >>> registry("modality").register("grayscale", Grayscale)
        >>> create("modality", "grayscale", config=3, rngs=None).config
        3
        >>> create("modality", "grayscale", confg=3, rngs=None)
        Traceback (most recent call last):
        TypeError: modality 'grayscale' takes no option 'confg'. Did you mean 'config'? It takes: config, rngs
        >>> registry("modality").unregister("grayscale")
    """
    return _with_options(kind, name, registry(kind)[name], options)


def resolve(kind: str, spec: Any) -> Any:
    """Turn what users may write for a component into the component, its options bound.

    Args:
        kind: A kind of component.
        spec: A name; a ``(name, options)`` pair; a mapping with the key ``name`` and options beside it; or
            the component itself.

    Returns:
        What ``create`` returns; a component that was given itself comes back as it is.

    Raises:
        TypeError: For anything else, or options that it does not take.
        LookupError: As ``create`` does.

    Example:
        >>> from artifex.generative_models.core import registry
        >>> class Grayscale:
        ...     def __init__(self, config=None, *, rngs=None): self.config = config
        >>> registry("modality").register("grayscale", Grayscale)
        >>> resolve("modality", ("grayscale", {"config": 3})).config
        3
        >>> resolve("modality", {"name": "grayscale", "config": 3}).config
        3
        >>> registry("modality").unregister("grayscale")
    """
    if isinstance(spec, str):
        return create(kind, spec)
    if isinstance(spec, Mapping) and isinstance(spec.get("name"), str):
        return create(kind, spec["name"], **{k: v for k, v in spec.items() if k != "name"})
    if isinstance(spec, tuple | list) and len(spec) == 2 and isinstance(spec[0], str) and isinstance(spec[1], Mapping):
        return create(kind, spec[0], **spec[1])
    own = registry(kind).kind
    fault = fault_of(own, spec)
    if not fault:
        return spec
    raise TypeError(
        f"{kind}: expected a name, a (name, options) pair, a mapping with 'name' in it, or the component "
        f"itself: {fault}"
    )


def _with_options(kind: str, name: str, component: Any, options: dict[str, Any]) -> Any:
    form = kinds()[kind]
    known = options_of(form, component)
    for option in options:
        if known is not None and option not in known:
            listed = f"It takes: {', '.join(known)}" if known else "It takes none"
            raise TypeError(f"{kind} {name!r} takes no option {option!r}.{suggest(option, known)} {listed}")
    if form.form == "class":
        return component(**options)
    if form.form == "value":
        return attrs.evolve(component, **options) if options else component
    return Bound(component, **options) if options else component


def _parts(bound: Bound) -> tuple[Any, ...]:
    options = tuple((name, _hashable(bound.keywords[name])) for name in sorted(bound.keywords))
    return (bound.func, tuple(map(_hashable, bound.args)), options)


def _hashable(value: Any) -> Any:
    if isinstance(value, float):
        return (type(value), float(value).hex())  # tells 0.0 from -0.0, and knows one nan for another
    if isinstance(value, dict):
        return (type(value), tuple((_hashable(k), _hashable(v)) for k, v in value.items()))
    if isinstance(value, list | tuple):
        return (type(value), tuple(map(_hashable, value)))
    try:
        hash(value)
    except TypeError:
        return (type(value), id(value))
    return (type(value), value)
