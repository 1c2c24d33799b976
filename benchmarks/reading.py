"""Compare the time to read audio files with that of bare soundfile and soxr.

Run ``python benchmarks/reading.py``. Every round calls each tool in turn; ratios are taken within a round. The spans that the
tools read are compared first. The first opening of a file, in which it is measured, is timed separately.
"""

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])

import numpy as np
import soundfile
import soxr
from timing import milliseconds, spread

from artifex.generative_models.modalities.audio.io import probe, read_audio

SECONDS, RATE, TARGET, N_CALLS = 60, 44_100, 16_000, 20
FORMATS = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}


def write_recordings(folder: Path) -> dict[str, Path]:
    """Write 60 s of stereo in each format."""
    draws = np.random.default_rng(0)
    seconds = np.arange(SECONDS * RATE) / RATE
    drift = np.cumsum(draws.standard_normal((len(seconds), 2)), axis=0)
    audio = 0.3 * np.sin(2 * np.pi * 440 * seconds)[:, None] + 0.3 * drift / np.abs(drift).max()
    paths = {ending: folder / f"recording.{ending}" for ending in FORMATS}
    for ending, (container, subtype) in FORMATS.items():
        with soundfile.SoundFile(paths[ending], "w", RATE, 2, subtype=subtype, format=container) as file:
            for block in np.array_split(audio, SECONDS):  # libsndfile overflows the stack on a long block of Vorbis
                file.write(block)
    return paths


def bare_probe(path: Path) -> int:
    with soundfile.SoundFile(path) as file:
        return file.frames


def bare_read(path: Path, start: float, seconds: float | None, target: int | None) -> np.ndarray:
    with soundfile.SoundFile(path) as file:
        file.seek(int(start * file.samplerate))
        count = -1 if seconds is None else int(seconds * file.samplerate)
        audio = file.read(count, dtype="float32", always_2d=True).mean(axis=1)
        return audio if target is None else soxr.resample(audio, file.samplerate, target, quality="HQ")


def compare(path: Path, n_rounds: int) -> None:
    """Print the times of artifex, and those of soundfile as multiples of them."""
    starts = [float(start) for start in np.linspace(2, SECONDS - 4, N_CALLS).round(1)]
    ours, _ = read_audio(path, offset=starts[3], duration=1.0)
    assert np.abs(ours - bare_read(path, starts[3], 1.0, None)).max() < (1e-3 if path.suffix == ".mp3" else 1e-5)
    operations = {
        "header": (
            lambda: [probe(path) for _ in starts],
            lambda: [bare_probe(path) for _ in starts],
            len(starts),
        ),
        "1 s, mono": (
            lambda: [read_audio(path, offset=start, duration=1.0) for start in starts],
            lambda: [bare_read(path, start, 1.0, None) for start in starts],
            len(starts),
        ),
        "1 s, mono, 16 kHz": (
            lambda: [read_audio(path, sample_rate=TARGET, offset=start, duration=1.0) for start in starts],
            lambda: [bare_read(path, start, 1.0, TARGET) for start in starts],
            len(starts),
        ),
        "whole, mono": (lambda: read_audio(path), lambda: bare_read(path, 0.0, None, None), 1),
    }
    for label, (artifex, bare, n_calls) in operations.items():
        rounds = [(milliseconds(artifex) / n_calls, milliseconds(bare) / n_calls) for _ in range(n_rounds)]
        print(
            f"  {path.suffix[1:]:5}{label:20}{spread([one for one, _ in rounds]):>24} ms, soundfile "
            f"{spread([two / one for one, two in rounds]):>20} times as long"
        )


def first_time(path: Path, n_rounds: int) -> list[float]:
    """Return the times to open a file that has not been opened before."""
    times = []
    for number in range(n_rounds):
        copy = path.with_name(f"{number}{path.suffix}")
        shutil.copyfile(path, copy)
        times.append(milliseconds(lambda copy=copy: probe(copy)))
        copy.unlink()
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the time to read audio files.")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = write_recordings(Path(folder))
        probe(paths["wav"])
        print(f"60 s of stereo at 44.1 kHz, {options.rounds} rounds, load {os.getloadavg()[0]:.1f}")
        for ending, path in paths.items():
            print(f"  {ending:5}{'first opening':20}{spread(first_time(path, options.rounds)):>24} ms")
        time.sleep(3)  # a file that was modified just now is measured whenever it is opened
        for path in paths.values():
            compare(path, options.rounds)


if __name__ == "__main__":
    main()
