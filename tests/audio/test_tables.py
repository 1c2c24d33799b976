import importlib
import io
import pickle
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile

from artifex.generative_models.core import create
from artifex.generative_models.modalities.audio.base import AudioModalityConfig
from artifex.generative_models.modalities.audio.datasets.files import AudioFileDataset
from artifex.generative_models.modalities.audio.datasets.tables import TableAudioDataset
from artifex.generative_models.modalities.audio.io import AudioReadError, write_audio

RATE = 8000
PLAIN = AudioModalityConfig(sample_rate=RATE, duration=0.5, normalize=False)


def content(samples: np.ndarray, rate: int = RATE, form: str = "FLAC") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form)
    return file.getvalue()


@pytest.fixture
def sounds():
    draw = np.random.default_rng(0)
    return [np.round(draw.uniform(-0.5, 0.5, n) * 32768) / 32768 for n in (1000, 12000, 5000)]


def as_rows(sounds, form, folder: Path):
    for number, sound in enumerate(sounds):
        write_audio(folder / f"{number}.flac", sound, RATE)
    files = [str(folder / f"{number}.flac") for number in range(len(sounds))]
    return {
        "path": files,
        "Path": [Path(file) for file in files],
        "bytes": [content(sound) for sound in sounds],
        "bytearray": [bytearray(content(sound)) for sound in sounds],
        "memoryview": [memoryview(content(sound)) for sound in sounds],
        "mapping of memoryview": [{"bytes": memoryview(content(sound))} for sound in sounds],
        "wav bytes": [content(sound, form="WAV") for sound in sounds],
        "mapping of bytes": [{"bytes": content(sound), "path": None} for sound in sounds],
        "mapping of path": [{"bytes": None, "path": file} for file in files],
        "mapping of both": [{"bytes": content(sound), "path": "gone.flac"} for sound in sounds],
        "array": [{"array": sound, "sampling_rate": RATE, "path": None} for sound in sounds],
        "integers": [{"array": (sound * 32768).astype(np.int16), "sampling_rate": np.int64(RATE)} for sound in sounds],
        "unsigned": [{"array": (sound * 32768 + 32768).astype(np.uint16), "sampling_rate": RATE} for sound in sounds],
        "list": [{"array": sound.tolist(), "sampling_rate": RATE} for sound in sounds],
    }[form]


FORMS = (
    *("bytearray", "memoryview", "mapping of memoryview"),
    *("path", "Path", "bytes", "wav bytes", "mapping of bytes", "mapping of path", "mapping of both"),
    *("array", "integers", "unsigned", "list"),
)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_audio_gives_the_samples_of_the_file(sounds, tmp_path, form):
    values = as_rows(sounds, form, tmp_path)
    rows = [{"audio": value, "label": label} for value, label in zip(values, ("b", "a", "b"), strict=True)]
    for crop in ("random", "sliding", "loudest", "whole"):
        files = AudioFileDataset(PLAIN, tmp_path, crop=crop, seed=3, labels=None)
        for table, labels in ((rows, ("a", "b")), (values, ())):
            data = TableAudioDataset(PLAIN, table, crop=crop, seed=3)
            assert (len(data), data.labels) == (len(files), labels)
            np.testing.assert_array_equal(data.lengths(), files.lengths())
            for index in range(len(data)):
                sample, expected = data.example(index, epoch=1), files.example(index, epoch=1)
                np.testing.assert_array_equal(sample["audio"], expected["audio"])
                assert (sample["start"], sample["length"]) == (expected["start"], expected["length"])
                assert ("label" in sample) == bool(labels)


def test_labels_are_indices_of_strings_or_unchanged_integers(sounds):
    audio = [{"array": sound, "sampling_rate": RATE} for sound in sounds]
    words = TableAudioDataset(
        PLAIN, [{"x": a, "y": y} for a, y in zip(audio, "bab", strict=True)], audio="x", label="y"
    )
    assert (words.labels, [sample["label"] for sample in words]) == (("a", "b"), [1, 0, 1])
    numbers = TableAudioDataset(PLAIN, [{"audio": a, "label": y} for a, y in zip(audio, (7, 3, 7), strict=True)])
    assert (numbers.labels, [sample["label"] for sample in numbers]) == ((), [7, 3, 7])
    none = TableAudioDataset(PLAIN, [{"audio": a, "label": "b"} for a in audio], label=None)
    assert (none.labels, "label" in none[0]) == ((), False)


