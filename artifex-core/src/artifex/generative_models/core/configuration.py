"""The configuration base, its way to and from plain dicts and files, and ExtensionConfig."""

from __future__ import annotations

import copy
import os
import tomllib
import types
from collections.abc import Mapping
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Union, get_origin

import attrs

from artifex.generative_models.core.checks import check_flag, check_number, field_check
from artifex.generative_models.core.errors import suggest

if TYPE_CHECKING:
    import cattrs


@attrs.frozen(kw_only=True)
class Configuration:
    """Base of every configuration: a frozen, keyword-only attrs class that validates itself.

    A subclass is written ``@attrs.frozen(kw_only=True)``, with validators from ``core.checks``. Nested
    configurations, enums (by value) and paths travel to and from plain dicts, so that an experiment fits in one
    TOML or YAML file.

    Example:
        >>> config = ExtensionConfig(weight=0.5)
        >>> config.evolve(enabled=False).enabled
        False
        >>> ExtensionConfig.from_dict(config.to_dict()) == config
        True
    """

    def __new__(cls, *args: Any, **fields: Any) -> Self:
        """Name the nearest field when a keyword is misspelt."""
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
            ValueError: For an unknown key (the nearest one is named) or a value that does not fit; every problem
                found is listed with its place.

        Example:
            >>> ExtensionConfig.from_dict({"wieght": 2.0})
            Traceback (most recent call last):
            ValueError: ExtensionConfig: unknown key 'wieght'. Did you mean 'weight'? It takes: enabled, extensions, weight
        """
        import cattrs

        if not isinstance(data, Mapping):
            raise ValueError(f"{cls.__name__} is built from a mapping of its fields, got {type(data).__name__}")
        try:
            return _converter().structure(dict(data), cls)
        except (cattrs.BaseValidationError, TypeError, ValueError) as error:
            raise ValueError("\n".join(_explain(error, cls.__name__))) from None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that ``from_dict`` takes back.

        Returns:
            A new dict; enums are their values, paths are strings.

        Example:
            >>> ExtensionConfig(weight=0.5).to_dict()
            {'weight': 0.5, 'enabled': True, 'extensions': {}}
        """
        plain: dict[str, Any] = _converter().unstructure(self)
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
        data: Any = _read(Path(path))
        for part in section.split(".") if section else ():
            if not isinstance(data, Mapping) or part not in data:
                known = ", ".join(map(str, data)) if isinstance(data, Mapping) else "none"
                raise ValueError(f"{path} has no section {section!r}: no {part!r} among {known or 'none'}")
            data = data[part]
        try:
            return cls.from_dict(data if data is not None else {})
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def to_file(self, path: str | os.PathLike[str]) -> None:
        """Write as TOML or YAML, whole or not at all.

        Args:
            path: A file that ends in .toml, .yaml or .yml; one that is there is replaced.

        Raises:
            ValueError: For another ending.
        """
        target = Path(path)
        text = _WRITERS[_format(target)](_without_none(self.to_dict()))
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
    extensions: dict[str, dict[str, Any]] = attrs.field(
        factory=dict, converter=_plain_copy, validator=_check_sections
    )


def _field_names(cls: type) -> list[str]:
    return sorted(field.alias or field.name for field in attrs.fields(cls))


def _unknown_field(cls: type, name: str, known: list[str]) -> str:
    return f"{cls.__name__}: unknown key {name!r}.{suggest(name, known)} It takes: {', '.join(known)}"


@cache
def _converter() -> cattrs.Converter:
    import cattrs

    converter = cattrs.Converter(forbid_extra_keys=True)
    for plain in (int, float, str, bool):  # the class's own validators judge, nothing is coerced
        converter.register_structure_hook(plain, lambda value, _: value)
    converter.register_structure_hook_func(
        lambda hint: get_origin(hint) in (Union, types.UnionType, dict), lambda value, _: value
    )
    converter.register_unstructure_hook(Path, str)
    converter.register_unstructure_hook_func(
        lambda hint: get_origin(hint) in (Union, types.UnionType),
        lambda value: value.value if isinstance(value, Enum) else converter.unstructure(value),
    )
    return converter


def _explain(error: BaseException, place: str) -> list[str]:
    import cattrs

    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        known = _field_names(error.cl)
        return [_unknown_field(error.cl, name, known) for name in sorted(error.extra_fields)]
    if isinstance(error, cattrs.BaseValidationError):
        return [line for part in error.exceptions for line in _explain(part, place)]
    return [str(error) if place in str(error) else f"{place}: {error}"]


def _format(path: Path) -> str:
    ending = {".toml": "toml", ".yaml": "yaml", ".yml": "yaml"}.get(path.suffix.lower())
    if ending is None:
        raise ValueError(f"a configuration file ends in .toml, .yaml or .yml, got {str(path)!r}")
    return ending


def _read(path: Path) -> Any:
    if _format(path) == "toml":
        return tomllib.loads(path.read_text(encoding="utf-8"))
    import yaml

    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _dump_toml(data: dict[str, Any]) -> str:
    import tomli_w

    return tomli_w.dumps(data)


def _dump_yaml(data: dict[str, Any]) -> str:
    import yaml

    text: str = yaml.safe_dump(data, sort_keys=False)
    return text


_WRITERS = {"toml": _dump_toml, "yaml": _dump_yaml}


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return [_without_none(v) for v in value] if isinstance(value, list | tuple) else value
