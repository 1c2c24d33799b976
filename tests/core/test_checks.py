"""Checks of plain values: accepted values, and errors for all others."""

import math
from fractions import Fraction

import numpy as np
import pytest

from artifex.generative_models.core import MissingDependencyError
from artifex.generative_models.core.checks import check_choice, check_flag, check_integer, check_number
from artifex.generative_models.core.errors import suggest
from artifex.generative_models.core.extras import require


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), 10**30])
def test_check_integer_accepts_integers(value):
    check_integer("n", value)


@pytest.mark.parametrize("value", [3.0, True, "3", None, np.bool_(True), np.float32(3), np.array(3), 3j])
def test_check_integer_raises_for_other_types(value):
    with pytest.raises(TypeError, match=r"^n must be an integer from 1 to 5 Hz, got .*\(\w+\)$"):
        check_integer("n", value, minimum=1, maximum=5, unit="Hz")


@pytest.mark.parametrize("value", [0, 6, -(10**30)])
def test_check_integer_raises_out_of_bounds(value):
    with pytest.raises(ValueError, match=rf"^n must be an integer from 1 to 5 Hz, got {value}$"):
        check_integer("n", value, minimum=1, maximum=5, unit="Hz")


def test_bounds_are_inclusive():
    check_integer("n", 1, minimum=1, maximum=1)
    check_number("x", 0.5, minimum=0.5, maximum=0.5)


@pytest.mark.parametrize("value", [3, 0.5, np.float32(0.5), np.int8(3), Fraction(1, 2)])
def test_check_number_accepts_real_numbers(value):
    check_number("x", value, above=0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32(np.nan)])
def test_check_number_raises_unless_finite(value):
    with pytest.raises(ValueError, match="x must be a finite number in seconds, got"):
        check_number("x", value, unit="seconds")


@pytest.mark.parametrize("value", [True, "0.5", None, 1j, np.array(0.5), np.bool_(True)])
def test_check_number_raises_for_other_types(value):
    with pytest.raises(TypeError, match="x must be a finite number"):
        check_number("x", value)


@pytest.mark.parametrize(
    ("value", "bounds", "expected"),
    [
        (0, {"above": 0}, "above 0"),
        (2, {"above": 0, "maximum": 1}, "above 0 and at most 1"),
        (2, {"minimum": 0, "maximum": 1}, "from 0 to 1"),
        (-1, {"minimum": 0}, "of at least 0"),
        (2, {"maximum": 1}, "of at most 1"),
    ],
)
def test_messages_contain_the_bounds(value, bounds, expected):
    with pytest.raises(ValueError, match=rf"^x must be a finite number {expected}, got {value}$"):
        check_number("x", value, **bounds)


@pytest.mark.parametrize("value", [0, 1, None, "True", np.bool_(True)])
def test_check_flag_raises_for_other_types(value):
    with pytest.raises(TypeError, match="flag must be True or False, got"):
        check_flag("flag", value)
    check_flag("flag", True)


@pytest.mark.parametrize("value", ["hannn", None, 3, ["hann"], np.ones(2)])
def test_check_choice_lists_the_choices(value):
    with pytest.raises(ValueError, match="window must be one of 'hann', 'hamming', got"):
        check_choice("window", value, choices=("hann", "hamming"))
    check_choice("window", "hann", choices=("hann", "hamming"))


@pytest.mark.parametrize("value", [True, 1.0])
def test_check_choice_compares_types(value):
    with pytest.raises(ValueError, match="n must be one of 1, 2, got"):
        check_choice("n", value, choices=(1, 2))


def test_suggest_returns_close_matches():
    assert suggest("hannn", ["hann", "boxcar"]) == " Did you mean 'hann'?"
    assert suggest("", ["hann"]) == ""
    assert suggest("x", []) == ""


def test_require_names_the_requirement_to_install():
    with pytest.raises(
        MissingDependencyError,
        match=r"^Reading needs no_such_module, which is not installed: pip install 'thing\[x\]'$",
    ):
        require("no_such_module", install="thing[x]", purpose="Reading")
    with pytest.raises(ImportError):
        require("no_such_module.part", install="thing[x]", purpose="Reading")


def test_require_passes_on_import_errors_inside_the_module(tmp_path, monkeypatch):
    (tmp_path / "needy_module.py").write_text("import no_such_module")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="No module named 'no_such_module'") as caught:
        require("needy_module", install="needy", purpose="Reading")
    assert not isinstance(caught.value, MissingDependencyError)
