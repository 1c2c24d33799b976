"""Mixtures: their signal-to-noise ratio, their stems and the annotations of their components."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from artifex.generative_models.core import create
from artifex.generative_models.modalities.audio.annotations import with_annotations
from artifex.generative_models.modalities.audio.generators.mixtures import mixture

RATE = 8000


def quiet(key, *, n_time_steps, sample_rate):
    """Generate silence."""
    return jnp.zeros(n_time_steps)


def rendered(of, n=2000, keys=4, **options):
    make = with_annotations(create("audio_type", "mixture", of=of, **options))
    batch = jax.jit(jax.vmap(partial(make, n_time_steps=n, sample_rate=RATE)))
    return jax.tree.map(np.asarray, batch(jax.random.split(jax.random.key(1), keys)))


def measured(stems):
    stems = stems.astype(np.float64)
    return 10 * np.log10(np.mean(stems[:, 0] ** 2, axis=-1) / np.mean(stems[:, 1:].sum(axis=1) ** 2, axis=-1))


@pytest.mark.parametrize("of", [("sine", "noise"), ("noise", "am", ("sine", {"f_min": 300.0}))], ids=["2", "3"])
def test_the_ratio_is_the_drawn_one_and_the_stems_sum_to_the_audio(of):
    audio, annotations = rendered(of)
    np.testing.assert_allclose(measured(annotations["stems"]), annotations["snr_db"], atol=0.01)
    np.testing.assert_allclose(annotations["stems"].sum(axis=1), audio, atol=1e-6)
    assert annotations["stems"].shape == (4, len(of), 2000)
    assert np.abs(audio).max() <= 1 + 1e-6


def test_ratios_are_uniform_and_do_not_depend_on_the_audio_types():
    _, annotations = rendered(("am", "noise"), n=200, keys=300, snr_min=-5.0, snr_max=25.0)
    np.testing.assert_allclose(measured(annotations["stems"]), annotations["snr_db"], atol=0.01)
    assert scipy.stats.kstest((annotations["snr_db"] + 5) / 30, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(annotations["snr_db"], annotations["0.frequency"])[0, 1]) < 0.25


def test_a_stem_is_scaled_by_its_gain_and_keeps_its_annotations():
    _, annotations = rendered(("am", "tremolo"))
    component = annotations["stems"][:, 0] / annotations["gains"][:, :1]
    cycles = (
        annotations["0.frequency"][:, None].astype(np.float64) * np.arange(2000) / RATE
        + annotations["0.phase"][:, None]
    )
    np.testing.assert_allclose(component, annotations["0.envelope"] * np.sin(2 * np.pi * cycles), atol=1e-5)
    assert annotations["1.depth_db"].shape == (4,)


def test_a_nested_mixture_names_annotations_by_their_path():
    inner = ("mixture", {"of": ("am", "noise")})
    audio, annotations = rendered(("noise", inner))
    assert {"snr_db", "stems", "1.snr_db", "1.stems", "1.0.frequency"} <= set(annotations)
    np.testing.assert_allclose(annotations["1.stems"].sum(axis=1), annotations["stems"][:, 1], atol=1e-6)
    np.testing.assert_allclose(measured(annotations["1.stems"]), annotations["1.snr_db"], atol=0.01)
    np.testing.assert_allclose(annotations["stems"].sum(axis=1), audio, atol=1e-6)


@pytest.mark.parametrize(
    ("of", "snr_db"), [((quiet, "am"), -np.inf), (("am", quiet), np.inf), ((quiet, quiet), np.nan)]
)
def test_the_ratio_of_silence_is_infinite_or_nan(of, snr_db):
    audio, annotations = rendered(of, n=100)
    np.testing.assert_array_equal(annotations["snr_db"], np.full(4, snr_db))
    np.testing.assert_array_equal(annotations["gains"], 1)
    np.testing.assert_array_equal(annotations["stems"].sum(axis=1), audio)

    def energy(snr_max):
        make = create("audio_type", "mixture", of=of, snr_max=snr_max)
        return jnp.sum(make(jax.random.key(0), n_time_steps=100, sample_rate=RATE) ** 2)

    assert float(jax.jit(jax.grad(energy))(20.0)) == 0


def test_the_gradient_of_the_ratio_is_finite_and_correct():
    @jax.jit
    @jax.value_and_grad
    def energy(snr_max):
        make = create("audio_type", "mixture", of=("am", "noise"), snr_max=snr_max)
        return jnp.sum(make(jax.random.key(0), n_time_steps=100, sample_rate=RATE) ** 2)

    slope = energy(20.0)[1]
    np.testing.assert_allclose(slope, (energy(20.05)[0] - energy(19.95)[0]) / 0.1, rtol=0.03)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"of": "sine"}, TypeError, "tuple of audio types"),
        ({"of": ("sine",)}, ValueError, "at least two"),
        ({"of": ("sine", "nose")}, LookupError, "noise"),
        ({"of": ("sine", ("noise", {"level": 1}))}, TypeError, "amplitude"),
        ({"snr_min": 30.0}, ValueError, "snr_min must be at most snr_max, got snr_min = 30.0 dB, snr_max = 20.0 dB"),
    ],
)
def test_invalid_mixtures_raise(options, error, message):
    with pytest.raises(error, match=message):
        create("audio_type", "mixture", **options)(jax.random.key(0), n_time_steps=8, sample_rate=RATE)


def test_equal_mixtures_compile_once():
    first, second = (create("audio_type", "mixture", of=("sine", ("noise", {"amplitude": 0.1}))) for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)


def test_the_ratio_is_accurate_at_very_low_levels():
    quiet = ("sine", {"amplitude": 1e-20})
    audio, annotations = with_annotations(mixture)(
        jax.random.key(0), n_time_steps=800, sample_rate=16000, of=(quiet, "noise"), snr_min=10.0, snr_max=10.0
    )
    stems = np.asarray(annotations["stems"], np.float64)
    assert np.isfinite(audio).all()
    assert 10 * np.log10(np.mean(stems[0] ** 2) / np.mean(stems[1] ** 2)) == pytest.approx(10, abs=0.01)


def test_a_ratio_out_of_range_raises():
    with pytest.raises(ValueError, match="snr_min must be .* from -200"):
        mixture(jax.random.key(0), n_time_steps=8, sample_rate=16000, snr_min=-2000.0, snr_max=0.0)
