"""The configuration base, its way to and from plain dicts and files, and ExtensionConfig."""

from __future__ import annotations

import copy
import os
import tomllib
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from functools import cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal, Self, Union, get_args, get_origin

import attrs

from artifex.generative_models.core.checks import check_choice, check_flag, check_number, field_check
from artifex.generative_models.core.errors import suggest

if TYPE_CHECKING:
    import cattrs


@attrs.frozen(kw_only=True)
class Configuration:
    """Base of every configuration: a frozen, keyword-only attrs class that validates itself.

    A subclass is written ``@attrs.frozen(kw_only=True)``, with validators from ``core.checks``. Nested
    configurations, enums (by value) and paths travel to and from plain dicts, so that an experiment fits in
    one TOML or YAML file.

    Example:
        >>> config = ExtensionConfig(weight=0.5)
        >>> config.evolve(enabled=False).enabled
        False
        >>> ExtensionConfig.from_dict(config.to_dict()) == config
        True
    """

    def __new__(cls, *args: Any, **fields: Any) -> Self:
        """Name the nearest field when a keyword is misspelled."""
        known = _field_names(cls)
        for name in fields:
            if name not in known:
                raise TypeError(_unknown_field(cls, name, known))
        return super().__new__(cls)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Build from plain values, such as those of a TOML table.

        Args:
            data: Field names and their values; a nested configuration is a nested mapping.

        Returns:
            The configuration.

        Raises:
            ValueError: For an unknown key (the nearest one is named) or a value that does not fit; every
                problem found is listed with its place.

        Example:
            >>> ExtensionConfig.from_dict({"weight": "2"})
            Traceback (most recent call last):
            ValueError: ExtensionConfig.weight must be a finite number, got '2' (str)
        """
        import cattrs

        try:
            return _converter().structure(data, cls)
        except (cattrs.BaseValidationError, TypeError, ValueError) as error:
            raise ValueError("\n".join(_explain(error, cls.__name__, cls.__name__))) from None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that ``from_dict`` takes back.

        Returns:
            A new dict; enums are their values, paths are strings, tuples are lists, NumPy numbers are
            Python's.

        Example:
            >>> ExtensionConfig(weight=0.5).to_dict()
            {'weight': 0.5, 'enabled': True, 'extensions': {}}
        """
        plain: dict[str, Any] = _plain(self)
        return plain

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], *, section: str | None = None) -> Self:
        """Build from a TOML or YAML file.

        Args:
            path: A file that ends in .toml, .yaml or .yml.
            section: The table to read, dotted for a nested one; None reads the whole file.

        Returns:
            The configuration.

        Raises:
            FileNotFoundError: When there is no such file.
            ValueError: For another ending, a missing section, or what ``from_dict`` refuses.
        """
        try:
            data: Any = _READERS[_format(Path(path))](Path(path).read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} cannot be read: {error}") from None
        for part in section.split(".") if section else ():
            if not isinstance(data, Mapping) or part not in data:
                known = ", ".join(map(str, data)) if isinstance(data, Mapping) else "none"
                raise ValueError(f"{path} has no section {section!r}: no {part!r} among {known or 'none'}")
            data = data[part]
        try:
            return cls.from_dict(data if data is not None else {})
        except ValueError as error:
            place = f"{path}, section {section}" if section else str(path)
            tables = [name for name, value in data.items() if isinstance(value, Mapping)] if not section else []
            hint = [name for name in tables if name not in _field_names(cls)]
            more = f"\nThe file has the tables {', '.join(hint)}; section={hint[0]!r} reads one." if hint else ""
            raise ValueError(f"{place}: {error}{more}") from None

    def to_file(self, path: str | os.PathLike[str]) -> None:
        """Write as TOML or YAML, whole or not at all.

        Args:
            path: A file that ends in .toml, .yaml or .yml; one that is there is replaced.

        Raises:
            ValueError: For another ending, or a value that the format cannot hold: TOML has no None, so a
                field that is None can be left out of it only where that is its default.
        """
        target = Path(path)
        plain = self.to_dict()
        text = _WRITERS[_format(target)](plain)
        again = type(self).from_dict(_READERS[_format(target)](text)).to_dict()
        if repr(again) != repr(plain):  # equality would call nan a loss
            lost = next(name for name in plain if repr(again.get(name)) != repr(plain[name]))
            what = f"{type(self).__name__}.{lost} = {plain[lost]!r}"
            raise ValueError(f"{target} cannot hold {what}; write YAML instead")
        partial = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def evolve(self, **changes: Any) -> Self:
        """Return a copy with some fields changed, validated anew.

        Args:
            **changes: Fields and their new values.

        Returns:
            The changed copy.

        Raises:
            TypeError: For a field that there is not.
            ValueError: For a value that does not fit.
        """
        known = _field_names(type(self))
        for name in changes:
            if name not in known:
                raise TypeError(_unknown_field(type(self), name, known))
        return attrs.evolve(self, **changes)


