"""Windows against scipy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from artifex.generative_models.core import create, registry
from artifex.generative_models.extensions.audio_processing.spectral.windows import window_table


@pytest.mark.parametrize("name", ["hann", "hamming", "blackman"])
@pytest.mark.parametrize("length", [1, 2, 3, 16, 255, 1024])
@pytest.mark.parametrize("periodic", [True, False])
def test_window_equals_scipys(name, length, periodic):
    window = registry("window")[name](length, periodic=periodic)
    assert window.dtype == np.float64
    np.testing.assert_allclose(window, scipy.signal.get_window(name, length, fftbins=periodic), atol=1e-15)


@pytest.mark.parametrize("name", ["hann", "hamming", "blackman"])
def test_created_window_is_a_function_of_length(name):
    np.testing.assert_array_equal(create("window", name)(64), registry("window")[name](64))


@pytest.mark.parametrize("length", [0, -3])
def test_window_of_no_length_is_an_error(length):
    with pytest.raises(ValueError, match="length must be an integer of at least 1 samples"):
        registry("window")["hann"](length)


def test_window_table_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        window_table("hann", 32)[0] = 1


def test_window_written_with_jax_gives_numbers_inside_a_trace():
    def flat(length, *, periodic=True):
        return jnp.ones(length)

    assert float(jax.jit(lambda x: x + window_table(flat, 8).sum())(1.0)) == 9.0
