"""Dividing recordings into splits so that a group, such as a speaker, is in one split only."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from artifex.generative_models.core.checks import check_integer


def parse_fractions(text: str) -> dict[str, float]:
    """Parse the fractions of splits.

    Args:
        text: Such as ``"train=.8,validation=.1,test=.1"``.

    Returns:
        The fraction of each split.

    Raises:
        ValueError: When it cannot be parsed, or the fractions are not above 0 with a sum of 1.

    Example:
        >>> parse_fractions("train=.9,test=.1")
        {'train': 0.9, 'test': 0.1}
    """
    fractions: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = (word.strip() for word in part.partition("="))
        try:
            fraction = float(number)
        except ValueError:
            fraction = math.nan
        if not name or name in fractions or math.isnan(fraction):
            raise ValueError(f"splits must be different names with fractions, such as train=.8,test=.2, got {text!r}")
        fractions[name] = fraction
    _check_fractions(fractions)
    return fractions


def are_in_split(splits: Sequence[str | None], split: str, source: str, *, own: str | None = None) -> list[bool]:
    """Return which recordings of a source are in a split.

    Args:
        splits: The split of each recording; None in a source without splits, all of which is the split ``"train"``.
        split: Name of the split.
        source: The source, for the error message.
        own: Another name that a source without splits has, such as that of its folder.

    Returns:
        Whether each recording is in the split.

    Raises:
        ValueError: When the source does not have the split; the message names the splits that it has. When some recordings
            have no split, but others do.

    Example:
        >>> are_in_split(["train", "test"], "test", "takes.csv")
        [False, True]
        >>> are_in_split(["train", "validation"], "val", "takes.csv")
        Traceback (most recent call last):
        ValueError: split must be one of those of takes.csv, 'train' or 'validation', got 'val'; did you mean 'validation'?
    """
    known = sorted({each for each in splits if each is not None})
    if not known:
        if split in ("train", own):
            return [True] * len(splits)
        raise ValueError(
            f"{source} is not divided into splits, so that split must be 'train', got {split!r}; divide it with "
            f"split(dataset, …), with `artifex scan --split`, by a column 'split', or into folders such as train and test"
        )
    if None in splits:
        raise ValueError(
            f"{source} must have a split for all recordings or none, got {list(splits).count(None)} of {len(splits)} without one"
        )
    if split not in known:
        close = get_close_matches(split.lower(), [each.lower() for each in known], n=1)
        similar = [each for each in known if each.lower() in close or each.lower().startswith(split.lower())]
        hint = f"; did you mean {similar[0]!r}?" if similar else ""
        raise ValueError(
            f"split must be one of those of {source}, {' or '.join(map(repr, known))}, got {split!r}{hint}"
        )
    return [each == split for each in splits]


def assign_splits(
    groups: Sequence[str], fractions: Mapping[str, float], *, strata: Sequence[str] | None = None, seed: int = 0
) -> list[str]:
    """Assign recordings to splits, all recordings of a group to the same one.

    Groups are assigned one by one, large ones first, each to the split that misses the most recordings; with strata, that
    misses the most recordings of the group's strata. If every group is in one stratum, the strata are assigned one after
    another, and the rounding error of one is carried to the next, so that the fractions also hold for all together.

    The fractions of recordings are approximate, because groups are not divided. Every split has at least one group. The
    result depends on the groups, their sizes and strata, and the seed only, not on their order or the platform.

    Args:
        groups: The group of each recording, such as its speaker.
        fractions: The fraction of each split, above 0, with a sum of 1.
        strata: The stratum of each recording, such as its label, whose proportions are kept in every split.
        seed: Seed of the assignment, at least 0.

    Returns:
        The split of each recording.

    Raises:
        ValueError: When the fractions are invalid, or there are fewer groups than splits.

    Example:
        >>> assign_splits(["ann", "bob", "ann", "eve"], {"train": 0.75, "test": 0.25}, seed=1)
        ['train', 'train', 'train', 'test']
        >>> assign_splits("abcdefgh", {"train": 0.5, "test": 0.5}, strata="xxxxyyyy").count("train")
        4
    """
    check_integer("seed", seed, minimum=0)
    _check_fractions(fractions)
    sizes = Counter(groups)
    if len(sizes) < len(fractions):
        raise ValueError(f"{len(fractions)} splits require at least {len(fractions)} groups, got {len(sizes)}")
    counts: dict[str, Counter[str]] = {group: Counter() for group in sizes}
    for group, stratum in zip(groups, [""] * len(groups) if strata is None else strata, strict=True):
        counts[group][stratum] += 1
    is_divided = any(len(of_group) > 1 for of_group in counts.values())

    # Large groups come first, since small ones can even out the difference; the seed orders groups of similar size.
    def order(group: str) -> tuple[str, int, bytes]:
        digest = hashlib.sha256(f"{seed}\0{group}".encode("utf-8", "surrogatepass")).digest()
        return "" if is_divided else next(iter(counts[group])), -sizes[group].bit_length(), digest

    members: dict[str, list[str]] = {split: [] for split in fractions}
    totals = sum(counts.values(), Counter[str]())
    missing = {split: {name: fraction * n for name, n in totals.items()} for split, fraction in fractions.items()}

    def move(group: str, split: str, sign: int = 1) -> None:
        members[split].append(group) if sign > 0 else members[split].remove(group)
        for stratum, count in counts[group].items():
            missing[split][stratum] -= sign * count

    previous: str | None = None
    for group in sorted(sizes, key=order):
        stratum = next(iter(counts[group]))
        if not is_divided and previous not in (None, stratum):
            for of_split in missing.values():
                of_split[stratum] += of_split[str(previous)]
        previous = stratum
        move(group, max(missing, key=lambda split: sum(n * missing[split][each] for each, n in counts[group].items())))
    for empty in [split for split in fractions if not members[split]]:
        donor = min(
            (split for split in fractions if len(members[split]) > 1), key=lambda split: sum(missing[split].values())
        )
        smallest = min(members[donor], key=lambda group: sizes[group])
        move(smallest, donor, -1)
        move(smallest, empty)
    split_of = {group: split for split, names in members.items() for group in names}
    return [split_of[group] for group in groups]


def _check_fractions(fractions: Mapping[str, float]) -> None:
    if not fractions or not all(0 < fraction <= 1 for fraction in fractions.values()):
        raise ValueError(f"fractions of splits must be above 0 and at most 1, got {dict(fractions)}")
    if abs(sum(fractions.values()) - 1) > 1e-6:
        raise ValueError(f"fractions of splits must have the sum 1, got {sum(fractions.values()):g}")
