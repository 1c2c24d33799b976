import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile

from artifex.generative_models.core import registry
from artifex.generative_models.modalities.audio.base import AudioModalityConfig
from artifex.generative_models.modalities.audio.extraction import report

CONFIG = AudioModalityConfig(representation="mel_spectrogram", sample_rate=8000)


def record(index: int = 0, **changes) -> dict:
    return {
        "index": index,
        "id": f"clip-{index}",
        "source": f"clip-{index}.wav",
        "label": "dog",
        "source_sample_rate": 44100,
        "source_channels": 2,
        "source_format": "WAV PCM_16",
        "sample_rate": 8000,
        "n_samples": 8000,
        "duration": 1.0,
        "peak_dbfs": -6.0,
        "rms_dbfs": -12.0,
        "shapes": {"mel_spectrogram": [80, 31]},
        "dtypes": {"mel_spectrogram": "float32"},
        "file": "shards/01234567-00000.arrayrecord",
        "record": index,
        **changes,
    }


def example(**changes) -> report.ReportExample:
    return render_example(np.ones((80, 31)), np.zeros(8000, np.float32), **changes)


def render_example(features, audio, *, name="mel_spectrogram", **changes) -> report.ReportExample:
    return report.render_example(record(**changes), {name: features}, audio, CONFIG)


def render_report(records, failures, examples) -> str:
    settings = {"features": "mel_spectrogram", **CONFIG.to_dict()}
    return report.render_report(records, failures, settings, examples, variable_length=True)


class Page(HTMLParser):
    """The tags, attributes and text of a page, and whether every tag is closed."""

    void = ("meta", "img", "br", "line", "rect")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "action", "data", "poster")]
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.void:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


def test_the_page_is_well_formed_and_fetches_nothing():
    html = render_report([record(0), record(1, duration=2.0)], [], [example()])
    page = Page(html)
    assert page.open == []
    assert page.links
    assert all(link.startswith("data:") for link in page.links)
    assert not re.search(r"https?://|url\(|@import|<script|<link", html)


def test_it_contains_counts_durations_and_failures():
    failures = [{"source": "bad.wav", "reason": "the file is empty (0 bytes)"}]
    records = [record(0), record(1, duration=120.0, source_sample_rate=8000, peak_dbfs=0.0)]
    text = Page(render_report(records, failures, [])).text
    for part in (
        "2 recordings",
        "2 min 01 s",
        "from 2 rates",
        "bad.wav",
        "the file is empty (0 bytes)",
        "1 at full scale",
    ):
        assert part in text


def test_file_names_are_escaped():
    nasty = '<script>alert("1")</script>&"\''
    failures = [{"source": nasty, "reason": nasty}]
    records = [record(0, id=nasty, label=nasty, source_format=nasty)]
    page = Page(render_report(records, failures, [example(id=nasty, label=nasty)]))
    assert page.open == []
    assert "script" not in page.tags
    assert page.text.count(nasty) >= 5


def test_statistics_are_minimum_median_and_maximum():
    records = [record(i, duration=seconds, rms_dbfs=-10.0 * seconds) for i, seconds in enumerate((1.0, 2.0, 4.0, 9.0))]
    html = render_report(records, [], [])
    for row in (("Duration", "1.00", "3.00", "9.00"), ("RMS level", "-90.0", "-30.0", "-10.0")):
        assert re.search(r"<td>{}</td>.*?>{}<.*?>{}<.*?>{}<".format(*map(re.escape, row)), html)


def test_silent_recordings_are_counted_and_excluded_from_level_statistics():
    silent = record(1, peak_dbfs=None, rms_dbfs=None)
    assert "1 silent" in Page(render_report([record(0), silent], [], [])).text
    assert "1 silent" in Page(render_report([silent], [], [example(peak_dbfs=None)])).text


@pytest.mark.parametrize("values", [[0.3, 0.5, 0.9, 2.0], [0.01, 1.0, 3600.0], [1.0, 1.1] * 50])
def test_a_histogram_counts_every_value_once(values):
    result = report.histogram("Durations", values, "s")
    assert sum(bar.count for bar in result.bars) == len(values)
    assert max(bar.height for bar in result.bars) == 1
    assert result.logarithmic == (max(values) / min(values) > 20)


def test_equal_values_are_text_instead_of_a_histogram():
    assert "All 3 recordings: 1.00 s" in Page(render_report([record(i) for i in range(3)], [], [])).text


def test_the_sound_is_the_normalized_waveform():
    audio = np.array([0.0, 0.25, -0.5, 0.125], np.float32)
    example = render_example(np.ones((80, 3)), audio)
    assert example.pictures["mel_spectrogram"].startswith("data:image/png;base64,")
    played, rate = soundfile.read(io.BytesIO(base64.b64decode(example.sound.partition(",")[2])))
    assert rate == 8000
    np.testing.assert_allclose(played, audio / 0.5, atol=1 / 32768)


def test_long_examples_are_truncated():
    audio = np.zeros(8000 * 11, np.float32)
    example = render_example(np.ones((80, 343)), audio, duration=11.0)
    assert len(base64.b64decode(example.sound.partition(",")[2])) == 44 + 2 * 8000 * 10
    assert "the first 10 s shown" in Page(render_report([record()], [], [example])).text


class Embedding:
    """A representation that a plugin might bring."""

    shape = (3, 80, 4)

    def __init__(self, config):
        pass

    def encode(self, audio):
        return audio

    def decode(self, encoded, *, key=None):
        return encoded


@pytest.mark.parametrize(
    ("representation", "features"),
    [
        ("raw_waveform", np.zeros(800, np.float32)),
        ("stft", np.zeros((513, 4), np.complex64)),
        ("mel_spectrogram", np.zeros((80, 4), np.float32)),
        ("log_mel_spectrogram", np.zeros((80, 4), np.float32)),
        ("mfcc", np.zeros((13, 4), np.float32)),
        ("chroma", np.zeros((12, 4), np.float32)),
        ("spectral_centroid", np.zeros(4, np.float32)),
        ("embedding", np.zeros(7, np.float32)),
        ("embedding", np.zeros((3, 80, 4), np.complex64)),
    ],
)
def test_every_representation_has_a_figure(fresh_registry, representation, features):
    registry("representation").register("embedding", Embedding)
    example = render_example(features, np.zeros(800, np.float32), name=representation)
    assert base64.b64decode(example.pictures[representation].partition(",")[2]).startswith(b"\x89PNG")
