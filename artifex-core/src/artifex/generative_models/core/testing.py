"""The conformance kit: whether a component really holds under JAX and, where it does not, on which input and why.

A kind's owner says how its components are run (the hook ``artifex_contracts``); the rules here are the same for all.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import jax
import jax.numpy as jnp
import numpy as np

from artifex.generative_models.core import numerics, plugins
from artifex.generative_models.core.errors import PluginWarning, UnknownComponentError
from artifex.generative_models.core.factory import Bound
from artifex.generative_models.core.registry import kinds, options_of, registry

UNITS = re.compile(
    r"\b(Hz|kHz|seconds?|s|ms|samples?|frames?|dB|full scale|radians?|degrees|cycles?|octaves?|semitones?|shares?|bins?"
    r"|bands?|mels?|times|factor|ratio|rate|probability|percent|standard deviation|peak|power|bits?|shape)\b"
)


@attrs.frozen(kw_only=True)
class Subject:
    """A component, or one method of it, as the kit runs it: a pure function of one example, of a key, or of both.

    Args:
        function: Takes the example if there is one, then the key if ``keyed``; returns an array or a tree of arrays.
        example: Gives examples of a length, by name, or None where the function takes none.
        shape: Gives the output's shape from the example's, or from ``(length,)`` where there is none; None for any.
        dtype: The output's dtype, or several that will do; None means that of the example.
        lengths: Lengths to run at, the longest last; most rules use the last.
        at: Gives the function for a length, where the length is part of it; None means ``function`` at all.
        keyed: Whether it takes a key.
        draws: Whether the key decides anything; silence takes one and does not use it.
        batched: Whether it takes batch axes in front of an example by itself.
        differentiable: Whether its gradient with respect to the example is to be finite.
        label: Which method this is, for the report.
    """

    function: Callable[..., Any] | None = None
    example: Callable[[int], Mapping[str, np.ndarray]] | None = None
    shape: Callable[[tuple[int, ...]], Any] | None = None
    dtype: Any = None
    lengths: tuple[int, ...] = (1, 400)
    at: Callable[[int], Callable[..., Any]] | None = None
    keyed: bool = False
    draws: bool = True
    batched: bool = False
    differentiable: bool = True
    label: str = ""

    def run_at(self, length: int) -> Callable[..., Any]:
        """Return the function for a length."""
        if self.at is not None:
            return self.at(length)
        assert self.function is not None
        return self.function

    def examples(self, length: int) -> Mapping[str, np.ndarray | None]:
        """Return the examples of a length; one that is None where the function takes none."""
        return self.example(length) if self.example is not None else {"": None}


@attrs.frozen(kw_only=True)
class Rule:
    """A rule that holds for one kind alone.

    Args:
        name: What holds, in a few words.
        verify: Raises ``Broken``, or anything else, when it does not hold.
    """

    name: str
    verify: Callable[[], None]


class Broken(Exception):  # noqa: N818  raised inside the kit alone, where it reads as a statement
    """A rule that does not hold: what was seen, and on which input."""

    def __init__(self, seen: str, example: str = "", cause: str = "") -> None:
        super().__init__(seen)
        self.seen, self.example, self.cause = seen, example, cause
        self.place = ""  # of the cause, file:line, where it is known better than by where the component starts


class Skipped(Exception):  # noqa: N818
    """A rule that cannot be tried here, and why."""


@attrs.frozen(kw_only=True)
class Failure:
    """A rule that a component breaks.

    Args:
        rule: The rule's name.
        seen: What was seen in place of what it asks.
        example: The smallest input that shows it, or "".
        cause: The likely cause with its place, or "".
    """

    rule: str
    seen: str
    example: str = ""
    cause: str = ""

    def __str__(self) -> str:
        lines = [f"{self.rule}: {self.seen}"]
        lines += [f"    on {self.example}"] * bool(self.example)
        lines += [f"    likely cause: {self.cause}"] * bool(self.cause)
        return "\n".join(lines)


@attrs.frozen(kw_only=True)
class Report:
    """What holds for a component and what does not; prints as text.

    Args:
        kind: The component's kind.
        name: Its name.
        held: Names of the rules that hold.
        failures: The rules that do not.
        skipped: Rules that could not be tried, each with the reason.
    """

    kind: str
    name: str
    held: tuple[str, ...]
    failures: tuple[Failure, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no rule is broken."""
        return not self.failures

    def __str__(self) -> str:
        verdict = (
            "holds" if self.passed else f"breaks {len(self.failures)} of {len(self.failures) + len(self.held)} rules"
        )
        lines = [f"{self.kind} {self.name!r} {verdict}"]
        lines += [f"  ✗ {line}" for failure in self.failures for line in [str(failure).replace("\n", "\n  ")]]
        lines += [f"  – {rule}: not tried, {why}" for rule, why in self.skipped]
        lines += [f"  ✓ {', '.join(self.held)}"] * bool(self.held)
        return "\n".join(lines)


