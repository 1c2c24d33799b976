"""Parse docstrings in Google style, to print them."""

from __future__ import annotations

import inspect
import re
from typing import Any

_TITLES = "Args|Attributes|Examples?|Note|Raises|References?|Returns|Yields"
_VERBATIM = ("Args", "Example", "Examples")


def sections_of(component: Any) -> dict[str, str]:
    """Split the docstring of an object into its sections.

    Args:
        component: A function or class with a docstring in Google style.

    Returns:
        The text of each section by title; the text before the first section has the title "". Paragraphs are joined to
        one line, except in Args and Example.
    """
    text = inspect.getdoc(component) or ""
    pieces = re.split(rf"^({_TITLES}):[ ]*$", text, flags=re.MULTILINE)
    titles = ["", *pieces[1::2]]
    bodies = [inspect.cleandoc("\n" + body).strip() for body in pieces[::2]]
    return {
        title: body if title in _VERBATIM else _join_paragraphs(body)
        for title, body in zip(titles, bodies, strict=True)
        if body
    }


def argument_descriptions(component: Any) -> dict[str, str]:
    """Return the descriptions of arguments in the docstring of an object.

    Args:
        component: A function or class with a docstring in Google style.

    Returns:
        The description of each argument, on one line; empty if there is no section Args.

    Example:
        >>> list(argument_descriptions(argument_descriptions))
        ['component']
    """
    entries = re.split(r"^\*{0,2}(\w+)(?: \([^)]*\))?:[ ]*", sections_of(component).get("Args", ""), flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in zip(entries[1::2], entries[2::2], strict=True)}


def _join_paragraphs(text: str) -> str:
    """Join the lines of each paragraph, so that it can be wrapped to another width."""
    lines: list[str] = []
    for line in text.splitlines():
        starts_item = re.match(r">>>|[-*•]|\d+\.|\w+(Error|Warning|Exception): ", line)
        if lines and lines[-1] and line and not starts_item:
            lines[-1] += f" {line.strip()}"
        else:
            lines.append(line.strip())
    return "\n".join(lines)