def _plain_copy(value: Any) -> Any:
    return {k: _plain_copy(v) for k, v in value.items()} if isinstance(value, Mapping) else copy.deepcopy(value)


def _check_sections(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, dict) or not all(isinstance(k, str) and isinstance(v, dict) for k, v in value.items()):
        raise TypeError(
            f"ExtensionConfig.extensions maps the name of an extension to a mapping of its options, "
            f'such as {{"spectral": {{"n_fft": 1024}}}}, got {value!r}'
        )


@attrs.frozen(kw_only=True)
class ExtensionConfig(Configuration):
    """What an extension is told: its weight in a loss, whether it takes part, and its own options.

    Args:
        weight: Factor of the extension's loss.
        enabled: Whether it takes part.
        extensions: Options by extension name; each extension reads its own and refuses keys it does not know.

    Raises:
        TypeError: For a value of the wrong type.
        ValueError: For a weight that is not finite.

    Example:
        >>> ExtensionConfig(extensions={"spectral": {"n_fft": 1024}}).extensions["spectral"]["n_fft"]
        1024
    """

    weight: float = attrs.field(default=1.0, validator=field_check(check_number))
    enabled: bool = attrs.field(default=True, validator=field_check(check_flag))
    extensions: dict[str, dict[str, Any]] = attrs.field(factory=dict, converter=_plain_copy, validator=_check_sections)


def _field_names(cls: type) -> list[str]:
    return sorted(field.alias or field.name for field in attrs.fields(cls) if field.init)


def _unknown_field(cls: type, name: str, known: list[str]) -> str:
    return f"{cls.__name__}: unknown key {name!r}.{suggest(name, known)} It takes: {', '.join(known)}"


def _plain(value: Any) -> Any:
    if attrs.has(type(value)):
        return {f.name: _plain(getattr(value, f.name)) for f in attrs.fields(type(value)) if f.init}
    if isinstance(value, Mapping):
        return {_plain(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, set | frozenset):
        return sorted((_plain(v) for v in value), key=repr)
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, PurePath):
        return str(value)
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0 else value


@cache
def _converter() -> cattrs.Converter:
    """Return what structures values by a field's type; numbers and strings pass, for validators to judge."""
    import cattrs
    from cattrs.gen import make_dict_structure_fn

    converter = cattrs.Converter(forbid_extra_keys=True)

    def nested(cls: Any) -> Callable[[Any, Any], Any]:
        from_mapping = make_dict_structure_fn(cls, converter, _cattrs_forbid_extra_keys=True)

        def structure(value: Any, _: Any) -> Any:
            return value if isinstance(value, cls) else from_mapping(_expect(value, Mapping, "a mapping"), cls)

        return structure

    def choice(value: Any, hint: Any) -> Any:
        known = get_args(hint) if get_origin(hint) is Literal else [member.value for member in hint]
        if not (isinstance(hint, type) and isinstance(value, hint)):
            check_choice("the value", value, choices=known)
        return value if get_origin(hint) is Literal else hint(value)

    def mapping(value: Any, hint: Any) -> Any:
        _, inner = get_args(hint) or (Any, Any)
        items = _expect(value, Mapping, "a mapping").items()
        return dict(zip(value, _each(converter, ((k, v, inner) for k, v in items), hint), strict=True))

    def sequence(value: Any, hint: Any) -> Any:
        origin = _origin(hint)
        values = list(_expect(value, list | tuple | set | frozenset, "a list"))
        inner = get_args(hint) or (Any, ...)
        if origin is tuple and inner[-1:] != (...,):
            if len(values) != len(inner):
                raise ValueError(f"expected {len(inner)} values, got {len(values)}: {value!r}")
        else:
            inner = inner[:1] * len(values)
        made = _each(converter, zip(range(len(values)), values, inner, strict=True), hint)
        return _SEQUENCES[origin](made)

    def union(value: Any, hint: Any) -> Any:
        members = [member for member in get_args(hint) if member is not types.NoneType]
        if value is None or any(isinstance(m, type) and isinstance(value, m) for m in members):
            return value
        tables = [m for m in members if attrs.has(m) or _origin(m) in (dict, Mapping)]
        lists = [m for m in members if _origin(m) in _SEQUENCES]
        fitting = tables if isinstance(value, Mapping) else lists if isinstance(value, list | tuple) else []
        only = members if len(members) == 1 else fitting
        return converter.structure(value, only[0]) if len(only) == 1 else value

    for plain in (int, float, str, bool):
        converter.register_structure_hook(plain, lambda value, _: value)
    converter.register_structure_hook(Path, lambda value, _: Path(_expect(value, str | PurePath, "a path")))
    converter.register_structure_hook_func(lambda hint: _origin(hint) in (Union, types.UnionType), union)
    converter.register_structure_hook_func(lambda hint: _origin(hint) in (dict, Mapping), mapping)
    converter.register_structure_hook_func(lambda hint: _origin(hint) in _SEQUENCES, sequence)
    converter.register_structure_hook_func(_is_choice, choice)
    converter.register_structure_hook_factory(attrs.has, nested)
    return converter


