"""Compare the time to make batches of audio with that of the installed peers.

Run ``python benchmarks/data.py``. The tools of a comparison are interleaved: every round calls each tool once, and ratios are
taken within a round. The output is the median with the minimum and the maximum. Slow tools process fewer examples; times are
per example. Before timing, the results of the tools are compared. All tools use the same two processors.
"""

import argparse
import atexit
import functools
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])

import jax
import jax.numpy as jnp
import numpy as np
from timing import milliseconds, spread

from artifex.generative_models.modalities.audio import AudioModalityConfig, datasets
from artifex.generative_models.modalities.audio.datasets import AudioFileDataset, SyntheticAudioDataset, make_loader
from artifex.generative_models.modalities.base import BaseDataset

TYPES = ("sine", "noise", "chirp")
N_RECORDINGS, RATE, BATCH = 2_000, 16_000, 32


class Tool(NamedTuple):
    """A call to time, and the number of examples it makes."""

    call: Callable[[], Any]
    n_examples: int


class Comparison(NamedTuple):
    """The tools to time, artifex first, and the size of an example in bytes."""

    tools: dict[str, Tool]
    n_bytes: int


def synthetic_epoch() -> Comparison:
    """Return 10 000 normalized clips of 1 s, in batches of 96."""
    config = AudioModalityConfig(duration=1.0)
    n_samples, n_time_steps, batch_size, n_peer = 10_000, config.n_time_steps, 96, 60
    data = SyntheticAudioDataset(config, n_samples=n_samples, audio_types=TYPES)
    starts = range(0, n_samples, batch_size)

    def batches() -> None:
        for start in starts:
            data[start : start + batch_size]["audio"].block_until_ready()

    def examples() -> None:
        for start in starts:
            data.examples(range(start, min(start + batch_size, n_samples)))

    def render_one(index: int) -> jax.Array:
        """Render an example as the guide does: one at a time, with each operation dispatched separately."""
        which = TYPES[index % 3]
        key = jax.random.key(index)
        time = jnp.linspace(0, config.duration, n_time_steps)
        if which == "noise":
            audio = 0.3 * jax.random.normal(key, (n_time_steps,))
        else:
            low, high = 200.0, 800.0
            frequency = jax.random.uniform(key, minval=low, maxval=high)
            if which == "chirp":
                frequency = low + (high - low) * time / (2 * config.duration)
            audio = 0.5 * jnp.sin(2 * jnp.pi * frequency * time)
        peak = jnp.max(jnp.abs(audio))
        return jnp.where(peak > 0, audio / peak, audio)

    theirs, ours = np.stack([render_one(i) for i in range(n_peer)]), np.asarray(data[:n_peer]["audio"])
    for which in range(3):  # other random parameters of the same audio types
        levels = [np.sqrt(np.mean(np.square(audio[which::3]))) for audio in (ours, theirs)]
        assert abs(levels[0] / levels[1] - 1) < 0.05, (TYPES[which], levels)
    assert np.allclose(np.abs(ours).max(1), np.abs(theirs).max(1), atol=1e-6)

    source = np.ones((n_samples, n_time_steps), np.float32)
    copied = np.ones_like(source)

    def copy() -> None:
        for start in starts:
            np.copyto(copied[start : start + batch_size], source[start : start + batch_size])

    tools = {
        "artifex, slices": Tool(batches, n_samples),
        "artifex, examples": Tool(examples, n_samples),
        "single clips, as in the guide": Tool(
            lambda: [render_one(i).block_until_ready() for i in range(n_peer)], n_peer
        ),
        "np.copyto": Tool(copy, n_samples),
    }
    return Comparison(tools, 4 * n_time_steps)