def check(kind: str, component: Any) -> Report:
    """Try every rule of a kind on a component.

    Args:
        kind: The kind.
        component: Its name, ``"name@distribution"``, or the component itself.

    Returns:
        What holds and what does not. ``report.passed`` is for an assertion, ``print(report)`` for a person.

    Raises:
        LookupError: When there is no such kind or component, or the kind's owner gives no contract.

    Example:
        >>> from artifex.generative_models.core import registry
        >>> def doubled(estimate, reference):
        ...     '''Return twice the difference in full scale.'''
        ...     return 2 * abs(estimate - reference).sum()
        >>> check("metric", doubled).passed  # doctest: +SKIP
        True
    """
    name = component if isinstance(component, str) else getattr(component, "__name__", repr(component))
    found = registry(kind)[component] if isinstance(component, str) else component
    return _tried(kind, name, _rules(kind, found), found)


def check_function(name: str, subject: Subject) -> Report:
    """Try on any pure function what is asked of components: jit, vmap, grad, dtypes, rows, keys, sharding.

    Args:
        name: What it is called in the report.
        subject: The function, and how it is run.

    Returns:
        What holds and what does not.

    Example:
        >>> loudness = Subject(function=lambda audio: abs(audio).mean(), example=signals)
        >>> check_function("loudness", loudness).passed  # doctest: +SKIP
        True
    """
    return _tried("function", name, _subject_rules(subject), subject.function)


def components(kind: str | None = None, distribution: str | None = None) -> list[tuple[str, str]]:
    """List what there is to check, for ``pytest.mark.parametrize``.

    Args:
        kind: One kind; None means all that have a contract.
        distribution: What one distribution provides; None means all.

    Returns:
        Pairs of kind and name, sorted; ``name@distribution`` where a name is claimed twice.

    Example:
        >>> components(distribution="no-such-distribution")
        []
    """
    wanted = None if distribution is None else plugins.normalized(distribution)
    pairs = []
    for each in (kind,) if kind is not None else sorted(contracts()):
        for name in registry(each):
            claims = registry(each).claims(name)
            pairs += [
                (each, name if len(claims) == 1 else f"{name}@{claim.distribution}")
                for claim in claims
                if wanted in (None, claim.distribution)
            ]
    return pairs


def contracts() -> dict[str, str]:
    """Return where each kind's contract is, by kind, as the owners' hook ``artifex_contracts`` says.

    Returns:
        ``"module:function"`` by kind; the function takes a component and returns its subjects and rules.

    Example:
        >>> "extension" in contracts()
        True
    """
    found: dict[str, str] = {}
    for owner, answer in plugins.hooks_of(plugins.scan().manager, "artifex_contracts"):
        given, error = plugins.load_guarded(lambda answer=answer: dict(answer()))
        if error is not None:
            warnings.warn(f"contracts of {owner} left out: {error!r}", PluginWarning, stacklevel=2)
        found |= given or {}
    return {kind: found[kind] for kind in kinds() if kind in found}


