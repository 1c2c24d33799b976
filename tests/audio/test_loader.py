import concurrent.futures.thread
import gc
import importlib
import json
import multiprocessing
import os
import pickle
import secrets
import signal
import sys
import textwrap
import threading
import types
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from artifex.generative_models.core.errors import MissingDependencyError
from artifex.generative_models.modalities.audio import (
    AudioFileDataset,
    AudioModalityConfig,
    AudioReadError,
    Loader,
    LoaderError,
    SyntheticAudioDataset,
    device_batches,
    make_loader,
    write_audio,
)
from artifex.generative_models.modalities.audio.datasets import random_draws
from artifex.generative_models.modalities.audio.datasets.loader import compatibility, workers
from artifex.generative_models.modalities.audio.datasets.loader import loader as loader_module
from artifex.generative_models.modalities.audio.datasets.loader.batches import picklable_error
from artifex.generative_models.modalities.base import BaseDataset

IMPORTABLE = """
    class Sealed(Exception):
        def __init__(self, path, reason):
            super().__init__(f"{path}: {reason}")

    class Faulty:
        def __len__(self):
            return 12

        def __getitem__(self, index):
            import jax

            if index == 8:
                raise Sealed("take8.wav", "is truncated")
            return {"x": index, "valid": index != 5, "platforms": str(jax.config.jax_platforms)}

    class Many:
        def __len__(self):
            return 200

        def __getitem__(self, index):
            return {"x": index}

    def gain(sample, rng):
        return {**sample, "audio": sample["audio"] * rng.uniform(0.5, 1.0)}
"""


class Numbers:
    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> dict[str, object]:
        return {"number": index, "name": f"n{index}"}


class Clips(BaseDataset):
    """Clips of given lengths, each filled with its index plus one."""

    def __init__(self, lengths: Sequence[int]) -> None:
        super().__init__(None, rngs=None)
        self._lengths = np.array(lengths)

    def __len__(self) -> int:
        return len(self._lengths)

    def __getitem__(self, index: int) -> dict[str, object]:
        return {"audio": np.full(self._lengths[index], index + 1, np.float32)}

    def lengths(self) -> np.ndarray:
        return self._lengths


def indices(batches: Sequence[Mapping[str, np.ndarray]]) -> list[int]:
    return [int(index) for batch in batches for index in batch["index"]]


