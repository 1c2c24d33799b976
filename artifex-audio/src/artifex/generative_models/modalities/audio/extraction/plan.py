"""The plan of an extraction: what is extracted how, and which recordings form which shard; the same for all processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs

from artifex.generative_models.core import registry
from artifex.generative_models.core.components.metadata import installed_version
from artifex.generative_models.modalities.audio.base import AudioModalityConfig
from artifex.generative_models.modalities.audio.datasets.manifest import label_names
from artifex.generative_models.modalities.audio.extraction import store
from artifex.generative_models.modalities.audio.extraction.recordings import (
    Reader,
    Row,
    file_reader,
    synthetic_reader,
    with_headers,
)

_FORMAT = 1
_SMALLEST_BUCKET = 16_384
_BATCH_SAMPLES = 1 << 22
_SHARD_SAMPLES = 1 << 25
# What a program is compiled in, log-mels of about so many samples are computed in: half an hour of audio.
_COMPILE_SAMPLES = 1 << 25
_SHARDS_WANTED = 64
_SHARD_ROWS = 32, 1024
_NAMED = 3


@attrs.frozen(kw_only=True, slots=False)
class Plan:
    """What is extracted, how, and in which shards.

    Args:
        audio: The configuration, as ``config.toml`` holds it; without a duration where each recording keeps its own.
        batch_size: The most recordings that are encoded at once.
        shard_size: The most recordings in a shard.
        origin: ``paths`` as they were given, or ``synthetic``, how many.
        software: Versions of what the values depend on.
        recordings: A row for each; see ``recordings.py``.
        shards: The indices of the recordings of each shard.
    """

    audio: dict[str, Any]
    batch_size: int
    shard_size: int
    origin: dict[str, Any]
    software: dict[str, str]
    recordings: list[Row]
    shards: list[list[int]] = attrs.field(factory=list)

    @property
    def whole(self) -> bool:
        """Whether each recording keeps its own length."""
        return "duration" not in self.audio

    @cached_property
    def config(self) -> AudioModalityConfig:
        """What the audio is like and what it is turned into."""
        return AudioModalityConfig.from_dict(self.audio)

    @property
    def labels(self) -> list[str]:
        """The labels, in the order of their numbers, which are those that ``AudioFileDataset`` gives."""
        return list(label_names(row["label"] for row in self.recordings))

    @cached_property
    def content(self) -> bytes:
        """The text of ``plan.json``."""
        table = {"format": _FORMAT, **attrs.asdict(self, recurse=False), "labels": self.labels}
        return store.sealed(table)

    @cached_property
    def digest(self) -> str:
        """The checksum that each sidecar repeats."""
        return store.unsealed(self.content)[1]

    @cached_property
    def _expected(self) -> Counter[int]:
        return Counter(self.length_of(row["n_samples"]) for row in self.recordings if "n_samples" in row)

    @cached_property
    def _padded(self) -> dict[int, int]:
        hop_length = self.config.hop_length
        lengths = [bucket_length(row["n_samples"], hop_length) for row in self.recordings if "n_samples" in row]
        return merged(Counter(lengths), _COMPILE_SAMPLES)

    def length_of(self, n_samples: int) -> int:
        """Return the length that a recording is padded to."""
        if not self.whole:
            return self.config.n_time_steps
        length = bucket_length(n_samples, self.config.hop_length)
        return self._padded.get(length, length)

    def rows(self, length: int) -> int:
        """Return how many recordings of a padded length are encoded at once.

        It depends on the plan alone, so that every process compiles the same programs, and no more than there are
        recordings of that length: one long file is not computed batch_size times.
        """
        return max(1, min(self.batch_size, self._expected[length], _BATCH_SAMPLES // length))

    def failures(self) -> list[dict[str, Any]]:
        """Return the recordings whose header cannot be read, as ``failures.jsonl`` holds them."""
        return [
            {"index": index, "source": row["source"], "reason": row["error"]}
            for index, row in enumerate(self.recordings)
            if "error" in row
        ]

    def with_shards(self) -> Plan:
        """Return the plan with headers read and shards formed.

        Recordings of like length stand together, so that batches are full, and no batch crosses from one shard to the
        next, so that a shard's bytes do not depend on who writes it and when.
        """
        ready = self
        if "synthetic" not in self.origin:
            ready = attrs.evolve(self, recordings=with_headers(self.recordings, self.config, whole=self.whole))
        lengths = [row.get("n_samples") for row in ready.recordings]
        order = sorted((ready.length_of(length), index) for index, length in enumerate(lengths) if length is not None)
        shards: list[list[int]] = []
        samples = 0
        for length, index in order:
            if not shards or len(shards[-1]) == self.shard_size or samples + length > _SHARD_SAMPLES:
                shards.append([])
                samples = 0
            shards[-1].append(index)
            samples += length
        return attrs.evolve(ready, shards=[sorted(shard) for shard in shards])

    def reader(self, base: Path) -> Reader:
        """Return what reads the recordings; relative paths start from ``base``."""
        if "synthetic" in self.origin:
            return synthetic_reader(self.config, self.origin["synthetic"])
        return file_reader(self.recordings, base, self.config, whole=self.whole)

    def config_text(self) -> str:
        """Return the text of ``config.toml``."""
        import tomli_w

        table = tomli_w.dumps({"audio": self.audio, "source": self.origin, "software": self.software})
        return f"# The same features again: artifex extract [AUDIO]... --config {store.CONFIG}\n{table}"


def asked(
    config: AudioModalityConfig,
    rows: list[Row],
    origin: dict[str, Any],
    *,
    whole: bool,
    batch_size: int,
    shard_size: int | None,
) -> Plan:
    """Return the plan as far as it follows from what was asked for: without headers and shards.

    Args:
        config: What the audio is like.
        rows: The recordings.
        origin: As ``Plan`` takes it.
        whole: Whether each recording keeps its own length.
        batch_size: The most recordings that are encoded at once.
        shard_size: The most recordings in a shard; None makes about 64 shards of 32 to 1024.

    Returns:
        The plan.
    """
    audio = config.to_dict()
    if whole:
        del audio["duration"]
    if shard_size is None:
        low, high = _SHARD_ROWS
        # Of whole batches, so that no batch is padded for the sake of a shard's end.
        shard_size = min(high, max(low, -(-len(rows) // (_SHARDS_WANTED * low)) * low))
    return Plan(
        audio=audio,
        batch_size=batch_size,
        shard_size=shard_size,
        origin=origin,
        software=_software(config.representation_name),
        recordings=rows,
    )


def read(out: Path) -> Plan | None:
    """Return the plan of a folder.

    Args:
        out: The folder of an extraction.

    Returns:
        The plan, or None where there is none.

    Raises:
        ValueError: When it is damaged, or of another version of artifex that wrote plans otherwise.
    """
    try:
        content = (out / store.PLAN).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        table, _ = store.unsealed(content)
    except ValueError as error:
        raise ValueError(f"{out / store.PLAN} is damaged: {error}") from error
    if table.pop("format", None) != _FORMAT:
        raise ValueError(f"{out / store.PLAN} was written by another version of artifex, in another format")
    del table["labels"]
    return Plan(**table)


def differences(there: Plan, here: Plan) -> list[str]:
    """Say in which ways what is asked for is not what a folder's plan says.

    Args:
        there: The folder's.
        here: What is asked for; its headers need not be read.

    Returns:
        A phrase for each difference.

    Example:
        >>> config = AudioModalityConfig(representation="raw_waveform")
        >>> options = {"whole": True, "batch_size": 32, "shard_size": None}
        >>> one, two = (asked(config.evolve(sample_rate=rate), [], {}, **options) for rate in (8000, 16000))
        >>> differences(one, two)
        ['sample_rate is 8000 there and 16000 here']
    """
    phrases = []
    for key in dict.fromkeys([*there.audio, *here.audio]):
        was, now = (_shown(key, plan.audio.get(key)) for plan in (there, here))
        if was != now:
            phrases.append(f"{key} is {was} there and {now} here")
    for name in dict.fromkeys([*there.software, *here.software]):
        was, now = (plan.software.get(name) or "(none)" for plan in (there, here))
        if was != now:
            phrases.append(f"it was begun with {name} {was}, this is {now}")
    if ("synthetic" in there.origin) != ("synthetic" in here.origin):
        return [*phrases, "one is of recordings, the other of synthetic sounds"]
    phrases += _other_recordings(there.recordings, here.recordings)
    if there.batch_size != here.batch_size:
        phrases.append(f"the batch size is {there.batch_size} there and {here.batch_size} here")
    if there.shard_size != here.shard_size and len(there.recordings) == len(here.recordings):
        phrases.append(f"the shard size is {there.shard_size} there and {here.shard_size} here")
    return phrases


def bucket_length(n_samples: int, hop_length: int) -> int:
    """Return the length that a recording is padded to: a power of two or one and a half of it, in whole hops.

    Args:
        n_samples: The recording's length.
        hop_length: Samples from one frame to the next.

    Returns:
        The length, less than one and a half of the recording's and a hop for any that is not short.

    Example:
        >>> [bucket_length(n, 256) for n in (1, 16_384, 16_385, 25_000, 100_000)]
        [16384, 16384, 24576, 32768, 131072]
    """
    size, step = _SMALLEST_BUCKET, 0
    while size < n_samples:
        size = size * 3 // 2 if step % 2 == 0 else size * 4 // 3
        step += 1
    return -(-size // hop_length) * hop_length


def merged(counts: Mapping[int, int], spare: int) -> dict[int, int]:
    """Return to which longer length each length is padded, so that few recordings do not cost a program of their own.

    Args:
        counts: How many recordings there are of each length.
        spare: The most samples of padding that a program is worth.

    Returns:
        For each length the same or a longer one.

    Example:
        >>> merged({16_384: 300, 24_576: 20, 1_000_000: 1}, 10_000_000)
        {16384: 24576, 24576: 24576, 1000000: 1000000}
    """
    padded: dict[int, int] = {}
    waiting: list[int] = []
    ordered = sorted(counts)
    for length, longer in zip(ordered, [*ordered[1:], None], strict=True):
        waiting.append(length)
        if longer is None or (longer - length) * sum(counts[each] for each in waiting) > spare:
            padded |= dict.fromkeys(waiting, length)
            waiting = []
    return padded


def _other_recordings(there: list[Row], here: list[Row]) -> list[str]:
    was, now = ({_name(row): row for row in rows} for rows in (there, here))
    both = [name for name in now if name in was]
    phrases = [
        _listed(names, what)
        for names, what in (
            ([name for name in now if name not in was], "not in it"),
            ([name for name in was if name not in now], "in it and no longer among the inputs"),
            (
                [name for name in both if _differ(was[name], now[name], "bytes", "modified")],
                "changed since it was begun",
            ),
            (
                [name for name in both if _differ(was[name], now[name], "id", "label")],
                "under another id or label in it",
            ),
        )
        if names
    ]
    if not phrases and list(was) != list(now):
        phrases.append("the recordings are the same in another order")
    return phrases


def _name(row: Row) -> str:
    return str(row["id"]) if row["source"].startswith("synthetic ") else str(row["source"])


def _differ(one: Row, other: Row, *keys: str) -> bool:
    return any(one.get(key) != other.get(key) for key in keys)


def _listed(names: list[str], verb: str) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    count = "1 recording is" if len(names) == 1 else f"{len(names)} recordings are"
    return f"{count} {verb} ({', '.join(names[:_NAMED])}{more})"


def _shown(key: str, value: Any) -> str:
    return "each recording's own" if key == "duration" and value is None else str(value)


def _software(representation: str) -> dict[str, str]:
    names = ["artifex-audio", "artifex-spectral", "jax"]
    installed = {name: version for name in names if (version := installed_version(name))}
    return installed | {
        claim.distribution: claim.version for claim in registry("representation").claims(representation)
    }
