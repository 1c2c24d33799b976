import itertools
import sys

import matplotlib as mpl
import numpy as np
import pytest

from artifex.generative_models.core import MissingDependencyError, plot


def image_of(ax) -> np.ndarray:
    return np.asarray(ax.images[0].get_array())


def ticks(ax) -> dict[int, float]:
    return {int(text.get_text()): height for text, height in zip(ax.get_yticklabels(), ax.get_yticks(), strict=True)}


def color_bar_label(ax) -> str:
    return next(other for other in ax.figure.axes if other is not ax).get_ylabel()


def test_a_tone_is_at_its_frequency_and_a_click_at_its_time():
    values = np.zeros((513, 100))
    ax = plot.spectrogram(values, 8000.0, step=0.01, label="level (dB)")
    left, right, bottom, top = ax.images[0].get_extent()
    height, width = (top - bottom) / 513, (right - left) / 100
    assert bottom + 64.5 * height == pytest.approx(1000)
    assert left + 50.5 * width == pytest.approx(0.5)
    assert ax.get_ylim() == (0, 8000)
    assert ax.get_xlim() == pytest.approx((0.0, 0.995))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (s)", "frequency (Hz)")
    assert color_bar_label(ax) == "level (dB)"


def test_the_first_column_is_centered_on_its_time():
    ax = plot.spectrogram(np.zeros((5, 10)), 100.0, step=0.1, start=0.25)
    assert ax.images[0].get_extent()[:2] == pytest.approx([0.2, 1.2])
    assert ax.get_xlim() == pytest.approx((0.2, 1.2))


@pytest.mark.parametrize("scale", ["log", (np.sqrt, np.square)])
def test_bins_are_at_their_frequencies_on_every_scale(scale):
    values = np.arange(129.0)[:, None] * np.ones(6)
    ax = plot.spectrogram(values, 4000.0, step=0.1, scale=scale)
    mesh = ax.collections[0]
    edges = mesh.get_coordinates()[:, 0, 1]
    assert edges[32:34].mean() == pytest.approx(1000.0)
    np.testing.assert_allclose(mesh.get_coordinates()[0, :2, 0], [-0.05, 0.05])
    assert np.asarray(mesh.get_array()).reshape(129, 6)[32, 0] == 32
    assert ax.get_ylim()[1] == 4000
    assert {1000, 2000, 4000} <= set(ticks(ax))
    assert all(hz == height for hz, height in ticks(ax).items())


def test_bands_are_labeled_at_round_frequencies():
    centers = np.geomspace(100.0, 8000.0, 64)
    ax = plot.bands(np.zeros((64, 4)), centers, step=0.1)
    shown = ticks(ax)
    assert {250, 1000, 4000} <= set(shown)
    for hz, height in shown.items():
        nearest = int(np.argmin(np.abs(np.log(centers / hz))))
        assert abs(height - (nearest + 0.5)) <= 0.5
    assert ax.get_ylim() == (0, 64)


@pytest.mark.parametrize(
    ("centers", "expected"),
    [(np.linspace(300.0, 400.0, 20), {300, 320, 340, 360, 380, 400}), (np.array([700.0]), {700})],
)
def test_narrow_band_ranges_are_labeled(centers, expected):
    assert set(ticks(plot.bands(np.zeros((len(centers), 4)), centers, step=0.1))) == expected


@pytest.mark.parametrize("size", [(3.0, 1.5), (10.0, 6.0)])
def test_band_labels_do_not_overlap(size):
    figure = plot.new_figure(*size)
    ax = plot.bands(np.zeros((80, 4)), np.geomspace(20.0, 20000.0, 80), step=0.1, ax=figure.add_subplot())
    figure.draw_without_rendering()
    boxes = sorted((label.get_window_extent() for label in ax.get_yticklabels()), key=lambda box: box.y0)
    assert len(boxes) >= 2
    assert all(lower.y1 <= upper.y0 for lower, upper in itertools.pairwise(boxes))


def test_rows_are_centered_on_their_numbers_or_have_names():
    ax = plot.rows(np.zeros((12, 5)), step=0.1, first=1, row="coefficient")
    assert ax.images[0].get_extent()[2:] == [0.5, 12.5]
    assert ax.get_ylabel() == "coefficient"
    named = plot.rows(np.zeros((2, 5)), step=0.1, names=["left", "right"])
    assert [text.get_text() for text in named.get_yticklabels()] == ["left", "right"]
    assert named.get_yticks().tolist() == [0, 1]


def test_lines_are_drawn_over_existing_content():
    ax = plot.spectrogram(np.zeros((5, 10)), 4000.0, step=0.1)
    before = ax.get_xlim()
    plot.lines({"centroid": np.full(10, 1000.0), "rolloff": np.full(10, 3000.0)}, step=0.1, start=0.05, ax=ax)
    assert ax.get_xlim() == before
    np.testing.assert_allclose(ax.lines[0].get_xdata(), 0.05 + 0.1 * np.arange(10))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["centroid", "rolloff"]


def test_levels_are_in_db_below_the_maximum():
    np.testing.assert_allclose(plot.decibels_below_maximum([[7.0, 0.07]]), [[0.0, -20.0]], atol=1e-9)
    np.testing.assert_array_equal(plot.decibels_below_maximum(np.zeros((2, 3)), db_range=60.0), -60.0)
    np.testing.assert_array_equal(plot.decibels_below_maximum([np.nan, 1.0, 0.0, np.inf]), [np.nan, 0.0, -80.0, 0.0])


