"""Datasets of recordings in files. Imports no jax, so that loader workers start fast."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from artifex.generative_models.core.checks import check_choice, check_flag
from artifex.generative_models.modalities.audio.base import AudioModalityConfig
from artifex.generative_models.modalities.audio.datasets.manifests.folders import label_recordings
from artifex.generative_models.modalities.audio.datasets.manifests.formats import is_manifest
from artifex.generative_models.modalities.audio.datasets.manifests.labels import (
    Label,
    check_classes,
    class_label,
    label_names,
)
from artifex.generative_models.modalities.audio.datasets.manifests.reading import read_manifest
from artifex.generative_models.modalities.audio.datasets.manifests.recording import Recording
from artifex.generative_models.modalities.audio.datasets.manifests.splits import are_in_split
from artifex.generative_models.modalities.audio.datasets.recordings import Crop, OnError, RecordingDataset, Source
from artifex.generative_models.modalities.audio.io import exists, search_audio

if TYPE_CHECKING:
    from flax import nnx


class AudioFileDataset(RecordingDataset):
    """A dataset of recordings in files, cropped or zero-padded to the configuration's duration.

    Files are read, mixed, resampled (soxr HQ), cropped and padded on the host with NumPy. Only the crop is decoded. The
    dataset has ``__len__`` and ``__getitem__`` and can be used as a Grain source.

    Args:
        config: Configuration of the examples; by default ``AudioModalityConfig()``. For a representation other than the
            waveform, examples also contain the features, which are computed with jax.
        paths: A file, a folder, which is searched recursively, a pattern such as ``"takes/**/*.wav"``, or a list of them.
        manifest: A manifest to use instead of ``paths``, of any format that ``read_manifest`` reads, with labels, segments
            and splits. Recordings of other splits than ``split`` are excluded.
        mono: Whether to average the channels. Otherwise all recordings must have the same number of channels.
        crop: The part of a longer recording: ``"center"``, ``"start"``, ``"random"`` (depends on the seed, the epoch and
            the index only), ``"loudest"`` (the window with the highest energy: the recording is decoded once, in blocks,
            to find it to within 1/16 of the duration), ``"sliding"`` (every window is an example; the last ones are
            padded), or ``"whole"`` (variable-length examples, neither cropped nor padded).
        hop: Hop between sliding windows in seconds; by default the configuration's duration.
        labels: ``"folder"`` labels a recording by the folder directly below the given one, or the given one itself; a
            function returns the label for a path, a name or an index; None omits labels. With a manifest, ``"folder"`` uses
            its column ``label``; where that contains lists, ``label`` in an example is a multi-hot array.
            ``dataset.labels`` contains the class names in order of their indices, the same for every split; it is empty
            for indices without ``classes``.
        classes: Class names in the order of their indices, which fixes the numbering; it must contain every label. By
            default the sorted labels of all splits of the source.
        annotations: Whether examples contain ``annotations``, the other columns of the manifest, such as ``text`` and
            ``speaker``: strings (empty where missing) or numbers (NaN where missing). Columns of other values are omitted.
        on_error: ``"raise"`` raises for a recording that cannot be read. ``"skip"`` replaces it by silence with
            ``valid=False``, which iteration skips, and adds the reason to ``dataset.problems`` of this process.
            ``"warn"`` also warns, once per file. Errors with ``AudioReadError.transient`` are always raised; among them is
            a file that existed when the dataset was created and is missing now.
        split: Name of the split: one of those in the manifest's column ``split``; or of the folders directly below a given
            one if all of them are named like splits, such as ``train`` and ``test``. All of another source is ``"train"``,
            or the name of the given folder.
        seed: Seed of random crops, at least 0.
        rngs: Random number generators that ``get_batch`` draws indices from; by default every dataset draws the same
            sequence.
        name: Name of the dataset in error messages.

    Raises:
        FileNotFoundError: When a path does not exist.
        ValueError: When there are no audio files, the manifest is invalid, the source does not have the split, a label is
            not in ``classes``, or an option is out of range.
        TypeError: When both paths and a manifest are given, or an option has the wrong type.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from artifex.generative_models.modalities.audio.io import write_audio
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("cat", "dog"):
        ...     folder.joinpath(name).mkdir()
        ...     write_audio(folder / name / "a.wav", np.full(4000, 0.25), 8000)
        >>> dataset = AudioFileDataset(AudioModalityConfig(duration=1.0), paths=folder)
        >>> example = dataset[1]
        >>> example["audio"].shape, example["length"], example["sample_rate"], dataset.labels[example["label"]]
        ((16000,), 8000, 16000, 'dog')
    """

    def __init__(
        self,
        config: AudioModalityConfig | None = None,
        paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = (),
        *,
        manifest: str | os.PathLike[str] | None = None,
        mono: bool = True,
        crop: Crop = "center",
        hop: float | None = None,
        labels: Literal["folder"] | Callable[[Path], str | int] | None = "folder",
        classes: Sequence[str] | None = None,
        annotations: bool = False,
        on_error: OnError = "raise",
        split: str = "train",
        seed: int = 0,
        rngs: nnx.Rngs | None = None,
        name: str = "AudioFileDataset",
    ) -> None:
        super().__init__(
            config, mono=mono, crop=crop, hop=hop, on_error=on_error, split=split, seed=seed, rngs=rngs, name=name
        )
        if labels is not None and not callable(labels):
            check_choice("labels", labels, choices=("folder", None))
        check_flag("annotations", annotations)
        if manifest is None:
            _check_no_manifest(paths)
            files = search_audio(paths).files
            recordings = label_recordings(files)
            roots = {os.path.basename(os.path.abspath(root)) for _, root in files}
            source = os.fspath(cast(str, paths)) if isinstance(paths, str | os.PathLike) else f"the {len(files)} files"
            own = roots.pop() if len(roots) == 1 else None
        elif isinstance(paths, tuple) and not paths:
            recordings = read_manifest(manifest, check_paths=on_error == "raise")
            source, own = os.fspath(manifest), None
        else:
            raise TypeError("paths and manifest must not be given together; omit one of them")
        selected = are_in_split([each.split for each in recordings], split, source, own=own)
        # Classes and columns are those of all splits, so that indices and keys are the same in each.
        self.labels, indices = _index_classes(recordings, labels, classes)
        self._columns = _annotation_columns(recordings)
        self._recordings = list(compress(recordings, selected))
        self._class_indices = list(compress(indices, selected))
        self._annotations = [
            {name: _annotation(each, name, missing) for name, missing in self._columns.items()} if annotations else None
            for each in self._recordings
        ]
        # With "raise", every missing file raises.
        self._existing = {each.path for each in self._recordings if on_error != "raise" and exists(each.path)}

    @property
    def paths(self) -> tuple[Path, ...]:
        """The file of each recording."""
        return tuple(Path(each.path) for each in self._recordings)

    def n_recordings(self) -> int:
        """Return the number of recordings."""
        return len(self._recordings)

    def source(self, recording: int) -> Source:
        """Return the source of a recording.

        Args:
            recording: Index in ``paths``.
        """
        entry = self._recordings[recording]
        return Source(
            audio=entry.path,
            name=entry.path,
            label=self._class_indices[recording],
            start=entry.start,
            end=entry.end,
            sample_rate=entry.sample_rate,
            n_channels=entry.n_channels,
            n_samples=entry.n_samples,
            existed=entry.path in self._existing,
            annotations=self._annotations[recording],
        )

    def _recording_classes(self) -> Sequence[int | tuple[int, ...] | None]:
        return self._class_indices

    def _recording_column_names(self) -> tuple[str, ...]:
        return ("path", *self._columns)

    def _recording_column(self, name: str) -> list[str] | np.ndarray:
        if name == "path":
            return [each.path for each in self._recordings]
        missing = self._columns[name]
        values = [_annotation(each, name, missing) for each in self._recordings]
        return [str(value) for value in values] if isinstance(missing, str) else np.array(values, np.float64)


def _index_classes(
    recordings: Sequence[Recording],
    labels: Literal["folder"] | Callable[[Path], str | int] | None,
    classes: Sequence[str] | None,
) -> tuple[tuple[str, ...], list[int | tuple[int, ...] | None]]:
    """Return the class names and the class of each recording."""
    if labels is None:
        if classes is not None:
            raise ValueError("classes requires labels, got labels=None; omit classes")
        return (), [None] * len(recordings)
    found: list[Label | int | None] = [each.label for each in recordings]
    if callable(labels):
        found = [_label_of(labels, Path(each.path)) for each in recordings]
    numbers = [label for label in found if isinstance(label, int)]
    if numbers:
        if len(numbers) < len(found):
            name = next(label for label in found if not isinstance(label, int))
            raise TypeError(f"labels must return only names or only indices, got {numbers[0]} and {name!r}")
        names = () if classes is None else check_classes(classes, ())
        if names and max(numbers) >= len(names):
            raise ValueError(f"classes must contain every label, got {len(names)} classes and the index {max(numbers)}")
        return names, list(numbers)
    given = [label for label in found if not isinstance(label, int)]
    names = label_names(given) if classes is None else check_classes(classes, given)
    has_lists = any(isinstance(label, tuple) for label in given)
    indices = {label: number for number, label in enumerate(names)}
    return names, [class_label((label,) if has_lists and isinstance(label, str) else label, indices) for label in given]


def _label_of(labels: Callable[[Path], str | int], path: Path) -> str | int:
    label = labels(path)
    if isinstance(label, int | np.integer) and not isinstance(label, bool):
        if label >= 0:
            return int(label)
    elif isinstance(label, str) and label:
        return str(label)
    raise TypeError(f"labels must return the class name or index for a path, got {label!r} for {path}")


def _check_no_manifest(paths: object) -> None:
    if isinstance(paths, str | os.PathLike):
        file = Path(cast(str, paths))
        if file.is_file() and is_manifest(file):
            raise ValueError(f"{file} is a manifest, not a recording; pass it as manifest=")


def _annotation_columns(recordings: Sequence[Recording]) -> dict[str, str | float]:
    """Return the columns of strings or numbers, each with the value for recordings without one."""
    types: dict[str, set[type]] = {}
    for recording in recordings:
        for name, value in recording.annotations.items():
            types.setdefault(name, set()).add(type(value))
    text: dict[str, str | float] = {name: "" for name, found in types.items() if found == {str}}
    numbers: dict[str, str | float] = {name: math.nan for name, found in types.items() if found <= {int, float}}
    return {**text, **numbers}


def _annotation(recording: Recording, name: str, missing: str | float) -> str | float:
    value = recording.annotations.get(name, missing)
    return float(value) if isinstance(value, int | float) else str(value)
