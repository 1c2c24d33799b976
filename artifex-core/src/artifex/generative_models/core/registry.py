"""Components by kind and name: read-only mappings that load a component when it is first asked for."""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

import attrs

from artifex.generative_models.core import pins, plugins
from artifex.generative_models.core.errors import (
    BrokenComponentError,
    ConflictingComponentError,
    UnknownComponentError,
    suggest,
)
from artifex.generative_models.core.plugins import IN_PROCESS, Claim, Kind

if TYPE_CHECKING:
    from artifex.generative_models.core.configuration import Configuration
    from artifex.generative_models.core.protocols import AudioType, Augmentation, Metric, Representation, Window
    from artifex.generative_models.extensions.base import ModelExtension
    from artifex.generative_models.modalities.base import BaseDataset, Modality


C = TypeVar("C")


@attrs.frozen(kw_only=True)
class Choice:
    """Which claim a name stands for.

    Args:
        claim: The claim.
        reason: Why it is that one: the only claim, named, pinned by a file, or registered in this process.
        others: The claims that were passed over.
    """

    claim: Claim
    reason: str
    others: tuple[Claim, ...]


class Registry(Mapping[str, C], Generic[C]):
    """The components of one kind, by name.

    Listing, ``in`` and ``claims`` read metadata alone. A name may carry the distribution that is meant,
    ``"sine@artifex-audio"``. Use ``registry(kind)`` to get one.

    Args:
        kind: The kind's name.

    Example:
        >>> names = registry("modality")
        >>> def grayscale(config=None, *, rngs): ...
        >>> "grayscale" in names
        False
    """

    def __init__(self, kind: str) -> None:
        self._name = kind
        self._lock = threading.RLock()
        self._own: dict[str, C] = {}
        self._loaded: dict[Claim, C] = {}
        self._failed: dict[Claim, BaseException] = {}

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    @property
    def kind(self) -> Kind:
        """The kind of these components."""
        return _kind(self._name)

    def claims(self, name: str) -> tuple[Claim, ...]:
        """Say who provides a name, and import nothing.

        Args:
            name: A component's name, with or without ``@distribution``.

        Returns:
            One claim, several when distributions clash, or none. What was registered in this process comes
            alone, since it was put in place knowingly.

        Example:
            >>> registry("modality").claims("no_such_modality")
            ()
        """
        plain, at, distribution = name.partition("@")
        if not at:
            return self._in_process(plain) or self._installed(plain)
        wanted = plugins.normalized(distribution)
        return tuple(claim for claim in self._installed(plain) if claim.distribution == wanted)

    def choice(self, name: str) -> Choice:
        """Say which claim a name stands for, and why; import nothing.

        What was registered in this process comes first, then the distribution that is written out
        (``name@distribution``), then the one that the project's ``artifex.toml`` pins, then the only one.

        Args:
            name: A component's name, with or without ``@distribution``.

        Returns:
            The claim, the reason, and the claims that were passed over.

        Raises:
            UnknownComponentError: When nobody provides the name, or not the distribution that is pinned.
            ConflictingComponentError: When several distributions provide it and nothing says which is meant.
            OSError: When the file that ``ARTIFEX_CONFIG`` names cannot be read.
            ValueError: When the project's file is malformed.

        Example:
            >>> class Grayscale:
            ...     def __init__(self, config=None, *, rngs): ...
            >>> registry("modality").register("grayscale", Grayscale)
            >>> registry("modality").choice("grayscale").reason
            'registered in this process'
            >>> registry("modality").unregister("grayscale")
        """
        plain, at, _ = name.partition("@")
        claims = self.claims(name)
        if not claims:
            raise UnknownComponentError(self._unknown(name))
        if at:
            claim, reason = claims[0], "named"
        elif claims[0].distribution == IN_PROCESS:
            claim, reason = claims[0], "registered in this process"
        else:
            claim, reason = self._pinned(claims) or self._only(claims)
        others = tuple(each for each in self._in_process(plain) + self._installed(plain) if each != claim)
        return Choice(claim=claim, reason=reason, others=others)

    def _in_process(self, name: str) -> tuple[Claim, ...]:
        if name not in self._own:
            return ()
        return (Claim(kind=self._name, name=name, distribution=IN_PROCESS, value=name),)

    def _installed(self, name: str) -> tuple[Claim, ...]:
        # Written out, since attrs.evolve takes ten times as long.
        found = [
            Claim(kind=self._name, name=c.name, distribution=c.distribution, value=c.value, version=c.version)
            for c in plugins.scan().groups.get(self.kind.group, {}).get(name, ())
        ]
        return tuple(sorted(found, key=lambda c: (c.distribution, c.value)))

    def _pinned(self, claims: tuple[Claim, ...]) -> tuple[Claim, str] | None:
        found, name = pins.in_effect(), claims[0].name
        wanted = found.chosen.get((self._name, name))
        if wanted is None:
            return None
        for claim in claims:
            if claim.distribution == wanted:
                return claim, f"pinned by {found.path}"
        raise UnknownComponentError(
            f"{found.place(self._name, name)}: {self._name} {name!r} is pinned to {wanted}, which does not "
            f"provide it.{suggest(wanted, [c.distribution for c in claims])} It is provided by "
            f"{_who(claims)}{_left_out()}"
        )

    def _only(self, claims: tuple[Claim, ...]) -> tuple[Claim, str]:
        if len(claims) > 1:
            ways = " or ".join(repr(f"{c.name}@{c.distribution}") for c in claims)
            raise ConflictingComponentError(
                f"{self._name} {claims[0].name!r} is claimed by {_who(claims)}; say which is meant: {ways}, "
                f"or pin one in {pins.FILE}"
            )
        return claims[0], "the only claim"

    def register(self, name: str, component: Any, *, replace: bool = False) -> None:
        """Add a component in this process.

        Args:
            name: The name to find it by.
            component: A function, class or value, as the kind asks.
            replace: Whether it may take the place of one that is there.

        Raises:
            ConflictingComponentError: When the name is taken and ``replace`` is False.
            TypeError: When it is not what the kind asks for.
            ValueError: For a name that is no plain word.

        Example:
            >>> class Grayscale:
            ...     def __init__(self, config=None, *, rngs): ...
            >>> registry("modality").register("grayscale", Grayscale)
            >>> registry("modality")["grayscale"] is Grayscale
            True
            >>> registry("modality").unregister("grayscale")
        """
        if not isinstance(name, str) or not re.fullmatch(r"[^\s@]+", name):
            raise ValueError(f"a component's name is one word without '@', got {name!r}")
        fault = fault_of(self.kind, component)
        if fault:
            raise TypeError(f"{self._name} {name!r}: {fault}")
        with self._lock:
            taken = self.claims(name)
            if taken and not replace:
                raise ConflictingComponentError(
                    f"{self._name} {name!r} is already provided by {_who(taken)}; pass replace=True to put yours first"
                )
            self._own[name] = component

    def unregister(self, name: str) -> None:
        """Take back what ``register`` added.

        Args:
            name: The name it was registered under.

        Raises:
            UnknownComponentError: When nothing was registered under it in this process.
        """
        with self._lock:
            if name not in self._own:
                raise UnknownComponentError(f"no {self._name} {name!r} was registered in this process")
            del self._own[name]

    def __getitem__(self, name: str) -> C:
        if not isinstance(name, str):
            raise TypeError(f"a {self._name} is asked for by its name, a string, got {name!r}")
        with self._lock:
            if name in self._own:
                return self._own[name]
        claim = self.choice(name).claim
        # Another thread may have registered it since the look above.
        return self[name] if claim.distribution == IN_PROCESS else self._load(claim)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._own, *plugins.scan().groups.get(self.kind.group, {})}))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.claims(name))

    def get(self, name: str, default: Any = None) -> Any:
        """Return a component, or a default when nobody provides it.

        Args:
            name: The component's name.
            default: What to return instead.

        Returns:
            The component or the default.

        Raises:
            ConflictingComponentError: When several distributions provide it.
            BrokenComponentError: When it cannot be loaded.
        """
        return self[name] if name in self else default  # noqa: SIM401  this is that get

    def __repr__(self) -> str:
        return f"<registry of {self._name}: {', '.join(self) or 'empty'}>"

    def forget(self) -> None:
        """Drop what was loaded from distributions; ``refresh`` calls this."""
        with self._lock:
            self._loaded.clear()
            self._failed.clear()

    def _load(self, claim: Claim) -> C:
        with self._lock:
            if claim in self._loaded:
                return self._loaded[claim]
            error = self._failed.get(claim)
        if error is None:
            # No lock is held here: an import may take long, and may ask other registries from other threads.
            component, error = plugins.load_guarded(self._sound, claim)
            with self._lock:
                if error is None:
                    return self._loaded.setdefault(claim, component)
                error = self._failed.setdefault(claim, error)
        raise BrokenComponentError(
            f"{self._name} {claim.name!r} of {claim.distribution} {claim.version} ({claim.value}) "
            f"cannot be used: {type(error).__name__}: {error}"
        ) from error

    def _sound(self, claim: Claim) -> Any:
        component = plugins.load_value(claim.value)
        fault = fault_of(self.kind, component)
        if fault:
            raise TypeError(fault)
        return component

    def _unknown(self, name: str) -> str:
        plain, at, _ = name.partition("@")
        others = self.claims(plain) if at else ()
        if others:
            known_at = [f"{plain}@{c.distribution}" for c in others if c.distribution != IN_PROCESS]
            return (
                f"no {self._name} {name!r} is installed.{suggest(name, known_at)} {plain!r} is provided by "
                f"{_who(others)}{_left_out()}"
            )
        known = list(self)
        listed = ", ".join(known) if known else "none; install a distribution that provides one"
        return f"no {self._name} {plain!r} is installed.{suggest(plain, known)} Available: {listed}{_left_out()}"


