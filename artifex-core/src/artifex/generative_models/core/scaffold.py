"""Writing a new plugin: an installable package of typed, documented components that the kit tests."""

from __future__ import annotations

import ast
import builtins
import importlib.metadata
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

from artifex.generative_models.core import plugins
from artifex.generative_models.core.errors import suggest

PREFIX = "artifex-plugin-"
LONGEST = 40


@attrs.frozen(kw_only=True)
class Template:
    """What a kind's component is written as.

    Args:
        name: The kind.
        module: The module it goes to.
        named: Which spelling of the name the object has: ``component``, ``classname`` or ``constant``.
        requires: The distribution that owns what it stands on.
        summary: What it is, in a few words.
    """

    name: str
    module: str
    named: str
    requires: str
    summary: str

    @property
    def group(self) -> str:
        """The entry-point group."""
        return f"artifex.{self.name}s"


TEMPLATES: Mapping[str, Template] = {
    name: Template(name=name, module=module, named=named, requires=requires, summary=summary)
    for name, module, named, requires, summary in (
        ("audio_type", "sounds", "component", "artifex-audio", "a tone that rings down"),
        ("augmentation", "augmentations", "component", "artifex-audio", "a random overdrive"),
        ("window", "windows", "component", "artifex-spectral", "a power of a sine"),
        ("dataset", "datasets", "classname", "artifex-audio", "click tracks with their tempo"),
        ("extension", "extensions", "classname", "artifex-core", "the level over time, and a loss from it"),
        ("representation", "representations", "classname", "artifex-audio", "a companded waveform"),
        ("preset", "presets", "constant", "artifex-spectral", "frames as speech recognizers have them"),
    )
}

_FILES = {  # beside those of each kind
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    ".gitignore": "gitignore",
    ".github/workflows/ci.yml": "ci.yml",
    "src/{package}/__init__.py": "init.py",
    "tests/conftest.py": "tests/conftest.py",
    "tests/test_conformance.py": "tests/test_conformance.py",
}


def add_to(app: typer.Typer) -> None:
    """Add the commands that write something new to the command line.

    Args:
        app: The command line.
    """
    group = typer.Typer(help="Write something new to start from.", no_args_is_help=True)
    group.command("plugin")(plugin)
    app.add_typer(group, name="new")


def plugin(
    name: Annotated[str, typer.Argument(help="What it is called: ambulance makes artifex-plugin-ambulance.")],
    kind: Annotated[str, typer.Option(help=f"What it provides, with commas: {', '.join(TEMPLATES)}.")] = "audio_type",
    out: Annotated[Path, typer.Option(help="The folder to write it to.", show_default="here")] = Path(),
    license: Annotated[str, typer.Option(help="Its license, an SPDX expression.")] = "Apache-2.0",  # noqa: A002
) -> None:
    """Write an installable package with a working, tested component of each kind to start from."""
    kinds = [each.strip() for each in kind.split(",")]
    written = write_plugin(name, [each for each in kinds if each], out=out, license=license)
    print(f"Wrote {written}. Next:")
    print(f"  cd {shlex.quote(str(written))}")
    print('  pip install -e ".[test]"')
    print("  pytest")


def write_plugin(
    name: str,
    kinds: Sequence[str] = ("audio_type",),
    *,
    out: str | Path = ".",
    license: str = "Apache-2.0",  # noqa: A002
) -> Path:
    """Write a plugin's package, whole or not at all.

    Args:
        name: ``ambulance`` or ``artifex-plugin-ambulance``: the distribution is artifex-plugin-ambulance, each component
            is called ``ambulance``. A letter first, then letters and digits, parts joined by ``-``, ``_`` or
            ``.``; at most 40 characters.
        kinds: Kinds of component, of those that ``TEMPLATES`` has; one of each is written.
        out: The folder to put the package's folder in; made if it is not there.
        license: The package's license, an SPDX expression.

    Returns:
        The package's folder.

    Raises:
        ValueError: For a name that cannot be or is another's already, an unknown kind, no license expression.
        FileExistsError: When the package's folder is there and not empty.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     package = write_plugin("my-ambulance", ["window"], out=folder)
        ...     sorted(path.name for path in package.rglob("*.py"))
        ['__init__.py', 'conftest.py', 'test_conformance.py', 'test_windows.py', 'windows.py']
    """
    templates = [_template(kind) for kind in dict.fromkeys(kinds)]
    if not templates:
        raise ValueError(f"a plugin provides at least one kind of: {', '.join(TEMPLATES)}")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]*( (AND|OR|WITH) [A-Za-z0-9][A-Za-z0-9.+-]*)*", license):
        raise ValueError(f"license is an SPDX expression such as 'MIT' or 'Apache-2.0 OR MIT', got {license!r}")
    names = _names(name)
    _check_free(names, templates)
    target = Path(out) / names["distribution"]
    if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
        raise FileExistsError(f"{target} is already there: move it away, or choose another name or folder (out)")
    _put(target, _rendered(names, templates, license))
    return target


