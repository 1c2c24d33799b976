"""The base classes of datasets, modalities and extensions."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.generative_models.core.configuration import ExtensionConfig
from artifex.generative_models.extensions.base import ModelExtension
from artifex.generative_models.modalities.base import BaseDataset, Modality, position


class Counting(BaseDataset):
    """A dataset that defines ``__getitem__``."""

    def __init__(self, size=10, *, rngs=None, **given):
        super().__init__({"size": size}, rngs=rngs, **given)

    def __len__(self):
        return self.config["size"]

    def __getitem__(self, index):
        number = position(index, len(self), "Counting")
        return {"audio": np.full(4, number, np.float32), "path": f"{number}.wav", "rate": 16000}


class Streaming(BaseDataset):
    """A dataset that overrides ``__iter__`` and ``get_batch``."""

    def __init__(self, config, paths, split="train", *, rngs):
        super().__init__(config, split, rngs=rngs)
        self.paths = paths
        self.samples = [jax.random.uniform(jax.random.key(i), (8,)) for i in range(len(paths))]

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[dict]:
        for i, audio in enumerate(self.samples):
            yield {"audio": audio, "index": jnp.array(i), "path": self.paths[i]}

    def get_batch(self, batch_size: int) -> dict:
        key = self.rngs.sample() if "sample" in self.rngs else jax.random.key(0)
        indices = jax.random.randint(key, (batch_size,), 0, len(self))
        return {
            "audio": jnp.stack([self.samples[int(i)] for i in indices]),
            "path": [self.paths[int(i)] for i in indices],
        }


def test_a_dataset_without_a_length_cannot_be_created():
    class Lengthless(BaseDataset):
        def __getitem__(self, index):
            return {}

    with pytest.raises(TypeError, match="abstract"):
        Lengthless(None, rngs=None)


def test_a_dataset_stores_its_arguments():
    rngs = nnx.Rngs(0)
    data = Counting(3, split="test", rngs=rngs)
    assert data.config == {"size": 3}
    assert data.split == "test"
    assert data.rngs is rngs
    assert Counting(3).split == "train"


def test_rngs_is_a_required_argument():
    class Empty(BaseDataset):
        def __len__(self):
            return 0

    with pytest.raises(TypeError, match="rngs"):
        Empty(None)


def test_every_iteration_yields_every_example_once_in_order():
    data = Counting(5)
    for _ in range(2):
        assert [sample["path"] for sample in data] == [f"{i}.wav" for i in range(5)]


def test_indexing_a_dataset_without_getitem_raises():
    data = Streaming(None, ["a"], rngs=nnx.Rngs(0))
    with pytest.raises(TypeError, match="Streaming cannot be indexed"):
        data[0]


def test_a_subclass_may_override_iteration_and_batches():
    data = Streaming(None, ["a", "b", "c"], rngs=nnx.Rngs(sample=0))
    batch = data.get_batch(4)
    assert batch["audio"].shape == (4, 8)
    assert set(batch["path"]) <= {"a", "b", "c"}
    assert data.collate_fn(list(data))["index"].tolist() == [0, 1, 2]


def test_collate_fn_stacks_arrays_and_lists_other_values():
    data = Counting()
    batch = data.collate_fn([data[1], data[7], data[-1]])
    assert batch["audio"].shape == (3, 4)
    assert batch["audio"][:, 0].tolist() == [1, 7, 9]
    assert batch["path"] == ["1.wav", "7.wav", "9.wav"]
    assert batch["rate"] == [16000] * 3
    assert set(batch) == {"audio", "path", "rate"}


@pytest.mark.parametrize("numbers", [np, jnp], ids=["numpy", "jax"])
def test_stacked_arrays_keep_their_library_and_dtype(numbers):
    batch = Counting().collate_fn([{"x": numbers.ones((2, 3), numbers.float16)}] * 2)
    assert isinstance(batch["x"], np.ndarray if numbers is np else jax.Array)
    assert batch["x"].dtype == np.float16
    assert batch["x"].shape == (2, 2, 3)


def test_collating_different_shapes_raises():
    with pytest.raises(
        ValueError, match=r"'x' must have the same shape in all examples, got \(2,\), \(3,\); trim or pad"
    ):
        Counting().collate_fn([{"x": np.ones(2)}, {"x": np.ones(3)}])


def test_collating_different_keys_raises():
    with pytest.raises(ValueError, match=r"equal keys; example 0 has \['x'\], example 1 has \['y'\]"):
        Counting().collate_fn([{"x": 1}, {"y": 1}])


def test_collating_no_examples_raises():
    with pytest.raises(ValueError, match="at least one example, got none"):
        Counting().collate_fn([])


def test_a_batch_contains_the_drawn_indices():
    batch = Counting(1000).get_batch(64)
    assert batch["audio"].shape == (64, 4)
    assert batch["audio"][:, 0].tolist() == batch["index"].tolist()
    assert len(set(batch["index"].tolist())) > 50


def batches(data, count=3):
    return [data.get_batch(5)["index"].tolist() for _ in range(count)]


def test_without_rngs_every_dataset_draws_the_same_batches():
    first = batches(Counting(1000))
    assert first == batches(Counting(1000))
    assert first[0] != first[1]


def test_batches_depend_on_the_rngs():
    first = batches(Counting(1000, rngs=nnx.Rngs(7)))
    assert first == batches(Counting(1000, rngs=nnx.Rngs(7)))
    assert first[0] != first[1]
    assert first != batches(Counting(1000, rngs=nnx.Rngs(8)))


def test_batches_are_drawn_from_the_stream_sample():
    first = batches(Counting(1000, rngs=nnx.Rngs(0, sample=7)))
    assert first == batches(Counting(1000, rngs=nnx.Rngs(1, sample=7)))
    assert first != batches(Counting(1000, rngs=nnx.Rngs(0, sample=8)))


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "3", None])
def test_an_invalid_batch_size_raises(size):
    with pytest.raises((TypeError, ValueError), match="batch_size must be an integer of at least 1"):
        Counting().get_batch(size)


def test_a_batch_of_an_empty_dataset_raises():
    with pytest.raises(ValueError, match="Counting is empty"):
        Counting(0).get_batch(1)
    assert list(Counting(0)) == []


@pytest.mark.parametrize(("index", "expected"), [(0, 0), (9, 9), (-1, 9), (-10, 0), (np.int64(3), 3)])
def test_position_equals_list_indexing(index, expected):
    assert position(index, 10, "data") == list(range(10))[index] == expected


@pytest.mark.parametrize("index", [10, -11, 10**30])
def test_a_position_out_of_range_raises(index):
    with pytest.raises(IndexError, match=rf"data has 10 examples, got index {index}"):
        position(index, 10, "data")


@pytest.mark.parametrize("index", [1.0, True, "1", None, slice(2)])
def test_a_position_that_is_not_an_integer_raises(index):
    with pytest.raises(TypeError, match="data must be indexed by an integer"):
        position(index, 10, "data")


def test_a_modality_has_a_shape_and_an_inverse():
    class Shapeless(Modality):
        def encode(self, data):
            return data

    with pytest.raises(TypeError, match="abstract"):
        Shapeless(None)


class Louder(ModelExtension):
    def __call__(self, inputs, model_outputs=None):
        return {"louder": 2 * inputs["audio"]}

    def loss_fn(self, batch, model_outputs):
        return self.weight * jnp.mean(jnp.square(model_outputs))


def test_an_extension_stores_weight_and_enabled():
    extension = Louder(ExtensionConfig(weight=2, enabled=False), rngs=nnx.Rngs(0))
    assert extension.weight == 2.0
    assert extension.enabled is False


def test_the_base_extension_has_no_features_and_a_loss_of_0():
    extension = ModelExtension(ExtensionConfig())
    assert extension({"audio": jnp.ones(3)}, None) == {}
    assert extension.loss_fn({}, {}).shape == ()
    assert float(extension.loss_fn({}, {})) == 0.0


def test_an_extension_works_under_jit_vmap_and_grad():
    extension = Louder(ExtensionConfig(weight=0.5))
    audio = jnp.arange(6.0).reshape(2, 3)
    louder = jax.jit(jax.vmap(lambda x: extension({"audio": x})["louder"]))(audio)
    assert louder.tolist() == (2 * audio).tolist()
    gradient = jax.grad(lambda x: extension.loss_fn({}, x))(audio)
    np.testing.assert_allclose(gradient, 0.5 * 2 * audio / audio.size, rtol=1e-6)


@pytest.mark.parametrize("config", [None, {"weight": 1.0}, 1.0])
def test_an_extension_without_an_extension_config_raises(config):
    with pytest.raises(TypeError, match="Louder requires config=ExtensionConfig"):
        Louder(config)
