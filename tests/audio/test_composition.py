"""Datasets made of other datasets: contents, classes, epochs, and what a loader returns of them."""

import hashlib
import pickle
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from artifex.generative_models.modalities.audio import (
    AudioFileDataset,
    AudioModalityConfig,
    SyntheticAudioDataset,
    make_loader,
    write_audio,
)
from artifex.generative_models.modalities.audio.datasets import (
    assign_splits,
    balanced,
    concat,
    filter,  # noqa: A004
    map,  # noqa: A004
    mix,
    repeat,
    split,
    subset,
    take,
)
from artifex.generative_models.modalities.base import BaseDataset, reading_epoch

RATE = 2000
N = 24
CONFIG = AudioModalityConfig(sample_rate=RATE, duration=0.05)
SPEAKERS = ("ann", "bob", "eve", "joe")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 recordings of 0.1 to 0.2 s: 12 of class a, 6 of b, 6 of c; six of each of four speakers."""
    folder = tmp_path_factory.mktemp("takes")
    lines = ["path,label,speaker"]
    for number in range(N):
        audio = np.random.default_rng(number).uniform(-0.5, 0.5, 200 + 8 * number).astype(np.float32)
        write_audio(folder / f"{number:02}.wav", audio, RATE)
        lines.append(f"{number:02}.wav,{'abac'[number % 4]},{SPEAKERS[number // 6]}")
    path = folder / "takes.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def data(manifest: Path) -> AudioFileDataset:
    return AudioFileDataset(CONFIG, manifest=manifest, crop="random", annotations=True)


def louder(example):
    return {**example, "audio": 2 * example["audio"]}


def noisy(example, rng):
    return {**example, "audio": example["audio"] + rng.uniform(-1, 1, example["audio"].shape).astype(np.float32)}


def is_not_ann(row):
    return row["speaker"] != "ann"


FUNCTIONS = {
    "subset": lambda data: subset(data, range(len(data) - 1, 0, -2)),
    "take": lambda data: take(data, len(data) // 2),
    "split": lambda data: split(data, {"train": 0.75, "test": 0.25}, seed=3)["train"],
    "concat": lambda data: concat([data, take(data, 3)]),
    "mix": lambda data: mix([data, take(data, 3)], weights=[3, 1], seed=5),
    "balanced": lambda data: balanced(data, seed=2),
    "filter": lambda data: filter(data, is_not_ann),
    "map": lambda data: map(data, louder),
    "random map": lambda data: map(data, noisy, seed=4),
    "repeat": lambda data: repeat(data, 2),
}
THREE_DEEP = {
    "balanced of filter of concat": lambda data: balanced(filter(concat([data, repeat(data, 2)]), is_not_ann)),
    "map of mix of subsets": lambda data: map(mix([take(data, 5), subset(data, [20, 9, 3])], [2, 1], length=25), noisy),
    "repeat of balanced of split": lambda data: repeat(balanced(split(data, (0.75, 0.25), by="speaker")[0]), 2),
    "concat of maps of takes": lambda data: concat([map(take(data, 8), noisy), map(take(data, 3), louder)]),
    "take of repeat of map": lambda data: take(repeat(map(data, noisy), 3), 61),
}
every_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
every_composition = pytest.mark.parametrize("compose", THREE_DEEP.values(), ids=THREE_DEEP)


def key(example) -> tuple[str, float, str]:
    """Identity of an example: recording, start of the crop, samples."""
    return example["path"], example["start"], hashlib.sha256(example["audio"].tobytes()).hexdigest()


# Rules for every function


@every_function
def test_columns_are_those_of_the_examples_in_every_epoch(function, data):
    view = function(data)
    for epoch in (0, 1):
        with reading_epoch(epoch):
            examples = [view[index] for index in range(len(view))]
            assert view.targets().tolist() == [example["label"] for example in examples]
            assert view.column("label") == [view.labels[example["label"]] for example in examples]
            assert view.column("speaker") == [example["annotations"]["speaker"] for example in examples]
            assert view.lengths().tolist() == [example["length"] for example in examples]
            assert sum(view.class_counts().values()) == len(view)


@every_function
def test_a_view_keeps_what_it_wraps(function, data):
    view = function(data)
    assert isinstance(view, BaseDataset)
    assert view.labels == data.labels
    assert view.config == data.config
    assert view.time_axis_keys == data.time_axis_keys
    assert view.column_names == data.column_names
    assert "AudioFileDataset" in view.name


@every_function
def test_random_crops_change_every_epoch(function, data):
    view = function(data)
    starts = [tuple(view.example(index, epoch=epoch)["start"] for index in range(len(view))) for epoch in range(3)]
    assert len(set(starts)) == 3


@every_function
def test_every_way_to_read_gives_the_same_examples(function, data):
    view = function(data)
    with reading_epoch(1):
        one_by_one = [key(view[index]) for index in range(len(view))]
        assert [key(example) for example in view] == one_by_one
    assert [key(view.example(index, epoch=1)) for index in range(len(view))] == one_by_one
    assert [key(example) for example in view.examples(range(len(view)), epoch=1)] == one_by_one
    copied = pickle.loads(pickle.dumps(view))
    assert [key(example) for example in copied.examples(range(len(view)), epoch=1)] == one_by_one
    assert copied.fingerprint() == view.fingerprint()
    assert key(view[-1]) == key(view[len(view) - 1])
    with pytest.raises(IndexError, match=f"{len(view)} examples"):
        view[len(view)]


def test_fingerprints_depend_on_the_function_its_parameters_and_the_parts(data, manifest):
    views = [function(data) for function in FUNCTIONS.values()]
    other = AudioFileDataset(CONFIG, manifest=manifest, crop="random", annotations=True, seed=1)
    views += [function(other) for function in FUNCTIONS.values()]
    views += [
        take(data, 4),
        take(data, 5),
        repeat(data, 3),
        mix([data, data], [1, 1]),
        mix([data, data], [1, 1], seed=1),
    ]
    fingerprints = [view.fingerprint() for view in views]
    assert len(set(fingerprints)) == len(fingerprints)
    assert [function(data).fingerprint() for function in FUNCTIONS.values()] == fingerprints[: len(FUNCTIONS)]


@every_function
def test_an_empty_dataset_raises(function):
    with pytest.raises((ValueError, TypeError), match="empty|at least"):
        function([])


@every_function
def test_a_dataset_must_be_a_sequence_of_dicts(function):
    class Sized:
        def __len__(self):
            return 4

    for given in ([1, 2, 3, 4], Sized()):
        with pytest.raises(TypeError, match="sequence of dicts"):
            function(given)


# Contents


def test_subset_selects_in_order(data):
    assert [example["path"] for example in subset(data, [3, -1, 0])] == [str(data.paths[i]) for i in (3, 23, 0)]
    mask = data.targets() == 1
    assert subset(data, mask).class_counts() == {"a": 0, "b": 6, "c": 0}


@pytest.mark.parametrize(
    ("indices", "error", "message"),
    [
        ([], ValueError, "at least one"),
        ([1, 1], ValueError, "1 2 times"),
        ([0, -24], ValueError, "0 2 times"),
        ([24], IndexError, "24 examples, got index 24"),
        ([0.5], TypeError, "integers or a mask"),
        ([True, False], ValueError, "mask must have one value for each of the 24"),
        (3, TypeError, "integers or a mask"),
        ("01", TypeError, "integers or a mask"),
    ],
)
def test_invalid_indices_raise(data, indices, error, message):
    with pytest.raises(error, match=message):
        subset(data, indices)


@pytest.mark.parametrize("n", [0, -1, 25, 2.0, True])
def test_an_invalid_number_of_examples_raises(data, n):
    with pytest.raises((ValueError, TypeError), match="n must be"):
        take(data, n)


DIVISIONS = [(by, stratify) for by in (None, "speaker", "path") for stratify in (None, "label", "speaker")]


@pytest.mark.parametrize(("by", "stratify"), [each for each in DIVISIONS if each != ("speaker", "speaker")])
@pytest.mark.parametrize("seed", range(3))
def test_splits_are_disjoint_and_contain_every_example(data, by, stratify, seed):
    parts = split(data, {"train": 0.5, "validation": 0.25, "test": 0.25}, by=by, stratify=stratify, seed=seed)
    assert [(name, part.split) for name, part in parts.items()] == [(name, name) for name in parts]
    paths = [path for part in parts.values() for path in part.column("path")]
    assert sorted(paths) == sorted(paths_of(data))
    assert [len(part) for part in parts.values()] == [12, 6, 6]
    if by is not None:
        groups = [set(part.column(by)) for part in parts.values()]
        assert sum(len(group) for group in groups) == len(set.union(*groups))
    if stratify is not None and by != "speaker":
        counts = Counter(data.column(stratify))
        for name, fraction in {"train": 0.5, "validation": 0.25, "test": 0.25}.items():
            for value, count in Counter(parts[name].column(stratify)).items():
                assert abs(count - fraction * counts[value]) < 2


def paths_of(data) -> list[str]:
    return [str(path) for path in data.paths]


def test_stratified_fractions_hold_for_every_stratum_and_for_all():
    strata = [str(number // 3) for number in range(300)]
    groups = [str(number) for number in range(300)]
    assigned = assign_splits(groups, {"train": 0.8, "test": 0.2}, strata=strata)
    assert Counter(assigned) == {"train": 240, "test": 60}
    of_test = Counter(stratum for stratum, name in zip(strata, assigned, strict=True) if name == "test")
    assert set(of_test.values()) <= {1, 2}


def test_groups_of_several_strata_keep_the_proportions():
    groups = [f"g{number // 4}" for number in range(160)]
    strata = ["abab"[number % 4] if number < 80 else "cdcd"[number % 4] for number in range(160)]
    assigned = assign_splits(groups, {"train": 0.75, "test": 0.25}, strata=strata)
    counts = Counter(zip(assigned, strata, strict=True))
    assert [counts["test", stratum] for stratum in "abcd"] == [10] * 4


def test_the_split_does_not_depend_on_the_process(data, manifest):
    script = (
        "from artifex.generative_models.modalities.audio import AudioFileDataset, AudioModalityConfig\n"
        "from artifex.generative_models.modalities.audio.datasets import split\n"
        f"data = AudioFileDataset(AudioModalityConfig(sample_rate={RATE}, duration=0.05), manifest={str(manifest)!r})\n"
        "print(split(data, (0.5, 0.5), stratify='label')[1].column('path'))\n"
    )
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == str(split(data, (0.5, 0.5), stratify="label")[1].column("path"))


def test_windows_and_repetitions_of_a_recording_are_on_one_side(manifest, data):
    windows = AudioFileDataset(CONFIG, manifest=manifest, crop="sliding", hop=0.01)
    for dataset in (windows, repeat(data, 3), concat([data, subset(data, range(4, 20))]), map(repeat(data, 2), louder)):
        train, test = split(dataset, (0.5, 0.5))
        assert not set(train.column("path")) & set(test.column("path"))
        assert len(train) + len(test) == len(dataset)


@pytest.mark.parametrize(
    ("fractions", "options", "message"),
    [
        ((0.8, 0.1), {}, "sum 1, got 0.9"),
        ((800, 200), {}, "above 0 and at most 1"),
        ((), {}, "above 0"),
        ((1.2, -0.2), {}, "above 0"),
        ((0.8, 0.2), {"by": "speakr"}, "'speaker'; got 'speakr'"),
        ((0.8, 0.2), {"stratify": "speakr"}, "'speaker'; got 'speakr'"),
        ((0.2,) * 5, {"by": "speaker"}, "5 splits require at least 5 groups, got 4"),
        ((0.8, 0.2), {"seed": -1}, "seed"),
    ],
)
def test_invalid_splits_raise(data, fractions, options, message):
    with pytest.raises(ValueError, match=message):
        split(data, fractions, **options)
    with pytest.raises(TypeError, match="dict or a sequence"):
        split(data, 0.8)


def test_missing_values_are_not_a_group():
    rows = [{"x": 0, "speaker": "ann"}, {"x": 1, "speaker": ""}, {"x": 2, "speaker": "bob"}]
    for function in (lambda: split(rows, (0.5, 0.5), by="speaker"), lambda: balanced(rows, by="speaker")):
        with pytest.raises(ValueError, match="none for 1 examples, the first of them 1"):
            function()


def test_concat_joins_in_order(data):
    joined = concat([take(data, 3), subset(data, [7])])
    assert joined.column("path") == [str(data.paths[i]) for i in (0, 1, 2, 7)]


@pytest.mark.parametrize(
    "function", [concat, lambda datasets: mix(datasets, [1] * len(datasets))], ids=["concat", "mix"]
)
def test_different_datasets_are_refused(function, data, manifest, tmp_path):
    def refused(other, message):
        with pytest.raises(ValueError, match=message):
            function([data, other])

    for name in "ax":
        (tmp_path / name).mkdir()
        write_audio(tmp_path / name / "0.wav", np.full(400, 0.5, np.float32), RATE)
    refused(AudioFileDataset(CONFIG, tmp_path, crop="random"), r"labels, got \('a', 'b', 'c'\) and \('a', 'x'\)")
    faster = AudioModalityConfig(sample_rate=4000, duration=0.05)
    refused(AudioFileDataset(faster, manifest=manifest, annotations=True), "sample_rate=2000 and sample_rate=4000")
    refused(AudioFileDataset(CONFIG, manifest=manifest), "annotations.speaker=text and annotations.speaker=missing")
    stereo = AudioFileDataset(CONFIG, manifest=manifest, annotations=True, mono=False)
    refused(stereo, "audio=numbers of 1 axes and audio=numbers of 2 axes")
    for given in (data, {"a": data}):
        with pytest.raises(TypeError, match="requires a list of datasets"):
            function(given)
    with pytest.raises(ValueError, match="at least one"):
        function([])


def test_a_mixture_has_exact_counts_and_uses_every_example_equally_often():
    large, small = [{"x": index} for index in range(30)], [{"x": 100 + index} for index in range(4)]
    view = mix([large, small], weights=[2, 1], length=31, seed=3)  # 20.67 and 10.33: 21 and 10
    seen = Counter()
    for epoch in range(20):
        numbers = [example["x"] for example in view.examples(range(31), epoch=epoch)]
        assert sum(number < 100 for number in numbers) == 21
        seen.update(numbers)
    assert {seen[index] for index in range(30)} == {14}  # 20 epochs of 21 examples of 30
    assert {seen[100 + index] for index in range(4)} == {50}


def test_the_kth_draw_of_a_dataset_has_its_position_in_all_epochs():
    """Draw k of part j in epoch e is number e * n_j + k of the passes, each in the order of its own generator."""

    class Recorded(BaseDataset):
        def __init__(self, n):
            super().__init__(None, rngs=None)
            self.n = n

        def __len__(self):
            return self.n

        def example(self, index, *, epoch=None):
            return {"x": index, "n": self.n, "epoch of part": epoch}

    view = mix([Recorded(5), Recorded(3)], weights=[1, 1], seed=7)
    for part, n in enumerate((5, 3)):
        drawn = [each for epoch in range(6) for each in view.examples(range(8), epoch=epoch) if each["n"] == n]
        expected = [
            (int(index), number)
            for number in range(-(-24 // n))
            for index in np.random.default_rng(np.random.SeedSequence(7, spawn_key=(5, part, number))).permutation(n)
        ]
        assert [(each["x"], each["epoch of part"]) for each in drawn] == expected[:24]


@pytest.mark.parametrize(
    ("weights", "options", "error", "message"),
    [
        ([1], {}, ValueError, "one number per dataset, 2, got 1"),
        ([1, 0], {}, ValueError, r"weights\[1\]"),
        ([1, -1], {}, ValueError, r"weights\[1\]"),
        ([1, float("nan")], {}, ValueError, r"weights\[1\]"),
        ("ab", {}, TypeError, "list of one number"),
        ([1000, 1], {"length": 10}, ValueError, "dataset 1 of 2 has none"),
        ([1, 1], {"length": 0}, ValueError, "length"),
    ],
)
def test_invalid_weights_raise(data, weights, options, error, message):
    with pytest.raises(error, match=message):
        mix([data, data], weights, **options)


def test_balanced_draws_every_class_equally_often(data):
    view = balanced(data)
    assert data.class_counts() == {"a": 12, "b": 6, "c": 6}
    for epoch in range(3):
        labels = [example["label"] for example in view.examples(range(24), epoch=epoch)]
        assert Counter(labels) == {0: 8, 1: 8, 2: 8}
    assert balanced(data, length=30).class_counts() == {"a": 10, "b": 10, "c": 10}
    assert Counter(balanced(data, by="speaker").column("speaker")) == dict.fromkeys(SPEAKERS, 6)


def test_repeated_examples_of_a_small_class_have_different_crops(manifest):
    data = AudioFileDataset(CONFIG, manifest=manifest, crop="random")
    view = balanced(subset(data, [0, 1, 2, 4]), length=40)
    starts = {example["start"] for example in view if example["label"] == 1}
    assert len(starts) > 10


@pytest.mark.parametrize(
    "function",
    [lambda view: split(view, (0.5, 0.5)), lambda view: filter(view, is_not_ann), balanced],
    ids=["split", "filter", "balanced"],
)
def test_functions_that_select_by_value_refuse_a_mixture(function, data):
    for view in (balanced(data), take(mix([data, data], [1, 1]), 8), map(repeat(balanced(data), 2), louder)):
        with pytest.raises(ValueError, match="same in every epoch"):
            function(view)


def test_filter_reads_no_example_unless_asked(data, monkeypatch):
    loud = filter(data, lambda example: np.abs(example["audio"]).max() > 0.1, decode=True)
    assert len(loud) == N
    monkeypatch.setattr(AudioFileDataset, "example", lambda *given, **options: pytest.fail("an example was read"))
    view = filter(data, lambda row: row["speaker"] == "bob" and row["label"] == "a" and row["length"] == 100)
    assert view.column("path") == [str(data.paths[i]) for i in (6, 8, 10)]


def test_invalid_predicates_raise(data):
    with pytest.raises(TypeError, match="True or False, got None for example 0"):
        filter(data, lambda row: None)
    with pytest.raises(TypeError, match="True or False"):
        filter(data, lambda row: row["speaker"])
    with pytest.raises(ValueError, match="'speaker'; got 'speakr'"):
        filter(data, lambda row: row["speakr"] == "ann")
    with pytest.raises(ValueError, match="False for all 24"):
        filter(data, lambda row: row["speaker"] == "Ann")
    with pytest.raises(TypeError, match="function of an example's columns"):
        filter(data, "speaker")


def test_nested_maps_draw_different_numbers(data):
    def first(example, rng):
        return {**example, "first": rng.uniform()}

    def second(example, rng):
        return {**example, "second": rng.uniform()}

    example = map(map(data, first), second).example(5, epoch=2)
    drawn = [
        np.random.default_rng(np.random.SeedSequence(0, spawn_key=(6, 2, 5, depth))).uniform() for depth in range(2)
    ]
    assert [example["first"], example["second"]] == drawn


def test_invalid_results_of_a_map_raise(data):
    with pytest.raises(TypeError, match="must return a dict"):
        map(data, lambda example: None)[0]
    with pytest.raises(ValueError, match="must not change the class under 'label', got 0 for 1"):
        map(data, lambda example: {**example, "label": 0})[1]
    with pytest.raises(TypeError, match="function of an example"):
        map(data, 3)


@pytest.mark.parametrize("n", [0, -1, 1.5, None])
def test_an_invalid_number_of_repetitions_raises(data, n):
    with pytest.raises((ValueError, TypeError), match="n must be"):
        repeat(data, n)


def test_repetitions_are_epochs_of_the_dataset(data):
    view = repeat(data, 2)
    assert view.example(3, epoch=1)["start"] == data.example(3, epoch=2)["start"]
    assert view.example(27, epoch=1)["start"] == data.example(3, epoch=3)["start"]


def test_errors_name_the_view_and_the_dataset(data):
    def broken(example):
        raise KeyError("gain")

    with pytest.raises(KeyError) as error:
        take(map(data, broken), 4)[2]
    assert error.value.__notes__ == [
        "in example 2 of map(AudioFileDataset)",
        "in example 2 of take(map(AudioFileDataset))",
    ]


# Loaders


def batches_of(view, **options):
    return make_loader(view, 8, shuffle=True, seed=1, epochs=2, **options)


def contents(batch) -> list[tuple[str, float, bytes]]:
    return [
        (str(path), float(start), audio.tobytes())
        for path, start, audio in zip(batch["path"], batch["start"], batch["audio"], strict=True)
    ]


@every_composition
def test_a_loader_stopped_anywhere_continues_on_other_shards(compose, data):
    view = compose(data)
    expected = [contents(batch) for batch in batches_of(view)]
    for epoch in range(2):
        own = Counter(key(example) for example in view.examples(range(len(view)), epoch=epoch))
        first, n_steps = epoch * (len(expected) // 2), len(expected) // 2
        read = Counter(
            (path, start, hashlib.sha256(audio).hexdigest())
            for batch in expected[first : first + n_steps]
            for path, start, audio in batch
        )
        assert not read - own  # the others are dropped: they do not fill a batch
        assert read.total() == len(view) // 8 * 8
    rng = np.random.default_rng(0)
    for step in rng.integers(0, len(expected), size=20).tolist():
        state = {**batches_of(view).state(), "step": step}
        n_shards = int(rng.choice([1, 2, 4]))
        loaders = [batches_of(compose(data), shard=(index, n_shards)).restore(state) for index in range(n_shards)]
        parts = [next(loader) for loader in loaders]
        assert [each for part in parts for each in contents(part)] == expected[step]
        for loader in loaders:
            loader.close()


@pytest.mark.parametrize(
    "compose",
    [
        THREE_DEEP["map of mix of subsets"],
        pytest.param(THREE_DEEP["balanced of filter of concat"], marks=pytest.mark.thorough),
    ],
)
def test_worker_processes_read_the_same_batches(compose, data):
    expected = [contents(batch) for batch in batches_of(compose(data))]
    loader = batches_of(compose(data), workers=2)
    state = {**loader.state(), "step": 1}
    assert [contents(batch) for batch in loader.restore(state)] == expected[1:]


def test_variable_lengths_are_batched_by_length(manifest):
    data = AudioFileDataset(CONFIG, manifest=manifest, crop="whole")
    view = repeat(concat([filter(data, lambda row: row["length"] > 250), take(data, 4)]), 2)
    for batch in make_loader(view, 4, bucket_lengths=[300, 400]):
        assert batch["audio"].shape[1] in (300, 400)
        assert batch["length"].tolist() == view.lengths()[batch["index"]].tolist()


def test_a_mixture_is_batched_by_the_lengths_of_each_epoch(manifest):
    data = AudioFileDataset(CONFIG, manifest=manifest, crop="whole")
    view = map(balanced(data), lambda example: example)
    loader = make_loader(view, 4, bucket_lengths=[300, 400], shuffle=True, epochs=3)
    state, batches = None, []
    for batch in loader:
        state = loader.state() if loader.progress.step == 8 else state
        batches.append(contents(batch))
        with reading_epoch(int(batch["epoch"][0])):
            assert batch["length"].tolist() == view.lengths()[batch["index"]].tolist()
        assert batch["audio"].shape[1] in (300, 400)
    lengths = []
    for epoch in range(3):
        with reading_epoch(epoch):
            lengths.append(view.lengths().tolist())
    assert lengths[0] != lengths[1] != lengths[2]
    assert [contents(batch) for batch in loader.restore(state)] == batches[8:]
    with pytest.raises(ValueError, match="example .* has 384 samples; add a longer bucket"):
        make_loader(balanced(data), 4, bucket_lengths=[383])
    with pytest.raises(ValueError, match="a budget requires the same examples in every epoch, but balanced"):
        make_loader(balanced(data), max_batch_samples=4000)


def test_a_state_of_another_composition_is_refused(data):
    state = batches_of(balanced(data)).state()
    with pytest.raises(ValueError, match="other batches"):
        batches_of(balanced(data, seed=1)).restore(state)


def test_synthetic_audio_is_rendered_together(monkeypatch):
    data = SyntheticAudioDataset(AudioModalityConfig(duration=0.05), n_samples=32, audio_types=["sine", "noise"])
    calls = []
    examples = SyntheticAudioDataset.examples

    def counted(self, indices, *, epoch=None):
        calls.append(len(indices))
        return examples(self, indices, epoch=epoch)

    monkeypatch.setattr(SyntheticAudioDataset, "examples", counted)
    view = take(concat([filter(data, lambda row: row["audio_type"] == "sine"), data]), 32)
    calls.clear()
    batch = next(make_loader(view, 16, shuffle=True))
    assert calls[0] == 16
    np.testing.assert_array_equal(batch["audio"][0], view.example(int(batch["index"][0]))["audio"])


class Wrapper:
    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        return self.dataset[index]


def test_a_loader_says_what_a_users_own_wrapper_loses(data):
    with pytest.warns(
        UserWarning, match=r"Wrapper wraps AudioFileDataset .* lengths\(\), labels and targets\(\), fing"
    ):
        make_loader(Wrapper(data), 4)
    with pytest.warns(UserWarning, match="Wrapper wraps"):
        subset(Wrapper(data), [1])

    class Forwarding(Wrapper):
        def __getattr__(self, name):
            if name == "dataset":
                raise AttributeError(name)
            return getattr(self.dataset, name)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_loader(Forwarding(data), 4)
        make_loader([{"x": 1}], 1)
        view = take(Forwarding(data), 3)
    assert view.labels == data.labels
    assert view.targets().tolist() == data.targets()[:3].tolist()


def test_lists_of_dicts_have_columns():
    rows = [{"x": index, "label": index % 3, "speaker": "abc"[index % 3]} for index in range(9)]
    assert balanced(rows).class_counts() == {"0": 3, "1": 3, "2": 3}
    assert {row["speaker"] for row in split(rows, (0.67, 0.33), by="speaker")[1]} < {"a", "b", "c"}
    assert len(filter(rows, lambda row: row["speaker"] == "a")) == 3
    assert [row["x"] for row in subset(tuple(rows), [2])] == [2]