def test_stereo_arrays_are_channels_by_time_and_resampled(sounds):
    time = np.arange(22050) / 44100
    wave = 0.5 * np.sin(2 * np.pi * 500 * time)
    rows = [{"array": np.stack([wave, 0 * wave]), "sampling_rate": 44100}]
    kept = TableAudioDataset(PLAIN, rows, mono=False)[0]["audio"]
    expected = 0.5 * np.sin(2 * np.pi * 500 * np.arange(4000) / RATE)
    assert kept.shape == (2, 4000)
    np.testing.assert_allclose(kept[0, 300:3700], expected[300:3700], atol=1e-3)
    np.testing.assert_allclose(TableAudioDataset(PLAIN, rows)[0]["audio"], kept[0] / 2, atol=1e-6)


BAD = {
    "nothing": (None, "recording 1: audio must be a path, bytes, or a mapping with bytes, path or array, got None"),
    "a number": (7, "recording 1: audio must be a path, bytes, or a mapping with bytes, path or array, got int"),
    "an empty mapping": (
        {"bytes": None, "path": None},
        "recording 1: audio must be a path, bytes, or a mapping with bytes, path or array, got None",
    ),
    "no bytes": (b"", "recording 1: the file is empty (0 bytes)"),
    "text": (b"no audio at all", "recording 1: is not audio that can be decoded"),
    "cut off": (
        content(np.ones(9000) / 2, form="WAV")[:-200],
        "recording 1: is truncated: the header declares 18000 bytes",
    ),
    "no file": ("gone.wav", "gone.wav: no such file"),
    "no rate": ({"array": np.zeros(8)}, "recording 1: sample rate must be an integer from 1 to 10000000 Hz, got 0"),
    "half a rate": ({"array": np.zeros(8), "sampling_rate": 8e3}, "sample rate must be an integer"),
    "no samples": ({"array": np.zeros(0), "sampling_rate": 8}, "not empty, got shape (0,)"),
    "three axes": ({"array": np.zeros((1, 2, 3)), "sampling_rate": 8}, "got shape (1, 2, 3)"),
    "words": ({"array": np.array(["x"]), "sampling_rate": 8}, "samples must be floating-point or integer"),
    "bytes are an array": ({"bytes": np.zeros(4, np.uint8)}, "bytes must be the bytes of a file, got ndarray"),
    "bytes are text": ({"bytes": "RIFF"}, "bytes must be the bytes of a file, got str"),
    "path is a number": ({"path": 7}, "recording 1: audio must be a path, bytes, or a mapping"),
    "ragged": (
        {"array": [[0.0], [0.0, 1.0]], "sampling_rate": 8},
        "recording 1: array must be (time,) or (channels, time)",
    ),
    "nan": (
        {"array": np.array([0, np.nan]), "sampling_rate": RATE},
        "recording 1: contains 1 samples that are NaN or infinite",
    ),
}


@pytest.mark.parametrize("fault", BAD)
def test_an_invalid_recording_is_named_by_its_index_or_skipped(sounds, fault):
    value, message = BAD[fault]
    rows = [{"audio": {"array": sounds[0], "sampling_rate": RATE}}, {"audio": value}]
    with pytest.raises(AudioReadError, match=re.escape(message)):
        TableAudioDataset(PLAIN, rows)[1]
    for crop in ("center", "sliding"):
        data = TableAudioDataset(PLAIN, rows, on_error="skip", crop=crop)
        assert len(list(data)) == len(list(data)) == 1
    sample = TableAudioDataset(PLAIN, rows, on_error="skip")[1]
    assert (sample["valid"], sample["length"], sample["audio"].any()) == (False, 0, False)


