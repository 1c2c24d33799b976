"""Preprocessing of waveforms, by family; the package ``audio`` exports the functions."""
