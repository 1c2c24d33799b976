"""The synthetic dataset: an example is a function of (seed, split, index)."""

import itertools
import pickle
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec
from scipy.stats import chisquare

from artifex.generative_models.core import UnknownComponentError, numerics, registry
from artifex.generative_models.modalities.audio import AudioModalityConfig, AudioRepresentation
from artifex.generative_models.modalities.audio.annotations import audio_type
from artifex.generative_models.modalities.audio.datasets import SyntheticAudioDataset, create_audio_dataset, make_loader

CONFIG = AudioModalityConfig(duration=0.05)
RAW = CONFIG.evolve(normalize=False)
SHORT = CONFIG.evolve(duration=0.001)
ALL = ["sine", "noise", "chirp"]
SIX = [*ALL, "impulse", "dc", "silence"]

COMPILED = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **_: COMPILED.append(event) if event.endswith("backend_compile_duration") else None
)


# Two programs may round differently, though each sample is one sum of products.
CLOSE = {"rtol": 0, "atol": 1e-6}


def tone(n_time_steps, sample_rate, start=0.0):
    """Generate 500 Hz; its phase is an integer, so that different programs compute the same samples."""
    return numerics.sin2pi(numerics.phase_ramp(500.0, n_time_steps=n_time_steps, sample_rate=sample_rate, start=start))


def annotated_clicks(key, *, n_time_steps, sample_rate, level):
    """Return one or two clicks over a hum, and their annotations."""
    places = jax.random.permutation(key, n_time_steps)[:2]
    second = jax.random.bernoulli(jax.random.fold_in(key, 1))
    hum = 0.1 * tone(n_time_steps, sample_rate)
    amplitudes = level * jnp.stack([jnp.float32(1.0), second.astype(jnp.float32)])
    click = jnp.zeros(n_time_steps).at[places].add(amplitudes)
    return hum + click, {
        "f0": jnp.full(n_time_steps, 500.0),
        "onset_samples": jnp.where(jnp.array([True, second]), places, -1),
        "levels": jnp.where(jnp.array([True, second]), level, jnp.nan),
        "second": second,
        "0.stems": hum[None],
        "stems": jnp.stack([hum, click]),
    }


@audio_type(annotated=annotated_clicks)
def clicks(key, *, n_time_steps, sample_rate, level=0.25):
    return annotated_clicks(key, n_time_steps=n_time_steps, sample_rate=sample_rate, level=level)[0]


def hum(key, *, n_time_steps, sample_rate):
    return 0.5 * tone(n_time_steps, sample_rate, start=numerics.uniform(key))


def type_numbers(data, count):
    return np.array([data.labels.index(name) for name in data[:count]["audio_type"]])


def dataset(config=CONFIG, n_samples=12, audio_types=ALL, **options):
    return SyntheticAudioDataset(config=config, n_samples=n_samples, audio_types=audio_types, **options)


def test_an_example_has_the_entries_of_the_guide():
    data = dataset(name="SyntheticAudio")
    sample = data[0]
    assert set(sample) == {"audio", "audio_type", "sample_rate", "duration"}
    assert isinstance(sample["audio"], jax.Array)
    assert sample["audio"].shape == (800,)
    assert (sample["audio_type"], sample["sample_rate"], sample["duration"]) == ("sine", 16000, 0.05)
    assert (data.name, len(data), data.split) == ("SyntheticAudio", 12, "train")


def test_audio_types_rotate():
    assert [sample["audio_type"] for sample in dataset()] == ALL * 4


def test_collating_samples_gives_the_batch_of_the_guide():
    data = dataset()
    batch = data.collate_fn([data[i] for i in range(4)])
    assert batch["audio"].shape == (4, 800)
    assert isinstance(batch["audio"], jax.Array)
    assert batch["audio_type"] == ["sine", "noise", "chirp", "sine"]
    assert batch["sample_rate"] == [16000] * 4


