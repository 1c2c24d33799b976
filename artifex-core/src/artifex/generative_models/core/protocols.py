"""Protocols of components: the types that ``create`` and ``registry`` return for each kind of artifex."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import jax
    import numpy as np
    from jax.typing import ArrayLike


class AudioType(Protocol):
    """A synthetic sound, its options bound."""

    def __call__(self, key: jax.Array, /, *, n_time_steps: int, sample_rate: int) -> jax.Array:
        """Render a waveform (n_time_steps,), float32."""


class Augmentation(Protocol):
    """A random change of one example, its options bound."""

    def __call__(self, x: ArrayLike, key: jax.Array, /) -> jax.Array:
        """Augment one example; shape and dtype are kept."""


class Metric(Protocol):
    """A score of an estimate against a reference, its options bound."""

    def __call__(self, estimate: ArrayLike, reference: ArrayLike, /) -> jax.Array:
        """Score one example; returns a scalar."""


class Window(Protocol):
    """A window, its options bound."""

    def __call__(self, length: int, /, *, periodic: bool = True) -> np.ndarray | jax.Array:
        """Compute the window (length,)."""


class Representation(Protocol):
    """A model's representation of waveforms, and its inverse."""

    shape: tuple[int, ...]

    def __init__(self, config: Any, /) -> None:
        """Create it for an audio configuration."""

    def encode(self, audio: ArrayLike, /) -> jax.Array:
        """Encode waveforms (..., time) as (..., *shape)."""

    def decode(self, encoded: ArrayLike, /, *, key: jax.Array | None = None) -> jax.Array:
        """Decode (..., *shape) to waveforms (..., time)."""


class Modality(Protocol):
    """A kind of data with its configuration; see ``modalities.base.Modality``."""

    config: Any

    def __init__(self, config: Any = None, *, rngs: Any = None) -> None:
        """Create it; ``None`` means the default configuration."""

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one encoded example."""

    def encode(self, data: Any, /) -> Any:
        """Encode examples for a model."""

    def decode(self, encoded: Any, /) -> Any:
        """Decode what a model works on."""


class Dataset(Protocol):
    """Examples by index, and batches of them; see ``modalities.base.BaseDataset``."""

    config: Any
    split: str

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Create it; the options differ per dataset."""

    def __len__(self) -> int:
        """Return the number of examples."""

    def __getitem__(self, index: int) -> Any:
        """Return one example."""

    def __iter__(self) -> Iterator[Any]:
        """Yield every example once, in order."""

    def get_batch(self, batch_size: int) -> dict[str, Any]:
        """Draw a batch of examples."""

    def collate_fn(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Combine examples into a batch."""


class Extension(Protocol):
    """Features and a weighted loss beside a model; see ``extensions.base.ModelExtension``."""

    weight: float
    enabled: bool

    def __init__(self, config: Any, *, rngs: Any = None) -> None:
        """Create it from an ``ExtensionConfig``."""

    def __call__(self, inputs: Any, model_outputs: Any = None) -> dict[str, Any]:
        """Compute features by name."""

    def loss_fn(self, batch: Any, model_outputs: Any) -> jax.Array:
        """Compute the loss, multiplied by the weight."""
