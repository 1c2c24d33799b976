"""A batch sharded over devices: equal results, and each device computes its own examples."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from artifex.generative_models.extensions.audio_processing.spectral import (
    SpectralConfig,
    istft,
    log_mel_spectrogram,
    mel_spectrogram,
    mel_to_audio,
    spectral_rolloff,
    stft,
    time_stretch,
)

CONFIG = SpectralConfig(sample_rate=8000, n_fft=64, n_mels=10)
AUDIO = np.random.default_rng(0).standard_normal((4, 200)).astype(np.float32)


def forward_and_backward(x):
    levels, back = jax.vjp(lambda x: log_mel_spectrogram(x, CONFIG), x)
    return levels, *back(jnp.ones_like(levels)), spectral_rolloff(x, CONFIG)


def round_trip(x):
    return istft(stft(x, CONFIG), CONFIG, length=200)


def stretch(x):
    return time_stretch(x, 1.2, CONFIG, length=150)


def invert(x):
    return mel_to_audio(mel_spectrogram(x, CONFIG), CONFIG, length=200, n_iter=2, key=jax.random.key(0))


@pytest.fixture(scope="module")
def mesh():
    assert jax.device_count() == 2
    return jax.make_mesh((2,), ("data",), axis_types=(AxisType.Explicit,))


@pytest.fixture(scope="module")
def placed(mesh):
    return jax.device_put(AUDIO, NamedSharding(mesh, P("data")))


@pytest.mark.thorough
@pytest.mark.parametrize("function", [forward_and_backward, round_trip, stretch, invert])
def test_sharded_batch_gives_equal_results_without_gathering(placed, function):
    compiled = jax.jit(function).lower(placed).compile()
    assert "all-gather" not in compiled.as_text()
    for ours, plain in zip(jax.tree.leaves(compiled(placed)), jax.tree.leaves(function(AUDIO)), strict=True):
        assert ours.sharding.spec[0] == "data"
        np.testing.assert_allclose(ours, plain, rtol=0, atol=1e-4 * np.abs(plain).max())


def test_levels_of_a_sharded_batch_are_equal_eagerly_vmapped_sharded_in_time_and_with_lengths(mesh, placed):
    plain = log_mel_spectrogram(AUDIO, CONFIG)
    assert log_mel_spectrogram(placed, CONFIG).sharding.spec[0] == "data"
    mapped = jax.jit(jax.vmap(lambda x: log_mel_spectrogram(x, CONFIG)))(placed)
    np.testing.assert_allclose(mapped, plain, rtol=0, atol=1e-3)
    along = jax.device_put(AUDIO, NamedSharding(mesh, P(None, "data")))
    np.testing.assert_allclose(log_mel_spectrogram(along, CONFIG), plain, rtol=0, atol=1e-3)
    lengths = np.array([200, 150, 100, 50])
    levels = log_mel_spectrogram(placed, CONFIG, lengths=lengths)
    unsharded = log_mel_spectrogram(AUDIO, CONFIG, lengths=lengths)
    np.testing.assert_allclose(levels, unsharded, rtol=0, atol=1e-3)
    assert CONFIG.n_frames(lengths).tolist() == [13, 10, 7, 4]
