"""Check a component against the rules of its kind."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from artifex.generative_models.core.components.discovery import scan
from artifex.generative_models.core.components.hooks import implementations
from artifex.generative_models.core.components.loading import call_guarded, load_object
from artifex.generative_models.core.components.metadata import normalize_name
from artifex.generative_models.core.components.registries import kinds, registry
from artifex.generative_models.core.errors import PluginWarning, UnknownComponentError
from artifex.generative_models.core.testing.causes import cause_of, definition_of, noted_input
from artifex.generative_models.core.testing.compilation import quick_compilation
from artifex.generative_models.core.testing.component_rules import check_documentation, check_import, check_options
from artifex.generative_models.core.testing.report import Failure, Report
from artifex.generative_models.core.testing.subject import Rule, Skipped, Subject, Violation
from artifex.generative_models.core.testing.subject_rules import subject_rules


def check(kind: str, component: object) -> Report:
    """Check a component against every rule of its kind.

    Args:
        kind: The kind.
        component: The component's name, ``"name@distribution"``, or the component itself.

    Returns:
        The report: ``assert report.passed, str(report)``.

    Raises:
        LookupError: If there is no such kind or component, or no contract for the kind.

    Example:
        >>> def double_difference(estimate, reference):
        ...     '''Compute twice the absolute difference, full scale.'''
        ...     return 2 * abs(estimate - reference).sum()
        >>> check("metric", double_difference).passed  # doctest: +SKIP
        True
    """
    name = component if isinstance(component, str) else getattr(component, "__name__", repr(component))
    loaded = registry(kind)[component] if isinstance(component, str) else component
    return _report(kind, name, _rules(kind, loaded), loaded)


def check_function(name: str, subject: Subject) -> Report:
    """Check any pure function against the rules for subjects: jit, vmap, grad, dtypes, independent examples, keys, sharding.

    Args:
        name: The function's name in the report.
        subject: The function, and how to call it.

    Returns:
        The report.

    Example:
        >>> from artifex.generative_models.core.testing import signals
        >>> mean_level = Subject(function=lambda audio: abs(audio).mean(), example=signals)
        >>> check_function("mean_level", mean_level).passed  # doctest: +SKIP
        True
    """
    return _report("function", name, subject_rules(subject), subject.function)


def components(kind: str | None = None, distribution: str | None = None) -> list[tuple[str, str]]:
    """List the installed components that can be checked, for ``pytest.mark.parametrize``.

    Args:
        kind: One kind; None means every kind that has a contract.
        distribution: The distribution that provides them; None means all.

    Returns:
        Pairs of kind and name, sorted; ``name@distribution`` if several distributions provide the name.

    Example:
        >>> components(distribution="no-such-distribution")
        []
    """
    requested = None if distribution is None else normalize_name(distribution)
    pairs: list[tuple[str, str]] = []
    for each in (kind,) if kind is not None else sorted(contract_locations()):
        for name in registry(each):
            claims = registry(each).claims(name)
            pairs += [
                (each, name if len(claims) == 1 else claim.qualified_name)
                for claim in claims
                if requested in (None, claim.distribution)
            ]
    return pairs


def contract_locations() -> dict[str, str]:
    """Return the location of each kind's contract, as the hook ``artifex_contracts`` declares it.

    Returns:
        ``"module:function"`` by kind. The function takes a component and returns a list of ``Subject`` and ``Rule``.

    Example:
        >>> "extension" in contract_locations()
        True
    """
    locations: dict[str, str] = {}
    for plugin, artifex_contracts in implementations(scan().manager, "artifex_contracts"):
        declared, error = call_guarded(_as_dict, artifex_contracts)
        if error is not None:
            warnings.warn(f"contracts of {plugin} skipped: {error!r}", PluginWarning, stacklevel=2)
        locations |= declared or {}
    return {kind: locations[kind] for kind in kinds() if kind in locations}


def _rules(kind_name: str, component: Any) -> Iterator[tuple[str, Callable[[], None]]]:
    kind = registry(kind_name).kind
    location = contract_locations().get(kind_name)
    if location is None:
        raise UnknownComponentError(
            f"there is no contract for the kind {kind_name!r}; the distribution that declares it must implement the hook artifex_contracts"
        )
    contract = load_object(location)
    yield "documented", functools.partial(check_documentation, kind, component)
    yield "no array at import", functools.partial(check_import, component)
    if kind.form == "function":
        yield "options are checked", functools.partial(check_options, kind, component, contract)
    try:
        subjects_and_rules = contract(component)
    except Exception as error:  # noqa: BLE001  an exception raised by the component is a failure to report
        yield "can be created", functools.partial(_raise, error)
        return
    for each in subjects_and_rules:
        if isinstance(each, Rule):
            yield each.name, each.verify
        else:
            yield from subject_rules(each)


def _as_dict(artifex_contracts: Callable[[], dict[str, str]]) -> dict[str, str]:
    return dict(artifex_contracts())


def _raise(error: Exception) -> None:
    raise error


def _report(kind: str, name: str, rules: Iterable[tuple[str, Callable[[], None]]], component: Any) -> Report:
    passes: list[str] = []
    failures: list[Failure] = []
    skipped: list[tuple[str, str]] = []
    for rule, verify in rules:
        try:
            with quick_compilation(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                verify()
        except Skipped as reason:
            skipped.append((rule, str(reason)))
        except Exception as error:  # noqa: BLE001  any exception of a component is a failure to report
            failures.append(_failure(rule, error, component))
        else:
            passes.append(rule)
    return Report(kind=kind, name=name, passes=tuple(passes), failures=tuple(failures), skipped=tuple(skipped))


def _failure(rule: str, error: Exception, component: Any) -> Failure:
    if isinstance(error, Violation):
        cause = f"{error.cause}, {error.location or definition_of(component)}" if error.cause else ""
        return Failure(rule=rule, observed=error.observed, example=error.example, cause=cause)
    first_line = str(error).strip().partition("\n")[0]
    return Failure(
        rule=rule,
        observed=f"{type(error).__name__}: {first_line}",
        example=noted_input(error),
        cause=cause_of(error, component),
    )
