"""Plots of spectral features: axes in seconds and Hz, levels in dB."""

import itertools
import warnings

import librosa
import numpy as np
import pytest

from artifex.generative_models.core import create
from artifex.generative_models.extensions.audio_processing.spectral import (
    SpectralAnalysis,
    SpectralConfig,
    log_mel_spectrogram,
    magnitude_spectrogram,
    mel_spectrogram,
    plot,
    power_spectrogram,
    stft,
)
from artifex.generative_models.extensions.audio_processing.spectral.filterbanks import band_frequencies
from artifex.generative_models.extensions.audio_processing.spectral.summary import clip_features

CLICK = 1234 / 8000  # time of the click in the shared signals, in seconds


def values_of(ax) -> np.ndarray:
    return np.asarray(ax.images[0].get_array())


def cell(ax) -> tuple[float, float, float, float]:
    """Return left edge and width of a column, bottom and height of a row."""
    left, right, bottom, top = ax.images[0].get_extent()
    rows, columns = values_of(ax).shape
    return left, (right - left) / columns, bottom, (top - bottom) / rows


def ticks(ax) -> dict[int, float]:
    return {int(text.get_text()): place for text, place in zip(ax.get_yticklabels(), ax.get_yticks(), strict=True)}


@pytest.mark.parametrize("scale", ["slaney", "htk"])
def test_bands_are_plotted_at_the_frequencies_of_librosa(config, scale):
    theirs = librosa.mel_frequencies(42, fmin=20.0, fmax=4000.0, htk=scale == "htk")[1:-1]
    ours = config.evolve(mel_scale=scale, f_min=20.0)
    np.testing.assert_allclose(band_frequencies(ours), theirs)
    method = SpectralAnalysis.from_preset("librosa").band_frequencies()
    np.testing.assert_allclose(method, librosa.mel_frequencies(130, fmax=11025.0)[1:-1])


@pytest.mark.parametrize(("scale", "htk"), [("slaney", False), ("htk", True)])
def test_a_tone_is_plotted_at_its_tick_of_the_mel_axis(scale, htk):
    config = SpectralConfig(sample_rate=16000, n_fft=2048, n_mels=80, mel_scale=scale)
    filters = librosa.filters.mel(sr=16000, n_fft=16384, n_mels=80, htk=htk)
    shown = ticks(plot.mel(np.ones((80, 4)), config))
    assert {1000, 2000, 4000} <= set(shown)
    for hertz, place in shown.items():
        if hertz >= 1000:  # lower bands are narrower than the ticks are thick
            loudest = int(filters[:, round(hertz * 16384 / 16000)].argmax())
            assert abs(place - (loudest + 0.5)) <= 0.5


def test_a_tone_is_plotted_at_its_frequency(signals, config):
    ax = plot.spectrogram(stft(signals["tone"], config), config, title="tone")
    _, _, bottom, height = cell(ax)
    row = values_of(ax)[:, 10].argmax()
    assert bottom + row * height <= 440 <= bottom + (row + 1) * height
    assert ax.get_ylim() == (0, 4000)
    assert ax.get_title() == "tone"


@pytest.mark.parametrize("preset", [{}, {"center": False}, {"center": False, "pad_length": 192}, "kaldi", "hifigan"])
def test_a_click_is_plotted_at_its_time(signals, config, preset):
    if isinstance(preset, str):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*mel filters are empty")
            config = create("preset", preset, sample_rate=8000, n_fft=512, hop_length=128, f_max=None)
    else:
        config = config.evolve(**preset)
    ax = plot.spectrogram(power_spectrogram(signals["click"], config), config, kind="power")
    left, width, *_ = cell(ax)
    power = 10 ** (values_of(ax)[40] / 10)
    seconds = left + (np.arange(len(power)) + 0.5) * width
    assert np.sum(power * seconds) / np.sum(power) == pytest.approx(CLICK, abs=width / 4)


