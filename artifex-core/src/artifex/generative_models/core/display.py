"""One-line and HTML descriptions of objects, for ``repr`` and notebooks. Imports no jax."""

from __future__ import annotations

import html
import reprlib
from collections.abc import Mapping

_MAX_ITEMS = 4
_MAX_CHARACTERS = 80
# Inherited colors are readable on light and dark backgrounds.
_CELL = "text-align: left; padding: 0.1em 1em 0.1em 0; background: transparent; color: inherit"


def one_line(name: str, properties: Mapping[str, object]) -> str:
    """Describe an object on one line, as its constructor would be called.

    Args:
        name: Name of the object's class.
        properties: Values by name; None is omitted, long values are abbreviated.

    Returns:
        The description.

    Example:
        >>> one_line("Dataset", {"n_examples": 3, "labels": tuple("abcdef"), "length": None})
        "Dataset(n_examples=3, labels=('a', 'b', 'c', 'd', ...))"
    """
    listed = ", ".join(f"{key}={_brief(value)}" for key, value in properties.items() if value is not None)
    return f"{name}({listed})"


def html_table(title: str, properties: Mapping[str, object]) -> str:
    """Describe an object as an HTML table without scripts, style sheets and colors, for ``_repr_html_``.

    Args:
        title: Title of the table, such as the name of the object's class.
        properties: Values by name; None is omitted, long values are abbreviated.

    Returns:
        The table. All text is escaped.

    Example:
        >>> "&lt;b&gt;" in html_table("Dataset", {"labels": ("<b>",)})
        True
    """
    rows = "".join(
        f'<tr><th style="{_CELL}; font-weight: normal">{html.escape(key)}</th>'
        f'<td style="{_CELL}"><code style="background: transparent; color: inherit">{html.escape(_brief(value))}</code></td></tr>'
        for key, value in properties.items()
        if value is not None
    )
    heading = f'<caption style="{_CELL}; caption-side: top"><b>{html.escape(title)}</b></caption>'
    return f'<table style="border-collapse: collapse; color: inherit">{heading}<tbody>{rows}</tbody></table>'


def _brief(value: object) -> str:
    brief = reprlib.Repr()
    brief.maxtuple = brief.maxlist = brief.maxdict = brief.maxset = _MAX_ITEMS
    brief.maxstring = brief.maxother = _MAX_CHARACTERS
    return brief.repr(value)
