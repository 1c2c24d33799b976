"""The commands of artifex-core: their output and exit codes."""

import importlib.metadata
import json
import os
import pathlib
import pty
import re
import subprocess
import sys
import warnings

import pytest
from typer.testing import CliRunner

from artifex.generative_models.core import cli, registry
from artifex.generative_models.core.components.discovery import clear_scan

PARTS = {
    "gadget_parts": '''
def double(x, *, by: float = 2.0, offset=0):
    """Multiply.

    The factor may be
    anything.

    Args:
        x: The samples,
            in full scale.
        by: The factor.
        offset: The constant to add.

    Returns:
        The product.

    Raises:
        ValueError: Never.
        TypeError: For what is
            no number.

    Example:
        >>> double(2)
        4.0
    """
    return x * by + offset


def anything(x, **options):
    return x
'''
}


@pytest.fixture
def doubles(install, gadgets):
    return install("first-dist", {"artifex.gadgets": {"double": "gadget_parts:double"}}, modules=PARTS, version="1.5")


def test_list_names_components_with_distribution_and_version(artifex, doubles):
    code, out, err = artifex("list")
    assert (code, err) == (0, "")
    assert re.search(r"^gadget\n  A thing\.\n  double +first-dist +1\.5$", out, re.MULTILINE)
    assert re.search(r"^modality\n", out, re.MULTILINE)


def test_list_accepts_one_kind(artifex, doubles):
    code, out, _ = artifex("list", "gadget")
    assert code == 0
    assert out == "gadget\n  A thing.\n  double  first-dist  1.5\n"


def test_list_marks_an_empty_kind(artifex, gadgets):
    assert "(none installed)" in artifex("list", "gadget")[1]


def test_list_shows_a_conflict_and_its_remedy(artifex, doubles, install):
    install("second-dist", {"artifex.gadgets": {"double": "gadget_parts:double"}})
    _, out, _ = artifex("list", "gadget")
    assert "  double  first-dist   1.5  conflict: write double@first-dist\n" in out
    assert "  double  second-dist  1.0  conflict: write double@second-dist\n" in out


def test_list_shows_components_registered_in_this_process(artifex, doubles):
    registry("gadget").register("mine", abs)
    assert "  mine    (this process)\n" in artifex("list", "gadget")[1]


def test_list_prints_json(artifex, doubles):
    code, out, _ = artifex("list", "gadget", "--json")
    assert code == 0
    claim = {"distribution": "first-dist", "version": "1.5", "value": "gadget_parts:double"}
    assert json.loads(out) == {
        "gadget": {"summary": "A thing.", "group": "artifex.gadgets", "components": {"double": [claim]}}
    }
    everything = json.loads(artifex("list", "--json")[1])
    assert {"gadget", "modality", "extension", "dataset"} <= set(everything)


def test_list_imports_no_component(artifex, install, gadgets):
    install("broken-dist", {"artifex.gadgets": {"bad": "gadget_nowhere:bad"}})
    assert artifex("list", "gadget")[0] == 0


def test_list_warns_of_a_kind_that_is_declared_differently(artifex, install, gadgets):
    source = """
        from artifex.generative_models.core import Kind, hookimpl

        @hookimpl
        def artifex_kinds():
            return [Kind(name="gadget", group="artifex.other", summary="Another.", form="class")]
    """
    install("other-kinds", {"artifex": {"hooks": "other_hooks"}}, modules={"other_hooks": source})
    code, out, err = artifex("list")
    assert code == 0
    assert not re.search(r"^gadget$", out, re.MULTILINE)
    assert err == "artifex: kind 'gadget' skipped: gadget-kinds and other-kinds declare it differently\n"


def test_show_prints_source_options_and_documentation(artifex, doubles):
    code, out, err = artifex("show", "gadget", "double")
    assert (code, err) == (0, "")
    assert (
        out
        == f"""\
double  gadget, first-dist 1.5
Multiply.

The factor may be anything.

double(x, *, by=2.0, offset=0)

Arguments passed by the caller
  x  The samples, in full scale.

Options
  by      float  = 2.0  The factor.
  offset         = 0    The constant to add.

Returns
  The product.

Raises
  ValueError: Never.
  TypeError: For what is no number.

Example
  >>> double(2)
  4.0

Source
  gadget_parts:double
  {doubles.folder / "gadget_parts.py"}:2

Provided by
  first-dist 1.5  the only distribution that provides it
"""
    )


