import errno
import os
import pickle
import re
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile

from artifex.generative_models.core import create
from artifex.generative_models.modalities.audio.base import AudioModalityConfig
from artifex.generative_models.modalities.audio.datasets.files import AudioFileDataset
from artifex.generative_models.modalities.audio.io import AudioReadError, write_audio

RATE = 8000
KEYS = ["audio", "length", "valid", "path", "start", "sample_rate", "duration", "label"]
PLAIN = AudioModalityConfig(sample_rate=RATE, duration=0.5, normalize=False)


def ramp(n_samples: int) -> np.ndarray:
    """Return a ramp: sample i is i / 2**15, exact in 16 bits, so that a value gives its position."""
    return np.arange(n_samples) / 32768


def places(audio: np.ndarray) -> np.ndarray:
    return np.round(audio * 32768).astype(int)


@pytest.fixture
def folder(tmp_path):
    write_audio(tmp_path / "a_short.wav", np.full(1000, 0.25), RATE)
    write_audio(tmp_path / "b_long.flac", ramp(12000), RATE)
    write_audio(tmp_path / "c_stereo.wav", np.stack([np.full(6000, 0.5), np.full(6000, -0.25)]), RATE)
    return tmp_path


def test_an_example_has_the_waveform_and_its_metadata(folder):
    data = AudioFileDataset(PLAIN, folder)
    sample = data[0]
    assert len(data) == 3
    assert list(sample) == KEYS
    assert (sample["length"], sample["sample_rate"], sample["duration"]) == (1000, RATE, 0.5)
    assert (sample["valid"], sample["start"], sample["label"]) == (True, 0.0, 0)
    assert sample["path"] == str(folder / "a_short.wav")
    assert (sample["audio"].dtype, sample["audio"].shape) == (np.float32, (4000,))
    np.testing.assert_array_equal(sample["audio"][:1000], 0.25)
    np.testing.assert_array_equal(sample["audio"][1000:], 0.0)


@pytest.mark.parametrize(("crop", "start"), [("center", 4000), ("start", 0)])
def test_a_longer_recording_is_cropped(folder, crop, start):
    sample = AudioFileDataset(PLAIN, folder, crop=crop)[1]
    assert sample["length"] == 4000
    np.testing.assert_array_equal(places(sample["audio"]), np.arange(start, start + 4000))


def test_a_random_crop_depends_on_seed_and_index_only(folder):
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


def test_a_random_crop_is_drawn_from_seed_epoch_and_index(folder):
    data = AudioFileDataset(PLAIN, folder, crop="random", seed=3)
    starts = [places(data.example(1, epoch=epoch)["audio"])[0] for epoch in range(6)]
    draws = [np.random.default_rng(np.random.SeedSequence(3, spawn_key=(1, epoch, 1))) for epoch in range(6)]
    expected = [each.integers(0, 8000, endpoint=True) for each in draws]
    assert starts == expected
    assert places(data[1]["audio"])[0] == expected[0]
    assert data.example(1, epoch=4)["start"] == expected[4] / RATE
    assert [places(sample["audio"])[0] for sample in data.examples([1, 1], epoch=2)] == [expected[2]] * 2


def test_random_crops_reach_both_ends(tmp_path):
    write_audio(tmp_path / "a.wav", ramp(4002), RATE)
    starts = {places(AudioFileDataset(PLAIN, tmp_path, crop="random", seed=seed)[0]["audio"])[0] for seed in range(40)}
    assert starts == {0, 1, 2}


def test_channels_are_averaged_or_kept(folder):
    np.testing.assert_allclose(AudioFileDataset(PLAIN, folder)[2]["audio"], 0.125, atol=1e-4)
    kept = AudioFileDataset(PLAIN, folder / "c_stereo.wav", mono=False)[0]["audio"]
    assert kept.shape == (2, 4000)
    np.testing.assert_allclose(kept, np.repeat([[0.5], [-0.25]], 4000, axis=1), atol=1e-4)


def test_normalizing_scales_each_peak_to_one_and_keeps_silence(tmp_path):
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


