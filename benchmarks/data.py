"""Time the ways of audio into batches against the peers that are installed.

Run it as ``python benchmarks/data.py``. Each row is one interleaved run: every round calls each tool once, one after the
other, and a ratio is taken within a round; the table gives the median with the lowest and the highest. What takes too
long is given fewer examples, and times are per example. That the tools agree is checked first. All work on the same two
processors.
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

from artifex.generative_models.modalities.audio import AudioModalityConfig
from artifex.generative_models.modalities.audio.datasets import AudioFileDataset, SyntheticAudioDataset, make_loader

TYPES = ("sine", "noise", "chirp")
N_RECORDINGS, RATE, BATCH = 2_000, 16_000, 32


class Tool(NamedTuple):
    """A call that is timed, and how many examples it makes."""

    call: Callable[[], Any]
    n_examples: int


class Row(NamedTuple):
    """What is timed, by tool, ours first, and the bytes of an example that have to be written at least."""

    tools: dict[str, Tool]
    n_bytes: int


def synthetic_epoch() -> Row:
    """10 000 normalized clips of a second, in batches of 96."""
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

    def sample_by_sample(index: int) -> jax.Array:
        """Render as the guide does: one sample at a time, each operation dispatched by itself."""
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

    theirs, ours = np.stack([sample_by_sample(i) for i in range(n_peer)]), np.asarray(data[:n_peer]["audio"])
    for which in range(3):  # other draws of the same sounds
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
        "one by one, as the guide": Tool(
            lambda: [sample_by_sample(i).block_until_ready() for i in range(n_peer)], n_peer
        ),
        "np.copyto": Tool(copy, n_samples),
    }
    return Row(tools, 4 * n_time_steps)


def synthetic_mixed(batch_size: int) -> Row:
    """A mixed batch against its types alone, as many of each, and against a list of samples."""
    config = AudioModalityConfig(duration=1.0)
    data = SyntheticAudioDataset(config, n_samples=1_000_000, audio_types=TYPES)
    alone = [SyntheticAudioDataset(config, n_samples=1_000_000, audio_types=[name]) for name in TYPES]
    shares = [len(range(which, batch_size, 3)) for which in range(3)]
    place = 0

    def next_batch() -> range:
        nonlocal place
        place = (place + batch_size) % 900_000
        return range(place, place + batch_size)

    def mixed() -> None:
        places = next_batch()
        data[places.start : places.stop]["audio"].block_until_ready()

    for start in range(0, 3 * batch_size, batch_size):
        rows = np.stack([data[i]["audio"] for i in range(start, start + batch_size)])
        assert np.abs(data[start : start + batch_size]["audio"] - rows).max() < 1e-6
    tools = {
        "a slice": mixed,
        "the types alone": lambda: [
            each[:share]["audio"].block_until_ready() for each, share in zip(alone, shares, strict=True)
        ],
        "get_batch": lambda: data.get_batch(batch_size)["audio"].block_until_ready(),
        "a list of samples": lambda: jax.block_until_ready([data[i]["audio"] for i in next_batch()]),
    }
    for _ in range(60):  # compiles the sizes that get_batch draws
        tools["get_batch"]()
    for place in (990_000, 990_010, 990_020):  # and each type alone, as out of turn
        data[place]
    return Row({name: Tool(call, batch_size) for name, call in tools.items()}, 4 * config.n_time_steps)


@functools.cache
def recordings() -> list[Path]:
    """Write noise of five rates, 1 to 6 seconds long, every other one in stereo, 16 bits."""
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
    """A random second of each recording, as torch's users read it: soundfile, and torchaudio's resampler as it comes."""

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
        rows = []
        for path in paths[first : first + BATCH]:
            start = draws.uniform(0, max(0.0, librosa.get_duration(path=path) - 1))
            rows.append(librosa.load(path, sr=RATE, offset=start, duration=1.0)[0][:RATE])
        yield np.stack(rows)


def recordings_to_batches(workers: int) -> Row:
    """A second out of each recording, at 16 kHz, in batches of 32, by the loop that training would run."""
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
    return Row(tools, 4 * RATE)


def memory() -> None:
    """Print what the process holds after each of ten epochs of the recordings."""
    data = AudioFileDataset(AudioModalityConfig(sample_rate=RATE, duration=1.0), recordings(), crop="random")
    loader = make_loader(data, BATCH, shuffle=True, epochs=10)
    held = []
    for _ in loader:
        if loader.progress.step % loader.steps_per_epoch == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            held.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
    print("resident after each of ten epochs, MiB: " + " ".join(f"{each:.0f}" for each in held))


ROWS: dict[str, Callable[[], Row]] = {
    "10 000 clips of 1 s, sine, noise and chirp, in batches of 96": synthetic_epoch,
    "32 clips of 1 s, mixed": lambda: synthetic_mixed(32),
    "96 clips of 1 s, mixed": lambda: synthetic_mixed(96),
    "2 000 recordings, a second of each at 16 kHz, in batches of 32": lambda: recordings_to_batches(0),
    "2 000 recordings, the same, by 2 workers": lambda: recordings_to_batches(2),
}


def run(name: str, row: Row, n_rounds: int) -> None:
    for tool in row.tools.values():
        tool.call()
    rounds = [
        {label: 1e3 * milliseconds(tool.call) / tool.n_examples for label, tool in row.tools.items()}
        for _ in range(n_rounds)
    ]
    ours, *others = row.tools
    print(f"{name}; an example is {row.n_bytes} bytes")
    print(f"  {ours:30}{spread([one[ours] for one in rounds], 1):>26} µs an example")
    for other in others:
        print(f"  {other:30}{spread([one[other] / one[ours] for one in rounds]):>26} times as long")


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the ways of audio into batches.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    options = parser.parse_args()
    print(
        f"JAX {jax.__version__}, {jax.devices()[0].device_kind}, {options.rounds} rounds, load {os.getloadavg()[0]:.1f}"
    )
    for name, make in ROWS.items():
        if options.only in name:
            run(name, make(), options.rounds)
    if options.only in "memory":
        memory()


if __name__ == "__main__":
    main()
