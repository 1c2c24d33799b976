"""Discover the components of installed distributions from their metadata.

No plugin is imported to list its components. Only the hook modules, in the entry-point group ``artifex``, are imported.
An exception in one of them is recorded as a problem and does not affect the others.
"""

from __future__ import annotations

import importlib
import os
import threading
import warnings

import attrs
import pluggy

from artifex.generative_models.core.components.hooks import PROJECT, new_manager, register_module
from artifex.generative_models.core.components.kind import Claim, Kind
from artifex.generative_models.core.components.loading import call_guarded, load_object
from artifex.generative_models.core.components.metadata import distributions_with, normalize_name
from artifex.generative_models.core.errors import PluginWarning, Problem, printable

FIRST_PARTY = ("artifex-core", "artifex-audio", "artifex-spectral")
DISABLE_VARIABLE = "ARTIFEX_DISABLE_PLUGINS"


@attrs.frozen(kw_only=True)
class Scan:
    """The result of one scan of the installed distributions.

    Args:
        groups: Claims, which are entry points with their distribution, by entry-point group and component name.
        kinds: For each kind's name, the distributions that declare it and their declarations; more than one is a
            conflict.
        manager: The pluggy manager with the hook modules.
        problems: The plugins that were skipped.
        disabled: Names of distributions that ``ARTIFEX_DISABLE_PLUGINS`` disables.
    """

    groups: dict[str, dict[str, list[Claim]]]
    kinds: dict[str, list[tuple[str, Kind]]]
    manager: pluggy.PluginManager
    problems: tuple[Problem, ...]
    disabled: tuple[str, ...]


_lock = threading.RLock()
_scan: Scan | None = None
_scanning = False


def scan() -> Scan:
    """Scan the installed distributions, or return the cached scan.

    Returns:
        The claims, kinds, hooks and problems. The first call also issues each problem as a ``PluginWarning``.

    Raises:
        RuntimeError: If a hook module calls this while it is imported.
    """
    global _scan, _scanning
    with _lock:
        if _scan is None:
            if _scanning:
                raise RuntimeError(
                    "a hook module requested components while it was imported; request them inside a function"
                )
            _scanning = True
            try:
                _scan = _scan_distributions()
            finally:
                _scanning = False
            for problem in _scan.problems:
                warnings.warn(f"plugin skipped: {problem}", PluginWarning, stacklevel=3)
        return _scan


def clear_scan() -> None:
    """Clear the cached scan, so that the next call of ``scan`` reads the installed distributions again."""
    global _scan
    with _lock:
        importlib.invalidate_caches()
        _scan = None


def _scan_distributions() -> Scan:
    groups, problems, disabled = _read_claims()
    hook_claims = [claim for claims in groups.pop(PROJECT, {}).values() for claim in claims]
    hook_claims.sort(key=lambda claim: (claim.distribution not in FIRST_PARTY, claim.distribution, claim.name))
    manager = new_manager()
    kinds: dict[str, list[tuple[str, Kind]]] = {}
    for claim in hook_claims:
        declared, error = call_guarded(_register_hooks, manager, claim)
        if error is not None:
            problems.append(_problem(claim.distribution, f"{claim.name} = {claim.value}", error))
        for kind in declared or ():
            declarations = kinds.setdefault(kind.name, [])
            if all(kind != other for _, other in declarations):
                declarations.append((claim.distribution, kind))
    return Scan(groups=groups, kinds=kinds, manager=manager, problems=tuple(problems), disabled=tuple(sorted(disabled)))


def _read_claims() -> tuple[dict[str, dict[str, list[Claim]]], list[Problem], list[str]]:
    """Read the entry points of all distributions; return claims by group and name, problems, and disabled names."""
    setting = os.environ.get(DISABLE_VARIABLE, "").replace(",", " ").split()
    to_disable = {normalize_name(name) for name in setting}
    groups: dict[str, dict[str, list[Claim]]] = {}
    problems: list[Problem] = []
    disabled: list[str] = []
    for name, version, entry_points, error in distributions_with(PROJECT):
        if error is not None:
            problems.append(_problem(name, "metadata", error))
        elif name in to_disable or ("*" in setting and name not in FIRST_PARTY):
            disabled.append(name)
        for group, key, value in entry_points if name not in disabled else ():
            claim = Claim(kind=group, name=key, distribution=name, value=value, version=version)
            groups.setdefault(group, {}).setdefault(key, []).append(claim)
    return groups, problems, disabled


def _register_hooks(manager: pluggy.PluginManager, claim: Claim) -> list[Kind]:
    return register_module(manager, load_object(claim.value), f"{claim.distribution}:{claim.name}")


def _problem(distribution: str, source: str, error: BaseException) -> Problem:
    reason = " ".join(str(error).split())
    message = printable(f"{source}: {type(error).__name__}: {reason}")
    return Problem(source=distribution, message=message, error=error)