def test_show_accepts_name_at_distribution(artifex, doubles, install):
    install("second-dist", {"artifex.gadgets": {"double": "gadget_parts:double"}}, version="3.0")
    code, out, err = artifex("show", "gadget", "double")
    assert (code, out) == (2, "")
    assert err.startswith(
        "artifex: gadget 'double' is provided by first-dist 1.5 and second-dist 3.0; write 'double@first-dist'"
    )
    code, out, _ = artifex("show", "gadget", "double@second-dist")
    assert code == 0
    assert out.startswith("double  gadget, second-dist 3.0\n")


def test_show_without_fixed_options_and_documentation(artifex, doubles, install):
    install("more-dist", {"artifex.gadgets": {"anything": "gadget_parts:anything"}})
    _, out, _ = artifex("show", "gadget", "anything")
    assert "(no documentation)" in out
    assert "any  all keyword arguments are accepted" in out


def test_show_prints_a_component_registered_in_this_process(artifex, gadgets):
    registry("gadget").register("mine", abs)
    _, out, _ = artifex("show", "gadget", "mine")
    assert out.startswith("mine  gadget, registered in this process\n")


def test_show_prints_the_constructor_of_a_class(artifex, fresh_registry):
    from artifex.generative_models.extensions.base import ModelExtension

    registry("extension").register("plain", ModelExtension)
    _, out, _ = artifex("show", "extension", "plain")
    assert "ModelExtension(config, *, rngs=None)" in out
    assert re.search(r"config +ExtensionConfig +\(required\)", out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("list", "gadgte"), "no kind of component 'gadgte' is installed. Did you mean 'gadget'?"),
        (
            ("show", "gadget", "duoble"),
            "no gadget 'duoble' is installed. Did you mean 'double'? Available: double",
        ),
        (("show", "gadget"), "Missing argument 'name'. See artifex show --help"),
        (("list", "--jsn"), "No such option: --jsn"),
        (("lsit",), "No such command 'lsit'"),
    ],
)
def test_a_usage_error_is_one_line_and_exit_code_2(artifex, doubles, arguments, message):
    code, out, err = artifex(*arguments)
    assert (code, out) == (2, "")
    assert re.sub("(?i)argument 'NAME'", "argument 'name'", err).startswith(f"artifex: {message}")
    assert err.count("\n") == 1


def test_show_of_a_broken_component_is_an_error(artifex, install, gadgets):
    install("broken-dist", {"artifex.gadgets": {"bad": "gadget_nowhere:bad"}})
    code, out, err = artifex("show", "gadget", "bad")
    assert (code, out) == (2, "")
    assert err.startswith(
        "artifex: gadget 'bad' of broken-dist 1.0 (gadget_nowhere:bad) cannot be loaded: ModuleNotFound"
    )


def test_no_command_lists_the_commands(artifex):
    code, out, err = artifex()
    assert code == 2
    for command in ("list", "show", "doctor"):
        assert command in out + err


def problems_of(out: str) -> dict[str, str]:
    """Return the remedy of each problem that ``doctor`` prints."""
    return dict(re.findall(r"^  \d+\. (.*)\n(?:     -> (.*)\n)?", out, re.MULTILINE))


def test_doctor_finds_no_problem_in_a_valid_installation(artifex, doubles):
    code, out, err = artifex("doctor")
    assert out.endswith("No problems found.\n"), out
    assert (code, err) == (0, "")
    assert re.search(rf"Python +{sys.version_info.major}\.{sys.version_info.minor}", out)
    import jax

    for package in ("artifex-core", "jax", "jaxlib", "flax", "numpy"):
        assert re.search(rf"^  {package} +\d", out, re.MULTILINE)
    assert f" {jax.__version__}\n" in out
    assert re.search(rf"^Devices\n  {jax.default_backend()} +{jax.device_count()} x ", out, re.MULTILINE)
    assert re.search(r"^  gadget +1$", out, re.MULTILINE)
    assert re.search(r"^  first-dist +1\.5$", out, re.MULTILINE)


