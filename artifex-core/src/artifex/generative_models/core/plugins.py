"""Discovery: what installed distributions offer, read from their metadata, and the pluggy hooks they answer.

Nothing of a plugin is imported to learn what it offers. The modules in entry-point group ``artifex`` (hooks that
declare kinds and commands) are imported each in its own try, so that one that fails never harms another.
"""

from __future__ import annotations

import configparser
import importlib
import importlib.metadata
import os
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pluggy

from artifex.generative_models.core.errors import PluginWarning

PROJECT = "artifex"
FIRST_PARTY = ("artifex-core", "artifex-audio", "artifex-spectral")
IN_PROCESS = "(this process)"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@attrs.frozen(kw_only=True)
class Kind:
    """A kind of component: where its entry points are listed and what each of them has to be.

    Args:
        name: What users write, such as ``"audio_type"``.
        group: The entry-point group, such as ``"artifex.audio_types"``.
        summary: One sentence on what a component of this kind is.
        form: ``"function"`` (``create`` binds its options), ``"class"`` (``create`` builds it) or ``"value"`` (an attrs
            instance; ``create`` hands out a copy with its options changed).
        positional: How many leading arguments of a function are given when it is called.
        call: The keyword arguments of a function that are given when it is called; the others are options.
        attributes: What a class has to have.

    Example:
        >>> Kind(name="metric", group="artifex.metrics", summary="A score.", form="function", positional=2).name
        'metric'
    """

    name: str
    group: str
    summary: str
    form: str = attrs.field(validator=attrs.validators.in_(("function", "class", "value")))
    positional: int = 0
    call: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Claim:
    """What a distribution says in its metadata: this name, of this kind, is at that place.

    Args:
        kind: The kind's name.
        name: The component's name.
        distribution: The distribution that says so, in its normalised spelling.
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
        return f"{self.distribution}: {self.what}: {type(self.error).__name__}: {self.error}"


class HookSpecs:
    """The hooks that a module in entry-point group ``artifex`` may answer."""

    @hookspec
    def artifex_kinds(self) -> list[Kind]:
        """Return the kinds of component that this distribution owns."""
        return []

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
    """

    groups: dict[str, dict[str, list[Claim]]]
    kinds: dict[str, list[tuple[str, Kind]]]
    manager: pluggy.PluginManager
    problems: tuple[Problem, ...]


_lock = threading.RLock()
_scan: Scan | None = None


def scan() -> Scan:
    """Return what is installed: one look, kept until ``forget``.

    Returns:
        The claims, the kinds, the hooks and the problems.
    """
    global _scan
    with _lock:
        if _scan is None:
            _scan = _look()
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
        >>> normalized("Artifex.Plugin_Siren")
        'artifex-plugin-siren'
    """
    return re.sub(r"[-_.]+", "-", distribution).lower()


def load_guarded(load: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """Call what loads somebody's code; return its result, or the exception it ended with.

    Args:
        load: The call.

    Returns:
        ``(result, None)`` or ``(None, exception)``; only a real interrupt by the user passes through.
    """
    try:
        return load(), None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin that calls sys.exit() must not end its host
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
    for claim in _claims(problems):
        same_name = groups.setdefault(claim.kind, {}).setdefault(claim.name, [])
        if claim not in same_name:
            same_name.append(claim)
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(HookSpecs)
    kinds: dict[str, list[tuple[str, Kind]]] = {}
    hooks = [claim for claims in groups.pop(PROJECT, {}).values() for claim in claims]
    for claim in sorted(hooks, key=lambda c: (c.distribution not in FIRST_PARTY, c.distribution, c.name)):
        declared, error = load_guarded(lambda claim=claim: _declare(manager, claim))
        if error is not None:
            problems.append(Problem(distribution=claim.distribution, what=f"{claim.name} = {claim.value}", error=error))
            continue
        for kind in declared:
            owners = kinds.setdefault(kind.name, [])
            if all(kind != known for _, known in owners):
                owners.append((claim.distribution, kind))
    return Scan(groups=groups, kinds=kinds, manager=manager, problems=tuple(problems))


def _declare(manager: pluggy.PluginManager, claim: Claim) -> list[Kind]:
    module = load_value(claim.value)
    name = f"{claim.distribution}:{claim.name}"
    manager.register(module, name=name)
    try:
        manager.check_pending()
        declare = getattr(module, "artifex_kinds", None)
        declared = list(declare()) if declare is not None else []
        for kind in declared:
            if not isinstance(kind, Kind):
                raise TypeError(f"artifex_kinds() returns a list of Kind, got {kind!r} in it")
    except BaseException:
        manager.unregister(name=name)
        raise
    return declared


def _claims(problems: list[Problem]) -> Iterator[Claim]:
    disabled = {normalized(d) if d != "*" else d for d in os.environ.get("ARTIFEX_DISABLE_PLUGINS", "").replace(",", " ").split()}
    seen: set[str] = set()
    for distribution in importlib.metadata.distributions():
        entries, error = load_guarded(lambda distribution=distribution: _entries(distribution))
        if not entries and error is None:
            continue
        name, unnamed = load_guarded(lambda distribution=distribution: normalized(distribution.metadata["Name"]))
        if error is not None or unnamed is not None:
            where = name or str(getattr(distribution, "_path", distribution))
            problem = error or unnamed
            assert problem is not None
            problems.append(Problem(distribution=where, what="metadata", error=problem))
            continue
        off = name in disabled or ("*" in disabled and name not in FIRST_PARTY)
        if off or name in seen:  # the first on sys.path hides the others, as for import
            continue
        seen.add(name)
        for group, key, value in entries:
            yield Claim(kind=group, name=key, distribution=name, value=value, version=distribution.version)


def _entries(distribution: importlib.metadata.Distribution) -> list[tuple[str, str, str]]:
    text = distribution.read_text("entry_points.txt")
    if text is None or PROJECT not in text:
        return []
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return [
        (section, name, value)
        for section in parser.sections()
        if section == PROJECT or section.startswith(f"{PROJECT}.")
        for name, value in parser.items(section)
    ]
