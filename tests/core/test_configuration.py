"""Configurations are frozen, validated, and restored from plain values and files."""

import copy
import pickle
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import attrs
import numpy as np
import pytest

from artifex.generative_models.core.checks import check_flag, check_integer, check_number, field_check
from artifex.generative_models.core.configuration import Configuration, ExtensionConfig


class Mode(Enum):
    FAST = "fast"
    EXACT = "exact"


@attrs.frozen(kw_only=True)
class Frames(Configuration):
    n_fft: int = attrs.field(default=1024, validator=field_check(check_integer, minimum=1, unit="samples"))
    extension: ExtensionConfig = attrs.field(factory=ExtensionConfig)


@attrs.frozen(kw_only=True)
class Experiment(Configuration):
    name: str
    mode: Mode = Mode.FAST
    speed: Literal["slow", "quick"] = "slow"
    rate: float = attrs.field(default=1.0, validator=field_check(check_number, above=0))
    flag: bool = attrs.field(default=False, validator=field_check(check_flag))
    seed: int | None = 0
    frames: Frames = Frames()
    maybe: Frames | None = None
    many: tuple[Frames, ...] = ()
    by_name: dict[str, Frames] = attrs.field(factory=dict)
    types: tuple[str, ...] = ("sine",)
    listed: list[int] = attrs.field(factory=list)
    some: Sequence[float] = ()
    range: tuple[float, float] = (0.0, 1.0)
    unique: frozenset[str] = frozenset()
    folder: Path = Path("data")
    cache: Path | None = None
    either: Mode | str = "other"
    anything: Any = None


FULL = Experiment(
    name="ünï\ncode 'x'",
    mode=Mode.EXACT,
    speed="quick",
    rate=1e-7,
    flag=True,
    seed=3,
    frames=Frames(
        n_fft=16,
        extension=ExtensionConfig(weight=0.25, extensions={"spectral": {"n_fft": 8, "list": [1, 2]}}),
    ),
    maybe=Frames(n_fft=2),
    many=(Frames(n_fft=3), Frames()),
    by_name={"a b": Frames(n_fft=4)},
    types=("sine", "noise"),
    listed=[1, 2],
    some=(0.5, 1e300),
    range=(0.2, 0.3),
    unique=frozenset({"b", "a"}),
    folder=Path("a/b"),
    cache=Path("c"),
    anything={"deep": [1, {"x": "y"}]},
)


@pytest.mark.parametrize("config", [Experiment(name="plain"), FULL], ids=["defaults", "full"])
def test_from_dict_inverts_to_dict(config):
    assert Experiment.from_dict(config.to_dict()) == config


@pytest.mark.parametrize("ending", ["toml", "yaml", "yml", "TOML"])
@pytest.mark.parametrize("config", [Experiment(name="plain"), FULL], ids=["defaults", "full"])
def test_from_file_inverts_to_file(config, ending, tmp_path):
    path = tmp_path / f"config.{ending}"
    config.to_file(path)
    assert Experiment.from_file(path) == config
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_to_dict_returns_plain_values():
    def check(value):
        assert type(value) in (dict, list, str, int, float, bool, type(None)), value
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            check(inner)

    plain = FULL.evolve(
        listed=[np.int64(3)], rate=np.float32(0.5), anything={"mode": Mode.FAST, "at": Path("x")}
    ).to_dict()
    check(plain)
    assert plain["listed"] == [3]
    assert plain["rate"] == 0.5
    assert plain["anything"] == {"mode": "fast", "at": "x"}


def test_none_is_restored_from_a_file_or_raises(tmp_path):
    config = Experiment(name="x", seed=None)
    config.to_file(tmp_path / "config.yaml")
    assert Experiment.from_file(tmp_path / "config.yaml") == config
    with pytest.raises(
        ValueError, match=r"Experiment\.seed = None cannot be written to config\.toml; write a \.yaml file instead"
    ):
        config.to_file(tmp_path / "config.toml")
    assert not (tmp_path / "config.toml").exists()


def test_nan_is_restored_from_a_file(tmp_path):
    Experiment(name="x", anything=float("nan")).to_file(tmp_path / "config.toml")
    assert np.isnan(Experiment.from_file(tmp_path / "config.toml").anything)


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "config.toml"
    FULL.to_file(path)
    with pytest.raises((TypeError, ValueError)):
        FULL.evolve(anything=object()).to_file(path)
    assert Experiment.from_file(path) == FULL


