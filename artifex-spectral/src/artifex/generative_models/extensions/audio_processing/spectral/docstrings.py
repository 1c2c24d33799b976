"""Docstrings of functions that have most of their arguments in common."""

from __future__ import annotations

import inspect
import re
import textwrap

_ORDER = ("Args", "Returns", "Raises", "Example", "Reference")


def completed(doc: str | None, *, args: str, returns: str = "", raises: str = "") -> str | None:
    """Return a docstring with what several functions have in common.

    Args:
        doc: Summary and sections of one function; ``Options`` has the arguments that are its own.
        args: The entries of the arguments that all have, which come first.
        returns: What the section Returns goes on with.
        raises: The entries of the errors that all raise.

    Returns:
        The docstring, its sections in the house's order; None for None.

    Example:
        >>> print(completed("Return it.", args="audio: Waveforms.", raises="ValueError: When it is empty."))
        Return it.
        <BLANKLINE>
        Args:
            audio: Waveforms.
        <BLANKLINE>
        Raises:
            ValueError: When it is empty.
        <BLANKLINE>
    """
    if doc is None:
        return None
    summary, *parts = re.split(r"^(Options|Returns|Raises|Example|Reference):\n", inspect.cleandoc(doc), flags=re.M)
    own = {name: textwrap.dedent(text).strip("\n") for name, text in zip(parts[::2], parts[1::2], strict=True)}
    sections = {
        "Args": args.rstrip("\n") + ("\n" + own["Options"] if "Options" in own else ""),
        "Returns": " ".join(filter(None, [own.get("Returns", ""), returns])),
        "Raises": "\n".join(filter(None, [own.get("Raises", ""), raises.rstrip("\n")])),
        "Example": own.get("Example", ""),
        "Reference": own.get("Reference", ""),
    }
    written = [summary.strip()]
    written += [f"{name}:\n{textwrap.indent(sections[name], '    ')}" for name in _ORDER if sections[name]]
    return "\n\n".join(written) + "\n"
