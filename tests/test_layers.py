"""Data flows record -> store -> count -> judge -> report; imports point the other way only, towards model.

LAYERS says what each layer may import beside ``errors``, ``config``, ``locks`` and the version. A type that is imported
for type checkers only is knowledge too, so it counts; just ``coverage_audit/__init__.py``, which resolves the public
names lazily, may name every layer that way. A module in brackets may be imported inside a function only: it is heavy,
and needed when training is over.

Where it differs from the first design: auditor is four files (auditor, claims, gates and the planner that uses it);
auditor opens the log and compares the data, so it may know runlog and sources; adapters take a Dataset, so they may
know its type; testing makes runs out of the examples of rules and wraps loaders of every adapter; cli writes tracer
datasets, which are of identity.

THIRD_PARTY says who may import what from outside. Change a table when the design changes, in the same commit.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import coverage_audit

PACKAGE = Path(coverage_audit.__file__).parent
NAME = PACKAGE.name

ANYBODY = {"errors", "config", "locks", "_version"}
LAYERS: dict[str, set[str]] = {
    "_version": set(),
    "errors": set(),
    "config": set(),
    "locks": set(),
    "model": set(),
    "sources": {"model"},
    "runlog": {"model"},
    "identity": {"model", "sources"},
    "recorder": {"model", "sources", "identity", "runlog.journal", "runlog.identity", "(runlog.parts)"},
    "adapters": {"model", "sources", "identity", "recorder"},
    "counts": {"model", "runlog"},
    "rules": {"model", "counts"},
    "result": {"model", "counts"},
    "claims": {"model", "counts", "rules"},
    "gates": {"model", "counts", "rules"},
    "auditor": {"model", "sources", "runlog", "counts", "rules", "result", "claims", "gates"},
    "planner": {"model", "counts", "result", "auditor"},
    "reporters": {"model", "result"},
    "full_coverage": {"model", "sources", "identity", "adapters", "auditor", "reporters", "result"},
    "auditing_tests": {"sources", "recorder", "adapters", "auditor", "full_coverage", "reporters", "result"},
    "pytest_plugin": {"(auditing_tests)"},
    "testing": {"model", "sources", "runlog", "recorder", "adapters", "counts", "rules"},
    "launch": {"model", "sources", "identity", "recorder", "adapters", "runlog.inherited", "runlog.folder"},
    "importers": {"model", "runlog"},
    "cli": {
        *("model", "sources", "identity", "runlog", "counts", "rules", "result", "auditor", "planner", "reporters"),
        *("launch", "importers"),
    },
    "__main__": {"cli"},
    "__init__": set(),
}
THIRD_PARTY: dict[str, set[str]] = {
    "model": {"numpy"},
    "sources": {"numpy", "xxhash", "(rich)", "(fsspec)", "(h5py)", "(zarr)", "(pyarrow)"},
    "runlog": {"numpy", "xxhash", "pyarrow"},
    "importers": {"numpy", "pyarrow"},
    "identity": {"numpy"},
    "recorder": {"numpy"},
    "adapters": {"numpy", "(keras)", "(tensorflow)", "(grain)"},  # torch is taken from where it is imported already
    "counts": {"numpy", "pandas"},
    "rules": {"numpy"},
    "result": {"numpy", "(pandas)"},
    "auditor": {"(pandas)"},
    "full_coverage": {"(pandas)"},
    "auditing_tests": {"pytest"},
    "pytest_plugin": {"pytest"},
    "reporters": {"numpy", "rich", "jinja2", "markupsafe", "matplotlib"},
    "testing": {"numpy"},
    "cli": {"click", "rich", "numpy", "(keras)"},  # the demo trains a model
}
CLI_BY_NAME = {"cli.demo": "coverage_audit"}  # the demo uses the public names, as a user does


@dataclass(frozen=True)
class Import:
    """``importer`` and ``imported`` are dotted names, without the package's own for what is inside it."""

    importer: str
    imported: str
    inside: bool
    lazy: bool
    for_types: bool

    def __str__(self) -> str:
        return f"{self.importer} -> {self.imported}{' (inside a function)' if self.lazy else ''}"

    @property
    def layer(self) -> str:
        return self.importer.split(".")[0]


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports_of(source: str, importer: str) -> Iterator[Import]:
    tree = ast.parse(source)
    lazy = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
    types = {
        id(n)
        for i in ast.walk(tree)
        if isinstance(i, ast.If) and is_type_checking(i)
        for s in i.body
        for n in ast.walk(s)
    }
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{importer}: imports are absolute"
            module = node.module or ""
            # `from coverage_audit.reporters import json_file` imports a module, unless the name is none.
            names = [f"{module}.{a.name}" if is_module(f"{module}.{a.name}") else module for a in node.names]
        for name in names:
            inside = name.split(".")[0] == NAME
            told = name.removeprefix(f"{NAME}.") if inside else name.split(".")[0]
            yield Import(importer, told, inside, id(node) in lazy, id(node) in types)


