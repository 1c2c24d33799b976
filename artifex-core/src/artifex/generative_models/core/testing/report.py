"""The report of a check."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Failure:
    """A rule that a component breaks.

    Args:
        rule: The rule's name.
        observed: The observed behavior.
        example: The smallest input that shows it, or "".
        cause: The likely cause and its location, or "".
    """

    rule: str
    observed: str
    example: str = ""
    cause: str = ""

    def __str__(self) -> str:
        lines = [f"{self.rule}: {self.observed}"]
        if self.example:
            lines.append(f"    input: {self.example}")
        if self.cause:
            lines.append(f"    likely cause: {self.cause}")
        return "\n".join(lines)


@attrs.frozen(kw_only=True)
class Report:
    """The rules that a component passes and breaks; ``print(report)`` shows them.

    Args:
        kind: The component's kind.
        name: The component's name.
        passes: Names of the rules that the component passes.
        failures: The rules that it breaks.
        skipped: Names of the rules that could not be checked, each with the reason.
    """

    kind: str
    name: str
    passes: tuple[str, ...]
    failures: tuple[Failure, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the component breaks no rule."""
        return not self.failures

    def __str__(self) -> str:
        n_checked = len(self.failures) + len(self.passes)
        verdict = "passes" if self.passed else f"breaks {len(self.failures)} of {n_checked} rules"
        lines = [f"{self.kind} {self.name!r} {verdict}"]
        for failure in self.failures:
            lines.append("  ✗ " + str(failure).replace("\n", "\n  "))
        lines += [f"  – {rule}: skipped, {reason}" for rule, reason in self.skipped]
        if self.passes:
            lines.append(f"  ✓ {', '.join(self.passes)}")
        return "\n".join(lines)
