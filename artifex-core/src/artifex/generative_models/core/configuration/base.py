"""The base class of all configurations."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import attrs

from artifex.generative_models.core.checks import is_mapping
from artifex.generative_models.core.configuration.conversion import field_names, from_plain, to_plain, unknown_field
from artifex.generative_models.core.display import html_table
from artifex.generative_models.core.files import format_table, parse_table, read_table, write_atomic


@attrs.frozen(kw_only=True)
class Configuration:
    """Base class of configurations: frozen attrs classes with keyword-only, validated fields.

    Decorate a subclass with ``@attrs.frozen(kw_only=True)``. Give each field a type, a validator made by
    ``core.checks.field_check`` and, if NumPy numbers are accepted, a typed converter such as
    ``core.checks.plain_int``. Type checkers then check the arguments of the constructor.

    Example:
        >>> from artifex.generative_models.core.checks import check_integer, field_check, plain_int
        >>> @attrs.frozen(kw_only=True)
        ... class FrameConfig(Configuration):
        ...     hop_length: int = attrs.field(
        ...         default=256, converter=plain_int, validator=field_check(check_integer, minimum=1, unit="samples")
        ...     )
        >>> FrameConfig(hop_length=128).evolve(hop_length=64).to_dict()
        {'hop_length': 64}
        >>> FrameConfig(hop_length=0)
        Traceback (most recent call last):
        ValueError: FrameConfig.hop_length must be an integer of at least 1 sample, got 0
    """

    def __new__(cls, *args: Any, **fields: Any) -> Self:
        """Raise for a misspelled keyword and suggest similar field names; ``__init__`` declares the parameters."""
        for name in fields:
            if name not in field_names(cls):
                raise TypeError(unknown_field(cls, name))
        return super().__new__(cls)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Create a configuration from plain values, such as a TOML table.

        Args:
            data: Field values by name. Nested configurations are nested mappings, enums are given by value.

        Returns:
            The configuration.

        Raises:
            ValueError: When a key is unknown, a required key is missing or a value is invalid. The message lists
                every problem with its location.

        Example:
            >>> from artifex.generative_models.core.configuration import ExtensionConfig
            >>> ExtensionConfig.from_dict({"weight": "2"})
            Traceback (most recent call last):
            ValueError: ExtensionConfig.weight must be a finite number, got '2' (str)
        """
        return from_plain(cls, data)

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain values; the inverse of ``from_dict``.

        Returns:
            Field values by name: enums as their values, paths as strings, tuples as lists, NumPy numbers as Python
            numbers and nested configurations as dicts.

        Example:
            >>> from artifex.generative_models.core.configuration import ExtensionConfig
            >>> ExtensionConfig(weight=0.5).to_dict()
            {'weight': 0.5, 'enabled': True, 'extensions': {}}
        """
        return dict(to_plain(self))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], *, section: str | None = None) -> Self:
        """Read a configuration from a TOML or YAML file.

        Args:
            path: A file that ends in .toml, .yaml or .yml.
            section: Name of the table to read; names of nested tables are separated by dots. By default the whole file is read.

        Returns:
            The configuration.

        Raises:
            FileNotFoundError: When the file does not exist.
            ValueError: For another suffix, a file that cannot be parsed, a missing section, or the reasons given for
                ``from_dict``.
        """
        data: object = read_table(path)
        for name in section.split(".") if section else ():
            if not is_mapping(data) or name not in data:
                found = ", ".join(map(str, data)) if is_mapping(data) else ""
                raise ValueError(f"{path} has no section {section!r}: {name!r} is not among {found or 'no tables'}")
            data = data[name]
        try:
            return from_plain(cls, {} if data is None else data)
        except ValueError as error:
            location = f"{path}, section {section}" if section else str(path)
            hint = "" if section else _section_hint(cls, data)
            raise ValueError(f"{location}: {error}{hint}") from None

    def to_file(self, path: str | os.PathLike[str]) -> None:
        """Write the configuration to a TOML or YAML file, atomically.

        Args:
            path: A file that ends in .toml, .yaml or .yml; an existing file is replaced.

        Raises:
            ValueError: For another suffix, or a value that the format cannot represent. TOML has no None: fields that
                are None are left out, which is an error if None is not their default.
        """
        plain = self.to_dict()
        text = format_table(path, plain)
        restored = type(self).from_dict(parse_table(path, text)).to_dict()
        for name, value in plain.items():
            if repr(restored[name]) != repr(value):  # nan is not equal to itself
                field = f"{type(self).__name__}.{name} = {value!r}"
                raise ValueError(f"{field} cannot be written to {Path(path).name}; write a .yaml file instead")
        write_atomic(path, text)

    def evolve(self, **changes: Any) -> Self:
        """Return a copy in which some fields are replaced; the copy is validated.

        Args:
            **changes: New field values by name.

        Returns:
            The copy.

        Raises:
            TypeError: When a name is not a field, or a value has the wrong type.
            ValueError: When a value is out of range.

        Example:
            >>> from artifex.generative_models.core.configuration import ExtensionConfig
            >>> ExtensionConfig(weight=0.5).evolve(enabled=False)
            ExtensionConfig(weight=0.5, enabled=False, extensions={})
        """
        return attrs.evolve(self, **changes)

    def _repr_html_(self) -> str:
        return html_table(type(self).__name__, self.to_dict())


def _section_hint(cls: type, data: object) -> str:
    """Suggest to read a section if the file consists of tables that are not fields."""
    if not is_mapping(data):
        return ""
    sections = [str(name) for name, value in data.items() if is_mapping(value) and name not in field_names(cls)]
    if not sections:
        return ""
    return f"\nThe file contains the tables {', '.join(sections)}; section={sections[0]!r} reads one."
