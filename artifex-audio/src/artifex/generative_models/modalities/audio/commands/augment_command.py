"""The command ``artifex augment``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def augment(
    audio: Annotated[Path, typer.Argument(help="A recording (wav, flac, ogg, opus, mp3, aiff).", metavar="FILE")],
    policy: Annotated[
        str | None,
        typer.Option(
            help="A TOML or YAML file of a policy, or the name of one augmentation.",
            metavar="POLICY",
            show_default="the policy of augment_audio",
        ),
    ] = None,
    draws: Annotated[int, typer.Option(min=1, help="Number of times that the policy is applied.")] = 4,
    out: Annotated[Path, typer.Option(help="The output folder.")] = Path("augmented"),
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
    sample_rate: Annotated[
        int | None,
        typer.Option(help="Sample rate in Hz to resample to first.", show_default="that of the recording"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
) -> None:
    """Preview an augmentation policy on a recording.

    Writes the audio of each draw, a figure of waveform and spectrogram before and after, and the drawn parameters in a
    .draws.json file. The exit code is 1 when the recording cannot be read.
    """
    from artifex.generative_models.core.cli.terminal import print_error, say, table
    from artifex.generative_models.core.errors import printable
    from artifex.generative_models.core.extras import require

    require("matplotlib", install="artifex-audio[plot]", purpose="Drawing the effect of a policy")
    from artifex.generative_models.modalities.audio.io import AudioReadError
    from artifex.generative_models.modalities.audio.policy_preview import format_parameters, preview

    try:
        previews = preview(
            audio,
            _read_policy(policy),
            out,
            n_draws=draws,
            seed=seed,
            sample_rate=sample_rate,
            overwrite=overwrite,
        )
    except AudioReadError as error:
        print_error(error)
        raise typer.Exit(2 if error.transient else 1) from error
    for draw in previews:
        say(printable(out / draw.audio), "bold")
        lines = format_parameters(draw.parameters)
        table([tuple(line.split(": ", 1)) for line in lines] or [("no step was applied",)])
    say("")
    say(f"figures: .png files of the same names; drawn parameters: {printable(out / f'{audio.stem}.draws.json')}")


def _read_policy(given: str | None) -> Any:
    from artifex.generative_models.modalities.audio.augmentations.policies import default_policy
    from artifex.generative_models.modalities.audio.commands.option_files import read_option_file

    if given is None:
        return default_policy()
    return read_option_file(Path(given), "--policy") if Path(given).suffix else given
