"""Shifts with a fade, silenced, dropped and removed spans, and time reversal."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from artifex.generative_models.modalities.audio import (
    drop_chunks,
    reverse,
    silence_span,
    splice_out,
    time_shift,
    with_annotations,
)

N = 2000
KEYS = jax.random.split(jax.random.key(5), N)
CLIP = 1 + np.random.default_rng(0).random(400).astype(np.float32)


def many(augmentation, **options):
    """Return outputs and drawn parameters for N keys."""
    told = jax.jit(jax.vmap(lambda key: with_annotations(augmentation)(jnp.asarray(CLIP), key, **options)))
    changed, drawn = told(KEYS)
    return np.asarray(changed), {name: np.asarray(value) for name, value in drawn.items()}


def relative_position(start, room):
    """Return starts relative to their range, with random fractions, so that uniform starts are uniform on [0, 1)."""
    return (start + np.random.default_rng(1).random(start.shape)) / (room + 1)


@pytest.mark.parametrize("mode", ["wrap", "fill"])
def test_a_shift_fades_only_at_its_seam(mode):
    changed, drawn = many(time_shift, max_shift=100, mode=mode, fade=20)
    rise = np.minimum(np.arange(1, 401) / 21, 1)
    for row, shift in zip(changed[:50], drawn["shift"], strict=False):
        if mode == "wrap":
            expected = np.roll(CLIP * rise * rise[::-1] if shift else CLIP, shift)
        else:
            faded = CLIP * (rise if shift > 0 else rise[::-1] if shift < 0 else 1)
            expected = np.roll(np.pad(faded, 400), shift)[400:800]
        np.testing.assert_allclose(row, expected, rtol=1e-6)


def test_reverse_reverses_time():
    np.testing.assert_array_equal(reverse(CLIP, KEYS[0]), CLIP[::-1])


@pytest.mark.parametrize("fade", [0, 10])
def test_a_silenced_span_starts_anywhere_and_fades_inside(fade):
    changed, drawn = many(silence_span, fraction_range=(0.1, 0.5), fade=fade)
    start, width = drawn["start"], drawn["width"]
    np.testing.assert_array_equal(width, np.round(drawn["fraction"] * 400))
    assert stats.kstest(relative_position(start, 400 - width), "uniform").pvalue > 1e-3
    assert start.min() == 0
    assert (start + width).max() == 400
    for row, first, count in zip(changed[:50], start, width, strict=False):
        inside = np.arange(count)
        gain = np.ones(400)
        edge = np.minimum(inside, count - 1 - inside) + 1
        gain[first : first + count] = np.maximum(0, 1 - edge / (min(fade, count // 3) + 1))
        np.testing.assert_allclose(row, CLIP * gain, atol=1e-6)


def test_dropped_chunks_have_the_drawn_count_width_and_start():
    changed, drawn = many(drop_chunks, count_range=(0 + 1, 4), width_range=(5, 50))
    for row, count, width, start in zip(changed[:50], drawn["count"], drawn["width"], drawn["start"], strict=False):
        expected = CLIP.copy()
        for first, size in list(zip(start, width, strict=True))[:count]:
            expected[first : first + size] = 0
        np.testing.assert_array_equal(row, expected)
    assert stats.chisquare(np.bincount(drawn["count"], minlength=5)[1:]).pvalue > 1e-3
    for column in range(4):
        assert stats.chisquare(np.bincount(drawn["width"][:, column] - 5, minlength=46)).pvalue > 1e-4
        where = relative_position(drawn["start"][:, column], 400 - drawn["width"][:, column])
        assert stats.kstest(where, "uniform").pvalue > 1e-3
    pairs = np.corrcoef(np.concatenate([drawn["width"].T, drawn["count"][None]]))
    assert np.abs(pairs - np.eye(5)).max() < 4.5 / math.sqrt(N)


def test_spans_are_removed_in_order():
    changed, drawn = many(splice_out, n_spans=4, max_width=60)
    for row, start, width in zip(changed[:50], drawn["start"], drawn["width"], strict=False):
        rest = CLIP
        for first, size in zip(start, width, strict=True):
            assert first + size <= len(rest)
            rest = np.delete(rest, np.arange(first, first + size))
        np.testing.assert_array_equal(row, np.pad(rest, (0, 400 - len(rest))))
    left = 400 - np.cumsum(drawn["width"], axis=1) + drawn["width"]
    for span in range(4):
        assert stats.chisquare(np.bincount(drawn["width"][:, span], minlength=61)).pvalue > 1e-4
        where = relative_position(drawn["start"][:, span], left[:, span] - drawn["width"][:, span])
        assert stats.kstest(where, "uniform").pvalue > 1e-3


def test_a_clip_shorter_than_the_spans_keeps_a_sample():
    for seed in range(5):
        assert splice_out(jnp.ones(3), jax.random.key(seed), max_width=400)[0] == 1
        assert drop_chunks(jnp.ones(3), jax.random.key(seed)).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: time_shift(np.ones(3, np.int16), KEYS[0], fade=1), TypeError, "floating-point"),
        (lambda: time_shift(CLIP, KEYS[0], fade=-1), ValueError, "fade"),
        (lambda: silence_span(CLIP, KEYS[0], fraction_range=(0.5, 1.5)), ValueError, r"fraction_range\[1\]"),
        (lambda: drop_chunks(CLIP, KEYS[0], count_range=(2, 1)), ValueError, "min <= max, got .2, 1."),
        (lambda: drop_chunks(CLIP, KEYS[0], width_range=(0, 5)), ValueError, "width_range"),
        (lambda: drop_chunks(CLIP, KEYS[0], width_range=(1.5, 5)), TypeError, "width_range"),
        (lambda: splice_out(CLIP, KEYS[0], n_spans=0), ValueError, "n_spans"),
        (lambda: splice_out(CLIP, KEYS[0], max_width=-1), ValueError, "max_width"),
    ],
)
def test_invalid_arguments_raise(call, error, said):
    with pytest.raises(error, match=said):
        call()


@pytest.mark.parametrize("rate", [8000, jnp.float32(8000)], ids=["static", "traced"])
def test_options_in_seconds_equal_those_in_samples(rate):
    key = KEYS[1]
    for augmentation, seconds, samples in (
        (time_shift, {"max_shift_seconds": 0.01, "fade_seconds": 0.001}, {"max_shift": 80, "fade": 8}),
        (silence_span, {"fade_seconds": 0.0005}, {"fade": 4}),
        (drop_chunks, {"width_range_seconds": (0.001, 0.01)}, {"width_range": (8, 80)}),
        (splice_out, {"max_width_seconds": 0.01}, {"max_width": 80}),
    ):
        ours = augmentation(CLIP, key, **seconds, sample_rate=rate)
        np.testing.assert_allclose(ours, augmentation(CLIP, key, **samples), rtol=1e-6)
        with pytest.raises(TypeError, match="requires sample_rate"):
            augmentation(CLIP, key, **seconds)
        with pytest.raises(ValueError, match="exclude each other"):
            augmentation(CLIP, key, **seconds, **samples, sample_rate=rate)
    with pytest.raises(ValueError, match=r"width_range_seconds must be \(min, max\), got 0.01"):
        drop_chunks(CLIP, key, width_range_seconds=0.01, sample_rate=rate)
