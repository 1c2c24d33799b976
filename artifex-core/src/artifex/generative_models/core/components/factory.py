"""The factory: create a component by kind and name, with its options."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Literal, overload

import attrs

from artifex.generative_models.core.checks import is_list, is_mapping
from artifex.generative_models.core.components.kind import component_error, options_of
from artifex.generative_models.core.components.registries import registry
from artifex.generative_models.core.errors import suggest

if TYPE_CHECKING:
    from artifex.generative_models.core import protocols


class Bound(functools.partial):  # type: ignore[type-arg]
    """A ``functools.partial`` that is equal to another one with the same function and options.

    ``jax.jit`` and ``functools.cache`` use equality and hash to recognize a function, so that creating a component
    twice does not compile it twice. Options are compared with their types, because 1, 1.0 and True give different
    programs. Options that cannot be hashed, such as arrays, are compared by identity.

    Example:
        >>> Bound(int, base=2) == Bound(int, base=2)
        True
        >>> Bound(int, base=2) == Bound(int, base=2.0)
        False
    """

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bound) and _comparable(self) == _comparable(other)

    def __hash__(self) -> int:
        return hash(_comparable(self))


@overload
def create(kind: Literal["audio_type"], name: str, /, **options: Any) -> protocols.AudioType: ...
@overload
def create(kind: Literal["augmentation"], name: str, /, **options: Any) -> protocols.Augmentation: ...
@overload
def create(kind: Literal["metric"], name: str, /, **options: Any) -> protocols.Metric: ...
@overload
def create(kind: Literal["window"], name: str, /, **options: Any) -> protocols.Window: ...
@overload
def create(kind: Literal["reader"], name: str, /, **options: Any) -> protocols.Reader: ...
@overload
def create(kind: Literal["representation"], name: str, /, **options: Any) -> protocols.Representation: ...
@overload
def create(kind: Literal["dataset"], name: str, /, **options: Any) -> protocols.Dataset: ...
@overload
def create(kind: Literal["modality"], name: str, /, **options: Any) -> protocols.Modality: ...
@overload
def create(kind: Literal["extension"], name: str, /, **options: Any) -> protocols.Extension: ...
@overload
def create(kind: str, name: str, /, **options: Any) -> Any: ...
def create(kind: str, name: str, /, **options: Any) -> Any:
    """Create a component by kind and name.

    Args:
        kind: A kind of component; ``kinds()`` lists them.
        name: The component's name, or ``"name@distribution"`` if several distributions provide it.
        **options: Its options.

    Returns:
        A function with its options bound, an instance of a class, or a value with the given fields changed.

    Raises:
        UnknownComponentError: If there is no such kind or name.
        ConflictingComponentError: If several distributions provide the name.
        BrokenComponentError: If the component cannot be loaded.
        TypeError: For an unknown option; the message lists the valid ones.

    Example:
        >>> class Grayscale:
        ...     def __init__(self, config=None, *, rngs): self.config = config
        >>> registry("modality").register("grayscale", Grayscale)
        >>> create("modality", "grayscale", config=3, rngs=None).config
        3
        >>> create("modality", "grayscale", confg=3, rngs=None)
        Traceback (most recent call last):
        TypeError: modality 'grayscale' has no option 'confg'. Did you mean 'config'? Its options: config, rngs
        >>> registry("modality").unregister("grayscale")
    """
    components = registry(kind)
    component = components[name]
    known = options_of(components.kind, component)
    for option in options:
        if known is not None and option not in known:
            valid = f"Its options: {', '.join(known)}" if known else "It has no options"
            raise TypeError(f"{kind} {name!r} has no option {option!r}.{suggest(option, known)} {valid}")
    form = components.kind.form
    if form == "class":
        return component(**options)
    if not options:
        return component
    return attrs.evolve(component, **options) if form == "value" else Bound(component, **options)


def resolve(kind: str, spec: object) -> Any:
    """Create a component from any of the forms in which users may specify it.

    Args:
        kind: A kind of component.
        spec: A name, a ``(name, options)`` pair, a mapping with the key ``name`` and the options, or the component
            itself.

    Returns:
        The result of ``create``; a component is returned unchanged.

    Raises:
        TypeError: For anything else, or for unknown options.
        LookupError: If ``create`` raises it.

    Example:
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
    if is_mapping(spec) and isinstance(spec.get("name"), str):
        return create(kind, spec["name"], **{option: value for option, value in spec.items() if option != "name"})
    if is_list(spec) and len(spec) == 2 and isinstance(spec[0], str) and is_mapping(spec[1]):
        return create(kind, spec[0], **spec[1])
    error = component_error(registry(kind).kind, spec)
    if error:
        raise TypeError(
            f"{kind} must be a name, a (name, options) pair, a mapping with the key 'name', or the component itself: "
            f"{error}"
        )
    return spec


def _comparable(bound: Bound) -> tuple[Any, ...]:
    """Return a hashable value that is equal for equal functions and options."""
    options = tuple((name, _hashable(bound.keywords[name])) for name in sorted(bound.keywords))
    return (bound.func, tuple(map(_hashable, bound.args)), options)


def _hashable(value: Any) -> Any:
    """Return a hashable value that is equal for equal values of one type."""
    if isinstance(value, float):
        return (type(value), value.hex())  # unlike ==, hex distinguishes 0.0 from -0.0 and equates NaN with NaN
    if is_mapping(value):
        return (type(value), tuple((_hashable(key), _hashable(item)) for key, item in value.items()))
    if is_list(value):
        return (type(value), tuple(map(_hashable, value)))
    try:
        hash(value)
    except TypeError:
        return (type(value), id(value))
    return (type(value), value)
