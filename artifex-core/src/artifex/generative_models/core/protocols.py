"""What a component of each kind that artifex brings looks like to a type checker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import jax
    from jax.typing import ArrayLike


class AudioType(Protocol):
    """A synthetic sound, its options bound."""

    def __call__(self, key: jax.Array, /, *, n_time_steps: int, sample_rate: int) -> jax.Array:
        """Render ``(n_time_steps,)`` float32."""


class Augmentation(Protocol):
    """A random change of one example, its options bound."""

    def __call__(self, x: ArrayLike, key: jax.Array, /) -> jax.Array:
        """Change one example; the same shape and dtype."""


class Metric(Protocol):
    """A score of an estimate against a reference, its options bound."""

    def __call__(self, estimate: ArrayLike, reference: ArrayLike, /) -> jax.Array:
        """Score one example; a scalar."""


class Window(Protocol):
    """A window, its options bound."""

    def __call__(self, length: int, /, *, periodic: bool = True) -> ArrayLike:
        """Return the window, ``(length,)``."""


class Representation(Protocol):
    """What a waveform becomes for a model, and its inverse."""

    shape: tuple[int, ...]

    def __init__(self, config: Any, /) -> None:
        """Take the audio's configuration."""

    def encode(self, audio: ArrayLike, /) -> jax.Array:
        """Turn waveforms (..., time) into (..., *shape)."""

    def decode(self, encoded: ArrayLike, /, *, key: jax.Array | None = None) -> jax.Array:
        """Turn (..., *shape) into waveforms (..., time)."""
