"""Describe how two plans differ, for the error when a folder contains another extraction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from artifex.generative_models.core.errors import printable
from artifex.generative_models.modalities.audio.extraction.features import FIELDS, ComponentRecord
from artifex.generative_models.modalities.audio.extraction.plan import Plan
from artifex.generative_models.modalities.audio.extraction.recordings import PlannedRecording

_MAX_NAMES = 3


def describe_differences(stored: Plan, requested: Plan) -> list[str]:
    """Describe how the plan of a folder differs from the requested one.

    Args:
        stored: The plan of the folder.
        requested: The requested plan; the headers of its recordings need not be read.

    Returns:
        One phrase per difference; empty when the plans agree.

    Example:
        >>> from artifex.generative_models.modalities.audio import AudioModalityConfig
        >>> from artifex.generative_models.modalities.audio.extraction.plan import create_plan
        >>> config = AudioModalityConfig(representation="raw_waveform")
        >>> options = {"variable_length": True, "batch_size": 32, "shard_size": None}
        >>> options |= {"features": ["raw_waveform"], "preset": None, "labels": []}
        >>> stored, requested = (create_plan(config.evolve(sample_rate=rate), [], {}, **options) for rate in (8000, 16000))
        >>> describe_differences(stored, requested)
        ['sample_rate is 8000 in the folder, 16000 was requested']
    """
    phrases = [
        f"the {name} is {was} in the folder, {now} was requested"
        for name, was, now in (
            ("list of features", _join(stored.features), _join(requested.features)),
            ("preset", _preset(stored), _preset(requested)),
            ("split", stored.origin.get("split", "(all)"), requested.origin.get("split", "(all)")),
        )
        if was != now
    ]
    same_preset = _preset(stored) == _preset(requested)
    phrases += [
        f"{setting} is {was} in the folder, {now} was requested"
        for setting, was, now in _compare(stored.audio, requested.audio, "variable")
        if same_preset or setting not in FIELDS
    ]
    if same_preset:
        phrases += [
            f"{setting} of the preset is {was} in the folder, {now} in the installed one"
            for setting, was, now in _compare(stored.spectral or {}, requested.spectral or {}, "(none)")
            if setting not in FIELDS.values()  # among those of ``audio``
        ]
    phrases += [
        f"the folder was written with {name} {was}, {now} is installed"
        for name, was, now in _compare(stored.software, requested.software, "(none)")
    ]
    phrases += _differing_components(stored, requested)
    if stored.synthetic != requested.synthetic:
        kinds = ["synthetic examples" if plan.synthetic else "recordings" for plan in (stored, requested)]
        return [*phrases, f"the folder contains features of {kinds[0]}, {kinds[1]} were requested"]
    differing = _differing_recordings(stored.recordings, requested.recordings)
    if stored.labels != requested.labels and not differing:  # of the recordings of other splits
        phrases.append(
            f"the classes are {_join(stored.labels)} in the folder, {_join(requested.labels)} among the inputs"
        )
    phrases += differing
    if stored.batch_size != requested.batch_size:
        phrases.append(f"the batch size is {stored.batch_size} in the folder, {requested.batch_size} was requested")
    # The default shard size follows from the number of recordings: with other recordings it is not a second difference.
    if stored.shard_size != requested.shard_size and len(stored.recordings) == len(requested.recordings):
        phrases.append(f"the shard size is {stored.shard_size} in the folder, {requested.shard_size} was requested")
    return phrases


def _compare(
    stored: Mapping[str, object], requested: Mapping[str, object], missing: str
) -> list[tuple[str, object, object]]:
    """Return the keys whose values differ, with both values; ``missing`` stands for a value that is not there."""
    pairs = [(key, stored.get(key, missing), requested.get(key, missing)) for key in {**stored, **requested}]
    return [(key, was, now) for key, was, now in pairs if was != now]


def _differing_components(stored: Plan, requested: Plan) -> list[str]:
    """Describe components that another distribution or version provides; versions in ``software`` are not repeated."""
    was = {(each["kind"], each["name"]): each for each in stored.components}
    return [
        f"the {kind} {name!r} was that of {_provider(was[kind, name])}, now it is that of {_provider(now)}"
        for kind, name, now in ((each["kind"], each["name"], each) for each in requested.components)
        if was.get((kind, name), now) != now
        and not (was[kind, name]["distribution"] == now["distribution"] and now["distribution"] in requested.software)
    ]


def _provider(component: ComponentRecord) -> str:
    return printable(f"{component['distribution']} {component['version']}".rstrip())


def _preset(plan: Plan) -> str:
    return printable(plan.analysis_name)


def _join(names: Iterable[str]) -> str:
    return ", ".join(map(printable, names)) or "(none)"


def _differing_recordings(stored: list[PlannedRecording], requested: list[PlannedRecording]) -> list[str]:
    was, now = _by_key(stored), _by_key(requested)
    common = [key for key in now if key in was]
    changed = [key for key in common if _file_version(was[key]) != _file_version(now[key])]
    renamed = [key for key in common if _name(was[key]) != _name(now[key])]
    phrases = [
        _count_and_name(keys, description)
        for keys, description in (
            ([key for key in now if key not in was], "new"),
            ([key for key in was if key not in now], "in the folder but not among the inputs"),
            (changed, "changed since the extraction was started"),
            (renamed, "with another id, label, split or annotation in the folder"),
        )
        if keys
    ]
    if not phrases and list(was) != list(now):
        phrases.append("the recordings are in another order")
    return phrases


def _by_key(recordings: list[PlannedRecording]) -> dict[str, PlannedRecording]:
    """Return recordings by their description, numbered where several have the same, such as rows of one manifest."""
    keyed: dict[str, PlannedRecording] = {}
    counts: Counter[str] = Counter()
    for recording in recordings:
        key = _key(recording)
        counts[key] += 1
        keyed[f"{key} ({counts[key]})" if counts[key] > 1 else key] = recording
    return keyed


def _key(recording: PlannedRecording) -> str:
    if recording["source"].startswith("synthetic "):
        return recording["id"]
    start, end = recording.get("start", 0.0), recording.get("end")
    segment = f" from {start:g} s to {'its end' if end is None else f'{end:g} s'}" if start or end is not None else ""
    return f"{recording['source']}{segment}"


def _file_version(recording: PlannedRecording) -> tuple[int | None, int | None]:
    return recording.get("bytes"), recording.get("modified")


def _name(recording: PlannedRecording) -> tuple[object, ...]:
    return recording["id"], recording["label"], recording.get("split"), recording.get("annotations")


def _count_and_name(names: list[str], description: str) -> str:
    count = "1 recording is" if len(names) == 1 else f"{len(names)} recordings are"
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return f"{count} {description} ({', '.join(map(printable, names[:_MAX_NAMES]))}{more})"
