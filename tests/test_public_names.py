"""The public names: all there, all documented, none hidden by a module."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from types import FunctionType

import pytest

import coverage_audit as ca

PACKAGE = Path(ca.__file__).parent
FUNCTIONS = {"assert_full_coverage", "audit", "plan", "tracer", "wrap"}
CLASSES = {"AuditResult", "Contract", "CoverageAuditError", "Dataset", "Recorder", "Verdict"}


def test_the_names() -> None:
    assert set(ca.__all__) == FUNCTIONS | CLASSES | {"__version__"}
    assert ca.__all__ == sorted(ca.__all__)
    assert dir(ca) == sorted(ca.__all__)


def test_every_name_has_a_home_and_every_home_a_name() -> None:
    assert set(ca._HOME) | {"__version__"} == set(ca.__all__)


@pytest.mark.parametrize("name", sorted(FUNCTIONS | CLASSES))
def test_a_name_resolves_to_what_its_home_defines(name: str) -> None:
    thing = getattr(ca, name)
    assert thing.__module__ == ca._HOME[name]
    assert (inspect.isclass(thing), inspect.isfunction(thing)) == (name in CLASSES, name in FUNCTIONS)


def test_type_checkers_are_told_the_same_homes() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    (block,) = (n for n in tree.body if isinstance(n, ast.If))
    told = {a.name: n.module for n in block.body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert told == ca._HOME


def test_a_wrong_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'coverage_audit' has no attribute 'wrapp'"):
        ca.wrapp  # noqa: B018


def test_no_module_shadows_a_public_name() -> None:
    """`import coverage_audit.x` sets the attribute x of the package: no public name may be called like a module."""
    modules = {p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or p.is_dir()}
    assert modules & set(ca.__all__) == set()


def test_no_module_shadows_the_standard_library() -> None:
    modules = {p.stem for p in PACKAGE.rglob("*.py")}
    assert modules & set(sys.stdlib_module_names) <= {"__main__", "__init__"}


def test_the_version_is_the_same_everywhere() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "coverage_audit", "--version"], capture_output=True, text=True, check=True
    )
    assert told.stdout == f"coverage-audit, version {ca.__version__}\n"
    changes = (PACKAGE.parent / "CHANGELOG.md").read_text()
    assert f"\n## {ca.__version__}" in changes


def modules() -> list[str]:
    parts = [f.relative_to(PACKAGE.parent).with_suffix("").parts for f in sorted(PACKAGE.rglob("*.py"))]
    return [".".join(p[:-1] if p[-1] == "__init__" else p) for p in parts if p[-1] != "__main__"]


@pytest.mark.parametrize("module", modules())
def test_every_module_says_what_it_is(module: str) -> None:
    assert (importlib.import_module(module).__doc__ or "").strip()


@pytest.mark.parametrize("name", sorted(FUNCTIONS | CLASSES))
def test_everything_public_is_documented(name: str) -> None:
    """The functions, the classes and their methods. Tables that are attributes are told of by their class."""
    thing = getattr(ca, name)
    assert inspect.getdoc(thing)
    methods = vars(thing).items() if inspect.isclass(thing) else ()
    bare = [
        k
        for k, m in methods
        if not k.startswith("_") and isinstance(m, FunctionType | classmethod) and not inspect.getdoc(m)
    ]
    assert bare == []
