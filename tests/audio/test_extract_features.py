"""Extraction with presets, several features, splits and permitted failures."""

import importlib.util
import json
import pickle
import subprocess
import sys
from pathlib import Path

import librosa
import numpy as np
import pytest

from artifex.generative_models.core import UnknownComponentError, create, registry
from artifex.generative_models.extensions.audio_processing.spectral import SpectralAnalysis
from artifex.generative_models.modalities.audio import (
    AudioFileDataset,
    FeatureDataset,
    SyntheticAudioDataset,
    TableAudioDataset,
    make_loader,
    read_audio,
    read_features,
)
from artifex.generative_models.modalities.audio.base import AudioModalityConfig
from artifex.generative_models.modalities.audio.extraction import (
    FailedRecordingsError,
    extract,
    features,
    recordings,
    verify,
)
from artifex.generative_models.modalities.audio.io import write_audio
from artifex.generative_models.modalities.audio.shards.checksums import parse_with_checksum, with_checksum

RATE = 16000
LENGTHS = (200, 5000, 8000)
SMALL = AudioModalityConfig(sample_rate=RATE, n_fft=512, hop_length=128, n_mel_channels=40, normalize=False)
SEVERAL = ("log_mel_spectrogram", "mfcc", "spectral_centroid")

_FILE = Path(__file__).parents[1] / "spectral" / "references" / "make_references.py"
_SPEC = importlib.util.spec_from_file_location("make_references", _FILE)
references = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(references)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Noise of three lengths."""
    audio = tmp_path_factory.mktemp("recordings") / "noise"
    audio.mkdir()
    for index, length in enumerate(LENGTHS):
        samples = np.random.default_rng(index).uniform(-0.5, 0.5, length)
        write_audio(audio / f"{index}.wav", samples, RATE, subtype="FLOAT")
    return audio


@pytest.fixture(scope="module")
def several(folder, tmp_path_factory):
    """Three features of these recordings, and the number of times that files were decoded."""
    out, calls, decode = tmp_path_factory.mktemp("several") / "features", [], recordings.decode
    with pytest.MonkeyPatch.context() as context:
        context.setattr(
            recordings, "decode", lambda path, *args, **options: calls.append(path) or decode(path, *args, **options)
        )
        extract(folder, out, config=SMALL, features=SEVERAL, report=False)
    return out, len(calls)


@pytest.fixture
def manifest(tmp_path):
    """Recordings of two splits, whose classes differ."""
    write_audio(tmp_path / "a.wav", np.full(1000, 0.5), RATE)
    rows = [{"path": "a.wav", "label": label, "split": split} for label, split in (("cat", "test"), ("dog", "train"))]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path / "m.jsonl"


def test_whispers_preset_reproduces_whisper(tmp_path):
    with np.load(references.STORED) as stored:
        expected = stored["whisper_numpy/speech"].T
    write_audio(tmp_path / "speech.wav", references.clip("speech", RATE), RATE, subtype="FLOAT")
    result = extract(tmp_path / "speech.wav", tmp_path / "made", preset="whisper", report=False)
    ((_, found),) = read_features(tmp_path / "made")
    assert result.records[0]["shapes"] == {"log_mel_spectrogram": list(expected.shape)}
    np.testing.assert_allclose(found, expected, atol=2.5e-5)  # 1e-3 dB


def test_features_of_a_preset_equal_those_of_each_recording_alone(folder, tmp_path):
    names = ("log_mel_spectrogram", "mel_spectrogram", "stft", "mfcc", "chroma", "rms")
    extract(folder, tmp_path / "made", preset="whisper", features=names, report=False)
    analysis = SpectralAnalysis.from_preset("whisper")
    data = FeatureDataset(tmp_path / "made")
    for example in data:
        audio, _ = read_audio(example["source"])
        for name in names:
            compute = analysis.stft if name == "stft" else getattr(analysis, f"compute_{name}")
            expected = np.asarray(compute(audio))
            assert example[name].shape == expected.shape
            np.testing.assert_allclose(example[name], expected, atol=1e-6 * max(1.0, np.abs(expected).max()))
    assert data.lengths().tolist() == [length // 160 for length in LENGTHS]
    assert (data.preset, data.config.analysis) == ("whisper", create("preset", "whisper"))
    assert data.config == AudioModalityConfig(
        representation="log_mel_spectrogram", spectral="whisper", duration=data.config.duration, normalize=False
    )


@pytest.mark.thorough
@pytest.mark.parametrize("preset", registry("preset"))
def test_features_of_every_preset_equal_those_of_each_recording_alone(tmp_path, preset):
    analysis = SpectralAnalysis.from_preset(preset)
    for index, length in enumerate((2500, 17000, 30000)):
        samples = np.random.default_rng(index).uniform(-0.5, 0.5, length)
        write_audio(tmp_path / f"{index}.wav", samples, analysis.config.sample_rate, subtype="FLOAT")
    names = features.spectral_features()
    extract(tmp_path, tmp_path / "made", preset=preset, features=names, report=False)
    for example in FeatureDataset(tmp_path / "made"):
        for name in names:
            compute = analysis.stft if name == "stft" else getattr(analysis, f"compute_{name}")
            expected = np.asarray(compute(read_audio(example["source"])[0]))
            assert example[name].shape == expected.shape
            np.testing.assert_allclose(example[name], expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


@pytest.mark.filterwarnings("ignore:n_fft=512 is too large for input signal of length=200")
def test_several_features_are_stored_in_one_record_and_recordings_decoded_once(folder, several):
    out, n_decoded = several
    assert n_decoded == len(LENGTHS)
    data = FeatureDataset(out)
    assert data.features == data.time_axis_keys == SEVERAL
    for example in data:
        audio, _ = read_audio(example["source"])
        n_frames = len(audio) // 128
        expected = librosa.power_to_db(
            librosa.feature.melspectrogram(y=audio, sr=RATE, n_fft=512, hop_length=128, n_mels=40, pad_mode="constant")
        )
        np.testing.assert_allclose(example["log_mel_spectrogram"], expected[:, :n_frames], atol=1e-3)
        cepstra = librosa.feature.mfcc(S=expected, n_mfcc=13)
        np.testing.assert_allclose(example["mfcc"], cepstra[:, :n_frames], atol=1e-2)
        assert example["spectral_centroid"].shape == (n_frames,)
        assert example["length"] == n_frames
    np.testing.assert_array_equal(data.lengths(), [length // 128 for length in LENGTHS])
    for name in SEVERAL:
        for (_, values), example in zip(read_features(out, feature=name), data, strict=True):
            np.testing.assert_array_equal(values, example[name])
    with pytest.raises(ValueError, match="contains log_mel_spectrogram, mfcc, spectral_centroid; name one"):
        read_features(out)
    with pytest.raises(ValueError, match="contains no feature 'chroma'; it contains log_mel"):
        read_features(out, feature="chroma")


def test_the_loader_pads_every_feature(several):
    batch = next(iter(make_loader(FeatureDataset(several[0]), 3, shuffle=False, bucket_lengths=(64,))))
    assert [batch[name].shape for name in SEVERAL] == [(3, 40, 64), (3, 13, 64), (3, 64)]
    assert batch["length"].tolist() == [length // 128 for length in LENGTHS]


@pytest.mark.parametrize(
    ("preset", "expected"),
    [(None, -100.0), ("whisper", -1.5), ("vocos", np.log(1e-7)), ("kaldi", np.log(2.0**-23)), ("librosa", -100.0)],
)
def test_log_mel_spectrograms_are_padded_with_the_level_of_silence(tmp_path, preset, expected):
    """References: the minimum of each tool, 1e-10 for librosa and Whisper, whose levels are (log10 + 4) / 4."""
    write_audio(tmp_path / "silent.wav", np.zeros(8000), RATE)
    config = None if preset else SMALL
    names = ("log_mel_spectrogram", "mel_spectrogram")
    extract(tmp_path, tmp_path / "made", preset=preset, config=config, features=names, report=False)
    loader = make_loader(FeatureDataset(tmp_path / "made"), 1, bucket_lengths=(400,))
    batch = next(iter(loader))
    np.testing.assert_allclose(batch["log_mel_spectrogram"], expected, rtol=1e-6)  # the recording and its padding
    assert batch["log_mel_spectrogram"].shape[-1] == 400 > batch["length"][0]
    np.testing.assert_array_equal(batch["mel_spectrogram"], 0.0)


def test_recordings_are_not_normalized_with_a_preset_unless_requested(artifex, folder, tmp_path):
    options = ("extract", folder / "2.wav", "--preset", "whisper", "--feature", "raw_waveform", "--no-report", "--out")
    assert artifex(*options, "plain")[0] == artifex(*options, "loud", "--normalize")[0] == 0
    (_, plain), (_, loud) = next(read_features("plain")), next(read_features("loud"))
    np.testing.assert_array_equal(plain, read_audio(folder / "2.wav")[0])
    assert np.abs(loud).max() == pytest.approx(1.0)


def test_sizes_given_with_a_preset_change_it_visibly_and_the_configuration_repeats_it(artifex, folder, tmp_path):
    options = ("--no-report", "--feature", "log_mel_spectrogram", "--feature", "mfcc")
    code, out, _ = artifex("extract", folder, "--out", "first", "--preset", "whisper", "--n-mels", 128, *options)
    assert code == 0
    assert "as log_mel_spectrogram, mfcc of the preset whisper with n_mels = 128" in out
    example = FeatureDataset("first")[2]
    expected = SpectralAnalysis.from_preset("whisper", n_mels=128).compute_mfcc(read_audio(folder / "2.wav")[0])
    np.testing.assert_allclose(example["mfcc"], expected, atol=1e-5)
    assert artifex("extract", folder, "--out", "again", "--config", "first/config.toml", "--no-report")[0] == 0
    assert (tmp_path / "first" / "plan.json").read_bytes() == (tmp_path / "again" / "plan.json").read_bytes()
    extract(
        folder, "python", preset=("whisper", {"n_mels": 128}), features=["log_mel_spectrogram", "mfcc"], report=False
    )
    assert (tmp_path / "first" / "plan.json").read_bytes() == (tmp_path / "python" / "plan.json").read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--preset", "wisper"), "Did you mean 'whisper'"),
        (("--preset", "whisper", "--sample-rate", "8000"), "--sample-rate 8000 contradicts the preset 'whisper'"),
        (("--preset", "whisper", "--n-mels", "300"), "n_mels must be at most 201"),
        (("--feature", "mfccs"), "Did you mean 'mfcc'"),
        (("--feature", "mfcc", "--feature", "mfcc"), "features must not repeat a name"),
        (("--feature", "mfcc", "--representation", "stft"), "repeat --feature for several features"),
        (("--feature", "raw_waveform", "--feature", "mfcc"), "raw_waveform 16384, mfcc 64; extract samples and frames"),
        (("--split", "test"), "synthetic examples have no splits"),
        (("noise", "--split", "test"), "1 of 1 recordings have no split"),
        (("m.jsonl", "noise", "--split", "test"), "1 of 3 recordings have no split, such as"),
        (("--config", "features.toml"), "features must be a list, got 'mfcc'"),
        (("m.jsonl", "--split", "banana"), "split must be one of 'test', 'train', got 'banana'"),
        (("--allow-failures", "some"), "--allow-failures must be a number of recordings or 'all', got 'some'"),
        (("--allow-failures", "-1"), "--allow-failures must be a number"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_invalid_arguments_give_a_message_and_write_nothing(artifex, tmp_path, manifest, words, message):
    (tmp_path / "noise").mkdir()
    write_audio(tmp_path / "noise" / "a.wav", np.zeros(1000), RATE)
    (tmp_path / "features.toml").write_text("features = 'mfcc'")
    before = sorted(tmp_path.rglob("*"))
    words = ("noise", *words) if "raw_waveform" in words else words
    code, out, err = artifex("extract", *words)
    assert code == 2
    assert message in err
    assert "Traceback" not in out + err
    assert sorted(tmp_path.rglob("*")) == before


def test_unknown_names_are_errors_that_list_the_available_ones(tmp_path):
    with pytest.raises(UnknownComponentError, match="hifigan.*whisper"):
        extract([], tmp_path / "made", preset="no_such_tool", report=False)
    with pytest.raises(UnknownComponentError, match="chroma.*mel_spectrogram.*mfcc"):
        extract([], tmp_path / "made", features=["no_such_feature"], report=False)
    with pytest.raises(TypeError, match="preset must be a name, or a name and options"):
        extract([], tmp_path / "made", preset=3, report=False)
    with pytest.raises(ValueError, match=r"config.n_mel_channels = 64 contradicts the preset 'whisper', .*n_mels': 64"):
        extract([], tmp_path / "made", preset="whisper", config=AudioModalityConfig(n_mel_channels=64), report=False)
    with pytest.raises(ValueError, match="config.representation is 'stft', but features are mfcc; omit one"):
        extract([], tmp_path / "made", features="mfcc", config=SMALL.evolve(representation="stft"), report=False)
    assert not (tmp_path / "made").exists()


def test_a_configuration_with_an_analysis_is_the_same_as_a_preset(artifex, folder, tmp_path):
    config = AudioModalityConfig(spectral="whisper", normalize=False)
    changed = create("preset", "whisper", n_mels=64)
    extract(folder, tmp_path / "preset", preset="whisper", report=False)
    extract(folder, tmp_path / "config", config=config, report=False)
    extract(folder, tmp_path / "changed", config=config.evolve(spectral=changed), report=False)
    plans = [(tmp_path / name / "plan.json").read_bytes() for name in ("preset", "config", "changed")]
    assert plans[0] == plans[1] != plans[2]
    for name, plan in zip(("preset", "config", "changed"), plans, strict=True):
        written = ("--config", f"{name}/config.toml", "--out", f"{name}-again", "--no-report")
        assert artifex("extract", folder, *written)[0] == 0
        assert (tmp_path / f"{name}-again" / "plan.json").read_bytes() == plan
    assert FeatureDataset(tmp_path / "config", config=config.evolve(representation="log_mel_spectrogram")).config
    data = FeatureDataset(tmp_path / "changed")
    assert (data[0]["log_mel_spectrogram"].shape[0], data.preset, data.config.analysis) == (64, None, changed)
    with pytest.raises(ValueError, match="extracted with another configuration: n_mel_channels is 64, not 80"):
        FeatureDataset(tmp_path / "changed", config=config.evolve(representation="log_mel_spectrogram"))
    without = SMALL.evolve(representation="log_mel_spectrogram", n_fft=400, hop_length=160, n_mel_channels=64)
    with pytest.raises(ValueError, match="spectral is given, not None"):
        FeatureDataset(tmp_path / "changed", config=without)
    with pytest.raises(ValueError, match="config.spectral and the preset 'kaldi' are different analyses"):
        extract(folder, tmp_path / "made", config=config, preset="kaldi", report=False)


def test_features_of_a_preset_are_read_without_jax(folder, tmp_path):
    extract(folder, tmp_path / "made", preset="whisper", report=False)
    script = (
        "import sys, pickle; from artifex.generative_models.modalities.audio import FeatureDataset; "
        f"data = pickle.loads(pickle.dumps(FeatureDataset({str(tmp_path / 'made')!r}))); data[0]; data.fingerprint(); "
        "print('jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_one_split_is_extracted_with_the_classes_of_all(manifest, tmp_path):
    options = {"config": SMALL.evolve(representation="raw_waveform"), "report": False}
    for split in ("train", "test"):
        assert len(extract(manifest, tmp_path / split, split=split, **options).records) == 1
    train, test = FeatureDataset(tmp_path / "train"), FeatureDataset(tmp_path / "test", split="test")
    assert train.labels == test.labels == ("cat", "dog")
    assert (train[0]["label"], test[0]["label"]) == (1, 0)
    assert (train.splits, test.splits) == (("train",), ("test",))
    with pytest.raises(ValueError, match="split must be .*'test', got 'train'"):
        FeatureDataset(tmp_path / "test")
    with pytest.raises(FileExistsError, match="the split is train in the folder, test was requested"):
        extract(manifest, tmp_path / "train", split="test", **options)


def test_classes_of_other_splits_are_part_of_the_plan(manifest, tmp_path):
    options = {"split": "train", "config": SMALL.evolve(representation="raw_waveform"), "report": False}
    extract(manifest, tmp_path / "made", **options)
    manifest.write_text(manifest.read_text().replace("cat", "fox"))
    with pytest.raises(FileExistsError, match="the classes are cat, dog in the folder, dog, fox among the inputs"):
        extract(manifest, tmp_path / "made", **options)


def test_failures_are_permitted_up_to_a_number(artifex, folder, tmp_path):
    for name in ("x", "y"):
        (tmp_path / f"{name}.wav").touch()
    words = ("extract", folder, tmp_path / "x.wav", tmp_path / "y.wav", "--feature", "raw_waveform", "--no-report")
    results = [artifex(*words, "--allow-failures", allowed) for allowed in (0, 1, 2, "all")]
    assert [code for code, _, _ in results] == [1, 1, 0, 0]
    assert all("2 recordings could not be extracted" in out for _, out, _ in results)
    assert artifex("extract", "x.wav", "--out", "nothing", "--allow-failures", "all")[0] == 1
    with pytest.raises(FailedRecordingsError, match="2 recordings could not be extracted, 1 may fail") as caught:
        extract([folder, "x.wav", "y.wav"], "made", config=SMALL, report=False, allow_failures=1)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert len(caught.value.result.records) == len(list(read_features("made"))) == len(LENGTHS)
    assert len(extract([folder, "x.wav", "y.wav"], "made", config=SMALL, report=False, allow_failures=2).failures) == 2


def change_plan(out: Path, change) -> None:
    table, _ = parse_with_checksum((out / "plan.json").read_bytes())
    change(table)
    (out / "plan.json").write_bytes(with_checksum(table))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda plan: plan["components"][2].update(distribution="other", version="1.0"),
            r"the preset 'whisper' was that of other 1\.0, now it is that of artifex-spectral",
        ),
        (
            lambda plan: plan["software"].update({"artifex-spectral": "0.0.1"}),
            r"the folder was written with artifex-spectral 0\.0\.1, .* is installed",
        ),
        (
            lambda plan: plan["spectral"].update(top_db=60.0),
            r"top_db of the preset is 60\.0 in the folder, 80\.0 in the installed one",
        ),
        (
            lambda plan: plan["preset"].update(options={"n_mels": 64}),
            "the preset is whisper with n_mels = 64 in the folder, whisper was requested",
        ),
    ],
)
def test_another_version_of_a_component_is_refused(folder, tmp_path, change, message):
    made = tmp_path / "made"
    options = {"preset": "whisper", "features": ["log_mel_spectrogram", "mfcc"], "report": False}
    extract(folder, made, **options)
    plan = json.loads((made / "plan.json").read_text())
    audio, spectral = plan["software"]["artifex-audio"], plan["software"]["artifex-spectral"]
    assert plan["components"] == [
        {"kind": "representation", "name": "log_mel_spectrogram", "distribution": "artifex-audio", "version": audio},
        {"kind": "feature", "name": "mfcc", "distribution": "artifex-spectral", "version": spectral},
        {"kind": "preset", "name": "whisper", "distribution": "artifex-spectral", "version": spectral},
    ]
    fingerprint = FeatureDataset(made).fingerprint()
    change_plan(made, change)
    with pytest.raises(FileExistsError, match=message):
        extract(folder, made, **options)
    extract(folder, made, overwrite=True, **options)
    assert FeatureDataset(made).fingerprint() == fingerprint


def test_the_fingerprint_covers_the_components(folder, tmp_path):
    found = set()
    for name, preset in (("mfcc", None), ("chroma", None), ("mfcc", "whisper")):
        extract(folder, tmp_path / "made", preset=preset, features=name, overwrite=True, report=False)
        found.add(FeatureDataset(tmp_path / "made").fingerprint())
    assert len(found) == 3


@pytest.mark.parametrize("kind", ["files", "table", "synthetic"])
def test_fingerprints_of_datasets_cover_the_provider_of_the_representation(fresh_registry, folder, kind):
    def fingerprint(representation):
        config = SMALL.evolve(representation=representation, duration=0.1)
        datasets = {
            "files": lambda: AudioFileDataset(config, folder),
            "table": lambda: TableAudioDataset(config, [str(folder / "0.wav")]),
            "synthetic": lambda: SyntheticAudioDataset(config, n_samples=3),
        }
        return datasets[kind]().fingerprint()

    names = ("mel_spectrogram", "raw_waveform")
    before = [fingerprint(name) for name in names]
    for name in names:
        registry("representation").register(name, registry("representation")["stft"], replace=True)
    after = [fingerprint(name) for name in names]
    assert before[0] != after[0]
    assert before[1] == after[1]  # waveforms are not encoded


def test_verify_summarizes_the_extraction(artifex, manifest, tmp_path):
    extract(manifest, "features", preset="whisper", features=["log_mel_spectrogram", "mfcc"], report=False)
    result = verify("features")
    assert (result.problems, result.n_examples, result.n_shards, result.n_failures) == ([], 2, 1, 0)
    assert (result.splits, result.classes) == ({"test": 1, "train": 1}, {"cat": 1, "dog": 1})
    assert result.shapes == {"log_mel_spectrogram": "80 × 6", "mfcc": "13 × 6"}
    assert result.duration == 2 * 1000 / RATE
    code, out, _ = artifex("extract", "--verify")
    assert code == 0
    lines = [line.split(maxsplit=1) for line in out.splitlines()]
    assert lines[:-1] == [
        ["examples", "2 in 1 shard"],
        ["duration", "0.12 s"],
        ["feature", "log_mel_spectrogram  80 × 6"],
        ["feature", "mfcc                 13 × 6"],
        ["preset", "whisper"],
        ["splits", "test (1), train (1)"],
        ["classes", "cat (1), dog (1)"],
        ["failures", "none"],
    ]
    assert out.splitlines()[-1] == "features is intact: every byte agrees with its checksum"


def test_the_report_shows_every_feature(manifest, tmp_path):
    extract(
        manifest, tmp_path / "made", preset="whisper", features=["log_mel_spectrogram", "mfcc"], n_report_examples=1
    )
    page = (tmp_path / "made" / "report.html").read_text()
    assert page.count("data:image/png") == 2
    for text in ("log_mel_spectrogram, mfcc", "<b>13 × 6</b>", "whisper"):
        assert text in page