def test_a_mel_configuration_adds_the_features_to_examples_and_batches(tmp_path):
    sound = np.random.default_rng(0).uniform(-1, 1, 4000)
    write_audio(tmp_path / "noise.wav", sound, RATE, subtype="FLOAT")
    config = PLAIN.evolve(representation="mel_spectrogram", n_fft=512, hop_length=128, n_mel_channels=40)
    data = AudioFileDataset(config, tmp_path)
    reference = librosa.feature.melspectrogram(
        y=sound.astype(np.float32), sr=RATE, n_fft=512, hop_length=128, n_mels=40, pad_mode="constant"
    )[:, :31]
    single, batch = data[0], data.get_batch(3)
    assert list(single) == [*KEYS, "mel_spectrogram"]
    np.testing.assert_allclose(single["mel_spectrogram"], reference, atol=1e-4 * reference.max())
    assert batch["mel_spectrogram"].shape == (3, 40, 31)
    np.testing.assert_allclose(batch["mel_spectrogram"][2], reference, atol=1e-4 * reference.max())
    assert set(batch) == {*single, "index"}


def test_batches_stack_the_waveforms_and_list_other_entries(folder):
    data = AudioFileDataset(PLAIN, folder)
    batch = data.collate_fn([data[0], data[1]])
    assert batch["audio"].shape == (2, 4000)
    assert batch["length"] == [1000, 4000]
    assert batch["sample_rate"] == [RATE, RATE]
    drawn = data.get_batch(5)
    assert drawn["path"] == [str(data.paths[index]) for index in drawn["index"]]
    np.testing.assert_array_equal(drawn["audio"][4], data[int(drawn["index"][4])]["audio"])


def test_it_is_a_sequence_and_can_be_pickled(folder):
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


def test_a_removed_or_emptied_file_raises_when_it_is_read(folder):
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
        ({"config": {"duration": 1.0}}, TypeError, "config must be an AudioModalityConfig or None"),
        ({"on_error": "ignore"}, ValueError, "on_error must be one of 'raise', 'skip', 'warn'"),
        ({"labels": "name"}, ValueError, "labels must be one of 'folder', None"),
        ({"labels": lambda path: ""}, TypeError, "labels must return the class name or index for a path"),
        ({"hop": 0.1}, ValueError, "hop requires crop=\"sliding\", got crop='center'"),
        ({"hop": 0.0, "crop": "sliding"}, ValueError, "hop must be"),
        ({"manifest": "takes.csv"}, TypeError, "paths and manifest must not be given together"),
        (
            {"crop": "whole", "config": PLAIN.evolve(representation="mel_spectrogram")},
            ValueError,
            "variable-length examples, but mel_spectrogram has a fixed length",
        ),
    ],
)
def test_invalid_options_raise_at_construction(folder, options, error, message):
    with pytest.raises(error, match=message):
        AudioFileDataset(**{"paths": folder, **options})


@pytest.mark.parametrize(
    ("n_samples", "hop", "starts", "last"),
    [
        (12000, None, [0, 4000, 8000], 4000),
        (12000, 0.25, [0, 2000, 4000, 6000, 8000], 4000),
        (9000, None, [0, 4000, 8000], 1000),
        (9000, 1.0, [0, 8000], 1000),
        (8000, 1.0, [0], 4000),
        (4000, 0.1, [0], 4000),
        (10, None, [0], 10),
    ],
)
def test_windows_slide_until_the_recording_is_covered(tmp_path, n_samples, hop, starts, last):
    write_audio(tmp_path / "a.wav", ramp(n_samples), RATE)
    data = AudioFileDataset(PLAIN, tmp_path, crop="sliding", hop=hop)
    samples = list(data)
    assert len(samples) == len(data) == len(starts)
    assert [sample["start"] * RATE for sample in samples] == starts
    assert [sample["length"] for sample in samples] == [4000] * (len(starts) - 1) + [last]
    for sample, start in zip(samples, starts, strict=True):
        np.testing.assert_array_equal(
            places(sample["audio"])[: sample["length"]], np.arange(start, start + sample["length"])
        )


def test_windows_of_several_recordings_follow_one_another(folder):
    data = AudioFileDataset(PLAIN, folder, crop="sliding", hop=0.5)
    assert [(Path(sample["path"]).stem[0], sample["start"]) for sample in data] == [
        ("a", 0.0), ("b", 0.0), ("b", 0.5), ("b", 1.0), ("c", 0.0), ("c", 0.5),
    ]  # fmt: skip
    np.testing.assert_array_equal(data.lengths(), [4000] * 6)


