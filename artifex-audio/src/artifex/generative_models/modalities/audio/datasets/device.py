"""Batches of a loader on devices: one device, a mesh, or a mesh over many hosts."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from artifex.generative_models.core.checks import check_integer
from artifex.generative_models.modalities.audio.datasets.loader import Loader, Progress

if TYPE_CHECKING:
    import jax


def device_batches(
    loader: Loader,
    sharding: jax.sharding.Sharding | jax.sharding.Mesh | None = None,
    *,
    prefetch: int = 2,
) -> DeviceBatches:
    """Return a loader's batches as ``jax.Array``s, put on the devices some batches ahead.

    Args:
        loader: What ``make_loader`` made; what is put ahead is taken from it, so its place is asked of the result.
        sharding: A sharding whose first axis is the batch, such as ``NamedSharding(mesh, P("data"))``: the batch axis
            of every array is laid out so, and the axes after it as far as an array has them. A mesh of one axis
            divides the batch over it. None is the default device, with this process's rows alone.
        prefetch: How many batches are put on the devices before they are asked for, at least 0.

    Returns:
        An iterator over dicts of ``jax.Array``s, each of ``batch_size`` rows on a mesh, over however many hosts.
        Strings are left out; 64 bits become 32 unless ``jax_enable_x64`` is set. Where a dataset has more than 2**31
        examples, whose places 32 bits do not hold, ``index`` stays a NumPy array in every batch: int64, this process's
        rows. After ``loader.rewind()`` or ``loader.restore(…)`` it goes on where the loader stands.

    Raises:
        TypeError: For something that is no loader or sharding.
        ValueError: When the batch does not divide by the devices, or this process's devices hold other rows than the
            loader makes; the message says which ``shard`` would fit.

    Example:
        >>> from artifex.generative_models.modalities.audio import make_loader
        >>> loader = make_loader([{"x": float(i), "name": "a"} for i in range(8)], 4)
        >>> for batch in device_batches(loader):
        ...     print(sorted(batch), batch["x"])
        ['epoch', 'index', 'valid', 'x'] [0. 1. 2. 3.]
        ['epoch', 'index', 'valid', 'x'] [4. 5. 6. 7.]
    """
    if not isinstance(loader, Loader):
        raise TypeError(f"device_batches takes what make_loader returns, got {type(loader).__name__}")
    check_integer("prefetch", prefetch, minimum=0)
    return DeviceBatches(iter(loader), _checked_sharding(loader, sharding), int(prefetch))


class DeviceBatches:
    """An iterator over a loader's batches on devices; ``device_batches`` makes it."""

    def __init__(self, loader: Loader, sharding: Any, prefetch: int) -> None:
        self._loader = loader
        self._sharding = sharding
        self._prefetch = prefetch
        self._ahead: deque[tuple[dict[str, Any], int, tuple[tuple[float, int], ...]]] = deque()
        self._end: BaseException | None = None
        self._step = loader.progress.step
        self._moments: tuple[tuple[float, int], ...] = ()
        self._wanted = 1
        self._turn = loader._turn

    def __iter__(self) -> DeviceBatches:
        self._follow()
        if isinstance(self._end, StopIteration) and not self._ahead:
            iter(self._loader)  # which says what to do at the end
        return self

    def __next__(self) -> dict[str, Any]:
        self._follow()
        # One more each time until enough are ahead, so that the first batch does not wait for those after it.
        while len(self._ahead) < self._wanted and self._end is None:
            self._fetch()
        self._wanted = min(self._wanted + 1, self._prefetch + 1)
        if not self._ahead:
            assert self._end is not None
            raise self._end
        batch, self._step, self._moments = self._ahead.popleft()
        return batch

    def state(self) -> dict[str, Any]:
        """Return the loader's state after the latest batch that was given out here."""
        self._follow()
        return self._loader._state_at(self._step)

    @property
    def progress(self) -> Progress:
        """How far what was given out here has come."""
        self._follow()
        return self._loader._progress_at(self._step, self._moments)

    def _follow(self) -> None:
        """Drop what is ahead where the loader was rewound or restored since: it is of another place."""
        if self._turn != self._loader._turn:
            self._turn, self._end, self._wanted = self._loader._turn, None, 1
            self._step, self._moments = self._loader._step, ()
            self._ahead.clear()

    def _fetch(self) -> None:
        try:
            batch = next(self._loader)
            # By the dataset and not by the batch: what index is may differ between neither batches nor hosts.
            on_host = ("index",) if self._loader._plan.n_examples > 2**31 and not _wide() else ()
            put = _put(batch, self._sharding, self._loader.batch_size, on_host)
        except Exception as end:  # noqa: BLE001  raised where its batch would have come
            self._end = end
        else:
            self._ahead.append((put, self._loader._step, tuple(self._loader._moments)))