def assert_same(batch: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    assert list(batch) == list(expected)
    for key, value in expected.items():
        assert batch[key].dtype == value.dtype
        np.testing.assert_array_equal(batch[key], value, err_msg=key)


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    folder.mkdir()
    for number in range(12):
        noise = np.random.default_rng(number).uniform(-0.5, 0.5, 1600 + 100 * number)
        write_audio(folder / f"{number:02}.wav", noise, 8000)
    return folder


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """A module that worker processes can import, which test modules are not."""
    folder = tmp_path / "importable"
    folder.mkdir()
    (folder / "data_of_the_test.py").write_text(textwrap.dedent(IMPORTABLE))
    monkeypatch.syspath_prepend(str(folder))
    yield importlib.import_module("data_of_the_test")
    del sys.modules["data_of_the_test"]


@pytest.fixture(autouse=True)
def no_worker_is_left() -> Iterator[None]:
    yield
    assert not [child for child in multiprocessing.active_children() if "grain" in child.name]


@pytest.mark.parametrize("n", [12, 13, 19, 40])
@pytest.mark.parametrize("drop_remainder", [True, False])
def test_every_example_is_returned_once_per_epoch(n: int, drop_remainder: bool) -> None:
    loader = make_loader(Numbers(n), 4, shuffle=True, epochs=3, drop_remainder=drop_remainder)
    batches = list(loader)
    assert len(batches) == len(loader) == 3 * loader.steps_per_epoch
    for epoch in range(3):
        in_epoch = batches[epoch * loader.steps_per_epoch : (epoch + 1) * loader.steps_per_epoch]
        assert all((batch["epoch"] == epoch).all() and batch["index"].shape == (4,) for batch in in_epoch)
        returned = [index for index in indices(in_epoch) if index >= 0]
        assert len(returned) == len(set(returned)) == (n // 4 * 4 if drop_remainder else n)
    orders = [tuple(indices(batches[i :: loader.steps_per_epoch])) for i in range(loader.steps_per_epoch)]
    assert len(set(orders)) == len(orders)


@pytest.mark.parametrize("case", range(12))
def test_shards_and_restarts_do_not_change_the_batches(case: int) -> None:
    rng = np.random.default_rng(case)
    options = {
        "batch_size": int(rng.choice([4, 8])),
        "shuffle": bool(rng.integers(2)),
        "seed": int(rng.integers(100)),
        "epochs": 3,
        "drop_remainder": bool(rng.integers(2)),
    }
    if case % 2:
        dataset: object = Clips(rng.integers(1, 40, size=29).tolist())
        options["bucket_lengths"] = (10, 25, 40)
    else:
        dataset = Numbers(29)
    whole = list(make_loader(dataset, **options))
    state, step = make_loader(dataset, **options).state(), 0
    while step < len(whole):
        count = int(rng.choice([1, 2, 4]))
        shards = [make_loader(dataset, **options, shard=(index, count)) for index in range(count)]
        for shard in shards:
            shard.restore(json.loads(json.dumps(state)))
        for _ in range(min(int(rng.integers(1, 9)), len(whole) - step)):
            parts = [next(shard) for shard in shards]
            assert_same({key: np.concatenate([part[key] for part in parts]) for key in parts[0]}, whole[step])
            step += 1
        states = [shard.state() for shard in shards]
        assert all(each == states[0] for each in states)
        state = states[0]
    assert all(next(shard, None) is None for shard in shards)


def test_orders_of_different_seeds_differ_in_all_epochs() -> None:
    def epochs(seed: int) -> list[list[int]]:
        batches = list(make_loader(Numbers(20), 20, shuffle=True, seed=seed, epochs=2))
        return [indices([batch]) for batch in batches]

    first, second = epochs(0), epochs(1)
    assert first[1] not in second
    assert first == epochs(0)
    assert first[0] != first[1]


def test_without_shuffle_the_order_is_that_of_the_dataset() -> None:
    assert indices(list(make_loader(Numbers(10), 5, epochs=2))) == [*range(10), *range(10)]


def test_a_billion_examples_are_shuffled_without_memory() -> None:
    loader = make_loader(Numbers(10**9), 8, shuffle=True, epochs=None)
    first = next(loader)["number"]
    assert len(set(first.tolist())) == 8
    assert first.max() > 10**8
    loader.restore({**loader.state(), "step": 10**12})
    assert next(loader)["epoch"][0] == 10**12 // (10**9 // 8)
    loader.close()


def test_batches_are_arrays_with_length_valid_index_and_epoch() -> None:
    samples = [
        {"audio": np.ones((2, 6), np.float32), "label": i % 3, "gain": 0.5, "path": f"{i}.wav"} for i in range(5)
    ]
    last = list(make_loader(samples, 3, drop_remainder=False))[1]
    assert {key: value.shape for key, value in last.items()} == {
        "audio": (3, 2, 6),
        "mask": (3, 6),
        **dict.fromkeys(("epoch", "gain", "index", "label", "length", "path", "valid"), (3,)),
    }
    assert last["valid"].tolist() == [True, True, False]
    assert last["index"].tolist() == [3, 4, -1]
    assert last["length"].tolist() == [6, 6, 0]
    assert last["mask"].tolist() == [[True] * 6, [True] * 6, [False] * 6]
    assert last["label"].tolist() == [0, 1, 0]
    assert last["path"].tolist() == ["3.wav", "4.wav", ""]
    assert not last["audio"][2].any()
    assert last["audio"].dtype == np.float32
    assert last["index"].dtype == last["epoch"].dtype == np.int64


def test_a_shard_of_padding_only_has_the_shapes_of_the_others() -> None:
    samples = [{"audio": np.ones(6, np.float32), "truth": {"f0": np.ones(2)}} for _ in range(5)]
    full, last = list(make_loader(samples, 4, shard=(1, 2), drop_remainder=False))
    assert full["audio"].shape == last["audio"].shape == (2, 6)
    assert full["truth"]["f0"].tolist() == [[1, 1], [1, 1]]
    assert not last["truth"]["f0"].any()
    assert last["index"].tolist() == [-1, -1]
    assert not last["valid"].any()


def test_invalid_examples_of_the_dataset_stay_invalid() -> None:
    samples = [{"x": i, "valid": i != 1} for i in range(3)]
    batches = list(make_loader(samples, 2, drop_remainder=False))
    assert [batch["valid"].tolist() for batch in batches] == [[True, False], [True, False]]


def test_device_arrays_of_a_dataset_become_numpy() -> None:
    dataset = SyntheticAudioDataset(AudioModalityConfig(duration=0.01), n_samples=4)
    batch = next(make_loader(dataset, 4))
    assert type(batch["audio"]) is np.ndarray
    np.testing.assert_array_equal(batch["audio"], dataset[0:4]["audio"])
    assert batch["audio_type"].tolist() == ["sine", "noise", "chirp", "sine"]


def test_a_dataset_with_examples_is_read_in_batches() -> None:
    calls = []

    class Together(Clips):
        def examples(self, indices: Sequence[int], *, epoch: int | None = None) -> list[dict[str, object]]:
            calls.append((list(indices), epoch))
            return super().examples(indices, epoch=epoch)

    list(make_loader(Together([4] * 4), 2, epochs=2))
    assert sorted(calls, key=str) == sorted([([0, 1], 0), ([2, 3], 0), ([0, 1], 1), ([2, 3], 1)], key=str)


def test_transforms_draw_from_the_seed_epoch_and_index() -> None:
    def both(sample: Mapping[str, object], rng: np.random.Generator) -> dict[str, object]:
        return {**sample, "drawn": rng.uniform()}

    loader = make_loader(
        Numbers(6), 3, shuffle=True, seed=5, epochs=2, transforms=[lambda sample: {**sample, "twice": 2}, both]
    )
    for batch in loader:
        assert batch["twice"].tolist() == [2, 2, 2]
        expected = [
            np.random.default_rng(np.random.SeedSequence(5, spawn_key=(2, int(epoch), int(index), 1))).uniform()
            for epoch, index in zip(batch["epoch"], batch["index"], strict=True)
        ]
        assert batch["drawn"].tolist() == expected


@pytest.mark.parametrize("drop_remainder", [True, False])
def test_buckets_contain_every_example_once_padded_to_the_shortest_that_fits(drop_remainder: bool) -> None:
    lengths = np.random.default_rng(0).integers(1, 100, size=203)
    buckets = (16, 32, 64, 100)
    options = {"shuffle": True, "epochs": 2, "drop_remainder": drop_remainder, "bucket_lengths": buckets}
    loader = make_loader(Clips(lengths.tolist()), 8, **options)
    batches = list(loader)
    for epoch in range(2):
        in_epoch = [batch for batch in batches if batch["epoch"][0] == epoch]
        returned = [index for index in indices(in_epoch) if index >= 0]
        assert len(in_epoch) == loader.steps_per_epoch
        assert len(returned) == len(set(returned)) == (200 if drop_remainder else 203)
    for batch in batches:
        bucket = batch["audio"].shape[1]
        for audio, length, index in zip(batch["audio"], batch["length"], batch["index"], strict=True):
            if index >= 0:
                assert length == lengths[index]
                assert (audio == np.where(np.arange(bucket) < length, index + 1, 0)).all()
    # At most one batch of a bucket moves to the next one.
    sizes = {bucket: int((np.searchsorted(buckets, lengths) == number).sum()) for number, bucket in enumerate(buckets)}
    for bucket, count in sizes.items():
        in_it = sum(
            int(np.searchsorted(buckets, length) == buckets.index(bucket))
            for batch in batches
            if batch["audio"].shape[1] == bucket and batch["epoch"][0] == 0
            for length in batch["length"][batch["valid"]]
        )
        assert in_it > count - 8 - (3 if drop_remainder else 0)


def test_a_function_compiles_once_for_each_bucket() -> None:
    lengths = np.random.default_rng(1).integers(1, 64, size=200).tolist()
    traced = []

    @jax.jit
    def total(audio: jax.Array) -> jax.Array:
        traced.append(audio.shape)
        return audio.sum()

    loader = make_loader(Clips(lengths), 4, shuffle=True, bucket_lengths=(16, 32, 64))
    for batch in device_batches(loader):
        total(batch["audio"])
    assert sorted(traced) == [(4, 16), (4, 32), (4, 64)]


def test_a_bucket_cuts_the_padding_of_the_dataset() -> None:
    class Padded(Clips):
        def __getitem__(self, index: int) -> dict[str, object]:
            audio = super().__getitem__(index)["audio"]
            return {"audio": np.pad(audio, (0, 50 - len(audio))), "length": len(audio)}

    batches = list(make_loader(Padded([5, 30, 6, 31]), 2, bucket_lengths=(8, 50)))
    assert [batch["audio"].shape for batch in batches] == [(2, 8), (2, 50)]
    assert [batch["length"].tolist() for batch in batches] == [[5, 6], [30, 31]]
    assert batches[0]["audio"].sum() == 5 * 1 + 6 * 3


def test_a_loop_continues_after_a_break_and_an_exhausted_loader_raises() -> None:
    loader = make_loader(Numbers(6), 2)
    for batch in loader:
        assert batch["number"].tolist() == [0, 1]
        break
    assert indices(list(loader)) == [2, 3, 4, 5]
    with pytest.raises(RuntimeError, match="is exhausted, after epochs=1 and 3 batches"):
        list(loader)
    assert indices(list(loader.rewind())) == [*range(6)]
    assert next(loader, None) is None


def test_a_restored_complete_run_is_exhausted() -> None:
    loader = make_loader(Numbers(6), 2)
    list(loader)
    again = make_loader(Numbers(6), 2).restore(loader.state())
    assert list(again) == []
    assert next(make_loader(Numbers(6), 2, epochs=2).restore(loader.state()))["epoch"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"batch_size": 4}, r"batch_sizes was \[3\] and is \[4\]"),
        ({"seed": 1}, "seed was 0 and is 1"),
        ({"shuffle": False}, "shuffle was True and is False"),
        ({"drop_remainder": False}, "drop_remainder was True and is False"),
        ({"bucket_lengths": [9]}, r"bucket_lengths was \[5, 9\] and is \[9\]"),
        ({"dataset": Clips([4] * 11)}, "dataset_length was 12 and is 11"),
        ({"dataset": Clips([5] * 12)}, "lengths_crc32 was"),
    ],
)
def test_the_state_of_other_batches_raises(changed: Mapping[str, object], message: str) -> None:
    options = {"dataset": Clips([4] * 12), "batch_size": 3, "shuffle": True, "bucket_lengths": (5, 9)}
    state = make_loader(**options).state()
    with pytest.raises(ValueError, match=message):
        make_loader(**{**options, **changed}).restore(state)


