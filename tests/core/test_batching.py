"""Batches on several devices and in chunks have the results and derivatives of ``jax.vmap``."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from artifex.generative_models.core.numerics import batching
from artifex.generative_models.core.numerics.batching import batch_local, map_chunks, on_one_device, vmap_in_chunks


def wave(audio, gain):
    return jnp.sin(audio) * gain, audio.sum() ** 2


ROWS = jnp.asarray(np.random.default_rng(0).standard_normal((7, 5)), jnp.float32)
GAINS = jnp.arange(7.0)


@pytest.fixture(params=["loop", "vmap"])
def loop_or_vmap(request, monkeypatch):
    monkeypatch.setattr(batching, "on_one_device", lambda array: request.param != "vmap")


def test_chunks_equal_vmap(loop_or_vmap):
    ours = jax.jit(jax.vmap(vmap_in_chunks(wave)))(ROWS, GAINS)
    for one, other in zip(ours, jax.vmap(wave)(ROWS, GAINS), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    np.testing.assert_allclose(vmap_in_chunks(wave)(ROWS[0], GAINS[1])[0], wave(ROWS[0], GAINS[1])[0], rtol=1e-6)
    shared = jax.vmap(vmap_in_chunks(wave), (0, None))(ROWS, GAINS[2])
    np.testing.assert_allclose(shared[0], wave(ROWS, GAINS[2])[0], rtol=1e-6)
    several = jax.jit(jax.vmap(vmap_in_chunks(wave, chunk_size=3)))(ROWS, GAINS)
    np.testing.assert_allclose(several[0], ours[0], rtol=1e-6)
    nested = jax.vmap(jax.vmap(vmap_in_chunks(wave)))(ROWS.reshape(7, 5, 1), jnp.broadcast_to(GAINS[:, None], (7, 5)))
    np.testing.assert_allclose(nested[0], wave(ROWS[..., None], GAINS[:, None, None])[0], rtol=1e-6)


@pytest.mark.parametrize("transform", [jax.grad, jax.jacfwd, jax.hessian])
def test_derivatives_are_those_of_the_function(loop_or_vmap, transform):
    def total(function):
        return jax.jit(transform(lambda rows: sum(jnp.sum(part**2) for part in jax.vmap(function)(rows, GAINS))))

    np.testing.assert_allclose(total(vmap_in_chunks(wave))(ROWS), total(wave)(ROWS), rtol=1e-5, atol=1e-5)


def test_the_last_chunk_may_be_smaller():
    seen = []

    def doubled(rows):
        seen.append(rows.shape)
        return rows * 2

    np.testing.assert_array_equal(map_chunks(doubled, ROWS, 3), ROWS * 2)
    assert seen == [(3, 5), (1, 5)]


def test_sharded_examples_stay_on_their_devices():
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Explicit,))
    rows = jax.device_put(ROWS[:6], jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data")))
    gains = jax.device_put(GAINS[:6], jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data")))
    compiled = jax.jit(jax.vmap(vmap_in_chunks(wave))).lower(rows, gains).compile()
    assert "all-gather" not in compiled.as_text()
    ours = compiled(rows, gains)[0]
    np.testing.assert_allclose(ours, wave(ROWS, GAINS[:, None])[0][:6], rtol=1e-6)


def test_a_loop_with_a_constant_initial_value_runs_on_each_shard():
    def running(rows):
        assert on_one_device(rows)
        return jax.vmap(lambda row: jax.lax.scan(lambda total, value: (total + value,) * 2, 0.0, row)[1])(rows)

    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Explicit,))
    placed = jax.device_put(ROWS[:6], jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data")))
    ours = jax.jit(lambda rows: batch_local(running, rows, core=1))(placed)
    assert ours.sharding.spec[0] == "data"
    np.testing.assert_allclose(ours, np.cumsum(ROWS[:6], axis=1), rtol=1e-5, atol=1e-6)