def test_numbers_are_not_coerced():
    for value in ("16", 16.0, True):
        with pytest.raises(ValueError, match=r"Frames\.n_fft must be an integer of at least 1 sample, got"):
            Frames.from_dict({"n_fft": value})
    with pytest.raises(ValueError, match=r"Experiment\.flag must be True or False, got 'yes' \(str\)"):
        Experiment.from_dict({"name": "x", "flag": "yes"})
    assert type(Experiment.from_dict({"name": "x", "rate": 2}).rate) is int


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"seeed": "x"},
            "Experiment: unknown key 'seeed'. Did you mean 'seed' or 'speed'? Valid keys: anything, by_name,",
        ),
        (
            {"frames": {"n_ftt": 3}},
            "Experiment.frames: Frames: unknown key 'n_ftt'. Did you mean 'n_fft'? Valid keys: ext",
        ),
        (
            {"frames": {"extension": {"wieght": 3}}},
            "Experiment.frames.extension: ExtensionConfig: unknown key 'wieght'. Did you mean 'weight'?",
        ),
        ({"maybe": {"n_ftt": 3}}, "Experiment.maybe: Frames: unknown key 'n_ftt'"),
        ({"many": [{}, {"n_ftt": 3}]}, "Experiment.many[1]: Frames: unknown key 'n_ftt'"),
        ({"by_name": {"a": {"n_ftt": 3}}}, "Experiment.by_name['a']: Frames: unknown key 'n_ftt'"),
        ({"by_name": 3}, "Experiment.by_name: expected a mapping, got 3 (int)"),
        (
            {"frames": {"n_fft": 0}},
            "Experiment.frames: Frames.n_fft must be an integer of at least 1 sample, got 0",
        ),
        ({"frames": 3}, "Experiment.frames: expected a mapping, got 3 (int)"),
        ({"frames": None}, "Experiment.frames: expected a mapping, got None (NoneType)"),
        (
            {"mode": "exakt"},
            "Experiment.mode: the value must be one of 'fast', 'exact', got 'exakt'. Did you mean 'exact'?",
        ),
        ({"mode": ["fast"]}, "Experiment.mode: the value must be one of 'fast', 'exact', got ['fast']"),
        (
            {"speed": "quik"},
            "Experiment.speed: the value must be one of 'slow', 'quick', got 'quik'. Did you mean 'quick'?",
        ),
        ({"types": "sine"}, "Experiment.types: expected a list, got 'sine' (str)"),
        ({"range": [1.0]}, "Experiment.range: expected 2 values, got 1: [1.0]"),
        ({"folder": 3}, "Experiment.folder: expected a path, got 3 (int)"),
        ({"rate": 0}, "Experiment.rate must be a finite number above 0, got 0"),
        ({"rate": float("nan")}, "Experiment.rate must be a finite number above 0, got nan"),
        ({3: 4}, "Experiment: unknown key 3."),
    ],
)
def test_an_invalid_value_is_reported_with_its_location(given, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        Experiment.from_dict({"name": "x", **given})
    assert str(caught.value).startswith(message)


def test_a_missing_key_is_named():
    with pytest.raises(ValueError, match=r"^Experiment\.name is missing and has no default$"):
        Experiment.from_dict({})


@pytest.mark.parametrize("given", [3, None, "name", [("name", "x")]])
def test_from_dict_raises_for_anything_but_a_mapping(given):
    with pytest.raises(ValueError, match="Experiment: expected a mapping, got"):
        Experiment.from_dict(given)


def test_every_problem_is_reported():
    given = {"nmae": "x", "many": [{"n_ftt": 1}, {}, {"n_fft": 0}], "frames": {"n_fft": -1}, "mode": "no"}
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        Experiment.from_dict(given)
    lines = str(caught.value).splitlines()
    starts = (
        "Experiment.name is",
        "Experiment: unknown",
        "Experiment.many[0]:",
        "Experiment.many[2]:",
        "Experiment.frames:",
        "Experiment.mode:",
    )
    assert sorted(line[: len(s)] for line in lines for s in starts if line.startswith(s)) == sorted(starts)
    assert len(lines) == len(starts)


def test_from_dict_accepts_nested_configurations():
    assert Experiment.from_dict({"name": "x", "frames": Frames(n_fft=3), "mode": Mode.EXACT}).frames.n_fft == 3


def test_collections_have_the_type_of_the_field():
    config = Experiment.from_dict(FULL.to_dict())
    assert type(config.types) is tuple
    assert type(config.listed) is list
    assert type(config.some) is tuple
    assert type(config.unique) is frozenset
    assert type(config.many[0]) is Frames
    assert type(config.maybe) is Frames
    assert isinstance(config.cache, Path)


@pytest.mark.parametrize("make", [Experiment, lambda **given: FULL.evolve(**given)], ids=["constructor", "evolve"])
def test_a_misspelled_keyword_suggests_the_nearest_field(make):
    with pytest.raises(TypeError, match=r"Experiment: unknown key 'rtae'\. Did you mean 'rate'"):
        make(rtae=3)


def test_evolve_returns_a_validated_copy():
    assert FULL.evolve(rate=2.0).rate == 2.0
    assert FULL.rate == 1e-7
    with pytest.raises(ValueError, match=r"Experiment\.rate must be"):
        FULL.evolve(rate=-1.0)


def test_a_configuration_is_frozen_and_keyword_only():
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        FULL.rate = 3
    with pytest.raises(TypeError):
        Frames(3)


def test_a_configuration_can_be_copied_and_pickled():
    assert copy.deepcopy(FULL) == FULL
    assert pickle.loads(pickle.dumps(FULL)) == FULL


def test_extension_config_copies_the_options():
    options = {"spectral": {"n_fft": 8, "list": [1]}}
    config = ExtensionConfig(extensions=options)
    options["spectral"]["list"].append(2)
    options["spectral"]["n_fft"] = 9
    assert config.extensions == {"spectral": {"n_fft": 8, "list": [1]}}


@pytest.mark.parametrize("extensions", [3, [], {"spectral": 3}, {3: {}}, None])
def test_extension_options_must_be_nested_mappings(extensions):
    with pytest.raises(TypeError, match=r"ExtensionConfig\.extensions must map extension names to mappings"):
        ExtensionConfig(extensions=extensions)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"weight": "1"}, TypeError, r"ExtensionConfig\.weight must be a finite number, got '1' \(str\)"),
        ({"weight": float("inf")}, ValueError, r"ExtensionConfig\.weight must be a finite number, got inf"),
        ({"enabled": 1}, TypeError, r"ExtensionConfig\.enabled must be True or False, got 1 \(int\)"),
        ({"name": "x"}, TypeError, r"unknown key 'name'\. Valid keys: enabled, extensions, weight"),
    ],
)
def test_extension_config_validates_its_fields(given, error, message):
    with pytest.raises(error, match=message):
        ExtensionConfig(**given)


