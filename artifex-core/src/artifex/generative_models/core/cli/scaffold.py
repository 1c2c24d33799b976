"""The command ``new plugin``: write an installable package with tested components from templates."""

from __future__ import annotations

import ast
import builtins
import keyword
import re
import shlex
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import attrs
import typer

from artifex.generative_models.core.components.discovery import scan
from artifex.generative_models.core.components.metadata import installed_version, normalize_name
from artifex.generative_models.core.errors import printable, suggest
from artifex.generative_models.core.files import disk_full_errors

PREFIX = "artifex-plugin-"
MAX_NAME_LENGTH = 40


@attrs.frozen(kw_only=True)
class Template:
    """The template of a component.

    Args:
        name: The kind.
        module: The module to write it to.
        object_name: Key of the object's name in ``_names_of(plugin)``: ``component``, ``classname`` or ``constant``.
        requires: The distribution that declares the kind.
        summary: Short description of the component in the template.
    """

    name: str
    module: str
    object_name: str
    requires: str
    summary: str

    @property
    def group(self) -> str:
        """The entry-point group."""
        return f"artifex.{self.name}s"


TEMPLATES: Mapping[str, Template] = {
    name: Template(name=name, module=module, object_name=object_name, requires=requires, summary=summary)
    for name, module, object_name, requires, summary in (
        ("audio_type", "sounds", "component", "artifex-audio", "a tone with exponential decay"),
        ("augmentation", "augmentations", "component", "artifex-audio", "a random overdrive"),
        ("window", "windows", "component", "artifex-spectral", "a power-of-sine window"),
        ("dataset", "datasets", "classname", "artifex-audio", "click tracks with their tempo"),
        ("extension", "extensions", "classname", "artifex-core", "the level over time, and a loss on it"),
        ("representation", "representations", "classname", "artifex-audio", "a companded waveform"),
        ("preset", "presets", "constant", "artifex-spectral", "mel features for speech recognition"),
    )
}

_FILES = {  # in addition to the files of each kind
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    ".gitignore": "gitignore",
    ".github/workflows/ci.yml": "ci.yml",
    "src/{package}/__init__.py": "init.py",
    "tests/conftest.py": "tests/conftest.py",
    "tests/test_conformance.py": "tests/test_conformance.py",
}


def add_to(app: typer.Typer) -> None:
    """Add the command ``new plugin``.

    Args:
        app: The command line.
    """
    group = typer.Typer(help="Create a package from a template.", no_args_is_help=True)
    group.command("plugin")(plugin)
    app.add_typer(group, name="new")


def plugin(
    name: Annotated[str, typer.Argument(help="The plugin's name: ambulance creates artifex-plugin-ambulance.")],
    kind: Annotated[
        str, typer.Option(help=f"The kinds of its components, separated by commas: {', '.join(TEMPLATES)}.")
    ] = "audio_type",
    out: Annotated[Path, typer.Option(help="The parent folder.", show_default="current folder")] = Path(),
    license: Annotated[str, typer.Option(help="Its license, an SPDX expression.")] = "Apache-2.0",  # noqa: A002
) -> None:
    """Write an installable package with one working, tested component of each kind."""
    kinds = [each.strip() for each in kind.split(",")]
    package = write_plugin(name, [each for each in kinds if each], out=out, license=license)
    print(f"Wrote {printable(package)}. Next:")
    print(f"  cd {printable(shlex.quote(str(package)))}")
    print('  pip install -e ".[test]"')
    print("  pytest")


def write_plugin(
    name: str,
    kinds: Sequence[str] = ("audio_type",),
    *,
    out: str | Path = ".",
    license: str = "Apache-2.0",  # noqa: A002
) -> Path:
    """Write the package of a plugin. If this fails, nothing is written.

    Args:
        name: Name of the plugin, with or without the prefix ``artifex-plugin-``. With ``ambulance``, the distribution is
            artifex-plugin-ambulance and each component is named ``ambulance``. The name starts with a letter and
            consists of letters and digits, with ``-``, ``_`` or ``.`` between parts; at most 40 characters.
        kinds: Kinds of components, from ``TEMPLATES``; one component of each kind is written.
        out: The folder in which the package's folder is created; created if it does not exist.
        license: The package's license, an SPDX expression.

    Returns:
        The package's folder.

    Raises:
        ValueError: For an invalid or taken name, an unknown kind, or an invalid license expression.
        FileExistsError: If the package's folder exists and is not empty.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     package = write_plugin("my-ambulance", ["window"], out=folder)
        ...     sorted(path.name for path in package.rglob("*.py"))
        ['__init__.py', 'conftest.py', 'test_conformance.py', 'test_windows.py', 'windows.py']
    """
    templates = [_template(kind) for kind in dict.fromkeys(kinds)]
    if not templates:
        raise ValueError(f"kinds must contain at least one of: {', '.join(TEMPLATES)}")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]*( (AND|OR|WITH) [A-Za-z0-9][A-Za-z0-9.+-]*)*", license):
        raise ValueError(f"license must be an SPDX expression such as 'MIT' or 'Apache-2.0 OR MIT', got {license!r}")
    names = _names_of(name)
    _check_not_taken(names, templates)
    target = Path(out) / names["distribution"]
    if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
        raise FileExistsError(f"{target} already exists: move it, or choose another name or folder (out)")
    _write_package(target, _render(names, templates, license))
    return target