def test_values_that_are_not_finite_do_not_change_the_color_limits():
    image = plot.spectrogram(np.array([[np.nan, 1.0], [-np.inf, 3.0]]), 100.0, step=0.1).images[0]
    assert image.get_clim() == (1.0, 3.0)


def test_each_channel_of_a_waveform_is_drawn_over_seconds():
    ax = plot.waveform(np.stack([np.zeros(800), np.full(800, 2.0)]), 8000, title="two")
    assert len(ax.lines) == 2
    assert ax.get_xlim() == pytest.approx((0.0, 0.1))
    assert ax.get_ylim() == (-2.0, 2.0)
    assert ax.get_title() == "two"


def test_a_long_waveform_is_reduced_without_losing_peaks():
    audio = np.zeros(1_000_000, np.float32)
    audio[[123_456, 765_432]] = 0.75, -0.5
    line = plot.waveform(audio, 10_000).lines[0]
    seconds, values = line.get_data()
    assert len(values) < 10_000
    assert (values.max(), values.min()) == (0.75, -0.5)
    assert seconds[values.argmax()] == pytest.approx(12.3456, abs=0.05)
    assert seconds[values.argmin()] == pytest.approx(76.5432, abs=0.05)


def test_a_long_spectrogram_is_reduced_without_losing_peaks_or_times():
    values = np.zeros((3, 100_001))
    values[:, 70_000] = 1.0
    ax = plot.spectrogram(values, 4000.0, step=0.01)
    left, right, *_ = ax.images[0].get_extent()
    columns = image_of(ax)[0]
    assert len(columns) <= 4096
    width = (right - left) / len(columns)
    assert left + (columns.argmax() + 0.5) * width == pytest.approx(700.0, abs=width)
    assert columns.max() == 1.0
    assert ax.get_xlim() == pytest.approx((0.0, 1000.005))


def test_long_rows_are_reduced_to_means():
    values = np.tile([[0.0, 2.0]], (1, 50_000))
    assert set(np.unique(image_of(plot.rows(values, step=0.01)))) <= {0.96, 1.0, 1.04}


@pytest.mark.parametrize("count", [1, 2])
def test_few_columns_are_not_reduced(count):
    ax = plot.bands(np.ones((4, count)), [100.0, 200.0, 400.0, 800.0], step=0.5)
    assert ax.get_xlim() == pytest.approx((0.0, 0.5 * count - 0.25))
    assert plot.lines({"level": np.ones(count)}, step=0.5).lines[0].get_xdata().tolist() == [0.0, 0.5][:count]


def test_plots_use_the_given_axes_and_not_pyplot(tmp_path):
    figure = plot.new_figure()
    ax, bar = figure.subplots(1, 2)
    assert plot.bands(np.ones((3, 6)), [1.0, 2.0, 3.0], step=1.0, label="dB", ax=ax, bar=bar) is ax
    assert bar.get_ylabel() == "dB"
    assert len(figure.axes) == 2
    figure.savefig(tmp_path / "bands.png")
    assert (tmp_path / "bands.png").read_bytes().startswith(b"\x89PNG")
    plot.waveform(np.zeros(10), 8000).figure.savefig(tmp_path / "waveform.png")
    assert "matplotlib.pyplot" not in sys.modules or not mpl.pyplot.get_fignums()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: plot.spectrogram(np.ones((2, 80, 5)), 1.0, step=1.0), ValueError, r"\(2, 80, 5\); plot one example"),
        (lambda: plot.spectrogram(np.ones(5), 1.0, step=1.0), ValueError, r"\(freq, time\)"),
        (lambda: plot.spectrogram(np.ones((5, 2), complex), 1.0, step=1.0), TypeError, "plot their magnitudes"),
        (lambda: plot.spectrogram(np.ones((5, 2)), 1.0, step=1.0, scale="mel"), ValueError, "'linear', 'log'"),
        (lambda: plot.spectrogram(np.ones((5, 2)), 1.0, step=0), ValueError, "step must be a finite number above 0"),
        (lambda: plot.waveform(np.ones((1, 2, 3)), 8000), ValueError, r"\(1, 2, 3\)"),
        (lambda: plot.waveform(np.zeros(0), 8000), ValueError, "not empty"),
        (lambda: plot.bands(np.ones((3, 5)), [1.0, 2.0], step=1.0), ValueError, "one frequency per band, shape"),
        (lambda: plot.bands(np.ones((3, 5)), [1.0, 3.0, 2.0], step=1.0), ValueError, "increasing"),
        (lambda: plot.rows(np.ones((3, 5)), step=1.0, names=["a"]), ValueError, "one name per row, 3, got 1"),
        (lambda: plot.lines({"level": np.ones((3, 5))}, step=1.0), ValueError, r"level must have shape \(time,\)"),
        (lambda: plot.decibels_below_maximum([1.0, -1.0]), ValueError, "must not be negative, got -1"),
        (lambda: plot.decibels_below_maximum([1j]), TypeError, "square the magnitudes"),
        (lambda: plot.decibels_below_maximum([1.0], db_range=0), ValueError, "db_range must be"),
    ],
)
def test_invalid_arguments_of_plots_raise(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"artifex-core\[plot\]"):
        plot.waveform(np.zeros(10), 8000)
