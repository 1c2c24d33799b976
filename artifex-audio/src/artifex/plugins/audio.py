"""Plugin hooks of artifex-audio: its kinds, their contracts, and its commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifex.generative_models.core import Kind, hookimpl

if TYPE_CHECKING:
    import typer


_CONTRACTS = ("audio_type", "augmentation", "manifest_format", "metric", "reader", "representation")


@hookimpl
def artifex_kinds() -> list[Kind]:
    """Return the kinds of components that artifex-audio defines."""
    return [
        Kind(
            name="audio_type",
            group="artifex.audio_types",
            summary="Generates a waveform: f(key, *, n_time_steps, sample_rate, **options) -> (n_time_steps,).",
            form="function",
            positional=1,
            call=("n_time_steps", "sample_rate"),
        ),
        Kind(
            name="augmentation",
            group="artifex.augmentations",
            summary="Augments one example: f(x, key, **options), of the same shape and dtype as x.",
            form="function",
            positional=2,
        ),
        Kind(
            name="manifest_format",
            group="artifex.manifest_formats",
            summary="A format of manifests: how it is recognized, and a function from a path to rows.",
            form="value",
        ),
        Kind(
            name="metric",
            group="artifex.metrics",
            summary="Compares an estimate with a reference: f(estimate, reference, **options).",
            form="function",
            positional=2,
        ),
        Kind(
            name="representation",
            group="artifex.representations",
            summary="Encodes waveforms for a model and decodes them: a class with shape, encode and decode.",
            form="class",
            attributes=("encode", "decode"),
        ),
        Kind(
            name="reader",
            group="artifex.readers",
            summary="Reads audio files: a class with extensions, magic and open(stream, name) -> an AudioRecording.",
            form="class",
            attributes=("extensions", "magic", "open"),
        ),
    ]


@hookimpl
def artifex_contracts() -> dict[str, str]:
    """Return the contracts of these kinds for the conformance kit."""
    module = "artifex.generative_models.modalities.audio.contracts"
    return {kind: f"{module}:{kind}" for kind in _CONTRACTS}


@hookimpl
def artifex_commands(app: typer.Typer) -> None:
    """Add the commands ``extract``, ``scan`` and ``augment``."""
    from artifex.generative_models.modalities.audio.commands import add_commands

    add_commands(app)
