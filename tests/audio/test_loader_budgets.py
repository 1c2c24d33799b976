"""Batches of a limited number of samples, the choice of bucket lengths, and the padding of examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from artifex.generative_models.modalities.audio import AudioModalityConfig, Loader, device_batches, make_loader
from artifex.generative_models.modalities.audio.datasets.loader.plan import choose_bucket_lengths
from artifex.generative_models.modalities.base import BaseDataset

FLOOR = -100.0


class Levels(BaseDataset):
    """Levels in dB, 2 bands, of given lengths; each example is filled with its index."""

    time_axis_keys = ("level",)
    pad_values: Mapping[str, float] = {"level": FLOOR}

    def __init__(self, lengths: Sequence[int], *, rate: int = 10) -> None:
        super().__init__(AudioModalityConfig(sample_rate=rate, duration=1.0), rngs=None)
        self._lengths = np.array(lengths)

    def __len__(self) -> int:
        return len(self._lengths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"level": np.full((2, self._lengths[index]), float(index), np.float32)}

    def lengths(self) -> np.ndarray:
        return self._lengths


class Waves(Levels):
    time_axis_keys = ("audio",)
    pad_values: Mapping[str, float] = {}

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"audio": np.full(self._lengths[index], 1 + index, np.float32)}


def speech_lengths(n: int) -> np.ndarray:
    """Return lengths in samples at 16 kHz distributed as in LibriSpeech: most are 12 to 16 s, some 1 to 35 s."""
    rng = np.random.default_rng(0)
    seconds = np.where(rng.random(n) < 0.7, rng.normal(14.5, 1.3, n), rng.uniform(1.5, 16, n))
    seconds[:10] = rng.uniform(17, 35, 10)
    return np.asarray(seconds.clip(1.3, 35) * 16_000).astype(np.int64)


def rows_of(loader: Loader) -> list[tuple[int, ...]]:
    return [tuple(batch["index"].tolist()) for batch in loader]


@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_contain_every_example_once_within_the_budget(shuffle: bool) -> None:
    lengths = np.random.default_rng(1).integers(1, 50, size=157)
    loader = make_loader(Waves(lengths.tolist()), max_batch_samples=200, bucket_lengths=5, shuffle=shuffle, epochs=3)
    batches = list(loader)
    assert len(batches) == len(loader) == 3 * loader.steps_per_epoch
    assert len({batch["audio"].shape for batch in batches}) <= 5
    for epoch in range(3):
        returned = [i for batch in batches if batch["epoch"][0] == epoch for i in batch["index"].tolist() if i >= 0]
        assert sorted(returned) == [*range(157)]
    for batch in batches:
        assert batch["audio"].size <= 200
        valid = batch["index"] >= 0
        np.testing.assert_array_equal(batch["valid"], valid)
        np.testing.assert_array_equal(batch["length"], np.where(valid, lengths[batch["index"]], 0))
        np.testing.assert_array_equal(batch["mask"].sum(axis=1), batch["length"])
        np.testing.assert_array_equal(batch["audio"], batch["mask"] * (1 + batch["index"][:, None]))


def test_progress_counts_the_examples_of_every_batch() -> None:
    lengths = np.random.default_rng(1).integers(1, 50, size=41)
    loader = make_loader(Waves(lengths.tolist()), max_batch_samples=100, bucket_lengths=3, shuffle=True, epochs=2)
    returned = 0
    for batch in loader:
        returned += int((batch["index"] >= 0).sum())
        assert loader.progress.examples == returned
    assert returned == 82
    assert loader.progress.fraction == 1


@pytest.mark.parametrize("seconds", [200, 320, 600])
def test_the_budget_is_filled_to_95_percent_with_the_lengths_of_speech(seconds: int) -> None:
    lengths = speech_lengths(20_000)
    loader = make_loader(Waves(lengths.tolist(), rate=16_000), max_batch_seconds=seconds, shuffle=True)
    assert lengths.sum() / (len(loader) * seconds * 16_000) > 0.95


@pytest.mark.parametrize("seconds", [2.3, 4.35, 8.2])
def test_a_budget_in_seconds_contains_an_example_of_that_duration(seconds: float) -> None:
    n_samples = round(seconds * 100) * 441  # float64: 2.3 * 44_100 is 101429.99999999999
    loader = make_loader(Waves([n_samples], rate=44_100), max_batch_seconds=seconds)
    assert next(loader)["audio"].shape == (1, n_samples)


def test_resumed_on_other_shards_the_union_of_examples_is_the_same() -> None:
    lengths = np.random.default_rng(3).integers(1, 50, size=120).tolist()
    options: dict[str, Any] = {
        "max_batch_samples": 400, "bucket_lengths": 4, "batch_multiple": 4, "shuffle": True, "seed": 5, "epochs": 2
    }  # fmt: skip
    expected = rows_of(make_loader(Waves(lengths), **options))
    for stop in np.random.default_rng(4).integers(1, len(expected), size=10).tolist():
        first = [make_loader(Waves(lengths), shard=(index, 2), **options) for index in range(2)]
        seen = [sum((tuple(next(each)["index"].tolist()) for each in first), ()) for _ in range(stop)]
        parts = [
            rows_of(make_loader(Waves(lengths), shard=(index, 4), **options).restore(first[0].state()))
            for index in range(4)
        ]
        assert seen + [sum(rows, ()) for rows in zip(*parts, strict=True)] == expected


def test_each_bucket_is_one_shape_on_two_devices() -> None:
    mesh = Mesh(np.array(jax.devices()[:2]), ("data",))
    options: dict[str, Any] = {"max_batch_samples": 60, "bucket_lengths": (10, 20)}
    lengths = [5, 10, 15, 20, 20, 7, 3]
    with pytest.raises(ValueError, match="batch_size must be a multiple of the 2 shards .* budget batch_multiple=2"):
        device_batches(make_loader(Waves(lengths), **options), mesh)
    batches = list(device_batches(make_loader(Waves(lengths), batch_multiple=2, **options), mesh))
    assert {batch["audio"].shape for batch in batches} == {(6, 10), (2, 20)}
    assert {len(batch["audio"].sharding.device_set) for batch in batches} == {2}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, TypeError, "requires one of batch_size, max_batch_samples, max_batch_seconds, got none"),
        ({"batch_size": 2, "max_batch_samples": 60}, TypeError, "got batch_size and max_batch_samples"),
        ({"max_batch_samples": 0}, ValueError, "max_batch_samples must be"),
        ({"max_batch_samples": 15}, ValueError, "example 1 of Waves with 20 samples: 20 samples, got 15"),
        ({"max_batch_samples": 25, "bucket_lengths": (10, 30)}, ValueError, "longest bucket, 30 samples"),
        ({"max_batch_seconds": 1.0}, ValueError, "20 samples, got 10"),
        ({"max_batch_samples": 60, "drop_remainder": True}, ValueError, "a budget drops no examples"),
        ({"max_batch_samples": 60, "shard": (0, 2)}, ValueError, "batch_multiple must be a multiple of the 2 shards"),
        ({"batch_size": 2, "batch_multiple": 2}, ValueError, "batch_multiple requires a budget"),
        ({"batch_size": 2, "bucket_lengths": 0}, ValueError, "bucket_lengths must be"),
        ({"batch_size": 2, "pad_value": {"level": 1.0}}, ValueError, "keys with a time axis, 'audio'; got 'level'"),
        ({"batch_size": 2, "pad_value": "0"}, TypeError, "pad_value must be a"),
    ],
)
def test_contradictory_options_raise(options: Mapping[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make_loader(Waves([10, 20]), **options)


def test_seconds_require_waveforms() -> None:
    with pytest.raises(ValueError, match=r"waveforms with a configuration, got Levels; pass max_batch_samples"):
        make_loader(Levels([10, 20]), max_batch_seconds=10.0)


@pytest.mark.parametrize(("pad_value", "expected"), [(None, FLOOR), (0.5, 0.5), ({"level": -7}, -7.0)])
@pytest.mark.parametrize("bucket_lengths", [None, (4,)])
def test_features_are_padded_with_their_floor(
    pad_value: float | Mapping[str, float] | None, expected: float, bucket_lengths: Sequence[int] | None
) -> None:
    data = Levels([2, 4, 3] if bucket_lengths else [4, 4, 4])
    loader = make_loader(data, 2, drop_remainder=False, bucket_lengths=bucket_lengths, pad_value=pad_value)
    batches = list(loader)
    for batch in batches:
        values = np.where(batch["mask"], batch["index"][:, None], expected)
        np.testing.assert_array_equal(batch["level"], np.stack([values, values], axis=1))
    assert [batch["mask"].sum(axis=1).tolist() for batch in batches] == [batch["length"].tolist() for batch in batches]
    assert batches[-1]["index"].tolist() == [2, -1]


def test_a_dataset_may_pad_with_a_floor_that_float32_rounds() -> None:
    floor = float(np.log(1e-10))
    level = np.pad(np.ones((2, 3), np.float32), ((0, 0), (0, 6)), constant_values=floor)
    transforms = [lambda example: {"level": level, "length": 3}]
    batch = next(make_loader(Levels([3]), 1, bucket_lengths=(5,), pad_value=floor, transforms=transforms))
    np.testing.assert_array_equal(batch["level"], level[None, :, :5])


def test_a_shard_of_padding_only_is_padded_with_the_floor() -> None:
    loader = make_loader(Levels([3, 3, 3]), 4, drop_remainder=False, shard=(1, 2), bucket_lengths=(5,))
    assert next(loader)["level"][1].tolist() == [[FLOOR] * 5] * 2
    loader = make_loader(Levels([3]), 2, drop_remainder=False, shard=(1, 2), bucket_lengths=(5,))
    batch = next(loader)
    assert batch["level"].tolist() == [[[FLOOR] * 5] * 2]
    assert not batch["mask"].any()


def test_an_own_mask_of_the_examples_is_kept() -> None:
    examples = [{"audio": np.ones(3), "mask": np.array([1, 0, 1])}] * 2
    assert next(make_loader(examples, 2))["mask"].tolist() == [[1, 0, 1]] * 2


def brute_force(lengths: Sequence[int], n_buckets: int) -> int:
    """Return the minimum padded size over all choices of bucket lengths."""
    candidates = sorted(set(lengths))
    best = len(lengths) * candidates[-1]
    for chosen in range(1 << (len(candidates) - 1)):
        bounds = [c for bit, c in enumerate(candidates[:-1]) if chosen >> bit & 1] + candidates[-1:]
        if len(bounds) <= n_buckets:
            best = min(best, sum(next(bound for bound in bounds if bound >= length) for length in lengths))
    return best


@pytest.mark.parametrize("n_buckets", [1, 2, 3, 5, 20])
def test_chosen_bucket_lengths_have_the_minimum_padding(n_buckets: int) -> None:
    lengths = np.random.default_rng(n_buckets).integers(1, 40, size=11)
    bounds = choose_bucket_lengths(lengths, n_buckets)
    assert len(bounds) <= n_buckets
    padded = np.array(bounds)[np.searchsorted(bounds, lengths)].sum()
    assert padded == brute_force(lengths.tolist(), n_buckets)


def test_totals_are_known_to_progress_bars_and_descriptions_name_the_data() -> None:
    loader = make_loader(Waves([10, 20, 20]), max_batch_samples=40, epochs=2)
    batches = device_batches(loader)
    assert len(batches) == len(loader) == 4
    assert repr(loader).startswith("Loader(dataset='Waves', n_examples=3, batch_size='2 to 4', bucket_lengths=[10, 20]")
    next(batches)
    assert repr(batches).startswith("DeviceBatches(dataset='Waves'")
    assert "step=1" in repr(batches)
    assert "Waves" in batches._repr_html_()
    endless = make_loader(Waves([10, 20]), 2, epochs=None)
    with pytest.raises(TypeError, match="epochs=None has no length"):
        len(device_batches(endless))
    assert "epochs='infinitely many'" in repr(endless)


@pytest.mark.parametrize("options", [{}, {"bucket_lengths": (20,)}], ids=["plain", "buckets"])
@pytest.mark.parametrize(
    ("length", "error", "message"),
    [
        (-3, ValueError, "'length' must be at least 0 samples, got -3"),
        (2.5, TypeError, "'length' must be an integer, a number of samples, got 2.5"),
        ("3", TypeError, "'length' must be an integer, a number of samples, got '3'"),
        (21, ValueError, "'length' must be at most the 20 samples, got 21"),
    ],
)
def test_invalid_lengths_raise(
    options: Mapping[str, Any], length: object, error: type[Exception], message: str
) -> None:
    loader = make_loader(Waves([20, 20]), 2, transforms=[lambda example: {**example, "length": length}], **options)
    with pytest.raises(error, match=message):
        next(loader)


def test_lengths_of_any_integer_type_are_int64() -> None:
    loader = make_loader(Waves([20, 20]), 2, transforms=[lambda example: {**example, "length": np.int16(7)}])
    batch = next(loader)
    assert batch["length"].dtype == np.int64
    assert batch["mask"].sum(axis=1).tolist() == [7, 7]


def test_waveforms_with_time_first_warn() -> None:
    samples = [{"audio": np.zeros((200, 2), np.float32)}] * 4
    with pytest.warns(UserWarning, match=r"example 0 of list: audio of shape \(200, 2\) is 200 clips .*transpose"):
        next(make_loader(samples, 2))


def test_other_shapes_name_the_nested_entry_and_what_pads_it() -> None:
    samples = [{"audio": np.zeros(9), "annotations": {"onsets": np.arange(n)}} for n in (2, 3)]
    with pytest.raises(
        ValueError, match=r"'onsets' in 'annotations' must .*time_axis_keys, or a transform that .*drops"
    ):
        next(make_loader(samples, 2))


def test_buckets_without_a_time_axis_name_the_attribute() -> None:
    loader = make_loader(Waves([20, 20]), 2, bucket_lengths=(20,), transforms=[lambda example: {"x": example["audio"]}])
    with pytest.raises(ValueError, match="buckets require 'audio' in every example.*time_axis_keys of a dataset"):
        next(loader)
