"""Base class of model extensions."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from artifex.generative_models.core.configuration import ExtensionConfig


class ModelExtension(nnx.Module):
    """Base class of extensions, which compute features and a loss from the inputs and outputs of a model.

    A subclass overrides ``__call__``, ``loss_fn`` or both; the base class has no features and a loss of 0.

    Args:
        config: Loss weight, whether the extension is enabled, and its options.
        rngs: Random streams for the initialization of parameters; may be None if there are none.

    Example:
        >>> extension = ModelExtension(ExtensionConfig(weight=0.5))
        >>> extension.weight, extension.enabled, extension({"audio": None})
        (0.5, True, {})
        >>> float(extension.loss_fn({}, {}))
        0.0
    """

    def __init__(self, config: ExtensionConfig, *, rngs: nnx.Rngs | None = None) -> None:
        if not isinstance(config, ExtensionConfig):  # pyright: ignore[reportUnnecessaryIsInstance]  users' input
            raise TypeError(
                f"{type(self).__name__} requires config=ExtensionConfig(extensions={{...}}), got {type(config).__name__}"
            )
        self.weight = float(config.weight)
        self.enabled = config.enabled

    def __call__(self, inputs: Any, model_outputs: Any = None) -> dict[str, Any]:
        """Compute features.

        Args:
            inputs: Inputs of the model.
            model_outputs: Outputs of the model.

        Returns:
            Features by name; empty for the base class.
        """
        return {}

    def loss_fn(self, batch: Any, model_outputs: Any) -> jax.Array:
        """Compute the loss of the extension, multiplied by its weight.

        Args:
            batch: The training batch.
            model_outputs: Outputs of the model.

        Returns:
            A scalar; 0 for the base class.
        """
        return jnp.zeros(())