def kinds() -> dict[str, Kind]:
    """Return the kinds of component that are installed, by name.

    Returns:
        A new dict, sorted by name. A kind that two distributions declare differently is left out;
        ``registry`` of it says who they are.

    Example:
        >>> kinds()["modality"].group
        'artifex.modalities'
    """
    return {name: owners[0][1] for name, owners in sorted(plugins.scan().kinds.items()) if len(owners) == 1}


@overload
def registry(kind: Literal["audio_type"]) -> Registry[AudioType]: ...
@overload
def registry(kind: Literal["augmentation"]) -> Registry[Augmentation]: ...
@overload
def registry(kind: Literal["metric"]) -> Registry[Metric]: ...
@overload
def registry(kind: Literal["window"]) -> Registry[Window]: ...
@overload
def registry(kind: Literal["representation"]) -> Registry[type[Representation]]: ...
@overload
def registry(kind: Literal["dataset"]) -> Registry[type[BaseDataset]]: ...
@overload
def registry(kind: Literal["modality"]) -> Registry[type[Modality]]: ...
@overload
def registry(kind: Literal["extension"]) -> Registry[type[ModelExtension]]: ...
@overload
def registry(kind: Literal["preset"]) -> Registry[Configuration]: ...
@overload
def registry(kind: str) -> Registry[Any]: ...
def registry(kind: str) -> Registry[Any]:
    """Return the registry of a kind: one object for all who ask.

    Args:
        kind: The kind's name, such as ``"audio_type"``.

    Returns:
        A read-only mapping from name to component.

    Raises:
        UnknownComponentError: When no installed distribution declares that kind.
        ConflictingComponentError: When two declare it differently.

    Example:
        >>> registry("modality") is registry("modality")
        True
    """
    _kind(kind)
    with _lock:
        return _registries.setdefault(kind, Registry(kind))


