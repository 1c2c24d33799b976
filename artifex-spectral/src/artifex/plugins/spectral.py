"""Plugin of artifex-spectral: the kinds window and preset, their contracts, and commands."""

from __future__ import annotations

from typing import Any

from artifex.generative_models.core import Kind, hookimpl


@hookimpl
def artifex_kinds() -> list[Kind]:
    """Return the kinds that artifex-spectral defines."""
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
            summary="A spectral configuration that reproduces another tool.",
            form="value",
        ),
    ]


@hookimpl
def artifex_contracts() -> dict[str, str]:
    """Return the contracts of these kinds for the conformance kit."""
    where = "artifex.generative_models.extensions.audio_processing.spectral.contracts"
    return {kind: f"{where}:{kind}" for kind in ("window", "preset")}


@hookimpl
def artifex_commands(app: Any) -> None:
    """Add the commands ``features`` and ``preset``."""
    from artifex.plugins import spectral_commands

    spectral_commands.add_to(app)
