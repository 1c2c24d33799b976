"""Train a small audio classifier, interrupt it and continue: ``python examples/train_classifier.py [FOLDER]``."""

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from artifex.generative_models.modalities.audio import (
    AudioModality,
    AudioModalityConfig,
    Loader,
    SyntheticAudioDataset,
    device_batches,
    make_loader,
)

CLASSES = ("sine", "noise", "chirp")
CONFIG = AudioModalityConfig(representation="log_mel_spectrogram", sample_rate=16000, duration=0.5, n_mel_channels=40)


class Classifier(nnx.Module):
    """Two layers applied to each frame, averaged over time."""

    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.modality = AudioModality(CONFIG)
        self.frame = nnx.Linear(CONFIG.n_mel_channels, 64, rngs=rngs)
        self.classes = nnx.Linear(64, len(CLASSES), rngs=rngs)

    def __call__(self, audio: jax.Array) -> jax.Array:
        """Return the logits of clips, shape (batch, classes)."""
        frames = self.modality.encode(audio).swapaxes(-1, -2) / 40.0
        return self.classes(nnx.relu(self.frame(frames)).mean(axis=-2))


def label_and_scale(example: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Return the class index of an example, and its audio with a random gain per epoch."""
    audio = np.asarray(example["audio"]) * np.float32(rng.uniform(0.1, 1.0))
    return {"audio": audio, "label": CLASSES.index(example["audio_type"])}


def loader() -> Loader:
    """Return the loader of the training batches, which do not depend on interruptions."""
    waveforms = AudioModalityConfig(sample_rate=CONFIG.sample_rate, duration=CONFIG.duration)
    dataset = SyntheticAudioDataset(waveforms, n_samples=384, audio_types=CLASSES)
    return make_loader(dataset, 32, shuffle=True, seed=1, epochs=5, transforms=[label_and_scale])


@nnx.jit
def train_step(
    model: Classifier, optimizer: nnx.Optimizer[Classifier], batch: Mapping[str, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """Take a training step; return the loss and the accuracy before it."""

    def loss(model: Classifier) -> tuple[jax.Array, jax.Array]:
        logits = model(batch["audio"])
        accuracy = jnp.mean(logits.argmax(axis=-1) == batch["label"])
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"]).mean(), accuracy

    (value, accuracy), gradients = nnx.value_and_grad(loss, has_aux=True)(model)
    optimizer.update(model, gradients)
    return value, accuracy


def trained_state(model: Classifier, optimizer: nnx.Optimizer[Classifier]) -> nnx.State[str, Any]:
    """Return the arrays to save in a checkpoint."""
    return nnx.state((model, optimizer))  # pyright: ignore[reportUnknownVariableType]  untyped in flax


def train(folder: Path, *, stop: int | None = None) -> None:
    """Train from the latest checkpoint in a folder, for all epochs or until a total number of steps."""
    model = Classifier(rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)
    batches_on_host = loader()
    options = ocp.CheckpointManagerOptions(max_to_keep=2)
    checkpoints: Any = ocp.CheckpointManager(folder.absolute(), options=options)
    with checkpoints:
        latest: int | None = checkpoints.latest_step()
        if latest is not None:
            items = ocp.args.Composite(
                model=ocp.args.StandardRestore(trained_state(model, optimizer)), loader=ocp.args.JsonRestore()
            )
            restored: Any = checkpoints.restore(latest, args=items)
            nnx.update((model, optimizer), restored.model)
            batches_on_host.restore(restored.loader)
            print(f"continuing after step {latest}")

        mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))
        batches = device_batches(batches_on_host, NamedSharding(mesh, PartitionSpec("data")))
        for batch in batches:
            value, accuracy = train_step(model, optimizer, batch)
            progress = batches.progress
            if progress.step % 10 == 0:
                rate = f"{progress.examples_per_second:.0f} examples/s"
                print(f"epoch {progress.epoch} step {progress.step}: loss {value:.3f}, accuracy {accuracy:.0%}, {rate}")
            if progress.step % 20 == 0:
                items = ocp.args.Composite(
                    model=ocp.args.StandardSave(trained_state(model, optimizer)),
                    loader=ocp.args.JsonSave(batches.state()),
                )
                checkpoints.save(progress.step, args=items)
            if progress.step == stop:
                print(f"stopped after step {stop}")
                return


if __name__ == "__main__":
    if len(sys.argv) > 1:
        train(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            train(Path(temporary), stop=25)
            train(Path(temporary))
