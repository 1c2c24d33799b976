"""What artifex-spectral plugs in: the kinds it owns and the commands about features and presets."""

from __future__ import annotations

from typing import Any

from artifex.generative_models.core import Kind, hookimpl


@hookimpl
def artifex_kinds() -> list[Kind]:
    """Return the kinds that spectral owns."""
    return [
        Kind(
            name="window",
            group="artifex.windows",
            summary="A window: f(length, *, periodic=True, **options) -> (length,).",
            form="function",
            positional=1,
            call=("periodic",),
        ),
        Kind(
            name="preset",
            group="artifex.presets",
            summary="A spectral configuration that fixes every convention of another tool.",
            form="value",
        ),
    ]


@hookimpl
def artifex_contracts() -> dict[str, str]:
    """Return how the conformance kit runs components of those kinds."""
    where = "artifex.generative_models.extensions.audio_processing.spectral.contracts"
    return {kind: f"{where}:{kind}" for kind in ("window", "preset")}


@hookimpl
def artifex_commands(app: Any) -> None:
    """Add ``features`` and ``preset``."""
    from artifex.plugins import spectral_commands

    spectral_commands.add_to(app)
