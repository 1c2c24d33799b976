"""Conversion of configurations to and from plain values: dicts, lists, strings and numbers."""

from __future__ import annotations

import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import Enum
from functools import cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal, TypeGuard, TypeVar, Union, get_args, get_origin

import attrs

from artifex.generative_models.core.checks import check_choice, is_list, is_mapping
from artifex.generative_models.core.errors import suggest

if TYPE_CHECKING:
    import cattrs

T = TypeVar("T")

_COLLECTIONS: dict[object, Callable[[Iterable[Any]], Any]] = {
    tuple: tuple,
    list: list,
    set: set,
    frozenset: frozenset,
    Sequence: tuple,
}


def to_plain(value: Any) -> Any:
    """Convert a value to dicts, lists, strings, numbers, booleans and None.

    Args:
        value: An attrs instance, a mapping, a collection, an enum member, a path, a NumPy scalar or a plain value.

    Returns:
        The plain value. Sets become sorted lists; objects of other types are returned unchanged.

    Example:
        >>> to_plain({"folder": Path("data"), "range": (0.0, 1.0)})
        {'folder': 'data', 'range': [0.0, 1.0]}
    """
    if attrs.has(cls := value.__class__):
        return {field.name: to_plain(getattr(value, field.name)) for field in attrs.fields(cls) if field.init}
    if is_mapping(value):
        return {to_plain(key): to_plain(item) for key, item in value.items()}
    if is_list(value):
        return [to_plain(item) for item in value]
    if _is_set(value):
        return sorted(map(to_plain, value), key=repr)
    if isinstance(value, Enum):
        return to_plain(value.value)
    if isinstance(value, PurePath):
        return str(value)
    is_numpy_scalar = type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0
    return value.item() if is_numpy_scalar else value


def from_plain(cls: type[T], data: object) -> T:
    """Create an instance of an attrs class from plain values; the inverse of ``to_plain``.

    Args:
        cls: The class. The types of its fields determine the conversion.
        data: Field values by name.

    Returns:
        The instance.

    Raises:
        ValueError: When a key is unknown, a required key is missing or a value is invalid. The message lists every
            problem with its location.

    Example:
        >>> @attrs.frozen(kw_only=True)
        ... class Search:
        ...     folder: Path
        ...     suffixes: tuple[str, ...] = (".wav",)
        >>> from_plain(Search, {"folder": "data", "suffixes": [".wav", ".flac"]}).suffixes
        ('.wav', '.flac')
    """
    import cattrs

    try:
        return _converter().structure(data, cls)
    except (cattrs.BaseValidationError, TypeError, ValueError) as error:
        raise ValueError("\n".join(_messages(error, cls.__name__, cls.__name__))) from None


def field_names(cls: type) -> list[str]:
    """Return the names of the parameters of an attrs class.

    Args:
        cls: The class.

    Returns:
        The names, sorted.
    """
    return sorted(field.alias or field.name for field in attrs.fields(cls) if field.init)


def unknown_field(cls: type, name: object) -> str:
    """Format the message about an unknown field, with similar names.

    Args:
        cls: An attrs class.
        name: The name that is not a field.

    Returns:
        The message.
    """
    known = field_names(cls)
    return f"{cls.__name__}: unknown key {name!r}.{suggest(str(name), known)} Valid keys: {', '.join(known)}"


