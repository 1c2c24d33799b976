"""Draw the figures of the README and the documentation: ``python docs/pictures.py``."""

from pathlib import Path

import jax
from flax import nnx
from matplotlib.figure import Figure

from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig, plot
from artifex.generative_models.modalities.audio import (
    AudioModality,
    AudioModalityConfig,
    AudioRepresentation,
    SyntheticAudioDataset,
    spec_augment,
    time_stretch,
)

FOLDER = Path(__file__).parent / "images"


def overview() -> None:
    """Draw a chirp: its waveform, its mel spectrogram, augmented, and encoded, decoded and encoded again."""
    config = AudioModalityConfig(representation=AudioRepresentation.MEL_SPECTROGRAM, duration=2.0)
    modality = AudioModality(config=config, rngs=nnx.Rngs(0))
    data = SyntheticAudioDataset(
        config=config, n_samples=1, audio_types=[{"name": "chirp", "f_min": 200.0, "f_max": 6000.0}]
    )
    audio, mel = data[0]["audio"], data[0]["mel_spectrogram"]
    stretch_key, mask_key = jax.random.split(jax.random.key(3))
    stretched = modality.encode(time_stretch(audio, stretch_key, rate_range=(0.7, 0.7), tail="zeros"))
    masked = spec_augment(stretched, mask_key, fill_value="min")

    conventions = SpectralConfig(
        sample_rate=config.sample_rate,
        n_fft=config.n_fft,
        hop_length=config.hop_length,
        n_mels=config.n_mel_channels,
    )
    figure = Figure(figsize=(11, 6), layout="constrained")
    axes = figure.subplots(2, 2)
    plot.waveform(audio[:1600], conventions, ax=axes[0, 0], title="dataset[0]: a chirp, its first 0.1 s")
    for ax, values, title in (
        (axes[0, 1], mel, "encode: its mel spectrogram"),
        (axes[1, 0], masked, "time_stretch and spec_augment"),
        (axes[1, 1], modality.encode(modality.decode(mel)), "mel spectrogram of the decoded audio"),
    ):
        plot.mel(values, conventions, ax=ax, title=title)
    figure.savefig(FOLDER / "overview.png", dpi=110)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    overview()
