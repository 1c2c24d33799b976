import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from artifex.generative_models.modalities.audio.augmentations import cutmix, mixup
from artifex.generative_models.modalities.audio.augmentations.mixing import symmetric_beta

DRAWS = np.random.default_rng(0)
BATCH = DRAWS.standard_normal((6, 2, 50)).astype(np.float32)
LABELS = np.eye(6, 4, dtype=np.float32)
PARTNERS = np.roll(np.arange(6), 1)  # of row i: i - 1


@pytest.mark.parametrize("alpha", [0.2, 0.5, 1.0, 4.0])
def test_weights_have_the_beta_distribution(alpha):
    shares = np.asarray(jax.jit(symmetric_beta, static_argnums=2)(jax.random.key(1), alpha, (4000,)), np.float64)
    assert shares.min() >= 0
    assert shares.max() <= 1
    low = shares[shares < 0.5]
    # Below a half float32 has every digit; above, what is left to 1 is rounded, so its mirror image stands for it.
    assert stats.kstest(low, lambda x: 2 * stats.beta.cdf(x, alpha, alpha)).pvalue > 1e-3
    assert stats.binomtest(low.size, 4000).pvalue > 1e-3
    np.testing.assert_allclose(shares.var(), stats.beta.var(alpha, alpha), rtol=0.1)


def test_mixup_mixes_examples_and_targets_with_the_same_weights():
    mixed, labels, share = mixup(BATCH, jax.random.key(0), LABELS, alpha=1.0)
    own = np.asarray(share, np.float64)
    assert share.shape == (6,)
    assert np.ptp(own) > 0.2
    expected = own[:, None, None] * BATCH + (1 - own[:, None, None]) * BATCH[PARTNERS]
    np.testing.assert_allclose(mixed, expected, atol=1e-6)
    np.testing.assert_allclose(labels, own[:, None] * LABELS + (1 - own[:, None]) * LABELS[PARTNERS], atol=1e-6)


def test_cutmix_replaces_one_span_and_mixes_targets_by_the_fraction_kept():
    cut, labels, share = cutmix(BATCH, jax.random.key(0), LABELS)
    kept = np.asarray(cut) == BATCH
    np.testing.assert_array_equal(kept[:, 0], kept[:, 1])
    np.testing.assert_allclose(share, kept[:, 0].mean(-1), atol=1e-7)
    np.testing.assert_array_equal(cut, np.where(kept, BATCH, BATCH[PARTNERS]))
    assert (np.abs(np.diff(kept[:, 0].astype(int))).sum(-1) <= 2).all()
    own = np.asarray(share)[:, None]
    np.testing.assert_allclose(labels, own * LABELS + (1 - own) * LABELS[PARTNERS], atol=1e-6)


def test_spans_start_anywhere_and_have_the_length_of_their_fraction():
    time, rows = 200, 2000
    batch = jnp.tile(jnp.array([[0.0], [1.0]]), (rows // 2, time))
    cut, share = cutmix(batch, jax.random.key(2))
    is_cut = np.asarray(cut) != np.asarray(batch)
    width = is_cut.sum(-1)
    # A width of w is drawn from a share within half a sample of it.
    assert stats.kstest((width + DRAWS.random(rows) - 0.5) / time, "uniform").pvalue > 1e-3
    free = (width > 0) & (width < time)
    places = (time - width + 1)[free]
    start = is_cut.argmax(-1)[free]
    assert (start < places).all()
    assert stats.kstest((start + DRAWS.random(free.sum())) / places, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(width[free], start / places)[0, 1]) < 4 / np.sqrt(rows)
    np.testing.assert_allclose(share, 1 - width / time, atol=1e-6)


def test_half_precision_is_kept_and_nan_reaches_only_the_next_example():
    spoiled = jnp.asarray(BATCH, jnp.bfloat16).at[2].set(jnp.nan)
    mixed, labels, share = mixup(spoiled, jax.random.key(0), jnp.asarray(LABELS, jnp.float16))
    assert (mixed.dtype, labels.dtype, share.dtype) == (jnp.bfloat16, jnp.float16, jnp.float32)
    assert np.isnan(np.asarray(mixed, np.float32)).any((1, 2)).tolist() == [False, False, True, True, False, False]


def test_gradients_reach_both_mixed_examples():
    def energy(batch):
        return sum(jnp.sum(each[0]) for each in (mixup(batch, jax.random.key(0)), cutmix(batch, jax.random.key(0))))

    # Every sample is passed on in shares that add up over the batch.
    own = np.asarray(mixup(BATCH, jax.random.key(0))[1])
    kept = np.asarray(cutmix(BATCH, jax.random.key(0))[0]) == BATCH
    expected = (own + 1 - np.roll(own, -1))[:, None, None] + kept + ~np.roll(kept, -1, axis=0)
    np.testing.assert_allclose(jax.grad(energy)(jnp.asarray(BATCH)), expected, atol=1e-6)


@pytest.mark.thorough
@pytest.mark.parametrize("axis", list(jax.sharding.AxisType)[:2])
def test_a_sharded_batch_keeps_its_sharding(axis):
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(axis,), devices=jax.devices()[:2])
    place = jax.NamedSharding(mesh, jax.P("batch"))
    sharded = [jax.device_put(array, place) for array in (BATCH[:, 0], LABELS)]
    key = jax.random.key(0)
    for function in (mixup, cutmix):
        compiled = jax.jit(lambda batch, labels, function=function: function(batch, key, labels))
        with jax.set_mesh(mesh):
            program = compiled.lower(*sharded).compile()
            assert "all-gather" not in program.as_text()
            for ours, plain in zip(program(*sharded), compiled(BATCH[:, 0], LABELS), strict=True):
                assert ours.sharding.spec[0] == "batch"
                np.testing.assert_allclose(ours, plain, atol=1e-6)


@pytest.mark.parametrize("function", [mixup, cutmix])
@pytest.mark.parametrize(
    ("arguments", "options", "error", "told"),
    [
        ((BATCH, jax.random.key, np.arange(6)), {}, TypeError, "one_hot"),
        ((BATCH, jax.random.key, LABELS[:5]), {}, ValueError, "one batch size"),
        ((np.zeros((0, 5), np.float32), jax.random.key), {}, ValueError, "at least 1"),
        ((BATCH, jax.random.key), {"alpha": 0}, ValueError, "above 0"),
        ((BATCH, lambda seed: seed), {}, TypeError, "one random key"),
    ],
)
def test_invalid_batches_and_targets_raise(function, arguments, options, error, told):
    batch, key, *targets = arguments
    with pytest.raises(error, match=told):
        function(batch, key(0), *targets, **options)


def test_cutmix_requires_a_time_axis():
    with pytest.raises(ValueError, match="takes a batch"):
        cutmix(np.ones(3, np.float32), jax.random.key(0))


@pytest.mark.parametrize("mix", [mixup, cutmix])
@pytest.mark.parametrize("alpha", [0.2, 4.0])
def test_the_variance_of_the_weights_follows_alpha(mix, alpha):
    share = mix(np.zeros((2000, 300), np.float32), jax.random.key(0), alpha=alpha)[-1]
    assert np.var(share) == pytest.approx(stats.beta.var(alpha, alpha), rel=0.15)