def test_examples_are_equal_however_they_are_accessed():
    data, reference = (dataset(n_samples=70, audio_types=ALL[:2]) for _ in range(2))
    expected = np.stack([reference[i]["audio"] for i in range(69, -1, -1)])[::-1]  # rendered one by one
    audio = {
        "in sequence": (slice(None), np.stack([data[i]["audio"] for i in range(70)])),
        "iteration": (slice(None), np.stack([sample["audio"] for sample in data])),
        "slice of whole rotations": (slice(6, 30), data[6:30]["audio"]),
        "slice from within a rotation": (slice(5, 29), data[5:29]["audio"]),
        "slice in steps": (slice(5, 29, 7), data[5:29:7]["audio"]),
        "slice backward": (slice(None, None, -18), data[::-18]["audio"]),
        "list": ([7, -1, 7], data[[7, -1, 7]]["audio"]),
        "examples": ([3, 66, 4, 5], np.stack([sample["audio"] for sample in data.examples([3, 66, 4, 5], epoch=3)])),
        "example": (slice(9, 10), data.example(9)["audio"][None]),
    }
    batch = data.get_batch(4)
    audio["get_batch"] = (batch["index"], batch["audio"])
    for way, (places, found) in audio.items():
        np.testing.assert_allclose(found, expected[places], err_msg=way, **CLOSE)
    assert batch["audio_type"] == [ALL[i % 2] for i in batch["index"]]
    assert data[5:29]["audio_type"] == [ALL[i % 2] for i in range(5, 29)]


def test_examples_are_equal_when_threads_access_them_in_any_order():
    data = dataset(n_samples=200)
    rows = data[:192]["audio"]
    places = np.concatenate([np.arange(192), np.random.default_rng(0).integers(0, 192, 50), np.arange(20, 90)])
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(lambda place: data[int(place)], places))
    np.testing.assert_allclose(np.stack([sample["audio"] for sample in found]), rows[places], **CLOSE)
    assert [sample["audio_type"] for sample in found] == [ALL[place % 3] for place in places]


def test_changing_an_example_does_not_change_later_ones():
    data = dataset()
    [data[i].clear() for i in range(3)]
    assert data[1]["audio_type"] == "noise"
    annotated = dataset(audio_types=[clicks], annotations=True)
    [annotated[i]["annotations"].clear() for i in range(3)]
    annotations = annotated[1]["annotations"]
    assert annotations["gain"] == dataset(audio_types=[clicks], annotations=True)[1]["annotations"]["gain"]
    assert not any(value.flags.writeable for value in annotations.values())


def test_the_fingerprint_depends_on_the_options_and_not_on_memory_addresses():
    def made(**options):
        def beep(key, *, n_time_steps, sample_rate):
            return jnp.ones(n_time_steps)

        types = ["sine", ("noise", {"amplitude": 0.1}), ("mixture", {"of": (beep, "sine")}), partial(clicks, level=0.5)]
        return dataset(**{"audio_types": [*types, beep], **options}).fingerprint()

    assert made() == made() == made(name="other")
    others = [
        {"audio_types": ["sine"]},
        {"audio_types": [("sine", {"amplitude": 0.2})]},
        {"audio_types": [partial(clicks, level=0.5)]},
        {"audio_types": [clicks]},
        {"n_samples": 13},
        {"split": "validation"},
        {"seed": 1},
        {"weights": [1, 1, 1, 1, 2]},
        {"annotations": True},
        {"config": RAW},
    ]
    assert len({made(), *(made(**other) for other in others)}) == 1 + len(others)


def test_cached_blocks_are_bounded_in_bytes():
    data = dataset(RAW.evolve(duration=100.0), audio_types=[hum], n_samples=4)  # 6.4 MB per example
    before = sum(array.nbytes for array in jax.live_arrays())
    [data[i] for i in range(2)]
    assert sum(array.nbytes for array in jax.live_arrays()) - before <= 2**23


def test_examples_are_views_of_one_array_per_type():
    rows = [sample["audio"] for sample in dataset().examples(range(6))]
    assert all(isinstance(row, np.ndarray) and row.dtype == np.float32 for row in rows)
    assert np.shares_memory(rows[0].base if rows[0].base is not None else rows[0], rows[3])


def test_a_dataset_can_be_pickled():
    data = dataset(audio_types=ALL[:2], weights=[1, 3])
    expected = [data[i] for i in range(4)]
    found = pickle.loads(pickle.dumps(data))[:4]
    np.testing.assert_allclose(found["audio"], np.stack([sample["audio"] for sample in expected]), **CLOSE)
    assert found["audio_type"] == [sample["audio_type"] for sample in expected]


def compiled_programs(call):
    """Return the number of programs that are compiled in a call, those from the persistent cache included."""
    n_before = len(COMPILED)
    call()
    return len(COMPILED) - n_before


@pytest.mark.parametrize("weights", [None, [1, 2, 1, 1, 2, 1]])
def test_a_loader_compiles_one_program_per_type_in_its_first_batches(weights):
    config = CONFIG.evolve(duration=0.0125 if weights is None else 0.01875)  # of which no other test compiles programs
    data = dataset(config, n_samples=10_000, audio_types=SIX, weights=weights)
    batches, counts = iter(make_loader(data, 32, shuffle=True)), []

    def read(n_batches):
        counts.extend(Counter(batch["audio_type"])["noise"] for batch in itertools.islice(batches, n_batches))

    assert 0 < compiled_programs(lambda: read(5)) <= len(SIX)
    assert compiled_programs(lambda: read(40)) == 0
    assert len(set(counts)) > 4