@pytest.mark.parametrize("mono", [True, False])
def test_the_loudest_window_is_found_to_a_sixteenth_of_it(tmp_path, mono):
    sound = np.random.default_rng(0).uniform(-0.01, 0.01, (2, 200_000))
    sound[:, 150_000:154_000] *= 50
    sound[:, 20] = 0.99
    write_audio(tmp_path / "a.flac", sound, RATE)
    data = AudioFileDataset(PLAIN, tmp_path, crop="loudest", mono=mono)
    for _ in range(2):
        assert data[0]["start"] * RATE == pytest.approx(150_000, abs=125)
    assert data[0]["audio"].shape == ((4000,) if mono else (2, 4000))


def test_channels_that_cancel_in_the_mix_are_not_loud(tmp_path):
    left, right = np.zeros(12000), np.zeros(12000)
    left[:4000], right[:4000] = 0.9, -0.9
    left[8000:], right[8000:] = 0.1, 0.1
    write_audio(tmp_path / "a.wav", np.stack([left, right]), RATE)
    assert AudioFileDataset(PLAIN, tmp_path, crop="loudest")[0]["start"] == 1.0
    assert AudioFileDataset(PLAIN, tmp_path, crop="loudest", mono=False)[0]["start"] == 0.0


def test_variable_length_examples_have_the_lengths_of_the_headers(folder):
    write_audio(folder / "d_other.wav", np.zeros(22051), 44100)
    data = AudioFileDataset(PLAIN, folder, crop="whole")
    lengths = data.lengths()
    assert lengths.dtype == np.int64
    assert lengths.tolist() == [1000, 12000, 6000, -(-22051 * RATE // 44100)]
    for sample, length in zip(data, lengths, strict=True):
        assert sample["audio"].shape == (length,)
        assert (sample["length"], sample["duration"]) == (length, length / RATE)


def test_crops_have_the_length_that_they_are_padded_to(folder):
    np.testing.assert_array_equal(AudioFileDataset(PLAIN, folder).lengths(), [4000, 4000, 4000])


def test_labels_are_the_folders_directly_below_the_given_one(tmp_path, monkeypatch):
    for name in ("10/monday/a", "9/b", "dog/c", "d"):
        (tmp_path / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        write_audio(tmp_path / "pets" / f"{name}.wav", np.zeros(8), RATE)
    data = AudioFileDataset(PLAIN, tmp_path / "pets")
    assert data.labels == ("9", "10", "dog", "pets")
    assert [(path.stem, sample["label"]) for path, sample in zip(data.paths, data, strict=True)] == [
        ("a", 1), ("b", 0), ("d", 3), ("c", 2),
    ]  # fmt: skip
    monkeypatch.chdir(tmp_path / "pets" / "dog")
    assert AudioFileDataset(PLAIN, ".").labels == AudioFileDataset(PLAIN, "c.wav").labels == ("dog",)
    assert AudioFileDataset(PLAIN, "../*.wav").labels == ("pets",)


def test_labels_are_returned_by_a_function_or_omitted(folder):
    data = AudioFileDataset(PLAIN, folder, labels=lambda path: path.stem.split("_")[1])
    assert data.labels == ("long", "short", "stereo")
    assert [sample["label"] for sample in pickle.loads(pickle.dumps(data))] == [1, 0, 2]
    plain = AudioFileDataset(PLAIN, folder, labels=None)
    assert plain.labels == ()
    assert list(plain[0]) == KEYS[:-1]


def test_a_manifest_names_parts_of_files_their_labels_and_splits(folder, tmp_path):
    table = tmp_path / "takes.csv"
    table.write_text(
        "path,label,start,end,split\n"
        "b_long.flac,up,0.25,0.75,train\n"
        "b_long.flac,down,1.25,,train\n"
        "c_stereo.wav,flat,,,validation\n"
        "b_long.flac,up,1.4,1.5005,train\n"
    )
    data = AudioFileDataset(PLAIN, manifest=table, crop="start")
    assert data.labels == ("down", "flat", "up")
    assert [sample["label"] for sample in data] == [2, 0, 2]
    assert [sample["start"] for sample in data] == [0.25, 1.25, 1.4]
    assert [sample["length"] for sample in data] == [4000, 2000, 800]
    np.testing.assert_array_equal(places(data[1]["audio"])[:2000], np.arange(10000, 12000))
    held_out = AudioFileDataset(PLAIN, manifest=table, split="validation")
    assert (len(held_out), held_out.labels, held_out[0]["label"]) == (1, data.labels, 1)
    whole = AudioFileDataset(PLAIN, manifest=table, crop="whole")
    assert whole.lengths().tolist() == [len(sample["audio"]) for sample in whole] == [4000, 2000, 800]
    with pytest.raises(
        ValueError, match=r"split must be one of those of .*takes.csv, 'train' or 'validation', got 'test'"
    ):
        AudioFileDataset(PLAIN, manifest=table, split="test")


def test_a_missing_file_of_a_manifest_raises_or_is_a_problem(folder, tmp_path):
    table = tmp_path / "m.csv"
    table.write_text("path,end\nz.wav,\na_short.wav,5\na_short.wav,0.1\n")
    with pytest.raises(
        FileNotFoundError, match=r"m\.csv:2: no such file: .*z\.wav; paths are relative to the manifest"
    ):
        AudioFileDataset(PLAIN, manifest=table)
    for crop in ("center", "whole", "sliding"):
        data = AudioFileDataset(PLAIN, manifest=table, crop=crop, on_error="skip")
        assert [sample["length"] for sample in data] == [800]
        assert data.problems == {
            str(tmp_path / "z.wav"): "no such file",
            str(
                tmp_path / "a_short.wav"
            ): "the segment from 0 s to 5 s is outside the recording, which is 0.125 s long; correct the manifest",
        }


def test_headers_in_the_manifest_are_not_read_again(folder, tmp_path, monkeypatch):
    table = tmp_path / "m.jsonl"
    table.write_text('{"path": "b_long.flac", "sample_rate": 8000, "n_channels": 1, "n_samples": 12000}\n')
    with monkeypatch.context() as patch:
        patch.setattr("artifex.generative_models.modalities.audio.datasets.recordings.probe", None)
        data = AudioFileDataset(PLAIN, manifest=table, crop="sliding", hop=0.5, mono=False)
        assert len(data) == 3
        assert data[2]["start"] == 1.0
    table.write_text(table.read_text().replace("12000", "14000"))
    with pytest.raises(AudioReadError, match="has changed: expected 14000 samples at 8000 Hz"):
        AudioFileDataset(PLAIN, manifest=table)[0]


def test_a_file_that_changed_since_its_header_was_read_raises(folder):
    data = AudioFileDataset(PLAIN, folder, crop="whole")
    data.lengths()
    write_audio(folder / "a_short.wav", np.zeros(2000), RATE)
    with pytest.raises(AudioReadError, match="has changed: expected 1000 samples"):
        data[0]


def test_without_mono_all_recordings_must_have_the_same_channels(folder):
    data = AudioFileDataset(PLAIN, folder, mono=False)
    assert data[0]["audio"].shape == (1, 4000)
    with pytest.raises(AudioReadError, match=r"c_stereo\.wav: has 2 channels, but the first recording has 1"):
        data[2]
    data = AudioFileDataset(PLAIN, [folder / "c_stereo.wav", folder], mono=False, on_error="skip")
    assert [sample["audio"].shape for sample in data] == [(2, 4000)]
    assert data[1]["audio"].shape == (2, 4000)


def cut_off(path):
    write_audio(path, np.random.default_rng(0).uniform(-0.5, 0.5, 16000), RATE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def header_value(value, position, layout="<I"):
    def make(path):
        write_audio(path, np.random.default_rng(0).uniform(-0.5, 0.5, 8000), RATE)
        content = bytearray(path.read_bytes())
        struct.pack_into(layout, content, position, value)
        path.write_bytes(content)

    return make


def twice(path):
    write_audio(path, np.random.default_rng(0).uniform(-0.5, 0.5, 8000), RATE)
    path.write_bytes(2 * path.read_bytes())


def link_to_nothing(path):
    path.symlink_to("nowhere.wav")


def loud_mp3(path):
    tone = np.sin(np.arange(16000) / 3)
    soundfile.write(path, tone, RATE, format="MP3")
    content = bytearray(path.read_bytes())
    # Some bits scale a granule: flipping one of them raises the peak far beyond full scale.
    for position in range(400, len(content)):
        for bit in range(8):
            content[position] ^= 1 << bit
            path.write_bytes(content)
            try:
                if np.abs(soundfile.read(path)[0]).max() > 9:
                    return
            except soundfile.LibsndfileError:
                pass
            content[position] ^= 1 << bit
    raise AssertionError("no bit makes it loud")


FAULTS = {
    "cut.wav": (cut_off, "is truncated: the header declares 32000 bytes of audio, the file contains"),
    "cut.flac": (cut_off, "is truncated: the header declares 16000 samples, but its last frame is missing"),
    "cut.mp3": (cut_off, "bytes of its last MP3 frame are missing"),
    "cut.ogg": (cut_off, "is truncated: the "),
    "twice.wav": (twice, "the header declares 16000 bytes of audio, but 16044 more bytes follow"),
    "more.flac": (
        header_value(1 << 20, 22, ">I"),
        "it declares 1048576 samples, the last frame ends at sample 8000",
    ),
    "empty.ogg": (lambda path: path.touch(), "the file is empty (0 bytes)"),
    "text.wav": (lambda path: path.write_text("no audio at all\n"), "is not audio that can be decoded"),
    "gone.wav": (link_to_nothing, "no such file"),
    "loud.mp3": (loud_mp3, "(full scale is 1): it is damaged"),
}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """Return a folder with one file per fault and one valid file."""
    folder = tmp_path_factory.mktemp("faulty")
    for name, (make, _) in FAULTS.items():
        make(folder / name)
    write_audio(folder / "whole.wav", ramp(8000), RATE)
    data = AudioFileDataset(PLAIN.evolve(duration=2.5), folder, crop="start", on_error="skip")
    return folder, data


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_named_with_the_file(faulty, name):
    folder, data = faulty
    if name == "gone.wav":
        sample = data[data.paths.index(folder / name)]
        assert (sample["valid"], data.problems[str(folder / name)]) == (False, "no such file")
        return
    with pytest.raises(AudioReadError, match=re.escape(FAULTS[name][1])) as raised:
        AudioFileDataset(PLAIN.evolve(duration=2.5), folder / name, crop="start")[0]
    assert str(raised.value).startswith(f"{folder / name}: ")


def test_invalid_files_are_skipped_or_silent_and_listed_in_problems(faulty):
    _, data = faulty
    assert [sample["path"].rpartition("/")[2] for sample in data] == ["whole.wav"]
    assert {name.rpartition("/")[2] for name in data.problems} == set(FAULTS)
    sample = data[0]
    assert (sample["valid"], sample["length"], sample["audio"].shape) == (False, 0, (20000,))
    assert not sample["audio"].any()
    assert list(sample) == KEYS
    batch = data.get_batch(30)
    assert batch["valid"] == [path.endswith("whole.wav") for path in batch["path"]]


@pytest.mark.parametrize("crop", ["sliding", "whole"])
def test_a_file_without_a_header_has_no_windows_and_length_one(faulty, crop):
    folder, _ = faulty
    headless = [name for name in FAULTS if name != "loud.mp3"]
    data = AudioFileDataset(PLAIN, folder, crop=crop, on_error="skip")
    with_header = len(FAULTS) - len(headless) + 1
    lengths = data.lengths()
    assert {name.rpartition("/")[2] for name in data.problems} >= {*headless} - {"gone.wav"}
    if crop == "whole":
        assert (lengths > 1).sum() == with_header
        assert [sample["path"].rpartition("/")[2] for sample in data] == ["whole.wav"]
        assert all(data[index]["audio"].shape[-1] <= length for index, length in enumerate(lengths))
    else:
        assert {sample["path"].rpartition("/")[2] for sample in data} <= {"whole.wav", "cut.flac", "loud.mp3"}
    with pytest.raises(AudioReadError):
        AudioFileDataset(PLAIN, folder, crop=crop).lengths()


def test_a_warning_names_each_file_once(faulty):
    folder, _ = faulty
    data = AudioFileDataset(PLAIN, [folder / "text.wav", folder / "empty.ogg"], on_error="warn")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for index in (0, 0, 1, 0):
            data[index]
    assert [str(each.message).split(": ")[0] for each in caught] == [
        str(folder / "text.wav"),
        str(folder / "empty.ogg"),
    ]
    assert "it is replaced by silence with valid=False" in str(caught[0].message)


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


def test_random_crops_are_drawn_independently(folder):
    data = AudioFileDataset(PLAIN, folder / "b_long.flac", crop="random", seed=5)
    for epoch in (0, 3):
        draws = np.random.default_rng(np.random.SeedSequence(5, spawn_key=(1, epoch, 0)))
        assert data.example(0, epoch=epoch)["start"] == draws.integers(0, 12000 - 4000, endpoint=True) / RATE


def test_resampled_crops_begin_and_end_in_the_middle_of_the_sound(tmp_path):
    rate, duration = 44100, 0.25
    tone = 0.5 * np.cos(2 * np.pi * 440 * np.arange(rate) / rate)
    write_audio(tmp_path / "tone.wav", tone, rate, subtype="FLOAT")
    config = AudioModalityConfig(sample_rate=16000, duration=duration, normalize=False)
    for crop in ("center", "random", "loudest"):
        sample = AudioFileDataset(config, tmp_path, crop=crop, seed=1)[0]
        times = sample["start"] + np.arange(4000) / 16000
        inside = (times >= 0.02) & (times < 0.98)
        np.testing.assert_allclose(sample["audio"][inside], 0.5 * np.cos(2 * np.pi * 440 * times)[inside], atol=1e-4)


@pytest.mark.parametrize("on_error", ["skip", "warn"])
def test_transient_errors_are_always_raised(folder, monkeypatch, on_error):
    data = AudioFileDataset(PLAIN, folder, on_error=on_error)

    def opening(*args, **kwargs):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("builtins.open", opening)
    for read in (lambda: data[0], lambda: AudioFileDataset(PLAIN, folder, crop="whole", on_error=on_error).lengths()):
        with pytest.raises(AudioReadError, match="Too many open files"):
            read()
    assert not data.problems


def test_the_fingerprint_depends_on_the_examples_only(tmp_path):
    for place in ("here", "there"):
        for name in ("cat/a.wav", "dog/a.wav"):
            (tmp_path / place / name).parent.mkdir(parents=True)
            write_audio(tmp_path / place / name, ramp(100), RATE)
    here = tmp_path / "here"
    plain = AudioFileDataset(PLAIN, here).fingerprint()
    assert AudioFileDataset(PLAIN, tmp_path / "there", on_error="skip").fingerprint() == plain
    others = [
        AudioFileDataset(AudioModalityConfig(sample_rate=RATE, duration=0.25, normalize=False), here),
        AudioFileDataset(PLAIN, here, crop="start"),
        AudioFileDataset(PLAIN, here, crop="sliding"),
        AudioFileDataset(PLAIN, here, crop="sliding", hop=0.25),
        AudioFileDataset(PLAIN, here, mono=False),
        AudioFileDataset(PLAIN, here, seed=1),
        AudioFileDataset(PLAIN, here, labels=None),
        AudioFileDataset(PLAIN, here, labels=lambda path: "pet"),
        AudioFileDataset(PLAIN, here, split="here"),
        AudioFileDataset(PLAIN, here, classes=["dog", "cat"]),
        AudioFileDataset(PLAIN, [here / "dog", here / "cat"], labels=None),
        AudioFileDataset(PLAIN, here / "cat"),
    ]
    prints = [plain, *(other.fingerprint() for other in others)]
    write_audio(here / "cat" / "a.wav", ramp(101), RATE)
    prints.append(AudioFileDataset(PLAIN, here).fingerprint())
    assert len(set(prints)) == len(prints)


def test_a_fingerprint_counts_the_segments_of_a_manifest(folder, tmp_path):
    prints = set()
    for end in (0.5, 0.75):
        table = tmp_path / f"{end}.csv"
        table.write_text(f"path,start,end\n{folder / 'b_long.flac'},0.25,{end}\n")
        prints.add(AudioFileDataset(PLAIN, manifest=table).fingerprint())
    assert len(prints) == 2