def _template(kind: str) -> Template:
    if kind not in TEMPLATES:
        known = ", ".join(TEMPLATES)
        raise ValueError(f"no template for the kind {kind!r}.{suggest(kind, TEMPLATES)} Known kinds: {known}")
    return TEMPLATES[kind]


def _names(name: str) -> dict[str, str]:
    """Return how a plugin's distribution, package, component, class and constant are called."""
    bare = plugins.normalized(name).removeprefix(PREFIX)
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", bare) or len(bare) > LONGEST:
        raise ValueError(
            f"a plugin's name is a letter, then letters and digits, parts joined by '-', at most {LONGEST} "
            f"characters, such as ambulance or my-ambulance, got {name!r}"
        )
    component = bare.replace("-", "_")
    classname = "".join(part.capitalize() for part in bare.split("-"))
    for word in (component, classname):
        if word in {*keyword.kwlist, *dir(builtins)}:
            raise ValueError(f"{word!r} means something in Python; choose another name, such as my-{bare}")
    return {
        "distribution": f"{PREFIX}{bare}",
        "package": f"artifex_plugin_{component}",
        "component": component,
        "classname": classname,
        "constant": component.upper(),
    }


def _check_free(names: Mapping[str, str], templates: Sequence[Template]) -> None:
    """Refuse a name that another distribution has: nobody could ask for either without saying whose."""
    for template in templates:
        claims = plugins.scan().groups.get(template.group, {}).get(names["component"], [])
        for claim in claims:
            if claim.distribution != names["distribution"]:
                raise ValueError(
                    f"{template.name} {names['component']!r} is what {claim.distribution} provides; "
                    f"choose another name, such as my-{names['distribution'].removeprefix(PREFIX)}"
                )


def _rendered(names: Mapping[str, str], templates: Sequence[Template], license: str) -> dict[str, str]:  # noqa: A002
    version = importlib.metadata.version("artifex-core")
    needed = ["artifex-core", *sorted({t.requires for t in templates} - {"artifex-core"})]
    values: dict[str, Any] = {
        **names,
        "kinds": [
            {**attrs.asdict(template), "group": template.group, "object": names[template.named]}
            for template in templates
        ],
        "provides": _listed([template.name for template in templates]),
        "requirements": [f"{distribution}>={version}" for distribution in needed],
        "license": license,
    }
    render = _renderer(values)
    files = {path.format_map(names): render(source) for path, source in _FILES.items()}
    files[f"src/{names['package']}/py.typed"] = ""
    for template in templates:
        module = render(f"components/{template.name}.py")
        _check_hides_nothing(module)
        files[f"src/{names['package']}/{template.module}.py"] = module
        files[f"tests/test_{template.module}.py"] = render(f"tests/{template.name}.py")
    return files


def _check_hides_nothing(module: str) -> None:
    """Refuse a name by which what is written would take the place of what it imports."""
    body = ast.parse(module).body
    imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    imported = {alias.asname or alias.name for node in imports for alias in node.names}
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in imported:
            raise ValueError(f"{node.name!r} is already what the code imports; choose another name")


def _listed(kinds: Sequence[str]) -> str:
    words = [f"{'an' if kind[0] in 'aeiou' else 'a'} {kind.replace('_', ' ')}" for kind in kinds]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _renderer(values: Mapping[str, Any]) -> Callable[[str], str]:
    import jinja2  # costs 30 ms, which no other command needs

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "templates"),
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    return lambda source: environment.get_template(f"plugin/{source}.jinja").render(values)


def _put(target: Path, files: Mapping[str, str]) -> None:
    """Write files beside the target first, so that it is never there in part."""
    parent = target.parent
    parent.mkdir(parents=True, exist_ok=True)
    # Not tempfile.mkdtemp, which makes a folder that only its owner may read.
    beside = parent / f".{target.name}.{uuid.uuid4().hex}"
    try:
        for path, text in files.items():
            file = beside / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
        if target.exists():
            target.rmdir()
        beside.rename(target)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
