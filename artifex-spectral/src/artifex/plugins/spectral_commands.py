"""The commands of spectral: the features of a file, and what sets two presets apart. Imports no jax by itself."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from artifex.generative_models.core import registry
from artifex.generative_models.core.cli.terminal import say, table
from artifex.generative_models.core.extras import require

if TYPE_CHECKING:
    from collections.abc import Iterator

    from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig

_FILES = (".toml", ".yaml", ".yml", ".json")
_BLOCK = 1 << 20
_SILENT_DBFS = -60.0
_MOST_CHANNELS_DRAWN = 2
# What libsndfile notes of a file that ends early, and reads without a word; a stream's length is not known.
_CUT = re.compile(r"^\s*(?:data|SSND|Data Size)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
_UNKNOWN_SIZE = 0x7FFFF000


def add_to(app: typer.Typer) -> None:
    """Add the commands of spectral to the command line.

    Args:
        app: The command line.
    """
    app.command()(features)
    group = typer.Typer(help="Compare the conventions of tools.", no_args_is_help=True)
    group.command("diff")(diff)
    # Of a single command typer would make the group itself.
    group.callback()(lambda: None)
    app.add_typer(group, name="preset")


def features(
    file: Annotated[Path, typer.Argument(help="A recording (wav, flac, ogg, mp3, aiff).", metavar="FILE")],
    preset: Annotated[
        str | None,
        typer.Option(
            help="The conventions of a tool; `artifex list preset` names them. Without, those of librosa, with frames "
            "that fit the file's sample rate.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="A TOML, YAML or JSON file of conventions, under the names of SpectralConfig.",
            metavar="CONFIG",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The picture to write.", metavar="PNG", show_default="FILE's name, with .features.png, here"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a picture that is there.")] = False,
) -> None:
    """Draw the features of a recording, and print what they are like.

    Writes a picture of the waveform, the spectrogram, mel levels, MFCC, pitch classes and onsets, and prints the
    mean, spread, least and largest value of each feature. The exit code is 1 when the recording cannot be read.
    """
    if preset is not None and config is not None:
        raise ValueError("--preset and --config both say what the conventions are; give one of them")
    target = Path(f"{file.stem}.features.png") if out is None else out
    _check_target(target, file, overwrite=overwrite)
    require("matplotlib", install="artifex-spectral[plot]", purpose="Drawing features")
    chosen = None if preset is None and config is None else _conventions(preset or str(config))
    try:
        audio, rate = _read(file)
    except _UnreadableError as error:
        print(f"artifex: {file}: {error}", file=sys.stderr)
        raise typer.Exit(1) from error
    if chosen is not None and chosen.sample_rate != rate:
        wanted = chosen.sample_rate
        raise ValueError(
            f"{preset or config} is for {wanted} Hz, {file} has {rate} Hz; resample it first, such as by "
            f"`ffmpeg -i {shlex.quote(str(file))} -ar {wanted} {shlex.quote(f'{file.stem}-{wanted}.wav')}`"
        )
    settings = _fitting(rate) if chosen is None else chosen

    from artifex.generative_models.extensions.audio_processing.spectral import overview, plot

    mono = audio.mean(axis=0, dtype=np.float32)
    found = overview.clip_features(mono, settings)
    name = preset or config or "librosa's conventions, frames that fit the rate"
    figure = plot.features_figure(
        audio if len(audio) <= _MOST_CHANNELS_DRAWN else mono,
        found,
        settings,
        title=f"{_printable(file.name)}, {rate} Hz" + (f", as {_printable(str(name))}" if preset or config else ""),
    )
    _write(figure, target)
    say(_printable(str(file)), "bold")
    table(list(_facts(audio, mono, rate)))
    say("")
    say(
        f"{name}: n_fft {settings.n_fft}, hop {settings.hop} ({1000 * settings.hop / rate:.1f} ms), "
        f"{settings.n_mels} {settings.mel_scale} bands, {found['rms'].shape[-1]} frames"
    )
    say("")
    _print_aligned([("", "mean", "sd", "min", "max", ""), *_statistics(found, settings)])
    say("")
    say(f"picture: {_printable(str(target))}")


def diff(
    a: Annotated[str, typer.Argument(help="A preset, or a TOML, YAML or JSON file of SpectralConfig.", metavar="A")],
    b: Annotated[str, typer.Argument(help="Another.", metavar="B")],
    show_all: Annotated[bool, typer.Option("--all", help="Print what they agree on too.")] = False,
) -> None:
    """Print the knobs in which two presets differ: why one mel spectrogram is not the other.

    What follows from other knobs is shown as it acts: the hop that no hop_length stands for, the padding that
    centering is.
    """
    one, other = _conventions(a), _conventions(b)
    ours, theirs = _acting(one), _acting(other)
    differing = [name for name in ours if ours[name] != theirs[name]]
    if not differing:
        say(f"{a} and {b} are the same.")
    elif not show_all:
        say(f"{a} and {b} differ in {len(differing)} of {len(ours)} knobs:")
    if not differing and not show_all:
        return
    from artifex.generative_models.core.cli.docstrings import argument_descriptions

    told = argument_descriptions(type(one))
    say("")
    rows = [
        ("≠ " if show_all and name in differing else "  " if show_all else "", name, value, theirs[name])
        for name, value in ours.items()
        if show_all or name in differing
    ]
    table(
        [
            (f"{mark}{name}", str(x), str(y), _first_sentence(told.get(name, "")))
            for mark, name, x, y in [("  " if show_all else "", "", a, b), *rows]
        ]
    )


class _UnreadableError(Exception):
    """A recording cannot be read."""


def _check_target(target: Path, source: Path, *, overwrite: bool) -> None:
    if target.suffix.lower() != ".png":
        raise ValueError(f"--out is a picture that ends in .png, got {str(target)!r}")
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder; name a file in it with --out")
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} is there; name another with --out, or pass --overwrite to replace it")
    if target.exists() and source.exists() and target.samefile(source):
        raise ValueError(f"{target} is the recording itself; name another file with --out")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target}: the folder {target.parent} does not exist; make it first")


def _conventions(given: str) -> SpectralConfig:
    """Return the configuration that a preset's name or a file stands for."""
    from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig

    path = Path(given)
    if path.suffix.lower() not in _FILES:
        found = registry("preset")[given]
        if not isinstance(found, SpectralConfig):
            raise TypeError(f"preset {given!r} is a {type(found).__name__}, not a SpectralConfig")
        return found
    try:
        if path.suffix.lower() != ".json":
            return SpectralConfig.from_file(path)
        read = json.loads(path.read_text(encoding="utf-8"))
        return SpectralConfig.from_dict(read)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    except ValueError as error:
        raise ValueError(str(error) if str(error).startswith(str(path)) else f"{path}: {error}") from error


