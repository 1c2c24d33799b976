"""Preview an augmentation policy on one recording: audio files, figures and the drawn parameters."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import jax
import numpy as np

from artifex.generative_models.core.checks import check_flag, check_integer, is_list
from artifex.generative_models.core.files import atomic_path, write_atomic
from artifex.generative_models.core.plot import new_figure, spectrogram, waveform
from artifex.generative_models.modalities.audio.augmentations.composition import Step, create_policy
from artifex.generative_models.modalities.audio.augmentations.domain import works_on
from artifex.generative_models.modalities.audio.augmentations.policy_data import describe, policy_spec, steps_of
from artifex.generative_models.modalities.audio.io import read_audio, write_audio
from artifex.generative_models.modalities.audio.spectral_settings import spectral_extension

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@attrs.frozen(kw_only=True)
class PreviewDraw:
    """One application of a policy, with its files.

    Args:
        audio: File name of the augmented audio.
        picture: File name of the figure.
        parameters: The drawn parameters, as ``describe`` returns them.
    """

    audio: str
    picture: str
    parameters: dict[str, Any]


def preview(
    source: str | os.PathLike[str],
    policy: Step,
    out: str | os.PathLike[str],
    *,
    n_draws: int = 4,
    seed: int = 0,
    sample_rate: int | None = None,
    overwrite: bool = False,
) -> list[PreviewDraw]:
    """Apply a policy to a recording several times; write the audio, figures and drawn parameters.

    For draw ``i`` it writes ``NAME.draw-i.wav`` (32-bit float, so that nothing is clipped) and ``NAME.draw-i.png``
    (waveform and spectrogram before and after). ``NAME.draws.json``, with the policy and the drawn parameters, is written
    last.

    Args:
        source: The recording; the drawn parameters are the same for all its channels.
        policy: A waveform policy, in any form that ``compose`` accepts as a step. Steps get the sample rate of the recording.
        out: The output folder; created if missing.
        n_draws: Number of times that the policy is applied, at least 1.
        seed: Seed of the draws. Draw ``i`` has the key ``jax.random.fold_in(jax.random.key(seed), i)``, ``i`` from 1.
        sample_rate: Sample rate in Hz to resample to first; None keeps that of the recording.
        overwrite: Whether to replace existing files.

    Returns:
        The draws, in order.

    Raises:
        AudioReadError: When the recording cannot be read.
        FileExistsError: When an output file exists and ``overwrite`` is False.
        ValueError: For a spectrogram policy, or one whose output contains NaN or infinity.
        MissingDependencyError: Without the extras ``artifex-audio[files,plot]``, or without artifex-spectral.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_audio(folder / "tone.wav", 0.5 * np.sin(np.arange(8000) * 0.3), 8000)
        >>> draws = preview(folder / "tone.wav", "random_gain", folder / "preview", n_draws=2)
        >>> draws[0].audio, 0.7 <= draws[0].parameters["gain"] <= 1.3
        ('tone.draw-1.wav', True)
    """
    check_integer("n_draws", n_draws, minimum=1)
    check_integer("seed", seed, minimum=0)
    check_flag("overwrite", overwrite)
    audio, rate = read_audio(source, sample_rate=sample_rate, mono=False)
    audio = audio[0] if len(audio) == 1 else audio
    function = create_policy(policy, sample_rate=rate)
    for step in steps_of(function):
        if works_on(step) == "spectrogram":
            name = getattr(step, "__name__", step)
            raise ValueError(f"the policy must augment waveforms, got {name}, which augments spectrograms; remove it")
    folder, name = Path(out), Path(source).stem
    draws_file = folder / f"{name}.draws.json"
    stems = [f"{name}.draw-{i}" for i in range(1, n_draws + 1)]
    for target in [folder / f"{stem}.{suffix}" for stem in stems for suffix in ("wav", "png")] + [draws_file]:
        if target.exists() and not overwrite:
            raise FileExistsError(
                f"{target} exists; choose another folder (out, --out), or replace it (overwrite=True, --overwrite)"
            )
    keys = [jax.random.fold_in(jax.random.key(seed), i) for i in range(1, n_draws + 1)]
    augmented = [np.asarray(function(audio, key)) for key in keys]
    for stem, each in zip(stems, augmented, strict=True):
        if not np.isfinite(each).all():
            raise ValueError(f"{stem}: the output of the policy contains NaN or infinity")
    draws = [
        PreviewDraw(audio=f"{stem}.wav", picture=f"{stem}.png", parameters=describe(function, key, audio.shape))
        for stem, key in zip(stems, keys, strict=True)
    ]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise type(error)(
            f"{folder} cannot be created: {error.strerror}; choose another folder (out, --out)"
        ) from error
    levels = _levels(audio, rate)
    for draw, after in zip(draws, augmented, strict=True):
        write_audio(folder / draw.audio, after, rate, subtype="FLOAT")
        title = "; ".join(format_parameters(draw.parameters))
        figure = _draw_figure(audio, after, levels, _levels(after, rate), rate, title)
        with atomic_path(folder / draw.picture) as temporary:
            figure.savefig(temporary, format="png", dpi=100)
    table = {
        "source": str(source),
        "sample_rate": rate,
        "seed": seed,
        "policy": _policy_spec(function),
        "draws": [attrs.asdict(draw) for draw in draws],
    }
    write_atomic(draws_file, json.dumps(table, indent=2, allow_nan=False) + "\n")
    return draws


def format_parameters(parameters: Mapping[str, Any]) -> list[str]:
    """Format drawn parameters, one line per applied step.

    Args:
        parameters: The drawn parameters, as ``describe`` returns them.

    Returns:
        Lines such as ``"time_shift: shift -120"``.

    Example:
        >>> steps = [{"name": "reverse", "applied": True}, {"name": "random_gain", "gain": 0.51234}]
        >>> format_parameters({"name": "compose", "steps": steps})
        ['reverse', 'random_gain: gain 0.512']
    """
    if "steps" in parameters:
        return [line for step in parameters["steps"] for line in format_parameters(step)]
    if not parameters.get("applied", True):
        return []
    values = {name: value for name, value in parameters.items() if name not in ("name", "applied")}
    formatted = ", ".join(f"{name} {_format_value(value)}" for name, value in values.items())
    return [f"{parameters['name']}: {formatted}" if formatted else parameters["name"]]


def _format_value(value: Any) -> str:
    if is_list(value):
        return " ".join(map(_format_value, value[:8])) + " …" * (len(value) > 8)
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _levels(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Compute the power spectrogram in dB, (freq, time), of the mean of the channels, with frames of about 40 ms."""
    mono = audio if audio.ndim == 1 else audio.mean(axis=0)
    n_fft = 2 ** max(4, round(np.log2(0.04 * sample_rate)))
    extension = spectral_extension("Drawing spectrograms", n_fft=n_fft, hop_length=n_fft // 4, n_mels=1)
    power = np.square(np.abs(np.asarray(extension.stft(mono), np.complex128)))
    return np.asarray(10 * np.log10(power + 1e-20))


def _draw_figure(
    before: np.ndarray,
    after: np.ndarray,
    levels_before: np.ndarray,
    levels_after: np.ndarray,
    sample_rate: int,
    title: str,
) -> Figure:
    figure: Figure = new_figure(11, 6)
    axes = figure.subplots(2, 2, sharex=True, sharey="row")
    maximum = max(levels_before.max(), levels_after.max(), -120.0)
    step = before.shape[-1] / sample_rate / max(1, levels_before.shape[-1] - 1)
    columns = (("before", before, levels_before), ("after", after, levels_after))
    for column, (heading, samples, levels) in enumerate(columns):
        waveform(samples, sample_rate, ax=axes[0, column], title=heading)
        spectrogram(
            levels - maximum, sample_rate / 2, step=step, limits=(-80, 0), label="dB re max", ax=axes[1, column]
        )
        axes[0, column].set_xlabel("")
    for row in axes:
        row[1].set_ylabel("")
    limit = max(1.0, float(np.abs(before).max()), float(np.abs(after).max()))
    axes[0, 0].set_ylim(-limit, limit)
    figure.suptitle("\n".join(textwrap.wrap(title, 120, max_lines=4, placeholder=" …")), fontsize=9)
    return figure


def _policy_spec(policy: Any) -> Any:
    try:
        return policy_spec(policy)
    except TypeError:  # a step is a function that is not registered
        return repr(policy)
