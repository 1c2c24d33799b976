"""Time extraction compared with Ray Data, and reading its features compared with one .npy file per example.

Run ``python benchmarks/data_extraction.py``. Every round calls each tool once, and ratios are computed within a round; the
table contains the median, the minimum and the maximum. Both extractions are timed from the start of their processes to
their end, on the same two processors, and their features are compared first.
"""

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])

import numpy as np
from timing import milliseconds, spread

from artifex.generative_models.modalities.audio import AudioModalityConfig, FeatureDataset, extract, read_features
from artifex.generative_models.modalities.audio.io import write_audio

RATE = 16_000
CONFIG = AudioModalityConfig(representation="log_mel_spectrogram", sample_rate=RATE)

# The same decoder, compiled encoder and batch size, in two actors that cache the compiled programs.
RAY_DATA = """
import sys
import numpy as np, ray
from pathlib import Path
from artifex.generative_models.modalities.audio import AudioModalityConfig, read_audio

ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False, logging_level="error")
ray.data.DataContext.get_current().enable_progress_bars = False

class Encode:
    def __init__(self):
        from artifex.generative_models.modalities.audio.datasets.recordings import encoder
        config = AudioModalityConfig(representation="log_mel_spectrogram")
        self.encoder = lambda length: encoder(config.evolve(duration=length / config.sample_rate))

    def __call__(self, batch):
        waves = [read_audio(path, sample_rate=16_000)[0] for path in batch["path"]]
        length = 32_768
        audio = np.zeros((32, length), np.float32)
        for row, wave in zip(audio, waves):
            row[: len(wave)] = wave / np.abs(wave).max()
        frames = np.array([len(wave) // 256 for wave in waves])
        return {"path": batch["path"], "frames": frames, "mel": np.asarray(self.encoder(length)(audio))[: len(waves)]}

paths = sorted(str(path) for path in Path(sys.argv[1]).glob("*.wav"))
rows = ray.data.from_items([{"path": path} for path in paths], override_num_blocks=len(paths) // 32 + 1)
rows.map_batches(Encode, batch_size=32, concurrency=2, num_cpus=1).write_parquet(sys.argv[2])
"""


def write_recordings(folder: Path, count: int) -> None:
    draws = np.random.default_rng(0)
    for index in range(count):
        length = int(draws.integers(RATE // 2, 2 * RATE))
        write_audio(folder / f"{index:05}.wav", draws.uniform(-0.5, 0.5, length), RATE)


def extraction(folder: Path) -> dict[str, Callable[[], Any]]:
    """Log-mel spectrograms of 600 recordings of 0.5 to 2 s: two processes, and two actors of Ray Data."""
    write_recordings(folder, 600)
    out_numbers = itertools.count(1)

    def two_processes() -> Path:
        out = folder / f"out-{next(out_numbers)}"
        command = [sys.executable, "-c", "from artifex.generative_models.core.cli import main; main()", "extract"]
        command += [str(folder), "--out", str(out), "--representation", "log_mel_spectrogram", "--no-report", "--shard"]
        processes = [subprocess.Popen([*command, f"{index}/2"], stdout=subprocess.DEVNULL) for index in range(2)]
        assert [process.wait() for process in processes] == [0, 0]
        return out

    def ray_data() -> Path:
        out = folder / f"out-{next(out_numbers)}"
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([sys.executable, "-c", RAY_DATA, str(folder), str(out)], check=True, **quiet)
        return out

    tools: dict[str, Callable[[], Any]] = {"two --shard processes": two_processes}
    if find_spec("ray") and find_spec("pyarrow"):
        import pyarrow.parquet

        tools["Ray Data, map_batches"] = ray_data
        ours = {record["source"]: mel for record, mel in read_features(two_processes())}
        theirs = pyarrow.parquet.read_table(ray_data()).to_pylist()
        assert len(theirs) == len(ours) == 600
        for row in theirs[::50]:
            np.testing.assert_allclose(
                np.reshape(row["mel"], (80, -1))[:, : row["frames"]], ours[row["path"]], atol=1e-2
            )
    return tools


def features(folder: Path) -> dict[str, Callable[[], Any]]:
    """Reading 1000 log-mel spectrograms of 80 x 31 to 125 frames in random order, with one and two threads."""
    write_recordings(folder, 1000)
    extract([folder], folder / "features", config=CONFIG, report=False)
    data = FeatureDataset(folder / "features")
    for index in range(len(data)):
        np.save(folder / f"{index}.npy", data[index]["log_mel_spectrogram"])
    order = np.random.default_rng(1).permutation(len(data)).tolist()
    assert all(np.array_equal(np.load(folder / f"{i}.npy"), data[i]["log_mel_spectrogram"]) for i in order[:50])

    def read_with(threads: int, read: Callable[[int], Any]) -> Callable[[], Any]:
        def run() -> None:
            with ThreadPoolExecutor(threads) as pool:
                indices = [order[thread::threads] for thread in range(threads)]
                list(pool.map(lambda own: [read(index) for index in own], indices))

        return run

    def load(index: int) -> Any:
        return np.load(folder / f"{index}.npy")

    return {
        f"{name}, {threads} thread{'s' * (threads > 1)}": read_with(threads, read)
        for threads in (1, 2)
        for name, read in (("FeatureDataset", data.__getitem__), ("np.load", load))
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    for benchmark, pairs in (
        (extraction, [("two --shard processes", "Ray Data, map_batches")]),
        (features, [(f"FeatureDataset, {by}", f"np.load, {by}") for by in ("1 thread", "2 threads")]),
    ):
        with tempfile.TemporaryDirectory() as folder:
            tools = benchmark(Path(folder))
            times = [{name: milliseconds(call) for name, call in tools.items()} for _ in range(rounds)]
        print(f"\n{benchmark.__doc__}")
        for name in tools:
            print(f"  {name:34} {spread([each[name] for each in times], 1)} ms")
        for ours, theirs in pairs:
            if theirs in tools:
                print(f"  {theirs} / {ours}: {spread([each[theirs] / each[ours] for each in times])}")


if __name__ == "__main__":
    main()
