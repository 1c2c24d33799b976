"""Pins: the project's artifex.toml selects the distribution that provides a name, and errors in it are reported."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from artifex.generative_models.core import (
    ConflictingComponentError,
    PluginWarning,
    UnknownComponentError,
    create,
    refresh,
    registry,
    resolve,
)
from artifex.generative_models.core.components.pins import active_pins


@pytest.fixture
def project(fresh_registry, monkeypatch, tmp_path):
    """Change to an empty folder; return a function that writes a file there, by default the file of pins."""
    monkeypatch.delenv("ARTIFEX_CONFIG", raising=False)
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def write(text: str | bytes, name: str = "artifex.toml") -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        refresh()
        return path

    return write


@pytest.fixture
def conflict(project, install, gadgets):
    """Install two distributions that both provide the gadget ``double``; each returns its own name."""
    for name in ("first-dist", "second-dist"):
        module = f"{name.replace('-', '_')}_parts"
        source = f"def double(x, *, by=2):\n    return {name!r}, by\n"
        install(name, {"artifex.gadgets": {"double": f"{module}:double"}}, modules={module: source})


SECOND = '[components.gadget]\ndouble = "second-dist"\n'


def test_a_pin_selects_a_claim_wherever_a_name_is_accepted(conflict, project):
    with pytest.raises(ConflictingComponentError, match=r"or pin one in artifex\.toml"):
        registry("gadget")["double"]
    project(SECOND)
    assert registry("gadget")["double"](0) == ("second-dist", 2)
    assert registry("gadget").get("double")(0) == ("second-dist", 2)
    assert create("gadget", "double", by=3)(0) == ("second-dist", 3)
    assert resolve("gadget", ("double", {"by": 4}))(0) == ("second-dist", 4)
    project(SECOND.replace("second", "first"))
    assert registry("gadget")["double"](0) == ("first-dist", 2)


@pytest.mark.parametrize("spelling", ["Second_Dist", "second.dist", " second-dist "])
def test_names_of_pinned_distributions_are_normalized(conflict, project, spelling):
    project(f'components.gadget.double = "{spelling}"\n')
    assert registry("gadget")["double"](0)[0] == "second-dist"


def test_name_at_distribution_overrides_the_pin(conflict, project):
    project(SECOND)
    assert registry("gadget")["double@first-dist"](0)[0] == "first-dist"
    assert registry("gadget").choice("double@first-dist").reason == "requested by name@distribution"


def test_a_component_registered_in_this_process_overrides_the_pin(conflict, project):
    project(SECOND)
    registry("gadget").register("double", abs, replace=True)
    assert registry("gadget")["double"] is abs
    choice = registry("gadget").choice("double")
    assert choice.reason == "registered in this process"
    assert [claim.distribution for claim in choice.others] == ["first-dist", "second-dist"]
    registry("gadget").unregister("double")
    assert registry("gadget")["double"](0)[0] == "second-dist"


def test_a_choice_contains_its_reason_and_the_other_claims(conflict, project, install):
    path = project(SECOND)
    choice = registry("gadget").choice("double")
    assert choice.claim.distribution == "second-dist"
    assert choice.reason == f"pinned by {path}"
    assert [claim.distribution for claim in choice.others] == ["first-dist"]
    install("third-dist", {"artifex.gadgets": {"treble": "no_such_module_anywhere:treble"}})
    alone = registry("gadget").choice("treble")
    assert (alone.claim.distribution, alone.reason, alone.others) == (
        "third-dist",
        "the only distribution that provides it",
        (),
    )


def test_a_pin_to_a_distribution_that_does_not_provide_the_name_raises(conflict, project):
    path = project('# ours\n[components.gadget]\ndouble = "secnod-dist"\n')
    wanted = (
        f"{path}, line 3: gadget 'double' is pinned to secnod-dist, which does not provide it. "
        f"Did you mean 'second-dist'? It is provided by first-dist 1.0 and second-dist 1.0"
    )
    with pytest.raises(UnknownComponentError) as caught:
        registry("gadget")["double"]
    assert str(caught.value) == wanted
    assert "double" in registry("gadget")
    assert registry("gadget")["double@first-dist"](0)[0] == "first-dist"


def test_a_pin_raises_if_only_another_distribution_provides_the_name(project, install, gadgets):
    install("first-dist", {"artifex.gadgets": {"double": "builtins:abs"}})
    project(SECOND)
    with pytest.raises(UnknownComponentError, match=r"pinned to second-dist.*provided by first-dist 1\.0"):
        registry("gadget")["double"]


def test_a_pin_to_a_disabled_distribution_raises(conflict, project, monkeypatch):
    project(SECOND)
    monkeypatch.setenv("ARTIFEX_DISABLE_PLUGINS", "second-dist")
    refresh()
    with pytest.raises(UnknownComponentError, match="disabled by ARTIFEX_DISABLE_PLUGINS: second-dist"):
        registry("gadget")["double"]


def test_the_nearest_file_in_the_parent_folders_is_used(conflict, project, monkeypatch):
    project(SECOND)
    inner = project(SECOND.replace("second", "first"), "inner/artifex.toml")
    below = inner.parent / "deep" / "down"
    below.mkdir(parents=True)
    (below / "artifex.toml").mkdir()
    monkeypatch.chdir(below)
    refresh()
    assert registry("gadget").choice("double").reason == f"pinned by {inner}"
    inner.unlink()
    refresh()
    assert registry("gadget")["double"](0)[0] == "second-dist"


def test_the_environment_variable_selects_the_file(conflict, project, monkeypatch):
    project(SECOND)
    other = project(SECOND.replace("second", "first"), "elsewhere/choice.toml")
    monkeypatch.setenv("ARTIFEX_CONFIG", str(other))
    refresh()
    assert registry("gadget").choice("double").reason == f"pinned by {other}"
    monkeypatch.setenv("ARTIFEX_CONFIG", "")
    refresh()
    assert registry("gadget")["double"](0)[0] == "second-dist"


def test_the_file_is_read_once_until_refresh(conflict, project):
    path = project(SECOND)
    assert registry("gadget")["double"](0)[0] == "second-dist"
    path.write_text(SECOND.replace("second", "first"))
    assert registry("gadget")["double"](0)[0] == "second-dist"
    refresh()
    assert registry("gadget")["double"](0)[0] == "first-dist"
    path.unlink()
    refresh()
    with pytest.raises(ConflictingComponentError):
        registry("gadget")["double"]


def test_a_deleted_working_directory_has_no_file(conflict, project, monkeypatch, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    refresh()
    with pytest.raises(ConflictingComponentError):
        registry("gadget")["double"]


@pytest.mark.parametrize("missing", ["nowhere.toml", "."])
def test_an_unreadable_file_of_the_environment_variable_raises(conflict, project, monkeypatch, missing):
    monkeypatch.setenv("ARTIFEX_CONFIG", missing)
    refresh()
    with pytest.raises(OSError, match=rf"^{re.escape(missing)}, which ARTIFEX_CONFIG names, cannot be read: "):
        registry("gadget")["double"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("[components.gadget]\ndouble = first-dist\n", 2, "Invalid value"),
        ("[components.gadget\n", 1, "Expected ']'"),
        ('[components.gadget]\ndouble = "a"\ndouble = "b"\n', 3, "Cannot overwrite a value"),
        (b'[components.gadget]\ndouble = "\xff"\n', 2, "the file is not UTF-8 text"),
        ('\n[component.gadget]\ndouble = "a"\n', 2, "unknown table 'component'. Did you mean 'components'?"),
        ("color = 3\n", 1, "unknown table 'color'. artifex.toml may contain: components"),
        ("[[components]]\n", 1, "components must be a table, got [{}]; write [components.audio_type] with"),
        ('[components]\ngadget = "a"\n', 2, "components.gadget must be a table, got 'a'; write "),
        ("[components.gadget]\n\ndouble = 3\n", 3, "double must be the name of a distribution in quotes, got 3"),
        ('components.gadget = {a = "b", double = ""}\n', 1, "double must be the name of a distribution in quotes"),
        ('[components.gadget]\n"x y" = "a"\n"d e" = ["b"]\n', 3, "d e must be the name of a distribution"),
    ],
)
def test_a_malformed_file_raises_with_its_name_and_line(conflict, project, text, line, message):
    path = project(text)
    for _ in range(2):
        with pytest.raises(ValueError, match=re.escape(message)) as caught:
            registry("gadget")["double"]
        assert str(caught.value).startswith(str(path))
        assert re.search(rf"\bline {line}\b", str(caught.value))
    assert list(registry("gadget")) == ["double"]
    assert registry("gadget")["double@first-dist"](0)[0] == "first-dist"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[components.gadgte]\ndouble = "first-dist"\n',
            "line 1: no kind of component 'gadgte' is installed. Did you mean 'gadget'?",
        ),
        (
            '[components.gadget]\nduoble = "first-dist"\n',
            "line 2: no gadget 'duoble' is installed. Did you mean 'double'?",
        ),
    ],
)
def test_an_unused_pin_is_one_warning_with_close_matches(conflict, project, text, message):
    path = project(f"{text}[components.modality]\n")
    with pytest.warns(PluginWarning) as caught:
        choices = [active_pins().distributions for _ in range(2)]
    assert len(choices[0]) == 1
    with pytest.raises(ConflictingComponentError):
        registry("gadget")["double"]
    assert [str(each.message) for each in caught] == [f"{path}, {message}"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "[components]\n", "[components.gadget]\n"])
def test_a_file_without_pins_changes_nothing(conflict, project, text):
    project(text)
    with pytest.raises(ConflictingComponentError):
        registry("gadget")["double"]


def test_without_a_file_each_parent_is_checked_once_and_nothing_is_opened(project, monkeypatch):
    asked = []
    monkeypatch.setattr(os.path, "isfile", lambda path: asked.append(str(path)))
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} is read"))
    refresh()
    for _ in range(3):
        assert not active_pins().distributions
    here = Path.cwd()
    assert [path for path in asked if path.endswith("artifex.toml")] == [
        str(folder / "artifex.toml") for folder in (here, *here.parents)
    ]


def test_pins_are_read_without_jax(tmp_path):
    (tmp_path / "artifex.toml").write_text('[components.modality]\naudio = "artifex-audio"\n')
    code = (
        "import sys; from artifex.generative_models.core import registry; "
        "print(registry('modality').choice('audio').reason); sys.exit('jax' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == f"pinned by {tmp_path / 'artifex.toml'}\n"


def test_a_synthetic_dataset_renders_the_pinned_audio_type(project, install):
    import jax.numpy as jnp

    from artifex.generative_models.modalities.audio.base import AudioModalityConfig
    from artifex.generative_models.modalities.audio.datasets import SyntheticAudioDataset

    source = """
        import jax.numpy as jnp

        def sine(key, *, n_time_steps, sample_rate):
            return jnp.full(n_time_steps, 0.25)
    """
    install("other-dist", {"artifex.audio_types": {"sine": "other_parts:sine"}}, modules={"other_parts": source})
    project('[components.audio_type]\nsine = "other-dist"\n')
    config = AudioModalityConfig(sample_rate=8000, duration=0.01, normalize=False)
    dataset = SyntheticAudioDataset(config, n_samples=1, audio_types=["sine"])
    assert jnp.array_equal(jnp.asarray(dataset[0]["audio"]), jnp.full(80, 0.25))


def test_show_prints_the_selected_claim_and_the_reason(conflict, project, artifex):
    path = project(SECOND)
    code, out, _ = artifex("show", "gadget", "double")
    assert code == 0
    assert out.startswith("double  gadget, second-dist 1.0\n")
    assert out.endswith(f"\nProvided by\n  second-dist 1.0  pinned by {path}\n  first-dist 1.0   not selected\n")
    _, out, _ = artifex("show", "gadget", "double@first-dist")
    assert out.endswith(
        "\nProvided by\n  first-dist 1.0   requested by name@distribution\n  second-dist 1.0  not selected\n"
    )
    registry("gadget").register("double", abs, replace=True)
    _, out, _ = artifex("show", "gadget", "double")
    assert "\nProvided by\n  (this process)   registered in this process\n  first-dist 1.0   not selected\n" in out


def test_list_marks_pinned_components(conflict, project, artifex):
    path = project(SECOND)
    _, out, _ = artifex("list", "gadget")
    assert "  double  first-dist   1.0  not selected: write double@first-dist\n" in out
    assert f"  double  second-dist  1.0  pinned by {path}\n" in out
    claims = json.loads(artifex("list", "gadget", "--json")[1])["gadget"]["components"]["double"]
    assert [(claim["distribution"], claim.get("pinned")) for claim in claims] == [
        ("first-dist", None),
        ("second-dist", True),
    ]
    project(SECOND.replace("second", "third"))
    assert artifex("list", "gadget")[1].count("  pinned to third-dist, which does not provide it: see") == 2


def test_list_fails_with_the_error_of_a_malformed_file(conflict, project, artifex):
    path = project("[components\n")
    code, out, err = artifex("list", "gadget")
    assert (code, out) == (2, "")
    assert err.startswith(f"artifex: {path}: ")


def test_doctor_prints_the_file_and_accepts_pinned_conflicts(conflict, project, artifex):
    path = project(SECOND)
    code, out, _ = artifex("doctor")
    assert code == 0, out
    assert f"Note: pins are read from {path}.\n" in out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SECOND.replace("second", "third"), "line 2: gadget 'double' is pinned to third-dist, which does not"),
        (SECOND + 'treble = "first-dist"\n', "line 3: no gadget 'treble' is installed."),
        (SECOND + '[components.widget]\na = "b"\n', "line 3: no kind of component 'widget' is installed."),
    ],
)
def test_doctor_prints_the_problems_of_pins(conflict, project, artifex, text, message):
    path = project(text)
    code, out, _ = artifex("doctor")
    assert code == 1
    assert "1 problem:" in out
    assert f"  1. {path}, {message}" in out
    assert "     -> correct " in out


def test_doctor_reports_a_malformed_file(conflict, project, artifex):
    path = project("[components\n")
    code, out, _ = artifex("doctor")
    assert code == 1
    assert f". {path}: Expected ']'" in out
    assert re.search(r"^  gadget +2$", out, re.MULTILINE)
