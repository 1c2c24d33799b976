"""Windows and overlap-add conditions against scipy."""

from __future__ import annotations

import inspect
import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from artifex.generative_models.core import create, registry
from artifex.generative_models.core.testing import components
from artifex.generative_models.extensions.audio_processing.spectral import SpectralConfig
from artifex.generative_models.extensions.audio_processing.spectral.windows import (
    hashable_window,
    is_cola,
    is_nola,
    overlap_sum,
    window_table,
)

OURS = [name for _, name in components("window", "artifex-spectral")]
LENGTHS = [1, 2, 3, 16, 255, 1024]

# Names, options, and the arguments of scipy's get_window after the name.
WITH_OPTIONS = [
    ("general_hamming", {}, (0.54,)),
    ("general_hamming", {"alpha": 0.75}, (0.75,)),
    ("general_hamming", {"alpha": 0}, (0,)),
    ("general_cosine", {}, ([0.5, 0.5],)),
    ("general_cosine", {"weights": (1, 1.94, 1.29, 0.39, 0.03)}, ([1, 1.94, 1.29, 0.39, 0.03],)),
    ("general_cosine", {"weights": [2.0]}, ([2.0],)),
    ("tukey", {}, (0.5,)),
    ("tukey", {"alpha": 0.0}, (0.0,)),
    ("tukey", {"alpha": 0.1}, (0.1,)),
    ("tukey", {"alpha": 1}, (1,)),
    ("kaiser", {}, (12.0,)),
    ("kaiser", {"beta": 0}, (0,)),
    ("kaiser", {"beta": 14.0}, (14.0,)),
    ("kaiser", {"beta": 700}, (700,)),
    ("gaussian", {"std": 0.01}, (0.01,)),
    ("gaussian", {"std": 7}, (7,)),
    ("gaussian", {"std": np.float32(0.7)}, (float(np.float32(0.7)),)),
    ("dpss", {"half_bandwidth": 0.9}, (0.9,)),
]
NAMES_WITH_OPTIONS = {name for name, _, _ in WITH_OPTIONS}


@pytest.mark.parametrize("name", [name for name in OURS if name not in NAMES_WITH_OPTIONS | {"povey"}])
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("periodic", [True, False])
def test_window_equals_scipy(name, length, periodic):
    window = registry("window")[name](length, periodic=periodic)
    assert window.dtype == np.float64
    np.testing.assert_allclose(window, scipy.signal.get_window(name, length, fftbins=periodic), rtol=0, atol=2e-15)