def synthetic_mixed(batch_size: int) -> Comparison:
    """Return a batch of several types, compared with batches of each type and with a list of examples."""
    config = AudioModalityConfig(duration=1.0)
    data = SyntheticAudioDataset(config, n_samples=1_000_000, audio_types=TYPES)
    single_types = [SyntheticAudioDataset(config, n_samples=1_000_000, audio_types=[name]) for name in TYPES]
    counts = [len(range(number, batch_size, 3)) for number in range(3)]
    start = 0

    def next_batch() -> range:
        nonlocal start
        start = (start + batch_size) % 900_000
        return range(start, start + batch_size)

    def mixed() -> None:
        indices = next_batch()
        data[indices.start : indices.stop]["audio"].block_until_ready()

    for first in range(0, 3 * batch_size, batch_size):
        clips = np.stack([data[i]["audio"] for i in range(first, first + batch_size)])
        assert np.abs(data[first : first + batch_size]["audio"] - clips).max() < 1e-6
    tools = {
        "a slice": mixed,
        "each type separately": lambda: [
            each[:count]["audio"].block_until_ready() for each, count in zip(single_types, counts, strict=True)
        ],
        "get_batch": lambda: data.get_batch(batch_size)["audio"].block_until_ready(),
        "a list of examples": lambda: jax.block_until_ready([data[i]["audio"] for i in next_batch()]),
    }
    for _ in range(60):  # compile the sizes that get_batch draws
        tools["get_batch"]()
    for index in (990_000, 990_010, 990_020):  # compile single examples of each type
        data[index]
    return Comparison({name: Tool(call, batch_size) for name, call in tools.items()}, 4 * config.n_time_steps)


@functools.cache
def recordings() -> list[Path]:
    """Write 16-bit noise at five sample rates, 1 to 6 s long, every second file in stereo."""
    import soundfile

    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    draws = np.random.default_rng(0)
    noise = (3_000 * draws.standard_normal((6 * 48_000, 2))).astype(np.int16)
    paths = [Path(folder.name) / f"{number:04}.wav" for number in range(N_RECORDINGS)]
    for number, path in enumerate(paths):
        rate = (8_000, 16_000, 22_050, 44_100, 48_000)[number % 5]
        soundfile.write(path, noise[: int(rate * draws.uniform(1, 6)), : 1 + number % 2], rate, subtype="PCM_16")
    return paths


