"""The commands ``list``, ``show`` and ``check``."""

from __future__ import annotations

import contextlib
import inspect
import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

from artifex.generative_models.core.cli.docstrings import argument_descriptions, sections_of
from artifex.generative_models.core.cli.terminal import print_error, say, table
from artifex.generative_models.core.components.discovery import scan
from artifex.generative_models.core.components.kind import IN_PROCESS, Claim, Kind, options_of, signature_of
from artifex.generative_models.core.components.loading import call_guarded
from artifex.generative_models.core.components.metadata import installed_version
from artifex.generative_models.core.components.pins import Pins, active_pins
from artifex.generative_models.core.components.registries import Registry, kinds, registry

_EMPTY = inspect.Parameter.empty


def list_components(
    kind: Annotated[str | None, typer.Argument(help="One kind of component; default: all kinds.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the installed components by kind, with the distribution that provides each."""
    registries = {name: registry(name) for name in ([kind] if kind is not None else kinds())}
    if as_json:
        print(json.dumps({name: _as_json(components) for name, components in registries.items()}, indent=2))
        return
    rows = {name: _rows_of(components) for name, components in registries.items()}
    widths = [max((len(row[column]) for each in rows.values() for row in each), default=0) for column in range(3)]
    for number, (name, components) in enumerate(registries.items()):
        if number:
            say()
        say(name, "bold")
        say(components.kind.summary, "dim", indent=2)
        table(rows[name] or [("(none installed)", "", "", "")], widths=widths)
    if kind is None:
        for name, declarations in scan().kinds.items():
            if len(declarations) > 1:
                distributions = " and ".join(distribution for distribution, _ in declarations)
                print_error(f"kind {name!r} skipped: {distributions} declare it differently")


def show(
    kind: Annotated[str, typer.Argument(help="A kind of component; `artifex list` prints them.")],
    name: Annotated[str, typer.Argument(help="A component's name, or name@distribution.")],
) -> None:
    """Show the source, options and documentation of a component."""
    components = registry(kind)
    choice = components.choice(name)
    claim = choice.claim
    with contextlib.redirect_stdout(sys.stderr):  # output of a plugin at import
        component = components[name]
    # A value is documented by its class.
    documented = component.__class__ if components.kind.form == "value" else component
    sections = sections_of(documented)
    say(claim.name, "bold", after=f"  {kind}, {describe_source(claim)}")
    say(sections.pop("", "(no documentation)"))
    say()
    say(_signature_text(claim.name, component, components.kind))
    descriptions = argument_descriptions(documented)
    sections.pop("Args", None)
    options = options_of(components.kind, component)
    if options is None:
        _print_section("Options", [("any", "all keyword arguments are accepted")])
    else:
        passed_by_caller = [parameter for parameter in _parameter_names(documented) if parameter not in options]
        _print_section("Arguments passed by the caller", [(p, descriptions.get(p, "")) for p in passed_by_caller])
        rows = [(p.name, _type_text(p), _default_text(p), descriptions.get(p.name, "")) for p in options.values()]
        _print_section("Options", rows or [("none",)])
    for title, body in sections.items():
        say()
        say(title, "bold")
        say(body, indent=2)
    entry_point = [claim.value] if claim.distribution != IN_PROCESS else []
    _print_section("Source", [(location,) for location in (*entry_point, *_source_location(documented))])
    reasons = {claim: choice.reason, **dict.fromkeys(choice.others, "not selected")}
    _print_section("Provided by", [(each.provider, reason) for each, reason in reasons.items()])


def check(
    kind: Annotated[str | None, typer.Argument(help="One kind of component; default: all kinds.")] = None,
    name: Annotated[str | None, typer.Argument(help="One component, or name@distribution; default: all.")] = None,
    dist: Annotated[str | None, typer.Option(help="Check only the components of this distribution.")] = None,
) -> None:
    """Check components against the rules of their kinds; exit code 1 if one breaks a rule."""
    if kind is not None:
        registry(kind)
    if dist is not None and name is not None:
        raise ValueError(f"--dist selects all components of a distribution; write {name}@{dist} for one")
    if dist is not None and installed_version(dist) is None:
        raise ValueError(f"--dist {dist}: no such distribution is installed")
    import jax

    jax.config.update("jax_num_cpu_devices", 2)  # for the rule about sharding
    from artifex.generative_models.core import testing

    selected = [(kind, name)] if kind is not None and name is not None else testing.components(kind, dist)
    if not selected:
        say("No installed component matches.")
        return
    reports: list[testing.Report] = []
    width = max(len(f"{of_kind} {component}") for of_kind, component in selected)
    for of_kind, component in selected:
        start = time.perf_counter()
        with contextlib.redirect_stdout(sys.stderr):
            report = testing.check(of_kind, component)
        seconds = time.perf_counter() - start
        reports.append(report)
        result = f"passes {len(report.passes)} rules" if report.passed else f"breaks {len(report.failures)} rules"
        skipped = f", {len(report.skipped)} skipped" if report.skipped else ""
        mark, style = ("ok", "green") if report.passed else ("FAIL", "bold red")
        say(f"{mark:6}", style, after=f"{f'{of_kind} {component}':{width}}  {seconds:4.1f} s  {result}{skipped}")
    failed = [report for report in reports if not report.passed]
    for report in failed:
        say()
        say(str(report))
    for note in sorted({f"{rule}: {reason}" for report in reports for rule, reason in report.skipped}):
        say(f"skipped: {note}", "dim")
    say()
    say(f"{len(reports) - len(failed)} of {len(reports)} components pass.", "bold red" if failed else "green")
    if failed:
        raise typer.Exit(1)


def describe_source(claim: Claim) -> str:
    """Describe the source of a claim: its distribution and version, or the registration in this process."""
    return "registered in this process" if claim.distribution == IN_PROCESS else claim.provider


def _rows_of(components: Registry[Any]) -> list[tuple[str, str, str, str]]:
    pins = active_pins()
    claims_by_name = {name: components.claims(name) for name in components}
    return [
        (name, claim.distribution, claim.version, _note(claim, claims, pins))
        for name, claims in claims_by_name.items()
        for claim in claims
    ]


def _note(claim: Claim, claims: tuple[Claim, ...], pins: Pins) -> str:
    """Return a note on the conflict or pin of a claim, or an empty string."""
    in_process = claim.distribution == IN_PROCESS
    pinned = None if in_process else pins.distributions.get((claim.kind, claim.name))
    if pinned == claim.distribution:
        return f"pinned by {pins.path}"
    if pinned is not None and all(pinned != each.distribution for each in claims):
        return f"pinned to {pinned}, which does not provide it: see {pins.path}"
    state = "conflict" if pinned is None else "not selected"
    return f"{state}: write {claim.qualified_name}" if len(claims) > 1 else ""


def _as_json(components: Registry[Any]) -> dict[str, Any]:
    pins = active_pins()
    return {
        "summary": components.kind.summary,
        "group": components.kind.group,
        "components": {name: [_claim_as_json(claim, pins) for claim in components.claims(name)] for name in components},
    }


def _claim_as_json(claim: Claim, pins: Pins) -> dict[str, Any]:
    fields = {field: getattr(claim, field) for field in ("distribution", "version", "value")}
    is_pinned = pins.distributions.get((claim.kind, claim.name)) == claim.distribution
    return {**fields, "pinned": True} if is_pinned else fields


def _parameter_names(component: Any) -> list[str]:
    names, _ = call_guarded(lambda: list(signature_of(component).parameters))
    return names or []


def _signature_text(name: str, component: Any, kind: Kind) -> str:
    """Return a signature without types; that of a value shows the value's fields, not the defaults of its class."""
    if kind.form == "value":
        callee, parameters = type(component).__name__, options_of(kind, component)
    else:
        signature, _ = call_guarded(signature_of, component)
        callee = name if kind.form == "function" else component.__name__
        parameters = None if signature is None else dict(signature.parameters)
    if parameters is None:
        return f"{callee}(…)"
    return f"{callee}{inspect.Signature([p.replace(annotation=_EMPTY) for p in parameters.values()])}"


def _type_text(parameter: inspect.Parameter) -> str:
    hint = parameter.annotation
    if hint is _EMPTY:
        return ""
    return hint.__name__ if isinstance(hint, type) else str(hint)


def _default_text(parameter: inspect.Parameter) -> str:
    return "(required)" if parameter.default is _EMPTY else f"= {parameter.default!r}"


def _source_location(component: Any) -> Iterator[str]:
    source = inspect.unwrap(component)
    location, _ = call_guarded(lambda: f"{inspect.getsourcefile(source)}:{inspect.getsourcelines(source)[1]}")
    if location is not None:
        yield location


def _print_section(title: str, rows: Sequence[tuple[str, ...]]) -> None:
    if rows:
        say()
        say(title, "bold")
        table(rows)