@pytest.mark.parametrize(("name", "options", "given"), WITH_OPTIONS)
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("periodic", [True, False])
def test_window_with_options_equals_scipy(name, options, given, length, periodic):
    expected = scipy.signal.get_window((name, *given), length, fftbins=periodic)
    window = create("window", name, **options)(length, periodic=periodic)
    assert window.dtype == np.float64
    np.testing.assert_allclose(window, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("length", [16, 255, 1024])
@pytest.mark.parametrize("periodic", [True, False])
def test_defaults_that_depend_on_the_length_equal_scipy(length, periodic):
    span = length if periodic else length - 1
    for name, value in (("gaussian", span / 5), ("dpss", 2.5)):
        expected = scipy.signal.get_window((name, value), length, fftbins=periodic)
        np.testing.assert_allclose(create("window", name)(length, periodic=periodic), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("length", [3, 4, 17, 256, 400])
def test_povey_is_a_power_of_the_symmetric_hann_window(length):
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / (length - 1))
    np.testing.assert_allclose(registry("window")["povey"](length, periodic=False), hann**0.85, rtol=0, atol=1e-14)
    np.testing.assert_allclose(registry("window")["povey"](length - 1), hann[:-1] ** 0.85, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", OURS)
def test_symmetric_window_equals_its_reversal(name):
    window = registry("window")[name](64, periodic=False)
    np.testing.assert_allclose(window, window[::-1], rtol=0, atol=1e-13 if name == "dpss" else 0)


@pytest.mark.parametrize("name", OURS)
def test_window_of_one_sample_is_1(name):
    for periodic in (True, False):
        assert registry("window")[name](1, periodic=periodic).tolist() == [1.0]


@pytest.mark.parametrize("name", OURS)
def test_created_window_is_a_function_of_length(name):
    np.testing.assert_array_equal(create("window", name)(64), registry("window")[name](64))


@pytest.mark.parametrize("name", OURS)
def test_window_has_a_signature_and_a_complete_docstring(name):
    window = registry("window")[name]
    length, periodic, *options = inspect.signature(window).parameters.values()
    assert (length.name, periodic.name, periodic.default) == ("length", "periodic", True)
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in (periodic, *options))
    told = inspect.getdoc(window)
    sections = [told.index(f"\n{title}:\n") for title in ("Args", "Returns", "Raises", "Example", "Reference")]
    assert sections == sorted(sections)
    arguments = told[sections[0] : sections[1]]
    assert all(f"\n    {p.name}: " in arguments for p in (length, periodic, *options))


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("length", [0, -3])
def test_window_of_length_zero_raises(name, length):
    with pytest.raises(ValueError, match="length must be an integer of at least 1 sample"):
        registry("window")[name](length)


@pytest.mark.parametrize("length", [1, 64])
@pytest.mark.parametrize(
    ("name", "options", "kind", "message"),
    [
        ("hann", {"periodic": 1}, TypeError, "periodic must be True or False, got 1"),
        ("hann", {"beta": 1}, TypeError, r"hann\(\) got an unexpected keyword argument 'beta'"),
        ("kaiser", {"beta": -1}, ValueError, "beta must be a finite number from 0.0 to 700.0, got -1"),
        ("kaiser", {"beta": 701}, ValueError, "beta must be a finite number from 0.0 to 700.0, got 701"),
        ("kaiser", {"beta": "14"}, TypeError, "beta must be a finite number from 0.0 to 700.0, got '14'"),
        ("kaiser", {"beta": True}, TypeError, "beta must be a finite number .* got True"),
        ("gaussian", {"std": 0}, ValueError, "std must be a finite number above 0.0 samples, got 0"),
        ("gaussian", {"std": np.nan}, ValueError, "std must be a finite number above 0.0 samples, got nan"),
        ("tukey", {"alpha": 1.5}, ValueError, "alpha must be a finite number from 0.0 to 1.0, got 1.5"),
        ("general_hamming", {"alpha": -0.1}, ValueError, "alpha must be a finite number from 0.0 to 1.0, got -0.1"),
        ("general_cosine", {"weights": ()}, ValueError, "weights must be a tuple of at least one finite number"),
        ("general_cosine", {"weights": 0.5}, TypeError, "weights must be a tuple of finite numbers, got 0.5"),
        ("general_cosine", {"weights": (1, "2")}, TypeError, r"weights\[1\] must be a finite number, got '2'"),
        ("dpss", {"half_bandwidth": 0}, ValueError, "half_bandwidth must be a finite number above 0.0"),
    ],
)
def test_invalid_option_raises_with_the_range(name, options, kind, message, length):
    with pytest.raises(kind, match=message):
        registry("window")[name](length, **options)


def test_dpss_raises_for_a_bandwidth_too_wide_for_the_length():
    with pytest.raises(ValueError, match="half_bandwidth must be below 3.0 bins, half of the 6 samples.*got 3"):
        registry("window")["dpss"](6, periodic=False, half_bandwidth=3)


FORMS = [
    ("kaiser", {"beta": 5.0}),
    ["kaiser", {"beta": 5.0}],
    ("kaiser", (("beta", 5.0),)),
    ["kaiser", [["beta", 5.0]]],
    {"name": "kaiser", "beta": 5.0},
    create("window", "kaiser", beta=5.0),
    lambda length, *, periodic=True: registry("window")["kaiser"](length, periodic=periodic, beta=5.0),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("periodic", [True, False])
def test_every_form_of_a_window_gives_equal_values(form, periodic):
    expected = scipy.signal.get_window(("kaiser", 5.0), 32, fftbins=periodic)
    np.testing.assert_allclose(window_table(form, 32, periodic), expected, rtol=0, atol=1e-14)
    np.testing.assert_allclose(window_table(hashable_window(form), 32, periodic), expected, rtol=0, atol=1e-14)
    assert is_nola(form, win_length=32, hop_length=8, periodic=periodic)
    config = SpectralConfig(n_fft=64, win_length=32, n_mels=8, window_type=form)
    np.testing.assert_allclose(window_table(config.window_type, 32, periodic), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("form", FORMS[:5])
def test_forms_of_a_window_give_equal_configurations(form):
    assert hashable_window(form) == ("kaiser", (("beta", 5.0),))
    assert hash(hashable_window(form)) == hash(hashable_window(FORMS[0]))


@pytest.mark.parametrize(
    "window_type",
    [*OURS, *((name, options) for name, options, _ in WITH_OPTIONS if options)],
    ids=str,
)
@pytest.mark.parametrize("ending", ["toml", "yaml"])
def test_window_survives_a_round_trip_through_a_file(window_type, ending, tmp_path):
    config = SpectralConfig(n_fft=64, n_mels=8, window_type=window_type)
    assert SpectralConfig.from_dict(config.to_dict()) == config
    config.to_file(tmp_path / f"spectral.{ending}")
    assert SpectralConfig.from_file(tmp_path / f"spectral.{ending}") == config


@pytest.mark.parametrize(
    ("form", "kind", "message"),
    [
        (("kaiser", {"beta": -1}), ValueError, "beta must be a finite number from 0.0 to 700.0, got -1"),
        (("kaiser", {"bta": 14}), TypeError, r"has no option 'bta'\. Did you mean 'beta'"),
        (("kaiser", 14.0), TypeError, r"must be a pair of its name and a mapping, .* got \('kaiser', 14.0\)"),
        (("kaiser", (14.0,)), TypeError, "must be a pair of its name and a mapping"),
        ({"beta": 14.0}, TypeError, r"a name, a \(name, options\) pair, a mapping"),
        ("keiser", LookupError, "no window 'keiser' is installed. Did you mean 'kaiser'"),
        (("hann", {"periodic": False}), TypeError, "must not contain periodic; set window_periodic"),
        (partial(np.ones, dtype=np.float64), TypeError, "periodic"),
    ],
)
def test_invalid_form_or_option_raises(form, kind, message):
    with pytest.raises(kind, match=message):
        window_table(form, 64)


def test_invalid_option_equal_to_a_cached_valid_one_raises():
    window_table(("kaiser", {"beta": 1}), 16)
    with pytest.raises(TypeError, match="beta must be a finite number"):
        window_table(("kaiser", {"beta": True}), 16)


def test_a_window_that_is_registered_again_replaces_the_previous_one():
    def level(value):
        return lambda length, *, periodic=True: np.full(length, value)

    registry("window").register("level", level(1.0))
    try:
        assert window_table("level", 2).tolist() == [1.0, 1.0]
        registry("window").register("level", level(2.0), replace=True)
        assert window_table("level", 2).tolist() == [2.0, 2.0]
    finally:
        registry("window").unregister("level")


def test_window_of_another_length_or_with_nan_raises():
    with pytest.raises(ValueError, match=r"must return 4 finite numbers for length 4, got shape \(5,\)"):
        window_table(lambda length, *, periodic=True: np.ones(length + 1), 4)
    with pytest.raises(ValueError, match="NaN or infinity"):
        window_table(lambda length, *, periodic=True: np.full(length, np.inf), 4)


def test_window_table_is_read_only():
    with pytest.raises(ValueError, match="read-only"):
        window_table("hann", 32)[0] = 1


def test_window_written_with_jax_is_concrete_under_jit():
    def flat(length, *, periodic=True):
        return jnp.ones(length)

    assert float(jax.jit(lambda x: x + window_table(flat, 8).sum())(1.0)) == 9.0


@pytest.mark.parametrize("name", [name for name in OURS if name not in NAMES_WITH_OPTIONS | {"povey"}])
@pytest.mark.parametrize("periodic", [True, False])
def test_is_nola_and_is_cola_equal_scipy(name, periodic):
    judged = set()
    for win_length in (1, 2, 12, 15):
        window = scipy.signal.get_window(name, win_length, fftbins=periodic)
        for hop in range(1, win_length + 1):
            frames = {"win_length": win_length, "hop_length": hop, "periodic": periodic}
            overlap = win_length - hop
            judged.add((is_nola(name, **frames), is_cola(name, **frames)))
            assert is_nola(name, **frames) == scipy.signal.check_NOLA(window, win_length, overlap)
            assert is_cola(name, **frames) == scipy.signal.check_COLA(window, win_length, overlap)
    assert len(judged) > 1


def test_tolerance_of_is_nola_and_is_cola():
    frames = {"win_length": 16, "hop_length": 8}
    least = float(overlap_sum("hamming", power=2, **frames).min())
    assert is_nola("hamming", tolerance=0.99 * least, **frames)
    assert not is_nola("hamming", tolerance=1.01 * least, **frames)
    window = scipy.signal.get_window("bohman", 16)
    for tolerance in (1e-3, 0.5):
        expected = scipy.signal.check_COLA(window, 16, 8, tol=tolerance)
        assert is_cola("bohman", tolerance=tolerance, **frames) == expected


@pytest.mark.parametrize(("win_length", "hop"), [(16, 4), (15, 4), (15, 15), (7, 1)])
@pytest.mark.parametrize("power", [1, 2])
def test_overlap_sum_equals_the_overlap_add_of_many_frames(win_length, hop, power):
    window = scipy.signal.get_window("hamming", win_length)
    total = np.zeros(40 * hop + win_length)
    for start in range(0, 40 * hop, hop):
        total[start : start + win_length] += window**power
    steady = total[20 * hop : 21 * hop]
    found = overlap_sum("hamming", win_length=win_length, hop_length=hop, power=power)
    np.testing.assert_allclose(found, steady, rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"win_length": 0, "hop_length": 1}, "win_length must be an integer of at least 1 sample, got 0"),
        ({"win_length": 8, "hop_length": 9}, "hop_length must be an integer from 1 to 8 samples, got 9"),
        ({"win_length": 8, "hop_length": 0}, "hop_length must be an integer from 1 to 8 samples, got 0"),
        ({"win_length": 8, "hop_length": 4, "tolerance": -1}, "tolerance must be a finite number of at least 0.0"),
    ],
)
@pytest.mark.parametrize("judge", [is_nola, is_cola])
def test_invalid_overlap_raises(judge, options, message):
    with pytest.raises(ValueError, match=message):
        judge("hann", **options)


def test_only_dpss_imports_scipy_signal():
    code = """
import sys
from artifex.generative_models.core import registry
for name, claimed in registry("window").items():
    if name != "dpss":
        claimed(16)
assert "scipy.signal" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
