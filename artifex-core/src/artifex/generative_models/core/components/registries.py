"""Registries: one read-only mapping per kind, from a component's name to the component, loaded on first access."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast, overload

import attrs

from artifex.generative_models.core.components.discovery import DISABLE_VARIABLE, clear_scan, scan
from artifex.generative_models.core.components.kind import IN_PROCESS, Claim, Kind, component_error
from artifex.generative_models.core.components.loading import call_guarded, load_object
from artifex.generative_models.core.components.metadata import normalize_name
from artifex.generative_models.core.components.pins import FILE, active_pins
from artifex.generative_models.core.errors import (
    BrokenComponentError,
    ConflictingComponentError,
    UnknownComponentError,
    printable,
    suggest,
)

if TYPE_CHECKING:
    from artifex.generative_models.core import protocols

C = TypeVar("C")
T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Choice:
    """The claim that a name selects.

    Args:
        claim: The claim.
        reason: Why it was selected: it is the only claim, it was requested as ``name@distribution``, a file pins it, or
            it was registered in this process.
        others: The claims that were not selected.
    """

    claim: Claim
    reason: str
    others: tuple[Claim, ...]


class Registry(Mapping[str, C], Generic[C]):
    """The components of one kind, by name.

    Listing names, ``in`` and ``claims`` read metadata only. ``"sine@artifex-audio"`` selects the component of one
    distribution. Call ``registry(kind)`` to get the registry of a kind.

    Args:
        kind: The kind's name.

    Example:
        >>> "grayscale" in registry("modality")
        False
    """

    def __init__(self, kind: str) -> None:
        self._name = kind
        self._lock = threading.RLock()
        self._registered: dict[str, C] = _registered.setdefault(kind, {})
        self._loaded: dict[Claim, C] = {}
        self._failed: dict[Claim, BaseException] = {}

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    @property
    def kind(self) -> Kind:
        """The kind of these components."""
        return _kind_named(self._name)

    def claims(self, name: str) -> tuple[Claim, ...]:
        """Return the claims of a name without importing anything.

        Args:
            name: A component's name, with or without ``@distribution``.

        Returns:
            One claim, several if distributions conflict, or none. A component registered in this process replaces the
            installed ones.

        Example:
            >>> registry("modality").claims("no_such_modality")
            ()
        """
        bare_name, at, distribution = name.partition("@")
        if not at:
            return self._in_process(bare_name) or self._installed(bare_name)
        requested = normalize_name(distribution)
        return tuple(claim for claim in self._installed(bare_name) if claim.distribution == requested)

    def choice(self, name: str) -> Choice:
        """Return the claim that a name selects, and why, without importing anything.

        A component registered in this process comes first, then the distribution in ``name@distribution``, then the one
        that the project's ``artifex.toml`` pins, then the only claim.

        Args:
            name: A component's name, with or without ``@distribution``.

        Returns:
            The claim, the reason, and the claims that were not selected.

        Raises:
            UnknownComponentError: If no distribution provides the name, or the pinned one does not.
            ConflictingComponentError: If several distributions provide it and none is named or pinned.
            OSError: If the file that ``ARTIFEX_CONFIG`` names cannot be read.
            ValueError: If the project's file is malformed.

        Example:
            >>> class Grayscale:
            ...     def __init__(self, config=None, *, rngs): ...
            >>> registry("modality").register("grayscale", Grayscale)
            >>> registry("modality").choice("grayscale").reason
            'registered in this process'
            >>> registry("modality").unregister("grayscale")
        """
        bare_name, at, _ = name.partition("@")
        claims = self.claims(name)
        if not claims:
            raise UnknownComponentError(self._unknown_message(name))
        if at:
            claim, reason = claims[0], "requested by name@distribution"
        elif claims[0].distribution == IN_PROCESS:
            claim, reason = claims[0], "registered in this process"
        else:
            claim, reason = self._pinned(claims) or self._only(claims)
        others = tuple(c for c in self._in_process(bare_name) + self._installed(bare_name) if c != claim)
        return Choice(claim=claim, reason=reason, others=others)

    def register(self, name: str, component: object, *, replace: bool = False) -> None:
        """Add a component in this process.

        Args:
            name: The component's name.
            component: A function, class or value, as the kind requires.
            replace: Whether to replace a component that has this name.

        Raises:
            ConflictingComponentError: If the name is taken and ``replace`` is False.
            TypeError: If the object is not a component of this kind.
            ValueError: If the name contains spaces or ``@``.

        Example:
            >>> class Grayscale:
            ...     def __init__(self, config=None, *, rngs): ...
            >>> registry("modality").register("grayscale", Grayscale)
            >>> registry("modality")["grayscale"] is Grayscale
            True
            >>> registry("modality").unregister("grayscale")
        """
        if not (isinstance(name, str) and re.fullmatch(r"[^\s@]+", name)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"a component's name must be one word without '@', got {name!r}")
        error = component_error(self.kind, component)
        if error:
            raise TypeError(f"{self._name} {name!r}: {error}")
        with self._lock:
            existing = self.claims(name)
            if existing and not replace:
                raise ConflictingComponentError(
                    f"{self._name} {name!r} is already provided by {_providers(existing)}; pass replace=True to "
                    f"replace it"
                )
            self._registered[name] = cast("C", component)  # component_error checked it

    def unregister(self, name: str) -> None:
        """Remove a component that ``register`` added.

        Args:
            name: The component's name.

        Raises:
            UnknownComponentError: If no component of this name was registered in this process.
        """
        with self._lock:
            if name not in self._registered:
                raise UnknownComponentError(f"no {self._name} {name!r} was registered in this process")
            del self._registered[name]

    def __getitem__(self, name: str) -> C:
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]  users may pass anything
            raise TypeError(f"{self._name}: the name of a component must be a string, got {name!r}")
        with self._lock:
            if name in self._registered:
                return self._registered[name]
        claim = self.choice(name).claim
        # Another thread may have registered the name after the check above.
        return self[name] if claim.distribution == IN_PROCESS else self._load(claim)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._registered, *scan().groups.get(self.kind.group, {})}))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.claims(name))

    def get(self, name: str, default: T | None = None) -> C | T | None:  # type: ignore[override]  # keyword
        """Return a component, or a default if no distribution provides it.

        Args:
            name: The component's name.
            default: The default.

        Returns:
            The component or the default.

        Raises:
            ConflictingComponentError: If several distributions provide it.
            BrokenComponentError: If it cannot be loaded.
        """
        return self[name] if name in self else default  # noqa: SIM401  the suggested form is this method

    def __repr__(self) -> str:
        return f"<registry of {self._name}: {', '.join(self) or 'empty'}>"

    def clear(self) -> None:
        """Clear the cache of loaded components; components registered in this process stay."""
        with self._lock:
            self._loaded.clear()
            self._failed.clear()

    def _in_process(self, name: str) -> tuple[Claim, ...]:
        if name not in self._registered:
            return ()
        return (Claim(kind=self._name, name=name, distribution=IN_PROCESS, value=name),)

    def _installed(self, name: str) -> tuple[Claim, ...]:
        # attrs.evolve takes ten times as long as the constructor.
        found = [
            Claim(kind=self._name, name=c.name, distribution=c.distribution, value=c.value, version=c.version)
            for c in scan().groups.get(self.kind.group, {}).get(name, ())
        ]
        return tuple(sorted(found, key=lambda claim: (claim.distribution, claim.value)))

    def _pinned(self, claims: tuple[Claim, ...]) -> tuple[Claim, str] | None:
        pins, name = active_pins(), claims[0].name
        pinned = pins.distributions.get((self._name, name))
        if pinned is None:
            return None
        for claim in claims:
            if claim.distribution == pinned:
                return claim, f"pinned by {pins.path}"
        raise UnknownComponentError(
            f"{pins.location(self._name, name)}: {self._name} {name!r} is pinned to {pinned}, which does not "
            f"provide it.{suggest(pinned, [claim.distribution for claim in claims])} It is provided by "
            f"{_providers(claims)}{_skipped_note()}"
        )

    def _only(self, claims: tuple[Claim, ...]) -> tuple[Claim, str]:
        if len(claims) == 1:
            return claims[0], "the only distribution that provides it"
        names = " or ".join(repr(claim.qualified_name) for claim in claims)
        raise ConflictingComponentError(
            f"{self._name} {claims[0].name!r} is provided by {_providers(claims)}; write {names}, or pin one in {FILE}"
        )

    def _load(self, claim: Claim) -> C:
        with self._lock:
            if claim in self._loaded:
                return self._loaded[claim]
            error = self._failed.get(claim)
        if error is None:
            # The lock is not held here: an import may take long, and may use other registries in other threads.
            component, error = call_guarded(self._load_checked, claim)
            with self._lock:
                if error is None:
                    loaded: C = self._loaded.setdefault(claim, component)  # type: ignore[arg-type]
                    return loaded
                error = self._failed.setdefault(claim, error)
        raise BrokenComponentError(
            f"{self._name} {claim.name!r} of {claim.provider} ({printable(claim.value)}) cannot be loaded: "
            f"{type(error).__name__}: {error}"
        ) from error

    def _load_checked(self, claim: Claim) -> Any:
        component = load_object(claim.value)
        error = component_error(self.kind, component)
        if error:
            raise TypeError(error)
        return component

    def _unknown_message(self, name: str) -> str:
        bare_name, at, _ = name.partition("@")
        claims = self.claims(bare_name) if at else ()
        if claims:
            qualified = [claim.qualified_name for claim in claims if claim.distribution != IN_PROCESS]
            return (
                f"no {self._name} {name!r} is installed.{suggest(name, qualified)} {bare_name!r} is provided by "
                f"{_providers(claims)}{_skipped_note()}"
            )
        names = list(self)
        available = ", ".join(names) if names else "none; install a distribution that provides one"
        return (
            f"no {self._name} {bare_name!r} is installed.{suggest(bare_name, names)} Available: "
            f"{available}{_skipped_note()}"
        )


def kinds() -> dict[str, Kind]:
    """Return the installed kinds of component, by name.

    Returns:
        A new dict, sorted by name. A kind that two distributions declare differently is omitted; calling ``registry``
        with its name raises an error that names them.

    Example:
        >>> kinds()["modality"].group
        'artifex.modalities'
    """
    declared = sorted(scan().kinds.items())
    return {name: declarations[0][1] for name, declarations in declared if len(declarations) == 1}


@overload
def registry(kind: Literal["audio_type"]) -> Registry[protocols.AudioType]: ...
@overload
def registry(kind: Literal["augmentation"]) -> Registry[protocols.Augmentation]: ...
@overload
def registry(kind: Literal["metric"]) -> Registry[protocols.Metric]: ...
@overload
def registry(kind: Literal["window"]) -> Registry[protocols.Window]: ...
@overload
def registry(kind: Literal["reader"]) -> Registry[type[protocols.Reader]]: ...
@overload
def registry(kind: Literal["representation"]) -> Registry[type[protocols.Representation]]: ...
@overload
def registry(kind: Literal["dataset"]) -> Registry[type[protocols.Dataset]]: ...
@overload
def registry(kind: Literal["modality"]) -> Registry[type[protocols.Modality]]: ...
@overload
def registry(kind: Literal["extension"]) -> Registry[type[protocols.Extension]]: ...
@overload
def registry(kind: str) -> Registry[Any]: ...
def registry(kind: str) -> Registry[Any]:
    """Return the registry of a kind; there is one per kind and process.

    Args:
        kind: The kind's name, such as ``"audio_type"``.

    Returns:
        A read-only mapping from name to component.

    Raises:
        UnknownComponentError: If no installed distribution declares the kind.
        ConflictingComponentError: If two distributions declare it differently.

    Example:
        >>> registry("modality") is registry("modality")
        True
    """
    _kind_named(kind)
    with _lock:
        return _registries.setdefault(kind, Registry(kind))


def refresh() -> None:
    """Discover the installed distributions again, after an install or uninstall in a running process.

    Components registered in this process stay. Imported modules stay imported: to use an upgraded plugin, start a new
    process.

    Example:
        >>> refresh()
    """
    clear_scan()
    with _lock:
        for each in _registries.values():
            each.clear()


@contextlib.contextmanager
def temporary_registrations() -> Generator[None, None, None]:
    """Return a context manager that restores, on exit, the components registered in this process, and refreshes.

    Meant for tests that register components or install distributions.

    Example:
        >>> class Grayscale:
        ...     def __init__(self, config=None, *, rngs): ...
        >>> with temporary_registrations():
        ...     registry("modality").register("grayscale", Grayscale)
        >>> "grayscale" in registry("modality")
        False
    """
    with _lock:
        before = {kind: dict(components) for kind, components in _registered.items()}
    refresh()
    try:
        yield
    finally:
        with _lock:
            for kind, components in _registered.items():
                components.clear()
                components.update(before.get(kind, {}))
        refresh()


_registries: dict[str, Registry[Any]] = {}
_registered: dict[str, dict[str, Any]] = {}  # components registered in this process, by kind and name
_lock = threading.Lock()


def _kind_named(name: str) -> Kind:
    current = scan()
    declarations = current.kinds.get(str(name), [])
    if not declarations:
        raise UnknownComponentError(
            f"no kind of component {name!r} is installed.{suggest(str(name), current.kinds)} "
            f"Available: {', '.join(sorted(current.kinds)) or 'none'}{_skipped_note()}"
        )
    if len(declarations) > 1:
        distributions = " and ".join(distribution for distribution, _ in declarations)
        raise ConflictingComponentError(
            f"kind {name!r} is declared differently by {distributions}; disable one of them with {DISABLE_VARIABLE}"
        )
    return declarations[0][1]


def _skipped_note() -> str:
    """Return a note in parentheses on distributions that are broken or disabled, or an empty string."""
    current = scan()
    notes: list[str] = []
    if current.problems:
        notes.append(f"skipped because broken: {', '.join(sorted({p.source for p in current.problems}))}")
    if current.disabled:
        notes.append(f"disabled by {DISABLE_VARIABLE}: {', '.join(current.disabled)}")
    return f" ({'; '.join(notes)})" if notes else ""


def _providers(claims: tuple[Claim, ...]) -> str:
    return " and ".join(claim.provider for claim in claims)
