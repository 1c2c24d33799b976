"""Tests of the plugin's components: their numbers, and that artifex finds them by name."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from artifex_plugin_ambulance.augmentations import megaphone
from artifex_plugin_ambulance.sounds import ambulance
from artifex_plugin_ambulance.windows import welch
from numpy.typing import NDArray

from artifex.generative_models.core import create, registry
from artifex.generative_models.modalities.audio.annotations import drawn_parameters, with_annotations

KEY = jax.random.key(7)
RATE = 8000


@pytest.mark.parametrize(
    ("kind", "name"), [("audio_type", "ambulance"), ("augmentation", "megaphone"), ("window", "welch")]
)
def test_component_is_found_by_name(kind: str, name: str) -> None:
    assert [claim.distribution for claim in registry(kind).claims(name)] == ["artifex-plugin-ambulance"]
    assert callable(create(kind, name))


def expected_frequency(key: jax.Array, n_time_steps: int, hold: float) -> NDArray[np.float64]:
    """Compute the frequency of each sample in Hz, in float64."""
    tone_key, _, start_key = jax.random.split(key, 3)
    low = jax.random.uniform(tone_key, minval=400.0, maxval=500.0)
    n_hold = round(hold * RATE)
    position = int(jax.random.randint(start_key, (), 0, 2 * n_hold)) + np.arange(n_time_steps)
    return np.where(position % (2 * n_hold) < n_hold, np.float64(low), np.float64(low * (4 / 3)))


def expected_ambulance(key: jax.Array, n_time_steps: int, hold: float) -> NDArray[np.float64]:
    """Accumulate the phase step by step in float64."""
    frequency = expected_frequency(key, n_time_steps, hold)
    start = float(jax.random.uniform(jax.random.split(key, 3)[1]))
    cycles = np.concatenate([[0.0], np.cumsum(frequency)[:-1]]) / RATE + start
    return 0.5 * np.sin(2 * np.pi * cycles)


@pytest.mark.parametrize(("seconds", "hold"), [(1, 0.1), (60, 0.6)])
def test_phase_is_exact_at_any_length(seconds: int, hold: float) -> None:
    sound = ambulance(KEY, n_time_steps=seconds * RATE, sample_rate=RATE, hold=hold)
    np.testing.assert_allclose(sound, expected_ambulance(KEY, seconds * RATE, hold), atol=2e-6)


def test_annotated_f0_is_that_of_the_sound() -> None:
    audio, annotations = with_annotations(ambulance)(KEY, n_time_steps=RATE, sample_rate=RATE)
    np.testing.assert_allclose(audio, ambulance(KEY, n_time_steps=RATE, sample_rate=RATE))
    np.testing.assert_allclose(annotations["f0"], expected_frequency(KEY, RATE, 0.6), rtol=1e-6)


def test_drawn_parameters_of_the_megaphone_are_those_it_uses() -> None:
    drive = drawn_parameters(create("augmentation", "megaphone", sample_rate=16000), KEY, (4000,))["drive"]
    assert float(drive) == float(jax.random.uniform(KEY, minval=6.0, maxval=24.0))


def test_ambulance_depends_on_the_key_and_not_on_jit_or_vmap() -> None:
    render = jax.jit(lambda key: ambulance(key, n_time_steps=400, sample_rate=RATE))
    keys = jax.random.split(KEY, 3)
    rows = jax.vmap(render)(keys)
    assert len({row.tobytes() for row in np.asarray(rows)}) == 3
    for key, row in zip(keys, rows, strict=True):
        # A compiler may round the last digit of the drawn frequency otherwise, which is 2e-5 radians after 400 samples.
        np.testing.assert_allclose(ambulance(key, n_time_steps=400, sample_rate=RATE), row, atol=2e-5)


@pytest.mark.parametrize(
    "wrong", [{"f_max": 3500.0}, {"f_min": 600.0}, {"f_min": -1.0}, {"hold": 0.0}, {"interval": 0.0}]
)
def test_ambulance_rejects_invalid_options(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ambulance(KEY, n_time_steps=400, sample_rate=RATE, **wrong)


@pytest.mark.parametrize(("frequency", "passes"), [(50.0, False), (1500.0, True), (7000.0, False)])
def test_megaphone_filters_outside_its_band(frequency: float, passes: bool) -> None:
    tone = 0.01 * np.sin(2 * np.pi * frequency / 16000 * np.arange(4000)).astype(np.float32)
    made = megaphone(tone, KEY, drive_range=(0.0, 0.0), sample_rate=16000)[200:-200]
    level = 20 * np.log10(np.abs(made).max() / 0.01)
    assert abs(level) < 0.5 if passes else level < -40


def test_megaphone_clips_softly_with_the_drawn_gain() -> None:
    tone = np.sin(2 * np.pi * 1500 / 16000 * np.arange(4000)).astype(np.float32)
    drawn = float(jax.random.uniform(KEY, minval=6.0, maxval=24.0))
    made = megaphone(tone, KEY, sample_rate=16000)[200:-200]
    np.testing.assert_allclose(jnp.abs(made).max(), np.tanh(10 ** (drawn / 20)), atol=5e-3)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("length", [1, 5, 300])
def test_megaphone_keeps_shape_and_dtype(dtype: type, length: int) -> None:
    made = megaphone(jnp.ones(length, dtype), KEY, sample_rate=16000)
    assert made.shape == (length,)
    assert made.dtype == dtype


def test_nan_in_one_example_does_not_affect_others() -> None:
    audio = jnp.stack([jnp.zeros(300), jnp.full(300, jnp.nan), jnp.ones(300)])
    made = jax.jit(jax.vmap(partial(megaphone, sample_rate=16000)))(audio, jax.random.split(KEY, 3))
    assert jnp.isnan(made).any(axis=1).tolist() == [False, True, False]
    assert bool(jnp.isfinite(jax.grad(lambda x: megaphone(x, KEY, sample_rate=16000).sum())(jnp.zeros(300))).all())


@pytest.mark.parametrize("wrong", [{"f_min": 0.0}, {"f_max": 8000.0}, {"f_min": 4000.0}, {"sample_rate": 0}])
def test_megaphone_rejects_invalid_options(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        megaphone(jnp.zeros(30), KEY, **{"sample_rate": 16000, **wrong})


@pytest.mark.parametrize("length", [1, 2, 5, 512])
def test_welch_window_is_a_parabola(length: int) -> None:
    whole = welch(length + 1, periodic=False)
    if length > 1:
        np.testing.assert_allclose(welch(length), whole[:-1])
        np.testing.assert_allclose(np.diff(whole, 2), whole[2] - 2 * whole[1] + whole[0], atol=1e-12)
    np.testing.assert_allclose(whole, whole[::-1])
    assert welch(length).shape == (length,)


def test_welch_window_rejects_length_zero() -> None:
    with pytest.raises(ValueError, match="length must be an integer of at least 1 sample, got 0"):
        welch(0)
