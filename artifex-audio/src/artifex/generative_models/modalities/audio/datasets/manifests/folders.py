"""Recordings in folders: their labels and splits follow from the names of folders."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

from artifex.generative_models.core.errors import printable
from artifex.generative_models.modalities.audio.datasets.manifests.recording import Recording

SPLIT_NAMES = frozenset(
    ("train", "training", "validation", "valid", "val", "dev", "test", "testing", "eval", "evaluation")
)
"""Names of folders that are splits if all folders beside them have such names, in lower case."""


def label_recordings(files: Iterable[tuple[Path, Path]]) -> list[Recording]:
    """Return recordings with the labels and splits that follow from their folders.

    If all folders directly below a given folder are named like splits, such as ``train`` and ``test``, they are splits.
    The label is the name of the folder directly below the given folder, or below the folder of the split, because datasets
    often have one folder per class, with subfolders such as one per speaker or session. For files that are not in such a
    folder, the label is the name of the given folder.

    A warning is given for folders named like two or more splits that are not splits by this rule, because there are other
    folders or files beside them, or because they are below the folders of classes: all their recordings are in one split.

    Args:
        files: Pairs of a file and the given folder, as ``search_audio`` returns them.

    Returns:
        The recordings, in order.

    Example:
        >>> pets = Path("pets")
        >>> [(each.label, each.split) for each in label_recordings([(pets / "dog/monday/a.wav", pets), (pets / "b.wav", pets)])]
        [('dog', None), ('pets', None)]
        >>> [(each.label, each.split) for each in label_recordings([(pets / "train/dog/a.wav", pets), (pets / "test/b.wav", pets)])]
        [('dog', 'train'), ('pets', 'test')]
    """
    parts_of = [(file, root, file.relative_to(root).parts) for file, root in files]
    folders: dict[Path, set[str]] = {}
    for _, root, parts in parts_of:
        folders.setdefault(root, set()).add(parts[0].lower() if len(parts) > 1 else "")
    _warn_of_other_splits(parts_of, folders)
    recordings: list[Recording] = []
    for file, root, parts in parts_of:
        split, below = (parts[0], parts[1:]) if folders[root] <= SPLIT_NAMES else (None, parts)
        label = below[0] if len(below) > 1 else os.path.basename(os.path.abspath(root)) or "/"
        recordings.append(Recording(path=str(file), name="/".join(parts), label=label, split=split))
    return recordings


def _warn_of_other_splits(
    parts_of: Iterable[tuple[Path, Path, tuple[str, ...]]], folders: Mapping[Path, set[str]]
) -> None:
    below: dict[Path, set[str]] = {}
    for _, root, parts in parts_of:
        if len(parts) > 2:
            below.setdefault(root, set()).add(parts[1].lower())
    for root, names in folders.items():
        if names <= SPLIT_NAMES:
            continue
        for found, place in ((names, "beside others"), (below.get(root, set()), "below other folders")):
            splits = sorted(found & SPLIT_NAMES)
            if len(splits) > 1:
                warnings.warn(
                    f"{printable(root)} contains folders named {' and '.join(map(repr, splits))} {place}, so they are not splits: "
                    f"all recordings are in one split; let all folders directly below it be splits, or use a manifest with "
                    f"a column 'split', such as one of `artifex scan --split`",
                    UserWarning,
                    stacklevel=4,
                )
