"""The command ``doctor``: check the installation, and print each problem with its remedy."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import typer

import artifex_cli
from artifex.generative_models.core.cli.commands import describe_source
from artifex.generative_models.core.cli.terminal import say, table
from artifex.generative_models.core.components.discovery import DISABLE_VARIABLE, FIRST_PARTY, scan
from artifex.generative_models.core.components.hooks import implementations
from artifex.generative_models.core.components.kind import Claim
from artifex.generative_models.core.components.loading import call_guarded
from artifex.generative_models.core.components.metadata import installed_version, normalize_name, requirements
from artifex.generative_models.core.components.pins import Pins, read_pins, unused_pins
from artifex.generative_models.core.components.registries import kinds, registry
from artifex.generative_models.core.errors import suggest

Row = tuple[str, ...]


class Finding(NamedTuple):
    """A problem of the installation.

    Args:
        problem: The problem, in one sentence.
        remedy: What to do about it, or "".
    """

    problem: str
    remedy: str = ""


class Requirement(NamedTuple):
    """A requirement that a distribution declares.

    Args:
        required_by: The distribution.
        name: The required distribution.
        extra: The extra it belongs to, or "".
        marker: Its other environment marker, or "".
        bounds: Pairs of ``"=="`` or ``">="`` and a version.
    """

    required_by: str
    name: str
    extra: str
    marker: str
    bounds: list[tuple[str, str]]


def doctor() -> None:
    """Check the installation and print each problem with its remedy; exit code 1 if there is one."""
    findings = [Finding(fault) for fault in artifex_cli.namespace_faults()]
    for title, collect in (("Versions", _versions), ("Devices", _devices), ("Components", _components)):
        rows, found = collect()
        if title != "Versions":
            say()
        say(title, "bold")
        table(rows)
        findings += found
    findings += _discovery_problems()
    say()
    for note in _notes():
        say(f"Note: {note}")
    if not findings:
        say("No problems found.", "green")
        return
    say(f"{len(findings)} {'problem' if len(findings) == 1 else 'problems'}:", "bold red")
    for number, finding in enumerate(findings, 1):
        say(f"{number}. {finding.problem}", indent=2)
        if finding.remedy:
            say(f"-> {finding.remedy}", indent=5)
    raise typer.Exit(1)


def _versions() -> tuple[list[Row], list[Finding]]:
    """Return the versions of artifex, its plugins and their requirements, and the requirements that are not met."""
    claims = [claim for names in scan().groups.values() for claims in names.values() for claim in claims]
    ours = {*FIRST_PARTY, *(claim.distribution for claim in claims), *scan().disabled}
    rows: list[Row] = [("Python", platform.python_version(), sys.executable)]
    required: dict[str, list[Requirement]] = {}
    for name in sorted(ours, key=lambda name: (name not in FIRST_PARTY, name)):
        version = installed_version(name)
        is_missing = version is None and name in FIRST_PARTY
        rows.append((name, version or "not installed", f"pip install {name}" if is_missing else ""))
        for requirement in _requirements(name) if version else ():
            required.setdefault(requirement.name, []).append(requirement)

    findings: list[Finding] = []
    first = ("jax", "jaxlib", "flax", "numpy")
    for name in (*first, *sorted(set(required) - {*first, *ours})):
        version = installed_version(name)
        extras = [f"{r.required_by}[{r.extra}]" for r in required.get(name, ()) if r.extra and r.extra != "all"]
        unconditional = [r for r in required.get(name, ()) if not r.extra and not r.marker]
        install = f"pip install '{extras[0]}'" if extras and not unconditional else f"pip install {name}"
        rows.append((name, version or "not installed", "" if version else install))
        if version is None and unconditional:
            findings.append(Finding(f"{unconditional[0].required_by} requires {name}, which is not installed", install))
    for requirement in (each for name in required for each in required[name] if not each.marker):
        findings += _unmet_bounds(requirement)
    return rows, findings


def _requirements(distribution: str) -> Iterator[Requirement]:
    for line in requirements(distribution):
        head, _, marker = line.partition(";")
        name = re.match(r"[\w.-]+", head.strip())
        if name is None or normalize_name(name[0]) == distribution:
            continue
        extra = re.search(r"extra\s*==\s*['\"]([\w.-]+)['\"]", marker)
        bounds = re.findall(r"(==|>=)\s*([\w.]+)", head)
        other_marker = "" if extra is not None else marker.strip()
        yield Requirement(distribution, normalize_name(name[0]), extra[1] if extra else "", other_marker, bounds)


def _unmet_bounds(requirement: Requirement) -> Iterator[Finding]:
    version = installed_version(requirement.name)
    for relation, bound in requirement.bounds if version is not None else ():
        if not _satisfies(version or "", relation, bound):
            owner, bound_requirement = requirement.required_by, f"{requirement.name}{relation}{bound}"
            yield Finding(
                f"{owner} {installed_version(owner)} requires {bound_requirement}, but {version} is installed",
                f"pip install --upgrade {owner} '{bound_requirement}'",
            )


def _satisfies(version: str, relation: str, bound: str) -> bool:
    if relation == "==":
        return version == bound
    numbers = [[int(part) for part in re.findall(r"\d+", text.partition("+")[0])] for text in (version, bound)]
    return numbers[0] >= numbers[1]


def _devices() -> tuple[list[Row], list[Finding]]:
    def count_devices() -> list[Row]:
        import jax

        devices: list[Any] = jax.devices()  # pyright: ignore[reportUnknownVariableType]  jaxlib has no types
        counts = Counter((device.platform, device.device_kind) for device in devices)
        return [(platform_name, f"{count} x {kind}") for (platform_name, kind), count in counts.items()]

    rows, error = _call_quietly(count_devices)
    if error is None:
        return rows, []
    remedy = "set JAX_PLATFORMS=cpu to use the CPU, or install the jax for your accelerator"
    return [("none", "jax cannot start")], [Finding(f"jax cannot start: {_reason(error)}", remedy)]


def _components() -> tuple[list[Row], list[Finding]]:
    """Load every installed component; return the count per kind, and those that cannot be loaded."""
    rows: list[Row] = []
    broken: dict[tuple[str, str], list[Claim]] = {}
    for kind in kinds():
        found = registry(kind)
        claims = [claim for name in found for claim in found.claims(name)]
        n_broken = 0
        for claim in claims:
            _, error = _call_quietly(found.__getitem__, claim.qualified_name)
            if error is not None:
                n_broken += 1
                broken.setdefault((claim.distribution, _reason(error.__cause__ or error)), []).append(claim)
        n_loaded = len(claims) - n_broken
        rows.append((kind, f"{n_loaded} of {len(claims)} can be loaded" if n_broken else f"{n_loaded}"))
    findings: list[Finding] = []
    for (distribution, reason), claims in broken.items():
        names = ", ".join(f"{claim.kind} {claim.name!r}" for claim in claims)
        location = f" ({claims[0].value})" if len(claims) == 1 else ""
        findings.append(
            Finding(
                f"{describe_source(claims[0])}: {names}{location} cannot be loaded: {reason}",
                _remedy(distribution, reason),
            )
        )
    return rows, findings


def _discovery_problems() -> Iterator[Finding]:
    """Yield plugins that were skipped, conflicts, invalid pins, and entry points of unknown kinds."""
    current = scan()
    for problem in current.problems:
        reason = _reason(problem.error) if problem.error is not None else problem.message
        yield Finding(f"plugin skipped: {problem}", _remedy(problem.source, reason))
    for plugin, artifex_commands in implementations(current.manager, "artifex_commands"):
        _, error = _call_quietly(artifex_commands, typer.Typer())
        if error is not None:
            distribution = plugin.partition(":")[0]
            reason = _reason(error)
            yield Finding(f"commands of {distribution} skipped: {reason}", _remedy(distribution, reason))
    for name, declarations in current.kinds.items():
        if len(declarations) > 1:
            distributions = [distribution for distribution, _ in declarations]
            yield Finding(
                f"kind {name!r} is declared differently by {' and '.join(distributions)}", _disable(distributions[-1])
            )
    pins = read_pins()
    yield from _conflicts(pins)
    yield from _pin_problems(pins)
    yield from _unknown_groups()


def _conflicts(pins: Pins) -> Iterator[Finding]:
    for kind in kinds():
        for name in registry(kind):
            claims = registry(kind).claims(name)
            if len(claims) > 1 and (kind, name) not in pins.distributions:
                providers = " and ".join(claim.provider for claim in claims)
                names = " or ".join(claim.qualified_name for claim in claims)
                yield Finding(f"{kind} {name!r} is provided by {providers}", f"write {names}")


def _pin_problems(pins: Pins) -> Iterator[Finding]:
    if pins.error is not None:
        yield Finding(str(pins.error), "correct the file, or unset ARTIFEX_CONFIG if it names the wrong file")
        return
    for message in unused_pins(pins):
        yield Finding(message, "correct or delete the line, or install the distribution that provides it")
    for kind, name in pins.distributions:
        if kind in kinds() and registry(kind).claims(name):
            _, error = _call_quietly(registry(kind).choice, name)
            if error is not None:
                distribution = pins.distributions[kind, name]
                yield Finding(str(error), f"correct the line, or pip install {distribution}")


def _unknown_groups() -> Iterator[Finding]:
    groups = scan().groups
    declared = {kind.group for declarations in scan().kinds.values() for _, kind in declarations}
    for group in sorted(set(groups) - declared):
        claims = [claim for claims in groups[group].values() for claim in claims]
        distributions = ",".join(sorted({claim.distribution for claim in claims}))
        names = ", ".join(sorted(claim.name for claim in claims))
        yield Finding(
            f"{names} of {distributions} cannot be used: no installed distribution declares a kind with the entry-point "
            f"group {group!r}.{suggest(group, declared)}",
            f"install the distribution that declares it, or {_disable(distributions)}",
        )


def _notes() -> Iterator[str]:
    path = read_pins().path
    if path is not None:
        yield f"pins are read from {path}."
    setting = os.environ.get(DISABLE_VARIABLE, "")
    if setting:
        disabled = ", ".join(scan().disabled) or "no installed distribution"
        yield f"{DISABLE_VARIABLE}={setting} disables {disabled}."


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _remedy(distribution: str, reason: str) -> str:
    if reason.startswith("ModuleNotFoundError"):
        return f"pip install the missing module, or {_disable(distribution)}"
    return f"pip install --upgrade {distribution}, report it to its authors, or {_disable(distribution)}"


def _disable(distribution: str) -> str:
    return f"disable it with {DISABLE_VARIABLE}={distribution}"


def _call_quietly(function: Callable[..., Any], *args: Any) -> tuple[Any, BaseException | None]:
    """Call a function of a plugin, with its output redirected to standard error."""
    with contextlib.redirect_stdout(sys.stderr):
        return call_guarded(function, *args)
