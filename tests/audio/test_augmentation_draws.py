"""The drawn parameters of every registered augmentation have the documented ranges and distributions."""

import functools
import inspect
import math
import re
from pathlib import Path

import jax
import numpy as np
import pytest
from scipy import stats

from artifex.generative_models.core import registry
from artifex.generative_models.core.components.discovery import FIRST_PARTY
from artifex.generative_models.core.components.factory import Bound
from artifex.generative_models.core.testing import components
from artifex.generative_models.modalities.audio.annotations import drawn_parameters
from artifex.generative_models.modalities.audio.augmentations.domain import works_on

OURS = [name for distribution in FIRST_PARTY for _, name in components("augmentation", distribution)]
N = 2000
CHANCE = 1e-4  # probability that a correct draw fails a test of its distribution; the keys are fixed
RATE = 16000


def rate_option(augmentation):
    """The sample rate as an option, for augmentations that take one."""
    return {"sample_rate": RATE} if "sample_rate" in inspect.signature(augmentation).parameters else {}


def entry(augmentation, option):
    """The docstring's entry of an option."""
    text = inspect.getdoc(augmentation) or ""
    found = re.search(rf"^    {option}: (.*?)(?=^    \S|^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"{option} has no entry"
    return found[1]


def draw_many(name, shape, seed, **options):
    """The drawn parameters of an augmentation for N keys.

    The draws are not compiled as a whole, so that they share the programs of their operations.
    """
    augmentation = Bound(registry("augmentation")[name], **options)
    draw = jax.vmap(lambda key: drawn_parameters(augmentation, key, shape))
    return jax.tree.map(np.asarray, draw(jax.random.split(jax.random.key(seed), N)))


@pytest.fixture(scope="module")
def drawn():
    """The drawn parameters of each augmentation with its default options, computed on first use."""

    @functools.cache
    def of(name):
        augmentation = registry("augmentation")[name]
        shape = (10, 40) if works_on(augmentation) == "spectrogram" else (400,)
        return draw_many(name, shape, 11, **rate_option(augmentation))

    return of


def ranges(name):
    """The default range of each drawn parameter that has an option ``NAME_range``."""
    augmentation = registry("augmentation")[name]
    options = inspect.signature(augmentation).parameters
    return {
        option.removesuffix("_range"): each.default
        for option, each in options.items()
        if option.endswith("_range") and each.default is not None
    }


@pytest.mark.parametrize("name", OURS)
def test_parameters_have_the_documented_distribution(name, drawn):
    augmentation = registry("augmentation")[name]
    for parameter, (low, high) in ranges(name).items():
        assert parameter in drawn(name), f"{name} does not return the drawn {parameter}"
        values = drawn(name)[parameter].reshape(N, -1).astype(np.float64)
        documented = entry(augmentation, f"{parameter}_range")
        position = values
        ends = (low, high)
        if "log-uniform" in documented:
            position, ends = np.log(values), (math.log(low), math.log(high))
        assert values.min() >= low - 1e-5 * abs(low), f"{parameter} below {low}"
        assert values.max() <= high + 1e-5 * abs(high), f"{parameter} above {high}"
        fraction = (position - ends[0]) / (ends[1] - ends[0])
        if np.issubdtype(drawn(name)[parameter].dtype, np.integer):
            counts = np.bincount(values[:, 0].astype(int) - int(low), minlength=int(high - low) + 1)
            assert stats.chisquare(counts).pvalue > CHANCE
            continue
        for column in fraction.T:
            assert stats.kstest(column, "uniform").pvalue > CHANCE, f"{parameter} is not uniform"
            assert column.min() < 0.01, f"{parameter} does not reach its minimum"
            assert column.max() > 0.99, f"{parameter} does not reach its maximum"


@pytest.mark.parametrize("name", OURS)
def test_parameters_are_uncorrelated(name, drawn):
    columns = {
        f"{parameter}[{place}]": column
        for parameter, values in drawn(name).items()
        if parameter in ranges(name)
        for place, column in enumerate(values.reshape(N, -1).astype(np.float64).T)
    }
    for first, a in columns.items():
        assert abs(np.corrcoef(a[1:], a[:-1])[0, 1]) < 4.5 / math.sqrt(N), f"{first} of successive examples"
        for second, b in columns.items():
            if first < second:
                assert abs(np.corrcoef(a, b)[0, 1]) < 4.5 / math.sqrt(N), f"{first} and {second}"


def test_the_documentation_names_every_augmentation():
    page = (Path(__file__).parents[2] / "docs" / "augmentation.md").read_text()
    assert not [name for name in OURS if f"`{name}`" not in page]


def assert_uncorrelated(*columns):
    """No column of drawn parameters is correlated with another."""
    between = np.corrcoef(np.stack(columns))[np.triu_indices(len(columns), 1)]
    assert np.abs(between).max() < 4.5 / math.sqrt(N)


def test_widths_are_uncorrelated_with_positions_and_each_other():
    span = draw_many("silence_span", (400,), 4, fraction_range=(0.1, 0.5))
    assert_uncorrelated(span["fraction"], span["start"] / (400 - span["width"]))
    chunks = draw_many("drop_chunks", (400,), 4, width_range=(5, 50))
    assert_uncorrelated(chunks["count"], *chunks["width"].T, *(chunks["start"] / (400 - chunks["width"])).T)
    cuts = draw_many("splice_out", (400,), 4, max_width=30)
    left = 400 - np.cumsum(cuts["width"], axis=1)
    assert_uncorrelated(*cuts["width"].T, *(cuts["start"] / left).T)
    masks = draw_many("time_mask", (1, 400), 4, num_masks=3, mask_param=20)
    assert_uncorrelated(*masks["time_width"].T, *(masks["time_start"] / (400 - masks["time_width"])).T)
