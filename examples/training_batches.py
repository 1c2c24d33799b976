"""Make batches of augmented mel spectrograms from registered components: ``python examples/training_batches.py``."""

import jax
from flax import nnx

from artifex.generative_models.core import create, registry
from artifex.generative_models.modalities.audio import AudioModality, AudioModalityConfig, normalize_audio

CONFIG = AudioModalityConfig(representation="mel_spectrogram", sample_rate=16000, duration=1.0)


def main() -> None:
    """Print the shapes of a few batches."""
    dataset = create(
        "dataset", "synthetic", config=CONFIG, audio_types=["sine", ("noise", {"amplitude": 0.1}), "chirp"]
    )
    modality = AudioModality(config=CONFIG, rngs=nnx.Rngs(0))
    shift = create("augmentation", "time_shift", max_shift=800)
    gain = create("augmentation", "random_gain")
    mask = create("augmentation", "spec_augment", fill_value="min")

    @jax.jit
    def features(audio: jax.Array, key: jax.Array) -> jax.Array:
        keys = jax.random.split(key, (3, len(audio)))
        audio = jax.vmap(gain)(normalize_audio(jax.vmap(shift)(audio, keys[0])), keys[1])
        return jax.vmap(mask)(modality.encode(audio), keys[2])

    key = jax.random.key(0)
    for step in range(3):
        batch = dataset.get_batch(8)
        key, batch_key = jax.random.split(key)
        print(f"step {step}: {batch['audio'].shape} to {features(batch['audio'], batch_key).shape}")
    print(f"available audio types: {', '.join(registry('audio_type'))}")


if __name__ == "__main__":
    main()