def test_batches_of_a_size_compile_one_program_per_type_and_one_that_orders_them():
    data = dataset(CONFIG.evolve(duration=0.025), n_samples=10_000, audio_types=SIX)
    assert 0 < compiled_programs(lambda: [data.get_batch(24) for _ in range(30)]) <= 7
    assert compiled_programs(lambda: [data[np.random.default_rng(i).integers(0, 10_000, 24)] for i in range(10)]) == 0
    assert compiled_programs(lambda: [data.examples(range(i, i + 47, 2)) for i in range(0, 120, 24)]) == 0
    assert compiled_programs(lambda: [data[i : i + 24] for i in range(1, 97, 24)]) <= 7  # each type at once
    assert compiled_programs(lambda: [data[i : i + 24] for i in range(0, 96, 24)]) == 1  # all types together
    assert compiled_programs(lambda: [data[i] for i in (700, 11, 42, 1003, 204, 305)]) <= 6  # single examples
    assert compiled_programs(lambda: [data[i] for i in range(720, 913)]) <= 2  # renders a block, and splits it
    assert compiled_programs(lambda: [data[i] for i in range(913, 1200)]) == 0


@pytest.mark.thorough
@pytest.mark.parametrize("representation", [AudioRepresentation.RAW_WAVEFORM, AudioRepresentation.MEL_SPECTROGRAM])
def test_a_sharded_batch_has_the_same_values_without_transfers_between_devices(representation):
    config = CONFIG.evolve(representation=representation)
    mesh = jax.make_mesh((2,), ("data",))
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    ours, plain = dataset(config, annotations=True, sharding=sharding), dataset(config, annotations=True)
    with jax.transfer_guard_device_to_device("disallow"):
        batches = [ours[:8], ours[[3, 1, 4, 1]]]
    for batch in batches:
        assert {shard.device for shard in batch["audio"].addressable_shards} == set(mesh.devices.flat)
    for batch, expected in zip(batches, [plain[:8], plain[[3, 1, 4, 1]]], strict=True):
        for name in {"audio", "audio_type", "annotations", *batch} - {"sample_rate", "duration"}:
            if isinstance(batch[name], jax.Array):
                assert batch[name].sharding.is_equivalent_to(sharding, batch[name].ndim)
                np.testing.assert_allclose(batch[name], expected[name], rtol=1e-5, atol=1e-5)
        assert batch["audio_type"] == expected["audio_type"]
        assert [each["gain"] for each in batch["annotations"]] == pytest.approx(
            [each["gain"] for each in expected["annotations"]]
        )
    with pytest.raises(ValueError, match="a batch of 5 examples cannot be divided by the sharding"):
        ours[:5]


def test_annotations_do_not_change_the_audio():
    plain, annotated = (dataset(audio_types=[clicks, hum, "noise"], annotations=flag) for flag in (False, True))
    batch, samples = annotated[:6], [annotated[i] for i in range(6)]
    np.testing.assert_allclose(batch["audio"], plain[:6]["audio"], **CLOSE)
    np.testing.assert_allclose(np.stack([s["audio"] for s in samples]), plain[:6]["audio"], **CLOSE)
    assert set(samples[0]) - set(plain[0]) == {"annotations"}
    for ours, theirs, host in zip(batch["annotations"], samples, annotated.examples(range(6)), strict=True):
        for other in (theirs["annotations"], host["annotations"]):
            jax.tree.map(lambda one, two: np.testing.assert_allclose(one, two, **CLOSE), ours, other)
        assert all(isinstance(value, np.ndarray | np.generic) for value in ours.values())
    assert set(samples[0]["annotations"]) == {
        *("f0", "onset_samples", "onset_seconds", "levels", "second", "stems", "0.stems", "gain")
    }
    assert set(samples[1]["annotations"]) == {"gain"}


