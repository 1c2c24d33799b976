r"""Recognize digits spoken by a person who is not in the training data: files named ``digit_speaker_take.wav``.

artifex scan FOLDER --out digits.jsonl --label '(\d)_' --split train=0.7,test=0.3 --by '_([a-z]+)_'
python examples/spoken_digits.py digits.jsonl features
"""

import sys

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from artifex.generative_models.modalities.audio import (
    AudioModalityConfig,
    FeatureDataset,
    device_batches,
    extract,
    make_loader,
)
from artifex.generative_models.modalities.audio.datasets import balanced

MEL = "log_mel_spectrogram"
config = AudioModalityConfig(representation=MEL, sample_rate=8000, n_mel_channels=40, n_fft=256, hop_length=80)
extract(sys.argv[1], sys.argv[2], config=config)
train, test = (FeatureDataset(sys.argv[2], split=split) for split in ("train", "test"))
statistics = train.statistics[MEL]


class Recognizer(nnx.Module):
    """Two convolutions over time, and the maximum over the valid frames."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = nnx.Conv(40, 64, 9, strides=2, rngs=rngs)
        self.second = nnx.Conv(64, 64, 9, strides=2, rngs=rngs)
        self.classes = nnx.Linear(64, len(train.labels), rngs=rngs)

    def __call__(self, batch: dict[str, jax.Array]) -> jax.Array:
        """Return the logits, shape (batch, classes)."""
        mel = statistics.normalize(batch[MEL], lengths=batch["length"]).swapaxes(-1, -2)
        frames = nnx.relu(self.second(nnx.relu(self.first(mel))))
        return self.classes(jnp.max(frames, axis=-2, where=batch["mask"][:, ::4, None], initial=0.0))


@nnx.jit
def train_step(model: Recognizer, optimizer: nnx.Optimizer[Recognizer], batch: dict[str, jax.Array]) -> None:
    """Take a training step."""

    def loss(model: Recognizer) -> jax.Array:
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(model(batch), batch["label"]))

    optimizer.update(model, nnx.grad(loss)(model))


model = Recognizer(nnx.Rngs(0))
optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
for batch in device_batches(make_loader(balanced(train), 32, shuffle=True, epochs=20, bucket_lengths=4)):
    train_step(model, optimizer, batch)
batches = device_batches(make_loader(test, 20, drop_remainder=False, bucket_lengths=4))
correct = [(model(batch).argmax(axis=-1) == batch["label"])[batch["valid"]] for batch in batches]
print(f"{jnp.concatenate(correct).mean():.0%} of {len(test)} digits are right")
