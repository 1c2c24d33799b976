import json
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from artifex.generative_models.core import create
from artifex.generative_models.modalities.audio import (
    AudioFileDataset,
    AudioModalityConfig,
    FeatureDataset,
    make_loader,
    read_audio,
)
from artifex.generative_models.modalities.audio.extraction import extract
from artifex.generative_models.modalities.audio.io import write_audio
from artifex.generative_models.modalities.audio.shards.records import ShardReaders, read_example

RATE = 8000
CONFIG = AudioModalityConfig(representation="raw_waveform", sample_rate=RATE, normalize=False)
LENGTHS = [1000, 9000, 400, 8000, 2500, 3000, 700]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Features of seven recordings in four shards, and of none for a file that is empty."""
    audio = tmp_path_factory.mktemp("audio")
    for index, length in enumerate(LENGTHS):
        path = audio / ("dog", "cat", "")[index % 3] / f"{index}.wav"
        path.parent.mkdir(exist_ok=True)
        write_audio(path, np.random.default_rng(index).uniform(-0.5, 0.5, length), RATE)
    (audio / "0.wav").touch()
    extract([audio], audio / "made" / "features", config=CONFIG, shard_size=2, report=False)
    return audio / "made" / "features"


def test_examples_are_the_features_in_the_order_of_the_recordings(folder):
    data = FeatureDataset(folder)
    assert data.labels == (folder.parent.parent.name, "cat", "dog")
    assert len(data) == len(LENGTHS)
    manifest = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    for sample, record in zip(data, manifest, strict=True):
        np.testing.assert_array_equal(sample["raw_waveform"], read_audio(record["source"])[0])
        assert sample["length"] == record["n_samples"]
        assert (sample["id"], sample["source"]) == (record["id"], record["source"])
        assert data.labels[sample["label"]] == record["label"]
    np.testing.assert_array_equal(data.lengths(), [record["n_samples"] for record in manifest])
    assert data.time_axis_keys == ("raw_waveform",)
    assert data[-1]["id"] == manifest[-1]["id"]
    with pytest.raises(IndexError, match="has 7 examples"):
        data[7]


def test_label_indices_equal_those_of_the_file_dataset(tmp_path):
    for name in ("9/monday/a.wav", "10/monday/a.wav", "10/tuesday/a.wav", "loose.wav"):
        (tmp_path / "digits" / name).parent.mkdir(parents=True, exist_ok=True)
        write_audio(tmp_path / "digits" / name, np.full(400, 0.25), RATE)
    extract([tmp_path / "digits"], tmp_path / "made", config=CONFIG, report=False)
    features, files = FeatureDataset(tmp_path / "made"), AudioFileDataset(CONFIG, tmp_path / "digits")
    assert features.labels == files.labels == ("9", "10", "digits")
    numbers = {sample["source"]: sample["label"] for sample in features}
    assert numbers == {sample["path"]: sample["label"] for sample in files}
    assert set(numbers.values()) == {0, 1, 2}


def test_reads_are_equal_after_pickling_and_from_many_threads(folder):
    data = FeatureDataset(folder)
    once = [sample["raw_waveform"] for sample in data]
    copy = pickle.loads(pickle.dumps(data))
    order = np.random.default_rng(0).integers(0, len(data), 200)
    with ThreadPoolExecutor(8) as pool:
        for index, sample in zip(order, pool.map(copy.__getitem__, order), strict=True):
            np.testing.assert_array_equal(sample["raw_waveform"], once[index])


def test_returned_arrays_are_writable_copies(folder):
    data = FeatureDataset(folder)
    sample = data[2]
    sample["raw_waveform"] *= 0
    assert np.abs(data[2]["raw_waveform"]).max() > 0.1


def test_the_loader_pads_to_buckets_and_returns_every_example_once(folder):
    loader = make_loader(FeatureDataset(folder), 2, shuffle=True, bucket_lengths=(1000, 9000), drop_remainder=False)
    seen = []
    for batch in loader:
        assert batch["raw_waveform"].shape[1] in (1000, 9000)
        for row, length, valid in zip(batch["raw_waveform"], batch["length"], batch["valid"], strict=True):
            np.testing.assert_array_equal(row[length:], 0.0)
            if valid:
                seen.append(int(length))
    assert sorted(seen) == sorted(LENGTHS)


def test_it_is_created_by_name_and_checks_the_configuration(folder):
    data = create("dataset", "features", folder=folder, config=CONFIG)
    assert len(data) == len(LENGTHS)
    assert data.config.representation_name == "raw_waveform"
    with pytest.raises(ValueError, match="were extracted with another configuration: sample_rate is 8000, not 16000"):
        FeatureDataset(folder, config=CONFIG.evolve(sample_rate=16000))
    with pytest.raises(TypeError, match=r"config must be an AudioModalityConfig or None, got 'mel' \(str\)"):
        FeatureDataset(folder, config="mel")


def test_missing_and_damaged_files_raise(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="contains no extraction"):
        FeatureDataset(tmp_path)
    out = tmp_path / "made"
    shutil.copytree(folder, out)
    data = FeatureDataset(out)
    path = next(out.glob("shards/*-00000.arrayrecord"))
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"00000.arrayrecord: record 0 is damaged"):
        list(data)
    path.unlink()
    with pytest.raises(
        FileNotFoundError, match=r"00000.arrayrecord: this shard is missing; run the command that wrote"
    ):
        FeatureDataset(out)
    (out / "manifest.jsonl").unlink()
    with pytest.raises(FileNotFoundError, match="the extraction is not complete"):
        FeatureDataset(out)


def test_an_extraction_without_examples_raises(tmp_path):
    write_audio(tmp_path / "click.wav", np.ones(10) / 2, RATE)
    config = CONFIG.evolve(representation="mel_spectrogram")
    result = extract([tmp_path / "click.wav"], tmp_path / "made", config=config, report=False)
    assert (len(result.records), len(result.failures)) == (0, 1)
    with pytest.raises(ValueError, match="contains no examples: no recording could be extracted; see failures.jsonl"):
        FeatureDataset(tmp_path / "made")


def test_replaced_features_raise_in_an_open_dataset(folder, tmp_path):
    out = tmp_path / "made"
    shutil.copytree(folder, out)
    data = FeatureDataset(out)
    first, second, *_ = sorted(out.glob("shards/*.arrayrecord"))
    shutil.copy(second, first)
    with pytest.raises(OSError, match="has been replaced since its manifest was read"):
        list(data)


def test_it_reads_without_jax(folder):
    script = (
        "import sys; from artifex.generative_models.modalities.audio import FeatureDataset, read_features; "
        f"data = FeatureDataset({str(folder)!r}); data[0]; list(read_features({str(folder)!r})); "
        "print('jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_number_of_open_shards_is_bounded(folder):
    readers = ShardReaders(max_open=2)
    paths = sorted((folder / "shards").glob("*.arrayrecord"))
    assert len(paths) == 4
    for path in (*paths, *paths):
        read_example(readers(path), path, 0)
        assert readers(path) is readers(path)
        assert len(readers) <= 2
