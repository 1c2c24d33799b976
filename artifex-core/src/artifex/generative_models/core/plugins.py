"""Discovery: what installed distributions offer, read from their metadata, and the pluggy hooks they answer.

Nothing of a plugin is imported to learn what it offers. The modules in entry-point group ``artifex`` (hooks
that declare kinds and commands) are imported each in its own try, so that one that fails never harms another.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pluggy

from artifex.generative_models.core.checks import check_choice, check_integer, field_check
from artifex.generative_models.core.errors import PluginWarning

PROJECT = "artifex"
FIRST_PARTY = ("artifex-core", "artifex-audio", "artifex-spectral")
IN_PROCESS = "(this process)"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


def _spelt(pattern: str, words: str) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    def validate(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(f"Kind.{attribute.name} is {words}, got {value!r}")

    return validate


def _check_names(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, tuple) or not all(isinstance(name, str) for name in value):
        raise TypeError(f"Kind.{attribute.name} is a tuple of names, got {value!r}")


@attrs.frozen(kw_only=True)
class Kind:
    """A kind of component: where its entry points are listed and what each of them has to be.

    Args:
        name: What users write, such as ``"audio_type"``.
        group: The entry-point group, such as ``"artifex.audio_types"``.
        summary: One sentence on what a component of this kind is.
        form: ``"function"`` (``create`` binds its options), ``"class"`` (``create`` builds it) or ``"value"``
            (an attrs instance; ``create`` hands out a copy with its options changed).
        positional: How many leading arguments of a function are given when it is called.
        call: The keyword arguments of a function that are given when it is called; the others are options.
        attributes: What a class has to have.

    Example:
        >>> Kind(name="metric", group="artifex.metrics", summary="A score.", form="function").name
        'metric'
    """

    name: str = attrs.field(validator=_spelt(r"[a-z][a-z0-9_]*", "a word in lower case, such as 'audio_type'"))
    group: str = attrs.field(validator=_spelt(r"artifex\.[a-z0-9_.]+", "a group such as 'artifex.audio_types'"))
    summary: str = attrs.field(validator=_spelt(r".+", "one sentence"))
    form: str = attrs.field(validator=field_check(check_choice, choices=("function", "class", "value")))
    positional: int = attrs.field(default=0, validator=field_check(check_integer, minimum=0))
    call: tuple[str, ...] = attrs.field(default=(), validator=_check_names)
    attributes: tuple[str, ...] = attrs.field(default=(), validator=_check_names)


@attrs.frozen(kw_only=True)
class Claim:
    """What a distribution says in its metadata: this name, of this kind, is at that place.

    Args:
        kind: The kind's name.
        name: The component's name.
        distribution: The distribution that says so, in its normalized spelling.
        version: Its version; not part of what makes two claims equal.
        value: ``"package.module:object"``.
    """

    kind: str
    name: str
    distribution: str
    value: str
    version: str = attrs.field(default="", eq=False)


@attrs.frozen(kw_only=True)
class Problem:
    """Something that kept a plugin out.

    Args:
        distribution: Whose plugin.
        what: The entry point or the file.
        error: The exception.
    """

    distribution: str
    what: str
    error: BaseException

    def __str__(self) -> str:
        reason = " ".join(str(self.error).split())
        return f"{self.distribution}: {self.what}: {type(self.error).__name__}: {reason}"


class HookSpecs:
    """The hooks that a module in entry-point group ``artifex`` may answer."""

    @hookspec
    def artifex_kinds(self) -> list[Kind]:
        """Return the kinds of component that this distribution owns."""
        return []

    @hookspec
    def artifex_contracts(self) -> dict[str, str]:
        """Return, by kind that this distribution owns, the ``"module:function"`` that tells how to run it."""
        return {}

    @hookspec
    def artifex_commands(self, app: Any) -> None:
        """Add commands to the command line, a ``typer.Typer``; import what they need inside them."""


@attrs.frozen(kw_only=True)
class Scan:
    """What one look at the installed distributions found.

    Args:
        groups: Claims by entry-point group and component name.
        kinds: Kinds by name, with the distribution that declared each; more than one is a clash.
        manager: The pluggy manager that holds the hook modules.
        problems: What was left out.
        switched_off: Distributions that ``ARTIFEX_DISABLE_PLUGINS`` leaves out.
    """

    groups: dict[str, dict[str, list[Claim]]]
    kinds: dict[str, list[tuple[str, Kind]]]
    manager: pluggy.PluginManager
    problems: tuple[Problem, ...]
    switched_off: tuple[str, ...]


_lock = threading.RLock()
_scan: Scan | None = None
_looking = False


def scan() -> Scan:
    """Return what is installed: one look, kept until ``forget``.

    Returns:
        The claims, the kinds, the hooks and the problems.

    Raises:
        RuntimeError: When a hook module asks while it is being read.
    """
    global _scan, _looking
    with _lock:
        if _scan is None:
            if _looking:
                raise RuntimeError(
                    "a module of hooks asks for components while it is read; ask inside a function instead"
                )
            _looking = True
            try:
                _scan = _look()
            finally:
                _looking = False
            for problem in _scan.problems:
                warnings.warn(f"plugin left out: {problem}", PluginWarning, stacklevel=3)
        return _scan


def forget() -> None:
    """Drop what is known, so that the next ``scan`` looks again."""
    global _scan
    with _lock:
        importlib.invalidate_caches()
        _scan = None


def normalized(distribution: str) -> str:
    """Return a distribution's name in the one spelling that is compared (PEP 503).

    Example:
        >>> normalized("Artifex.Plugin_Ambulance")
        'artifex-plugin-ambulance'
    """
    return re.sub(r"[-_.]+", "-", distribution).lower()


def load_guarded(load: Callable[..., Any], *given: Any) -> tuple[Any, BaseException | None]:
    """Call what loads somebody's code; return its result, or the exception it ended with.

    Args:
        load: What to call.
        *given: What to call it with.

    Returns:
        ``(result, None)`` or ``(None, exception)``; only a real interrupt by the user passes through.
    """
    try:
        return load(*given), None
    except BaseException as error:  # a plugin that calls sys.exit() must not end its host
        if type(error) is KeyboardInterrupt:  # an heir of it is somebody's own, and no signal
            raise
        return None, error


def load_value(value: str) -> Any:
    """Import the object that an entry point names.

    Args:
        value: ``"package.module:object"``, with an optional ``[extras]`` that is passed over.

    Returns:
        The object.

    Example:
        >>> load_value("math:pi")
        3.141592653589793
    """
    module, _, path = value.partition("[")[0].strip().partition(":")
    found: Any = importlib.import_module(module.strip())
    for part in path.strip().split(".") if path.strip() else ():
        found = getattr(found, part)
    return found


def _look() -> Scan:
    groups: dict[str, dict[str, list[Claim]]] = {}
    problems: list[Problem] = []
    switched_off: list[str] = []
    for claim in _claims(problems, switched_off):
        groups.setdefault(claim.kind, {}).setdefault(claim.name, []).append(claim)
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(HookSpecs)
    kinds: dict[str, list[tuple[str, Kind]]] = {}
    hooks = [claim for claims in groups.pop(PROJECT, {}).values() for claim in claims]
    for claim in sorted(hooks, key=lambda c: (c.distribution not in FIRST_PARTY, c.distribution, c.name)):
        declared, error = load_guarded(_declare, manager, claim)
        if error is not None:
            problems.append(Problem(distribution=claim.distribution, what=f"{claim.name} = {claim.value}", error=error))
            continue
        for kind in declared:
            owners = kinds.setdefault(kind.name, [])
            if all(kind != known for _, known in owners):
                owners.append((claim.distribution, kind))
    return Scan(
        groups=groups,
        kinds=kinds,
        manager=manager,
        problems=tuple(problems),
        switched_off=tuple(sorted(switched_off)),
    )


def hooks_of(manager: pluggy.PluginManager, hook: str) -> list[tuple[str, Callable[..., Any]]]:
    """Return who answers a hook, so that each can be called in its own try.

    Args:
        manager: The manager that holds the hook modules.
        hook: The hook's name.

    Returns:
        Pairs of ``"distribution:entry point"`` and function, in the order in which they were registered.
    """
    answers = getattr(manager.hook, hook).get_hookimpls()
    return [(answer.plugin_name, answer.function) for answer in answers]


def _declare(manager: pluggy.PluginManager, claim: Claim) -> list[Kind]:
    module = load_value(claim.value)
    name = f"{claim.distribution}:{claim.name}"
    already = manager.get_name(module)
    if already is not None:
        raise ValueError(f"{claim.value} is already plugged in by {already}")
    try:
        manager.register(module, name=name)
        manager.check_pending()
        return _kinds_of(manager, module, name)
    except BaseException:
        manager.unregister(name=name)
        raise


def _kinds_of(manager: pluggy.PluginManager, module: Any, name: str) -> list[Kind]:
    answers = {hook: [answer for owner, answer in hooks_of(manager, hook) if owner == name] for hook in _HOOKS}
    for hook, given in answers.items():
        if hasattr(module, hook) and not given:
            raise TypeError(f"{hook} is not marked with @hookimpl")
    declared = [kind for declare in answers["artifex_kinds"] for kind in declare()]
    for kind in declared:
        if not isinstance(kind, Kind):
            raise TypeError(f"artifex_kinds() returns a list of Kind, got {kind!r} in it")
    return declared


_HOOKS = tuple(name for name in vars(HookSpecs) if name.startswith(f"{PROJECT}_"))


def _claims(problems: list[Problem], switched_off: list[str]) -> Iterator[Claim]:
    disabled = os.environ.get("ARTIFEX_DISABLE_PLUGINS", "").replace(",", " ").split()
    named = {normalized(name) for name in disabled}
    seen: set[str] = set()
    for distribution in importlib.metadata.distributions():
        found, error = load_guarded(_read, distribution)
        if error is not None:
            problems.append(Problem(distribution=_called(distribution), what="metadata", error=error))
        if found is None or found[0] in seen:  # the first on sys.path hides the others, as for import
            continue
        name, version, entries = found
        seen.add(name)
        if name in named or ("*" in disabled and name not in FIRST_PARTY):
            switched_off.append(name)
            continue
        for group, key, value in entries:
            yield Claim(kind=group, name=key, distribution=name, value=value, version=version)


def _read(
    distribution: importlib.metadata.Distribution,
) -> tuple[str, str, list[tuple[str, str, str]]] | None:
    """Return name, version and entry points, or None for a distribution that has nothing for artifex."""
    text = _text(distribution, "entry_points.txt")
    if text is None or PROJECT not in text:
        return None
    entries = [
        (section, name, value)
        for section, found in _sections(text).items()
        if section == PROJECT or section.startswith(f"{PROJECT}.")
        for name, value in found.items()
    ]
    for section, name, value in entries:
        if "@" in name or not _PLACE.fullmatch(value):
            raise ValueError(f"entry point {name} = {value!r} of {section} is not name = package.module:object")
    return (*_identity(distribution), entries) if entries else None


_PLACE = re.compile(r"[\w.]+\s*(:\s*[\w.]+\s*)?(\[.*\]\s*)?")


def _sections(text: str) -> dict[str, dict[str, str]]:
    """Return names and values by section.

    What is plain is read here, as ``configparser`` would in three times the time; it is left to that to judge
    a file with a line that is not.
    """
    sections: dict[str, dict[str, str]] = {}
    section: dict[str, str] | None = None
    for each in text.splitlines():
        line = each.strip()
        if not line or line[0] in "#;":
            continue
        if line[0] == "[" and line[-1] == "]" and len(line) > 2 and line[1:-1] not in sections:
            section = sections[line[1:-1]] = {}
            continue
        name, equals, value = line.partition("=")
        name = name.rstrip()
        if section is None or line[0] == "[" or not (equals and name) or name in section:
            return _parsed(text)
        section[name] = value.lstrip()
    return sections


def _parsed(text: str) -> dict[str, dict[str, str]]:
    import configparser

    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, default_section="")
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string("\n".join(map(str.strip, text.splitlines())))
    return {section: dict(parser.items(section)) for section in parser.sections()}


def _text(distribution: importlib.metadata.Distribution, name: str) -> str | None:
    """Return a file of the metadata: straight from its folder where there is one, which takes half the time."""
    folder = getattr(distribution, "_path", None)
    if not isinstance(folder, Path):
        return distribution.read_text(name)
    try:
        with open(f"{folder}{os.sep}{name}", encoding="utf-8") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
        return None


def _identity(distribution: importlib.metadata.Distribution) -> tuple[str, str]:
    """Return name and version from the head of the metadata: parsing the whole costs ten times as much."""
    name = version = ""
    for line in (_text(distribution, "METADATA") or _text(distribution, "PKG-INFO") or "").split("\n"):
        field, colon, value = line.partition(":")
        if not colon or (name and version):
            break
        field = field.lower()
        if field == "name":
            name = name or value.strip()
        elif field == "version":
            version = version or value.strip()
    if not name:
        raise ValueError("the metadata has no name")
    return normalized(name), version


def _called(distribution: importlib.metadata.Distribution) -> str:
    identity, _ = load_guarded(_identity, distribution)
    return identity[0] if identity is not None else str(getattr(distribution, "_path", distribution))
