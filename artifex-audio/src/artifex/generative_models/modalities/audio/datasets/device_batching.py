"""Batches of a loader on devices: one device, a mesh, or a mesh over several hosts."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, cast

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

from artifex.generative_models.core.checks import check_integer
from artifex.generative_models.core.display import html_table, one_line
from artifex.generative_models.modalities.audio.datasets.loader.batches import Batch
from artifex.generative_models.modalities.audio.datasets.loader.loader import Loader, LoaderState, Progress


def device_batches(
    loader: Loader,
    sharding: Sharding | Mesh | None = None,
    *,
    prefetch: int = 2,
) -> DeviceBatches:
    """Return an iterator over a loader's batches as ``jax.Array``s, transferred to the devices ahead of use.

    Args:
        loader: A loader. It is ahead by the prefetched batches: save the state of the returned iterator instead of its own.
        sharding: Sharding whose first axis is the batch, such as ``NamedSharding(mesh, P("data"))``. Further axes of it
            apply to the arrays that have them. A mesh with one axis shards the batch over it. None transfers the
            examples of this process to the default device.
        prefetch: Number of batches transferred ahead, at least 0.

    Returns:
        An iterator over dicts of ``jax.Array``s, on a mesh with the examples of all hosts. Strings are
        omitted. 64-bit types become 32-bit unless ``jax_enable_x64`` is set; for a dataset of more than 2**31 examples,
        ``index`` is then a NumPy array, int64, of this process's examples. After ``loader.rewind()`` or
        ``loader.restore(…)``, the iterator continues from there.

    Raises:
        TypeError: When the loader or the sharding has the wrong type.
        ValueError: When the batch cannot be divided over the devices, or the devices of this process hold other examples
            than the loader makes. The message contains the value of ``shard`` to pass to ``make_loader``.

    Example:
        >>> from artifex.generative_models.modalities.audio import make_loader
        >>> loader = make_loader([{"x": float(i), "name": "a"} for i in range(8)], 4)
        >>> for batch in device_batches(loader):
        ...     print(sorted(batch), batch["x"])
        ['epoch', 'index', 'valid', 'x'] [0. 1. 2. 3.]
        ['epoch', 'index', 'valid', 'x'] [4. 5. 6. 7.]
    """
    if not isinstance(loader, Loader):  # pyright: ignore[reportUnnecessaryIsInstance]  user input
        raise TypeError(f"loader must be a Loader, from make_loader, got {type(loader).__name__}")
    check_integer("prefetch", prefetch, minimum=0)
    return DeviceBatches(iter(loader), _check_sharding(loader, sharding), int(prefetch))


class DeviceBatches:
    """An iterator over a loader's batches on devices; created by ``device_batches``.

    Args:
        loader: The loader.
        sharding: Sharding of the batches. None uses the default device.
        prefetch: Number of batches transferred ahead.
    """

    def __init__(self, loader: Loader, sharding: Sharding | None, prefetch: int) -> None:
        self._loader = loader
        self._sharding = sharding
        self._max_ahead = prefetch
        self._n_ahead = 0
        self._reset()

    def __iter__(self) -> DeviceBatches:
        self._reset_after_restart()
        if isinstance(self._end, StopIteration) and not self._ahead:
            iter(self._loader)  # raises the loader's error for an exhausted loader
        return self

    def __next__(self) -> dict[str, Any]:
        self._loader.check_reader()
        self._reset_after_restart()
        # The number of batches ahead grows by one per batch, so that the first one is returned as soon as it is read.
        while len(self._ahead) <= self._n_ahead and self._end is None:
            self._transfer_next()
        self._n_ahead = min(self._n_ahead + 1, self._max_ahead)
        if not self._ahead:
            assert self._end is not None
            raise self._end
        batch, self._progress = self._ahead.popleft()
        return batch

    def __len__(self) -> int:
        """Return the number of batches in all epochs, as ``len(loader)`` does."""
        return len(self._loader)

    def __repr__(self) -> str:
        return one_line("DeviceBatches", self._summary())

    def _repr_html_(self) -> str:
        return html_table("DeviceBatches", self._summary())

    def _summary(self) -> dict[str, object]:
        return {**self._loader.summary(), "step": self.progress.step, "sharding": self._sharding}

    def state(self) -> LoaderState:
        """Return the loader's state after the latest batch that this iterator returned."""
        self._reset_after_restart()
        return {**self._loader.state(), "step": self._progress.step}

    @property
    def progress(self) -> Progress:
        """Progress up to the latest batch that this iterator returned."""
        self._reset_after_restart()
        return self._progress

    def _reset(self) -> None:
        self._n_restarts = self._loader.n_restarts
        self._progress = self._loader.progress
        self._ahead: deque[tuple[dict[str, Any], Progress]] = deque()
        self._end: BaseException | None = None
        self._n_ahead = 0

    def _reset_after_restart(self) -> None:
        """Drop the batches ahead if the loader was rewound or restored since."""
        if self._n_restarts != self._loader.n_restarts:
            self._reset()

    def _transfer_next(self) -> None:
        try:
            batch = next(self._loader)
            # Depends on the dataset only, so that the type of index is the same in all batches and on all hosts.
            fits = self._loader.n_examples <= 2**31 or jax.dtypes.canonicalize_dtype(np.int64) == np.int64
            on_host = {} if fits else {"index": batch.pop("index")}
            transferred = {**_transfer(batch, self._sharding, self._loader.shard[1]), **on_host}
        except Exception as end:  # noqa: BLE001  raised in place of its batch
            self._end = end
        else:
            self._ahead.append((transferred, self._loader.progress))


