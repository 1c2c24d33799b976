"""A policy tried on one recording: what it makes of it to listen to, before and after to look at, and what was drawn."""

from __future__ import annotations

import contextlib
import json
import os
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from artifex.generative_models.core.checks import check_flag, check_integer
from artifex.generative_models.core.plot import new_figure, spectrogram, waveform
from artifex.generative_models.modalities.audio.augmentations.composition import Step, create_policy
from artifex.generative_models.modalities.audio.augmentations.domain import works_on
from artifex.generative_models.modalities.audio.augmentations.policy_data import describe, policy_spec, steps_of
from artifex.generative_models.modalities.audio.io import read_audio, write_audio
from artifex.generative_models.modalities.audio.representations import spectral_extension


def audition(
    source: str | os.PathLike[str],
    policy: Step,
    out: str | os.PathLike[str],
    *,
    draws: int = 4,
    seed: int = 0,
    sample_rate: int | None = None,
    overwrite: bool = False,
) -> list[dict[str, Any]]:
    """Apply a policy to a recording several times and write what comes out, so that it can be heard and seen.

    For draw ``i`` it writes ``NAME.draw-i.wav`` (32-bit floats, so that nothing is clipped) and ``NAME.draw-i.png``
    (waveform and spectrogram before and after), and last ``NAME.draws.json``: the policy, and what each draw drew.

    Args:
        source: The recording; its channels share what is drawn.
        policy: A step as ``compose`` takes it, of waveforms; its steps learn the sample rate.
        out: The folder to write to; made if it is missing.
        draws: How many times it is applied, at least 1.
        seed: Draw ``i`` has the key ``jax.random.fold_in(jax.random.key(seed), i)``, ``i`` from 1.
        sample_rate: The rate to resample to first, Hz; None keeps the recording's.
        overwrite: Whether files that are there are replaced.

    Returns:
        For each draw ``audio``, ``picture`` and ``drawn``, as they stand in ``NAME.draws.json``.

    Raises:
        AudioReadError: When the recording cannot be read.
        FileExistsError: When a file to write is there.
        ValueError: For a policy of spectrograms, or one that gives NaN or infinity.
        MissingDependencyError: Without the extras ``artifex-audio[files,plot]``, or artifex-spectral.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_audio(folder / "tone.wav", 0.5 * np.sin(np.arange(8000) * 0.3), 8000)
        >>> made = audition(folder / "tone.wav", "random_gain", folder / "heard", draws=2)
        >>> made[0]["audio"], 0.7 <= made[0]["drawn"]["gain"] <= 1.3
        ('tone.draw-1.wav', True)
    """
    check_integer("draws", draws, minimum=1)
    check_integer("seed", seed, minimum=0)
    check_flag("overwrite", overwrite)
    audio, rate = read_audio(source, sample_rate=sample_rate, mono=False)
    audio = audio[0] if len(audio) == 1 else audio
    made = create_policy(policy, sample_rate=rate)
    for step in steps_of(made):
        if works_on(step) == "spectrogram":
            raise ValueError(
                f"{getattr(step, '__name__', step)} works on spectrograms, which cannot be heard: leave it out here"
            )
    folder, name = Path(out), Path(source).stem
    listed = folder / f"{name}.draws.json"
    stems = [f"{name}.draw-{draw}" for draw in range(1, draws + 1)]
    for target in [folder / f"{stem}.{kind}" for stem in stems for kind in ("wav", "png")] + [listed]:
        if target.exists() and not overwrite:
            raise FileExistsError(f"{target} is there; name another folder with --out, or replace it with --overwrite")
    keys = [jax.random.fold_in(jax.random.key(seed), draw) for draw in range(1, draws + 1)]
    changed = [_finite(name, np.asarray(made(audio, key))) for name, key in zip(stems, keys, strict=True)]
    drawn = [describe(made, key, audio.shape) for key in keys]
    folder.mkdir(parents=True, exist_ok=True)
    before = _levels(audio, rate)
    for stem, after, told in zip(stems, changed, drawn, strict=True):
        write_audio(folder / f"{stem}.wav", after, rate, subtype="FLOAT")
        figure = _figure(audio, after, before, _levels(after, rate), rate, "; ".join(sentences(told)))
        with _whole(folder / f"{stem}.png") as partial:
            figure.savefig(partial, format="png", dpi=100)
    rows = [
        {"audio": f"{stem}.wav", "picture": f"{stem}.png", "drawn": told}
        for stem, told in zip(stems, drawn, strict=True)
    ]
    with _whole(listed) as partial:
        told = {"source": str(source), "sample_rate": rate, "seed": seed, "policy": _spec(made), "draws": rows}
        partial.write_text(json.dumps(told, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return rows


def sentences(drawn: dict[str, Any]) -> list[str]:
    """Put what ``describe`` told into words, one phrase for each step that was applied.

    Args:
        drawn: What ``describe`` returns.

    Returns:
        Phrases such as ``"time_shift: shift -120"``.

    Example:
        >>> sentences({"name": "compose", "steps": [{"name": "reverse", "applied": True}, {"name": "x", "gain": 0.51234}]})
        ['reverse', 'x: gain 0.512']
    """
    if "steps" in drawn:
        return [phrase for step in drawn["steps"] for phrase in sentences(step)]
    if not drawn.get("applied", True):
        return []
    told = ", ".join(f"{name} {_short(value)}" for name, value in drawn.items() if name not in ("name", "applied"))
    return [f"{drawn['name']}: {told}" if told else drawn["name"]]


def _short(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_short, value[:8])) + " …" * (len(value) > 8)
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _finite(name: str, audio: np.ndarray) -> np.ndarray:
    if not np.isfinite(audio).all():
        raise ValueError(f"{name}: the policy gives NaN or infinity for this recording")
    return audio


def _levels(audio: np.ndarray, rate: int) -> np.ndarray:
    """Levels (freq, time) in dB of the mean of the channels, in frames of about 40 ms."""
    mono = audio if audio.ndim == 1 else audio.mean(axis=0)
    n_fft = 2 ** max(4, round(np.log2(0.04 * rate)))
    extension = spectral_extension("Drawing spectrograms", n_fft=n_fft, hop_length=n_fft // 4, n_mels=1)
    powers = np.square(np.abs(np.asarray(extension.stft(mono), np.complex128)))
    return np.asarray(10 * np.log10(powers + 1e-20))


def _figure(
    before: np.ndarray, after: np.ndarray, levels: np.ndarray, changed: np.ndarray, rate: int, told: str
) -> Any:
    figure = new_figure(11, 6)
    panels = figure.subplots(2, 2, sharex=True, sharey="row")
    top = max(levels.max(), changed.max(), -120.0)
    step = before.shape[-1] / rate / max(1, levels.shape[-1] - 1)
    for column, (title, samples, values) in enumerate([("before", before, levels), ("after", after, changed)]):
        waveform(samples, rate, ax=panels[0, column], title=title)
        spectrogram(
            values - top, rate / 2, step=step, limits=(-80, 0), label="dB below the loudest", ax=panels[1, column]
        )
        panels[0, column].set_xlabel("")
    for row in panels:
        row[1].set_ylabel("")
    limit = max(1.0, float(np.abs(before).max()), float(np.abs(after).max()))
    panels[0, 0].set_ylim(-limit, limit)
    figure.suptitle("\n".join(textwrap.wrap(told, 120, max_lines=4, placeholder=" …")), fontsize=9)
    return figure


def _spec(policy: Any) -> Any:
    try:
        return policy_spec(policy)
    except TypeError:  # of functions that no name finds again
        return repr(policy)


@contextlib.contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """Give a file beside the target to write, which takes its place when all is written."""
    partial = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