def test_an_invalid_state_raises() -> None:
    loader = make_loader(Numbers(6), 2)
    with pytest.raises(TypeError, match="state must be a dict with step, dataset"):
        loader.restore({"step": 1})
    with pytest.raises(ValueError, match="state's step must be at most 3, the number of batches with epochs=1, got 4"):
        loader.restore({**loader.state(), "step": 4})


def test_progress_counts_examples_without_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(np.arange(100) * 0.5)
    monkeypatch.setattr(loader_module.time, "perf_counter", lambda: float(next(clock)))
    loader = make_loader(Numbers(10), 4, epochs=2, drop_remainder=False)
    seen = []
    for _ in loader:
        at = loader.progress
        seen.append((at.epoch, at.step, at.examples, at.fraction))
    assert seen == [
        (0, 1, 4, 1 / 6),
        (0, 2, 8, 2 / 6),
        (0, 3, 10, 0.5),
        (1, 4, 14, 4 / 6),
        (1, 5, 18, 5 / 6),
        (1, 6, 20, 1),
    ]
    assert loader.progress.examples_per_second == pytest.approx(16 / 2.5)
    forever = make_loader(Numbers(10), 4, epochs=None)
    assert forever.progress.fraction is None
    with pytest.raises(TypeError, match="epochs=None has no length"):
        len(forever)


