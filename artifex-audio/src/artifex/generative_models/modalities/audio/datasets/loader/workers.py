"""Read batches ahead, in threads of this process or in worker processes."""

from __future__ import annotations

import os
import secrets
import sys
import weakref
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from artifex.generative_models.modalities.audio.datasets.loader.batches import BatchMaker, BatchResult, map_arrays
from artifex.generative_models.modalities.audio.datasets.loader.compatibility import (
    copy_shared_memory,
    free_shared_memory,
    import_grain,
    is_importing_main,
    name_shared_memory,
    parse_absl_flags,
    wait_until_shared_memory_is_free,
)
from artifex.generative_models.modalities.audio.datasets.loader.errors import LoaderError

READ_THREADS = 2
PREFETCH_BYTES = 128 * 2**20
PREFETCH_BATCHES = 16  # enough to hide the variation of a disk's latency; more would only use memory

# Smaller arrays are sent through a pipe: writes of up to 4 KiB to a pipe are atomic, even if the worker is killed.
_MIN_SHARED_BYTES = 512

# Of a fork: the iterators of its parent. Grain's would stop the parent's workers when they are deleted.
_inherited: list[Any] = []


class Prefetcher:
    """Reads batches ahead. Nothing is read before ``start``.

    Args:
        make_batch: The function from a step to its batch.
        workers: Number of worker processes; 0 reads in threads of this process.
    """

    def __init__(self, make_batch: BatchMaker, workers: int) -> None:
        self._make_batch = make_batch
        self._workers = workers
        self._results: list[Any] = []  # Grain's iterator, while reading
        self._memory = f"afx{secrets.token_hex(2)}" if workers else ""
        self._pid = os.getpid()
        weakref.finalize(self, _stop, self._results, self._memory, self._pid)
        _prefetchers.add(self)

    @property
    def is_started(self) -> bool:
        """Whether batches are read ahead."""
        return bool(self._results)

    def start(self, step: int, max_bytes: float) -> None:
        """Start reading.

        Args:
            step: The first step.
            max_bytes: Size of the largest batch.
        """
        n_steps = self._make_batch.plan.n_steps
        n_ahead = int(max(1, min(PREFETCH_BATCHES, PREFETCH_BYTES // max(1.0, max_bytes))))
        grain = import_grain()
        batches = grain.MapDataset.range(step, n_steps).map(self._make_batch)
        if self._workers:
            self._results.append(self._start_workers(batches, n_ahead))
            return
        options = grain.ReadOptions(num_threads=min(READ_THREADS, n_ahead), prefetch_buffer_size=n_ahead)
        results = iter(batches.to_iter_dataset(options))
        results.start_prefetch()
        self._results.append(results)

    def next(self, step: int) -> BatchResult:
        """Return the next batch.

        Args:
            step: Its step, for error messages.

        Returns:
            The batch, in memory of this process.

        Raises:
            LoaderError: When reading has stopped or a worker has died.
        """
        try:
            result: BatchResult = next(self._results[0])
        except StopIteration:
            n_steps = self._make_batch.plan.n_steps
            raise LoaderError(f"reading stopped at batch {step} of {n_steps}, before the last batch") from None
        except Exception as error:
            if not self._workers:
                raise
            raise LoaderError(_explain_worker_error(error, step)) from error
        if not self._workers:
            return result
        # Workers send arrays in shared memory, which is limited: it is freed at once.
        return BatchResult(result.step, map_arrays(copy_shared_memory, result.batch), result.error)

    def stop(self) -> None:
        """Stop reading, and the workers."""
        _stop(self._results, self._memory, self._pid)

    def _start_workers(self, batches: Any, n_ahead: int) -> Iterator[BatchResult]:
        grain = import_grain()
        parse_absl_flags()
        # A batch is queued once by its worker and once in this process.
        per_worker = max(1, n_ahead // (2 * self._workers))
        options = grain.multiprocessing.MultiprocessingOptions(
            num_workers=self._workers, per_worker_buffer_size=per_worker
        )
        dataset = batches.to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0))
        shared = grain.experimental.DatasetOptions(min_shm_size=_MIN_SHARED_BYTES)
        dataset = grain.experimental.WithOptionsIterDataset(dataset, shared)
        results: Iterator[BatchResult] = iter(
            dataset.mp_prefetch(options, worker_init_fn=partial(_initialize_worker, self._memory))
        )
        return results

    def keep_results(self) -> None:
        """Keep the parent's iterator, in a fork, until the fork exits."""
        _inherited.extend(self._results)


_prefetchers: weakref.WeakSet[Prefetcher] = weakref.WeakSet()


def _keep_inherited_results() -> None:
    for prefetcher in list(_prefetchers):
        prefetcher.keep_results()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_keep_inherited_results)


def check_main_module() -> None:
    """Raise if a worker process could not import the main module, or would run all of it again.

    Raises:
        LoaderError: When the main module is not an importable file, or is not protected by
            ``if __name__ == "__main__":``.
    """
    reason = "workers are new processes, which import the main module"
    if is_importing_main():
        raise LoaderError(f'{reason}: move its statements below `if __name__ == "__main__":`')
    file = getattr(sys.modules["__main__"], "__file__", None)
    if file is None:  # a notebook or the prompt, whose functions are pickled by value
        return
    if not Path(file).exists():
        raise LoaderError(f"{reason}: it must be a file, got {file}; save it as a file or use workers=0")
    if Path(file).suffix == ".py" and "__name__" not in Path(file).read_text(encoding="utf-8", errors="replace"):
        raise LoaderError(
            f'{reason}: move the statements of {file} below `if __name__ == "__main__":`, or use workers=0'
        )


def _initialize_worker(memory: str, index: int, count: int) -> None:
    """Restrict a worker to the CPU, since the accelerator belongs to the training process, and name its shared memory."""
    name_shared_memory(memory)
    os.environ["JAX_PLATFORMS"] = "cpu"
    if "jax" in sys.modules:  # Grain imports it, without initializing a backend
        sys.modules["jax"].config.update("jax_platforms", "cpu")


def _explain_worker_error(error: Exception, step: int) -> str:
    if "exit code" not in str(error):
        return (
            f"the workers cannot be started ({type(error).__name__}: {error}): the dataset and the transforms are sent to "
            f"new processes and must be picklable and importable; workers=0 requires neither"
        )
    return (
        f"a worker process died before batch {step} ({error}). No batch was lost: the state is that of the last one "
        f"returned. Exit code -9 usually means that the system is out of memory, -7 that /dev/shm is full: use fewer workers "
        f'or smaller batches. Exit code 1 usually means that the main module lacks `if __name__ == "__main__":`'
    )


def _stop(results: list[Any], memory: str, pid: int) -> None:
    """Stop reading; ``memory`` is the prefix of the workers' shared memory, ``pid`` the process that started them."""
    if results and os.getpid() == pid:  # a fork has copies of the threads' and workers' handles, but not the threads
        results.pop().close()
        wait_until_shared_memory_is_free()
        if memory:
            free_shared_memory(memory)
