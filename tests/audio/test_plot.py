import sys

import librosa
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from artifex.generative_models.core import MissingDependencyError
from artifex.generative_models.modalities.audio import plot


def drawn(ax) -> np.ndarray:
    return np.asarray(ax.images[0].get_array())


def ticks(ax) -> dict[int, float]:
    return {int(text.get_text()): place for text, place in zip(ax.get_yticklabels(), ax.get_yticks(), strict=True)}


@pytest.mark.parametrize(("scale", "htk"), [("slaney", False), ("htk", True)])
def test_mel_scales_equal_librosas(scale, htk):
    frequencies = np.array([0.0, 60.0, 999.0, 1000.0, 1001.0, 4000.0, 11025.0])
    np.testing.assert_allclose(
        plot.hz_to_mel(frequencies, mel_scale=scale), librosa.hz_to_mel(frequencies, htk=htk), rtol=1e-12
    )


@pytest.mark.parametrize(("scale", "htk"), [("slaney", False), ("htk", True)])
def test_a_tone_lies_at_its_tick_of_the_mel_axis(scale, htk):
    filters = librosa.filters.mel(sr=16000, n_fft=16384, n_mels=80, htk=htk)
    for hertz, place in ticks(plot.mel(np.ones((80, 4)), 16000, 256, mel_scale=scale)).items():
        if hertz >= 1000:  # lower bands are narrower than the ticks are thick
            loudest = int(filters[:, round(hertz * 16384 / 16000)].argmax())
            assert abs(place - (loudest + 0.5)) <= 0.5


def test_a_tone_lies_at_its_frequency_and_a_click_at_its_time():
    values = np.full((513, 100), 1e-3)
    values[64, :] = 1.0
    values[:, 50] = 1.0
    ax = plot.spectrogram(values, 16000, 160)
    left, right, bottom, top = ax.images[0].get_extent()
    height, width = (top - bottom) / 513, (right - left) / 100
    assert bottom + 64.5 * height == pytest.approx(1000)
    assert left + 50.5 * width == pytest.approx(0.5)
    assert ax.get_ylim() == (0, 8000)


@pytest.mark.parametrize(("values", "power"), [([1.0, 0.1], False), ([1.0, 0.01], True), ([1j, -0.1], False)])
def test_levels_are_decibels_below_the_maximum(values, power):
    ax = plot.spectrogram(np.array([values, values]) * 7, 8000, 256, power=power)
    np.testing.assert_allclose(drawn(ax)[0], [0.0, -20.0], atol=1e-6)


def test_silence_is_drawn_as_the_bottom_of_the_scale():
    np.testing.assert_array_equal(drawn(plot.mel(np.zeros((80, 5)), 16000, 256, db_range=60.0)), -60.0)


def test_a_waveform_is_drawn_over_seconds_channel_by_channel():
    ax = plot.waveform(np.stack([np.zeros(800), np.full(800, 2.0)]), 8000, title="two")
    assert len(ax.lines) == 2
    assert ax.get_xlim() == pytest.approx((0.0, 0.1))
    assert ax.get_ylim() == (-2.0, 2.0)
    assert ax.get_title() == "two"


def test_pictures_go_to_the_axes_that_were_given_and_leave_pyplot_alone(tmp_path):
    figure = Figure()
    ax = figure.add_subplot()
    assert plot.mel(np.ones((40, 6)), 8000, 256, ax=ax) is ax
    figure.savefig(tmp_path / "mel.png")
    assert (tmp_path / "mel.png").read_bytes().startswith(b"\x89PNG")
    plot.waveform(np.zeros(10), 8000).figure.savefig(tmp_path / "waveform.png")
    assert "matplotlib.pyplot" not in sys.modules or not mpl.pyplot.get_fignums()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot.mel(np.ones((2, 80, 5)), 8000, 256), r"\(2, 80, 5\); draw one example"),
        (lambda: plot.spectrogram(np.ones(5), 8000, 256), r"\(freq, time\)"),
        (lambda: plot.waveform(np.ones((1, 2, 3)), 8000), r"\(1, 2, 3\)"),
        (lambda: plot.mel(np.ones((80, 5)), 8000, 256, mel_scale="bark"), "'slaney', 'htk'"),
        (lambda: plot.mel(np.ones((80, 5)), 8000, 0), "hop_length must be an integer of at least 1"),
        (
            lambda: plot.mel(np.ones((80, 5)), 8000, 256, db_range=0),
            "db_range must be a finite number above 0",
        ),
    ],
)
def test_what_cannot_be_drawn_is_an_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_without_the_extra_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"artifex-audio\[plot\]"):
        plot.waveform(np.zeros(10), 8000)
