"""The plan of an extraction: the configuration, and which recordings are in which shard; the same for all processes."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs

from artifex.generative_models.core import registry
from artifex.generative_models.core.components.metadata import installed_version
from artifex.generative_models.core.files import format_table
from artifex.generative_models.modalities.audio.base import AudioModality, AudioModalityConfig
from artifex.generative_models.modalities.audio.datasets.manifests.labels import label_names
from artifex.generative_models.modalities.audio.extraction import padding
from artifex.generative_models.modalities.audio.extraction.features import (
    ComponentRecord,
    ResolvedPreset,
    component_records,
    describe_preset,
    spectral_table,
)
from artifex.generative_models.modalities.audio.extraction.recordings import (
    PlannedRecording,
    Reader,
    file_reader,
    read_headers,
    synthetic_reader,
)
from artifex.generative_models.modalities.audio.extraction.retrying import Backoff
from artifex.generative_models.modalities.audio.shards.checksums import parse_with_checksum, with_checksum
from artifex.generative_models.modalities.audio.shards.layout import CONFIG, PLAN
from artifex.generative_models.modalities.audio.shards.reading import (
    PLAN_FORMAT,
    config_of_plan,
    read_plan_table,
)
from artifex.generative_models.modalities.audio.shards.records import FailureRecord
from artifex.generative_models.modalities.audio.spectral_settings import spectral_settings

_MAX_BATCH_SAMPLES = 1 << 22
_MAX_SHARD_SAMPLES = 1 << 25
_DEFAULT_SHARDS = 64
_NO_PRESET = "(none)"
_MIN_SHARD_SIZE, _MAX_SHARD_SIZE = 32, 1024


@attrs.frozen(kw_only=True, slots=False)
class Plan:
    """Plan of an extraction: inputs, analysis and shards.

    Args:
        audio: The configuration as plain values, without ``representation`` and ``spectral``; without ``duration`` for
            variable-length features.
        features: Names of the features.
        preset: ``name`` and ``options`` of the preset, or None.
        spectral: Fields of the ``SpectralConfig`` of the preset, or of ``config.spectral``, or None.
        pad_values: The value that pads each feature in a batch: the ``pad_value`` of its representation, else 0.
        components: The components that compute the features, with their distributions and versions.
        batch_size: Maximum number of recordings in a batch.
        shard_size: Maximum number of recordings in a shard.
        origin: ``paths`` as given, or ``synthetic``, the number of synthetic examples.
        software: Versions of the distributions that the features depend on.
        recordings: The recordings.
        labels: The class names of the inputs, of all splits, in the same order as those of ``AudioFileDataset``.
        shards: Indices of the recordings of each shard.
    """

    audio: dict[str, Any]
    features: list[str]
    preset: dict[str, Any] | None
    spectral: dict[str, Any] | None
    pad_values: dict[str, float]
    components: list[ComponentRecord]
    batch_size: int
    shard_size: int
    origin: dict[str, Any]
    software: dict[str, str]
    recordings: list[PlannedRecording]
    labels: list[str]
    shards: list[list[int]] = attrs.field(factory=list[list[int]])

    @property
    def variable_length(self) -> bool:
        """Whether each recording keeps its length."""
        return "duration" not in self.audio

    @property
    def synthetic(self) -> bool:
        """Whether the recordings are synthetic examples."""
        return "synthetic" in self.origin

    @cached_property
    def config(self) -> AudioModalityConfig:
        """The configuration; its duration is the default for variable-length features."""
        return config_of_plan(self.audio, self.features, self.spectral)

    @property
    def settings(self) -> dict[str, object]:
        """The features, the preset and the configuration, for the report."""
        analysis = {} if self.spectral is None else {"preset": self.analysis_name}
        return {"features": ", ".join(self.features), **analysis, **self.audio}

    @property
    def analysis_name(self) -> str:
        """Description of the analysis: the preset with its options, or that there is none."""
        if self.preset is not None:
            return describe_preset(**self.preset)
        return _NO_PRESET if self.spectral is None else "a SpectralConfig"

    @cached_property
    def content(self) -> bytes:
        """The content of ``plan.json``."""
        return with_checksum({"format": PLAN_FORMAT, **attrs.asdict(self, recurse=False)})

    @cached_property
    def digest(self) -> str:
        """The SHA-256 at the end of ``plan.json``; sidecars repeat it."""
        return parse_with_checksum(self.content)[1]

    @cached_property
    def _merged_lengths(self) -> dict[int, int]:
        hop_length = self.config.hop_length
        lengths = (
            padding.padded_length(each["n_samples"], hop_length) for each in self.recordings if "n_samples" in each
        )
        return padding.merge_lengths(Counter(lengths), padding.MAX_EXTRA_PADDING)

    @cached_property
    def _length_counts(self) -> Counter[int]:
        return Counter(self.padded_length(each["n_samples"]) for each in self.recordings if "n_samples" in each)

    def padded_length(self, n_samples: int) -> int:
        """Return the length that a recording is padded to.

        Args:
            n_samples: Length of the recording in samples.

        Returns:
            The padded length in samples.
        """
        if not self.variable_length:
            return self.config.n_time_steps
        length = padding.padded_length(n_samples, self.config.hop_length)
        return self._merged_lengths.get(length, length)

    def batch_size_at(self, length: int) -> int:
        """Return how many recordings of a padded length are encoded in one batch.

        It depends on the plan only, so that every process compiles the same programs. It is at most the number of
        recordings of that length, so that a single long file is not padded to a full batch.

        Args:
            length: The padded length in samples.

        Returns:
            The number of recordings.
        """
        return max(1, min(self.batch_size, self._length_counts[length], _MAX_BATCH_SAMPLES // length))

    def failures(self) -> list[FailureRecord]:
        """Return the recordings whose headers could not be read."""
        return [
            FailureRecord(index=index, source=recording["source"], reason=recording["error"])
            for index, recording in enumerate(self.recordings)
            if "error" in recording
        ]

    def with_headers(self, backoff: Backoff) -> Plan:
        """Return the plan with the headers of its recordings.

        Args:
            backoff: How often to read a header again.

        Raises:
            AudioReadError: When a header cannot be read for a temporary reason.
        """
        if self.synthetic:
            return self
        headers = read_headers(self.recordings, self.config, variable_length=self.variable_length, backoff=backoff)
        return attrs.evolve(self, recordings=headers)

    def with_shards(self) -> Plan:
        """Return the plan, which has headers, with its recordings distributed over shards.

        Recordings of similar length are in one shard, so that batches are full. A batch never spans two shards, so that
        the bytes of a shard do not depend on which process writes it.
        """
        order = sorted(
            (self.padded_length(recording["n_samples"]), index)
            for index, recording in enumerate(self.recordings)
            if "n_samples" in recording
        )
        shards: list[list[int]] = []
        n_samples = 0
        for length, index in order:
            if not shards or len(shards[-1]) == self.shard_size or n_samples + length > _MAX_SHARD_SAMPLES:
                shards.append([])
                n_samples = 0
            shards[-1].append(index)
            n_samples += length
        return attrs.evolve(self, shards=[sorted(shard) for shard in shards])

    def reader(self, base: Path) -> Reader:
        """Return a function that reads a recording by its index.

        Args:
            base: The folder that relative paths are relative to.

        Returns:
            The reader.
        """
        if self.synthetic:
            return synthetic_reader(self.config, self.origin["synthetic"])
        return file_reader(self.recordings, base, self.config, variable_length=self.variable_length)

    def config_content(self) -> bytes:
        """Return the content of ``config.toml``."""
        representation = self.config.representation_name
        settings: dict[str, Any] = {"audio": dict(self.audio)}
        if representation == self.features[0]:
            settings["audio"] = {"representation": representation, **self.audio}
        if self.features != [representation]:
            settings = {"features": self.features, **settings}
        if self.preset is not None and not self.preset["options"]:
            settings["audio"]["spectral"] = self.preset["name"]
        elif self.preset is not None and None not in self.preset["options"].values():
            settings = {"preset": self.preset["name"], **settings, "preset_options": self.preset["options"]}
        elif self.spectral is not None:
            fields = {name: value for name, value in self.spectral.items() if value is not None}
            is_equal = spectral_settings(fields).to_dict() == self.spectral
            settings["audio"]["spectral"] = fields if is_equal else f"see {PLAN}: TOML has no None"
        table = format_table(CONFIG, {**settings, "source": self.origin, "software": self.software})
        comment = f"# Extracts the same features: artifex extract [AUDIO]... --config {CONFIG}\n"
        return (comment + table).encode("utf-8", "replace")


def create_plan(
    config: AudioModalityConfig,
    recordings: list[PlannedRecording],
    origin: dict[str, Any],
    *,
    features: list[str],
    preset: ResolvedPreset | None,
    labels: list[str],
    variable_length: bool,
    batch_size: int,
    shard_size: int | None,
) -> Plan:
    """Create a plan, without headers and shards; ``Plan.with_headers`` and ``Plan.with_shards`` add them.

    Args:
        config: The configuration; with a preset, that of ``config_with_preset``.
        recordings: The recordings.
        origin: As in ``Plan``.
        features: Names of the features.
        preset: The preset, or None.
        labels: The class names.
        variable_length: Whether each recording keeps its length.
        batch_size: Maximum number of recordings in a batch.
        shard_size: Maximum number of recordings in a shard; None results in about 64 shards of 32 to 1024 recordings.

    Returns:
        The plan.
    """
    audio = config.to_dict()
    del audio["representation"], audio["spectral"]
    if variable_length:
        del audio["duration"]
    if shard_size is None:
        # A multiple of 32, the default batch size, so that the last batch of a shard is full.
        batches = -(-len(recordings) // (_DEFAULT_SHARDS * _MIN_SHARD_SIZE))
        shard_size = min(_MAX_SHARD_SIZE, max(_MIN_SHARD_SIZE, batches * _MIN_SHARD_SIZE))
    return Plan(
        audio=audio,
        features=features,
        preset=None if preset is None else {"name": preset.name, "options": preset.options},
        spectral=spectral_table(config),
        pad_values={name: _pad_value(config, name) for name in features},
        components=component_records(features, preset),
        batch_size=batch_size,
        shard_size=shard_size,
        origin=origin,
        software=_software_versions(),
        recordings=recordings,
        labels=labels,
    )


def _pad_value(config: AudioModalityConfig, feature: str) -> float:
    if feature not in registry("representation"):
        return 0.0
    representation = AudioModality(config.evolve(representation=feature)).representation
    return float(getattr(representation, "pad_value", 0.0))


def class_names(recordings: list[PlannedRecording]) -> list[str]:
    """Return the class names of recordings, in the same order as those of ``AudioFileDataset``.

    Args:
        recordings: The recordings.

    Returns:
        The names.
    """
    labels = (recording["label"] for recording in recordings)
    return list(label_names(tuple(label) if isinstance(label, list) else label for label in labels))


def read_plan(folder: Path) -> Plan | None:
    """Read and verify the plan of a folder.

    Args:
        folder: The folder of an extraction.

    Returns:
        The plan, or None when there is none.

    Raises:
        ValueError: When it is damaged, or was written by another version of artifex in another format.
    """
    read = read_plan_table(folder)
    if read is None:
        return None
    table, _ = read
    return Plan(**table)


def _software_versions() -> dict[str, str]:
    versions = {name: installed_version(name) for name in ("artifex-audio", "artifex-spectral", "jax")}
    return {name: version for name, version in versions.items() if version}