def test_orbax_saves_the_state_beside_a_model(tmp_path: Path) -> None:
    def loader() -> Loader:
        return make_loader(Numbers(20), 4, shuffle=True, epochs=2)

    batches = device_batches(loader())
    for _ in range(3):
        next(batches)
    model = {"weights": jnp.arange(3.0)}
    with ocp.CheckpointManager(tmp_path / "run") as manager:
        saved = ocp.args.Composite(model=ocp.args.StandardSave(model), loader=ocp.args.JsonSave(batches.state()))
        manager.save(3, args=saved)
        manager.wait_until_finished()
        items = ocp.args.Composite(model=ocp.args.StandardRestore(model), loader=ocp.args.JsonRestore())
        restored = manager.restore(3, args=items)
    assert_same(next(loader().restore(restored.loader)), list(loader())[3])


def test_prefetching_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    n_bytes = 4 * 100 * 4
    monkeypatch.setattr(workers, "PREFETCH_BYTES", int(3.5 * (n_bytes + 4 * 30)))
    made, lock = [], threading.Lock()

    class Counted(Clips):
        def __getitem__(self, index: int) -> dict[str, object]:
            with lock:
                made.append(index)
            return super().__getitem__(index)

    loader = make_loader(Counted([100] * 200), 4)
    for number, _ in enumerate(loader, start=1):
        # The returned batches, three ahead, and one that replaces the batch just returned.
        assert len(made) <= 4 * (number + 4)
    assert len(made) == 200


def test_an_exiting_interpreter_stops_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    loader = make_loader(Numbers(4), 2)
    monkeypatch.setattr(concurrent.futures.thread, "_shutdown", True)
    with pytest.raises(LoaderError, match="the interpreter is exiting: batch 0 is not read"):
        next(loader)


def test_all_private_attributes_of_other_packages_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compatibility.missing_private_attributes() == []
    monkeypatch.delattr(concurrent.futures.thread, "_shutdown")
    assert compatibility.missing_private_attributes() == ["concurrent.futures.thread._shutdown"]


def test_an_error_is_raised_in_place_of_its_batch_and_again(recordings: Path) -> None:
    (recordings / "05.wav").write_bytes(b"RIFF\x10\0\0\0WAVEjunk")
    dataset = AudioFileDataset(AudioModalityConfig(sample_rate=8000, duration=0.1), recordings)
    loader = make_loader(dataset, 2)
    assert indices([next(loader), next(loader)]) == [0, 1, 2, 3]
    for _ in range(2):
        with pytest.raises(AudioReadError, match="05.wav"):
            next(loader)
    assert loader.state()["step"] == 2
    (recordings / "05.wav").write_bytes((recordings / "04.wav").read_bytes())
    assert indices(list(loader.restore(loader.state()))) == [*range(4, 12)]


def test_an_error_of_a_transform_names_the_example() -> None:
    def broken(sample: Mapping[str, object]) -> Mapping[str, object]:
        return sample if sample["number"] != 3 else {"quotient": 1 / 0}

    loader = make_loader(Numbers(6), 2, transforms=[broken])
    next(loader)
    with pytest.raises(ZeroDivisionError) as caught:
        next(loader)
    assert caught.value.__notes__ == ["in transform 0 of example 3 of Numbers, epoch 0"]


def stop(example: Mapping[str, object]) -> Mapping[str, object]:
    return {**example, "next": next(iter(()))} if example["number"] == 5 else example


class Stopping(Numbers):
    def __getitem__(self, index: int) -> dict[str, object]:
        return dict(stop(super().__getitem__(index)))


class TooLong(Numbers):
    def __getitem__(self, index: int) -> dict[str, object]:
        return {"number": [0, 1, 2][index]}


