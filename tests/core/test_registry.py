"""Registries find components in metadata, load them on access, and raise for conflicts."""

import threading

import pytest

from artifex.generative_models.core import (
    BrokenComponentError,
    Claim,
    ConflictingComponentError,
    Kind,
    UnknownComponentError,
    create,
    kinds,
    refresh,
    registry,
)
from artifex.generative_models.core.components.kind import component_error, options_of

pytestmark = pytest.mark.usefixtures("fresh_registry")

PLAIN = "def double(x, *, by=2):\n    return by * x\n"


def gadget_of(install, distribution, name="double", *, module=None, source=PLAIN, version="1.0", value=None):
    module = module or f"{distribution.replace('-', '_')}_parts"
    value = value or f"{module}:double"
    return install(distribution, {"artifex.gadgets": {name: value}}, modules={module: source}, version=version)


def test_an_installed_component_is_found_by_name(install, gadgets):
    gadget_of(install, "first-dist")
    assert registry(gadgets)["double"](3) == 6


def test_listing_imports_nothing(install, gadgets):
    gadget_of(install, "first-dist", source="raise AssertionError('imported')")
    names = registry(gadgets)
    assert list(names) == ["double"]
    assert len(names) == 1
    assert "double" in names
    assert "treble" not in names
    assert names.claims("double") == (
        Claim(kind="gadget", name="double", distribution="first-dist", value="first_dist_parts:double"),
    )
    assert names.claims("double")[0].version == "1.0"
    assert "double" in repr(names)


def test_there_is_one_registry_per_kind(gadgets):
    assert registry(gadgets) is registry(gadgets)
    assert registry(gadgets) != registry("modality")


def test_two_claims_of_one_name_raise_with_both_and_the_remedy(install, gadgets):
    gadget_of(install, "first-dist")
    gadget_of(install, "second-dist", version="2.5")
    names = registry(gadgets)
    with pytest.raises(ConflictingComponentError) as caught:
        names["double"]
    for part in ("first-dist 1.0", "second-dist 2.5", "'double@first-dist'", "'double@second-dist'"):
        assert part in str(caught.value)
    with pytest.raises(ConflictingComponentError):
        names.get("double")
    assert list(names) == ["double"]
    assert [claim.distribution for claim in names.claims("double")] == ["first-dist", "second-dist"]


def test_a_conflict_does_not_affect_other_names(install, gadgets):
    gadget_of(install, "first-dist")
    gadget_of(install, "second-dist")
    gadget_of(install, "third-dist", "treble")
    assert registry(gadgets)["treble"](2) == 4


def test_name_at_distribution_selects_a_claim(install, gadgets):
    gadget_of(install, "first-dist", source="def double(x): return 'first'")
    gadget_of(install, "second-dist", source="def double(x): return 'second'")
    assert registry(gadgets)["double@first-dist"](0) == "first"
    assert registry(gadgets)["double@Second_Dist"](0) == "second"
    assert create(gadgets, "double@second-dist")(0) == "second"


def test_naming_a_distribution_that_does_not_provide_the_name_raises(install, gadgets):
    gadget_of(install, "first-dist")
    with pytest.raises(UnknownComponentError, match=r"'double@frist-dist'.*'double@first-dist'.*first-dist 1\.0"):
        registry(gadgets)["double@frist-dist"]
    with pytest.raises(UnknownComponentError):
        registry(gadgets)["double@"]
    assert "double@" not in registry(gadgets)


def test_equal_claims_are_one_claim(install, gadgets):
    gadget_of(install, "first-dist")
    gadget_of(install, "first-dist")
    assert len(registry(gadgets).claims("double")) == 1
    assert registry(gadgets)["double"](1) == 2


def test_the_first_on_the_path_hides_another_version_of_the_same_distribution(install, gadgets):
    gadget_of(install, "first-dist", value="old_place:double")
    gadget_of(install, "first-dist", version="2.0")
    assert [claim.version for claim in registry(gadgets).claims("double")] == ["2.0"]


def test_an_unknown_name_raises_with_close_matches_and_all_names(install, gadgets):
    gadget_of(install, "first-dist")
    with pytest.raises(UnknownComponentError, match=r"no gadget 'duoble'.*Did you mean 'double'\?.*Available: double"):
        registry(gadgets)["duoble"]
    assert registry(gadgets).get("duoble") is None


def test_a_name_of_an_empty_kind_raises(gadgets):
    with pytest.raises(UnknownComponentError, match="Available: none"):
        registry(gadgets)["double"]
    assert "empty" in repr(registry(gadgets))


@pytest.mark.parametrize("kind", ["gadgte", 3, None, ["gadget"]])
def test_an_unknown_kind_raises_and_lists_the_kinds(gadgets, kind):
    with pytest.raises(UnknownComponentError, match=r"no kind of component .*Available: .*gadget"):
        registry(kind)


