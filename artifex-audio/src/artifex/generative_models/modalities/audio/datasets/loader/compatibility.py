"""Private attributes of Grain, concurrent.futures and multiprocessing, each with the reason why it is needed.

No other module of the package uses private attributes of other packages. A test checks that all of them exist and names
the missing ones.
"""

from __future__ import annotations

import concurrent.futures.thread
import inspect
import multiprocessing
import multiprocessing.spawn
from multiprocessing import resource_tracker, shared_memory
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from artifex.generative_models.core.extras import require


def import_grain() -> ModuleType:
    """Import Grain.

    Returns:
        The module.

    Raises:
        MissingDependencyError: When it is not installed.
    """
    return require("grain", install="artifex-audio[loader]", purpose="make_loader")


def interpreter_is_exiting() -> bool:
    """Return whether the interpreter is exiting.

    ``concurrent.futures.thread._shutdown``: at exit, Python waits until Grain's threads have read everything that is
    queued. The loader stops reading when the flag is set. There is no public flag.
    """
    return bool(getattr(concurrent.futures.thread, "_shutdown", False))


def is_importing_main() -> bool:
    """Return whether this process is a worker that is importing the main module.

    ``multiprocessing.process.BaseProcess._inheriting``: set while a spawned process imports the main module. Creating a
    loader with workers during this import would start workers recursively. multiprocessing checks the same attribute,
    but only after the first batch is requested, and its error does not name the loader.
    """
    return bool(getattr(multiprocessing.current_process(), "_inheriting", False))


def copy_shared_memory(array: np.ndarray) -> np.ndarray:
    """Copy an array that a Grain worker sent, and free the shared memory that it is in.

    ``grain.multiprocessing.SharedMemoryArray._unlink_on_del``: Grain frees the memory when the array is deleted.
    References in Grain's threads may delay this until the interpreter has stopped; the memory then leaks. This function
    therefore frees the memory after the copy and clears the flag.

    Args:
        array: An array, in shared memory or not.

    Returns:
        A NumPy array of this process.
    """
    copied = np.array(array)
    if getattr(array, "shm", None) is not None:
        shared: Any = array
        shared._unlink_on_del = False
        shared.shm.unlink()
    return copied


def wait_until_shared_memory_is_free() -> None:
    """Wait until Grain has freed the shared memory of deleted arrays.

    ``grain.multiprocessing.SharedMemoryArray._del_thread_pool``: Grain frees shared memory in a thread pool. The pool
    is stopped at exit before it has finished, and the memory leaks. A task added here ends after all earlier tasks.
    """
    pool = getattr(import_grain().multiprocessing.SharedMemoryArray, "_del_thread_pool", None)
    if pool is not None:
        pool.apply(bool)


def name_shared_memory(prefix: str) -> None:
    """Let the names of all shared memory that this process creates start with a prefix.

    ``multiprocessing.shared_memory._SHM_NAME_PREFIX``: a worker that is killed leaves the shared memory of batches that
    were not read yet. With this prefix the training process can find and free it. There is no public way to name it.

    Args:
        prefix: At most 9 letters and digits.
    """
    shared_memory.__dict__["_SHM_NAME_PREFIX"] = f"/{prefix}"


def free_shared_memory(prefix: str) -> None:
    """Free all shared memory whose name starts with a prefix. Only Linux lists it, in ``/dev/shm``.

    Args:
        prefix: The prefix.
    """
    for file in Path("/dev/shm").glob(f"{prefix}*"):
        file.unlink(missing_ok=True)
        # A worker that was killed while it created the file has not registered it.
        resource_tracker.register(f"/{file.name}", "shared_memory")
        resource_tracker.unregister(f"/{file.name}", "shared_memory")


def parse_absl_flags() -> None:
    """Mark absl's flags as parsed.

    Grain workers read absl flags, which raises in programs that are not absl apps (grain#1355). ``absl.flags`` is public,
    but its use by Grain is not documented.
    """
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()


def missing_private_attributes() -> list[str]:
    """Return the private attributes used here that the installed versions lack; a test requires an empty list.

    Returns:
        Full names.
    """
    shared_memory_array = import_grain().multiprocessing.SharedMemoryArray
    array = shared_memory_array((1,), np.float32)
    array.unlink_on_del()
    exists = {
        "concurrent.futures.thread._shutdown": hasattr(concurrent.futures.thread, "_shutdown"),
        # Set only in a process that is being spawned.
        "multiprocessing.process.BaseProcess._inheriting": "_inheriting" in inspect.getsource(multiprocessing.spawn),
        "multiprocessing.shared_memory._SHM_NAME_PREFIX": hasattr(shared_memory, "_SHM_NAME_PREFIX"),
        "grain.multiprocessing.SharedMemoryArray.shm": hasattr(array, "shm"),
        "grain.multiprocessing.SharedMemoryArray._unlink_on_del": hasattr(array, "_unlink_on_del"),
        "grain.multiprocessing.SharedMemoryArray._del_thread_pool": hasattr(shared_memory_array, "_del_thread_pool"),
    }
    return [name for name, there in exists.items() if not there]
