"""A small training run for ``test_multihost.py``: ``multihost_training.py HOST COUNT PORT`` prints one line of JSON."""

import json
import sys
from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from artifex.generative_models.modalities.audio import device_batches, make_loader

BATCH_SIZE = 8


class Tones:
    """Twenty short tones, labeled by frequency."""

    time_axis_keys = ("audio",)

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> Mapping[str, object]:
        audio = np.sin(2 * np.pi * (index + 1) / 64 * np.arange(32)).astype(np.float32)
        return {"audio": audio, "label": index, "path": f"{index}.wav"}


def jitter(example: Mapping[str, object], rng: np.random.Generator) -> dict[str, object]:
    """Apply a random gain, so that examples depend on the epoch and the index."""
    return {**example, "audio": example["audio"] * np.float32(rng.uniform(0.5, 1.0))}


@partial(jax.jit, donate_argnums=0)
def step(weights: jax.Array, batch: Mapping[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Take a gradient step on the squared error; return the weights and the loss."""

    def loss(weights: jax.Array) -> jax.Array:
        error = jnp.tanh(batch["audio"] @ weights) @ jnp.ones(4) - batch["label"] / 20
        return jnp.mean(jnp.where(batch["valid"], error**2, 0.0))

    value, gradient = jax.value_and_grad(loss)(weights)
    return weights - 0.1 * gradient, value


def start(mesh: Mesh) -> jax.Array:
    """Return the initial weights, replicated on all devices."""
    weights = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32) / 8
    return jax.make_array_from_callback((32, 4), NamedSharding(mesh, P()), lambda index: weights[index])


def train(mesh: Mesh) -> tuple[list[float], str]:
    """Train for three epochs, with a loader that is created again and restored after two steps.

    Returns:
        The losses, and the compiled program of a step.
    """

    def loader():
        return make_loader(Tones(), BATCH_SIZE, shuffle=True, seed=3, epochs=3, transforms=[jitter])

    sharding = NamedSharding(mesh, P("data"))
    weights, losses = start(mesh), []
    batches = device_batches(loader(), sharding)
    for number in range(6):
        if number == 2:
            batches = device_batches(loader().restore(json.loads(json.dumps(batches.state()))), sharding)
        batch = next(batches)
        assert batch["audio"].sharding.num_devices == mesh.size
        weights, loss = step(weights, batch)
        losses.append(float(loss))
    assert next(batches, None) is None
    return losses, step.lower(weights, batch).compile().as_text()


def main(host: int, count: int, port: int) -> None:
    """Train as one of several hosts with eight devices in total."""
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 8 // count)
    if count > 1:
        jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=count, process_id=host)
    losses, program = train(Mesh(jax.devices(), "data"))
    results = {
        "losses": losses,
        "reduces": "all-reduce" in program,
        "gathers": "all-gather" in program,
        "n_examples": len(next(make_loader(Tones(), BATCH_SIZE))["index"]),
    }
    print(json.dumps(results))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
