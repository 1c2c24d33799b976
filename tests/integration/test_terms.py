"""Source, docs, examples and templates use the standard terms of librosa, SciPy and JAX."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.source import ROOT

# Regular expressions of terms that are not used, with their replacements.
REPLACEMENTS = {
    # least, greatest
    r"(?<!at )(?<!At )\bleast\b(?! squares| significant| recently)": "minimum, smallest, lowest",
    r"\bgreatest\b(?! common)": "maximum, largest, highest",
    # shares and rows
    r"\b(the|a|an|its|their|whose|each|own|no|per|of|this|that|other|last|more) shares?\b": "fraction, proportion, shard",
    r"\b(a|one|each|every|another|per) row of (a|the) batch\b": "one example of the batch",
    r"\b(rows?|examples?) (comes?|goes|go) (out|through|in)\b": "examples are returned, processed",
    # nouns made of "what"
    r'"""What\b': "an imperative sentence that names the operation, or a noun",
    r"\b(of|for|from|to|with|by|in|on|at|is|are|and|or|than|as|all|over|about|beside|that|after|before) what\b": "a noun",
    r"\bwhat (was|were|is|are) (given|drawn|known|there|put|left|said|asked|written|told)\b": "a noun: the drawn parameters",
    r"\b(W|w)hat there is\b": "a noun",
    # negation
    r"(?<!there )(?<!There )\b(is|are|was|were|be) none\b": "is not a …",
    r"(?<!there )(?<!There )\b(is|are|was|were) no (?!longer|more|other|such)[a-z]": "is not a …",
    r"\bor say why\b": "or raise",
    # personification
    r"\b(tells|told)\b": "say, report, return",
    r"\b(hears|heard)\b": "listen, audible",
    r"\b(asks|asked)\b": "request, call",
    r"\b(wants|wanted)\b": "requested, required",
    r"\b(knows|knew)\b": "contains, has",
    r"\b(lies|lie|lying)\b": "is on, is in",
    r"\blives\b": "is in",
    r"\bthe readers? own\b|\bsomebody('s)?\b|\bone's own\b": "user-defined, a plugin's",
    # single words
    r"\bheirs?\b": "subclass, plugin",
    r"\b(dear|dearer|dearest)\b": "expensive",
    r"\baudition(s|ed|ing)?\b": "preview",
    r"\bbs1770\b": "loudness",
    r"\boddities\b": "unused_pins",
    r"\bsealed\b": "with_checksum",
    r"\bsettled\b": "check_option",
    r"\bfloating\(": "as_float",
    r"\bforget\(": "clear",
    r"\b(the|a) ways? back\b": "inverse, reconstruction",
    r"\b(lie|lies|lying) alone\b": "is on one device",
    r"\bin (parts|stretches)\b(?!(:|\[|\]|\)|\}| if\b))": "in chunks",
    r"\bby rows\b": "per chunk",
    r"\bbound to (?!be|an? )": "options bound, partial",
    r"\b(has|have) come to (its|their) end\b|\bcomes? to (its|their|an) end\b": "is exhausted",
    r"\bnothing( is)? left to do\b|\ball is there\b": "already complete",
    r"\bof several lengths\b": "variable-length",
    r"\bin truth\b": "the true …",
    r"\b(hang|hangs) together\b": "are consistent",
    r"\b(give|gives|gave) way\b": "is replaced",
    r"\bis taken to\b": "is",
    r"\bmakes? no difference\b": "is ignored",
    r"\bon (its|their) own account\b": "itself",
    r"\b(gone|goes|go|going) on with\b": "resumed, continued",
    r"\bfinds? its way\b|\bway through\b": "round trip",
    r"\b(we|which tool we) equal\b": "reference tool",
    r"\bas (it|they) stands?\b": "unchanged",
    # American spelling
    r"(?i)\b(colour|neighbour|behaviour|favour|honour|labelled|modelling|artefact|grey|catalogue)": "American spelling",
    r"(?i)\b(normalis|optimis|initialis|recognis|organis|serialis|summaris|centred|centre\b|metre\b)": "American spelling",
}

PATTERNS = {re.compile(pattern): replacement for pattern, replacement in REPLACEMENTS.items()}


def files() -> Iterator[Path]:
    """Yield the files that users and contributors read; tests have other rules."""
    yield from (ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))
    for folder in ("artifex-core", "artifex-audio", "artifex-spectral", "docs", "examples"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".pyi", ".md", ".jinja", ".html", ".toml"} and "tests" not in path.parts[:-1]:
                yield path


def violations(text: str) -> list[tuple[int, str, str]]:
    """Return (line number, term, replacement) for each unused term in a text."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, replacement in PATTERNS.items():
            found += [(number, match[0], replacement) for match in pattern.finditer(line)]
    return found


def test_source_and_docs_use_standard_terms():
    found = [
        f"{path.relative_to(ROOT)}:{line}: {term!r}: use {replacement}"
        for path in files()
        for line, term, replacement in violations(path.read_text(encoding="utf-8"))
    ]
    assert not found, f"{len(found)} terms to replace:\n" + "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "the least number of frames",
        '"""What an extension is told."""',
        "its share of the energy",
        "returns what was drawn",
        "raises where it is no integer",
        "a dear operation",
        "the way back to audio",
        "arrays lie on devices",
        "normalised colour",
    ],
)
def test_a_planted_term_is_found(text):
    assert violations(text)


@pytest.mark.parametrize(
    "text",
    [
        "at least 1 Hz, solved by least squares",
        "the greatest common divisor",
        "processes share a cache",
        "the value is None",
        "it is no longer needed",
        "fractions of the shared memory, one row of the matrix",
        "Compute mel-frequency cepstral coefficients.",
        "raises when the key is unknown",
        "there is no such file",
        "you hear the result if you want to",
    ],
)
def test_standard_prose_is_accepted(text):
    assert not violations(text)
