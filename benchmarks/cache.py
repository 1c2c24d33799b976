"""Compare the time per example of a dataset of MP3 files with and without ``cached``.

Run ``python benchmarks/cache.py``. It requires the encoder ``lame``. Epochs alternate between the two datasets; the times are
the median over the epochs, with the minimum and the maximum. Before timing, the examples are compared.
"""

import argparse
import os
import subprocess
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from timing import milliseconds, spread

from artifex.generative_models.modalities.audio import AudioModalityConfig
from artifex.generative_models.modalities.audio.datasets import AudioFileDataset, cached
from artifex.generative_models.modalities.audio.io import write_audio

RATE = 44_100
CASES = {"5 s mono": (40, 5.0, 1), "60 s stereo": (12, 60.0, 2)}


def write_recordings(folder: Path, n_recordings: int, seconds: float, n_channels: int) -> None:
    """Write recordings of noise and tones as MP3 files of 128 kbit/s."""
    folder.mkdir()
    draws = np.random.default_rng(0)
    time = np.arange(round(seconds * RATE)) / RATE
    for number in range(n_recordings):
        tone = 0.3 * np.sin(2 * np.pi * draws.uniform(100, 4000) * time)
        audio = tone + draws.normal(0, 0.05, (n_channels, len(time)))
        write_audio(folder / "x.wav", audio, RATE)
        command = ["lame", "--quiet", "-b", "128", folder / "x.wav", folder / f"{number:03}.mp3"]
        subprocess.run(command, check=True)
    (folder / "x.wav").unlink()


def epoch(data: AudioFileDataset, number: int) -> None:
    for index in range(len(data)):
        data.example(index, epoch=number)


def compare(plain: AudioFileDataset, fast: AudioFileDataset, n_rounds: int) -> str:
    """Return the times per example of a dataset and of its cached copy."""
    n_examples = len(plain)
    first = milliseconds(partial(epoch, fast, 0)) / n_examples
    for index in range(n_examples):
        np.testing.assert_allclose(fast[index]["audio"], plain[index]["audio"], rtol=0, atol=1e-6)
    decoded, cached_times = np.array(
        [
            [milliseconds(partial(epoch, data, number)) / n_examples for data in (plain, fast)]
            for number in range(1, n_rounds + 1)
        ]
    ).T
    return (
        f"decoded {spread(decoded.tolist())} ms, first epoch {first:.2f} ms, cached {spread(cached_times.tolist())} ms, "
        f"ratio {spread((decoded / cached_times).tolist(), 1)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the time per example with and without a cache.")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    print(f"MP3 at 44.1 kHz to random crops of 1 s at 16 kHz, {options.rounds} epochs, load {os.getloadavg()[0]:.1f}")
    config = AudioModalityConfig(duration=1.0, normalize=False)
    for label, (n_recordings, seconds, n_channels) in CASES.items():
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            write_recordings(folder / "mp3", n_recordings, seconds, n_channels)
            for crop in ("random", "whole"):
                plain = AudioFileDataset(config, folder / "mp3", crop=crop)
                fast = cached(plain, folder / f"cache-{crop}")
                print(f"  {label:12}{crop:8}{compare(plain, fast, options.rounds)}")


if __name__ == "__main__":
    main()