def _put(
    batch: Mapping[str, Any], sharding: Any, batch_size: int, on_host: Sequence[str] = (), within: str = ""
) -> dict[str, Any]:
    import jax

    put: dict[str, Any] = {}
    for key, value in batch.items():
        if key in on_host:
            put[key] = value
        elif isinstance(value, dict):
            put[key] = _put(value, sharding, batch_size, within=f"{within}{key}.")
        elif value.dtype.kind not in "US":
            value = _narrowed(within + key, value)
            laid_out = _for_rank(sharding, value.ndim)
            if laid_out is None or laid_out.is_fully_addressable:
                put[key] = jax.device_put(value, laid_out)
            else:
                # Without the global shape, hosts with different numbers of rows would pass unnoticed.
                shape = (batch_size, *value.shape[1:])
                put[key] = jax.make_array_from_process_local_data(laid_out, value, global_shape=shape)
    return put


def _wide() -> bool:
    import jax

    return bool(jax.dtypes.canonicalize_dtype(np.int64) == np.int64)


def _narrowed(name: str, value: np.ndarray) -> np.ndarray:
    import jax

    dtype = jax.dtypes.canonicalize_dtype(value.dtype)
    if value.dtype.kind in "iu" and dtype != value.dtype and value.size:
        bounds = np.iinfo(dtype)
        if value.min() < bounds.min or value.max() > bounds.max:
            raise OverflowError(
                f"{name!r} has {value.max()}, which {dtype} does not hold: set jax_enable_x64, or drop it in a transform"
            )
    return value.astype(dtype, copy=False)


def _checked_sharding(loader: Loader, sharding: Any) -> Any:
    from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

    if sharding is None:
        return None
    if isinstance(sharding, Mesh):
        if len(sharding.axis_names) != 1:
            raise ValueError(
                f"a mesh with the axes {sharding.axis_names} does not say which of them divide the batch: "
                f"give NamedSharding(mesh, PartitionSpec({sharding.axis_names[0]!r}))"
            )
        sharding = NamedSharding(sharding, PartitionSpec(sharding.axis_names[0]))
    if not isinstance(sharding, Sharding):
        raise TypeError(f"sharding is a jax.sharding.Sharding, a Mesh or None, got {sharding!r}")
    batch_size = loader.batch_size
    if isinstance(sharding, NamedSharding):
        spec = sharding.spec[0] if len(sharding.spec) else None
        axes = () if spec is None else spec if isinstance(spec, tuple) else (spec,)
        parts = math.prod(sharding.mesh.shape[axis] for axis in axes)
        if batch_size % parts:
            raise ValueError(
                f"batch_size {batch_size} does not divide by the {parts} parts into which {sharding.spec} lays out "
                f"the batch: {batch_size // parts * parts or parts} and {(batch_size // parts + 1) * parts} do"
            )
    held = _for_rank(sharding, 1).addressable_devices_indices_map((batch_size,))
    blocks = sorted({part[0].indices(batch_size)[:2] for part in held.values()})
    if any(before[1] != after[0] for before, after in pairwise(blocks)):
        raise ValueError(f"this process's devices hold the rows {blocks} of a batch, which are no single range")
    start, stop = blocks[0][0], blocks[-1][1]
    index, count = loader.shard
    rows = batch_size // count
    if (start, stop) != (index * rows, (index + 1) * rows):
        fitting = f"({start // (stop - start)}, {batch_size // (stop - start)})"
        raise ValueError(
            f"this process's devices hold rows {start} to {stop} of a batch under this sharding, but the loader with "
            f"shard=({index}, {count}) makes rows {index * rows} to {(index + 1) * rows}: make_loader(shard={fitting})"
        )
    return sharding


def _for_rank(sharding: Any, rank: int) -> Any:
    from jax.sharding import NamedSharding, PartitionSpec

    if not isinstance(sharding, NamedSharding) or len(sharding.spec) <= rank:
        return sharding
    return NamedSharding(sharding.mesh, PartitionSpec(*sharding.spec[:rank]), memory_kind=sharding.memory_kind)
