"""What every extension has: a weight, a switch, features and a loss."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from artifex.generative_models.core.configuration import ExtensionConfig


class ModelExtension(nnx.Module):
    """A module beside a model: it derives features from what the model sees and gives, and a loss from them.

    As it stands it adds nothing; a subclass gives ``__call__``, ``loss_fn`` or both.

    Args:
        config: Its weight, whether it is enabled, and its options.
        rngs: Where a subclass draws its parameters from; None for one that has none.

    Example:
        >>> extension = ModelExtension(ExtensionConfig(weight=0.5))
        >>> extension.weight, extension.enabled, extension({"audio": None})
        (0.5, True, {})
        >>> float(extension.loss_fn({}, {}))
        0.0
    """

    def __init__(self, config: ExtensionConfig, *, rngs: nnx.Rngs | None = None) -> None:
        if not isinstance(config, ExtensionConfig):
            raise TypeError(f"{type(self).__name__} takes config=ExtensionConfig(…), got {type(config).__name__}")
        self.weight = float(config.weight)
        self.enabled = config.enabled

    def __call__(self, inputs: Any, model_outputs: Any = None) -> dict[str, Any]:
        """Return features by name.

        Args:
            inputs: What the model was given.
            model_outputs: What it gave back.

        Returns:
            Features by name; none here.
        """
        return {}

    def loss_fn(self, batch: Any, model_outputs: Any) -> jax.Array:
        """Return the extension's loss, its weight included.

        Args:
            batch: What the model was trained on.
            model_outputs: What it gave back.

        Returns:
            A scalar; 0 here.
        """
        return jnp.zeros(())
