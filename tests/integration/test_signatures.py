"""Public functions and classes: the definition in the file is what callers, ``help`` and type checkers see."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
import types
import typing
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import attrs
import pytest
from tests.integration.source import modules

PACKAGES = [name for name, paths in modules().items() if any(path.stem == "__init__" for path in paths)]

# Public functions that accept anything, with the reason.
ANY_ALLOWED = {
    "from_dict": "values of any type are validated",
    "to_dict": "values of any type are returned",
    "evolve": "values of any type are validated",
    "ExtensionConfig": "options of any extension",
    "create": "options and components of any kind",
    "create_audio_dataset": "options of any dataset",
    "from_preset": "fields of any type are validated",
    "register": "components of any kind",
    "get": "components of any kind",
    "registry": "components of any kind",
    "resolve": "components of any kind",
    "check": "components of any kind",
    "loss_fn": "batches and outputs of any model",
    "example": "examples of any dataset",
    "examples": "examples of any dataset",
    "get_batch": "examples of any dataset",
    "apply_batch": "a pytree of arrays",
    "drawn_parameters": "parameters of any augmentation",
    "works_on": "functions of any options",
    "steps_of": "functions of any options",
    "describe": "parameters of any augmentation",
    "policy_spec": "options of any augmentation",
    "Subject": "functions of any arguments, returning any pytree",
    "function_for": "functions of any arguments, returning any pytree",
}


def public_names() -> list[tuple[str, str]]:
    """Return (package, name) for every name that a package exports."""
    return [
        (package, name) for package in PACKAGES for name in getattr(importlib.import_module(package), "__all__", ())
    ]


def public_callables() -> Iterator[tuple[str, Any]]:
    """Yield every exported function and class once, with its full name, and the public methods of the classes."""
    seen = set()
    for package, name in public_names():
        found = getattr(importlib.import_module(package), name)
        module = str(getattr(found, "__module__", ""))
        if not callable(found) or not module.startswith("artifex") or (module, name) in seen:
            continue
        seen.add((module, name))
        path = f"{module}.{name}".removeprefix("artifex.generative_models.")
        yield path, found
        if inspect.isclass(found):
            for attribute, value in vars(found).items():
                method = getattr(value, "__func__", value)  # of a classmethod or staticmethod
                if inspect.isfunction(method) and not attribute.startswith("_"):
                    yield f"{path}.{attribute}", method


def definition(found: Any) -> ast.FunctionDef | ast.ClassDef:
    """Parse the source that ``inspect`` shows for a function or class."""
    return typing.cast(ast.FunctionDef, ast.parse(textwrap.dedent(inspect.getsource(found))).body[0])


def signature_problems(found: Any) -> list[str]:
    """Compare the signature and docstring of a function with its definition in the file."""
    written = definition(found)
    problems = []
    if written.name != found.__name__ or found.__qualname__.rpartition(".")[2] != written.name:
        problems.append(f"the file defines {written.name}, not {found.__qualname__}")
    if (ast.get_docstring(written) or "") != (inspect.getdoc(found) or ""):
        problems.append("the docstring differs from the file")
    if isinstance(written, ast.FunctionDef):
        arguments = written.args
        names = [each.arg for each in [*arguments.posonlyargs, *arguments.args]]
        names += [each.arg for each in [arguments.vararg, *arguments.kwonlyargs, arguments.kwarg] if each]
        parameters = inspect.signature(found).parameters
        if names != list(parameters):
            problems.append(f"the file has the parameters {names}, the signature {list(parameters)}")
        defaults = dict(zip(reversed([*arguments.posonlyargs, *arguments.args]), reversed(arguments.defaults)))  # noqa: B905
        defaults |= {
            each: value for each, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if value
        }
        for argument, value in defaults.items():
            if (
                isinstance(value, ast.Constant)
                and argument.arg in parameters
                and value.value != parameters[argument.arg].default
            ):
                problems.append(f"the file has {argument.arg}={value.value!r}")
    return problems


def documented_parameters(docstring: str) -> list[str]:
    """Return the names in the Args section of a Google-style docstring."""
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)+)", docstring, re.MULTILINE)
    return re.findall(r"^ {4}\*{0,2}(\w+)(?: \([^)]*\))?:", section[1], re.MULTILINE) if section else []


def parameters(found: Any) -> list[str]:
    """Return the names of the parameters that a caller gives."""
    # The metaclass of nnx modules has the signature (*args, **kwargs).
    by_init = inspect.isclass(found) and (attrs.has(found) or type(found) is not type)
    signature = inspect.signature(found.__init__ if by_init else found)
    return [name for name in signature.parameters if name not in ("self", "cls")]


def is_documented_by_args(found: Any) -> bool:
    """Whether a docstring has to list the parameters: enums, errors and protocols have none of their own."""
    special = (Enum, BaseException)
    return not (inspect.isclass(found) and (issubclass(found, special) or getattr(found, "_is_protocol", False)))


def annotations_with_any(found: Any) -> list[str]:
    """Return the parameters, or "return", whose annotation in the file contains Any."""
    written = definition(found)
    if isinstance(written, ast.ClassDef):
        fields = [
            node for node in written.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        ]
        named = {node.target.id: node.annotation for node in fields if not node.target.id.startswith("_")}  # type: ignore[union-attr]
        own = [node for node in written.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
        return [name for name, each in named.items() if _has_any(each)] + [
            n for each in own for n in _any_arguments(each)
        ]
    return _any_arguments(written)


def _any_arguments(written: ast.FunctionDef) -> list[str]:
    arguments = [node for node in ast.walk(written.args) if isinstance(node, ast.arg)]
    return [each.arg for each in arguments if _has_any(each.annotation)] + ["return"] * _has_any(written.returns)


def _has_any(annotation: ast.expr | None) -> bool:
    return annotation is not None and re.search(r"\bAny\b", ast.unparse(annotation)) is not None


CALLABLES = dict(public_callables())


def heavy_names(module: str) -> dict[str, Any]:
    """Return what a module imports from jax, flax or matplotlib for type checkers only, so that it imports fast."""
    blocks = [
        node
        for node in ast.parse(inspect.getsource(importlib.import_module(module))).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    names: dict[str, Any] = {}
    for node in (node for block in blocks for node in block.body):
        if isinstance(node, ast.Import | ast.ImportFrom) and not ast.unparse(node).startswith("from artifex"):
            exec(ast.unparse(node), names)
    return names


@pytest.mark.parametrize("name", CALLABLES)
def test_type_hints_resolve(name):
    found = CALLABLES[name]
    typing.get_type_hints(found, localns=heavy_names(found.__module__))
    if inspect.isclass(found) and inspect.isfunction(found.__init__):
        typing.get_type_hints(found.__init__, localns=heavy_names(found.__init__.__module__))


@pytest.mark.parametrize("name", CALLABLES)
def test_the_definition_in_the_file_is_what_callers_see(name):
    assert not signature_problems(CALLABLES[name])


@pytest.mark.parametrize("name", [name for name, found in CALLABLES.items() if is_documented_by_args(found)])
def test_the_docstring_lists_the_parameters(name):
    assert documented_parameters(inspect.getdoc(CALLABLES[name]) or "") == parameters(CALLABLES[name])


@pytest.mark.parametrize("package", PACKAGES)
def test_dir_lists_the_exported_names(package):
    module = importlib.import_module(package)
    exported = list(getattr(module, "__all__", ()))
    assert set(exported) <= set(dir(module))
    for name in exported:
        getattr(module, name)


@pytest.mark.parametrize("package", PACKAGES)
def test_modules_are_not_shadowed_by_functions(package):
    module = importlib.import_module(package)
    children = [name.rpartition(".")[2] for name in modules() if name.rpartition(".")[0] == package]
    for name in children:
        importlib.import_module(f"{package}.{name}")
        assert isinstance(getattr(module, name), types.ModuleType), f"{package}.{name} is not the module of that name"


def test_any_is_annotated_only_where_anything_is_accepted():
    found = {name: names for name, each in CALLABLES.items() if (names := annotations_with_any(each))}
    surplus = {name: names for name, names in found.items() if name.rpartition(".")[2] not in ANY_ALLOWED}
    assert not surplus, f"{len(surplus)} public signatures:\n" + "\n".join(
        f"{n}: {', '.join(a)}" for n, a in surplus.items()
    )


def _wrapped(audio: Any, gain: float = 1.0) -> Any:
    """Scale.

    Args:
        audio: Samples.
        level: Misnamed.
    """
    return audio, gain


def test_planted_violations_are_found():
    assert documented_parameters(inspect.getdoc(_wrapped) or "") != parameters(_wrapped)
    assert annotations_with_any(_wrapped) == ["audio", "return"]
    assert not signature_problems(_wrapped)
    changed = types.FunctionType(_wrapped.__code__, _wrapped.__globals__, "_wrapped", (2.0,))
    changed.__doc__ = "Another docstring."
    assert signature_problems(changed) == ["the docstring differs from the file", "the file has gain=1.0"]
    changed.__signature__ = inspect.Signature()  # type: ignore[attr-defined]
    assert any("the signature []" in problem for problem in signature_problems(changed))


def test_the_args_section_is_read():
    docstring = "Sum.\n\nArgs:\n    a: One\n        line: nested.\n    *rest: More.\n    n (optional): Last.\n\nReturns:\n    b: No.\n"
    assert documented_parameters(docstring) == ["a", "rest", "n"]


def test_every_public_package_is_covered():
    assert len(CALLABLES) > 150
    assert {Path(*name.split(".")).name for name in PACKAGES} >= {
        "core",
        "audio",
        "spectral",
        "numerics",
        "configuration",
    }