def _origin(hint: Any) -> Any:
    return get_origin(hint) or hint


def _is_choice(hint: Any) -> bool:
    return get_origin(hint) is Literal or (isinstance(hint, type) and issubclass(hint, Enum))


_SEQUENCES: dict[Any, Callable[[Iterable[Any]], Any]] = {
    tuple: tuple,
    list: list,
    set: set,
    frozenset: frozenset,
    Sequence: tuple,
}


def _expect(value: Any, wanted: Any, words: str) -> Any:
    if not isinstance(value, wanted):
        raise TypeError(f"expected {words}, got {value!r} ({type(value).__name__})")
    return value


def _each(converter: cattrs.Converter, items: Iterable[tuple[Any, Any, Any]], hint: Any) -> list[Any]:
    """Structure every value of a list or mapping, and report all that do not fit, each with its place."""
    from cattrs import BaseValidationError, IterableValidationError, IterableValidationNote

    made, errors = [], []
    for place, value, inner in items:
        try:
            made.append(converter.structure(value, inner))
        except (TypeError, ValueError, LookupError, BaseValidationError) as error:
            error.add_note(IterableValidationNote(f"at {place!r}", place, hint))
            errors.append(error)
    if errors:
        raise IterableValidationError("these do not fit", errors, hint)  # pyright: ignore[reportCallIssue]
    return made


def _explain(error: BaseException, cls: str, place: str) -> list[str]:
    """Return one line for each thing that is wrong, with its place from the top down."""
    import cattrs

    lead = "" if place == cls else f"{place}: "
    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        known = _field_names(error.cl)
        return [lead + _unknown_field(error.cl, name, known) for name in sorted(error.extra_fields, key=str)]
    if isinstance(error, cattrs.BaseValidationError):
        return [line for part in error.exceptions for line in _explain(part, cls, _place_of(part, place))]
    if isinstance(error, KeyError):
        return [f"{place} is missing and has no default"]
    message = str(error)
    return [message if message.startswith((f"{place}.", f"{place}:")) else f"{place}: {message}"]


def _place_of(error: BaseException, place: str) -> str:
    import cattrs

    for note in getattr(error, "__notes__", ()):
        if isinstance(note, cattrs.AttributeValidationNote):
            return f"{place}.{note.name}"
        if isinstance(note, cattrs.IterableValidationNote):
            return f"{place}[{note.index!r}]"
    return place


def _format(path: Path) -> str:
    ending = {".toml": "toml", ".yaml": "yaml", ".yml": "yaml"}.get(path.suffix.lower())
    if ending is None:
        raise ValueError(f"a configuration file ends in .toml, .yaml or .yml, got {str(path)!r}")
    return ending


def _load_yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


def _dump_toml(data: dict[str, Any]) -> str:
    import tomli_w

    return tomli_w.dumps(_without_none(data))


def _dump_yaml(data: dict[str, Any]) -> str:
    import yaml

    text: str = yaml.safe_dump(data, sort_keys=False)
    return text


_READERS: dict[str, Callable[[str], Any]] = {"toml": tomllib.loads, "yaml": _load_yaml}
_WRITERS = {"toml": _dump_toml, "yaml": _dump_yaml}


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return [_without_none(v) for v in value] if isinstance(value, list | tuple) else value