@cache
def _converter() -> cattrs.Converter:
    """Return a converter that follows field types; numbers and strings pass unchanged to the validators."""
    import cattrs
    from cattrs.gen import make_dict_structure_fn

    converter = cattrs.Converter(forbid_extra_keys=True)

    def structure_class(cls: Any) -> Callable[[Any, Any], Any]:
        from_mapping = make_dict_structure_fn(cls, converter, _cattrs_forbid_extra_keys=True)

        def structure(value: Any, _: Any) -> Any:
            return value if isinstance(value, cls) else from_mapping(_check_type(value, Mapping, "a mapping"), cls)

        return structure

    def structure_mapping(value: Any, hint: Any) -> Any:
        _, item_type = get_args(hint) or (Any, Any)
        items = _check_type(value, Mapping, "a mapping").items()
        structured = _structure_items(converter, ((key, item, item_type) for key, item in items), hint)
        return dict(zip(value, structured, strict=True))

    def structure_collection(value: Any, hint: Any) -> Any:
        items = list(_check_type(value, list | tuple | set | frozenset, "a list"))
        item_types = get_args(hint) or (Any, ...)
        if _origin(hint) is tuple and item_types[-1] is not ...:
            if len(items) != len(item_types):
                raise ValueError(f"expected {len(item_types)} values, got {len(items)}: {value!r}")
        else:
            item_types = item_types[:1] * len(items)
        triples = zip(range(len(items)), items, item_types, strict=True)
        return _COLLECTIONS[_origin(hint)](_structure_items(converter, triples, hint))

    def structure_union(value: Any, hint: Any) -> Any:
        """Convert a value to the only member of a union that fits its form; the validator checks other values."""
        members = [member for member in get_args(hint) if member is not types.NoneType]
        if value is None or any(isinstance(member, type) and isinstance(value, member) for member in members):
            return value
        if len(members) > 1 and is_mapping(value):
            members = [member for member in members if attrs.has(member) or _is_mapping(member)]
        elif len(members) > 1:
            members = [member for member in members if is_list(value) and _is_collection(member)]
        return converter.structure(value, members[0]) if len(members) == 1 else value

    for scalar in (int, float, str, bool):
        converter.register_structure_hook(scalar, lambda value, _: value)
    converter.register_structure_hook(Path, lambda value, _: Path(_check_type(value, str | PurePath, "a path")))
    converter.register_structure_hook_func(lambda hint: _origin(hint) in (Union, types.UnionType), structure_union)
    converter.register_structure_hook_func(_is_mapping, structure_mapping)
    converter.register_structure_hook_func(_is_collection, structure_collection)
    converter.register_structure_hook_func(_is_choice, _structure_choice)
    converter.register_structure_hook_factory(attrs.has, structure_class)
    return converter


def _structure_choice(value: Any, hint: Any) -> Any:
    """Check the value of a Literal, or convert the value of an enum member to the member."""
    if get_origin(hint) is Literal:
        check_choice("the value", value, choices=get_args(hint))
        return value
    if not isinstance(value, hint):
        check_choice("the value", value, choices=[member.value for member in hint])
    return hint(value)


def _structure_items(converter: cattrs.Converter, items: Iterable[tuple[object, Any, Any]], hint: object) -> list[Any]:
    """Structure the (location, value, type) of each item; raise for all invalid items together."""
    from cattrs import BaseValidationError, IterableValidationError, IterableValidationNote

    structured: list[Any] = []
    errors: list[Exception] = []
    for location, value, item_type in items:
        try:
            structured.append(converter.structure(value, item_type))
        except (TypeError, ValueError, LookupError, BaseValidationError) as error:
            error.add_note(IterableValidationNote(f"at {location!r}", location, hint))  # type: ignore[arg-type]
            errors.append(error)
    if errors:
        raise IterableValidationError("invalid items", errors, hint)  # type: ignore[arg-type] # pyright: ignore
    return structured


def _origin(hint: Any) -> Any:
    return get_origin(hint) or hint


def _is_set(value: object) -> TypeGuard[Collection[Any]]:
    return isinstance(value, set | frozenset)


def _is_mapping(hint: Any) -> bool:
    return _origin(hint) in (dict, Mapping)


def _is_collection(hint: Any) -> bool:
    return _origin(hint) in _COLLECTIONS


def _is_choice(hint: Any) -> bool:
    return get_origin(hint) is Literal or (isinstance(hint, type) and issubclass(hint, Enum))


def _check_type(value: Any, expected: Any, description: str) -> Any:
    if not isinstance(value, expected):
        raise TypeError(f"expected {description}, got {value!r} ({type(value).__name__})")
    return value


def _messages(error: BaseException, cls: str, location: str) -> list[str]:
    """Return one message for each problem, with the location from the outermost class down."""
    import cattrs

    prefix = "" if location == cls else f"{location}: "
    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        return [prefix + unknown_field(error.cl, name) for name in sorted(error.extra_fields, key=str)]
    if isinstance(error, cattrs.BaseValidationError):
        return [message for part in error.exceptions for message in _messages(part, cls, _location(part, location))]
    if isinstance(error, KeyError):
        return [f"{location} is missing and has no default"]
    message = str(error)
    return [message if message.startswith((f"{location}.", f"{location}:")) else f"{location}: {message}"]


def _location(error: BaseException, parent: str) -> str:
    """Append the field name or index, which cattrs attaches to the error as a note."""
    import cattrs

    for note in getattr(error, "__notes__", ()):
        if isinstance(note, cattrs.AttributeValidationNote):
            return f"{parent}.{note.name}"
        if isinstance(note, cattrs.IterableValidationNote):
            return f"{parent}[{note.index!r}]"
    return parent
