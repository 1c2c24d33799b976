"""What artifex-audio plugs in: the kinds it owns and the commands that work on recordings."""

from __future__ import annotations

from typing import Any

from artifex.generative_models.core import Kind, hookimpl


@hookimpl
def artifex_kinds() -> list[Kind]:
    """Return the kinds that audio owns."""
    return [
        Kind(
            name="audio_type",
            group="artifex.audio_types",
            summary="A synthetic sound: f(key, *, n_time_steps, sample_rate, **options) -> (n_time_steps,).",
            form="function",
            positional=1,
            call=("n_time_steps", "sample_rate"),
        ),
        Kind(
            name="augmentation",
            group="artifex.augmentations",
            summary="A random change of one example: f(x, key, **options) of the same shape and dtype.",
            form="function",
            positional=2,
        ),
        Kind(
            name="metric",
            group="artifex.metrics",
            summary="A score of an estimate against a reference: f(estimate, reference, **options).",
            form="function",
            positional=2,
        ),
        Kind(
            name="representation",
            group="artifex.representations",
            summary="What a waveform becomes for a model, and its inverse: shape, encode, decode.",
            form="class",
            attributes=("encode", "decode"),
        ),
    ]


@hookimpl
def artifex_contracts() -> dict[str, str]:
    """Return how the conformance kit runs components of those kinds."""
    where = "artifex.generative_models.modalities.audio.contracts"
    return {kind: f"{where}:{kind}" for kind in ("audio_type", "augmentation", "metric", "representation")}


@hookimpl
def artifex_commands(app: Any) -> None:
    """Add ``extract``."""
    from artifex.generative_models.modalities.audio import commands

    commands.add_to(app)