@pytest.mark.parametrize(
    ("dataset", "transforms", "place"),
    [
        (Numbers(8), [stop], "in transform 0 of example 5 of Numbers, epoch 0"),
        (Stopping(8), [], "in example 5 of Stopping, epoch 0"),
    ],
)
def test_stop_iteration_in_an_example_is_an_error(dataset: Numbers, transforms: list[object], place: str) -> None:
    loader = make_loader(dataset, 2, transforms=transforms)
    assert len([next(loader), next(loader)]) == 2
    for _ in range(2):
        with pytest.raises(LoaderError, match=f"StopIteration was raised {place}: an iterator was exhausted"):
            list(loader)


def test_a_dataset_shorter_than_its_length_raises() -> None:
    loader = make_loader(TooLong(8), 2)
    next(loader)
    with pytest.raises(IndexError):
        list(loader)


def test_a_second_thread_raises_until_the_loader_is_restored() -> None:
    loader = make_loader(Numbers(8), 2)
    assert next(loader)["number"].tolist() == [0, 1]

    def read(loader: Iterator[dict[str, Any]]) -> Any:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: next(loader)["number"].tolist()).result()

    with pytest.raises(LoaderError, match="read by the thread 'MainThread', and this is the thread"):
        read(loader)
    with pytest.raises(LoaderError, match="read by the thread 'MainThread'"):
        read(device_batches(loader))
    assert next(loader)["number"].tolist() == [2, 3]
    assert read(loader.restore(loader.state())) == [4, 5]
    assert next(loader)["number"].tolist() == [6, 7]  # that thread has ended


def test_a_fork_of_the_process_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    loader = make_loader(Numbers(8), 2)
    next(loader)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        with pytest.raises(LoaderError, match=r"belongs to process \d+, and this is process -1, a fork of it"):
            next(loader)
    assert next(loader)["number"].tolist() == [2, 3]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:RuntimeWarning", "ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("action", ["close", "rewind", "delete"])
def test_a_fork_leaves_the_workers_of_its_parent(importable: types.ModuleType, action: str) -> None:
    loaders = [make_loader(importable.Many(), 2, workers=1)]
    returned = [next(loaders[0])["x"].tolist() for _ in range(2)]
    child = os.fork()
    if not child:
        try:
            if action == "delete":
                loaders.clear()
                gc.collect()
            else:
                getattr(loaders[0], action)()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    returned += [batch["x"].tolist() for batch in loaders[0]]
    assert returned == [[i, i + 1] for i in range(0, 200, 2)]


@pytest.mark.skipif(not Path("/dev/shm").exists(), reason="this system does not list shared memory")
def test_shared_memory_is_freed_by_its_prefix() -> None:
    prefix = f"afx{secrets.token_hex(2)}"
    memory = shared_memory.SharedMemory(f"{prefix}a", create=True, size=8)
    Path(f"/dev/shm/{prefix}empty").touch()  # as of a worker that was killed while creating it
    compatibility.free_shared_memory(prefix)
    memory.close()
    assert not list(Path("/dev/shm").glob(f"{prefix}*"))


def test_workers_return_the_same_batches_on_other_shards_until_one_is_killed(
    recordings: Path, importable: types.ModuleType
) -> None:
    (recordings / "07.wav").write_bytes(b"RIFF\x10\0\0\0WAVEjunk")
    config = AudioModalityConfig(sample_rate=8000, duration=0.1)
    dataset = AudioFileDataset(config, recordings, crop="random", on_error="skip", seed=3)

    def loader(**where: object) -> Loader:
        return make_loader(dataset, 4, shuffle=True, seed=7, epochs=50, transforms=[importable.gain], **where)

    reference = loader()
    whole = [next(reference) for _ in range(6)]
    assert len({float(audio[0]) for batch in whole for audio in batch["audio"]}) == 23
    assert [index for batch in whole for index in batch["index"][~batch["valid"]]] == [7, 7]
    first = loader()
    next(first)
    half = loader(shard=(1, 2), workers=2).restore(first.state())
    parts = [next(half) for _ in range(5)]
    os.kill(next(c.pid for c in multiprocessing.active_children() if "grain" in c.name), signal.SIGKILL)
    with pytest.raises(LoaderError, match=r"a worker process died before batch \d+ .*exit code -9"):
        parts.extend(half)
    with pytest.raises(LoaderError):
        next(half)
    parts.append(next(loader(shard=(1, 2)).restore(half.state())))
    whole += [next(reference) for _ in range(len(parts) - 5)]
    for part, expected in zip(parts, whole[1:], strict=True):
        assert_same(part, {key: value[2:] for key, value in expected.items()})
        assert {type(value) for value in part.values()} == {np.ndarray}


def test_an_error_in_a_worker_keeps_its_traceback_and_invalid_examples_are_marked(
    importable: types.ModuleType,
) -> None:
    with pytest.raises(TypeError):
        pickle.loads(pickle.dumps(importable.Sealed("a", "b")))
    assert type(picklable_error(AudioReadError("a.wav", "is truncated"))) is AudioReadError
    loader = make_loader(importable.Faulty(), 2, workers=1)
    batches = [next(loader) for _ in range(4)]
    assert [batch["valid"].all() for batch in batches] == [True, True, False, True]
    assert batches[2]["x"].tolist() == [4, 5]
    assert batches[1]["platforms"].tolist() == ["cpu", "cpu"]
    for _ in range(2):
        with pytest.raises(LoaderError, match="Sealed: take8.wav: is truncated") as caught:
            next(loader)
    assert "in example 8 of Faulty, epoch 0" in caught.value.__notes__
    assert any("data_of_the_test.py" in note for note in caught.value.__notes__)