def refresh() -> None:
    """Look again at what is installed, after an install or uninstall in a running process.

    What was registered in this process stays. A module that was imported stays imported, as Python has it: an
    upgrade of a plugin that was already used takes a new process.

    Example:
        >>> refresh()
    """
    plugins.forget()
    with _lock:
        for each in _registries.values():
            each.forget()


def fault_of(kind: Kind, component: Any) -> str:
    """Say what keeps an object from being a component of a kind.

    Args:
        kind: The kind.
        component: The object.

    Returns:
        What is wrong, or an empty string.

    Example:
        >>> fault_of(kinds()["modality"], 3)
        'a modality is a class, got 3 (int)'
    """
    article = "an" if kind.name[0] in "aeiou" else "a"
    given = f"got {component!r} ({type(component).__name__})"
    if kind.form == "class":
        if not isinstance(component, type):
            return f"{article} {kind.name} is a class, {given}"
        lacking = [a for a in kind.attributes if not _declares(component, a)]
        has = f"{article} {kind.name} has {', '.join(kind.attributes)}"
        return f"{has}; {component.__name__} lacks {', '.join(lacking)}" if lacking else ""
    if kind.form == "value":
        return "" if attrs.has(type(component)) else f"{article} {kind.name} is an attrs instance, {given}"
    if not callable(component) or isinstance(component, type):
        return f"{article} {kind.name} is a function, {given}"
    return _signature_fault(kind, component, article)