class TorchCrops:
    """A torch dataset of a random crop of 1 s per recording, with soundfile and torchaudio's default resampler."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        import soundfile
        import torch
        import torchaudio

        with soundfile.SoundFile(self.paths[index]) as file:
            rate = file.samplerate
            file.seek(int(torch.randint(0, max(1, file.frames - rate), ())))
            audio = torch.from_numpy(file.read(rate, dtype="float32", always_2d=True)).mean(1)
        return torchaudio.functional.resample(audio, rate, RATE)


def librosa_batches(paths: list[Path]) -> Iterator[np.ndarray]:
    import librosa

    draws = np.random.default_rng(0)
    for first in range(0, len(paths), BATCH):
        clips = []
        for path in paths[first : first + BATCH]:
            start = draws.uniform(0, max(0.0, librosa.get_duration(path=path) - 1))
            clips.append(librosa.load(path, sr=RATE, offset=start, duration=1.0)[0][:RATE])
        yield np.stack(clips)


def recordings_to_batches(workers: int) -> Comparison:
    """Return a crop of 1 s of each recording at 16 kHz, in batches of 32, iterated over as in training."""
    paths = recordings()
    n_batches = N_RECORDINGS // BATCH
    config = AudioModalityConfig(sample_rate=RATE, duration=1.0, normalize=False)
    data = AudioFileDataset(config, paths, crop="random")
    ours = make_loader(data, BATCH, shuffle=True, epochs=None, workers=workers)

    def epoch() -> None:
        for batch in itertools.islice(ours, n_batches):
            assert batch["audio"].shape == (BATCH, RATE)

    tools = {"artifex": Tool(epoch, n_batches * BATCH)}
    if find_spec("torchaudio") is not None:
        import torch

        torch.set_num_threads(2)
        theirs = torch.utils.data.DataLoader(
            TorchCrops(paths), BATCH, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0
        )

        def torch_epoch() -> None:
            for batch in theirs:
                assert batch.shape == (BATCH, RATE)

        tools["torch's DataLoader"] = Tool(torch_epoch, n_batches * BATCH)
    if find_spec("librosa") is not None and not workers:
        few = paths[: 4 * BATCH]
        tools["a loop of librosa.load"] = Tool(lambda: list(librosa_batches(few)), len(few))
    return Comparison(tools, 4 * RATE)


def composed_to_batches() -> Comparison:
    """Return the same crops through a map of a mixture of two filtered halves, and from the plain dataset."""
    config = AudioModalityConfig(sample_rate=RATE, duration=1.0, normalize=False)
    plain = AudioFileDataset(config, recordings(), crop="random")
    halves = [datasets.subset(plain, range(first, N_RECORDINGS, 2)) for first in range(2)]
    composed = datasets.map(
        datasets.mix([datasets.filter(half, lambda row: row["length"] > 0) for half in halves], [1, 1]), dict
    )
    n_batches = N_RECORDINGS // BATCH

    def tool(data: BaseDataset) -> Tool:
        loader = make_loader(data, BATCH, shuffle=True, epochs=None)

        def epoch() -> None:
            for batch in itertools.islice(loader, n_batches):
                assert batch["audio"].shape == (BATCH, RATE)

        return Tool(epoch, n_batches * BATCH)

    return Comparison({"composed": tool(composed), "plain": tool(plain)}, 4 * RATE)


def memory() -> None:
    """Print the resident memory after each of ten epochs of the recordings."""
    data = AudioFileDataset(AudioModalityConfig(sample_rate=RATE, duration=1.0), recordings(), crop="random")
    loader = make_loader(data, BATCH, shuffle=True, epochs=10)
    resident = []
    for _ in loader:
        if loader.progress.step % loader.steps_per_epoch == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            resident.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
    print("resident after each of ten epochs, MiB: " + " ".join(f"{each:.0f}" for each in resident))


COMPARISONS: dict[str, Callable[[], Comparison]] = {
    "10 000 clips of 1 s, sine, noise and chirp, in batches of 96": synthetic_epoch,
    "32 clips of 1 s, mixed": lambda: synthetic_mixed(32),
    "96 clips of 1 s, mixed": lambda: synthetic_mixed(96),
    "2 000 recordings, 1 s of each at 16 kHz, in batches of 32": lambda: recordings_to_batches(0),
    "2 000 recordings, the same with 2 workers": lambda: recordings_to_batches(2),
    "2 000 recordings, composed of datasets": composed_to_batches,
}


def run(name: str, comparison: Comparison, n_rounds: int) -> None:
    for tool in comparison.tools.values():
        tool.call()
    rounds = [
        {label: 1e3 * milliseconds(tool.call) / tool.n_examples for label, tool in comparison.tools.items()}
        for _ in range(n_rounds)
    ]
    ours, *others = comparison.tools
    print(f"{name}; an example is {comparison.n_bytes} bytes")
    print(f"  {ours:30}{spread([one[ours] for one in rounds], 1):>26} µs an example")
    for other in others:
        print(f"  {other:30}{spread([one[other] / one[ours] for one in rounds]):>26} times as long")


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the time to make batches of audio.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", default="", help="run comparisons whose name contains this")
    options = parser.parse_args()
    print(
        f"JAX {jax.__version__}, {jax.devices()[0].device_kind}, {options.rounds} rounds, load {os.getloadavg()[0]:.1f}"
    )
    for name, make in COMPARISONS.items():
        if options.only in name:
            run(name, make(), options.rounds)
    if options.only in "memory":
        memory()


if __name__ == "__main__":
    main()