def test_a_dataset_that_cannot_be_pickled_raises_with_workers() -> None:
    samples = Numbers(8)
    samples.lock = threading.Lock()
    loader = make_loader(samples, 2, workers=1)
    next(loader)
    with pytest.raises(
        LoaderError, match="the workers cannot be started .TypeError: cannot pickle '_thread.lock' object"
    ):
        next(loader)


def test_a_transform_that_calls_sys_exit_raises() -> None:
    loader = make_loader(Numbers(8), 2, transforms=[lambda sample: sys.exit()])
    with pytest.raises(LoaderError, match="Numbers or a transform called sys.exit"):
        next(loader)


def test_a_main_module_that_workers_cannot_import_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    main.__file__ = str(tmp_path / "<stdin>")
    with pytest.raises(LoaderError, match="it must be a file, got .*stdin"):
        make_loader(Numbers(4), 2, workers=1)
    main.__file__ = str(tmp_path / "train.py")
    Path(main.__file__).write_text("loader = make_loader(data, 2, workers=1)\n")
    with pytest.raises(LoaderError, match=r'the statements of .*train.py below `if __name__ == "__main__":`'):
        make_loader(Numbers(4), 2, workers=1)


def test_batches_on_a_mesh_are_sharded_and_omit_strings() -> None:
    mesh = Mesh(jax.devices()[:2], "data")
    samples = [{"audio": np.full((2, 4), i, np.float32), "path": f"{i}", "truth": {"f0": float(i)}} for i in range(8)]
    for sharding in (mesh, NamedSharding(mesh, P("data")), NamedSharding(mesh, P("data", None, None))):
        batches = list(device_batches(make_loader(samples, 4), sharding))
        assert sorted(batches[0]) == ["audio", "epoch", "index", "length", "mask", "truth", "valid"]
        assert batches[1]["audio"].sharding.shard_shape((4, 2, 4)) == (2, 2, 4)
        assert batches[1]["truth"]["f0"].sharding.shard_shape((4,)) == (2,)
        assert batches[1]["truth"]["f0"].tolist() == [4, 5, 6, 7]
        assert batches[1]["index"].dtype == jnp.int32


@pytest.mark.parametrize("prefetch", [0, 1, 3])
def test_the_state_excludes_prefetched_batches(prefetch: int) -> None:
    loader = make_loader(Numbers(40), 4, epochs=2)
    batches = device_batches(loader, prefetch=prefetch)
    for step, batch in enumerate(batches, start=1):
        assert batches.state()["step"] == batches.progress.step == step
        assert batches.progress.examples == 4 * step
        assert loader.progress.step <= step + prefetch
        fresh = make_loader(Numbers(40), 4, epochs=2).restore(batches.state())
        following = next(fresh, None)
        assert following is None if step == 20 else following["number"][0] == (batch["number"][0] + 4) % 40
    assert step == 20
    assert next(batches, None) is None


def test_an_error_is_raised_after_the_batches_before_it() -> None:
    def broken(sample: Mapping[str, object]) -> Mapping[str, object]:
        return sample if sample["number"] != 8 else {"quotient": 1 / 0}

    batches = device_batches(make_loader(Numbers(12), 2, transforms=[broken]), prefetch=3)
    assert [int(next(batches)["number"][0]) for _ in range(4)] == [0, 2, 4, 6]
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            next(batches)


def test_a_sharding_that_contradicts_the_loader_raises() -> None:
    mesh = Mesh(jax.devices()[:2], "data")
    with pytest.raises(ValueError, match="batch_size must be a multiple of the 2 shards .*, got 5; use 4 or 6"):
        device_batches(make_loader(Numbers(10), 5), mesh)
    with pytest.raises(
        ValueError,
        match=r"hold examples 0 to 4 .* shard=\(1, 2\) makes examples 2 to 4; use make_loader\(shard=\(0, 1\)\)",
    ):
        device_batches(make_loader(Numbers(10), 4, shard=(1, 2)), mesh)
    two = Mesh(np.array(jax.devices()[:2]).reshape(2, 1), ("data", "model"))
    with pytest.raises(ValueError, match="a mesh must have one axis to shard the batch over"):
        device_batches(make_loader(Numbers(10), 4), two)
    with pytest.raises(TypeError, match="sharding must be a"):
        device_batches(make_loader(Numbers(10), 4), "data")
    with pytest.raises(TypeError, match="loader must be a Loader, from make_loader, got list"):
        device_batches([])


