"""`cached`: equal examples, no stale or damaged audio, several processes, and limits."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest
import soundfile

from artifex.generative_models.modalities.audio import (
    AudioFileDataset,
    AudioModalityConfig,
    AudioReadError,
    SyntheticAudioDataset,
    TableAudioDataset,
    cached,
    make_loader,
    read_audio,
    write_audio,
)
from artifex.generative_models.modalities.audio.datasets import audio_cache

CONFIG = AudioModalityConfig(sample_rate=16000, duration=0.25, normalize=False)
CROPS = ["center", "start", "random", "sliding", "loudest", "whole"]


def sound(seed: int, n_samples: int, n_channels: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (n_channels, n_samples))


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "recordings"
    folder.mkdir()
    soundfile.write(folder / "a.mp3", sound(0, 44100).T, 44100)
    write_audio(folder / "b.wav", sound(1, 30001), 48000)
    write_audio(folder / "c.flac", sound(2, 3000), 16000)
    write_audio(folder / "d.wav", sound(3, 100_000), 22050)
    return folder


@pytest.fixture
def no_decoding(monkeypatch):
    """Return a function after which decoding fails."""

    def forbid():
        def fail(*args, **kwargs):
            raise AssertionError("decoded again")

        for name in ("decode", "read_blocks"):
            monkeypatch.setattr(audio_cache, name, fail)

    return forbid


def assert_examples_equal(fast, plain):
    for _ in range(2):
        for index in range(len(plain)):
            assert_equal(fast[index], plain[index])


def entries(cache):
    return sorted(cache.glob("??/*"))


def assert_equal(found, expected, atol=1e-6):
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        if key == "audio":
            assert found[key].shape == value.shape
            assert found[key].dtype == value.dtype
            assert found[key].flags.writeable
            np.testing.assert_allclose(found[key], value, rtol=0, atol=atol)
        else:
            assert found[key] == value, key


@pytest.mark.parametrize("mono", [True, False])
@pytest.mark.parametrize("crop", CROPS)
def test_examples_equal_those_without_a_cache_in_every_epoch(folder, tmp_path, crop, mono, no_decoding):
    plain = AudioFileDataset(CONFIG, folder, crop=crop, mono=mono, seed=3)
    fast = cached(plain, tmp_path / "cache")
    assert (len(fast), fast.labels, fast.fingerprint()) == (len(plain), plain.labels, plain.fingerprint())
    np.testing.assert_array_equal(fast.lengths(), plain.lengths())
    expected = [[plain.example(index, epoch=epoch) for index in range(len(plain))] for epoch in range(3)]
    for epoch in range(3):
        for index in range(len(plain)):
            assert_equal(fast.example(index, epoch=epoch), expected[epoch][index])
        no_decoding()
    if crop == "random":
        assert len({expected[epoch][3]["start"] for epoch in range(3)}) == 3


def test_a_crop_is_a_slice_of_the_resampled_recording(folder):
    data = AudioFileDataset(CONFIG, folder, crop="random")
    for index, path in enumerate(data.paths):
        whole, _ = read_audio(path, sample_rate=16000)
        for epoch in range(4):
            example = data.example(index, epoch=epoch)
            first = round(example["start"] * 16000)
            assert example["start"] == pytest.approx(first / 16000, abs=1e-12)
            np.testing.assert_allclose(example["audio"][: example["length"]], whole[first : first + 4000], atol=1e-6)


def test_segments_are_stored_separately(folder, tmp_path, no_decoding):
    table = tmp_path / "segments.csv"
    table.write_text(f"path,start,end\n{folder / 'a.mp3'},0.1003,0.6\n{folder / 'a.mp3'},0.5,0.9\n")
    plain = AudioFileDataset(CONFIG, manifest=table, crop="random")
    fast = cached(plain, tmp_path / "cache")
    expected = [plain.example(index, epoch=epoch) for epoch in range(3) for index in range(2)]
    for first in (0, 2, 4):
        for index in range(2):
            assert_equal(fast.example(index, epoch=first // 2), expected[first + index])
        no_decoding()
    assert len(entries(tmp_path / "cache")) == 2


def test_bytes_and_arrays_are_identified_by_their_content(folder, tmp_path, no_decoding):
    rows = [
        {"audio": (folder / "a.mp3").read_bytes(), "label": "x"},
        {"audio": {"array": sound(5, 30000), "sampling_rate": 44100}, "label": "y"},
    ]
    plain = TableAudioDataset(CONFIG, rows, crop="random")
    fast = cached(plain, tmp_path / "cache")
    expected = [plain[index] for index in range(2)]
    for _ in range(2):
        for index in range(2):
            assert_equal(fast[index], expected[index])
        no_decoding()
    assert len(entries(tmp_path / "cache")) == 2


def test_a_replaced_file_of_the_same_size_and_time_gives_the_new_audio(tmp_path):
    path = tmp_path / "a.wav"
    write_audio(path, np.full(4000, 0.25), 16000)
    fast = cached(AudioFileDataset(CONFIG, path), tmp_path / "cache")
    assert fast[0]["audio"][0] == 0.25
    before = path.stat()
    write_audio(tmp_path / "new.wav", np.full(4000, 0.5), 16000)
    os.utime(tmp_path / "new.wav", ns=(before.st_atime_ns, before.st_mtime_ns))
    (tmp_path / "new.wav").replace(path)
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert fast[0]["audio"][0] == 0.5


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-9000],
        lambda content: content[:200],
        lambda content: b"",
        lambda content: content[:900] + bytes([content[900] ^ 1]) + content[901:],
        lambda content: content[:40] + bytes([content[40] ^ 1]) + content[41:],
        lambda content: content[:512] + content[512 + 16388 : 512 + 2 * 16388] + content[512 + 16388 :],
    ],
)
def test_a_damaged_entry_is_written_again(folder, tmp_path, damage):
    fast = cached(AudioFileDataset(CONFIG, folder / "d.wav", crop="whole"), tmp_path / "cache")
    expected = fast[0]
    (entry,) = entries(tmp_path / "cache")
    intact = entry.read_bytes()
    entry.write_bytes(damage(intact))
    assert_equal(fast[0], expected, atol=0)
    assert entry.read_bytes() == intact


def test_recordings_that_cannot_be_read_are_handled_as_without_a_cache(folder, tmp_path):
    (folder / "b.wav").write_bytes(b"RIFF")
    with pytest.raises(AudioReadError, match=r"b\.wav"):
        cached(AudioFileDataset(CONFIG, folder), tmp_path / "cache")[1]
    fast = cached(AudioFileDataset(CONFIG, folder, on_error="skip"), tmp_path / "cache")
    assert [example["valid"] for example in (fast[0], fast[1])] == [True, False]
    (folder / "a.mp3").unlink()
    with pytest.raises(AudioReadError, match="is missing now"):
        fast[0]


def test_a_full_cache_stops_growing_with_one_warning(folder, tmp_path):
    plain = AudioFileDataset(CONFIG, folder)
    limit = 80_000
    fast = cached(plain, tmp_path / "cache", max_bytes=limit)
    with pytest.warns(UserWarning, match=r"is full \(max_bytes=80000\); increase max_bytes") as caught:
        assert_examples_equal(fast, plain)
    assert len(caught) == 1
    assert 0 < sum(entry.stat().st_size for entry in entries(tmp_path / "cache")) <= limit
    again = cached(plain, tmp_path / "cache", max_bytes=limit)
    with pytest.warns(UserWarning, match="is full"):
        again[3]


def test_a_full_disk_gives_one_warning_and_the_audio(folder, tmp_path, full_disk):
    plain = AudioFileDataset(CONFIG, folder)
    fast = cached(plain, tmp_path / "cache")
    with pytest.warns(UserWarning, match="cannot be written to") as caught:
        assert_examples_equal(fast, plain)
    assert len(caught) == 1
    assert not entries(tmp_path / "cache")


def test_a_removed_folder_is_created_again(folder, tmp_path):
    fast = cached(AudioFileDataset(CONFIG, folder), tmp_path / "cache")
    fast[0]
    for entry in entries(tmp_path / "cache"):
        entry.unlink()
        entry.parent.rmdir()
    (tmp_path / "cache").rmdir()
    fast[0]
    assert len(entries(tmp_path / "cache")) == 1


def read_all(dataset, results):
    results.put([dataset.example(index, epoch=epoch)["audio"].tobytes() for epoch in range(2) for index in range(4)])


def test_several_processes_fill_one_folder(folder, tmp_path):
    fast = cached(AudioFileDataset(CONFIG, folder, crop="random"), tmp_path / "cache")
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [context.Process(target=read_all, args=(fast, results)) for _ in range(3)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jax warns of a fork
        for process in processes:
            process.start()
    found = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert found[0] == found[1] == found[2]
    assert len(entries(tmp_path / "cache")) == 4


KILLED = """
import os, signal, sys
from artifex.generative_models.modalities.audio.base import AudioModalityConfig
from artifex.generative_models.modalities.audio.datasets.cache import cached
from artifex.generative_models.modalities.audio.datasets.files import AudioFileDataset
from artifex.generative_models.modalities.audio.datasets import audio_cache
def kill(file, *arguments):
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
audio_cache._write_samples = kill
config = AudioModalityConfig(sample_rate=16000, duration=0.25, normalize=False)
cached(AudioFileDataset(config, sys.argv[1]), sys.argv[2])[0]
"""


def test_a_killed_process_leaves_no_entry_and_its_file_is_removed(folder, tmp_path):
    cache = tmp_path / "cache"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder), str(cache)], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [entry.suffix for entry in entries(cache)] == [".tmp"]
    plain = AudioFileDataset(CONFIG, folder)
    fast = cached(plain, cache)
    assert not entries(cache)
    assert_equal(fast[0], plain[0])


def test_a_cached_dataset_can_be_pickled_and_used_by_a_loader(folder, tmp_path, no_decoding):
    plain = AudioFileDataset(CONFIG, folder, crop="random")
    fast = pickle.loads(pickle.dumps(cached(plain, tmp_path / "cache")))
    expected = [batch["audio"] for batch in make_loader(plain, batch_size=2, epochs=2, workers=0)]
    batches = make_loader(fast, batch_size=2, epochs=2, workers=0)
    for batch, audio in zip(batches, expected, strict=True):
        np.testing.assert_allclose(batch["audio"], audio, atol=1e-6)
    no_decoding()
    fast[0]


def test_wrong_arguments_are_refused(folder, tmp_path):
    data = AudioFileDataset(CONFIG, folder)
    with pytest.raises(TypeError, match="cached requires a dataset of recordings.*got SyntheticAudioDataset"):
        cached(SyntheticAudioDataset(CONFIG, n_samples=4), tmp_path / "cache")
    with pytest.raises(ValueError, match="max_bytes must be an integer of at least 0 bytes, got -1"):
        cached(data, tmp_path / "cache", max_bytes=-1)
    with pytest.raises(FileExistsError):
        cached(data, folder / "a.mp3")
