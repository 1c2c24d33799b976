"""The factory binds options, checks their names, and returns equal components for equal options."""

import functools
import pickle

import attrs
import numpy as np
import pytest

from artifex.generative_models.core import create, registry, resolve
from artifex.generative_models.core.components.factory import Bound

pytestmark = pytest.mark.usefixtures("fresh_registry")


def scaled(x, *, by=2, offset=0):
    return x * by + offset


@pytest.fixture
def scaling(gadgets):
    registry(gadgets).register("scaled", scaled)
    return gadgets


def test_options_are_bound(scaling):
    assert create(scaling, "scaled", by=3, offset=1)(2) == 7
    assert create(scaling, "scaled") is scaled


def test_an_unknown_option_raises_and_lists_the_valid_ones(scaling):
    with pytest.raises(TypeError) as caught:
        create(scaling, "scaled", offst=1)
    assert str(caught.value) == "gadget 'scaled' has no option 'offst'. Did you mean 'offset'? Its options: by, offset"


def test_arguments_passed_by_the_caller_are_not_options(scaling):
    with pytest.raises(TypeError, match="has no option 'x'"):
        create(scaling, "scaled", x=1)


def test_an_option_of_a_function_without_options_raises(gadgets):
    def plain(x):
        return x

    registry(gadgets).register("plain", plain)
    with pytest.raises(TypeError, match=r"has no option 'by'\. It has no options"):
        create(gadgets, "plain", by=1)


def test_a_function_with_kwargs_accepts_any_option(gadgets):
    def anything(x, **options):
        return options

    registry(gadgets).register("anything", anything)
    assert create(gadgets, "anything", by=1)(0) == {"by": 1}


def test_a_function_written_in_c_is_usable(gadgets):
    registry(gadgets).register("dict", np.dtype.newbyteorder)
    assert create(gadgets, "dict") is np.dtype.newbyteorder


def test_options_may_be_called_kind_and_name(gadgets):
    def named(x, *, name, kind):
        return name, kind

    registry(gadgets).register("named", named)
    assert create(gadgets, "named", name="a", kind="b")(0) == ("a", "b")


def test_a_class_is_instantiated_with_its_options():
    class Plain:
        def __init__(self, config=None, *, rngs=None):
            self.config = config

    registry("modality").register("plain", Plain)
    assert create("modality", "plain", config=3).config == 3
    with pytest.raises(TypeError, match=r"modality 'plain' has no option 'confg'\. Did you mean 'config'"):
        create("modality", "plain", confg=3)


def test_an_unknown_option_of_an_nnx_class_lists_the_valid_ones():
    from artifex.generative_models.core.configuration import ExtensionConfig
    from artifex.generative_models.extensions.base import ModelExtension

    registry("extension").register("plain", ModelExtension)
    assert create("extension", "plain", config=ExtensionConfig(weight=2.0)).weight == 2.0
    with pytest.raises(TypeError, match=r"has no option 'confg'\. Did you mean 'config'\? Its options: config, rngs"):
        create("extension", "plain", confg=ExtensionConfig())


def test_a_value_is_changed_by_its_options(install):
    source = """
        from artifex.generative_models.core import Kind, hookimpl

        @hookimpl
        def artifex_kinds():
            return [Kind(name="setting", group="artifex.settings", summary="Values.", form="value")]
    """
    install("setting-kinds", {"artifex": {"settings": "setting_hooks"}}, modules={"setting_hooks": source})

    @attrs.frozen(kw_only=True)
    class Setting:
        level: float = 1.0
        size: int = 3
        area: int = attrs.field(init=False, default=9)

    registry("setting").register("mine", Setting())
    assert create("setting", "mine", size=4) == Setting(size=4)
    with pytest.raises(TypeError, match=r"has no option 'area'\. Its options: level, size"):
        create("setting", "mine", area=4)
    with pytest.raises(TypeError, match="a setting must be an attrs instance"):
        registry("setting").register("bad", 3)


@pytest.mark.parametrize(
    "spec",
    [
        ("scaled", {"by": 3}),
        ["scaled", {"by": 3}],
        {"name": "scaled", "by": 3},
        functools.partial(scaled, by=3),
    ],
)
def test_resolve_accepts_every_form_of_a_component(scaling, spec):
    assert resolve(scaling, spec)(2) == 6


def test_resolve_returns_a_component_unchanged(scaling):
    assert resolve(scaling, scaled) is scaled
    assert resolve(scaling, "scaled") is scaled


@pytest.mark.parametrize("spec", [3, None, ("scaled",), ("scaled", 3), {"by": 3}, ("scaled", "other"), int])
def test_resolve_raises_for_anything_else(scaling, spec):
    with pytest.raises(TypeError, match=r"gadget must be a name, a \(name, options\) pair"):
        resolve(scaling, spec)


SAME = [
    ({}, {}),
    ({"by": 3}, {"by": 3}),
    ({"by": 3, "offset": 1}, {"offset": 1, "by": 3}),
    ({"by": [1, 2]}, {"by": [1, 2]}),
    ({"by": {"a": [1, 2]}}, {"by": {"a": [1, 2]}}),
    ({"by": float("nan")}, {"by": float("nan")}),
    ({"by": np.float32(3)}, {"by": np.float32(3)}),
]
DIFFERENT = [
    ({"by": 3}, {}),
    ({"by": 3}, {"by": 4}),
    ({"by": 1}, {"by": 1.0}),
    ({"by": 1}, {"by": True}),
    ({"by": 0.0}, {"by": -0.0}),
    ({"by": [1, 2]}, {"by": (1, 2)}),
    ({"by": [1]}, {"by": [1.0]}),
    ({"by": np.ones(2)}, {"by": np.ones(2)}),
    ({"by": np.float32(3)}, {"by": 3.0}),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_components_with_equal_options_are_equal(one, other):
    assert Bound(scaled, **one) == Bound(scaled, **other)
    assert hash(Bound(scaled, **one)) == hash(Bound(scaled, **other))


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_components_with_different_options_are_different(one, other):
    assert Bound(scaled, **one) != Bound(scaled, **other)
    assert len({Bound(scaled, **one), Bound(scaled, **other)}) == 2


def test_components_of_different_functions_are_different():
    assert Bound(scaled, by=3) != Bound(max, by=3)
    assert Bound(scaled, by=3) != functools.partial(scaled, by=3)


def test_array_options_are_compared_by_identity():
    array = np.ones(3)
    assert Bound(scaled, by=array) == Bound(scaled, by=array)
    assert hash(Bound(scaled, by=array)) == hash(Bound(scaled, by=array))
    assert Bound(scaled, by=array)(1).tolist() == [1.0, 1.0, 1.0]


def test_a_bound_component_can_be_pickled():
    assert pickle.loads(pickle.dumps(Bound(scaled, by=3))) == Bound(scaled, by=3)


def test_creating_a_component_twice_compiles_it_once(scaling):
    import jax

    traces = []

    def counted(x, *, by=2):
        traces.append(by)
        return x * by

    registry(scaling).register("counted", counted)
    apply = jax.jit(lambda function, x: function(x), static_argnums=0)
    for by in (3, 3, 3.0, 3):
        assert apply(create(scaling, "counted", by=by), 2.0) == 6.0
    assert traces == [3, 3.0]
    assert [type(by) for by in traces] == [int, float]


def test_a_component_with_an_array_option_can_be_compiled(scaling):
    import jax

    tripled = jax.jit(create(scaling, "scaled", by=np.full(2, 3.0)))
    assert tripled(np.ones(2)).tolist() == [3.0, 3.0]