def options_of(kind: Kind, component: Any) -> dict[str, inspect.Parameter] | None:
    """Return the options that a component takes.

    Args:
        kind: Its kind.
        component: The component.

    Returns:
        Parameters by name: those of a function that are not given at the call, those of a class's
        constructor, the fields of a value. None when it takes any (``**kwargs``).
    """
    if kind.form == "value":
        return {
            (f.alias or f.name): inspect.Parameter(
                f.alias or f.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=getattr(component, f.name),
                annotation=f.type if f.type is not None else inspect.Parameter.empty,
            )
            for f in attrs.fields(type(component))
            if f.init
        }
    try:
        parameters = list(signature_of(component).parameters.values())
    except (TypeError, ValueError):  # a function written in C may have none to show
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    own = parameters[kind.positional :] if kind.form == "function" else parameters
    at_call = {p.name for p in own if p.name in kind.call and p.default is p.empty}
    return {p.name: p for p in own if p.name not in at_call and p.kind is not p.VAR_POSITIONAL}


def signature_of(component: Any) -> inspect.Signature:
    """Return the signature of a function, or of a class's constructor.

    Args:
        component: A function or class.

    Returns:
        The signature, ``self`` left out.

    Raises:
        ValueError: When there is none to be found.

    Example:
        >>> class Grayscale:
        ...     def __init__(self, config=None, *, rngs): ...
        >>> str(signature_of(Grayscale))
        '(config=None, *, rngs)'
    """
    if isinstance(component, type) and component.__init__ is not object.__init__:  # type: ignore[misc]
        # Not that of the class itself: a metaclass with a __call__, such as nnx's, hides the constructor
        # behind it.
        whole = inspect.signature(component.__init__)  # type: ignore[misc]
        return whole.replace(parameters=list(whole.parameters.values())[1:], return_annotation=inspect.Signature.empty)
    return inspect.signature(component)


_registries: dict[str, Registry[Any]] = {}
_lock = threading.Lock()


def _kind(name: str) -> Kind:
    scan = plugins.scan()
    owners = scan.kinds.get(name, []) if isinstance(name, str) else []
    if not owners:
        raise UnknownComponentError(
            f"no kind of component {name!r} is installed.{suggest(str(name), scan.kinds)} "
            f"Available: {', '.join(sorted(scan.kinds)) or 'none'}{_left_out()}"
        )
    if len(owners) > 1:
        raise ConflictingComponentError(
            f"kind {name!r} is declared differently by {' and '.join(d for d, _ in owners)}; "
            f"leave one out with ARTIFEX_DISABLE_PLUGINS"
        )
    return owners[0][1]


def _left_out() -> str:
    scan = plugins.scan()
    broken = [f"left out as broken: {', '.join(sorted({p.distribution for p in scan.problems}))}"] * bool(scan.problems)
    off = [f"switched off by ARTIFEX_DISABLE_PLUGINS: {', '.join(scan.switched_off)}"] * bool(scan.switched_off)
    return f" ({'; '.join(broken + off)})" if broken or off else ""


def _declares(component: type, attribute: str) -> bool:
    """Whether a class or a base has or annotates an attribute; its metaclass's own do not count."""
    bases = inspect.getmro(component)
    return any(attribute in vars(base) or attribute in vars(base).get("__annotations__", {}) for base in bases)


def _signature_fault(kind: Kind, function: Any, article: str) -> str:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return ""
    parameters = list(signature.parameters.values())
    names = {p.name for p in parameters}
    by_place = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(by_place) < kind.positional and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        wanted = f"{article} {kind.name} takes {kind.positional} positional arguments"
        return f"{wanted}, this one {len(by_place)}: {signature}"
    lacking = [c for c in kind.call if c not in names]
    if lacking and not any(p.kind is p.VAR_KEYWORD for p in parameters):
        return (
            f"{article} {kind.name} takes the keyword arguments {', '.join(kind.call)}; this one lacks "
            f"{', '.join(lacking)}: {signature}"
        )
    return ""


def _who(claims: tuple[Claim, ...]) -> str:
    return " and ".join(f"{c.distribution} {c.version}".strip() for c in claims)