def test_a_section_of_a_file_is_read(tmp_path):
    path = tmp_path / "experiment.toml"
    path.write_text("[model]\nx = 1\n[audio.frames]\nn_fft = 7\n")
    assert Frames.from_file(path, section="audio.frames").n_fft == 7
    with pytest.raises(
        ValueError, match=r"experiment\.toml has no section 'audio\.frame': 'frame' is not among frames"
    ):
        Frames.from_file(path, section="audio.frame")
    with pytest.raises(ValueError, match=r"experiment\.toml, section model: Frames: unknown key 'x'"):
        Frames.from_file(path, section="model")


def test_an_empty_file_gives_the_defaults(tmp_path):
    for name in ("empty.toml", "empty.yaml"):
        (tmp_path / name).write_text("")
        assert Frames.from_file(tmp_path / name) == Frames()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bad.toml", b"a = [\n"),
        ("bad.yaml", b"a: [\n"),
        ("bad.yaml", b"a: !!python/object:os.system x"),
        ("bad.toml", b"a = '\xff'"),
    ],
)
def test_an_unreadable_file_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} (cannot be parsed|is not UTF-8 text): "):
        Frames.from_file(tmp_path / name)


def test_other_suffixes_raise(tmp_path):
    for act in (Frames.from_file, FULL.to_file):
        with pytest.raises(ValueError, match=r"must end in \.toml, \.yaml or \.yml, got '.*config\.json'"):
            act(tmp_path / "config.json")
    with pytest.raises(FileNotFoundError):
        Frames.from_file(tmp_path / "none.toml")


def test_a_file_of_tables_suggests_a_section(tmp_path):
    path = tmp_path / "experiment.toml"
    path.write_text("[extension]\nweight = 2.0\n")
    with pytest.raises(ValueError, match=r"unknown key 'extension'(.|\n)*section='extension' reads one"):
        ExtensionConfig.from_file(path)
    assert ExtensionConfig.from_file(path, section="extension").weight == 2.0