def _transfer(batch: Batch, sharding: Sharding | None, n_shards: int, parent: str = "") -> dict[str, Any]:
    transferred: dict[str, Any] = {}
    for key, value in batch.items():
        if isinstance(value, dict):
            transferred[key] = _transfer(value, sharding, n_shards, f"{parent}{key}.")
        elif value.dtype.kind not in "US":
            array = _as_jax_dtype(parent + key, value)
            array_sharding = None if sharding is None else _for_rank(sharding, array.ndim)
            if array_sharding is None or array_sharding.is_fully_addressable:
                transferred[key] = jax.device_put(array, array_sharding)
            else:
                # The global shape is required: without it, hosts with different numbers of examples would not raise.
                shape = (array.shape[0] * n_shards, *array.shape[1:])
                transferred[key] = jax.make_array_from_process_local_data(array_sharding, array, global_shape=shape)
    return transferred


def _as_jax_dtype(name: str, array: np.ndarray) -> np.ndarray:
    dtype = jax.dtypes.canonicalize_dtype(array.dtype)
    if array.dtype.kind in "iu" and dtype != array.dtype and array.size:
        bounds = np.iinfo(dtype)
        if array.min() < bounds.min or array.max() > bounds.max:
            raise OverflowError(
                f"{name!r} must fit into {dtype}, got {array.max()}; set jax_enable_x64, or drop it in a transform"
            )
    return array.astype(dtype, copy=False)


def _check_sharding(loader: Loader, sharding: object) -> Sharding | None:
    if sharding is None:
        return None
    if isinstance(sharding, Mesh):
        if len(sharding.axis_names) != 1:
            raise ValueError(
                f"a mesh must have one axis to shard the batch over, got {sharding.axis_names}; pass "
                f"NamedSharding(mesh, PartitionSpec({sharding.axis_names[0]!r}))"
            )
        sharding = NamedSharding(sharding, PartitionSpec(sharding.axis_names[0]))
    if not isinstance(sharding, Sharding):
        raise TypeError(f"sharding must be a jax.sharding.Sharding, a Mesh or None, got {sharding!r}")
    if isinstance(sharding, NamedSharding):
        spec: str | tuple[str, ...] | None = sharding.spec[0] if len(sharding.spec) else None
        axes = () if spec is None else spec if isinstance(spec, tuple) else (spec,)
        n_shards = math.prod(sharding.mesh.shape[axis] for axis in axes)
        for batch_size in loader.batch_sizes:
            if batch_size % n_shards:
                raise ValueError(
                    f"batch_size must be a multiple of the {n_shards} shards of {sharding.spec}, got {batch_size}; use "
                    f"{batch_size // n_shards * n_shards or n_shards} or {(batch_size // n_shards + 1) * n_shards}, or with a "
                    f"budget batch_multiple={n_shards}"
                )
    for batch_size in loader.batch_sizes:
        _check_positions(loader.shard, batch_size, sharding)
    return sharding


def _check_positions(shard: tuple[int, int], batch_size: int, sharding: Sharding) -> None:
    """Raise unless the devices of this process hold the positions of the batch that the loader makes."""
    by_device = cast("Mapping[Any, Any]", _for_rank(sharding, 1).addressable_devices_indices_map((batch_size,)))
    ranges = sorted({indices[0].indices(batch_size)[:2] for indices in by_device.values() if indices is not None})
    if any(before[1] != after[0] for before, after in pairwise(ranges)):
        raise ValueError(
            f"the devices of this process must hold one range of the batch, got the ranges {ranges}; reorder the mesh"
        )
    start, stop = ranges[0][0], ranges[-1][1]
    index, count = shard
    n_per_shard = batch_size // count
    if (start, stop) != (index * n_per_shard, (index + 1) * n_per_shard):
        fitting = f"({start // (stop - start)}, {batch_size // (stop - start)})"
        raise ValueError(
            f"the devices of this process hold examples {start} to {stop} of a batch, but the loader with shard=({index}, "
            f"{count}) makes examples {index * n_per_shard} to {(index + 1) * n_per_shard}; use make_loader(shard={fitting})"
        )


def _for_rank(sharding: Sharding, rank: int) -> Sharding:
    """Return the sharding of an array with fewer axes than the sharding has."""
    if not isinstance(sharding, NamedSharding) or len(sharding.spec) <= rank:
        return sharding
    return NamedSharding(sharding.mesh, PartitionSpec(*sharding.spec[:rank]), memory_kind=sharding.memory_kind)