@pytest.mark.parametrize("kind", [None, "power", "magnitude"])
def test_complex_values_magnitudes_and_powers_give_equal_plots(signals, config, kind):
    made = {None: stft, "power": power_spectrogram, "magnitude": magnitude_spectrogram}[kind]
    ax = plot.spectrogram(made(signals["noise"], config), config, kind=kind)
    expected = librosa.amplitude_to_db(
        np.abs(librosa.stft(signals["noise"], n_fft=512, hop_length=128)), ref=np.max, amin=1e-10
    )
    np.testing.assert_allclose(values_of(ax), expected, atol=1e-3)
    assert ax.images[0].get_clim() == (-80.0, 0.0)


def test_mel_powers_are_plotted_relative_to_their_maximum_and_levels_unchanged(signals, config):
    powers, levels = mel_spectrogram(signals["noise"], config), log_mel_spectrogram(signals["noise"], config)
    below, as_they_are = plot.mel(powers, config), plot.mel(levels, config, kind="level")
    np.testing.assert_allclose(values_of(below), np.asarray(levels) - np.max(levels), atol=1e-3)
    np.testing.assert_array_equal(values_of(as_they_are), levels)
    assert as_they_are.images[0].get_clim()[1] == np.max(levels)


@pytest.mark.parametrize(
    ("changes", "label", "reach"),
    [
        ({}, "level (dB)", 80.0),
        ({"log": "ln"}, "level (natural log)", 8 * np.log(10)),
        ({"log": "log10"}, "level (log10)", 8.0),
        ({"log": "log10", "power": 1}, "level (log10)", 4.0),
        ({"log": "log10", "level_scale": 0.25, "level_offset": 4.0}, "level (log10, rescaled)", 2.0),
        ({"level_scale": -1.0}, "level (dB, rescaled)", 80.0),
    ],
)
def test_colors_span_the_range_in_db(config, changes, label, reach):
    values = np.linspace(-1000.0, 1000.0, 40)[:, None] * np.ones(3)
    ax = plot.mel(values, config.evolve(**changes), kind="level")
    low, high = ax.images[0].get_clim()
    assert high - low == pytest.approx(reach)
    loudest = low if changes.get("level_scale") == -1.0 else high
    assert abs(loudest) == 1000
    assert next(other for other in ax.figure.axes if other is not ax).get_ylabel() == label


@pytest.mark.parametrize("scale", ["log", "mel"])
def test_frequency_axis_can_be_logarithmic_or_mel(signals, config, scale):
    ax = plot.spectrogram(stft(signals["tone"], config), config, scale=scale)
    edges = ax.collections[0].get_coordinates()[:, 0, 1]
    loudest = int(np.asarray(ax.collections[0].get_array()).reshape(257, -1)[:, 10].argmax())
    assert edges[loudest] <= 440 <= edges[loudest + 1]
    assert all(hz == place for hz, place in ticks(ax).items())


def titles_of(figure) -> list[str]:
    return [ax.get_title() for ax in figure.axes if ax.get_title()]


def test_summary_has_all_panels_with_a_common_time_axis(signals, config):
    figure = plot.features(signals["tone"], config, title="a tone")
    panels = [ax for ax in figure.axes if ax.get_title()]
    assert titles_of(figure) == [
        "Waveform",
        "Spectrogram, n_fft 512, hop 128",
        "Levels of 40 mel bands",
        "MFCC 1 to 12",
        "Chroma",
        "Onset strength",
    ]
    assert figure.get_suptitle() == "a tone"
    figure.draw_without_rendering()
    assert {ax.get_xlim() for ax in panels} == {(0.0, 0.5)}
    assert len({(round(ax.get_position().x0, 6), round(ax.get_position().x1, 6)) for ax in panels}) == 1
    boxes = [ax.get_tightbbox() for ax in panels]
    assert all(upper.y0 >= lower.y1 - 1 for upper, lower in itertools.pairwise(boxes))
    centroid, rolloff = panels[1].lines
    np.testing.assert_allclose(centroid.get_ydata()[8:24], 440, rtol=0.02)
    np.testing.assert_allclose(centroid.get_xdata()[:3], [0.0, 0.016, 0.032])
    assert rolloff.get_label() == "85 % rolloff"
    assert values_of(panels[4])[:, 12].argmax() == 9  # an A


