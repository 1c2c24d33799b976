"""Properties of every feature: chunks of clips, two ways to cut frames, docstrings and signatures."""

from __future__ import annotations

import inspect
import typing
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from artifex.generative_models.core import numerics
from artifex.generative_models.core.numerics.framing import frames_by_blocks, frames_by_slices
from artifex.generative_models.extensions.audio_processing import spectral
from artifex.generative_models.extensions.audio_processing.spectral import (
    SpectralConfig,
    log_mel_spectrogram,
    mel,
    power_spectrogram,
    stft,
)

FEATURES = {
    name: function
    for name in spectral.__all__
    if name != "analyze" and "lengths" in inspect.signature(function := getattr(spectral, name)).parameters
}


@pytest.fixture(scope="module")
def small():
    return SpectralConfig(sample_rate=8000, n_fft=64, hop_length=16, n_mels=10)


@pytest.mark.parametrize(
    ("shape", "lengths"),
    [
        ((170, 400), None),  # more frames than a chunk: chunks of examples and a remainder
        ((2, 85, 400), None),
        ((2, 40000), None),  # long clips, in segments
        ((70000,), None),
        ((2, 40000), (40000, 9000)),
        ((170, 400), tuple(range(6, 176))),
    ],
    ids=str,
)
def test_chunked_frames_equal_frames_computed_together(small, shape, lengths):
    audio = np.asarray(numerics.normal(jax.random.key(0), shape))
    expected = []
    for row, length in zip(audio.reshape(-1, shape[-1]), lengths or [shape[-1]] * audio.size, strict=False):
        spectra = []
        for start in range(0, len(row) + 1, 8000):  # 500 hops, whose frames are fewer than a chunk
            piece = np.pad(np.where(np.arange(len(row)) < length, row, 0), (32, 8064))[start : start + 8064]
            spectra.append(np.asarray(stft(piece, small.evolve(center=False)))[:, :500])
        whole = np.concatenate(spectra, axis=1)[:, : small.n_frames(shape[-1])]
        whole[:, small.n_frames(length) :] = 0
        expected.append(whole)
    expected = np.stack(expected).reshape(*shape[:-1], 33, -1)
    found = stft(audio, small, lengths=None if lengths is None else np.array(lengths))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_gradient_of_chunks_equals_the_gradient_of_each_example(small):
    audio = np.asarray(numerics.normal(jax.random.key(0), (170, 400)))

    def energy(audio):
        return jnp.sum(jnp.sin(power_spectrogram(audio, small)))

    expected = np.stack([jax.grad(energy)(row) for row in audio[:3]])
    found = jax.jit(jax.grad(energy))(audio)[:3]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    long = audio.reshape(-1)[:67990]
    head = jax.grad(lambda x: jnp.sum(jnp.sin(power_spectrogram(x, small)[:, :100])))
    np.testing.assert_allclose(head(long)[:800], head(long[:3000])[:800], rtol=0, atol=1e-3)


@pytest.mark.parametrize(("hop", "size"), [(16, 64), (10, 64), (64, 64), (7, 33)])
def test_both_ways_to_cut_frames_equal_a_sliding_window(hop, size):
    audio = np.asarray(numerics.normal(jax.random.key(0), (2, hop * 30)))
    n_frames = 1 + (audio.shape[-1] - -(-size // hop) * hop) // hop
    expected = np.lib.stride_tricks.sliding_window_view(audio, size, axis=-1)[:, ::hop][:, :n_frames]
    for cut in (frames_by_slices, frames_by_blocks):
        compiled = jax.jit(partial(cut, hop_length=hop, frame_length=size, n_frames=n_frames))
        np.testing.assert_array_equal(compiled(audio), expected)


@pytest.mark.parametrize("shape", ["hz", "scale", "symmetric", "gammatone"])
def test_filter_blocks_equal_the_whole_filter_bank(shape):
    config = SpectralConfig(sample_rate=8000, n_fft=512, n_mels=40, filter_shape=shape, mel_scale="htk")
    power = np.asarray(numerics.uniform(jax.random.key(0), (3, 7, 257)))
    expected = spectral.filter_bank(
        sample_rate=8000, n_fft=512, n_mels=40, filter_shape=shape, mel_scale="htk"
    ) @ power.astype(np.float64).swapaxes(-1, -2)
    for multiply in (mel.apply_filter_blocks, mel.apply_filter_bank):
        np.testing.assert_allclose(multiply(config, power), expected, rtol=0, atol=1e-6 * expected.max())


@pytest.mark.parametrize("n_samples", [400, 40000])
def test_measure_without_frames_on_the_last_axis_raises(small, n_samples):
    def magnitude(frames, config):
        return frames.magnitude

    with pytest.raises(ValueError, match=r"last axis is the frames \(here \d+\), got shape \(\d+, 33\)"):
        spectral.analyze(np.zeros(n_samples, np.float32), small, measure=magnitude)


@pytest.mark.parametrize("function", FEATURES.values(), ids=FEATURES)
def test_feature_has_the_common_signature_and_a_complete_docstring(function):
    parameters = inspect.signature(function).parameters
    assert list(parameters)[:2] == ["audio", "config"]
    assert list(parameters)[-1] == "lengths"
    assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in list(parameters)[2:])
    assert typing.get_type_hints(function)["return"] is jax.Array
    document = inspect.getdoc(function)
    for part in ("Args:", "Returns:", "Raises:", "Example:", "Reference:", *(f"{name}: " for name in parameters)):
        assert part in document


def test_a_graph_of_several_transforms_does_not_hang(small):
    """Independent transforms in one graph, run many times."""
    audio = np.asarray(numerics.normal(jax.random.key(0), (4, 6, 4000)))

    @jax.jit
    def several(audio):
        return [log_mel_spectrogram(clip, small.evolve(hop_length=8 + i)) for i, clip in enumerate(audio)]

    first = several(audio)
    for _ in range(100):
        again = several(audio)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
