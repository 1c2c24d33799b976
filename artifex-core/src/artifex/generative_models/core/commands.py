"""Commands about the registry: what there is, what one thing takes, and what is wrong."""

from __future__ import annotations

import contextlib
import importlib.metadata
import inspect
import json
import os
import platform
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any

import attrs
import typer

import artifex_cli
from artifex.generative_models.core import pins, plugins
from artifex.generative_models.core.errors import suggest
from artifex.generative_models.core.plugins import IN_PROCESS, Claim, Kind
from artifex.generative_models.core.registry import Registry, kinds, options_of, registry, signature_of
from artifex.generative_models.core.terminal import say, table


def add_to(app: typer.Typer) -> None:
    """Add the commands of core to the command line.

    Args:
        app: The command line.
    """
    app.command("list")(list_components)
    app.command("show")(show)
    app.command("doctor")(doctor)
    app.command("check")(check)


def list_components(
    kind: Annotated[str | None, typer.Argument(help="One kind of component; all when left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """List the components that are installed, by kind, with the distribution each comes from."""
    found = {name: registry(name) for name in ([kind] if kind is not None else kinds())}
    if as_json:
        print(json.dumps({name: _as_json(each) for name, each in found.items()}, indent=2))
        return
    rows = {name: _rows_of(each) for name, each in found.items()}
    widths = [max((len(row[column]) for each in rows.values() for row in each), default=0) for column in range(3)]
    for number, (name, each) in enumerate(found.items()):
        say("", skip=number == 0)
        say(name, "bold")
        say(each.kind.summary, "dim", indent=2)
        table(rows[name] or [("(none installed)", "", "", "")], widths=widths)
    if kind is None:
        for name, owners in plugins.scan().kinds.items():
            if len(owners) > 1:
                who = " and ".join(owner for owner, _ in owners)
                print(f"artifex: kind {name!r} is left out: {who} declare it differently", file=sys.stderr)


def show(
    kind: Annotated[str, typer.Argument(help="A kind of component; `artifex list` names them.")],
    name: Annotated[str, typer.Argument(help="A component's name, or name@distribution.")],
) -> None:
    """Show one component: where it comes from, what it takes, and its documentation."""
    found = registry(kind)
    choice = found.choice(name)
    claim = choice.claim
    with contextlib.redirect_stdout(sys.stderr):  # what a plugin prints when it is imported
        component = found[name]
    # A value's own documentation is that of its class.
    documented = type(component) if found.kind.form == "value" else component
    sections = _sections_of(inspect.getdoc(documented) or "")
    say(f"{claim.name}", "bold", after=f"  {kind}, {_from(claim)}")
    say(sections.pop("", "(no documentation)"))
    say("")
    say(_written(claim.name, documented, found.kind))
    arguments = _arguments_of(sections.pop("Args", ""))
    options = options_of(found.kind, component)
    at_call = [p for p in _names(documented) if options is not None and p not in options]
    _listing("Given when it is called", [(p, arguments.get(p, "")) for p in at_call])
    if options is None:
        _listing("Options", [("any", "it takes whatever it is given")])
    else:
        rows = [(p.name, _type(p), _default(p), arguments.get(p.name, "")) for p in options.values()]
        _listing("Options", rows or [("none",)])
    for title, body in sections.items():
        say("")
        say(title, "bold")
        say(body, indent=2)
    places = [claim.value] if claim.distribution != IN_PROCESS else []
    _listing("Where", [(place,) for place in (*places, *_source(documented))])
    told = {claim: choice.reason, **dict.fromkeys(choice.others, "passed over")}
    _listing("Claim", [(f"{c.distribution} {c.version}".rstrip(), why) for c, why in told.items()])


def doctor() -> None:
    """Check what is installed, and say what is wrong and what to do; exit code 1 when anything is."""
    problems: list[tuple[str, str]] = [(fault, "") for fault in artifex_cli.namespace_faults()]
    _heading("Versions")
    table(list(_versions(problems)))
    _heading("Devices")
    table(list(_devices(problems)))
    _heading("Components")
    table(list(_components(problems)))
    say("")
    problems += _discovery()
    for note in _notes():
        say(f"Note: {note}")
    if not problems:
        say("All is well.", "green")
        return
    say(f"{len(problems)} {'problem' if len(problems) == 1 else 'problems'}:", "bold red")
    for number, (what, remedy) in enumerate(problems, 1):
        say(f"{number}. {what}", indent=2)
        say(f"-> {remedy}", indent=5, skip=not remedy)
    raise typer.Exit(1)


def check(
    kind: Annotated[str | None, typer.Argument(help="One kind of component; all when left out.")] = None,
    name: Annotated[str | None, typer.Argument(help="One component, or name@distribution.")] = None,
    dist: Annotated[str | None, typer.Option(help="What one distribution provides alone.")] = None,
) -> None:
    """Try every rule of its kind on each component; exit code 1 when one is broken."""
    if kind is not None:
        registry(kind)
    if dist is not None and _version_of(dist) is None:
        raise ValueError(f"--dist {dist}: no such distribution is installed")
    import jax

    jax.config.update("jax_num_cpu_devices", 2)  # so that sharding can be tried
    from artifex.generative_models.core import testing

    wanted = [(kind, name)] if kind is not None and name is not None else testing.components(kind, dist)
    reports = []
    width = max((len(f"{of_kind} {each}") for of_kind, each in wanted), default=0)
    for of_kind, each in wanted:
        start = time.perf_counter()
        with contextlib.redirect_stdout(sys.stderr):
            report = testing.check(of_kind, each)
        seconds = time.perf_counter() - start
        reports.append(report)
        note = f"{len(report.held)} rules hold" if report.passed else f"breaks {len(report.failures)}"
        skipped = f", {len(report.skipped)} not tried" if report.skipped else ""
        mark, style = ("ok", "green") if report.passed else ("no", "bold red")
        say(f"{mark:4}", style, after=f"{f'{of_kind} {each}':{width}}  {seconds:4.1f} s  {note}{skipped}")
    broken = [report for report in reports if not report.passed]
    for report in broken:
        say("")
        say(str(report))
    for why in sorted({f"{rule}: {why}" for report in reports for rule, why in report.skipped}):
        say(f"not tried: {why}", "dim")
    say("")
    say(f"{len(reports) - len(broken)} of {len(reports)} components hold.", "bold red" if broken else "green")
    if broken:
        raise typer.Exit(1)


def arguments_of(component: Any) -> dict[str, str]:
    """Return what the documentation of a component says of its arguments, by argument.

    Args:
        component: A function or class with a docstring of Google's style.

    Returns:
        The sentences, each on one line; empty without a section Args.

    Example:
        >>> list(arguments_of(arguments_of))
        ['component']
    """
    return _arguments_of(_sections_of(inspect.getdoc(component) or "").get("Args", ""))


def _rows_of(found: Registry[Any]) -> list[tuple[str, str, str, str]]:
    rows, chosen = [], pins.in_effect()
    for name in found:
        claims = found.claims(name)
        for claim in claims:
            rows.append((name, claim.distribution, claim.version, _note(claim, claims, chosen)))
    return rows


def _note(claim: Claim, claims: tuple[Claim, ...], chosen: pins.Pins) -> str:
    """Say what a row of the list has to say about clashes and pins."""
    wanted = chosen.chosen.get((claim.kind, claim.name)) if claim.distribution != IN_PROCESS else None
    if wanted == claim.distribution:
        return f"pinned by {chosen.path}"
    if wanted is not None and all(wanted != each.distribution for each in claims):
        return f"pinned to {wanted}, which does not provide it: see {chosen.path}"
    state = "clash" if wanted is None else "passed over"
    return f"{state}: write {claim.name}@{claim.distribution}" if len(claims) > 1 else ""


def _as_json(found: Registry[Any]) -> dict[str, Any]:
    chosen = pins.in_effect()
    return {
        "summary": found.kind.summary,
        "group": found.kind.group,
        "components": {name: [_claim_as_json(c, chosen) for c in found.claims(name)] for name in found},
    }


def _claim_as_json(claim: Claim, chosen: pins.Pins) -> dict[str, Any]:
    found = {field: getattr(claim, field) for field in ("distribution", "version", "value")}
    pinned = chosen.chosen.get((claim.kind, claim.name)) == claim.distribution
    return {**found, "pinned": True} if pinned else found


def _from(claim: Claim) -> str:
    return "registered in this process" if claim.distribution == IN_PROCESS else f"{claim.distribution} {claim.version}"


_TITLES = (
    "Args",
    "Attributes",
    "Example",
    "Examples",
    "Note",
    "Raises",
    "Reference",
    "References",
    "Returns",
    "Yields",
)
_EMPTY = inspect.Parameter.empty


def _sections_of(text: str) -> dict[str, str]:
    """Split a docstring of Google's style by its titles; what comes first has the title ""."""
    parts = re.split(rf"^({'|'.join(_TITLES)}):[ ]*$", text, flags=re.MULTILINE)
    titles = ["", *parts[1::2]]
    bodies = [inspect.cleandoc("\n" + body).strip() for body in parts[::2]]
    found = {title: body for title, body in zip(titles, bodies, strict=True) if body}
    return {
        title: body if title in ("Args", "Example", "Examples") else _flowing(body) for title, body in found.items()
    }


def _flowing(text: str) -> str:
    """Join the lines of each paragraph, so that it can be wrapped to another width."""
    lines: list[str] = []
    for line in text.splitlines():
        goes_on = lines and lines[-1] and line and not re.match(r">>>|[-*•]|\d+\.|\w+(Error|Warning|Exception): ", line)
        if goes_on:
            lines[-1] += f" {line.strip()}"
        else:
            lines.append(line.strip())
    return "\n".join(lines)


def _arguments_of(text: str) -> dict[str, str]:
    """Return what a section "Args" says, by argument."""
    entries = re.split(r"^\*{0,2}(\w+)(?: \([^)]*\))?:[ ]*", text, flags=re.MULTILINE)
    return {name: " ".join(words.split()) for name, words in zip(entries[1::2], entries[2::2], strict=True)}


def _names(component: Any) -> list[str]:
    found, _ = plugins.load_guarded(lambda: list(signature_of(component).parameters))
    return found or []


def _written(name: str, component: Any, kind: Kind) -> str:
    found, error = plugins.load_guarded(lambda: signature_of(component))
    if error is not None:
        return f"{name}(…)"
    bare = [parameter.replace(annotation=_EMPTY) for parameter in found.parameters.values()]
    called = component.__name__ if kind.form != "function" else name
    return f"{called}{found.replace(parameters=bare, return_annotation=_EMPTY)}"


def _type(parameter: inspect.Parameter) -> str:
    hint = parameter.annotation
    return "" if hint is _EMPTY else hint.__name__ if isinstance(hint, type) else str(hint)


def _default(parameter: inspect.Parameter) -> str:
    return "(to be given)" if parameter.default is _EMPTY else f"= {parameter.default!r}"


def _source(component: Any) -> Iterator[str]:
    plain = inspect.unwrap(component)
    place, error = plugins.load_guarded(lambda: f"{inspect.getsourcefile(plain)}:{inspect.getsourcelines(plain)[1]}")
    if error is None:
        yield place


@attrs.frozen
class _Requirement:
    by: str
    name: str
    extra: str
    marker: str
    bounds: tuple[tuple[str, str], ...]


def _requirements(distribution: str) -> Iterator[_Requirement]:
    for line in importlib.metadata.requires(distribution) or ():
        head, _, marker = line.partition(";")
        name = re.match(r"[\w.-]+", head.strip())
        if name is None or plugins.normalized(name[0]) == distribution:
            continue
        extra = re.search(r"extra\s*==\s*['\"]([\w.-]+)['\"]", marker)
        bounds = tuple(re.findall(r"(==|>=)\s*([\w.]+)", head))
        rest = "" if extra is not None else marker.strip()
        yield _Requirement(distribution, plugins.normalized(name[0]), extra[1] if extra else "", rest, bounds)


def _versions(problems: list[tuple[str, str]]) -> Iterator[tuple[str, ...]]:
    yield ("Python", platform.python_version(), sys.executable)
    claims = [c for names in plugins.scan().groups.values() for claims in names.values() for c in claims]
    ours = {*plugins.FIRST_PARTY, *(c.distribution for c in claims), *plugins.scan().switched_off}
    needs: dict[str, list[_Requirement]] = {}
    for name in sorted(ours, key=lambda name: (name not in plugins.FIRST_PARTY, name)):
        version = _version_of(name)
        yield (
            name,
            version or "not installed",
            "" if version or name not in plugins.FIRST_PARTY else f"pip install {name}",
        )
        for need in _requirements(name) if version else ():
            needs.setdefault(need.name, []).append(need)
    listed = ("jax", "jaxlib", "flax", "numpy")
    for name in (*listed, *sorted(set(needs) - {*listed, *ours})):
        version = _version_of(name)
        wanting = needs.get(name, [])
        extras = [f"{need.by}[{need.extra}]" for need in wanting if need.extra and need.extra != "all"]
        firm = [need for need in wanting if not need.extra and not need.marker]
        brought = f"pip install '{extras[0]}'" if extras and not firm else f"pip install {name}"
        yield (name, version or "not installed", "" if version else brought)
        if version is None and firm:
            problems.append((f"{firm[0].by} needs {name}, which is not installed", brought))
    for need in (each for name in needs for each in needs[name]):
        version = _version_of(need.name)
        if version is None or need.marker:
            continue
        for relation, bound in need.bounds:
            if not _holds(version, relation, bound):
                wanted = f"{need.name}{relation}{bound}"
                what = f"{need.by} {_version_of(need.by)} needs {wanted}, installed is {version}"
                problems.append((what, f"pip install --upgrade {need.by} '{wanted}'"))


def _version_of(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _holds(version: str, relation: str, bound: str) -> bool:
    if relation == "==":
        return version == bound
    ours, theirs = ([int(part) for part in re.findall(r"\d+", text.partition("+")[0])] for text in (version, bound))
    return ours >= theirs


def _devices(problems: list[tuple[str, str]]) -> Iterator[tuple[str, ...]]:
    def look() -> list[tuple[str, ...]]:
        import jax

        counts = Counter((device.platform, device.device_kind) for device in jax.devices())
        return [(platform_, f"{count} x {kind}") for (platform_, kind), count in counts.items()]

    rows, error = _quietly(look)
    if error is not None:
        yield ("none", "jax cannot start")
        remedy = "JAX_PLATFORMS=cpu runs it on the CPU; otherwise install the jax that fits your accelerator"
        problems.append((f"jax cannot start: {_reason(error)}", remedy))
    yield from rows or ()


def _components(problems: list[tuple[str, str]]) -> Iterator[tuple[str, ...]]:
    """Load every component there is, and count."""
    reasons: dict[tuple[str, str], list[Claim]] = {}
    for kind in kinds():
        found = registry(kind)
        claims = [claim for name in found for claim in found.claims(name)]
        n_broken = 0
        for claim in claims:
            asked = claim.name if claim.distribution == IN_PROCESS else f"{claim.name}@{claim.distribution}"
            _, error = _quietly(found.__getitem__, asked)
            if error is not None:
                n_broken += 1
                reasons.setdefault((claim.distribution, _reason(error.__cause__ or error)), []).append(claim)
        yield (kind, f"{len(claims) - n_broken} of {len(claims)} load" if n_broken else f"{len(claims)}")
    for (distribution, reason), claims in reasons.items():
        names = ", ".join(f"{claim.kind} {claim.name!r}" for claim in claims)
        if len(claims) == 1:
            names += f" ({claims[0].value})"
        problems.append((f"{_from(claims[0])}: {names} cannot be used: {reason}", _remedy(distribution, reason)))


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _remedy(distribution: str, reason: str) -> str:
    if reason.startswith("ModuleNotFoundError"):
        return f"pip install what it lacks, or {_without(distribution)}"
    return f"pip install --upgrade {distribution}, tell its authors, or {_without(distribution)}"


def _without(distribution: str) -> str:
    return f"switch it off with ARTIFEX_DISABLE_PLUGINS={distribution}"


def _discovery() -> Iterator[tuple[str, str]]:
    """Yield what discovery could not use, each with what to do."""
    scan, chosen = plugins.scan(), pins.read()
    for problem in scan.problems:
        yield f"plugin left out: {problem}", _remedy(problem.distribution, _reason(problem.error))
    for owner, add in plugins.hooks_of(scan.manager, "artifex_commands"):
        _, error = _quietly(add, typer.Typer())
        if error is not None:
            distribution = owner.partition(":")[0]
            yield (
                f"commands of {distribution} left out: {_reason(error)}",
                _remedy(distribution, _reason(error)),
            )
    for name, owners in scan.kinds.items():
        if len(owners) > 1:
            names = [owner for owner, _ in owners]
            yield f"kind {name!r} is declared differently by {' and '.join(names)}", f"{_without(names[-1])}"
    for kind in kinds():
        found = registry(kind)
        for name in found:
            claims = found.claims(name)
            if len(claims) > 1 and (kind, name) not in chosen.chosen:
                ways = " or ".join(f"{name}@{claim.distribution}" for claim in claims)
                owners_ = " and ".join(f"{claim.distribution} {claim.version}".strip() for claim in claims)
                yield f"{kind} {name!r} is claimed by {owners_}", f"write {ways}"
    yield from _pinning(chosen)
    declared = {kind.group for owners in scan.kinds.values() for _, kind in owners}
    for group in sorted(set(scan.groups) - declared):
        claims_ = [claim for claims in scan.groups[group].values() for claim in claims]
        who = ",".join(sorted({claim.distribution for claim in claims_}))
        names_ = ", ".join(sorted(claim.name for claim in claims_))
        reason = f"no installed distribution declares a kind with the entry-point group {group!r}"
        remedy = f"install the distribution that owns {group}, or {_without(who)}"
        yield f"{names_} of {who} cannot be used: {reason}.{suggest(group, declared)}", remedy


def _pinning(chosen: pins.Pins) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the project's pins, each with what to do."""
    if chosen.error is not None:
        yield str(chosen.error), "correct the file, or unset ARTIFEX_CONFIG where that names the wrong one"
        return
    for oddity in pins.oddities(chosen):
        yield oddity, "correct the line or delete it, or install the distribution that provides it"
    for kind, name in chosen.chosen:
        if kind in kinds() and registry(kind).claims(name):
            _, error = _quietly(registry(kind).choice, name)
            if error is not None:
                yield str(error), f"correct the line, or pip install {chosen.chosen[kind, name]}"


def _notes() -> Iterator[str]:
    path = pins.read().path
    if path is not None:
        yield f"{path} is the file of pins in effect."
    setting = os.environ.get("ARTIFEX_DISABLE_PLUGINS", "")
    if setting:
        off = ", ".join(plugins.scan().switched_off) or "nothing that is installed"
        yield f"ARTIFEX_DISABLE_PLUGINS={setting} switches off {off}."


def _quietly(load: Callable[..., Any], *given: Any) -> tuple[Any, BaseException | None]:
    with contextlib.redirect_stdout(sys.stderr):
        return plugins.load_guarded(load, *given)


def _heading(text: str) -> None:
    say("", skip=text == "Versions")
    say(text, "bold")


def _listing(title: str, rows: Sequence[tuple[str, ...]]) -> None:
    if rows:
        say("")
        say(title, "bold")
        table(rows)
