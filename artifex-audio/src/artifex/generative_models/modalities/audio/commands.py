"""Commands that work on recordings."""

from __future__ import annotations

import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from artifex.generative_models.modalities.audio.base import AudioModalityConfig
    from artifex.generative_models.modalities.audio.datasets.scan import ScanResult
    from artifex.generative_models.modalities.audio.extraction import Extraction, Share


def add_to(app: typer.Typer) -> None:
    """Add the commands of audio to the command line.

    Args:
        app: The command line.
    """
    app.command()(extract)
    app.command()(scan)
    app.command()(augment)


def extract(
    audio: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files and folders of recordings (wav, flac, ogg, opus, mp3, aiff); without any, synthetic sounds.",
            metavar="AUDIO",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="The folder to write, or to go on with after a stop; it is complete with its manifest.")
    ] = Path("features"),
    representation: Annotated[
        str | None,
        typer.Option(
            help="What to compute; `artifex list representation` names those installed.",
            show_default="mel_spectrogram",
        ),
    ] = None,
    sample_rate: Annotated[
        int | None,
        typer.Option(help="Rate that everything is resampled to, Hz.", show_default="16000"),
    ] = None,
    duration: Annotated[
        float | None,
        typer.Option(
            help="Keep the first SECONDS of each recording and pad shorter ones with silence, so that all "
            "features have one shape. Without it each recording keeps its own length.",
            metavar="SECONDS",
            show_default=False,
        ),
    ] = None,
    n_fft: Annotated[int | None, typer.Option(help="Samples in a frame.", show_default="1024")] = None,
    hop_length: Annotated[
        int | None,
        typer.Option(help="Samples from one frame to the next.", show_default="256"),
    ] = None,
    n_mels: Annotated[int | None, typer.Option(help="Mel bands.", show_default="80")] = None,
    normalize: Annotated[
        bool | None,
        typer.Option(
            "--normalize/--no-normalize",
            help="Bring each recording's peak to full scale first.",
            show_default="normalize",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="The most recordings that are encoded at once.")] = 32,
    config: Annotated[
        Path | None,
        typer.Option(
            help="A TOML or YAML file of these settings, under the names of AudioModalityConfig, at its top "
            "or in a table 'audio'; what is given on the command line counts more.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(help="How many synthetic sounds to make when no AUDIO is given.", show_default="30"),
    ] = None,
    shard_size: Annotated[
        int | None,
        typer.Option(
            help="The most recordings in a shard, which is what a stop can lose.",
            show_default="about 64 shards of 32 to 1024",
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            help="Do part I of N of the shards, counted from 0; other processes do the other parts, at any time.",
            metavar="I/N",
            show_default="what SLURM, Kubernetes, Open MPI or JAX's variables say, else all",
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            help="Where the shards are made: local, this process; ray, a Ray cluster that sees the same files."
        ),
    ] = "local",
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace an earlier extraction that was made otherwise or of other files."),
    ] = False,
    report: Annotated[bool, typer.Option(help="Write report.html.")] = True,
    examples: Annotated[int, typer.Option(help="How many examples the report shows and plays.")] = 6,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Make nothing: check every byte of the extraction in AUDIO, or else in --out, and say what is wrong.",
        ),
    ] = False,
) -> None:
    """Turn recordings into training features, with a manifest and a report.

    Writes shards of features, config.toml, manifest.jsonl, failures.jsonl and report.html to a folder. Stopped at any
    point, the same command goes on from the last whole shard; when all is there, it has nothing left to do. Recordings
    that cannot be read are named at the end with the reason; the exit code is then 1.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from artifex.generative_models.modalities.audio import extraction
    from artifex.generative_models.modalities.audio.io import AudioReadError

    if verify:
        _verify(audio or [], out)
        return
    if audio and samples is not None:
        raise ValueError("--samples is for the synthetic sounds; leave it out when you name recordings")
    settings, whole = _settings(
        config,
        representation=representation,
        sample_rate=sample_rate,
        duration=duration,
        n_fft=n_fft,
        hop_length=hop_length,
        n_mel_channels=n_mels,
        normalize=normalize,
    )
    share = extraction.parsed_share(shard) if shard is not None else None
    if share is None and engine == "local":
        share = extraction.share_of_environment()
    bar = Progress(
        TextColumn("extracting"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task("extracting", total=None)

    def show(done: int, total: int) -> None:
        bar.start()
        bar.update(task, completed=done, total=total)

    began = time.perf_counter()
    try:
        result = extraction.extract(
            audio or [],
            out,
            config=settings,
            whole=whole,
            n_synthetic=30 if samples is None else samples,
            batch_size=batch_size,
            shard_size=shard_size,
            share=share,
            engine=engine,
            overwrite=overwrite,
            report=report,
            n_examples=examples,
            progress=show,
        )
    except AudioReadError as error:
        bar.stop()
        Console(stderr=True).print(f"artifex: {error}", soft_wrap=True, markup=False, highlight=False)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        bar.stop()
        Console(stderr=True).print("stopped; what is whole stays, the same command goes on from there", soft_wrap=True)
        raise
    finally:
        if bar.live.is_started:
            bar.stop()
    _tell(result, settings, share, report=report, seconds=time.perf_counter() - began)
    if result.failures:
        raise typer.Exit(1)


def scan(
    audio: Annotated[
        list[str],
        typer.Argument(
            help="Folders and files of recordings, or patterns (wav, flac, ogg, opus, mp3, aiff).", metavar="DIR..."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The manifest to write, a .jsonl; datasets take it as manifest=FILE.",
            metavar="FILE",
            show_default="manifest.jsonl in DIR, or here when there are several",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier manifest.")] = False,
) -> None:
    """Decode recordings from end to end, say what is there, and list them in a manifest.

    Prints durations, rates, channels, formats, peaks and labels, and writes a line for each recording that can be read.
    Those that cannot are named with the reason; the exit code is then 1.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from artifex.generative_models.core.cli.terminal import say
    from artifex.generative_models.modalities.audio.datasets.manifest import check_manifest_path, write_manifest
    from artifex.generative_models.modalities.audio.datasets.scan import scan as scan_recordings

    if out is None:
        out = (Path(audio[0]) if len(audio) == 1 and Path(audio[0]).is_dir() else Path()) / "manifest.jsonl"
    check_manifest_path(out)
    if out.exists() and not overwrite:
        raise FileExistsError(f"{out} is there already; --overwrite replaces it, --out names another place")
    with Progress(
        TextColumn("scanning"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=(errors := Console(stderr=True)),
        transient=True,
        disable=not errors.is_terminal,
    ) as bar:
        task = bar.add_task("scanning", total=None)
        found = scan_recordings(audio, progress=lambda done, total: bar.update(task, completed=done, total=total))
    _show(found)
    if found.recordings:
        write_manifest(out, found.rows())
        say(f"manifest: {_printable(str(out))}")
    else:
        say("nothing can be read; no manifest was written")
    if found.problems:
        raise typer.Exit(1)


def augment(
    audio: Annotated[Path, typer.Argument(help="A recording (wav, flac, ogg, opus, mp3, aiff).", metavar="FILE")],
    policy: Annotated[
        str | None,
        typer.Option(
            help="A TOML or YAML file of a policy, or the name of one augmentation.",
            metavar="POLICY",
            show_default="that of augment_audio",
        ),
    ] = None,
    draws: Annotated[int, typer.Option(help="How many times the policy is applied, each time with another draw.")] = 4,
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("augmented"),
    seed: Annotated[int, typer.Option(help="Decides the draws.")] = 0,
    sample_rate: Annotated[
        int | None, typer.Option(help="Rate to resample to first, Hz.", show_default="the recording's")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
) -> None:
    """Hear and see what a policy makes of a recording.

    Writes the audio of each draw, a picture of it before and after, and a .draws.json of the parameters drawn. The exit
    code is 1 when the recording cannot be read.
    """
    from artifex.generative_models.core.cli.terminal import say, table
    from artifex.generative_models.core.extras import require

    require("matplotlib", install="artifex-audio[plot]", purpose="Drawing what a policy does")
    from artifex.generative_models.modalities.audio.io import AudioReadError
    from artifex.generative_models.modalities.audio.listening import audition, sentences

    try:
        made = audition(
            audio,
            _policy(policy),
            out,
            draws=draws,
            seed=seed,
            sample_rate=sample_rate,
            overwrite=overwrite,
        )
    except AudioReadError as error:
        typer.echo(f"artifex: {error}", err=True)
        raise typer.Exit(1) from error
    for row in made:
        say(_printable(str(out / row["audio"])), "bold")
        table([tuple(phrase.split(": ", 1)) for phrase in sentences(row["drawn"])] or [("nothing was applied",)])
    say("")
    say(f"pictures beside them; what was drawn: {_printable(str(out / f'{audio.stem}.draws.json'))}")


def _policy(given: str | None) -> Any:
    from artifex.generative_models.modalities.audio.augmentations.policies import default_policy

    if given is None:
        return default_policy()
    return _plain(Path(given), "--policy") if Path(given).suffix else given


def _show(found: ScanResult) -> None:
    from artifex.generative_models.core.cli.terminal import say, table

    facts = found.summary()
    if found.recordings:
        durations, peaks = facts["duration"], facts["peak"]
        rows = [
            ("recordings", f"{facts['count']}, {_length(durations['total'])} in all"),
            ("duration", _range({key: _length(value) for key, value in durations.items()})),
            ("sample rate", _listed({f"{rate} Hz": count for rate, count in facts["sample_rates"].items()})),
            ("channels", _listed(facts["n_channels"])),
            ("format", _listed(facts["formats"])),
            ("peak", _range({key: f"{value:.3f}" for key, value in peaks.items()})),
        ]
        for name, meaning, chosen in (
            ("clipped", "3 samples in a row at full scale", [each for each in found.recordings if each.clipped]),
            ("silent", "peak below -80 dB", [each for each in found.recordings if each.silent]),
            ("off zero", "mean beyond 0.01 of full scale", [each for each in found.recordings if each.offset]),
        ):
            if chosen:
                named = ", ".join(_printable(each.path) for each in chosen[:3]) + ", …" * (len(chosen) > 3)
                rows.append((name, f"{len(chosen)} ({meaning}): {named}"))
            else:
                rows.append((name, "none"))
        rows.append(("labels", _listed({_printable(label): count for label, count in facts["labels"].items()})))
        table(rows)
    if found.problems:
        count = len(found.problems)
        say("", skip=not found.recordings)
        say(f"{count} {'file' if count == 1 else 'files'} cannot be read:", "bold red")
        for problem in found.problems:
            say(f"{_printable(problem.path)}: {problem.reason}", indent=2)
    say("")


def _range(values: dict[str, str]) -> str:
    return f"{values['min']} to {values['max']}, median {values['median']}"


def _listed(counts: dict[str, int], most: int = 12) -> str:
    shown = [f"{name} ({count})" for name, count in list(counts.items())[:most]]
    return ", ".join(shown) + (f", and {len(counts) - most} more" if len(counts) > most else "")


def _length(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _settings(file: Path | None, **given: Any) -> tuple[AudioModalityConfig, bool]:
    """Return the configuration and whether recordings keep their length: unless a duration is stated."""
    from artifex.generative_models.modalities.audio.base import AudioModalityConfig

    stated: dict[str, Any] = {"representation": "mel_spectrogram"}
    if file is not None:
        read = _plain(file, "--config")
        table = read["audio"] if isinstance(read.get("audio"), dict) else read
        try:
            AudioModalityConfig.from_dict(table)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
        stated |= table
    stated |= {key: value for key, value in given.items() if value is not None}
    return AudioModalityConfig.from_dict(stated), "duration" not in stated


def _plain(file: Path, option: str) -> dict[str, Any]:
    import yaml

    if file.suffix.lower() not in (".toml", ".yaml", ".yml"):
        raise ValueError(f"the file of {option} ends in .toml, .yaml or .yml, got {str(file)!r}")
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{option} {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{option} {file} cannot be read: it is no text in UTF-8") from error
    try:
        read = tomllib.loads(text) if file.suffix.lower() == ".toml" else yaml.safe_load(text)
    except (tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{file} cannot be parsed: {error}") from error
    if read is not None and not isinstance(read, dict):
        raise ValueError(f"{file} holds {type(read).__name__}, not a table of settings")
    return read or {}


def _tell(
    result: Extraction, settings: AudioModalityConfig, share: Share | None, *, report: bool, seconds: float
) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from artifex.generative_models.core.cli.terminal import say

    if result.failures:
        table = Table(title=f"{len(result.failures)} could not be extracted", title_justify="left")
        table.add_column("file", overflow="fold")
        table.add_column("reason", overflow="fold")
        for failure in result.failures:
            table.add_row(Text(_printable(failure["source"])), Text(_printable(failure["reason"])))
        Console().print(table)
    if result.out is None:
        say("nothing could be extracted; nothing was written")
        return
    if share is not None and share.count > 1:
        by = "" if share.origin == "--shard" else f", as {share.origin} says; --shard 0/1 would do all"
        say(f"part {share.index}/{share.count} of {_count(result.shards, 'shard')}{by}")
    length = sum(record["duration"] for record in result.records)
    made = f"{_count(len(result.records), 'recording')}, {length:.1f} s of audio, as {settings.representation_name}"
    if result.missing:
        say(f"{made} in {_count(result.written, 'shard')} written in {seconds:.1f} s: {_printable(str(result.out))}")
        say(
            f"{_count(len(result.missing), 'shard')} of {result.shards} still missing: who writes the last of them writes "
            f"the manifest and the report"
        )
        return
    if result.written:
        earlier = result.shards - result.written
        rest = f" ({_count(earlier, 'shard')} of {result.shards} {'was' if earlier == 1 else 'were'} there)" * bool(
            earlier
        )
        say(f"{made} in {seconds:.1f} s{rest}: {_printable(str(result.out))}")
    else:
        say(f"nothing left to do, all is there: {made}: {_printable(str(result.out))}")
    if not result.records:
        say(f"nothing could be extracted; {_printable(str(result.out / 'failures.jsonl'))} says why")
    elif report:
        say(f"report: {_printable(str(result.out / 'report.html'))}")


def _verify(given: list[Path], out: Path) -> None:
    from artifex.generative_models.core.cli.terminal import say
    from artifex.generative_models.modalities.audio import extraction

    if len(given) > 1:
        raise ValueError(f"--verify checks one folder, got {len(given)}")
    folder = given[0] if given else out
    found = extraction.verify(folder)
    for problem in found.problems:
        say(_printable(f"{folder / problem.file}: {problem.what}"))
    if found.problems:
        say(f"{_count(len(found.problems), 'problem')} in {folder}")
        raise typer.Exit(1)
    failed = f", {found.failures} could not be extracted" if found.failures else ""
    say(
        f"{folder} is as it was written: {_count(found.records, 'recording')} in {_count(found.shards, 'shard')}{failed}"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
