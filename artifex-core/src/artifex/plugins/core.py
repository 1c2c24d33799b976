"""The kinds and commands of artifex-core."""

from __future__ import annotations

from typing import Any

from artifex.generative_models.core.components.hooks import hookimpl
from artifex.generative_models.core.components.kind import Kind


@hookimpl
def artifex_kinds() -> list[Kind]:
    """Return the kinds that artifex-core declares."""
    return [
        Kind(
            name="modality",
            group="artifex.modalities",
            summary="Encodes a kind of data for a model and decodes it: a class (config=None, *, rngs).",
            form="class",
        ),
        Kind(
            name="extension",
            group="artifex.extensions",
            summary="Computes features and a weighted loss for a model: a class (config, *, rngs).",
            form="class",
            attributes=("__call__", "loss_fn"),
        ),
        Kind(
            name="dataset",
            group="artifex.datasets",
            summary="Returns examples by index, and batches: a BaseDataset class.",
            form="class",
            attributes=("__len__", "get_batch"),
        ),
    ]


@hookimpl
def artifex_contracts() -> dict[str, str]:
    """Return the contracts of these kinds."""
    module = "artifex.generative_models.core.testing.contracts"
    return {kind: f"{module}:{kind}" for kind in ("modality", "extension", "dataset")}


@hookimpl
def artifex_commands(app: Any) -> None:
    """Add ``list``, ``show``, ``doctor``, ``check`` and ``new``."""
    from artifex.generative_models.core.cli import commands, diagnosis, scaffold

    app.command("list")(commands.list_components)
    app.command("show")(commands.show)
    app.command("doctor")(diagnosis.doctor)
    app.command("check")(commands.check)
    scaffold.add_to(app)