def signals(length: int) -> dict[str, np.ndarray]:
    """Give the waveforms on which every component is tried.

    Args:
        length: In samples.

    Returns:
        float32 waveforms (length,) by name: noise, silence, dc, full-scale square.

    Example:
        >>> {name: wave.shape for name, wave in signals(3).items()}["silence"]
        (3,)
    """
    noise = 0.2 * np.random.default_rng(length).standard_normal(length)
    square = np.where(np.arange(length) // 8 % 2, -1.0, 1.0)
    waves = {"noise": noise, "silence": np.zeros(length), "dc": np.full(length, 0.5), "full-scale square": square}
    return {name: wave.astype(np.float32) for name, wave in waves.items()}


def _rules(kind: str, component: Any) -> Iterator[tuple[str, Callable[[], None]]]:
    where = contracts().get(registry(kind).kind.name)
    if where is None:
        raise UnknownComponentError(f"no contract for {kind!r}; its owner answers the hook artifex_contracts with one")
    yield "documented", functools.partial(_documented, kind, component)
    yield "no array at import", functools.partial(_no_array_at_import, component)
    if kinds()[kind].form == "function":
        yield "options are checked", functools.partial(_options_checked, kind, component, plugins.load_value(where))
    try:
        parts = plugins.load_value(where)(component)
    except Exception as error:  # noqa: BLE001  whatever a component raises when it is made is a finding
        caught = error

        def not_made() -> None:
            raise caught

        yield "made", not_made
        return
    for part in parts:
        if isinstance(part, Rule):
            yield part.name, part.verify
            continue
        yield from _subject_rules(part)


def _subject_rules(subject: Subject) -> Iterator[tuple[str, Callable[[], None]]]:
    trial = _Trial(subject)
    takes = {"example": subject.example is not None, "key": subject.keyed, "slope": subject.differentiable}
    takes["draws"] = subject.keyed and subject.draws
    takes["rows"] = takes["example"] or takes["key"]
    takes["real example"] = takes["example"] and not any(
        example is not None and np.iscomplexobj(example) for example in subject.examples(trial.length).values()
    )
    for rule, (verify, *needs) in _SUBJECT_RULES.items():
        if all(takes[need] for need in needs):
            yield f"{subject.label}: {rule}" if subject.label else rule, functools.partial(_on_least, verify, trial)


def _tried(kind: str, name: str, rules: Iterator[tuple[str, Callable[[], None]]], component: Any) -> Report:
    held: list[str] = []
    failures: list[Failure] = []
    skipped: list[tuple[str, str]] = []
    for rule, verify in rules:
        with _quick_compiles():
            outcome = _outcome(rule, verify, component)
        if isinstance(outcome, Failure):
            failures.append(outcome)
        elif outcome:
            skipped.append((rule, outcome))
        else:
            held.append(rule)
    return Report(kind=kind, name=name, held=tuple(held), failures=tuple(failures), skipped=tuple(skipped))


def _on_least(verify: Callable[[_Trial], None], trial: _Trial) -> None:
    """Verify a rule; where it does not hold, look for the shortest input that shows it."""
    try:
        verify(trial)
    except Broken as found:
        for length in (n for n in _SHORTER if n < trial.length):
            try:
                verify(_Trial(attrs.evolve(trial.subject, lengths=(length,))))
            except Broken as shorter:
                if shorter.cause == found.cause:
                    raise shorter from None
            except Exception:  # noqa: BLE001  it cannot be that short
                continue
        raise


_SHORTER = (1, 2, 3, 4, 8, 16, 32, 64, 128)


def _outcome(rule: str, verify: Callable[[], None], component: Any) -> Failure | str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            verify()
    except Skipped as reason:
        return str(reason)
    except Broken as broken:
        cause = broken.cause and f"{broken.cause}, {broken.place or _home(component)}"
        return Failure(rule=rule, seen=broken.seen, example=broken.example, cause=cause)
    except Exception as error:  # noqa: BLE001  whatever a component raises is a finding
        example = next((note[3:] for note in getattr(error, "__notes__", ()) if note.startswith("on ")), "")
        first_line = str(error).strip().partition("\n")[0]
        return Failure(
            rule=rule, seen=f"{type(error).__name__}: {first_line}", example=example, cause=_cause(error, component)
        )
    return None


class _Trial:
    """A subject with what the rules share: its examples and what it gives for them."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.length = subject.lengths[-1]
        self.run = subject.run_at(self.length)
        self._shorter: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}

    def arguments(self, example: np.ndarray | None, seed: int = 0) -> tuple[Any, ...]:
        key = (jax.random.key(seed),) if self.subject.keyed else ()
        return (*(() if example is None else (jnp.asarray(example),)), *key)

    @functools.cached_property
    def outputs(self) -> dict[str, Any]:
        """What each example gives, eagerly."""
        found = {}
        for name, example in self.subject.examples(self.length).items():
            with _on(name, example):
                found[name] = _numpy(self.run(*self.arguments(example)))
        return found

    def batch(self, seed: int = 0) -> tuple[Any, ...]:
        """All examples as one batch, each row with its own key."""
        rows = list(self.subject.examples(self.length).values())
        count = max(len(rows), 4)
        given = [row for row in rows if row is not None]
        examples = (np.stack([given[i % len(given)] for i in range(count)]),) if given else ()
        return (*examples, *((jax.random.split(jax.random.key(seed), count),) if self.subject.keyed else ()))

    @functools.cached_property
    def slack(self) -> float:
        """How far two right programs may differ beyond rounding: what a last-digit change of the input does.

        Next to nothing for most; much for an iteration without a unique answer, such as Griffin and Lim's.
        """
        draws = np.random.default_rng(0)
        change = 0.0
        for name, example in self.subject.examples(self.length).items():
            if example is None:
                continue
            nudged = (example * (1 + 1e-6 * draws.standard_normal(example.shape))).astype(example.dtype)
            moved = _numpy(self.run(*self.arguments(nudged)))
            change = max(change, _gap(moved, self.outputs[name]))
        return 4 * change if np.isfinite(change) else 0.0

    @functools.cached_property
    def batched(self) -> Any:
        """The function over a batch, compiled once for the rules that need it."""
        return jax.jit(self.run if self.subject.batched else jax.vmap(self.run))

    @functools.cached_property
    def sharded(self) -> tuple[Any, Callable[..., Any]]:
        """The function over a batch on two devices: the compiled program, and a call of it on any batch."""
        try:
            return self._compiled_on_two(jax.sharding.AxisType.Explicit)
        except Exception as error:
            if "Sharding" not in type(error).__name__:  # an operation that wants its output's sharding spelled out
                raise
            return self._compiled_on_two(jax.sharding.AxisType.Auto)

    def _compiled_on_two(self, axis: jax.sharding.AxisType) -> tuple[Any, Callable[..., Any]]:
        mesh = jax.make_mesh((2,), ("batch",), axis_types=(axis,), devices=jax.devices()[:2])
        place = jax.NamedSharding(mesh, jax.P("batch"))

        def placed(batch: tuple[Any, ...]) -> list[jax.Array]:
            return [jax.device_put(argument, place) for argument in batch]

        with jax.set_mesh(mesh):
            compiled = self.batched.lower(*placed(self.batch())).compile()
        return compiled, lambda *batch: compiled(*placed(batch))

    @functools.cached_property
    def over_batch(self) -> Callable[..., Any]:
        """The function over a batch: on two devices where that gives what each row gives eagerly, else on one."""
        return self.sharded[1] if self.is_same_in_a_compiled_batch and jax.device_count() > 1 else self.batched

    def shorter(self, length: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """What each example of a shorter length gives and its slopes, by one program; eagerly where that fails."""
        if length not in self._shorter:
            self._shorter[length] = self._run_shorter(length)
        return self._shorter[length]

    def _run_shorter(self, length: int) -> tuple[dict[str, Any], dict[str, Any]]:
        run, examples = self.subject.run_at(length), self.subject.examples(length)
        arguments = {name: self.arguments(example) for name, example in examples.items()}
        if all(arguments.values()):  # else there is nothing to trace
            sloped = self.subject.differentiable and self.subject.example is not None
            slope = jax.grad(_energy(run)) if sloped else None
            compiled = jax.jit(lambda *given: (run(*given), slope(*given) if slope else None))
            with contextlib.suppress(Exception):
                made = {name: _numpy(compiled(*given)) for name, given in arguments.items()}
                outputs, slopes = ({name: pair[part] for name, pair in made.items()} for part in (0, 1))
                return outputs, slopes if sloped else {}
        outputs = {}
        for name, given in arguments.items():
            with _on(name, examples[name], length):
                outputs[name] = _numpy(run(*given))
        return outputs, {}

    @functools.cached_property
    def is_same_in_a_compiled_batch(self) -> bool:
        """Whether one compiled batch, on two devices if there are two, gives what each row gives eagerly.

        Then jit, vmap and sharding all hold, for one compile.
        """
        if self.subject.example is None and not self.subject.keyed:
            return False
        batch = self.batch()
        try:
            together = _numpy((self.sharded[1] if jax.device_count() > 1 else self.batched)(*batch))
            return all(
                _close(
                    jax.tree.map(lambda leaf, row=row: leaf[row], together),
                    _numpy(self.run(*(argument[row] for argument in batch))),
                )
                for row in range(len(batch[-1]))
            )
        except Exception:  # noqa: BLE001  each rule then meets the reason itself
            return False


def _documented(kind: str, component: Any) -> None:
    text = inspect.getdoc(component) or ""
    if not text.strip():
        raise Broken("it has no docstring", cause="write one")
    options = options_of(kinds()[kind], component) or {}
    if kinds()[kind].form == "value":
        return
    silent = [name for name in options if not re.search(rf"\b{re.escape(name)}\b", text)]
    if silent:
        raise Broken(f"the docstring does not say what {', '.join(silent)} is", cause="an Args entry is missing")
    if options and not UNITS.search(text):
        raise Broken("the docstring names no unit", cause="say Hz, seconds, samples, dB, full scale …")


def _options_checked(kind: str, component: Any, contract: Callable[[Any], list[Subject | Rule]]) -> None:
    for option in options_of(kinds()[kind], component) or {}:
        subject = next(part for part in contract(Bound(component, **{option: _NONSENSE})) if isinstance(part, Subject))
        try:
            trial = _Trial(subject)
            trial.run(*trial.arguments(next(iter(subject.examples(trial.length).values()))))
        except Exception:  # noqa: BLE001  whatever it says, it is said
            continue
        raise Broken(f"takes {option}={_NONSENSE!r} without a word", cause=f"{option} is not checked")


_NONSENSE = "no such value"


def _no_array_at_import(component: Any) -> None:
    module = sys.modules.get(getattr(inspect.unwrap(getattr(component, "func", component)), "__module__", ""), None)
    if module is None:
        return
    for name, value in vars(module).items():
        if any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(value, is_leaf=lambda v: v is None)):
            raise Broken(f"{module.__name__}.{name} is an array made at import", cause="make it where it is used")


def _shape(trial: _Trial) -> None:
    subject = trial.subject
    for length in subject.lengths:
        name, example = next(iter(subject.examples(length).items()))
        output = (trial.outputs if length == trial.length else trial.shorter(length)[0])[name]
        if subject.shape is None:
            continue
        expected = subject.shape((length,) if example is None else example.shape)
        shapes = jax.tree.map(lambda leaf: tuple(leaf.shape), output)
        if shapes != expected:
            raise Broken(f"gives the shape {shapes}, expected {expected}", _described(name, example, length))


def _dtype(trial: _Trial) -> None:
    for name, example in trial.subject.examples(trial.length).items():
        expected = _dtypes(trial.subject) or (np.dtype(np.float32 if example is None else example.dtype),)
        for leaf in jax.tree.leaves(trial.outputs[name]):
            if leaf.dtype not in expected:
                listed = " or ".join(map(str, expected))
                raise Broken(f"gives {leaf.dtype}, expected {listed}", _described(name, example, trial.length))


def _pure(trial: _Trial) -> None:
    for name, example in trial.subject.examples(trial.length).items():
        given = () if example is None else (example.copy(),)
        again = _numpy(trial.run(*given, *trial.arguments(None)))
        described = _described(name, example, trial.length)
        if not _same(given, () if example is None else (example,)):
            raise Broken("changes its input in place", described, "an assignment into the argument")
        if not _same(again, trial.outputs[name]):
            raise Broken("gives another result the second time", described, "state outside the arguments")


def _keyed(trial: _Trial) -> None:
    name, example = next(iter(trial.subject.examples(trial.length).items()))
    others = [trial.run(*trial.arguments(example, seed)) for seed in range(1, 9)]
    if all(_same(_numpy(other), trial.outputs[name]) for other in others):
        raise Broken("nine keys give the same result", _described(name, example, trial.length), "the key is not used")


def _key_reuse(trial: _Trial) -> None:
    name, example = next(iter(trial.subject.examples(trial.length).items()))
    arguments = trial.arguments(example)
    with jax.debug_key_reuse(True), _on(name, example):
        try:
            jax.eval_shape(trial.run, *arguments)
        except Exception:
            trial.run(*arguments)
            raise


def _jit(trial: _Trial) -> None:
    if trial.is_same_in_a_compiled_batch:
        return
    compiled = jax.jit(trial.run)
    for name, example in trial.subject.examples(trial.length).items():
        with _on(name, example):
            output = _numpy(compiled(*trial.arguments(example)))
        described = _described(name, example, trial.length)
        _expect_close(trial, output, trial.outputs[name], "jit gives another value than eager", described)


def _vmap(trial: _Trial) -> None:
    if trial.is_same_in_a_compiled_batch:
        return
    batch = trial.batch()
    output = _numpy((trial.run if trial.subject.batched else jax.vmap(trial.run))(*batch))
    names = list(trial.subject.examples(trial.length))
    for row in range(len(batch[-1])):
        one = _numpy(trial.run(*(argument[row] for argument in batch)))
        rows = jax.tree.map(lambda leaf, row=row: leaf[row], output)
        what = "a batch gives another value than its rows one by one"
        with _placed(trial):
            _expect_close(trial, rows, one, what, names[row % len(names)], "the batch axis is mixed into the result")


def _rows(trial: _Trial) -> None:
    batch = trial.batch()
    unspoiled = _numpy(trial.over_batch(*batch))
    for what, value in (("loud", 1e3), ("NaN", np.nan)):
        spoiled = np.array(batch[0])
        spoiled[1] = value if np.isnan(value) else value * (1 + np.abs(spoiled[0]))
        output = _numpy(trial.over_batch(spoiled, *batch[1:]))
        for row in (0, 2, 3):
            ours, theirs = (jax.tree.map(lambda leaf, row=row: leaf[row], tree) for tree in (output, unspoiled))
            with _placed(trial):
                if not _close(ours, theirs):
                    raise Broken(
                        f"row {row} changes when row 1 is {what}",
                        f"a batch {batch[0].shape}",
                        "a maximum, mean or sum over the batch axis: reduce over the example's own axes",
                    )


def _finite(trial: _Trial) -> None:
    subject = trial.subject
    for length in subject.lengths:
        outputs = trial.outputs if length == trial.length else trial.shorter(length)[0]
        for name, example in subject.examples(length).items():
            if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(outputs[name])):
                raise Broken(
                    "gives NaN or infinity",
                    _described(name, example, length),
                    "a division by, or a log or root of, a level that may be 0",
                )


def _gradient(trial: _Trial) -> None:
    subject = trial.subject
    for length in subject.lengths:
        slopes = {} if length == trial.length else trial.shorter(length)[1]
        gradient = jax.jit(jax.grad(_energy(subject.run_at(length))))
        for name, example in subject.examples(length).items():
            with _on(name, example):
                slope = slopes[name] if name in slopes else np.asarray(gradient(*trial.arguments(example)))
            if not np.isfinite(slope).all():
                raise Broken(
                    "its gradient is NaN or infinite",
                    _described(name, example, length),
                    "a root, a logarithm, a norm or a division at 0: guard its argument, not its result",
                )


def _energy(run: Callable[..., Any]) -> Callable[..., Any]:
    """Return the sum of squares of what a function gives."""

    def energy(*arguments: Any) -> Any:
        return sum(jnp.sum(jnp.real(leaf * jnp.conj(leaf))) for leaf in jax.tree.leaves(run(*arguments)))

    return energy


def _halves(trial: _Trial) -> None:
    name, example = next(iter(trial.subject.examples(trial.length).items()))
    assert example is not None
    rest = trial.arguments(None)
    for dtype in (jnp.bfloat16, jnp.float16):
        half = jnp.asarray(example, dtype)
        described = _described(name, np.asarray(half), trial.length)
        expected = _dtypes(trial.subject) or (jnp.dtype(dtype),)
        for given in jax.tree.leaves(jax.eval_shape(trial.run, half, *rest)):
            if given.dtype not in expected:
                listed = " or ".join(map(str, expected))
                raise Broken(f"gives {given.dtype} for {half.dtype}, expected {listed}", described)
    half = jnp.asarray(example, jnp.bfloat16)  # its rounding is the coarser one, which is seen at once
    described = _described(name, np.asarray(half), trial.length)
    output, reference = trial.run(half, *rest), _numpy(trial.run(half.astype(jnp.float32), *rest))
    for ours, exact in zip(jax.tree.leaves(output), jax.tree.leaves(reference), strict=True):
        if jnp.issubdtype(exact.dtype, np.complexfloating):
            continue
        rounded = np.asarray(jnp.asarray(exact, ours.dtype), np.float32)
        step = float(jnp.finfo(half.dtype).eps) * max(float(np.abs(rounded).max(initial=0)), 1e-30)
        values = np.asarray(ours, np.float32)
        if not any(np.allclose(values, rounded, atol=2 * step + slack, rtol=0) for slack in (0.0, trial.slack)):
            raise Broken(f"loses precision with {half.dtype}", described, "computed in half precision, not float32")


def _float64(trial: _Trial) -> None:
    name, example = next(iter(trial.subject.examples(trial.length).items()))
    assert example is not None
    wide = example.astype(np.complex128 if np.iscomplexobj(example) else np.float64)
    with jax.enable_x64(True), _on(name, wide):
        run = trial.subject.run_at(trial.length)
        for given in jax.tree.leaves(jax.eval_shape(run, jnp.asarray(wide), *trial.arguments(None))):
            if given.dtype not in (np.float64, np.complex128):
                raise Broken(f"gives {given.dtype} for {wide.dtype}", _described(name, wide), "a cast to float32")


def _sharded(trial: _Trial) -> None:
    if jax.device_count() < 2:
        raise Skipped("there is one device; set jax_num_cpu_devices=2 before jax starts")
    compiled, over_two = trial.sharded
    program = compiled.as_text()
    if "all-gather" in program:
        if jax.__version_info__ < (0, 11) and re.search(r"\bfft\(", program):
            raise Skipped(f"JAX {jax.__version__} gathers every sharded FFT under vmap (jax#15680), newer ones do not")
        raise Broken("gathers the whole batch on every device", cause="an operation that mixes or orders rows")
    if trial.is_same_in_a_compiled_batch:
        return
    batch = trial.batch()
    expected = _numpy(trial.batched(*batch))
    _expect_close(trial, _numpy(over_two(*batch)), expected, "a sharded batch gives another value", "all signals")


def _one_compile(trial: _Trial) -> None:
    name, example = next(iter(trial.subject.examples(trial.length).items()))
    trial.run(*trial.arguments(example))
    compiles = 0

    def count(event: str, duration_secs: float, **more: Any) -> None:
        nonlocal compiles
        compiles += event.endswith("backend_compile_duration")

    jax.monitoring.register_event_duration_secs_listener(count)
    try:
        for seed in range(10, 16):
            trial.run(*trial.arguments(example, seed))
    finally:
        jax.monitoring.unregister_event_duration_listener(count)
    if compiles:
        raise Broken(
            f"six more keys compile {compiles} more programs",
            _described(name, example, trial.length),
            "a drawn value becomes a shape or a static argument",
        )


_SUBJECT_RULES: dict[str, tuple[Any, ...]] = {  # the rule, and what a subject takes for it to apply
    "shape": (_shape,),
    "dtype": (_dtype,),
    "pure": (_pure,),
    "finite": (_finite,),
    "depends on its key": (_keyed, "draws"),
    "no key used twice": (_key_reuse, "key"),
    "one compile over many keys": (_one_compile, "key"),
    "jit equals eager": (_jit,),
    "vmap equals the loop": (_vmap, "rows"),
    "rows are independent": (_rows, "example"),
    "gradient is finite": (_gradient, "example", "slope"),
    "half precision in and out": (_halves, "real example"),
    "float64 where enabled": (_float64, "example"),
    "sharded equals unsharded": (_sharded, "rows"),
}


@contextlib.contextmanager
def _quick_compiles() -> Iterator[None]:
    """Compile without XLA's costly optimizations: what is checked does not depend on them, and it takes a third."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)


_MIXING = re.compile(r"= (reduce_\w+\[axes=\(0[,)]|arg\w+\[axes=\(0,|(sort|cum\w+)\[(dimension|axis)=0\b)")


@contextlib.contextmanager
def _placed(trial: _Trial) -> Iterator[None]:
    """Note on what is broken which line of the component runs over the first axis of a batch, if one does."""
    try:
        yield
    except Broken as broken:
        line = ""
        program = jax.make_jaxpr(trial.batched)(*trial.batch())
        for text in program.pretty_print(source_info=True).splitlines():
            said = re.search(r"# (\S.*):(\d+):\d+ \(", text)  # none inside of what jax itself defines
            line = f"{Path(said[1]).name}:{said[2]}" if said else line
            if _MIXING.search(text):
                broken.place = line
                break
        raise


@contextlib.contextmanager
def _on(name: str, example: np.ndarray | None, length: int | None = None) -> Iterator[None]:
    """Note on an exception which input it came from."""
    try:
        yield
    except Exception as error:
        error.add_note(f"on {_described(name, example, length)}")
        raise


def _described(name: str, example: np.ndarray | None, length: int | None = None) -> str:
    if example is None:
        return f"{length} samples" if length is not None else ""
    return f"{name} {tuple(example.shape)} {example.dtype}"


def _dtypes(subject: Subject) -> tuple[np.dtype, ...]:
    given = subject.dtype if isinstance(subject.dtype, tuple) else (subject.dtype,) * (subject.dtype is not None)
    return tuple(np.dtype(dtype) for dtype in given)


def _numpy(tree: Any) -> Any:
    return jax.tree.map(np.asarray, tree)


def _same(a: Any, b: Any) -> bool:
    return jax.tree.all(jax.tree.map(lambda x, y: np.array_equal(x, y, equal_nan=True), a, b))


def _close(a: Any, b: Any, slack: float = 0.0) -> bool:
    def close(x: np.ndarray, y: np.ndarray) -> bool:
        scale = np.abs(y[np.isfinite(y)]).max(initial=0)
        atol = 1e-5 * scale + slack + 1e-30
        return x.shape == y.shape and np.allclose(x, y, rtol=1e-4, atol=atol, equal_nan=True)

    return bool(jax.tree.all(jax.tree.map(close, a, b)))


def _gap(a: Any, b: Any) -> float:
    """Return the greatest difference between two trees of arrays."""
    return max(
        (
            float(np.abs(x.astype(np.complex128) - y).max(initial=0)) if x.shape == y.shape else np.inf
            for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
        ),
        default=0.0,
    )


def _expect_close(trial: _Trial, ours: Any, expected: Any, what: str, described: str, cause: str = "") -> None:
    if not _close(ours, expected) and not _close(ours, expected, trial.slack):
        raise Broken(f"{what}, by up to {_gap(ours, expected):.3g}", described, cause)


_CAUSES: tuple[tuple[type[Exception], str], ...] = (
    (jax.errors.KeyReuseError, "the same key is used twice; split it"),
    (jax.errors.TracerBoolConversionError, "a Python if, while, and, or, not on a traced value; use jnp.where"),
    (jax.errors.TracerIntegerConversionError, "a traced value as an index or a length"),
    (jax.errors.TracerArrayConversionError, "a NumPy function on a traced value; use jax.numpy"),
    (jax.errors.NonConcreteBooleanIndexError, "a boolean mask as an index; use jnp.where"),
    (jax.errors.UnexpectedTracerError, "a traced value kept outside the function"),
    (jax.errors.ConcretizationTypeError, "int(), float() or a shape from a traced value"),
)


def _cause(error: BaseException, component: Any) -> str:
    said = next((text for kind, text in _CAUSES if isinstance(error, kind)), "")
    ours = (Path(__file__), Path(numerics.__file__))
    outside = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename) not in ours and not re.search(r"[/\\](jax|jaxlib|numpy|flax)[/\\]", frame.filename)
    ]
    place = f"{Path(outside[-1].filename).name}:{outside[-1].lineno}" if outside else _home(component)
    return f"{said or 'raised'}, {place}"


def _home(component: Any) -> str:
    """Where a component is defined, as file:line."""
    try:
        target = inspect.unwrap(getattr(component, "func", component))
        return f"{Path(inspect.getsourcefile(target) or '').name}:{inspect.getsourcelines(target)[1]}"
    except (TypeError, OSError):
        return repr(component)
