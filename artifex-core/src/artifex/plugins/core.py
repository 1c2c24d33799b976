"""What artifex-core plugs in: the kinds it owns and the commands about the registry."""

from __future__ import annotations

from typing import Any

from artifex.generative_models.core.plugins import Kind, hookimpl


@hookimpl
def artifex_kinds() -> list[Kind]:
    """Return the kinds that core owns."""
    return [
        Kind(
            name="modality",
            group="artifex.modalities",
            summary="A kind of data: its configuration, shapes, encode and decode.",
            form="class",
        ),
        Kind(
            name="extension",
            group="artifex.extensions",
            summary="An nnx module beside a model: features, and a weighted loss.",
            form="class",
            attributes=("__call__", "loss_fn"),
        ),
        Kind(
            name="dataset",
            group="artifex.datasets",
            summary="Examples by index, and batches of them.",
            form="class",
            attributes=("__len__", "get_batch"),
        ),
    ]


@hookimpl
def artifex_contracts() -> dict[str, str]:
    """Return how the conformance kit runs components of those kinds."""
    where = "artifex.generative_models.core.contracts"
    return {kind: f"{where}:{kind}" for kind in ("modality", "extension", "dataset")}


@hookimpl
def artifex_commands(app: Any) -> None:
    """Add ``list``, ``show``, ``doctor``, ``check`` and ``new``."""
    from artifex.generative_models.core import commands, scaffold

    commands.add_to(app)
    scaffold.add_to(app)