def _fitting(rate: int) -> SpectralConfig:
    """Return librosa's conventions, with frames of 2048 samples from above 16 kHz to 48 kHz, else as long in ms."""
    from artifex.generative_models.extensions.audio_processing.spectral.config import SpectralConfig

    steps = math.ceil(math.log2(rate / 48_000)) if rate > 48_000 else math.ceil(math.log2(min(rate, 32_000) / 32_000))
    n_fft = max(64, 2048 * 2**steps if steps >= 0 else 2048 // 2**-steps)
    return SpectralConfig(sample_rate=rate, n_fft=n_fft, n_mels=min(128, n_fft // 4))


def _read(file: Path) -> tuple[NDArray[np.float32], int]:
    """Return the samples of a recording, (channels, time), and its sample rate, Hz."""
    soundfile = require("soundfile", install="artifex-spectral[files]", purpose="Reading audio files")
    if file.is_dir():
        raise _UnreadableError("is a folder; name a file in it")
    try:
        if file.stat().st_size == 0:
            raise _UnreadableError("the file is empty (0 bytes); fetch or record it again")
        with soundfile.SoundFile(file) as opened:
            rate, count, cut = opened.samplerate, opened.frames, _CUT.search(opened.extra_info)
            # In blocks, so that a header that lies about the length does not decide how much memory is taken.
            blocks = []
            while len(block := opened.read(_BLOCK, dtype="float32", always_2d=True)):
                blocks.append(block.T)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be opened: {error.strerror}"
        raise _UnreadableError(reason) from error
    except soundfile.LibsndfileError as error:
        said = str(error.error_string).rstrip(".").lower()
        raise _UnreadableError(f"is no audio that can be decoded ({said}), or is damaged") from error
    if cut is not None and int(cut[2]) < int(cut[1]) < _UNKNOWN_SIZE:
        raise _UnreadableError(
            f"is cut off: its header says {cut[1]} bytes of audio, it holds {cut[2]}; fetch it again"
        )
    got = sum(block.shape[-1] for block in blocks)
    if not got:
        raise _UnreadableError("holds no samples; fetch or record it again")
    if got < count < 1 << 62:
        raise _UnreadableError(f"is cut off: its header says {count} samples, {got} can be decoded; fetch it again")
    audio = np.concatenate(blocks, axis=1)
    if not np.isfinite(audio).all():
        n_bad = audio.size - int(np.isfinite(audio).sum())
        raise _UnreadableError(f"holds {n_bad} samples that are NaN or infinite; mend it first")
    return audio, rate


def _facts(audio: NDArray[np.float32], mono: NDArray[np.float32], rate: int) -> Iterator[tuple[str, str]]:
    seconds = mono.size / rate
    yield "sample rate", f"{rate} Hz"
    yield "channels", "1" if len(audio) == 1 else f"{len(audio)}; the features are those of their mean"
    yield "duration", f"{seconds:.3f} s, {mono.size} samples"
    peak, power = float(np.abs(audio).max()), float(np.mean(np.square(audio, dtype=np.float64)))
    yield "peak", _dbfs(peak)
    yield "RMS", _dbfs(math.sqrt(power))
    # In hundredths of a second: what is heard as a pause, not as a part of a period.
    size = max(1, rate // 100)
    begins = np.arange(0, mono.size, size)
    sums = np.add.reduceat(np.square(mono, dtype=np.float64), begins)
    levels = np.sqrt(sums / np.diff([*begins, mono.size]))
    quiet = float(np.mean(levels < 10 ** (_SILENT_DBFS / 20)))
    canceled = "; the channels cancel in their mean" if quiet == 1 and peak > 10 ** (_SILENT_DBFS / 20) else ""
    yield "silence", f"{100 * quiet:.1f} % of the time below {_SILENT_DBFS:g} dBFS{canceled}"


def _statistics(found: dict[str, NDArray[Any]], settings: SpectralConfig) -> Iterator[tuple[str, ...]]:
    level = {"db": "dB", "ln": "natural log", "log10": "log10"}[settings.log]
    if settings.level_scale != 1 or settings.level_offset:
        level += ", rescaled"
    units = {
        "rms": "full scale 1",
        "zero_crossing_rate": "share of samples",
        "spectral_centroid": "Hz",
        "spectral_bandwidth": "Hz",
        "spectral_rolloff": "Hz",
        "spectral_flatness": "0 to 1",
        "spectral_crest": "ratio",
        "spectral_entropy": "0 to 1",
        "onset_strength": "dB",
        "log_mel_spectrogram": level,
    }
    for name, unit in units.items():
        values = found[name]
        yield _row(name, values, unit)
    for number, values in enumerate(found["mfcc"]):
        yield _row(f"mfcc {number}", values, "")


def _row(name: str, values: NDArray[Any], unit: str) -> tuple[str, ...]:
    exact = values.astype(np.float64)
    return (name, *(f"{x:.4g}" for x in (exact.mean(), exact.std(), exact.min(), exact.max())), unit)


def _print_aligned(rows: list[tuple[str, ...]]) -> None:
    """Print a table whose numbers, all columns but the first and the last, stand on the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    table([(row[0], *(row[i].rjust(widths[i]) for i in range(1, len(row) - 1)), row[-1]) for row in rows])


def _dbfs(amplitude: float) -> str:
    return f"{20 * math.log10(amplitude):.1f} dBFS" if amplitude else "silent"


def _write(figure: Any, target: Path) -> None:
    """Write a picture, whole or not at all."""
    partial = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        figure.savefig(partial, format="png", dpi=110)
        partial.replace(target)
    except OSError as error:
        raise ValueError(
            f"{target} cannot be written: {error.strerror or error}; name another place with --out"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _acting(config: SpectralConfig) -> dict[str, Any]:
    """Return the knobs as they act: what is None or stands aside is what the others make of it."""
    knobs = config.to_dict()
    acting: dict[str, Any] = {
        "hop_length": config.hop,
        "win_length": config.win,
        "pad_length": config.padding,
        "f_max": float(config.f_top),
        "n_mfcc": config.n_cepstra,
    }
    if not config.padding:
        acting["pad_mode"] = "(nothing is padded)"
    return {**knobs, **acting}


def _first_sentence(text: str) -> str:
    head = text.replace("``", "").replace('"', "'")
    end = min((place for mark in ("; ", ": ", ". ") if (place := head.find(mark)) > 0), default=len(head))
    return head[:end].rstrip(".")


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
