"""The command ``artifex scan``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from artifex.generative_models.modalities.audio.datasets.scanning import ScanResult


def scan(
    audio: Annotated[
        list[str],
        typer.Argument(
            help="Folders, files or glob patterns of recordings, or manifests (also of Kaldi, NeMo, lhotse, Common Voice, "
            "LJSpeech, Hugging Face).",
            metavar="DIR...",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The manifest to write, a .jsonl file; datasets take it as manifest=FILE.",
            metavar="FILE",
            show_default="manifest.jsonl in DIR, or in the current folder for several",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing manifest.")] = False,
    label: Annotated[
        str | None,
        typer.Option(
            help="The label of a recording: folder, the name of its folder below DIR; stem, the file's name without suffix; "
            "or a regular expression, searched in the path below DIR, whose first group is the label.",
            metavar="REGEX|stem|folder",
            show_default="that in a manifest, else folder",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Assign recordings to splits of these fractions; all recordings of a group to the same split.",
            metavar="NAME=FRACTION,...",
            show_default=False,
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            help="The groups of --split: a column, such as speaker or label, or a regular expression, searched in the path "
            "below DIR.",
            metavar="COLUMN|REGEX",
            show_default="the file",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of --split.", show_default="0")] = None,
) -> None:
    """Decode recordings completely, print statistics, and write a manifest.

    Prints durations, sample rates, channels, formats, peaks, labels and splits, and writes one line per readable
    recording. If a manifest contains segments of recordings, only those segments are decoded.
    Unreadable files are listed with the reason; the exit code is then 1. Audio files that no reader decodes are listed as
    skipped.
    """
    from artifex.generative_models.core.cli.terminal import say
    from artifex.generative_models.core.errors import printable
    from artifex.generative_models.modalities.audio.commands.printing import progress_bar
    from artifex.generative_models.modalities.audio.datasets.manifests import (
        check_manifest_path,
        parse_fractions,
        write_manifest,
    )
    from artifex.generative_models.modalities.audio.datasets.scanning import scan as scan_recordings

    if split is None and (by is not None or seed is not None):
        raise ValueError(f"{'--by' if by is not None else '--seed'} requires --split, such as --split train=.9,test=.1")
    fractions = None if split is None else parse_fractions(split)
    if out is None:
        out = (Path(audio[0]) if len(audio) == 1 and Path(audio[0]).is_dir() else Path()) / "manifest.jsonl"
    check_manifest_path(out)
    if out.exists() and not overwrite:
        raise FileExistsError(f"{out} exists; replace it with --overwrite, or give another file with --out")
    with progress_bar("scanning") as show_progress:
        result = scan_recordings(audio, label=label, splits=fractions, by=by, seed=seed or 0, progress=show_progress)
    _print_result(result)
    if result.recordings:
        write_manifest(out, result.manifest())
        say(f"manifest: {printable(out)}")
    else:
        say("no recording can be read; no manifest was written")
    if result.problems:
        raise typer.Exit(1)


def _print_result(result: ScanResult) -> None:
    from artifex.generative_models.core.cli.terminal import say, table
    from artifex.generative_models.core.errors import printable
    from artifex.generative_models.modalities.audio.commands.printing import count
    from artifex.generative_models.modalities.audio.formatting import format_duration

    summary = result.summary()
    if result.recordings:
        durations, peaks = summary["duration"], summary["peak"]
        rows = [
            ("recordings", f"{summary['count']}, {format_duration(durations['total'] or 0.0)} in total"),
            ("duration", _format_range({key: format_duration(value or 0.0) for key, value in durations.items()})),
            ("sample rate", _format_counts({f"{rate} Hz": n for rate, n in summary["sample_rates"].items()})),
            ("channels", _format_counts(summary["n_channels"])),
            ("format", _format_counts(summary["formats"])),
            ("peak", _format_range({key: f"{value:.3f}" for key, value in peaks.items()})),
        ]
        for name, meaning, recordings in (
            ("clipped", "3 consecutive samples at full scale", [each for each in result.recordings if each.clipped]),
            ("silent", "peak below -80 dBFS", [each for each in result.recordings if each.silent]),
            ("DC offset", "mean beyond 0.01 of full scale", [each for each in result.recordings if each.has_dc]),
        ):
            if recordings:
                paths = ", ".join(printable(each.path) for each in recordings[:3]) + ", …" * (len(recordings) > 3)
                rows.append((name, f"{len(recordings)} ({meaning}): {paths}"))
            else:
                rows.append((name, "none"))
        labels = {printable(label): n for label, n in summary["labels"].items()}
        rows.append(("labels", _format_counts(labels) or "none"))
        if summary["splits"]:
            rows.append(("splits", _format_counts({printable(name): n for name, n in summary["splits"].items()})))
        table(rows)
    if result.problems:
        if result.recordings:
            say()
        say(f"{count(len(result.problems), 'file')} cannot be read:", "bold red")
        for problem in result.problems:
            say(str(problem), indent=2)
    if result.skipped:
        say(f"{count(len(result.skipped), 'file')} skipped:", "bold")
        for problem in result.skipped:
            say(str(problem), indent=2)
    say("")


def _format_range(values: Mapping[str, str]) -> str:
    return f"{values['min']} to {values['max']}, median {values['median']}"


def _format_counts(counts: Mapping[str, int] | Mapping[int, int], n_shown: int = 12) -> str:
    shown = [f"{name} ({number})" for name, number in list(counts.items())[:n_shown]]
    return ", ".join(shown) + (f", and {len(counts) - n_shown} more" if len(counts) > n_shown else "")
