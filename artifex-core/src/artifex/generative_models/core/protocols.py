"""Protocols of components: the types that ``create`` and ``registry`` return, by kind of component."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import IO, TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import jax
    import numpy as np
    from jax.typing import ArrayLike


class AudioType(Protocol):
    """A function with its options bound that renders a synthetic waveform (n_time_steps,), float32."""

    def __call__(self, key: jax.Array, /, *, n_time_steps: int, sample_rate: int) -> jax.Array:
        """Render the waveform."""
        ...


class Augmentation(Protocol):
    """A function with its options bound that augments one example at random; shape and dtype are kept."""

    def __call__(self, x: ArrayLike, key: jax.Array, /) -> jax.Array:
        """Augment one example."""
        ...


class Metric(Protocol):
    """A function with its options bound that compares an estimate with a reference; returns a scalar."""

    def __call__(self, estimate: ArrayLike, reference: ArrayLike, /) -> jax.Array:
        """Compare one example with its reference."""
        ...


class Window(Protocol):
    """A function with its options bound that computes a window (length,)."""

    def __call__(self, length: int, /, *, periodic: bool = True) -> np.ndarray | jax.Array:
        """Compute the window."""
        ...


class Representation(Protocol):
    """A model's representation of waveforms, and its inverse, for an audio configuration.

    A representation may have an attribute ``pad_value``, the value that pads encoded examples in a batch; else it is 0.
    """

    shape: tuple[int, ...]

    def __init__(self, config: Any, /) -> None: ...

    def encode(self, audio: ArrayLike, /, *, lengths: ArrayLike | None = None) -> jax.Array:
        """Encode waveforms (..., time), with ``lengths`` valid samples each, as (..., *shape)."""
        ...

    def decode(self, encoded: ArrayLike, /, *, key: jax.Array | None = None) -> jax.Array:
        """Decode (..., *shape) to waveforms (..., time)."""
        ...


class Reader(Protocol):
    """A reader of audio files, recognized by their extensions or magic bytes (offset, bytes)."""

    @property
    def extensions(self) -> tuple[str, ...]:
        """Extensions in lower case, such as ``(".wav",)``."""
        ...

    @property
    def magic(self) -> tuple[tuple[int, bytes], ...]:
        """Magic bytes with their offsets in the file, such as ``((0, b"fLaC"),)``."""
        ...

    def open(self, stream: IO[bytes], name: str, /) -> AbstractContextManager[Any]:
        """Open a file; yields a recording with ``info`` and ``read(start, count, *, out=None)``."""
        ...


class Modality(Protocol):
    """An encoder and decoder of one kind of data; see ``modalities.base.Modality``.

    ``config=None`` means the default configuration.
    """

    config: Any

    def __init__(self, config: Any = None, *, rngs: Any = None) -> None: ...

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one encoded example."""
        ...

    def encode(self, data: Any, /) -> Any:
        """Encode examples for a model."""

    def decode(self, encoded: Any, /) -> Any:
        """Decode encoded examples; the inverse of ``encode``."""


class Dataset(Protocol):
    """A dataset of examples that are accessed by index, alone or in batches; see ``modalities.base.BaseDataset``.

    Each dataset has its own options.
    """

    config: Any
    split: str

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...

    def get_batch(self, batch_size: int) -> dict[str, Any]:
        """Draw a batch of examples."""
        ...

    def collate_fn(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Combine examples into a batch."""
        ...


class Extension(Protocol):
    """A module that computes a dict of features and a weighted loss; see ``extensions.base.ModelExtension``."""

    weight: float
    enabled: bool

    def __init__(self, config: Any, *, rngs: Any = None) -> None: ...

    def __call__(self, inputs: Any, model_outputs: Any = None) -> dict[str, Any]:
        """Compute a dict of features; its keys are their names."""
        ...

    def loss_fn(self, batch: Any, model_outputs: Any) -> jax.Array:
        """Compute the loss, multiplied by the weight."""
        ...