def test_summary_of_stereo_is_that_of_the_mean(signals, config):
    both = np.stack([signals["noise"], signals["tone"]])
    stereo, mean = (plot.features(audio, config) for audio in (both, both.mean(axis=0)))
    np.testing.assert_array_equal(values_of(stereo.axes[1]), values_of(mean.axes[1]))
    assert len(stereo.axes[0].lines) == len(mean.axes[0].lines) + 1


@pytest.mark.parametrize("length", [1, 4000])
def test_silence_and_the_shortest_clips_are_plotted(config, tmp_path, length):
    figure = plot.features(np.zeros(length, np.float32), config)
    figure.savefig(tmp_path / "silence.png")
    spectrum, mel = (next(ax for ax in figure.axes if ax.get_title().startswith(t)) for t in ("Spectrogram", "Levels"))
    for ax in (spectrum, mel):
        assert ax.images[0].get_clim()[0] == values_of(ax).min() == values_of(ax).max()


def test_nan_is_plotted_as_a_gap(signals, config, tmp_path):
    audio = signals["noise"].copy()
    audio[2000] = np.nan
    figure = plot.features(audio, config)
    figure.savefig(tmp_path / "gap.png")
    powers = values_of(figure.axes[1])
    assert np.isfinite(powers).any()
    assert np.ma.getmaskarray(figure.axes[1].images[0].get_array()).any() or np.isnan(powers).any()


def test_bins_of_long_clips_are_pooled(monkeypatch, signals, config):
    from artifex.generative_models.extensions.audio_processing.spectral import summary

    whole = clip_features(signals["noise"], config)
    monkeypatch.setattr(summary, "MAX_VALUES", 257 * 32 // 3 + 1)
    monkeypatch.setattr(summary, "MIN_ROWS", 64)
    pooled = clip_features(signals["noise"], config)
    assert len(pooled["power"]) == 86
    np.testing.assert_allclose(pooled["power_frequencies"], np.arange(86) * 3 * 8000 / 512)
    for row in (0, 1, 40, 85):
        bins = [k for k in range(3 * row - 1, 3 * row + 2) if 0 <= k < 257]
        np.testing.assert_allclose(pooled["power"][row], whole["power"][bins].max(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(pooled["mfcc"], whole["mfcc"])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda c: plot.spectrogram(np.ones((257, 3)), c), ValueError, "kind must be"),
        (lambda c: plot.spectrogram(np.ones((257, 3), complex), c, kind="power"), ValueError, "leave out kind='power'"),
        (lambda c: plot.spectrogram(np.ones((129, 3)), c, kind="power"), ValueError, r"n_fft // 2 \+ 1 = 257"),
        (lambda c: plot.spectrogram(np.ones((2, 257, 3)), c, kind="power"), ValueError, "one clip at a time"),
        (lambda c: plot.spectrogram(np.ones((257, 3)), c, kind="db"), ValueError, "kind must be one of"),
        (lambda c: plot.spectrogram(np.ones((257, 3)), c, kind="level", scale="bark"), ValueError, "scale must be"),
        (
            lambda c: plot.mel(np.ones((80, 3)), c),
            ValueError,
            r"n_mels = 40, n_frames\) for this configuration, got shape \(80, 3\)",
        ),
        (lambda c: plot.mel(-np.ones((40, 3)), c), ValueError, 'pass kind="level"'),
        (lambda c: plot.mel(np.ones((40, 3), complex), c), TypeError, "complex"),
        (lambda c: plot.features(np.ones((1, 2, 800), np.float32), c), ValueError, r"\(1, 2, 800\)"),
        (lambda c: plot.features(np.ones(800, np.int16), c), TypeError, "floating point"),
        (lambda c: plot.features(np.ones(100, np.float32), c.evolve(center=False)), ValueError, "at least 512 samples"),
    ],
)
def test_invalid_plot_input_raises(config, call, error, message):
    with pytest.raises(error, match=message):
        call(config)
