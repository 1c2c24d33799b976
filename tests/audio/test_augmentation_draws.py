"""What every registered augmentation draws: within its bounds, as its docstring says, independent of one another and of the samples."""

import inspect
import math
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from artifex.generative_models.core import registry
from artifex.generative_models.core.components.discovery import FIRST_PARTY
from artifex.generative_models.core.testing import components
from artifex.generative_models.modalities.audio import create_policy, with_annotations
from artifex.generative_models.modalities.audio.annotations import drawn_parameters
from artifex.generative_models.modalities.audio.augmentations.domain import works_on

OURS = [name for distribution in FIRST_PARTY for _, name in components("augmentation", distribution)]
N = 2000
CHANCE = 1e-4  # of a right draw to fail a test of its distribution; the keys are fixed


def example(name):
    shape = (10, 40) if works_on(registry("augmentation")[name]) == "spectrogram" else (400,)
    return jnp.linspace(0.1, 0.5, math.prod(shape)).reshape(shape)


def entry(augmentation, option):
    """What the docstring says of an option."""
    text = inspect.getdoc(augmentation) or ""
    found = re.search(rf"^    {option}: (.*?)(?=^    \S|^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"{option} has no entry"
    return found[1]


@pytest.fixture(scope="module")
def drawn():
    """What each augmentation draws from N keys, made when it is asked for."""
    kept = {}

    def of(name):
        if name not in kept:
            function = create_policy(name, sample_rate=16000)
            keys = jax.random.split(jax.random.key(11), N)
            draw = jax.jit(jax.vmap(lambda key: drawn_parameters(function, key, example(name).shape)))
            kept[name] = jax.tree.map(np.asarray, draw(keys))
        return kept[name]

    return of


def ranges(name):
    """Each parameter drawn that has an option ``NAME_range``, and its bounds by default."""
    augmentation = registry("augmentation")[name]
    options = inspect.signature(augmentation).parameters
    return {
        option.removesuffix("_range"): each.default
        for option, each in options.items()
        if option.endswith("_range") and each.default is not None
    }


@pytest.mark.parametrize("name", OURS)
def test_what_is_drawn_is_spread_as_the_docstring_says(name, drawn):
    augmentation = registry("augmentation")[name]
    for parameter, (low, high) in ranges(name).items():
        assert parameter in drawn(name), f"{name} does not say which {parameter} it drew"
        values = drawn(name)[parameter].reshape(N, -1).astype(np.float64)
        said = entry(augmentation, f"{parameter}_range")
        place = values
        ends = (low, high)
        if "log-uniform" in said:
            place, ends = np.log(values), (math.log(low), math.log(high))
        assert values.min() >= low - 1e-5 * abs(low), f"{parameter} below {low}"
        assert values.max() <= high + 1e-5 * abs(high), f"{parameter} above {high}"
        share = (place - ends[0]) / (ends[1] - ends[0])
        if np.issubdtype(drawn(name)[parameter].dtype, np.integer):
            counts = np.bincount(values[:, 0].astype(int) - int(low), minlength=int(high - low) + 1)
            assert stats.chisquare(counts).pvalue > CHANCE
            continue
        for column in share.T:
            assert stats.kstest(column, "uniform").pvalue > CHANCE, f"{parameter} is not uniform"
            assert column.min() < 0.01, f"{parameter} does not reach its least"
            assert column.max() > 0.99, f"{parameter} does not reach its greatest"


@pytest.mark.parametrize("name", OURS)
def test_no_draw_tells_another(name, drawn):
    columns = {
        f"{parameter}[{place}]": column
        for parameter, values in drawn(name).items()
        if parameter in ranges(name)
        for place, column in enumerate(values.reshape(N, -1).astype(np.float64).T)
    }
    for first, a in columns.items():
        assert abs(np.corrcoef(a[1:], a[:-1])[0, 1]) < 4.5 / math.sqrt(N), f"{first} from row to row"
        for second, b in columns.items():
            if first < second:
                assert abs(np.corrcoef(a, b)[0, 1]) < 4.5 / math.sqrt(N), f"{first} and {second}"


def test_the_page_names_every_augmentation():
    page = (Path(__file__).parents[2] / "docs" / "augmentation.md").read_text()
    assert not [name for name in OURS if f"`{name}`" not in page]


def apart(*columns):
    """No column of draws says anything of another."""
    between = np.corrcoef(np.stack(columns))[np.triu_indices(len(columns), 1)]
    assert np.abs(between).max() < 4.5 / math.sqrt(N)


def places(name, x, **options):
    told = with_annotations(registry("augmentation")[name])
    drawn = jax.jit(jax.vmap(lambda key: told(x, key, **options)[1]))(jax.random.split(jax.random.key(4), N))
    return {name: np.asarray(value, float) for name, value in drawn.items()}


def test_no_width_tells_a_place_or_another_width():
    clip, spectrogram = jnp.ones(400), jnp.ones((1, 400))
    span = places("silence_span", clip, fraction_range=(0.1, 0.5))
    apart(span["fraction"], span["start"] / (400 - span["width"]))
    chunks = places("drop_chunks", clip, width_range=(5, 50))
    apart(chunks["count"], *chunks["width"].T, *(chunks["start"] / (400 - chunks["width"])).T)
    cuts = places("splice_out", clip, n_spans=4, max_width=30)
    left = 400 - np.cumsum(cuts["width"], axis=1)
    apart(*cuts["width"].T, *(cuts["start"] / left).T)
    masks = places("time_mask", spectrogram, num_masks=3, mask_param=20)
    apart(*masks["time_width"].T, *(masks["time_start"] / (400 - masks["time_width"])).T)
