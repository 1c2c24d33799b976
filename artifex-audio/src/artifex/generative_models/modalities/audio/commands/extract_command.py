"""The command ``artifex extract``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import typer

if TYPE_CHECKING:
    from artifex.generative_models.modalities.audio.base import AudioModalityConfig
    from artifex.generative_models.modalities.audio.extraction import Extraction, ShardAssignment, Verification
    from artifex.generative_models.modalities.audio.extraction.features import Preset

_DEFAULT_SYNTHETIC = 30
_MAX_NAMES = 12
_TABLES = {"features": list, "preset": str, "preset_options": dict}


def extract(
    audio: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files and folders of recordings (wav, flac, ogg, opus, mp3, aiff), and manifests, whose segments are "
            "extracted as segments; omit for synthetic examples.",
            metavar="AUDIO",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="The output folder, created or resumed. It is complete when it has a manifest.")
    ] = Path("features"),
    representation: Annotated[
        str | None,
        typer.Option(
            help="The representation to compute; `artifex list representation` lists the installed ones.",
            show_default="mel_spectrogram; with a preset, log_mel_spectrogram",
        ),
    ] = None,
    feature: Annotated[
        list[str] | None,
        typer.Option(
            help="A feature to compute instead: a representation, or a feature of artifex-spectral such as mfcc, chroma or "
            "spectral_centroid. Repeat it for several, which are stored together; each recording is decoded once.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="A preset that reproduces another tool, such as whisper or kaldi; `artifex list preset` lists them. It "
            "determines the sample rate and all settings; --n-fft, --hop-length and --n-mels change it. Recordings are not "
            "normalized unless --normalize is given.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Extract only this split of a manifest. Classes are those of all splits.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    sample_rate: Annotated[
        int | None,
        typer.Option(
            help="Sample rate in Hz; recordings are resampled to it.", show_default="16000, or that of the preset"
        ),
    ] = None,
    duration: Annotated[
        float | None,
        typer.Option(
            help="Use the first SECONDS of each recording and zero-pad shorter ones, so that all features have one "
            "shape. Without it each recording keeps its length.",
            metavar="SECONDS",
            show_default=False,
        ),
    ] = None,
    n_fft: Annotated[
        int | None, typer.Option(help="FFT and frame length in samples.", show_default="1024, or that of the preset")
    ] = None,
    hop_length: Annotated[
        int | None, typer.Option(help="Hop length in samples.", show_default="256, or that of the preset")
    ] = None,
    n_mels: Annotated[
        int | None, typer.Option(help="Number of mel bands.", show_default="80, or that of the preset")
    ] = None,
    normalize: Annotated[
        bool | None,
        typer.Option(
            "--normalize/--no-normalize",
            help="Normalize each recording to a peak of full scale first, by at most 60 dB.",
            show_default="normalize; with a preset, no-normalize",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Maximum number of recordings in a batch.")] = 32,
    config: Annotated[
        Path | None,
        typer.Option(
            help="A TOML or YAML file of these settings, under the names of AudioModalityConfig, at the top level or in "
            "a table 'audio', and of features, preset and preset_options. Options on the command line take precedence.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    n_synthetic: Annotated[
        int | None,
        typer.Option(help="Number of synthetic examples when no AUDIO is given.", show_default=str(_DEFAULT_SYNTHETIC)),
    ] = None,
    shard_size: Annotated[
        int | None,
        typer.Option(
            help="Maximum number of recordings in a shard. An interruption loses only shards in progress.",
            show_default="about 64 shards of 32 to 1024",
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            help="Write the shards of process I of N, with I from 0: every N-th shard, starting with shard I. The other "
            "processes may run at any time.",
            metavar="I/N",
            show_default="from the variables of SLURM, Kubernetes, Open MPI or JAX, else all shards",
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            help="Where shards are computed: local, this process; ray, a Ray cluster with a shared file system."
        ),
    ] = "local",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an extraction with other settings or of other recordings.")
    ] = False,
    retry_failures: Annotated[
        bool,
        typer.Option("--retry-failures", help="Read the recordings again that could not be extracted before."),
    ] = False,
    retries: Annotated[
        int,
        typer.Option(
            min=0,
            help="How often to read a recording again after a fault that may be temporary, such as an unavailable network "
            "drive; after 1, 2, 4, … 60 s. Then the command stops, and the same command resumes.",
        ),
    ] = 0,
    allow_failures: Annotated[
        str,
        typer.Option(
            help="Exit with 0 although up to N recordings could not be extracted; all: any number, if at least one was "
            "extracted.",
            metavar="N|all",
        ),
    ] = "0",
    report: Annotated[bool, typer.Option(help="Write report.html.")] = True,
    examples: Annotated[int, typer.Option(min=0, help="Number of examples in the report.")] = 6,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Extract nothing; verify every byte of the extraction in AUDIO, or in --out, summarize it and list the "
            "problems.",
        ),
    ] = False,
) -> None:
    """Extract features from recordings, with a manifest and a report.

    Writes shards of features, config.toml, manifest.jsonl, failures.jsonl and report.html to a folder. After an
    interruption, the same command resumes with the first shard that is not committed. Recordings that cannot be read are
    listed at the end with the reason; the exit code is then 1, unless --allow-failures permits them. A fault that may be
    temporary, such as an unavailable network drive or too little memory, is not a reason: the command stops with exit code
    2, and the same command resumes.
    """
    from artifex.generative_models.core.cli.terminal import say
    from artifex.generative_models.modalities.audio import extraction
    from artifex.generative_models.modalities.audio.commands.printing import progress_bar

    if verify:
        _verify(audio or [], out)
        return
    if audio and n_synthetic is not None:
        raise ValueError("--n-synthetic is for synthetic examples only; omit it when you give recordings")
    allowed = _parse_allowed(allow_failures)
    if representation is not None and feature:
        raise ValueError("--representation and --feature must not be combined; repeat --feature for several features")
    settings = _read_settings(
        config,
        features=[representation] if representation is not None else feature or None,
        preset=preset,
        sample_rate=sample_rate,
        duration=duration,
        n_fft=n_fft,
        hop_length=hop_length,
        n_mel_channels=n_mels,
        normalize=normalize,
    )
    assignment = extraction.parse_assignment(shard) if shard is not None else None
    if assignment is None and engine == "local":
        assignment = extraction.assignment_from_environment()
    start = time.perf_counter()
    try:
        with progress_bar("extracting") as show_progress:
            result = extraction.extract(
                audio or [],
                out,
                config=settings.config,
                preset=settings.preset,
                features=settings.features,
                split=split,
                variable_length=settings.variable_length,
                n_synthetic=_DEFAULT_SYNTHETIC if n_synthetic is None else n_synthetic,
                batch_size=batch_size,
                shard_size=shard_size,
                assignment=assignment,
                engine=engine,
                overwrite=overwrite,
                retry_failures=retry_failures,
                retries=retries,
                report=report,
                n_report_examples=examples,
                progress=show_progress,
            )
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command resumes the extraction", err=True)
        raise
    _print_result(result, settings, assignment, report=report, seconds=time.perf_counter() - start)
    if (allowed is not None and len(result.failures) > allowed) or (result.failures and not result.records):
        raise typer.Exit(1)
    if result.failures:
        say(f"--allow-failures {allow_failures} permits this: the exit code is 0")


@attrs.frozen(kw_only=True)
class _Settings:
    """The settings of an extraction, of the command line and the file."""

    config: AudioModalityConfig
    preset: tuple[str, Mapping[str, object]] | None
    features: list[str]
    variable_length: bool

    def description(self) -> str:
        """Return the features, and the preset with its changes."""
        from artifex.generative_models.modalities.audio.extraction.features import describe_preset

        if self.preset is None:
            return ", ".join(self.features)
        return f"{', '.join(self.features)} of the preset {describe_preset(*self.preset)}"


def _read_settings(file: Path | None, *, features: list[str] | None, preset: str | None, **options: Any) -> _Settings:
    """Return the settings; features are variable-length unless a duration is given."""
    from artifex.generative_models.modalities.audio.base import AudioModalityConfig
    from artifex.generative_models.modalities.audio.commands.option_files import read_option_file
    from artifex.generative_models.modalities.audio.extraction.features import override_preset

    settings: dict[str, Any] = {}
    tables: dict[str, Any] = {}
    if file is not None:
        table = read_option_file(file, "--config")
        tables = {name: table.pop(name) for name in _TABLES if name in table}
        misplaced = {name: value for name, value in tables.items() if not isinstance(value, _TABLES[name])}
        for name, value in misplaced.items():
            raise ValueError(f"{file}: {name} must be a {_TABLES[name].__name__}, got {value!r}")
        if isinstance(table.get("audio"), dict):
            table = table["audio"]
        try:
            AudioModalityConfig.from_dict(table)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
        settings |= table
    settings |= {key: value for key, value in options.items() if value is not None}
    representation = settings.pop("representation", None)
    spectral = settings.pop("spectral", None)
    variable_length = "duration" not in settings
    features = features or tables.get("features") or ([representation] if representation is not None else None)
    chosen: Preset | None = preset
    if chosen is None and "preset" in tables:
        chosen = tables["preset"], tables.get("preset_options", {})
    elif chosen is None and isinstance(spectral, str):
        chosen = spectral
    if chosen is None:
        if spectral is not None:
            settings = {"normalize": False, **settings, "spectral": spectral}
        default = "mel_spectrogram" if spectral is None else "log_mel_spectrogram"
        config = AudioModalityConfig.from_dict(settings)
        return _Settings(config=config, preset=None, features=features or [default], variable_length=variable_length)
    found = override_preset(chosen, settings)
    kept = {key: value for key, value in settings.items() if key not in found.fields}
    config = AudioModalityConfig.from_dict({"normalize": False, **kept})
    return _Settings(
        config=config,
        preset=(found.name, found.options),
        features=features or ["log_mel_spectrogram"],
        variable_length=variable_length,
    )


def _parse_allowed(text: str) -> int | None:
    """Return the maximum number of failures, None for any number."""
    if text == "all":
        return None
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"--allow-failures must be a number of recordings or 'all', got {text!r}")
    return int(text)


def _print_result(
    result: Extraction,
    settings: _Settings,
    assignment: ShardAssignment | None,
    *,
    report: bool,
    seconds: float,
) -> None:
    from artifex.generative_models.core.cli.terminal import say, table
    from artifex.generative_models.core.errors import printable
    from artifex.generative_models.modalities.audio.commands.printing import count

    if result.failures:
        say(f"{count(len(result.failures), 'recording')} could not be extracted:", "bold red")
        table([(printable(failure["source"]), printable(failure["reason"])) for failure in result.failures])
        say("")
    if result.out is None:
        say("no recording could be extracted; nothing was written")
        return
    if assignment is not None and assignment.count > 1:
        source = "" if assignment.origin == "--shard" else f" (from {assignment.origin}; --shard 0/1 writes all shards)"
        say(f"process {assignment.index} of {assignment.count}, {count(result.n_shards, 'shard')} in total{source}")
    duration = sum(record["duration"] for record in result.records)
    extracted = f"{count(len(result.records), 'recording')}, {duration:.1f} s of audio, as {settings.description()}"
    folder = printable(result.out)
    if result.missing:
        say(f"{extracted}: {count(result.n_written, 'shard')} written in {seconds:.1f} s to {folder}")
        say(
            f"{len(result.missing)} of {count(result.n_shards, 'shard')} missing; the process that writes the last one "
            f"writes the manifest and the report"
        )
        return
    if result.n_written:
        earlier = result.n_shards - result.n_written
        resumed = f" ({earlier} of {count(result.n_shards, 'shard')} already written)" if earlier else ""
        say(f"{extracted}: written in {seconds:.1f} s to {folder}{resumed}")
    else:
        say(f"already complete: {extracted}: {folder}")
    if not result.records:
        say(f"no recording could be extracted; see {printable(result.out / 'failures.jsonl')}")
    elif report:
        say(f"report: {printable(result.out / 'report.html')}")


def _verify(folders: list[Path], out: Path) -> None:
    from artifex.generative_models.core.cli.terminal import say, table
    from artifex.generative_models.core.errors import printable
    from artifex.generative_models.modalities.audio import extraction
    from artifex.generative_models.modalities.audio.commands.printing import count

    if len(folders) > 1:
        raise ValueError(f"--verify takes one folder, got {len(folders)}")
    folder = folders[0] if folders else out
    result = extraction.verify(folder)
    if result.n_shards:
        table(_summary(result))
    for problem in result.problems:
        say(printable(f"{folder / problem.source}: {problem.message}"))
    if result.problems:
        say(f"{count(len(result.problems), 'problem')} in {printable(folder)}")
        raise typer.Exit(1)
    say(f"{printable(folder)} is intact: every byte agrees with its checksum")


def _summary(result: Verification) -> list[tuple[str, str]]:
    from artifex.generative_models.modalities.audio.commands.printing import count
    from artifex.generative_models.modalities.audio.formatting import format_duration

    def counts(numbers: Mapping[str, int]) -> str:
        listed = [f"{name} ({number})" for name, number in numbers.items()]
        more = f", and {len(listed) - _MAX_NAMES} more" if len(listed) > _MAX_NAMES else ""
        return ", ".join(listed[:_MAX_NAMES]) + more

    rows = [
        ("examples", f"{result.n_examples} in {count(result.n_shards, 'shard')}"),
        ("duration", format_duration(result.duration)),
        *((f"feature {name}", shape) for name, shape in result.shapes.items()),
        ("preset", result.preset or ""),
        ("splits", counts(result.splits)),
        ("classes", counts(result.classes)),
        (
            "failures",
            f"{count(result.n_failures, 'recording')} could not be extracted" if result.n_failures else "none",
        ),
    ]
    return [(name, value) for name, value in rows if value]
