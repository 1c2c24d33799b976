"""``artifex new plugin``: the written files and their names, and invalid arguments."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

from artifex.generative_models.core import kinds
from artifex.generative_models.core.cli.scaffold import MAX_NAME_LENGTH, TEMPLATES, add_to, write_plugin

ALL = list(TEMPLATES)
GUIDE = Path(__file__).parents[2] / "docs" / "five-minutes.md"


@pytest.fixture
def package(tmp_path):
    return write_plugin("my-tide", ALL, out=tmp_path)


def run(*arguments):
    app = typer.Typer()
    app.command("other")(lambda: None)
    add_to(app)
    return CliRunner().invoke(app, ["new", "plugin", *map(str, arguments)])


def entry_points(package):
    return tomllib.loads((package / "pyproject.toml").read_text())["project"]["entry-points"]


def test_every_template_has_a_declared_kind_and_its_group():
    assert {name: template.group for name, template in TEMPLATES.items()} == {
        name: kinds()[name].group for name in TEMPLATES
    }


def test_the_package_has_a_module_and_a_test_for_each_kind_and_project_files(package):
    files = {str(path.relative_to(package)) for path in package.rglob("*") if path.is_file()}
    modules = [template.module for template in TEMPLATES.values()]
    source = "src/artifex_plugin_my_tide"
    assert files == {
        "pyproject.toml",
        "README.md",
        ".gitignore",
        ".github/workflows/ci.yml",
        "tests/conftest.py",
        "tests/test_conformance.py",
        *(f"tests/test_{module}.py" for module in modules),
        *(f"{source}/{name}" for name in ("__init__.py", "py.typed", *(f"{module}.py" for module in modules))),
    }


def test_each_entry_point_names_an_object_of_its_module(package):
    named = entry_points(package)
    assert set(named) == {template.group for template in TEMPLATES.values()}
    for group in named.values():
        ((name, value),) = group.items()
        module, _, attribute = value.partition(":")
        tree = ast.parse((package / "src" / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
        defined = {getattr(node, "name", None) for node in tree.body}
        defined |= {target.id for node in tree.body if isinstance(node, ast.Assign) for target in node.targets}
        assert name == "my_tide"
        assert attribute in defined


def test_every_written_file_can_be_parsed(package):
    for path in package.rglob("*.py"):
        compile(path.read_text(encoding="utf-8"), str(path), "exec", dont_inherit=True)
    for path in package.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert "{%" not in text
            assert "{{" not in text.replace("${{ matrix.python }}", "")
            assert not text.endswith("\n\n")


def test_ci_tests_the_package_with_pip_on_every_python(package):
    workflow = yaml.safe_load((package / ".github/workflows/ci.yml").read_text())
    job = workflow["jobs"]["test"]
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert [step["run"] for step in job["steps"] if "run" in step] == [
        'python -m pip install -e ".[test]"',
        "python -m pytest",
    ]


@pytest.mark.parametrize("name", ["a", "my-tide", "a" * MAX_NAME_LENGTH])
def test_ruff_finds_nothing_for_any_name(tmp_path, name):
    pytest.importorskip("ruff")
    package = write_plugin(name, ALL, out=tmp_path)
    rules = "B,D,E,F,I,N,PT,RUF,SIM,UP,W"
    options = ["--select", rules, "--ignore", "D105,D107,RUF001,RUF002,RUF003", "--no-cache"]
    convention = 'lint.pydocstyle.convention = "google"'
    per_file = 'lint.per-file-ignores = { "tests/**" = ["D"] }'
    for command in (
        ["check", *options, "--config", convention, "--config", per_file],
        ["format", "--check", "--no-cache"],
    ):
        ran = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "."],
            cwd=package,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("kind", "owners"),
    [
        ("extension", ["artifex-core"]),
        ("window", ["artifex-core", "artifex-spectral"]),
        ("preset", ["artifex-core", "artifex-spectral"]),
        ("audio_type", ["artifex-core", "artifex-audio"]),
        ("dataset", ["artifex-core", "artifex-audio"]),
    ],
)
def test_a_package_depends_on_core_and_on_the_owner_of_its_kind(tmp_path, kind, owners):
    package = write_plugin("tide", [kind], out=tmp_path)
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    assert [requirement.partition(">=")[0] for requirement in project["dependencies"]] == owners
    assert list(project["entry-points"]) == [TEMPLATES[kind].group]
    assert project["optional-dependencies"] == {"test": ["pytest>=8.3"]}


@pytest.mark.parametrize("name", ["my-tide", "artifex-plugin-my-tide", "My_Tide", "my.tide", "Artifex_Plugin.my_tide"])
def test_names_of_plugins_are_normalized(tmp_path, name):
    package = write_plugin(name, ["dataset"], out=tmp_path)
    assert package == tmp_path / "artifex-plugin-my-tide"
    assert entry_points(package) == {"artifex.datasets": {"my_tide": "artifex_plugin_my_tide.datasets:MyTide"}}


@pytest.mark.parametrize(
    "name", ["", "8bit", "a/b", "../a", "a b", "-a", "a-", "ä", "artifex-plugin-", "a" * (MAX_NAME_LENGTH + 1)]
)
def test_an_invalid_name_raises(tmp_path, name):
    with pytest.raises(ValueError, match="a plugin's name must start with a letter"):
        write_plugin(name, out=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("class", "window"),
        ("filter", "window"),
        ("true", "dataset"),
        ("np", "window"),
        ("extension", "extension"),
    ],
)
def test_a_name_that_shadows_a_keyword_builtin_or_import_raises(tmp_path, name, kind):
    with pytest.raises(ValueError, match="choose another name"):
        write_plugin(name, [kind], out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_name_of_another_distribution_raises(tmp_path, install):
    install("someones-windows", {"artifex.windows": {"my_tide": "someones:window"}})
    with pytest.raises(ValueError, match=r"'my_tide' is already provided by someones-windows; .* my-my-tide"):
        write_plugin("my-tide", ["window"], out=tmp_path / "out")
    assert write_plugin("my-tide", ["dataset"], out=tmp_path / "out").is_dir()


def test_a_package_can_be_written_again_while_it_is_installed(tmp_path, install):
    install("artifex-plugin-my-tide", {"artifex.windows": {"my_tide": "artifex_plugin_my_tide.windows:my_tide"}})
    assert write_plugin("my-tide", ["window"], out=tmp_path / "out").is_dir()


@pytest.mark.parametrize("expression", ["MIT", "Apache-2.0 OR MIT", "GPL-3.0-or-later WITH GCC-exception-3.1"])
def test_the_license_is_in_the_metadata(tmp_path, expression):
    package = write_plugin("tide", out=tmp_path, license=expression)
    assert tomllib.loads((package / "pyproject.toml").read_text())["project"]["license"] == expression


@pytest.mark.parametrize("expression", ["", 'MIT"', "my own", "MIT OR"])
def test_an_invalid_license_expression_raises(tmp_path, expression):
    with pytest.raises(ValueError, match="license must be an SPDX expression"):
        write_plugin("tide", out=tmp_path, license=expression)


def test_an_unknown_kind_raises_with_close_matches_and_all_kinds(tmp_path):
    with pytest.raises(ValueError, match=f"'windw'.*Did you mean 'window'.*Valid kinds: {', '.join(ALL)}"):
        write_plugin("tide", ["audio_type", "windw"], out=tmp_path)
    with pytest.raises(ValueError, match="at least one of: audio_type"):
        write_plugin("tide", [], out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_existing_files_are_never_overwritten(tmp_path):
    target = tmp_path / "artifex-plugin-tide"
    target.mkdir()
    (target / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="artifex-plugin-tide already exists"):
        write_plugin("tide", out=tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["artifex-plugin-tide", "notes.txt"]
    (target / "notes.txt").unlink()
    assert (write_plugin("tide", out=tmp_path) / "pyproject.toml").is_file()


def test_a_file_at_the_path_of_the_folder_raises(tmp_path):
    (tmp_path / "artifex-plugin-tide").write_text("")
    with pytest.raises(FileExistsError, match="already exists"):
        write_plugin("tide", out=tmp_path)


def test_a_failure_leaves_no_files(tmp_path, monkeypatch):
    written = []

    def full(self, *arguments, **options):
        written.append(self)
        if len(written) == 5:
            raise OSError("no space left")
        return write(self, *arguments, **options)

    write = Path.write_text
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="no space left"):
        write_plugin("tide", out=tmp_path)
    assert len(written) == 5
    assert not list(tmp_path.iterdir())


def test_the_folder_has_default_permissions_and_its_parents_are_created(tmp_path):
    ordinary = tmp_path / "ordinary"
    ordinary.mkdir()
    package = write_plugin("tide", out=tmp_path / "some" / "where")
    assert package.stat().st_mode == ordinary.stat().st_mode
    assert list(package.parent.iterdir()) == [package]


def test_the_command_accepts_kinds_separated_by_commas_and_prints_the_next_steps(tmp_path):
    result = run("tide", "--kind", "window, preset,window", "--out", tmp_path, "--license", "MIT")
    target = tmp_path / "artifex-plugin-tide"
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        f"Wrote {target}. Next:",
        f"  cd {target}",
        '  pip install -e ".[test]"',
        "  pytest",
    ]
    assert set(entry_points(target)) == {"artifex.windows", "artifex.presets"}


def test_by_default_the_command_writes_an_audio_type_to_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("tide")
    assert "  cd artifex-plugin-tide\n" in result.output
    assert set(entry_points(tmp_path / "artifex-plugin-tide")) == {"artifex.audio_types"}


def test_writing_a_package_imports_no_jax(tmp_path):
    code = (
        "import sys; from artifex.generative_models.core.cli.scaffold import TEMPLATES, write_plugin; "
        f"write_plugin('tide', list(TEMPLATES), out={str(tmp_path)!r}); "
        "sys.exit(any(name.partition('.')[0] in ('jax', 'jaxlib', 'flax') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_docs_list_the_written_files(tmp_path, monkeypatch):
    guide = GUIDE.read_text(encoding="utf-8")
    for template in TEMPLATES.values():
        assert f"| `{template.name}` | {template.summary} | `{template.module}.py` |\n" in guide
    monkeypatch.chdir(tmp_path)
    assert f"```\n{run('ambulance').output}```\n" in guide
    package = tmp_path / "artifex-plugin-ambulance"
    drawn = guide.partition("artifex-plugin-ambulance/\n")[2].partition("```")[0]
    for line in drawn.splitlines():
        assert (package / line.split()[0]).is_file()
