"""Commands of artifex-spectral: plot the features of a recording, compare presets. jax and NumPy are imported late."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from artifex.generative_models.core import UnknownComponentError, create, registry
from artifex.generative_models.core.cli.terminal import print_error, say, table
from artifex.generative_models.core.errors import DiskFullError, MissingDependencyError, printable
from artifex.generative_models.core.extras import require
from artifex.generative_models.core.files import atomic_path

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig

_CONFIG_SUFFIXES = (".toml", ".yaml", ".yml", ".json")
_SILENCE_DBFS = -60.0
_MAX_CHANNELS_PLOTTED = 2


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line.

    Args:
        app: The command line.
    """
    app.command()(features)
    group = typer.Typer(help="Compare presets.", no_args_is_help=True)
    group.command("diff")(diff)
    # Without a callback typer replaces a group of one command by the command.
    group.callback()(lambda: None)
    app.add_typer(group, name="preset")


def features(
    file: Annotated[Path, typer.Argument(help="A recording in any format that artifex-audio reads.", metavar="FILE")],
    preset: Annotated[
        str | None,
        typer.Option(
            help="Preset; `artifex list preset` lists them. Default: librosa's settings, with n_fft adapted to the "
            "sample rate of the file.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="TOML, YAML or JSON file with fields of SpectralConfig.", metavar="CONFIG", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="PNG file to write.", metavar="PNG", show_default="name of FILE with .features.png, in this folder"
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing PNG file.")] = False,
) -> None:
    """Plot the features of a recording and print their statistics.

    Writes a plot of the waveform, spectrogram, log-mel spectrogram, MFCC, chroma and onset strength, and prints the
    mean, standard deviation, minimum and maximum of each feature. The exit code is 1 if the recording cannot be read.
    """
    if preset is not None and config is not None:
        raise ValueError("--preset and --config must not be combined; pass one of them")
    target = Path(f"{file.stem}.features.png") if out is None else out
    _check_target(target, file, overwrite=overwrite)
    require("matplotlib", install="artifex-spectral[plot]", purpose="Plotting features")
    given = str(config) if preset is None and config is not None else preset
    chosen = None if given is None else _load_config(given)
    try:
        audio, rate = _read(file)
    except OSError as error:
        print_error(error)
        raise typer.Exit(1) from error
    if chosen is not None and chosen.sample_rate != rate:
        required = chosen.sample_rate
        raise ValueError(
            f"{given} requires {required} Hz, {file} has {rate} Hz; resample it first, for example with "
            f"`ffmpeg -i {shlex.quote(str(file))} -ar {required} {shlex.quote(f'{file.stem}-{required}.wav')}`"
        )
    settings = default_config(rate) if chosen is None else chosen

    import numpy as np

    from artifex.generative_models.extensions.audio_processing.spectral import plot, summary

    mono = audio.mean(axis=0, dtype=np.float32)
    found = summary.clip_features(mono, settings)
    name = given or "librosa's settings, with n_fft adapted to the sample rate"
    figure = plot.features_figure(
        audio if len(audio) <= _MAX_CHANNELS_PLOTTED else mono,
        found,
        settings,
        title=f"{printable(file.name)}, {rate} Hz" + (f", {printable(given)}" if given else ""),
    )
    _write_png(figure, target)
    say(printable(file), "bold")
    table(list(_signal_facts(audio, mono, rate)))
    say("")
    say(
        f"{name}: n_fft {settings.n_fft}, hop {settings.hop} ({1000 * settings.hop / rate:.1f} ms), "
        f"{settings.n_mels} {settings.mel_scale} bands, {found['rms'].shape[-1]} frames"
    )
    say("")
    _print_aligned([("", "mean", "std", "min", "max", ""), *_statistics(found, settings)])
    say("")
    say(f"plot: {printable(target)}")


def diff(
    a: Annotated[
        str, typer.Argument(help="Preset, or TOML, YAML or JSON file with fields of SpectralConfig.", metavar="A")
    ],
    b: Annotated[str, typer.Argument(help="Preset or file to compare with A.", metavar="B")],
    show_all: Annotated[bool, typer.Option("--all", help="Print settings that are equal, too.")] = False,
) -> None:
    """Print the settings in which two presets differ.

    Defaults that depend on other settings are shown as values, such as n_fft // 4 for hop_length.
    """
    one, other = _load_config(a), _load_config(b)
    ours, theirs = _effective_settings(one), _effective_settings(other)
    differing = {name for name, value in ours.items() if value != theirs[name]}
    say(f"{a} and {b} differ in {len(differing)} of {len(ours)} settings:" if differing else f"{a} and {b} are equal.")
    if not differing and not show_all:
        return

    from artifex.generative_models.core.cli.docstrings import argument_descriptions

    descriptions = argument_descriptions(type(one))
    rows = [("  " if show_all else "", a, b, "")]
    for name, value in ours.items():
        if show_all or name in differing:
            mark = ("≠ " if name in differing else "  ") if show_all else ""
            rows.append((mark + name, str(value), str(theirs[name]), _first_sentence(descriptions.get(name, ""))))
    say("")
    table(rows)


def _check_target(target: Path, source: Path, *, overwrite: bool) -> None:
    if target.suffix.lower() != ".png":
        raise ValueError(f"--out must end in .png, got {str(target)!r}")
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder; pass a file in it as --out")
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists; pass another file as --out, or --overwrite to replace it")
    if target.exists() and source.exists() and target.samefile(source):
        raise ValueError(f"{target} is the recording itself; pass another file as --out")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target}: the folder {target.parent} does not exist; create it first")


def _load_config(given: str) -> SpectralConfig:
    """Load a configuration by the name of a preset or from a file."""
    from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig

    path = Path(given)
    if path.suffix.lower() not in _CONFIG_SUFFIXES:
        found = registry("preset")[given]
        if not isinstance(found, SpectralConfig):
            raise TypeError(f"preset {given!r} must be a SpectralConfig, got {type(found).__name__}")
        return found
    try:
        if path.suffix.lower() != ".json":
            return SpectralConfig.from_file(path)
        return SpectralConfig.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    except ValueError as error:
        raise ValueError(str(error) if str(error).startswith(str(path)) else f"{path}: {error}") from error


def default_config(rate: int) -> SpectralConfig:
    """Return librosa's settings with frames of 2048 samples for 16 to 48 kHz, and of a similar duration otherwise."""
    from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig

    octaves = math.ceil(math.log2(rate / 48_000)) if rate > 48_000 else math.ceil(math.log2(min(rate, 32_000) / 32_000))
    n_fft = max(64, int(2048 * 2.0**octaves))
    return SpectralConfig(sample_rate=rate, n_fft=n_fft, n_mels=min(128, n_fft // 4))


def _read(file: Path) -> tuple[NDArray[np.float32], int]:
    """Read a recording with artifex-audio's dataset of files.

    Returns:
        Samples, (channels, time), and their sample rate in Hz.
    """
    if file.is_dir():
        raise IsADirectoryError(f"{file}: is a folder; pass a file in it")
    options: dict[str, Any] = {"paths": [file], "mono": False, "crop": "whole", "labels": None}
    try:
        dataset: Any = create("dataset", "files", **options)
    except UnknownComponentError as error:
        raise MissingDependencyError(
            "Reading recordings needs the dataset 'files' of artifex-audio, which is not installed: "
            "pip install 'artifex-audio[files]'"
        ) from error
    rate = dataset.info(0).sample_rate
    config = dataset.config.evolve(sample_rate=rate, normalize=False)
    samples: NDArray[np.float32] = create("dataset", "files", config=config, **options)[0]["audio"]
    return samples, rate


def _signal_facts(audio: NDArray[np.float32], mono: NDArray[np.float32], rate: int) -> Iterator[tuple[str, str]]:
    import numpy as np

    yield "sample rate", f"{rate} Hz"
    yield "channels", "1" if len(audio) == 1 else f"{len(audio)}, averaged for the features"
    yield "duration", f"{mono.size / rate:.3f} s, {mono.size} samples"
    peak, power = float(np.abs(audio).max()), float(np.mean(np.square(audio, dtype=np.float64)))
    yield "peak", _format_dbfs(peak)
    yield "RMS", _format_dbfs(math.sqrt(power))
    # RMS in blocks of 10 ms, longer than a period of most sounds and shorter than a pause.
    starts = np.arange(0, mono.size, max(1, rate // 100))
    energies = np.add.reduceat(np.square(mono, dtype=np.float64), starts)
    levels = np.sqrt(energies / np.diff(starts, append=mono.size))
    silence = 10 ** (_SILENCE_DBFS / 20)
    silent = float(np.mean(levels < silence))
    canceled = "; the channels cancel in their mean" if silent == 1 and peak > silence else ""
    yield "silence", f"{100 * silent:.1f} % of the time below {_SILENCE_DBFS:g} dBFS{canceled}"


def _statistics(found: dict[str, NDArray[Any]], settings: SpectralConfig) -> Iterator[tuple[str, ...]]:
    from artifex.generative_models.extensions.audio_processing.spectral.levels import level_unit

    units = {
        "rms": "full scale 1",
        "zero_crossing_rate": "fraction of samples",
        "spectral_centroid": "Hz",
        "spectral_bandwidth": "Hz",
        "spectral_rolloff": "Hz",
        "spectral_flatness": "0 to 1",
        "spectral_crest": "ratio",
        "spectral_entropy": "0 to 1",
        "onset_strength": "dB",
        "log_mel_spectrogram": level_unit(settings),
    }
    for name, unit in units.items():
        yield _statistics_row(name, found[name], unit)
    for number, values in enumerate(found["mfcc"]):
        yield _statistics_row(f"mfcc {number}", values, "")


def _statistics_row(name: str, values: NDArray[Any], unit: str) -> tuple[str, ...]:
    exact = values.astype("float64")
    return (name, *(f"{x:.4g}" for x in (exact.mean(), exact.std(), exact.min(), exact.max())), unit)


def _print_aligned(rows: list[tuple[str, ...]]) -> None:
    """Print a table with all columns but the first and the last aligned to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    table([(row[0], *(row[i].rjust(widths[i]) for i in range(1, len(row) - 1)), row[-1]) for row in rows])


def _format_dbfs(amplitude: float) -> str:
    return f"{20 * math.log10(amplitude):.1f} dBFS" if amplitude else "silent"


def _write_png(figure: Any, target: Path) -> None:
    try:
        with atomic_path(target) as temporary:
            figure.savefig(temporary, format="png", dpi=110)
    except DiskFullError:
        raise
    except OSError as error:
        raise ValueError(
            f"{target} cannot be written: {error.strerror or error}; pass another file as --out"
        ) from error


def _effective_settings(config: SpectralConfig) -> dict[str, Any]:
    """Return the settings of a configuration, with the values that None stands for."""
    effective: dict[str, Any] = {
        "hop_length": config.hop,
        "win_length": config.win,
        "pad_length": config.padding,
        "f_max": float(config.f_top),
        "n_mfcc": config.n_cepstra,
    }
    if not config.padding:
        effective["pad_mode"] = "(no padding)"
    return {**config.to_dict(), **effective}


def _first_sentence(text: str) -> str:
    head = text.replace("``", "").replace('"', "'")
    end = min((place for mark in ("; ", ": ", ". ") if (place := head.find(mark)) > 0), default=len(head))
    return head[:end].rstrip(".")
