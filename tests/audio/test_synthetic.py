"""The synthetic dataset: a sample is a function of (seed, split, index)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.generative_models.core import UnknownComponentError, registry
from artifex.generative_models.modalities.audio import AudioModalityConfig, AudioRepresentation
from artifex.generative_models.modalities.audio.datasets import SyntheticAudioDataset, create_audio_dataset

CONFIG = AudioModalityConfig(duration=0.05)
RAW = CONFIG.evolve(normalize=False)
ALL = ["sine", "noise", "chirp"]


def dataset(config=CONFIG, n_samples=12, audio_types=ALL, **options):
    return SyntheticAudioDataset(config=config, n_samples=n_samples, audio_types=audio_types, **options)


def test_a_sample_is_what_the_guide_says():
    data = dataset(name="SyntheticAudio")
    sample = data[0]
    assert set(sample) == {"audio", "audio_type", "sample_rate", "duration"}
    assert isinstance(sample["audio"], jax.Array)
    assert sample["audio"].shape == (800,)
    assert (sample["audio_type"], sample["sample_rate"], sample["duration"]) == ("sine", 16000, 0.05)
    assert (data.name, len(data), data.split) == ("SyntheticAudio", 12, "train")


def test_types_take_turns():
    assert [sample["audio_type"] for sample in dataset()] == ALL * 4


def test_collating_samples_gives_the_batch_of_the_guide():
    data = dataset()
    batch = data.collate_fn([data[i] for i in range(4)])
    assert batch["audio"].shape == (4, 800)
    assert isinstance(batch["audio"], jax.Array)
    assert batch["audio_type"] == ["sine", "noise", "chirp", "sine"]
    assert batch["sample_rate"] == [16000] * 4


def test_indexing_slices_lists_iteration_and_batches_give_the_same_values():
    data = dataset(n_samples=70)
    rows = np.stack([data[i]["audio"] for i in range(70)])
    np.testing.assert_array_equal(np.stack([sample["audio"] for sample in data]), rows)
    np.testing.assert_array_equal(data[5:30:3]["audio"], rows[5:30:3])
    np.testing.assert_array_equal(data[[7, -1, 7]]["audio"], rows[[7, 69, 7]])
    np.testing.assert_array_equal(data[-2]["audio"], rows[-2])
    batch = data.get_batch(16)
    np.testing.assert_array_equal(batch["audio"], rows[batch["index"]])
    assert batch["audio_type"] == [ALL[i % 3] for i in batch["index"]]


def test_samples_are_all_different():
    rows = np.stack([sample["audio"] for sample in dataset(n_samples=60)])
    assert len(np.unique(rows, axis=0)) == 60


def test_a_sample_does_not_depend_on_how_many_there_are():
    np.testing.assert_array_equal(dataset(n_samples=8)[7]["audio"], dataset(n_samples=10**9)[7]["audio"])


def test_the_last_of_a_billion_samples_costs_what_the_first_does():
    data = dataset(n_samples=2**32)
    assert data[2**32 - 1]["audio"].shape == (800,)
    assert not np.array_equal(data[2**32 - 1]["audio"], data[0]["audio"])


@pytest.mark.parametrize("change", [{"split": "validation"}, {"seed": 1}])
def test_another_split_or_seed_shares_no_sample(change):
    ours = np.stack([sample["audio"] for sample in dataset(n_samples=30)])
    theirs = np.stack([sample["audio"] for sample in dataset(n_samples=30, **change)])
    assert len(np.unique(np.concatenate([ours, theirs]), axis=0)) == 60


def test_normalize_brings_each_peak_to_one_and_its_absence_keeps_the_levels():
    np.testing.assert_allclose([np.abs(s["audio"]).max() for s in dataset()], 1, rtol=1e-6)
    raw = dataset(RAW.evolve(duration=1.0))[:3]["audio"]
    np.testing.assert_allclose(np.abs(raw[0]).max(), 0.5, rtol=1e-3)
    np.testing.assert_allclose(np.std(raw[1]), 0.3, rtol=0.02)
    np.testing.assert_allclose(np.abs(raw[2]).max(), 0.5, rtol=1e-3)


@pytest.mark.parametrize("representation", [AudioRepresentation.MEL_SPECTROGRAM, AudioRepresentation.STFT])
def test_features_come_beside_the_waveform(representation):
    data = dataset(CONFIG.evolve(representation=representation))
    one, some = data[1], data[:3]
    assert one["audio"].shape == (800,)
    assert one[representation.value].shape == data.modality.output_shape
    reference = np.asarray(data.modality.encode(some["audio"]))
    np.testing.assert_allclose(some[representation.value], reference, rtol=1e-6)
    np.testing.assert_allclose(one[representation.value], reference[1], atol=1e-5 * np.abs(reference).max())


def test_audio_types_may_carry_options_or_be_functions():
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
        ({"audio_types": ["sin"]}, UnknownComponentError, "Did you mean 'sine'.*Available: chirp, noise, sine"),
        ({"audio_types": []}, TypeError, "at least one audio type"),
        ({"audio_types": "sine"}, TypeError, r"such as \['sine', 'noise'\], got 'sine'"),
        ({"audio_types": [("sine", {"freq": 3})]}, TypeError, "takes no option 'freq'"),
        ({"audio_types": [3]}, TypeError, "expected a name"),
        ({"n_samples": 0}, ValueError, "n_samples must be an integer from 1"),
        ({"n_samples": 1.5}, TypeError, "n_samples must be an integer"),
        ({"split": 3}, TypeError, "split is the name of a part of the data"),
        ({"config": {}}, TypeError, "SyntheticAudioDataset takes config=AudioModalityConfig"),
    ],
)
def test_bad_arguments_are_refused_at_construction(options, error, says):
    with pytest.raises(error, match=says):
        dataset(**options)


def test_an_audio_type_of_the_wrong_length_is_refused_at_construction():
    def short(key, *, n_time_steps, sample_rate):
        return jnp.zeros(n_time_steps - 1)

    with pytest.raises(ValueError, match=r"'short' has to give \(800,\) floats"):
        dataset(audio_types=[short])


@pytest.mark.parametrize("index", [12, -13, 10**12])
def test_an_index_out_of_range_says_how_many_there_are(index):
    with pytest.raises(IndexError, match=f"12 examples, got index {index}"):
        dataset()[index]


def test_get_batch_draws_from_the_rngs_it_was_given():
    first = dataset(n_samples=1000, rngs=nnx.Rngs(0)).get_batch(8)["index"]
    same = dataset(n_samples=1000, rngs=nnx.Rngs(0)).get_batch(8)["index"]
    other = dataset(n_samples=1000, rngs=nnx.Rngs(1)).get_batch(8)["index"]
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


def test_successive_batches_differ():
    data = dataset(n_samples=1000)
    assert not np.array_equal(data.get_batch(8)["index"], data.get_batch(8)["index"])


def test_the_factory_makes_it_by_name():
    data = create_audio_dataset(dataset_type="synthetic", config=None, n_samples=4, audio_types=["chirp"])
    assert isinstance(data, SyntheticAudioDataset)
    assert data.config == AudioModalityConfig()
    with pytest.raises(UnknownComponentError, match="no dataset 'synthetc'.*'synthetic'.*Available: files, synthetic"):
        create_audio_dataset("synthetc")
    with pytest.raises(TypeError, match="takes no option 'n_sample'. Did you mean 'n_samples'"):
        create_audio_dataset("synthetic", n_sample=3)