def _template(kind: str) -> Template:
    if kind not in TEMPLATES:
        valid = ", ".join(TEMPLATES)
        raise ValueError(f"there is no template for the kind {kind!r}.{suggest(kind, TEMPLATES)} Valid kinds: {valid}")
    return TEMPLATES[kind]


def _names_of(plugin: str) -> dict[str, str]:
    """Return the names of the plugin's distribution, package, component, class and constant."""
    bare_name = normalize_name(plugin).removeprefix(PREFIX)
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", bare_name) or len(bare_name) > MAX_NAME_LENGTH:
        raise ValueError(
            f"a plugin's name must start with a letter and consist of letters, digits and single '-', at most "
            f"{MAX_NAME_LENGTH} characters, such as ambulance or my-ambulance, got {plugin!r}"
        )
    component = bare_name.replace("-", "_")
    classname = "".join(part.capitalize() for part in bare_name.split("-"))
    for word in (component, classname):
        if word in {*keyword.kwlist, *dir(builtins)}:
            raise ValueError(f"{word!r} is a Python keyword or builtin; choose another name, such as my-{bare_name}")
    return {
        "distribution": f"{PREFIX}{bare_name}",
        "package": f"artifex_plugin_{component}",
        "component": component,
        "classname": classname,
        "constant": component.upper(),
    }


def _check_not_taken(names: Mapping[str, str], templates: Sequence[Template]) -> None:
    """Raise an error if another distribution provides the name; both would require ``@distribution``."""
    distribution, component = names["distribution"], names["component"]
    for template in templates:
        for claim in scan().groups.get(template.group, {}).get(component, []):
            if claim.distribution != distribution:
                raise ValueError(
                    f"{template.name} {component!r} is already provided by {claim.distribution}; choose another name, "
                    f"such as my-{distribution.removeprefix(PREFIX)}"
                )


def _render(names: Mapping[str, str], templates: Sequence[Template], license: str) -> dict[str, str]:  # noqa: A002
    """Render the files of the package, by path."""
    required = ["artifex-core", *sorted({template.requires for template in templates} - {"artifex-core"})]
    version = installed_version("artifex-core")
    values: dict[str, Any] = {
        **names,
        "kinds": [
            {**attrs.asdict(template), "group": template.group, "object": names[template.object_name]}
            for template in templates
        ],
        "provides": _enumerate_kinds([template.name for template in templates]),
        "requirements": [f"{distribution}>={version}" for distribution in required],
        "license": license,
    }
    render = _renderer(values)
    files = {path.format_map(names): render(source) for path, source in _FILES.items()}
    files[f"src/{names['package']}/py.typed"] = ""
    for template in templates:
        module = render(f"components/{template.name}.py")
        _check_imports_not_shadowed(module)
        files[f"src/{names['package']}/{template.module}.py"] = module
        files[f"tests/test_{template.module}.py"] = render(f"tests/{template.name}.py")
    return files


def _check_imports_not_shadowed(module: str) -> None:
    """Raise an error if a function or class of a rendered module has the name of an import."""
    body = ast.parse(module).body
    imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    imported = {alias.asname or alias.name for node in imports for alias in node.names}
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in imported:
            raise ValueError(f"the code of the template imports {node.name!r}; choose another name")


def _enumerate_kinds(kinds: Sequence[str]) -> str:
    """Return a phrase such as "an audio type, a window and a preset"."""
    words = [f"{'an' if kind[0] in 'aeiou' else 'a'} {kind.replace('_', ' ')}" for kind in kinds]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _renderer(values: Mapping[str, Any]) -> Callable[[str], str]:
    import jinja2  # slow to import (30 ms), and used by this command only

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("artifex.generative_models.core.cli", "templates"),
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    return lambda source: environment.get_template(f"plugin/{source}.jinja").render(values)


def _write_package(target: Path, files: Mapping[str, str]) -> None:
    """Write files to a temporary folder and rename it to the target, so that the target is never incomplete."""
    # tempfile.mkdtemp would create a folder that other users cannot read.
    temporary = target.parent / f".{target.name}.{uuid.uuid4().hex}"
    with disk_full_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            for path, text in files.items():
                file = temporary / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8", newline="\n")
            if target.exists():
                target.rmdir()
            temporary.rename(target)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
