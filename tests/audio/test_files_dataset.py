import pickle
import subprocess
import sys

import librosa
import numpy as np
import pytest

from artifex.generative_models.core import create
from artifex.generative_models.modalities.audio.base import AudioModalityConfig
from artifex.generative_models.modalities.audio.datasets.files import AudioFileDataset
from artifex.generative_models.modalities.audio.io import AudioReadError, write_audio

RATE = 8000
PLAIN = AudioModalityConfig(sample_rate=RATE, duration=0.5, normalize=False)


def ramp(n_samples: int) -> np.ndarray:
    """Sample i is i / 2**15, which 16 bits hold exactly: a value tells where it was."""
    return np.arange(n_samples) / 32768


def places(audio: np.ndarray) -> np.ndarray:
    return np.round(audio * 32768).astype(int)


@pytest.fixture
def folder(tmp_path):
    write_audio(tmp_path / "a_short.wav", np.full(1000, 0.25), RATE)
    write_audio(tmp_path / "b_long.flac", ramp(12000), RATE)
    write_audio(tmp_path / "c_stereo.wav", np.stack([np.full(6000, 0.5), np.full(6000, -0.25)]), RATE)
    return tmp_path


def test_a_sample_has_the_waveform_and_what_describes_it(folder):
    data = AudioFileDataset(PLAIN, folder)
    sample = data[0]
    assert len(data) == 3
    assert list(sample) == ["audio", "length", "path", "sample_rate", "duration"]
    assert (sample["length"], sample["sample_rate"], sample["duration"]) == (1000, RATE, 0.5)
    assert sample["path"] == str(folder / "a_short.wav")
    assert (sample["audio"].dtype, sample["audio"].shape) == (np.float32, (4000,))
    np.testing.assert_array_equal(sample["audio"][:1000], 0.25)
    np.testing.assert_array_equal(sample["audio"][1000:], 0.0)


@pytest.mark.parametrize(("crop", "start"), [("center", 4000), ("start", 0)])
def test_a_longer_recording_is_cropped_where_it_was_asked(folder, crop, start):
    sample = AudioFileDataset(PLAIN, folder, crop=crop)[1]
    assert sample["length"] == 4000
    np.testing.assert_array_equal(places(sample["audio"]), np.arange(start, start + 4000))


def test_a_random_crop_depends_on_seed_and_index_alone(folder):
    def start(seed, index, paths):
        audio = AudioFileDataset(PLAIN, paths, crop="random", seed=seed)[index]["audio"]
        found = places(audio)
        np.testing.assert_array_equal(found, np.arange(found[0], found[0] + 4000))
        return found[0]

    long = folder / "b_long.flac"
    data = AudioFileDataset(PLAIN, folder, crop="random", seed=3)
    assert places(data[1]["audio"])[0] == places(data[1]["audio"])[0] == start(3, 1, folder)
    assert len({start(seed, 0, long) for seed in range(20)}) > 15
    others = [folder / "a_short.wav", folder / "c_stereo.wav"]
    assert start(3, 0, [long]) != start(3, 2, [*others, long])


def test_random_crops_reach_both_ends(tmp_path):
    write_audio(tmp_path / "a.wav", ramp(4002), RATE)
    starts = {places(AudioFileDataset(PLAIN, tmp_path, crop="random", seed=seed)[0]["audio"])[0] for seed in range(40)}
    assert starts == {0, 1, 2}


def test_channels_are_averaged_or_kept(folder):
    np.testing.assert_allclose(AudioFileDataset(PLAIN, folder)[2]["audio"], 0.125, atol=1e-4)
    kept = AudioFileDataset(PLAIN, folder / "c_stereo.wav", mono=False)[0]["audio"]
    assert kept.shape == (2, 4000)
    np.testing.assert_allclose(kept, np.repeat([[0.5], [-0.25]], 4000, axis=1), atol=1e-4)


def test_normalising_brings_each_peak_to_one_and_leaves_silence_alone(tmp_path):
    write_audio(tmp_path / "loud.wav", 0.25 * np.sin(np.arange(6000)), RATE)
    write_audio(tmp_path / "silent.wav", np.zeros(6000), RATE)
    data = AudioFileDataset(PLAIN.evolve(normalize=True), tmp_path)
    assert np.abs(data[0]["audio"]).max() == 1.0
    np.testing.assert_array_equal(data[1]["audio"], 0.0)