def test_an_integer_that_exceeds_32_bits_raises() -> None:
    with pytest.raises(OverflowError, match="'number' must fit into int32, got 1099511627776"):
        next(device_batches(make_loader([{"number": 2**40}], 1)))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"dataset": 5}, TypeError, "must have __len__ and __getitem__, got int"),
        ({"dataset": []}, ValueError, "must not be empty"),
        ({"batch_size": 0}, ValueError, "batch_size must be an integer of at least 1"),
        ({"batch_size": 7}, ValueError, "batch_size must be at most the 6 examples of Numbers, got 7"),
        ({"shuffle": 1}, TypeError, "shuffle must be True or False"),
        ({"seed": -1}, ValueError, "seed must be an integer of at least 0"),
        ({"epochs": 0}, ValueError, "epochs must be an integer of at least 1"),
        ({"workers": -1}, ValueError, "workers must be an integer of at least 0"),
        ({"shard": (0, 4)}, ValueError, "batch_size must be a multiple of the 4 shards, got 2; use 4 or 4"),
        ({"shard": (2, 2)}, ValueError, "shard's index must be an integer from 0 to 1, got 2"),
        ({"shard": 1}, TypeError, r"shard must be \(index, count\)"),
        ({"transforms": max}, TypeError, "transforms must be a list of functions"),
        ({"transforms": [3]}, TypeError, "each of transforms must be a function of an example, got 3"),
        ({"bucket_lengths": [4]}, ValueError, "require the length of every example; implement Numbers.lengths()"),
        ({"dataset": Clips([3, 9]), "bucket_lengths": [4, 2]}, ValueError, "must be in ascending order"),
        (
            {"dataset": Clips([3, 9]), "bucket_lengths": [4, 8]},
            ValueError,
            "example 1 of Clips has 9 samples; add a longer bucket",
        ),
        ({"dataset": Clips([3, 9]), "bucket_lengths": "48"}, TypeError, "bucket_lengths must be a list of lengths"),
    ],
)
def test_invalid_options_raise(options: Mapping[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message.replace("()", r"\(\)")):
        make_loader(**{"dataset": Numbers(6), "batch_size": 2, **options})


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        (
            [{"audio": np.ones(3), "path": "a.wav"}, {"audio": np.ones(4), "path": "b.wav"}],
            ValueError,
            r"'audio' must have the same shape .*\(3,\) in example 0 \(a.wav\) and \(4,\) in example 1 \(b.wav\).*bucket_lengths=…",
        ),
        ([{"a": 1}, {"b": 1}], ValueError, r"got \['a'\] in example 0 and \['b'\] in example 1"),
        (
            [{"a": {"b": 1}}, {"a": {"c": 1}}],
            ValueError,
            r"same keys in 'a', got \['b'\] in example 0 and \['c'\] in example 1",
        ),
        ([{"a": None}, {"a": None}], TypeError, "'a' must be numbers, arrays or strings, got NoneType"),
        ([{"a": 1}, {"a": "x"}], TypeError, "'a' must be numbers, arrays or strings, got int, str"),
        ([3, 4], TypeError, "example 0 of list must be a dict with at least one entry, got int"),
    ],
)
def test_examples_that_cannot_be_stacked_raise(samples: list[object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        next(make_loader(samples, 2))


def test_shapes_that_differ_between_batches_raise() -> None:
    loader = make_loader(Clips([3, 3, 4, 4]), 2)
    next(loader)
    with pytest.raises(
        ValueError,
        match=r"in all batches, got 'audio' \(3,\) and \(4,\); 'mask' .*\. Pass bucket_lengths=… to make_loader",
    ):
        next(loader)


def test_a_clip_longer_than_its_bucket_raises() -> None:
    def longer(sample: Mapping[str, object]) -> dict[str, object]:
        return {"audio": np.pad(sample["audio"], (0, 9))}

    with pytest.raises(ValueError, match="example 0 must have at most the 5 samples of its bucket, got 12"):
        next(make_loader(Clips([3, 4]), 2, transforms=[longer], bucket_lengths=[5]))


def test_without_grain_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grain", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'artifex-audio\[loader\]'"):
        make_loader(Numbers(4), 2)


def test_draws_of_transforms_are_independent_of_crops(tmp_path: Path) -> None:
    for number in range(12):
        write_audio(tmp_path / f"{number:02}.wav", np.linspace(-0.5, 0.5, 9000), 8000)
    config = AudioModalityConfig(sample_rate=8000, duration=0.125, normalize=False)

    def drawn(sample: Mapping[str, object], rng: np.random.Generator) -> dict[str, object]:
        return {**sample, "drawn": rng.integers(0, 8000, endpoint=True)}

    batch = next(make_loader(AudioFileDataset(config, tmp_path, crop="random"), 12, transforms=[drawn]))
    assert not np.isclose(batch["drawn"], batch["start"] * 8000).any()


def test_all_random_streams_are_independent() -> None:
    epochs, indices = range(3), range(3)
    generators = [random_draws.crop_rng(0, epoch, index) for epoch in epochs for index in indices]
    generators += [
        random_draws.transform_rng(0, epoch, index, number)
        for epoch in epochs
        for index in indices
        for number in range(3)
    ]
    generators += [random_draws.bucket_rng(0, epoch) for epoch in epochs]
    assert len({generator.bytes(16) for generator in generators}) == len(generators) == 39


def test_buckets_without_shuffle_drop_the_last_examples() -> None:
    lengths = [200, 100, 200, 100, 100, 200, 100, 200, 100, 100, 200]
    loader = make_loader(Clips(lengths), 4, epochs=2, bucket_lengths=(100, 200))
    assert sorted(indices(list(loader))) == sorted([*range(8)] * 2)


def test_buckets_drop_other_examples_in_each_epoch() -> None:
    loader = make_loader(
        Clips([100] * 10 + [200]), 4, shuffle=True, epochs=50, drop_remainder=True, bucket_lengths=(100, 200)
    )
    seen = np.bincount(np.concatenate([batch["index"] for batch in loader]), minlength=11)
    assert seen.min() > 20


def test_progress_counts_examples_wherever_the_padded_batch_is() -> None:
    lengths = np.random.default_rng(2).integers(1, 64, size=21).tolist()
    loader = make_loader(Clips(lengths), 4, shuffle=True, epochs=3, drop_remainder=False, bucket_lengths=(16, 64))
    returned = 0
    for batch in loader:
        returned += int((batch["index"] >= 0).sum())
        assert loader.progress.examples == returned


def test_device_batches_follow_a_rewound_loader() -> None:
    loader = make_loader(Numbers(12), 2)
    batches = device_batches(loader)
    first = [np.asarray(next(batches)["index"]).tolist() for _ in range(2)]
    state = batches.state()
    loader.rewind()
    assert batches.state()["step"] == batches.progress.step == 0
    assert [np.asarray(next(batches)["index"]).tolist() for _ in range(2)] == first == [[0, 1], [2, 3]]
    list(batches)
    loader.restore(state)
    assert batches.state() == state
    assert [int(batch["index"][0]) for batch in batches] == [4, 6, 8, 10]
    with pytest.raises(RuntimeError, match="is exhausted"):
        iter(batches)


def test_after_a_keyboard_interrupt_the_next_batch_is_not_lost() -> None:
    waiting, sent = threading.Event(), threading.Event()

    class Interrupting(Numbers):
        def __getitem__(self, index: int) -> dict[str, object]:
            if index == 2 and not sent.is_set():
                waiting.wait(timeout=60)
                sent.set()
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            return super().__getitem__(index)

    loader = make_loader(Interrupting(12), 2)
    next(loader)

    def interrupted() -> None:
        waiting.set()
        next(loader)
        sent.wait(timeout=60)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted()
    finally:
        signal.signal(signal.SIGINT, before)
    assert sent.is_set()
    step = loader.state()["step"]
    assert [batch["index"].tolist() for batch in loader] == [[2 * i, 2 * i + 1] for i in range(step, 6)]


def test_the_state_of_other_audio_types_raises() -> None:
    config = AudioModalityConfig(duration=0.01)
    state = make_loader(SyntheticAudioDataset(config, n_samples=4, audio_types=["sine"]), 2).state()
    with pytest.raises(ValueError, match="data was"):
        make_loader(SyntheticAudioDataset(config, n_samples=4, audio_types=["noise"]), 2).restore(state)


def test_a_state_is_accepted_by_an_equal_dataset() -> None:
    class Config:
        """Its repr contains a memory address."""

    class Made(Clips):
        def __init__(self) -> None:
            super().__init__([4] * 4)
            self.config = Config()

    class Foreign(Numbers):
        fingerprint = "no method"

    first, second = Made(), Made()
    assert repr(first.config) != repr(second.config)
    assert make_loader(second, 2).restore(make_loader(first, 2).state()).state()["data"] == second.fingerprint()
    assert make_loader(Foreign(4), 2).state()["data"] == ""


def test_an_index_above_32_bits_is_kept_on_the_host() -> None:
    config = AudioModalityConfig(duration=0.01)
    loader = make_loader(SyntheticAudioDataset(config, n_samples=2**32), 2)
    batches = device_batches(loader)
    for step in (0, 2**31 - 2):  # also where it would fit: all batches have the same types
        loader.restore({**loader.state(), "step": step})
        batch = next(batches)
        assert type(batch["index"]) is np.ndarray
        assert batch["index"].tolist() == [2 * step, 2 * step + 1]
        assert isinstance(batch["epoch"], jax.Array)


def test_a_transform_that_changes_the_length_must_set_it() -> None:
    class Known(Clips):
        def __getitem__(self, index: int) -> dict[str, object]:
            return {**super().__getitem__(index), "length": int(self.lengths()[index])}

    clips = Known([60, 80, 70, 80])

    def cut(sample: Mapping[str, object]) -> dict[str, object]:
        return {**sample, "audio": np.asarray(sample["audio"])[:50]}

    def doubled(sample: Mapping[str, object]) -> dict[str, object]:
        return {**sample, "audio": np.repeat(np.asarray(sample["audio"]), 2)}

    with pytest.raises(ValueError, match="'length' must be at most the 50 samples, got 60"):
        next(make_loader(clips, 2, transforms=[cut], bucket_lengths=(80,)))
    with pytest.raises(ValueError, match="has samples other than padding after the 80 samples"):
        next(make_loader(clips, 2, transforms=[doubled], bucket_lengths=(80,)))