@pytest.mark.parametrize("config", [CONFIG, RAW])
def test_annotations_are_exact(config):
    data = dataset(config, audio_types=[clicks, hum], annotations=True, n_samples=40)
    lengths = set()
    for sample in (data[i] for i in range(0, 40, 2)):
        annotations, audio = sample["annotations"], np.asarray(sample["audio"])
        np.testing.assert_allclose(annotations["stems"].sum(0), audio, atol=1e-6)
        places = np.flatnonzero(annotations["stems"][1])
        np.testing.assert_array_equal(np.sort(annotations["onset_samples"]), places)
        np.testing.assert_array_equal(annotations["onset_seconds"], annotations["onset_samples"] / 16000)
        assert annotations["onset_seconds"].dtype == np.float64
        assert len(annotations["onset_samples"]) == len(annotations["levels"]) == 1 + annotations["second"]
        np.testing.assert_allclose(annotations["0.stems"][0], annotations["stems"][0], **CLOSE)
        lengths.add(len(annotations["onset_samples"]))
        spectrum = np.abs(np.fft.rfft(annotations["stems"][0]))
        assert np.argmax(spectrum) * 16000 / 800 == annotations["f0"][0] == 500
    assert lengths == {1, 2}
    if config.normalize:
        raw = dataset(RAW, audio_types=[clicks, hum], n_samples=40)
        np.testing.assert_allclose(
            [sample["annotations"]["gain"] * np.abs(raw[i]["audio"]).max() for i, sample in enumerate(data)],
            1,
            rtol=1e-6,
        )
    else:
        assert "gain" not in data[0]["annotations"]


def test_the_gain_of_silence_is_one():
    def silent(key, *, n_time_steps, sample_rate):
        return jnp.zeros(n_time_steps)

    sample = dataset(audio_types=[silent], annotations=True)[0]
    assert (sample["annotations"]["gain"], np.abs(sample["audio"]).max()) == (1, 0)


def test_weights_are_the_fractions_of_the_types():
    data = dataset(SHORT, n_samples=2**32, audio_types=[*ALL, "dc"], weights=[2, 5, 3, 0])
    kinds = type_numbers(data, 30_000)
    found = np.bincount(kinds, minlength=4)
    assert found[3] == 0
    assert chisquare(found[:3], [6000, 15000, 9000]).pvalue > 1e-3
    pairs = np.bincount(3 * kinds[0::2] + kinds[1::2])
    assert chisquare(pairs, np.outer([2, 5, 3], [2, 5, 3]).ravel() * 150).pvalue > 1e-3
    far = data[2**32 - 3 : 2**32]["audio_type"]
    assert far == [data[i]["audio_type"] for i in range(-3, 0)]
    assert data.labels == (*ALL, "dc")


@pytest.mark.parametrize("change", [{"split": "validation"}, {"seed": 1}])
def test_another_split_or_seed_draws_other_types(change):
    ours, theirs = (
        type_numbers(dataset(SHORT, n_samples=2000, weights=[1, 1, 1], **options), 2000) for options in ({}, change)
    )
    assert chisquare(np.bincount(3 * ours + theirs, minlength=9)).pvalue > 1e-3


def test_samples_are_all_different():
    rows = np.stack([sample["audio"] for sample in dataset(n_samples=60)])
    assert len(np.unique(rows, axis=0)) == 60


def test_an_example_does_not_depend_on_the_number_of_examples():
    np.testing.assert_array_equal(dataset(n_samples=8)[7]["audio"], dataset(n_samples=10**9)[7]["audio"])


def test_the_last_of_four_billion_examples_can_be_accessed():
    data = dataset(n_samples=2**32)
    assert data[2**32 - 1]["audio"].shape == (800,)
    assert not np.array_equal(data[2**32 - 1]["audio"], data[0]["audio"])


@pytest.mark.parametrize("change", [{"split": "validation"}, {"seed": 1}, {"seed": 2**32}])
def test_splits_and_seeds_have_no_common_example(change):
    ours = np.stack([sample["audio"] for sample in dataset(n_samples=30)])
    theirs = np.stack([sample["audio"] for sample in dataset(n_samples=30, **change)])
    assert len(np.unique(np.concatenate([ours, theirs]), axis=0)) == 60


def test_normalize_scales_each_peak_to_one_and_is_optional():
    np.testing.assert_allclose([np.abs(s["audio"]).max() for s in dataset()], 1, rtol=1e-6)
    raw = dataset(RAW.evolve(duration=1.0))[:3]["audio"]
    np.testing.assert_allclose(np.abs(raw[0]).max(), 0.5, rtol=1e-3)
    np.testing.assert_allclose(np.std(raw[1]), 0.3, rtol=0.02)
    np.testing.assert_allclose(np.abs(raw[2]).max(), 0.5, rtol=1e-3)


@pytest.mark.parametrize("representation", [AudioRepresentation.MEL_SPECTROGRAM, AudioRepresentation.STFT])
def test_examples_contain_features_and_waveform(representation):
    data = dataset(CONFIG.evolve(representation=representation))
    one, some = data[1], data[:3]
    assert one["audio"].shape == (800,)
    assert one[representation.value].shape == data.modality.output_shape
    reference = np.asarray(data.modality.encode(some["audio"]))
    np.testing.assert_allclose(some[representation.value], reference, rtol=1e-6)
    np.testing.assert_allclose(one[representation.value], reference[1], atol=1e-5 * np.abs(reference).max())


