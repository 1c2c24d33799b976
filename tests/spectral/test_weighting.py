"""Frequency weightings against librosa and the table of the standard."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest

from artifex.generative_models.extensions.audio_processing.spectral import power_spectrogram
from artifex.generative_models.extensions.audio_processing.spectral.weighting import (
    frequency_weighting,
    perceptual_weighting,
)

every_kind = pytest.mark.parametrize("kind", list("ABCDZ"))


@every_kind
@pytest.mark.parametrize("min_db", [-80.0, -20.0, None])
def test_weights_equal_librosa(kind, min_db, quietly):
    frequency = np.geomspace(1, 48000, 200)
    expected = librosa.frequency_weighting(frequency, kind=kind, min_db=min_db)
    np.testing.assert_allclose(frequency_weighting(frequency, kind, min_db=min_db), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("decade", "a", "c"), [(1.5, -39.4, -3.0), (3.0, 0.0, 0.0), (3.9, -1.1, -3.0)])
def test_weights_equal_the_table_of_the_standard(decade, a, c):
    # IEC 61672-1, table 3, which has one decimal: "31.5 Hz", "1 kHz" and "8 kHz" are powers of ten.
    np.testing.assert_allclose(frequency_weighting(10**decade, "A"), a, atol=0.051)
    np.testing.assert_allclose(frequency_weighting(10**decade, "C"), c, atol=0.051)


@pytest.mark.parametrize("kind", list("ABCD"))
def test_weight_of_0_hz_is_minus_infinity(kind):
    assert frequency_weighting(0.0, kind) == -80
    assert frequency_weighting(0.0, kind, min_db=None) == -np.inf


@every_kind
@pytest.mark.parametrize("row", range(4), ids=["noise", "tone", "click", "silence"])
def test_weighted_levels_equal_librosa(batch, row, kind, config):
    power = power_spectrogram(batch, config)
    frequency = librosa.fft_frequencies(sr=8000, n_fft=512)
    with np.errstate(divide="ignore"):
        expected = librosa.perceptual_weighting(np.asarray(power[row]), frequency, kind=kind)
    for found in (
        perceptual_weighting(power[row], config, kind=kind),
        perceptual_weighting(power, config, kind=kind)[row],
    ):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


def test_gradient_is_finite_on_silence_and_half_precision_is_returned(config):
    silence = jnp.zeros((257, 3))
    assert np.isfinite(jax.grad(lambda x: jnp.sum(perceptual_weighting(x, config)))(silence)).all()
    half = jnp.linspace(0, 1, 771).reshape(257, 3).astype(jnp.bfloat16)
    found = perceptual_weighting(half, config)
    wide = perceptual_weighting(half.astype(jnp.float32), config)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(found.astype(np.float32), wide.astype(jnp.bfloat16).astype(np.float32))


def test_invalid_input_raises(config):
    with pytest.raises(ValueError, match="kind must be one of 'A', 'B', 'C', 'D', 'Z', got 'E'"):
        frequency_weighting(100.0, "E")
    with pytest.raises(TypeError, match="frequency must be real numbers, got None"):
        frequency_weighting(None)
    with pytest.raises(ValueError, match="power must be .* got shape"):
        perceptual_weighting(np.ones((40, 3), np.float32), config)
    with pytest.raises(TypeError, match="real floating point"):
        perceptual_weighting(np.ones((257, 3), np.int32), config)
