"""``repr`` and ``_repr_html_`` of datasets and configurations."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from artifex.generative_models.core import create
from artifex.generative_models.core.configuration import ExtensionConfig
from artifex.generative_models.modalities.audio import (
    AudioFileDataset,
    AudioModalityConfig,
    FeatureDataset,
    SyntheticAudioDataset,
    TableAudioDataset,
    cached,
    extract,
    write_audio,
)
from artifex.generative_models.modalities.audio.datasets import recordings
from artifex.generative_models.modalities.base import BaseDataset

CONFIG = AudioModalityConfig(sample_rate=8000, duration=0.5)
SCRIPT = "<script>alert('x')</script>"


class Cells(HTMLParser):
    """The text of the cells of a table, and the names of all elements."""

    def __init__(self, page):
        super().__init__()
        self.names, self.text = set(), []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        for name, value in attrs:
            assert name == "style"
            assert "url" not in value

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def no_reading(monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("repr reads a file")

    for name in ("decode", "probe", "read_blocks"):
        monkeypatch.setattr(recordings, name, fail)


@pytest.fixture
def folder(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        write_audio(tmp_path / name / "a.wav", np.full(9000, 0.25), 8000)
    return tmp_path


def test_a_dataset_of_files_describes_itself_without_reading(folder, no_reading):
    data = AudioFileDataset(CONFIG, folder, crop="random")
    assert repr(data) == (
        "AudioFileDataset(n_examples=2, split='train', n_classes=2, labels=('cat', 'dog'), sample_rate=8000, duration=0.5, "
        "crop='random', mono=True, audio=(4000,), representation='raw_waveform')"
    )
    text = Cells(data._repr_html_()).text
    assert text[:5] == ["AudioFileDataset", "n_examples", "2", "split", "'train'"]


@pytest.mark.parametrize("crop", ["sliding", "whole"])
def test_what_files_would_have_to_be_read_for_is_omitted(folder, no_reading, crop):
    text = repr(AudioFileDataset(CONFIG, folder, crop=crop, mono=False, name="pets"))
    assert text.startswith("AudioFileDataset(name='pets', ")
    assert ("n_examples" in text, "n_recordings=2" in text) == (crop == "whole", crop == "sliding")
    assert ("duration" in text) == (crop == "sliding")
    assert "audio=" not in text


def test_windows_are_shown_once_they_are_counted(folder):
    data = AudioFileDataset(CONFIG, folder, crop="sliding", hop=0.25)
    assert len(data) == 8
    assert "n_examples=8" in repr(data)
    assert "hop=0.25" in repr(data)


def test_other_datasets_describe_themselves(folder):
    synthetic = SyntheticAudioDataset(CONFIG, n_samples=6, audio_types=["sine", "noise"], seed=3)
    assert repr(synthetic) == (
        "SyntheticAudioDataset(n_examples=6, split='train', n_classes=2, labels=('sine', 'noise'), sample_rate=8000, "
        "duration=0.5, audio=(4000,), representation='raw_waveform', seed=3)"
    )
    extract([], folder / "features", config=CONFIG, n_synthetic=6, report=False)
    assert "n_examples=6" in repr(FeatureDataset(folder / "features"))
    assert "raw_waveform=(4000,), sample_rate=8000" in repr(FeatureDataset(folder / "features"))
    assert f"cache='{folder / 'cache'}'" in repr(cached(AudioFileDataset(CONFIG, folder), folder / "cache"))


def test_a_user_defined_dataset_describes_itself():
    class Squares(BaseDataset):
        def __init__(self):
            self.labels = np.arange(4)  # of examples, not the names of classes

        def __len__(self):
            return 4

    assert repr(Squares()) == "Squares(n_examples=4)"


def test_many_classes_are_abbreviated():
    rows = [{"audio": {"array": np.zeros(800), "sampling_rate": 8000}, "label": f"class {i:02}"} for i in range(35)]
    data = TableAudioDataset(CONFIG, rows)
    assert "n_classes=35, labels=('class 00', 'class 01', 'class 02', 'class 03', ...)" in repr(data)
    assert "class 04" not in data._repr_html_()


def test_html_is_escaped_and_self_contained():
    audio = {"array": np.zeros(800), "sampling_rate": 8000}
    rows = [{"audio": audio, "label": SCRIPT, "split": SCRIPT}]
    for value in (
        TableAudioDataset(CONFIG, rows, name=SCRIPT, split=SCRIPT),
        ExtensionConfig(extensions={SCRIPT: {"weight": 1.0}}),
    ):
        page = value._repr_html_()
        cells = Cells(page)
        assert cells.names == {"table", "caption", "b", "tbody", "tr", "th", "td", "code"}
        assert SCRIPT in "".join(cells.text).replace('"', "").replace("\\", "")


@pytest.mark.parametrize("config", [CONFIG, create("preset", "whisper")], ids=["audio", "preset"])
def test_configurations_are_shown_as_tables(config):
    page = config._repr_html_()
    text = Cells(page).text
    assert text[0] == type(config).__name__
    for name, value in config.to_dict().items():
        assert value is None or name in text
    assert "sample_rate" in text


def test_colors_are_those_of_the_page():
    colors = re.findall(r"(?:color|background): ([^;\"]+)", CONFIG._repr_html_())
    assert set(colors) == {"inherit", "transparent"}
