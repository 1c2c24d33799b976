"""Formats of manifests: components of the kind ``manifest_format``, and how the format of a file is recognized."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import attrs

from artifex.generative_models.core import BrokenComponentError, ConflictingComponentError, registry
from artifex.generative_models.modalities.audio.datasets.manifests.lines import ManifestRow, first_columns

__all__ = ["ManifestFormat", "ManifestRow", "find_format", "is_manifest"]


def _check_words(instance: object, attribute: attrs.Attribute[tuple[str, ...]], value: object) -> None:
    if not isinstance(value, tuple) or not all(isinstance(word, str) and word for word in value):  # pyright: ignore[reportUnknownVariableType]
        raise TypeError(f"ManifestFormat.{attribute.name} must be a tuple of strings, got {value!r}")


@attrs.frozen(kw_only=True)
class ManifestFormat:
    """A format of manifests: how it is recognized, and how it is parsed.

    A file has the format if its name is one of ``names``, its name ends in one of ``suffixes``, and it has all ``columns``.
    Without ``names`` any name matches, and without ``suffixes`` any suffix. If several formats match, the one with the most
    columns is used, then one with names.

    Args:
        parse: A function from the path of a manifest to its rows. Their paths are relative to the folder of the manifest.
        suffixes: Suffixes of the file, lower case, such as ``(".csv", ".jsonl.gz")``.
        names: Names of the file, lower case, such as ``("metadata.csv",)``.
        columns: Columns that the first line of a CSV or TSV file, or the first object of JSON lines, contains.
            Alternatives are separated by ``|``, such as ``"sources|recording_id"``.
        separator: Column separator, which the first line must contain; None for that of the suffix.
        folder: Whether a folder that contains one of ``names`` is a manifest of this format.

    Raises:
        TypeError: When a field has the wrong type.
        ValueError: Without names and suffixes.

    Example:
        >>> def parse(path):
        ...     for number, line in enumerate(path.read_text().splitlines(), start=1):
        ...         file, word = line.split(maxsplit=1)
        ...         yield ManifestRow(line=number, cells={"path": file, "text": word})
        >>> ManifestFormat(suffixes=(".words",), parse=parse).suffixes
        ('.words',)
    """

    parse: Callable[[Path], Iterable[ManifestRow]] = attrs.field(validator=attrs.validators.is_callable())
    suffixes: tuple[str, ...] = attrs.field(default=(), validator=_check_words)
    names: tuple[str, ...] = attrs.field(default=(), validator=_check_words)
    columns: tuple[str, ...] = attrs.field(default=(), validator=_check_words)
    separator: str | None = None
    folder: bool = False

    def __attrs_post_init__(self) -> None:
        if not self.names and not self.suffixes:
            raise ValueError("ManifestFormat must have suffixes or names, got neither")

    def has_name(self, path: Path) -> bool:
        """Return whether the name of a file matches this format; the content is not read.

        Args:
            path: The file.
        """
        name = path.name.lower()
        return (not self.names or name in self.names) and (not self.suffixes or name.endswith(self.suffixes))

    def has_columns(self, path: Path) -> bool:
        """Return whether a file has the columns of this format.

        Args:
            path: The file; only its first line is read.
        """
        if not self.columns and self.separator is None:
            return True
        present = first_columns(path, self.separator)
        return bool(present) and all(_has_one(each, present) for each in self.columns)


def is_manifest(path: Path) -> bool:
    """Return whether a path is a manifest by its name: a file, or a folder such as a Kaldi data folder.

    Args:
        path: A file or folder.

    Example:
        >>> is_manifest(Path("takes.jsonl")), is_manifest(Path("take.wav"))
        (True, False)
    """
    if path.is_dir():
        return any(each.folder and _is_folder_of(each, path) for _, each in _formats())
    return any(each.has_name(path) for _, each in _formats())


def find_format(path: Path, name: str | None = None) -> ManifestFormat:
    """Return the format of a manifest.

    Args:
        path: The file or folder.
        name: Name of the format; None to recognize it by its name and columns.

    Returns:
        The format.

    Raises:
        FileNotFoundError: When the manifest does not exist.
        ValueError: When no format or more than one format matches.
        UnknownComponentError: When there is no format of that name.
    """
    if name is not None:
        chosen: ManifestFormat = registry("manifest_format")[name]
        return chosen
    if path.is_dir():
        found = [(key, each) for key, each in _formats() if each.folder and _is_folder_of(each, path)]
    else:
        found = [(key, each) for key, each in _formats() if each.has_name(path) and each.has_columns(path)]
    if not found:
        folders = sorted({name for _, each in _formats() if each.folder for name in each.names})
        suffixes = sorted({suffix for _, each in _formats() for suffix in each.suffixes if not each.names})
        expected = f"a file that ends in {', '.join(suffixes)}, or a folder with {' or '.join(folders)}"
        problem = "is a folder" if path.is_dir() else "is not a manifest"
        raise ValueError(f"{path}: {problem}; expected {expected}")
    best = max(_specificity(each) for _, each in found)
    keys = [key for key, each in found if _specificity(each) == best]
    if len(keys) > 1:
        raise ValueError(
            f"{path}: has the columns of several formats, {' and '.join(keys)}; select one: manifest_format={keys[0]!r}"
        )
    return dict(found)[keys[0]]


def _specificity(each: ManifestFormat) -> tuple[int, bool]:
    return len(each.columns), bool(each.names)


def _has_one(alternatives: str, columns: tuple[str, ...]) -> bool:
    return not set(alternatives.split("|")).isdisjoint(columns)


def _is_folder_of(each: ManifestFormat, folder: Path) -> bool:
    return any((folder / name).is_file() for name in each.names)


def _formats() -> Iterator[tuple[str, ManifestFormat]]:
    found = registry("manifest_format")
    for name in found:
        try:
            yield name, found[name]
        except (BrokenComponentError, ConflictingComponentError):  # raised when it is requested by name
            continue