def test_errors_are_lookup_errors_with_plain_messages(gadgets):
    with pytest.raises(LookupError) as caught:
        registry(gadgets)["it's"]
    assert not isinstance(caught.value, KeyError)
    assert str(caught.value).startswith("no gadget")


@pytest.mark.parametrize("name", [3, None, ("double",)])
def test_a_name_that_is_not_a_string_raises(gadgets, name):
    with pytest.raises(TypeError, match="must be a string"):
        registry(gadgets)[name]
    assert name not in registry(gadgets)


@pytest.mark.parametrize(
    ("source", "value", "original"),
    [
        ("raise OSError('no such codec')", None, OSError),
        ("import sys\nsys.exit(3)", None, SystemExit),
        ("import no_such_module_anywhere", None, ModuleNotFoundError),
        ("def double(x) return x", None, SyntaxError),
        (PLAIN, "broken_dist_parts:treble", AttributeError),
        (PLAIN, "broken_dist_nowhere:double", ModuleNotFoundError),
        ("double = 3", None, TypeError),
        ("class double: ...", None, TypeError),
        ("def double(): ...", None, TypeError),
        ("import broken_dist_parts\ndouble = broken_dist_parts.missing", None, AttributeError),
    ],
)
def test_a_broken_component_raises_only_when_it_is_accessed(install, gadgets, source, value, original):
    gadget_of(install, "broken-dist", "bad", source=source, value=value)
    gadget_of(install, "sound-dist")
    names = registry(gadgets)
    assert list(names) == ["bad", "double"]
    assert names["double"](1) == 2
    for _ in range(2):
        with pytest.raises(
            BrokenComponentError, match=r"gadget 'bad' of broken-dist 1\.0 \(.*\) cannot be loaded"
        ) as caught:
            names["bad"]
        assert isinstance(caught.value.__cause__, original)
        assert type(caught.value.__cause__).__name__ in str(caught.value)
    assert names["double"](1) == 2