class Stream:
    def __iter__(self):
        return iter(())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"table": []}, ValueError, "table must not be empty"),
        ({"table": {"train": []}}, TypeError, "got dict of 'train'; pass one of them"),
        ({"table": Stream()}, TypeError, "got Stream; load a stream into a table"),
        ({"table": "a.wav"}, TypeError, "got str"),
        ({"table": bytearray(b"RIFF")}, TypeError, "got bytearray"),
        (
            {"table": [{"sound": b""}]},
            ValueError,
            "audio must be one of the keys of the first recording, 'sound', got 'audio'",
        ),
        (
            {"table": [{"audio": b""}], "label": "kind"},
            ValueError,
            "label must be a column of the table: 'audio'; got 'kind'",
        ),
        (
            {"table": [{"audio": b"", "label": 0.5}]},
            ValueError,
            "labels must be strings or integers, or lists of them, got 0.5",
        ),
        (
            {"table": [{"audio": b"", "label": "a"}, {"audio": b""}]},
            ValueError,
            "labels must be strings or integers, or lists of them, got None",
        ),
        ({"table": [b""], "config": {}}, TypeError, "config must be an AudioModalityConfig or None, got {} (dict)"),
    ],
)
def test_an_invalid_table_raises_at_construction(options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        TableAudioDataset(**options)


def test_the_dataset_is_registered_and_can_be_pickled(sounds):
    data = create("dataset", "table", config=PLAIN, table=[content(sound) for sound in sounds])
    again = pickle.loads(pickle.dumps(data))
    assert isinstance(again, TableAudioDataset)
    np.testing.assert_array_equal(again[1]["audio"], data[1]["audio"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_hugging_face_dataset_is_read_undecoded_without_other_columns(sounds, tmp_path, monkeypatch):
    hugging = pytest.importorskip("datasets")
    monkeypatch.setattr(hugging.Audio, "decode_example", None)
    hugging.disable_progress_bars()
    files = as_rows(sounds, "path", tmp_path)
    columns = {
        "audio": as_rows(sounds, "mapping of bytes", tmp_path),
        "file": files,
        "label": [1, 0, 1],
        "word": ["b", "a", "b"],
        "other": [{"bytes": b"no audio", "path": None}] * 3,
    }
    plain = hugging.Dataset.from_dict(columns).cast_column("label", hugging.ClassLabel(names=["down", "up"]))
    table = plain
    for column in ("audio", "file", "other"):
        table = table.cast_column(column, hugging.Audio(sampling_rate=16000))
    expected = AudioFileDataset(PLAIN, tmp_path, crop="random")
    for rows, audio in (
        (plain, "audio"),
        (table, "audio"),
        (plain, "file"),
        (table, "file"),
        (table.with_format("numpy"), "file"),
    ):
        data = TableAudioDataset(PLAIN, rows, audio=audio, crop="random")
        assert data.labels == ("down", "up")
        assert [sample["label"] for sample in data] == [1, 0, 1]
        for index in range(3):
            np.testing.assert_array_equal(data[index]["audio"], expected[index]["audio"])
    assert TableAudioDataset(PLAIN, table, label="word").labels == ("a", "b")
    assert "label" not in TableAudioDataset(PLAIN, table.remove_columns("label"))[0]
    with pytest.raises(ValueError, match="audio must be a column of the table: 'audio', 'file'"):
        TableAudioDataset(PLAIN, table, audio="sound")
    with pytest.raises(TypeError, match="got IterableDataset; load a stream into a table"):
        TableAudioDataset(PLAIN, table.to_iterable_dataset())
    with pytest.raises(TypeError, match="got DatasetDict of 'train'; pass one of them"):
        TableAudioDataset(PLAIN, hugging.DatasetDict({"train": table}))


def test_the_fingerprint_depends_on_the_options_and_the_content(sounds):
    rows = [{"audio": content(sound), "label": number} for number, sound in enumerate(sounds)]
    options = [{}, {"crop": "start"}, {"seed": 1}, {"mono": False}, {"label": None}, {"classes": ["a", "b", "c"]}]
    prints = [TableAudioDataset(PLAIN, rows, **each).fingerprint() for each in options]
    changed = [
        rows[:2],
        rows[::-1],
        [{**row, "label": 2 - row["label"]} for row in rows],
        [{**rows[0], "audio": rows[1]["audio"]}, *rows[1:]],
    ]
    others = [TableAudioDataset(PLAIN, each).fingerprint() for each in changed]
    assert len({*prints, *others}) == len(prints) + len(others)
    assert TableAudioDataset(PLAIN, rows).fingerprint() == prints[0]


def frames(columns):
    """Return the columns as every kind of table that is installed, by name."""
    found = {}
    if pandas := optional("pandas"):
        found["pandas"] = pandas.DataFrame(columns, index=range(10, 13))
    if polars := optional("polars"):
        found["polars"] = polars.DataFrame(columns)
    if arrow := optional("pyarrow"):
        found["pyarrow"] = arrow.table(columns)
        found["record batch"] = arrow.RecordBatch.from_pydict(columns)
    if hugging := optional("datasets"):
        hugging.disable_progress_bars()
        found["datasets"] = hugging.Dataset.from_dict(columns)
    if not found:
        pytest.skip("no library of tables is installed")
    return found


def optional(name):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ImportError:
        return None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("form", ["path", "bytes", "mapping of bytes", "mapping of path"])
def test_data_frames_and_arrow_tables_give_the_samples_of_the_files(sounds, tmp_path, form):
    audio = as_rows(sounds, form, tmp_path)
    files = AudioFileDataset(PLAIN, tmp_path, labels=None)
    for kind, table in frames({"sound": audio, "label": ["b", "a", "b"], "number": [4, 2, 4]}).items():
        data = TableAudioDataset(PLAIN, table, audio="sound")
        assert (data.labels, [sample["label"] for sample in data]) == (("a", "b"), [1, 0, 1]), kind
        for index in range(3):
            np.testing.assert_array_equal(data[index]["audio"], files[index]["audio"], err_msg=kind)
        numbers = TableAudioDataset(PLAIN, table, audio="sound", label="number")
        assert [sample["label"] for sample in numbers] == [4, 2, 4], kind
        with pytest.raises(
            ValueError, match="audio must be a column of the table: 'sound', 'label', 'number'; got 'audio'"
        ):
            TableAudioDataset(PLAIN, table)
        with pytest.raises(ValueError, match="label must be a column of the table"):
            TableAudioDataset(PLAIN, table, audio="sound", label="kind")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_lists_of_labels_give_multi_hot_arrays(sounds, tmp_path):
    audio = as_rows(sounds, "path", tmp_path)
    words, numbers = [["dog", "rain"], [], ["cat"]], [[3, 0], [], [1]]
    expected = {"words": [[0, 1, 1], [0, 0, 0], [1, 0, 0]], "numbers": [[1, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]]}
    columns = {"audio": audio, "words": words, "numbers": numbers}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    for kind, table in {"rows": rows, **frames(columns)}.items():
        for label, names in (("words", ("cat", "dog", "rain")), ("numbers", ())):
            data = TableAudioDataset(PLAIN, table, label=label)
            assert data.labels == names, kind
            assert [sample["label"].tolist() for sample in data] == expected[label], kind
            assert data[0]["label"].dtype == np.float32
    with pytest.raises(
        ValueError, match=re.escape("labels must be strings or integers, or lists of them, got ['a', None]")
    ):
        TableAudioDataset(PLAIN, [{"audio": audio[0], "label": ["a", None]}])
    with pytest.raises(ValueError, match="recording 0: label must be a list of classes below 1, got"):
        TableAudioDataset(PLAIN, [{"audio": audio[0], "label": [-1]}, {"audio": audio[0], "label": [0]}])[0]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_lists_of_class_labels_use_the_names_of_the_feature(sounds, tmp_path):
    hugging = pytest.importorskip("datasets")
    hugging.disable_progress_bars()
    names = hugging.ClassLabel(names=["down", "up", "left"])
    make = getattr(hugging, "List", hugging.Sequence)
    features = hugging.Features({"audio": hugging.Value("string"), "label": make(names)})
    columns = {"audio": as_rows(sounds, "path", tmp_path), "label": [[1, 2], [], [0]]}
    data = TableAudioDataset(PLAIN, hugging.Dataset.from_dict(columns, features=features))
    assert data.labels == ("down", "up", "left")
    assert [sample["label"].tolist() for sample in data] == [[0, 1, 1], [0, 0, 0], [1, 0, 0]]


def test_lazy_frames_and_single_columns_are_refused(sounds):
    polars, pandas, arrow = (pytest.importorskip(name) for name in ("polars", "pandas", "pyarrow"))
    for table, message in (
        (polars.LazyFrame({"audio": ["a.wav"]}), "table must be in memory, got LazyFrame; pass its collect()"),
        (pandas.Series(["a.wav"]), "table must be a table or a list, got Series; pass a list of its values"),
        (arrow.array(["a.wav"]), "table must be a table or a list, got StringArray; pass a list of its values"),
    ):
        with pytest.raises(TypeError, match=re.escape(message)):
            TableAudioDataset(PLAIN, table)
    with pytest.raises(ValueError, match="table must not be empty"):
        TableAudioDataset(PLAIN, pandas.DataFrame({"audio": []}))


def test_an_array_without_a_sample_rate_is_refused():
    data = TableAudioDataset(AudioModalityConfig(sample_rate=8000), [{"audio": np.zeros(4000)}])
    with pytest.raises(AudioReadError, match="recording 0: audio must be a path, bytes, or a mapping .*, got ndarray"):
        data[0]


def test_a_bool_is_no_label():
    config = AudioModalityConfig(sample_rate=8000)
    data = TableAudioDataset(config, [{"audio": {"array": np.zeros(99), "sampling_rate": 8000}, "label": True}])
    with pytest.raises(ValueError, match="recording 0: label must be an integer, got True"):
        data[0]
