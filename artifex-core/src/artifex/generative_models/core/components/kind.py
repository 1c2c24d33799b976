"""Kinds of components, the claims of distributions to names, and the signature that a component must have."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import attrs

from artifex.generative_models.core.checks import check_choice, check_integer, field_check, is_list
from artifex.generative_models.core.errors import printable

IN_PROCESS = "(this process)"


def _matches(pattern: str, expected: str) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    def validate(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(f"Kind.{attribute.name} must be {expected}, got {value!r}")

    return validate


def _check_names(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not (is_list(value) and isinstance(value, tuple) and all(isinstance(name, str) for name in value)):
        raise TypeError(f"Kind.{attribute.name} must be a tuple of names, got {value!r}")


@attrs.frozen(kw_only=True)
class Kind:
    """A kind of component: its entry-point group and the form of its components.

    Args:
        name: The name that users write, such as ``"audio_type"``.
        group: The entry-point group, such as ``"artifex.audio_types"``.
        summary: One sentence that describes a component of this kind.
        form: ``"function"`` (``create`` binds its options), ``"class"`` (``create`` instantiates it) or ``"value"``
            (an attrs instance; ``create`` returns a copy with the given fields changed).
        positional: Number of leading arguments that the caller of a function passes.
        call: Keyword arguments that the caller of a function passes; all others are options.
        attributes: Attributes that a class must have.

    Example:
        >>> Kind(name="metric", group="artifex.metrics", summary="A score.", form="function").name
        'metric'
    """

    name: str = attrs.field(validator=_matches(r"[a-z][a-z0-9_]*", "a lower-case word such as 'audio_type'"))
    group: str = attrs.field(validator=_matches(r"artifex\.[a-z0-9_.]+", "a group such as 'artifex.audio_types'"))
    summary: str = attrs.field(validator=_matches(r".+", "one sentence"))
    form: str = attrs.field(validator=field_check(check_choice, choices=("function", "class", "value")))
    positional: int = attrs.field(default=0, validator=field_check(check_integer, minimum=0))
    call: tuple[str, ...] = attrs.field(default=(), validator=_check_names)
    attributes: tuple[str, ...] = attrs.field(default=(), validator=_check_names)


@attrs.frozen(kw_only=True)
class Claim:
    """A component that a distribution provides under a name, as its entry point declares it.

    Args:
        kind: The kind's name.
        name: The component's name.
        distribution: The normalized name of the distribution.
        value: The location of the component, as ``"package.module:object"``.
        version: The distribution's version; ignored when claims are compared.
    """

    kind: str
    name: str
    distribution: str
    value: str
    version: str = attrs.field(default="", eq=False)

    @property
    def provider(self) -> str:
        """The distribution and its version, as messages print them."""
        return printable(f"{self.distribution} {self.version}".rstrip())

    @property
    def qualified_name(self) -> str:
        """The name that selects this claim: ``name@distribution``, or ``name`` for one registered in this process."""
        return self.name if self.distribution == IN_PROCESS else f"{self.name}@{self.distribution}"


def component_error(kind: Kind, component: object) -> str:
    """Describe why an object is not a component of a kind.

    Args:
        kind: The kind.
        component: The object.

    Returns:
        The reason, or an empty string if the object is a component of this kind.

    Example:
        >>> metric = Kind(name="metric", group="artifex.metrics", summary="A score.", form="function")
        >>> component_error(metric, 3)
        'a metric must be a function, got 3 (int)'
    """
    a_kind = f"{'an' if kind.name[0] in 'aeiou' else 'a'} {kind.name}"
    got = f"got {component!r} ({type(component).__name__})"
    if kind.form == "class":
        if not isinstance(component, type):
            return f"{a_kind} must be a class, {got}"
        missing = [attribute for attribute in kind.attributes if not _declares(component, attribute)]
        if missing:
            expected = ", ".join(kind.attributes)
            return f"{a_kind} must have {expected}; {component.__name__} lacks {', '.join(missing)}"
        return ""
    if kind.form == "value":
        return "" if attrs.has(type(component)) else f"{a_kind} must be an attrs instance, {got}"
    if not callable(component) or isinstance(component, type):
        return f"{a_kind} must be a function, {got}"
    return _signature_error(kind, component, a_kind)


def options_of(kind: Kind, component: Any) -> dict[str, inspect.Parameter] | None:
    """Return the options of a component.

    Args:
        kind: The component's kind.
        component: The component.

    Returns:
        Parameters by name: those of a function except the arguments that its caller passes, those of a class's
        constructor, or the fields of a value. None if any option is accepted (``**kwargs``) or the signature is
        unknown.
    """
    if kind.form == "value":
        fields = [field for field in attrs.fields(component.__class__) if field.init]
        return {(field.alias or field.name): _field_parameter(component, field) for field in fields}
    try:
        parameters = list(signature_of(component).parameters.values())
    except (TypeError, ValueError):  # functions written in C may have no signature
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    if kind.form == "class":
        return {p.name: p for p in parameters if p.kind is not p.VAR_POSITIONAL}
    rest = parameters[kind.positional :]
    passed_by_caller = {p.name for p in rest if p.name in kind.call and p.default is p.empty}
    return {p.name: p for p in rest if p.name not in passed_by_caller and p.kind is not p.VAR_POSITIONAL}


def signature_of(component: Any) -> inspect.Signature:
    """Return the signature of a function or of a class's constructor.

    Args:
        component: A function or class.

    Returns:
        The signature without ``self``.

    Raises:
        ValueError: If it has none.

    Example:
        >>> class Grayscale:
        ...     def __init__(self, config=None, *, rngs): ...
        >>> str(signature_of(Grayscale))
        '(config=None, *, rngs)'
    """
    if isinstance(component, type) and component.__init__ is not object.__init__:  # type: ignore[misc]
        # inspect.signature(component) would return that of the metaclass's __call__ where there is one, as in nnx.
        constructor = inspect.signature(component.__init__)  # type: ignore[misc]
        without_self = list(constructor.parameters.values())[1:]
        return constructor.replace(parameters=without_self, return_annotation=inspect.Signature.empty)
    return inspect.signature(component)


def _field_parameter(component: Any, field: attrs.Attribute[Any]) -> inspect.Parameter:
    return inspect.Parameter(
        field.alias or field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=getattr(component, field.name),
        annotation=field.type if field.type is not None else inspect.Parameter.empty,
    )


def _declares(component: type, attribute: str) -> bool:
    """Return whether a class or one of its bases defines or annotates an attribute; its metaclass does not count."""
    return any(
        attribute in vars(base) or attribute in vars(base).get("__annotations__", {})
        for base in inspect.getmro(component)
    )


def _signature_error(kind: Kind, function: Any, a_kind: str) -> str:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return ""
    parameters = list(signature.parameters.values())
    n_positional = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
    if n_positional < kind.positional and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return f"{a_kind} must take {kind.positional} positional arguments, got {n_positional}: {signature}"
    missing = [name for name in kind.call if name not in signature.parameters]
    if missing and not any(p.kind is p.VAR_KEYWORD for p in parameters):
        expected = ", ".join(kind.call)
        return f"{a_kind} must take the keyword arguments {expected}; missing: {', '.join(missing)}: {signature}"
    return ""
