"""Commands that work on recordings."""

from __future__ import annotations

import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from artifex.generative_models.modalities.audio.base import AudioModalityConfig
    from artifex.generative_models.modalities.audio.extraction import Extraction


def add_to(app: typer.Typer) -> None:
    """Add the commands of audio to the command line.

    Args:
        app: The command line.
    """
    app.command()(extract)


def extract(
    audio: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files and folders of recordings (wav, flac, ogg, opus, mp3, aiff); without any, synthetic sounds.",
            metavar="AUDIO",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder to write; it appears whole at the end, or not at all.")] = Path(
        "features"
    ),
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
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier extraction.")] = False,
    report: Annotated[bool, typer.Option(help="Write report.html.")] = True,
    examples: Annotated[int, typer.Option(help="How many examples the report shows and plays.")] = 6,
) -> None:
    """Turn recordings into training features, with a manifest and a report.

    Writes features/*.npy, manifest.jsonl, failures.jsonl, config.toml and report.html to a folder. Recordings
    that cannot be read are named at the end with the reason; the exit code is then 1.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from artifex.generative_models.modalities.audio import extraction

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
            overwrite=overwrite,
            report=report,
            n_examples=examples,
            progress=show,
        )
    finally:
        if bar.live.is_started:
            bar.stop()
    _tell(result, settings, report=report, seconds=time.perf_counter() - began)
    if result.failures:
        raise typer.Exit(1)


def _settings(file: Path | None, **given: Any) -> tuple[AudioModalityConfig, bool]:
    """Return the configuration and whether recordings keep their length: unless a duration is stated."""
    from artifex.generative_models.modalities.audio.base import AudioModalityConfig

    stated: dict[str, Any] = {"representation": "mel_spectrogram"}
    if file is not None:
        read = _plain(file)
        table = read["audio"] if isinstance(read.get("audio"), dict) else read
        try:
            AudioModalityConfig.from_dict(table)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
        stated |= table
    stated |= {key: value for key, value in given.items() if value is not None}
    return AudioModalityConfig.from_dict(stated), "duration" not in stated


def _plain(file: Path) -> dict[str, Any]:
    import yaml

    if file.suffix.lower() not in (".toml", ".yaml", ".yml"):
        raise ValueError(f"a configuration file ends in .toml, .yaml or .yml, got {str(file)!r}")
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"--config {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"--config {file} cannot be read: it is no text in UTF-8") from error
    try:
        read = tomllib.loads(text) if file.suffix.lower() == ".toml" else yaml.safe_load(text)
    except (tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{file} cannot be parsed: {error}") from error
    if read is not None and not isinstance(read, dict):
        raise ValueError(f"{file} holds {type(read).__name__}, not a table of settings")
    return read or {}


def _tell(result: Extraction, settings: AudioModalityConfig, *, report: bool, seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from artifex.generative_models.modalities.audio.extraction import REPORT

    console = Console()
    if result.failures:
        table = Table(title=f"{len(result.failures)} could not be extracted", title_justify="left")
        table.add_column("file", overflow="fold")
        table.add_column("reason", overflow="fold")
        for failure in result.failures:
            table.add_row(Text(_printable(failure.source)), Text(_printable(failure.reason)))
        console.print(table)
    if result.out is None:
        console.print("nothing could be extracted; nothing was written", soft_wrap=True)
        return
    length = sum(record["duration"] for record in result.records)
    console.print(
        f"{len(result.records)} recording{'s' * (len(result.records) != 1)}, {length:.1f} s of audio, as {settings.representation_name} "
        f"in {seconds:.1f} s: {result.out}",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )
    if report:
        console.print(f"report: {result.out / REPORT}", soft_wrap=True, markup=False, highlight=False)


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