def test_audio_types_may_have_options_or_be_functions():
    def click(key, *, n_time_steps, sample_rate):
        return jnp.zeros(n_time_steps).at[0].set(1.0)

    types = [("noise", {"amplitude": 0.01}), {"name": "sine", "amplitude": 0.2}, click]
    batch = dataset(RAW, audio_types=types)[:3]
    assert batch["audio_type"] == ["noise", "sine", "click"]
    np.testing.assert_allclose(np.std(batch["audio"][0]), 0.01, rtol=0.1)
    assert np.abs(batch["audio"][1]).max() <= 0.2
    np.testing.assert_array_equal(batch["audio"][2], np.eye(1, 800, dtype=np.float32)[0])


def test_a_registered_type_is_found_by_name():
    def click(key, *, n_time_steps, sample_rate):
        return jnp.zeros(n_time_steps).at[0].set(1.0)

    registry("audio_type").register("click_of_a_test", click)
    try:
        assert dataset(audio_types=["click_of_a_test"])[0]["audio_type"] == "click_of_a_test"
    finally:
        registry("audio_type").unregister("click_of_a_test")


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"audio_types": ["sin"]}, UnknownComponentError, "Did you mean 'sine'.*Available: .*chirp, .*noise, .*sine"),
        ({"audio_types": []}, TypeError, "at least one audio type"),
        ({"audio_types": "sine"}, TypeError, r"such as \['sine', 'noise'\], got 'sine'"),
        ({"audio_types": [("sine", {"freq": 3})]}, TypeError, "has no option 'freq'"),
        ({"audio_types": [3]}, TypeError, "must be a name"),
        ({"n_samples": 0}, ValueError, "n_samples must be an integer from 1"),
        ({"n_samples": 1.5}, TypeError, "n_samples must be an integer"),
        ({"split": 3}, TypeError, "split must be the name of a split"),
        ({"weights": [1, 2]}, ValueError, "one number per audio type, 3, got 2"),
        ({"weights": [1, -2, 1]}, ValueError, "the weight of 'noise' must be a finite number of at least 0"),
        ({"weights": [0, 0, 0]}, ValueError, "at least one of weights must be above 0"),
        ({"weights": "equal"}, TypeError, "weights must be a list of one number per audio type"),
        ({"annotations": "yes"}, TypeError, "annotations must be True or False"),
        ({"sharding": "data"}, TypeError, "sharding must be a jax.sharding.Sharding of the batch axis"),
        ({"config": {}}, TypeError, "config must be an AudioModalityConfig or None"),
    ],
)
def test_invalid_arguments_raise_at_construction(options, error, says):
    with pytest.raises(error, match=says):
        dataset(**options)


def test_an_audio_type_of_the_wrong_length_raises_at_construction():
    def short(key, *, n_time_steps, sample_rate):
        return jnp.zeros(n_time_steps - 1)

    with pytest.raises(ValueError, match=r"'short' must return floats of shape \(800,\)"):
        dataset(audio_types=[short])


@pytest.mark.parametrize("index", [12, -13, 10**12])
def test_an_index_out_of_range_raises_with_the_length(index):
    with pytest.raises(IndexError, match=f"12 examples, got index {index}"):
        dataset()[index]


def test_get_batch_draws_from_rngs():
    first = dataset(n_samples=1000, rngs=nnx.Rngs(0)).get_batch(8)["index"]
    same = dataset(n_samples=1000, rngs=nnx.Rngs(0)).get_batch(8)["index"]
    other = dataset(n_samples=1000, rngs=nnx.Rngs(1)).get_batch(8)["index"]
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


def test_successive_batches_differ():
    data = dataset(n_samples=1000)
    assert not np.array_equal(data.get_batch(8)["index"], data.get_batch(8)["index"])


def test_the_factory_creates_it_by_name():
    data = create_audio_dataset(dataset_type="synthetic", config=None, n_samples=4, audio_types=["chirp"])
    assert isinstance(data, SyntheticAudioDataset)
    assert data.config == AudioModalityConfig()
    with pytest.raises(
        UnknownComponentError, match="no dataset 'synthetc'.*'synthetic'.*Available: .*files, .*synthetic"
    ):
        create_audio_dataset("synthetc")
    with pytest.raises(TypeError, match="has no option 'n_sample'. Did you mean 'n_samples'"):
        create_audio_dataset("synthetic", n_sample=3)