def test_keyboard_interrupt_is_raised(install, gadgets):
    gadget_of(install, "slow-dist", source="raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        registry(gadgets)["double"]


def test_a_component_that_raises_while_it_is_validated_is_broken(install, gadgets):
    gadget_of(install, "odd-dist", source="class Odd:\n    def __repr__(self): raise OSError\n\ndouble = Odd()")
    with pytest.raises(BrokenComponentError):
        registry(gadgets)["double"]


def test_a_component_whose_module_accesses_itself_is_broken(install, gadgets):
    source = "from artifex.generative_models.core import registry\nregistry('gadget')['double']\n" + PLAIN
    gadget_of(install, "circular-dist", source=source)
    with pytest.raises(BrokenComponentError, match="circular-dist"):
        registry(gadgets)["double"]


def test_refresh_loads_a_broken_component_again(install, gadgets):
    installed = gadget_of(install, "late-dist", source="import no_such_module_anywhere")
    with pytest.raises(BrokenComponentError):
        registry(gadgets)["double"]
    (installed.folder / "late_dist_parts.py").write_text(f"# longer than it was before\n{PLAIN}\n\n")
    with pytest.raises(BrokenComponentError):
        registry(gadgets)["double"]
    refresh()
    assert registry(gadgets)["double"](1) == 2


def test_refresh_finds_installed_and_uninstalled_distributions(install, gadgets):
    names = registry(gadgets)
    assert "double" not in names
    installed = gadget_of(install, "first-dist")
    assert names["double"](1) == 2
    installed.uninstall()
    assert "double" not in names
    with pytest.raises(UnknownComponentError):
        names["double"]


def test_the_registry_of_an_uninstalled_kind_raises(install):
    hooks = """
        from artifex.generative_models.core import Kind, hookimpl

        @hookimpl
        def artifex_kinds():
            return [Kind(name="widget", group="artifex.widgets", summary="A thing.", form="class")]
    """
    installed = install("widget-kinds", {"artifex": {"widgets": "widget_hooks"}}, modules={"widget_hooks": hooks})
    names = registry("widget")
    installed.uninstall()
    with pytest.raises(UnknownComponentError, match="no kind of component 'widget'"):
        names["anything"]
    assert "widget" not in kinds()


def test_a_component_is_registered_and_unregistered(gadgets):
    def triple(x):
        return 3 * x

    names = registry(gadgets)
    names.register("triple", triple)
    assert names["triple"] is triple
    assert list(names) == ["triple"]
    assert names.claims("triple")[0].distribution == "(this process)"
    refresh()
    assert names["triple"] is triple
    names.unregister("triple")
    assert "triple" not in names
    with pytest.raises(UnknownComponentError, match="was registered in this process"):
        names.unregister("triple")


def test_register_replaces_only_on_request(install, gadgets):
    gadget_of(install, "first-dist")
    names = registry(gadgets)
    with pytest.raises(ConflictingComponentError, match=r"already provided by first-dist 1\.0; pass replace=True"):
        names.register("double", abs)
    names.register("double", abs, replace=True)
    assert names["double"] is abs
    assert names["double@first-dist"](1) == 2
    with pytest.raises(ConflictingComponentError, match="already provided by"):
        names.register("double", round)
    names.unregister("double")
    assert names["double"](1) == 2


def test_registering_resolves_a_conflict(install, gadgets):
    gadget_of(install, "first-dist")
    gadget_of(install, "second-dist")
    registry(gadgets).register("double", registry(gadgets)["double@second-dist"], replace=True)
    assert registry(gadgets)["double"](1) == 2


@pytest.mark.parametrize("name", ["", "a@b", " a", "a ", "a b", 3, None])
def test_registering_an_invalid_name_raises(gadgets, name):
    with pytest.raises(ValueError, match="one word"):
        registry(gadgets).register(name, abs)


@pytest.mark.parametrize("component", [3, "abs", int, lambda: 0])
def test_registering_a_component_of_another_kind_raises(gadgets, component):
    with pytest.raises(TypeError, match="gadget 'odd': a gadget"):
        registry(gadgets).register("odd", component)
    assert "odd" not in registry(gadgets)


def test_concurrent_threads_get_one_object(install, gadgets):
    source = """
        import threading

        together = threading.Barrier(4)

        class Part:
            def __call__(self, x): ...

        def __getattr__(name):
            if name != "double":
                raise AttributeError(name)
            together.wait(30)
            return Part()
    """
    gadget_of(install, "first-dist", source=source)
    found = []
    threads = [threading.Thread(target=lambda: found.append(registry(gadgets)["double"])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len({id(each) for each in found}) == 1


def test_a_slow_import_does_not_block_other_components(install, gadgets):
    source = "import gadget_gate\ngadget_gate.entered.set()\nassert gadget_gate.opened.wait(30)\n" + PLAIN
    gate = "import threading\nentered = threading.Event()\nopened = threading.Event()\n"
    install(
        "slow-dist",
        {"artifex.gadgets": {"slow": "slow_parts:double"}},
        modules={"slow_parts": source, "gadget_gate": gate},
    )
    gadget_of(install, "quick-dist")
    import gadget_gate

    found = []
    thread = threading.Thread(target=lambda: found.append(registry(gadgets)["slow"]))
    thread.start()
    try:
        assert gadget_gate.entered.wait(30)
        assert registry(gadgets)["double"](1) == 2
        assert not found
    finally:
        gadget_gate.opened.set()
        thread.join()
    assert found[0](1) == 2


FUNCTION = Kind(
    name="metric", group="artifex.metrics", summary="A thing.", form="function", positional=2, call=("rate",)
)
CLASS = Kind(
    name="extension",
    group="artifex.extensions",
    summary="A thing.",
    form="class",
    attributes=("__call__", "shape"),
)


class WithCall:
    shape: tuple[int, ...]

    def __call__(self): ...


class Subclass(WithCall): ...


class NotCallable:
    shape = ()


@pytest.mark.parametrize("component", [WithCall, Subclass])
def test_a_class_may_define_inherit_or_annotate_the_attributes_of_its_kind(component):
    assert component_error(CLASS, component) == ""


def test_the_metaclass_does_not_count_as_defining_call():
    assert component_error(CLASS, NotCallable) == "an extension must have __call__, shape; NotCallable lacks __call__"


@pytest.mark.parametrize(
    ("component", "fault"),
    [
        (lambda a, b, *, rate: 0, ""),
        (lambda a, b, rate=3: 0, ""),
        (lambda *args, **options: 0, ""),
        (lambda a, *, rate: 0, "must take 2 positional arguments, got 1: (a, *, rate)"),
        (lambda a, b: 0, "must take the keyword arguments rate; missing: rate: (a, b)"),
        (3, "a metric must be a function, got 3 (int)"),
    ],
)
def test_a_function_without_the_signature_of_its_kind_is_an_error(component, fault):
    found = component_error(FUNCTION, component)
    assert found.endswith(fault)
    assert bool(found) == bool(fault)


def test_options_are_the_arguments_that_the_caller_does_not_pass():
    def score(a, b, c=1, *, rate, level=0.5, **_):
        return 0

    def strict(a, b, c=1, *, rate, level=0.5):
        return 0

    assert options_of(FUNCTION, score) is None
    assert list(options_of(FUNCTION, strict)) == ["c", "level"]


def test_the_options_of_an_nnx_class_are_those_of_its_constructor():
    from artifex.generative_models.extensions.base import ModelExtension

    class Deep(ModelExtension):
        def __init__(self, config, *, rngs=None, depth=3):
            super().__init__(config)

    assert list(options_of(CLASS, Deep)) == ["config", "rngs", "depth"]