def is_module(name: str) -> bool:
    if not name.startswith(f"{NAME}."):
        return False
    place = PACKAGE.joinpath(*name.split(".")[1:])
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


def every_import() -> list[Import]:
    found: list[Import] = []
    for file in sorted(PACKAGE.rglob("*.py")):
        importer = ".".join(file.relative_to(PACKAGE).with_suffix("").parts)
        found += imports_of(file.read_text(), importer)
    return found


def allows(allowed: set[str], wanted: Import) -> bool:
    parts = wanted.imported.split(".")
    names = {".".join(parts[: i + 1]) for i in range(len(parts))}
    if names & allowed:
        return True
    return (wanted.lazy or wanted.for_types) and bool({f"({n})" for n in names} & allowed)


def is_allowed(wanted: Import) -> bool:
    if not wanted.inside:
        return wanted.imported in sys.stdlib_module_names or allows(THIRD_PARTY.get(wanted.layer, set()), wanted)
    if wanted.layer == "__init__" and wanted.for_types:
        return True
    if CLI_BY_NAME.get(wanted.importer) == wanted.imported:
        return True
    return allows(LAYERS[wanted.layer] | ANYBODY | {wanted.layer}, wanted)


IMPORTS = every_import()


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_stay_below(layer: str) -> None:
    assert [str(i) for i in IMPORTS if i.layer == layer and not is_allowed(i)] == []


def test_every_room_is_in_the_table() -> None:
    rooms = {p.stem for p in PACKAGE.iterdir() if p.suffix == ".py"}
    rooms |= {p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert rooms == set(LAYERS)


def test_the_table_has_no_circle() -> None:
    """Following the table from any layer never leads back to it."""

    def below(layer: str) -> set[str]:
        direct = {name.strip("()").split(".")[0] for name in LAYERS[layer]}
        return direct.union(*(below(other) for other in direct))

    for layer in LAYERS:
        assert layer not in below(layer)


@pytest.mark.parametrize(
    ("importer", "line", "allowed"),
    [
        ("model.rows", "import pandas", False),
        ("model.rows", "from coverage_audit.counts import tables", False),
        ("rules.ca101_missed_rows", "from coverage_audit.runlog.reader import read_log", False),
        ("recorder.writer", "from coverage_audit.runlog.parts import finish_writer", False),
        ("recorder.writer", "def close():\n    from coverage_audit.runlog.parts import finish_writer", True),
        ("recorder.writer", "from coverage_audit.runlog.reader import read_log", False),
        ("result", "import pandas as pd", False),
        ("result", "if TYPE_CHECKING:\n    import pandas as pd", True),
        ("reporters.view", "from coverage_audit import errors", True),
        ("reporters.view", "from coverage_audit import audit", False),
    ],
)
def test_the_reading_of_imports(importer: str, line: str, allowed: bool) -> None:
    """GIVEN one import in one place WHEN read THEN allowed or not, as the table means it."""
    (found,) = imports_of(line, importer)
    assert is_allowed(found) == allowed
