"""Plots of plain arrays with matplotlib: waveforms, spectrograms and features over time. Imports no jax."""

from artifex.generative_models.core.plot.curves import lines, waveform
from artifex.generative_models.core.plot.figures import new_figure
from artifex.generative_models.core.plot.images import SCALES, Scale, bands, decibels_below_maximum, rows, spectrogram

__all__ = [
    "SCALES",
    "Scale",
    "bands",
    "decibels_below_maximum",
    "lines",
    "new_figure",
    "rows",
    "spectrogram",
    "waveform",
]