NEEDY = "Metadata-Version: 2.1\nName: needy-dist\nVersion: 1.0\n"
SETUPS = {
    "broken component": (
        lambda install: install("broken-dist", {"artifex.gadgets": {"bad": "gadget_nowhere:bad"}}),
        r"broken-dist 1\.0: gadget 'bad' \(gadget_nowhere:bad\) cannot be loaded: ModuleNotFoundError: .*",
        r"pip install the missing module, or disable it with ARTIFEX_DISABLE_PLUGINS=broken-dist",
    ),
    "broken plugin": (
        lambda install: install("broken-dist", {"artifex": {"hooks": "bad_hooks"}}, modules={"bad_hooks": "1 / 0"}),
        r"plugin skipped: broken-dist: hooks = bad_hooks: ZeroDivisionError: division by zero",
        r"pip install --upgrade broken-dist, report it to its authors, or disable it with .*=broken-dist",
    ),
    "broken commands": (
        lambda install: install(
            "broken-dist",
            {"artifex": {"hooks": "bad_hooks"}},
            modules={
                "bad_hooks": "from artifex.generative_models.core import hookimpl\n"
                "@hookimpl\ndef artifex_commands(app): 1 / 0"
            },
        ),
        r"commands of broken-dist skipped: ZeroDivisionError: division by zero",
        r".*ARTIFEX_DISABLE_PLUGINS=broken-dist",
    ),
    "conflict": (
        lambda install: install("second-dist", {"artifex.gadgets": {"double": "gadget_parts:double"}}),
        r"gadget 'double' is provided by first-dist 1\.5 and second-dist 1\.0",
        r"write double@first-dist or double@second-dist",
    ),
    "group of no kind": (
        lambda install: install("lost-dist", {"artifex.gadget": {"part": "gadget_parts:double"}}),
        r"part of lost-dist cannot be used: no installed distribution declares a kind with the "
        r"entry-point group 'artifex\.gadget'\. Did you mean 'artifex\.gadgets'.*",
        r"install the distribution that declares it, or disable it with .*=lost-dist",
    ),
    "missing requirement": (
        lambda install: install(
            "needy-dist",
            {"artifex.gadgets": {"part": "gadget_parts:double"}},
            metadata=f"{NEEDY}Requires-Dist: no-such-package>=1\n",
        ),
        r"needy-dist requires no-such-package, which is not installed",
        r"pip install no-such-package",
    ),
    "requirement of another version": (
        lambda install: install(
            "needy-dist",
            {"artifex.gadgets": {"part": "gadget_parts:double"}},
            metadata=f"{NEEDY}Requires-Dist: attrs>=999.0\n",
        ),
        r"needy-dist 1\.0 requires attrs>=999\.0, but .* is installed",
        r"pip install --upgrade needy-dist 'attrs>=999\.0'",
    ),
    "malformed metadata": (
        lambda install: install("malformed-dist", "[artifex.gadgets]\nno equals sign\n"),
        r"plugin skipped: malformed-dist: metadata: ValueError: entry_points.txt contains a line that is not name = value",
        r"pip install --upgrade malformed-dist, .*",
    ),
}


@pytest.mark.parametrize("setup", SETUPS)
def test_doctor_prints_each_problem_with_its_remedy(artifex, doubles, install, setup):
    make, what, remedy = SETUPS[setup]
    make(install)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        code, out, _ = artifex("doctor")
    found = problems_of(out)
    assert code == 1
    assert "1 problem:" in out
    assert len(found) == 1
    assert re.fullmatch(what, next(iter(found)))
    assert re.fullmatch(remedy, next(iter(found.values())))


def test_doctor_prints_all_problems(artifex, doubles, install):
    for setup in ("conflict", "group of no kind", "missing requirement"):
        SETUPS[setup][0](install)
    code, out, _ = artifex("doctor")
    assert code == 1
    assert "3 problems:" in out
    assert len(problems_of(out)) == 3


def test_doctor_names_a_stray_init_file(artifex, doubles):
    stray = doubles.folder / "artifex" / "generative_models" / "modalities" / "__init__.py"
    stray.parent.mkdir(parents=True)
    stray.write_text("")
    code, out, _ = artifex("doctor")
    assert code == 1
    assert f"{stray} makes artifex.generative_models.modalities an ordinary package" in out


def test_doctor_notes_disabled_plugins(artifex, doubles, monkeypatch):
    monkeypatch.setenv("ARTIFEX_DISABLE_PLUGINS", "first-dist")
    clear_scan()
    code, out, _ = artifex("doctor")
    assert code == 0
    assert "Note: ARTIFEX_DISABLE_PLUGINS=first-dist disables first-dist.\n" in out


def test_doctor_reports_a_jax_that_does_not_start(artifex, doubles, monkeypatch):
    import jax

    def fail():
        raise RuntimeError("no\ndevice")

    monkeypatch.setattr(jax, "devices", fail)
    code, out, _ = artifex("doctor")
    assert code == 1
    assert list(problems_of(out)) == ["jax cannot start: RuntimeError: no device"]


def test_a_missing_optional_package_is_not_a_problem(artifex, doubles, install):
    requires = "Requires-Dist: no-such-package>=1; extra == 'fast'\n"
    install(
        "rich-dist",
        {"artifex.gadgets": {"part": "gadget_parts:double"}},
        metadata=f"Metadata-Version: 2.1\nName: rich-dist\nVersion: 1.0\n{requires}",
    )
    code, out, _ = artifex("doctor")
    assert code == 0
    assert re.search(r"no-such-package +not installed +pip install 'rich-dist\[fast\]'", out)