def test_recordings_of_other_rates_are_resampled_to_the_exact_length(tmp_path):
    for rate in (11025, 44100, 48000):
        write_audio(tmp_path / f"{rate}.wav", 0.5 * np.sin(2 * np.pi * 500 * np.arange(rate) / rate), rate)
    data = AudioFileDataset(PLAIN, tmp_path, crop="start")
    expected = 0.5 * np.sin(2 * np.pi * 500 * np.arange(4000) / RATE)
    for sample in data:
        assert sample["length"] == 4000
        np.testing.assert_allclose(sample["audio"][300:3700], expected[300:3700], atol=1e-3)


def test_a_mel_configuration_adds_the_features_alone_and_in_batches(tmp_path):
    sound = np.random.default_rng(0).uniform(-1, 1, 4000)
    write_audio(tmp_path / "noise.wav", sound, RATE, subtype="FLOAT")
    config = PLAIN.evolve(representation="mel_spectrogram", n_fft=512, hop_length=128, n_mel_channels=40)
    data = AudioFileDataset(config, tmp_path)
    reference = librosa.feature.melspectrogram(
        y=sound.astype(np.float32), sr=RATE, n_fft=512, hop_length=128, n_mels=40, pad_mode="constant"
    )[:, :31]
    single, batch = data[0], data.get_batch(3)
    assert list(single) == ["audio", "length", "path", "sample_rate", "duration", "mel_spectrogram"]
    np.testing.assert_allclose(single["mel_spectrogram"], reference, atol=1e-4 * reference.max())
    assert batch["mel_spectrogram"].shape == (3, 40, 31)
    np.testing.assert_allclose(batch["mel_spectrogram"][2], reference, atol=1e-4 * reference.max())
    assert set(batch) == {*single, "index"}


def test_batches_stack_the_waveforms_and_list_the_rest(folder):
    data = AudioFileDataset(PLAIN, folder)
    batch = data.collate_fn([data[0], data[1]])
    assert batch["audio"].shape == (2, 4000)
    assert batch["length"] == [1000, 4000]
    assert batch["sample_rate"] == [RATE, RATE]
    drawn = data.get_batch(5)
    assert drawn["path"] == [str(data.paths[index]) for index in drawn["index"]]
    np.testing.assert_array_equal(drawn["audio"][4], data[int(drawn["index"][4])]["audio"])


def test_it_is_a_sequence_that_survives_the_way_to_a_worker(folder):
    data = pickle.loads(pickle.dumps(AudioFileDataset(PLAIN, folder, crop="random", seed=5)))
    original = AudioFileDataset(PLAIN, folder, crop="random", seed=5)
    for index in range(len(original)):
        np.testing.assert_array_equal(data[index]["audio"], original[index]["audio"])
    assert data[-1]["path"] == data[2]["path"] == data[np.int64(2)]["path"]
    assert [sample["path"] for sample in data] == [str(path) for path in data.paths]
    with pytest.raises(IndexError, match="3 examples, got index 3"):
        data[3]


def test_it_is_found_by_name(folder):
    data = create("dataset", "files", config=PLAIN, paths=[folder / "a_short.wav"])
    assert isinstance(data, AudioFileDataset)
    assert len(data) == 1


def test_a_file_that_vanished_or_broke_is_named_when_it_is_read(folder):
    data = AudioFileDataset(PLAIN, folder)
    (folder / "a_short.wav").unlink()
    (folder / "b_long.flac").write_bytes(b"")
    with pytest.raises(AudioReadError, match=r"a_short\.wav: no such file"):
        data[0]
    with pytest.raises(AudioReadError, match=r"b_long\.flac: the file is empty"):
        data[1]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"paths": ()}, ValueError, "give a file, a folder"),
        ({"crop": "centre"}, ValueError, "Did you mean 'center'"),
        ({"seed": -1}, ValueError, "seed must be an integer of at least 0"),
        ({"mono": "yes"}, TypeError, "mono must be True or False"),
        ({"config": {"duration": 1.0}}, TypeError, "got dict"),
    ],
)
def test_bad_options_are_errors_at_construction(folder, options, error, message):
    with pytest.raises(error, match=message):
        AudioFileDataset(**{"paths": folder, **options})


READ_IN_A_WORKER = """
import sys
from artifex.generative_models.modalities.audio.base import AudioModalityConfig
from artifex.generative_models.modalities.audio.datasets.files import AudioFileDataset
config = AudioModalityConfig(representation={representation!r}, duration=0.5)
sample = AudioFileDataset(config, {path!r}, crop="random")[0]
print(sample["audio"].shape, "jax" in sys.modules)
"""


@pytest.mark.parametrize(("representation", "loaded"), [("raw_waveform", False), ("mel_spectrogram", True)])
def test_reading_waveforms_imports_no_jax(folder, representation, loaded):
    script = READ_IN_A_WORKER.format(representation=representation, path=str(folder))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == f"(8000,) {loaded}", done.stderr