def on_a_terminal(*arguments: str, columns: int) -> str:
    """Run the command line on a terminal of a given width and return its output without styles."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    command = [sys.executable, "-m", "artifex_cli", *arguments]
    with subprocess.Popen(command, stdout=follower, stderr=follower, env=environment) as running:
        os.close(follower)
        shown = b""
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:  # on Linux, the other side is closed
                break
            if not part:
                break
            shown += part
    os.close(leader)
    assert running.returncode == 0, shown.decode()
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [80, 200])
def test_output_is_wrapped_to_the_terminal_width(columns):
    shown = on_a_terminal("list", columns=columns)
    assert max(len(line) for line in shown.splitlines()) <= columns
    for kind in ("modality", "extension", "dataset"):
        assert re.search(rf"^{kind}$", shown, re.MULTILINE)


def test_piped_output_is_plain_text(tmp_path):
    ran = subprocess.run([sys.executable, "-m", "artifex_cli", "list"], capture_output=True, text=True, check=True)
    assert "\x1b" not in ran.stdout
    assert not re.search("[─│╭]", ran.stdout)
    assert not any(line.endswith(" ") for line in ran.stdout.splitlines())


def test_show_prints_the_fields_of_a_value(artifex, install):
    hooks = """
        from artifex.generative_models.core import Kind, hookimpl

        @hookimpl
        def artifex_kinds():
            return [Kind(name="setting", group="artifex.settings", summary="Values.", form="value")]
    """
    values = '''
        import attrs

        @attrs.frozen(kw_only=True)
        class Setting:
            """How it is set.

            Args:
                size: In samples.
            """

            size: int = 3

        small = Setting(size=2)
    '''
    entries = {"artifex": {"hooks": "setting_hooks"}, "artifex.settings": {"small": "setting_values:small"}}
    install("setting-dist", entries, modules={"setting_hooks": hooks, "setting_values": values})
    _, out, _ = artifex("show", "setting", "small")
    assert out.startswith("small  setting, setting-dist 1.0\nHow it is set.\n\nSetting(*, size=2)\n")
    assert re.search(r"^  size  int  = 2  In samples\.$", out, re.MULTILINE)


def test_version_option_prints_the_version(artifex):
    code, out, _ = artifex("--version")
    assert (code, out) == (0, f"artifex {importlib.metadata.version('artifex-core')}\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a device that is always full")
def test_a_full_disk_is_one_line_with_its_own_exit_code():
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "artifex_cli", "list", "--json"]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    message = "artifex: the output cannot be written: No space left on device; free space, or write to another disk\n"
    assert (ended.returncode, ended.stderr) == (3, message)


def test_a_reader_that_ends_early_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run([sys.executable, "-m", "artifex_cli", "list"], stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_a_generated_package_that_cannot_be_written_leaves_nothing(artifex, tmp_path, monkeypatch):
    def fail(path, *arguments, **options):
        raise OSError(28, os.strerror(28), str(path))

    monkeypatch.setattr(pathlib.Path, "write_text", fail)
    code, _, err = artifex("new", "plugin", "ambulance", "--out", str(tmp_path))
    assert (code, err.count("\n")) == (3, 1)
    assert f"{tmp_path / 'artifex-plugin-ambulance'} cannot be written: No space left on device" in err
    assert list(tmp_path.iterdir()) == []


def test_names_of_entry_points_are_printed_without_control_characters(artifex, gadgets, install):
    name = "double\x1b[2J\x07"
    install("first-dist", {"artifex.gadgets": {name: "gadget_parts:double"}}, modules=PARTS)
    install("second-dist", {"artifex.gadgets": {name: "gadget_parts:missing"}, "artifex.gadgest": {name: "a:b"}})
    shown = "double\\x1b[2J\\x07"
    for arguments in (("list",), ("show", "gadget", name), ("show", "gadget", f"{name}@first-dist"), ("doctor",)):
        _, out, err = artifex(*arguments)
        assert shown in out + err
        assert (out + err).replace("\n", "").isprintable()


def test_help_reflows_paragraphs(monkeypatch):
    def measure():
        """Measure the level.

        This sentence is broken
        in the middle.
        """

    monkeypatch.setenv("COLUMNS", "100")
    app = cli.build()
    app.command()(measure)
    assert "This sentence is broken in the middle." in CliRunner().invoke(app, ["measure", "--help"]).output
